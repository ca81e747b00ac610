"""The asyncio client: connecting, publishing, receiving, closing; with real bridges and raw peers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import queue
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import GREETING, Bridge, Peer, bridge, read_exactly, read_frame
from certificates import Certificates
from clients import client_of, connected
from environments import checked
from links import descriptors, frames, ticks
from loops import LOOPS, accept, eventually, peer_at, run

from mycelium_fast import MyceliumClient
from mycelium_fast.bus.client import ClientState
from mycelium_fast.codec.batching import Batching
from mycelium_fast.codec.pool import BufferPool
from mycelium_fast.errors import (
    ConnectionClosed,
    EncodeError,
    PermissionDenied,
    PoolExhausted,
    SchemaMismatchError,
    SubscriberOverflow,
    TransportError,
    TransportTimeout,
)
from mycelium_fast.example_messages import (
    SCHEMA_DIGEST,
    TOPICS,
    Order,
    Ping,
    Pong,
    TextMessage,
    TradeTick,
)
from mycelium_fast.session import core


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture
def peer(path: Path) -> Iterator[Peer]:
    with peer_at(path) as made:
        yield made


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with bridge(tmp_path_factory.mktemp("bus") / "bus.sock") as running:
        yield running


# Connecting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_published_is_received_in_order_and_once(bus: Bridge, loop: str) -> None:
    async def main() -> None:
        assert bus.path is not None
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            assert client.negotiated
            subscriber = client.subscriber(TradeTick)
            await subscriber.subscribed()
            sent = ticks(0, 20_000)
            for tick in sent[:5000]:
                await client.publish(tick)
            await client.publish_many(sent[5000:])
            received = [await subscriber.recv(20) for _ in sent]
            assert received == sent
            assert subscriber.dropped == 0

    run(main(), loop)


@pytest.mark.parametrize(
    "profile", ["latency", "balanced", "throughput", Batching(max_bytes=100, max_messages=3)]
)
def test_every_profile_delivers_without_a_flush(bus: Bridge, profile: Any) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST, profile=profile) as client:
            subscriber = client.subscriber(TradeTick | TextMessage)
            await subscriber.subscribed()
            for number in range(300):
                await client.publish(TradeTick(number, 1))
                if number % 7 == 0:
                    await client.publish_many([TextMessage("a", "b", number), TradeTick(number, 2)])
                if number % 50 == 0:
                    await asyncio.sleep(0.002)
            expected: list[Any] = []
            for number in range(300):
                expected.append(TradeTick(number, 1))
                if number % 7 == 0:
                    expected += [TextMessage("a", "b", number), TradeTick(number, 2)]
            assert [await subscriber.recv(20) for _ in expected] == expected
            stats = client.stats()
            assert stats.frames_sent == len(expected)
            assert stats.bytes_sent == len(frames(expected))
            assert stats.batches_sent == sum(stats.flushes.values())
            assert stats.state == "connected"
            assert stats.subscribers[0].received == len(expected)

    run(main())


def test_a_publish_that_finds_nothing_waiting_leaves_at_once_with_latency(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path, profile="latency") as client:
            sock = await accept(peer)
            await client.publish(TradeTick(1, 2))
            # Nothing has run since but this.
            assert read_exactly(sock, 22) == TradeTick(1, 2).to_frame()
            assert client.stats().flushes["immediate"] == 1
            sock.close()

    run(main())


def test_without_a_digest_it_is_that_of_the_one_module_imported(bus: Bridge) -> None:
    program = """
import asyncio
from mycelium_fast import MyceliumClient, MyceliumError, SchemaMismatchError
from mycelium_fast.session import core

async def main(path):
    client = MyceliumClient(f"unix:{path}")
    try:
        await client.connect()
    except MyceliumError as error:
        assert "no generated module is imported" in str(error), error
    else:
        raise AssertionError
    from mycelium_fast.example_messages import TradeTick
    other = MyceliumClient(f"unix:{path}")
    unconfirmed = other.subscriber(core.Ping)  # before any digest is known
    try:
        await other.connect()
    except SchemaMismatchError:
        await other.close()
    else:
        raise AssertionError
    async with client:
        subscriber = client.subscriber(TradeTick)
        await subscriber.subscribed()
        await client.publish(TradeTick(1, 2))
        assert await subscriber.recv(20) == TradeTick(1, 2)

