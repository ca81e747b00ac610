"""Frames as bytes, whatever the messages in them: writing one, and finding them in a stream.

    | type_id: u16 | length: u32 | payload: length bytes |        all little-endian, no delimiter

Nothing here knows a socket or a contract. `FrameScanner` takes a stream in pieces of any size and gives the
complete frames back in runs, which show the very memory that was read into; what a payload means is the business of
message classes.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE,
    PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memmove

from mycelium_fast.codec.pool cimport Block, BufferPool

from operator import index

from mycelium_fast.errors import EncodeError, ProtocolError

cdef extern from "wire.h":
    const int MYC_HEADER_SIZE
    uint16_t myc_load_u16(const uint8_t *) nogil
    uint32_t myc_load_u32(const uint8_t *) nogil
    void myc_store_header(uint8_t *, uint16_t, uint32_t) nogil
    size_t myc_uniform_span(const uint8_t *, size_t, uint16_t, uint32_t) nogil

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *)

cdef int FIRST_APPLICATION_TYPE_ID = 1000
# A time to wait for a pool's block: none at all, and no block of the pool if it has none.
cdef double NO_POOL = -1.0
# Memory of one large frame that is kept for the next: doubling it anew costs more than reading it does.
cdef Py_ssize_t MOST_KEPT = MYC_HEADER_SIZE + (1 << 20)

#: Bytes before a payload.
HEADER_SIZE = MYC_HEADER_SIZE
#: Largest payload to send, in bytes: older peers refuse more.
MAX_PAYLOAD_SIZE = 4_194_304
#: Largest payload to accept, in bytes: what Rust nodes accept.
MAX_ACCEPTED_PAYLOAD_SIZE = 16_777_216


def encode_frame(type_id, payload):
    """One frame around a payload.

    Args:
        type_id: 0 to 65535.
        payload: any bytes-like object of at most `MAX_PAYLOAD_SIZE` bytes.

    Raises:
        EncodeError: the type id or the payload's size is out of range.
        TypeError: not an int, or not bytes-like.
    """
    cdef Py_buffer view
    cdef uint8_t *frame
    if isinstance(type_id, bool) or not hasattr(type(type_id), "__index__"):
        raise TypeError(f"encode_frame(): type_id is an int, got {type(type_id).__name__}")
    type_id = index(type_id)
    if not 0 <= type_id <= 0xFFFF:
        raise EncodeError(f"encode_frame(): type id {type_id} is out of range 0..65535")
    if not PyObject_CheckBuffer(payload):
        raise TypeError(f"encode_frame(): payload is a bytes-like object, got {type(payload).__name__}")
    PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
    try:
        if view.len > MAX_PAYLOAD_SIZE:
            raise EncodeError(
                f"encode_frame(): a payload of {view.len} bytes for type id {type_id}; "
                f"at most {MAX_PAYLOAD_SIZE} can be sent"
            )
        encoded = PyBytes_FromStringAndSize(NULL, MYC_HEADER_SIZE + view.len)
        frame = <uint8_t *>PyBytes_AS_STRING(encoded)
        myc_store_header(frame, type_id, <uint32_t>view.len)
        memcpy(frame + MYC_HEADER_SIZE, view.buf, view.len)
        return encoded
    finally:
        PyBuffer_Release(&view)


@cython.final
@cython.no_gc  # its owner is a block or a bytes object
@cython.freelist(4096)  # a block of short frames whose types alternate has a run for each
cdef class Run:
    """Back-to-back frames of one type id and one length, as they stood in the stream.

    Exports the frames through the buffer protocol, read-only: `count * (6 + length)` bytes. Whatever shows them
    (a view, an array) keeps them alive, and so does the run. Nothing ever changes them.

    Attributes:
        type_id: of every frame of the run.
        length: of every payload, in bytes.
        count: number of frames, at least 1.
        frames: read-only view of all of them.
    """

    def __init__(self):
        raise TypeError("runs come from a FrameScanner, or from runs_of()")

    @property
    def frames(self):
        return memoryview(self)

    def payloads(self):
        """The payloads, each as a view of `length` bytes."""
        frames = memoryview(self)
        step = MYC_HEADER_SIZE + self.length
        return [frames[start + MYC_HEADER_SIZE:start + step] for start in range(0, self.count * step, step)]

    cpdef Run slice(self, Py_ssize_t start, Py_ssize_t stop):
        """The frames from `start` up to `stop`, not included, as a run of the same memory.

        Raises:
            IndexError: there are no such frames, or none between the two.
        """
        if not 0 <= start < stop <= self.count:
            raise IndexError(f"frames {start} to {stop} of a run of {self.count}")
        return make_run(
            self.owner, self.start + start * (MYC_HEADER_SIZE + self.length), self.type_id, self.length, stop - start
        )

    def __getbuffer__(self, Py_buffer *view, int flags):
        # (Not PyBuffer_FillInfo, which would overwrite what Cython has put into view.obj.)
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("a run exports its frames read-only: others may look at the same memory")
        view.obj = self
        view.buf = <void *>self.start
        view.len = self.count * (MYC_HEADER_SIZE + self.length)
        view.readonly = True
        view.itemsize = 1
        view.format = <char *>b"B" if flags & PyBUF_FORMAT else NULL
        view.ndim = 1
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    def __repr__(self):
        return f"Run(type_id={self.type_id}, length={self.length}, count={self.count})"


cdef inline Run make_run(owner, const uint8_t *start, int type_id, Py_ssize_t length, Py_ssize_t count):
    cdef Run run = Run.__new__(Run)
    run.type_id = type_id
    run.length = length
    run.count = count
    run.start = start
    run.owner = owner
    return run


cdef Py_ssize_t split(owner, const uint8_t *start, Py_ssize_t size, Py_ssize_t max_payload_size, list runs) except -1:
    """Append the complete frames to `runs`; give their size. Stops at a frame longer than `max_payload_size`."""
    cdef Py_ssize_t offset = 0, length, step, span
    cdef uint16_t type_id
    while size - offset >= MYC_HEADER_SIZE:
        type_id = myc_load_u16(start + offset)
        length = myc_load_u32(start + offset + 2)
        if length > max_payload_size:
            break
        span = myc_uniform_span(start + offset, size - offset, type_id, <uint32_t>length)
        if span == 0:
            break
        step = MYC_HEADER_SIZE + length
        runs.append(make_run(owner, start + offset, type_id, length, 1 if span == step else span // step))
        offset += span
    return offset


def runs_of(data):
    """The runs of whole frames that are in memory already: of a `bytes` object without copying it.

    Raises:
        ProtocolError: the last frame is not complete.
        TypeError: not bytes-like.
    """
    cdef list runs = []
    if type(data) is not bytes:
        data = bytes(memoryview(data))
    size = PyBytes_GET_SIZE(data)
    whole = split(data, <const uint8_t *>PyBytes_AS_STRING(data), size, 0xFFFFFFFF, runs)
    if whole < size:
        raise ProtocolError(f"{size} bytes are no whole frames: the one at offset {whole} is not complete")
    return runs


@cython.final
@cython.no_gc  # it refers to its pool and to a block
cdef class FrameScanner:
    """Splits a stream into frames, whatever the pieces that it comes in, in the memory that it was read into.

    Either `get_buffer()`, read, `buffer_updated()`; or `feed()`, which copies. Reads fill one block of the pool after
    the other; runs show parts of them, and a new block is begun once too little room is left:

        | runs given before ... | partial frame | room |
        0                     begin            end    size of the block

    A partial frame is kept until the rest arrives, and no more than that. A frame larger than a block gets memory of
    its own, which doubles as the frame arrives; one longer than `max_payload_size` is refused when its header is
    complete, with nothing allocated for it. Memory of up to 1 MiB waits for a next frame of the same size, until a
    smaller one comes. One thread at a time.

    Args:
        max_payload_size: payload bytes that a frame may have.
        pool: where blocks come from; None for a pool of its own, with the defaults of `BufferPool`.

    Attributes:
        frames, bytes, reads: complete frames, bytes of the stream and pieces of it so far.
        saw_core: whether a type id below 1000 (protocol, section 4) is among the runs given last.
    """

    def __cinit__(self, max_payload_size=MAX_ACCEPTED_PAYLOAD_SIZE, pool=None):
        if not 0 <= max_payload_size <= 0xFFFFFFFF:
            raise ValueError(f"max_payload_size is 0 to {0xFFFFFFFF} bytes, got {max_payload_size}")
        if pool is None:
            pool = BufferPool(blocks=0)
        elif not isinstance(pool, BufferPool):
            raise TypeError(f"FrameScanner: pool is a BufferPool, got {type(pool).__name__}")
        self.max_payload_size = max_payload_size
        self._pool = pool
        self._wanted = MYC_HEADER_SIZE

    @property
    def pending(self):
        """Bytes held of a frame that is not complete yet."""
        return self._end - self._begin

    def get_buffer(self, sizehint=-1):
        """Writable memory for the next bytes of the stream, of at least one byte, and of `sizehint` bytes.

        (asyncio's TLS says by that how much it holds, and at the end of a stream loses what has no room.)

        Raises:
            ProtocolError: as for `feed()`.
            PoolExhausted: no block is free. Nothing is lost: a later call goes on.
        """
        cdef Py_ssize_t size
        self.room(&size, INFINITY)
        if size < sizehint:
            self._move(self._pool.acquire_large(self._end - self._begin + sizehint))
            self._offered = self._block.size - self._end
        return memoryview(self._block)[self._end:]

    def buffer_updated(self, Py_ssize_t size):
        """The first `size` bytes of the memory given last are there; give the frames that they complete.

        Raises:
            ProtocolError: as for `feed()`.
            ValueError: `size` is negative, or more than was given.
        """
        return self.commit(size)

    def feed(self, data):
        """Take the next piece of the stream; give the frames that it completes, as a list of `Run`.

        Raises:
            ProtocolError: a frame longer than `max_payload_size` came after the frames given so far. The stream
                cannot be followed any further: every later call raises it again.
            PoolExhausted: no block is free. Nothing of `data` was taken: a later call goes on.
            TypeError: not bytes-like.
        """
        cdef Py_buffer view
        cdef Py_ssize_t done = 0, size
        cdef list runs = []
        self._check()
        if type(data) is not bytes:
            shown = memoryview(data)  # whatever its items are, and never of an int
            data = shown if shown.c_contiguous else bytes(shown)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.saw_core = False
            while done < view.len and self._error is None:
                # Once a part was taken there is no way back: then without waiting, and if need be without the pool.
                self._make_room(INFINITY if done == 0 else NO_POOL)
                size = min(view.len - done, self._block.size - self._end)
                memcpy(self._block.memory + self._end, <const uint8_t *>view.buf + done, size)
                self._arrived(size, runs)
                done += size
        finally:
            PyBuffer_Release(&view)
        self._offered = 0
        self.reads += done > 0
        if not runs:
            self._check()
        return runs

    def close(self):
        """The stream has ended.

        Raises:
            ProtocolError: within a frame, or after a frame that was refused.
        """
        self._check()
        if self.pending:
            raise ProtocolError(
                f"the stream ended within a frame: {self.pending} bytes of at least {self._wanted} had come"
            )

    cdef uint8_t *room(self, Py_ssize_t *size, double limit_s) except NULL:
        self._check()
        self._make_room(limit_s)
        size[0] = self._offered = self._block.size - self._end
        return self._block.memory + self._end

    cdef list commit(self, Py_ssize_t size):
        cdef list runs = []
        self._check()
        if not 0 <= size <= self._offered:
            raise ValueError(f"{size} bytes read into memory for {self._offered}")
        self._offered = 0
        self.reads += size > 0
        self.saw_core = False
        self._arrived(size, runs)
        if not runs:
            self._check()
        return runs

    cdef int _check(self) except -1:
        if self._error is not None:
            raise ProtocolError(self._error)
        return 0

    cdef int _arrived(self, Py_ssize_t size, list runs) except -1:
        """So many bytes more are in the block: append the frames that they complete to `runs`."""
        cdef Block block = self._block
        cdef Py_ssize_t given = len(runs), number
        cdef Run run
        self._end += size
        self.bytes += size
        if self._end - self._begin < self._wanted:
            return 0
        self._begin += split(
            block, block.memory + self._begin, self._end - self._begin, self.max_payload_size, runs
        )
        if len(runs) > given:
            self._large = None
        for number in range(given, len(runs)):
            run = runs[number]
            self.frames += run.count
            if run.type_id < FIRST_APPLICATION_TYPE_ID:
                self.saw_core = True
        self._wanted = MYC_HEADER_SIZE
        if self._end - self._begin >= MYC_HEADER_SIZE:
            self._header(block.memory + self._begin)
        elif self._begin == self._end and block.size > self._pool.block_size:
            # The memory of one large frame, which is complete.
            self._large = block if block.size <= MOST_KEPT else None
            self._block = None
            self._begin = self._end = 0
        return 0

    cdef int _header(self, const uint8_t *frame) except -1:
        """The partial frame's header is complete."""
        cdef Py_ssize_t length = myc_load_u32(frame + 2)
        self._wanted += length
        if length > self.max_payload_size:
            self._error = (
                f"a frame of type id {myc_load_u16(frame)} declares a payload of {length} bytes; "
                f"at most {self.max_payload_size} are accepted"
            )
            self._block = self._large = None
            self._begin = self._end = 0
        return 0

    cdef int _make_room(self, double limit_s) except -1:
        """See to it that the block has room for another byte at least, and for the whole frame if a block can.

        Args:
            limit_s: seconds that a pool may wait; NO_POOL takes memory outside of it where no block is free.
        """
        # Whether no run and no view refers to the block. (Asked before there is another reference here.)
        cdef bint unshared = self._block is not None and Py_REFCNT(<PyObject *>self._block) == 1
        cdef Block block = self._block
        cdef Py_ssize_t partial = self._end - self._begin, usual = self._pool.block_size, room
        if block is not None:
            if partial == 0 and unshared:
                self._begin = self._end = 0
            room = block.size - self._end
            if room > 0 and (
                self._begin == 0 or (self._begin + self._wanted <= block.size and room >= block.size // 4)
            ):
                return 0
            if self._wanted <= block.size and unshared:
                memmove(block.memory, block.memory + self._begin, partial)
                self._begin, self._end = 0, partial
                return 0
        if self._wanted > usual:
            if (
                self._large is not None and self._large.size == self._wanted
                and Py_REFCNT(<PyObject *>self._large) == 1
            ):
                block = self._large
            else:
                # By what has arrived, never by what a header merely claims.
                block = self._pool.acquire_large(min(self._wanted, 2 * max(partial, usual)))
            self._large = None
        elif limit_s != NO_POOL:
            block = self._pool.acquire_within(limit_s)
        else:
            block = self._pool.acquire_now()
            if block is None:
                block = self._pool.acquire_large(usual)
        self._move(block)
        return 0

    cdef int _move(self, Block block) except -1:
        """Go on in another block, with the partial frame."""
        cdef Py_ssize_t partial = self._end - self._begin
        if partial:
            memcpy(block.memory, self._block.memory + self._begin, partial)
        self._block = block
        self._begin, self._end = 0, partial
        return 0
