"""docs/benchmarks.md, whole, and the part of the README that has figures in it.

What a reader has to know beside the tables is written here; tables are made in `tables.py`, charts in
`charts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.results import Results
from harness.summary import number, shown_unit
from harness.together import each_run

from . import charts
from .tables import (
    DASH,
    FAR,
    TIMES,
    Group,
    Verdict,
    escaped,
    far_table,
    figure_tables,
    grouped,
    heading,
    link,
    outcome,
    quicker_table,
    slug,
    table,
    verdict_table,
    verdicts,
)

TITLES = {
    "codec": "Codec",
    "transport": "Transport",
    "bridge": "Bridge",
    "growth": "Growth",
    "startup": "Start-up",
    "latency": "Latency under load",
}
INTRODUCTION = """\
<!-- Made of benchmarks.json by `make bench-report`. Do not edit: the next run overwrites it. -->

# Benchmarks

The package beside its peers, and beside what the machine allows, in turns. What each figure shows and does
not show, and where peers do better and why: [Benchmarks explained](benchmarks-explained.md). What made the
package as quick as it is: [Performance](performance.md). The values of every round:
[benchmarks.json](benchmarks.json).

    make bench                                      # all of it, in under 20 minutes
    make bench-compare BASE=docs/benchmarks.json    # what is slower in that run than on this page"""
QUICK = "**These are from a quick run, one short round of each: they show that it runs, not how fast it is.**"
HOW_TO_READ = f"""\
- All contenders of a figure take turns within each round, and there are several rounds in each sweep. A sweep
  goes through all figures, with new processes.
- A value is the median of all rounds of all sweeps, of all runs. Below it, from the least to the most. Less
  is better.
- Beside it, 1.9{TIMES} is the multiple of the limit: the median of the rounds' ratios to it, which may differ
  from the ratio of the medians. Where there are several limits, it is the first one that counts.
- **Ours** is bold. *The limit* is a program that does the least that can be done, such as a loop in C over
  the same sockets: each figure's text says which. Somebody below 1{TIMES} does other work than it, such as
  keeping references instead of copies, or is within its noise.
- The exponent of a curve is fitted to each round: 1 where the cost is proportional, 0 where it is constant.
- The scales of charts are logarithmic: the same distance is the same factor. Bars reach from the limit, the
  dashed line, to the median. Lines through dots and bands along curves go from the least to the most.
- "wanted" are thresholds that were set beforehand. `msgspec / ours` is the median of the rounds' ratios of
  their value to ours; in brackets, what it was to be."""
FAR_FROM_THE_LIMIT = f"""\
All of ours that take more than {FAR} times as much as the limit of their figure; of a curve, where that is
most. The last column leads to what was found out about it."""
QUICKER_THAN_OURS = """\
Every peer that takes less time or memory than one of ours, by five per cent or more; of a curve, where that
is most. [Why](benchmarks-explained.md#where-others-are-quicker), and what they leave out."""
#: The section of what is not there.
LAST = "Missing and failed"

#: What the README's table is between.
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


@dataclass(frozen=True)
class Row:
    """Of the README's table: two contenders, and for each of the messages the variant that they are of."""

    operation: str
    ours: str
    theirs: str
    variants: tuple[str, ...]


def _codec(figure: str) -> tuple[str, ...]:
    return tuple(f"codec/{figure}/{message}" for message in ("tick", "text", "pool"))


MESSAGES = ("TradeTick, 16 bytes", "TextMessage, 312 bytes", "PoolStateUpdate, 168 bytes")
_SOCKET = ("transport/one way/Unix, TradeTick", "transport/one way/Unix, TextMessage")
_BRIDGE = ("bridge/fan-out of TradeTick/to 4", "bridge/fan-out of TextMessage/to 4")
SUMMARY = (
    Row("build from keywords", "ours", "msgspec", _codec("build")),
    Row("frame out", "ours", "msgspec", _codec("frame out")),
    Row("decode", "ours", "msgspec", _codec("decode")),
    Row("decode and read every field", "ours", "msgspec", _codec("decode and read")),
    Row("one way, through a Unix socket", "ours, balanced", "pyzmq PUSH/PULL", _SOCKET),
    Row("through the bridge to 4 subscribers", "ours, publish", "nats-server", _BRIDGE),
)
#: The chart below the README's table.
CHART = "codec/decode"


def page(results: Results) -> str:
    """docs/benchmarks.md."""
    return "\n\n".join(_page(results)) + "\n"


def _page(results: Results) -> Iterator[str]:
    groups = grouped(results)
    yield INTRODUCTION
    if results.environment.get("quick"):
        yield QUICK
    yield "\n".join(_contents(groups))
    yield "## The machine"
    yield _environment(results.environment)
    yield "## How to read it"
    yield HOW_TO_READ
    for subject in TITLES:
        yield from _subject(results, [each for each in groups if each.subject == subject], subject)
    yield "## What was wanted"
    yield from _all_wanted(groups)
    yield "## Where others are quicker"
    yield QUICKER_THAN_OURS
    yield quicker_table(groups) or "Nobody is."
    yield "## Far from the limit"
    yield FAR_FROM_THE_LIMIT
    yield far_table(groups) or "None does."
    yield f"## {LAST}"
    yield _listed("Not installed, and so left out:", results.missing) or "All peers were installed."
    # The last line of a traceback says what it was.
    failed = {name: f"`{(said.strip().splitlines() or ['?'])[-1]}`" for name, said in results.failed.items()}
    yield _listed("Failed:", failed) or "No figure failed."


