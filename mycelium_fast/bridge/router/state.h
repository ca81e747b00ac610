/* What the router's files share: its state, and the small functions on it.
 *
 * What was read is looked through once. Runs of frames that go to the same connections become one block; a block is
 * sent to a connection that has nothing waiting straight from where it was read, and copied to chunks otherwise.
 *
 *     socket -> read buffer: [ partial, from before | run run run ... | incomplete frame ] -> partial
 *                                                     \--- block ---/
 *     connection's output:   chunk -> chunk -> chunk -> slice -> socket
 *                                                       (part of the read buffer, until the read is done)
 *
 * Who may touch what: everything here is the router's thread's, but
 *
 *     router->first, last, events, ...   with the lock, by both
 *     router->corked, corked_...         the control plane's
 *     counter, epoch, event_holds        by one thread, read by both
 *     id of a connection                 set before the router hears of it
 */
#ifndef MYCELIUM_ROUTER_STATE_H
#define MYCELIUM_ROUTER_STATE_H

#include "router.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#define HAVE_EPOLL 1
#else
#define HAVE_EPOLL 0
#endif

#include "../../codec/wire.h"

enum {
    CHUNK_SIZE = 64 * 1024,
    MOST_PARTS = 64,          /* chunks in one sendmsg() */
    MOST_POLLED = 256,        /* connections in one epoll_wait() */
    MOST_WAITING_EVENTS = 64, /* core frames of one connection that the control plane has not taken */
    MOST_NOTED = 16,          /* kinds of dropped frames that are told of, for one connection */
    MOST_RUNS = 4096,         /* of one read that are passed on together */
    TICK_MS = 50,             /* between looks at deadlines, while there are any */
    HELLO = 1, SUBSCRIBE_REQUEST = 4, UNSUBSCRIBE_REQUEST = 6, LAGGED = 7, TRACE = 10,
    MOST_TRACE = 128,
    LAGGED_SIZE = 16,
    PAGE = 256,               /* types whose missed frames are counted in one piece of memory */
    PAGES = MYC_TYPES / PAGE
};

typedef _Atomic uint64_t counter;

/* A piece of a connection's output; what waits is from `begin` to `end`. */
typedef struct chunk {
    struct chunk *next;
    uint32_t begin, end;
    uint8_t bytes[];
} chunk;

#define CHUNK_ROOM (CHUNK_SIZE - sizeof(chunk))

/* Connections. A list is either sorted, by address, so that lists of the same connections are equal and long ones are
 * quick to change, or in the order in which they joined. */
typedef struct {
    myc_connection **items;
    uint32_t count, room;
} members;

/* Frames of one type and length, back to back. */
typedef struct {
    const uint8_t *bytes;
    size_t size, step, count;
    uint16_t type_id;
} run;

/* What a connection may send: buckets of tokens, which fill by the second. */
typedef struct {
    double frames_per_s, bytes_per_s; /* 0: no limit */
    double frames, bytes;             /* tokens; below zero after a frame that took more than there were */
    double filled_at;
} budget;

struct myc_connection {
    myc_router *router;
    uint64_t id;
    int fd;
    unsigned flags;
    uint32_t place;       /* in router->all */
    unsigned interest;    /* what the poller waits for: POLLIN, POLLOUT */
    int touched;          /* in router->touched */
    int newcomer;         /* nothing of it was looked at yet */

    /* Its end: `closing` while what waits is sent, then `ended`; `buried` when its socket is closed. */
    int closing;          /* the reason to end with */
    int shut;             /* ... everything is sent, and the peer was told that nothing more comes */
    int ended;            /* the reason, once it is over */
    int buried;
    uint64_t end_number;
    double deadline;      /* of closing, or of being stalled; 0: none */

