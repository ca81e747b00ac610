"""The life of an asyncio client's connection: making it, making it again when it breaks, and ending it.

    CLOSED --connect()--> CONNECTING ----> CONNECTED --connection lost--> RECONNECTING --back-off--> CONNECTED
       ^                      |                |                               |
       +------ refused -------+-------- close(), refused, or no reconnecting --+

What is published and received on it is the client's affair, the bytes are `transport/aio.py`'s.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import (
    ConnectionClosed,
    HandshakeError,
    PermissionDenied,
    TransportError,
    TransportTimeout,
)
from ..session import Event, Features, GoodbyeReceived, HandshakeDone, Negotiated
from ..transport.aio import Link, dial, explain
from .async_subscriber import again
from .settings import PLAIN_PEER

if TYPE_CHECKING:
    from ..codec.frames import Run
    from ..codec.pool import BufferPool
    from ..transport.addresses import Address
    from .reconnect import Backoff
    from .settings import Settings

__all__ = ["ClientState", "Connector", "ConnectorOwner", "Dialling", "look_at", "settle"]

_log: Final = logging.getLogger("mycelium_fast.bus")
#: Refusals in a row, without a word of explanation, after which a client gives up: a bridge that is going
# down  may close on a handshake as well.
_SILENT_REFUSALS: Final = 3


class ClientState(str, enum.Enum):
    """Where a client stands; equal to its text, such as `"connected"`."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CLOSED = "closed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Dialling:
    """How to connect.

    Attributes:
        backoff: between attempts to connect again; None to not try.
        tls: context for TLS; None for the default one with `tls://` addresses, and for no TLS otherwise.
        heartbeat: seconds of silence after which the peer is asked whether it is there; None for never.
    """

    backoff: Backoff | None
    tls: ssl.SSLContext | None
    server_hostname: str | None
    keepalive: bool
    heartbeat: float | None


class ConnectorOwner(Protocol):
    """What a connector tells, always from within the event loop."""

    def deliver(self, runs: list[Run]) -> None:
        """Frames came."""

    def deliver_traced(self, runs: list[Run]) -> None:
        """Frames came, the first of them perhaps with the trace context of an event before."""

    def link_event(self, link: Link, event: Event) -> None:
        """Something else came."""

    def link_made(self, link: Link) -> None:
        """A connection is being made, and may bring frames."""

    def link_writable(self) -> None:
        """What `link.paused` says has changed."""

    def link_opened(self, link: Link) -> asyncio.Future[None] | None:
        """The handshake is done: ask for what is wanted; what to wait for before the connection counts as
        made."""

    def link_up(self, link: Link) -> None:
        """The connection is made."""

    def link_down(self, link: Link) -> None:
        """It is not there any more."""

    def state_changed(self, state: ClientState, error: Exception | None) -> None:
        """As users are told."""

    def ended(self, error: TransportError) -> None:
        """There will be no connection any more."""


