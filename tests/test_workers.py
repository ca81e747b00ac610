"""Workers of a bridge: real processes under supervision."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bridges import GREETING
from links import resident_bytes
from loops import eventually, run
from supervised import LOGGER, SLEEP, ManualClock, SkippingClock, marked, python, supervised, worker

from mycelium_fast import MyceliumClient
from mycelium_fast.bridge.output import MAX_LINE
from mycelium_fast.bridge.workers import Supervisor
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick
from mycelium_fast.session import core

LINUX = sys.platform.startswith("linux")
on_linux = pytest.mark.skipif(not LINUX, reason="finds processes in /proc, which Linux has")
LOOPS = pytest.mark.parametrize("loop", ["asyncio", "debug", "uvloop"])


# Restarting -------------------------------------------------------------------------------------------------


def test_a_crash_loop_is_slowed_down_and_given_up_exactly() -> None:
    clock = SkippingClock()
    config = worker(
        python("raise SystemExit(3)"),
        restart="on-failure",
        backoff=1.0,
        max_backoff=6.0,
        max_restarts=5,
        restart_window=300.0,
    )

    async def main() -> None:
        async with supervised(config, clock=clock, sleep=clock.sleep) as under:
            last = await under.until("failed")
            assert clock.slept == [1.0, 2.0, 4.0, 6.0, 6.0]
            assert clock.now == 1019.0
            assert (last.restarts, last.last_exit, last.pid) == (5, "status 3", None)
            life = ["started", "exited"]
            assert under.log.events() == [*([*life, "restarting"] * 5), *life, "failed"]
            assert [each.delay_s for each in under.log.of("restarting")] == clock.slept
            assert "5 times within 300 s" in under.log.of("failed")[0].getMessage()
            assert not under.supervisor.ready

    run(main())


@LOOPS
def test_a_worker_that_crashes_is_started_again(loop: str, tmp_path: Path) -> None:
    code = f"""
import os, sys, time
try:
    os.mkdir({str(tmp_path / "was here")!r})
except FileExistsError:
    time.sleep(600)
