"""The topology file: which services run in which node, and how one reaches another.

Reading and checking the file, and the rules that follow from it, are here; connecting is `message_bus.py`'s
work. Tables that the bridge alone reads (`[bridge]`, `[[workers]]`, `[[access]]`) are let through unread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import TopologyError
from ..transport.addresses import Address, parse_address
from .toml_tables import (
    Problem,
    did_you_mean,
    listed,
    parse,
    raise_problems,
    read_text,
    show,
    unknown_keys,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EndpointConfig", "EndpointKind", "Node", "Topology", "TransportType"]

DEFAULT_SOCKET_DIR: Final = Path("/tmp/mycelium")

_TOP_KEYS: Final = ("socket_dir", "nodes")
#: Tables with a meaning to the bridge alone.
_BRIDGE_TABLES: Final = ("bridge", "workers", "access")
_NODE_KEYS: Final = ("name", "services", "host", "port", "endpoint")
_ENDPOINT_KEYS: Final = ("kind", "addr", "handshake")
#: What means the same host; the first is what stands for all of them.
_THIS_HOST: Final = ("localhost", "127.0.0.1")
_NOT_IN_HOST: Final = re.compile(r"[\s/@?#\x00]")


class TransportType(Enum):
    """How one service reaches another."""

    LOCAL = "local"
    UNIX = "unix"
    TCP = "tcp"


class EndpointKind(Enum):
    """What kind of socket a node's endpoint is."""

    UNIX = "unix"
    TCP = "tcp"


@dataclass
class EndpointConfig:
    """Where a node listens for others of its host, if not at `socket_dir/NODE.sock`.

    Attributes:
        addr: `host:port`, or the path of a Unix socket; None for the node's own host and port, or
            `socket_dir/NODE.sock`.
        handshake: False where the node expects none, as plain Rust endpoints do.
    """

    kind: EndpointKind
    addr: str | None = None
    handshake: bool = True


@dataclass
class Node:
    """One node: services that share a bridge, and may share a process.

    Attributes:
        host: a name or an address; None is this host, like `localhost` and `127.0.0.1`.
        port: that its bridge listens at, for other hosts.
    """

    name: str
    services: list[str]
    host: str | None = None
    port: int | None = None
    endpoint: EndpointConfig | None = None

    @property
    def handshake(self) -> bool:
        """Whether it expects a handshake, however it is reached."""
        return self.endpoint is None or self.endpoint.handshake

    @property
    def canonical_host(self) -> str:
        """The same text for all names of the host that count as one."""
        host = (self.host or _THIS_HOST[0]).lower()
        return _THIS_HOST[0] if host in _THIS_HOST else host


