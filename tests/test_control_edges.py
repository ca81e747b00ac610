"""The bridge's control plane where something goes wrong half-way: what is left behind, and who is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import (
    CONTRACTS,
    GREETING,
    hello,
    is_closed,
    negotiated_client,
    raw_client,
    read_core,
    read_exactly,
    subscribe,
)
from bridges import bridge as process
from certificates import Certificates
from links import descriptors, eventually

from mycelium_fast.bridge import AccessRule, BridgeConfig, BridgeThread, Limits, Listener, TlsFiles
from mycelium_fast.bridge import Bridge as Embedded
from mycelium_fast.bridge.config import AdminConfig, Buffers
from mycelium_fast.bridge.listen import listen_tcp, listen_unix
from mycelium_fast.errors import TransportError
from mycelium_fast.example_messages import TextMessage, TradeTick
from mycelium_fast.session import RejectCode, core

TICK, TEXT = TradeTick.TYPE_ID, TextMessage.TYPE_ID
ME = f"uid:{os.getuid()}"


def tick(number: int) -> bytes:
    return TradeTick(price=number, size=0).to_frame()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def config(path: Path, *rules: AccessRule, **settings: Any) -> BridgeConfig:
    listeners = settings.pop("listeners", (Listener("unix", unix=path),))
    return BridgeConfig(listeners, CONTRACTS, access=rules, **settings)


def secure(certificates: Certificates) -> Listener:
    return Listener("tls", tcp=("127.0.0.1", 0), tls=TlsFiles(certificates.server))


def port_of(bridge: Any) -> int:
    return int(next(each for each in bridge.addresses if each.startswith("t")).rpartition(":")[2])


def over_tls(bridge: Any, certificates: Certificates) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", port_of(bridge)), 20)
    try:
        return certificates.client_context().wrap_socket(sock, server_hostname="localhost")
    except BaseException:
        sock.close()
        raise


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[Any]:
    return [record for record in caplog.records if getattr(record, "event", "") == name]


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What asyncio, or a task that failed, has to complain of."""
    return [
        each.getMessage() for each in caplog.records if each.name == "asyncio" and each.levelno > logging.INFO
    ]