sys.exit(3)
"""

    async def main() -> None:
        async with supervised(worker(python(code), restart="on-failure", backoff=0.01)) as under:
            await under.until_logged("started", 2)
            now = under.state()
            assert (now.state, now.restarts, now.last_exit) == ("starting", 1, "status 3")
            assert [each.pid for each in under.log.of("started")][1] == now.pid

    run(main(), loop)


@pytest.mark.parametrize(
    ("restart", "code", "state"),
    [
        ("never", "raise SystemExit(3)", "status 3"),
        ("never", "pass", "status 0"),
        ("on-failure", "pass", "status 0"),
    ],
)
def test_a_worker_that_is_not_to_be_started_again_is_left_at_that(
    restart: Any, code: str, state: str
) -> None:
    async def main() -> None:
        async with supervised(worker(python(code), restart=restart)) as under:
            last = await under.until("stopped")
            assert (last.last_exit, last.restarts) == (state, 0)
            assert under.log.events() == ["started", "exited", "stopped"]
            assert under.supervisor.ready  # nobody is waited for

    run(main())


def test_a_worker_that_is_always_to_run_is_started_again_whatever_its_status() -> None:
    config = worker(python("pass"), restart="always", backoff=0.0, max_restarts=2)

    async def main() -> None:
        async with supervised(config) as under:
            last = await under.until("failed")
            assert (last.last_exit, last.restarts) == ("status 0", 2)

    run(main())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"command": ("/no/such/program",)}, "/no/such/program: No such file or directory"),
        ({"directory": Path("/no/such/place")}, "/no/such/place: No such file or directory"),
        ({"user": "no-such-user"}, "there is no user 'no-such-user' on this machine"),
    ],
)
def test_a_worker_that_cannot_be_started_has_failed_at_once(options: Any, reason: str) -> None:
    async def main() -> None:
        async with supervised(worker(restart="always", **options)) as under:
            last = await under.until("failed")
            assert (last.last_exit, last.restarts) == (reason, 0)
            assert under.log.events() == ["failed"]
            assert reason in under.log.of("failed")[0].getMessage()
            assert not under.supervisor.ready

    run(main())


def test_a_guard_that_is_killed_takes_its_worker_along_and_both_are_started_again() -> None:
    async def main() -> None:
        async with supervised(worker(restart="on-failure", backoff=0.01)) as under:
            pid = (await under.until_logged("started"))[0].pid
            guard = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)]))
            assert guard != os.getpid()
            os.kill(guard, signal.SIGKILL)
            await under.until_logged("started", 2)
            assert "its guard ended: SIGKILL" in under.log.of("exited")[0].getMessage()
            await eventually(lambda: not alive(pid))

    run(main())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return not state.strip().startswith("Z") and bool(state.strip())


# Readiness and the watchdog ---------------------------------------------------------------------------------


def test_a_worker_is_ready_once_it_is_connected() -> None:
    async def main() -> None:
        async with supervised(worker(), worker(name="other")) as under:
            await under.until_logged("started", 2)
            assert under.state().state == "starting"
            under.supervisor.connected("worker")
            under.supervisor.connected("worker")
            under.supervisor.connected("nobody")
            assert under.state().state == "running"
            assert not under.supervisor.ready
            under.supervisor.connected("other")
            assert under.supervisor.ready
            under.supervisor.lost("worker")
            assert under.supervisor.ready
            assert under.log.events().count("ready") == 1

    run(main())


def test_a_worker_is_not_ready_again_before_it_is_connected_again() -> None:
    async def main() -> None:
        async with supervised(worker(restart="on-failure", backoff=0.01)) as under:
            pid = (await under.until_logged("started"))[0].pid
            under.supervisor.connected("worker")
            os.kill(pid, signal.SIGKILL)
            await under.until_logged("started", 2)
            assert not under.supervisor.ready
            assert under.state().last_exit == "SIGKILL"
            under.supervisor.connected("worker")
            assert under.supervisor.ready

    run(main())


def test_a_worker_that_hangs_is_started_again() -> None:
    clock = ManualClock()
    config = worker(restart="on-failure", backoff=1.0, watchdog=3.0)

    async def main() -> None:
        async with supervised(config, clock=clock, sleep=clock.sleep) as under:
            await under.until_logged("started")
            await clock.advance(100.0)  # not connected yet: nothing to be heard
            under.supervisor.connected("worker")
            await clock.until_slept_on()
            await clock.advance(2.5)
            under.supervisor.heard("worker")
            await clock.advance(0.5)  # looks, and finds that it was heard
            await clock.advance(2.0)
            assert under.state().state == "running"
            await clock.advance(0.5)
            assert under.state().state == "stopping"
            assert "no sign of life for 3 s" in under.log.of("hung")[0].getMessage()
            await under.until("waiting")
            assert under.state().last_exit == "hung"
            await clock.until_slept_on(lambda left: left == 1.0)
            await clock.advance(1.0)
            await under.until_logged("started", 2)
            assert under.state().restarts == 1

    run(main())


def test_a_worker_that_stops_for_good_is_found_by_the_watchdog() -> None:
    """With real time, and a process that does nothing at all any more."""
    config = worker(restart="on-failure", backoff=0.01, watchdog=0.2, grace=0.2)

    async def main() -> None:
        async with supervised(config) as under:
            pid = (await under.until_logged("started"))[0].pid
            os.kill(pid, signal.SIGSTOP)
            under.supervisor.connected("worker")
            await under.until_logged("started", 2)
            assert under.log.events() == ["started", "ready", "hung", "exited", "restarting", "started"]

    run(main())


def test_a_worker_that_lost_its_connection_has_the_time_of_the_watchdog_for_another() -> None:
    clock = ManualClock()

    async def main() -> None:
        async with supervised(worker(watchdog=3.0), clock=clock, sleep=clock.sleep) as under:
            await under.until_logged("started")
            under.supervisor.connected("worker")
            await clock.until_slept_on()
            under.supervisor.lost("worker")
            await clock.advance(2.0)
            under.supervisor.connected("worker")
            await clock.advance(1.0)
            assert under.state().state == "running"
            under.supervisor.lost("worker")
            await clock.advance(2.0)
            assert (
                "no sign of life for 3 s, and has no connection any more"
                in under.log.of("hung")[0].getMessage()
            )
            await under.until("stopped")

    run(main())


def test_a_bridge_that_stood_still_itself_gives_workers_time_to_be_heard() -> None:
    clock = ManualClock()

    async def main() -> None:
        async with supervised(worker(watchdog=3.0), clock=clock, sleep=clock.sleep) as under:
            await under.until_logged("started")
            under.supervisor.connected("worker")
            await clock.until_slept_on()
            await clock.advance(100.0)
            assert under.state().state == "running"
            await clock.advance(3.0)
            assert under.state().state == "stopping"
            await under.until("stopped")

    run(main())


def test_a_worker_that_is_never_ready_has_failed() -> None:
    clock = ManualClock()
    config = worker(restart="on-failure", ready_timeout=5.0, max_restarts=0)

    async def main() -> None:
        async with supervised(config, clock=clock, sleep=clock.sleep) as under:
            await under.until_logged("started")
            await clock.until_slept_on()
            await clock.advance(4.9)
            assert under.state().state == "starting"
            await clock.advance(0.2)
            assert (await under.until("failed")).last_exit == "never ready"
            assert "not ready within 5 s" in under.log.of("hung")[0].getMessage()

    run(main())


# Stopping ---------------------------------------------------------------------------------------------------

DEAF = python("""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
""")


@LOOPS
def test_all_workers_are_stopped_at_once_each_with_its_grace(loop: str) -> None:
    async def main() -> None:
        configs = [worker(DEAF, f"deaf {number}", grace=1.0) for number in range(4)]
        async with supervised(*configs, worker()) as under:
            await under.until_logged("output", 4)
            await under.until_logged("started", 5)
            stopping = asyncio.create_task(under.supervisor.stop())
            await eventually(lambda: under.state("deaf 0").state == "stopping")
            await stopping
            assert [each.last_exit for each in under.supervisor.snapshot()] == ["SIGKILL"] * 4 + ["SIGTERM"]
            killed = [each.created for each in under.log.of("exited") if "SIGKILL" in each.getMessage()]
            assert max(killed) - min(killed) < 3.0  # and not four seconds
            assert {each.state for each in under.supervisor.snapshot()} == {"stopped"}

    run(main(), loop)


def test_a_worker_that_waits_to_be_restarted_is_stopped_at_once() -> None:
    async def main() -> None:
        async with supervised(
            worker(python("exit(1)"), restart="always", backoff=600.0, max_backoff=600.0)
        ) as under:
            await under.until("waiting")
            await under.supervisor.stop()
            assert under.log.events() == ["started", "exited", "restarting", "stopped"]

    run(main())


def test_workers_may_be_stopped_while_they_start() -> None:
    async def main() -> None:
        for turns in range(0, 40, 4):
            async with supervised(worker(restart="always")) as under:
                for _ in range(turns):
                    await asyncio.sleep(0.001)
                await under.supervisor.stop()
                assert under.state().state == "stopped"
                await under.supervisor.stop()

    run(main())


@on_linux
def test_grandchildren_end_with_their_worker_wherever_they_moved_to() -> None:
    code = """
