"""`mycelium pub` as people run it: a process beside a real bridge, or beside a peer driven by hand."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
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
    is_closed,
    negotiated_client,
    read_core,
    read_frame,
    subscribe,
)
from certificates import Certificates
from click.testing import CliRunner, Result
from links import frames, text, ticks

import mycelium_fast
from mycelium_fast import UnixTransport
from mycelium_fast.bus.recording import Recorder
from mycelium_fast.cli.main import main
from mycelium_fast.example_messages import MESSAGES, SCHEMA_DIGEST, ArbitrageSignal, TradeTick
from mycelium_fast.session import core

#: A field of every type that there is.
EVERYTHING = """\
messages:
  All:
    tlv_type: 1000
    domain: A
    fields:
      small: {type: "i8"}
      big: {type: "u128"}
      least: {type: "i128"}
      single: {type: "f32"}
      double: {type: "f64"}
      flag: {type: "bool"}
      line: {type: "String"}
      id: {type: "[u8; 3]"}
      word: {type: "U256"}
      three: {type: "[u16; 3]"}
      ids: {type: "[[u8; 2]; 2]"}
      data: {type: "Vec<u8>"}
      flags: {type: "Vec<bool>"}
      words: {type: "Vec<U256>"}
      class: {type: "u8"}
  Empty: {tlv_type: 1001, domain: A, fields: {}}
