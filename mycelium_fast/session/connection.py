"""One end of one connection, without I/O: received bytes in, events out, bytes to send on request.

It holds the handshake, the negotiation and the cutting of the stream into frames; what an end can say is in
`speaker.py`. Sockets, time and what is done with a frame belong to the drivers (`transport/`, `bridge/`);
what is in a frame belongs to the codec.

The bytes that a client sends, and a server reads (protocol, sections 1, 2 and 4):

    | digest_len: u16 = 32 | digest: 32 bytes |    Hello    | frame | frame | ...          little-endian
    |<---- greeting, not without handshake -->|<-not plain->|

A server answers nothing to a greeting that it accepts, `Welcome` to a `Hello`, and closes on any other
greeting; so a client takes `Welcome`, any other frame, or the end of a period of silence, for consent:

    client that sent greeting or Hello   WAITING --- Welcome, another frame, confirm() -----> OPEN
    server with digest                   WAITING --- greeting with it, or one accepted -----> OPEN
    client that sent neither, server without (starts)                                         OPEN
    any                                  --- end of stream, error, fatal Reject, close() ---> CLOSED, for good

An end of stream while WAITING means to a client that it was refused. Within OPEN a connection is plain, until
it is negotiated, for good:

    client   plain --------------------- Welcome arrives --------------------> negotiated
    server   plain --- Hello arrives, as the first frame ---> greeted --- welcome() ---> negotiated

On a plain connection a frame with a core id is a frame like any other, except for a client's first frame if
it is a `Hello`, and for a `Welcome` or `Reject` that answers ours. From `Hello` and `Welcome` on, core frames
are this module's: what does not decode, or goes in the wrong direction, ends the connection. Frames that came
in one piece with the `Welcome` that a client waits for,
and before it, are ignored: a plain connection would get them, a negotiated one has not asked for any.

Errors are events too (`Closed`), so that the frames before an error are never lost; nothing is accepted, and
no event given, after `Closed`. One exception: a server that refuses a digest goes on to look for the `Hello`
that the client may have sent with it (`refusing`), since only those who sent one can be told why.
"""

from __future__ import annotations

from typing import Final

from ..codec.frames import MAX_ACCEPTED_PAYLOAD_SIZE, FrameScanner, Run
from ..errors import (
    DecodeError,
    HandshakeError,
    MyceliumError,
    ProtocolError,
    TransportTimeout,
    ValidationError,
)
from . import core
from .events import (
    ALL_FEATURES,
    Closed,
    Event,
    Features,
    Frames,
    HandshakeDone,
    HelloOptions,
    HelloReceived,
    Negotiated,
    Rejected,
    Role,
    State,
    event_of,
)
from .greeting import DIGEST_SIZE, GREETING_SIZE, Greeting, greeting
from .refusals import RejectCode, error_of, unexplained
from .speaker import PROTOCOL, Speaker

__all__ = ["CORE_IDS", "Connection"]

#: Type ids of the core frames. (An application whose `tag_ranges` say so may use the others below 1000.)
CORE_IDS: Final = frozenset(core.MESSAGES)
_HELLO: Final = core.Hello.TYPE_ID
_WELCOME: Final = core.Welcome.TYPE_ID
_REJECT: Final = core.Reject.TYPE_ID
_BOTH_WAYS: Final = frozenset(
    {core.Ping.TYPE_ID, core.Pong.TYPE_ID, core.Trace.TYPE_ID, core.Goodbye.TYPE_ID}
)
#: What either end may receive on a negotiated connection.
_EXPECTED: Final = {
    Role.SERVER: _BOTH_WAYS | {core.Subscribe.TYPE_ID, core.Unsubscribe.TYPE_ID},
    Role.CLIENT: _BOTH_WAYS | {_REJECT, core.Subscribed.TYPE_ID, core.Lagged.TYPE_ID},
}
#: Bytes read at once before the scanner's own buffer can be used: the greeting with what was sent with it.
_FIRST_READ: Final = 4096


