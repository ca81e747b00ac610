"""A blocking transport whose other end the test drives by hand, and what such tests say to each other over
it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bridges import Peer, read_core

from mycelium_fast import TcpTransport, UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick
from mycelium_fast.session import ALL_FEATURES, Features, core

TICK = 6 + TradeTick.SIZE


def ticks(first: int, end: int) -> list[Any]:
    return [TradeTick(price=number, size=number + 1) for number in range(first, end)]


def frames(messages: Iterable[Any]) -> bytes:
    return b"".join(message.to_frame() for message in messages)


def text(content: str = "end") -> Any:
    return TextMessage(sender="peer", content=content, timestamp=1)


def prices(data: bytes) -> list[int]:
    """The numbers in frames of ticks."""
    return [tick.price for tick in TradeTick.decode_batch(data)]


@contextlib.contextmanager
def linked(
    directory: Path, features: Features | None = None, **options: Any
) -> Iterator[tuple[UnixTransport, socket.socket]]:
    """A connected transport and the other end of its connection: a plain peer, or one that agrees on
    features.
    """
    path = directory / "peer.sock"
    peer = Peer(path)
    options = {"handshake_grace": 0.01 if features is None else 20.0, "close_timeout": 2.0, **options}
    transport = UnixTransport(path, SCHEMA_DIGEST, **options)
    try:
        with ThreadPoolExecutor(1) as pool:
            connecting = pool.submit(transport.connect)
            sock = peer.accept()
            if features is not None:
                peer.welcome(features)
            connecting.result(20)
        yield transport, sock
    finally:
        peer.close()
        path.unlink()
        transport.close()


def negotiated(directory: Path, **options: Any) -> contextlib.AbstractContextManager[Any]:
    return linked(directory, ALL_FEATURES, **options)


def subscribed(sock: socket.socket, make: Callable[[], Any], *type_ids: int) -> Any:
    """What `make` returns, having seen it ask for these types, and confirmed."""
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(make)
        request = read_core(sock)
        assert isinstance(request, core.Subscribe)
        assert (request.all, sorted(request.type_ids)) == (not type_ids, sorted(type_ids))
        sock.sendall(core.Subscribed(request.request).to_frame())
        return making.result(20)


@contextlib.contextmanager
def thread(function: Callable[[], object]) -> Iterator[threading.Thread]:
    """Run a function in a thread meanwhile; its exception is raised at the end."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(function)
        yield threading.current_thread()
        running.result(60)


def eventually(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Wait for what no event tells of."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.002)


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd"))


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tcp(port: int, **options: Any) -> TcpTransport:
    return TcpTransport("localhost", port, SCHEMA_DIGEST, **options)
