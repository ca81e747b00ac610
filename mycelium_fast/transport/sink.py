"""What a stream hands frames to: the interface between moving bytes and making messages of them.

The subscribers' queues in `bus/` have it; `stream.py` calls it, always with its lock held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..codec.frames import Run

__all__ = ["Sink"]


class Sink(Protocol):
    """Where the frames of one type id go."""

    @property
    def type_id(self) -> int:
        """The type that it wants."""

    @property
    def ready(self) -> bool:
        """Whether whoever waits for it has something to wake up for."""

    @property
    def waiting(self) -> int:
        """Messages that it holds for somebody to take; fewer whenever somebody does."""

    def __str__(self) -> str:
        """What to call it in an error."""

    def offer(self, run: Run, start: int, *, force: bool) -> int:
        """Take frames of the run from number `start` on; return how many, all of them if `force`."""
