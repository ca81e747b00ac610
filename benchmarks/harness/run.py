"""Goes through all figures, several times: a sweep is one pass, with new processes for each subject.

Where a process happens to lie in memory, and what the machine's neighbours do for a minute, moves every
figure by some per cent. Several sweeps, spread over the whole run, make that part of the spread that is
stated.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import environment, peers
from .figures import SUBJECTS, Figure, selected
from .measure import Measure, Series, Wanted
from .processes import cpus, many_files
from .results import Result, Results

PROGRAM = Path(__file__).parent.parent
#: Seconds that a subject's process has to end by itself.
INTERRUPTED_S = 10.0


@dataclass(frozen=True)
class Settings:
    """What a run is to be.

    Attributes:
        patterns: names of figures, or how they begin; all if empty.
        sweeps: passes over all of them.
        quick: one short round of each.
        build: where what is compiled for benchmarks is kept.
    """

    patterns: tuple[str, ...]
    sweeps: int
    quick: bool
    build: Path


#: Told of each measurement that begins: how many there were before, how many there are, and its name.
Progress = Callable[[int, int, str], None]


def run(settings: Settings, progress: Progress, results: Results) -> None:
    """Measure, adding to `results` as it comes, so that an interrupt leaves what is there.

    Raises:
        LookupError: no figure has such a name.
    """
    passes = list(_passes(settings))
    measurements = sum(len(_chosen(subject, settings)) for subject in passes)
    if not measurements:
        raise LookupError(f"no figure is called {' or '.join(settings.patterns)}: --list names them")
    busy = environment.Busy()
    results.environment = environment.describe() | {"sweeps": settings.sweeps, "quick": settings.quick}
    results.missing = peers.missing()
    started = time.monotonic()
    done = 0
    for subject in passes:
        for told in _subject(subject, settings):
            if "begins" in told:
                progress(done, measurements, told["begins"])
                done += 1
            else:
                _take(told, results)
        results.environment |= {"seconds": round(time.monotonic() - started), **busy.figures()}


def _passes(settings: Settings) -> Iterator[str]:
    """The subject of each process of a run, in order."""
    for _ in range(settings.sweeps):
        for subject, how in SUBJECTS.items():
            if any(_chosen(subject, settings)):
                yield from [subject] * (1 if settings.quick else how.processes)


def _chosen(subject: str, settings: Settings) -> list[tuple[Figure, str]]:
    return [each for each in selected(settings.patterns) if each[0].subject == subject]


def name(figure: Figure, variant: str) -> str:
    """What a variant is called in results and on the command line."""
    return f"{figure.key}/{variant}" if variant else figure.key


def _take(told: dict[str, Any], results: Results) -> None:
    if "failed" in told:
        results.failed.update(told["failed"])
        return
    found = told["found"]
    which = found.pop("name")
    series = [Series(**each) for each in found.pop("series")]
    wanted = [Wanted(**each) for each in found.pop("wanted")]
    if which not in results.results:
        results.results[which] = Result(**found, wanted=wanted, series=[])
    results.results[which].add(series)


def _subject(subject: str, settings: Settings) -> Iterator[dict[str, Any]]:
    """Have a new process measure a subject; what it tells, line by line."""
    command = [sys.executable, str(PROGRAM), "--subject", subject]
    command += ["--build", str(settings.build), *["--quick"] * settings.quick, *settings.patterns]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
        if process.wait() != 0:
            yield {"failed": {subject: f"its process ended with {process.returncode}"}}
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(INTERRUPTED_S)  # a terminal has told it as well, and it is ending what it started
        raise
    finally:
        process.terminate()
        process.wait()


def measure_subject(subject: str, settings: Settings) -> None:
    """What such a process does: measures one sweep of its subject, and tells on its standard output."""
    # Programs that a benchmark starts may print; our lines go where standard output went.
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(**what: Any) -> None:
        told.write(json.dumps(what) + "\n")

    # Whoever ends us ends what we started: a signal alone would leave that running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    many_files()
    allowed = cpus()
    if SUBJECTS[subject].one_cpu and allowed:
        os.sched_setaffinity(0, allowed[-1:])  # the first one tends to serve the system's interrupts
    for each, variant in _chosen(subject, settings):
        which = name(each, variant)
        tell(begins=which)
        scratch = Path(tempfile.mkdtemp(prefix="mycelium-"))
        try:
            measure = Measure(quick=settings.quick, scratch=scratch, build=settings.build)
            each.define(measure, variant)
            tell(found=_found(each, variant, measure))
            if measure.failed:
                tell(failed={f"{which}, {peer}": said for peer, said in measure.failed.items()})
        except Exception:
            tell(failed={which: traceback.format_exc()})
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    told.close()


def _found(figure: Figure, variant: str, measure: Measure) -> dict[str, Any]:
    return {
        "name": name(figure, variant),
        "figure": figure.key,
        "variant": variant,
        "unit": figure.unit,
        "of": figure.of,
        "axis": figure.axis,
        "text": figure.text,
        "limit_explained": figure.limit_explained,
        "wanted": [asdict(each) for each in measure.wanted],
        "series": [asdict(each) for each in measure.series],
    }
