"""The bridge and clients that say Hello: subscriptions, echo, trace contexts, lag reports, refusals, TLS."""

from __future__ import annotations

import contextlib
import random
import re
import signal
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import (
    CONTRACTS,
    GREETING,
    Bridge,
    bridge,
    hello,
    is_closed,
    negotiated_client,
    raw_client,
    read_core,
    read_exactly,
    read_frame,
    subscribe,
)
from certificates import Certificates
from environments import run

from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick
from mycelium_fast.session import ALL_FEATURES, Features, RejectCode, core

TICK, TEXT = TradeTick.TYPE_ID, TextMessage.TYPE_ID
UNKNOWN = struct.pack("<HI", 40_404, 3) + b"abc"


def tick(number: int) -> bytes:
    return TradeTick(price=number, size=0).to_frame()


def text(number: int) -> bytes:
    return TextMessage(sender="a", content=str(number), timestamp=number).to_frame()


def trace(number: int) -> core.Trace:
    return core.Trace(bytes([number] * 16), bytes([number] * 8), 1)


def joined(path: Path) -> socket.socket:
    """A plain client that the bridge delivers to for certain."""
    sock = raw_client(path)
    sock.sendall(tick(0))
    assert read_exactly(sock, 22) == tick(0)
    return sock


def answered(sock: socket.socket) -> None:
    """Nothing has been sent to this client that it has not read, and what it sent has been dealt with."""
    sock.sendall(core.Ping(99).to_frame())
    assert read_core(sock) == core.Pong(99)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture
def running(path: Path) -> Iterator[Bridge]:
    with bridge(path, "--name", "hub") as made:
        yield made


# Welcome and subscriptions --------------------------------------------------------------------------------


def test_hello_is_answered_by_welcome(running: Bridge, path: Path) -> None:
    for number in (1, 2):
        sock, welcome = negotiated_client(path, Features.TRACE | Features.NO_ECHO)
        with sock:
            assert welcome == core.Welcome(1, 24, number, 16_777_216, "hub")
    running.wait_log("connection 2 is negotiated, service 'test'")


def test_without_a_handshake_hello_comes_first(path: Path) -> None:
    with bridge(path, "--no-handshake"):
        sock, welcome = negotiated_client(path, ALL_FEATURES & ~Features.NO_ECHO, greeting=b"")
        with sock:
            assert welcome.bridge == "mycelium"
            subscribe(sock, TICK)
            sock.sendall(tick(1))
            assert read_frame(sock) == (TICK, tick(1)[6:])


def test_a_negotiated_client_gets_the_types_that_it_subscribed_to(running: Bridge, path: Path) -> None:
    sock, _ = negotiated_client(path)
    with sock, joined(path) as publisher:
        answered(sock)
        publisher.sendall(tick(1) + text(1))
        assert read_exactly(publisher, 340) == tick(1) + text(1)
        answered(sock)
        subscribe(sock, TEXT)
        publisher.sendall(tick(2) + text(2) + tick(3) + text(3))
        assert read_exactly(sock, 636) == text(2) + text(3)
        subscribe(sock, TICK, request=2)
        publisher.sendall(tick(4) + text(4))
        assert read_exactly(sock, 340) == tick(4) + text(4)
        sock.sendall(core.Unsubscribe(3, False, [TEXT]).to_frame())
        assert read_core(sock) == core.Subscribed(3)
        publisher.sendall(text(5) + tick(5))
        assert read_exactly(sock, 22) == tick(5)
        sock.sendall(core.Unsubscribe(4, True, []).to_frame())
        assert read_core(sock) == core.Subscribed(4)
        publisher.sendall(text(6) + tick(6))
        assert read_exactly(publisher, 5 * 340)[-22:] == tick(6)
        answered(sock)


def test_everything_can_be_subscribed_to_and_some_types_left_out_again(running: Bridge, path: Path) -> None:
    sock, _ = negotiated_client(path)
    with sock, joined(path) as publisher:
        subscribe(sock, everything=True)
        publisher.sendall(tick(1) + text(1))
        assert read_exactly(sock, 340) == tick(1) + text(1)
        sock.sendall(core.Unsubscribe(2, False, [TICK]).to_frame())
        assert read_core(sock) == core.Subscribed(2)
        publisher.sendall(tick(2) + text(2))
        assert read_exactly(sock, 318) == text(2)
        subscribe(sock, TICK, request=3)
        publisher.sendall(tick(3))
        assert read_exactly(sock, 22) == tick(3)


