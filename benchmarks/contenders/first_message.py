"""The first message of a program that is only just started: what it runs, and who waits for its message here.

Each contender is a context manager that has a subscriber ready and gives a function: this starts the program,
takes the message, checks it, and gives the nanoseconds in between. A broker, where there is one, has been
running long since.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from contenders.whole_process import started
from harness.processes import TIMEOUT_S

from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick

#: Starts a program and takes its message.
First = Callable[[], int]

MESSAGE = TradeTick(price=101_500, size=2_500)

_OURS = """
import sys
from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick
with UnixTransport(sys.argv[1], SCHEMA_DIGEST) as transport:
    transport.publisher(TradeTick).publish(TradeTick(price=101_500, size=2_500))
"""

_SOCKET = """
import socket, struct, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    sock.sendall(struct.pack("<HIQQ", 1200, 16, 101_500, 2_500))
"""

_ZMQ = """
import struct, sys, zmq
with zmq.Context() as context, context.socket(zmq.PUSH) as push:
    push.connect(sys.argv[1])
    push.send(struct.pack("<QQ", 101_500, 2_500))
"""

_NATS = """
import asyncio, nats, struct, sys
async def main():
    connection = await nats.connect(sys.argv[1])
    await connection.publish("t", struct.pack("<QQ", 101_500, 2_500))
    await connection.close()
asyncio.run(main())
"""

_ZENOH = """
import json, struct, sys, threading, zenoh
config = zenoh.Config()
for key, value in json.loads(sys.argv[1]).items():
    config.insert_json5(key, json.dumps(value))
found = threading.Event()
with zenoh.open(config) as session:
    publisher = session.declare_publisher("t", express=True)
    publisher.declare_matching_listener(lambda status: found.set() if status.matching else None)
    found.wait(60)
    publisher.put(struct.pack("<QQ", 101_500, 2_500))
"""


@contextlib.contextmanager
def ours(folder: Path, path: str) -> Iterator[First]:
    """Through a bridge: connect, be welcomed, publish."""
    with UnixTransport(path, SCHEMA_DIGEST) as transport:
        subscriber = transport.subscriber(TradeTick)
        yield _first(_OURS, path, folder, lambda: subscriber.recv(timeout=TIMEOUT_S).to_bytes())


@contextlib.contextmanager
def bare_socket(folder: Path) -> Iterator[First]:
    """Nothing but the standard library's `socket`, and nothing in between."""
    path = folder / "first.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(TIMEOUT_S)

        def take() -> bytes:
            sock, _ = listener.accept()
            with sock:
                return sock.recv(100)[6:]

        yield _first(_SOCKET, str(path), folder, take)


@contextlib.contextmanager
def zmq(folder: Path) -> Iterator[First]:
    """PUSH to a PULL socket, nothing in between."""
    import zmq

    address = f"ipc://{folder / 'first.zmq'}"
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        pull.setsockopt(zmq.RCVTIMEO, int(TIMEOUT_S * 1000))
        pull.bind(address)
        yield _first(_ZMQ, address, folder, pull.recv)


@contextlib.contextmanager
def nats(folder: Path, address: str) -> Iterator[First]:
    """Through nats-server, over TCP."""
    import nats

    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(nats.connect(address))
    try:
        subscription = loop.run_until_complete(connection.subscribe("t"))
        loop.run_until_complete(connection.flush())

        def take() -> bytes:
            payload: bytes = loop.run_until_complete(subscription.next_msg(TIMEOUT_S)).data
            return payload

        yield _first(_NATS, address, folder, take)
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


@contextlib.contextmanager
def zenoh(folder: Path) -> Iterator[First]:
    """A peer that connects to ours, with nothing in between, and nothing that looks for others."""
    import zenoh

    endpoint = [f"unixsock-stream/{folder / 'first.zenoh'}"]
    settings = {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "scouting/delay": 0,
    }
    config = zenoh.Config()
    for key, value in {**settings, "listen/endpoints": endpoint}.items():
        config.insert_json5(key, json.dumps(value))
    theirs = json.dumps({**settings, "listen/endpoints": [], "connect/endpoints": endpoint})
    came = threading.Event()
    payload = b""

    def on_sample(sample: zenoh.Sample) -> None:
        nonlocal payload
        payload = sample.payload.to_bytes()
        came.set()

    def take() -> bytes:
        if not came.wait(TIMEOUT_S):
            raise TimeoutError("zenoh's message did not come")
        came.clear()
        return payload

    with zenoh.open(config) as session:
        session.declare_subscriber("t", on_sample)
        yield _first(_ZENOH, theirs, folder, take)


def _first(program: str, argument: str, folder: Path, take: Callable[[], bytes]) -> First:
    command = [sys.executable, "-c", program, argument]

    def first() -> int:
        start = time.perf_counter_ns()
        with started(command, folder) as process:
            payload = take()
            taken = time.perf_counter_ns() - start
            if process.wait(TIMEOUT_S) != 0:
                raise RuntimeError(f"a publisher ended with {process.returncode}")
        if payload != MESSAGE.to_bytes():
            raise RuntimeError(f"{payload!r} came, expected {MESSAGE.to_bytes()!r}")
        return taken

    return first
