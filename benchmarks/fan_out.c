/* The peers of a broker in C, as quick as they can be: one that writes, and those that read what it wrote.
 *
 * A pattern is some hundred messages back to back, numbered, and is sent again and again. Readers count bytes
 * or messages and compare the last ones; with `check` they compare every byte. Each function returns a negative
 * errno where a call fails, and -EPROTO where other bytes came. Times are CLOCK_MONOTONIC's.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { READ_SIZE = 256 * 1024 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0)
            return -errno;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

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

/* Whether these are the bytes of the repeated pattern from `place` on. */
static int is_pattern(const uint8_t *bytes, size_t count, const uint8_t *pattern, size_t size, size_t place)
{
    while (count > 0) {
        size_t part = size - place < count ? size - place : count;
        if (memcmp(bytes, pattern + place, part) != 0)
            return 0;
        bytes += part;
        count -= part;
        place = 0;
    }
    return 1;
}

/* Read a pattern that comes so many times; gives the time at which all of it was there. */
int64_t fan_read(int fd, const uint8_t *pattern, size_t size, int64_t cycles, int check)
{
    static uint8_t block[READ_SIZE];
    int64_t total = cycles * (int64_t)size, done = 0;
    while (done < total) {
        ssize_t got = recv(fd, block, READ_SIZE, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        size_t place = (size_t)(done % (int64_t)size);
        done += got;
        if (done >= total) {
            int64_t end = now_ns();
            return done == total && is_pattern(block, (size_t)got, pattern, size, place) ? end : -EPROTO;
        }
        if (check && !is_pattern(block, (size_t)got, pattern, size, place))
            return -EPROTO;
    }
    return now_ns();
}

/* The same of a NATS server's lines, each message `step` bytes; its PINGs come in between and are answered. */
int64_t fan_read_nats(int fd, const uint8_t *pattern, size_t size, size_t step, int64_t cycles, int check)
{
    static const char ping[] = "PING\r\n", pong[] = "PONG\r\n";
    static uint8_t block[READ_SIZE];
    int64_t left = cycles * (int64_t)(size / step);
    size_t have = 0, place = 0;
    while (left > 0) {
        ssize_t got = recv(fd, block + have, READ_SIZE - have, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        have += (size_t)got;
        uint8_t *at = block, *end = block + have;
        while (left > 0 && end - at >= (ssize_t)sizeof ping - 1) {
            if (*at == 'P') {
                if (memcmp(at, ping, sizeof ping - 1) != 0)
                    return -EPROTO;
                int error = write_all(fd, (const uint8_t *)pong, sizeof pong - 1);
                if (error != 0)
                    return error;
                at += sizeof ping - 1;
                continue;
            }
            if (end - at < (ssize_t)step)
                break;
            left--;
            if (*at != 'M' || ((check || left == 0) && memcmp(at, pattern + place, step) != 0))
                return -EPROTO;
            at += step;
            place = place + step == size ? 0 : place + step;
        }
        have = (size_t)(end - at);
        memmove(block, at, have);
    }
    return have == 0 ? now_ns() : -EPROTO;
}

/* libzmq's functions, found where pyzmq has them. */
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
