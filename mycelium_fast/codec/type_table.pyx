"""Objects by type id, for what is looked up for every frame where types alternate.

A dict would do, but for the int object that each of its lookups needs: it takes four times as long. A table does not
change; whoever has a changing dict makes another.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject


@cython.final
@cython.no_gc_clear  # the slots borrow what the dict holds
cdef class TypeTable:
    """A hash table with open addressing, at most half full, from a dict of objects by type id."""

    def __cinit__(self, dict values):
        cdef unsigned int size = 2, place
        self._values = dict(values)
        while size < 2 * len(self._values):
            size *= 2
        self._mask = size - 1
        self._slots = <Slot *>PyMem_Malloc(size * sizeof(Slot))
        if self._slots == NULL:
            raise MemoryError
        for place in range(size):
            self._slots[place].type_id = -1
        for type_id, value in self._values.items():
            place = type_id & self._mask
            while self._slots[place].type_id >= 0:
                place = (place + 1) & self._mask
            self._slots[place].type_id = type_id
            self._slots[place].value = <PyObject *>value

    def __dealloc__(self):
        PyMem_Free(self._slots)

    cdef object get(self, int type_id):
        cdef unsigned int place = type_id & self._mask
        while self._slots[place].type_id != type_id:
            if self._slots[place].type_id < 0:
                return None
            place = (place + 1) & self._mask
        return <object>self._slots[place].value
