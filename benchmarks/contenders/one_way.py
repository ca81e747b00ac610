"""Messages from one process to another: the round that every contender runs, our own two sides, and C's.

Each function is one side of one round: it connects or accepts, moves `count` messages, and returns the
moment (monotonic nanoseconds) at which it sent the first or had taken the last. The receiver checks what
came: in a timed round their number and the last one's values, with `check` every field of every message.
pyzmq, zenoh, NATS and asyncio's streams have files of their own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns, thread_time_ns
from typing import Any

from contenders import event_loop, field_by_field, limits
from contenders.meeting import accept, address, connect, transport
from harness.processes import TIMEOUT_S, Process, Ready, together

from mycelium_fast import MyceliumClient, SocketTransport
from mycelium_fast.example_messages import TextMessage, TradeTick

SENDER = "s" * 32
CONTENT = "c" * 256
SIZE = 2_500

OURS: dict[str, type[Any]] = {"tick": TradeTick, "text": TextMessage}
THEIRS: dict[str, type[Any]] = {"tick": field_by_field.TradeTick, "text": field_by_field.TextMessage}
FRAMES = {
    "tick": TradeTick(price=101_500, size=SIZE).to_frame(),
    "text": TextMessage(sender=SENDER, content=CONTENT, timestamp=1).to_frame(),
}


@dataclass(frozen=True)
class Round:
    """One contender's round: called with a number of messages, gives the nanoseconds they took.

    Attributes:
        processes: the sender's and the receiver's.
        place: where the two meet; see `meeting.py`.
        sending, receiving: a function and the arguments that it takes beside place and number.
    """

    processes: tuple[Process, Process]
    place: str
    sending: tuple[Any, ...]
    receiving: tuple[Any, ...]

    def __call__(self, count: int, check: bool = False) -> float:
        sender, receiver = self.processes
        receive, *receiving = self.receiving
        send, *sending = self.sending
        end: int
        start: int
        end, start = together(
            receiver,
            (receive, self.place, count, check, *receiving),
            sender,
            (send, self.place, count, *sending),
        )
        return end - start


# Ours, blocking ---------------------------------------------------------------------------------------------


def send_ours(_ready: Ready, place: str, count: int, kind: str, profile: str) -> int:
    with transport(place, profile) as connected:
        return _publish(connected.publisher(OURS[kind]), kind, OURS[kind], count)


def receive_ours(ready: Ready, place: str, count: int, check: bool, kind: str) -> int:
    with SocketTransport(accept(ready, place), handshake=False) as connected:
        return _read(connected.subscriber(OURS[kind]), kind, count, check)


def send_fields(_ready: Ready, place: str, count: int, kind: str) -> int:
    with connect(place) as sock:
        return _publish(field_by_field.Publisher(sock), kind, THEIRS[kind], count)


def receive_fields(ready: Ready, place: str, count: int, check: bool, kind: str) -> int:
    with accept(ready, place) as sock:
        return _read(field_by_field.Subscriber(sock, THEIRS[kind]), kind, count, check)


def _publish(publisher: Any, kind: str, message_class: Any, count: int) -> int:
    start = monotonic_ns()
    if kind == "tick":
        for number in range(count):
            publisher.publish(message_class(price=number, size=SIZE))
    else:
        for number in range(count):
            publisher.publish(message_class(sender=SENDER, content=CONTENT, timestamp=number))
    return start


def _read(messages: Iterable[Any], kind: str, count: int, check: bool) -> int:
    """Read every field of every message; in a timed round the last number tells that all came."""
    if check:
        expect([fields(message) for message in messages], expected(kind, count))
    elif kind == "tick":
        for message in messages:
            price = message.price
            size = message.size
        end = monotonic_ns()
        expect((price, size), (count - 1, SIZE))
        return end
    else:
        for message in messages:
            sender = message.sender
            content = message.content
            timestamp = message.timestamp
        end = monotonic_ns()
        expect((sender, content, timestamp), (SENDER, CONTENT, count - 1))
        return end
    return monotonic_ns()


# Ours, asyncio ----------------------------------------------------------------------------------------------


def send_client(_ready: Ready, place: str, count: int, kind: str, loop: str) -> int:
    """`await client.publish()` of each message."""

    async def main() -> int:
        client = MyceliumClient(address(place), handshake=False)
        there = client.subscriber(TradeTick)  # before connecting, so that nothing is missed
        async with client:
            await there.recv(TIMEOUT_S)
            publish = client.publish
            start = monotonic_ns()
            if kind == "tick":
                for number in range(count):
                    await publish(TradeTick(price=number, size=SIZE))
            else:
                for number in range(count):
                    await publish(TextMessage(sender=SENDER, content=CONTENT, timestamp=number))
            return start

    return event_loop.run(main, loop)


def receive_client(ready: Ready, place: str, count: int, check: bool, kind: str, loop: str) -> int:
    """`async for message in client.subscriber(...)`.

    A client connects to who listens, and so does the one that sends. This one gets its connection as a
    worker does from the bridge that starts it: as standard input.
    """
    with accept(ready, place) as sock:
        os.dup2(sock.fileno(), 0)

    async def main() -> int:
        client = MyceliumClient("stdio:", handshake=False)
        messages = client.subscriber(OURS[kind])
        async with client:
            await client.publish(TradeTick(price=0, size=0))  # we are there
            return await _read_async(messages, kind, count, check)

    return event_loop.run(main, loop)


async def _read_async(messages: AsyncIterable[Any], kind: str, count: int, check: bool) -> int:
    if check:
        expect([fields(message) async for message in messages], expected(kind, count))
    elif kind == "tick":
        async for message in messages:
            price = message.price
            size = message.size
        end = monotonic_ns()
        expect((price, size), (count - 1, SIZE))
        return end
    else:
        async for message in messages:
            sender = message.sender
            content = message.content
            timestamp = message.timestamp
        end = monotonic_ns()
        expect((sender, content, timestamp), (SENDER, CONTENT, count - 1))
        return end
    return monotonic_ns()


# C ----------------------------------------------------------------------------------------------------------


def send_blocks(_ready: Ready, place: str, count: int, kind: str, library: Path) -> int:
    """Ready bytes, 64 KiB a call."""
    with connect(place) as sock:
        start = monotonic_ns()
        limits.send(library, sock, FRAMES[kind], count)
        return start


def send_singly(_ready: Ready, place: str, count: int, kind: str, library: Path) -> int:
    """Ready bytes, one frame a call."""
    with connect(place) as sock:
        start = monotonic_ns()
        limits.send(library, sock, FRAMES[kind], count, together=1)
        return start


def receive_lists(ready: Ready, place: str, count: int, check: bool, kind: str) -> int:
    """64 KiB a read, and each read made a list of messages in one call: no Python for a message."""
    block = bytearray(limits.BLOCK)
    view = memoryview(block)
    frame = FRAMES[kind]
    step = len(frame)
    decode = OURS[kind].decode_batch
    received = used = 0
    with accept(ready, place) as sock:
        while more := sock.recv_into(view[used:]):
            used += more
            whole = used - used % step
            messages = decode(view[:whole])
            received += len(messages)
            if check and any(message.to_frame() != frame for message in messages):
                raise RuntimeError("another message came, expected the one that was sent")
            if messages:
                last = messages[-1]
            block[: used - whole] = view[whole:used]
            used -= whole
    end = monotonic_ns()
    expect((received, last.to_frame()), (count, frame))
    return end


def receive_blocks(ready: Ready, place: str, count: int, check: bool, kind: str, library: Path) -> int:
    """64 KiB a read, in C, of which the bytes are counted; with `check` they are looked at."""
    with accept(ready, place) as sock:
        if check:
            with sock.makefile("rb") as stream:
                expect(stream.read(), FRAMES[kind] * count)
        else:
            expect(limits.drain(library, sock), len(FRAMES[kind]) * count)
    return monotonic_ns()


# A list that is there already: CPU time of the sending thread -----------------------------------------------

MANY = 10_000


def send_many(_ready: Ready, place: str, turns: int) -> int:
    """`publish_many()` of a list, so many times; gives the CPU time."""
    ticks = [TradeTick(price=number, size=number) for number in range(MANY)]
    with transport(place, "balanced") as connected:
        publisher = connected.publisher(TradeTick)
        start = thread_time_ns()
        for _ in range(turns):
            publisher.publish_many(ticks)
        publisher.flush()
        return thread_time_ns() - start


def send_copies(_ready: Ready, place: str, turns: int) -> int:
    """The same bytes, ready: copied into a block and sent, block by block; gives the CPU time."""
    frames = memoryview(_many_frames())
    block = memoryview(bytearray(limits.BLOCK))
    with connect(place) as sock:
        send = sock.sendall
        start = thread_time_ns()
        for _ in range(turns):
            for offset in range(0, len(frames), limits.BLOCK):
                piece = frames[offset : offset + limits.BLOCK]
                block[: len(piece)] = piece
                send(block[: len(piece)])
        return thread_time_ns() - start


def drain_many(ready: Ready, place: str, turns: int, check: bool, library: Path) -> None:
    """Read to the end of the stream in C; with `check` every byte is looked at."""
    frames = _many_frames()
    with accept(ready, place) as sock:
        if check:
            with sock.makefile("rb") as stream:
                expect(stream.read(), frames * turns)
        else:
            expect(limits.drain(library, sock), len(frames) * turns)


def _many_frames() -> bytes:
    return TradeTick.encode_batch([TradeTick(price=number, size=number) for number in range(MANY)])


# What is expected -------------------------------------------------------------------------------------------


def fields(message: Any) -> tuple[Any, ...]:
    """Every field's value, whoever's message it is."""
    if message.TYPE_ID == TradeTick.TYPE_ID:
        return message.price, message.size
    return message.sender, message.content, message.timestamp


def expected(kind: str, count: int) -> list[tuple[Any, ...]]:
    """The fields of as many messages, which are numbered."""
    return [(number, SIZE) if kind == "tick" else (SENDER, CONTENT, number) for number in range(count)]


def expect(received: Any, sent: Any) -> None:
    if received != sent:
        raise RuntimeError(f"received {str(received)[:200]}, expected {str(sent)[:200]}")
