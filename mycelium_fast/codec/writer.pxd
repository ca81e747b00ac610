# What the drivers and publishers cimport: appending frames, and sending what is pending.

from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t, uint8_t, uint64_t

from mycelium_fast.codec.pool cimport Block, BufferPool

# What append() says. Whoever is told DUE sends until nothing is pending; whoever is told ARM sees to it that this
# happens after max_delay; KEEP means that somebody was told before.
cpdef enum:
    KEEP = 0  # more may come
    ARM = 1   # the first that waits
    DUE = 2   # send now
    FULL = 3  # nothing was accepted: send what is pending, then again

# Why a batch was sent, for count_flush().
cdef enum:
    FLUSH_IMMEDIATE = 0
    FLUSH_SIZE = 1
    FLUSH_COUNT = 2
    FLUSH_DELAY = 3
    FLUSH_EXPLICIT = 4
    FLUSH_CLOSE = 5
    FLUSH_FULL = 6
    FLUSH_REASONS = 7


cdef class Segment:
    cdef Block block
    cdef Py_ssize_t begin, end  # of the unsent bytes; the tail's end is where the writer writes
    cdef Py_ssize_t messages    # how many frames were written to it, once it is no longer the tail
    cdef Segment next


cdef class BatchWriter:
    cdef readonly BufferPool pool
    cdef readonly object batching
    cdef readonly Py_ssize_t max_pending
    cdef readonly Py_ssize_t pending           # bytes
    cdef readonly Py_ssize_t pending_messages  # those in part sent, and those sent of a block in part sent, included
    cdef readonly uint64_t frames, bytes, batches
    cdef Segment _head, _tail
    cdef uint8_t *_write  # in the tail's block
    cdef uint8_t *_limit  # its end
    cdef Py_ssize_t _tail_messages
    cdef Py_ssize_t _max_bytes, _max_messages, _share
    cdef bint _no_delay, _adaptive
    cdef int64_t _credit_ns, _last_ns
    cdef int due_reason  # why the last DUE was given
    cdef uint64_t _flushes[FLUSH_REASONS]

    # Copies `size` bytes that are `count` whole frames; gives a verdict. Nothing else of Python runs inside.
    cdef int append(self, const uint8_t *frame, Py_ssize_t size, Py_ssize_t count) except -1
    # Copies messages of one compiled class while there is room; `taken` is how many. Fewer than n with DUE or FULL:
    # send what is pending, then the rest. Fewer than n with KEEP or ARM: the next one has another type.
    # (DUE and an item of another type: the next call takes 0 and says KEEP.)
    cdef int append_many(self, PyTypeObject *type_, Py_ssize_t frame_size, PyObject **items, Py_ssize_t n,
                         Py_ssize_t *taken) except -1
    # Contiguous unsent bytes, NULL where nothing is pending: they stay where they are until advance().
    cdef const uint8_t *head(self, Py_ssize_t *size) noexcept
    # So many of the pending bytes are sent, from one block or several. ValueError: more than are pending.
    cpdef void advance(self, Py_ssize_t size)
    cdef void count_flush(self, int reason) noexcept

    cdef int _extend(self, Py_ssize_t size) except -1
    cdef int _push(self, Block block) except -1
    cdef void _rewind(self) noexcept
    cdef void _emptied(self) noexcept
    cdef object _write_python(self, messages, Py_ssize_t start, cls)
    cdef int _next_part(self) noexcept
    cdef int _accepted(self, Py_ssize_t size, Py_ssize_t count) noexcept
    cdef bint _spend_credit(self) noexcept
    cdef void _drop_head(self) noexcept
