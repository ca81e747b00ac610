"""Topology files: what is read from them, what follows for two services, and what is said of mistakes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from environments import checked

from mycelium_fast.bus.topology import EndpointConfig, EndpointKind, Node, Topology, TransportType
from mycelium_fast.errors import TopologyError

EXAMPLE = """\
socket_dir = "/run/mycelium"

[[nodes]]
name = "strategies"
services = ["risk", "execution"]

[[nodes]]
name = "feeds"
services = ["binance"]
host = "127.0.0.1"

[[nodes]]
name = "rust"
services = ["engine"]
host = "localhost"
endpoint = { kind = "tcp", addr = "localhost:9091", handshake = false }

[[nodes]]
name = "archive"
services = ["recorder"]
host = "10.0.1.10"
port = 9092

[[nodes]]
name = "reports"
services = ["daily"]
host = "10.0.1.10"
port = 9093

[[workers]]
name = "momentum"

[bridge]
metrics = "localhost:9100"
"""


def errors_of(text: str) -> list[str]:
    """The lines of the error that a file's text makes, without the file's name."""
    with pytest.raises(TopologyError) as caught:
        Topology.from_toml(text, "t.toml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("t.toml:") for line in lines)
    return [line.removeprefix("t.toml:") for line in lines]


def node(text: str, name: str = "one", services: str = '["a"]') -> str:
    return f'[[nodes]]\nname = "{name}"\nservices = {services}\n{text}\n'


# What the file says ---------------------------------------------------------------------------------------


def test_a_file_is_read_into_nodes(tmp_path: Path) -> None:
    file = tmp_path / "topology.toml"
    file.write_text(EXAMPLE)
    for path in (file, str(file)):
        topology = Topology.load(path)
        assert topology.socket_dir == Path("/run/mycelium")
        assert topology.nodes[0] == Node(name="strategies", services=["risk", "execution"])
        endpoint = EndpointConfig(EndpointKind.TCP, "localhost:9091", handshake=False)
        assert topology.nodes[2] == Node("rust", ["engine"], "localhost", None, endpoint)
        assert topology.services == ["risk", "execution", "binance", "engine", "recorder", "daily"]


def test_the_socket_directory_has_a_default() -> None:
    topology = Topology.from_toml(node(""))
    assert str(topology.local_address(topology.nodes[0])) == "unix:/tmp/mycelium/one.sock"


@pytest.mark.parametrize(
    ("service", "other", "transport", "address"),
    [
        ("risk", "execution", TransportType.LOCAL, "unix:/run/mycelium/strategies.sock"),
        ("risk", "risk", TransportType.LOCAL, "unix:/run/mycelium/strategies.sock"),
        ("risk", "binance", TransportType.UNIX, "unix:/run/mycelium/feeds.sock"),
        ("risk", "engine", TransportType.TCP, "tcp://localhost:9091"),
        ("risk", "recorder", TransportType.TCP, "tcp://10.0.1.10:9092"),
        ("recorder", "daily", TransportType.UNIX, "unix:/run/mycelium/reports.sock"),
    ],
)
def test_the_file_decides_how_a_service_reaches_another(
    service: str, other: str, transport: TransportType, address: str
) -> None:
    topology = Topology.from_toml(EXAMPLE)
    assert topology.transport_between(service, other) is transport
    assert str(topology.address_from(topology.node_of(service), topology.node_of(other))) == address


def test_a_service_on_another_host_needs_a_port_to_be_reached() -> None:
    topology = Topology.from_toml(
        node("", "here", '["a"]') + node('host = "10.0.0.1"\nport = 1', "there", '["b"]')
    )
    assert topology.transport_between("a", "b") is TransportType.TCP
    assert topology.transport_between("b", "a") is TransportType.TCP
    with pytest.raises(TopologyError, match=r"'here' has no port, so that 'there', on another host, cannot"):
        topology.address_from(topology.node("there"), topology.node("here"))


@pytest.mark.parametrize(
    ("host", "same"),
    [(None, True), ("localhost", True), ("127.0.0.1", True), ("LocalHost", True), ("10.0.0.1", False)],
)
def test_names_of_this_host_count_as_one(host: str | None, same: bool) -> None:
    topology = Topology([Node("a", ["a"]), Node("b", ["b"], host, 9000)])
    topology.validate()
    wanted = TransportType.UNIX if same else TransportType.TCP
    assert topology.transport_between("a", "b") is wanted


def test_relative_paths_are_taken_from_the_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = 'endpoint = { kind = "unix", addr = "x.sock" }'
    text = 'socket_dir = "run"\n' + node("") + node(endpoint, "two", '["b"]')
    (tmp_path / "t.toml").write_text(text)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    for path in (tmp_path / "t.toml", "../t.toml"):
        topology = Topology.load(path)
        found = [Path(topology.local_address(each).path).resolve() for each in topology.nodes]
        assert found == [tmp_path / "run" / "one.sock", tmp_path / "x.sock"]
    monkeypatch.chdir(tmp_path)
    assert str(Topology.load("t.toml").socket_path("one")) == "run/one.sock"
    # A text has no folder.
    assert Topology.from_toml(text).socket_dir == Path("run")


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ('{ kind = "unix" }', "unix:/tmp/mycelium/one.sock"),
        ('{ kind = "unix", addr = "/run/x.sock" }', "unix:/run/x.sock"),
        ('{ kind = "unix", addr = "unix:/run/x.sock" }', "unix:/run/x.sock"),
        ('{ kind = "tcp", addr = "[::1]:9000" }', "tcp://[::1]:9000"),
        ('{ kind = "tcp" }', "tcp://localhost:7000"),
    ],
)
def test_an_endpoint_says_where_a_node_is_found_on_its_host(endpoint: str, address: str) -> None:
    topology = Topology.from_toml(node(f"port = 7000\nendpoint = {endpoint}"))
    assert str(topology.local_address(topology.nodes[0])) == address


def test_a_node_without_a_handshake_has_none_however_it_is_reached() -> None:
    topology = Topology.from_toml(EXAMPLE)
    assert [each.handshake for each in topology.nodes] == [True, True, False, True, True]


def test_services_are_found_by_name() -> None:
    topology = Topology.from_toml(EXAMPLE)
    assert topology.node_of("recorder") is topology.node("archive") is topology.find_node("recorder")
    assert topology.find_node("nobody") is None
    assert topology.same_node("risk", "execution")
    assert not topology.same_node("risk", "recorder")
    assert not topology.same_node("nobody", "nobody")


def test_a_service_that_no_node_has_is_an_error_that_lists_those_there_are() -> None:
    topology = Topology.from_toml(EXAMPLE)
    with pytest.raises(TopologyError, match=r"'recoder' \(did you mean 'recorder'\?\); there are risk, exec"):
        topology.node_of("recoder")
    with pytest.raises(TopologyError, match="there are strategies, feeds"):
        topology.node("nothing like it")
    for pair in (("risk", "x"), ("x", "risk")):
        with pytest.raises(TopologyError, match="no node has the service 'x'"):
            topology.transport_between(*pair)


def test_the_older_form_of_an_address() -> None:
    topology = Topology.from_toml(EXAMPLE)
    assert topology.connection_info("binance") == {
        "transport": TransportType.UNIX,
        "path": "/run/mycelium/feeds.sock",
    }
    assert topology.connection_info("recorder") == {
        "transport": TransportType.TCP,
        "host": "10.0.1.10",
        "port": 9092,
    }


# Mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (node("", "a/b"), "2: nodes[0].name: 'a/b' has a path separator in it"),
        (node("") + node("", "two"), "7: nodes[1].services: the service 'a' is in the node 'one'"),
        (node("", services='["a", "a"]'), "3: nodes[0].services: the service 'a' is twice in this node"),
        (node("") + node("", services='["b"]'), "6: nodes[1].name: a second node 'one', the"),
        (node("port = 0"), "4: nodes[0].port: a port is a number from 1 to 65535, not 0"),
        (node("port = 65536"), "4: nodes[0].port: a port is a number from 1 to 65535, not 65536"),
        (node('port = "7"'), "4: nodes[0].port: must be a number from 1 to 65535, not '7'"),
        (node("port = true"), "4: nodes[0].port: must be a number from 1 to 65535, not True"),
        (node('host = "10.0.0.1"'), "4: nodes[0].host: the node is on '10.0.0.1' and has no port"),
        (node('host = "10.0.0.1:90"\nport = 90'), "4: nodes[0].host: '10.0.0.1:90' is not a host"),
        (node("host = 7"), "4: nodes[0].host: must be text, not 7"),
        (node("prot = 7"), "4: nodes[0].prot: is not a known key; did you mean 'port'?"),
        (node("colour = 7"), "4: nodes[0].colour: is not a known key; there are name, "),
        ("socketdir = 1\n" + node(""), "1: socketdir: is not a known key; did you mean 'socket_dir'?"),
        ("socket_dir = 1\n" + node(""), "1: socket_dir: must be a directory's path, not 1"),
        ("[[node]]\n", "1: node: is not a known key; did you mean 'nodes'?"),
        ("", " nodes: is missing"),
        ("nodes = 1", "1: nodes: must be a list of tables, not 1"),
        ("[nodes]\n", "1: nodes: must be a list of tables, not {}; write [[nodes]] with two brackets"),
        ('[[nodes]]\nservices = ["a"]', "1: nodes[0]: name is missing"),
        ('[[nodes]]\nname = ""\nservices = []', "2: nodes[0].name: a node's name is not empty"),
        ("[[nodes]]\nname = 1\nservices = []", "2: nodes[0].name: must be text, not 1"),
        ('[[nodes]]\nname = "a"', "1: nodes[0]: services is missing"),
        (node("", services='"a"'), "3: nodes[0].services: must be a list of names, not 'a'; write ['a']"),
        (node("", services="[1]"), "3: nodes[0].services: must be a list of names, not [1]"),
        (node("endpoint = 1"), "4: nodes[0].endpoint: must be a table"),
        (node("endpoint = {}"), "4: nodes[0].endpoint: kind is missing"),
        (node('endpoint = { kind = "unx" }'), "4: nodes[0].endpoint.kind: must be "),
        (node('[nodes.endpoint]\nkind = "tcp"'), "4: nodes[0].endpoint: addr is missing"),
        (node('[nodes.endpoint]\nkind = "tcp"\naddr = "x"'), "6: nodes[0].endpoint.addr: 'tcp://x' is no"),
        (node('[nodes.endpoint]\nkind = "tcp"\naddr = 7'), "6: nodes[0].endpoint.addr: must be text such as"),
        (node('[nodes.endpoint]\nkind = "unix"\nhandshake = 1'), "6: nodes[0].endpoint.handshake: must be"),
        (node('[nodes.endpoint]\nkind = "unix"\nadr = "x"'), "6: nodes[0].endpoint.adr: is not a known"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_the_keys_path_and_line(text: str, error: str) -> None:
    (found,) = errors_of(text)
    assert found.startswith(error)


def test_every_mistake_of_a_file_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
# [[nodes]] is no header here
socket_dir = '''
[[nodes]]
'''
sockets = [ # ]
  1,
]

[[nodes]]
"name" = "a/b"
services = [
  "x",
  "x",
]

  [nodes.endpoint]
  kind = "tcp"   # without addr

[[ nodes ]]
name = "two"
services = []
port = -1
endpoint.kind = "udp"
"""
    assert [line.partition(": ")[0] for line in errors_of(text)] == ["5", "10", "11", "16", "22", "23"]


