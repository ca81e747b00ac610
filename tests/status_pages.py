"""Bridges with a status page, and services on them, for the tests of that page.

    python tests/status_pages.py docs/images

makes the documentation's pictures of it again: `status-page.png` and `status-page-dark.png`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridges import CONTRACTS, GREETING, bridge, hello, raw_client, read_frame, subscribe
from browser import DARK, LIGHT, chromium

from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import (
    SCHEMA_DIGEST,
    ArbitrageSignal,
    Order,
    PoolStateUpdate,
    TradeSignal,
    TradeTick,
)
from mycelium_fast.session import core


@contextlib.contextmanager
def with_status_page(
    tmp_path: Path, *options: str, metrics: str = "127.0.0.1:0"
) -> Iterator[tuple[Path, str]]:
    """A bridge process: its socket, and the address of its status page."""
    path = tmp_path / "bus.sock"
    with bridge(
        path, "--slow-consumer", "drop", "--metrics", metrics, "--name", "trading", *options
    ) as process:
        yield path, status_page(process.process)


@contextlib.contextmanager
def from_topology(folder: Path, text: str) -> Iterator[str]:
    """The bridge of a topology file's one node; gives the address of its status page.

    The file has no `socket_dir` and no `contracts` of its own: sockets are in the folder.
    """
    topology = folder / "topology.toml"
    topology.write_text(
        f"""
socket_dir = {json.dumps(str(folder))}
[bridge]
name = "trading"
contracts = {json.dumps(str(CONTRACTS))}
[bridge.admin]
port = 0
{text}"""
    )
    command = [sys.executable, "-m", "mycelium_fast", "bridge", "--topology", str(topology)]
    log = folder / "bridge.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield status_page(process)
        except BaseException:
            print(log.read_text())
            raise
        finally:
            process.terminate()  # so that its workers end too
            process.wait(20)


def status_page(process: subprocess.Popen[str]) -> str:
    """The address that a bridge announces after those that it listens on."""
    for line in process.stdout or ():
        if line.startswith("status page at "):
            return line.removeprefix("status page at ").strip()
    raise AssertionError("the bridge announced no status page")


def join(path: Path, service: str) -> socket.socket:
    """A raw client with a name, negotiated."""
    sock = raw_client(path, GREETING + hello(service))
    while read_frame(sock)[0] != core.Welcome.TYPE_ID:
        pass  # it is a plain one until then, and gets what others publish
    return sock


def drain(sock: socket.socket, pause_s: float = 0.0) -> None:
    """Read what comes, in a thread, until the end."""

    def read() -> None:
        with contextlib.suppress(OSError):
            while sock.recv(65_536):
                time.sleep(pause_s)

    threading.Thread(target=read, daemon=True).start()


class Publisher:
    """A service that publishes at a steady rate, in a thread of its own.

    Attributes:
        sent: frames so far.
    """

    def __init__(self, path: Path, service: str, message: Any, per_s: int) -> None:
        self._transport = UnixTransport(path, SCHEMA_DIGEST, service=service)
        self._transport.connect()
        self._publisher = self._transport.publisher(type(message))
        self._message, self._per_s = message, per_s
        self._stop = threading.Event()
        self.sent, self._began = 0, time.monotonic()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def rate(self) -> float:
        """Frames a second that it sent, so far."""
        return self.sent / (time.monotonic() - self._began)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            due = int((time.monotonic() - self._began) * self._per_s) - self.sent
            if due > 0:
                self._publisher.publish_many([self._message] * due)
                self._publisher.flush()
                self.sent += due

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._transport.close()


@contextlib.contextmanager
def publishing(path: Path, service: str, message: Any = None, per_s: int = 1000) -> Iterator[Publisher]:
    publisher = Publisher(path, service, message or TradeTick(101_500, 2_500), per_s)
    try:
        yield publisher
    finally:
        publisher.close()


# The documentation's pictures

#: A service: its name, the types that it receives, the type that it publishes, and how many a second.
_SERVICE = """
import os, sys, time
from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import *
service, wanted, sends, per_s = sys.argv[1], sys.argv[2].split(","), globals()[sys.argv[3]], int(sys.argv[4])
with UnixTransport(os.environ["MYCELIUM_SOCKET"], SCHEMA_DIGEST, service=service) as transport:
    subscribers = [transport.subscriber(globals()[each], capacity=1000, overflow="latest") for each in wanted]
    publisher = transport.publisher(sends)
    message = sends.from_bytes(bytes(sends.SIZE), validate=False)
    while True:
        publisher.publish_many([message] * max(1, per_s // 50))
        publisher.flush()
        time.sleep(0.02)
"""
_TOPOLOGY = """
[bridge.buffers]
max_output = "2 MiB"
[[nodes]]
name = "strategies"
services = ["momentum", "arbitrage"]
[[workers]]
name = "momentum"
command = [{python}, {service}, "momentum", "TradeTick", "TradeSignal", "400"]
[[workers]]
name = "arbitrage"
command = [{python}, {service}, "arbitrage", "TradeTick,PoolStateUpdate", "ArbitrageSignal", "50"]
[[workers]]
name = "reports"
command = [{python}, "-c", "raise SystemExit(1)"]
backoff = 100
max_backoff = 100
"""
#: Shown instead of a temporary directory's name.
_WHERE = "node strategies \u00b7 unix:/tmp/mycelium/strategies.sock"
#: Seconds after which there is a history to show.
_HISTORY_S = 60.0


def make_pictures(directory: Path) -> None:
    """A bridge with a few services and workers, one of which fails, and a subscriber that is too slow."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder, script = Path(scratch), Path(scratch, "service.py")
        script.write_text(_SERVICE)
        text = _TOPOLOGY.format(python=json.dumps(sys.executable), service=json.dumps(str(script)))
        url = stack.enter_context(from_topology(folder, text))
        path = folder / "strategies.sock"
        risk, dashboard = (stack.enter_context(join(path, name)) for name in ("risk", "dashboard"))
        subscribe(risk, *(each.TYPE_ID for each in (TradeSignal, ArbitrageSignal, Order)))
        subscribe(dashboard, TradeTick.TYPE_ID, TradeSignal.TYPE_ID)
        drain(risk)
        drain(dashboard, pause_s=0.05)
        for name, kind, per_s in (
            ("feed.alpha", TradeTick, 60_000),
            ("feed.beta", TradeTick, 25_000),
            ("pools", PoolStateUpdate, 1_500),
        ):
            message = kind.from_bytes(bytes(kind.SIZE), validate=False)
            stack.enter_context(publishing(path, name, message, per_s))
        command = [sys.executable, str(script), "execution", "TradeSignal,ArbitrageSignal", "Order", "80"]
        execution = subprocess.Popen(command, env={**os.environ, "MYCELIUM_SOCKET": str(path)})
        stack.callback(execution.wait)
        stack.callback(execution.kill)
        browser = stack.enter_context(chromium())
        browser.look()
        browser.open(url)
        time.sleep(_HISTORY_S)
        for scheme, name in ((LIGHT, "status-page.png"), (DARK, "status-page-dark.png")):
            height = browser.run(
                "return document.querySelector('#stage').getBoundingClientRect().bottom + 10"
            )
            browser.look(1200, int(height), scheme)
            browser.run("document.querySelector('#where').textContent = x", _WHERE)
            browser.picture(directory / name)


if __name__ == "__main__":
    make_pictures(Path(sys.argv[1]))
