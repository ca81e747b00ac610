"""Real bridges and raw peers for the tests of everything that goes over a socket."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mycelium_fast
from mycelium_fast.example_messages import SCHEMA_DIGEST
from mycelium_fast.session import ALL_FEATURES, GREETING_SIZE, Features, core

_PACKAGE = Path(mycelium_fast.__file__).parent
#: Beside the modules where the package is installed, above them in a checkout.
CONTRACTS = next(
    path for path in (_PACKAGE / "contracts.yaml", _PACKAGE.parent / "contracts.yaml") if path.exists()
)
GREETING = len(SCHEMA_DIGEST).to_bytes(2, "little") + SCHEMA_DIGEST


#: Nothing is lost, and little waits, unless a test's own options say otherwise, which come later.
_LOSSLESS = ["--slow-consumer", "block", "--max-output", "1 MiB"]


class Bridge:
    """A bridge process that accepts connections; its log is kept.

    Attributes:
        path: of its Unix socket.
        addresses: what it says that it listens on, such as `tcp://127.0.0.1:4711`.
    """

    def __init__(self, path: Path | None, *options: str, contracts: Path | None = CONTRACTS) -> None:
        self.path = path
        self._command = [sys.executable, "-m", "mycelium_fast", "bridge"]
        if "--topology" not in options:
            self._command += _LOSSLESS
        self._command += options
        if path is not None:
            self._command += ["--unix", str(path)]
        if contracts is not None:
            self._command += ["--contracts", str(contracts)]
        self._expected = (path is not None) + ("--tcp" in options)
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.log: list[str] = []
        self.addresses: list[str] = []
        self._logged = threading.Condition()
        self._thread = threading.Thread(target=self._read_log)
        self._thread.start()
        assert self.process.stdout is not None
        while len(self.addresses) < self._expected:
            line = self.process.stdout.readline()
            if not line.startswith("listening on "):
                self.close()
                raise AssertionError(f"the bridge did not start: {line!r} {self.log}")
            self.addresses.append(line.removeprefix("listening on ").strip())

    @property
    def address(self) -> str:
        """The first address that it listens on."""
        return self.addresses[0]

    @property
    def tcp_port(self) -> int:
        """The port of its TCP or TLS address."""
        return int(next(each for each in self.addresses if each.startswith("t")).rpartition(":")[2])

    def restart(self, number: signal.Signals | None = signal.SIGTERM) -> None:
        """End it with a signal (None: it has ended already) and start it again at the same addresses."""
        if "--tcp" in self._command:
            place = self._command.index("--tcp") + 1
            host = self._command[place].rpartition(":")[0]
            self._command[place] = f"{host}:{self.tcp_port}"
        if number is not None:
            self.process.send_signal(number)
            self.process.wait(20)
        self.close()
        self._start()

    def _read_log(self) -> None:
        for line in self.process.stderr or ():
            with self._logged:
                self.log.append(line)
                self._logged.notify_all()
        with self._logged:
            self.log.append("")  # the end
            self._logged.notify_all()

    def wait_log(self, pattern: str, count: int = 1) -> list[str]:
        """Wait until that many lines of the log match; returns them."""

        def matching() -> list[str]:
            return [line for line in self.log if re.search(pattern, line)]

        with self._logged:
            self._logged.wait_for(lambda: len(matching()) >= count or "" in self.log, 20)
            assert len(matching()) >= count, (pattern, self.log)
            return matching()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Stop it with a signal; returns the log."""
        self.process.send_signal(number)
        assert self.process.wait(20) == 0, self.log
        self._thread.join()
        return "".join(self.log)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._thread.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def bridge(path: Path | None, *options: str, contracts: Path | None = CONTRACTS) -> Iterator[Bridge]:
    running = Bridge(path, *options, contracts=contracts)
    try:
        yield running
    finally:
        running.close()


def raw_client(path: Path, greeting: bytes = GREETING) -> socket.socket:
    """A connected socket that has sent a greeting, and knows nothing of this package."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(path))
    sock.sendall(greeting)
    return sock


def hello(service: str = "test", features: Features = ALL_FEATURES, protocol: int = 1) -> bytes:
    """The frame that a client opens the negotiation with."""
    return core.Hello(protocol, int(features), service).to_frame()


def negotiated_client(
    path: Path, features: Features = ALL_FEATURES, *, greeting: bytes = GREETING
) -> tuple[socket.socket, core.Welcome]:
    """A raw client that has said Hello, and the Welcome that it got."""
    sock = raw_client(path, greeting + hello(features=features))
    welcome = read_core(sock)
    assert isinstance(welcome, core.Welcome)
    return sock, welcome


def subscribe(sock: socket.socket, *type_ids: int, request: int = 1, everything: bool = False) -> None:
    """Ask a bridge for types, and wait until it confirms."""
    sock.sendall(core.Subscribe(request, everything, type_ids).to_frame())
    assert read_core(sock) == core.Subscribed(request)


def read_frame(sock: socket.socket) -> tuple[int, bytes]:
    type_id, length = struct.unpack("<HI", read_exactly(sock, 6))
    return type_id, read_exactly(sock, length)


def read_core(sock: socket.socket) -> Any:
    """The next frame, which is a core one, as an object."""
    type_id, payload = read_frame(sock)
    assert type_id in core.MESSAGES, (type_id, payload)
    return core.MESSAGES[type_id].from_bytes(payload)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"closed after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


def is_closed(sock: socket.socket) -> bool:
    """Wait until the peer closes; whether it sent nothing before."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


class Peer:
    """The other end of a transport: a listening Unix socket whose one connection the test drives by hand."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(20)
        self.sock: socket.socket | None = None
        self.hello: core.Hello | None = None

    def accept(self, *, greeted: bool = True, hello: bool | None = None) -> socket.socket:
        """Accept, and read the greeting and the `Hello` after it (`hello`: whether there is one)."""
        self.sock, _ = self._listener.accept()
        self.sock.settimeout(20)
        if greeted:
            assert read_exactly(self.sock, GREETING_SIZE) == GREETING
        if greeted if hello is None else hello:
            self.hello = read_core(self.sock)
            assert isinstance(self.hello, core.Hello)
        return self.sock

    def welcome(self, features: Features = ALL_FEATURES, *, max_payload: int = 16_777_216) -> None:
        """Answer the `Hello`: the connection is negotiated."""
        assert self.sock is not None
        assert self.hello is not None
        agreed = int(features) & self.hello.features
        self.sock.sendall(core.Welcome(1, agreed, 1, max_payload, "peer").to_frame())

    def close(self) -> None:
        self._listener.close()
        if self.sock is not None:
            self.sock.close()
