"""Workers under supervision, for tests: a supervisor whose log is kept, programs, clocks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from loops import eventually

from mycelium_fast.bridge.config import WorkerConfig
from mycelium_fast.bridge.snapshot import WorkerSnapshot
from mycelium_fast.bridge.workers import Supervisor

LOGGER = "mycelium_fast.bridge.worker"


def python(code: str) -> tuple[str, ...]:
    """A command that runs this, and starts fast."""
    return sys.executable, "-S", "-c", code


SLEEP = python("import time; time.sleep(600)")


class Log(logging.Handler):
    """The records of workers' events and output."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()  # which fails where the arguments do not fit
        self.records.append(record)

    def events(self, worker: str = "worker") -> list[str]:
        """Names of the events, without those of output."""
        return [
            each.event.removeprefix("worker.")
            for each in self.records
            if each.worker == worker and each.event != "worker.output"
        ]

    def of(self, event: str) -> list[Any]:
        return [each for each in self.records if each.event == f"worker.{event}"]

    def output(self, stream: str = "stdout") -> list[str]:
        return [each.getMessage().partition(": ")[2] for each in self.of("output") if each.stream == stream]


class Supervised:
    """A supervisor, its log, and the connections that it hands over."""

    def __init__(self, *workers: WorkerConfig, environment: dict[str, str], **options: Any) -> None:
        self.mark = f"MARK={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.log = Log()
        self.attached: asyncio.Queue[tuple[socket.socket, str]] = asyncio.Queue()
        self.supervisor = Supervisor(
            workers,
            environment={"MYCELIUM_SOCKET": "/run/bus.sock", name: value, **environment},
            attach=lambda sock, worker: self.attached.put_nowait((sock, worker)),
            **options,
        )

    def state(self, name: str = "worker") -> WorkerSnapshot:
        return next(each for each in self.supervisor.snapshot() if each.name == name)

    async def until(self, *states: str, worker: str = "worker") -> WorkerSnapshot:
        await eventually(lambda: self.state(worker).state in states)
        return self.state(worker)

    async def until_logged(self, event: str, count: int = 1) -> list[Any]:
        await eventually(lambda: len(self.log.of(event)) >= count)
        return self.log.of(event)

    async def until_printed(self, text: str, stream: str = "stdout") -> None:
        await eventually(lambda: text in self.log.output(stream))

    def left(self) -> list[int]:
        return marked(self.mark)


@contextlib.asynccontextmanager
async def supervised(
    *workers: WorkerConfig, environment: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[Supervised]:
    """Workers that run, and are stopped at the end, when nothing is left of them."""
    made = Supervised(*workers, environment=environment or {}, **options)
    with logged(made.log):
        try:
            await made.supervisor.start()
            yield made
        finally:
            await made.supervisor.stop()
            while not made.attached.empty():
                made.attached.get_nowait()[0].close()
            left = made.left()
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
    assert not left


@contextlib.contextmanager
def logged(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger(LOGGER)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def worker(command: tuple[str, ...] = SLEEP, name: str = "worker", **options: Any) -> WorkerConfig:
    return WorkerConfig(name, command, **{"grace": 20.0, "restart": "never", **options})


def marked(mark: str) -> list[int]:
    """Processes, zombies left out, that have this in their environment; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


class SkippingClock:
    """Nobody waits: time goes on by as much as somebody would have slept."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.now += seconds


class ManualClock:
    """Time goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Wake those whose time has come, and let them do what they do."""
        self.now += seconds
        for due, woken in tuple(self._sleepers):
            if due <= self.now and not woken.done():
                woken.set_result(None)
        self._sleepers = [each for each in self._sleepers if not each[1].done()]
        for _ in range(10):
            await asyncio.sleep(0)

    async def until_slept_on(self, condition: Callable[[float], bool] = lambda left: True) -> None:
        """Wait until somebody sleeps, for so many seconds."""
        await eventually(
            lambda: any(condition(due - self.now) and not woken.done() for due, woken in self._sleepers)
        )
