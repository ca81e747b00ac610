"""`MyceliumClient`: publishing and receiving in asyncio, over a connection that is made again when it breaks.

This is what users call, and the settings. The connection's life is `connector.py`'s, what is on its way out
`outlet.py`'s, what comes in `feeds.py`'s; waiting for messages is in `async_subscriber.py`, calling handlers
in `subscription.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
import os
import queue
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from ..codec.pool import BufferPool
from ..errors import ConnectionClosed, TransportError
from ..session import DIGEST_SIZE, Event, HandshakeDone, Lagged, Negotiated, Rejected, Subscribed, Traced
from ..transport.addresses import Address, parse_address
from .arguments import SupportsFrame, check_seconds, is_message_class
from .async_subscriber import AsyncSubscriber, Feed, again
from .connector import ClientState, Connector, Dialling
from .feeds import Feeds
from .handlers import handler_classes, is_async
from .message_queue import MessageQueue, Overflow, RawMessage, report_bad_frames
from .outlet import Outlet
from .reconnect import Backoff
from .registry import check_schema, modules, only_digest
from .selection import message_queue, raw_queue
from .settings import Options, settings_of
from .stats import TransportStats
from .subscription import Subscription

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ..codec.frames import Run
    from ..codec.tracer import TraceContext, TracerHook
    from ..transport.aio import Link

__all__ = ["CLIENT_KEYWORDS", "ClientState", "MyceliumClient"]

_log: Final = logging.getLogger("mycelium_fast.bus")
#: Room of a plain function's queue, which is emptied as it is filled.
_NO_WAIT_CAPACITY: Final = 100_000
#: Beside the options, to suggest where one is misspelt.
CLIENT_KEYWORDS: Final = ("reconnect", "on_state", "tls", "server_hostname", "keepalive", "heartbeat")

M = TypeVar("M", bound=SupportsFrame)


class MyceliumClient:
    """A connection to a bridge, or another Mycelium node, in asyncio. Belongs to one event loop.

    Args:
        address: where to connect: `"localhost:7777"`, `"unix:/run/bus.sock"`, `"tls://host:port"`,
            `"[::1]:7777"`; `"stdio:"` is the connection that a bridge gives a worker as its standard input
            and output, which is never made again. May be given to `connect()` instead.
        schema_digest: `SCHEMA_DIGEST` of the generated module, 32 bytes; without it, that of the one
            generated module imported.
        reconnect: connect again when the connection breaks, and how often to try: True, False or a `Backoff`.
        on_state: called with each new `ClientState` and the error that led to it, or None.
        tls: for TLS, also with `"host:port"`; with `tls://` and None, `ssl.create_default_context()`.
        server_hostname: the name in the server's certificate, where it is not the host.
        keepalive: have the system find a TCP peer that is gone without a word.
        heartbeat: seconds of silence after which a negotiated peer is asked whether it is there; as long
            again without an answer, and the connection counts as lost. None asks never.
        options: as `Options` of `bus/settings.py` has them. A `pool` that waits when it is exhausted would
            stop the event loop, and is refused: let it grow, or raise.

    What was accepted is sent at most once: when a connection breaks, what had been handed to the event loop
    or to the operating system may be lost, and is never repeated; what had not goes out with the next
    connection.
    """

    def __init__(
        self,
        address: str | os.PathLike[str] | Address | None = None,
        *,
        schema_digest: bytes | None = None,
        reconnect: bool | Backoff = True,
        on_state: Callable[[ClientState, Exception | None], object] | None = None,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        keepalive: bool = True,
        heartbeat: float | None = 15.0,
        **options: Unpack[Options],
    ) -> None:
        if not isinstance(reconnect, (bool, Backoff)):
            raise TypeError(f"reconnect is True, False or a Backoff, not {reconnect!r}")
        if on_state is not None and (not callable(on_state) or inspect.iscoroutinefunction(on_state)):
            raise TypeError(f"on_state is a plain function of a state and an error, not {on_state!r}")
        if tls is not None and not isinstance(tls, ssl.SSLContext):
            raise TypeError(f"tls is an ssl.SSLContext, such as ssl.create_default_context(), not {tls!r}")
        if heartbeat is not None:
            check_seconds("heartbeat", heartbeat)
        self._address = None if address is None else parse_address(address)
        self._digest = schema_digest
        # Without a digest, all the other settings are checked now: it is looked for when connecting.
        digest = bytes(DIGEST_SIZE) if schema_digest is None else schema_digest
        self._settings = settings_of(type(self).__name__, digest, options, CLIENT_KEYWORDS)
        if self._settings.pool is not None and self._settings.pool.on_exhausted == "wait":
            raise ValueError(
                "a pool that waits when it is exhausted would stop the event loop: in a client for asyncio, "
                'on_exhausted is "grow" or "error"'
            )
        self._on_state = on_state
        self._tracer: TracerHook | None = None
        self._trace: TraceContext | None = None
        self._reported: set[int] = set()
        self._past: Counter[str] = Counter()
        self._pool = self._settings.pool or BufferPool()
        dialling = Dialling(
            backoff=Backoff() if reconnect is True else reconnect or None,
            tls=tls,
            server_hostname=server_hostname,
            keepalive=keepalive,
            heartbeat=heartbeat or None,
        )
        self._connector = Connector(self, self.__repr__, dialling, self._pool)
        self._outlet = Outlet(self._settings, self._pool, self.__repr__, self._whereabouts)
        self._gate = self._outlet.gate
        self._put = self._outlet.put
        self._feeds = Feeds(self._unclaimed)
        self.deliver = self._feeds.switch.deliver

    # Connecting ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        """Where it stands."""
        return self._connector.state

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as this side knows."""
        return self._connector.state is ClientState.CONNECTED

    @property
    def negotiated(self) -> bool:
        """Whether the peer answered `Hello`; a plain one sends everything on the bus."""
        link = self._connector.link
        return link is not None and link.connection.negotiated

    async def connect(self, address: str | os.PathLike[str] | Address | None = None) -> Self:
        """Connect, go through the handshake, and have what was subscribed to confirmed.

        Returns when the peer has answered `Hello`, has sent anything else, or has been silent for
        `handshake_grace` seconds. A failure is raised: connecting again begins once there was a connection.

        Args:
            address: as for the class; None for the one given there.

        Raises:
            SchemaMismatchError: the peer was generated from another contracts file; says both digests if
                known.
            TransportTimeout: no connection within `connect_timeout` seconds.
            PermissionDenied: the peer, or the system, refuses.
            TransportError: no connection, for another reason; also when there is one already.
            MyceliumError: no digest was given, and none or several generated modules are imported; lists
                them.
            ValueError, TypeError: not an address, or none; TLS for a Unix socket.
        """
        if self.state is not ClientState.CLOSED or self._connector.closing:
            raise TransportError(f"{self!r} is {self.state} already: close() it first")
        target = self._address if address is None else parse_address(address)
        if target is None:
            raise TypeError("no address: connect('localhost:7777'), or give one to MyceliumClient")
        if target.kind in ("unix", "stdio") and self._connector.has_tls:
            what = "a Unix socket" if target.kind == "unix" else "a connection that is made already"
            raise ValueError(f"tls= is for TCP, and {target} is {what}: leave it out")
        self._address = target
        settings = self._settings
        if settings.handshake and self._digest is None:
            settings = dataclasses.replace(settings, schema_digest=only_digest())
        for feed in self._feeds:  # made when the digest was not known yet
            for cls in feed.queue.classes or ():
                check_schema(cls, settings.digest, repr(self))
        self._outlet.start(settings.digest)
        for subscription in self._feeds.subscriptions.values():
            subscription.start()
        try:
            await self._connector.connect(target, settings)
        except BaseException:
            if not self.connected:
                self._outlet.end(TransportError(f"{self!r} is not connected: await connect() first"))
            raise
        return self

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Wait until there is a connection.

        Raises:
            TransportTimeout: there is none after `timeout` seconds.
            TransportError: the client was closed, or gave up.
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        await self._connector.wait_connected(timeout)

    async def close(self) -> None:
        """Have what was accepted arrive, and end the connection, within `close_timeout` seconds. Idempotent.

        Wakes everyone who waits on the client. A publish that still waits is refused with ConnectionClosed;
        what subscribers have queued can still be taken; handlers finish the message that they are at.
        Cancelling this call does not stop the closing.
        """
        caller = asyncio.current_task()

        async def finish(deadline: float) -> None:
            loop = asyncio.get_running_loop()
            for subscription in list(self._feeds.subscriptions.values()):
                await subscription.stop(max(0.0, deadline - loop.time()), caller)
            self._feeds.subscriptions.clear()

        error = ConnectionClosed(f"{self!r} was closed by this program")
        if not self._connector.closing:
            self._outlet.end(self._connector.over or error)
        await self._connector.close(finish, error)

    async def __aenter__(self) -> Self:
        return self if self.connected else await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"MyceliumClient({'' if self._address is None else repr(str(self._address))})"

    # Publishing ---------------------------------------------------------------------------------------------

    async def publish(self, message: Any) -> None:
        """Send one message; when it leaves is the profile's affair.

        Waits while the peer does not keep up, or while there is no connection and one is being made.
        Cancelling it then accepts nothing; otherwise the message is accepted whole.

        Raises:
            TypeError: not a message of a generated class.
            SchemaMismatchError: its class was generated from another contracts file than the connection's.
            EncodeError: its payload is over `max_payload_size`.
            TransportTimeout: the peer took nothing, or there was no connection, for `publish_timeout`
                seconds; nothing was accepted.
            PermissionDenied: the peer has refused this type before.
            PoolExhausted: no block is left to put it in; nothing was accepted.
            ConnectionClosed: the client is closed.
            TransportError: it was never connected, or gave up: why.
        """
        outlet = self._outlet
        if type(message) not in outlet.known:
            outlet.check(message)
        if not self._gate.open:
            await outlet.enter()
        if self._tracer is None:
            self._put(message)
        else:
            outlet.put_traced([message], self._tracer)

    def publish_nowait(self, message: Any) -> None:
        """`publish` for who cannot wait, such as a handler that is a plain function.

        Other tasks have no turn meanwhile, however much is published.

        Raises:
            queue.Full: the peer does not keep up, or there is no connection; nothing was accepted.
            MyceliumError: as `publish`.
        """
        outlet = self._outlet
        if type(message) not in outlet.known:
            outlet.check(message)
        if not self._gate.open:
            if self._gate.failure is not None:
                raise again(self._gate.failure)
            if outlet.blocked:
                raise queue.Full(
                    f"publishing on {self!r} would have to wait, for the peer or a connection: await "
                    "publish(), or try again later"
                )
        if self._tracer is None:
            self._put(message)
        else:
            outlet.put_traced([message], self._tracer)

    async def publish_many(self, messages: Iterable[Any]) -> None:
        """Send messages in order, with as few system calls as the peer's pace allows.

        They may be of several classes. All of them are accepted, or none; raises as `publish`.
        """
        outlet = self._outlet
        if not isinstance(messages, (list, tuple)):
            if is_message_class(type(messages)):
                given = type(messages).__name__
                raise TypeError(f"publish_many() takes a list of messages, not one {given} alone")
            messages = list(messages)
        for message in {type(each): each for each in messages}.values():
            if type(message) not in outlet.known:
                outlet.check(message)
        if not messages:
            return
        if not self._gate.open:
            await outlet.enter()
        if self._tracer is None:
            outlet.put_many(messages)
        else:
            outlet.put_traced(messages, self._tracer)

    async def flush(self) -> None:
        """Have everything accepted so far handed to the operating system.

        Raises:
            TransportTimeout: the peer took nothing, or there was no connection, for `publish_timeout`
                seconds.
            ConnectionClosed: the client is closed, or the connection broke meanwhile.
        """
        await self._outlet.flush()

    # Receiving ----------------------------------------------------------------------------------------------

    @overload
    def subscribe(self, wanted: Callable[[Any], Any], /) -> Subscription: ...
    @overload
    def subscribe(
        self,
        wanted: Any,
        handler: Callable[[Any], Any] | None = ...,
        /,
        *,
        capacity: int = ...,
        overflow: Overflow = ...,
        validate: bool = ...,
    ) -> Subscription: ...
    def subscribe(
        self,
        wanted: Any,
        handler: Callable[[Any], Any] | None = None,
        /,
        *,
        capacity: int = 10_000,
        overflow: Overflow = "block",
        validate: bool = True,
    ) -> Subscription:
        """Have a handler called with every message: `await client.subscribe(on_tick)`.

        A plain function is called as soon as messages are received; an `async def` runs in one task, one
        message at a time, in order. What a handler raises is logged and counted.

        Awaiting the subscription waits until the peer has confirmed it, where it does so; with no connection
        it is asked for with the next one. Cancelling that wait ends the subscription. Without `await`, as
        with `@client.subscribe`, it is asked for all the same.

        Args:
            wanted: as for `subscriber()`; or the handler alone, whose annotation says which classes it is
                for: `async def on_tick(tick: TradeTick)`, also a union.
            capacity, overflow: of an `async def` handler's queue, as for `subscriber()`.
            validate: whether messages against a rule of the contract count as undecodable.

        Raises:
            TypeError: no annotation, or one that names no message classes; says what to write.
            SchemaMismatchError: a class was generated from another contracts file than the connection's.
            PermissionDenied: (from `await`) the peer refuses it.
            TransportError: the client was closed.
        """
        if handler is None:
            # The caller's names, for annotations that are text: the handler is defined there, most likely.
            handler, wanted = wanted, handler_classes(wanted, sys._getframe(1).f_locals)
        elif not callable(handler):
            raise TypeError(f"expected a handler after the message classes, not {handler!r}")
        if not is_async(handler):  # its queue is emptied as it is filled
            capacity, overflow = _NO_WAIT_CAPACITY, "block"
        feed = self._add(self._queue_of(wanted, capacity, overflow, validate))
        subscription = Subscription(handler, feed, self._confirmed, self._settings.close_timeout)
        self._feeds.subscriptions[feed] = subscription
        if self.state is not ClientState.CLOSED:
            subscription.start()
        return subscription

    @overload
    def subscriber(
        self, wanted: type[M], capacity: int = ..., overflow: Overflow = ..., *, validate: bool = ...
    ) -> AsyncSubscriber[M]: ...
    @overload
    def subscriber(
        self, wanted: Any, capacity: int = ..., overflow: Overflow = ..., *, validate: bool = ...
    ) -> AsyncSubscriber[Any]: ...
    def subscriber(
        self, wanted: Any, capacity: int = 10_000, overflow: Overflow = "block", *, validate: bool = True
    ) -> AsyncSubscriber[Any]:
        """An async iterator of messages: `async for tick in client.subscriber(TradeTick)`.

        It is asked for at once, or with the next connection. `await subscriber.subscribed()`, or entering it
        with `async with`, waits until the peer has confirmed it.

        Args:
            wanted: a message class; several, as a union or a tuple (`TOPICS["market-data"]` is one); or a
                topic's name.
            capacity: messages that wait at most to be received.
            overflow: when more arrive: `"block"` reads no further until there is room (which holds up the
                other subscribers of the client), `"drop_oldest"` and `"drop_newest"` drop and count,
                `"latest"` keeps the newest message alone, `"error"` gives what is queued and then
                SubscriberOverflow.
            validate: whether messages against a rule of the contract count as undecodable.

        Raises:
            TypeError, ValueError: not message classes, or another argument that is wrong.
            SchemaMismatchError: a class was generated from another contracts file than the connection's.
            LookupError: no such topic.
            TransportError: the client was closed.
        """
        feed = self._add(self._queue_of(wanted, capacity, overflow, validate))
        return AsyncSubscriber(feed, self._confirmed)

    def raw_subscriber(
        self, *type_ids: int, capacity: int = 10_000, overflow: Overflow = "block"
    ) -> AsyncSubscriber[RawMessage]:
        """A subscriber that gives frames as they are, as `RawMessage(type_id, payload)`; for tools.

        Args:
            type_ids: the types wanted, known or not; none for every type there is.
        """
        feed = self._add(raw_queue(type_ids, capacity=capacity, overflow=overflow))
        return AsyncSubscriber(feed, self._confirmed)

    def _queue_of(self, wanted: Any, capacity: int, overflow: Overflow, validate: bool) -> MessageQueue:
        return message_queue(
            wanted,
            self._digest if self._outlet.digest is None else self._outlet.digest,
            repr(self),
            capacity=capacity,
            overflow=overflow,
            validate=validate,
            on_bad_frame=self._settings.on_bad_frame,
        )

    def _add(self, queue: MessageQueue) -> Feed:
        over = self._connector.over
        if over is not None or self._connector.closing:
            raise ConnectionClosed(
                f"{over or 'the client is being closed'}; connect() again before subscribing"
            )
        return self._feeds.add(queue, self._tracer)

    async def _confirmed(self, feed: Feed) -> None:
        await self._feeds.confirmed(feed, self._settings.connect_timeout)

    def _unclaimed(self, run: Run) -> None:
        """Nobody subscribed to it; a bad frame it is only where the contracts do not have it."""
        if self._settings.on_bad_frame is None:
            return
        digest = self._outlet.digest
        known = [module for module in modules() if digest is None or digest == module.SCHEMA_DIGEST]
        if known and not any(run.type_id in module.MESSAGES for module in known):
            report_bad_frames(self._settings.on_bad_frame, run.type_id, run.count, None)

    # What the connector tells -------------------------------------------------------------------------------

    def deliver_traced(self, runs: list[Run]) -> None:
        """Frames came, the first of them perhaps with a trace context."""
        trace, self._trace = self._trace, None
        self._feeds.switch.deliver(runs, trace if self._tracer is not None else None)

    def link_event(self, link: Link, event: Event) -> None:
        """Something else came."""
        if isinstance(event, Subscribed):
            self._feeds.subscribed(event.request)
        elif isinstance(event, Rejected):
            # (A fatal one is the end of the link, which comes next, with the error.)
            if not event.fatal and not self._feeds.rejected(event):
                _log.warning("%s refuses messages of type %d: %s", link.peer, event.type_id, event.error)
                self._outlet.refuse(event.type_id, event.error)
        elif isinstance(event, Lagged):
            self._feeds.lagged(event)
        elif isinstance(event, Traced):
            self._trace = (event.trace_id, event.span_id, event.flags)
        elif isinstance(event, Negotiated) or (isinstance(event, HandshakeDone) and self.connected):
            self._feeds.attach(link)  # it was taken for a plain one before

    def link_made(self, link: Link) -> None:
        """A connection is being made."""
        self._feeds.prepare(link)

    def link_writable(self) -> None:
        """The peer keeps up again, or does not."""
        self._outlet.update()

    def link_opened(self, link: Link) -> asyncio.Future[None] | None:
        """The handshake is done."""
        return self._feeds.attach(link)

    def link_up(self, link: Link) -> None:
        """The connection is made."""
        self._outlet.attach(link)

    def link_down(self, link: Link) -> None:
        """It is not there any more."""
        if link.ended is None:  # this side ends it
            self._outlet.send("close")
        self._outlet.detach()
        self._feeds.detach()
        self._trace = None
        self._past += _counted(link)

    def state_changed(self, state: ClientState, error: Exception | None) -> None:
        """Tell whoever wants to know."""
        if self._on_state is not None:
            try:
                self._on_state(state, error)
            except Exception:
                _log.exception("on_state failed")

    def ended(self, error: TransportError) -> None:
        """There will be no connection any more."""
        self._outlet.end(error)
        self._feeds.end(error)

    def _whereabouts(self) -> str:
        return f"no connection to {self._address}"

    # What there is to look at -------------------------------------------------------------------------------

    @property
    def tracer(self) -> TracerHook | None:
        """What opens spans; None for nobody. Set by `observe.tracing.instrument`."""
        return self._tracer

    @tracer.setter
    def tracer(self, tracer: TracerHook | None) -> None:
        self._tracer = tracer
        self._feeds.set_tracer(tracer)

    @property
    def skipped_frames(self) -> int:
        """Frames received that nobody had subscribed to."""
        return self._feeds.switch.skipped_frames

    def stats(self) -> TransportStats:
        """Counters of the client and its subscribers now; they go on over reconnects."""
        connector, outlet, writer = self._connector, self._outlet, self._outlet.writer
        link = connector.link
        received = self._past + (Counter() if link is None else _counted(link))
        states = {ClientState.CONNECTED: "connected", ClientState.CLOSED: "closed"}
        return TransportStats(
            service=self._settings.service,
            node=self._settings.node,
            peer="" if self._address is None else str(self._address),
            state=states.get(connector.state, "connecting"),
            negotiated=self.negotiated,
            frames_sent=writer.frames - writer.pending_messages + outlet.unpooled_frames,
            bytes_sent=writer.bytes - writer.pending + outlet.unpooled_bytes,
            batches_sent=writer.batches,
            flushes=writer.flushes,
            pending_bytes=writer.pending + (0 if link is None else link.written - link.taken),
            frames_received=received["frames"],
            bytes_received=received["bytes"],
            reads=received["reads"],
            skipped_frames=self.skipped_frames,
            lagged_frames=self._feeds.lagged_frames,
            reconnects=max(0, connector.connections - 1),
            pool=self._pool.stats(),
            subscribers=tuple(feed.stats() for feed in self._feeds),
        )


def _counted(link: Link) -> Counter[str]:
    scanner = link.connection.scanner
    return Counter(frames=scanner.frames, bytes=scanner.bytes, reads=scanner.reads)
