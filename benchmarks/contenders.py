"""The same three messages in every contender: our classes, msgspec structs, `struct` formats, and values.

TradeTick is small and fixed, TextMessage has strings, PoolStateUpdate has byte arrays.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from mycelium_fast.example_messages import PoolStateUpdate, TextMessage, TradeTick


class MsgspecTick(msgspec.Struct, array_like=True, gc=False):
    price: int
    size: int


class MsgspecText(msgspec.Struct, array_like=True, gc=False):
    sender: str
    content: str
    timestamp: int


class MsgspecPool(msgspec.Struct, array_like=True, gc=False):
    pool_address: bytes
    venue_id: int
    reserve0: bytes
    reserve1: bytes
    liquidity: bytes
    sqrt_price_x96: bytes
    tick: int
    block_number: int


class Contender:
    """One message in all its forms."""

    def __init__(
        self, ours: type[Any], theirs: type[Any], format_: str, unpack: str, values: dict[str, Any]
    ) -> None:
        self.ours = ours
        self.theirs = theirs
        self.values = values
        self.message = ours(**values)
        self.peer = theirs(**values)
        self.payload = self.message.to_bytes()
        self.frame = self.message.to_frame()
        self.peer_bytes = msgspec.msgpack.encode(self.peer)
        # `struct`: the whole frame in one call. It checks neither text nor rules; `unpack` decodes the text.
        self.struct = struct.Struct(format_)
        self.unpack = unpack
        self.pack_values = self.struct.unpack(self.frame)
        assert self.struct.pack(*self.pack_values) == self.frame

    def build_code(self) -> str:
        """A call with keywords; the values that are no ints are variables of their field's name."""
        arguments = [
            f"{name}={value}" if isinstance(value, int) else f"{name}={name}"
            for name, value in self.values.items()
        ]
        return f"cls({', '.join(arguments)})"

    def build_names(self) -> dict[str, Any]:
        return {name: value for name, value in self.values.items() if not isinstance(value, int)}

    def read_code(self) -> str:
        """A read of every field of `o`."""
        return "; ".join(f"o.{name}" for name in self.values)


_U256 = bytes(range(32))

CONTENDERS = {
    "tick": Contender(
        TradeTick,
        MsgspecTick,
        "<HIQQ",
        "type_id, length, price, size = unpack(frame)",
        {"price": 101_500, "size": 2_500},
    ),
    "text": Contender(
        TextMessage,
        MsgspecText,
        "<HIH6x32sH6x256sQ",
        "type_id, length, n, s, m, c, timestamp = unpack(frame); s[:n].decode(); c[:m].decode()",
        # Filled, so that every contender moves the same 288 characters.
        {"sender": "s" * 32, "content": "c" * 256, "timestamp": 1_234_567_890_123},
    ),
    "pool": Contender(
        PoolStateUpdate,
        MsgspecPool,
        "<HI20sH32s32s32s32s2xi4xQ",
        "type_id, length, address, venue, r0, r1, liquidity, price, tick, block = unpack(frame)",
        {
            "pool_address": bytes(range(1, 21)),
            "venue_id": 3,
            "reserve0": _U256,
            "reserve1": _U256,
            "liquidity": _U256,
            "sqrt_price_x96": _U256,
            "tick": -887_272,
            "block_number": 50_000_000,
        },
    ),
}
