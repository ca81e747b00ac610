"""The protocol's states without I/O: what may be said when on a connection.

Bytes come in, events go out. The blocking client, the asyncio client and the bridge drive the same
`Connection`; this package opens no socket and knows no clock.
"""

from __future__ import annotations

from .connection import CORE_IDS, Connection
from .events import (
    ALL_FEATURES,
    Closed,
    Event,
    Features,
    Frames,
    GoodbyeReceived,
    HandshakeDone,
    HelloOptions,
    HelloReceived,
    Lagged,
    Negotiated,
    PongReceived,
    Rejected,
    Role,
    State,
    Subscribed,
    SubscribeRequested,
    Traced,
    UnsubscribeRequested,
)
from .greeting import DIGEST_SIZE, GREETING_SIZE
from .refusals import RejectCode

__all__ = [
    "ALL_FEATURES",
    "CORE_IDS",
    "DIGEST_SIZE",
    "GREETING_SIZE",
    "Closed",
    "Connection",
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
    "RejectCode",
    "Rejected",
    "Role",
    "State",
    "SubscribeRequested",
    "Subscribed",
    "Traced",
    "UnsubscribeRequested",
]