def test_own_frames_come_back_unless_no_echo_was_agreed_on(running: Bridge, path: Path) -> None:
    echo, _ = negotiated_client(path, Features.SUBSCRIPTIONS | Features.HEARTBEATS)
    silent, _ = negotiated_client(path, ALL_FEATURES)
    with echo, silent:
        subscribe(echo, TICK)
        subscribe(silent, TICK)
        silent.sendall(tick(1))
        assert read_exactly(echo, 22) == tick(1)
        echo.sendall(tick(2))
        assert read_exactly(echo, 22) == tick(2)
        assert read_exactly(silent, 22) == tick(2)
        answered(silent)


def test_without_subscriptions_a_negotiated_client_gets_everything(running: Bridge, path: Path) -> None:
    sock, welcome = negotiated_client(path, Features.HEARTBEATS)
    with sock:
        assert welcome.features == Features.HEARTBEATS
        sock.sendall(text(1) + tick(1))
        assert read_exactly(sock, 340) == text(1) + tick(1)


def test_plain_clients_get_everything_and_no_core_frame(running: Bridge, path: Path) -> None:
    sock, _ = negotiated_client(path)
    with joined(path) as plain, sock:
        subscribe(sock, TICK)
        sock.sendall(tick(1) + trace(1).to_frame() + tick(2) + core.Ping(5).to_frame() + text(1))
        assert read_core(sock) == core.Pong(5)
        sock.sendall(core.Goodbye(0, "bye").to_frame())
        sock.shutdown(socket.SHUT_WR)
        assert is_closed(sock)
        assert read_exactly(plain, 362) == tick(1) + tick(2) + text(1)
        plain.sendall(tick(3))
        assert read_exactly(plain, 22) == tick(3)
    running.wait_log("says goodbye: 'bye'")


def test_core_types_cannot_be_subscribed_to(running: Bridge, path: Path) -> None:
    sock, _ = negotiated_client(path)
    with sock, joined(path) as publisher:
        sock.sendall(core.Subscribe(1, False, [TICK, 8]).to_frame())
        rejected = read_core(sock)
        assert (rejected.code, rejected.fatal, rejected.type_id) == (RejectCode.PERMISSION, False, 8)
        assert read_core(sock) == core.Subscribed(1)
        publisher.sendall(tick(1))
        assert read_exactly(sock, 22) == tick(1)


@pytest.mark.parametrize("features", [ALL_FEATURES, Features.TRACE], ids=["subscribing", "everything"])
def test_the_welcome_comes_first_on_a_busy_bus(running: Bridge, path: Path, features: Features) -> None:
    stopping = threading.Event()

    def flood() -> None:
        block = tick(1) * 1000
        with negotiated_client(path)[0] as publisher:
            while not stopping.is_set():
                publisher.sendall(block)

    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(flood)
        try:
            with joined(path) as sock:  # the flood has begun
                read_exactly(sock, 22 * 1000)
            for _ in range(50):
                sock, welcome = negotiated_client(path, features)  # reads a Welcome, or fails
                with sock:
                    assert welcome.bridge == "hub"
        finally:
            stopping.set()
        flooding.result()


def test_a_client_that_says_hello_late_stays_plain(running: Bridge, path: Path) -> None:
    with joined(path) as sock:
        sock.sendall(hello() + tick(1))
        assert read_exactly(sock, 22) == tick(1)
    assert "1 of core type" in running.stop()


# Trace contexts -------------------------------------------------------------------------------------------


