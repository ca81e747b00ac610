"""Single values of a bridge's configuration, as people write them: sizes, durations, modes, addresses.

A reader is called with what the file or the command line has, and gives the value or raises a `ValueError`
whose text begins with "must". Which key has which reader is `config_keys.py`'s affair.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from ..bus.toml_tables import did_you_mean, nearest, show

__all__ = [
    "Reader",
    "account",
    "choice",
    "command",
    "duration",
    "environment",
    "flag",
    "host_and_port",
    "mode",
    "name",
    "optional",
    "patterns",
    "rate",
    "schemas",
    "size",
    "text",
    "texts",
    "whole",
]

_T = TypeVar("_T")
Reader = Callable[[object], _T]

_SIZE_UNITS: Final = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
#: Seconds that a duration may have: what timers of the system and of asyncio take.
_MAX_DURATION_S: Final = 365 * 24 * 3600.0
_MAX_PORT: Final = 65_535
_MAX_MODE: Final = 0o777
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NOT_IN_HOST: Final = re.compile(r"[\s/@?#\x00\[\]]")


def flag(value: object) -> bool:
    """`true` or `false`."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"must be true or false, not {show(value)}")


def text(value: object) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value and "\0" not in value:
        return value
    raise ValueError(f"must be text that is not empty, not {show(value)}")


def texts(value: object) -> tuple[str, ...]:
    """A text, or a list of them with at least one."""
    each = [value] if isinstance(value, str) else value
    if isinstance(each, list) and each and all(isinstance(item, str) and item for item in each):
        return tuple(each)
    advice = "; leave the key out for no restriction" if value == [] else ""
    raise ValueError(f"must be text or a list of texts, not {show(value)}{advice}")


def schemas(value: object) -> tuple[str, ...]:
    """Contracts files and schema digests: texts; an empty list is none."""
    each = [value] if isinstance(value, str) else value
    if isinstance(each, list) and all(isinstance(item, str) and item and "\0" not in item for item in each):
        return tuple(each)
    raise ValueError(f"must be a list of contracts files and schema digests, not {show(value)}")


def name(value: object) -> str:
    """What listeners and workers are called by: it stands in patterns, and in labels of metrics."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise ValueError(
        f"must be 1 to 64 letters, digits, dots, hyphens and underscores of ASCII, not {show(value)}"
    )


def choice(*words: str) -> Reader[str]:
    """One of some words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        wanted = " or ".join((", ".join(f'"{word}"' for word in words[:-1]), f'"{words[-1]}"'))
        advice = did_you_mean(value, words) if isinstance(value, str) else ""
        raise ValueError(f"must be {wanted}, not {show(value)}{advice}")

    return read