@dataclass
class Topology:
    """What a topology file says. Made by hand, it is checked by `validate()`, or when a bus is made of it."""

    nodes: list[Node]
    socket_dir: Path = field(default=DEFAULT_SOCKET_DIR)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file; relative paths in it are taken from the folder that it is in.

        Raises:
            TopologyError: it cannot be read (a missing file is a `FileNotFoundError` as well) or used; lists
                every problem, with the key's path and its line where that can be found.
        """
        text, name = read_text(path), os.fspath(path)
        problems: list[Problem] = []
        topology = cls.from_document(parse(text, name), problems)
        raise_problems(problems, text, name)
        topology.take_from(Path(path).parent)
        return topology

    @classmethod
    def from_toml(cls, text: str, file: str = "topology") -> Self:
        """Read a file's text; relative paths in it stay relative to the working directory.

        Args:
            file: what to call it in errors.

        Raises:
            TopologyError: as `load`.
        """
        problems: list[Problem] = []
        topology = cls.from_document(parse(text, file), problems)
        raise_problems(problems, text, file)
        return topology

    @classmethod
    def from_document(cls, document: Mapping[str, Any], problems: list[Problem]) -> Self:
        """Read a parsed file; what is wrong with it is added to `problems`, and left out."""
        topology = cls(*_read(document, problems))
        problems += topology._problems()
        return topology

    def validate(self) -> None:
        """Check a topology that was made by hand.

        Raises:
            TopologyError: lists every problem.
        """
        problems = self._problems()
        if problems:
            raise TopologyError("\n".join(f"topology: {key}: {text}" for key, text in problems))

    @property
    def services(self) -> list[str]:
        """Every service of every node."""
        return [service for node in self.nodes for service in node.services]

    def node(self, name: str) -> Node:
        """A node by its name; TopologyError that lists the nodes where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = [node.name for node in self.nodes]
        raise TopologyError(
            f"no node is called {name!r}{did_you_mean(name, names)}; there are {listed(names)}"
        )

    def find_node(self, service: str) -> Node | None:
        """The node that has a service; None where no node has it."""
        return next((node for node in self.nodes if service in node.services), None)

    def node_of(self, service: str) -> Node:
        """The node that has a service; TopologyError that lists the services where no node has it."""
        node = self.find_node(service)
        if node is None:
            services = self.services
            raise TopologyError(
                f"no node has the service {service!r}{did_you_mean(service, services)}; "
                f"there are {listed(services)}"
            )
        return node

    def same_node(self, service: str, other: str) -> bool:
        """Whether two services are in one node; False as well where a service is in none."""
        node = self.find_node(service)
        return node is not None and node is self.find_node(other)

    def transport_between(self, service: str, other: str) -> TransportType:
        """How the first service reaches the second; TopologyError where one is in no node."""
        node, target = self.node_of(service), self.node_of(other)
        if node is target:
            return TransportType.LOCAL
        if node.canonical_host != target.canonical_host:
            return TransportType.TCP
        return TransportType.UNIX if self.local_address(target).kind == "unix" else TransportType.TCP

    def address_from(self, node: Node, target: Node) -> Address:
        """Where the bridge of the node `target` is to be found from `node`, which may be the same.

        Raises:
            TopologyError: they are on different hosts, and `target` has no port.
        """
        if node.canonical_host == target.canonical_host:
            return self.local_address(target)
        if target.port is None:
            raise TopologyError(
                f"the node {target.name!r} has no port, so that {node.name!r}, on another host, cannot reach "
                "it: give it a host and a port in the topology"
            )
        return Address("tcp", host=_bare(target.host), port=target.port)

    def local_address(self, node: Node) -> Address:
        """Where a node's bridge is to be found from its own host: its endpoint, or `socket_dir/NODE.sock`."""
        endpoint = node.endpoint
        if endpoint is None or (endpoint.kind is EndpointKind.UNIX and endpoint.addr is None):
            return Address("unix", path=str(self.socket_path(node.name)))
        if endpoint.kind is EndpointKind.UNIX:
            return parse_address(f"unix:{str(endpoint.addr).removeprefix('unix:')}")
        if endpoint.addr is None:
            return Address("tcp", host=_bare(node.host), port=node.port or 0)
        return parse_address(f"tcp://{endpoint.addr.removeprefix('tcp://')}")

    def socket_path(self, node: str) -> Path:
        """The Unix socket of a node's bridge, unless the node names an endpoint."""
        return Path(self.socket_dir) / f"{node}.sock"

    def connection_info(self, service: str) -> dict[str, Any]:
        """How to reach a service from this host, in the older SDK's form.

        Returns:
            `transport` (a `TransportType`), and `path`, or `host` and `port`.

        Raises:
            TopologyError: no node has it.
        """
        address = self.address_from(Node(name="", services=[]), self.node_of(service))
        if address.kind == "unix":
            return {"transport": TransportType.UNIX, "path": address.path}
        return {"transport": TransportType.TCP, "host": address.host, "port": address.port}

    def take_from(self, folder: Path) -> None:
        """Take relative paths from a folder, so that every process finds the same sockets."""
        self.socket_dir = folder / self.socket_dir
        for node in self.nodes:
            endpoint = node.endpoint
            if endpoint is not None and endpoint.kind is EndpointKind.UNIX and endpoint.addr is not None:
                path = Path(self.local_address(node).path)
                if not path.is_absolute():
                    endpoint.addr = str(folder / path)

    def _problems(self) -> list[Problem]:
        """What is wrong with each node, and between them."""
        problems: list[Problem] = []
        names: dict[str, int] = {}
        services: dict[str, str] = {}
        for index, node in enumerate(self.nodes):
            here = f"nodes[{index}]"
            if not node.name:
                problems.append((f"{here}.name", "a node's name is not empty"))
            elif any(character in node.name for character in "/\\\0"):
                problems.append(
                    (f"{here}.name", f"{node.name!r} has a path separator in it; it is part of a file's name")
                )
            first = names.setdefault(node.name, index)
            if first != index:
                text = f"a second node {node.name!r}, the first is nodes[{first}]; rename one of them"
                problems.append((f"{here}.name", text))
            for service in node.services:
                if service in services:
                    other = (
                        "twice in this node"
                        if services[service] == node.name
                        else (f"in the node {services[service]!r} as well")
                    )
                    problems.append(
                        (f"{here}.services", f"the service {service!r} is {other}; it is in one, once")
                    )
                services.setdefault(service, node.name)
            problems += _host_problems(node, here)
        return problems