    /* Input. `partial` is the incomplete frame at the end of what was read; with `backlog` more than that, which was
     * not looked through before the connection was held. */
    uint8_t *partial;
    size_t have, room;
    int backlog;
    int greeted;          /* its first frame has come */
    int deaf;             /* its input is thrown away */
    int at_end;           /* of its input */
    unsigned holds;       /* reasons not to read it: */
    unsigned blocked_by;  /* ... full connections, in whose `held` it is */
    int held_for_events, held_for_answers, held_for_word, throttled;
    uint64_t event_epoch; /* router->epoch when ... */
    unsigned events_waiting;
    budget budget;
    int limited, told_throttled;
    double throttled_until;

    /* Output: chunks, then a slice of what is being looked through. */
    chunk *head, *tail;
    size_t waiting;       /* bytes in chunks */
    const uint8_t *slice;
    size_t slice_size;
    int dirty;            /* in router->dirty */
    int mute;             /* nothing can be sent to it */
    size_t answers;       /* bytes of answers sent since its output was last empty */
    int full;             /* MYC_BLOCK: senders are held; MYC_DROP: frames are missed */
    members held;         /* those who are; sorted */
    int told_lagging;
    uint64_t **missed;    /* frames of type t: missed[t / PAGE][t % PAGE]; NULL: none */
    int has_missed;

    /* What it gets, and what it may. */
    int all;              /* it subscribed to every type, but those in `types` */
    uint64_t *types;      /* subscribed to, or with `all` those not wanted; NULL: none */
    uint64_t *may_publish, *may_receive;
    uint64_t *knows;      /* the types that its contracts have, from its start; NULL: every one */
    int everywhere;       /* in router->everyone */
    int selective;        /* ... but not for every type */

    uint8_t trace[MOST_TRACE]; /* the Trace frame for the next frame it sends */
    size_t trace_size;
    struct { uint8_t reason; uint16_t type_id; } noted[MOST_NOTED];
    unsigned noted_count;

    _Atomic(counter *) published; /* bitmap of types; NULL: none */
    counter frames_in, bytes_in, reads, frames_out, bytes_out, missed_ever, pending, held_now;
    counter dropped[MYC_DROPPED_REASONS];
};

/* What the control plane says. */
typedef struct command {
    struct command *next;
    int kind;
    myc_connection *connection;
    unsigned flags;
    int all;
    double timeout_s, frames_per_s, bytes_per_s;
    uint64_t *publish, *receive; /* the command's, until the connection takes them */
    size_t size;
    uint8_t bytes[];
} command;

enum { ADD, SET_FLAGS, SEND, SUBSCRIBE, ALLOW, LIMIT, CLOSE, RELEASE, STOP };

struct myc_router {
    myc_router_options options;
    uint32_t *sizes, *core;
    size_t large_frame;    /* a longer one is gathered in memory of its own */
    int poller;            /* of epoll; -1: poll() is used */
    int wake_read, wake_write, event_read, event_write; /* pipes: something is in the queues below */

    members all;
    members everyone;      /* those who get every type, or nearly; sorted */
    members *subscribers;  /* by type: the others who get it; sorted */
    members dirty;         /* ... that got something during this read */
    members touched;       /* ... of which what is waited for may be another now */
    members full;          /* ... whose senders are held; sorted */
    members throttled;     /* ... over their limit */
    members dead;          /* ... that have ended in this round */
    double next_due;       /* when the first of the throttled may be read again */
    size_t timed;          /* how many have a deadline */
    uint8_t *buffer;       /* of options.read_size bytes */
    run runs[MOST_RUNS];   /* of this read; those before `block_start` are passed on */
    size_t run_count, block_start;
    size_t block_size, block_frames; /* of the others */
    chunk *spare;
    unsigned spare_count;
    struct pollfd *polled;
    size_t polled_room;
    int stopping;
    double stop_at;
    uint64_t seen_epoch;
    myc_event *fresh;      /* events of this round */
    size_t fresh_count, fresh_room;

    counter *type_frames, *type_bytes;
    _Atomic uint64_t epoch; /* how often events were taken */
    _Atomic int event_holds; /* connections that are held until they are */

