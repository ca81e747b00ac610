"""What the template that renders Rust needs beyond the layout: names, types, doc comments, rules.

Names keep clear of Rust's keywords and prelude and of what the template itself defines; free text reaches
the output only through `string` and `doc`. Sizes and offsets come from `contracts/layout.py`.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..contracts.layout import FieldLayout, MessageLayout
from ..contracts.model import Rule
from ..contracts.types import SCALARS, U256, Array, Bytes, Element, Scalar, String, Vec
from .names import (
    capacity_text,
    comment_lines,
    plain_text,
    rule_text,
    snake_case,
    styled,
    unique,
    upper_camel,
)

__all__ = ["FILTERS"]

#: Messages over so many bytes stand in a box of their own in the enum of all messages.
_BOXED_OVER: Final = 1024
#: Columns of a doc comment's text.
_DOC_WIDTH: Final = 96

#: Words that are no names of fields: keywords of every edition, and the reserved ones.
_KEYWORDS: Final = frozenset(
    (
        *("_", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue"),
        *("crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if"),
        *("impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv"),
        *("pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type"),
        *("typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield"),
    )
)
#: Types and variants of the template, and the prelude's: a program may use everything of a generated module.
_TYPE_NAMES: Final = frozenset(
    (
        *("_", "Self", "AFTER", "BEFORE", "CAPACITY", "M", "N", "STORAGE", "T", "BufferError"),
        *("CapacityError", "DecodeError", "DecodeFault", "Definition", "FixedString", "FixedVec"),
        *("Frame", "FrameError", "FrameHeader", "HandshakeError", "Message", "Payload", "RuleError"),
        *("DIGEST_LENGTH", "HANDSHAKE", "HEADER_SIZE", "MAX_PAYLOAD", "MESSAGES", "SCHEMA_DIGEST"),
        *("AsMut", "AsRef", "AsyncFn", "AsyncFnMut", "AsyncFnOnce", "Box", "Clone", "Copy", "Debug"),
        *("Default", "Deref", "DerefMut", "Display", "DoubleEndedIterator", "Drop", "Eq", "Err"),
        *("Error", "ExactSizeIterator", "Extend", "Fn", "FnMut", "FnOnce", "From", "FromIterator"),
        *("Future", "Hash", "Hasher", "Into", "IntoFuture", "IntoIterator", "Iterator", "None", "Ok"),
        *("Option", "Ord", "Ordering", "PartialEq", "PartialOrd", "Result", "Send", "Sized", "Some"),
        *("String", "Sync", "Take", "ToOwned", "ToString", "TryFrom", "TryInto", "Unpin", "Vec"),
    )
)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a struct: a field of the contract, or padding, where `place` is None."""

    name: str
    type: str
    offset: int
    place: FieldLayout | None


# --- Names ------------------------------------------------------------------------------------------------


def type_names(layouts: Sequence[MessageLayout]) -> dict[str, str]:
    """The struct (and variant) of every message, by the contract's name."""
    return styled([item.message.name for item in layouts], upper_camel, _TYPE_NAMES)


def members(item: MessageLayout) -> list[Member]:
    """The members of a message's struct in the order of memory, with the padding made explicit."""
    names = styled([place.field.name for place in item.fields], snake_case, _KEYWORDS)
    found = [Member(names[place.field.name], type_(place), place.offset, place) for place in item.fields]
    pads = unique((f"pad_{index}" for index in range(len(item.padding))), _KEYWORDS.union(names.values()))
    for name, (start, end) in zip(pads, item.padding, strict=True):
        found.append(Member(name, f"[u8; {end - start}]", start, None))
    return sorted(found, key=lambda member: member.offset)


def fields(item: MessageLayout) -> list[tuple[str, FieldLayout]]:
    """Rust's name and the layout of every field, in contract order."""
    return [(member.name, member.place) for member in members(item) if member.place is not None]


# --- Types ------------------------------------------------------------------------------------------------


def type_(place: FieldLayout) -> str:
    """The Rust type of a field."""
    kind = place.field.type
    contents = place.contents_offset - place.offset
    if isinstance(kind, String):
        return f"FixedString<{kind.capacity}, {place.size - contents}>"
    if isinstance(kind, Vec):
        after = place.size - contents - kind.capacity * place.element_size
        return f"FixedVec<{_element(kind.element)}, {kind.capacity}, {contents - 2}, {after}>"
    if isinstance(kind, Array):
        return f"[{_element(kind.element)}; {kind.length}]"
    return _element(kind)


def _element(kind: Element) -> str:
    if isinstance(kind, U256):
        return "[u8; 32]"
    return kind.name if isinstance(kind, Scalar) else f"[u8; {kind.length}]"


def boxed(item: MessageLayout) -> bool:
    """Whether a message is too large to stand in the enum of all messages as it is."""
    return item.size > _BOXED_OVER


# --- Text -------------------------------------------------------------------------------------------------


def string(text: str) -> str:
    """A Rust string literal, ASCII alone."""
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    # A lone surrogate has no escape in Rust, nor a place in its strings.
    if "\ud800" <= char <= "\udfff":
        return "\\u{fffd}"
    return char if " " <= char <= "~" else f"\\u{{{ord(char):x}}}"


