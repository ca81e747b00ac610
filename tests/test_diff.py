"""What `compare()` says of two contracts files, confirmed by decoding bytes of the one with the other."""

from __future__ import annotations

import json
import random
import struct
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import golden
import pytest
import random_contracts
from contract_pairs import LOST, MISREAD, PAIRS, REFUSED, SAME, SKIPPED, SOME, U64_PAIR, Pair, tick

from mycelium_fast import contracts
from mycelium_fast.bus.recording import Recorder, Recording
from mycelium_fast.contracts import Comparison, Contracts, Message
from mycelium_fast.contracts.changes import HARMFUL, Effect
from mycelium_fast.errors import ContractError, DecodeError, ValidationError

#: The effects, the least harmful first.
ORDER = [effect.value for effect in Effect]

pairs = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name.replace(" ", "-"))


class Side:
    """One file: its model, and its generated classes."""

    def __init__(self, path: Path, text: str) -> None:
        path.write_text(text)
        self.model: Contracts = contracts.load(path)
        self.module: types.ModuleType = golden.module(path, "python")

    def message(self, type_id: int) -> Message | None:
        return next((each for each in self.model.messages if each.type_id == type_id), None)


def frames_of(
    side: Side, type_id: int, values: Iterable[dict[str, Any]], rng: random.Random, tries: int = 60
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Frames of a side's message with the values in them: as we send them, and with padding as it came."""
    message = side.message(type_id)
    if message is None:
        return
    cls = side.module.MESSAGES[type_id]
    drawn = [[random_contracts.good_value(field, rng) for field in message.fields] for _ in range(tries)]
    given = [[each[field.name] for field in message.fields] for each in values]
    for arguments in [*given, *drawn]:
        built = cls(*arguments)
        frame = built.to_frame()
        yield frame, built.to_dict()
        dirty = bytearray(frame)
        for start, end in contracts.layout(message).padding:
            dirty[6 + start : 6 + end] = rng.randbytes(end - start)
        yield bytes(dirty), built.to_dict()


def plain(value: Any) -> Any:
    """A value by what it means: text as its bytes, bytes as numbers, floats as bits."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    if isinstance(value, (bytes, list, tuple)):
        return [plain(each) for each in value]
    return int(value)


def observed(
    frames: Iterable[tuple[bytes, dict[str, Any]]],
    reader: Side,
    names: dict[str, str],
    *,
    same_message: bool = True,
    validate: bool = True,
) -> str:
    """What happened to frames at a reader; `names` are its fields' names to the writer's."""
    seen = set()
    for frame, values in frames:
        type_id, _ = struct.unpack_from("<HI", frame)
        cls = reader.module.MESSAGES.get(type_id)
        if cls is None:
            seen.add(SKIPPED)
            continue
        try:
            got = cls.from_bytes(frame[6:], validate=validate).to_dict()
        except (DecodeError, ValidationError):
            seen.add(REFUSED)
            continue
        fields = {names.get(name, name): value for name, value in got.items()}
        right = all(name in values and plain(values[name]) == plain(each) for name, each in fields.items())
        complete = fields.keys() >= values.keys()
        seen.add(MISREAD if not right or not same_message else SAME if complete else LOST)
    for effect in (SKIPPED, MISREAD):
        if effect in seen:
            return effect
    if REFUSED in seen:
        return REFUSED if seen == {REFUSED} else SOME
    return LOST if LOST in seen else SAME


@pairs
def test_every_verdict_is_what_happens_to_real_bytes(pair: Pair, tmp_path: Path) -> None:
    old, new = (Side(tmp_path / f"{side}.yaml", pair.file(side)) for side in ("old", "new"))
    comparison = contracts.compare(old.model, new.model)
    expected = pair.expected
    assert [change.kind for change in comparison.changes] == pair.kinds.split()
    assert comparison.breaks is expected.breaks
    assert comparison.wire_compatible is expected.wire_compatible
    assert bool(comparison.obstacles) is not expected.wire_compatible
    assert claimed(comparison, pair.type_id) == (
        expected.old_readers,
        expected.new_readers,
        expected.new_readers,
    )

    rng = random.Random(pair.name)
    same_message = "type-id-reused" not in pair.kinds
    sent = list(frames_of(old, pair.type_id, pair.old_values, rng))
    assert observed(sent, new, pair.renamed, same_message=same_message) == expected.new_readers
    kept = list(recorded(tmp_path / "recording", old, sent))
    assert observed(kept, new, pair.renamed, same_message=same_message) == expected.new_readers
    back = {was: name for name, was in pair.renamed.items()}
    answers = frames_of(new, pair.new_type_id or pair.type_id, pair.new_values, rng)
    assert observed(answers, old, back, same_message=same_message) == expected.old_readers


def recorded(
    path: Path, side: Side, sent: list[tuple[bytes, dict[str, Any]]]
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The same frames from a recording of them."""
    with Recorder(path, side.model.digest) as recorder:
        for frame, _ in sent:
            recorder.write(frame)
    with Recording(path) as recording:
        for record, (_, values) in zip(recording, sent, strict=True):
            yield record.frame, values


def claimed(comparison: Comparison, type_id: int) -> tuple[str, str, str]:
    """What a comparison says of a type id in all."""
    for item in comparison.messages:
        if item.type_id == type_id:
            return item.old_readers.value, item.new_readers.value, item.stored.value
    effects = [change.effects for change in comparison.changes if change.message is not None]
    sides = [
        [getattr(each, audience).effect.value for each in effects]
        for audience in ("old_readers", "new_readers", "stored")
    ]
    first, second, third = (max(each, key=ORDER.index) for each in sides)
    return first, second, third


def test_there_are_40_pairs_with_names_of_their_own() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 40


# --- Random contracts, changed at random --------------------------------------------------------------------

#: Types that stand in each other's place without moving anything.
ALIKE = (
    ("u8", "i8", "bool", "[u8; 1]"),
    ("u16", "i16", "[u8; 2]"),
    ("u32", "i32", "f32", "[u8; 4]"),
    ("u64", "i64", "f64", "[u8; 8]", "[u16; 4]"),
    ("u128", "i128", "[u64; 2]"),
    ("U256", "[u8; 32]", "[bool; 32]"),
    ("String", "Vec<u8>", "Vec<bool>", "Vec<i8>"),
    ("Vec<u16>", "Vec<i16>", "Vec<[u8; 2]>"),
)

#: What may be seen of messages of which each is said: a few tries may miss the worst, but never see worse.
MILDER = {
    SAME: {SAME},
    LOST: {LOST},
    SOME: {SAME, LOST, SOME, REFUSED},
    REFUSED: {REFUSED},
    MISREAD: {SAME, LOST, SOME, REFUSED, MISREAD},
}


def mutated(message: dict[str, Any], donors: list[dict[str, Any]], rng: random.Random) -> dict[str, Any]:
    """The message with one thing changed."""
    changed = json.loads(json.dumps(message))
    items = list(changed["fields"].items())
    index = rng.randrange(len(items)) if items else 0
    kind = rng.choice(("swap", "remove", "add", "rename", "type", "capacity", "rules", "rules", "words"))
    if kind == "add":
        items.insert(rng.randint(0, len(items)), (f"added{rng.randrange(99)}", rng.choice(donors)))
    elif kind == "words":
        changed["description"] = f"another {rng.random()}"
    elif items:
        name, field = items[index]
        rules = field.get("validation", [])
        if kind == "swap":
            items.insert(rng.randrange(len(items)), items.pop(index))
        elif kind == "remove":
            del items[index]
        elif kind == "rename":
            items[index] = (f"renamed{rng.randrange(99)}", field)
        elif kind == "type":
            group = next((group for group in ALIKE if field["type"] in group), ALIKE[0])
            kept = [rule for rule in rules if "max_length" in rule or rng.random() < 0.3]
            items[index] = (name, {**field, "type": rng.choice(group), "validation": kept})
        elif kind == "capacity":
            more = rng.choice((-2, -1, 1, 2))
            field["validation"] = [
                {"max_length": rule["max_length"] + more} if "max_length" in rule else rule for rule in rules
            ]
        else:
            size = [rule for rule in rules if "max_length" in rule]
            extra = [{"min": rng.choice((0, 1, 5))}, {"max": rng.choice((7, 100))}, {"not_zero": True}]
            extra += [{"not_empty": True}, {"min_length": 1}, {"no_0x_prefix": True}]
            field["validation"] = size + rng.sample(extra, rng.randint(0, 2))
    changed["fields"] = dict(items)
    return changed


def changed_contracts(seed: int) -> tuple[str, str]:
    """A random contracts file, and the same with a few changes to every message."""
    rng = random.Random(seed)
    file = json.loads(random_contracts.contracts_yaml(seed, 40))
    others = json.loads(random_contracts.contracts_yaml(seed + 1000, 20))["messages"]
    donors = [field for message in others.values() for field in message["fields"].values()]
    after = {}
    for name, message in file["messages"].items():
        changed = message
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            candidate = mutated(changed, donors, rng)
            changed = candidate if usable(name, candidate) else changed
        after[name] = changed
    return json.dumps(file), json.dumps({**file, "messages": after})


def usable(name: str, message: dict[str, Any]) -> bool:
    """Whether it is a contract, and one that some values keep."""
    try:
        model = contracts.parse(json.dumps({"messages": {name: message}}).encode())
        for field in model.messages[0].fields:
            random_contracts.good_value(field, random.Random(0))
    except (ContractError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_no_verdict_on_random_changes_is_milder_than_what_happens(seed: int, tmp_path: Path) -> None:
    texts = changed_contracts(seed)
    old, new = (Side(tmp_path / f"{seed}-{index}.yaml", text) for index, text in enumerate(texts))
    rng = random.Random(seed)
    found = set()
    comparison = contracts.compare(old.model, new.model)
    for item in comparison.messages:
        effects = [change.effects for change in comparison.changes if change.type_id == item.type_id]
        for audience in ("old_readers", "new_readers", "stored"):
            single = {getattr(each, audience).effect in HARMFUL for each in effects}
            assert (True in single) is (getattr(item, audience) in HARMFUL), (item, effects)
        names = dict(item.old_names)
        back = {was: name for name, was in names.items()}
        for writer, reader, mapping, effect in (
            (old, new, names, item.new_readers),
            (new, old, back, item.old_readers),
        ):
            sent = list(frames_of(writer, item.type_id, (), rng, tries=12))
            seen = observed(sent, reader, mapping)
            assert seen in MILDER[effect.value], (item.old.message, item.new.message, seen, effect)
            if not item.obstacles:
                # Everything that either may write comes out at the other as it went in, rules aside.
                assert observed(sent, reader, mapping, validate=False) == SAME
            found.add(effect.value)
    assert found >= {SAME, SOME, REFUSED, MISREAD}


# --- The schema section -------------------------------------------------------------------------------------

SIGNED = tick("price: {type: i64}, size: {type: u64}")
TOPIC = tick(U64_PAIR, domain="Signals")


def schema(text: str, numbers: str) -> Contracts:
    return contracts.parse((f"schema: {{{numbers}}}\n" if numbers else "").encode() + text.encode())


@pytest.mark.parametrize(
    ("new", "before", "after", "findings"),
    [
        # Nothing but the numbers, or comments.
        (tick(U64_PAIR), "version: 1", "version: 1, id: 7", ["warning schema.id is 7"]),
        ("# new\n" + tick(U64_PAIR), "version: 1", "version: 1", []),
        (tick(U64_PAIR), "version: 1, min_compatible: 1", "version: 2, min_compatible: 1", []),
        (tick(U64_PAIR), "version: 3", "version: 2", ["error schema.version 2 is lower"]),
        (tick(U64_PAIR), "version: 3", "", ["error schema.version is gone"]),
        (
            tick(U64_PAIR),
            "version: 3, min_compatible: 2",
            "version: 3",
            ["error schema.min_compatible is gone"],
        ),
        (
            tick(U64_PAIR),
            "version: 3, min_compatible: 2",
            "version: 3, min_compatible: 1",
            ["warning schema.min_compatible 1 is lower"],
        ),
        # A change that breaks nobody.
        (TOPIC, "version: 1", "version: 1", ["warning schema.version is still 1: write version: 2"]),
        (TOPIC, "version: 1, min_compatible: 1", "version: 2, min_compatible: 1", []),
        (
            TOPIC,
            "version: 1, min_compatible: 1",
            "version: 2, min_compatible: 2",
            ["note schema.min_compatible 2 shuts out version 1 without need"],
        ),
        (TOPIC, "", "", []),
        # One that breaks peers.
        (SIGNED, "", "", ["warning the file has no schema.version"]),
        (
            SIGNED,
            "version: 1, min_compatible: 1",
            "version: 1, min_compatible: 1",
            ["error peers break, and schema.version is still 1: write version: 2", "write min_compatible: 2"],
        ),
        (
            SIGNED,
            "version: 4, min_compatible: 2",
            "version: 6, min_compatible: 4",
            ["write min_compatible: 6"],
        ),
        (SIGNED, "version: 1", "version: 2", ["min_compatible is not given: write min_compatible: 2"]),
        (SIGNED, "version: 1, min_compatible: 1", "version: 2, min_compatible: 2", []),
        (
            SIGNED,
            "version: 1, min_compatible: 1",
            "version: 2, min_compatible: 3",
            ["error schema.min_compatible 3 is above schema.version 2"],
        ),
    ],
)
def test_version_and_min_compatible_have_to_say_what_changed(
    new: str, before: str, after: str, findings: list[str]
) -> None:
    comparison = contracts.compare(schema(tick(U64_PAIR), before), schema(new, after))
    found = [f"{finding.level} {finding.text}" for finding in comparison.findings]
    assert len(found) == len(findings)
    for text, wanted in zip(found, findings, strict=True):
        assert wanted in text
    errors = any(finding.level == "error" for finding in comparison.findings)
    assert comparison.failed is (comparison.breaks or errors)


def test_a_comparison_with_itself_finds_nothing() -> None:
    model = schema(tick(U64_PAIR), "version: 1, min_compatible: 5")
    comparison = contracts.compare(model, model)
    assert comparison.identical
    assert comparison.wire_compatible
    assert not comparison.failed
    assert (comparison.changes, comparison.findings, comparison.obstacles) == ((), (), ())
    assert comparison.shared_type_ids == {1200}


def test_changes_say_where_they_are_in_both_files() -> None:
    new = tick("cost: {type: u64}, size: {type: i64}").replace("fields:", "description: x\n    fields:")
    comparison = contracts.compare(schema(tick(U64_PAIR), ""), schema(new, ""))
    places = [
        (change.field, change.old_position.line, change.new_position.line)
        for change in comparison.changes
        if change.old_position and change.new_position
    ]
    assert places == [("cost", 5, 6), ("size", 5, 6), (None, 2, 2)]


def test_who_may_see_values_is_said_for_each_audience() -> None:
    public, secret = schema(tick(U64_PAIR), ""), schema(tick(U64_PAIR, log_payload="false"), "")
    (closed,) = contracts.compare(public, secret).changes
    assert "show its values" in closed.effects.old_readers.text
    assert "hide its values" in closed.effects.new_readers.text
    (opened,) = contracts.compare(secret, public).changes
    assert "hide its values" in opened.effects.old_readers.text
    assert "show its values" in opened.effects.new_readers.text
    assert "shown by tools now" in opened.effects.stored.text
