"""Runs one worker, and sees that nothing of it is left when it ends or when the bridge is gone.

A program of its own, started by `process.py` as `python -I -S guard.py` for each worker: the standard library
alone, nothing of the package, so that it starts fast. Whether and when to start again is the bridge's affair.

    standard input    from the bridge: a JSON object in one line (`command`, `environment`, `directory`,
                      `user`, `group`, `grace`, and the descriptors `stdin`, `stdout`, `stderr`). Its end
                      means that the worker has to go: it is to be stopped, or the bridge is gone.
    standard output   to the bridge: `started PID` or `failed ERRNO TEXT`; then `exited STATUS` or
                      `killed SIGNAL`, when there is nothing left of the worker.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any, Final

__all__ = ["main", "parent_of", "processes_of"]

#: Seconds that children have which the worker left behind, unless it was to be stopped and has more left.
_LEFTOVER_GRACE_S: Final = 1.0
#: Seconds after SIGKILL in which a process is expected to be gone; one that waits for a device may not be.
_KILL_S: Final = 10.0
#: Seconds between looks at what is left.
_LOOK_S: Final = 0.02
#: Seconds between one SIGKILL and the next.
_AGAIN_S: Final = 0.5
_PR_SET_CHILD_SUBREAPER: Final = 36
#: Signals that ask the guard to stop; with handlers and not ignored, since a worker would inherit that.
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    """Do what the first line of standard input says."""
    _, wake = _wake_on_signals()
    _adopt_orphans()
    data = b""
    while b"\n" not in data:
        piece = os.read(0, 65536)
        if not piece:  # the bridge was gone before it had said anything
            return 0
        data += piece
    line, _, rest = data.partition(b"\n")
    order = json.loads(line)
    try:
        worker = _start(order)
    except Exception as error:  # whatever it is, the bridge has to hear of it
        _report(f"failed {getattr(error, 'errno', None) or 0} {_explained(error, order)}")
        return 1
    _report(f"started {worker.pid}")
    how = _Watch(worker, float(order["grace"]), wake).until_nothing_is_left(rest)
    _report(how)
    return 0


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    environment: dict[str, str] = order["environment"]
    user: str | int | None = order["user"]
    group: str | int | None = order["group"]
    extra: list[int] | None = None
    if user is not None:
        user, group, extra = _account(order["user"], order["group"], environment)
    elif group is not None:
        group = _group_id(order["group"])
    handed = {order["stdin"], order["stdout"], order["stderr"]} - {None}
    try:
        return subprocess.Popen(
            order["command"],
            stdin=subprocess.DEVNULL if order["stdin"] is None else order["stdin"],
            stdout=order["stdout"],
            stderr=order["stderr"],
            cwd=order["directory"],
            env=environment,
            user=user,
            group=group,
            extra_groups=extra,
            start_new_session=True,  # and so in a process group of its own, whose number is its pid
        )
    finally:
        # The bridge reads the end of the output when all have closed it.
        for descriptor in handed:
            os.close(descriptor)


def _account(user: str, group: str | None, environment: dict[str, str]) -> tuple[int, int, list[int] | None]:
    """User, group and further groups by number; what the environment does not have of the user is added."""
    import pwd

    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        if group is None or not user.isdigit():
            hint = "; name a group as well to use it all the same" if user.isdigit() else ""
            raise LookupError(f"there is no user {user!r} on this machine{hint}") from None
        return int(user), _group_id(group), []
    gid = entry.pw_gid if group is None else _group_id(group)
    for name, value in (("HOME", entry.pw_dir), ("USER", entry.pw_name), ("LOGNAME", entry.pw_name)):
        environment.setdefault(name, value)
    if os.geteuid() != 0:  # nobody else may set further groups; the same user keeps those that it has
        return entry.pw_uid, gid, None
    return entry.pw_uid, gid, os.getgrouplist(entry.pw_name, gid)


def _group_id(group: str) -> int:
    import grp

    if group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise LookupError(f"there is no group {group!r} on this machine") from None


def _explained(error: Exception, order: dict[str, Any]) -> str:
    """Why the worker was not started, in one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, OSError):
        if error.errno == errno.EPERM and (order["user"] is not None or order["group"] is not None):
            text += ": only root may start a program as another user or group"
        elif error.filename is not None:
            text = f"{error.filename}: {text}"
    return " ".join(text.split())


def _report(line: str) -> None:
    with contextlib.suppress(OSError):  # the bridge is gone
        os.write(1, line.encode("utf-8", "backslashreplace") + b"\n")


