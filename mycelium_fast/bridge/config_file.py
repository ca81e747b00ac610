"""A bridge's configuration from a topology file: `[bridge]`, `[[access]]` and `[[workers]]`, for one node.

Here are the tables, what `[bridge.nodes.NAME]` overrides, and what a running bridge can take over. The keys
are in `config_keys.py`; whether what they name exists is `config_checks.py`'s affair.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..bus.toml_tables import (
    Problem,
    did_you_mean,
    listed,
    parse,
    quoted,
    raise_problems,
    read_text,
    show,
    unknown_keys,
)
from ..bus.topology import Node, Topology
from ..errors import TopologyError
from . import config_values as values
from .config import (
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
from .config_checks import Placed, identity_problem, problems_of
from .config_keys import ACCESS, BRIDGE, BRIDGE_TABLES, ELSEWHERE, LISTENER, MAX_NAME, TLS, WORKER
from .config_values import Reader
from .schema import digest_or_file

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["changes", "load_bridge"]


def load_bridge(path: str | os.PathLike[str], node: str | None = None) -> BridgeConfig:
    """Read what the bridge of a node is to be, and check all of it, files and programs that it names as well.

    Args:
        path: of the topology file.
        node: whose bridge; may be left out where the file has one node alone.

    Raises:
        TopologyError: the file cannot be read or used, or has no such node; lists every problem, with the
            key's path and its line.
    """
    text, file = read_text(path), os.fspath(path)
    document = parse(text, file)
    problems: list[Problem] = []
    topology = Topology.from_document(document, problems)
    if node is None and len(topology.nodes) == 1:
        node = topology.nodes[0].name
    # (A process may change its directory, and workers run in others.)
    reader = _File(document, topology, Path(path).absolute().parent, problems)
    chosen = next((each for each in topology.nodes if each.name == node), None)
    if chosen is not None:
        reader.check(chosen)
    raise_problems(problems, text, file)
    if chosen is not None:
        return reader.config(chosen)
    names = [each.name for each in topology.nodes]
    if node is None:
        raise TopologyError(f"{file}: say which node's bridge is meant: there are {listed(names)}")
    raise TopologyError(
        f"{file}: no node is called {node!r}{did_you_mean(node, names)}; there are {listed(names)}"
    )


@dataclass
class _Settings:
    """Keys of a `[bridge]` table, flat: `limits.max_payload`. Those that are not there are left out."""

    values: dict[str, Any] = field(default_factory=dict)
    #: The path of each in the file; also of those that are there, and wrong.
    places: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, value: object, place: str) -> None:
        self.values[key], self.places[key] = value, place

    def overridden_by(self, other: _Settings) -> _Settings:
        return _Settings({**self.values, **other.values}, {**self.places, **other.places})

    def table(self, name: str) -> dict[str, Any]:
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): value for key, value in self.values.items() if key.startswith(prefix)
        }


class _File:
    """The bridge's tables of one file; problems of their form are noted as they are read."""

    def __init__(
        self, document: Mapping[str, Any], topology: Topology, folder: Path, problems: list[Problem]
    ) -> None:
        self._topology = topology
        self._folder = folder
        self._problems = problems
        #: Whether what the topology and these tables say can be relied on when others refer to it.
        self._nodes_known = not problems
        self._listeners_known = self._workers_known = True
        if self._nodes_known:
            topology.take_from(folder)
        self._base = _Settings()
        self._nodes: dict[str, _Settings] = {}
        bridge = document.get("bridge", {})
        if self._is_table(bridge, "bridge"):
            self._base = self._settings(bridge, "bridge", ("nodes",))
            self._overrides(bridge.get("nodes", {}))
        #: What follows is each with the nodes that it is for, None for all, and its path.
        self._rules = [
            (self._rule(read, place), nodes, place)
            for read, nodes, place in self._entries(document, "access", ACCESS)
        ]
        self._workers = [
            (self._worker(read, place), nodes, place)
            for read, nodes, place in self._entries(document, "workers", WORKER)
        ]

    # What one node's bridge is to be ---------------------------------------------------------------------

    def config(self, node: Node) -> BridgeConfig:
        """What the bridge of a node is to be, once nothing is wrong with it."""
        return self._placed(node).config

    def check(self, node: Node) -> None:
        """Note what is wrong between the tables that are for a node, and with what they name."""
        placed = self._placed(node)
        if "name" not in self._settings_of(node).values and len(node.name.encode()) > MAX_NAME:
            said = f"the name of {quoted(node.name)} is too long for it: give the bridge a name of its own"
            self._problems.append(("bridge.name", said))
        if self._rules and not placed.config.access and not self._problems:
            said = (
                f"none of the rules is for the node {node.name!r}, whose bridge would let everybody do "
                "everything: add one for it"
            )
            self._problems.append(("access", said))
        # A rule may speak of what another bridge that it is for has.
        others = [self._placed(each) for each in self._topology.nodes]
        self._problems += problems_of(placed, others)

    def _placed(self, node: Node) -> Placed:
        settings = self._settings_of(node)
        listeners = self._listeners(settings, node)
        rules = [(rule, place, nodes) for rule, nodes, place in self._rules if _is_for(nodes, node)]
        workers = [(worker, place) for worker, nodes, place in self._workers if _is_for(nodes, node)]
        contracts = settings.values.get("contracts")
        admin = settings.values.get("admin", False)
        config = BridgeConfig(
            listeners=tuple(listener for listener, _ in listeners),
            contracts=None if contracts is None else self._folder / contracts,
            handshake=node.handshake,
            accept=tuple(digest_or_file(each, self._folder) for each in settings.values.get("accept", ())),
            node=node.name,
            limits=Limits(**settings.table("limits")),
            buffers=Buffers(**settings.table("buffers")),
            access=tuple(rule for rule, _, _ in rules),
            workers=tuple(worker for worker, _ in workers),
            admin=AdminConfig(**settings.table("admin")) if admin else None,
            log=LogConfig(**settings.table("log")),
            **{"name": node.name, **_fields(settings.values)},
        )
        return Placed(
            config,
            places={"bridge": "bridge", **settings.places},
            listeners=tuple(place for _, place in listeners),
            rules=tuple((place, nodes) for _, place, nodes in rules),
            workers=tuple(place for _, place in workers),
            listeners_known=self._nodes_known and self._listeners_known,
            workers_known=self._nodes_known and self._workers_known,
        )

    def _settings_of(self, node: Node) -> _Settings:
        return self._base.overridden_by(self._nodes.get(node.name, _Settings()))

    def _listeners(self, settings: _Settings, node: Node) -> list[tuple[Listener, str]]:
        """The listeners of a node, each with its path."""
        given = settings.values.get("listeners")
        if given is None:
            given = self._where_the_topology_says(node)
        listeners = []
        for read, place in given:
            kind = {"mode", "directory_mode"} if "unix" in read else {"tls"}
            wanted = {key: settings.values[key] for key in kind if key in settings.values}
            wanted.update(read)
            wanted["tls"] = self._tls_files(wanted.get("tls"))
            if "unix" in wanted:
                wanted["unix"] = self._folder / wanted["unix"]
            listeners.append((Listener(**wanted), place))
        return listeners

    def _where_the_topology_says(self, node: Node) -> list[tuple[dict[str, Any], str]]:
        place = f"nodes[{self._topology.nodes.index(node)}]"
        found: list[tuple[dict[str, Any], str]] = []
        try:
            local = self._topology.local_address(node)
        except ValueError:  # the topology's problem, and told as such
            return found
        if local.kind == "unix":
            at_endpoint = node.endpoint is not None and node.endpoint.addr is not None
            where = f"{place}.endpoint.addr" if at_endpoint else place
            found.append(({"name": "unix", "unix": local.path}, where))
        elif node.endpoint is not None and node.endpoint.addr is not None:
            found.append(({"name": "tcp", "tcp": (local.host, local.port)}, f"{place}.endpoint.addr"))
        if node.port is not None:
            host = node.host or "localhost"
            address = (host.removeprefix("[").removesuffix("]"), node.port)
            if not any(read.get("tcp") == address for read, _ in found):
                for read, _ in found:
                    read["name"] = "endpoint" if read["name"] == "tcp" else read["name"]
                found.append(({"name": "tcp", "tcp": address}, f"{place}.port"))
        return found

    def _tls_files(self, read: Mapping[str, str] | None) -> TlsFiles | None:
        return TlsFiles(**{key: self._folder / path for key, path in read.items()}) if read else None

    # The tables' form --------------------------------------------------------------------------------------

    def _settings(self, table: Mapping[str, Any], here: str, more: tuple[str, ...] = ()) -> _Settings:
        """`[bridge]`, or what overrides it for a node."""
        settings = _Settings()
        for key in table:
            if key in ELSEWHERE:
                self._note(f"{here}.{key}", ELSEWHERE[key])
        known = (*BRIDGE, *BRIDGE_TABLES, "tls", "listeners", *more)
        self._take(
            {key: value for key, value in table.items() if key not in ELSEWHERE},
            here,
            BRIDGE,
            settings,
            known,
        )
        for name, readers in BRIDGE_TABLES.items():
            inner, place = table.get(name, {}), f"{here}.{name}"
            if name == "admin" and name in table:
                settings.put(name, inner is not False, place)
                inner = {} if inner is False else inner
            if self._is_table(inner, place):
                read = _Settings()
                self._take(inner, place, readers, read)
                for key, value in read.values.items():
                    settings.put(f"{name}.{key}", value, read.places[key])
        if "tls" in table:
            settings.put("tls", self._tls(table["tls"], f"{here}.tls"), f"{here}.tls")
        if "listeners" in table:
            place = f"{here}.listeners"
            if table["listeners"] == []:
                self._note(place, "is empty; leave it out to listen where the topology says")
            settings.put("listeners", list(self._read_listeners(table["listeners"], place)), place)
        return settings

    def _read_listeners(self, tables: object, here: str) -> Iterable[tuple[dict[str, Any], str]]:
        found = [
            (self._listener(each, f"{here}[{index}]"), f"{here}[{index}]")
            for index, each in self._tables(tables, here)
        ]
        whole = [(read, place) for read, place in found if read is not None]
        self._listeners_known &= bool(whole) and len(whole) == len(found)
        return whole

    def _overrides(self, table: object) -> None:
        if not self._is_table(table, "bridge.nodes"):
            return
        names = [node.name for node in self._topology.nodes]
        for name, inner in table.items():
            place = f"bridge.nodes.{quoted(name)}"
            if name not in names and self._nodes_known:
                self._note(
                    place, f"no node has this name{did_you_mean(name, names)}; there are {listed(names)}"
                )
            if self._is_table(inner, place):
                self._nodes[name] = self._settings(inner, place)

    def _tls(self, table: object, here: str) -> dict[str, str] | None:
        """Text of the paths; None for none, and where something is wrong."""
        if table is False or not self._is_table(table, here):
            return None
        read = _Settings()
        unknown = self._take(table, here, TLS, read)
        if "certificate" not in table and "certificate" not in unknown:
            self._note(here, "certificate is missing: the file with the one that clients see")
        return read.values if "certificate" in read.values else None

    def _listener(self, table: Mapping[str, Any], here: str) -> dict[str, Any] | None:
        read = _Settings()
        unknown = self._take(table, here, LISTENER, read, (*LISTENER, "tls"))
        if "name" not in table and "name" not in unknown:
            self._note(here, "name is missing: what access rules and logs call it")
        kinds = [kind for kind in ("unix", "tcp") if kind in table or kind in unknown]
        if len(kinds) != 1:
            both = "it has both unix and tcp" if kinds else "it says nowhere to listen"
            self._note(here, f'{both}; give it unix = "PATH" or tcp = "HOST:PORT"')
        elif kinds == ["unix"] and table.get("tls", False) is not False:
            self._note(f"{here}.tls", "TLS is for TCP alone; a Unix socket has mode = ... and access rules")
        elif kinds == ["tcp"]:
            for key in ("mode", "directory_mode"):
                if key in table:
                    self._note(f"{here}.{key}", "is for Unix sockets alone; a TCP address has tls = { ... }")
        if "tls" in table and kinds != ["unix"]:
            read.values["tls"] = self._tls(table["tls"], f"{here}.tls")
        whole = len(kinds) == 1 and kinds[0] in read.values and "name" in read.values
        return read.values if whole else None

    def _rule(self, read: dict[str, Any], here: str) -> AccessRule:
        for pattern in read.get("identity", ()):
            said = identity_problem(pattern)
            if said is not None:
                self._note(f"{here}.identity", said)
        return AccessRule(**read)

    def _worker(self, read: dict[str, Any], here: str) -> WorkerConfig:
        if "directory" in read:
            read["directory"] = self._folder / read["directory"]
        program, *arguments = read.setdefault("command", ("",))
        if os.sep in program:
            read["command"] = (str(self._folder / program), *arguments)
        worker = WorkerConfig(**{"name": "", **read})
        if worker.max_backoff < worker.backoff:
            place = f"{here}.{'max_backoff' if 'max_backoff' in read else 'backoff'}"
            self._note(
                place, f"max_backoff ({worker.max_backoff:g} s) is below backoff ({worker.backoff:g} s)"
            )
        return worker

    def _entries(
        self, document: Mapping[str, Any], name: str, readers: Mapping[str, Reader[Any]]
    ) -> Iterable[tuple[dict[str, Any], tuple[str, ...] | None, str]]:
        """The tables of `[[access]]` or `[[workers]]`."""
        known = [node.name for node in self._topology.nodes]
        for index, table in self._tables(document.get(name, []), name):
            here, read = f"{name}[{index}]", _Settings()
            unknown = self._take(table, here, {**readers, "node": values.texts}, read)
            for key in ("name", "command") if name == "workers" else ():
                if key not in table and key not in unknown:
                    self._note(here, f"{key} is missing")
            if name == "workers" and "name" not in read.values:
                self._workers_known = False
            nodes = read.values.pop("node", None)
            for node in nodes or ():
                if node not in known and self._nodes_known:
                    said = f"no node is called {node!r}{did_you_mean(node, known)}; there are {listed(known)}"
                    self._note(f"{here}.node", said)
            yield read.values, nodes, here

    def _take(
        self,
        table: Mapping[str, Any],
        here: str,
        readers: Mapping[str, Reader[Any]],
        read: _Settings,
        known: Iterable[str] | None = None,
    ) -> set[str]:
        """Read the keys that are there; returns those that are probably meant by unknown ones."""
        unknown = unknown_keys(table, here, readers if known is None else known, self._problems)
        for key in unknown:
            read.places[key] = here
        for key, reader in readers.items():
            if key in table:
                read.places[key] = f"{here}.{key}"
                try:
                    read.put(key, reader(table[key]), f"{here}.{key}")
                except ValueError as error:
                    self._note(f"{here}.{key}", str(error))
        return unknown

    def _tables(self, value: object, here: str) -> Iterable[tuple[int, dict[str, Any]]]:
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return enumerate(value)
        advice = f"; write [[{here}]] with two brackets" if isinstance(value, dict) else ""
        self._note(here, f"must be a list of tables, not {show(value)}{advice}")
        return ()

    def _is_table(self, value: object, here: str) -> TypeIs[dict[str, Any]]:
        if not isinstance(value, dict):
            self._note(here, f"must be a table, not {show(value)}")
        return isinstance(value, dict)

    def _note(self, place: str, said: str) -> None:
        self._problems.append((place, said))


