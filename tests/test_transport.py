"""Blocking transports against a peer that the test drives byte by byte."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError  # the built-in one from 3.11 on
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from bridges import GREETING, Peer, is_closed, read_exactly
from links import TICK, descriptors, frames, text, ticks

from mycelium_fast import TcpTransport, UnixTransport, read_frame
from mycelium_fast.errors import (
    ConnectionClosed,
    EncodeError,
    ProtocolError,
    SchemaMismatchError,
    TransportError,
    TransportTimeout,
)
from mycelium_fast.example_messages import (
    SCHEMA_DIGEST,
    Ping,
    TextMessage,
    TradeTick,
)
from mycelium_fast.session import core


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "peer.sock"


@pytest.fixture
def peer(path: Path) -> Iterator[Peer]:
    made = Peer(path)
    yield made
    made.close()


@pytest.fixture
def pair(peer: Peer, path: Path) -> Iterator[tuple[UnixTransport, socket.socket]]:
    """A transport, and the other end of its connection."""
    transport = UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.01, close_timeout=2.0)
    transport.connect()
    yield transport, peer.accept()
    peer.close()
    transport.close()


# Connecting ---------------------------------------------------------------------------------------


def test_connecting_sends_the_digest_and_takes_silence_for_consent(peer: Peer, path: Path) -> None:
    with UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.2) as transport:
        assert read_exactly(peer.accept(greeted=False), 34) == GREETING
        assert transport.connected


@pytest.mark.parametrize("drain", [True, False], ids=["closed", "reset"])
def test_a_peer_that_closes_on_the_digest_is_a_mismatch_at_connect(
    peer: Peer, path: Path, drain: bool
) -> None:
    def refuse() -> None:
        sock = peer.accept(greeted=drain)
        sock.close()

    with ThreadPoolExecutor(1) as pool:
        refusal = pool.submit(refuse)
        with pytest.raises(SchemaMismatchError) as caught:
            UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0).connect()
        refusal.result()
    assert SCHEMA_DIGEST.hex() in str(caught.value)
    assert "same contracts file" in str(caught.value)


def test_a_frame_ends_the_wait_for_a_refusal_and_is_kept(peer: Peer, path: Path) -> None:
    def greet() -> None:
        peer.accept().sendall(frames(ticks(0, 3)))

    transport = UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0, close_timeout=0.1)
    with ThreadPoolExecutor(1) as pool:
        greeting = pool.submit(greet)
        transport.connect()
        greeting.result()
    with transport:
        subscriber = transport.subscriber(TradeTick)
        assert [subscriber.recv(20) for _ in range(3)] == ticks(0, 3)


def test_without_a_handshake_nothing_is_sent_before_the_first_frame(peer: Peer, path: Path) -> None:
    with UnixTransport(path, handshake=False, close_timeout=0.1) as transport:
        transport.publisher(TradeTick).publish(TradeTick(1, 2))
        assert read_exactly(peer.accept(greeted=False), TICK) == TradeTick(1, 2).to_frame()


def test_a_refusal_after_the_grace_shows_in_the_next_call(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.close()
    with pytest.raises(ConnectionClosed, match="may have refused the schema digest"):
        subscriber.recv(20)


def test_connecting_to_nothing_says_how_to_start_a_bridge(path: Path) -> None:
    with pytest.raises(TransportError, match="mycelium bridge --unix") as caught:
        UnixTransport(path, SCHEMA_DIGEST).connect()
    assert str(path) in str(caught.value)
    with pytest.raises(TransportError, match="port 1:"):
        TcpTransport("127.0.0.1", 1, SCHEMA_DIGEST).connect()


def test_a_peer_that_does_not_answer_is_a_time_out(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))  # fills the backlog
        with pytest.raises(TransportTimeout, match=r"within 0.05 s"):
            UnixTransport(path, SCHEMA_DIGEST, connect_timeout=0.05).connect()


def test_wrong_arguments_are_refused_where_they_are_given(path: Path) -> None:
    with pytest.raises(ValueError, match="31 bytes instead of 32"):
        UnixTransport(path, SCHEMA_DIGEST[1:])
    with pytest.raises(TypeError, match="must be bytes, not str"):
        UnixTransport(path, SCHEMA_DIGEST.hex())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="handshake=False"):
        UnixTransport(path)
    for name in ("connect_timeout", "handshake_grace", "close_timeout", "publish_timeout"):
        options: dict[str, Any] = {name: -1}
        with pytest.raises(ValueError, match=f"{name} must be a non-negative number of seconds, not -1"):
            UnixTransport(path, SCHEMA_DIGEST, **options)
    with pytest.raises(ValueError, match="port"):
        TcpTransport("localhost", 70_000, SCHEMA_DIGEST)
    with pytest.raises(TransportError, match="not connected"):
        UnixTransport(path, SCHEMA_DIGEST).publisher(TradeTick)


def test_a_transport_connects_again_after_closing(peer: Peer, path: Path) -> None:
    transport = UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.01)
    for _ in range(2):
        with transport:
            sock = peer.accept()
            sock.sendall(frames(ticks(7, 8)))
            assert transport.subscriber(TradeTick).recv(20) == TradeTick(7, 8)
            sock.close()
        assert not transport.connected


def test_connecting_twice_is_refused(pair: tuple[UnixTransport, socket.socket]) -> None:
    with pytest.raises(TransportError, match="connected already"):
        pair[0].connect()


def test_a_class_of_another_contracts_file_is_refused_with_both_digests(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    for make in (pair[0].publisher, pair[0].subscriber):
        with pytest.raises(
            SchemaMismatchError, match=r"session\.core\.Ping .* another contracts file"
        ) as caught:
            make(core.Ping)
        assert SCHEMA_DIGEST.hex() in str(caught.value)
        assert core.SCHEMA_DIGEST.hex() in str(caught.value)


def test_without_a_handshake_classes_of_any_contracts_file_will_do(peer: Peer, path: Path) -> None:
    for digest in (None, SCHEMA_DIGEST):
        with UnixTransport(path, digest, handshake=False, close_timeout=0.1) as transport:
            transport.publisher(core.Ping)
            transport.subscriber(TradeTick)


def test_an_unclosed_transport_warns_and_gives_its_descriptors_back(peer: Peer, path: Path) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    transport = UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.0).connect()
    subscriber = transport.subscriber(TradeTick)
    sock = peer.accept()
    sock.sendall(TradeTick(1, 2).to_frame())
    name = repr(transport)
    del transport
    assert subscriber.recv(20) == TradeTick(1, 2)  # whoever still uses the connection keeps it open
    with pytest.warns(ResourceWarning) as caught:
        del subscriber
    assert [str(warning.message) for warning in caught] == [f"unclosed {name}"]
    assert is_closed(sock)
    sock.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_connecting_and_closing_leaves_no_descriptor_open(peer: Peer, path: Path) -> None:
    def cycle() -> None:
        with UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.0):
            peer.accept().close()

    cycle()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        cycle()
    assert len(os.listdir("/proc/self/fd")) == before


# Publishing ---------------------------------------------------------------------------------------


def test_published_messages_are_frames_on_the_wire(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    publisher = transport.publisher(TradeTick)
    publisher.publish(TradeTick(0, 1))
    publisher.publish_many(ticks(1, 100))
    publisher.publish_many(iter(ticks(100, 200)))
    publisher.publish_many([])
    publisher.flush()
    assert read_exactly(sock, 200 * TICK) == frames(ticks(0, 200))


def test_a_foreign_message_is_refused_and_nothing_sent(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    publisher = transport.publisher(TradeTick)
    with pytest.raises(TypeError, match=r"sends TradeTick, not Ping"):
        publisher.publish(Ping(value="x"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"sends TradeTick, not Ping"):
        publisher.publish_many([*ticks(0, 3), Ping(value="x")])  # type: ignore[list-item]
    publisher.publish(TradeTick(9, 10))
    assert read_exactly(sock, TICK) == TradeTick(9, 10).to_frame()


@pytest.mark.parametrize(
    ("method", "wrong", "text"),
    [
        ("publish", Ping(value="x"), "sends TradeTick, not Ping: make one with publisher(Ping)"),
        ("publish", "x", "sends TradeTick messages, not str"),
        ("publish", None, "sends TradeTick messages, not NoneType"),
        ("publish", TradeTick, "sends messages, not classes: TradeTick(...)"),
        ("publish_many", TradeTick(1, 2), "takes a list of TradeTick messages, not one alone: use publish()"),
        ("publish_many", 5, "takes a list of TradeTick messages, not int"),
        ("publish_many", "x", "sends TradeTick messages, not str"),
    ],
)
def test_what_is_no_message_is_refused_with_what_to_do(
    pair: tuple[UnixTransport, socket.socket], method: str, wrong: Any, text: str
) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(pair[0].publisher(TradeTick), method)(wrong)
    assert str(caught.value).endswith(text)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_publishers_and_subscribers_want_message_classes(pair: tuple[UnixTransport, socket.socket]) -> None:
    for wrong in (int, TradeTick(1, 2), "TradeTick"):
        with pytest.raises(TypeError, match="message class"):
            pair[0].publisher(wrong)  # type: ignore[type-var,arg-type]
        with pytest.raises(LookupError if wrong == "TradeTick" else TypeError, match=r"message class|topic"):
            pair[0].subscriber(wrong)


def test_a_class_over_the_sending_limit_is_refused(peer: Peer, path: Path) -> None:
    with UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.0, max_payload_size=311) as transport:
        transport.publisher(TradeTick)
        with pytest.raises(EncodeError, match="312 payload bytes, over the limit of 311"):
            transport.publisher(TextMessage)


def test_threads_share_a_publisher_and_every_frame_stays_whole(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    publisher = transport.publisher(TradeTick)
    threads, calls, portion = 8, 40, 50

    def publish(thread: int) -> None:
        for call in range(calls):
            publisher.publish_many([TradeTick(thread, call * portion + i) for i in range(portion)])

    with ThreadPoolExecutor(threads + 1) as pool:
        done = [pool.submit(publish, thread) for thread in range(threads)]
        data = read_exactly(sock, threads * calls * portion * TICK)
        for future in done:
            future.result()
    seen: dict[int, int] = {}
    previous = None
    for tick in TradeTick.decode_batch(data):
        assert tick.size == seen.get(tick.price, 0)
        assert tick.size % portion == 0 or previous == tick.price, "another thread's frame within a call's"
        seen[tick.price] = tick.size + 1
        previous = tick.price
    assert seen == dict.fromkeys(range(threads), calls * portion)


def test_a_blocked_publish_takes_in_what_arrives(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    count = 50_000
    data = frames(ticks(0, count))
    # A peer that wants everything of its own taken before it reads anything: each waits for the other, unless
    # the one that publishes reads as well.
    subscriber = transport.subscriber(TradeTick, capacity=count)

    def serve() -> bytes:
        sock.sendall(data)
        return read_exactly(sock, len(data))

    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve)
        transport.publisher(TradeTick).publish_many(ticks(0, count))
        assert served.result() == data
    assert [subscriber.recv(20).price for _ in range(count)] == list(range(count))


def blocked_by_its_own_queue(pair: tuple[UnixTransport, socket.socket], capacity: int) -> tuple[Any, Any]:
    """A subscriber whose queue is full, with more in the way, and a publisher."""
    transport, sock = pair
    subscriber, probe = transport.subscriber(TradeTick, capacity=capacity), transport.subscriber(TextMessage)
    sock.sendall(text().to_frame() + frames(ticks(0, 2 * capacity)))
    probe.recv(20)
    return subscriber, transport.publisher(TradeTick)


@contextlib.contextmanager
def impatient(
    peer: Peer, path: Path, publish_timeout: float | None = 0.3
) -> Iterator[tuple[UnixTransport, socket.socket]]:
    """As `pair`, with a short time-out for publishing behind a full queue."""
    with UnixTransport(
        path, SCHEMA_DIGEST, handshake_grace=0.01, publish_timeout=publish_timeout
    ) as transport:
        yield transport, peer.accept()
        peer.close()


def test_a_publish_that_waits_for_its_own_program_is_a_time_out_that_says_so(peer: Peer, path: Path) -> None:
    with impatient(peer, path) as pair:
        subscriber, publisher = blocked_by_its_own_queue(pair, 10)
        with pytest.raises(TransportTimeout) as caught:
            publisher.publish_many(ticks(0, 100_000))
        for part in (
            'of TradeTick with capacity 10 and overflow "block"',
            "0.3 s",
            "another thread",
            "is kept",
        ):
            assert part in str(caught.value)
        accepted = caught.value.accepted
        assert 0 < accepted < 100_000
        with pytest.raises(TransportTimeout, match="is kept"):
            publisher.flush()
        # Once there is room and the peer reads, the rest goes out, and nothing else.
        assert [subscriber.recv(20) for _ in range(20)] == ticks(0, 20)
        with ThreadPoolExecutor(1) as pool:
            received = pool.submit(read_exactly, pair[1], (accepted + 1) * TICK)
            publisher.publish(TradeTick(1, 2))
            assert received.result(20) == frames([*ticks(0, accepted), TradeTick(1, 2)])


@pytest.mark.parametrize("profile", ["latency", "balanced", "throughput"])
def test_a_peer_that_stopped_reading_is_a_time_out_and_no_frame_is_torn(
    peer: Peer, path: Path, profile: str
) -> None:
    options: Any = {
        "profile": profile,
        "publish_timeout": 0.05,
        "handshake_grace": 0.0,
        "max_pending": 100_000,
    }
    accepted, refused = 0, 0
    with UnixTransport(path, SCHEMA_DIGEST, **options) as transport, ThreadPoolExecutor(1) as pool:
        sock = peer.accept()
        publisher = transport.publisher(TradeTick)
        while refused < 3:
            try:
                publisher.publish(TradeTick(accepted, accepted + 1))
                accepted += 1
            except TransportTimeout as error:
                accepted += error.accepted
                refused += 1 - error.accepted
                if error.accepted and transport.stats().pending_bytes < 100_000 - TICK:
                    with pytest.raises(TransportTimeout) as caught:
                        publisher.publish_many(ticks(accepted, accepted + 10_000))
                    accepted += caught.value.accepted
        assert transport.stats().pending_bytes <= 100_000
        received = pool.submit(read_exactly, sock, accepted * TICK)
        publisher.flush()
        assert received.result(20) == frames(ticks(0, accepted))


def test_a_publish_goes_on_waiting_while_somebody_takes_from_the_full_queue(peer: Peer, path: Path) -> None:
    with impatient(peer, path, publish_timeout=1.0) as pair, ThreadPoolExecutor(1) as pool:
        subscriber, publisher = blocked_by_its_own_queue(pair, 100)
        publishing = pool.submit(publisher.publish_many, ticks(0, 100_000))
        # Too slowly for the queue ever to be half empty, which is when the connection is told.
        for number in range(14):
            assert subscriber.recv(20) == TradeTick(number, number + 1)
            with pytest.raises(FutureTimeoutError):
                publishing.result(0.1)
        assert read_exactly(pair[1], 100_000 * TICK) == frames(ticks(0, 100_000))
        publishing.result(20)


def test_a_publish_without_a_time_out_waits_for_a_slow_peer_as_long_as_it_takes(
    peer: Peer, path: Path
) -> None:
    with impatient(peer, path, None) as (transport, sock), ThreadPoolExecutor(1) as pool:
        transport.subscriber(TradeTick)
        publishing = pool.submit(transport.publisher(TradeTick).publish_many, ticks(0, 100_000))
        with pytest.raises(FutureTimeoutError):
            publishing.result(0.7)
        assert read_exactly(sock, 100_000 * TICK) == frames(ticks(0, 100_000))
        publishing.result(20)


def test_publishing_to_a_peer_that_left_raises_and_keeps_what_it_sent(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber, publisher = transport.subscriber(TradeTick), transport.publisher(TradeTick)
    sock.sendall(frames(ticks(0, 5)))
    sock.close()
    with pytest.raises(ConnectionClosed):
        publisher.publish(TradeTick(1, 2))
    assert [subscriber.recv(20) for _ in range(5)] == ticks(0, 5)
    with pytest.raises(ConnectionClosed, match="closed the connection"):
        subscriber.recv(20)


# Receiving ----------------------------------------------------------------------------------------


def test_nothing_in_time_is_queue_empty(pair: tuple[UnixTransport, socket.socket]) -> None:
    subscriber = pair[0].subscriber(TradeTick)
    with pytest.raises(queue.Empty):
        subscriber.recv(timeout=0.01)
    with pytest.raises(queue.Empty):
        subscriber.recv(timeout=0)
    with pytest.raises(queue.Empty):
        subscriber.recv_nowait()


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (float("nan"), ValueError), ("a", TypeError), (True, TypeError), ([], TypeError)],
)
def test_a_time_out_that_is_none_is_refused_whether_or_not_there_is_a_message(
    pair: tuple[UnixTransport, socket.socket], timeout: Any, error: type[Exception]
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    for _ in range(2):
        with pytest.raises(error, match=r"timeout .* number of seconds, not "):
            subscriber.recv(timeout)
        sock.sendall(frames(ticks(0, 2)))
        subscriber.recv(20)


@pytest.mark.parametrize("timeout", [float("inf"), 10**9, 0.5, 20])
def test_a_message_ends_a_wait_of_any_length(
    pair: tuple[UnixTransport, socket.socket], timeout: float
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sender = threading.Timer(0.05, sock.sendall, [TradeTick(1, 2).to_frame()])
    sender.start()
    assert subscriber.recv(timeout) == TradeTick(1, 2)
    sender.join()


def test_what_is_in_the_socket_has_arrived_for_recv_nowait(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 2)))
    assert [subscriber.recv_nowait(), subscriber.recv_nowait()] == ticks(0, 2)


def test_frames_that_come_byte_by_byte_are_received(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber, texts = transport.subscriber(TradeTick), transport.subscriber(TextMessage)
    data = frames([*ticks(0, 3), text(), *ticks(3, 6)])
    received = []
    for index in range(len(data)):
        sock.sendall(data[index : index + 1])
        try:
            received.append(subscriber.recv_nowait())
        except queue.Empty:
            continue
    assert received == ticks(0, 6)
    assert texts.recv_nowait() == text()


def test_iteration_ends_with_the_connection_and_recv_has_the_reason(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 3000)))
    sock.close()
    assert list(subscriber) == ticks(0, 3000)
    assert list(subscriber) == []
    assert list(subscriber.batches()) == []
    with pytest.raises(ConnectionClosed, match=r"peer\.sock closed the connection"):
        subscriber.recv()
    with pytest.raises(ConnectionClosed, match=r"peer\.sock closed the connection"):
        subscriber.recv_nowait()


def test_leaving_a_loop_loses_nothing(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 10)))
    sock.close()
    received = []
    for tick in subscriber:
        received.append(tick)
        if len(received) == 4:
            break
    received.append(subscriber.recv())
    for batch in subscriber.batches():
        received += batch
    assert received == ticks(0, 10)


def test_batches_are_lists_in_order_and_never_empty(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick, capacity=1000)

    def send() -> None:
        sock.sendall(frames(ticks(0, 50_000)))
        sock.close()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        batches = list(subscriber.batches())
        sending.result()
    assert all(0 < len(batch) <= 1000 for batch in batches)
    assert [tick.price for batch in batches for tick in batch] == list(range(50_000))


def test_an_end_within_a_frame_is_named(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 2))[:-3])
    sock.close()
    assert list(subscriber) == ticks(0, 1)
    with pytest.raises(ConnectionClosed, match="within a frame"):
        subscriber.recv()


def test_a_frame_that_is_too_long_ends_the_connection_after_those_before_it(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 2)) + struct.pack("<HI", 1200, 2**32 - 1))
    assert list(subscriber) == ticks(0, 2)
    with pytest.raises(ConnectionClosed, match=r"1200 .* 4294967295 bytes"):
        subscriber.recv()
    assert is_closed(sock)


def test_bad_frames_are_counted_and_the_rest_received(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TextMessage)
    lenient = transport.subscriber(TextMessage, validate=False)
    wrong_length = struct.pack("<HI", 1001, 3) + b"abc"
    bad_count = bytearray(text().to_frame())
    bad_count[6:8] = b"\xff\xff"
    empty = bytearray(text("x").to_frame())
    empty[6 + 40 : 6 + 42] = b"\0\0"  # content, which must not be empty
    sock.sendall(text("a").to_frame() + wrong_length + bad_count + empty + text("b").to_frame())
    sock.close()
    assert [message.content for message in subscriber] == ["a", "b"]
    assert subscriber.decode_errors == 3
    assert "content" in str(subscriber.last_decode_error)
    assert [message.content for message in lenient] == ["a", "", "b"]
    assert lenient.decode_errors == 2


def test_frames_that_nobody_wants_are_counted(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TextMessage)
    sock.sendall(frames(ticks(0, 7)) + text().to_frame() + struct.pack("<HI", 40_000, 0))
    sock.close()
    assert list(subscriber) == [text()]
    assert transport.skipped_frames == 8


def test_every_subscriber_of_a_class_gets_its_own_messages(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    one, two = transport.subscriber(TradeTick), transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 3)))
    sock.close()
    received = list(one)
    for tick in received:
        tick.price = 99
    assert list(two) == ticks(0, 3)


@pytest.mark.parametrize(
    ("overflow", "capacity", "kept", "dropped"),
    [
        ("drop_oldest", 3, range(7, 10), 7),
        ("drop_newest", 3, range(3), 7),
        ("latest", 3, range(9, 10), 9),
        ("block", 10, range(10), 0),
        ("drop_oldest", 10, range(10), 0),
    ],
)
def test_a_full_queue_drops_and_counts_as_asked(
    pair: tuple[UnixTransport, socket.socket], overflow: Any, capacity: int, kept: range, dropped: int
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick, capacity=capacity, overflow=overflow)
    texts = transport.subscriber(TextMessage)
    sock.sendall(frames([*ticks(0, 10), text()]))
    texts.recv(20)  # has read the ticks, too
    assert subscriber.dropped == dropped
    sock.close()
    assert [tick.price for tick in subscriber] == list(kept)


def test_a_full_queue_that_blocks_holds_the_others_until_it_has_room(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick, capacity=4)
    texts = transport.subscriber(TextMessage)
    sock.sendall(frames([*ticks(0, 10), text()]))
    with pytest.raises(queue.Empty):
        texts.recv(0.05)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(texts.recv, 20)
        assert [subscriber.recv(20).price for _ in range(10)] == list(range(10))
        assert waiting.result() == text()
    assert subscriber.dropped == 0


def test_closing_a_full_subscriber_frees_the_others(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, sock = pair
    texts = transport.subscriber(TextMessage)
    with transport.subscriber(TradeTick, capacity=4) as subscriber:
        sock.sendall(frames([*ticks(0, 10), text()]))
        with pytest.raises(queue.Empty):
            texts.recv(0.05)
    assert texts.recv(20) == text()
    assert [tick.price for tick in subscriber] == [0, 1, 2, 3]  # what it had queued
    with pytest.raises(ConnectionClosed, match="subscriber was closed"):
        subscriber.recv()


@pytest.mark.parametrize("wrong", ["errors", "", None])
def test_an_unknown_overflow_policy_lists_those_there_are(
    pair: tuple[UnixTransport, socket.socket], wrong: Any
) -> None:
    with pytest.raises(ValueError, match="block, drop_oldest, drop_newest, latest"):
        pair[0].subscriber(TradeTick, overflow=wrong)


def test_a_capacity_below_one_is_refused(pair: tuple[UnixTransport, socket.socket]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        pair[0].subscriber(TradeTick, capacity=0)


def test_threads_share_a_subscriber_and_each_message_goes_to_one(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick, capacity=100)
    takers: list[Callable[[], list[int]]] = [
        lambda: [tick.price for tick in subscriber],
        lambda: [tick.price for batch in subscriber.batches() for tick in batch],
    ] * 3
    with ThreadPoolExecutor(len(takers)) as pool:
        taken = [pool.submit(take) for take in takers]
        sock.sendall(frames(ticks(0, 20_000)))
        sock.close()
        results = [future.result() for future in taken]
    assert all(result == sorted(result) for result in results)
    assert sorted(price for result in results for price in result) == list(range(20_000))


def test_subscribers_waiting_in_threads_of_their_own_each_get_theirs(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber, texts = transport.subscriber(TradeTick, capacity=50), transport.subscriber(TextMessage)
    mixed = [part for number in range(2000) for part in (TradeTick(number, 0), text(str(number)))]
    with ThreadPoolExecutor(2) as pool:
        got = [pool.submit(list, subscriber), pool.submit(list, texts)]
        sock.sendall(frames(mixed))
        sock.close()
        assert [tick.price for tick in got[0].result()] == list(range(2000))
        assert [message.content for message in got[1].result()] == [str(number) for number in range(2000)]


# Signals and closing ------------------------------------------------------------------------------


class Interruption(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """Have a signal handler raise `Interruption` in the main thread, shortly."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.1) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_signal_interrupts_a_wait_and_the_connection_goes_on(
    pair: tuple[UnixTransport, socket.socket], alarm: Callable[[], None]
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    for timeout in (None, 20):
        alarm()
        with pytest.raises(Interruption):
            subscriber.recv(timeout)
    alarm()
    with pytest.raises(Interruption):
        next(iter(subscriber))
    sock.sendall(frames(ticks(0, 3)))
    assert [subscriber.recv(20) for _ in range(3)] == ticks(0, 3)