def test_a_trace_context_stays_right_before_its_frame(running: Bridge, path: Path) -> None:
    sender, _ = negotiated_client(path)
    both, _ = negotiated_client(path)
    ticks, _ = negotiated_client(path)
    untraced, _ = negotiated_client(path, Features.SUBSCRIPTIONS)
    with sender, both, ticks, untraced, joined(path) as plain:
        subscribe(both, TICK, TEXT)
        subscribe(ticks, TICK)
        subscribe(untraced, TICK, TEXT)
        # The second context belongs to the text, the third to a frame that is dropped.
        sender.sendall(tick(1) + trace(1).to_frame() + tick(2) + tick(3) + trace(2).to_frame() + text(1))
        sender.sendall(trace(3).to_frame() + UNKNOWN + tick(4))
        ours = tick(1) + trace(1).to_frame() + tick(2) + tick(3)
        all_of_it = ours + trace(2).to_frame() + text(1) + tick(4)
        assert read_exactly(both, len(all_of_it)) == all_of_it
        assert read_exactly(ticks, len(ours) + 22) == ours + tick(4)
        for sock in (untraced, plain):
            frames = tick(1) + tick(2) + tick(3) + text(1) + tick(4)
            assert read_exactly(sock, len(frames)) == frames


def test_a_trace_context_and_its_frame_may_come_far_apart(running: Bridge, path: Path) -> None:
    sender, _ = negotiated_client(path)
    receiver, _ = negotiated_client(path)
    with sender, receiver:
        subscribe(receiver, TICK)
        sender.sendall(trace(1).to_frame())
        answered(sender)
        receiver.sendall(core.Ping(1).to_frame())
        assert read_core(receiver) == core.Pong(1)
        sender.sendall(tick(1))
        assert read_core(receiver) == trace(1)
        assert read_exactly(receiver, 22) == tick(1)


# Refusals -------------------------------------------------------------------------------------------------


def test_a_refused_digest_is_explained_to_a_client_that_said_hello(running: Bridge, path: Path) -> None:
    # What follows is more than the bridge has read when it refuses: closing undrained would lose the reason.
    with raw_client(path, b"") as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b"\x20\x00" + bytes(32) + hello() + tick(1) * 20_000)
        rejected = read_core(sock)
        assert (rejected.code, rejected.fatal) == (RejectCode.DIGEST, True)
        assert rejected.digest == SCHEMA_DIGEST
        assert is_closed(sock)
    assert bytes(32).hex() in running.wait_log("connection 1 refused")[0]


def test_a_hello_that_comes_apart_from_its_refused_digest_is_answered(running: Bridge, path: Path) -> None:
    with raw_client(path, b"") as sock:
        for byte in b"\x20\x00" + bytes(32) + hello():
            sock.sendall(bytes([byte]))
        assert read_core(sock).code == RejectCode.DIGEST
        assert is_closed(sock)


def test_a_refused_client_that_does_not_close_is_cut_off(running: Bridge, path: Path) -> None:
    with raw_client(path, b"\x20\x00" + bytes(32) + hello()) as sock:
        assert read_core(sock).code == RejectCode.DIGEST
        running.wait_log("connection 1 closed")


def test_a_plain_client_with_another_digest_gets_no_word(running: Bridge, path: Path) -> None:
    greeting = b"\x20\x00" + bytes(32)
    with raw_client(path, greeting) as silent, raw_client(path, greeting) as busy:
        with contextlib.suppress(BrokenPipeError):
            busy.sendall(tick(1))
        assert is_closed(silent)
        assert is_closed(busy)


def test_a_negotiated_client_is_told_how_it_broke_the_protocol(running: Bridge, path: Path) -> None:
    sock, _ = negotiated_client(path)
    with sock, joined(path) as plain:
        sock.sendall(tick(1) + core.Subscribed(1).to_frame() + tick(2) * 1000)
        rejected = read_core(sock)
        assert (rejected.code, rejected.fatal) == (RejectCode.PROTOCOL, True)
        assert "Subscribed" in rejected.reason
        assert is_closed(sock)
        plain.sendall(tick(3))
        assert read_exactly(plain, 44) == tick(1) + tick(3)
    assert "1 closed on a protocol error" in running.stop()


