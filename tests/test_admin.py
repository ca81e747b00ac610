"""`bridge/admin.py` and `bridge/exposition.py`: what the bridge's HTTP server answers, to whom, when not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import bridge, negotiated_client, read_exactly, subscribe
from environments import checked
from snapshots import SNAPSHOT, WORKER, Source, value

from mycelium_fast import TransportError
from mycelium_fast.bridge import admin as admin_module
from mycelium_fast.bridge.admin import Admin
from mycelium_fast.bridge.config import AdminConfig
from mycelium_fast.example_messages import TradeTick


@dataclasses.dataclass
class Served:
    """An Admin over a source, with the event loop that it asks."""

    admin: Admin
    loop: asyncio.AbstractEventLoop
    source: Source

    @property
    def port(self) -> int:
        return self.admin.address[1]

    def get(self, path: str, method: str = "GET", host: str | None = None) -> tuple[int, Any, bytes]:
        return get(self.port, path, method, host)

    def raw(self, data: bytes) -> bytes:
        """All that is answered to these bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
            sock.sendall(data)
            return read_all(sock)


def get(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={} if host is None else {"Host": host})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def read_all(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


@contextlib.contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def serving(config: AdminConfig | None = None) -> Iterator[Served]:
    with running_loop() as loop:
        source = Source()
        admin = Admin(config or AdminConfig(), source, loop)
        admin.start()
        try:
            yield Served(admin, loop, source)
        finally:
            admin.stop()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


@contextlib.contextmanager
def hanging(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """The loop runs something that does not return."""
    hangs, release = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        release.wait(60)

    loop.call_soon_threadsafe(hang)
    assert hangs.wait(20)
    try:
        yield
    finally:
        release.set()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


# What there is


@pytest.mark.parametrize(
    ("path", "media_type", "beginning"),
    [
        ("/", "text/html; charset=utf-8", b"<!doctype html>"),
        ("/?from=bookmark", "text/html; charset=utf-8", b"<!doctype html>"),
        ("/status.json", "application/json", b'{"name":"trading"'),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", b"# HELP mycelium_bridge_"),
        ("/healthz", "text/plain; charset=utf-8", b"ok\n"),
        ("/readyz", "text/plain; charset=utf-8", b"ready\n"),
    ],
)
def test_every_path_answers_in_its_media_type(
    served: Served, path: str, media_type: str, beginning: bytes
) -> None:
    status, headers, body = served.get(path)
    assert status == 200
    assert headers["Content-Type"] == media_type
    assert int(headers["Content-Length"]) == len(body)
    assert body.startswith(beginning)


def test_another_path_is_not_there(served: Served) -> None:
    for path in (
        "/status",
        "/status.html",
        "/../etc/passwd",
        "//metrics/",
        "/%2e",
        "http://127.0.0.1/metrics",
    ):
        status, _, body = served.get(path)
        assert status == 404
        assert body == b"nothing is here: there are /, /status.json, /metrics, /healthz and /readyz\n"


def test_head_is_the_same_without_the_body(served: Served) -> None:
    for path in ("/", "/metrics", "/nothing"):
        status, headers, _ = served.get(path)
        assert served.get(path, "HEAD")[0] == status
        assert served.get(path, "HEAD")[1]["Content-Length"] == headers["Content-Length"]
        answer = served.raw(f"HEAD {path} HTTP/1.0\r\n\r\n".encode())
        assert answer.partition(b"\r\n\r\n")[2] == b""


def test_status_json_is_the_snapshot(served: Served) -> None:
    assert json.loads(served.get("/status.json")[2]) == dataclasses.asdict(SNAPSHOT)


def test_no_answer_is_kept_or_run_as_something_else(served: Served) -> None:
    for path in ("/", "/status.json", "/metrics", "/healthz", "/nothing"):
        _, headers, _ = served.get(path)
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] == "mycelium"


def test_the_page_lets_nothing_in_but_its_own_script_and_style(served: Served) -> None:
    _, headers, body = served.get("/")
    policy = dict(each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";"))
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert policy["script-src"].count("'sha256-") == body.count(b"<script>") == 2
    assert policy["style-src"].count("'sha256-") == body.count(b"<style>") == 1
    assert policy["connect-src"] == "'self'"
    for loaded in (b"src=", b"@import", b"url(", b" onclick=", b" style="):
        assert loaded not in body
    for unsafe in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval("):
        assert unsafe not in body


def test_without_prometheus_client_the_error_says_what_to_install() -> None:
    code = """
import asyncio, sys
sys.modules["prometheus_client"] = None
from mycelium_fast.bridge.admin import Admin
from mycelium_fast.bridge.config import AdminConfig
try:
    Admin(AdminConfig(), lambda: None, asyncio.new_event_loop())
except ImportError as error:
    print(error)
"""
    assert 'pip install "mycelium-fast[metrics]"' in checked(sys.executable, "-W", "ignore", "-c", code)


# Health


def test_ready_is_what_the_snapshot_says_and_otherwise_what_is_missing(served: Served) -> None:
    workers = [
        WORKER,
        dataclasses.replace(WORKER, name="pricing", state="waiting"),
        dataclasses.replace(WORKER, name="reports", state="starting", restarts=0, last_exit=""),
    ]
    served.source.current = dataclasses.replace(SNAPSHOT, ready=False, workers=workers)
    status, _, body = served.get("/readyz")
    assert status == 503
    assert body.decode().splitlines() == [
        "worker pricing is waiting, restarts: 3, it last ended with status 1",
        "worker reports is starting, restarts: 0",
    ]


@pytest.mark.parametrize(
    ("addresses", "reason"), [([], "it listens nowhere"), (["unix:x"], "it is starting or stopping")]
)
def test_not_ready_has_a_reason_without_workers_too(
    served: Served, addresses: list[str], reason: str
) -> None:
    served.source.current = dataclasses.replace(SNAPSHOT, ready=False, workers=[], addresses=addresses)
    assert served.get("/readyz")[::2] == (503, f"{reason}\n".encode())


def test_a_loop_that_hangs_is_not_healthy_until_it_goes_on(served: Served) -> None:
    with hanging(served.loop):
        answers: list[tuple[int, bytes]] = []
        paths = ["/healthz", "/readyz", "/metrics", "/status.json"] * 6
        threads = [
            threading.Thread(target=lambda path=path: answers.append(served.get(path)[::2])) for path in paths
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(answers) == len(paths)
        assert set(answers) == {(503, b"the bridge's event loop has not answered for 2 s\n")}
        assert served.get("/")[0] == 200  # the page can still say so
    until(lambda: served.get("/healthz")[0] == 200)
    assert served.source.calls == 1  # however many asked meanwhile


def test_a_snapshot_that_fails_is_not_the_loop_s_fault(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.source.error = ValueError("no such thing")
    for _ in range(3):
        status, _, body = served.get("/status.json")
        assert (status, body) == (
            503,
            b"the bridge's snapshot failed, see its log: ValueError('no such thing')\n",
        )
        assert served.get("/metrics")[0] == 503
        assert served.get("/healthz")[0] == 200
        calls = served.source.calls
        until(lambda calls=calls: bool(served.get("/healthz")) and served.source.calls > calls)
    assert caplog.text.count("the bridge's snapshot failed") == 1
    served.source.error = None
    until(lambda: served.get("/status.json")[0] == 200)


def test_an_answer_that_cannot_be_made_costs_that_request(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.source.current = dataclasses.replace(SNAPSHOT, name=object())  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        status, _, body = served.get("/status.json")
    assert (status, body) == (500, b"this failed, see the bridge's log\n")
    assert "cannot be shown" in caplog.text
    assert served.get("/healthz")[0] == 200


def test_many_scrapers_cost_little_more_than_one(served: Served) -> None:
    began = time.monotonic()
    statuses: list[int] = []

    def scrape() -> None:
        statuses.extend(served.get("/metrics")[0] for _ in range(10))

    threads = [threading.Thread(target=scrape) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    passed = time.monotonic() - began
    assert statuses == [200] * 200
    assert served.source.calls <= passed / admin_module._MAX_AGE_S + 1


# Those who should not ask


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"PUT /metrics HTTP/1.0\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"get / HTTP/1.0\r\n\r\n", 405),
        (b"__class__ / HTTP/1.0\r\n\r\n", 405),
        (b"GET /\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/1.1 and more\r\n\r\n", 400),
        (b"GET / FTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET /" + 70_000 * b"a" + b" HTTP/1.0\r\n\r\n", 414),
        (b"GET / HTTP/1.0\r\nX: " + 70_000 * b"a" + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\n" + 200 * b"X: a\r\n" + b"\r\n", 431),
        (b"GET /\x00 HTTP/1.0\r\n\r\n", 404),
        (b"GET /<script> HTTP/1.0\r\n\r\n", 404),
    ],
)
def test_what_is_no_proper_request_is_refused_without_an_echo(
    served: Served, request_: bytes, status: int
) -> None:
    answer = served.raw(request_)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 %d " % status)
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"Content-Type: text/plain" in head
    assert (b"Allow: GET, HEAD" in head) == (status == 405)
    for sent in (b"script", b"evil", b"aaaa", b"\x00", b"FTP", b"__class__"):
        assert sent not in answer
    assert body.endswith(b"\n")
    assert served.get("/healthz")[0] == 200


def test_a_client_that_sends_nothing_gets_nothing(served: Served) -> None:
    assert served.raw(b"\r\n") == b""
    with socket.create_connection(("127.0.0.1", served.port)) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b""


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9464",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:9464",
        "10.0.1.10:80",
        "[::1]",
        "[::1]:9464",
        "[fe80::1]",
        socket.gethostname(),
        "status.example.org:9464",
    ],
)
def test_it_answers_to_its_names_and_to_addresses(host: str) -> None:
    admin = Admin(AdminConfig("status.example.org"), Source(), asyncio.new_event_loop())
    try:
        assert admin.allows_host(host)
    finally:
        admin._view._loop.close()


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example#localhost",
        "localhost:80:80",
        "localhost:port",
        "[::1",
        "[::1].evil.example",
        "[localhost]x",
        "2130706433",
        "0x7f.1",
        "localhost\tevil.example",
        "\u0661\u0662\u0667.0.0.1",
    ],
)
def test_it_does_not_answer_to_another_name(served: Served, host: str) -> None:
    assert not served.admin.allows_host(host)


