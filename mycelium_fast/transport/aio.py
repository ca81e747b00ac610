"""The asyncio driver: one connection under the protocol's states, on any event loop.

A `Link` is the `BufferedProtocol` between the event loop and `session/`: it receives straight into pool
blocks, and writes what its owner hands it. Who gets which frames is `switch.py`'s work; connecting again,
that of `bus/`.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
import termios
from asyncio import trsock
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

from ..errors import (
    ConnectionClosed,
    HandshakeError,
    MyceliumError,
    PoolExhausted,
    ProtocolError,
    TransportError,
)
from ..session import Closed, Connection, Event, Frames, HandshakeDone, Rejected, Traced
from .dial import dial_stdio, explain_dial, keep_alive

if TYPE_CHECKING:
    from ..codec.frames import Run
    from .addresses import Address

__all__ = ["Link", "LinkOwner", "dial", "explain"]

#: Seconds between attempts at a Unix socket whose backlog is full.
_RETRY_S: Final = 0.01
#: Seconds between attempts to read on with a pool that had no block left.
_POOL_RETRY_S: Final = 0.01
_SPARE_SIZE: Final = 4096
#: Bytes of answers that may wait for a peer that asks (with Ping) without reading.
_MAX_UNREAD_ANSWERS: Final = 256 * 1024
#: Seconds after the greeting in which a close without a word may mean that the peer refused the digest.
_REFUSAL_S: Final = 1.0
#: Seconds between looks whether the peer has read everything, when closing.
_QUIET_S: Final = 0.05
_RESCUE_SIZE: Final = 256 * 1024


class LinkOwner(Protocol):
    """What a link tells, always from within the event loop."""

    def link_received(self, runs: list[Run]) -> None:
        """Frames came, the first of them perhaps with a trace context."""

    def link_event(self, link: Link, event: Event) -> None:
        """Something else came that concerns more than the link: neither HandshakeDone nor Closed."""

    def link_writable(self, link: Link) -> None:
        """`link.paused` has changed."""

    def link_ended(self, link: Link, error: TransportError) -> None:
        """It is over; told once, unless the owner closed it."""


class Link(asyncio.BufferedProtocol):
    """One connection, from connecting to its end.

    Attributes:
        connection: the protocol's state.
        peer: such as `unix:/run/bus.sock`, for error texts.
        opened: done when the handshake is; has the error if it fails.
        gone: done when the event loop has let go of the socket.
        ended: why it is over, or None.
        refused: the peer said itself why it ended the connection, with a fatal Reject.
        paused: the peer does not keep up: what is written now has to wait in memory.
        written: bytes handed to the event loop.
    """

    def __init__(
        self,
        owner: LinkOwner,
        deliver: Callable[[list[Run]], None],
        connection: Connection,
        peer: str,
        *,
        max_pending: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._max_pending = max_pending
        self._transport: asyncio.Transport | None = None
        self._deliver = deliver
        self._room = connection.get_buffer
        self._scanner = connection.scanner
        self._scanned = self._scanner.buffer_updated
        self._recheck = self._scanner.feed
        self._spare: bytearray | None = None
        self._spared: list[bytes] = []
        self._held = False  # by the owner
        self._starved = False  # by the pool
        self._heard = False
        self._passing = False
        self._traced = False
        self._told = False
        self._aborted = False
        self._discarding = False
        self._emptying = False
        self._unread_answers = 0
        self._greeted_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.connection = connection
        self.peer = peer
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.ended: TransportError | None = None
        self.refused = False
        self.paused = False
        self.written = 0

    # What the event loop calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, through TLS if there is any: send the greeting."""
        self._transport = cast(asyncio.Transport, transport)
        if self._aborted:
            self._transport.abort()
            return
        if self.held:
            self._transport.pause_reading()
        self._transport.set_write_buffer_limits(self._max_pending, self._max_pending // 4)
        greeting = self.connection.data_to_send()
        if greeting:
            self._greeted_at = self._loop.time()
            self._transport.write(greeting)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the event loop reads to: a pool's block, or spare bytes while there is none."""
        try:
            return self._room(sizehint)
        except PoolExhausted:
            self._spare = bytearray(max(_SPARE_SIZE, sizehint))
            return memoryview(self._spare)
        except ProtocolError:  # known already, and the connection is being closed: what comes is thrown away
            return memoryview(bytearray(max(_SPARE_SIZE, sizehint)))

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        if not self._passing or self._spare is not None:
            self._received_otherwise(nbytes)
            return
        try:
            runs = self._scanned(nbytes)
            if self._scanner.saw_core:
                self._handle(self.connection.receive_runs(runs))
            elif runs:
                self._deliver(runs)
            self._recheck(b"")  # the error of a bad header comes one call after the frames before it
        except ProtocolError as error:
            self.fail(error)

    def eof_received(self) -> bool:
        """The peer sends nothing more."""
        self._handle(self.connection.receive_eof())
        self._end(self._over(None))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The event loop has done with the socket."""
        if self.ended is None:
            if exc is not None:
                self._rescue()
            self._handle(self.connection.receive_eof())
            self._end(self._over(exc))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.gone.done():
            self.gone.set_result(None)

    def pause_writing(self) -> None:
        """More waits to be written than may."""
        self.paused = True
        self._owner.link_writable(self)

    def resume_writing(self) -> None:
        """The peer has taken most of it."""
        self.paused = False
        self._unread_answers = 0
        if self._emptying and self._transport is not None:
            self._emptying = False
            self._transport.set_write_buffer_limits(self._max_pending, self._max_pending // 4)
        self._owner.link_writable(self)

    # What the owner calls -----------------------------------------------------------------------------------

    @property
    def ending(self) -> bool:
        """Whether what is written now is lost."""
        return self._transport is None or self._transport.is_closing()

    @property
    def taken(self) -> int:
        """Bytes of what was written that the operating system took: grows as long as the peer reads."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self.written - waiting

    def write(self, data: bytes | memoryview) -> bool:
        """Hand whole frames to the event loop, which sends them at once if it can; False where they are lost,
        because the connection is ending."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self.written += len(data)
        transport.write(data)
        return True

    def pause_until_empty(self) -> None:
        """Be `paused` until everything written so far has left for the operating system."""
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() and not self._emptying:
            self._emptying = True
            transport.set_write_buffer_limits(0, 0)

    @property
    def held(self) -> bool:
        """Whether nothing is read for now."""
        return self._held or self._starved

    def hold(self) -> None:
        """Read nothing for now."""
        if not self.held:
            self._pause_reading()
        self._held = True

    def release(self) -> None:
        """Read on, once the pool has blocks."""
        if self._held:
            self._held = False
            self._resume_reading()

    async def wait_open(self, grace: float) -> None:
        """Wait for the peer's consent, or `grace` seconds of silence.

        Raises:
            HandshakeError: the peer refused; SchemaMismatchError where it is about the digest.
            TransportError: the connection ended, for another reason.
        """
        if self.connection.state.value == "open" and not self.opened.done():
            self.opened.set_result(None)
        timer = self._loop.call_later(grace, self._confirm)
        try:
            await self.opened
        finally:
            timer.cancel()
            if self.opened.cancelled():
                self.abort()

    def let_go(self) -> None:
        """Tell the owner nothing more, and throw away what comes; `close()` or `abort()` follows."""
        self._told = self._discarding = True
        self._passing = False

    def abort(self) -> None:
        """End it at once; what waits to be written is lost."""
        self._told = self._aborted = True
        self._passing = False
        self.connection.close()
        if self._transport is not None:
            self._transport.abort()
        elif not self.gone.done():
            self.gone.set_result(None)

    async def close(self, timeout: float) -> None:
        """Have what was written arrive, then end it, all within `timeout` seconds.

        What comes meanwhile is thrown away. The peer reads to the end before the socket is closed: closing
        with bytes of its unread would reset the connection, and lose what is on its way.
        """
        transport = self._transport
        self.let_go()
        if transport is None or self.gone.done():
            return
        deadline = self._loop.time() + timeout
        try:
            if not transport.is_closing():
                if self.held:
                    transport.resume_reading()
                self._held = self._starved = False
                self._spared.clear()
                if transport.can_write_eof():
                    transport.write_eof()  # once what waits is written
                    if not self.written:
                        transport.close()
                else:
                    transport.close()
            while not self.gone.done():
                left = deadline - self._loop.time()
                if left <= 0:
                    break
                await asyncio.wait({self.gone}, timeout=min(left, _QUIET_S))
                if not transport.is_closing() and self._all_read(transport):
                    transport.close()
        finally:
            self.connection.close()
            if not self.gone.done():
                transport.abort()
        await self.gone

    # Within -------------------------------------------------------------------------------------------------

    def _received_otherwise(self, nbytes: int) -> None:
        """Bytes came that may concern more than whoever wants frames: until the connection is open, and later
        on where a trace context is about the next frame, or nothing is wanted any more."""
        self._heard = True
        if self._spare is not None:
            self._keep_spare(nbytes)
        elif not self._discarding:
            self._handle(self.connection.buffer_updated(nbytes))
            if self.connection.passing:
                self._passing = not self._traced
                self._room = self._scanner.get_buffer

    def _confirm(self) -> None:
        self.connection.confirm()
        if not self.opened.done():
            self.opened.set_result(None)

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Frames):
                self._traced = False
                self._owner.link_received(event.runs)
                continue
            if isinstance(event, HandshakeDone):
                if event.welcome is not None:
                    self._owner.link_event(self, event)
                if not self.opened.done():
                    self.opened.set_result(None)
            elif isinstance(event, Closed):
                if event.error is not None:
                    self.fail(event.error)
            else:
                if isinstance(event, Traced):
                    self._traced = True
                    self._passing = False
                self.refused = self.refused or (isinstance(event, Rejected) and event.fatal)
                self._owner.link_event(self, event)
        self._answer()

    def _answer(self) -> None:
        """Send what the protocol itself has to say, such as Pong."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        data = self.connection.data_to_send()
        if data:
            self.write(data)
            self._unread_answers += len(data) if self.paused else 0
            if self._unread_answers > _MAX_UNREAD_ANSWERS:
                self.fail(ConnectionClosed(f"{self.peer} asks on and on, and reads no answers"))

    def fail(self, error: MyceliumError) -> None:
        """End it at once, for this reason."""
        if (
            not self.refused
            and not self.opened.done()
            and isinstance(error, HandshakeError)
            and self._is_tls()
        ):
            # TLS 1.3 lets a client finish its side before its certificate, or the lack of one, is refused.
            error = type(error)(
                f"{error} With TLS, it may want a certificate of this client as well (load_cert_chain)."
            )
        self.connection.close()
        if isinstance(error, TransportError):
            self._end(error)
        else:
            ended = ConnectionClosed(f"{self.peer}: {error}; the connection is closed")
            ended.__cause__ = error
            self._end(ended)
        if self._transport is not None:
            self._transport.abort()

    def _over(self, failure: Exception | None) -> TransportError:
        """Why the stream ended, as far as this end can tell."""
        how = "closed the connection"
        if failure is not None:
            how = f"broke the connection off ({getattr(failure, 'strerror', None) or failure})"
        text = f"{self.peer} {how}"
        if not self._heard and self._greeted_at and self._loop.time() - self._greeted_at < _REFUSAL_S:
            text += "; it had sent nothing: it may have refused the schema digest, its log would say so"
        error = ConnectionClosed(text)
        error.__cause__ = failure
        return error

    def _end(self, error: TransportError) -> None:
        """It is over; the first reason stays."""
        self._passing = False
        if self.ended is not None:
            return
        self.ended = error
        self.connection.close()
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()  # looked at: nobody may be waiting for it any more
        if not self._told:
            self._told = True
            self._owner.link_ended(self, error)

    def _is_tls(self) -> bool:
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is not None

    def _rescue(self) -> None:
        """Take what the peer had sent before a write to it failed: frames, or why it left."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        try:
            self._feed_spared()
            # Other event loops have closed the descriptor by now, and TLS is in the way of plain bytes.
            if not isinstance(sock, trsock.TransportSocket) or self._is_tls():
                return
            # Also while the owner holds the link: it keeps what nobody can take yet, and no more comes.
            while self.ended is None and (data := os.read(sock.fileno(), _RESCUE_SIZE)):
                self._handle(self.connection.receive_data(data))
        except (OSError, PoolExhausted):  # nothing left, or reset
            pass

    def _keep_spare(self, nbytes: int) -> None:
        """Bytes came while the pool had no block: keep them, and read nothing before it has one."""
        spare, self._spare = self._spare, None
        if spare is None or self._discarding:
            return
        self._spared.append(bytes(memoryview(spare)[:nbytes]))
        if not self.held:
            self._pause_reading()
        self._starved = True
        self._loop.call_later(_POOL_RETRY_S, self._retry_spared)

    def _retry_spared(self) -> None:
        try:
            self._feed_spared()
        except PoolExhausted:
            self._loop.call_later(_POOL_RETRY_S, self._retry_spared)
            return
        self._spared.clear()
        if self._starved:
            self._starved = False
            self._resume_reading()

    def _feed_spared(self) -> None:
        while self._spared and self.ended is None:
            events = self.connection.receive_data(self._spared[0])
            del self._spared[0]
            self._handle(events)

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        """Read on, unless something else is in the way still."""
        if not self.held and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _all_read(self, transport: asyncio.Transport) -> bool:
        """Whether the peer's side has everything, as far as the kernel knows."""
        if transport.get_write_buffer_size():
            return False
        sock = transport.get_extra_info("socket")
        try:
            count = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        except (OSError, AttributeError):  # not every system tells for every kind of socket
            return False
        return count == bytes(len(count))


async def dial(address: Address, *, keepalive: bool = True) -> socket.socket:
    """Connect; the socket returned is non-blocking. How long that may take is the caller's affair.

    Raises:
        OSError: as the system has it; `explain()` makes the error for users.
    """
    if address.kind == "unix":
        return await _dial_unix(address)
    if address.kind == "stdio":
        sock = dial_stdio()
        sock.setblocking(False)
        return sock
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for family, kind, protocol, _, target in found:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a kind of address that this machine does not have
            failure = error
            continue
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, target)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if keepalive:
                keep_alive(sock)
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure


async def _dial_unix(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(address.path)
                return sock
            except BlockingIOError:
                # The listener's backlog is full; unlike with TCP, there is nothing to wait for.
                await asyncio.sleep(_RETRY_S)
    except BaseException:
        sock.close()
        raise


def explain(address: Address, error: OSError, timeout: float) -> TransportError:
    """What a failure to connect means, and what to do; `timeout` is the time that there was, in seconds."""
    if address.kind == "unix":
        where, option = f"unix socket {address.path}", f"--unix {address.path}"
    else:
        where, option = f"{address.host} port {address.port}", f"--tcp {address.host}:{address.port}"
    return explain_dial(where, error, timeout, f"mycelium bridge {option}")
