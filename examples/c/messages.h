/* Generated from contracts.yaml by mycelium-fast, do not edit. */
/* sha256 63d26a783f134bb35f2581697789af4fb045a742730dd6a84d6e0d4d490c11b9 */
/**
 * @file
 * The messages of a schema, for C11 and C++17: the C library and nothing else.
 *
 * A message is a struct whose memory is the payload on the wire, on every host. Set it up with its `_init` or
 * `_decode`, read and write it through its accessors: they check what they are given, return a status
 * (MYC_OK is 0) and never abort. Nothing here allocates.
 */
#ifndef MYC_CONTRACTS_63D26A783F134BB3_H
#define MYC_CONTRACTS_63D26A783F134BB3_H

/* Headers of one program have to agree on what they share. */
#if !defined(MYCELIUM_WIRE_H)
#define MYC_SHARED_CHECKSUM 0xa50b2de8
#elif !defined(MYC_SHARED_CHECKSUM) || MYC_SHARED_CHECKSUM != 0xa50b2de8
#error "two headers in one program are from different versions of mycelium-fast: generate both again"
#endif

/* The bytes of the wire, in plain C without Python.h: headers, loads, structural checks.
 *
 * A frame, and the two field types that carry a count (all integers little-endian):
 *
 *     frame    | type_id u16 | length u32 | payload: length bytes |
 *     String   | count u16 | 6 zeros | count bytes of UTF-8 | zeros up to the capacity, and to an even size |
 *     Vec<T>   | count u16 | zeros up to the first element | count elements | zeros up to the field's size |
 *
 * Every function takes pointers to memory whose size its caller has checked already. Loads go through
 * memcpy, or byte by byte where the host is not little-endian: nothing on the wire is aligned. Structural checks
 * write zeros over padding and unused capacity when `canonical` is set, and never write otherwise.
 *
 * Generated C headers hold this file's text: it is C11 and C++17, and right on hosts of either byte order.
 */
#ifndef MYCELIUM_WIRE_H
#define MYCELIUM_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* MYC_BYTEWISE has bytes put together one by one on a little-endian host, too: for tests. */
#if defined(MYC_BYTEWISE)
#define MYC_LITTLE_ENDIAN 0
#elif defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__)
#define MYC_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#elif defined(_WIN32)
#define MYC_LITTLE_ENDIAN 1
#else
#define MYC_LITTLE_ENDIAN 0
#endif

#define MYC_HEADER_SIZE 6
#define MYC_COUNT_HEADER 8

#if MYC_LITTLE_ENDIAN
static inline uint16_t myc_load_u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint32_t myc_load_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint64_t myc_load_u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, sizeof v); return v; }
static inline float myc_load_f32(const uint8_t *p) { float v; memcpy(&v, p, sizeof v); return v; }
static inline double myc_load_f64(const uint8_t *p) { double v; memcpy(&v, p, sizeof v); return v; }
static inline void myc_store_u16(uint8_t *p, uint16_t v) { memcpy(p, &v, sizeof v); }
static inline void myc_store_u32(uint8_t *p, uint32_t v) { memcpy(p, &v, sizeof v); }
static inline void myc_store_u64(uint8_t *p, uint64_t v) { memcpy(p, &v, sizeof v); }
#else
static inline uint16_t myc_load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t myc_load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t myc_load_u64(const uint8_t *p) {
    return (uint64_t)myc_load_u32(p) | (uint64_t)myc_load_u32(p + 4) << 32;
}
static inline float myc_load_f32(const uint8_t *p) {
    uint32_t b = myc_load_u32(p);
    float v;
    memcpy(&v, &b, 4);
    return v;
}
static inline double myc_load_f64(const uint8_t *p) {
    uint64_t b = myc_load_u64(p);
    double v;
    memcpy(&v, &b, 8);
    return v;
}
static inline void myc_store_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v & 0xFF);
    p[1] = (uint8_t)(v >> 8);
}
static inline void myc_store_u32(uint8_t *p, uint32_t v) {
    for (unsigned i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i) & 0xFF);
}
static inline void myc_store_u64(uint8_t *p, uint64_t v) {
    for (unsigned i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i) & 0xFF);
}
#endif
static inline int16_t myc_load_i16(const uint8_t *p) { return (int16_t)myc_load_u16(p); }
static inline int32_t myc_load_i32(const uint8_t *p) { return (int32_t)myc_load_u32(p); }
static inline int64_t myc_load_i64(const uint8_t *p) { return (int64_t)myc_load_u64(p); }

static inline void myc_store_header(uint8_t *p, uint16_t type_id, uint32_t length) {
    myc_store_u16(p, type_id);
    myc_store_u32(p + 2, length);
}

/* How many bytes from the start are complete frames of this type id and length, back to back. */
static inline size_t myc_uniform_span(const uint8_t *frames, size_t size, uint16_t type_id, uint32_t length) {
    size_t step = MYC_HEADER_SIZE + (size_t)length, span = 0;
    while (size - span >= step && myc_load_u16(frames + span) == type_id && myc_load_u32(frames + span + 2) == length)
        span += step;
    return span;
}

/* Why a payload is refused. */
enum {
    MYC_FAULT_COUNT = 1, /* a count over the capacity */
    MYC_FAULT_UTF8,      /* text that is not UTF-8 */
    MYC_FAULT_BOOL       /* a bool that is neither 0 nor 1 */
};

/* Where and why: filled by a structural check that fails. */
typedef struct {
    uint32_t field;  /* index of the field */
    uint32_t offset; /* of the fault, from the payload's start */
    int reason;      /* MYC_FAULT_... */
} myc_fault;

/* Whether every byte is below 0x80. The last words overlap those before, so that none is read byte by byte. */
static inline int myc_is_ascii(const uint8_t *p, size_t size) {
    uint64_t any = 0;
    if (size >= 8) {
        for (size_t i = 0; i + 8 <= size; i += 8) any |= myc_load_u64(p + i);
        any |= myc_load_u64(p + size - 8);
    } else if (size >= 4) {
        any = (uint64_t)myc_load_u32(p) | myc_load_u32(p + size - 4);
    } else if (size > 0) {
        any = p[0] | p[size / 2] | p[size - 1];
    }
    return !(any & UINT64_C(0x8080808080808080));
}

/* The offset of the first byte that is not valid UTF-8 (Unicode, table 3-7), or `size`. */
static inline size_t myc_utf8_span(const uint8_t *p, size_t size) {
    size_t i = 0;
    if (myc_is_ascii(p, size)) return size;
    for (;;) {
        while (i < size && p[i] < 0x80) i++;
        if (i == size) return size;
        uint8_t lead = p[i], low = 0x80, high = 0xBF;
        size_t more;
        if (lead >= 0xC2 && lead <= 0xDF) {
            more = 1;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            more = 2;
            if (lead == 0xE0) low = 0xA0;  /* else overlong */
            if (lead == 0xED) high = 0x9F; /* else a surrogate */
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            more = 3;
            if (lead == 0xF0) low = 0x90;
            if (lead == 0xF4) high = 0x8F; /* else above U+10FFFF */
        } else {
            return i;
        }
        if (size - i <= more || p[i + 1] < low || p[i + 1] > high) return i;
        for (size_t k = 2; k <= more; k++)
            if ((p[i + k] & 0xC0) != 0x80) return i;
        i += more + 1;
    }
}

static inline int myc_fail(myc_fault *fault, uint32_t field, uint32_t offset, int reason) {
    fault->field = field;
    fault->offset = offset;
    fault->reason = reason;
    return -1;
}

/* One bool, or `count` of them back to back. */
static inline int myc_check_bools(const uint8_t *payload, uint32_t offset, uint32_t count, uint32_t field,
                                  myc_fault *fault) {
    for (uint32_t i = 0; i < count; i++)
        if (payload[offset + i] > 1) return myc_fail(fault, field, offset + i, MYC_FAULT_BOOL);
    return 0;
}

/* Copying and zeroing where the size varies. Up to 32 bytes, two moves that overlap are quicker than a call;
 * above, a call is quicker than what a compiler makes inline once it knows a bound of the size (`rep stos`). */
#if defined(__GNUC__)
#define MYC_NOINLINE __attribute__((noinline, unused))
#else
#define MYC_NOINLINE
#endif
#if defined(__GNUC__) && !defined(__clang__) /* inlined, it warns of moves that the size has ruled out */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Warray-bounds"
#endif
MYC_NOINLINE static void myc_zero_long(uint8_t *p, size_t size) { memset(p, 0, size); }
MYC_NOINLINE static void myc_copy_long(uint8_t *to, const uint8_t *from, size_t size) { memcpy(to, from, size); }

static inline void myc_zero(uint8_t *p, size_t size) {
    if (size > 32) {
        myc_zero_long(p, size);
    } else if (size >= 16) {
        memset(p, 0, 16);
        memset(p + size - 16, 0, 16);
    } else if (size >= 8) {
        memset(p, 0, 8);
        memset(p + size - 8, 0, 8);
    } else {
        for (; size > 0; size--) *p++ = 0;
    }
}

static inline void myc_copy(uint8_t *to, const uint8_t *from, size_t size) {
    if (size > 32) {
        myc_copy_long(to, from, size);
    } else if (size >= 16) {
        uint8_t last[16];
        memcpy(last, from + size - 16, 16);
        memcpy(to, from, 16);
        memcpy(to + size - 16, last, 16);
    } else if (size >= 8) {
        uint64_t last = myc_load_u64(from + size - 8);
        memcpy(to, from, 8);
        memcpy(to + size - 8, &last, 8);
    } else {
        for (; size > 0; size--) *to++ = *from++;
    }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* What String and Vec share: zeros around the `used` bytes. */
static inline void myc_zero_unused(uint8_t *start, uint32_t contents, size_t used, uint32_t size) {
    memset(start + 2, 0, 6);
    if (contents > MYC_COUNT_HEADER) memset(start + MYC_COUNT_HEADER, 0, contents - MYC_COUNT_HEADER);
    myc_zero(start + contents + used, size - contents - used);
}

static inline int myc_check_string(uint8_t *payload, uint32_t offset, uint32_t size, uint32_t capacity,
                                   uint32_t field, int canonical, myc_fault *fault) {
    uint8_t *start = payload + offset;
    uint32_t count = myc_load_u16(start);
    if (count > capacity) return myc_fail(fault, field, offset, MYC_FAULT_COUNT);
    size_t valid = myc_utf8_span(start + MYC_COUNT_HEADER, count);
    if (valid != count)
        return myc_fail(fault, field, offset + MYC_COUNT_HEADER + (uint32_t)valid, MYC_FAULT_UTF8);
    if (canonical) myc_zero_unused(start, MYC_COUNT_HEADER, count, size);
    return 0;
}

static inline int myc_check_vec(uint8_t *payload, uint32_t offset, uint32_t size, uint32_t contents,
                                uint32_t element_size, uint32_t capacity, int bools, uint32_t field,
                                int canonical, myc_fault *fault) {
    uint8_t *start = payload + offset;
    uint32_t count = myc_load_u16(start);
    if (count > capacity) return myc_fail(fault, field, offset, MYC_FAULT_COUNT);
    if (bools && myc_check_bools(payload, offset + contents, count, field, fault)) return -1;
    if (canonical) myc_zero_unused(start, contents, (size_t)count * element_size, size);
    return 0;
}

/* Rules of a contract. */

static inline int myc_any_bit(const uint8_t *p, size_t size) {
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) any |= p[i];
    return any != 0;
}