def test_a_name_that_was_bound_to_this_address_is_told_what_to_do(served: Served) -> None:
    for path in ("/", "/status.json", "/metrics"):
        status, _, body = served.get(path, host="rebound.example")
        assert status == 403
        assert b"ask by its address or as localhost" in body
        assert b"trading" not in body


def test_a_probe_that_names_no_host_is_answered(served: Served) -> None:
    assert served.raw(b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nok\n")


def test_slow_clients_are_cut_off_and_those_after_them_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin_module, "_REQUEST_TIMEOUT_S", 1.0)
    with serving() as served, contextlib.ExitStack() as stack:
        slow = []
        for number in range(admin_module._MAX_REQUESTS + 10):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=20))
            if number % 2:
                sock.sendall(b"GET /metrics HTTP/1.0\r\nX: ")
            slow.append(sock)
        assert served.get("/healthz")[0] == 200
        for sock in slow:
            assert read_all(sock) == b""


def test_a_client_that_goes_on_sending_does_not_stay_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_module, "_REQUEST_TIMEOUT_S", 1.0)
    with serving() as served, socket.create_connection(("127.0.0.1", served.port), timeout=20) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n")

        def dribble() -> None:
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    sock.sendall(b"X")
                    threading.Event().wait(0.05)

        thread = threading.Thread(target=dribble)
        thread.start()
        with contextlib.suppress(ConnectionResetError):
            assert read_all(sock) == b""
        thread.join(20)
        assert not thread.is_alive()


