"""The keys of a bridge's tables in a topology file, each with how its value is read.

What they mean stands in `config.py`; which tables there are, and what overrides what, is `config_file.py`'s.
"""

from __future__ import annotations

from typing import Any, Final

from ..bus.toml_tables import show
from . import config_values as values
from .config_values import Reader

__all__ = ["ACCESS", "BRIDGE", "BRIDGE_TABLES", "ELSEWHERE", "LISTENER", "MAX_NAME", "TLS", "WORKER"]

_MAX_BYTES: Final = 1024**4
_MAX_COUNT: Final = 1_000_000
#: An `int` of C, which socket options are.
_MAX_SOCKET_BUFFER: Final = 2**30
MAX_NAME: Final = 64

_duration: Final = values.duration()
_duration_or_zero: Final = values.duration(zero=True)


def _bridge_name(value: object) -> str:
    found = values.text(value)
    if len(found.encode()) > MAX_NAME:
        raise ValueError(f"must be at most {MAX_NAME} bytes of UTF-8, which {show(found)} is not")
    return found


#: Of `[bridge]`. (Paths are read as text, and found in the file's folder later.)
BRIDGE: Final[dict[str, Reader[Any]]] = {
    "contracts": values.text,
    "accept": values.schemas,
    "name": _bridge_name,
    "forward_unknown": values.flag,
    "slow_consumer": values.choice("drop", "disconnect", "block"),
    "stall_timeout": _duration,
    "heartbeat": values.optional(_duration, "never"),
    "close_timeout": _duration_or_zero,
    "use_poll": values.flag,
    "mode": values.mode,
    "directory_mode": values.mode,
}
BRIDGE_TABLES: Final[dict[str, dict[str, Reader[Any]]]] = {
    "limits": {
        "max_connections": values.whole(1, _MAX_COUNT),
        "max_handshakes": values.whole(1, _MAX_COUNT),
        "handshake_timeout": _duration,
        "max_payload": values.size(1, 2**30),
    },
    "buffers": {
        "max_output": values.size(1, _MAX_BYTES),
        "read_size": values.size(4096, 2**26),
        "pool_blocks": values.whole(0, _MAX_COUNT),
        "socket_buffer": values.optional(values.size(1, _MAX_SOCKET_BUFFER), "system"),
    },
    "admin": {"host": values.text, "port": values.whole(0, 65_535)},
    "log": {
        "level": values.choice("debug", "info", "warning", "error"),
        "format": values.choice("text", "json"),
    },
}
TLS: Final[dict[str, Reader[Any]]] = {
    "certificate": values.text,
    "key": values.text,
    "authorities": values.text,
}
LISTENER: Final[dict[str, Reader[Any]]] = {
    "name": values.name,
    "unix": values.text,
    "tcp": values.host_and_port,
    "mode": values.mode,
    "directory_mode": values.mode,
}
ACCESS: Final[dict[str, Reader[Any]]] = {
    "identity": values.texts,
    "listener": values.texts,
    "publish": values.patterns,
    "receive": values.patterns,
    "max_connections": values.whole(1, _MAX_COUNT),
    "max_frames_per_s": values.rate(values.whole(1, 10**12)),
    "max_bytes_per_s": values.rate(values.size(1, 10**15)),
}
WORKER: Final[dict[str, Reader[Any]]] = {
    "name": values.name,
    "command": values.command,
    "environment": values.environment,
    "directory": values.text,
    "user": values.account,
    "group": values.account,
    "transport": values.choice("socket", "stdio"),
    "restart": values.choice("never", "on-failure", "always"),
    "backoff": _duration,
    "max_backoff": _duration,
    "healthy_after": _duration_or_zero,
    "max_restarts": values.optional(values.whole(0, _MAX_COUNT), "unlimited"),
    "restart_window": _duration,
    "ready_timeout": values.optional(_duration, "never"),
    "watchdog": values.optional(_duration, "never"),
    "grace": _duration_or_zero,
}
#: Keys that people look for in `[bridge]`, and where they are.
ELSEWHERE: Final = {
    "handshake": "is the node's: endpoint = { kind = ..., handshake = false } in its [[nodes]] table",
    "access": "has no place here: rules are [[access]] tables of their own, with node = ... where they "
    "are not for every bridge",
    "workers": "has no place here: they are [[workers]] tables of their own, with node = ... where they "
    "are not for every bridge",
}
