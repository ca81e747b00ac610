"""The bounded queue between a connection and one subscriber, and what happens when it is full.

The connection offers runs of frames (it is a `Sink` of `transport/`); decoding them and dropping what has no
room happens here. Taking messages out, and waiting for them, is `subscriber.py`'s work.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from ..codec.frames import HEADER_SIZE
from .publisher import SupportsFrame

if TYPE_CHECKING:
    from ..codec.frames import Run

__all__ = ["MessageQueue", "Overflow"]

#: What happens to messages that find the queue full.
Overflow = Literal["block", "drop_oldest", "drop_newest", "latest"]

M = TypeVar("M", bound=SupportsFrame)


class MessageQueue(Generic[M]):
    """Messages of one class that wait to be received; knows nothing of connections.

    Attributes:
        messages: those that wait; threads take from its left end at any time, without a lock.
        capacity: how many wait at most.
        full: the latest offer found no room for all, and blocked: who takes has to tell the connection.
        closed: nothing more is wanted.
        dropped: messages dropped because there was no room.
        decode_errors: frames that did not decode, or broke a rule.
        last_decode_error: what was wrong with the latest of them.
    """

    def __init__(self, message_class: type[M], *, capacity: int, overflow: Overflow, validate: bool) -> None:
        if overflow not in get_args(Overflow):
            raise ValueError(f"overflow is one of {', '.join(get_args(Overflow))}, not {overflow!r}")
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity is a number of messages, not {capacity!r}")
        if capacity < 1:
            raise ValueError(f"capacity is at least 1 message, not {capacity}")
        self._class: Any = message_class
        self._overflow = overflow
        self._validate = validate
        self.messages: deque[M] = deque()
        self.capacity = 1 if overflow == "latest" else capacity
        self.full = False
        self.closed = False
        self.dropped = 0
        self.decode_errors = 0
        self.last_decode_error: Exception | None = None

    def __str__(self) -> str:
        name, capacity = self._class.__name__, self.capacity
        return f'the subscriber of {name} with capacity {capacity} and overflow "{self._overflow}"'

    @property
    def type_id(self) -> int:
        """Type id of the class, as on the wire."""
        return self._class.TYPE_ID  # type: ignore[no-any-return]

    @property
    def ready(self) -> bool:
        """Whether a waiting thread has something to wake up for."""
        return bool(self.messages) or self.closed

    @property
    def waiting(self) -> int:
        """Messages that wait to be received."""
        return len(self.messages)

    def offer(self, run: Run, start: int, *, force: bool) -> int:
        """Queue the frames of a run from number `start` on, as far as there is room; by one thread at a time.

        Returns:
            how many frames were dealt with; fewer than offered only where a full queue blocks.
        """
        if self.closed:
            return run.count - start
        count = run.count - start
        self.full = False
        if self._overflow == "block" and not force:
            room = self.capacity - len(self.messages)
            if room < count:
                self.full = True
                if room <= 0:
                    return 0
                count = room
        size = HEADER_SIZE + run.length
        errors: list[Exception] = []
        messages: list[M] = self._class.decode_batch(
            run.frames[start * size : (start + count) * size], validate=self._validate, errors=errors
        )
        if errors:
            self.decode_errors += len(errors)
            self.last_decode_error = errors[-1]
        self._enqueue(messages)
        return count

    def _enqueue(self, messages: list[M]) -> None:
        queued = self.messages
        if self._overflow == "drop_newest":
            room = max(0, self.capacity - len(queued))
            self.dropped += max(0, len(messages) - room)
            del messages[room:]
        queued.extend(messages)
        if self._overflow in ("drop_oldest", "latest"):
            for _ in range(len(queued) - self.capacity):
                try:
                    queued.popleft()
                except IndexError:  # taken by a receiving thread just now
                    break
                self.dropped += 1
