"""One blocking connection shared by any number of threads: reading, handing out, sending, closing.

The thread that waits for a message is the one that reads the socket, and hands the others theirs; a publisher that
cannot send reads too, so that a peer which waits for us to read is never waited for. The protocol's states are
`session/`'s; what a subscriber does with its frames is the `Sink`'s affair; `flusher.py` has the one thread there is,
for profiles that let messages wait.

    socket -> scanner's block -> runs, or _arrived where a sink is full -> sinks, or _stuck
    publishers -> writer's blocks -> socket

Nothing is read while anything is stuck: the peer feels it as back-pressure. There are two turns, each a thread's for
a while: `_reader` alone reads and hands out, `_sender` alone sends. The GIL is the lock for everything else: this code
gives it up in system calls and in calls of Python code, and its state is in order there. That also keeps the exception
of a signal handler (Ctrl-C) from striking anywhere else: no byte that a system call took or gave is ever forgotten.
"""

from cpython.object cimport PyObject, PyTypeObject
from cpython.tuple cimport PyTuple_GET_SIZE
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t

from mycelium_fast.codec.frames cimport FrameScanner, Run
from mycelium_fast.codec.type_table cimport TypeTable
from mycelium_fast.codec.writer cimport (
    ARM, FLUSH_CLOSE, FLUSH_DELAY, FLUSH_EXPLICIT, FLUSH_FULL, FULL, KEEP, BatchWriter,
)
from mycelium_fast.transport.sink cimport Sink
from mycelium_fast.transport.wire cimport A_TICK, FOR_EVER, NOT, POLLIN, POLLOUT, Wakeup, Wire, monotonic

import logging
import math
import os
import socket
import warnings
from _thread import allocate_lock
from collections import deque
from threading import RLock

from mycelium_fast.errors import (
    ConnectionClosed, HandshakeError, PermissionDenied, PoolExhausted, ProtocolError, TransportError, TransportTimeout,
)
from mycelium_fast.session import (
    Closed, Features, Frames, GoodbyeReceived, Lagged, Negotiated, Rejected, State, Subscribed, Traced,
)
from mycelium_fast.transport.flusher import Flusher
from mycelium_fast.transport.wire import TICK_S, InterruptedTls

cdef extern from "Python.h":
    ctypedef struct _Tuple "PyTupleObject":
        PyObject **ob_item

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() nogil

cdef enum:
    # Bytes sent after which a publisher looks at what has arrived, lest the peer wait for us to read.
    DRAIN_EVERY = 64 * 1024
    # Reads after which one look at what has arrived is over, although more has.
    MOST_READS = 256

# Seconds that a read blocks before it waits in a way that can be woken.
cdef double TICK = TICK_S
# Seconds after which a publisher looks at what has arrived, however little it sent.
cdef double DRAIN_EVERY_S = 0.01
# Seconds of the longest single wait for a lock.
cdef double LONGEST_S = 86_400.0
# Seconds after which close() asks the kernel whether the peer has read everything, if it does not close.
cdef double QUIET_S = 0.2
# Seconds after the greeting in which a close without a word may mean that the peer refused the digest.
cdef double REFUSAL_S = 1.0
# Seconds between two looks of the flusher, at least: a profile without delay needs it for what a time-out left.
cdef double SHORTEST_DELAY_S = 0.0002
# Times that a publish that is held up by full queues of its own program, or by a pool without a block, looks, within
# the time allowed: nobody tells it when a message is taken from a queue that stays full, or a block is free.
cdef double LOOKS = 5.0
# Seconds between two of these looks, at most.
cdef double LONGEST_LOOK_S = 0.5
# Bytes of answers that wait for a peer to read, beyond which the connection ends: it asks, and does not listen.
cdef Py_ssize_t MOST_LATE = 1 << 20

# Counts forks on the child's side: a stream of another count is the parent's.
cdef int _forks = 0


cdef int _count_fork() except -1:
    global _forks
    _forks += 1
    return 0


def _forked():
    _count_fork()


os.register_at_fork(after_in_child=_forked)


cdef object _log = logging.getLogger("mycelium_fast.bus")


cdef class _Request(Sink):
    """A subscription that the peer has to confirm; ready when it has, or has refused it."""

    cdef Sink sink
    cdef object error
    cdef bint done

    cpdef bint ready(self) except -1:
        return self.done


