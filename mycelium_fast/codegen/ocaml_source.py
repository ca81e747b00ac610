"""What the template that renders OCaml needs beyond the layout: names, types, literals, rules as expressions.

The helpers that these expressions call are in the template itself, in its private module `CODEC`. No message
can be called that: modules of messages have one large letter alone, their first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..contracts.layout import FieldLayout, MessageLayout
from ..contracts.model import Contracts, Message, Rule
from ..contracts.types import U256, Array, Bytes, Element, Scalar, String, Vec
from .names import capacity_text, comment_lines, rule_text, snake_case, styled

__all__ = ["FILTERS"]

#: Reserved words, those of OCaml 5 among them, and the one name that is no label though it looks like one.
_WORDS: Final = """
_ and as assert asr begin class constraint do done downto effect else end exception external false for
fun function functor if in include inherit initializer land lazy let lor lsl lsr lxor match method mod
module mutable new nonrec object of open or private rec sig struct then to true try type val virtual when
while with
"""
_KEYWORDS: Final = frozenset(_WORDS.split())
#: Modules that the generated file names; all it needs of the standard library goes through the first.
_MODULES: Final = frozenset({"Stdlib"})
#: Constructors with an argument that one closed type can have.
_MAX_CONSTRUCTORS: Final = 246
_LINE_LENGTH: Final = 100


def modules(contracts: Contracts) -> dict[str, str]:
    """The module (and constructor) of every message, by the contract's name: `TradeTick` is `Trade_tick`."""
    return styled([message.name for message in contracts.messages], _module, _MODULES)


def labels(message: Message) -> dict[str, str]:
    """The record label of every field, by the contract's name."""
    return styled([field.name for field in message.fields], snake_case, _KEYWORDS)


def _module(name: str) -> str:
    small = snake_case(name)
    # A module begins with a letter, and a large one.
    return f"M{small}" if small.startswith("_") else small[0].upper() + small[1:]


def closed(layouts: Sequence[MessageLayout]) -> bool:
    """Whether one closed type can have a constructor for every message; if not, it has to be an open one."""
    return len(layouts) <= _MAX_CONSTRUCTORS


def type_(field: FieldLayout) -> str:
    """The OCaml type of a field."""
    what = field.field.type
    if isinstance(what, String) or (isinstance(what, Vec) and what.element == Scalar("u8")):
        return "string"
    if isinstance(what, (Array, Vec)):
        return f"{_element_type(what.element)} array"
    return _element_type(what)


def _element_type(what: Element) -> str:
    if not isinstance(what, Scalar):
        return "string"
    if what.name in ("f32", "f64"):
        return "float"
    if what.name in ("u64", "i64"):
        return "int64"
    if what.name in ("u128", "i128"):
        return "int128"
    return "bool" if what.name == "bool" else "int"


def kind(field: FieldLayout) -> str:
    """The `kind` of a field: how it is read, written, compared and printed."""
    what = field.field.type
    if isinstance(what, String):
        return f"CODEC.text ~size:{field.size} ~capacity:{field.count}"
    if isinstance(what, Vec):
        contents = field.contents_offset - field.offset
        if what.element == Scalar("u8"):
            return f"CODEC.octet_vec ~size:{field.size} ~capacity:{field.count}"
        shape = f"~contents:{contents} ~size:{field.size} ~capacity:{field.count}"
        return f"CODEC.vec {_argument(_element_kind(what.element))} {shape}"
    if isinstance(what, Array):
        return f"CODEC.array {_argument(_element_kind(what.element))} ~count:{field.count}"
    return _element_kind(what)


def _element_kind(what: Element) -> str:
    if isinstance(what, Scalar):
        return f"CODEC.{what.name}"
    return f"CODEC.octets {what.length if isinstance(what, Bytes) else 32}"


def _argument(expression: str) -> str:
    return f"({expression})" if " " in expression else expression


def broken(field: FieldLayout, rule: Rule, value: str, index: int) -> str:
    """An expression, true where a value breaks a rule.

    Args:
        value: an expression for the field's value.
        index: the field's number; its kind is called `k` and that.
    """
    length = "Stdlib.Array.length" if type_(field).endswith("array") else "Stdlib.String.length"
    if rule.name == "not_empty":
        return f"{length} {value} = 0"
    if rule.name == "min_length":
        return f"{length} {value} < {rule.limit}"
    if rule.name == "max_length":
        return f"{length} {value} > {rule.limit}"
    if rule.name == "no_0x_prefix":
        return f"CODEC.has_0x_prefix {value}"
    if rule.name == "not_zero":
        return f"CODEC.is_zero k{index} {value}"
    if rule.name in ("min", "max"):
        return _beyond(field, rule, value)
    raise ValueError(f"{field.field.name}: no OCaml for the rule {rule.name!r}")


