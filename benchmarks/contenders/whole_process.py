"""Whole programs by the wall clock: from the moment one is started to its end, or to a line that it prints.

The clock runs in this process, so starting an interpreter, its imports and its end are all part of the time.
Programs run in an empty folder, so that what is installed is imported and not the sources of a checkout.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.processes import TIMEOUT_S, ended


def until_end(command: Sequence[str], folder: Path) -> int:
    """Nanoseconds until a program is over.

    Raises:
        RuntimeError: it failed.
        TimeoutError: it does not end.
    """
    start = time.perf_counter_ns()
    with started(command, folder) as process:
        # Its output ends with it. (To wait with a time-out is to look for its end every few milliseconds.)
        while _read(process):
            pass
        if process.wait() != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        return time.perf_counter_ns() - start


def until_said(command: Sequence[str], folder: Path, words: bytes) -> int:
    """Nanoseconds until a program has printed these words, to standard output or error; it is ended then.

    Raises:
        RuntimeError: it ended without.
        TimeoutError: it does not say them.
    """
    start = time.perf_counter_ns()
    with started(command, folder) as process:
        said = b""
        while words not in said:
            more = _read(process)
            if not more:
                raise RuntimeError(f"{' '.join(command)} ended and said {said!r}")
            said += more
        return time.perf_counter_ns() - start


@contextlib.contextmanager
def started(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running program, ended afterwards if it is not over; its output and errors are one pipe."""
    process = subprocess.Popen(
        command, cwd=folder, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    with process.stdout, ended(process):
        yield process


def _read(process: subprocess.Popen[bytes]) -> bytes:
    """What it printed, as soon as it does; nothing at its end."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], TIMEOUT_S)[0]:
        raise TimeoutError(f"a program did not answer within {TIMEOUT_S:g} s")
    return process.stdout.read(65_536)
