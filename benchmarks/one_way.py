"""Messages from one process to another over a Unix socket, by every contender: what each side runs.

Each function is one side of one round: it connects or accepts, moves `count` messages, and returns the
moment (monotonic nanoseconds) at which it sent the first or had taken the last. The receiver checks what
came: in a timed round their number or the last one's values, with `check` every field of every message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic_ns
from typing import Any

import field_by_field
import limits
from processes import Process, Ready, accept, connect, together

from mycelium_fast import SocketTransport, UnixTransport
from mycelium_fast.example_messages import TextMessage, TradeTick

Side = Callable[..., int]

SENDER = "s" * 32
CONTENT = "c" * 256
SIZE = 2_500

OURS: dict[str, type[Any]] = {"tick": TradeTick, "text": TextMessage}
THEIRS: dict[str, type[Any]] = {"tick": field_by_field.TradeTick, "text": field_by_field.TextMessage}
FRAMES = {
    "tick": TradeTick(price=101_500, size=SIZE).to_frame(),
    "text": TextMessage(sender=SENDER, content=CONTENT, timestamp=1).to_frame(),
}


class Round:
    """One contender's round: called with a number of messages, gives the nanoseconds they took."""

    def __init__(
        self,
        processes: tuple[Process, Process],
        path: Path,
        sending: tuple[Any, ...],
        receiving: tuple[Any, ...],
    ) -> None:
        self._processes = processes
        self._path = str(path)
        self._sending = sending
        self._receiving = receiving

    def __call__(self, count: int, check: bool = False) -> float:
        sender, receiver = self._processes
        receive, *receiving = self._receiving
        send, *sending = self._sending
        end: int
        start: int
        end, start = together(
            receiver,
            (receive, self._path, count, check, *receiving),
            sender,
            (send, self._path, count, *sending),
        )
        return end - start


def send_ours(_ready: Ready, path: str, count: int, kind: str, profile: str) -> int:
    with UnixTransport(path, handshake=False, profile=profile) as transport:
        return _publish(transport.publisher(OURS[kind]), kind, OURS[kind], count)


def receive_ours(ready: Ready, path: str, count: int, check: bool, kind: str) -> int:
    with SocketTransport(accept(ready, path), handshake=False) as transport:
        return _read(transport.subscriber(OURS[kind]), kind, count, check)


def send_fields(_ready: Ready, path: str, count: int, kind: str) -> int:
    with connect(path) as sock:
        return _publish(field_by_field.Publisher(sock), kind, THEIRS[kind], count)


def receive_fields(ready: Ready, path: str, count: int, check: bool, kind: str) -> int:
    with accept(ready, path) as sock:
        return _read(field_by_field.Subscriber(sock, THEIRS[kind]), kind, count, check)


def send_blocks(_ready: Ready, path: str, count: int, kind: str, library: Path) -> int:
    with connect(path) as sock:
        start = monotonic_ns()
        limits.send(library, sock, FRAMES[kind], count)
        return start


def receive_lists(ready: Ready, path: str, count: int, _check: bool, kind: str) -> int:
    """64 KiB a read, and each read made a list of messages in one call: no Python for a message."""
    block = bytearray(65_536)
    view = memoryview(block)
    step = len(FRAMES[kind])
    decode = OURS[kind].decode_batch
    received = used = 0
    with accept(ready, path) as sock:
        while more := sock.recv_into(view[used:]):
            used += more
            whole = used - used % step
            messages = decode(view[:whole])
            received += len(messages)
            block[: used - whole] = view[whole:used]
            used -= whole
    end = monotonic_ns()
    expect(received, count)
    return end


def send_zmq(_ready: Ready, path: str, count: int, kind: str) -> int:
    import zmq

    frame = FRAMES[kind]
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.IMMEDIATE, 1)
        push.setsockopt(zmq.RECONNECT_IVL, -1)
        gone = push.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        push.connect(f"ipc://{path}")
        push.send(b"connected")  # waits until it is, so that connecting is no part of the time
        start = monotonic_ns()
        for _ in range(count):
            push.send(frame)
        # Whoever closes first may lose what the other has not read yet.
        gone.recv_multipart()
        push.disable_monitor()
    return start


def receive_zmq(ready: Ready, path: str, count: int, _check: bool, kind: str) -> int:
    import zmq

    frame = b""
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.bind(f"ipc://{path}")
        ready()
        pull.recv()
        for _ in range(count):
            frame = pull.recv()
        end = monotonic_ns()
    expect(frame, FRAMES[kind])
    return end


def drain(ready: Ready, path: str, library: Path) -> int:
    """Read to the end of the stream in C; gives the bytes."""
    with accept(ready, path) as sock:
        return limits.drain(library, sock)


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
        received = [_fields(message, kind) for message in messages]
        expect(received, [(number, *_constants(kind)) for number in range(count)])
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
        expect((timestamp, sender, content), (count - 1, SENDER, CONTENT))
        return end
    return monotonic_ns()


def _fields(message: Any, kind: str) -> tuple[Any, ...]:
    if kind == "tick":
        return message.price, message.size
    return message.timestamp, message.sender, message.content


def _constants(kind: str) -> tuple[Any, ...]:
    return (SIZE,) if kind == "tick" else (SENDER, CONTENT)


def expect(received: Any, sent: Any) -> None:
    if received != sent:
        raise RuntimeError(f"received {str(received)[:200]}, expected {str(sent)[:200]}")
