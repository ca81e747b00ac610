# Binding arguments. `args` are the values by position, then those of the keywords in `kwnames`; values given back
# are borrowed, NULL where there is none.

from cpython.object cimport PyObject

from mycelium_fast.codec.tables cimport myc_spec

# A constructor's arguments into field order.
cdef int order_arguments(
    const myc_spec *spec, PyObject *const *args, Py_ssize_t positional, Py_ssize_t keywords, PyObject *kwnames,
    PyObject **ordered
) except -1

# A class function's arguments to `names`: the first is required, up to `positional` may be given by position.
cdef int parse_arguments(
    const myc_spec *spec, str function, tuple names, Py_ssize_t positional, PyObject *const *args, Py_ssize_t given,
    PyObject *kwnames, PyObject **values
) except -1

cdef object argument_error(const myc_spec *spec, function, problem)
