/* What a generated module hands to the codec for each message: tables and two C functions.
 *
 * The tables are static data of the generated module; `mycelium_fast.codec.message.register` fills in the
 * pointers marked "codec" when the module is imported. Whatever changes here raises MYC_ABI: a module built
 * for another ABI refuses to be imported and says how to rebuild it.
 */
#ifndef MYCELIUM_MESSAGE_H
#define MYCELIUM_MESSAGE_H

#include "Python.h"
#include "wire.h"

#if !MYC_LITTLE_ENDIAN
#error "mycelium-fast keeps frames in memory as they are on the wire, which is little-endian"
#endif

#define MYC_ABI 1

/* What a field, or an element of an array, is. Whole numbers of up to 64 bits come first, then the other
 * types of fixed size, then those whose contents vary or are several values. */
enum {
    MYC_U8, MYC_U16, MYC_U32, MYC_U64, MYC_I8, MYC_I16, MYC_I32, MYC_I64,
    MYC_U128, MYC_I128, MYC_F32, MYC_F64, MYC_BOOL, MYC_BYTES, MYC_U256,
    MYC_STRING, MYC_ARRAY, MYC_VEC
};

typedef struct myc_spec myc_spec;

typedef struct {
    const char *name;        /* as in the contract */
    const char *python_name; /* as an attribute */
    int kind, element_kind;  /* the same, but for MYC_ARRAY and MYC_VEC */
    uint32_t offset, size;   /* in the payload */
    uint32_t contents;       /* of MYC_STRING and MYC_VEC: the first element, from the field's start */
    uint32_t element_size;
    uint32_t count;          /* of elements; the capacity where the count varies */
    int (*rule)(const uint8_t *field); /* 0, or the number of the rule broken, from 1; NULL: no rules */
    const myc_spec *spec;    /* codec */
    PyObject *key;           /* codec: python_name, interned */
} myc_field;

struct myc_spec {
    const char *name; /* as in the contract */
    uint16_t type_id;
    uint32_t size;    /* of the payload */
    uint32_t field_count;
    int padded;       /* there are bytes that belong to no field */
    int confidential; /* no value may show */
    myc_field *fields;
    /* 0, or -1 with the fault; writes zeros over padding and unused capacity if canonical. NULL: nothing to do */
    int (*check)(uint8_t *payload, int canonical, myc_fault *fault);
    /* 0, or field index << 8 | number of the rule broken, from 1. NULL: no rules */
    int (*rules)(const uint8_t *payload);
    /* the type's tp_vectorcall: calls `construct` with this spec */
    vectorcallfunc vectorcall;
    PyObject *(*construct)(myc_spec *, PyObject *const *args, size_t nargsf, PyObject *kwnames); /* codec */
    PyTypeObject *type;   /* codec */
    void *chain;          /* codec: of freed objects of this size */
    PyObject *definition; /* codec */
};

#endif
