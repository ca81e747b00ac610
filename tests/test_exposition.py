"""`bridge/exposition.py`: what a scrape shows of a bridge, and of how many connections and types."""

from __future__ import annotations

import dataclasses
from typing import Any

import prometheus_client
import pytest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from snapshots import CONNECTION, SNAPSHOT, WORKER, Source, samples, value

from mycelium_fast.bridge import exposition
from mycelium_fast.bridge.exposition import BridgeCollector
from mycelium_fast.bridge.snapshot import TypeSnapshot


@pytest.fixture
def source() -> Source:
    return Source()


def scrape(source: Source) -> bytes:
    return exposition.render(exposition.new_registry(source))


def test_every_figure_of_a_snapshot_is_a_metric(source: Source) -> None:
    """A figure that somebody adds to the snapshot is not forgotten here: all have values of their own."""
    shown = set(samples(scrape(source)).values())

    def numbers(each: Any) -> set[float]:
        kept = vars(each).values()
        found = {one for one in kept if type(one) in (int, float)}
        return found | {one for inner in kept if isinstance(inner, dict) for one in inner.values()}

    wanted = numbers(SNAPSHOT).union(*map(numbers, SNAPSHOT.connections), *map(numbers, SNAPSHOT.types))
    wanted -= {SNAPSHOT.now, CONNECTION.since, 1200, 60_001}
    assert len(wanted) > 20
    assert wanted <= shown


def test_metrics_have_the_labels_that_tell_them_apart(source: Source) -> None:
    text = scrape(source)
    connection = {"connection": "1", "service": "risk", "listener": "local", "worker": ""}
    assert value(text, "mycelium_bridge_info", name="trading", node="strategies") == 1
    assert value(text, "mycelium_bridge_ready") == 1
    assert value(text, "mycelium_bridge_connections") == 1
    assert value(text, "mycelium_bridge_connections_negotiated") == 1
    assert value(text, "mycelium_bridge_connections_unlisted") == 0
    assert value(text, "mycelium_bridge_connections_accepted_total") == 201
    assert value(text, "mycelium_bridge_pending_bytes") == 105
    assert value(text, "mycelium_bridge_frames_dropped_total", reason="wrong length") == 0
    assert value(text, "mycelium_bridge_type_frames_received_total", type="TradeTick") == 209
    assert value(text, "mycelium_bridge_type_received_bytes_total", type="60001") == 212
    assert value(text, "mycelium_bridge_connection_pending_bytes", **connection) == 105
    assert value(text, "mycelium_bridge_connection_sent_bytes_total", **connection) == 104
    dropped = {**connection, "reason": "unknown type"}
    assert value(text, "mycelium_bridge_connection_frames_dropped_total", **dropped) == 107
    assert value(text, "mycelium_bridge_worker_restarts_total", worker="momentum") == 3


def test_a_worker_is_in_one_state(source: Source) -> None:
    for state in ("starting", "running", "stopping", "waiting", "stopped", "failed", "some new one"):
        source.current = dataclasses.replace(SNAPSHOT, workers=[dataclasses.replace(WORKER, state=state)])
        found = samples(scrape(source))
        states = {
            dict(labels)["state"]: number
            for (name, labels), number in found.items()
            if name == "mycelium_bridge_worker_state"
        }
        assert len(states) >= 6
        assert [each for each, number in states.items() if number] == [state]


def test_names_and_help_follow_the_conventions(source: Source) -> None:
    openmetrics.generate_latest(exposition.new_registry(source))  # refuses what OpenMetrics does not allow
    families = list(text_string_to_metric_families(scrape(source).decode()))
    assert len(families) > 25
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.name.startswith("mycelium_bridge_")
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_a_name_cannot_forge_a_metric(source: Source) -> None:
    hostile = 'a"} 1\nmycelium_forged 1\n\\'
    source.current = dataclasses.replace(
        SNAPSHOT, connections=[dataclasses.replace(CONNECTION, service=hostile)]
    )
    text = scrape(source)
    assert not [name for name, _ in samples(text) if "forged" in name]
    labels = {"connection": "1", "service": hostile, "listener": "local", "worker": ""}
    assert value(text, "mycelium_bridge_connection_pending_bytes", **labels) == 105


def test_connections_beyond_a_number_have_no_series_but_are_in_the_totals(source: Source) -> None:
    source.current = dataclasses.replace(
        SNAPSHOT,
        connections=[dataclasses.replace(CONNECTION, number=number) for number in range(1000, 0, -1)],
    )
    text = scrape(source)
    listed = {
        int(dict(labels)["connection"])
        for name, labels in samples(text)
        if name == "mycelium_bridge_connection_frames_sent_total"
    }
    assert listed == set(range(1, exposition.MAX_CONNECTIONS + 1))
    assert value(text, "mycelium_bridge_connections") == 1000
    assert value(text, "mycelium_bridge_connections_unlisted") == 1000 - exposition.MAX_CONNECTIONS
    assert value(text, "mycelium_bridge_pending_bytes") == 105_000


def test_unknown_types_beyond_a_number_are_added_up_and_no_counter_falls() -> None:
    source = Source()
    registry = exposition.new_registry(source)

    def scrape(first: int, frames: int) -> dict[str, float]:
        types = [TypeSnapshot(number, "", "", frames, frames) for number in range(first, 65_536)]
        types.append(TypeSnapshot(1200, "TradeTick", "market-data", 5, 5))
        source.current = dataclasses.replace(SNAPSHOT, types=types)
        return {
            dict(labels)["type"]: number
            for (name, labels), number in samples(exposition.render(registry)).items()
            if name == "mycelium_bridge_type_frames_received_total"
        }

    before = scrape(64_000, 1)
    assert len(before) == exposition.MAX_UNNAMED_TYPES + 2
    assert before["other"] == 65_536 - 64_000 - exposition.MAX_UNNAMED_TYPES
    after = scrape(63_000, 2)
    assert after.keys() == before.keys()
    assert all(after[name] > before[name] for name in after if name != "TradeTick")
    assert after["TradeTick"] == before["TradeTick"] == 5


def test_the_library_s_own_registry_is_left_alone(source: Source) -> None:
    assert b"mycelium_bridge" in scrape(source)
    assert b"mycelium_bridge" not in prometheus_client.generate_latest()


def test_a_registry_refuses_a_second_bridge(source: Source) -> None:
    registry = exposition.new_registry(source)
    with pytest.raises(ValueError, match="mycelium_bridge"):
        registry.register(BridgeCollector(source))
