"""What every message does, as `docs/messages.md` promises it: compiled classes and plain Python alike."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import sys
import threading
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from environments import ROOT, checked
from golden import IMPLEMENTATIONS, module

import mycelium_fast
from mycelium_fast import DecodeError, EncodeError, ValidationError

TICK_PAYLOAD = bytes.fromhex("7c8c010000000000c409000000000000")
TICK_FRAME = bytes.fromhex("b00410000000") + TICK_PAYLOAD
ADDRESS = bytes(range(1, 21))

SHAPES = b"""
messages:
  Shapes:
    tlv_type: 2000
    domain: Test
    fields:
      a_u8: {type: u8}
      a_i64: {type: i64}
      a_u128: {type: u128}
      a_i128: {type: i128}
      a_f32: {type: f32}
      a_f64: {type: f64}
      a_bool: {type: bool}
      a_bytes: {type: "[u8; 4]"}
      a_u256: {type: U256}
      a_string: {type: String, validation: [{max_length: 5}]}
      a_vec_u8: {type: "Vec<u8>", validation: [{max_length: 3}]}
      a_vec: {type: "Vec<u16>", validation: [{max_length: 3}]}
      a_array: {type: "[i16; 2]"}
      a_nested: {type: "[[u8; 2]; 2]"}
  Ruled:
    tlv_type: 2001
    domain: Test
    fields:
      low: {type: i16, validation: [{min: -5}]}
      high: {type: u64, validation: [{max: 18446744073709551614}]}
      wide: {type: i128, validation: [{min: -170141183460469231731687303715884105727}, {max: 5}]}
      real: {type: f64, validation: [{min: 0.5}, {max: 2}]}
      big: {type: U256, validation: [{min: 256}]}
      text: {type: String, validation: [{not_empty: true}, {min_length: 2}, {no_0x_prefix: true}]}
      items: {type: "Vec<u8>", validation: [{not_zero: true}]}
  Awkward:
    tlv_type: 2002
    domain: Test
    fields:
      self: {type: u8}
      cdef: {type: u8}
      NULL: {type: u8}
      __private: {type: u8}
      int: {type: u8}
      __class__: {type: u8}
      from: {type: u8}
  Secret:
    tlv_type: 2003
    domain: Test
    sensitivity: confidential
    fields:
      number: {type: u32, validation: [{max: 4000000000}]}
      text: {type: String, validation: [{no_0x_prefix: true}]}
      key: {type: "[u8; 16]", validation: [{not_zero: true}]}
"""
SHAPE_VALUES: dict[str, Any] = {
    "a_u8": 1,
    "a_i64": -2,
    "a_u128": 3,
    "a_i128": -4,
    "a_f32": 0.5,
    "a_f64": -0.25,
    "a_bool": True,
    "a_bytes": b"abcd",
    "a_u256": bytes(31) + b"\x07",
    "a_string": "h\u00e9",
    "a_vec_u8": b"xy",
    "a_vec": [1, 65535],
    "a_array": (-1, 32767),
    "a_nested": (b"ab", b"cd"),
}


UNRULED = re.sub(rb", validation: \[(?!{max_length).*]", b"", SHAPES)


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def compiled(implementation: str) -> bool:
    return implementation == "compiled"


@pytest.fixture(scope="module")
def examples(implementation: str) -> ModuleType:
    return module(ROOT / "contracts.yaml", implementation)


@pytest.fixture(scope="module")
def shapes(implementation: str, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    path = tmp_path_factory.mktemp("shapes") / "shapes.yaml"
    path.write_bytes(SHAPES)
    return module(path, implementation)


@pytest.fixture(scope="module")
def unruled(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The same shapes from a contract without rules: builds payloads that `shapes` would not."""
    path = tmp_path_factory.mktemp("unruled") / "unruled.yaml"
    path.write_bytes(UNRULED)
    return module(path, "python")


def test_it_is_built_from_keywords_positions_or_both_in_any_order(examples: ModuleType) -> None:
    TradeTick = examples.TradeTick
    expected = TradeTick(price=101_500, size=2_500)
    assert TradeTick(101_500, 2_500) == expected
    assert TradeTick(101_500, size=2_500) == expected
    assert TradeTick(size=2_500, price=101_500) == expected
    name = "".join(["pri", "ce"])  # a keyword that is not interned
    assert TradeTick(**{name: 101_500, "size": 2_500}) == expected
    assert (expected.price, expected.size) == (101_500, 2_500)


