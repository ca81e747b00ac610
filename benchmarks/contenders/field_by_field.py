"""The codec and the sockets of a small pure-Python SDK, as one writes it at first: the slow end of the scale.

Every field is packed and unpacked by its own call, every frame is sent by a call of its own, and received by
one call for the header and one for the payload. The bytes are the same as ours.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any, ClassVar


class Message:
    """A message whose class lists its fields: name and type, where a string's type is its capacity."""

    TYPE_ID: ClassVar[int]
    SIZE: ClassVar[int]
    FIELDS: ClassVar[list[tuple[str, str | int]]]

    def to_bytes(self) -> bytes:
        payload = bytearray()
        for name, kind in self.FIELDS:
            value = getattr(self, name)
            if isinstance(kind, int):
                payload += _encode_string(name, value, kind)
            else:
                payload += b"\0" * (-len(payload) % struct.calcsize(kind))
                payload += struct.pack("<" + kind, value)
        payload += b"\0" * (self.SIZE - len(payload))
        return bytes(payload)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Any:
        if len(payload) != cls.SIZE:
            raise ValueError(f"{cls.__name__} has {cls.SIZE} bytes, got {len(payload)}")
        values = {}
        offset = 0
        for name, kind in cls.FIELDS:
            if isinstance(kind, int):
                values[name] = _decode_string(name, payload, offset, kind)
                offset += 8 + kind
            else:
                size = struct.calcsize(kind)
                offset += -offset % size
                values[name] = struct.unpack_from("<" + kind, payload, offset)[0]
                offset += size
        return cls(**values)


@dataclass
class TradeTick(Message):
    TYPE_ID = 1200
    SIZE = 16
    FIELDS = [("price", "Q"), ("size", "Q")]  # noqa: RUF012

    price: int
    size: int


@dataclass
class TextMessage(Message):
    TYPE_ID = 1001
    SIZE = 312
    FIELDS = [("sender", 32), ("content", 256), ("timestamp", "Q")]  # noqa: RUF012

    sender: str
    content: str
    timestamp: int


class Publisher:
    """Sends messages over a socket, one by one."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def publish(self, message: Message) -> None:
        payload = message.to_bytes()
        self._sock.sendall(struct.pack("<H", message.TYPE_ID) + struct.pack("<I", len(payload)) + payload)


class Subscriber:
    """Receives the messages of one class, until the connection ends."""

    def __init__(self, sock: socket.socket, message_class: type[Message]) -> None:
        self._sock = sock
        self._class = message_class

    def __iter__(self) -> Subscriber:
        return self

    def __next__(self) -> Any:
        header = self._read(6)
        if header is None:
            raise StopIteration
        (type_id,) = struct.unpack("<H", header[:2])
        (length,) = struct.unpack("<I", header[2:])
        payload = self._read(length)
        if type_id != self._class.TYPE_ID or payload is None:
            raise ValueError(f"a frame of type {type_id} and {length} bytes")
        return self._class.from_bytes(payload)

    def _read(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            piece = self._sock.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return bytes(data)


def _encode_string(name: str, value: str, capacity: int) -> bytes:
    text = value.encode("utf-8")
    if len(text) > capacity:
        raise ValueError(f"{name} has {len(text)} bytes, at most {capacity} fit")
    return struct.pack("<H6x", len(text)) + text.ljust(capacity, b"\0")


def _decode_string(name: str, payload: bytes, offset: int, capacity: int) -> str:
    (count,) = struct.unpack_from("<H", payload, offset)
    if count > capacity:
        raise ValueError(f"{name} has {count} bytes, at most {capacity} fit")
    return payload[offset + 8 : offset + 8 + count].decode("utf-8")
