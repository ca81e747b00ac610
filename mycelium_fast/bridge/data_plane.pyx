"""The data plane as Python sees it: `router/router.h` in a thread of its own, which never takes the GIL.

    router = Router(policy="drop", ...)
    connection = router.add(sock, number, flags, rest)     # the socket is the router's from here on
    router.fileno() can be read -> for event in router.events(): ...

Nothing is decided here: what a peer may do, and what its core frames mean, is the control plane's affair. Every method
is called from one thread.
"""

from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import os
import threading
from typing import NamedTuple

cdef extern from "router/router.c" nogil:
    ctypedef struct myc_router
    ctypedef struct myc_connection
    ctypedef struct myc_router_options:
        int policy, use_poll, forward_unknown
        const uint32_t *sizes
        const uint32_t *core
        uint32_t first_application_id, max_payload
        size_t max_output, max_control_output
        double stall_timeout_s
        size_t read_size
        unsigned spare_chunks
    ctypedef struct myc_connection_options:
        unsigned flags
        const uint64_t *publish
        const uint64_t *receive
        const uint64_t *knows
        double frames_per_s, bytes_per_s
    ctypedef struct myc_event:
        myc_connection *connection
        int kind, reason
        uint16_t type_id
        uint64_t number
        uint8_t *data
        size_t size
    ctypedef struct myc_connection_stats:
        uint64_t frames_in, bytes_in, reads, frames_out, bytes_out, missed, pending
        uint64_t dropped[4]
        uint64_t held
    enum:
        MYC_TYPES, MYC_TYPE_WORDS
    const uint32_t MYC_NOT_A_CLIENTS
    enum:
        MYC_DROP, MYC_DISCONNECT, MYC_BLOCK
        MYC_EVENT_FRAME, MYC_EVENT_ENDED, MYC_EVENT_DROPPED, MYC_EVENT_LAGGING, MYC_EVENT_TOO_LONG
        MYC_EVENT_THROTTLED
    myc_router *myc_router_new(const myc_router_options *)
    void myc_router_run(myc_router *)
    void myc_router_free(myc_router *)
    int myc_router_stop(myc_router *, double)
    myc_connection *myc_router_add(
        myc_router *, int, uint64_t, const myc_connection_options *, const uint8_t *, size_t)
    uint64_t myc_connection_id(const myc_connection *)
    int myc_router_set_flags(myc_router *, myc_connection *, unsigned)
    int myc_router_send(myc_router *, myc_connection *, const uint8_t *, size_t)
    int myc_router_subscribe(myc_router *, myc_connection *, int, int, const uint16_t *, size_t)
    int myc_router_allow(myc_router *, myc_connection *, const uint64_t *, const uint64_t *)
    int myc_router_limit(myc_router *, myc_connection *, double, double)
    int myc_router_close(myc_router *, myc_connection *, double)
    void myc_router_release(myc_router *, myc_connection *)
    void myc_router_cork(myc_router *)
    void myc_router_uncork(myc_router *)
    int myc_router_event_fd(const myc_router *)
    size_t myc_router_take_events(myc_router *, myc_event **)
    void myc_connection_get_stats(const myc_connection *, myc_connection_stats *)
    void myc_connection_published(const myc_connection *, uint64_t *)
    void myc_router_type_stats(const myc_router *, uint16_t, uint64_t *, uint64_t *)

POLICIES = {"drop": MYC_DROP, "disconnect": MYC_DISCONNECT, "block": MYC_BLOCK}
#: By number: why a connection ended, and why frames were passed on to nobody.
ENDS = ("", "closed", "broken", "within a frame", "slow", "asked", "memory")
DROPS = ("unknown type", "wrong length", "core type", "denied type")
cdef tuple KINDS = ("", "frame", "ended", "dropped", "lagging", "too long", "throttled")


class Event(NamedTuple):
    """Something that the control plane is to know of.

    Attributes:
        connection: whose it is.
        kind: "frame" (a core frame: `type_id`, `data`), "ended" (`reason` of `ENDS`, `number` is the errno of "broken";
            nothing comes after it), "dropped" (frames of `type_id` with `number` payload bytes, `reason` of `DROPS`),
            "lagging" (it begins to miss frames), "too long" (a frame of `type_id` declared `number` payload bytes:
            nothing more is read, close the connection) or "throttled" (it is read as slowly as its limit says; once).
    """

    connection: object
    kind: str
    reason: str
    type_id: int
    number: int
    data: bytes


