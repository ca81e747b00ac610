/* Peers in C for the growth of cost: one that writes, one that reads from many connections, and the least broker.
 *
 * Each function returns a negative errno where a call fails, and -EPROTO where other bytes came than were sent.
 * Times are CLOCK_MONOTONIC's. Needs epoll, and so Linux.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sockets.h"

enum { READ_SIZE = 256 * 1024, SEND_BUFFER = 1024 * 1024, LEAST_ROOM = 64 * 1024, MOST_OUTPUTS = 4096, EVENTS = 256 };
enum { HEADER_SIZE = 6, TICK_SIZE = 16 };

static int watch(int epoll, int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* --- one pattern, again and again ------------------------------------------------------------------------------ */

/* Send the pattern so many times, each in one call; gives the time at which it began. */
int64_t growth_write(int fd, const uint8_t *pattern, size_t size, int64_t cycles)
{
    int64_t start = now_ns();
    while (cycles-- > 0) {
        int error = write_all(fd, pattern, size);
        if (error != 0)
            return error;
    }
    return start;
}

/* What one connection has to bring: a pattern, `total` bytes of it in all. */
typedef struct {
    const uint8_t *pattern;
    size_t size;
    int64_t total, done;
    int fd;
} growth_stream;

/* One read; 1 once everything is there. The last bytes are compared, with `check` all of them. */
static int read_some(growth_stream *stream, int check)
{
    static uint8_t block[READ_SIZE];
    ssize_t got = recv(stream->fd, block, READ_SIZE, 0);
    if (got <= 0)
        return got < 0 ? -errno : -ECONNRESET;
    int64_t left = stream->total - stream->done - got;
    size_t place = (size_t)(stream->done % (int64_t)stream->size);
    if (left < 0 || ((check || left == 0) && !is_pattern(stream->pattern, stream->size, block, (size_t)got, place)))
        return -EPROTO;
    stream->done += got;
    return left == 0;
}

/* Read from all connections until everything is there; gives the time at which it was. */
int64_t growth_read(growth_stream *streams, int count, int check)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), result = epoll < 0 ? -errno : 0;
    for (int i = 0; result == 0 && i < count; i++)
        result = watch(epoll, streams[i].fd, &streams[i]);
    for (int left = count; result >= 0 && left > 0;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        result = ready < 0 ? -errno : 0;
        for (int i = 0; result >= 0 && i < ready; i++) {
            growth_stream *stream = events[i].data.ptr;
            result = read_some(stream, check);
            if (result == 1) {
                epoll_ctl(epoll, EPOLL_CTL_DEL, stream->fd, NULL);
                left--;
            }
        }
    }
    int64_t end = now_ns();
    if (epoll >= 0)
        close(epoll);
    return result < 0 ? result : end;
}

/* --- many connections in turn ---------------------------------------------------------------------------------- */

/* Where messages carry their numbers: each is `step` bytes, and `at` in it are two u64, the connection's number and the
 * message's on this connection. */

/* Send so many blocks from each connection, one block from each in turn; gives the time at which it began. */
int64_t growth_write_in_turn(const int *fds, int count, uint8_t *block, size_t size, size_t step, size_t at,
                             int64_t turns)
{
    int64_t start = now_ns();
    uint64_t first = 0;
    for (; turns > 0; turns--, first += size / step)
        for (int i = 0; i < count; i++) {
            uint64_t numbers[2] = {(uint64_t)i, first};
            for (size_t place = at; place < size; place += step, numbers[1]++)
                memcpy(block + place, numbers, sizeof numbers);
            int error = write_all(fds[i], block, size);
            if (error != 0)
                return error;
        }
    return start;
}

/* Read so many messages: each connection's have to come in order, and none twice. `message` is how one begins and what
 * its length is; PINGs of a NATS server may come in between and are answered. Gives the time of the last one. */