cdef class Stream:
    """A connected socket under the protocol. Call `start()` once before anything else.

    Args:
        sock: connected; a plain socket or an `ssl.SSLSocket` after its handshake. The stream owns it from here on.
        connection: a client's state, untouched so far.
        writer: for what is sent; its batching decides when.
        name: the peer, for error texts.
        owner: what users see as holding the connection, for the warning when nobody closed it.
        publish_timeout: seconds that a publish may wait without any progress; None for ever.
        on_unknown: called with type id and number of frames that nobody subscribed to; None for nobody.

    Attributes:
        ended: why the connection is over, as an exception; None while it is not.
        tracer: a `codec.tracer.TracerHook`, or None.
        skipped_frames: received, with a type that nobody subscribed to.
        lagged_frames: dropped for this connection by the peer, as it says.
    """

    def __init__(self, sock, connection, BatchWriter writer, *, str name, str owner, publish_timeout, on_unknown=None):
        self.wire = Wire(sock)
        self.connection = connection
        self.scanner = connection.scanner
        self.writer = writer
        self.name = name
        self.on_unknown = on_unknown
        self._owner = owner
        self._publish_timeout = math.inf if publish_timeout is None else publish_timeout
        self._generation = _forks
        self._wake_reader, self._wake_sender = Wakeup(), Wakeup()
        self._waiters = []
        self._stuck = []
        self._sinks = {}
        self._sinks_changed = True  # there is no table of them yet
        self._sinks_of_all = []
        self._asked = {}
        self._asking = RLock()
        self._granted = frozenset()
        self._arrived = deque()
        self._late = b""

    @property
    def is_pending(self):
        """Whether anything accepted waits to be sent, and can be."""
        return self.writer.pending > 0 and self._unsendable is None

    @property
    def is_stuck(self):
        """Whether nothing is read because a sink is full."""
        return bool(self._stuck)

    def add_waiter(self, waiter):
        """Have `release()` of an object called, in any thread, when there may be something new for those who wait. It
        is then forgotten."""
        self._check()
        self._waiters.append(waiter)

    def remove_waiter(self, waiter):
        """It waits no more."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def start(self, double grace):
        """Send the greeting, and wait up to `grace` seconds for an answer; frames that come instead are kept.

        Raises:
            SchemaMismatchError: the peer refused our digest, with a word or without.
            PermissionDenied, HandshakeError: it refused us for another reason.
            ConnectionClosed: the connection ended otherwise.
        """
        cdef double deadline
        greeting = self.connection.data_to_send()
        self._passing = self.connection.passing
        if not greeting:
            return
        self.writer.write_frames(greeting, 0)
        try:
            self._send_all(True, True)
        except TransportError:
            pass  # the peer has closed already: the reading below tells why
        self._keep = True
        self._greeted_at = monotonic()
        deadline = self._greeted_at + grace
        self._take_turn()
        try:
            while self.ended is None and self.connection.state is State.WAITING and monotonic() < deadline:
                self._read(deadline)
        finally:
            self._leave_turn()
        self._keep = False
        if isinstance(self.ended, (HandshakeError, PermissionDenied)) or not self._arrived:
            self.raise_if_ended()
        self.connection.confirm()
        self._passing = self.connection.passing

    # --- receiving --------------------------------------------------------------------------------------------------

    def add_sink(self, Sink sink, double timeout):
        """From now on, hand the sink the frames of its types. Where negotiated, this is once the peer has confirmed,
        and returns then: what comes before that is not for this sink.

        Raises:
            PermissionDenied: the peer refuses a type.
            TransportTimeout: no confirmation within `timeout` seconds.
            ConnectionClosed: the connection is over.
        """
        cdef _Request request
        self._check()
        if self._closing:
            self.raise_if_ended()
        with self._asking:
            wanted = None if sink.type_ids is None else sink.type_ids - self._granted
            if not self._by_subscription() or self.ended is not None or (wanted is not None and not wanted):
                self._install(sink)
                return
            request = _Request()
            request.sink, request.type_ids = sink, wanted
            number, data = self.connection.subscribe(None if wanted is None else sorted(wanted))
            self._asked[number] = request
            self._late += data
        try:
            self._send_core(b"", True)
            self.wait(request, monotonic() + timeout)
            if request.error is not None:
                _raise_again(request.error)
            if not request.done:
                self.raise_if_ended()
                held = f", for the queue of {self._stuck[0][0]} is full and holds up reading" if self._stuck else ""
                raise TransportTimeout(f"{self.name} did not confirm a subscription in time{held}")
        except BaseException:
            self._asked.pop(number, None)
            self.remove_sink(sink)
            raise

    cdef int _install(self, Sink sink) except -1:
        # New lists each time: the reader may be going through the old ones.
        if sink.type_ids is None:
            self._sinks_of_all = [*self._sinks_of_all, sink]
        else:
            for type_id in sink.type_ids:
                self._sinks[type_id] = [*self._sinks.get(type_id, ()), sink]
        self._sinks_changed = True
        return 0

    def remove_sink(self, Sink sink, *, bint quietly=False):
        """Give the sink nothing more, and wake whoever waits for it, or because of it.

        Args:
            quietly: send nothing now, for the caller may be the garbage collector, in the midst of anything: what is
                to be told to the peer goes with what is sent next.
        """
        if self._generation != _forks:
            return  # the parent's connection goes on as it is
        with self._asking:
            if sink.type_ids is None:
                self._sinks_of_all = [other for other in self._sinks_of_all if other is not sink]
            else:
                for type_id in sink.type_ids:
                    others = [other for other in self._sinks.get(type_id, ()) if other is not sink]
                    if others:
                        self._sinks[type_id] = others
                    else:
                        self._sinks.pop(type_id, None)
            self._sinks_changed = True
            self._stuck = [entry for entry in self._stuck if entry[0] is not sink]
            if self.ended is None and self._by_subscription():
                self._unsubscribe(sink.type_ids)
        self._wake_all()
        if self._late and self._unsendable is None and not quietly:
            self._answer()

    cdef int _unsubscribe(self, object type_ids) except -1:
        """Have the peer told that a sink of these types is gone, as far as no other has them, or has asked for them:
        then its request is on its way, or comes after this."""
        wanted = set(self._sinks)
        for request in self._asked.values():
            if request.type_ids is None:
                return 0
            wanted |= request.type_ids
        if self._sinks_of_all:
            return 0
        if type_ids is None:
            self._granted &= wanted
            data = self.connection.unsubscribe(None)[1]
            if wanted:
                data += self.connection.subscribe(sorted(wanted))[1]
        else:
            unwanted = type_ids - wanted
            self._granted -= unwanted
            data = self.connection.unsubscribe(sorted(unwanted))[1] if unwanted else b""
        self._late += data
        return 0

    def _by_subscription(self):
        connection = self.connection
        return connection.negotiated and bool(connection.features & Features.SUBSCRIPTIONS)

    cdef int wait(self, Sink sink, double deadline) except -1:
        self._check()
        if self.writer.pending > 0 and self._unsendable is None:
            # Who goes to sleep has nothing more to add to a batch.
            self._count(FLUSH_EXPLICIT)
            try:
                self._send_all(False, True)
            except TransportError:
                pass  # what had arrived before is still to be received
        while not self._closed:
            if self._take_turn():
                try:
                    self._hand_out()
                    if sink.ready() or self.ended is not None:
                        return 0
                    if not self._stuck:
                        self._read(deadline)
                        if sink.ready() or self.ended is not None:
                            return 0
                    if deadline >= 0 and monotonic() >= deadline:
                        return 0
                    if not self._stuck:
                        continue
                finally:
                    self._leave_turn()
            if self._closed:  # nobody has a turn any more
                return 0
            lock = allocate_lock()
            lock.acquire()
            # From looking to standing in the list nothing can change.
            if sink.ready():
                return 0
            if self._reader == 0 and (self.ended is not None or not self._stuck):
                continue
            if deadline >= 0 and monotonic() >= deadline:
                return 0
            self._waiters.append(lock)
            try:
                if deadline < 0:
                    lock.acquire()
                else:
                    lock.acquire(True, min(max(0.0, deadline - monotonic()), LONGEST_S))
            finally:
                if lock in self._waiters:
                    self._waiters.remove(lock)

    def wait_for(self, Sink sink, deadline):
        """`wait` for Python code; a deadline of None waits for ever."""
        self.wait(sink, -1.0 if deadline is None else deadline)

    def drain(self):
        """Take in what has arrived, without waiting."""
        self._check()
        self._drain()

    cdef bint _drain(self) except -1:
        """Whether nothing is left that has arrived."""
        cdef int reads
        if not self._take_turn():
            return False
        try:
            self._hand_out()
            for reads in range(MOST_READS):
                if self._stuck or self.ended is not None:
                    return False
                if not self._receive(NOT, 0.0):
                    return True
            return False
        finally:
            self._leave_turn()

    cdef int _look(self) except -1:
        """Now and then, take in what has arrived: of a publisher, lest the peer wait for us to read, or for an
        answer."""
        cdef double now = monotonic()
        if self._sent_since_drain < DRAIN_EVERY and now - self._drained_at < DRAIN_EVERY_S:
            return 0
        self._sent_since_drain = 0
        self._drained_at = now
        try:
            self._drain()
        except PoolExhausted:
            pass  # nothing is lost: whoever receives will hear of it
        return 0

    def relieve(self):
        """Tell that a sink which was full has room again."""
        if self._take_turn():
            try:
                self._hand_out()
            finally:
                self._leave_turn()
        self._wake_all()

    def wake(self):
        """Have those who wait look at their sinks again: others than this stream have offered them something."""
        if self._waiters:
            self._wake_waiters()
        if self._reader != 0:  # who reads only now looks before it sleeps
            self._wake_reader.set()

    def raise_if_ended(self):
        """Raise why the connection is over, if it is: ConnectionClosed, or the refusal that ended it."""
        if self.ended is not None:
            _raise_again(self.ended)

    cdef int _raise_unsendable(self) except -1:
        """Raise why nothing can be sent, if that is so."""
        if self.ended is not None:
            _raise_again(self.ended)
        if self._unsendable is not None:
            _raise_again(self._unsendable)
        return 0

    cdef bint _take_turn(self) noexcept:
        """Become the thread that reads; False where another one is. Taken again, it has to be left as often: a signal
        handler may find its own thread reading."""
        cdef unsigned long me = PyThread_get_thread_ident()
        if self._closed or (self._reader != 0 and self._reader != me):
            return False
        self._reader = me
        self._depth += 1
        return True

    cdef int _leave_turn(self) except -1:
        self._depth -= 1
        if self._depth == 0:
            self._reader = 0
            if self._waiters:
                self._wake_waiters()
        return 0

    cdef int _wake_waiters(self) except -1:
        waiters, self._waiters = self._waiters, []
        for lock in waiters:
            lock.release()
        return 0

    cdef int _wake_all(self) except -1:
        self._wake_waiters()
        self._wake_reader.set()
        self._wake_sender.set()
        return 0

    cdef int _read(self, double deadline) except -1:
        """Wait for something to come, at most until the deadline, and hand it out; for the reader alone.

        Comes back early when woken.
        """
        cdef double left = INFINITY if deadline < 0 else max(0.0, deadline - monotonic())
        cdef int block = FOR_EVER if deadline < 0 else A_TICK if left > 2 * TICK else NOT
        if not self._receive(block, left) and self.ended is None:
            if self.wire.poll(POLLIN, self._wake_reader, deadline):
                self._receive(NOT, 0.0)
        return 0

    cdef int _receive(self, int block, double limit_s) except -1:
        """Read once, and hand out what came; 0 where nothing did.

        Args:
            block: how long to wait for something to come; see wire.pxd.
            limit_s: seconds that the pool may wait for a block to read into.
        """
        cdef Py_ssize_t size
        cdef uint8_t *memory = self.scanner.room(&size, limit_s)
        try:
            size = self.wire.receive(memory, size, block)
        except OSError as error:
            self._end_of_stream(error)
            return 0
        except InterruptedTls as error:
            self._end(_closed(str(error), error))
            raise error.__cause__
        if size < 0:
            return 0
        if size == 0:
            self._end_of_stream(None)
        else:
            self._take_in(size)
        return 1

    cdef int _take_in(self, Py_ssize_t size) except -1:
        cdef list runs
        if self._closing:
            return 0
        self._heard = True
        try:
            runs = self.scanner.commit(size)
        except ProtocolError:
            runs = []  # the connection hears of it again, and closes
        if self._passing and not self.scanner.saw_core and self.scanner._error is None:
            if self._stuck or self._keep or self._handing or self._arrived:
                self._arrived.extend(runs)
            else:
                self._hand_out_now(runs)
        else:
            try:
                for event in self.connection.receive_runs(runs):
                    self._event(event)
                data = self.connection.data_to_send()
                self._late += data  # at once: other threads add to it as well
                if len(self._late) > MOST_LATE:
                    self._end(_closed(f"{self.name} asks on and on, and reads no answers", None))
                self._passing = self.connection.passing
            except BaseException as error:
                self._end(_closed(f"interrupted by {type(error).__name__} while reading", error))
                raise
        self._hand_out()
        if self._late:
            self._answer()
        if self._waiters:
            self._wake_waiters()
        return 0

    cdef int _granted_request(self, object number) except -1:
        cdef _Request request = self._asked.pop(number, None)
        if request is not None:
            request.done = True
            if request.error is None:
                self._install(request.sink)
                if request.type_ids is not None:
                    self._granted |= request.type_ids
        return 0

    cdef int _answer(self) except -1:
        """Send the core frames that reading has led to; else whoever sends next does."""
        try:
            self._send_core(b"", False)
        except (TransportError, PoolExhausted):
            pass  # of a peer that does not read, what it sent is still to be received
        return 0

    cdef int _event(self, object event) except -1:
        if isinstance(event, Frames):
            self._arrived.extend(event.runs)
        elif isinstance(event, Traced):
            self._arrived.append(event)
        elif isinstance(event, Subscribed):
            self._granted_request(event.request)
        elif isinstance(event, Rejected):
            asked = [each for each in self._asked.values() if event.type_id in (each.type_ids or (0,))]
            for request in asked:
                (<_Request>request).error = event.error
            if not asked and not event.fatal:
                self.refused = {**(self.refused or {}), event.type_id: event.error}
        elif isinstance(event, Lagged):
            self.lagged_frames += event.dropped
            for sink in (*self._sinks.get(event.type_id, ()), *self._sinks_of_all):
                (<Sink>sink).lagged += event.dropped
        elif isinstance(event, Negotiated):
            _log.warning(
                "the Welcome of %s came late: it was taken for a peer that knows none, and may not have sent everything "
                "subscribed to until now. Allow it a longer handshake_grace", self.name,
            )
            if self._by_subscription() and (self._sinks or self._sinks_of_all):
                wanted = None if self._sinks_of_all else sorted(self._sinks)
                data = self.connection.subscribe(wanted)[1]
                self._late += data
        elif isinstance(event, GoodbyeReceived):
            self._goodbye = event.reason or "planned shutdown"
        elif isinstance(event, Closed):
            error = event.error
            if isinstance(error, TransportError):
                self._end(error)
            else:
                self._end(_closed(f"{self.name}: {error}; the connection is closed", error))
            try:
                self.wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return 0

    cdef int _send_core(self, bytes data, bint may_wait) except -1:
        """Send core frames, those that are late first; the writer knows nothing of them: they are in no count of
        messages."""
        cdef int verdict
        self._late += data
        while self._late:
            data, self._late = self._late, b""
            try:
                verdict = self.writer.write_frames(data, 0)
            except BaseException:
                self._late = data + self._late
                raise
            if verdict != FULL:
                self._send_all(may_wait, True)
                return 0
            # Only under a backlog of the largest size. An answer that comes later is still an answer.
            self._late = data + self._late
            if not may_wait:
                return 0
            self._make_room()
        return 0

    cdef int _hand_out(self) except -1:
        """Move everything as far towards the sinks as it goes; for the reader alone."""
        cdef bint force
        cdef list stuck
        if self._keep or self._handing or not (self._arrived or self._stuck):
            return 0
        force = self.ended is not None
        self._handing = True  # a hook that publishes may come here again
        try:
            if self._stuck:
                stuck, self._stuck = self._stuck, []
                for sink, run, start in stuck:
                    self._offer(sink, run, start, force)
            while self._arrived and not self._stuck:
                item = self._arrived.popleft()
                if isinstance(item, Run):
                    self._hand_out_run(item)
                else:
                    self._trace = item
        except BaseException as error:
            self._interrupted(error)
            raise
        finally:
            self._handing = False
        return 0

    cdef int _hand_out_now(self, list runs) except -1:
        """`_hand_out` for runs that nothing waits before."""
        cdef Py_ssize_t index
        self._handing = True
        try:
            for index in range(len(runs)):
                if self._stuck:
                    self._arrived.extendleft(reversed(runs[index:]))  # a hook may have read more meanwhile
                    break
                self._hand_out_run(runs[index])
        except BaseException as error:
            self._interrupted(error)
            raise
        finally:
            self._handing = False
        return 0

    cdef int _interrupted(self, object error) except -1:
        # A signal handler's exception in a hook, most likely: what it interrupted can be neither repeated nor left
        # out unnoticed.
        self._arrived.clear()
        self._stuck = []
        self._end(_closed(f"interrupted by {type(error).__name__} while handing out messages", error))
        return 0

    cdef int _hand_out_run(self, Run run) except -1:
        cdef list sinks
        cdef bint force = self.ended is not None
        cdef Py_ssize_t index
        while self._sinks_changed:
            self._sinks_changed = False
            self._table = TypeTable(self._sinks)  # may set off the garbage collector, which may remove a sink
        sinks = self._table.get(run.type_id)
        if sinks is None and not self._sinks_of_all:
            self.skipped_frames += run.count
            self._trace = None
            if self.on_unknown is not None:
                self.on_unknown(run.type_id, run.count)
            return 0
        if self._sinks_of_all:
            sinks = [*(sinks or ()), *self._sinks_of_all]
        trace, self._trace = self._trace, None
        for index in range(len(sinks)):
            if trace is not None and self.tracer is not None:
                sinks[index].traced((trace.trace_id, trace.span_id, trace.flags))
            self._offer(sinks[index], run, 0, force)
        return 0

    cdef int _offer(self, Sink sink, Run run, Py_ssize_t start, bint force) except -1:
        """Offer a sink the rest of a run; what it does not take is stuck."""
        cdef Py_ssize_t taken = sink.offer(run, start, force)
        self._handed_out += taken
        if start + taken < run.count:
            self._stuck.append((sink, run, start + taken))
        return 0

    cdef int _end_of_stream(self, object failure) except -1:
        if self._peer_gone or self._closing:
            self._peer_gone = True
            return 0
        self._peer_gone = True
        if failure is None:
            how = "closed the connection"
        else:
            how = f"broke the connection off ({_reason(failure)})"
        text = f"{self.name} {how}"
        if self._goodbye is not None:
            text += f" after saying goodbye: {self._goodbye}"
        waiting = self.connection.state is State.WAITING
        for event in self.connection.receive_eof():
            if isinstance(event, Closed):
                if waiting:
                    self._end(self._refused(event.error, text, failure))
                    return 0
                if event.error is not None:
                    text += f" within a frame ({event.error})"
        # Only just after the greeting: later on, a peer that never had anything to say has simply ended.
        if not self._heard and self._greeted_at > 0 and monotonic() - self._greeted_at < REFUSAL_S:
            text += "; it had sent nothing: it may have refused the schema digest, its log would say so"
        self._end(_closed(text, failure))
        return 0

    def _refused(self, error, str text, failure):
        """What to raise where the connection ended before the peer had said a word: `error`, as the session has it,
        and what else it may be."""
        if self.wire._tls:
            # TLS 1.3 lets a client finish its side before its certificate, or the lack of one, is refused.
            hint = "With TLS, it may want a certificate of this client that it trusts (context.load_cert_chain)."
            return HandshakeError(f"{text}. {hint}") if failure is not None else type(error)(f"{error} {hint}")
        if self.wire.sock.family != socket.AF_UNIX:
            return type(error)(f"{error} One that speaks TLS needs tls=ssl.create_default_context().")
        return error

    cdef int _end(self, object error) except -1:
        """The connection is over; the first reason stays."""
        if self.ended is None:
            self.ended = self._unsendable = error
            self.connection.close()
            if self._flusher is not None:
                self._flusher.stop()
            self._wake_all()
        return 0

    # --- sending ----------------------------------------------------------------------------------------------------

    cdef int raise_if_refused(self, int type_id) except -1:
        if type_id in self.refused:
            _raise_again(self.refused[type_id])
        return 0

    cdef int _check(self) except -1:
        if self._generation != _forks:
            raise TransportError(
                f"{self._owner} was connected by another process, which this one was forked from: two cannot share "
                "a connection. Connect in the child, after the fork"
            )
        return 0

    cdef int publish(self, const uint8_t *frame, Py_ssize_t size) except -1:
        cdef int verdict
        if self._unsendable is not None:
            self._raise_unsendable()
        self._check()
        verdict = self.writer.append(frame, size, 1)
        while verdict == FULL:
            self._make_room()
            verdict = self.writer.append(frame, size, 1)
        if verdict != KEEP:
            self._due(verdict)
        return 0

    cdef int publish_all(self, void *type_, Py_ssize_t frame_size, tuple messages) except -1:
        cdef PyObject **items = _items(messages)
        cdef Py_ssize_t count = PyTuple_GET_SIZE(messages), done = 0, taken
        cdef int verdict
        if self._unsendable is not None:
            self._raise_unsendable()
        self._check()
        try:
            while done < count:
                taken = 0
                verdict = self.writer.append_many(<PyTypeObject *>type_, frame_size, items + done, count - done, &taken)
                done += taken
                if verdict == FULL:
                    self._make_room()
                elif verdict != KEEP:
                    self._due(verdict)
        except TransportTimeout as error:
            error.accepted = done
            raise
        return 0

    def publish_frames(self, frames, Py_ssize_t count):
        """Send whole frames from any bytes-like object, by the profile."""
        cdef int verdict
        self._raise_unsendable()
        self._check()
        verdict = self.writer.write_frames(frames, count)
        while verdict == FULL:
            self._make_room()
            verdict = self.writer.write_frames(frames, count)
        if verdict != KEEP:
            try:
                self._due(verdict)
            except TransportTimeout as error:
                error.accepted = count
                raise

    def trace_frame(self, context):
        """A `Trace` frame for a context (trace id, span id, flags), for the frame after it; empty where the peer wants
        none."""
        if context is None or not (self.connection.negotiated and self.connection.features & Features.TRACE):
            return b""
        return self.connection.trace(*context)

    def flush(self):
        """Hand the kernel all that was accepted. Raises as publishing does."""
        self._check()
        if self.writer.pending > 0:
            self._count(FLUSH_EXPLICIT)
            self._send_all(True, True)
            self._look()
        self._raise_unsendable()

    def flush_delayed(self):
        """Hand the kernel what a profile let wait; whether there was anything. Raises nothing."""
        if not self.is_pending or self._generation != _forks:
            return False
        self._count(FLUSH_DELAY)
        try:
            self._send_all(True, True)
            self._look()
        except (TransportError, PoolExhausted):
            pass  # the next publish hears of it, or of the end of the connection
        return True

    cdef int _due(self, int verdict) except -1:
        if verdict == ARM and self._arm():
            return 0
        self._count(self.writer.due_reason)
        self._send_all(True, True)
        self._look()
        return 0

    cdef bint _arm(self) except -1:
        """Have the flusher send after the profile's delay; False where there can be no thread (any more)."""
        if self._flusher is None:
            self._flusher = Flusher(self, max(SHORTEST_DELAY_S, self.writer.batching.max_delay))
        return self._flusher.arm()

    cdef int _count(self, int reason) except -1:
        """Count a batch, unless it goes out with what another thread is sending."""
        if self._sender == 0:
            self.writer.count_flush(reason)
        return 0

    cdef int _make_room(self) except -1:
        self._count(FLUSH_FULL)
        self._send_all(True, False)
        self._raise_unsendable()
        return 0

    cdef int _send_all(self, bint may_wait, bint accepted) except -1:
        """Send what is pending, after anything that an interrupted call left.

        A time-out, or a signal handler's exception, that ends the wait for the peer leaves the rest for the next call
        or for close(): a frame is never torn.

        Args:
            may_wait: else it sends what the kernel takes at once.
            accepted: whether the caller's own messages are among those pending; for the text of a time-out.
        """
        cdef unsigned long me = PyThread_get_thread_ident(), before = self._sender
        cdef Py_ssize_t size, mark = self._sent + self.writer.pending
        cdef const uint8_t *data
        cdef list progress = None
        while self._sender != 0 and self._sender != me:
            if not may_wait:
                return 0
            # Another thread sends, ours too.
            if progress is None:
                progress = [None, 0.0]
            self._await_sender(progress, accepted)
            if self._sent >= mark or self._unsendable is not None:
                self._raise_unsendable()
                return 0
            before = self._sender
        self._sender = me
        try:
            while True:
                data = self.writer.head(&size)
                if data == NULL:
                    if not self._late:
                        return 0
                    self._send_core(b"", may_wait)
                    continue
                if self._peer_gone:
                    self._raise_unsendable()
                self._ever_sent = True
                size = self._send_some(data, size)
                if size > 0:
                    self.writer.advance(size)
                    self._sent += size
                    self._sent_since_drain += size
                elif self._unsendable is not None:
                    self._raise_unsendable()
                elif not may_wait:
                    self._arm()
                    return 0
                else:
                    if progress is None:
                        progress = [None, 0.0]
                    self._await_room(progress, accepted)
        except BaseException:
            # Whoever appends to what is left is told that somebody sees to its being sent.
            if self.is_pending:
                self._arm()
            raise
        finally:
            self._sender = before
            if self._waiters and before == 0:
                self._wake_waiters()

    cdef Py_ssize_t _send_some(self, const uint8_t *data, Py_ssize_t size) except -1:
        """Bytes that the kernel took; 0 for none now, also after an error, which ends the connection."""
        try:
            return self.wire.send(data, size)
        except OSError as error:
            self._write_failed(error)
            return 0
        except InterruptedTls as error:
            self._end(_closed(str(error), error))
            raise error.__cause__

    cdef int _write_failed(self, object error) except -1:
        """Nothing can be sent any more. What the peer sent before it went away is still there to be read, perhaps with
        the reason: the connection is over once that is done, by this thread, or by the one that reads or makes room."""
        cdef bint nothing_left = False
        self._broken = True
        if self._unsendable is None:
            self._unsendable = _closed(f"{self.name} closed the connection ({_reason(error)})", error)
            self._wake_all()
        try:
            nothing_left = self._drain()
        except PoolExhausted:
            pass
        if nothing_left:
            self._end(self._unsendable)
        return 0

    def _await_sender(self, list progress, bint accepted):
        """Wait for the thread that sends to be done, or to get on."""
        cdef double now = monotonic()
        if progress[0] != self._sent:
            progress[0], progress[1] = self._sent, now
        left = progress[1] + self._publish_timeout - now
        if left <= 0:
            raise self._stalled([entry[0] for entry in self._stuck], accepted)
        lock = allocate_lock()
        lock.acquire()
        if self._sender == 0 or self._unsendable is not None:
            return
        self._waiters.append(lock)
        try:
            lock.acquire(True, min(left, LONGEST_S))
        finally:
            if lock in self._waiters:
                self._waiters.remove(lock)

    cdef int _await_room(self, list progress, bint accepted) except -1:
        """Wait until the peer takes more, reading meanwhile unless another thread does or a queue is full."""
        cdef bint mine = self._take_turn()
        cdef double now, left
        cdef int events = POLLOUT
        try:
            if mine:
                self._hand_out()
            full = [entry[0] for entry in self._stuck]
            # A message that is taken makes `held` smaller; one that fills its place makes the other number greater,
            # for good: so the two together change with either.
            held = sum([len(sink) for sink in full])
            now = monotonic()
            if progress[0] != (self._sent, self._handed_out, held):
                progress[0], progress[1] = (self._sent, self._handed_out, held), now
            left = progress[1] + self._publish_timeout - now
            if left <= 0:
                raise self._stalled(full, accepted)
            if full or self._starved:
                left = min(left, self._publish_timeout / LOOKS, LONGEST_LOOK_S)
            elif mine:
                events |= POLLIN
            events = self.wire.poll(events, self._wake_sender, now + left)
            if mine and not full and (self._starved or events & ~POLLOUT):
                try:
                    self._starved = False
                    self._receive(NOT, 0.0)
                except PoolExhausted:
                    self._starved = True  # nothing is lost: whoever receives will hear of it
        finally:
            if mine:
                self._leave_turn()
        return 0

    cdef object _stalled(self, list queues, bint accepted):
        seconds = f"for {self._publish_timeout:g} s"
        if queues:
            names = " and of ".join(map(str, queues))
            text = (
                f"{seconds} nothing could be sent, because nothing is read while the queue of {names} on the same "
                "transport is full, and nobody took from it. Receive in another thread, publish on a transport of "
                "its own, or choose a larger capacity or an overflow that drops"
            )
        elif self._starved:
            text = (
                f"{seconds} nothing could be sent, and nothing is read while every block of the transport's pool is in "
                "use. Let go of arrays that are no longer needed, or allow the pool more"
            )
        else:
            text = (
                f"{seconds} the peer took nothing of what was sent: it hangs, is overloaded, or, a bridge, waits for a "
                "receiver that is"
            )
        if accepted:
            text += ". What was accepted is kept, and goes out as soon as the peer takes it"
        else:
            text += ". This message was not accepted: what earlier calls left waits, too"
        error = TransportTimeout(f"publishing to {self.name} cannot go on: {text}")
        error.accepted = int(accepted)
        return error

    # --- closing ----------------------------------------------------------------------------------------------------

    def close(self, double timeout):
        """End the connection within `timeout` seconds, having sent what was accepted; wakes everyone who waits.

        What arrives meanwhile is thrown away. Calling it again, or from several threads, is fine.
        """
        cdef double deadline = monotonic() + timeout
        cdef unsigned long me = PyThread_get_thread_ident()
        cdef bint alone = False
        if self._generation != _forks:
            # The parent's connection goes on.
            self.ended = self._unsendable = ConnectionClosed(f"the connection to {self.name} was closed by this program")
            self._release()
            return
        if self._closing:
            while not self._closed and monotonic() < deadline:
                self._sleep(deadline)
            return
        self._closing = True
        try:
            self._end(ConnectionClosed(f"the connection to {self.name} was closed by this program"))
            # Soon: whoever sends or reads has been woken, and sees that it is over. Bounded all the same, for a signal
            # handler that closes what it interrupted.
            while not (self._sender in (0, me) and self._reader in (0, me)) and monotonic() < deadline:
                self._wake_all()
                self._sleep(min(deadline, monotonic() + 2 * TICK))
            alone = self._sender == 0 and self._reader in (0, me)
            if alone:
                self._sender = me
                self._hand_out()  # what waited behind a full queue can still be taken
                if not (self._peer_gone or self._broken):
                    try:
                        self._part(deadline)
                    except (OSError, RuntimeError):  # the peer is gone, or this is a signal handler amid TLS
                        pass
        finally:
            if alone:
                self._sender = 0
            else:
                self.wire.interrupt()
            self._release()
            self._wake_waiters()
        if self._flusher is not None:
            self._flusher.join(max(0.0, min(1.0, deadline - monotonic())))

    cdef int _sleep(self, double deadline) except -1:
        """Wait to be woken, or for the deadline."""
        lock = allocate_lock()
        lock.acquire()
        self._waiters.append(lock)
        try:
            lock.acquire(True, min(max(0.0, deadline - monotonic()), LONGEST_S))
        finally:
            if lock in self._waiters:
                self._waiters.remove(lock)
        return 0

    def _release(self):
        """Give the descriptors back."""
        if not self._closed:
            self._closed = True
            self.wire.close()
            self._wake_reader.close()
            self._wake_sender.close()

    def __del__(self):
        if self._wake_sender is not None and not self._closed:
            # Nobody refers to it, so that no thread is in here; and what the kernel has is on its way.
            if self._flusher is not None:
                self._flusher.stop()
            self._release()
            if self._generation == _forks:
                warnings.warn(f"unclosed {self._owner}", ResourceWarning, stacklevel=1, source=self)

    cdef int _part(self, double deadline) except -1:
        """Send the rest, then wait until the peer has read it all: closing earlier, with bytes of the peer's unread,
        would reset the connection and lose what is on its way."""
        cdef Py_ssize_t size
        cdef const uint8_t *data
        cdef double now, quiet
        if self.writer.pending > 0:
            self.writer.count_flush(FLUSH_CLOSE)
        while monotonic() < deadline:
            data = self.writer.head(&size)
            if data == NULL:
                break
            size = self._send_some(data, size)
            if size > 0:
                self.writer.advance(size)
                self._sent += size
                self._ever_sent = True
            elif self._broken:
                return 0
            elif self.wire.poll(POLLIN | POLLOUT, self._wake_sender, deadline) & ~POLLOUT and not self.wire.discard():
                return 0
        self.wire.half_close()
        if not self._ever_sent:
            return 0
        quiet = min(deadline, monotonic() + QUIET_S)
        while True:
            now = monotonic()
            if now >= deadline:
                return 0
            if now >= quiet:
                if self.wire.all_read():
                    return 0
                quiet = min(deadline, now + QUIET_S)
            if self.wire.poll(POLLIN, self._wake_sender, quiet) and not self.wire.discard():
                return 0


cdef PyObject **_items(tuple messages) noexcept:
    return (<_Tuple *><PyObject *>messages).ob_item


def _closed(str text, cause):
    error = ConnectionClosed(text)
    error.__cause__ = cause
    return error


def _reason(error):
    """What the system, or TLS, says of a failure."""
    return getattr(error, "reason", None) or error.strerror or error


def _raise_again(error):
    """Raise a kept error: as another object, for each has a traceback of its own."""
    kind = type(error) if isinstance(error, TransportError) else ConnectionClosed
    raise kind(str(error)) from error.__cause__
