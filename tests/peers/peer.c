/* A peer in C, made of a generated header, sockets and two threads: it connects or listens, sends a run of numbered
 * messages, and compares what it receives with the messages of those numbers, field by field.
 *
 *   peer (connect|listen) (unix:PATH | tcp:HOST:PORT) SEND_FROM RECEIVE_FROM COUNT [--bus]
 *
 * With --bus every frame that it sent comes back as well. Exit codes: 0 all came, 1 a message differs, 2 the
 * connection broke or ended too soon, 3 the other end has other contracts.
 */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "messages.h"

#define WRITE_SIZE 65536
#define READ_SIZE 262144
/* How long to wait for the other end to close first, so that it has read everything. */
#define LINGER_MS 5000

/* Prints a line and ends, also while another thread waits for the socket. */
static void finish(int code, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    putchar('\n');
    fflush(stdout);
    _exit(code);
}

/* --- Message number i, and what its fields are ----------------------------------------------------------- */

typedef union {
    struct trade_tick trade_tick;
    struct trade_signal trade_signal;
    struct text_message text_message;
    struct pool_state_update pool_state_update;
    struct arbitrage_signal arbitrage_signal;
    struct instrument_meta instrument_meta;
} any_message;

static const uint8_t *repeated(uint8_t *bytes, size_t size, uint64_t first, uint64_t step) {
    for (size_t k = 0; k < size; k++) bytes[k] = (uint8_t)((first + step * k) & 255);
    return bytes;
}

/* Returns the type id; ends the program if a setter refuses its value. */
static uint16_t make(uint64_t i, any_message *message) {
    uint8_t bytes[32];
    char text[64];
    int status = 0;
    size_t length;
    switch (i % 6) {
    case 0: {
        struct trade_tick *m = &message->trade_tick;
        trade_tick_init(m);
        trade_tick_set_price(m, i * 1000003);
        trade_tick_set_size(m, UINT64_MAX - i);
        return TRADE_TICK_TYPE_ID;
    }
    case 1: {
        struct trade_signal *m = &message->trade_signal;
        trade_signal_init(m);
        length = (size_t)snprintf(text, sizeof text, "S%" PRIu64, i % 1000);
        status |= trade_signal_set_symbol(m, text, length);
        trade_signal_set_signal_id(m, i + 1);
        trade_signal_set_buy(m, i / 6 % 2 == 0);
        trade_signal_set_confidence(m, (double)(i % 1001) / 1000.0);
        trade_signal_set_target_price(m, 3 * i);
        trade_signal_set_timestamp(m, i * 1000000007);
        if (status) break;
        return TRADE_SIGNAL_TYPE_ID;
    }
    case 2: {
        struct text_message *m = &message->text_message;
        text_message_init(m);
        length = (size_t)snprintf(text, sizeof text, "message %" PRIu64 " \xe2\x9c\x93", i);
        status |= text_message_set_content(m, text, length);
        status |= text_message_set_sender(m, "peer \xc3\xa9", 7);
        text_message_set_timestamp(m, i);
        if (status) break;
        return TEXT_MESSAGE_TYPE_ID;
    }
    case 3: {
        struct pool_state_update *m = &message->pool_state_update;
        pool_state_update_init(m);
        status |= pool_state_update_set_pool_address(m, repeated(bytes, 20, i, 1), 20);
        pool_state_update_set_venue_id(m, (uint16_t)(i & 65535));
        status |= pool_state_update_set_reserve0(m, repeated(bytes, 32, 0, i), 32);
        memset(bytes, 0, 32);
        status |= pool_state_update_set_liquidity(m, bytes, 32);
        for (unsigned k = 0; k < 8; k++) bytes[31 - k] = (uint8_t)(i >> (8 * k) & 255);
        status |= pool_state_update_set_reserve1(m, bytes, 32);
        status |= pool_state_update_set_sqrt_price_x96(m, repeated(bytes, 32, 255, UINT64_MAX), 32);
        pool_state_update_set_tick(m, 500000 - (int32_t)(i % 1000000));
        pool_state_update_set_block_number(m, i);
        if (status) break;
        return POOL_STATE_UPDATE_TYPE_ID;
    }
    case 4: {
        struct arbitrage_signal *m = &message->arbitrage_signal;
        arbitrage_signal_init(m);
        arbitrage_signal_set_opportunity_id(m, i);
        for (uint64_t j = 0; j < 2 + i / 6 % 3; j++)
            status |= arbitrage_signal_append_path(m, repeated(bytes, 20, i + j, 0), 20);
        arbitrage_signal_set_estimated_profit_usd(m, (double)(i % 4096) * 0.25);
        status |= arbitrage_signal_set_gas_estimate_wei(m, repeated(bytes, 32, i, 0), 32);
        arbitrage_signal_set_deadline_block(m, i + 10);
        if (status) break;
        return ARBITRAGE_SIGNAL_TYPE_ID;
    }
    default: {
        struct instrument_meta *m = &message->instrument_meta;
        instrument_meta_init(m);
        status |= instrument_meta_set_token_address(m, repeated(bytes, 20, i, 1), 20);
        length = (size_t)snprintf(text, sizeof text, "T%" PRIu64, i % 100);
        status |= instrument_meta_set_symbol(m, text, length);
        instrument_meta_set_decimals(m, (uint8_t)(1 + i % 30));
        instrument_meta_set_chain_id(m, (uint32_t)(i & 0xFFFFFFFF));
        if (status) break;
        return INSTRUMENT_META_TYPE_ID;
    }
    }
    finish(2, "message %" PRIu64 ": a setter refuses its value", i);
    return 0;
}

