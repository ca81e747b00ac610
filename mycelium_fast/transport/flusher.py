"""Sending what a batching profile lets wait: the thread that flushes a connection after `max_delay`.

It is started with the first message that waits, sleeps for good while there is nothing to send, and keeps
nobody alive. What is sent, and how, is `stream.pyx`'s work.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from .wire import count_quiet_thread

__all__ = ["Flusher"]

#: Rounds with nothing to send after which the thread sleeps until it is armed again: a publisher that is busy
#: arms it with every batch, and waking a thread costs more than a round.
_IDLE_ROUNDS: Final = 16
#: Seconds of the longest single wait: locks do not take any number.
_LONGEST_S: Final = 86_400.0


class Flushable(Protocol):
    """What is flushed: a stream."""

    def flush_delayed(self) -> bool:
        """Send what is pending; whether there was anything. Raises nothing."""

    @property
    def is_pending(self) -> bool:
        """Whether anything is."""


class Flusher:
    """One thread at most. `arm` may be called by any thread, and before `flush_delayed` gets to see the
    message.

    Args:
        stream: what to flush; not kept alive.
        delay: seconds from `arm` to the flush.
    """

    def __init__(self, stream: Flushable, delay: float) -> None:
        self._stream: Callable[[], Flushable | None] = weakref.ref(stream)
        self._delay = min(delay, _LONGEST_S)
        # Locks that are free once there is something to do, and once the thread is to end.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._end = threading.Lock()
        self._end.acquire()
        self._asleep = True
        self._idle = 0
        self._thread: threading.Thread | None = None

    def arm(self) -> bool:
        """See to it that a flush comes within the delay, and the time that it takes to get a processor; False
        where the system, or an interpreter that ends, has no thread to give.
        """
        if self._asleep:
            self._asleep = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mycelium-flusher", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    self._thread, self._asleep = None, True
                    return False
            else:
                _free(self._wake)
        return True

    def stop(self) -> None:
        """Have the thread end, at once unless it is sending."""
        _free(self._end)
        _free(self._wake)

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread, unless it is the caller."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        count_quiet_thread(1)
        try:
            while not self._end.acquire(timeout=self._delay):
                if not self._flush():
                    self._wake.acquire()
                    self._idle = 0
        finally:
            count_quiet_thread(-1)

    def _flush(self) -> bool:
        """Send what is pending; False to fall asleep. (A function: nobody waits with a reference.)"""
        stream = self._stream()
        if stream is None:
            _free(self._end)
            return True
        self._idle = 0 if stream.flush_delayed() else self._idle + 1
        if self._idle < _IDLE_ROUNDS:
            return True
        self._asleep = True
        if not stream.is_pending:
            return False
        self._asleep = False  # it came between the flush and falling asleep
        return True


def _free(lock: threading.Lock) -> None:
    with contextlib.suppress(RuntimeError):  # free already
        lock.release()
