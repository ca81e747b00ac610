"""Messages from one publisher to several subscribers through a broker: rounds, and what each of them runs.

A publisher returns the moment (monotonic nanoseconds) at which it sent the first, a subscriber that at which
it had the last. What is sent is a pattern, again and again: some hundred numbered messages. Subscribers are C
programs whatever publishes: in a timed round they compare the number of bytes or messages and the last ones,
with `check` every byte. Here are those of the bridge and of `to_each.c`; the peers' have files of their own.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import queue
import random
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Any

from contenders.limits import checked
from harness.processes import TIMEOUT_S, Process, Ready, together

from mycelium_fast import TcpTransport, UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick
from mycelium_fast.session import Features, core

#: Bytes that a publisher in C sends in one call.
BLOCK = 65_536
#: As an argument of a function that FanOut calls: the number of the round, of which there is no other.
ROUND = "the round's number"
_rounds = itertools.count()
#: Of the socket that a publisher in C sends from.
SEND_BUFFER = 1 << 20

OURS: dict[str, type[Any]] = {"tick": TradeTick, "text": TextMessage}
TICK_ID = TradeTick.TYPE_ID
SIZE = 2_500
SENDER = "s" * 32
CONTENT = "c" * 256


class FanOut:
    """One contender's round: called with a number of messages to publish, gives the nanoseconds they took.

    It is the time from the first message sent to the last one received by the slowest subscriber. The pattern
    is always sent whole, so few messages become as many as it has, and their time a part of that.

    Attributes:
        messages: that the pattern has.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        messages: int,
        publishing: tuple[Any, ...],
        *subscribing: tuple[Any, ...],
    ) -> None:
        """
        Args:
            processes: the publisher's and the subscribers', who are threads of one process.
            messages: that the pattern has.
            publishing: a function and its arguments, but for the number of patterns.
            subscribing: as many again; they come to know the number and `check` as well.
        """
        self._publisher, self._subscribers = processes[:2]
        self.messages = messages
        self._publishing = publishing
        self._subscribing = subscribing

    def __call__(self, count: int, check: bool = False) -> float:
        cycles = max(1, count // self.messages)
        return self.patterns(cycles, check) * count / (cycles * self.messages)

    def patterns(self, cycles: int, check: bool = False) -> float:
        """The same for a number of patterns."""
        number = next(_rounds)

        def numbered(call: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(number if each is ROUND else each for each in call)

        subscribing = [numbered(each) for each in self._subscribing]
        publish, *args = numbered(self._publishing)
        end: int
        start: int
        end, start = together(
            self._subscribers,
            (subscribe_all, cycles, check, subscribing),
            self._publisher,
            (publish, cycles, *args),
        )
        return end - start


def subscribe_all(ready: Ready, cycles: int, check: bool, subscribing: Sequence[tuple[Any, ...]]) -> int:
    """All subscribers, each in a thread that is in C for the whole round; the slowest one's moment."""
    answers: queue.SimpleQueue[int | Exception] = queue.SimpleQueue()
    everybody = threading.Barrier(len(subscribing), action=ready, timeout=TIMEOUT_S)

    def one(subscribe: Any, *args: Any) -> None:
        try:
            answers.put(subscribe(everybody.wait, cycles, check, *args))
        except Exception as error:
            answers.put(error)
            everybody.abort()

    for each in subscribing:
        threading.Thread(target=one, args=each, daemon=True).start()
    ends = []
    for _ in subscribing:
        answer = answers.get(timeout=TIMEOUT_S)
        if isinstance(answer, Exception):
            raise answer
        ends.append(answer)
    return max(ends)


# --- what is sent -------------------------------------------------------------------------------------------


def messages(kind: str, size: int = BLOCK) -> list[Any]:
    """Numbered messages whose frames make a block of at most so many bytes."""
    count = size // (6 + OURS[kind].SIZE)
    if kind == "tick":
        return [TradeTick(price=number, size=SIZE) for number in range(count)]
    return [TextMessage(sender=SENDER, content=CONTENT, timestamp=number) for number in range(count)]


@dataclass(frozen=True)
class Mix:
    """Frames of several types as long as a TradeTick, each type picked at random.

    Attributes:
        frames: of the mix, in order.
        contracts: a contracts file that has the types.
    """

    frames: list[bytes]
    contracts: str
    type_ids: range

    def of(self, type_ids: Sequence[int]) -> bytes:
        """The frames that a subscriber to these types gets."""
        return b"".join(frame for frame in self.frames if int.from_bytes(frame[:2], "little") in type_ids)

    def some(self, subscriber: int) -> list[int]:
        """Half of the types, of which each subscriber has others."""
        half = len(self.type_ids) // 2
        return [self.type_ids[(3 * subscriber + each) % len(self.type_ids)] for each in range(half)]


def mix(types: int) -> Mix:
    """A mix of so many types, always the same."""
    type_ids = range(TICK_ID, TICK_ID + types)
    lines = ["schema: {id: 1, version: 1, min_compatible: 1}", "messages:"]
    for type_id in type_ids:
        lines += [f"  Tick{type_id}:", f"    tlv_type: {type_id}", "    domain: MarketData"]
        lines += ["    fields: {price: {type: u64}, size: {type: u64}}"]
    pick = random.Random(4)
    count = BLOCK // 22
    frames = [struct.pack("<HIQQ", pick.choice(type_ids), 16, number, SIZE) for number in range(count)]
    return Mix(frames, "\n".join(lines) + "\n", type_ids)


# --- the bridge ---------------------------------------------------------------------------------------------


def join(
    address: str,
    type_ids: Sequence[int] = (),
    *,
    digest: bytes = SCHEMA_DIGEST,
    echo: bool = True,
    lag_reports: bool = False,
) -> socket.socket:
    """A connection to a bridge that is negotiated, and gets these types."""
    sock = connect(address)
    features = Features.SUBSCRIPTIONS
    features |= Features(0) if echo else Features.NO_ECHO
    features |= Features.LAG_REPORTS if lag_reports else Features(0)
    sock.sendall(len(digest).to_bytes(2, "little") + digest)
    sock.sendall(core.Hello(1, int(features), "benchmark").to_frame())
    _expect_frame(sock, core.Welcome)
    if type_ids:
        sock.sendall(core.Subscribe(1, False, list(type_ids)).to_frame())
        _expect_frame(sock, core.Subscribed)
    return sock


def publish_c(
    _ready: Ready,
    cycles: int,
    library: Path,
    address: str,
    pattern: bytes,
    piece: int = BLOCK,
    digest: bytes = SCHEMA_DIGEST,
) -> int:
    """The pattern's bytes, `piece` of them in one call."""
    with join(address, digest=digest) as sock:
        return write(sock, cycles, library, pattern, piece)


def publish_list(_ready: Ready, cycles: int, address: str, kind: str) -> int:
    """`publish_many`, a list of messages that are there already."""
    many = messages(kind)
    with _transport(address) as transport:
        publisher = transport.publisher(OURS[kind])
        start = monotonic_ns()
        for _ in range(cycles):
            publisher.publish_many(many)
        publisher.flush()
    return start


def publish_each(_ready: Ready, cycles: int, address: str, kind: str) -> int:
    """`publish`, each message built for it."""
    message_class = OURS[kind]
    numbers = range(len(messages(kind)))
    with _transport(address) as transport:
        publish = transport.publisher(message_class).publish
        start = monotonic_ns()
        for _ in range(cycles):
            if kind == "tick":
                for number in numbers:
                    publish(message_class(price=number, size=SIZE))
            else:
                for number in numbers:
                    publish(message_class(sender=SENDER, content=CONTENT, timestamp=number))
        transport.flush()
    return start


def subscribe_c(
    ready: Ready,
    cycles: int,
    check: bool,
    library: Path,
    address: str,
    pattern: bytes,
    type_ids: Sequence[int],
    digest: bytes = SCHEMA_DIGEST,
) -> int:
    with join(address, type_ids, digest=digest) as sock:
        ready()
        return read(sock, cycles, check, library, pattern)


def _transport(address: str) -> UnixTransport | TcpTransport:
    if address.startswith("unix:"):
        return UnixTransport(address.removeprefix("unix:"), SCHEMA_DIGEST, profile="throughput")
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return TcpTransport(host, int(port), SCHEMA_DIGEST, profile="throughput")


def _expect_frame(sock: socket.socket, message_class: type[Any]) -> None:
    frame = read_exactly(sock, 6 + message_class.SIZE)
    if int.from_bytes(frame[:2], "little") != message_class.TYPE_ID:
        raise RuntimeError(f"not a {message_class.__name__}: {frame!r}")


# --- the broker in C ----------------------------------------------------------------------------------------


def join_to_each(address: str, role: bytes) -> socket.socket:
    """A connection to `to_each.c`, as its publisher (b"P") or a subscriber (b"S")."""
    sock = connect(address)
    sock.sendall(role)
    if read_exactly(sock, 1) != role:
        raise RuntimeError("the broker in C took us for somebody else")
    return sock


def publish_to_each(
    _ready: Ready, cycles: int, library: Path, address: str, pattern: bytes, piece: int = BLOCK
) -> int:
    with join_to_each(address, b"P") as sock:
        return write(sock, cycles, library, pattern, piece)


def subscribe_to_each(
    ready: Ready, cycles: int, check: bool, library: Path, address: str, pattern: bytes
) -> int:
    with join_to_each(address, b"S") as sock:
        ready()
        return read(sock, cycles, check, library, pattern)


# --- what these share ---------------------------------------------------------------------------------------


def write(sock: socket.socket, cycles: int, library: Path, pattern: bytes, piece: int) -> int:
    """Send so many patterns; the moment at which it began."""
    if sock.family == socket.AF_UNIX:  # a small frame takes 768 bytes of it; TCP's buffer grows by itself
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return checked(load(library).fan_write(sock.fileno(), pattern, len(pattern), piece, cycles))


def read(
    sock: socket.socket, cycles: int, check: bool, library: Path, pattern: bytes, nats_step: int = 0
) -> int:
    """Read so many patterns; the moment at which all were there.

    `nats_step` is the size of a message, where nats-server sends them.
    """
    return checked(load(library).fan_read(sock.fileno(), pattern, len(pattern), nats_step, cycles, check))


def connect(address: str, receive_buffer: int | None = None) -> socket.socket:
    unix = address.startswith("unix:")
    sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if unix:
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    sock.connect((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise RuntimeError(f"the broker closed the connection after {data!r}")
        data += more
    return data


@functools.cache
def load(library: Path) -> ctypes.CDLL:
    """`fan_out.c`'s functions."""
    peers = ctypes.CDLL(str(library))
    fd, check, bytes_, size, number = (
        ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64
    )  # fmt: skip
    pointer, several = ctypes.c_void_p, ctypes.c_int
    arguments: dict[str, list[Any]] = {
        "fan_write": [fd, bytes_, size, size, number],
        "fan_read": [fd, bytes_, size, size, number, check],
        "fan_through": [fd, fd, bytes_, size, bytes_, size, size, number, number, check],
        "fan_ask_nats": [fd, bytes_, size, bytes_, size, several, several, ctypes.POINTER(number)],
        "fan_answer_nats": [fd, bytes_, size, bytes_, size],
        "fan_write_zmq": [pointer, pointer, bytes_, size, size, number],
        "fan_read_zmq": [pointer, pointer, bytes_, size, size, number, check],
    }
    for name, types in arguments.items():
        function = getattr(peers, name)
        function.argtypes, function.restype = types, number
    return peers
