/* The router among random peers: usage: fuzz SEED ROUNDS [STEPS]
 *
 * In each round a new router, of random options, has an honest publisher, an honest subscriber, and guests: peers that
 * send frames, mutated frames and halves of frames, read or do not, close, and of whom the control plane says random
 * things. Guests may not publish the honest types, so what the subscriber gets of those is known exactly:
 *
 *     every frame of a type in order, and where some are missing, a `Lagged` that says how many (MYC_DROP);
 *     everything (MYC_BLOCK); everything until it is cut off (MYC_DISCONNECT)
 *
 * Meant for the sanitizers: this thread is the control plane and all the peers, the other one is the router's. Ends
 * with 0, or says on standard error what went wrong in which round, and with 1. The same seed makes the same peers;
 * how far the router gets between their steps is up to the system.
 */
#define _GNU_SOURCE
#include "router.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    GUESTS = 10,
    SMALL = 1200, SMALL_SIZE = 16,     /* the honest types */
    LARGE = 1205, LARGE_SIZE = 100000, /* ... of which one is gathered apart */
    LAGGED = 7,
    MOST = 1 << 19,                    /* bytes that a peer sends at once */
    PATIENCE_S = 60
};

typedef struct {
    int fd; /* our end; -1: none */
    myc_connection *connection; /* NULL once it ended */
} peer;

static struct {
    uint64_t seed;
    int number, policy;
    myc_router *router;
    peer guests[GUESTS], publisher, subscriber;
    uint64_t next_id, admitted, ended;
    int cut_off; /* the subscriber, being slow */

    uint8_t out[2 * MOST]; /* what the publisher has not sent yet */
    size_t out_begin, out_end;
    uint8_t in[2 * MOST];  /* what the subscriber has of an incomplete frame */
    size_t in_size;
    uint64_t sent[2], expected[2], seen[2], lagged; /* by honest type: SMALL, LARGE */
} round_;

static uint8_t scratch[2 * MOST];

