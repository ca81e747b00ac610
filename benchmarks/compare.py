"""`python benchmarks/compare.py BASE NEW`: what became slower or faster, and how sure that is.

Exits with 1 if anything of ours became slower.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from pathlib import Path

from harness.compare import Verdict, compare, unlike
from harness.results import Results

WORDS = ("slower", "faster", "same", "unclear")


def main() -> int:
    parser = argparse.ArgumentParser(prog="compare", description="Sets two files of results side by side.")
    parser.add_argument("base", type=Path, help="the results before")
    parser.add_argument("new", type=Path, help="the results now")
    parser.add_argument("--all", action="store_true", help="show what did not change as well")
    options = parser.parse_args()
    try:
        base, new = Results.load(options.base), Results.load(options.new)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for line in unlike(base, new):
        print(f"note: {line}")
    verdicts = list(compare(base, new))
    if not verdicts:
        print("the two files have nothing of ours in common", file=sys.stderr)
        return 2
    for each in sorted(verdicts, key=lambda each: (math.isnan(each.change), -each.change)):
        if options.all or each.word in ("slower", "faster"):
            print(_line(each))
    alone = [each for each in verdicts if each.within is not None]
    for what, some in (
        ("values", alone),
        ("whole figures", [each for each in verdicts if each.within is None]),
    ):
        words = Counter(each.word for each in some)
        print(f"{what}: {', '.join(f'{words[word]} {word}' for word in WORDS)}")
    within = sum(each.within is True for each in alone)
    print(f"{within} of {len(alone)} medians lie between the least and the most of the run before")
    return 1 if any(each.word == "slower" for each in verdicts) else 0


def _line(each: Verdict) -> str:
    said = f"{each.change:+.0%} beside the others, up to {each.noise:.0%} would be noise"
    return f"{each.word:8} {each.figure}, {each.contender}: {said}"


if __name__ == "__main__":
    sys.exit(main())
