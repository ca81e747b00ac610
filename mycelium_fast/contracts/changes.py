"""What a comparison of two contracts files consists of: changes, and what each does to whom.

The words of the format that `mycelium diff` prints and documents. They are found in `compare.py`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from .layout import MessageLayout
from .model import Position

__all__ = ["HARMFUL", "Change", "Effect", "Effects", "Finding", "Level", "SharedMessage", "Verdict", "worst"]


class Effect(enum.Enum):
    """What happens to messages of the one file at those who read with the other, the least harmful first."""

    #: Every value comes out as it went in.
    SAME = "same"
    #: The reader does not see a field; what it does see is right.
    LOST = "lost"
    #: The reader does not know the type id: it skips the frame and counts it.
    SKIPPED = "skipped"
    #: Some values that the writer's contract allows are refused.
    REFUSED_SOME = "refused-some"
    #: Every message is refused.
    REFUSED = "refused"
    #: Bytes are taken, and some of them for another value.
    MISREAD = "misread"


#: Effects that a reader cannot live with.
HARMFUL: Final = frozenset({Effect.REFUSED_SOME, Effect.REFUSED, Effect.MISREAD})


def worst(effects: Iterable[Effect]) -> Effect:
    """The most harmful of some effects; SAME for none."""
    order = list(Effect)
    return max(effects, key=order.index, default=Effect.SAME)


class Level(enum.Enum):
    """How much a change matters."""

    #: Peers or recordings of the other file do not get on with it.
    BREAKING = "breaking"
    #: Nothing breaks on the wire; somebody has to know.
    WARNING = "warning"
    #: Nothing to do.
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a change does to one audience, and in what way."""

    effect: Effect
    text: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What a change does to whom.

    Attributes:
        old_readers: programs of the old file that get messages of new ones.
        new_readers: programs of the new file that get messages of old ones.
        stored: recordings of messages of old programs, read with the new file.
    """

    old_readers: Verdict
    new_readers: Verdict
    stored: Verdict

    @property
    def harmful(self) -> bool:
        """Whether anybody refuses or misreads anything."""
        return any(each.effect in HARMFUL for each in (self.old_readers, self.new_readers, self.stored))


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        kind: what changed, one of a fixed set of words such as `"field-added"`.
        message: the message concerned, by the new file's name for it where that has it; None for the file.
        field: likewise.
        old_position: of what changed in the old file; None where that does not have it.
        new_position: likewise in the new file.
    """

    kind: str
    level: Level
    message: str | None
    type_id: int | None
    field: str | None
    text: str
    effects: Effects
    old_position: Position | None
    new_position: Position | None


@dataclass(frozen=True, slots=True)
class SharedMessage:
    """A type id that both files have, and what happens to its messages in all.

    Attributes:
        same_message: whether the type id stands for the same message, renamed or not.
        moved: whether a field lies elsewhere, has another type, is new or is gone.
        obstacles: why a peer of the one file cannot exchange it with one of the other; empty if it can.
        old_names: of the new message's fields that the old one has as well, their names there.
    """

    type_id: int
    old: MessageLayout
    new: MessageLayout
    same_message: bool
    moved: bool
    old_readers: Effect
    new_readers: Effect
    stored: Effect
    obstacles: tuple[str, ...]
    old_names: Mapping[str, str] = dataclasses.field(hash=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the `schema` section: its id and versions, measured against what changed.

    Attributes:
        level: `"error"`, `"warning"` or `"note"`.
    """

    level: str
    text: str
