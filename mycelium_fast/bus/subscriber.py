"""Receiving messages of one class: a bounded queue, and what happens when it is full.

Frames become messages when the connection hands them over; reading the socket, and deciding which thread does
so, is `transport/`'s work.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from ..codec.frames import HEADER_SIZE
from ..errors import ConnectionClosed
from .publisher import SupportsFrame, check_message_class

if TYPE_CHECKING:
    from types import TracebackType

    from ..codec.frames import Run
    from ..transport import Stream

__all__ = ["Overflow", "Subscriber"]

#: What happens to messages that find the queue full.
Overflow = Literal["block", "drop_oldest", "drop_newest", "latest"]

M = TypeVar("M", bound=SupportsFrame)


class Subscriber(Generic[M]):
    """Messages of one class, made by a transport (`transport.subscriber(TradeTick)`).

    Any number of threads may share it: each message goes to one of them. A queue that is full and blocks
    holds up every subscriber of its transport, and with time the peer: use each of them, or a transport for
    each.

    Args:
        capacity: messages that wait at most to be received.
        overflow: when more arrive: `"block"` reads no further until there is room, `"drop_oldest"` and
            `"drop_newest"` drop and count, `"latest"` keeps the newest message alone (capacity 1).
        validate: whether messages against a rule of the contract count as undecodable.
    """

    def __init__(
        self,
        stream: Stream,
        message_class: type[M],
        *,
        capacity: int = 10_000,
        overflow: Overflow = "block",
        validate: bool = True,
    ) -> None:
        check_message_class(message_class)
        if overflow not in get_args(Overflow):
            raise ValueError(f"overflow is one of {', '.join(get_args(Overflow))}, not {overflow!r}")
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity is a number of messages, not {capacity!r}")
        if capacity < 1:
            raise ValueError(f"capacity is at least 1 message, not {capacity}")
        self._stream = stream
        self._class: Any = message_class
        self._capacity = 1 if overflow == "latest" else capacity
        self._overflow = overflow
        self._validate = validate
        self._queue: deque[M] = deque()
        self._full = False
        self._closed = False
        self._dropped = 0
        self._decode_errors = 0
        self._last_decode_error: Exception | None = None
        stream.add_sink(self)

    @property
    def message_class(self) -> type[M]:
        """The class whose messages it receives."""
        return self._class  # type: ignore[no-any-return]

    @property
    def dropped(self) -> int:
        """Messages dropped because the queue was full; exact."""
        return self._dropped

    @property
    def decode_errors(self) -> int:
        """Frames left out because they did not decode, or broke a rule of the contract."""
        return self._decode_errors

    @property
    def last_decode_error(self) -> Exception | None:
        """What was wrong with the latest of them."""
        return self._last_decode_error

    def recv(self, timeout: float | None = None) -> M:
        """The next message, in the order of the wire.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            queue.Empty: nothing came in time.
            ConnectionClosed: the connection is over and everything received was taken; has the reason.
        """
        try:
            return self._take()
        except IndexError:
            pass
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be a non-negative number of seconds")
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._stream.wait(self, deadline)
            try:
                return self._take()
            except IndexError:
                # Empty still: over, too late, or another thread was quicker.
                self._raise_if_over()
                if deadline is not None and time.monotonic() >= deadline:
                    raise queue.Empty from None

    def recv_nowait(self) -> M:
        """The next message that has arrived; what is in the socket counts as arrived.

        Raises:
            queue.Empty: there is none.
            ConnectionClosed: as `recv`.
        """
        try:
            return self._take()
        except IndexError:
            self._stream.drain()
        try:
            return self._take()
        except IndexError:
            self._raise_if_over()
            raise queue.Empty from None

    def __iter__(self) -> Iterator[M]:
        """Messages until the connection ends; `recv` then has the reason. Leaving the loop loses none."""
        take = self._take
        while True:
            try:
                while True:
                    yield take()
            except IndexError:
                if not self._wait():
                    return

    def batches(self) -> Iterator[list[M]]:
        """Lists of what has arrived, never empty, until the connection ends; `recv` then has the reason."""
        popleft = self._queue.popleft
        while True:
            batch: list[M] = []
            try:
                # One by one, since other threads may take from the queue as well.
                for _ in range(len(self._queue)):
                    batch.append(popleft())
            except IndexError:
                pass
            if batch:
                if self._full:
                    self._stream.relieve()
                yield batch
            elif not self._wait():
                return

    def close(self) -> None:
        """Receive nothing more: what is queued can still be taken, whoever waits is woken. Idempotent."""
        self._closed = True
        self._stream.remove_sink(self)

    def __enter__(self) -> Subscriber[M]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Subscriber of {self._class.__name__}: {len(self._queue)} of {self._capacity} queued>"

    def _take(self) -> M:
        message = self._queue.popleft()
        if self._full and len(self._queue) <= self._capacity // 2:
            self._stream.relieve()
        return message

    def _wait(self) -> bool:
        """Wait for a message; False when there will be none."""
        while not self._queue:
            self._stream.wait(self, None)
            if not self._queue and (self._closed or self._stream.ended):
                return False
        return True

    def _raise_if_over(self) -> None:
        if self._queue:
            return
        if self._closed:
            raise ConnectionClosed("the subscriber was closed; make another with transport.subscriber()")
        self._stream.raise_if_ended()

    # What the stream calls, with its lock held
    # ----------------------------------------------------------------

    @property
    def type_id(self) -> int:
        """Type id of the class, as on the wire."""
        return self._class.TYPE_ID  # type: ignore[no-any-return]

    @property
    def ready(self) -> bool:
        """Whether a waiting thread has something to wake up for."""
        return bool(self._queue) or self._closed

    def offer(self, run: Run, start: int, *, force: bool) -> int:
        """Queue the frames of a run from number `start` on, as far as there is room.

        Returns:
            how many frames were dealt with; fewer than offered only where a full queue blocks.
        """
        if self._closed:
            return run.count - start
        count = run.count - start
        self._full = False
        if self._overflow == "block" and not force:
            room = self._capacity - len(self._queue)
            if room < count:
                self._full = True
                if room <= 0:
                    return 0
                count = room
        size = HEADER_SIZE + run.length
        errors: list[Exception] = []
        messages: list[M] = self._class.decode_batch(
            run.frames[start * size : (start + count) * size], validate=self._validate, errors=errors
        )
        if errors:
            self._decode_errors += len(errors)
            self._last_decode_error = errors[-1]
        self._enqueue(messages)
        return count

    def _enqueue(self, messages: list[M]) -> None:
        queued = self._queue
        if self._overflow == "drop_newest":
            room = max(0, self._capacity - len(queued))
            self._dropped += max(0, len(messages) - room)
            del messages[room:]
        queued.extend(messages)
        if self._overflow in ("drop_oldest", "latest"):
            for _ in range(len(queued) - self._capacity):
                try:
                    queued.popleft()
                except IndexError:  # taken by a receiving thread just now
                    break
                self._dropped += 1
