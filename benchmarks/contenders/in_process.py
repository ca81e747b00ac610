"""Messages sent and taken again within one thread: between two services of a node, and through queues.

Every contender is a function that sends and one that takes; here is what makes a turn of the two, and ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from contenders.one_way import expect

from mycelium_fast import AsyncMessageBus, MessageBus
from mycelium_fast.example_messages import SCHEMA_DIGEST

TOPOLOGY = """
socket_dir = "."

[[nodes]]
name = "blocking"
services = ["risk", "execution"]

[[nodes]]
name = "asyncio"
services = ["async risk", "async execution"]
"""


def turn(send: Callable[[Any], object], take: Callable[[], Any], message: Any) -> Callable[[int], float]:
    """Sends a message and takes it, so many times; gives the nanoseconds. The last one is looked at."""

    def run(count: int) -> float:
        got = None
        start = perf_counter_ns()
        for _ in range(count):
            send(message)
            got = take()
        elapsed = perf_counter_ns() - start
        expect(got, message)
        return elapsed

    return run


def turn_async(
    loop: asyncio.AbstractEventLoop,
    send: Callable[[Any], Awaitable[object]],
    take: Callable[[], Awaitable[Any]],
    message: Any,
) -> Callable[[int], float]:
    """The same of what is awaited."""

    async def trips(count: int) -> float:
        got = None
        start = perf_counter_ns()
        for _ in range(count):
            await send(message)
            got = await take()
        elapsed = perf_counter_ns() - start
        expect(got, message)
        return elapsed

    return lambda count: loop.run_until_complete(trips(count))


@contextlib.contextmanager
def buses(directory: Path, message_class: type[Any]) -> Iterator[tuple[Any, Any]]:
    """A publisher of one service and a subscriber of another one, in this process; no bridge listens."""
    with (
        MessageBus.from_topology(_topology(directory), "risk", SCHEMA_DIGEST) as risk,
        MessageBus.from_topology(_topology(directory), "execution", SCHEMA_DIGEST) as execution,
    ):
        subscriber = execution.subscriber(message_class)
        yield risk.publisher_to("execution", message_class), subscriber


@contextlib.contextmanager
def async_buses(
    directory: Path, message_class: type[Any]
) -> Iterator[tuple[asyncio.AbstractEventLoop, Any, Any]]:
    """The same in asyncio, and the event loop that they belong to."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Any, Any]]:
        async with (
            AsyncMessageBus.from_topology(_topology(directory), "async risk", SCHEMA_DIGEST) as risk,
            AsyncMessageBus.from_topology(
                _topology(directory), "async execution", SCHEMA_DIGEST
            ) as execution,
        ):
            subscriber = await execution.subscriber(message_class)
            yield await risk.publisher_to("async execution", message_class), subscriber

    loop = asyncio.new_event_loop()
    both = opened()
    try:
        yield loop, *loop.run_until_complete(both.__aenter__())
        loop.run_until_complete(both.__aexit__(None, None, None))
    finally:
        loop.close()


def _topology(directory: Path) -> Path:
    path = directory / "topology.toml"
    path.write_text(TOPOLOGY)
    return path
