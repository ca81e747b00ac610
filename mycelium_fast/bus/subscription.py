"""Calling handlers: a plain `def` straight from the event loop's read, an `async def` in a task of its own.

What a handler wants is read in `handlers.py`; queues and their waiting are `async_subscriber.py`'s.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConnectionClosed
from .handlers import handler_name, is_async

if TYPE_CHECKING:
    from .async_subscriber import Feed
    from .stats import SubscriberStats

__all__ = ["Subscription"]

_log: Final = logging.getLogger("mycelium_fast.bus")
#: Messages that an `async def` handler is given before other tasks have their turn, whatever it awaits.
_TURN: Final = 64


class Subscription:
    """A handler that gets messages; made by `client.subscribe(handler)`. Await it to have it confirmed by the
    peer.

    An `async def` handler runs in one task, one message at a time, in order; a plain function is called as
    soon as messages are received. An exception of the handler is logged and counted, and ends nothing.
    Calling the subscription calls the handler, so that `@client.subscribe` leaves a function usable.
    """

    def __init__(
        self,
        handler: Callable[[Any], Any],
        feed: Feed,
        ask: Callable[[Feed], Awaitable[None]],
        close_timeout: float,
    ) -> None:
        self._handler = handler
        self._name = handler_name(handler)
        self._feed = feed
        self._ask = ask
        self._close_timeout = close_timeout
        self._asynchronous = is_async(handler)
        self._task: asyncio.Task[None] | None = None
        self._running = False
        self._stopped = False
        self._handled = 0
        self._errors = 0
        if not self._asynchronous:
            feed.queue.wake = self._call_now

    @property
    def handled(self) -> int:
        """Messages that the handler was called with."""
        return self._handled

    @property
    def errors(self) -> int:
        """Calls of the handler that ended with an exception."""
        return self._errors

    @property
    def dropped(self) -> int:
        """Messages dropped because the queue was full; exact."""
        return self._feed.queue.dropped

    def stats(self) -> SubscriberStats:
        """Counters of its queue."""
        return self._feed.stats()

    async def unsubscribe(self) -> None:
        """Have the handler called no more; waits for a call that is under way, unless it is the one that
        asks.

        Messages that are queued for it are discarded. Idempotent.
        """
        self._feed.close()
        await self.stop(self._close_timeout, asyncio.current_task())

    def start(self) -> None:
        """Be ready for messages; within a running event loop."""
        if self._asynchronous and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"handler {self._name}")

    async def stop(self, timeout: float, caller: asyncio.Task[Any] | None) -> None:
        """Make no further call; wait for the one under way unless it is `caller`, and cancel it after
        `timeout` seconds."""
        self._stopped = True
        task = self._task
        if task is None or task is caller:
            return
        self._feed.wake()
        await asyncio.wait({task}, timeout=timeout)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=timeout)

    def __call__(self, message: Any) -> Any:
        return self._handler(message)

    def __await__(self) -> Generator[Any, None, Subscription]:
        return self._confirmed().__await__()

    def __repr__(self) -> str:
        return f"<Subscription of {self._name} to {self._feed.queue.name}: {self._handled} handled>"

    async def _confirmed(self) -> Subscription:
        try:
            await self._ask(self._feed)
        except BaseException:
            # Whoever does not get it cannot end it either.
            self._stopped = True
            self._feed.close()
            raise
        return self

    def _call_now(self) -> None:
        if self._running:  # the handler had a queue looked at that ended up here
            return
        self._running = True
        queue = self._feed.queue
        try:
            while queue.waiting and not self._stopped:
                for message in queue.take_all():
                    if self._is_stopped():
                        break
                    span = self._span(message)
                    try:
                        result = self._handler(message)
                        if result is not None and inspect.iscoroutine(result):
                            result.close()
                            raise TypeError(
                                f"{self._name} gave a coroutine, which nobody awaits: write it as async def"
                            )
                    except Exception as error:
                        self._failed(error)
                        if span is not None:
                            span.end(error)
                    else:
                        if span is not None:
                            span.end()
                    self._handled += 1
        finally:
            self._running = False

    def _is_stopped(self) -> bool:
        return self._stopped  # by the handler itself, perhaps

    async def _run(self) -> None:
        feed, queue = self._feed, self._feed.queue
        calls = 0
        try:
            while not self._stopped:
                if queue.waiting:
                    await self._call(queue.take())
                    calls += 1
                    if calls % _TURN == 0:
                        await asyncio.sleep(0)
                elif feed.reason is not None:
                    return
                elif queue.failed:
                    _log.error("%s gets no more messages: %s", self._name, queue.overflowed())
                    return
                else:
                    await feed.wait()
        finally:
            feed.close()

    async def _call(self, message: Any) -> None:
        span = self._span(message)
        try:
            result = self._handler(message)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError as error:
            if span is not None:
                span.end(error)
            # Something that the handler awaited was cancelled; or this very task is.
            if self._stopped or _is_cancelled():
                raise
            self._failed(error)
        except Exception as error:
            self._failed(error)
            if span is not None:
                span.end(error)
        else:
            if span is not None:
                span.end()
        self._handled += 1

    def _span(self, message: Any) -> Any:
        feed = self._feed
        if feed.tracer is None:
            return None
        return feed.tracer.delivering(type(message).__name__, message.TYPE_ID, 1, feed.queue.contexts(1))

    def _failed(self, error: BaseException) -> None:
        self._errors += 1
        if isinstance(error, ConnectionClosed) and self._feed.reason is not None:
            _log.debug(
                "handler %s: %s", self._name, error
            )  # it was to publish on a client that is being closed
            return
        _log.error("handler %s failed", self._name, exc_info=error)


def _is_cancelled() -> bool:
    """Whether the task that runs is to end; Python 3.10 does not tell, and is taken to mean that."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is None or bool(cancelling())
