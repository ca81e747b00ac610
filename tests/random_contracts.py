"""Random contracts files, and values for their fields: right ones, wrong ones, and hypothesis strategies.

Everything comes from a `random.Random` that the caller seeds, so that a failure can be had again. The
files use every type at every nesting, every rule, padding of all sizes, and names that are awkward in Python.
"""

from __future__ import annotations

import array
import json
import math
import random
import struct
from decimal import Decimal
from fractions import Fraction
from typing import Any

import hostile
from hypothesis import strategies as st

from mycelium_fast.contracts.model import Field, field_python_name, message_python_name
from mycelium_fast.contracts.types import U256, Array, Bytes, Element, Scalar, String, Vec

INTEGERS = ("u8", "u16", "u32", "u64", "u128", "i8", "i16", "i32", "i64", "i128")
SCALARS = (*INTEGERS, "f32", "f64", "bool")
#: Keywords, built-ins, names that methods use, soft keywords, YAML 1.1 booleans, mangled and private names.
AWKWARD_NAMES = (
    *("from", "class", "None", "lambda", "to_bytes", "TYPE_ID", "self", "cls", "int", "bytes", "property"),
    *("list", "float", "validate", "array", "match", "type", "on", "null", "y", "_private", "__mangled"),
    *("__dunder__", "__slots__", "payload", "args", "kwargs", "value", "field", "message", "spec", "mro"),
    *("__init__", "__eq__", "__payload__", "encode_batch", "name", "struct", "register", "void", "cdef"),
)


def contracts_yaml(seed: int, messages: int) -> str:
    """A contracts file of so many messages, as JSON (which is YAML)."""
    rng = random.Random(seed)
    schema = {"id": seed, "version": 1, "min_compatible": 1}
    body = {f"Shape{seed}x{number}": _message(rng, 1000 + number) for number in range(messages)}
    return json.dumps({"schema": schema, "messages": body}, indent=1)


def small_contracts_yaml(seed: int) -> str:
    """A contracts file of a few messages, half of them with names that are words of some language."""
    rng = random.Random(f"small {seed}")
    schema = {"id": seed, "version": 1, "min_compatible": 1}
    body: dict[str, Any] = {}
    taken: set[str] = set()
    for number in range(rng.choice((1, 2, 2, 3))):
        name = rng.choice(hostile.WORDS) if rng.random() < 0.5 else f"Shape{seed}x{number}"
        if message_python_name(name) in taken:
            name = f"Shape{seed}x{number}"
        taken.add(message_python_name(name))
        body[name] = _message(rng, rng.choice((1, 1000, 60_000)) + number, hostile.WORDS, hostile.TEXTS)
    return hostile.as_yaml({"schema": schema, "messages": body})


def _message(
    rng: random.Random,
    type_id: int,
    awkward: tuple[str, ...] = AWKWARD_NAMES,
    texts: tuple[str, ...] = ("", "a shape", 'quotes " and \\ and {{ braces }}\n'),
) -> dict[str, Any]:
    count = rng.choice((0, 1, 1, 2, 3, 4, 5, 6, 8, 12))
    names = [f"f{number}" for number in range(count)]
    for number in range(count):
        if rng.random() < 0.25:
            name = rng.choice(awkward)
            if field_python_name(name) not in map(field_python_name, names):
                names[number] = name
    message: dict[str, Any] = {
        "tlv_type": type_id,
        "domain": rng.choice(("MarketData", "Signals", "Lab 7")),
        "description": rng.choice(texts),
        "fields": {name: _field(rng) for name in names},
    }
    if rng.random() < 0.15:
        message["log_payload"] = False
    return message


