"""Mycelium Fast: typed messages between processes, at C speed.

The names here are what users import. They load on first use, so that importing the package imports no
third-party code and works before anything is compiled.
"""

from __future__ import annotations

import importlib
import os
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
    PoolExhausted,
    ProtocolError,
    SchemaMismatchError,
    SubscriberOverflow,
    TopologyError,
    TransportError,
    TransportTimeout,
    ValidationError,
)

if TYPE_CHECKING:
    from .bus.async_bus import AsyncMessageBus, AsyncPublisher
    from .bus.async_subscriber import AsyncSubscriber
    from .bus.callbacks import CallbackSubscription
    from .bus.client import ClientState, MyceliumClient
    from .bus.message_bus import LocalPublisher, MessageBus
    from .bus.message_queue import BadFrames, Overflow, RawMessage
    from .bus.publisher import Publisher
    from .bus.reconnect import Backoff
    from .bus.registry import get_message_definition
    from .bus.settings import Options
    from .bus.stats import SubscriberStats, TransportStats
    from .bus.subscriber import Subscriber
    from .bus.subscription import Subscription
    from .bus.topology import EndpointConfig, EndpointKind, Node, Topology, TransportType
    from .bus.transports import SocketTransport, TcpTransport, UnixTransport
    from .codec.batching import Batching, PoolStats, Profile
    from .codec.frames import HEADER_SIZE, MAX_PAYLOAD_SIZE, FrameScanner, encode_frame
    from .codec.message import Message
    from .codec.pool import BufferPool
    from .codegen.load import load
    from .transport.frames import read_frame

__all__ = [
    "HEADER_SIZE",
    "MAX_PAYLOAD_SIZE",
    "AsyncMessageBus",
    "AsyncPublisher",
    "AsyncSubscriber",
    "Backoff",
    "BadFrames",
    "Batching",
    "BufferPool",
    "BuildError",
    "CallbackSubscription",
    "ClientState",
    "ConnectionClosed",
    "ContractError",
    "ContractWarning",
    "DecodeError",
    "EncodeError",
    "EndpointConfig",
    "EndpointKind",
    "FrameScanner",
    "HandshakeError",
    "LocalPublisher",
    "Message",
    "MessageBus",
    "MyceliumClient",
    "MyceliumError",
    "Node",
    "Options",
    "Overflow",
    "PermissionDenied",
    "PoolExhausted",
    "PoolStats",
    "Profile",
    "ProtocolError",
    "Publisher",
    "RawMessage",
    "SchemaMismatchError",
    "SocketTransport",
    "Subscriber",
    "SubscriberOverflow",
    "SubscriberStats",
    "Subscription",
    "TcpTransport",
    "Topology",
    "TopologyError",
    "TransportError",
    "TransportStats",
    "TransportTimeout",
    "TransportType",
    "UnixTransport",
    "ValidationError",
    "__version__",
    "encode_frame",
    "get_include",
    "get_message_definition",
    "load",
    "read_frame",
]

#: Where the names that load on first use come from, below this package.
_HOMES = {
    "AsyncMessageBus": "bus.async_bus",
    "AsyncPublisher": "bus.async_bus",
    "AsyncSubscriber": "bus.async_subscriber",
    "Backoff": "bus.reconnect",
    "BadFrames": "bus.message_queue",
    "Batching": "codec.batching",
    "BufferPool": "codec.pool",
    "CallbackSubscription": "bus.callbacks",
    "ClientState": "bus.client",
    "EndpointConfig": "bus.topology",
    "EndpointKind": "bus.topology",
    "FrameScanner": "codec.frames",
    "HEADER_SIZE": "codec.frames",
    "LocalPublisher": "bus.message_bus",
    "MAX_PAYLOAD_SIZE": "codec.frames",
    "Message": "codec.message",
    "MessageBus": "bus.message_bus",
    "MyceliumClient": "bus.client",
    "Node": "bus.topology",
    "Options": "bus.settings",
    "Overflow": "bus.message_queue",
    "PoolStats": "codec.batching",
    "Profile": "codec.batching",
    "Publisher": "bus.publisher",
    "RawMessage": "bus.message_queue",
    "SocketTransport": "bus.transports",
    "Subscriber": "bus.subscriber",
    "SubscriberStats": "bus.stats",
    "Subscription": "bus.subscription",
    "TcpTransport": "bus.transports",
    "Topology": "bus.topology",
    "TransportStats": "bus.stats",
    "TransportType": "bus.topology",
    "UnixTransport": "bus.transports",
    "encode_frame": "codec.frames",
    "get_message_definition": "bus.registry",
    "load": "codegen.load",
    "read_frame": "transport.frames",
}


if not TYPE_CHECKING:  # which knows the names, and is to tell of others

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
    return os.path.join(os.path.dirname(__file__), "codec")
