"""`mycelium tap` as people run it: a process beside a real bridge, or beside a peer driven by hand."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import (
    CONTRACTS,
    Bridge,
    Peer,
    bridge,
    negotiated_client,
    raw_client,
    read_core,
    read_frame,
    subscribe,
)
from certificates import Certificates
from environments import ROOT
from links import frames, text, ticks

from mycelium_fast import UnixTransport, encode_frame
from mycelium_fast.bus.recording import Recorder, Recording
from mycelium_fast.example_messages import SCHEMA_DIGEST, ArbitrageSignal, TextMessage, TradeSignal, TradeTick
from mycelium_fast.session import core

START_NS = 1_700_000_000_000_000_000
SECRET = ArbitrageSignal(987_654_321, [b"\1" * 20, b"\2" * 20], 1.5, 77, 3)
TICK_LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{6}  TradeTick  price=(\d+) size=(\d+)")


class Tap:
    """A tap in a process of its own; its standard error is kept as it comes."""

    def __init__(
        self,
        *arguments: object,
        command: str = "tap",
        contracts: Path | None = CONTRACTS,
        directory: Path | None = None,
        **environment: str,
    ) -> None:
        words = [command, *map(str, arguments)]
        if contracts is not None:
            words += ["--contracts", str(contracts)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mycelium_fast", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=directory,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        )
        self.notes: list[str] = []
        self._noted = threading.Condition()
        self._reader = threading.Thread(target=self._read_notes)
        self._reader.start()

    def _read_notes(self) -> None:
        for line in self.process.stderr or ():
            with self._noted:
                self.notes.append(line.rstrip("\n"))
                self._noted.notify_all()
        with self._noted:
            self.notes.append("")  # the end
            self._noted.notify_all()

    def wait_note(self, pattern: str) -> str:
        """Wait for a line on standard error."""

        def matching() -> list[str]:
            return [line for line in self.notes if re.search(pattern, line)]

        with self._noted:
            self._noted.wait_for(lambda: matching() or "" in self.notes, 60)  # it may have to compile
            assert matching(), (pattern, self.notes)
            return matching()[0]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def end(self, status: int = 0, number: signal.Signals | None = None) -> list[str]:
        """Wait for it, having sent a signal if there is one; the lines of standard output that are left."""
        if number is not None:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        assert self.process.wait(20) == status, (lines, self.notes)
        self._reader.join()
        return lines

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def tap(*arguments: object, ready: bool = True, **options: Any) -> Iterator[Tap]:
    running = Tap(*arguments, **options)
    try:
        if ready:
            running.wait_note("^tapping ")
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A bridge that lets unknown types through."""
    with bridge(tmp_path_factory.mktemp("tap") / "bus.sock", "--forward-unknown") as started:
        yield started


def publish(path: Path | None, *data: bytes) -> None:
    assert path is not None
    with raw_client(path) as sock:
        sock.sendall(b"".join(data))


def read_recording(path: Path) -> list[bytes]:
    with Recording(path, SCHEMA_DIGEST) as recording:
        return [record.frame for record in recording]


def record(path: Path, *pairs: tuple[float, Any], digest: bytes = SCHEMA_DIGEST) -> Path:
    """A recording of messages, each so many seconds after the start."""
    with Recorder(path, digest, start_ns=START_NS) as recorder:
        for after_s, message in pairs:
            frame = message if isinstance(message, bytes) else message.to_frame()
            recorder.write(frame, START_NS + int(after_s * 1e9))
    return path


# --- what is shown ------------------------------------------------------------------------------------------


def test_messages_of_the_types_named_are_shown_as_they_come(running: Bridge) -> None:
    with tap(running.path, "TradeTick", "--count", 3) as each:
        publish(running.path, frames(ticks(0, 1)), text().to_frame(), frames(ticks(1, 3)))
        lines = each.end()
    found = [TICK_LINE.fullmatch(line) for line in lines]
    assert [match and match.groups() for match in found] == [("0", "1"), ("1", "2"), ("2", "3")]
    assert re.fullmatch(r"3 messages shown \(66 bytes\) in .* s", each.notes[-2])


def test_a_message_is_shown_before_the_next_one_comes(running: Bridge) -> None:
    with tap(running.path, "1200") as each:
        for number in range(2):
            publish(running.path, frames(ticks(number, number + 1)))
            assert each.line().endswith(f"TradeTick  price={number} size={number + 1}")


