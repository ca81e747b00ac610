# Objects by type id; see type_table.pyx.

from cpython.object cimport PyObject


cdef struct Slot:
    int type_id  # -1 where the slot is free
    PyObject *value


cdef class TypeTable:
    cdef dict _values
    cdef Slot *_slots
    cdef unsigned int _mask

    # What the table has for a type id; None where it has nothing.
    cdef object get(self, int type_id)
