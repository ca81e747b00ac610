"""Mycelium Fast: typed messages between processes, at C speed.

The names here are what users import. They load on first use, so that importing the package imports no
third-party code and works before anything is compiled.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import (
    BuildError,
    ConnectionClosed,
    ContractError,
    ContractWarning,
    DecodeError,
    EncodeError,
    HandshakeError,
    MyceliumError,
    PermissionDenied,
    ProtocolError,
    SchemaMismatchError,
    TopologyError,
    TransportError,
    TransportTimeout,
    ValidationError,
)

if TYPE_CHECKING:
    from .bus.publisher import Publisher
    from .bus.subscriber import Subscriber
    from .bus.transports import TcpTransport, UnixTransport
    from .codec.frames import HEADER_SIZE, MAX_PAYLOAD_SIZE, FrameScanner, encode_frame
    from .codec.message import Message
    from .codegen.load import load
    from .transport.frames import read_frame

__all__ = [
    "HEADER_SIZE",
    "MAX_PAYLOAD_SIZE",
    "BuildError",
    "ConnectionClosed",
    "ContractError",
    "ContractWarning",
    "DecodeError",
    "EncodeError",
    "FrameScanner",
    "HandshakeError",
    "Message",
    "MyceliumError",
    "PermissionDenied",
    "ProtocolError",
    "Publisher",
    "SchemaMismatchError",
    "Subscriber",
    "TcpTransport",
    "TopologyError",
    "TransportError",
    "TransportTimeout",
    "UnixTransport",
    "ValidationError",
    "__version__",
    "encode_frame",
    "get_include",
    "load",
    "read_frame",
]

#: Where the names that load on first use come from, below this package.
_HOMES = {
    "FrameScanner": "codec.frames",
    "HEADER_SIZE": "codec.frames",
    "MAX_PAYLOAD_SIZE": "codec.frames",
    "Message": "codec.message",
    "Publisher": "bus.publisher",
    "Subscriber": "bus.subscriber",
    "TcpTransport": "bus.transports",
    "UnixTransport": "bus.transports",
    "encode_frame": "codec.frames",
    "load": "codegen.load",
    "read_frame": "transport.frames",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def get_include() -> str:
    """The directory of the C headers that a generated module is compiled with."""
    return str(Path(__file__).parent / "codec")
