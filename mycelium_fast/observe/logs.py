"""A JSON format for the standard `logging`: one object a line, for log collectors.

It formats what the program logs. What the package logs, and which handlers there are, is decided elsewhere.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[IO[str]]
else:  # not generic at run time before Python 3.11
    _StreamHandler = logging.StreamHandler

__all__ = ["JsonFormatter", "configure"]

#: What every record has: anything else in it came with `extra`.
_STANDARD: Final = {*vars(logging.LogRecord("", 0, "", 0, "", None, None)), "message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line, in ASCII.

    Its members are `time` (RFC 3339, UTC, microseconds), `level`, `logger`, `message`, `service` and `node`
    where given, `exception` and `stack` where the record has them (text), and all that came as `extra` (with
    `_` after a name that is taken). Values that JSON does not have appear as their text. It never raises.

    Args:
        service: name of the service, in every line.
        node: name of its node, in every line.
    """

    def __init__(self, *, service: str = "", node: str = "") -> None:
        super().__init__()
        self._labels = {name: value for name, value in (("service", service), ("node", node)) if value}

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **self._labels,
        }
        if record.exc_info:
            try:
                entry["exception"] = self.formatException(record.exc_info)
            except Exception:  # an exception whose text cannot be made
                entry["exception"] = _text(record.exc_info[0])
        elif record.exc_text:
            entry["exception"] = record.exc_text
        if record.stack_info:
            entry["stack"] = record.stack_info
        for name, value in vars(record).items():
            if name not in _STANDARD:
                while name in entry:
                    name += "_"  # noqa: PLW2901
                entry[name] = value
        try:
            return _json(entry)
        except Exception:  # NaN, a key that is no text, a reference to itself: find out where
            return _json({name: _safe(value) for name, value in entry.items()})


def configure(
    level: int | str = logging.INFO,
    stream: IO[str] | None = None,
    json: bool = True,
    *,
    service: str = "",
    node: str = "",
) -> logging.Handler:
    """Write what is logged from a level on to a stream: for programs without a logging set-up of their own.

    Args:
        level: of the root logger, as `logging` has it.
        stream: standard error, if None.
        json: one JSON object a line; False for plain text.
        service: name of the service, in every JSON line.
        node: name of its node, in every JSON line.

    Returns:
        the handler added to the root logger; a call replaces the handler of the call before.
    """
    handler = _Handler(sys.stderr if stream is None else stream)
    if json:
        handler.setFormatter(JsonFormatter(service=service, node=node))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(level)
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    return handler


class _Handler(_StreamHandler):
    """The handler of `configure`, to be found again."""


def _time(seconds: float) -> str:
    return (
        datetime.fromtimestamp(seconds, timezone.utc)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # the arguments do not fit the text
        return f"{_text(record.msg)} {_text(record.args)}"


def _json(value: Any) -> str:
    return json.dumps(value, default=_text, allow_nan=False)


def _safe(value: Any) -> Any:
    """The value, if JSON has it, else its text."""
    try:
        _json(value)
    except Exception:
        return _text(value)
    return value


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} without text>"