def test_its_bytes_are_those_of_the_protocol(examples: ModuleType) -> None:
    tick = examples.TradeTick(price=101_500, size=2_500)
    assert tick.to_bytes() == bytes(tick) == TICK_PAYLOAD
    assert tick.to_frame() == TICK_FRAME
    assert (tick.TYPE_ID, tick.TOPIC, examples.TradeTick.SIZE) == (1200, "market-data", 16)


def test_the_buffer_it_exports_is_its_payload_and_read_only(examples: ModuleType, compiled: bool) -> None:
    if not compiled and sys.version_info < (3, 12):
        assert bytes(examples.TradeTick(1, 2)) == examples.TradeTick(1, 2).to_bytes()
        return  # plain Python has had a buffer protocol since 3.12
    tick = examples.TradeTick(price=101_500, size=2_500)
    view = memoryview(tick)
    assert view == TICK_PAYLOAD
    assert (view.format, view.ndim, view.shape, view.strides) == ("B", 1, (16,), (1,))
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "TradeTick() missing 2 required arguments: 'price' and 'size'"),
        ((1,), {}, "TradeTick() missing 1 required argument: 'size'"),
        ((1, 2, 3), {}, "TradeTick() takes 2 positional arguments but 3 were given"),
        ((1, 2), {"price": 3}, "TradeTick() got multiple values for argument 'price'"),
        ((1,), {"price": 3}, "TradeTick() got multiple values for argument 'price'"),
        ((1,), {"volume": 3}, "TradeTick() got an unexpected keyword argument 'volume'"),
    ],
)
def test_wrong_arguments_get_pythons_own_error(
    examples: ModuleType, args: tuple[int, ...], kwargs: dict[str, int], text: str
) -> None:
    with pytest.raises(TypeError) as caught:
        examples.TradeTick(*args, **kwargs)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("a_u8", -1, EncodeError),
        ("a_u8", 256, EncodeError),
        ("a_u8", True, TypeError),
        ("a_u8", 1.0, TypeError),
        ("a_u8", "1", TypeError),
        ("a_u8", None, TypeError),
        ("a_u8", b"1", TypeError),
        ("a_i64", 2**63, EncodeError),
        ("a_i64", -(2**63) - 1, EncodeError),
        ("a_u128", 2**128, EncodeError),
        ("a_u128", -1, EncodeError),
        ("a_u128", False, TypeError),
        ("a_i128", 2**127, EncodeError),
        ("a_i128", -(2**127) - 1, EncodeError),
        ("a_i128", 10**1000, EncodeError),
        ("a_f32", 1e39, EncodeError),
        ("a_f32", True, TypeError),
        ("a_f32", "1", TypeError),
        ("a_f32", Decimal("1e400"), EncodeError),
        ("a_f64", Decimal("1e400"), EncodeError),
        ("a_f64", Decimal("sNaN"), EncodeError),
        ("a_f64", Fraction(10**6000), EncodeError),
        ("a_f64", 10**400, EncodeError),
        ("a_f64", None, TypeError),
        ("a_bool", 1, TypeError),
        ("a_bytes", b"abc", EncodeError),
        ("a_bytes", b"abcde", EncodeError),
        ("a_bytes", "abcd", TypeError),
        ("a_bytes", 4, TypeError),
        ("a_bytes", [1, 2, 3, 4], TypeError),
        ("a_bytes", memoryview(b"a.b.c.d.")[::2], TypeError),
        ("a_bytes", memoryview(b"abcd").cast("I"), TypeError),
        ("a_u256", b"short", EncodeError),
        ("a_u256", -1, EncodeError),
        ("a_u256", -(2**300), EncodeError),
        ("a_u256", 2**256, EncodeError),
        ("a_u256", True, TypeError),
        ("a_string", "123456", EncodeError),
        ("a_string", "h\u00e9h\u00e9", EncodeError),
        ("a_string", "\ud800", EncodeError),
        ("a_string", b"abc", TypeError),
        ("a_vec_u8", b"1234", EncodeError),
        ("a_vec_u8", [1, 256], EncodeError),
        ("a_vec_u8", [1, "x"], TypeError),
        ("a_vec_u8", "abc", TypeError),
        ("a_vec_u8", 3, TypeError),
        ("a_vec", [1, 2, 3, 4], EncodeError),
        ("a_vec", [1, -1], EncodeError),
        ("a_vec", b"ab", TypeError),
        ("a_vec", {1, 2}, TypeError),
        ("a_vec", {1: 2}, TypeError),
        ("a_array", (1,), EncodeError),
        ("a_array", (1, 2, 3), EncodeError),
        ("a_array", (1, 40_000), EncodeError),
        ("a_nested", (b"ab",), EncodeError),
        ("a_nested", (b"ab", b"c"), EncodeError),
        ("a_nested", (b"ab", 5), TypeError),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_leaves_the_old_one(
    shapes: ModuleType, field: str, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error) as building:
        shapes.Shapes(**{**SHAPE_VALUES, field: value})
    message = shapes.Shapes(**SHAPE_VALUES)
    before = message.to_bytes()
    with pytest.raises(error) as setting:
        setattr(message, field, value)
    assert str(setting.value) == str(building.value)
    assert str(setting.value).startswith((f"Shapes.{field}: ", f"Shapes.{field}["))
    assert message.to_bytes() == before


