"""On which line a key of a TOML document stands, which the standard library's parser does not tell.

It takes text that the parser has accepted, and looks at its outline alone: headers, and keys of tables. What
is within a value, such as an inline table, has the line of that value.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Lines"]

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}=\n]"
    r"""|[^\s\[\]{}="'\#]+"""
    r"|[^\S\n]+",
    re.DOTALL,
)
_KEY_PART: Final = re.compile(r"""("(?:\\.|[^"\\])*"|'[^']*')|([A-Za-z0-9_-]+)""")


class Lines:
    """The lines of a document's keys, by paths such as `nodes[1].endpoint.kind`."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._table = ""
        statement: list[str] = []
        start, line, depth, equals = 1, 1, 0, False
        for match in _TOKEN.finditer(text):
            token = match[0]
            if token in ("[", "{"):
                depth += 1
            elif token in ("]", "}"):
                depth -= 1
            elif token == "\n" and depth == 0:
                self._note(statement, start, equals)
                statement, equals = [], False
            if token == "=" and depth == 0:
                equals = True
            if not equals and not token.isspace() and not token.startswith("#"):
                if not statement:
                    start = line
                statement.append(token)
            line += token.count("\n")
        self._note(statement, start, equals)

    def find(self, path: str) -> int:
        """The line of a key, or of the nearest that it is within; 0 where none is known."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return 0

    def _note(self, statement: list[str], line: int, equals: bool) -> None:
        if not statement:
            return
        keys = [_unquoted(match) for match in _KEY_PART.finditer("".join(statement))]
        if equals:
            self._add(self._table, keys, line)
            return
        # A header: every part but the last is a table, or the latest of a list of tables.
        self._table = self._add("", keys[:-1], line)
        self._table = f"{self._table}.{keys[-1]}" if self._table else keys[-1]
        if statement[:2] == ["[", "["]:
            self._lines.setdefault(self._table, line)
            index = self._counts[self._table] = self._counts.get(self._table, -1) + 1
            self._table = f"{self._table}[{index}]"
        self._lines.setdefault(self._table, line)

    def _add(self, path: str, keys: list[str], line: int) -> str:
        for key in keys:
            path = f"{path}.{key}" if path else key
            self._lines.setdefault(path, line)
            if path in self._counts:
                path = f"{path}[{self._counts[path]}]"
        return path


def _unquoted(match: re.Match[str]) -> str:
    """A part of a key, as `repr()` shows it where it has to be quoted."""
    if match[1] is None:
        return match[2]
    text = match[1][1:-1]
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else repr(text)
