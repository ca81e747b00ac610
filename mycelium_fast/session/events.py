"""The words that a connection and its drivers share: roles, states, features, and the events.

Everything here is plain data. When which event comes is drawn at the top of `connection.py`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Union

from ..errors import MyceliumError, TransportError
from . import core
from .core import Welcome

if TYPE_CHECKING:
    from ..codec.frames import Run
    from ..codec.message import Message

__all__ = [
    "ALL_FEATURES",
    "Closed",
    "Event",
    "Features",
    "Frames",
    "GoodbyeReceived",
    "HandshakeDone",
    "HelloOptions",
    "HelloReceived",
    "Lagged",
    "Negotiated",
    "PongReceived",
    "Rejected",
    "Role",
    "State",
    "SubscribeRequested",
    "Subscribed",
    "Traced",
    "UnsubscribeRequested",
    "event_of",
]

#: Bytes of UTF-8 that a service's name may have in a `Hello`.
_MAX_SERVICE: Final = 64


class Role(enum.Enum):
    """Which end of the connection this is."""

    CLIENT = "client"
    SERVER = "server"


class State(enum.Enum):
    """Where the connection stands; drawn at the top of `connection.py`."""

    WAITING = "waiting"
    OPEN = "open"
    CLOSED = "closed"


class Features(enum.IntFlag):
    """What two ends can agree on; the bits of `Hello` and `Welcome`."""

    SUBSCRIPTIONS = 1
    LAG_REPORTS = 2
    HEARTBEATS = 4
    TRACE = 8
    NO_ECHO = 16


ALL_FEATURES: Final = Features(31)


@dataclass(frozen=True, slots=True)
class HelloOptions:
    """What a client says of itself in its `Hello`.

    Attributes:
        service: its name, at most 64 bytes of UTF-8.
        features: what it wants to use.

    Raises:
        ValueError: the name is longer.
    """

    service: str = ""
    features: Features = ALL_FEATURES

    def __post_init__(self) -> None:
        size = len(self.service.encode())
        if size > _MAX_SERVICE:
            raise ValueError(
                f"the name of a service has at most {_MAX_SERVICE} bytes, {self.service!r} has {size}"
            )


@dataclass(frozen=True, slots=True)
class HandshakeDone:
    """The peer is accepted (server), or shows that it accepts us (client); frames may follow.

    Attributes:
        welcome: the peer's, if that is how it showed it: the connection is negotiated.
    """

    welcome: Welcome | None = None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """Client: the peer's `Welcome` came after the connection had been taken for a plain one."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Frames:
    """Complete frames, in the order of the stream, as runs of one type and length each."""

    runs: list[Run]


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """Server: the client wants to negotiate, and waits for `welcome()` or `reject()`.

    Attributes:
        service: the name that it gives itself.
        features: those that it names and we know.
        protocol: the newest version of the core frames that it speaks, at least 1.
    """

    service: str
    features: Features
    protocol: int


@dataclass(frozen=True, slots=True)
class SubscribeRequested:
    """Server: the client wants these types (None: all) from now on; answered with `subscribed(request)`."""

    request: int
    type_ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class UnsubscribeRequested:
    """Server: the client wants these types (None: all) no more; answered with `subscribed(request)`."""

    request: int
    type_ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Client: the request of this number is in force, except for types that were rejected before."""

    request: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Client: the peer refuses a request or, if `fatal`, the connection; then `Closed` comes next.

    Attributes:
        error: says what was refused and why, for whoever asked.
        code: 1 digest, 2 permission, 3 limit, 4 protocol, 5 version; others are possible.
        type_id: the type concerned, 0 where none.
    """

    error: TransportError
    code: int
    fatal: bool
    type_id: int


@dataclass(frozen=True, slots=True)
class Lagged:
    """Client: the peer dropped this many frames of this type for us since it last said so."""

    type_id: int
    dropped: int


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The answer to `ping(nonce)`."""

    nonce: int


@dataclass(frozen=True, slots=True)
class Traced:
    """The W3C trace context of the next frame: the first of the next `Frames` event."""

    trace_id: bytes
    span_id: bytes
    flags: int


@dataclass(frozen=True, slots=True)
class GoodbyeReceived:
    """The peer shuts down as planned, and will close.

    Attributes:
        reconnect_after: seconds after which connecting again makes sense, None for never.
    """

    reconnect_after: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes from the peer.

    Attributes:
        error: why, or None where the peer ended the stream between two frames, or before it had said anything
            (which is how somebody asks whether a server is there).
    """

    error: MyceliumError | None


Event = Union[
    HandshakeDone,
    Negotiated,
    Frames,
    HelloReceived,
    SubscribeRequested,
    UnsubscribeRequested,
    Subscribed,
    Rejected,
    Lagged,
    PongReceived,
    Traced,
    GoodbyeReceived,
    Closed,
]


def event_of(message: Message) -> Event:
    """What a core frame that changes nothing about the connection is to a driver."""
    if isinstance(message, core.Subscribe):
        return SubscribeRequested(message.request, None if message.all else tuple(message.type_ids))
    if isinstance(message, core.Unsubscribe):
        return UnsubscribeRequested(message.request, None if message.all else tuple(message.type_ids))
    if isinstance(message, core.Subscribed):
        return Subscribed(message.request)
    if isinstance(message, core.Lagged):
        return Lagged(message.type_id, message.dropped)
    if isinstance(message, core.Pong):
        return PongReceived(message.nonce)
    if isinstance(message, core.Trace):
        return Traced(message.trace_id, message.span_id, message.flags)
    if isinstance(message, core.Goodbye):
        after = message.reconnect_after_ms
        return GoodbyeReceived(after / 1000 if after else None, message.reason)
    raise RuntimeError(f"{type(message).__name__} is the connection's own")
