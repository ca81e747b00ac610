"""TLS and mutual TLS over blocking transports: what works, and what is said where it does not."""

from __future__ import annotations

import itertools
import queue
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
from bridges import GREETING, Bridge, bridge, read_exactly
from certificates import Certificates
from links import TICK, eventually, frames, tcp, text, ticks

from mycelium_fast import TcpTransport
from mycelium_fast.errors import (
    ConnectionClosed,
    HandshakeError,
    SchemaMismatchError,
    TransportError,
    TransportTimeout,
)
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick
from mycelium_fast.session import core

HELLO = 6 + core.Hello.SIZE


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=[False, True], ids=["tls", "mutual"])
def mutual(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def bus(certificates: Certificates, mutual: bool) -> Iterator[Bridge]:
    with bridge(None, "--tcp", "localhost:0", *certificates.options(mutual=mutual)) as running:
        yield running


@pytest.fixture
def context(certificates: Certificates, mutual: bool) -> ssl.SSLContext:
    return certificates.client_context(certificate=mutual)


def connect(bus: Bridge, context: ssl.SSLContext, **options: Any) -> TcpTransport:
    return tcp(bus.tcp_port, tls=context, handshake_grace=20.0, **options)


# What works ---------------------------------------------------------------------------------------


def test_messages_go_through_a_bridge_in_order(bus: Bridge, context: ssl.SSLContext) -> None:
    total = 20_000
    with connect(bus, context) as sending, connect(bus, context) as receiving, ThreadPoolExecutor(1) as pool:
        assert receiving.negotiated
        subscriber = receiving.subscriber(TradeTick)
        publishing = pool.submit(sending.publisher(TradeTick).publish_many, ticks(0, total))
        assert [subscriber.recv(20).price for _ in range(total)] == list(range(total))
        publishing.result(20)


def test_closing_at_once_loses_nothing(bus: Bridge, context: ssl.SSLContext) -> None:
    total = 50_000
    with connect(bus, context) as receiving:
        subscriber = receiving.subscriber(TradeTick)
        for profile in ("latency", "balanced", "throughput"):
            with (
                connect(bus, context, profile=profile, close_timeout=20.0) as sending,
                ThreadPoolExecutor(1) as pool,
            ):
                collecting = pool.submit(lambda: [subscriber.recv(20).price for _ in range(total)])
                sending.publisher(TradeTick).publish_many(ticks(0, total))
                sending.close()
                assert collecting.result(60) == list(range(total))


def test_threads_publish_and_receive_over_one_connection(bus: Bridge, context: ssl.SSLContext) -> None:
    threads, each = 4, 3000
    with connect(bus, context) as transport, ThreadPoolExecutor(2 * threads + 1) as pool:
        subscribers = [transport.subscriber(TradeTick) for _ in range(threads)]
        texts = transport.subscriber(TextMessage)
        publisher = transport.publisher(TradeTick)

        def publish(thread: int) -> None:
            for number in range(each):
                publisher.publish(TradeTick(thread, number))

        def receive(subscriber: Any) -> list[Any]:
            return [subscriber.recv(30) for _ in range(threads * each)]

        received = [pool.submit(receive, subscriber) for subscriber in subscribers]
        waiting = pool.submit(texts.recv, 30)
        for published in [pool.submit(publish, thread) for thread in range(threads)]:
            published.result(30)
        transport.publisher(TextMessage).publish(text())
        assert waiting.result(30) == text()
        for future in received:
            order: dict[int, int] = {}
            for tick in future.result(30):
                assert tick.size == order.get(tick.price, 0)
                order[tick.price] = tick.size + 1
            assert order == dict.fromkeys(range(threads), each)


def test_a_digest_mismatch_names_both_digests(bus: Bridge, context: ssl.SSLContext) -> None:
    transport = TcpTransport("localhost", bus.tcp_port, bytes(32), tls=context, handshake_grace=20.0)
    with pytest.raises(SchemaMismatchError) as caught:
        transport.connect()
    assert SCHEMA_DIGEST.hex() in str(caught.value)


def test_the_address_says_tls(bus: Bridge, context: ssl.SSLContext) -> None:
    with connect(bus, context) as transport:
        assert transport.address == f"tls://localhost:{bus.tcp_port}"
        assert transport.stats().peer == transport.address


def test_a_server_that_stops_says_why(certificates: Certificates) -> None:
    with (
        bridge(None, "--tcp", "localhost:0", *certificates.options()) as running,
        connect(running, certificates.client_context()) as transport,
    ):
        subscriber = transport.subscriber(TradeTick)
        running.stop()
        assert list(subscriber) == []
        with pytest.raises(ConnectionClosed, match="goodbye: the bridge stops"):
            subscriber.recv()


# What does not ------------------------------------------------------------------------------------


def fails(transport: TcpTransport, error: type[Exception] = TransportError) -> str:
    """The text of the error that connecting raises, soon."""
    began = time.monotonic()
    with pytest.raises(error) as caught:
        transport.connect()
    assert time.monotonic() - began < 10
    assert not transport.connected
    return str(caught.value)


def test_a_server_of_another_authority_is_not_trusted(bus: Bridge, certificates: Certificates) -> None:
    error = fails(connect(bus, certificates.distrusting_context()))
    for part in ("certificate is not accepted", "cafile", "server_hostname"):
        assert part in error


def test_a_name_that_the_certificate_does_not_have_is_refused(bus: Bridge, context: ssl.SSLContext) -> None:
    error = fails(connect(bus, context, server_hostname="bridge.example.org"))
    assert "bridge.example.org" in error
    assert "server_hostname" in error


def test_the_name_may_be_another_than_the_hosts(bus: Bridge, context: ssl.SSLContext) -> None:
    transport = TcpTransport(
        "127.0.0.1", bus.tcp_port, SCHEMA_DIGEST, tls=context, server_hostname="localhost"
    )
    with transport:
        assert transport.negotiated


@pytest.mark.parametrize("known", [False, True], ids=["none", "untrusted"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_without_the_certificate_that_the_server_wants_the_error_says_so(
    certificates: Certificates, known: bool, version: ssl.TLSVersion
) -> None:
    with bridge(None, "--tcp", "localhost:0", *certificates.options(mutual=True)) as running:
        context = certificates.untrusted_context() if known else certificates.client_context()
        context.maximum_version = version
        for _ in range(5):  # whatever the order in which the server's alert and its reset come
            error = fails(connect(running, context))
            assert "certificate of this client" in error, error
            assert "load_cert_chain" in error


def test_a_client_without_tls_hears_that_the_server_may_want_it(bus: Bridge) -> None:
    error = fails(tcp(bus.tcp_port, handshake_grace=20.0), HandshakeError)
    assert "TLS" in error, error


def test_a_server_without_tls_is_named_as_that(certificates: Certificates) -> None:
    with bridge(None, "--tcp", "localhost:0") as running:
        error = fails(connect(running, certificates.client_context()))
        assert "speak no TLS" in error, error


def test_a_server_that_says_nothing_is_a_time_out(certificates: Certificates) -> None:
    with socket.create_server(("localhost", 0)) as listener:
        transport = tcp(listener.getsockname()[1], tls=certificates.client_context(), connect_timeout=0.2)
        assert "within 0.2 s" in fails(transport, TransportTimeout)


def test_a_context_is_wanted() -> None:
    with pytest.raises(TypeError, match="SSLContext"):
        tcp(1, tls=True)


# A server of the test's own -----------------------------------------------------------------------


@pytest.fixture
def pair(certificates: Certificates) -> Iterator[tuple[TcpTransport, ssl.SSLSocket]]:
    """A transport, and the other end of its connection, a blocking TLS socket."""
    with socket.create_server(("localhost", 0)) as listener, ThreadPoolExecutor(1) as pool:
        transport = tcp(
            listener.getsockname()[1],
            tls=certificates.client_context(),
            handshake_grace=0.05,
            close_timeout=2.0,
            publish_timeout=20.0,
        )
        connecting = pool.submit(transport.connect)
        plain, _ = listener.accept()
        plain.settimeout(20)
        with certificates.server_context().wrap_socket(plain, server_side=True) as sock:
            assert read_exactly(sock, len(GREETING)) == GREETING
            read_exactly(sock, HELLO)
            connecting.result(20)
            yield transport, sock
    transport.close()


class Interruption(Exception):
    pass


@pytest.fixture
def interrupt() -> Iterator[Any]:
    """Has the main thread interrupted after some seconds."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise Interruption

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_bytes_that_come_one_by_one_are_received(pair: tuple[TcpTransport, ssl.SSLSocket]) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    data = frames(ticks(0, 5))
    received = []
    for index in range(len(data)):
        sock.sendall(data[index : index + 1])
        try:
            received.append(subscriber.recv_nowait())
        except queue.Empty:
            continue
    while len(received) < 5:
        received.append(subscriber.recv(20))
    assert received == ticks(0, 5)


def test_records_larger_than_the_room_for_them_are_received_whole(
    pair: tuple[TcpTransport, ssl.SSLSocket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sock.sendall, frames(ticks(0, 30_000)))
        assert [subscriber.recv(20).price for _ in range(30_000)] == list(range(30_000))
        sending.result(20)


def test_ctrl_c_ends_a_wait_and_the_connection_goes_on(
    pair: tuple[TcpTransport, ssl.SSLSocket], interrupt: Any
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    for timeout in (None, 20):
        interrupt(0.1)
        with pytest.raises(Interruption):
            subscriber.recv(timeout)
    sock.sendall(frames(ticks(0, 3)))
    assert [subscriber.recv(20) for _ in range(3)] == ticks(0, 3)


def test_ctrl_c_ends_a_publish_that_is_held_up_and_tears_no_frame(
    pair: tuple[TcpTransport, ssl.SSLSocket], interrupt: Any
) -> None:
    transport, sock = pair
    publisher = transport.publisher(TradeTick)
    for end in (publisher.publish_many, publisher.publish_many, None):
        interrupt(0.3)
        with pytest.raises(Interruption):
            if end is None:
                publisher.flush()
            else:
                while True:
                    end(ticks(0, 1000))
    accepted = transport.stats().frames_sent
    pending = transport.stats().pending_bytes
    data = read_exactly(sock, accepted * TICK)
    rest = b""
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_to_the_end, sock)
        transport.close()
        rest = reading.result(20)
    numbers = [tick.price for tick in TradeTick.decode_batch(data + rest)]
    assert len(rest) >= 0
    assert len(data) + len(rest) <= accepted * TICK + pending + 65_536
    for before, after in itertools.pairwise(numbers):
        assert after == (before + 1) % 1000 or after == 0


def test_a_handler_that_publishes_amid_tls_is_told_that_it_cannot(
    certificates: Certificates, interrupt: Any
) -> None:
    told: list[str] = []

    class Interrupted(ssl.SSLSocket):
        def send(self, data: Any, flags: int = 0) -> int:
            if armed.is_set():
                armed.clear()
                signal.raise_signal(signal.SIGALRM)
            return super().send(data, flags)

    def handler(number: int, frame: FrameType | None) -> None:
        try:
            publisher.publish(TradeTick(2, 1))
        except RuntimeError as error:
            told.append(str(error))

    armed = threading.Event()
    context = certificates.client_context()
    context.sslsocket_class = Interrupted
    with (
        bridge(None, "--tcp", "localhost:0", *certificates.options()) as running,
        connect(running, context, profile="latency") as transport,
        connect(running, certificates.client_context()) as other,
    ):
        subscriber = other.subscriber(TradeTick)
        publisher = transport.publisher(TradeTick)
        signal.signal(signal.SIGALRM, handler)
        armed.set()
        publisher.publish(TradeTick(1, 1))
        publisher.publish(TradeTick(3, 1))
        assert [subscriber.recv(20).price for _ in range(3)] == [1, 2, 3]
    (text,) = told
    assert "set an event in the handler" in text


def read_to_the_end(sock: ssl.SSLSocket) -> bytes:
    data = b"".join(iter(lambda: sock.recv(65_536), b""))
    sock.unwrap().close()
    return data


def test_closing_while_a_thread_waits_wakes_it(pair: tuple[TcpTransport, ssl.SSLSocket]) -> None:
    transport, _ = pair
    subscriber = transport.subscriber(TradeTick)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(subscriber.recv)
        with pytest.raises(queue.Empty):
            transport.subscriber(TextMessage).recv(0.05)
        transport.close()
        with pytest.raises(ConnectionClosed, match="closed by this program"):
            waiting.result(20)


def test_a_connection_cut_off_within_a_frame_is_an_end_that_says_so(
    pair: tuple[TcpTransport, ssl.SSLSocket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick)
    sock.sendall(frames(ticks(0, 2))[:-3])
    sock.close()
    assert list(subscriber) == ticks(0, 1)
    with pytest.raises(ConnectionClosed, match="within a frame"):
        subscriber.recv()


def test_both_sides_may_send_all_they_have_before_they_read(
    pair: tuple[TcpTransport, ssl.SSLSocket],
) -> None:
    transport, sock = pair
    subscriber = transport.subscriber(TradeTick, capacity=100_000)
    data = frames(ticks(0, 100_000))

    def serve() -> bytes:
        sock.sendall(data)
        return read_exactly(sock, len(data))

    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        transport.publisher(TradeTick).publish_many(ticks(0, 100_000))
        transport.publisher(TradeTick).flush()
        assert serving.result(30) == data
    assert [subscriber.recv(20).price for _ in range(100_000)] == list(range(100_000))


def test_connecting_and_closing_leaves_nothing_behind(bus: Bridge, context: ssl.SSLContext) -> None:
    from links import descriptors

    with connect(bus, context):
        pass
    before, threads = descriptors(), threading.active_count()
    for _ in range(20):
        with connect(bus, context) as transport:
            transport.publisher(TradeTick).publish(TradeTick(1, 1))
    assert descriptors() == before
    eventually(lambda: threading.active_count() == threads)
