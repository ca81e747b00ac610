"""What a bridge knows of the messages that go through it: their sizes and names, and the digest of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..contracts import layout, load

__all__ = ["Schema"]


@dataclass(frozen=True)
class Schema:
    """What is known of the messages.

    Attributes:
        digest: of the contracts file, 32 bytes; None where clients do not have to name one.
        sizes: payload bytes by type id; None where there are no contracts, and every type is let through.
        names: name and topic by type id.
    """

    digest: bytes | None
    sizes: Mapping[int, int] | None
    names: Mapping[int, tuple[str, str]]

    @classmethod
    def load(cls, contracts: Path | None, *, handshake: bool) -> Schema:
        """Read a contracts file.

        Raises:
            ContractError: it cannot be used; says where.
        """
        if contracts is None:
            return cls(None, None, {})
        model = load(contracts)
        sizes = {message.type_id: layout(message).size for message in model.messages}
        names = {message.type_id: (message.name, message.topic) for message in model.messages}
        return cls(model.digest if handshake else None, sizes, names)

    def name(self, type_id: int) -> str:
        """What to call a type in a text for people."""
        return self.names[type_id][0] if type_id in self.names else f"type {type_id}"
