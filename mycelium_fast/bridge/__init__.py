"""The bridge: joins the services of a host to one bus.

`Bridge` is one within an event loop, `BridgeThread` one in a thread of its own, `BridgeConfig` what it is to
be, and `load_bridge` reads that from a topology file. docs/bridge.md describes the daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bridge import Bridge
    from .config import (
        AccessRule,
        AdminConfig,
        BridgeConfig,
        Buffers,
        Limits,
        Listener,
        LogConfig,
        TlsFiles,
        WorkerConfig,
    )
    from .config_file import load_bridge
    from .snapshot import ConnectionSnapshot, Snapshot, TypeSnapshot, WorkerSnapshot
    from .thread import BridgeThread

__all__ = [
    "AccessRule",
    "AdminConfig",
    "Bridge",
    "BridgeConfig",
    "BridgeThread",
    "Buffers",
    "ConnectionSnapshot",
    "Limits",
    "Listener",
    "LogConfig",
    "Snapshot",
    "TlsFiles",
    "TypeSnapshot",
    "WorkerConfig",
    "WorkerSnapshot",
    "load_bridge",
]

_MODULES = {
    "Bridge": "bridge",
    "BridgeThread": "thread",
    "load_bridge": "config_file",
    "ConnectionSnapshot": "snapshot",
    "Snapshot": "snapshot",
    "TypeSnapshot": "snapshot",
    "WorkerSnapshot": "snapshot",
}


def __getattr__(name: str) -> Any:
    # Imported when used: pytest's plugin and the guard of a worker are in here as well, and want nothing of
    # it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f".{_MODULES.get(name, 'config')}", __name__), name)
    globals()[name] = value
    return value
