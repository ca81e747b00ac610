"""Many threads on one transport: publishing, receiving, subscribing and closing at the same time."""

from __future__ import annotations

import queue
import random
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import bridge, read_exactly
from links import TICK, frames, linked, text, ticks

from mycelium_fast import UnixTransport
from mycelium_fast.errors import ConnectionClosed
from mycelium_fast.example_messages import SCHEMA_DIGEST, Ping, TextMessage, TradeTick

THREADS = 16


def check_order(sock: socket.socket, threads: int, each: int) -> None:
    """Read everything: every frame whole, each thread's in its order, none missing and none twice."""
    order = [0] * threads
    left = threads * each * TICK
    partial = b""
    while left:
        data = sock.recv(min(left, 1 << 20))
        assert data, f"closed with {left} bytes to come"
        left -= len(data)
        data = partial + data
        whole = len(data) - len(data) % TICK
        partial = data[whole:]
        for tick in TradeTick.decode_batch(data[:whole]):  # raises for whatever is not a whole frame of ticks
            thread, number = tick.price, tick.size
            assert number == order[thread]
            order[thread] = number + 1
    assert order == [each] * threads


def shared_publisher(tmp_path: Path, total: int, profile: str) -> None:
    each = total // THREADS
    with linked(tmp_path, profile=profile) as (transport, sock), ThreadPoolExecutor(THREADS + 1) as pool:
        publisher = transport.publisher(TradeTick)

        def publish(thread: int) -> None:
            # One by one, and many at once, in turns.
            number = 0
            while number < each:
                if number % 100 < 50:
                    publisher.publish(TradeTick(thread, number))
                    number += 1
                else:
                    end = min(each, number + 50)
                    publisher.publish_many([TradeTick(thread, n) for n in range(number, end)])
                    number = end
            publisher.flush()

        reading = pool.submit(check_order, sock, THREADS, each)
        for publishing in [pool.submit(publish, thread) for thread in range(THREADS)]:
            publishing.result(120)
        reading.result(120)
        assert transport.stats().frames_sent == each * THREADS
        assert transport.stats().pending_bytes == 0


@pytest.mark.parametrize("profile", ["latency", "balanced", "throughput"])
def test_16_threads_share_a_publisher_and_every_frame_is_whole(tmp_path: Path, profile: str) -> None:
    shared_publisher(tmp_path, 96_000, profile)


@pytest.mark.parametrize("profile", ["balanced"])
def test_16_threads_publish_a_million_messages_and_every_frame_is_whole(tmp_path: Path, profile: str) -> None:
    shared_publisher(tmp_path, 1_000_000, profile)


def test_threads_with_publishers_of_their_own_do_not_mix_frames(tmp_path: Path) -> None:
    each = 3000
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(3) as pool:

        def publish(cls: Any, make: Any) -> None:
            publisher = transport.publisher(cls)
            for number in range(each):
                publisher.publish(make(number))
            publisher.flush()

        kinds: list[tuple[Any, Any]] = [
            (TradeTick, lambda number: TradeTick(number, 1)),
            (TextMessage, lambda number: text(str(number))),
            (Ping, lambda number: Ping(value=str(number))),
        ]
        publishing = [pool.submit(publish, *kind) for kind in kinds]
        seen = {cls.TYPE_ID: 0 for cls, _ in kinds}
        make_of = {cls.TYPE_ID: make for cls, make in kinds}
        for _ in range(3 * each):
            type_id, length = struct.unpack("<HI", read_exactly(sock, 6))
            assert read_exactly(sock, length) == make_of[type_id](seen[type_id]).to_bytes()
            seen[type_id] += 1
        for future in publishing:
            future.result(20)


