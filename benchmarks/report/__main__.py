"""`python benchmarks/report RESULTS.json …`: docs/benchmarks.md with its charts, and the README's table.

The results, of several runs together, go to docs/benchmarks.json, of which the same pages can be made again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent


def main() -> int:
    # Python looks in this folder; `harness` and `report` are in the one above.
    sys.path[0] = str(BENCHMARKS)
    from harness.results import Results
    from harness.together import together

    from report import charts, pages

    parser = argparse.ArgumentParser(prog="benchmarks/report", description="Makes pages of results.")
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULTS.json")
    parser.add_argument("--docs", type=Path, default=BENCHMARKS.parent / "docs", metavar="FOLDER")
    parser.add_argument("--readme", type=Path, default=BENCHMARKS.parent / "README.md", metavar="FILE")
    options = parser.parse_args()
    try:
        results = together([Results.load(each) for each in options.results])
        readme = pages.with_section(options.readme, pages.summary(results))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2

    results.save(options.docs / "benchmarks.json")
    (options.docs / "benchmarks.md").write_text(pages.page(results), encoding="utf-8")
    charts.write(results, options.docs / charts.FOLDER)
    options.readme.write_text(readme, encoding="utf-8")
    print(f"written: {options.docs}/benchmarks.md with its charts, and the table in {options.readme}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
