"""The fields of a message: from the nodes under `fields` to the model.

Types are parsed by `types.py` and rules checked by `rules.py`; what an unknown type was probably meant to be
is found here.
"""

from __future__ import annotations

import re
from typing import Final

from .model import Field, field_python_name
from .report import Report, nearest, show
from .rules import capacity_of, check_rules, read_validation
from .section import Section, require_name, take_python_name
from .source import ListNode, MapNode, Node, ScalarNode, describe, given_twice
from .types import SCALARS, FieldType, TypeSyntaxError, parse_type

__all__ = ["read_fields"]

_FIELD_KEYS: Final = ("type", "description", "optional", "validation")
#: What other formats call these keys.
_FIELD_SYNONYMS: Final = {"constraints": "validation", "kind": "type", "rules": "validation"}
_TYPE_WORDS: Final = (*SCALARS, "U256", "String", "Vec")
_TYPES_ARE: Final = "types are u8 to u128, i8 to i128, f32, f64, bool, U256, String, [T; N] and Vec<T>"
#: Longer than any type with reasonable white space; keeps error texts short.
_MAX_TYPE_TEXT: Final = 100
#: Less than for keys: type names are short, and one letter is much of them.
_NEAR_TYPE: Final = 0.6
#: Names from other languages that are not near enough by spelling.
_FOREIGN_TYPES: Final = {
    "boolean": "bool",
    "byte": "u8",
    "bytes": "Vec<u8>",
    "char": "u8",
    "double": "f64",
    "float": "f64",
    "float32": "f32",
    "float64": "f64",
    "int": "i64",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "list": "Vec",
    "long": "i64",
    "str": "String",
    "text": "String",
    "uint8": "u8",
    "uint16": "u16",
    "uint32": "u32",
    "uint64": "u64",
    "usize": "u64",
}


def read_fields(node: Node | None, message: str, report: Report) -> tuple[Field, ...] | None:
    """Read the fields of a message in order.

    Args:
        node: the value of `fields`; None where the key is missing, which has been reported.

    Returns:
        None, and at least one problem, where a field is wrong and no layout can be computed.
    """
    if node is None:
        return None
    if not isinstance(node, MapNode):
        advice = "write 'fields: {}' for a message without fields"
        if isinstance(node, ListNode):
            advice = "write 'price: {type: u64}' rather than '- name: price'"
        report.error(
            node.position,
            f"{message}: fields must be a map from name to type, not {describe(node)}; {advice}",
        )
        return None
    for key, first in node.duplicates:
        report.error(key.position, f"{message}: {given_twice(f'the field {show(key.text)}', first)}")
    taken: dict[str, str] = {}
    fields: list[Field] = []
    for key, value in node.entries:
        named = require_name(key, f"{message}: field", report)
        if named:
            python_name = field_python_name(key.text)
            take_python_name(key, python_name, taken, f"{message}: the fields", report)
        owner = f"{message}.{key.text}" if named else f"{message}: field {show(key.text)}"
        field = _read_field(key, value, owner, report)
        if named and field is not None:
            fields.append(field)
    return tuple(fields) if len(fields) == len(node.entries) else None


def _read_field(key: ScalarNode, node: Node, owner: str, report: Report) -> Field | None:
    if not isinstance(node, MapNode):
        advice = ""
        if isinstance(node, ScalarNode) and _is_type(node.text):
            advice = f"; write '{{type: {node.text}}}'"
        report.error(node.position, f"{owner} must be a map with a type, not {describe(node)}{advice}")
        return None
    section = Section(report, node, owner, key.position, _FIELD_KEYS, _FIELD_SYNONYMS)
    entries = read_validation(section.get("validation"), owner, report)
    type_node = section.require("type", _TYPES_ARE)
    type_ = _read_type(type_node, capacity_of(entries), owner, report)
    rules, context_rules = check_rules(entries, type_, owner, report)
    description = section.description()
    optional = section.flag("optional", default=False)
    extra = section.extra()
    if type_ is None or not isinstance(type_node, ScalarNode):
        return None
    return Field(
        name=key.text,
        python_name=field_python_name(key.text),
        type=type_,
        # Runs of white space become one space: a line break in here could end a comment of generated code.
        type_text=" ".join(type_node.text.split()),
        description=description,
        optional=optional,
        rules=rules,
        context_rules=context_rules,
        extra=extra,
        position=key.position,
    )


def _read_type(node: Node | None, capacity: int | None, owner: str, report: Report) -> FieldType | None:
    if node is None:
        return None
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or len(node.text) > _MAX_TYPE_TEXT:
        advice = "quote it: type: '[u8; 20]'" if isinstance(node, ListNode) else _TYPES_ARE
        report.error(
            node.position, f"{owner}: type must be the text of a type, not {describe(node)}; {advice}"
        )
        return None
    try:
        return parse_type(node.value, capacity)
    except TypeSyntaxError as error:
        text = str(error)
        if text.startswith("unknown type"):
            text += _type_advice(node.value)
        report.error(node.position, f"{owner}: {text}")
        return None


def _is_type(text: str) -> bool:
    try:
        parse_type(text)
    except TypeSyntaxError:
        return False
    return True


def _type_advice(text: str) -> str:
    """The end of "unknown type ...": what was probably meant, or what there is."""
    for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text[:200]):
        if word in _TYPE_WORDS:
            continue
        meant = _FOREIGN_TYPES.get(word.lower()) or nearest(word, _TYPE_WORDS, _NEAR_TYPE)
        corrected = re.sub(rf"\b{word}\b", meant, text) if meant is not None else text
        return f"; did you mean {corrected!r}?" if _is_type(corrected) else f"; {_TYPES_ARE}"
    return f"; {_TYPES_ARE}"