    unsigned corked;       /* the control plane's, like the next two: commands that are still to be handed over */
    command *corked_first, *corked_last;

    pthread_mutex_t lock;  /* of what follows */
    command *first, *last;
    myc_event *events;
    size_t event_count, event_room;
};

/* Calls up the list of files. */
static void relieve(myc_connection *c);
static void send_out(myc_connection *c);

static inline void add(counter *value, uint64_t number) { /* one thread writes: no locked instruction */
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + number, memory_order_relaxed);
}

static inline uint64_t get(const counter *value) {
    return atomic_load_explicit((counter *)value, memory_order_relaxed);
}

static inline void set(counter *value, uint64_t number) {
    atomic_store_explicit(value, number, memory_order_relaxed);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline int has_bit(const uint64_t *bits, unsigned type_id) {
    return (int)(bits[type_id / 64] >> (type_id % 64) & 1);
}

static inline size_t pending(const myc_connection *c) { return c->waiting + c->slice_size; }

/* --- lists of connections ------------------------------------------------------------------------------------- */

static int make_room(members *list) {
    if (list->count < list->room) return 0;
    uint32_t room = list->room ? 2 * list->room : 4;
    myc_connection **items = realloc(list->items, room * sizeof *items);
    if (!items) return -1;
    list->items = items;
    list->room = room;
    return 0;
}

static int join(members *list, myc_connection *c) {
    if (make_room(list)) return -1;
    list->items[list->count++] = c;
    return 0;
}

/* Where it is in a sorted list, or would be. */
static uint32_t place_of(const members *list, const myc_connection *c) {
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uintptr_t)list->items[middle] < (uintptr_t)c) low = middle + 1;
        else high = middle;
    }
    return low;
}

static int contains(const members *list, const myc_connection *c) {
    uint32_t place = place_of(list, c);
    return place < list->count && list->items[place] == c;
}

static int join_sorted(members *list, myc_connection *c) {
    uint32_t place = place_of(list, c);
    if (place < list->count && list->items[place] == c) return 0;
    if (make_room(list)) return -1;
    memmove(list->items + place + 1, list->items + place, (list->count - place) * sizeof *list->items);
    list->items[place] = c;
    list->count++;
    return 0;
}

static void leave_sorted(members *list, const myc_connection *c) {
    uint32_t place = place_of(list, c);
    if (place == list->count || list->items[place] != c) return;
    memmove(list->items + place, list->items + place + 1, (--list->count - place) * sizeof *list->items);
}

/* Whether two sorted lists have the same connections. */
static inline int same(const members *one, const members *two) {
    if (one == two) return 1;
    if (one->count != two->count) return 0;
    for (uint32_t i = 0; i < one->count; i++) /* mostly over after the first: no call */
        if (one->items[i] != two->items[i]) return 0;
    return 1;
}

/* --- marks on a connection ------------------------------------------------------------------------------------- */

/* Look after it at the end of the round. */
static void touch(myc_connection *c) {
    if (!c->touched && !join(&c->router->touched, c)) c->touched = 1;
}

static void hold(myc_connection *c) {
    c->holds++;
    set(&c->held_now, 1);
    touch(c);
}

static void let_go(myc_connection *c) {
    c->holds--;
    set(&c->held_now, c->holds > 0);
    touch(c);
}

static void set_deadline(myc_connection *c, double deadline) {
    if (deadline > 0 && c->deadline <= 0) c->router->timed++;
    if (deadline <= 0 && c->deadline > 0) c->router->timed--;
    c->deadline = deadline;
}

/* It is over. What it holds is given back at the end of the round, for somebody may be going through the lists. */
static void end(myc_connection *c, int reason, uint64_t number) {
    if (c->ended || join(&c->router->dead, c)) return; /* (no memory: what failed fails again) */
    c->ended = reason;
    c->end_number = number;
}

#endif
