"""Why a connection, or a request on it, is refused: the codes of `Reject`, and the texts for people.

The connection decides that something is refused; this module says it, in a frame to the peer or as an error
to this program.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from ..errors import (
    HandshakeError,
    PermissionDenied,
    SchemaMismatchError,
    TransportError,
)

if TYPE_CHECKING:
    from .core import Reject

__all__ = ["REGENERATE", "RejectCode", "error_of", "mismatch", "others", "shortened", "unexplained"]

REGENERATE: Final = "Regenerate both ends from the same contracts file, then connect again."


class RejectCode(enum.IntEnum):
    """`Reject.code`."""

    DIGEST = 1
    PERMISSION = 2
    LIMIT = 3
    PROTOCOL = 4
    VERSION = 5


def mismatch(theirs: bytes, ours: bytes | None, remark: str = "") -> SchemaMismatchError:
    """Two digests that differ, both known.

    Args:
        remark: what else there is to say of it; "" for nothing.
    """
    known = "not known here" if ours is None else ours.hex()
    said = f" ({remark})" if remark else ""
    return SchemaMismatchError(
        f"the peer's schema digest {theirs.hex()} is not ours, {known}{said}. {REGENERATE}"
    )


def others(count: int) -> str:
    """What a server that refuses a digest says of further ones that it accepts; "" for none."""
    if not count:
        return ""
    return f"accepts {count} other schema digest{'' if count == 1 else 's'}, of which this is none"


def unexplained(ours: bytes | None) -> HandshakeError:
    """The peer closed on our first bytes, without a word."""
    if ours is None:
        return HandshakeError(
            "the peer closed the connection before it said anything: it may expect a schema digest, "
            "which this end did not send (handshake=False). Its log would say so."
        )
    return SchemaMismatchError(
        "the peer closed the connection on our handshake: it uses another contracts file, most likely. "
        f"Our schema digest is {ours.hex()}; the peer's is not known, it closed without a word. "
        f"{REGENERATE} An endpoint that expects no handshake needs handshake=False, one that speaks TLS "
        "needs tls=, and one with mutual TLS a certificate of this client."
    )


def error_of(reject: Reject, ours: bytes | None, *, connecting: bool) -> TransportError:
    """The error that a `Reject` amounts to.

    Args:
        ours: the digest that we sent.
        connecting: it came before the peer showed that it accepts us.
    """
    if reject.code == RejectCode.DIGEST:
        return mismatch(reject.digest, ours, reject.reason)
    what = "the peer refuses the connection" if reject.fatal else "the peer refuses a request"
    if reject.type_id:
        what += f" concerning type id {reject.type_id}"
    reason = reject.reason or "it gives no reason"
    if reject.code == RejectCode.PERMISSION:
        return PermissionDenied(f"{what}: {reason}. Its access rules have to allow it first.")
    if reject.code == RejectCode.LIMIT:
        return TransportError(f"{what}, a limit is reached: {reason}")
    if reject.code == RejectCode.VERSION:
        return HandshakeError(f"{what}: {reason}. Both ends need a version of the protocol in common.")
    text = f"{what}: {reason} (code {reject.code})"
    return HandshakeError(text) if connecting else TransportError(text)


def shortened(text: str, size: int) -> str:
    """At most `size` bytes of the text's UTF-8, cut between characters."""
    data = text.encode(errors="replace")
    return text if len(data) <= size else data[: size - 3].decode(errors="ignore") + "..."
