"""Programs in Rust, C and OCaml, and a Python client: 100,000 messages of mixed types each way at once,
through a bridge and directly, every field compared at either end.

The programs in `peers/` use nothing but generated code and their language's standard library. Message number
i is the same in all of them: `message` says which.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, Bridge
from environments import checked

from mycelium_fast import ConnectionClosed, SchemaMismatchError, TcpTransport, UnixTransport, contracts
from mycelium_fast.codegen.render import Language, render
from mycelium_fast.example_messages import (
    SCHEMA_DIGEST,
    ArbitrageSignal,
    InstrumentMeta,
    PoolStateUpdate,
    TextMessage,
    TradeSignal,
    TradeTick,
)

PEERS = Path(__file__).parent / "peers"
CLASSES = (TradeTick, TradeSignal, TextMessage, PoolStateUpdate, ArbitrageSignal, InstrumentMeta)
COUNT = 100_000
#: Numbers of the first message of the program, and of Python's first.
THEIRS, OURS = 0, 1 << 40
MASK = 2**64 - 1
TIMEOUT_S = 120

PROGRAMS: dict[str, tuple[Language, str, list[str]]] = {
    "rust": ("rust", "messages.rs", ["rustc", "--edition=2021", "-O", "-Dwarnings", "-opeer", "peer.rs"]),
    "c": (
        "c",
        "messages.h",
        ["cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-opeer", "peer.c"],
    ),
    "ocaml": (
        "ocaml",
        "messages.ml",
        [
            *("ocamlopt", "-I", "+unix", "-I", "+threads", "-o", "peer"),
            *("unix.cmxa", "threads.cmxa", "messages.ml", "peer.ml"),
        ],
    ),
}


def repeated(i: int, factor: int, count: int) -> bytes:
    return bytes((i + factor * k) & 255 for k in range(count))


def message(i: int) -> Any:
    """Message number i, as every program has it."""
    kind, turn = i % 6, i // 6
    if kind == 0:
        return TradeTick(price=i * 1_000_003 & MASK, size=MASK - i)
    if kind == 1:
        return TradeSignal(
            signal_id=i + 1,
            symbol=f"S{i % 1000}",
            buy=turn % 2 == 0,
            confidence=(i % 1001) / 1000.0,
            target_price=3 * i,
            timestamp=i * 1_000_000_007 & MASK,
        )
    if kind == 2:
        return TextMessage(sender="peer \u00e9", content=f"message {i} \u2713", timestamp=i)
    if kind == 3:
        return PoolStateUpdate(
            pool_address=repeated(i, 1, 20),
            venue_id=i & 0xFFFF,
            reserve0=bytes(i * k & 255 for k in range(32)),
            reserve1=i,
            liquidity=0,
            sqrt_price_x96=bytes(255 - k for k in range(32)),
            tick=500_000 - i % 1_000_000,
            block_number=i,
        )
    if kind == 4:
        return ArbitrageSignal(
            opportunity_id=i,
            path=[repeated(i + j, 0, 20) for j in range(2 + turn % 3)],
            estimated_profit_usd=(i % 4096) * 0.25,
            gas_estimate_wei=repeated(i, 0, 32),
            deadline_block=i + 10,
        )
    return InstrumentMeta(
        token_address=repeated(i, 1, 20),
        symbol=f"T{i % 100}",
        decimals=1 + i % 30,
        chain_id=i & 0xFFFF_FFFF,
    )


@pytest.fixture(scope="module", params=PROGRAMS)
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in one language, compiled with the messages that are generated for it."""
    language, generated, command = PROGRAMS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    directory = tmp_path_factory.mktemp(request.param)
    source = command[-1]
    shutil.copy(PEERS / source, directory)
    (directory / generated).write_text(render(contracts.load(CONTRACTS), language), encoding="utf-8")
    checked(*command, cwd=directory)
    return directory / "peer"


@contextlib.contextmanager
def running(peer: Path, *arguments: str | int) -> Iterator[subprocess.Popen[str]]:
    """The program, ended at the end of the block if it has not ended by itself."""
    process = subprocess.Popen(
        [peer, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def exchange(transport: Any, subscriber: Any, process: subprocess.Popen[str], own: int) -> None:
    """Receive the program's messages and send ours at the same time; the program says whether all came."""
    publishers = {each: transport.publisher(each) for each in CLASSES}
    heard = threading.Event()
    failures: list[BaseException] = []

    def publish() -> None:
        try:
            # Whoever it hears from is there to hear.
            if not heard.wait(TIMEOUT_S):
                raise AssertionError("the program sent nothing")
            for i in range(OURS, OURS + COUNT):
                ours = message(i)
                publishers[type(ours)].publish(ours)
            # A program that has all that it waits for may be gone by now; it says itself what it got.
            with contextlib.suppress(ConnectionClosed):
                publishers[TradeTick].flush()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for i in range(THEIRS, THEIRS + COUNT):
            received, expected = subscriber.recv(TIMEOUT_S), message(i)
            heard.set()
            assert type(received) is type(expected), (i, received)
            assert received.to_tuple() == expected.to_tuple(), (i, received)
    finally:
        heard.set()
        thread.join()
    assert not failures
    output, _ = process.communicate(timeout=TIMEOUT_S)
    last = output.splitlines()[-1]
    assert last.startswith(f"sent {COUNT} received {COUNT} own {own} skipped "), output
    assert process.returncode == 0
    assert subscriber.dropped == 0


ADDRESSES: dict[str, Callable[[Bridge], str]] = {
    "unix": lambda bridge: f"unix:{bridge.path}",
    "tcp": lambda bridge: f"tcp:127.0.0.1:{bridge.tcp_port}",
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_messages_cross_a_bridge_both_ways(peer: Path, kind: str, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path / "bus.sock", "--tcp", "127.0.0.1:0")
    try:
        with UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST, echo=False, handshake_grace=20) as transport:
            subscriber = transport.subscriber(CLASSES, capacity=COUNT)
            address = ADDRESSES[kind](bridge)
            with running(peer, "connect", address, THEIRS, OURS, COUNT, "--bus") as process:
                exchange(transport, subscriber, process, own=COUNT)
    finally:
        bridge.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_messages_go_both_ways_without_a_bridge(peer: Path, kind: str, tmp_path: Path) -> None:
    wanted = f"unix:{tmp_path / 'peer.sock'}" if kind == "unix" else "tcp:127.0.0.1:0"
    with running(peer, "listen", wanted, THEIRS, OURS, COUNT) as process:
        assert process.stdout is not None
        word, address = process.stdout.readline().split()
        assert word == "listening"
        scheme, _, place = address.partition(":")
        transport: Any
        if scheme == "unix":
            transport = UnixTransport(place, SCHEMA_DIGEST)
        else:
            host, _, port = place.rpartition(":")
            transport = TcpTransport(host, int(port), SCHEMA_DIGEST)
        with transport:
            # Nothing is read before somebody wants it.
            exchange(transport, transport.subscriber(CLASSES, capacity=COUNT), process, own=0)


def test_a_program_refuses_another_schema(peer: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'peer.sock'}"
    with running(peer, "listen", address, THEIRS, OURS, 1) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening ")
        with pytest.raises(SchemaMismatchError):
            UnixTransport(tmp_path / "peer.sock", bytes(32)).connect()
        output, _ = process.communicate(timeout=TIMEOUT_S)
        assert output == "refused\n"
        assert process.returncode == 3
