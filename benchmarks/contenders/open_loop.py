"""Messages at fixed times from one process to another, and how late each arrives: what each side runs.

A message is sent when it is due, whatever became of those before it, and carries that time: lateness counts
from there to the moment at which the receiving program has it, so a stall counts for every message that it
held up. Receivers check that each message came, in order, and return percentiles.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import itertools
import os
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Any

from contenders import compiling, event_loop
from harness.peers import have
from harness.processes import TIMEOUT_S, Process, Ready, accept, connect, gather

from mycelium_fast import Profile, SocketTransport, UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick

#: Percentiles, each as one message in so many that is later; reported where ten messages or more are.
PERCENTILES = {50.0: 2, 90.0: 10, 99.0: 100, 99.9: 1_000, 99.99: 10_000}
LEAST_BEYOND = 10
#: Seconds of messages before those that count.
WARM_S = 0.05
#: From the last preparation to the first message.
LEAD_NS = 1_000_000
#: Messages that may wait in a ZeroMQ socket before its sender waits.
HIGH_WATER = 100_000
#: Messages that nats-py's sender publishes before the event loop has its turn, where it is late.
NATS_TOGETHER = 32
_FRAME = TradeTick(price=0, size=0).to_frame()
#: What peers send: when the message is due, and its number.
_PAYLOAD = struct.Struct("<QQ")
_SUBJECT = "t"
_rounds = itertools.count()


@dataclass(frozen=True)
class Pace:
    """When messages are due.

    Attributes:
        gap_ns: from one to the next.
        warm: messages before those that count.
        count: that count.
        round: its number, of which there is no other.
    """

    gap_ns: int
    warm: int
    count: int
    round: int

    @property
    def messages(self) -> int:
        return self.warm + self.count


class OpenLoop:
    """One contender: a call is a turn, and gives percentiles of nanoseconds.

    Args:
        first: processes with a function and its arguments, the receiver's first.
        last: the sender's.
        rate: messages a second.
        seconds: of messages that count.
    """

    def __init__(
        self,
        first: Sequence[tuple[Process, tuple[Any, ...]]],
        last: tuple[Process, tuple[Any, ...]],
        rate: int,
        seconds: float,
    ) -> None:
        self._first = first
        self._last = last
        self._gap_ns = 1_000_000_000 // rate
        self._warm = int(rate * WARM_S)
        self._count = int(rate * seconds)

    def __call__(self) -> dict[float, int]:
        pace = Pace(self._gap_ns, self._warm, self._count, next(_rounds))
        first = [(process, (function, pace, *args)) for process, (function, *args) in self._first]
        process, (function, *args) = self._last
        percentiles: dict[float, int] = gather(first, (process, (function, pace, *args)))[0]
        return percentiles


def build(directory: Path) -> Path:
    """`open_loop.c`, compiled where it is not there yet."""
    return compiling.library(directory, "open_loop", ["open_loop.c"])


# --- ours ---------------------------------------------------------------------------------------------------


def send_ours(_ready: Ready, pace: Pace, path: str, library: Path, profile: Profile) -> None:
    with UnixTransport(path, handshake=False, profile=profile) as transport:
        _publish(transport, pace, library)


def receive_ours(ready: Ready, pace: Pace, path: str) -> dict[float, int]:
    with SocketTransport(accept(ready, path), handshake=False) as transport:
        return _read(transport.subscriber(TradeTick), pace)


def send_ours_bridged(_ready: Ready, pace: Pace, path: str, library: Path, profile: Profile) -> None:
    with UnixTransport(path, SCHEMA_DIGEST, profile=profile) as transport:
        _publish(transport, pace, library)


def receive_ours_bridged(ready: Ready, pace: Pace, path: str) -> dict[float, int]:
    with UnixTransport(path, SCHEMA_DIGEST) as transport:
        subscriber = transport.subscriber(TradeTick)
        ready()
        return _read(subscriber, pace)


def _publish(transport: UnixTransport, pace: Pace, library: Path) -> None:
    wait = _load(library).open_loop_wait
    gap_ns = pace.gap_ns
    publish = transport.publisher(TradeTick).publish
    due = monotonic_ns() + LEAD_NS
    for number in range(pace.messages):
        if monotonic_ns() < due:
            wait(due)
        publish(TradeTick(price=due, size=number))
        due += gap_ns


def _read(subscriber: Any, pace: Pace) -> dict[float, int]:
    late = array("q", bytes(8 * pace.messages))
    number = 0
    for tick in subscriber:
        late[number] = monotonic_ns() - tick.price
        if tick.size != number:
            raise RuntimeError(f"message {tick.size} came where {number} was expected")
        number += 1
        if number == pace.messages:
            break
    return _percentiles(late, number, pace)


# --- C ------------------------------------------------------------------------------------------------------


def send_in_c(_ready: Ready, pace: Pace, path: str, library: Path) -> None:
    with connect(path) as sock:
        start = monotonic_ns() + LEAD_NS
        _checked(_load(library).open_loop_send(sock.fileno(), _FRAME, start, pace.gap_ns, pace.messages))


def receive_in_c(ready: Ready, pace: Pace, path: str, library: Path) -> dict[float, int]:
    late = (ctypes.c_int64 * pace.messages)()
    with accept(ready, path) as sock:
        number = _checked(_load(library).open_loop_receive(sock.fileno(), _FRAME, pace.messages, late))
    return _percentiles(late[:], number, pace)


def forward_in_c(ready: Ready, _pace: Pace, path: str, onward: str, library: Path) -> None:
    """What is least between two peers: take what comes, and send it on."""
    with accept(ready, path) as source, connect(onward) as target:
        _checked(_load(library).open_loop_forward(source.fileno(), target.fileno()))


# --- ZeroMQ -------------------------------------------------------------------------------------------------


def send_zmq(_ready: Ready, pace: Pace, path: str, library: Path) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.set_hwm(HIGH_WATER)
        push.setsockopt(zmq.IMMEDIATE, 1)
        push.setsockopt(zmq.RECONNECT_IVL, -1)
        gone = push.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        push.connect(f"ipc://{path}")
        push.send(b"connected")  # waits until it is
        _send_zmq(push.send, b"", pace, library)
        gone.recv_multipart()  # whoever closes first may lose what the other has not read yet
        push.disable_monitor()


def receive_zmq(ready: Ready, pace: Pace, path: str) -> dict[float, int]:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.set_hwm(HIGH_WATER)
        pull.bind(f"ipc://{path}")
        ready()
        pull.recv()
        return _receive_zmq(pull.recv, b"", pace)


def send_zmq_proxied(_ready: Ready, pace: Pace, address: str, library: Path) -> None:
    import zmq

    # XPUB, to hear of the subscription, and to wait where PUB would leave messages out.
    with zmq.Context() as context, context.socket(zmq.XPUB) as xpub:
        xpub.set_hwm(HIGH_WATER)
        xpub.setsockopt(zmq.XPUB_NODROP, 1)
        xpub.connect(address)
        while xpub.recv() != b"\x01" + _topic(pace):
            pass
        _send_zmq(xpub.send, _topic(pace), pace, library)


def receive_zmq_proxied(ready: Ready, pace: Pace, address: str) -> dict[float, int]:
    import zmq

    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.set_hwm(HIGH_WATER)
        sub.connect(address)
        sub.subscribe(_topic(pace))
        ready()
        return _receive_zmq(sub.recv, _topic(pace), pace)


def _topic(pace: Pace) -> bytes:
    """As long as our header, and of this round alone: the proxy may not know yet who has left."""
    return b"t%05d" % pace.round


def _send_zmq(send: Any, topic: bytes, pace: Pace, library: Path) -> None:
    wait = _load(library).open_loop_wait
    due = monotonic_ns() + LEAD_NS
    for number in range(pace.messages):
        if monotonic_ns() < due:
            wait(due)
        send(topic + _PAYLOAD.pack(due, number))
        due += pace.gap_ns


def _receive_zmq(receive: Any, topic: bytes, pace: Pace) -> dict[float, int]:
    late = array("q", bytes(8 * pace.messages))
    skipped = len(topic)
    for number in range(pace.messages):
        data = receive()
        now = monotonic_ns()
        due, its_number = _PAYLOAD.unpack_from(data, skipped)
        late[number] = now - due
        if its_number != number:
            raise RuntimeError(f"message {its_number} came where {number} was expected")
    return _percentiles(late, pace.messages, pace)


# --- NATS ---------------------------------------------------------------------------------------------------


def send_nats(_ready: Ready, pace: Pace, address: str) -> None:
    import nats

    async def main() -> None:
        connection = await nats.connect(address)
        due = monotonic_ns() + LEAD_NS
        together = 0
        for number in range(pace.messages):
            # Not asyncio.sleep() until then, which is late by up to a millisecond. What is due already leaves
            # together, but not for ever: it is in the loop that the client writes.
            while monotonic_ns() < due or together == NATS_TOGETHER:
                await asyncio.sleep(0)
                together = 0
            await connection.publish(_SUBJECT, _PAYLOAD.pack(due, number))
            together += 1
            due += pace.gap_ns
        await connection.drain()

    event_loop.run(main, _loop())


def receive_nats(ready: Ready, pace: Pace, address: str) -> dict[float, int]:
    import nats

    async def main() -> dict[float, int]:
        late = array("q", bytes(8 * pace.messages))
        number = 0
        done = asyncio.get_running_loop().create_future()

        async def on_message(message: Any) -> None:
            nonlocal number
            now = monotonic_ns()
            due, its_number = _PAYLOAD.unpack(message.data)
            if its_number != number and not done.done():
                done.set_exception(RuntimeError(f"message {its_number} came where {number} was expected"))
            if done.done():
                return
            late[number] = now - due
            number += 1
            if number == pace.messages:
                done.set_result(None)

        connection = await nats.connect(address)
        await connection.subscribe(_SUBJECT, cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await connection.flush()
        ready()
        try:
            await asyncio.wait_for(done, TIMEOUT_S)
        finally:
            await connection.close()
        return _percentiles(late, number, pace)

    return event_loop.run(main, _loop())


def _loop() -> str:
    return "uvloop" if have("uvloop") else "asyncio"


# --- what these share ---------------------------------------------------------------------------------------


def _percentiles(late: Sequence[int], received: int, pace: Pace) -> dict[float, int]:
    """Exact ones, of all messages after the warm-up."""
    if received != pace.messages:
        raise RuntimeError(f"{received} of {pace.messages} messages came")
    ordered = sorted(late[pace.warm :])
    beyond = {each: len(ordered) // one_in for each, one_in in PERCENTILES.items()}
    return {each: ordered[-1 - many] for each, many in beyond.items() if many >= LEAST_BEYOND}


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


@functools.cache
def _load(library: Path) -> ctypes.CDLL:
    functions = ctypes.CDLL(str(library))
    fd, number, frame = ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
    functions.open_loop_wait.argtypes = [number]
    functions.open_loop_wait.restype = None
    functions.open_loop_send.argtypes = [fd, frame, number, number, number]
    functions.open_loop_receive.argtypes = [fd, frame, number, ctypes.POINTER(number)]
    functions.open_loop_forward.argtypes = [fd, fd]
    for name in ("open_loop_send", "open_loop_receive", "open_loop_forward"):
        getattr(functions, name).restype = number
    return functions
