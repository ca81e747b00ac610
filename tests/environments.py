"""Helpers for tests that run programs: children with text output, and pip for other environments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(
    *command: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its output is text.

    Without `cwd` it runs where no checkout of the package is, which `python -c` would import.
    """
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd or ROOT / "tests",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def checked(*command: str | Path, cwd: Path | None = None, logged: bool = False, **environment: str) -> str:
    """Run a program that has to succeed; returns its standard output, and error output too if `logged`."""
    result = run(*command, cwd=cwd, **environment)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr * logged


def pip_install(python: Path, *arguments: str | Path, cwd: Path | None = None) -> str:
    """Install into a virtual environment that need not have pip, and without asking an index."""
    return checked(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps"),
        "--no-build-isolation",
        *arguments,
        cwd=cwd,
        logged=True,
    )
