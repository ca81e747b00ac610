"""Answers to the cases of the conformance protocol, by the Python messages of a contracts file.

The plain Python implementation is what every other language is compared with. Values are read from the bytes
of the canonical payload, and floats put back as bits, since Python's `float` would change some NaN; the
spelling of cases, answers and values is in docs/porting.md.
"""

from __future__ import annotations

import struct
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import mycelium_fast
from mycelium_fast.errors import ContractWarning, DecodeError, EncodeError, ValidationError

__all__ = ["MAX_PAYLOAD", "Implementation", "Schema", "parsed", "shown", "spelled"]

Implementation = Literal["compiled", "plain"]

#: Largest payload that a frame's header may announce.
MAX_PAYLOAD: Final = 16_777_216

_FAULTS: Final = {
    "a count over": "count",
    "a bool that": "bool",
    "text that": "utf8",
}


class Schema:
    """The messages of one contracts file in one of the two Python implementations."""

    def __init__(self, file: Path, implementation: Implementation) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ContractWarning)
            self.module: types.ModuleType = mycelium_fast.load(file, compiled=implementation == "compiled")

    def answer(self, command: str, arguments: list[str]) -> str:
        """The answer to one case, without the line feed."""
        on_messages: dict[str, Callable[[Any, list[str]], str]] = {
            "describe": _describe,
            "decode": _decode,
            "validate": _validate,
            "encode": _encode,
        }
        if command == "digest":
            return f"ok {self.module.SCHEMA_DIGEST.hex()}"
        if command == "handshake":
            right = b"\x20\0" + self.module.SCHEMA_DIGEST
            return "ok" if unhexed(arguments[0]) == right else "error handshake"
        if command == "frames":
            return _frames(unhexed(arguments[0]))
        if command not in on_messages:
            return "error command"
        cls = self.module.MESSAGES.get(int(arguments[0]))
        return "error unknown" if cls is None else on_messages[command](cls, arguments[1:])


def _describe(cls: Any, _arguments: list[str]) -> str:
    is_ = cls.__definition__
    confidential = "true" if is_.confidential else "false"
    topic = hexed(is_.topic.encode())
    return f"ok {is_.name} {is_.size} {is_.align} {is_.buffer_class} {topic} {confidential}"


def _decode(cls: Any, arguments: list[str]) -> str:
    try:
        payload = cls.from_bytes(unhexed(arguments[0]), validate=False).to_bytes()
    except DecodeError as error:
        return _fault(error)
    return " ".join(["ok", hexed(payload), *shown(cls, payload)])


def _validate(cls: Any, arguments: list[str]) -> str:
    try:
        cls.from_bytes(unhexed(arguments[0]), validate=False).validate()
    except DecodeError as error:
        return _fault(error)
    except ValidationError as error:
        return f"rule {error.field} {error.rule}"
    return "ok"


def _fault(error: DecodeError) -> str:
    if error.field is None:
        return "error size"
    reason = str(error.reason)
    kind = next(word for beginning, word in _FAULTS.items() if reason.startswith(beginning))
    return f"error {kind} {error.field} {error.offset}"


def _encode(cls: Any, arguments: list[str]) -> str:
    fields = cls.__definition__.fields
    values = [parsed(text, field) for text, field in zip(arguments, fields, strict=True)]
    try:
        payload = bytearray(cls(*values).to_bytes())
    except EncodeError as error:
        place = str(error).partition(":")[0]  # "Message.field", or "Message.field[3]"
        return f"error capacity {place.partition('.')[2].partition('[')[0]}"
    for text, field in zip(arguments, fields, strict=True):
        element = field.element or field.type
        if element in ("f32", "f64"):
            # A float here is a double, which quietens the signalling NaN of an f32.
            width = element_size(element)
            for index, item in enumerate(items(text)):
                start = field.contents_offset + index * width
                payload[start : start + width] = bytes.fromhex(item[2:])[::-1]
    return f"ok {hexed(bytes(payload))}"


def _frames(stream: bytes) -> str:
    found, at = [], 0
    while len(stream) - at >= 6:
        type_id, length = struct.unpack_from("<HI", stream, at)
        if length > MAX_PAYLOAD:
            return f"error length {type_id} {length}"
        if len(stream) - at - 6 < length:
            break
        found.append(f"{type_id}:{length}")
        at += 6 + length
    return f"ok {','.join(found) or '-'} {len(stream) - at}"


# --- The spelling of bytes and values -----------------------------------------------------------------------


def hexed(data: bytes) -> str:
    """Bytes as an argument of their own."""
    return data.hex() or "-"


def unhexed(text: str) -> bytes:
    return b"" if text == "-" else bytes.fromhex(text)


def items(text: str) -> list[str]:
    """The elements of a value: what is between the brackets, or the value itself."""
    if not text.startswith("["):
        return [text]
    return text[1:-1].split(",") if len(text) > 2 else []


def shown(cls: Any, payload: bytes) -> list[str]:
    """The value of every field of a canonical payload."""
    return [spelled(payload, field) for field in cls.__definition__.fields]


def spelled(payload: bytes, field: Any) -> str:
    """One field's value, from a canonical payload."""
    count = field.count
    if field.capacity is not None:
        count = int.from_bytes(payload[field.offset : field.offset + 2], "little")
    start = field.contents_offset
    if field.type == "String" or (field.element == "u8" and field.capacity is not None):
        return f"x{payload[start : start + count].hex()}"
    if field.element is None:
        return _spelled_element(payload[start : start + field.size], field.type)
    width = element_size(field.element)
    ends = range(start, start + count * width, width)
    return f"[{','.join(_spelled_element(payload[at : at + width], field.element) for at in ends)}]"


def _spelled_element(data: bytes, type_: str) -> str:
    if type_ == "U256" or type_.startswith("["):
        return f"x{data.hex()}"
    if type_ in ("u128", "i128", "f32", "f64"):
        return f"0x{data[::-1].hex()}"
    if type_ == "bool":
        return "true" if data[0] else "false"
    return str(int.from_bytes(data, "little", signed=type_[0] == "i"))


def parsed(text: str, field: Any) -> Any:
    """A value as the field of a Python message takes it."""
    if field.type == "String":
        return bytes.fromhex(text[1:]).decode()
    if text.startswith("["):
        return [_parsed_element(item, field.element) for item in items(text)]
    return _parsed_element(text, field.type)


def _parsed_element(text: str, type_: str) -> Any:
    if text[0] == "x":
        return bytes.fromhex(text[1:])
    if type_ == "bool":
        return text == "true"
    if type_ in ("f32", "f64"):
        value: float = struct.unpack(">f" if type_ == "f32" else ">d", bytes.fromhex(text[2:]))[0]
        return value
    if type_ in ("u128", "i128"):
        return int.from_bytes(bytes.fromhex(text[2:]), "big", signed=type_ == "i128")
    return int(text)


def element_size(type_: str) -> int:
    """Bytes of a scalar, `[u8; N]` or `U256`."""
    if type_.startswith("["):
        return int(type_[1:-1].partition(";")[2])
    return 1 if type_ == "bool" else int(type_[1:]) // 8
