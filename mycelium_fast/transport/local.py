"""Delivery between the buses of one process: frames go straight into the queues of those who want them.

    bus A: publish -> frames (bytes) -> runs -> ports of bus B -> queues of its subscribers

No socket is in the way, and no thread: who publishes decodes into the receiver's queue, and waits where that
is full and blocks. Which bus reaches which in this way is decided in `bus/`; what a queue does with what it
is offered is its own affair.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import TransportTimeout

if TYPE_CHECKING:
    from ..codec.frames import Run

__all__ = ["Member", "Port", "deliver", "deliver_async", "join", "members"]

#: Seconds between looks at a queue that was full. Whoever takes from it tells when there is room; that it is
#: closed, or that a connection filled it again meanwhile, is left to be seen.
_LOOK_S: Final = 0.05


class LocalSink(Protocol):
    """A queue that can be offered runs; `MessageQueue` is one."""

    relieve: Callable[[], object] | None

    @property
    def type_ids(self) -> frozenset[int] | None:
        """The types that it wants; None for every type."""

    @property
    def closed(self) -> bool:
        """Whether it wants nothing more."""

    def offer(self, run: Run, start: int, force: bool) -> int:
        """Take frames of a run from number `start` on; return how many."""


class Port:
    """One subscriber's queue, as others of its process reach it.

    Args:
        sink: the queue. Its `relieve` is extended, so that whoever owns the queue sets it before.
        wake: tells threads that wait for the queue to look at it again.
        loop: the event loop that the queue belongs to, None for blocking subscribers. Nobody else touches the
            queue then: others have the loop do so.
        bridged: a bridge serves the queue too, so that what goes through the bridge need not come this way.
    """

    def __init__(
        self,
        sink: LocalSink,
        *,
        wake: Callable[[], object] | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        bridged: bool = False,
    ) -> None:
        self.sink = sink
        self.bridged = bridged
        self._wake = wake
        self._loop = loop
        self._turn = threading.Lock()
        self._room = threading.Event()
        self._async_turn = asyncio.Lock()
        self._async_room: asyncio.Future[None] | None = None
        self._relieve_others = sink.relieve
        sink.relieve = self._relieve

    @property
    def gone(self) -> bool:
        """Whether nothing can be delivered any more."""
        return self.sink.closed or (self._loop is not None and self._loop.is_closed())

    def wants(self, type_id: int) -> bool:
        """Whether the queue takes messages of a type."""
        return self.sink.type_ids is None or type_id in self.sink.type_ids

    def put(self, run: Run, timeout: float | None) -> None:
        """Queue a run, from any thread, waiting while there is no room.

        Args:
            timeout: seconds in which nobody takes a message; None waits for ever.

        Raises:
            TransportTimeout: nobody took one; says how many frames were not delivered.
        """
        loop = self._loop
        if loop is None:
            with self._turn:
                self._put(run, 0, timeout)
        elif asyncio._get_running_loop() is loop:
            taken = self._offer_now(run)
            if taken < run.count:  # to wait here would keep from running who could make room
                raise self._late(run.count - taken, 0.0)
        elif (put := self._start(loop, run, timeout)) is not None:
            # A loop that stands still does not time out by itself.
            while not concurrent.futures.wait([put], timeout).done:
                if not loop.is_running():
                    put.cancel()
                    raise self._late(run.count, timeout or 0.0)
            put.result()

    async def put_async(self, run: Run, timeout: float | None) -> None:
        """As `put`, from a task of any event loop. Cancelling it takes nothing back."""
        loop, here = self._loop, asyncio.get_running_loop()
        if loop is None:
            taken = 0
            if self._turn.acquire(blocking=False):
                try:
                    taken = self._offer(run, 0)
                    if taken == run.count:
                        return
                finally:
                    self._turn.release()
            await here.run_in_executor(None, self._put_rest, run, taken, timeout)
        elif loop is here:
            taken = self._offer_now(run)
            if taken < run.count:
                await self._put_on_loop(run, taken, timeout)
        elif (put := self._start(loop, run, timeout)) is not None:
            await asyncio.wrap_future(put)

    def _put_rest(self, run: Run, start: int, timeout: float | None) -> None:
        with self._turn:
            self._put(run, start, timeout)

    def _put(self, run: Run, start: int, timeout: float | None) -> None:
        since = time.monotonic()
        while True:
            self._room.clear()
            taken = self._offer(run, start)
            start += taken
            if start == run.count:
                return
            now = time.monotonic()
            if taken:
                since = now
            elif timeout is not None and now - since >= timeout:
                raise self._late(run.count - start, timeout)
            self._room.wait(_LOOK_S if timeout is None else min(_LOOK_S, timeout))

    def _offer(self, run: Run, start: int) -> int:
        taken = self.sink.offer(run, start, False)
        if taken and self._wake is not None:
            self._wake()
        return taken

    def _start(
        self, loop: asyncio.AbstractEventLoop, run: Run, timeout: float | None
    ) -> concurrent.futures.Future[None] | None:
        """Have the queue's own loop queue a run; None where it is closed."""
        put = self._put_on_loop(run, 0, timeout)
        try:
            return asyncio.run_coroutine_threadsafe(put, loop)
        except RuntimeError:
            put.close()
            if not loop.is_closed():
                raise
            return None

    def _offer_now(self, run: Run) -> int:
        """Within the queue's loop: queue what there is room for, unless others wait already."""
        return 0 if self._async_turn.locked() else self.sink.offer(run, 0, False)

    async def _put_on_loop(self, run: Run, start: int, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        async with self._async_turn:
            since = loop.time()
            while True:
                taken = self.sink.offer(run, start, False)
                start += taken
                if start == run.count:
                    return
                now = loop.time()
                if taken:
                    since = now
                elif timeout is not None and now - since >= timeout:
                    raise self._late(run.count - start, timeout)
                self._async_room = loop.create_future()
                look = loop.call_later(_LOOK_S if timeout is None else min(_LOOK_S, timeout), self._look)
                try:
                    await self._async_room
                finally:
                    look.cancel()
                    self._async_room = None

    def _look(self) -> None:
        if self._async_room is not None and not self._async_room.done():
            self._async_room.set_result(None)

    def _relieve(self) -> None:
        if self._loop is None:
            self._room.set()
        else:
            self._look()
        if self._relieve_others is not None:
            self._relieve_others()

    def _late(self, left: int, seconds: float) -> TransportTimeout:
        return TransportTimeout(
            f"publishing within this process cannot go on: {self.sink} is full, and nobody took from it for "
            f"{seconds:g} s. Receive in another thread or task, choose a larger capacity, or an overflow "
            f"that drops. It has not got the last {left} of the messages"
        )


class Member:
    """One bus, as others of its process find it; made by `join()`.

    Attributes:
        service: whose bus it is.
        digest: of its contracts file.
        ports: its subscribers' queues.
    """

    def __init__(self, node: str, service: str, digest: bytes) -> None:
        self.node = node
        self.service = service
        self.digest = digest
        self.ports: list[Port] = []

    def leave(self) -> None:
        """Be found no more. Idempotent."""
        found = _buses.get((os.getpid(), self.node), [])
        if self in found:
            found.remove(self)
        self.ports.clear()


# By process too: a child after fork() has the parent's buses in its memory, where nobody reads from them.
# Lists and dicts are changed in single steps alone, which needs no lock that a child could inherit held.
_buses: dict[tuple[int, str], list[Member]] = {}


def join(node: str, service: str, digest: bytes) -> Member:
    """Let the other buses of this process find one.

    Args:
        node: what stands for the node, the same for every bus of it: its bridge's address.
    """
    member = Member(node, service, digest)
    _buses.setdefault((os.getpid(), node), []).append(member)
    return member


def members(node: str, service: str | None = None) -> list[Member]:
    """The buses of a node that live in this process; of one service, or all."""
    found = _buses.get((os.getpid(), node), ())
    return [member for member in found if service is None or member.service == service]


def deliver(targets: Sequence[Port], runs: Sequence[Run], timeout: float | None) -> None:
    """Hand runs to the ports that want them, one port after the other; raises as `Port.put`."""
    for run in runs:
        for port in targets:
            if port.wants(run.type_id) and not port.gone:
                port.put(run, timeout)


async def deliver_async(targets: Sequence[Port], runs: Sequence[Run], timeout: float | None) -> None:
    """As `deliver`, for tasks."""
    for run in runs:
        for port in targets:
            if port.wants(run.type_id) and not port.gone:
                await port.put_async(run, timeout)
