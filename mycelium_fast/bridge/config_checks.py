"""Whether what a bridge's configuration names exists, and whether its parts go together.

`config_file.py` has read the tables and knows that each value is of the right form; here contracts are
loaded, TLS files opened, users, programs and directories looked for, and patterns of access rules tried.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from ..bus.environment import ACCEPTED_VARIABLE, DIGEST_VARIABLE, SOCKET_VARIABLE
from ..bus.toml_tables import Problem, did_you_mean, listed, show
from ..contracts import load
from ..errors import ContractError, TransportError
from .access import type_ids_of
from .config import AccessRule, BridgeConfig, Listener, WorkerConfig
from .listen import tls_context
from .schema import Schema, accepted

__all__ = ["Placed", "identity_problem", "problems_of"]

#: What a pattern of an identity may begin with, and what it is; `identity.py` finds these out.
_IDENTITIES: Final = {
    "uid": "number of the user at a Unix socket",
    "gid": "number of the group",
    "cn": "common name of the certificate's subject",
    "host": "address of a TCP client",
    "service": "name that the client gives itself",
    "worker": "name of a worker of the bridge",
}
_MAX_TYPE_ID: Final = 65_535
#: Bytes that the path of a Unix socket may have, on every system that we know.
_MAX_SOCKET_PATH: Final = 107 if os.uname().sysname == "Linux" else 103
#: What the bridge itself puts into a worker's environment.
_SET_BY_BRIDGE: Final = (SOCKET_VARIABLE, DIGEST_VARIABLE, ACCEPTED_VARIABLE)


@dataclass(frozen=True)
class Placed:
    """A configuration, and where in the file its parts stand.

    Attributes:
        places: paths of the keys of `[bridge]`, by their flat names such as `limits.max_payload`; "bridge" is
            the table's own.
        listeners, workers: paths of the tables.
        rules: likewise, each with the names of the nodes that it is for, None for all.
        listeners_known, workers_known: all that the file has could be read.
    """

    config: BridgeConfig
    places: Mapping[str, str]
    listeners: tuple[str, ...]
    rules: tuple[tuple[str, tuple[str, ...] | None], ...]
    workers: tuple[str, ...]
    listeners_known: bool
    workers_known: bool


def problems_of(placed: Placed, all_nodes: Sequence[Placed]) -> Iterator[Problem]:
    """What is wrong with a configuration whose values each are of the right form.

    Args:
        all_nodes: what the bridge of every node would be, for rules that hold for several.
    """
    yield from _listener_problems(placed)
    yield from _socket_problems(placed)
    schema, problems = _schema(placed)
    yield from problems
    yield from _accept_problems(placed)
    yield from _access_problems(placed, all_nodes, schema)
    yield from _worker_problems(placed)


def identity_problem(pattern: str) -> str | None:
    """What is wrong with the form of a pattern for identities, or None."""
    prefix, colon, wanted = pattern.partition(":")
    if prefix == "pid":
        return (
            f"{show(pattern)}: the number of a process says nothing of who it is; use uid:, gid: or worker:"
        )
    if not colon or prefix not in _IDENTITIES:
        advice = did_you_mean(prefix, _IDENTITIES)
        known = listed(f"{each}: ({what})" for each, what in _IDENTITIES.items())
        return f"{show(pattern)} is no pattern of an identity{advice}; there are {known}"
    if not wanted or "[" in wanted or "\0" in wanted:
        return (
            f"{show(pattern)}: after {prefix}: stands a value, in which * and ? stand for others, without ["
        )
    if prefix in ("uid", "gid") and not re.fullmatch(r"[0-9*?]+", wanted):
        number = _number_of(prefix, wanted)
        advice = f"; {wanted!r} is {prefix}:{number} here" if number is not None else ""
        return f"{show(pattern)}: a {prefix} is a number{advice}"
    return None


def _number_of(kind: str, name: str) -> int | None:
    import grp
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid if kind == "uid" else grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


# --- listeners ---------------------------------------------------------------------------------------------


def _listener_problems(placed: Placed) -> Iterator[Problem]:
    names: dict[str, str] = {}
    addresses: dict[object, str] = {}
    for listener, place in zip(placed.config.listeners, placed.listeners, strict=True):
        first = names.setdefault(listener.name, place)
        if first != place:
            yield (
                f"{place}.name",
                f"a second listener {listener.name!r}, the first is {first}; rename one of them",
            )
        address = _address(listener)
        if address is not None:
            first = addresses.setdefault(address, place)
            if first != place:
                yield place, f"listens where {first} does; leave one of them out"
        if listener.tls is not None:
            where = f"{place}.tls" if place.startswith("bridge.") else placed.places.get("tls", place)
            try:
                tls_context(listener.tls)
            except TransportError as error:
                yield where, str(error)
    admin = placed.config.admin
    if admin is not None and admin.port and (admin.host.lower(), admin.port) in addresses:
        where = placed.places.get("admin.port", placed.places["admin"])
        yield (
            where,
            f"{addresses[admin.host.lower(), admin.port]} listens there; give the status page another port",
        )


def _address(listener: Listener) -> object:
    """What no two listeners share; None where there is no such thing."""
    if listener.unix is not None:
        return os.path.normpath(listener.unix)
    if listener.tcp is not None and listener.tcp[1]:
        return listener.tcp[0].lower(), listener.tcp[1]
    return None


def _socket_problems(placed: Placed) -> Iterator[Problem]:
    for listener, place in zip(placed.config.listeners, placed.listeners, strict=True):
        size = 0 if listener.unix is None else len(os.fsencode(listener.unix))
        if size > _MAX_SOCKET_PATH:
            yield (
                place,
                f"{listener.unix} has {size} bytes, the path of a Unix socket at most {_MAX_SOCKET_PATH}",
            )


# --- contracts and access rules ----------------------------------------------------------------------------


def _schema(placed: Placed) -> tuple[Schema | None, list[Problem]]:
    """The contracts; None where they cannot be used."""
    config = placed.config
    if config.contracts is None and "contracts" in placed.places:
        return None, []  # it is there, and wrong
    if config.contracts is None and config.handshake:
        said = (
            "contracts is missing: the file whose digest clients have to name (none is needed where the "
            "node's endpoint says handshake = false)"
        )
        return None, [(placed.places["bridge"], said)]
    place = placed.places.get("contracts", placed.places["bridge"])
    try:
        schema = Schema.load(config.contracts, handshake=config.handshake)
    except ContractError as error:
        return None, [(place, f"cannot be used:\n{error}")]
    longest, size = max((schema.sizes or {}).items(), key=lambda each: each[1], default=(0, 0))
    most = config.limits.max_payload
    if size > most:
        where = placed.places.get("limits.max_payload", place)
        said = f"messages up to {most} bytes are let through, and {schema.name(longest)} has {size}"
        return schema, [(where, said)]
    return schema, []


def _accept_problems(placed: Placed) -> Iterator[Problem]:
    config = placed.config
    place = placed.places.get("accept", placed.places["bridge"])
    if config.accept and not config.handshake:
        yield (
            place,
            "is for clients that name a schema digest, and the node's endpoint says handshake = false: leave "
            "it out, or say accept = [] for this node",
        )
        return
    if not config.accept or config.contracts is None:
        return
    try:
        own = load(config.contracts)
    except ContractError:  # which is told at `contracts`
        return
    for entry in config.accept:
        try:
            accepted(entry, own)
        except ContractError as error:
            yield place, str(error)


def _access_problems(placed: Placed, all_nodes: Sequence[Placed], schema: Schema | None) -> Iterator[Problem]:
    before = ""
    for rule, (place, nodes) in zip(placed.config.access, placed.rules, strict=True):
        if before:
            yield place, f"is never looked at: {before}, before it, is for everybody"
        elif not rule.identity and not rule.listener:
            before = place
        concerned = [each for each in all_nodes if nodes is None or each.config.node in nodes]
        yield from _named_problems(rule, place, concerned)
        if schema is not None:
            for key, patterns in (("publish", rule.publish), ("receive", rule.receive)):
                for pattern in patterns:
                    said = _pattern_problem(pattern, schema, placed.config)
                    if said is not None:
                        yield f"{place}.{key}", said


def _named_problems(rule: AccessRule, place: str, concerned: Sequence[Placed]) -> Iterator[Problem]:
    """Listeners and workers that none of the bridges has that a rule is for."""
    listeners = [each.name for placed in concerned for each in placed.config.listeners]
    for pattern in rule.listener if all(each.listeners_known for each in concerned) else ():
        if not _some(pattern, listeners):
            advice = did_you_mean(pattern, listeners)
            yield (
                f"{place}.listener",
                f"no listener is called {pattern!r}{advice}; there are {_names(listeners)}",
            )
    asking = [
        each for placed in concerned for each in placed.config.listeners if each.tls and each.tls.authorities
    ]
    for pattern in rule.identity if all(each.listeners_known for each in concerned) else ():
        if pattern.startswith("cn:") and not asking and identity_problem(pattern) is None:
            said = (
                f"{show(pattern)}: no listener asks for certificates: give its tls the authorities to trust"
            )
            yield f"{place}.identity", said
    workers = [each.name for placed in concerned for each in placed.config.workers]
    for pattern in rule.identity if all(each.workers_known for each in concerned) else ():
        wanted = pattern.removeprefix("worker:")
        if wanted != pattern and wanted and "*" not in wanted and not _some(wanted, workers):
            advice = did_you_mean(wanted, workers)
            yield f"{place}.identity", f"no worker is called {wanted!r}{advice}; there are {_names(workers)}"


def _pattern_problem(pattern: str, schema: Schema, config: BridgeConfig) -> str | None:
    """What is wrong with a pattern for types, or None."""
    ids = type_ids_of((pattern,), schema.names)
    if pattern == "*" or ids is None:
        return None
    if pattern.isascii() and pattern.isdigit():
        if int(pattern) > _MAX_TYPE_ID:
            return f"{pattern} is no type id: they go to {_MAX_TYPE_ID}"
        if schema.sizes is None or config.forward_unknown or int(pattern) in schema.sizes:
            return None
        return f"the contracts have no type {pattern}"
    if schema.sizes is None:
        return f'{show(pattern)}: without contracts there are type ids alone, and "*"'
    if ids:
        return None
    topic = pattern.removeprefix("topic:")
    if topic != pattern:
        topics = sorted({each for _, each in schema.names.values()})
        advice = f"{did_you_mean(topic, topics)}; there are {listed(topics)}"
        return f"the contracts have no topic {show(topic)}{advice}"
    names = [name for name, _ in schema.names.values()]
    advice = did_you_mean(pattern, names)
    if not advice and pattern in {topic for _, topic in schema.names.values()}:
        advice = f' (the topic is "topic:{pattern}")'
    return f"the contracts have no message {show(pattern)}{advice}"


def _some(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(each, pattern) for each in names)


def _names(names: Iterable[str]) -> str:
    return listed(dict.fromkeys(names))


# --- workers -----------------------------------------------------------------------------------------------


def _worker_problems(placed: Placed) -> Iterator[Problem]:
    first: dict[str, str] = {}
    unix = next((each for each in placed.config.listeners if each.unix is not None), None)
    for worker, place in zip(placed.config.workers, placed.workers, strict=True):
        other = first.setdefault(worker.name, place)
        if worker.name and other != place:
            yield (
                f"{place}.name",
                f"a second worker {worker.name!r}, the first is {other}; rename one of them",
            )
        for name in _SET_BY_BRIDGE:
            if name in worker.environment:
                yield f"{place}.environment.{name}", "is set by the bridge: leave it out"
        if worker.transport == "socket" and unix is None and placed.listeners_known:
            yield (
                f"{place}.transport",
                'the bridge has no Unix socket that it could connect to: add a listener, or say "stdio"',
            )
        rules = placed.config.access
        if worker.transport == "stdio" and rules and all(rule.listener for rule in rules):
            yield (
                f"{place}.transport",
                "no access rule can be for it: every rule names listeners, and it comes by none",
            )
        if worker.directory is not None and not worker.directory.is_dir():
            yield f"{place}.directory", f"there is no directory {worker.directory}"
        said = _command_problem(worker)
        if said is not None:
            yield f"{place}.command", said
        yield from _account_problems(worker, place, unix)


def _command_problem(worker: WorkerConfig) -> str | None:
    program = worker.command[0]
    if os.sep in program:
        if not os.path.exists(program):
            return f"there is no program {program}"
        if not os.path.isfile(program) or not os.access(program, os.X_OK):
            return f"{program} cannot be executed: it is no program, or lacks the permission (chmod +x)"
        return None
    path = worker.environment.get("PATH", os.environ.get("PATH"))
    if not program or shutil.which(program, path=os.defpath if path is None else path):
        return None
    return f"no program {program!r} is found in PATH; give its path, such as /usr/bin/{program}"


def _account_problems(worker: WorkerConfig, place: str, unix: Listener | None) -> Iterator[Problem]:
    import grp
    import pwd

    if worker.group is not None and not worker.group.isdigit():
        try:
            grp.getgrnam(worker.group)
        except KeyError:
            advice = did_you_mean(worker.group, [each.gr_name for each in grp.getgrall()])
            yield f"{place}.group", f"there is no group {worker.group!r} on this machine{advice}"
    if worker.user is None:
        return
    try:
        uid = (pwd.getpwuid(int(worker.user)) if worker.user.isdigit() else pwd.getpwnam(worker.user)).pw_uid
    except (KeyError, OverflowError):
        if worker.user.isdigit():
            if worker.group is None:
                said = f"there is no user {worker.user} here; name a group as well to use it all the same"
                yield f"{place}.user", said
            return
        advice = did_you_mean(worker.user, [each.pw_name for each in pwd.getpwall()])
        yield f"{place}.user", f"there is no user {worker.user!r} on this machine{advice}"
        return
    if unix is None or unix.mode & 0o022 or worker.transport != "socket":
        return
    if uid not in (0, os.geteuid()):
        yield (
            f"{place}.user",
            f"could not connect to {unix.unix}: its mode {unix.mode:04o} lets nobody but its owner; "
            'give the listener mode = "0660" or "0666"',
        )
