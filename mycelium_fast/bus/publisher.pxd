# (Nothing cimports publishers: this declares what the class holds.)

from cpython.object cimport PyTypeObject

from mycelium_fast.transport.stream cimport Stream


cdef class Publisher:
    cdef object __weakref__
    cdef Stream _stream
    cdef readonly object message_class
    cdef PyTypeObject *_type  # NULL where messages are no codec objects
    cdef Py_ssize_t _frame_size
    cdef int _type_id
