/* The peers of a broker in C, as quick as they can be: one that writes, those that read what it wrote, and for
 * nats-server one that asks and one that answers.
 *
 * A pattern is some hundred messages back to back, numbered, and is sent again and again. Readers count bytes
 * or messages and compare the last ones; with `check` they compare every byte. Each function returns a negative
 * errno where a call fails, and -EPROTO where other bytes came. Times are CLOCK_MONOTONIC's. Several threads may
 * be in here at once.
 */

#include <stdlib.h>
#include <string.h>

#include "sockets.h"

enum { READ_SIZE = 256 * 1024 };

/* Send the pattern so many times, `piece` bytes a call; gives the time at which it began. */
int64_t fan_write(int fd, const uint8_t *pattern, size_t size, size_t piece, int64_t cycles)
{
    int64_t start = now_ns();
    while (cycles-- > 0)
        for (size_t sent = 0; sent < size; sent += piece) {
            int error = write_all(fd, pattern + sent, size - sent < piece ? size - sent : piece);
            if (error != 0)
                return error;
        }
    return start;
}

/* --- reading --- */

/* Who reads the repeated pattern from a socket. */
struct reader {
    int fd, check;
    const uint8_t *pattern;
    size_t size;         /* of the pattern */
    size_t step;         /* of a message of it, if nats-server sends it: its PINGs come in between; else 0 */
    int64_t total, done; /* bytes of the repeated pattern: all, and taken */
    size_t have;         /* bytes of a message that is not complete, at the beginning of the block */
    uint8_t *block;      /* READ_SIZE bytes */
};

static int take_bytes(struct reader *r, size_t got)
{
    size_t place = (size_t)(r->done % (int64_t)r->size);
    r->done += (int64_t)got;
    if (r->done > r->total || ((r->check || r->done == r->total) && !is_pattern(r->pattern, r->size, r->block, got, place)))
        return -EPROTO;
    return 0;
}

static const char ping[] = "PING\r\n", pong[] = "PONG\r\n";
enum { PING_SIZE = sizeof ping - 1 };

static int take_nats(struct reader *r, size_t got)
{
    uint8_t *at = r->block, *end = r->block + r->have + got;
    while (end - at >= PING_SIZE) {
        if (*at == 'P') {
            int error = memcmp(at, ping, PING_SIZE) != 0 ? -EPROTO : write_all(r->fd, (const uint8_t *)pong, PING_SIZE);
            if (error != 0)
                return error;
            at += PING_SIZE;
            continue;
        }
        if (end - at < (ptrdiff_t)r->step)
            break;
        size_t place = (size_t)(r->done % (int64_t)r->size);
        r->done += (int64_t)r->step;
        if (*at != 'M' || r->done > r->total ||
            ((r->check || r->done == r->total) && memcmp(at, r->pattern + place, r->step) != 0))
            return -EPROTO;
        at += r->step;
    }
    r->have = (size_t)(end - at);
    memmove(r->block, at, r->have);
    return 0;
}

