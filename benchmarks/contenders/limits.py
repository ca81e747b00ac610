"""`limits.c`, `fan_out.c` and `to_each.c` as one library; the first is called from here, through ctypes, and
one call is a whole round.
"""

from __future__ import annotations

import ctypes
import functools
import os
import socket
from pathlib import Path

from contenders import compiling

#: As in limits.c.
BLOCK = 65_536


def build(directory: Path) -> Path:
    """The library, compiled where it is not there yet."""
    return compiling.library(directory, "limits", ["limits.c", "fan_out.c", "to_each.c"])


@functools.cache
def _load(library: Path) -> ctypes.CDLL:
    limits = ctypes.CDLL(str(library))
    number, frame = ctypes.c_int64, ctypes.c_char_p
    limits.limit_send.argtypes = [ctypes.c_int, frame, ctypes.c_size_t, number, number]
    limits.limit_echo.argtypes = [ctypes.c_int, frame, ctypes.c_size_t]
    limits.limit_drain.restype = limits.limit_echo.restype = limits.limit_relay.restype = number
    limits.limit_ping.argtypes = [
        ctypes.c_int, frame, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.POINTER(number)
    ]  # fmt: skip
    return limits


def send(library: Path, sock: socket.socket, frame: bytes, count: int, together: int | None = None) -> None:
    """Send a frame `count` times, so many in one call; without a number, blocks of 64 KiB."""
    room = together or BLOCK // len(frame)
    checked(_load(library).limit_send(sock.fileno(), frame, len(frame), room, count))


def drain(library: Path, sock: socket.socket) -> int:
    """Read to the end of the stream; returns the number of bytes."""
    return checked(_load(library).limit_drain(sock.fileno()))


def echo(library: Path, sock: socket.socket, last: bytes) -> int:
    """Send back whatever comes, to the end of the stream or to these last bytes; returns how many."""
    return checked(_load(library).limit_echo(sock.fileno(), last, len(last)))


def relay(library: Path, one: socket.socket, other: socket.socket) -> int:
    """Send on what comes, from one and the other in turn, to the end of the stream; returns the bytes."""
    return checked(_load(library).limit_relay(one.fileno(), other.fileno()))


def ping(library: Path, sock: socket.socket, frame: bytes, trips: int, samples: int) -> list[float]:
    """Nanoseconds of a round trip, the mean of `trips` for each sample."""
    times = (ctypes.c_int64 * samples)()
    checked(_load(library).limit_ping(sock.fileno(), frame, len(frame), trips, samples, times))
    return [time / trips for time in times]


def checked(result: int) -> int:
    """What a function of these gave, unless that is an error's number."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