asyncio.run(main(PATH))
"""
    checked(sys.executable, "-X", "dev", "-W", "error", "-c", program.replace("PATH", repr(str(bus.path))))


def test_publishing_from_a_plain_handler_needs_no_waiting(path: Path) -> None:
    async def main() -> None:
        with peer_at(path) as peer:
            client = client_of(path, max_pending=1000, reconnect=False)
            with pytest.raises(TransportError):
                client.publish_nowait(TradeTick(0, 0))
            await client.connect()
            sock = await accept(peer)
            client.subscribe(TradeTick, lambda tick: client.publish_nowait(tick.replace(size=7)))
            sock.sendall(TradeTick(1, 2).to_frame())
            assert await asyncio.to_thread(read_exactly, sock, 22) == TradeTick(1, 7).to_frame()
            sent = 0
            with pytest.raises(queue.Full, match="would have to wait"):
                while True:
                    client.publish_nowait(TradeTick(sent, 1))
                    sent += 1
            read = asyncio.create_task(asyncio.to_thread(read_exactly, sock, 22 * sent))
            expected = b"".join(TradeTick(number, 1).to_frame() for number in range(sent))
            assert await read == expected
            await client.close()
            with pytest.raises(ConnectionClosed):
                client.publish_nowait(TradeTick(0, 0))

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_plain_handler_publishes_without_others_having_their_turn(
    peer: Peer, path: Path, loop: str
) -> None:
    async def main() -> None:
        sent = list(ticks(0, 10_000))
        async with client_of(path, max_pending=1 << 20, profile="throughput") as client:
            sock = await accept(peer)

            def on_tick(_: TradeTick) -> None:
                for tick in sent:
                    client.publish_nowait(tick)

            client.subscribe(TradeTick, on_tick)
            waiting = asyncio.create_task(client.publish_many(sent))  # in line, or not: that is no reason
            sock.sendall(TradeTick(1, 2).to_frame())
            await waiting
            expected = b"".join(tick.to_frame() for tick in sent)
            assert await asyncio.to_thread(read_exactly, sock, 2 * len(expected)) == 2 * expected

    run(main(), loop)


def test_an_address_that_is_none_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"unix:/run/bus\.sock"):
        MyceliumClient("localhost")
    with pytest.raises(TypeError, match="no address"):
        run(MyceliumClient(schema_digest=SCHEMA_DIGEST).connect())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"publish_timeout": -1}, ValueError),
        ({"connect_timeout": "1"}, TypeError),
        ({"heartbeat": float("nan")}, ValueError),
        ({"reconnect": 3}, TypeError),
        ({"profile": "fast"}, ValueError),
        ({"schema_digest": b"short"}, ValueError),
        ({"tls": True}, TypeError),
        ({"on_state": 3}, TypeError),
        ({"max_pending": 0}, ValueError),
        ({"service": "x" * 65}, ValueError),
        ({"no_such": 1}, TypeError),
    ],
)
def test_wrong_settings_are_refused_where_they_are_given(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=next(iter(options)).removeprefix("schema_") + "|service|profile"):
        MyceliumClient("unix:/x", **options)


def test_connecting_to_nothing_says_how_to_start_a_bridge(path: Path) -> None:
    async def main() -> None:
        client = client_of(path)
        with pytest.raises(TransportError, match="mycelium bridge --unix"):
            await client.connect()
        assert client.state == "closed"
        with pytest.raises(TransportError, match="not connected"):
            await client.publish(TradeTick(1, 2))
        tcp = MyceliumClient("127.0.0.1:1", schema_digest=SCHEMA_DIGEST)
        with pytest.raises(TransportError, match=r"127\.0\.0\.1 port 1"):
            await tcp.connect()

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_digest_mismatch_shows_at_connect_with_both_digests(bus: Bridge, loop: str) -> None:
    async def main() -> None:
        client = MyceliumClient(f"unix:{bus.path}", schema_digest=bytes(32))
        with pytest.raises(SchemaMismatchError) as caught:
            await client.connect()
        assert SCHEMA_DIGEST.hex() in str(caught.value)
        assert bytes(32).hex() in str(caught.value)
        assert client.state is ClientState.CLOSED

    run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_closes_on_the_digest_is_a_mismatch_at_connect(peer: Peer, path: Path, loop: str) -> None:
    async def main() -> None:
        connecting = asyncio.create_task(client_of(path, handshake_grace=20.0).connect())
        (await accept(peer)).close()
        with pytest.raises(SchemaMismatchError, match="closed the connection on our handshake"):
            await connecting

    run(main(), loop)


def test_a_peer_that_says_nothing_is_connected_to_after_the_grace(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path) as client:
            assert not client.negotiated
            sock = await accept(peer, greeted=False)
            assert read_exactly(sock, 34) == GREETING
            sock.close()

    run(main())


def test_a_frame_ends_the_wait_for_a_refusal_and_is_delivered(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        subscriber = client.subscriber(TradeTick)
        connecting = asyncio.create_task(client.connect())
        sock = await accept(peer)
        sock.sendall(frames(ticks(0, 3)))
        await connecting
        assert [await subscriber.recv(20) for _ in range(3)] == ticks(0, 3)
        sock.close()
        await client.close()

    run(main())


def test_without_a_handshake_nothing_is_sent_before_the_first_frame(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{path}", handshake=False) as client:
            await client.publish(TradeTick(1, 2))
            sock = await accept(peer, greeted=False)
            await client.flush()
            assert read_exactly(sock, 22) == TradeTick(1, 2).to_frame()
            sock.close()

    run(main())


def test_a_close_is_no_refusal_of_a_digest_that_was_not_sent(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{path}", handshake=False, reconnect=False) as client:
            subscriber = client.subscriber(TradeTick)
            (await accept(peer, greeted=False)).close()
            with pytest.raises(TransportError, match="closed the connection") as caught:
                await subscriber.recv(20)
            assert "digest" not in str(caught.value)

    run(main())


def test_a_peer_that_does_not_accept_is_a_time_out(path: Path) -> None:
    async def main() -> None:
        with pytest.raises(TransportTimeout, match=r"within 0\.05 s"):
            await client_of(path, connect_timeout=0.05).connect()

    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))  # fills the backlog
        run(main())


def test_connecting_twice_is_refused(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            with pytest.raises(TransportError, match="connected already"):
                await client.connect()

    run(main())


def test_a_closed_client_can_connect_again(bus: Bridge) -> None:
    async def main() -> None:
        client = MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST)
        for _ in range(2):
            async with client:
                subscriber = client.subscriber(Ping)
                await subscriber.subscribed()
                await client.publish(Ping("hello"))
                assert await subscriber.recv(20) == Ping("hello")

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_tcp_reaches_names_and_both_kinds_of_addresses(tmp_path: Path, host: str) -> None:
    async def main(address: str) -> None:
        async with MyceliumClient(address, schema_digest=SCHEMA_DIGEST) as client:
            link = client._connector.link
            assert link is not None
            sock = link._transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            subscriber = client.subscriber(TradeTick)
            await subscriber.subscribed()
            await client.publish_many(ticks(0, 1000))
            assert [await subscriber.recv(20) for _ in range(1000)] == ticks(0, 1000)

    listen = "[::1]:0" if host == "[::1]" else "127.0.0.1:0"
    with bridge(None, "--tcp", listen) as running:
        run(main(f"{host}:{running.tcp_port}"))
        run(main(f"tcp://{host}:{running.tcp_port}"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mutual"])
def test_tls_carries_everything_in_order(certificates: Certificates, loop: str, mutual: bool) -> None:
    async def main() -> None:
        context = certificates.client_context(certificate=mutual)
        address = f"tls://localhost:{running.tcp_port}"
        async with MyceliumClient(address, schema_digest=SCHEMA_DIGEST, tls=context) as client:
            assert client.negotiated
            subscriber = client.subscriber(TradeTick)
            await subscriber.subscribed()
            sent = ticks(0, 50_000)
            await client.publish_many(sent)
            assert [await subscriber.recv(20) for _ in sent] == sent
        # What was accepted arrives, although the client closes at once.
        async with MyceliumClient(address, schema_digest=SCHEMA_DIGEST, tls=context) as observer:
            subscriber = observer.subscriber(TradeTick)
            await subscriber.subscribed()
            async with MyceliumClient(address, schema_digest=SCHEMA_DIGEST, tls=context) as client:
                await client.publish_many(sent)
            assert [await subscriber.recv(20) for _ in sent] == sent

    with bridge(None, "--tcp", "127.0.0.1:0", *certificates.options(mutual=mutual)) as running:
        run(main(), loop)


def test_tls_over_a_unix_socket_is_refused(path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        client = MyceliumClient(
            f"unix:{path}", schema_digest=SCHEMA_DIGEST, tls=certificates.client_context()
        )
        with pytest.raises(ValueError, match=f"unix:{path} is a Unix socket"):
            await client.connect()

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_tls_that_fails_says_why(certificates: Certificates, loop: str) -> None:
    async def main() -> None:
        def client(host: str = "localhost", **options: Any) -> MyceliumClient:
            return MyceliumClient(
                f"tls://{host}:{running.tcp_port}", **{"schema_digest": SCHEMA_DIGEST, **options}
            )

        with pytest.raises(TransportError, match="certificate is not accepted"):
            await client(tls=certificates.distrusting_context()).connect()
        with pytest.raises(TransportError, match="certificate is not accepted"):
            await client(tls=certificates.client_context(), server_hostname="other.example").connect()
        with pytest.raises(TransportError, match="certificate is not accepted"):
            await client().connect()  # the system's authorities do not know it
        async with client("127.0.0.1", tls=certificates.client_context(), server_hostname="localhost"):
            pass
        with pytest.raises(SchemaMismatchError):
            await client(tls=certificates.client_context(), schema_digest=bytes(32)).connect()

    with bridge(None, "--tcp", "127.0.0.1:0", *certificates.options()) as running:
        run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_certificate_that_is_missing_is_told_as_such(certificates: Certificates, loop: str) -> None:
    """TLS 1.3 tells the client only after its side of the handshake is done."""

    async def main() -> None:
        for context in (certificates.client_context(), certificates.untrusted_context()):
            client = MyceliumClient(
                f"localhost:{running.tcp_port}",
                schema_digest=SCHEMA_DIGEST,
                tls=context,
                handshake_grace=20.0,
            )
            with pytest.raises(TransportError, match="load_cert_chain"):
                await client.connect()

    with bridge(None, "--tcp", "127.0.0.1:0", *certificates.options(mutual=True)) as running:
        run(main(), loop)


# Publishing ---------------------------------------------------------------------------------------


def test_publishing_what_is_no_message_is_a_type_error(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            for wrong in (b"bytes", 3, None, TradeTick):
                with pytest.raises(TypeError, match="publish"):
                    await client.publish(wrong)
            with pytest.raises(TypeError, match="not one TradeTick alone"):
                await client.publish_many(TradeTick(1, 2))  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="publish"):
                await client.publish_many([TradeTick(1, 2), "x"])
            await client.publish_many([])
            assert client.stats().frames_sent == 0

    run(main())


def test_a_class_of_another_contracts_file_is_refused(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            with pytest.raises(SchemaMismatchError):
                await client.publish(core.Ping(1))
            with pytest.raises(SchemaMismatchError):
                client.subscriber(core.Ping)

    # (The core contracts stand for any others here.)
    run(main())


def test_a_message_over_the_limit_is_refused(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(
            f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST, max_payload_size=20
        ) as client:
            await client.publish(TradeTick(1, 2))
            with pytest.raises(EncodeError, match="max_payload_size"):
                await client.publish(Ping("x"))

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_stops_reading_is_a_time_out_and_no_frame_is_torn(
    peer: Peer, path: Path, loop: str
) -> None:
    async def main() -> None:
        client = client_of(path, publish_timeout=0.2, max_pending=100_000)
        await client.connect()
        sock = await accept(peer)
        sent = 0

        async def publish() -> None:
            nonlocal sent
            while True:
                await client.publish(TradeTick(sent, 1))
                sent += 1

        with pytest.raises(TransportTimeout, match="nothing of this call was accepted"):
            await publish()
        assert client.stats().pending_bytes <= 100_000 + 2 * 65_536
        # Once it reads again, all that was accepted comes whole and in order.
        reading = asyncio.create_task(asyncio.to_thread(read_exactly, sock, sent * 22))
        assert await reading == frames([TradeTick(number, 1) for number in range(sent)])
        await client.publish(TradeTick(sent, 1))
        await client.flush()
        assert read_exactly(sock, 22) == TradeTick(sent, 1).to_frame()
        sock.close()
        await client.close()

    run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_publishers_that_wait_are_let_through_in_their_order(peer: Peer, path: Path, loop: str) -> None:
    async def main() -> None:
        async with client_of(path, max_pending=50_000) as client:
            sock = await accept(peer)
            filler = 0
            while client._gate.open or filler == 0:
                await client.publish(TradeTick(0, filler))
                filler += 1
            tasks = [asyncio.create_task(client.publish(TradeTick(1, number))) for number in range(50)]
            await asyncio.sleep(0)
            tasks += [asyncio.create_task(client.publish(TradeTick(1, number))) for number in range(50, 100)]
            data = await asyncio.to_thread(read_exactly, sock, (filler + 100) * 22)
            await asyncio.gather(*tasks)
            received = TradeTick.decode_batch(data)
            assert [tick.size for tick in received if tick.price == 0] == list(range(filler))
            assert [tick.size for tick in received if tick.price == 1] == list(range(100))
            sock.close()

    run(main(), loop)


def test_flush_returns_when_the_operating_system_has_it_all(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path, profile="throughput") as client:
            sock = await accept(peer)
            await client.publish_many(ticks(0, 100_000))
            reading = asyncio.create_task(asyncio.to_thread(read_exactly, sock, 2_200_000))
            await client.flush()
            assert client.stats().pending_bytes == 0
            assert await reading == frames(ticks(0, 100_000))
            await client.publish_many(ticks(0, 100))  # publishing goes on as before
            await client.flush()
            assert read_exactly(sock, 2200) == frames(ticks(0, 100))
            sock.close()

    run(main())


def test_other_tasks_have_their_turn_while_one_publishes_without_end(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path) as client:
            sock = await accept(peer)
            drained = asyncio.create_task(asyncio.to_thread(read_exactly, sock, 22 * 50_000))
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            for number in range(50_000):
                await client.publish(TradeTick(number, 1))
            assert turns >= 10
            task.cancel()
            await client.flush()
            await drained
            sock.close()

    run(main())


def test_an_exhausted_pool_refuses_a_publish_whole_and_holds_reading(bus: Bridge) -> None:
    async def main() -> None:
        pool = BufferPool(block_size=4096, blocks=3, on_exhausted="error")
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST, pool=pool) as client:
            subscriber = client.subscriber(TradeTick)
            await subscriber.subscribed()
            await client.publish(TradeTick(0, 0))
            assert await subscriber.recv(20) == TradeTick(0, 0)
            held = []
            while True:
                try:
                    held.append(pool.acquire())
                except PoolExhausted:
                    break
            async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as other:
                await other.publish_many(ticks(0, 5000))
                await other.flush()
                await asyncio.sleep(0.1)  # time for it to arrive, and to find no block
            held.clear()
            assert [await subscriber.recv(20) for _ in range(5000)] == ticks(0, 5000)

    run(main())


# Receiving ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_iterating_gives_messages_until_the_client_is_closed(bus: Bridge, loop: str) -> None:
    async def main() -> None:
        client = await MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST).connect()
        subscriber = client.subscriber(TradeTick)
        await subscriber.subscribed()
        received = []

        async def read() -> None:
            async for tick in subscriber:
                received.append(tick)

        reading = asyncio.create_task(read())
        await client.publish_many(ticks(0, 100))
        await eventually(lambda: len(received) == 100)
        await client.close()
        await reading
        assert received == ticks(0, 100)
        with pytest.raises(ConnectionClosed, match="closed by this program"):
            await subscriber.recv()
        with pytest.raises(ConnectionClosed):
            subscriber.recv_nowait()

    run(main(), loop)


def test_batches_and_arrays_give_what_has_arrived(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            lists, tables = client.subscriber(TradeTick, 20_000), client.subscriber(TradeTick, 20_000)
            arrays = tables.arrays()
            await tables.subscribed()
            await client.publish_many(ticks(0, 20_000))
            received: list[Any] = []
            async for batch in lists.batches():
                assert batch
                received += batch
                if len(received) == 20_000:
                    break
            assert received == ticks(0, 20_000)
            total = rows = 0
            async for table in arrays:
                rows += len(table)
                total += int(table["price"].sum())
                if rows == 20_000:
                    break
            assert total == sum(range(20_000))

    run(main())


def test_recv_raises_empty_after_its_time(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            subscriber = client.subscriber(TradeTick)
            await subscriber.subscribed()
            with pytest.raises(queue.Empty):
                await subscriber.recv(timeout=0.01)
            with pytest.raises(queue.Empty):
                await subscriber.recv(timeout=0)
            with pytest.raises(queue.Empty):
                subscriber.recv_nowait()
            with pytest.raises(ValueError, match="timeout"):
                await subscriber.recv(timeout=-1)
            await client.publish(TradeTick(1, 2))
            assert await subscriber.recv(timeout=20) == TradeTick(1, 2)

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_full_subscriber_that_blocks_loses_nothing(bus: Bridge, loop: str) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            small, other = client.subscriber(TradeTick, capacity=10), client.subscriber(TradeTick)
            await other.subscribed()
            sent = ticks(0, 30_000)
            publishing = asyncio.create_task(client.publish_many(sent))

            async def take(subscriber: Any) -> list[Any]:
                return [await subscriber.recv(20) for _ in sent]

            assert await asyncio.gather(take(small), take(other)) == [sent, sent]
            await publishing
            assert small.stats().high_water <= 10
            assert small.dropped == other.dropped == 0

    run(main(), loop)


@pytest.mark.parametrize(
    ("overflow", "expected", "dropped"),
    [("drop_oldest", range(990, 1000), 990), ("drop_newest", range(10), 990), ("latest", [999], 999)],
)
def test_overflow_policies_drop_what_they_say_and_count_it(
    bus: Bridge, overflow: Any, expected: Any, dropped: int
) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            subscriber = client.subscriber(TradeTick, capacity=10, overflow=overflow)
            last = client.subscriber(Ping)
            await last.subscribed()
            await client.publish_many([*ticks(0, 1000), Ping("end")])
            await last.recv(20)
            assert subscriber.dropped == dropped
            received = [subscriber.recv_nowait().price for _ in expected]
            assert received == list(expected)
            with pytest.raises(queue.Empty):
                subscriber.recv_nowait()

    run(main())


def test_overflow_error_gives_what_was_queued_and_then_the_error(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            subscriber = client.subscriber(TradeTick, capacity=10, overflow="error")
            last = client.subscriber(Ping)
            await last.subscribed()
            await client.publish_many([*ticks(0, 1000), Ping("end")])
            await last.recv(20)
            assert [await subscriber.recv(20) for _ in range(10)] == ticks(0, 10)
            with pytest.raises(SubscriberOverflow):
                await subscriber.recv(20)
            with pytest.raises(SubscriberOverflow):
                await subscriber.__anext__()
            assert subscriber.dropped == 990

    run(main())


def test_topics_unions_and_raw_frames_can_be_subscribed_to(bus: Bridge) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            topic = client.subscriber(TOPICS["market-data"])
            either = client.subscriber(Ping | Pong)
            raw = client.raw_subscriber(Ping.TYPE_ID)
            everything = client.raw_subscriber()
            await everything.subscribed()
            await either.subscribed()
            await client.publish_many([Ping("a"), TradeTick(1, 2), Pong("b")])
            assert await topic.recv(20) == TradeTick(1, 2)
            assert [await either.recv(20), await either.recv(20)] == [Ping("a"), Pong("b")]
            assert await raw.recv(20) == (Ping.TYPE_ID, Ping("a").to_bytes())
            assert [(await everything.recv(20)).type_id for _ in range(3)] == [1002, 1200, 1003]
            everything.close()
            topic.close()
            # What is wanted still comes after another subscription of the client has ended.
            await client.publish_many([TradeTick(1, 2), Pong("c")])
            assert await either.recv(20) == Pong("c")

    run(main())


def test_a_subscription_that_ends_is_told_to_the_peer(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        first = client.subscriber(TradeTick | Ping)
        second = client.subscriber(Ping)
        asked = core.Subscribe.from_bytes((await asyncio.to_thread(read_frame, sock))[1])
        assert set(asked.type_ids) == {TradeTick.TYPE_ID, Ping.TYPE_ID}
        asked = core.Subscribe.from_bytes((await asyncio.to_thread(read_frame, sock))[1])
        assert asked.type_ids == [Ping.TYPE_ID]
        first.close()
        ended = core.Unsubscribe.from_bytes((await asyncio.to_thread(read_frame, sock))[1])
        assert ended.type_ids == [TradeTick.TYPE_ID]
        del second  # nobody can take from it any more
        gc.collect()
        ended = core.Unsubscribe.from_bytes((await asyncio.to_thread(read_frame, sock))[1])
        assert ended.type_ids == [Ping.TYPE_ID]
        sock.close()
        await client.close()

    run(main())


def test_a_refused_subscription_raises_and_the_others_go_on(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        allowed = client.subscriber(Ping)
        read_frame(sock)
        sock.sendall(core.Subscribed(1).to_frame())
        await allowed.subscribed()

        async def handler(order: Order) -> None: ...

        for ask in (lambda: client.subscriber(Order).subscribed(), lambda: client.subscribe(handler)):
            waiting = asyncio.ensure_future(ask())
            number = core.Subscribe.from_bytes((await asyncio.to_thread(read_frame, sock))[1]).request
            reject = core.Reject(2, False, Order.TYPE_ID, bytes(32), "not for you")
            sock.sendall(reject.to_frame() + core.Subscribed(number).to_frame())
            with pytest.raises(PermissionDenied, match="not for you"):
                await waiting
            read_frame(sock)  # Unsubscribe
        sock.sendall(Ping("still here").to_frame())
        assert await allowed.recv(20) == Ping("still here")
        order = Order.from_bytes(bytes(Order.SIZE), validate=False)
        # A refusal that answers no subscription is about what was published.
        await client.publish(order)
        sock.sendall(core.Reject(2, False, Order.TYPE_ID, bytes(32), "do not publish it").to_frame())
        sock.sendall(Ping("after it").to_frame())
        assert await allowed.recv(20) == Ping("after it")
        with pytest.raises(PermissionDenied, match="do not publish it"):
            await client.publish(order)
        await client.publish(Ping("fine"))
        sock.close()
        await client.close()

    run(main())


def test_lag_that_the_peer_reports_is_counted(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        subscriber = client.subscriber(Ping)
        sock.sendall(core.Lagged(Ping.TYPE_ID, 7).to_frame() + Ping("x").to_frame())
        assert await subscriber.recv(20) == Ping("x")
        assert subscriber.stats().lagged == 7
        assert client.stats().lagged_frames == 7
        sock.sendall(core.Ping(42).to_frame())
        while (frame := await asyncio.to_thread(read_frame, sock))[0] != core.Pong.TYPE_ID:
            pass
        assert core.Pong.from_bytes(frame[1]) == core.Pong(42)
        sock.close()
        await client.close()

    run(main())


def test_bad_and_unknown_frames_are_reported_and_cost_nothing_else(peer: Peer, path: Path) -> None:
    async def main() -> None:
        reported: list[Any] = []
        async with client_of(path, on_bad_frame=reported.append) as client:
            sock = await accept(peer)
            subscriber = client.subscriber(TradeTick)
            bad = struct.pack("<HI", TradeTick.TYPE_ID, 3) + b"abc"
            unknown = struct.pack("<HI", 60_000, 1) + b"x"
            known = Ping("not subscribed to").to_frame()
            sock.sendall(unknown + bad + known + frames(ticks(0, 2)))
            assert [await subscriber.recv(20) for _ in range(2)] == ticks(0, 2)
            assert [(report.type_id, report.count) for report in reported] == [(60_000, 1), (1200, 1)]
            assert reported[0].error is None
            assert "TradeTick" in str(reported[1].error)
            assert subscriber.decode_errors == 1
            assert client.skipped_frames == 2
            sock.close()

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_frame_of_four_gigabytes_ends_the_connection_after_what_came_before(
    peer: Peer, path: Path, loop: str
) -> None:
    async def main() -> None:
        async with client_of(path, reconnect=False) as client:
            sock = await accept(peer)
            subscriber = client.subscriber(TradeTick)
            await asyncio.to_thread(sock.sendall, frames(ticks(0, 10)) + struct.pack("<HI", 1200, 0xFFFFFFFF))
            assert [await subscriber.recv(20) for _ in range(10)] == ticks(0, 10)
            with pytest.raises(ConnectionClosed, match="4294967295"):
                await subscriber.recv(20)
            with pytest.raises(ConnectionClosed, match="4294967295"):
                await client.publish(TradeTick(1, 2))
            assert client.state == "closed"
            sock.close()

    run(main(), loop)


def test_a_stream_cut_at_every_byte_gives_the_same_messages(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path) as client:
            sock = await accept(peer)
            subscriber = client.subscriber(TradeTick | TextMessage)
            sent = [TradeTick(1, 2), TextMessage("a", "b", 3), TradeTick(4, 5)]
            data = frames(sent)
            for number, byte in enumerate(data):
                sock.sendall(bytes([byte]))
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert [await subscriber.recv(20) for _ in sent] == sent
            sock.close()

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_asks_without_reading_answers_is_left(peer: Peer, path: Path, loop: str) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0, max_pending=1000, reconnect=False)
        sock = await connected(peer, client)
        pings = core.Ping(1).to_frame() * 10_000

        def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock.sendall(pings)

        await asyncio.to_thread(flood)
        with pytest.raises(ConnectionClosed, match="reads no answers"):
            await client.publish(TradeTick(1, 2))
        assert client.stats().pending_bytes < 1_000_000
        sock.close()

    run(main(), loop)


# Handlers -----------------------------------------------------------------------------------------


def test_handlers_of_every_kind_get_their_messages_in_order(bus: Bridge) -> None:
    received: dict[str, list[Any]] = {
        name: [] for name in ("async", "def", "method", "partial", "class", "late")
    }

    async def asynchronous(message: Ping | Pong) -> None:
        await asyncio.sleep(0)
        received["async"].append(message)

    def plain(message: Ping) -> None:
        received["def"].append(message)

    class Holder:
        async def method(self, message: Ping) -> None:
            received["method"].append(message)

    def labelled(label: str, message: Ping) -> None:
        received[label].append(message)

    async def main() -> None:
        client = MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST)
        await client.subscribe(plain)  # before there is a connection
        early = await client.subscribe(asynchronous)
        await client.connect()
        await client.subscribe(Holder().method)
        await client.subscribe(functools.partial(labelled, "partial"))
        await client.subscribe((Ping, Pong), received["class"].append)

        @client.subscribe
        async def late(message: Ping) -> None:
            received["late"].append(message)

        await late
        pings = [Ping(str(number)) for number in range(500)]
        await client.publish_many([*pings, Pong("end")])
        await eventually(lambda: early.handled == 501 and late.handled == 500)
        await eventually(lambda: len(received["method"]) == 500)
        assert received["async"] == received["class"] == [*pings, Pong("end")]
        assert received["def"] == received["method"] == received["partial"] == received["late"] == pings
        assert late(Ping("by hand")).close() is None
        await client.close()

    run(main())


def test_an_exception_in_a_handler_is_logged_and_counted(
    bus: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def first(message: Ping) -> None:
        seen.append(message.value)
        raise ValueError("asynchronous trouble")

    def second(message: Ping) -> None:
        raise ValueError("plain trouble")

    def third(message: Ping) -> Any:
        return first(message)

    async def fourth(message: Ping) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            made = [client.subscribe(handler) for handler in (first, second, third)]
            for subscription in made:
                await subscription
            await client.publish_many([Ping("a"), Ping("b")])
            await eventually(lambda: [each.errors for each in made] == [2, 2, 2])
            assert seen == ["a", "b"]

    with caplog.at_level(logging.ERROR):
        run(main())
    text = caplog.text
    assert "asynchronous trouble" in text
    assert "plain trouble" in text
    assert "write it as async def" in text


def test_unsubscribing_waits_for_the_call_under_way_and_ends_the_rest(bus: Bridge) -> None:
    calls: list[str] = []
    started = asyncio.Event()
    go_on = asyncio.Event()

    async def handler(message: Ping) -> None:
        calls.append(message.value)
        started.set()
        await go_on.wait()
        calls.append("done")

    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            subscription = await client.subscribe(handler)
            await client.publish_many([Ping("a"), Ping("b")])
            await started.wait()
            ending = asyncio.create_task(subscription.unsubscribe())
            await asyncio.sleep(0)
            assert not ending.done()
            go_on.set()
            await ending
            await subscription.unsubscribe()
            assert calls == ["a", "done"]

    run(main())


def test_a_handler_may_unsubscribe_itself_and_close_the_client(bus: Bridge) -> None:
    calls: list[str] = []

    async def main() -> None:
        client = await MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST).connect()
        closed = asyncio.Event()

        async def once(message: Ping) -> None:
            calls.append(message.value)
            await subscription.unsubscribe()

        async def ends(message: Pong) -> None:
            await client.close()
            closed.set()

        subscription = await client.subscribe(once)
        await client.subscribe(ends)
        await client.publish_many([Ping("a"), Ping("b"), Pong("c")])
        await asyncio.wait_for(closed.wait(), 20)
        assert calls == ["a"]
        assert client.state == "closed"

    run(main())


def test_a_handler_that_hangs_is_cancelled_when_the_client_closes(bus: Bridge) -> None:
    cancelled: list[bool] = []
    started = asyncio.Event()

    async def hangs(message: Ping) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        client = MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST, close_timeout=0.1)
        async with client:
            await client.subscribe(hangs)
            await client.publish(Ping("a"))
            await started.wait()
        assert cancelled == [True]

    run(main())


# Tracing ------------------------------------------------------------------------------------------


class Span:
    def __init__(self, log: list[Any], entry: tuple[Any, ...], context: Any = None) -> None:
        self._log, self._entry = log, entry
        self.context = context

    def end(self, error: BaseException | None = None) -> None:
        self._log.append((*self._entry, type(error)))


class Tracer:
    """Records what it is told; the contexts that it gives are numbered."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.count = 0

    def publishing(self, message_class: type, count: int) -> Span:
        self.count += 1
        context = (bytes([self.count]) * 16, bytes([self.count]) * 8, 1)
        return Span(self.log, ("publish", message_class.__name__, count), context)

    def delivering(
        self, name: str, type_id: int, count: int, contexts: Any, *, operation: str = "process"
    ) -> Span:
        return Span(self.log, (operation, name, type_id, count, [context[0][0] for context in contexts]))