@contextlib.contextmanager
def few_descriptors(room: int) -> Iterator[None]:
    """No more than so many descriptors beside those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each) for each in os.listdir("/proc/self/fd"))
    filled = []
    while (number := os.dup(0)) <= highest:  # no gaps below the limit
        filled.append(number)
    os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in filled:
            os.close(each)


# The end of a bridge ----------------------------------------------------------------------------------------


def stuck(path: Path) -> socket.socket:
    """A client that asks for ticks and takes none: at the end of a bridge, it is waited for."""
    sock, _ = negotiated_client(path)
    subscribe(sock, TICK)
    return sock


async def fill(bridge: Embedded, path: Path) -> None:
    """Have something wait for those who take nothing."""
    with await asyncio.to_thread(raw_client, path) as feed:
        await asyncio.to_thread(feed.sendall, tick(1) * 200_000)
        while not any(each.pending for each in bridge.snapshot().connections):
            await asyncio.sleep(0.002)


def test_a_bridge_that_stops_lets_nobody_in(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        bridge = Embedded(config(path, close_timeout=20.0))
        await bridge.start()
        with await asyncio.to_thread(stuck, path) as waited_for:
            await fill(bridge, path)
            closing = asyncio.ensure_future(bridge.close())
            for _ in range(10):
                await asyncio.sleep(0)
            assert not closing.done()
            accepted = len(events(caplog, "client.connected"))
            with socket.socket(socket.AF_UNIX) as late:
                late.settimeout(20)
                with contextlib.suppress(OSError):
                    late.connect(str(path))
                    late.sendall(GREETING)
                    assert await asyncio.to_thread(is_closed, late)
            assert not closing.done()
            with pytest.raises(TransportError, match="the bridge stops"):
                bridge.connect()
            assert len(events(caplog, "client.connected")) == accepted
            waited_for.close()
            await asyncio.wait_for(closing, 20)

    asyncio.run(main())
    assert troubles(caplog) == []


def test_a_bridge_that_has_stopped_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Embedded(config(path)) as bridge:
            pass
        for ask in (bridge.connect, bridge.snapshot):
            with pytest.raises(TransportError, match="has stopped"):
                ask()
        with pytest.raises(TransportError, match="has stopped"):
            await bridge.reload(config(path))
        assert "0 connections" in bridge.summary()

    asyncio.run(main())
    assert troubles(caplog) == []


def test_a_close_that_is_cancelled_leaves_nothing_behind(path: Path) -> None:
    before, threads = descriptors(), threading.active_count()

    async def main() -> None:
        bridge = Embedded(config(path, close_timeout=60.0))
        await bridge.start()
        with await asyncio.to_thread(stuck, path):
            await fill(bridge, path)
            closing = asyncio.ensure_future(bridge.close())
            done, _ = await asyncio.wait({closing}, timeout=0.2)
            assert not done
            closing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await closing
            names = [each.name for each in threading.enumerate()]
            assert "mycelium-router" not in names

    asyncio.run(main())
    assert not path.exists()
    eventually(lambda: (descriptors(), threading.active_count()) == (before, threads))


def test_whoever_connects_at_the_very_end_is_closed_in_order(path: Path) -> None:
    """At each step of the event loop between a connection's arrival and its first byte."""

    async def main(steps: int) -> None:
        bridge = Embedded(config(path))
        await bridge.start()
        await asyncio.sleep(0)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(path))
            for _ in range(steps):
                await asyncio.sleep(0)
            await bridge.close()
            assert await asyncio.to_thread(is_closed, sock)

    for steps in range(6):
        asyncio.run(main(steps))  # (a socket that is left to the garbage collector fails the test)


def test_what_cannot_start_because_of_its_status_page_leaves_nothing_behind(path: Path) -> None:
    before, threads = descriptors(), threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        admin = AdminConfig(port=taken.getsockname()[1])

        async def main() -> None:
            with pytest.raises(TransportError):
                await Embedded(config(path, admin=admin)).start()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())
    assert not path.exists()
    assert (descriptors(), threading.active_count()) == (before, threads)


def test_two_who_close_a_bridge_both_wait_for_its_end(path: Path) -> None:
    async def main() -> None:
        bridge = Embedded(config(path, close_timeout=20.0))
        await bridge.start()
        with await asyncio.to_thread(stuck, path) as waited_for:
            await fill(bridge, path)
            closing = [asyncio.ensure_future(bridge.close()) for _ in range(2)]
            assert not (await asyncio.wait(closing, timeout=0.2, return_when=asyncio.FIRST_COMPLETED))[0]
            waited_for.close()
            await asyncio.wait_for(asyncio.gather(*closing), 20)

    asyncio.run(main())


# Without descriptors, memory or time ------------------------------------------------------------------------


