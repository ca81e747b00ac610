"""The generated Rust: what its users rely on, hostile contracts, damaged payloads, and a Rust server.

`tests/rust/api.rs` has the promises to users as Rust tests; each is one test here. That golden samples and
random contracts agree with the other languages is left to the conformance tests, streams of mixed messages
through the bridge to those of the peers.
"""

from __future__ import annotations

import contextlib
import html
import json
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import bridge, read_frame
from environments import ROOT, checked, run
from golden import DATA, SCHEMAS, golden
from loops import run as run_loop

from mycelium_fast import BadFrames, MyceliumClient, TcpTransport, UnixTransport
from mycelium_fast.codegen.names import plain_text
from mycelium_fast.codegen.render import render
from mycelium_fast.contracts import load
from mycelium_fast.errors import ContractWarning, SchemaMismatchError, ValidationError
from mycelium_fast.example_messages import (
    SCHEMA_DIGEST,
    Ping,
    Pong,
    TextMessage,
    TradeSignal,
    TradeTick,
)

TESTS = ROOT / "tests"
CONTRACTS = ROOT / "contracts.yaml"
FLAGS = ("--edition", "2021", "-D", "warnings")
OPTIMISED = ("-C", "opt-level=2", "-C", "overflow-checks=on", "-C", "debug-assertions=on")
PROMISES = re.findall(r"#\[test\]\nfn (\w+)\(\)", (TESTS / "rust" / "api.rs").read_text())
SNIPPETS = re.findall(r"^```rust\n(.*?)^```$", (ROOT / "docs" / "rust.md").read_text(), re.M | re.S)


def rustc_version() -> tuple[int, ...]:
    """Of the compiler that is installed; (0,) where none is."""
    if shutil.which("rustc") is None:
        return (0,)
    return tuple(int(part) for part in re.findall(r"\d+", checked("rustc", "--version"))[:2])


VERSION = rustc_version()
NEWEST_EDITION = "2024" if VERSION >= (1, 85) else "2021"
pytestmark = pytest.mark.skipif(VERSION < (1, 77), reason="rustc 1.77 or later is not installed")

#: Every size of padding, text of odd capacity, a Vec whose elements do not begin at 8; megabytes.
ODD = """
messages:
  Shape:
    tlv_type: 1000
    domain: Odd
    fields:
      small: {type: u8}
      wide: {type: u64}
      numbers: {type: "Vec<u128>", validation: [{max_length: 2}]}
      flag: {type: bool}
      text: {type: String, validation: [{max_length: 5}]}
      flags: {type: "Vec<bool>", validation: [{max_length: 3}]}
      ratio: {type: f32}
  Large:
    tlv_type: 1001
    domain: Odd
    fields:
      cells: {type: "[[u8; 8192]; 512]"}
"""

#: Descriptions that would be something else to rustc or rustdoc if they were not escaped.
HOSTILE_TEXTS = (
    "quotes \" ' ` and ```rust fence\nfn main() { panic!() }\n``` after",
    '*/ /* //! /// #![deny(warnings)] #[doc = "x"] include!("x")',
    "```\npanic!()\n```",
    "~~~rust\npanic!()\n~~~",
    "    indented code: fn f() {}",
    "<script>alert(1)</script> <b>bold</b> &amp; &lt; <!-- comment --> Vec<T>",
    "[link](http://example.org) [`Foo`] [crate::nothing] ![image](x) [^1] [x]: y",
    "http://example.org/a?b=c www.example.org <http://a.b> x@example.org https://b.org",
    "{{ 7 * 7 }} {% raw %} {# c #} #{x} $(touch x) ${x} $x$",
    "\u202eright to left\u2066 \u200f \u061c \ufeff",
    "emoji \U0001f600 and \u2028 separators \u2029 \u0085 \x7f",
    "a backslash at the end \\",
    "1. a list",
    "12) a list",
    "- a list",
    "+ a list",
    "* a list",
    "===",
    "---",
    "> a quotation",
    "# a heading",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "- [ ] a task ~~struck~~ *emphasis* __strong__ _x_",
    "w" * 300,
)
HOSTILE_NAMES = (
    *("Result", "String", "Vec", "Option", "Box", "Self", "u8", "str", "bool", "Some", "Ok", "Err", "None"),
    *("Payload", "Message", "FixedString", "Clone", "Debug", "T", "N", "CAPACITY", "_", "__x", "_1", "main"),
    *("Foo", "foo", "FOO", "foo_bar", "FooBar", "fooBar", "Foo_Bar", "type", "crate", "std", "wire", "fmt"),
    *("SCHEMA_DIGEST", "MESSAGES", "Default", "From", "Into", "TryFrom", "Iterator", "Drop", "Send"),
)
HOSTILE_FIELDS = (
    *("self", "Self", "crate", "super", "type", "new", "decode", "encode", "payload", "size", "val", "_"),
    *("__", "true", "bool", "u8", "f64", "String", "pad_0", "pad_1", "Foo", "foo", "FOO", "fooBar"),
    *("foo_bar", "match", "fn", "dyn", "async", "await", "gen", "try", "yield", "abstract", "NAME"),
)