def test_spans_carry_their_context_from_publishers_to_receivers(bus: Bridge) -> None:
    async def main() -> None:
        address = f"unix:{bus.path}"
        async with (
            MyceliumClient(address, schema_digest=SCHEMA_DIGEST) as sender,
            MyceliumClient(address, schema_digest=SCHEMA_DIGEST) as receiver,
        ):
            sender.tracer, receiver.tracer = Tracer(), Tracer()
            subscriber = receiver.subscriber(TradeTick)
            handled: list[Any] = []

            async def handler(message: Ping) -> None:
                handled.append(message)
                if message.value == "bad":
                    raise ValueError

            await subscriber.subscribed()
            await receiver.subscribe(handler)
            await sender.publish(TradeTick(1, 1))
            await sender.publish_many(ticks(2, 5))
            await sender.publish(Ping("bad"))
            assert [await subscriber.recv(20) for _ in range(4)] == [TradeTick(1, 1), *ticks(2, 5)]
            await eventually(lambda: len(receiver.tracer.log) == 5)
            nothing = type(None)
            assert sender.tracer.log == [
                ("publish", "TradeTick", 1, nothing),
                ("publish", "TradeTick", 3, nothing),
                ("publish", "Ping", 1, nothing),
            ]
            assert [entry for entry in receiver.tracer.log if entry[0] == "receive"] == [
                ("receive", "TradeTick", 1200, 1, [1], nothing),
                ("receive", "TradeTick", 1200, 1, [2], nothing),
                ("receive", "TradeTick", 1200, 1, [], nothing),
                ("receive", "TradeTick", 1200, 1, [], nothing),
            ]
            assert ("process", "Ping", 1002, 1, [3], ValueError) in receiver.tracer.log
            sender.tracer = receiver.tracer = None
            await sender.publish(TradeTick(9, 9))
            assert await subscriber.recv(20) == TradeTick(9, 9)

    run(main())


