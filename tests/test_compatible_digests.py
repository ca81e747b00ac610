"""A bridge that accepts further schemas beside its own: who is let in, what such peers get, what is said."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bridges import (
    Bridge,
    bridge,
    hello,
    is_closed,
    negotiated_client,
    raw_client,
    read_core,
    read_exactly,
    read_frame,
    subscribe,
)
from certificates import Certificates
from click.testing import CliRunner
from links import eventually

import mycelium_fast
from mycelium_fast import Backoff, MyceliumClient, SocketTransport, TcpTransport, UnixTransport
from mycelium_fast.bridge import (
    AccessRule,
    BridgeConfig,
    BridgeThread,
    Listener,
    TlsFiles,
    WorkerConfig,
    load_bridge,
)
from mycelium_fast.bridge.exposition import new_registry, render
from mycelium_fast.bus.worker import worker_digest
from mycelium_fast.cli.main import main
from mycelium_fast.errors import (
    ContractError,
    SchemaMismatchError,
    TopologyError,
    TransportError,
)
from mycelium_fast.example_messages import SCHEMA_DIGEST
from mycelium_fast.session import (
    Closed,
    Connection,
    HandshakeDone,
    HelloOptions,
    RejectCode,
    Rejected,
    Role,
    State,
    core,
)
from mycelium_fast.session.greeting import greeting

OLD = """\
schema: {id: 7, version: 1, min_compatible: 1}
messages:
  Tick:
    tlv_type: 1200
    domain: MarketData
    fields:
      price: {type: u64}
      size: {type: u64}
  Note:
    tlv_type: 1201
    domain: Chat
    fields:
      text: {type: String}
"""
ALERT = """\
  Alert:
    tlv_type: 1300
    domain: Chat
    fields:
      level: {type: u32}
