"""When a worker that ended is started again: its policy, exponential back-off, and budget.

No clock and no process: times come in, delays go out. `workers.py` acts on them.
"""

from __future__ import annotations

from collections import deque

from .config import WorkerConfig

__all__ = ["RestartPolicy"]


class RestartPolicy:
    """The restarts of one worker. Times are seconds by any clock that only goes forward.

    Attributes:
        exhausted: the last worker to end was not to be started again because the budget is used up.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._delay = config.backoff
        self._started = 0.0
        self._restarts: deque[float] = deque()  # times of those within the window
        self.exhausted = False

    def started(self, now: float) -> None:
        """It was started, for the first time or again."""
        self._started = now

    def ended(self, now: float, *, failed: bool) -> float | None:
        """It ended; returns the seconds until it is to be started again, or None if it is not to be.

        Args:
            failed: with another status than 0, by a signal that the bridge did not send, or for hanging.
        """
        config = self._config
        if config.restart == "never" or (config.restart == "on-failure" and not failed):
            return None
        while self._restarts and self._restarts[0] <= now - config.restart_window:
            self._restarts.popleft()
        if config.max_restarts is not None:
            if len(self._restarts) >= config.max_restarts:
                self.exhausted = True
                return None
            self._restarts.append(now)
        if now - self._started >= config.healthy_after:
            self._delay = config.backoff
        delay = min(self._delay, config.max_backoff)
        self._delay = min(self._delay * 2, config.max_backoff)
        return delay
