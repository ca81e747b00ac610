# What others need of decode.pyx: many frames at once, the class functions, and the check of rules that building shares.

from libc.stdint cimport uint8_t

from mycelium_fast.codec.object cimport PyMethodDef
from mycelium_fast.codec.tables cimport myc_field, myc_spec


cdef class Definition:
    cdef myc_spec *spec
    cdef object described


# Messages from back-to-back frames of one type, whose memory the caller keeps alive and nobody changes meanwhile;
# with `errors`, bad frames are left out and their exceptions appended.
cdef list decode_frames(const myc_spec *spec, const uint8_t *frames, Py_ssize_t end, bint validate, list errors)

# A message from `spec.size` bytes, or None where they are bad: for who has `decode_frames` say why. Runs no Python code.
cdef object decode_if_good(const myc_spec *spec, const uint8_t *payload, bint validate)

# The class functions that decode, and how many there are.
cdef int decoders(PyMethodDef **functions) noexcept

# Raise ValidationError if a rule is broken; `offset` is the payload's in a received buffer, or -1.
cdef int check_rules(const myc_spec *spec, const uint8_t *payload, Py_ssize_t offset) except -1
cdef object broken_rule(const myc_field *field, int number, const uint8_t *memory, Py_ssize_t offset)
