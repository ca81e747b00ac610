"""Reading a TOML document table by table: what is wrong with it is collected, and said at once with lines.

What keys there are and what they mean is for those who read the tables: `topology.py`, and the bridge for
its own.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import TopologyError
from .toml_lines import Lines

__all__ = [
    "Problem",
    "did_you_mean",
    "listed",
    "nearest",
    "parse",
    "quoted",
    "raise_problems",
    "read_text",
    "show",
    "unknown_keys",
]

#: Path of a key, such as `nodes[1].port`, and what is wrong with it.
Problem = tuple[str, str]

#: Similarity (`difflib` ratio) from which a word counts as a near miss.
_NEAR: Final = 0.6
#: Characters of a value that an error shows.
_MAX_SHOWN: Final = 60


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file.

    Raises:
        TopologyError: it cannot be read (a missing file is a `FileNotFoundError` as well), or is not UTF-8.
    """
    name = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise _MissingFile(f"{name}: there is no such topology file") from error
    except OSError as error:
        raise TopologyError(f"{name}: cannot be read: {error.strerror}") from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TopologyError(f"{name}:{line}: not UTF-8 text, which TOML has to be") from error


def parse(text: str, file: str) -> dict[str, Any]:
    """A document's tables; TopologyError where it is not TOML."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        document: dict[str, Any] = tomllib.loads(text)
    # (Integers of thousands of digits are a plain ValueError, to which a TOMLDecodeError belongs.)
    except (ValueError, RecursionError) as error:
        where = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = f":{where[1]}" if where else ""
        raise TopologyError(f"{file}{line}: not valid TOML: {error}") from None
    return document


def raise_problems(problems: Sequence[Problem], text: str, file: str) -> None:
    """Raise a TopologyError with every problem in the order of the file, if there is one."""
    if not problems:
        return
    lines = Lines(text)
    raise TopologyError(
        "\n".join(
            f"{file}:{line}: {key}: {said}" if line else f"{file}: {key}: {said}"
            for line, key, said in sorted({(lines.find(key), key, said) for key, said in problems})
        )
    )


def unknown_keys(
    table: Mapping[str, Any], here: str, known: Iterable[str], problems: list[Problem]
) -> set[str]:
    """Note keys that nobody knows; the known ones that are probably meant by them."""
    known = tuple(known)
    meant: set[str] = set()
    for key in table:
        if key not in known:
            near = nearest(key, [each for each in known if each not in table])
            meant.update([near] if near else [])
            advice = f"did you mean {near!r}?" if near else f"there are {listed(known)}"
            path = f"{here}.{quoted(key)}" if here else quoted(key)
            problems.append((path, f"is not a known key; {advice}"))
    return meant


def quoted(key: str) -> str:
    """A key as a part of a path."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else repr(key)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is a near miss of; None where none is near."""
    by_lower = {each.lower().replace("-", "_"): each for each in known}
    found = difflib.get_close_matches(word[:200].lower().replace("-", "_"), by_lower, 1, _NEAR)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question with the nearest known word, to be put after a word in an error's text; or nothing."""
    near = nearest(word, known)
    return f" (did you mean {near!r}?)" if near else ""


def listed(names: Iterable[str]) -> str:
    """Names for an error's text."""
    return ", ".join(names) or "none"


def show(value: object) -> str:
    """A value for an error's text, not too long."""
    try:
        text = repr(value)
    except ValueError:  # of an integer of thousands of digits
        text = "." * (_MAX_SHOWN + 1)
    if len(text) <= _MAX_SHOWN:
        return text
    for kind, word in ((dict, "a table"), (list, "a list"), (int, "a number of many digits")):
        if isinstance(value, kind):
            return word
    return f"{text[:_MAX_SHOWN]}…"


class _MissingFile(TopologyError, FileNotFoundError):
    """What programs written for the older SDK expect of a file that is not there."""
