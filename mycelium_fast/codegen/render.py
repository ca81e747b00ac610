"""From the model of a contracts file to source text, through one Jinja2 template per language.

What a template may use is written down in `_context` and `_environment`, nowhere else. The text is a
function of the contracts and the file's base name alone: no time, no path, no machine. Writing files,
compiling and comparing are left to `compile.py`, `drift.py` and the command line.
"""

from __future__ import annotations

import functools
import json
import math
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from .._version import __version__
from ..contracts.layout import HEADER_SIZE, MessageLayout, layout
from ..contracts.model import Contracts, Field, Message, Rule
from ..contracts.types import SCALARS, U256, Array, Bytes, Scalar, String, Vec
from ..errors import BuildError
from . import c_source, stub_source

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["TEMPLATES", "Language", "literal", "render", "template_dir"]

Language = Literal["cython", "stub", "python", "test"]

#: The template of every language, and what a generated file of it is called for people.
TEMPLATES: Final[dict[Language, str]] = {
    "cython": "messages.pyx.j2",
    "stub": "messages.pyi.j2",
    "python": "messages.py.j2",
    "test": "test_messages.py.j2",
}

_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
#: Columns of generated code, which is laid out as `ruff format` would with this setting.
LINE_LENGTH: Final = 110


def render(
    contracts: Contracts,
    language: Language,
    *,
    source_name: str | None = None,
    module: str | None = None,
) -> str:
    """Render a contracts file in one language.

    Args:
        contracts: the model, as `mycelium_fast.contracts.load` gives it.
        language: `"cython"`, `"stub"`, `"python"` or `"test"`.
        source_name: name of the contracts file to show in the first line; its base name alone is used.
            None takes that of `contracts.file`.
        module: for `"test"`, the dotted name of the module that is to be tested; None takes the stem of
            the file's name.

    Returns:
        The source text, ASCII alone, with a line feed at its end.

    Raises:
        BuildError: Jinja2 or the templates are not installed.
        ValueError: no such language, or `module` is no dotted name.
    """
    if language not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise ValueError(f"language {language!r} is not known; the languages are {known}")
    name = _base_name(contracts.file if source_name is None else source_name)
    if module is None:
        module = _identifier(name.rpartition(".")[0] or name)
    elif language == "test" and not _MODULE.fullmatch(module):
        raise ValueError(f"module {module!r} is no dotted Python name such as 'trading.messages'")
    template = _environment().get_template(TEMPLATES[language])
    return template.render(_context(contracts, name, module))


def _header(contracts: Contracts, source_name: str) -> str:
    """The first two lines of a generated file, the first without the "# " that begins it."""
    return f"Generated from {source_name} by mycelium-fast, do not edit.\n# sha256 {contracts.digest.hex()}"


def template_dir() -> Path:
    """The directory of the templates: inside the installed package, or beside it in a checkout.

    Raises:
        BuildError: neither is there.
    """
    package = Path(__file__).resolve().parent.parent
    for directory in (package / "codegen_templates", package.parent / "codegen_templates"):
        if (directory / TEMPLATES["python"]).is_file():
            return directory
    raise BuildError(
        f"the code templates are missing from {package}; the installation is incomplete: "
        "install mycelium-fast again"
    )


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


def _block(value: object, indent: int, *, tuples: bool = False, prefix: int = 0) -> str:
    """A literal with every item of a list or mapping on a line of its own, as formatters leave it alone.

    Args:
        value: as for `literal`; a tuple of two scalars stays on one line.
        indent: columns that the line which the literal begins on is indented by.
        tuples: write lists as tuples, those inside a mapping apart.
        prefix: columns between the indent and the literal, where `tuples` is given; a comma follows it.
    """
    pad = " " * (indent + 4)
    if isinstance(value, list) and (value or tuples):
        parts = [_block(item, indent + 4, tuples=tuples) for item in value]
        # The comma of a tuple of one is no sign for formatters that it is to stay on several lines.
        fits = len(parts) == 1 and indent + prefix + len(parts[0]) + 4 <= LINE_LENGTH
        if not parts or (tuples and fits and "\n" not in parts[0]):
            return f"({parts[0]},)" if parts else "()"
        opening, closing = "()" if tuples else "[]"
        lines = [f"{pad}{part},\n" for part in parts]
        return f"{opening}\n{''.join(lines)}{' ' * indent}{closing}"
    if isinstance(value, Mapping) and value:
        items = value.items()
        lines = [f"{pad}{literal(key)}: {_block(item, indent + 4)},\n" for key, item in items]
        return f"{{\n{''.join(lines)}{' ' * indent}}}"
    return literal(value)


