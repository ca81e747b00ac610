"""The settings that every transport and client takes, checked in one place.

Blocking transports and the asyncio client share them, so that a keyword means the same everywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from ..codec.batching import Batching, Profile, batching_of
from ..codec.frames import MAX_ACCEPTED_PAYLOAD_SIZE, MAX_PAYLOAD_SIZE, FrameScanner
from ..codec.pool import BufferPool
from ..codec.writer import BatchWriter
from ..session import ALL_FEATURES, DIGEST_SIZE, Connection, Features, HelloOptions, Role
from .arguments import check_seconds

if TYPE_CHECKING:
    from .message_queue import BadFramesHook

__all__ = ["PLAIN_PEER", "Options", "Settings", "settings_of"]

#: For the log: the peer's name, and the seconds that it was given.
PLAIN_PEER: Final = "%s knows no Hello, or has not answered within %g s: it is taken for a plain peer"
#: Seconds of the longest time-out: the system's calls do not take any number.
_LONGEST_S = 86_400.0


class Options(TypedDict, total=False):
    """Keywords of every transport and client.

    Attributes:
        handshake: False for endpoints that expect none.
        profile: `"latency"`, `"balanced"` (default), `"throughput"` or a `Batching`.
        service, node: names of this program, for people, access rules and metrics.
        echo: whether a subscriber gets what this very connection publishes; a plain peer always sends it.
        connect_timeout: seconds for connecting, and for the confirmation of a subscription.
        handshake_grace: seconds of silence after which a peer counts as having accepted the digest.
        publish_timeout: seconds that a publish waits while the peer takes not a byte; None for ever.
        close_timeout: seconds that closing may take to have everything arrive.
        max_payload_size: payload bytes of a message to send.
        max_accepted_payload_size: payload bytes of a frame to receive.
        max_pending: bytes that may wait to be sent; a publish waits for room.
        pool: the `BufferPool` to take blocks from; None for one of its own.
        on_bad_frame: called with `BadFrames` for frames that did not decode and for types that the contracts
            do not have. Never fatal; what it raises is logged.
    """

    handshake: bool
    profile: Profile | Batching
    service: str
    node: str
    echo: bool
    connect_timeout: float
    handshake_grace: float
    publish_timeout: float | None
    close_timeout: float
    max_payload_size: int
    max_accepted_payload_size: int
    max_pending: int
    pool: BufferPool | None
    on_bad_frame: BadFramesHook | None


def settings_of(
    owner: str, schema_digest: bytes | None, options: Options, own: Iterable[str] = ()
) -> Settings:
    """Check what a user passed to `owner`, whose `own` keywords stand beside the options.

    Raises:
        TypeError: a keyword that there is not; suggests the nearest.
        TypeError, ValueError: as `Settings`.
    """
    known = [*Options.__annotations__, *own]
    for name in options:
        if name not in Options.__annotations__:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f": there are {', '.join(known)}"
            raise TypeError(f"{owner}() got an unexpected keyword argument {name!r}{hint}")
    return Settings(schema_digest, **options)


@dataclass(frozen=True)
class Settings:
    """Checked `Options`, and what a connection is made of.

    Raises:
        TypeError, ValueError: name the keyword.
    """

    schema_digest: bytes | None
    handshake: bool = True
    profile: str | Batching = "balanced"
    service: str = ""
    node: str = ""
    echo: bool = True
    connect_timeout: float = 5.0
    handshake_grace: float = 0.2
    publish_timeout: float | None = 5.0
    close_timeout: float = 5.0
    max_payload_size: int = MAX_PAYLOAD_SIZE
    max_accepted_payload_size: int = MAX_ACCEPTED_PAYLOAD_SIZE
    max_pending: int = 1024 * 1024
    pool: BufferPool | None = None
    on_bad_frame: BadFramesHook | None = None

    def __post_init__(self) -> None:
        digest = self.schema_digest
        if digest is None:
            if self.handshake:
                raise TypeError(
                    "schema_digest is missing: pass SCHEMA_DIGEST of the generated module, "
                    "or handshake=False for an endpoint that expects none"
                )
        elif not isinstance(digest, (bytes, bytearray, memoryview)):
            raise TypeError(f"schema_digest must be bytes, not {type(digest).__name__}")
        elif len(digest) != DIGEST_SIZE:
            raise ValueError(
                f"schema_digest has {len(digest)} bytes instead of {DIGEST_SIZE}: "
                "pass SCHEMA_DIGEST of the generated module"
            )
        for name in ("connect_timeout", "handshake_grace", "close_timeout", "publish_timeout"):
            value = getattr(self, name)
            if name == "publish_timeout" and value is None:
                continue
            check_seconds(name, value)
            object.__setattr__(self, name, min(float(value), _LONGEST_S))
        batching_of(self.profile)
        HelloOptions(self.service)
        for name in ("max_payload_size", "max_accepted_payload_size", "max_pending"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} is a number of bytes, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} is at least 1 byte, not {value}")

    @property
    def digest(self) -> bytes | None:
        """The digest to send; None without a handshake."""
        return bytes(self.schema_digest) if self.handshake and self.schema_digest is not None else None

    @property
    def batching(self) -> Batching:
        """What the profile stands for."""
        return batching_of(self.profile)

    def connection(self, pool: BufferPool) -> Connection:
        """The state of a new connection."""
        features = ALL_FEATURES if not self.echo else ALL_FEATURES & ~Features.NO_ECHO
        hello = HelloOptions(self.service, features) if self.digest is not None else None
        return Connection(
            Role.CLIENT,
            self.digest,
            max_payload_size=self.max_accepted_payload_size,
            hello=hello,
            scanner=FrameScanner(self.max_accepted_payload_size, pool),
        )

    def writer(self, pool: BufferPool) -> BatchWriter:
        """What gathers frames to send."""
        return BatchWriter(pool, self.batching, max_pending=self.max_pending)
