"""One end of one connection, without I/O: received bytes in, events out, bytes to send on request.

It holds the handshake and the cutting of the stream into frames. Sockets, time and what is done with a frame
belong to the drivers (`transport/`, `bridge/`); what is in a frame belongs to the codec.

The bytes that a client sends, and a server reads (protocol, sections 1 and 2):

    | digest_len: u16 = 32 | digest: 32 bytes | frame | frame | ...          little-endian
    |<------ greeting, left out without a handshake ------>|

A server answers nothing to a greeting that it accepts, and closes on any other; so a client takes the first
frame, or the end of a period of silence, for consent. The states:

    client with digest     WAITING --- a frame, or confirm() ---------> OPEN
    server with digest     WAITING --- greeting with this digest -----> OPEN
    either without one     (starts)                                    OPEN
    any                    --- end of stream, error, close() ---------> CLOSED      (for good)

An end of stream while WAITING means to a client that it was refused. Errors are events too (`Closed`), so
that the frames before an error are never lost; nothing is accepted, and no event given, after `Closed`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Union

from ..codec.frames import MAX_ACCEPTED_PAYLOAD_SIZE, FrameScanner
from ..errors import HandshakeError, MyceliumError, ProtocolError, SchemaMismatchError

if TYPE_CHECKING:
    from ..codec.frames import Run

__all__ = [
    "DIGEST_SIZE",
    "GREETING_SIZE",
    "Closed",
    "Connection",
    "Event",
    "Frames",
    "HandshakeDone",
    "Role",
    "State",
]

DIGEST_SIZE: Final = 32
_LENGTH_SIZE: Final = 2
#: Bytes of a greeting: the digest's length and the digest.
GREETING_SIZE: Final = _LENGTH_SIZE + DIGEST_SIZE

_REGENERATE: Final = "Regenerate both ends from the same contracts file, then connect again."


class Role(enum.Enum):
    """Which end of the connection this is."""

    CLIENT = "client"
    SERVER = "server"


class State(enum.Enum):
    """Where the connection stands; drawn at the top of the file."""

    WAITING = "waiting"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class HandshakeDone:
    """The peer is accepted (server), or shows that it accepts us (client); frames may follow."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Complete frames, in the order of the stream, as runs of one type and length each."""

    runs: list[Run]


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes from the peer.

    Attributes:
        error: why, or None where the peer ended the stream between two frames, or before it had said anything
            (which is how somebody asks whether a server is there).
    """

    error: MyceliumError | None


Event = Union[HandshakeDone, Frames, Closed]


class Connection:
    """The protocol's state on one connection.

    Args:
        role: which end this is.
        digest: SHA-256 of the contracts file, 32 bytes; None for a connection without a handshake.
        max_payload_size: payload bytes that a received frame may have.

    Raises:
        ValueError: `digest` has another length.
    """

    def __init__(
        self,
        role: Role,
        digest: bytes | None,
        *,
        max_payload_size: int = MAX_ACCEPTED_PAYLOAD_SIZE,
    ) -> None:
        if digest is not None and len(digest) != DIGEST_SIZE:
            raise ValueError(
                f"a schema digest has {DIGEST_SIZE} bytes, this one has {len(digest)}: "
                "pass SCHEMA_DIGEST of the generated module"
            )
        self._role = role
        self._digest = None if digest is None else bytes(digest)
        self._state = State.OPEN if digest is None else State.WAITING
        self._scanner = FrameScanner(max_payload_size)
        self._greeting = bytearray()
        self._outgoing = bytearray()
        if role is Role.CLIENT and self._digest is not None:
            self._outgoing += DIGEST_SIZE.to_bytes(_LENGTH_SIZE, "little") + self._digest

    @property
    def role(self) -> Role:
        """Which end this is."""
        return self._role

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    def data_to_send(self) -> bytes:
        """The bytes that the protocol itself wants sent now, before any frame; each is given once."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes as they arrived, cut anywhere; give what they amount to.

        The runs of a `Frames` event are views of `data` where they can be: it must not change afterwards.
        """
        if self._state is State.CLOSED:
            return []
        events: list[Event] = []
        if self._state is State.WAITING and self._role is Role.SERVER:
            missing = GREETING_SIZE - len(self._greeting)
            self._greeting += data[:missing]
            data = data[missing:]
            error = self._check_greeting()
            if error is not None:
                return [self._close(error)]
            if len(self._greeting) < GREETING_SIZE:
                return events
            self._state = State.OPEN
            events.append(HandshakeDone())
        self._scan(data, events)
        return events

    def receive_eof(self) -> list[Event]:
        """The peer ended the stream, or the connection was reset."""
        if self._state is State.CLOSED:
            return []
        if self._state is State.WAITING:
            if self._role is Role.CLIENT:
                return [self._close(self._refused())]
            return [self._close(self._left_early() if self._greeting else None)]
        try:
            self._scanner.close()
        except ProtocolError as error:
            return [self._close(error)]
        return [self._close(None)]

    def confirm(self) -> None:
        """Client: the peer stayed silent for long enough to count as consent."""
        if self._state is State.WAITING and self._role is Role.CLIENT:
            self._state = State.OPEN

    def time_out(self, seconds: float) -> list[Event]:
        """Server: the peer took more than the `seconds` that it has for its greeting."""
        if self._state is not State.WAITING:
            return []
        text = (
            f"the peer sent {len(self._greeting)} of the handshake's {GREETING_SIZE} bytes "
            f"within {seconds:g} s; a client without a handshake needs a server without one "
            "(handshake=False, --no-handshake)"
        )
        return [self._close(HandshakeError(text))]

    def close(self) -> None:
        """End the connection from this side: nothing that still arrives is looked at."""
        self._close(None)

    def _scan(self, data: bytes, events: list[Event]) -> None:
        try:
            runs = self._scanner.feed(data)
            if runs:
                if self._state is State.WAITING:
                    self._state = State.OPEN
                    events.append(HandshakeDone())
                events.append(Frames(runs))
                # The scanner gives the frames before a bad header first, and the error with the next call:
                # that one must not wait for the peer to send more.
                self._scanner.feed(b"")
        except ProtocolError as error:
            events.append(self._close(error))

    def _close(self, error: MyceliumError | None) -> Closed:
        self._state = State.CLOSED
        return Closed(error)

    def _check_greeting(self) -> HandshakeError | None:
        ours = self._ours()
        if len(self._greeting) < _LENGTH_SIZE:
            return None
        length = int.from_bytes(self._greeting[:_LENGTH_SIZE], "little")
        if length != DIGEST_SIZE:
            return HandshakeError(
                f"the peer announced a schema digest of {length} bytes, where {DIGEST_SIZE} are expected "
                f"(ours is {ours}): it speaks another protocol, or none with a handshake (handshake=False). "
                "Check that both ends use the handshake, or that neither does."
            )
        theirs = self._greeting[_LENGTH_SIZE:]
        if len(theirs) == DIGEST_SIZE and bytes(theirs) != self._digest:
            return SchemaMismatchError(
                f"the peer's schema digest {theirs.hex()} is not ours, {ours}. {_REGENERATE}"
            )
        return None

    def _refused(self) -> SchemaMismatchError:
        return SchemaMismatchError(
            "the peer closed the connection on our handshake: it uses another contracts file, most likely. "
            f"Our schema digest is {self._ours()}; the peer's is not known, it closed without a word. "
            f"{_REGENERATE} An endpoint that expects no handshake needs handshake=False."
        )

    def _left_early(self) -> HandshakeError:
        return HandshakeError(
            f"the peer closed the connection after {len(self._greeting)} "
            f"of the handshake's {GREETING_SIZE} bytes"
        )

    def _ours(self) -> str:
        return "" if self._digest is None else self._digest.hex()
