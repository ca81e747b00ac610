"""Memory for one connection, and for one message that waits: of the bridge, of our queues, and of others.

What is measured is a process's resident memory before and after, each time of a new process. What the kernel
keeps for a socket is in nobody's memory and does not count. Needs Linux's /proc.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from contenders import brokers, fan_out, growth_traffic, nats_in_c
from harness.processes import TIMEOUT_S, Ready

from mycelium_fast import MyceliumClient, SocketTransport
from mycelium_fast.example_messages import Ping, TextMessage, TradeTick
from mycelium_fast.session import core

KINDS: dict[str, type[Any]] = {"TradeTick": TradeTick, "TextMessage": TextMessage}
#: Bytes of frames that wait at the first look and at the second one: what there is once for all cancels out,
#: and what sockets hold. (nats-server has several MiB to spare. A bridge keeps 16 MiB for each subscriber.)
IN_PROGRAM = 1 << 20, 4 << 20
IN_BROKER = 4 << 20, 14 << 20
#: Of a TCP socket whose reader stalls: it would grow to several MiB.
_RECEIVE_BUFFER = 64 << 10
#: Messages that are sent at once.
_BLOCK = 1000


def message(kind: str, number: int) -> Any:
    """One of these, numbered, its texts filled."""
    if kind == "TradeTick":
        return TradeTick(price=number, size=fan_out.SIZE)
    return TextMessage(sender=fan_out.SENDER, content=fan_out.CONTENT, timestamp=number)


def frame_size(kind: str) -> int:
    return len(message(kind, 0).to_frame())


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _for_each(kind: str, pid: int, waiting: tuple[int, int], put: Callable[[range], object]) -> float:
    """Bytes that each message takes, once `put` has made those of the range wait."""
    first, last = (size // frame_size(kind) for size in waiting)
    put(range(first))
    before = resident(pid)
    put(range(first, last))
    return (resident(pid) - before) / (last - first)


def _all(kind: str, waiting: tuple[int, int]) -> range:
    return range(waiting[1] // frame_size(kind))


def _blocks(numbers: range, each: Callable[[int], bytes]) -> Iterator[bytes]:
    """The bytes of all messages, some at a time, so that they take no memory worth mentioning."""
    for begin in range(0, len(numbers), _BLOCK):
        yield b"".join(each(number) for number in numbers[begin : begin + _BLOCK])


# --- messages that wait in a program: called in a process of its own ----------------------------------------


def wait_blocking(_ready: Ready, kind: str, _directory: str) -> float:
    """In the queue of a blocking subscriber, while the program waits for another message."""
    ours, theirs = socket.socketpair()
    with theirs, SocketTransport(ours, handshake=False) as transport:
        waiting = transport.subscriber(KINDS[kind], capacity=len(_all(kind, IN_PROGRAM)))
        marks = transport.subscriber(Ping)

        def put(numbers: range) -> None:
            thread = threading.Thread(target=_send, args=(theirs, kind, numbers))
            thread.start()
            marks.recv(TIMEOUT_S)
            thread.join()

        each = _for_each(kind, os.getpid(), IN_PROGRAM, put)
        _expect_all(kind, (waiting.recv_nowait() for _ in _all(kind, IN_PROGRAM)))
        return each


def wait_asyncio(_ready: Ready, kind: str, directory: str) -> float:
    """In the queue of a subscriber of MyceliumClient."""

    async def main(path: str, listener: socket.socket) -> float:
        running = asyncio.get_running_loop()
        async with MyceliumClient(f"unix:{path}", handshake=False) as client:
            waiting = client.subscriber(KINDS[kind], capacity=len(_all(kind, IN_PROGRAM)))
            marks = client.subscriber(Ping)
            with listener.accept()[0] as theirs:

                def put(numbers: range) -> None:
                    _send(theirs, kind, numbers)
                    asyncio.run_coroutine_threadsafe(marks.recv(), running).result(TIMEOUT_S)

                each = await asyncio.to_thread(_for_each, kind, os.getpid(), IN_PROGRAM, put)
            _expect_all(kind, [await waiting.recv() for _ in _all(kind, IN_PROGRAM)])
            return each

    path = f"{directory}/asyncio.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(TIMEOUT_S)
        listener.bind(path)
        listener.listen()
        return asyncio.run(main(path, listener))


def wait_deque(_ready: Ready, kind: str, _directory: str) -> float:
    """msgspec structs in a deque, which is what asyncio.Queue keeps."""
    import msgspec

    fields = [(name, type(value)) for name, value in message(kind, 0).to_dict().items()]
    struct_class = msgspec.defstruct(kind, fields, array_like=True, gc=False)
    encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(struct_class)
    waiting: collections.deque[Any] = collections.deque()

    def put(numbers: range) -> None:
        for number in numbers:
            waiting.append(decoder.decode(encoder.encode(struct_class(**message(kind, number).to_dict()))))

    each = _for_each(kind, os.getpid(), IN_PROGRAM, put)
    _expect_all(kind, (KINDS[kind](*msgspec.structs.astuple(one)) for one in waiting))
    return each


def wait_zmq(_ready: Ready, kind: str, _directory: str) -> float:
    """Frames between two sockets of pyzmq in one process."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        for each_socket in (push, pull):
            each_socket.set_hwm(0)  # no limit
        pull.bind("inproc://waiting")
        push.connect("inproc://waiting")

        def put(numbers: range) -> None:
            for number in numbers:
                push.send(message(kind, number).to_frame())

        each = _for_each(kind, os.getpid(), IN_PROGRAM, put)
        _expect_all(kind, (KINDS[kind].from_bytes(pull.recv()[6:]) for _ in _all(kind, IN_PROGRAM)))
        return each


