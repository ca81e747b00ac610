"""The file of results: what was measured, on what, and every round's value; JSON.

    {"format": 1, "environment": {…}, "missing": {peer: how to get it}, "failed": {figure: what happened},
     "figures": {"codec/decode/tick": {"unit": …, "of": …, "axis": …, "text": …, "limit_explained": …,
         "wanted": [{"ours": …, "against": …, "times": …}],
         "series": [{"contender": …, "role": …, "x": …, "sweeps": [[…], …]}]}}}

The n-th values of a figure's series in one sweep are from the same round.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .measure import Role, Series, Wanted

FORMAT = 1
#: Of values in the file: what is beyond is noise.
DIGITS = 5


@dataclass
class Values:
    """What one contender took at one x, in every round of every sweep."""

    contender: str
    role: Role
    x: float | None
    sweeps: list[list[float]]

    @property
    def all(self) -> list[float]:
        return [value for sweep in self.sweeps for value in sweep]

    @property
    def median(self) -> float:
        return statistics.median(self.all)

    @property
    def least(self) -> float:
        return min(self.all)

    @property
    def most(self) -> float:
        return max(self.all)


@dataclass
class Result:
    """One variant of a figure.

    Attributes:
        name: subject, figure, and variant where there are several, with slashes.
        figure: subject and figure.
        variant: or "".
    """

    figure: str
    variant: str
    unit: str
    of: str
    axis: str
    text: str
    limit_explained: str
    wanted: list[Wanted]
    series: list[Values]

    @property
    def name(self) -> str:
        return f"{self.figure}/{self.variant}" if self.variant else self.figure

    @property
    def subject(self) -> str:
        return self.figure.partition("/")[0]

    def find(self, contender: str, x: float | None = None) -> Values | None:
        """A contender's values; those without an x stand for every x."""
        return self.find_exactly(contender, x) or self.find_exactly(contender, None)

    def find_exactly(self, contender: str, x: float | None) -> Values | None:
        """A contender's values at this x, or those without one."""
        for each in self.series:
            if each.contender == contender and each.x == x:
                return each
        return None

    def add(self, sweep: Sequence[Series]) -> None:
        """One more process's values. Who was absent has none, so that those of one process stay side by
        side."""
        before = max((len(each.sweeps) for each in self.series), default=0)
        known = {(each.contender, each.x): each for each in self.series}
        for each in sweep:
            key = each.contender, each.x
            if key not in known:
                known[key] = Values(each.contender, each.role, each.x, [[] for _ in range(before)])
                self.series.append(known[key])
            known[key].sweeps.append([_rounded(value) for value in each.values])
        for values in self.series:
            if len(values.sweeps) == before:
                values.sweeps.append([])


@dataclass
class Results:
    """A whole run."""

    environment: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)

    def of(self, subject: str) -> Iterator[Result]:
        return (each for each in self.results.values() if each.subject == subject)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        content = {
            "format": FORMAT,
            "environment": self.environment,
            "missing": self.missing,
            "failed": self.failed,
            "figures": {name: _plain(result) for name, result in self.results.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        # A line a series: a change of one figure is seen in a diff.
        temporary.write_text(_lines(content) + "\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file; ValueError where it is none of these."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}, this program reads {FORMAT}")
            results = {name: _result(name, each) for name, each in content["figures"].items()}
            told = [content[key] for key in ("environment", "missing", "failed")]
            if not all(isinstance(each, dict) for each in told):
                raise ValueError("environment, missing and failed are objects")
            return cls(*told, results)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no file of results: {error!r}") from error
        except ValueError as error:
            raise ValueError(f"{path} is no file of results: {error}") from error


def rounds(one: Values, other: Values) -> Iterator[tuple[float, float]]:
    """Both contenders' values, of each round that both were in."""
    for mine, theirs in zip(one.sweeps, other.sweeps, strict=False):
        yield from ((a, b) for a, b in zip(mine, theirs, strict=False) if a and b)


def ratios(one: Values, other: Values) -> list[float]:
    """One's value divided by the other's, of each round."""
    return [a / b for a, b in rounds(one, other)]


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The slope of log y over log x by least squares: 1 where the cost is proportional, 0 where it is
    constant.

    Points at x = 0 have no logarithm and are left out.
    """
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        raise ValueError("an exponent takes points at two x or more")
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _plain(result: Result) -> dict[str, Any]:
    plain = asdict(result)
    plain["wanted"] = [{k: v for k, v in each.items() if v not in (None, "")} for each in plain["wanted"]]
    return plain


def _result(name: str, plain: dict[str, Any]) -> Result:
    wanted = [Wanted(**each) for each in plain["wanted"]]
    series = [Values(**each) for each in plain["series"]]
    result = Result(**{**plain, "wanted": wanted, "series": series})
    if result.name != name:
        raise ValueError(f"{name} says that it is {result.name}")
    return result


def _lines(content: Any, depth: int = 0) -> str:
    """JSON with a line for everything down to the third level or so, and series on one line each."""
    if isinstance(content, dict) and content and depth < 3:
        indent = " " * (depth + 1)
        members = [f"{indent}{json.dumps(k)}: {_lines(v, depth + 1)}" for k, v in content.items()]
        return "{\n" + ",\n".join(members) + "\n" + " " * depth + "}"
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return "[\n" + ",\n".join("    " + json.dumps(each) for each in content) + "]"
    return json.dumps(content, ensure_ascii=False)