static inline int myc_0x_prefix(const uint8_t *string) {
    const uint8_t *text = string + MYC_COUNT_HEADER;
    return myc_load_u16(string) >= 2 && text[0] == '0' && (text[1] | 0x20) == 'x';
}

static inline int myc_u128_less(const uint8_t *a, uint64_t high, uint64_t low) {
    uint64_t a_high = myc_load_u64(a + 8);
    return a_high < high || (a_high == high && myc_load_u64(a) < low);
}

static inline int myc_i128_less(const uint8_t *a, int64_t high, uint64_t low) {
    int64_t a_high = myc_load_i64(a + 8);
    return a_high < high || (a_high == high && myc_load_u64(a) < low);
}

#endif


/* What every generated header has, whatever its contracts: once in a program that includes several. */
#ifndef MYCELIUM_SHARED_H
#define MYCELIUM_SHARED_H

#include <math.h>
#ifdef __cplusplus
#define MYC_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#include <stdbool.h>
#define MYC_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/** Largest payload that is accepted, in bytes: a frame that announces more is refused before it is read. */
#define MYC_MAX_PAYLOAD_SIZE 16777216u
/** Size of the handshake, in bytes: the digest's length and the digest. */
#define MYC_HANDSHAKE_SIZE 34u
#define MYC_DIGEST_SIZE 32u
/** The field of a fault that no one field has. */
#define MYC_NO_FIELD UINT32_MAX

/** What functions return: MYC_OK, or why not. MYC_FAULT_COUNT, MYC_FAULT_UTF8 and MYC_FAULT_BOOL belong here, too. */
enum {
    MYC_OK = 0,
    MYC_FAULT_SIZE = 8,  /**< not the size of the message, or of the bytes that a field takes */
    MYC_FAULT_CAPACITY,  /**< more than a String or Vec can hold */
    MYC_FAULT_INDEX,     /**< no such element */
    MYC_FAULT_PARTIAL,   /**< not a whole frame yet: read more */
    MYC_FAULT_LENGTH,    /**< a frame that announces more than MYC_MAX_PAYLOAD_SIZE: close the connection */
    MYC_FAULT_HANDSHAKE, /**< not this schema's digest: close the connection */
    MYC_RULE_NOT_EMPTY = 32, /**< from here on: a value against a rule of the contract */
    MYC_RULE_MIN_LENGTH,
    MYC_RULE_MAX_LENGTH,
    MYC_RULE_MIN,
    MYC_RULE_MAX,
    MYC_RULE_NOT_ZERO,
    MYC_RULE_NO_0X_PREFIX
};

/** An unsigned number of 128 bits, in two halves. */
typedef struct {
    uint64_t high, low;
} myc_u128;
/** A signed number of 128 bits in two's complement, in two halves. */
typedef struct {
    int64_t high;
    uint64_t low;
} myc_i128;
/** Text in a message: UTF-8, `size` bytes, no zero at its end. Valid while the message is, until the field is set. */
typedef struct {
    const char *data;
    size_t size;
} myc_text;
/** Bytes in a message. Valid while the message is, until the field is set. */
typedef struct {
    const uint8_t *data;
    size_t size;
} myc_bytes;

#if defined(__SIZEOF_INT128__)
__extension__ typedef unsigned __int128 myc_native_u128;
__extension__ typedef __int128 myc_native_i128;
static inline myc_native_u128 myc_u128_native(myc_u128 v) { return (myc_native_u128)v.high << 64 | v.low; }
static inline myc_native_i128 myc_i128_native(myc_i128 v) {
    return (myc_native_i128)((myc_native_u128)(uint64_t)v.high << 64 | v.low);
}
static inline myc_u128 myc_u128_from(myc_native_u128 v) {
    myc_u128 halves = {(uint64_t)(v >> 64), (uint64_t)(v & UINT64_MAX)};
    return halves;
}
static inline myc_i128 myc_i128_from(myc_native_i128 v) {
    myc_i128 halves = {(int64_t)(uint64_t)((myc_native_u128)v >> 64), (uint64_t)((myc_native_u128)v & UINT64_MAX)};
    return halves;
}
#endif

/** One field of a message, as tables have it. Sizes and offsets in bytes. */
typedef struct {
    const char *name; /**< the contract's */
    uint32_t offset, size;
    uint32_t count; /**< elements; the capacity where their number varies */
    const char *const *rules; /**< text by reason: rules[reason - MYC_RULE_NOT_EMPTY], or NULL */
} myc_field_info;

/** One message of a schema, as tables have it. Sizes in bytes. */
typedef struct {
    const char *name, *topic; /**< the contract's */
    uint16_t type_id;
    bool confidential; /**< no value may show in a log */
    uint32_t size, frame_size, align, buffer_class, field_count;
    const myc_field_info *fields; /**< NULL if there are none */
    int (*check)(const uint8_t *payload, size_t size, myc_fault *fault);  /**< structure alone */
    int (*verify)(const uint8_t *payload, size_t size, myc_fault *fault); /**< structure, then rules */
    /** Structure; writes zeros over padding and unused capacity. Reads and writes `size` bytes of this table. */
    int (*structure)(uint8_t *payload, int canonical, myc_fault *fault);
} myc_message_info;

/** A frame in a stream of bytes. */
typedef struct {
    uint16_t type_id;
    uint32_t length;        /**< of the payload */
    const uint8_t *payload; /**< within the bytes searched */
    size_t size;            /**< of the whole frame: the next one begins so many bytes after this one */
} myc_frame;

/** Reads the header of the frame that begins at `bytes`, of which `size` are there.
 *
 * @return MYC_OK, MYC_FAULT_LENGTH (type id and length are written, too) or MYC_FAULT_PARTIAL (fewer than 6 bytes).
 */
static inline int myc_read_header(const uint8_t *bytes, size_t size, uint16_t *type_id, uint32_t *length) {
    *type_id = 0;
    *length = 0;
    if (size < MYC_HEADER_SIZE) return MYC_FAULT_PARTIAL;
    *type_id = myc_load_u16(bytes);
    *length = myc_load_u32(bytes + 2);
    return *length > MYC_MAX_PAYLOAD_SIZE ? MYC_FAULT_LENGTH : MYC_OK;
}

/** Finds the frame that begins at `bytes`, of which `size` are there.
 *
 * @return MYC_OK, MYC_FAULT_PARTIAL (read more, then try again) or MYC_FAULT_LENGTH (close the connection).
 */
static inline int myc_next_frame(const uint8_t *bytes, size_t size, myc_frame *frame) {
    int status = myc_read_header(bytes, size, &frame->type_id, &frame->length);
    frame->payload = NULL;
    frame->size = 0;
    if (status) return status;
    if (size - MYC_HEADER_SIZE < frame->length) return MYC_FAULT_PARTIAL;
    frame->payload = bytes + MYC_HEADER_SIZE;
    frame->size = MYC_HEADER_SIZE + (size_t)frame->length;
    return MYC_OK;
}

/* What accessors are made of. */

static inline uint8_t myc_load_u8(const uint8_t *p) { return p[0]; }
static inline int8_t myc_load_i8(const uint8_t *p) { return (int8_t)p[0]; }
static inline bool myc_load_bool(const uint8_t *p) { return p[0] == 1; }
static inline myc_u128 myc_load_u128(const uint8_t *p) {
    myc_u128 v = {myc_load_u64(p + 8), myc_load_u64(p)};
    return v;
}
static inline myc_i128 myc_load_i128(const uint8_t *p) {
    myc_i128 v = {myc_load_i64(p + 8), myc_load_u64(p)};
    return v;
}
static inline void myc_store_u8(uint8_t *p, uint8_t v) { p[0] = v; }
static inline void myc_store_i8(uint8_t *p, int8_t v) { p[0] = (uint8_t)v; }
static inline void myc_store_bool(uint8_t *p, bool v) { p[0] = v ? 1 : 0; }
static inline void myc_store_i16(uint8_t *p, int16_t v) { myc_store_u16(p, (uint16_t)v); }
static inline void myc_store_i32(uint8_t *p, int32_t v) { myc_store_u32(p, (uint32_t)v); }
static inline void myc_store_i64(uint8_t *p, int64_t v) { myc_store_u64(p, (uint64_t)v); }
static inline void myc_store_f32(uint8_t *p, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    myc_store_u32(p, bits);
}
static inline void myc_store_f64(uint8_t *p, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    myc_store_u64(p, bits);
}
static inline void myc_store_u128(uint8_t *p, myc_u128 v) {
    myc_store_u64(p, v.low);
    myc_store_u64(p + 8, v.high);
}
static inline void myc_store_i128(uint8_t *p, myc_i128 v) {
    myc_store_u64(p, v.low);
    myc_store_i64(p + 8, v.high);
}
/* The count of a String or Vec; never more than there is room for, whatever the memory holds. */
static inline size_t myc_load_count(const uint8_t *start, size_t capacity) {
    size_t count = myc_load_u16(start);
    return count < capacity ? count : capacity;
}
static inline int myc_put_bytes(uint8_t *to, size_t length, const uint8_t *bytes, size_t size) {
    if (size != length) return MYC_FAULT_SIZE;
    memmove(to, bytes, size);
    return MYC_OK;
}
/* Both take what may lie in this very field, hence memmove before the rest of it is set to zero. */
static inline int myc_put_counted(uint8_t *start, uint32_t contents, uint32_t field_size, size_t capacity,
                                  const void *data, size_t count, size_t element_size) {
    if (count > capacity) return MYC_FAULT_CAPACITY;
    if (count) memmove(start + contents, data, count * element_size);
    myc_store_u16(start, (uint16_t)count);
    myc_zero_unused(start, contents, count * element_size, field_size);
    return MYC_OK;
}
static inline int myc_put_text(uint8_t *start, uint32_t field_size, size_t capacity, const char *text, size_t size) {
    if (size > capacity) return MYC_FAULT_CAPACITY;
    if (size && myc_utf8_span((const uint8_t *)text, size) != size) return MYC_FAULT_UTF8;
    return myc_put_counted(start, MYC_COUNT_HEADER, field_size, capacity, text, size, 1);
}