def test_a_close_that_a_signal_interrupts_leaves_nothing_half_closed(
    peer: Peer, path: Path, alarm: Callable[[], None]
) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hook(bad: Any) -> None:
        held.set()
        go_on.wait(60)

    before = descriptors()
    options: Any = {"on_bad_frame": hook, "handshake_grace": 0.01, "close_timeout": 60.0}
    transport = UnixTransport(path, SCHEMA_DIGEST, **options).connect()
    subscriber, sock = transport.subscriber(TextMessage), peer.accept()
    with ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(subscriber.recv)
        sock.sendall(struct.pack("<HI", 1001, 3) + b"abc")
        assert held.wait(20)  # that thread reads, and does not leave
        alarm()
        with pytest.raises(Interruption):
            transport.close()
        go_on.set()
        with pytest.raises(ConnectionClosed):
            receiving.result(20)
    transport.close()
    peer.sock = sock.close()  # type: ignore[func-returns-value]
    assert descriptors() == before


def publish_interrupted(publisher: Any, messages: list[Any], sock: socket.socket) -> None:
    """Have a publish interrupted that has sent something and cannot send all."""

    def interrupt() -> None:
        sock.recv(1, socket.MSG_PEEK)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(Interruption):
        publisher.publish_many(messages)
    interrupting.join()