def test_every_subscriber_thread_gets_everything_while_threads_publish(tmp_path: Path) -> None:
    threads, each = 4, 5000
    path = tmp_path / "bus.sock"
    with (
        bridge(path),
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0, publish_timeout=30.0) as transport,
        ThreadPoolExecutor(2 * threads) as pool,
    ):
        subscribers = [transport.subscriber(TradeTick, capacity=500) for _ in range(threads)]
        publisher = transport.publisher(TradeTick)

        def publish(thread: int) -> None:
            for start in range(0, each, 10):
                publisher.publish_many([TradeTick(thread, number) for number in range(start, start + 10)])
            publisher.flush()

        def receive(subscriber: Any) -> dict[int, int]:
            order: dict[int, int] = {}
            for _ in range(threads * each):
                tick = subscriber.recv(30)
                assert tick.size == order.get(tick.price, 0)
                order[tick.price] = tick.size + 1
            return order

        receiving = [pool.submit(receive, subscriber) for subscriber in subscribers]
        for publishing in [pool.submit(publish, thread) for thread in range(threads)]:
            publishing.result(60)
        for future in receiving:
            assert future.result(60) == dict.fromkeys(range(threads), each)


def test_subscribers_come_and_go_while_messages_arrive(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with (
        bridge(path),
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0) as sending,
        UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0) as receiving,
        ThreadPoolExecutor(6) as pool,
    ):
        stop = threading.Event()
        whole = receiving.subscriber(TextMessage)

        def publish() -> int:
            number = 0
            one, other = sending.publisher(TradeTick), sending.publisher(TextMessage)
            while not stop.is_set():
                one.publish_many(ticks(number, number + 50))
                other.publish(text(str(number)))
                number += 50
            other.flush()
            return number

        def come_and_go(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(40):
                with receiving.subscriber(TradeTick, capacity=100) as subscriber:
                    previous = None
                    for _ in range(rng.randrange(200)):
                        number = subscriber.recv(20).price
                        assert previous is None or number == previous + 1
                        previous = number

        publishing = pool.submit(publish)

        def collect() -> list[int]:
            got = []
            while True:
                try:
                    got.append(int(whole.recv(1.0 if stop.is_set() else 20.0).content))
                except queue.Empty:
                    return got

        collecting = pool.submit(collect)
        try:
            for future in [pool.submit(come_and_go, seed) for seed in range(4)]:
                future.result(60)
        finally:
            stop.set()
        end = publishing.result(20)
        assert collecting.result(30) == list(range(0, end, 50))
        assert receiving.stats().subscribers[0].dropped == 0
        assert len(receiving.stats().subscribers) == 1


@pytest.mark.parametrize("seed", range(3))
def test_closing_amid_everything_wakes_everybody(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with linked(tmp_path, close_timeout=0.5, publish_timeout=None) as (transport, sock):
        subscribers = [transport.subscriber(cls, capacity=10) for cls in (TradeTick, TextMessage, Ping)]
        publisher = transport.publisher(TradeTick)
        started = threading.Barrier(9)

        def receive(subscriber: Any) -> None:
            started.wait(20)
            while True:
                subscriber.recv()

        def publish() -> None:
            started.wait(20)
            while True:
                publisher.publish_many(ticks(0, 100))

        def feed() -> None:
            started.wait(20)
            try:
                while True:
                    sock.sendall(frames([*ticks(0, 20), text()]))
            except OSError:
                pass

        with ThreadPoolExecutor(9) as pool:
            waiting = [pool.submit(receive, subscriber) for subscriber in (*subscribers, *subscribers[:1])]
            waiting += [pool.submit(publish) for _ in range(3)]
            feeding = pool.submit(feed)
            started.wait(20)
            with pytest.raises(queue.Empty):
                transport.subscriber((TextMessage,), capacity=10_000).recv(rng.random() / 10 + 0.001) and (
                    _ for _ in ()
                ).throw(queue.Empty)
            transport.close()
            for future in waiting:
                with pytest.raises(ConnectionClosed, match="closed by this program"):
                    future.result(20)
            sock.close()
            feeding.result(20)


def test_two_threads_may_close_at_once(tmp_path: Path) -> None:
    with linked(tmp_path, close_timeout=1.0) as (transport, sock), ThreadPoolExecutor(4) as pool:
        transport.publisher(TradeTick).publish(TradeTick(1, 1))
        closing = [pool.submit(transport.close) for _ in range(4)]
        assert read_exactly(sock, TICK) == TradeTick(1, 1).to_frame()
        sock.close()
        for future in closing:
            future.result(20)
        assert not transport.connected
