"""How long to wait between attempts to connect again: exponential back-off with jitter.

Numbers alone; who waits, and when a connection counts as made, is the client's affair.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from .arguments import check_seconds

__all__ = ["Backoff"]


@dataclass(frozen=True)
class Backoff:
    """Delays that grow from `initial` by `factor` up to `maximum`, each shortened by chance.

    Attributes:
        initial: seconds before the first attempt.
        maximum: seconds that no delay exceeds.
        factor: of one delay to the next, at least 1.
        jitter: the largest share, 0 to 1, by which chance shortens a delay, so that the clients of one bridge
            do not all return at once.

    Raises:
        TypeError, ValueError: a number of the wrong type or out of range; says which.
    """

    initial: float = 0.05
    maximum: float = 1.0
    factor: float = 2.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        check_seconds("initial", self.initial)
        check_seconds("maximum", self.maximum)
        for name in ("factor", "jitter"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} is a number, not {value!r}")
        if self.initial > self.maximum:
            raise ValueError(f"initial, {self.initial:g} s, is more than maximum, {self.maximum:g} s")
        if not self.factor >= 1:
            raise ValueError(f"factor is at least 1, not {self.factor!r}: delays do not shrink")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is a share from 0 to 1, not {self.jitter!r}")

    def delays(self) -> Iterator[float]:
        """Seconds to wait before each attempt, without end."""
        delay = float(self.initial)
        while True:
            yield delay * (1.0 - self.jitter * random.random())
            delay = min(float(self.maximum), delay * self.factor)
