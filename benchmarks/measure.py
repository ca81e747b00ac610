"""How the benchmarks measure: contenders alternate within one run, medians are compared, ratios are shown.

Machines are shared and noisy, so an absolute time means little and a ratio of two runs that took turns means
something. Every time is for one operation and includes the loop around it, given as "empty loop".
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

Loop = Callable[[int], None]
#: Does so many operations and gives the nanoseconds they took.
Timed = Callable[[int], float]
ROUNDS = 60
ROUND_S = 0.002


@dataclass(frozen=True)
class Row:
    """A comparison that was made; the first contender is ours.

    Attributes:
        medians: nanoseconds for one operation.
        wanted: for contenders named here, their time divided by ours that we mean to reach.
        beyond: for contenders named here, how many nanoseconds longer than them we may take.
    """

    name: str
    medians: Mapping[str, float]
    wanted: Mapping[str, float]
    beyond: Mapping[str, float]

    def lines(self) -> Iterator[str]:
        """The comparison in words."""
        (ours, our_time), *others = self.medians.items()
        yield f"{self.name}: {ours} {our_time:.1f}"
        for other, their_time in others:
            ratio, more = their_time / our_time, our_time - their_time
            line = f"    {other} {their_time:.1f}: {ratio:.2f} times as long"
            if (least := self.wanted.get(other)) is not None:
                line += f" (wanted {least:.3g}, {'reached' if ratio >= least else 'NOT reached'})"
            if (most := self.beyond.get(other)) is not None:
                line += f", ours takes {more:.1f} more (at most {most:g} wanted, "
                line += f"{'reached' if more <= most else 'NOT reached'})"
            yield line


ROWS: list[Row] = []


def loop(code: str, **names: Any) -> Loop:
    """A function that runs a statement n times; the names in it are local variables."""
    arguments = "".join(f", {name}={name}" for name in names)
    scope: dict[str, Any] = {"repeat": repeat, **names}
    exec(f"def run(_n, _repeat=repeat{arguments}):\n    for _ in _repeat(None, _n):\n        {code}\n", scope)
    run: Loop = scope["run"]
    return run


class Comparison:
    """Times contenders in turn; the first is ours."""

    def __init__(self, benchmark: Any, name: str) -> None:
        self.benchmark = benchmark
        self.name = name
        self.medians: dict[str, float] = {}

    def __call__(
        self, contenders: Mapping[str, Loop], *, per: int = 1, wanted: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Nanoseconds of each contender's median round, for one operation.

        Args:
            contenders: loops by name.
            per: operations in one turn of a loop, such as the messages of a list.
            wanted: for contenders named here, how many times as fast as them we mean to be; shown beside
                what was measured, and never asserted.
        """
        return self.timed({name: _timed(run) for name, run in contenders.items()}, per=per, wanted=wanted)

    def timed(
        self,
        contenders: Mapping[str, Timed],
        *,
        per: int = 1,
        wanted: Mapping[str, float] | None = None,
        beyond: Mapping[str, float] | None = None,
        rounds: int = ROUNDS,
        round_s: float = ROUND_S,
    ) -> dict[str, float]:
        """The same of contenders that take their time themselves.

        Args:
            beyond: for contenders named here, how many nanoseconds longer than them we may take.
            rounds: of each contender.
            round_s: seconds that a round should take.
        """
        turns = {name: _turns(run, round_s) for name, run in contenders.items()}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        gc.collect()
        for _ in range(rounds):
            for name, run in contenders.items():
                times[name].append(run(turns[name]) / turns[name] / per)
        medians = {name: statistics.median(each) for name, each in times.items()}
        ours = next(iter(contenders))
        self.benchmark.extra_info.update({f"{name} ns": round(value, 2) for name, value in medians.items()})
        self.benchmark.pedantic(contenders[ours], args=(turns[ours],), rounds=min(rounds, 5))
        ROWS.append(Row(self.name, medians, wanted or {}, beyond or {}))
        self.medians = medians
        return medians

    def again(self, one: str, other: str, *, wanted: float) -> None:
        """Set two of the contenders that were just timed beside each other, the first of them ours."""
        both = {name: self.medians[name] for name in (one, other)}
        ROWS.append(Row(self.name, both, {other: wanted}, {}))


def _timed(run: Loop) -> Timed:
    def timed(turns: int) -> float:
        start = time.perf_counter_ns()
        run(turns)
        return time.perf_counter_ns() - start

    return timed


def _turns(run: Timed, round_s: float) -> int:
    """How many operations a round has."""
    turns = 1
    while True:
        elapsed = run(turns) / 1e9
        if elapsed >= round_s / 4:
            return max(1, int(turns * round_s / elapsed))
        # Few steps: the rounds of processes take a moment each, whatever their number of operations.
        turns *= 2 if elapsed > round_s / 40 else 8
