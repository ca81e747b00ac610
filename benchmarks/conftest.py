"""The `compare` fixture, and the table of ratios that a run of the benchmarks ends with."""

from __future__ import annotations

from typing import Any

import pytest
from measure import ROWS, Comparison


@pytest.fixture
def compare(benchmark: Any, request: pytest.FixtureRequest) -> Comparison:
    benchmark.group = request.node.originalname
    return Comparison(benchmark, request.node.name.removeprefix("test_"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("nanoseconds per operation, medians of alternating rounds")
    for name, medians, wanted in ROWS:
        (ours, our_time), *others = medians.items()
        terminalreporter.write_line(f"{name}: {ours} {our_time:.1f}")
        for other, their_time in others:
            ratio = their_time / our_time
            line = f"    {other} {their_time:.1f}: {ratio:.2f} times as long"
            if other in wanted:
                line += f" (wanted {wanted[other]}, {'reached' if ratio >= wanted[other] else 'NOT reached'})"
            terminalreporter.write_line(line)