def test_no_bytes_whatever_hurt_the_bridge_or_another_client(running: Bridge, path: Path) -> None:
    randomness = random.Random(2)
    parts = [
        *(GREETING, hello(), tick(1), trace(1).to_frame(), core.Ping(1).to_frame(), UNKNOWN),
        *(core.Subscribe(1, True, []).to_frame(), core.Unsubscribe(2, False, [TICK]).to_frame()),
        *(core.Goodbye(1, "bye").to_frame(), core.Lagged(1, 1).to_frame(), b"\x20\x00" + bytes(32)),
    ]
    with joined(path) as sock:
        for number in range(200):
            data = bytearray(b"" if number % 4 == 0 else GREETING + hello())
            for _ in range(randomness.randrange(6)):
                data += randomness.choice([*parts, randomness.randbytes(randomness.randrange(40))])
            if data and number % 3 == 0:
                data[randomness.randrange(len(data))] ^= 1 << randomness.randrange(8)
            with raw_client(path, b"") as fuzzing, contextlib.suppress(OSError):
                fuzzing.sendall(data)
                if number % 2:
                    fuzzing.shutdown(socket.SHUT_WR)
                    while fuzzing.recv(1000):
                        pass
        sock.sendall(tick(7))
        while read_exactly(sock, 22) != tick(7):
            pass
    log = running.stop()
    assert "Traceback" not in log
    assert "ERROR" not in log


# Life and death -------------------------------------------------------------------------------------------


def test_negotiated_clients_are_told_of_a_planned_shutdown(running: Bridge, path: Path) -> None:
    sock, _ = negotiated_client(path)
    with sock, joined(path) as plain:
        subscribe(sock, TICK)
        plain.sendall(tick(1))
        assert read_exactly(sock, 22) == tick(1)
        assert read_exactly(plain, 22) == tick(1)
        running.stop()
        goodbye = read_core(sock)
        assert isinstance(goodbye, core.Goodbye)
        assert goodbye.reconnect_after_ms > 0
        assert is_closed(sock)
        assert plain.recv(1) == b""


def test_a_bridge_can_be_started_again_at_the_same_addresses(path: Path) -> None:
    with bridge(path, "--tcp", "127.0.0.1:0") as running:
        port = running.tcp_port
        for number in (signal.SIGTERM, signal.SIGKILL):
            sock, _ = negotiated_client(path)
            with sock:
                running.restart(number)
            assert running.tcp_port == port
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            sock.sendall(GREETING + tick(1))
            assert read_exactly(sock, 22) == tick(1)


def test_a_client_that_does_not_answer_pings_is_disconnected(path: Path) -> None:
    with bridge(path, "--heartbeat", "0.2") as running:
        silent, _ = negotiated_client(path)
        indifferent, _ = negotiated_client(path, Features.SUBSCRIPTIONS)
        with silent, indifferent, joined(path) as plain:
            subscribe(indifferent, TICK)
            assert [read_core(silent), read_core(silent)] == [core.Ping(1), core.Ping(2)]
            assert is_closed(silent)
            # Those who have not agreed to heartbeats are not asked.
            plain.sendall(tick(1))
            assert read_exactly(indifferent, 22) == tick(1)
        running.wait_log("left 2 pings unanswered, 0.2 s apart")
        assert "1 dead" in running.stop()


def test_a_client_that_answers_pings_stays(path: Path) -> None:
    with bridge(path, "--heartbeat", "0.1"):
        sock, _ = negotiated_client(path)
        with sock:
            for _ in range(5):
                ping = read_core(sock)
                assert ping == core.Ping(1)  # none was missed in between
                sock.sendall(core.Pong(ping.nonce).to_frame())


# Slow consumers -------------------------------------------------------------------------------------------

BATCH = 1000


def publish(sock: socket.socket, first: int, end: int) -> None:
    """Send numbered ticks, and wait until the bridge has dealt with them."""
    for start in range(first, end, BATCH):
        sock.sendall(b"".join(tick(number) for number in range(start, start + BATCH)))
        answered(sock)


def received(sock: socket.socket) -> Iterator[int | core.Lagged]:
    """The numbers of ticks, and lag reports, as they come."""
    while True:
        type_id, payload = read_frame(sock)
        yield struct.unpack_from("<Q", payload)[0] if type_id == TICK else core.Lagged.from_bytes(payload)


def test_a_slow_client_misses_frames_and_is_told_exactly_how_many_and_where(path: Path) -> None:
    with bridge(path, "--slow-consumer", "drop") as running:
        slow, _ = negotiated_client(path)
        sender, _ = negotiated_client(path)
        with slow, sender:
            subscribe(slow, TICK, TEXT)
            publish(sender, 0, 100_000)  # 2.2 MB; the bridge holds 1 MiB for a client
            running.wait_log("connection 1 is too slow")
            expected = missed = 0
            stream = received(slow)
            for item in stream:
                if isinstance(item, core.Lagged):
                    assert item.type_id == TICK
                    missed += item.dropped
                    expected += item.dropped
                    break
                assert item == expected
                expected += 1
            assert missed > 0
            assert expected == 100_000
            # With room again, everything comes.
            publish(sender, 100_000, 101_000)
            assert [next(stream) for _ in range(BATCH)] == list(range(100_000, 101_000))
        running.wait_log(f"connection 1 closed, it missed {missed} frames")
        assert f"{missed} missed by slow clients" in running.stop()


