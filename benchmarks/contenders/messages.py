"""The same four messages in every codec, with the Python code that encodes, decodes and reads them there.

TradeTick is small and fixed, TextMessage has strings, PoolStateUpdate byte arrays, and Snapshot lists of
numbers, 8 KiB of them. What each other codec needs follows from our definition of the message; `codec.py`
does the timing.
"""

from __future__ import annotations

import functools
import os
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from types import ModuleType
from typing import Any

from contenders import floor
from harness.measure import Role
from harness.peers import have

import mycelium_fast
from mycelium_fast import HEADER_SIZE
from mycelium_fast.codec.batching import PROFILES
from mycelium_fast.codec.definition import FieldDefinition
from mycelium_fast.codec.pool import BufferPool
from mycelium_fast.codec.writer import BatchWriter

FOLDER = Path(__file__).parent.parent
_U256 = bytes(range(32))
_LEVELS = range(254)


@dataclass(frozen=True)
class Message:
    """One of the messages.

    Attributes:
        file: the contracts that it is from.
        number: the field that tells messages of a batch apart.
        values: of all fields, in contract order.
    """

    name: str
    file: Path
    number: str
    values: Mapping[str, Any]

    @property
    def position(self) -> int:
        """That field's, from the end."""
        return list(self.values).index(self.number) - len(self.values)

    def numbered(self, count: int) -> list[dict[str, Any]]:
        """The values of so many messages, each with another number."""
        first = self.values[self.number]
        return [{**self.values, self.number: first + index} for index in range(count)]