def test_a_signal_interrupts_a_blocked_publish_and_no_frame_is_torn(
    pair: tuple[UnixTransport, socket.socket], alarm: Callable[[], None]
) -> None:
    transport, sock = pair
    publisher = transport.publisher(TradeTick)
    publish_interrupted(publisher, ticks(0, 100_000), sock)
    alarm()
    with pytest.raises(Interruption):  # finds what the first left over, and cannot send that either
        publisher.flush()
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(read_to_the_end, sock)
        publisher.publish(TradeTick(1, 2))
        transport.close()
        data = received.result()
    sent = len(data) // TICK - 1
    assert data == frames(ticks(0, sent)) + TradeTick(1, 2).to_frame()
    assert sent > 1000


def read_to_the_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_closing_sends_what_an_interrupted_publish_left(
    pair: tuple[UnixTransport, socket.socket], alarm: Callable[[], None]
) -> None:
    transport, sock = pair
    publish_interrupted(transport.publisher(TradeTick), ticks(0, 100_000), sock)
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(read_to_the_end, sock)
        transport.close()
        data = received.result()
    assert data == frames(ticks(0, len(data) // TICK))
    assert len(data) > 1000 * TICK


def test_closing_wakes_whoever_receives(pair: tuple[UnixTransport, socket.socket]) -> None:
    transport, _ = pair
    subscribers = [transport.subscriber(TradeTick), transport.subscriber(TextMessage)]
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(subscriber.recv) for subscriber in subscribers]
        with pytest.raises(queue.Empty):
            transport.subscriber(Ping).recv(0.05)  # gives the others the time to wait
        transport.close()
        for future in waiting:
            with pytest.raises(ConnectionClosed, match="closed by this program"):
                future.result(20)
    transport.close()
    with pytest.raises(ConnectionClosed, match="closed by this program"):
        transport.publisher(TradeTick).publish(TradeTick(1, 2))
    with pytest.raises(ConnectionClosed, match="closed by this program"):
        transport.subscriber(TradeTick)


def test_closing_a_subscriber_wakes_the_thread_that_reads_for_it(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber, other = transport.subscriber(TradeTick), transport.subscriber(TradeTick)
    started = threading.Event()

    def collect() -> list[Any]:
        started.set()
        return list(subscriber)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(collect)
        started.wait()
        subscriber.close()
        assert waiting.result(20) == []
    sock.sendall(frames(ticks(0, 1)))
    assert other.recv(20) == TradeTick(0, 1)


def test_closing_returns_in_time_although_a_publish_is_blocked(peer: Peer, path: Path) -> None:
    transport = UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.0, close_timeout=0.3).connect()
    sock = peer.accept()
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(transport.publisher(TradeTick).publish_many, ticks(0, 200_000))
        read_exactly(sock, TICK)  # it has begun
        transport.close()
        with pytest.raises(ConnectionClosed, match="closed by this program"):
            blocked.result(20)


def test_what_a_subscriber_had_queued_is_there_after_closing(
    pair: tuple[UnixTransport, socket.socket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 3)))
    assert subscriber.recv(20) == TradeTick(0, 1)
    transport.close()
    assert list(subscriber) == ticks(1, 3)
    with pytest.raises(ConnectionClosed):
        subscriber.recv()


