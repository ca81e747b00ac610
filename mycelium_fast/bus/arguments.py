"""Checks of what users pass in, shared by transports, publishers and subscribers."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import SchemaMismatchError

__all__ = ["check_message_class", "check_schema", "check_seconds", "is_message_class"]

_WANTED = ("TYPE_ID", "SIZE", "to_frame", "encode_batch", "decode_batch")


def is_message_class(value: object) -> bool:
    """Whether it is a message class of a generated module, or looks like one in all that matters here."""
    return isinstance(value, type) and all(hasattr(value, name) for name in _WANTED)


def check_message_class(message_class: Any) -> type:
    """Return a generated message class; TypeError that shows what was expected for anything else."""
    if not is_message_class(message_class):
        raise TypeError(
            f"expected a message class of a generated module, such as TradeTick, not {message_class!r}"
        )
    return message_class  # type: ignore[no-any-return]


def check_schema(message_class: type, digest: bytes | None, connection: str) -> None:
    """Refuse a class that was generated from another contracts file than the connection's.

    Args:
        digest: of the connection; None where it has none, and nothing is known to differ.
        connection: what to call it in the error.

    Raises:
        SchemaMismatchError: the module that has the class has another digest.
    """
    if digest is None:
        return
    for cls in message_class.__mro__:
        module = sys.modules.get(cls.__module__)
        theirs, listed = getattr(module, "SCHEMA_DIGEST", None), getattr(module, "MESSAGES", None)
        # Any module may import a SCHEMA_DIGEST; the one that lists the class is the one it was generated in.
        if not isinstance(theirs, bytes) or not isinstance(listed, Mapping) or cls not in listed.values():
            continue
        if theirs != digest:
            raise SchemaMismatchError(
                f"{cls.__module__}.{cls.__name__} was generated from another contracts file than that of "
                f"{connection}: its schema digest is {theirs.hex()}, the connection's {digest.hex()}. Use "
                "classes of the module whose SCHEMA_DIGEST the transport has"
            )
        return


def check_seconds(name: str, value: Any) -> None:
    """Refuse what is no time span: TypeError for other types than numbers, else ValueError."""
    # The type first: to ask an abstract class takes longer than to receive a message.
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    if not float(value) >= 0:  # and not "< 0", for NaN
        raise ValueError(f"{name} must be a non-negative number of seconds, not {value!r}")
