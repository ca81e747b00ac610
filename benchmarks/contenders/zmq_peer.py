"""pyzmq as a contender: ready bytes, one message a call, which is what its sockets are for.

libzmq gathers messages into writes by itself, on a thread of its own in each process. A higher high-water
mark than the default gains nothing between two processes; PAIR is no slower than REQ and REP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from contenders.meeting import HOST, is_tcp, leave_port, port
from contenders.one_way import FRAMES, expect
from contenders.round_trip import END, FRAME, sampled
from harness.processes import Ready

if TYPE_CHECKING:
    import zmq


def send(ready: Ready, place: str, count: int, kind: str) -> int:
    return send_frames(ready, place, count, FRAMES[kind])


def send_frames(_ready: Ready, place: str, count: int, frame: bytes) -> int:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.IMMEDIATE, 1)
        push.setsockopt(zmq.RECONNECT_IVL, -1)
        gone = push.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        push.connect(_address(place))
        push.send(b"connected")  # waits until it is, so that connecting is no part of the time
        start = monotonic_ns()
        for _ in range(count):
            push.send(frame)
        # Whoever closes first may lose what the other has not read yet.
        gone.recv_multipart()
        push.disable_monitor()
    return start


def receive(ready: Ready, place: str, count: int, check: bool, kind: str) -> int:
    return receive_frames(ready, place, count, check, FRAMES[kind])


def receive_frames(ready: Ready, place: str, count: int, check: bool, frame: bytes) -> int:
    import zmq

    last = b""
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        _bind(pull, place)
        ready()
        pull.recv()
        if check:
            for _ in range(count):
                last = pull.recv()
                expect(last, frame)
        else:
            for _ in range(count):
                last = pull.recv()
        end = monotonic_ns()
    expect(last, frame)
    return end


def ask(_ready: Ready, place: str, samples: int) -> list[float]:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PAIR) as pair:
        pair.connect(_address(place))

        def trips(count: int) -> None:
            for _ in range(count):
                pair.send(FRAME)
                if pair.recv() != FRAME:
                    raise RuntimeError("other bytes came back")

        times = sampled(trips, samples)
        pair.send(END.to_frame())
    return times


def answer(ready: Ready, place: str) -> None:
    import zmq

    end = END.to_frame()
    with zmq.Context() as context, context.socket(zmq.PAIR) as pair:
        _bind(pair, place)
        ready()
        while (frame := pair.recv()) != end:
            pair.send(frame)


@contextlib.contextmanager
def inproc() -> Iterator[tuple[zmq.Socket[Any], zmq.Socket[Any]]]:
    """Two ends within this process."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        one.bind("inproc://messages")
        other.connect("inproc://messages")
        yield one, other


def _bind(socket: zmq.Socket[Any], place: str) -> None:
    if is_tcp(place):
        leave_port(place, socket.bind_to_random_port(f"tcp://{HOST}"))
    else:
        socket.bind(f"ipc://{place}")


def _address(place: str) -> str:
    return f"tcp://{HOST}:{port(place)}" if is_tcp(place) else f"ipc://{place}"
