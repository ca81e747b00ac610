import socket
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, final

POLICIES: dict[str, int]
ENDS: tuple[str, ...]
DROPS: tuple[str, ...]

class Event(NamedTuple):
    connection: RoutedConnection
    kind: str
    reason: str
    type_id: int
    number: int
    data: bytes

class ConnectionStats(NamedTuple):
    frames_in: int
    bytes_in: int
    reads: int
    frames_out: int
    bytes_out: int
    missed: int
    pending: int
    dropped: tuple[int, int, int, int]
    held: bool

@final
class RoutedConnection:
    @property
    def number(self) -> int: ...
    def stats(self) -> ConnectionStats: ...
    def published(self) -> list[int]: ...
    def set_flags(self, flags: int) -> None: ...
    def send(self, frames: bytes) -> None: ...
    def subscribe(self, wanted: bool, type_ids: Iterable[int] | None) -> None: ...
    def allow(self, publish: Iterable[int] | None, receive: Iterable[int] | None) -> None: ...
    def limit(self, frames_per_s: float, bytes_per_s: float) -> None: ...
    def close(self, timeout: float) -> None: ...

@final
class Router:
    def __init__(
        self,
        *,
        policy: Literal["drop", "disconnect", "block"],
        sizes: Mapping[int, int] | None,
        core: Mapping[int, int | None],
        forward_unknown: bool,
        max_payload: int,
        max_output: int,
        stall_timeout: float,
        use_poll: bool = False,
        read_size: int = 262144,
        spare_chunks: int = 256,
    ) -> None: ...
    def start(self) -> None: ...
    def stop(self, timeout: float) -> None: ...
    def join(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Router: ...
    def __exit__(self, *error: object) -> None: ...
    def fileno(self) -> int: ...
    def add(
        self,
        sock: socket.socket,
        number: int,
        flags: int,
        rest: bytes = b"",
        *,
        publish: Iterable[int] | None = None,
        receive: Iterable[int] | None = None,
        knows: Iterable[int] | None = None,
        frames_per_s: float = 0.0,
        bytes_per_s: float = 0.0,
    ) -> RoutedConnection: ...
    def events(self) -> list[Event]: ...
    def type_stats(self, type_id: int) -> tuple[int, int]: ...
    def all_type_stats(self) -> dict[int, tuple[int, int]]: ...
