"""Messages from one publisher to several subscribers through a broker: what each of these processes runs.

A publisher returns the moment (monotonic nanoseconds) at which it sent the first, a subscriber that at which
it had the last. What is sent is a pattern, again and again: some hundred numbered messages. Subscribers are C
programs whatever publishes: in a timed round they compare the number of bytes or messages and the last ones,
with `check` every byte.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import random
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Any

import brokers
from limits import checked
from one_way import CONTENT, OURS, SENDER, SIZE
from processes import Process, Ready, gather

from mycelium_fast import TcpTransport, UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST
from mycelium_fast.session import Features, core

#: Bytes that a publisher in C sends in one call.
BLOCK = 65_536
#: As an argument of a function that FanOut calls: the number of the round, of which there is no other.
ROUND = "the round's number"
_rounds = itertools.count()
#: Of the socket that a publisher in C sends from.
SEND_BUFFER = 1 << 20
#: The subject of everything that goes through nats-server: as short as subjects are.
SUBJECT = b"t"
TICK_ID = OURS["tick"].TYPE_ID


class FanOut:
    """One contender's round: called with a number of messages to publish, gives the nanoseconds they took.

    It is the time from the first message sent to the last one received by the slowest subscriber. The pattern
    is always sent whole, so few messages become as many as it has, and their time a part of that.
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
            processes: the publisher's, and as many more as there are subscribers.
            messages: that the pattern has.
            publishing: a function and its arguments, but for the number of patterns.
            subscribing: as many again; they come to know the number and `check` as well.
        """
        self._publisher, *self._subscribers = processes[: len(subscribing) + 1]
        self._messages = messages
        self._publishing = publishing
        self._subscribing = subscribing

    def __call__(self, count: int, check: bool = False) -> float:
        cycles = max(1, count // self._messages)
        number = next(_rounds)

        def numbered(arguments: Sequence[Any]) -> list[Any]:
            return [number if each is ROUND else each for each in arguments]

        subscribing = [
            (process, (function, cycles, check, *numbered(args)))
            for process, (function, *args) in zip(self._subscribers, self._subscribing, strict=True)
        ]
        publish, *args = self._publishing
        ends: list[int]
        start: int
        *ends, start = gather(subscribing, (self._publisher, (publish, cycles, *numbered(args))))
        return (max(ends) - start) * count / (cycles * self._messages)


# --- what is sent -------------------------------------------------------------------------------------------


def messages(kind: str, size: int = BLOCK) -> list[Any]:
    """Numbered messages whose frames make a block of at most so many bytes."""
    count = size // (6 + OURS[kind].SIZE)
    if kind == "tick":
        return [OURS[kind](price=number, size=SIZE) for number in range(count)]
    return [OURS[kind](sender=SENDER, content=CONTENT, timestamp=number) for number in range(count)]


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
    address: str, type_ids: Sequence[int] = (), *, digest: bytes = SCHEMA_DIGEST, echo: bool = True
) -> socket.socket:
    """A connection to a bridge that is negotiated, and gets these types."""
    sock = _connect(address)
    features = Features.SUBSCRIPTIONS | (Features(0) if echo else Features.NO_ECHO)
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
        if sock.family == socket.AF_UNIX:  # a small frame takes 768 bytes of it; TCP's buffer grows by itself
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        return checked(_load(library).fan_write(sock.fileno(), pattern, len(pattern), piece, cycles))


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
        return checked(_load(library).fan_read(sock.fileno(), pattern, len(pattern), cycles, check))


def _transport(address: str) -> UnixTransport | TcpTransport:
    if address.startswith("unix:"):
        return UnixTransport(address.removeprefix("unix:"), SCHEMA_DIGEST, profile="throughput")
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return TcpTransport(host, int(port), SCHEMA_DIGEST, profile="throughput")


def _expect_frame(sock: socket.socket, message_class: type[Any]) -> None:
    frame = _read_exactly(sock, 6 + message_class.SIZE)
    if int.from_bytes(frame[:2], "little") != message_class.TYPE_ID:
        raise RuntimeError(f"not a {message_class.__name__}: {frame!r}")


# --- nats-server --------------------------------------------------------------------------------------------


def nats_published(kind: str) -> list[bytes]:
    """Payloads as a client sends them, a block of them."""
    line = b"PUB %s %d\r\n" % (SUBJECT, OURS[kind].SIZE)
    size = len(line) + OURS[kind].SIZE + 2
    return [line + message.to_bytes() + b"\r\n" for message in messages(kind)[: BLOCK // size]]


def nats_delivered(kind: str) -> list[bytes]:
    """... and as the server sends them on."""
    line = b"MSG %s 1 %d\r\n" % (SUBJECT, OURS[kind].SIZE)
    count = len(nats_published(kind))
    return [line + message.to_bytes() + b"\r\n" for message in messages(kind)[:count]]


def publish_nats(
    _ready: Ready, cycles: int, library: Path, address: str, kind: str, piece: int = BLOCK
) -> int:
    pattern = b"".join(nats_published(kind))
    with _join_nats(address) as sock:
        return checked(_load(library).fan_write(sock.fileno(), pattern, len(pattern), piece, cycles))


def subscribe_nats(ready: Ready, cycles: int, check: bool, library: Path, address: str, kind: str) -> int:
    delivered = nats_delivered(kind)
    pattern = b"".join(delivered)
    with _join_nats(address, b"SUB %s 1\r\n" % SUBJECT) as sock:
        ready()
        step = len(delivered[0])
        read = _load(library).fan_read_nats
        return checked(read(sock.fileno(), pattern, len(pattern), step, cycles, check))


def _join_nats(address: str, subscription: bytes = b"") -> socket.socket:
    """A connection that nats-server has confirmed, subscription and all."""
    sock = _connect(address)
    sock.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n' + subscription + b"PING\r\n")
    said = b""
    while not said.endswith(b"PONG\r\n"):
        more = sock.recv(1)  # no byte of what comes after
        if not more:
            raise RuntimeError(f"nats-server closed the connection: {said!r}")
        said += more
    return sock


# --- the ZeroMQ proxy ---------------------------------------------------------------------------------------


def publish_zmq(
    _ready: Ready, cycles: int, library: Path, addresses: tuple[str, str], kind: str, names: int, round_: int
) -> int:
    """Send frames one by one, which libzmq batches, once so many subscribers are known to be there."""
    import zmq

    frames = [message.to_frame() for message in messages(kind)]
    pattern = b"".join(frames)
    # As XPUB, to hear of subscriptions, and to wait where PUB would leave messages out.
    with zmq.Context() as context, context.socket(zmq.XPUB) as xpub:
        xpub.set_hwm(brokers.HIGH_WATER)
        xpub.setsockopt(zmq.XPUB_NODROP, 1)
        xpub.connect(addresses[0])
        waiting = {b"\x01" + _name(round_, number) for number in range(names)}
        while waiting:
            waiting.discard(xpub.recv())
        write = _load(library).fan_write_zmq
        send = _zmq_function("zmq_send")
        return checked(write(send, xpub.underlying, pattern, len(pattern), len(frames[0]), cycles))


def subscribe_zmq(
    ready: Ready,
    cycles: int,
    check: bool,
    library: Path,
    addresses: tuple[str, str],
    kind: str,
    number: int,
    round_: int,
) -> int:
    import zmq

    frames = [message.to_frame() for message in messages(kind)]
    pattern = b"".join(frames)
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.set_hwm(brokers.HIGH_WATER)
        sub.connect(addresses[1])
        sub.subscribe(frames[0][:2])
        # The proxy passes on the first subscription of a kind alone: the publisher counts these. In order.
        sub.subscribe(_name(round_, number))
        ready()
        read = _load(library).fan_read_zmq
        receive = _zmq_function("zmq_recv")
        return checked(read(receive, sub.underlying, pattern, len(pattern), len(frames[0]), cycles, check))


def zmq_has_functions() -> bool:
    """Whether libzmq's own functions can be called, which C programs need."""
    try:
        _zmq_function("zmq_send")
    except (ImportError, AttributeError, OSError):
        return False
    return True


