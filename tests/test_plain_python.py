"""The plain Python module: it stands alone, and its messages do all that messages do.

What both implementations share is run for both; bytes and errors are compared in test_golden.py and
test_random_schemas.py.
"""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import golden
import pytest
from golden import both

from mycelium_fast import contracts
from mycelium_fast.codegen.render import render
from mycelium_fast.errors import DecodeError, EncodeError, ValidationError

SCHEMA = """\
messages:
  Tick:
    tlv_type: 1200
    domain: MarketData
    fields:
      price: {type: u64, validation: [{min: 1}]}
      size: {type: u32}
      venue: {type: String, validation: [{max_length: 8}]}
  Empty: {tlv_type: 1201, domain: MarketData, fields: {}}
  Ratio: {tlv_type: 1202, domain: Other, fields: {value: {type: f32}, seen: {type: bool}}}
  Names:
    tlv_type: 1203
    domain: Other
    fields:
      from: {type: u8}
      self: {type: u8}
      cls: {type: u8}
      to_bytes: {type: u8}
      __secret: {type: u8}
"""


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("contracts") / "ticks.yaml"
    path.write_text(SCHEMA)
    return path


@pytest.fixture(params=golden.IMPLEMENTATIONS)
def messages(request: pytest.FixtureRequest, schema: Path) -> types.ModuleType:
    return golden.module(schema, request.param)


