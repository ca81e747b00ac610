"""A publish that waits for its own program: noticing it, and what to say of it.

A bridge sends a client its own messages back. Where a queue that is full and blocks keeps us from reading
them, the bridge soon does not read us either, and a publish has nothing to wait for but this program:
somebody has to take from the queue. If nobody does, that is an error, and not the peer's. Waiting, reading
and sending are `stream.py`'s work.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from ..errors import TransportTimeout

__all__ = ["Stall"]

#: Times that a stalled publish looks within the time allowed. Nobody tells it when a message is taken from a
#: queue that stays full, since that would cost the taker.
_LOOKS = 5


class Stall:
    """The clock of one publish that cannot go on.

    Args:
        timeout: seconds without any progress after which it has failed; None waits for ever.
    """

    def __init__(self, timeout: float | None) -> None:
        self._timeout = math.inf if timeout is None else timeout
        self._seen: tuple[int, ...] | None = None
        self._since = 0.0

    def look(self, progress: tuple[int, ...] | None) -> float | None:
        """Compare how far things are with what the last look found.

        Args:
            progress: numbers that change with every byte sent and every message taken from a full queue; None
                while no queue is in the way.

        Returns:
            seconds until the next look, 0 where there is no time left; None to wait for an event alone.
        """
        if progress is None:
            self._seen = None
            return None
        now = time.monotonic()
        if progress != self._seen:
            self._seen, self._since = progress, now
        return max(0.0, min(self._since + self._timeout - now, self._timeout / _LOOKS))

    def error(self, peer: str, queues: Sequence[object], left: str) -> TransportTimeout:
        """What to raise when there is no time left.

        Args:
            queues: the full ones, whose text names them.
            left: what becomes of the messages.
        """
        names = " and of ".join(map(str, queues))
        return TransportTimeout(
            f"publishing to {peer} cannot go on: for {self._timeout:g} s nothing could be sent, because "
            f"nothing is read while the queue of {names} on the same transport is full, and nobody took from "
            "it. Receive in another thread, publish on a transport of its own, or choose a larger capacity "
            f"or an overflow that drops. {left}"
        )
