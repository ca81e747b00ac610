"""The bounded queue between a connection and one subscriber, and what happens when it is full.

A driver offers runs of frames (the queue is a `Sink` of `transport/`); they are decoded at once, so that a bad frame
never takes a good one's place, and what has no room is dropped and counted here. Waiting for messages is the business
of the subscribers.

    chunks:   current [ . . . m m m m ]   [ array of rows ]   [ m m m m m m ]      waiting = sum of what is left
                              ^ position                         ^ tail

A long run is a chunk of its own. Where types alternate runs are short, and a list for each would cost more than its
messages: those are added to the last list of short runs, the tail.

The GIL is the lock: between two of its statements this code gives it up nowhere but in calls of Python code, and
is in order there.
"""

from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport uint8_t

from mycelium_fast.codec.decode cimport Definition, decode_frames, decode_if_good
from mycelium_fast.codec.frames cimport Run
from mycelium_fast.codec.tables cimport MYC_HEADER_SIZE, myc_spec
from mycelium_fast.codec.type_table cimport TypeTable

import logging
from collections import deque
from typing import Any, Callable, Literal, NamedTuple, get_args

from mycelium_fast.codec.frames import HEADER_SIZE
from mycelium_fast.errors import DecodeError, SubscriberOverflow, ValidationError

cdef extern from *:
    """
    /* Takes an item out of a list that goes on holding None in its place. */
    static inline PyObject *myc_list_take(PyObject *list, Py_ssize_t index) {
        PyObject *item = PyList_GET_ITEM(list, index);
        Py_INCREF(Py_None);
        PyList_SET_ITEM(list, index, Py_None);
        return item;
    }
    """
    object myc_list_take(list, Py_ssize_t)

cdef object _log = logging.getLogger("mycelium_fast.bus")
#: What happens to messages that find the queue full.
Overflow = Literal["block", "drop_oldest", "drop_newest", "latest", "error"]
cdef tuple POLICIES = get_args(Overflow)
# An array shares the block that its frames were read into. Where they are less than this part of a block they are
# copied, lest a few rows keep a whole block.
cdef enum:
    COPY_BELOW = 16 * 1024
    # Messages that are worth no list of their own, and messages in a tail: what is taken leaves its place there.
    SHORT_RUN = 16
    LONG_TAIL = 1024
    # Trace contexts kept beyond those of the messages that wait, for whoever has just taken some and asks for theirs.
    MANY_CONTEXTS = 64


class RawMessage(NamedTuple):
    """A frame of a type that need not be known: what a raw subscriber gives."""

    type_id: int
    payload: bytes


class BadFrames(NamedTuple):
    """What the hook `on_bad_frame` is given.

    Attributes:
        type_id: of the frames.
        count: how many there were.
        error: what was wrong with the last one, its offset in the payload; None where the type is not known.
    """

    type_id: int
    count: int
    error: object


BadFramesHook = Callable[[BadFrames], Any]


def report_bad_frames(hook, int type_id, Py_ssize_t count, error):
    """Call a hook, if there is one; its own exceptions are logged and go no further."""
    if hook is not None:
        try:
            hook(BadFrames(type_id, count, error))
        except Exception:
            _log.exception("the hook on_bad_frame failed")


cdef object _alone(object cls, Run run, object error, bint validate):
    """What is wrong with a frame of a run, with the offset in its payload: that in the run tells nobody anything."""
    cdef Py_ssize_t step = HEADER_SIZE + run.length
    cdef Py_ssize_t start = (error.offset or 0) // step * step
    try:
        cls.from_bytes(memoryview(run)[start + HEADER_SIZE:start + step], validate=validate)
    except (DecodeError, ValidationError) as found:
        return found
    return error