def test_what_fields_give_back_is_what_the_table_of_types_says(shapes: ModuleType) -> None:
    message = shapes.Shapes(**SHAPE_VALUES)
    assert message.to_dict() == SHAPE_VALUES
    assert message.to_tuple() == tuple(SHAPE_VALUES.values())
    assert [type(value) for value in message.to_tuple()] == [type(value) for value in SHAPE_VALUES.values()]


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("a_f32", 3, 3.0),
        ("a_f64", 3, 3.0),
        ("a_bytes", bytearray(b"abcd"), b"abcd"),
        ("a_bytes", memoryview(b"abcd"), b"abcd"),
        ("a_u256", 258, bytes(30) + b"\x01\x02"),
        ("a_u256", 2**256 - 1, b"\xff" * 32),
        ("a_vec_u8", [1, 2], b"\x01\x02"),
        ("a_vec_u8", (), b""),
        ("a_vec_u8", bytearray(b"abc"), b"abc"),
        ("a_vec", (1, 2), [1, 2]),
        ("a_vec", range(3), [0, 1, 2]),
        ("a_array", [5, -5], (5, -5)),
        ("a_u128", 2**128 - 1, 2**128 - 1),
        ("a_i128", -(2**127), -(2**127)),
        ("a_f64", float("inf"), float("inf")),
        ("a_f32", float("-inf"), float("-inf")),
        ("a_string", "\0\0\0", "\0\0\0"),
    ],
)
def test_other_ways_to_give_a_value(shapes: ModuleType, field: str, value: object, stored: object) -> None:
    message = shapes.Shapes(**SHAPE_VALUES)
    setattr(message, field, value)
    assert getattr(message, field) == stored
    assert message == shapes.Shapes(**{**SHAPE_VALUES, field: value})


def test_numpy_numbers_and_arrays_are_taken(shapes: ModuleType) -> None:
    numpy = pytest.importorskip("numpy")
    message = shapes.Shapes(**SHAPE_VALUES)
    message.a_u8 = numpy.uint64(7)
    message.a_f64 = numpy.float32(0.5)
    message.a_vec = numpy.array([1, 2], dtype="i8")
    message.a_bytes = numpy.frombuffer(b"wxyz", dtype="u1")
    assert (message.a_u8, message.a_f64, message.a_vec, message.a_bytes) == (7, 0.5, [1, 2], b"wxyz")
    for field, value in (
        ("a_bytes", numpy.uint32(5)),
        ("a_u8", numpy.array([7])),
        ("a_u8", numpy.float64(1)),
        ("a_bytes", numpy.array([5], dtype="u4")),
        ("a_bytes", numpy.zeros(8, dtype="u1")[::2]),
        ("a_bool", numpy.bool_(True)),
    ):
        with pytest.raises(TypeError):
            setattr(message, field, value)


def test_a_list_that_changes_while_it_is_converted_counts_as_it_was(shapes: ModuleType) -> None:
    class Emptying:
        def __index__(self) -> int:
            items.clear()
            return 2

    items: list[Any] = [1, Emptying(), 3]
    message = shapes.Shapes(**SHAPE_VALUES)
    message.a_vec = items
    assert message.a_vec == [1, 2, 3]
    assert items == []


