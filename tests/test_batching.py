"""`Batching` and the profiles: what they are, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mycelium_fast.codec.batching import PROFILES, Batching, batching_of


def test_the_profiles_are_what_the_documentation_says() -> None:
    assert PROFILES["latency"].max_bytes == 0
    assert (PROFILES["throughput"].max_bytes, PROFILES["throughput"].max_delay) == (65536, 0.001)
    assert PROFILES["balanced"].adaptive
    assert sorted(PROFILES) == ["balanced", "latency", "throughput"]


def test_a_profile_is_a_name_or_a_batching() -> None:
    own = Batching(max_bytes=10, max_delay=0.5, max_messages=3)
    assert batching_of(own) is own
    assert batching_of("latency") is PROFILES["latency"]


def test_an_unknown_profile_lists_those_that_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"'fast': there are latency, balanced, throughput, or pass a Batching"
    ):
        batching_of("fast")
    with pytest.raises(TypeError, match="got int"):
        batching_of(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_bytes": -1}, ValueError),
        ({"max_bytes": 1 << 63}, ValueError),
        ({"max_bytes": 1.0}, TypeError),
        ({"max_bytes": True}, TypeError),
        ({"max_delay": -0.1}, ValueError),
        ({"max_delay": float("nan")}, ValueError),
        ({"max_delay": float("inf")}, ValueError),
        ({"max_delay": None}, TypeError),
        ({"max_delay": False}, TypeError),
        ({"max_messages": 0}, ValueError),
        ({"max_messages": 1.5}, TypeError),
        ({"adaptive": 1}, TypeError),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Batching(**arguments)


def test_a_batching_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Batching().max_bytes = 1  # type: ignore[misc]
