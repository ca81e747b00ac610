# Errors about fields and payloads. Those of values raise; those of payloads give the exception to raise.
# `index` is that of an element, or -1; `offset` is in the caller's buffer, or -1 where nothing was received.

from mycelium_fast.codec.tables cimport myc_fault, myc_field, myc_spec

cdef object place(const myc_field *field, Py_ssize_t index)
cdef object type_name(value)
cdef int wrong_type(const myc_field *field, Py_ssize_t index, expected, value) except -1
cdef int out_of_range(const myc_field *field, Py_ssize_t index, int kind, value) except -1
cdef int wrong_size(const myc_field *field, Py_ssize_t index, Py_ssize_t given, expected, unit) except -1

cdef object rule_error(const myc_spec *spec, int index, int number, value, Py_ssize_t offset)
cdef object decode_error(const myc_spec *spec, int index, offset, reason)
cdef object fault_error(const myc_spec *spec, const myc_fault *fault, Py_ssize_t offset)
