"""Fixtures of all benchmarks, and the table of ratios that a run of the benchmarks ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import limits
import pytest
from measure import ROWS, Comparison


@pytest.fixture
def compare(benchmark: Any, request: pytest.FixtureRequest) -> Comparison:
    benchmark.group = request.node.originalname
    return Comparison(benchmark, request.node.name.removeprefix("test_"))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`limits.c`, compiled."""
    built = limits.build(tmp_path_factory.mktemp("limits"))
    if built is None:
        pytest.skip("there is no C compiler: no limits to compare with")
    return built


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("nanoseconds per operation, medians of alternating rounds")
    for row in ROWS:
        for line in row.lines():
            terminalreporter.write_line(line)
