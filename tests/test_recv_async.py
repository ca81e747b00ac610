"""`await subscriber.recv_async()` of a blocking transport: for programs of the older SDK, on asyncio."""

from __future__ import annotations

import asyncio
import queue
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from links import descriptors, frames, linked, text, ticks
from loops import LOOPS, run

from mycelium_fast.errors import ConnectionClosed, SubscriberOverflow
from mycelium_fast.example_messages import TextMessage, TradeTick

loops = pytest.mark.parametrize("loop", LOOPS)


@loops
def test_messages_come_in_order_and_the_loop_goes_on_meanwhile(tmp_path: Path, loop: str) -> None:
    async def main(transport: Any, sock: Any) -> None:
        subscriber = transport.subscriber(TradeTick)
        waiting = asyncio.ensure_future(subscriber.recv_async())
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not waiting.done()
        sock.sendall(frames(ticks(0, 1000)))
        assert await waiting == TradeTick(0, 1)
        assert [await subscriber.recv_async() for _ in range(999)] == ticks(1, 1000)

    with linked(tmp_path) as (transport, sock):
        run(main(transport, sock), loop)


@loops
def test_a_time_out_is_queue_empty(tmp_path: Path, loop: str) -> None:
    async def main(subscriber: Any) -> None:
        with pytest.raises(queue.Empty):
            await subscriber.recv_async(timeout=0.01)
        with pytest.raises(queue.Empty):
            await subscriber.recv_async(0)
        with pytest.raises(ValueError, match="timeout"):
            await subscriber.recv_async(-1)

    with linked(tmp_path) as (transport, _):
        run(main(transport.subscriber(TradeTick)), loop)


@loops
def test_the_end_of_the_connection_ends_the_wait_after_what_came_before(tmp_path: Path, loop: str) -> None:
    async def main(subscriber: Any, sock: Any) -> None:
        waiting = asyncio.ensure_future(subscriber.recv_async())
        await asyncio.sleep(0.01)
        sock.sendall(frames(ticks(0, 3)))
        sock.close()
        assert [await waiting, await subscriber.recv_async(), await subscriber.recv_async()] == ticks(0, 3)
        with pytest.raises(ConnectionClosed, match="closed the connection"):
            await subscriber.recv_async()

    with linked(tmp_path) as (transport, sock):
        run(main(transport.subscriber(TradeTick), sock), loop)


@loops
def test_closing_in_another_thread_ends_the_wait(tmp_path: Path, loop: str) -> None:
    async def main(transport: Any) -> None:
        subscriber = transport.subscriber(TradeTick)
        waiting = asyncio.ensure_future(subscriber.recv_async())
        await asyncio.sleep(0.01)
        await asyncio.get_running_loop().run_in_executor(None, transport.close)
        with pytest.raises(ConnectionClosed, match="closed by this program"):
            await waiting

    with linked(tmp_path, close_timeout=0.1) as (transport, _):
        run(main(transport), loop)


@loops
def test_closing_the_subscriber_ends_the_wait(tmp_path: Path, loop: str) -> None:
    async def main(subscriber: Any) -> None:
        waiting = asyncio.ensure_future(subscriber.recv_async())
        await asyncio.sleep(0.01)
        subscriber.close()
        with pytest.raises(ConnectionClosed, match="subscriber was closed"):
            await waiting

    with linked(tmp_path) as (transport, _):
        run(main(transport.subscriber(TradeTick)), loop)


@loops
def test_cancelling_takes_nothing(tmp_path: Path, loop: str) -> None:
    total = 3000
    rng = random.Random(7)

    async def main(subscriber: Any) -> None:
        received = []
        while len(received) < total:
            waiting = asyncio.ensure_future(subscriber.recv_async())
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            waiting.cancel()
            try:
                received.append(await waiting)
            except asyncio.CancelledError:
                continue
        assert received == ticks(0, total)

    def send() -> None:
        for start in range(0, total, 10):
            sock.sendall(frames(ticks(start, start + 10)))

    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        before = descriptors()
        sending = pool.submit(send)
        run(main(transport.subscriber(TradeTick)), loop)
        sending.result(20)
        assert descriptors() == before


@loops
def test_tasks_share_a_subscriber_and_each_message_goes_to_one(tmp_path: Path, loop: str) -> None:
    total = 300

    async def main(subscriber: Any, sock: Any) -> None:
        taken: list[Any] = []

        async def take() -> None:
            while True:
                try:
                    taken.append(await subscriber.recv_async())
                except ConnectionClosed:
                    return

        tasks = [asyncio.ensure_future(take()) for _ in range(5)]
        for start in range(0, total, 3):
            await asyncio.sleep(0)
            sock.sendall(frames(ticks(start, start + 3)))
        sock.close()
        await asyncio.gather(*tasks)
        assert sorted(tick.price for tick in taken) == list(range(total))

    with linked(tmp_path) as (transport, sock):
        run(main(transport.subscriber(TradeTick), sock), loop)


@loops
def test_a_thread_that_reads_the_socket_wakes_the_task_whose_message_it_is(tmp_path: Path, loop: str) -> None:
    async def main(ticks_of: Any, sock: Any) -> None:
        for number in range(200):
            waiting = asyncio.ensure_future(ticks_of.recv_async())
            await asyncio.sleep(0)
            sock.sendall(frames([TradeTick(number, 1), text(str(number))]))
            assert (await waiting).price == number

    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        ticks_of, texts = transport.subscriber(TradeTick), transport.subscriber(TextMessage)
        collecting = pool.submit(lambda: [message.content for message in texts])
        run(main(ticks_of, sock), loop)
        sock.close()
        assert collecting.result(20) == [str(number) for number in range(200)]


def test_behind_another_subscribers_full_queue_it_waits_quietly(tmp_path: Path) -> None:
    """What is in the socket cannot be read: looking at it again and again would be all the loop did."""

    async def main(texts: Any, ticks_of: Any) -> None:
        waiting = asyncio.ensure_future(texts.recv_async())
        await asyncio.sleep(0)
        began = time.thread_time()
        await asyncio.sleep(0.3)
        assert time.thread_time() - began < 0.15  # of the processor
        assert not waiting.done()
        for number in range(50):
            assert (await ticks_of.recv_async()).price == number
        assert await waiting == text()

    with linked(tmp_path) as (transport, sock):
        texts, ticks_of = transport.subscriber(TextMessage), transport.subscriber(TradeTick, capacity=5)
        sock.sendall(frames([*ticks(0, 50), text()]))
        run(main(texts, ticks_of))


@loops
def test_an_overflow_raises_after_what_was_queued(tmp_path: Path, loop: str) -> None:
    async def main(subscriber: Any) -> None:
        assert [await subscriber.recv_async() for _ in range(3)] == ticks(0, 3)
        with pytest.raises(SubscriberOverflow, match="7 messages"):
            await subscriber.recv_async()

    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick, capacity=3, overflow="error")
        sock.sendall(frames(ticks(0, 10)))
        run(main(subscriber), loop)