static inline int myc_fault_at(myc_fault *fault, uint32_t field, uint32_t offset, int reason) {
    if (fault) myc_fail(fault, field, offset, reason);
    return reason;
}
static inline int myc_check_payload(int (*structure)(uint8_t *, int, myc_fault *), const uint8_t *payload, size_t size,
                                    size_t expected, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != expected) return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    /* Does not write: canonical is 0. */
    if (!structure((uint8_t *)(uintptr_t)payload, 0, &found)) return MYC_OK;
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

static inline void myc_print(char *out, size_t size, size_t *at, const char *text) {
    for (; *text; text++, ++*at)
        if (*at + 1 < size) out[*at] = *text;
}
static inline void myc_print_number(char *out, size_t size, size_t *at, uint32_t number) {
    char digits[11];
    size_t first = sizeof digits - 1;
    digits[first] = 0;
    do {
        digits[--first] = (char)('0' + number % 10);
    } while (number /= 10);
    myc_print(out, size, at, digits + first);
}

/** Says what is wrong, for people: message, field, what, offset in the payload. Never a value.
 *
 * @param out    takes the text, cut off at `size` bytes; always ends in a zero unless `size` is 0.
 * @return the length of the whole text, as snprintf.
 */
static inline size_t myc_fault_text(const myc_message_info *message, const myc_fault *fault, char *out, size_t size) {
    size_t at = 0;
    const myc_field_info *field = fault->field < message->field_count ? &message->fields[fault->field] : NULL;
    const char *rule = NULL;
    myc_print(out, size, &at, message->name);
    if (field) {
        myc_print(out, size, &at, ".");
        myc_print(out, size, &at, field->name);
    }
    myc_print(out, size, &at, ": ");
    if (field && field->rules && fault->reason >= MYC_RULE_NOT_EMPTY && fault->reason <= MYC_RULE_NO_0X_PREFIX)
        rule = field->rules[fault->reason - MYC_RULE_NOT_EMPTY];
    if (rule) {
        myc_print(out, size, &at, "the value breaks the rule ");
        myc_print(out, size, &at, rule);
    } else if (field && fault->reason == MYC_FAULT_COUNT) {
        myc_print(out, size, &at, "a count over the capacity of ");
        myc_print_number(out, size, &at, field->count);
    } else if (fault->reason == MYC_FAULT_SIZE) {
        myc_print(out, size, &at, "a payload of another size than ");
        myc_print_number(out, size, &at, message->size);
        myc_print(out, size, &at, " bytes");
    } else if (fault->reason == MYC_FAULT_UTF8) {
        myc_print(out, size, &at, "text that is not UTF-8");
    } else if (fault->reason == MYC_FAULT_BOOL) {
        myc_print(out, size, &at, "a bool that is neither 0 nor 1");
    } else {
        myc_print(out, size, &at, "no fault");
    }
    myc_print(out, size, &at, ", at offset ");
    myc_print_number(out, size, &at, fault->offset);
    if (size) out[at < size ? at : size - 1] = 0;
    return at;
}

#endif

/* The schema. */

/** SHA-256 over the contracts file, as text. */
#define CONTRACTS_DIGEST_HEX "63d26a783f134bb35f2581697789af4fb045a742730dd6a84d6e0d4d490c11b9"
/** How many messages there are. */
#define CONTRACTS_MESSAGE_COUNT 9u

/** SHA-256 over the contracts file: MYC_DIGEST_SIZE bytes. */
static inline const uint8_t *contracts_digest(void) {
    static const uint8_t digest[MYC_DIGEST_SIZE] = {
0x63, 0xd2, 0x6a, 0x78, 0x3f, 0x13, 0x4b, 0xb3, 0x5f, 0x25, 0x81, 0x69, 0x77, 0x89, 0xaf, 0x4f,
0xb0, 0x45, 0xa7, 0x42, 0x73, 0x0d, 0xd6, 0xa8, 0x4d, 0x6e, 0x0d, 0x4d, 0x49, 0x0c, 0x11, 0xb9,
    };
    return digest;
}

/** Writes the MYC_HANDSHAKE_SIZE bytes that a client sends before any frame. */
static inline void contracts_write_handshake(uint8_t *out) {
    myc_store_u16(out, MYC_DIGEST_SIZE);
    memcpy(out + 2, contracts_digest(), MYC_DIGEST_SIZE);
}

/** Checks what a client sent before any frame; MYC_OK or MYC_FAULT_HANDSHAKE. */
static inline int contracts_check_handshake(const uint8_t *bytes, size_t size) {
    bool right = size == MYC_HANDSHAKE_SIZE && myc_load_u16(bytes) == MYC_DIGEST_SIZE;
    return right && memcmp(bytes + 2, contracts_digest(), MYC_DIGEST_SIZE) == 0 ? MYC_OK : MYC_FAULT_HANDSHAKE;
}

/* TextMessage */

#define TEXT_MESSAGE_TYPE_ID 1001u
#define TEXT_MESSAGE_PAYLOAD_SIZE 312u
#define TEXT_MESSAGE_FRAME_SIZE 318u
#define TEXT_MESSAGE_BUFFER_CLASS 512u
#define TEXT_MESSAGE_CONFIDENTIAL 0

/** TextMessage: A line of text from a named sender
 *
 * Topic examples, type id 1001, 312 bytes of payload.
 */
struct text_message {
    uint8_t f_sender[40];
    uint8_t f_content[264];
    uint8_t f_timestamp[8];
};
MYC_STATIC_ASSERT(sizeof(struct text_message) == TEXT_MESSAGE_PAYLOAD_SIZE, "size of TextMessage");
MYC_STATIC_ASSERT(offsetof(struct text_message, f_sender) == 0, "offset of TextMessage.sender");
MYC_STATIC_ASSERT(offsetof(struct text_message, f_content) == 40, "offset of TextMessage.content");
MYC_STATIC_ASSERT(offsetof(struct text_message, f_timestamp) == 304, "offset of TextMessage.timestamp");

/** All zeros: what a message begins as before its fields are set. */
static inline void text_message_init(struct text_message *message) { memset(message, 0, sizeof *message); }

/** The TEXT_MESSAGE_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *text_message_payload(const struct text_message *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int text_message_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (myc_check_string(payload, 0, 40, 32, 0, canonical, fault)) return -1;
    if (myc_check_string(payload, 40, 264, 256, 1, canonical, fault)) return -1;
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int text_message_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(text_message_structure, payload, size, TEXT_MESSAGE_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct text_message *text_message_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return text_message_check(payload, size, fault) ? NULL : (const struct text_message *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int text_message_decode(struct text_message *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != TEXT_MESSAGE_PAYLOAD_SIZE) {
        text_message_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, TEXT_MESSAGE_PAYLOAD_SIZE);
    if (!text_message_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    text_message_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int text_message_validate(const struct text_message *message, myc_fault *fault) {
    const uint8_t *f;
    f = message->f_sender;
    if (myc_load_u16(f) == 0) return myc_fault_at(fault, 0, 0, MYC_RULE_NOT_EMPTY);
    (void)f;
    f = message->f_content;
    if (myc_load_u16(f) == 0) return myc_fault_at(fault, 1, 40, MYC_RULE_NOT_EMPTY);
    (void)f;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int text_message_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = text_message_check(payload, size, fault);
    return status ? status : text_message_validate((const struct text_message *)payload, fault);
}

/** Writes the TEXT_MESSAGE_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int text_message_encode(const struct text_message *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, TEXT_MESSAGE_PAYLOAD_SIZE);
    return text_message_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the TEXT_MESSAGE_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int text_message_write_frame(const struct text_message *message, uint8_t *out) {
    myc_store_header(out, TEXT_MESSAGE_TYPE_ID, TEXT_MESSAGE_PAYLOAD_SIZE);
    return text_message_encode(message, out + MYC_HEADER_SIZE);
}

/** sender: String, at most 32 bytes of UTF-8, at offset 0.
 * Name of the sender, at most 32 bytes of UTF-8
 * Rules: not_empty.
 */
#define TEXT_MESSAGE_SENDER_CAPACITY 32u
static inline myc_text text_message_sender(const struct text_message *message) {
    myc_text text = {(const char *)(message->f_sender + MYC_COUNT_HEADER), myc_load_count(message->f_sender, 32)};
    return text;
}
/** MYC_OK, MYC_FAULT_CAPACITY or MYC_FAULT_UTF8, and then nothing has changed. */
static inline int text_message_set_sender(struct text_message *message, const char *text, size_t size) {
    return myc_put_text(message->f_sender, 40, 32, text, size);
}

/** content: String, at most 256 bytes of UTF-8, at offset 40.
 * The text, at most 256 bytes of UTF-8
 * Rules: not_empty.
 */
#define TEXT_MESSAGE_CONTENT_CAPACITY 256u
static inline myc_text text_message_content(const struct text_message *message) {
    myc_text text = {(const char *)(message->f_content + MYC_COUNT_HEADER), myc_load_count(message->f_content, 256)};
    return text;
}
/** MYC_OK, MYC_FAULT_CAPACITY or MYC_FAULT_UTF8, and then nothing has changed. */
static inline int text_message_set_content(struct text_message *message, const char *text, size_t size) {
    return myc_put_text(message->f_content, 264, 256, text, size);
}

/** timestamp: u64, at offset 304.
 * When it was sent, in nanoseconds since 1970-01-01 UTC
 */
static inline uint64_t text_message_timestamp(const struct text_message *message) { return myc_load_u64(message->f_timestamp); }
static inline void text_message_set_timestamp(struct text_message *message, uint64_t value) { myc_store_u64(message->f_timestamp, value); }

/** What tables know of the message. */
static inline const myc_message_info *text_message_info(void) {
    static const char *const rules_sender[] = {
        "not_empty",
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
    };
    static const char *const rules_content[] = {
        "not_empty",
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
    };
    static const myc_field_info fields[] = {
        {"sender", 0, 40, 32, rules_sender},
        {"content", 40, 264, 256, rules_content},
        {"timestamp", 304, 8, 1, NULL},
    };
    static const myc_message_info info = {
        "TextMessage", "examples", 1001, false,
        312, 318, 8, 512, 3, fields,
        text_message_check, text_message_verify, text_message_structure,
    };
    return &info;
}

