"""The programs that a bridge runs: starting them, starting them again, noticing that they hang, ending them.

One process of a worker is `process.py`'s, its guard `guard.py`; when to restart is `restarts.py`'s
arithmetic, what is printed `output.py`'s affair. The connections are the control plane's, which tells when
there is one and when it was heard.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from . import guard
from .config import WorkerConfig
from .process import Ending, Process, environment_of
from .restarts import RestartPolicy
from .snapshot import WorkerSnapshot

__all__ = ["Supervisor"]

_log: Final = logging.getLogger("mycelium_fast.bridge.worker")
#: Generations between a process and the worker that it comes from.
_MAX_DEPTH: Final = 64


class Supervisor:
    """The workers of one bridge. Belongs to one event loop.

    Args:
        workers: what to run; no name twice.
        environment: for every worker, in addition to the bridge's own: `MYCELIUM_SOCKET`, and
            `MYCELIUM_SCHEMA_DIGEST` where there are contracts.
        attach: called with the bridge's end of the connection of a worker with `transport = "stdio"`, which
            is then the callee's, and the worker's name; once the worker has said something on it.
        clock: seconds, only forward.
        sleep: for as many of them.

    Raises:
        ValueError: a name twice.
    """

    def __init__(
        self,
        workers: Sequence[WorkerConfig],
        *,
        environment: Mapping[str, str],
        attach: Callable[[socket.socket, str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._environment = dict(environment)
        self._attach = attach
        self._clock = clock
        self._sleep = sleep
        self._changing = asyncio.Lock()
        self._ended = asyncio.Event()
        self._workers = {config.name: self._made(config) for config in _distinct(workers)}

    async def start(self) -> None:
        """Start them all, without waiting until they are ready."""
        for worker in self._workers.values():
            worker.start()

    async def stop(self) -> None:
        """End them all at once, each with SIGTERM, SIGKILL after its grace, and nothing left of it."""
        self._ended.set()
        await _stop(self._workers.values())

    async def reload(
        self, workers: Sequence[WorkerConfig], environment: Mapping[str, str] | None = None
    ) -> None:
        """Have these run instead: those that are gone or different are stopped, those that are new or
        different started. The others are left alone, except that one that had failed gets another chance.

        Args:
            environment: as above, for those that start from now on; None for what it was.

        Raises:
            ValueError: a name twice; nothing was changed.
        """
        wanted = _distinct(workers)
        async with self._changing:
            if self._ended.is_set():
                return
            if environment is not None:
                self._environment.clear()  # which the workers that are kept have as well
                self._environment.update(environment)
            before = self._workers
            kept = {
                config.name: before[config.name]
                for config in wanted
                if config.name in before
                and before[config.name].config == config
                and before[config.name].state != "failed"
            }
            await _stop(worker for name, worker in before.items() if name not in kept)
            if self._ended.is_set():
                return
            self._workers = {config.name: kept.get(config.name) or self._made(config) for config in wanted}
            for name, worker in self._workers.items():
                if name not in kept:
                    worker.start()

    def connected(self, name: str) -> None:
        """A connection of this worker is accepted."""
        if name in self._workers:
            self._workers[name].connected()

    def lost(self, name: str) -> None:
        """A connection of this worker has ended: no failure; without another, the watchdog's time runs."""
        if name in self._workers:
            self._workers[name].lost()

    def heard(self, name: str) -> None:
        """This worker has sent something."""
        if name in self._workers:
            self._workers[name].heard()

    def worker_of(self, pid: int) -> str | None:
        """The worker that a process belongs to: by process group, session, or (on Linux) descent."""
        try:
            leaders = {os.getpgid(pid), os.getsid(pid)} if pid > 0 else set()
        except OSError:  # it is gone
            return None
        running = [worker for worker in self._workers.values() if worker.run is not None]
        for worker in running:
            if worker.pid in leaders:
                return worker.config.name
        # One that was started this very moment, whose guard's report is on its way; or that left its group.
        guards = {worker.run.guard_pid: worker.config.name for worker in running if worker.run is not None}
        ancestor: int | None = pid
        for _ in range(_MAX_DEPTH):
            if not guards or ancestor is None or ancestor <= 1:
                break
            ancestor = guard.parent_of(ancestor)
            if ancestor in guards:
                return guards[ancestor]
        return None

    @property
    def ready(self) -> bool:
        """Whether every worker that is to run has been connected since it was last started."""
        return all(worker.ready for worker in self._workers.values())

    def snapshot(self) -> list[WorkerSnapshot]:
        """The workers now, in the order of the configuration."""
        return [worker.snapshot() for worker in self._workers.values()]

    def _made(self, config: WorkerConfig) -> _Worker:
        return _Worker(config, self._environment, self._attach, self._clock, self._sleep)


def _distinct(workers: Sequence[WorkerConfig]) -> Sequence[WorkerConfig]:
    names = [config.name for config in workers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"there are two workers by the name of {name!r}: each needs one of its own")
    return workers


async def _stop(workers: Iterable[_Worker]) -> None:
    tasks = {task for worker in workers if (task := worker.stop()) is not None}
    if tasks:
        await asyncio.wait(tasks)  # which, cancelled, leaves them to go on


