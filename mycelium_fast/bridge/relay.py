"""The relay: every complete frame of a client goes to the clients that are to have it, bytes untouched.

It checks what a client may send (known types, right lengths), knows who asked for what, and keeps memory
bounded: while a client's output is full, either nobody is read, so that nothing is lost ("block"), or that
client misses frames and is told how many ("drop"). Listening and the process's life are in `serve.py`; the
order of the protocol is `session/`'s.

    client A  --bytes-->  Connection  --runs-->  filter  --one block each-->  output of A, of B, of C ...
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from ..errors import HandshakeError, MyceliumError
from ..session import (
    ALL_FEATURES,
    CORE_IDS,
    Closed,
    Connection,
    Event,
    Features,
    Frames,
    GoodbyeReceived,
    HandshakeDone,
    HelloReceived,
    RejectCode,
    Role,
    State,
    SubscribeRequested,
    Traced,
    UnsubscribeRequested,
)
from .policy import Counters, Policy

if TYPE_CHECKING:
    from ..codec.frames import Run

__all__ = ["Client", "Relay"]

_log: Final = logging.getLogger("mycelium_fast.bridge")

#: Bytes waiting for one client at which it is full, and at which it has room again.
_HIGH_WATER: Final = 1024 * 1024
_LOW_WATER: Final = 256 * 1024
#: Kinds of dropped frames that are logged for one client; the rest shows in the counters.
_MAX_LOGGED: Final = 16
_DRAIN_SIZE: Final = 256 * 1024
#: Seconds for the `Hello` sent with a refused digest: well below the silence that clients take for consent.
_REFUSAL_S: Final = 0.05
#: Seconds in which a client that was told why it is refused should close, before it is cut off.
_LINGER_S: Final = 1.0
#: Pings without an answer after which a client is taken for dead.
_MAX_MISSED_PINGS: Final = 2
#: Seconds after which clients are asked to come back when the bridge stops.
_RECONNECT_AFTER_S: Final = 0.2


class Relay:
    """The clients of one bridge, and the frames between them. Belongs to one event loop."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.counters = Counters()
        self._clients: set[Client] = set()
        # Dictionaries, for an order of delivery that does not depend on addresses.
        self._ready: dict[Client, None] = {}
        self._full: set[Client] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def client(self) -> Client:
        """The protocol of a new connection."""
        return Client(self)

    async def close(self, timeout: float) -> None:
        """Send what waits for the clients, for at most `timeout` seconds, and disconnect them."""
        for client in tuple(self._clients):
            client.disconnect()
        try:
            await asyncio.wait_for(self._empty.wait(), timeout)
        except asyncio.TimeoutError:
            for client in tuple(self._clients):
                client.abort()
            await self._empty.wait()

    def joined(self, client: Client) -> int:
        """A connection was made; returns its number."""
        self._clients.add(client)
        self._empty.clear()
        self.counters.connections += 1
        return self.counters.connections

    def ready(self, client: Client) -> None:
        """The client's handshake is done: it gets frames from now on, and is held back when the others
        are."""
        self._ready[client] = None
        if self._full:
            client.hold()

    def unready(self, client: Client) -> None:
        """The client gets and sends no frames any more."""
        self._ready.pop(client, None)
        self.drained(client)

    def left(self, client: Client) -> None:
        """The connection is over."""
        self.unready(client)
        self._clients.discard(client)
        if not self._clients:
            self._empty.set()

    def filled(self, client: Client) -> None:
        """The client's output is full: read nobody."""
        self._full.add(client)
        for other in self._ready:
            other.hold()

    def drained(self, client: Client) -> None:
        """The client's output has room again."""
        if client in self._full:
            self._full.discard(client)
            if not self._full:
                for other in self._ready:
                    other.release()

    def forward(self, source: Client, runs: list[Run], trace: bytes | None) -> None:
        """Hand the frames that the policy lets through to every client that is to have them.

        Args:
            trace: a `Trace` frame that belongs to the first frame of `runs`.
        """
        counters = self.counters
        passed: list[Run] = []
        for run in runs:
            counters.frames += run.count
            counters.bytes += len(run.frames)
            reason = self.policy.refuses(run.type_id, run.length)
            if reason is None:
                passed.append(run)
            else:
                counters.dropped[reason] += run.count
                source.note_dropped(reason, run)
        if not passed:
            return
        # Copied, and not as views: what waits for a client would keep whole blocks alive.
        whole: bytes | None = None
        for client in tuple(self._ready):
            wanted = client.wanted(passed, source)
            if not wanted:
                continue
            if len(wanted) < len(passed):
                block = b"".join(wanted)
            else:
                whole = block = b"".join(passed) if whole is None else whole
            if trace is not None and client.wants_trace and wanted[0] is runs[0]:
                block = trace + block
            client.deliver(wanted, block)


