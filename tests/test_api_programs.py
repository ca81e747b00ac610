"""The programs that users are shown run word for word, each in a process of its own, against real bridges.

Their text is in `data/programs.md`. What they do not define (`ticks`, `order`, `ssl_context`, the imports of
messages) stands before them; the path or port of a bridge is that of the test's, and nothing else is changed.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from bridges import CONTRACTS, Bridge, bridge

from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, Order, Ping, Pong, TradeSignal, TradeTick

PROGRAMS = Path(__file__).parent / "data" / "programs.md"

#: (All peers here send a Welcome: one that the machine holds up for 0.2 s is not to be told of.)
BEFORE = """
import functools, pathlib, ssl
from mycelium_fast import MessageBus
from mycelium_fast.bus.settings import Settings
Settings.__init__ = functools.partialmethod(Settings.__init__, handshake_grace=20)
from trading.messages import SCHEMA_DIGEST, Order, TradeSignal, TradeTick
ticks = [TradeTick(price, 1) for price in range(100)]
order = Order(1, 2, "ETH", True, 3, 4, 5)
ssl_context = ssl.create_default_context()
"""

#: Runs a program, and says when a loop of it has got its first item: names are its variables.
FLAT = """
class Watched(dict):
    def __setitem__(self, name, value):
        if name not in self and name in ("tick", "signal"):
            print("first", name, flush=True)
        super().__setitem__(name, value)

names = Watched(globals())
exec(compile(pathlib.Path("program.py").read_text(), "program.py", "exec"), {}, names)
"""

#: The same for the one whose variables are those of a coroutine function. Nothing ends its loop but closing
#: the client, which connects again when the bridge goes away.
COROUTINE = """
import asyncio
exec(compile(pathlib.Path("program.py").read_text(), "program.py", "exec"))

async def run():
    task = asyncio.ensure_future(main())
    while "tick" not in task.get_coro().cr_frame.f_locals:
        await asyncio.sleep(0.01)
    print("first tick", flush=True)
    await task.get_coro().cr_frame.f_locals["client"].close()
    await task

asyncio.run(run())
"""


def program(title: str) -> str:
    """The indented block under a heading."""
    section = re.search(rf"^## {title}\n\n((?:    .*\n|\n)+)", PROGRAMS.read_text(), re.MULTILINE)
    assert section is not None
    return "".join(line[4:] or "\n" for line in section[1].splitlines(keepends=True))


@contextlib.contextmanager
def running(directory: Path, text: str, before: str, runner: str) -> Iterator[subprocess.Popen[str]]:
    """A child that runs a program, and has to end well."""
    (directory / "program.py").write_text(text)
    (directory / "trading").mkdir()
    (directory / "trading" / "messages.py").write_text("from mycelium_fast.example_messages import *\n")
    child = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", BEFORE + before + runner],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
        _, errors = child.communicate(timeout=20)
        assert (child.returncode, errors) == (0, "")
    finally:
        child.kill()
        child.communicate()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


@contextlib.contextmanager
def feeding(path: Path, *batches: list[object]) -> Iterator[None]:
    """Publish lists of messages again and again."""
    stop = threading.Event()
    with UnixTransport(path, SCHEMA_DIGEST, echo=False) as transport:
        publishers = [transport.publisher(type(batch[0])) for batch in batches]

        def feed() -> None:
            while not stop.wait(0.01):
                for publisher, batch in zip(publishers, batches, strict=True):
                    publisher.publish_many(batch)
                    publisher.flush()

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def test_the_blocking_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    text = program("Blocking").replace("/run/mycelium/bus.sock", str(path))
    ticks = [TradeTick(price, 1) for price in range(100)]
    after = "print(names['subscriber'].dropped)"
    with bridge(path) as running_bridge, UnixTransport(path, SCHEMA_DIGEST) as transport:
        published = transport.subscriber(TradeTick)
        with running(tmp_path, text, "", FLAT + after) as child:
            assert [published.recv(20) for _ in range(101)] == [TradeTick(101_500, 2_500), *ticks]
            with feeding(path, [TradeTick(7, 7)] * 100):
                assert line(child) == "first tick\n"
            running_bridge.close()
            assert line(child) == "0\n"


def test_the_asyncio_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with (
        bridge(path, "--tcp", "localhost:0") as running_bridge,
        UnixTransport(path, SCHEMA_DIGEST) as transport,
        transport.subscriber(Ping) as pings,
    ):
        text = program("asyncio").replace("localhost:7777", f"localhost:{running_bridge.tcp_port}")
        with running(tmp_path, text, "", COROUTINE) as child:
            ping = pings.recv(20)
            assert ping.value == "hello from python"
            transport.publisher(Pong).publish(Pong(ping.value))
            transport.publisher(Pong).flush()
            assert line(child) == "Received Pong: hello from python\n"
            with feeding(path, [TradeTick(7, 7)] * 100):
                assert line(child) == "first tick\n"


SIGNAL = TradeSignal(1, "ETH", True, 0.5, 2, 3)
LOCAL = """
execution = MessageBus.from_topology("topology.toml", "execution", SCHEMA_DIGEST)
orders = execution.subscriber(Order)
"""
AFTER_LOCAL = """
assert orders.recv(20) == order
execution.close()
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("way", ["in-process", "unix", "tcp"])
def test_the_program_by_topology_runs(tmp_path: Path, way: str) -> None:
    port = free_port()
    node = '[[nodes]]\nname = "{}"\nservices = {}\n'
    if way == "in-process":
        nodes = node.format("own", '["risk", "execution"]')
    else:
        nodes = node.format("own", '["risk"]') + node.format("other", '["execution"]')
    if way == "tcp":  # names that differ are different hosts, so that one machine does
        nodes = nodes.replace("[[nodes]]\n", '[[nodes]]\nhost = "here.example"\nport = 1\n', 1)
        nodes += f'host = "127.0.0.1"\nport = {port}\n'
    (tmp_path / "topology.toml").write_text(f'socket_dir = "{tmp_path}"\n{nodes}')
    local = way == "in-process"
    runner = FLAT + AFTER_LOCAL if local else FLAT
    closing = "\nnames['bus'].close()\n"
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(bridge(tmp_path / "own.sock"))
        if not local:
            other: Bridge = stack.enter_context(
                bridge(tmp_path / "other.sock", *(["--tcp", f"127.0.0.1:{port}"] if way == "tcp" else []))
            )
            assert other.address
            transport = stack.enter_context(UnixTransport(tmp_path / "other.sock", SCHEMA_DIGEST))
            orders = stack.enter_context(transport.subscriber(Order))
        child = stack.enter_context(
            running(tmp_path, program("By topology"), LOCAL if local else "", runner + closing)
        )
        if not local:
            assert orders.recv(20) == Order(1, 2, "ETH", True, 3, 4, 5)
        with feeding(tmp_path / "own.sock", [SIGNAL]):
            assert line(child) == "first signal\n"
        own.close()


