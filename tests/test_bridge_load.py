"""A bridge with many connections, and with many that come and go: everybody is served, and nothing is left
behind."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bridges import GREETING, Bridge, bridge, hello, raw_client, read_core, read_exactly, read_frame
from links import eventually

from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick
from mycelium_fast.session import core

FRAME = 6 + TradeTick.SIZE

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at processes in /proc")


def frames(count: int) -> bytes:
    return b"".join(TradeTick(price=number, size=1).to_frame() for number in range(count))


def descriptors(running: Bridge) -> int:
    return len(os.listdir(f"/proc/{running.process.pid}/fd"))


def resident_bytes(running: Bridge) -> int:
    pages = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def _enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4_000:
        pytest.skip(f"the system allows {hard} descriptors, and this takes 2,100")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.mark.parametrize("poller", [[], ["--poll"]], ids=["epoll", "poll"])
def test_a_thousand_connections_get_every_frame_in_order(path: Path, poller: list[str]) -> None:
    with bridge(path, "--log-level", "warning", *poller) as running, contextlib.ExitStack() as stack:
        before = descriptors(running)
        plain = [stack.enter_context(raw_client(path)) for _ in range(500)]
        negotiated = [stack.enter_context(raw_client(path, GREETING + hello())) for _ in range(500)]
        for sock in negotiated:
            assert isinstance(read_core(sock), core.Welcome)
            sock.sendall(core.Subscribe(1, False, (TradeTick.TYPE_ID,)).to_frame())
        for sock in negotiated:
            assert read_core(sock) == core.Subscribed(1)
        publisher = stack.enter_context(UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20))
        eventually(lambda: descriptors(running) == before + 1_001)
        # (A plain one is there for certain when what it sent comes back.)
        plain[-1].sendall(frames(1))
        for sock in (*plain, *negotiated):
            assert read_exactly(sock, FRAME) == frames(1)
        ticks = TradeTick.decode_batch(frames(200))
        for _ in range(5):
            publisher.publisher(TradeTick).publish_many(ticks)
            publisher.flush()
            for sock in (*plain, *negotiated):
                assert read_exactly(sock, 200 * FRAME) == frames(200)
        stack.close()
        eventually(lambda: descriptors(running) == before)


@pytest.mark.parametrize("poller", [[], ["--poll"]], ids=["epoll", "poll"])
def test_ten_thousand_connections_that_come_and_go_leave_nothing_behind(
    path: Path, poller: list[str]
) -> None:
    """Half of them leave politely, the others amid a frame or with all unread, while others exchange
    messages."""
    stop = threading.Event()
    with (
        bridge(path, "--log-level", "error", "--slow-consumer", "block", *poller) as running,
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20, echo=False) as sender,
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20) as receiver,
    ):
        received = receiver.subscriber(TradeTick, capacity=10_000, overflow="block")
        publisher = sender.publisher(TradeTick)
        few = descriptors(running)
        published = 0

        def load() -> None:
            nonlocal published
            while not stop.is_set():
                batch = [TradeTick(price=number, size=7) for number in range(published, published + 50)]
                publisher.publish_many(batch)
                publisher.flush()
                published += 50
                for _ in batch:
                    own.append(received.recv(20).price)

        own: list[int] = []
        thread = threading.Thread(target=load)
        thread.start()
        try:
            for _ in range(1_000):
                come_and_go(path)
            eventually(lambda: descriptors(running) == few)
            warm = resident_bytes(running)
            for _ in range(9_000):
                come_and_go(path)
            eventually(lambda: descriptors(running) == few)
        finally:
            stop.set()
            thread.join(30)
        assert own == list(range(published))  # and nobody else's frames are of this type
        assert resident_bytes(running) < warm + 8 * 1024 * 1024
        log = running.stop()
    assert "Traceback" not in log


def come_and_go(path: Path) -> None:
    number = come_and_go.number = getattr(come_and_go, "number", 0) + 1  # type: ignore[attr-defined]
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(path))
        if number % 4 == 0:
            return
        sock.sendall(GREETING if number % 4 == 1 else GREETING + hello())
        if number % 4 == 2:
            sock.sendall(core.Subscribe(1, True, ()).to_frame() + frames(0) + b"\xb0\x04")
        if number % 4 == 3:
            while read_frame(sock)[0] != core.Welcome.TYPE_ID:
                pass  # it was a plain one until now, and got everything
            sock.sendall(core.Subscribe(1, False, (TradeTick.TYPE_ID,)).to_frame())
            assert read_core(sock) == core.Subscribed(1)