"""
ALL = {
    "small": "-128",
    "big": "0xffffffffffffffffffffffffffffffff",
    "least": "-170_141_183_460_469_231_731_687_303_715_884_105_728",
    "single": "1.5",
    "double": "-inf",
    "flag": "true",
    "line": 'a=b "ü"',
    "id": "0x00ff7f",
    "word": "258",
    "three": "[1, 2, 0]",
    "ids": '["0x0102", "0304"]',
    "data": "0x00ff",
    "flags": "[true, false]",
    "words": f'["0x{"7" * 64}", 1]',
    "class": "7",
}


def pub(
    address: object, *arguments: object, contracts: Path = CONTRACTS, stdin: str | bytes = ""
) -> subprocess.CompletedProcess[str]:
    command = ["pub", str(address), "--contracts", str(contracts), *map(str, arguments)]
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [sys.executable, "-m", "mycelium_fast", *command], input=data, capture_output=True, timeout=60
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def mistaken(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["pub", *arguments], input=stdin)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with bridge(tmp_path_factory.mktemp("pub") / "bus.sock") as started:
        yield started


@pytest.fixture
def received(running: Bridge) -> Iterator[Any]:
    """Every message that the bridge passes on."""
    with UnixTransport(str(running.path), SCHEMA_DIGEST) as transport:
        yield transport.subscriber(tuple(MESSAGES.values()), capacity=100_000)


def test_a_message_reaches_subscribers_and_is_confirmed(running: Bridge, received: Any) -> None:
    done = pub(running.path, "TradeTick", "price=101500", "size=0x9c4")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"published 1 message of TradeTick to unix:{running.path}\n"
    assert received.recv(20) == TradeTick(101_500, 2_500)


def test_quiet_says_nothing(running: Bridge, received: Any) -> None:
    done = pub(running.path, "TradeTick", "size=1", "price=1", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert received.recv(20) == TradeTick(1, 1)


def test_it_is_published_so_often_and_no_faster_than_asked_for(running: Bridge, received: Any) -> None:
    done = pub(running.path, "TradeTick", "price=1", "size=1", "--count", 5000)
    assert "published 5,000 messages of TradeTick to" in done.stderr
    assert [received.recv(20) for _ in range(5000)] == [TradeTick(1, 1)] * 5000
    started = time.monotonic()
    assert pub(running.path, "TradeTick", "price=2", "size=1", "--count", 6, "--rate", 10).returncode == 0
    assert time.monotonic() - started >= 0.5
    assert [received.recv(20) for _ in range(6)] == [TradeTick(2, 1)] * 6


def test_every_type_of_field_can_be_written_and_comes_back_from_a_tap(tmp_path: Path) -> None:
    contracts = tmp_path / "own.yaml"
    contracts.write_text(EVERYTHING)
    messages = mycelium_fast.load(contracts, compiled=False)
    with bridge(tmp_path / "own.sock", contracts=contracts) as own:
        assert own.path is not None
        sock, _ = negotiated_client(own.path, greeting=b"\x20\x00" + messages.SCHEMA_DIGEST)
        with sock:
            subscribe(sock, everything=True)
            words = [f"{name}={value}" for name, value in ALL.items()]
            done = pub(own.path, "All", *words, "--uncompiled", contracts=contracts)
            assert done.returncode == 0, done.stderr
            first = read_frame(sock)
            message = messages.All.from_bytes(first[1])
            assert (message.small, message.big, message.least) == (-128, 2**128 - 1, -(2**127))
            assert (message.single, message.double, message.flag) == (1.5, float("-inf"), True)
            assert (message.line, message.id) == ('a=b "ü"', b"\0\xff\x7f")
            assert (message.word, message.three) == ((258).to_bytes(32, "big"), (1, 2, 0))
            assert (message.ids, message.data) == ((b"\1\2", b"\3\4"), b"\0\xff")
            assert (message.flags, message.class_) == ([True, False], 7)
            assert message.words == [b"\x77" * 32, (1).to_bytes(32, "big")]
            # What a tap shows of it is what pub takes, as JSON and as text.
            file = tmp_path / "a.rec"
            with Recorder(file, messages.SCHEMA_DIGEST) as recorder:
                recorder.write(message.to_frame())
                recorder.write(messages.Empty().to_frame())
            shown = ["tap", "--replay", str(file), "--contracts", str(contracts), "--uncompiled"]
            as_json = CliRunner().invoke(main, [*shown, "--json"]).stdout
            assert json.loads(as_json.splitlines()[0])["fields"]["big"] == 2**128 - 1
            assert json.loads(as_json.splitlines()[0])["fields"]["id"] == "0x00ff7f"
            done = pub(own.path, "--json", "--uncompiled", contracts=contracts, stdin=as_json)
            assert "published 2 messages to" in done.stderr
            assert read_frame(sock) == first
            assert read_frame(sock) == (1001, b"")
            as_text = CliRunner().invoke(main, shown).stdout.splitlines()[0].split("  ", 2)[2]
            said = dict(field.split("=", 1) for field in re.split(r" (?=\w+=)", as_text))
            assert list(said) == list(ALL)
            said["line"] = json.loads(said["line"])
            words = [f"{name}={value}" for name, value in said.items()]
            assert pub(own.path, "All", *words, "--uncompiled", contracts=contracts).returncode == 0
            assert read_frame(sock) == first


def test_json_lines_are_published_as_they_come(running: Bridge, received: Any) -> None:
    command = [sys.executable, "-m", "mycelium_fast", "pub", str(running.path), "--json"]
    process = subprocess.Popen(
        [*command, "--contracts", str(CONTRACTS)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert process.stdin is not None
        for number in range(2):
            line = {"type": "TradeTick", "time": "now", "fields": {"size": "0x5", "price": number}}
            process.stdin.write(json.dumps(line) + "\n\n")
            process.stdin.flush()
            assert received.recv(20) == TradeTick(number, 5)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read().startswith("published 2 messages of TradeTick to ")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stderr):
            if pipe is not None:
                pipe.close()


def test_of_json_so_many_lines_are_taken(running: Bridge, received: Any) -> None:
    line = '{"type": "TradeTick", "fields": {"price": 1, "size": 1}}\n'
    assert "2 messages" in pub(running.path, "--json", "--count", 2, stdin=line * 3).stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it nests too deep"),
        ("5", "it is no message"),
        ('{"type": null, "type_id": 7777}', "it is no message"),
        ('{"type": "Tick", "fields": {}}', "no message 'Tick'; there are TextMessage"),
        ('{"type": "TradeTick"}', 'the "fields" of a TradeTick are missing'),
        ('{"type": "ArbitrageSignal", "fields": null}', "confidential messages are not shown"),
        ('{"type": "TradeTick", "fields": {"price": 1}}', "missing: size, a whole number from 0"),
        ('{"type": "TradeTick", "fields": {"price": 1, "siz": 1}}', "Did you mean 'size'"),
        (
            '{"type": "TradeTick", "fields": {"price": 1.5, "size": 1}}',
            "'1.5' is no value of TradeTick.price",
        ),
        ('{"type": "TradeTick", "fields": {"price": true, "size": 1}}', "it is no whole number"),
        ('{"type": "Ping", "fields": {"value": 5}}', "Ping.value: it is no text"),
    ],
)
def test_a_wrong_line_ends_it_with_its_number(running: Bridge, received: Any, line: str, said: str) -> None:
    good = '{"type": "TradeTick", "fields": {"price": 1, "size": 1}}\n'
    done = pub(running.path, "--json", stdin=good + line + "\n" + good)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("sent 1 message of TradeTick")
    assert second.startswith("Error: standard input, line 2: ")
    assert said in second
    assert received.recv(20) == TradeTick(1, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say what to publish.*TextMessage, Ping"),
        (("TradeTik", "price=1"), "Did you mean 'TradeTick'"),
        (("TradeTick", "price"), "'price' is not FIELD=VALUE"),
        (("TradeTick", "price=1"), "missing: size, a whole number from 0 to 18446744073709551615"),
        (("TradeTick", "price=1", "price=1"), "TradeTick.price is given twice"),
        (("TradeTick", "prise=1"), "Did you mean 'price'"),
        (("TradeTick", "price=1.5", "size=1"), "'1.5' is no value of TradeTick.price: it is no whole number"),
        (("TradeTick", "price=-1", "size=1"), "it is out of range"),
        (("TradeTick", f"price={'9' * 5000}", "size=1"), r"'9{60}\.\.\.' is no value of"),
        (("TradeTick", "price=0x", "size=1"), "it is no whole number"),
        (("Ping", f"value={'x' * 65}"), r"Ping\.value.*64"),
        (("InstrumentMeta", "token_address=0x01"), "it has 1 bytes, not 20.*20 bytes in hexadecimal"),
        (("InstrumentMeta", "token_address=wxyz"), "it is no bytes in hexadecimal"),
        (("TradeSignal", "buy=1"), "it is neither true nor false.*It is true or false"),
        (("TradeSignal", "confidence=high"), "it is no number"),
        (
            ("ArbitrageSignal", "path=0x01"),
            "what is given is no value of ArbitrageSignal.path: it is no JSON",
        ),
        (("ArbitrageSignal", "path={}"), "it is no list.*a JSON list of at most 4 values"),
        (("--json", "TradeTick"), "standard input: leave out 'TradeTick'"),
    ],
)
def test_mistakes_are_told_before_anything_is_connected(arguments: tuple[str, ...], said: str) -> None:
    result = mistaken("./no.sock", "--contracts", str(CONTRACTS), *arguments)
    assert result.exit_code == 2, result.output
    assert re.search(said, result.stderr, re.DOTALL), result.stderr


@pytest.mark.parametrize("name", [each.__name__ for each in MESSAGES.values()])
def test_the_example_in_an_error_is_a_command_that_works(running: Bridge, received: Any, name: str) -> None:
    result = mistaken(str(running.path), "--contracts", str(CONTRACTS), name, "nothing=1")
    example = result.stderr.rstrip("\n").rpartition("For example: mycelium ")[2]
    done = CliRunner().invoke(main, shlex.split(example))
    assert done.exit_code == 0, done.output
    assert type(received.recv(20)).__name__ == name


def test_a_rule_of_the_contract_is_an_error_with_an_example() -> None:
    fields = ("order_id=0", "signal_id=1", "symbol=A", "buy=true", "limit_price=1", "size=1", "expires_at=1")
    result = mistaken("./no.sock", "--contracts", str(CONTRACTS), "Order", *fields)
    assert result.exit_code == 2
    assert "Order.order_id" in result.stderr
    assert "not_zero" in result.stderr
    assert "For example: mycelium pub ./no.sock --contracts" in result.stderr


def test_no_value_of_a_confidential_message_is_in_an_error() -> None:
    for word in ("opportunity_id=abc123", "estimated_profit_usd=abc123", "path=abc123", "abc123"):
        result = mistaken("./no.sock", "--contracts", str(CONTRACTS), "ArbitrageSignal", word)
        assert result.exit_code == 2
        assert "abc123" not in result.stderr
        assert ArbitrageSignal.__name__ in result.stderr


def test_a_refusal_is_an_error_even_if_it_comes_last(tmp_path: Path) -> None:
    for wants in ("plain", "all"):
        peer = Peer(tmp_path / "peer.sock")
        command = ["pub", str(tmp_path / "peer.sock"), "--contracts", str(CONTRACTS)]
        process = subprocess.Popen(
            [sys.executable, "-m", "mycelium_fast", *command, "TradeTick", "price=0", "size=1"],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            sock = peer.accept()
            assert peer.hello is not None
            assert peer.hello.service == "mycelium-pub"
            peer.welcome()
            assert read_frame(sock) == (1200, ticks(0, 1)[0].to_bytes())
            request = read_core(sock)
            sock.sendall(core.Reject(2, False, 1200, bytes(32), "not you").to_frame())
            if wants == "all":  # this is refused as well, and of no interest
                sock.sendall(core.Reject(2, False, 0, bytes(32), "nothing at all").to_frame())
            sock.sendall(core.Subscribed(request.request).to_frame())
            sock.shutdown(1)
            said = process.communicate(timeout=20)[1]
            assert process.returncode == 1
            assert "error: the peer refuses a request concerning type id 1200: not you" in said
            assert "published" not in said
        finally:
            process.kill()
            process.wait()
            peer.close()
            (tmp_path / "peer.sock").unlink()


def test_what_access_rules_forbid_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "topology.toml").write_text(f"""
[[nodes]]
name = "n"
services = ["x"]
[bridge]
contracts = "{CONTRACTS}"
[[bridge.listeners]]
name = "main"
unix = "{tmp_path}/a.sock"
[[access]]
publish = ["TextMessage"]
receive = ["TradeTick"]
""")
    with bridge(None, "--topology", str(tmp_path / "topology.toml"), "--node", "n", contracts=None) as ruled:
        ruled.wait_log(" is up: ")
        done = pub(tmp_path / "a.sock", "TradeTick", "price=0", "size=1")
        assert done.returncode == 1
        assert "lets it publish TradeTick" in done.stderr
        done = pub(tmp_path / "a.sock", "TextMessage", "sender=a", "content=b", "timestamp=1")
        assert done.returncode == 0, done.stderr


def test_a_bridge_that_does_not_answer_is_an_error_in_time(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer.sock")
    command = ["pub", str(tmp_path / "peer.sock"), "--contracts", str(CONTRACTS), "--timeout", "0.3"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mycelium_fast", *command, "TradeTick", "price=0", "size=1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        peer.accept()
        peer.welcome()
        assert "did not confirm" in process.communicate(timeout=20)[1]
        assert process.returncode == 1
    finally:
        process.kill()
        process.wait()
        peer.close()


def test_an_endpoint_without_handshake_gets_frames_alone(tmp_path: Path) -> None:
    with bridge(tmp_path / "plain.sock", "--no-handshake") as plain:
        done = pub(plain.path, "TradeTick", "price=0", "size=1", "--no-handshake")
        assert done.returncode == 0, done.stderr
    peer = Peer(tmp_path / "peer.sock")
    try:
        command = ["pub", str(tmp_path / "peer.sock"), "--contracts", str(CONTRACTS), "--no-handshake"]
        process = subprocess.Popen(
            [sys.executable, "-m", "mycelium_fast", *command, "Ping", "value=x"], stderr=subprocess.PIPE
        )
        try:
            sock = peer.accept(greeted=False)
            assert read_frame(sock)[0] == 1002
            assert is_closed(sock)
            sock.close()
            process.communicate(timeout=20)
            assert process.returncode == 0
        finally:
            process.kill()
            process.wait()
    finally:
        peer.close()


def test_nobody_there_and_other_contracts_are_errors(running: Bridge, tmp_path: Path) -> None:
    done = pub(tmp_path / "no.sock", "TradeTick", "price=0", "size=1")
    assert done.returncode == 1
    assert "nothing listens there" in done.stderr
    other = tmp_path / "other.yaml"
    other.write_bytes(CONTRACTS.read_bytes() + b"# changed\n")
    done = pub(running.path, "TradeTick", "price=0", "size=1", "--uncompiled", contracts=other)
    assert done.returncode == 1
    assert SCHEMA_DIGEST.hex() in done.stderr


def test_tls(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    options = ("--tcp", "127.0.0.1:0", *certificates.options(mutual=True))
    with bridge(tmp_path / "b.sock", *options) as secure:
        address = f"tls://127.0.0.1:{secure.tcp_port}"
        with UnixTransport(str(secure.path), SCHEMA_DIGEST) as transport:
            received = transport.subscriber(TradeTick)
            trusting = ("--tls-ca", certificates.authority, "--tls-cert", certificates.client)
            done = pub(address, "TradeTick", "price=0", "size=1", *trusting)
            assert done.returncode == 0, done.stderr
            assert received.recv(20) == ticks(0, 1)[0]


def test_a_message_of_text_is_taken_as_it_stands(running: Bridge, received: Any) -> None:
    content = 'a=b [1] "x" 0x10 ü'
    done = pub(running.path, "TextMessage", "sender=peer", f"content={content}", "timestamp=1")
    assert done.returncode == 0, done.stderr
    assert received.recv(20) == text(content)
    assert frames([text(content)]) == text(content).to_frame()
