"""A message to another process and back, one at a time: what every contender runs, our own sides, and C's.

The asking sides give nanoseconds for a round trip: of each sample the mean over so many trips. Ours builds
every message, and compares what comes back. pyzmq, zenoh, NATS and bare asyncio have files of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from contenders import event_loop, limits
from contenders.meeting import accept, address, connect, transport
from harness.processes import Process, Ready, together

from mycelium_fast import MyceliumClient, Profile, SocketTransport, TcpTransport, UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick

#: Round trips in one sample; as many come before the first one and do not count.
TRIPS = 50
FRAME = TradeTick(price=101_500, size=2_500).to_frame()
#: With a bridge in between nobody sees the other one leave: this comes last.
END = TradeTick(price=2**64 - 1, size=0)


@dataclass(frozen=True)
class Trips:
    """One contender: called with a number of round trips, gives the nanoseconds that so many take.

    The answer is the median sample's, so that a moment in which the machine did something else costs nothing.

    Attributes:
        processes: who asks and who answers.
        place: where the two meet; see `meeting.py`.
        asking, answering: a function and the arguments that it takes beside the place (and the samples).
    """

    processes: tuple[Process, Process]
    place: str | Path
    asking: tuple[Any, ...]
    answering: tuple[Any, ...]

    def __call__(self, trips: int) -> float:
        asking, answering = self.processes
        answer, *answering_with = self.answering
        ask, *asking_with = self.asking
        samples: list[float]
        _, samples = together(
            answering,
            (answer, str(self.place), *answering_with),
            asking,
            (ask, str(self.place), max(1, trips // TRIPS), *asking_with),
        )
        return sorted(samples)[len(samples) // 2] * trips


def ask_ours(_ready: Ready, place: str, samples: int, profile: Profile) -> list[float]:
    with transport(place, profile) as connected:
        return _ask(connected, samples)


def answer_ours(ready: Ready, place: str, profile: Profile) -> None:
    with SocketTransport(accept(ready, place), handshake=False, profile=profile) as connected:
        _answer(connected, connected.subscriber(TradeTick))


def ask_ours_bridged(_ready: Ready, place: str, samples: int, profile: Profile) -> list[float]:
    with UnixTransport(place, SCHEMA_DIGEST, profile=profile, echo=False) as connected:
        times = _ask(connected, samples)
        connected.publisher(TradeTick).publish(END)
        return times


def answer_ours_bridged(ready: Ready, place: str, profile: Profile) -> None:
    with UnixTransport(place, SCHEMA_DIGEST, profile=profile, echo=False) as connected:
        subscriber = connected.subscriber(TradeTick)
        ready()
        _answer(connected, subscriber)


def answer_ours_relayed(ready: Ready, place: str, profile: Profile) -> None:
    with transport(place, profile) as connected:
        subscriber = connected.subscriber(TradeTick)
        ready()
        _answer(connected, subscriber)


def ask_in_c(_ready: Ready, place: str, samples: int, library: Path) -> list[float]:
    with connect(place) as sock:
        return limits.ping(library, sock, FRAME, TRIPS, samples + 1)[1:]


def answer_in_c(ready: Ready, place: str, library: Path) -> None:
    with accept(ready, place) as sock:
        limits.echo(library, sock, END.to_frame())


def ask_in_c_bridged(_ready: Ready, place: str, samples: int, library: Path) -> list[float]:
    from contenders.fan_out import join

    with join(f"unix:{place}", [TradeTick.TYPE_ID], echo=False) as sock:
        times = limits.ping(library, sock, FRAME, TRIPS, samples + 1)[1:]
        sock.sendall(END.to_frame())
        return times


def answer_in_c_bridged(ready: Ready, place: str, library: Path) -> None:
    from contenders.fan_out import join

    with join(f"unix:{place}", [TradeTick.TYPE_ID], echo=False) as sock:
        ready()
        limits.echo(library, sock, END.to_frame())


def answer_in_c_relayed(ready: Ready, place: str, library: Path) -> None:
    with connect(place) as sock:
        ready()
        limits.echo(library, sock, END.to_frame())


def _ask(connected: UnixTransport | TcpTransport, samples: int) -> list[float]:
    publisher = connected.publisher(TradeTick)
    subscriber = connected.subscriber(TradeTick)

    def trips(count: int) -> None:
        for number in range(count):
            publisher.publish(TradeTick(price=number, size=2_500))
            if subscriber.recv().price != number:
                raise RuntimeError("another message came back")

    return sampled(trips, samples)


def _answer(connected: UnixTransport | TcpTransport | SocketTransport, subscriber: Iterable[Any]) -> None:
    """Send back whatever comes, to the end of the stream or to `END`."""
    publisher = connected.publisher(TradeTick)
    for tick in subscriber:
        if tick == END:
            break
        publisher.publish(tick)


def ask_client_awaiting(_ready: Ready, place: str, samples: int, loop: str) -> list[float]:
    """`await client.publish()`, then `await subscriber.recv()`."""

    async def main() -> list[float]:
        async with MyceliumClient(address(place), handshake=False) as client:
            subscriber = client.subscriber(TradeTick)

            async def trips(count: int) -> None:
                for number in range(count):
                    await client.publish(TradeTick(price=number, size=2_500))
                    if (await subscriber.recv()).price != number:
                        raise RuntimeError("another message came back")

            return await sampled_async(trips, samples)

    return event_loop.run(main, loop)


def ask_client_callback(_ready: Ready, place: str, samples: int, loop: str) -> list[float]:
    """A plain function as handler, which publishes the next message itself."""

    async def main() -> list[float]:
        running = asyncio.get_running_loop()
        left = 0
        done: asyncio.Future[None] = running.create_future()
        async with MyceliumClient(address(place), handshake=False) as client:

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

            return await sampled_async(trips, samples)

    return event_loop.run(main, loop)


def sampled(trips: Callable[[int], None], samples: int) -> list[float]:
    trips(TRIPS)
    times = []
    for _ in range(samples):
        start = perf_counter_ns()
        trips(TRIPS)
        times.append((perf_counter_ns() - start) / TRIPS)
    return times


async def sampled_async(trips: Callable[[int], Awaitable[None]], samples: int) -> list[float]:
    await trips(TRIPS)
    times = []
    for _ in range(samples):
        start = perf_counter_ns()
        await trips(TRIPS)
        times.append((perf_counter_ns() - start) / TRIPS)
    return times