def test_types_are_names_ids_and_topics(running: Bridge) -> None:
    with tap(running.path, "0x4b0", "TextMessage", "topic:signal", "--json", "--count", 3) as each:
        pong = encode_frame(1003, bytes(72))
        publish(running.path, frames(ticks(0, 1)), pong, text().to_frame(), SECRET.to_frame())
        shown = [json.loads(line)["type"] for line in each.end()]
    assert shown == ["TradeTick", "TextMessage", "ArbitrageSignal"]


def test_only_the_types_named_are_asked_of_the_bridge(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer.sock")
    try:
        with tap(tmp_path / "peer.sock", "TradeTick", "TextMessage", ready=False) as each:
            sock = peer.accept()
            assert peer.hello is not None
            assert peer.hello.service == "mycelium-tap"
            peer.welcome()
            request = read_core(sock)
            assert (request.all, sorted(request.type_ids)) == (False, [1001, 1200])
            sock.sendall(core.Subscribed(request.request).to_frame())
            each.wait_note("tapping TradeTick TextMessage")
    finally:
        peer.close()


def test_json_has_every_field(running: Bridge) -> None:
    with tap(running.path, "--json", "--count", 2) as each:
        before = time.time()
        publish(running.path, text("ü\x1b[31m").to_frame(), frames(ticks(0, 1)))
        line, tick = map(json.loads, each.end())
    assert list(line) == ["time", "type", "type_id", "topic", "fields"]
    assert (line["type"], line["type_id"], line["topic"]) == ("TextMessage", 1001, "examples")
    assert line["fields"] == {"sender": "peer", "content": "ü\x1b[31m", "timestamp": 1}
    assert tick["fields"] == {"price": 0, "size": 1}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", tick["time"])
    assert tick["time"] >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before))


def test_text_from_the_bus_cannot_command_the_terminal(running: Bridge) -> None:
    with tap(running.path, "TextMessage", "--count", 1) as each:
        publish(running.path, text('ü "\x1b[31m\x9b\u202e').to_frame())
        (line,) = each.end()
    assert line.endswith(r'sender="peer" content="ü \"\u001b[31m\u009b\u202e" timestamp=1')
    assert line.isprintable()


def test_no_value_of_a_confidential_message_is_shown(running: Bridge) -> None:
    bad = bytearray(SECRET.to_frame())
    bad[6 + 8 : 6 + 10] = b"\xff\xff"  # the count of the path
    for options in ((), ("--json",), ("--raw",)):
        with tap(running.path, "ArbitrageSignal", "--count", 1, *options) as each:
            publish(running.path, bytes(bad), SECRET.to_frame())
            (line,) = each.end()
        assert each.wait_note("a frame of ArbitrageSignal did not decode")
        everything = line + "".join(each.notes)
        assert "987654321" not in everything
        assert "0101010101" not in everything
        assert json.loads(line)["fields"] is None if options == ("--json",) else "<confidential>" in line


def test_filters_have_all_to_hold_and_leave_out_messages_without_the_field(running: Bridge) -> None:
    where = ("--where", "price >= 3", "--where", "price!=5", "--where", "size<0x8")
    with tap(running.path, *where, "--json", "--count", 3) as each:
        publish(
            running.path, frames(ticks(0, 4)), text().to_frame(), frames(ticks(4, 9)), frames(ticks(3, 4))
        )
        assert [json.loads(line)["fields"]["price"] for line in each.end()] == [3, 4, 6]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        (("symbol=WETH",), [1]),
        (("symbol ~ ET",), [1]),
        (("symbol>WETH",), [2]),
        (("buy=true",), [1]),
        (("buy!=TRUE",), [2]),
        (("confidence<=0.25", "signal_id<9"), [2]),
    ],
)
def test_filters_compare_by_the_fields_type(tmp_path: Path, where: tuple[str, ...], kept: list[int]) -> None:
    file = record(
        tmp_path / "a.rec",
        (0, TradeSignal(1, "WETH", True, 0.5, 1, 1)),
        (0, TradeSignal(2, "ZZ", False, 0.25, 1, 1)),
    )
    options = [part for each in where for part in ("--where", each)]
    with tap("--replay", file, "--json", *options, ready=False) as each:
        assert [json.loads(line)["fields"]["signal_id"] for line in each.end()] == kept


