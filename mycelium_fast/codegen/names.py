"""What the templates of every language share: names in a language's own style, and free text for comments.

A language has its own keywords, and its own way of ending a comment: those are in its `*_source.py`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from ..contracts.model import Field, Rule
from ..contracts.types import String

__all__ = [
    "capacity_text",
    "comment_lines",
    "plain_text",
    "rule_text",
    "snake_case",
    "styled",
    "unique",
    "upper_camel",
]

#: Where one word of a name ends: "fooBar", "HTTPServer", "foo2Bar".
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """A contract's name in small letters: `poolAddress` and `PoolAddress` become `pool_address`."""
    return "_".join(_WORD.split(name)).lower()


def upper_camel(name: str) -> str:
    """A contract's name with its words' first letters large: `pool_state` becomes `PoolState`.

    An underscore stays where the name would change its meaning without: at either end and between digits.
    """
    body = name.strip("_")
    lead = name[: len(name) - len(name.lstrip("_"))]
    trail = name[len(name.rstrip("_")) :] if body else ""
    words = re.sub(r"(?<![0-9])_+|_+(?![0-9])", " ", body).split()
    return lead + "".join(word[0].upper() + word[1:] for word in words) + trail


def unique(wanted: Iterable[str], taken: Collection[str] = ()) -> list[str]:
    """Names like those wanted, each once: one that is taken, or came before, gets underscores at its end.

    Args:
        wanted: in the order in which they claim their names.
        taken: keywords, say, and names that the template uses itself.
    """
    used = set(taken)
    found: list[str] = []
    for each in wanted:
        name = each
        while name in used:
            name += "_"
        used.add(name)
        found.append(name)
    return found


def styled(names: Sequence[str], style: Callable[[str], str], taken: Collection[str]) -> dict[str, str]:
    """A language's name for each name of a contract; one that may stay as it is makes way for no other.

    Args:
        style: what makes the language's name, were it free.
        taken: as of `unique`.
    """
    order = sorted(names, key=lambda name: style(name) != name or name in taken)
    return dict(zip(order, unique(map(style, order), taken), strict=True))


def rule_text(rule: Rule) -> str:
    """A rule of a contract as errors show it: `max: 30`."""
    return rule.name if rule.limit is True else f"{rule.name}: {rule.limit}"


def capacity_text(field: Field) -> str:
    """What follows a type in a comment: `, at most 32 bytes of UTF-8`; empty where there is no capacity."""
    if field.capacity is None:
        return ""
    unit = "bytes of UTF-8" if isinstance(field.type, String) else "elements"
    return f", at most {field.capacity} {unit}"


def plain_text(text: str) -> str:
    """Free text on one line, for people: white space collapsed; what cannot be seen, or changes the direction
    of what is around it, by its number (`<U+202E>`)."""
    return "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in " ".join(text.split()))


def comment_lines(text: str, width: int) -> list[str]:
    """`plain_text` in lines of at most so many columns; a longer word has a line of its own."""
    return textwrap.wrap(plain_text(text), width, break_long_words=False, break_on_hyphens=False)
