"""The brokers that the bridge is measured beside, each a process of its own for as long as a benchmark runs.

Each is given what it does best with: nats-server memory for what readers have not taken, the ZeroMQ proxy
Unix sockets and senders that wait. Who talks to them is `fan_out.py`'s.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import limits

CONTRACTS = Path(__file__).parent.parent / "contracts.yaml"
#: Seconds in which a broker has to be ready.
START_S = 20.0
#: Messages that may wait in a ZeroMQ socket before its sender waits. (A thousand, the default, is slower.)
HIGH_WATER = 100_000
#: Where Debian puts it, which is not on everybody's path.
_SYSTEM = "/usr/sbin:/usr/local/sbin"


@contextlib.contextmanager
def bridge(directory: Path, contracts: Path = CONTRACTS, *, cpus: Sequence[int] = ()) -> Iterator[list[str]]:
    """`mycelium bridge`, which holds publishers up rather than leave anything out; gives its addresses."""
    command = [sys.executable, "-m", "mycelium_fast", "bridge", "--slow-consumer", "block"]
    command += [
        "--unix",
        str(directory / "bridge.sock"),
        "--tcp",
        "127.0.0.1:0",
        "--contracts",
        str(contracts.absolute()),
    ]
    with (directory / "bridge.log").open("w") as log, _kept_to(cpus):
        # (Not in a checkout, whose sources would be imported.)
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True)
    with _ended(process):
        assert process.stdout is not None
        with process.stdout as announced:
            lines = [announced.readline().strip() for _ in range(2)]
            if not all(line.startswith("listening on ") for line in lines):
                raise RuntimeError(f"the bridge did not start:\n{(directory / 'bridge.log').read_text()}")
            yield [line.removeprefix("listening on ") for line in lines]


def find_nats() -> str | None:
    """Where nats-server is, if it is."""
    return shutil.which("nats-server") or shutil.which("nats-server", path=_SYSTEM)


@contextlib.contextmanager
def nats(directory: Path, program: str) -> Iterator[str]:
    """nats-server on TCP, all that it has; gives its address."""
    config = directory / "nats.conf"
    # By default a reader that is 64 MiB behind is disconnected.
    config.write_text(
        f'listen: "127.0.0.1:-1"\nports_file_dir: "{directory}"\nmax_pending: 256MB\nwrite_deadline: "60s"\n'
    )
    with (directory / "nats.log").open("w") as log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    with _ended(process):
        ports = directory / f"nats-server_{process.pid}.ports"
        deadline = time.monotonic() + START_S
        while not ports.exists() or not ports.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nats-server did not start:\n{(directory / 'nats.log').read_text()}")
            time.sleep(0.01)
        yield json.loads(ports.read_text())["nats"][0].replace("nats://", "tcp://")


def find_zmq() -> bool:
    """Whether pyzmq is installed."""
    return importlib.util.find_spec("zmq") is not None


@contextlib.contextmanager
def zmq(directory: Path) -> Iterator[tuple[str, str]]:
    """`zmq.proxy()` between an XSUB and an XPUB socket; gives the addresses of publishers and subscribers."""
    addresses = f"ipc://{directory / 'zmq.in'}", f"ipc://{directory / 'zmq.out'}"
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_proxy, args=(*addresses, started), daemon=True)
    process.start()
    try:
        if not started.wait(START_S):
            raise RuntimeError("the ZeroMQ proxy did not start")
        yield addresses
    finally:
        process.terminate()
        process.join()


def _proxy(inward: str, outward: str, started: Any) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.XSUB) as xsub, context.socket(zmq.XPUB) as xpub:
        for each in (xsub, xpub):
            each.set_hwm(HIGH_WATER)
        xpub.setsockopt(zmq.XPUB_NODROP, 1)
        xsub.bind(inward)
        xpub.bind(outward)
        started.set()
        zmq.proxy(xsub, xpub)


@contextlib.contextmanager
def relay(directory: Path, library: Path, *, cpus: Sequence[int] = ()) -> Iterator[Path]:
    """A C program between two peers, of whom the second one to connect speaks first; gives its path."""
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    path = directory / "relay.sock"
    process = context.Process(target=_relay, args=(path, library, started), daemon=True)
    with _kept_to(cpus):
        process.start()
    try:
        if not started.wait(START_S):
            raise RuntimeError("the relay did not start")
        yield path
    finally:
        process.terminate()
        process.join()


def _relay(path: Path, library: Path, started: Any) -> None:
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
def _ended(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
