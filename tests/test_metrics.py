"""`observe/metrics.py`: what a scrape shows of transports, clients and subscribers, and for how long."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from bridges import bridge
from environments import checked
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import mycelium_fast
from mycelium_fast.bus.stats import SubscriberStats, TransportStats
from mycelium_fast.codec.batching import PoolStats
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick
from mycelium_fast.observe.metrics import MyceliumCollector, register, unregister

POOL = PoolStats(
    block_size=65_536,
    blocks=8,
    max_blocks=1024,
    in_use=3,
    high_water=5,
    misses=2,
    large=1,
)


class Source:
    """Something with `stats()`, as a transport is; what it says is set from outside."""

    def __init__(self, stats: Any) -> None:
        self.current = stats

    def stats(self) -> Any:
        return self.current


def subscriber(name: str = "TradeTick", **changes: Any) -> SubscriberStats:
    stats = SubscriberStats(
        name=name,
        received=50,
        queued=7,
        capacity=100,
        high_water=20,
        dropped=4,
        decode_errors=2,
        lagged=9,
    )
    return replace(stats, **changes)


def transport(*subscribers: SubscriberStats, **changes: Any) -> TransportStats:
    stats = TransportStats(
        service="risk",
        node="strategies",
        peer="unix:/run/bus.sock",
        state="connected",
        negotiated=True,
        frames_sent=1000,
        bytes_sent=22_000,
        batches_sent=10,
        flushes={"size": 8, "delay": 2},
        pending_bytes=440,
        frames_received=500,
        bytes_received=11_000,
        reads=5,
        skipped_frames=3,
        lagged_frames=9,
        reconnects=1,
        pool=POOL,
        subscribers=subscribers,
    )
    return replace(stats, **changes)


LABELS = {"service": "risk", "node": "strategies", "peer": "unix:/run/bus.sock"}


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {**LABELS, **labels})


def text(registry: CollectorRegistry) -> str:
    return prometheus_client.generate_latest(registry).decode()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("mycelium_frames_sent_total", {}, 1000),
        ("mycelium_sent_bytes_total", {}, 22_000),
        ("mycelium_batches_sent_total", {}, 10),
        ("mycelium_flushes_total", {"reason": "size"}, 8),
        ("mycelium_flushes_total", {"reason": "delay"}, 2),
        ("mycelium_flushes_total", {"reason": "full"}, 0),
        ("mycelium_send_queue_bytes", {}, 440),
        ("mycelium_frames_received_total", {}, 500),
        ("mycelium_received_bytes_total", {}, 11_000),
        ("mycelium_reads_total", {}, 5),
        ("mycelium_frames_skipped_total", {}, 3),
        ("mycelium_frames_lagged_total", {}, 9),
        ("mycelium_reconnects_total", {}, 1),
        ("mycelium_connections", {"state": "connected"}, 1),
        ("mycelium_connections", {"state": "connecting"}, 0),
        ("mycelium_connections", {"state": "closed"}, 0),
        ("mycelium_connections_negotiated", {}, 1),
        ("mycelium_pool_bytes", {}, 8 * 65_536),
        ("mycelium_pool_limit_bytes", {}, 1024 * 65_536),
        ("mycelium_pool_in_use_bytes", {}, 3 * 65_536),
        ("mycelium_pool_high_water_bytes", {}, 5 * 65_536),
        ("mycelium_pool_misses_total", {}, 2),
        ("mycelium_pool_large_buffers", {}, 1),
        ("mycelium_subscribers", {"subscriber": "TradeTick"}, 1),
        ("mycelium_subscriber_received_total", {"subscriber": "TradeTick"}, 50),
        ("mycelium_subscriber_dropped_total", {"subscriber": "TradeTick"}, 4),
        ("mycelium_subscriber_decode_errors_total", {"subscriber": "TradeTick"}, 2),
        ("mycelium_subscriber_lagged_total", {"subscriber": "TradeTick"}, 9),
        ("mycelium_queue_depth", {"subscriber": "TradeTick"}, 7),
        ("mycelium_queue_capacity", {"subscriber": "TradeTick"}, 100),
        ("mycelium_queue_high_water", {"subscriber": "TradeTick"}, 20),
    ],
)
def test_every_figure_is_a_sample(
    registry: CollectorRegistry, name: str, labels: dict[str, str], expected: float
) -> None:
    source = Source(transport(subscriber()))
    register(source, registry=registry)
    assert value(registry, name, **labels) == expected


def test_every_counter_of_the_stats_is_exposed(registry: CollectorRegistry) -> None:
    """A figure that somebody adds to the stats is not forgotten here: all have values of their own."""
    numbers = iter(range(1_000_003, 2_000_000, 1009))

    def numbered(stats: Any) -> Any:
        fields = {name: next(numbers) for name, kept in vars(stats).items() if type(kept) is int}
        return replace(stats, **fields)

    inner, outer = numbered(subscriber()), numbered(transport())
    source = Source(replace(outer, subscribers=(inner,), pool=None))
    register(source, registry=registry)
    shown = {sample.value for family in registry.collect() for sample in family.samples}
    wanted = {kept for stats in (inner, outer) for kept in vars(stats).values() if type(kept) is int}
    assert len(wanted) > 15
    assert wanted <= shown


def test_names_and_help_follow_the_conventions(registry: CollectorRegistry) -> None:
    source = Source(transport(subscriber()))
    register(source, registry=registry)
    openmetrics.generate_latest(registry)  # refuses what OpenMetrics does not allow
    families = list(text_string_to_metric_families(text(registry)))
    assert len(families) > 25
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith("mycelium_")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_what_names_hold_is_escaped(registry: CollectorRegistry) -> None:
    peer = 'unix:/tmp/a "b"\\c\n.sock'
    source = Source(transport(peer=peer))
    register(source, registry=registry)
    families = text_string_to_metric_families(text(registry))
    assert {sample.labels["peer"] for family in families for sample in family.samples} == {peer}


def test_without_a_connection_there_are_no_pool_figures(registry: CollectorRegistry) -> None:
    source = Source(transport(pool=None, state="closed", negotiated=False))
    register(source, registry=registry)
    assert value(registry, "mycelium_pool_bytes") is None
    assert value(registry, "mycelium_connections", state="closed") == 1
    assert value(registry, "mycelium_frames_sent_total") == 1000


def test_a_subscriber_alone_is_a_source(registry: CollectorRegistry) -> None:
    source = Source(subscriber())
    register(source, registry=registry)
    labels = {"service": "", "node": "", "peer": "", "subscriber": "TradeTick"}
    assert registry.get_sample_value("mycelium_queue_depth", labels) == 7


def test_a_source_may_have_several_stats(registry: CollectorRegistry) -> None:
    source = Source([transport(peer="a"), transport(peer="b", frames_sent=1)])
    register(source, registry=registry)
    assert value(registry, "mycelium_frames_sent_total", peer="a") == 1000
    assert value(registry, "mycelium_frames_sent_total", peer="b") == 1


def test_equal_labels_are_added_up(registry: CollectorRegistry) -> None:
    sources = [Source(transport(subscriber(), subscriber(queued=1))), Source(transport(state="closed"))]
    register(*sources, registry=registry)
    assert value(registry, "mycelium_frames_sent_total") == 2000
    assert value(registry, "mycelium_queue_depth", subscriber="TradeTick") == 8
    assert value(registry, "mycelium_subscribers", subscriber="TradeTick") == 2
    assert value(registry, "mycelium_connections", state="connected") == 1
    assert value(registry, "mycelium_connections", state="closed") == 1
    lines = [line.rpartition(" ")[0] for line in text(registry).splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))


def test_a_scrape_shows_what_has_changed(registry: CollectorRegistry) -> None:
    source = Source(transport())
    register(source, registry=registry)
    source.current = transport(frames_sent=1500, pending_bytes=0)
    assert value(registry, "mycelium_frames_sent_total") == 1500
    assert value(registry, "mycelium_send_queue_bytes") == 0


def test_what_nobody_holds_any_more_disappears(registry: CollectorRegistry) -> None:
    source, other = Source(transport()), Source(transport(peer="other"))
    register(source, other, registry=registry)
    del source
    gc.collect()
    assert value(registry, "mycelium_frames_sent_total") is None
    assert value(registry, "mycelium_frames_sent_total", peer="other") == 1000


def test_a_sum_of_counters_does_not_fall_when_a_source_goes(registry: CollectorRegistry) -> None:
    first, second = Source(transport()), Source(transport(frames_sent=500))
    register(first, second, registry=registry)
    assert value(registry, "mycelium_frames_sent_total") == 1500
    del first
    gc.collect()
    second.current = transport(frames_sent=700)
    assert value(registry, "mycelium_frames_sent_total") == 1700
    assert value(registry, "mycelium_send_queue_bytes") == 440  # a gauge does


def test_a_sum_of_counters_does_not_fall_when_a_source_is_unregistered(registry: CollectorRegistry) -> None:
    first, second = Source(transport()), Source(transport(frames_sent=500))
    register(first, second, registry=registry)
    assert value(registry, "mycelium_frames_sent_total") == 1500
    unregister(first, registry=registry)
    assert value(registry, "mycelium_frames_sent_total") == 1500


def test_a_sum_of_counters_does_not_fall_when_a_subscriber_is_closed(registry: CollectorRegistry) -> None:
    source = Source(transport(subscriber(), subscriber(dropped=10)))
    register(source, registry=registry)
    assert value(registry, "mycelium_subscriber_dropped_total", subscriber="TradeTick") == 14
    source.current = transport(subscriber(dropped=5))
    assert value(registry, "mycelium_subscriber_dropped_total", subscriber="TradeTick") == 14
    source.current = transport(subscriber(dropped=6))
    assert value(registry, "mycelium_subscriber_dropped_total", subscriber="TradeTick") == 15
    assert value(registry, "mycelium_queue_depth", subscriber="TradeTick") == 7


def test_a_series_that_ended_starts_again_at_what_is_counted_then(registry: CollectorRegistry) -> None:
    source = Source(transport(subscriber()))
    register(source, registry=registry)
    assert value(registry, "mycelium_subscriber_dropped_total", subscriber="TradeTick") == 4
    source.current = transport()
    assert value(registry, "mycelium_subscriber_dropped_total", subscriber="TradeTick") is None
    source.current = transport(subscriber(dropped=1))
    assert value(registry, "mycelium_subscriber_dropped_total", subscriber="TradeTick") == 1


def test_registering_again_adds_to_the_registry_s_collector(registry: CollectorRegistry) -> None:
    first, second = Source(transport()), Source(transport(peer="other"))
    collector = register(first, registry=registry)
    assert register(second, first, registry=registry) is collector
    assert value(registry, "mycelium_frames_sent_total") == 1000
    assert value(registry, "mycelium_frames_sent_total", peer="other") == 1000


def test_two_registries_do_not_know_of_each_other(registry: CollectorRegistry) -> None:
    source, other = Source(transport()), CollectorRegistry()
    register(source, registry=registry)
    register(registry=other)
    assert "peer=" not in text(other)
    assert "peer=" in text(registry)


def test_unregistering_takes_everything_out(registry: CollectorRegistry) -> None:
    source = Source(transport())
    unregister(registry=registry)  # nothing there: ignored
    register(source, registry=registry)
    unregister(Source(transport()), registry=registry)  # never registered: ignored
    assert "mycelium_" in text(registry)
    unregister(registry=registry)
    assert text(registry) == ""
    register(source, registry=registry)
    assert value(registry, "mycelium_frames_sent_total") == 1000


def test_a_registry_refuses_a_second_collector(registry: CollectorRegistry) -> None:
    registry.register(MyceliumCollector())
    with pytest.raises(ValueError, match="mycelium_frames_sent"):
        register(registry=registry)


def test_a_source_that_fails_does_not_cost_the_scrape(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    broken, other = Source(transport()), Source(transport(peer="other"))
    register(broken, other, registry=registry)
    assert value(registry, "mycelium_frames_sent_total") == 1000
    broken.current = None
    other.current = transport(peer="other", frames_sent=1001)
    with caplog.at_level(logging.ERROR):
        assert value(registry, "mycelium_frames_sent_total") == 1000
    assert "stats() failed" in caplog.text
    assert value(registry, "mycelium_frames_sent_total", peer="other") == 1001


def test_what_has_no_stats_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(TypeError, match=r"stats\(\) method, such as a transport or client, not 3"):
        register(3, registry=registry)
    assert text(registry) == ""


def test_what_cannot_be_referred_to_weakly_is_refused() -> None:
    class Slotted:
        __slots__ = ()

        def stats(self) -> None:
            """Never called."""

    with pytest.raises(TypeError, match="weakly"):
        MyceliumCollector(Slotted())


def test_scrapes_and_registrations_may_come_from_any_thread(registry: CollectorRegistry) -> None:
    steady = Source(transport())
    register(steady, registry=registry)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            before = 0.0
            for _ in range(50):
                passing = Source(transport(frames_sent=number))
                register(passing, registry=registry)
                now = value(registry, "mycelium_frames_sent_total")
                assert now is not None
                assert now >= before
                before = now
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    gc.collect()
    assert value(registry, "mycelium_connections", state="connected") == 1
    assert value(registry, "mycelium_frames_sent_total") == 1000 + 50 * (0 + 1 + 2 + 3)


def test_nothing_is_imported_or_registered_before_it_is_asked_for() -> None:
    code = """