def test_a_client_that_does_not_read_is_nobody_s_problem(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", served.port)) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert served.get("/healthz")[0] == 200
    assert capfd.readouterr().err == ""


# Its life


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, running_loop() as loop:
        port = taken.getsockname()[1]
        admin = Admin(AdminConfig("127.0.0.1", port), Source(), loop)
        with pytest.raises(
            TransportError, match=rf"127\.0\.0\.1 port {port}: Address already in use.*port 0"
        ):
            admin.start()
        admin.stop()


def test_it_has_an_address_while_it_runs() -> None:
    with running_loop() as loop:
        admin = Admin(AdminConfig("127.0.0.1", 0), Source(), loop)
        with pytest.raises(RuntimeError, match=r"before start\(\)"):
            _ = admin.address
        admin.start()
        host, port = admin.address
        assert host == "127.0.0.1"
        assert get(port, "/healthz")[0] == 200
        admin.stop()
        admin.stop()
        with pytest.raises(RuntimeError, match=r"after stop\(\)"):
            _ = admin.address
        with pytest.raises(ConnectionRefusedError):
            get(port, "/healthz")


def test_every_address_of_a_name_is_served() -> None:
    with serving(AdminConfig("localhost")) as served:
        families = {family for family, *_ in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
        for family in families:
            with socket.socket(family) as sock:
                sock.settimeout(20)
                sock.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", served.port))
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert read_all(sock).endswith(b"\r\n\r\nok\n")


def test_stopping_ends_requests_under_way() -> None:
    with serving() as served, hanging(served.loop), contextlib.ExitStack() as stack:
        connect = lambda: stack.enter_context(  # noqa: E731
            socket.create_connection(("127.0.0.1", served.port), timeout=20)
        )
        silent, waiting = connect(), connect()
        waiting.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        until(lambda: served.admin._view._look is not None)
        served.admin.stop()
        assert read_all(silent) == b""
        assert b"200" not in read_all(waiting)
    until(lambda: not [each for each in threading.enumerate() if "process_request" in each.name])


def test_a_loop_that_is_closed_is_no_bridge() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    admin = Admin(AdminConfig(), Source(), loop)
    admin.start()
    try:
        assert get(admin.address[1], "/healthz")[::2] == (503, b"the bridge has stopped\n")
    finally:
        admin.stop()


# With a bridge


def test_what_a_bridge_passes_on_is_in_its_metrics(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with bridge(path, "--metrics", "127.0.0.1:0", "--name", "trading") as running:
        port = status_port(running)
        publisher, _ = negotiated_client(path)
        subscriber, _ = negotiated_client(path)
        with publisher, subscriber:
            subscribe(subscriber, TradeTick.TYPE_ID)
            frame = TradeTick(101_500, 2_500).to_frame()
            publisher.sendall(frame * 100)
            assert read_exactly(subscriber, len(frame) * 100) == frame * 100
            until(
                lambda: (
                    value(
                        get(port, "/metrics")[2],
                        "mycelium_bridge_type_frames_received_total",
                        type="TradeTick",
                    )
                    == 100
                )
            )
            text = get(port, "/metrics")[2]
            assert value(text, "mycelium_bridge_info", name="trading", node="") == 1
            assert value(text, "mycelium_bridge_frames_received_total") == 100
            assert value(text, "mycelium_bridge_received_bytes_total") == 100 * len(frame)
            assert value(text, "mycelium_bridge_frames_sent_total") == 100
            assert value(text, "mycelium_bridge_connections") == 2
            assert get(port, "/healthz")[::2] == (200, b"ok\n")
            assert get(port, "/readyz")[::2] == (200, b"ready\n")
        until(lambda: value(get(port, "/metrics")[2], "mycelium_bridge_connections") == 0)
        text = get(port, "/metrics")[2]
        assert value(text, "mycelium_bridge_frames_received_total") == 100
        assert value(text, "mycelium_bridge_frames_sent_total") == 100
        running.stop()
    with pytest.raises(ConnectionRefusedError):
        get(port, "/healthz")


def status_port(running: Any) -> int:
    line = running.process.stdout.readline()
    assert line.startswith("status page at http://127.0.0.1:"), line
    return int(line.rstrip().rstrip("/").rpartition(":")[2])