import os, signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("ready", flush=True)
signal.pause()
"""

    async def main() -> None:
        async with supervised(worker(python(code), grace=0.2)) as under:
            await under.until_printed("ready")
            await eventually(lambda: len(under.left()) == 3)
            await under.supervisor.stop()
            assert under.left() == []

    run(main())


@on_linux
def test_a_grandchild_that_keeps_the_output_open_holds_nothing_up() -> None:
    code = """
import subprocess, sys
subprocess.Popen(["sleep", "600"], start_new_session=True)
sys.stdout.write("last words")
sys.exit(1)
"""
    config = worker(python(code), restart="on-failure", backoff=0.01, max_restarts=1)

    async def main() -> None:
        async with supervised(config) as under:
            await under.until("failed")
            assert under.log.output() == ["last words"] * 2
            assert under.left() == []

    run(main())


#: Runs a supervisor with a worker that has children, until somebody kills it.
SUPERVISOR = """
import asyncio, sys
from mycelium_fast.bridge.config import WorkerConfig
from mycelium_fast.bridge.workers import Supervisor

code = '''
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"])
subprocess.Popen(["sleep", "600"], start_new_session=True)
signal.pause()
'''

async def main():
    workers = [
        WorkerConfig("one", (sys.executable, "-S", "-c", code), grace=0.2),
        WorkerConfig("two", ("sleep", "600")),
    ]
    await Supervisor(workers, environment={}, attach=lambda *_: None).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@on_linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nobody_is_orphaned_by_a_bridge_that_is_killed(number: signal.Signals) -> None:
    mark = f"MARK=orphans-{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR],
        env={**os.environ, "MARK": mark.partition("=")[2]},
        stderr=subprocess.DEVNULL,
    )
    try:
        # Itself, two guards, two workers, two children of one of these.
        wait_for(lambda: len(marked(mark)) == 7)
        process.send_signal(number)
        assert process.wait(20) != 0
        wait_for(lambda: not marked(mark))
    finally:
        process.kill()
        process.wait()
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Output -----------------------------------------------------------------------------------------------------


