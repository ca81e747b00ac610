"""Sockets to listen on: made so that no other bridge's is taken away, and removed at the end; TLS for them.

What is done with the connections is `relay.py`'s and `serve.py`'s affair.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import ssl
import stat
from collections.abc import Iterator

from ..errors import TransportError

__all__ = ["listen_tcp", "listen_unix", "remove_unix", "tls_context"]

_BACKLOG = 128


def listen_unix(path: str) -> tuple[socket.socket, tuple[int, int]]:
    """Listen on a Unix socket; a socket file that nobody answers on is replaced.

    Returns:
        the socket, and the identity of its file for `remove_unix`.

    Raises:
        TransportError: another program listens on it, the path is something else than a socket, or cannot be
            used.
    """
    folder = os.path.dirname(os.path.abspath(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _locked(folder):
            _remove_stale(path)
            sock.bind(path)
            sock.listen(_BACKLOG)
            status = os.stat(path)
    except TransportError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise _explain(f"unix socket {path}", error) from error
    return sock, (status.st_dev, status.st_ino)


def remove_unix(path: str, identity: tuple[int, int]) -> None:
    """Remove the socket file, unless it is gone or another program's by now."""
    with contextlib.suppress(OSError):
        status = os.stat(path)
        if (status.st_dev, status.st_ino) == identity:
            os.unlink(path)


def listen_tcp(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of a host; port 0 takes a free one, the same for each.

    Raises:
        TransportError: the name is not known, or the port is taken.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port or sockets[0].getsockname()[1], *address[2:]))
            sock.listen(_BACKLOG)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _explain(f"{host or 'any address'} port {port}", error) from error
    return sockets


def tls_context(certificate: str, key: str | None, authorities: str | None) -> ssl.SSLContext:
    """TLS for a server, from files in PEM.

    Args:
        certificate: the server's, with the chain up to what clients trust.
        key: its private key, without a password; None if it is in the same file.
        authorities: whose certificates clients must have; None if they need none.

    Raises:
        TransportError: a file cannot be read, or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    files = certificate if key is None else f"{certificate} and {key}"
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
        if authorities is not None:
            files = authorities
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise TransportError(f"cannot use {files} for TLS: {error}") from error
    return context


def _no_password() -> str:
    raise ValueError("the private key has a password, which a bridge has nobody to ask for: remove it")


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Let one bridge at a time look at, remove and make sockets in a folder; leaves no file behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_stale(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise TransportError(f"{path} exists and is no socket: it was left alone. Choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a listener whose backlog is full is alive as well
        failure = probe.connect_ex(path)
    if failure == errno.ECONNREFUSED:
        os.unlink(path)
    elif failure in (0, errno.EAGAIN, errno.EINPROGRESS):
        raise TransportError(
            f"another program listens on {path}, a bridge most likely: stop it first, or choose another path"
        )
    else:
        raise TransportError(f"{path} cannot be examined ({os.strerror(failure)}): it was left alone")


def _explain(where: str, error: OSError) -> TransportError:
    made = TransportError(f"cannot listen on {where}: {error.strerror or error}")
    made.errno = error.errno
    return made
