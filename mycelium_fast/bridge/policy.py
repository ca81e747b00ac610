"""What a bridge lets through and how long it waits, and the figures of what came of it.

Plain data: `relay.py` acts on the one and keeps the other, the command line fills in the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..session import CORE_IDS

__all__ = ["Counters", "Policy"]


@dataclass(frozen=True)
class Policy:
    """What the relay lets through, and how long it waits.

    Attributes:
        digest: that clients must name, 32 bytes; None for no handshake.
        sizes: payload bytes by type id; None where there are no contracts, and every type is let through.
        forward_unknown: let types through that are not in `sizes`.
        handshake_timeout: seconds for a client's digest.
        stall_timeout: seconds after which a client that takes nothing is disconnected; "block" only.
        slow_consumer: what happens while a client's output is full: "block" reads nobody, "drop" leaves out
            its frames and tells it how many.
        heartbeat: seconds of silence after which a negotiated client is asked whether it is there; None for
            never.
        name: of the bridge, at most 64 bytes.
    """

    digest: bytes | None
    sizes: Mapping[int, int] | None
    forward_unknown: bool = False
    handshake_timeout: float = 5.0
    stall_timeout: float = 10.0
    slow_consumer: Literal["block", "drop"] = "block"
    heartbeat: float | None = None
    name: str = "mycelium"

    def refuses(self, type_id: int, length: int) -> str | None:
        """Why frames of this type and length are dropped, or None."""
        size = None if self.sizes is None else self.sizes.get(type_id)
        if size is not None:
            return None if size == length else "wrong length"
        if type_id in CORE_IDS:
            return "core type"
        return None if self.sizes is None or self.forward_unknown else "unknown type"


@dataclass
class Counters:
    """What happened since the relay started.

    Attributes:
        stalled: clients that were disconnected since they took nothing.
        dead: ... since they did not answer.
        frames: received, dropped ones included; `bytes` are theirs.
        deliveries: frames handed to clients, each counted for each.
        missed: frames that were not handed to a client whose output was full, likewise.
        dropped: frames that were handed to nobody, by reason.
    """

    connections: int = 0
    refused: int = 0
    protocol_errors: int = 0
    stalled: int = 0
    dead: int = 0
    frames: int = 0
    bytes: int = 0
    deliveries: int = 0
    missed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} of {reason}" for reason, count in sorted(self.dropped.items()))
        return (
            f"{self.connections} connections, {self.refused} refused, "
            f"{self.protocol_errors} closed on a protocol error, {self.stalled} stalled, {self.dead} dead; "
            f"{self.frames} frames in ({self.bytes} bytes), {self.deliveries} out, "
            f"{self.missed} missed by slow clients, dropped: {dropped or 'none'}"
        )
