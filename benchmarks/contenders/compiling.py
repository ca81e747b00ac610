"""Programs in C, compiled when a benchmark first needs them, and kept for the next run.

A library's name changes with its sources and how they are compiled.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_FOLDER = Path(__file__).parent


def library(folder: Path, name: str, sources: Sequence[str], *options: str, suffix: str = ".so") -> Path:
    """Where it is: compiled just now, or before.

    Args:
        folder: which keeps it.
        sources: names of files beside this one.
        options: of the compiler.

    Raises:
        RuntimeError: there is no C compiler, or a header is missing.
    """
    paths = [_FOLDER / each for each in sources]
    command = [*shlex.split(os.environ.get("CC", "cc")), "-O3", "-Wall", "-shared", "-fPIC", *options]
    command += ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    read = [each.read_bytes() for each in [*paths, _FOLDER / "sockets.h"]]
    made_of = hashlib.sha256(b"\0".join(["\0".join(command).encode(), *read])).hexdigest()
    compiled = folder / f"{name}-{made_of[:12]}{suffix}"
    if not compiled.exists():
        # Under another name first: what stands under its own is whole.
        unfinished = compiled.with_name(f"{compiled.name}.{os.getpid()}")
        try:
            subprocess.run([*command, *paths, "-o", unfinished], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"the limits are in C and take a compiler (set CC): {error}") from error
        unfinished.replace(compiled)
    return compiled
