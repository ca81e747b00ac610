"""Building, encoding, decoding and reading messages, one and many: beside msgspec, `struct` and the floor."""

from __future__ import annotations

from itertools import repeat, starmap
from typing import Any

import msgspec
import pytest
from contenders import CONTENDERS, Contender
from measure import loop

from mycelium_fast.example_messages import TradeTick

FRAMES = 10_000


@pytest.fixture(params=CONTENDERS)
def each(request: pytest.FixtureRequest) -> tuple[str, Contender]:
    return request.param, CONTENDERS[request.param]


def test_empty_loop(compare: Any) -> None:
    compare({"empty loop": loop("pass")})


def test_build_from_keywords(compare: Any, each: tuple[str, Contender]) -> None:
    name, it = each
    code, values = it.build_code(), it.build_names()
    compare(
        {
            "ours, rules checked": loop(code, cls=it.ours, **values),
            "msgspec": loop(code, cls=it.theirs, **values),
        },
        wanted={"msgspec": {"tick": 1.4, "text": 1.3, "pool": 0.9}[name]},
    )


def test_frame_out(compare: Any, each: tuple[str, Contender]) -> None:
    name, it = each
    wanted = {"tick": 1.5, "text": 3, "pool": 6}[name]
    compare(
        {
            "ours, header and payload": loop("o.to_frame()", o=it.message),
            "msgspec Encoder, payload alone": loop(
                "encode(o)", encode=msgspec.msgpack.Encoder().encode, o=it.peer
            ),
            "struct": loop("pack(*values)", pack=it.struct.pack, values=it.pack_values),
        },
        wanted={"msgspec Encoder, payload alone": wanted},
    )


def test_decode(compare: Any, each: tuple[str, Contender]) -> None:
    name, it = each
    decode = msgspec.msgpack.Decoder(it.theirs).decode
    compare(
        {
            "ours, all checks": loop("decode(p)", decode=it.ours.from_bytes, p=it.payload),
            "ours, rules off": loop("decode(p, validate=False)", decode=it.ours.from_bytes, p=it.payload),
            "msgspec": loop("decode(p)", decode=decode, p=it.peer_bytes),
        },
        wanted={"msgspec": {"tick": 3, "text": 3, "pool": 7}[name]},
    )


@pytest.mark.parametrize("way", ["attributes", "to_tuple"])
def test_decode_and_read_every_field(compare: Any, each: tuple[str, Contender], way: str) -> None:
    _, it = each
    decode = msgspec.msgpack.Decoder(it.theirs).decode
    by_attribute = f"o = decode(p); {it.read_code()}"
    compare(
        {
            "ours": loop(
                by_attribute if way == "attributes" else "decode(p).to_tuple()",
                decode=it.ours.from_bytes,
                p=it.payload,
            ),
            "msgspec, attributes": loop(by_attribute, decode=decode, p=it.peer_bytes),
            "struct": loop(it.unpack, unpack=it.struct.unpack, frame=it.frame),
        },
        wanted={"msgspec, attributes": 1, "struct": 1},
    )


def test_frames_to_a_list(compare: Any) -> None:
    frames = TradeTick(1, 2).to_frame() * FRAMES
    peer = msgspec.msgpack.Decoder(CONTENDERS["tick"].theirs).decode
    pieces = [CONTENDERS["tick"].peer_bytes] * FRAMES
    compare(
        {
            "ours": loop("decode(b)", decode=TradeTick.decode_batch, b=frames),
            # Made by C loops alone; times over 1 / 1.6 of ours are wanted.
            "floor, empty objects": loop(
                "[*starmap(object, repeat((), n))]", starmap=starmap, object=object, repeat=repeat, n=FRAMES
            ),
            "msgspec": loop("[decode(b) for b in pieces]", decode=peer, pieces=pieces),
        },
        per=FRAMES,
        wanted={"floor, empty objects": 1 / 1.6},
    )


def test_list_to_frames(compare: Any) -> None:
    ticks = [TradeTick(number, number) for number in range(FRAMES)]
    frames = TradeTick.encode_batch(ticks)
    compare(
        {
            "ours": loop("encode(ticks)", encode=TradeTick.encode_batch, ticks=ticks),
            "floor, a copy of the bytes": loop("copy(b)", copy=bytes, b=bytearray(frames)),
        },
        per=FRAMES,
    )


def test_numpy_column_sum(compare: Any) -> None:
    """Wanted: under 2 ns a row, the check of every frame included."""
    frames = TradeTick.encode_batch([TradeTick(number, number) for number in range(FRAMES)])
    table = TradeTick.array(frames)
    compare(
        {
            "ours, checked and summed": loop('array(b)["price"].sum()', array=TradeTick.array, b=frames),
            "NumPy's part": loop('table["price"].sum()', table=table),
        },
        per=FRAMES,
    )
