"""Pairs of contracts files, and what each change is to be called and to do to whom.

Files are small: where a pair gives only fields, they are those of a message `Tick` with type id 1200.
The effects are those of all changes together on `Tick`, or on the message that the pair names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SAME, LOST, SKIPPED = "same", "lost", "skipped"
SOME, REFUSED, MISREAD = "refused-some", "refused", "misread"


@dataclass(frozen=True)
class Expected:
    """What a comparison has to say.

    Attributes:
        old_readers: what happens to messages of the new file at readers of the old one.
        new_readers: the reverse; of stored data, too.
    """

    old_readers: str
    new_readers: str
    breaks: bool
    wire_compatible: bool


HARMLESS = Expected(SAME, SAME, breaks=False, wire_compatible=True)
BROKEN = Expected(REFUSED, REFUSED, breaks=True, wire_compatible=False)
GARBLED = Expected(MISREAD, MISREAD, breaks=True, wire_compatible=False)


@dataclass(frozen=True)
class Pair:
    """Two files.

    Attributes:
        kinds: of the changes that have to be found, and no others.
        renamed: new names of fields, to their old ones.
        old_values, new_values: messages to try beside random ones.
        type_id: of the message that is tried.
        new_type_id: its type id in the new file, where it has another.
    """

    name: str
    old: str
    new: str
    kinds: str
    expected: Expected
    renamed: dict[str, str] = field(default_factory=dict)
    old_values: tuple[dict[str, Any], ...] = ()
    new_values: tuple[dict[str, Any], ...] = ()
    type_id: int = 1200
    new_type_id: int = 0

    def file(self, side: str) -> str:
        """The contracts file of the side `"old"` or `"new"`."""
        text: str = getattr(self, side)
        return text if "messages:" in text else tick(text)


def tick(fields: str, **more: str) -> str:
    """A contracts file with one message, whose fields are given as a YAML flow map."""
    keys = "".join(f"    {key}: {value}\n" for key, value in more.items())
    domain = "" if "domain" in more else "    domain: MarketData\n"
    return f"messages:\n  Tick:\n    tlv_type: 1200\n{domain}{keys}    fields: {{{fields}}}\n"


def message(name: str, type_id: int, fields: str = "") -> str:
    """One more message for a file."""
    return f"  {name}:\n    tlv_type: {type_id}\n    domain: MarketData\n    fields: {{{fields}}}\n"


def files(*messages: str) -> str:
    """A contracts file of messages."""
    return "messages:\n" + "".join(messages)


U64_PAIR = "price: {type: u64}, size: {type: u64}"


def _text(capacity: int, *rules: str) -> str:
    more = "".join(", " + rule for rule in rules)
    return f"symbol: {{type: String, validation: [{{max_length: {capacity}}}{more}]}}"


def _vec(element: str, capacity: int, *rules: str) -> str:
    more = "".join(", " + rule for rule in rules)
    return f'data: {{type: "Vec<{element}>", validation: [{{max_length: {capacity}}}{more}]}}'


def _ruled(type_: str, *rules: str) -> str:
    return f'value: {{type: "{type_}", validation: [{", ".join(rules)}]}}'


PAIRS = (
    # Nothing but the digest
    Pair("comment", tick(U64_PAIR), "# a note\n" + tick(U64_PAIR), "text", HARMLESS),
    Pair(
        "white space within a type",
        'value: {type: "Vec<[u8; 20]>"}',
        'value: {type: "Vec< [u8;20] >"}',
        "text",
        HARMLESS,
    ),
    Pair(
        "field description",
        "price: {type: u64, description: in wei}",
        "price: {type: u64, description: in cents}",
        "description",
        HARMLESS,
    ),
    Pair(
        "message description", tick(U64_PAIR), tick(U64_PAIR, description="A trade"), "description", HARMLESS
    ),
    Pair(
        "context rule",
        "price: {type: u64}",
        "price: {type: u64, validation: [{monotonic: true}]}",
        "context-rules",
        HARMLESS,
    ),
    Pair("optional", "price: {type: u64}", "price: {type: u64, optional: true}", "field-optional", HARMLESS),
    Pair(
        "unknown key", "price: {type: u64}", "price: {type: u64, rust_type: Price}", "unknown-keys", HARMLESS
    ),
    Pair(
        "order of messages",
        files(message("Tick", 1200, U64_PAIR), message("Other", 1201)),
        files(message("Other", 1201), message("Tick", 1200, U64_PAIR)),
        "message-order",
        HARMLESS,
    ),
    Pair("spelling of the domain", tick(U64_PAIR), tick(U64_PAIR, domain="marketdata"), "domain", HARMLESS),
    Pair(
        "tag ranges",
        tick(U64_PAIR),
        "tag_ranges: {core: 1-999, app: 1000-49999}\n" + tick(U64_PAIR),
        "tag-ranges",
        HARMLESS,
    ),
    Pair(
        "prior messages",
        files(message("Tick", 1200, U64_PAIR), message("Other", 1201)),
        files(
            message("Tick", 1200, U64_PAIR) + "    required_prior_messages: [Other]\n", message("Other", 1201)
        ),
        "prior-messages",
        HARMLESS,
    ),
    # Nothing on the wire, but somebody has to know
    Pair("topic", tick(U64_PAIR), tick(U64_PAIR, domain="Signals"), "topic", HARMLESS),
    Pair(
        "now confidential", tick(U64_PAIR), tick(U64_PAIR, log_payload="false"), "confidentiality", HARMLESS
    ),
    Pair(
        "no longer confidential",
        tick(U64_PAIR, sensitivity="secret"),
        tick(U64_PAIR),
        "confidentiality",
        HARMLESS,
    ),
    Pair(
        "confidential in another way",
        tick(U64_PAIR, sensitivity="secret"),
        tick(U64_PAIR, sensitivity="top secret"),
        "confidentiality",
        HARMLESS,
    ),
    Pair(
        "field renamed",
        U64_PAIR,
        "cost: {type: u64}, size: {type: u64}",
        "field-renamed",
        HARMLESS,
        renamed={"cost": "price"},
    ),
    Pair(
        "message renamed",
        tick(U64_PAIR),
        files(message("Trade", 1200, U64_PAIR)),
        "message-renamed",
        HARMLESS,
    ),
    Pair(
        "message renamed, and a field",
        tick(U64_PAIR),
        files(message("Trade", 1200, "price: {type: u64}, volume: {type: u64}")),
        "message-renamed field-renamed",
        Expected(SAME, SAME, breaks=False, wire_compatible=False),
        renamed={"volume": "size"},
    ),
    Pair("U256 as bytes", "value: {type: U256}", 'value: {type: "[u8; 32]"}', "field-type", HARMLESS),
    Pair(
        "the same rule in other words",
        _text(8, "{not_empty: true}"),
        _text(8, "{min_length: 1}"),
        "rules-reworded",
        HARMLESS,
    ),
    # Messages and type ids
    Pair(
        "message added",
        files(message("Tick", 1200, U64_PAIR)),
        files(message("Tick", 1200, U64_PAIR), message("Other", 1201, "flag: {type: bool}")),
        "message-added",
        Expected(SKIPPED, SAME, breaks=False, wire_compatible=True),
        type_id=1201,
    ),
    Pair(
        "message removed",
        files(message("Tick", 1200, U64_PAIR), message("Other", 1201, "flag: {type: bool}")),
        files(message("Tick", 1200, U64_PAIR)),
        "message-removed",
        Expected(SAME, SKIPPED, breaks=True, wire_compatible=True),
        type_id=1201,
    ),
    Pair(
        "type id changed",
        files(message("Tick", 1200, U64_PAIR)),
        files(message("Tick", 1300, U64_PAIR)),
        "type-id-changed",
        Expected(SKIPPED, SKIPPED, breaks=True, wire_compatible=False),
        new_type_id=1300,
    ),
    Pair(
        "type id changed, beside a message that stays",
        files(message("Tick", 1200, U64_PAIR), message("Other", 1201)),
        files(message("Tick", 1300, U64_PAIR), message("Other", 1201)),
        "type-id-changed",
        Expected(SKIPPED, SKIPPED, breaks=True, wire_compatible=True),
        new_type_id=1300,
    ),
    Pair(
        "type id reused, another size",
        files(message("Tick", 1200, U64_PAIR)),
        files(message("Halt", 1200, "reason: {type: u32}")),
        "type-id-reused",
        BROKEN,
    ),
    Pair(
        "type id reused, the same size",
        files(message("Tick", 1200, U64_PAIR)),
        files(message("Quote", 1200, "bid: {type: u64}, ask: {type: u64}")),
        "type-id-reused",
        GARBLED,
    ),
    Pair(
        "type ids of two messages swapped",
        files(message("Tick", 1200, U64_PAIR), message("Tock", 1201, U64_PAIR)),
        files(message("Tick", 1201, U64_PAIR), message("Tock", 1200, U64_PAIR)),
        "type-id-reused type-id-reused type-id-changed type-id-changed",
        GARBLED,
    ),
    Pair(
        "type id of an empty message reused",
        files(message("Beat", 1200)),
        files(message("Halt", 1200)),
        "type-id-reused",
        GARBLED,
    ),
    # Layout
    Pair("field added", U64_PAIR, U64_PAIR + ", venue: {type: u16}", "field-added", BROKEN),
    Pair(
        "optional field added",
        U64_PAIR,
        U64_PAIR + ", venue: {type: u16, optional: true}",
        "field-added",
        BROKEN,
    ),
    Pair("field added in front", U64_PAIR, "venue: {type: u16}, " + U64_PAIR, "field-added", BROKEN),
    Pair("field removed", U64_PAIR, "price: {type: u64}", "field-removed", BROKEN),
    Pair(
        "field added in padding at the end",
        "price: {type: u64}, side: {type: u8}",
        "price: {type: u64}, side: {type: u8}, venue: {type: u16}",
        "field-added",
        Expected(LOST, MISREAD, breaks=True, wire_compatible=False),
    ),
    Pair(
        "field removed that leaves padding",
        "side: {type: u8}, venue: {type: u8}, price: {type: u64}",
        "side: {type: u8}, price: {type: u64}",
        "field-removed",
        Expected(MISREAD, LOST, breaks=True, wire_compatible=False),
    ),
    Pair(
        "fields of one type swapped",
        U64_PAIR,
        "size: {type: u64}, price: {type: u64}",
        "fields-reordered",
        GARBLED,
    ),
    Pair(
        "fields of two sizes swapped",
        "a: {type: u32}, b: {type: u64}, c: {type: u32}",
        "a: {type: u32}, c: {type: u32}, b: {type: u64}",
        "fields-reordered",
        BROKEN,
    ),
    Pair(
        "field moved within padding",
        "a: {type: u8}, b: {type: u8}, c: {type: u32}, d: {type: u8}",
        "a: {type: u8}, c: {type: u32}, d: {type: u8}, b: {type: u8}",
        "fields-reordered",
        GARBLED,
    ),
    Pair(
        "field replaced, and the next one moved",
        "a: {type: u64}, b: {type: u64}",
        "b: {type: u64}, c: {type: u64}",
        "field-added field-removed fields-moved",
        GARBLED,
    ),
    # Types
    Pair("wider integer", "price: {type: u32}", "price: {type: u64}", "field-type", BROKEN),
    Pair(
        "signed",
        "value: {type: u64}",
        "value: {type: i64}",
        "field-type",
        GARBLED,
        old_values=({"value": 2**63},),
    ),
    Pair(
        "signed, with rules that keep to what both have",
        _ruled("u64", "{max: 1000}"),
        _ruled("i64", "{min: 0}", "{max: 1000}"),
        "field-type",
        Expected(SAME, SAME, breaks=False, wire_compatible=False),
    ),
    Pair(
        "signed, with a rule that refuses what would be misread",
        _ruled("i64"),
        _ruled("u64", "{max: 1000}"),
        "field-type",
        Expected(SAME, SOME, breaks=True, wire_compatible=False),
    ),
    Pair(
        "wider than the rules need",
        _ruled("u16", "{max: 200}") + ", next: {type: u16}",
        _ruled("u8", "{max: 100}") + ", next: {type: u16}",
        "field-type",
        Expected(SOME, SOME, breaks=True, wire_compatible=False),
        old_values=({"value": 150, "next": 1}, {"value": 50, "next": 1}),
        new_values=({"value": 5, "next": 1},),
    ),
    Pair(
        "a number whose lower bytes no rule lets through",
        _ruled("i16", "{min: 300}", "{max: 400}") + ", next: {type: u16}",
        _ruled("u8", "{min: 200}") + ", next: {type: u16}",
        "field-type",
        BROKEN,
    ),
    Pair("integer as float", "value: {type: u64}", "value: {type: f64}", "field-type", GARBLED),
    Pair(
        "byte from bool",
        "value: {type: bool}",
        "value: {type: u8}",
        "field-type",
        Expected(SOME, SAME, breaks=True, wire_compatible=False),
    ),
    Pair("integer as bytes", "value: {type: u32}", 'value: {type: "[u8; 4]"}', "field-type", GARBLED),
    Pair(
        "wider integer within padding",
        "value: {type: u8}, price: {type: u32}",
        "value: {type: u16}, price: {type: u32}",
        "field-type",
        GARBLED,
        new_values=({"value": 300, "price": 1},),
    ),
    Pair(
        "text from bytes",
        _vec("u8", 9),
        _vec("u8", 9).replace("Vec<u8>", "String"),
        "field-type",
        Expected(SAME, SOME, breaks=True, wire_compatible=False),
        old_values=({"data": b"\xff"},),
    ),
    Pair(
        "array of bools as bytes",
        'flags: {type: "[bool; 3]"}',
        'flags: {type: "[u8; 3]"}',
        "field-type",
        Expected(SOME, SAME, breaks=True, wire_compatible=False),
    ),
    Pair(
        "array grouped otherwise",
        'flags: {type: "[u8; 20]"}',
        'flags: {type: "[[u8; 4]; 5]"}',
        "field-type",
        GARBLED,
    ),
    Pair(
        "longer array within padding",
        'a: {type: "[u8; 3]"}, b: {type: u32}',
        'a: {type: "[u8; 4]"}, b: {type: u32}',
        "field-type",
        GARBLED,
    ),
    Pair(
        "Vec of elements of another size",
        _vec("u16", 4),
        _vec("u32", 2),
        "field-type",
        GARBLED,
        old_values=({"data": [1]}, {"data": [1, 2]}),
        new_values=({"data": [1]},),
    ),
    Pair(
        "the same bytes, with another alignment",
        'flag: {type: bool}, value: {type: "[u8; 8]"}',
        "flag: {type: bool}, value: {type: u64}",
        "field-type",
        BROKEN,
    ),
    # Capacities
    Pair("capacity, another size", _text(8), _text(10), "field-capacity", BROKEN),
    Pair(
        "capacity, the same size",
        _text(31),
        _text(32),
        "field-capacity",
        Expected(SOME, SAME, breaks=True, wire_compatible=False),
        new_values=({"symbol": "x" * 32},),
    ),
    Pair(
        "capacity lowered, the same size",
        _vec("u8", 10),
        _vec("u8", 9),
        "field-capacity",
        Expected(SAME, SOME, breaks=True, wire_compatible=False),
        old_values=({"data": bytes(10)},),
    ),
    Pair("capacity of a Vec of numbers", _vec("u16", 4), _vec("u16", 5), "field-capacity", BROKEN),
    Pair(
        "capacity that padding takes in",
        _text(34) + ", price: {type: u64}",
        _text(40) + ", price: {type: u64}",
        "field-capacity",
        Expected(SOME, SAME, breaks=True, wire_compatible=False),
        new_values=({"symbol": "x" * 40, "price": 1},),
    ),
    # Rules
    Pair(
        "rule added",
        _ruled("u64"),
        _ruled("u64", "{min: 10}"),
        "rules-tightened",
        Expected(SAME, SOME, breaks=True, wire_compatible=True),
        old_values=({"value": 3},),
    ),
    Pair(
        "rule removed",
        _ruled("u64", "{min: 10}"),
        _ruled("u64"),
        "rules-loosened",
        Expected(SOME, SAME, breaks=True, wire_compatible=True),
        new_values=({"value": 3},),
    ),
    Pair(
        "rule tightened",
        _ruled("i32", "{max: 100}"),
        _ruled("i32", "{max: 50}"),
        "rules-tightened",
        Expected(SAME, SOME, breaks=True, wire_compatible=True),
        old_values=({"value": 75},),
    ),
    Pair(
        "rules moved",
        _ruled("i32", "{min: 0}", "{max: 100}"),
        _ruled("i32", "{min: 50}", "{max: 150}"),
        "rules-changed",
        Expected(SOME, SOME, breaks=True, wire_compatible=True),
        old_values=({"value": 10}, {"value": 60}),
        new_values=({"value": 140}, {"value": 60}),
    ),
    Pair(
        "rules with nothing in common",
        _ruled("i32", "{max: 10}"),
        _ruled("i32", "{min: 20}"),
        "rules-changed",
        Expected(REFUSED, REFUSED, breaks=True, wire_compatible=True),
    ),
    Pair(
        "not zero, which min says already",
        _ruled("u32", "{min: 5}"),
        _ruled("u32", "{min: 5}", "{not_zero: true}"),
        "rules-reworded",
        HARMLESS,
    ),
    Pair(
        "a bound for a float",
        _ruled("f64"),
        _ruled("f64", "{max: 1.5}"),
        "rules-tightened",
        Expected(SAME, SOME, breaks=True, wire_compatible=True),
        old_values=({"value": float("nan")},),
    ),
    Pair(
        "not zero for bytes",
        _ruled("[u8; 20]"),
        _ruled("[u8; 20]", "{not_zero: true}"),
        "rules-tightened",
        Expected(SAME, SOME, breaks=True, wire_compatible=True),
        old_values=({"value": bytes(20)},),
    ),
    Pair(
        "not empty, which not zero says already",
        _vec("u16", 3, "{not_zero: true}"),
        _vec("u16", 3, "{not_zero: true}", "{not_empty: true}"),
        "rules-reworded",
        HARMLESS,
        old_values=({"data": [1]},),
    ),
    Pair(
        "no prefix",
        _text(8),
        _text(8, "{no_0x_prefix: true}"),
        "rules-tightened",
        Expected(SAME, SOME, breaks=True, wire_compatible=True),
        old_values=({"symbol": "0Xab"},),
    ),
    Pair(
        "longer at least",
        _text(8),
        _text(8, "{min_length: 3}"),
        "rules-tightened",
        Expected(SAME, SOME, breaks=True, wire_compatible=True),
        old_values=({"symbol": "ab"},),
    ),
    # Several at once
    Pair(
        "renamed message with a rule and a description",
        tick("price: {type: u64}, size: {type: u64, description: lots}"),
        files(
            message("Trade", 1200, "price: {type: u64, validation: [{not_zero: true}]}, size: {type: u64}")
        ),
        "message-renamed rules-tightened description",
        Expected(SAME, SOME, breaks=True, wire_compatible=True),
        old_values=({"price": 0, "size": 1},),
    ),
    Pair(
        "field added, and a rule",
        "price: {type: u64}",
        "price: {type: u64, validation: [{min: 5}]}, size: {type: u64}",
        "rules-tightened field-added",
        BROKEN,
    ),
)
