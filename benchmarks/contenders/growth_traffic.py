"""Brokers and those who talk to them in C, for the growth of cost: what each process runs, and who connects
how.

Connections last as long as the process, so that a thousand of them are made once. A writer returns the moment
(monotonic nanoseconds) at which it sent the first message, a reader that at which it had the last.
"""

from __future__ import annotations

import ctypes
import functools
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders import compiling, fan_out, nats_in_c
from contenders import growth_contracts as contracts
from contenders.limits import checked
from harness.processes import Process, Ready, together

from mycelium_fast.session import core

#: Type ids in one Subscribe.
_MOST_AT_ONCE = 256
#: Messages in one block of a connection among many: about 1 KiB.
TICKS_IN_TURN = 46


# --- who connects how ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bridge:
    """`mycelium bridge`.

    Of its subscribers the first gets types with even ids and the second those with odd ones, the first one
    also every size and what many publishers send; and each that is among the first n gets the type for n of
    them.
    """

    address: str
    digest: bytes

    def publisher(self, _share: int) -> socket.socket:
        return fan_out.join(self.address, digest=self.digest)

    def subscriber(self, number: int) -> socket.socket:
        type_ids = [type_id for count, type_id in contracts.SHARED.items() if number < count]
        if number < 2:
            type_ids += contracts.TICKS[number::2]
        if number == 0:
            type_ids += [*contracts.SIZED.values(), contracts.IN_TURN]
        sock = fan_out.join(self.address, digest=self.digest)
        subscribe(sock, type_ids)
        return sock


@dataclass(frozen=True)
class Relay:
    """The broker in C: two Unix sockets in a directory."""

    directory: str

    def publisher(self, share: int) -> socket.socket:
        sock = fan_out.connect(f"unix:{self.directory}/relay.in")
        sock.sendall(bytes([share]))
        return sock

    def subscriber(self, _number: int) -> socket.socket:
        sock = fan_out.connect(f"unix:{self.directory}/relay.out")
        fan_out.read_exactly(sock, 1)
        return sock


@dataclass(frozen=True)
class Nats:
    """nats-server at a TCP port."""

    address: str

    def publisher(self, _share: int) -> socket.socket:
        return nats_in_c.join(self.address)

    def subscriber(self, _number: int) -> socket.socket:
        return nats_in_c.join(self.address, nats_in_c.SUBJECT)


Broker = Bridge | Relay | Nats


def subscribe(sock: socket.socket, type_ids: Sequence[int]) -> None:
    """Have a bridge send these types, however many they are."""
    for begin in range(0, len(type_ids), _MOST_AT_ONCE):
        sock.sendall(core.Subscribe(1, False, list(type_ids[begin : begin + _MOST_AT_ONCE])).to_frame())
        expect_frame(sock, core.Subscribed)


def expect_frame(sock: socket.socket, message_class: type[Any]) -> None:
    """Wait for a frame of this type."""
    frame = fan_out.read_exactly(sock, 6 + message_class.SIZE)
    if int.from_bytes(frame[:2], "little") != message_class.TYPE_ID:
        raise RuntimeError(f"not a {message_class.__name__}: {frame!r}")


# --- one pattern, again and again ---------------------------------------------------------------------------


