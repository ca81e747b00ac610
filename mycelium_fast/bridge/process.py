"""One process of a worker, by way of its guard: what it is started with, its output, and how it ended.

The guard (`guard.py`) starts it, and ends all that came of it, also when the bridge is killed. When there is
to be a process, and when it has to go, `workers.py` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..bus.environment import SOCKET_VARIABLE
from . import guard
from .config import WorkerConfig
from .output import Output, readable, writable

__all__ = ["Ending", "Process", "environment_of"]

#: Seconds beyond a worker's grace after which a guard that has not reported its end is given up.
_GUARD_S: Final = 15.0
#: Seconds between looks whether a guard that has said its last has ended.
_LOOK_S: Final = 0.002
#: Why a start may fail and succeed a little later.
_TRANSIENT: Final = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY, errno.EINTR}


@dataclass(frozen=True)
class Ending:
    """How a process ended, or why there was none.

    Attributes:
        text: as `WorkerSnapshot.last_exit` has it.
        failed: not of its own will and with status 0.
        started: there was a process.
        hopeless: trying again would not help.
    """

    text: str
    failed: bool
    started: bool = True
    hopeless: bool = False


def environment_of(config: WorkerConfig, common: Mapping[str, str]) -> dict[str, str]:
    """Of a worker's process: the bridge's own, what all workers get, what the configuration says."""
    made = dict(os.environ)
    if config.user is not None:
        for name in ("HOME", "USER", "LOGNAME"):  # the guard, which looks up the user, has better
            made.pop(name, None)
    made.update(common)
    if config.transport == "stdio":
        made[SOCKET_VARIABLE] = "stdio:"
    else:
        made.setdefault("PYTHONUNBUFFERED", "1")  # or the log has what it prints when it ends
    for name, value in config.environment.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = value
    return made


class Process:
    """One process, by way of its guard."""

    guard_pid: int | None = None

    def __init__(
        self, config: WorkerConfig, environment: dict[str, str], attach: Callable[[socket.socket, str], None]
    ) -> None:
        self._config = config
        self._environment = environment
        self._attach = attach
        self._loop = asyncio.get_running_loop()
        self._guard: subprocess.Popen[bytes] | None = None
        self._order = b""
        self._lifeline = self._reports = -1
        self._outputs: list[Output] = []
        self._sock: socket.socket | None = None
        self._pid: int | None = None
        self._stopping = False
        self._ordered = False  # the guard has its order
        self._last_resort: asyncio.TimerHandle | None = None
        self._heard = b""

    def stop(self) -> None:
        """Have the guard end it."""
        if self._stopping:
            return
        self._stopping = True
        self._last_resort = self._loop.call_later(self._config.grace + _GUARD_S, self._kill_guard)
        if self._ordered:
            self._let_go()

    async def to_its_end(self, started: Callable[[int], None]) -> Ending:
        """Start it, tell its pid, and wait until nothing is left of it."""
        try:
            process = self._spawn()
        except OSError as error:
            text = f"its guard: {error.filename or sys.executable}: {error.strerror or error}"
            return Ending(text, failed=True, started=False, hopeless=error.errno not in _TRANSIENT)
        attaching = self._loop.create_task(self._attach_when_heard())
        over = False
        try:
            await self._give_order()
            said = await self._said()
            if said is not None and said.startswith("started "):
                self._pid = int(said.removeprefix("started "))
                started(self._pid)
                said = await self._said()
            over = True
            if said is None and self._pid is not None:
                self._end_group(self._pid)
            for output in self._outputs:
                await output.finish()
            while process.poll() is None:
                await asyncio.sleep(_LOOK_S)
            return self._ending(said, process.returncode)
        finally:
            attaching.cancel()
            await asyncio.wait({attaching})
            self._hand_over()
            self._let_go()
            if self._last_resort is not None:
                self._last_resort.cancel()
            for output in self._outputs:
                output.close()
            os.close(self._reports)
            if not over:  # cancelled: the guard does the rest, but would stay as a zombie
                threading.Thread(target=process.wait, daemon=True).start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the guard; it gets descriptors of the worker's output, and of its connection."""
        config = self._config
        reading: dict[str, int] = {}
        handed: dict[str, int] = {}
        streams = ("stderr",) if config.transport == "stdio" else ("stdout", "stderr")
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            guards_lifeline, lifeline = _pipe(theirs, ours)
            reports, guards_reports = _pipe(ours, theirs)
            for name in streams:
                reading[name], handed[name] = _pipe(ours, theirs)
            if config.transport == "stdio":
                sock, other = socket.socketpair()
                ours.callback(sock.close)
                theirs.callback(other.close)
                handed["stdin"] = handed["stdout"] = other.fileno()
            order: dict[str, Any] = {
                "command": config.command,
                "environment": self._environment,
                "directory": None if config.directory is None else str(config.directory),
                "user": config.user,
                "group": config.group,
                "grace": config.grace,
                "stdin": handed.get("stdin"),
                "stdout": handed["stdout"],
                "stderr": handed["stderr"],
            }
            self._order = json.dumps(order).encode() + b"\n"
            process = self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}", guard.__file__],
                stdin=guards_lifeline,
                stdout=guards_reports,
                stderr=subprocess.DEVNULL,  # it reports what there is to say
                pass_fds=sorted(set(handed.values())),
                start_new_session=True,  # Ctrl-C is for the bridge
            )
            ours.pop_all()
        self.guard_pid = process.pid
        self._lifeline, self._reports = lifeline, reports
        self._outputs = [Output(config.name, name, reading[name]) for name in streams]
        if config.transport == "stdio":
            sock.setblocking(False)
            self._sock = sock
        return process

    async def _give_order(self) -> None:
        os.set_blocking(self._lifeline, False)
        rest = memoryview(self._order)
        with contextlib.suppress(BrokenPipeError):  # it has ended, as its silence will tell
            while rest:
                try:
                    rest = rest[os.write(self._lifeline, rest) :]
                except BlockingIOError:
                    await writable(self._lifeline)
        self._ordered = True
        if self._stopping:
            self._let_go()

    async def _said(self) -> str | None:
        """The next line of the guard; None when it has ended."""
        os.set_blocking(self._reports, False)
        while b"\n" not in self._heard:
            try:
                data = os.read(self._reports, 4096)
            except BlockingIOError:
                await readable(self._reports)
                continue
            if not data:
                return None
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _ending(self, said: str | None, status: int) -> Ending:
        kind, _, rest = (said or "").partition(" ")
        if kind == "exited":
            return Ending(f"status {rest}", failed=rest != "0")
        if kind == "killed":
            return Ending(_signal_name(int(rest)), failed=True)
        if kind == "failed":
            number, _, text = rest.partition(" ")
            return Ending(text, failed=True, started=False, hopeless=int(number) not in _TRANSIENT)
        how = f"status {status}" if status >= 0 else _signal_name(-status)
        return Ending(f"its guard ended: {how}", failed=True, started=self._pid is not None)

    def _end_group(self, pid: int) -> None:
        """The guard was killed: do what is left of its work."""
        found = guard.processes_of(pid, pid) or {}
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        for each in found:
            with contextlib.suppress(OSError):
                os.kill(each, signal.SIGKILL)

    async def _attach_when_heard(self) -> None:
        """Hand over the connection once the worker says something: it may take its time to start."""
        if self._sock is not None:
            await readable(self._sock.fileno())
            self._hand_over()

    def _hand_over(self) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        try:
            said = bool(sock.recv(1, socket.MSG_PEEK))
        except OSError:
            said = False
        if said:
            self._attach(sock, self._config.name)
        else:
            sock.close()

    def _let_go(self) -> None:
        """Close the lifeline: the guard ends the worker, if it has not."""
        if self._lifeline != -1:
            os.close(self._lifeline)
            self._lifeline = -1

    def _kill_guard(self) -> None:
        if self._guard is not None and self._guard.poll() is None:
            self._guard.kill()


def _pipe(readers: contextlib.ExitStack, writers: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose ends are closed with these stacks; the reading and the writing one."""
    reading, writing = os.pipe()
    readers.callback(os.close, reading)
    writers.callback(os.close, writing)
    return reading, writing


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
