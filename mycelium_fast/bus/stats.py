"""What `stats()` gives: counters of a connection and of a subscriber at one moment.

Plain data; `observe/metrics.py` exposes it. The counters themselves stand where the counted things happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..codec.batching import PoolStats

__all__ = ["SubscriberStats", "TransportStats"]


@dataclass(frozen=True)
class SubscriberStats:
    """One subscriber. Everything counts messages, since it was made.

    Attributes:
        name: of the message classes, or `raw`.
        received: arrived and decoded, `dropped` ones included.
        queued: waiting in the queue now; `capacity` is the most, `high_water` the most there were.
        dropped: left out because the queue was full; exact.
        decode_errors: frames left out because they did not decode, or broke a rule.
        lagged: frames of its types that the bridge dropped for this connection, as the bridge says.
    """

    name: str
    received: int
    queued: int
    capacity: int
    high_water: int
    dropped: int
    decode_errors: int
    lagged: int


@dataclass(frozen=True)
class TransportStats:
    """One transport or client; counters go on over reconnects.

    Attributes:
        service, node: labels, as given when it was made.
        peer: such as `unix:/run/bus.sock` or `tls://host:port`.
        state: `connected`, `connecting` or `closed`.
        negotiated: whether the peer answered `Hello`.
        frames_sent, bytes_sent: handed to the operating system or to the event loop; `batches_sent` in so
            many writes.
        flushes: batches by what made them due: `immediate`, `size`, `count`, `delay`, `explicit`, `full`,
            `close`.
        pending_bytes: accepted and not sent yet.
        frames_received, bytes_received: complete frames, in `reads` reads.
        skipped_frames: received, with a type that nobody here subscribed to.
        lagged_frames: dropped by the bridge for this connection, as it says.
        reconnects: connections after the first.
        pool: the block pool's figures; None where there is no connection yet.
        subscribers: one entry each.
    """

    service: str
    node: str
    peer: str
    state: str
    negotiated: bool
    frames_sent: int
    bytes_sent: int
    batches_sent: int
    flushes: dict[str, int]
    pending_bytes: int
    frames_received: int
    bytes_received: int
    reads: int
    skipped_frames: int
    lagged_frames: int
    reconnects: int
    pool: PoolStats | None
    subscribers: tuple[SubscriberStats, ...] = field(default=())
