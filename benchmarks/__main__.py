"""`python benchmarks`: measures all figures, or those named, and writes what came out as JSON.

python benchmarks                         everything, under 20 minutes
python benchmarks codec/decode bridge     these alone
python benchmarks --quick                 one short round of each: whether it runs
python benchmarks --list                  what there is
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from harness import summary
from harness.figures import SUBJECTS, selected
from harness.results import Results
from harness.run import Settings, measure_subject, name, run
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

SWEEPS = 5
#: Share of the machine's time that others may take before it is said.
OTHERS = 0.05
#: Results of everything are worth a report; what is only a part of them shall not take their place.
WHOLE, PART, QUICK = (Path("build") / f"benchmarks{which}.json" for which in ("", "-part", "-quick"))


def main() -> int:
    options = _options()
    if options.list:
        for figure, variant in selected(options.figures):
            print(name(figure, variant))
        return 0
    sweeps = 1 if options.quick else max(1, options.sweeps)
    settings = Settings(tuple(options.figures), sweeps, options.quick, options.build.absolute())
    settings.build.mkdir(parents=True, exist_ok=True)
    if options.subject:
        try:
            measure_subject(options.subject, settings)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results = Results()
    interrupted = False
    began = time.monotonic()
    try:
        _run_showing_progress(settings, results)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        interrupted = True
        if options.out == WHOLE:
            options.out = PART
        print("interrupted: what was measured is kept", file=sys.stderr)
    results.save(options.out)
    for line in summary.lines(results):
        print(line)
    if (others := results.environment.get("others", 0.0)) > OTHERS:
        print(f"others took {others:.0%} of the machine's time: believe these figures less", file=sys.stderr)
    print(f"written to {options.out} after {time.monotonic() - began:.0f} s")
    if interrupted:
        return 128 + signal.SIGINT
    return 1 if results.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measures mycelium-fast and its peers.")
    parser.add_argument("figures", nargs="*", help="names or how they begin: codec, codec/decode, bridge/*/4")
    parser.add_argument("--quick", action="store_true", help="one short round of each: whether it runs")
    parser.add_argument("--list", action="store_true", help="name the figures")
    parser.add_argument(
        "--sweeps",
        type=int,
        default=SWEEPS,
        metavar="N",
        help="passes over all (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where results go (default: in build/)")
    parser.add_argument("--build", type=Path, default=Path("build/benchmarks"), help=argparse.SUPPRESS)
    # How a run starts a process of a subject.
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out is None:
        options.out = QUICK if options.quick else PART if options.figures else WHOLE
    return options


def _run_showing_progress(settings: Settings, results: Results) -> None:
    """A bar on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting")

        def progress(number: int, of: int, which: str) -> None:
            bar.update(task, completed=number, total=of, description=which)
            if not console.is_terminal:
                print(f"{number} of {of}: {which}", file=sys.stderr)

        run(settings, progress, results)


if __name__ == "__main__":
    sys.exit(main())
