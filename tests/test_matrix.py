"""Every kind of client, over every connection, with every profile: all arrives, in order, none twice."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from bridges import Bridge
from certificates import Certificates
from loops import run

from mycelium_fast import MyceliumClient, TcpTransport, UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, Order, TradeTick

COUNT = 200_000
#: Messages of one call; the first few go out one by one.
CHUNK = 500
ALONE = 2_000
PROFILES = ["latency", "balanced", "throughput"]
CONNECTIONS = ["unix", "tcp", "tls", "mutual tls"]


@dataclass
class Server:
    """A bridge, and how to connect to it."""

    bridge: Bridge
    tls: ssl.SSLContext | None

    @property
    def address(self) -> str:
        if self.bridge.path is not None:
            return f"unix:{self.bridge.path}"
        return f"{'tls' if self.tls else 'tcp'}://localhost:{self.bridge.tcp_port}"

    def transport(self, profile: str) -> UnixTransport | TcpTransport:
        if self.bridge.path is not None:
            return UnixTransport(self.bridge.path, SCHEMA_DIGEST, profile=profile)
        return TcpTransport("localhost", self.bridge.tcp_port, SCHEMA_DIGEST, tls=self.tls, profile=profile)

    def client(self, profile: str) -> MyceliumClient:
        return MyceliumClient(self.address, schema_digest=SCHEMA_DIGEST, tls=self.tls, profile=profile)


@pytest.fixture(scope="module", params=CONNECTIONS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("matrix")
    kind, tls, options = request.param, None, ["--tcp", "127.0.0.1:0"]
    if "tls" in kind:
        certificates = Certificates(directory)
        mutual = kind == "mutual tls"
        options += certificates.options(mutual=mutual)
        tls = certificates.client_context(certificate=mutual)
    bridge = Bridge(directory / "bus.sock") if kind == "unix" else Bridge(None, *options)
    yield Server(bridge, tls)
    bridge.close()


def tick(number: int) -> Any:
    return TradeTick(number, number ^ 0xFFFF)


def order(number: int) -> Any:
    return Order(number + 1, 0, "ABC", bool(number % 2), number + 1, 1, 0)


def numbers_of(messages: list[Any]) -> list[int]:
    if isinstance(messages[0], TradeTick):
        assert all(each.size == each.price ^ 0xFFFF for each in messages)
        return [each.price for each in messages]
    return [each.order_id - 1 for each in messages]


def chunks(make: Callable[[int], Any]) -> Iterator[list[Any]]:
    for number in range(ALONE):
        yield [make(number)]
    for start in range(ALONE, COUNT, CHUNK):
        yield [make(number) for number in range(start, min(COUNT, start + CHUNK))]


@pytest.mark.parametrize("profile", PROFILES)
def test_blocking_transports_exchange_everything_in_order(server: Server, profile: str) -> None:
    def send(publisher: Any, make: Callable[[int], Any]) -> None:
        for chunk in chunks(make):
            if len(chunk) == 1:
                publisher.publish(chunk[0])
            else:
                publisher.publish_many(chunk)
        publisher.flush()

    def receive(subscriber: Any) -> list[int]:
        got: list[int] = []
        for batch in subscriber.batches():
            got += numbers_of(batch)
            if len(got) >= COUNT:
                break
        return got

    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(4))  # left last: closing wakes its threads
        one = stack.enter_context(server.transport(profile))
        other = stack.enter_context(server.transport(profile))
        subscribers = one.subscriber(Order), other.subscriber(TradeTick)
        results = [pool.submit(receive, each) for each in subscribers]
        sent = [
            pool.submit(send, one.publisher(TradeTick), tick),
            pool.submit(send, other.publisher(Order), order),
        ]
        for each in sent:
            each.result(60)
        for each in results:
            assert each.result(60) == list(range(COUNT))
        assert [each.stats().queued for each in subscribers] == [0, 0]  # none twice


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_asyncio_clients_exchange_everything_in_order(server: Server, loop: str, profile: str) -> None:
    if loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not installed")

    async def send(client: MyceliumClient, make: Callable[[int], Any]) -> None:
        for chunk in chunks(make):
            if len(chunk) == 1:
                await client.publish(chunk[0])
            else:
                await client.publish_many(chunk)
        await client.flush()

    async def receive(subscriber: Any) -> list[int]:
        got: list[int] = []
        async for batch in subscriber.batches():
            got += numbers_of(batch)
            if len(got) >= COUNT:
                break
        return got

    async def main() -> None:
        async with server.client(profile) as one, server.client(profile) as other:
            subscribers = one.subscriber(Order), other.subscriber(TradeTick)
            for each in subscribers:
                await each.subscribed()
            got = await asyncio.wait_for(
                asyncio.gather(
                    receive(subscribers[0]), receive(subscribers[1]), send(one, tick), send(other, order)
                ),
                90,
            )
            assert got[0] == got[1] == list(range(COUNT))
            assert [each.stats().queued for each in subscribers] == [0, 0]

    run(main(), loop, timeout=120)
