"""One message to another process and back: blocking beside C, asyncio beside a bare `asyncio.Protocol`.

Both processes on one CPU, which shows what the code costs, and each on its own, which adds what waking
another CPU costs. In asyncio's rounds a C program answers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import round_trip
from measure import Timed
from processes import Process, cpus, pair
from round_trip import Trips

ROUNDS = 15
ROUND_S = 0.05


@pytest.fixture(scope="module", params=["one CPU", "two CPUs"])
def processes(request: pytest.FixtureRequest) -> Iterator[tuple[Process, Process]]:
    if request.param == "two CPUs" and len(cpus()) < 2:
        pytest.skip("there is one CPU")
    with pair(one_cpu=request.param == "one CPU") as both:
        yield both


def test_blocking(compare: Any, processes: tuple[Process, Process], library: Path, tmp_path: Path) -> None:
    def contender(asking: tuple[Any, ...], answering: tuple[Any, ...]) -> Timed:
        return Trips(processes, tmp_path / "trip.sock", asking, answering)

    compare.timed(
        {
            "ours, balanced": contender(
                (round_trip.ask_ours, "balanced"), (round_trip.answer_ours, "balanced")
            ),
            "ours, latency": contender((round_trip.ask_ours, "latency"), (round_trip.answer_ours, "latency")),
            "C": contender((round_trip.ask_in_c, library), (round_trip.answer_in_c, library)),
        },
        wanted={"C": 1 / 1.15},
        rounds=ROUNDS,
        round_s=ROUND_S,
    )


def in_asyncio(
    compare: Any, processes: tuple[Process, Process], library: Path, directory: Path, loop: str, *pairs: Any
) -> None:
    """Compare asking sides in asyncio, the first of them ours; a C program answers."""
    if loop == "uvloop" and not importlib.util.find_spec("uvloop"):
        pytest.skip("uvloop is not installed")
    contenders = {
        name: Trips(processes, directory / "trip.sock", asking, (round_trip.answer_in_c, library))
        for name, *asking in pairs
    }
    compare.timed(contenders, wanted={pairs[1][0]: 1 / 1.25}, rounds=ROUNDS, round_s=ROUND_S)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_asyncio_in_callbacks(
    compare: Any, processes: tuple[Process, Process], library: Path, tmp_path: Path, loop: str
) -> None:
    in_asyncio(
        *(compare, processes, library, tmp_path, loop),
        ("ours, def handler", round_trip.ask_client_callback, loop, "balanced"),
        ("bare Protocol, callback", round_trip.ask_bare_protocol, loop),
    )


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_asyncio_awaiting(
    compare: Any, processes: tuple[Process, Process], library: Path, tmp_path: Path, loop: str
) -> None:
    in_asyncio(
        *(compare, processes, library, tmp_path, loop),
        ("ours, await recv()", round_trip.ask_client_awaiting, loop, "balanced"),
        ("bare Protocol, awaiting", round_trip.ask_bare_future, loop),
        ("ours, async def handler", round_trip.ask_client_coroutine, loop, "balanced"),
    )