# TCP and single frames ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_tcp_connects_to_addresses_and_names(host: str) -> None:
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    with socket.create_server(("127.0.0.1" if host == "localhost" else host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        with TcpTransport(host, port, SCHEMA_DIGEST, handshake_grace=0.0, close_timeout=0.1) as transport:
            sock, _ = listener.accept()
            with sock:
                assert read_exactly(sock, 34) == GREETING
                read_exactly(sock, 6 + core.Hello.SIZE)
                transport.publisher(TradeTick).publish(TradeTick(1, 2))
                assert read_exactly(sock, TICK) == TradeTick(1, 2).to_frame()
                sock.sendall(TradeTick(3, 4).to_frame())
                assert transport.subscriber(TradeTick).recv(20) == TradeTick(3, 4)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_read_frame_gives_one_frame_at_a_time(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(frames(ticks(0, 2)) + struct.pack("<HI", 7, 0))
    theirs.close()
    assert read_frame(ours) == (1200, TradeTick(0, 1).to_bytes())
    assert read_frame(ours) == (1200, TradeTick(1, 2).to_bytes())
    assert read_frame(ours) == (7, b"")
    with pytest.raises(ConnectionClosed, match="between two frames"):
        read_frame(ours)


@pytest.mark.parametrize(("cut", "text"), [(2, "2 of 6 bytes of the header"), (6, "0 of 16"), (9, "3 of 16")])
def test_read_frame_says_where_a_frame_broke_off(
    ends: tuple[socket.socket, socket.socket], cut: int, text: str
) -> None:
    ours, theirs = ends
    theirs.sendall(TradeTick(1, 2).to_frame()[:cut])
    theirs.close()
    with pytest.raises(ConnectionClosed, match=text):
        read_frame(ours)


@pytest.mark.parametrize("length", [16_777_217, 2**32 - 1])
def test_read_frame_refuses_a_length_over_the_limit(
    ends: tuple[socket.socket, socket.socket], length: int
) -> None:
    ours, theirs = ends
    theirs.sendall(struct.pack("<HI", 1200, length))
    with pytest.raises(ProtocolError, match=f"1200 declares a payload of {length} bytes"):
        read_frame(ours)
