"""When messages leave a blocking transport, by profile: as a peer sees that counts what it receives."""

from __future__ import annotations

import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import read_exactly
from links import TICK, eventually, frames, linked, prices, ticks

from mycelium_fast import Batching
from mycelium_fast.errors import ConnectionClosed, TransportTimeout
from mycelium_fast.example_messages import TradeTick

#: Nothing leaves by itself within a test.
SLOW = Batching(max_bytes=65_536, max_delay=1000.0)


def nothing_came(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return True
    finally:
        sock.settimeout(20)


def test_latency_sends_every_message_at_once(tmp_path: Path) -> None:
    with linked(tmp_path, profile="latency") as (transport, sock):
        publisher = transport.publisher(TradeTick)
        for number in range(300):
            publisher.publish(TradeTick(number, 1))
            assert sock.recv(65_536) == TradeTick(number, 1).to_frame()
        stats = transport.stats()
        assert (stats.flushes["immediate"], stats.batches_sent, stats.frames_sent) == (300, 300, 300)
        assert stats.pending_bytes == 0


def test_balanced_sends_at_once_while_messages_come_slowly(tmp_path: Path) -> None:
    with linked(tmp_path, profile="balanced") as (transport, sock):
        publisher = transport.publisher(TradeTick)
        for number in range(100):
            publisher.publish(TradeTick(number, 1))
            assert not nothing_came(sock)  # without waiting for it
            assert sock.recv(65_536) == TradeTick(number, 1).to_frame()
            time.sleep(0.0005)
        assert transport.stats().flushes["immediate"] == 100


@pytest.mark.parametrize("profile", ["balanced", "throughput"])
def test_under_load_messages_leave_together(tmp_path: Path, profile: str) -> None:
    total = 50_000
    messages = ticks(0, total)
    with linked(tmp_path, profile=profile) as (transport, sock), ThreadPoolExecutor(1) as pool:
        publisher = transport.publisher(TradeTick)
        receiving = pool.submit(read_exactly, sock, total * TICK)
        for message in messages:
            publisher.publish(message)
        publisher.flush()
        assert receiving.result(20) == frames(messages)
        stats = transport.stats()
        assert stats.frames_sent == total
        assert stats.batches_sent == sum(stats.flushes.values())
        # A batch is 64 KiB, about 3,000 messages, less where the delay was shorter; a few left at once.
        assert stats.batches_sent < total / 20


@pytest.mark.parametrize("profile", ["balanced", "throughput"])
def test_a_message_that_waits_leaves_without_any_further_call(tmp_path: Path, profile: str) -> None:
    with linked(tmp_path, profile=profile) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        for burst in range(20):
            for number in range(100):
                publisher.publish(TradeTick(number, burst))
            assert prices(read_exactly(sock, 100 * TICK)) == list(range(100))
        assert transport.stats().flushes["delay"] >= 1
        eventually(lambda: transport.stats().pending_bytes == 0)


def test_nothing_leaves_before_its_time(tmp_path: Path) -> None:
    with linked(tmp_path, profile=SLOW) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        for number in range(100):
            publisher.publish(TradeTick(number, 1))
        assert nothing_came(sock)
        assert transport.stats().pending_bytes == 100 * TICK
        assert transport.stats().frames_sent == 0
        publisher.flush()
        assert prices(read_exactly(sock, 100 * TICK)) == list(range(100))
        stats = transport.stats()
        assert (stats.flushes["explicit"], stats.batches_sent, stats.pending_bytes) == (1, 1, 0)


def test_a_full_batch_leaves_at_once(tmp_path: Path) -> None:
    with linked(tmp_path, profile=Batching(max_bytes=10 * TICK, max_delay=1000.0)) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        for number in range(9):
            publisher.publish(TradeTick(number, 1))
        assert nothing_came(sock)
        publisher.publish(TradeTick(9, 1))
        assert len(sock.recv(65_536)) == 10 * TICK
        assert transport.stats().flushes["size"] == 1


def test_so_many_messages_leave_at_once(tmp_path: Path) -> None:
    profile = Batching(max_bytes=65_536, max_delay=1000.0, max_messages=7)
    with linked(tmp_path, profile=profile) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        for number in range(13):
            publisher.publish(TradeTick(number, 1))
        assert len(sock.recv(65_536)) == 7 * TICK
        assert nothing_came(sock)
        assert transport.stats().flushes["count"] == 1
        publisher.publish_many(ticks(13, 20))
        assert prices(read_exactly(sock, 13 * TICK)) == list(range(7, 20))


def test_who_waits_for_messages_sends_what_waits_first(tmp_path: Path) -> None:
    with linked(tmp_path, profile=SLOW) as (transport, sock):
        publisher, subscriber = transport.publisher(TradeTick), transport.subscriber(TradeTick)
        publisher.publish(TradeTick(1, 1))
        with pytest.raises(queue.Empty):
            subscriber.recv(timeout=0.01)
        assert read_exactly(sock, TICK) == TradeTick(1, 1).to_frame()
        assert transport.stats().flushes["explicit"] == 1
        # Between two that wait, each for the other, too.
        with ThreadPoolExecutor(1) as pool:
            publisher.publish(TradeTick(2, 1))
            receiving = pool.submit(next, iter(subscriber))
            sock.sendall(read_exactly(sock, TICK))
            assert receiving.result(20) == TradeTick(2, 1)


def test_closing_sends_what_waits(tmp_path: Path) -> None:
    with linked(tmp_path, profile=SLOW) as (transport, sock), ThreadPoolExecutor(1) as pool:
        transport.publisher(TradeTick).publish_many(ticks(0, 50))

        def read_to_the_end() -> bytes:
            data = b"".join(iter(lambda: sock.recv(65_536), b""))
            sock.close()
            return data

        reading = pool.submit(read_to_the_end)
        transport.close()
        assert reading.result(20) == frames(ticks(0, 50))
        stats = transport.stats()
        assert (stats.flushes["close"], stats.frames_sent, stats.pending_bytes) == (1, 50, 0)


def test_closing_does_not_wait_for_a_delay(tmp_path: Path) -> None:
    """Nor does it leave the thread behind that would have sent what waited."""
    with linked(tmp_path, profile=SLOW) as (transport, sock):
        transport.publisher(TradeTick).publish(TradeTick(1, 1))
        assert [each for each in threading.enumerate() if each.name == "mycelium-flusher"]
        with ThreadPoolExecutor(1) as pool:
            pool.submit(sock.close)
        transport.close()
        assert not [each for each in threading.enumerate() if each.name == "mycelium-flusher"]


def test_an_unclosed_transport_leaves_no_thread_behind(tmp_path: Path) -> None:
    with linked(tmp_path, profile=SLOW) as (transport, _):
        transport.publisher(TradeTick).publish(TradeTick(1, 1))
        with pytest.warns(ResourceWarning, match="unclosed UnixTransport"):
            transport._stream = None
        eventually(lambda: not [each for each in threading.enumerate() if each.name == "mycelium-flusher"])


def test_a_batch_may_be_larger_than_what_may_wait(tmp_path: Path) -> None:
    with linked(tmp_path, profile="throughput", max_pending=10_000) as (transport, sock):
        with ThreadPoolExecutor(1) as pool:
            receiving = pool.submit(read_exactly, sock, 20_000 * TICK)
            transport.publisher(TradeTick).publish_many(ticks(0, 20_000))
            transport.publisher(TradeTick).flush()
            assert prices(receiving.result(20)) == list(range(20_000))
        assert transport.stats().flushes["size"] > 10
        assert set(transport.stats().flushes) == {
            *("immediate", "size", "count", "delay", "explicit", "close", "full")
        }


@pytest.mark.parametrize("profile", ["latency", "balanced", "throughput"])
@pytest.mark.parametrize("many", [False, True], ids=["publish", "publish_many"])
def test_what_a_time_out_says_was_accepted_arrives_and_nothing_else(
    tmp_path: Path, profile: str, many: bool
) -> None:
    options: dict[str, Any] = {"profile": profile, "publish_timeout": 0.05, "max_pending": 50_000}
    with linked(tmp_path, **options) as (transport, sock), ThreadPoolExecutor(1) as pool:
        publisher = transport.publisher(TradeTick)
        accepted, time_outs = 0, 0
        while time_outs < 4:
            try:
                if many:
                    publisher.publish_many(ticks(accepted, accepted + 1000))
                    accepted += 1000
                else:
                    publisher.publish(TradeTick(accepted, accepted + 1))
                    accepted += 1
            except TransportTimeout as error:
                assert 0 <= error.accepted <= (1000 if many else 1)
                accepted += error.accepted
                time_outs += 1
        receiving = pool.submit(read_exactly, sock, accepted * TICK)
        # All by itself, without another call.
        assert receiving.result(20) == frames(ticks(0, accepted))
        eventually(lambda: transport.stats().pending_bytes == 0)
        assert transport.stats().frames_sent == accepted


def test_a_time_out_of_a_traced_batch_counts_the_messages(tmp_path: Path) -> None:
    class Span:
        context = None

        def end(self, error: BaseException | None = None) -> None:
            pass

    class Tracer:
        def publishing(self, message_class: type, count: int) -> Span:
            return Span()

    with linked(tmp_path, publish_timeout=0.05) as (transport, sock), ThreadPoolExecutor(1) as pool:
        transport.tracer = Tracer()  # type: ignore[assignment]
        publisher = transport.publisher(TradeTick)
        accepted = 0
        with pytest.raises(TransportTimeout) as caught:
            while True:
                publisher.publish_many(ticks(accepted, accepted + 5000))
                accepted += 5000
        assert caught.value.accepted == 5000
        accepted += 5000
        assert pool.submit(read_exactly, sock, accepted * TICK).result(20) == frames(ticks(0, accepted))


def test_flush_of_a_connection_that_is_over_raises(tmp_path: Path) -> None:
    with linked(tmp_path, profile=SLOW) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        publisher.publish(TradeTick(1, 1))
        sock.close()
        for _ in range(2):
            with pytest.raises(ConnectionClosed):
                publisher.flush()


@pytest.mark.parametrize("many", [False, True], ids=["publish", "publish_many"])
def test_without_a_thread_to_wait_in_messages_leave_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with linked(tmp_path, profile=SLOW) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for number in range(3):
                if many:
                    publisher.publish_many(ticks(number, number + 1))
                else:
                    publisher.publish(ticks(number, number + 1)[0])
        assert prices(read_exactly(sock, 3 * TICK)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("batching", "publish", "reason"),
    [
        (Batching(max_bytes=0, max_delay=0.0), [1], "immediate"),
        (Batching(max_bytes=0, max_delay=0.0), [5], "immediate"),
        (Batching(max_bytes=100 * TICK, max_delay=1000.0), [1] * 100, "size"),
        (Batching(max_bytes=100 * TICK, max_delay=1000.0), [100], "size"),
        (Batching(max_messages=10, max_delay=1000.0), [1] * 10, "count"),
        (Batching(max_messages=10, max_delay=1000.0), [4, 6], "count"),
        (Batching(max_bytes=65_536, max_delay=1000.0, adaptive=True), [1], "immediate"),
    ],
)
def test_every_batch_is_counted_by_the_reason_it_left_for(
    tmp_path: Path, batching: Batching, publish: list[int], reason: str
) -> None:
    with linked(tmp_path, profile=batching) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        for count in publish:
            if count == 1:
                publisher.publish(TradeTick(1, 1))
            else:
                publisher.publish_many(ticks(0, count))
        read_exactly(sock, sum(publish) * TICK)
        stats = transport.stats()
        assert {name: count for name, count in stats.flushes.items() if count} == {reason: 1}
        assert stats.batches_sent == 1
