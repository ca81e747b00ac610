"""Slow consumers under each policy, against a real bridge and a raw peer: bounded memory, and exact drops."""

from __future__ import annotations

import queue
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import bridge
from environments import checked
from links import eventually, frames, linked, text, ticks

from mycelium_fast import UnixTransport
from mycelium_fast.errors import ConnectionClosed, SubscriberOverflow
from mycelium_fast.example_messages import SCHEMA_DIGEST, Ping, TextMessage, TradeTick

TOTAL = 60_000


def settled(subscriber: Any, probe: Any, sending: Any) -> list[int]:
    """What a slow subscriber gets of what is sent meanwhile, up to the text at the end."""
    received: list[int] = []
    while True:
        try:
            probe.recv_nowait()
            break
        except queue.Empty:
            pass
        try:
            received.append(subscriber.recv(0.001).price)
        except queue.Empty:
            continue
    sending.result(20)
    while True:
        try:
            received.append(subscriber.recv_nowait().price)
        except queue.Empty:
            return received


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest"])
def test_sent_is_received_and_dropped_over_a_bridge(tmp_path: Path, overflow: Any) -> None:
    path = tmp_path / "bus.sock"
    with (
        bridge(path),
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0) as sending,
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0) as receiving,
        ThreadPoolExecutor(1) as pool,
    ):
        subscriber = receiving.subscriber(TradeTick, capacity=100, overflow=overflow)
        probe = receiving.subscriber(TextMessage)

        def send() -> None:
            sending.publisher(TradeTick).publish_many(ticks(0, TOTAL))
            sending.publisher(TextMessage).publish(text())
            sending.publisher(TextMessage).flush()

        received = settled(subscriber, probe, pool.submit(send))
        assert received == sorted(set(received))
        stats = subscriber.stats()
        assert subscriber.lagged == 0
        assert len(received) + subscriber.dropped == TOTAL == stats.received
        assert subscriber.dropped == stats.dropped > 0
        assert stats.high_water <= stats.capacity == (1 if overflow == "latest" else 100)
        if overflow != "drop_newest":
            assert received[-1] == TOTAL - 1


def test_blocking_loses_nothing_over_a_bridge(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with (
        bridge(path),
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0, publish_timeout=30.0) as sending,
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0) as receiving,
        ThreadPoolExecutor(1) as pool,
    ):
        subscriber = receiving.subscriber(TradeTick, capacity=50)
        publishing = pool.submit(sending.publisher(TradeTick).publish_many, ticks(0, TOTAL))
        received: list[int] = []
        while len(received) < TOTAL:
            batch = next(subscriber.batches())
            assert len(batch) <= 50
            received += [tick.price for tick in batch]
        publishing.result(20)
        assert received == list(range(TOTAL))
        assert (subscriber.dropped, subscriber.stats().high_water) == (0, 50)