def generate(contracts: Path, target: Path) -> Path:
    """Write the Rust module of a contracts file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContractWarning)
        model = load(contracts)
    target.write_text(render(model, "rust"), encoding="utf-8")
    return target


def rustc(source: Path, *flags: str) -> Path:
    """Compile a program beside its source; warnings are errors, and whatever the compiler says is one."""
    program = source.with_suffix("")
    said = checked("rustc", *FLAGS, *flags, "-o", program, source, cwd=source.parent, logged=True)
    assert said == ""
    return program


def hostile_contracts() -> dict[str, Any]:
    """A contract of hostile names and texts, everything in it at several places."""
    types = ("u8", "u64", "bool", "String", "Vec<u128>", "[u8; 3]", "f32", "U256", "[bool; 3]", "Vec<u8>")
    messages = {}
    for number, name in enumerate(HOSTILE_NAMES):
        fields = {}
        for place, field in enumerate(HOSTILE_FIELDS[number % 7 :: 1 + number % 5]):
            text = HOSTILE_TEXTS[(number + place) % len(HOSTILE_TEXTS)]
            rules = [{text: True}]
            fields[field] = {
                "type": types[(number + place) % len(types)],
                "description": text,
                "validation": rules,
            }
        text = HOSTILE_TEXTS[number % len(HOSTILE_TEXTS)]
        messages[name] = {"tlv_type": 1000 + number, "domain": text, "description": text, "fields": fields}
    return {"messages": messages}


def as_yaml(data: object) -> str:
    """JSON with escapes that YAML has: one for a character outside the basic plane, not two."""

    def joined(match: re.Match[str]) -> str:
        pair = bytes.fromhex(match[1] + match[2]).decode("utf-16-be")
        return f"\\U{ord(pair):08x}"

    return re.sub(r"\\u(d[89ab]..)\\u(d[c-f]..)", joined, json.dumps(data))


# --- Promises to users ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `api.rs` with the modules that it uses; the program itself is compiled."""
    directory = tmp_path_factory.mktemp("api")
    (directory / "odd.yaml").write_text(ODD)
    generate(directory / "odd.yaml", directory / "odd.rs")
    generate(CONTRACTS, directory / "own.rs")
    generate(DATA / "game.yaml", directory / "game.rs")
    rustc(Path(shutil.copy(TESTS / "rust" / "api.rs", directory)), "--test")
    return directory


@pytest.mark.parametrize("promise", PROMISES)
def test_promise(api: Path, promise: str) -> None:
    assert "1 passed; 0 failed" in checked(api / "api", "--exact", promise)


def test_all_of_it_holds_optimised_and_in_the_newest_edition(api: Path) -> None:
    program = api / "optimised"
    flags = ("--edition", NEWEST_EDITION, "-D", "warnings", "-O", "--test")
    checked("rustc", *flags, "-o", program, "api.rs", cwd=api)
    assert f"{len(PROMISES)} passed; 0 failed" in checked(program)
    assert len(PROMISES) > 15


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_of_the_documentation_run(tmp_path: Path, number: int) -> None:
    generate(CONTRACTS, tmp_path / "messages.rs")
    (tmp_path / "main.rs").write_text(SNIPPETS[number])
    checked(rustc(tmp_path / "main.rs"))


