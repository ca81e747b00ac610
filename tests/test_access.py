"""Who may do what on a bridge, and what is said of those who may not."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bridges import (
    CONTRACTS,
    GREETING,
    hello,
    is_closed,
    negotiated_client,
    raw_client,
    read_core,
    read_exactly,
)
from certificates import Certificates
from links import eventually

from mycelium_fast import TcpTransport, UnixTransport
from mycelium_fast.bridge import (
    AccessRule,
    BridgeConfig,
    BridgeThread,
    Limits,
    Listener,
    TlsFiles,
    WorkerConfig,
)
from mycelium_fast.bridge.access import EVERYTHING, Access, type_ids_of
from mycelium_fast.bridge.identity import Identity, common_name, identity_of
from mycelium_fast.errors import MyceliumError, PermissionDenied, TransportError
from mycelium_fast.example_messages import SCHEMA_DIGEST, Order, TextMessage, TradeTick
from mycelium_fast.session import ALL_FEATURES, Features, RejectCode, core

TICK, TEXT, ORDER = TradeTick.TYPE_ID, TextMessage.TYPE_ID, Order.TYPE_ID
NAMES = {1200: ("TradeTick", "market-data"), 1201: ("TradeSignal", "signals"), 1001: ("TextMessage", "chat")}
ME = f"uid:{os.getuid()}"
ALL = AccessRule()


def tick(number: int) -> Any:
    return TradeTick(price=number, size=number)


def text(content: str = "hello") -> Any:
    return TextMessage(sender="test", content=content, timestamp=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


Ruled = Callable[..., contextlib.AbstractContextManager[BridgeThread]]


@pytest.fixture
def ruled(path: Path) -> Ruled:
    """A bridge with access rules."""

    def made(*rules: AccessRule, **settings: Any) -> BridgeThread:
        return BridgeThread(config(path, *rules, **settings))

    return made


def config(path: Path, *rules: AccessRule, **settings: Any) -> BridgeConfig:
    listeners = settings.pop("listeners", (Listener("unix", unix=path),))
    return BridgeConfig(listeners, CONTRACTS, access=rules, **settings)


def transport(path: Path, **options: Any) -> UnixTransport:
    return UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20, **options)


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[Any]:
    return [record for record in caplog.records if getattr(record, "event", "") == name]


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


# Patterns and rules -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*"], None),
        (["TradeTick", "*"], None),
        ([], set()),
        (["Trade*"], {1200, 1201}),
        (["TradeTick", "topic:chat"], {1200, 1001}),
        (["topic:*-data"], {1200}),
        (["1001", "4711"], {1001, 4711}),
        (["tradetick"], set()),
    ],
)
def test_types_are_named_by_message_topic_or_id(patterns: list[str], found: set[int] | None) -> None:
    assert type_ids_of(patterns, NAMES) == found


def test_the_first_rule_that_fits_counts() -> None:
    access = Access(
        [
            AccessRule(identity=("uid:1",), publish=("TradeTick",), receive=()),
            AccessRule(identity=("uid:1", "cn:*.example.org"), listener=("tls",), receive=("TextMessage",)),
        ],
        NAMES,
    )
    first = access.grant(Identity(uid=1), "tls")
    assert first is not None
    assert (first.rule, first.publish, first.receive) == (0, {1200}, set())
    second = access.grant(Identity(common_name="risk.example.org"), "tls")
    assert second is not None
    assert (second.rule, second.publish, second.receive) == (1, None, {1001})
    assert access.grant(Identity(common_name="risk.example.org"), "unix") is None
    assert access.grant(Identity(uid=2, gid=1, pid=1), "tls") is None


def test_without_rules_everything_is_allowed() -> None:
    assert Access([], NAMES).grant(Identity(), "unix") is EVERYTHING


def test_the_system_says_who_is_at_a_unix_socket() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert identity_of(one) == Identity(os.getuid(), os.getgid(), os.getpid())


def test_the_most_specific_common_name_counts() -> None:
    subject = ((("organizationName", "x"),), (("commonName", "a"),), (("commonName", "b"),))
    assert common_name({"subject": subject}) == "b"
    assert common_name({}) == common_name(None) == ""


# Publishing and receiving -----------------------------------------------------------------------------------


def test_a_publisher_hears_which_type_it_may_not_publish(
    ruled: Ruled, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ruled(AccessRule(identity=(ME,), publish=("TradeTick",))), transport(path, service="risk") as client:
        received = client.subscriber([TradeTick, TextMessage])
        forbidden = client.publisher(TextMessage)
        forbidden.publish(text())
        client.publisher(TradeTick).publish(tick(1))
        assert received.recv(20) == tick(1)
        with pytest.raises(PermissionDenied, match="no access rule lets it publish TextMessage"):
            for _ in range(10_000):
                forbidden.publish(text())
        (denied,) = events(caplog, "publish.denied")
        assert denied.name == "mycelium_fast.bridge.audit"
        assert (denied.type_id, denied.client, denied.connection) == (TEXT, "risk", 1)
        assert ME in denied.identity
        client.publisher(TradeTick).publish(tick(2))  # the rest goes on
        assert received.recv(20) == tick(2)


def test_a_plain_client_that_publishes_what_it_may_not_is_closed(
    ruled: Ruled, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ruled(AccessRule(publish=("TradeTick",))), raw_client(path) as other:
        other.sendall(tick(0).to_frame())
        assert read_exactly(other, 22) == tick(0).to_frame()
        with raw_client(path) as sock:
            sock.sendall(tick(1).to_frame() + text().to_frame())
            assert read_exactly(other, 22) == tick(1).to_frame()
            while data := sock.recv(4096):
                assert data == tick(1).to_frame()
        eventually(lambda: events(caplog, "publish.denied"))
        other.sendall(tick(2).to_frame())
        assert read_exactly(other, 22) == tick(2).to_frame()  # of the text, nothing came


def test_a_subscription_that_is_not_allowed_is_refused_and_the_others_stand(
    ruled: Ruled, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ruled(AccessRule(receive=("topic:market-data",))), transport(path) as client:
        with pytest.raises(PermissionDenied, match="no access rule lets it receive TextMessage"):
            client.subscriber(TextMessage)
        received = client.subscriber(TradeTick)
        client.publisher(TextMessage).publish(text())
        client.publisher(TradeTick).publish(tick(1))
        assert received.recv(20) == tick(1)
        assert [record.type_id for record in events(caplog, "subscribe.denied")] == [TEXT]


def test_whoever_asks_for_everything_gets_what_it_may_receive(ruled: Ruled, path: Path) -> None:
    with ruled(AccessRule(receive=("TradeTick",))):
        sock, _ = negotiated_client(path)
        with sock, raw_client(path) as plain:
            sock.sendall(core.Subscribe(1, True, ()).to_frame())
            assert read_core(sock) == core.Subscribed(1)
            plain.sendall(tick(0).to_frame())
            assert read_exactly(plain, 22) == tick(0).to_frame()
            assert read_exactly(sock, 22) == tick(0).to_frame()
            plain.sendall(text().to_frame() + tick(1).to_frame())
            for each in (sock, plain):
                assert read_exactly(each, 22) == tick(1).to_frame()


# Who may connect --------------------------------------------------------------------------------------------


def test_whom_no_rule_fits_is_refused_with_a_reason(
    ruled: Ruled, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ruled(AccessRule(identity=("uid:123456789",))):
        with pytest.raises(PermissionDenied, match=f"no access rule is for .*{ME}"):
            transport(path).connect()
        with raw_client(path, GREETING) as plain:
            assert is_closed(plain)
        assert len(events(caplog, "client.refused")) == 2
        assert ME in events(caplog, "client.refused")[0].identity


def test_a_rule_for_a_service_waits_for_its_name(ruled: Ruled, path: Path) -> None:
    rule = AccessRule(identity=("service:risk",), publish=("TradeTick",))
    with (
        ruled(rule, limits=Limits(handshake_timeout=1.0)) as bridge,
        transport(path, service="risk") as client,
    ):
        received = client.subscriber(TradeTick)
        client.publisher(TradeTick).publish(tick(1))
        assert received.recv(20) == tick(1)
        with pytest.raises(PermissionDenied, match=r"no access rule is for .*service:stranger"):
            transport(path, service="stranger").connect()
        with raw_client(path) as early:  # and may do nothing before
            early.sendall(tick(7).to_frame())
            assert is_closed(early)
        with raw_client(path) as silent:
            assert is_closed(silent)
        with pytest.raises(queue.Empty):
            received.recv_nowait()
        eventually(lambda: [each.service for each in bridge.snapshot().connections] == ["risk"])


def test_certificates_have_names_that_rules_can_name(tmp_path: Path, path: Path, ruled: Ruled) -> None:
    certificates = Certificates(tmp_path)
    files = TlsFiles(certificates.server, authorities=certificates.authority)
    listeners = (Listener("inside", unix=path), Listener("outside", tcp=("127.0.0.1", 0), tls=files))
    rules = (
        AccessRule(identity=("cn:risk.example.org",), listener=("outside",), publish=("TradeTick",)),
        AccessRule(listener=("inside",), publish=()),
    )
    with ruled(*rules, listeners=listeners) as bridge:
        port = int(bridge.addresses[1].rpartition(":")[2])
        context = certificates.client_context(certificate=True)
        with (
            transport(path) as inside,
            TcpTransport("localhost", port, SCHEMA_DIGEST, tls=context, handshake_grace=20) as outside,
        ):
            received = inside.subscriber(TradeTick)
            outside.publisher(TradeTick).publish(tick(1))
            assert received.recv(20) == tick(1)
            found = {each.listener: each.identity for each in bridge.snapshot().connections}
            assert "cn:risk.example.org" in found["outside"]
            assert "host:127.0.0.1" in found["outside"]
            assert ME in found["inside"]


def test_a_failed_tls_handshake_is_told(
    tmp_path: Path, ruled: Ruled, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = Certificates(tmp_path)
    listeners = (Listener("tls", tcp=("127.0.0.1", 0), tls=TlsFiles(certificates.server)),)
    with ruled(listeners=listeners) as bridge:
        port = int(bridge.addresses[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 20) as sock, contextlib.suppress(ssl.SSLError):
            certificates.distrusting_context().wrap_socket(sock, server_hostname="localhost")
        eventually(lambda: events(caplog, "client.refused"))
        assert "the TLS handshake failed" in events(caplog, "client.refused")[0].getMessage()


# Limits -----------------------------------------------------------------------------------------------------


def test_a_bridge_takes_so_many_connections(ruled: Ruled, path: Path) -> None:
    with ruled(limits=Limits(max_connections=2)) as bridge, contextlib.ExitStack() as stack:
        first = stack.enter_context(transport(path))
        stack.enter_context(transport(path))
        with pytest.raises(TransportError, match="a limit is reached: 2 connections are open"):
            transport(path).connect()
        with raw_client(path) as plain:
            assert is_closed(plain)
        first.close()
        eventually(lambda: len(bridge.snapshot().connections) == 1)
        stack.enter_context(transport(path))


def test_an_identity_has_so_many_connections(ruled: Ruled, path: Path) -> None:
    rules = (AccessRule(identity=("service:risk",), max_connections=1), ALL)
    with ruled(*rules) as bridge, contextlib.ExitStack() as stack:
        stack.enter_context(transport(path, service="other"))
        stack.enter_context(transport(path, service="other"))
        first = stack.enter_context(transport(path, service="risk"))
        with pytest.raises(TransportError, match="a limit is reached: there are 1 connections like it"):
            transport(path, service="risk").connect()
        first.close()
        eventually(lambda: len(bridge.snapshot().connections) == 2)
        stack.enter_context(transport(path, service="risk"))


def test_silent_peers_keep_nobody_out(ruled: Ruled, path: Path) -> None:
    limits = Limits(max_handshakes=4, handshake_timeout=60)
    with ruled(limits=limits), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(raw_client(path, b"\x20\x00")) for _ in range(20)]
        with transport(path) as client:
            received = client.subscriber(TradeTick)
            client.publisher(TradeTick).publish(tick(1))
            assert received.recv(20) == tick(1)
        for each in silent[:16]:
            assert is_closed(each)


def test_a_digest_that_drips_in_is_not_waited_for_longer_than_a_silent_one(ruled: Ruled, path: Path) -> None:
    with ruled(limits=Limits(handshake_timeout=0.5)), raw_client(path, b"") as slow:
        for byte in GREETING:
            try:
                slow.sendall(bytes([byte]))
            except OSError:
                break
            slow.settimeout(0.1)
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                if slow.recv(1) == b"":
                    break
        else:
            raise AssertionError("it was waited for")


def test_whoever_sends_more_than_its_rate_is_read_more_slowly_and_loses_nothing(
    ruled: Ruled, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice the burst takes at least a second more: the lower bound is what the limit promises."""
    with (
        ruled(AccessRule(identity=("service:fast",), max_frames_per_s=2_000), ALL),
        transport(path, service="fast") as fast,
        transport(path, service="other") as other,
    ):
        received = other.subscriber(TradeTick, capacity=10_000, overflow="block")
        fast.publisher(TradeTick).publish_many([tick(number) for number in range(4_000)])
        fast.flush()
        assert [received.recv(20) for _ in range(4_000)] == [tick(number) for number in range(4_000)]
        assert len(events(caplog, "client.throttled")) == 1


