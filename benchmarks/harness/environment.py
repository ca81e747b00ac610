"""What the figures were measured on: machine, kernel, compilers, versions, and how busy it was meanwhile."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from . import peers
from .processes import cpus


def describe() -> dict[str, Any]:
    """All that does not change while the benchmarks run."""
    return {
        "cpu": _cpu(),
        "cores": len(cpus()) or os.cpu_count(),
        "virtual": _virtual(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_compiler": platform.python_compiler(),
        "compiler": _first_line([*os.environ.get("CC", "cc").split(), "--version"]),
        "mycelium-fast": importlib.metadata.version("mycelium-fast"),
        "revision": _revision(),
        "versions": {**_libraries(), **peers.versions()},
        "began": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


class Busy:
    """How busy the machine was with others, of all CPUs' time."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._before = _ticks()
        self._ours = _own_seconds()

    def figures(self) -> dict[str, float]:
        """The load before the first round, and the shares of its time that the host gave to other machines
        (steal) and that other programs on it took: to be asked when all that we started is over."""
        found = {"load_before": round(self._load, 2)}
        after = _ticks()
        if self._before and after:
            passed = [new - old for new, old in zip(after, self._before, strict=True)]
            user, nice, system, _idle, _waiting, irq, softirq, stolen = passed[:8]
            whole = max(1, sum(passed[:8]))
            ours = (_own_seconds() - self._ours) * os.sysconf("SC_CLK_TCK")
            found["stolen"] = round(stolen / whole, 4)
            found["others"] = round(max(0.0, user + nice + system + irq + softirq - ours) / whole, 4)
        return found


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _virtual() -> bool | None:
    try:
        return " hypervisor" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None


def _ticks() -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal, …, of all CPUs since the start."""
    try:
        return [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return []


def _own_seconds() -> float:
    """CPU time of this process and all that it started and that is over."""
    return sum(os.times()[:4])


def _revision() -> str | None:
    """The commit that is measured, where this is a checkout, and whether files differ from it."""
    return _first_line(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]) or None


def _first_line(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]
    except OSError:
        return None


def _libraries() -> dict[str, str]:
    found = {}
    for name in ("cython", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
