"""A message to another process and back, one at a time, by every contender: what each side runs.

The asking sides give nanoseconds for a round trip: of each sample the mean over so many trips. Ours builds
every message, and compares what comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import limits
from fan_out import join
from processes import Process, Ready, accept, connect, together

from mycelium_fast import MyceliumClient, SocketTransport, UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick

#: Round trips in one sample; as many come before the first one and do not count.
TRIPS = 50
FRAME = TradeTick(price=101_500, size=2_500).to_frame()
#: With a bridge in between nobody sees the other one leave: this comes last.
END = TradeTick(price=2**64 - 1, size=0)


class Trips:
    """One contender: called with a number of round trips, gives the nanoseconds that so many take.

    The answer is the median sample's, so that a moment in which the machine did something else costs nothing.
    """

    def __init__(
        self,
        processes: tuple[Process, Process],
        path: Path,
        asking: tuple[Any, ...],
        answering: tuple[Any, ...],
    ) -> None:
        self._processes = processes
        self._path = str(path)
        self._asking = asking
        self._answering = answering

    def __call__(self, trips: int) -> float:
        asking, answering = self._processes
        answer, *answering_with = self._answering
        ask, *asking_with = self._asking
        samples: list[float]
        _, samples = together(
            answering,
            (answer, self._path, *answering_with),
            asking,
            (ask, self._path, max(1, trips // TRIPS), *asking_with),
        )
        return sorted(samples)[len(samples) // 2] * trips


def ask_ours(_ready: Ready, path: str, samples: int, profile: str) -> list[float]:
    with UnixTransport(path, handshake=False, profile=profile) as transport:
        return _ask(transport, samples)


def answer_ours(ready: Ready, path: str, profile: str) -> None:
    with SocketTransport(accept(ready, path), handshake=False, profile=profile) as transport:
        _answer(transport, transport.subscriber(TradeTick))


def ask_ours_bridged(_ready: Ready, path: str, samples: int, profile: str) -> list[float]:
    with UnixTransport(path, SCHEMA_DIGEST, profile=profile, echo=False) as transport:
        times = _ask(transport, samples)
        transport.publisher(TradeTick).publish(END)
        return times


def answer_ours_bridged(ready: Ready, path: str, profile: str) -> None:
    with UnixTransport(path, SCHEMA_DIGEST, profile=profile, echo=False) as transport:
        subscriber = transport.subscriber(TradeTick)
        ready()
        _answer(transport, subscriber)


def answer_ours_relayed(ready: Ready, path: str, profile: str) -> None:
    with UnixTransport(path, handshake=False, profile=profile) as transport:
        subscriber = transport.subscriber(TradeTick)
        ready()
        _answer(transport, subscriber)


def ask_in_c(_ready: Ready, path: str, samples: int, library: Path) -> list[float]:
    with connect(path) as sock:
        return limits.ping(library, sock, FRAME, TRIPS, samples + 1)[1:]


def answer_in_c(ready: Ready, path: str, library: Path) -> None:
    with accept(ready, path) as sock:
        limits.echo(library, sock, END.to_frame())


def ask_in_c_bridged(_ready: Ready, path: str, samples: int, library: Path) -> list[float]:
    with join(f"unix:{path}", [TradeTick.TYPE_ID], echo=False) as sock:
        times = limits.ping(library, sock, FRAME, TRIPS, samples + 1)[1:]
        sock.sendall(END.to_frame())
        return times


def answer_in_c_bridged(ready: Ready, path: str, library: Path) -> None:
    with join(f"unix:{path}", [TradeTick.TYPE_ID], echo=False) as sock:
        ready()
        limits.echo(library, sock, END.to_frame())


def answer_in_c_relayed(ready: Ready, path: str, library: Path) -> None:
    with connect(path) as sock:
        ready()
        limits.echo(library, sock, END.to_frame())


def _ask(transport: UnixTransport, samples: int) -> list[float]:
    publisher = transport.publisher(TradeTick)
    subscriber = transport.subscriber(TradeTick)

    def trips(count: int) -> None:
        for number in range(count):
            publisher.publish(TradeTick(price=number, size=2_500))
            if subscriber.recv().price != number:
                raise RuntimeError("another message came back")

    return _sampled(trips, samples)


def _answer(transport: UnixTransport | SocketTransport, subscriber: Iterable[TradeTick]) -> None:
    """Send back whatever comes, to the end of the stream or to `END`."""
    publisher = transport.publisher(TradeTick)
    for tick in subscriber:
        if tick == END:
            break
        publisher.publish(tick)


def ask_bare_protocol(_ready: Ready, path: str, samples: int, loop: str) -> list[float]:
    """asyncio alone, in its quickest form: the answer's callback writes the next frame."""

    class Ping(asyncio.Protocol):
        left = 0
        done: asyncio.Future[None]

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.left -= 1
            if data != FRAME:
                self.done.set_exception(RuntimeError("other bytes came back"))
            elif self.left:
                self.transport.write(FRAME)
            else:
                self.done.set_result(None)

    async def main() -> list[float]:
        running = asyncio.get_running_loop()
        transport, protocol = await running.create_unix_connection(Ping, path)

        async def trips(count: int) -> None:
            protocol.left = count
            protocol.done = running.create_future()
            transport.write(FRAME)
            await protocol.done

        try:
            return await _sampled_async(trips, samples)
        finally:
            transport.close()

    return _run(main, loop)


