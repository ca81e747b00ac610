/* What every program in C here needs: a clock, a send of everything, a look at what came. Times are those of Python's
 * time.monotonic_ns(). */

#ifndef BENCHMARK_SOCKETS_H
#define BENCHMARK_SOCKETS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifdef __APPLE__
#define BENCHMARK_CLOCK CLOCK_UPTIME_RAW
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE */
#else
#define BENCHMARK_CLOCK CLOCK_MONOTONIC
#endif

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(BENCHMARK_CLOCK, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* 0, or a negative errno. */
static inline int write_all(int fd, const uint8_t *bytes, size_t size)
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

/* Whether these are the bytes of a pattern that is repeated, from `place` in it on. */
static inline int is_pattern(const uint8_t *pattern, size_t size, const uint8_t *bytes, size_t count, size_t place)
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

#endif