class Client(asyncio.BufferedProtocol):
    """One connection to the bridge."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._policy = relay.policy
        self._connection = Connection(Role.SERVER, relay.policy.digest)
        self._number = 0
        self._transport: asyncio.Transport | None = None
        self._known = False
        # For the handshake, then for a refusal; for a client that takes nothing; for heartbeats.
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._beat_timer: asyncio.TimerHandle | None = None
        self._leaving = False
        # Subscriptions of a negotiated client: the types asked for, or, with `_all`, those not wanted.
        self._all = False
        self._types: set[int] = set()
        self._trace: bytes | None = None
        self._held = False
        self._full = False
        self._missed: Counter[int] = Counter()
        self._missed_ever = 0
        self._written = 0
        self._taken = 0
        self._heard = False
        self._pings = 0
        self._logged: set[tuple[str, int]] = set()
        self._dropped = 0

    # What asyncio calls -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected: wait for its digest, for as long as it may take."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_HIGH_WATER, _LOW_WATER)
        self._number = self._relay.joined(self)
        if self._connection.state is State.OPEN:
            self._become_ready()
        else:
            self._set_timer(self._policy.handshake_timeout, self._handshake_timed_out)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what arrives."""
        return self._connection.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._known = self._heard = True
        refusing = self._connection.refusing
        self._handle(self._connection.buffer_updated(nbytes))
        if refusing and not self._connection.refusing:
            self._explain()

    def eof_received(self) -> None:
        """The client sends nothing more; asyncio closes the connection once what waits for it is sent."""
        self._handle(self._connection.receive_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        if exc is not None and self._connection.state is State.OPEN:
            self._rescue()
        for timer in (self._timer, self._stall_timer, self._beat_timer):
            if timer is not None:
                timer.cancel()
        self._connection.close()
        self._relay.left(self)
        # Whoever connects and leaves without a word looks whether a bridge is there: nothing to tell of.
        level = logging.INFO if self._known else logging.DEBUG
        remarks = f" ({exc})" if exc else ""
        if self._dropped:
            remarks += f", {self._dropped} of its frames were dropped"
        if self._missed_ever:
            remarks += f", it missed {self._missed_ever} frames"
        _log.log(level, "connection %d closed%s", self._number, remarks)

    def pause_writing(self) -> None:
        """What waits for this client is over the high-water mark."""
        self._full = True
        if self._policy.slow_consumer == "block":
            self._relay.filled(self)
            self._watch()

    def resume_writing(self) -> None:
        """It is below the low-water mark again."""
        self._full = False
        if self._policy.slow_consumer == "block":
            if self._stall_timer is not None:
                self._stall_timer.cancel()
            self._relay.drained(self)
        else:
            self._report_missed()
            self.release()

    # What the relay calls -----------------------------------------------------------------------------------

    def wanted(self, runs: list[Run], source: Client) -> list[Run]:
        """Those of the runs that this client is to have."""
        connection = self._connection
        if not connection.negotiated:
            return runs
        if source is self and Features.NO_ECHO in connection.features:
            return []
        if Features.SUBSCRIPTIONS not in connection.features:
            return runs
        return [run for run in runs if (run.type_id in self._types) is not self._all]

    @property
    def wants_trace(self) -> bool:
        """Whether `Trace` frames may be sent to it."""
        return Features.TRACE in self._connection.features

    def deliver(self, runs: list[Run], block: bytes) -> None:
        """Send these runs, whose bytes are in `block`, or count them as missed while the client is full."""
        counters = self._relay.counters
        frames = sum(run.count for run in runs)
        if self._full and self._policy.slow_consumer == "drop":
            if not self._missed_ever:
                _log.warning("connection %d is too slow: it misses frames, logged once", self._number)
            for run in runs:
                self._missed[run.type_id] += run.count
            self._missed_ever += frames
            counters.missed += frames
        elif self._write(block):
            counters.deliveries += frames

    def hold(self) -> None:
        """Read nothing from the client for now."""
        if self._transport is not None and not self._held:
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Read the client again."""
        if self._transport is not None and self._held:
            self._held = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def disconnect(self) -> None:
        """Close the connection once what waits for the client is sent."""
        if self._connection.negotiated and self._connection.state is State.OPEN:
            self._report_missed()
            self._write(self._connection.goodbye("the bridge stops", _RECONNECT_AFTER_S))
        self._connection.close()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def note_dropped(self, reason: str, run: Run) -> None:
        """Frames of this client were not forwarded: log each kind once."""
        self._dropped += run.count
        kind = (reason, run.type_id)
        if kind in self._logged or len(self._logged) >= _MAX_LOGGED:
            return
        self._logged.add(kind)
        sizes = self._policy.sizes or {}
        wanted = f" instead of {sizes[run.type_id]}" if run.type_id in sizes else ""
        _log.warning(
            "connection %d sent frames of %s %d with %d payload bytes%s: dropped and counted, logged once",
            self._number,
            "type" if wanted else reason,
            run.type_id,
            run.length,
            wanted,
        )

    # Events -------------------------------------------------------------------------------------------------

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Frames):
                trace, self._trace = self._trace, None
                self._relay.forward(self, event.runs, trace)
                continue
            if isinstance(event, HandshakeDone):
                self._set_timer(None)
                self._become_ready()
            elif isinstance(event, HelloReceived):
                self._negotiate(event)
            elif isinstance(event, (SubscribeRequested, UnsubscribeRequested)):
                self._change_subscriptions(event)
            elif isinstance(event, Traced):
                if self.wants_trace:
                    self._trace = self._connection.trace(event.trace_id, event.span_id, event.flags)
            elif isinstance(event, GoodbyeReceived):
                _log.info("connection %d says goodbye: %r", self._number, event.reason)
            elif isinstance(event, Closed):
                self._end(event.error)
            self._send_answers()
        self._send_answers()

    def _become_ready(self) -> None:
        self._known = True
        _log.info("connection %d ready", self._number)
        self._relay.ready(self)

    def _negotiate(self, hello: HelloReceived) -> None:
        self._connection.welcome(self._number, self._policy.name, ALL_FEATURES)
        _log.info("connection %d is negotiated, service %r", self._number, hello.service)
        if self._policy.heartbeat is not None and Features.HEARTBEATS in self._connection.features:
            self._beat_later()

    def _change_subscriptions(self, event: SubscribeRequested | UnsubscribeRequested) -> None:
        asked = isinstance(event, SubscribeRequested)
        if event.type_ids is None:
            self._all = asked
            self._types.clear()
        else:
            types = set(event.type_ids)
            for type_id in sorted(types.intersection(CORE_IDS) if asked else ()):
                if self._policy.sizes is None or type_id not in self._policy.sizes:
                    types.discard(type_id)
                    reason = "core frames are between a client and its bridge, nobody can publish them"
                    self._connection.reject(RejectCode.PERMISSION, reason, fatal=False, type_id=type_id)
            if asked is self._all:
                self._types -= types
            else:
                self._types |= types
        self._connection.subscribed(event.request)

    def _send_answers(self) -> None:
        if self._leaving:
            return
        data = self._connection.data_to_send()
        if data:
            self._write(data)
            if self._full:
                self.hold()  # one that asks and does not listen

    def _write(self, block: bytes) -> bool:
        """Send bytes to the client; False where it is leaving."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self._written += len(block)
        transport.write(block)
        return True

    def _report_missed(self) -> None:
        for type_id, dropped in sorted(self._missed.items()):
            self._connection.lagged(type_id, dropped)
        self._missed.clear()
        self._send_answers()

    # Ends ---------------------------------------------------------------------------------------------------

    def _end(self, error: MyceliumError | None) -> None:
        """The session is over; the connection follows."""
        self._relay.unready(self)
        if error is None:
            return  # the client's own end of stream
        self._known = True
        if isinstance(error, HandshakeError):
            self._relay.counters.refused += 1
            _log.warning("connection %d refused: %s", self._number, error)
        else:
            self._relay.counters.protocol_errors += 1
            _log.warning("connection %d closed: %s", self._number, error)
        self._leaving = True
        if self._connection.refusing:
            self._set_timer(_REFUSAL_S, self._explain)
        else:
            self._explain()

    def _explain(self) -> None:
        """Send the reason, if the client understands it, and close."""
        self._connection.give_up()
        self._set_timer(None)
        reason = self._connection.data_to_send()
        transport = self._transport
        if transport is None:
            return
        if not reason or not self._write(reason):
            transport.close()
            return
        # Closed with bytes of the client's unread, the connection would be reset, and the reason lost with
        # it: so what the client sends is read and thrown away until it has closed, or had the time to.
        self.release()
        if transport.can_write_eof():
            transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def _handshake_timed_out(self) -> None:
        self._handle(self._connection.time_out(self._policy.handshake_timeout))

    def _rescue(self) -> None:
        """Forward what the client had sent before a write to it failed: a client that is killed after
        publishing has published."""
        transport = self._transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return
        descriptor = transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):  # nothing left, or reset
            while data := os.read(descriptor, _DRAIN_SIZE):
                self._handle(self._connection.receive_data(data))

    # Time ---------------------------------------------------------------------------------------------------

    def _set_timer(self, seconds: float | None, then: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and then is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _watch(self) -> None:
        """Look again after the stall time-out whether the client took anything of what waits for it."""
        self._taken = self._bytes_taken()
        timeout = self._policy.stall_timeout
        self._stall_timer = asyncio.get_running_loop().call_later(timeout, self._check_progress)

    def _check_progress(self) -> None:
        if self._bytes_taken() != self._taken:
            self._watch()
            return
        self._relay.counters.stalled += 1
        _log.warning(
            "connection %d took nothing for %g s and held up the others: disconnected, %d bytes for it lost",
            self._number,
            self._policy.stall_timeout,
            self._written - self._taken,
        )
        self.abort()

    def _bytes_taken(self) -> int:
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._written - waiting

    def _beat_later(self) -> None:
        if self._policy.heartbeat is not None:
            loop = asyncio.get_running_loop()
            self._beat_timer = loop.call_later(self._policy.heartbeat, self._beat)

    def _beat(self) -> None:
        """Another interval is over: was the client heard in it?"""
        if self._connection.state is not State.OPEN:
            return
        if self._heard or self._held:  # nobody hears one that is not read
            self._pings = 0
        elif self._pings == _MAX_MISSED_PINGS:
            self._relay.counters.dead += 1
            _log.warning(
                "connection %d left %d pings unanswered, %g s apart: disconnected",
                self._number,
                self._pings,
                self._policy.heartbeat,
            )
            self.abort()
            return
        else:
            self._pings += 1
            self._write(self._connection.ping(self._pings))
        self._heard = False
        self._beat_later()
