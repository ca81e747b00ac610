"""A bridge's snapshot with a value of its own in each field, and reading metrics, for the tests of both."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from mycelium_fast.bridge.snapshot import ConnectionSnapshot, Snapshot, TypeSnapshot, WorkerSnapshot

CONNECTION = ConnectionSnapshot(
    number=1,
    service="risk",
    identity="uid:1000 gid:1000 pid:4711",
    listener="local",
    worker="",
    negotiated=True,
    since=1_700_000_100.5,
    subscribes_to=[1200],
    publishes=[1201],
    frames_in=101,
    bytes_in=102,
    frames_out=103,
    bytes_out=104,
    pending=105,
    missed=106,
    dropped={"unknown type": 107, "denied type": 0},
)
WORKER = WorkerSnapshot(
    name="momentum", state="running", pid=4712, restarts=3, since=1_700_000_000.0, last_exit="status 1"
)
SNAPSHOT = Snapshot(
    name="trading",
    node="strategies",
    started=1_700_000_000.0,
    now=1_700_000_200.0,
    uptime=200.0,
    ready=True,
    addresses=["unix:/run/bus.sock"],
    accepted=201,
    refused=202,
    protocol_errors=203,
    stalled=213,
    dead=214,
    frames_in=204,
    bytes_in=205,
    frames_out=206,
    missed=207,
    dropped={"unknown type": 208, "wrong length": 0},
    connections=[CONNECTION],
    types=[TypeSnapshot(1200, "TradeTick", "market-data", 209, 210), TypeSnapshot(60_001, "", "", 211, 212)],
    workers=[WORKER],
)


class Source:
    """What an Admin asks, and may be set to anything."""

    def __init__(self) -> None:
        self.current = SNAPSHOT
        self.calls = 0
        self.error: Exception | None = None

    def __call__(self) -> Snapshot:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.current


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, /, **labels: str) -> float | None:
    return samples(text).get((name, frozenset(labels.items())))
