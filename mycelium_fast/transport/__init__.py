"""Moving bytes: sockets driven by the protocol's states of `session/`.

`stream` is the blocking driver, `sink` what it hands frames to, `dial` makes its sockets, `frames` has the
single-frame reader of the older SDK. Publishers, subscribers and the transports that users hold are in
`bus/`.
"""

from __future__ import annotations

from .dial import dial_tcp, dial_unix
from .frames import read_frame
from .sink import Sink
from .stream import Stream

__all__ = ["Sink", "Stream", "dial_tcp", "dial_unix", "read_frame"]
