"""Sockets to listen on: made so that no other bridge's is taken away, and removed at the end; TLS for them.

What is done with the connections is `control.py`'s affair.
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
from typing import Any

from ..errors import TransportError
from .config import TlsFiles

__all__ = ["listen_tcp", "listen_unix", "remove_unix", "tls_context"]

#: Connections that may wait to be accepted; the system may allow fewer.
_BACKLOG = 4096
#: A name may well stand for addresses that are not there, such as localhost's of IPv6 where that is off.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listen_unix(
    path: str, *, mode: int = 0o600, directory_mode: int = 0o700
) -> tuple[socket.socket, tuple[int, int]]:
    """Listen on a Unix socket; a socket file that nobody answers on is replaced.

    Args:
        mode: permission bits of the file, whatever the umask.
        directory_mode: ... of directories that are made for it.

    Returns:
        the socket, and the identity of its file for `remove_unix`.

    Raises:
        TransportError: another program listens on it, the path is something else than a socket, or cannot be
            used.
    """
    folder = os.path.dirname(os.path.abspath(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_directory(folder, directory_mode)
        with _locked(folder):
            _remove_stale(path)
            sock.bind(path)
            os.chmod(path, mode)  # before anybody can connect
            sock.listen(_BACKLOG)
            status = os.stat(path)
    except TransportError:
        sock.close()
        raise
    except (OSError, ValueError) as error:  # (a NUL, say)
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
    """Listen on every address of a host that this machine has; port 0 takes a free one, the same for each.

    Raises:
        TransportError: the name is not known, or the port is taken.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            taken = port or (sockets[0].getsockname()[1] if sockets else 0)
            try:
                sockets.append(_bound(family, (address[0], taken, *address[2:])))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
        if not sockets and missing is not None:
            raise missing
    except (OSError, ValueError, OverflowError) as error:  # (a name that is none, or a port)
        for sock in sockets:
            sock.close()
        raise _explain(f"{host or 'any address'} port {port}", error) from error
    return sockets


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS for a server; its private key has no password.

    Raises:
        TransportError: a file cannot be read, or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    which = str(files.certificate) if files.key is None else f"{files.certificate} and {files.key}"
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
        if files.authorities is not None:
            which = str(files.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(files.authorities)
    except (OSError, ValueError) as error:
        raise TransportError(f"cannot use {which} for TLS: {error}") from error
    return context


def _no_password() -> str:
    raise ValueError("the private key has a password, which a bridge has nobody to ask for: remove it")


def _make_directory(folder: str, mode: int) -> None:
    """Make a directory and those above it, as far as they are missing, whatever the umask."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    if above != folder:
        _make_directory(above, mode)
    with contextlib.suppress(FileExistsError):  # somebody else's bridge was quicker
        os.mkdir(folder, mode)
        os.chmod(folder, mode)


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


def _explain(where: str, error: Exception) -> TransportError:
    why = error.strerror or error if isinstance(error, OSError) else error
    made = TransportError(f"cannot listen on {where}: {why}")
    made.errno = error.errno if isinstance(error, OSError) else None
    return made
