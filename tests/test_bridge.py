"""The bridge as a process: what it hands on, what it drops, and whom it cuts off."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError  # the built-in one from 3.11 on
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, GREETING, Bridge, bridge, is_closed, raw_client, read_exactly

from mycelium_fast import TcpTransport, UnixTransport
from mycelium_fast.errors import ConnectionClosed, SchemaMismatchError, TransportTimeout
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick

TICK = TradeTick(price=101_500, size=2_500)
TICK_FRAME = bytes.fromhex("B004100000007C8C010000000000C409000000000000")


def ticks(first: int, end: int) -> list[Any]:
    return [TradeTick(price=number, size=number * 3) for number in range(first, end)]


def frames(messages: list[Any]) -> bytes:
    return b"".join(message.to_frame() for message in messages)


def joined(path: Path) -> socket.socket:
    """A raw client that the bridge delivers to for certain: its own frame has come back."""
    sock = raw_client(path)
    sock.sendall(TICK_FRAME)
    assert read_exactly(sock, len(TICK_FRAME)) == TICK_FRAME
    return sock


def transport(path: Path) -> UnixTransport:
    return UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture
def running(path: Path) -> Iterator[Bridge]:
    with bridge(path) as made:
        yield made


# What goes through --------------------------------------------------------------------------------


def test_a_frame_reaches_every_client_its_sender_included(running: Bridge, path: Path) -> None:
    with joined(path) as one, joined(path) as two, joined(path) as three:
        # Whoever joined earlier saw the frame of those that came later.
        assert read_exactly(one, 2 * len(TICK_FRAME)) == TICK_FRAME * 2
        assert read_exactly(two, len(TICK_FRAME)) == TICK_FRAME
        message = TextMessage(sender="one", content="to all", timestamp=7).to_frame()
        one.sendall(message)
        for sock in (one, two, three):
            assert read_exactly(sock, len(message)) == message


def test_the_bytes_of_a_frame_are_not_touched(running: Bridge, path: Path) -> None:
    dirty = bytearray(TextMessage(sender="a", content="b", timestamp=1).to_frame())
    dirty[6 + 2 : 6 + 8] = b"\xa5" * 6  # padding, where Rust peers send stack bytes
    with joined(path) as sock:
        sock.sendall(dirty)
        assert read_exactly(sock, len(dirty)) == dirty


def test_a_stream_that_comes_byte_by_byte_is_handed_on(running: Bridge, path: Path) -> None:
    data = frames([*ticks(0, 3), TextMessage(sender="a", content="b", timestamp=1), *ticks(3, 5)])
    with joined(path) as receiver, raw_client(path, b"") as sock:
        for byte in GREETING + data:
            sock.sendall(bytes([byte]))
        assert read_exactly(receiver, len(data)) == data
        assert read_exactly(sock, len(data)) == data


def test_publishers_and_subscribers_find_each_other(running: Bridge, path: Path) -> None:
    with transport(path) as here, transport(path) as there:
        probe = there.subscriber(TextMessage)
        there.publisher(TextMessage).publish(TextMessage(sender="there", content="ready", timestamp=1))
        probe.recv(20)
        subscriber = there.subscriber(TradeTick)
        here.publisher(TradeTick).publish_many(ticks(0, 1000))
        assert [subscriber.recv(20) for _ in range(1000)] == ticks(0, 1000)


def test_two_subscribers_each_get_everything_in_order(running: Bridge, path: Path) -> None:
    count = 100_000
    with transport(path) as publishing, transport(path) as one, transport(path) as two:
        subscribers = [one.subscriber(TradeTick), two.subscriber(TradeTick)]
        for client, subscriber in zip((one, two), subscribers, strict=True):
            client.publisher(TradeTick).publish(TradeTick(price=1, size=0))
            while subscriber.recv(20) != TradeTick(price=1, size=0):
                pass

        def collect(subscriber: Any) -> list[int]:
            seen: list[int] = []
            for batch in subscriber.batches():
                seen += [tick.price for tick in batch if tick.size]
                if seen and seen[-1] == count:
                    return seen
            return seen

        with ThreadPoolExecutor(2) as pool:
            results = [pool.submit(collect, subscriber) for subscriber in subscribers]
            publisher = publishing.publisher(TradeTick)
            for first in range(1, count + 1, 1000):
                publisher.publish_many(ticks(first, first + 1000))
            for result in results:
                assert result.result(60) == list(range(1, count + 1))


def test_a_publisher_that_never_reads_gets_everything_through(running: Bridge, path: Path) -> None:
    count = 200_000
    with joined(path) as sock, ThreadPoolExecutor(1) as pool:
        received = pool.submit(read_exactly, sock, count * len(TICK_FRAME))
        with transport(path) as publishing:
            publisher = publishing.publisher(TradeTick)
            for first in range(0, count, 1000):
                publisher.publish_many(ticks(first, first + 1000))
        prices = [tick.price for tick in TradeTick.decode_batch(received.result(60))]
    assert prices == list(range(count))


def test_what_a_publisher_sent_before_it_went_is_delivered(running: Bridge, path: Path) -> None:
    # It is gone before the bridge looks: writing its own frames back to it fails, with more left to be read.
    data = frames(ticks(0, 100_000))
    with joined(path) as sock:
        with raw_client(path) as leaving:
            leaving.sendall(TICK_FRAME)
            assert read_exactly(leaving, len(TICK_FRAME)) == TICK_FRAME
            assert read_exactly(sock, len(TICK_FRAME)) == TICK_FRAME
            running.process.send_signal(signal.SIGSTOP)
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
            leaving.setblocking(False)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += leaving.send(data[sent : sent + 10_000])
        running.process.send_signal(signal.SIGCONT)
        whole = sent - sent % len(TICK_FRAME)
        assert read_exactly(sock, whole) == data[:whole]


# Back-pressure ------------------------------------------------------------------------------------


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) * 1024


def test_a_slow_subscriber_loses_nothing_and_holds_the_publisher_back(running: Bridge, path: Path) -> None:
    count = 200_000  # 64 MB
    before = peak_memory(running.process.pid)

    def publish() -> None:
        with transport(path) as publishing:
            publisher = publishing.publisher(TextMessage)
            for first in range(0, count, 1000):
                publisher.publish_many(
                    [
                        TextMessage(sender="a", content=str(number), timestamp=number)
                        for number in range(first, first + 1000)
                    ]
                )

    with joined(path) as sock, ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publish)
        with pytest.raises(FutureTimeoutError):  # far more than all buffers on the way hold
            publishing.result(1.5)
        size = 318
        for first in range(0, count, 1000):
            for number, message in enumerate(
                TextMessage.decode_batch(read_exactly(sock, 1000 * size)), first
            ):
                assert (message.content, message.timestamp) == (str(number), number)
        publishing.result(20)
    assert peak_memory(running.process.pid) - before < 24 * 1024 * 1024


def test_a_client_that_takes_nothing_is_disconnected_and_the_others_go_on(path: Path) -> None:
    with bridge(path, "--stall-timeout", "0.3") as running:
        with joined(path) as stuck, joined(path) as sock, ThreadPoolExecutor(1) as pool:
            data = frames(ticks(0, 200_000))
            received = pool.submit(read_exactly, sock, len(data))
            with transport(path) as publishing:
                publishing.publisher(TradeTick).publish_many(ticks(0, 200_000))
            assert received.result(60) == data
            line = running.wait_log("took nothing for 0.3 s")[0]
            assert re.search(r"connection 1 .* \d+ bytes for it lost", line)
            with pytest.raises((AssertionError, ConnectionResetError)):
                read_exactly(stuck, len(data))
        assert "1 stalled" in running.stop()


# What is dropped ----------------------------------------------------------------------------------

UNKNOWN = struct.pack("<HI", 40_404, 3) + b"abc"
WRONG_LENGTH = struct.pack("<HI", 1200, 3) + b"abc"
CORE = struct.pack("<HI", 8, 8) + bytes(8)


def test_unknown_types_wrong_lengths_and_core_types_are_dropped_and_counted(
    running: Bridge, path: Path
) -> None:
    with joined(path) as sock:
        sock.sendall(UNKNOWN + TICK_FRAME + WRONG_LENGTH * 2 + CORE + TICK_FRAME)
        assert read_exactly(sock, 2 * len(TICK_FRAME)) == TICK_FRAME * 2
    running.wait_log("connection 1 closed, 4 of its frames were dropped")
    log = running.stop()
    assert "dropped: 1 of core type, 1 of unknown type, 2 of wrong length" in log
    assert "type 1200 with 3 payload bytes instead of 16" in log
    assert log.count("logged once") == 3


def test_unknown_types_pass_where_that_is_asked_for(path: Path) -> None:
    with bridge(path, "--forward-unknown"), joined(path) as sock:
        sock.sendall(CORE + UNKNOWN + WRONG_LENGTH + TICK_FRAME)
        assert read_exactly(sock, len(UNKNOWN + TICK_FRAME)) == UNKNOWN + TICK_FRAME


# Handshake and bad clients ------------------------------------------------------------------------

BAD_GREETINGS = {
    "another digest": b"\x20\x00" + bytes(32),
    "length 0": b"\x00\x00",
    "length 31": b"\x1f\x00" + bytes(31),
    "length 33": b"\x21\x00" + bytes(33),
    "big-endian length": b"\x00\x20" + bytes(32),
    "a frame": TICK_FRAME,
    "text": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("greeting", BAD_GREETINGS.values(), ids=BAD_GREETINGS)
def test_a_client_with_a_bad_handshake_is_refused_alone(running: Bridge, path: Path, greeting: bytes) -> None:
    with joined(path) as sock, raw_client(path, greeting) as refused:
        assert is_closed(refused)
        sock.sendall(TICK_FRAME)
        assert read_exactly(sock, len(TICK_FRAME)) == TICK_FRAME
    assert SCHEMA_DIGEST.hex() in running.wait_log("connection 2 refused")[0]


def test_another_digest_is_an_error_at_connect(running: Bridge, path: Path) -> None:
    with pytest.raises(SchemaMismatchError, match="ab" * 32):
        UnixTransport(path, b"\xab" * 32, handshake_grace=20).connect()
    line = running.wait_log("connection 1 refused")[0]
    assert "ab" * 32 in line
    assert SCHEMA_DIGEST.hex() in line


def test_a_client_that_says_nothing_is_closed_and_delays_nobody(path: Path) -> None:
    with (
        bridge(path, "--handshake-timeout", "0.2") as running,
        raw_client(path, b"") as silent,
        raw_client(path, GREETING[:20]) as slow,
        joined(path) as sock,
    ):
        assert is_closed(silent)
        assert is_closed(slow)
        assert len(running.wait_log("refused: the peer sent", 2)) == 2
        sock.sendall(TICK_FRAME)
        assert read_exactly(sock, len(TICK_FRAME)) == TICK_FRAME


def test_a_peer_that_leaves_without_a_word_is_not_a_refused_client(path: Path) -> None:
    with bridge(path, "--log-level", "debug") as running:
        raw_client(path, b"").close()
        assert "DEBUG" in running.wait_log("connection 1 closed")[0]
        with joined(path):
            pass
        assert "INFO" in running.wait_log("connection 2 closed")[0]
        log = running.stop()
    assert "WARNING" not in log
    assert "2 connections, 0 refused" in log


BAD_STREAMS = {
    "a length over the limit": TICK_FRAME + struct.pack("<HI", 1200, 16_777_217),
    "the longest length": TICK_FRAME + struct.pack("<HI", 1200, 2**32 - 1),
    "random bytes": TICK_FRAME + b"\xff\xff" + random.Random(1).randbytes(100_000),
}


@pytest.mark.parametrize("stream", BAD_STREAMS.values(), ids=BAD_STREAMS)
def test_a_client_that_breaks_the_protocol_is_cut_off_alone(
    running: Bridge, path: Path, stream: bytes
) -> None:
    with joined(path) as sock, raw_client(path) as garbage:
        with contextlib.suppress(OSError):
            garbage.sendall(stream)
        assert read_exactly(sock, len(TICK_FRAME)) == TICK_FRAME  # what came before the bad header
        running.wait_log("connection 2 closed: ")
        sock.sendall(TICK_FRAME)
        assert read_exactly(sock, len(TICK_FRAME)) == TICK_FRAME
        garbage.setblocking(True)
        with contextlib.suppress(ConnectionResetError):
            assert garbage.recv(1000) in (TICK_FRAME, b"")


def test_a_client_that_ends_within_a_frame_costs_only_itself(running: Bridge, path: Path) -> None:
    with joined(path) as sock:
        with raw_client(path) as leaving:
            leaving.sendall(TICK_FRAME + TICK_FRAME[:-1])
            leaving.shutdown(socket.SHUT_WR)
            assert read_exactly(leaving, len(TICK_FRAME)) == TICK_FRAME
            assert is_closed(leaving)
        sock.sendall(TICK_FRAME)
        assert read_exactly(sock, 2 * len(TICK_FRAME)) == TICK_FRAME * 2
    assert "within a frame" in running.wait_log("connection 2 closed: ")[0]


def test_without_a_handshake_frames_come_first(path: Path) -> None:
    with bridge(path, "--no-handshake"), raw_client(path, TICK_FRAME) as sock:
        assert read_exactly(sock, len(TICK_FRAME)) == TICK_FRAME
        with UnixTransport(path, handshake=False) as client:
            subscriber = client.subscriber(TradeTick)
            client.publisher(TradeTick).publish(TICK)
            assert subscriber.recv(20) == TICK


def test_without_contracts_every_type_passes(path: Path) -> None:
    with (
        bridge(path, "--no-handshake", contracts=None),
        raw_client(path, CORE + UNKNOWN + WRONG_LENGTH) as sock,
    ):
        assert read_exactly(sock, len(UNKNOWN + WRONG_LENGTH)) == UNKNOWN + WRONG_LENGTH


# Life of the process ------------------------------------------------------------------------------


def test_it_listens_on_tcp_as_well(path: Path) -> None:
    with bridge(None, "--tcp", "127.0.0.1:0") as running:
        host, port = running.address.removeprefix("tcp://").split(":")
        with TcpTransport(host, int(port), SCHEMA_DIGEST, handshake_grace=20) as client:
            subscriber = client.subscriber(TradeTick)
            client.publisher(TradeTick).publish_many(ticks(0, 10_000))
            assert [subscriber.recv(20) for _ in range(10_000)] == ticks(0, 10_000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(path: Path, number: signal.Signals) -> None:
    with bridge(path) as running, joined(path) as sock, transport(path) as client:
        subscriber = client.subscriber(TradeTick)
        log = running.stop(number)
        assert f"{number.name}: stopping" in log
        assert "1 frames in (22 bytes)" in log
        assert sock.recv(1) == b""
        with pytest.raises(ConnectionClosed):
            subscriber.recv(20)
        assert not path.exists()


def test_a_quiet_bridge_that_stops_is_not_said_to_have_refused_the_digest(
    running: Bridge, path: Path
) -> None:
    with transport(path) as client:
        subscriber = client.subscriber(TradeTick)
        with pytest.raises(queue.Empty):
            subscriber.recv(1.1)
        running.stop()
        with pytest.raises(ConnectionClosed) as caught:
            subscriber.recv(20)
    assert str(caught.value).endswith("bus.sock closed the connection after saying goodbye: the bridge stops")


def test_publishing_behind_ones_own_full_queue_fails_in_time_and_loses_nothing(
    running: Bridge, path: Path
) -> None:
    messages = ticks(0, 200_000)
    with UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20, publish_timeout=0.2) as client:
        subscriber, publisher = client.subscriber(TradeTick, capacity=100), client.publisher(TradeTick)
        with pytest.raises(TransportTimeout, match="subscriber of TradeTick with capacity 100") as caught:
            publisher.publish_many(messages)
        # The first remedy that the error names: receive in another thread.
        with ThreadPoolExecutor(1) as pool:
            received = pool.submit(lambda: [subscriber.recv(20) for _ in messages])
            publisher.publish_many(messages[caught.value.accepted :])
            publisher.flush()
            assert received.result(60) == messages
    assert "0 stalled" in running.stop()


def test_a_bridge_that_is_killed_ends_its_clients_connections(running: Bridge, path: Path) -> None:
    with transport(path) as client:
        subscriber = client.subscriber(TradeTick)
        client.publisher(TradeTick).publish(TICK)
        assert subscriber.recv(20) == TICK
        waiting = threading.Thread(target=running.process.send_signal, args=[signal.SIGKILL])
        waiting.start()
        assert list(subscriber) == []
        waiting.join()
        with pytest.raises(ConnectionClosed, match=r"bus\.sock closed the connection"):
            subscriber.recv()
        with pytest.raises(ConnectionClosed, match=r"bus\.sock closed the connection"):
            client.publisher(TradeTick).publish(TICK)


def start_and_fail(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mycelium_fast", "bridge", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_bridge_on_the_same_socket_is_refused(running: Bridge, path: Path) -> None:
    second = start_and_fail("--unix", str(path), "--contracts", str(CONTRACTS))
    assert second.returncode == 1
    assert f"another program listens on {path}" in second.stderr
    with joined(path):
        pass


def test_a_socket_that_a_killed_bridge_left_is_replaced(path: Path) -> None:
    with bridge(path) as first:
        first.process.kill()
        first.process.wait()
        assert path.exists()
    with bridge(path), joined(path):
        pass


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    failed = start_and_fail("--unix", str(path), "--contracts", str(CONTRACTS))
    assert failed.returncode == 1
    assert "is no socket" in failed.stderr
    assert path.read_text() == "precious"


def test_another_bridges_socket_is_not_removed_at_the_end(path: Path) -> None:
    with bridge(path) as first:
        os.unlink(path)
        with bridge(path):
            first.stop()
            with joined(path):
                pass


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ([], 2, "say where to listen"),
        (["--unix", "x.sock"], 2, "--contracts FILE is missing"),
        (["--unix", "x.sock", "--contracts", "nowhere.yaml"], 1, "nowhere.yaml"),
        (["--tcp", "localhost", "--contracts", str(CONTRACTS)], 2, "is not HOST:PORT"),
        (["--unix", "/proc/no/x.sock", "--contracts", str(CONTRACTS)], 1, "cannot listen on unix socket"),
        (["--unix", "/tmp/" + "x" * 200, "--contracts", str(CONTRACTS)], 1, "too long"),
    ],
)
def test_a_bridge_that_cannot_start_says_why(options: list[str], code: int, text: str) -> None:
    failed = start_and_fail(*options)
    assert failed.returncode == code
    assert text in failed.stderr
    assert "Traceback" not in failed.stderr
