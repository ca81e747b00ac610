"""Waking a thread that waits in poll().

A `Wakeup` stands in the poll set beside a socket; who is woken, and why, is `stream.py`'s affair.
"""

from __future__ import annotations

import contextlib
import socket

__all__ = ["Wakeup"]


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
