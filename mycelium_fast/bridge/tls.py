"""TLS in front of the router: a socket on which a peer's bytes come decrypted, and go encrypted.

    peer ==TLS== asyncio's transport --pump-- inner | socket pair | outer -- the router

To everyone but this file the outer end is as good as a plain connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from .identity import certificate_of

__all__ = ["Decryption"]

_PUMP_SIZE: Final = 64 * 1024
#: Seconds in which a peer should answer the end of TLS, once the router is done with it.
_FAREWELL_S: Final = 1.0
#: ... and those in which it should take what is left. (How much that is, asyncio does not tell.)
_PATIENCE_S: Final = 10.0


class Decryption:
    """The TLS connections of one bridge. Belongs to one event loop."""

    def __init__(self) -> None:
        self._pumps: set[asyncio.Task[None]] = set()

    async def begin(
        self, sock: socket.socket, context: ssl.SSLContext, timeout: float
    ) -> tuple[socket.socket, Mapping[str, Any] | None]:
        """Do the handshake; takes over the socket.

        Returns:
            the socket to go on with, and the certificate that the peer showed.

        Raises:
            OSError: an `ssl.SSLError` (the handshake failed), or the connection broke or took too long.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        # The transport closes it in its own time: nobody else may, or its number is another's meanwhile.
        own = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
        making = loop.create_task(
            loop.connect_accepted_socket(lambda: protocol, own, ssl=context, ssl_handshake_timeout=timeout)
        )
        try:
            await asyncio.wait({making})
        except asyncio.CancelledError:
            # Cancelled itself, it would go on if it has hardly begun, or say farewell if it has just ended.
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
            await asyncio.wait({making})
            if making.exception() is None:
                making.result()[0].abort()
            raise
        transport, _ = making.result()
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            inner, outer = socket.socketpair()
        except OSError:
            transport.abort()
            raise
        for each in (inner, outer):
            each.setblocking(False)
        pump = loop.create_task(_pump(reader, writer, own, inner))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        return outer, certificate_of(transport)

    async def close(self, timeout: float) -> None:
        """Wait until what the router sent has gone out, for at most `timeout` seconds."""
        try:
            if self._pumps:
                await asyncio.wait(self._pumps, timeout=timeout)
        finally:
            self.abort()
        if self._pumps:
            await asyncio.wait(self._pumps)

    def abort(self) -> None:
        """Wait for nothing."""
        for pump in self._pumps:
            pump.cancel()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, own: socket.socket, inner: socket.socket
) -> None:
    """Bytes both ways, until each side has ended."""
    loop = asyncio.get_running_loop()

    async def inwards() -> None:
        while data := await reader.read(_PUMP_SIZE):
            await loop.sock_sendall(inner, data)
        inner.shutdown(socket.SHUT_WR)

    async def outwards() -> None:
        while data := await loop.sock_recv(inner, _PUMP_SIZE):
            writer.write(data)
            # (Of one that is lost, asyncio's transport cannot even tell that.)
            if own.fileno() >= 0 and writer.transport.get_write_buffer_size():
                await _patiently(writer.drain(), lambda: _hung_up(inner), lambda: True)
        writer.close()
        await _patiently(writer.wait_closed(), lambda: True, lambda: _takes_no_more(own))

    both = [loop.create_task(each) for each in (inwards(), outwards())]
    try:
        await asyncio.gather(*both)
    except OSError:
        pass  # either end tells
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        inner.close()
        writer.transport.abort()


async def _patiently(
    waiting: Coroutine[Any, Any, None], over: Callable[[], bool], stuck: Callable[[], bool]
) -> None:
    """Wait for what a peer has to do; once the router is done with the connection, not for ever.

    Raises:
        ConnectionAbortedError: it does not do it.
    """
    task = asyncio.get_running_loop().create_task(waiting)
    waited_s = 0.0
    try:
        while not (await asyncio.wait({task}, timeout=_FAREWELL_S))[0]:
            if over():
                waited_s += _FAREWELL_S
                if waited_s >= _PATIENCE_S or not stuck():
                    raise ConnectionAbortedError("the peer takes nothing, or does not close")
        task.result()
    finally:
        task.cancel()


def _takes_no_more(sock: socket.socket) -> bool:
    """Whether something waits until the peer takes what was sent before."""
    if sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return not poll.poll(0)


def _hung_up(inner: socket.socket) -> bool:
    """Whether the router has closed its end, also while there is something to read from it."""
    poll = select.poll()
    poll.register(inner, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
