"""Arguments of calls into the codec: bound to names, with the errors that a Python function would give."""

from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from mycelium_fast.codec.tables cimport myc_spec

cdef extern from "Python.h":
    int PyUnicode_Compare(object, object) except? -1


# --- of a constructor ---------------------------------------------------------------------------------------------

cdef int order_arguments(
    const myc_spec *spec, PyObject *const *args, Py_ssize_t positional, Py_ssize_t keywords, PyObject *kwnames,
    PyObject **ordered
) except -1:
    """Arguments into field order, or the TypeError that a call of a Python function would give."""
    cdef Py_ssize_t index, given, count = spec.field_count
    cls = (<type>spec.type).__name__
    if positional > count:
        verb = "was" if positional == 1 else "were"
        noun = "argument" if count == 1 else "arguments"
        raise TypeError(f"{cls}() takes {count} positional {noun} but {positional} {verb} given")
    for index in range(count):
        ordered[index] = args[index] if index < positional else NULL
    for given in range(keywords):
        name = <object>PyTuple_GET_ITEM(<object>kwnames, given)
        index = field_index(spec, name)
        if index < 0:
            raise TypeError(f"{cls}() got an unexpected keyword argument {name!r}")
        if ordered[index] != NULL:
            raise TypeError(f"{cls}() got multiple values for argument {name!r}")
        ordered[index] = args[positional + given]
    missing = [f"{spec.fields[index].python_name.decode()!r}" for index in range(count) if ordered[index] == NULL]
    if missing:
        noun = "argument" if len(missing) == 1 else "arguments"
        last = missing.pop()
        names = f"{', '.join(missing)}{',' if len(missing) > 1 else ''} and {last}" if missing else last
        raise TypeError(f"{cls}() missing {len(missing) + 1} required {noun}: {names}")
    return 0


cdef Py_ssize_t field_index(const myc_spec *spec, object name) except -2:
    """The field of a Python name, or -1. Names in code are interned: most are found by their address."""
    cdef Py_ssize_t index
    for index in range(spec.field_count):
        if spec.fields[index].key == <PyObject *>name:
            return index
    for index in range(spec.field_count):
        if PyUnicode_Compare(<object>spec.fields[index].key, name) == 0:
            return index
    return -1


# --- of a class function ------------------------------------------------------------------------------------------

cdef int parse_arguments(
    const myc_spec *spec, str function, tuple names, Py_ssize_t positional, PyObject *const *args, Py_ssize_t given,
    PyObject *kwnames, PyObject **values
) except -1:
    """Bind arguments to `names`: the first is required, up to `positional` may be given by position."""
    cdef Py_ssize_t index, keyword
    for index in range(PyTuple_GET_SIZE(names)):
        values[index] = args[index] if index < given else NULL
    if given > positional:
        raise argument_error(spec, function, f"takes at most {positional} positional arguments but {given} were given")
    for keyword in range(0 if kwnames == NULL else PyTuple_GET_SIZE(<object>kwnames)):
        name = <object>PyTuple_GET_ITEM(<object>kwnames, keyword)
        for index in range(PyTuple_GET_SIZE(names)):
            if PyUnicode_Compare(<object>PyTuple_GET_ITEM(names, index), name) == 0:
                break
        else:
            raise argument_error(spec, function, f"got an unexpected keyword argument {name!r}")
        if values[index] != NULL:
            raise argument_error(spec, function, f"got multiple values for argument {name!r}")
        values[index] = args[given + keyword]
    if values[0] == NULL:
        raise argument_error(spec, function, f"missing 1 required argument: {names[0]!r}")
    return 0


cdef object argument_error(const myc_spec *spec, function, problem):
    return TypeError(f"{(<type>spec.type).__name__}.{function}() {problem}")