def test_lag_is_reported_by_type_and_exactly_while_frames_go_on(path: Path) -> None:
    with bridge(path, "--slow-consumer", "drop") as running:
        slow, _ = negotiated_client(path)
        sender, _ = negotiated_client(path)
        with slow, sender, ThreadPoolExecutor(1) as pool:
            subscribe(slow, TICK, TEXT)

            def send() -> None:
                for start in range(0, 60_000, BATCH):
                    sender.sendall(b"".join(tick(each) + text(each) for each in range(start, start + BATCH)))
                    answered(sender)

            sending = pool.submit(send)
            counts = {TICK: 0, TEXT: 0}
            lost = {TICK: 0, TEXT: 0}
            # Late at first, so that there is a gap; each number is in its place, or in a report before it.
            running.wait_log("connection 1 is too slow")
            while sum(counts.values()) + sum(lost.values()) < 120_000:
                type_id, payload = read_frame(slow)
                if type_id == core.Lagged.TYPE_ID:
                    report: Any = core.Lagged.from_bytes(payload)
                    lost[report.type_id] += report.dropped
                    continue
                where = counts[type_id] + lost[type_id]
                message: Any = (TradeTick if type_id == TICK else TextMessage).from_bytes(payload)
                assert (message.price if type_id == TICK else message.timestamp) == where
                counts[type_id] += 1
            sending.result(60)
            assert counts[TICK] + lost[TICK] == counts[TEXT] + lost[TEXT] == 60_000
            assert lost[TICK] > 0
            assert lost[TEXT] > 0


def test_a_client_at_the_end_of_a_bridge_is_told_what_it_missed(path: Path) -> None:
    with bridge(path, "--slow-consumer", "drop") as running:
        slow, _ = negotiated_client(path)
        sender, _ = negotiated_client(path)
        with slow, sender, ThreadPoolExecutor(1) as pool:
            subscribe(slow, TICK)
            publish(sender, 0, 100_000)
            stopping = pool.submit(running.stop)
            count = 0
            while True:
                type_id, payload = read_frame(slow)
                if type_id != TICK:
                    break
                count += 1
            assert core.MESSAGES[type_id].from_bytes(payload) == core.Lagged(TICK, 100_000 - count)
            assert isinstance(read_core(slow), core.Goodbye)
            stopping.result(20)