def test_unknown_types_are_counted_and_shown_raw_where_asked_for(running: Bridge) -> None:
    unknown = encode_frame(7777, bytes(range(40)))
    with tap(running.path, "--count", 1) as each:
        publish(running.path, unknown, frames(ticks(0, 1)))
        assert len(each.end()) == 1
    assert "1 of types that the contracts do not have (7777; see --raw)" in each.notes[-2]
    with tap(running.path, "7777", "--raw", "--count", 1) as each:
        publish(running.path, frames(ticks(0, 1)), unknown)
        (line,) = each.end()
    assert line.endswith(f"type 7777  length=40 0x{bytes(range(32)).hex()}...")
    with tap(running.path, "7777", "--raw", "--json", "--count", 1) as each:
        publish(running.path, unknown)
        entry = json.loads(each.end()[0])
    assert (entry["type"], entry["type_id"], entry["length"]) == (None, 7777, 40)
    assert entry["head"] == f"0x{bytes(range(32)).hex()}"


def test_rates_are_of_each_type_and_their_totals_exact(running: Bridge) -> None:
    with tap(running.path, "--rates", "--count", 103) as each:
        publish(running.path, frames(ticks(0, 100)), *[text().to_frame()] * 3)
        lines = each.end()
    last = {line.split()[1]: line for line in lines}
    assert re.search(r" [\d.]+ messages/s +[\d,]+ bytes/s +100 messages$", last["TradeTick"])
    assert last["TextMessage"].endswith(" 3 messages")


def test_rates_as_json_come_while_nothing_else_does(running: Bridge) -> None:
    with tap(running.path, "--rates", "--json") as each:
        publish(running.path, frames(ticks(0, 100)))
        first = json.loads(each.line())
        assert (first["type"], first["messages"], first["bytes"]) == ("TradeTick", 100, 2200)
        assert 0 < first["messages_per_s"] <= 100
        second = json.loads(each.line())
        assert (second["messages_per_s"], second["messages"]) == (0, 100)


# --- where from, and how it ends ----------------------------------------------------------------------------


def test_addresses_are_paths_and_everything_that_clients_take(running: Bridge, tmp_path: Path) -> None:
    with bridge(tmp_path / "b.sock", "--tcp", "127.0.0.1:0") as both:
        port = both.tcp_port
        for address in (f"unix:{both.path}", f"127.0.0.1:{port}", f"tcp://localhost:{port}"):
            with tap(address, "--count", 1) as each:
                publish(both.path, frames(ticks(0, 1)))
                assert len(each.end()) == 1