import sys
from mycelium_fast.observe import logs, metrics, tracing
metrics.MyceliumCollector()
assert not {"prometheus_client", "opentelemetry"} & set(sys.modules)
import prometheus_client
assert b"mycelium" not in prometheus_client.generate_latest()
"""
    checked(sys.executable, "-c", code)


def test_without_prometheus_client_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["prometheus_client"] = None
from mycelium_fast.observe import metrics
try:
    metrics.register(registry=object())
except ImportError as error:
    print(error)
"""
    assert 'pip install "mycelium-fast[metrics]"' in checked(sys.executable, "-c", code)


def test_what_went_over_a_bridge_is_counted(registry: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    labels = {"service": "risk", "node": "strategies", "peer": f"unix:{path}"}
    with (
        bridge(path),
        mycelium_fast.UnixTransport(path, SCHEMA_DIGEST, service="risk", node="strategies") as transport,
    ):
        register(transport, registry=registry)
        subscriber = transport.subscriber(TradeTick, capacity=10, overflow="drop_oldest")
        publisher = transport.publisher(TradeTick)
        publisher.publish_many([TradeTick(number, 1) for number in range(100)])
        publisher.flush()
        while subscriber.recv(timeout=20).price < 99:
            pass
        publisher.publish(TradeTick(100, 1))
        publisher.flush()
        assert subscriber.recv(timeout=20).price == 100
        ours = {**labels, "subscriber": "TradeTick"}
        received = registry.get_sample_value("mycelium_subscriber_received_total", ours)
        dropped = registry.get_sample_value("mycelium_subscriber_dropped_total", ours)
        assert received == 101
        assert dropped == subscriber.dropped
        assert registry.get_sample_value("mycelium_queue_depth", ours) == 0
        assert registry.get_sample_value("mycelium_queue_capacity", ours) == 10
        assert registry.get_sample_value("mycelium_frames_sent_total", labels) == 101
        assert registry.get_sample_value("mycelium_send_queue_bytes", labels) == 0
        assert registry.get_sample_value("mycelium_connections_negotiated", labels) == 1
        assert registry.get_sample_value("mycelium_pool_bytes", labels)
    connected = {**labels, "state": "connected"}
    assert registry.get_sample_value("mycelium_connections", connected) == 0
    assert registry.get_sample_value("mycelium_frames_sent_total", labels) == 101
    del transport, publisher, subscriber
    gc.collect()
    assert registry.get_sample_value("mycelium_frames_sent_total", labels) is None


def test_an_asyncio_client_is_a_source(registry: CollectorRegistry, tmp_path: Path) -> None:
    labels = {"service": "risk", "node": "", "peer": f"unix:{tmp_path / 'bus.sock'}"}

    async def main() -> None:
        address = f"unix:{tmp_path / 'bus.sock'}"
        async with mycelium_fast.MyceliumClient(
            address, schema_digest=SCHEMA_DIGEST, service="risk"
        ) as client:
            register(client, registry=registry)
            async with client.subscriber(TradeTick) as subscriber:
                await client.publish_many([TradeTick(number, 1) for number in range(100)])
                for number in range(100):
                    assert (await subscriber.recv(timeout=20)).price == number
                ours = {**labels, "subscriber": "TradeTick"}
                assert registry.get_sample_value("mycelium_subscriber_received_total", ours) == 100
                assert registry.get_sample_value("mycelium_frames_sent_total", labels) == 100
                assert (
                    registry.get_sample_value("mycelium_connections", {**labels, "state": "connected"}) == 1
                )
        assert registry.get_sample_value("mycelium_connections", {**labels, "state": "closed"}) == 1

    with bridge(tmp_path / "bus.sock"):
        asyncio.run(main())
