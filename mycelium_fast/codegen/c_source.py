"""What the templates that render C need beyond the layout: constants, struct members, rules as expressions.

The constants and the helpers that the expressions call are in `codec/message.h` and `codec/wire.h`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from ..contracts.layout import FieldLayout, MessageLayout
from ..contracts.model import Message, Rule
from ..contracts.types import U256, Scalar, String, Vec

__all__ = ["FILTERS"]

_C_INTEGERS: Final = {
    "u8": ("f[0]", 0, 2**8 - 1),
    "u16": ("myc_load_u16(f)", 0, 2**16 - 1),
    "u32": ("myc_load_u32(f)", 0, 2**32 - 1),
    "u64": ("myc_load_u64(f)", 0, 2**64 - 1),
    "i8": ("(int8_t)f[0]", -(2**7), 2**7 - 1),
    "i16": ("myc_load_i16(f)", -(2**15), 2**15 - 1),
    "i32": ("myc_load_i32(f)", -(2**31), 2**31 - 1),
    "i64": ("myc_load_i64(f)", -(2**63), 2**63 - 1),
    "u128": ("", 0, 2**128 - 1),
    "i128": ("", -(2**127), 2**127 - 1),
}
_U256_MAX: Final = 2**256 - 1


def kind(field: FieldLayout) -> str:
    """The constant of `message.h` that says what a field is."""
    return f"MYC_{_kind_name(field)}"


def element_kind(field: FieldLayout) -> str:
    """The same of an array's or Vec's elements; the field's own for any other type."""
    element = getattr(field.field.type, "element", None)
    return kind(field) if element is None else f"MYC_{_element_name(element)}"


def _kind_name(field: FieldLayout) -> str:
    type_ = field.field.type
    return _element_name(type_) if isinstance(type_, Scalar) else type(type_).__name__.upper()


def _element_name(element: object) -> str:
    return element.name.upper() if isinstance(element, Scalar) else type(element).__name__.upper()


def members(item: MessageLayout) -> list[tuple[str, int]]:
    """Name and size of every member of the packed struct: the fields, with the padding made explicit."""
    at = {field.offset: (f"f_{field.field.name}", field.size) for field in item.fields}
    for index, (start, end) in enumerate(item.padding):
        at[start] = (f"pad_{index}", end - start)
    return [at[offset] for offset in sorted(at)]


def has_rules(item: MessageLayout) -> bool:
    """Whether any field has a rule to check."""
    return any(field.field.rules for field in item.fields)


def has_check(item: MessageLayout) -> bool:
    """Whether a payload can be wrong, or have bytes to set to zero."""
    counted = any(isinstance(field.field.type, (String, Vec)) for field in item.fields)
    return counted or bool(item.padding) or any(element_kind(field) == "MYC_BOOL" for field in item.fields)


def class_docstring(message: Message) -> str:
    """The description after a signature, in the form in which C functions have theirs for `inspect`."""
    fields = ", ".join(field.python_name for field in message.fields)
    return f"{message.python_name}({fields})\n--\n\n{message.description.strip() or message.name}"


def rule_pairs(rules: tuple[Rule, ...]) -> tuple[tuple[str, object], ...]:
    """Name and limit of rules, in the order in which C numbers them."""
    return tuple((rule.name, rule.limit) for rule in rules)


def broken(field: FieldLayout, rule: Rule) -> str:
    """A C expression, true where the field that starts at `const uint8_t *f` breaks a rule."""
    contents = field.contents_offset - field.offset
    if rule.name == "not_empty":
        return "myc_load_u16(f) == 0"
    if rule.name == "min_length":
        return f"myc_load_u16(f) < {rule.limit}"
    if rule.name == "max_length":
        return f"myc_load_u16(f) > {rule.limit}"
    if rule.name == "no_0x_prefix":
        return "myc_0x_prefix(f)"
    if rule.name == "not_zero":
        if isinstance(field.field.type, Vec):
            return f"!myc_any_bit(f + {contents}, (size_t)myc_load_u16(f) * {field.element_size})"
        return f"!myc_any_bit(f, {field.size})"
    if rule.name in ("min", "max"):
        return _beyond(field, rule)
    raise ValueError(f"{field.field.name}: no C for the rule {rule.name!r}")


def _beyond(field: FieldLayout, rule: Rule) -> str:
    type_, below = field.field.type, rule.name == "min"
    if isinstance(type_, U256):
        outside = _outside(rule.limit, below, 0, _U256_MAX)
        literal = "".join(f"\\{byte:03o}" for byte in (int(rule.limit) & _U256_MAX).to_bytes(32, "big"))
        return outside or f'memcmp(f, "{literal}", 32) {"<" if below else ">"} 0'
    assert isinstance(type_, Scalar), type_
    if type_.name in ("f32", "f64"):
        # Negated, so that NaN breaks either rule.
        return f"!(myc_load_{type_.name}(f) {'>=' if below else '<='} {_c_double(rule.limit)})"
    value, lowest, highest = _C_INTEGERS[type_.name]
    limit = math.ceil(rule.limit) if below else math.floor(rule.limit)
    if outside := _outside(limit, below, lowest, highest):
        return outside
    if type_.name in ("u128", "i128"):
        # a > b is !(a < b + 1); b + 1 fits, since b is not the highest value.
        bound = limit if below else limit + 1
        high, low = bound >> 64, bound & (2**64 - 1)
        less = f"myc_{type_.name}_less(f, {_c_integer(high, type_.name[0])}, {_c_integer(low, 'u')})"
        return less if below else f"!{less}"
    return f"{value} {'<' if below else '>'} {_c_integer(limit, type_.name[0])}"


def _outside(limit: int, below: bool, lowest: int, highest: int) -> str:
    """A constant, where no value of the type or every one of them breaks the rule."""
    if limit <= lowest if below else limit >= highest:
        return "0"
    if limit > highest if below else limit < lowest:
        return "1"
    return ""


def _c_integer(value: int, sign: str) -> str:
    if sign == "u":
        return f"UINT64_C({value})"
    # The lowest number has no literal of its own in C.
    return "INT64_MIN" if value == -(2**63) else f"INT64_C({value})"


def _c_double(value: float) -> str:
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return "NAN" if math.isnan(value) else float(value).hex()


def c_string(value: str) -> str:
    """A C (and Cython char pointer) literal of the text's UTF-8; octal escapes cannot run on as hex do."""
    parts = []
    for byte in value.encode("utf-8", "surrogatepass"):
        plain = 0x20 <= byte < 0x7F and byte not in b'"\\?'
        parts.append(chr(byte) if plain else f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'


#: Under these names the templates have them.
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "broken": broken,
    "c_string": c_string,
    "class_docstring": class_docstring,
    "element_kind": element_kind,
    "has_check": has_check,
    "has_rules": has_rules,
    "kind": kind,
    "members": members,
    "rule_pairs": rule_pairs,
}