# Closing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("profile", ["latency", "throughput"])
def test_what_was_accepted_arrives_although_the_client_closes_at_once(
    peer: Peer, path: Path, loop: str, profile: str
) -> None:
    async def main() -> None:
        client = await client_of(path, profile=profile).connect()
        sock = await accept(peer)
        await client.publish_many(ticks(0, 50_000))
        sock.sendall(frames(ticks(0, 100)))  # never read: closing must not turn into a reset
        reading = asyncio.create_task(asyncio.to_thread(read_exactly, sock, 50_000 * 22))
        await client.close()
        assert await reading == frames(ticks(0, 50_000))
        assert sock.recv(1) == b""

    run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_close_returns_in_time_although_the_peer_reads_nothing(peer: Peer, path: Path, loop: str) -> None:
    async def main() -> None:
        client = await client_of(path, close_timeout=0.2).connect()
        await accept(peer)
        await client.publish_many(ticks(0, 100_000))
        waiting = asyncio.create_task(client.publish(TradeTick(1, 1)))
        receiving = asyncio.create_task(client.subscriber(TradeTick).recv())
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(client.close(), client.close()), 20)
        await client.close()
        for task in (waiting, receiving):
            with pytest.raises(ConnectionClosed, match="closed"):
                await task
        with pytest.raises(ConnectionClosed):
            await client.publish(TradeTick(1, 1))
        with pytest.raises(ConnectionClosed):
            client.subscriber(TradeTick)
        assert client.state == "closed"

    run(main(), loop)


def test_a_client_that_was_never_connected_can_be_closed() -> None:
    async def main() -> None:
        client = MyceliumClient("unix:/nonexistent", schema_digest=SCHEMA_DIGEST)
        subscriber = client.subscriber(TradeTick)
        receiving = asyncio.create_task(subscriber.recv())
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ConnectionClosed):
            await receiving

    run(main())


def cycles(path: Path, count: int) -> None:
    async def main() -> None:
        async def cycle() -> None:
            async with client_of(path, handshake_grace=0.2) as client:
                await client.publish(TradeTick(1, 2))

        for _ in range(20):
            await cycle()
        gc.collect()
        before = descriptors(), len(asyncio.all_tasks())
        for _ in range(count):
            await cycle()
        await asyncio.sleep(0)
        assert (descriptors(), len(asyncio.all_tasks())) == before

    run(main(), timeout=3000)


def test_connecting_and_closing_500_times_leaves_nothing_behind(bus: Bridge) -> None:
    assert bus.path is not None
    cycles(bus.path, 500)


@pytest.mark.long
def test_connecting_and_closing_10_000_times_leaves_nothing_behind(bus: Bridge) -> None:
    assert bus.path is not None
    cycles(bus.path, 10_000)
