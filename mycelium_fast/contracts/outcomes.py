"""What becomes of the bytes of one layout in the hands of a reader with another, field by field.

Everything is computed from types, offsets and rules: a writer is taken to keep the rules of its own contract,
and to leave anything in padding, as some peers do. Which fields belong together is for `compare.py` to say.

    EQUAL        some values come out as they went in
    REFUSED      some are refused, by structure or by a rule
    DIFFERENT    some are taken for other values
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from .layout import FieldLayout, MessageLayout
from .model import Rule
from .types import SCALARS, U256, Array, Bytes, Element, FieldType, Scalar, String, Vec

__all__ = ["Outcome", "Reading", "passed", "read", "without_rules"]

_U8: Final = Scalar("u8")
#: Closed intervals of whole numbers.
_Ranges = list[tuple[int, int]]


class Outcome(enum.Flag):
    """What may happen to the values of one field; a combination of the three."""

    EQUAL = enum.auto()
    REFUSED = enum.auto()
    DIFFERENT = enum.auto()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader with one layout makes of payloads of another.

    Attributes:
        same_size: whether the payload's size is the one that the reader expects; if not, all is refused.
        fields: of every field of the reader, by its name.
        unseen: fields of the writer that the reader does not have.
    """

    same_size: bool
    fields: Mapping[str, Outcome]
    unseen: tuple[str, ...]


def read(writer: MessageLayout, reader: MessageLayout, names: Mapping[str, str]) -> Reading:
    """What becomes of a message.

    Args:
        names: the writer's name of each of the reader's fields that it has as well.
    """
    written = {place.field.name: place for place in writer.fields}
    fields: dict[str, Outcome] = {}
    for place in reader.fields:
        name = place.field.name
        source = written[names[name]] if name in names else None
        there = source is not None and source.offset == place.offset
        fields[name] = passed(source, place) if source is not None and there else Outcome.DIFFERENT
    seen = set(names.values())
    unseen = tuple(name for name in written if name not in seen)
    return Reading(writer.size == reader.size, fields, unseen)


def without_rules(item: MessageLayout) -> MessageLayout:
    """The same layout with nothing but structure to check."""
    places = tuple(replace(place, field=replace(place.field, rules=())) for place in item.fields)
    return replace(item, fields=places)


def passed(writer: FieldLayout, reader: FieldLayout) -> Outcome:
    """What becomes of one field's values where both have the field at the same offset."""
    old, new = writer.field.type, reader.field.type
    if isinstance(old, (String, Vec)) and isinstance(new, (String, Vec)):
        return _counted(writer, reader)
    if (_is_whole(old) and _is_whole(new)) or (_is_256(old) and _is_256(new)):
        return _whole(old, _numbers(writer), new, _numbers(reader))
    if old == new and isinstance(old, Scalar):
        return _float(writer, reader)
    (element, count), (wanted, wanted_count) = _elements(old), _elements(new)
    if count != wanted_count or count == 0:
        return Outcome.DIFFERENT
    outcome = _element(element, wanted)
    zero_comes = _limit(reader, "not_zero") and not _limit(writer, "not_zero")
    return outcome | Outcome.REFUSED if zero_comes else outcome


# --- Strings and Vecs ---------------------------------------------------------------------------------------


def _counted(writer: FieldLayout, reader: FieldLayout) -> Outcome:
    shortest, longest = _lengths(writer)
    least, most = _lengths(reader)
    if longest < least or shortest > most:
        return Outcome.REFUSED
    if (writer.contents_offset, writer.element_size) != (reader.contents_offset, reader.element_size):
        return Outcome.DIFFERENT
    old, new = writer.field.type, reader.field.type
    outcome = _element(getattr(old, "element", _U8), getattr(new, "element", _U8))
    refused = shortest < least or longest > most
    refused |= isinstance(new, String) and getattr(old, "element", None) == _U8  # what is not UTF-8
    refused |= bool(_limit(reader, "not_zero")) and not _limit(writer, "not_zero")
    prefixed = isinstance(old, String) and not _limit(writer, "no_0x_prefix")
    refused |= bool(_limit(reader, "no_0x_prefix")) and prefixed and longest >= 2
    return outcome | Outcome.REFUSED if refused else outcome


def _lengths(place: FieldLayout) -> tuple[int, int]:
    """Fewest and most bytes or elements; without any, nothing is there that is not zero."""
    some = _limit(place, "not_empty") or _limit(place, "not_zero")
    least = max(_limit(place, "min_length") or 0, 1 if some else 0)
    return least, place.count


# --- Numbers ------------------------------------------------------------------------------------------------


def _is_whole(type_: FieldType) -> bool:
    return isinstance(type_, Scalar) and type_.name[0] != "f"


def _is_256(type_: FieldType) -> bool:
    """Whether it is 32 bytes that can be compared as one number, big-endian on both sides."""
    return isinstance(type_, U256) or type_ == Bytes(32)


def _range(type_: FieldType) -> tuple[int, int]:
    """Lowest and highest value of the type alone."""
    if not isinstance(type_, Scalar):
        return 0, 2**256 - 1
    if type_.name == "bool":
        return 0, 1
    bits = SCALARS[type_.name] * 8
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if type_.name[0] == "i" else (0, 2**bits - 1)