class ConnectionStats(NamedTuple):
    """Counters of a connection; frames and bytes of whole frames, headers included.

    Attributes:
        frames_out, bytes_out: handed to its output, of which `pending` bytes are not sent yet.
        missed: frames left out while its output was full.
        dropped: frames it sent that were passed on to nobody, by `DROPS`.
        held: whether it is not read just now, and so cannot be heard: it is over its limit, or a full connection
            ("block") or the control plane is waited for.
    """

    frames_in: int
    bytes_in: int
    reads: int
    frames_out: int
    bytes_out: int
    missed: int
    pending: int
    dropped: tuple
    held: bool


cdef class RoutedConnection:
    """A connection that the router has. Its figures can be read until its "ended" event was taken."""

    cdef Router _router
    cdef myc_connection *_connection
    cdef readonly uint64_t number
    cdef object __weakref__
    cdef object _last, _last_published

    def stats(self):
        """`ConnectionStats` of this moment, or of its end."""
        cdef myc_connection_stats stats
        if self._connection == NULL:
            return self._last
        myc_connection_get_stats(self._connection, &stats)
        return ConnectionStats(
            stats.frames_in, stats.bytes_in, stats.reads, stats.frames_out, stats.bytes_out, stats.missed, stats.pending,
            (stats.dropped[0], stats.dropped[1], stats.dropped[2], stats.dropped[3]), stats.held != 0,
        )

    def published(self):
        """Type ids of the frames it sent that were let through, in order; of this moment, or of its end."""
        cdef uint64_t bits[MYC_TYPE_WORDS]
        cdef int word, bit
        cdef list found = []
        if self._connection == NULL:
            return self._last_published
        myc_connection_published(self._connection, bits)
        for word in range(MYC_TYPE_WORDS):
            if bits[word]:
                found += [64 * word + bit for bit in range(64) if bits[word] >> bit & 1]
        return found

    def set_flags(self, unsigned flags):
        """What it is from now on: `MYC_...` of router.h. After a `Hello`, nothing more is read of it until this, and it
        gets no frames."""
        if self._connection != NULL:
            _check(myc_router_set_flags(self._router._router, self._connection, flags))

    def send(self, bytes frames):
        """Send whole core frames, whatever waits for it."""
        cdef const uint8_t *data = frames
        if self._connection != NULL:
            _check(myc_router_send(self._router._router, self._connection, data, len(frames)))

    def subscribe(self, bint wanted, type_ids):
        """Hand it these types from now on, or not; None is every type, but those taken away after."""
        cdef uint16_t ids[256]
        cdef size_t count = 0
        if self._connection == NULL:
            return
        if type_ids is None:
            _check(myc_router_subscribe(self._router._router, self._connection, wanted, True, NULL, 0))
            return
        for type_id in type_ids:
            if count == 256:
                _check(myc_router_subscribe(self._router._router, self._connection, wanted, False, ids, count))
                count = 0
            ids[count] = type_id
            count += 1
        _check(myc_router_subscribe(self._router._router, self._connection, wanted, False, ids, count))

    def allow(self, publish, receive):
        """The types that it may publish, and receive: sets of type ids, None for every one."""
        cdef uint64_t bits[2][MYC_TYPE_WORDS]
        if self._connection == NULL:
            return
        for place, types in enumerate((publish, receive)):
            _fill(bits[place], types)
        _check(myc_router_allow(
            self._router._router, self._connection, NULL if publish is None else bits[0],
            NULL if receive is None else bits[1],
        ))

    def limit(self, double frames_per_s, double bytes_per_s):
        """What it may send on average, 0 for no limit; as much as in one second at once. It is read more slowly then."""
        if self._connection != NULL:
            _check(myc_router_limit(
                self._router._router, self._connection, _rate(frames_per_s), _rate(bytes_per_s)))

    def close(self, double timeout):
        """End it once what waits for it is sent, after `timeout` seconds at most."""
        if self._connection != NULL:
            _check(myc_router_close(self._router._router, self._connection, timeout))


cdef double _rate(double rate) except -1:
    if not 0 <= rate < 1e18:
        raise ValueError(f"no rate: {rate}")
    return rate


