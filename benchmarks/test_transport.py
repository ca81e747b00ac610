"""Messages from one process to another through the public API, beside pyzmq, a plain Python SDK and C.

Ours builds a message with keywords, publishes it alone, and reads every field of it in the other process;
pyzmq moves ready bytes, one message a call.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import one_way
import pytest
from measure import Timed
from one_way import Round
from processes import Process, connect, pair

from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import TradeTick

MANY = 10_000
ROUNDS = 9
ROUND_S = 0.2


@pytest.fixture(scope="module")
def processes() -> Iterator[tuple[Process, Process]]:
    with pair() as both:
        yield both


@pytest.mark.parametrize("profile", ["balanced", "throughput"])
@pytest.mark.parametrize("kind", ["tick", "text"])
def test_one_way(
    compare: Any, processes: tuple[Process, Process], library: Path, tmp_path: Path, kind: str, profile: str
) -> None:
    path = tmp_path / "one.sock"

    def contender(sending: tuple[Any, ...], receiving: tuple[Any, ...]) -> Round:
        return Round(processes, path, (sending[0], kind, *sending[1:]), (receiving[0], kind))

    contenders: dict[str, Timed] = {
        f"ours, {profile}": contender((one_way.send_ours, profile), (one_way.receive_ours,)),
        "field by field": contender((one_way.send_fields,), (one_way.receive_fields,)),
        "C blocks to lists": contender((one_way.send_blocks, library), (one_way.receive_lists,)),
    }
    if importlib.util.find_spec("zmq"):
        contenders["pyzmq PUSH/PULL"] = contender((one_way.send_zmq,), (one_way.receive_zmq,))
    else:
        print("pyzmq is not installed: left out")
    for each in contenders.values():
        each(10_000, check=True)  # type: ignore[call-arg]
    compare.timed(
        contenders,
        wanted={"pyzmq PUSH/PULL": 4, "field by field": 40, "C blocks to lists": 1 / 6},
        rounds=ROUNDS,
        round_s=ROUND_S,
    )


def test_publish_many(
    compare: Any, processes: tuple[Process, Process], library: Path, tmp_path: Path
) -> None:
    """A list of messages, against a copy of their bytes into blocks and one send for each block.

    It is the CPU time of the sending thread, the kernel's included: the peer reads as fast as C can on the
    other CPUs, and how long it makes us wait is not ours.
    """
    path = str(tmp_path / "many.sock")
    ticks = [TradeTick(price=number, size=number) for number in range(MANY)]
    frames = memoryview(TradeTick.encode_batch(ticks))
    block = memoryview(bytearray(65_536))

    def drained(peer: Process) -> None:
        peer.start(one_way.drain, path, library)
        peer.wait_ready()

    def ours(turns: int) -> float:
        drained(processes[1])
        with UnixTransport(path, handshake=False) as transport:
            publisher = transport.publisher(TradeTick)
            start = time.thread_time_ns()
            for _ in range(turns):
                publisher.publish_many(ticks)
            publisher.flush()
            elapsed = time.thread_time_ns() - start
        one_way.expect(processes[1].result(), turns * len(frames))
        return elapsed

    def copied(turns: int) -> float:
        drained(processes[1])
        with connect(path) as sock:
            send = sock.sendall
            start = time.thread_time_ns()
            for _ in range(turns):
                for offset in range(0, len(frames), len(block)):
                    piece = frames[offset : offset + len(block)]
                    block[: len(piece)] = piece
                    send(block[: len(piece)])
            elapsed = time.thread_time_ns() - start
        one_way.expect(processes[1].result(), turns * len(frames))
        return elapsed

    compare.timed(
        {"ours, a message": ours, "copy and send": copied},
        per=MANY,
        beyond={"copy and send": 5},
        rounds=15,
        round_s=0.05,
    )
