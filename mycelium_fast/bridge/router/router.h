/* The bridge's data plane: one thread that receives frames, looks up who is to have them, and sends them on.
 *
 * Plain C without Python.h. Everything is a connection: a connected stream socket, which from `myc_router_add()` on
 * is the router's. The control plane (Python, in another thread) has negotiated with the peer, decides what it may
 * do, and answers the core frames that the router hands it; all that takes effect in the order in which it was said.
 *
 *     control plane                                    router's thread
 *
 *     myc_router_subscribe() ...  --> | commands | -->  myc_router_run()  <--> sockets
 *     myc_router_take_events()    <-- |  events  | <--
 *     myc_..._stats(), ..._published() ............ .>  counters, read as they are
 *
 * The life of a connection, in the order of the calls:
 *
 *     myc_router_add()            the socket and the connection are the router's; the pointer may be used in calls
 *     MYC_EVENT_ENDED taken       the socket is closed; figures may still be read
 *     myc_router_release()        the pointer is gone
 *
 * Every function but `myc_router_run()` may be called from any one thread at a time beside the router's.
 */
#ifndef MYCELIUM_ROUTER_H
#define MYCELIUM_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#define MYC_TYPES 65536
#define MYC_NOT_A_CLIENTS UINT32_MAX /* in `core`: whoever sends that breaks the protocol */
#define MYC_TYPE_WORDS (MYC_TYPES / 64) /* of a bitmap of types: type t is bit t % 64 of word t / 64 */

#define MYC_LEAST_READ_SIZE 65536

typedef struct myc_router myc_router;
typedef struct myc_connection myc_connection;

/* What happens to frames for a connection whose output is full. */
enum {
    MYC_DROP = 0,       /* they are left out and counted; a peer that knows `Lagged` is told, exactly */
    MYC_DISCONNECT = 1, /* the connection ends */
    MYC_BLOCK = 2       /* those who send them are not read until there is room */
};

typedef struct {
    int policy;
    int use_poll;                  /* poll() although there is epoll */
    int forward_unknown;           /* pass types on that `sizes` does not have */
    const uint32_t *sizes;         /* by type id: payload bytes + 1, or 0: not a type of the contracts. NULL: all pass */
    uint32_t first_application_id; /* types below it are core frames, unless `sizes` has them */
    const uint32_t *core;          /* ... by type id: payload bytes + 1 of those that a client may send; 0: skip it */
    uint32_t max_payload;          /* a longer frame ends its connection */
    size_t max_output;             /* bytes that may wait for one connection */
    size_t max_control_output;     /* ... of answers to core frames, beyond which a peer that asks is not read */
    double stall_timeout_s;        /* a full connection that takes nothing for so long ends (MYC_BLOCK) */
    size_t read_size;              /* bytes read at once; at least MYC_LEAST_READ_SIZE, less is taken for that */
    unsigned spare_chunks;         /* blocks of 64 KiB that are kept when no output waits in them */
} myc_router_options;

/* What a connection is. */
enum {
    MYC_NEGOTIATED = 1,    /* its core frames go to the control plane; otherwise a first `Hello` does */
    MYC_SUBSCRIBES = 2,    /* it gets the types that it asked for; otherwise every frame */
    MYC_NO_ECHO = 4,       /* ... but not those that it sent */
    MYC_TRACES = 8,        /* it may be sent `Trace` */
    MYC_LAG_REPORTS = 16   /* ... and `Lagged` */
};

/* Why a connection ended. */
enum {
    MYC_END_CLOSED = 1,    /* the peer closed it */
    MYC_END_BROKEN = 2,    /* a system call failed: `number` is errno */
    MYC_END_WITHIN = 3,    /* the peer closed it within a frame */
    MYC_END_SLOW = 4,      /* its output was full (MYC_DISCONNECT), or nothing was taken for too long (MYC_BLOCK) */
    MYC_END_ASKED = 5,     /* myc_router_close(), myc_router_stop() */
    MYC_END_MEMORY = 6     /* there was none for it */
};

/* Why frames were passed on to nobody. */
enum {
    MYC_DROPPED_UNKNOWN = 0, /* a type that the contracts do not have, or the connection's own do not */
    MYC_DROPPED_LENGTH = 1,  /* a type of another length */
    MYC_DROPPED_CORE = 2,    /* a core frame */
    MYC_DROPPED_DENIED = 3,  /* a type that the connection may not publish */
    MYC_DROPPED_REASONS = 4
};

/* What the control plane is told. */
enum {
    MYC_EVENT_FRAME = 1,  /* a core frame: `type_id`, `data`, `size` (its payload). After one that breaks the protocol,
                             by its type or length, nothing more is read: close the connection */
    MYC_EVENT_ENDED = 2,  /* `reason` is MYC_END_...; nothing comes after it: release the connection */
    MYC_EVENT_DROPPED = 3,/* frames are dropped: `reason` is MYC_DROPPED_...; once for each type of a connection */
    MYC_EVENT_LAGGING = 4,/* the connection begins to miss frames (MYC_DROP) or to hold senders (MYC_BLOCK); once */
    MYC_EVENT_TOO_LONG = 5,/* a frame of type `type_id` declared `number` payload bytes: nothing more is read, close it */
    MYC_EVENT_THROTTLED = 6/* the connection begins to be read as slowly as its limit says; once */
};

