"""`mycelium bridge`: what its options come to, `--check`, the bridge of a topology file, and its reload."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, Bridge, bridge, is_closed, raw_client, read_exactly
from certificates import Certificates
from click.testing import CliRunner, Result

from mycelium_fast.bridge.config import (
    AdminConfig,
    BridgeConfig,
    Buffers,
    Limits,
    Listener,
    LogConfig,
    TlsFiles,
)
from mycelium_fast.cli import bridge as module
from mycelium_fast.cli.main import main
from mycelium_fast.example_messages import TradeTick

NODES = """\
socket_dir = "."
[[nodes]]
name = "one"
services = ["a"]
[[nodes]]
name = "two"
services = ["b"]
port = 9092
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A topology file of two nodes, whose bridges have the example contracts."""
    return write(tmp_path / "t.toml")


def write(file: Path, text: str = "") -> Path:
    file.write_text(f'{NODES}[bridge]\ncontracts = "{CONTRACTS}"\n{text}')
    return file


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`mycelium bridge` as a process that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "mycelium_fast", "bridge", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def invoke(*arguments: object) -> Result:
    """... in this process, for what is refused before anything runs."""
    return CliRunner().invoke(main, ["bridge", *map(str, arguments)])


# --check --------------------------------------------------------------------------------------------------


def test_check_says_in_a_line_what_would_run_and_runs_nothing(file: Path, tmp_path: Path) -> None:
    write(
        file,
        '[[workers]]\nname = "w"\ncommand = ["sh", "-c", "touch started"]\n'
        '[[access]]\nidentity = "uid:0"\n[[access]]\n[bridge.admin]\nport = 9464\n',
    )
    result = run("--topology", file, "--node", "two", "--check")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout == (
        f"the bridge 'two' is right: listens on unix:{tmp_path}/two.sock, tcp://localhost:9092; "
        f"2 access rules; 1 worker; contracts {CONTRACTS}; status page at 127.0.0.1 port 9464\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["t.toml"]


def test_check_lists_every_problem_with_its_position(file: Path) -> None:
    write(file, 'heartbeat = "x"\nslow_consumer = "dorp"\n[[access]]\nidentity = "me"\n')
    result = run("--topology", file, "--node", "one", "--check")
    assert result.returncode == 1
    assert result.stdout == ""
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        [f"{file}:11", "bridge.heartbeat"],
        [f"{file}:12", "bridge.slow_consumer"],
        [f"{file}:14", "access[0].identity"],
    ]


def test_check_of_options_looks_at_their_files(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    contracts = ["--contracts", CONTRACTS]
    right = run("--check", "--tcp", "[::1]:0", "--unix", "x.sock", *contracts, *certificates.options())
    assert right.returncode == 0, right.stderr
    assert right.stdout == (
        "the bridge 'mycelium' is right: listens on unix:x.sock, tls://[::1]:0; "
        f"no access rules: all may do all; no workers; contracts {CONTRACTS}\n"
    )
    without = run("--check", "--tcp", ":0", "--no-handshake")
    assert without.stdout.startswith("the bridge 'mycelium' is right: listens on tcp://*:0; ")
    assert without.stdout.endswith("; no contracts\n")
    for options, said in (
        (["--contracts", "nowhere.yaml"], "nowhere.yaml"),
        ([*contracts, "--tls-cert", "nowhere.pem"], "cannot use nowhere.pem for TLS"),
    ):
        wrong = run("--check", "--tcp", "localhost:0", *options)
        assert wrong.returncode == 1
        assert said in wrong.stderr
        assert "Traceback" not in wrong.stderr


# Options --------------------------------------------------------------------------------------------------


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[BridgeConfig]:
    """What would have been served."""
    served: list[BridgeConfig] = []
    monkeypatch.setattr(module, "serve", lambda config, announce, reload: served.append(config))
    monkeypatch.setattr(module, "configure", lambda *args, **kwargs: None)
    return served


def test_options_without_values_mean_the_defaults(configured: list[BridgeConfig]) -> None:
    assert invoke("--unix", "x.sock", "--contracts", "c.yaml").exit_code == 0
    assert configured == [
        BridgeConfig(listeners=(Listener("unix", unix=Path("x.sock")),), contracts=Path("c.yaml"))
    ]
    assert configured[0].slow_consumer == "drop"
    assert configured[0].buffers.max_output == 16 * 1024**2


def test_every_option_is_taken(configured: list[BridgeConfig]) -> None:
    options = shlex.split("""
        --unix x.sock --tcp localhost:7 --socket-mode 0660 --tls-cert c.pem --tls-key k.pem --tls-ca a.pem
        --contracts c.yaml --no-handshake --forward-unknown --max-connections 5 --handshake-timeout 1.5
        --slow-consumer disconnect --max-output 3MiB --stall-timeout 2 --heartbeat 3 --name joined
        --metrics [::1]:9 --log-level debug --log-format json --poll
    """)
    named = {option for param in module.command.params for option in param.opts}
    assert named - set(options) == {"--topology", "--node", "--check", "--accept"}
    result = invoke(*options)
    assert result.exit_code == 0, result.output
    tls = TlsFiles(Path("c.pem"), Path("k.pem"), Path("a.pem"))
    assert configured == [
        BridgeConfig(
            listeners=(
                Listener("unix", unix=Path("x.sock"), mode=0o660),
                Listener("tcp", tcp=("localhost", 7), tls=tls),
            ),
            contracts=Path("c.yaml"),
            handshake=False,
            name="joined",
            forward_unknown=True,
            slow_consumer="disconnect",
            stall_timeout=2.0,
            heartbeat=3.0,
            use_poll=True,
            limits=Limits(max_connections=5, handshake_timeout=1.5),
            buffers=Buffers(max_output=3 * 1024**2),
            admin=AdminConfig("::1", 9),
            log=LogConfig("debug", "json"),
        )
    ]


def test_schemas_to_accept_are_files_and_digests(configured: list[BridgeConfig]) -> None:
    accept = ["--accept", "old.yaml", "--accept", "AB" * 32, "--accept", "./" + "ab" * 32]
    result = invoke("--unix", "x.sock", "--contracts", "c.yaml", *accept)
    assert result.exit_code == 0, result.output
    assert configured[0].accept == (Path("old.yaml"), b"\xab" * 32, Path("ab" * 32))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say where to listen: --unix PATH, --tcp HOST:PORT, or both (or --topology FILE)"),
        (["--node", "one"], "--topology FILE is missing: the file that has the node"),
        (["--tcp", "localhost:1", "--no-handshake", "--socket-mode", "0600"], "--unix PATH is missing"),
        (["--unix", "x", "--no-handshake", "--socket-mode", "0999"], "must be permission bits as octal text"),
        (["--unix", "x", "--no-handshake", "--max-output", "16 MB"], 'did you mean "16 MiB"?'),
        (["--unix", "x", "--no-handshake", "--max-connections", "0"], "0 is not in the range"),
        (["--unix", "x", "--no-handshake", "--accept", "c.yaml"], "it makes no sense with --no-handshake"),
        (["--unix", "x", "--contracts", "c.yaml", "--accept", ""], "is the path of a contracts file, or 64"),
        (["--unix", "x", "--no-handshake", "--metrics", "9464"], "'9464' is not HOST:PORT"),
        (["--unix", "x", "--no-handshake", "--metrics", ":9464"], "--metrics names its host"),
        (["--tcp", "::1:7", "--no-handshake"], "'::1:7' is not HOST:PORT"),
        (["--unix", "x", "--no-handshake", "--name", "ä" * 33], "must be at most 64 bytes of UTF-8"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_usage_errors(options: list[str], said: str) -> None:
    result = invoke(*options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("param", module.command.params, ids=lambda param: param.name)
def test_a_topology_file_goes_with_no_option_that_it_replaces(param: Any, file: Path) -> None:
    if param.name in ("topology", "node", "check"):
        result = invoke("--topology", file, "--node", "one", "--check")
        assert result.exit_code == 0, result.output
        return
    examples = {
        "tcp": ["localhost:1"],
        "metrics": ["localhost:1"],
        "socket_mode": ["0600"],
        "slow_consumer": ["drop"],
        "log_level": ["info"],
        "log_format": ["text"],
    }
    value = [] if param.is_flag else examples.get(param.name, ["1"])
    result = invoke("--topology", file, "--node", "one", param.opts[0], *value)
    assert result.exit_code == 2
    assert f"{param.opts[0]} does not go with --topology, where the file says it: " in " ".join(
        result.stderr.split()
    )


def test_the_node_has_to_be_one_of_the_files(file: Path) -> None:
    for options, said in (
        ([], f"{file}: say which node's bridge is meant: there are one, two\n"),
        (["--node", "tow"], f"{file}: no node is called 'tow' (did you mean 'two'?); there are one, two\n"),
    ):
        result = invoke("--topology", file, *options)
        assert (result.exit_code, result.stderr) == (1, said)


# As a process ---------------------------------------------------------------------------------------------


class TopologyBridge(Bridge):
    """The bridge of a topology file's node."""

    def __init__(self, file: Path, node: str) -> None:
        self.path = file.with_name(f"{node}.sock")
        arguments = ["--topology", str(file), "--node", node]
        self._command = [sys.executable, "-m", "mycelium_fast", "bridge", *arguments]
        self._expected = 1
        self._start()


