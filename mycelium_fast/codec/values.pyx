"""Field values: Python objects to the bytes of a field, and back.

Every type of the contract has one branch in `put` and one in `get`. Values are checked here for type, range
and length; the rules of a contract are not this file's subject, nor is anything larger than a field.
"""

from cpython.buffer cimport PyBUF_ND, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bool cimport PyBool_Check
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_Check, PyLong_CheckExact
from cpython.number cimport PyIndex_Check, PyNumber_Float, PyNumber_Index
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.sequence cimport PySequence_Check
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_Check, PyUnicode_DecodeUTF8
from libc.math cimport isfinite, isinf
from libc.string cimport memcpy, memset

from mycelium_fast.codec.faults cimport out_of_range, place, wrong_size, wrong_type
from mycelium_fast.codec.tables cimport (
    MYC_BOOL, MYC_BYTES, MYC_F32, MYC_F64, MYC_I64, MYC_I128, MYC_STRING, MYC_U8, MYC_U64, MYC_U128, MYC_U256, MYC_VEC,
    myc_field, myc_load_u16,
)

from mycelium_fast.errors import EncodeError

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "values.h":
    const int64_t myc_lowest[]
    const int64_t myc_highest[]
    void myc_store_int(int, uint8_t *, int64_t)
    Py_ssize_t myc_put_elements_fast(int, uint32_t, uint8_t *, PyObject **, Py_ssize_t)
    object myc_get_number(int, const uint8_t *)

cdef extern from *:
    """
    /* Whole numbers of more than 64 bits; the functions for it became public in Python 3.13. */
    static int myc_long_as_bytes(PyObject *value, unsigned char *memory, size_t size, int little, int is_signed) {
    #if PY_VERSION_HEX >= 0x030D0000
        int flags = (little ? Py_ASNATIVEBYTES_LITTLE_ENDIAN : Py_ASNATIVEBYTES_BIG_ENDIAN)
                    | (is_signed ? 0 : Py_ASNATIVEBYTES_UNSIGNED_BUFFER | Py_ASNATIVEBYTES_REJECT_NEGATIVE);
        unsigned char bytes[40];
        Py_ssize_t needed = PyLong_AsNativeBytes(value, bytes, (Py_ssize_t)size, flags);
        if (needed < 0) {
            /* what a negative number gets that has to be unsigned */
            if (PyErr_ExceptionMatches(PyExc_ValueError)) PyErr_SetString(PyExc_OverflowError, "negative");
            return -1;
        }
        if (needed > (Py_ssize_t)size) {
            PyErr_SetString(PyExc_OverflowError, "int too big to convert");
            return -1;
        }
        memcpy(memory, bytes, size);
        return 0;
    #else
        unsigned char bytes[40];
        if (_PyLong_AsByteArray((PyLongObject *)value, bytes, size, little, is_signed) < 0) return -1;
        memcpy(memory, bytes, size);
        return 0;
    #endif
    }

    static PyObject *myc_long_from_bytes(const unsigned char *memory, size_t size, int is_signed) {
    #if PY_VERSION_HEX >= 0x030D0000
        int flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
        return is_signed ? PyLong_FromNativeBytes(memory, size, flags) : PyLong_FromUnsignedNativeBytes(memory, size, flags);
    #else
        return _PyLong_FromByteArray(memory, size, 1, is_signed);
    #endif
    }
    """
    int myc_long_as_bytes(object, unsigned char *, size_t, int, int) except -1
    object myc_long_from_bytes(const unsigned char *, size_t, int)
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1
    unsigned long long PyLong_AsUnsignedLongLong(object) except? 0xFFFFFFFFFFFFFFFF
    PyObject **PySequence_Fast_ITEMS(object)
    const char *PyUnicode_AsUTF8AndSize(object, Py_ssize_t *) except NULL

# --- Python values to memory ------------------------------------------------------------------------------

cdef object as_int(const myc_field *field, Py_ssize_t index, value):
    """The `int` that a value stands for: itself, or that of a NumPy integer; never that of a bool."""
    if PyBool_Check(value) or not is_int_like(value):
        wrong_type(field, index, "int", value)
    return PyNumber_Index(value)


cdef inline bint is_int_like(value):
    # An array has __index__ too, for arrays of one element: it is no number.
    return PyLong_Check(value) or (PyIndex_Check(value) and not PySequence_Check(value))


