"""What the core frames do for a blocking transport: subscriptions, refusals, lag, heartbeats, goodbye."""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import Bridge, Peer, bridge, read_core, read_exactly, read_frame
from links import TICK, eventually, frames, linked, negotiated, prices, subscribed, text, thread, ticks

from mycelium_fast import Batching, UnixTransport
from mycelium_fast.errors import (
    ConnectionClosed,
    HandshakeError,
    PermissionDenied,
    SchemaMismatchError,
    TransportError,
    TransportTimeout,
)
from mycelium_fast.example_messages import SCHEMA_DIGEST, TOPICS, Order, Ping, TextMessage, TradeTick
from mycelium_fast.session import ALL_FEATURES, Features, core

TICK_ID, TEXT_ID = TradeTick.TYPE_ID, TextMessage.TYPE_ID


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture
def bus(path: Path) -> Iterator[Bridge]:
    with bridge(path) as running:
        yield running


def connect(path: Path, **options: Any) -> UnixTransport:
    return UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0, **options)


# With a bridge ------------------------------------------------------------------------------------


def test_connect_returns_with_the_welcome_and_long_before_the_grace_is_over(bus: Bridge, path: Path) -> None:
    with connect(path, service="pricing") as transport:
        assert transport.negotiated
        assert transport.stats().negotiated
    bus.wait_log("service 'pricing'")


def test_what_was_published_after_subscriber_returned_is_received(bus: Bridge, path: Path) -> None:
    with connect(path) as sending, connect(path) as receiving:
        publisher = sending.publisher(TradeTick)
        for number in range(200):
            subscriber = receiving.subscriber(TradeTick)
            publisher.publish(TradeTick(number, 1))
            assert subscriber.recv(20).price == number
            subscriber.close()


def test_only_what_was_subscribed_to_is_sent_and_nothing_after_unsubscribing(bus: Bridge, path: Path) -> None:
    with connect(path) as sending, connect(path) as receiving:
        texts = receiving.subscriber(TextMessage)
        subscriber = receiving.subscriber(TradeTick)
        sending.publisher(TradeTick).publish(TradeTick(1, 1))
        assert subscriber.recv(20).price == 1
        subscriber.close()
        sending.publisher(Order)
        sending.publisher(TradeTick).publish(TradeTick(2, 1))
        sending.publisher(TextMessage).publish(text())
        assert texts.recv(20) == text()
        # The request to unsubscribe may have been on its way still: at most what was published meanwhile.
        receiving.subscriber(Order)  # confirmed, and so is what was asked before
        skipped = receiving.skipped_frames
        sending.publisher(TradeTick).publish(TradeTick(3, 1))
        sending.publisher(TextMessage).publish(text("second"))
        assert texts.recv(20) == text("second")
        assert receiving.skipped_frames == skipped


def test_the_other_subscribers_of_a_type_go_on_when_one_closes(bus: Bridge, path: Path) -> None:
    with connect(path) as sending, connect(path) as receiving:
        one, two = receiving.subscriber(TradeTick), receiving.subscriber((TradeTick, TextMessage))
        everything = receiving.raw_subscriber()
        one.close()
        sending.publisher(TradeTick).publish(TradeTick(1, 1))
        assert two.recv(20) == TradeTick(1, 1)
        two.close()
        sending.publisher(TradeTick).publish(TradeTick(2, 1))
        assert [everything.recv(20).type_id for _ in range(2)] == [TICK_ID, TICK_ID]
        late = receiving.subscriber(TextMessage)
        everything.close()
        sending.publisher(TextMessage).publish(text())
        assert late.recv(20) == text()


