"""The cases that a conformance runner is asked: golden samples, malformed input, random ones.

A case is one line of the protocol in docs/porting.md. Those from the golden vectors carry what the answer has
to be by the files alone, so that the Python reference is held to them too; for random ones the reference's
answer is all there is. Everything random comes from seeds, so that a case can be had again.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import random_contracts

from mycelium_fast.contracts import Message

from .languages import model_of, stem_of
from .reference import Schema, element_size, hexed, shown

__all__ = ["GOLDEN", "Case", "golden_cases", "golden_files", "malformed_cases", "random_cases"]

GOLDEN: Final = Path(__file__).resolve().parent.parent / "data" / "golden"

#: Bytes that make trouble: counts, bools, signs, beginnings of wrong UTF-8.
_TROUBLE: Final = (0, 1, 2, 0x7F, 0x80, 0xC0, 0xC3, 0xE0, 0xED, 0xF4, 0xFF)


@dataclass(frozen=True, slots=True)
class Case:
    """One line for a runner.

    Attributes:
        schema: stem of the contracts file.
        text: the command and its arguments.
        about: where it comes from, for people.
        expected: how the answer has to begin, where it is known without any implementation.
    """

    schema: str
    text: str
    about: str
    expected: str | None = None

    @property
    def line(self) -> str:
        return f"{self.schema} {self.text}"


# --- Golden and malformed -----------------------------------------------------------------------------------


def golden_files() -> list[Path]:
    """The four golden contracts files."""
    return sorted(GOLDEN.glob("*.yaml"))


def golden_cases() -> list[Case]:
    """Everything in `golden.json`."""
    golden = json.loads((GOLDEN / "golden.json").read_bytes())
    cases = []
    for name, entry in golden["schemas"].items():
        cases.append(Case(_stem(name), "digest", "the file's digest", f"ok {entry['sha256']}"))
    for entry in golden["messages"]:
        schema, number = _stem(entry["schema_file"]), entry["type_id"]
        topic = hexed(entry["topic"].encode())
        frame_size = entry["size"] + 6
        buffer_class = max(128, 1 << (frame_size - 1).bit_length())
        is_ = f"ok {entry['name']} {entry['size']} {entry['align']} {buffer_class} {topic} "
        cases.append(Case(schema, f"describe {number}", f"layout of {entry['name']}", is_))
        for index, sample in enumerate(entry["samples"]):
            about = f"{entry['name']}, golden sample {index}"
            payload = sample["payload_hex"] or "-"
            dirty = sample["dirty_payload_hex"] or "-"
            spelled = [_golden_value(sample["values"][each["name"]], each) for each in entry["fields"]]
            values = " ".join(["", *spelled])
            decoded = f"ok {payload}{values}"
            cases += [
                Case(schema, f"decode {number} {payload}", about, decoded),
                Case(schema, f"decode {number} {dirty}", f"{about}, dirty padding", decoded),
                Case(schema, f"validate {number} {payload}", f"{about}, rules", "ok"),
                Case(schema, f"encode {number}{values}", f"{about}, from its values", f"ok {payload}"),
                Case(schema, f"frames {sample['frame_hex']}", f"{about}, its frame", f"ok {number}:"),
            ]
    return cases


def malformed_cases() -> list[Case]:
    """Everything in `malformed.json`: payloads, values against a rule, streams and handshakes."""
    malformed = json.loads((GOLDEN / "malformed.json").read_bytes())
    golden = json.loads((GOLDEN / "golden.json").read_bytes())
    entries = {(each["schema_file"], each["name"]): each for each in golden["messages"]}
    cases = []
    for each in malformed["payloads"]:
        schema, number = _stem(each["schema_file"]), each["type_id"]
        payload = each["payload_hex"] or "-"
        about = f"{each['message']}, {each['kind']}"
        if each["expect"] == "error":
            expected = f"error {_fault(each)}"
        else:
            sample = entries[each["schema_file"], each["message"]]["samples"][0]
            expected = f"ok {sample['payload_hex'] or '-'}"
        cases.append(Case(schema, f"decode {number} {payload}", about, expected))
        refused = expected if each["expect"] == "error" else "ok"
        cases.append(Case(schema, f"validate {number} {payload}", about, refused))
    for each in malformed["declared_rule_violations"]:
        schema = _stem(each["schema_file"])
        number = entries[each["schema_file"], each["message"]]["type_id"]
        about = f"{each['message']}.{each['field']} against {each['rule']}"
        expected = f"rule {each['field']} {each['rule'].split()[0]}"
        cases.append(Case(schema, f"validate {number} {each['payload_hex']}", about, expected))
        cases.append(Case(schema, f"decode {number} {each['payload_hex']}", about, "ok "))
    for each in malformed["streams"]:
        numbers = each["expect_type_ids"]
        too_long = str(each.get("then", "")).startswith("protocol error")
        expected = "error length " if too_long else f"ok {numbers[0]}:"
        schema = _stem(each["schema_file"])
        cases.append(Case(schema, f"frames {each['stream_hex'] or '-'}", each["kind"], expected))
    for each in malformed["handshakes"]:
        expected = "ok" if each["accept"] else "error handshake"
        schema = _stem(each["schema_file"])
        cases.append(Case(schema, f"handshake {each['hex'] or '-'}", each["kind"], expected))
    return cases


def _stem(name: str) -> str:
    return name.removesuffix(".yaml")


def _fault(entry: dict[str, Any]) -> str:
    """What the kind of a malformed payload makes of it; the offset is left to the reference."""
    kind = entry["kind"]
    if kind.startswith("length"):
        return f"count {entry['field']} "
    if kind.startswith("bool"):
        return f"bool {entry['field']} "
    return f"utf8 {entry['field']} " if kind.startswith("invalid UTF-8") else "size"


def _golden_value(raw: Any, field: dict[str, Any]) -> str:
    """A value of golden.json as the protocol spells it."""
    type_ = "".join(field["type"].split())
    if isinstance(raw, list):
        element = type_[4:-1] if type_.startswith("Vec<") else type_[1:-1].rpartition(";")[0]
        if type_ == "Vec<u8>":
            return f"x{bytes(raw).hex()}"
        return f"[{','.join(_golden_element(each, element) for each in raw)}]"
    return _golden_element(raw, type_)


def _golden_element(raw: Any, type_: str) -> str:
    if isinstance(raw, dict):
        return f"x{raw['hex']}" if "hex" in raw else f"0x{raw['bits'].removeprefix('0x')}"
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if type_ == "String":
        return f"x{raw.encode().hex()}"
    if type_ in ("u128", "i128"):
        return f"0x{int(raw) & (2**128 - 1):032x}"
    return str(int(raw))


# --- Random -------------------------------------------------------------------------------------------------


def random_cases(file: Path, seed: int, rounds: int = 3) -> Iterator[Case]:
    """Cases for any contracts file: right, dirty, corrupt and cut payloads, values, streams, handshakes.

    Args:
        rounds: how often every message gets each kind.
    """
    rng = random.Random(f"{seed} {file.name}")
    schema, plain = stem_of(file), Schema(file, "plain")
    model = model_of(file)

    def case(text: str, about: str, expected: str | None = None) -> Case:
        return Case(schema, text, about, expected)

    yield case("digest", "digest", f"ok {model.digest.hex()}")
    frames = []
    for message in model.messages:
        cls, number, name = plain.module.MESSAGES[message.type_id], message.type_id, message.name
        yield case(f"describe {number}", f"layout of {name}")
        for size in {0, max(0, cls.SIZE - 1), cls.SIZE + 1} - {cls.SIZE}:
            yield case(f"decode {number} {hexed(bytes(size))}", f"{name}, {size} bytes", "error size")
        for _ in range(rounds):
            right = packed(cls, [random_contracts.good_value(field, rng) for field in message.fields])
            frames.append(struct.pack("<HI", number, len(right)) + right)
            values = " ".join(["", *shown(cls, right)])
            decoded = f"ok {hexed(right)}{values}"
            yield case(f"decode {number} {hexed(right)}", f"{name}, right values", decoded)
            yield case(f"validate {number} {hexed(right)}", f"{name}, right values", "ok")
            yield case(f"encode {number}{values}", f"{name}, right values", f"ok {hexed(right)}")
            dirty = random_contracts.dirtied(cls, right, rng)
            yield case(f"decode {number} {hexed(dirty)}", f"{name}, dirty padding", decoded)
            yield from _near_rules(case, message, cls, rng)
            for payload in (_corrupt(right, rng), _corrupt(dirty, rng), rng.randbytes(cls.SIZE)):
                text = hexed(payload)
                yield case(f"decode {number} {text}", f"{name}, corrupt")
                yield case(f"validate {number} {text}", f"{name}, corrupt")
                answer = plain.answer("validate", [str(number), text])
                if answer == "ok":
                    words = plain.answer("decode", [str(number), text]).split()
                    again = " ".join(["", *words[2:]])
                    yield case(f"encode {number}{again}", f"{name}, odd values", f"ok {words[1]}")
        yield from _over_capacity(case, message, cls, rng)
    yield from _unknown(case, set(plain.module.MESSAGES), rng)
    yield from _streams(case, frames, rng)
    yield from _handshakes(case, model.digest, rng)


def packed(cls: Any, values: list[Any]) -> bytes:
    """The payload of values in a plain Python message, whether they keep the rules or not."""
    payload = bytearray(cls.SIZE)
    for field, value in zip(cls.__table__.fields, values, strict=True):
        payload[field.start : field.end] = field.codec.pack(value, field)
    return bytes(payload)


def _near_rules(case: Any, message: Message, cls: Any, rng: random.Random) -> Iterator[Case]:
    """Every field with rules in turn at, or just beyond, what they allow."""
    good = [random_contracts.good_value(field, rng) for field in message.fields]
    for index, field in enumerate(message.fields):
        if field.rules:
            values = [*good]
            values[index] = random_contracts.value_near_rules(field, rng)
            text = hexed(packed(cls, values))
            yield case(f"validate {message.type_id} {text}", f"{message.name}.{field.name}, near its rules")


def _over_capacity(case: Any, message: Message, cls: Any, rng: random.Random) -> Iterator[Case]:
    values = shown(cls, packed(cls, [random_contracts.good_value(each, rng) for each in message.fields]))
    for index, (field, definition) in enumerate(zip(message.fields, cls.__definition__.fields, strict=True)):
        if field.capacity is None or field.capacity > 5000:
            continue
        if definition.type == "String" or definition.element == "u8":
            value = "x" + "61" * (field.capacity + 1)
        else:
            value = f"[{','.join([_zero(definition.element)] * (field.capacity + 1))}]"
        text = " ".join([*values[:index], value, *values[index + 1 :]])
        about = f"{message.name}.{field.name}, one too many"
        yield case(f"encode {message.type_id} {text}", about, f"error capacity {field.name}")


def _zero(element: str) -> str:
    if element == "bool":
        return "false"
    if element == "U256" or element.startswith("["):
        return "x" + "00" * element_size(element)
    wide = element in ("u128", "i128") or element[0] == "f"
    return "0x" + "00" * element_size(element) if wide else "0"


def _corrupt(payload: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, or the length."""
    changed = bytearray(payload)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice(_TROUBLE)
    if rng.random() < 0.1:
        del changed[rng.randrange(len(changed) + 1) :]
        changed += rng.randbytes(rng.choice((0, 1)))
    return bytes(changed)


