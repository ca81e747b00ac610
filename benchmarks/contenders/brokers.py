"""The bridge and the brokers that it is measured beside: processes that serve while a benchmark runs.

Each is given what it does best with: nats-server memory for what readers have not taken, the ZeroMQ proxy
Unix sockets and senders that wait. Who talks to them is `fan_out.py`'s, `nats_in_c.py`'s and `zmq_in_c.py`'s.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from contenders import limits
from harness.processes import ended

CONTRACTS = Path(__file__).parent.parent.parent / "contracts.yaml"
#: Seconds in which a broker has to be ready.
START_S = 20.0
#: Messages that may wait in a ZeroMQ socket before its sender waits. (A thousand, the default, is slower.)
HIGH_WATER = 100_000
#: Bytes that the system may hold for each peer of the broker in C.
SEND_BUFFER = 1 << 20


@contextlib.contextmanager
def bridge(
    directory: Path,
    contracts: Path = CONTRACTS,
    *,
    slow_consumer: str = "block",
    max_output: int | None = None,
    cpus: Sequence[int] = (),
) -> Iterator[list[str]]:
    """`mycelium bridge`; gives its addresses, Unix and TCP.

    It holds publishers up rather than leave anything out, unless told otherwise.
    """
    command = [sys.executable, "-m", "mycelium_fast", "bridge", "--slow-consumer", slow_consumer]
    command += ["--unix", str(directory / "bridge.sock"), "--tcp", "127.0.0.1:0"]
    command += ["--contracts", str(contracts.absolute())]
    if max_output is not None:
        command += ["--max-output", str(max_output)]
    with (directory / "bridge.log").open("w") as log, _kept_to(cpus):
        # (Not in a checkout, whose sources would be imported.)
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True)
    with ended(process):
        assert process.stdout is not None
        with process.stdout as announced:
            patience = threading.Timer(START_S, process.kill)
            patience.start()
            lines = [announced.readline().strip() for _ in range(2)]
            patience.cancel()
            if not all(line.startswith("listening on ") for line in lines):
                raise RuntimeError(f"the bridge did not start:\n{(directory / 'bridge.log').read_text()}")
            yield [line.removeprefix("listening on ") for line in lines]


@contextlib.contextmanager
def nats(
    directory: Path,
    program: str,
    *,
    max_pending: int = 256 << 20,
    write_deadline: str = "60s",
    cpus: Sequence[int] = (),
) -> Iterator[str]:
    """nats-server on TCP, all that it has; gives its address.

    A reader for whom more than `max_pending` bytes wait is disconnected, or a write to whom takes so long.
    """
    config = directory / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:-1"\nports_file_dir: "{directory}"\n'
        f'max_pending: {max_pending}\nwrite_deadline: "{write_deadline}"\nping_interval: "10m"\n'
    )
    with (directory / "nats.log").open("w") as log, _kept_to(cpus):
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    with ended(process):
        ports = directory / f"nats-server_{process.pid}.ports"
        deadline = time.monotonic() + START_S
        while not ports.exists() or not ports.read_text():  # it has no other way to tell its port
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nats-server did not start:\n{(directory / 'nats.log').read_text()}")
            time.sleep(0.01)
        yield json.loads(ports.read_text())["nats"][0].replace("nats://", "tcp://")


@contextlib.contextmanager
def zmq(directory: Path) -> Iterator[tuple[str, str]]:
    """`zmq.proxy()` between an XSUB and an XPUB socket; gives the addresses of publishers and subscribers."""
    addresses = f"ipc://{directory / 'zmq.in'}", f"ipc://{directory / 'zmq.out'}"
    with _serving(_proxy, *addresses):
        yield addresses


@contextlib.contextmanager
def to_each(directory: Path, library: Path, *, tcp: bool = False) -> Iterator[str]:
    """`to_each.c`, a C program that writes what a publisher sends to each subscriber; gives its address."""
    if tcp:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    else:
        path = str(directory / "to_each.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        address = f"unix:{path}"
    with listener, _serving(_to_each, listener, library, 0 if tcp else SEND_BUFFER):
        yield address


@contextlib.contextmanager
def relay(directory: Path, library: Path, *, cpus: Sequence[int] = ()) -> Iterator[Path]:
    """A C program between two peers, of whom the second one to connect speaks first; gives its path."""
    path = directory / "relay.sock"
    with _serving(_relay, path, library, cpus=cpus):
        yield path


def _proxy(started: Any, inward: str, outward: str) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.XSUB) as xsub, context.socket(zmq.XPUB) as xpub:
        for each in (xsub, xpub):
            each.set_hwm(HIGH_WATER)
        xpub.setsockopt(zmq.XPUB_NODROP, 1)
        xsub.bind(inward)
        xpub.bind(outward)
        started.set()
        zmq.proxy(xsub, xpub)


def _to_each(started: Any, listener: socket.socket, library: Path, buffer: int) -> None:
    started.set()
    serve = ctypes.CDLL(str(library)).to_each
    serve.restype = ctypes.c_int64
    limits.checked(serve(listener.fileno(), buffer))


def _relay(started: Any, path: Path, library: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        started.set()
        while True:
            answering, _ = listener.accept()
            asking, _ = listener.accept()
            with asking, answering:
                limits.relay(library, asking, answering)


@contextlib.contextmanager
def _serving(function: Callable[..., None], *args: Any, cpus: Sequence[int] = ()) -> Iterator[None]:
    """A process that calls the function, which sets an event when it serves, for as long as we want it."""
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=function, args=(started, *args), daemon=True)
    with _kept_to(cpus):
        process.start()
    try:
        if not started.wait(START_S):
            raise RuntimeError(f"a broker did not start: {function.__name__.removeprefix('_')}")
        yield
    finally:
        process.terminate()
        process.join()


@contextlib.contextmanager
def _kept_to(cpus: Sequence[int]) -> Iterator[None]:
    """What is started meanwhile runs on these CPUs; on all of ours where there are none named."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
