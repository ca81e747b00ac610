"""What a right contracts file becomes: names, types, rules, capacities, digest, and nothing that can change.

Mistakes are for `test_contract_errors.py`, sizes and offsets for `test_layout.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mycelium_fast.contracts import Contracts, Field, Message, Position, layout, load, parse
from mycelium_fast.contracts.types import U256, Array, Bytes, Scalar, String, Vec

GOLDEN = Path(__file__).parent / "data" / "golden"
SCHEMAS = ("examples.yaml", "game.yaml", "market.yaml", "torture.yaml")
EXAMPLE = Path(__file__).parents[1] / "contracts.yaml"


def load_field(type_: str, *rules: str) -> Field:
    """The only field of a message, by its type and its rules in YAML."""
    return load_message(f"{{a: {{type: {json.dumps(type_)}, validation: [{', '.join(rules)}]}}}}").fields[0]


def load_message(fields: str = "{}", **keys: str) -> Message:
    """A message by its fields in YAML flow style and its further keys."""
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    text = f"messages: {{M: {{tlv_type: 1, domain: D, fields: {fields}{more}}}}}"
    return parse(text.encode()).messages[0]


def checked(field: Field) -> list[tuple[str, Any]]:
    return [(rule.name, rule.limit) for rule in field.rules]


def kept(field: Field) -> list[tuple[str, Any]]:
    return [(rule.name, rule.limit) for rule in field.context_rules]


# -- the file


@pytest.mark.parametrize("name", SCHEMAS)
def test_digest_covers_the_exact_bytes(name: str) -> None:
    expected = json.loads((GOLDEN / "golden.json").read_text())["schemas"][name]["sha256"]
    assert load(GOLDEN / name).digest.hex() == expected


def test_digest_changes_with_a_comment() -> None:
    text = b"messages: {}\n"
    assert parse(text).digest == hashlib.sha256(text).digest()
    assert parse(text + b"# comment\n").digest != parse(text).digest


def test_head_of_the_file() -> None:
    contracts = load(str(GOLDEN / "torture.yaml"))
    assert contracts.file == str(GOLDEN / "torture.yaml")
    assert (contracts.schema_id, contracts.version, contracts.min_compatible) == (0x544F5254, 1, 1)
    assert contracts.tag_ranges is not None
    assert dataclasses.astuple(contracts.tag_ranges) == ((1, 999), (1000, 49999), (50000, 65535))
    assert [message.name for message in contracts.messages][:3] == ["TortEmpty", "TortU8", "TortScalars"]


def test_head_may_be_absent() -> None:
    contracts = parse(b"messages: {M: {tlv_type: 17, domain: D, fields: {}}}")
    assert (contracts.schema_id, contracts.version, contracts.min_compatible) == (None, None, None)
    assert contracts.tag_ranges is None
    assert contracts.warnings == ()


def test_part_of_the_ranges_checks_no_more_than_it_says() -> None:
    contracts = parse(b"tag_ranges: {app: 1000-1999}\nmessages: {M: {tlv_type: 17, domain: D, fields: {}}}")
    assert contracts.warnings == ()


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbfmessages: {}\n", b"messages: {}\r\n", b"---\nmessages: {}\n...\n"]
)
def test_byte_order_mark_line_ends_and_document_marks_are_taken(data: bytes) -> None:
    assert parse(data).digest == hashlib.sha256(data).digest()


def test_other_bytes_like_objects_are_taken() -> None:
    data = (GOLDEN / "market.yaml").read_bytes()
    assert parse(bytearray(data)) == parse(memoryview(data)) == parse(data)  # type: ignore[arg-type]


def test_positions_are_those_of_the_names() -> None:
    message = load(GOLDEN / "market.yaml").messages[0]
    assert message.position == Position(13, 3)
    assert message.fields[1].position == Position(23, 7)
    assert message.fields[1].rules[0].position == Position(27, 13)


def test_keys_that_nobody_knows_are_kept_as_plain_data() -> None:
    contracts = parse(
        b"domains: {a: [1, 2.5, true, null, ~, text, 0x10, {b: yes}]}\n"
        b"messages:\n  M:\n    tlv_type: 1\n    domain: D\n    invariants: [x]\n"
        b"    fields: {a: {type: u8, rust_type: u8}}\n"
    )
    assert contracts.extra == {"domains": {"a": (1, 2.5, True, None, None, "text", 16, {"b": "yes"})}}
    assert contracts.messages[0].extra == {"invariants": ("x",)}
    assert contracts.messages[0].fields[0].extra == {"rust_type": "u8"}


def test_model_is_immutable_and_hashable() -> None:
    contracts = parse(b"a: {b: [c]}\nmessages: {M: {tlv_type: 1, domain: D, fields: {a: {type: u8}}}}")
    message = contracts.messages[0]
    for value, name in [(contracts, "digest"), (message, "name"), (message.fields[0], "type")]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)
        hash(value)
    for mapping in (contracts.extra, contracts.extra["a"], message.extra, message.fields[0].extra):
        assert isinstance(mapping, Mapping)
        with pytest.raises(TypeError):
            mapping["x"] = 1  # type: ignore[index]
    assert type(contracts.messages) is type(message.fields) is type(contracts.extra["a"]["b"]) is tuple


# -- YAML


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "y", "n", "null", "true", "False", "_", "NaN"])
def test_field_may_be_called_what_yaml_takes_for_a_value(word: str) -> None:
    message = load_message(f"{{{word}: {{type: u8}}}}")
    assert [field.name for field in message.fields] == [word]


def test_golden_names_of_yaml_1_1_are_text() -> None:
    (message,) = [m for m in load(GOLDEN / "torture.yaml").messages if m.name == "TortYamlNames"]
    assert [field.name for field in message.fields] == ["on", "off", "yes", "no", "y", "n", "null"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("-3", -3),
        ("+3", 3),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("Null", None),
        ("yes", "yes"),
        ("off", "off"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("! 1", "1"),
        ("!!str 1", "1"),
        ("!!int '1'", 1),
        ("!!float 1", 1.0),
        ("!!null ''", None),
        ("&anchor 5", 5),
    ],
)
def test_values_follow_the_yaml_1_2_core_schema(text: str, value: object) -> None:
    found = parse(f"messages: {{}}\nnote: {text}\n".encode()).extra["note"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_float() -> None:
    found = parse(b"messages: {}\nnote: .nan\n").extra["note"]
    assert found != found


def test_aliases_stand_for_their_anchors() -> None:
    message = load_message("{a: &price {type: u64}, b: *price, c: {type: &t u8}, d: {type: *t}}")
    assert [str(field.type) for field in message.fields] == ["u64", "u64", "u8", "u8"]


# -- messages


def test_keys_of_a_message() -> None:
    (_, pool, signal) = load(GOLDEN / "market.yaml").messages
    assert pool.required_prior_messages == ("InstrumentMeta",)
    assert (pool.sensitivity, pool.log_payload, pool.confidential) == (None, True, False)
    assert (signal.sensitivity, signal.log_payload, signal.confidential) == ("confidential", False, True)
    assert (signal.domain, signal.topic, signal.description) == ("Signal", "signal", "ArbitrageSignal")
    assert [field.optional for field in pool.fields] == [False, False, True, True, True, True, True, False]


@pytest.mark.parametrize(
    ("keys", "confidential"),
    [
        ({}, False),
        ({"log_payload": "true"}, False),
        ({"log_payload": "false"}, True),
        ({"sensitivity": "internal"}, True),
        ({"sensitivity": "''"}, True),
        ({"sensitivity": "internal", "log_payload": "true"}, True),
        ({"sensitivity": "null"}, False),
    ],
)
def test_message_is_confidential_if_either_key_says_so(keys: dict[str, str], confidential: bool) -> None:
    assert load_message(**keys).confidential is confidential


@pytest.mark.parametrize(
    ("domain", "topic"),
    [
        ("MarketData", "market-data"),
        ("marketdata", "market-data"),
        ("MyMarketDataFeed", "mymarket-datafeed"),
        ("Torture Lab", "torture lab"),
        ("on", "on"),
    ],
)
def test_topic_is_the_domain_in_lower_case(domain: str, topic: str) -> None:
    contracts = parse(f"messages: {{M: {{tlv_type: 1, domain: {domain}, fields: {{}}}}}}".encode())
    assert contracts.messages[0].topic == topic


def test_topics_list_their_messages_in_file_order() -> None:
    topics = load(GOLDEN / "market.yaml").topics
    assert {topic: [m.name for m in messages] for topic, messages in topics.items()} == {
        "market-data": ["InstrumentMeta", "PoolStateUpdate"],
        "signal": ["ArbitrageSignal"],
    }
    assert list(topics) == ["market-data", "signal"]


def test_empty_optional_keys_are_absent_ones() -> None:
    message = load_message(
        "{a: {type: u8, description: , validation: }}", description="", required_prior_messages=""
    )
    assert (message.description, message.required_prior_messages) == ("", ())
    assert (message.fields[0].description, message.fields[0].rules) == ("", ())


def test_description_is_text_whatever_it_says() -> None:
    text = "a \"\"\" ''' \\ {{ x }} {% y %} */ \n # z"
    message = load_message(f"{{a: {{type: u8, description: {json.dumps(text)}}}}}", description="12")
    assert message.description == "12"
    assert message.fields[0].description == text


# -- names in Python


@pytest.mark.parametrize("name", ["from", "class", "None", "lambda", "to_bytes", "TYPE_ID", "__init__"])
def test_field_that_python_or_every_message_has_taken_gets_an_underscore(name: str) -> None:
    (field,) = load_message(f"{{{name}: {{type: u8}}}}").fields
    assert (field.name, field.python_name) == (name, f"{name}_")


@pytest.mark.parametrize("name", ["self_", "price", "match", "type", "self", "cdef", "_x"])
def test_field_of_another_name_keeps_it(name: str) -> None:
    (field,) = load_message(f"{{{name}: {{type: u8}}}}").fields
    assert field.python_name == name


@pytest.mark.parametrize(
    ("name", "python_name"),
    [("Tick", "Tick"), ("None", "None_"), ("MESSAGES", "MESSAGES_"), ("int", "int_"), ("match", "match")],
)
def test_class_of_a_message_avoids_names_that_are_taken(name: str, python_name: str) -> None:
    contracts = parse(f"messages: {{{name}: {{tlv_type: 1, domain: D, fields: {{}}}}}}".encode())
    assert (contracts.messages[0].name, contracts.messages[0].python_name) == (name, python_name)


# -- types


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("u64", Scalar("u64")),
        (" u64 ", Scalar("u64")),
        ("[u8;20]", Bytes(20)),
        ("[ u16 ; 3 ]", Array(Scalar("u16"), 3)),
        ("[[u8;32];6]", Array(Bytes(32), 6)),
        ("[U256; 2]", Array(U256(), 2)),
        ("U256", U256()),
        ("String", String(32)),
        ("Vec< u8 >", Vec(Scalar("u8"), 16)),
        ("Vec<[u8;20]>", Vec(Bytes(20), 4)),
        ("Vec<\nbool>", Vec(Scalar("bool"), 4)),
    ],
)
def test_type_with_any_white_space(text: str, type_: object) -> None:
    field = load_field(text)
    assert field.type == type_
    assert field.type_text == " ".join(text.split())


def test_max_length_is_the_capacity_and_no_rule_beside_it() -> None:
    field = load_field("Vec<u64>", "max_length: 7", "min_length: 2")
    assert (field.type, field.capacity) == (Vec(Scalar("u64"), 7), 7)
    assert checked(field) == [("min_length", 2)]


@pytest.mark.parametrize("limit", [1, 65_535])
def test_capacity_at_its_bounds(limit: int) -> None:
    assert load_field("String", f"max_length: {limit}").capacity == limit


# -- rules


@pytest.mark.parametrize(
    ("type_", "rule", "expected"),
    [
        ("String", "not_empty: true", ("not_empty", True)),
        ("Vec<u64>", "not_empty: true", ("not_empty", True)),
        ("String", "min_length: 32", ("min_length", 32)),
        ("String", "no_0x_prefix: true", ("no_0x_prefix", True)),
        ("[u8; 20]", "not_zero: true", ("not_zero", True)),
        ("U256", "not_zero: true", ("not_zero", True)),
        ("i16", "not_zero: true", ("not_zero", True)),
        ("Vec<u8>", "not_zero: true", ("not_zero", True)),
        ("[u16; 2]", "not_zero: true", ("not_zero", True)),
        ("u8", "max: 255", ("max", 255)),
        ("i8", "min: -128", ("min", -128)),
        ("u64", "max: 0xFF", ("max", 255)),
        ("u64", "max: 10.0", ("max", 10)),
        ("U256", f"max: {2**256 - 1}", ("max", 2**256 - 1)),
        ("f64", "min: 0", ("min", 0.0)),
        ("f32", "max: 0.5", ("max", 0.5)),
    ],
)
def test_rule_that_is_checked(type_: str, rule: str, expected: tuple[str, object]) -> None:
    field = load_field(type_, rule)
    assert checked(field) == [expected]
    assert type(field.rules[0].limit) is type(expected[1])
    assert field.context_rules == ()


@pytest.mark.parametrize("rule", ["not_empty: false", "no_0x_prefix: false", "min_length: 0"])
def test_rule_that_says_nothing_is_none(rule: str) -> None:
    field = load_field("String", rule)
    assert (field.rules, field.context_rules) == ((), ())


@pytest.mark.parametrize(
    ("type_", "rule", "limit"),
    [
        ("f32", "max: 1.0e+39", 3.4028234663852886e38),
        ("f32", "min: -1.0e+39", -3.4028234663852886e38),
    ],
)
def test_a_limit_beyond_a_float_type_still_refuses_nan_and_infinity(
    type_: str, rule: str, limit: float
) -> None:
    assert checked(load_field(type_, rule)) == [(rule[:3], limit)]


def test_limit_of_an_f32_is_an_f32() -> None:
    # 0.1 as f32 is a little more than 0.1 as f64; `max: 0.1` must let it through.
    assert checked(load_field("f32", "max: 0.1")) == [("max", 0.10000000149011612)]


def test_rules_keep_their_order_and_may_share_a_map() -> None:
    field = load_field("u64", "max: 9", "{not_zero: true, min: 3}")
    assert checked(field) == [("max", 9), ("not_zero", True), ("min", 3)]


@pytest.mark.parametrize(
    ("type_", "rule", "expected"),
    [
        ("u64", "monotonic: true", ("monotonic", True)),
        ("u32", "known_chain: {of: [1, 2]}", ("known_chain", {"of": (1, 2)})),
        ("String", "min: 3", ("min", 3)),
        ("bool", "max: 1", ("max", 1)),
        ("[u8; 3]", "min_length: 2", ("min_length", 2)),
        ("u64", "max_length: 3", ("max_length", 3)),
        ("Vec<u8>", "no_0x_prefix: true", ("no_0x_prefix", True)),
        ("u64", "min: -1", ("min", -1)),
    ],
)
def test_rule_that_is_not_checked_is_kept_and_named_in_a_warning(
    type_: str, rule: str, expected: tuple[str, object]
) -> None:
    contracts = parse(
        f"messages: {{M: {{tlv_type: 1, domain: D, fields: "
        f"{{a: {{type: '{type_}', validation: [{{{rule}}}]}}}}}}}}".encode()
    )
    (field,) = contracts.messages[0].fields
    assert (checked(field), kept(field)) == ([], [expected])
    ((_, _, warning),) = contracts.warnings
    assert warning.startswith("M.a: ")
    assert expected[0] in warning


# -- the example schema


def test_example_schema_has_the_messages_of_the_documentation() -> None:
    contracts = load(EXAMPLE)
    sizes = {message.name: (message.type_id, layout(message).size) for message in contracts.messages}
    assert (
        sizes.items()
        >= {
            "TradeTick": (1200, 16),
            "TextMessage": (1001, 312),
            "PoolStateUpdate": (1011, 168),
            "InstrumentMeta": (1018, 68),
            "ArbitrageSignal": (1020, 144),
        }.items()
    )
    assert sizes.keys() >= {"TradeSignal", "Order", "Ping", "Pong"}
    assert all(
        message.description and f.description for message in contracts.messages for f in message.fields
    )


@pytest.mark.parametrize("name", ["TextMessage", "InstrumentMeta", "PoolStateUpdate", "ArbitrageSignal"])
def test_example_schema_agrees_with_what_rust_nodes_use(name: str) -> None:
    def shape(contracts: Contracts) -> list[tuple[Any, ...]]:
        (message,) = [m for m in contracts.messages if m.name == name]
        return [
            (message.type_id, message.domain, message.confidential),
            *((f.name, f.type, f.optional, checked(f), kept(f)) for f in message.fields),
        ]

    golden = "examples.yaml" if name == "TextMessage" else "market.yaml"
    assert shape(load(EXAMPLE)) == shape(load(GOLDEN / golden))


# -- everything else


def test_package_imports_without_pyyaml_and_says_what_is_missing() -> None:
    program = (
        "import sys\n"
        "sys.modules['yaml'] = None\n"
        "from mycelium_fast import contracts, errors\n"
        "try:\n"
        "    contracts.parse(b'messages: {}')\n"
        "except errors.BuildError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pip install 'mycelium-fast[build]'" in done.stdout


def test_many_fields_take_time_in_proportion() -> None:
    def composed(count: int) -> int:
        """Lines of Python run to read a file of so many fields."""
        fields = ", ".join(f"f{i}: {{type: u8, validation: [{{min: 1}}]}}" for i in range(count))
        data = f"messages: {{M: {{tlv_type: 1, domain: D, fields: {{{fields}}}}}}}".encode()
        lines = 0

        def trace(frame: Any, event: str, argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            parse(data)
        finally:
            sys.settrace(before)
        return lines

    assert composed(160) < 5 * composed(40)
