"""Rounds: contenders take turns, and each turn gives one value.

Machines are shared and noisy. What disturbs a turn disturbs its neighbours as well, so what counts is the
ratio of two turns of the same round; a turn of several short bursts gives their median, so that an interrupt
costs nothing; and the order is turned round from one round to the next, so that nobody always follows the
same one.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

#: Ours, somebody else's, or what no program can be quicker than.
Role = Literal["ours", "peer", "limit"]
#: Does so many operations.
Loop = Callable[[int], object]
#: Does so many operations, and gives the nanoseconds that they took.
Timed = Callable[[int], float]
#: Gives one value, or one for each x.
Sampled = Callable[[], "float | Mapping[float, float]"]


@dataclass(frozen=True)
class Contender:
    """Who takes part.

    Attributes:
        run: what a turn calls.
        x: where on the axis of a curve this is.
        per: operations that `run` does when it is told to do one, such as the messages of a list.
        check: called once before the first round; raises if what comes out is not right.
    """

    name: str
    role: Role
    run: Callable[..., Any]
    x: float | None = None
    per: int = 1
    check: Callable[[], object] | None = None


def ours(name: str, run: Callable[..., Any], **more: Any) -> Contender:
    return Contender(name, "ours", run, **more)


def peer(name: str, run: Callable[..., Any], **more: Any) -> Contender:
    return Contender(name, "peer", run, **more)


def limit(name: str, run: Callable[..., Any], **more: Any) -> Contender:
    """What the machine allows: every figure has one."""
    return Contender(name, "limit", run, **more)


@dataclass(frozen=True)
class Wanted:
    """What one of ours is meant to reach against somebody.

    Attributes:
        times: their value divided by ours, at least.
        beyond: ours minus theirs, at most.
        at_most: ours, at most, whoever `against` is.
        explained: the heading in docs/performance.md that says why it is missed, where it is.
    """

    ours: str
    against: str = ""
    times: float | None = None
    beyond: float | None = None
    at_most: float | None = None
    x: float | None = None
    explained: str = ""


@dataclass
class Series:
    """The values of one contender at one x, in the order of the rounds."""

    contender: str
    role: Role
    x: float | None
    values: list[float] = field(default_factory=list)


class Measure:
    """Measures one variant of a figure, once; `series` holds what came out, `failed` why peers are not in it.

    Args:
        quick: one short round of everything: whether it runs and is right, not how fast it is.
        scratch: a folder for sockets and files, empty, and gone afterwards.
        build: where what is compiled for benchmarks is kept from one run to the next.
    """

    def __init__(self, *, quick: bool, scratch: Path, build: Path) -> None:
        self.quick = quick
        self.scratch = scratch
        self.build = build
        self.series: list[Series] = []
        self.wanted: list[Wanted] = []
        self.failed: dict[str, str] = {}

    def timed(
        self,
        contenders: Sequence[Contender],
        *,
        wanted: Sequence[Wanted] = (),
        rounds: int = 9,
        round_s: float = 0.005,
        bursts: int = 1,
    ) -> None:
        """Time operations: nanoseconds for one.

        Args:
            contenders: whose `run` takes a number of operations and gives the nanoseconds that these took.
            rounds: of each contender.
            round_s: seconds that a turn should take; the number of operations follows from it.
            bursts: pieces of a turn, of which the median counts.
        """
        if self.quick:
            rounds, round_s, bursts = 1, min(round_s, 0.002), 1
        taking_part = self._begin(contenders, wanted)
        count = {}
        for each in list(taking_part):
            with self._attempt(each, taking_part):
                count[id(each)] = _operations(each.run, round_s / bursts)

        def turn(each: Contender) -> float:
            operations = count[id(each)]
            times = [each.run(operations) for _ in range(bursts)]
            return statistics.median(times) / operations / each.per

        self._rounds(taking_part, rounds, turn)

    def sampled(
        self, contenders: Sequence[Contender], *, wanted: Sequence[Wanted] = (), rounds: int = 3
    ) -> None:
        """Take values as they are, such as bytes, percentiles or seconds: `run` gives one, or one for each
        x."""
        taking_part = self._begin(contenders, wanted)
        self._rounds(taking_part, 1 if self.quick else rounds, lambda each: each.run())

    def _begin(self, contenders: Sequence[Contender], wanted: Sequence[Wanted]) -> list[Contender]:
        """Those whose results are right."""
        if self.series:
            raise RuntimeError("a figure measures once")
        if not any(each.role == "ours" for each in contenders):
            raise ValueError("none of the contenders is ours")
        if not any(each.role == "limit" for each in contenders):
            raise ValueError("none of the contenders is the limit")
        self.wanted = list(wanted)
        taking_part = list(contenders)
        for each in contenders:
            if each.check is not None:
                with self._attempt(each, taking_part):
                    each.check()
        return taking_part

    @contextlib.contextmanager
    def _attempt(self, contender: Contender, taking_part: list[Contender]) -> Iterator[None]:
        """A peer that fails takes part no longer, and is named; of ours and of limits it ends the figure."""
        try:
            with _named(contender):
                yield
        except RuntimeError:
            if contender.role != "peer":
                raise
            self.failed[contender.name] = traceback.format_exc()
            taking_part.remove(contender)

    def _rounds(self, contenders: list[Contender], rounds: int, turn: Callable[[Contender], Any]) -> None:
        found: dict[tuple[str, float | None], Series] = {}
        gc.collect()
        for number in range(rounds):
            for each in list(contenders) if number % 2 == 0 else contenders[::-1]:
                with self._attempt(each, contenders):
                    value = turn(each)
                    for x, one in value.items() if isinstance(value, Mapping) else [(each.x, value)]:
                        key = each.name, x
                        if key not in found:
                            found[key] = Series(each.name, each.role, x)
                        found[key].values.append(float(one))
        self.series = [each for each in found.values() if each.contender not in self.failed]


@contextlib.contextmanager
def _named(contender: Contender) -> Iterator[None]:
    """What fails meanwhile says whose failure it is."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(f"{contender.name}: {error}") from error


def loop(code: str, **names: Any) -> Timed:
    """Times a statement that runs n times; the names in it are local variables. The loop is part of the
    time."""
    arguments = "".join(f", {name}={name}" for name in names)
    scope: dict[str, Any] = {"repeat": repeat, **names}
    exec(f"def run(_n, _repeat=repeat{arguments}):\n    for _ in _repeat(None, _n):\n        {code}\n", scope)
    return timing(scope["run"])


def timing(run: Loop) -> Timed:
    """What does n operations, timed from outside."""

    def timed(operations: int) -> float:
        start = time.perf_counter_ns()
        run(operations)
        return time.perf_counter_ns() - start

    return timed


def _operations(run: Timed, round_s: float) -> int:
    """How many operations a turn has; finding out is its warm-up as well."""
    operations = 1
    while True:
        elapsed = run(operations) / 1e9
        if elapsed >= round_s / 4:
            return max(1, int(operations * round_s / elapsed))
        # Few steps: the turns of processes take a moment each, whatever their number of operations.
        operations *= 2 if elapsed > round_s / 40 else 8