def _numbers(place: FieldLayout) -> _Ranges:
    """The values that the rules allow."""
    low, high = _range(place.field.type)
    limits = {rule.name: rule.limit for rule in place.field.rules}
    low, high = max(low, limits.get("min", low)), min(high, limits.get("max", high))
    ranges = [(low, high)]
    if "not_zero" in limits and low <= 0 <= high:
        ranges = [(low, -1), (1, high)]
    return [each for each in ranges if each[0] <= each[1]]


def _whole(old: FieldType, written: _Ranges, new: FieldType, taken: _Ranges) -> Outcome:
    """Whole numbers of one type read as another; `written` and `taken` are what the rules allow."""
    low, high = _range(new)
    if _bits(new) > _bits(old):
        # The upper bytes are padding, or another field: anything that the reader takes may come.
        come = _whole(new, taken, old, written) & ~Outcome.REFUSED
        return come if taken == [(low, high)] else come | Outcome.REFUSED
    outcome = _against(_clipped(written, low, high), taken, Outcome.EQUAL)
    beyond = _clipped(written, -math.inf, low - 1) + _clipped(written, high + 1, math.inf)
    image = _wrapped(beyond, new)
    if new == Scalar("bool"):
        outcome |= Outcome.REFUSED if any(high > 1 for _, high in image) else Outcome(0)
        image = _clipped(image, 0, 1)
    return outcome | _against(image, taken, Outcome.DIFFERENT)


def _wrapped(ranges: _Ranges, new: FieldType) -> _Ranges:
    """What the lower bytes of numbers are in a type of no more bytes; of bool, the byte itself."""
    modulus = 2 ** _bits(new)
    least = 0 if new == Scalar("bool") else _range(new)[0]
    found: _Ranges = []
    for low, high in ranges:
        if high - low + 1 >= modulus:
            return [(least, least + modulus - 1)]
        start = (low - least) % modulus + least
        end = start + high - low
        last = least + modulus - 1
        found += [(start, end)] if end <= last else [(start, last), (least, end - modulus)]
    return found


def _bits(type_: FieldType) -> int:
    return SCALARS[type_.name] * 8 if isinstance(type_, Scalar) else 256


def _clipped(ranges: _Ranges, low: float, high: float) -> _Ranges:
    return [(a, b) for a, b in ((max(a, low), min(b, high)) for a, b in ranges) if a <= b]  # type: ignore[misc]


def _against(come: _Ranges, taken: _Ranges, otherwise: Outcome) -> Outcome:
    """`otherwise` if any value that comes is taken, REFUSED if any is not."""
    outcome = Outcome(0)
    for low, high in come:
        inside = sum(b - a + 1 for a, b in _clipped(taken, low, high))
        outcome |= otherwise if inside else Outcome(0)
        outcome |= Outcome.REFUSED if inside < high - low + 1 else Outcome(0)
    return outcome


def _float(writer: FieldLayout, reader: FieldLayout) -> Outcome:
    """A float of one type; NaN is allowed where there is neither `min` nor `max`, and zero is one of two."""
    low, high, nan, zero = _floats(writer)
    least, most, nan_taken, zero_taken = _floats(reader)
    nothing_taken = max(low, least) > min(high, most) and not (nan and nan_taken)
    if nothing_taken:
        return Outcome.REFUSED
    refused = low < least or high > most or (nan and not nan_taken) or (zero and not zero_taken)
    return Outcome.EQUAL | Outcome.REFUSED if refused else Outcome.EQUAL


def _floats(place: FieldLayout) -> tuple[float, float, bool, bool]:
    """Lowest and highest value, whether NaN is one of them, and whether positive zero is."""
    low, high = _limit(place, "min"), _limit(place, "max")
    bottom, top = -math.inf if low is None else low, math.inf if high is None else high
    zero = bottom <= 0 <= top and not _limit(place, "not_zero")
    return bottom, top, low is None and high is None, zero


# --- Elements -----------------------------------------------------------------------------------------------


def _elements(type_: FieldType) -> tuple[Element, int]:
    """Element and count of an array, of bytes as well; a count of 0 for what is none."""
    if isinstance(type_, Array):
        return type_.element, type_.length
    return (_U8, type_.length) if isinstance(type_, Bytes) else (_U8, 0)


def _element(old: Element, new: Element) -> Outcome:
    """Of one element in an array, where rules do not apply."""
    if old == new or (_is_256(old) and _is_256(new)):
        return Outcome.EQUAL
    if _is_whole(old) and _is_whole(new) and _bits(old) == _bits(new):
        return _whole(old, [_range(old)], new, [_range(new)])
    return Outcome.DIFFERENT


def _limit(place: FieldLayout, rule: str) -> Any:
    """The limit of a rule; None where the field does not have it."""
    return _found(place.field.rules, rule)


def _found(rules: Iterable[Rule], name: str) -> Any:
    return next((rule.limit for rule in rules if rule.name == name), None)
