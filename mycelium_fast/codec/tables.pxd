# The C tables that generated modules fill, as message.h has them.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cpython.object cimport PyObject, PyTypeObject

cdef extern from "message.h":
    const int MYC_ABI
    const int MYC_HEADER_SIZE
    const int MYC_U8, MYC_U16, MYC_U32, MYC_U64, MYC_I8, MYC_I16, MYC_I32, MYC_I64, MYC_U128, MYC_I128
    const int MYC_F32, MYC_F64, MYC_BOOL, MYC_BYTES, MYC_U256, MYC_STRING, MYC_ARRAY, MYC_VEC
    const int MYC_FAULT_COUNT, MYC_FAULT_UTF8, MYC_FAULT_BOOL

    uint16_t myc_load_u16(const uint8_t *) nogil
    uint32_t myc_load_u32(const uint8_t *) nogil
    uint64_t myc_load_u64(const uint8_t *) nogil
    int64_t myc_load_i64(const uint8_t *) nogil
    void myc_store_header(uint8_t *, uint16_t, uint32_t) nogil

    size_t myc_uniform_span(const uint8_t *, size_t, uint16_t, uint32_t) nogil

    ctypedef struct myc_fault:
        uint32_t field
        uint32_t offset
        int reason

    ctypedef struct myc_field:
        const char *name
        const char *python_name
        int kind
        int element_kind
        uint32_t offset
        uint32_t size
        uint32_t contents
        uint32_t element_size
        uint32_t count
        int (*rule)(const uint8_t *) noexcept
        const myc_spec *spec
        PyObject *key

    ctypedef struct myc_spec:
        const char *name
        uint16_t type_id
        uint32_t size
        uint32_t field_count
        int padded
        int confidential
        myc_field *fields
        int (*check)(uint8_t *, int, myc_fault *) noexcept
        int (*rules)(const uint8_t *) noexcept
        void *vectorcall
        void *construct
        PyTypeObject *type
        PyObject *definition
