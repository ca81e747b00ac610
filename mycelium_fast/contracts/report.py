"""What is wrong, or doubtful, in a contracts file: collected while it is read, raised at the end.

This file has the collecting, the quoting of what the file says and the search for what was probably meant.
What is right and what is wrong is for the files that read the parts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from ..errors import ContractError
from .model import Position

__all__ = ["Report", "did_you_mean", "nearest", "show"]

#: Similarity (`difflib` ratio) from which a word counts as a near miss.
_NEAR: Final = 0.75
_SHOWN: Final = 60


class Report:
    """Problems and warnings of one file; the same text at the same place counts once."""

    def __init__(self) -> None:
        self._problems: set[tuple[int, int, str]] = set()
        self._warnings: set[tuple[int, int, str]] = set()

    def error(self, position: Position, text: str) -> None:
        """Note something that makes the file unusable."""
        self._problems.add((position.line, position.column, text))

    def warn(self, position: Position, text: str) -> None:
        """Note something that is allowed and probably not meant."""
        self._warnings.add((position.line, position.column, text))

    @property
    def has_problems(self) -> bool:
        """Whether the file is unusable."""
        return bool(self._problems)

    @property
    def warnings(self) -> tuple[tuple[int, int, str], ...]:
        """The warnings in file order."""
        return tuple(sorted(self._warnings))

    def raise_problems(self, file: str) -> None:
        """Raise a ContractError with every problem, if there is one."""
        if self._problems:
            raise ContractError(file, sorted(self._problems))


def show(text: str) -> str:
    """Quote text from the file, on one line and not too long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}... ({len(text)} characters)"


def nearest(word: str, known: Iterable[str], cutoff: float = _NEAR) -> str | None:
    """The known word that `word` is a near miss of, letter case aside; None where none is near."""
    by_lower = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    found = difflib.get_close_matches(word[:200].lower().replace("-", "_"), by_lower, 1, cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], cutoff: float = _NEAR) -> str:
    """The end of an error text: a question with the nearest known word, or nothing."""
    match = nearest(word, known, cutoff)
    return f"; did you mean {match!r}?" if match else ""
