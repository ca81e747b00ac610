"""When a batch of messages is sent, and the figures of a buffer pool.

Values only: `writer.pyx` follows a `Batching`, `pool.pyx` fills a `PoolStats`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["PROFILES", "Batching", "PoolStats", "Profile", "batching_of"]


@dataclass(frozen=True, slots=True)
class Batching:
    """How long messages may wait for each other before they are sent.

    Args:
        max_bytes: send as soon as so many bytes wait; 0 sends every message at once.
        max_delay: seconds that a message may wait for others, at most.
        max_messages: send as soon as so many messages wait; None for any number.
        adaptive: a message that finds nothing waiting leaves at once as long as messages come slowly; only
            under load do messages wait.

    Raises:
        TypeError: an argument of another type.
        ValueError: an argument out of range.
    """

    max_bytes: int = 65536
    max_delay: float = 0.001
    max_messages: int | None = None
    adaptive: bool = False

    def __post_init__(self) -> None:
        _check_int("max_bytes", self.max_bytes, 0)
        if self.max_messages is not None:
            _check_int("max_messages", self.max_messages, 1)
        if isinstance(self.max_delay, bool) or not isinstance(self.max_delay, (int, float)):
            raise TypeError(f"Batching: max_delay is in seconds, got {type(self.max_delay).__name__}")
        if not 0 <= self.max_delay < math.inf:
            raise ValueError(f"Batching: max_delay is 0 seconds or more, got {self.max_delay}")
        if not isinstance(self.adaptive, bool):
            raise TypeError(f"Batching: adaptive is a bool, got {type(self.adaptive).__name__}")


def _check_int(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Batching: {name} is an int, got {type(value).__name__}")
    if not least <= value < 1 << 62:
        raise ValueError(f"Batching: {name} is {least} or more, got {value}")


#: What `profile=` names. "latency": every publish goes out at once. "throughput": batches of up to 64 KiB or
#: 1 ms. "balanced": at once while the peer keeps up, batches when it does not.
PROFILES: Final[dict[str, Batching]] = {
    "latency": Batching(max_bytes=0, max_delay=0.0),
    "balanced": Batching(max_bytes=65536, max_delay=0.0002, adaptive=True),
    "throughput": Batching(max_bytes=65536, max_delay=0.001),
}


#: The names of `PROFILES`.
Profile = Literal["latency", "balanced", "throughput"]


def batching_of(profile: str | Batching) -> Batching:
    """What a `profile` argument means.

    Raises:
        TypeError: neither a str nor a `Batching`.
        ValueError: no profile of this name; lists those that there are.
    """
    if isinstance(profile, Batching):
        return profile
    if not isinstance(profile, str):
        raise TypeError(f"profile is a name or a Batching, got {type(profile).__name__}")
    if profile not in PROFILES:
        raise ValueError(f"no profile {profile!r}: there are {', '.join(PROFILES)}, or pass a Batching(...)")
    return PROFILES[profile]


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The figures of a `BufferPool` at one moment.

    Attributes:
        block_size: bytes of a block.
        blocks: blocks that there are, in use or not.
        max_blocks: blocks that there may be.
        in_use: blocks that somebody holds.
        high_water: the most blocks that were in use at a time.
        misses: how often a block was wanted while none was free.
        large: blocks of their own for frames larger than `block_size`, in use or kept for the next one;
            not among the others.
    """

    block_size: int
    blocks: int
    max_blocks: int
    in_use: int
    high_water: int
    misses: int
    large: int
