"""What happened since a bridge started, of connections that are over and of those that never came to be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .data_plane import DROPS, ConnectionStats

__all__ = ["Counters"]


@dataclass
class Counters:
    """What happened since the bridge started.

    Attributes:
        accepted: connections, those that were refused later included.
        stalled: clients that were disconnected since they took nothing, or too little.
        dead: ... since they did not answer.
        frames: of connections that have ended, dropped ones included; `bytes` are theirs.
        deliveries: frames handed to such clients, each counted for each.
        missed: frames that were not handed to one whose output was full, likewise.
        dropped: frames that were handed to nobody, by reason.
    """

    accepted: int = 0
    refused: int = 0
    protocol_errors: int = 0
    stalled: int = 0
    dead: int = 0
    frames: int = 0
    bytes: int = 0
    deliveries: int = 0
    missed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, stats: ConnectionStats) -> None:
        """Count what a connection did."""
        self.frames += stats.frames_in
        self.bytes += stats.bytes_in
        self.deliveries += stats.frames_out
        self.missed += stats.missed
        for reason, count in zip(DROPS, stats.dropped, strict=True):
            if count:
                self.dropped[reason] += count

    def copy(self) -> Counters:
        """The figures of now, to add to."""
        return Counters(**{**vars(self), "dropped": Counter(self.dropped)})

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} of {reason}" for reason, count in sorted(self.dropped.items()))
        return (
            f"{self.accepted} connections, {self.refused} refused, "
            f"{self.protocol_errors} closed on a protocol error, {self.stalled} stalled, {self.dead} dead; "
            f"{self.frames} frames in ({self.bytes} bytes), {self.deliveries} out, "
            f"{self.missed} missed by slow clients, dropped: {dropped or 'none'}"
        )