def _contents(groups: Sequence[Group]) -> Iterator[str]:
    for subject, title in TITLES.items():
        links = [f"[{group.name}](#{slug(heading(group))})" for group in groups if group.subject == subject]
        yield f"- [{title}](#{slug(title)}): {', '.join(links)}" if links else f"- {title}: not measured"


def _environment(environment: dict[str, Any]) -> str:
    """The machine, what ran on it, and how long; what was not recorded is left out."""
    known: Any = environment.get
    memory, runs = known("memory_gib"), each_run(environment)
    versions = [f"{name} {version}" for name, version in (known("versions") or {}).items()]
    rows = {
        "processor": known("cpu"),
        "cores": known("cores"),
        "memory": memory and f"{memory} GiB",
        "virtual": {True: "yes: its cores may be shared with others", False: "no"}.get(known("virtual")),
        "system": known("system"),
        "C library": known("libc"),
        "Python": known("python"),
        "… compiled with": known("python_compiler"),
        "C compiler": known("compiler"),
        "mycelium-fast": " of ".join(filter(None, [known("mycelium-fast"), known("revision")])),
        "peers and libraries": ", ".join(versions),
        "date": _of_runs(runs, "began", str),
        "sweeps": _of_runs(runs, "sweeps", str),
        "duration": _of_runs(runs, "seconds", lambda seconds: f"{seconds // 60} min {seconds % 60} s"),
        "load before": _of_runs(runs, "load_before", str),
        "time that the host gave to others": _of_runs(runs, "stolen", lambda share: f"{100 * share:.1f} %"),
        "time that other programs took": _of_runs(runs, "others", lambda share: f"{100 * share:.1f} %"),
    }
    return table(
        ["", ""], [[name, escaped(str(each))] for name, each in rows.items() if each not in (None, "")], "---"
    )


def _of_runs(runs: Sequence[Mapping[str, Any]], key: str, shown: Callable[[Any], str]) -> str:
    return " / ".join(shown(each[key]) for each in runs if key in each)


def _subject(results: Results, groups: Sequence[Group], subject: str) -> Iterator[str]:
    failed = [f"`{name}`" for name in results.failed if name.partition("/")[0] == subject]
    if groups or failed:
        yield f"## {TITLES[subject]}"
    if failed:
        yield f"Failed, and so not wholly in what follows: {', '.join(failed)} ([why](#{slug(LAST)}))."
    for group in groups:
        yield from _figure(group)


def _figure(group: Group) -> Iterator[str]:
    yield f"### {heading(group)}"
    yield f"{shown_unit(group.first).capitalize()}:"
    if charts.is_drawn(group):
        yield f"![Chart of {group.key}]({charts.FOLDER.as_posix()}/{charts.file_name(group)})"
    yield from figure_tables(group)
    if (wanted := verdict_table(group)) is not None:
        yield wanted
    if group.first.text:
        yield group.first.text
    name = f"'{group.key}'" if " " in group.key else group.key
    yield f'`make bench ARGS="{name}"` measures this alone.'


def _all_wanted(groups: Sequence[Group]) -> Iterator[str]:
    found = [(group, verdict) for group in groups for verdict in verdicts(group)]
    measured = [verdict.met for _, verdict in found if verdict.value is not None]
    met, missed, absent = sum(measured), len(measured) - sum(measured), len(found) - len(measured)
    yield f"{met} met, {missed} missed, {absent} not measured."
    rows = [_wanted_row(group, verdict) for group, verdict in found]
    if rows:
        yield table(["figure", "variant", "wanted", "reached", ""], rows, "---")


def _wanted_row(group: Group, verdict: Verdict) -> list[str]:
    wanted = f"{escaped(verdict.what)} {verdict.bound}"
    return [link(group), escaped(verdict.variant), wanted, verdict.value or DASH, outcome(verdict)]


def _listed(title: str, items: Mapping[str, str]) -> str:
    lines = [f"- {name}: {said}" for name, said in items.items()]
    return "\n".join([title, "", *lines]) if lines else ""


def summary(results: Results) -> str:
    """The README's table, and one chart."""
    cpu, cores, python = (results.environment.get(each, DASH) for each in ("cpu", "cores", "python"))
    parts = [
        "Median time for a message, ours / theirs, who took turns\n"
        f"({cpu}, {cores} cores, {python}). `make bench` measures it on your machine.",
        table(["", "theirs", *MESSAGES], [_summary_row(results, row) for row in SUMMARY], "---"),
        "pyzmq moves ready bytes and decodes nothing. nats-server has TCP alone and is fed in blocks by a C\n"
        "program, our bridge by `publish()` in Python over a Unix socket.",
    ]
    for group in grouped(results):
        if group.key == CHART:
            image = f"docs/{charts.FOLDER.as_posix()}/{charts.file_name(group)}"
            parts.append(f"![{CHART}: ours, peers, and as a dashed line the limit]({image})")
    parts.append(
        "All figures, their spread and their limits: [docs/benchmarks.md](docs/benchmarks.md). What they do\n"
        "not show, and where peers do better: [docs/benchmarks-explained.md](docs/benchmarks-explained.md)."
    )
    return "\n\n".join(parts)


def _summary_row(results: Results, row: Row) -> list[str]:
    cells = [DASH] * len(MESSAGES)
    for at, name in enumerate(row.variants):
        if result := results.results.get(name):
            pair = [result.find(each) for each in (row.ours, row.theirs)]
            cells[at] = " / ".join(number(each.median, result.unit) if each else DASH for each in pair)
    return [row.operation, row.theirs, *cells]


def with_section(path: Path, section: str) -> str:
    """A file's text with what is between the markers replaced; ValueError where there are none."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no {BEGIN} and {END}, between which the table goes")
    return f"{before}{begin}\n\n{section}\n\n{end}{after}"
