"""The guard of a worker: it starts it, and nothing is left when either of them, or the bridge, is gone."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mycelium_fast.bridge import guard

LINUX = sys.platform.startswith("linux")
on_linux = pytest.mark.skipif(not LINUX, reason="reads /proc, and adopts orphans, which Linux has")


class Guarded:
    """A guard with one worker, a Python program whose output the test reads."""

    def __init__(
        self, *command: str, grace: float = 20.0, run: tuple[str, ...] = (guard.__file__,), **order: Any
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", *run],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[writing := self._pipe()],
            start_new_session=True,
        )
        os.close(writing)
        full = {
            "command": command,
            "environment": {**os.environ, "MARK": self.mark},
            "directory": None,
            "user": None,
            "group": None,
            "grace": grace,
            "stdin": None,
            "stdout": writing,
            "stderr": writing,
            **order,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(full).encode() + b"\n")
        self.process.stdin.flush()

    def _pipe(self) -> int:
        reading, writing = os.pipe()
        self.output = os.fdopen(reading, "r")
        return writing

    def report(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip("\n")

    def started(self) -> int:
        word, _, pid = self.report().partition(" ")
        assert word == "started"
        return int(pid)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def left(self) -> list[int]:
        """The processes that came of the worker and are alive."""
        return marked(f"MARK={self.mark}")

    def wait_left(self, count: int) -> None:
        """Wait until they are so many: of one that is just becoming another program, /proc shows no
        environment."""
        give_up = time.monotonic() + 20
        while len(left := self.left()) != count:
            assert time.monotonic() < give_up, left
            time.sleep(0.01)

    def close(self) -> None:
        for pid in self.left():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.output.close()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def marked(mark: str) -> list[int]:
    """Processes, but zombies, that have this in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def guarded(*command: str, **order: Any) -> Iterator[Guarded]:
    running = Guarded(*command, **order)
    try:
        yield running
    finally:
        running.close()


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-S", "-c", code


#: Says that it runs once nothing can kill it but SIGKILL.
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def test_it_tells_the_pid_and_the_status() -> None:
    with guarded(*python("import os; print(os.getpid()); raise SystemExit(3)")) as one:
        assert one.started() == int(one.output.readline())
        assert one.report() == "exited 3"
        assert one.process.wait(20) == 0


def test_it_tells_the_signal_that_killed_the_worker() -> None:
    with guarded(*python("import os; os.kill(os.getpid(), 9)")) as one:
        one.started()
        assert one.report() == "killed 9"


@pytest.mark.parametrize(
    ("order", "report"),
    [
        ({"command": ["/no/such/program"]}, "failed 2 /no/such/program: No such file or directory"),
        ({"command": ["/"]}, "failed 13 /: Permission denied"),
        ({"directory": "/no/such/place"}, "failed 2 /no/such/place: No such file or directory"),
        ({"user": "no-such-user"}, "failed 0 there is no user 'no-such-user' on this machine"),
        ({"group": "no-such-group"}, "failed 0 there is no group 'no-such-group' on this machine"),
        (
            {"user": "3999999999"},
            "failed 0 there is no user '3999999999' on this machine; "
            "name a group as well to use it all the same",
        ),
    ],
)
def test_a_worker_that_cannot_be_started_is_told_with_the_reason(order: Any, report: str) -> None:
    with guarded(*python("pass"), **order) as one:
        assert one.report() == report
        assert one.process.wait(20) == 1


def test_the_end_of_its_input_ends_the_worker() -> None:
    with guarded(*python("import time; print('up', flush=True); time.sleep(600)")) as one:
        one.started()
        assert one.output.readline() == "up\n"
        one.stop()
        assert one.report() == "killed 15"
        assert one.process.wait(20) == 0


def test_a_worker_can_end_in_order_within_its_grace() -> None:
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))
print("up", flush=True)
time.sleep(600)
"""
    with guarded(*python(code)) as one:
        one.started()
        assert one.output.readline() == "up\n"
        one.stop()
        assert one.report() == "exited 7"


def test_a_worker_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    with guarded(*python(DEAF), grace=0.2) as one:
        one.started()
        assert one.output.readline() == "deaf\n"
        one.stop()
        assert one.report() == "killed 9"


def test_a_worker_that_is_stopped_can_be_ended_in_order() -> None:
    with guarded(*python("import time; print('up', flush=True); time.sleep(600)")) as one:
        pid = one.started()
        assert one.output.readline() == "up\n"
        os.kill(pid, signal.SIGSTOP)
        one.stop()
        assert one.report() == "killed 15"


def test_sigterm_to_the_guard_ends_the_worker() -> None:
    with guarded(*python("import time; time.sleep(600)")) as one:
        one.started()
        one.process.terminate()
        assert one.report() == "killed 15"
        assert one.process.wait(20) == 0


def test_a_guard_that_is_told_nothing_ends_by_itself() -> None:
    command = [sys.executable, "-I", "-S", guard.__file__]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_the_worker_has_a_session_of_its_own_and_the_usual_signals() -> None:
    code = """
