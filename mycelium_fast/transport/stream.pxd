# The blocking driver, as the publishers and subscribers of bus/ use it; see stream.pyx.

from libc.stdint cimport uint8_t

from mycelium_fast.codec.frames cimport FrameScanner, Run
from mycelium_fast.codec.type_table cimport TypeTable
from mycelium_fast.codec.writer cimport BatchWriter
from mycelium_fast.transport.sink cimport Sink
from mycelium_fast.transport.wire cimport Wakeup, Wire


cdef class Stream:
    cdef object __weakref__
    cdef readonly Wire wire
    cdef readonly object connection, ended
    cdef dict refused  # type id -> error, of those that the peer takes no messages of; None while there are none
    cdef readonly str name
    cdef readonly FrameScanner scanner
    cdef readonly BatchWriter writer
    cdef readonly Py_ssize_t skipped_frames, lagged_frames
    cdef public object tracer
    cdef object on_unknown, _flusher
    cdef Wakeup _wake_reader, _wake_sender
    cdef str _owner, _goodbye
    cdef bytes _late
    cdef double _publish_timeout, _greeted_at, _drained_at
    cdef int _generation
    cdef bint _passing, _closing, _closed, _peer_gone, _heard, _keep, _ever_sent, _handing, _starved, _broken
    cdef unsigned long _reader, _sender
    cdef int _depth
    cdef Py_ssize_t _sent, _sent_since_drain, _handed_out
    cdef list _waiters, _stuck, _sinks_of_all
    cdef dict _sinks, _asked  # by type id; by number of the request
    cdef TypeTable _table  # of _sinks, unless they have changed
    cdef bint _sinks_changed
    cdef object _arrived, _trace, _asking
    cdef object _granted     # types that the peer has confirmed and was not asked to forget
    cdef object _unsendable  # why nothing can be sent: as `ended`, or what sending failed with before all was read

    # Send one whole frame, or the frames of messages of one compiled class, by the profile.
    cdef int publish(self, const uint8_t *frame, Py_ssize_t size) except -1
    cdef int publish_all(self, void *type_, Py_ssize_t frame_size, tuple messages) except -1
    # Read, or wait for the thread that reads, until the sink is ready, all is over, or the deadline (on the clock of
    # time.monotonic(), below 0: none) has passed.
    cdef int wait(self, Sink sink, double deadline) except -1

    # PermissionDenied if it is among `refused`, which is not None.
    cdef int raise_if_refused(self, int type_id) except -1

    cdef int _check(self) except -1
    cdef int _due(self, int verdict) except -1
    cdef bint _arm(self) except -1
    cdef int _count(self, int reason) except -1
    cdef int _make_room(self) except -1
    cdef int _send_all(self, bint may_wait, bint accepted) except -1
    cdef int _raise_unsendable(self) except -1
    cdef bint _drain(self) except -1
    cdef int _look(self) except -1
    cdef int _answer(self) except -1
    cdef Py_ssize_t _send_some(self, const uint8_t *data, Py_ssize_t size) except -1
    cdef int _write_failed(self, object error) except -1
    cdef int _await_room(self, list progress, bint accepted) except -1
    cdef object _stalled(self, list queues, bint accepted)
    cdef bint _take_turn(self) noexcept
    cdef int _leave_turn(self) except -1
    cdef int _sleep(self, double deadline) except -1
    cdef int _wake_waiters(self) except -1
    cdef int _wake_all(self) except -1
    cdef int _read(self, double deadline) except -1
    cdef int _receive(self, int block, double limit_s) except -1
    cdef int _take_in(self, Py_ssize_t size) except -1
    cdef int _event(self, object event) except -1
    cdef int _send_core(self, bytes data, bint may_wait) except -1
    cdef int _hand_out(self) except -1
    cdef int _hand_out_now(self, list runs) except -1
    cdef int _hand_out_run(self, Run run) except -1
    cdef int _interrupted(self, object error) except -1
    cdef int _offer(self, Sink sink, Run run, Py_ssize_t start, bint force) except -1
    cdef int _end_of_stream(self, object failure) except -1
    cdef int _end(self, object error) except -1
    cdef int _install(self, Sink sink) except -1
    cdef int _unsubscribe(self, object type_ids) except -1
    cdef int _granted_request(self, object number) except -1
    cdef int _part(self, double deadline) except -1