cdef class MessageQueue(Sink):
    """Messages that wait to be received; knows nothing of connections.

    Args:
        classes: message classes to decode; None for raw frames.
        type_ids: for raw frames alone: the types wanted, None for every type.
        capacity: how many messages wait at most.
        overflow: what happens to messages that find it full: `"block"`, `"drop_oldest"`, `"drop_newest"`,
            `"latest"` (capacity 1, the newest stays) or `"error"`.
        validate: whether messages against a rule of the contract count as undecodable.
        on_bad_frame: called with `BadFrames` for frames that did not decode.

    Attributes:
        full: an offer found no room for all, and blocked; until half of the room is free again.
        relieved: how often that ended.
        closed: nothing more is wanted.
        failed: it was full with overflow "error": nothing more is taken.
        waiting: messages in it.
        received: messages that arrived and decoded, `dropped` ones included: what is neither dropped nor waiting
            was taken. Frames that did not decode are `decode_errors`.
        wake: called without arguments when there is something new to look at; None for nobody.
        relieve: called without arguments when `full` ends; None for nobody.
    """

    def __init__(self, classes, *, type_ids=None, capacity, overflow, validate=True, on_bad_frame=None):
        if overflow not in POLICIES:
            raise ValueError(f"overflow is one of {', '.join(POLICIES)}, not {overflow!r}")
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity is a number of messages, not {capacity!r}")
        if capacity < 1:
            raise ValueError(f"capacity is at least 1 message, not {capacity}")
        self.classes = None if classes is None else tuple(classes)
        self._class_of = {} if classes is None else {each.TYPE_ID: each for each in self.classes}
        # Class functions of compiled messages are bound to what describes them to the codec.
        bound_to = {type_id: getattr(each.decode_batch, "__self__", None) for type_id, each in self._class_of.items()}
        self._decoders = TypeTable({key: each for key, each in bound_to.items() if isinstance(each, Definition)})
        if classes is not None:
            self.type_ids = frozenset(self._class_of)
        else:
            self.type_ids = None if type_ids is None else frozenset(type_ids)
        self.capacity = 1 if overflow == "latest" else capacity
        self._blocks = overflow == "block"
        self._keeps_oldest = overflow in ("drop_newest", "error")
        self.overflow = overflow
        self.validate = validate
        self.on_bad_frame = on_bad_frame
        self._chunks = deque()
        self._current = []
        self._contexts = deque()

    @property
    def name(self):
        """Names of its message classes, or `raw`."""
        if self.classes is None:
            return "raw" if self.type_ids is None else f"raw {', '.join(map(str, sorted(self.type_ids)))}"
        return " | ".join([each.__name__ for each in self.classes])

    def __str__(self):
        return f'the subscriber of {self.name} with capacity {self.capacity} and overflow "{self.overflow}"'

    def __len__(self):
        return self.waiting

    cpdef bint ready(self) except -1:
        return self.waiting > 0 or self.closed or self.failed

    def close(self):
        """Want nothing more; what waits can still be taken."""
        self.closed = True
        if self.wake is not None:
            self.wake()

    def overflowed(self):
        """The error to raise once a failed queue is empty."""
        return SubscriberOverflow(
            f"{self} was full when more arrived: {self.dropped} messages after the ones received were dropped. "
            "Take messages faster, choose a larger capacity, or another overflow"
        )

    # --- taking -----------------------------------------------------------------------------------------------------

    cdef object pop(self):
        """The oldest message, or None: no message is None."""
        cdef list current = self._current
        if self._position >= PyList_GET_SIZE(current):
            if self.waiting == 0 or not self._load():
                return None
            current = self._current
        # (Out of the list, so that it is freed when its receiver is done with it.)
        message = myc_list_take(current, self._position)
        self._position += 1
        self.waiting -= 1
        self._taken_end = self._stored - self.waiting
        if self.full and self.waiting <= self.capacity // 2:
            self._taken()
        return message

    def take(self):
        """The oldest message; IndexError where there is none."""
        message = self.pop()
        if message is None:
            raise IndexError("no message is waiting")
        return message

    def take_all(self):
        """A list of all that waits, which may be empty."""
        cdef list messages = None
        self._tail = None  # it is given away
        if self._position < PyList_GET_SIZE(self._current):
            messages = self._current[self._position:] if self._position else self._current
            self._current = []
            self._position = 0
            self.waiting -= len(messages)
        while self._chunks:
            if not self._load():
                break
            chunk, self._current = self._current, []
            self.waiting -= len(chunk)
            if messages is None:
                messages = chunk
            else:
                messages.extend(chunk)
        self._taken()
        return [] if messages is None else messages

    def use_arrays(self):
        """From now on, keep what arrives as arrays."""
        if self.classes is None:
            raise TypeError("a raw subscriber gives frames as they are: arrays need a message class")
        import numpy  # the error for who has none comes here, and not while something arrives

        self._arrays = True

    def take_array(self):
        """The oldest messages that arrived together, as a NumPy structured array; None where none wait."""
        cdef list messages
        if self.waiting == 0:
            return None
        if self._position < PyList_GET_SIZE(self._current) or isinstance(self._chunks[0], list):
            messages = []
            if self._position >= PyList_GET_SIZE(self._current):
                self._load()
            cls = type(self._current[self._position])
            while self._position < PyList_GET_SIZE(self._current) and type(self._current[self._position]) is cls:
                messages.append(myc_list_take(self._current, self._position))
                self._position += 1
                self.waiting -= 1
            table = cls.array(cls.encode_batch(messages), validate=False)
        else:
            table = self._chunks.popleft()
            self.waiting -= len(table)
        self._taken()
        return table

    cdef int _taken(self) except -1:
        """Messages were taken: tell who was held up that there is room."""
        self._taken_end = self._stored - self.waiting
        if self.full and self.waiting <= self.capacity // 2:
            self.full = False
            self.relieved += 1
            if self.relieve is not None:
                self.relieve()
        return 0

    cdef int _load(self) except -1:
        """Make the next chunk the current list, which is used up; 0 where there is none."""
        while self._chunks:
            chunk = self._chunks[0]
            messages = chunk if isinstance(chunk, list) else self._rows(chunk)
            # Decoding may be Python code, and another thread may have had its turn meanwhile.
            if self._position < PyList_GET_SIZE(self._current):
                return 1
            if self._chunks and self._chunks[0] is chunk:
                self._chunks.popleft()
                self._current = messages
                self._position = 0
                return 1
        return 0

    cdef object _rows(self, object table):
        """The messages of an array. Its memory is that of whole frames, of which the dtype does not show the header."""
        cls = self._class_of[int.from_bytes(table[:1].view("u1")[:2].tobytes(), "little")]
        return cls.decode_batch(table, validate=False)

    def traced(self, context):
        """The first frame offered next came with this trace context."""
        self._context = context

    def contexts(self, Py_ssize_t count):
        """The trace contexts of the last `count` messages taken."""
        cdef Py_ssize_t end = self._taken_end
        found = []
        while self._contexts and self._contexts[0][0] < end:
            index, context = self._contexts.popleft()
            if index >= end - count:
                found.append(context)
        return found

    # --- offering ---------------------------------------------------------------------------------------------------

    cpdef Py_ssize_t offer(self, Run run, Py_ssize_t start, bint force) except -1:
        """Queue the frames of a run from number `start` on, as far as there is room.

        Args:
            force: take all of them, whatever the capacity: they are the last, or nothing can wait for room.

        Returns:
            how many frames were dealt with; fewer than offered only where a full queue blocks.
        """
        cdef Py_ssize_t first = start, before = self.received, count
        if self.closed:
            self._context = None
            return run.count - start
        if self.failed:
            self._context = None
            self.received += run.count - start
            self.dropped += run.count - start
            return run.count - start
        if run.count - start <= SHORT_RUN and self._context is None and not self._arrays:
            start += self._add(run, start)
        while start < run.count:
            count = run.count - start
            if self._blocks and not force:
                # (Asked again after each part: bad frames have taken no room, and hooks may have run.)
                count = min(count, self.capacity - self.waiting)
                if count <= 0:
                    self.full = True
                    break
            chunk = self._decode(run if count == run.count else run.slice(start, start + count))
            start += count
            if len(chunk):
                self._store(chunk, len(chunk), force)
            self._context = None
        if self.received > before and self.wake is not None:
            self.wake()
        return start - first

    cdef Py_ssize_t _add(self, Run run, Py_ssize_t start) except -1:
        """Add the frames from `start` on to the tail, up to the first that is bad or has no room; how many."""
        cdef Py_ssize_t first = start
        cdef const uint8_t *payload
        cdef const myc_spec *spec
        cdef list tail
        decoder = self._decoders.get(run.type_id)
        if decoder is None:
            return 0
        spec = (<Definition>decoder).spec
        if run.length != spec.size:
            return 0
        payload = run.start + start * (MYC_HEADER_SIZE + run.length) + MYC_HEADER_SIZE
        while start < run.count and self.waiting < self.capacity:
            message = decode_if_good(spec, payload, self.validate)
            if message is None:
                break
            tail = self._tail
            if tail is not None and PyList_GET_SIZE(tail) < LONG_TAIL:
                tail.append(message)
            else:
                tail = [message]
                self._append(tail)
                self._tail = tail
            self.received += 1
            self._stored += 1
            self.waiting += 1
            payload += MYC_HEADER_SIZE + run.length
            start += 1
        if self.waiting > self.high_water:
            self.high_water = self.waiting
        return start - first

    cdef int _append(self, object chunk) except -1:
        self._tail = None
        if self.waiting == 0 and isinstance(chunk, list):
            self._current = chunk
            self._position = 0
        else:
            self._chunks.append(chunk)
        return 0

    cdef object _decode(self, Run run):
        cdef list errors
        if self.classes is None:
            type_id = run.type_id
            return [RawMessage(type_id, bytes(payload)) for payload in run.payloads()]
        if self._arrays:
            return self._table(self._class_of[run.type_id], run)
        errors = []
        decoder = self._decoders.get(run.type_id)
        if decoder is not None:
            messages = decode_frames(
                (<Definition>decoder).spec, run.start, run.count * (MYC_HEADER_SIZE + run.length), self.validate, errors
            )
        else:  # plain Python
            messages = self._class_of[run.type_id].decode_batch(run, validate=self.validate, errors=errors)
        if errors:
            self._bad(run, errors)
        return messages

    cdef object _table(self, object cls, Run run):
        """The good frames of a run as an array; it shares the run's memory where that is worth it."""
        cdef list errors
        frames = run if run.count * (6 + run.length) >= COPY_BELOW else bytes(run)
        try:
            return cls.array(frames, validate=self.validate)
        except (DecodeError, ValidationError):
            errors = []
            messages = cls.decode_batch(run, validate=self.validate, errors=errors)
            self._bad(run, errors)
            return cls.array(cls.encode_batch(messages), validate=False)

    cdef int _bad(self, Run run, list errors) except -1:
        self.decode_errors += len(errors)
        self.last_decode_error = _alone(self._class_of[run.type_id], run, errors[len(errors) - 1], self.validate)
        if (errors[0].offset or 0) < HEADER_SIZE + run.length:
            self._context = None  # that of the first frame, which is a bad one
        report_bad_frames(self.on_bad_frame, run.type_id, len(errors), self.last_decode_error)
        return 0

    cdef int _store(self, object chunk, Py_ssize_t count, bint force) except -1:
        cdef Py_ssize_t room
        self.received += count
        if self._keeps_oldest:
            room = max(0, self.capacity - self.waiting)
            if count > room:
                self.dropped += count - room
                self.failed = self.overflow == "error"
                chunk = chunk[:room]
                count = room
                if count == 0:
                    return 0
        elif not self._blocks and count > self.capacity:
            self.dropped += count - self.capacity
            chunk = chunk[count - self.capacity:]
            count = self.capacity
            self._context = None
        if self._context is not None:
            self._contexts.append((self._stored, self._context))
            if len(self._contexts) > 2 * self.capacity + MANY_CONTEXTS:
                while self._contexts[0][0] < self._stored - self.waiting:  # dropped, or nobody asks any more
                    self._contexts.popleft()
        self._append(chunk)
        self._stored += count
        self.waiting += count
        if not self._blocks and self.waiting > self.capacity:
            self._drop_oldest(self.waiting - self.capacity)
        if self.waiting > self.high_water:
            self.high_water = self.waiting
        return 0

    cdef int _drop_oldest(self, Py_ssize_t count) except -1:
        cdef Py_ssize_t here
        self.dropped += count
        self.waiting -= count
        while count > 0:
            here = min(count, PyList_GET_SIZE(self._current) - self._position)
            if here > 0:
                for _ in range(here):
                    myc_list_take(self._current, self._position)
                    self._position += 1
                count -= here
                continue
            chunk = self._chunks.popleft()
            if isinstance(chunk, list):
                self._current = chunk
                self._position = 0
                continue
            here = min(count, <Py_ssize_t>len(chunk))
            if here < len(chunk):
                self._chunks.appendleft(chunk[here:])
            count -= here
        return 0
