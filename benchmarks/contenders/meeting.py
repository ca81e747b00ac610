"""Where the two processes of a benchmark meet: a Unix socket, or TCP on this machine, on any port that is
free.

A place is text: the path of a Unix socket, or `tcp:` and the path of a file, in which the one who listens
leaves its port. What is said on the connection is the contenders' affair.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from harness.processes import TIMEOUT_S, Ready
from harness.processes import accept as accept_unix
from harness.processes import connect as connect_unix

from mycelium_fast import TcpTransport, UnixTransport

HOST = "127.0.0.1"


def is_tcp(place: str) -> bool:
    return place.startswith("tcp:")


def leave_port(place: str, port: int) -> None:
    """Tell the other process where on TCP we listen."""
    Path(place.removeprefix("tcp:")).write_text(str(port))


def port(place: str) -> int:
    """Where the other process listens on TCP."""
    return int(Path(place.removeprefix("tcp:")).read_text())


def accept(ready: Ready, place: str) -> socket.socket:
    """Listen, say so, and take one connection."""
    if not is_tcp(place):
        return accept_unix(ready, place)
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        leave_port(place, listener.getsockname()[1])
        ready()
        sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(None)
    return sock


def connect(place: str) -> socket.socket:
    """A connection to who accepts there."""
    if not is_tcp(place):
        return connect_unix(place)
    sock = socket.create_connection((HOST, port(place)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def transport(place: str, profile: str) -> UnixTransport | TcpTransport:
    """Our blocking transport to who accepts there."""
    options: dict[str, Any] = {"handshake": False, "profile": profile}
    return TcpTransport(HOST, port(place), **options) if is_tcp(place) else UnixTransport(place, **options)


def address(place: str) -> str:
    """What `MyceliumClient` calls it."""
    return f"{HOST}:{port(place)}" if is_tcp(place) else f"unix:{place}"
