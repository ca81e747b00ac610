"""The blocking transports: a connection over a Unix socket, TCP or TLS, with publishers and subscribers on
it.

They hold the settings and the connection's life; the work is done in `transport/` and by what they make.
"""

from __future__ import annotations

import inspect
import logging
import os
import socket
import threading
import weakref
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from ..codec.pool import BufferPool
from ..errors import TransportError
from ..transport.addresses import Address
from ..transport.dial import dial_stdio, dial_tcp, dial_unix
from ..transport.stream import Stream
from .arguments import SupportsFrame, check_message_class
from .callbacks import CallbackSubscription
from .handlers import handler_classes
from .message_queue import MessageQueue, Overflow, RawMessage, report_bad_frames
from .publisher import Publisher
from .registry import check_schema, modules
from .selection import message_queue, raw_queue
from .settings import PLAIN_PEER, Options, Settings, settings_of
from .stats import TransportStats
from .subscriber import Subscriber

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ..codec.tracer import TracerHook

__all__ = ["SocketTransport", "TcpTransport", "UnixTransport"]

_log: Final = logging.getLogger("mycelium_fast.bus")
M = TypeVar("M", bound=SupportsFrame)


class _BlockingTransport(ABC):
    """What all have in common. Any number of threads may share a transport."""

    #: Keywords beside the options, to suggest where one is misspelt.
    _OWN: tuple[str, ...] = ()

    def __init__(self, schema_digest: bytes | None, options: Options) -> None:
        self._settings = settings_of(type(self).__name__, schema_digest, options, self._OWN)
        self._pool: BufferPool | None = None
        self._stream: Stream | None = None
        self._tracer: TracerHook | None = None
        self._subscribers: list[weakref.ref[Subscriber[Any]]] = []  # nobody keeps those who forget theirs
        self._lock = threading.Lock()
        self._connections = 0
        self._told = False
        self._past: Counter[str] = Counter()
        self._past_flushes: Counter[str] = Counter()

    @property
    @abstractmethod
    def address(self) -> str:
        """The peer, such as `unix:/run/bus.sock`."""

    @abstractmethod
    def _dial(self) -> socket.socket:
        """A connected socket."""

    def connect(self) -> Self:
        """Connect and go through the handshake.

        Returns when the peer has answered `Hello`, has sent anything else, or has been silent for
        `handshake_grace` seconds: a peer that knows no `Hello` says nothing to a digest that it accepts.

        Raises:
            SchemaMismatchError: the peer refuses our digest.
            PermissionDenied: it refuses us for another reason.
            TransportTimeout: no answer within `connect_timeout` seconds.
            TransportError: no connection, for another reason; also when there is one already.
        """
        if self.connected:
            raise TransportError(f"{self!r} is connected already")
        _BlockingTransport.close(self)
        self._remember()
        settings = self._settings
        if self._pool is None:
            self._pool = settings.pool or BufferPool()
        stream = Stream(
            self._dial(),
            settings.connection(self._pool),
            settings.writer(self._pool),
            name=self.address,
            owner=repr(self),
            publish_timeout=settings.publish_timeout,
            on_unknown=None if settings.on_bad_frame is None else _reporter(settings),
        )
        stream.tracer = self._tracer
        try:
            stream.start(settings.handshake_grace)
        except BaseException:
            stream.close(0.0)
            raise
        self._stream = stream
        self._told = False
        self._connections += 1
        if settings.handshake and not self.negotiated:
            _log.info(PLAIN_PEER, self.address, settings.handshake_grace)
        return self

    def close(self) -> None:
        """Send what was accepted and end the connection, within `close_timeout` seconds. Idempotent.

        Wakes every thread that waits on the transport. Messages that subscribers have queued can still be
        taken.
        """
        stream = self._stream
        if stream is not None:
            stream.close(self._settings.close_timeout)
            if stream.writer.pending and not self._told:
                self._told = True
                _log.warning(
                    "%r was closed with %d bytes of accepted messages not sent: %s",
                    self,
                    stream.writer.pending,
                    stream.ended,
                )

    def flush(self) -> None:
        """Hand the operating system all that this transport's publishers accepted.

        Raises:
            TransportTimeout: the peer took nothing for `publish_timeout` seconds.
            ConnectionClosed: the connection is over.
            TransportError: not connected.
        """
        self._connected().flush()

    def publisher(self, message_class: type[M]) -> Publisher[M]:
        """A publisher of one message class.

        Raises:
            TypeError: not a generated message class.
            SchemaMismatchError: the class was generated from another contracts file than the digest is of.
            EncodeError: its payload is over `max_payload_size`.
            TransportError: not connected, or no more.
        """
        check_schema(check_message_class(message_class), self._settings.digest, repr(self))
        stream = self._connected()
        stream.raise_if_ended()
        return Publisher(stream, message_class, max_payload_size=self._settings.max_payload_size)

    @overload
    def subscriber(
        self, wanted: type[M], capacity: int = ..., overflow: Overflow = ..., *, validate: bool = ...
    ) -> Subscriber[M]: ...
    @overload
    def subscriber(
        self, wanted: Any, capacity: int = ..., overflow: Overflow = ..., *, validate: bool = ...
    ) -> Subscriber[Any]: ...
    def subscriber(
        self, wanted: Any, capacity: int = 10_000, overflow: Overflow = "block", *, validate: bool = True
    ) -> Subscriber[Any]:
        """A subscriber; every subscriber gets every message of its classes. Returns when a peer that knows
        subscriptions has confirmed this one.

        Args:
            wanted: a message class; several, as a union or a tuple (`TOPICS["market-data"]` is one); or a
                topic's name.
            capacity: messages that wait at most to be received.
            overflow: when more arrive: `"block"` reads no further until there is room, `"drop_oldest"` and
                `"drop_newest"` drop and count, `"latest"` keeps the newest message alone (capacity 1),
                `"error"` ends the subscription with `SubscriberOverflow`.
            validate: whether messages against a rule of the contract count as undecodable.

        Raises:
            TypeError: not a generated message class.
            SchemaMismatchError: a class was generated from another contracts file than the digest is of.
            LookupError: no such topic.
            PermissionDenied: the peer refuses a type.
            TransportTimeout: the peer did not confirm within `connect_timeout` seconds.
            TransportError: not connected.
        """
        return self._subscribed(self._queue_of(wanted, capacity, overflow, validate))

    def raw_subscriber(
        self, *type_ids: int, capacity: int = 10_000, overflow: Overflow = "block"
    ) -> Subscriber[RawMessage]:
        """A subscriber that gives frames as they are, as `RawMessage(type_id, payload)`; for tools.

        Args:
            type_ids: the types wanted, known or not; none for every type there is.
        """
        return self._subscribed(raw_queue(type_ids, capacity=capacity, overflow=overflow))

    @overload
    def subscribe(self, wanted: Callable[[Any], Any], /) -> CallbackSubscription[Any]: ...
    @overload
    def subscribe(
        self,
        wanted: Any,
        callback: Callable[[Any], Any],
        /,
        *,
        capacity: int = ...,
        overflow: Overflow = ...,
        validate: bool = ...,
    ) -> CallbackSubscription[Any]: ...
    def subscribe(
        self,
        wanted: Any,
        callback: Callable[[Any], Any] | None = None,
        /,
        *,
        capacity: int = 10_000,
        overflow: Overflow = "block",
        validate: bool = True,
    ) -> CallbackSubscription[Any]:
        """Have a function called with every message, on a thread of its own.

        Args:
            wanted: as for `subscriber()`; or the function alone, whose annotation says which classes it is
                for: `def on_tick(tick: TradeTick)`.

        Raises:
            TypeError: the annotation names no message class, or it is no plain function; also as
                `subscriber()`.
        """
        if callback is None:
            wanted, callback = handler_classes(wanted), wanted
        if not callable(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"a callback is a plain function of one message, not {callback!r}; coroutines "
                "are for MyceliumClient"
            )
        queue = self._queue_of(wanted, capacity, overflow, validate)
        return CallbackSubscription(self._subscribed(queue), queue, self._connected(), callback)

    @property
    def connected(self) -> bool:
        """Whether there is a connection that has not ended, as far as this side knows."""
        return self._stream is not None and self._stream.ended is None

    @property
    def negotiated(self) -> bool:
        """Whether the peer answered `Hello`; a plain one sends everything on the bus."""
        return self._stream is not None and self._stream.connection.negotiated

    @property
    def skipped_frames(self) -> int:
        """Frames received that nobody had subscribed to."""
        return self._past["skipped"] + (0 if self._stream is None else self._stream.skipped_frames)

    @property
    def tracer(self) -> TracerHook | None:
        """What opens spans for publishing and receiving; None for nobody. Set by
        `observe.tracing.instrument`.
        """
        return self._tracer

    @tracer.setter
    def tracer(self, tracer: TracerHook | None) -> None:
        self._tracer = tracer
        if self._stream is not None:
            self._stream.tracer = tracer

    def stats(self) -> TransportStats:
        """Counters of this transport and its subscribers now; they go on over connections."""
        stream, past = self._stream, self._past
        current = _counted(stream)
        flushes = Counter(self._past_flushes)
        flushes.update({} if stream is None else stream.writer.flushes)
        return TransportStats(
            service=self._settings.service,
            node=self._settings.node,
            peer=self.address,
            state="connected" if self.connected else "closed",
            negotiated=self.negotiated,
            frames_sent=past["frames_sent"] + current["frames_sent"],
            bytes_sent=past["bytes_sent"] + current["bytes_sent"],
            batches_sent=past["batches_sent"] + current["batches_sent"],
            flushes=dict(flushes),
            pending_bytes=0 if stream is None else stream.writer.pending,
            frames_received=past["frames_received"] + current["frames_received"],
            bytes_received=past["bytes_received"] + current["bytes_received"],
            reads=past["reads"] + current["reads"],
            skipped_frames=past["skipped"] + current["skipped"],
            lagged_frames=past["lagged"] + current["lagged"],
            reconnects=max(0, self._connections - 1),
            pool=None if self._pool is None else self._pool.stats(),
            subscribers=tuple(each.stats() for each in self._open_subscribers()),
        )

    def __enter__(self) -> Self:
        return self if self.connected else self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _queue_of(self, wanted: Any, capacity: int, overflow: Overflow, validate: bool) -> MessageQueue:
        return message_queue(
            wanted,
            self._settings.digest,
            repr(self),
            capacity=capacity,
            overflow=overflow,
            validate=validate,
            on_bad_frame=self._settings.on_bad_frame,
        )

    def _subscribed(self, queue: MessageQueue) -> Subscriber[Any]:
        stream = self._connected()
        subscriber: Subscriber[Any] = Subscriber(stream, queue)
        try:
            stream.add_sink(queue, self._settings.connect_timeout)
        except BaseException:
            queue.close()  # the subscriber has nothing to take back when it is deleted
            raise
        self._open_subscribers(subscriber)
        return subscriber

    def _open_subscribers(self, *more: Subscriber[Any]) -> list[Subscriber[Any]]:
        """Those that the connection still feeds (others say nothing new), with these."""
        with self._lock:
            known = [*[each() for each in self._subscribers], *more]
            used = [each for each in known if each is not None and not each.closed]
            self._subscribers = [weakref.ref(each) for each in used]
            return used

    def _connected(self) -> Stream:
        if self._stream is None:
            raise TransportError(f"{self!r} is not connected: call connect(), or use it in a with statement")
        return self._stream

    def _remember(self) -> None:
        """Add the counters of the connection that was to those before."""
        if self._stream is not None:
            self._past += _counted(self._stream)
            self._past_flushes.update(self._stream.writer.flushes)
            self._subscribers = []
            self._stream = None


