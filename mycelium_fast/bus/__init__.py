"""What users hold: transports, publishers and subscribers.

The classes here decide what is published and what is kept for whom; moving the bytes is `transport/`'s work.
"""

from __future__ import annotations

from .publisher import Publisher
from .subscriber import Subscriber
from .transports import TcpTransport, UnixTransport

__all__ = ["Publisher", "Subscriber", "TcpTransport", "UnixTransport"]
