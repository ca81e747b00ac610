"""The counters of transports, clients and subscribers for prometheus-client.

A collector asks its sources for `stats()` when Prometheus scrapes, and costs nothing in between. What is
counted, and where, is up to the sources; which labels a sample has, and what becomes of it when a source goes
away, is decided here.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["MyceliumCollector", "register", "unregister"]

_log: Final = logging.getLogger("mycelium_fast.observe")


class _Metric(NamedTuple):
    name: str  #: counters end in _total
    attribute: str  #: of the stats; "" where it takes more than reading one
    help: str
    extra_label: str = ""


_LABELS: Final = ("service", "node", "peer")

_TRANSPORT: Final = (
    _Metric(
        "mycelium_frames_sent_total",
        "frames_sent",
        "Frames handed to the operating system or to the event loop.",
    ),
    _Metric("mycelium_sent_bytes_total", "bytes_sent", "Bytes sent, the protocol's own included."),
    _Metric("mycelium_batches_sent_total", "batches_sent", "Batches that those frames left in."),
    _Metric("mycelium_send_queue_bytes", "pending_bytes", "Bytes accepted from publishers and not sent yet."),
    _Metric(
        "mycelium_frames_received_total",
        "frames_received",
        "Complete frames received, the protocol's own included.",
    ),
    _Metric("mycelium_received_bytes_total", "bytes_received", "Bytes of those frames, with their headers."),
    _Metric("mycelium_reads_total", "reads", "Reads that received those frames."),
    _Metric(
        "mycelium_frames_skipped_total",
        "skipped_frames",
        "Frames received of types that nobody here subscribed to.",
    ),
    _Metric(
        "mycelium_frames_lagged_total",
        "lagged_frames",
        "Frames that the bridge dropped for this connection, as it reports.",
    ),
    _Metric("mycelium_reconnects_total", "reconnects", "Connections after the first."),
)
_FLUSHES: Final = _Metric("mycelium_flushes_total", "", "Batches by what made them due.", "reason")
_CONNECTIONS: Final = _Metric("mycelium_connections", "", "Transports and clients by state.", "state")
_NEGOTIATED: Final = _Metric(
    "mycelium_connections_negotiated", "", "Transports and clients whose peer answered Hello."
)
_SUBSCRIBERS: Final = _Metric("mycelium_subscribers", "", "Subscribers.", "subscriber")
_SUBSCRIBER: Final = tuple(
    _Metric(name, attribute, text, "subscriber")
    for name, attribute, text in (
        (
            "mycelium_subscriber_received_total",
            "received",
            "Messages that arrived for a subscriber and decoded, dropped ones included.",
        ),
        (
            "mycelium_subscriber_dropped_total",
            "dropped",
            "Messages dropped because a subscriber's queue was full.",
        ),
        (
            "mycelium_subscriber_decode_errors_total",
            "decode_errors",
            "Frames left out because they did not decode, or broke a rule.",
        ),
        (
            "mycelium_subscriber_lagged_total",
            "lagged",
            "Frames of a subscriber's types that the bridge dropped, as it reports.",
        ),
        ("mycelium_queue_depth", "queued", "Messages that wait in subscribers' queues."),
        ("mycelium_queue_capacity", "capacity", "Messages that subscribers' queues hold at most."),
        ("mycelium_queue_high_water", "high_water", "Most messages that have waited in subscribers' queues."),
    )
)
#: In bytes, so that pools with blocks of different sizes can be added up.
_POOL_BYTES: Final = (
    _Metric("mycelium_pool_bytes", "blocks", "Memory of the buffer pool's blocks."),
    _Metric("mycelium_pool_limit_bytes", "max_blocks", "Memory that the buffer pool may grow to."),
    _Metric("mycelium_pool_in_use_bytes", "in_use", "Memory of the blocks in use."),
    _Metric("mycelium_pool_high_water_bytes", "high_water", "Most memory of blocks that was in use at once."),
)
_POOL: Final = (
    _Metric("mycelium_pool_misses_total", "misses", "Times that the buffer pool had no block free."),
    _Metric(
        "mycelium_pool_large_buffers",
        "large",
        "Buffers in use for a frame larger than a block, outside the pool.",
    ),
)
_ALL: Final = (
    *_TRANSPORT,
    _FLUSHES,
    _CONNECTIONS,
    _NEGOTIATED,
    _SUBSCRIBERS,
    *_SUBSCRIBER,
    *_POOL_BYTES,
    *_POOL,
)
_STATES: Final = ("connected", "connecting", "closed")
_REASONS: Final = ("immediate", "size", "count", "delay", "explicit", "full", "close")

#: Metric and label values. Sources with the same labels are added up: a scrape may not have a key twice.
_Key: TypeAlias = tuple[_Metric, tuple[str, ...]]
_Samples: TypeAlias = defaultdict[_Key, float]


class _Source:
    """A source and the counters it was last seen with."""

    def __init__(self, source: Any) -> None:
        self.reference = weakref.ref(source)
        self.counters: dict[_Key, float] = {}


class MyceliumCollector:
    """A prometheus-client collector over transports, clients and subscribers.

    It keeps weak references: what nobody else holds any more disappears from the metrics. Those with the same
    labels (service, node, peer, and subscriber where there is one) are added up, and what one of them had
    counted stays in the sum when it goes away before the others: a counter does not fall while it is there.

    Args:
        sources: anything with a method `stats()` that returns `TransportStats` or `SubscriberStats`, or an
            iterable of them. The subscribers of a transport or client come with it; do not add them too.

    Raises:
        TypeError: a source has no `stats()`, or cannot be referred to weakly.
    """

    def __init__(self, *sources: Any) -> None:
        self._lock = threading.Lock()
        self._sources: list[_Source] = []
        #: By how much a key's counters fell when sources went away.
        self._departed: _Samples = defaultdict(float)
        self.add(*sources)

    def add(self, *sources: Any) -> None:
        """Watch more sources; nothing happens with those watched already."""
        new = []
        for source in sources:
            if not callable(getattr(source, "stats", None)):
                raise TypeError(
                    f"metrics are of what has a stats() method, such as a transport or client, not {source!r}"
                )
            try:
                new.append(_Source(source))
            except TypeError:
                raise TypeError(f"{source!r} cannot be referred to weakly, so it cannot be watched") from None
        with self._lock:
            for entry in new:
                if not any(known.reference() is entry.reference() for known in self._sources):
                    self._sources.append(entry)

    def remove(self, *sources: Any) -> None:
        """Watch these no longer; unknown ones are ignored."""
        with self._lock:
            for entry in list(self._sources):
                if any(entry.reference() is source for source in sources):
                    self._depart(entry, {})
                    self._sources.remove(entry)

    def describe(self) -> Iterator[Any]:
        """The metrics without samples: lets a registry refuse a second collector of the same names."""
        return iter(_families().values())

    def collect(self) -> Iterator[Any]:
        """The metrics at this moment, for a registry."""
        families = _families()
        with self._lock:
            for (metric, labels), value in self._measure().items():
                families[metric].add_metric(labels, value)
        return iter(families.values())

    def _measure(self) -> _Samples:
        totals: _Samples = defaultdict(float)
        for entry in list(self._sources):
            samples: _Samples = defaultdict(float)
            source = entry.reference()
            if source is None:
                self._sources.remove(entry)
            else:
                try:
                    _measure_stats(source.stats(), samples)
                except Exception:  # one source must not cost the whole scrape
                    _log.exception(
                        "the metrics of %r are those of the last scrape: its stats() failed", source
                    )
                    samples = defaultdict(float, entry.counters)
            self._depart(entry, samples)
            for key, value in samples.items():
                totals[key] += value
        for key in [key for key in self._departed if key not in totals]:
            del self._departed[key]  # the series ends here; another of these labels starts at 0
        for key, value in self._departed.items():
            totals[key] += value
        return totals

    def _depart(self, entry: _Source, samples: dict[_Key, float]) -> None:
        """Keep what the source's counters have lost: Prometheus takes a counter that falls for a restart."""
        for key, before in entry.counters.items():
            lost = before - samples.get(key, 0)
            if lost > 0:
                self._departed[key] += lost
        entry.counters = {key: value for key, value in samples.items() if key[0].name.endswith("_total")}


