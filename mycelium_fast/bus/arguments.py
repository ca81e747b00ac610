"""Checks of what users pass in, shared by transports, publishers and subscribers."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any, Protocol

__all__ = ["SupportsFrame", "check_message_class", "check_seconds", "is_message_class"]

_WANTED = ("TYPE_ID", "SIZE", "to_frame", "encode_batch", "decode_batch")


class SupportsFrame(Protocol):
    """An object of a generated message class."""

    def to_frame(self) -> bytes:
        """The message's frame: header and payload."""

    @classmethod
    def encode_batch(cls, messages: Iterable[Any]) -> bytes:
        """The frames of many messages of this class."""


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


def check_seconds(name: str, value: Any) -> None:
    """Refuse what is no time span: TypeError for other types than numbers, else ValueError."""
    # The type first: to ask an abstract class takes longer than to receive a message.
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        raise TypeError(f"{name} is a number of seconds, not {value!r}")
    if not float(value) >= 0:  # and not "< 0", for NaN
        raise ValueError(f"{name} must be a non-negative number of seconds, not {value!r}")
