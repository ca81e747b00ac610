"""Results as lines of text: what a run ends with."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from .measure import Wanted
from .results import Result, Results, Values, ratios, rounds

#: Of nanoseconds and of bytes, each with the factor to the one before.
_SCALES = {
    "ns": [("ns", 1), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)],
    "B": [("B", 1), ("KiB", 1024), ("MiB", 1024**2)],
}


def lines(results: Results) -> Iterator[str]:
    """All figures, then what failed and who was missing."""
    for result in results.results.values():
        yield from _lines(result)
    for name, said in results.failed.items():
        yield f"FAILED {name}: {said}"
    for peer, how in results.missing.items():
        yield f"{peer} is not installed and was left out: {how}"


def _lines(result: Result) -> Iterator[str]:
    yield f"{result.name}: {shown_unit(result)}, median (least to most)"
    for each in result.series:
        at = "" if each.x is None else f" at {each.x:g}"
        value, least, most = (number(one, result.unit) for one in (each.median, each.least, each.most))
        line = f"    {each.contender}{at}: {value} ({least} to {most})"
        if each.role != "limit" and (times := times_the_limit(result, each)):
            line += f", {times:.2f} times the limit"
        yield line
    for wanted in result.wanted:
        if (said := verdict(result, wanted)) is not None:
            yield f"    {said}"


def times_the_limit(result: Result, one: Values) -> float | None:
    """The median of the rounds' ratios of somebody to the limit: the first one, where there are several."""
    for each in result.series:
        if each.role == "limit" and each.x in (one.x, None) and (against := ratios(one, each)):
            return statistics.median(against)
    return None


def verdict(result: Result, wanted: Wanted) -> str | None:
    """Whether what was wanted is reached, in words; None where one of the two was not measured."""
    reached = measured(result, wanted)
    if reached is None:
        return None
    value, met = reached
    at = "" if wanted.x is None else f" at {wanted.x:g}"
    said = "reached" if met else "NOT reached"
    if wanted.times is not None:
        who = f"{wanted.ours} against {wanted.against}{at}"
        return f"{who}: {value:.2f} times, wanted {wanted.times:.3g}: {said}"
    least = number(wanted.beyond if wanted.beyond is not None else wanted.at_most or 0, result.unit)
    what = f"{wanted.ours} beyond {wanted.against}" if wanted.beyond is not None else wanted.ours
    return f"{what}{at}: {number(value, result.unit)}, at most {least}: {said}"


def measured(result: Result, wanted: Wanted) -> tuple[float, bool] | None:
    """The value that was wanted to be something, and whether it is."""
    one = result.find(wanted.ours, wanted.x)
    if one is None:
        return None
    if wanted.at_most is not None:
        return one.median, one.median <= wanted.at_most
    other = result.find(wanted.against, wanted.x)
    if other is None:
        return None
    pairs = list(rounds(one, other))
    if not pairs:
        return None
    if wanted.times is not None:
        value = statistics.median(theirs / mine for mine, theirs in pairs)
        return value, value >= wanted.times
    if wanted.beyond is None:
        raise ValueError(f"{result.name} wants nothing of {wanted.ours}")
    value = statistics.median(mine - theirs for mine, theirs in pairs)
    return value, value <= wanted.beyond


def shown_unit(result: Result) -> str:
    return f"{ {'ns': 'time', 'B': 'memory'}.get(result.unit, 'value') } for {result.of}"


def number(value: float, unit: str) -> str:
    """Three digits, and the unit that suits them."""
    name, factor = unit, 1.0
    for name, factor in _SCALES.get(unit, [(unit, 1)]):  # noqa: B007
        if abs(value) < 999.5 * factor:
            break
    digits = ".3g" if abs(value) < 999.5 * factor else ",.0f"
    return f"{value / factor:{digits}} {name}".rstrip()
