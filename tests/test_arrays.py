"""`array()`: a NumPy view over frames, equal to the objects that the same frames decode to."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
from environments import ROOT
from golden import IMPLEMENTATIONS, golden, module

from mycelium_fast import DecodeError, ValidationError

numpy = pytest.importorskip("numpy")


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def examples(implementation: str) -> ModuleType:
    return module(ROOT / "contracts.yaml", implementation)


def as_python(value: Any, field: Any) -> Any:
    """One cell of a table as the value that the message class gives for it."""
    kind, element = field.type, field.element
    if kind == "String":
        return value["bytes"].tobytes()[: value["count"]].decode()
    if kind == "Vec<u8>":
        return value["elements"].tobytes()[: value["count"]]
    if kind.startswith("Vec<"):
        return [scalar(each, element) for each in value["elements"][: value["count"]]]
    if element is not None:
        return tuple(scalar(each, element) for each in value)
    return scalar(value, kind)


def scalar(value: Any, kind: str) -> Any:
    if kind in ("u128", "i128"):
        number = int(value["low"]) | int(value["high"]) << 64
        return number - (1 << 128) if kind == "i128" and number >> 127 else number
    if kind == "U256" or kind.startswith("["):
        return value.tobytes()
    return value.item()


def test_rows_equal_messages_for_every_golden_sample(implementation: str) -> None:
    for entry in golden()["messages"]:
        cls = module(entry["schema_file"], implementation).MESSAGES[entry["type_id"]]
        frames = b"".join(bytes.fromhex(sample["frame_hex"]) for sample in entry["samples"])
        table = cls.array(frames)
        assert table.dtype.itemsize == 6 + entry["size"]
        for row, message in zip(table, cls.decode_batch(frames), strict=True):
            cells = [as_python(row[field.name], field) for field in cls.__definition__.fields]
            assert repr(cells) == repr(list(message.to_tuple())), entry["name"]


def test_offsets_count_from_the_frames_start(examples: ModuleType) -> None:
    dtype = examples.PoolStateUpdate.array(b"").dtype
    assert dtype.fields is not None
    assert dtype.fields["pool_address"] == (numpy.dtype("V20"), 6)
    assert dtype.fields["reserve0"] == (numpy.dtype("V32"), 6 + 22)
    assert dtype.fields["tick"] == (numpy.dtype("<i4"), 6 + 152)


def test_it_is_a_view_and_not_a_copy(examples: ModuleType) -> None:
    buffer = bytearray(examples.TradeTick.encode_batch([examples.TradeTick(n, 2 * n) for n in range(100)]))
    table = examples.TradeTick.array(buffer)
    assert int(table["price"].sum()) == 4950
    buffer[6] = 200
    assert int(table["price"][0]) == 200
    assert not examples.TradeTick.array(bytes(buffer)).flags.writeable


def test_no_frames_give_no_rows(examples: ModuleType) -> None:
    table = examples.TradeTick.array(b"")
    assert table.shape == (0,)
    assert table["price"].sum() == 0


def test_every_frame_is_checked(examples: ModuleType) -> None:
    good = examples.TextMessage("a", "b", 1).to_frame()
    bad = bytearray(good)
    bad[6] = 33
    with pytest.raises(DecodeError) as caught:
        examples.TextMessage.array(good + bad)
    assert (caught.value.field, caught.value.offset) == ("sender", 318 + 6)
    with pytest.raises(DecodeError):
        examples.TextMessage.array(good + examples.TradeTick(1, 2).to_frame())
    with pytest.raises(DecodeError):
        examples.TextMessage.array(good[:-1])
    empty = bytearray(good)
    empty[6] = 0
    with pytest.raises(ValidationError):
        examples.TextMessage.array(empty)
    assert len(examples.TextMessage.array(empty, validate=False)) == 1


def test_checking_a_table_never_writes_to_it(examples: ModuleType) -> None:
    dirty = bytearray(examples.TextMessage("a", "b", 1).to_frame())
    for index in random.Random(1).sample(range(20, 40), 10):
        dirty[index] = 0xA5
    before = bytes(dirty)
    examples.TextMessage.array(dirty)
    assert dirty == before
