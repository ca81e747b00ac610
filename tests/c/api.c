/* Every accessor of a generated header (api.yaml), in C and in C++: prints the payload that it built, and what it finds
 * wrong with others. Ends with 0 if all is as it should be.
 */
#include <stdio.h>
#include <stdlib.h>

#include "messages.h"

#define REQUIRE(condition)                                                      \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition); \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

static void print_hex(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) printf("%02x", bytes[i]);
    printf("\n");
}

static void build(struct everything *m) {
    const uint8_t three[3] = {1, 2, 3}, words[6] = {11, 12, 13, 14, 15, 16}, *key;
    const int16_t numbers[3] = {-1, 2, -32768};
    const bool flags[2] = {true, false};
    const float reals[2] = {1.5f, -0.0f};
    uint8_t u256[32] = {0};
    myc_u128 wide = {1, 2}, got;
    myc_i128 negative = {-1, 5};
    u256[31] = 9;
    everything_init(m);
    everything_set_a_u8(m, 200);
    everything_set_a_u16(m, 0xABCD);
    everything_set_a_u32(m, 0xDEADBEEF);
    everything_set_a_u64(m, UINT64_C(0x0123456789ABCDEF));
    everything_set_a_u128(m, wide);
    everything_set_a_i8(m, -100);
    everything_set_a_i16(m, -30000);
    everything_set_a_i32(m, -2000000000);
    everything_set_a_i64(m, INT64_MIN);
    everything_set_a_i128(m, negative);
    everything_set_a_f32(m, 0.1f);
    everything_set_a_f64(m, -1e300);
    everything_set_a_bool(m, true);
    REQUIRE(everything_set_a_bytes(m, three, 3) == MYC_OK);
    REQUIRE(everything_set_a_u256(m, u256, 32) == MYC_OK);
    REQUIRE(everything_set_a_string(m, "\xc3\xa9t\xc3\xa9", 5) == MYC_OK);
    REQUIRE(everything_set_a_blob(m, three, 3) == MYC_OK);
    REQUIRE(everything_set_numbers(m, numbers, 3) == MYC_OK);
    REQUIRE(everything_append_wide(m, wide) == MYC_OK);
    REQUIRE(everything_set_keys_at(m, 0, three, 2) == MYC_OK);
    REQUIRE(everything_set_keys_at(m, 1, three + 1, 2) == MYC_OK);
    REQUIRE(everything_set_words(m, words, 3) == MYC_OK);
    REQUIRE(everything_set_words(m, words, 2) == MYC_OK);
    REQUIRE(everything_set_flags(m, flags, 2) == MYC_OK);
    REQUIRE(everything_set_reals(m, reals, 2) == MYC_OK);

    REQUIRE(everything_a_u8(m) == 200 && everything_a_u16(m) == 0xABCD && everything_a_u32(m) == 0xDEADBEEF);
    REQUIRE(everything_a_u64(m) == UINT64_C(0x0123456789ABCDEF) && everything_a_i8(m) == -100);
    REQUIRE(everything_a_u128(m).high == 1 && everything_a_u128(m).low == 2);
    REQUIRE(everything_a_i16(m) == -30000 && everything_a_i32(m) == -2000000000 && everything_a_i64(m) == INT64_MIN);
    REQUIRE(everything_a_i128(m).high == -1 && everything_a_i128(m).low == 5 && everything_a_bool(m));
    REQUIRE(everything_a_bytes(m)[2] == 3 && everything_a_u256(m)[31] == 9);
    REQUIRE(everything_a_string(m).size == 5 && memcmp(everything_a_string(m).data, "\xc3\xa9t", 3) == 0);
    REQUIRE(everything_a_blob(m).size == 3 && everything_a_blob(m).data[0] == 1);
    int16_t number;
    REQUIRE(everything_numbers_count(m) == 3 && everything_numbers_at(m, 2, &number) == MYC_OK && number == -32768);
    REQUIRE(everything_wide_count(m) == 1 && everything_wide_at(m, 0, &got) == MYC_OK && got.low == 2);
    REQUIRE(everything_keys_at(m, 1, &key) == MYC_OK && key[1] == 3);
    REQUIRE(everything_words_count(m) == 2 && everything_words_at(m, 1, &key) == MYC_OK && key[0] == 13);
    bool flag = true;
    REQUIRE(everything_flags_at(m, 1, &flag) == MYC_OK && !flag);
    float real;
    REQUIRE(everything_reals_at(m, 0, &real) == MYC_OK && real > 1.4f);
#if defined(__SIZEOF_INT128__)
    everything_set_a_i128(m, myc_i128_from(myc_i128_native(everything_a_i128(m)) - 1));
    REQUIRE(everything_a_i128(m).high == -1 && everything_a_i128(m).low == 4);
    everything_set_a_i128(m, myc_i128_from(myc_i128_native(everything_a_i128(m)) + 1));
    everything_set_a_u128(m, myc_u128_from(myc_u128_native(everything_a_u128(m)) + 1));
    everything_set_a_u128(m, myc_u128_from(myc_u128_native(everything_a_u128(m)) - 1));
#endif
}

