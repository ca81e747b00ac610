/* The quick half of values.pyx: values of exactly the expected Python type, which need no error.
 *
 * `myc_put_fast` gives 1 when it has written the field, all of it, and 0 when it has not, whatever the reason:
 * the complete `put` of values.pyx then finds out and says so. The getters are those of the properties; a field's table
 * entry comes as the closure.
 */
#ifndef MYCELIUM_VALUES_H
#define MYCELIUM_VALUES_H

#include "message.h"
#if PY_VERSION_HEX < 0x030B0000
#include "longintrepr.h"
#endif

/* By kind, MYC_U8 to MYC_I64. A u64 may be larger than an int64_t: the slow path sees to that. */
static const int64_t myc_lowest[] = {0, 0, 0, 0, INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN};
static const int64_t myc_highest[] = {UINT8_MAX, UINT16_MAX, UINT32_MAX, INT64_MAX,
                                      INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};

/* Write a number that has been checked: little-endian, so that truncating is copying fewer bytes. */
static inline void myc_store_int(int kind, uint8_t *memory, int64_t number) {
    switch (kind) {
    case MYC_U64: case MYC_I64: memcpy(memory, &number, 8); break;
    case MYC_U32: case MYC_I32: memcpy(memory, &number, 4); break;
    case MYC_U16: case MYC_I16: memcpy(memory, &number, 2); break;
    default: memory[0] = (uint8_t)number;
    }
}

/* The value of a small int, without a call: the public way since Python 3.12, the digits before. */
static inline int myc_compact_int(PyObject *value, int64_t *number) {
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact((PyLongObject *)value)) return 0;
    *number = PyUnstable_Long_CompactValue((PyLongObject *)value);
#else
    Py_ssize_t size = Py_SIZE(value);
    if (size < -1 || size > 1) return 0;
    *number = size == 0 ? 0 : size * (int64_t)((PyLongObject *)value)->ob_digit[0];
#endif
    return 1;
}

/* An int of exactly that type into any of MYC_U8 to MYC_I64. */
static inline int myc_put_int_fast(int kind, uint8_t *memory, PyObject *value) {
    int64_t number;
    int overflow;
    if (!PyLong_CheckExact(value)) return 0;
    if (!myc_compact_int(value, &number)) {
        number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow) return 0;
    }
    if (kind == MYC_U64) {
        if (number < 0) return 0;
        memcpy(memory, &number, 8);
        return 1;
    }
    if (number < myc_lowest[kind] || number > myc_highest[kind]) return 0;
    myc_store_int(kind, memory, number);
    return 1;
}

static inline int myc_put_bytes_fast(uint32_t size, uint8_t *memory, PyObject *value) {
    if (!PyBytes_CheckExact(value) || PyBytes_GET_SIZE(value) != (Py_ssize_t)size) return 0;
    myc_copy(memory, (const uint8_t *)PyBytes_AS_STRING(value), size);
    return 1;
}

static inline int myc_put_double_fast(uint8_t *memory, PyObject *value) {
    if (!PyFloat_CheckExact(value)) return 0;
    memcpy(memory, &((PyFloatObject *)value)->ob_fval, 8);
    return 1;
}

static inline int myc_put_fast(const myc_field *field, uint8_t *memory, PyObject *value) {
    int kind = field->kind;
    if (kind <= MYC_I64) return myc_put_int_fast(kind, memory, value);
    switch (kind) {
    case MYC_BYTES:
    case MYC_U256:
        return myc_put_bytes_fast(field->size, memory, value);
    case MYC_F64:
        return myc_put_double_fast(memory, value);
    case MYC_STRING: {
        if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value)) return 0;
        uint64_t size = (uint64_t)PyUnicode_GET_LENGTH(value);
        if (size > field->count) return 0;
        memcpy(memory, &size, MYC_COUNT_HEADER); /* the count and its six zeros */
        myc_copy(memory + MYC_COUNT_HEADER, PyUnicode_DATA(value), size);
        myc_zero(memory + MYC_COUNT_HEADER + size, field->size - MYC_COUNT_HEADER - size);
        return 1;
    }
    default:
        return 0;
    }
}

/* Write elements for as long as they are of exactly the expected type; gives how many. It runs nobody's code, so a
 * list stays as it is meanwhile. */
