"""Draws figures: rows of dots beside the limit, curves where there is an axis, percentiles by their nines.

Scales are logarithmic, so that the same distance is the same factor everywhere. Each variant has a panel, and
all panels of a chart have the same scales. How colours follow light and dark is `svg.py`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from harness.results import Result, Results, Values
from harness.summary import number, shown_unit
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import svg
from .tables import DASH, Group, along, fit_text, grouped, has_percentiles, is_bytes, points, slug, x_label

#: Within the documentation.
FOLDER = Path("images/benchmarks")
#: Figures without an axis that are drawn as well: those that say most. Figures with an axis all are.
DRAWN = (
    "codec/decode",
    "transport/one way",
    "transport/round trip",
    "bridge/fan-out of TradeTick",
    "startup/import",
)
#: Points; what a page on GitHub has room for.
WIDTH = 600.0
ABOVE, BELOW = 18.0, 32.0
_MARKERS = "os^Dv"


def is_drawn(group: Group) -> bool:
    return bool(group.first.axis) or group.key in DRAWN


def file_name(group: Group) -> str:
    return f"{slug(group.key.replace('/', ' '))}.svg"


def write(results: Results, folder: Path) -> None:
    """Draw all charts, and remove those of figures that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = {file_name(each): draw(each) for each in grouped(results) if is_drawn(each)}
    for path in folder.glob("*.svg"):
        if path.name not in charts:
            path.unlink()
    for name, text in charts.items():
        (folder / name).write_text(text, encoding="utf-8")


def draw(group: Group) -> str:
    """The chart of a figure, as an SVG file."""
    with matplotlib.rc_context(svg.STYLE):
        drawing = _curves(group) if group.first.axis else _dots(group)
    kind = "Curves" if group.first.axis else "Medians and ranges"
    description = f"{kind} of {'; '.join(group.contenders)}; the same values as in the table."
    return svg.text(drawing, f"{group.key}: {shown_unit(group.first)}", description)


class _Panels:
    """Places panels in rows below each other, each with room at its left and right; all in points."""

    def __init__(
        self, group: Group, per_row: int, height: float, *, labels: float, left: float, right: float
    ):
        rows = math.ceil(len(group.variants) / per_row)
        self.group = group
        self.per_row = per_row
        self.height = height
        self.width = (WIDTH - labels - left * (per_row - 1)) / per_row - right
        self._labels = labels
        self._step = self.width + left + right
        self._total = rows * (height + ABOVE + BELOW)
        self.drawing = Figure(figsize=(WIDTH / 72, self._total / 72))

    def __iter__(self) -> Iterator[tuple[Result, Axes, bool]]:
        """Each variant with its panel, and whether that is the first of its row."""
        for index, result in enumerate(self.group.variants):
            row, column = divmod(index, self.per_row)
            x = self._labels + column * self._step
            y = self._total - (row + 1) * (self.height + ABOVE + BELOW) + BELOW
            place = (x / WIDTH, y / self._total, self.width / WIDTH, self.height / self._total)
            axes = self.drawing.add_axes(place)
            axes.set_title(result.variant, loc="left", pad=6)
            axes.set_axisbelow(True)
            yield result, axes, column == 0


def _dots(group: Group) -> Figure:
    """A row for each contender: a dot at its median, a line through its range, a bar from the limit to it."""
    unit = group.first.unit
    names = list(group.contenders)
    low, high = _range(group)
    panels = _Panels(
        group,
        _evenly(len(group.variants), most=4),
        13.0 * len(names) + 6,
        labels=max(map(svg.width, names)) + 10,
        left=14,
        right=svg.width("888 ns") + 16,
    )
    for result, axes, first in panels:
        axes.set(xscale="log", xlim=(low, high), ylim=(len(names) - 0.4, -0.6))
        axes.set_xticks(_ticks(low, high, unit, panels.width / (svg.width("100 ns") + 4)))
        axes.xaxis.set_major_formatter(lambda value, _: number(value, unit))
        axes.minorticks_off()
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_yticks(range(len(names)), names if first else [], color=svg.INK)
        if first:
            axes.set_xlabel(shown_unit(group.first), loc="left")
        limit = next((each.median for each in result.series if each.role == "limit" and each.median > 0), low)
        axes.axvline(limit, color=svg.INK, linewidth=0.8, linestyle=(0, (3, 2)))
        for row, name in enumerate(names):
            _dot(axes, row, result.find(name), limit, unit, 1 + 6 / panels.width)
    return panels.drawing


def _dot(axes: Axes, row: int, values: Values | None, limit: float, unit: str, beside: float) -> None:
    aside: Any = {"transform": axes.get_yaxis_transform(), "va": "center"}
    if values is None or values.median <= 0:
        axes.text(beside, row, DASH, color=svg.SOFT, **aside)
        return
    colour = {"ours": svg.OURS, "peer": svg.PEER, "limit": svg.INK}[values.role]
    axes.barh(row, values.median - limit, left=limit, height=0.5, color=colour, alpha=0.3, linewidth=0)
    axes.plot([values.least, values.most], [row, row], color=colour, linewidth=1.2, clip_on=False)
    axes.plot([values.median], [row], "o", color=colour, markersize=4, markeredgewidth=0, clip_on=False)
    weight = "bold" if values.role == "ours" else "normal"
    axes.text(beside, row, number(values.median, unit), fontweight=weight, **aside)


