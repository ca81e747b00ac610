"""Two files of results beside each other, with a verdict on each figure that knows how noisy it is.

Times of two runs cannot be compared on a machine that others use as well: it may be twice as fast in the
evening. So what is compared is ours divided by everybody else who took turns with it (their geometric mean),
which did not change. And a process may be slower than its twin from its first moment to its last, for where
its memory lies: so what counts as one observation is a whole process, by the median of its rounds.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .results import Result, Results, Values

#: A change by less is nobody's concern.
LEAST_CHANGE = 0.10
#: ... nor is one by less than so many standard errors. There are hundreds of figures, and none may cry wolf.
STANDARD_ERRORS = 6.0
#: Observations of either run below which nothing is known of their noise.
LEAST_OBSERVATIONS = 3
_RESAMPLINGS = 500


@dataclass(frozen=True)
class Verdict:
    """What became of one contender at one x, or in all of a figure.

    Attributes:
        figure: its name, with variant where it is of one.
        contender: ... and x, where there is one.
        change: how much longer it takes, relative to the others: 0.3 is 30 per cent longer.
        noise: the least change that would have been noticed.
        word: "slower", "faster", "same", or "unclear" where twice LEAST_CHANGE would not be noticed.
        within: whether its median is within the least and most of the other run; None of a whole figure.
    """

    figure: str
    contender: str
    change: float
    noise: float
    word: str
    within: bool | None


#: Of each process, by its number.
_Observed = dict[int, float]


@dataclass(frozen=True)
class _Pair:
    """Observations before and now."""

    was: _Observed
    now: _Observed

    @property
    def change(self) -> float:
        """Of the median, as a logarithm."""
        return statistics.median(self.now.values()) - statistics.median(self.was.values())

    def error(self) -> float:
        """The standard error of that."""
        return math.hypot(*(_standard_error(list(each.values())) for each in (self.was, self.now)))


def compare(base: Results, new: Results) -> Iterator[Verdict]:
    """A verdict on everything of ours that both runs have, and one on the whole of each figure.

    What every variant of a figure, and every x, has in common is seen long before any of them shows it alone.
    """
    wholes: dict[tuple[str, str], list[tuple[_Pair, _Pair]]] = {}
    for name, result in new.results.items():
        if (before := base.results.get(name)) is not None:
            for each in result.series:
                old = before.find_exactly(each.contender, each.x)
                if each.role == "ours" and old is not None:
                    observed = _compared(before, result, old, each)
                    wholes.setdefault((result.figure, each.contender), []).append(observed)
                    at = "" if each.x is None else f" at {each.x:g}"
                    within = old.least <= each.median <= old.most
                    yield _judged(name, f"{each.contender}{at}", *observed, within=within)
    for (figure, contender), parts in wholes.items():
        if len(parts) > 1:
            beside, alone = (_mean(each) for each in zip(*parts, strict=True))
            yield _judged(figure, f"{contender}, all {len(parts)}", beside, alone, within=None)


def unlike(base: Results, new: Results) -> Iterator[str]:
    """What makes two runs hard to compare: other machines, other versions, figures that one of them lacks."""
    for key in ("cpu", "cores", "system", "python", "compiler", "mycelium-fast", "revision"):
        one, other = base.environment.get(key), new.environment.get(key)
        if one != other:
            yield f"{key}: {one} before, {other} now"
    before, now = base.environment.get("versions", {}), new.environment.get("versions", {})
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            yield f"{key}: {before.get(key, 'not there')} before, {now.get(key, 'not there')} now"
    if lost := sorted(base.results.keys() - new.results.keys()):
        yield f"not measured this time: {', '.join(lost)}"
    if added := sorted(new.results.keys() - base.results.keys()):
        yield f"not measured before: {', '.join(added)}"


def _compared(before: Result, after: Result, old: Values, new: Values) -> tuple[_Pair, _Pair]:
    """Observations of both runs: beside everybody else who is in both, and of ours alone."""
    yardsticks = [
        (theirs, mine)
        for mine in after.series
        if mine.role != "ours" and mine.x in (new.x, None)
        if (theirs := before.find_exactly(mine.contender, mine.x)) is not None
    ]
    was = _observations(old, [theirs for theirs, _ in yardsticks])
    now = _observations(new, [mine for _, mine in yardsticks])
    return _Pair(was, now), _Pair(_observations(old, []), _observations(new, []))


def _judged(figure: str, contender: str, beside: _Pair, alone: _Pair, *, within: bool | None) -> Verdict:
    if min(len(beside.was), len(beside.now)) < LEAST_OBSERVATIONS:
        return Verdict(figure, contender, math.nan, math.inf, "unclear", within)
    change, error = beside.change, beside.error()
    noise = max(math.log1p(LEAST_CHANGE), STANDARD_ERRORS * error)
    word = "same" if noise <= math.log1p(2 * LEAST_CHANGE) else "unclear"
    if abs(change) > noise:
        # A wait that is set, as a profile's, takes longer beside others where these became quicker: what is
        # steadier by itself than beside them has to have changed by itself as well.
        its_error = alone.error()
        its_change = math.copysign(1.0, change) * alone.change
        if its_error >= error or its_change > max(math.log1p(LEAST_CHANGE), STANDARD_ERRORS * its_error):
            word = "slower" if change > 0 else "faster"
    return Verdict(figure, contender, math.expm1(change), math.expm1(noise), word, within)


def _observations(ours: Values, others: Sequence[Values]) -> _Observed:
    """Of each process the median of log(ours / others)."""
    found = {}
    for number, mine in enumerate(ours.sweeps):
        theirs = [each.sweeps[number] for each in others if number < len(each.sweeps)]
        logs = [
            math.log(value) - statistics.fmean(math.log(each[turn]) for each in theirs)
            if theirs
            else math.log(value)
            for turn, value in enumerate(mine)
            if value > 0 and all(turn < len(each) and each[turn] > 0 for each in theirs)
        ]
        if logs:
            found[number] = statistics.median(logs)
    return found


def _mean(parts: Sequence[_Pair]) -> _Pair:
    """Of each process that has them all."""

    def mean(observed: Sequence[_Observed]) -> _Observed:
        complete = set[int].intersection(*(set(each) for each in observed))
        return {number: statistics.fmean(each[number] for each in observed) for number in sorted(complete)}

    return _Pair(mean([each.was for each in parts]), mean([each.now for each in parts]))


def _standard_error(observations: Sequence[float]) -> float:
    """Of their median, by the bootstrap; the same every time."""
    chance = random.Random(len(observations))
    medians = [
        statistics.median(chance.choices(observations, k=len(observations))) for _ in range(_RESAMPLINGS)
    ]
    return statistics.pstdev(medians)
