/* What a C program reaches over the same sockets: the limits that the transports are measured against.
 *
 * Plain blocking calls and nothing else; frames are bytes here. Each function returns a negative errno
 * where a call fails, and -EPROTO where the bytes are not the ones that were sent.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sockets.h"

enum { BLOCK_SIZE = 65536 };

/* Send one frame `count` times, `room` of them in one call, copied into a block of at most BLOCK_SIZE. */
int limit_send(int fd, const uint8_t *frame, size_t size, int64_t room, int64_t count)
{
    uint8_t *block = malloc(BLOCK_SIZE);
    int error = block == NULL ? -ENOMEM : 0;
    while (error == 0 && count > 0) {
        int64_t frames = count < room ? count : room;
        for (int64_t i = 0; i < frames; i++)
            memcpy(block + i * size, frame, size);
        error = write_all(fd, block, (size_t)frames * size);
        count -= frames;
    }
    free(block);
    return error;
}

/* Read to the end of the stream; gives the number of bytes. */
int64_t limit_drain(int fd)
{
    static uint8_t block[BLOCK_SIZE];
    int64_t total = 0;
    for (;;) {
        ssize_t size = recv(fd, block, BLOCK_SIZE, 0);
        if (size <= 0)
            return size < 0 ? -errno : total;
        total += size;
    }
}

/* Send back whatever comes, to the end of the stream or until just these last bytes come; gives the number of bytes. */
int64_t limit_echo(int fd, const uint8_t *last, size_t last_size)
{
    static uint8_t block[BLOCK_SIZE];
    int64_t total = 0;
    for (;;) {
        ssize_t size = recv(fd, block, BLOCK_SIZE, 0);
        if (size <= 0)
            return size < 0 ? -errno : total;
        if ((size_t)size == last_size && memcmp(block, last, last_size) == 0)
            return total;
        int error = write_all(fd, block, (size_t)size);
        if (error != 0)
            return error;
        total += size;
    }
}

/* Send on what comes from one to the other and then what comes back, in turn, to the end of the stream: the least that
 * anything between two peers can do. */
int64_t limit_relay(int one, int other)
{
    static uint8_t block[BLOCK_SIZE];
    for (int64_t total = 0;;) {
        ssize_t size = recv(one, block, BLOCK_SIZE, 0);
        if (size <= 0)
            return size < 0 ? -errno : total;
        int error = write_all(other, block, (size_t)size);
        if (error != 0)
            return error;
        total += size;
        int next = other;
        other = one;
        one = next;
    }
}

/* Send a frame and wait until it is back, `trips` times for each of `samples` times that are stored. */
int limit_ping(int fd, const uint8_t *frame, size_t size, int trips, int samples, int64_t *sample_ns)
{
    uint8_t *back = malloc(size);
    int error = back == NULL ? -ENOMEM : 0;
    for (int sample = 0; error == 0 && sample < samples; sample++) {
        int64_t start = now_ns();
        for (int trip = 0; error == 0 && trip < trips; trip++) {
            size_t got = 0;
            error = write_all(fd, frame, size);
            while (error == 0 && got < size) {
                ssize_t more = recv(fd, back + got, size - got, 0);
                if (more <= 0)
                    error = more < 0 ? -errno : -EPROTO;
                else
                    got += (size_t)more;
            }
            if (error == 0 && memcmp(back, frame, size) != 0)
                error = -EPROTO;
        }
        sample_ns[sample] = now_ns() - start;
    }
    free(back);
    return error;
}