/* Ping */

#define PING_TYPE_ID 1002u
#define PING_PAYLOAD_SIZE 72u
#define PING_FRAME_SIZE 78u
#define PING_BUFFER_CLASS 128u
#define PING_CONFIDENTIAL 0

/** Ping: A request that is answered with Pong
 *
 * Topic examples, type id 1002, 72 bytes of payload.
 */
struct ping {
    uint8_t f_value[72];
};
MYC_STATIC_ASSERT(sizeof(struct ping) == PING_PAYLOAD_SIZE, "size of Ping");
MYC_STATIC_ASSERT(offsetof(struct ping, f_value) == 0, "offset of Ping.value");

/** All zeros: what a message begins as before its fields are set. */
static inline void ping_init(struct ping *message) { memset(message, 0, sizeof *message); }

/** The PING_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *ping_payload(const struct ping *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int ping_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (myc_check_string(payload, 0, 72, 64, 0, canonical, fault)) return -1;
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int ping_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(ping_structure, payload, size, PING_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct ping *ping_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return ping_check(payload, size, fault) ? NULL : (const struct ping *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int ping_decode(struct ping *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != PING_PAYLOAD_SIZE) {
        ping_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, PING_PAYLOAD_SIZE);
    if (!ping_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    ping_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int ping_validate(const struct ping *message, myc_fault *fault) {
    (void)message;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int ping_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = ping_check(payload, size, fault);
    return status ? status : ping_validate((const struct ping *)payload, fault);
}

/** Writes the PING_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int ping_encode(const struct ping *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, PING_PAYLOAD_SIZE);
    return ping_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the PING_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int ping_write_frame(const struct ping *message, uint8_t *out) {
    myc_store_header(out, PING_TYPE_ID, PING_PAYLOAD_SIZE);
    return ping_encode(message, out + MYC_HEADER_SIZE);
}

/** value: String, at most 64 bytes of UTF-8, at offset 0.
 * Returned in Pong, at most 64 bytes of UTF-8
 */
#define PING_VALUE_CAPACITY 64u
static inline myc_text ping_value(const struct ping *message) {
    myc_text text = {(const char *)(message->f_value + MYC_COUNT_HEADER), myc_load_count(message->f_value, 64)};
    return text;
}
/** MYC_OK, MYC_FAULT_CAPACITY or MYC_FAULT_UTF8, and then nothing has changed. */
static inline int ping_set_value(struct ping *message, const char *text, size_t size) {
    return myc_put_text(message->f_value, 72, 64, text, size);
}

/** What tables know of the message. */
static inline const myc_message_info *ping_info(void) {
    static const myc_field_info fields[] = {
        {"value", 0, 72, 64, NULL},
    };
    static const myc_message_info info = {
        "Ping", "examples", 1002, false,
        72, 78, 2, 128, 1, fields,
        ping_check, ping_verify, ping_structure,
    };
    return &info;
}

/* Pong */

#define PONG_TYPE_ID 1003u
#define PONG_PAYLOAD_SIZE 72u
#define PONG_FRAME_SIZE 78u
#define PONG_BUFFER_CLASS 128u
#define PONG_CONFIDENTIAL 0

/** Pong: The answer to Ping
 *
 * Topic examples, type id 1003, 72 bytes of payload.
 */
struct pong {
    uint8_t f_value[72];
};
MYC_STATIC_ASSERT(sizeof(struct pong) == PONG_PAYLOAD_SIZE, "size of Pong");
MYC_STATIC_ASSERT(offsetof(struct pong, f_value) == 0, "offset of Pong.value");

/** All zeros: what a message begins as before its fields are set. */
static inline void pong_init(struct pong *message) { memset(message, 0, sizeof *message); }

/** The PONG_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *pong_payload(const struct pong *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int pong_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (myc_check_string(payload, 0, 72, 64, 0, canonical, fault)) return -1;
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int pong_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(pong_structure, payload, size, PONG_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct pong *pong_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return pong_check(payload, size, fault) ? NULL : (const struct pong *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int pong_decode(struct pong *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != PONG_PAYLOAD_SIZE) {
        pong_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, PONG_PAYLOAD_SIZE);
    if (!pong_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    pong_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int pong_validate(const struct pong *message, myc_fault *fault) {
    (void)message;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int pong_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = pong_check(payload, size, fault);
    return status ? status : pong_validate((const struct pong *)payload, fault);
}

/** Writes the PONG_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int pong_encode(const struct pong *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, PONG_PAYLOAD_SIZE);
    return pong_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the PONG_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int pong_write_frame(const struct pong *message, uint8_t *out) {
    myc_store_header(out, PONG_TYPE_ID, PONG_PAYLOAD_SIZE);
    return pong_encode(message, out + MYC_HEADER_SIZE);
}

/** value: String, at most 64 bytes of UTF-8, at offset 0.
 * As in Ping, at most 64 bytes of UTF-8
 */
#define PONG_VALUE_CAPACITY 64u
static inline myc_text pong_value(const struct pong *message) {
    myc_text text = {(const char *)(message->f_value + MYC_COUNT_HEADER), myc_load_count(message->f_value, 64)};
    return text;
}
/** MYC_OK, MYC_FAULT_CAPACITY or MYC_FAULT_UTF8, and then nothing has changed. */
static inline int pong_set_value(struct pong *message, const char *text, size_t size) {
    return myc_put_text(message->f_value, 72, 64, text, size);
}

/** What tables know of the message. */
static inline const myc_message_info *pong_info(void) {
    static const myc_field_info fields[] = {
        {"value", 0, 72, 64, NULL},
    };
    static const myc_message_info info = {
        "Pong", "examples", 1003, false,
        72, 78, 2, 128, 1, fields,
        pong_check, pong_verify, pong_structure,
    };
    return &info;
}

/* PoolStateUpdate */

#define POOL_STATE_UPDATE_TYPE_ID 1011u
#define POOL_STATE_UPDATE_PAYLOAD_SIZE 168u
#define POOL_STATE_UPDATE_FRAME_SIZE 174u
#define POOL_STATE_UPDATE_BUFFER_CLASS 256u
#define POOL_STATE_UPDATE_CONFIDENTIAL 0

/** PoolStateUpdate: State of a liquidity pool at the end of a block
 *
 * Topic market-data, type id 1011, 168 bytes of payload.
 */
struct pool_state_update {
    uint8_t f_pool_address[20];
    uint8_t f_venue_id[2];
    uint8_t f_reserve0[32];
    uint8_t f_reserve1[32];
    uint8_t f_liquidity[32];
    uint8_t f_sqrt_price_x96[32];
    uint8_t pad_0[2];
    uint8_t f_tick[4];
    uint8_t pad_1[4];
    uint8_t f_block_number[8];
};
MYC_STATIC_ASSERT(sizeof(struct pool_state_update) == POOL_STATE_UPDATE_PAYLOAD_SIZE, "size of PoolStateUpdate");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_pool_address) == 0, "offset of PoolStateUpdate.pool_address");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_venue_id) == 20, "offset of PoolStateUpdate.venue_id");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_reserve0) == 22, "offset of PoolStateUpdate.reserve0");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_reserve1) == 54, "offset of PoolStateUpdate.reserve1");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_liquidity) == 86, "offset of PoolStateUpdate.liquidity");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_sqrt_price_x96) == 118, "offset of PoolStateUpdate.sqrt_price_x96");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_tick) == 152, "offset of PoolStateUpdate.tick");
MYC_STATIC_ASSERT(offsetof(struct pool_state_update, f_block_number) == 160, "offset of PoolStateUpdate.block_number");

/** All zeros: what a message begins as before its fields are set. */
static inline void pool_state_update_init(struct pool_state_update *message) { memset(message, 0, sizeof *message); }

/** The POOL_STATE_UPDATE_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *pool_state_update_payload(const struct pool_state_update *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int pool_state_update_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (canonical) {
        memset(payload + 150, 0, 2);
        memset(payload + 156, 0, 4);
    }
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int pool_state_update_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(pool_state_update_structure, payload, size, POOL_STATE_UPDATE_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct pool_state_update *pool_state_update_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return pool_state_update_check(payload, size, fault) ? NULL : (const struct pool_state_update *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int pool_state_update_decode(struct pool_state_update *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != POOL_STATE_UPDATE_PAYLOAD_SIZE) {
        pool_state_update_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, POOL_STATE_UPDATE_PAYLOAD_SIZE);
    if (!pool_state_update_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    pool_state_update_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int pool_state_update_validate(const struct pool_state_update *message, myc_fault *fault) {
    const uint8_t *f;
    f = message->f_pool_address;
    if (!myc_any_bit(f, 20)) return myc_fault_at(fault, 0, 0, MYC_RULE_NOT_ZERO);
    (void)f;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int pool_state_update_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = pool_state_update_check(payload, size, fault);
    return status ? status : pool_state_update_validate((const struct pool_state_update *)payload, fault);
}

/** Writes the POOL_STATE_UPDATE_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int pool_state_update_encode(const struct pool_state_update *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, POOL_STATE_UPDATE_PAYLOAD_SIZE);
    return pool_state_update_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the POOL_STATE_UPDATE_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int pool_state_update_write_frame(const struct pool_state_update *message, uint8_t *out) {
    myc_store_header(out, POOL_STATE_UPDATE_TYPE_ID, POOL_STATE_UPDATE_PAYLOAD_SIZE);
    return pool_state_update_encode(message, out + MYC_HEADER_SIZE);
}

/** pool_address: [u8; 20], at offset 0.
 * Address of the pool's contract
 * Rules: not_zero.
 */
#define POOL_STATE_UPDATE_POOL_ADDRESS_LENGTH 20u
/** 20 bytes. */
static inline const uint8_t *pool_state_update_pool_address(const struct pool_state_update *message) { return message->f_pool_address; }
/** MYC_OK, or MYC_FAULT_SIZE where `size` is not 20. */
static inline int pool_state_update_set_pool_address(struct pool_state_update *message, const uint8_t *bytes, size_t size) {
    return myc_put_bytes(message->f_pool_address, 20, bytes, size);
}

/** venue_id: u16, at offset 20.
 * Number of the venue
 */
static inline uint16_t pool_state_update_venue_id(const struct pool_state_update *message) { return myc_load_u16(message->f_venue_id); }
static inline void pool_state_update_set_venue_id(struct pool_state_update *message, uint16_t value) { myc_store_u16(message->f_venue_id, value); }

/** reserve0: U256, at offset 22.
 * Reserve of the first token, in its smallest unit; 0 where the pool has none
 */