def test_output_of_any_bytes_is_in_the_log_line_by_line() -> None:
    code = r"""
import os
os.write(1, b"caf\xc3\xa9\ncaf\xe9\n\x00\x1b[31mred\r\n\xff\xfe")
os.write(2, b"error\n")
os.write(1, b" no newline")
"""

    async def main() -> None:
        async with supervised(worker(python(code))) as under:
            await under.until("stopped")
            assert under.log.output() == ["caf\u00e9", r"caf\xe9", r"\x00\x1b[31mred", r"\xff\xfe no newline"]
            assert under.log.output("stderr") == ["error"]
            record = under.log.of("output")[0]
            assert (record.name, record.worker, record.event) == (LOGGER, "worker", "worker.output")

    run(main())


def test_a_line_that_is_too_long_is_cut_and_marked() -> None:
    async def main() -> None:
        async with supervised(worker(python("print('x' * 20_000); print('next')"))) as under:
            await under.until("stopped")
            records = under.log.of("output")
            assert [getattr(each, "cut", False) for each in records] == [True, True, False, False]
            assert records[0].args[1] == "x" * MAX_LINE
            assert "".join(each.args[1] for each in records) == "x" * 20_000 + "next"

    run(main())


@LOOPS
@pytest.mark.parametrize(
    "count", [pytest.param(50_000, id="short"), pytest.param(1_000_000, marks=pytest.mark.long, id="long")]
)
def test_a_flood_of_lines_arrives_whole_and_starves_nobody(count: int, loop: str) -> None:
    code = f"""
import sys
for first in range(0, {count}, 1000):
    sys.stdout.write("".join(f"{{number}}\\n" for number in range(first, first + 1000)))
"""
    arrived, turns = [0, 0], [0]

    async def main() -> None:
        async with supervised(worker(python(code))) as under:

            def count_instead(record: Any) -> None:
                if record.event == "worker.output":
                    arrived[1] += int(record.args[1]) == arrived[0]
                    arrived[0] += 1

            under.log.emit = count_instead  # type: ignore[method-assign]
            before = resident_bytes() if LINUX else 0
            while under.state().state != "stopped":
                await asyncio.sleep(0)
                turns[0] += 1
            assert arrived == [count, count]
            assert turns[0] > count / 100
            if LINUX:
                assert resident_bytes() - before < 16 * 1024 * 1024

    run(main(), loop, timeout=300)


def test_a_log_that_takes_no_more_holds_up_the_worker_and_not_the_memory() -> None:
    """The pipe is full: the worker waits, for as long as the event loop is busy with other things."""
    code = "import os\nos.set_blocking(1, True)\nwhile True: os.write(1, b'y' * 999 + b'\\n')"

    async def main() -> None:
        async with supervised(worker(python(code), grace=0.0)) as under:
            await under.until_logged("output", 1000)
            before = len(under.log.of("output"))
            await asyncio.sleep(0)
            # In one turn of the event loop there is no more than one helping.
            assert len(under.log.of("output")) - before <= 128

    run(main())


def test_a_handler_that_fails_costs_no_worker_its_output() -> None:
    async def main() -> None:
        async with supervised(worker(python("print(1); print(2)"))) as under:
            emit = under.log.emit

            def fail_once(record: Any) -> None:
                emit(record)
                if record.event == "worker.output" and record.args[1] == "1":
                    raise RuntimeError("disk full")

            under.log.emit = fail_once  # type: ignore[method-assign]
            await under.until("stopped")
            assert under.log.output() == ["1", "2"]

    run(main())


# What a worker finds ----------------------------------------------------------------------------------------


