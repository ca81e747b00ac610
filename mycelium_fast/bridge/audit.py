"""The audit trail: who connected, subscribed, was refused, and left, each with a name that stays.

Lines of the logger `mycelium_fast.bridge.audit`, with the event's name and its values as attributes of the
record, so that a formatter for JSON (`observe/logs.py`) shows them as members. docs/bridge.md lists the
events.
"""

from __future__ import annotations

import logging
from typing import Any, Final

__all__ = ["audit"]

_log: Final = logging.getLogger("mycelium_fast.bridge.audit")


def audit(event: str, text: str, *args: object, level: int = logging.INFO, **values: Any) -> None:
    """Write a line.

    Args:
        event: such as "client.connected".
        text: for people, with `%` for `args`.
        values: of the event, JSON's types; no name that a `logging` record has itself.
    """
    if _log.isEnabledFor(level):
        shown = (_in_one_line(each) if isinstance(each, str) else each for each in args)
        _log.log(level, text, *shown, extra={"event": event, **values})


def _in_one_line(text: str) -> str:
    """Text that a client may have chosen, without what would begin another line of the log, or colour it."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )
