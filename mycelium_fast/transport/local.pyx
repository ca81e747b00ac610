"""Delivery between the buses of one process: frames go straight into the queues of those who want them.

    bus A: publish -> frames (bytes) -> runs -> ports of bus B -> queues of its subscribers

No socket is in the way, and no thread: who publishes decodes into the receiver's queue, and waits where that is full
and blocks. Which bus reaches which in this way is decided in `bus/`; what a queue does with what it is offered is its
own affair.

What is changed here from several threads is changed in single steps, between which no Python code runs: the GIL is the
lock, and none can be inherited held by a child.
"""

from mycelium_fast.codec.frames cimport Run
from mycelium_fast.transport.sink cimport Sink

import asyncio
import concurrent.futures
import os
import threading
import time

from mycelium_fast.codec.frames import runs_of
from mycelium_fast.errors import TransportTimeout

# Seconds between looks at a queue that was full. Whoever takes from it tells when there is room; that it is closed, or
# that a connection filled it again meanwhile, is left to be seen.
cdef double LOOK_S = 0.05

cdef object _running_loop = asyncio._get_running_loop


cdef class Port:
    """One subscriber's queue, as others of its process reach it.

    Args:
        sink: the queue: a sink that can be `closed`, and calls `relieve` when it is no longer full. That is extended
            here, so that whoever owns the queue sets it before.
        wake: tells threads that wait for the queue to look at it again.
        loop: the event loop that the queue belongs to, None for blocking subscribers. Nobody else touches the queue
            then: others have the loop do so.
        bridged: a bridge serves the queue too, so that what goes through the bridge need not come this way.
    """

    cdef Sink sink
    cdef bint bridged
    cdef object _wake, _loop, _turn, _room, _async_turn, _async_room, _relieve_others

    def __init__(self, Sink sink, *, wake=None, loop=None, bint bridged=False):
        self.sink = sink
        self.bridged = bridged
        self._wake = wake
        self._loop = loop
        self._turn = threading.Lock()
        self._room = threading.Event()
        self._async_turn = asyncio.Lock()
        self._relieve_others = sink.relieve
        sink.relieve = self._relieve

    cdef bint gone(self) except -1:
        """Whether nothing can be delivered any more."""
        return self.sink.closed or (self._loop is not None and self._loop.is_closed())

    cdef Py_ssize_t offer(self, Run run) except -1:
        """Queue what can be queued without waiting, unless others wait already; return how many frames are dealt
        with."""
        types = self.sink.type_ids
        if (types is not None and run.type_id not in types) or self.sink.closed:
            return run.count
        if self._loop is not None:
            if _running_loop() is not self._loop or self._async_turn.locked():
                return 0
            return self.sink.offer(run, 0, False)
        if not self._turn.acquire(False):
            return 0
        try:
            return self._offer(run, 0)
        finally:
            self._turn.release()

    def put(self, Run run, Py_ssize_t start, timeout):
        """Queue the frames of a run from number `start` on, from any thread, waiting while there is no room.

        Args:
            timeout: seconds in which nobody takes a message; None waits for ever.

        Raises:
            TransportTimeout: nobody took one; says how many frames were not delivered.
        """
        loop = self._loop
        if loop is None:
            with self._turn:
                self._put(run, start, timeout)
        elif _running_loop() is loop:  # to wait here would keep from running who could make room
            raise self._late(run.count - start, 0.0)
        else:
            put = self._start(run, start, timeout)
            # A loop that stands still does not time out by itself.
            while put is not None and not concurrent.futures.wait([put], timeout).done:
                if not loop.is_running():
                    put.cancel()
                    raise self._late(run.count - start, timeout or 0.0)
            if put is not None:
                put.result()

    async def put_async(self, Run run, Py_ssize_t start, timeout):
        """As `put`, from a task of any event loop. Cancelling it takes nothing back."""
        here = asyncio.get_running_loop()
        if self._loop is None:
            await here.run_in_executor(None, self.put, run, start, timeout)
        elif self._loop is here:
            await self._put_on_loop(run, start, timeout)
        else:
            put = self._start(run, start, timeout)
            if put is not None:
                await asyncio.wrap_future(put)

    cdef int _put(self, Run run, Py_ssize_t start, timeout) except -1:
        cdef Py_ssize_t taken
        since = time.monotonic()
        while True:
            self._room.clear()
            taken = self._offer(run, start)
            start += taken
            if start == run.count:
                return 0
            now = time.monotonic()
            if taken:
                since = now
            elif timeout is not None and now - since >= timeout:
                raise self._late(run.count - start, timeout)
            self._room.wait(_look_s(timeout))

    cdef Py_ssize_t _offer(self, Run run, Py_ssize_t start) except -1:
        cdef Py_ssize_t taken = self.sink.offer(run, start, False)
        if taken and self._wake is not None:
            self._wake()
        return taken

    cdef object _start(self, Run run, Py_ssize_t start, timeout):
        """Have the queue's own loop queue a run; gives a future, None where the loop is closed."""
        put = self._put_on_loop(run, start, timeout)
        try:
            return asyncio.run_coroutine_threadsafe(put, self._loop)
        except RuntimeError:
            put.close()
            if not self._loop.is_closed():
                raise
            return None

    async def _put_on_loop(self, Run run, Py_ssize_t start, timeout):
        cdef Py_ssize_t taken
        loop = self._loop
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
                look = loop.call_later(_look_s(timeout), self._look)
                try:
                    await self._async_room
                finally:
                    look.cancel()
                    self._async_room = None

    def _look(self):
        if self._async_room is not None and not self._async_room.done():
            self._async_room.set_result(None)

    def _relieve(self):
        if self._loop is None:
            self._room.set()
        else:
            self._look()
        if self._relieve_others is not None:
            self._relieve_others()

    cdef object _late(self, Py_ssize_t left, double seconds):
        return TransportTimeout(
            f"publishing within this process cannot go on: {self.sink} is full, and nobody took from it for "
            f"{seconds:g} s. Receive in another thread or task, choose a larger capacity, or an overflow "
            f"that drops. It has not got the last {left} of the messages"
        )


