"""Streams as sockets cut them: at every byte, byte by byte, in payloads of megabytes; and those that lie."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import struct
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from environments import ROOT, checked
from links import descriptors, eventually, frames, linked, resident_bytes, text, ticks

import mycelium_fast
from mycelium_fast import SocketTransport, UnixTransport
from mycelium_fast.errors import ConnectionClosed, ProtocolError, TransportTimeout
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick

STREAMS = json.loads((ROOT / "tests/data/golden/malformed.json").read_text())["streams"]

#: As much as older peers accept in one frame, nearly: 4 MiB.
LARGE = """
schema: {id: 1, version: 1, min_compatible: 1}
messages:
  Large:
    tlv_type: 2000
    domain: Tests
    description: "A payload of nearly 4 MiB"
    fields:
      number: {type: "u64", description: "which one"}
""" + "".join(
    f'      part_{number}: {{type: "[u8; 65535]", description: "a part"}}\n' for number in range(63)
)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> types.ModuleType:
    path = tmp_path_factory.mktemp("large") / "large.yaml"
    path.write_text(LARGE)
    return mycelium_fast.load(path)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, SocketTransport]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with theirs, SocketTransport(ours, handshake=False, close_timeout=2.0) as transport:
        yield theirs, transport
        theirs.close()


def received(data: bytes, cut: int | None) -> tuple[list[int], ConnectionClosed]:
    """Type ids of the frames that a transport receives, and how it ends, with the stream in two pieces."""
    ours, theirs = socket.socketpair()
    with theirs, SocketTransport(ours, handshake=False, close_timeout=0.0) as transport:
        subscriber = transport.raw_subscriber()
        got: list[int] = []
        if cut is not None:
            theirs.sendall(data[:cut])
            while True:  # until it has read the first piece
                try:
                    got.append(subscriber.recv_nowait().type_id)
                except (queue.Empty, ConnectionClosed):
                    break
        with contextlib.suppress(BrokenPipeError):  # it knows enough
            theirs.sendall(data[cut or 0 :])
        theirs.close()
        got += [each.type_id for each in subscriber]
        with pytest.raises(ConnectionClosed) as caught:
            subscriber.recv()
        return got, caught.value


@pytest.mark.parametrize("stream", STREAMS, ids=[stream["kind"][:40] for stream in STREAMS])
def test_golden_streams_are_received_the_same_whatever_the_cut(stream: dict[str, Any]) -> None:
    data = bytes.fromhex(stream["stream_hex"])
    for cut in range(len(data) + 1):
        got, error = received(data, cut)
        assert got == stream["expect_type_ids"], cut
        assert (isinstance(error.__cause__, ProtocolError) or "within a frame" in str(error)) == (
            "then" in stream
        ), cut


def test_a_peer_that_sends_single_bytes_is_understood(ends: tuple[socket.socket, SocketTransport]) -> None:
    theirs, transport = ends
    subscriber, texts = transport.subscriber(TradeTick), transport.subscriber(TextMessage)
    sent = [part for number in range(30) for part in (TradeTick(number, 1), text(str(number)))]

    def send() -> None:
        for byte in frames(sent):
            theirs.send(bytes([byte]))
        theirs.close()

    with ThreadPoolExecutor(2) as pool:
        sending = pool.submit(send)
        collecting = pool.submit(list, texts)
        assert list(subscriber) == sent[::2]
        assert collecting.result(20) == sent[1::2]
        sending.result(20)


def test_a_payload_of_four_mebibytes_goes_both_ways(
    ends: tuple[socket.socket, SocketTransport], large: types.ModuleType
) -> None:
    theirs, transport = ends
    assert 4_100_000 < large.Large.SIZE <= mycelium_fast.MAX_PAYLOAD_SIZE
    subscriber = transport.subscriber(large.Large, capacity=4)
    publisher = transport.publisher(large.Large)
    messages = [
        large.Large(number, *(bytes([number + part]) * 65_535 for part in range(63))) for number in range(5)
    ]

    def echo() -> None:
        while data := theirs.recv(65_536):
            theirs.sendall(data)

    with ThreadPoolExecutor(2) as pool:
        echoing = pool.submit(echo)
        publishing = pool.submit(publisher.publish_many, messages[:3])
        for number in range(3):
            assert subscriber.recv(20) == messages[number]
        publishing.result(20)
        publishing = pool.submit(lambda: [publisher.publish(message) for message in messages[3:]])
        for message in messages[3:]:
            assert subscriber.recv(20) == message
        publishing.result(20)
        stats = transport.stats()
        assert stats.frames_sent == stats.frames_received == 5
        assert stats.pool is not None
        assert stats.pool.in_use <= 4
        transport.close()
        echoing.result(20)


def test_a_large_array_shares_the_memory_that_it_was_read_into(
    ends: tuple[socket.socket, SocketTransport], large: types.ModuleType
) -> None:
    pytest.importorskip("numpy")
    theirs, transport = ends
    subscriber = transport.subscriber(large.Large)
    message = large.Large(7, *(bytes([part]) * 65_535 for part in range(63)))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(theirs.sendall, message.to_frame() * 2)
        tables = [next(subscriber.arrays()) for _ in range(2)]
        sending.result(20)
    theirs.close()
    transport.close()
    assert [table["number"].tolist() for table in tables] == [[7], [7]]
    assert tables[0]["part_62"][0].tobytes() == bytes([62]) * 65_535


LIAR = """
import socket, struct, sys
sys.path.insert(0, {tests!r})
from links import resident_bytes, frames, ticks
from mycelium_fast import SocketTransport
from mycelium_fast.errors import ConnectionClosed, ProtocolError
from mycelium_fast.example_messages import TradeTick