static void fail(const char *what, uint64_t one, uint64_t other) {
    fprintf(stderr, "seed %llu round %d policy %d: %s (%llu, %llu)\n", (unsigned long long)round_.seed, round_.number,
            round_.policy, what, (unsigned long long)one, (unsigned long long)other);
    abort();
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* --- chance ------------------------------------------------------------------------------------------------------ */

static uint64_t state;

/* A number below `n`; 0 for 0. */
static uint32_t chance(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (uint32_t)(state >> 11) % n : 0;
}

static int once_in(uint32_t n) { return chance(n) == 0; }

/* --- frames ------------------------------------------------------------------------------------------------------ */

static size_t put_header(uint8_t *to, uint16_t type_id, uint32_t length) {
    memcpy(to, &type_id, 2);
    memcpy(to + 2, &length, 4);
    return 6;
}

/* The honest frame of a number: the number, and bytes that follow from it. */
static size_t put_honest(uint8_t *to, int large, uint64_t number) {
    uint32_t length = large ? LARGE_SIZE : SMALL_SIZE;
    put_header(to, large ? LARGE : SMALL, length);
    memcpy(to + 6, &number, 8);
    memset(to + 14, (int)(number % 251), length - 8);
    return 6 + length;
}

static size_t put_random(uint8_t *to, size_t room) {
    static const uint32_t lengths[] = {0, 16, 16, 16, 312, 312, 1000, 30000};
    uint32_t length = lengths[chance(8)];
    uint16_t type_id = (uint16_t)(1198 + chance(10));
    if (once_in(10)) type_id = (uint16_t)chance(65536);
    if (once_in(10)) { /* a core frame, perhaps of its right length */
        type_id = (uint16_t)(1 + chance(14));
        length = once_in(2) ? 8 : chance(130);
    }
    if (room < 6 + length) return 0;
    size_t size = put_header(to, type_id, length);
    for (uint32_t i = 0; i < length; i++) to[size++] = (uint8_t)chance(256);
    return size;
}

/* A stream of frames, of which some bytes may be others and the end may be missing. */
static size_t put_stream(uint8_t *to) {
    size_t size = 0;
    for (uint32_t i = chance(60); i > 0; i--) size += put_random(to + size, MOST - size);
    if (size && once_in(4))
        for (uint32_t i = 1 + chance(4); i > 0; i--) to[chance((uint32_t)size)] = (uint8_t)chance(256);
    return once_in(3) ? chance((uint32_t)size + 1) : size;
}

/* --- the honest ------------------------------------------------------------------------------------------------- */

static void publish(void) {
    if (round_.out_begin == round_.out_end) round_.out_begin = round_.out_end = 0;
    for (uint32_t i = chance(50); i > 0; i--) {
        int large = once_in(40);
        if (sizeof round_.out - round_.out_end < 6 + LARGE_SIZE) break;
        round_.out_end += put_honest(round_.out + round_.out_end, large, round_.sent[large]++);
    }
}

/* Send some of it; returns whether the kernel took anything. */
static int push(void) {
    size_t size = round_.out_end - round_.out_begin;
    if (!size || round_.publisher.fd < 0) return 1;
    if (once_in(3)) size = 1 + chance((uint32_t)size);
    ssize_t took = send(round_.publisher.fd, round_.out + round_.out_begin, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (took < 0 && errno != EAGAIN) fail("the publisher cannot send", (uint64_t)errno, 0);
    if (took > 0) round_.out_begin += (size_t)took;
    return took > 0;
}

static void take_honest(int large, const uint8_t *payload) {
    uint64_t number;
    memcpy(&number, payload, 8);
    if (number != round_.expected[large])
        fail("a frame out of order, or lost without a word", number, round_.expected[large]);
    for (size_t i = 8; i < (large ? LARGE_SIZE : SMALL_SIZE); i++)
        if (payload[i] != number % 251) fail("a frame is not what was sent", number, i);
    round_.expected[large]++;
    round_.seen[large]++;
}

static void take_lagged(const uint8_t *payload) {
    uint16_t type_id;
    uint64_t count;
    memcpy(&type_id, payload, 2);
    memcpy(&count, payload + 8, 8);
    if (round_.policy != MYC_DROP) fail("frames were left out", type_id, count);
    if (type_id != SMALL && type_id != LARGE) fail("frames were left out that it never asked for", type_id, count);
    if (!count) fail("a report of nothing", type_id, count);
    round_.expected[type_id == LARGE] += count;
    round_.lagged += count;
}

static void subscriber_reads(void) {
    while (round_.subscriber.fd >= 0) {
        size_t room = sizeof round_.in - round_.in_size;
        ssize_t got = recv(round_.subscriber.fd, round_.in + round_.in_size, room, MSG_DONTWAIT);
        if (got <= 0) return;
        round_.in_size += (size_t)got;
        size_t done = 0;
        for (;;) {
            uint16_t type_id;
            uint32_t length;
            if (round_.in_size - done < 6) break;
            memcpy(&type_id, round_.in + done, 2);
            memcpy(&length, round_.in + done + 2, 4);
            uint32_t right = type_id == SMALL || type_id == LAGGED ? 16 : type_id == LARGE ? LARGE_SIZE : UINT32_MAX;
            if (length != right) fail("a frame that nobody sent it", type_id, length);
            if (round_.in_size - done < 6 + length) break;
            if (type_id == LAGGED) take_lagged(round_.in + done + 6);
            else take_honest(type_id == LARGE, round_.in + done + 6);
            done += 6 + length;
        }
        memmove(round_.in, round_.in + done, round_.in_size - done);
        round_.in_size -= done;
    }
}

/* --- the control plane ------------------------------------------------------------------------------------------- */

/* Everything random, but the honest types. */
static void random_types(uint64_t *bits) {
    for (int i = 0; i < MYC_TYPE_WORDS; i++) bits[i] = once_in(3) ? state : UINT64_MAX;
    bits[SMALL / 64] &= ~(UINT64_C(1) << SMALL % 64);
    bits[LARGE / 64] &= ~(UINT64_C(1) << LARGE % 64);
}

static void connect_peer(peer *p, const myc_connection_options *options, const uint8_t *bytes, size_t size) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) fail("no socket pair", (uint64_t)errno, 0);
    p->fd = ends[1];
    p->connection = myc_router_add(round_.router, ends[0], round_.next_id++, options, bytes, size);
    if (!p->connection) fail("no connection", (uint64_t)errno, 0);
    round_.admitted++;
}

