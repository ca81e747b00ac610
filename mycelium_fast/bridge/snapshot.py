"""What a bridge looks like at one moment: for metrics, the status page, `Bridge.snapshot()` and tests.

Plain data with nothing but JSON's types in it, so that `dataclasses.asdict()` of it is the status page's
input.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ConnectionSnapshot", "Snapshot", "TypeSnapshot", "WorkerSnapshot"]


@dataclass(frozen=True)
class ConnectionSnapshot:
    """A connection that is accepted.

    Attributes:
        number: unique while the bridge runs; `connection N` in its log.
        service: the name that it gave itself, "" where it gave none.
        identity: who it is, such as `uid:1000 gid:1000 pid:4711` or `cn:risk.example.org`; "" where not
            known.
        listener: name of the listener that it came by; "" within the program, and for a stdio worker.
        worker: name of the worker that it belongs to, or "".
        negotiated: it said `Hello`.
        since: seconds since the epoch.
        subscribes_to: type ids; None for every type.
        publishes: type ids that it has published.
        frames_in, bytes_in: that it sent; core frames are not counted. Bytes are of whole frames.
        frames_out, bytes_out: that were handed to its output.
        pending: bytes that wait to be sent.
        missed: frames that were left out since its output was full.
        dropped: frames that it sent and that went to nobody, by reason.
        schema: name of the schema that it uses beside the bridge's own; "" for the bridge's own.
    """

    number: int
    service: str
    identity: str
    listener: str
    worker: str
    negotiated: bool
    since: float
    subscribes_to: list[int] | None
    publishes: list[int]
    frames_in: int
    bytes_in: int
    frames_out: int
    bytes_out: int
    pending: int
    missed: int
    dropped: dict[str, int]
    schema: str = ""


@dataclass(frozen=True)
class TypeSnapshot:
    """A type of the contracts, or an unknown one that came.

    Attributes:
        name, topic: "" where the contracts do not have it.
        frames, bytes: that came in since the bridge started.
    """

    type_id: int
    name: str
    topic: str
    frames: int
    bytes: int


@dataclass(frozen=True)
class WorkerSnapshot:
    """A program that the bridge runs.

    Attributes:
        state: "starting" (no connection yet), "running", "stopping", "waiting" (to be restarted), "stopped"
            (it ended and is not to be restarted), "failed" (its restarts are used up, or it cannot be
            started).
        pid: of its process, None while there is none.
        restarts: since the bridge started.
        since: of the state, seconds since the epoch.
        last_exit: how it last ended, such as "status 1", "SIGKILL", "hung"; "" if never.
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    since: float
    last_exit: str


@dataclass(frozen=True)
class Snapshot:
    """A bridge.

    Attributes:
        started, now: seconds since the epoch; `uptime` is by a clock that nobody sets.
        accepted, refused: connections since it started.
        stalled: connections that were ended since they took nothing, or too little.
        dead: ... since they did not answer.
        dropped: frames that went to nobody since it started, by reason.
        schemas: connections of each schema that is accepted beside the bridge's own, by its name.
        ready: it listens, and every worker is ready that is to be.
    """

    name: str
    node: str
    started: float
    now: float
    uptime: float
    ready: bool
    addresses: list[str]
    accepted: int
    refused: int
    protocol_errors: int
    stalled: int
    dead: int
    frames_in: int
    bytes_in: int
    frames_out: int
    missed: int
    dropped: dict[str, int]
    connections: list[ConnectionSnapshot] = field(default_factory=list)
    types: list[TypeSnapshot] = field(default_factory=list)
    workers: list[WorkerSnapshot] = field(default_factory=list)
    schemas: dict[str, int] = field(default_factory=dict)