import resource
limit = {limit!r}
for warm in (True, False):
    ours, theirs = socket.socketpair()
    transport = SocketTransport(ours, handshake=False, close_timeout=0.0).connect()
    subscriber = transport.subscriber(TradeTick)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    theirs.sendall(frames(ticks(0, 3)) + struct.pack("<HI", 1200, limit))
    assert list(subscriber) == ticks(0, 3)
    try:
        subscriber.recv()
    except ConnectionClosed as error:
        assert isinstance(error.__cause__, ProtocolError), error
        text = str(error)
    assert "1200" in text and str(limit) in text, text
    assert theirs.recv(1) == b"", "it has not hung up"
    transport.close()
    theirs.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("limit", [16_777_217, 2**32 - 1])
def test_a_length_over_the_limit_ends_the_connection_and_costs_no_memory(limit: int) -> None:
    program = LIAR.format(tests=str(Path(__file__).parent), limit=limit)
    assert int(checked(sys.executable, "-c", program)) < 1024  # KiB


def test_a_claimed_length_costs_memory_only_as_it_arrives(
    ends: tuple[socket.socket, SocketTransport],
) -> None:
    theirs, transport = ends
    subscriber = transport.raw_subscriber()
    theirs.sendall(struct.pack("<HI", 40_000, 16_000_000) + bytes(100_000))
    with pytest.raises(queue.Empty):
        subscriber.recv(0.05)
    stats = transport.stats()
    assert stats.bytes_received == 100_006
    assert stats.pool is not None
    assert (stats.pool.large, stats.pool.in_use <= 2) == (1, True)
    theirs.close()
    with pytest.raises(ConnectionClosed, match="within a frame"):
        subscriber.recv(20)


# Peers that are not what they should be -----------------------------------------------------------


def test_a_peer_that_accepts_and_says_nothing_is_taken_at_its_word(tmp_path: Path) -> None:
    with linked(tmp_path, handshake_grace=0.05) as (transport, _):
        assert transport.connected
        assert not transport.negotiated


def test_a_peer_that_only_sends_goes_on_and_one_that_only_receives_too(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick)
        sock.sendall(frames(ticks(0, 2)))
        sock.shutdown(socket.SHUT_WR)
        assert [subscriber.recv(20) for _ in range(2)] == ticks(0, 2)
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            subscriber.recv(20)


def test_a_peer_that_listens_no_more_still_sends(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber, publisher = transport.subscriber(TradeTick, capacity=2), transport.publisher(TradeTick)
        sock.sendall(frames(ticks(0, 10)))
        sock.shutdown(socket.SHUT_RD)
        with pytest.raises(ConnectionClosed):
            for _ in range(100):
                publisher.publish(TradeTick(1, 1))
        assert [subscriber.recv(20) for _ in range(10)] == ticks(0, 10)


@pytest.mark.parametrize("profile", ["latency", "balanced", "throughput"])
def test_close_returns_in_time_whatever_the_peer_does(tmp_path: Path, profile: str) -> None:
    with linked(tmp_path, profile=profile, close_timeout=0.3, publish_timeout=0.05) as (transport, _):
        publisher = transport.publisher(TradeTick)
        with pytest.raises(TransportTimeout):
            while True:
                publisher.publish_many(ticks(0, 1000))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(transport.close).result(10)


def cycles(tmp_path: Path, count: int) -> None:
    """Connect, say something, close; count what is left behind."""
    path = tmp_path / "peer.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(100)
        stop = threading.Event()

        def serve() -> None:
            while True:
                sock, _ = listener.accept()
                with sock:
                    if stop.is_set():
                        return
                    while sock.recv(65_536):
                        pass

        server = threading.Thread(target=serve)
        server.start()

        def cycle(number: int) -> None:
            profile = ("latency", "balanced", "throughput")[number % 3]
            options: Any = {"profile": profile, "handshake_grace": 0.0}
            with UnixTransport(path, SCHEMA_DIGEST, **options) as transport:
                transport.publisher(TradeTick).publish_many(ticks(0, 3))
                transport.subscriber(TradeTick)
                if number % 2:
                    transport.subscribe(TextMessage, print)

        for number in range(100):
            cycle(number)
        eventually(lambda: threading.active_count() <= 2)
        before, memory = descriptors(), resident_bytes()
        for number in range(count):
            cycle(number)
        eventually(lambda: threading.active_count() <= 2)
        assert descriptors() == before
        assert resident_bytes() - memory < 4_000_000 + 100 * count
        stop.set()
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
            server.join()


def test_connecting_and_closing_300_times_leaves_nothing_behind(tmp_path: Path) -> None:
    cycles(tmp_path, 300)


@pytest.mark.long
def test_connecting_and_closing_10_000_times_leaves_nothing_behind(tmp_path: Path) -> None:
    cycles(tmp_path, 10_000)