static void leave(peer *p) {
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
}

static peer *owner(const myc_connection *connection) {
    for (int i = 0; i < GUESTS; i++)
        if (round_.guests[i].connection == connection) return &round_.guests[i];
    return round_.publisher.connection == connection    ? &round_.publisher
           : round_.subscriber.connection == connection ? &round_.subscriber
                                                        : NULL;
}

static void one_ended(const myc_event *event, int stopped) {
    peer *p = owner(event->connection);
    myc_connection_stats stats;
    myc_connection_get_stats(event->connection, &stats);
    round_.ended++;
    if (p == &round_.publisher && !stopped) fail("the publisher was cut off", (uint64_t)event->reason, event->number);
    if (p == &round_.publisher && !round_.cut_off &&
        stats.frames_in != round_.sent[0] + round_.sent[1])
        fail("frames in", stats.frames_in, round_.sent[0] + round_.sent[1]);
    if (p == &round_.subscriber) {
        if (!stopped && (round_.policy != MYC_DISCONNECT || event->reason != MYC_END_SLOW))
            fail("the subscriber was cut off", (uint64_t)event->reason, event->number);
        if (!stopped) round_.cut_off = 1;
        else if (stats.frames_out != round_.seen[0] + round_.seen[1] || stats.missed != round_.lagged)
            fail("frames out, or missed", stats.frames_out, stats.missed);
    }
    if (p) {
        p->connection = NULL;
        leave(p);
    }
    myc_router_release(round_.router, event->connection);
}

static void take_events(int stopped) {
    myc_event *events;
    size_t count = myc_router_take_events(round_.router, &events);
    for (size_t i = 0; i < count; i++) {
        if (events[i].kind == MYC_EVENT_ENDED) one_ended(&events[i], stopped);
        else if (events[i].kind == MYC_EVENT_TOO_LONG) myc_router_close(round_.router, events[i].connection, 0.05);
        free(events[i].data);
    }
    free(events);
}

static void say_something(peer *p) {
    myc_router *router = round_.router;
    uint64_t bits[2][MYC_TYPE_WORDS];
    uint16_t types[300];
    size_t count = once_in(10) ? chance(300) : chance(4);
    if (!p->connection) return;
    switch (chance(8)) {
    case 0: case 1:
        for (size_t i = 0; i < count; i++) types[i] = (uint16_t)(1198 + chance(count > 4 ? 300 : 8));
        myc_router_subscribe(router, p->connection, once_in(2), once_in(4), types, count);
        break;
    case 2:
        random_types(bits[0]);
        random_types(bits[1]);
        if (once_in(2)) bits[1][SMALL / 64] = UINT64_MAX; /* it may receive the honest types */
        myc_router_allow(router, p->connection, bits[0], once_in(2) ? bits[1] : NULL);
        break;
    case 3: case 4:
        myc_router_set_flags(router, p->connection, chance(32));
        break;
    case 5:
        count = put_header(scratch, 8, chance(60));
        myc_router_send(router, p->connection, scratch, count + scratch[2]);
        break;
    case 6:
        myc_router_limit(router, p->connection, once_in(2) ? 0 : 10 + chance(100000),
                         once_in(2) ? 0 : chance(10000000));
        break;
    case 7:
        if (once_in(4)) myc_router_close(router, p->connection, once_in(2) ? 0.05 : 0);
        break;
    }
}