class _Worker:
    """One worker: its processes, one after another."""

    def __init__(
        self,
        config: WorkerConfig,
        environment: Mapping[str, str],
        attach: Callable[[socket.socket, str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self.config = config
        self.run: Process | None = None
        self.pid: int | None = None
        self.state = "starting"
        self._environment = environment
        self._attach = attach
        self._clock = clock
        self._sleep = sleep
        self._policy = RestartPolicy(config)
        self._since = time.time()
        self._restarts = 0
        self._last_exit = ""
        self._stopping = asyncio.Event()
        self._was_ready = asyncio.Event()  # since its last start
        self._started_at = 0.0
        self._heard_at = 0.0
        self._connections = 0
        self._fault = ""  # why the process that runs was told to stop
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"worker {self.config.name}")

    def stop(self) -> asyncio.Task[None] | None:
        """Ask for its end; returns what to wait for."""
        self._stopping.set()
        if self.run is not None:
            self._enter("stopping")
            self.run.stop()
        return self._task

    def connected(self) -> None:
        self._connections += 1
        self._heard_at = self._clock()
        if self.run is not None and not self._was_ready.is_set():
            self._was_ready.set()
            if self.state == "starting":
                self._enter("running")
            after = self._heard_at - self._started_at
            self._tell(logging.INFO, "worker.ready", "is ready after %.3f s", after, pid=self.pid)

    def lost(self) -> None:
        self._connections = max(0, self._connections - 1)

    def heard(self) -> None:
        self._heard_at = self._clock()

    @property
    def ready(self) -> bool:
        return self.state == "stopped" or (self.state == "running" and self._was_ready.is_set())

    def snapshot(self) -> WorkerSnapshot:
        return WorkerSnapshot(
            self.config.name, self.state, self.pid, self._restarts, self._since, self._last_exit
        )

    async def _live(self) -> None:
        """From the first start to the last end."""
        try:
            while not self._stopping.is_set():
                delay = await self._once()
                if delay is None:
                    return
                if self._stopping.is_set():
                    break
                self._enter("waiting")
                self._tell(
                    logging.WARNING, "worker.restarting", "is started again in %g s", delay, delay_s=delay
                )
                if await self._happens(self._stopping, delay):
                    break
                self._restarts += 1
            self._enter("stopped")
            self._tell(logging.INFO, "worker.stopped", "is stopped")
        except Exception:
            self._enter("failed")
            _log.exception(
                "%s: supervising it failed",
                self.config.name,
                extra={"event": "worker.failed", "worker": self.config.name},
            )

    async def _once(self) -> float | None:
        """Run it once; returns the seconds until the next time, or None if there is none."""
        self._was_ready.clear()
        self._connections = 0
        self._fault = ""
        self._enter("starting")
        self._started_at = self._heard_at = self._clock()
        self._policy.started(self._started_at)
        run = self.run = Process(self.config, environment_of(self.config, self._environment), self._attach)
        watch = asyncio.get_running_loop().create_task(self._watch(run))
        try:
            ending = await run.to_its_end(self._has_pid)
        finally:
            self.run = self.pid = None
            watch.cancel()
            await asyncio.wait({watch})
        if self._fault:
            ending = Ending(self._fault, failed=True)
        self._last_exit = ending.text
        if ending.started:
            level = logging.WARNING if ending.failed and not self._stopping.is_set() else logging.INFO
            self._tell(level, "worker.exited", "ended: %s", ending.text, ending=ending.text)
        if self._stopping.is_set():
            return 0.0
        if ending.hopeless:
            self._give_up("cannot be started: %s", ending.text)
            return None
        delay = self._policy.ended(self._clock(), failed=ending.failed)
        if delay is not None:
            return delay
        if self._policy.exhausted:
            self._give_up(
                "is given up: it ended (%s), and was started again %d times within %g s",
                *(ending.text, self.config.max_restarts, self.config.restart_window),
            )
        elif not ending.started:
            self._give_up("cannot be started: %s", ending.text)
        else:
            self._enter("stopped")
            self._tell(
                logging.INFO, "worker.stopped", "is not started again: restart = %r", self.config.restart
            )
        return None

    def _has_pid(self, pid: int) -> None:
        self.pid = pid
        self._started_at = self._heard_at = self._clock()
        self._policy.started(self._started_at)
        self._tell(logging.INFO, "worker.started", "started, pid %d", pid, pid=pid)

    async def _watch(self, run: Process) -> None:
        """Stop a process that is not ready in time, or hangs later on."""
        timeout, watchdog = self.config.ready_timeout, self.config.watchdog
        if timeout is None:
            await self._was_ready.wait()
        elif not await self._happens(self._was_ready, timeout):
            self._fail(run, "never ready", "was not ready within %g s: it is stopped", timeout)
            return
        while watchdog is not None:
            due = self._heard_at + watchdog
            left = due - self._clock()
            if left <= 0:
                now = "" if self._connections else ", and has no connection any more"
                self._fail(run, "hung", f"has given no sign of life for %g s{now}: it is stopped", watchdog)
                return
            await self._sleep(left)
            if self._clock() - due > watchdog / 2 and self._heard_at + watchdog == due:
                self._heard_at = self._clock()  # this process stood still itself, and could not hear anybody

    def _fail(self, run: Process, fault: str, text: str, seconds: float) -> None:
        if self._stopping.is_set():
            return
        self._fault = fault
        self._enter("stopping")
        self._tell(logging.ERROR, "worker.hung", text, seconds, pid=self.pid)
        run.stop()

    def _give_up(self, text: str, *args: object) -> None:
        self._enter("failed")
        self._tell(logging.ERROR, "worker.failed", text, *args)

    async def _happens(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for an event, at most so long by the clock; whether it came."""
        waiting = asyncio.ensure_future(event.wait())
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait({waiting, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            sleeping.cancel()
            await asyncio.wait({waiting, sleeping})
        return event.is_set()

    def _enter(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._since = time.time()

    def _tell(self, level: int, event: str, text: str, *args: object, **extra: object) -> None:
        name = self.config.name
        _log.log(level, f"%s {text}", name, *args, extra={"event": event, "worker": name, **extra})