def test_tls_with_an_authority_and_a_certificate_of_ones_own(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    options = ("--tcp", "127.0.0.1:0", *certificates.options(mutual=True))
    with bridge(tmp_path / "b.sock", *options) as secure:
        address = f"tls://localhost:{secure.tcp_port}"
        trusting = ("--tls-ca", certificates.authority, "--tls-cert", certificates.client)
        with tap(address, "--count", 1, *trusting) as each:
            publish(secure.path, frames(ticks(0, 1)))
            assert len(each.end()) == 1
        with tap(address, "--tls-ca", certificates.other_authority, ready=False) as each:
            each.end(1)
            assert "certificate is not accepted" in each.notes[-2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(running: Bridge, number: signal.Signals) -> None:
    with tap(running.path) as each:
        publish(running.path, frames(ticks(0, 1)))
        each.line()
        assert each.end(0, number) == []
    assert each.notes[-2].startswith("1 message shown (22 bytes) in ")
    assert len(each.notes) == 3  # with the first one, and the end


def test_it_ends_after_a_duration(running: Bridge) -> None:
    with tap(running.path, "--duration", 0.3) as each:
        assert each.end() == []
    assert each.notes[-2].startswith("0 messages shown")


def test_a_closed_pipe_ends_it_quietly(running: Bridge) -> None:
    with tap(running.path) as each:
        publish(running.path, frames(ticks(0, 1)))
        each.line()
        assert each.process.stdout is not None
        each.process.stdout.close()
        publish(running.path, frames(ticks(0, 1)))
        assert each.process.wait(20) == 0
        each.close()
    assert len(each.notes) == 2  # the first one, and the end


def test_the_end_of_the_bridge_is_told_and_an_error(tmp_path: Path) -> None:
    with bridge(tmp_path / "b.sock") as ending, tap(ending.path) as each:
        publish(ending.path, frames(ticks(0, 1)))
        each.line()
        ending.stop()
        assert each.end(1) == []
        assert "b.sock" in each.wait_note("^error: ")
        assert each.wait_note("1 message shown")


def test_what_the_bridge_left_out_and_what_did_not_decode_is_told(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer.sock")
    try:
        with tap(tmp_path / "peer.sock", "--count", 2, ready=False) as each:
            sock = peer.accept()
            peer.welcome()
            sock.sendall(core.Subscribed(read_core(sock).request).to_frame())
            tick = frames(ticks(0, 1))
            bad = encode_frame(1200, bytes(15))
            sock.sendall(tick + core.Lagged(1200, 41).to_frame() + bad)
            assert "41 frames" in each.wait_note("^lagged: ")
            assert "did not decode (1 so far): " in each.wait_note("a frame of TradeTick")
            sock.sendall(tick)
            sock.shutdown(1)
            assert len(each.end()) == 2
        assert "41 left out by the bridge" in each.notes[-2]
        assert each.notes[-2].endswith("1 did not decode")
    finally:
        peer.close()


def test_standard_output_that_takes_nothing_does_not_hold_up_the_bridge(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer.sock")
    try:
        with tap(tmp_path / "peer.sock", ready=False) as each:
            sock = peer.accept()
            peer.welcome()
            sock.sendall(core.Subscribed(read_core(sock).request).to_frame())
            # By far more than a pipe and the sockets' buffers hold, and nobody reads what is shown.
            sock.sendall(frames(ticks(0, 200_000)))
            assert each.process.poll() is None
    finally:
        peer.close()


def test_other_contracts_are_refused_with_both_digests(running: Bridge, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_bytes(CONTRACTS.read_bytes() + b"# changed\n")
    with tap(running.path, "--uncompiled", contracts=other, ready=False) as each:
        each.end(1)
        assert SCHEMA_DIGEST.hex() in each.wait_note("^error: .*digest")


def test_without_a_compiler_the_error_names_the_option_that_needs_none(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("messages:\n  Empty: {tlv_type: 1000, domain: A, fields: {}}\n")
    file = tmp_path / "own.yaml"
    nowhere = {"CC": str(tmp_path / "no-compiler"), "MYCELIUM_CACHE_DIR": str(tmp_path / "cache")}
    with tap(tmp_path / "no.sock", ready=False, contracts=file, **nowhere) as each:
        each.end(1)
        each.wait_note("--uncompiled")
    with tap(tmp_path / "no.sock", "--uncompiled", ready=False, contracts=file, **nowhere) as each:
        each.end(1)
        each.wait_note("nothing listens there")


# --- recording and replaying --------------------------------------------------------------------------------


def test_a_recording_has_the_frames_that_would_be_shown(running: Bridge, tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    with tap(running.path, "topic:market-data", "--record", file, "--where", "price<2", "--count", 2) as each:
        publish(
            running.path, frames(ticks(0, 1)), text().to_frame(), frames(ticks(5, 6)), frames(ticks(1, 2))
        )
        assert each.end() == []
    assert read_recording(file) == [tick.to_frame() for tick in ticks(0, 2)]
    assert each.notes[-2].startswith("2 messages recorded (44 bytes)")


def test_a_recording_is_whole_when_the_tap_is_told_to_end(running: Bridge, tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    with tap(running.path, "TradeTick", "--record", file, "--json") as each:
        publish(running.path, frames(ticks(0, 3)))
        assert [json.loads(each.line())["fields"]["price"] for _ in range(3)] == [0, 1, 2]
        each.end(0, signal.SIGTERM)
    assert len(read_recording(file)) == 3


def test_an_existing_recording_is_gone_on_with_only_where_asked_for(running: Bridge, tmp_path: Path) -> None:
    file = record(tmp_path / "a.rec", (0, ticks(0, 1)[0]))
    with tap(running.path, "--record", file, ready=False) as each:
        each.end(2)
        assert "--append" in each.wait_note("exists")
    with tap(running.path, "--record", file, "--append", "--count", 1) as each:
        publish(running.path, frames(ticks(1, 2)))
        each.end()
    assert read_recording(file) == [tick.to_frame() for tick in ticks(0, 2)]


def test_a_recording_is_shown_with_its_own_times(tmp_path: Path) -> None:
    file = record(tmp_path / "a.rec", (0, ticks(0, 1)[0]), (3600.5, text()), (7200, ticks(1, 2)[0]))
    with tap("--replay", file, "--json", ready=False) as each:
        shown = [json.loads(line) for line in each.end()]
    assert [entry["time"] for entry in shown] == [
        "2023-11-14T22:13:20.000000Z",
        "2023-11-14T23:13:20.500000Z",
        "2023-11-15T00:13:20.000000Z",
    ]
    with tap("--replay", file, "TradeTick", ready=False) as each:
        assert [line.split("  ")[1:] for line in each.end()] == [
            ["TradeTick", "price=0 size=1"],
            ["TradeTick", "price=1 size=2"],
        ]


def test_a_part_of_a_recording_makes_another_one_with_the_same_times(tmp_path: Path) -> None:
    file = record(tmp_path / "a.rec", (0, text()), (1.5, ticks(0, 1)[0]))
    with tap("--replay", file, "TradeTick", "--record", tmp_path / "b.rec", ready=False) as each:
        each.end()
    with Recording(tmp_path / "b.rec", SCHEMA_DIGEST) as recording:
        assert [each.time_ns for each in recording] == [START_NS + 1_500_000_000]
    with tap("--replay", file, "--record", file, "--append", ready=False) as each:
        each.end(2)


@pytest.mark.parametrize(
    ("speed", "at_least_s"), [((), 0.6), (("--speed", "2"), 0.3), (("--speed", "max"), 0.0)]
)
def test_a_replay_publishes_the_same_frames_in_order_no_faster_than_asked_for(
    running: Bridge, tmp_path: Path, speed: tuple[str, ...], at_least_s: float
) -> None:
    sent = [ticks(0, 1)[0], text(), SECRET, ticks(1, 2)[0], encode_frame(7777, b"abc")]
    file = record(tmp_path / "a.rec", *[(0.15 * index, message) for index, message in enumerate(sent)])
    assert running.path is not None
    sock, _ = negotiated_client(running.path)
    with sock:
        subscribe(sock, 1200, 1001, 1020, 7777)
        with tap(running.path, "--replay", file, "--raw", *speed, ready=False) as each:
            got = [read_frame(sock)]
            started = time.monotonic()
            got += [read_frame(sock) for _ in sent[1:]]
            took = time.monotonic() - started
            each.end()
    expected = [message if isinstance(message, bytes) else message.to_frame() for message in sent]
    assert [encode_frame(*frame) for frame in got] == expected
    # (Both ends are on the clock of this machine; reading the first one may come late, but not by this much.)
    assert took >= at_least_s * 0.5
    assert each.notes[-2].startswith("5 messages sent")


def test_a_replay_is_of_the_types_named_and_as_fast_as_the_bridge_takes_it(
    running: Bridge, tmp_path: Path
) -> None:
    with Recorder(tmp_path / "a.rec", SCHEMA_DIGEST, start_ns=START_NS) as recorder:
        for number, tick in enumerate(ticks(0, 20_000)):
            recorder.write(tick.to_frame(), START_NS + number * 10**9)
            recorder.write(text().to_frame(), START_NS + number * 10**9)
    with UnixTransport(str(running.path), SCHEMA_DIGEST) as transport:
        received = transport.subscriber((TradeTick, TextMessage), capacity=100_000)
        file = tmp_path / "a.rec"
        with tap(running.path, "TradeTick", "--replay", file, "--speed", "max", ready=False) as each:
            assert [received.recv(20) for _ in range(20_000)] == ticks(0, 20_000)
            each.end()


def test_a_recording_of_other_contracts_is_not_replayed(running: Bridge, tmp_path: Path) -> None:
    file = record(tmp_path / "a.rec", digest=bytes(32))
    with tap(running.path, "--replay", file, ready=False) as each:
        each.end(1)
        said = each.wait_note("^error: ")
    assert SCHEMA_DIGEST.hex() in said
    assert bytes(32).hex() in said


def test_a_recording_that_was_cut_off_is_shown_and_told(tmp_path: Path) -> None:
    file = record(tmp_path / "a.rec", (0, ticks(0, 1)[0]), (0, ticks(1, 2)[0]))
    os.truncate(file, file.stat().st_size - 5)
    with tap("--replay", file, ready=False) as each:
        assert len(each.end()) == 1
        each.wait_note("ends within a record, of which 25 bytes are there")


def test_a_refused_replay_is_an_error(tmp_path: Path) -> None:
    file = record(tmp_path / "a.rec", (0, ticks(0, 1)[0]))
    peer = Peer(tmp_path / "peer.sock")
    try:
        with tap(tmp_path / "peer.sock", "--replay", file, ready=False) as each:
            sock = peer.accept()
            peer.welcome()
            assert encode_frame(*read_frame(sock)) == frames(ticks(0, 1))
            request = read_core(sock)
            sock.sendall(core.Reject(2, False, 1200, bytes(32), "not you").to_frame())
            sock.sendall(core.Subscribed(request.request).to_frame())
            sock.shutdown(1)
            each.end(1)
            each.wait_note("error: .*1200: not you")
    finally:
        peer.close()


def test_the_commands_of_the_documentation_work(tmp_path: Path) -> None:
    """In order, with a bridge at bus.sock; those with a & go on meanwhile, and end by themselves."""
    document = (ROOT / "docs" / "tools.md").read_text()
    blocks = re.findall(r"^```shell\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 4
    shutil.copy(CONTRACTS, tmp_path)
    with bridge(tmp_path / "bus.sock"), contextlib.ExitStack() as stack:
        for block in blocks:
            going = []
            for line in block.splitlines():
                program, name, *arguments = shlex.split(line.removeprefix("$ ").removesuffix("&"))
                assert program == "mycelium"
                each = Tap(*arguments, command=name, contracts=None, directory=tmp_path)
                stack.callback(each.close)
                if line.endswith("&"):
                    each.wait_note("^tapping ")
                    going.append(each)
                else:
                    each.end()
            for each in going:
                assert each.end() or "session.rec" in block
    assert len(read_recording(tmp_path / "part.rec")) == 3


# --- mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say where: mycelium tap"),
        (("./no.sock", "TradeTik"), "Did you mean 'TradeTick'.*There are TextMessage, "),
        (("./no.sock", "topic:sgnal"), "Did you mean 'signal'"),
        (("./no.sock", "7777"), r"no type id 7777; .*1200 \(TradeTick\).*--raw"),
        (("./no.sock", "70000", "--raw"), "up to 65535"),
        (("./no.sock", "--where", "price"), "FIELD OP VALUE"),
        (("./no.sock", "--where", "__import__('os').abort()"), "FIELD OP VALUE"),
        (("./no.sock", "--where", "pric>1"), "Did you mean 'price'"),
        (("./no.sock", "TextMessage", "--where", "price>1"), "no message selected has a field 'price'"),
        (("./no.sock", "--where", "price>many"), "'many' is no value of TradeTick.price.*u64"),
        (("./no.sock", "--where", "price>-1"), "out of range"),
        (("./no.sock", "--where", "buy>true"), "TradeSignal.buy can be compared by = == !="),
        (("./no.sock", "--where", "path=1"), "ArbitrageSignal.path is a list"),
        (("./no.sock", "--where", "price>1", "--where", "symbol=A"), "has all of price, symbol"),
        (("./no.sock", "--append"), "--record"),
        (("./no.sock", "--speed", "2"), "--replay"),
        (("./no.sock", "--replay", "a.rec", "--speed", "0"), "a factor"),
        (("./no.sock", "--tls-ca", "a.pem"), "without TLS"),
        (
            ("tls://localhost:1", "--tls-ca", "/nonexistent.pem"),
            "/nonexistent.pem cannot be used: No such file",
        ),
        (("localhost:port",), "a port is a number"),
        (("./no.sock", "--service", "x" * 65), "64 bytes"),
    ],
)
def test_mistakes_are_told_before_anything_is_connected(arguments: tuple[str, ...], said: str) -> None:
    from click.testing import CliRunner

    from mycelium_fast.cli.main import main

    result = CliRunner().invoke(main, ["tap", *arguments, "--contracts", str(CONTRACTS)])
    assert result.exit_code == 2, result.output
    assert re.search(said, result.stderr, re.DOTALL), result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("./no.sock",), "nothing listens there"),
        (("--replay", "no.rec"), "no.rec.*No such file"),
        (("--replay", str(CONTRACTS)), "contracts.yaml is not a recording"),
    ],
)
def test_what_is_not_there_is_told(arguments: tuple[str, ...], said: str) -> None:
    from click.testing import CliRunner

    from mycelium_fast.cli.main import main

    result = CliRunner().invoke(main, ["tap", *arguments, "--contracts", str(CONTRACTS)])
    assert result.exit_code == 1, result.output
    assert re.search(said, result.stderr, re.DOTALL), result.stderr
