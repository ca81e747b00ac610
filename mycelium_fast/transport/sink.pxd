# What a driver hands frames to; see sink.pyx.

from mycelium_fast.codec.frames cimport Run


cdef class Sink:
    cdef readonly object type_ids
    cdef public Py_ssize_t lagged
    cpdef bint ready(self) except -1
    cpdef Py_ssize_t offer(self, Run run, Py_ssize_t start, bint force) except -1
