# What generated modules cimport: the base class. Its C body is the frame's header, so that the packed
# struct that a generated class adds follows it without a gap:
#
#     | object header 16 | 2 of padding | type_id 2 | length 4 | payload ...
#       0                  16             18          20         24

from libc.stdint cimport uint16_t, uint32_t


cdef class Message:
    cdef uint16_t _padding
    cdef uint16_t type_id
    cdef uint32_t length
