"""All kinds of peers on one bridge at once: each gets what the protocol promises it, in order per sender."""

from __future__ import annotations

import contextlib
import queue
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, GREETING, hello, raw_client, read_core, read_exactly
from certificates import Certificates

from mycelium_fast import SocketTransport, TcpTransport, UnixTransport
from mycelium_fast.bridge import BridgeConfig, BridgeThread, Listener, TlsFiles, WorkerConfig
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick
from mycelium_fast.session import ALL_FEATURES, Features, core

COUNT = 20_000  # of each sender
#: Senders, by the price of their ticks; the size is the number of the message.
PLAIN, RAW, TLS, WORKER, EMBEDDED, UNIX = range(1, 7)
SENDERS = 6
TICK = 6 + TradeTick.SIZE

STDIO_WORKER = f"""
from mycelium_fast.example_messages import TextMessage, TradeTick

def main(transport):
    ticks = transport.subscriber(TradeTick, capacity=200_000, overflow="block")
    said = transport.subscriber(TextMessage)
    say = transport.publisher(TextMessage)
    while (word := said.recv(60).content) != "go":
        if word == "is anybody there":
            say.publish(TextMessage(sender="worker", content="here", timestamp=1))
    publisher = transport.publisher(TradeTick)
    seen = {{}}
    for number in range({COUNT}):
        publisher.publish(TradeTick({WORKER}, number))
    publisher.flush()
    for _ in range({COUNT} * {SENDERS}):
        tick = ticks.recv(60)
        if tick.size != seen.get(tick.price, 0):
            raise SystemExit(f"{{tick}} after {{seen}}")
        seen[tick.price] = tick.size + 1
    say.publish(TextMessage(sender="worker", content=repr(sorted(seen.items())), timestamp=1))
    say.flush()
"""


def numbered(sender: int) -> list[Any]:
    return [TradeTick(sender, number) for number in range(COUNT)]


def text(content: str) -> Any:
    return TextMessage(sender="test", content=content, timestamp=1)


class Order:
    """That every sender's messages come in order, once, and how many came."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()

    def take(self, ticks: Any) -> None:
        for tick in ticks:
            assert tick.size == self.seen[tick.price], (tick, self.seen)
            self.seen[tick.price] += 1

    def complete(self, senders: int) -> bool:
        return self.seen.total() == senders * COUNT


def receive(subscriber: Any, senders: int = SENDERS) -> Counter[int]:
    order = Order()
    while not order.complete(senders):
        order.take([subscriber.recv(60)])
    return order.seen


def receive_raw(sock: Any, senders: int) -> Counter[int]:
    """What a peer that knows nothing but frames gets; core frames would be garbage to it."""
    order = Order()
    while not order.complete(senders):
        header = read_exactly(sock, 6)
        type_id, length = int.from_bytes(header[:2], "little"), int.from_bytes(header[2:], "little")
        payload = read_exactly(sock, length)
        assert type_id in (TradeTick.TYPE_ID, TextMessage.TYPE_ID)
        if type_id == TradeTick.TYPE_ID:
            order.take([TradeTick.from_bytes(payload)])
    return order.seen


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[tuple[BridgeThread, Path, Certificates]]:
    (tmp_path / "mixed_worker.py").write_text(STDIO_WORKER)
    certificates = Certificates(tmp_path)
    path = tmp_path / "bus.sock"
    worker = WorkerConfig(
        "mixed",
        (sys.executable, "-m", "mycelium_fast", "worker", "mixed_worker:main"),
        directory=tmp_path,
        transport="stdio",
        restart="never",
    )
    config = BridgeConfig(
        (
            Listener("unix", unix=path),
            Listener("tls", tcp=("127.0.0.1", 0), tls=TlsFiles(certificates.server)),
        ),
        CONTRACTS,
        slow_consumer="block",
        workers=(worker,),
    )
    with BridgeThread(config) as running:
        yield running, path, certificates


@pytest.mark.parametrize("echo", [True, False])
def test_each_gets_what_it_was_promised(bridge: tuple[BridgeThread, Path, Certificates], echo: bool) -> None:
    running, path, certificates = bridge
    port = int(running.addresses[1].rpartition(":")[2])
    own = int(echo)
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        features = ALL_FEATURES if not echo else ALL_FEATURES & ~Features.NO_ECHO
        plain = enter(raw_client(path))
        plain.settimeout(60)
        raw = enter(raw_client(path, GREETING + hello(features=features)))
        assert isinstance(read_core(raw), core.Welcome)
        raw.sendall(core.Subscribe(1, False, (TradeTick.TYPE_ID,)).to_frame())
        assert read_core(raw) == core.Subscribed(1)
        raw.settimeout(60)
        options: dict[str, Any] = {"handshake_grace": 20, "echo": echo}
        clients = {
            TLS: enter(
                TcpTransport("localhost", port, SCHEMA_DIGEST, tls=certificates.client_context(), **options)
            ),
            EMBEDDED: enter(SocketTransport(running.connect(), SCHEMA_DIGEST, **options)),
            UNIX: enter(UnixTransport(path, SCHEMA_DIGEST, **options)),
        }
        received = {
            sender: client.subscriber(TradeTick, capacity=200_000, overflow="block")
            for sender, client in clients.items()
        }
        with UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20, echo=False) as chat:
            said = chat.subscriber(TextMessage)
            answer = None
            while answer is None or answer.sender != "worker":  # which may not listen yet
                chat.publisher(TextMessage).publish(text("is anybody there"))
                with contextlib.suppress(queue.Empty):
                    answer = said.recv(0.5)
            chat.publisher(TextMessage).publish(text("go"))
            chat.flush()
            with ThreadPoolExecutor(10) as pool:
                readers = {
                    sender: pool.submit(receive, each, SENDERS - 1 + own) for sender, each in received.items()
                }
                readers[PLAIN] = pool.submit(receive_raw, plain, SENDERS)
                readers[RAW] = pool.submit(receive_raw, raw, SENDERS - 1 + own)
                senders = [
                    pool.submit(sock.sendall, b"".join(tick.to_frame() for tick in numbered(number)))
                    for sock, number in ((plain, PLAIN), (raw, RAW))
                ]
                senders += [pool.submit(publish_all, client, sender) for sender, client in clients.items()]
                for each in senders:
                    each.result(120)
                for sender, reader in readers.items():
                    expected = dict.fromkeys(range(1, SENDERS + 1), COUNT)
                    if not echo and sender != PLAIN:
                        del expected[sender]
                    assert reader.result(120) == expected, sender
            while (answer := said.recv(60)).content == "here" or answer.sender != "worker":
                pass
            assert answer.content == repr([(number, COUNT) for number in range(1, SENDERS + 1)])
        assert sum(each.missed for each in running.snapshot().connections) == 0


def publish_all(client: Any, sender: int) -> None:
    publisher = client.publisher(TradeTick)
    publisher.publish_many(numbered(sender))
    publisher.flush()
