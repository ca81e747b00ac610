"""Tables of figures in Markdown: a row for each contender, a column for each variant or x.

What a table says of a value is worked out in `harness.summary`, as for the lines that a run ends with; here
it is laid out. Where the tables stand on a page is `pages.py`'s business.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.figures import SUBJECTS
from harness.measure import Role, Wanted
from harness.results import Result, Results, Values, exponent, ratios
from harness.summary import measured, number, times_the_limit

DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
#: Above this many times its limit, a figure of ours is looked into.
FAR = 1.5
#: From so many times on a peer counts as quicker than one of ours: what is less may be a matter of the day.
QUICKER = 1.05
_ROLES: tuple[Role, ...] = ("ours", "peer", "limit")


@dataclass(frozen=True)
class Group:
    """A figure: the results of all its variants."""

    key: str
    variants: list[Result]

    @property
    def subject(self) -> str:
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]

    @property
    def first(self) -> Result:
        """What all variants have in common can be asked of the first."""
        return self.variants[0]

    @property
    def contenders(self) -> dict[str, Role]:
        """All of all variants: ours, then peers, then limits, otherwise as they were declared."""
        found = {each.contender: each.role for result in self.variants for each in result.series}
        return dict(sorted(found.items(), key=lambda item: _ROLES.index(item[1])))


@dataclass(frozen=True)
class Verdict:
    """Whether one of ours reaches what was wanted of it.

    Attributes:
        what: which quotient, difference or value it is.
        value: how much that is; None where it was not measured.
        bound: how much it has to be.
        explained: the heading that says why it is missed, or "".
    """

    variant: str
    what: str
    value: str | None
    bound: str
    met: bool
    explained: str


def grouped(results: Results) -> list[Group]:
    """The figures, in the order of the subjects."""
    found: dict[str, list[Result]] = {}
    for result in results.results.values():
        found.setdefault(result.figure, []).append(result)
    order = {subject: number for number, subject in enumerate(SUBJECTS)}
    groups = [Group(key, variants) for key, variants in found.items()]
    return sorted(groups, key=lambda each: order.get(each.subject, len(order)))


def figure_tables(group: Group) -> Iterator[str]:
    """One table with a column for each variant; with an axis, one a variant with a column for each x."""
    if not group.first.axis:
        columns = [(each, None) for each in group.variants]
        rows = [[_contender(name, role), *_cells(name, columns)] for name, role in group.contenders.items()]
        yield table(["", *(each.variant or group.name for each in group.variants)], rows)
        return
    for result in group.variants:
        there = {name: role for name, role in group.contenders.items() if points(result, name)}
        fits = {name: fit_text(result, name) for name in there}
        more = ["exponent"] if any(fits.values()) else []
        rows = []
        for name, role in there.items():
            fitted = [_with_range(*(fits[name] or (DASH, "")))] if more else []
            rows.append(
                [_contender(name, role), *_cells(name, [(result, x) for x in along(result)]), *fitted]
            )
        corner = f"{result.variant}; {result.axis}:" if result.variant else f"{result.axis}:"
        yield table([corner, *(x_label(x, result.axis) for x in along(result)), *more], rows)


def _cells(name: str, columns: Sequence[tuple[Result, float | None]]) -> Iterator[str]:
    for result, x in columns:
        values = result.find(name, x)
        yield cell(result, values) if values else DASH


def along(*results: Result) -> list[float]:
    """Where on the axis there are values."""
    return sorted({each.x for result in results for each in result.series if each.x is not None})


def points(result: Result, name: str) -> list[Values]:
    """A contender's values along the axis; those without an x stand for every x."""
    found = [(x, result.find(name, x)) for x in along(result)]
    return [replace(values, x=x) for x, values in found if values]


def fit(result: Result, name: str) -> tuple[float, float, float] | None:
    """The exponent of a curve: median, least and most of its rounds; None where no curve can be fitted."""
    curve = [each for each in result.series if each.contender == name]
    if any(each.x is None for each in curve) or has_percentiles(result.axis):
        return None
    x = [each.x or 0.0 for each in curve]
    rounds = zip(*(each.all for each in curve), strict=False)
    try:
        found = [exponent(list(zip(x, values, strict=True))) for values in rounds]
    except ValueError:
        return None
    return (statistics.median(found), min(found), max(found)) if found else None