cdef inline int put_int(const myc_field *field, Py_ssize_t index, int kind, uint8_t *memory, value) except -1:
    cdef int overflow = 0
    cdef int64_t number
    cdef uint64_t large
    if not PyLong_CheckExact(value):
        value = as_int(field, index, value)
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if kind == MYC_U64 and overflow > 0:
        try:
            large = PyLong_AsUnsignedLongLong(value)
        except OverflowError:
            return out_of_range(field, index, kind, value)
        memcpy(memory, &large, 8)
        return 0
    if overflow or number < myc_lowest[kind] or number > myc_highest[kind]:
        return out_of_range(field, index, kind, value)
    myc_store_int(kind, memory, number)
    return 0


cdef int put_long(const myc_field *field, Py_ssize_t index, int kind, uint8_t *memory, value) except -1:
    """u128, i128 (little-endian) and U256 from an int (big-endian)."""
    value = as_int(field, index, value)
    try:
        if kind == MYC_U256:
            myc_long_as_bytes(value, memory, 32, 0, 0)
        else:
            myc_long_as_bytes(value, memory, 16, 1, kind == MYC_I128)
    except OverflowError:
        return out_of_range(field, index, kind, value)
    return 0


cdef int put_float(const myc_field *field, Py_ssize_t index, int kind, uint8_t *memory, value) except -1:
    cdef double number
    cdef float single
    if PyFloat_CheckExact(value):
        number = PyFloat_AS_DOUBLE(value)
    else:
        if PyBool_Check(value) or PySequence_Check(value) or not (
            PyIndex_Check(value) or hasattr(type(value), "__float__")
        ):
            wrong_type(field, index, "float", value)
        try:
            number = PyFloat_AS_DOUBLE(PyNumber_Float(value))
        except (OverflowError, ValueError):  # the latter from a Decimal's signalling NaN
            return out_of_range(field, index, kind, value)
        if isinf(number) and value != number:  # Decimal("1e400")
            return out_of_range(field, index, kind, value)
    if kind == MYC_F64:
        memcpy(memory, &number, 8)
        return 0
    single = <float>number
    if isfinite(number) and not isfinite(single):
        return out_of_range(field, index, kind, value)
    memcpy(memory, &single, 4)
    return 0


cdef int put_bytes(const myc_field *field, Py_ssize_t index, uint8_t *memory, Py_ssize_t size, value) except -1:
    cdef Py_buffer view
    if PyBytes_CheckExact(value):
        if PyBytes_GET_SIZE(value) != size:
            return wrong_size(field, index, PyBytes_GET_SIZE(value), f"exactly {size}", "bytes")
        memcpy(memory, PyBytes_AS_STRING(value), size)
        return 0
    get_bytes_view(field, index, value, &view)
    try:
        if view.len != size:
            return wrong_size(field, index, view.len, f"exactly {size}", "bytes")
        memcpy(memory, view.buf, size)
    finally:
        PyBuffer_Release(&view)
    return 0


cdef int get_bytes_view(const myc_field *field, Py_ssize_t index, value, Py_buffer *view) except -1:
    """A view of a bytes-like object: one dimension, single bytes. (A NumPy number has a buffer too: of none.)"""
    if not PyObject_CheckBuffer(value):
        wrong_type(field, index, "bytes", value)
    try:
        PyObject_GetBuffer(value, view, PyBUF_ND)
    except (BufferError, ValueError):  # NumPy raises the latter
        wrong_type(field, index, "contiguous bytes", value)
    if view.ndim != 1 or view.itemsize != 1:
        PyBuffer_Release(view)
        wrong_type(field, index, "bytes", value)


cdef int put_string(const myc_field *field, uint8_t *memory, value) except -1:
    cdef Py_ssize_t size = 0
    cdef const char *text = NULL
    cdef uint16_t count
    if not PyUnicode_Check(value):
        wrong_type(field, -1, "str", value)
    surrogate = None
    try:
        text = PyUnicode_AsUTF8AndSize(value, &size)
    except UnicodeEncodeError as error:
        surrogate = error.start
    if surrogate is not None:  # raised out here, so that the error with the text in it is no part of this one
        raise EncodeError(
            f"{place(field, -1)}: the text has a lone surrogate at position {surrogate}, which UTF-8 cannot hold"
        )
    if size > field.count:
        return wrong_size(field, -1, size, f"at most {field.count}", "bytes of UTF-8")
    count = <uint16_t>size
    memcpy(memory, &count, 2)
    memcpy(memory + field.contents, text, size)
    return 0


