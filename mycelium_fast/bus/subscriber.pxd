# (Nothing cimports subscribers: this declares what the class holds.)

from mycelium_fast.bus.message_queue cimport MessageQueue
from mycelium_fast.transport.stream cimport Stream


cdef class Subscriber:
    cdef object __weakref__
    cdef Stream _stream
    cdef MessageQueue _queue
    cdef bint _untraced
    cdef object _one(self)
    cdef object _delivered(self, object message, Py_ssize_t count)
    cdef bint _more(self) except -1