cdef int _fill(uint64_t *bits, types) except -1:
    cdef unsigned type_id
    for word in range(MYC_TYPE_WORDS):
        bits[word] = 0
    for type_id in types or ():
        if type_id >= MYC_TYPES:
            raise ValueError(f"no type id: {type_id}")
        bits[type_id // 64] |= <uint64_t>1 << (type_id % 64)
    return 0


cdef int _check(int result) except -1:
    if result:
        raise MemoryError("no memory for a command to the router")
    return 0


cdef class Router:
    """The data plane; `start()` it, and `stop()` it in the end.

    Args:
        policy: what happens to frames for a connection whose output is full: "drop", "disconnect" or "block".
        sizes: payload bytes by type id; None lets every type pass.
        core: payload bytes by type id of the core frames that a client may send, None for those that it may not.
        forward_unknown: pass types on that `sizes` does not have.
        max_payload: bytes; a longer frame ends its connection.
        max_output: bytes that may wait for one connection.
        stall_timeout: seconds after which a full connection that takes nothing ends, with "block".
        use_poll: poll() although the system has epoll.
        read_size: bytes read at once, at least 65536.
        spare_chunks: blocks of 64 KiB that are kept for output while none waits.

    Raises:
        OSError, MemoryError: no descriptor, or no memory.
        ValueError: an argument that means nothing.
    """

    cdef myc_router *_router
    cdef dict _connections
    cdef object _thread

    def __cinit__(self, *, str policy, sizes, core, bint forward_unknown, Py_ssize_t max_payload, Py_ssize_t max_output,
                  double stall_timeout, bint use_poll=False, Py_ssize_t read_size=256 * 1024,
                  Py_ssize_t spare_chunks=256):
        cdef myc_router_options options
        cdef uint32_t *table = NULL
        cdef uint32_t own[1000]
        if policy not in POLICIES:
            raise ValueError(f"no policy for slow connections: {policy!r}; there are {', '.join(POLICIES)}")
        if not 0 < max_payload < 0xFFFF_FFFF or max_output <= 0:
            raise ValueError(f"max_payload={max_payload}, max_output={max_output}: not a size in bytes")
        options.policy = POLICIES[policy]
        options.use_poll = use_poll
        options.forward_unknown = forward_unknown
        options.first_application_id = 1000
        options.max_payload = max_payload
        options.max_output = max_output
        options.max_control_output = 64 * 1024
        options.stall_timeout_s = stall_timeout
        options.read_size = max(read_size, 0)
        options.spare_chunks = max(spare_chunks, 0)
        options.core = own
        for number in range(1000):
            own[number] = 0
        for type_id, size in core.items():
            if not 0 <= type_id < 1000 or not 0 <= (size or 0) < 0xFFFF_FFFF - 1:
                raise ValueError(f"no core type of {size} bytes: {type_id}")
            own[<int>type_id] = MYC_NOT_A_CLIENTS if size is None else <uint32_t>size + 1
        try:
            if sizes is not None:
                table = <uint32_t *>calloc(MYC_TYPES, sizeof(uint32_t))
                if table == NULL:
                    raise MemoryError("no memory for a router")
                for type_id, size in sizes.items():
                    if not 0 <= type_id < MYC_TYPES or not 0 <= size < 0xFFFF_FFFF - 1:
                        raise ValueError(f"no type of {size} bytes: {type_id}")
                    table[<int>type_id] = <uint32_t>size + 1
            options.sizes = table
            self._router = myc_router_new(&options)
        finally:
            free(table)
        if self._router == NULL:
            raise OSError(errno, os.strerror(errno))
        self._connections = {}

    def __dealloc__(self):
        if self._router != NULL:
            myc_router_free(self._router)

    def start(self):
        """Start the router's thread."""
        self._thread = threading.Thread(target=self._run, name="mycelium-router", daemon=True)
        self._thread.start()

    def _run(self):
        with nogil:
            myc_router_run(self._router)

    def stop(self, double timeout):
        """Have what waits sent, and every connection ended, within `timeout` seconds."""
        _check(myc_router_stop(self._running(), timeout))

    def join(self):
        """Wait for the router's thread."""
        if self._thread is not None:
            self._thread.join()

    def close(self):
        """Free what it has, after `join()`: nothing is left of its connections then, and nothing comes of asking it."""
        cdef RoutedConnection connection
        if self._thread is not None and self._thread.is_alive():
            raise ValueError("the router still runs: stop() and join() it first")
        for connection in self._connections.values():
            connection._last, connection._last_published = connection.stats(), connection.published()
            connection._connection = NULL
        self._connections.clear()
        if self._router != NULL:
            myc_router_free(self._router)
            self._router = NULL

    def __enter__(self):
        """What is asked of the router and its connections in a `with` block takes effect together."""
        if self._router != NULL:
            myc_router_cork(self._router)
        return self

    def __exit__(self, *error):
        if self._router != NULL:
            myc_router_uncork(self._router)

    cdef myc_router *_running(self) except NULL:
        if self._router == NULL:
            raise ValueError("the router is closed")
        return self._router

    def fileno(self):
        """A descriptor that can be read while there are events."""
        return myc_router_event_fd(self._running())

    def add(self, sock, uint64_t number, unsigned flags, bytes rest=b"", *, publish=None, receive=None, knows=None,
            double frames_per_s=0.0, double bytes_per_s=0.0):
        """Take over a connected socket, with bytes that were read from it already.

        The rest is what it begins with, before anything is read: see `RoutedConnection.allow()` and `.limit()`.

        Args:
            knows: the types that the peer's contracts have, None for every one: it gets no others, and what it sends of
                others is dropped as an unknown type is.

        Raises:
            MemoryError: there is none; the socket is the caller's still.
        """
        cdef const uint8_t *data = rest
        cdef RoutedConnection connection = RoutedConnection.__new__(RoutedConnection)
        cdef uint64_t bits[3][MYC_TYPE_WORDS]
        cdef myc_connection_options options
        self._running()
        _fill(bits[0], publish)
        _fill(bits[1], receive)
        _fill(bits[2], knows)
        options.flags = flags
        options.publish = NULL if publish is None else bits[0]
        options.receive = NULL if receive is None else bits[1]
        options.knows = NULL if knows is None else bits[2]
        options.frames_per_s = _rate(frames_per_s)
        options.bytes_per_s = _rate(bytes_per_s)
        sock.setblocking(False)
        descriptor = os.dup(sock.fileno())
        connection._connection = myc_router_add(self._router, descriptor, number, &options, data, len(rest))
        if connection._connection == NULL:
            os.close(descriptor)
            raise MemoryError("no memory for a connection")
        sock.close()
        connection._router = self
        connection.number = number
        self._connections[<size_t>connection._connection] = connection
        return connection

    def events(self):
        """Everything that has happened since the last call, in order, as a list of `Event`."""
        cdef myc_event *events
        cdef size_t count = myc_router_take_events(self._running(), &events), place
        cdef RoutedConnection connection
        cdef list found = []
        for place in range(count):
            connection = self._connections[<size_t>events[place].connection]
            kind, reason = events[place].kind, ""
            if kind == MYC_EVENT_ENDED:
                reason = ENDS[events[place].reason]
            elif kind == MYC_EVENT_DROPPED:
                reason = DROPS[events[place].reason]
            data = b""
            if events[place].data != NULL:
                data = events[place].data[:events[place].size]
                free(events[place].data)
            found.append(
                Event(connection, KINDS[kind], reason, events[place].type_id, events[place].number, data)
            )
            if kind == MYC_EVENT_ENDED:
                connection._last, connection._last_published = connection.stats(), connection.published()
                del self._connections[<size_t>connection._connection]
                myc_router_release(self._router, connection._connection)
                connection._connection = NULL
        free(events)
        return found

    def type_stats(self, uint16_t type_id):
        """Frames and bytes of a type that came in, headers included."""
        cdef uint64_t frames, size
        myc_router_type_stats(self._running(), type_id, &frames, &size)
        return frames, size

    def all_type_stats(self):
        """Frames and bytes by type id, of the types that came in; headers included."""
        cdef uint64_t frames, size
        cdef int type_id
        cdef dict found = {}
        self._running()
        for type_id in range(MYC_TYPES):
            myc_router_type_stats(self._router, <uint16_t>type_id, &frames, &size)
            if frames:
                found[type_id] = (frames, size)
        return found