def whole(minimum: int, maximum: int) -> Reader[int]:
    """A whole number within bounds."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum:
            return value
        raise ValueError(f"must be a whole number from {minimum} to {maximum}, not {show(value)}")

    return read


def size(minimum: int, maximum: int) -> Reader[int]:
    """Bytes: a whole number of them, or text such as "16 MiB"."""

    def read(value: object) -> int:
        count = _bytes(value)
        if minimum <= count <= maximum:
            return count
        raise ValueError(f"must be from {minimum} to {maximum} bytes, not {show(value)}")

    return read


def _bytes(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(r"([0-9]{1,18}) ?([A-Za-z]*)", value) if isinstance(value, str) else None
    if found and (found[2] in _SIZE_UNITS or not found[2]):
        return int(found[1]) * _SIZE_UNITS.get(found[2], 1)
    near = nearest(found[2], _SIZE_UNITS) if found else None
    advice = f'; did you mean "{found[1]} {near}"?' if found and near else ""
    raise ValueError(
        f'must be a number of bytes, or text with KiB, MiB or GiB such as "16 MiB", not {show(value)}{advice}'
    )


def duration(*, zero: bool = False) -> Reader[float]:
    """Seconds: a number of them, or text such as "500ms", "5s", "2m", "1h".

    Args:
        zero: whether no time at all is one.
    """

    def read(value: object) -> float:
        seconds = _seconds(value)
        if seconds <= _MAX_DURATION_S and (seconds > 0 or (zero and seconds == 0)):
            return seconds
        least = "0" if zero else "more than 0"
        raise ValueError(f"must be from {least} to {_MAX_DURATION_S:.0f} seconds, not {show(value)}")

    return read


def _seconds(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # (An int may be larger than any float.)
        return float(value) if abs(value) <= _MAX_DURATION_S else math.inf
    found = (
        re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([a-z]+)", value) if isinstance(value, str) else None
    )
    if found is None or found[2] not in _DURATION_UNITS:
        raise ValueError(
            f'must be a number of seconds, or text with ms, s, m or h such as "500ms", not {show(value)}'
        )
    return float(found[1]) * _DURATION_UNITS[found[2]]


def rate(read: Reader[Any]) -> Reader[float]:
    """So many a second; `read` is for what is counted."""

    def number(value: object) -> float:
        if isinstance(value, float) and 0 < value < math.inf:
            return value
        return float(read(value))

    return number


def optional(read: Reader[_T], word: str) -> Reader[_T | None]:
    """What may be switched off by a word."""

    def either(value: object) -> _T | None:
        if value == word:
            return None
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f'{error} (or "{word}")') from None

    return either


def mode(value: object) -> int:
    """Permission bits as octal text, as in `chmod`."""
    if isinstance(value, str) and re.fullmatch(r"[0-7]{1,4}", value) and int(value, 8) <= _MAX_MODE:
        return int(value, 8)
    raise ValueError(
        f'must be permission bits as octal text from "0" to "0777" such as "0660", not {show(value)}'
    )


def host_and_port(value: object) -> tuple[str, int]:
    """`HOST:PORT` to listen at: an empty host is every address, port 0 a free one, `[::1]:7777` is IPv6."""
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    right = colon and bracketed == (":" in bare) and not _NOT_IN_HOST.search(bare)
    if right and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= _MAX_PORT:
        return bare, int(port)
    advice = "; an IPv6 address stands in brackets" if ":" in bare and not bracketed else ""
    raise ValueError(f"must be HOST:PORT with a port from 0 to {_MAX_PORT}, not {show(value)}{advice}")


def patterns(value: object) -> tuple[str, ...]:
    """What says which types: texts, and type ids as numbers; an empty list is none."""
    each: Iterable[object] = value if isinstance(value, list) else [value]
    found = []
    for item in each:
        if isinstance(item, int) and not isinstance(item, bool) and item >= 0:
            found.append(str(item))
        elif isinstance(item, str) and item:
            found.append(item)
        else:
            raise ValueError(f"must be a list of message names, type ids and topics, not {show(value)}")
    return tuple(found)


def command(value: object) -> tuple[str, ...]:
    """A program and its arguments."""
    words = value if isinstance(value, list) else []
    if all(isinstance(each, str) and "\0" not in each for each in words) and words and words[0]:
        return tuple(words)
    advice = ""
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError:
            words = []
        advice = f"; write {show(words)}: no shell is asked" if words else ""
    raise ValueError(f"must be a list of a program and its arguments, not {show(value)}{advice}")


def environment(value: object) -> dict[str, str | None]:
    """Variables with text; `false` removes one."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of variables, not {show(value)}")
    found: dict[str, str | None] = {}
    for key, item in value.items():
        if not key or "=" in key or "\0" in key:
            raise ValueError(f"must have names of variables as its keys, which {show(key)} is not")
        if item is not False and (not isinstance(item, str) or "\0" in item):
            advice = f'; write "{item}"' if isinstance(item, (int, float)) and item is not True else ""
            raise ValueError(f"must have text for {key}, or false to remove it, not {show(item)}{advice}")
        found[key] = None if item is False else item
    return found


def account(value: object) -> str:
    """A user or a group: its name, or its number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1:
        return str(value)
    if isinstance(value, str) and value and "\0" not in value:
        return value
    raise ValueError(f"must be a name or a number, not {show(value)}")