def test_overflow_error_gives_what_was_queued_then_raises_and_the_others_go_on(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        failing = transport.subscriber(TradeTick, capacity=10, overflow="error")
        other = transport.subscriber(TradeTick, capacity=10_000)
        sock.sendall(frames(ticks(0, 1000)))
        assert [other.recv(20).price for _ in range(1000)] == list(range(1000))
        assert [failing.recv(20).price for _ in range(10)] == list(range(10))
        for receive in (failing.recv, failing.recv_nowait, lambda: next(failing)):
            with pytest.raises(SubscriberOverflow, match="990 messages"):
                receive()
        with pytest.raises(SubscriberOverflow):
            list(failing.batches())
        sock.sendall(frames(ticks(1000, 1010)))
        assert [other.recv(20).price for _ in range(10)] == list(range(1000, 1010))
        assert (failing.dropped, failing.stats().received) == (1000, 1010)
        failing.close()


def test_one_slow_subscriber_that_drops_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        idle = transport.subscriber(TradeTick, capacity=10, overflow="drop_newest")
        busy = transport.subscriber(TradeTick)
        sending = pool.submit(sock.sendall, frames(ticks(0, TOTAL)))
        assert [busy.recv(20).price for _ in range(TOTAL)] == list(range(TOTAL))
        sending.result(20)
        assert idle.dropped == TOTAL - 10
        assert [tick.price for tick in next(idle.batches())] == list(range(10))


def test_a_flood_does_not_keep_who_only_looks(tmp_path: Path) -> None:
    """recv_nowait() returns, although something else arrives without end."""
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        transport.subscriber(TradeTick, capacity=10, overflow="drop_oldest")
        texts = transport.subscriber(TextMessage)
        data, stop = frames(ticks(0, 3000)), []

        def flood() -> None:
            while not stop:
                sock.sendall(data)
            sock.sendall(text().to_frame())

        flooding = pool.submit(flood)
        for _ in range(5):
            with pytest.raises(queue.Empty):
                texts.recv_nowait()
        stop.append(True)
        assert texts.recv(20) == text()
        flooding.result(20)


MEMORY = """
import sys, threading
sys.path.insert(0, {tests!r})
from pathlib import Path
from links import frames, linked, resident_bytes, text, ticks
from mycelium_fast.example_messages import TextMessage, TradeTick

overflow, arrays = {overflow!r}, {arrays!r}
with linked(Path({directory!r})) as (transport, sock):
    subscriber = transport.subscriber(TradeTick, capacity=2000, overflow=overflow)
    if arrays:
        subscriber.arrays()
    probe = transport.subscriber(TextMessage)
    data = frames([*ticks(0, 9999), text()])
    def send(rounds):
        thread = threading.Thread(target=lambda: [sock.sendall(data) for _ in range(rounds)])
        thread.start()
        for _ in range(rounds):
            probe.recv(20)
        thread.join()
    send(20)
    before = resident_bytes()
    send(400)  # 88 MB, of which 2000 messages are to be kept
    grown = resident_bytes() - before
    stats = transport.stats()
    assert subscriber.stats().queued <= 2000
    assert subscriber.stats().received == 420 * 9999
    assert subscriber.dropped == 420 * 9999 - subscriber.stats().queued
    print(grown, stats.pool.in_use, stats.pool.high_water)
"""


@pytest.mark.parametrize("arrays", [False, True], ids=["messages", "arrays"])
@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest", "error"])
def test_memory_stays_within_the_settings_however_much_arrives(
    tmp_path: Path, overflow: str, arrays: bool
) -> None:
    if arrays:
        pytest.importorskip("numpy")
    program = MEMORY.format(
        tests=str(Path(__file__).parent), directory=str(tmp_path), overflow=overflow, arrays=arrays
    )
    grown, in_use, high_water = map(int, checked(sys.executable, "-c", program).split())
    assert grown < 4_000_000
    assert in_use <= high_water <= 12


def test_a_queue_that_blocks_bounds_what_is_read(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber(TradeTick, capacity=100)
        sending = pool.submit(sock.sendall, frames(ticks(0, TOTAL)))
        with pytest.raises(queue.Empty):
            transport.subscriber(TextMessage).recv(0.2)
        stats = transport.stats()
        assert subscriber.stats().queued == 100
        assert stats.bytes_received <= 2 * 65_536  # a block, and what of the next one was read with it
        assert not sending.done()
        assert [subscriber.recv(20).price for _ in range(TOTAL)] == list(range(TOTAL))
        sending.result(20)


# Raw frames and several classes -------------------------------------------------------------------


def test_raw_subscribers_get_frames_as_they_are_of_the_types_asked_for(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        some = transport.raw_subscriber(TradeTick.TYPE_ID, 40_000)
        everything = transport.raw_subscriber()
        data = frames([TradeTick(1, 2), text()])
        unknown = (40_000).to_bytes(2, "little") + (3).to_bytes(4, "little") + b"abc"
        wrong = TradeTick.TYPE_ID.to_bytes(2, "little") + bytes(4)
        sock.sendall(data + unknown + wrong)
        sock.close()
        assert list(some) == [(1200, TradeTick(1, 2).to_bytes()), (40_000, b"abc"), (1200, b"")]
        assert [each.type_id for each in everything] == [1200, 1001, 40_000, 1200]
        assert transport.skipped_frames == 0
        with pytest.raises(ConnectionClosed):
            some.recv()


@pytest.mark.parametrize("wrong", [-1, 65_536, True, 1.5, "1200", None])
def test_what_is_no_type_id_is_refused(tmp_path: Path, wrong: Any) -> None:
    with linked(tmp_path) as (transport, _), pytest.raises((TypeError, ValueError), match="type id"):
        transport.raw_subscriber(wrong)


@pytest.mark.parametrize(
    "wanted", [(TradeTick, TextMessage), TradeTick | TextMessage, [TradeTick, TextMessage]]
)
def test_several_classes_come_in_one_order(tmp_path: Path, wanted: Any) -> None:
    sent = [part for number in range(500) for part in (TradeTick(number, 0), text(str(number)))]
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(wanted)
        sock.sendall(frames(sent) + Ping(value="x").to_frame())
        sock.close()
        assert list(subscriber) == sent
        assert transport.skipped_frames == 1
        assert subscriber.message_class == (TradeTick, TextMessage)


def test_a_topic_that_nobody_has_lists_those_there_are(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, _), pytest.raises(LookupError, match=TradeTick.TOPIC):
        transport.subscriber("market-dta")


def test_unknown_and_bad_frames_are_reported_and_never_fatal(tmp_path: Path) -> None:
    reported: list[Any] = []

    def hook(bad: Any) -> None:
        reported.append((bad.type_id, bad.count, bad.error is None))
        raise RuntimeError("of the hook")

    with linked(tmp_path, on_bad_frame=hook) as (transport, sock):
        subscriber = transport.subscriber(TradeTick)
        wrong = TradeTick.TYPE_ID.to_bytes(2, "little") + bytes(4)
        unknown = (40_000).to_bytes(2, "little") + bytes(4)
        # Of a type that the contracts have, and nobody asked for, there is nothing to report.
        sock.sendall(frames(ticks(0, 1)) + wrong * 2 + unknown * 3 + text().to_frame() + frames(ticks(1, 2)))
        sock.close()
        assert list(subscriber) == ticks(0, 2)
        assert reported == [(1200, 2, False), (40_000, 3, True)]
        assert (subscriber.decode_errors, transport.skipped_frames) == (2, 4)


def test_looking_once_takes_what_is_there(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick)
        for number in range(3):
            with pytest.raises(queue.Empty):
                subscriber.recv(timeout=0)
            sock.sendall(TradeTick(number, 1).to_frame())
            assert subscriber.recv(timeout=0).price == number


def test_what_had_arrived_behind_a_full_queue_can_be_taken_after_closing(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick, capacity=3)
        sock.sendall(frames(ticks(0, 10)))
        eventually(lambda: arrived(transport) == 10)
        transport.close()
        assert list(subscriber) == ticks(0, 10)


def arrived(transport: UnixTransport) -> int:
    """Frames that the transport has read, after a look at what there is."""
    transport.publisher(TextMessage).publish(text())
    return transport.stats().frames_received
