"""`transport.stats()`, `subscriber.stats()`: each counter is what it says, over connections and failures."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bridges import GREETING, Peer, read_exactly
from links import TICK, eventually, frames, linked, negotiated, subscribed, text, ticks

from mycelium_fast import Batching, BufferPool, UnixTransport
from mycelium_fast.errors import TransportTimeout
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick
from mycelium_fast.session import core

#: Bytes of every connection before its messages.
GREETED = len(GREETING) + 6 + core.Hello.SIZE


def test_before_connecting_there_is_nothing(tmp_path: Path) -> None:
    transport = UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST, service="pricing", node="alpha")
    stats = transport.stats()
    assert (stats.service, stats.node, stats.peer) == ("pricing", "alpha", f"unix:{tmp_path / 'bus.sock'}")
    assert (stats.state, stats.negotiated, stats.reconnects, stats.pool) == ("closed", False, 0, None)
    assert (stats.frames_sent, stats.bytes_sent, stats.batches_sent, stats.pending_bytes) == (0, 0, 0, 0)
    assert (stats.frames_received, stats.bytes_received, stats.reads) == (0, 0, 0)
    assert (stats.skipped_frames, stats.lagged_frames, stats.subscribers) == (0, 0, ())


def test_what_was_sent_is_counted_once_it_is_sent(tmp_path: Path) -> None:
    with linked(tmp_path, profile=Batching(max_delay=1000.0)) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        publisher.publish(TradeTick(1, 1))
        publisher.publish_many(ticks(0, 9))
        stats = transport.stats()
        assert (stats.frames_sent, stats.bytes_sent, stats.pending_bytes) == (0, GREETED, 10 * TICK)
        assert stats.state == "connected"
        publisher.flush()
        read_exactly(sock, 10 * TICK)
        stats = transport.stats()
        assert (stats.frames_sent, stats.bytes_sent, stats.pending_bytes) == (10, GREETED + 10 * TICK, 0)
        assert (stats.batches_sent, stats.flushes["explicit"]) == (1, 1)


def test_what_a_peer_does_not_take_is_pending_and_not_sent(tmp_path: Path) -> None:
    with linked(tmp_path, publish_timeout=0.05, max_pending=100_000) as (transport, sock):
        accepted = 0
        with pytest.raises(TransportTimeout) as caught:
            while True:
                transport.publisher(TradeTick).publish_many(ticks(0, 1000))
                accepted += 1000
        accepted += caught.value.accepted
        stats = transport.stats()
        assert 0 < stats.pending_bytes <= 100_000
        assert stats.bytes_sent - GREETED + stats.pending_bytes == accepted * TICK
        # Of a block that is sent in part, no message counts.
        assert accepted - stats.frames_sent >= stats.pending_bytes // TICK
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read_exactly, sock, accepted * TICK)
            reading.result(20)
        eventually(lambda: transport.stats().pending_bytes == 0)
        assert transport.stats().frames_sent == accepted


def test_what_was_received_is_counted_with_its_reads(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick)
        for number in range(3):
            sock.sendall(frames([TradeTick(number, 1), text()]))
            assert subscriber.recv(20).price == number
        stats = transport.stats()
        assert (stats.frames_received, stats.reads) == (6, 3)
        assert stats.bytes_received == 3 * (TICK + 6 + TextMessage.SIZE)
        assert stats.skipped_frames == transport.skipped_frames == 3


def test_core_frames_count_as_bytes_and_received_frames_and_not_as_messages_sent(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TradeTick.TYPE_ID)
        sock.sendall(core.Ping(1).to_frame() + frames(ticks(0, 1)))
        subscriber.recv(20)
        stats = transport.stats()
        assert stats.negotiated
        assert stats.frames_sent == 0
        assert stats.bytes_sent == GREETED + 6 + core.Subscribe.SIZE + 6 + core.Pong.SIZE
        assert stats.frames_received == 4  # Welcome, Subscribed, Ping, tick
        assert stats.skipped_frames == 0


def test_a_subscribers_counters_add_up(tmp_path: Path) -> None:
    wrong = TextMessage.TYPE_ID.to_bytes(2, "little") + bytes(4)
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TextMessage, capacity=5, overflow="drop_oldest")
        probe = transport.subscriber(TradeTick)
        sock.sendall((text("x").to_frame() + wrong) * 8 + frames(ticks(0, 1)))
        probe.recv(20)
        subscriber.recv()
        stats = subscriber.stats()
        assert (stats.name, stats.received, stats.queued, stats.capacity) == ("TextMessage", 8, 4, 5)
        assert (stats.high_water, stats.dropped, stats.decode_errors, stats.lagged) == (5, 3, 8, 0)
        assert transport.stats().subscribers == (stats, probe.stats())
        assert stats.received == stats.dropped + stats.queued + 1


def test_several_classes_and_raw_frames_have_a_name(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, _):
        made = [transport.subscriber((TradeTick, TextMessage)), transport.raw_subscriber(7, 5)]
        made.append(transport.raw_subscriber())
        assert [each.name for each in transport.stats().subscribers] == [
            "TradeTick | TextMessage",
            "raw 5, 7",
            "raw",
        ]
        made[0].close()
        assert len(transport.stats().subscribers) == 2


def test_counters_go_on_over_connections(tmp_path: Path) -> None:
    path = tmp_path / "peer.sock"
    peer = Peer(path)
    transport = UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.01, profile="latency", close_timeout=1.0)
    for number in range(1, 4):
        with transport:
            sock = peer.accept()
            subscriber = transport.subscriber(TradeTick)
            transport.publisher(TradeTick).publish(TradeTick(1, 1))
            sock.sendall(frames(ticks(0, 2)) + struct.pack("<HI", 40_000, 0))
            sock.close()
            assert list(subscriber) == ticks(0, 2)
            stats = transport.stats()
            assert (stats.frames_sent, stats.frames_received) == (number, 3 * number)
            assert (stats.skipped_frames, stats.reconnects) == (number, number - 1)
            assert (stats.batches_sent, stats.flushes["immediate"]) == (number, number)
            assert len(stats.subscribers) == 1
    stats = transport.stats()
    assert (stats.state, stats.frames_sent, stats.frames_received) == ("closed", 3, 9)
    peer.close()


def test_what_was_accepted_and_never_sent_is_not_counted_as_sent(tmp_path: Path) -> None:
    with linked(tmp_path, profile=Batching(max_delay=1000.0)) as (transport, sock):
        transport.publisher(TradeTick).publish(TradeTick(1, 1))
        sock.close()
        transport.close()
        assert transport.stats().frames_sent == 0


def test_the_pools_figures_are_those_of_the_pool_given(tmp_path: Path) -> None:
    pool = BufferPool(block_size=8192, blocks=3)
    with linked(tmp_path, pool=pool) as (transport, _):
        transport.publisher(TradeTick).publish(TradeTick(1, 1))
        assert transport.stats().pool == pool.stats()
        assert pool.stats().block_size == 8192
        assert pool.stats().in_use > 0


def test_subscribers_that_were_closed_are_not_kept(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, _):
        for _ in range(100):
            transport.subscriber(TradeTick).close()
        assert len(transport._subscribers) <= 1