/* --- Comparing -------------------------------------------------------------------------------------------- */

/* What is compared: message number i, and whether to end the program at a difference or only to say so. */
typedef struct {
    uint64_t i;
    bool quiet;
} comparison;

static bool numbers(const comparison *c, const char *field, uint64_t expected, uint64_t got) {
    if (expected == got) return true;
    if (!c->quiet)
        finish(1, "message %" PRIu64 " field %s: expected %" PRIu64 " got %" PRIu64, c->i, field, expected, got);
    return false;
}

static bool reals(const comparison *c, const char *field, double expected, double got) {
    if (memcmp(&expected, &got, sizeof got) == 0) return true;
    if (!c->quiet) finish(1, "message %" PRIu64 " field %s: expected %.17g got %.17g", c->i, field, expected, got);
    return false;
}

static bool bytes_same(const comparison *c, const char *field, const void *expected, size_t expected_size,
                       const void *got, size_t size) {
    if (expected_size == size && memcmp(expected, got, size) == 0) return true;
    if (c->quiet) return false;
    printf("message %" PRIu64 " field %s: expected ", c->i, field);
    for (size_t k = 0; k < expected_size; k++) printf("%02x", ((const uint8_t *)expected)[k]);
    printf(" got ");
    for (size_t k = 0; k < size; k++) printf("%02x", ((const uint8_t *)got)[k]);
    finish(1, "");
    return false;
}

static bool texts(const comparison *c, const char *field, myc_text expected, myc_text got) {
    return bytes_same(c, field, expected.data, expected.size, got.data, got.size);
}

