"""What a bridge knows of the messages that go through it: their sizes and names, the digest of all, and which
other digests it takes.

What two contracts files have in common, `contracts/compare.py` finds out; what becomes of a peer that names
another digest is `control.py`'s affair.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..contracts import Contracts, layout, load
from ..contracts.compare import compare
from ..errors import ContractError
from ..session import DIGEST_SIZE

__all__ = ["Accepted", "Schema", "accepted", "digest_or_file"]

_DIGEST: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * DIGEST_SIZE}}}")
_NEARLY_A_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{32,}")
#: Digits of a digest that are shown of one for people.
_SHORT: Final = 12


@dataclass(frozen=True)
class Accepted:
    """A schema of other bytes than the bridge's own, whose peers are let in.

    Attributes:
        digest: that they name, 32 bytes.
        name: what to call it: the file, or the beginning of the digest.
        types: type ids that it has in common with the bridge's own; None where nothing is known of it.
    """

    digest: bytes
    name: str
    types: frozenset[int] | None

    def facts(self) -> dict[str, str]:
        """What a line of the log says of it to machines."""
        return {"schema": self.digest.hex(), "schema_name": self.name}


@dataclass(frozen=True)
class Schema:
    """What is known of the messages.

    Attributes:
        digest: of the contracts file, 32 bytes; None where clients do not have to name one.
        sizes: payload bytes by type id; None where there are no contracts, and every type is let through.
        names: name and topic by type id.
        accepted: further schemas whose peers are let in, by digest; its own may be among them. Two schemas
            that differ in nothing else are equal: one can take the other's place while the bridge runs.
    """

    digest: bytes | None
    sizes: Mapping[int, int] | None
    names: Mapping[int, tuple[str, str]]
    accepted: Mapping[bytes, Accepted] = field(default_factory=dict, compare=False)

    @classmethod
    def load(cls, contracts: Path | None, *, handshake: bool, accept: Iterable[Path | bytes] = ()) -> Schema:
        """Read a contracts file, and those that are accepted beside it.

        Args:
            accept: contracts files, or digests of 32 bytes.

        Raises:
            ContractError: one cannot be used, or is not compatible on the wire; says where, and why.
            ValueError: there is something to accept, and no digest that clients have to name.
        """
        accept = tuple(accept)
        if accept and (contracts is None or not handshake):
            raise ValueError(
                "accept is for clients that name a schema digest: it needs contracts and the handshake"
            )
        if contracts is None:
            return cls(None, None, {})
        model = load(contracts)
        sizes = {message.type_id: layout(message).size for message in model.messages}
        names = {message.type_id: (message.name, message.topic) for message in model.messages}
        others: dict[bytes, Accepted] = {}
        for each in accept:
            other = accepted(each, model)
            # Of a digest that a file was given for as well, more is known.
            if other.digest not in others or others[other.digest].types is None:
                others[other.digest] = other
        return cls(model.digest if handshake else None, sizes, names, others)

    def others(self) -> tuple[Accepted, ...]:
        """Those of `accepted` that are not its own."""
        return tuple(each for digest, each in self.accepted.items() if digest != self.digest)

    def other(self, digest: bytes | None) -> Accepted | None:
        """Which of `others()` a digest is of; None for its own, and where there is none."""
        return None if digest in (None, self.digest) else self.accepted[digest]

    def name(self, type_id: int) -> str:
        """What to call a type in a text for people."""
        return self.names[type_id][0] if type_id in self.names else f"type {type_id}"


def accepted(entry: Path | bytes, own: Contracts) -> Accepted:
    """What is known of a schema that is to be accepted beside a bridge's own.

    Raises:
        ContractError: it is a file that cannot be used, or that is not compatible with `own` on the wire.
        ValueError: it is a digest of another length.
    """
    if isinstance(entry, bytes):
        if len(entry) != DIGEST_SIZE:
            raise ValueError(f"a schema digest to accept has {DIGEST_SIZE} bytes, not {len(entry)}")
        return Accepted(entry, f"digest {entry.hex()[:_SHORT]}...", None)
    try:
        other = load(entry)
    except ContractError as error:
        if os.path.lexists(entry) or not _NEARLY_A_DIGEST.fullmatch(entry.name):
            raise
        digits = len(entry.name)
        advice = f"; if a digest is meant, it has {2 * DIGEST_SIZE} hexadecimal digits, and this {digits}"
        problems = [(line, column, text + advice) for line, column, text in error.problems]
        raise ContractError(error.file, problems) from None
    newer = (other.version or 0) > (own.version or 0)
    found = compare(own, other) if newer else compare(other, own)
    if not found.wire_compatible:
        text = f"cannot be accepted beside {own.file}: their peers would not understand each other:"
        raise ContractError(
            other.file, [(0, 0, "\n".join((text, *(f"  - {each}" for each in found.obstacles))))]
        )
    # (As text that everything can show: a label of metrics is UTF-8, which a file's name need not be.)
    name = os.fsencode(entry).decode(errors="backslashreplace")
    return Accepted(other.digest, name, found.shared_type_ids)


def digest_or_file(text: str, folder: Path | None = None) -> Path | bytes:
    """What people write for a schema to accept: 64 hexadecimal digits, or the path of a contracts file.

    Args:
        folder: that a path is relative to; None for the process's own.
    """
    if _DIGEST.fullmatch(text):
        return bytes.fromhex(text)
    return Path(text) if folder is None else folder / text