def rows(data: bytes) -> list[str]:
    """Bytes as the lines of an array, 16 in each."""
    return [", ".join(f"0x{byte:02x}" for byte in data[at : at + 16]) for at in range(0, len(data), 16)]


def doc(text: str, indent: int = 0) -> str:
    """Free text as the lines of a `///` comment; no character of it is markup to rustdoc.

    Args:
        indent: columns before every line but the first.
    """
    lines = comment_lines(text, _DOC_WIDTH) or ["Not described."]
    return f"\n{' ' * indent}".join(f"/// {_inert(line)}" for line in lines)


def _inert(line: str) -> str:
    """A line of free text in Markdown: punctuation that may mean something has a backslash before it."""
    line = re.sub(r"[\\`*_\[\]<>&~|#$^{}@]|(?<=[A-Za-z]):(?=//)|(?<=www)\.", r"\\\g<0>", line)
    # Lists and underlined headings begin a line.
    return re.sub(r"^([0-9]*)([-+=.):])", r"\1\\\2", line)


def about(place: FieldLayout) -> str:
    """What a field is, in Markdown: type, capacity, where it lies, what is checked and what is not."""
    kind, capacity = place.field.type, capacity_text(place.field)
    optional = ", optional" if place.field.optional else ""
    text = f"`{kind}`{capacity}{optional}; bytes {place.offset} to {place.end} of the payload."
    if place.field.rules:
        text += f" Rules: {', '.join(f'`{rule_text(rule)}`' for rule in place.field.rules)}."
    if place.field.context_rules:
        names = ", ".join(_inert(plain_text(rule.name)) for rule in place.field.context_rules)
        text += f" Not checked here: {names}."
    return text


def limit_text(rule: Rule) -> str:
    """The limit as errors show it; empty where the rule has none."""
    return "" if rule.limit is True else str(rule.limit)


# --- Rules ------------------------------------------------------------------------------------------------


def checks(item: MessageLayout) -> list[tuple[str, FieldLayout, Rule, str]]:
    """Name, layout, rule and the condition that breaks it, of every rule that some value can break."""
    found = []
    for name, place in fields(item):
        for rule in place.field.rules:
            condition = _broken(place, rule, f"self.{name}")
            if condition:
                found.append((name, place, rule, condition))
    return found


def _broken(place: FieldLayout, rule: Rule, value: str) -> str:
    """A Rust condition, true where the field breaks the rule; empty where no value can."""
    kind = place.field.type
    if rule.name == "not_empty":
        return f"{value}.is_empty()"
    if rule.name == "min_length":
        return f"{value}.len() < {rule.limit}"
    if rule.name == "max_length":
        return "" if rule.limit >= place.count else f"{value}.len() > {rule.limit}"
    if rule.name == "no_0x_prefix":
        return f"has_0x_prefix({value}.as_bytes())"
    if rule.name == "not_zero":
        return f"wire::Field::is_zero(&{value})"
    if rule.name not in ("min", "max"):
        raise ValueError(f"{place.field.name}: no Rust for the rule {rule.name!r}")
    below = rule.name == "min"
    sign = "<" if below else ">"
    if isinstance(kind, U256):
        if rule.limit <= 0 if below else rule.limit >= 2**256 - 1:
            return ""
        return f"{value} {sign} u256(0x{rule.limit >> 128:x}, 0x{rule.limit & (2**128 - 1):x})"
    assert isinstance(kind, Scalar), kind
    if kind.name[0] == "f":
        return f"{value}.is_nan() || {value} {sign} {_float(rule.limit, kind.name)}"
    limit = math.ceil(rule.limit) if below else math.floor(rule.limit)
    bits = SCALARS[kind.name] * 8
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind.name[0] == "i" else (0, 2**bits - 1)
    if limit <= low if below else limit >= high:
        return ""
    return f"{value} {sign} {limit}"


def _float(value: float, name: str) -> str:
    """A literal of exactly this number, with no more digits than the type can tell apart."""
    text = repr(float(value))
    if name == "f32":
        bits = struct.pack("<f", value)
        shorter = (f"{float(value):.{digits}g}" for digits in range(1, 10))
        text = next((each for each in shorter if _same_f32(each, bits)), text)
    return text if re.search(r"[.e]", text) else f"{text}.0"


def _same_f32(text: str, bits: bytes) -> bool:
    try:
        return struct.pack("<f", float(text)) == bits
    except OverflowError:  # rounded up beyond the largest
        return False


def shown(place: FieldLayout, name: str) -> str:
    """A Rust expression for what an error shows of a value: a number as it is, the size of all else."""
    kind = place.field.type
    if isinstance(kind, Scalar):
        return f'format!("{{:?}}", self.{name})'
    if isinstance(kind, String):
        return f'format!("a value of {{}} bytes", self.{name}.len())'
    if isinstance(kind, Vec):
        return f'format!("a value of {{}} elements", self.{name}.len())'
    size, unit = (place.size, "bytes") if isinstance(kind, (Bytes, U256)) else (place.count, "elements")
    return f'"a value of {size} {unit}".to_string()'


#: Under these names, after the language's and a dot, the template has them.
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "about": about,
    "boxed": boxed,
    "checks": checks,
    "doc": doc,
    "fields": fields,
    "limit_text": limit_text,
    "members": members,
    "rows": rows,
    "shown": shown,
    "string": string,
    "type": type_,
    "type_names": type_names,
}