def test_there_are_snippets_in_the_documentation() -> None:
    assert len(SNIPPETS) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("pad_0: [u8; 7],", "pad_0: [u8; 6],"),
        ("pub wide: u64", "pub wide: u32"),
        ("pub text: FixedString<5, 6>", "pub text: FixedString<5, 7>"),
        ("#[repr(C, align(16))]", "#[repr(C, align(32))]"),
    ],
    ids=["padding", "type", "capacity", "alignment"],
)
def test_a_struct_of_another_layout_does_not_compile(
    api: Path, tmp_path: Path, wrong: tuple[str, str]
) -> None:
    text = (api / "odd.rs").read_text()
    assert wrong[0] in text
    (tmp_path / "odd.rs").write_text(text.replace(*wrong))
    command = ("rustc", *FLAGS, "--crate-type", "lib", "--emit", "metadata", "odd.rs")
    assert run(*command, cwd=tmp_path).returncode != 0
    (tmp_path / "odd.rs").write_text(text)
    checked(*command, cwd=tmp_path)


# --- Hostile contracts ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module of a hostile contract, as a library of its own."""
    directory = tmp_path_factory.mktemp("hostile")
    (directory / "hostile.yaml").write_text(as_yaml(hostile_contracts()))
    return generate(directory / "hostile.yaml", directory / "hostile.rs")


def test_hostile_names_and_texts_compile(hostile: Path) -> None:
    command = ("rustc", *FLAGS, "--crate-type", "lib", "--emit", "metadata", hostile)
    assert checked(*command, cwd=hostile.parent, logged=True) == ""
    text = hostile.read_text()
    for name in (
        "Result_",
        "Self_",
        "U8",
        "Payload_",
        "Foo",
        "Foo_",
        "FOO",
        "FooBar",
        "FooBar_",
        "CAPACITY_",
    ):
        assert f"pub struct {name} {{" in text
    for name in ("self_", "type_", "foo", "foo_", "foo__", "pad_0", "gen_", "fn_", "__"):
        assert re.search(rf"^    pub {name}: ", text, re.M), name


def test_no_text_of_a_contract_is_code_or_markup_to_rustdoc(hostile: Path) -> None:
    tests = checked("rustdoc", "--edition", "2021", "--test", hostile, cwd=hostile.parent)
    assert "running 0 tests" in tests
    flags = ("--edition", "2021", "--crate-type", "lib", "--crate-name", "hostile", "-D", "warnings")
    said = checked("rustdoc", *flags, "-o", "doc", hostile, cwd=hostile.parent, logged=True)
    assert "warning" not in said
    page = (hostile.parent / "doc" / "hostile" / "struct.Result_.html").read_text()
    blocks = re.findall(r'<div class="docblock"><p>([^<]*)</p>\n<p><code>', page)
    shown = [html.unescape(block) for block in blocks]
    assert len(shown) == len(HOSTILE_FIELDS)
    # Typographic quotes and dashes apart, the text is what people read.
    expected = [plain_text(HOSTILE_TEXTS[place % len(HOSTILE_TEXTS)]) for place in range(len(shown))]
    assert [letters(text) for text in shown] == [letters(text) for text in expected]


def letters(text: str) -> str:
    """A text without quotes, dashes, dots and white space, which rustdoc may change."""
    return re.sub(r"[\s\"'\u2018\u2019\u201c\u201d.\u2026\u2013\u2014-]", "", text)


def test_a_schema_without_messages_compiles(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("messages: {}\n")
    source = generate(tmp_path / "empty.yaml", tmp_path / "empty.rs")
    rustc(source, "--crate-type", "lib", "--emit", "metadata")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("clippy-driver") is None, reason="clippy is not installed")
def test_clippy_has_nothing_to_say(hostile: Path) -> None:
    flags = (
        *FLAGS,
        "--crate-type",
        "lib",
        "--emit",
        "metadata",
        "-D",
        "clippy::all",
        "-D",
        "clippy::pedantic",
    )
    checked("clippy-driver", *flags, hostile, cwd=hostile.parent)


# --- Damaged payloads -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fuzzer of the four golden schemas, with their samples as seeds beside it."""
    directory = tmp_path_factory.mktemp("fuzz")
    for schema in SCHEMAS:
        generate(DATA / schema, directory / f"{Path(schema).stem}.rs")
    seeds = [
        f"{Path(entry['schema_file']).stem} {entry['type_id']} {sample['payload_hex']}\n"
        for entry in golden()["messages"]
        for sample in entry["samples"]
    ]
    (directory / "seeds").write_text("".join(seeds))
    return rustc(Path(shutil.copy(TESTS / "fuzz" / "fuzz.rs", directory)), *OPTIMISED)


