"""The relay: every complete frame of a client goes to every client, its sender included, bytes untouched.

It checks what a client may send (known types, right lengths), and keeps memory bounded: while a client's
output is full, no client is read, so that nothing is lost; one that takes nothing at all for too long is
disconnected. Listening and the process's life are in `serve.py`; the order of the protocol is `session/`'s.

    client A  --bytes-->  Connection  --runs-->  filter  --one block-->  output of A, of B, of C ...
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from ..errors import HandshakeError, MyceliumError
from ..session import Closed, Connection, Frames, HandshakeDone, Role, State

if TYPE_CHECKING:
    from ..codec.frames import Run

__all__ = ["Client", "Counters", "Policy", "Relay"]

_log: Final = logging.getLogger("mycelium_fast.bridge")

#: Type ids of the framework itself; a client's are not forwarded, since older clients die on them.
_CORE: Final = range(1, 1000)
#: Bytes waiting for one client at which reading stops everywhere, and at which it goes on.
_HIGH_WATER: Final = 1024 * 1024
_LOW_WATER: Final = 256 * 1024
#: Kinds of dropped frames that are logged for one client; the rest shows in the counters.
_MAX_LOGGED: Final = 16
_DRAIN_SIZE: Final = 256 * 1024


@dataclass(frozen=True)
class Policy:
    """What the relay lets through, and how long it waits.

    Attributes:
        digest: that clients must name, 32 bytes; None for no handshake.
        sizes: payload bytes by type id; None where there are no contracts, and every type is let through.
        forward_unknown: let types through that are not in `sizes`.
        handshake_timeout: seconds for a client's digest.
        stall_timeout: seconds after which a client that takes nothing is disconnected.
    """

    digest: bytes | None
    sizes: Mapping[int, int] | None
    forward_unknown: bool = False
    handshake_timeout: float = 5.0
    stall_timeout: float = 10.0

    def refuses(self, type_id: int, length: int) -> str | None:
        """Why frames of this type and length are dropped, or None."""
        size = None if self.sizes is None else self.sizes.get(type_id)
        if size is not None:
            return None if size == length else "wrong length"
        if type_id in _CORE:
            return "core type"
        return None if self.sizes is None or self.forward_unknown else "unknown type"


@dataclass
class Counters:
    """What happened since the relay started.

    Attributes:
        frames: received, dropped ones included; `bytes` are theirs.
        deliveries: frames handed to clients, each counted for each.
    """

    connections: int = 0
    refused: int = 0
    protocol_errors: int = 0
    stalled: int = 0
    frames: int = 0
    bytes: int = 0
    deliveries: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} of {reason}" for reason, count in sorted(self.dropped.items()))
        return (
            f"{self.connections} connections, {self.refused} refused, "
            f"{self.protocol_errors} closed on a protocol error, {self.stalled} stalled; "
            f"{self.frames} frames in ({self.bytes} bytes), {self.deliveries} out, "
            f"dropped: {dropped or 'none'}"
        )


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

    def left(self, client: Client) -> None:
        """The connection is over."""
        self._clients.discard(client)
        self._ready.pop(client, None)
        self.drained(client)
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

    def forward(self, source: Client, runs: list[Run]) -> None:
        """Hand the frames that the policy lets through to every client."""
        counters = self.counters
        passed: list[memoryview] = []
        frames = 0
        for run in runs:
            counters.frames += run.count
            counters.bytes += len(run.frames)
            reason = self.policy.refuses(run.type_id, run.length)
            if reason is None:
                passed.append(run.frames)
                frames += run.count
            else:
                counters.dropped[reason] += run.count
                source.note_dropped(reason, run)
        if not passed:
            return
        block = passed[0] if len(passed) == 1 else b"".join(passed)
        for client in tuple(self._ready):
            if client.write(block):
                counters.deliveries += frames


class Client(asyncio.Protocol):
    """One connection to the bridge."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._connection = Connection(Role.SERVER, relay.policy.digest)
        self._number = 0
        self._known = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._written = 0
        self._taken = 0
        self._logged: set[tuple[str, int]] = set()
        self._dropped = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected: wait for its digest, for as long as it may take."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_HIGH_WATER, _LOW_WATER)
        self._number = self._relay.joined(self)
        if self._connection.state is State.OPEN:
            self._become_ready()
        else:
            timeout = self._relay.policy.handshake_timeout
            self._timer = asyncio.get_running_loop().call_later(timeout, self._handshake_timed_out)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._known = True
        self._handle(self._connection.receive_data(data))

    def eof_received(self) -> None:
        """The client sends nothing more; asyncio closes the connection once what waits for it is sent."""
        self._handle(self._connection.receive_eof())

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._cancel_timer()
        if exc is not None and self._connection.state is State.OPEN:
            self._rescue()
        self._relay.left(self)
        # Whoever connects and leaves without a word looks whether a bridge is there: nothing to tell of.
        level = logging.INFO if self._known else logging.DEBUG
        dropped = f", {self._dropped} of its frames were dropped" if self._dropped else ""
        _log.log(level, "connection %d closed%s%s", self._number, f" ({exc})" if exc else "", dropped)

    def pause_writing(self) -> None:
        """What waits for this client is over the high-water mark."""
        self._relay.filled(self)
        self._watch()

    def resume_writing(self) -> None:
        """It is below the low-water mark again."""
        self._cancel_timer()
        self._relay.drained(self)

    def write(self, block: bytes | memoryview) -> bool:
        """Send frames to the client; False where it is leaving."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self._written += len(block)
        transport.write(block)
        return True

    def hold(self) -> None:
        """Read nothing from the client for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def release(self) -> None:
        """Read the client again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def disconnect(self) -> None:
        """Close the connection once what waits for the client is sent."""
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
        sizes = self._relay.policy.sizes or {}
        wanted = f" instead of {sizes[run.type_id]}" if run.type_id in sizes else ""
        _log.warning(
            "connection %d sent frames of %s %d with %d payload bytes%s: dropped and counted, logged once",
            self._number,
            "type" if wanted else reason,
            run.type_id,
            run.length,
            wanted,
        )

    def _handle(self, events: list[HandshakeDone | Frames | Closed]) -> None:
        for event in events:
            if isinstance(event, Frames):
                self._relay.forward(self, event.runs)
            elif isinstance(event, HandshakeDone):
                self._cancel_timer()
                self._become_ready()
            elif event.error is not None:
                self._fail(event.error)

    def _become_ready(self) -> None:
        self._known = True
        _log.info("connection %d ready", self._number)
        self._relay.ready(self)

    def _fail(self, error: MyceliumError) -> None:
        self._known = True
        if isinstance(error, HandshakeError):
            self._relay.counters.refused += 1
            _log.warning("connection %d refused: %s", self._number, error)
        else:
            self._relay.counters.protocol_errors += 1
            _log.warning("connection %d closed: %s", self._number, error)
        self._cancel_timer()
        if self._transport is not None:
            self._transport.close()

    def _handshake_timed_out(self) -> None:
        self._handle(self._connection.time_out(self._relay.policy.handshake_timeout))

    def _watch(self) -> None:
        """Look again after the stall time-out whether the client took anything of what waits for it."""
        self._taken = self._bytes_taken()
        timeout = self._relay.policy.stall_timeout
        self._timer = asyncio.get_running_loop().call_later(timeout, self._check_progress)

    def _check_progress(self) -> None:
        if self._bytes_taken() != self._taken:
            self._watch()
            return
        self._relay.counters.stalled += 1
        _log.warning(
            "connection %d took nothing for %g s and held up the others: disconnected, %d bytes for it lost",
            self._number,
            self._relay.policy.stall_timeout,
            self._written - self._taken,
        )
        self.abort()

    def _bytes_taken(self) -> int:
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._written - waiting

    def _rescue(self) -> None:
        """Forward what the client had sent before a write to it failed: a client that is killed after
        publishing has published."""
        if self._transport is None:
            return
        descriptor = self._transport.get_extra_info("socket").fileno()
        try:
            while data := os.read(descriptor, _DRAIN_SIZE):
                self._handle(self._connection.receive_data(data))
        except OSError:  # nothing left, or reset
            pass

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