_collectors: weakref.WeakKeyDictionary[Any, MyceliumCollector] = weakref.WeakKeyDictionary()
_collectors_lock: Final = threading.Lock()


def register(*sources: Any, registry: Any) -> MyceliumCollector:
    """Have a registry expose the figures of transports, clients and subscribers.

    A registry has one collector: a second call adds its sources to it. Take it out with `unregister()`, not
    with the registry's own method.

    Args:
        sources: as for `MyceliumCollector`.
        registry: of prometheus-client, such as `prometheus_client.REGISTRY`.

    Returns:
        the registry's collector.

    Raises:
        ImportError: prometheus-client is not installed.
        TypeError: a source has no `stats()`, or cannot be referred to weakly.
        ValueError: the registry has metrics of these names from elsewhere.
    """
    _metric_families()  # the error about a missing library, before anything has changed
    with _collectors_lock:
        collector = _collectors.get(registry)
        if collector is None:
            collector = MyceliumCollector(*sources)
            registry.register(collector)
            _collectors[registry] = collector
        else:
            collector.add(*sources)
        return collector


def unregister(*sources: Any, registry: Any) -> None:
    """Take sources out of a registry again; without sources, everything that `register` put there.

    What was never registered is ignored.
    """
    with _collectors_lock:
        collector = _collectors.get(registry)
        if collector is None:
            return
        if sources:
            collector.remove(*sources)
        else:
            registry.unregister(collector)
            del _collectors[registry]