def test_it_needs_nothing_but_the_standard_library(schema: Path, tmp_path: Path) -> None:
    (tmp_path / "messages.py").write_text(render(contracts.load(schema), "python"))
    program = """
import sys
sys.path[:] = [p for p in sys.path if "site-packages" not in p] + [sys.argv[1]]
import messages
assert "mycelium_fast" not in sys.modules, "found a package that should not be there"
tick = messages.Tick(101_500, 2_500, "XNYS")
assert messages.Tick.from_bytes(tick.to_bytes()) == tick
for call, error, attributes in (
    (lambda: messages.Tick(0, 1, ""), messages.ValidationError, {"rule": "min", "limit": 1}),
    (lambda: messages.Tick(-1, 1, ""), messages.EncodeError, {}),
    (lambda: messages.Tick.from_bytes(b""), messages.DecodeError, {"message": "Tick", "offset": 0}),
):
    try:
        call()
    except ValueError as raised:
        assert type(raised) is error, raised
        assert {key: getattr(raised, key) for key in attributes} == attributes
    else:
        raise SystemExit("no error")
print(tick)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("Tick(price=101500, size=2500, venue='XNYS')\n", "")


def test_its_errors_are_those_of_the_package_where_that_is_installed(schema: Path) -> None:
    plain = golden.module(schema, "python")
    assert (plain.DecodeError, plain.EncodeError, plain.ValidationError) == (
        DecodeError,
        EncodeError,
        ValidationError,
    )


def test_array_without_numpy_says_what_to_install(schema: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ImportError, match="pip install numpy"):
        golden.module(schema, "python").Tick.array(b"")


def test_tables_are_read_only_and_in_contract_order(messages: types.ModuleType) -> None:
    assert list(messages.MESSAGES) == [1200, 1201, 1202, 1203]
    assert messages.MESSAGES[1200] is messages.Tick
    assert dict(messages.TOPICS) == {
        "market-data": (messages.Tick, messages.Empty),
        "other": (messages.Ratio, messages.Names),
    }
    for table in (messages.MESSAGES, messages.TOPICS):
        with pytest.raises(TypeError):
            table["x"] = 1  # type: ignore[index]


def test_arguments_bind_as_those_of_a_function(messages: types.ModuleType) -> None:
    tick = messages.Tick(5, venue="X", size=6)
    assert (tick.price, tick.size, tick.venue) == (5, 6, "X")
    names = messages.Names(1, self=2, cls=3, to_bytes_=4, __secret=5)
    assert names.to_dict() == {"from": 1, "self": 2, "cls": 3, "to_bytes": 4, "__secret": 5}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: m.Tick(1, 2), "Tick() missing 1 required argument: 'venue'"),
        (lambda m: m.Tick(1), "Tick() missing 2 required arguments: 'size' and 'venue'"),
        (lambda m: m.Tick(), "Tick() missing 3 required arguments: 'price', 'size', and 'venue'"),
        (lambda m: m.Tick(1, 2, "", x=1), "Tick() got an unexpected keyword argument 'x'"),
        (lambda m: m.Tick(1, 2, price=1), "Tick() got multiple values for argument 'price'"),
        (lambda m: m.Tick(1, 2, "", 4), "Tick() takes 3 positional arguments but 4 were given"),
        (lambda m: m.Empty(1), "Empty() takes 0 positional arguments but 1 was given"),
        (lambda m: m.Tick(1, 2, "").replace(x=1), "Tick.replace() got an unexpected keyword argument 'x'"),
        (lambda m: m.Tick.from_dict({"price": 1, "size": 2}), "Tick.from_dict() missing the field 'venue'"),
        (
            lambda m: m.Tick.from_dict({"price": 1, "size": 2, "venue": "", "x": 1}),
            "Tick.from_dict() got an unknown field 'x'",
        ),
        (lambda m: m.Tick.from_bytes("x"), "Tick.from_bytes() takes a bytes-like object, got str"),
        (lambda m: m.Tick("1", 2, ""), "Tick.price: expected int, got str"),
        (lambda m: m.Tick(True, 2, ""), "Tick.price: expected int, got bool"),
        (lambda m: m.Tick(1, 2.0, ""), "Tick.size: expected int, got float"),
        (lambda m: m.Tick(1, 2, b""), "Tick.venue: expected str, got bytes"),
        (lambda m: m.Ratio(True, False), "Ratio.value: expected float, got bool"),
        (lambda m: m.Ratio(1, 1), "Ratio.seen: expected bool, got int"),
    ],
)
def test_a_call_with_wrong_arguments_is_a_type_error(
    messages: types.ModuleType, call: Callable[[types.ModuleType], Any], text: str
) -> None:
    with pytest.raises(TypeError) as caught:
        call(messages)
    assert str(caught.value) == text


def test_values_that_do_not_fit_are_encode_errors(messages: types.ModuleType) -> None:
    with pytest.raises(EncodeError, match=r"Tick\.size: 4294967296 is out of range 0\.\.4294967295 for u32"):
        messages.Tick(1, 2**32, "")
    with pytest.raises(EncodeError, match=r"Tick\.venue: 9 bytes of UTF-8 given, .* at most 8"):
        messages.Tick(1, 2, "ééééé"[:4] + "x")
    with pytest.raises(EncodeError, match="lone surrogate at position 1"):
        messages.Tick(1, 2, "a\ud800")
    with pytest.raises(EncodeError, match=r"Ratio\.value: .* out of range for f32"):
        messages.Ratio(1e39, False)
    assert messages.Ratio(math.inf, False).value == math.inf


def test_a_setter_that_fails_leaves_the_old_value(messages: types.ModuleType) -> None:
    tick = messages.Tick(1, 2, "old")
    for name, value in (
        ("price", 0),
        ("price", "x"),
        ("size", -1),
        ("venue", "far too long"),
        ("venue", "\ud800"),
    ):
        with pytest.raises((TypeError, ValueError)):
            setattr(tick, name, value)
    assert tick == messages.Tick(1, 2, "old")
    tick.venue = "n"
    assert tick.to_bytes() == messages.Tick(1, 2, "n").to_bytes()


def test_attributes_that_are_no_fields_are_refused(messages: types.ModuleType) -> None:
    tick = messages.Tick(1, 2, "")
    for name in ("nope", "SIZE", "TYPE_ID"):
        with pytest.raises(AttributeError):
            setattr(tick, name, 1)
    with pytest.raises(AttributeError):
        del tick.price


def test_equality_is_of_class_and_bytes_and_there_is_no_hash(
    messages: types.ModuleType, schema: Path
) -> None:
    tick = messages.Tick(1, 2, "")
    assert tick == messages.Tick(1, 2, "")
    assert tick != messages.Tick(1, 3, "")
    assert tick != tick.to_bytes()
    assert messages.Empty() == messages.Empty()
    with pytest.raises(TypeError, match="unhashable"):
        hash(tick)
    compiled, plain = (golden.module(schema, each) for each in golden.IMPLEMENTATIONS)
    assert compiled.Empty() != plain.Empty()


def test_it_matches_patterns_by_position_and_name(messages: types.ModuleType) -> None:
    match messages.Tick(1, 2, "X"):
        case messages.Tick(price, size=s, venue="X"):
            assert (price, s) == (1, 2)
        case _:
            pytest.fail("did not match")


def test_copies_are_equal_and_independent(messages: types.ModuleType) -> None:
    tick = messages.Tick(1, 2, "X")
    copies = [copy.copy(tick), copy.deepcopy(tick), pickle.loads(pickle.dumps(tick)), tick.replace()]
    tick.price = 9
    assert [each.price for each in copies] == [1, 1, 1, 1]
    assert tick.replace(size=7) == messages.Tick(9, 7, "X")
    assert tick.__replace__(size=7) == messages.Tick(9, 7, "X")


def test_a_message_against_a_rule_can_be_pickled(messages: types.ModuleType) -> None:
    tick = messages.Tick.from_bytes(bytes(messages.Tick.SIZE), validate=False)
    assert pickle.loads(pickle.dumps(tick)) == tick
    with pytest.raises(ValidationError):
        tick.validate()


def test_bytes_and_where_python_allows_the_buffer_are_the_payload(messages: types.ModuleType) -> None:
    tick = messages.Tick(1, 2, "X")
    assert bytes(tick) == tick.to_bytes()
    assert tick.to_frame() == bytes.fromhex("b00418000000"[:4]) + len(bytes(tick)).to_bytes(
        4, "little"
    ) + bytes(tick)
    if messages.__name__.endswith("_python") and sys.version_info < (3, 12):
        return  # no class in Python code can export a buffer there
    view = memoryview(tick)
    assert view.readonly
    assert view == tick.to_bytes()
    with pytest.raises(TypeError):
        view[0] = 1


def test_batches_are_encoded_and_decoded(messages: types.ModuleType) -> None:
    ticks = [messages.Tick(number, number, "X") for number in range(1, 6)]
    frames = messages.Tick.encode_batch(ticks)
    assert frames == b"".join([tick.to_frame() for tick in ticks])
    assert messages.Tick.decode_batch(frames) == ticks
    assert messages.Tick.encode_batch(iter(ticks)) == frames
    with pytest.raises(TypeError, match=r"Tick\.encode_batch\(\) takes .*\.Tick alone, got .*\.Empty"):
        messages.Tick.encode_batch([messages.Empty()])
    with pytest.raises(DecodeError, match="type id 1201") as caught:
        messages.Tick.decode_batch(frames + messages.Empty().to_frame())
    assert caught.value.offset == len(frames)
    # Also when errors are collected: what follows cannot be trusted.
    with pytest.raises(DecodeError, match="partial frame"):
        messages.Tick.decode_batch(frames[:-1], errors=[])


def test_any_bytes_like_object_is_decoded_and_a_gap_between_bytes_is_refused(
    messages: types.ModuleType,
) -> None:
    tick = messages.Tick(1, 2, "X")
    payload = tick.to_bytes()
    for each in (payload, bytearray(payload), memoryview(payload), memoryview(payload).cast("I")):
        assert messages.Tick.from_bytes(each) == tick
        assert messages.Tick.from_buffer(each) == tick
    with pytest.raises(BufferError):
        messages.Tick.from_bytes(memoryview(payload + payload)[::2])
    assert messages.Tick.from_buffer(b"abc" + payload + b"x", 3) == tick
    for offset in (-1, 1, 10**6):
        with pytest.raises(DecodeError) as caught:
            messages.Tick.from_buffer(payload, offset)
        assert caught.value.offset == offset


def test_array_is_a_view_without_a_copy(messages: types.ModuleType) -> None:
    pytest.importorskip("numpy")
    frames = bytearray(messages.Tick.encode_batch([messages.Tick(number, 7, "X") for number in range(1, 5)]))
    rows = messages.Tick.array(frames)
    assert rows["price"].sum() == 10
    frames[6:14] = (100).to_bytes(8, "little")
    assert rows["price"].tolist() == [100, 2, 3, 4]
    assert len(messages.Tick.array(b"")) == 0


def test_message_classes_are_final_and_the_base_is_abstract(messages: types.ModuleType) -> None:
    with pytest.raises(TypeError):
        type("Mine", (messages.Tick,), {})
    with pytest.raises(TypeError):
        messages.Tick.__base__()


# --- Confidential messages ----------------------------------------------------------------------------------

SECRET_TEXT = "s3cr3t-h0rse"
SECRET_NUMBER = 735_173_517
CONFIDENTIAL = """\
messages:
  Hidden:
    tlv_type: 1300
    domain: Signals
    sensitivity: confidential
    fields:
      text: {type: String, validation: [{max_length: 16}, {min_length: 2}, {no_0x_prefix: true}]}
      number: {type: u32, validation: [{max: 10}]}
      small: {type: u8}
      wide: {type: i128}
      ratio: {type: f32, validation: [{max: 5}]}
      flag: {type: bool}
      raw: {type: "[u8; 12]"}
      big: {type: U256, validation: [{max: 5}]}
      pair: {type: "[u8; 3]", validation: [{not_zero: true}]}
      numbers: {type: "[u16; 2]"}
      list: {type: Vec<u32>, validation: [{max_length: 3}, {min_length: 2}]}
      texts: {type: Vec<u8>, validation: [{max_length: 12}, {not_zero: true}]}
