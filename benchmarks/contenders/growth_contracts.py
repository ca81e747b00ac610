"""The contracts of the growth benchmarks: messages of many sizes, and many types of one size.

What a bridge needs is text and costs nothing; what Python programs use is compiled, and kept between runs.
"""

from __future__ import annotations

import hashlib
import os
import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import mycelium_fast

#: Payload bytes, and the fields that come to so many.
SIZES = {
    0: "",
    64: "data: {type: '[u8; 64]'}",
    1024: "data: {type: '[u8; 1024]'}",
    8192: "data: {type: '[u8; 8192]'}",
    # An array has at most 65,535 elements.
    65_536: "data: {type: '[U256; 2048]'}",
    1_048_576: "data: {type: '[U256; 32768]'}",
}
#: Subscribers of the bridge, each number with a type of its own.
SUBSCRIBERS = (1, 2, 4, 8, 16, 32, 64)

#: Type ids: of many types as long as a TradeTick, of the sizes, of the numbers of subscribers, of many
#: publishers.
TICKS = range(1000, 2000)
SIZED = {size: 2000 + number for number, size in enumerate(SIZES)}
SHARED = {count: 2100 + number for number, count in enumerate(SUBSCRIBERS)}
IN_TURN = 2200

TICK_FIELDS = "price: {type: u64}, size: {type: u64}"
#: Bytes that are sent in one call, where messages are not larger.
BLOCK = 65_536


@dataclass(frozen=True)
class Contracts:
    """A contracts file."""

    path: Path

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.path.read_bytes()).digest()

    def load(self) -> ModuleType:
        """The compiled module, kept beside the file."""
        os.environ["MYCELIUM_CACHE_DIR"] = str(self.path.parent / "modules")
        return mycelium_fast.load(self.path)


def everything(directory: Path) -> Contracts:
    """All of them, for a bridge."""
    ticks = [*TICKS, *SHARED.values(), IN_TURN]
    sized = [(SIZED[size], fields) for size, fields in SIZES.items()]
    return _written(directory / "growth.yaml", [*((each, TICK_FIELDS) for each in ticks), *sized])


def sized(directory: Path) -> Contracts:
    """One message of each size."""
    return _written(directory / "growth-sizes.yaml", [(SIZED[size], SIZES[size]) for size in SIZES])


def ticks(directory: Path, types: int) -> Contracts:
    """So many types as long as a TradeTick."""
    return _written(directory / f"growth-{types}-types.yaml", [(each, TICK_FIELDS) for each in TICKS[:types]])


def frame(type_id: int, payload: bytes) -> bytes:
    return struct.pack("<HI", type_id, len(payload)) + payload


def tick_frames(type_ids: Sequence[int]) -> list[bytes]:
    """A block of numbered frames, each of a type picked at random, but always the same."""
    pick = random.Random(4)
    return [frame(pick.choice(type_ids), struct.pack("<QQ", number, 2_500)) for number in range(BLOCK // 22)]


def payload(size: int) -> bytes:
    """So many bytes, which no other place has alike."""
    return random.Random(size).randbytes(size)


def _written(path: Path, messages: Iterable[tuple[int, str]]) -> Contracts:
    lines = ["schema: {id: 1, version: 1, min_compatible: 1}", "messages:"]
    for type_id, fields in messages:
        lines += [
            f"  M{type_id}:",
            f"    tlv_type: {type_id}",
            "    domain: MarketData",
            f"    fields: {{{fields}}}",
        ]
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return Contracts(path)
