"""The benchmarks of the runtime still run, and notice what is missing. Small counts; no time is looked at."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import limits
import one_way
import pytest
import round_trip
from one_way import Round
from processes import Process, pair, together
from round_trip import Trips

COUNT = 5_000
TRIPS = 100


@pytest.fixture(scope="module")
def processes() -> Iterator[tuple[Process, Process]]:
    with pair() as both:
        yield both


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = limits.build(tmp_path_factory.mktemp("limits"))
    assert built is not None
    return built


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["tick", "text"])
@pytest.mark.parametrize("contender", ["balanced", "throughput", "latency", "fields", "blocks", "zmq"])
def test_every_contender_moves_every_message(
    processes: tuple[Process, Process], library: Path, tmp_path: Path, contender: str, kind: str, check: bool
) -> None:
    if contender == "zmq" and not importlib.util.find_spec("zmq"):
        pytest.skip("pyzmq is not installed")
    sending, receiving = {
        "fields": ((one_way.send_fields, kind), (one_way.receive_fields, kind)),
        "blocks": ((one_way.send_blocks, kind, library), (one_way.receive_lists, kind)),
        "zmq": ((one_way.send_zmq, kind), (one_way.receive_zmq, kind)),
    }.get(contender, ((one_way.send_ours, kind, contender), (one_way.receive_ours, kind)))
    assert Round(processes, tmp_path / "s", sending, receiving)(COUNT, check=check) > 0


@pytest.mark.parametrize("check", [True, False])
def test_a_message_that_is_missing_is_noticed(
    processes: tuple[Process, Process], tmp_path: Path, check: bool
) -> None:
    sender, receiver = processes
    path = str(tmp_path / "s")
    with pytest.raises(RuntimeError, match="expected"):
        together(
            receiver,
            (one_way.receive_fields, path, COUNT, check, "tick"),
            sender,
            (one_way.send_fields, path, COUNT - 1, "tick"),
        )


@pytest.mark.parametrize("contender", ["blocking", "C"])
def test_every_round_trip_comes_back(
    processes: tuple[Process, Process], library: Path, tmp_path: Path, contender: str
) -> None:
    asking, answering = {
        "blocking": ((round_trip.ask_ours, "balanced"), (round_trip.answer_ours, "balanced")),
        "C": ((round_trip.ask_in_c, library), (round_trip.answer_in_c, library)),
    }[contender]
    assert Trips(processes, tmp_path / "s", asking, answering)(TRIPS) > 0


@pytest.mark.parametrize("contender", ["awaiting", "callback", "coroutine", "bare callback", "bare future"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_every_asyncio_round_trip_comes_back(
    processes: tuple[Process, Process], library: Path, tmp_path: Path, contender: str, loop: str
) -> None:
    if loop == "uvloop" and not importlib.util.find_spec("uvloop"):
        pytest.skip("uvloop is not installed")
    asking = {
        "awaiting": (round_trip.ask_client_awaiting, loop, "balanced"),
        "callback": (round_trip.ask_client_callback, loop, "balanced"),
        "coroutine": (round_trip.ask_client_coroutine, loop, "balanced"),
        "bare callback": (round_trip.ask_bare_protocol, loop),
        "bare future": (round_trip.ask_bare_future, loop),
    }[contender]
    assert Trips(processes, tmp_path / "s", asking, (round_trip.answer_in_c, library))(TRIPS) > 0