def test_who_wanted_every_type_and_leaves_costs_the_others_nothing(bus: Bridge, path: Path) -> None:
    over = threading.Event()
    received: list[int] = []
    with connect(path) as sending, connect(path) as receiving:
        ticks = receiving.subscriber(TradeTick, capacity=10_000_000)  # or nobody would read the answers
        publisher = sending.publisher(TradeTick)

        def publish() -> None:
            for number in itertools.count():
                publisher.publish(TradeTick(number, 1))
                if over.is_set():
                    publisher.publish(TradeTick(number + 1, 0))
                    return

        publishing = threading.Thread(target=publish)
        publishing.start()
        try:
            for _ in range(20):
                with receiving.raw_subscriber(overflow="latest"):
                    received.append(ticks.recv(20).price)
                received += [ticks.recv(20).price for _ in range(10)]
        finally:
            over.set()
        while (tick := ticks.recv(20)).size:
            received.append(tick.price)
        publishing.join()
    assert received == list(range(len(received)))


def test_a_topic_subscribes_to_every_message_of_it(bus: Bridge, path: Path) -> None:
    with connect(path) as sending, connect(path) as receiving:
        topic = TradeTick.TOPIC
        subscriber = receiving.subscriber(topic)
        assert subscriber.message_class == tuple(TOPICS[topic]) or subscriber.message_class in TOPICS[topic]
        sending.publisher(TextMessage).publish(text())
        sending.publisher(TradeTick).publish(TradeTick(1, 1))
        assert subscriber.recv(20) == TradeTick(1, 1)


@pytest.mark.parametrize("echo", [True, False])
def test_own_messages_come_back_unless_asked_not_to(bus: Bridge, path: Path, echo: bool) -> None:
    with connect(path, echo=echo) as transport, connect(path) as other:
        subscriber = transport.subscriber(TradeTick)
        transport.publisher(TradeTick).publish(TradeTick(1, 1))
        probe = other.subscriber(TextMessage)
        transport.publisher(TextMessage).publish(text())
        assert probe.recv(20) == text()
        other.publisher(TradeTick).publish(TradeTick(2, 1))
        expected = [1, 2] if echo else [2]
        assert [subscriber.recv(20).price for _ in expected] == expected


def test_another_digest_is_an_error_at_connect_that_names_both(bus: Bridge, path: Path) -> None:
    other = bytes(32)
    with pytest.raises(SchemaMismatchError) as caught:
        UnixTransport(path, other, handshake_grace=20.0).connect()
    assert SCHEMA_DIGEST.hex() in str(caught.value)
    assert other.hex() in str(caught.value)
    assert "same contracts file" in str(caught.value)


def test_a_bridge_that_stops_says_goodbye_and_the_reason_is_kept(bus: Bridge, path: Path) -> None:
    with connect(path) as transport:
        subscriber = transport.subscriber(TradeTick)
        with ThreadPoolExecutor(1) as pool:
            receiving = pool.submit(subscriber.recv, 20)
            bus.stop()
            with pytest.raises(ConnectionClosed, match="goodbye: the bridge stops"):
                receiving.result(20)
        with pytest.raises(ConnectionClosed, match="goodbye: the bridge stops"):
            transport.publisher(TradeTick).publish(TradeTick(1, 1))
        assert not transport.connected
        assert transport.stats().state == "closed"


def test_a_killed_bridge_ends_receiving_and_publishing(bus: Bridge, path: Path) -> None:
    with connect(path) as transport:
        subscriber = transport.subscriber(TradeTick)
        with ThreadPoolExecutor(1) as pool:
            receiving = pool.submit(list, subscriber)
            bus.process.send_signal(signal.SIGKILL)
            assert receiving.result(20) == []
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            subscriber.recv()
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            transport.publisher(TradeTick).publish(TradeTick(1, 1))


def test_a_killed_bridge_ends_a_publish_of_any_length(bus: Bridge, path: Path) -> None:
    with connect(path) as transport:
        publisher = transport.publisher(TradeTick)

        def publish() -> None:
            while True:
                publisher.publish_many(ticks(0, 1000))

        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(publish)
            eventually(lambda: transport.stats().frames_sent > 10_000)
            bus.process.send_signal(signal.SIGKILL)
            with pytest.raises(ConnectionClosed, match=r"closed the connection|broke the connection off"):
                publishing.result(20)


