"""Moving bytes: sockets driven by the protocol's states of `session/`.

`stream` is the blocking driver, `dial` makes its sockets, `frames` has the single-frame reader of the older
SDK. Publishers, subscribers and the transports that users hold are in `bus/`.
"""

from __future__ import annotations

from .dial import dial_tcp, dial_unix
from .frames import read_frame
from .stream import Sink, Stream

__all__ = ["Sink", "Stream", "dial_tcp", "dial_unix", "read_frame"]
