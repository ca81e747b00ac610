"""Receiving messages in asyncio: taking them from a queue, and waiting for more without ever losing one.

A task that waits is woken, and never handed the message: one that is cancelled at that moment leaves it in
the queue for the next. What happens when the queue is full is in `message_queue.pyx`; connections are the
client's work.
"""

from __future__ import annotations

import asyncio
import queue as queue_module
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import ConnectionClosed, TransportError
from .arguments import check_seconds
from .message_queue import MessageQueue
from .stats import SubscriberStats

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from ..codec.tracer import TracerHook

__all__ = ["AsyncSubscriber", "Feed", "again"]

T = TypeVar("T")


def again(error: TransportError) -> TransportError:
    """A new error of the same kind and text: one that is raised many times would collect every traceback."""
    made = type(error)(str(error))
    made.__cause__ = error
    return made


class Feed:
    """A queue that a client fills, with those who wait for it, and the reason once nothing more comes.

    Attributes:
        reason: why nothing more comes, or None.
        confirmed: done when the peer has confirmed the subscription; has the error if it refused.
    """

    def __init__(
        self,
        queue: MessageQueue,
        close: Callable[[Feed], None],
        abandon: Callable[[Feed], object],
    ) -> None:
        self.queue = queue
        self.reason: TransportError | None = None
        self.confirmed: asyncio.Future[None] | None = None
        self.tracer: TracerHook | None = None
        self._close = close
        self._abandon = abandon
        self._closed = False
        self._waiters: deque[asyncio.Future[bool]] = deque()
        queue.wake = self.wake

    def wake(self) -> None:
        """Wake whoever has waited longest, for there is something to see."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(True)
                return

    def end(self, reason: TransportError) -> None:
        """Nothing more comes: wake everyone."""
        if self.reason is None:
            self.reason = reason
        self.queue.close()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(True)

    def close(self) -> None:
        """The subscriber wants nothing more."""
        if not self._closed:
            self._closed = True
            self.end(ConnectionClosed("the subscriber was closed; make another with client.subscriber()"))
            self._close(self)

    def abandon(self) -> None:
        """Nobody refers to the subscriber any more: close it, though not here. The garbage collector may have
        come at any moment, also in the middle of a write, and in any thread."""
        if not self._closed:
            self._abandon(self)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until there may be something to see; False after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(waiter)
        timer = None if timeout is None else loop.call_later(timeout, _expire, waiter)
        try:
            return await waiter
        finally:
            if timer is not None:
                timer.cancel()
            self._waiters.remove(waiter)
            # This one may have been woken and cancelled at once, or take only one of several messages.
            if self._waiters and self.queue.ready():
                self.wake()

    def over(self) -> TransportError | Exception | None:
        """What to raise once the queue is empty, if nothing more comes."""
        if self.queue.failed:
            return self.queue.overflowed()
        return None if self.reason is None else again(self.reason)

    def stats(self) -> SubscriberStats:
        """The counters now."""
        queue = self.queue
        return SubscriberStats(
            name=queue.name,
            received=queue.received,
            queued=queue.waiting,
            capacity=queue.capacity,
            high_water=queue.high_water,
            dropped=queue.dropped,
            decode_errors=queue.decode_errors,
            lagged=queue.lagged,
        )


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


class AsyncSubscriber(Generic[T]):
    """Messages of one or several classes, made by a client (`client.subscriber(TradeTick)`).

    Any number of tasks may share it: each message goes to one of them. Iterating goes on over reconnects, and
    ends when the client is closed or gives up; `recv()` then raises the reason. Cancelling any wait loses
    nothing. A subscriber that nobody refers to any more is closed; one that nobody takes from holds up the
    others of its client when it is full, with `overflow="block"`.
    """

    def __init__(self, feed: Feed, ask: Callable[[Feed], Any]) -> None:
        self._feed = feed
        self._queue = feed.queue
        self._ask = ask

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

    def stats(self) -> SubscriberStats:
        """Counters of this subscriber."""
        return self._feed.stats()

    async def subscribed(self) -> None:
        """Wait until the peer has confirmed the subscription, where it does so (negotiated connections).

        Raises:
            PermissionDenied: the peer refuses it.
            TransportError: the client was closed, or gave up.
        """
        await self._ask(self._feed)

    async def recv(self, timeout: float | None = None) -> T:
        """The next message, in the order of the wire.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            queue.Empty: nothing came in time.
            ConnectionClosed: the client or the subscriber is closed, and everything received was taken.
            TransportError: the client gave up, or the peer refused the subscription: the reason.
            SubscriberOverflow: with `overflow="error"`, after what was queued before.
            TypeError, ValueError: `timeout` is not a non-negative number.
        """
        queue = self._queue
        if queue.waiting:
            return self._take()
        if timeout is None and self._feed.reason is None and not queue.failed:
            await self._feed.wait()
            if len(queue):
                return self._take()
        deadline = None
        if timeout is not None:
            check_seconds("timeout", timeout)
            deadline = asyncio.get_running_loop().time() + timeout
        while True:
            self._raise_if_over()
            if deadline is None:
                await self._feed.wait()
            else:
                left = max(0.0, deadline - asyncio.get_running_loop().time())
                if not await self._feed.wait(left) and not len(queue):
                    raise queue_module.Empty
            if len(queue):
                return self._take()

    def recv_nowait(self) -> T:
        """The next message that has been received already.

        Raises:
            queue.Empty: there is none.
            ConnectionClosed, TransportError, SubscriberOverflow: as `recv`.
        """
        if self._queue.waiting:
            return self._take()
        self._raise_if_over()
        raise queue_module.Empty

    def __aiter__(self) -> AsyncIterator[T]:
        """Messages until the client is closed or gives up. Leaving the loop loses none."""
        return self

    async def __anext__(self) -> T:
        if self._queue.waiting or await self._more():
            return self._take()
        raise StopAsyncIteration

    def batches(self) -> AsyncIterator[list[T]]:
        """Lists of what has arrived, never empty, until the client is closed or gives up."""
        return _Chunks(self, self._take_all)

    def arrays(self) -> AsyncIterator[NDArray[Any]]:
        """NumPy structured arrays of what has arrived, one row a message, each of one message class.

        From this call on messages are kept as arrays, which share the blocks that they were received into.
        """
        self._queue.use_arrays()
        return _Chunks(self, self._take_array)

    def close(self) -> None:
        """Receive nothing more: what is queued can still be taken, whoever waits is woken. Idempotent."""
        self._feed.close()

    async def aclose(self) -> None:
        """As `close`, for `contextlib.aclosing`."""
        self._feed.close()

    async def __aenter__(self) -> AsyncSubscriber[T]:
        await self.subscribed()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.close()

    def __del__(self) -> None:
        feed = getattr(self, "_feed", None)
        if feed is not None:
            feed.abandon()

    def __repr__(self) -> str:
        queue = self._queue
        return f"<AsyncSubscriber of {queue.name}: {queue.waiting} of {queue.capacity} queued>"

    def _take(self) -> T:
        message: T = self._queue.take()
        if self._feed.tracer is not None:
            self._trace(1, message)
        return message

    def _take_all(self) -> list[T]:
        messages: list[T] = self._queue.take_all()
        if self._feed.tracer is not None and messages:
            self._trace(len(messages), messages[0])
        return messages

    def _take_array(self) -> NDArray[Any] | None:
        table = self._queue.take_array()
        if self._feed.tracer is not None and table is not None:
            self._trace(len(table), None)
        return table

    def _trace(self, count: int, message: Any) -> None:
        tracer = self._feed.tracer
        if tracer is not None:
            alone = message is not None and (count == 1 or len(self._queue.classes or ()) == 1)
            name = type(message).__name__ if alone and self._queue.classes is not None else self._queue.name
            type_id = getattr(message, "TYPE_ID", getattr(message, "type_id", 0)) if alone else 0
            contexts = self._queue.contexts(count)
            tracer.delivering(name, type_id, count, contexts, operation="receive").end()

    async def _more(self) -> bool:
        """Wait for a message; False when there will be none."""
        queue, feed = self._queue, self._feed
        while not queue.waiting:
            if queue.failed:
                raise queue.overflowed()
            if feed.reason is not None:
                if not isinstance(feed.reason, ConnectionClosed):
                    raise again(feed.reason)
                return False
            await feed.wait()
        return True

    def _raise_if_over(self) -> None:
        over = self._feed.over()
        if over is not None:
            raise over


class _Chunks(Generic[T]):
    """What is queued, many messages at a time."""

    def __init__(self, subscriber: AsyncSubscriber[Any], take: Callable[[], T | None]) -> None:
        self._subscriber = subscriber
        self._take = take

    def __aiter__(self) -> _Chunks[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            chunk = self._take()
            if chunk is not None and len(chunk):  # type: ignore[arg-type]
                return chunk
            if not await self._subscriber._more():
                raise StopAsyncIteration
