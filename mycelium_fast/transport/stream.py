"""One blocking connection shared by any number of threads: reading, handing out, sending, closing.

There is no thread in here: the thread that waits for a message is the one that reads the socket, and hands
the others theirs; a publisher that cannot send reads too, so that a peer which waits for us to read is never
waited for. The protocol's states are `session/`'s; what a subscriber does with its frames is the `Sink`'s
affair.

    socket -> _inbox (bytes) -> connection -> _arrived (runs) -> sinks, or _stuck where one is full

Nothing is read while anything is stuck: the peer feels it as back-pressure. The locks:

    _send_lock   the one thread that sends; taken before `_lock`, never after it
    _lock        everything else; held for moments, and while frames are decoded
    _reader      the one thread that may read the socket; it does so without holding a lock
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import termios
import threading
import time
import warnings
from collections import deque
from typing import TYPE_CHECKING, Final

from ..errors import ConnectionClosed, HandshakeError, MyceliumError
from ..session import Closed, Connection, Frames
from .stall import Stall
from .wakeup import LONGEST_WAIT_S, Wakeup, wait_for

if TYPE_CHECKING:
    from ..codec.frames import Run
    from .sink import Sink

__all__ = ["Stream"]

#: Bytes asked for in one read; the larger number after a read that filled the smaller. The smaller stays
#: below the size from which allocators fetch fresh pages for every buffer.
_READ_SIZE: Final = 64 * 1024
_LARGE_READ_SIZE: Final = 256 * 1024
#: Bytes sent after which a publisher looks at what has arrived, lest the peer wait for us to read.
_DRAIN_EVERY: Final = 64 * 1024
#: Seconds after which close() asks the kernel whether the peer has read everything, if it does not close.
_QUIET_S: Final = 0.2
#: Seconds after the greeting in which a close without a word may mean that the peer refused the digest.
_REFUSAL_S: Final = 1.0
_SEND_FLAGS: Final = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
_NOTHING: Final = memoryview(b"")


class Stream:
    """A connected socket under the protocol. Call `start()` once before anything else.

    Args:
        sock: connected and blocking; the stream owns it from here on.
        connection: a client's state, untouched so far.
        name: the peer, for error texts.
        owner: what users see as holding the connection, for the warning when nobody closed it.
        stall_timeout: seconds that sending may wait for this very program, as `Stall` says; None for ever.
    """

    def __init__(
        self,
        sock: socket.socket,
        connection: Connection,
        name: str,
        *,
        owner: str,
        stall_timeout: float | None,
    ) -> None:
        self._sock = sock
        self._connection = connection
        self._name = name
        self._owner = owner
        self._stall_timeout = stall_timeout
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._send_lock = threading.Lock()
        self._reader: int | None = None
        self._sender_waits = False
        self._wake_reader = Wakeup()
        self._wake_sender = Wakeup()
        self._inbox: deque[bytes] = deque()
        self._arrived: deque[Run] = deque()
        self._stuck: list[tuple[Sink, Run, int]] = []
        self._sinks: dict[int, list[Sink]] = {}
        self._handed_out = 0
        self._keep = False
        self._read_size = _READ_SIZE
        self._heard = False
        self._greeted_at: float | None = None
        self._ended: MyceliumError | None = None
        self._peer_gone = False
        self._closing = False
        self._closed = False
        # What is being sent, and how many bytes of it each system call took since. The exception of a signal
        # handler can strike between any two byte codes; so results of system calls go straight into a list.
        self._unsent: tuple[memoryview, list[int]] = (_NOTHING, [])
        self._sent_since_drain = 0
        self._ever_sent = False
        self._skipped_frames = 0

    @property
    def skipped_frames(self) -> int:
        """Frames received that nobody had subscribed to."""
        return self._skipped_frames

    @property
    def ended(self) -> bool:
        """Whether the connection is over, from either side."""
        return self._ended is not None

    def start(self, grace: float) -> None:
        """Send the greeting, and wait up to `grace` seconds for a refusal; frames that come instead are kept.

        Raises:
            SchemaMismatchError: the peer closed on our digest.
            ConnectionClosed: the connection ended otherwise.
        """
        greeting = self._connection.data_to_send()
        if not greeting:
            return
        # A failure to write is a peer that closed already: the reading below tells, like a later close.
        with contextlib.suppress(OSError):
            self._sock.sendall(greeting)
        self._keep = True
        self._greeted_at = time.monotonic()
        deadline = self._greeted_at + grace
        try:
            while self._take_turn() and not self._arrived:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                if self._poll_readable(remaining):
                    self._receive()
        finally:
            self._leave_turn()
        self._keep = False
        if isinstance(self._ended, HandshakeError):
            raise self._ended
        if not self._arrived:
            self.raise_if_ended()
        self._connection.confirm()

    # Receiving ----------------------------------------------------------------------------------------------

    def add_sink(self, sink: Sink) -> None:
        """From now on, hand the sink the frames of its type."""
        with self._lock:
            if self._closing:
                self.raise_if_ended()
            self._sinks.setdefault(sink.type_id, []).append(sink)

    def remove_sink(self, sink: Sink) -> None:
        """Give the sink nothing more, and wake whoever waits for it, or because of it."""
        with self._lock:
            others = [other for other in self._sinks.get(sink.type_id, ()) if other is not sink]
            if others:
                self._sinks[sink.type_id] = others
            else:
                self._sinks.pop(sink.type_id, None)
            self._stuck = [entry for entry in self._stuck if entry[0] is not sink]
            self._wake_all()

    def wait(self, sink: Sink, deadline: float | None) -> None:
        """Read, or wait for the thread that reads, until the sink is ready or nothing will ever come for it.

        Args:
            deadline: when to give up, on the clock of `time.monotonic()`; None waits for ever.
        """
        me = threading.get_ident()
        while True:
            with self._lock:
                self._hand_out()
                if sink.ready or self._ended is not None:
                    return
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return
                if self._reader not in (None, me) or self._stuck:
                    self._changed.wait(None if remaining is None else min(remaining, LONGEST_WAIT_S))
                    continue
            try:
                if self._take_turn() and self._poll_readable(remaining):
                    self._receive()
            finally:
                self._leave_turn()

    def drain(self) -> None:
        """Take in what has arrived, without waiting."""
        with self._lock:
            self._hand_out()
        try:
            while self._take_turn() and self._receive():
                pass
        finally:
            self._leave_turn()

    def relieve(self) -> None:
        """Tell that a sink which was full has room again."""
        with self._lock:
            self._hand_out()
            self._wake_all()

    def raise_if_ended(self) -> None:
        """Raise ConnectionClosed with the reason, if the connection is over."""
        if self._ended is not None:
            raise ConnectionClosed(str(self._ended)) from self._ended.__cause__

    def _take_turn(self) -> bool:
        """Become the thread that reads, or remain it; False where another one is, or nothing may be read."""
        me = threading.get_ident()
        with self._lock:
            if self._ended is not None or self._stuck or self._reader not in (None, me):
                return False
            self._reader = me
            return True

    def _leave_turn(self) -> None:
        # Which thread reads is looked up, not remembered by the caller: an exception of a signal handler may
        # have kept _take_turn() from returning.
        if self._reader == threading.get_ident():
            with self._lock:
                self._reader = None
                self._changed.notify_all()
                if self._sender_waits and not self._closed:
                    self._wake_sender.set()

    def _poll_readable(self, timeout: float | None) -> bool:
        if self._inbox:
            return True
        return bool(wait_for(self._sock, select.POLLIN, self._wake_reader, timeout) & ~select.POLLOUT)

    def _receive(self) -> bool:
        """Read once and hand out what came; only for the thread whose turn it is."""
        size = self._read_size
        failure = None
        try:
            # In one step, lest a signal's exception lose the bytes between two (see `_unsent`).
            self._inbox.extend(map(self._sock.recv, (size,), (socket.MSG_DONTWAIT,)))
        except BlockingIOError:
            return False
        except OSError as error:
            failure = error
        with self._lock:
            if self._inbox:
                full = len(self._inbox[-1]) == size
                self._read_size = _LARGE_READ_SIZE if full else _READ_SIZE
            self._hand_out()
            if failure is not None:
                self._end_of_stream(failure)
            self._changed.notify_all()
        return True

    def _hand_out(self) -> None:
        """Move everything as far towards the sinks as it goes. Holds `_lock`."""
        try:
            while self._inbox:
                self._take_in(self._inbox.popleft())
            if self._keep:
                return
            force = self._ended is not None
            if self._stuck:
                self._stuck = self._offer(self._stuck, force)
            while self._arrived and not self._stuck:
                run = self._arrived.popleft()
                sinks = self._sinks.get(run.type_id)
                if sinks is None:
                    self._skipped_frames += run.count
                else:
                    self._stuck = self._offer([(sink, run, 0) for sink in sinks], force)
        except BaseException as error:
            # A signal handler's exception, most likely (Ctrl-C): what it interrupted can be neither repeated
            # nor left out unnoticed.
            self._arrived.clear()
            self._stuck.clear()
            self._end(_closed(f"interrupted by {type(error).__name__} while handing out messages", error))
            raise

    def _offer(self, entries: list[tuple[Sink, Run, int]], force: bool) -> list[tuple[Sink, Run, int]]:
        """Offer each sink the rest of its run; return what they did not take."""
        left = []
        for sink, run, start in entries:
            taken = sink.offer(run, start, force=force)
            self._handed_out += taken
            if start + taken < run.count:
                left.append((sink, run, start + taken))
        return left

    def _take_in(self, data: bytes) -> None:
        if not data:
            self._end_of_stream(None)
            return
        if self._closing:
            return
        self._heard = True
        for event in self._connection.receive_data(data):
            if isinstance(event, Frames):
                self._arrived.extend(event.runs)
            elif isinstance(event, Closed):
                self._end(_closed(f"{self._name}: {event.error}; the connection is closed", event.error))
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    def _end_of_stream(self, failure: OSError | None) -> None:
        self._peer_gone = True
        how = "closed the connection" if failure is None else f"broke the connection off ({failure.strerror})"
        text = f"{self._name} {how}"
        for event in self._connection.receive_eof():
            if isinstance(event, Closed):
                if isinstance(event.error, HandshakeError):
                    self._end(event.error)
                    return
                if event.error is not None:
                    text += f" within a frame ({event.error})"
        # Only just after the greeting: later on, a peer that never had anything to say has simply ended.
        greeted = self._greeted_at
        if not self._heard and greeted is not None and time.monotonic() - greeted < _REFUSAL_S:
            text += "; it had sent nothing: it may have refused the schema digest, its log would say so"
        self._end(_closed(text, failure))

    def _end(self, error: MyceliumError) -> None:
        """The connection is over; the first reason stays. Holds `_lock`."""
        if self._ended is None:
            self._ended = error
            self._connection.close()
            self._wake_all()

    def _wake_all(self) -> None:
        self._changed.notify_all()
        if not self._closed:
            self._wake_reader.set()
            self._wake_sender.set()

    # Sending ------------------------------------------------------------------------------------------------

    def send(self, frames: bytes) -> None:
        """Send whole frames, after anything that an interrupted call left over.

        A time-out, or a signal handler's exception, that ends the wait for the peer leaves the rest for the
        next call or for `close()`: a frame is never torn.

        Raises:
            TransportTimeout: this very program has to take received messages first, and does not; the text
                says what was left of `frames`.
            ConnectionClosed: the connection is over; how much of `frames` the peer took is not known.
        """
        with self._send_lock:
            self._flush("Nothing of this call was accepted: what an earlier one left waits, too.")
            self.raise_if_ended()
            self._ever_sent = True
            self._unsent = (memoryview(frames), [])
            self._flush("What this call was to send is kept, and goes out with the next call or flush().")
            self._sent_since_drain += len(frames)
            if self._sent_since_drain < _DRAIN_EVERY:
                return
            self._sent_since_drain = 0
        self.drain()

    def flush(self) -> None:
        """Hand the kernel what an interrupted call left over; raises as `send` does."""
        with self._send_lock:
            self._flush("What an earlier call left is kept.")
            self.raise_if_ended()

    def _flush(self, on_stall: str) -> None:
        stall = None
        while self._advance():
            self.raise_if_ended()
            try:
                self._send_some()
            except BlockingIOError:
                stall = stall or Stall(self._stall_timeout)
                self._wait_writable(stall, on_stall)
            except OSError as error:
                self._unsent = (_NOTHING, [])
                # What the peer sent before it went away is still there to be read, perhaps with the reason.
                self.drain()
                with self._lock:
                    if not self._stuck:
                        self._end(_closed(f"{self._name} closed the connection ({error.strerror})", error))
                raise ConnectionClosed(
                    str(self._ended or f"{self._name} closed the connection ({error.strerror})")
                ) from error

    def _advance(self) -> bool:
        """Leave out what was sent; whether anything remains."""
        view, sent = self._unsent
        if sent:
            view = view[sum(sent) :]
            self._unsent = (view, [])
        return len(view) > 0

    def _send_some(self) -> None:
        view, sent = self._unsent
        sent.extend(map(self._sock.send, (view,), (_SEND_FLAGS,)))

    def _wait_writable(self, stall: Stall, on_stall: str) -> None:
        """Wait until the peer takes more, reading meanwhile unless another thread does or a queue is full."""
        with self._lock:
            self._hand_out()
            full = [sink for sink, _, _ in self._stuck]
            # A message that is taken makes `held` smaller; one that fills its place makes the other number
            # greater, for good: so the two together change with either.
            held = sum(sink.waiting for sink in full)
            progress = (len(self._unsent[0]), self._handed_out, held) if full else None
            pause = stall.look(progress)
            if pause == 0:
                raise stall.error(self._name, full, on_stall) from None
            self._sender_waits = True
        try:
            mine = self._take_turn()
            wanted = select.POLLOUT | (select.POLLIN if mine else 0)
            events = wait_for(self._sock, wanted, self._wake_sender, pause)
            if mine and events & ~select.POLLOUT:
                self._receive()
        finally:
            self._sender_waits = False
            self._leave_turn()

    # Closing ------------------------------------------------------------------------------------------------

    def close(self, timeout: float) -> None:
        """End the connection within `timeout` seconds, having sent what was accepted; wakes everyone who
        waits.

        What arrives meanwhile is thrown away. Calling it again, or from several threads, is fine.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._closing:
                self._changed.wait_for(lambda: self._closed, timeout)
                return
            self._closing = True
            self._end(ConnectionClosed(f"the connection to {self._name} was closed by this program"))
            self._wake_all()
        # Soon: whoever sends or reads has been woken, and sees that it is over. Bounded all the same, for a
        # signal handler that closes what it interrupted.
        alone = self._send_lock.acquire(timeout=max(0.0, timeout))
        try:
            me = threading.get_ident()
            with self._lock:
                left = max(0.0, deadline - time.monotonic())
                self._changed.wait_for(lambda: self._reader in (None, me), left)
            if alone and not self._peer_gone:
                with contextlib.suppress(OSError):
                    self._part(deadline)
        finally:
            with self._lock:
                self._closed = True
                self._sock.close()
                self._wake_reader.close()
                self._wake_sender.close()
                self._changed.notify_all()
            if alone:
                self._send_lock.release()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            # Nobody refers to it, so that no thread is in here; and what the kernel has is on its way.
            for end in (self._sock, self._wake_reader, self._wake_sender):
                end.close()
            warnings.warn(f"unclosed {self._owner}", ResourceWarning, stacklevel=1, source=self)

    def _part(self, deadline: float) -> None:
        """Send the rest, then wait until the peer has read it all: closing earlier, with bytes of the peer's
        unread, would reset the connection and lose what is on its way."""
        while self._advance() and time.monotonic() < deadline:
            try:
                self._send_some()
            except BlockingIOError:
                wanted = select.POLLIN | select.POLLOUT
                events = wait_for(self._sock, wanted, self._wake_sender, deadline - time.monotonic())
                if events & ~select.POLLOUT and not self._discard():
                    return
        self._sock.shutdown(socket.SHUT_WR)
        if not self._ever_sent:
            return
        quiet = min(deadline, time.monotonic() + _QUIET_S)
        while (now := time.monotonic()) < deadline:
            if now >= quiet:
                if self._all_read():
                    return
                quiet = min(deadline, now + _QUIET_S)
            readable = wait_for(self._sock, select.POLLIN, self._wake_sender, quiet - now)
            if readable and not self._discard():
                return

    def _discard(self) -> bool:
        """Throw away what came; False at the end of the stream."""
        try:
            return bool(self._sock.recv(_LARGE_READ_SIZE, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True

    def _all_read(self) -> bool:
        """Whether the peer's side has everything, as far as the kernel knows."""
        try:
            count = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        except OSError:  # not every system tells for every kind of socket
            return False
        return count == bytes(len(count))


def _closed(text: str, cause: BaseException | None) -> ConnectionClosed:
    error = ConnectionClosed(text)
    error.__cause__ = cause
    return error
