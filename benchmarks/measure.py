"""How the benchmarks measure: contenders alternate within one run, medians are compared, ratios are shown.

Machines are shared and noisy, so an absolute time means little and a ratio of two runs that took turns means
something. Every time is for one operation and includes the loop around it, given as "empty loop".
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

Loop = Callable[[int], None]
ROUNDS = 60
ROUND_S = 0.002

ROWS: list[tuple[str, dict[str, float], Mapping[str, float]]] = []


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
        turns = {name: self._turns(run) for name, run in contenders.items()}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        gc.collect()
        for _ in range(ROUNDS):
            for name, run in contenders.items():
                start = time.perf_counter_ns()
                run(turns[name])
                times[name].append((time.perf_counter_ns() - start) / turns[name] / per)
        medians = {name: statistics.median(each) for name, each in times.items()}
        ours = next(iter(contenders))
        self.benchmark.extra_info.update({f"{name} ns": round(value, 2) for name, value in medians.items()})
        self.benchmark.pedantic(contenders[ours], args=(turns[ours],), rounds=5)
        ROWS.append((self.name, medians, wanted or {}))
        return medians

    @staticmethod
    def _turns(run: Loop) -> int:
        """How often a loop turns in one round."""
        turns = 1
        while True:
            start = time.perf_counter()
            run(turns)
            elapsed = time.perf_counter() - start
            if elapsed >= ROUND_S / 4:
                return max(1, int(turns * ROUND_S / elapsed))
            turns *= 2
