"""What an asyncio client is subscribed to: asking the peer for it, and handing received frames to the right
queues.

Distributing frames is `transport/switch.py`'s work, waiting for messages that of `async_subscriber.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ..errors import TransportError, TransportTimeout
from ..session import Features, Lagged, Rejected
from ..transport.switch import Switch
from .async_subscriber import Feed, again
from .connector import settle

if TYPE_CHECKING:
    from ..codec.frames import Run
    from ..codec.tracer import TracerHook
    from ..transport.aio import Link
    from .message_queue import MessageQueue
    from .subscription import Subscription

__all__ = ["Feeds"]

_log: Final = logging.getLogger("mycelium_fast.bus")
_EVERY: Final = frozenset({0})


class _Request:
    """A Subscribe that was sent, and not confirmed yet."""

    def __init__(self, feeds: list[Feed], done: asyncio.Future[None]) -> None:
        self.feeds = feeds
        self.done = done
        self.refused: dict[int, TransportError] = {}


class Feeds:
    """Everything that one client is subscribed to; goes on over connections.

    Args:
        unknown: called with runs that nobody here wants.

    Attributes:
        subscriptions: handlers, by their feed.
        lagged_frames: frames that the peer says it dropped.
    """

    def __init__(self, unknown: Callable[[Run], object]) -> None:
        self._feeds: dict[Feed, None] = {}
        self._requests: dict[int, _Request] = {}
        self._link: Link | None = None  # also while it is being made, for holding it
        self._asking = False  # it is open, and Subscribe goes there
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tracer: TracerHook | None = None
        self.switch = Switch(self._hold, self._release, unknown)
        self.subscriptions: dict[Feed, Subscription] = {}
        self.lagged_frames = 0

    def __iter__(self) -> Iterator[Feed]:
        return iter(tuple(self._feeds))

    def add(self, queue: MessageQueue, tracer: TracerHook | None) -> Feed:
        """Have a queue filled from now on, and the peer asked for what it wants."""
        feed = Feed(queue, self._closed, self._abandoned)
        feed.tracer = tracer
        queue.relieve = self.switch.relieve
        self._feeds[feed] = None
        self.switch.add(queue)
        if self._asking and self._link is not None:
            self._ask(self._link, [feed], queue.type_ids)
        return feed

    async def confirmed(self, feed: Feed, timeout: float) -> None:
        """Wait until the peer has confirmed a feed, as far as it does so and there is a connection.

        Raises:
            PermissionDenied: it refuses. TransportTimeout: it does not answer. TransportError: it is over.
        """
        if feed.reason is None and feed.confirmed is not None and not feed.confirmed.done():
            done, _ = await asyncio.wait({feed.confirmed}, timeout=timeout)
            if not done:
                raise TransportTimeout(f"the peer did not confirm the subscription within {timeout:g} s")
        if feed.reason is not None:
            raise again(feed.reason)

    def end(self, error: TransportError) -> None:
        """Nothing more comes: hand out what was received, and let everyone know."""
        self.switch.finish()
        for feed in tuple(self._feeds):
            self.switch.remove(feed.queue)
            feed.end(error)
        self._feeds.clear()

    # The connection -----------------------------------------------------------------------------------------

    def prepare(self, link: Link) -> None:
        """A connection is being made: reading it can be held."""
        self._link = link
        self._loop = asyncio.get_running_loop()
        if self.switch.stuck:
            link.hold()

    def attach(self, link: Link) -> asyncio.Future[None] | None:
        """A connection is open, or negotiated only now: ask for everything; done when it is confirmed."""
        self._link = link
        self._asking = True
        return self._ask(link, list(self._feeds), self._wanted()) if self._feeds else None

    def detach(self) -> None:
        """There is no connection."""
        self._link = None
        self._asking = False
        for request in self._requests.values():
            settle(request.done)
        self._requests.clear()

    def subscribed(self, number: int) -> None:
        """The peer confirms a request."""
        request = self._requests.pop(number, None)
        if request is None:
            return
        for feed in request.feeds:
            refused = request.refused.keys() & _refusable(feed)
            if refused:
                error = request.refused[min(refused)]
                _log.warning("subscription to %s refused: %s", feed.queue.name, error)
                feed.end(error)
                self._remove(feed)
        settle(request.done)

    def rejected(self, event: Rejected) -> bool:
        """The peer refuses a type; whether it had been asked for."""
        asked = False
        for request in self._requests.values():
            if any(event.type_id in _refusable(feed) for feed in request.feeds):
                request.refused[event.type_id] = event.error
                asked = True
        return asked

    def lagged(self, event: Lagged) -> None:
        """The peer dropped frames."""
        self.lagged_frames += event.dropped
        for sink in self.switch.of(event.type_id):
            sink.lagged += event.dropped

    def set_tracer(self, tracer: TracerHook | None) -> None:
        """Have spans opened for what is received, or not."""
        for feed in self:
            feed.tracer = tracer

    # Within -------------------------------------------------------------------------------------------------

    def _ask(
        self, link: Link, feeds: list[Feed], type_ids: Iterable[int] | None
    ) -> asyncio.Future[None] | None:
        """Send Subscribe, if the peer knows it; done when it is confirmed."""
        if Features.SUBSCRIPTIONS not in link.connection.features:
            return None
        number, frames = link.connection.subscribe(type_ids)
        request = _Request(feeds, asyncio.get_running_loop().create_future())
        self._requests[number] = request
        for feed in feeds:
            feed.confirmed = request.done
        link.write(frames)
        return request.done

    def _closed(self, feed: Feed) -> None:
        """Whoever had it wants no more; may come from any thread."""
        loop = self._loop
        if loop is None or asyncio._get_running_loop() is loop:
            self._remove(feed)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self._remove, feed)

    def _abandoned(self, feed: Feed) -> None:
        """The garbage collector found it: close it in a turn of the event loop of its own."""
        loop = self._loop or asyncio._get_running_loop()
        if loop is None or loop.is_closed():
            feed.close()
        else:
            loop.call_soon_threadsafe(feed.close)

    def _remove(self, feed: Feed) -> None:
        self.subscriptions.pop(feed, None)
        if feed not in self._feeds:
            return
        del self._feeds[feed]
        self.switch.remove(feed.queue)
        link, type_ids, wanted = self._link, feed.queue.type_ids, self._wanted()
        if not self._asking or link is None or Features.SUBSCRIPTIONS not in link.connection.features:
            return
        if wanted is None:
            return
        if type_ids is None:
            frames = link.connection.unsubscribe(None)[1]
            link.write(frames + (link.connection.subscribe(wanted)[1] if wanted else b""))
        elif type_ids - wanted:
            link.write(link.connection.unsubscribe(type_ids - wanted)[1])

    def _wanted(self) -> frozenset[int] | None:
        """The types that anybody here wants; None for all."""
        wanted: set[int] = set()
        for feed in self._feeds:
            if feed.queue.type_ids is None:
                return None
            wanted |= feed.queue.type_ids
        return frozenset(wanted)

    def _hold(self) -> None:
        if self._link is not None:
            self._link.hold()

    def _release(self) -> None:
        if self._link is not None:
            self._link.release()


def _refusable(feed: Feed) -> frozenset[int]:
    """The types that a refusal of a feed may name: 0 is every type."""
    return _EVERY if feed.queue.type_ids is None else feed.queue.type_ids