/** 32 bytes, a number with its most significant byte first. */
static inline const uint8_t *pool_state_update_reserve0(const struct pool_state_update *message) { return message->f_reserve0; }
/** MYC_OK, or MYC_FAULT_SIZE where `size` is not 32. */
static inline int pool_state_update_set_reserve0(struct pool_state_update *message, const uint8_t *bytes, size_t size) {
    return myc_put_bytes(message->f_reserve0, 32, bytes, size);
}

/** reserve1: U256, at offset 54.
 * Reserve of the second token, in its smallest unit; 0 where the pool has none
 */
/** 32 bytes, a number with its most significant byte first. */
static inline const uint8_t *pool_state_update_reserve1(const struct pool_state_update *message) { return message->f_reserve1; }
/** MYC_OK, or MYC_FAULT_SIZE where `size` is not 32. */
static inline int pool_state_update_set_reserve1(struct pool_state_update *message, const uint8_t *bytes, size_t size) {
    return myc_put_bytes(message->f_reserve1, 32, bytes, size);
}

/** liquidity: U256, at offset 86.
 * Liquidity in range; 0 for pools without ranges
 */
/** 32 bytes, a number with its most significant byte first. */
static inline const uint8_t *pool_state_update_liquidity(const struct pool_state_update *message) { return message->f_liquidity; }
/** MYC_OK, or MYC_FAULT_SIZE where `size` is not 32. */
static inline int pool_state_update_set_liquidity(struct pool_state_update *message, const uint8_t *bytes, size_t size) {
    return myc_put_bytes(message->f_liquidity, 32, bytes, size);
}

/** sqrt_price_x96: U256, at offset 118.
 * Square root of the price, times 2^96; 0 for pools without ranges
 */
/** 32 bytes, a number with its most significant byte first. */
static inline const uint8_t *pool_state_update_sqrt_price_x96(const struct pool_state_update *message) { return message->f_sqrt_price_x96; }
/** MYC_OK, or MYC_FAULT_SIZE where `size` is not 32. */
static inline int pool_state_update_set_sqrt_price_x96(struct pool_state_update *message, const uint8_t *bytes, size_t size) {
    return myc_put_bytes(message->f_sqrt_price_x96, 32, bytes, size);
}

/** tick: i32, at offset 152.
 * Logarithm of the price to the base 1.0001, rounded down
 */
static inline int32_t pool_state_update_tick(const struct pool_state_update *message) { return myc_load_i32(message->f_tick); }
static inline void pool_state_update_set_tick(struct pool_state_update *message, int32_t value) { myc_store_i32(message->f_tick, value); }

/** block_number: u64, at offset 160.
 * Number of the block
 * Not checked here: monotonic.
 */
static inline uint64_t pool_state_update_block_number(const struct pool_state_update *message) { return myc_load_u64(message->f_block_number); }
static inline void pool_state_update_set_block_number(struct pool_state_update *message, uint64_t value) { myc_store_u64(message->f_block_number, value); }

/** What tables know of the message. */
static inline const myc_message_info *pool_state_update_info(void) {
    static const char *const rules_pool_address[] = {
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "not_zero",
        NULL,
    };
    static const myc_field_info fields[] = {
        {"pool_address", 0, 20, 20, rules_pool_address},
        {"venue_id", 20, 2, 1, NULL},
        {"reserve0", 22, 32, 1, NULL},
        {"reserve1", 54, 32, 1, NULL},
        {"liquidity", 86, 32, 1, NULL},
        {"sqrt_price_x96", 118, 32, 1, NULL},
        {"tick", 152, 4, 1, NULL},
        {"block_number", 160, 8, 1, NULL},
    };
    static const myc_message_info info = {
        "PoolStateUpdate", "market-data", 1011, false,
        168, 174, 8, 256, 8, fields,
        pool_state_update_check, pool_state_update_verify, pool_state_update_structure,
    };
    return &info;
}

/* InstrumentMeta */

#define INSTRUMENT_META_TYPE_ID 1018u
#define INSTRUMENT_META_PAYLOAD_SIZE 68u
#define INSTRUMENT_META_FRAME_SIZE 74u
#define INSTRUMENT_META_BUFFER_CLASS 128u
#define INSTRUMENT_META_CONFIDENTIAL 0

/** InstrumentMeta: What a token is; sent before the first message that names it
 *
 * Topic market-data, type id 1018, 68 bytes of payload.
 */
struct instrument_meta {
    uint8_t f_token_address[20];
    uint8_t f_symbol[40];
    uint8_t f_decimals[1];
    uint8_t pad_0[3];
    uint8_t f_chain_id[4];
};
MYC_STATIC_ASSERT(sizeof(struct instrument_meta) == INSTRUMENT_META_PAYLOAD_SIZE, "size of InstrumentMeta");
MYC_STATIC_ASSERT(offsetof(struct instrument_meta, f_token_address) == 0, "offset of InstrumentMeta.token_address");
MYC_STATIC_ASSERT(offsetof(struct instrument_meta, f_symbol) == 20, "offset of InstrumentMeta.symbol");
MYC_STATIC_ASSERT(offsetof(struct instrument_meta, f_decimals) == 60, "offset of InstrumentMeta.decimals");
MYC_STATIC_ASSERT(offsetof(struct instrument_meta, f_chain_id) == 64, "offset of InstrumentMeta.chain_id");

/** All zeros: what a message begins as before its fields are set. */
static inline void instrument_meta_init(struct instrument_meta *message) { memset(message, 0, sizeof *message); }

/** The INSTRUMENT_META_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *instrument_meta_payload(const struct instrument_meta *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int instrument_meta_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (myc_check_string(payload, 20, 40, 32, 1, canonical, fault)) return -1;
    if (canonical) {
        memset(payload + 61, 0, 3);
    }
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int instrument_meta_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(instrument_meta_structure, payload, size, INSTRUMENT_META_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct instrument_meta *instrument_meta_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return instrument_meta_check(payload, size, fault) ? NULL : (const struct instrument_meta *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int instrument_meta_decode(struct instrument_meta *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != INSTRUMENT_META_PAYLOAD_SIZE) {
        instrument_meta_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, INSTRUMENT_META_PAYLOAD_SIZE);
    if (!instrument_meta_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    instrument_meta_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int instrument_meta_validate(const struct instrument_meta *message, myc_fault *fault) {
    const uint8_t *f;
    f = message->f_token_address;
    if (!myc_any_bit(f, 20)) return myc_fault_at(fault, 0, 0, MYC_RULE_NOT_ZERO);
    (void)f;
    f = message->f_symbol;
    if (myc_load_u16(f) == 0) return myc_fault_at(fault, 1, 20, MYC_RULE_NOT_EMPTY);
    if (myc_0x_prefix(f)) return myc_fault_at(fault, 1, 20, MYC_RULE_NO_0X_PREFIX);
    (void)f;
    f = message->f_decimals;
    if (f[0] < UINT64_C(1)) return myc_fault_at(fault, 2, 60, MYC_RULE_MIN);
    if (f[0] > UINT64_C(30)) return myc_fault_at(fault, 2, 60, MYC_RULE_MAX);
    (void)f;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int instrument_meta_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = instrument_meta_check(payload, size, fault);
    return status ? status : instrument_meta_validate((const struct instrument_meta *)payload, fault);
}

/** Writes the INSTRUMENT_META_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int instrument_meta_encode(const struct instrument_meta *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, INSTRUMENT_META_PAYLOAD_SIZE);
    return instrument_meta_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the INSTRUMENT_META_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int instrument_meta_write_frame(const struct instrument_meta *message, uint8_t *out) {
    myc_store_header(out, INSTRUMENT_META_TYPE_ID, INSTRUMENT_META_PAYLOAD_SIZE);
    return instrument_meta_encode(message, out + MYC_HEADER_SIZE);
}

/** token_address: [u8; 20], at offset 0.
 * Address of the token's contract
 * Rules: not_zero.
 */
#define INSTRUMENT_META_TOKEN_ADDRESS_LENGTH 20u
/** 20 bytes. */
static inline const uint8_t *instrument_meta_token_address(const struct instrument_meta *message) { return message->f_token_address; }
/** MYC_OK, or MYC_FAULT_SIZE where `size` is not 20. */
static inline int instrument_meta_set_token_address(struct instrument_meta *message, const uint8_t *bytes, size_t size) {
    return myc_put_bytes(message->f_token_address, 20, bytes, size);
}

/** symbol: String, at most 32 bytes of UTF-8, at offset 20.
 * Symbol such as WETH, at most 32 bytes of UTF-8
 * Rules: not_empty, no_0x_prefix.
 */
#define INSTRUMENT_META_SYMBOL_CAPACITY 32u
static inline myc_text instrument_meta_symbol(const struct instrument_meta *message) {
    myc_text text = {(const char *)(message->f_symbol + MYC_COUNT_HEADER), myc_load_count(message->f_symbol, 32)};
    return text;
}
/** MYC_OK, MYC_FAULT_CAPACITY or MYC_FAULT_UTF8, and then nothing has changed. */
static inline int instrument_meta_set_symbol(struct instrument_meta *message, const char *text, size_t size) {
    return myc_put_text(message->f_symbol, 40, 32, text, size);
}

/** decimals: u8, at offset 60.
 * Decimal places between a whole token and its smallest unit
 * Rules: min: 1, max: 30.
 */
static inline uint8_t instrument_meta_decimals(const struct instrument_meta *message) { return myc_load_u8(message->f_decimals); }
static inline void instrument_meta_set_decimals(struct instrument_meta *message, uint8_t value) { myc_store_u8(message->f_decimals, value); }

/** chain_id: u32, at offset 64.
 * Number of the chain, as in EIP-155
 * Not checked here: known_chain.
 */
static inline uint32_t instrument_meta_chain_id(const struct instrument_meta *message) { return myc_load_u32(message->f_chain_id); }
static inline void instrument_meta_set_chain_id(struct instrument_meta *message, uint32_t value) { myc_store_u32(message->f_chain_id, value); }

/** What tables know of the message. */
static inline const myc_message_info *instrument_meta_info(void) {
    static const char *const rules_token_address[] = {
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "not_zero",
        NULL,
    };
    static const char *const rules_symbol[] = {
        "not_empty",
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "no_0x_prefix",
    };
    static const char *const rules_decimals[] = {
        NULL,
        NULL,
        NULL,
        "min: 1",
        "max: 30",
        NULL,
        NULL,
    };
    static const myc_field_info fields[] = {
        {"token_address", 0, 20, 20, rules_token_address},
        {"symbol", 20, 40, 32, rules_symbol},
        {"decimals", 60, 1, 1, rules_decimals},
        {"chain_id", 64, 4, 1, NULL},
    };
    static const myc_message_info info = {
        "InstrumentMeta", "market-data", 1018, false,
        68, 74, 4, 128, 4, fields,
        instrument_meta_check, instrument_meta_verify, instrument_meta_structure,
    };
    return &info;
}

