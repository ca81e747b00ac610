"""`mycelium worker`: a function of a user's module with a connected client, as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, Bridge, bridge
from loops import eventually
from loops import run as run_loop
from supervised import Log, logged, marked

from mycelium_fast import MyceliumClient, UnixTransport
from mycelium_fast.bridge.bridge import Bridge as EmbeddedBridge
from mycelium_fast.bridge.config import BridgeConfig, Listener, WorkerConfig
from mycelium_fast.bus.worker import load_function, worker_address, worker_digest
from mycelium_fast.errors import SchemaMismatchError
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick
from mycelium_fast.transport.addresses import Address

#: Echoes every tick with its price doubled.
FUNCTIONS = """
import asyncio
import contextlib
import json
import os
import time

from mycelium_fast import MyceliumClient
from mycelium_fast.example_messages import TradeTick


async def echo(client):
    done = asyncio.Event()

    async def on_tick(tick: TradeTick):
        if tick.size == 1:
            await client.publish(TradeTick(tick.price * 2, 2))

    await client.subscribe(on_tick)
    await client.publish(TradeTick(1, 0))
    try:
        await done.wait()
    finally:
        await client.publish(TradeTick(2, 0))
        print("in order", flush=True)


def blocking_echo(transport):
    publisher = transport.publisher(TradeTick)
    ticks = transport.subscriber(TradeTick)
    publisher.publish(TradeTick(1, 0))
    try:
        for tick in ticks:
            if tick.size == 1:
                publisher.publish(TradeTick(tick.price * 2, 2))
    finally:
        publisher.publish(TradeTick(2, 0))
        print("in order", flush=True)


async def returning(client):
    print(type(client).__name__)
    await client.publish(TradeTick(7, 7))


def blocking_returning(transport):
    print(type(transport).__name__)
    transport.publisher(TradeTick).publish(TradeTick(7, 7))


async def failing(client):
    await client.publish(TradeTick(7, 7))
    raise ValueError("of its own")


def blocking_failing(transport):
    transport.publisher(TradeTick).publish(TradeTick(7, 7))
    raise ValueError("of its own")


async def exiting(client):
    raise SystemExit(5)


def blocking_exiting(transport):
    raise SystemExit(5)


class Strategy:
    async def __call__(self, client):
        print("called")

    async def method(self, client):
        print("method")


strategy = Strategy()
number = 7


def none():
    pass
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with bridge(tmp_path_factory.mktemp("bridge") / "bus.sock") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "__init__.py").write_text("")
    (tmp_path / "strategies" / "momentum.py").write_text(FUNCTIONS)
    return tmp_path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "mycelium_fast", "worker", *map(str, arguments)]


