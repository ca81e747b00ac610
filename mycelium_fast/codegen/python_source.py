"""What the templates that render Python need beyond the layout: literals, docstrings, tables on many lines.

Free text goes into Python through `literal`, `wrapped`, `block` or `docstring`, and comes out as ASCII on
lines that `ruff format` leaves alone.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..contracts.model import Field, Rule

__all__ = ["FILTERS", "LINE_LENGTH", "docstring", "literal"]

#: Columns of generated code, which is laid out as `ruff format` would with this setting.
LINE_LENGTH: Final = 110


def literal(value: object) -> str:
    """A Python literal of a value, ASCII alone and on one line; the only way for free text into output.

    Text stands in double quotes, in single ones where that saves escapes, as `ruff format` has it.

    Raises:
        TypeError: the value is no str, bytes, bool, int, float, None, tuple, list or mapping of those.
    """
    if value is None or isinstance(value, (bool, int)):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, bytes):
        return "b" + _quote(value.decode("latin-1"), keep=False)
    if isinstance(value, (tuple, list)):
        items = [literal(item) for item in value]
        if isinstance(value, list):
            return f"[{', '.join(items)}]"
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    raise TypeError(f"a {type(value).__name__} has no literal in generated code")


def _quote(text: str, *, keep: bool = True) -> str:
    escaped = "".join(_ESCAPES.get(char) or _escape(char, keep) for char in text)
    if '"' not in escaped:
        return f'"{escaped}"'
    if "'" not in escaped:
        return f"'{escaped}'"
    # Both kinds: an escape that closes neither, so that no formatter wants to change the quotes.
    return '"{}"'.format(escaped.replace('"', r"\x22"))


_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(char: str, keep: bool) -> str:
    code = ord(char)
    if 0x20 <= code < 0x7F:
        return char
    if code <= 0xFF:
        return f"\\x{code:02x}"
    assert keep  # bytes were decoded as Latin-1 and hold nothing above 0xFF
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def block(value: object, indent: int, *, tuples: bool = False, prefix: int = 0) -> str:
    """A literal with every item of a list or mapping on a line of its own, as formatters leave it alone.

    Args:
        value: as for `literal`; a tuple of two scalars stays on one line.
        indent: columns that the line which the literal begins on is indented by.
        tuples: write lists as tuples, those inside a mapping apart.
        prefix: columns between the indent and the literal, where `tuples` is given; a comma follows it.
    """
    pad = " " * (indent + 4)
    if isinstance(value, list) and (value or tuples):
        parts = [block(item, indent + 4, tuples=tuples) for item in value]
        # The comma of a tuple of one is no sign for formatters that it is to stay on several lines.
        fits = len(parts) == 1 and indent + prefix + len(parts[0]) + 4 <= LINE_LENGTH
        if not parts or (tuples and fits and "\n" not in parts[0]):
            return f"({parts[0]},)" if parts else "()"
        opening, closing = "()" if tuples else "[]"
        lines = [f"{pad}{part},\n" for part in parts]
        return f"{opening}\n{''.join(lines)}{' ' * indent}{closing}"
    if isinstance(value, Mapping) and value:
        items = value.items()
        lines = [f"{pad}{literal(key)}: {block(item, indent + 4)},\n" for key, item in items]
        return f"{{\n{''.join(lines)}{' ' * indent}}}"
    return literal(value)


def rules(rules: tuple[Rule, ...]) -> list[object]:
    """Name and limit of every rule, as `block` prints them."""
    return [
        [rule.name, _plain(rule.limit)]
        if isinstance(rule.limit, Mapping | list | tuple) or len(f"{rule.name}{rule.limit}") > 60
        else (rule.name, rule.limit)
        for rule in rules
    ]


def rule_limits(field: Field) -> dict[str, Any]:
    """The limits of a field's rules by name; of two of one name, the one that leaves less."""
    limits: dict[str, Any] = {}
    for rule in field.rules:
        tighter = max if rule.name.startswith("min") else min
        limits[rule.name] = tighter(rule.limit, limits.get(rule.name, rule.limit))
    return limits


def _plain(value: object) -> object:
    """The same data with lists for tuples."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def wrapped(value: str, indent: int, prefix: int) -> str:
    """A literal of a text, in pieces between parentheses where a line would be too long.

    Args:
        value: the text.
        indent: columns that the line is indented by.
        prefix: columns between the indent and the literal; a comma follows it.
    """
    single = _quote(value)
    if indent + prefix + len(single) + 1 <= LINE_LENGTH:
        return single
    room = LINE_LENGTH - indent - 4
    pieces, rest = [], value
    while rest:
        # An escape is up to ten columns wide: find the longest piece whose literal has room.
        length = min(len(rest), room)
        while len(_quote(rest[:length])) > room:
            length -= max(1, (len(_quote(rest[:length])) - room) // 10)
        space = rest.rfind(" ", 0, length)
        if length < len(rest) and space > length // 2:
            length = space + 1
        pieces.append(_quote(rest[:length]))
        rest = rest[length:]
    pad = " " * indent
    return "(\n" + "".join(f"{pad}    {piece}\n" for piece in pieces) + f"{pad})"


def docstring(value: str, indent: int) -> str:
    """A docstring of free text, wrapped."""
    text = docstring_text(value)
    if indent + len(text) + 6 <= LINE_LENGTH:
        return f'"""{text}"""'
    pad = " " * indent
    lines = textwrap.wrap(text, LINE_LENGTH - indent - 3, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1 and indent + len(text) + 3 > LINE_LENGTH:
        return f'"""{text}"""'  # one long word: no better on two lines
    return '"""' + f"\n{pad}".join(lines) + f'\n{pad}"""'


def docstring_text(value: str) -> str:
    """Free text for inside a docstring: white space collapsed, quotes and everything not ASCII escaped."""
    text = " ".join(value.split())
    return "".join(
        "\\\\" if char == "\\" else r"\x22" if char == '"' else _escape(char, True) for char in text
    )


#: Under these names the templates have them.
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "block": block,
    "docstring": docstring,
    "docstring_text": docstring_text,
    "literal": literal,
    "rule_limits": rule_limits,
    "rules": rules,
    "wrapped": wrapped,
}
