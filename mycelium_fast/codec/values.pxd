# Field values to and from memory.

from libc.stdint cimport uint8_t

from mycelium_fast.codec.tables cimport myc_field

# Write a value into a field's memory, unused capacity included. On an error, nothing of a field of one value
# has been written, but a part of one of several values may have been.
cdef int put(const myc_field *field, uint8_t *memory, object value) except -1

# Make the Python value of a field from memory that has passed its structural check.
cdef object get(const myc_field *field, const uint8_t *memory)