@pytest.mark.parametrize("profile", ["latency", "balanced", "throughput"])
def test_a_client_that_only_publishes_answers_the_bridges_pings(path: Path, profile: str) -> None:
    with bridge(path, "--heartbeat", "0.1") as running, connect(path, profile=profile) as transport:
        publisher = transport.publisher(TradeTick)
        stop = threading.Event()
        timer = threading.Timer(1.0, stop.set)  # ten heartbeats
        timer.start()
        while not stop.wait(0.02):
            publisher.publish(TradeTick(1, 1))
        timer.join()
        assert transport.connected
        assert not [line for line in running.log if "pings unanswered" in line]


def test_a_client_that_only_waits_answers_the_bridges_pings(path: Path) -> None:
    with bridge(path, "--heartbeat", "0.05") as running, connect(path) as transport:
        with pytest.raises(queue.Empty):
            transport.subscriber(TradeTick).recv(1.0)  # twenty heartbeats
        assert transport.connected
        assert not [line for line in running.log if "pings unanswered" in line]


# With a peer of the test's own --------------------------------------------------------------------


def test_subscriber_asks_and_waits_for_the_confirmation(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(
            sock, lambda: transport.subscriber((TradeTick, TextMessage)), TICK_ID, TEXT_ID
        )
        sock.sendall(frames(ticks(0, 2)))
        assert [subscriber.recv(20) for _ in range(2)] == ticks(0, 2)
        # What another subscriber has is not asked for again.
        transport.subscriber(TradeTick)
        subscribed(sock, lambda: transport.subscriber(Ping | TradeTick), Ping.TYPE_ID)


def test_a_subscription_that_is_not_confirmed_is_a_time_out_and_taken_back(tmp_path: Path) -> None:
    with negotiated(tmp_path, connect_timeout=0.2) as (transport, sock):
        with pytest.raises(TransportTimeout, match="did not confirm a subscription"):
            transport.subscriber(TradeTick)
        assert isinstance(read_core(sock), core.Subscribe)
        request = read_core(sock)
        assert isinstance(request, core.Unsubscribe)
        assert list(request.type_ids) == [TICK_ID]
        assert transport.stats().subscribers == ()
        subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)


def test_a_type_that_another_thread_asks_for_is_waited_for_as_well(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock), ThreadPoolExecutor(2) as pool:
        first = pool.submit(transport.subscriber, TradeTick)
        one = read_core(sock)
        second = pool.submit(transport.subscriber, TradeTick)
        two = read_core(sock)
        assert not first.done()
        assert not second.done()
        sock.sendall(core.Subscribed(one.request).to_frame() + core.Subscribed(two.request).to_frame())
        first.result(20)
        second.result(20)