/* What a setter refuses leaves everything as it was. */
static void refuse(struct everything *m) {
    struct everything before = *m;
    const uint8_t bytes[40] = {0}, *key = NULL;
    const int16_t numbers[4] = {0, 0, 0, 0};
    const myc_u128 wide[3] = {{0, 0}, {0, 0}, {0, 0}};
    int16_t number;
    REQUIRE(everything_set_a_bytes(m, bytes, 2) == MYC_FAULT_SIZE);
    REQUIRE(everything_set_a_u256(m, bytes, 33) == MYC_FAULT_SIZE);
    REQUIRE(everything_set_a_string(m, "123456", 6) == MYC_FAULT_CAPACITY);
    REQUIRE(everything_set_a_string(m, "\xed\xa0\x80", 3) == MYC_FAULT_UTF8);
    REQUIRE(everything_set_a_blob(m, bytes, 6) == MYC_FAULT_CAPACITY);
    REQUIRE(everything_set_numbers(m, numbers, 4) == MYC_FAULT_SIZE);
    REQUIRE(everything_set_numbers_at(m, 3, 1) == MYC_FAULT_INDEX);
    REQUIRE(everything_numbers_at(m, 3, &number) == MYC_FAULT_INDEX);
    REQUIRE(everything_set_wide(m, wide, 3) == MYC_FAULT_CAPACITY);
    REQUIRE(everything_set_wide_at(m, 1, wide[0]) == MYC_FAULT_INDEX);
    REQUIRE(everything_set_keys_at(m, 0, bytes, 3) == MYC_FAULT_SIZE);
    REQUIRE(everything_set_keys_at(m, 2, bytes, 2) == MYC_FAULT_INDEX);
    REQUIRE(everything_keys_at(m, 2, &key) == MYC_FAULT_INDEX && !key);
    REQUIRE(everything_append_words(m, bytes, 1) == MYC_FAULT_SIZE);
    REQUIRE(everything_set_words(m, bytes, 4) == MYC_FAULT_CAPACITY);
    REQUIRE(memcmp(m, &before, sizeof before) == 0);
}

