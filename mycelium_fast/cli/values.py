"""Values of fields as people and JSON write them: to text, from text, and what is expected where it is wrong.

Only form and range are looked at here; a contract's rules are checked where messages are built.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, Literal

from mycelium_fast.contracts.types import U256, Array, Bytes, FieldType, Scalar, String, Vec, parse_type

__all__ = ["ValueForm", "shown", "to_json"]

_INTEGER: Final = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+(_[0-9a-fA-F]+)*|[0-9]+(_[0-9]+)*)")
#: Digits of the longest integer, a U256, and then some: int() takes no more than some thousands.
_MAX_DIGITS: Final = 200
_U256_SIZE: Final = 32

Kind = Literal["integer", "float", "bool", "text", "bytes", "list"]


class ValueForm:
    """How the values of one field are written.

    Args:
        definition: of the field, as a message class has it.

    Attributes:
        name: the contract's.
        kind: what it is compared and written as; `Vec<u8>` and `U256` are bytes.
        expected: what a value is, in words.
        example: a value that fits the field and its rules, as `parse` takes it.
    """

    def __init__(self, definition: Any) -> None:
        self.name: str = definition.name
        self._type = parse_type(definition.type, definition.capacity)
        self.kind = _kind(self._type)
        example = _example(self._type, dict(definition.rules))
        self.example = example if isinstance(example, str) else shown(example)
        self.expected = _expected(self._type)
        if self.kind != "bool":
            self.expected += f", such as {self.example}"

    def parse(self, text: str) -> Any:
        """The value that a command line has for the field; ValueError says why it is none."""
        if self.kind == "text":
            return text
        if self.kind == "list" or text.startswith("["):
            try:
                return _value(self._type, json.loads(text))
            except json.JSONDecodeError as error:
                raise ValueError(f"it is no JSON: {error}") from None
            except RecursionError:
                raise ValueError("it nests too deep") from None
        return _value(self._type, text)

    def from_json(self, value: Any) -> Any:
        """The value that JSON has for the field, as `to_json` writes it; ValueError says why it is none."""
        return _value(self._type, value)


def shown(value: Any) -> str:
    """A field's value as printable text: as `ValueForm.parse` takes it, but that text is a JSON string."""
    if isinstance(value, float):
        return str(value)
    # (Also control characters beyond those that JSON escapes: they would reach the terminal.)
    text = json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, (bytes, bytearray)):
        return text.strip('"')
    return text if text.isprintable() else "".join(map(_printable, text))


def to_json(value: Any) -> Any:
    """A field's value as JSON has it: bytes as hexadecimal text, integers of any size as numbers."""
    if isinstance(value, (bytes, bytearray)):
        return f"0x{value.hex()}"
    if isinstance(value, (list, tuple)):
        return [to_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no number for these
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _kind(type_: FieldType) -> Kind:
    if isinstance(type_, String):
        return "text"
    if isinstance(type_, (Bytes, U256)) or _is_byte_vec(type_):
        return "bytes"
    if isinstance(type_, Scalar):
        return "bool" if type_.name == "bool" else "float" if type_.name[0] == "f" else "integer"
    return "list"


def _is_byte_vec(type_: FieldType) -> bool:
    return isinstance(type_, Vec) and type_.element == Scalar("u8")


def _value(type_: FieldType, value: Any) -> Any:
    """The value of a type, from what JSON has for it, or from text in the place of that."""
    if isinstance(type_, String):
        if not isinstance(value, str):
            raise ValueError("it is no text")
        return value
    if isinstance(type_, (Array, Vec)) and not (_is_byte_vec(type_) and not isinstance(value, list)):
        if not isinstance(value, list):
            raise ValueError("it is no list")
        return [_value(type_.element, each) for each in value]
    if isinstance(type_, Scalar):
        if type_.name == "bool":
            return _bool(value)
        return _float(value) if type_.name[0] == "f" else _integer(value, *_range(type_))
    if isinstance(type_, U256) and not (isinstance(value, str) and value[:2] in ("0x", "0X")):
        return _integer(value, 0, (1 << 8 * _U256_SIZE) - 1)
    data = _bytes(value)
    if isinstance(type_, U256) and len(data) != _U256_SIZE:
        raise ValueError(f"it has {len(data)} bytes, not {_U256_SIZE}")
    if isinstance(type_, Bytes) and len(data) != type_.length:
        raise ValueError(f"it has {len(data)} bytes, not {type_.length}")
    return data


def _bool(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("it is neither true nor false")
    return value


def _integer(value: Any, low: int, high: int) -> int:
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and _INTEGER.fullmatch(value):
        value = int(value, 16 if value.lstrip("+-")[:2] in ("0x", "0X") else 10)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("it is no whole number")
    if not low <= value <= high:
        raise ValueError("it is out of range")
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("it is no number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError("it is no number") from None


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"(0[xX])?([0-9a-fA-F]{2})*", value):
        raise ValueError("it is no bytes in hexadecimal")
    return bytes.fromhex(value[2:] if value[:2] in ("0x", "0X") else value)


def _range(scalar: Scalar) -> tuple[int, int]:
    bits = int(scalar.name[1:])
    return (0, (1 << bits) - 1) if scalar.name[0] == "u" else (-1 << (bits - 1), (1 << (bits - 1)) - 1)


def _expected(type_: FieldType) -> str:
    if isinstance(type_, String):
        return f"text of at most {type_.capacity} bytes of UTF-8"
    if isinstance(type_, Vec) and _is_byte_vec(type_):
        return f"at most {type_.capacity} bytes in hexadecimal"
    if isinstance(type_, (Array, Vec)):
        count = type_.length if isinstance(type_, Array) else f"at most {type_.capacity}"
        return f"a JSON list of {count} values, each {_expected(type_.element)}"
    if isinstance(type_, Bytes):
        return f"{type_.length} bytes in hexadecimal"
    if isinstance(type_, U256):
        return f"{_U256_SIZE} bytes in hexadecimal, or a whole number"
    if type_.name == "bool":
        return "true or false"
    if type_.name[0] == "f":
        return f"a number ({type_.name})"
    return "a whole number from {} to {} ({})".format(*_range(type_), type_.name)


def _example(type_: FieldType, rules: dict[str, Any]) -> Any:
    """A value that keeps the rules that can be kept without knowing more."""
    at_least = max(1, int(rules.get("min_length", 1)))
    if isinstance(type_, String):
        return "text"[: type_.capacity].ljust(at_least, "x")
    if isinstance(type_, Vec):
        return b"\1" * at_least if _is_byte_vec(type_) else [_example(type_.element, {})] * at_least
    if isinstance(type_, Array):
        return [_example(type_.element, {})] * type_.length
    if isinstance(type_, (Bytes, U256)):
        return b"\1" * (type_.length if isinstance(type_, Bytes) else _U256_SIZE)
    if type_.name == "bool":
        return True
    low, high = rules.get("min", 1), rules.get("max", 1)
    number = min(max(1, low), high) if low <= high else low
    return float(number) if type_.name[0] == "f" else math.ceil(number)
