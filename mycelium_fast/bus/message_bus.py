"""`MessageBus`: publishing to services by name, over whatever the topology file says.

It decides which way a message takes, and makes the connections that are needed. The rules themselves are in
`topology.py`, the ways in `transports.py` and `transport/local.pyx`; the twin for asyncio is `async_bus.py`.

    service of another node     its bridge: Unix socket, TCP or TLS, one connection for all publishers
    service of the same node    its bus, where that lives in this process; else the node's bridge
    the own node as a whole     the node's bridge, and the subscribers of this process that it does not serve
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from ..errors import ConnectionClosed, SchemaMismatchError, TransportError
from ..transport.local import Port, join, members
from .arguments import check_message_class
from .publisher import Publisher
from .registry import check_schema, only_digest
from .selection import message_queue
from .settings import settings_of
from .stats import TransportStats
from .topology import Topology
from .transports import SocketTransport, TcpTransport, UnixTransport

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ..transport.addresses import Address
    from .arguments import SupportsFrame
    from .message_queue import Overflow
    from .stats import SubscriberStats
    from .subscriber import Subscriber
    from .topology import Node

__all__ = ["BusBase", "LocalPublisher", "MessageBus", "check_messages", "check_several", "nobody_listens"]

_log: Final = logging.getLogger("mycelium_fast.bus")
#: Settings that only TCP has.
_TCP_ONLY: Final = ("tls", "server_hostname", "keepalive")

M = TypeVar("M", bound="SupportsFrame")


def nobody_listens(error: TransportError) -> bool:
    """Whether a failure to connect only means that there is no bridge, as where one is not started yet."""
    return error.errno in (errno.ENOENT, errno.ECONNREFUSED)


class BusBase:
    """What blocking and asyncio buses share: the topology, and being found within the process."""

    #: Keywords that connections take beside the options.
    _KEYWORDS: tuple[str, ...] = _TCP_ONLY

    def __init__(
        self,
        topology: Topology,
        service_name: str,
        schema_digest: bytes | None = None,
        **settings: Any,
    ) -> None:
        topology.validate()
        if schema_digest is None:
            schema_digest = only_digest()
        options: Any = {name: settings[name] for name in settings if name not in self._KEYWORDS}
        checked = settings_of(type(self).__name__, schema_digest, options, self._KEYWORDS)
        self._topology = topology
        self._service = service_name
        self._node = topology.node_of(service_name)
        self._address = topology.local_address(self._node)
        self._digest = bytes(schema_digest)
        self._settings = {"service": service_name, "node": self._node.name, **settings}
        self._publish_timeout = checked.publish_timeout
        self._closed = False
        self._place = f"{self._node.name} at {self._address}"
        for other in members(self._place):
            if other.digest != self._digest:
                raise SchemaMismatchError(
                    f"the bus of {service_name!r} has the schema digest {self._digest.hex()}, that of "
                    f"{other.service!r}, in the same node and process, {other.digest.hex()}: services of one "
                    "node have one contracts file. Regenerate both from it"
                )
        self._member = join(self._place, service_name, self._digest)
        # A bus that nobody refers to any more must not be delivered to.
        self._leave = weakref.finalize(self, self._member.leave)

    @classmethod
    def from_topology(
        cls,
        topology_path: str | os.PathLike[str],
        service_name: str,
        schema_digest: bytes | None = None,
        **settings: Any,
    ) -> Self:
        """A bus for one service of a topology file; the arguments are those of the class.

        Raises:
            TopologyError: the file cannot be used, or has no such service.
        """
        return cls(Topology.load(topology_path), service_name, schema_digest, **settings)

    @property
    def topology(self) -> Topology:
        """The topology that it was made from."""
        return self._topology

    @property
    def service_name(self) -> str:
        """The service whose bus it is."""
        return self._service

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._service!r} in node {self._node.name!r})"

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionClosed(f"{self!r} is closed; make another")

    def _check_class(self, message_class: Any) -> None:
        self._check_open()
        check_schema(check_message_class(message_class), self._digest, repr(self))

    def _options(self, node: Node, address: Address) -> dict[str, Any]:
        """Settings for a connection to a node's bridge."""
        options = dict(self._settings)
        if address.kind == "unix":
            options = {key: value for key, value in options.items() if key not in _TCP_ONLY}
        if not node.handshake:
            options["handshake"] = False
        return options

    def _tell_alone(self) -> None:
        """Nobody listens where the bridge would: a mistake, unless all services are in this process."""
        level = logging.INFO if len(members(self._place)) > 1 else logging.WARNING
        text = "%r delivers within this process alone: no bridge listens at %s"
        _log.log(level, text, self, self._address)

    def _no_way(self, service: str | None, error: TransportError) -> TransportError:
        """What to raise where no bus of this process and no bridge leads to a service of the own node."""
        if not nobody_listens(error):
            return error
        made = TransportError(f"the service {service!r} has no bus in this process, and {error}")
        made.errno = error.errno
        return made

    def _local_stats(self, subscribers: tuple[SubscriberStats, ...]) -> TransportStats:
        """Counters of what went to queues of this process; `subscribers` are those that no bridge serves."""
        return TransportStats(
            service=self._service,
            node=self._node.name,
            peer="in-process",
            state="closed" if self._closed else "connected",
            negotiated=False,
            frames_sent=self._member.frames_sent,
            bytes_sent=self._member.bytes_sent,
            batches_sent=self._member.batches_sent,
            flushes={},
            pending_bytes=0,
            frames_received=sum(each.received + each.decode_errors for each in subscribers),
            bytes_received=0,
            reads=0,
            skipped_frames=0,
            lagged_frames=0,
            reconnects=0,
            pool=None,
            subscribers=subscribers,
        )


