"""What the stub template needs beyond the layout: annotations of fields, and which names they use.

A getter gives one exact type; a setter and the constructor take whatever the codec takes for it. A field
may be called like a built-in (`int`, `property`), which then means the field in the rest of its class: such
classes spell built-ins with their module.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from ..contracts.layout import MessageLayout
from ..contracts.model import Field, Message
from ..contracts.types import U256, Array, Bytes, FieldType, Scalar, String, Vec

__all__ = ["FILTERS"]

_BUILTINS: Final = ("bool", "bytes", "float", "int", "list", "property", "str", "tuple")
_BUILTIN: Final = re.compile(rf"(?<![\w.])(?:{'|'.join(_BUILTINS)})(?!\w)")
_LINE_LENGTH: Final = 110


def read_type(field: Field, message: Message) -> str:
    """The annotation of what a field gives."""
    return spelled(_read(field.type), message)


def write_type(field: Field, message: Message) -> str:
    """The annotation of what a field takes."""
    return spelled(_write(field.type), message)


def spelled(text: str, message: Message) -> str:
    """An annotation or decorator as it has to be spelled in the class of a message."""
    if shadows(message):
        return _BUILTIN.sub(lambda match: f"_builtins.{match.group()}", text)
    return text


def shadows(message: Message) -> bool:
    """Whether a field of the message has the name of a built-in that annotations use."""
    return any(field.python_name in _BUILTINS for field in message.fields)


def receiver(message: Message) -> str:
    """The first parameter of the constructor: `self`, unless a field has that name."""
    name = "self"
    while any(field.python_name == name for field in message.fields):
        name += "_"
    return name


def setter(field: Field, message: Message) -> str:
    """The line, or lines, of a setter's definition."""
    arguments = f"self, value: {write_type(field, message)}"
    line = f"    def {field.python_name}({arguments}) -> None: ..."
    if len(line) <= _LINE_LENGTH:
        return line
    return f"    def {field.python_name}(\n        {arguments}\n    ) -> None: ..."


def to_tuple(message: Message) -> str:
    """The line that types `to_tuple()`; empty where it would be too long, and the base class's has to do."""
    values = spelled(f"tuple[{', '.join(_read(field.type) for field in message.fields)}]", message)
    line = f"    def to_tuple(self) -> {values}: ..."
    return line if len(line) <= _LINE_LENGTH else ""


def uses(layouts: list[MessageLayout]) -> set[str]:
    """The private names that the annotations of some messages use."""
    text = " ".join(_write(place.field.type) for item in layouts for place in item.fields)
    names = {name for name in ("_Bytes", "_Float", "_Int", "_Sequence") if name in text}
    if any(shadows(item.message) for item in layouts):
        names.add("_builtins")
    return names


def _read(type_: FieldType) -> str:
    if isinstance(type_, Vec):
        return "bytes" if type_.element == Scalar("u8") else f"list[{_read(type_.element)}]"
    if isinstance(type_, Array):
        return f"tuple[{_read(type_.element)}, ...]"
    if isinstance(type_, Scalar):
        return {"f": "float", "b": "bool"}.get(type_.name[0], "int")
    return "str" if isinstance(type_, String) else "bytes"


def _write(type_: FieldType) -> str:
    if isinstance(type_, Vec | Array):
        sequence = f"_Sequence[{_write(type_.element)}]"
        return f"_Bytes | {sequence}" if type_.element == Scalar("u8") else sequence
    if isinstance(type_, Scalar):
        return {"f": "_Float", "b": "bool"}.get(type_.name[0], "_Int")
    if isinstance(type_, U256):
        return "_Bytes | _Int"
    return "_Bytes" if isinstance(type_, Bytes) else "str"


#: Under these names the template has them.
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "read_type": read_type,
    "receiver": receiver,
    "setter": setter,
    "spelled": spelled,
    "to_tuple": to_tuple,
    "uses": uses,
    "write_type": write_type,
}
