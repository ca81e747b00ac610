# The queue of one subscriber, as subscriber.pyx uses it; see message_queue.pyx.

from mycelium_fast.codec.frames cimport Run
from mycelium_fast.codec.type_table cimport TypeTable
from mycelium_fast.transport.sink cimport Sink


cdef class MessageQueue(Sink):
    cdef readonly tuple classes
    cdef readonly Py_ssize_t capacity
    cdef readonly str overflow
    cdef readonly bint validate
    cdef readonly bint full
    cdef readonly Py_ssize_t relieved
    cdef readonly bint closed
    cdef readonly bint failed
    cdef readonly Py_ssize_t waiting, received, dropped, decode_errors, high_water
    cdef readonly object last_decode_error
    cdef public object wake
    cdef public object relieve
    cdef public object on_bad_frame
    cdef dict _class_of
    cdef TypeTable _decoders  # of compiled classes
    cdef object _chunks
    cdef list _current
    cdef list _tail  # the last chunk, if messages may be added to it
    cdef Py_ssize_t _position
    cdef bint _arrays, _blocks, _keeps_oldest
    cdef Py_ssize_t _stored     # messages ever
    cdef Py_ssize_t _taken_end  # number, so counted, of the one after the last that somebody took
    cdef object _contexts       # (number of the message, trace context)
    cdef object _context        # of the first frame offered next
    cdef object pop(self)
    cdef int _taken(self) except -1
    cdef int _load(self) except -1
    cdef Py_ssize_t _add(self, Run run, Py_ssize_t start) except -1
    cdef int _append(self, object chunk) except -1
    cdef object _decode(self, Run run)
    cdef object _table(self, object cls, Run run)
    cdef object _rows(self, object table)
    cdef int _bad(self, Run run, list errors) except -1
    cdef int _store(self, object chunk, Py_ssize_t count, bint force) except -1
    cdef int _drop_oldest(self, Py_ssize_t count) except -1
