/* Messages at fixed times: what a C program reaches over a Unix socket, and the clock of everybody else.
 *
 * A message is [u16 type][u32 length][u64 due][u64 number]; `due` is when it should have been sent, in nanoseconds of
 * the monotonic clock. Each function returns a negative errno where a call fails, and -EPROTO where other bytes come
 * than were sent.
 */

#include <sched.h>
#include <string.h>

#include "sockets.h"

enum { FRAME_SIZE = 22, DUE_AT = 6, NUMBER_AT = 14, BLOCK_SIZE = 65536, SPIN_NS = 100000 };

/* Wait until then: asleep as long as it is far off, awake for the last moments, as timers wake up late. Whoever else
 * wants this CPU gets it meanwhile, such as a thread of the same program. */
void open_loop_wait(int64_t due)
{
    int64_t left = due - now_ns();
    if (left > 2 * SPIN_NS) {
        struct timespec nap = {0, left - SPIN_NS};
        nap.tv_sec = nap.tv_nsec / 1000000000;
        nap.tv_nsec %= 1000000000;
        nanosleep(&nap, NULL);
    }
    while (now_ns() < due)
        sched_yield();
}

/* Send `count` messages from `start` on, each when it is due; those that are due together go out together. */
int64_t open_loop_send(int fd, const uint8_t *frame, int64_t start, int64_t gap_ns, int64_t count)
{
    uint8_t block[BLOCK_SIZE];
    for (int64_t number = 0; number < count;) {
        size_t used = 0;
        open_loop_wait(start + number * gap_ns);
        int64_t now = now_ns();
        for (; number < count && used + FRAME_SIZE <= BLOCK_SIZE; number++, used += FRAME_SIZE) {
            int64_t due = start + number * gap_ns;
            if (due > now)
                break;
            memcpy(block + used, frame, FRAME_SIZE);
            memcpy(block + used + DUE_AT, &due, sizeof due);
            memcpy(block + used + NUMBER_AT, &number, sizeof number);
        }
        int error = write_all(fd, block, used);
        if (error != 0)
            return error;
    }
    return count;
}

/* Receive `count` messages; stores by how many nanoseconds after its time each was there. */
int64_t open_loop_receive(int fd, const uint8_t *frame, int64_t count, int64_t *late)
{
    uint8_t block[BLOCK_SIZE];
    size_t used = 0;
    for (int64_t number = 0; number < count;) {
        ssize_t size = recv(fd, block + used, BLOCK_SIZE - used, 0);
        if (size <= 0)
            return size < 0 ? -errno : -EPROTO;
        int64_t now = now_ns();
        used += (size_t)size;
        size_t read = 0;
        for (; used - read >= FRAME_SIZE && number < count; read += FRAME_SIZE, number++) {
            int64_t due, its_number;
            memcpy(&due, block + read + DUE_AT, sizeof due);
            memcpy(&its_number, block + read + NUMBER_AT, sizeof its_number);
            if (its_number != number || memcmp(block + read, frame, DUE_AT) != 0)
                return -EPROTO;
            late[number] = now - due;
        }
        used -= read;
        memmove(block, block + read, used);
    }
    return count;
}

/* Send on what comes, to the end of the stream; gives the number of bytes. */
int64_t open_loop_forward(int from, int to)
{
    uint8_t block[BLOCK_SIZE];
    for (int64_t total = 0;;) {
        ssize_t size = recv(from, block, BLOCK_SIZE, 0);
        if (size <= 0)
            return size < 0 ? -errno : total;
        int error = write_all(to, block, (size_t)size);
        if (error != 0)
            return error;
        total += size;
    }
}
