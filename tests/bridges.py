"""Real bridges and raw peers for the tests of everything that goes over a socket."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import mycelium_fast
from mycelium_fast.example_messages import SCHEMA_DIGEST
from mycelium_fast.session import GREETING_SIZE

CONTRACTS = Path(mycelium_fast.__file__).parent / "contracts.yaml"
GREETING = len(SCHEMA_DIGEST).to_bytes(2, "little") + SCHEMA_DIGEST


class Bridge:
    """A bridge process that accepts connections; its log is kept."""

    def __init__(self, path: Path | None, *options: str, contracts: Path | None = CONTRACTS) -> None:
        self.path = path
        command = [sys.executable, "-m", "mycelium_fast", "bridge", *options]
        if path is not None:
            command += ["--unix", str(path)]
        if contracts is not None:
            command += ["--contracts", str(contracts)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self._logged = threading.Condition()
        self._thread = threading.Thread(target=self._read_log)
        self._thread.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.close()
            raise AssertionError(f"the bridge did not start: {line!r} {self.log}")
        self.address = line.removeprefix("listening on ").strip()

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

    def accept(self, *, greeted: bool = True) -> socket.socket:
        self.sock, _ = self._listener.accept()
        self.sock.settimeout(20)
        if greeted:
            assert read_exactly(self.sock, GREETING_SIZE) == GREETING
        return self.sock

    def close(self) -> None:
        self._listener.close()
        if self.sock is not None:
            self.sock.close()
