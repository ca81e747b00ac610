"""Fixtures for tests that build and install things: the package's wheel, new virtual environments.

Modules compiled by tests are kept in the checkout's build directory: they are found again by the next run
unless something that they are made from has changed.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from environments import ROOT, checked

from mycelium_fast.bus.settings import Settings

os.environ["MYCELIUM_CACHE_DIR"] = str(ROOT / "build" / "test-cache")

# A shell starts background jobs with SIGINT ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # What CI skips, nobody runs.
    if os.environ.get("CI") == "true" and _skipped and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("CI") == "true" and _skipped:
        terminalreporter.write_line(
            f"{len(_skipped)} tests were skipped, which counts as failure when CI=true"
        )


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in a directory of no interest: children with `python -m` would import the checkout from it."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """Silence counts as consent after 0.2 s, and a machine that builds and tests at once may stand still for
    as long: here a peer that will answer has longer, and a test whose peer never does says so itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settings, "__init__", functools.partialmethod(Settings.__init__, handshake_grace=5.0))
        yield


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's wheel: the one that `make` installed here, else one built now."""
    made = sorted(Path(os.environ.get("MYCELIUM_WHEEL") or "/nonexistent").glob("mycelium_fast-*.whl"))
    if made:
        return made[-1]
    directory = tmp_path_factory.mktemp("wheel")
    checked(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", directory, ROOT
    )
    return next(directory.glob("*.whl"))


@pytest.fixture
def new_venv(tmp_path: Path) -> Callable[..., Path]:
    """Make an empty virtual environment, without pip; returns its interpreter.

    With `build_tools=True` it also sees what is installed where the tests run, after its own.
    """

    def make(name: str = "venv", *, build_tools: bool = False) -> Path:
        directory = tmp_path / name
        venv.create(directory, with_pip=False, symlinks=True)
        python = directory / "bin" / "python"
        if build_tools:
            code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
            packages = Path(checked(python, "-c", code).strip())
            (packages / "build-tools.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        return python

    return make
