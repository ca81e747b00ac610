"""Publishing messages of one class, one by one or many at once.

A publisher turns messages into frames and gives them to the connection, whole and in order; when they leave,
and what happens while the peer is slow, is `transport/`'s work.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ..errors import EncodeError
from .arguments import check_message_class, is_message_class

if TYPE_CHECKING:
    from ..transport import Stream

__all__ = ["Publisher", "SupportsFrame"]


class SupportsFrame(Protocol):
    """An object of a generated message class."""

    def to_frame(self) -> bytes:
        """The message's frame: header and payload."""

    @classmethod
    def encode_batch(cls, messages: Iterable[Any]) -> bytes:
        """The frames of many messages of this class."""


M = TypeVar("M", bound=SupportsFrame)


class Publisher(Generic[M]):
    """Sends messages of one class; made by a transport (`transport.publisher(TradeTick)`).

    Any number of threads may share it: frames are never mixed, and those of one call stay together.
    """

    def __init__(self, stream: Stream, message_class: type[M], *, max_payload_size: int) -> None:
        check_message_class(message_class)
        size: int = message_class.SIZE  # type: ignore[attr-defined]
        if size > max_payload_size:
            raise EncodeError(
                f"{message_class.__name__} has {size} payload bytes, over the limit of {max_payload_size} "
                "for sending: older peers refuse more. Make its fields smaller, or raise max_payload_size "
                "of the transport"
            )
        self._stream = stream
        self._class = message_class

    @property
    def message_class(self) -> type[M]:
        """The class whose messages it sends."""
        return self._class

    def publish(self, message: M) -> None:
        """Send one message. Waits while the peer does not take it; received messages are taken in meanwhile.

        Raises:
            TypeError: a message of another class; nothing was sent.
            TransportTimeout: a full queue of this transport's own subscribers is in the way, and nobody took
                from it for `stall_timeout` seconds. The text says whether the message was accepted; if so, it
                goes out with the next publish, `flush()` or the transport's `close()`.
            ConnectionClosed: the connection is over; whether the peer got the message is not known.
        """
        if not isinstance(message, self._class):
            raise self._foreign(message)
        self._stream.send(message.to_frame())

    def publish_many(self, messages: Iterable[M]) -> None:
        """Send messages in order with as few system calls as the peer's pace allows.

        Raises:
            TypeError: a message of another class is among them; nothing was sent.
            TransportTimeout: as `publish`.
            ConnectionClosed: the connection is over; how many the peer got is not known.
        """
        if not isinstance(messages, (list, tuple)):
            messages = list(self._checked(messages))
        try:
            frames = self._class.encode_batch(messages)
        except TypeError:
            for message in messages:
                if type(message) is not self._class:
                    raise self._foreign(message) from None
            raise
        if frames:
            self._stream.send(frames)

    def flush(self) -> None:
        """Hand the operating system whatever was accepted and is not on its way yet.

        Every publish does so itself, unless a TransportTimeout or the exception of a signal handler ended it.

        Raises:
            TransportTimeout: as `publish`.
            ConnectionClosed: the connection is over.
        """
        self._stream.flush()

    def _checked(self, messages: Iterable[M]) -> Iterable[M]:
        """The argument of `publish_many`, if it is one."""
        ours = self._class.__name__
        if isinstance(messages, self._class):
            raise TypeError(f"publish_many() takes a list of {ours} messages, not one alone: use publish()")
        try:
            return iter(messages)
        except TypeError:
            given = type(messages).__name__
            raise TypeError(f"publish_many() takes a list of {ours} messages, not {given}") from None

    def _foreign(self, message: object) -> TypeError:
        theirs, ours = type(message), self._class
        if message is ours:
            return TypeError(f"this publisher sends messages, not classes: {ours.__name__}(...)")
        if not is_message_class(theirs):
            return TypeError(f"this publisher sends {ours.__name__} messages, not {theirs.__name__}")
        names = theirs.__name__, ours.__name__
        if names[0] == names[1]:  # two generated modules with a message of that name
            names = f"{theirs.__module__}.{names[0]}", f"{ours.__module__}.{names[1]}"
        return TypeError(
            f"this publisher sends {names[1]}, not {names[0]}: make one with publisher({names[0]})"
        )

    def __repr__(self) -> str:
        return f"<Publisher of {self._class.__name__}>"
