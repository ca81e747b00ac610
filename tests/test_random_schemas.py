"""The compiled codec against the plain Python one: 200 random message shapes, right, wrong and dirty input.

The plain Python implementation is the reference. Whatever goes in, both give the same bytes and values, or
the same error with the same text and attributes.
"""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from typing import Any

import golden
import pytest
import random_contracts
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mycelium_fast import contracts
from mycelium_fast.contracts import Message
from mycelium_fast.errors import DecodeError, EncodeError, ValidationError

SEEDS = (1, 2, 3, 4)
SHAPES_EACH = 50

shapes = pytest.mark.parametrize("shape", range(SHAPES_EACH))
seeds = pytest.mark.parametrize("seed", SEEDS)

Pair = tuple[Message, Any, Any]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Pair]]:
    """Model, compiled class and plain class of every shape, by seed."""
    directory = tmp_path_factory.mktemp("contracts")
    found: dict[int, list[Pair]] = {}
    for seed in SEEDS:
        path = directory / f"shapes{seed}.yaml"
        path.write_text(random_contracts.contracts_yaml(seed, SHAPES_EACH))
        model = contracts.load(path)
        compiled, plain = (golden.module(path, each) for each in golden.IMPLEMENTATIONS)
        found[seed] = [
            (message, compiled.MESSAGES[message.type_id], plain.MESSAGES[message.type_id])
            for message in model.messages
        ]
    return found


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives, or all that its error says."""
    try:
        result = call(*arguments)
    except (DecodeError, EncodeError, ValidationError) as error:
        return described(error)
    except Exception as error:
        return type(error), str(error)
    return golden.exact(shown(result))


def described(error: Exception) -> Any:
    keys = ("message", "field", "offset", "reason", "rule")
    details = {key: getattr(error, key, None) for key in keys}
    return type(error), str(error), details, golden.exact(getattr(error, "limit", None))


def shown(result: Any) -> Any:
    """Results of either implementation as data that can be compared."""
    if isinstance(result, list):
        return [shown(each) for each in result]
    if hasattr(result, "to_frame"):
        return {"frame": result.to_frame(), "values": result.to_dict(), "repr": repr(result)}
    return result


def agree(call: Callable[..., Any], compiled: Any, plain: Any, *arguments: Any) -> Any:
    """Call a function with either implementation first and the same arguments; the outcomes are the same."""
    expected = outcome(call, plain, *arguments)
    assert outcome(call, compiled, *arguments) == expected
    return expected


def build(cls: Any, values: list[Any]) -> Any:
    return cls(*values)


def decode(cls: Any, payload: bytes, validate: bool) -> Any:
    return cls.from_bytes(payload, validate=validate)


def decode_at(cls: Any, buffer: bytes, offset: int, validate: bool) -> Any:
    return cls.from_buffer(buffer, offset, validate=validate)


def decode_batch(cls: Any, buffer: bytes, validate: bool) -> Any:
    return cls.decode_batch(buffer, validate=validate)


def decode_batch_and_errors(cls: Any, buffer: bytes, validate: bool) -> list[Any]:
    errors: list[Exception] = []
    messages = cls.decode_batch(buffer, validate=validate, errors=errors)
    return [messages, [repr(described(error)) for error in errors]]


def rows(cls: Any, buffer: bytes) -> int:
    return len(cls.array(buffer))


def good_values(message: Message, rng: random.Random) -> list[Any]:
    return [random_contracts.good_value(field, rng) for field in message.fields]


@seeds
@shapes
def test_right_values_give_the_same_bytes(pairs: dict[int, list[Pair]], seed: int, shape: int) -> None:
    message, compiled, plain = pairs[seed][shape]
    rng = random.Random(seed * 1000 + shape)
    for _ in range(10):
        values = good_values(message, rng)
        ours, reference = compiled(*values), plain(*values)
        assert ours.to_bytes() == reference.to_bytes()
        assert ours.to_frame() == reference.to_frame()
        assert golden.exact(ours.to_dict()) == golden.exact(reference.to_dict())
        assert repr(ours) == repr(reference)
        for again in (
            compiled(**dict(zip(compiled.__match_args__, values, strict=True))),
            compiled.from_dict(ours.to_dict()),
            compiled.from_bytes(reference.to_bytes()),
            copy.copy(ours),
            copy.deepcopy(ours),
            pickle.loads(pickle.dumps(ours)),
            ours.replace(),
        ):
            assert again == ours
        for again in (plain.from_bytes(ours.to_bytes()), pickle.loads(pickle.dumps(reference))):
            assert again == reference


@seeds
@shapes
def test_dirty_payloads_become_canonical(pairs: dict[int, list[Pair]], seed: int, shape: int) -> None:
    message, compiled, plain = pairs[seed][shape]
    rng = random.Random(seed * 2000 + shape)
    for _ in range(5):
        payload = plain(*good_values(message, rng)).to_bytes()
        dirty = random_contracts.dirtied(plain, payload, rng)
        assert compiled.from_bytes(dirty).to_bytes() == payload
        assert plain.from_bytes(dirty).to_bytes() == payload


@seeds
@shapes
def test_odd_values_give_the_same_errors(pairs: dict[int, list[Pair]], seed: int, shape: int) -> None:
    message, compiled, plain = pairs[seed][shape]
    rng = random.Random(seed * 3000 + shape)
    values = good_values(message, rng)
    ours, reference = compiled(*values), plain(*values)
    for index, field in enumerate(message.fields):
        for odd in random_contracts.ODD_VALUES:
            agree(setattr, ours, reference, field.python_name, odd)
            # A setter that fails leaves everything as it was.
            assert ours.to_bytes() == reference.to_bytes()
            changed = [*values[:index], odd, *values[index + 1 :]]
            agree(build, compiled, plain, changed)


@seeds
@shapes
def test_corrupt_payloads_give_the_same_result(pairs: dict[int, list[Pair]], seed: int, shape: int) -> None:
    message, compiled, plain = pairs[seed][shape]
    rng = random.Random(seed * 4000 + shape)
    for _ in range(30):
        payload = bytearray(plain(*good_values(message, rng)).to_bytes())
        for _ in range(rng.choice((1, 2, 8))):
            if payload:
                payload[rng.randrange(len(payload))] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xC3, 0xED, 0xFF))
        if rng.random() < 0.2:
            payload = bytearray(rng.randbytes(len(payload)))
        if rng.random() < 0.1:
            payload = payload[: rng.randrange(len(payload) + 1)] + rng.randbytes(rng.choice((0, 1)))
        validate, prefix = rng.random() < 0.5, rng.choice((0, 3))
        data = bytes(payload)
        agree(decode, compiled, plain, data, validate)
        agree(decode_at, compiled, plain, bytes(prefix) + data, prefix, validate)


@seeds
@shapes
def test_corrupt_batches_give_the_same_result(pairs: dict[int, list[Pair]], seed: int, shape: int) -> None:
    message, compiled, plain = pairs[seed][shape]
    rng = random.Random(seed * 5000 + shape)
    for _ in range(10):
        frames = [plain(*good_values(message, rng)).to_frame() for _ in range(rng.randrange(5))]
        buffer = bytearray(b"".join(frames))
        for _ in range(rng.choice((0, 1, 3))):
            if buffer:
                buffer[rng.randrange(len(buffer))] = rng.choice((0, 1, 2, 0x80, 0xFF))
        if rng.random() < 0.2:
            del buffer[rng.randrange(len(buffer) + 1) :]
        data, validate = bytes(buffer), rng.random() < 0.5
        agree(decode_batch, compiled, plain, data, validate)
        agree(decode_batch_and_errors, compiled, plain, data, validate)


@seeds
@shapes
def test_arrays_show_the_same_rows(pairs: dict[int, list[Pair]], seed: int, shape: int) -> None:
    message, compiled, plain = pairs[seed][shape]
    rng = random.Random(seed * 6000 + shape)
    frames = b"".join([plain(*good_values(message, rng)).to_frame() for _ in range(4)])
    ours, reference = compiled.array(frames), plain.array(frames)
    assert ours.dtype == reference.dtype
    assert ours.tobytes() == reference.tobytes()
    assert len(ours) == 4
    agree(rows, compiled, plain, frames[:-1])


@seeds
def test_definitions_are_the_same(pairs: dict[int, list[Pair]], seed: int) -> None:
    keys = (
        "name",
        "type_id",
        "topic",
        "domain",
        "description",
        "size",
        "align",
        "buffer_class",
        "confidential",
    )
    field_keys = (
        *("name", "python_name", "type", "offset", "size", "align", "contents_offset", "capacity", "element"),
        *("count", "optional", "description"),
    )
    for _, compiled, plain in pairs[seed]:
        ours, reference = compiled.__definition__, plain.__definition__
        assert [getattr(ours, key) for key in keys] == [getattr(reference, key) for key in keys]
        assert compiled.__match_args__ == plain.__match_args__
        for one, other in zip(ours.fields, reference.fields, strict=True):
            assert [getattr(one, key) for key in field_keys] == [getattr(other, key) for key in field_keys]
            assert list(map(tuple, one.rules)) == list(map(tuple, other.rules))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_values_agree(pairs: dict[int, list[Pair]], data: st.DataObject) -> None:
    message, compiled, plain = pairs[data.draw(st.sampled_from(SEEDS))][
        data.draw(st.integers(0, SHAPES_EACH - 1))
    ]
    values = [data.draw(random_contracts.values(field)) for field in message.fields]
    result = agree(build, compiled, plain, values)
    assume(isinstance(result, dict))
    message = compiled(*values)
    decoded = [getattr(compiled.from_bytes(message.to_bytes()), name) for name in compiled.__match_args__]
    assert golden.exact(decoded) == golden.exact(values)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_bytes_agree(pairs: dict[int, list[Pair]], data: st.DataObject) -> None:
    _, compiled, plain = pairs[data.draw(st.sampled_from(SEEDS))][data.draw(st.integers(0, SHAPES_EACH - 1))]
    payload = data.draw(st.binary(min_size=plain.SIZE, max_size=plain.SIZE))
    for validate in (True, False):
        agree(decode, compiled, plain, payload, validate)