/* ArbitrageSignal */

#define ARBITRAGE_SIGNAL_TYPE_ID 1020u
#define ARBITRAGE_SIGNAL_PAYLOAD_SIZE 144u
#define ARBITRAGE_SIGNAL_FRAME_SIZE 150u
#define ARBITRAGE_SIGNAL_BUFFER_CLASS 256u
#define ARBITRAGE_SIGNAL_CONFIDENTIAL 1

/** ArbitrageSignal: A path of swaps that is expected to end with more than it began with
 *
 * Topic signal, type id 1020, 144 bytes of payload. Confidential: no value may show in a log.
 */
struct arbitrage_signal {
    uint8_t f_opportunity_id[8];
    uint8_t f_path[88];
    uint8_t f_estimated_profit_usd[8];
    uint8_t f_gas_estimate_wei[32];
    uint8_t f_deadline_block[8];
};
MYC_STATIC_ASSERT(sizeof(struct arbitrage_signal) == ARBITRAGE_SIGNAL_PAYLOAD_SIZE, "size of ArbitrageSignal");
MYC_STATIC_ASSERT(offsetof(struct arbitrage_signal, f_opportunity_id) == 0, "offset of ArbitrageSignal.opportunity_id");
MYC_STATIC_ASSERT(offsetof(struct arbitrage_signal, f_path) == 8, "offset of ArbitrageSignal.path");
MYC_STATIC_ASSERT(offsetof(struct arbitrage_signal, f_estimated_profit_usd) == 96, "offset of ArbitrageSignal.estimated_profit_usd");
MYC_STATIC_ASSERT(offsetof(struct arbitrage_signal, f_gas_estimate_wei) == 104, "offset of ArbitrageSignal.gas_estimate_wei");
MYC_STATIC_ASSERT(offsetof(struct arbitrage_signal, f_deadline_block) == 136, "offset of ArbitrageSignal.deadline_block");

/** All zeros: what a message begins as before its fields are set. */
static inline void arbitrage_signal_init(struct arbitrage_signal *message) { memset(message, 0, sizeof *message); }

/** The ARBITRAGE_SIGNAL_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *arbitrage_signal_payload(const struct arbitrage_signal *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int arbitrage_signal_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (myc_check_vec(payload, 8, 88, 8, 20, 4, 0, 1, canonical, fault)) return -1;
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int arbitrage_signal_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(arbitrage_signal_structure, payload, size, ARBITRAGE_SIGNAL_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct arbitrage_signal *arbitrage_signal_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return arbitrage_signal_check(payload, size, fault) ? NULL : (const struct arbitrage_signal *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int arbitrage_signal_decode(struct arbitrage_signal *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != ARBITRAGE_SIGNAL_PAYLOAD_SIZE) {
        arbitrage_signal_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, ARBITRAGE_SIGNAL_PAYLOAD_SIZE);
    if (!arbitrage_signal_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    arbitrage_signal_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int arbitrage_signal_validate(const struct arbitrage_signal *message, myc_fault *fault) {
    const uint8_t *f;
    f = message->f_path;
    if (myc_load_u16(f) < 2) return myc_fault_at(fault, 1, 8, MYC_RULE_MIN_LENGTH);
    (void)f;
    f = message->f_estimated_profit_usd;
    if (!(myc_load_f64(f) >= 0x0.0p+0)) return myc_fault_at(fault, 2, 96, MYC_RULE_MIN);
    (void)f;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int arbitrage_signal_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = arbitrage_signal_check(payload, size, fault);
    return status ? status : arbitrage_signal_validate((const struct arbitrage_signal *)payload, fault);
}

/** Writes the ARBITRAGE_SIGNAL_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int arbitrage_signal_encode(const struct arbitrage_signal *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, ARBITRAGE_SIGNAL_PAYLOAD_SIZE);
    return arbitrage_signal_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the ARBITRAGE_SIGNAL_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int arbitrage_signal_write_frame(const struct arbitrage_signal *message, uint8_t *out) {
    myc_store_header(out, ARBITRAGE_SIGNAL_TYPE_ID, ARBITRAGE_SIGNAL_PAYLOAD_SIZE);
    return arbitrage_signal_encode(message, out + MYC_HEADER_SIZE);
}

/** opportunity_id: u64, at offset 0.
 * Unique number of the opportunity
 */
static inline uint64_t arbitrage_signal_opportunity_id(const struct arbitrage_signal *message) { return myc_load_u64(message->f_opportunity_id); }
static inline void arbitrage_signal_set_opportunity_id(struct arbitrage_signal *message, uint64_t value) { myc_store_u64(message->f_opportunity_id, value); }

/** path: Vec\<[u8; 20]\>, at most 4 elements, at offset 8.
 * Addresses of the pools, in the order of the swaps
 * Rules: min_length: 2.
 */
#define ARBITRAGE_SIGNAL_PATH_CAPACITY 4u
static inline size_t arbitrage_signal_path_count(const struct arbitrage_signal *message) { return myc_load_count(message->f_path, 4); }
/** One element; MYC_OK or MYC_FAULT_INDEX. */
static inline int arbitrage_signal_path_at(const struct arbitrage_signal *message, size_t index, const uint8_t **bytes) {
    if (index >= arbitrage_signal_path_count(message)) return MYC_FAULT_INDEX;
    *bytes = message->f_path + 8 + index * 20;
    return MYC_OK;
}
/** Changes an element that is there; `size` has to be 20. MYC_OK, MYC_FAULT_INDEX or MYC_FAULT_SIZE. */
static inline int arbitrage_signal_set_path_at(struct arbitrage_signal *message, size_t index, const uint8_t *bytes, size_t size) {
    if (index >= arbitrage_signal_path_count(message)) return MYC_FAULT_INDEX;
    return myc_put_bytes(message->f_path + 8 + index * 20, 20, bytes, size);
}
/** Sets all elements, `count` of them, 20 bytes each, back to back; MYC_OK or MYC_FAULT_CAPACITY, and then nothing
 * has changed. */
static inline int arbitrage_signal_set_path(struct arbitrage_signal *message, const uint8_t *bytes, size_t count) {
    return myc_put_counted(message->f_path, 8, 88, 4, bytes, count, 20);
}
/** Adds an element; `size` has to be 20. MYC_OK, MYC_FAULT_SIZE or MYC_FAULT_CAPACITY. */
static inline int arbitrage_signal_append_path(struct arbitrage_signal *message, const uint8_t *bytes, size_t size) {
    size_t count = arbitrage_signal_path_count(message);
    if (count == 4) return MYC_FAULT_CAPACITY;
    if (size != 20) return MYC_FAULT_SIZE;
    memmove(message->f_path + 8 + count * 20, bytes, 20);
    myc_store_u16(message->f_path, (uint16_t)(count + 1));
    return MYC_OK;
}

/** estimated_profit_usd: f64, at offset 96.
 * Expected profit after fees, in US dollars
 * Rules: min: 0.0.
 */
static inline double arbitrage_signal_estimated_profit_usd(const struct arbitrage_signal *message) { return myc_load_f64(message->f_estimated_profit_usd); }
static inline void arbitrage_signal_set_estimated_profit_usd(struct arbitrage_signal *message, double value) { myc_store_f64(message->f_estimated_profit_usd, value); }

/** gas_estimate_wei: U256, at offset 104.
 * Expected cost of execution, in wei
 */
/** 32 bytes, a number with its most significant byte first. */
static inline const uint8_t *arbitrage_signal_gas_estimate_wei(const struct arbitrage_signal *message) { return message->f_gas_estimate_wei; }
/** MYC_OK, or MYC_FAULT_SIZE where `size` is not 32. */
static inline int arbitrage_signal_set_gas_estimate_wei(struct arbitrage_signal *message, const uint8_t *bytes, size_t size) {
    return myc_put_bytes(message->f_gas_estimate_wei, 32, bytes, size);
}

/** deadline_block: u64, at offset 136.
 * Number of the last block in which it may be executed
 */
static inline uint64_t arbitrage_signal_deadline_block(const struct arbitrage_signal *message) { return myc_load_u64(message->f_deadline_block); }
static inline void arbitrage_signal_set_deadline_block(struct arbitrage_signal *message, uint64_t value) { myc_store_u64(message->f_deadline_block, value); }

/** What tables know of the message. */
static inline const myc_message_info *arbitrage_signal_info(void) {
    static const char *const rules_path[] = {
        NULL,
        "min_length: 2",
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
    };
    static const char *const rules_estimated_profit_usd[] = {
        NULL,
        NULL,
        NULL,
        "min: 0.0",
        NULL,
        NULL,
        NULL,
    };
    static const myc_field_info fields[] = {
        {"opportunity_id", 0, 8, 1, NULL},
        {"path", 8, 88, 4, rules_path},
        {"estimated_profit_usd", 96, 8, 1, rules_estimated_profit_usd},
        {"gas_estimate_wei", 104, 32, 1, NULL},
        {"deadline_block", 136, 8, 1, NULL},
    };
    static const myc_message_info info = {
        "ArbitrageSignal", "signal", 1020, true,
        144, 150, 8, 256, 5, fields,
        arbitrage_signal_check, arbitrage_signal_verify, arbitrage_signal_structure,
    };
    return &info;
}

/* TradeTick */

#define TRADE_TICK_TYPE_ID 1200u
#define TRADE_TICK_PAYLOAD_SIZE 16u
#define TRADE_TICK_FRAME_SIZE 22u
#define TRADE_TICK_BUFFER_CLASS 128u
#define TRADE_TICK_CONFIDENTIAL 0

/** TradeTick: One trade on an exchange
 *
 * Topic market-data, type id 1200, 16 bytes of payload.
 */
struct trade_tick {
    uint8_t f_price[8];
    uint8_t f_size[8];
};
MYC_STATIC_ASSERT(sizeof(struct trade_tick) == TRADE_TICK_PAYLOAD_SIZE, "size of TradeTick");
MYC_STATIC_ASSERT(offsetof(struct trade_tick, f_price) == 0, "offset of TradeTick.price");
MYC_STATIC_ASSERT(offsetof(struct trade_tick, f_size) == 8, "offset of TradeTick.size");

