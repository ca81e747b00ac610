"""`limits.c`, compiled when a benchmark runs and called through ctypes: one call for a whole round."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import socket
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("limits.c")


def build(directory: Path) -> Path | None:
    """Compile into a directory; None where there is no C compiler."""
    compiler = os.environ.get("CC", "cc").split()
    if shutil.which(compiler[0]) is None:
        return None
    library = directory / "limits.so"
    subprocess.run([*compiler, "-O3", "-Wall", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return library


@functools.cache
def _load(library: Path) -> ctypes.CDLL:
    limits = ctypes.CDLL(str(library))
    number, frame = ctypes.c_int64, ctypes.c_char_p
    limits.limit_send.argtypes = [ctypes.c_int, frame, ctypes.c_size_t, number]
    limits.limit_drain.restype = limits.limit_echo.restype = number
    limits.limit_ping.argtypes = [
        ctypes.c_int, frame, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.POINTER(number)
    ]  # fmt: skip
    return limits


def send(library: Path, sock: socket.socket, frame: bytes, count: int) -> None:
    """Send a frame `count` times in blocks of 64 KiB."""
    _checked(_load(library).limit_send(sock.fileno(), frame, len(frame), count))


def drain(library: Path, sock: socket.socket) -> int:
    """Read to the end of the stream; returns the number of bytes."""
    return _checked(_load(library).limit_drain(sock.fileno()))


def echo(library: Path, sock: socket.socket) -> int:
    """Send back whatever comes, to the end of the stream; returns the number of bytes."""
    return _checked(_load(library).limit_echo(sock.fileno()))


def ping(library: Path, sock: socket.socket, frame: bytes, trips: int, samples: int) -> list[float]:
    """Nanoseconds of a round trip, the mean of `trips` for each sample."""
    times = (ctypes.c_int64 * samples)()
    _checked(_load(library).limit_ping(sock.fileno(), frame, len(frame), trips, samples, times))
    return [time / trips for time in times]


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
