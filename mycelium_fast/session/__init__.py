"""The protocol's states without I/O: what may be said when on a connection.

Bytes come in, events go out. The blocking client and the bridge drive the same `Connection`; this package
opens no socket and knows no clock.
"""

from __future__ import annotations

from .connection import (
    DIGEST_SIZE,
    GREETING_SIZE,
    Closed,
    Connection,
    Event,
    Frames,
    HandshakeDone,
    Role,
    State,
)

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