class MessageBus(BusBase):
    """One service's publishers and subscribers, by the names of services. Close it, or use `with`.

    It never listens: the sockets of the topology belong to bridges. Connections are made when they are first
    needed, one for each node, and again when a publisher or subscriber is made after one has ended.

    Args:
        topology: as `Topology.load()` gives it.
        service_name: the service that this program is.
        schema_digest: `SCHEMA_DIGEST` of the generated module; without it, that of the one generated module
            imported.
        settings: as for `UnixTransport` and `TcpTransport`, for every connection: `profile`,
            `publish_timeout` (in-process as well), `tls` (TCP alone), ...

    Raises:
        TopologyError: the topology cannot be used, or has no such service; lists those there are.
        SchemaMismatchError: a bus of this node with another digest lives in this process.
        TypeError, ValueError: another argument is wrong.
    """

    def __init__(
        self,
        topology: Topology,
        service_name: str,
        schema_digest: bytes | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(topology, service_name, schema_digest, **settings)
        self._lock = threading.Lock()
        self._peers: dict[str, _Peer] = {}
        self._own = self._peer(self._node)  # names a setting that is wrong
        self._alone: _InProcess | None = None

    def publisher_to(self, service: str, message_class: type[M]) -> Publisher[M] | LocalPublisher[M]:
        """A publisher of one message class to the node of a service.

        Within the own node, each message goes straight to the service's bus if that is in this process at
        that moment, else through the node's bridge.

        Raises:
            TopologyError: no node has the service; lists those there are.
            TypeError: not a generated message class.
            SchemaMismatchError: the class, or the peer, is of another contracts file.
            TransportError: it cannot be reached.
        """
        self._check_class(message_class)
        target = self._topology.node_of(service)
        if target is not self._node:
            return self._peer(target).connected().publisher(message_class)
        publisher = LocalPublisher(self, message_class, service)
        if self._member.ports_of(service) is None:
            publisher.through_bridge()  # now, so that it is known whether there is a way at all
        return publisher

    def publisher(self, message_class: type[M]) -> LocalPublisher[M]:
        """A publisher of one message class to the own node: to each of its services that wants it, this too.

        Through the node's bridge, if there is one, and to subscribers of this process that it does not serve.

        Raises:
            TypeError: not a generated message class.
            SchemaMismatchError: the class, or the bridge, is of another contracts file.
            TransportError: the bridge refuses, or does not answer.
        """
        self._check_class(message_class)
        self._connect_own()
        return LocalPublisher(self, message_class, None)

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
        """A subscriber to what is published to this service, and to its node; arguments as of
        `UnixTransport.subscriber`.

        Where no bridge listens for the node it receives what is published in this process alone, also when a
        bridge is started later: subscribers made from then on have it.

        Raises:
            TypeError, ValueError, LookupError: `wanted` or another argument is wrong.
            SchemaMismatchError: a class, or the bridge, is of another contracts file.
            PermissionDenied: the bridge refuses a type.
            TransportError: the bridge refuses, or does not answer.
        """
        self._check_open()
        bridge = self._connect_own()
        transport = bridge or self._in_process()
        queue = message_queue(
            wanted,
            self._digest,
            repr(self),
            capacity=capacity,
            overflow=overflow,
            validate=validate,
            on_bad_frame=self._settings.get("on_bad_frame"),
        )
        subscriber = transport._subscribed(queue)
        stream = transport._connected()
        # A read that waits in recv() would not hear of what another thread puts into the queue. With the
        # socket in this state it waits in poll(), where it can be woken.
        stream.wire.sock.setblocking(False)
        self._member.add(Port(queue, wake=stream.wake, bridged=bridge is not None))
        return subscriber

    def stats(self) -> tuple[TransportStats, ...]:
        """Counters of the connections, and of the delivery within this process, at this moment."""
        with self._lock:
            peers = list(self._peers.values())
        alone = () if self._alone is None else self._alone.stats().subscribers
        return (*[peer.transport.stats() for peer in peers if peer.used], self._local_stats(alone))

    def close(self) -> None:
        """Send what was accepted, and end every connection and subscriber, within `close_timeout` seconds.

        Idempotent. What subscribers have queued can still be taken.
        """
        self._closed = True
        self._leave()
        with self._lock:
            closing: list[Any] = [peer.transport for peer in self._peers.values() if peer.used]
            closing += [self._alone] if self._alone is not None else []
        if len(closing) == 1:
            closing[0].close()
        elif closing:
            with ThreadPoolExecutor(len(closing)) as pool:  # so that slow ones are waited for once
                for done in [pool.submit(each.close) for each in closing]:
                    done.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _peer(self, node: Node) -> _Peer:
        with self._lock:
            peer = self._peers.get(node.name)
            if peer is None:
                address = self._topology.address_from(self._node, node)
                options = self._options(node, address)
                transport: UnixTransport | TcpTransport
                if address.kind == "unix":
                    transport = UnixTransport(address.path, self._digest, **options)
                else:
                    transport = TcpTransport(address.host, address.port, self._digest, **options)
                peer = self._peers[node.name] = _Peer(transport)
            return peer

    def _connect_own(self) -> UnixTransport | TcpTransport | None:
        """The connection to the own node's bridge; None where there is no bridge."""
        try:
            return self._own.connected()
        except TransportError as error:
            if not nobody_listens(error):
                raise
            self._tell_alone()
            return None

    def _in_process(self) -> _InProcess:
        """What the threads of subscribers wait on that no bridge serves."""
        with self._lock:
            if self._alone is None:
                self._alone = _InProcess(self)
            return self._alone


class _Peer:
    """The one connection to a node."""

    def __init__(self, transport: UnixTransport | TcpTransport) -> None:
        self.transport = transport
        self.used = False
        self._connecting = threading.Lock()

    def connected(self) -> UnixTransport | TcpTransport:
        """The transport, connected if it was not."""
        with self._connecting:
            if not self.transport.connected:
                self.transport.connect()
                self.used = True
            return self.transport


class _InProcess(SocketTransport):
    """A connection to nobody: what threads wait on for subscribers that no bridge serves.

    A pair of sockets that carries nothing, so that such a subscriber is one like all others.
    """

    def __init__(self, bus: MessageBus) -> None:
        ours, self._silent = socket.socketpair()
        super().__init__(ours, handshake=False)
        self._name = repr(bus)
        self.connect()

    @property
    def address(self) -> str:
        """What errors call it."""
        return f"{self._name}, in-process"

    def close(self) -> None:
        """End the subscribers."""
        super().close()
        self._silent.close()

    def __repr__(self) -> str:
        return self._name


class LocalPublisher(Generic[M]):
    """Sends messages of one class to a service of the own node, or to all of them; made by a bus.

    Any number of threads may share it.
    """

    def __init__(self, bus: MessageBus, message_class: type[M], service: str | None) -> None:
        self._bus = bus
        self._class = message_class
        self._service = service
        self._bridge: Publisher[M] | None = None

    @property
    def message_class(self) -> type[M]:
        """The class whose messages it sends."""
        return self._class

    def publish(self, message: M) -> None:
        """Send one message.

        Raises:
            TypeError: a message of another class; nothing was sent.
            TransportTimeout: nobody took from a full queue of this process, or the bridge took nothing, for
                `publish_timeout` seconds. The text says what was not delivered.
            TransportError: the service has no bus in this process, and its node no bridge.
            ConnectionClosed: the bus is closed, or the connection to the bridge is over.
        """
        self._publish((message,))

    def publish_many(self, messages: Iterable[M]) -> None:
        """Send messages in order; raises as `publish`, a TypeError before any is sent."""
        check_several(messages, self._class)
        self._publish(tuple(messages))

    def flush(self) -> None:
        """Hand the operating system what was accepted for the bridge; raises as `publish`."""
        if self._bridge is not None:
            self._bridge.flush()

    def through_bridge(self) -> Publisher[M]:
        """The way through the node's bridge.

        Raises:
            TransportError: there is none.
        """
        if self._bridge is None:
            bus = self._bus
            try:
                transport = bus._own.connected()
            except TransportError as error:
                raise bus._no_way(self._service, error) from error
            self._bridge = transport.publisher(self._class)
        return self._bridge

    def _publish(self, messages: tuple[M, ...]) -> None:
        bus = self._bus
        bus._check_open()
        check_messages(messages, self._class)
        if not messages:
            return
        ports = bus._member.ports_of(self._service)
        if ports is None or (self._service is None and (self._bridge or bus._own.transport.connected)):
            self.through_bridge().publish_many(messages)
        if ports:
            frames = messages[0].to_frame() if len(messages) == 1 else self._class.encode_batch(messages)
            bus._member.deliver(ports, frames, len(messages), bus._publish_timeout)

    def __repr__(self) -> str:
        to = "its node" if self._service is None else f"{self._service!r}"
        return f"<LocalPublisher of {self._class.__name__} from {self._bus._service!r} to {to}>"


def check_several(messages: object, message_class: type) -> None:
    """Refuse one message where an iterable of them belongs, with a TypeError that says what to do."""
    if isinstance(messages, message_class):
        name = message_class.__name__
        raise TypeError(f"publish_many() takes a list of {name} messages, not one alone: use publish()")


def check_messages(messages: Iterable[object], message_class: type) -> None:
    """Refuse messages of other classes, with a TypeError that names both."""
    for message in messages:
        theirs = type(message)
        if theirs is not message_class:
            names = theirs.__name__, message_class.__name__
            if names[0] == names[1]:  # two generated modules with a message of that name
                names = f"{theirs.__module__}.{names[0]}", f"{message_class.__module__}.{names[1]}"
            raise TypeError(f"this publisher sends {names[1]} messages, not {names[0]}")
