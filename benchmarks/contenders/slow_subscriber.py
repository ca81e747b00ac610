"""A subscriber that reads, beside one that does not: what a broker does about one is seen at the other.

Publisher and reading subscriber are one C program here, which is never further ahead of itself than a broker
keeps for a subscriber, so that only the one that stalls is too slow.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders import nats_in_c
from contenders.fan_out import SEND_BUFFER, TICK_ID, join, join_to_each, load, messages
from contenders.limits import checked
from harness.processes import TIMEOUT_S, Process, Ready, gather

#: Bytes that may wait for one subscriber.
MAX_OUTPUT = 1 << 20
#: Patterns of 64 KiB that are published and not read yet.
AHEAD = 4
#: Of the subscriber that stalls, so that what it does not read is soon the broker's to keep.
STALLED_BUFFER = 1 << 16
#: Bytes published after which the one that stalls has missed some: more than may wait anywhere.
SURELY_MISSED = 16 << 20


class Through:
    """One contender: nanoseconds from sending the first of so many patterns to having the last."""

    def __init__(self, process: Process, publish_and_read: Callable[..., int], *args: Any) -> None:
        self._process = process
        self._call = publish_and_read, args

    def patterns(self, cycles: int, check: bool = False) -> float:
        function, args = self._call
        elapsed: int
        (elapsed,) = gather([], (self._process, (function, cycles, check, *args)))
        return elapsed

    def check(self) -> None:
        """A round in which every byte is compared, so long that who stalls misses some."""
        self.patterns(SURELY_MISSED // (messages("tick")[0].SIZE * len(messages("tick"))) + 1, check=True)


def through_bridge(_ready: Ready, cycles: int, check: bool, library: Path, address: str, stall: bool) -> int:
    pattern = b"".join(message.to_frame() for message in messages("tick"))
    with join(address, [TICK_ID]) as reading, join(address) as writing, contextlib.ExitStack() as stack:
        stalled = stack.enter_context(join(address, [TICK_ID], lag_reports=True)) if stall else None
        elapsed = _through(library, writing, pattern, reading, pattern, 0, cycles, check)
        if stalled is not None:
            _expect_missing(stalled, pattern, cycles)
    return elapsed


def through_nats(_ready: Ready, cycles: int, check: bool, library: Path, address: str, stall: bool) -> int:
    sent, lines = b"".join(nats_in_c.published("tick")), nats_in_c.delivered("tick")
    pattern, subject = b"".join(lines), nats_in_c.SUBJECT
    with contextlib.ExitStack() as stack:
        reading, writing = (stack.enter_context(nats_in_c.join(address, each)) for each in (subject, b""))
        stalled = None
        if stall:
            stalled = nats_in_c.join(address, subject, receive_buffer=STALLED_BUFFER)
            stack.enter_context(stalled)
        elapsed = _through(library, writing, sent, reading, pattern, len(lines[0]), cycles, check)
        if stalled is not None:
            _expect_missing(stalled, pattern, cycles)
    return elapsed


def through_to_each(_ready: Ready, cycles: int, check: bool, library: Path, address: str) -> int:
    pattern = b"".join(message.to_frame() for message in messages("tick"))
    with join_to_each(address, b"S") as reading, join_to_each(address, b"P") as writing:
        return _through(library, writing, pattern, reading, pattern, 0, cycles, check)


def _through(
    library: Path,
    writing: socket.socket,
    sent: bytes,
    reading: socket.socket,
    pattern: bytes,
    step: int,
    cycles: int,
    check: bool,
) -> int:
    if writing.family == socket.AF_UNIX:
        writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    out, in_ = writing.fileno(), reading.fileno()
    run = load(library).fan_through
    return checked(run(out, in_, sent, len(sent), pattern, len(pattern), step, cycles, AHEAD, check))


def _expect_missing(stalled: socket.socket, pattern: bytes, cycles: int) -> None:
    """Whoever stalled is told of what it missed between frames, or finds the connection closed, in time."""
    left = cycles * len(pattern)
    if left < SURELY_MISSED:
        return
    stalled.settimeout(TIMEOUT_S)
    twice, place = pattern * 2, 0
    while left > 0:
        try:
            block = stalled.recv(len(pattern))
        except ConnectionResetError:
            return
        if not block or block != twice[place : place + len(block)]:
            return
        left -= len(block)
        place = (place + len(block)) % len(pattern)
    raise RuntimeError("the subscriber that stalled missed nothing")