def test_keys_of_lists_of_inline_tables_have_the_line_of_the_list() -> None:
    (found,) = errors_of('\nnodes = [\n  { name = "a", services = [] },\n  { name = "a", services = [] },\n]')
    assert found.startswith("2: nodes[1].name: a second node")


def test_a_topology_made_by_hand_is_checked_the_same_way() -> None:
    topology = Topology([Node("a", ["x"]), Node("a", ["x"], "10.0.0.1")])
    with pytest.raises(TopologyError) as caught:
        topology.validate()
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["topology", "nodes[1].name"],
        ["topology", "nodes[1].services"],
        ["topology", "nodes[1].host"],
    ]


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    assert errors_of("socket_dir = \n")[0].startswith("1: not valid TOML: ")
    for text in (f"socket_dir = {'9' * 10_000}", f"socket_dir = {'[' * 10_000}"):
        assert errors_of(text)[0].startswith(" not valid TOML: ")
    digits = f"[[nodes]]\nname = 'a'\nservices = []\nport = 0x{'f' * 10_000}"
    assert errors_of(digits) == [
        "4: nodes[0].port: a port is a number from 1 to 65535, not a number of many digits"
    ]
    file = tmp_path / "t.toml"
    file.write_bytes(b'socket_dir = "x"\n# \xff\n')
    with pytest.raises(TopologyError, match=r"t\.toml:2: not UTF-8"):
        Topology.load(file)


def test_a_missing_file_is_a_topology_error_and_a_file_not_found(tmp_path: Path) -> None:
    for kind in (TopologyError, FileNotFoundError, ValueError):
        with pytest.raises(kind, match="there is no such topology file"):
            Topology.load(tmp_path / "t.toml")
    with pytest.raises(TopologyError, match="cannot be read: Is a directory"):
        Topology.load(tmp_path)


def test_importing_the_topology_imports_no_toml_parser() -> None:
    code = """
import sys, mycelium_fast.bus.topology
print(sorted({"tomllib", "tomli"} & set(sys.modules)))
"""
    assert checked(sys.executable, "-c", code) == "[]\n"