def test_a_worker_finds_the_bridge_and_its_own_settings_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_THE_BRIDGE", "yes")
    monkeypatch.setenv("NOT_FOR_WORKERS", "yes")
    monkeypatch.setenv("MYCELIUM_SOCKET", "another bridge's")
    config = worker(
        python(
            "import os\n"
            "print(os.environ.get('MYCELIUM_SOCKET'), os.environ.get('MYCELIUM_SCHEMA_DIGEST'), sep='\\n')\n"
            "for name in 'FROM_THE_BRIDGE', 'NOT_FOR_WORKERS', 'OWN':\n"
            "    print(os.environ.get(name))\n"
            "print(os.getcwd())"
        ),
        directory=tmp_path,
        environment={"OWN": "1", "NOT_FOR_WORKERS": None},
    )
    digest = SCHEMA_DIGEST.hex()

    async def main() -> None:
        async with supervised(config, environment={"MYCELIUM_SCHEMA_DIGEST": digest}) as under:
            await under.until("stopped")
            assert under.log.output() == [
                "/run/bus.sock",
                digest,
                "yes",
                "None",
                "1",
                str(tmp_path.resolve()),
            ]

    run(main())


def test_a_worker_runs_as_the_user_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.getuid())
    monkeypatch.setenv("HOME", "/home/of/the/bridge")
    config = worker(("sh", "-c", 'id -u; echo "$HOME $LOGNAME"'), user=user.pw_name)

    async def main() -> None:
        async with supervised(config) as under:
            await under.until("stopped")
            assert under.log.output() == [str(user.pw_uid), f"{user.pw_dir} {user.pw_name}"]

    run(main())


def test_an_environment_of_any_size_gets_through() -> None:
    config = worker(
        python("import os; print(len(os.environ))"), environment={f"V{n}": "x" * 1000 for n in range(999)}
    )

    async def main() -> None:
        async with supervised(config) as under:
            await under.until("stopped")
            assert int(under.log.output()[0]) > 999

    run(main())


def test_what_a_python_worker_prints_is_in_the_log_at_once() -> None:
    async def main() -> None:
        async with supervised(worker(python("print('now'); import time; time.sleep(600)"))) as under:
            await under.until_printed("now")

    run(main())


# Whose process is it? ---------------------------------------------------------------------------------------


def test_a_process_belongs_to_the_worker_that_it_comes_from() -> None:
    code = """
import subprocess, sys
inside = subprocess.Popen(["sleep", "600"])
outside = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(inside.pid, outside.pid, flush=True)
inside.wait()
"""

    async def main() -> None:
        async with supervised(worker(python(code), grace=0.5), worker(name="other")) as under:
            await under.until_logged("started", 2)
            await under.until_logged("output")
            inside, outside = map(int, under.log.output()[0].split())
            of = under.supervisor.worker_of
            assert of(under.state().pid or 0) == "worker"
            assert of(under.state("other").pid or 0) == "other"
            assert of(inside) == "worker"
            if LINUX:
                assert of(outside) == "worker"
            for pid in (os.getpid(), os.getppid(), 1, 0, -1):
                assert of(pid) is None
            await under.supervisor.stop()
            assert of(inside) is None

    run(main())


# Other workers than before ----------------------------------------------------------------------------------


def test_a_reload_touches_those_alone_that_changed() -> None:
    async def main() -> None:
        same, changed, gone = worker(name="same"), worker(name="changed"), worker(name="gone")
        failed = worker(("/no/such/program",), "failed")
        done = worker(python("pass"), "done")
        async with supervised(same, changed, gone, failed, done) as under:
            await under.until_logged("started", 4)
            await under.until("failed", worker="failed")
            await under.until("stopped", worker="done")
            pids = {each.name: each.pid for each in under.supervisor.snapshot()}
            under.supervisor.connected("same")
            new = worker(SLEEP, "changed", environment={"NEW": "1"})
            await under.supervisor.reload([worker(name="new"), same, new, failed, done])
            await under.until_logged("started", 6)
            await under.until_logged("failed", 2)  # it had another chance
            now = {each.name: each for each in under.supervisor.snapshot()}
            assert list(now) == ["new", "same", "changed", "failed", "done"]
            assert now["same"].pid == pids["same"]
            assert now["same"].state == "running"
            assert now["changed"].pid != pids["changed"]
            assert now["done"].state == "stopped"
            assert under.log.events("done") == ["started", "exited", "stopped"]
            assert under.log.events("gone") == ["started", "exited", "stopped"]

    run(main())


def test_a_reload_with_a_name_twice_changes_nothing() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="two workers by the name of 'worker'"):
            Supervisor([worker(), worker()], environment={}, attach=lambda *_: None)
        async with supervised(worker()) as under:
            pid = (await under.until_logged("started"))[0].pid
            with pytest.raises(ValueError, match="two workers by the name of 'new'"):
                await under.supervisor.reload([worker(name="new"), worker(name="new")])
            assert under.state().pid == pid

    run(main())