def fuzz(fuzzer: Path, executions: int, seed: int) -> None:
    said = checked(fuzzer, fuzzer.parent / "seeds", str(executions), str(seed)).split()
    found = {name: int(count) for name, count in zip(said[::2], said[1::2], strict=True)}
    assert found["executions"] == executions == found["decoded"] + found["rejected"]
    assert min(found["decoded"], found["rejected"], found["broke"] * 100) > executions // 20


def test_no_damaged_payload_makes_it_panic(fuzzer: Path) -> None:
    fuzz(fuzzer, 200_000, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
def test_no_damaged_payload_of_millions_makes_it_panic(fuzzer: Path, seed: int) -> None:
    fuzz(fuzzer, 1_000_000, seed)


# --- A server in Rust, clients in Python ------------------------------------------------------------------


class Server:
    """A process of `tests/peers/server.rs`.

    Attributes:
        address: what it says that it listens on.
    """

    def __init__(self, program: Path, address: str) -> None:
        self._command = [str(program), address]
        self.log = ""
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().removeprefix("listening ").strip()
        assert self.address, self.stop()

    def stop(self, number: signal.Signals = signal.SIGKILL) -> str:
        """End it; returns what it has said on stderr, every time that it ran."""
        self.process.send_signal(number)
        self.log += self.process.communicate(timeout=60)[1]
        return self.log

    def connect(self) -> socket.socket:
        """A socket that is connected to it, and nothing else."""
        kind, _, rest = self.address.partition(":")
        if kind == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(rest)
        else:
            host, _, port = rest.rpartition(":")
            sock = socket.create_connection((host, int(port)))
        sock.settimeout(60)
        return sock

    def transport(self, digest: bytes = SCHEMA_DIGEST, **options: Any) -> UnixTransport | TcpTransport:
        options = {"handshake_grace": 0.2, **options}  # it answers no Hello
        kind, _, rest = self.address.partition(":")
        if kind == "unix":
            return UnixTransport(rest, digest, **options)
        host, _, port = rest.rpartition(":")
        return TcpTransport(host, int(port), digest, **options)


@pytest.fixture(scope="module")
def server_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("server")
    generate(CONTRACTS, directory / "messages.rs")
    return rustc(Path(shutil.copy(TESTS / "peers" / "server.rs", directory)))


@pytest.fixture(params=["unix", "tcp"])
def server(server_program: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    address = f"unix:{tmp_path / 'rust.sock'}" if request.param == "unix" else "tcp:127.0.0.1:0"
    running = Server(server_program, address)
    yield running
    running.stop()


SIGNAL = TradeSignal(7, "BTC", True, 0.75, 101_500, 1)


def against_the_rules(confidence: float) -> Any:
    """A signal that no constructor lets through."""
    payload = bytearray(SIGNAL.to_bytes())
    struct.pack_into("<d", payload, 40, confidence)
    with pytest.raises(ValidationError):
        TradeSignal.from_bytes(payload)
    return TradeSignal.from_bytes(payload, validate=False)


def test_a_python_client_and_a_rust_server_understand_each_other(server: Server) -> None:
    with server.transport() as transport:
        pongs, signals = transport.subscriber(Pong), transport.subscriber(TradeSignal)
        publisher = transport.publisher(Ping)
        values = [f"h\u00e9llo {number}" for number in range(1000)]
        publisher.publish_many([Ping(value) for value in values])
        assert [pongs.recv(60).value for _ in values] == values
        transport.publisher(TradeSignal).publish(SIGNAL)
        assert signals.recv(60) == SIGNAL
        assert transport.stats().negotiated is False


def test_each_end_refuses_what_breaks_a_rule_and_goes_on(server: Server) -> None:
    bad: list[BadFrames] = []
    with server.transport(on_bad_frame=bad.append) as transport:
        texts, pongs = transport.subscriber(TextMessage), transport.subscriber(Pong)
        signals = transport.subscriber(TradeSignal)
        transport.publisher(TradeSignal).publish(against_the_rules(3.0))
        text = "TradeSignal.confidence: 3.0 breaks the rule max: 1.0, at offset 40"
        assert texts.recv(60) == TextMessage("server", text, 0)

        transport.publisher(TextMessage).publish(TextMessage("client", "send-invalid", 0))
        assert pongs.recv(60) == Pong("after")  # which came after the bad signal
        transport.publisher(TradeSignal).publish(SIGNAL)
        assert signals.recv(60) == SIGNAL
        (counters,) = [each for each in transport.stats().subscribers if each.name == "TradeSignal"]
        assert (counters.decode_errors, counters.received) == (1, 1)
    assert sum(each.count for each in bad) == 1


def test_a_payload_that_does_not_decode_costs_one_frame(server: Server) -> None:
    payload = bytearray(SIGNAL.to_bytes())
    payload[8:10] = b"\x11\0"
    with server.connect() as sock:
        sock.sendall(b"\x20\0" + SCHEMA_DIGEST)
        sock.sendall(struct.pack("<HI", TradeSignal.TYPE_ID, 64) + payload)
        sock.sendall(struct.pack("<HI", TradeSignal.TYPE_ID, 3) + b"abc")
        sock.sendall(struct.pack("<HI", 40_000, 3) + b"abc" + SIGNAL.to_frame())
        answers = [read_frame(sock) for _ in range(3)]
    assert [type_id for type_id, _ in answers] == [TextMessage.TYPE_ID] * 2 + [TradeSignal.TYPE_ID]
    texts = [TextMessage.from_bytes(payload).content for _, payload in answers[:2]]
    assert texts == [
        "TradeSignal.symbol: a count over the capacity of 16, at offset 8",
        "TradeSignal: a payload of 3 bytes where the message has 64, at offset 0",
    ]
    assert answers[2][1] == SIGNAL.to_bytes()


def test_the_clients_of_other_contracts_are_told_when_they_connect(server: Server) -> None:
    with pytest.raises(SchemaMismatchError, match="another contracts file"):
        server.transport(bytes(32)).connect()

    async def connect() -> None:
        address = server.address.removeprefix("tcp:")
        client = MyceliumClient(address, schema_digest=bytes(32))
        with pytest.raises(SchemaMismatchError, match="another contracts file"):
            await client.connect()
        await client.close()

    run_loop(connect())
    with server.transport() as transport:  # it serves others still
        pongs = transport.subscriber(Pong)
        transport.publisher(Ping).publish(Ping("x"))
        assert pongs.recv(60) == Pong("x")
    log = server.stop(signal.SIGTERM)
    assert log.count(f"the peer's schema digest is {bytes(32).hex()}, expected {SCHEMA_DIGEST.hex()}") == 2


def test_a_client_is_back_when_a_rust_server_was_killed_and_started_again(
    server_program: Path, tmp_path: Path
) -> None:
    server = Server(server_program, f"unix:{tmp_path / 'rust.sock'}")

    async def main() -> None:
        async with MyceliumClient(server.address, schema_digest=SCHEMA_DIGEST) as client:
            pongs = client.subscriber(Pong)
            await client.publish(Ping("before"))
            assert await pongs.recv(60) == Pong("before")
            server.stop()
            server.start()
            value = "lost"
            while value != "after":  # what is sent while the connection breaks may be lost
                await client.wait_connected(60)
                await client.publish(Ping("after"))
                with contextlib.suppress(queue.Empty):
                    value = (await pongs.recv(1.0)).value
            assert client.stats().reconnects == 1

    try:
        run_loop(main())
    finally:
        server.stop()


def test_the_example_publishes_through_a_bridge(tmp_path: Path) -> None:
    generate(CONTRACTS, tmp_path / "messages.rs")
    program = rustc(Path(shutil.copy(ROOT / "examples" / "rust" / "ticker.rs", tmp_path)))
    with (
        bridge(tmp_path / "bus.sock", contracts=CONTRACTS),
        UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as transport,
    ):
        ticks = transport.subscriber(TradeTick)
        printed = checked(program, tmp_path / "bus.sock", "3").splitlines()
        expected = [TradeTick(101_500 + number, 2_500) for number in range(3)]
        assert [ticks.recv(60) for _ in expected] == expected
        assert printed == [f"price {tick.price}, size {tick.size}" for tick in expected]
