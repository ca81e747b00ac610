"""Sizes, alignments, offsets and padding equal what a Rust compiler made of the same structs."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mycelium_fast.contracts import Contracts, Message, MessageLayout, layout, load, parse
from mycelium_fast.contracts.types import SCALARS

GOLDEN = Path(__file__).parent / "data" / "golden"
EXPECTED = json.loads((GOLDEN / "golden.json").read_text())
MESSAGES: list[dict[str, Any]] = EXPECTED["messages"]
SCHEMAS: dict[str, Contracts] = {name: load(GOLDEN / name) for name in EXPECTED["schemas"]}


def golden(expected: dict[str, Any]) -> Message:
    (message,) = [m for m in SCHEMAS[expected["schema_file"]].messages if m.name == expected["name"]]
    return message


def lay_out(*types: str, max_length: int | None = None) -> MessageLayout:
    """The layout of a message whose fields a, b, c, ... have these types."""
    validation = f", validation: [{{max_length: {max_length}}}]" if max_length is not None else ""
    fields = ", ".join(
        f"{name}: {{type: '{type_}'{validation}}}" for name, type_ in zip("abcdefghij", types, strict=False)
    )
    text = f"messages: {{M: {{tlv_type: 1, domain: D, fields: {{{fields}}}}}}}"
    return layout(parse(text.encode()).messages[0])


@pytest.mark.parametrize("expected", MESSAGES, ids=lambda expected: expected["name"])
class TestGoldenMessage:
    def test_size_and_alignment(self, expected: dict[str, Any]) -> None:
        laid_out = layout(golden(expected))
        assert (laid_out.size, laid_out.align) == (expected["size"], expected["align"])

    def test_every_field(self, expected: dict[str, Any]) -> None:
        laid_out = layout(golden(expected))
        assert [
            {
                "name": f.field.name,
                "type": f.field.type_text,
                "capacity": f.field.capacity,
                "offset": f.offset,
                "size": f.size,
                "align": f.align,
            }
            for f in laid_out.fields
        ] == expected["fields"]

    def test_padding_between_and_after_fields(self, expected: dict[str, Any]) -> None:
        laid_out = layout(golden(expected))
        assert [list(gap) for gap in laid_out.padding] == expected["struct_padding"]

    def test_identity(self, expected: dict[str, Any]) -> None:
        message = golden(expected)
        assert (message.type_id, message.domain, message.topic) == (
            expected["type_id"],
            expected["domain"],
            expected["topic"],
        )

    def test_fields_and_padding_cover_the_payload_once(self, expected: dict[str, Any]) -> None:
        laid_out = layout(golden(expected))
        spans = sorted([*laid_out.padding, *((f.offset, f.end) for f in laid_out.fields)])
        assert all(before[1] == after[0] for before, after in pairwise(spans))
        assert (not spans and laid_out.size == 0) or (spans[0][0], spans[-1][1]) == (0, laid_out.size)


def test_golden_file_has_every_message_of_the_schemas() -> None:
    in_schemas = {(name, m.name) for name, contracts in SCHEMAS.items() for m in contracts.messages}
    assert in_schemas == {(expected["schema_file"], expected["name"]) for expected in MESSAGES}


@pytest.mark.parametrize("type_", SCALARS)
def test_scalar_is_aligned_to_its_size(type_: str) -> None:
    laid_out = lay_out("u8", type_)
    size = SCALARS[type_]
    assert (laid_out.fields[1].offset, laid_out.fields[1].size, laid_out.align) == (size, size, size)


@pytest.mark.parametrize(
    ("type_", "size", "align", "contents", "element_size", "count"),
    [
        ("String", 8 + 8, 2, 8, 1, 7),
        ("Vec<u8>", 8 + 8, 2, 8, 1, 7),
        ("Vec<bool>", 8 + 8, 2, 8, 1, 7),
        ("Vec<u16>", 8 + 14, 2, 8, 2, 7),
        ("Vec<u32>", 8 + 28, 4, 8, 4, 7),
        ("Vec<f64>", 8 + 56, 8, 8, 8, 7),
        ("Vec<i128>", 16 + 112, 16, 16, 16, 7),
        ("Vec<U256>", 8 + 224, 2, 8, 32, 7),
        ("Vec<[u8; 3]>", 8 + 22, 2, 8, 3, 7),
        ("[u16; 5]", 10, 2, 0, 2, 5),
        ("[i128; 3]", 48, 16, 0, 16, 3),
        ("[U256; 2]", 64, 1, 0, 32, 2),
        ("[u8; 9]", 9, 1, 0, 1, 9),
        ("[[u8; 9]; 4]", 36, 1, 0, 9, 4),
        ("U256", 32, 1, 0, 32, 1),
        ("bool", 1, 1, 0, 1, 1),
    ],
)
def test_shape_of_a_type(
    type_: str, size: int, align: int, contents: int, element_size: int, count: int
) -> None:
    max_length = 7 if type_.startswith(("String", "Vec")) else None
    (laid_out,) = lay_out(type_, max_length=max_length).fields
    assert (laid_out.size, laid_out.align) == (size, align)
    assert (laid_out.contents_offset, laid_out.element_size, laid_out.count) == (
        contents,
        element_size,
        count,
    )


@pytest.mark.parametrize(
    ("type_", "capacity"),
    [("String", 32), ("Vec<u8>", 16), ("Vec<i8>", 4), ("Vec<U256>", 4), ("Vec<[u8; 20]>", 4), ("u64", None)],
)
def test_default_capacity(type_: str, capacity: int | None) -> None:
    assert lay_out(type_).fields[0].field.capacity == capacity


def test_largest_capacity() -> None:
    (laid_out,) = lay_out("String", max_length=65_535).fields
    assert (laid_out.count, laid_out.size) == (65_535, 65_544)


def test_empty_message_is_a_bare_header() -> None:
    laid_out = lay_out()
    assert (laid_out.size, laid_out.align, laid_out.frame_size, laid_out.padding) == (0, 1, 6, ())


@pytest.mark.parametrize(
    ("payload", "buffer_class"), [(0, 128), (122, 128), (123, 256), (250, 256), (251, 512), (65_530, 65_536)]
)
def test_buffer_class_is_the_frame_rounded_up_to_a_power_of_two(payload: int, buffer_class: int) -> None:
    laid_out = lay_out(f"[u8; {payload}]") if payload else lay_out()
    assert laid_out.size == payload
    assert laid_out.buffer_class == buffer_class