# Reloading --------------------------------------------------------------------------------------------------


def test_new_rules_hold_for_those_who_are_connected(ruled: Ruled, path: Path) -> None:
    with ruled() as bridge, transport(path, service="risk") as client, transport(path) as other:
        received = client.subscriber([TradeTick, TextMessage])
        client.publisher(TradeTick).publish(tick(1))
        assert received.recv(20) == tick(1)
        bridge.reload(config(path, AccessRule(identity=("service:risk",), publish=("TextMessage",))))
        with pytest.raises(MyceliumError, match="no access rule is for it any longer"):
            other.subscriber(TradeTick).recv(20)
        client.publisher(TextMessage).publish(text())
        assert received.recv(20) == text()
        with pytest.raises(PermissionDenied):
            for _ in range(10_000):
                client.publisher(TradeTick).publish(tick(2))


def test_a_subscription_that_new_rules_forbid_is_in_the_audit_trail_and_gets_nothing(
    ruled: Ruled, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ruled() as bridge, transport(path, service="risk") as client, transport(path) as other:
        received = client.subscriber([TradeTick, TextMessage])
        bridge.reload(config(path, AccessRule(receive=("TextMessage",))))
        (denied,) = events(caplog, "subscribe.denied")
        assert (denied.connection, denied.client, denied.type_id) == (1, "risk", TICK)
        other.publisher(TradeTick).publish(tick(1))
        other.publisher(TextMessage).publish(text())
        assert received.recv(20) == text()


def test_renewed_certificates_hold_for_those_who_connect_after_a_reload(
    tmp_path: Path, path: Path, ruled: Ruled
) -> None:
    old, new = (Certificates(tmp_path / name) for name in ("old", "new"))
    files = TlsFiles(tmp_path / "server.pem")
    listeners = (Listener("tls", tcp=("127.0.0.1", 0), tls=files),)
    shutil.copy(old.server, files.certificate)
    with ruled(listeners=listeners) as bridge:
        port = int(bridge.addresses[0].rpartition(":")[2])

        def connected(certificates: Certificates) -> TcpTransport:
            context = certificates.client_context()
            return TcpTransport("localhost", port, SCHEMA_DIGEST, tls=context, handshake_grace=20).connect()

        with connected(old) as before:
            received = before.subscriber(TradeTick)
            shutil.copy(new.server, files.certificate)
            bridge.reload(config(path, listeners=listeners))
            with pytest.raises(TransportError):
                connected(old)
            with connected(new) as after:
                after.publisher(TradeTick).publish(tick(1))
                assert received.recv(20) == tick(1)
        files.certificate.write_text("nothing of the kind")
        with pytest.raises(TransportError, match="cannot use"):
            bridge.reload(config(path, listeners=listeners))
        with connected(new):
            pass


def test_a_stdio_worker_is_the_worker_and_not_the_bridge(ruled: Ruled, tmp_path: Path, path: Path) -> None:
    """The socket is the bridge's own, and so is what the system says of its other end."""
    (tmp_path / "stdio_worker.py").write_text("def main(transport):\n    transport.raw_subscriber().recv()\n")
    command = (sys.executable, "-m", "mycelium_fast", "worker", "stdio_worker:main")
    worker = WorkerConfig("quiet", command, directory=tmp_path, transport="stdio", restart="never")
    rules = (AccessRule(identity=(ME,)), AccessRule(identity=("worker:quiet",), publish=()))
    with ruled(*rules, workers=(worker,)) as bridge:
        eventually(lambda: [each.identity for each in bridge.snapshot().connections] == ["worker:quiet"])


def test_what_cannot_change_while_a_bridge_runs_refuses_the_whole_reload(ruled: Ruled, path: Path) -> None:
    with ruled() as bridge:
        wrong = replace(config(path, AccessRule(identity=("uid:123456789",))), slow_consumer="block")
        with pytest.raises(TransportError, match="slow_consumer"):
            bridge.reload(wrong)
        with transport(path) as client:
            client.subscriber(TradeTick)


# The audit trail --------------------------------------------------------------------------------------------


def test_the_audit_trail_has_who_came_what_it_wanted_and_that_it_left(
    ruled: Ruled, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ruled():
        with transport(path, service="risk") as client:
            client.subscriber([TradeTick, Order]).close()
            eventually(lambda: events(caplog, "client.unsubscribed"))
        eventually(lambda: events(caplog, "client.disconnected"))
    audit = [record for record in caplog.records if record.name == "mycelium_fast.bridge.audit"]
    names = [record.event for record in audit]
    assert names[0] == "bridge.started"
    assert names[1:4] == ["client.connected", "client.negotiated", "client.subscribed"]
    assert audit[1].listener == "unix"
    assert ME in audit[1].identity
    assert audit[2].client == "risk"
    assert sorted(audit[3].type_ids) == sorted([TICK, ORDER])
    assert {record.connection for record in audit[1:4]} == {1}


def test_hello_subscriptions_and_messages_may_come_in_one_piece(ruled: Ruled, path: Path) -> None:
    """Each counts for what comes after it: whoever subscribes and publishes at once gets its own."""
    greeted = GREETING + hello(features=ALL_FEATURES & ~Features.NO_ECHO)
    frames = core.Subscribe(1, False, [TICK]).to_frame() + tick(1).to_frame() * 3
    frames += core.Unsubscribe(2, False, [TICK]).to_frame() + tick(2).to_frame()
    frames += core.Subscribe(3, True, []).to_frame() + tick(3).to_frame()
    with ruled(), raw_client(path, greeted + frames) as sock:
        assert isinstance(read_core(sock), core.Welcome)
        assert read_core(sock) == core.Subscribed(1)
        assert read_exactly(sock, 3 * 22) == tick(1).to_frame() * 3
        assert [read_core(sock), read_core(sock)] == [core.Subscribed(2), core.Subscribed(3)]
        assert read_exactly(sock, 22) == tick(3).to_frame()


def test_a_refused_service_is_told_in_so_many_words(ruled: Ruled, path: Path) -> None:
    with ruled(AccessRule(identity=("service:risk",))), raw_client(path, GREETING + hello("other")) as sock:
        reject = read_core(sock)
        assert (reject.code, reject.fatal) == (RejectCode.PERMISSION, True)
        assert is_closed(sock)