MOMENTUM = """
from mycelium_fast.example_messages import TradeSignal, TradeTick

async def main(client):
    async for tick in client.subscriber(TradeTick):
        await client.publish(TradeSignal(1, "ETH", True, 0.5, tick.price, tick.size))
"""


def test_the_commands_around_the_bridge_run(tmp_path: Path) -> None:
    """One bridge by options, one by topology; at each a worker, a tap and a publisher that gets an answer."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "momentum.py").write_text(MOMENTUM)
    shutil.copy(CONTRACTS, tmp_path / "contracts.yaml")
    (tmp_path / "topology.toml").write_text(
        'socket_dir = "run"\n[bridge]\ncontracts = "contracts.yaml"\n'
        '[[nodes]]\nname = "strategies"\nservices = ["momentum"]\n'
    )
    lines = re.findall(
        r"^    \$ mycelium (.*)$",
        "".join(f"    {each}\n" for each in program("The bridge").splitlines()),
        re.MULTILINE,
    )
    by_options, by_topology, worker, tap, pub = (
        shlex.split(each.replace("[TradeTick …] [--json]", "")) for each in lines
    )
    for number, options in enumerate((by_options, by_topology)):
        path = tmp_path / "run" / ("bus.sock" if number == 0 else "strategies.sock")

        def at(words: list[str], path: Path = path) -> list[str]:
            return [
                sys.executable,
                "-m",
                "mycelium_fast",
                *(w.replace("/run/mycelium/bus.sock", str(path)) for w in words),
            ]

        with contextlib.ExitStack() as stack:

            def start(words: list[str]) -> subprocess.Popen[str]:
                child = stack.enter_context(
                    subprocess.Popen(
                        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                    )
                )
                stack.callback(child.wait, 20)
                stack.callback(child.terminate)
                return child

            daemon = start(at(options))
            assert line(daemon) == f"listening on unix:{path}\n"
            with UnixTransport(path, SCHEMA_DIGEST, echo=False, handshake_grace=20) as client:
                signals = client.subscriber(TradeSignal)
                start(at(worker))
                watching = start(at([*tap, "TradeTick", "--json"]))
                signal = None
                while signal is None:  # until the worker listens
                    assert (
                        subprocess.run(at(pub), cwd=tmp_path, timeout=60, capture_output=True).returncode == 0
                    )
                    with contextlib.suppress(queue.Empty):
                        signal = signals.recv(0.5)
                assert 101_500 in signal.to_dict().values()
                with ThreadPoolExecutor(1) as pool:
                    shown = pool.submit(line, watching)
                    while not shown.done():  # until the tap listens
                        client.publisher(TradeTick).publish(TradeTick(101_500, 2_500))
                        wait([shown], 0.5)
                    seen = json.loads(shown.result())
                assert (seen["type"], seen["fields"]) == ("TradeTick", {"price": 101_500, "size": 2_500})