import os, signal
print(os.getpid() == os.getsid(0) == os.getpgid(0))
print([signal.getsignal(each) == signal.SIG_DFL for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)])
"""
    # (Python itself ignores SIGPIPE.)
    with guarded(*python(code)) as one:
        assert one.output.read() == "True\n[True, True, False]\n"


def test_the_worker_gets_nothing_but_its_output_and_an_empty_input() -> None:
    code = "import os, sys; print(sys.stdin.read(), sorted(map(int, os.listdir('/dev/fd')))[:4])"
    with guarded(*python(code)) as one:
        assert one.output.read().split(maxsplit=0)[0].strip() == "[0, 1, 2, 3]"  # 3 is the listing's own


def test_it_runs_in_the_directory_with_the_environment_that_it_is_told(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "NAME": "na\u00efve \udcff"}
    code = "import os; print(os.getcwd(), os.environb[b'NAME'], sorted(os.environ))"
    with guarded(*python(code), directory=str(tmp_path), environment=environment) as one:
        where, name = one.output.read().split(" ", 1)
    assert where == str(tmp_path.resolve())
    assert name.startswith(repr(environment["NAME"].encode("utf-8", "surrogateescape")))
    assert "MARK" not in name


#: Whom workers can run as here.
USER = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.getuid())


@pytest.mark.parametrize("user", [USER.pw_name, str(USER.pw_uid)])
def test_it_runs_as_the_user_that_it_is_told(user: str) -> None:
    environment = {"PATH": os.environ["PATH"]}
    with guarded("sh", "-c", 'id -u; id -g; echo "$USER $HOME"', user=user, environment=environment) as one:
        printed = one.output.read()
    assert printed == f"{USER.pw_uid}\n{USER.pw_gid}\n{USER.pw_name} {USER.pw_dir}\n"


@pytest.mark.parametrize("named", ["user", "group"])
def test_it_runs_as_the_group_that_it_is_told(named: str) -> None:
    """For another user root's own groups are not those of the worker."""
    group = 54321 if os.geteuid() == 0 else os.getgid()
    order = {"group": str(group), "user": USER.pw_name if named == "user" else None}
    with guarded("sh", "-c", "id -g; id -G", **order) as one:
        main, further = one.output.read().splitlines()
    assert main == str(group)
    if named == "user" and os.geteuid() == 0:
        assert set(further.split()) == {str(each) for each in os.getgrouplist(USER.pw_name, group)}


def test_another_user_is_refused_with_the_reason_to_who_is_not_root() -> None:
    # (It is imported as who we are, who may be the only one to have access to the checkout.)
    code = f"""
import os, pwd, sys
sys.path.insert(0, {os.path.dirname(guard.__file__)!r})
import guard
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({USER.pw_gid})
    os.setuid({USER.pw_uid})
sys.exit(guard.main())
"""
    with guarded("id", user="root", run=("-c", code)) as one:
        assert one.report().endswith(": only root may start a program as another user or group")


#: Leaves a process behind in its group, one in a session of its own, and one whose parent died long ago.
LEAVING = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # inherited
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sleep = ["sleep", "600"]
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", sleep)
    os._exit(0)
os.wait()
print("ready", flush=True)
sys.stdin.close()
"""


@on_linux
@pytest.mark.parametrize("then", ["raise SystemExit(4)", "time.sleep(600)"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_that_came_of_the_worker_survives_it(then: str, end: str) -> None:
    with guarded(*python(LEAVING + then), grace=0.2) as one:
        pid = one.started()
        assert one.output.readline() == "ready\n"
        if "sleep" in then:
            one.wait_left(4)
            if end == "kill":
                os.kill(pid, signal.SIGKILL)
            else:
                one.stop()
        assert one.report() == ("killed 9" if "sleep" in then else "exited 4")
        assert one.left() == []
        assert one.output.read() == ""  # nobody has it open any more
        assert one.process.wait(20) == 0


@on_linux
def test_what_the_worker_left_behind_may_end_in_order() -> None:
    code = """
import os, signal, sys, time
reading, writing = os.pipe()
if os.fork():
    os.read(reading, 1)
    raise SystemExit(0)
os.setsid()
signal.signal(signal.SIGTERM, lambda number, frame: (print("in order", flush=True), sys.exit()))
os.write(writing, b"x")
time.sleep(600)
"""
    with guarded(*python(code)) as one:
        one.started()
        assert one.report() == "exited 0"
        assert one.output.read() == "in order\n"


@on_linux
def test_orphans_that_end_while_the_worker_runs_leave_no_zombies() -> None:
    code = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.wait()
print("ready", flush=True)
time.sleep(600)
"""
    with guarded(*python(code)) as one:
        pid = one.started()
        assert one.output.readline() == "ready\n"
        eventually(lambda: set(guard.processes_of(pid, one.process.pid) or ()) == {pid})


def test_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(guard.__file__).read_text())
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
    }
    assert names <= sys.stdlib_module_names