int64_t growth_read_in_turn(int fd, int count, const uint8_t *message, size_t step, size_t at, int64_t left)
{
    static const char ping[] = "PING\r\n", pong[] = "PONG\r\n";
    static uint8_t block[READ_SIZE];
    uint64_t *next = calloc((size_t)count, sizeof *next);
    int64_t result = next == NULL ? -ENOMEM : 0;
    size_t have = 0;
    while (result == 0 && left > 0) {
        ssize_t got = recv(fd, block + have, READ_SIZE - have, 0);
        if (got <= 0) {
            result = got < 0 ? -errno : -ECONNRESET;
            break;
        }
        uint8_t *each = block, *end = block + have + (size_t)got;
        while (result == 0 && (size_t)(end - each) >= sizeof ping - 1) {
            uint64_t numbers[2];
            if (memcmp(each, ping, sizeof ping - 1) == 0) {
                result = write_all(fd, (const uint8_t *)pong, sizeof pong - 1);
                each += sizeof ping - 1;
                continue;
            }
            if (left == 0 || (size_t)(end - each) < step)
                break;
            memcpy(numbers, each + at, sizeof numbers);
            if (memcmp(each, message, at) != 0 || numbers[0] >= (uint64_t)count || next[numbers[0]]++ != numbers[1])
                result = -EPROTO;
            each += step;
            left--;
        }
        have = (size_t)(end - each);
        memmove(block, each, have);
    }
    free(next);
    if (result != 0)
        return result;
    return have == 0 ? now_ns() : -EPROTO;
}

/* --- a window of messages and back ----------------------------------------------------------------------------- */

/* Send a window of frames, `piece` bytes in one call, and wait until all are back, so many times; gives the nanoseconds
 * that took. */
int64_t growth_ask(int fd, const uint8_t *window, size_t size, size_t piece, int64_t times)
{
    uint8_t *back = malloc(size);
    int64_t start = now_ns();
    int error = back == NULL ? -ENOMEM : 0;
    for (; error == 0 && times > 0; times--) {
        for (size_t sent = 0; error == 0 && sent < size; sent += piece)
            error = write_all(fd, window + sent, piece);
        for (size_t got = 0; error == 0 && got < size;) {
            ssize_t more = recv(fd, back + got, size - got, 0);
            if (more <= 0)
                error = more < 0 ? -errno : -ECONNRESET;
            else
                got += (size_t)more;
        }
        if (error == 0 && memcmp(back, window, size) != 0)
            error = -EPROTO;
    }
    int64_t took = now_ns() - start;
    free(back);
    return error != 0 ? error : took;
}

/* Send back whatever comes, to the end of the stream. */
int64_t growth_echo(int fd)
{
    static uint8_t block[READ_SIZE];
    for (;;) {
        ssize_t got = recv(fd, block, READ_SIZE, 0);
        int error = got <= 0 ? (got < 0 ? -errno : 0) : write_all(fd, block, (size_t)got);
        if (got <= 0 || error != 0)
            return error;
    }
}

/* --- the least broker ------------------------------------------------------------------------------------------ */

/* A publisher begins with one byte: how many of the subscribers, the first ones, get what it sends; or 0, and each
 * frame, a TradeTick, goes to the first or the second, by its type id. A subscriber is sent one byte once it is known.
 * Whoever sends waits for the slowest: nothing queues here, and nothing is looked at but those type ids. */

typedef struct {
    int fd;
    uint8_t share; /* a publisher's first byte */
    enum { PUBLISHERS, SUBSCRIBERS, PUBLISHER } role;
} relay_peer;

typedef struct {
    int epoll, count, share;
    relay_peer *outputs[MOST_OUTPUTS];
    size_t used; /* of the block: read, and to be sent to the first `share` of the outputs */
    uint8_t block[READ_SIZE + HEADER_SIZE + TICK_SIZE];
} relay;

static int take(relay *relay, const relay_peer *listener)
{
    relay_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL || relay->count == MOST_OUTPUTS)
        return -ENOMEM;
    peer->fd = accept(listener->fd, NULL, NULL);
    if (peer->fd < 0)
        return -errno;
    if (listener->role == SUBSCRIBERS) {
        int buffer = SEND_BUFFER;
        setsockopt(peer->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        relay->outputs[relay->count++] = peer;
        return write_all(peer->fd, (const uint8_t *)"+", 1);
    }
    peer->role = PUBLISHER;
    if (recv(peer->fd, &peer->share, 1, MSG_WAITALL) != 1)
        return -ECONNRESET;
    return watch(relay->epoll, peer->fd, peer);
}

