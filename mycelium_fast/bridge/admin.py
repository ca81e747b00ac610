"""The bridge's HTTP server: metrics, health, and the status page with the figures that it shows.

It answers in threads of its own, so that it can tell when the event loop does not answer any more; what it
shows it asks the loop for. What the figures are is `snapshot.py`'s affair, their names as metrics
`exposition.py`'s. It is for people and scrapers on the same host: no login, and nothing that can be changed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import ipaddress
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer, TCPServer
from typing import Any, Final

from ..errors import TransportError
from .config import AdminConfig
from .listen import listen_tcp
from .snapshot import Snapshot

__all__ = ["Admin"]

_log: Final = logging.getLogger("mycelium_fast.bridge.admin")

#: Requests that are answered at one time; more wait to be accepted.
_MAX_REQUESTS: Final = 16
#: Seconds that a request may take from accepting it to its last byte, however slow the client.
_REQUEST_TIMEOUT_S: Final = 10.0
#: Seconds in which the event loop has to answer.
_LOOP_TIMEOUT_S: Final = 2.0
#: Seconds for which a snapshot is shown again: many scrapers cost little more than one.
_MAX_AGE_S: Final = 0.2
#: Seconds between looks at requests that take too long, and at whether to stop.
_POLL_S: Final = 0.1
#: Bytes read of a refused request, so that closing does not reset the connection and lose the answer.
_MAX_DRAINED: Final = 256 * 1024
_DRAIN_TIMEOUT_S: Final = 1.0

_PAGE: Final = Path(__file__).with_name("status.html")
_TEXT: Final = "text/plain; charset=utf-8"
_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)
#: For whatever is not the page: nothing of it is ever to be run or shown within something else.
_INERT: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"


class Admin:
    """Serves what a bridge looks like, by HTTP.

    Args:
        config: where to listen.
        snapshot: the bridge's; called in the event loop's thread.
        loop: the bridge's event loop, running.

    Raises:
        ImportError: prometheus-client is not installed.
    """

    def __init__(
        self, config: AdminConfig, snapshot: Callable[[], Snapshot], loop: asyncio.AbstractEventLoop
    ) -> None:
        from . import exposition  # a third-party package, for those who serve metrics

        self._config = config
        self._view = _View(snapshot, loop)
        self._exposition = exposition
        self._registry = exposition.new_registry(self._view.snapshot)
        self._page, self._page_policy = b"", ""
        self._hosts = {"localhost", config.host.lower(), socket.gethostname().lower()} - {""}
        self._servers: list[_Server] = []
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on, once started; where the host has several addresses, the first.

        Raises:
            RuntimeError: it is not started.
        """
        if not self._servers:
            raise RuntimeError("the status page has no address before start() and after stop()")
        host, port = self._servers[0].server_address[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Listen, and answer from now on.

        Raises:
            TransportError: the address cannot be listened on.
        """
        page = _PAGE.read_bytes()
        self._page, self._page_policy = page, _content_security_policy(page)
        try:
            sockets = listen_tcp(self._config.host, self._config.port)
        except OSError as error:
            made = TransportError(
                f"the status page and metrics have no place: {error}. Give them another address, "
                "or port 0 for any free one"
            )
            made.errno = error.errno
            raise made from error
        slots = threading.BoundedSemaphore(_MAX_REQUESTS)
        for sock in sockets:
            server = _Server(sock, self, slots)
            thread = threading.Thread(
                target=server.serve_forever, args=(_POLL_S,), name="mycelium-admin", daemon=True
            )
            self._servers.append(server)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Answer no more: requests under way are cut off. Blocks for about a tenth of a second."""
        self._view.close()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()
        self._servers.clear()
        self._threads.clear()

    def answer(self, path: str) -> _Answer:
        """What there is at a path; None is not there."""
        page = {
            "/": self._status_page,
            "/status.json": self._status,
            "/metrics": self._metrics,
            "/healthz": self._health,
            "/readyz": self._readiness,
        }.get(path)
        if page is None:
            paths = "/, /status.json, /metrics, /healthz and /readyz"
            return _Answer(f"nothing is here: there are {paths}\n", HTTPStatus.NOT_FOUND)
        try:
            return page()
        except _NoAnswer as error:
            return _Answer(f"{error}\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def allows_host(self, header: str) -> bool:
        """Is that this server's own name, or an address?

        A page from elsewhere can have its own name resolved to this host, and would then read what is here
        with the user's browser (DNS rebinding); the browser still sends that name.
        """
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+?)\.?(?::[0-9]{1,5})?", header.strip())
        if match is None:
            return False
        host = match[1].lower()
        if host in self._hosts or host.strip("[]") in self._hosts:
            return True
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
        return True

    def _status_page(self) -> _Answer:
        return _Answer(self._page, media_type="text/html; charset=utf-8", policy=self._page_policy)

    def _status(self) -> _Answer:
        return _Answer(self._view.json(), media_type="application/json")

    def _metrics(self) -> _Answer:
        text = self._exposition.render(self._registry)
        return _Answer(text, media_type=self._exposition.CONTENT_TYPE)

    def _health(self) -> _Answer:
        with contextlib.suppress(_SnapshotFailed):  # the loop answers, which is what is asked here
            self._view.snapshot()
        return _Answer("ok\n")

    def _readiness(self) -> _Answer:
        snapshot = self._view.snapshot()
        if snapshot.ready:
            return _Answer("ready\n")
        return _Answer("".join(f"{line}\n" for line in _missing(snapshot)), HTTPStatus.SERVICE_UNAVAILABLE)


@dataclasses.dataclass(frozen=True)
class _Answer:
    body: bytes | str
    status: HTTPStatus = HTTPStatus.OK
    media_type: str = _TEXT
    policy: str = _INERT


class _NoAnswer(Exception):
    """The bridge cannot say what it looks like; why."""


class _SnapshotFailed(_NoAnswer):
    """... since `snapshot()` raised."""


class _Look:
    """One question to the event loop."""

    def __init__(self) -> None:
        self.future: Future[Snapshot] = Future()
        self.answered_at: float | None = None
        self.json: bytes | None = None


class _View:
    """The bridge as other threads see it: its snapshots, each asked for once and shown for a moment."""

    def __init__(self, snapshot: Callable[[], Snapshot], loop: asyncio.AbstractEventLoop) -> None:
        self._take = snapshot
        self._loop = loop
        self._lock = threading.Lock()
        self._look: _Look | None = None
        self._closed = False
        self._failing = False

    def snapshot(self) -> Snapshot:
        """How it looks, or looked a moment ago."""
        return self._latest().future.result()

    def json(self) -> bytes:
        """The same for the status page, by the names of its attributes."""
        look = self._latest()
        if look.json is None:  # twice at worst: both are the same
            # Not asdict(): that copies every list before it is written, and there may be 10,000 connections.
            look.json = json.dumps(look.future.result(), default=vars, separators=(",", ":")).encode()
        return look.json

    def close(self) -> None:
        """Ask the loop no more; whoever waits for it is told so."""
        with self._lock:
            self._closed = True
            look = self._look
        if look is not None:
            self._settle(look, error=_NoAnswer("the bridge stops"))

    def _latest(self) -> _Look:
        """A look that is answered. Everybody waits for the same: a loop that hangs is asked once."""
        with self._lock:
            look = self._look
            now = time.monotonic()
            if look is None or (look.answered_at is not None and now - look.answered_at > _MAX_AGE_S):
                if self._closed:
                    raise _NoAnswer("the bridge stops")
                look = self._look = _Look()
                try:
                    self._loop.call_soon_threadsafe(self._answer, look)
                except RuntimeError:  # closed
                    self._settle(look, error=_NoAnswer("the bridge has stopped"))
        try:
            look.future.result(_LOOP_TIMEOUT_S)
        except FutureTimeout:
            raise _NoAnswer(f"the bridge's event loop has not answered for {_LOOP_TIMEOUT_S:g} s") from None
        return look

    def _answer(self, look: _Look) -> None:
        """In the loop's thread."""
        try:
            snapshot = self._take()
        except Exception as error:
            if not self._failing:  # once, not at every scrape
                _log.exception("the status page and metrics show nothing: the bridge's snapshot failed")
            self._failing = True
            self._settle(look, error=_SnapshotFailed(f"the bridge's snapshot failed, see its log: {error!r}"))
        else:
            self._failing = False
            self._settle(look, snapshot)

    @staticmethod
    def _settle(look: _Look, snapshot: Snapshot | None = None, error: _NoAnswer | None = None) -> None:
        with contextlib.suppress(Exception):  # answered already: the bridge stopped meanwhile
            if snapshot is not None:
                look.future.set_result(snapshot)
            else:
                look.future.set_exception(error)
        look.answered_at = time.monotonic()


class _Server(ThreadingHTTPServer):
    """One listening socket. Requests are bounded in number and in time; a thread answers each."""

    daemon_threads = True

    def __init__(self, sock: socket.socket, admin: Admin, slots: threading.BoundedSemaphore) -> None:
        self.admin = admin
        self._slots = slots
        self._open: dict[socket.socket, float] = {}
        self._stopping = False
        # Neither binds (`listen.py` did) nor asks the name service for the host's name, as HTTPServer would.
        BaseServer.__init__(self, sock.getsockname(), _Handler)
        sock.setblocking(False)  # whoever connects may be gone again when it is accepted
        self.socket = sock

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        sock.settimeout(_REQUEST_TIMEOUT_S)
        return sock, address

    def process_request(self, request: Any, client_address: Any) -> None:
        while not self._slots.acquire(timeout=_POLL_S):
            self.service_actions()
            if self._stopping:
                self.shutdown_request(request)
                return
        self._open[request] = time.monotonic() + _REQUEST_TIMEOUT_S
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread can be had
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def service_actions(self) -> None:
        """Cut off whoever takes too long; called all the time by `serve_forever`."""
        now = time.monotonic()
        for sock, deadline in list(self._open.items()):
            if now > deadline or self._stopping:
                with contextlib.suppress(OSError):  # it is closed already
                    sock.shutdown(socket.SHUT_RDWR)

    def _forget(self, request: Any) -> None:
        del self._open[request]
        self._slots.release()

    def shutdown(self) -> None:
        self._stopping = True
        super().shutdown()
        self.service_actions()

    def server_close(self) -> None:
        TCPServer.server_close(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a request to the status page broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One request on one connection: the answer closes it."""

    server: _Server
    timeout = _REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        problem = self._problem()
        if problem is not None:
            self._refuse(*problem)
            return
        try:
            answer = self.server.admin.answer(self.path.partition("?")[0])
        except Exception:
            _log.exception("the status page or metrics cannot be shown")
            answer = _Answer("this failed, see the bridge's log\n", HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(answer)

    def _problem(self) -> tuple[HTTPStatus, str] | None:
        hosts = self.headers.get_all("Host", [])
        if self.request_version == "HTTP/0.9":
            return HTTPStatus.BAD_REQUEST, "HTTP/1.0 or newer is needed"
        if len(hosts) > 1 or (not hosts and self.request_version != "HTTP/1.0"):
            return HTTPStatus.BAD_REQUEST, "a request has one Host header"
        if hosts and not self.server.admin.allows_host(hosts[0]):
            # A browser cannot leave it out, so a program that does is let in.
            return (
                HTTPStatus.FORBIDDEN,
                "this is not the name of the host: ask by its address or as localhost, "
                "or let the bridge serve its status page under that name",
            )
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            return HTTPStatus.BAD_REQUEST, "a request has no body here"
        return None

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses: as text, with none of what was sent."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are all there is")
        else:
            self._refuse(HTTPStatus(code), HTTPStatus(code).description or HTTPStatus(code).phrase)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.request_version = "HTTP/1.0"  # for HTTP/0.9 the library would send no status
        self._send(_Answer(f"{reason}\n", status))
        self._drain()

    def _send(self, answer: _Answer) -> None:
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        self.send_response(answer.status)
        for name, value in _HEADERS:
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", answer.policy)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(body)))
        if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.settimeout(_DRAIN_TIMEOUT_S)
            self.connection.shutdown(socket.SHUT_WR)
            left = _MAX_DRAINED
            while left > 0 and (data := self.connection.recv(65_536)):
                left -= len(data)

    def version_string(self) -> str:
        return "mycelium"

    def log_message(self, format: str, *args: Any) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: %r", self.client_address[0], format % args)


def _missing(snapshot: Snapshot) -> list[str]:
    """Why a bridge is not ready, a line for each reason."""
    lines = [] if snapshot.addresses else ["it listens nowhere"]
    for worker in snapshot.workers:
        if worker.state not in ("running", "stopped"):
            last = f", it last ended with {worker.last_exit}" if worker.last_exit else ""
            lines.append(f"worker {worker.name} is {worker.state}, restarts: {worker.restarts}{last}")
    return lines or ["it is starting or stopping"]


def _content_security_policy(page: bytes) -> str:
    """The page's own script and style run, and nothing else that could get into it."""

    def hashes(tag: bytes) -> str:
        found = re.findall(rb"<%b\b[^>]*>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
        return " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(each).digest()).decode()}'" for each in found
        )

    return (
        f"default-src 'none'; script-src {hashes(b'script')}; style-src {hashes(b'style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