def run(folder: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def path_of(served: Bridge) -> Path:
    assert served.path is not None
    return served.path


@pytest.mark.parametrize("function", ["echo", "blocking_echo"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_function_runs_connected_until_a_signal_and_ends_in_order(
    function: str, number: signal.Signals, served: Bridge, folder: Path
) -> None:
    with UnixTransport(path_of(served), SCHEMA_DIGEST, echo=False) as transport:
        ticks = transport.subscriber(TradeTick)
        process = subprocess.Popen(
            command("--socket", served.path, f"strategies.momentum:{function}"),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert ticks.recv(timeout=60) == TradeTick(1, 0)
            transport.publisher(TradeTick).publish(TradeTick(21, 1))
            assert ticks.recv(timeout=60) == TradeTick(42, 2)
            process.send_signal(number)
            assert process.communicate(timeout=60) == ("in order\n", "")
            assert process.returncode == 0
            assert ticks.recv(timeout=60) == TradeTick(2, 0)  # published when it was ending
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("function", "client"), [("returning", "MyceliumClient"), ("blocking_returning", "UnixTransport")]
)
def test_a_function_that_returns_has_sent_what_it_published(
    function: str, client: str, served: Bridge, folder: Path
) -> None:
    with UnixTransport(path_of(served), SCHEMA_DIGEST) as transport:
        ticks = transport.subscriber(TradeTick)
        result = run(folder, "--socket", f"unix:{served.path}", f"strategies.momentum:{function}")
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{client}\n", "")
        assert ticks.recv(timeout=20) == TradeTick(7, 7)


@pytest.mark.parametrize("function", ["failing", "blocking_failing"])
def test_a_function_that_raises_shows_its_traceback(function: str, served: Bridge, folder: Path) -> None:
    with UnixTransport(path_of(served), SCHEMA_DIGEST) as transport:
        ticks = transport.subscriber(TradeTick)
        result = run(folder, "--socket", served.path, f"strategies.momentum:{function}")
        assert result.returncode == 1
        lines = result.stderr.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert "momentum.py" in lines[1]  # and nothing of ours before it
        assert lines[-1] == "ValueError: of its own"
        assert ticks.recv(timeout=20) == TradeTick(7, 7)


@pytest.mark.parametrize("function", ["exiting", "blocking_exiting"])
def test_a_function_may_choose_its_status(function: str, served: Bridge, folder: Path) -> None:
    assert run(folder, "--socket", served.path, f"strategies.momentum:{function}").returncode == 5


@pytest.mark.parametrize(("function", "printed"), [("strategy", "called\n"), ("strategy.method", "method\n")])
def test_objects_and_methods_are_functions_too(
    function: str, printed: str, served: Bridge, folder: Path
) -> None:
    assert run(folder, "--socket", served.path, f"strategies.momentum:{function}").stdout == printed


def test_a_bridge_says_where_it_is_and_what_its_schema_is(served: Bridge, folder: Path) -> None:
    environment = {"MYCELIUM_SOCKET": str(served.path), "MYCELIUM_SCHEMA_DIGEST": SCHEMA_DIGEST.hex()}
    result = run(folder, "strategies.momentum:returning", **environment)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_service_is_called_like_the_module_or_as_told(served: Bridge, folder: Path) -> None:
    run(folder, "--socket", served.path, "strategies.momentum:returning")
    served.wait_log("strategies.momentum")
    run(folder, "--socket", served.path, "--service", "by another name", "strategies.momentum:returning")
    served.wait_log("by another name")


def test_a_function_for_an_endpoint_without_handshake(tmp_path: Path, folder: Path) -> None:
    with bridge(tmp_path / "plain.sock", "--no-handshake", contracts=None) as plain:
        result = run(
            folder, "--socket", plain.path, "--no-handshake", "strategies.momentum:blocking_returning"
        )
        assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("function", ["returning", "blocking_returning"])
def test_a_bridge_that_is_not_there_is_told(function: str, folder: Path) -> None:
    result = run(folder, "--socket", "/no/such/bus.sock", f"strategies.momentum:{function}")
    assert result.returncode == 1
    assert result.stderr.startswith("error: cannot connect to unix socket /no/such/bus.sock")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("strategies.momentum:retruning", "no function 'retruning'; did you mean 'returning'?"),
        ("strategies.momentm:echo", "no module 'strategies.momentm'"),
        ("strategies.momentm:echo", "did you mean 'strategies.momentum'?"),
        ("strategis.momentum:echo", "did you mean 'strategies'?"),
        ("strategies.momentum", "is not MODULE:FUNCTION, such as strategies.momentum:main"),
        ("strategies/momentum.py", "did you mean strategies.momentum:main?"),
        ("strategies.momentum:number", "is no function, but 7"),
        ("strategies.momentum:Strategy", "is no function"),
        ("strategies.momentum:none", "has to take one argument"),
        ("missing_import:main", "ModuleNotFoundError: No module named 'not_installed'"),
        ("missing_import:main", 'missing_import.py", line 1'),
        ("broken:main", "SyntaxError"),
        ("broken:main", "broken cannot be imported"),
    ],
)
def test_what_cannot_be_run_is_told_with_a_suggestion(target: str, text: str, folder: Path) -> None:
    (folder / "missing_import.py").write_text("import not_installed\n")
    (folder / "broken.py").write_text("def\n")
    result = run(folder, "--socket", "/no/such/bus.sock", target)
    assert result.returncode == 2
    assert text in " ".join(result.stderr.split())
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_an_address_is_needed(folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MYCELIUM_SOCKET"}
    result = subprocess.run(
        command("strategies.momentum:echo"), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "--socket ADDRESS is missing" in result.stderr


def test_another_schema_than_the_bridges_is_refused_before_connecting(folder: Path) -> None:
    environment = {"MYCELIUM_SOCKET": "/no/such/bus.sock", "MYCELIUM_SCHEMA_DIGEST": "ab" * 32}
    result = run(folder, "strategies.momentum:echo", **environment)
    assert result.returncode == 2
    assert "ab" * 32 in result.stderr
    assert f"mycelium_fast.example_messages has {SCHEMA_DIGEST.hex()}" in result.stderr


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/bus.sock", Address("unix", path="/run/bus.sock")),
        ("bus.sock", Address("unix", path="bus.sock")),
        ("/run/with:colon", Address("unix", path="/run/with:colon")),
        ("unix:/run/bus.sock", Address("unix", path="/run/bus.sock")),
        ("localhost:7777", Address("tcp", host="localhost", port=7777)),
        ("tls://localhost:7777", Address("tls", host="localhost", port=7777)),
        ("stdio:", Address("stdio")),
    ],
)
def test_an_address_may_be_a_path(text: str, address: Address) -> None:
    assert worker_address(text) == address


@pytest.mark.parametrize("text", ["", "unix:", "http://localhost:1", "stdio:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        worker_address(text)


def test_the_digest_is_the_bridges_or_that_of_the_messages() -> None:
    assert worker_digest(SCHEMA_DIGEST.hex()) == SCHEMA_DIGEST
    for text in ("", "ab", "xy" * 32, SCHEMA_DIGEST.hex() + "00", " ".join(["ab"] * 32)):
        with pytest.raises(ValueError, match="MYCELIUM_SCHEMA_DIGEST has 64 hexadecimal digits"):
            worker_digest(text)
    with pytest.raises(SchemaMismatchError, match=SCHEMA_DIGEST.hex()):
        worker_digest("00" * 32)


def test_functions_are_found_by_name() -> None:
    assert load_function("os.path:join") is os.path.join
    with pytest.raises(LookupError, match="no function"):
        load_function("os.path:joi")


# Under a bridge ---------------------------------------------------------------------------------------------


def config_of(folder: Path, function: str, **options: Any) -> BridgeConfig:
    """A bridge with one worker."""
    options = {"grace": 20.0, "directory": folder, **options}
    worker = WorkerConfig("echo", tuple(command(f"strategies.momentum:{function}")), **options)
    return BridgeConfig(
        listeners=(Listener("local", unix=folder / "bus.sock"),), contracts=CONTRACTS, workers=(worker,)
    )


async def echoed(client: MyceliumClient) -> None:
    """Wait until a worker echoes what this client publishes."""
    async with client.subscriber(TradeTick) as ticks:
        while True:  # the worker may not have subscribed yet
            await client.publish(TradeTick(21, 1))
            with contextlib.suppress(queue.Empty):
                while await ticks.recv(timeout=0.1) != TradeTick(42, 2):
                    pass
                return


@pytest.mark.parametrize("transport", ["socket", "stdio"])
@pytest.mark.parametrize("function", ["echo", "blocking_echo"])
def test_a_bridge_runs_workers_over_a_socket_or_their_standard_input(
    transport: str, function: str, folder: Path
) -> None:
    records = Log()

    async def main() -> None:
        async with (
            EmbeddedBridge(config_of(folder, function, transport=transport)) as running,
            MyceliumClient(f"unix:{folder / 'bus.sock'}", schema_digest=SCHEMA_DIGEST) as client,
        ):
            await echoed(client)
            snapshot = running.snapshot()
            assert snapshot.ready
            assert (snapshot.workers[0].state, snapshot.workers[0].restarts) == ("running", 0)
            assert [each.worker for each in snapshot.connections if each.worker] == ["echo"]

    with logged(records):
        run_loop(main())
    assert records.events("echo") == ["started", "ready", "exited", "stopped"]
    assert "status 0" in records.of("exited")[0].getMessage()
    assert records.output("stdout" if transport == "socket" else "stderr") == ["in order"]


@pytest.mark.parametrize("transport", ["socket", "stdio"])
def test_a_worker_that_hangs_is_replaced(transport: str, folder: Path) -> None:
    config = config_of(folder, "echo", transport=transport, watchdog=1.0, grace=0.2, backoff=0.01)
    records = Log()

    async def main() -> None:
        async with (
            EmbeddedBridge(config) as running,
            MyceliumClient(f"unix:{folder / 'bus.sock'}", schema_digest=SCHEMA_DIGEST) as client,
        ):
            await echoed(client)
            pid = running.snapshot().workers[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await eventually(lambda: running.snapshot().workers[0].pid not in (pid, None))
            assert running.snapshot().workers[0].last_exit == "hung"
            await echoed(client)

    with logged(records):
        run_loop(main())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_a_bridge_that_is_killed_leaves_nobody_and_can_be_started_again(folder: Path) -> None:
    mark = f"MARK=killed-{os.getpid()}-{folder}"
    path = folder / "bus.sock"
    (folder / "topology.toml").write_text(f"""
[[nodes]]
name = "strategies"
services = ["momentum"]
endpoint = {{ kind = "unix", addr = "{path}" }}

[bridge]
contracts = "{CONTRACTS}"

[[workers]]
name = "echo"
command = {json.dumps(command("strategies.momentum:echo"))}
directory = "{folder}"
environment = {{ MARK = "{mark.partition("=")[2]}" }}
""")

    def started() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "mycelium_fast", "bridge", "--topology", folder / "topology.toml"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        with process.stdout as announced:
            assert announced.readline().startswith(b"listening on ")
        return process

    async def main() -> None:
        running = started()
        try:
            async with MyceliumClient(f"unix:{path}", schema_digest=SCHEMA_DIGEST) as client:
                await echoed(client)
                before = marked(mark)
                assert before
                running.kill()
                running.wait()
                running = started()
                await eventually(lambda: not set(before) & set(marked(mark)))
                await client.wait_connected(20)
                await echoed(client)
            running.terminate()
            assert await asyncio.to_thread(running.wait, 20) == 0
            assert marked(mark) == []
        finally:
            running.kill()
            running.wait()
            for pid in marked(mark):
                os.kill(pid, signal.SIGKILL)

    run_loop(main())