def _rules(rules: tuple[Rule, ...]) -> list[object]:
    """Name and limit of every rule, as `block` prints them."""
    return [
        [rule.name, _plain(rule.limit)]
        if isinstance(rule.limit, Mapping | list | tuple) or len(f"{rule.name}{rule.limit}") > 60
        else (rule.name, rule.limit)
        for rule in rules
    ]


def _rule_limits(field: Field) -> dict[str, Any]:
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


def _wrapped(value: str, indent: int, prefix: int) -> str:
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


def _docstring(value: str, indent: int) -> str:
    """A docstring of free text, wrapped."""
    text = _docstring_text(value)
    if indent + len(text) + 6 <= LINE_LENGTH:
        return f'"""{text}"""'
    pad = " " * indent
    lines = textwrap.wrap(text, LINE_LENGTH - indent - 3, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1 and indent + len(text) + 3 > LINE_LENGTH:
        return f'"""{text}"""'  # one long word: no better on two lines
    return '"""' + f"\n{pad}".join(lines) + f'\n{pad}"""'


def _docstring_text(value: str) -> str:
    """Free text for inside a docstring: white space collapsed, quotes and everything not ASCII escaped."""
    text = " ".join(value.split())
    return "".join(
        "\\\\" if char == "\\" else r"\x22" if char == '"' else _escape(char, True) for char in text
    )


def _context(contracts: Contracts, source_name: str, module: str) -> dict[str, Any]:
    """What every template may use."""
    layouts = [layout(message) for message in contracts.messages]
    by_message: dict[str, MessageLayout] = {item.message.name: item for item in layouts}
    topics: list[tuple[str, tuple[Message, ...]]] = list(contracts.topics.items())
    return {
        # The whole model, and the layout of every message in file order.
        "contracts": contracts,
        "layouts": layouts,
        "layout_of": by_message,
        # [(topic, (message, ...)), ...] in order of first appearance.
        "topics": topics,
        # `# {{ header }}` is what a file begins with: two lines of comment, the second with the digest.
        "header": _header(contracts, source_name),
        "source_name": source_name,
        "digest": contracts.digest,
        "digest_hex": contracts.digest.hex(),
        "module": module,
        "version": __version__,
        "HEADER_SIZE": HEADER_SIZE,
        "SCALARS": SCALARS,
    }


@functools.lru_cache(maxsize=1)
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise BuildError(
            "generating code needs Jinja2, which is not installed: pip install 'mycelium-fast[build]'"
        ) from error
    # No autoescape: this is code, not HTML. Templates print identifiers (checked by the loader), numbers
    # and what the filters below made; free text passes through `literal`, `wrapped`, `block` or `docstring`.
    environment = Environment(
        loader=FileSystemLoader(template_dir(), encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters.update(
        literal=literal,
        block=_block,
        wrapped=_wrapped,
        rules=_rules,
        rule_limits=_rule_limits,
        docstring=_docstring,
        docstring_text=_docstring_text,
        c_string=_c_string,
        **c_source.FILTERS,
        **stub_source.FILTERS,
    )
    # {% if field.type is vec %}
    environment.tests.update(
        scalar=lambda value: isinstance(value, Scalar),
        integer=lambda value: isinstance(value, Scalar) and value.name[0] in "ui",
        floating=lambda value: isinstance(value, Scalar) and value.name[0] == "f",
        boolean_type=lambda value: value == Scalar("bool"),
        byte_array=lambda value: isinstance(value, Bytes),
        u256=lambda value: isinstance(value, U256),
        array=lambda value: isinstance(value, Array),
        string_type=lambda value: isinstance(value, String),
        vec=lambda value: isinstance(value, Vec),
    )
    return environment


def _c_string(value: str) -> str:
    """A C (and Cython char pointer) literal of the text's UTF-8; octal escapes cannot run on as hex do."""
    parts = []
    for byte in value.encode("utf-8", "surrogatepass"):
        plain = 0x20 <= byte < 0x7F and byte not in b'"\\?'
        parts.append(chr(byte) if plain else f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'


def _base_name(path: str) -> str:
    """The last part of a path, in ASCII and on one line whatever a file may be called."""
    name = re.split(r"[/\\]", path)[-1] or "contracts"
    return json.dumps(name)[1:-1].replace('\\"', "'").replace("\x7f", "\\u007f")


def _identifier(name: str) -> str:
    """A module name from the stem of a file's name."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name) or "messages"
    return f"_{text}" if text[0].isdigit() else text