@pytest.mark.parametrize("items", [[1, 2, True], [True, 1, 2], [1, 70_000, 3], (1, "x", 2), [1, 2**70]])
def test_the_element_that_does_not_fit_is_named(shapes: ModuleType, items: Any) -> None:
    wrong = next(i for i, item in enumerate(items) if type(item) is not int or item >= 65_536)
    with pytest.raises((TypeError, EncodeError), match=re.escape(f"Shapes.a_vec[{wrong}]: ")):
        shapes.Shapes(**{**SHAPE_VALUES, "a_vec": items})


def test_setting_a_shorter_value_leaves_nothing_of_the_longer_one(shapes: ModuleType) -> None:
    message = shapes.Shapes(**{**SHAPE_VALUES, "a_string": "12345", "a_vec_u8": b"abc", "a_vec": [1, 2, 3]})
    for field, value in (("a_string", ""), ("a_vec_u8", b""), ("a_vec", [])):
        setattr(message, field, value)
    assert message == shapes.Shapes(**{**SHAPE_VALUES, "a_string": "", "a_vec_u8": b"", "a_vec": []})


RULED: dict[str, Any] = {
    "low": -5,
    "high": 2**64 - 2,
    "wide": 5,
    "real": 2.0,
    "big": 256,
    "text": "ab",
    "items": [0, 1],
}


@pytest.mark.parametrize(
    ("field", "value", "rule", "limit"),
    [
        ("low", -6, "min", -5),
        ("high", 2**64 - 1, "max", 2**64 - 2),
        ("wide", 6, "max", 5),
        ("wide", -(2**127), "min", -(2**127) + 1),
        ("real", 0.25, "min", 0.5),
        ("real", 2.5, "max", 2.0),
        ("real", float("nan"), "min", 0.5),
        ("big", 255, "min", 256),
        ("text", "", "not_empty", True),
        ("text", "a", "min_length", 2),
        ("text", "0xab", "no_0x_prefix", True),
        ("text", "0Xab", "no_0x_prefix", True),
        ("items", b"\0\0", "not_zero", True),
        ("items", b"", "not_zero", True),
    ],
)
def test_rules_hold_when_building_setting_and_receiving(
    shapes: ModuleType, unruled: ModuleType, field: str, value: object, rule: str, limit: object
) -> None:
    good = shapes.Ruled(**RULED)
    caught = []
    for attempt in (
        lambda: shapes.Ruled(**{**RULED, field: value}),
        lambda: setattr(good, field, value),
        lambda: good.replace(**{field: value}),
    ):
        with pytest.raises(ValidationError) as error:
            attempt()
        caught.append(error.value)
    assert good == shapes.Ruled(**RULED)
    # The same value, from a peer that does not check.
    bad = shapes.Ruled.from_bytes(unruled.Ruled(**{**RULED, field: value}).to_bytes(), validate=False)
    for attempt in (bad.validate, lambda: shapes.Ruled.from_bytes(bad.to_bytes())):
        with pytest.raises(ValidationError) as error:
            attempt()
        caught.append(error.value)
    for each in caught:
        assert (each.message, each.field, each.rule, each.limit) == ("Ruled", field, rule, limit)
        assert str(each).startswith(f"Ruled.{field}: ")
    assert caught[0].offset is None
    assert caught[-1].offset == next(f.offset for f in bad.__definition__.fields if f.name == field)


def test_decoding_copies(examples: ModuleType) -> None:
    buffer = bytearray(b"__" + TICK_PAYLOAD)
    tick = examples.TradeTick.from_buffer(buffer, 2)
    buffer[:] = bytes(len(buffer))
    assert tick == examples.TradeTick(101_500, 2_500)
    assert examples.TradeTick.from_bytes(memoryview(TICK_PAYLOAD)) == tick


