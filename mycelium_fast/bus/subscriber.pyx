"""Receiving messages: taking them from a queue, and waiting for more.

What happens when the queue is full is in `message_queue.pyx`; reading the socket, and deciding which thread does so, is
`transport/`'s work.
"""

from mycelium_fast.bus.message_queue cimport MessageQueue
from mycelium_fast.transport.stream cimport Stream

import os
import queue
import time

from mycelium_fast.bus.arguments import check_seconds
from mycelium_fast.bus.stats import SubscriberStats
from mycelium_fast.errors import ConnectionClosed

cdef object _monotonic = time.monotonic


class _AsyncWaiter:
    """Stands among the locks of the threads that wait: releasing it wakes a task."""

    def __init__(self, loop):
        self.future = loop.create_future()
        self._loop = loop

    def wake(self):
        if not self.future.done():
            self.future.set_result(None)

    def release(self):
        try:
            self._loop.call_soon_threadsafe(self.wake)
        except RuntimeError:  # the loop was closed, with the task
            pass


cdef class Subscriber:
    """Messages of one class or several, made by a transport (`transport.subscriber(TradeTick)`).

    Any number of threads may share it: each message goes to one of them. Iterating gives messages until the connection
    ends; `recv` then has the reason. A queue that is full and blocks holds up every subscriber of its transport, with
    time the peer, and then whoever publishes on the same transport: receive from each of them in a thread of its own,
    or on a transport of its own. One that nobody refers to any more is closed.
    """

    def __init__(self, Stream stream, MessageQueue queue):
        self._stream = stream
        self._queue = queue

    def __class_getitem__(cls, item):
        return cls

    @property
    def message_class(self):
        """The class whose messages it receives; a tuple where there are several, None for raw frames."""
        classes = self._queue.classes
        return classes if classes is None or len(classes) > 1 else classes[0]

    @property
    def closed(self):
        """Whether it was closed."""
        return self._queue.closed

    @property
    def dropped(self):
        """Messages dropped because the queue was full; exact."""
        return self._queue.dropped

    @property
    def lagged(self):
        """Messages that the bridge dropped for this connection, as it says; exact where it says anything."""
        return self._queue.lagged

    @property
    def decode_errors(self):
        """Frames left out because they did not decode, or broke a rule of the contract."""
        return self._queue.decode_errors

    @property
    def last_decode_error(self):
        """What was wrong with the latest of them; None while there is none."""
        return self._queue.last_decode_error

    def leave_tracing(self):
        """Open no spans: whoever calls this does it, for what happens with each message."""
        self._untraced = True

    def stats(self):
        """Its counters now, as `SubscriberStats`."""
        cdef MessageQueue queue = self._queue
        return SubscriberStats(
            name=queue.name, received=queue.received, queued=queue.waiting, capacity=queue.capacity,
            high_water=queue.high_water, dropped=queue.dropped, decode_errors=queue.decode_errors, lagged=queue.lagged,
        )

    def recv(self, timeout=None):
        """The next message, in the order of the wire.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            queue.Empty: nothing came in time.
            SubscriberOverflow: the queue was full, with overflow "error"; all that was queued was taken.
            ConnectionClosed: the connection is over and everything received was taken; has the reason.
            PoolExhausted: every block of the transport's pool is in use; nothing is lost, a later call goes on.
            TypeError, ValueError: `timeout` is not a non-negative number.
        """
        cdef double deadline = -1.0
        if timeout is not None:
            check_seconds("timeout", timeout)
        message = self._one()
        if message is None:
            if timeout is not None:
                deadline = _monotonic() + timeout
            while True:
                self._stream.wait(self._queue, deadline)
                message = self._one()
                if message is not None:
                    break
                # Empty still: over, too late, or another thread was quicker.
                self._raise_if_over()
                if deadline >= 0 and _monotonic() >= deadline:
                    raise queue.Empty
        return message

    def recv_nowait(self):
        """The next message that has arrived; what is in the socket counts as arrived.

        Raises:
            queue.Empty: there is none.
            SubscriberOverflow, ConnectionClosed, PoolExhausted: as `recv`.
        """
        message = self._one()
        if message is None:
            self._stream.drain()
            message = self._one()
            if message is None:
                self._raise_if_over()
                raise queue.Empty
        return message

    async def recv_async(self, timeout=None):
        """`recv` for programs on asyncio: waits without holding up the event loop, takes nothing when cancelled.

        (`MyceliumClient` is made for asyncio; this is for programs that have a blocking transport.)
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        deadline = None if timeout is None else _monotonic() + timeout
        while True:
            try:
                return self.recv_nowait()
            except queue.Empty:
                left = None if deadline is None else deadline - _monotonic()
                if left is not None and left <= 0:
                    raise
            await self._something(left)

    async def _something(self, timeout):
        """Wait until the socket can be read, or another thread has done something that concerns those who wait."""
        import asyncio  # not at the top: threads that wait need none of it

        loop = asyncio.get_running_loop()
        waiter = _AsyncWaiter(loop)
        self._stream.add_waiter(waiter)
        descriptor = -1
        try:
            if self._queue.ready() or self._stream.ended is not None:
                return
            if not self._stream.is_stuck:  # or there is no use in what can be read
                descriptor = os.dup(self._stream.wire.sock.fileno())  # a loop takes a number once
                loop.add_reader(descriptor, waiter.wake)
            await asyncio.wait([waiter.future], timeout=timeout)
        finally:
            self._stream.remove_waiter(waiter)
            if descriptor >= 0:
                loop.remove_reader(descriptor)
                os.close(descriptor)

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            message = self._one()
            if message is not None:
                return message
            if not self._more():
                raise StopIteration

    def batches(self):
        """Lists of what has arrived, never empty, until the connection ends; `recv` then has the reason."""
        while True:
            relieved = self._queue.relieved
            batch = self._queue.take_all()
            if self._queue.relieved != relieved:
                self._stream.relieve()
            if batch:
                yield batch if self._stream.tracer is None else self._delivered(batch, len(batch))
            elif not self._more():
                return

    def arrays(self):
        """NumPy structured arrays of what has arrived, never empty, until the connection ends.

        Rows are as `TradeTick.array` has them. An array of any size shares the memory that its frames were received
        into, and keeps it (a block of the transport's pool) until it is freed.
        """
        self._queue.use_arrays()
        return self._arrays()

    def _arrays(self):
        while True:
            relieved = self._queue.relieved
            table = self._queue.take_array()
            if self._queue.relieved != relieved:
                self._stream.relieve()
            if table is not None:
                yield table if self._stream.tracer is None else self._delivered(table, len(table))
            elif not self._more():
                return

    def close(self):
        """Receive nothing more: what is queued can still be taken, whoever waits is woken. Idempotent."""
        if not self._queue.closed:
            self._queue.close()
            self._stream.remove_sink(self._queue)

    def __del__(self):
        # Nobody can take from the queue any more: full, it would hold up the others.
        if self._queue is not None and not self._queue.closed:
            self._queue.close()
            self._stream.remove_sink(self._queue, quietly=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def __repr__(self):
        return f"<Subscriber of {self._queue.name}: {self._queue.waiting} of {self._queue.capacity} queued>"

    cdef object _one(self):
        """The oldest message in the queue, or None."""
        cdef Py_ssize_t relieved = self._queue.relieved
        message = self._queue.pop()
        if self._queue.relieved != relieved:
            self._stream.relieve()
        if message is None or self._stream.tracer is None or self._untraced:
            return message
        return self._delivered(message, 1)

    cdef object _delivered(self, object message, Py_ssize_t count):
        type_id = getattr(message, "TYPE_ID", 0)
        self._stream.tracer.delivering(
            self._queue.name, type_id, count, self._queue.contexts(count), operation="receive"
        ).end()
        return message

    cdef bint _more(self) except -1:
        """Wait for a message; False when there will be none."""
        cdef MessageQueue queue = self._queue
        while queue.waiting == 0:
            self._stream.wait(queue, -1.0)
            if queue.waiting == 0:
                if queue.failed:
                    raise queue.overflowed()
                if queue.closed or self._stream.ended is not None:
                    return False
        return True

    def _raise_if_over(self):
        cdef MessageQueue queue = self._queue
        if queue.waiting:
            return
        if queue.failed:
            raise queue.overflowed()
        if queue.closed:
            raise ConnectionClosed("the subscriber was closed; make another with transport.subscriber()")
        self._stream.raise_if_ended()