def _is_for(nodes: tuple[str, ...] | None, node: Node) -> bool:
    return nodes is None or node.name in nodes


def _fields(read: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `BridgeConfig` that are what the file says."""
    own = ("contracts", "accept", "mode", "directory_mode")
    return {key: value for key, value in read.items() if key in BRIDGE and key not in own}


# --- reload ------------------------------------------------------------------------------------------------

#: What a running bridge takes over: whole fields, and limits that are looked at when somebody connects.
_TAKEN_OVER: Final = ("access", "accept", "workers")
_TAKEN_OVER_WITHIN: Final = {
    "limits": ("max_connections", "max_handshakes", "handshake_timeout"),
    "log": ("level",),
}


def changes(old: BridgeConfig, new: BridgeConfig) -> list[str]:
    """What a running bridge cannot take over of a new configuration, in texts for people."""
    found: list[str] = []
    for each in dataclasses.fields(BridgeConfig):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if before == after or each.name in _TAKEN_OVER:
            continue
        if each.name == "listeners":
            found += _listener_changes(before, after)
        elif dataclasses.is_dataclass(before) and dataclasses.is_dataclass(after):
            for part in dataclasses.fields(before):
                pair = getattr(before, part.name), getattr(after, part.name)
                if pair[0] != pair[1] and part.name not in _TAKEN_OVER_WITHIN.get(each.name, ()):
                    found.append(f"{each.name}.{part.name} was {_told(pair[0])} and is {_told(pair[1])} now")
        else:
            found.append(f"{each.name} was {_told(before)} and is {_told(after)} now")
    return found


def _listener_changes(old: tuple[Listener, ...], new: tuple[Listener, ...]) -> Iterable[str]:
    before, after = ({each.name: each for each in listeners} for listeners in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"the listener {name!r} is gone"
        elif name not in before:
            yield f"the listener {name!r} is new"
        elif before[name] != after[name]:
            yield f"the listener {name!r} is another"
    if before == after:
        yield "the listeners are in another order"


def _told(value: object) -> str:
    if value is None:
        return "none"
    if dataclasses.is_dataclass(value):
        return "set"
    return f'"{value}"' if isinstance(value, (str, Path)) else str(value).lower()