/* Read until so many bytes of the repeated pattern have been taken, or more. */
static int take(struct reader *r, int64_t until)
{
    while (r->done < until) {
        ssize_t got = recv(r->fd, r->block + r->have, READ_SIZE - r->have, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        int error = r->step == 0 ? take_bytes(r, (size_t)got) : take_nats(r, (size_t)got);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Read the repeated pattern; gives the time at which all of it was there. */
int64_t fan_read(int fd, const uint8_t *pattern, size_t size, size_t step, int64_t cycles, int check)
{
    struct reader r = {fd, check, pattern, size, step, cycles * (int64_t)size, 0, 0, malloc(READ_SIZE)};
    int error = r.block == NULL ? -ENOMEM : take(&r, r.total);
    int64_t end = now_ns();
    free(r.block);
    return error != 0 ? error : end;
}

/* One program that writes a pattern and reads what comes of it, and is never further ahead than `ahead` patterns; gives
 * the time that all of it took. */
int64_t fan_through(int out, int in, const uint8_t *sent, size_t sent_size, const uint8_t *pattern, size_t size,
                    size_t step, int64_t cycles, int64_t ahead, int check)
{
    struct reader r = {in, check, pattern, size, step, cycles * (int64_t)size, 0, 0, malloc(READ_SIZE)};
    int error = r.block == NULL ? -ENOMEM : 0;
    int64_t start = now_ns();
    for (int64_t cycle = 0; error == 0 && cycle < cycles; cycle++) {
        error = write_all(out, sent, sent_size);
        if (error == 0)
            error = take(&r, (cycle + 1 - ahead) * (int64_t)size);
    }
    if (error == 0)
        error = take(&r, r.total);
    int64_t end = now_ns();
    free(r.block);
    return error != 0 ? error : end - start;
}

/* --- one message there and back through nats-server --- */

/* One message, with a PING before it or not. */
static int read_message(int fd, uint8_t *message, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t got = recv(fd, message + have, size - have, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        have += (size_t)got;
        if (have >= PING_SIZE && memcmp(message, ping, PING_SIZE) == 0) {
            int error = write_all(fd, (const uint8_t *)pong, PING_SIZE);
            if (error != 0)
                return error;
            have -= PING_SIZE;
            memmove(message, message + PING_SIZE, have);
        }
    }
    return 0;
}

/* Publish and wait for the answer, `trips` times for each of `samples` times that are stored. */
int64_t fan_ask_nats(int fd, const uint8_t *asked, size_t asked_size, const uint8_t *answer, size_t size, int trips,
                     int samples, int64_t *sample_ns)
{
    uint8_t *message = malloc(size);
    int error = message == NULL ? -ENOMEM : 0;
    for (int sample = 0; error == 0 && sample < samples; sample++) {
        int64_t start = now_ns();
        for (int trip = 0; error == 0 && trip < trips; trip++) {
            error = write_all(fd, asked, asked_size);
            if (error == 0)
                error = read_message(fd, message, size);
            if (error == 0 && memcmp(message, answer, size) != 0)
                error = -EPROTO;
        }
        sample_ns[sample] = now_ns() - start;
    }
    free(message);
    return error;
}

/* Answer each message, until this last one comes, which is as long as the others. */
int64_t fan_answer_nats(int fd, const uint8_t *last, size_t size, const uint8_t *answer, size_t answer_size)
{
    uint8_t *message = malloc(size);
    int error = message == NULL ? -ENOMEM : 0;
    while (error == 0) {
        error = read_message(fd, message, size);
        if (error == 0 && memcmp(message, last, size) == 0)
            break;
        if (error == 0)
            error = write_all(fd, answer, answer_size);
    }
    free(message);
    return error;
}

/* --- ZeroMQ: libzmq's functions, found where pyzmq has them --- */

typedef int zmq_send_function(void *socket, const void *bytes, size_t size, int flags);
typedef int zmq_recv_function(void *socket, void *bytes, size_t size, int flags);

int64_t fan_write_zmq(zmq_send_function *zmq_send, void *socket, const uint8_t *pattern, size_t size, size_t step,
                      int64_t cycles)
{
    int64_t start = now_ns();
    while (cycles-- > 0)
        for (size_t sent = 0; sent < size; sent += step)
            if (zmq_send(socket, pattern + sent, step, 0) != (int)step)
                return -errno;
    return start;
}

int64_t fan_read_zmq(zmq_recv_function *zmq_recv, void *socket, const uint8_t *pattern, size_t size, size_t step,
                     int64_t cycles, int check)
{
    uint8_t *message = malloc(step);
    int64_t result = message == NULL ? -ENOMEM : 0;
    while (result == 0 && cycles-- > 0)
        for (size_t place = 0; result == 0 && place < size; place += step) {
            int got = zmq_recv(socket, message, step, 0);
            if (got < 0)
                result = -errno;
            else if (got != (int)step ||
                     ((check || (cycles == 0 && place + step == size)) && memcmp(message, pattern + place, step) != 0))
                result = -EPROTO;
        }
    free(message);
    return result == 0 ? now_ns() : result;
}