def _measure_stats(stats: Any, samples: _Samples) -> None:
    """Add the figures of TransportStats, SubscriberStats, or an iterable of them."""
    if hasattr(stats, "frames_sent"):
        _measure_transport(stats, samples)
    elif hasattr(stats, "queued"):
        _measure_subscriber(stats, ("", "", ""), samples)
    elif isinstance(stats, Iterable):
        for one in stats:
            _measure_stats(one, samples)
    else:
        raise TypeError(
            f"stats() returned {type(stats).__name__} instead of TransportStats or SubscriberStats"
        )


def _measure_transport(stats: Any, samples: _Samples) -> None:
    labels = (stats.service, stats.node, stats.peer)
    for metric in _TRANSPORT:
        samples[metric, labels] += getattr(stats, metric.attribute)
    for reason in dict.fromkeys((*_REASONS, *stats.flushes)):  # all from the start: a series begins at 0
        samples[_FLUSHES, (*labels, reason)] += stats.flushes.get(reason, 0)
    for state in dict.fromkeys((*_STATES, stats.state)):
        samples[_CONNECTIONS, (*labels, state)] += state == stats.state
    samples[_NEGOTIATED, labels] += stats.negotiated
    if stats.pool is not None:
        for metric in _POOL_BYTES:
            samples[metric, labels] += getattr(stats.pool, metric.attribute) * stats.pool.block_size
        for metric in _POOL:
            samples[metric, labels] += getattr(stats.pool, metric.attribute)
    for subscriber in stats.subscribers:
        _measure_subscriber(subscriber, labels, samples)


def _measure_subscriber(stats: Any, labels: tuple[str, str, str], samples: _Samples) -> None:
    named = (*labels, stats.name)
    samples[_SUBSCRIBERS, named] += 1
    for metric in _SUBSCRIBER:
        samples[metric, named] += getattr(stats, metric.attribute)


def _families() -> dict[_Metric, Any]:
    counter, gauge = _metric_families()
    return {
        metric: (counter if metric.name.endswith("_total") else gauge)(
            metric.name,
            metric.help,
            labels=(*_LABELS, metric.extra_label) if metric.extra_label else _LABELS,
        )
        for metric in _ALL
    }


def _metric_families() -> tuple[Any, Any]:
    try:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    except ImportError as error:
        raise ImportError(
            'metrics need prometheus-client: pip install "mycelium-fast[metrics]"', name=error.name
        ) from error
    return CounterMetricFamily, GaugeMetricFamily
