"""`observe/logs.py`: every record is one line that is one JSON object, whatever was logged."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fast.example_messages import TradeTick
from mycelium_fast.observe.logs import JsonFormatter, configure


def record(message: Any = "text", *args: Any, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("tests.logs").makeRecord(
        "tests.logs", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )


def formatted(item: logging.LogRecord, **labels: str) -> dict[str, Any]:
    line = JsonFormatter(**labels).format(item)
    assert "\n" not in line

    def no_constant(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    entry: dict[str, Any] = json.loads(line, parse_constant=no_constant)
    return entry


def test_a_record_becomes_its_members() -> None:
    item = record("price %d of\n%s", 101_500, "Ütz")
    item.created = 1_767_323_045.25
    assert formatted(item) == {
        "time": "2026-01-02T03:04:05.250000Z",
        "level": "WARNING",
        "logger": "tests.logs",
        "message": "price 101500 of\nÜtz",
    }


def test_the_time_has_its_fraction_also_on_a_full_second() -> None:
    item = record()
    item.created = 0.0
    assert formatted(item)["time"] == "1970-01-01T00:00:00.000000Z"


def test_service_and_node_are_in_every_line_where_given() -> None:
    entry = formatted(record(), service="risk", node="strategies")
    assert (entry["service"], entry["node"]) == ("risk", "strategies")
    assert "service" not in formatted(record(), node="strategies")


def test_extra_fields_are_members_and_never_replace_one() -> None:
    entry = formatted(record(peer="unix:/run/bus.sock", level=3, time=None, service="x"), service="risk")
    assert entry["peer"] == "unix:/run/bus.sock"
    assert (entry["level"], entry["level_"]) == ("WARNING", 3)
    assert entry["time"].endswith("Z")
    assert entry["time_"] is None
    assert (entry["service"], entry["service_"]) == ("risk", "x")


def test_an_exception_comes_with_its_traceback() -> None:
    item = record("failed")
    try:
        raise ValueError("out of range")
    except ValueError:
        item.exc_info = sys.exc_info()
    text = formatted(item)["exception"]
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ValueError: out of range")


def test_the_stack_is_a_member_where_asked_for() -> None:
    item = record()
    item.stack_info = "Stack (most recent call last):\n  here"
    assert formatted(item)["stack"] == "Stack (most recent call last):\n  here"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def circle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def deep() -> list[Any]:
    items: list[Any] = []
    for _ in range(100_000):
        items = [items]
    return items


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        ([1.0, float("inf")], "[1.0, inf]"),
        (b"\x01\xff", r"b'\x01\xff'"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ({1}, "{1}"),
        (circle(), "[[...]]"),
        (deep(), "<list without text>"),
        (Unprintable(), "<Unprintable without text>"),
        ([Unprintable()], ["<Unprintable without text>"]),
        ("\ud800", "\ud800"),
        (TradeTick(1, 2), "TradeTick(price=1, size=2)"),
        ({"a": [1, None, True]}, {"a": [1, None, True]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_does_not_have_appears_as_text(value: Any, shown: Any) -> None:
    entry = formatted(record(value=value, other="kept"))
    assert entry["value"] == shown
    assert entry["other"] == "kept"


def test_arguments_that_do_not_fit_the_message_are_shown_with_it() -> None:
    assert formatted(record("%d frames", "many"))["message"] == "%d frames ('many',)"
    assert formatted(record(Unprintable()))["message"].startswith("<Unprintable without text>")


def test_an_exception_without_text_costs_nothing_but_its_text() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    item = record("failed")
    try:
        raise Broken
    except Broken:
        item.exc_info = sys.exc_info()
    entry = formatted(item)
    assert entry["message"] == "failed"
    assert "Broken" in entry["exception"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner),
    max_leaves=10,
)


@given(ANYTHING, st.text(), st.text())
def test_whatever_is_logged_is_one_line_of_json(value: Any, message: str, label: str) -> None:
    entry = formatted(record(message, value=value), service=label)
    assert entry["message"] == message
    assert "value" in entry


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.mark.usefixtures("_root_logger")
def test_configure_writes_json_from_a_level_on() -> None:
    stream = io.StringIO()
    configure("WARNING", stream, service="risk")
    logging.getLogger("mycelium_fast.tests").info("left out")
    logging.getLogger("mycelium_fast.tests").warning("lagged by %d", 3, extra={"peer": "unix:bus"})
    [line] = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["message"], entry["service"], entry["peer"]) == ("lagged by 3", "risk", "unix:bus")


@pytest.mark.usefixtures("_root_logger")
def test_configure_again_replaces_its_handler_and_no_other() -> None:
    root = logging.getLogger()
    other = logging.NullHandler()
    root.addHandler(other)
    first, second = io.StringIO(), io.StringIO()
    configure(logging.INFO, first)
    handler = configure(logging.INFO, second, json=False)
    logging.getLogger("tests.logs").info("once")
    assert first.getvalue() == ""
    assert re.fullmatch(r"\S+ \S+ INFO tests\.logs: once\n", second.getvalue())
    assert other in root.handlers
    assert handler in root.handlers
