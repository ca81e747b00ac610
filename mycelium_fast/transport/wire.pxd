# A connected socket as the blocking driver uses it; see wire.pyx.

from libc.stdint cimport uint8_t

cdef extern from "poll.h" nogil:
    const int POLLIN, POLLOUT

cdef double monotonic() noexcept nogil


# How long receive() waits for something: not at all, TICK_S, or, where there is no other thread, until something comes.
cdef enum:
    NOT = 0
    A_TICK = 1
    FOR_EVER = 2


cdef class Wakeup:
    cdef int _read, _write
    cdef int set(self) except -1


cdef class Wire:
    cdef readonly object sock
    cdef readonly bint closed
    cdef int _fd
    cdef bint _tls, _limited
    cdef object _tls_lock
    cdef unsigned long _tls_owner  # the thread that is within TLS; 0: none

    # Bytes received, 0 at the end of the stream, -1 for nothing now.
    cdef Py_ssize_t receive(self, uint8_t *memory, Py_ssize_t size, int block) except -2
    cdef int _limit_waits(self, bint limited) except -1
    # Bytes that the kernel took, 0 for none now.
    cdef Py_ssize_t send(self, const uint8_t *data, Py_ssize_t size) except -2
    # Wait for events of the socket, the wake-up, a signal or the deadline (below 0: none); the events that came.
    cdef int poll(self, int events, Wakeup wakeup, double deadline) except -1
    # Throw away what came; False at the end of the stream.
    cdef bint discard(self) except -1
