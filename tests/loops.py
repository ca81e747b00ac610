"""Event loops for tests of asyncio code: each coroutine runs to its end, and leaves no task behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from bridges import Peer

T = TypeVar("T")
LOOPS = ("asyncio", "debug", "uvloop")


def run(main: Coroutine[Any, Any, T], loop: str = "asyncio", *, timeout: float = 60.0) -> T:
    """Run a coroutine on a new event loop; fails if it takes too long, or leaves tasks."""

    async def checked() -> T:
        result = await asyncio.wait_for(main, timeout)
        # A task that has its result may still have its last step to make.
        for _ in range(5):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    async def end() -> None:
        """After a failure: leave nothing that would disturb the next test."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=20)

    if loop == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        made = uvloop.new_event_loop()
    else:
        made = asyncio.new_event_loop()
    made.set_debug(loop == "debug")
    if loop == "debug":
        made.slow_callback_duration = 10.0  # other programs of the machine may hold us up
    complaints: list[dict[str, Any]] = []
    made.set_exception_handler(lambda _, context: complaints.append(context))
    try:
        result = made.run_until_complete(checked())
    finally:
        made.run_until_complete(end())
        made.run_until_complete(made.shutdown_asyncgens())
        made.run_until_complete(made.shutdown_default_executor())
        made.close()
    assert not complaints, complaints
    return result


async def eventually(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Wait until something that no event tells of is so."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not condition():
        assert loop.time() < deadline, condition
        await asyncio.sleep(0.005)


async def accept(peer: Peer, **options: Any) -> socket.socket:
    """`peer.accept()` without holding up the event loop."""
    return await asyncio.to_thread(peer.accept, **options)


@contextlib.contextmanager
def peer_at(path: Path) -> Iterator[Peer]:
    peer = Peer(path)
    try:
        yield peer
    finally:
        peer.close()