def fit_text(result: Result, name: str) -> tuple[str, str] | None:
    """The exponent and, where rounds differ, its range."""
    fitted = fit(result, name)
    if fitted is None:
        return None
    median, least, most = (f"{each:.2f}" for each in fitted)
    return median, "" if least == most else f"{least} to {most}"


def _contender(name: str, role: Role) -> str:
    name = escaped(name)
    return {"ours": f"**{name}**", "peer": name, "limit": f"*{name}* (limit)"}[role]


def cell(result: Result, values: Values) -> str:
    """The median, how many times the limit, and below that the least and the most."""
    text = f"{number(values.median, result.unit)}"
    if values.role != "limit" and (times := times_the_limit(result, values)) is not None:
        text += f", {multiple(times)}"
    several = len(values.all) > 1
    return _with_range(text, span(values.least, values.most, result.unit) if several else "")


def _with_range(text: str, between: str) -> str:
    return f"{text}<br><small>{between}</small>" if between else text


def verdicts(group: Group) -> Iterator[Verdict]:
    """All that was wanted of a figure."""
    wanted_of_all = [each for result in group.variants for each in result.wanted]
    # Of one comparison all thresholds are given as the same quotient, though some of them may be below 1.
    theirs_first = {(each.ours, each.against) for each in wanted_of_all if (each.times or 0) >= 1}
    for result in group.variants:
        for wanted in result.wanted:
            inverse = wanted.times is not None and (wanted.ours, wanted.against) not in theirs_first
            at = "" if wanted.x is None else f", at {x_label(wanted.x, result.axis)}"
            reached = measured(result, wanted)
            yield Verdict(
                variant=result.variant,
                what=f"{_what(wanted, inverse)}{at}",
                value=None if reached is None else _amount(reached[0], wanted, result.unit, inverse, "#.3g"),
                bound=_bound(wanted, result.unit, inverse),
                met=reached is not None and reached[1],
                explained=wanted.explained,
            )


def _what(wanted: Wanted, inverse: bool) -> str:
    if wanted.at_most is not None:
        return wanted.ours
    if wanted.beyond is not None:
        return f"{wanted.ours} {MINUS} {wanted.against}"
    return " / ".join([wanted.ours, wanted.against] if inverse else [wanted.against, wanted.ours])


def _bound(wanted: Wanted, unit: str, inverse: bool) -> str:
    bound = next(each for each in (wanted.times, wanted.beyond, wanted.at_most) if each is not None)
    sign = "≥" if wanted.times is not None and not inverse else "≤"
    return f"{sign} {_amount(bound, wanted, unit, inverse, '.3g')}"


def _amount(value: float, wanted: Wanted, unit: str, inverse: bool, digits: str) -> str:
    if wanted.times is None:
        return number(value, unit)
    return f"{1 / value if inverse else value:{digits}}".rstrip(".")


def verdict_table(group: Group) -> str | None:
    """What was wanted of a figure, as a table with the same columns as that of its values."""
    found: dict[str, dict[str, str]] = {}
    for each in verdicts(group):
        said = f"{each.value or ''} ({each.bound}) {outcome(each)}".strip()
        found.setdefault(each.what, {})[each.variant] = said
    if not found:
        return None
    columns = [each.variant for each in group.variants]
    rows = [[escaped(what), *(said.get(each, "") for each in columns)] for what, said in found.items()]
    return table(["wanted", *(each or group.name for each in columns)], rows)


def outcome(verdict: Verdict) -> str:
    """met or missed, with a link to the reason where one is given."""
    if verdict.value is None:
        return "not measured"
    if verdict.met:
        return "met"
    return "**missed**" + (f" ({why(verdict.explained, 'why')})" if verdict.explained else "")