def test_unsubscribing_asks_for_no_less_than_the_others_need(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        both = subscribed(sock, lambda: transport.subscriber((TradeTick, TextMessage)), TICK_ID, TEXT_ID)
        one = transport.subscriber(TradeTick)
        both.close()
        request = read_core(sock)
        assert isinstance(request, core.Unsubscribe)
        assert list(request.type_ids) == [TEXT_ID]
        one.close()
        assert list(read_core(sock).type_ids) == [TICK_ID]


def test_everything_is_asked_for_and_given_up_as_such(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        one = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        everything = subscribed(sock, transport.raw_subscriber)
        one.close()  # nothing is said of it: whoever has everything has ticks, too
        texts = subscribed(sock, lambda: transport.subscriber(TextMessage), TEXT_ID)
        everything.close()
        request = read_core(sock)
        assert (type(request), request.all) == (core.Unsubscribe, True)
        request = read_core(sock)
        assert (type(request), list(request.type_ids)) == (core.Subscribe, [TEXT_ID])
        sock.sendall(text().to_frame())
        assert texts.recv(20) == text()


@pytest.mark.parametrize("everything", [False, True], ids=["type", "everything"])
def test_a_refused_subscription_is_permission_denied_with_the_reason(
    tmp_path: Path, everything: bool
) -> None:
    with negotiated(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        making = pool.submit(transport.raw_subscriber if everything else lambda: transport.subscriber(Order))
        request = read_core(sock)
        type_id = 0 if everything else Order.TYPE_ID
        reject = core.Reject(2, False, type_id, bytes(32), "orders are for traders")
        sock.sendall(reject.to_frame() + core.Subscribed(request.request).to_frame())
        with pytest.raises(PermissionDenied, match="orders are for traders"):
            making.result(20)
        assert transport.connected
        assert transport.stats().subscribers == ()
        assert isinstance(read_core(sock), core.Unsubscribe)
        subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (1, SchemaMismatchError, "ab" * 32),
        (2, PermissionDenied, "no room"),
        (3, TransportError, "limit"),
        (4, HandshakeError, "no room"),
        (5, HandshakeError, "version"),
    ],
)
def test_a_refused_connection_raises_at_connect(tmp_path: Path, code: int, error: Any, words: str) -> None:
    path = tmp_path / "peer.sock"
    peer = Peer(path)

    def refuse() -> None:
        sock = peer.accept()
        sock.sendall(core.Reject(code, True, 0, b"\xab" * 32, "no room").to_frame())
        sock.close()

    with thread(refuse), pytest.raises(error, match=words) as caught:
        connect(path).connect()
    assert code != 1 or SCHEMA_DIGEST.hex() in str(caught.value)
    peer.close()


def test_a_refusal_that_comes_late_ends_the_connection_with_its_reason(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick)
        sock.sendall(
            frames(ticks(0, 2)) + core.Reject(1, True, 0, b"\xab" * 32, "another contracts file").to_frame()
        )
        assert list(subscriber) == ticks(0, 2)
        with pytest.raises(SchemaMismatchError, match="ab" * 32):
            subscriber.recv()
        with pytest.raises(SchemaMismatchError, match="ab" * 32):
            transport.publisher(TradeTick).publish(TradeTick(1, 1))


def test_lag_is_counted_on_the_subscribers_of_the_type_and_on_the_transport(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        one = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        texts = subscribed(sock, lambda: transport.subscriber(TextMessage), TEXT_ID)
        sock.sendall(
            core.Lagged(TICK_ID, 7).to_frame() + core.Lagged(TICK_ID, 5).to_frame() + frames(ticks(0, 1))
        )
        assert one.recv(20) == TradeTick(0, 1)
        sock.sendall(core.Lagged(TEXT_ID, 1).to_frame() + text().to_frame())
        assert texts.recv(20) == text()
        assert (one.lagged, texts.lagged, transport.stats().lagged_frames) == (12, 1, 13)
        assert {each.name: each.lagged for each in transport.stats().subscribers} == {
            "TradeTick": 12,
            "TextMessage": 1,
        }


def test_a_ping_is_answered_while_waiting_and_before_the_peer_hears_of_anything_else(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        with ThreadPoolExecutor(1) as pool:
            receiving = pool.submit(subscriber.recv, 20)
            sock.sendall(core.Ping(77).to_frame())
            assert read_core(sock) == core.Pong(77)
            sock.sendall(frames(ticks(0, 1)))
            assert receiving.result(20) == TradeTick(0, 1)


def test_a_ping_is_answered_by_a_publish_that_is_held_up(tmp_path: Path) -> None:
    with negotiated(tmp_path, max_pending=100_000) as (transport, sock), ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(transport.publisher(TradeTick).publish_many, ticks(0, 100_000))
        sent = 0
        while sent == 0 or sent != transport.stats().bytes_sent:  # until the system takes no more
            sent = transport.stats().bytes_sent
            time.sleep(0.05)
        sock.sendall(core.Ping(1).to_frame())
        data = bytearray()
        pongs = 0
        while len(data) < 100_000 * TICK:
            type_id, payload = read_frame(sock)
            if type_id == core.Pong.TYPE_ID:
                pongs += 1
            else:
                data += struct.pack("<HI", type_id, len(payload)) + payload
        publishing.result(20)
        assert pongs == 1
        assert prices(bytes(data)) == list(range(100_000))


@pytest.mark.parametrize("profile", ["latency", "balanced", "throughput"])
def test_a_client_that_publishes_now_and_then_takes_in_what_a_plain_peer_sends(
    tmp_path: Path, profile: str
) -> None:
    """Else a bridge that sends everything to everybody would be held up by one that has nobody to receive."""
    with linked(tmp_path, profile=profile) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        stop = threading.Event()

        def publish() -> None:
            while not stop.wait(0.01):
                publisher.publish(TradeTick(1, 1))

        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(publish)
            sock.sendall(frames(ticks(0, 50_000)))  # more than the system holds; waits until it is read
            stop.set()
            publishing.result(20)


def test_answering_a_peer_that_has_gone_loses_nothing_of_what_it_sent(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        sock.sendall(core.Ping(1).to_frame() + frames(ticks(0, 3000)) + core.Ping(2).to_frame())
        sock.close()
        assert list(subscriber) == ticks(0, 3000)
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            subscriber.recv()


def test_sending_what_waits_to_a_peer_that_has_gone_loses_nothing_of_what_it_sent(tmp_path: Path) -> None:
    with negotiated(tmp_path, profile=Batching(max_delay=20.0)) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        transport.publisher(TradeTick).publish(TradeTick(1, 1))  # waits for others
        sock.sendall(frames(ticks(0, 3)) + core.Goodbye(0, "maintenance").to_frame())
        sock.close()
        assert [subscriber.recv(20) for _ in range(3)] == ticks(0, 3)
        with pytest.raises(ConnectionClosed, match="maintenance"):
            subscriber.recv(20)


def test_a_publisher_that_finds_the_peer_gone_leaves_the_rest_to_the_subscribers(tmp_path: Path) -> None:
    """Also behind a full queue, where nothing more can be read for now."""
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick, capacity=5), TICK_ID)
        sock.sendall(frames(ticks(0, 5000)) + core.Goodbye(0, "maintenance").to_frame())
        sock.close()
        publisher = transport.publisher(TradeTick)
        with pytest.raises(ConnectionClosed):
            for _ in range(10):
                publisher.publish(TradeTick(1, 1))
        assert list(subscriber) == ticks(0, 5000)
        with pytest.raises(ConnectionClosed, match="maintenance"):
            subscriber.recv()
        with pytest.raises(ConnectionClosed, match="maintenance"):
            publisher.publish(TradeTick(1, 1))


def test_a_goodbye_lets_the_rest_come_first(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        sock.sendall(frames(ticks(0, 2)) + core.Goodbye(500, "maintenance").to_frame() + frames(ticks(2, 4)))
        sock.close()
        assert list(subscriber) == ticks(0, 4)
        with pytest.raises(ConnectionClosed, match="goodbye: maintenance"):
            subscriber.recv()


def test_a_late_welcome_subscribes_again_for_everyone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mycelium_fast")
    path = tmp_path / "peer.sock"
    peer = Peer(path)
    with UnixTransport(path, SCHEMA_DIGEST, handshake_grace=0.01, close_timeout=1.0) as transport:
        sock = peer.accept()
        one, two = transport.subscriber(TradeTick), transport.subscriber((TradeTick, TextMessage))
        assert not transport.negotiated
        assert "is taken for a plain peer" in caplog.text
        sock.sendall(frames(ticks(0, 1)))
        assert one.recv(20) == two.recv(20) == TradeTick(0, 1)
        with ThreadPoolExecutor(1) as pool:
            receiving = pool.submit(one.recv, 20)
            peer.welcome()
            request = read_core(sock)
            assert isinstance(request, core.Subscribe)
            assert (request.all, sorted(request.type_ids)) == (False, sorted([TICK_ID, TEXT_ID]))
            sock.sendall(core.Subscribed(request.request).to_frame() + frames(ticks(1, 2)))
            assert receiving.result(20) == TradeTick(1, 2)
        assert transport.negotiated
        assert "came late" in caplog.records[-1].message
        peer.close()


@pytest.mark.parametrize(
    "features", [Features(0), ALL_FEATURES & ~Features.SUBSCRIPTIONS], ids=["none", "all others"]
)
def test_without_subscriptions_agreed_on_nothing_is_asked_for(tmp_path: Path, features: Features) -> None:
    with linked(tmp_path, features) as (transport, sock):
        subscriber = transport.subscriber(TradeTick)
        sock.sendall(frames(ticks(0, 1)))
        assert subscriber.recv(20) == TradeTick(0, 1)
        subscriber.close()
        transport.publisher(TradeTick).publish(TradeTick(5, 6))
        assert read_exactly(sock, TICK) == TradeTick(5, 6).to_frame()


def test_core_frames_that_nobody_knows_yet_are_skipped(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        sock.sendall(frames(ticks(0, 1)) + struct.pack("<HI", 900, 3) + b"abc" + frames(ticks(1, 2)))
        assert [subscriber.recv(20) for _ in range(2)] == ticks(0, 2)


def test_a_peer_that_breaks_the_protocol_is_left_with_the_reason(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        sock.sendall(frames(ticks(0, 2)) + core.Welcome(1, 31, 1, 1, "again").to_frame())
        assert list(subscriber) == ticks(0, 2)
        with pytest.raises(ConnectionClosed, match="Welcome a second time"):
            subscriber.recv()


def test_on_a_plain_connection_core_ids_are_ordinary_types(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        raw = transport.raw_subscriber(core.Ping.TYPE_ID)
        sock.sendall(core.Ping(5).to_frame())
        assert raw.recv(20) == (core.Ping.TYPE_ID, core.Ping(5).to_bytes())
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)  # no Pong


def test_a_connection_negotiates_anew_each_time(bus: Bridge, path: Path) -> None:
    transport = connect(path)
    for _ in range(2):
        with transport:
            assert transport.negotiated
            subscriber = transport.subscriber(TradeTick)
            transport.publisher(TradeTick).publish(TradeTick(1, 1))
            assert subscriber.recv(20) == TradeTick(1, 1)
    assert transport.stats().reconnects == 1


def test_what_the_peer_takes_no_messages_of_is_published_no_more(tmp_path: Path) -> None:
    order, reason = Order(1, 2, "ETH", True, 3, 4, 5), "orders are for traders"

    def refused(publish: Callable[[Any], None], argument: Any) -> bool:
        try:
            publish(argument)
        except PermissionDenied as error:
            return reason in str(error)
        return False

    with negotiated(tmp_path) as (transport, sock):
        publisher = transport.publisher(Order)
        publisher.publish(order)
        sock.sendall(core.Reject(2, False, Order.TYPE_ID, bytes(32), reason).to_frame())
        eventually(lambda: refused(publisher.publish, order))
        assert refused(publisher.publish_many, [order])
        assert refused(transport.publisher(Order).publish, order)
        transport.publisher(TradeTick).publish(TradeTick(1, 1))
    with negotiated(tmp_path) as (transport, sock):
        transport.publisher(Order).publish(order)


def test_a_peer_that_asks_and_reads_no_answer_is_left(tmp_path: Path) -> None:
    pings = core.Ping(1).to_frame() * 10_000

    def ask(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(pings)

    with negotiated(tmp_path, max_pending=10_000) as (transport, sock):
        subscriber = subscribed(sock, lambda: transport.subscriber(TradeTick), TICK_ID)
        with thread(lambda: ask(sock)), pytest.raises(ConnectionClosed, match="reads no answers"):
            subscriber.recv(60)