def _beyond(field: FieldLayout, rule: Rule, value: str) -> str:
    what, below = field.field.type, rule.name == "min"
    if isinstance(what, U256):
        limit = string(int(rule.limit).to_bytes(32, "big"))
        return f"Stdlib.String.compare {value} {limit} {'<' if below else '>'} 0"
    assert isinstance(what, Scalar), what
    if what.name in ("f32", "f64"):
        # Negated, so that NaN breaks either rule.
        rounded = f"CODEC.rounded {value}" if what.name == "f32" else value
        return f"not ({rounded} {'>=' if below else '<='} {_float(rule.limit)})"
    limit = math.ceil(rule.limit) if below else math.floor(rule.limit)
    if field.size < 8:
        return f"{value} {'<' if below else '>'} {_number(str(limit))}"
    first, second = (value, _wide(what, limit)) if below else (_wide(what, limit), value)
    return f"CODEC.less_{what.name} {first} {second}"


def _wide(what: Scalar, value: int) -> str:
    """A literal of an `int64`, or of both halves of an `int128`."""
    if what.name in ("u64", "i64"):
        return _int64(value)
    return f"(CODEC.int128 {_int64(value >> 64)} {_int64(value)})"


def _int64(value: int) -> str:
    # Hexadecimal: the same literal for the bits of signed and unsigned numbers.
    return f"0x{value & (2**64 - 1):x}L"


def _float(value: float) -> str:
    return _number(float(value).hex())


def _number(literal: str) -> str:
    return f"({literal})" if literal.startswith("-") else literal


def string(value: str | bytes) -> str:
    """An OCaml literal of bytes, or of a text's UTF-8; ASCII alone and on one line."""
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return '"' + "".join(_escaped(byte) for byte in data) + '"'


def _escaped(byte: int) -> str:
    return chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03d}"


def message_doc(item: MessageLayout, indent: int) -> str:
    """The comment of a message's module."""
    message = item.message
    facts = f"Type id {message.type_id}, topic {message.topic}; a payload of {item.size} bytes."
    if message.confidential:
        facts += " Confidential: nothing that is printed shows a value."
    if message.required_prior_messages:
        facts += f" Sent after: {', '.join(message.required_prior_messages)}."
    return _doc([f"{message.name}: {_sentence(message.description)}", facts], indent)


def field_doc(field: FieldLayout, label: str, indent: int) -> str:
    """The comment of a field: what the contract says of it."""
    given = field.field
    what = f"Type: {given.type}{capacity_text(given)}"
    if isinstance(given.type, Array):
        what += f", exactly {given.type.length} elements"
    if _unsigned64(given.type):
        what += ", unsigned"
    facts = [_sentence(given.description), _sentence(what)]
    if given.name != label:
        facts.append(f"Contract's name: {given.name}.")
    if given.optional:
        facts.append("Optional in the contract.")
    if given.rules:
        facts.append(f"Rules: {', '.join(rule_text(rule) for rule in given.rules)}.")
    if given.context_rules:
        facts.append(f"Rules not checked here: {', '.join(rule.name for rule in given.context_rules)}.")
    return _doc(facts, indent)


def _unsigned64(what: object) -> bool:
    element = getattr(what, "element", what)
    return isinstance(element, Scalar) and element.name in ("u64", "u128")


def rule_limit(rule: Rule) -> str:
    """The limit as an error carries it: an option."""
    return "Stdlib.Option.none" if rule.limit is True else f"(Stdlib.Option.some {string(str(rule.limit))})"


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _doc(parts: list[str], indent: int) -> str:
    """A documentation comment; every line but the first begins so many columns to the right."""
    text = " ".join(part for part in parts if part)
    lines = [_inert(line) for line in comment_lines(text, _LINE_LENGTH - indent - 7)]
    return "(** " + f"\n{' ' * (indent + 4)}".join(lines) + " *)"


def comment(text: str) -> str:
    """Free text within a comment that the template begins and ends."""
    return " ".join(_inert(line) for line in comment_lines(text, _LINE_LENGTH))


def _inert(line: str) -> str:
    """Text that ends no comment and begins none, nor a string, which comments may hold; nor markup of odoc.

    A brace keeps its distance from what follows: with an identifier and a bar it would begin a string.
    """
    for mark in "\\{}[]@":
        line = line.replace(mark, f"\\{mark}")
    line = line.replace("{", "{ ").replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}")
    return line.replace("(*", "( *").replace("*)", "* )")


#: Under these names, after the language's and a dot, the template has them.
FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "broken": broken,
    "closed": closed,
    "comment": comment,
    "field_doc": field_doc,
    "kind": kind,
    "labels": labels,
    "message_doc": message_doc,
    "modules": modules,
    "rule_limit": rule_limit,
    "string": string,
    "type": type_,
}