def test_a_slow_plain_client_misses_frames_without_a_word(path: Path) -> None:
    with bridge(path, "--slow-consumer", "drop") as running:
        sender, _ = negotiated_client(path)
        with joined(path) as slow, sender:
            publish(sender, 0, 100_000)
            slow.shutdown(socket.SHUT_WR)  # the bridge sends what it has, and closes
            data = bytearray()
            while piece := slow.recv(1 << 20):
                data += piece
            assert len(data) % 22 == 0
            assert bytes(data) == b"".join(tick(number) for number in range(len(data) // 22))
        (line,) = running.wait_log("connection 2 closed, it missed")
        match = re.search(r"missed (\d+) frames", line)
        assert match is not None
        assert int(match[1]) == 100_000 - len(data) // 22


@pytest.mark.parametrize("policy", ["block", "drop"])
def test_a_client_that_asks_and_does_not_listen_is_read_no_further(path: Path, policy: str) -> None:
    pings = core.Ping(1).to_frame() * 10_000
    with bridge(path, "--slow-consumer", policy) as running:
        sock, _ = negotiated_client(path)
        with sock:
            sock.settimeout(1.0)
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 64 * 1024 * 1024:
                    sent += sock.send(pings)
            assert sent < 8 * 1024 * 1024
            sock.settimeout(20)
            whole = sent // 14 * 14
            assert read_exactly(sock, whole) == core.Pong(1).to_frame() * (whole // 14)
        assert "0 stalled" in running.stop()


# TLS ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def over_tls(running: Bridge, context: ssl.SSLContext) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", running.tcp_port), 20)
    try:
        return context.wrap_socket(sock, server_hostname="localhost")
    except BaseException:
        sock.close()
        raise


@pytest.mark.parametrize("mutual", [False, True])
def test_it_speaks_tls_on_tcp(certificates: Certificates, path: Path, mutual: bool) -> None:
    options = ["--tcp", "127.0.0.1:0", *certificates.options(mutual=mutual)]
    with bridge(path, *options) as running, joined(path) as plain:
        assert running.addresses[1] == f"tls://127.0.0.1:{running.tcp_port}"
        with over_tls(running, certificates.client_context(certificate=mutual)) as sock:
            sock.sendall(GREETING + hello())
            assert isinstance(read_core(sock), core.Welcome)
            subscribe(sock, TICK)
            frames = b"".join(tick(number) for number in range(100_000))
            with ThreadPoolExecutor(1) as pool:
                received = pool.submit(read_exactly, plain, len(frames))
                sock.sendall(frames)
                assert received.result(60) == frames
            plain.sendall(frames[:22])
            assert read_exactly(sock, 22) == tick(0)
            running.stop()
            assert isinstance(read_core(sock), core.Goodbye)


def test_a_refused_digest_is_explained_over_tls(certificates: Certificates) -> None:
    with bridge(None, "--tcp", "127.0.0.1:0", *certificates.options()) as running:
        with over_tls(running, certificates.client_context()) as sock:
            sock.sendall(b"\x20\x00" + bytes(32) + hello())
            assert read_core(sock).code == RejectCode.DIGEST
        running.wait_log("connection 1 closed")


def test_clients_without_the_right_certificate_are_refused(certificates: Certificates) -> None:
    options = ["--tcp", "127.0.0.1:0", *certificates.options(mutual=True)]
    with bridge(None, *options) as running:
        with pytest.raises(ssl.SSLCertVerificationError):
            over_tls(running, certificates.distrusting_context())
        for context in (certificates.client_context(), certificates.untrusted_context()):
            # With TLS 1.3 a client hears of it when it reads.
            with pytest.raises(OSError), over_tls(running, context) as sock:
                sock.sendall(GREETING)
                if not sock.recv(1):
                    raise ConnectionResetError
        with over_tls(running, certificates.client_context(certificate=True)) as sock:
            sock.sendall(GREETING + tick(1))
            assert read_exactly(sock, 22) == tick(1)
        assert "1 connections" in running.stop()


def test_a_peer_that_says_nothing_in_tls_is_closed_and_delays_nobody(certificates: Certificates) -> None:
    options = ["--tcp", "127.0.0.1:0", "--handshake-timeout", "0.5", *certificates.options()]
    with (
        bridge(None, *options) as running,
        socket.create_connection(("127.0.0.1", running.tcp_port), 20) as silent,
    ):
        with over_tls(running, certificates.client_context()) as sock:
            sock.sendall(GREETING + tick(1))
            assert read_exactly(sock, 22) == tick(1)
        assert is_closed(silent)


def test_the_certificates_of_a_bridge_have_to_be_usable(certificates: Certificates, tmp_path: Path) -> None:
    tcp = ["--tcp", "127.0.0.1:0", "--contracts", str(CONTRACTS)]
    wrong: list[tuple[list[str], int, str]] = [
        ([*tcp, "--tls-ca", str(certificates.authority)], 2, "--tls-cert FILE is missing"),
        ([*tcp[2:], "--unix", str(tmp_path / "x"), "--tls-cert", "x.pem"], 2, "--tcp HOST:PORT is missing"),
        ([*tcp, "--tls-cert", "nowhere.pem"], 1, "cannot use nowhere.pem for TLS"),
        ([*tcp, "--tls-cert", str(CONTRACTS)], 1, "contracts.yaml for TLS"),
        ([*tcp, "--tls-cert", str(certificates.authority)], 1, "authority.pem for TLS"),
        ([*tcp, *certificates.options(), "--tls-ca", "nowhere.pem"], 1, "cannot use nowhere.pem for TLS"),
    ]
    for options, code, said in wrong:
        failed = run(sys.executable, "-m", "mycelium_fast", "bridge", *options)
        assert failed.returncode == code
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr
