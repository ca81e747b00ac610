"""A bridge's configuration from a topology file: what is read, what is refused, what a reload takes over."""

from __future__ import annotations

import dataclasses
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bridge_config_mistakes import MISTAKES, listener, rule, worker
from bridges import CONTRACTS
from certificates import Certificates

from mycelium_fast.bridge import config_keys as keys
from mycelium_fast.bridge.config import (
    AccessRule,
    AdminConfig,
    BridgeConfig,
    Buffers,
    Limits,
    Listener,
    LogConfig,
    TlsFiles,
    WorkerConfig,
)
from mycelium_fast.bridge.config_file import changes, load_bridge
from mycelium_fast.errors import TopologyError

NODES = """\
socket_dir = "run"
[[nodes]]
name = "one"
services = ["a"]
[[nodes]]
name = "two"
services = ["b"]
host = "127.0.0.1"
port = 9092
"""
#: Lines of `NODES`, and of `[bridge]` with the contracts.
START = NODES.count("\n") + 2

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "contracts.yaml").symlink_to(CONTRACTS)
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    """Write a topology file of two nodes, with what `[bridge]` has beside its contracts, and what follows."""

    def make(text: str = "", nodes: str = NODES) -> Path:
        file = folder / "t.toml"
        file.write_text(f'{nodes}[bridge]\ncontracts = "contracts.yaml"\n{text}')
        return file

    return make


def errors_of(file: Path, node: str | None = "one") -> list[str]:
    """The lines of the error that a file makes: line within what `write` was given, path and text."""
    with pytest.raises(TopologyError) as caught:
        load_bridge(file, node)
    found = []
    for line in str(caught.value).splitlines():
        assert line.startswith(f"{file}:"), line
        number, _, text = line.removeprefix(f"{file}:").partition(": ")
        found.append(f"{int(number) - START}: {text}")
    return found


# What the file says ---------------------------------------------------------------------------------------

EVERYTHING = """\
name = "joined"
forward_unknown = true
slow_consumer = "block"
stall_timeout = "500ms"
heartbeat = 2.5
close_timeout = 0
use_poll = true
mode = "0660"
directory_mode = "0750"
[bridge.limits]
max_connections = 7
max_handshakes = 3
handshake_timeout = "2m"
max_payload = "1 MiB"
[bridge.buffers]
max_output = 1000000
read_size = "64 KiB"
pool_blocks = 0
socket_buffer = "1MiB"
[bridge.admin]
host = "0.0.0.0"
port = 9464
[bridge.log]
level = "debug"
format = "json"
[[bridge.listeners]]
name = "local"
unix = "local.sock"
mode = "666"
directory_mode = "0777"
[[bridge.listeners]]
name = "lan"
tcp = "[::1]:7777"
tls = { certificate = "server.pem", key = "server.pem", authorities = "authority.pem" }
[[access]]
identity = ["uid:1000", "gid:1*", "cn:risk.example.org", "service:risk", "worker:mom*", "host:10.0.0.?"]
listener = "lan"
publish = [1200, "Trade*", "topic:market-data"]
receive = []
max_connections = 2
max_frames_per_s = 1000
max_bytes_per_s = "1 MiB"
[[access]]
[[workers]]
name = "momentum"
command = ["sh", "-c", "exit"]
environment = { PYTHONUNBUFFERED = "1", HTTP_PROXY = false }
directory = "."
user = 0
group = "0"
transport = "stdio"
restart = "always"
backoff = "100ms"
max_backoff = "1h"
healthy_after = 1
max_restarts = "unlimited"
restart_window = "10m"
ready_timeout = 20
watchdog = "30 s"
grace = 0
"""


def test_every_key_is_read(write: Write, folder: Path) -> None:
    Certificates(folder)
    config = load_bridge(write(EVERYTHING), "one")
    assert config == BridgeConfig(
        listeners=(
            Listener("local", unix=folder / "local.sock", mode=0o666, directory_mode=0o777),
            Listener(
                "lan",
                tcp=("::1", 7777),
                tls=TlsFiles(folder / "server.pem", folder / "server.pem", folder / "authority.pem"),
            ),
        ),
        contracts=folder / "contracts.yaml",
        name="joined",
        node="one",
        forward_unknown=True,
        slow_consumer="block",
        stall_timeout=0.5,
        heartbeat=2.5,
        close_timeout=0,
        use_poll=True,
        limits=Limits(7, 3, 120.0, 1024**2),
        buffers=Buffers(1_000_000, 65_536, 0, 1024**2),
        access=(
            AccessRule(
                ("uid:1000", "gid:1*", "cn:risk.example.org", "service:risk", "worker:mom*", "host:10.0.0.?"),
                ("lan",),
                ("1200", "Trade*", "topic:market-data"),
                (),
                2,
                1000.0,
                1024.0**2,
            ),
            AccessRule(),
        ),
        workers=(
            WorkerConfig(
                "momentum",
                ("sh", "-c", "exit"),
                {"PYTHONUNBUFFERED": "1", "HTTP_PROXY": None},
                folder,
                "0",
                "0",
                "stdio",
                "always",
                0.1,
                3600.0,
                1.0,
                None,
                600.0,
                20.0,
                30.0,
                0.0,
            ),
        ),
        admin=AdminConfig("0.0.0.0", 9464),
        log=LogConfig("debug", "json"),
    )


@pytest.mark.parametrize(
    ("kind", "readers", "elsewhere"),
    [
        (
            BridgeConfig,
            [*keys.BRIDGE, *keys.BRIDGE_TABLES, "listeners"],
            # Of other tables, and what listeners have that do not say otherwise.
            {"access", "workers", "handshake", "node", "-mode", "-directory_mode"},
        ),
        (Listener, keys.LISTENER, {"tls"}),
        (Limits, keys.BRIDGE_TABLES["limits"], set()),
        (Buffers, keys.BRIDGE_TABLES["buffers"], set()),
        (AdminConfig, keys.BRIDGE_TABLES["admin"], set()),
        (LogConfig, keys.BRIDGE_TABLES["log"], set()),
        (TlsFiles, keys.TLS, set()),
        (AccessRule, keys.ACCESS, set()),
        (WorkerConfig, keys.WORKER, set()),
    ],
)
def test_every_field_of_the_configuration_has_a_key(kind: Any, readers: Any, elsewhere: set[str]) -> None:
    added = {each for each in elsewhere if not each.startswith("-")}
    taken = {each[1:] for each in elsewhere if each.startswith("-")}
    assert {field.name for field in dataclasses.fields(kind)} == set(readers) - taken | added


def test_what_the_file_does_not_say_has_the_defaults(write: Write, folder: Path) -> None:
    assert load_bridge(write(), "one") == BridgeConfig(
        listeners=(Listener("unix", unix=folder / "run" / "one.sock"),),
        contracts=folder / "contracts.yaml",
        name="one",
        node="one",
    )


@pytest.mark.parametrize(
    ("node", "listeners"),
    [
        ("", [("unix", "/s/n.sock")]),
        ("port = 9", [("unix", "/s/n.sock"), ("tcp", ("localhost", 9))]),
        ('host = "::1"\nport = 9', [("unix", "/s/n.sock"), ("tcp", ("::1", 9))]),
        ('endpoint = { kind = "unix" }', [("unix", "/s/n.sock")]),
        ('endpoint = { kind = "unix", addr = "/x.sock" }', [("unix", "/x.sock")]),
        ('endpoint = { kind = "tcp", addr = "localhost:8" }', [("tcp", ("localhost", 8))]),
        ('port = 9\nendpoint = { kind = "tcp" }', [("tcp", ("localhost", 9))]),
        ('port = 9\nendpoint = { kind = "tcp", addr = "localhost:9" }', [("tcp", ("localhost", 9))]),
        (
            'host = "10.0.0.1"\nport = 9\nendpoint = { kind = "tcp", addr = "localhost:8" }',
            [("endpoint", ("localhost", 8)), ("tcp", ("10.0.0.1", 9))],
        ),
    ],
)
def test_without_listeners_a_bridge_is_where_the_topology_says(
    write: Write, node: str, listeners: list[tuple[str, object]]
) -> None:
    nodes = f'socket_dir = "/s"\n[[nodes]]\nname = "n"\nservices = []\n{node}\n'
    found = load_bridge(write(nodes=nodes)).listeners
    assert [(each.name, each.tcp or str(each.unix)) for each in found] == listeners


def test_modes_and_tls_of_the_bridge_hold_for_listeners_without_their_own(write: Write, folder: Path) -> None:
    Certificates(folder)
    tls = TlsFiles(folder / "server.pem")
    common = 'mode = "0666"\ndirectory_mode = "0755"\ntls = { certificate = "server.pem" }\n'
    unix, tcp = load_bridge(write(common), "two").listeners
    assert (unix.mode, unix.directory_mode, unix.tls) == (0o666, 0o755, None)
    assert (tcp.mode, tcp.tls) == (0o600, tls)
    own = """
listeners = [
    { name = "a", unix = "a.sock", mode = "0600" },
    { name = "b", unix = "b.sock" },
    { name = "c", tcp = "localhost:1" },
    { name = "d", tcp = "localhost:2", tls = false },
]
"""
    a, b, c, d = load_bridge(write(common + own), "one").listeners
    assert (a.mode, a.directory_mode, b.mode, c.tls, d.tls) == (0o600, 0o755, 0o666, tls, None)


def test_paths_are_taken_from_the_files_folder(write: Write, folder: Path, monkeypatch: Any) -> None:
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    write('[[workers]]\nname = "w"\ncommand = ["./run.sh", "./x"]\ndirectory = ".."\n')
    monkeypatch.chdir(folder.parent)
    config = load_bridge(Path(folder.name) / "t.toml", "one")
    assert config.listeners[0].unix == folder / "run" / "one.sock"
    assert config.contracts == folder / "contracts.yaml"
    assert config.workers[0].command == (str(folder / "run.sh"), "./x")
    assert config.workers[0].directory == folder / ".."


def test_keys_of_a_node_override_those_of_all(write: Write) -> None:
    file = write("""\
slow_consumer = "block"
heartbeat = 5
[bridge.limits]
max_connections = 7
max_handshakes = 9
[bridge.admin]
port = 9464
[bridge.nodes.two]
slow_consumer = "disconnect"
heartbeat = "never"
limits = { max_connections = 8 }
admin = false
listeners = [{ name = "x", unix = "x.sock" }]
""")
    one, two = load_bridge(file, "one"), load_bridge(file, "two")
    assert (one.slow_consumer, two.slow_consumer) == ("block", "disconnect")
    assert (one.heartbeat, two.heartbeat) == (5.0, None)
    assert (one.limits, two.limits) == (Limits(7, 9), Limits(8, 9))
    assert (one.admin, two.admin) == (AdminConfig(port=9464), None)
    assert [each.name for each in (*one.listeners, *two.listeners)] == ["unix", "x"]


def test_rules_and_workers_hold_for_every_bridge_or_for_the_nodes_that_they_name(write: Write) -> None:
    file = write("""\
[[access]]
listener = "tcp"       # only the bridge of `two` has it
[[access]]
node = "one"
identity = ["uid:1"]
[[access]]
node = ["one", "two"]
identity = ["uid:2"]
[[workers]]
name = "all"
command = ["sh"]
[[workers]]
name = "own"
command = ["sh", "1"]
node = "one"
[[workers]]
name = "own"
command = ["sh", "2"]
node = ["two"]
""")
    one, two = load_bridge(file, "one"), load_bridge(file, "two")
    assert [each.identity for each in one.access] == [(), ("uid:1",), ("uid:2",)]
    assert [each.identity for each in two.access] == [(), ("uid:2",)]
    assert [each.command for each in one.workers] == [("sh",), ("sh", "1")]
    assert [each.command for each in two.workers] == [("sh",), ("sh", "2")]


def test_the_handshake_is_the_nodes(write: Write) -> None:
    nodes = '[[nodes]]\nname = "n"\nservices = []\nendpoint = { kind = "unix", handshake = false }\n'
    assert not load_bridge(write(nodes=nodes)).handshake
    file = write()
    file.write_text(nodes)
    config = load_bridge(file)
    assert (config.handshake, config.contracts) == (False, None)


def test_a_node_has_to_be_named_where_there_are_several(write: Write) -> None:
    file = write()
    with pytest.raises(TopologyError, match="say which node's bridge is meant: there are one, two"):
        load_bridge(file)
    with pytest.raises(TopologyError, match=r"no node is called 'too' \(did you mean 'two'\?\); there are"):
        load_bridge(file, "too")
    with pytest.raises(FileNotFoundError, match="there is no such topology file"):
        load_bridge(file.with_name("nowhere.toml"), "one")


# Mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "error"), MISTAKES)
def test_a_mistake_is_named_with_the_keys_path_and_line(write: Write, text: str, error: str) -> None:
    (found,) = errors_of(write(text))
    assert found.startswith(error)


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file(write: Write, folder: Path) -> None:
    (folder / "wrong.yaml").write_text("messages:\n  Tick:\n    tlv_type: x\n    domain: d\n    fields: {}\n")
    nodes = NODES.replace("9092", "0").replace('"one"', '"a/b"')
    file = folder / "t.toml"
    file.write_text(f"""{nodes}
[bridge]
contracts = "wrong.yaml"
heartbeat = "soon"
{worker("", command='["./nowhere"]')}
{rule('identity = "me"')}""")
    with pytest.raises(TopologyError) as caught:
        load_bridge(file, "two")
    found = [line.removeprefix(f"{folder}/").split(": ")[:2] for line in str(caught.value).splitlines()]
    assert found == [
        ["t.toml:3", "nodes[0].name"],
        ["t.toml:9", "nodes[1].port"],
        ["t.toml:12", "bridge.contracts"],
        ["wrong.yaml:3:15", "Tick"],
        ["t.toml:13", "bridge.heartbeat"],
        ["t.toml:16", "workers[0].command"],
        ["t.toml:20", "access[0].identity"],
    ]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        # What refers to something that is there, and wrong, is not a mistake as well.
        (listener("unix = 5") + rule('listener = "x"') + worker(""), ["bridge.listeners[0].unix"]),
        (worker("", name="a b") + rule('identity = "worker:a"'), ["workers[0].name"]),
        (listener("uinx = 'x'") + rule('listener = "x"'), ["bridge.listeners[0].uinx"]),
        (
            "[bridge.nodes.two]\ncontracts = 5\n" + rule("publish = 'X'"),
            ["bridge.nodes.two.contracts", "access[0].publish"],
        ),
    ],
)
def test_a_mistake_makes_no_others(write: Write, text: str, errors: list[str]) -> None:
    assert [line.split(": ")[1] for line in errors_of(write(text))] == errors


@pytest.mark.parametrize(
    "text", ["", "[bridge]\n", "[bridge]\ncontract = 'x'\n", "[bridge]\ncontracts = 5\n"]
)
def test_a_bridge_with_a_handshake_needs_contracts(write: Write, text: str) -> None:
    file = write()
    file.write_text(NODES + text)
    with pytest.raises(TopologyError) as caught:
        load_bridge(file, "one")
    (line,) = str(caught.value).splitlines()
    assert line.partition(": ")[2].startswith(
        {
            "": "bridge: contracts is missing: the file whose digest clients have to name",
            "[bridge]\n": "bridge: contracts is missing: the file whose digest clients have to name",
            "[bridge]\ncontract = 'x'\n": "bridge.contract: is not a known key; did you mean 'contracts'?",
            "[bridge]\ncontracts = 5\n": "bridge.contracts: must be text that is not empty, not 5",
        }[text]
    )


def test_contracts_that_are_not_there_are_told(write: Write, folder: Path) -> None:
    (folder / "contracts.yaml").unlink()
    with pytest.raises(TopologyError) as caught:
        load_bridge(write(rule('publish = "TradeTick"')), "one")
    first, second = str(caught.value).splitlines()
    assert first == f"{folder / 't.toml'}:{START}: bridge.contracts: cannot be used:"
    assert second.startswith(f"{folder / 'contracts.yaml'}: ")


def test_without_contracts_rules_speak_of_type_ids_alone(write: Write, folder: Path) -> None:
    file = write()
    nodes = '[[nodes]]\nname = "n"\nservices = []\nendpoint = { kind = "unix", handshake = false }\n'
    file.write_text(nodes + rule('publish = [7, "*"]\nreceive = ["TradeTick", "topic:orders"]'))
    with pytest.raises(TopologyError) as caught:
        load_bridge(file)
    assert str(caught.value).splitlines() == [
        f"{file}:7: access[0].receive: 'TradeTick': without contracts there are type ids alone, and \"*\"",
        f"{file}:7: access[0].receive: 'topic:orders': without contracts there are type ids alone, and \"*\"",
    ]


def test_types_outside_the_contracts_may_be_named_where_they_are_let_through(write: Write) -> None:
    config = load_bridge(write("forward_unknown = true\n" + rule("publish = [60000]")), "one")
    assert config.access[0].publish == ("60000",)


def test_a_nodes_name_that_is_too_long_for_its_bridge_needs_another(write: Write) -> None:
    nodes = f'[[nodes]]\nname = "{"n" * 65}"\nservices = []\n'
    with pytest.raises(TopologyError, match=r"t\.toml:4: bridge\.name: the name of n+ is too long for it"):
        load_bridge(write(nodes=nodes))
    assert load_bridge(write('name = "short"', nodes=nodes)).name == "short"


def test_a_worker_of_another_user_has_to_be_able_to_connect(write: Write) -> None:
    other = next(each.pw_name for each in pwd.getpwall() if each.pw_uid not in (0, os.geteuid()))
    (found,) = errors_of(write(worker(f'user = "{other}"')))
    assert found.startswith("4: workers[0].user: could not connect to /")
    assert found.endswith(
        'its mode 0600 lets nobody but its owner; give the listener mode = "0660" or "0666"'
    )
    for right in (f'user = "{other}"\ntransport = "stdio"', 'user = "root"', f'user = "{os.geteuid()}"'):
        assert load_bridge(write(worker(right)), "one").workers
    assert load_bridge(write('mode = "0666"\n' + worker(f'user = "{other}"')), "one").workers


def test_only_what_the_chosen_nodes_bridge_uses_has_to_exist(write: Write) -> None:
    text = 'node = "two"\ndirectory = "/nowhere"'
    tls = '[bridge.nodes.two]\ntls = { certificate = "nowhere.pem" }\n'
    file = write(tls + worker(text, command='["/nowhere/program"]'))
    assert load_bridge(file, "one").workers == ()
    assert [line.split(": ")[1] for line in errors_of(file, "two")] == [
        "bridge.nodes.two.tls",
        "workers[0].command",
        "workers[0].directory",
    ]


def test_certificates_are_looked_at(write: Write, folder: Path) -> None:
    Certificates(folder)
    for files in (
        'certificate = "authority.pem"',
        'certificate = "server.pem", authorities = "contracts.yaml"',
    ):
        (found,) = errors_of(write(listener(f'tcp = "localhost:1"\ntls = {{ {files} }}')))
        assert found.startswith("4: bridge.listeners[0].tls: cannot use /")
    (found,) = errors_of(write('tls = { certificate = "contracts.yaml" }'), "two")
    assert found.startswith("1: bridge.tls: cannot use /")


def test_a_path_too_long_for_a_socket_is_told_where_it_comes_from(write: Write) -> None:
    (found,) = errors_of(write(nodes=NODES.replace('"run"', f'"/{"x" * 110}"')))
    assert found.startswith(f"{2 - START}: nodes[0]: /xxx")
    assert "bytes, the path of a Unix socket at most 10" in found


# Values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ('"1"', 1), ('"3 KiB"', 3072), ('"2MiB"', 2 * 1024**2), ('"1 GiB"', 1024**3), ("0x10", 16)],
)
def test_sizes_are_bytes_or_have_a_unit(write: Write, text: str, size: int) -> None:
    assert load_bridge(write(f"buffers.max_output = {text}"), "one").buffers.max_output == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1.0), ("0.25", 0.25), ('"500ms"', 0.5), ('"5s"', 5.0), ('"2m"', 120.0), ('"1.5 h"', 5400.0)],
)
def test_durations_are_seconds_or_have_a_unit(write: Write, text: str, seconds: float) -> None:
    assert load_bridge(write(f"stall_timeout = {text}"), "one").stall_timeout == seconds