cdef double _look_s(timeout):
    return LOOK_S if timeout is None else min(LOOK_S, timeout)


cdef class Member:
    """One bus among those of its node that live in this process; made by `join()`.

    Attributes:
        service: whose bus it is.
        digest: of its contracts file.
        frames_sent, bytes_sent, batches_sent: what it has delivered to the others.
    """

    cdef readonly str node, service
    cdef readonly bytes digest
    cdef readonly Py_ssize_t frames_sent, bytes_sent, batches_sent
    cdef list _ports  # its subscribers' queues

    def __init__(self, str node, str service, bytes digest):
        self.node = node
        self.service = service
        self.digest = digest
        self._ports = []

    def leave(self):
        """Be found no more. Idempotent."""
        for key in ((self.node, self.service), (self.node, None)):
            found = _buses.get(key, ())
            if self in found:
                found.remove(self)
        self._ports.clear()

    def add(self, Port port):
        """Have a queue reached, and forget those that are closed."""
        self._ports.append(port)
        for each in list(self._ports):
            if (<Port>each).gone() and each in self._ports:
                self._ports.remove(each)

    def ports_of(self, service):
        """The queues of one service of the node, None where it has no bus in this process; or, without a service, all
        those of the node that its bridge does not serve."""
        cdef list ports = []
        cdef Member member
        cdef Port port
        found = members(self.node, service)
        if service is not None and not found:
            return None
        for member in found:
            for port in member._ports:
                if service is not None or not port.bridged:
                    ports.append(port)
        return ports

    def deliver(self, list ports, bytes frames, Py_ssize_t count, timeout):
        """Hand `count` frames to the ports that want them, one port after the other; raises as `Port.put`."""
        cdef Run run
        cdef Port port
        cdef Py_ssize_t taken
        for run in runs_of(frames):
            for port in ports:
                taken = port.offer(run)
                if taken < run.count:
                    port.put(run, taken, timeout)
        self._count(count, len(frames))

    async def deliver_async(self, list ports, bytes frames, Py_ssize_t count, timeout):
        """As `deliver`, for tasks."""
        cdef Run run
        cdef Port port
        cdef Py_ssize_t taken
        for run in runs_of(frames):
            for port in ports:
                taken = port.offer(run)
                if taken < run.count:
                    await port.put_async(run, taken, timeout)
        self._count(count, len(frames))

    cdef int _count(self, Py_ssize_t frames, Py_ssize_t size) except -1:
        self.frames_sent += frames
        self.bytes_sent += size
        self.batches_sent += 1
        return 0


# By node and service, and by node alone (service None). A child after fork() has the parent's buses in its memory,
# where nobody reads from them.
cdef dict _buses = {}
os.register_at_fork(after_in_child=_buses.clear)


def join(str node, str service, bytes digest):
    """Let the other buses of this process find one.

    Args:
        node: what stands for the node, the same for every bus of it: its bridge's address.
    """
    member = Member(node, service, digest)
    for key in ((node, service), (node, None)):
        _buses.setdefault(key, []).append(member)
    return member


def members(str node, service=None):
    """The buses of a node that live in this process; of one service, or all."""
    return list(_buses.get((node, service), ()))