/** All zeros: what a message begins as before its fields are set. */
static inline void trade_tick_init(struct trade_tick *message) { memset(message, 0, sizeof *message); }

/** The TRADE_TICK_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *trade_tick_payload(const struct trade_tick *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int trade_tick_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int trade_tick_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(trade_tick_structure, payload, size, TRADE_TICK_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct trade_tick *trade_tick_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return trade_tick_check(payload, size, fault) ? NULL : (const struct trade_tick *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int trade_tick_decode(struct trade_tick *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != TRADE_TICK_PAYLOAD_SIZE) {
        trade_tick_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, TRADE_TICK_PAYLOAD_SIZE);
    if (!trade_tick_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    trade_tick_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int trade_tick_validate(const struct trade_tick *message, myc_fault *fault) {
    (void)message;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int trade_tick_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = trade_tick_check(payload, size, fault);
    return status ? status : trade_tick_validate((const struct trade_tick *)payload, fault);
}

/** Writes the TRADE_TICK_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int trade_tick_encode(const struct trade_tick *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, TRADE_TICK_PAYLOAD_SIZE);
    return trade_tick_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the TRADE_TICK_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int trade_tick_write_frame(const struct trade_tick *message, uint8_t *out) {
    myc_store_header(out, TRADE_TICK_TYPE_ID, TRADE_TICK_PAYLOAD_SIZE);
    return trade_tick_encode(message, out + MYC_HEADER_SIZE);
}

/** price: u64, at offset 0.
 * Price of one unit, in hundredths of the quote currency
 */
static inline uint64_t trade_tick_price(const struct trade_tick *message) { return myc_load_u64(message->f_price); }
static inline void trade_tick_set_price(struct trade_tick *message, uint64_t value) { myc_store_u64(message->f_price, value); }

/** size: u64, at offset 8.
 * Quantity traded, in thousandths of a unit
 */
static inline uint64_t trade_tick_size(const struct trade_tick *message) { return myc_load_u64(message->f_size); }
static inline void trade_tick_set_size(struct trade_tick *message, uint64_t value) { myc_store_u64(message->f_size, value); }

/** What tables know of the message. */
static inline const myc_message_info *trade_tick_info(void) {
    static const myc_field_info fields[] = {
        {"price", 0, 8, 1, NULL},
        {"size", 8, 8, 1, NULL},
    };
    static const myc_message_info info = {
        "TradeTick", "market-data", 1200, false,
        16, 22, 8, 128, 2, fields,
        trade_tick_check, trade_tick_verify, trade_tick_structure,
    };
    return &info;
}

/* TradeSignal */

#define TRADE_SIGNAL_TYPE_ID 1201u
#define TRADE_SIGNAL_PAYLOAD_SIZE 64u
#define TRADE_SIGNAL_FRAME_SIZE 70u
#define TRADE_SIGNAL_BUFFER_CLASS 128u
#define TRADE_SIGNAL_CONFIDENTIAL 0

/** TradeSignal: A strategy's view of an instrument
 *
 * Topic signal, type id 1201, 64 bytes of payload.
 */
struct trade_signal {
    uint8_t f_signal_id[8];
    uint8_t f_symbol[24];
    uint8_t f_buy[1];
    uint8_t pad_0[7];
    uint8_t f_confidence[8];
    uint8_t f_target_price[8];
    uint8_t f_timestamp[8];
};
MYC_STATIC_ASSERT(sizeof(struct trade_signal) == TRADE_SIGNAL_PAYLOAD_SIZE, "size of TradeSignal");
MYC_STATIC_ASSERT(offsetof(struct trade_signal, f_signal_id) == 0, "offset of TradeSignal.signal_id");
MYC_STATIC_ASSERT(offsetof(struct trade_signal, f_symbol) == 8, "offset of TradeSignal.symbol");
MYC_STATIC_ASSERT(offsetof(struct trade_signal, f_buy) == 32, "offset of TradeSignal.buy");
MYC_STATIC_ASSERT(offsetof(struct trade_signal, f_confidence) == 40, "offset of TradeSignal.confidence");
MYC_STATIC_ASSERT(offsetof(struct trade_signal, f_target_price) == 48, "offset of TradeSignal.target_price");
MYC_STATIC_ASSERT(offsetof(struct trade_signal, f_timestamp) == 56, "offset of TradeSignal.timestamp");

/** All zeros: what a message begins as before its fields are set. */
static inline void trade_signal_init(struct trade_signal *message) { memset(message, 0, sizeof *message); }

/** The TRADE_SIGNAL_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *trade_signal_payload(const struct trade_signal *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int trade_signal_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (myc_check_string(payload, 8, 24, 16, 1, canonical, fault)) return -1;
    if (myc_check_bools(payload, 32, 1, 2, fault)) return -1;
    if (canonical) {
        memset(payload + 33, 0, 7);
    }
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int trade_signal_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(trade_signal_structure, payload, size, TRADE_SIGNAL_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct trade_signal *trade_signal_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return trade_signal_check(payload, size, fault) ? NULL : (const struct trade_signal *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int trade_signal_decode(struct trade_signal *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != TRADE_SIGNAL_PAYLOAD_SIZE) {
        trade_signal_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, TRADE_SIGNAL_PAYLOAD_SIZE);
    if (!trade_signal_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    trade_signal_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int trade_signal_validate(const struct trade_signal *message, myc_fault *fault) {
    const uint8_t *f;
    f = message->f_signal_id;
    if (!myc_any_bit(f, 8)) return myc_fault_at(fault, 0, 0, MYC_RULE_NOT_ZERO);
    (void)f;
    f = message->f_symbol;
    if (myc_load_u16(f) == 0) return myc_fault_at(fault, 1, 8, MYC_RULE_NOT_EMPTY);
    (void)f;
    f = message->f_confidence;
    if (!(myc_load_f64(f) >= 0x0.0p+0)) return myc_fault_at(fault, 3, 40, MYC_RULE_MIN);
    if (!(myc_load_f64(f) <= 0x1.0000000000000p+0)) return myc_fault_at(fault, 3, 40, MYC_RULE_MAX);
    (void)f;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int trade_signal_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = trade_signal_check(payload, size, fault);
    return status ? status : trade_signal_validate((const struct trade_signal *)payload, fault);
}

/** Writes the TRADE_SIGNAL_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int trade_signal_encode(const struct trade_signal *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, TRADE_SIGNAL_PAYLOAD_SIZE);
    return trade_signal_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the TRADE_SIGNAL_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int trade_signal_write_frame(const struct trade_signal *message, uint8_t *out) {
    myc_store_header(out, TRADE_SIGNAL_TYPE_ID, TRADE_SIGNAL_PAYLOAD_SIZE);
    return trade_signal_encode(message, out + MYC_HEADER_SIZE);
}

/** signal_id: u64, at offset 0.
 * Unique number of the signal
 * Rules: not_zero.
 */
static inline uint64_t trade_signal_signal_id(const struct trade_signal *message) { return myc_load_u64(message->f_signal_id); }
static inline void trade_signal_set_signal_id(struct trade_signal *message, uint64_t value) { myc_store_u64(message->f_signal_id, value); }

/** symbol: String, at most 16 bytes of UTF-8, at offset 8.
 * Symbol of the instrument, at most 16 bytes of UTF-8
 * Rules: not_empty.
 */
#define TRADE_SIGNAL_SYMBOL_CAPACITY 16u
static inline myc_text trade_signal_symbol(const struct trade_signal *message) {
    myc_text text = {(const char *)(message->f_symbol + MYC_COUNT_HEADER), myc_load_count(message->f_symbol, 16)};
    return text;
}
/** MYC_OK, MYC_FAULT_CAPACITY or MYC_FAULT_UTF8, and then nothing has changed. */
static inline int trade_signal_set_symbol(struct trade_signal *message, const char *text, size_t size) {
    return myc_put_text(message->f_symbol, 24, 16, text, size);
}

/** buy: bool, at offset 32.
 * Whether to buy; otherwise to sell
 */
static inline bool trade_signal_buy(const struct trade_signal *message) { return myc_load_bool(message->f_buy); }
static inline void trade_signal_set_buy(struct trade_signal *message, bool value) { myc_store_bool(message->f_buy, value); }

/** confidence: f64, at offset 40.
 * Estimated probability that the signal is right
 * Rules: min: 0.0, max: 1.0.
 */
static inline double trade_signal_confidence(const struct trade_signal *message) { return myc_load_f64(message->f_confidence); }
static inline void trade_signal_set_confidence(struct trade_signal *message, double value) { myc_store_f64(message->f_confidence, value); }

/** target_price: u64, at offset 48.
 * Price aimed at, in hundredths of the quote currency
 */
static inline uint64_t trade_signal_target_price(const struct trade_signal *message) { return myc_load_u64(message->f_target_price); }
static inline void trade_signal_set_target_price(struct trade_signal *message, uint64_t value) { myc_store_u64(message->f_target_price, value); }

/** timestamp: u64, at offset 56.
 * When it was computed, in nanoseconds since 1970-01-01 UTC
 */
static inline uint64_t trade_signal_timestamp(const struct trade_signal *message) { return myc_load_u64(message->f_timestamp); }
static inline void trade_signal_set_timestamp(struct trade_signal *message, uint64_t value) { myc_store_u64(message->f_timestamp, value); }

/** What tables know of the message. */
static inline const myc_message_info *trade_signal_info(void) {
    static const char *const rules_signal_id[] = {
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "not_zero",
        NULL,
    };
    static const char *const rules_symbol[] = {
        "not_empty",
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
    };
    static const char *const rules_confidence[] = {
        NULL,
        NULL,
        NULL,
        "min: 0.0",
        "max: 1.0",
        NULL,
        NULL,
    };
    static const myc_field_info fields[] = {
        {"signal_id", 0, 8, 1, rules_signal_id},
        {"symbol", 8, 24, 16, rules_symbol},
        {"buy", 32, 1, 1, NULL},
        {"confidence", 40, 8, 1, rules_confidence},
        {"target_price", 48, 8, 1, NULL},
        {"timestamp", 56, 8, 1, NULL},
    };
    static const myc_message_info info = {
        "TradeSignal", "signal", 1201, false,
        64, 70, 8, 128, 6, fields,
        trade_signal_check, trade_signal_verify, trade_signal_structure,
    };
    return &info;
}

/* Order */

#define ORDER_TYPE_ID 1202u
#define ORDER_PAYLOAD_SIZE 72u
#define ORDER_FRAME_SIZE 78u
#define ORDER_BUFFER_CLASS 128u
#define ORDER_CONFIDENTIAL 0

