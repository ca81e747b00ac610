"""The golden vectors as tests use them: bytes from a Rust compiler, values as Python has them.

`golden.json` and `malformed.json` are read once; `value` turns their spelling of a value into what a field
gives; `module` loads one of the four schemas in either implementation.
"""

from __future__ import annotations

import functools
import json
import struct
import types
import warnings
from pathlib import Path
from typing import Any

import pytest

import mycelium_fast

DATA = Path(__file__).parent / "data" / "golden"
SCHEMAS = ("examples.yaml", "game.yaml", "market.yaml", "torture.yaml")
IMPLEMENTATIONS = ("compiled", "python")

both = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


@functools.cache
def golden() -> dict[str, Any]:
    return json.loads((DATA / "golden.json").read_bytes())


@functools.cache
def malformed() -> dict[str, Any]:
    return json.loads((DATA / "malformed.json").read_bytes())


def module(path: Path | str, implementation: str) -> types.ModuleType:
    """The messages of a contracts file (a golden one by its bare name), without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mycelium_fast.ContractWarning)
        return mycelium_fast.load(DATA / path, compiled=implementation == "compiled")


def message(entry: dict[str, Any], implementation: str) -> Any:
    """The class that an entry of golden.json or malformed.json is about."""
    loaded = module(entry["schema_file"], implementation)
    return loaded.MESSAGES[entry["type_id"]] if "type_id" in entry else getattr(loaded, entry["message"])


def value(raw: Any, type_: str) -> Any:
    """A value of golden.json as a field of that type gives it."""
    if isinstance(raw, dict):
        if "hex" in raw:
            return bytes.fromhex(raw["hex"])
        bits = bytes.fromhex(raw["bits"].removeprefix("0x"))[::-1]
        return struct.unpack("<f" if len(bits) == 4 else "<d", bits)[0]
    if isinstance(raw, list):
        elements = [value(each, "element") for each in raw]
        return tuple(elements) if type_.lstrip().startswith("[") else elements
    if isinstance(raw, str) and type_ != "String":
        return int(raw)  # over 2**53
    return raw


def values(entry: dict[str, Any], sample: dict[str, Any]) -> dict[str, Any]:
    """The values of a sample by contract name."""
    return {field["name"]: value(sample["values"][field["name"]], field["type"]) for field in entry["fields"]}


def exact(data: Any) -> Any:
    """The same data with floats as bits, so that NaN equals itself and -0.0 is not 0.0; types included."""
    if isinstance(data, float):
        return "float", struct.pack("<d", data)
    if isinstance(data, (list, tuple)):
        return type(data).__name__, [exact(each) for each in data]
    if isinstance(data, dict):
        return {key: exact(each) for key, each in data.items()}
    return type(data).__name__, data


def samples() -> list[Any]:
    """A pytest parameter for every sample: the message's entry and the sample."""
    return [
        pytest.param(entry, sample, id=f"{entry['name']}-{number}")
        for entry in golden()["messages"]
        for number, sample in enumerate(entry["samples"])
    ]
