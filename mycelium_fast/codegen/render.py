"""From the model of a contracts file to source text, through one Jinja2 template per language.

What a template may use is written down in `_context` and `_environment`, nowhere else. The text is a
function of the contracts and the file's base name alone: no time, no path, no machine. Writing files,
compiling and comparing are left to `compile.py`, `drift.py` and the command line.
"""

from __future__ import annotations

import functools
import json
import re
import traceback
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from .._version import __version__
from ..contracts.layout import HEADER_SIZE, MessageLayout, layout
from ..contracts.model import Contracts, Message
from ..contracts.types import SCALARS, U256, Array, Bytes, Scalar, String, Vec
from ..errors import BuildError
from . import c_source, header_source, names, ocaml_source, python_source, rust_source, stub_source

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["TEMPLATES", "Language", "render", "render_template", "template_dir"]

Language = Literal["cython", "stub", "python", "test", "rust", "c", "ocaml"]

#: The template of every language, and what a generated file of it is called for people.
TEMPLATES: Final[dict[Language, str]] = {
    "cython": "messages.pyx.j2",
    "stub": "messages.pyi.j2",
    "python": "messages.py.j2",
    "test": "test_messages.py.j2",
    "rust": "messages.rs.j2",
    "c": "messages.h.j2",
    "ocaml": "messages.ml.j2",
}

_LANGUAGE_FILTERS: Final[dict[str, Mapping[str, Callable[..., Any]]]] = {
    "rust": rust_source.FILTERS,
    "c": header_source.FILTERS,
    "ocaml": ocaml_source.FILTERS,
}
_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


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
        language: a key of `TEMPLATES`.
        source_name: name of the contracts file to show in the first line; its base name alone is used.
            None takes that of `contracts.file`.
        module: for `"test"`, the dotted name of the module that is to be tested; None takes the stem of
            the file's name.

    Returns:
        The source text, with a line feed at its end. ASCII alone but for comments of Rust, C and OCaml.

    Raises:
        BuildError: Jinja2 or the templates are not installed.
        ValueError: no such language, or `module` is no dotted name.
    """
    if language not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise ValueError(f"language {language!r} is not known; the languages are {known}")
    if language == "test" and module is not None and not _MODULE.fullmatch(module):
        raise ValueError(f"module {module!r} is no dotted Python name such as 'trading.messages'")
    template = _environment().get_template(TEMPLATES[language])
    return template.render(_context(contracts, source_name, module))


def render_template(contracts: Contracts, template: str | PathLike[str]) -> str:
    """Render a contracts file with a template of your own (docs/porting.md).

    Args:
        contracts: the model, as `mycelium_fast.contracts.load` gives it.
        template: a file of Jinja2; it may use whatever the templates of this package use.

    Raises:
        BuildError: the template cannot be read, or is wrong; says where. Or Jinja2 is not installed.
    """
    path = fspath(template)
    environment = _environment()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"the template {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BuildError(f"the template {path} cannot be read: it is not UTF-8") from None
    try:
        # Compiled under its own name, so that what goes wrong in it has a line.
        code = environment.compile(text, filename=path)
        compiled = environment.template_class.from_code(environment, code, environment.make_globals(None))
        return compiled.render(_context(contracts, None, None))
    except Exception as error:  # whatever its expressions raise
        raise BuildError(f"{path}:{_line(error, path)}: {error or type(error).__name__}") from error


def _line(error: Exception, path: str) -> int:
    """The line of a template that an error comes from."""
    places = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in places if frame.filename == path and frame.lineno]
    return getattr(error, "lineno", None) or (lines[-1] if lines else 1)


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


def _context(contracts: Contracts, source_name: str | None, module: str | None) -> dict[str, Any]:
    """What every template may use."""
    name = _base_name(contracts.file if source_name is None else source_name)
    stem = _identifier(name.rpartition(".")[0] or name)
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
        # {{ header("# ") }} is what a file begins with: two lines of comment, the second with the digest.
        "header": functools.partial(_header, contracts, name),
        "source_name": name,
        # Its name without the suffix, as an identifier.
        "stem": stem,
        "digest": contracts.digest,
        "digest_hex": contracts.digest.hex(),
        "module": stem if module is None else module,
        "version": __version__,
        "HEADER_SIZE": HEADER_SIZE,
        "SCALARS": SCALARS,
        # The text of codec/wire.h.
        "wire_h": _wire_h,
    }


def _header(contracts: Contracts, source_name: str, begin: str, end: str = "") -> str:
    """The first two lines of a generated file.

    Args:
        begin, end: what makes a line a comment.
    """
    if end:  # what ends a comment must not stand in it
        source_name = re.sub(r"[^\w .,+@%-]", "_", source_name)
    first = f"{begin}Generated from {source_name} by mycelium-fast, do not edit.{end}"
    return f"{first}\n{begin}sha256 {contracts.digest.hex()}{end}"


def _wire_h() -> str:
    return Path(__file__).resolve().parent.parent.joinpath("codec", "wire.h").read_text(encoding="utf-8")


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
    filters: dict[str, Callable[..., Any]] = {
        "snake_case": names.snake_case,
        "upper_camel": names.upper_camel,
        "comment_lines": names.comment_lines,
    }
    for more in (python_source.FILTERS, c_source.FILTERS, stub_source.FILTERS):
        filters.update(more)
    # Of the other languages under the language's name: {{ field | rust.type }}
    for language, own in _LANGUAGE_FILTERS.items():
        filters.update((f"{language}.{name}", function) for name, function in own.items())
    environment.filters.update(filters)
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


def _base_name(path: str) -> str:
    """The last part of a path, in ASCII and on one line whatever a file may be called."""
    name = re.split(r"[/\\]", path)[-1] or "contracts"
    return json.dumps(name)[1:-1].replace('\\"', "'").replace("\x7f", "\\u007f")


def _identifier(name: str) -> str:
    """A module name from the stem of a file's name."""
    text = re.sub(r"[^A-Za-z0-9_]", "_", name) or "messages"
    return f"_{text}" if text[0].isdigit() else text