/* Whether a payload is that of message number c->i. The first difference ends the program unless c->quiet. */
static bool same(const comparison *c, uint16_t type_id, const any_message *got) {
    any_message wanted;
    uint16_t wanted_id = make(c->i, &wanted);
    if (!numbers(c, "type_id", wanted_id, type_id)) return false;
    switch (type_id) {
    case TRADE_TICK_TYPE_ID: {
        const struct trade_tick *a = &wanted.trade_tick, *b = &got->trade_tick;
        return numbers(c, "price", trade_tick_price(a), trade_tick_price(b)) &&
               numbers(c, "size", trade_tick_size(a), trade_tick_size(b));
    }
    case TRADE_SIGNAL_TYPE_ID: {
        const struct trade_signal *a = &wanted.trade_signal, *b = &got->trade_signal;
        return numbers(c, "signal_id", trade_signal_signal_id(a), trade_signal_signal_id(b)) &&
               texts(c, "symbol", trade_signal_symbol(a), trade_signal_symbol(b)) &&
               numbers(c, "buy", trade_signal_buy(a), trade_signal_buy(b)) &&
               reals(c, "confidence", trade_signal_confidence(a), trade_signal_confidence(b)) &&
               numbers(c, "target_price", trade_signal_target_price(a), trade_signal_target_price(b)) &&
               numbers(c, "timestamp", trade_signal_timestamp(a), trade_signal_timestamp(b));
    }
    case TEXT_MESSAGE_TYPE_ID: {
        const struct text_message *a = &wanted.text_message, *b = &got->text_message;
        return texts(c, "sender", text_message_sender(a), text_message_sender(b)) &&
               texts(c, "content", text_message_content(a), text_message_content(b)) &&
               numbers(c, "timestamp", text_message_timestamp(a), text_message_timestamp(b));
    }
    case POOL_STATE_UPDATE_TYPE_ID: {
        const struct pool_state_update *a = &wanted.pool_state_update, *b = &got->pool_state_update;
        return bytes_same(c, "pool_address", pool_state_update_pool_address(a), 20,
                          pool_state_update_pool_address(b), 20) &&
               numbers(c, "venue_id", pool_state_update_venue_id(a), pool_state_update_venue_id(b)) &&
               bytes_same(c, "reserve0", pool_state_update_reserve0(a), 32, pool_state_update_reserve0(b), 32) &&
               bytes_same(c, "reserve1", pool_state_update_reserve1(a), 32, pool_state_update_reserve1(b), 32) &&
               bytes_same(c, "liquidity", pool_state_update_liquidity(a), 32, pool_state_update_liquidity(b), 32) &&
               bytes_same(c, "sqrt_price_x96", pool_state_update_sqrt_price_x96(a), 32,
                          pool_state_update_sqrt_price_x96(b), 32) &&
               numbers(c, "tick", (uint64_t)pool_state_update_tick(a), (uint64_t)pool_state_update_tick(b)) &&
               numbers(c, "block_number", pool_state_update_block_number(a), pool_state_update_block_number(b));
    }
    case ARBITRAGE_SIGNAL_TYPE_ID: {
        const struct arbitrage_signal *a = &wanted.arbitrage_signal, *b = &got->arbitrage_signal;
        if (!numbers(c, "opportunity_id", arbitrage_signal_opportunity_id(a), arbitrage_signal_opportunity_id(b)) ||
            !numbers(c, "path count", arbitrage_signal_path_count(a), arbitrage_signal_path_count(b)))
            return false;
        for (size_t k = 0; k < arbitrage_signal_path_count(a); k++) {
            const uint8_t *x, *y;
            if (arbitrage_signal_path_at(a, k, &x) || arbitrage_signal_path_at(b, k, &y))
                finish(2, "message %" PRIu64 ": no element %zu", c->i, k);
            if (!bytes_same(c, "path", x, 20, y, 20)) return false;
        }
        return reals(c, "estimated_profit_usd", arbitrage_signal_estimated_profit_usd(a),
                     arbitrage_signal_estimated_profit_usd(b)) &&
               bytes_same(c, "gas_estimate_wei", arbitrage_signal_gas_estimate_wei(a), 32,
                          arbitrage_signal_gas_estimate_wei(b), 32) &&
               numbers(c, "deadline_block", arbitrage_signal_deadline_block(a), arbitrage_signal_deadline_block(b));
    }
    default: {
        const struct instrument_meta *a = &wanted.instrument_meta, *b = &got->instrument_meta;
        return bytes_same(c, "token_address", instrument_meta_token_address(a), 20, instrument_meta_token_address(b),
                          20) &&
               texts(c, "symbol", instrument_meta_symbol(a), instrument_meta_symbol(b)) &&
               numbers(c, "decimals", instrument_meta_decimals(a), instrument_meta_decimals(b)) &&
               numbers(c, "chain_id", instrument_meta_chain_id(a), instrument_meta_chain_id(b));
    }
    }
}

/* Decodes a payload and checks its rules. False: this program does not know the type. */
static bool decode(const myc_frame *frame, any_message *message, uint64_t expected) {
    const uint8_t *payload = frame->payload;
    size_t size = frame->length;
    myc_fault fault;
    int status;
    switch (frame->type_id) {
    case TRADE_TICK_TYPE_ID:
        (void)((status = trade_tick_decode(&message->trade_tick, payload, size, &fault)) ||
               (status = trade_tick_validate(&message->trade_tick, &fault)));
        break;
    case TRADE_SIGNAL_TYPE_ID:
        (void)((status = trade_signal_decode(&message->trade_signal, payload, size, &fault)) ||
               (status = trade_signal_validate(&message->trade_signal, &fault)));
        break;
    case TEXT_MESSAGE_TYPE_ID:
        (void)((status = text_message_decode(&message->text_message, payload, size, &fault)) ||
               (status = text_message_validate(&message->text_message, &fault)));
        break;
    case POOL_STATE_UPDATE_TYPE_ID:
        (void)((status = pool_state_update_decode(&message->pool_state_update, payload, size, &fault)) ||
               (status = pool_state_update_validate(&message->pool_state_update, &fault)));
        break;
    case ARBITRAGE_SIGNAL_TYPE_ID:
        (void)((status = arbitrage_signal_decode(&message->arbitrage_signal, payload, size, &fault)) ||
               (status = arbitrage_signal_validate(&message->arbitrage_signal, &fault)));
        break;
    case INSTRUMENT_META_TYPE_ID:
        (void)((status = instrument_meta_decode(&message->instrument_meta, payload, size, &fault)) ||
               (status = instrument_meta_validate(&message->instrument_meta, &fault)));
        break;
    default: return false;
    }
    if (status) {
        char text[256];
        myc_fault_text(contracts_find(frame->type_id), &fault, text, sizeof text);
        finish(1, "message %" PRIu64 ": %s", expected, text);
    }
    return true;
}