def ask_bare_future(_ready: Ready, path: str, samples: int, loop: str) -> list[float]:
    """asyncio alone, in the form of a program that awaits each answer."""

    class Ping(asyncio.Protocol):
        answer: asyncio.Future[bytes]

        def data_received(self, data: bytes) -> None:
            self.answer.set_result(data)

    async def main() -> list[float]:
        running = asyncio.get_running_loop()
        transport, protocol = await running.create_unix_connection(Ping, path)

        async def trips(count: int) -> None:
            for _ in range(count):
                protocol.answer = running.create_future()
                transport.write(FRAME)
                if await protocol.answer != FRAME:
                    raise RuntimeError("other bytes came back")

        try:
            return await _sampled_async(trips, samples)
        finally:
            transport.close()

    return _run(main, loop)


def ask_client_awaiting(_ready: Ready, path: str, samples: int, loop: str, profile: str) -> list[float]:
    """`await client.publish()`, then `await subscriber.recv()`."""

    async def main() -> list[float]:
        async with MyceliumClient(f"unix:{path}", handshake=False, profile=profile) as client:
            subscriber = client.subscriber(TradeTick)

            async def trips(count: int) -> None:
                for number in range(count):
                    await client.publish(TradeTick(price=number, size=2_500))
                    if (await subscriber.recv()).price != number:
                        raise RuntimeError("another message came back")

            return await _sampled_async(trips, samples)

    return _run(main, loop)


def ask_client_callback(_ready: Ready, path: str, samples: int, loop: str, profile: str) -> list[float]:
    """A plain function as handler, which publishes the next message itself."""

    async def main() -> list[float]:
        running = asyncio.get_running_loop()
        left = 0
        done: asyncio.Future[None] = running.create_future()
        async with MyceliumClient(f"unix:{path}", handshake=False, profile=profile) as client:

            def on_tick(message: TradeTick) -> None:
                nonlocal left
                if message.price != left:
                    done.set_exception(RuntimeError("another message came back"))
                left -= 1
                if left:
                    client.publish_nowait(TradeTick(price=left, size=2_500))
                else:
                    done.set_result(None)

            await client.subscribe(on_tick)

            async def trips(count: int) -> None:
                nonlocal left, done
                left = count
                done = running.create_future()
                await client.publish(TradeTick(price=left, size=2_500))
                await done

            return await _sampled_async(trips, samples)

    return _run(main, loop)


def ask_client_coroutine(_ready: Ready, path: str, samples: int, loop: str, profile: str) -> list[float]:
    """An `async def` as handler, which publishes the next message itself."""

    async def main() -> list[float]:
        running = asyncio.get_running_loop()
        left = 0
        done: asyncio.Future[None] = running.create_future()
        async with MyceliumClient(f"unix:{path}", handshake=False, profile=profile) as client:

            async def on_tick(message: TradeTick) -> None:
                nonlocal left
                if message.price != left:
                    done.set_exception(RuntimeError("another message came back"))
                left -= 1
                if left:
                    await client.publish(TradeTick(price=left, size=2_500))
                else:
                    done.set_result(None)

            await client.subscribe(on_tick)

            async def trips(count: int) -> None:
                nonlocal left, done
                left = count
                done = running.create_future()
                await client.publish(TradeTick(price=left, size=2_500))
                await done

            return await _sampled_async(trips, samples)

    return _run(main, loop)


def _sampled(trips: Callable[[int], None], samples: int) -> list[float]:
    trips(TRIPS)
    times = []
    for _ in range(samples):
        start = perf_counter_ns()
        trips(TRIPS)
        times.append((perf_counter_ns() - start) / TRIPS)
    return times


async def _sampled_async(trips: Callable[[int], Awaitable[None]], samples: int) -> list[float]:
    await trips(TRIPS)
    times = []
    for _ in range(samples):
        start = perf_counter_ns()
        await trips(TRIPS)
        times.append((perf_counter_ns() - start) / TRIPS)
    return times


def _run(main: Callable[[], Any], loop: str) -> list[float]:
    if loop == "uvloop":
        import uvloop

        running: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        running = asyncio.new_event_loop()
    try:
        samples: list[float] = running.run_until_complete(main())
        return samples
    finally:
        running.close()
