"""The control plane of a bridge: connections from `accept()` to the router, and what the router tells of
them.

A connection's first bytes are read here, from the raw socket, until its digest is known to be right; from
then on it is the router's (`data_plane.pyx`), and `client.py` answers for it. The protocol's order is
`session/`'s; sockets to listen on are `listen.py`'s, and what else a bridge consists of is `bridge.py`'s
affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, Protocol

from ..errors import HandshakeError, MyceliumError
from ..session import Closed, Connection, HelloReceived, RejectCode, Role, State, core
from .access import Access, Grant
from .audit import audit
from .client import LINGER_S, Client
from .config import BridgeConfig
from .counters import Counters
from .data_plane import RoutedConnection, Router
from .identity import Identity, common_name, identity_of
from .output import readable
from .schema import Accepted, Schema
from .snapshot import ConnectionSnapshot
from .tls import Decryption

__all__ = ["Control", "Nursery"]

_log: Final = logging.getLogger("mycelium_fast.bridge")

#: Core frames that no client sends.
_SERVERS: Final = (core.Welcome, core.Reject, core.Subscribed, core.Lagged)
#: Seconds for the `Hello` of a client that is refused: well below the silence that clients take for consent.
_REFUSAL_S: Final = 0.05
_READ_SIZE: Final = 4096
#: Seconds until the next try where no connection can be accepted, for want of descriptors most likely.
_ACCEPT_AGAIN_S: Final = 0.1
#: Seconds that a handshake may take while there are as many as there may be.
_FAIR_S: Final = 0.25


class Nursery(Protocol):
    """What the control plane wants to know of workers, and tells of them (`workers.py`)."""

    def worker_of(self, pid: int) -> str | None:
        """The worker that a process belongs to."""

    def connected(self, name: str) -> None:
        """A worker has a connection, or one more."""

    def lost(self, name: str) -> None:
        """... and one less."""

    def heard(self, name: str) -> None:
        """Something came from a worker."""


class Control:
    """Every connection of one bridge. Belongs to one event loop."""

    def __init__(self, config: BridgeConfig, schema: Schema, nursery: Nursery | None = None) -> None:
        self.config = config
        self.schema = schema
        self.counters = Counters()
        self.access = Access(config.access, schema.names)
        self.router = Router(
            policy=config.slow_consumer,
            sizes=schema.sizes,
            core={each.TYPE_ID: None if each in _SERVERS else each.SIZE for each in core.MESSAGES.values()},
            forward_unknown=config.forward_unknown,
            max_payload=config.limits.max_payload,
            max_output=config.buffers.max_output,
            stall_timeout=config.stall_timeout,
            read_size=config.buffers.read_size,
            spare_chunks=config.buffers.pool_blocks,
            use_poll=config.use_poll,
        )
        self._nursery = nursery
        self._watchdogs: dict[str, float | None] = {}
        self._clients: dict[RoutedConnection, Client] = {}
        self._alike: Counter[tuple[int, str]] = Counter()
        self._counted: dict[Client, tuple[int, str]] = {}
        self._accepting: dict[asyncio.Task[None], socket.socket] = {}
        self._arriving: dict[asyncio.Task[None], float] = {}  # since when, the longest first
        self._making_room: set[asyncio.Task[None]] = set()
        self.closing = self.closed = False
        #: By listener, for those who connect from now on.
        self.tls: dict[str, ssl.SSLContext] = {}
        self._tls = Decryption()
        self._loop = asyncio.get_running_loop()
        self.adopt(config, schema)

    def start(self) -> None:
        """Start the router, and listen to it."""
        self.router.start()
        self._loop.add_reader(self.router.fileno(), self._events)

    def listen(self, listener: socket.socket, name: str) -> None:
        """Take connections from a listening socket, which is closed by `close()`.

        Args:
            name: of the listener; whether it speaks TLS is in `tls`.
        """
        listener.setblocking(False)
        self._accepting[self._loop.create_task(self._accept(listener, name))] = listener

    async def _accept(self, listener: socket.socket, name: str) -> None:
        while True:
            try:
                # (`sock_accept()` would lose a connection when it is cancelled.)
                sock, _ = listener.accept()
            except BlockingIOError:
                await readable(listener.fileno())
                continue
            except OSError as error:  # no descriptor left, or the peer was gone already
                _log.warning("cannot accept a connection: %s", error.strerror or error)
                await asyncio.sleep(_ACCEPT_AGAIN_S)
                continue
            self.attach(sock, name, self.tls.get(name))
            if len(self._arriving) >= self.config.limits.max_handshakes:
                await self._make_room()

    def attach(
        self, sock: socket.socket, listener: str = "", tls: ssl.SSLContext | None = None, *, worker: str = ""
    ) -> None:
        """Take over a connected socket, whose handshake is still to come.

        Args:
            worker: that it is known to belong to.
        """
        if self.closing:
            sock.close()
            return
        begun = asyncio.Event()
        task = self._loop.create_task(self._arrive(begun, sock, listener, tls, worker))
        self._arriving[task] = self._loop.time()

        def over(done: asyncio.Task[None]) -> None:
            self._arriving.pop(done, None)
            if not begun.is_set():  # cancelled before it could see to that itself
                sock.close()

        task.add_done_callback(over)

    def adopt(self, config: BridgeConfig, schema: Schema) -> None:
        """Go by another configuration, as far as it can change while the bridge runs.

        Args:
            schema: the one that there is; what it accepts beside itself is for those who connect from now on.
        """
        self.config = config
        self.schema = schema
        self.access = Access(config.access, self.schema.names)
        self._watchdogs = {worker.name: worker.watchdog for worker in config.workers}
        for client in tuple(self._clients.values()):
            client.review()

    async def close(self, timeout: float) -> None:
        """Say goodbye to everyone, send what waits, for at most `timeout` seconds, and end all
        connections."""
        self.closing = True
        try:
            await self._shut_the_door()
            for client in tuple(self._clients.values()):
                client.say_goodbye()
            self.router.stop(timeout)
            await asyncio.to_thread(self.router.join)
        except BaseException:  # cancelled: then at once, but all the same
            self.router.stop(0.0)
            self.router.join()
            self._tls.abort()
            raise
        finally:
            self._events()
            self._loop.remove_reader(self.router.fileno())
            self.router.close()
            self.closed = True
        await self._tls.close(timeout)

    async def _shut_the_door(self) -> None:
        """Nobody new from now on."""
        ending = (*self._accepting, *self._arriving)
        for task in ending:
            task.cancel()
        try:
            if ending:
                await asyncio.wait(ending)
        finally:
            for listener in self._accepting.values():
                listener.close()

    # What it looks like -------------------------------------------------------------------------------------

    def snapshots(self) -> Iterator[ConnectionSnapshot]:
        """Every connection."""
        return (client.snapshot() for client in self._clients.values())

    def totals(self) -> Counters:
        """What happened so far, connections that are open included."""
        totals = self.counters.copy()
        for client in self._clients.values():
            totals.add(client.routed.stats())
        return totals

    def schemas(self) -> dict[str, int]:
        """How many connections use each schema beside the bridge's own, by its name."""
        found = {each.name: 0 for each in self.schema.others()}
        for client in self._clients.values():
            if client.other is not None:
                found[client.other.name] = found.get(client.other.name, 0) + 1
        return found

    # For connections ----------------------------------------------------------------------------------------

    def forget(self, client: Client) -> None:
        """The connection is over."""
        del self._clients[client.routed]
        self._uncount(client)
        if client.identity.worker and self._nursery is not None:
            self._nursery.lost(client.identity.worker)

    def has_room(self, client: Client, grant: Grant) -> bool:
        """Whether there may be one more connection like this one; then it counts as one."""
        self._uncount(client)
        like = self._like(client, grant)
        if grant.max_connections is not None and self._alike[like] >= grant.max_connections:
            return False
        self._count(client, like)
        return True

    def recount(self, client: Client, grant: Grant) -> None:
        """It is here, and another rule is for it now."""
        self._uncount(client)
        self._count(client, self._like(client, grant))

    def _like(self, client: Client, grant: Grant) -> tuple[int, str]:
        """What it counts with. The service that it says it is makes it another only where a rule goes by
        that: anybody can make up names."""
        without = self.access.grant(client.identity, client.listener)
        service = "" if without is not None and without.rule == grant.rule else client.service
        return grant.rule, " ".join(client.identity.facts(service))

    def _count(self, client: Client, like: tuple[int, str]) -> None:
        self._alike[like] += 1
        self._counted[client] = like

    def _uncount(self, client: Client) -> None:
        like = self._counted.pop(client, None)
        if like is not None:
            self._alike[like] -= 1
            if not self._alike[like]:
                del self._alike[like]

    def watchdog_of(self, worker: str) -> float | None:
        """Seconds after which a worker that nothing came from counts as hung."""
        return self._watchdogs.get(worker)

    def heard(self, worker: str) -> None:
        """Something came from a connection of a worker."""
        if worker and self._nursery is not None:
            self._nursery.heard(worker)

    # Arrival ------------------------------------------------------------------------------------------------

    async def _make_room(self) -> None:
        """Wait until one of the handshakes is over; nobody can keep others out by silence."""
        longest, since = next(iter(self._arriving.items()))
        fair = max(0.0, since + _FAIR_S - self._loop.time())
        await asyncio.wait(tuple(self._arriving), timeout=fair, return_when=asyncio.FIRST_COMPLETED)
        if len(self._arriving) >= self.config.limits.max_handshakes:
            self._making_room.add(longest)
            longest.cancel()
            try:
                await asyncio.wait({longest})
            finally:
                self._making_room.discard(longest)

    async def _arrive(
        self,
        begun: asyncio.Event,
        sock: socket.socket,
        listener: str,
        tls: ssl.SSLContext | None,
        worker: str,
    ) -> None:
        """The handshake of one connection, which delays nobody else's."""
        begun.set()
        config = self.config
        schema = self.schema
        connection = Connection(
            Role.SERVER,
            schema.digest,
            max_payload_size=config.limits.max_payload,
            accept=frozenset(schema.accepted),
        )
        deadline = self._loop.time() + config.limits.handshake_timeout
        known, number, identity = False, 0, Identity()
        try:
            sock.setblocking(False)
            identity = self._identify(sock, worker)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if config.buffers.socket_buffer is not None:
                for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    sock.setsockopt(socket.SOL_SOCKET, option, config.buffers.socket_buffer)
            if tls is not None:
                sock, certificate = await self._tls.begin(sock, tls, config.limits.handshake_timeout)
                identity = replace(identity, common_name=common_name(certificate))
            self.counters.accepted += 1
            number = self.counters.accepted
            while connection.state is State.WAITING:
                data = await self._received(sock, connection.greeting_left, deadline)
                known = known or bool(data)
                events = connection.receive_data(data) if data else connection.receive_eof()
                for event in events:
                    if isinstance(event, Closed):
                        if event.error is not None:
                            await self._refuse(sock, connection, number, identity, event.error)
                        # Whoever connects and leaves without a word looks whether a bridge is there.
                        _log.log(logging.INFO if known else logging.DEBUG, "connection %d closed", number)
                        return
            other = schema.other(connection.peer_digest)
            if await self._admit(sock, connection, number, identity, listener, other):
                sock = None  # type: ignore[assignment]  # the router's
        except asyncio.TimeoutError:
            for event in connection.time_out(config.limits.handshake_timeout):
                if isinstance(event, Closed) and event.error is not None:
                    await self._refuse(sock, connection, number, identity, event.error)
            _log.info("connection %d closed", number)
        except asyncio.CancelledError:
            if asyncio.current_task() in self._making_room and connection.state is State.WAITING:
                self.counters.refused += 1
                why = f"its handshake took longest of {config.limits.max_handshakes}, and made room"
                self._audit_refusal(number, identity, why)
            raise
        except ssl.SSLError as error:
            self.counters.refused += 1
            self._audit_refusal(number, identity, f"the TLS handshake failed: {error.reason or error}")
        except OSError as error:
            _log.info("connection %d closed (%s)", number, error.strerror or error)
        finally:
            if sock is not None:
                sock.close()

    async def _received(self, sock: socket.socket, size: int, deadline: float) -> bytes:
        """What has come. If the event loop was too busy to look in time, that is not the peer's fault."""
        while True:
            try:
                return sock.recv(size)
            except BlockingIOError:
                if self._loop.time() >= deadline:
                    raise asyncio.TimeoutError from None
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(readable(sock.fileno()), max(0.0, deadline - self._loop.time()))

    def _identify(self, sock: socket.socket, worker: str) -> Identity:
        if worker:  # a socket that the bridge itself made: the system would say that the peer is the bridge
            return Identity(worker=worker)
        identity = identity_of(sock)
        if identity.pid is not None and self._nursery is not None:
            worker = self._nursery.worker_of(identity.pid) or ""
        return replace(identity, worker=worker)

    async def _admit(
        self,
        sock: socket.socket,
        connection: Connection,
        number: int,
        identity: Identity,
        listener: str,
        other: Accepted | None,
    ) -> bool:
        """Hand a connection to the router, if it may stay.

        Args:
            other: the schema that it uses; None for the bridge's own.
        """
        most = self.config.limits.max_connections
        if len(self._clients) >= most:
            why = f"{most} connections are open, as many as the bridge takes"
            await self._turn_away(sock, connection, number, identity, RejectCode.LIMIT, why)
            return False
        grant = self.access.grant(identity, listener)
        if grant is None and not self.access.depends_on_service(listener):
            why = f"no access rule is for {identity if str(identity) else 'it'}"
            await self._turn_away(sock, connection, number, identity, RejectCode.PERMISSION, why)
            return False
        client = Client(self, connection, number, identity, listener, grant, other)
        if grant is not None and not self.has_room(client, grant):
            why = f"there are {grant.max_connections} connections like it already, as many as may be"
            await self._turn_away(sock, connection, number, identity, RejectCode.LIMIT, why)
            return False
        try:
            routed = self.router.add(
                sock,
                number,
                0,
                publish=client.grant.publish,
                receive=client.grant.receive,
                knows=None if other is None else other.types,
                frames_per_s=client.grant.max_frames_per_s,
                bytes_per_s=client.grant.max_bytes_per_s,
            )
        except (OSError, MemoryError):  # no descriptor left, say
            self._uncount(client)
            raise
        self._clients[routed] = client
        client.begin(routed)
        if identity.worker and self._nursery is not None:
            self._nursery.connected(identity.worker)
        special: dict[str, Any] = {} if other is None else other.facts()  # of most there is nothing to say
        audit(
            "client.connected",
            "connection %d ready (%s)%s",
            number,
            identity if str(identity) else "nobody known",
            "" if other is None else f", of another schema: {other.name}",
            connection=number,
            identity=str(identity),
            listener=listener,
            **special,
        )
        return True

    # Refusal ------------------------------------------------------------------------------------------------

    def _audit_refusal(self, number: int, identity: Identity, why: str) -> None:
        audit(
            "client.refused",
            "connection %d refused: %s",
            number,
            why,
            level=logging.WARNING,
            connection=number,
            identity=str(identity),
            reason=why,
        )

    async def _refuse(
        self,
        sock: socket.socket,
        connection: Connection,
        number: int,
        identity: Identity,
        error: MyceliumError,
    ) -> None:
        """The handshake failed: say why, to those who would understand it."""
        counter = "refused" if isinstance(error, HandshakeError) else "protocol_errors"
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)
        self._audit_refusal(number, identity, str(error))
        with contextlib.suppress(asyncio.TimeoutError):
            while connection.refusing:
                data = await asyncio.wait_for(self._loop.sock_recv(sock, _READ_SIZE), _REFUSAL_S)
                if not data:
                    break
                connection.receive_data(data)
        connection.give_up()
        await self._tell(sock, connection)

    async def _turn_away(
        self,
        sock: socket.socket,
        connection: Connection,
        number: int,
        identity: Identity,
        code: RejectCode,
        why: str,
    ) -> None:
        """The handshake was right, but there is no place for it: say so, to those who say `Hello`."""
        self.counters.refused += 1
        self._audit_refusal(number, identity, why)
        with contextlib.suppress(asyncio.TimeoutError):
            data = await asyncio.wait_for(self._greeted(sock, connection), _REFUSAL_S)
            if data:
                connection.reject(code, why, fatal=True)
        await self._tell(sock, connection)

    async def _greeted(self, sock: socket.socket, connection: Connection) -> bool:
        """Whether a `Hello` comes first."""
        while data := await self._loop.sock_recv(sock, _READ_SIZE):
            if events := connection.receive_data(data):
                return isinstance(events[0], HelloReceived)
        return False

    async def _tell(self, sock: socket.socket, connection: Connection) -> None:
        # Closed with bytes of the client's unread, the connection would be reset, and the reason lost with
        # it.
        reason = connection.data_to_send()
        if not reason:
            with contextlib.suppress(OSError):
                sock.recv(_READ_SIZE)
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._linger(sock, reason), LINGER_S)

    async def _linger(self, sock: socket.socket, reason: bytes) -> None:
        await self._loop.sock_sendall(sock, reason)
        sock.shutdown(socket.SHUT_WR)
        while await self._loop.sock_recv(sock, _READ_SIZE):
            pass

    def _events(self) -> None:
        with self.router:
            for event in self.router.events():
                client = self._clients.get(event.connection)
                if client is None:
                    continue
                try:
                    client.handle(event)
                except Exception:  # a defect, which costs this connection and nobody else's events
                    _log.exception("connection %d is ended by an error of the bridge", client.number)
                    event.connection.close(0.0)
