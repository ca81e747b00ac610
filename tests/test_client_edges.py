"""The asyncio client where two things come together: full queues and exhausted pools, subscribers that are
forgotten, connections that end or fall silent half-way through something. Real sockets, the peer is the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import Peer, read_core, read_exactly
from clients import client_of, connected, negotiate
from links import frames, ticks
from loops import LOOPS, accept, eventually, peer_at, run

from mycelium_fast import MyceliumClient
from mycelium_fast.codec.batching import Batching
from mycelium_fast.codec.frames import FrameScanner, Run
from mycelium_fast.codec.pool import BufferPool
from mycelium_fast.errors import ConnectionClosed, PermissionDenied, PoolExhausted, TransportError
from mycelium_fast.example_messages import SCHEMA_DIGEST, Ping, TradeTick
from mycelium_fast.session import Connection, Event, Role, core
from mycelium_fast.transport.aio import Link

#: Event loops whose transports tell at once that a write has failed.
TELLING = ("asyncio", "debug")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture
def peer(path: Path) -> Iterator[Peer]:
    with peer_at(path) as made:
        yield made


async def next_core(sock: socket.socket) -> Any:
    return await asyncio.to_thread(read_core, sock)


async def rest_of(sock: socket.socket) -> bytes:
    """Everything until the end of the stream."""

    def read() -> bytes:
        data = bytearray()
        while piece := sock.recv(65_536):
            data += piece
        sock.close()
        return bytes(data)

    return await asyncio.to_thread(read)


def acquire_all(pool: BufferPool) -> list[Any]:
    """Every block that is free: the pool is exhausted until the list is cleared."""
    held = []
    while True:
        try:
            held.append(pool.acquire())
        except PoolExhausted:
            return held


# Settings -----------------------------------------------------------------------------------------


def test_a_pool_that_would_stop_the_event_loop_is_refused() -> None:
    with pytest.raises(ValueError, match='on_exhausted is "grow" or "error"'):
        MyceliumClient("unix:/x", pool=BufferPool(on_exhausted="wait"))


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("publish_timout", "publish_timeout"), ("reconect", "reconnect")]
)
def test_a_misspelt_setting_gets_a_suggestion(misspelt: str, meant: str) -> None:
    options: dict[str, Any] = {misspelt: 1}
    with pytest.raises(TypeError, match=f"MyceliumClient.*'{misspelt}'; did you mean '{meant}'"):
        MyceliumClient("unix:/x", **options)


@pytest.mark.parametrize(
    ("profile", "singly", "together", "expected"),
    [
        ("latency", 4, 0, {"immediate": 4}),
        (Batching(max_delay=60.0, max_messages=3), 6, 0, {"count": 2}),
        # What is left over is less than a share.
        (Batching(max_bytes=65_536, max_delay=60.0), 0, 10_000, {"size": 3, "explicit": 1}),
        (Batching(max_bytes=220, max_delay=60.0), 10, 0, {"size": 1}),
    ],
    ids=["immediate", "count", "share", "size"],
)
def test_batches_are_counted_by_what_made_them_due(
    peer: Peer, path: Path, profile: Any, singly: int, together: int, expected: dict[str, int]
) -> None:
    async def main() -> None:
        async with client_of(path, profile=profile) as client:
            sock = await accept(peer)
            for tick in ticks(0, singly):
                await client.publish(tick)
            await client.publish_many(ticks(0, together))
            reading = asyncio.create_task(asyncio.to_thread(read_exactly, sock, 22 * (singly + together)))
            await client.flush()
            assert await reading == frames(ticks(0, singly) + ticks(0, together))
            stats = client.stats()
            assert {reason: count for reason, count in stats.flushes.items() if count} == expected
            assert stats.batches_sent == sum(expected.values())
            sock.close()

    run(main())


# Full queues, exhausted pools ---------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_reading_goes_on_where_a_full_queue_is_emptied_by_the_call_that_filled_it(
    peer: Peer, path: Path, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A plain handler takes messages while they are queued. The real capacity is more than one read brings.
    monkeypatch.setattr("mycelium_fast.bus.client._NO_WAIT_CAPACITY", 10)

    async def main() -> None:
        async with client_of(path) as client:
            sock = await accept(peer)
            handled: list[Any] = []

            def handler(tick: TradeTick) -> None:
                handled.append(tick)

            client.subscribe(TradeTick, handler)
            for start in range(0, 3000, 1000):
                sock.sendall(frames(ticks(start, start + 1000)))  # one run
                await eventually(lambda: len(handled) == start + 1000)  # noqa: B023
            assert handled == ticks(0, 3000)
            sock.close()

    run(main(), loop)


@pytest.mark.parametrize("loop", TELLING)  # (uvloop reads more at a time)
def test_a_queue_that_is_full_holds_reading_when_the_pool_has_blocks_again(
    peer: Peer, path: Path, loop: str
) -> None:
    async def main() -> None:
        pool = BufferPool(block_size=4096, blocks=3, on_exhausted="error")
        held = acquire_all(pool)
        async with client_of(path, pool=pool) as client:
            subscriber = client.subscriber(TradeTick, capacity=100)
            sock = await accept(peer)
            misses = pool.stats().misses
            # What is read without a block is 186 of these: more than the queue takes.
            sock.sendall(frames(ticks(0, 3000)))
            await eventually(lambda: pool.stats().misses > misses)
            assert subscriber.stats().queued == 0
            held.clear()
            await eventually(lambda: subscriber.stats().queued == 100)
            for _ in range(20):  # turns of the loop, in each of which it would read
                await asyncio.sleep(0)
            assert client.stats().bytes_received == 4096
            assert [await subscriber.recv(20) for _ in range(3000)] == ticks(0, 3000)
            assert subscriber.stats().high_water == 100
            sock.close()

    run(main(), loop)


class Owner:
    """Of a link: keeps what it is told."""

    def __init__(self) -> None:
        self.frames = 0
        self.ended: TransportError | None = None

    def link_received(self, runs: list[Run]) -> None:
        self.frames += sum(run.count for run in runs)

    def link_event(self, link: Link, event: Event) -> None: ...

    def link_writable(self, link: Link) -> None: ...

    def link_ended(self, link: Link, error: TransportError) -> None:
        self.ended = error


@pytest.mark.parametrize("first", ["owner", "pool"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_link_that_its_owner_and_the_pool_hold_reads_on_when_both_let_go(
    peer: Peer, path: Path, loop: str, first: str
) -> None:
    async def main() -> None:
        pool = BufferPool(block_size=4096, blocks=2, on_exhausted="error")
        held = acquire_all(pool)
        owner = Owner()
        connection = Connection(Role.CLIENT, SCHEMA_DIGEST, scanner=FrameScanner(pool=pool))
        link = Link(owner, owner.link_received, connection, "the peer", max_pending=1 << 20)
        await asyncio.get_running_loop().create_unix_connection(lambda: link, str(path))
        sock = await accept(peer, hello=False)
        sock.sendall(frames(ticks(0, 10)))
        await eventually(lambda: link.held)
        link.hold()
        sock.sendall(frames(ticks(10, 3000)))
        if first == "owner":
            link.release()
        else:
            held.clear()
            await eventually(lambda: owner.frames)  # what had been read already
        # (What uvloop had read already may be all of it, in one piece: then it is over in one turn, too.)
        before = owner.frames
        for _ in range(20):
            await asyncio.sleep(0)
        assert link.held
        assert owner.frames == before < 3000
        if first == "owner":
            held.clear()
        else:
            link.release()
        await eventually(lambda: owner.frames == 3000 and not link.held)
        await link.close(2.0)
        assert owner.ended is None
        sock.close()

    run(main(), loop)


@pytest.mark.parametrize("loop", TELLING)
@pytest.mark.parametrize(
    ("last", "error"),
    [
        (core.Goodbye(0, "out of order"), ConnectionClosed),
        (core.Reject(2, True, 0, bytes(32), "out of order"), PermissionDenied),
    ],
    ids=["goodbye", "reject"],
)
def test_what_a_peer_said_last_is_heard_although_a_queue_was_full(
    peer: Peer, path: Path, loop: str, last: Any, error: type[Exception]
) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        subscriber = client.subscriber(TradeTick, capacity=10)
        await next_core(sock)
        sock.sendall(frames(ticks(0, 100)))
        await eventually(lambda: subscriber.stats().queued == 10)
        # Nothing is read any more, so that only a write tells of the end.
        sock.sendall(frames(ticks(100, 200)) + last.to_frame())
        sock.close()
        await client.publish(TradeTick(1, 2))
        await eventually(lambda: client.state == "closed")
        assert [await subscriber.recv(20) for _ in range(200)] == ticks(0, 200)
        with pytest.raises(error, match="out of order"):
            await subscriber.recv(20)
        await client.close()

    run(main(), loop)


# Subscribers --------------------------------------------------------------------------------------


def drop(kept: list[Any]) -> None:
    kept.clear()


def drop_cycle(kept: list[Any]) -> None:
    kept.append(kept[:])
    kept[1].append(kept[1])
    kept.clear()
    gc.collect()


def drop_cycle_in_a_thread(kept: list[Any]) -> None:
    kept.append(kept[:])
    kept[1].append(kept[1])
    kept.clear()
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("forget", [drop, drop_cycle, drop_cycle_in_a_thread])
def test_a_forgotten_subscriber_is_closed_in_a_turn_of_the_loop_of_its_own(
    peer: Peer, path: Path, loop: str, forget: Callable[[list[Any]], None]
) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        other = client.subscriber(Ping)
        kept = [client.subscriber(TradeTick, capacity=10)]
        for _ in range(2):
            assert isinstance(await next_core(sock), core.Subscribe)
        sock.sendall(frames(ticks(0, 100)) + Ping("after them").to_frame())
        await eventually(lambda: kept[0].stats().queued == 10)  # which holds up the other
        forget(kept)
        # Nothing has changed yet: the collector may have come in the middle of anything.
        assert [each.name for each in client.stats().subscribers] == ["Ping", "TradeTick"]
        assert await other.recv(20) == Ping("after them")
        assert [each.name for each in client.stats().subscribers] == ["Ping"]
        unsubscribe = await next_core(sock)
        assert isinstance(unsubscribe, core.Unsubscribe)
        assert unsubscribe.type_ids == [TradeTick.TYPE_ID]
        sock.close()
        await client.close()

    run(main(), loop)


def test_forgetting_a_subscriber_without_a_connection_ends_it(path: Path) -> None:
    async def main() -> None:
        client = client_of(path)
        kept = [client.subscriber(TradeTick)]
        drop_cycle_in_a_thread(kept)
        await eventually(lambda: client.stats().subscribers == ())
        await client.close()

    run(main())


def test_a_refusal_of_every_type_ends_the_subscriber_of_every_type_alone(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        allowed = client.subscriber(Ping)
        sock.sendall(core.Subscribed((await next_core(sock)).request).to_frame())
        await allowed.subscribed()
        every = client.raw_subscriber()
        request = await next_core(sock)
        assert request.all
        refusal = core.Reject(2, False, 0, bytes(32), "not everything")
        sock.sendall(refusal.to_frame() + core.Subscribed(request.request).to_frame())
        with pytest.raises(PermissionDenied, match="not everything"):
            await every.subscribed()
        with pytest.raises(PermissionDenied, match="not everything"):
            await every.recv(20)
        sock.sendall(Ping("still here").to_frame())
        assert await allowed.recv(20) == Ping("still here")
        await client.publish(TradeTick(1, 2))  # nothing was refused that is published
        sock.close()
        await client.close()

    run(main())


# A peer that says nothing, or goodbye -------------------------------------------------------------


def test_a_peer_whose_welcome_comes_late_is_watched_from_then_on(peer: Peer, path: Path) -> None:
    async def main() -> None:
        async with client_of(path, heartbeat=0.05) as client:
            sock = await accept(peer)
            assert not client.negotiated
            peer.welcome()
            assert isinstance(await next_core(sock), core.Ping)
            await eventually(lambda: client.negotiated)
            # It gives no answer.
            second = await accept(peer)
            sock.close()
            second.close()

    run(main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_takes_bytes_and_sends_none_is_there(peer: Peer, path: Path, loop: str) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0, heartbeat=0.25, max_pending=1 << 24)
        sock = await connected(peer, client)
        await client.publish_many([TradeTick(1, 2)] * 300_000)  # more than it takes here
        sock.setblocking(False)
        clock = asyncio.get_running_loop().time
        end, left = clock() + 6 * 0.25, 300_000 * 22
        while clock() < end and client.state == "connected":
            with contextlib.suppress(BlockingIOError):
                left -= len(sock.recv(20_000))
            await asyncio.sleep(0.01)
        assert client.state == "connected"
        assert client.stats().pending_bytes > 0
        assert left > 0
        sock.close()
        await client.close()

    run(main(), loop)


def test_a_peer_that_takes_no_bytes_for_two_heartbeats_is_gone(peer: Peer, path: Path) -> None:
    async def main() -> None:
        errors: list[Any] = []
        client = client_of(
            path,
            handshake_grace=20.0,
            heartbeat=0.05,
            max_pending=50_000,
            on_state=lambda _, error: errors.append(error),
        )
        sock = await connected(peer, client)
        await client.publish_many(ticks(0, 50_000))
        second = await negotiate(peer)
        assert any("has not answered for 0.05 s" in str(error) for error in errors)
        sock.close()
        second.close()
        await client.close()

    run(main())


async def break_off(peer: Peer, after_ms: int) -> None:
    """Welcome a client, say goodbye instead of confirming its subscription, and close."""
    sock = await negotiate(peer)
    assert isinstance(await next_core(sock), core.Subscribe)
    sock.sendall(core.Goodbye(after_ms, "maintenance").to_frame())
    sock.close()


def test_a_goodbye_for_ever_ends_the_attempt_to_connect_again_and_the_client(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        sock = await connected(peer, client)
        subscriber = client.subscriber(TradeTick)
        sock.close()
        await break_off(peer, 0)
        with pytest.raises(ConnectionClosed, match="goodbye: maintenance"):
            await subscriber.recv(20)
        assert client.state == "closed"
        await client.close()

    run(main())


def test_a_goodbye_while_connecting_again_says_when_to_come_back(peer: Peer, path: Path) -> None:
    async def main() -> None:
        errors: list[Any] = []
        client = client_of(path, handshake_grace=20.0, on_state=lambda _, error: errors.append(error))
        sock = await connected(peer, client)
        subscriber = client.subscriber(TradeTick)
        sock.close()
        await break_off(peer, 300)
        clock = asyncio.get_running_loop().time
        since = clock()
        sock = await negotiate(peer)
        assert clock() - since > 0.2  # far longer than the back-off
        assert "goodbye: maintenance" in str(errors[-1])
        sock.sendall(core.Subscribed((await next_core(sock)).request).to_frame())
        await client.wait_connected(20)
        sock.sendall(TradeTick(1, 2).to_frame())
        assert await subscriber.recv(20) == TradeTick(1, 2)
        sock.close()
        await client.close()

    run(main())


def test_a_goodbye_during_connect_is_in_its_error(peer: Peer, path: Path) -> None:
    async def main() -> None:
        client = client_of(path, handshake_grace=20.0)
        client.subscriber_kept = client.subscriber(TradeTick)  # type: ignore[attr-defined]
        breaking = asyncio.create_task(break_off(peer, 0))
        with pytest.raises(ConnectionClosed, match="goodbye: maintenance"):
            await client.connect()
        await breaking
        await client.close()

    run(main())


# Connections that end under what is being published -----------------------------------------------


@pytest.mark.parametrize("loop", TELLING)
@pytest.mark.parametrize("pooled", [True, False], ids=["pool", "exhausted"])
def test_a_list_that_finds_its_connection_ending_goes_on_with_the_next(
    peer: Peer, path: Path, loop: str, pooled: bool
) -> None:
    async def main() -> None:
        pool = None if pooled else BufferPool(block_size=4096, blocks=6, on_exhausted="error")
        client = client_of(
            path, pool=pool, max_pending=20_000, profile=Batching(max_bytes=8192, max_delay=60.0)
        )
        await client.connect()
        (await accept(peer)).close()
        # The loop has not seen that. The first write fails: it may be lost, the others were never made.
        await client.publish_many(ticks(0, 10_000))
        sock = await accept(peer)
        reading = asyncio.create_task(rest_of(sock))
        await client.wait_connected(20)
        await client.publish_many(ticks(10_000, 10_100))
        await client.close()
        data, sent = await reading, frames(ticks(0, 10_100))
        assert data == sent[-len(data) :]
        assert 0 < len(sent) - len(data) <= 20_000
        assert client.stats().frames_sent == 10_100

    run(main(), loop)


@pytest.mark.parametrize("loop", TELLING)
def test_of_a_batch_whose_first_part_breaks_the_connection_the_rest_goes_out_with_the_next(
    peer: Peer, path: Path, loop: str
) -> None:
    async def main() -> None:
        client = client_of(path, profile=Batching(max_bytes=1 << 20, max_delay=60.0))
        await client.connect()
        first = await accept(peer)
        await client.publish_many(ticks(0, 10_000))  # several blocks
        assert client.stats().pending_bytes == 220_000
        first.close()
        flushing = asyncio.create_task(client.flush())
        sock = await accept(peer)
        with pytest.raises(ConnectionClosed, match="broke during flush"):
            await flushing
        reading = asyncio.create_task(rest_of(sock))
        await client.wait_connected(20)
        await client.close()
        data, sent = await reading, frames(ticks(0, 10_000))
        assert data == sent[-len(data) :]
        assert 0 < len(sent) - len(data) <= 65_536

    run(main(), loop)


# Trace contexts -----------------------------------------------------------------------------------


class Span:
    def __init__(self, context: Any) -> None:
        self.context = context

    def end(self, error: BaseException | None = None) -> None: ...


class Tracer:
    """Gives numbered contexts."""

    def __init__(self) -> None:
        self.count = 0

    def publishing(self, message_class: type, count: int) -> Span:
        self.count += 1
        number = self.count.to_bytes(4, "little")
        return Span((number * 4, number * 2, 1))

    def frame(self) -> bytes:
        """Of the last one."""
        number = self.count.to_bytes(4, "little")
        return core.Trace(number * 4, number * 2, 1).to_frame()


async def traced(peer: Peer, client: MyceliumClient) -> tuple[socket.socket, Tracer]:
    sock = await connected(peer, client)
    tracer = client.tracer = Tracer()  # type: ignore[assignment]
    return sock, tracer


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("together", [1, 7])
def test_a_context_stays_with_its_message_where_the_writer_is_full_again_and_again(
    peer: Peer, path: Path, loop: str, together: int
) -> None:
    async def main() -> None:
        options = {"max_pending": 1000, "profile": Batching(max_bytes=1 << 20, max_delay=60.0)}
        client = client_of(path, handshake_grace=20.0, **options)
        sock, tracer = await traced(peer, client)
        reading = asyncio.create_task(rest_of(sock))
        expected = b""
        for start in range(0, 700, together):
            messages = ticks(start, start + together)
            await (client.publish_many(messages) if together > 1 else client.publish(messages[0]))
            expected += tracer.frame() + frames(messages)
        await client.flush()
        stats = client.stats()
        assert stats.flushes["full"] > 5
        assert (stats.frames_sent, stats.bytes_sent, stats.pending_bytes) == (700, len(expected), 0)
        await client.close()
        assert await reading == expected

    run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_message_that_an_exhausted_pool_refuses_leaves_no_context_behind(
    peer: Peer, path: Path, loop: str
) -> None:
    async def main() -> None:
        pool = BufferPool(block_size=4096, blocks=4, on_exhausted="error")
        profile = Batching(max_bytes=1 << 20, max_delay=60.0)
        client = client_of(path, handshake_grace=20.0, pool=pool, profile=profile)
        sock, tracer = await traced(peer, client)
        held = acquire_all(pool)
        for messages in (ticks(0, 1), ticks(0, 3)):
            with pytest.raises(PoolExhausted):
                await client.publish_many(messages)
        with pytest.raises(PoolExhausted):
            client.publish_nowait(TradeTick(0, 1))
        assert client.stats().pending_bytes == 0
        held.clear()
        expected = b""
        for tick in ticks(0, 3):
            await client.publish(tick)
            expected += tracer.frame() + tick.to_frame()
        await client.flush()
        assert client.stats().frames_sent == 3
        reading = asyncio.create_task(rest_of(sock))
        await client.close()
        assert await reading == expected

    run(main(), loop)


@pytest.mark.parametrize("loop", TELLING)
def test_contexts_and_messages_go_to_the_next_connection_together(peer: Peer, path: Path, loop: str) -> None:
    async def main() -> None:
        options = {"max_pending": 1000, "profile": Batching(max_bytes=1 << 20, max_delay=60.0)}
        client = client_of(path, handshake_grace=20.0, **options)
        sock, tracer = await traced(peer, client)
        sock.close()
        sent = []
        # Without a turn of the loop: a full writer finds the connection broken, and later on ending.
        for tick in ticks(0, 100):
            if not client._gate.open:
                break
            client.publish_nowait(tick)
            sent.append(tracer.frame() + tick.to_frame())
        sock = await negotiate(peer)
        reading = asyncio.create_task(rest_of(sock))
        await client.wait_connected(20)
        await client.close()
        data = await reading
        assert data
        assert data in {b"".join(sent[start:]) for start in range(len(sent))}

    run(main(), loop)