#: By variant. Texts and lists are full, so that every codec moves the same number of characters and numbers.
MESSAGES = {
    "tick": Message(
        "TradeTick", FOLDER.parent / "contracts.yaml", "price", {"price": 101_500, "size": 2_500}
    ),
    "text": Message(
        "TextMessage",
        FOLDER.parent / "contracts.yaml",
        "timestamp",
        {"sender": "s" * 32, "content": "c" * 256, "timestamp": 1_234_567_890_123},
    ),
    "pool": Message(
        "PoolStateUpdate",
        FOLDER.parent / "contracts.yaml",
        "block_number",
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
    "8KiB": Message(
        "Snapshot",
        FOLDER / "contracts.yaml",
        "timestamp",
        {
            "symbol": "s" * 16,
            "timestamp": 1_234_567_890_123,
            "bid_prices": [10_150_000 - 25 * level for level in _LEVELS],
            "bid_sizes": [2_500 + 750 * level for level in _LEVELS],
            "ask_prices": [10_150_025 + 25 * level for level in _LEVELS],
            "ask_sizes": [2_000 + 800 * level for level in _LEVELS],
        },
    ),
}


@dataclass(frozen=True)
class Form:
    """A message in one codec: objects and bytes of it, and Python code for what is done with them.

    Attributes:
        make: an object of it, from the fields by keyword; with `struct` the values that are packed.
        o: such an object.
        p: the bytes that `decode` takes.
        b: the bytes that `encode` has to give.
        names: what else the code refers to.
        encode: an expression for the bytes of `o`.
        decode: statements that make an `o` of `p`.
        read: statements that read every field of `o`; "" where decoding did, or `read(p)` does.
        begin: statements that begin a buffer `b`.
        append: statements that append `o` to it.
        appended: an expression for the bytes in it.
        join: an expression for the bytes of all `items`.
        split: an expression for the messages in a `batch` of these bytes, or of `pieces`, each one's own.
        values: all fields of what `decode` leaves as `o`.
        batch: messages of a batch.
    """

    name: str
    role: Role
    make: Callable[..., Any]
    o: Any
    p: bytes
    b: bytes
    names: Mapping[str, Any]
    encode: str
    decode: str
    read: str
    values: Callable[[Any], tuple[Any, ...]]
    append: str
    join: str
    begin: str = "b = bytearray()"
    appended: str = "bytes(b)"
    split: str = "[decode(p) for p in pieces]"
    batch: int = 10_000


def all_forms(variant: str, build: Path) -> list[Form]:
    """Ours, everybody else who is installed, and the limit."""
    cls, message = our_class(variant, build), MESSAGES[variant]
    own = _ours(cls, message)
    forms = [own]
    if have("msgspec"):
        forms.append(_msgspec(cls, message))
    if have("protobuf"):
        forms.append(_protobuf(cls, message))
    plain = getattr(_load(message.file, build, compiled=False), message.name)
    forms += [_struct(cls, message, own.b), _plain(plain, message, own.b)]
    return [*forms, _limit(cls, own.b, build)]


@functools.cache
def our_class(variant: str, build: Path) -> type[Any]:
    """The compiled class of a variant's message; that of 8 KiB is compiled when it is first asked for."""
    message = MESSAGES[variant]
    if message.file.parent == FOLDER:
        module = _load(message.file, build, compiled=True)
    else:
        import mycelium_fast.example_messages as module
    cls: type[Any] = getattr(module, message.name)
    return cls


def _load(file: Path, build: Path, *, compiled: bool) -> ModuleType:
    os.environ["MYCELIUM_CACHE_DIR"] = str(build / "modules")
    with warnings.catch_warnings():
        # Of rules that are metadata: known, and the same for every contender.
        warnings.simplefilter("ignore", mycelium_fast.ContractWarning)
        return mycelium_fast.load(file, compiled=compiled)


def _ours(cls: type[Any], message: Message) -> Form:
    """What a publisher appends to is a `BatchWriter`: blocks of a pool, and the verdict when to send."""
    it = cls(**message.values)
    frame = it.to_frame()
    writer = BatchWriter(BufferPool(), PROFILES["throughput"])
    return Form(
        "ours",
        "ours",
        make=cls,
        o=it,
        p=frame[HEADER_SIZE:],
        b=frame,
        names={
            "decode": cls.from_bytes,
            "decode_batch": cls.decode_batch,
            "encode_batch": cls.encode_batch,
            "array": cls.array,
            "write": writer.write,
            "take": writer.take,
        },
        encode="o.to_frame()",
        decode="o = decode(p)",
        read=_attributes(message),
        values=_values(message),
        begin="take()",
        append="write(o)",
        appended="b''.join(take())",
        join="encode_batch(items)",
        split="decode_batch(batch)",
    )


def _plain(cls: type[Any], message: Message, frame: bytes) -> Form:
    """The generator's plain Python, which needs nothing but the standard library."""
    it = cls(**message.values)
    return Form(
        "plain Python, generated",
        "peer",
        make=cls,
        o=it,
        p=frame[HEADER_SIZE:],
        b=frame,
        names={"decode": cls.from_bytes, "decode_batch": cls.decode_batch, "encode_batch": cls.encode_batch},
        encode="o.to_frame()",
        decode="o = decode(p)",
        read=_attributes(message),
        values=_values(message),
        append="b += o.to_frame()",
        join="encode_batch(items)",
        split="decode_batch(batch)",
        batch=1_000,  # for the benchmark to end
    )


def _msgspec(cls: type[Any], message: Message) -> Form:
    """Arrays without names, untracked by the garbage collector; encoder and decoder are kept."""
    import msgspec

    types = [(field.python_name, _python_type(field)) for field in cls.__definition__.fields]
    struct_class = msgspec.defstruct(message.name, types, array_like=True, gc=False)
    encoder = msgspec.msgpack.Encoder()
    it = struct_class(**message.values)
    return Form(
        "msgspec",
        "peer",
        make=struct_class,
        o=it,
        p=encoder.encode(it),
        b=encoder.encode(it),
        names={
            "encode": encoder.encode,
            "encode_into": encoder.encode_into,
            "decode": msgspec.msgpack.Decoder(struct_class).decode,
            "decode_list": msgspec.msgpack.Decoder(list[struct_class]).decode,  # type: ignore[valid-type]
        },
        encode="encode(o)",
        decode="o = decode(p)",
        read=_attributes(message),
        values=_values(message),
        append="encode_into(o, b, -1)",
        join="encode(items)",
        split="decode_list(batch)",
    )


def _protobuf(cls: type[Any], message: Message) -> Form:
    """u64 as `fixed64`: in lists a tenth of the time of `uint64`, which is quicker at building small
    messages."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.internal import api_implementation

    if api_implementation.Type() != "upb":
        raise RuntimeError(f"protobuf runs as {api_implementation.Type()!r}, not on upb")
    kind = descriptor_pb2.FieldDescriptorProto
    kinds = {
        "u64": kind.TYPE_FIXED64,
        "u16": kind.TYPE_UINT32,
        "i32": kind.TYPE_SINT32,
        "String": kind.TYPE_STRING,
    }
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{message.name}.proto", package="benchmarks", syntax="proto3"
    )
    described = file.message_type.add(name=message.name)
    for number, field in enumerate(cls.__definition__.fields, 1):
        many = field.type.startswith("Vec<")
        described.field.add(
            name=field.name,
            number=number,
            type=kinds.get(str(field.element) if many else field.type, kind.TYPE_BYTES),
            label=kind.LABEL_REPEATED if many else kind.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"benchmarks.{message.name}"))
    it = made(**message.values)
    # A repeated field is a view until it is made a list.
    fields = [
        f"o.{name}[:]" if isinstance(value, list) else f"o.{name}" for name, value in message.values.items()
    ]
    values: Callable[[Any], tuple[Any, ...]] = eval(f"lambda o: ({', '.join(fields)},)")
    return Form(
        "protobuf (upb)",
        "peer",
        make=made,
        o=it,
        p=it.SerializeToString(),
        b=it.SerializeToString(),
        names={"decode": made.FromString},
        encode="o.SerializeToString()",
        decode="o = decode(p)",
        read="; ".join(fields),
        values=values,
        append="b += o.SerializeToString()",
        join="b''.join([o.SerializeToString() for o in items])",
    )


def _struct(cls: type[Any], message: Message, frame: bytes) -> Form:
    """A frame in one call. An object is the tuple that is packed; what is decoded ends with the fields."""
    format_, end, position = "<HI", 0, 2
    fields: list[str] = []
    for field in cls.__definition__.fields:
        format_ += f"{field.offset - end}x{_format(field)}"
        end = field.offset + field.size
        if field.capacity is None:
            fields.append(f"o[{position}]")
            position += 1
        elif field.type == "String":
            fields.append(f"o[{position + 1}][:o[{position}]].decode()")
            position += 2
        else:
            fields.append(f"[*o[{position + 1}:{position + 1} + o[{position}]]]")
            position += 1 + field.count
    it = struct.Struct(f"{format_}{cls.SIZE - end}x")
    # Where every field is a value of the tuple as it is, there is nothing more to do.
    ready = position == 2 + len(fields)
    whole = f"({', '.join(fields)},)"
    return Form(
        "struct",
        "peer",
        make=lambda **values: it.unpack(cls(**values).to_frame()),
        o=it.unpack(frame),
        p=frame,
        b=frame,
        names={
            "pack": it.pack,
            "pack_into": it.pack_into,
            "unpack": it.unpack,
            "iter_unpack": it.iter_unpack,
            "starmap": starmap,
            "memory": bytearray(floor.ROOM),
            "size": it.size,
        },
        encode="pack(*o)",
        decode="o = unpack(p)" if ready else f"o = unpack(p); o = {whole}",
        read="",
        values=lambda o: o[-len(fields) :],
        begin="b = memory; at = 0",
        append="pack_into(b, at, *o); at += size",
        appended="bytes(b[:at])",
        join="b''.join(starmap(pack, items))",
        split="[*iter_unpack(batch)]" if ready else f"[{whole} for o in iter_unpack(batch)]",
    )


def _limit(cls: type[Any], frame: bytes, build: Path) -> Form:
    """`floor.c`: an object and a copy of the bytes."""
    layout = floor.layout(cls, build)
    it = layout.make(frame[HEADER_SIZE:])
    return Form(
        "C",
        "limit",
        make=layout.build,
        o=it,
        p=frame[HEADER_SIZE:],
        b=frame,
        names={name: getattr(layout, name) for name in dir(layout) if not name.startswith("_")},
        encode="o.to_frame()",
        decode="o = make(p)",
        read="",
        values=lambda o: layout.read(o.to_frame()[HEADER_SIZE:]),
        begin="pass",
        append="append(o)",
        appended="appended()",
        join="batch_out(items)",
        split="batch_in(batch)",
    )


def _attributes(message: Message) -> str:
    return "; ".join(f"o.{name}" for name in message.values)


def _values(message: Message) -> Callable[[Any], tuple[Any, ...]]:
    return lambda o: tuple(getattr(o, name) for name in message.values)


def _python_type(field: FieldDefinition) -> Any:
    if field.type == "String":
        return str
    if field.type.startswith("Vec<"):
        return list[int]
    return bytes if field.type.startswith(("[", "U256")) else int


def _format(field: FieldDefinition) -> str:
    if field.type == "String":
        return f"H6x{field.capacity}s{field.size - 8 - field.count}x"
    if field.type.startswith("Vec<"):
        return f"H6x{field.count}Q{field.size - 8 - 8 * field.count}x"
    return {"u64": "Q", "u16": "H", "i32": "i"}.get(field.type, f"{field.size}s")
