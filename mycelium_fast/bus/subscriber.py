"""Receiving messages of one class: taking them from a queue, and waiting for more.

What happens when the queue is full is in `message_queue.py`; reading the socket, and deciding which thread
does so, is `transport/`'s work.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import ConnectionClosed
from .arguments import check_message_class, check_seconds
from .message_queue import MessageQueue, Overflow
from .publisher import SupportsFrame

if TYPE_CHECKING:
    from types import TracebackType

    from ..transport import Stream

__all__ = ["Subscriber"]

M = TypeVar("M", bound=SupportsFrame)


class Subscriber(Generic[M]):
    """Messages of one class, made by a transport (`transport.subscriber(TradeTick)`).

    Any number of threads may share it: each message goes to one of them. A queue that is full and blocks
    holds up every subscriber of its transport, with time the peer, and then whoever publishes on the same
    transport: receive from each of them in a thread of its own, or on a transport of its own.

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
        self._stream = stream
        self._class = message_class
        self._queue = MessageQueue(message_class, capacity=capacity, overflow=overflow, validate=validate)
        self._messages = self._queue.messages
        stream.add_sink(self._queue)

    @property
    def message_class(self) -> type[M]:
        """The class whose messages it receives."""
        return self._class

    @property
    def dropped(self) -> int:
        """Messages dropped because the queue was full; exact."""
        return self._queue.dropped

    @property
    def decode_errors(self) -> int:
        """Frames left out because they did not decode, or broke a rule of the contract."""
        return self._queue.decode_errors

    @property
    def last_decode_error(self) -> Exception | None:
        """What was wrong with the latest of them; None while there is none."""
        return self._queue.last_decode_error

    def recv(self, timeout: float | None = None) -> M:
        """The next message, in the order of the wire.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            queue.Empty: nothing came in time.
            ConnectionClosed: the connection is over and everything received was taken; has the reason.
            TypeError, ValueError: `timeout` is not a non-negative number.
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        try:
            return self._take()
        except IndexError:
            pass
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._stream.wait(self._queue, deadline)
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
        popleft = self._messages.popleft
        while True:
            batch: list[M] = []
            try:
                # One by one, since other threads may take from the queue as well.
                for _ in range(len(self._messages)):
                    batch.append(popleft())
            except IndexError:
                pass
            if batch:
                if self._queue.full:
                    self._stream.relieve()
                yield batch
            elif not self._wait():
                return

    def close(self) -> None:
        """Receive nothing more: what is queued can still be taken, whoever waits is woken. Idempotent."""
        self._queue.closed = True
        self._stream.remove_sink(self._queue)

    def __enter__(self) -> Subscriber[M]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        queued, capacity = len(self._messages), self._queue.capacity
        return f"<Subscriber of {self._class.__name__}: {queued} of {capacity} queued>"

    def _take(self) -> M:
        message = self._messages.popleft()
        if self._queue.full and len(self._messages) <= self._queue.capacity // 2:
            self._stream.relieve()
        return message

    def _wait(self) -> bool:
        """Wait for a message; False when there will be none."""
        while not self._messages:
            self._stream.wait(self._queue, None)
            if not self._messages and (self._queue.closed or self._stream.ended):
                return False
        return True

    def _raise_if_over(self) -> None:
        if self._messages:
            return
        if self._queue.closed:
            raise ConnectionClosed("the subscriber was closed; make another with transport.subscriber()")
        self._stream.raise_if_ended()