def _name(round_: int, number: int) -> bytes:
    """What only this subscriber of this round subscribes to: the proxy may not know yet that others left."""
    return b"subscriber %d.%d" % (round_, number)


def _zmq_function(name: str) -> Any:
    """A function of the libzmq that pyzmq has brought or found."""
    from zmq.backend.cython import _zmq

    return ctypes.cast(getattr(ctypes.CDLL(_zmq.__file__), name), ctypes.c_void_p)


# --- what these share ---------------------------------------------------------------------------------------


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    sock = socket.create_connection((host, int(port)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise RuntimeError(f"the bridge closed the connection after {data!r}")
        data += more
    return data


@functools.cache
def _load(library: Path) -> ctypes.CDLL:
    peers = ctypes.CDLL(str(library))
    fd, check, bytes_, size, number = (
        ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64
    )  # fmt: skip
    pointer = ctypes.c_void_p
    peers.fan_write.argtypes = [fd, bytes_, size, size, number]
    peers.fan_read.argtypes = [fd, bytes_, size, number, check]
    peers.fan_read_nats.argtypes = [fd, bytes_, size, size, number, check]
    peers.fan_write_zmq.argtypes = [pointer, pointer, bytes_, size, size, number]
    peers.fan_read_zmq.argtypes = [pointer, pointer, bytes_, size, size, number, check]
    for name in ("fan_write", "fan_read", "fan_read_nats", "fan_write_zmq", "fan_read_zmq"):
        getattr(peers, name).restype = number
    return peers