"""


def good() -> dict[str, Any]:
    return {
        "text": "ok",
        "number": 1,
        "small": 1,
        "wide": 1,
        "ratio": 1.0,
        "flag": True,
        "raw": bytes(12),
        "big": 1,
        "pair": b"abc",
        "numbers": (1, 2),
        "list": [1, 2],
        "texts": b"x",
    }


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@both
def test_a_confidential_message_leaks_nothing(tmp_path: Path, implementation: str) -> None:
    path = tmp_path / "hidden.yaml"
    path.write_text(CONFIDENTIAL)
    hidden = golden.module(path, implementation).Hidden
    message = hidden(**good())
    assert repr(message) == str(message) == "Hidden(<confidential>)"

    secrets = [SECRET_TEXT, SECRET_TEXT * 9, SECRET_TEXT + "\ud800", f"0x{SECRET_TEXT}", SECRET_TEXT.encode()]
    secrets += [SECRET_TEXT.encode() * 9, bytearray(SECRET_TEXT.encode()), SECRET_NUMBER, -SECRET_NUMBER]
    secrets += [
        SECRET_NUMBER << 300,
        SECRET_NUMBER * 1.0,
        SECRET_NUMBER * 1e40,
        [SECRET_NUMBER],
        [SECRET_TEXT],
    ]
    secrets += [(SECRET_NUMBER,) * 2, [SECRET_NUMBER << 300] * 2, {SECRET_TEXT: SECRET_NUMBER}]
    calls: list[Callable[[], Any]] = []
    for name in good():
        for secret in secrets:
            calls.append(lambda name=name, secret=secret: setattr(message, name, secret))
            calls.append(lambda name=name, secret=secret: hidden(**{**good(), name: secret}))
            calls.append(lambda name=name, secret=secret: message.replace(**{name: secret}))
            calls.append(lambda name=name, secret=secret: hidden.from_dict({**good(), name: secret}))
    payload = hidden(**{**good(), "text": SECRET_TEXT, "raw": SECRET_TEXT.encode()}).to_bytes()
    for field in hidden.__definition__.fields:
        for junk in (
            b"\xff" * field.size,
            SECRET_NUMBER.to_bytes(field.size, "little") if field.size > 3 else b"",
        ):
            bad = payload[: field.offset] + junk + payload[field.offset + len(junk) :]
            calls.append(lambda bad=bad: hidden.from_bytes(bad))
            calls.append(lambda bad=bad: hidden.decode_batch(payload[:0] + message.to_frame()[:6] + bad))
    calls.append(lambda: hidden.from_bytes(payload[:-1]))

    raised = 0
    for call in calls:
        try:
            call()
        except Exception as error:
            raised += 1
            for each in chain(error):
                text = "".join(traceback.format_exception_only(each)) + repr((each.args, vars(each)))
                text += repr(getattr(each, "object", None))
                for trace in (SECRET_TEXT, str(SECRET_NUMBER), str(SECRET_NUMBER << 300), "735173"):
                    assert trace not in text
                assert repr(SECRET_NUMBER * 1e40)[:5] not in text
    assert raised > 300
