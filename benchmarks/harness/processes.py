"""Processes that take part in a benchmark, each kept to its own CPUs where the system can do that.

All contenders run in the same ones, in turn, so that none has a warmer process or a better CPU than another.
A process calls functions that stand at the top of a module, and answers with what they return.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

#: Seconds after which a process that has not answered counts as stuck.
TIMEOUT_S = 60.0
#: ... and for which one that is to end may take.
END_S = 20.0
#: Files that a process may have: some figures open a thousand connections to each of several brokers.
FILES = 8192

Ready = Callable[[], None]


def cpus() -> list[int]:
    """The CPUs that this process may use; empty where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def many_files() -> int:
    """Let this process, and those that it starts, have as many files as figures want, if the system allows;
    how many it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


class Process:
    """A child process that calls functions for us."""

    def __init__(self, allowed: list[int]) -> None:
        self._allowed = allowed
        self._begin()

    def start(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function(ready, *args)` there. Calling `ready()` ends our `wait_ready()`."""
        self.pipe.send((function, args))

    def wait_ready(self) -> None:
        """Wait until the function says that it is ready."""
        self._answer("ready")

    def result(self) -> Any:
        """What the function returned."""
        return self._answer("result")

    def restart(self) -> None:
        """Begin again with a new process, whatever the old one does."""
        self.close()
        self._begin()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        self._process.join()
        self.pipe.close()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        # asyncio asks for 256 KiB to read 22 bytes to, which glibc may fetch from the system and give back
        # every time, depending on what lies beside it: a bare Protocol takes twice as long then. Not so here.
        os.environ.setdefault("MALLOC_TOP_PAD_", "16777216")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._allowed), daemon=True)
        self._process.start()
        theirs.close()

    def _answer(self, wanted: str) -> Any:
        if not self.pipe.poll(TIMEOUT_S):
            raise TimeoutError(f"a benchmark process did not answer within {TIMEOUT_S:g} s")
        kind, value = self.pipe.recv()
        if kind != wanted:
            raise RuntimeError(f"a benchmark process failed:\n{value}" if kind == "error" else f"{kind} came")
        return value


def together(
    first: Process, its_call: tuple[Any, ...], second: Process, other_call: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Have the second process call its function once the first one's is ready; what both returned.

    A call is a function and its arguments.
    """
    one, other = gather([(first, its_call)], (second, other_call))
    return one, other


def gather(
    first: Sequence[tuple[Process, tuple[Any, ...]]], last: tuple[Process, tuple[Any, ...]]
) -> list[Any]:
    """Have the last process call its function once those of all the others are ready; what each returned.

    Where one fails, all processes begin again: the others wait for it in vain.
    """
    processes = [process for process, _ in [*first, last]]
    try:
        for process, call in first:
            process.start(*call)
        for process, _ in first:
            process.wait_ready()
        last[0].start(*last[1])
        results: dict[Process, Any] = {}
        while len(results) < len(processes):
            waiting = {each.pipe: each for each in processes if each not in results}
            answered = wait(waiting, TIMEOUT_S)
            if not answered:
                raise TimeoutError(f"a benchmark process did not answer within {TIMEOUT_S:g} s")
            for pipe in answered:
                each = waiting[pipe]  # type: ignore[index]
                results[each] = each.result()
    except BaseException:
        for process in processes:
            process.restart()
        raise
    return [results[process] for process in processes]


@contextlib.contextmanager
def pair(*, one_cpu: bool = False) -> Iterator[tuple[Process, Process]]:
    """Two processes: each with half of the CPUs, or both on a single one."""
    allowed = cpus()
    half = len(allowed) // 2
    sides = [allowed[:1], allowed[:1]] if one_cpu else [allowed[:half], allowed[half:]]
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(contextlib.closing(Process(side))) for side in sides)
        yield first, second


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Afterwards the program is over, whatever it does."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def accept(ready: Ready, path: str) -> socket.socket:
    """Listen on a Unix socket, say so, and take one connection."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(TIMEOUT_S)
        ready()
        sock, _ = listener.accept()
    sock.settimeout(None)
    return sock


def connect(path: str) -> socket.socket:
    """A connection to who accepts there."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return sock


def _serve(pipe: Connection, allowed: list[int]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells everybody; who started us ends us
    if allowed:
        os.sched_setaffinity(0, allowed)
    while True:
        try:
            function, args = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("result", function(lambda: pipe.send(("ready", None)), *args)))
        except Exception:
            pipe.send(("error", traceback.format_exc()))