class Connection(Speaker):
    """The protocol's state on one connection.

    Args:
        role: which end this is.
        digest: SHA-256 of the contracts file, 32 bytes; None for a connection without a handshake.
        max_payload_size: payload bytes that a received frame may have; not used with a `scanner`.
        hello: client: send a `Hello` that says this; None for a plain connection.
        scanner: cuts the stream into frames; made if there is none.
        accept: server: further digests that a client may name.

    Attributes:
        scanner: a driver may move it by itself and hand over the runs (`receive_runs`).

    Raises:
        ValueError: `digest`, or one of `accept`, has another length; or there is `accept` without `digest`.
    """

    def __init__(
        self,
        role: Role,
        digest: bytes | None,
        *,
        max_payload_size: int = MAX_ACCEPTED_PAYLOAD_SIZE,
        hello: HelloOptions | None = None,
        scanner: FrameScanner | None = None,
        accept: frozenset[bytes] = frozenset(),
    ) -> None:
        for each in (*accept, *([] if digest is None else [digest])):
            if len(each) != DIGEST_SIZE:
                raise ValueError(
                    f"a schema digest has {DIGEST_SIZE} bytes, this one has {len(each)}: "
                    "pass SCHEMA_DIGEST of the generated module"
                )
        if digest is None and accept:
            raise ValueError("accept needs a digest: without one there is no handshake")
        self._digest = None if digest is None else bytes(digest)
        self._hello = hello if role is Role.CLIENT else None
        waits = self._digest is not None or self._hello is not None
        super().__init__(State.WAITING if waits else State.OPEN)
        self.scanner = FrameScanner(max_payload_size) if scanner is None else scanner
        self.max_payload_size = self.scanner.max_payload_size
        self._role = role
        self._greeting = Greeting(self._digest, accept)
        self._first = role is Role.SERVER  # the next frame is the client's first
        self._room: memoryview | None = None
        if role is Role.CLIENT and self._digest is not None:
            self._outgoing += greeting(self._digest)
        if self._hello is not None:
            self._named = self._hello.features
            self._outgoing += core.Hello(PROTOCOL, int(self._named), self._hello.service).to_frame()

    # Where it stands ----------------------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """Which end this is."""
        return self._role

    @property
    def peer_digest(self) -> bytes | None:
        """Server: the schema digest that the client named, ours or one of `accept`; None until it did, and
        without a handshake."""
        return self._greeting.digest

    @property
    def passing(self) -> bool:
        """Whether nothing but core frames concerns the session: a driver that moves `scanner` may use runs
        itself as long as `scanner.saw_core` is False."""
        return self._state is State.OPEN and not self._first

    @property
    def refusing(self) -> bool:
        """Server: the digest was refused, and a `Hello` may follow that is to be answered with the reason.

        Until this is False, received bytes are still to be handed over; bound the time with `give_up()`.
        """
        return self._greeting.refusing

    @property
    def greeting_left(self) -> int:
        """Server: bytes of the client's greeting that have not come yet; who reads no more leaves the frames
        after it unread."""
        return GREETING_SIZE - self._greeting.size

    # Receiving ----------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Where to put the next bytes that arrive; then `buffer_updated(n)`.

        Raises:
            PoolExhausted: the scanner's pool has no block left; nothing is lost, try again later.
        """
        if self._state is State.OPEN or (self._state is State.WAITING and self._role is Role.CLIENT):
            self._room = None
            return self.scanner.get_buffer(sizehint)
        if self._room is None or len(self._room) < sizehint:
            self._room = memoryview(bytearray(max(_FIRST_READ, sizehint)))
        return self._room

    def buffer_updated(self, size: int) -> list[Event]:
        """`size` bytes were put at the start of what `get_buffer()` gave last; give what they amount to."""
        if self._room is not None:
            return self.receive_data(bytes(self._room[:size]))
        events: list[Event] = []
        if self._state is not State.CLOSED:
            try:
                self._take(self.scanner.buffer_updated(size), events)
            except ProtocolError as error:
                events.append(self._fail(error))
        return events

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes as they arrived, cut anywhere; give what they amount to."""
        events: list[Event] = []
        if self._greeting.refusing:
            self._greeting.look_for_hello(data)
            self._explain_refusal()
        if self._state is State.CLOSED:
            return events
        if self._state is State.WAITING and self._role is Role.SERVER:
            try:
                data = self._greeting.read(data)
            except HandshakeError as error:
                self._explain_refusal()
                events.append(self._close(error))
                return events
            if self._greeting.size < GREETING_SIZE:
                return events
            self._state = State.OPEN
            events.append(HandshakeDone())
        try:
            if data:
                self._take(self.scanner.feed(data), events)
        except ProtocolError as error:
            events.append(self._fail(error))
        return events

    def receive_runs(self, runs: list[Run]) -> list[Event]:
        """Take frames from a driver that moved `scanner` itself; an empty list asks for the scanner's error,
        if it has one."""
        events: list[Event] = []
        if self._state is not State.CLOSED:
            try:
                self._take(runs, events)
            except ProtocolError as error:
                events.append(self._fail(error))
        return events

    def receive_eof(self) -> list[Event]:
        """The peer ended the stream, or the connection was reset."""
        self._greeting.refusing = False
        if self._state is State.CLOSED:
            return []
        if self._state is State.WAITING:
            if self._role is Role.CLIENT:
                return [self._close(unexplained(self._digest))]
            if self._greeting.size == 0:
                return [self._close(None)]
            text = (
                f"the peer closed the connection after {self._greeting.size} "
                f"of the handshake's {GREETING_SIZE} bytes"
            )
            return [self._close(HandshakeError(text))]
        try:
            self.scanner.close()
        except ProtocolError as error:
            return [self._close(error)]
        return [self._close(None)]

    def confirm(self) -> None:
        """Client: the peer stayed silent for long enough to count as consent."""
        if self._state is State.WAITING and self._role is Role.CLIENT:
            self._state = State.OPEN

    def time_out(self, seconds: float) -> list[Event]:
        """The peer took more than `seconds`: a client for its greeting, or a server to answer."""
        if self._state is not State.WAITING:
            return []
        if self._role is Role.CLIENT:
            text = (
                f"the peer did not answer the handshake within {seconds:g} s: it may hang, or not be a bridge"
            )
            return [self._close(TransportTimeout(text))]
        text = (
            f"the peer sent {self._greeting.size} of the handshake's {GREETING_SIZE} bytes "
            f"within {seconds:g} s; a client without a handshake needs a server without one "
            "(handshake=False, --no-handshake)"
        )
        return [self._close(HandshakeError(text))]

    def give_up(self) -> None:
        """Server that refuses a digest: do not wait for a `Hello` any longer."""
        self._greeting.refusing = False

    def close(self) -> None:
        """End the connection from this side: nothing that still arrives is looked at."""
        self._greeting.refusing = False
        self._close(None)

    # What frames mean ---------------------------------------------------------------------------------------

    def _take(self, runs: list[Run], events: list[Event]) -> None:
        """Turn frames into events. Raises ProtocolError for what ends the connection."""
        passed: list[Run] = []
        for run in runs:
            if run.type_id not in CORE_IDS or not self._is_ours(run):
                self._first = False
                passed.append(run)
                continue
            if self._state is State.WAITING and run.type_id in (_WELCOME, _REJECT):
                passed = []
            self._pass_on(passed, events)
            passed = []
            for payload in run.payloads():
                self._core_frame(run.type_id, payload, events)
                if self._state is State.CLOSED:
                    return
        self._pass_on(passed, events)
        # The scanner gives the frames before a bad header first, and the error with the next call: that one
        # must not wait for the peer to send more.
        self.scanner.feed(b"")

    def _is_ours(self, run: Run) -> bool:
        """Whether frames of a core type are the session's, not an application's on a plain connection."""
        if self._greeted:
            return True
        if self._role is Role.SERVER:
            return self._first and run.type_id == _HELLO and run.length == core.Hello.SIZE
        if self._hello is None:
            return False
        return (run.type_id == _WELCOME and run.length == core.Welcome.SIZE) or (
            run.type_id == _REJECT and run.length == core.Reject.SIZE
        )

    def _pass_on(self, runs: list[Run], events: list[Event]) -> None:
        if not runs:
            return
        if self._state is State.WAITING:
            self._state = State.OPEN
            events.append(HandshakeDone())
        events.append(Frames(runs))

    def _core_frame(self, type_id: int, payload: memoryview, events: list[Event]) -> None:
        name = core.MESSAGES[type_id].__name__
        opening = type_id == (_HELLO if self._role is Role.SERVER else _WELCOME)
        if opening and self._greeted:
            raise ProtocolError(f"the peer sent {name} a second time: it may only come once, at the start")
        if not opening and type_id not in _EXPECTED[self._role]:
            raise ProtocolError(f"the peer sent {name}, which a {self._role.value} never gets")
        try:
            message = core.MESSAGES[type_id].from_bytes(payload)
        except (DecodeError, ValidationError) as error:
            self._greeted |= opening  # whoever sends a bad Hello can read why it is refused
            raise ProtocolError(f"the peer sent a {name} that cannot be decoded: {error}") from error
        if isinstance(message, core.Ping):
            self._outgoing += core.Pong(message.nonce).to_frame()
            return
        if isinstance(message, core.Hello):
            self._hello_came(message, events)
        elif isinstance(message, core.Welcome):
            self._welcome_came(message, events)
        elif isinstance(message, core.Reject):
            waiting = self._state is State.WAITING
            rejection = error_of(message, self._digest, connecting=waiting)
            events.append(Rejected(rejection, message.code, message.fatal, message.type_id))
            if message.fatal:
                events.append(self._close(rejection))
        else:
            events.append(event_of(message))

    def _hello_came(self, hello: core.Hello, events: list[Event]) -> None:
        self._first = False
        self._greeted = True
        if hello.protocol < PROTOCOL:
            text = f"the peer speaks version {hello.protocol} of the core frames, this end {PROTOCOL}"
            self.reject(RejectCode.VERSION, text, fatal=True)
            events.append(self._close(HandshakeError(f"{text}: update the older of the two")))
            return
        self._named = Features(hello.features & ALL_FEATURES)
        events.append(HelloReceived(hello.service, self._named, hello.protocol))

    def _welcome_came(self, welcome: core.Welcome, events: list[Event]) -> None:
        if welcome.protocol != PROTOCOL:
            text = (
                f"the peer chose version {welcome.protocol} of the core frames, this end speaks {PROTOCOL}: "
                "update the older of the two"
            )
            events.append(self._close(HandshakeError(text)))
            return
        self._greeted = self._negotiated = True
        self._agreed = self._named & Features(welcome.features & ALL_FEATURES)
        self._connection_id = welcome.connection_id
        if self._state is State.WAITING:
            self._state = State.OPEN
            events.append(HandshakeDone(welcome))
        else:
            events.append(Negotiated(welcome))

    # Ends ---------------------------------------------------------------------------------------------------

    def _close(self, error: MyceliumError | None) -> Closed:
        self._state = State.CLOSED
        return Closed(error)

    def _explain_refusal(self) -> None:
        if self._greeting.hello_came:
            digest, reason = self._digest or b"", self._greeting.refusal
            self._outgoing += core.Reject(RejectCode.DIGEST, True, 0, digest, reason).to_frame()

    def _fail(self, error: ProtocolError) -> Closed:
        """The peer broke the protocol: tell it, if it understands that."""
        if self._role is Role.SERVER:
            self.reject(RejectCode.PROTOCOL, str(error), fatal=True)
        return self._close(error)
