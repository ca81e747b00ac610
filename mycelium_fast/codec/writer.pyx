"""Frames on their way out: collected in blocks, until they are due.

    head                       tail
    | sent | unsent     | ->   | unsent        | room |
           begin       end                    write   limit

A first-in-first-out queue of bytes that are whole frames. Producers append, from any thread; one consumer at a time
sends from `head()` and says how far it came with `advance()`, and may let the GIL go meanwhile: what is pending
stays where it is. When to send is the verdict of each append; who sends, and how, belongs to the drivers.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.list cimport PyList_CheckExact
from cpython.object cimport PyObject, PyTypeObject
from cpython.pyport cimport PY_SSIZE_T_MAX
from cpython.tuple cimport PyTuple_CheckExact
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from mycelium_fast.codec.message cimport Message
from mycelium_fast.codec.object cimport Py_TYPE, frame_of
from mycelium_fast.codec.pool cimport Block, BufferPool
from mycelium_fast.codec.tables cimport MYC_HEADER_SIZE

from mycelium_fast.codec.batching import Batching

cdef extern from "wire.h":
    void myc_copy(uint8_t *to, const uint8_t *from_, size_t size) nogil

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    ctypedef int clockid_t
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    const clockid_t CLOCK_MONOTONIC
    int clock_gettime(clockid_t, timespec *)

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *)
    Py_ssize_t PySequence_Fast_GET_SIZE(object)
    PyObject **PySequence_Fast_ITEMS(object)

# Adaptive batching: a message at once costs about a system call; whoever publishes less often pays for each with the
# time since the last one. A pause saves up for a short burst.
cdef int64_t CREDIT_NS = 4000
cdef int64_t MOST_CREDIT_NS = 16 * CREDIT_NS

cdef enum:  # what _extend() says
    NOT_NOW
    ROOM
    WAITED

cdef tuple REASONS = ("immediate", "size", "count", "delay", "explicit", "close", "full")


cdef int64_t now_ns() noexcept:
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return <int64_t>time.tv_sec * 1_000_000_000 + time.tv_nsec


@cython.final
@cython.no_gc  # a chain of blocks
@cython.freelist(32)
cdef class Segment:
    """A block of a writer, and which of its bytes are still to be sent."""


@cython.final
@cython.no_gc  # it refers to its pool, to blocks and to settings
cdef class BatchWriter:
    """Collects frames until they are due.

    Args:
        pool: where blocks come from.
        batching: when a batch is due.
        max_pending: bytes that may be pending, beyond which nothing is accepted; a single frame always is when
            nothing is pending.

    Every append gives a verdict: `KEEP` (more may come), `ARM` (the first that waits: somebody sends after
    `batching.max_delay` seconds), `DUE` (send now, until nothing is pending) or `FULL` (nothing was accepted: send
    what is pending, then append again). `KEEP` relies on a `DUE` or `ARM` given before.

    With a pool that has no block free, an append says `FULL` while something is pending; otherwise it waits or raises
    PoolExhausted, as the pool has it.

    Attributes:
        pending, pending_messages: bytes that are not sent yet, and messages. Those of a block that is sent in part
            count until it is sent whole.
        frames, bytes, batches: accepted so far; batches as counted by `note_flush()`.

    Raises:
        TypeError, ValueError: an argument of another type, or out of range.
    """

    def __cinit__(self, pool, batching, *, max_pending=1 << 20):
        if not isinstance(pool, BufferPool):
            raise TypeError(f"BatchWriter: pool is a BufferPool, got {type(pool).__name__}")
        if not isinstance(batching, Batching):
            raise TypeError(f"BatchWriter: batching is a Batching, got {type(batching).__name__}")
        if isinstance(max_pending, bool) or not isinstance(max_pending, int):
            raise TypeError(f"BatchWriter: max_pending is an int, got {type(max_pending).__name__}")
        if not 1 <= max_pending < 1 << 62:
            raise ValueError(f"BatchWriter: max_pending is at least 1 byte, got {max_pending}")
        self.pool = pool
        self.batching = batching
        self.max_pending = max_pending
        self._max_bytes = batching.max_bytes
        self._max_messages = batching.max_messages or PY_SSIZE_T_MAX
        self._no_delay = batching.max_delay == 0
        self._adaptive = batching.adaptive
        self._share = max(self._max_bytes, self.pool.block_size)
        self._credit_ns = MOST_CREDIT_NS

    # --- for producers ---

    def write(self, message):
        """Append a message; gives the verdict.

        Raises:
            TypeError: no message.
            PoolExhausted: no block is free.
        """
        if isinstance(message, Message):
            return self.append(frame_of(message), MYC_HEADER_SIZE + <Py_ssize_t>(<Message>message).length, 1)
        return self.write_frames(frame_bytes(message))

    def write_many(self, messages, Py_ssize_t start=0):
        """Append messages of one class: `messages[start:]`, as far as there is room; gives (verdict, taken).

        Where less was taken than there is: with `DUE` or `FULL`, send and go on from `start + taken`. With another
        verdict, the message there has another class than the one at `start`; it may be the first of the next call.

        Raises:
            TypeError: `messages` is neither a list nor a tuple, or the item at `start` no message.
            IndexError: `start` is outside.
            PoolExhausted: no block is free.
        """
        cdef Py_ssize_t taken = 0
        cdef int verdict
        if not (PyList_CheckExact(messages) or PyTuple_CheckExact(messages)):
            raise TypeError(f"BatchWriter.write_many() takes a list or a tuple, got {type(messages).__name__}")
        if not 0 <= start <= len(messages):
            raise IndexError(f"from message {start} of {len(messages)}")
        if start == len(messages):
            return KEEP, 0
        first = messages[start]
        if isinstance(first, Message):
            verdict = self.append_many(
                Py_TYPE(first), MYC_HEADER_SIZE + <Py_ssize_t>(<Message>first).length,
                PySequence_Fast_ITEMS(messages) + start, PySequence_Fast_GET_SIZE(messages) - start, &taken,
            )
            return verdict, taken
        return self._write_python(messages, start, type(first))

    def write_frames(self, data, Py_ssize_t count=1):
        """Append bytes that are `count` whole frames, which is taken on trust; gives the verdict.

        Raises:
            TypeError: not bytes-like.
            ValueError: `count` is negative.
            PoolExhausted: no block is free.
        """
        cdef Py_buffer view
        if count < 0:
            raise ValueError(f"{count} frames")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return self.append(<const uint8_t *>view.buf, view.len, count) if view.len else KEEP
        finally:
            PyBuffer_Release(&view)

    # --- for the consumer ---

    def peek(self):
        """Read-only view of contiguous unsent bytes, from the first on; None where nothing is pending.

        It is good until `advance()`, which tells how many of them were sent.
        """
        cdef Py_ssize_t size
        if self.head(&size) == NULL:
            return None
        return memoryview(self._head.block)[self._head.begin:self._head.begin + size].toreadonly()

    def take(self):
        """Everything pending, as read-only views that own their memory; nothing is pending afterwards."""
        cdef list views = []
        cdef Segment segment
        cdef Py_ssize_t size
        while self.head(&size) != NULL:
            segment = self._head
            views.append(memoryview(segment.block)[segment.begin:segment.begin + size].toreadonly())
            self.advance(size)
        return views

    def note_due(self):
        """Count a batch that is sent because the last verdict was DUE."""
        self.count_flush(self.due_reason)

    def note_flush(self, reason):
        """Count a batch that was sent: "immediate", "size", "count", "delay", "explicit", "close" or "full".

        Raises:
            ValueError: another reason.
        """
        if reason not in REASONS:
            raise ValueError(f"no reason for a flush: {reason!r}; there are {', '.join(REASONS)}")
        self.count_flush(REASONS.index(reason))

    @property
    def flushes(self):
        """Batches sent so far, by reason."""
        return {REASONS[number]: self._flushes[number] for number in range(FLUSH_REASONS)}

    def __repr__(self):
        return f"BatchWriter(pending={self.pending}, {self.batching!r})"

    # --- the same from C ---

    cdef int append(self, const uint8_t *frame, Py_ssize_t size, Py_ssize_t count) except -1:
        while True:
            if self.pending and self.pending + size > self.max_pending:
                return FULL
            if self._limit - self._write >= size:
                break
            if self._extend(size) == NOT_NOW:
                return FULL
        memcpy(self._write, frame, size)
        return self._accepted(size, count)

    cdef int append_many(self, PyTypeObject *type_, Py_ssize_t frame_size, PyObject **items, Py_ssize_t n,
                         Py_ssize_t *taken) except -1:
        cdef Py_ssize_t done = 0, stop
        cdef Py_ssize_t most = min(n, max(self._share // frame_size, 1))
        cdef int verdict = KEEP, last
        cdef uint8_t *to
        taken[0] = 0
        while done < most and Py_TYPE(<object>items[done]) == type_:
            if self.pending and self.pending + frame_size > self.max_pending:
                return self._next_part() if done else FULL
            if self._limit - self._write < frame_size:
                # After waiting, the caller's list may be another: it has to ask again.
                if self._extend(frame_size) != ROOM:
                    return self._next_part() if done else FULL
            stop = (self._limit - self._write) // frame_size
            if self.pending:
                stop = min(stop, (self.max_pending - self.pending) // frame_size)
            else:
                stop = min(stop, max(self.max_pending // frame_size, 1))
            stop = min(most, done + stop)
            to = self._write
            while done < stop and Py_TYPE(<object>items[done]) == type_:
                myc_copy(to, frame_of(<object>items[done]), frame_size)
                to += frame_size
                done += 1
            last = self._accepted(to - self._write, done - taken[0])
            verdict = max(verdict, last)
            taken[0] = done
        if done == most and most < n:
            return self._next_part()
        return verdict

    cdef const uint8_t *head(self, Py_ssize_t *size) noexcept:
        if self.pending == 0:
            size[0] = 0
            return NULL
        # (Not as Segment objects: nothing here touches a reference count.)
        if self._head is self._tail:
            size[0] = self._write - (self._head.block.memory + self._head.begin)
        else:
            size[0] = self._head.end - self._head.begin
        return self._head.block.memory + self._head.begin

    cpdef void advance(self, Py_ssize_t size):
        cdef Py_ssize_t unsent
        if not 0 <= size <= self.pending:
            raise ValueError(f"{size} bytes sent of {self.pending} that were pending")
        while size > 0:
            self.head(&unsent)
            if size < unsent:
                self._head.begin += size
                self.pending -= size
                return
            self.pending -= unsent
            size -= unsent
            self._head.begin += unsent
            if self._head is self._tail:
                self._emptied()
            else:
                self._drop_head()

    cdef void count_flush(self, int reason) noexcept:
        self.batches += 1
        self._flushes[reason] += 1

    # --- inner parts ---

    cdef object _write_python(self, messages, Py_ssize_t start, cls):
        """write_many() of a class that is not compiled: its messages give their frames as bytes objects."""
        cdef Py_ssize_t taken = 0, size = 0
        cdef int verdict = KEEP, last
        cdef list frames = []
        # All of them before the first is appended: what cannot be encoded raises with nothing accepted.
        while start + len(frames) < len(messages) and type(messages[start + len(frames)]) is cls:
            if frames and size >= self._share:
                break
            frame = frame_bytes(messages[start + len(frames)])
            frames.append(frame)
            size += len(frame)
        for frame in frames:
            last = self.write_frames(frame)
            if last == FULL:
                return self._next_part() if taken else FULL, taken
            verdict = max(verdict, last)
            taken += 1
        if size >= self._share and start + taken < len(messages):
            verdict = self._next_part()
        return verdict, taken

    cdef int _next_part(self) noexcept:
        """The verdict on a part of many messages: send it, then comes the next."""
        self.due_reason = FLUSH_SIZE
        return DUE

    cdef inline int _accepted(self, Py_ssize_t size, Py_ssize_t count) noexcept:
        """So many bytes were written behind the others; gives the verdict."""
        cdef bint first = self.pending == 0
        self._write += size
        self._tail_messages += count
        self.pending += size
        self.pending_messages += count
        self.frames += count
        self.bytes += size
        # (Due when the next one, if it is as large, would be too much: it would need another block, too.)
        if self.pending_messages >= self._max_messages:
            self.due_reason = FLUSH_COUNT
            return DUE
        if self.pending + size // max(count, 1) > self._max_bytes or size > self.pool.block_size:
            self.due_reason = FLUSH_IMMEDIATE if self._no_delay or first and count == 1 else FLUSH_SIZE
            return DUE
        if not first:
            return KEEP
        self.due_reason = FLUSH_IMMEDIATE
        if self._no_delay or (self._adaptive and self._spend_credit()):
            return DUE
        return ARM

    cdef bint _spend_credit(self) noexcept:
        cdef int64_t now = now_ns()
        self._credit_ns = min(MOST_CREDIT_NS, self._credit_ns + now - self._last_ns)
        self._last_ns = now
        if self._credit_ns < CREDIT_NS:
            return False
        self._credit_ns -= CREDIT_NS
        return True

    cdef int _extend(self, Py_ssize_t size) except -1:
        """More room in the tail: NOT_NOW (send first), ROOM, or WAITED (look again: the GIL was let go)."""
        cdef Block block
        if self.pending == 0 and self._tail is not None and Py_REFCNT(<PyObject *>self._tail.block) == 1:
            self._rewind()
            if self._limit - self._write >= size:
                return ROOM
        if size > self.pool.block_size:
            self._push(self.pool.acquire_large(size))
            return ROOM
        block = self.pool.acquire_now()
        if block is not None:
            self._push(block)
            return ROOM
        if self.pending:
            return NOT_NOW
        block = self.pool.acquire()
        self._push(block)
        return WAITED

    cdef int _push(self, Block block) except -1:
        """Make the block the tail."""
        cdef Segment tail = self._tail
        if tail is None or tail.begin < self._write - tail.block.memory:
            tail = Segment.__new__(Segment)
            tail.block = block
            if self._tail is None:
                self._head = tail
            else:
                self._tail.end = self._write - self._tail.block.memory
                self._tail.messages = self._tail_messages
                self._tail.next = tail
            self._tail = tail
            self._tail_messages = 0
        else:
            tail.block = block  # nothing of the old one is pending: no segment but the last is ever empty
        self._rewind()
        return 0

    cdef void _rewind(self) noexcept:
        """Write from the start of the tail's block, of which nothing is pending."""
        self._tail.begin = 0
        self._write = self._tail.block.memory
        self._limit = self._write + self._tail.block.size

    def __dealloc__(self):
        while self._head is not None:  # one by one: a long chain would be freed by a function within a function ...
            self._head = self._head.next

    cdef void _drop_head(self) noexcept:
        """The first of several blocks is sent."""
        self.pending_messages -= self._head.messages
        self._head = self._head.next

    cdef void _emptied(self) noexcept:
        """The last block is sent: nothing is pending. What views still show stays as it is."""
        self.pending_messages = self._tail_messages = 0
        if self._adaptive:
            self._last_ns = now_ns()  # the time that it took to fill and send a batch is no pause
        if self._tail.block.size != self.pool.block_size:
            self._head = self._tail = None
            self._write = self._limit = NULL
        elif Py_REFCNT(<PyObject *>self._tail.block) == 1:
            self._rewind()


cdef object frame_bytes(message):
    """The frame of a message whose class is not compiled."""
    if not (hasattr(type(message), "TYPE_ID") and hasattr(message, "to_frame")):
        raise TypeError(f"BatchWriter takes messages, got {type(message).__name__}")
    return message.to_frame()