/* Decodes payloads that are wrong, one byte each, and prints what is said of them. */
static void explain(const struct everything *m) {
    static const struct {
        size_t offset;
        uint8_t byte;
    } faults[] = {
        {offsetof(struct everything, f_a_bool), 2},      {offsetof(struct everything, f_a_string), 6},
        {offsetof(struct everything, f_a_string) + 9, 65}, {offsetof(struct everything, f_wide), 3},
        {offsetof(struct everything, f_flags) + 9, 7},
    };
    char text[200];
    myc_fault fault;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        uint8_t payload[EVERYTHING_PAYLOAD_SIZE];
        struct everything decoded, zeros;
        REQUIRE(everything_encode(m, payload) == MYC_OK);
        payload[faults[i].offset] = faults[i].byte;
        REQUIRE(everything_decode(&decoded, payload, sizeof payload, &fault) == fault.reason && fault.reason);
        REQUIRE(everything_check(payload, sizeof payload, NULL) == fault.reason);
        REQUIRE(!everything_view(payload, sizeof payload, NULL));
        everything_init(&zeros);
        REQUIRE(memcmp(&decoded, &zeros, sizeof zeros) == 0);
        size_t length = myc_fault_text(everything_info(), &fault, text, sizeof text);
        REQUIRE(length == strlen(text));
        printf("%s\n", text);
        char cut[10];
        REQUIRE(myc_fault_text(everything_info(), &fault, cut, sizeof cut) == length && memcmp(cut, text, 9) == 0);
        REQUIRE(cut[9] == 0);
    }
    REQUIRE(everything_check(NULL, 0, &fault) == MYC_FAULT_SIZE && fault.field == MYC_NO_FIELD);
}

static void rules(void) {
    struct ruled m;
    myc_fault fault;
    uint8_t number[32] = {0};
    myc_i128 large = {0, 7};
    ruled_init(&m);
    REQUIRE(ruled_validate(&m, &fault) == MYC_RULE_NOT_EMPTY && fault.field == 0 && fault.offset == 0);
    REQUIRE(ruled_set_name(&m, "x", 1) == MYC_OK && ruled_validate(&m, NULL) == MYC_RULE_MIN_LENGTH);
    REQUIRE(ruled_set_name(&m, "0X", 2) == MYC_OK && ruled_validate(&m, NULL) == MYC_RULE_NO_0X_PREFIX);
    REQUIRE(ruled_set_name(&m, "ok", 2) == MYC_OK && ruled_validate(&m, NULL) == MYC_RULE_MIN);
    ruled_set_share(&m, (double)NAN);
    REQUIRE(ruled_validate(&m, &fault) == MYC_RULE_MIN && fault.field == 1 && fault.offset == 16);
    ruled_set_share(&m, 1.5000001);
    REQUIRE(ruled_validate(&m, NULL) == MYC_RULE_MAX);
    ruled_set_share(&m, 1.5);
    number[30] = 1;
    number[31] = 43;
    REQUIRE(ruled_set_big(&m, number, 32) == MYC_OK && ruled_validate(&m, &fault) == MYC_RULE_MIN && fault.field == 2);
    number[31] = 44;
    REQUIRE(ruled_set_big(&m, number, 32) == MYC_OK);
    large.high = -1;
    ruled_set_large(&m, large);
    REQUIRE(ruled_validate(&m, &fault) == MYC_RULE_MIN && fault.field == 3);
    large.high = 1;
    ruled_set_large(&m, large);
    REQUIRE(ruled_validate(&m, NULL) == MYC_RULE_MAX);
    large.low = 0;
    ruled_set_large(&m, large);
    REQUIRE(ruled_validate(&m, &fault) == MYC_RULE_NOT_ZERO && fault.field == 4);
    char text[100];
    myc_fault_text(ruled_info(), &fault, text, sizeof text);
    REQUIRE(strcmp(text, "Ruled.id: the value breaks the rule not_zero, at offset 80") == 0);
    ruled_set_id(&m, 1);
    REQUIRE(ruled_validate(&m, &fault) == MYC_OK && RULED_CONFIDENTIAL && ruled_info()->confidential);
    REQUIRE(ruled_verify(ruled_payload(&m), RULED_PAYLOAD_SIZE, NULL) == MYC_OK);
}

