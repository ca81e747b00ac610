"""Sizes, alignments, offsets and padding: computed here once, rendered by every template.

The layout is that of a Rust `#[repr(C)]` struct (protocol, section 3): fields in contract order, each at
the next offset that its alignment allows, the total rounded up to the largest alignment.

    String, capacity N          Vec<T>, capacity N
    0       count: u16          0       count: u16
    2..8    zeros               2..E    zeros          E = 8 rounded up to align(T)
    8..8+N  UTF-8               E..     [T; N]
    ..      zero to even size   ..      zeros up to a multiple of the alignment
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .model import Field, Message
from .types import SCALARS, U256, Array, Bytes, Element, FieldType, Scalar, String, Vec

__all__ = ["COUNT_HEADER", "HEADER_SIZE", "FieldLayout", "MessageLayout", "layout"]

#: Bytes before a payload: `type_id: u16`, `length: u32`.
HEADER_SIZE: Final = 6
#: Bytes before the contents of a `String`: `count: u16` and six zeros. A `Vec` has at least as many.
COUNT_HEADER: Final = 8
_MIN_BUFFER_CLASS: Final = 128


@dataclass(frozen=True, slots=True)
class FieldLayout:
    """Where a field lies in the payload; everything in bytes but `count`.

    Attributes:
        field: the field of the model.
        offset: from the payload's start.
        size: the whole field, with the padding that belongs to its type.
        contents_offset: from the payload's start to the first element or byte of text; equals `offset` for
            types without a count.
        element_size: of one element of an `Array` or `Vec`, 1 for `String` and `Bytes`, else `size`.
        count: elements of an `Array` or `Bytes`, capacity of a `String` or `Vec`, 1 for all else.
    """

    field: Field
    offset: int
    size: int
    align: int
    contents_offset: int
    element_size: int
    count: int

    @property
    def end(self) -> int:
        """Offset of the first byte after the field."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """Where everything in a payload lies, in bytes.

    Attributes:
        padding: gaps between and after fields, as `(start, end)`; padding inside a `String` or `Vec` belongs
            to the field.
        buffer_class: the frame's size rounded up to a power of two, at least 128.
    """

    message: Message
    size: int
    align: int
    fields: tuple[FieldLayout, ...]
    padding: tuple[tuple[int, int], ...]
    buffer_class: int

    @property
    def frame_size(self) -> int:
        """Size of header and payload."""
        return HEADER_SIZE + self.size


def layout(message: Message) -> MessageLayout:
    """Lay out one message."""
    offset, align = 0, 1
    fields: list[FieldLayout] = []
    padding: list[tuple[int, int]] = []
    for field in message.fields:
        size, field_align, contents, element_size, count = _measure(field.type)
        start = _round_up(offset, field_align)
        if start != offset:
            padding.append((offset, start))
        fields.append(FieldLayout(field, start, size, field_align, start + contents, element_size, count))
        offset, align = start + size, max(align, field_align)
    total = _round_up(offset, align)
    if total != offset:
        padding.append((offset, total))
    return MessageLayout(
        message, total, align, tuple(fields), tuple(padding), _buffer_class(HEADER_SIZE + total)
    )


def _measure(type_: FieldType) -> tuple[int, int, int, int, int]:
    """Size, alignment, offset of the contents, size of an element, number of elements."""
    if isinstance(type_, String):
        return _round_up(COUNT_HEADER + type_.capacity, 2), 2, COUNT_HEADER, 1, type_.capacity
    if isinstance(type_, Vec):
        element_size, element_align = _measure_element(type_.element)
        align = max(2, element_align)
        contents = _round_up(COUNT_HEADER, element_align)
        size = _round_up(contents + element_size * type_.capacity, align)
        return size, align, contents, element_size, type_.capacity
    if isinstance(type_, Array):
        element_size, align = _measure_element(type_.element)
        return element_size * type_.length, align, 0, element_size, type_.length
    if isinstance(type_, Bytes):
        return type_.length, 1, 0, 1, type_.length
    size, align = _measure_element(type_)
    return size, align, 0, size, 1


def _measure_element(type_: Element) -> tuple[int, int]:
    if isinstance(type_, Scalar):
        return SCALARS[type_.name], SCALARS[type_.name]
    if isinstance(type_, Bytes):
        return type_.length, 1
    assert isinstance(type_, U256)
    return 32, 1


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _buffer_class(frame_size: int) -> int:
    return max(_MIN_BUFFER_CLASS, 1 << (frame_size - 1).bit_length())