def _reporter(settings: Settings) -> Callable[[int, int], None]:
    """What to call for frames that nobody subscribed to: bad they are only where the contracts do not have
    them.
    """

    def report(type_id: int, count: int) -> None:
        digest = settings.digest
        known = [module for module in modules() if digest is None or digest == module.SCHEMA_DIGEST]
        if known and not any(type_id in module.MESSAGES for module in known):
            report_bad_frames(settings.on_bad_frame, type_id, count, None)

    return report


def _counted(stream: Stream | None) -> Counter[str]:
    if stream is None:
        return Counter()
    writer, scanner = stream.writer, stream.scanner
    return Counter(
        frames_sent=writer.frames - writer.pending_messages,
        bytes_sent=writer.bytes - writer.pending,
        batches_sent=writer.batches,
        frames_received=scanner.frames,
        bytes_received=scanner.bytes,
        reads=scanner.reads,
        skipped=stream.skipped_frames,
        lagged=stream.lagged_frames,
    )


class UnixTransport(_BlockingTransport):
    """A connection to a bridge, or another Mycelium node, over a Unix socket. Close it, or use `with`.

    Args:
        path: of the socket.
        schema_digest: `SCHEMA_DIGEST` of the generated module, 32 bytes; None only without a handshake.
        options: as `Options` of `bus/settings.py` has them.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema_digest: bytes | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(schema_digest, options)
        # (The form of an address, as clients take it, is no name that anybody gives a file.)
        self._path = os.fspath(path).removeprefix("unix:")

    @property
    def address(self) -> str:
        """The peer, such as `unix:/run/bus.sock`."""
        return f"unix:{self._path}"

    def _dial(self) -> socket.socket:
        return dial_unix(self._path, self._settings.connect_timeout)

    def __repr__(self) -> str:
        return f"UnixTransport({self._path!r})"


class TcpTransport(_BlockingTransport):
    """A connection to a bridge, or another Mycelium node, over TCP (with TCP_NODELAY) or TLS.

    Args:
        host: a name, an IPv4 or an IPv6 address.
        port: from 1 to 65535.
        schema_digest: as for `UnixTransport`.
        tls: connect with TLS, as this context says; one with a certificate chain for mutual TLS.
        server_hostname: the name that the server's certificate has to have; None for `host`.
        keepalive: have the system find a peer that is gone without a word, within about a minute.
        options: as `Options` of `bus/settings.py` has them.
    """

    _OWN = ("tls", "server_hostname", "keepalive")

    def __init__(
        self,
        host: str,
        port: int,
        schema_digest: bytes | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        keepalive: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(schema_digest, options)
        if isinstance(port, bool) or not isinstance(port, int):
            raise TypeError(f"port is a number, not {port!r}")
        if not 1 <= port <= 65_535:
            raise ValueError(f"port is a number from 1 to 65535, not {port}")
        if tls is not None:
            import ssl  # not at the top: few connections use TLS

            if not isinstance(tls, ssl.SSLContext):
                raise TypeError(
                    f"tls is an ssl.SSLContext, such as ssl.create_default_context(), not {tls!r}"
                )
        self._host = host
        self._port = port
        self._tls = tls
        self._server_hostname = server_hostname
        self._keepalive = keepalive

    @property
    def address(self) -> str:
        """The peer, such as `tcp://host:9091` or `tls://[::1]:9091`."""
        return str(Address("tcp" if self._tls is None else "tls", host=self._host, port=self._port))

    def _dial(self) -> socket.socket:
        return dial_tcp(
            self._host,
            self._port,
            self._settings.connect_timeout,
            tls=self._tls,
            server_hostname=self._server_hostname,
            keepalive=self._keepalive,
        )

    def __repr__(self) -> str:
        return f"TcpTransport({self._host!r}, {self._port})"


class SocketTransport(_BlockingTransport):
    """A connection over a stream socket that is connected already: one of a `socketpair()`, or accepted.

    Args:
        sock: connected; the transport closes it. It is good for one `connect()`.
        schema_digest: as for `UnixTransport`. Both ends of a pair in this package are clients: use
            `handshake=False` on both.
        options: as `Options` of `bus/settings.py` has them.
    """

    def __init__(
        self, sock: socket.socket, schema_digest: bytes | None = None, **options: Unpack[Options]
    ) -> None:
        super().__init__(schema_digest, options)
        self._sock: socket.socket | None = sock
        self._address = "socket"

    @classmethod
    def stdio(cls, schema_digest: bytes | None = None, **options: Unpack[Options]) -> Self:
        """The connection that a bridge gives a worker with `transport = "stdio"`: its standard input.

        From then on standard input is empty, and standard output is standard error.

        Raises:
            TransportError: standard input is no connection, or was used as one before.
        """
        sock = dial_stdio()
        try:
            transport = cls(sock, schema_digest, **options)
        except BaseException:
            sock.close()
            raise
        transport._address = "stdio:"
        return transport

    @property
    def address(self) -> str:
        """What there is to say of the peer."""
        return self._address

    def _dial(self) -> socket.socket:
        if self._sock is None:
            raise TransportError("the socket of this transport was used: make another transport")
        sock, self._sock = self._sock, None
        return sock

    def close(self) -> None:
        """End the connection as `UnixTransport.close` does; without one, close the socket."""
        super().close()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def __repr__(self) -> str:
        return f"SocketTransport({'...' if self._address == 'socket' else self._address})"
