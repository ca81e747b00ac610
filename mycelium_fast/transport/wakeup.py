"""Waiting in poll() for a socket, and waking a thread that does.

A `Wakeup` stands in the poll set beside the socket; who waits, who is woken, and why, is `stream.py`'s
affair.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
from typing import Final

__all__ = ["LONGEST_WAIT_S", "Wakeup", "wait_for"]

#: Seconds of the longest single wait, since the system's calls do not take any number; who wants to wait
#: longer waits again.
LONGEST_WAIT_S: Final = 86_400.0


class Wakeup:
    """A descriptor that makes a poll() return."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def fileno(self) -> int:
        """What to poll for reading."""
        return self._read.fileno()

    def set(self) -> None:
        """Make the poll() return that runs, or else the next one."""
        with contextlib.suppress(BlockingIOError):  # full, so set already
            self._write.send(b"\0")

    def clear(self) -> None:
        """Take back every `set` so far."""
        with contextlib.suppress(BlockingIOError):
            self._read.recv(4096)

    def close(self) -> None:
        """Give the descriptors back."""
        self._read.close()
        self._write.close()


def wait_for(sock: socket.socket, events: int, wakeup: Wakeup, timeout: float | None) -> int:
    """Wait at most `timeout` seconds (None: for ever) for the socket or the wake-up; the socket's events."""
    poll = select.poll()
    poll.register(sock, events)
    poll.register(wakeup, select.POLLIN)
    limit = None if timeout is None else math.ceil(1000 * min(max(0.0, timeout), LONGEST_WAIT_S))
    ready = dict(poll.poll(limit))
    if wakeup.fileno() in ready:
        wakeup.clear()
    return ready.get(sock.fileno(), 0)