static void look_at_figures(const peer *p) {
    myc_connection_stats stats;
    uint64_t bits[MYC_TYPE_WORDS], frames, bytes;
    if (!p->connection) return;
    myc_connection_get_stats(p->connection, &stats);
    myc_connection_published(p->connection, bits);
    myc_router_type_stats(round_.router, SMALL, &frames, &bytes);
    if (bits[SMALL / 64] >> SMALL % 64 & 1) fail("a guest published what it may not", stats.frames_in, frames);
}

/* --- guests ------------------------------------------------------------------------------------------------------ */

static void join_in(peer *p) {
    uint64_t bits[MYC_TYPE_WORDS];
    myc_connection_options options = {0};
    random_types(bits);
    options.flags = chance(32);
    if (once_in(2)) options.publish = bits;
    else options.knows = bits; /* its contracts do not have the honest types, whatever it may publish */
    options.frames_per_s = once_in(4) ? 1 + chance(10000) : 0;
    options.bytes_per_s = once_in(4) ? 1 + chance(1000000) : 0;
    size_t size = once_in(3) ? put_stream(scratch) : 0;
    connect_peer(p, &options, scratch, size);
}

static void guest_sends(peer *p) {
    size_t size = put_stream(scratch), done = 0;
    while (done < size) {
        size_t part = once_in(2) ? size - done : 1 + chance((uint32_t)(size - done));
        ssize_t took = send(p->fd, scratch + done, part, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (took <= 0) return; /* what is left out makes the stream all the worse */
        done += (size_t)took;
    }
}

static void guests_read(void) {
    for (int i = 0; i < GUESTS; i++) {
        if (round_.guests[i].fd < 0) continue;
        while (recv(round_.guests[i].fd, scratch, sizeof scratch, MSG_DONTWAIT) == (ssize_t)sizeof scratch) {}
    }
}

static void guest_acts(peer *p) {
    if (p->fd < 0) {
        if (!p->connection) join_in(p); /* (else its end is not known yet) */
        return;
    }
    switch (chance(10)) {
    case 0: case 1: case 2: case 3:
        guest_sends(p);
        break;
    case 4: case 5:
        if (recv(p->fd, scratch, 1 + chance(MOST), MSG_DONTWAIT) < 0) { /* nothing there, or nobody */ }
        break;
    case 6:
        say_something(p);
        break;
    case 7: /* several things that take effect together */
        myc_router_cork(round_.router);
        for (uint32_t i = chance(5); i > 0; i--) say_something(p);
        if (once_in(2)) take_events(0);
        myc_router_uncork(round_.router);
        break;
    case 8:
        look_at_figures(p);
        break;
    case 9:
        if (once_in(8)) shutdown(p->fd, once_in(2) ? SHUT_WR : SHUT_RD);
        else if (once_in(4)) leave(p);
        break;
    }
}

/* --- a round ----------------------------------------------------------------------------------------------------- */

static void *run_router(void *router) {
    myc_router_run(router);
    return NULL;
}

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static myc_router *random_router(void) {
    static uint32_t sizes[MYC_TYPES], core[1000];
    sizes[SMALL] = SMALL_SIZE + 1;
    sizes[LARGE] = LARGE_SIZE + 1;
    sizes[1201] = 313;
    sizes[1202] = 1;
    sizes[1203] = 1001;
    core[1] = 9;
    core[5] = 9;
    core[10] = 25;
    core[2] = core[LAGGED] = MYC_NOT_A_CLIENTS;
    myc_router_options options = {0};
    options.policy = round_.policy = (int)chance(3);
    options.use_poll = once_in(2);
    options.forward_unknown = once_in(2);
    options.sizes = once_in(2) ? sizes : NULL;
    options.core = once_in(4) ? NULL : core;
    options.first_application_id = 1000;
    options.max_payload = 200000;
    options.max_output = once_in(2) ? 4000 + chance(100000) : 1000000;
    options.max_control_output = 1000 + chance(100000);
    options.stall_timeout_s = 20;
    options.read_size = once_in(2) ? 0 : 65536 + chance(200000);
    options.spare_chunks = chance(20);
    myc_router *router = myc_router_new(&options);
    if (!router) fail("no router", (uint64_t)errno, 0);
    return router;
}

static void begin_round(void) {
    static const uint16_t honest[] = {SMALL, LARGE};
    myc_connection_options options = {0};
    round_.router = random_router();
    for (int i = 0; i < GUESTS; i++) round_.guests[i].fd = -1;
    options.flags = MYC_NEGOTIATED | MYC_SUBSCRIBES;
    if (once_in(3)) options.frames_per_s = 20000 + chance(100000);
    connect_peer(&round_.publisher, &options, NULL, 0);
    options.frames_per_s = 0;
    options.flags |= MYC_LAG_REPORTS;
    connect_peer(&round_.subscriber, &options, NULL, 0);
    myc_router_subscribe(round_.router, round_.subscriber.connection, 1, 0, honest, 2);
}

static int complete(void) {
    return round_.out_begin == round_.out_end && round_.expected[0] == round_.sent[0] &&
           round_.expected[1] == round_.sent[1];
}

static void play(int number, int steps) {
    memset(&round_.publisher, 0, sizeof round_ - offsetof(__typeof__(round_), publisher));
    memset(round_.guests, 0, sizeof round_.guests);
    round_.number = number;
    round_.admitted = round_.ended = 0;
    state = round_.seed * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)number * UINT64_C(0xBF58476D1CE4E5B9) + 1;
    for (int i = 0; i < 20; i++) chance(2);
    int descriptors = open_descriptors();
    begin_round();
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_router, round_.router)) fail("no thread", 0, 0);
    uint32_t laziness = once_in(2) ? 1 : 200; /* of the subscriber */
    int waits = 0;
    for (int i = 0; i < steps; i++) {
        if (once_in(8)) publish();
        /* A publisher that is held back waits for somebody to read. */
        if (!push() && ++waits % 16 == 0) {
            guests_read();
            if (round_.policy == MYC_BLOCK) subscriber_reads();
        }
        if (once_in(laziness)) subscriber_reads();
        if (once_in(10)) take_events(0);
        guest_acts(&round_.guests[chance(GUESTS)]);
    }
    /* Everybody else leaves, and what was published arrives. */
    double give_up = now_s() + PATIENCE_S;
    for (int i = 0; i < GUESTS; i++) leave(&round_.guests[i]);
    while (!round_.cut_off && !complete()) {
        push();
        subscriber_reads();
        take_events(0);
        if (!round_.cut_off && now_s() > give_up) fail("not everything arrived", round_.expected[0], round_.sent[0]);
        usleep(100);
    }
    myc_router_stop(round_.router, 0.1);
    pthread_join(thread, NULL);
    take_events(1);
    if (round_.ended != round_.admitted) fail("connections whose end was not told", round_.ended, round_.admitted);
    myc_router_free(round_.router);
    leave(&round_.publisher);
    leave(&round_.subscriber);
    if (open_descriptors() != descriptors) fail("descriptors", (uint64_t)open_descriptors(), (uint64_t)descriptors);
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: fuzz SEED ROUNDS [STEPS]\n");
        return 2;
    }
    round_.seed = strtoull(arguments[1], NULL, 10);
    int rounds = atoi(arguments[2]), steps = count > 3 ? atoi(arguments[3]) : 2000;
    uint64_t sent = 0, lagged = 0;
    for (int i = 0; i < rounds; i++) {
        play(i, steps);
        sent += round_.sent[0] + round_.sent[1];
        lagged += round_.lagged;
    }
    printf("%d rounds: %llu frames, of which %llu were left out and told\n", rounds, (unsigned long long)sent,
           (unsigned long long)lagged);
    return 0;
}
