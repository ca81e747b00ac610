"""Frames as bytes, whatever the messages in them: writing one, and finding them in a stream.

    | type_id: u16 | length: u32 | payload: length bytes |        all little-endian, no delimiter

Nothing here knows a socket or a contract. `FrameScanner` takes a stream in pieces of any size and gives the
complete frames back in runs; what a payload means is the business of message classes.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from operator import index

from mycelium_fast.errors import EncodeError, ProtocolError

cdef extern from "wire.h":
    const int MYC_HEADER_SIZE
    uint16_t myc_load_u16(const uint8_t *) nogil
    uint32_t myc_load_u32(const uint8_t *) nogil
    void myc_store_header(uint8_t *, uint16_t, uint32_t) nogil

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
@cython.freelist(64)
cdef class Run:
    """Back-to-back frames of one type id and one length, as they stood in the stream.

    Attributes:
        type_id: of every frame of the run.
        length: of every payload, in bytes.
        count: number of frames, at least 1.
        frames: read-only view of `count * (6 + length)` bytes; keeps the bytes it shows alive.
    """

    cdef readonly int type_id
    cdef readonly Py_ssize_t length
    cdef readonly Py_ssize_t count
    cdef readonly object frames

    def payloads(self):
        """The payloads, each as a view of `length` bytes."""
        step = MYC_HEADER_SIZE + self.length
        return [self.frames[start + MYC_HEADER_SIZE:start + step] for start in range(0, self.count * step, step)]

    def __repr__(self):
        return f"Run(type_id={self.type_id}, length={self.length}, count={self.count})"


@cython.final
cdef class FrameScanner:
    """Splits a stream into frames, whatever the pieces that it comes in.

    A partial frame is kept until the rest arrives, and no more than that: a frame longer than
    `max_payload_size` (bytes) is refused when its header is complete, with nothing allocated for it.
    """

    cdef readonly Py_ssize_t max_payload_size
    cdef bytearray _partial
    cdef Py_ssize_t _wanted  # size that the partial frame must reach before it is worth looking at again
    cdef str _error

    def __init__(self, max_payload_size=MAX_ACCEPTED_PAYLOAD_SIZE):
        if not 0 <= max_payload_size <= 0xFFFFFFFF:
            raise ValueError(f"max_payload_size is 0 to {0xFFFFFFFF} bytes, got {max_payload_size}")
        self.max_payload_size = max_payload_size
        self._partial = bytearray()
        self._wanted = MYC_HEADER_SIZE
        self._error = None

    @property
    def pending(self):
        """Bytes held of a frame that is not complete yet."""
        return len(self._partial)

    def feed(self, data):
        """Take the next piece of the stream; give the frames that it completes, as a list of `Run`.

        Raises:
            ProtocolError: a frame longer than `max_payload_size` came after the frames given so far. The stream
                cannot be followed any further: every later call raises it again.
        """
        if self._error is not None:
            raise ProtocolError(self._error)
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # whatever its items are, and never of an int
        if self._partial:
            if len(self._partial) + len(data) < self._wanted:
                self._partial += data
                return []
            self._partial += data
            data = bytes(self._partial)
        runs = []
        used = self._split(data, runs)
        self._partial = bytearray(memoryview(data)[used:])
        if self._error is not None:
            self._partial.clear()
            if not runs:
                raise ProtocolError(self._error)
        return runs

    def close(self):
        """The stream has ended.

        Raises:
            ProtocolError: within a frame, or after a frame that was refused.
        """
        if self._error is not None:
            raise ProtocolError(self._error)
        if self._partial:
            raise ProtocolError(
                f"the stream ended within a frame: {len(self._partial)} bytes of at least {self._wanted} had come"
            )

    cdef Py_ssize_t _split(self, bytes data, list runs) except -1:
        """Append the complete frames of `data` to `runs`; give their size in bytes."""
        cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), offset = 0, begin = 0, step
        cdef Py_ssize_t length, run_length = -1
        cdef int type_id, run_type = -1
        view = memoryview(data)
        while size - offset >= MYC_HEADER_SIZE:
            type_id = myc_load_u16(start + offset)
            length = myc_load_u32(start + offset + 2)
            if length > self.max_payload_size:
                self._error = (
                    f"a frame of type id {type_id} declares a payload of {length} bytes; "
                    f"at most {self.max_payload_size} are accepted"
                )
                break
            step = MYC_HEADER_SIZE + length
            if size - offset < step:
                break
            if type_id != run_type or length != run_length:
                if offset > begin:
                    runs.append(make_run(view, begin, offset, run_type, run_length))
                begin, run_type, run_length = offset, type_id, length
            offset += step
        if offset > begin:
            runs.append(make_run(view, begin, offset, run_type, run_length))
        self._wanted = MYC_HEADER_SIZE
        if size - offset >= MYC_HEADER_SIZE:
            self._wanted += myc_load_u32(start + offset + 2)
        return offset


cdef Run make_run(view, Py_ssize_t begin, Py_ssize_t end, int type_id, Py_ssize_t length):
    cdef Run run = Run.__new__(Run)
    run.type_id = type_id
    run.length = length
    run.count = (end - begin) // (MYC_HEADER_SIZE + length)
    run.frames = view[begin:end]
    return run
