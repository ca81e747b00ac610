"""`AsyncMessageBus`: the twin of `MessageBus` for asyncio, over `MyceliumClient`.

The same rules decide which way a message takes (`message_bus.py`), and blocking and asyncio buses of one
process reach each other. Connecting again after a connection broke is the clients' work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ..errors import ConnectionClosed, TransportError
from ..transport.local import Port
from .async_subscriber import AsyncSubscriber, Feed
from .client import CLIENT_KEYWORDS, MyceliumClient
from .message_bus import BusBase, check_messages, check_several, nobody_listens
from .selection import message_queue, selected_classes

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .arguments import SupportsFrame
    from .message_queue import Overflow
    from .stats import TransportStats
    from .topology import Node, Topology

__all__ = ["AsyncMessageBus", "AsyncPublisher"]


M = TypeVar("M", bound="SupportsFrame")


class AsyncMessageBus(BusBase):
    """One service's publishers and subscribers in asyncio, by the names of services.

    It belongs to one event loop. Close it, or use `async with`. The arguments are those of `MessageBus`; the
    settings those of `MyceliumClient`.
    """

    _KEYWORDS = CLIENT_KEYWORDS

    def __init__(
        self,
        topology: Topology,
        service_name: str,
        schema_digest: bytes | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(topology, service_name, schema_digest, **settings)
        self._clients: dict[str, MyceliumClient] = {}
        self._connecting: dict[str, asyncio.Lock] = {}
        self._alone: list[Feed] = []

    async def publisher_to(self, service: str, message_class: type[M]) -> AsyncPublisher[M]:
        """A publisher of one message class to the node of a service; as `MessageBus.publisher_to`."""
        self._check_class(message_class)
        target = self._topology.node_of(service)
        publisher = AsyncPublisher(self, message_class, target, service)
        if target is not self._node or self._member.ports_of(service) is None:
            await self._bridge(target, service)  # now, so that it is known whether there is a way at all
        return publisher

    async def publisher(self, message_class: type[M]) -> AsyncPublisher[M]:
        """A publisher of one message class to the own node; as `MessageBus.publisher`."""
        self._check_class(message_class)
        await self._own_bridge()
        return AsyncPublisher(self, message_class, self._node, None)

    @overload
    async def subscriber(
        self, wanted: type[M], capacity: int = ..., overflow: Overflow = ..., *, validate: bool = ...
    ) -> AsyncSubscriber[M]: ...
    @overload
    async def subscriber(
        self, wanted: Any, capacity: int = ..., overflow: Overflow = ..., *, validate: bool = ...
    ) -> AsyncSubscriber[Any]: ...
    async def subscriber(
        self, wanted: Any, capacity: int = 10_000, overflow: Overflow = "block", *, validate: bool = True
    ) -> AsyncSubscriber[Any]:
        """An async iterator of what is published to this service, and to its node.

        As `MessageBus.subscriber`; returns when the bridge, if there is one, has confirmed it.
        """
        self._check_open()
        loop = asyncio.get_running_loop()
        client = await self._own_bridge()
        if client is not None:
            classes = selected_classes(wanted, self._digest, repr(self))
            subscriber = client.subscriber(classes, capacity, overflow, validate=validate)
            await subscriber.subscribed()
            self._member.add(Port(subscriber._queue, loop=loop, bridged=True))
            return subscriber
        queue = message_queue(
            wanted,
            self._digest,
            repr(self),
            capacity=capacity,
            overflow=overflow,
            validate=validate,
            on_bad_frame=self._settings.get("on_bad_frame"),
        )
        feed = Feed(
            queue, self._forget, lambda feed: loop.is_closed() or loop.call_soon_threadsafe(feed.close)
        )
        self._alone.append(feed)
        self._member.add(Port(queue, loop=loop))
        return AsyncSubscriber(feed, _confirmed)

    def stats(self) -> tuple[TransportStats, ...]:
        """Counters of the connections, and of the delivery within this process, at this moment."""
        clients = [client.stats() for client in self._clients.values()]
        return (*clients, self._local_stats(tuple(feed.stats() for feed in self._alone)))

    async def close(self) -> None:
        """Have what was accepted arrive, and end every connection and subscriber.

        Takes at most `close_timeout` seconds. Idempotent. What subscribers have queued can still be taken.
        """
        self._closed = True
        self._leave()
        for feed in list(self._alone):
            feed.end(ConnectionClosed(f"{self!r} was closed by this program"))
        await asyncio.gather(*[client.close() for client in self._clients.values()])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _forget(self, feed: Feed) -> None:
        if feed in self._alone:
            self._alone.remove(feed)

    async def _connected(self, node: Node) -> MyceliumClient:
        """The client for a node's bridge, connected if it never was, or gave up."""
        self._check_open()
        client = self._clients.get(node.name)
        if client is not None and client.state != "closed":
            return client
        async with self._connecting.setdefault(node.name, asyncio.Lock()):
            if client is None:
                client = self._clients.get(node.name)
            if client is None:
                address = self._topology.address_from(self._node, node)
                client = MyceliumClient(address, schema_digest=self._digest, **self._options(node, address))
            if client.state == "closed":
                await client.connect()
                self._clients[node.name] = client
                if self._closed:
                    await client.close()
                    self._check_open()
            return client

    async def _own_bridge(self) -> MyceliumClient | None:
        """The client for the own node's bridge; None where there is no bridge."""
        try:
            return await self._connected(self._node)
        except TransportError as error:
            if not nobody_listens(error):
                raise
            self._tell_alone()
            return None

    async def _bridge(self, node: Node, service: str | None) -> MyceliumClient:
        try:
            return await self._connected(node)
        except TransportError as error:
            if node is self._node:
                raise self._no_way(service, error) from error
            raise