typedef struct {
    myc_connection *connection;
    int kind, reason;
    uint16_t type_id;
    uint64_t number;
    uint8_t *data; /* free() it; NULL where there is none */
    size_t size;
} myc_event;

typedef struct {
    uint64_t frames_in, bytes_in, reads; /* core frames are in `reads` alone */
    uint64_t frames_out, bytes_out; /* handed to the connection's output */
    uint64_t missed;                /* frames left out since its output was full */
    uint64_t pending;               /* bytes that wait to be sent */
    uint64_t dropped[MYC_DROPPED_REASONS]; /* frames that it sent, passed on to nobody */
    uint64_t held;                  /* whether it is not read just now: its limit, a full connection (MYC_BLOCK), or
                                       answers of the control plane's that it waits for or does not take */
} myc_connection_stats;

/* What a connection begins with; see the functions that change it. */
typedef struct {
    unsigned flags;
    const uint64_t *publish, *receive;
    const uint64_t *knows; /* a bitmap of the types that its contracts have, NULL for every type: it is handed no others,
                              and sends others as it would unknown ones */
    double frames_per_s, bytes_per_s;
} myc_connection_options;

/* NULL with errno where there is no memory or no descriptor. What `options` points to is copied. */
myc_router *myc_router_new(const myc_router_options *options);
/* The router's thread: returns after myc_router_stop(), when what waits was sent or its time is over. */
void myc_router_run(myc_router *router);
/* After myc_router_run() has returned, or was never called. */
void myc_router_free(myc_router *router);
/* Stop reading, send what waits for at most `timeout_s` seconds, end every connection. */
int myc_router_stop(myc_router *router, double timeout_s);

/* Take over a connected stream socket, with `size` bytes that were read from it already. NULL with errno ENOMEM, and
 * then the socket is the caller's still. */
myc_connection *myc_router_add(myc_router *router, int fd, uint64_t id, const myc_connection_options *options,
                               const uint8_t *bytes, size_t size);
uint64_t myc_connection_id(const myc_connection *connection);
/* What follows returns 0, or -1 where there is no memory. Of a connection that has ended, nothing comes of it. */
/* After the `Hello` of a connection that is not negotiated, nothing more of it is looked at until this or its close, and
 * it gets no frames. One that has sent its `Hello` before it was added gets none before either. */
int myc_router_set_flags(myc_router *router, myc_connection *connection, unsigned flags);
/* Send bytes that are whole core frames, whatever waits for the connection. */
int myc_router_send(myc_router *router, myc_connection *connection, const uint8_t *bytes, size_t size);
/* From now on hand it these types (or not); `all`: every type, but those taken away after. `count` may be 0.
 * After a `Subscribe` or `Unsubscribe` of a connection, nothing more of it is looked at until this or its close. */
int myc_router_subscribe(myc_router *router, myc_connection *connection, int wanted, int all, const uint16_t *types,
                         size_t count);
/* What it may publish and receive: bitmaps of MYC_TYPE_WORDS words, copied; NULL for every type. */
int myc_router_allow(myc_router *router, myc_connection *connection, const uint64_t *publish, const uint64_t *receive);
/* What it may send on average, 0 for no limit; one second's worth at once. Nothing is lost: it is read more slowly.
 * Core frames and those that are dropped count as well. */
int myc_router_limit(myc_router *router, myc_connection *connection, double frames_per_s, double bytes_per_s);
/* End it once what waits for it is sent, after `timeout_s` seconds at most; 0 at once. */
int myc_router_close(myc_router *router, myc_connection *connection, double timeout_s);
/* Forget a connection whose MYC_EVENT_ENDED was taken. */
void myc_router_release(myc_router *router, myc_connection *connection);

/* Commands between these two take effect together: nothing is received or passed on in between. They may be nested:
 * the outermost counts. */
void myc_router_cork(myc_router *router);
void myc_router_uncork(myc_router *router);

/* A descriptor that can be read while there are events, and the events: an array of them to free(). */
int myc_router_event_fd(const myc_router *router);
size_t myc_router_take_events(myc_router *router, myc_event **events);

/* At any moment, without stopping anything; each number by itself is right. */
void myc_connection_get_stats(const myc_connection *connection, myc_connection_stats *stats);
/* The types of which frames that it sent were let through: a bitmap of MYC_TYPE_WORDS words. */
void myc_connection_published(const myc_connection *connection, uint64_t *bits);
void myc_router_type_stats(const myc_router *router, uint16_t type_id, uint64_t *frames, uint64_t *bytes);

#endif
