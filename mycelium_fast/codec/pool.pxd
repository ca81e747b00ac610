# Equal blocks of memory, and who has them. A block goes back to its pool when its last reference goes.

from libc.stdint cimport uint8_t, uint64_t


cdef class Block:
    cdef uint8_t *memory
    cdef readonly Py_ssize_t size
    cdef BufferPool pool  # None: memory of the block's own, that nobody counts
    cdef bint pooled      # one of the pool's equal blocks; else the pool counts it among the large ones


cdef class BufferPool:
    cdef readonly Py_ssize_t block_size
    cdef Py_ssize_t _blocks, _max_blocks, _in_use, _spare, _high_water, _large
    cdef uint64_t _misses
    cdef uint8_t *_free  # the first spare block; each has the next one's address in its first bytes
    cdef object _waiting
    cdef readonly str on_exhausted
    cdef double _timeout_s

    cpdef Block acquire(self)
    cpdef Block acquire_large(self, Py_ssize_t size)
    cdef Block acquire_now(self)  # None where none is to be had without waiting
    cdef Block acquire_within(self, double limit_s)  # as acquire(), waiting at most so long
    cdef void _release(self, uint8_t *memory) noexcept
    cdef void _wake(self) noexcept
    cdef Block _hand_out(self)
    cdef int _sleep(self, timeout_s) except -1
    cdef void _keep(self, uint8_t *memory) noexcept
    cdef uint8_t *_unchain(self) noexcept