def far_table(groups: Sequence[Group]) -> str | None:
    """All of ours that take more than 1.5 times their limit, and why."""
    rows = []
    for group in groups:
        for name, role in group.contenders.items():
            if role == "ours" and (where := _far(group, name)):
                explained = _reason(group, name)
                rows.append([link(group), escaped(name), where, why(explained) if explained else DASH])
    return table(["figure", "ours", "times the limit", "why"], rows, "---") if rows else None


def quicker_table(groups: Sequence[Group]) -> str | None:
    """Every peer that takes less than one of ours, by the median of the rounds' ratios."""
    rows = []
    for group in groups:
        ours = [name for name, role in group.contenders.items() if role == "ours"]
        for peer in (name for name, role in group.contenders.items() if role == "peer"):
            found = {one: _quicker(group, peer, one) for one in ours}
            where = [f"{escaped(one)}: {said}" for one, said in found.items() if said]
            if where:
                rows.append([link(group), escaped(peer), "<br>".join(where)])
    return table(["figure", "who", "ours / theirs"], rows, "---") if rows else None


def _quicker(group: Group, theirs: str, ours: str) -> str:
    found = []
    for result in group.variants:
        times = {
            mine.x: statistics.median(both)
            for mine in result.series
            if mine.contender == ours
            and (peer := result.find(theirs, mine.x))
            and (both := ratios(mine, peer))
        }
        if times and max(times.values()) >= QUICKER:
            found.append(_where(result, times))
    return "; ".join(found)


def _where(result: Result, times: dict[float | None, float]) -> str:
    """A variant, and the x at which a multiple is largest."""
    x = max(times, key=lambda each: times[each])
    at = "" if x is None else f" at {x_label(x, result.axis)}"
    return f"{escaped(result.variant)} {multiple(times[x])}{at}".strip()


def _reason(group: Group, name: str) -> str:
    """What is said of a contender where more was wanted of it, or else of its figure."""
    of_its_own = (
        wanted.explained for result in group.variants for wanted in result.wanted if wanted.ours == name
    )
    return next(filter(None, of_its_own), group.first.limit_explained)


def _far(group: Group, name: str) -> str:
    """Where a contender takes more than 1.5 times its limit; of a curve, where most."""
    found = []
    for result in group.variants:
        times = {
            each.x: value
            for each in result.series
            if each.contender == name and (value := times_the_limit(result, each)) is not None and value > FAR
        }
        if times:
            found.append(_where(result, times))
    return "; ".join(found)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], align: str = "---:") -> str:
    """A Markdown table; the first column is of names, the others are of values."""
    lines = [heads, ["---", *[align for _ in heads[1:]]], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(text: str) -> str:
    """Text for a cell."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def heading(group: Group) -> str:
    return f"{group.subject.capitalize()}: {group.name}"


def link(group: Group) -> str:
    """To a figure's section of docs/benchmarks.md."""
    return f"[{group.key}](#{slug(heading(group))})"


def why(explained: str, text: str = "") -> str:
    """A link to a heading of docs/performance.md."""
    return f"[{text or explained}](performance.md#{slug(explained)})"


def slug(text: str) -> str:
    """What GitHub and mkdocs call a heading in links."""
    return re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-")


def multiple(value: float) -> str:
    """So many times, in two digits or so."""
    return f"{value:.2f}{TIMES}" if value < 1 else f"{value:,.{1 if value < 9.95 else 0}f}{TIMES}"


def span(least: float, most: float, unit: str) -> str:
    """From least to most; the unit once where both have the same."""
    low, high = number(least, unit), number(most, unit)
    figures, _, name = low.partition(" ")
    return f"{figures if name and high.endswith(f' {name}') else low}{DASH}{high}"


def x_label(x: float, axis: str) -> str:
    """A number of an axis: bytes in their multiples, others with commas."""
    return number(x, "B") if is_bytes(axis) else f"{x:,.10g}"


def is_bytes(axis: str) -> bool:
    return re.search(r"\bB\b|\bbytes\b", axis) is not None


def has_percentiles(axis: str) -> bool:
    """Whether the numbers of an axis are percentiles."""
    return "percentile" in axis