@pytest.fixture
def running(file: Path) -> Iterator[TopologyBridge]:
    started = TopologyBridge(file, "one")
    try:
        yield started
    finally:
        started.close()


TICK = TradeTick(price=1, size=2).to_frame()


def test_the_bridge_of_a_node_is_where_its_clients_look_for_it(running: TopologyBridge, file: Path) -> None:
    assert running.addresses == [f"unix:{file.with_name('one.sock')}"]
    with raw_client(running.path) as sock:
        sock.sendall(TICK)
        assert read_exactly(sock, len(TICK)) == TICK
    log = running.stop()
    assert "Traceback" not in log
    assert not running.path.exists()


def test_sockets_have_the_modes_that_are_asked_for(file: Path, tmp_path: Path) -> None:
    modes = 'mode = "0660"\ndirectory_mode = "0750"\n'
    write(file, f'{modes}[bridge.nodes.one]\nlisteners = [{{ name = "a", unix = "d/a" }}]\n')
    started = TopologyBridge(file, "one")
    try:
        assert stat.S_IMODE((tmp_path / "d" / "a").stat().st_mode) == 0o660
        assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750
    finally:
        started.close()
    with bridge(tmp_path / "x.sock", "--socket-mode", "0606"):
        assert stat.S_IMODE((tmp_path / "x.sock").stat().st_mode) == 0o606
    with bridge(tmp_path / "y.sock", "--poll"), raw_client(tmp_path / "y.sock") as sock:
        assert stat.S_IMODE((tmp_path / "y.sock").stat().st_mode) == 0o600
        sock.sendall(TICK)
        assert read_exactly(sock, len(TICK)) == TICK