def _host_problems(node: Node, here: str) -> Iterable[Problem]:
    if node.host is not None:
        bare = _bare(node.host)
        if not bare or _NOT_IN_HOST.search(bare) or bare.count(":") == 1:
            yield (
                f"{here}.host",
                f"{node.host!r} is not a host: a name, an IPv4 or an IPv6 address, without a port",
            )
        elif node.port is None and node.canonical_host != _THIS_HOST[0]:
            yield (
                f"{here}.host",
                f"the node is on {node.host!r} and has no port: other hosts could not reach it; add one",
            )
    if node.port is not None and not 1 <= node.port <= 65_535:
        yield f"{here}.port", f"a port is a number from 1 to 65535, not {show(node.port)}"
    endpoint = node.endpoint
    if endpoint is None or (endpoint.kind is EndpointKind.UNIX and endpoint.addr is None):
        return
    if endpoint.addr is None:
        if node.port is None:
            yield (
                f"{here}.endpoint",
                'addr is missing: an endpoint of kind "tcp" needs one, as in "localhost:9091"',
            )
        return
    try:
        Topology([node]).local_address(node)
    except ValueError as error:
        yield f"{here}.endpoint.addr", str(error)


# --- from TOML to the model: types and keys ---------------------------------------------------------------


def _read(document: Mapping[str, Any], problems: list[Problem]) -> tuple[list[Node], Path]:
    unknown = unknown_keys(document, "", (*_TOP_KEYS, *_BRIDGE_TABLES), problems)
    directory = document.get("socket_dir", str(DEFAULT_SOCKET_DIR))
    if not isinstance(directory, str) or not directory or "\0" in directory:
        problems.append(("socket_dir", f"must be a directory's path, not {show(directory)}"))
        directory = str(DEFAULT_SOCKET_DIR)
    nodes = document.get("nodes")
    if nodes is None:
        if "nodes" not in unknown:
            problems.append(("nodes", "is missing: a topology has a [[nodes]] table for each node"))
        nodes = []
    elif not isinstance(nodes, list) or not all(isinstance(each, dict) for each in nodes):
        advice = "; write [[nodes]] with two brackets" if isinstance(nodes, dict) else ""
        problems.append(("nodes", f"must be a list of tables, not {show(nodes)}{advice}"))
        nodes = []
    read = [_node(each, f"nodes[{index}]", problems) for index, each in enumerate(nodes)]
    return read, Path(directory)


def _node(table: Mapping[str, Any], here: str, problems: list[Problem]) -> Node:
    """One node; where something is wrong with its shape, with that left out."""
    unknown = unknown_keys(table, here, _NODE_KEYS, problems)
    for key in ("name", "services"):
        if key not in table and key not in unknown:
            problems.append((here, f"{key} is missing"))
    name = table.get("name")
    if name is not None and not isinstance(name, str):
        problems.append((f"{here}.name", f"must be text, not {show(name)}"))
    services = table.get("services", [])
    if not isinstance(services, list) or not all(isinstance(each, str) and each for each in services):
        advice = f"; write [{show(services)}]" if isinstance(services, str) else ""
        problems.append((f"{here}.services", f"must be a list of names, not {show(services)}{advice}"))
        services = []
    host = table.get("host")
    if host is not None and not isinstance(host, str):
        problems.append((f"{here}.host", f"must be text, not {show(host)}"))
        host = None
    port = table.get("port")
    if port is not None and (isinstance(port, bool) or not isinstance(port, int)):
        problems.append((f"{here}.port", f"must be a number from 1 to 65535, not {show(port)}"))
        port = None
    endpoint = table.get("endpoint")
    read = None
    if isinstance(endpoint, dict):
        read = _endpoint(endpoint, f"{here}.endpoint", problems)
    elif endpoint is not None:
        problems.append(
            (f"{here}.endpoint", f'must be a table such as {{ kind = "unix" }}, not {show(endpoint)}')
        )
    if not isinstance(name, str):
        name = f"({here})"  # like no other
    if port is None and ("port" in table or "port" in unknown):
        host = None  # lest it be said that the port is missing
    return Node(name, services, host, port, read)


def _endpoint(table: Mapping[str, Any], here: str, problems: list[Problem]) -> EndpointConfig | None:
    unknown = unknown_keys(table, here, _ENDPOINT_KEYS, problems)
    kinds = [kind.value for kind in EndpointKind]
    kind, addr, handshake = table.get("kind"), table.get("addr"), table.get("handshake", True)
    if addr is not None and (not isinstance(addr, str) or not addr):
        problems.append((f"{here}.addr", f'must be text such as "localhost:9091", not {show(addr)}'))
        addr = None
        kind = EndpointKind.UNIX.value if kind in kinds else kind
    if not isinstance(handshake, bool):
        problems.append((f"{here}.handshake", f"must be true or false, not {show(handshake)}"))
        handshake = True
    if kind is None and "kind" not in unknown:
        problems.append((here, 'kind is missing: "unix" or "tcp"'))
    elif kind is not None and kind not in kinds:
        advice = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
        problems.append((f"{here}.kind", f'must be "unix" or "tcp", not {show(kind)}{advice}'))
    return EndpointConfig(EndpointKind(kind), addr, handshake) if kind in kinds else None


def _bare(host: str | None) -> str:
    """A host without the brackets of an IPv6 address; this host where there is none."""
    host = host or _THIS_HOST[0]
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