/* --- Sending and receiving --------------------------------------------------------------------------------- */

typedef struct {
    int socket;
    uint64_t from, count;
} run;

static void send_all(int socket, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent < 0) finish(2, "the connection broke while sending");
        bytes += sent;
        size -= (size_t)sent;
    }
}

/* A thread: sends messages, as many in one write as fit in a buffer. */
static void *sender(void *argument) {
    const run *task = (const run *)argument;
    static uint8_t buffer[WRITE_SIZE];
    size_t used = 0;
    for (uint64_t k = 0; k < task->count; k++) {
        any_message message;
        uint16_t type_id = make(task->from + k, &message);
        const myc_message_info *info = contracts_find(type_id);
        if (sizeof buffer - used < info->frame_size) {
            send_all(task->socket, buffer, used);
            used = 0;
        }
        int status = 0;
        uint8_t *out = buffer + used;
        switch (type_id) {
        case TRADE_TICK_TYPE_ID: status = trade_tick_write_frame(&message.trade_tick, out); break;
        case TRADE_SIGNAL_TYPE_ID: status = trade_signal_write_frame(&message.trade_signal, out); break;
        case TEXT_MESSAGE_TYPE_ID: status = text_message_write_frame(&message.text_message, out); break;
        case POOL_STATE_UPDATE_TYPE_ID: status = pool_state_update_write_frame(&message.pool_state_update, out); break;
        case ARBITRAGE_SIGNAL_TYPE_ID: status = arbitrage_signal_write_frame(&message.arbitrage_signal, out); break;
        default: status = instrument_meta_write_frame(&message.instrument_meta, out); break;
        }
        if (status) finish(2, "message %" PRIu64 " cannot be encoded", task->from + k);
        used += info->frame_size;
    }
    send_all(task->socket, buffer, used);
    return NULL;
}

/* Receives until everything expected has come; the counters are of what came. */
static void receive(int socket, const run *theirs, const run *ours, uint64_t *skipped) {
    static uint8_t buffer[READ_SIZE];
    size_t filled = 0;
    uint64_t received = 0, own = 0;
    while (received < theirs->count || own < ours->count) {
        ssize_t size = recv(socket, buffer + filled, sizeof buffer - filled, 0);
        if (size <= 0) finish(2, "the connection ended after %" PRIu64 " messages", received);
        filled += (size_t)size;
        size_t at = 0;
        myc_frame frame;
        int status;
        while ((status = myc_next_frame(buffer + at, filled - at, &frame)) == MYC_OK) {
            any_message message;
            at += frame.size;
            if (!decode(&frame, &message, theirs->from + received)) {
                ++*skipped;
                continue;
            }
            bool own_left = own < ours->count;
            comparison next = {theirs->from + received, own_left};
            if (received < theirs->count && same(&next, frame.type_id, &message)) {
                received++;
                continue;
            }
            comparison next_own = {ours->from + own, received < theirs->count};
            if (own_left && same(&next_own, frame.type_id, &message)) {
                own++;
                continue;
            }
            next.quiet = false;
            if (received < theirs->count) same(&next, frame.type_id, &message);
            finish(1, "message %" PRIu64 " field type_id: expected nothing more got %u", next.i, frame.type_id);
        }
        if (status == MYC_FAULT_LENGTH || (at == 0 && filled == sizeof buffer))
            finish(2, "a frame of type id %u announces %" PRIu32 " bytes", frame.type_id, frame.length);
        memmove(buffer, buffer + at, filled - at);
        filled -= at;
    }
}

/* --- Connecting -------------------------------------------------------------------------------------------- */