def _unknown(case: Any, known: set[int], rng: random.Random) -> Iterator[Case]:
    number = next(each for each in iter(lambda: rng.randrange(65536), None) if each not in known)
    for text in (f"describe {number}", f"decode {number} -", f"validate {number} 00", f"encode {number}"):
        yield case(text, "an unknown type id", "error unknown")


def _streams(case: Any, frames: list[bytes], rng: random.Random) -> Iterator[Case]:
    few = [each for each in frames if len(each) < 5000]
    for number in range(4):
        chosen = [rng.choice(few) for _ in range(rng.randrange(5))] if few else []
        unknown = struct.pack("<HI", rng.randrange(65536), 3) + b"abc"
        stream = b"".join([*chosen, unknown] if rng.random() < 0.5 else chosen)
        if number == 1:
            stream += struct.pack("<HI", rng.randrange(65536), rng.choice((16_777_217, 2**31, 2**32 - 1)))
        elif number == 2:
            stream += struct.pack("<HI", rng.randrange(65536), 16_777_216) + b"begun"
        elif number == 3:
            stream = stream[: rng.randrange(len(stream) + 1)]
        yield case(f"frames {hexed(stream)}", "a stream")


def _handshakes(case: Any, digest: bytes, rng: random.Random) -> Iterator[Case]:
    right = b"\x20\0" + digest
    flipped = bytearray(right)
    flipped[rng.randrange(34)] ^= 1 << rng.randrange(8)
    yield case(f"handshake {right.hex()}", "the right handshake", "ok")
    for wrong in (bytes(flipped), right[:-1], right + b"\0", right[:2], b"", b"\0\x20" + digest):
        yield case(f"handshake {hexed(wrong)}", "a wrong handshake", "error handshake")