def _field(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(("scalar", "scalar", "scalar", "bytes", "array", "u256", "string", "vec", "vec"))
    rules: list[dict[str, Any]] = []
    if kind == "scalar":
        type_ = rng.choice(SCALARS)
        rules = _scalar_rules(rng, type_)
    elif kind == "bytes":
        type_ = f"[u8; {rng.choice((1, 2, 7, 20, 32, 300))}]"
        rules = _maybe(rng, {"not_zero": True})
    elif kind == "u256":
        type_ = "U256"
        rules = _maybe(rng, {"not_zero": True}) + _maybe(rng, {"max": 2**200}) + _maybe(rng, {"min": 3})
    elif kind == "array":
        element = _element(rng, without_u8=True)
        type_ = f"[{element}; {rng.choice((1, 2, 3, 5, 9))}]"
        rules = _maybe(rng, {"not_zero": True})
    else:
        capacity = rng.choice((1, 2, 3, 5, 16, 33, 300))
        type_ = "String" if kind == "string" else f"Vec<{_element(rng)}>"
        if rng.random() < 0.8:
            rules.append({"max_length": capacity})
        else:
            capacity = 4
        rules += _maybe(rng, {"not_empty": True})
        rules += _maybe(rng, {"min_length": rng.randint(1, capacity)})
        if kind == "string":
            rules += _maybe(rng, {"no_0x_prefix": True})
        elif type_ == "Vec<u8>":
            rules += _maybe(rng, {"not_zero": True})
    field: dict[str, Any] = {"type": type_, "description": rng.choice(("", "in wei", 'it\'s "quoted"'))}
    if rules:
        field["validation"] = rules
    return field


def _scalar_rules(rng: random.Random, type_: str) -> list[dict[str, Any]]:
    if type_ == "bool":
        return []
    if type_[0] == "f":
        # Exact in 32 bits, so that a rounded value breaks a rule if and only if it should.
        return _maybe(rng, {"min": rng.choice((-2.5, 0.0, 0))}) + _maybe(
            rng, {"max": rng.choice((1024, 8.25))}
        )
    low, high = bounds(type_)
    rules = _maybe(rng, {"min": rng.choice((low, low + 1, 1))})
    rules += _maybe(rng, {"max": rng.choice((high, high - 1, 100))})
    return rules + _maybe(rng, {"not_zero": True})


def _maybe(rng: random.Random, rule: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule] if rng.random() < 0.2 else []


def _element(rng: random.Random, *, without_u8: bool = False) -> str:
    pick = rng.random()
    if pick < 0.15:
        return "U256"
    if pick < 0.35:
        return f"[u8; {rng.choice((1, 3, 20, 32))}]"
    return rng.choice(SCALARS[1:] if without_u8 else SCALARS)


def bounds(type_: str) -> tuple[int, int]:
    """The lowest and the highest value of an integer type."""
    bits = int(type_[1:])
    return (0, 2**bits - 1) if type_[0] in "uU" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


# --- Values -------------------------------------------------------------------------------------------------


def good_value(field: Field, rng: random.Random) -> Any:
    """A value that the field takes, in one of the spellings that it takes; it keeps the rules."""
    for _ in range(200):
        value = _any_value(field, rng)
        if _keeps_rules(field, value):
            return value
    raise AssertionError(f"found no value for {field.name}: {field.type} {field.rules}")


def _any_value(field: Field, rng: random.Random) -> Any:
    type_ = field.type
    if isinstance(type_, String):
        text = ""
        for _ in range(rng.choice((0, 1, 2, type_.capacity, rng.randint(0, type_.capacity)))):
            more = rng.choice(("a", "0", "x", "\0", "\x7f", "é", "€", "𝄞"))
            text += more if len((text + more).encode()) <= type_.capacity else ""
        missing = type_.capacity - len(text.encode())
        return text + "z" * (missing if rng.random() < 0.3 else 0)
    if isinstance(type_, (Vec, Array)):
        count = type_.length if isinstance(type_, Array) else rng.choice((0, 1, type_.capacity))
        elements = [_any_element(type_.element, rng, field) for _ in range(count)]
        if isinstance(type_, Vec) and type_.element == Scalar("u8"):
            return rng.choice((bytes, list, bytearray))(elements)
        return rng.choice((list, tuple))(elements)
    return _any_element(type_, rng, field)


def _any_element(type_: Element, rng: random.Random, field: Field) -> Any:
    if isinstance(type_, Bytes):
        data = rng.choice((bytes(type_.length), rng.randbytes(type_.length), b"\xff" * type_.length))
        return rng.choice((bytes, bytearray, memoryview))(data)
    limits = [rule.limit for rule in field.rules if rule.name in ("min", "max")]
    if isinstance(type_, U256):
        number = rng.choice((0, 1, 2**256 - 1, rng.getrandbits(256), rng.getrandbits(60), *limits))
        return number if rng.random() < 0.5 else number.to_bytes(32, "big")
    if type_.name == "bool":
        return rng.random() < 0.5
    if type_.name[0] == "f":
        special = (0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 7, -3, rng.uniform(-9, 9), *limits)
        largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
        return rng.choice((*special, largest, 1e-320 if type_.name == "f64" else 1e-40))
    low, high = bounds(type_.name)
    return rng.choice((low, high, 0, 1, rng.randint(low, high), *map(int, limits)))


def _keeps_rules(field: Field, value: Any) -> bool:
    type_ = field.type
    size = len(value.encode()) if isinstance(value, str) else len(value) if hasattr(value, "__len__") else 0
    if isinstance(type_, U256) and not isinstance(value, int):
        value = int.from_bytes(value, "big")
    for rule in field.rules:
        broken = {
            "not_empty": lambda: size == 0,
            "min_length": lambda rule=rule: size < rule.limit,
            "max_length": lambda rule=rule: size > rule.limit,
            "min": lambda rule=rule: not value >= rule.limit,
            "max": lambda rule=rule: not value <= rule.limit,
            "not_zero": lambda: _is_zero(value),
            "no_0x_prefix": lambda: value[:2].lower() == "0x",
        }[rule.name]
        if broken():
            return False
    return True


def _is_zero(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_zero(each) for each in value)
    if isinstance(value, float):
        return struct.pack("<d", value) == bytes(8)
    return not any(value) if isinstance(value, (bytes, bytearray, memoryview)) else value == 0


def value_near_rules(field: Field, rng: random.Random) -> Any:
    """A value of the right type and size; where rules can be broken, as often as not one that breaks one."""
    value = _any_value(field, rng)
    limits = [rule.limit for rule in field.rules if rule.name in ("min", "max")]
    if limits and rng.random() < 0.7:
        limit = rng.choice(limits)
        if isinstance(field.type, Scalar) and field.type.name[0] == "f":
            wide = field.type.name == "f64"
            beside = _next_float(limit, wide=wide, up=rng.random() < 0.5)
            return rng.choice((float(limit), beside, math.nan))
        low, high = (0, 2**256 - 1) if isinstance(field.type, U256) else bounds(str(field.type))
        return min(high, max(low, int(limit) + rng.choice((-1, 0, 1))))
    if isinstance(field.type, String) and field.type.capacity >= 2 and rng.random() < 0.5:
        return rng.choice(("0x", "0X", "0", "x0", "00"))
    return value


def _next_float(value: float, *, wide: bool, up: bool) -> float:
    """The number beside this one, in 64 or 32 bits."""
    number, bits = ("<d", "<q") if wide else ("<f", "<i")
    pattern = struct.unpack(bits, struct.pack(number, value))[0]
    step = 1 if up == (pattern >= 0) else -1
    beside: float = struct.unpack(number, struct.pack(bits, pattern + step))[0] if pattern else 0.0
    return beside if pattern else (5e-324 if wide else 1e-45) * (1 if up else -1)


def dirtied(cls: Any, payload: bytes, rng: random.Random) -> bytes:
    """The payload of a message of that class with random bytes in its padding and unused capacity."""
    covered = bytearray(len(payload))
    for field in cls.__definition__.fields:
        end = field.offset + field.size
        if field.capacity is not None:
            count = int.from_bytes(payload[field.offset : field.offset + 2], "little")
            width = _element_width(field)
            covered[field.offset : field.offset + 2] = b"\1\1"
            start, end = field.contents_offset, field.contents_offset + count * width
        else:
            start = field.offset
        covered[start:end] = b"\1" * (end - start)
    return bytes(byte if live else rng.randrange(256) for byte, live in zip(payload, covered, strict=True))


def _element_width(field: Any) -> int:
    element = field.element
    if element is None:  # a String
        return 1
    if element.startswith("["):
        return int(element[1:-1].split(";")[1])
    return 1 if element == "bool" else int(element[1:]) // 8


class Index:
    """An integer that is no `int`, as NumPy's are."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"Index({self.value})"


class Broken:
    """A value whose conversion fails, with an error of its own."""

    def __index__(self) -> int:
        raise ZeroDivisionError("conversion")

    def __float__(self) -> float:
        raise ZeroDivisionError("conversion")


#: What some field will not take; whether one does is for the implementations to agree on.
ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        "",
        "x",
        "0x1",
        "0X",
        "ab" * 300,
        "\ud800",
        "ok\udfff",
        "é" * 8,
        object,
        Ellipsis,
        {},
        {1: 2},
        {1, 2},
    ),
    *(
        b"",
        b"x",
        bytes(20),
        bytes(32),
        b"\xff" * 32,
        bytearray(7),
        memoryview(bytes(20)),
        memoryview(b"abcd")[::2],
    ),
    *(
        0,
        1,
        -1,
        255,
        256,
        -128,
        -129,
        2**16,
        2**31,
        2**32,
        2**63,
        -(2**63) - 1,
        2**64,
        2**127,
        2**128,
        -(2**127),
    ),
    *(
        2**256 - 1,
        2**256,
        2**400,
        -(2**400),
        10**5000,
        True,
        False,
        1.0,
        -1.5,
        math.nan,
        math.inf,
        1e39,
        -1e300,
    ),
    *(
        [],
        (),
        [0],
        [1, 2],
        [None],
        [True],
        [0.5],
        ["x"],
        [b"x"],
        [bytes(20)] * 2,
        [256],
        [-1],
        list(range(9)),
    ),
    *([b"\1" * 32] * 3, [1] * 400, (1,) * 5, range(3), [2**70], [Index(3)], [[1]], [bytearray(20)], [1e39]),
    *(memoryview(bytes(32)).cast("I"), memoryview(bytes(20)).cast("B", (4, 5)), array.array("B", bytes(20))),
    *(
        array.array("H", [1, 2]),
        array.array("d", [1.5]),
        [array.array("B", bytes(20))],
        Decimal("1.5"),
        Fraction(1, 4),
    ),
    *(Index(7), Index(2**300), Index(-5), Broken(), [Broken()], 1j, [Index(300)], memoryview(bytes(64))),
)


try:
    import numpy
except ImportError:  # an extra
    pass
else:
    ODD_VALUES += (
        numpy.int64(5),
        numpy.uint64(2**64 - 1),
        numpy.float32(1.5),
        numpy.float64(1e39),
        numpy.arange(3),
    )
    ODD_VALUES += (
        numpy.array([7]),
        numpy.array(7),
        numpy.zeros(20, "u1"),
        numpy.ones(2),
        numpy.zeros((4, 5), "u1"),
    )
    ODD_VALUES += ([numpy.int8(-1)] * 3, numpy.str_("x"), numpy.bytes_(b"x" * 20), numpy.zeros((2, 20), "u1"))


# --- Hypothesis ---------------------------------------------------------------------------------------------


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values of the right type and size; they may be against a rule."""
    type_ = field.type
    if isinstance(type_, String):
        text = st.text(max_size=type_.capacity)
        return text.filter(lambda each: _encodable(each) and len(each.encode()) <= type_.capacity)
    if isinstance(type_, Array):
        return st.lists(_elements(type_.element), min_size=type_.length, max_size=type_.length).map(tuple)
    if isinstance(type_, Vec):
        if type_.element == Scalar("u8"):
            return st.binary(max_size=type_.capacity)
        return st.lists(_elements(type_.element), max_size=type_.capacity)
    return _elements(type_)


def _encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _elements(type_: Element) -> st.SearchStrategy[Any]:
    if isinstance(type_, Bytes):
        return st.binary(min_size=type_.length, max_size=type_.length)
    if isinstance(type_, U256):
        return st.binary(min_size=32, max_size=32)
    if type_.name == "bool":
        return st.booleans()
    if type_.name[0] == "f":
        return st.floats(width=32 if type_.name == "f32" else 64)
    low, high = bounds(type_.name)
    return st.integers(low, high)