/** Order: A limit order for an execution service
 *
 * Topic execution, type id 1202, 72 bytes of payload.
 */
struct order {
    uint8_t f_order_id[8];
    uint8_t f_signal_id[8];
    uint8_t f_symbol[24];
    uint8_t f_buy[1];
    uint8_t pad_0[7];
    uint8_t f_limit_price[8];
    uint8_t f_size[8];
    uint8_t f_expires_at[8];
};
MYC_STATIC_ASSERT(sizeof(struct order) == ORDER_PAYLOAD_SIZE, "size of Order");
MYC_STATIC_ASSERT(offsetof(struct order, f_order_id) == 0, "offset of Order.order_id");
MYC_STATIC_ASSERT(offsetof(struct order, f_signal_id) == 8, "offset of Order.signal_id");
MYC_STATIC_ASSERT(offsetof(struct order, f_symbol) == 16, "offset of Order.symbol");
MYC_STATIC_ASSERT(offsetof(struct order, f_buy) == 40, "offset of Order.buy");
MYC_STATIC_ASSERT(offsetof(struct order, f_limit_price) == 48, "offset of Order.limit_price");
MYC_STATIC_ASSERT(offsetof(struct order, f_size) == 56, "offset of Order.size");
MYC_STATIC_ASSERT(offsetof(struct order, f_expires_at) == 64, "offset of Order.expires_at");

/** All zeros: what a message begins as before its fields are set. */
static inline void order_init(struct order *message) { memset(message, 0, sizeof *message); }

/** The ORDER_PAYLOAD_SIZE bytes of the payload. */
static inline const uint8_t *order_payload(const struct order *message) { return (const uint8_t *)message; }

/* 0, or -1 with the fault; writes zeros over padding and unused capacity if `canonical`. */
static inline int order_structure(uint8_t *payload, int canonical, myc_fault *fault) {
    (void)payload;
    (void)canonical;
    (void)fault;
    if (myc_check_string(payload, 16, 24, 16, 2, canonical, fault)) return -1;
    if (myc_check_bools(payload, 40, 1, 3, fault)) return -1;
    if (canonical) {
        memset(payload + 41, 0, 7);
    }
    return 0;
}

/** Checks the structure of a payload where it lies: size, counts, bools, UTF-8. `fault` may be NULL. */
static inline int order_check(const uint8_t *payload, size_t size, myc_fault *fault) {
    return myc_check_payload(order_structure, payload, size, ORDER_PAYLOAD_SIZE, fault);
}

/** A payload as a message where it lies, without copying; NULL if its structure is wrong. */
static inline const struct order *order_view(const uint8_t *payload, size_t size, myc_fault *fault) {
    return order_check(payload, size, fault) ? NULL : (const struct order *)payload;
}

/** Copies a payload, checks its structure and writes zeros over padding and unused capacity. All zeros on a fault. */
static inline int order_decode(struct order *message, const uint8_t *payload, size_t size, myc_fault *fault) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    if (size != ORDER_PAYLOAD_SIZE) {
        order_init(message);
        return myc_fault_at(fault, MYC_NO_FIELD, 0, MYC_FAULT_SIZE);
    }
    memcpy(message, payload, ORDER_PAYLOAD_SIZE);
    if (!order_structure((uint8_t *)message, 1, &found)) return MYC_OK;
    order_init(message);
    return myc_fault_at(fault, found.field, found.offset, found.reason);
}

/** Checks the rules of the contract: MYC_OK, or the first that is broken. `fault` may be NULL. */
static inline int order_validate(const struct order *message, myc_fault *fault) {
    const uint8_t *f;
    f = message->f_order_id;
    if (!myc_any_bit(f, 8)) return myc_fault_at(fault, 0, 0, MYC_RULE_NOT_ZERO);
    (void)f;
    f = message->f_symbol;
    if (myc_load_u16(f) == 0) return myc_fault_at(fault, 2, 16, MYC_RULE_NOT_EMPTY);
    (void)f;
    f = message->f_limit_price;
    if (!myc_any_bit(f, 8)) return myc_fault_at(fault, 4, 48, MYC_RULE_NOT_ZERO);
    (void)f;
    f = message->f_size;
    if (!myc_any_bit(f, 8)) return myc_fault_at(fault, 5, 56, MYC_RULE_NOT_ZERO);
    (void)f;
    (void)fault;
    return MYC_OK;
}

/** Checks a payload where it lies: its structure, then the rules. `fault` may be NULL. */
static inline int order_verify(const uint8_t *payload, size_t size, myc_fault *fault) {
    int status = order_check(payload, size, fault);
    return status ? status : order_validate((const struct order *)payload, fault);
}

/** Writes the ORDER_PAYLOAD_SIZE bytes of the payload, with zeros in padding and unused capacity.
 *
 * @return MYC_OK; anything else where the struct's memory was not written by the functions of this header.
 */
static inline int order_encode(const struct order *message, uint8_t *out) {
    myc_fault found = {MYC_NO_FIELD, 0, MYC_OK};
    memcpy(out, message, ORDER_PAYLOAD_SIZE);
    return order_structure(out, 1, &found) ? found.reason : MYC_OK;
}

/** Writes the ORDER_FRAME_SIZE bytes of the frame: header and payload. Returns as the function above. */
static inline int order_write_frame(const struct order *message, uint8_t *out) {
    myc_store_header(out, ORDER_TYPE_ID, ORDER_PAYLOAD_SIZE);
    return order_encode(message, out + MYC_HEADER_SIZE);
}

/** order_id: u64, at offset 0.
 * Unique number of the order
 * Rules: not_zero.
 */
static inline uint64_t order_order_id(const struct order *message) { return myc_load_u64(message->f_order_id); }
static inline void order_set_order_id(struct order *message, uint64_t value) { myc_store_u64(message->f_order_id, value); }

/** signal_id: u64, at offset 8.
 * Number of the TradeSignal that led to it, 0 where none did
 */
static inline uint64_t order_signal_id(const struct order *message) { return myc_load_u64(message->f_signal_id); }
static inline void order_set_signal_id(struct order *message, uint64_t value) { myc_store_u64(message->f_signal_id, value); }

/** symbol: String, at most 16 bytes of UTF-8, at offset 16.
 * Symbol of the instrument, at most 16 bytes of UTF-8
 * Rules: not_empty.
 */
#define ORDER_SYMBOL_CAPACITY 16u
static inline myc_text order_symbol(const struct order *message) {
    myc_text text = {(const char *)(message->f_symbol + MYC_COUNT_HEADER), myc_load_count(message->f_symbol, 16)};
    return text;
}
/** MYC_OK, MYC_FAULT_CAPACITY or MYC_FAULT_UTF8, and then nothing has changed. */
static inline int order_set_symbol(struct order *message, const char *text, size_t size) {
    return myc_put_text(message->f_symbol, 24, 16, text, size);
}

/** buy: bool, at offset 40.
 * Whether to buy; otherwise to sell
 */
static inline bool order_buy(const struct order *message) { return myc_load_bool(message->f_buy); }
static inline void order_set_buy(struct order *message, bool value) { myc_store_bool(message->f_buy, value); }

/** limit_price: u64, at offset 48.
 * Worst price that is acceptable, in hundredths of the quote currency
 * Rules: not_zero.
 */
static inline uint64_t order_limit_price(const struct order *message) { return myc_load_u64(message->f_limit_price); }
static inline void order_set_limit_price(struct order *message, uint64_t value) { myc_store_u64(message->f_limit_price, value); }

/** size: u64, at offset 56.
 * Quantity, in thousandths of a unit
 * Rules: not_zero.
 */
static inline uint64_t order_size(const struct order *message) { return myc_load_u64(message->f_size); }
static inline void order_set_size(struct order *message, uint64_t value) { myc_store_u64(message->f_size, value); }

/** expires_at: u64, at offset 64.
 * When it lapses, in nanoseconds since 1970-01-01 UTC; 0 for never
 */
static inline uint64_t order_expires_at(const struct order *message) { return myc_load_u64(message->f_expires_at); }
static inline void order_set_expires_at(struct order *message, uint64_t value) { myc_store_u64(message->f_expires_at, value); }

/** What tables know of the message. */
static inline const myc_message_info *order_info(void) {
    static const char *const rules_order_id[] = {
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "not_zero",
        NULL,
    };
    static const char *const rules_symbol[] = {
        "not_empty",
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
    };
    static const char *const rules_limit_price[] = {
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "not_zero",
        NULL,
    };
    static const char *const rules_size[] = {
        NULL,
        NULL,
        NULL,
        NULL,
        NULL,
        "not_zero",
        NULL,
    };
    static const myc_field_info fields[] = {
        {"order_id", 0, 8, 1, rules_order_id},
        {"signal_id", 8, 8, 1, NULL},
        {"symbol", 16, 24, 16, rules_symbol},
        {"buy", 40, 1, 1, NULL},
        {"limit_price", 48, 8, 1, rules_limit_price},
        {"size", 56, 8, 1, rules_size},
        {"expires_at", 64, 8, 1, NULL},
    };
    static const myc_message_info info = {
        "Order", "execution", 1202, false,
        72, 78, 8, 128, 7, fields,
        order_check, order_verify, order_structure,
    };
    return &info;
}

/* Messages by type id. */

/** What is known of the message of a type id; NULL where the schema has none. */
static inline const myc_message_info *contracts_find(uint16_t type_id) {
    switch (type_id) {
    case TEXT_MESSAGE_TYPE_ID: return text_message_info();
    case PING_TYPE_ID: return ping_info();
    case PONG_TYPE_ID: return pong_info();
    case POOL_STATE_UPDATE_TYPE_ID: return pool_state_update_info();
    case INSTRUMENT_META_TYPE_ID: return instrument_meta_info();
    case ARBITRAGE_SIGNAL_TYPE_ID: return arbitrage_signal_info();
    case TRADE_TICK_TYPE_ID: return trade_tick_info();
    case TRADE_SIGNAL_TYPE_ID: return trade_signal_info();
    case ORDER_TYPE_ID: return order_info();
    default: return NULL;
    }
}

/** What is known of the message at an index below CONTRACTS_MESSAGE_COUNT, in the contract's order; else NULL. */
static inline const myc_message_info *contracts_messages(size_t index) {
    switch (index) {
    case 0: return text_message_info();
    case 1: return ping_info();
    case 2: return pong_info();
    case 3: return pool_state_update_info();
    case 4: return instrument_meta_info();
    case 5: return arbitrage_signal_info();
    case 6: return trade_tick_info();
    case 7: return trade_signal_info();
    case 8: return order_info();
    default: return NULL;
    }
}

#endif