static inline Py_ssize_t myc_put_elements_fast(int kind, uint32_t size, uint8_t *memory, PyObject **items,
                                               Py_ssize_t count) {
    Py_ssize_t done = 0;
    if (kind <= MYC_I64)
        while (done < count && myc_put_int_fast(kind, memory + done * size, items[done])) done++;
    else if (kind == MYC_F64)
        while (done < count && myc_put_double_fast(memory + done * size, items[done])) done++;
    else if (kind == MYC_BYTES || kind == MYC_U256)
        while (done < count && myc_put_bytes_fast(size, memory + done * size, items[done])) done++;
    return done;
}

/* The one-digit constructor is the quicker one, and most numbers are that small. */
static inline PyObject *myc_from_u64(uint64_t value) {
    return value < (UINT64_C(1) << 30) ? PyLong_FromLong((long)value) : PyLong_FromUnsignedLongLong(value);
}

static inline PyObject *myc_get_number(int kind, const uint8_t *memory) {
    switch (kind) {
    case MYC_U8: return PyLong_FromLong(memory[0]);
    case MYC_U16: return PyLong_FromLong(myc_load_u16(memory));
    case MYC_U32: return myc_from_u64(myc_load_u32(memory));
    case MYC_U64: return myc_from_u64(myc_load_u64(memory));
    case MYC_I8: return PyLong_FromLong((int8_t)memory[0]);
    case MYC_I16: return PyLong_FromLong(myc_load_i16(memory));
    case MYC_I32: return PyLong_FromLong(myc_load_i32(memory));
    case MYC_I64: return PyLong_FromLongLong(myc_load_i64(memory));
    case MYC_F32: return PyFloat_FromDouble(myc_load_f32(memory));
    case MYC_F64: return PyFloat_FromDouble(myc_load_f64(memory));
    default: return PyBool_FromLong(memory[0]); /* MYC_BOOL */
    }
}

/* Where a property's field lies: the payload follows the header, the header two bytes after the object's. */
#define MYC_PAYLOAD_OFFSET (sizeof(PyObject) + 2 + MYC_HEADER_SIZE)
static inline const uint8_t *myc_field_memory(PyObject *message, void *field) {
    return (const uint8_t *)message + MYC_PAYLOAD_OFFSET + ((const myc_field *)field)->offset;
}

#define MYC_GETTER(KIND) \
    static PyObject *myc_property_##KIND(PyObject *message, void *field) { \
        return myc_get_number(KIND, myc_field_memory(message, field)); \
    }
MYC_GETTER(MYC_U8) MYC_GETTER(MYC_U16) MYC_GETTER(MYC_U32) MYC_GETTER(MYC_U64)
MYC_GETTER(MYC_I8) MYC_GETTER(MYC_I16) MYC_GETTER(MYC_I32) MYC_GETTER(MYC_I64)
MYC_GETTER(MYC_F32) MYC_GETTER(MYC_F64) MYC_GETTER(MYC_BOOL)

static PyObject *myc_property_bytes(PyObject *message, void *field) {
    return PyBytes_FromStringAndSize((const char *)myc_field_memory(message, field), ((myc_field *)field)->size);
}

static PyObject *myc_property_string(PyObject *message, void *field) {
    const uint8_t *memory = myc_field_memory(message, field);
    return PyUnicode_DecodeUTF8((const char *)memory + MYC_COUNT_HEADER, myc_load_u16(memory), NULL);
}

/* The getter for a kind; NULL for those that only the complete `get` of values.pyx knows. */
static inline getter myc_fast_getter(int kind) {
    switch (kind) {
    case MYC_U8: return myc_property_MYC_U8;
    case MYC_U16: return myc_property_MYC_U16;
    case MYC_U32: return myc_property_MYC_U32;
    case MYC_U64: return myc_property_MYC_U64;
    case MYC_I8: return myc_property_MYC_I8;
    case MYC_I16: return myc_property_MYC_I16;
    case MYC_I32: return myc_property_MYC_I32;
    case MYC_I64: return myc_property_MYC_I64;
    case MYC_F32: return myc_property_MYC_F32;
    case MYC_F64: return myc_property_MYC_F64;
    case MYC_BOOL: return myc_property_MYC_BOOL;
    case MYC_BYTES: case MYC_U256: return myc_property_bytes;
    case MYC_STRING: return myc_property_string;
    default: return NULL;
    }
}

#endif