/* Each frame to the subscriber that its type is for, all that follow each other to the same one in one copy,
 * and a block that is for one of them alone in none. */
static int split(relay *relay, int fd)
{
    enum { STEP = HEADER_SIZE + TICK_SIZE };
    static uint8_t rooms[2][READ_SIZE + STEP];
    uint8_t *block = relay->block;
    size_t used[2] = {0, 0}, begin = 0, got = relay->used, torn = got % STEP;
    relay->used = 0;
    if (torn > 0 && recv(fd, block + got, STEP - torn, MSG_WAITALL) != (ssize_t)(STEP - torn))
        return -ECONNRESET;
    got += torn > 0 ? STEP - torn : 0;
    while (begin < got) {
        static const uint8_t length[] = {TICK_SIZE, 0, 0, 0};
        int side = block[begin] % 2;
        size_t end = begin;
        do {
            if (memcmp(block + end + 2, length, sizeof length) != 0)
                return -EPROTO;
            end += STEP;
        } while (end < got && block[end] % 2 == side);
        if (begin == 0 && end == got) /* all of it: no copy */
            return write_all(relay->outputs[side]->fd, block, got);
        memcpy(rooms[side] + used[side], block + begin, end - begin);
        used[side] += end - begin;
        begin = end;
    }
    for (int side = 0; side < 2; side++) {
        int error = used[side] == 0 ? 0 : write_all(relay->outputs[side]->fd, rooms[side], used[side]);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Send what has been read to so many of the subscribers. */
static int flush(relay *relay)
{
    size_t used = relay->used;
    relay->used = 0;
    for (int i = 0; used > 0 && i < relay->share; i++) {
        int error = i < relay->count ? write_all(relay->outputs[i]->fd, relay->block, used) : -EPROTO;
        if (error != 0)
            return error;
    }
    return 0;
}

/* What a publisher has sent; what several have sent goes on together. As long as the room is filled to the end, the
 * last frame may be torn, and nobody else's may follow. */
static int pass_on(relay *relay, relay_peer *from)
{
    for (;;) {
        int error = 0;
        if (from->share != relay->share || READ_SIZE - relay->used < LEAST_ROOM)
            error = flush(relay);
        if (error != 0)
            return error;
        relay->share = from->share;
        size_t room = READ_SIZE - relay->used;
        ssize_t got = recv(from->fd, relay->block + relay->used, room, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return 0;
        if (got <= 0) {
            close(from->fd);
            free(from);
            return 0;
        }
        relay->used += (size_t)got;
        if (from->share == 0)
            return split(relay, from->fd);
        if ((size_t)got < room)
            return 0;
    }
}

/* Pass on what comes, from any number of publishers, for ever: whoever started it ends the process. */
int64_t growth_relay(int for_publishers, int for_subscribers)
{
    struct epoll_event events[EVENTS];
    static relay relay;
    relay.epoll = epoll_create1(EPOLL_CLOEXEC);
    relay_peer publishers = {.fd = for_publishers, .role = PUBLISHERS};
    relay_peer subscribers = {.fd = for_subscribers, .role = SUBSCRIBERS};
    int error = relay.epoll < 0 ? -errno : watch(relay.epoll, for_publishers, &publishers);
    if (error == 0)
        error = watch(relay.epoll, for_subscribers, &subscribers);
    while (error == 0) {
        int ready = epoll_wait(relay.epoll, events, EVENTS, -1);
        error = ready < 0 && errno != EINTR ? -errno : 0;
        for (int i = 0; error == 0 && i < ready; i++) {
            relay_peer *peer = events[i].data.ptr;
            error = peer->role == PUBLISHER ? pass_on(&relay, peer) : take(&relay, peer);
        }
        if (error == 0)
            error = flush(&relay);
    }
    return error;
}