class AsyncPublisher(Generic[M]):
    """Sends messages of one class to a service, or to the own node; made by an `AsyncMessageBus`."""

    def __init__(self, bus: AsyncMessageBus, message_class: type[M], node: Node, service: str | None) -> None:
        self._bus = bus
        self._class = message_class
        self._node = node
        self._service = service

    @property
    def message_class(self) -> type[M]:
        """The class whose messages it sends."""
        return self._class

    async def publish(self, message: M) -> None:
        """Send one message. Cancelled, it is accepted whole or not at all by each receiver of this process.

        Raises:
            TypeError: a message of another class; nothing was sent.
            TransportTimeout: nobody took from a full queue of this process, or the bridge took nothing, for
                `publish_timeout` seconds. The text says what was not delivered.
            TransportError: the service has no bus in this process, and its node no bridge.
            ConnectionClosed: the bus, or its connection, is closed.
        """
        await self._publish((message,))

    async def publish_many(self, messages: Iterable[M]) -> None:
        """Send messages in order; raises as `publish`, a TypeError before any is sent."""
        check_several(messages, self._class)
        await self._publish(tuple(messages))

    async def flush(self) -> None:
        """Have what was accepted for the bridge handed to the operating system; raises as `publish`."""
        client = self._bus._clients.get(self._node.name)
        if client is not None:
            await client.flush()

    async def _publish(self, messages: tuple[M, ...]) -> None:
        bus = self._bus
        bus._check_open()
        check_messages(messages, self._class)
        if not messages:
            return
        own = self._node is bus._node
        ports = bus._member.ports_of(self._service) if own else None
        if ports is None:
            await (await bus._bridge(self._node, self._service)).publish_many(messages)
            return
        if self._service is None and (client := bus._clients.get(self._node.name)) is not None:
            await client.publish_many(messages)
        if ports:
            frames = messages[0].to_frame() if len(messages) == 1 else self._class.encode_batch(messages)
            await bus._member.deliver_async(ports, frames, len(messages), bus._publish_timeout)

    def __repr__(self) -> str:
        to = "its node" if self._service is None else f"{self._service!r}"
        return f"<AsyncPublisher of {self._class.__name__} from {self._bus._service!r} to {to}>"


async def _confirmed(feed: Feed) -> None:
    """There is nobody who would confirm."""
