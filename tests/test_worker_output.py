"""What workers print, as it gets into the log."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fast.bridge.output import MAX_LINE, Lines


def lines(*pieces: bytes) -> list[tuple[str, bool]]:
    taken = Lines()
    return [line for piece in pieces for line in taken.feed(piece)] + taken.end()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\n", "plain"),
        (b"windows\r\n", "windows"),
        (b"\n", ""),
        ("na\u00efve \u4f60\u597d \U0001f40d\n".encode(), "na\u00efve \u4f60\u597d \U0001f40d"),
        ("Stra\u00dfe\n".encode("latin-1"), r"Stra\xdfe"),
        (b"\x00\xff\xfe\x80\n", r"\x00\xff\xfe\x80"),
        (b"a\tb\rc\x1b[31md\x7f\n", "a\tb\\rc\\x1b[31md\\x7f"),
        ("\u0085 \u2028 \u202e \u2066\n".encode(), r"\x85 \u2028 \u202e \u2066"),
    ],
)
def test_a_line_is_text_that_is_safe_to_print(data: bytes, text: str) -> None:
    assert lines(data) == [(text, False)]


def test_a_last_line_without_a_newline_is_not_lost() -> None:
    assert lines(b"one\ntwo") == [("one", False), ("two", False)]
    assert lines(b"one\n") == [("one", False)]
    assert lines() == []


def test_long_lines_are_cut_and_marked() -> None:
    assert lines(b"x" * MAX_LINE + b"\n") == [("x" * MAX_LINE, False)]
    assert lines(b"x" * MAX_LINE + b"\r\n") == [("x" * MAX_LINE, False)]
    assert lines(b"x" * (MAX_LINE + 1) + b"\n") == [("x" * MAX_LINE, True), ("x", False)]
    found = lines(*[b"x" * 1000] * 100, b"\nnext\n")
    assert [marked for _, marked in found] == [True] * (len(found) - 2) + [False, False]
    assert "".join(text for text, _ in found) == "x" * 100_000 + "next"


def test_long_lines_are_cut_between_characters() -> None:
    for shift in range(4):
        data = b"." * shift + "\U0001f40d".encode() * 5000
        found = lines(data)
        assert "".join(text for text, _ in found) == data.decode()
        assert all(len(text.encode()) <= MAX_LINE for text, _ in found)
    assert "".join(text for text, _ in lines(b"\x80" * 20_000)) == r"\x80" * 20_000


@given(
    st.lists(
        st.one_of(st.binary(max_size=50), st.binary(max_size=9).map(lambda data: data * 1000)), max_size=8
    )
)
def test_lines_are_the_same_however_the_bytes_come(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    whole = [text for text, _ in lines(data)]
    assert whole == [text for text, _ in lines(*pieces)] or max(map(len, data.split(b"\n"))) > MAX_LINE
    assert "".join(whole) == "".join(text for text, _ in lines(*pieces))
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f]", "".join(whole))


def test_what_is_kept_is_bounded() -> None:
    taken = Lines()
    for _ in range(1000):
        taken.feed(b"x" * 4096)
        assert len(taken._rest) <= MAX_LINE + 1
