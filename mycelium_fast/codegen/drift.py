"""Whether generated files are what the contracts file would give today: `mycelium check`.

A source file is rendered again and compared as text; a compiled module, which cannot be, is searched for
the digest that it carries. Nothing is imported, compiled or changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Final

from ..contracts.model import Contracts
from .render import Language, render, render_template

__all__ = ["Drift", "check", "is_generated"]

_HEADER: Final = re.compile(
    r"\W{1,9}Generated from .* by mycelium-fast, do not edit\.[^\w\n]*\n"
    r"\W{1,9}sha256 (?P<digest>[0-9a-f]{64})[^\w\n]*\n"
)
#: What generated files of any version and language begin with.
_FIRST_LINE: Final = re.compile(rb"\W{1,9}Generated from .* by mycelium-fast, do not edit")
_TEST_MODULE: Final = re.compile(r'^MODULE = "(?P<module>[\w.]+)"$', re.MULTILINE)
_COMPILED: Final = (".so", ".pyd", ".dylib")
_SUFFIXES: Final[dict[str, Language]] = {
    ".pyi": "stub",
    ".pyx": "cython",
    ".rs": "rust",
    ".h": "c",
    ".ml": "ocaml",
}
_REGENERATE: Final = "generate it again from the contracts file"
#: Characters of a line that are shown.
_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Drift:
    """One file that is not what the contracts file gives; `str()` of it is for people.

    Attributes:
        path: as it was given.
        line: the first line that differs, from 1; 0 where the fault is in no line.
        reason: what is wrong and what to do.
    """

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.line else f"{self.path}: {self.reason}"


def check(
    contracts: Contracts,
    paths: Iterable[str | PathLike[str]],
    templates: Iterable[str | PathLike[str]] = (),
) -> list[Drift]:
    """Compare generated files with what the contracts give.

    Args:
        contracts: the model of the contracts file.
        paths: generated files: `.py` (plain Python or the pytest file), `.pyi`, `.pyx`, `.rs`, `.h`, `.ml`,
            or a compiled module.
        templates: of your own: `messages.jl.j2` is the one of files that end in `.jl`.

    Returns:
        The files that differ, in the order given; empty if all is well.

    Raises:
        BuildError: what rendering needs is not installed, or a template of yours is wrong.
    """
    by_suffix = {Path(fspath(each).removesuffix(".j2")).suffix: fspath(each) for each in templates}
    drifts = []
    for each in paths:
        path = fspath(each)
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            drift: Drift | None = Drift(path, 0, f"cannot be read: {error.strerror or error}")
        else:
            if path.endswith(_COMPILED):
                drift = _check_compiled(contracts, path, data)
            else:
                drift = _check_source(contracts, path, data, by_suffix)
        if drift is not None:
            drifts.append(drift)
    return drifts


def is_generated(data: bytes) -> bool:
    """Whether a source file was generated, going by its first line: such a file may be overwritten."""
    return _FIRST_LINE.match(data) is not None


def _check_compiled(contracts: Contracts, path: str, data: bytes) -> Drift | None:
    if contracts.digest in data:
        return None
    reason = (
        f"does not carry the digest {contracts.digest.hex()} of {contracts.file}: it was built from another "
        "version of the contracts, or is no generated module; run `mycelium build` again"
    )
    return Drift(path, 0, reason)


def _check_source(contracts: Contracts, path: str, data: bytes, templates: Mapping[str, str]) -> Drift | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Drift(path, 0, "is neither a text file nor a compiled module (.so, .pyd)")
    header = _HEADER.match(text)
    if header is None:
        reason = 'does not begin with the two lines of a generated file ("Generated from ...", sha256)'
        return Drift(path, 1, f"{reason}: {_REGENERATE}")
    if header["digest"] != contracts.digest.hex():
        reason = (
            f"generated from contracts with the digest {header['digest']}, but {contracts.file} has "
            f"{contracts.digest.hex()}: {_REGENERATE}"
        )
        return Drift(path, 2, reason)
    suffix = Path(path).suffix
    if suffix in templates:
        expected = render_template(contracts, templates[suffix])
    else:
        language, module = _language(suffix, text)
        if language is None:
            known = ", ".join((".py", *_SUFFIXES))
            reason = f"is of no kind that is known here ({known}, a compiled module); name its template"
            return Drift(path, 0, reason)
        expected = render(contracts, language, module=module)
    # Line ends are the version control's business: it may check a file out with others.
    found = text.replace("\r\n", "\n")
    return None if found == expected else _first_difference(path, expected.split("\n"), found.split("\n"))


def _language(suffix: str, text: str) -> tuple[Language | None, str | None]:
    """What a generated file is, and for a pytest file the module that it imports."""
    if suffix != ".py":
        return _SUFFIXES.get(suffix), None
    test = _TEST_MODULE.search(text)
    return ("test", test["module"]) if test else ("python", None)


def _first_difference(path: str, expected: list[str], found: list[str]) -> Drift:
    """Where two texts differ that are not the same, split at line feeds: the last piece has none after it."""
    common = min(len(expected), len(found))
    at = next((index for index in range(common) if expected[index] != found[index]), common)
    if at >= len(expected) - 1 and len(found) >= len(expected):
        at = len(expected) - 1
        reason = f"goes on with {_shown(found[at])} where it should end"
    elif at == len(found) == len(expected) - 1:
        at -= 1
        reason = f"has no line feed after {_shown(found[at])}"
    elif at >= len(found) - 1 and found[at:] in ([], [""]):
        reason = f"ends where {_shown(expected[at])} is expected"
    else:
        reason = f"expected {_shown(expected[at])}, found {_shown(found[at])}"
    return Drift(path, at + 1, f"{reason}: {_REGENERATE}")


def _shown(line: str) -> str:
    return repr(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...")