def _curves(group: Group) -> Figure:
    """A line for each contender, its range as a band, its name beside the end with the fitted exponent."""
    unit = group.first.unit
    low, high = _range(group)
    looks = _looks(group)
    longest = max(svg.width(_label(result, name)) for result in group.variants for name in looks)
    height = max(110.0, 12.0 * len(looks))
    panels = _Panels(
        group,
        _evenly(len(group.variants), most=2 if longest < 0.3 * WIDTH else 1),
        height,
        labels=46,
        left=46,
        right=longest + 20,
    )
    for result, axes, _ in panels:
        axes.set(yscale="log", ylim=(low, high))
        axes.set_yticks(_ticks(low, high, unit, height / 24))
        axes.yaxis.set_major_formatter(lambda value, _: number(value, unit))
        axes.set_xlabel(result.axis)
        _scale_x(axes, group, panels.width)
        axes.minorticks_off()
        axes.grid()
        ends = []
        for name, (colour, marker, dashes) in looks.items():
            curve = [each for each in points(result, name) if each.median > 0]
            if not curve:
                continue
            x = [_place(each.x or 0.0, group) for each in curve]
            y = [each.median for each in curve]
            least, most = [max(each.least, low) for each in curve], [each.most for each in curve]
            axes.fill_between(x, least, most, color=colour, alpha=0.15, linewidth=0)
            axes.plot(x, y, dashes, color=colour, marker=marker, markersize=3.2, linewidth=1.2)
            ends.append((x[-1], y[-1], _label(result, name), colour))
        _name_lines(axes, ends, 1 + 14 / panels.width, 1.3 * svg.FONT_SIZE / height)
    return panels.drawing


def _scale_x(axes: Axes, group: Group, width: float) -> None:
    """Logarithmic, beginning at zero where that is among the x; percentiles are in their place already."""
    everywhere = along(*group.variants)
    positive = [x for x in everywhere if x > 0]
    if 0 in everywhere and positive:
        axes.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
    elif not has_percentiles(group.first.axis):
        axes.set_xscale("log")
    labels = [x_label(x, group.first.axis) for x in everywhere]
    step = math.ceil(len(labels) * (max(map(svg.width, labels)) + 4) / width)
    # The last is always named: it is what one looks for.
    shown = [label if (len(labels) - 1 - at) % step == 0 else "" for at, label in enumerate(labels)]
    axes.set_xticks([_place(x, group) for x in everywhere], shown)


def _place(x: float, group: Group) -> float:
    """Where an x is; of percentiles, their nines: 90 is at 1, 99 at 2, 99.9 at 3."""
    return -math.log10(max(1 - x / 100, 1e-9)) if has_percentiles(group.first.axis) else x


def _name_lines(
    axes: Axes, ends: Sequence[tuple[float, float, str, str]], beside: float, apart: float
) -> None:
    """Names beside the ends of lines, moved apart where they would touch; in fractions of the panel."""
    low, high = axes.get_ylim()
    ends = sorted(ends, key=lambda each: each[1])
    natural = [math.log(y / low) / math.log(high / low) for _, y, _, _ in ends]
    for (x, y, label, colour), at in zip(ends, _apart(natural, apart), strict=True):
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 0}
        where: Any = {"xycoords": "data", "textcoords": "axes fraction", "va": "center"}
        axes.annotate(label, (x, y), (beside, at), color=colour, arrowprops=leader, **where)


def _apart(wanted: Sequence[float], least: float) -> list[float]:
    """Ascending positions near those wanted, but so far from each other, and not above 1."""
    found: list[float] = []
    for each in wanted:
        found.append(max(each, found[-1] + least) if found else each)
    top = 1.0
    for at in reversed(range(len(found))):
        found[at] = min(found[at], top)
        top = found[at] - least
    return found


def _looks(group: Group) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and dashes: all of ours in one colour, each peer in its own, limits dashed."""
    count = {"ours": 0, "peer": 0, "limit": 0}
    found = {}
    for name, role in group.contenders.items():
        at = count[role]
        count[role] += 1
        colour = {"ours": svg.OURS, "peer": svg.HUES[at % len(svg.HUES)], "limit": svg.SOFT}[role]
        found[name] = colour, _MARKERS[at % len(_MARKERS)], "--" if role == "limit" else "-"
    return found


def _label(result: Result, name: str) -> str:
    exponent, between = fit_text(result, name) or ("", "")
    return f"{name}: {exponent} ({between})" if between else f"{name}: {exponent}".removesuffix(": ")


def _range(group: Group) -> tuple[float, float]:
    """From a little below the least of all to a little above the most."""
    values = [
        each for result in group.variants for series in result.series for each in series.all if each > 0
    ]
    return (min(values) / 1.3, max(values) * 1.3) if values else (1.0, 10.0)


def _evenly(panels: int, *, most: int) -> int:
    """How many in a row, so that rows are about equally long."""
    return math.ceil(panels / math.ceil(panels / most))


def _ticks(low: float, high: float, unit: str, room: float) -> list[float]:
    """Round numbers within a range, as many as there is room for."""
    base = 4 if is_bytes(unit) else 10
    first, last = math.floor(math.log(low, base)), math.ceil(math.log(high, base))
    powers = [float(base) ** power for power in range(first, last + 1)]
    found = [each for each in powers if low <= each <= high]
    if len(found) < 2:
        found = [each * digit for each in powers for digit in (1, 2, 5) if low <= each * digit <= high]
    return found[:: max(1, math.ceil(len(found) / max(room, 1)))]