cdef inline int put_element(
    const myc_field *field, Py_ssize_t index, int kind, uint32_t size, uint8_t *memory, value
) except -1:
    if kind <= MYC_I64:
        return put_int(field, index, kind, memory, value)
    if kind == MYC_BYTES or (kind == MYC_U256 and not is_int_like(value)):
        return put_bytes(field, index, memory, size, value)
    if kind == MYC_F32 or kind == MYC_F64:
        return put_float(field, index, kind, memory, value)
    if kind == MYC_BOOL:
        if not PyBool_Check(value):
            wrong_type(field, index, "bool", value)
        memory[0] = value is True
        return 0
    return put_long(field, index, kind, memory, value)


cdef int put_elements(const myc_field *field, uint8_t *memory, value) except -1:
    """An array or a Vec. `memory` is the field's; a Vec of u8 takes bytes as well."""
    cdef Py_ssize_t count, index, done
    cdef uint16_t wire_count
    cdef Py_buffer view
    cdef bint is_vec = field.kind == MYC_VEC
    cdef uint8_t *contents = memory + (field.contents if is_vec else 0)
    if is_vec and field.element_kind == MYC_U8 and isinstance(value, (bytes, bytearray, memoryview)):
        get_bytes_view(field, -1, value, &view)
        try:
            if view.len > field.count:
                return wrong_size(field, -1, view.len, f"at most {field.count}", "bytes")
            wire_count = <uint16_t>view.len
            memcpy(contents, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        memcpy(memory, &wire_count, 2)
        return 0
    if isinstance(value, (str, bytes, bytearray, memoryview, dict)) or not (
        PySequence_Check(value) and hasattr(type(value), "__len__")
    ):
        wrong_type(field, -1, "a list or tuple", value)
    items = value if PyList_CheckExact(value) or PyTuple_CheckExact(value) else tuple(value)
    count = len(items)
    if is_vec:
        if count > field.count:
            return wrong_size(field, -1, count, f"at most {field.count}", "elements")
        wire_count = <uint16_t>count
        memcpy(memory, &wire_count, 2)
    elif count != field.count:
        return wrong_size(field, -1, count, f"exactly {field.count}", "elements")
    done = myc_put_elements_fast(
        field.element_kind, field.element_size, contents, PySequence_Fast_ITEMS(items), count
    )
    if done < count:
        # From a copy of what is a list: converting an element may run code that changes it.
        items = tuple(items)
        for index in range(done, count):
            put_element(
                field, index, field.element_kind, field.element_size, contents + index * field.element_size, items[index]
            )
    return 0


cdef int put(const myc_field *field, uint8_t *memory, object value) except -1:
    if field.kind <= MYC_U256:
        return put_element(field, -1, field.kind, field.size, memory, value)
    memset(memory, 0, field.size)
    if field.kind == MYC_STRING:
        return put_string(field, memory, value)
    return put_elements(field, memory, value)


# --- memory to Python values -------------------------------------------------------------------------------

cdef inline object get_element(int kind, uint32_t size, const uint8_t *memory):
    if kind == MYC_BYTES or kind == MYC_U256:
        return PyBytes_FromStringAndSize(<const char *>memory, size)
    if kind == MYC_U128 or kind == MYC_I128:
        return myc_long_from_bytes(memory, 16, kind == MYC_I128)
    return myc_get_number(kind, memory)


cdef object get_elements(const myc_field *field, const uint8_t *memory):
    cdef Py_ssize_t count, index
    cdef const uint8_t *element
    if field.kind == MYC_VEC:
        count = myc_load_u16(memory)
        element = memory + field.contents
        if field.element_kind == MYC_U8:
            return PyBytes_FromStringAndSize(<const char *>element, count)
        values = PyList_New(count)
    else:
        count = field.count
        element = memory
        values = PyTuple_New(count)
    for index in range(count):
        item = get_element(field.element_kind, field.element_size, element)
        Py_INCREF(item)
        if field.kind == MYC_VEC:
            PyList_SET_ITEM(values, index, item)
        else:
            PyTuple_SET_ITEM(values, index, item)
        element += field.element_size
    return values


cdef object get(const myc_field *field, const uint8_t *memory):
    if field.kind <= MYC_U256:
        return get_element(field.kind, field.size, memory)
    if field.kind == MYC_STRING:
        return PyUnicode_DecodeUTF8(<const char *>memory + field.contents, myc_load_u16(memory), NULL)
    return get_elements(field, memory)
