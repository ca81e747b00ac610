"""The figures of a bridge for prometheus-client: from a snapshot to metrics, and from those to text.

What is counted is up to the router and the control plane; names and labels are decided here, in the manner of
`observe/metrics.py`. Serving the text is `admin.py`'s affair.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from .snapshot import ConnectionSnapshot, Snapshot, WorkerSnapshot

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
except ImportError as error:
    raise ImportError(
        'metrics need prometheus-client: pip install "mycelium-fast[metrics]"', name=error.name
    ) from error

__all__ = [
    "CONTENT_TYPE",
    "MAX_CONNECTIONS",
    "MAX_UNNAMED_TYPES",
    "BridgeCollector",
    "new_registry",
    "render",
]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

#: Connections that have series of their own: those that have been there longest. Totals are always of all.
MAX_CONNECTIONS: Final = 200
#: Types without a name that have: those that came first. The others are added up as type "other".
MAX_UNNAMED_TYPES: Final = 1000

#: Name, attribute, help. Counters end in _total.
_TOTALS: Final = (
    ("mycelium_bridge_uptime_seconds", "uptime", "Time since the bridge started."),
    ("mycelium_bridge_start_time_seconds", "started", "When the bridge started, since the epoch."),
    ("mycelium_bridge_ready", "ready", "1 while it listens and every worker is ready that is to be, else 0."),
    ("mycelium_bridge_connections_accepted_total", "accepted", "Connections accepted."),
    ("mycelium_bridge_connections_refused_total", "refused", "Connections refused."),
    (
        "mycelium_bridge_protocol_errors_total",
        "protocol_errors",
        "Connections that ended since their peer broke the protocol.",
    ),
    (
        "mycelium_bridge_connections_stalled_total",
        "stalled",
        "Connections that were ended since they took nothing, or too little.",
    ),
    (
        "mycelium_bridge_connections_dead_total",
        "dead",
        "Connections that were ended since they did not answer.",
    ),
    ("mycelium_bridge_frames_received_total", "frames_in", "Frames that came in, core frames not counted."),
    ("mycelium_bridge_received_bytes_total", "bytes_in", "Bytes of those frames, with their headers."),
    ("mycelium_bridge_frames_sent_total", "frames_out", "Frames handed to the output of connections."),
    (
        "mycelium_bridge_frames_missed_total",
        "missed",
        "Frames left out for a connection whose output was full.",
    ),
)
_PER_CONNECTION: Final = (
    (
        "mycelium_bridge_connection_frames_received_total",
        "frames_in",
        "Frames that a connection sent, core frames not counted.",
    ),
    (
        "mycelium_bridge_connection_received_bytes_total",
        "bytes_in",
        "Bytes of those frames, with their headers.",
    ),
    (
        "mycelium_bridge_connection_frames_sent_total",
        "frames_out",
        "Frames handed to the output of a connection.",
    ),
    (
        "mycelium_bridge_connection_sent_bytes_total",
        "bytes_out",
        "Bytes of those frames, with their headers.",
    ),
    ("mycelium_bridge_connection_pending_bytes", "pending", "Bytes that wait to be sent to a connection."),
    (
        "mycelium_bridge_connection_frames_missed_total",
        "missed",
        "Frames left out for a connection since its output was full.",
    ),
)
_CONNECTION_LABELS: Final = ("connection", "service", "listener", "worker")
_STATES: Final = ("starting", "running", "stopping", "waiting", "stopped", "failed")


class BridgeCollector:
    """A prometheus-client collector over a bridge.

    Args:
        snapshot: called at each scrape, in the thread that scrapes. What it raises goes to whoever scrapes.
    """

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._lock = threading.Lock()
        #: Remembered, since a series may not lose its type to "other" again.
        self._unnamed: set[int] = set()

    def describe(self) -> Iterator[Any]:
        """The metrics without samples: lets a registry refuse a second collector of the same names."""
        return iter(_families().values())

    def collect(self) -> Iterator[Any]:
        """The metrics at this moment, for a registry."""
        snapshot, families = self._snapshot(), _families()
        families["mycelium_bridge_info"].add_metric((), {"name": snapshot.name, "node": snapshot.node})
        for schema, count in snapshot.schemas.items():
            families["mycelium_bridge_schema_connections"].add_metric((schema,), count)
        for name, attribute, _ in _TOTALS:
            families[name].add_metric((), getattr(snapshot, attribute))
        for reason, count in snapshot.dropped.items():
            families["mycelium_bridge_frames_dropped_total"].add_metric((reason,), count)
        self._add_types(families, snapshot)
        _add_connections(families, snapshot.connections)
        for worker in snapshot.workers:
            _add_worker(families, worker)
        return iter(families.values())

    def _add_types(self, families: dict[str, Any], snapshot: Snapshot) -> None:
        frames = families["mycelium_bridge_type_frames_received_total"]
        bytes_ = families["mycelium_bridge_type_received_bytes_total"]
        others = [0, 0]
        with self._lock:
            for each in snapshot.types:
                if not each.name and each.type_id not in self._unnamed:
                    if len(self._unnamed) >= MAX_UNNAMED_TYPES:
                        others[0] += each.frames
                        others[1] += each.bytes
                        continue
                    self._unnamed.add(each.type_id)
                label = each.name or str(each.type_id)
                frames.add_metric((label,), each.frames)
                bytes_.add_metric((label,), each.bytes)
        if others[0]:
            frames.add_metric(("other",), others[0])
            bytes_.add_metric(("other",), others[1])


def new_registry(snapshot: Callable[[], Snapshot]) -> Any:
    """A registry of prometheus-client with a bridge in it and nothing else."""
    registry = CollectorRegistry()
    registry.register(BridgeCollector(snapshot))
    return registry


def render(registry: Any) -> bytes:
    """A registry as text of the media type `CONTENT_TYPE`, which every version of Prometheus reads."""
    text: bytes = generate_latest(registry)
    return text


def _add_connections(families: dict[str, Any], connections: list[ConnectionSnapshot]) -> None:
    families["mycelium_bridge_connections"].add_metric((), len(connections))
    families["mycelium_bridge_connections_negotiated"].add_metric(
        (), sum(each.negotiated for each in connections)
    )
    families["mycelium_bridge_pending_bytes"].add_metric((), sum(each.pending for each in connections))
    listed = sorted(connections, key=lambda each: each.number)[:MAX_CONNECTIONS]
    families["mycelium_bridge_connections_unlisted"].add_metric((), len(connections) - len(listed))
    for each in listed:
        labels = (str(each.number), each.service, each.listener, each.worker)
        for name, attribute, _ in _PER_CONNECTION:
            families[name].add_metric(labels, getattr(each, attribute))
        for reason, count in each.dropped.items():
            families["mycelium_bridge_connection_frames_dropped_total"].add_metric((*labels, reason), count)


def _add_worker(families: dict[str, Any], worker: WorkerSnapshot) -> None:
    for state in dict.fromkeys((*_STATES, worker.state)):
        families["mycelium_bridge_worker_state"].add_metric((worker.name, state), state == worker.state)
    families["mycelium_bridge_worker_restarts_total"].add_metric((worker.name,), worker.restarts)


def _families() -> dict[str, Any]:
    families: dict[str, Any] = {
        "mycelium_bridge_info": InfoMetricFamily("mycelium_bridge", "The bridge's name, and its node.")
    }

    def add(name: str, text: str, *labels: str) -> None:
        family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        families[name] = family(name, text, labels=labels)

    for name, _, text in _TOTALS:
        add(name, text)
    add(
        "mycelium_bridge_frames_dropped_total", "Frames that came in and went to nobody, by reason.", "reason"
    )
    add("mycelium_bridge_type_frames_received_total", "Frames that came in, by type.", "type")
    add("mycelium_bridge_type_received_bytes_total", "Bytes of those frames, with their headers.", "type")
    add("mycelium_bridge_connections", "Connections.")
    add("mycelium_bridge_connections_negotiated", "Connections whose peer said Hello.")
    add(
        "mycelium_bridge_schema_connections",
        "Connections that use a schema which is accepted beside the bridge's own.",
        "schema",
    )
    add("mycelium_bridge_connections_unlisted", "Connections beyond those that have series of their own.")
    add("mycelium_bridge_pending_bytes", "Bytes that wait to be sent, of all connections.")
    for name, _, text in _PER_CONNECTION:
        add(name, text, *_CONNECTION_LABELS)
    add(
        "mycelium_bridge_connection_frames_dropped_total",
        "Frames that a connection sent and that went to nobody, by reason.",
        *_CONNECTION_LABELS,
        "reason",
    )
    add("mycelium_bridge_worker_state", "1 for the state that a worker is in, else 0.", "worker", "state")
    add("mycelium_bridge_worker_restarts_total", "Restarts of a worker.", "worker")
    return families
