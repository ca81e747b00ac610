"""A bridge as an object: `async with Bridge(config) as bridge`, in the daemon, in tests, in a program of its
own.

It puts the parts together and takes them apart again in order: sockets, control plane, router, workers,
status page. Signals, logging and the process's life are `serve.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

from ..bus.environment import ACCEPTED_VARIABLE, DIGEST_VARIABLE, SOCKET_VARIABLE
from ..errors import TransportError
from ..transport.addresses import Address
from .audit import audit
from .config import BridgeConfig, Listener
from .control import Control
from .listen import listen_tcp, listen_unix, remove_unix, tls_context
from .schema import Schema
from .snapshot import Snapshot, TypeSnapshot
from .workers import Supervisor

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Bridge"]


class Bridge:
    """A bridge within this program's event loop; the router has a thread of its own.

    Args:
        config: what it is to be.

    Attributes:
        addresses: that it listens on, such as `unix:/run/bus.sock` and `tls://127.0.0.1:9091`.
        status_page: address of the status page, such as `http://127.0.0.1:9464/`, or None.
        digest: that clients have to name; None where they name none.
    """

    def __init__(self, config: BridgeConfig) -> None:
        self._config = config
        self.addresses: list[str] = []
        self.status_page: str | None = None
        self._schema = Schema(None, None, {})
        self._control: Control | None = None
        self._supervisor: Supervisor | None = None
        self._stack = contextlib.AsyncExitStack()
        self._closing = asyncio.Lock()
        self._reloading = asyncio.Lock()
        self._started, self._started_at = 0.0, 0.0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    @property
    def config(self) -> BridgeConfig:
        """What it is, reloads included."""
        return self._config

    @property
    def digest(self) -> bytes | None:
        """The schema digest that clients have to name."""
        return self._schema.digest

    async def start(self) -> None:
        """Listen, run the workers, serve the status page; all of it or nothing.

        Raises:
            ContractError: the contracts cannot be used, or those to accept beside them.
            ValueError: there is something to accept, and no digest that clients have to name.
            TransportError: an address cannot be listened on, or a file for TLS not be used.
            RuntimeError: it was started before.
        """
        if self._control is not None:
            raise RuntimeError("a bridge is started once: make another one")
        config = self._config
        self._schema = Schema.load(config.contracts, handshake=config.handshake, accept=config.accept)
        self._started, self._started_at = time.monotonic(), time.time()
        async with contextlib.AsyncExitStack() as undo:
            opened = [each for listener in config.listeners for each in self._open(listener, undo)]
            contexts = _tls_contexts(config)
            supervisor = self._supervisor = Supervisor(
                config.workers, environment=self._environment(), attach=self._attach_worker
            )
            control = self._control = Control(config, self._schema, supervisor)
            control.start()
            undo.push_async_callback(self._close_control)
            control.tls = contexts
            for sock, name in opened:
                control.listen(sock, name)
            if config.admin is not None:
                from .admin import Admin

                admin = Admin(config.admin, self.snapshot, asyncio.get_running_loop())
                admin.start()
                undo.callback(admin.stop)
                host, port = admin.address
                self.status_page = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
            undo.push_async_callback(supervisor.stop)
            await supervisor.start()
            # (Undone in reverse: workers first, who may still say something; then the control plane lets
            # nobody in, and everybody go.)
            self._stack = undo.pop_all()
        audit(
            "bridge.started",
            "the bridge %r is up: %s",
            config.name,
            ", ".join(self.addresses) or "no addresses",
        )
        _tell_accepted(self._schema)

    async def close(self) -> None:
        """Stop the workers, say goodbye to clients, send what waits, and leave nothing behind."""
        async with self._closing:  # whoever else asks for it waits for the same end
            await self._stack.aclose()

    async def reload(self, config: BridgeConfig) -> None:
        """Go by other access rules, workers, limits and schemas to accept from now on, and by the
        certificates that the files have now; the rest of `config` has to be what it was.

        Raises:
            ContractError: a schema to accept cannot be used; then everything stays.
            TransportError: something else changed, or the bridge is not started; then everything stays.
        """
        async with self._reloading:  # the last one that is asked for is the one that stays
            await self._reload(config)

    async def _reload(self, config: BridgeConfig) -> None:
        from .config_file import changes

        self._running()
        # (Read again, since the file of the same name may have another content; large ones take seconds, in
        # which nobody should have to wait for a handshake.)
        schema = await asyncio.to_thread(
            Schema.load, config.contracts, handshake=config.handshake, accept=config.accept
        )
        control, supervisor = self._running()
        if control.closing:
            raise TransportError("the bridge stops")
        fixed = changes(self._config, config)
        if schema != self._schema:
            fixed.append("the contracts")
        if fixed:
            raise TransportError(
                "cannot be changed while the bridge runs: " + "; ".join(fixed) + ". Start it anew"
            )
        control.tls = _tls_contexts(config)
        self._config = config
        before, self._schema = self._schema, schema
        control.adopt(config, schema)
        _tell_accepted(schema, before)
        await supervisor.reload(config.workers, self._environment())

    def connect(self) -> socket.socket:
        """A connection from within this program: the client's end of a socket pair, for `SocketTransport`.
        The handshake is still to come."""
        control, _ = self._running()
        if control.closing:
            raise TransportError("the bridge stops")
        ours, theirs = socket.socketpair()
        control.attach(ours)
        return theirs

    def snapshot(self) -> Snapshot:
        """What it looks like now; to be called in its event loop's thread."""
        control, supervisor = self._running()
        totals = control.totals()
        types = control.router.all_type_stats()
        nothing = ("", "")
        return Snapshot(
            name=self._config.name,
            node=self._config.node,
            started=self._started_at,
            now=time.time(),
            uptime=time.monotonic() - self._started,
            ready=supervisor.ready,
            addresses=list(self.addresses),
            accepted=totals.accepted,
            refused=totals.refused,
            protocol_errors=totals.protocol_errors,
            stalled=totals.stalled,
            dead=totals.dead,
            frames_in=totals.frames,
            bytes_in=totals.bytes,
            frames_out=totals.deliveries,
            missed=totals.missed,
            dropped=dict(totals.dropped),
            connections=list(control.snapshots()),
            types=[
                TypeSnapshot(type_id, *self._schema.names.get(type_id, nothing), *types.get(type_id, (0, 0)))
                for type_id in sorted(self._schema.names.keys() | types)
            ],
            workers=supervisor.snapshot(),
            schemas=control.schemas(),
        )

    def summary(self) -> str:
        """What happened so far, in a line for people."""
        return "" if self._control is None else str(self._control.totals())

    def _running(self) -> tuple[Control, Supervisor]:
        if self._control is None or self._supervisor is None:
            raise TransportError("the bridge is not started")
        if self._control.closed:
            raise TransportError("the bridge has stopped: make another one")
        return self._control, self._supervisor

    def _open(self, listener: Listener, undo: contextlib.AsyncExitStack) -> list[tuple[socket.socket, str]]:
        """The sockets of a listener."""
        if listener.unix is not None:
            path = str(listener.unix)
            sock, identity = listen_unix(path, mode=listener.mode, directory_mode=listener.directory_mode)
            undo.callback(remove_unix, path, identity)
            undo.callback(sock.close)
            self.addresses.append(str(Address("unix", path=path)))
            return [(sock, listener.name)]
        if listener.tcp is None:
            raise TransportError(
                f"the listener {listener.name!r} has neither unix nor tcp: give it one of them"
            )
        opened = []
        for sock in listen_tcp(*listener.tcp):
            undo.callback(sock.close)
            host, port = sock.getsockname()[:2]
            self.addresses.append(str(Address("tls" if listener.tls else "tcp", host=host, port=port)))
            opened.append((sock, listener.name))
        return opened

    def _environment(self) -> dict[str, str]:
        """What workers find in theirs."""
        found = {}
        path = next((each.unix for each in self._config.listeners if each.unix is not None), None)
        if path is not None:
            found[SOCKET_VARIABLE] = str(path.absolute())
        if self._schema.digest is not None:
            found[DIGEST_VARIABLE] = self._schema.digest.hex()
        if others := self._schema.others():
            found[ACCEPTED_VARIABLE] = ",".join(each.digest.hex() for each in others)
        return found

    def _attach_worker(self, sock: socket.socket, name: str) -> None:
        if self._control is None:  # pragma: no cover - workers start after it
            sock.close()
            return
        self._control.attach(sock, worker=name)

    async def _close_control(self) -> None:
        if self._control is not None:
            await self._control.close(self._config.close_timeout)


def _tell_accepted(schema: Schema, before: Schema | None = None) -> None:
    """Say which schemas are accepted beside the bridge's own, as far as that was not said before."""
    for digest, each in schema.accepted.items():
        if before is not None and before.accepted.get(digest) == each:
            continue
        facts: dict[str, Any] = each.facts()
        level = logging.WARNING
        if digest == schema.digest:
            remark = "it is the bridge's own schema, and need not be listed"
        elif each.types is None:
            remark = (
                "nothing is known of its types, so that they get every type and have to skip those that they "
                "do not know; accept the contracts file instead"
            )
        else:
            remark, level = f"{len(each.types)} of {len(schema.names)} types are theirs", logging.INFO
        audit(
            "schema.accepted",
            "clients of %s (schema digest %s) are accepted: %s",
            each.name,
            digest.hex(),
            remark,
            level=level,
            **facts,
            type_ids=None if each.types is None else sorted(each.types),
        )


def _tls_contexts(config: BridgeConfig) -> dict[str, ssl.SSLContext]:
    """TLS of the listeners that speak it, by name."""
    return {each.name: tls_context(each.tls) for each in config.listeners if each.tls is not None}