/* A socket that is connected to the address, or accepted one connection on it. */
static int open_socket(const char *address, bool listening) {
    union {
        struct sockaddr any;
        struct sockaddr_un unix_;
        struct sockaddr_storage storage;
    } name;
    socklen_t size;
    memset(&name, 0, sizeof name);
    if (strncmp(address, "unix:", 5) == 0) {
        name.unix_.sun_family = AF_UNIX;
        if (strlen(address + 5) >= sizeof name.unix_.sun_path) finish(2, "%s is too long", address);
        strcpy(name.unix_.sun_path, address + 5);
        size = sizeof name.unix_;
    } else {
        char host[256];
        const char *colon = strrchr(address, ':');
        struct addrinfo hints, *found;
        if (strncmp(address, "tcp:", 4) != 0 || colon < address + 4 || colon - address - 4 >= (ptrdiff_t)sizeof host)
            finish(2, "%s is no address: unix:PATH or tcp:HOST:PORT", address);
        snprintf(host, sizeof host, "%.*s", (int)(colon - address - 4), address + 4);
        memset(&hints, 0, sizeof hints);
        hints.ai_socktype = SOCK_STREAM;
        if (getaddrinfo(host, colon + 1, &hints, &found)) finish(2, "%s cannot be resolved", address);
        size = found->ai_addrlen;
        memcpy(&name, found->ai_addr, size);
        freeaddrinfo(found);
    }
    int made = socket(name.any.sa_family, SOCK_STREAM, 0);
    if (made < 0) finish(2, "no socket");
    if (!listening) {
        if (connect(made, &name.any, size)) finish(2, "%s: cannot connect", address);
        return made;
    }
    if (bind(made, &name.any, size) || listen(made, 1)) finish(2, "%s: cannot listen", address);
    if (name.any.sa_family == AF_UNIX) {
        printf("listening %s\n", address);
    } else {
        char host[256], port[32];
        size = sizeof name;
        if (getsockname(made, &name.any, &size) ||
            getnameinfo(&name.any, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
            finish(2, "%s: no name", address);
        printf("listening tcp:%s:%s\n", host, port);
    }
    fflush(stdout);
    int accepted = accept(made, NULL, NULL);
    if (accepted < 0) finish(2, "%s: cannot accept", address);
    close(made);
    return accepted;
}

static void check_handshake(int socket) {
    uint8_t bytes[MYC_HANDSHAKE_SIZE];
    size_t filled = 0;
    while (filled < sizeof bytes) {
        ssize_t size = recv(socket, bytes + filled, sizeof bytes - filled, 0);
        if (size <= 0) finish(2, "the connection ended before the handshake");
        filled += (size_t)size;
    }
    if (contracts_check_handshake(bytes, sizeof bytes)) finish(3, "refused");
}

int main(int count, char **arguments) {
    bool bus = count == 7 && strcmp(arguments[6], "--bus") == 0;
    bool listening = count > 1 && strcmp(arguments[1], "listen") == 0;
    if ((count != 6 && !bus) || (!listening && strcmp(arguments[1], "connect") != 0))
        finish(2, "usage: peer (connect|listen) ADDRESS SEND_FROM RECEIVE_FROM COUNT [--bus]");
    int socket = open_socket(arguments[2], listening);
    run ours = {socket, strtoull(arguments[3], NULL, 10), strtoull(arguments[5], NULL, 10)};
    run theirs = {socket, strtoull(arguments[4], NULL, 10), ours.count};
    run back = {socket, ours.from, bus ? ours.count : 0};
    if (listening) {
        check_handshake(socket);
    } else {
        uint8_t bytes[MYC_HANDSHAKE_SIZE];
        contracts_write_handshake(bytes);
        send_all(socket, bytes, sizeof bytes);
    }
    uint64_t skipped = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, sender, &ours)) finish(2, "no thread");
    receive(socket, &theirs, &back, &skipped);
    pthread_join(thread, NULL);
    printf("sent %" PRIu64 " received %" PRIu64 " own %" PRIu64 " skipped %" PRIu64 "\n", ours.count, theirs.count,
           back.count, skipped);
    fflush(stdout);
    /* Closing with something unread would cost the other end what it has not read yet. */
    struct pollfd readable = {socket, POLLIN, 0};
    uint8_t rest[4096];
    shutdown(socket, SHUT_WR);
    while (poll(&readable, 1, LINGER_MS) > 0 && recv(socket, rest, sizeof rest, 0) > 0) {
    }
    close(socket);
    return 0;
}
