"""The bridge within a program, and the fixtures for tests of programs that use one."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, GREETING, read_exactly
from links import descriptors, eventually

from mycelium_fast import MyceliumClient, SocketTransport, UnixTransport
from mycelium_fast.bridge import Bridge, BridgeConfig, BridgeThread, Buffers, Listener
from mycelium_fast.errors import ContractError, TransportError
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick


def tick(number: int) -> Any:
    return TradeTick(price=number, size=number)


@pytest.fixture
def config(tmp_path: Path) -> BridgeConfig:
    return BridgeConfig((Listener("unix", unix=tmp_path / "bus.sock"),), CONTRACTS)


def test_a_bridge_runs_within_an_event_loop(config: BridgeConfig) -> None:
    async def main() -> None:
        async with Bridge(config) as bridge:
            assert bridge.addresses == [f"unix:{config.listeners[0].unix}"]
            assert bridge.digest == SCHEMA_DIGEST
            async with MyceliumClient(bridge.addresses[0], schema_digest=SCHEMA_DIGEST) as client:
                received = client.subscriber(TradeTick)
                await received.subscribed()
                await client.publish(tick(1))
                assert await received.recv() == tick(1)
        assert config.listeners[0].unix is not None
        assert not config.listeners[0].unix.exists()

    asyncio.run(main())


def test_a_program_talks_to_its_own_bridge_without_an_address() -> None:
    with BridgeThread(BridgeConfig(contracts=CONTRACTS)) as bridge:
        assert bridge.addresses == []
        with (
            SocketTransport(bridge.connect(), SCHEMA_DIGEST, handshake_grace=20) as one,
            SocketTransport(bridge.connect(), SCHEMA_DIGEST, handshake_grace=20) as other,
        ):
            received = other.subscriber(TradeTick)
            one.publisher(TradeTick).publish(tick(1))
            assert received.recv(20) == tick(1)


def test_a_snapshot_says_who_is_there_and_what_went_through(config: BridgeConfig) -> None:
    path = config.listeners[0].unix
    with (
        BridgeThread(config) as bridge,
        UnixTransport(path, SCHEMA_DIGEST, service="feed", echo=False) as feed,
        UnixTransport(path, SCHEMA_DIGEST, service="risk") as risk,
    ):
        received = risk.subscriber(TradeTick)
        feed.publisher(TradeTick).publish_many([tick(number) for number in range(10)])
        feed.flush()
        assert [received.recv(20) for _ in range(10)] == [tick(number) for number in range(10)]
        found = bridge.snapshot()
        one, other = found.connections
        assert (one.service, one.publishes, one.subscribes_to) == ("feed", [TradeTick.TYPE_ID], [])
        assert (other.service, other.publishes, other.subscribes_to) == ("risk", [], [TradeTick.TYPE_ID])
        assert (one.frames_in, one.bytes_in, other.frames_out, other.bytes_out) == (10, 220, 10, 220)
        assert (one.listener, one.negotiated, one.missed, one.pending) == ("unix", True, 0, 0)
        types = {each.name: each for each in found.types}
        assert (types["TradeTick"].frames, types["TradeTick"].bytes) == (10, 220)
        assert (types["TextMessage"].frames, types["TextMessage"].topic) == (0, TextMessage.TOPIC)
        assert (found.accepted, found.refused, found.frames_in, found.frames_out) == (2, 0, 10, 10)
        assert found.ready
        assert found.uptime > 0
        risk.close()
        eventually(lambda: len(bridge.snapshot().connections) == 1)
        assert bridge.snapshot().frames_out == 10  # of those who left as well


def test_a_bridge_leaves_no_thread_descriptor_or_task_behind(config: BridgeConfig) -> None:
    def once() -> None:
        with BridgeThread(config) as bridge, UnixTransport(config.listeners[0].unix, SCHEMA_DIGEST) as client:
            client.publisher(TradeTick).publish(tick(1))
            assert bridge.addresses

    once()
    before, threads = descriptors(), threading.active_count()
    for _ in range(20):
        once()
    assert descriptors() == before
    assert threading.active_count() == threads


def test_what_cannot_start_says_so_and_leaves_nothing_behind(tmp_path: Path, config: BridgeConfig) -> None:
    before, threads = descriptors(), threading.active_count()
    taken = tmp_path / "file"
    taken.write_text("mine")
    two = (*config.listeners, Listener("other", unix=taken))
    with pytest.raises(TransportError, match="exists and is no socket"):
        BridgeThread(BridgeConfig(two, CONTRACTS)).start()
    with pytest.raises(ContractError):
        BridgeThread(BridgeConfig(config.listeners, taken)).start()
    with pytest.raises(TransportError, match="neither unix nor tcp"):
        BridgeThread(BridgeConfig((Listener("nowhere"),), CONTRACTS)).start()
    assert taken.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["file"]
    assert (descriptors(), threading.active_count()) == (before, threads)


@pytest.mark.parametrize(("mode", "directory_mode"), [(0o600, 0o700), (0o660, 0o750)])
def test_sockets_and_directories_have_the_modes_of_the_configuration(
    tmp_path: Path, mode: int, directory_mode: int
) -> None:
    path = tmp_path / "run" / "mycelium" / "bus.sock"
    listener = Listener("unix", unix=path, mode=mode, directory_mode=directory_mode)
    umask = os.umask(0o027)
    try:
        with BridgeThread(BridgeConfig((listener,), CONTRACTS)):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert stat.S_IMODE(path.parent.stat().st_mode) == directory_mode
            assert stat.S_IMODE(path.parent.parent.stat().st_mode) == directory_mode
    finally:
        os.umask(umask)


@pytest.mark.parametrize(("read_size", "least", "most"), [(64 * 1024, 2, 100), (1024 * 1024, 1, 1)])
def test_a_bridge_reads_as_much_at_once_as_it_is_told(read_size: int, least: int, most: int) -> None:
    frames = tick(1).to_frame() * (100 * 1024 // 22)

    async def main() -> None:
        config = BridgeConfig(contracts=CONTRACTS, buffers=Buffers(read_size=read_size))
        async with Bridge(config) as bridge:
            with bridge.connect() as sock:
                sock.settimeout(20)
                sock.sendall(GREETING + frames)  # all of it is there when the router looks for the first time
                assert await asyncio.to_thread(read_exactly, sock, len(frames)) == frames
                assert bridge._control is not None
                (routed,) = bridge._control._clients
                assert least <= routed.stats().reads <= most

    asyncio.run(main())


def test_a_bridge_is_started_once(config: BridgeConfig) -> None:
    bridge = BridgeThread(config)
    bridge.close()
    with pytest.raises(RuntimeError, match="start"):
        bridge.snapshot()
    with bridge, pytest.raises(RuntimeError, match="once"):
        bridge.start()
    bridge.close()


# The plugin for pytest --------------------------------------------------------------------------------------

PLUGIN_TEST = """
import pytest
from mycelium_fast.example_messages import TradeTick

@pytest.fixture
def mycelium_contracts():
    return {contracts!r}

def test_blocking(mycelium_transport):
    one, other = mycelium_transport(), mycelium_transport(service="other")
    received = other.subscriber(TradeTick)
    one.publisher(TradeTick).publish(TradeTick(1, 2))
    assert received.recv(20) == TradeTick(1, 2)

def test_asyncio(mycelium_client, mycelium_bridge):
    import asyncio

    async def main():
        async with mycelium_client(service="there") as client:
            received = client.subscriber(TradeTick)
            await received.subscribed()
            await client.publish(TradeTick(3, 4))
            assert await received.recv() == TradeTick(3, 4)
            assert [each.service for each in mycelium_bridge.snapshot().connections] == ["there"]

    asyncio.run(main())
"""


def test_a_project_tests_against_a_real_bridge_with_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(PLUGIN_TEST.format(contracts=str(CONTRACTS)))
    result = run_pytest(tmp_path)
    assert "2 passed" in result.stdout, result.stdout
    assert result.returncode == 0


def test_the_plugin_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_bridge(mycelium_bridge): pass\n")
    result = run_pytest(tmp_path)
    assert "Write a fixture mycelium_contracts" in result.stdout
    assert result.returncode == 1


def run_pytest(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