class Turn:
    """One contender's turn: called with a number of messages, gives the nanoseconds they took.

    A pattern is always sent whole, so few messages become as many as it has, and their time a part of that.

    Args:
        per: messages that a pattern has.
        reading, writing: a function of this module and its arguments, but for the number of patterns.
    """

    def __init__(
        self, processes: tuple[Process, Process], per: int, reading: Sequence[Any], writing: Sequence[Any]
    ) -> None:
        self._writer, self._reader = processes
        self._per = per
        self._reading = reading
        self._writing = writing

    def __call__(self, count: int, check: bool = False) -> float:
        cycles = -(-count // self._per)
        read, *reading = self._reading
        write, *writing = self._writing
        end, start = together(
            self._reader, (read, cycles, check, *reading), self._writer, (write, cycles, *writing)
        )
        return float((end - start) * count / (cycles * self._per))

    def check(self) -> None:
        """A turn in which every byte is compared."""
        self(3 * self._per, True)


def write(_ready: Ready, cycles: int, library: Path, broker: Broker, share: int, pattern: bytes) -> int:
    """From one connection, each pattern in one call."""
    sock = _publishers(broker, share, 1)[0]
    return checked(load(library).growth_write(sock.fileno(), pattern, len(pattern), cycles))


def read(
    ready: Ready, cycles: int, check: bool, library: Path, broker: Broker, patterns: Mapping[int, bytes]
) -> int:
    """What each subscriber is to get."""
    socks = _subscribers(broker, max(2, *patterns) + 1)
    ready()
    return read_from(
        [(socks[number], pattern) for number, pattern in patterns.items()], cycles, check, library
    )


def read_from(sources: Sequence[tuple[socket.socket, bytes]], cycles: int, check: bool, library: Path) -> int:
    """So many patterns from each connection; the last bytes are compared, with `check` all of them."""
    streams = (_Stream * len(sources))()
    for stream, (sock, pattern) in zip(streams, sources, strict=True):
        stream.fd, stream.pattern, stream.size = sock.fileno(), pattern, len(pattern)
        stream.total = cycles * len(pattern)
    return checked(load(library).growth_read(streams, len(streams), check))


# --- many publishers ----------------------------------------------------------------------------------------


def write_in_turn(
    _ready: Ready, turns: int, library: Path, broker: Broker, connections: int, most: int
) -> int:
    """A block from each connection in turn; there are `most`, of which the others are silent."""
    socks = _publishers(broker, 1, most)[:connections]
    begin, end = _published(broker)
    message = begin + bytes(16) + end
    fds = (ctypes.c_int * connections)(*(sock.fileno() for sock in socks))
    block = ctypes.create_string_buffer(message * TICKS_IN_TURN, TICKS_IN_TURN * len(message))
    run = load(library).growth_write_in_turn
    return checked(run(fds, connections, block, len(block), len(message), len(begin), turns))


def read_in_turn(
    ready: Ready, turns: int, _check: bool, library: Path, broker: Broker, connections: int
) -> int:
    """Every message is looked at: it has to be its connection's next one."""
    sock = _subscribers(broker, 1)[0]
    begin, end = _delivered(broker)
    step = len(begin) + 16 + len(end)
    ready()
    run = load(library).growth_read_in_turn
    return checked(
        run(sock.fileno(), connections, begin, step, len(begin), turns * connections * TICKS_IN_TURN)
    )


def _published(broker: Broker) -> tuple[bytes, bytes]:
    """What a publisher puts around sixteen bytes."""
    if isinstance(broker, Nats):
        return b"PUB %s 16\r\n" % nats_in_c.SUBJECT, b"\r\n"
    return struct.pack("<HI", contracts.IN_TURN, 16), b""


def _delivered(broker: Broker) -> tuple[bytes, bytes]:
    """... and what comes around them."""
    if isinstance(broker, Nats):
        return b"MSG %s 1 16\r\n" % nats_in_c.SUBJECT, b"\r\n"
    return _published(broker)


# --- what lasts as long as the process ----------------------------------------------------------------------


@functools.cache
def _kept(_broker: Broker, _kind: str) -> list[socket.socket]:
    return []


def _publishers(broker: Broker, share: int, count: int) -> list[socket.socket]:
    kept = _kept(broker, f"publishers to {share}")
    while len(kept) < count:
        kept.append(broker.publisher(share))
    return kept


def _subscribers(broker: Broker, count: int) -> list[socket.socket]:
    kept = _kept(broker, "subscribers")
    while len(kept) < count:
        kept.append(broker.subscriber(len(kept)))
    return kept


def relay(ready: Ready, library: Path, directory: str) -> None:
    """The broker in C, for ever."""
    with socket.socket(socket.AF_UNIX) as publishers, socket.socket(socket.AF_UNIX) as subscribers:
        for listener, name in ((publishers, "relay.in"), (subscribers, "relay.out")):
            listener.bind(f"{directory}/{name}")
            listener.listen(1024)
        ready()
        checked(load(library).growth_relay(publishers.fileno(), subscribers.fileno()))


# --- the functions in C -------------------------------------------------------------------------------------


class _Stream(ctypes.Structure):
    """As in growth_peers.c."""

    _fields_ = (
        ("pattern", ctypes.c_char_p),
        ("size", ctypes.c_size_t),
        ("total", ctypes.c_int64),
        ("done", ctypes.c_int64),
        ("fd", ctypes.c_int),
    )


def build(directory: Path) -> Path:
    """`growth_peers.c`, compiled where it is not there yet."""
    return compiling.library(directory, "growth", ["growth_peers.c"])


@functools.cache
def load(library: Path) -> ctypes.CDLL:
    peers = ctypes.CDLL(str(library))
    fd, bytes_, size, number = ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64
    fds = ctypes.POINTER(fd)
    peers.growth_write.argtypes = [fd, bytes_, size, number]
    peers.growth_read.argtypes = [ctypes.POINTER(_Stream), ctypes.c_int, ctypes.c_int]
    peers.growth_write_in_turn.argtypes = [fds, ctypes.c_int, ctypes.c_void_p, size, size, size, number]
    peers.growth_read_in_turn.argtypes = [fd, ctypes.c_int, bytes_, size, size, number]
    peers.growth_ask.argtypes = [fd, bytes_, size, size, number]
    peers.growth_echo.argtypes = [fd]
    peers.growth_relay.argtypes = [fd, fd]
    for name in ("write", "read", "write_in_turn", "read_in_turn", "ask", "echo", "relay"):
        getattr(peers, f"growth_{name}").restype = number
    return peers