class Connector:
    """One connection at a time, to one address.

    Attributes:
        state: where it stands.
        over: why there is no connection any more; None before the first `connect()`.
        link: the connection, also while it is being made.
        connections: how many there were.
    """

    def __init__(
        self, owner: ConnectorOwner, name: Callable[[], str], dialling: Dialling, pool: BufferPool
    ) -> None:
        self._owner = owner
        self._name = name
        self._dialling = dialling
        self._pool = pool
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._up = False
        self._refused = False  # the peer said itself why it ended the last link
        self._goodbye: str | None = None
        self._retry_after: float | None = 0.0  # seconds, as the peer said with Goodbye; None for never
        self._pulse: asyncio.TimerHandle | None = None
        self.address: Address | None = None
        self.settings: Settings | None = None
        self.state = ClientState.CLOSED
        self.over: TransportError | None = None
        self.link: Link | None = None
        self.connections = 0

    async def connect(self, address: Address, settings: Settings) -> None:
        """Connect once. Raises TransportError; cancelled, it leaves nothing half-made."""
        self.address, self.settings = address, settings
        self.over = None
        self._set_state(ClientState.CONNECTING)
        # In a task of its own, so that close() can end it, and a cancelled connect() does not stop half-way.
        attempt = self._task = asyncio.get_running_loop().create_task(self._attempt())
        attempt.add_done_callback(look_at)
        try:
            await asyncio.wait({attempt})
        except BaseException:
            attempt.cancel()
            try:
                await asyncio.wait({attempt})
            finally:
                self._forget(attempt)
                self._drop(self.link)
                if self._closing is None:
                    self._set_state(ClientState.CLOSED)
            raise
        self._forget(attempt)
        if attempt.cancelled():
            raise again(self.over or ConnectionClosed(f"{self._name()} was closed while it was connecting"))
        error = attempt.exception()
        if error is not None:
            if isinstance(error, TransportError):
                error = self._explained(error)
            if self._closing is None:
                self._set_state(ClientState.CLOSED, error if isinstance(error, TransportError) else None)
            raise error

    async def wait_connected(self, timeout: float | None) -> None:
        """Wait until there is a connection; raises TransportTimeout, or why there will be none."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while self.state is not ClientState.CONNECTED:
            if self.over is not None:
                raise again(self.over)
            if deadline is not None and loop.time() >= deadline:
                raise TransportTimeout(
                    f"{self._name()} is not connected after {timeout:g} s: it is {self.state}"
                )
            waiter = loop.create_future()
            self._waiters.add(waiter)
            timer = None if deadline is None else loop.call_at(deadline, settle, waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
                if timer is not None:
                    timer.cancel()

    async def close(self, finish: Callable[[float], Any], error: TransportError) -> None:
        """End it for good, in a task that goes on when this call is cancelled.

        Args:
            finish: coroutine function of the deadline (of the event loop's clock), which is awaited between
                the last bytes' being handed to the link and the end of the link.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(finish, error))
            self._closing.add_done_callback(self._closed)
        await asyncio.wait({self._closing})

    @property
    def closing(self) -> bool:
        """Whether `close()` is under way."""
        return self._closing is not None

    @property
    def has_tls(self) -> bool:
        """Whether a context for TLS was given."""
        return self._dialling.tls is not None

    # What the link tells ------------------------------------------------------------------------------------

    def link_received(self, runs: list[Run]) -> None:
        """Frames came."""
        self._owner.deliver_traced(runs)

    def link_event(self, link: Link, event: Event) -> None:
        """Something else came from the peer."""
        if link is not self.link:
            return
        if isinstance(event, GoodbyeReceived):
            self._retry_after = event.reconnect_after
            self._goodbye = event.reason
            _log.info("%s says goodbye: %s", link.peer, event.reason or "no reason given")
            return
        if self._up and isinstance(event, (HandshakeDone, Negotiated)):
            self._listen_for_silence(link)  # it was taken for a plain peer before
            _log.warning("the Welcome of %s came late: allow it a longer handshake_grace", link.peer)
        self._owner.link_event(link, event)

    def link_writable(self, link: Link) -> None:
        """The peer keeps up again, or does not."""
        if link is self.link:
            self._owner.link_writable()

    def link_ended(self, link: Link, error: TransportError) -> None:
        """The connection broke."""
        if link is not self.link:
            return
        was_up = self._up
        self._drop(link)
        if not was_up:
            return  # the attempt under way gets the error
        backoff = None if self._address.kind == "stdio" else self._dialling.backoff
        error = self._explained(error)
        if backoff is None or self._is_final(error):
            self._finish(error)
            return
        _log.info("%s; connecting again", error)
        self._set_state(ClientState.RECONNECTING, error)
        if self.state is ClientState.RECONNECTING and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._reconnect(backoff))
            self._task.add_done_callback(look_at)

    # Making it ----------------------------------------------------------------------------------------------

    async def _attempt(self) -> None:
        """Make a connection, with everything subscribed to on it."""
        settings = self._settings
        self._retry_after = 0.0  # what a peer says from now on, also before it breaks this attempt off, holds
        self._goodbye = None
        try:
            link = await self._open()
            await link.wait_open(settings.handshake_grace)
            asked = self._owner.link_opened(link)
            if asked is not None:
                await asyncio.wait({asked}, timeout=settings.connect_timeout)
            if link.ended is not None:
                raise link.ended
            if asked is not None and not asked.done():
                raise TransportTimeout(
                    f"{link.peer} did not confirm the subscriptions within {settings.connect_timeout:g} s"
                )
        except BaseException:
            self._drop(self.link)
            raise
        self.connections += 1
        self._up = True
        self._listen_for_silence(link)
        if settings.handshake and not link.connection.negotiated:
            _log.info(PLAIN_PEER, link.peer, settings.handshake_grace)
        elif self.connections > 1:
            _log.info("connected to %s again", link.peer)
        self._owner.link_up(link)
        self._set_state(ClientState.CONNECTED)

    async def _open(self) -> Link:
        """Connect the socket within the time for it, and have a link on it."""
        timeout = self._settings.connect_timeout
        opening = asyncio.get_running_loop().create_task(self._open_socket())
        opening.add_done_callback(look_at)
        try:
            done, _ = await asyncio.wait({opening}, timeout=timeout)
        except BaseException:
            opening.cancel()
            await asyncio.wait({opening})
            raise
        if not done:
            opening.cancel()
            await asyncio.wait({opening})
            raise TransportTimeout(f"cannot connect to {self.address}: no answer within {timeout:g} s")
        return opening.result()

    async def _open_socket(self) -> Link:
        loop, settings, address = asyncio.get_running_loop(), self._settings, self._address
        connection = settings.connection(self._pool)
        link = Link(self, self._owner.deliver, connection, str(address), max_pending=settings.max_pending)
        try:
            sock = await dial(address, keepalive=self._dialling.keepalive)
            try:
                self.link = link
                self._owner.link_made(link)
                if sock.family == socket.AF_UNIX:
                    await loop.create_unix_connection(lambda: link, sock=sock)
                else:
                    context = self._dialling.tls
                    if context is None and address.kind == "tls":
                        context = ssl.create_default_context()
                    name = None if context is None else self._dialling.server_hostname or address.host
                    await loop.create_connection(lambda: link, sock=sock, ssl=context, server_hostname=name)
            except BaseException:
                if self.link is link:
                    self.link = None
                link.abort()
                sock.close()
                raise
        except TransportError:
            raise
        except OSError as error:
            raise explain(address, error, settings.connect_timeout) from error
        return link

    async def _reconnect(self, backoff: Backoff) -> None:
        """Try until there is a connection, or no sense in trying."""
        refusals = 0
        try:
            for delay in backoff.delays():
                await asyncio.sleep(max(delay, self._retry_after or 0.0))
                try:
                    await self._attempt()
                    return
                except TransportError as failure:
                    error = self._explained(failure)
                    refusals = refusals + 1 if isinstance(error, HandshakeError) else 0
                    if self._is_final(error) or refusals >= _SILENT_REFUSALS:
                        self._finish(error)
                        return
                    self._set_state(ClientState.RECONNECTING, error)
        except Exception as error:
            _log.exception("connecting again failed")
            self._finish(ConnectionClosed(f"connecting to {self.address} again failed: {error!r}"))
        finally:
            self._forget(asyncio.current_task())

    def _listen_for_silence(self, link: Link) -> None:
        """Ask a peer that is silent whether it is there: one that vanished closes nothing."""
        interval = self._dialling.heartbeat
        if interval is None or Features.HEARTBEATS not in link.connection.features or self._pulse is not None:
            return
        loop = asyncio.get_running_loop()

        def signs() -> tuple[int, int]:
            # While bytes wait for the peer, each one that is taken shows that it reads; otherwise the
            # operating system takes them, whether there is a peer or not.
            taken = link.taken
            return link.connection.scanner.reads, taken if taken < link.written else -1

        seen, asked = signs(), False

        def look() -> None:
            nonlocal seen, asked
            if link is not self.link:
                return
            now = signs()
            if link.held or now != seen:
                seen, asked = now, False
            elif asked:
                link.fail(
                    ConnectionClosed(f"{link.peer} has not answered for {interval:g} s: it seems to be gone")
                )
                return
            else:
                asked = True
                link.write(link.connection.ping(seen[0]))
            self._pulse = loop.call_later(interval, look)

        self._pulse = loop.call_later(interval, look)

    # Ending it ----------------------------------------------------------------------------------------------

    def _drop(self, link: Link | None) -> None:
        """Have done with a link."""
        if link is None or link is not self.link:
            return
        self._up = False
        self.link = None
        self._refused = link.refused
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None
        self._owner.link_down(link)
        link.abort()

    def _explained(self, error: TransportError) -> TransportError:
        """The error with what the peer said before."""
        if self._goodbye is None:
            return error
        return _with_goodbye(error, self._goodbye) if self._goodbye else again(error)

    def _is_final(self, error: TransportError) -> bool:
        """Whether the peer said that there is no sense in connecting again."""
        return self._retry_after is None or (self._refused and _is_refusal(error))

    def _finish(self, error: TransportError) -> None:
        """There will be no connection any more."""
        self.over = error
        self._owner.ended(error)
        self._set_state(ClientState.CLOSED, error)

    async def _close(self, finish: Callable[[float], Any], error: TransportError) -> None:
        loop = asyncio.get_running_loop()
        timeout = 0.0 if self.settings is None else self.settings.close_timeout
        deadline = loop.time() + timeout
        self.over = self.over or error
        task, link = self._task, None
        try:
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
            self._task = None
            link = self.link if self._up else None
            if link is not None:
                self._up = False
                self.link = None
                if self._pulse is not None:
                    self._pulse.cancel()
                    self._pulse = None
                link.let_go()
                self._owner.link_down(link)
            else:
                self._drop(self.link)
            self._owner.ended(self.over)
            await finish(deadline)
            if link is not None:
                await link.close(max(0.0, deadline - loop.time()))
        finally:
            if link is not None:
                link.abort()
            self._set_state(ClientState.CLOSED)

    def _closed(self, closing: asyncio.Task[None]) -> None:
        self._closing = None
        look_at(closing)

    def _forget(self, task: asyncio.Task[Any] | None) -> None:
        if self._task is task:
            self._task = None

    def _set_state(self, state: ClientState, error: Exception | None = None) -> None:
        for waiter in self._waiters:
            settle(waiter)
        if state is self.state and error is None:
            return
        self.state = state
        self._owner.state_changed(state, error)

    @property
    def _settings(self) -> Settings:
        if self.settings is None:
            raise TransportError(f"{self._name()} was never connected")
        return self.settings

    @property
    def _address(self) -> Address:
        if self.address is None:
            raise TransportError(f"{self._name()} has no address")
        return self.address


def _is_refusal(error: TransportError) -> bool:
    """Whether what the peer said means that there is no sense in connecting again."""
    return isinstance(error, (HandshakeError, PermissionDenied))


def _with_goodbye(error: TransportError, reason: str) -> TransportError:
    made = type(error)(f"{error} after saying goodbye: {reason}")
    made.__cause__ = error.__cause__
    return made


def settle(future: asyncio.Future[None]) -> None:
    """Have whoever waits for it go on."""
    if not future.done():
        future.set_result(None)


def look_at(task: asyncio.Task[Any]) -> None:
    """Whoever waits for the task has its error, if anybody does; it is none of the event loop's business."""
    if not task.cancelled():
        task.exception()