static void frames(const struct everything *m) {
    static uint8_t stream[EVERYTHING_FRAME_SIZE + NOTHING_FRAME_SIZE];
    struct nothing none;
    myc_frame frame;
    nothing_init(&none);
    REQUIRE(NOTHING_PAYLOAD_SIZE == 0 && nothing_decode(&none, NULL, 0, NULL) == MYC_OK);
    REQUIRE(nothing_decode(&none, stream, 1, NULL) == MYC_FAULT_SIZE);
    REQUIRE(everything_write_frame(m, stream) == MYC_OK);
    REQUIRE(nothing_write_frame(&none, stream + EVERYTHING_FRAME_SIZE) == MYC_OK);
    for (size_t size = 0; size < EVERYTHING_FRAME_SIZE; size++)
        REQUIRE(myc_next_frame(stream, size, &frame) == MYC_FAULT_PARTIAL);
    REQUIRE(myc_next_frame(stream, sizeof stream, &frame) == MYC_OK && frame.type_id == EVERYTHING_TYPE_ID);
    REQUIRE(frame.payload == stream + 6 && api_find(frame.type_id)->check(frame.payload, frame.length, NULL) == MYC_OK);
    REQUIRE(myc_next_frame(stream + frame.size, sizeof stream - frame.size, &frame) == MYC_OK);
    REQUIRE(frame.type_id == NOTHING_TYPE_ID && frame.length == 0 && frame.size == 6);
    const uint8_t long_one[6] = {1, 0, 1, 0, 0, 1}, longest[6] = {1, 0, 0, 0, 0, 1};
    REQUIRE(myc_next_frame(long_one, 6, &frame) == MYC_FAULT_LENGTH && frame.length == MYC_MAX_PAYLOAD_SIZE + 1);
    REQUIRE(myc_next_frame(longest, 6, &frame) == MYC_FAULT_PARTIAL && frame.type_id == 1);

    REQUIRE(!api_find(1) && !api_messages(API_MESSAGE_COUNT));
    REQUIRE(strcmp(api_find(1999)->name, "Nothing") == 0 && strcmp(api_messages(0)->topic, "market-data") == 0);

    uint8_t handshake[MYC_HANDSHAKE_SIZE];
    api_write_handshake(handshake);
    REQUIRE(api_check_handshake(handshake, sizeof handshake) == MYC_OK);
    REQUIRE(api_check_handshake(handshake, sizeof handshake - 1) == MYC_FAULT_HANDSHAKE);
    handshake[33] ^= 1;
    REQUIRE(api_check_handshake(handshake, sizeof handshake) == MYC_FAULT_HANDSHAKE);
    handshake[33] ^= 1;
    handshake[0] = 33;
    REQUIRE(api_check_handshake(handshake, sizeof handshake) == MYC_FAULT_HANDSHAKE);
}

int main(void) {
    struct everything m, dirty;
    uint8_t payload[EVERYTHING_PAYLOAD_SIZE];
    build(&m);
    refuse(&m);
    REQUIRE(everything_encode(&m, payload) == MYC_OK);
    print_hex(payload, sizeof payload);
    print_hex(everything_payload(&m), EVERYTHING_PAYLOAD_SIZE);

    /* Set up by the setters alone, over what was there before: no byte of that is sent. */
    memset(&dirty, 0xA5, sizeof dirty);
    memcpy(dirty.f_a_u8, m.f_a_u8, 1);
    REQUIRE(everything_encode(&dirty, payload) != MYC_OK);
    dirty = m;
    memset(dirty.pad_0, 0xA5, sizeof dirty.pad_0);
    dirty.f_a_string[3] = 0xA5;
    REQUIRE(everything_encode(&dirty, payload) == MYC_OK && memcmp(payload, &m, sizeof m) == 0);

    /* A field can be set from itself. */
    REQUIRE(everything_set_a_string(&m, everything_a_string(&m).data + 2, 3) == MYC_OK);
    REQUIRE(everything_a_string(&m).size == 3 && memcmp(everything_a_string(&m).data, "t\xc3\xa9\0\0", 5) == 0);
    build(&m);
    explain(&m);
    rules();
    frames(&m);
    return 0;
}
