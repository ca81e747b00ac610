"""The asyncio client when its connection breaks: back-off, subscribing again, what becomes of messages."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import Peer, bridge, read_core, read_exactly, read_frame
from clients import client_of, connected, negotiate
from links import frames, ticks
from loops import LOOPS, accept, eventually, peer_at, run

from mycelium_fast import Backoff, MyceliumClient
from mycelium_fast.codec.batching import Batching
from mycelium_fast.errors import (
    ConnectionClosed,
    SchemaMismatchError,
    TransportError,
    TransportTimeout,
)
from mycelium_fast.example_messages import SCHEMA_DIGEST, Ping, TradeTick
from mycelium_fast.session import core


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture
def peer(path: Path) -> Iterator[Peer]:
    with peer_at(path) as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_is_back_and_subscribed_when_its_bridge_restarts(
    path: Path, loop: str, number: signal.Signals
) -> None:
    async def main() -> None:
        states: list[str] = []
        client = MyceliumClient(
            f"unix:{path}",
            schema_digest=SCHEMA_DIGEST,
            on_state=lambda state, error: states.append(str(state)),
        )
        await client.connect()
        subscriber = client.subscriber(TradeTick)
        handled: list[Any] = []
        await client.subscribe(Ping, handled.append)
        await client.publish(TradeTick(1, 1))
        assert await subscriber.recv(20) == TradeTick(1, 1)
        iterating = asyncio.create_task(subscriber.recv())  # goes on waiting across the connections
        await asyncio.to_thread(running.restart, number)
        started = asyncio.get_running_loop().time()
        await client.wait_connected(20)
        assert asyncio.get_running_loop().time() - started < 2
        await client.publish_many([TradeTick(2, 2), Ping("back")])
        assert await iterating == TradeTick(2, 2)
        await eventually(lambda: handled == [Ping("back")])
        assert client.stats().reconnects == 1
        await client.close()
        assert states[:3] == ["connecting", "connected", "reconnecting"]
        assert states[-2:] == ["connected", "closed"]
        assert set(states[3:-2]) <= {"reconnecting"}

    with bridge(path) as running:
        run(main(), loop)


def test_connecting_again_asks_again_for_everything_wanted(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        first = await connected(peer, client)
        subscriber = client.subscriber(TradeTick)
        ended = client.subscriber(Ping)
        ended.close()
        first.close()
        await eventually(lambda: client.state == "reconnecting")
        sock = await negotiate(peer)
        request = await asyncio.to_thread(read_core, sock)
        assert (request.type_ids, request.all) == ([TradeTick.TYPE_ID], False)
        # It counts as connected only when the peer has confirmed.
        assert client.state == "reconnecting"
        sock.sendall(core.Subscribed(request.request).to_frame() + frames(ticks(0, 2)))
        await client.wait_connected(20)
        assert [await subscriber.recv(20) for _ in range(2)] == ticks(0, 2)
        sock.close()
        await client.close()

    run(main())


def test_a_publish_without_a_connection_waits_for_it(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path, publish_timeout=20.0) as client:
            (await accept(peer)).close()
            await eventually(lambda: client.state == "reconnecting")
            publishing = [asyncio.create_task(client.publish(tick)) for tick in ticks(0, 10)]
            await asyncio.sleep(0)
            sock = await accept(peer)
            await asyncio.gather(*publishing)
            await client.flush()
            assert read_exactly(sock, 220) == frames(ticks(0, 10))
            sock.close()

    run(main())


def test_a_publish_without_a_connection_times_out_with_nothing_accepted(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path, publish_timeout=0.05) as client:
            sock = await accept(peer)
            peer.close()
            sock.close()
            await eventually(lambda: client.state == "reconnecting")
            with pytest.raises(TransportTimeout, match=r"no connection to unix:.* for 0.05 s"):
                await client.publish(TradeTick(1, 2))
            with pytest.raises(TransportTimeout):
                await client.publish_many(ticks(0, 100))
            with pytest.raises(TransportTimeout):
                await client.flush()
            assert client.stats().frames_sent == client.stats().pending_bytes == 0

    run(main())


def test_what_waited_in_a_batch_goes_out_with_the_next_connection_once(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path, profile=Batching(max_delay=60.0)) as client:
            first = await accept(peer)
            await client.publish_many(ticks(0, 5))
            assert client.stats().pending_bytes == 110
            first.close()
            second = await accept(peer)
            await client.wait_connected(20)
            assert read_exactly(second, 110) == frames(ticks(0, 5))
            await client.publish_many(ticks(5, 7))
            await client.flush()
            assert read_exactly(second, 44) == frames(ticks(5, 7))
            second.close()

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_frame_cut_off_with_one_connection_is_not_continued_on_the_next(
    peer: Peer, path: Path, loop: str
) -> None:
    async def main() -> None:
        async with client_of(path, publish_timeout=20.0, max_pending=50_000) as client:
            stop = False

            async def publish() -> int:
                for number in itertools.count():
                    if stop:
                        return number
                    await client.publish(TradeTick(number, 1))
                raise AssertionError

            publishing = asyncio.create_task(publish())
            received: list[int] = []
            for _ in range(5):
                sock = await accept(peer)
                data = await asyncio.to_thread(read_exactly, sock, 100_003)
                received += [tick.price for tick in TradeTick.decode_batch(data[: len(data) // 22 * 22])]
                sock.close()
                await eventually(lambda: client.state != "connected")
            sock = await accept(peer)
            await client.wait_connected(20)
            stop = True
            reading = asyncio.create_task(asyncio.to_thread(read_rest, sock))
            count = await publishing
            await client.close()
            received += [tick.price for tick in TradeTick.decode_batch(await reading)]
            # At most once, in order; and nothing is lost that was published on the last connection.
            assert received == sorted(set(received))
            assert received[-1] == count - 1

    run(main(), loop)


def read_rest(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(65_536):
        data += piece
    sock.close()
    return bytes(data)


def test_without_reconnecting_the_end_of_the_connection_is_the_end(peer: Peer, path: Path) -> None:
    async def main() -> None:
        ended: list[Any] = []
        client = client_of(path, reconnect=False, on_state=lambda *event: ended.append(event))
        await client.connect()
        subscriber = client.subscriber(TradeTick)
        sock = await accept(peer)
        sock.sendall(frames(ticks(0, 2)))
        sock.close()
        assert [tick async for tick in subscriber] == ticks(0, 2)
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            await subscriber.recv()
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            await client.publish(TradeTick(1, 2))
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            await client.wait_connected()
        assert ended[-1][0] == "closed"
        assert isinstance(ended[-1][1], ConnectionClosed)
        await client.close()

    run(main())


def test_a_mismatch_found_when_connecting_again_ends_the_client_with_it(peer: Peer, path: Path) -> None:
    async def main() -> None:
        ended: list[Any] = []
        client = client_of(path, handshake_grace=20.0, on_state=lambda *event: ended.append(event))
        first = await connected(peer, client)
        receiving = asyncio.create_task(client.subscriber(TradeTick).recv())
        publishing = asyncio.create_task(asyncio.sleep(0))
        first.close()
        await eventually(lambda: client.state == "reconnecting")
        publishing = asyncio.create_task(client.publish(TradeTick(1, 2)))
        sock = await accept(peer)
        sock.sendall(core.Reject(1, True, 0, bytes(range(32)), "another contracts file").to_frame())
        sock.close()
        for task in (receiving, publishing):
            with pytest.raises(SchemaMismatchError, match=bytes(range(32)).hex()):
                await task
        assert client.state == "closed"
        assert isinstance(ended[-1][1], SchemaMismatchError)
        await client.close()

    run(main())


def test_a_close_without_a_word_is_tried_again_before_it_counts_as_a_refusal(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        first = await connected(peer, client)
        first.close()
        for _ in range(2):  # a bridge that is going down does this as well
            (await accept(peer)).close()
        again = await negotiate(peer)
        await client.wait_connected(20)
        again.close()
        for _ in range(3):
            (await accept(peer)).close()
        await eventually(lambda: client.state == "closed")
        with pytest.raises(SchemaMismatchError):
            await client.wait_connected(20)
        assert client.state == "closed"

    run(main())


@pytest.mark.parametrize(("after_ms", "back"), [(0, False), (20, True)])
def test_goodbye_says_whether_to_come_back(peer: Peer, path: Path, after_ms: int, back: bool) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        first = await connected(peer, client)
        first.sendall(core.Goodbye(after_ms, "maintenance").to_frame())
        first.close()
        if back:
            sock = await negotiate(peer)
            await client.wait_connected(20)
            sock.close()
        else:
            await eventually(lambda: client.state == "closed")
            with pytest.raises(ConnectionClosed, match="maintenance"):
                await client.publish(TradeTick(1, 2))
        await client.close()

    run(main())


def test_a_peer_that_vanished_without_a_word_is_found_by_heartbeats(peer: Peer, path: Path) -> None:
    async def main() -> None:
        errors: list[Any] = []
        client = client_of(
            path, handshake_grace=20.0, heartbeat=0.05, on_state=lambda _, error: errors.append(error)
        )
        first = await connected(peer, client)
        # It answers at first, as one that lives does however little it has to say.
        for _ in range(3):
            ping = await asyncio.to_thread(read_core, first)
            assert isinstance(ping, core.Ping)
            assert client.state == "connected"
            first.sendall(core.Pong(ping.nonce).to_frame())
        second = await negotiate(peer)
        assert "has not answered for 0.05 s" in str(next(error for error in errors if error))
        first.close()
        second.close()
        await client.close()

    run(main())


def test_a_peer_that_only_stops_sending_has_ended_the_connection(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path) as client:
            first = await accept(peer)
            first.shutdown(socket.SHUT_WR)
            second = await accept(peer)
            await client.wait_connected(20)
            first.close()
            second.close()

    run(main())


@pytest.mark.parametrize("loop", ["asyncio", "debug"])
def test_what_a_peer_sent_before_it_was_killed_is_delivered(peer: Peer, path: Path, loop: str) -> None:
    """A write that fails must not throw away what can still be read."""

    async def main() -> None:
        async with client_of(path) as client:
            subscriber = client.subscriber(TradeTick)
            sock = await accept(peer)
            sock.sendall(frames(ticks(0, 1000)))
            sock.close()
            await client.publish(TradeTick(1, 2))  # before the event loop has seen anything of it
            assert [await subscriber.recv(20) for _ in range(1000)] == ticks(0, 1000)
            (await accept(peer)).close()

    run(main(), loop)


def test_what_a_full_subscriber_did_not_take_is_not_lost_with_the_connection(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path) as client:
            subscriber = client.subscriber(TradeTick, capacity=10)
            first = await accept(peer)
            first.sendall(frames(ticks(0, 100)))
            await eventually(lambda: subscriber.stats().queued == 10)
            # (Nothing is read while it is full, so that the end is not seen either: writing tells.)
            first.close()
            await client.publish(TradeTick(1, 2))
            second = await accept(peer)
            second.sendall(frames(ticks(100, 200)))
            assert [await subscriber.recv(20) for _ in range(200)] == ticks(0, 200)
            assert subscriber.stats().high_water <= 10
            second.close()

    run(main())


def test_a_hook_that_fails_is_harmless(peer: Peer, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def on_state(state: object, error: object) -> None:
        raise ValueError("in the hook")

    async def main() -> None:
        async with client_of(path, on_state=on_state) as client:
            (await accept(peer)).close()
            (await accept(peer)).close()
            await client.wait_connected(20)

    run(main())
    assert "in the hook" in caplog.text


def test_waiting_for_a_connection_has_a_time_out_and_ends_with_the_client(path: Path) -> None:
    async def main() -> None:
        client = client_of(path)
        with pytest.raises(TransportTimeout, match=r"after 0.02 s"):
            await client.wait_connected(0.02)
        waiting = asyncio.create_task(client.wait_connected())
        with pytest.raises(TransportError):
            await client.connect()
        assert not waiting.done()  # another attempt may come
        await client.close()
        with pytest.raises(ConnectionClosed):
            await waiting

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_closing_while_connecting_again_ends_at_once(peer: Peer, path: Path, loop: str) -> None:
    async def main() -> None:
        client = client_of(path, reconnect=Backoff(initial=60.0, maximum=60.0))
        await client.connect()
        (await accept(peer)).close()
        await eventually(lambda: client.state == "reconnecting")
        publishing = asyncio.create_task(client.publish(TradeTick(1, 2)))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ConnectionClosed):
            await publishing

    run(main(), loop)


def test_closing_while_connecting_ends_the_attempt(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=60.0)
        connecting = asyncio.create_task(client.connect())
        sock = await accept(peer)
        await client.close()
        with pytest.raises(ConnectionClosed):
            await connecting
        assert await asyncio.to_thread(sock.recv, 1) == b""
        sock.close()

    run(main())


def test_delays_grow_up_to_their_maximum_and_vary() -> None:
    exact = list(itertools.islice(Backoff(0.1, 1.0, 2.0, jitter=0.0).delays(), 6))
    assert exact == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    shortened = [list(itertools.islice(Backoff(0.1, 1.0, 2.0, jitter=0.5).delays(), 6)) for _ in range(50)]
    for delays in shortened:
        assert all(half / 2 <= delay <= half for delay, half in zip(delays, exact, strict=True))
    assert len({delays[0] for delays in shortened}) > 10
    # A client is back within 2 seconds of its bridge, however long that was away.
    assert Backoff().maximum <= 1.5


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"initial": -1}, ValueError),
        ({"initial": 2.0, "maximum": 1.0}, ValueError),
        ({"factor": 0.5}, ValueError),
        ({"factor": "2"}, TypeError),
        ({"jitter": 1.5}, ValueError),
        ({"maximum": None}, TypeError),
    ],
)
def test_wrong_back_offs_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        Backoff(**options)


def test_a_peer_that_asks_for_what_is_not_there_is_answered(peer: Peer, path: Path) -> None:
    """Pings are answered while the client is connected, whatever else it does."""

    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        sock.sendall(core.Ping(7).to_frame())
        assert await asyncio.to_thread(read_frame, sock) == (core.Pong.TYPE_ID, core.Pong(7).to_bytes())
        sock.close()
        await client.close()

    run(main())
