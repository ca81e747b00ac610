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
