"""What there is to measure: each subject's file declares figures, and a figure has variants.

A figure is one comparison, such as "decode", and makes one table or one chart of the report; a variant is a
column of it, such as the message. `codec/decode/tick` names one variant.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .measure import Measure


@dataclass(frozen=True)
class Subject:
    """A file with figures.

    Attributes:
        processes: in each sweep, one after the other. Where objects lie in memory is settled when a process
            starts, and moves the time of a few nanoseconds by some: where these count, several are asked.
        one_cpu: whether these processes stay on one CPU. Otherwise what they start is placed as it likes.
    """

    processes: int = 1
    one_cpu: bool = False


#: In the order in which they run and are reported.
SUBJECTS = {
    "codec": Subject(processes=3, one_cpu=True),
    "transport": Subject(),
    "bridge": Subject(),
    "growth": Subject(),
    "startup": Subject(),
    "latency": Subject(),
}

#: Measures one variant: calls `measure.timed()` or `measure.sampled()` once.
Definition = Callable[["Measure", str], None]


@dataclass(frozen=True)
class Figure:
    """One comparison.

    Attributes:
        subject: the file it is from.
        name: what it is called there.
        unit: of its values: "ns" (nanoseconds), "B" (bytes), or "" where it is a plain number.
        of: what one value is for, as in "nanoseconds a message".
        axis: what the numbers `x` of its contenders are, with their unit; "" where they have none.
        variants: the columns of its table.
        limit_explained: the heading in docs/performance.md that says why ours takes more than 1.5 times its
            limit.
        text: what is timed, and what that does not show; from the definition's docstring.
    """

    subject: str
    name: str
    unit: str
    of: str
    axis: str
    variants: tuple[str, ...]
    limit_explained: str
    text: str
    define: Definition

    @property
    def key(self) -> str:
        """Subject and name."""
        return f"{self.subject}/{self.name}"


_FIGURES: dict[str, dict[str, Figure]] = {}


def figure(
    name: str,
    *,
    variants: Sequence[str] = ("",),
    unit: str = "ns",
    of: str = "a message",
    axis: str = "",
    limit_explained: str = "",
) -> Callable[[Definition], Definition]:
    """Declare a figure. The function measures one variant; its docstring goes into the report."""

    def declare(define: Definition) -> Definition:
        subject = define.__module__
        known = _FIGURES.setdefault(subject, {})
        if name in known:
            raise ValueError(f"{subject} has two figures called {name!r}")
        text = inspect.cleandoc(define.__doc__ or "")
        known[name] = Figure(subject, name, unit, of, axis, tuple(variants), limit_explained, text, define)
        return define

    return declare


def figures(subject: str) -> list[Figure]:
    """All figures of a subject."""
    importlib.import_module(subject)
    return list(_FIGURES.get(subject, {}).values())


def selected(patterns: Sequence[str]) -> Iterator[tuple[Figure, str]]:
    """Figures and variants whose name begins with one of the patterns or matches it; all if there is none."""
    for subject in SUBJECTS:
        for each in figures(subject):
            for variant in each.variants:
                name = f"{each.key}/{variant}" if variant else each.key
                if not patterns or any(_matches(name, pattern) for pattern in patterns):
                    yield each, variant


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or name.startswith(f"{pattern.rstrip('/')}/") or fnmatchcase(name, pattern)
