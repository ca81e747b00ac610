"""Connecting blocking sockets, with errors that say what to do.

What is said on the connection afterwards is `stream.py`'s and `session/`'s affair.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Final

from ..errors import PermissionDenied, TransportError, TransportTimeout

__all__ = ["dial_tcp", "dial_unix"]

#: Seconds between attempts at a Unix socket whose backlog is full.
_RETRY_S: Final = 0.01


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
        raise _explain(f"unix socket {name}", error, timeout, f"mycelium bridge --unix {name}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def dial_tcp(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to a host's name or IPv4 or IPv6 address; TCP_NODELAY is set, the socket returned is blocking.

    Raises:
        TransportError: or the subclass for a time-out or missing permission; `errno` is kept.
    """
    try:
        sock = socket.create_connection((host, port), timeout)
    except OSError as error:
        raise _explain(
            f"{host} port {port}", error, timeout, f"mycelium bridge --tcp {host}:{port}"
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(None)
    return sock


def _explain(where: str, error: OSError, timeout: float, command: str) -> TransportError:
    if isinstance(error, TimeoutError):
        return TransportTimeout(f"cannot connect to {where}: no answer within {timeout:g} s")
    text = f"cannot connect to {where}: {error.strerror or error}"
    if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
        text += f"; nothing listens there. Start a bridge: {command} --contracts contracts.yaml"
    kind = PermissionDenied if isinstance(error, PermissionError) else TransportError
    made = kind(text)
    made.errno = error.errno
    return made