def _send(sock: socket.socket, kind: str, numbers: range) -> None:
    """Frames of these, and one of another type when all are sent."""
    for block in _blocks(numbers, lambda number: message(kind, number).to_frame()):
        sock.sendall(block)
    sock.sendall(Ping(value="sent").to_frame())


def _expect_all(kind: str, received: Any) -> None:
    for number, one in zip(_all(kind, IN_PROGRAM), received, strict=True):
        if one != message(kind, number):
            raise RuntimeError(f"{one} came as number {number}")


# --- messages that wait in a broker -------------------------------------------------------------------------


def wait_in_bridge(kind: str) -> float:
    """For a subscriber that does not read."""
    type_id = KINDS[kind].TYPE_ID

    def frame(number: int) -> bytes:
        frame: bytes = message(kind, number).to_frame()
        return frame

    with (
        _bridge() as address,
        fan_out.join(address) as publisher,
        fan_out.join(address, [type_id]) as stalled,
    ):

        def put(numbers: range) -> None:
            for block in _blocks(numbers, frame):
                publisher.sendall(block)
            publisher.sendall(core.Ping(1).to_frame())  # answered when all before it is passed on
            growth_traffic.expect_frame(publisher, core.Pong)

        each = _for_each(kind, _pid(stalled), IN_BROKER, put)
        for block in _blocks(_all(kind, IN_BROKER), frame):
            if fan_out.read_exactly(stalled, len(block)) != block:
                raise RuntimeError("other frames came than were sent")
        return each


def wait_in_nats(kind: str, program: str) -> float:
    begin = b"%s %d\r\n" % (nats_in_c.SUBJECT, KINDS[kind].SIZE)

    def published(number: int) -> bytes:
        return b"PUB %s%s\r\n" % (begin, message(kind, number).to_bytes())

    with (
        _nats(program) as (address, pid),
        nats_in_c.join(address) as publisher,
        nats_in_c.join(address, nats_in_c.SUBJECT, receive_buffer=_RECEIVE_BUFFER) as stalled,
        publisher.makefile("rb") as answers,
        stalled.makefile("rb") as delivered,
    ):

        def put(numbers: range) -> None:
            for block in _blocks(numbers, published):
                publisher.sendall(block)
            publisher.sendall(b"PING\r\n")  # answered when all before it is passed on
            while (line := answers.readline()) != b"PONG\r\n":
                if line != b"PING\r\n":
                    raise RuntimeError(f"nats-server said {line!r}")

        each = _for_each(kind, pid, IN_BROKER, put)
        for number in _all(kind, IN_BROKER):
            while (line := delivered.readline()) == b"PING\r\n":
                pass
            payload = delivered.read(KINDS[kind].SIZE + 2)
            if not line.startswith(b"MSG ") or payload != message(kind, number).to_bytes() + b"\r\n":
                raise RuntimeError(f"{line!r} and {payload!r} came as number {number}")
        return each


# --- connections --------------------------------------------------------------------------------------------


def connections_of_bridge(count: int) -> float:
    """Bytes for each of so many that are negotiated and have subscribed to a type."""
    with _bridge() as address:
        return _connected(count, lambda: fan_out.join(address, [TradeTick.TYPE_ID]))


def connections_of_nats(count: int, program: str) -> float:
    with _nats(program) as (address, pid):
        return _connected(count, lambda: nats_in_c.join(address, nats_in_c.SUBJECT), pid)


def _connected(count: int, connect: Callable[[], socket.socket], pid: int = 0) -> float:
    """What each connection takes, beyond some that are there before."""
    with contextlib.ExitStack() as stack:
        some = [stack.enter_context(connect()) for _ in range(10)]
        pid = pid or _pid(some[0])
        before = resident(pid)
        for _ in range(count):
            stack.enter_context(connect())
        return (resident(pid) - before) / count


# --- brokers that are new -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _bridge() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="mycelium-") as directory,
        brokers.bridge(Path(directory)) as (address, _),
    ):
        yield address


@contextlib.contextmanager
def _nats(program: str) -> Iterator[tuple[str, int]]:
    """Its address and process."""
    with (
        tempfile.TemporaryDirectory(prefix="mycelium-") as directory,
        brokers.nats(Path(directory), program) as address,
    ):
        (ports,) = Path(directory).glob("nats-server_*.ports")
        yield address, int(ports.stem.rpartition("_")[2])


def _pid(sock: socket.socket) -> int:
    """Who listens at the other end of a Unix socket."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