"""
NEW = "# The same, and Alert.\n" + OLD.replace("version: 1,", "version: 2,") + ALERT
#: What the old file's messages are, in other bytes.
INCOMPATIBLE = OLD.replace("size: {type: u64}", "size: {type: u32}")
TICK, NOTE, ALERT_ID = 1200, 1201, 1300
#: Bytes of a frame of each.
ALERT_FRAME = ALERT_ID.to_bytes(2, "little") + (4).to_bytes(4, "little") + (5).to_bytes(4, "little")
ME = f"uid:{os.getuid()}"


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


class Schemas:
    """Files of the old and the new schema, and their messages."""

    def __init__(self, directory: Path) -> None:
        self.old_file, self.new_file = directory / "old.yaml", directory / "new.yaml"
        self.old_file.write_text(OLD)
        self.new_file.write_text(NEW)
        self.old: Any = mycelium_fast.load(self.old_file, compiled=False)
        self.new: Any = mycelium_fast.load(self.new_file, compiled=False)
        assert self.old.SCHEMA_DIGEST != self.new.SCHEMA_DIGEST


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Schemas:
    return Schemas(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.sock"


@pytest.fixture
def config(schemas: Schemas, path: Path) -> BridgeConfig:
    """Of a bridge with the new schema that accepts the old one."""
    return BridgeConfig(
        (Listener("unix", unix=path),), schemas.new_file, accept=(schemas.old_file,), slow_consumer="block"
    )


@pytest.fixture
def running(config: BridgeConfig) -> Iterator[BridgeThread]:
    with BridgeThread(config) as started:
        yield started


def tick(messages: ModuleType, number: int) -> Any:
    return messages.Tick(price=number, size=number)


def old_peer(path: Path, schemas: Schemas) -> socket.socket:
    """A plain one, which gets everything on the bus that it may."""
    return raw_client(path, greeting(schemas.old.SCHEMA_DIGEST))


def transport(path: Path, messages: ModuleType, **options: Any) -> UnixTransport:
    return UnixTransport(path, messages.SCHEMA_DIGEST, handshake_grace=20, **options)


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[Any]:
    return [record for record in caplog.records if getattr(record, "event", "") == name]


def ready(running: BridgeThread, count: int = 1) -> None:
    """Wait until the bridge has that many connections."""
    eventually(lambda: len(running.snapshot().connections) == count)


# The handshake, without a bridge ----------------------------------------------------------------------------

OURS, THEIRS, OTHERS = bytes(range(32)), b"\xaa" * 32, frozenset([b"\xaa" * 32, b"\xbb" * 32])


@pytest.mark.parametrize("digest", [OURS, *sorted(OTHERS)])
def test_a_server_tells_which_of_the_digests_that_it_accepts_was_named(digest: bytes) -> None:
    connection = Connection(Role.SERVER, OURS, accept=OTHERS)
    data = greeting(digest)
    for place in range(len(data) - 1):
        assert connection.receive_data(data[place : place + 1]) == []
        assert connection.peer_digest is None
    assert connection.receive_data(data[-1:]) == [HandshakeDone()]
    assert (connection.state, connection.peer_digest) == (State.OPEN, digest)


def test_a_digest_that_is_near_one_accepted_is_refused() -> None:
    for digest in (THEIRS[:-1] + b"\xab", b"\xab" + THEIRS[1:], bytes(32)):
        connection = Connection(Role.SERVER, OURS, accept=OTHERS)
        (closed,) = connection.receive_data(greeting(digest))
        assert isinstance(closed, Closed)
        assert connection.peer_digest is None


def test_who_is_refused_hears_our_digest_and_how_many_others_would_do() -> None:
    for accept, said in (
        (frozenset(), ""),
        (frozenset([THEIRS, OURS]), "accepts 1 other schema digest, of which this is none"),
        (OTHERS, "accepts 2 other schema digests, of which this is none"),
    ):
        server = Connection(Role.SERVER, OURS, accept=accept)
        (closed,) = server.receive_data(greeting(b"\xcc" * 32) + hello())
        assert isinstance(closed, Closed)
        assert isinstance(closed.error, SchemaMismatchError)
        assert OURS.hex() in str(closed.error)
        assert said in str(closed.error)
        assert ("accepts" in str(closed.error)) is bool(said)
        client = Connection(Role.CLIENT, b"\xcc" * 32, hello=HelloOptions())
        rejected, _ = client.receive_data(server.data_to_send())
        assert isinstance(rejected, Rejected)
        assert OURS.hex() in str(rejected.error)
        assert said in str(rejected.error)


def test_what_is_accepted_has_to_be_digests_beside_one() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one has 31"):
        Connection(Role.SERVER, OURS, accept=frozenset([bytes(31)]))
    with pytest.raises(ValueError, match="accept needs a digest"):
        Connection(Role.SERVER, None, accept=OTHERS)


# What peers get ---------------------------------------------------------------------------------------------


def test_an_old_plain_peer_gets_its_types_byte_for_byte_and_no_others(
    running: BridgeThread, path: Path, schemas: Schemas
) -> None:
    new = schemas.new
    with old_peer(path, schemas) as old, raw_client(path, greeting(new.SCHEMA_DIGEST)) as feed:
        ready(running, 2)
        mixed = [
            frame
            for number in range(100)
            for frame in (tick(new, number).to_frame(), ALERT_FRAME, new.Note(text="n" * 9).to_frame())
        ]
        feed.sendall(b"".join(mixed))
        expected = b"".join(frame for frame in mixed if frame != ALERT_FRAME)
        assert read_exactly(old, len(expected)) == expected
        # A plain peer of the bridge's own schema gets all, its own included.
        assert read_exactly(feed, len(b"".join(mixed))) == b"".join(mixed)
        feed.sendall(ALERT_FRAME + tick(new, 1).to_frame())
        assert read_frame(old)[0] == TICK
        (one,) = (each for each in running.snapshot().connections if each.schema)
        assert (one.schema, one.subscribes_to) == (str(schemas.old_file), [TICK, NOTE])
        assert one.frames_out == 201


def test_old_and_new_clients_understand_each_other(
    running: BridgeThread, path: Path, schemas: Schemas
) -> None:
    old, new = schemas.old, schemas.new
    with transport(path, old, echo=False) as before, transport(path, new, echo=False) as after:
        to_old, to_new = before.subscriber(old.Tick), after.subscriber((new.Tick, new.Alert))
        before.publisher(old.Tick).publish(tick(old, 1))
        before.flush()
        assert to_new.recv(20) == tick(new, 1)
        after.publisher(new.Alert).publish(new.Alert(level=1))
        after.publisher(new.Tick).publish(tick(new, 2))
        after.flush()
        assert to_old.recv(20) == tick(old, 2)
        assert {each.schema for each in running.snapshot().connections} == {"", str(schemas.old_file)}


def test_an_old_client_that_subscribes_to_everything_gets_what_its_schema_has(
    running: BridgeThread, path: Path, schemas: Schemas
) -> None:
    sock, _ = negotiated_client(path, greeting=greeting(schemas.old.SCHEMA_DIGEST))
    with sock, raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as feed:
        subscribe(sock, everything=True)
        feed.sendall(ALERT_FRAME + tick(schemas.new, 1).to_frame())
        assert read_frame(sock)[0] == TICK
        # What is not wanted any more is taken from that.
        sock.sendall(core.Unsubscribe(2, False, [TICK]).to_frame())
        assert read_core(sock) == core.Subscribed(2)
        feed.sendall(ALERT_FRAME + tick(schemas.new, 1).to_frame() + schemas.new.Note(text="x").to_frame())
        assert read_frame(sock)[0] == NOTE
        assert running.snapshot().connections[0].subscribes_to == [NOTE]


def test_a_subscription_to_a_type_that_the_peers_schema_lacks_is_never_matched(
    running: BridgeThread, path: Path, schemas: Schemas, caplog: pytest.LogCaptureFixture
) -> None:
    sock, _ = negotiated_client(path, greeting=greeting(schemas.old.SCHEMA_DIGEST))
    with sock, raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as feed:
        subscribe(sock, 4711, ALERT_ID, NOTE)  # confirmed, as with any type that the bridge does not know
        feed.sendall(ALERT_FRAME + schemas.new.Note(text="x").to_frame())
        assert read_frame(sock)[0] == NOTE
    (said,) = events(caplog, "subscribe.unmatched")
    assert (said.levelname, said.type_ids) == ("WARNING", [ALERT_ID, 4711])
    assert "connection 1 subscribes to Alert, type 4711, which its schema" in said.getMessage()


def test_what_an_old_peer_sends_of_other_types_is_dropped_as_an_unknown_type_is(
    running: BridgeThread, path: Path, schemas: Schemas, caplog: pytest.LogCaptureFixture
) -> None:
    old_tick = tick(schemas.old, 7).to_frame()
    with old_peer(path, schemas) as old, raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as new:
        ready(running, 2)
        unknown = (4711).to_bytes(2, "little") + bytes(4)
        old.sendall(ALERT_FRAME * 3 + unknown + old_tick)
        assert read_exactly(new, len(old_tick)) == old_tick
        assert read_exactly(old, len(old_tick)) == old_tick  # it is there still
        one = next(each for each in running.snapshot().connections if each.schema)
        assert one.dropped == {"unknown type": 4}
        assert one.publishes == [TICK]
        eventually(lambda: len(events(caplog, "frames.dropped")) == 2)
        first, second = events(caplog, "frames.dropped")
        assert "type 1300 with 4 payload bytes, which the schema that it uses does not have" in (
            first.getMessage()
        )
        assert (first.reason, second.reason) == ("unknown type", "unknown type")


def test_types_that_were_removed_are_nobodys(path: Path, tmp_path: Path, schemas: Schemas) -> None:
    """The bridge has the old schema, and takes clients of the new one: `Alert` is not on its bus."""
    config = BridgeConfig((Listener("unix", unix=path),), schemas.old_file, accept=(schemas.new_file,))
    for forward_unknown in (False, True):
        with BridgeThread(replace(config, forward_unknown=forward_unknown)) as running:
            peer = raw_client(path, greeting(schemas.new.SCHEMA_DIGEST))
            with peer, old_peer(path, schemas) as own, transport(path, schemas.new, echo=False) as client:
                alerts = client.subscriber(schemas.new.Alert)  # which does no harm
                ready(running, 3)
                own.sendall(ALERT_FRAME + tick(schemas.old, 1).to_frame())
                assert read_frame(peer)[0] == TICK
                peer.sendall(ALERT_FRAME + tick(schemas.old, 2).to_frame())
                for expected in (1, 2):
                    found = read_frame(own)
                    if forward_unknown and found[0] == ALERT_ID:
                        found = read_frame(own)  # of its own schema's peers, the operator lets it through
                    assert found == (TICK, tick(schemas.old, expected).to_bytes())
                with pytest.raises(queue.Empty):
                    alerts.recv(0)
                dropped = {
                    each.number: each.dropped for each in running.snapshot().connections if each.schema
                }
                assert dropped[1] == {"unknown type": 1}


def test_nothing_is_known_of_a_bare_digest_and_its_peers_get_everything(
    config: BridgeConfig, path: Path, schemas: Schemas, caplog: pytest.LogCaptureFixture
) -> None:
    digest = schemas.old.SCHEMA_DIGEST
    with (
        BridgeThread(replace(config, accept=(digest,))) as running,
        old_peer(path, schemas) as old,
        raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as feed,
    ):
        ready(running, 2)
        feed.sendall(ALERT_FRAME)
        assert read_exactly(old, len(ALERT_FRAME)) == ALERT_FRAME
        (one,) = (each for each in running.snapshot().connections if each.schema)
        assert (one.schema, one.subscribes_to) == (f"digest {digest.hex()[:12]}...", None)
    (said,) = events(caplog, "schema.accepted")
    assert (said.levelname, said.schema, said.type_ids) == ("WARNING", digest.hex(), None)
    assert "get every type" in said.getMessage()


def test_of_a_digest_listed_with_its_file_the_file_counts(
    config: BridgeConfig, path: Path, schemas: Schemas
) -> None:
    for accept in (
        (schemas.old.SCHEMA_DIGEST, schemas.old_file),
        (schemas.old_file, schemas.old.SCHEMA_DIGEST, schemas.old_file),
    ):
        with BridgeThread(replace(config, accept=accept)) as running, old_peer(path, schemas):
            ready(running)
            assert running.snapshot().connections[0].schema == str(schemas.old_file)


def test_the_bridges_own_digest_may_be_listed_and_changes_nothing(
    config: BridgeConfig, path: Path, schemas: Schemas, caplog: pytest.LogCaptureFixture
) -> None:
    for own in (schemas.new_file, schemas.new.SCHEMA_DIGEST):
        caplog.clear()
        with (
            BridgeThread(replace(config, accept=(own,))) as running,
            raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as peer,
        ):
            peer.sendall(ALERT_FRAME)
            assert read_exactly(peer, len(ALERT_FRAME)) == ALERT_FRAME
            assert running.snapshot().connections[0].schema == ""
            assert running.snapshot().schemas == {}
        (said,) = events(caplog, "schema.accepted")
        assert said.levelname == "WARNING"
        assert "it is the bridge's own schema" in said.getMessage()


# Every way in -----------------------------------------------------------------------------------------------


def test_every_kind_of_connection_is_held_to_its_schema(
    config: BridgeConfig, tmp_path: Path, path: Path, schemas: Schemas
) -> None:
    certificates = Certificates(tmp_path / "certificates")
    tls = TlsFiles(certificates.server)
    more = (
        Listener("tcp", tcp=("127.0.0.1", 0)),
        Listener("tls", tcp=("127.0.0.1", 0), tls=tls),
    )
    old, new = schemas.old, schemas.new
    options: Any = {"handshake_grace": 20}
    with BridgeThread(replace(config, listeners=(*config.listeners, *more))) as running:
        ports = [int(each.rpartition(":")[2]) for each in running.addresses[1:]]
        context = certificates.client_context()
        transports = [
            UnixTransport(path, old.SCHEMA_DIGEST, **options),
            TcpTransport("127.0.0.1", ports[0], old.SCHEMA_DIGEST, **options),
            TcpTransport("127.0.0.1", ports[1], old.SCHEMA_DIGEST, tls=context, **options),
            SocketTransport(running.connect(), old.SCHEMA_DIGEST, **options),
        ]
        plain = running.connect()
        plain.settimeout(20)
        plain.sendall(greeting(old.SCHEMA_DIGEST))
        with plain, transport(path, new) as feed:
            received = []
            for each in transports:
                each.connect()
                received.append(each.subscriber(old.Tick))
            ready(running, 6)
            feed.publisher(new.Alert).publish(new.Alert(level=1))
            feed.publisher(new.Tick).publish(tick(new, 3))
            feed.flush()
            assert [each.recv(20) for each in received] == [tick(old, 3)] * 4
            assert read_frame(plain) == (TICK, tick(old, 3).to_bytes())
            assert [each.schema for each in running.snapshot().connections].count(str(schemas.old_file)) == 5
            for each in transports:
                each.close()


def test_a_digest_may_come_byte_by_byte(running: BridgeThread, path: Path, schemas: Schemas) -> None:
    data = greeting(schemas.old.SCHEMA_DIGEST) + tick(schemas.old, 1).to_frame()
    with raw_client(path, b"") as sock:
        for place in range(len(data)):
            sock.sendall(data[place : place + 1])
        assert read_frame(sock) == (TICK, tick(schemas.old, 1).to_bytes())
        assert running.snapshot().schemas == {str(schemas.old_file): 1}


def test_an_asyncio_client_of_the_old_schema_connects_again_after_a_restart(
    path: Path, schemas: Schemas
) -> None:
    old, new = schemas.old, schemas.new

    async def run(started: Bridge) -> None:
        backoff = Backoff(initial=0.01, maximum=0.05)
        async with (
            MyceliumClient(f"unix:{path}", schema_digest=old.SCHEMA_DIGEST, reconnect=backoff) as client,
            MyceliumClient(f"unix:{path}", schema_digest=new.SCHEMA_DIGEST, reconnect=backoff) as feed,
        ):
            received = client.subscriber(old.Tick)
            await received.subscribed()
            await feed.publish(tick(new, 1))
            assert await asyncio.wait_for(received.recv(), 20) == tick(old, 1)
            await asyncio.to_thread(started.restart, signal.SIGKILL)

            async def publish() -> None:
                while True:
                    await feed.publish(tick(new, 2))
                    await asyncio.sleep(0.02)

            publishing = asyncio.ensure_future(publish())
            assert await asyncio.wait_for(received.recv(), 20) == tick(old, 2)
            publishing.cancel()

    with bridge(path, "--accept", str(schemas.old_file), contracts=schemas.new_file) as started:
        asyncio.run(run(started))


def test_tap_and_pub_work_with_the_old_contracts(path: Path, schemas: Schemas) -> None:
    old = ["--uncompiled", "--contracts", str(schemas.old_file)]
    with (
        bridge(path, "--accept", str(schemas.old_file), contracts=schemas.new_file) as started,
        raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as peer,
    ):
        command = [sys.executable, "-m", "mycelium_fast", "tap", str(path), "--json", "--count", "1", *old]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tap:
            started.wait_log("subscribes to every type")
            peer.sendall(ALERT_FRAME)
            result = CliRunner().invoke(main, ["pub", str(path), "Tick", "price=5", "size=6", *old])
            assert result.exit_code == 0, result.output
            output, _ = tap.communicate(timeout=30)
        assert (tap.returncode, json.loads(output)["fields"]) == (0, {"price": 5, "size": 6})
        assert read_exactly(peer, len(ALERT_FRAME)) == ALERT_FRAME
        assert read_frame(peer) == (TICK, schemas.new.Tick(price=5, size=6).to_bytes())


WORKER = """
import os, socket
digest = bytes.fromhex(os.environ["MYCELIUM_ACCEPTED_DIGESTS"])
sock = socket.socket(socket.AF_UNIX)
sock.connect(os.environ["MYCELIUM_SOCKET"])
sock.sendall(b"\\x20\\0" + digest)
sock.recv(1)
"""


def test_workers_hear_of_what_is_accepted(config: BridgeConfig, schemas: Schemas) -> None:
    worker = WorkerConfig("w", (sys.executable, "-S", "-c", WORKER), restart="never")
    with BridgeThread(replace(config, workers=(worker,))) as running:
        ready(running)
        one = running.snapshot().connections[0]
        assert (one.worker, one.schema) == ("w" if sys.platform == "linux" else "", str(schemas.old_file))


def test_a_workers_messages_may_be_of_a_schema_that_is_accepted() -> None:
    accepted = ",".join(["11" * 32, SCHEMA_DIGEST.hex()])
    assert worker_digest("00" * 32, accepted) == SCHEMA_DIGEST
    for nothing in ("11" * 32, "", None):
        with pytest.raises(SchemaMismatchError):
            worker_digest("00" * 32, nothing)


# With access rules ------------------------------------------------------------------------------------------


def test_a_peer_may_do_what_both_its_schema_and_the_rules_have(
    config: BridgeConfig, path: Path, schemas: Schemas, caplog: pytest.LogCaptureFixture
) -> None:
    def ruled(*receive: str) -> BridgeConfig:
        rule = AccessRule((ME,), ("unix",), publish=("Note", "Alert"), receive=receive)
        everything = AccessRule()  # of connections from within the program
        return replace(config, access=(rule, everything))

    new, denied = schemas.new, core.Reject
    note, a_tick = new.Note(text="all").to_frame(), tick(new, 1).to_frame()
    with BridgeThread(ruled("Tick", "Alert")) as running:
        sock, _ = negotiated_client(path, greeting=greeting(schemas.old.SCHEMA_DIGEST))
        inside = running.connect()
        with sock, inside, old_peer(path, schemas) as plain:
            inside.sendall(greeting(new.SCHEMA_DIGEST))
            ready(running, 3)
            sock.sendall(core.Subscribe(1, False, [TICK, NOTE, ALERT_ID]).to_frame())
            refused = read_core(sock)
            assert (type(refused), refused.code, refused.type_id) == (denied, RejectCode.PERMISSION, NOTE)
            assert read_core(sock) == core.Subscribed(1)
            assert [each.type_ids for each in events(caplog, "subscribe.unmatched")] == [[ALERT_ID]]
            # Of three types one is left to receive, and one to publish.
            inside.sendall(ALERT_FRAME + note + a_tick)
            for each in (sock, plain):
                assert read_exactly(each, len(a_tick)) == a_tick
            sock.sendall(ALERT_FRAME + a_tick)
            refused = read_core(sock)
            assert (type(refused), refused.code, refused.type_id) == (denied, RejectCode.PERMISSION, TICK)
            plain.sendall(ALERT_FRAME)  # which the rule would allow, so that it may stay
            eventually(lambda: len(events(caplog, "frames.dropped")) == 2)
            # With another rule it is the same.
            running.reload(ruled("Note", "Alert"))
            inside.sendall(ALERT_FRAME + a_tick + note)
            assert read_exactly(plain, len(note)) == note
            dropped = [each.dropped for each in running.snapshot().connections if each.schema]
            assert dropped == [{"unknown type": 1, "denied type": 1}, {"unknown type": 1}]
            plain.sendall(a_tick)  # which the rule denies
            assert is_closed(plain)


# Reload -----------------------------------------------------------------------------------------------------


def test_what_is_accepted_may_change_while_the_bridge_runs(
    config: BridgeConfig, path: Path, schemas: Schemas, caplog: pytest.LogCaptureFixture
) -> None:
    without = replace(config, accept=())
    with BridgeThread(without) as running:
        with old_peer(path, schemas) as sock:
            assert is_closed(sock)
        assert events(caplog, "schema.accepted") == []
        running.reload(config)
        (said,) = events(caplog, "schema.accepted")
        assert (said.levelname, said.type_ids) == ("INFO", [TICK, NOTE])
        assert f"clients of {schemas.old_file} (schema digest {digest_of(OLD).hex()})" in said.getMessage()
        assert "2 of 3 types are theirs" in said.getMessage()
        with old_peer(path, schemas) as sock:
            ready(running)
            running.reload(config)
            assert len(events(caplog, "schema.accepted")) == 1
            # Who is there stays, and is what it was.
            running.reload(without)
            with raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as feed:
                ready(running, 2)
                feed.sendall(ALERT_FRAME + tick(schemas.new, 1).to_frame())
                assert read_frame(sock)[0] == TICK
            with old_peer(path, schemas) as refused:
                assert is_closed(refused)
            assert running.snapshot().schemas == {str(schemas.old_file): 1}


def test_a_reload_with_a_schema_that_cannot_be_accepted_changes_nothing(
    config: BridgeConfig, path: Path, tmp_path: Path, schemas: Schemas
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(INCOMPATIBLE)
    with BridgeThread(config) as running:
        with pytest.raises(ContractError, match="cannot be accepted beside"):
            running.reload(replace(config, accept=(wrong,)))
        with pytest.raises(TransportError, match="contracts was"):
            running.reload(replace(config, contracts=schemas.old_file))
        with old_peer(path, schemas):
            ready(running)


def test_nobody_waits_for_files_that_a_reload_reads(
    config: BridgeConfig, path: Path, tmp_path: Path, schemas: Schemas
) -> None:
    slow = tmp_path / "slow.yaml"
    os.mkfifo(slow)  # which cannot be read before it is written
    with BridgeThread(replace(config, accept=())) as running:
        reloading = threading.Thread(target=running.reload, args=(replace(config, accept=(slow,)),))
        reloading.start()
        try:
            with raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)) as sock:
                sock.sendall(ALERT_FRAME)
                assert read_exactly(sock, len(ALERT_FRAME)) == ALERT_FRAME
        finally:
            slow.write_text(OLD)
            reloading.join()
        with old_peer(path, schemas):
            eventually(lambda: running.snapshot().schemas == {str(slow): 1})


def test_sighup_reads_what_is_accepted_again(tmp_path: Path, schemas: Schemas) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "wrong.yaml").write_text(INCOMPATIBLE)
    path = tmp_path / "n.sock"
    started = Bridge(None, "--topology", str(topology(tmp_path, "[]")), contracts=None)
    try:
        started.wait_log("the bridge 'n' is up")
        topology(tmp_path, '["wrong.yaml"]')
        started.process.send_signal(signal.SIGHUP)
        started.wait_log("the new configuration is refused, the old one stays: .*bridge.accept: .*wrong.yaml")
        with old_peer(path, schemas) as sock:
            assert is_closed(sock)
        topology(tmp_path, '["old.yaml"]')
        started.process.send_signal(signal.SIGHUP)
        started.wait_log("SIGHUP: 0 access rules")
        started.wait_log("2 of 3 types are theirs")
        with old_peer(path, schemas) as sock:
            frame = tick(schemas.old, 1).to_frame()
            sock.sendall(frame)
            assert read_exactly(sock, len(frame)) == frame
    finally:
        started.close()


# What is refused --------------------------------------------------------------------------------------------


def topology(directory: Path, accept: str, *, endpoint: str = "", contracts: str = NEW) -> Path:
    (directory / "contracts.yaml").write_text(contracts)
    file = directory / "t.toml"
    file.write_text(
        f'socket_dir = "."\n[[nodes]]\nname = "n"\nservices = ["a"]\n{endpoint}\n'
        f'[bridge]\ncontracts = "contracts.yaml"\naccept = {accept}\n'
    )
    return file


def test_a_topology_files_entries_are_files_beside_it_and_digests(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    file = topology(tmp_path, f'["old.yaml", "{"AB" * 32}"]')
    assert load_bridge(file).accept == (tmp_path / "old.yaml", b"\xab" * 32)
    assert load_bridge(topology(tmp_path, '"old.yaml"')).accept == (tmp_path / "old.yaml",)
    assert load_bridge(topology(tmp_path, "[]")).accept == ()


def test_a_schema_that_is_not_compatible_is_refused_with_the_reasons(
    tmp_path: Path, schemas: Schemas, path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(INCOMPATIBLE)
    file = topology(tmp_path, '["wrong.yaml"]')
    with pytest.raises(TopologyError) as caught:
        load_bridge(file)
    first, *reasons = str(caught.value).splitlines()
    assert first.startswith(f"{file}:8: bridge.accept: {wrong}: cannot be accepted beside ")
    assert reasons
    assert any("Tick" in line for line in reasons)
    for arguments in (
        ["--topology", str(file), "--check"],
        ["--unix", str(path), "--contracts", str(schemas.new_file), "--accept", str(wrong), "--check"],
        ["--unix", str(path), "--contracts", str(schemas.new_file), "--accept", str(wrong)],
    ):
        result = CliRunner().invoke(main, ["bridge", *arguments])
        assert result.exit_code == 1, result.output
        assert "cannot be accepted beside" in result.output
        assert reasons[0] in result.output
    config = BridgeConfig((Listener("unix", unix=path),), schemas.new_file, accept=(wrong,))
    with pytest.raises(ContractError, match="Tick"), BridgeThread(config):
        pass
    assert not path.exists()


def test_a_schema_that_has_no_message_of_the_bridge_is_refused(tmp_path: Path) -> None:
    """Its peers could neither send nor get anything: it is the wrong file, most likely."""
    (tmp_path / "other.yaml").write_text(
        "messages:\n" + ALERT.replace("Alert", "Halt").replace("1300", "1400")
    )
    with pytest.raises(TopologyError, match="the two files have no type id in common"):
        load_bridge(topology(tmp_path, '["other.yaml"]'))


def test_check_says_how_many_are_accepted(tmp_path: Path, schemas: Schemas) -> None:
    accept = ["--accept", str(schemas.old_file), "--accept", "ab" * 32]
    arguments = ["--unix", str(tmp_path / "x"), "--contracts", str(schemas.new_file), *accept, "--check"]
    result = CliRunner().invoke(main, ["bridge", *arguments])
    assert result.exit_code == 0, result.output
    assert "accepts 2 further schemas" in result.output


def test_accept_makes_no_sense_where_clients_name_no_digest(tmp_path: Path, schemas: Schemas) -> None:
    endpoint = 'endpoint = { kind = "unix", handshake = false }'
    (tmp_path / "old.yaml").write_text(OLD)
    with pytest.raises(TopologyError, match=r"t\.toml:8: bridge\.accept: is for clients that name a schema"):
        load_bridge(topology(tmp_path, '["old.yaml"]', endpoint=endpoint))
    file = topology(tmp_path, '["old.yaml"]', endpoint=endpoint)
    file.write_text(file.read_text() + "[bridge.nodes.n]\naccept = []\n")
    assert load_bridge(file).accept == ()
    for config in (
        BridgeConfig(contracts=schemas.new_file, handshake=False, accept=(schemas.old_file,)),
        BridgeConfig(contracts=None, accept=(schemas.old_file,)),
        BridgeConfig(contracts=schemas.new_file, accept=(b"short",)),
    ):
        with (
            pytest.raises(ValueError, match=r"accept is for clients|to accept has 32 bytes"),
            BridgeThread(config),
        ):
            pass


def test_what_is_nearly_a_digest_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        TopologyError, match="if a digest is meant, it has 64 hexadecimal digits, and this 63"
    ):
        load_bridge(topology(tmp_path, f'["{"a" * 63}"]'))


# What is told -----------------------------------------------------------------------------------------------


def test_the_log_says_which_schema_a_peer_uses_where_it_is_another(path: Path, schemas: Schemas) -> None:
    options = ["--accept", str(schemas.old_file), "--log-format", "json"]
    with bridge(path, *options, contracts=schemas.new_file) as started:
        with raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)), old_peer(path, schemas):
            started.wait_log("client.connected", 2)
        lines = [json.loads(line) for line in started.stop().splitlines()]
    own, other = sorted((line for line in lines if line.get("event") == "client.connected"), key=len)
    assert "schema" not in own
    assert other["schema"] == schemas.old.SCHEMA_DIGEST.hex()
    assert other["schema_name"] == str(schemas.old_file)
    assert other["message"].endswith(f"of another schema: {schemas.old_file}")


def test_metrics_count_the_connections_of_each_schema(
    running: BridgeThread, path: Path, schemas: Schemas
) -> None:
    series = f'mycelium_bridge_schema_connections{{schema="{schemas.old_file}"}}'
    registry = new_registry(running.snapshot)
    assert f"{series} 0.0" in render(registry).decode()
    with (
        old_peer(path, schemas),
        old_peer(path, schemas),
        raw_client(path, greeting(schemas.new.SCHEMA_DIGEST)),
    ):
        ready(running, 3)
        assert f"{series} 2.0" in render(registry).decode()


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_metrics_can_show_a_file_whose_name_is_no_text(
    config: BridgeConfig, path: Path, tmp_path: Path, schemas: Schemas
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff.yaml")
    odd.write_bytes(schemas.old_file.read_bytes())
    with BridgeThread(replace(config, accept=(odd,))) as running, old_peer(path, schemas):
        ready(running)
        shown = render(new_registry(running.snapshot)).decode()
        assert 'mycelium_bridge_schema_connections{schema="' + str(tmp_path) in shown
        assert "xff.yaml" in shown
