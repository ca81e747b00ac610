"""Cancelling awaits of the asyncio client at random: nothing is lost, repeated, reordered or left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import GREETING, Bridge, bridge, read_exactly
from links import descriptors
from loops import LOOPS, accept, eventually, peer_at, run

from mycelium_fast import MyceliumClient
from mycelium_fast.errors import ConnectionClosed
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick


class Echo:
    """A peer that sends back what it reads, with little memory: what is not taken holds it up."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(60)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        sock, _ = self._listener.accept()
        sock.settimeout(60)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        with sock, contextlib.suppress(OSError):
            assert read_exactly(sock, len(GREETING)) == GREETING
            while data := sock.recv(2048):
                sock.sendall(data)

    def close(self) -> None:
        self._listener.close()
        self._thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with bridge(tmp_path_factory.mktemp("bus") / "bus.sock") as running:
        yield running


async def cancelled_soon(chance: random.Random, coroutine: Any) -> Any:
    """Run a coroutine in a task, cancelled after a few turns of the loop; its result if it was quicker."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(chance.randrange(4)):
        await asyncio.sleep(0)
    task.cancel()
    return await task


async def storm(path: Path, awaits: int, seed: int) -> None:
    chance = random.Random(seed)
    client = MyceliumClient(
        f"unix:{path}",
        schema_digest=SCHEMA_DIGEST,
        handshake_grace=0.01,
        max_pending=3000,
        publish_timeout=60.0,
        profile=chance.choice(["latency", "balanced", "throughput"]),
        reconnect=False,
    )
    await client.connect()
    subscriber = client.subscriber(TradeTick, capacity=40)
    accepted: list[int] = []
    received: list[int] = []
    cancelled = {"publish": 0, "recv": 0}
    number = 0
    done = 0

    async def publish() -> None:
        nonlocal number, done
        while done < awaits:
            count = chance.choice([1, 1, 1, 2, 60])
            numbers = range(number, number + count)
            number += count
            messages = [TradeTick(each, 1) for each in numbers]
            done += 1
            try:
                call = client.publish(messages[0]) if count == 1 else client.publish_many(messages)
                await cancelled_soon(chance, call)
            except asyncio.CancelledError:
                cancelled["publish"] += 1
            else:
                accepted.extend(numbers)
            if chance.random() < 0.1:
                with contextlib.suppress(asyncio.CancelledError):
                    await cancelled_soon(chance, client.flush())

    async def receive() -> None:
        nonlocal done
        while done < awaits or len(received) < len(accepted):
            done += 1
            try:
                if chance.random() < 0.2:
                    iterator = subscriber.batches()
                    got = await cancelled_soon(chance, iterator.__anext__())
                else:
                    got = [await cancelled_soon(chance, subscriber.recv())]
            except asyncio.CancelledError:
                cancelled["recv"] += 1
            else:
                received.extend(tick.price for tick in got)

    await asyncio.gather(publish(), receive())
    assert received == accepted  # all of it, once, in order; and nothing whose publish was cancelled
    assert subscriber.dropped == 0
    assert min(cancelled.values()) > awaits / 50, cancelled
    await client.close()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_cancelling_publish_and_recv_at_random_loses_nothing(path: Path, loop: str, seed: int) -> None:
    echo = Echo(path)
    try:
        run(storm(path, 2000, seed), loop)
    finally:
        echo.close()


@pytest.mark.long
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("seed", range(5))
def test_cancelling_10_000_awaits_at_random_loses_nothing(path: Path, loop: str, seed: int) -> None:
    echo = Echo(path)
    try:
        run(storm(path, 10_000, seed), loop, timeout=600)
    finally:
        echo.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_many_receivers_cancelled_at_random_share_the_messages(bus: Bridge, loop: str) -> None:
    async def main() -> None:
        chance = random.Random(3)
        received: list[int] = []
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            subscriber = client.subscriber(TradeTick, capacity=50)
            await subscriber.subscribed()

            async def receive() -> None:
                while len(received) < 5000:
                    with contextlib.suppress(asyncio.CancelledError):
                        received.append((await cancelled_soon(chance, subscriber.recv())).price)

            receivers = [asyncio.create_task(receive()) for _ in range(8)]
            await client.publish_many([TradeTick(number, 1) for number in range(5000)])
            await asyncio.gather(*receivers)
            assert sorted(received) == list(range(5000))

    run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_publishers_cancelled_at_random_let_the_others_through_in_order(path: Path, loop: str) -> None:
    async def main() -> None:
        chance = random.Random(5)
        options: dict[str, Any] = {"handshake_grace": 0.01, "max_pending": 3000, "publish_timeout": 60.0}
        async with MyceliumClient(f"unix:{path}", schema_digest=SCHEMA_DIGEST, **options) as client:
            sock = await accept(peer)
            expected: list[int] = []
            filled, shut = 0, 0
            while shut < 50:  # turns: it shuts for one now and then, for good when no more can be sent
                if client._gate.open:
                    await client.publish(TradeTick(filled, 1))
                    expected.append(filled)
                    filled, shut = filled + 1, 0
                else:
                    await asyncio.sleep(0)
                    shut += 1
            tasks = {
                number: asyncio.create_task(client.publish(TradeTick(number, 1)))
                for number in range(filled, filled + 2000)
            }
            await asyncio.sleep(0)
            tasks[filled].cancel()  # the first in the queue
            read = bytearray()

            def take() -> None:
                read.extend(sock.recv(5000))

            while not all(task.done() for task in tasks.values()):
                for number in chance.sample(list(tasks), 20):
                    if chance.random() < 0.3:
                        tasks[number].cancel()
                await asyncio.gather(asyncio.to_thread(take), asyncio.sleep(0))
            outcomes = await asyncio.gather(*tasks.values(), return_exceptions=True)
            cancelled = [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes]
            expected += [number for number, gone in zip(tasks, cancelled, strict=True) if not gone]
            assert 100 < sum(cancelled) < 1900
            rest = asyncio.to_thread(read_exactly, sock, len(expected) * 22 - len(read))
            read += (await asyncio.gather(rest, client.flush()))[0]
            assert [tick.price for tick in TradeTick.decode_batch(bytes(read))] == expected
            sock.close()

    with peer_at(path) as peer:
        run(main(), loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_receiver_that_is_woken_and_cancelled_at_once_wakes_the_next(bus: Bridge, loop: str) -> None:
    async def main() -> None:
        async with MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST) as client:
            subscriber = client.subscriber(TradeTick)
            await subscriber.subscribed()
            first = asyncio.create_task(subscriber.recv())
            second = asyncio.create_task(subscriber.recv())
            await asyncio.sleep(0)
            await client.publish(TradeTick(1, 2))
            # Cancelled in the very turn of the event loop in which it is woken.
            wake = subscriber._feed.queue.wake
            assert wake is not None

            def woken() -> None:
                wake()
                first.cancel()

            subscriber._feed.queue.wake = woken
            assert await asyncio.wait_for(second, 20) == TradeTick(1, 2)
            assert first.cancelled()

    run(main(), loop)


async def connect_and_close(path: Path, count: int, loop: str) -> None:
    chance = random.Random(4)
    arrived = 0

    async def once() -> None:
        nonlocal arrived
        client = MyceliumClient(
            f"unix:{path}", schema_digest=SCHEMA_DIGEST, close_timeout=20.0, handshake_grace=0.2
        )
        connecting = asyncio.create_task(client.connect())
        for _ in range(chance.randrange(25)):
            await asyncio.sleep(0)
        connecting.cancel()
        try:
            await connecting
        except asyncio.CancelledError:
            assert client.state == "closed"
            await client.connect()  # as if nothing had been
        await client.publish(TradeTick(7, 7))
        closing = asyncio.create_task(client.close())
        for _ in range(1 + chance.randrange(8)):  # (once, for it to begin)
            await asyncio.sleep(0)
        closing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await closing
        with pytest.raises(ConnectionClosed):
            await client.publish(TradeTick(8, 8))
        await client.close()
        assert client.state == "closed"

    async with MyceliumClient(f"unix:{path}", schema_digest=SCHEMA_DIGEST) as observer:
        subscriber = observer.subscriber(TradeTick)
        await subscriber.subscribed()
        await once()
        gc.collect()
        before = descriptors(), len(asyncio.all_tasks())
        for _ in range(count):
            await once()
        await eventually(lambda: (descriptors(), len(asyncio.all_tasks())) == before)
        # What was accepted arrived, although nobody waited for the end of closing.
        assert [await subscriber.recv(20) for _ in range(count + 1)] == [TradeTick(7, 7)] * (count + 1)


@pytest.mark.parametrize("loop", LOOPS)
def test_cancelling_connect_and_close_at_random_leaves_nothing_behind(bus: Bridge, loop: str) -> None:
    assert bus.path is not None
    run(connect_and_close(bus.path, 200, loop), loop)


@pytest.mark.long
@pytest.mark.parametrize("loop", LOOPS)
def test_cancelling_5000_connects_and_closes_leaves_nothing_behind(bus: Bridge, loop: str) -> None:
    assert bus.path is not None
    run(connect_and_close(bus.path, 5000, loop), loop, timeout=600)


@pytest.mark.parametrize("loop", LOOPS)
def test_cancelling_a_subscription_that_is_not_confirmed_ends_it(path: Path, loop: str) -> None:
    async def main() -> None:
        client = MyceliumClient(f"unix:{path}", schema_digest=SCHEMA_DIGEST, handshake_grace=20.0)
        connecting = asyncio.create_task(client.connect())
        sock = await accept(peer)
        peer.welcome()
        await connecting
        seen: list[Any] = []

        async def handler(tick: TradeTick) -> None:
            seen.append(tick)

        subscribing = asyncio.ensure_future(client.subscribe(handler))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        subscribing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
        sock.sendall(TradeTick(1, 2).to_frame())
        await eventually(lambda: client.skipped_frames == 1)
        assert seen == []
        assert client.stats().subscribers == ()
        sock.close()
        await client.close()

    with peer_at(path) as peer:
        run(main(), loop)


def test_the_end_of_the_event_loop_ends_a_client_that_was_not_closed(bus: Bridge) -> None:
    """asyncio.run() cancels what is left: no task is stuck, and nothing is complained of."""

    async def main() -> None:
        client = await MyceliumClient(f"unix:{bus.path}", schema_digest=SCHEMA_DIGEST).connect()

        async def handler(tick: TradeTick) -> None: ...

        await client.subscribe(handler)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        closing.cancel()

    asyncio.run(main())
    gc.collect()