@pytest.mark.parametrize("value", ["9" * 400, '"9999999999999 s"', "1e308", "-inf", '"1e3 s"', '"٣s"', '"s"'])
def test_no_duration_is_too_strange_to_be_refused(write: Write, value: str) -> None:
    (found,) = errors_of(write(f"stall_timeout = {value}"))
    assert found.startswith("1: bridge.stall_timeout: must be ")


@pytest.mark.parametrize(
    "value", ["9" * 400, '"9999999999999999999 GiB"', "-1", "0", '"1 B"', '"MiB"', '"٣ KiB"']
)
def test_no_size_is_too_strange_to_be_refused(write: Write, value: str) -> None:
    (found,) = errors_of(write(f"buffers.max_output = {value}"))
    assert found.startswith("1: bridge.buffers.max_output: must be ")


# Reload ---------------------------------------------------------------------------------------------------

BEFORE = BridgeConfig(
    listeners=(Listener("unix", unix=Path("/a.sock")), Listener("tcp", tcp=("localhost", 1))),
    contracts=Path("/contracts.yaml"),
)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"access": (AccessRule(("uid:1",)),)},
        {"workers": (WorkerConfig("w", ("sh",)),)},
        {"log": LogConfig(level="debug")},
        {"limits": Limits(max_connections=1, max_handshakes=2, handshake_timeout=3.0)},
    ],
)
def test_a_running_bridge_takes_over(changed: dict[str, Any]) -> None:
    assert changes(BEFORE, dataclasses.replace(BEFORE, **changed)) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"contracts": Path("/b.yaml")}, ['contracts was "/contracts.yaml" and is "/b.yaml" now']),
        ({"contracts": None}, ['contracts was "/contracts.yaml" and is none now']),
        ({"handshake": False}, ["handshake was true and is false now"]),
        ({"name": "b"}, ['name was "mycelium" and is "b" now']),
        ({"node": "b"}, ['node was "" and is "b" now']),
        ({"forward_unknown": True}, ["forward_unknown was false and is true now"]),
        ({"slow_consumer": "block"}, ['slow_consumer was "drop" and is "block" now']),
        ({"stall_timeout": 1.0}, ["stall_timeout was 10.0 and is 1.0 now"]),
        ({"heartbeat": 1.0}, ["heartbeat was none and is 1.0 now"]),
        ({"close_timeout": 0.0}, ["close_timeout was 1.0 and is 0.0 now"]),
        ({"use_poll": True}, ["use_poll was false and is true now"]),
        (
            {"limits": Limits(max_connections=1, max_payload=5)},
            ["limits.max_payload was 16777216 and is 5 now"],
        ),
        (
            {"buffers": Buffers(1, 4096, 0, 2)},
            [
                "buffers.max_output was 16777216 and is 1 now",
                "buffers.read_size was 262144 and is 4096 now",
                "buffers.pool_blocks was 256 and is 0 now",
                "buffers.socket_buffer was none and is 2 now",
            ],
        ),
        ({"admin": AdminConfig()}, ["admin was none and is set now"]),
        ({"log": LogConfig("debug", "json")}, ['log.format was "text" and is "json" now']),
        ({"listeners": BEFORE.listeners[:1]}, ["the listener 'tcp' is gone"]),
        ({"listeners": (*BEFORE.listeners, Listener("x", tcp=("", 0)))}, ["the listener 'x' is new"]),
        ({"listeners": BEFORE.listeners[::-1]}, ["the listeners are in another order"]),
        (
            {"listeners": (Listener("unix", unix=Path("/b.sock")), BEFORE.listeners[1])},
            ["the listener 'unix' is another"],
        ),
    ],
)
def test_a_running_bridge_cannot_take_over(changed: dict[str, Any], told: list[str]) -> None:
    assert changes(BEFORE, dataclasses.replace(BEFORE, **changed)) == told


def test_every_field_is_decided_on() -> None:
    """A field that is added is one that cannot be changed, until somebody says otherwise."""
    after = {field.name: object() for field in dataclasses.fields(BridgeConfig)}
    after["listeners"] = ()
    found = changes(BEFORE, BridgeConfig(**after))  # type: ignore[arg-type]
    told = {text.split(" ")[0] for text in found if not text.startswith("the listener")}
    assert told == {field.name for field in dataclasses.fields(BridgeConfig)} - {
        "access",
        "accept",
        "workers",
        "listeners",
    }