def _wake_on_signals() -> tuple[int, int]:
    """A pipe that a byte is written to for each signal; its writing and its reading end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (*_STOPPING, signal.SIGCHLD):
        signal.signal(number, lambda number, frame: None)
    return writing, reading


def _adopt_orphans() -> None:
    """Have the children of descendants that die become ours, on Linux, wherever they have moved to."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class _Watch:
    """From the worker's start to the end of the last process that came of it."""

    def __init__(self, worker: subprocess.Popen[bytes], grace_s: float, wake: int) -> None:
        self._worker = worker
        self._pid = worker.pid
        self._grace_s = grace_s
        self._wake = wake
        self._lifeline = True
        self._deadline: float | None = None  # for SIGKILL; set once the worker has to stop
        self._told: set[int] = set()  # that had SIGTERM

    def until_nothing_is_left(self, heard: bytes) -> str:
        """Wait for the worker's end, however it comes; returns what to report.

        Args:
            heard: bytes from the lifeline that were read already.
        """
        if heard:
            self._stop()
        while (how := self._how_it_ended()) is None:
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                self._signal(signal.SIGKILL)
                left = _AGAIN_S
            self._wait(left)
        self._end_the_rest()
        # It is a zombie up to here, so that its number, which is that of the group too, is nobody else's.
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGKILL)
        self._worker.wait()
        return how

    def _wait(self, timeout: float | None) -> None:
        """Until a signal comes, the bridge says something or is gone, or time is up."""
        watched = [self._wake, 0] if self._lifeline else [self._wake]
        ready, _, _ = select.select(watched, [], [], timeout)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                if set(os.read(self._wake, 4096)) & set(_STOPPING):
                    self._stop()
        if 0 in ready:
            self._lifeline = bool(os.read(0, 4096))
            self._stop()

    def _stop(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace_s
            self._signal(signal.SIGTERM)

    def _how_it_ended(self) -> str | None:
        """What to report of the worker, which stays a zombie; None while it runs. Buries others' zombies."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13: the number is free a little too early
            status = self._worker.poll()
            return None if status is None else _ending(status)
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return None
            if found.si_pid == self._pid:
                return _ending(found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)
            os.waitpid(found.si_pid, os.WNOHANG)

    def _end_the_rest(self) -> None:
        """End what the worker left behind: SIGTERM, a while, SIGKILL until there is nothing left."""
        now = time.monotonic()
        deadline = self._deadline or now + min(self._grace_s, _LEFTOVER_GRACE_S)
        while others := self._others():
            now = time.monotonic()
            if now >= deadline + _KILL_S:
                break  # in the hands of the kernel
            self._send(signal.SIGTERM if now < deadline else signal.SIGKILL, others)
            select.select([self._wake], [], [], _LOOK_S)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker's group at one stroke, and to what came of it and has left that."""
        self._send(number, [-self._pid])
        others = self._others()
        self._told.update(pid for pid in others if _group_of(pid) == self._pid)
        self._send(number, others)

    def _send(self, number: signal.Signals, targets: list[int]) -> None:
        for target in targets:
            with contextlib.suppress(OSError):  # it is gone, or another user's
                if number == signal.SIGKILL:
                    os.kill(target, number)
                elif target not in self._told:
                    self._told.add(target)
                    os.kill(target, number)
                    os.kill(target, signal.SIGCONT)  # one that is stopped would not notice

    def _others(self) -> list[int]:
        """What is alive of the worker besides itself, as `kill` takes it."""
        processes = processes_of(self._pid, os.getpid())
        if processes is None:
            try:
                os.killpg(self._pid, 0)
            except OSError:  # nobody, or zombies alone
                return []
            return [-self._pid]
        for pid, dead in processes.items():
            if dead and pid != self._pid:
                with contextlib.suppress(ChildProcessError):  # its own parent's to bury
                    os.waitpid(pid, os.WNOHANG)
        return [pid for pid, dead in processes.items() if not dead and pid != self._pid]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _ending(status: int) -> str:
    return f"exited {status}" if status >= 0 else f"killed {-status}"


def processes_of(worker: int, guard: int) -> dict[int, bool] | None:
    """The processes of a worker's group or session, and those that descend from its guard, except that.

    Returns:
        pids, and whether each is a zombie; None where the system has no /proc.
    """
    table: dict[int, tuple[bool, int]] = {}
    found: dict[int, bool] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return None
    for name in names:
        if name.isdigit() and (fields := _stat(int(name))) is not None:
            state, parent, group, session = fields
            table[int(name)] = state in "ZX", parent
            if worker in (group, session):
                found[int(name)] = state in "ZX"
    if not table:
        return None
    children: dict[int, list[int]] = {}
    for pid, (_, parent) in table.items():
        children.setdefault(parent, []).append(pid)
    waiting = [guard]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            found[pid] = table[pid][0]
            waiting.append(pid)
    return found


def parent_of(pid: int) -> int | None:
    """The parent's pid; None where the process is gone, or the system has no /proc."""
    fields = _stat(pid)
    return None if fields is None else fields[1]


def _stat(pid: int) -> tuple[str, int, int, int] | None:
    """State, parent, process group and session of a process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name stands in parentheses, and may have anything in it.
            state, parent, group, session = file.read().rpartition(b")")[2].split()[:4]
    except (OSError, ValueError):
        return None
    return state.decode(), int(parent), int(group), int(session)


if __name__ == "__main__":
    sys.exit(main())
