"""What a bridge is told to be: where it listens, what it lets through, what it runs.

Plain data. `config_file.py` reads it from a topology file, the command line fills it in, a program makes it
by hand; `bridge.py` and what it uses act on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

__all__ = [
    "MAX_OUTPUT",
    "AccessRule",
    "AdminConfig",
    "BridgeConfig",
    "Buffers",
    "Limits",
    "Listener",
    "LogConfig",
    "TlsFiles",
    "WorkerConfig",
]

#: Bytes that may wait for one connection, unless told otherwise.
MAX_OUTPUT: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class TlsFiles:
    """TLS of a listener, from files in PEM.

    Attributes:
        certificate: the bridge's, with the chain up to what clients trust.
        key: its private key, if that is in a file of its own.
        authorities: whose certificates clients must have; None if they need none.
    """

    certificate: Path
    key: Path | None = None
    authorities: Path | None = None


@dataclass(frozen=True)
class Listener:
    """One place to listen at: `unix`, or `tcp`.

    Attributes:
        name: what access rules, logs and metrics call it.
        unix: path of a Unix socket.
        tcp: host and port; an empty host is every address, port 0 a free one.
        tls: for TCP; None for none.
        mode: permission bits of the socket's file.
        directory_mode: ... of the directories that are made for it; those that exist stay as they are.
    """

    name: str
    unix: Path | None = None
    tcp: tuple[str, int] | None = None
    tls: TlsFiles | None = None
    mode: int = 0o600
    directory_mode: int = 0o700


@dataclass(frozen=True)
class Limits:
    """How much a bridge takes on.

    Attributes:
        max_connections: at one time; those beyond it are refused.
        max_handshakes: that have not sent their digest yet; beyond it, the one that takes longest gives way
            to the next.
        handshake_timeout: seconds for TLS and the digest.
        max_payload: bytes of one message; a longer frame ends its connection.
    """

    max_connections: int = 10_000
    max_handshakes: int = 256
    handshake_timeout: float = 5.0
    max_payload: int = 16_777_216


@dataclass(frozen=True)
class Buffers:
    """Memory.

    Attributes:
        max_output: bytes that may wait for one connection, beyond which it is slow.
        read_size: bytes read at once.
        pool_blocks: blocks of 64 KiB kept for output when nothing waits; more are made while more is needed.
        socket_buffer: bytes of each kernel buffer of a connection; None for what the system gives.
    """

    max_output: int = MAX_OUTPUT
    read_size: int = 256 * 1024
    pool_blocks: int = 256
    socket_buffer: int | None = None


@dataclass(frozen=True)
class AccessRule:
    """What some peers may do. The first rule that fits a connection counts; one that none fits is refused.

    Attributes:
        identity: patterns of which one has to fit, such as "uid:1000", "gid:100", "cn:risk.example.org",
            "service:risk", "worker:momentum" (`*` and `?` as in file names); empty fits everybody.
        listener: names of listeners of which one has to be the connection's; empty for every one.
        publish: what it may publish: message names, type ids, "topic:NAME", with `*` and `?`.
        receive: what it may receive, likewise.
        max_connections: of the same identity at one time.
        max_frames_per_s: frames a second that one connection may send on average, beyond which it is read
            more slowly.
        max_bytes_per_s: bytes, likewise.
    """

    identity: tuple[str, ...] = ()
    listener: tuple[str, ...] = ()
    publish: tuple[str, ...] = ("*",)
    receive: tuple[str, ...] = ("*",)
    max_connections: int | None = None
    max_frames_per_s: float | None = None
    max_bytes_per_s: float | None = None


@dataclass(frozen=True)
class WorkerConfig:
    """A program that the bridge runs.

    Attributes:
        command: program and arguments, not through a shell.
        environment: added to the bridge's own; None removes a variable.
        directory: to run in; None for the bridge's own.
        user: name or number to run as; None for the bridge's own.
        group: likewise; None for the user's own.
        transport: "socket" (it connects to `MYCELIUM_SOCKET`) or "stdio" (its standard input and output are
            its connection).
        restart: "never", "on-failure" (it ended with another status than 0, hung, or was never ready) or
            "always".
        backoff: seconds before the first restart; doubled for each one after, up to `max_backoff`; from the
            start again after it ran for `healthy_after` seconds.
        max_restarts: within `restart_window` seconds, beyond which it is given up; None for no such budget.
        ready_timeout: seconds until its first connection, after which it counts as failed; None for ever.
        watchdog: seconds without a sign of life of a connected worker after which it counts as hung; None for
            never.
        grace: seconds between SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    directory: Path | None = None
    user: str | None = None
    group: str | None = None
    transport: Literal["socket", "stdio"] = "socket"
    restart: Literal["never", "on-failure", "always"] = "on-failure"
    backoff: float = 0.5
    max_backoff: float = 30.0
    healthy_after: float = 10.0
    max_restarts: int | None = 10
    restart_window: float = 300.0
    ready_timeout: float | None = None
    watchdog: float | None = None
    grace: float = 5.0


@dataclass(frozen=True)
class AdminConfig:
    """Where metrics, health and the status page are served, by HTTP; port 0 is a free one."""

    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True)
class LogConfig:
    """What is written to standard error: from which level on, as lines of text or of JSON."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True)
class BridgeConfig:
    """A bridge.

    Attributes:
        listeners: at least one, each with a name of its own (a bridge within a program may have none).
        contracts: the contracts file of all clients; None where no type is checked, and then `handshake` is
            False.
        handshake: clients have to name the digest of `contracts`.
        accept: further schemas whose digest they may name: contracts files that are compatible on the wire,
            or digests of 32 bytes.
        name: what clients are told the bridge is called, at most 64 bytes of UTF-8.
        node: of the topology; "" for none.
        forward_unknown: let types through that `contracts` does not have.
        slow_consumer: what happens to frames for a connection whose output is full: "drop" leaves them out,
            counts them and tells it; "disconnect" ends it; "block" reads no more from those who send them.
        stall_timeout: seconds after which a full connection that takes nothing is disconnected, with "block".
        heartbeat: seconds of silence after which a negotiated client is asked whether it is there; None for
            never.
        close_timeout: seconds in which clients can take what waits for them when the bridge stops.
        use_poll: poll() although the system has epoll.
        access: rules, in order; none at all lets everybody do everything.
    """

    listeners: tuple[Listener, ...] = ()
    contracts: Path | None = None
    handshake: bool = True
    accept: tuple[Path | bytes, ...] = ()
    name: str = "mycelium"
    node: str = ""
    forward_unknown: bool = False
    slow_consumer: Literal["drop", "disconnect", "block"] = "drop"
    stall_timeout: float = 10.0
    heartbeat: float | None = None
    close_timeout: float = 1.0
    use_poll: bool = False
    limits: Limits = Limits()
    buffers: Buffers = Buffers()
    access: tuple[AccessRule, ...] = ()
    workers: tuple[WorkerConfig, ...] = ()
    admin: AdminConfig | None = None
    log: LogConfig = LogConfig()