# Standard input and output as a connection ------------------------------------------------------------------

ASYNC = """
import asyncio
import os
from mycelium_fast import MyceliumClient
from mycelium_fast.example_messages import TradeTick

async def main():
    async with MyceliumClient("stdio:", service="on stdio") as client:
        print("stray")
        os.system("cat; echo from a child")  # cat, of its standard input
        ticks = client.subscriber(TradeTick)
        await client.publish(TradeTick(1, 2))
        async for tick in ticks:
            print(tick)
            break
    try:
        await client.connect()
    except OSError as error:
        print(error)

asyncio.run(main())
"""
BLOCKING = """
import os
from mycelium_fast import SocketTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick

with SocketTransport.stdio(SCHEMA_DIGEST, service="on stdio") as transport:
    print("stray")
    os.system("cat; echo from a child")
    ticks = transport.subscriber(TradeTick)
    transport.publisher(TradeTick).publish(TradeTick(1, 2))
    print(ticks.recv(timeout=20))
print(transport.address)
try:
    SocketTransport.stdio(SCHEMA_DIGEST)
except OSError as error:
    print(error)
"""


@LOOPS
@pytest.mark.parametrize("code", [ASYNC, BLOCKING], ids=["asyncio", "blocking"])
def test_a_worker_can_speak_over_its_standard_input_and_output(code: str, loop: str) -> None:
    config = worker((sys.executable, "-c", code), transport="stdio")

    async def main() -> None:
        async with supervised(config) as under:
            sock, name = await asyncio.wait_for(under.attached.get(), 20)
            assert name == "worker"
            reader, writer = await asyncio.open_unix_connection(sock=sock)
            try:
                assert await reader.readexactly(len(GREETING)) == GREETING
                while (frame := await next_frame(reader)) != TradeTick(1, 2).to_frame():
                    said = core.MESSAGES[int.from_bytes(frame[:2], "little")].from_bytes(frame[6:])
                    if isinstance(said, core.Hello):
                        assert said.service == "on stdio"
                        writer.write(core.Welcome(1, said.features, 1, 16_777_216, "test").to_frame())
                    elif isinstance(said, core.Subscribe):
                        writer.write(core.Subscribed(said.request).to_frame())
                writer.write(TradeTick(3, 4).to_frame())
                await asyncio.wait_for(reader.read(), 20)  # to its end
            finally:
                writer.close()
                await writer.wait_closed()
            last = await under.until("stopped")
            printed = under.log.output("stderr")
            assert last.last_exit == "status 0", printed
            assert printed[:3] == ["stray", "from a child", "TradeTick(price=3, size=4)"]
            assert "standard input is no connection, or was used" in printed[-1]
            assert under.log.output() == []

    run(main(), loop)


async def next_frame(reader: asyncio.StreamReader) -> bytes:
    header = await asyncio.wait_for(reader.readexactly(6), 20)
    return header + await asyncio.wait_for(reader.readexactly(int.from_bytes(header[2:], "little")), 20)


def test_a_connection_of_a_worker_that_says_nothing_is_nobodys_business() -> None:
    async def main() -> None:
        async with supervised(worker(python("pass"), transport="stdio")) as under:
            await under.until("stopped")
            assert under.attached.empty()

    run(main())


def test_what_a_short_lived_worker_said_is_still_handed_over() -> None:
    async def main() -> None:
        async with supervised(worker(python("import os; os.write(1, b'all')"), transport="stdio")) as under:
            sock, _ = await asyncio.wait_for(under.attached.get(), 20)
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(sock, 100) == b"all"
            assert await loop.sock_recv(sock, 100) == b""
            sock.close()

    run(main())


def test_a_connection_that_was_not_made_over_tcp_has_no_tls() -> None:
    async def main() -> None:
        client = MyceliumClient("stdio:", schema_digest=SCHEMA_DIGEST, tls=ssl.create_default_context())
        with pytest.raises(ValueError, match="stdio: is a connection that is made already"):
            await client.connect()

    run(main())


@pytest.mark.parametrize("stdin", ["null", "pipe"])
def test_a_standard_input_that_is_no_socket_is_a_clear_error(stdin: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", ASYNC],
        **({"input": b""} if stdin == "pipe" else {"stdin": subprocess.DEVNULL}),
        capture_output=True,
        timeout=60,
    )
    assert b"TransportError: standard input is no connection" in result.stderr
    assert b'transport = "stdio"' in result.stderr
