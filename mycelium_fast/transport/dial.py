"""Connecting blocking sockets, with TLS where wanted, and errors that say what to do; also the socket that a
program was started with.

What is said on the connection afterwards is `stream.pyx`'s and `session/`'s affair.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from ..errors import PermissionDenied, TransportError, TransportTimeout

if TYPE_CHECKING:
    import ssl

__all__ = ["claim_stdio", "dial_stdio", "dial_tcp", "dial_unix", "explain_dial", "keep_alive"]

#: Seconds between attempts at a Unix socket whose backlog is full.
_RETRY_S: Final = 0.01
#: Keep-alive: seconds of silence before the first probe, seconds between probes, probes unanswered.
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def dial_unix(path: str | os.PathLike[str], timeout: float) -> socket.socket:
    """Connect to a Unix socket within `timeout` seconds; the socket returned is blocking.

    Raises:
        TransportError: or the subclass for a time-out or missing permission; `errno` is kept.
    """
    name = os.fspath(path)
    deadline = time.monotonic() + timeout
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(name)
                break
            except BlockingIOError:
                # The listener's backlog is full; unlike with TCP, there is nothing to wait for.
                if time.monotonic() >= deadline:
                    raise TimeoutError from None
                time.sleep(_RETRY_S)
        sock.setblocking(True)
    except OSError as error:
        sock.close()
        raise explain_dial(f"unix socket {name}", error, timeout, f"mycelium bridge --unix {name}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def dial_tcp(
    host: str,
    port: int,
    timeout: float,
    *,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    keepalive: bool = True,
) -> socket.socket:
    """Connect to a host's name or IPv4 or IPv6 address, and through the TLS handshake if there is a context.

    Args:
        timeout: seconds for all of it.
        server_hostname: the name that the server's certificate must have; None for `host`.
        keepalive: have the system find peers that are gone without a word.

    Returns:
        a blocking socket, an `ssl.SSLSocket` with TLS; TCP_NODELAY is set.

    Raises:
        TransportError: or the subclass for a time-out or missing permission; `errno` is kept.
    """
    deadline = time.monotonic() + timeout
    where = f"{host} port {port}"
    try:
        sock = socket.create_connection((host, port), timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if keepalive:
                keep_alive(sock)
            if tls is not None:
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                sock = tls.wrap_socket(sock, server_hostname=server_hostname or host)
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise explain_dial(where, error, timeout, f"mycelium bridge --tcp {host}:{port}") from error
    return sock


_claimed: socket.socket | None = None


def claim_stdio() -> None:
    """Take the socket that is this program's standard input and output, and keep it for `dial_stdio()`.

    From then on standard input is empty and what is written to standard output goes to standard error, so
    that a stray `print()` does not end up among the frames.

    Raises:
        TransportError: standard input is no stream socket, or was taken before.
    """
    global _claimed
    if _claimed is not None:
        return
    try:
        descriptor = os.dup(0)
        try:
            sock = socket.socket(fileno=descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if sock.type != socket.SOCK_STREAM:
            sock.close()
            raise OSError(errno.ENOTSOCK, "it is no stream socket")
    except OSError as error:
        made = TransportError(
            "standard input is no connection, or was used as one before: the address stdio: is for a program "
            'that a bridge starts as a worker with transport = "stdio", and for one connection'
        )
        made.errno = error.errno
        raise made from error
    with open(os.devnull, "r+b", buffering=0) as nothing:
        os.dup2(nothing.fileno(), 0)
        try:
            os.dup2(2, 1)
        except OSError:  # there is no standard error
            os.dup2(nothing.fileno(), 1)
    # Python has standard output for a pipe still, which is written in blocks.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)
    _claimed = sock


def dial_stdio() -> socket.socket:
    """The socket that is this program's standard input and output; blocking, and for one connection.

    Raises:
        TransportError: as `claim_stdio`.
    """
    global _claimed
    claim_stdio()
    sock, _claimed = _claimed, None
    if sock is None:  # another thread was faster
        raise TransportError("the connection that this program was started with is used already")
    sock.setblocking(True)
    return sock


def keep_alive(sock: socket.socket) -> None:
    """Have the system probe a silent TCP peer, and end the connection if it does not answer for a minute."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        with contextlib.suppress(OSError, AttributeError):  # not every system has each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def explain_dial(where: str, error: OSError, timeout: float, command: str) -> TransportError:
    """What to raise where connecting failed with `error`; `command` would start a bridge there."""
    import ssl  # not at the top: few connections use TLS

    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return TransportError(
            f"cannot connect to {where}: its certificate is not accepted: {reason}. Give "
            "a context that trusts its authority (ssl.create_default_context(cafile=...)), and the name that "
            "it is made out to (server_hostname)"
        )
    if isinstance(error, ssl.SSLError):
        return TransportError(
            f"cannot connect to {where}: the TLS handshake failed: {error.reason or error}. It may speak no "
            "TLS, or want a certificate of this client (context.load_cert_chain)"
        )
    if isinstance(error, TimeoutError):
        return TransportTimeout(f"cannot connect to {where}: no answer within {timeout:g} s")
    text = f"cannot connect to {where}: {error.strerror or error}"
    if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
        text += f"; nothing listens there. Start a bridge: {command} --contracts contracts.yaml"
    kind = PermissionDenied if isinstance(error, PermissionError) else TransportError
    made = kind(text)
    made.errno = error.errno
    return made
