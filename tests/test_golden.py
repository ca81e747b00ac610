"""Every golden vector through both implementations: layouts, bytes, values, and what must be refused."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import golden
import pytest
from golden import both

from mycelium_fast.errors import DecodeError, ValidationError

every_message = pytest.mark.parametrize(
    "entry", golden.golden()["messages"], ids=[entry["name"] for entry in golden.golden()["messages"]]
)
every_sample = pytest.mark.parametrize(("entry", "sample"), golden.samples())


@both
@pytest.mark.parametrize("schema", golden.SCHEMAS)
def test_the_digest_is_that_of_the_file(schema: str, implementation: str) -> None:
    digest = golden.module(schema, implementation).SCHEMA_DIGEST.hex()
    assert digest == golden.golden()["schemas"][schema]["sha256"]


@both
@every_message
def test_layout_is_that_of_the_rust_struct(entry: dict[str, Any], implementation: str) -> None:
    cls = golden.message(entry, implementation)
    definition = cls.__definition__
    constants = (cls.TYPE_ID, cls.TOPIC, cls.SIZE)
    assert constants == (entry["type_id"], entry["topic"], entry["size"])
    assert (definition.name, definition.type_id) == (entry["name"], entry["type_id"])
    assert (definition.size, definition.align, definition.topic) == (
        entry["size"],
        entry["align"],
        entry["topic"],
    )
    keys = ("name", "capacity", "offset", "size", "align")
    found = [{key: getattr(field, key) for key in keys} for field in definition.fields]
    assert found == [{key: field[key] for key in keys} for field in entry["fields"]]


@both
@every_sample
def test_building_from_the_values_gives_the_bytes(
    entry: dict[str, Any], sample: dict[str, Any], implementation: str
) -> None:
    message = golden.message(entry, implementation).from_dict(golden.values(entry, sample))
    assert message.to_bytes().hex() == sample["payload_hex"]
    assert message.to_frame().hex() == sample["frame_hex"]


@both
@every_sample
@pytest.mark.parametrize("key", ["payload_hex", "dirty_payload_hex"])
def test_decoding_gives_the_values_and_canonical_bytes(
    entry: dict[str, Any], sample: dict[str, Any], key: str, implementation: str
) -> None:
    message = golden.message(entry, implementation).from_bytes(bytes.fromhex(sample[key]))
    assert golden.exact(message.to_dict()) == golden.exact(golden.values(entry, sample))
    assert message.to_bytes().hex() == sample["payload_hex"]


@both
@every_message
def test_all_samples_decode_as_one_batch_and_as_one_array(entry: dict[str, Any], implementation: str) -> None:
    numpy = pytest.importorskip("numpy")
    cls = golden.message(entry, implementation)
    frames = b"".join([bytes.fromhex(sample["frame_hex"]) for sample in entry["samples"]])
    messages = cls.decode_batch(frames)
    assert [message.to_frame().hex() for message in messages] == [
        sample["frame_hex"] for sample in entry["samples"]
    ]
    rows = cls.array(frames)
    assert len(rows) == len(messages)
    assert rows.dtype.itemsize == 6 + entry["size"]
    for row, message in zip(rows, messages, strict=True):
        for field in entry["fields"]:
            # A field's bytes in the array are the field's bytes in the payload.
            start = field["offset"]
            expected = message.to_bytes()[start : start + field["size"]]
            assert numpy.asarray(row[field["name"]]).tobytes() == expected


@both
@pytest.mark.parametrize(
    "case",
    golden.malformed()["payloads"],
    ids=[f"{case['message']}-{case['kind']}" for case in golden.malformed()["payloads"]],
)
def test_malformed_payloads_behave_as_the_file_says(case: dict[str, Any], implementation: str) -> None:
    cls = golden.message(case, implementation)
    payload = bytes.fromhex(case["payload_hex"])
    if case["expect"] == "error":
        with pytest.raises(DecodeError) as caught:
            cls.from_bytes(payload)
        assert caught.value.message == case["message"]
        assert caught.value.field == case.get("field")
        assert 0 <= caught.value.offset <= len(payload)
        assert caught.value.reason in str(caught.value)
    else:
        assert case["expect"] == "same values as golden sample 0"
        entry = next(each for each in golden.golden()["messages"] if each["name"] == case["message"])
        message = cls.from_bytes(payload)
        assert golden.exact(message.to_dict()) == golden.exact(golden.values(entry, entry["samples"][0]))


@both
@pytest.mark.parametrize(
    "case",
    golden.malformed()["payloads"],
    ids=[f"{case['message']}-{case['kind']}" for case in golden.malformed()["payloads"]],
)
def test_a_malformed_frame_costs_itself_alone(case: dict[str, Any], implementation: str) -> None:
    cls = golden.message(case, implementation)
    entry = next(each for each in golden.golden()["messages"] if each["name"] == case["message"])
    good = bytes.fromhex(entry["samples"][0]["frame_hex"])
    payload = bytes.fromhex(case["payload_hex"])
    bad = struct.pack("<HI", case["type_id"], len(payload)) + payload
    errors: list[Exception] = []
    messages = cls.decode_batch(good + bad + good, errors=errors)
    if case["expect"] == "error":
        assert [message.to_frame() for message in messages] == [good, good]
        assert [type(error) for error in errors] == [DecodeError]
        assert len(good) <= errors[0].offset < len(good + bad)
    else:
        assert [message.to_frame() for message in messages] == [good, good, good]
        assert errors == []


@both
@pytest.mark.parametrize(
    "case",
    golden.malformed()["declared_rule_violations"],
    ids=lambda case: f"{case['message']}-{case['field']}-{case['rule']}",
)
def test_payloads_against_a_rule_are_refused_unless_validation_is_off(
    case: dict[str, Any], implementation: str
) -> None:
    cls = golden.message(case, implementation)
    payload = bytes.fromhex(case["payload_hex"])
    rule, _, limit = case["rule"].partition(" ")
    with pytest.raises(ValidationError) as caught:
        cls.from_bytes(payload)
    error = caught.value
    assert (error.message, error.field, error.rule) == (case["message"], case["field"], rule)
    assert error.limit == (float(limit) if limit else True)
    offsets = {field.name: field.offset for field in cls.__definition__.fields}
    assert error.offset == offsets[case["field"]]
    message = cls.from_bytes(payload, validate=False)
    assert cls.from_bytes(message.to_bytes(), validate=False) == message
    with pytest.raises(ValidationError):
        message.validate()
    with pytest.raises(ValidationError):
        cls.from_dict(message.to_dict())


@both
def test_two_schemas_of_the_same_type_ids_live_in_one_process(implementation: str) -> None:
    loaded = [golden.module(schema, implementation) for schema in golden.SCHEMAS]
    shared = [
        (first.MESSAGES[type_id], second.MESSAGES[type_id])
        for first, second in itertools.combinations(loaded, 2)
        for type_id in set(first.MESSAGES) & set(second.MESSAGES)
    ]
    assert shared
    for first, second in shared:
        assert first is not second
        assert first.__definition__.name != second.__definition__.name