def test_connections_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with bridge(path, "--max-connections", "1") as running, raw_client(path) as first:
        first.sendall(TICK)
        assert read_exactly(first, len(TICK)) == TICK
        with raw_client(path) as second:
            assert is_closed(second)
        running.wait_log("connection 2 refused")


def test_the_log_can_be_json(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with bridge(path, "--log-format", "json", "--name", "joined") as running:
        with raw_client(path) as sock:
            sock.sendall(TICK)
            read_exactly(sock, len(TICK))
        running.wait_log("client.disconnected")
        lines = [json.loads(line) for line in running.stop().splitlines()]
    assert {"bridge.started", "client.connected", "client.disconnected", "bridge.stopped"} <= {
        line.get("event") for line in lines
    }
    assert {line["service"] for line in lines} == {"joined"}


def test_the_status_page_is_announced(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with bridge(path, "--metrics", "127.0.0.1:0") as running:
        assert running.process.stdout is not None
        line = running.process.stdout.readline()
        assert re.fullmatch(r"status page at http://127\.0\.0\.1:[1-9][0-9]*/\n", line)


def test_a_reload_takes_over_rules_or_leaves_everything(running: TopologyBridge, file: Path) -> None:
    def reload(text: str, expected: str, count: int) -> str:
        write(file, text)
        running.process.send_signal(signal.SIGHUP)
        return running.wait_log(expected, count)[-1]

    reload(
        f'[[access]]\nidentity = "uid:{os.getuid() + 1}"\n', "1 access rules and 0 workers are in force", 1
    )
    with raw_client(running.path) as sock:
        assert is_closed(sock)
    # Nothing of a file with a mistake, or with a change that comes too late, is taken.
    assert f"{file}:11: bridge.heartbeat: " in reload(
        "heartbeat = true\n", "the new configuration is refused", 1
    )
    late = reload('slow_consumer = "block"\n', "the new configuration is refused", 2)
    assert 'slow_consumer was "drop" and is "block" now' in late
    with raw_client(running.path) as sock:
        assert is_closed(sock)
    reload("", "0 access rules and 0 workers are in force", 1)
    with raw_client(running.path) as sock:
        sock.sendall(TICK)
        assert read_exactly(sock, len(TICK)) == TICK


def test_without_a_topology_file_there_is_nothing_to_reload(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with bridge(path) as running:
        running.process.send_signal(signal.SIGHUP)
        running.wait_log("SIGHUP: there is no topology file to read again")
        with raw_client(path) as sock:
            sock.sendall(TICK)
            assert read_exactly(sock, len(TICK)) == TICK
