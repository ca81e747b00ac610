"""The types that a field may have: a small closed set of immutable values.

`parse_type` reads the text of a contract ("Vec<[u8; 20]>"). Sizes and offsets are not known here:
`layout.py` is the one place that computes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = [
    "DEFAULT_STRING_CAPACITY",
    "DEFAULT_VEC_CAPACITY",
    "DEFAULT_VEC_U8_CAPACITY",
    "MAX_COUNT",
    "SCALARS",
    "U256",
    "Array",
    "Bytes",
    "Element",
    "FieldType",
    "Scalar",
    "String",
    "TypeSyntaxError",
    "Vec",
    "parse_type",
]

#: Name and size in bytes of every scalar; the alignment equals the size.
SCALARS: Final = {
    "u8": 1,
    "u16": 2,
    "u32": 4,
    "u64": 8,
    "u128": 16,
    "i8": 1,
    "i16": 2,
    "i32": 4,
    "i64": 8,
    "i128": 16,
    "f32": 4,
    "f64": 8,
    "bool": 1,
}

#: Largest N of `[T; N]` and of `max_length`, because counts are `u16` on the wire.
MAX_COUNT: Final = 65_535
DEFAULT_STRING_CAPACITY: Final = 32
DEFAULT_VEC_U8_CAPACITY: Final = 16
DEFAULT_VEC_CAPACITY: Final = 4


@dataclass(frozen=True, slots=True)
class Scalar:
    """An integer, a float or a bool: one of the keys of `SCALARS`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Bytes:
    """`[u8; N]`: exactly `length` bytes."""

    length: int

    def __str__(self) -> str:
        return f"[u8; {self.length}]"


@dataclass(frozen=True, slots=True)
class U256:
    """32 bytes, big-endian where it is built from an `int`."""

    def __str__(self) -> str:
        return "U256"


Element: TypeAlias = Scalar | Bytes | U256


@dataclass(frozen=True, slots=True)
class Array:
    """`[T; N]` of anything but `u8`: exactly `length` elements."""

    element: Element
    length: int

    def __str__(self) -> str:
        return f"[{self.element}; {self.length}]"


@dataclass(frozen=True, slots=True)
class String:
    """Up to `capacity` bytes of UTF-8."""

    capacity: int

    def __str__(self) -> str:
        return "String"


@dataclass(frozen=True, slots=True)
class Vec:
    """Up to `capacity` elements."""

    element: Element
    capacity: int

    def __str__(self) -> str:
        return f"Vec<{self.element}>"


FieldType: TypeAlias = Scalar | Bytes | U256 | Array | String | Vec


class TypeSyntaxError(ValueError):
    """The text is no type; the message says why, without a position."""


_ARRAY = re.compile(r"\[(?P<element>.+);(?P<length>[^;\]]*)\]")
_VEC = re.compile(r"Vec<(?P<element>.+)>")


def parse_type(text: str, max_length: int | None = None) -> FieldType:
    """Read a type as a contract spells it; white space inside does not matter.

    Args:
        text: for example `"u64"`, `"[u8; 20]"`, `"Vec<U256>"`.
        max_length: capacity of a `String` or `Vec`, in bytes or elements; None takes the default.

    Raises:
        TypeSyntaxError: the text names no type, or nests deeper than the protocol allows.
    """
    compact = "".join(text.split())
    if compact == "String":
        return String(DEFAULT_STRING_CAPACITY if max_length is None else max_length)
    if match := _VEC.fullmatch(compact):
        element = _element(match["element"], text)
        if max_length is None:
            is_u8 = element == Scalar("u8")
            max_length = DEFAULT_VEC_U8_CAPACITY if is_u8 else DEFAULT_VEC_CAPACITY
        return Vec(element, max_length)
    if match := _ARRAY.fullmatch(compact):
        length = _length(match["length"], text)
        element = _element(match["element"], text)
        return Bytes(length) if element == Scalar("u8") else Array(element, length)
    return _element(compact, text)


def _element(compact: str, text: str) -> Element:
    if compact in SCALARS:
        return Scalar(compact)
    if compact == "U256":
        return U256()
    if match := _ARRAY.fullmatch(compact):
        if match["element"] == "u8":
            return Bytes(_length(match["length"], text))
        if match["element"] not in SCALARS and match["element"] != "U256" and "[" not in match["element"]:
            raise TypeSyntaxError(f"unknown type {text!r}")
        raise TypeSyntaxError(
            f"{text!r} nests too deep: inside an array or Vec only scalars, U256 and [u8; N] may stand"
        )
    if compact == "String" or _VEC.fullmatch(compact):
        raise TypeSyntaxError(f"{text!r} nests too deep: String and Vec may not stand inside another type")
    raise TypeSyntaxError(f"unknown type {text!r}")


def _length(digits: str, text: str) -> int:
    # isascii: str.isdigit alone accepts digits of other scripts; 6 digits are enough for 65535.
    if digits.isascii() and digits.isdigit() and len(digits) <= 6 and 1 <= int(digits) <= MAX_COUNT:
        return int(digits)
    raise TypeSyntaxError(f"array length {digits!r} in {text!r} is not a whole number from 1 to {MAX_COUNT}")
