# What the drivers cimport: runs of frames as C sees them, and reading straight into the scanner's memory.

from libc.stdint cimport uint8_t, uint64_t

from mycelium_fast.codec.pool cimport Block, BufferPool


cdef class Run:
    cdef readonly int type_id
    cdef readonly Py_ssize_t length, count
    cdef const uint8_t *start  # of count * (6 + length) bytes, which `owner` keeps alive
    cdef object owner

    cpdef Run slice(self, Py_ssize_t start, Py_ssize_t stop)


cdef class FrameScanner:
    cdef readonly Py_ssize_t max_payload_size
    cdef readonly bint saw_core
    cdef readonly uint64_t frames, bytes, reads
    cdef BufferPool _pool
    cdef Block _block
    cdef Block _large             # of a frame that is complete, for the next of its size; None where there is none
    cdef Py_ssize_t _begin, _end  # of the partial frame within the block
    cdef Py_ssize_t _wanted       # size that the partial frame must reach before it is worth looking at again
    cdef Py_ssize_t _offered      # bytes that may be committed
    cdef str _error

    # Where the next bytes of the stream go, and how many fit. The pointer is good until the next call; the GIL
    # may be let go meanwhile, and one thread at a time reads. A pool that waits for a block does so for `limit_s`
    # seconds at most. Raises ProtocolError, PoolExhausted, MemoryError.
    cdef uint8_t *room(self, Py_ssize_t *size, double limit_s) except NULL
    # So many bytes of it are there: the frames that they complete, as a list of Run. Raises ProtocolError.
    cdef list commit(self, Py_ssize_t size)

    cdef int _check(self) except -1
    cdef int _make_room(self, double limit_s) except -1
    cdef int _move(self, Block block) except -1
    cdef int _header(self, const uint8_t *frame) except -1
    cdef int _arrived(self, Py_ssize_t size, list runs) except -1
