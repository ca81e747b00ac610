"""A subscriber that stalls while others go on: what each policy promises, to it and to them."""

from __future__ import annotations

import contextlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import Bridge, bridge, is_closed, negotiated_client, read_exactly, subscribe

from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick

TICK = TradeTick.TYPE_ID
FRAME = 6 + TradeTick.SIZE
MAX_OUTPUT = 1024 * 1024
#: Ticks that are published: twenty times what may wait for one connection.
COUNT = 20 * MAX_OUTPUT // FRAME // 1_000 * 1_000


def transport(path: Path, **options: Any) -> UnixTransport:
    return UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20, **options)


def ticks(first: int, count: int) -> list[Any]:
    return [TradeTick(price=number, size=1) for number in range(first, first + count)]


def publish(client: UnixTransport, count: int = COUNT) -> None:
    publisher = client.publisher(TradeTick)
    for first in range(0, count, 1_000):
        publisher.publish_many(ticks(first, 1_000))
    publisher.flush()


def read_all(client: UnixTransport, subscriber: Any, count: int = COUNT) -> None:
    """Every tick comes, in order."""
    expected = 0
    for batch in subscriber.batches():
        assert [tick.price for tick in batch] == list(range(expected, expected + len(batch)))
        expected += len(batch)
        if expected == count:
            return
    raise AssertionError(f"the connection ended after {expected} of {count}")


def resident_bytes(running: Bridge) -> int:
    pages = int(Path(f"/proc/{running.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def stalled(path: Path) -> socket.socket:
    """A subscriber that reads nothing from now on."""
    sock, _ = negotiated_client(path)
    subscribe(sock, TICK)
    return sock


@pytest.mark.parametrize("policy", ["drop", "disconnect"])
def test_who_stalls_harms_nobody_else(tmp_path: Path, policy: str) -> None:
    path = tmp_path / "bus.sock"
    options = ["--slow-consumer", policy, "--max-output", str(MAX_OUTPUT)]
    with (
        bridge(path, *options) as running,
        stalled(path) as slow,
        transport(path, echo=False) as sender,
        transport(path) as receiver,
    ):
        received = receiver.subscriber(TradeTick, capacity=10_000, overflow="block")
        # (The receiver keeps up, since the sender never is further ahead of it than may wait.)
        before = resident_bytes(running)
        for first in range(0, COUNT, 10_000):
            batch = ticks(first, min(10_000, COUNT - first))
            sender.publisher(TradeTick).publish_many(batch)
            sender.flush()
            assert [received.recv(20).price for _ in batch] == [tick.price for tick in batch]
        assert resident_bytes(running) < before + 16 * MAX_OUTPUT
        if policy == "disconnect":
            running.wait_log("connection 1 is too slow: disconnected")
            with contextlib.suppress(ConnectionResetError):
                while slow.recv(65_536):
                    pass
            return
        # What it missed was told to the frame: all that it got, and all that it did not.
        got = missed = 0
        while got + missed < COUNT:
            header = read_exactly(slow, 6)
            length = int.from_bytes(header[2:], "little")
            payload = read_exactly(slow, length)
            if int.from_bytes(header[:2], "little") == TICK:
                tick = TradeTick.from_bytes(payload)
                assert tick.price == got + missed
                got += 1
            else:
                missed += int.from_bytes(payload[8:16], "little")
        assert got * FRAME <= MAX_OUTPUT + 16 * 1024 * 1024
        assert missed > 0


def test_who_stalls_slows_the_publishers_down_where_nothing_may_be_lost(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    options = ["--slow-consumer", "block", "--max-output", str(MAX_OUTPUT), "--stall-timeout", "60"]
    with (
        bridge(path, *options) as running,
        stalled(path) as slow,
        transport(path, echo=False, publish_timeout=60) as sender,
        transport(path) as receiver,
    ):
        received = receiver.subscriber(TradeTick, capacity=10_000, overflow="block")
        before = resident_bytes(running)
        with ThreadPoolExecutor(2) as pool:
            publishing = pool.submit(publish, sender)
            receiving = pool.submit(read_all, receiver, received)
            data = bytearray()
            expected = 0
            while expected < COUNT:  # in its own time; and nobody is ahead of it by more than fits in between
                data += slow.recv(65_536)
                whole = len(data) // FRAME * FRAME
                for tick in TradeTick.decode_batch(bytes(data[:whole])):
                    assert tick.price == expected
                    expected += 1
                del data[:whole]
            publishing.result(60)
            receiving.result(60)
        assert resident_bytes(running) < before + 16 * MAX_OUTPUT


def test_a_frame_larger_than_what_may_wait_still_arrives(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with bridge(path, "--max-output", "100"), transport(path) as client:
        received = client.subscriber(TextMessage)
        message = TextMessage(sender="test", content="x" * 200, timestamp=1)
        client.publisher(TextMessage).publish(message)
        assert received.recv(20) == message


def test_peers_that_send_nonsense_are_dealt_with_and_nobody_else_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with (
        bridge(path, "--handshake-timeout", "1") as running,
        transport(path, echo=False) as sender,
        transport(path) as receiver,
        contextlib.ExitStack() as stack,
    ):
        received = receiver.subscriber(TradeTick, capacity=100_000, overflow="block")

        def peer(data: bytes) -> socket.socket:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(20)
            sock.connect(str(path))
            sock.sendall(data)
            return sock

        good = len(SCHEMA_DIGEST).to_bytes(2, "little") + SCHEMA_DIGEST
        silent, half = peer(b""), peer(good[:20])
        garbage = peer(os.urandom(2_000).replace(b"\x20\x00", b"\x21\x00"))
        wrong = peer(b"\x20\x00" + bytes(32))
        huge = peer(good + TICK.to_bytes(2, "little") + b"\xff\xff\xff\xff" + bytes(100))
        unknown_core = peer(
            good + (12).to_bytes(2, "little") + b"\x04\x00\x00\x00abcd" + TradeTick(7, 7).to_frame()
        )
        with pytest.raises(AssertionError, match="closed after"):
            read_exactly(huge, FRAME)
        assert read_exactly(unknown_core, FRAME) == TradeTick(7, 7).to_frame()  # it was skipped
        publish(sender, 50_000)
        assert received.recv(20) == TradeTick(7, 7)
        read_all(receiver, received, 50_000)
        for sock in (silent, half, garbage, wrong):
            assert is_closed(sock)
        running.wait_log("declares 4294967295 payload bytes|4294967295")
        assert running.process.poll() is None