def test_a_connection_that_cannot_be_taken_does_not_count(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rule = AccessRule(identity=(ME,), max_connections=2)
    with BridgeThread(config(path, rule)) as bridge:
        with (
            socket.socket(socket.AF_UNIX) as sock,
            few_descriptors(1),
        ):  # for the accepted socket, not its copy
            sock.settimeout(20)
            sock.connect(str(path))
            sock.sendall(GREETING)
            with contextlib.suppress(TimeoutError):
                sock.settimeout(2)
                is_closed(sock)
        eventually(lambda: not bridge.snapshot().connections)
        with raw_client(path) as one, raw_client(path) as other:
            for each in (one, other):
                each.sendall(tick(1))
                assert read_exactly(each, 22) == tick(1)
    assert troubles(caplog) == []


def test_tls_without_descriptors_costs_that_connection_alone(
    certificates: Certificates, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with BridgeThread(config(path, listeners=(secure(certificates),))) as bridge:
        with over_tls(bridge, certificates) as sock:
            sock.sendall(GREETING + tick(1))
            assert read_exactly(sock, 22) == tick(1)
        eventually(lambda: not bridge.snapshot().connections)
        before = descriptors()
        raw = socket.create_connection(("127.0.0.1", port_of(bridge)), 20)
        context = certificates.client_context()
        eventually(lambda: descriptors() == before + 2)
        with (
            few_descriptors(1),
            contextlib.suppress(OSError),
            context.wrap_socket(raw, server_hostname="localhost") as sock,
        ):
            sock.sendall(GREETING + tick(1))
            sock.recv(1)
        raw.close()
        eventually(lambda: descriptors() == before)
        for _ in range(3):
            with over_tls(bridge, certificates) as sock:
                sock.sendall(GREETING + tick(1))
                assert read_exactly(sock, 22) == tick(1)
    assert troubles(caplog) == []


def test_a_busy_event_loop_is_not_the_fault_of_those_who_connect(path: Path) -> None:
    async def main() -> None:
        async with Embedded(config(path, limits=Limits(handshake_timeout=0.2))):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(str(path))
                sock.sendall(GREETING[:10])
                for _ in range(10):
                    await asyncio.sleep(0)
                sock.sendall(GREETING[10:] + tick(1))
                threading.Event().wait(0.5)  # the program's own work
                assert await asyncio.to_thread(read_exactly, sock, 22) == tick(1)

    asyncio.run(main())


def test_a_handshake_that_has_to_make_room_is_told_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(max_handshakes=1, handshake_timeout=60)
    with BridgeThread(config(path, limits=limits)) as bridge, raw_client(path, b"\x20\x00") as silent:
        with raw_client(path, GREETING + tick(1)) as sock:
            assert read_exactly(sock, 22) == tick(1)
        assert is_closed(silent)
        (refused,) = events(caplog, "client.refused")
        assert ME in refused.identity
        assert bridge.snapshot().refused == 1


# Access -----------------------------------------------------------------------------------------------------


def test_a_name_of_ones_own_choice_makes_no_other_identity(path: Path) -> None:
    with (
        BridgeThread(config(path, AccessRule(identity=(ME,), max_connections=2))),
        contextlib.ExitStack() as stack,
    ):
        for name in ("a", "b"):
            sock = stack.enter_context(raw_client(path, GREETING + hello(name)))
            assert isinstance(read_core(sock), core.Welcome)
        with raw_client(path, GREETING + hello("c")) as third:
            assert read_core(third).code == RejectCode.LIMIT


def test_services_are_counted_each_where_a_rule_is_for_services(path: Path) -> None:
    with (
        BridgeThread(config(path, AccessRule(identity=("service:*",), max_connections=1))),
        contextlib.ExitStack() as stack,
    ):
        for name in ("a", "b"):
            sock = stack.enter_context(raw_client(path, GREETING + hello(name)))
            assert isinstance(read_core(sock), core.Welcome)
        with raw_client(path, GREETING + hello("a")) as third:
            assert read_core(third).code == RejectCode.LIMIT


def test_connections_stay_counted_when_rules_change(path: Path) -> None:
    limited = AccessRule(identity=(ME,), max_connections=1)
    other = AccessRule(identity=("uid:123456789",))
    with BridgeThread(config(path, limited)) as bridge, raw_client(path) as first:
        first.sendall(tick(1))
        assert read_exactly(first, 22) == tick(1)
        bridge.reload(config(path, other, limited))
        with raw_client(path, GREETING + hello()) as second:
            assert read_core(second).code == RejectCode.LIMIT
        first.sendall(tick(2))
        assert read_exactly(first, 22) == tick(2)
        first.close()
        eventually(lambda: not bridge.snapshot().connections)
        with raw_client(path, GREETING + hello()) as third:
            assert isinstance(read_core(third), core.Welcome)


def test_a_rule_that_comes_to_fit_does_not_wait_for_a_name(path: Path) -> None:
    limits = Limits(handshake_timeout=0.5)
    with (
        BridgeThread(config(path, AccessRule(identity=("service:risk",)), limits=limits)) as bridge,
        raw_client(path) as sock,
    ):
        eventually(lambda: bridge.snapshot().connections)
        bridge.reload(config(path, AccessRule(), limits=limits))
        sock.sendall(tick(1))
        assert read_exactly(sock, 22) == tick(1)
        sock.settimeout(1.0)  # twice the time that it had
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_a_service_that_is_refused_is_refused_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(handshake_timeout=0.3)
    with BridgeThread(config(path, AccessRule(identity=("service:risk",)), limits=limits)) as bridge:
        with raw_client(path, GREETING + hello("other")) as sock:
            assert read_core(sock).code == RejectCode.PERMISSION
            eventually(lambda: not bridge.snapshot().connections)  # it was cut off
        assert bridge.snapshot().refused == 1
        assert len(events(caplog, "client.refused")) == 1


HOSTILE = "x\n2026-01-01 00:00:00,000 INFO root: all is well\x1b[2J\u202e"


def test_no_name_of_a_client_makes_a_line_of_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rules = (AccessRule(identity=("service:x*",), publish=(), receive=("TradeTick",)),)
    with BridgeThread(config(path, *rules)) as bridge:
        with raw_client(path, GREETING + hello(HOSTILE)) as sock:
            assert isinstance(read_core(sock), core.Welcome)
            sock.sendall(core.Subscribe(1, False, [TEXT]).to_frame() + tick(1))
            assert read_core(sock).type_id == TEXT
            assert read_core(sock) == core.Subscribed(1)
            assert read_core(sock).type_id == TICK
            sock.sendall(core.Goodbye(0, HOSTILE).to_frame())
            eventually(lambda: events(caplog, "client.goodbye"))
        with raw_client(path, GREETING + hello("y" + HOSTILE)) as sock:
            assert read_core(sock).fatal
        eventually(lambda: not bridge.snapshot().connections)
    for name in (
        "client.negotiated",
        "subscribe.denied",
        "publish.denied",
        "client.goodbye",
        "client.refused",
    ):
        assert events(caplog, name)
    for record in caplog.records:
        assert record.getMessage().isprintable(), record.getMessage()
    assert events(caplog, "client.negotiated")[0].client == HOSTILE  # JSON has it as it was


# Frames -----------------------------------------------------------------------------------------------------


def test_a_hello_of_another_length_is_a_frame_like_any_other(path: Path) -> None:
    odd = struct.pack("<HI", core.Hello.TYPE_ID, 3) + b"abc"
    with BridgeThread(config(path)) as bridge, raw_client(path, GREETING + odd + tick(1)) as sock:
        assert read_exactly(sock, 22) == tick(1)
        assert not bridge.snapshot().connections[0].negotiated


def test_a_publisher_that_is_held_up_is_not_taken_for_dead(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {
        "heartbeat": 0.05,
        "slow_consumer": "block",
        "stall_timeout": 60.0,
        "buffers": Buffers(max_output=65_536),
    }
    with BridgeThread(config(path, **settings)) as bridge, raw_client(path) as slow:
        slow.sendall(tick(0))
        assert read_exactly(slow, 22) == tick(0)
        sock, _ = negotiated_client(path)
        with sock, ThreadPoolExecutor(1) as pool:
            subscribe(sock, TEXT)
            frames = b"".join(tick(number) for number in range(200_000))
            sending = pool.submit(sock.sendall, frames)
            rounds = threading.Event()
            number = next(each.number for each in bridge.snapshot().connections if each.negotiated)

            def frames_in() -> int:
                return next(
                    (each.frames_in for each in bridge.snapshot().connections if each.number == number), -1
                )

            before = -1
            while before != (before := frames_in()):
                rounds.wait(0.1)
            rounds.wait(0.5)  # ten intervals
            assert not events(caplog, "client.dead")
            assert read_exactly(slow, len(frames)) == frames
            sending.result(20)


# TLS --------------------------------------------------------------------------------------------------------


def test_a_tls_client_that_takes_nothing_is_cut_off_like_any_other(
    certificates: Certificates, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = (Listener("unix", unix=path), secure(certificates))
    buffers = Buffers(max_output=65_536, socket_buffer=8192)
    settings = {"slow_consumer": "disconnect", "buffers": buffers}
    with BridgeThread(config(path, listeners=listeners, **settings)) as bridge:
        before = descriptors()
        with over_tls(bridge, certificates) as slow, raw_client(path) as feed:
            slow.sendall(GREETING + hello())
            assert isinstance(read_core(slow), core.Welcome)
            subscribe(slow, TICK)
            block = tick(1) * 1_000
            while not events(caplog, "client.stalled"):
                feed.sendall(block)  # no faster than it goes on, until nothing goes on
                assert read_exactly(feed, len(block)) == block
                with contextlib.suppress(AssertionError):
                    eventually(lambda: not any(each.pending for each in bridge.snapshot().connections), 0.5)
            eventually(
                lambda: descriptors() == before + 3, 40
            )  # both ends of the feed's, and the client's own


def test_a_tls_client_gets_what_waited_for_it_at_the_end(certificates: Certificates, path: Path) -> None:
    """It takes its time for what is left, longer than a second."""
    listeners = (Listener("unix", unix=path), secure(certificates))
    buffers = Buffers(socket_buffer=8192)
    with (
        ThreadPoolExecutor(1) as pool,
        BridgeThread(config(path, listeners=listeners, close_timeout=20.0, buffers=buffers)) as bridge,
        socket.socket() as raw,
    ):
        raw.settimeout(20)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        raw.connect(("127.0.0.1", port_of(bridge)))
        with certificates.client_context().wrap_socket(raw, server_hostname="localhost") as slow:
            slow.sendall(GREETING + hello())
            assert isinstance(read_core(slow), core.Welcome)
            subscribe(slow, TICK)
            frames = b"".join(tick(number) for number in range(50_000))
            with raw_client(path) as feed:
                sending = pool.submit(feed.sendall, frames)
                read_exactly(feed, len(frames))
                sending.result(20)
            closing = pool.submit(bridge.close)
            received = bytearray(read_exactly(slow, len(frames) - 400_000))
            pause = threading.Event()
            while len(received) < len(frames):
                pause.wait(0.3)
                received += read_exactly(slow, 50_000)
            assert received == frames
            assert isinstance(read_core(slow), core.Goodbye)
        closing.result(20)


def test_a_publisher_over_tls_hears_goodbye(certificates: Certificates, path: Path) -> None:
    with process(None, "--tcp", "127.0.0.1:0", *certificates.options()) as running:
        context = certificates.client_context()
        raw = socket.create_connection(("127.0.0.1", running.tcp_port), 20)
        with context.wrap_socket(raw, server_hostname="localhost") as sock:
            sock.sendall(GREETING + hello())
            assert isinstance(read_core(sock), core.Welcome)
            sock.setblocking(False)
            block, received, stopped = tick(1) * 100, b"", False
            for turn in range(1_000_000):
                with contextlib.suppress(ssl.SSLWantWriteError, OSError):
                    sock.send(block)
                try:
                    data = sock.recv(4096)
                except ssl.SSLWantReadError:
                    data = None
                except (ssl.SSLEOFError, ConnectionResetError):
                    data = b""
                if data == b"":
                    break
                received += data or b""
                if turn == 1000:
                    running.process.send_signal(signal.SIGTERM)
                    stopped = True
            assert stopped
            assert len(received) > 6
            assert int.from_bytes(received[:2], "little") == core.Goodbye.TYPE_ID
        assert running.process.wait(20) == 0


def test_tls_that_is_given_up_at_any_step_leaves_nothing_behind(
    certificates: Certificates, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bridge that stops so many steps of its event loop after a connection came."""

    async def once(steps: int) -> None:
        bridge = Embedded(config(path, listeners=(secure(certificates),), close_timeout=0.05))
        await bridge.start()
        context = certificates.client_context()
        with socket.create_connection(("127.0.0.1", port_of(bridge)), 20) as raw:
            raw.setblocking(False)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
            for _ in range(steps):  # both ends in turns, so that each step is the same each time
                with contextlib.suppress(ssl.SSLWantReadError):
                    client.do_handshake()
                if data := outgoing.read():
                    raw.sendall(data)
                await asyncio.sleep(0)
                with contextlib.suppress(BlockingIOError, ConnectionResetError):
                    incoming.write(raw.recv(65_536))
            await asyncio.wait_for(bridge.close(), 20)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(once(0))
    before = descriptors()
    for steps in range(30):
        asyncio.run(once(steps))
        assert descriptors() == before, steps
    assert troubles(caplog) == []


# Addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["\0abstract", "x" * 200, "a\udcff\0"])
def test_a_path_that_cannot_be_a_sockets_is_an_error_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(TransportError, match="cannot listen on"):
        listen_unix(str(tmp_path / name))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("address", [("x" * 80 + ".example", 0), ("127.0.0.1", 70_000), ("a\0b", 0)])
def test_an_address_that_means_nothing_is_an_error_and_leaves_nothing(address: tuple[str, int]) -> None:
    with pytest.raises(TransportError, match="cannot listen on"):
        listen_tcp(*address)


def test_addresses_that_are_not_here_are_left_out_unless_they_are_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with `::1 localhost` in the hosts file of a machine without IPv6."""
    known = {"some": ("203.0.113.1", "127.0.0.1", "203.0.113.2"), "none": ("203.0.113.1",)}

    def resolve(name: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    (sock,) = listen_tcp("some", 0)
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    with pytest.raises(TransportError, match="cannot listen on none"):
        listen_tcp("none", 0)


# The process ------------------------------------------------------------------------------------------------


TOPOLOGY = """
[[nodes]]
name = "hub"
services = ["risk"]
[nodes.endpoint]
kind = "unix"
addr = {address!r}
[bridge]
contracts = {contracts!r}
"""


def test_no_file_whatever_ends_a_bridge_that_reads_it_again(tmp_path: Path, path: Path) -> None:
    file = tmp_path / "topology.toml"
    good = TOPOLOGY.format(address=str(path), contracts=str(CONTRACTS))
    file.write_text(good)
    with process(None, "--topology", str(file), contracts=None) as running:
        running.wait_log("is up")
        for count, bad in enumerate((b"\xff", b"a = " + b"[" * 100_000, b"a = 1" + b"0" * 10_000), 1):
            file.write_bytes(good.encode() + bad)
            running.process.send_signal(signal.SIGHUP)
            running.wait_log("the new configuration is refused", count)
        file.write_text(good)
        running.process.send_signal(signal.SIGHUP)
        running.wait_log("are in force")
        assert "Traceback" not in running.stop()


def test_a_second_signal_changes_nothing(path: Path) -> None:
    with process(path) as running, stuck(path) as sock:
        for _ in range(3):
            running.process.send_signal(signal.SIGTERM)
        assert isinstance(read_core(sock), core.Goodbye)
        assert running.process.wait(20) == 0
        assert not path.exists()


# In a thread ------------------------------------------------------------------------------------------------


def test_whoever_asks_a_bridge_that_stops_gets_an_answer(path: Path) -> None:
    for _ in range(20):
        bridge = BridgeThread(config(path))
        bridge.start()

        def ask(bridge: BridgeThread = bridge) -> int:
            answers = 0
            with contextlib.suppress(RuntimeError, TransportError):
                while True:
                    bridge.snapshot()
                    answers += 1
            return answers

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(2)]
            closing = [pool.submit(bridge.close) for _ in range(2)]
            for closed in closing:
                closed.result(20)
            for asked in asking:
                asked.result(20)