@pytest.mark.parametrize(
    ("size", "offset"),
    [(16, 1), (15, 0), (0, 0), (16, 17), (40, -1), (40, 2**62), (40, 10**30), (40, -(10**30))],
)
def test_a_buffer_too_short_is_a_decode_error(examples: ModuleType, size: int, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        examples.TradeTick.from_buffer(bytes(size), offset)
    assert (caught.value.message, caught.value.offset) == ("TradeTick", offset)


def test_a_decode_error_says_message_field_offset_and_reason(examples: ModuleType) -> None:
    payload = bytearray(examples.TextMessage("a", "b", 1).to_bytes())
    payload[40:42] = (257).to_bytes(2, "little")
    with pytest.raises(DecodeError) as caught:
        examples.TextMessage.from_buffer(b"12345" + payload, 5)
    error = caught.value
    assert (error.message, error.field, error.offset) == ("TextMessage", "content", 45)
    assert error.reason
    assert "256" in error.reason
    assert str(error) == f"TextMessage.content: {error.reason}, at offset 45"
    assert pickle.loads(pickle.dumps(error)).field == "content"


def test_a_batch_is_the_frames_back_to_back(examples: ModuleType) -> None:
    ticks = [examples.TradeTick(n, n + 1) for n in range(1000)]
    buffer = examples.TradeTick.encode_batch(ticks)
    assert buffer == b"".join(tick.to_frame() for tick in ticks)
    assert examples.TradeTick.decode_batch(buffer) == ticks
    assert examples.TradeTick.decode_batch(memoryview(bytearray(buffer))) == ticks
    assert examples.TradeTick.decode_batch(b"") == []
    assert examples.TradeTick.encode_batch(iter(ticks[:2])) == buffer[:44]
    with pytest.raises(TypeError, match="TextMessage"):
        examples.TradeTick.encode_batch([ticks[0], examples.TextMessage("a", "b", 1)])


def test_a_batch_names_the_offset_of_what_is_wrong(examples: ModuleType) -> None:
    good = examples.TextMessage("a", "b", 1).to_frame()
    other = examples.TradeTick(1, 2).to_frame()
    long = bytes.fromhex("e90301000000") + b"x"
    empty_text = bytearray(good)
    empty_text[6] = 0
    decode = examples.TextMessage.decode_batch
    for bad, offset in ((other, 318), (good[:-1], 318), (good[:5], 318), (long, 318)):
        with pytest.raises(DecodeError) as caught:
            decode(good + bad)
        assert caught.value.offset == offset
    with pytest.raises(ValidationError) as broken:
        decode(good + empty_text)
    assert broken.value.offset == 318 + 6
    assert len(decode(good + empty_text, validate=False)) == 2


def test_a_batch_can_leave_out_what_does_not_decode(examples: ModuleType) -> None:
    TextMessage = examples.TextMessage
    first, last = TextMessage("a", "first", 1), TextMessage("a", "last", 2)
    bad_count = bytearray(first.to_frame())
    bad_count[6] = 33
    bad_rule = bytearray(first.to_frame())
    bad_rule[6] = 0
    bad_size = bytes.fromhex("e90301000000") + b"x"
    errors: list[Exception] = []
    buffer = first.to_frame() + bad_count + bad_size + bad_rule + last.to_frame()
    assert TextMessage.decode_batch(buffer, errors=errors) == [first, last]
    assert [type(error) for error in errors] == [DecodeError, DecodeError, ValidationError]
    with pytest.raises(DecodeError):  # but a stream that lost its place is no batch
        TextMessage.decode_batch(buffer + b"abc", errors=errors)
    with pytest.raises(TypeError):
        TextMessage.decode_batch(buffer, errors=())


def test_equality_is_of_class_and_bytes_and_there_is_no_hash(examples: ModuleType) -> None:
    tick = examples.TradeTick(1, 2)
    assert tick == examples.TradeTick(1, 2)
    assert tick != examples.TradeTick(1, 3)
    assert tick != tick.to_bytes()
    assert tick != (1, 2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(tick)
    with pytest.raises(TypeError):
        tick < tick  # noqa: B015


def test_it_can_be_shown_copied_pickled_and_changed(examples: ModuleType) -> None:
    tick = examples.TradeTick(price=101_500, size=2_500)
    assert repr(tick) == "TradeTick(price=101500, size=2500)"
    copies = [
        copy.copy(tick),
        copy.deepcopy(tick),
        tick.replace(),
        tick.__replace__(),
        examples.TradeTick.from_dict(tick.to_dict()),
        *(pickle.loads(pickle.dumps(tick, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)),
    ]
    for each in copies:
        assert each == tick
        assert each is not tick
        each.price = 5
    assert tick.price == 101_500
    assert tick.replace(size=1) == examples.TradeTick(101_500, 1)
    with pytest.raises(TypeError, match="volume"):
        tick.replace(volume=1)
    tick.price += 1
    assert tick.price == 101_501


def test_from_dict_takes_the_contracts_names_all_and_no_other(shapes: ModuleType) -> None:
    values = {"self": 1, "cdef": 2, "NULL": 3, "__private": 4, "int": 5, "__class__": 6, "from": 7}
    message = shapes.Awkward.from_dict(values)
    assert message.to_dict() == values
    assert message.to_tuple() == (1, 2, 3, 4, 5, 6, 7)
    with pytest.raises(TypeError, match="'NULL'"):
        shapes.Awkward.from_dict({key: value for key, value in values.items() if key != "NULL"})
    with pytest.raises(TypeError, match="'from_'"):
        shapes.Awkward.from_dict({**values, "from_": 1})


def test_names_that_python_has_taken_get_an_underscore(shapes: ModuleType) -> None:
    message = shapes.Awkward(1, 2, 3, 4, int=5, __class___=6, from_=7)
    assert (message.self, message.cdef, message.NULL, message.int) == (1, 2, 3, 5)
    assert (getattr(message, "__private"), message.__class___, message.from_) == (4, 6, 7)
    assert type(message) is message.__class__ is shapes.Awkward
    assert repr(message) == "Awkward(self=1, cdef=2, NULL=3, __private=4, int=5, __class___=6, from_=7)"
    assert shapes.Awkward(self=1, cdef=2, NULL=3, __private=4, int=5, __class___=6, from_=7) == message


def test_objects_in_fresh_memory_are_counted_and_freed(compiled: bool) -> None:
    # The debug allocator fills fresh memory with bytes that look like the count of an immortal object.
    if not compiled:
        return
    code = (
        "import sys\n"
        "from mycelium_fast.example_messages import TradeTick\n"
        "ticks = [TradeTick(n, n) for n in range(1000)]\n"
        "ticks += TradeTick.decode_batch(TradeTick.encode_batch(ticks))\n"
        "counts = {sys.getrefcount(tick) for tick in ticks}\n"
        "assert len(counts) == 1 and 0 < min(counts) < 10, counts\n"
    )
    checked(sys.executable, "-c", code, PYTHONMALLOC="debug")


def test_pattern_matching_by_name_and_position(examples: ModuleType) -> None:
    match examples.TradeTick(5, 6):
        case examples.TradeTick(price=price, size=6):
            assert price == 5
        case _:
            pytest.fail("did not match by name")
    match examples.TradeTick(5, 6):
        case examples.TradeTick(5, size):
            assert size == 6
        case _:
            pytest.fail("did not match by position")


def test_a_confidential_message_shows_no_value_anywhere(shapes: ModuleType) -> None:
    secret_text, secret_key, secret_number = "0xSECRET-TEXT", b"KEYKEYKEYKEYKEY!", 3_141_592_653
    good = {"number": secret_number, "text": "SECRET-TEXT", "key": secret_key}
    message = shapes.Secret(**good)
    shown = [repr(message), str(message), f"{message}"]
    attempts: list[Any] = [
        lambda: shapes.Secret(**{**good, "text": secret_text}),
        lambda: shapes.Secret(**{**good, "number": 4_000_000_007}),
        lambda: shapes.Secret(**{**good, "number": secret_number * 2}),
        lambda: shapes.Secret(**{**good, "number": secret_text}),
        lambda: shapes.Secret(**{**good, "key": secret_key * 2}),
        lambda: shapes.Secret(**{**good, "text": secret_text * 9}),
        lambda: setattr(message, "text", secret_text),
        lambda: shapes.Secret.from_bytes(_corrupt(message, 4, 200)),
        lambda: shapes.Secret.from_bytes(_corrupt(message, 12, 0xFF)),
        lambda: shapes.Secret.from_bytes(message.to_bytes() + b"x"),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, ValueError)) as caught:
            attempt()
        error: BaseException | None = caught.value
        while error is not None:
            shown += [str(error), repr(error), repr(error.args), repr(vars(error))]
            error = error.__cause__ or error.__context__
    for text in shown:
        for secret in ("SECRET", "KEYKEY", "3141592653", "6283185306", "4000000007"):
            assert secret not in text


def _corrupt(message: Any, offset: int, byte: int) -> bytes:
    payload = bytearray(message.to_bytes())
    payload[offset] = byte
    return bytes(payload)


def test_a_message_cannot_be_half_made(examples: ModuleType, compiled: bool) -> None:
    if not compiled:
        return
    with pytest.raises(TypeError, match="missing 2 required arguments"):
        examples.TradeTick.__new__(examples.TradeTick)
    with pytest.raises(TypeError):
        object.__new__(examples.TradeTick)
    with pytest.raises(TypeError, match="base class"):
        mycelium_fast.Message()
    with pytest.raises(TypeError, match="base class"):
        mycelium_fast.Message.__new__(mycelium_fast.Message)
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (examples.TradeTick,), {})
    with pytest.raises(TypeError):
        del examples.TradeTick.price
    with pytest.raises(AttributeError):
        examples.TradeTick(1, 2).volume = 3
    with pytest.raises(AttributeError):
        del examples.TradeTick(1, 2).price


def test_the_module_lists_its_messages_by_type_id_and_topic(examples: ModuleType) -> None:
    assert examples.MESSAGES[1200] is examples.TradeTick
    assert examples.TradeTick in examples.TOPICS["market-data"]
    assert {cls for topic in examples.TOPICS.values() for cls in topic} == set(examples.MESSAGES.values())
    assert len(examples.SCHEMA_DIGEST) == 32
    for table in (examples.MESSAGES, examples.TOPICS):
        with pytest.raises(TypeError):
            table[1] = None


def test_the_definition_says_what_the_contract_says(examples: ModuleType) -> None:
    definition = examples.PoolStateUpdate.__definition__
    assert (definition.name, definition.type_id, definition.topic) == ("PoolStateUpdate", 1011, "market-data")
    assert (definition.size, definition.align, definition.buffer_class) == (168, 8, 256)
    assert definition.required_prior_messages == ("InstrumentMeta",)
    assert [(field.name, field.offset) for field in definition.fields][-2:] == [
        ("tick", 152),
        ("block_number", 160),
    ]
    assert definition.fields[0].rules == (("not_zero", True),)
    assert examples.ArbitrageSignal.__definition__.confidential
    with pytest.raises(AttributeError):
        definition.size = 1


def test_signatures_and_docstrings_are_there_for_people(examples: ModuleType, compiled: bool) -> None:
    for name in (
        "from_bytes",
        "from_buffer",
        "decode_batch",
        "encode_batch",
        "array",
        "from_dict",
        "to_frame",
    ):
        function = getattr(examples.TradeTick, name)
        assert inspect.getdoc(function), name
        assert inspect.signature(function).parameters, name
    assert "trade" in (inspect.getdoc(examples.TradeTick) or "").lower()
    assert "price" in inspect.signature(examples.TradeTick).parameters or not compiled


def test_two_schemas_with_the_same_type_ids_live_in_one_process(
    examples: ModuleType, implementation: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("messages: {TradeTick: {tlv_type: 1200, domain: Other, fields: {price: {type: String}}}}")
    other = module(path, implementation)
    assert other.TradeTick("x").to_dict() == {"price": "x"}
    assert examples.TradeTick(1, 2).to_dict() == {"price": 1, "size": 2}
    assert other.MESSAGES[1200] is not examples.MESSAGES[1200]
    with pytest.raises(TypeError):
        examples.TradeTick.encode_batch([other.TradeTick("x")])


def test_threads_share_messages_and_classes(examples: ModuleType) -> None:
    shared = examples.TradeTick(0, 0)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(2_000):
                tick = examples.TradeTick(number, n)
                shared.price = number
                assert examples.TradeTick.from_bytes(tick.to_bytes()) == tick
                assert 0 <= shared.price < 8
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_memory_of_freed_messages_is_bounded(examples: ModuleType, compiled: bool) -> None:
    if not compiled:
        return
    code = (
        "import resource\n"
        "from mycelium_fast.example_messages import TradeTick\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "frames = TradeTick(1, 2).to_frame() * 200_000\n"
        "TradeTick.decode_batch(frames)\n"
        "before = peak()\n"
        "for _ in range(20): TradeTick.decode_batch(frames)\n"
        "for _ in range(2_000_000): TradeTick(1, 2)\n"
        "assert peak() - before < 8_192, (before, peak())\n"
    )
    checked(sys.executable, "-c", code)
