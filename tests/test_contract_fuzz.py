"""Whatever the bytes of a contracts file: a model that can be laid out, or a ContractError that says where.

Three kinds of input, from wild to near: random bytes, random trees of words that mean something, and golden
schemas with a few pieces changed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mycelium_fast.contracts import Contracts, layout, parse
from mycelium_fast.contracts.report import Report
from mycelium_fast.contracts.source import compose
from mycelium_fast.errors import ContractError

GOLDEN = Path(__file__).parent / "data" / "golden"
SCHEMAS = [(GOLDEN / name).read_bytes() for name in ("examples.yaml", "market.yaml")]

#: What YAML counts as the end of a line.
LINE_ENDS = ("\n", "\r", "\x85", "\u2028", "\u2029")

KEYS = "messages tag_ranges schema fields type validation max_length min not_empty tlv_type domain a <<"
VALUES = "u8 String Vec<u8> '[u8;3]' 1 -1 0x10 1.5 .nan true null 1-9 D \u00e9 \u2028"
WORDS = st.sampled_from(re.split(" ", f"{KEYS} {VALUES}"))
TREES = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(WORDS, inner, max_size=4).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
        inner.map(lambda text: f"&a {text}"),
        st.just("*a"),
        inner.map(lambda text: f"!!str {text}"),
    ),
    max_leaves=12,
)


def read(data: bytes) -> Contracts | ContractError:
    try:
        return parse(data)
    except ContractError as error:
        return error


def check(data: bytes) -> None:
    """Read a file, and look at what every caller relies on, whichever way it goes."""
    found = read(data)
    if isinstance(found, ContractError):
        text = data.decode(errors="replace")
        lines = 1 + sum(text.count(end) for end in LINE_ENDS)
        assert found.problems
        for line, column, problem in found.problems:
            assert 1 <= line <= lines
            assert 1 <= column <= len(text) + 1
            assert problem.isprintable()
    else:
        for message in found.messages:
            assert message.python_name.isidentifier()
            assert layout(message).size <= 16_777_216


def composed(data: bytes) -> tuple[object, list[tuple[int, int, str]]]:
    """The tree of a file with the places of all its nodes, and what is wrong with it."""
    root = compose(data, report := Report())
    try:
        report.raise_problems("")
    except ContractError as error:
        return root, list(error.problems)
    return root, []


def check_parsers(data: bytes) -> None:
    """Read a file as an installation does whose PyYAML has no parser in C, and see that nothing differs."""
    found = composed(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(yaml, "CSafeLoader", raising=False)
        assert repr(found) == repr(composed(data))  # (not a number equals nothing)


YAML = st.text(
    st.sampled_from("ab1.:-?,[]{}#&*!|>'\"%@`\\ \t\n\r~<=\ufeff\x07\u00e9\U0001f344"), max_size=200
)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), YAML.map(str.encode)))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    check(data)


#: What indentation, quotes, blocks and aliases are made of, which random characters seldom come to.
PIECES = [
    *(
        "a",
        "b",
        "1",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\n  - ",
        ":\n  ",
        ",",
        "[",
        "]",
        "{",
        "}",
        "[a, b]",
        "{a: 1}",
    ),
    *(
        "|\n  ",
        ">-\n  ",
        "|2\n",
        "|+",
        ">#",
        " #",
        "#",
        '"',
        "'",
        "\\",
        '"\\u0041\\x41"',
        "&a ",
        "*a",
        "*a : ",
        "!!str ",
    ),
    *(
        "? ",
        "---",
        "\n---\n",
        "...",
        "%YAML 1.1\n",
        "~",
        "null",
        "\t",
        "\r",
        "\ufeff",
        "\u2028",
        "k" * 1020,
        "\u00e9",
    ),
]


@settings(max_examples=500, deadline=None)
@given(st.one_of(YAML, st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_both_parsers_read_alike(text: str) -> None:
    check_parsers(text.encode())


@settings(deadline=None)
@given(st.tuples(WORDS, TREES).map(lambda pair: f"messages: {pair[1]}\n{pair[0]}: {pair[1]}\n"))
def test_random_trees_are_read_or_refused(text: str) -> None:
    check(text.encode())


@st.composite
def mutated_schemas(draw: st.DrawFn) -> bytes:
    mutated = bytearray(draw(st.sampled_from(SCHEMAS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(mutated)))
        end = min(len(mutated), start + draw(st.integers(0, 30)))
        following = bytes(mutated[end : end + 60])
        pieces = [st.binary(max_size=6), st.text(max_size=4).map(str.encode), TREES.map(str.encode)]
        mutated[start:end] = draw(st.one_of(*pieces, st.just(following)))
    return bytes(mutated)


@settings(max_examples=150, deadline=None)
@given(mutated_schemas())
def test_mutated_schemas_are_read_or_refused(data: bytes) -> None:
    check(data)
    check_parsers(data)
