"""The generated stub under `mypy --strict`: right programs pass, wrong ones are told, types are exact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import golden
import pytest
import random_contracts

from mycelium_fast import contracts
from mycelium_fast.codegen.render import render

SCHEMA = """\
messages:
  Order:
    tlv_type: 1200
    domain: MarketData
    fields:
      count: {type: u32}
      ratio: {type: f64}
      live: {type: bool}
      name: {type: String}
      venue: {type: "[u8; 20]"}
      amount: {type: U256}
      data: {type: Vec<u8>}
      levels: {type: Vec<u16>}
      path: {type: "Vec<[u8; 20]>"}
      pair: {type: "[f32; 2]"}
      hashes: {type: "[[u8; 32]; 2]"}
      from: {type: u8}
  Shadows:
    tlv_type: 1201
    domain: Other
    fields:
      int: {type: Vec<u64>}
      property: {type: u8}
      self: {type: bool}
      bytes: {type: U256}
      str: {type: String}
  Empty: {tlv_type: 1202, domain: Other, fields: {}}
"""

RIGHT = """\
from collections.abc import Mapping
from typing import assert_type

from mycelium_fast import Message
from shop.messages import MESSAGES, SCHEMA_DIGEST, TOPICS, Empty, Order, Shadows

order = Order(1, 2.5, True, "x", bytes(20), 7, b"ab", [1, 2], [bytes(20)], (1.0, 2), [bytes(32)] * 2, 1)
order = Order(
    count=1, ratio=1, live=False, name="", venue=bytearray(20), amount=memoryview(bytes(32)), data=[1, 2],
    levels=(), path=[], pair=[1, 2], hashes=(bytes(32), bytes(32)), from_=3,
)
assert_type(order.count, int)
assert_type(order.ratio, float)
assert_type(order.live, bool)
assert_type(order.name, str)
assert_type(order.venue, bytes)
assert_type(order.amount, bytes)
assert_type(order.data, bytes)
assert_type(order.levels, list[int])
assert_type(order.path, list[bytes])
assert_type(order.pair, tuple[float, ...])
assert_type(order.hashes, tuple[bytes, ...])
assert_type(order.from_, int)
order.count += 1
order.ratio = 3
order.amount = 10**18
order.data = [1, 2, 3]
order.levels = (1, 2)
assert_type(order.to_bytes(), bytes)
assert_type(Order.from_bytes(order.to_bytes()), Order)
assert_type(Order.from_buffer(bytearray(500), 6, validate=False), Order)
assert_type(Order.decode_batch(order.to_frame(), errors=[]), list[Order])
assert_type(order.replace(count=2), Order)
assert_type(order.TYPE_ID, int)
assert_type(order.TOPIC, str)
assert_type(Order.__definition__.name, str)
assert_type(SCHEMA_DIGEST, bytes)
assert_type(MESSAGES, Mapping[int, type[Message]])
assert_type(TOPICS["other"], tuple[type[Message], ...])
shadows = Shadows([1], 2, True, 5, "x")
shadows = Shadows(int=[1], property=2, self=True, bytes=bytes(32), str="")
assert_type(shadows.int, list[int])
assert_type(shadows.property, int)
assert_type(shadows.bytes, bytes)
Empty()
match order:
    case Order(count, ratio, name=name):
        assert_type(count, int)
        assert_type(ratio, float)
        assert_type(name, str)
message: Message = order
"""

RUNTIME = """\
from typing import Any, assert_type

from mycelium_fast import (
    AsyncMessageBus, AsyncPublisher, AsyncSubscriber, CallbackSubscription, LocalPublisher, MessageBus,
    MyceliumClient, Options, Overflow, Profile, Publisher, RawMessage, Subscriber, Subscription, TcpTransport,
    UnixTransport,
)
from shop.messages import SCHEMA_DIGEST, Order, Shadows

profile: Profile = "latency"
overflow: Overflow = "drop_oldest"
options: Options = {"profile": profile, "publish_timeout": None}
transport = UnixTransport("bus.sock", SCHEMA_DIGEST, **options)
with transport, TcpTransport("localhost", 1, SCHEMA_DIGEST, tls=None, profile="throughput"):
    assert_type(transport.publisher(Order), Publisher[Order])
    assert_type(transport.subscriber(Order, 10, overflow), Subscriber[Order])
    assert_type(transport.subscriber(Order).recv(timeout=1.0), Order)
    assert_type(transport.subscriber(Order | Shadows), Subscriber[Any])
    assert_type(transport.raw_subscriber(1, 2).recv_nowait(), RawMessage)
    assert_type(transport.subscribe(Order, print), CallbackSubscription[Any])
    for order in transport.subscriber(Order):
        assert_type(order, Order)
with MessageBus.from_topology("topology.toml", "shop", SCHEMA_DIGEST) as bus:
    assert_type(bus.publisher_to("store", Order), Publisher[Order] | LocalPublisher[Order])
    assert_type(bus.subscriber(Order).recv(), Order)


async def main() -> None:
    async with MyceliumClient("localhost:1", schema_digest=SCHEMA_DIGEST, **options) as client:
        assert_type(client.subscriber(Order), AsyncSubscriber[Order])
        async for order in client.subscriber(Order):
            assert_type(order, Order)

        @client.subscribe
        async def handler(order: Order) -> None: ...

        assert_type(await client.subscribe(Shadows, print), Subscription)
        await client.publish(order)
    async with AsyncMessageBus.from_topology("topology.toml", "shop") as bus:
        assert_type(await bus.publisher_to("store", Order), AsyncPublisher[Order])
        assert_type(await (await bus.subscriber(Order)).recv(), Order)
"""

#: Each line is wrong in one way; what mypy calls it.
WRONG = {
    'Order("1")': "arg-type",
    "Order(1, 2.5)": "call-arg",
    "Empty(1)": "call-arg",
    "Empty(x=1)": "call-arg",
    "order.count = 1.5": "assignment",
    'order.count = "1"': "assignment",
    "order.name = b''": "assignment",
    "order.venue = 5": "assignment",
    "order.venue = 'x'": "assignment",
    "order.levels = 5": "assignment",
    "order.levels = ['x']": "list-item",
    "order.nope": "attr-defined",
    "order.nope = 1": "attr-defined",
    "order.from_bytes(5)": "arg-type",
    "hash(order) + order": "operator",
    "MESSAGES[1] = Order": "index",
}


def mypy(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(directory / "cache"), *arguments],
        capture_output=True,
        text=True,
        cwd=directory,
        env={**os.environ, "MYPYPATH": os.pathsep.join((str(directory), os.environ.get("MYPYPATH", "")))},
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a package `shop` whose `messages` has nothing but the stub."""
    pytest.importorskip("mypy")
    directory = tmp_path_factory.mktemp("project")
    (directory / "shop").mkdir()
    for name in ("__init__.py", "py.typed"):
        (directory / "shop" / name).touch()
    model = contracts.parse(SCHEMA.encode(), "shop.yaml")
    (directory / "shop" / "messages.pyi").write_text(render(model, "stub"))
    return directory


def test_a_right_program_passes(project: Path) -> None:
    (project / "right.py").write_text(RIGHT)
    done = mypy(project, "right.py")
    assert done.stdout == "Success: no issues found in 1 source file\n", done.stderr


def test_what_the_runtime_gives_has_the_messages_type(project: Path) -> None:
    (project / "runtime.py").write_text(RUNTIME)
    done = mypy(project, "runtime.py")
    assert done.stdout == "Success: no issues found in 1 source file\n", done.stdout + done.stderr


def test_a_name_that_the_package_does_not_have_is_told(project: Path) -> None:
    (project / "name.py").write_text("from mycelium_fast import UnixTransprot\n")
    done = mypy(project, "name.py")
    assert 'has no attribute "UnixTransprot"; maybe "UnixTransport"?' in done.stdout


def test_every_wrong_line_is_told(project: Path) -> None:
    opening = "from shop.messages import MESSAGES, Empty, Order\norder: Order = Order.from_bytes(b'')\n"
    (project / "wrong.py").write_text(opening + "\n".join(WRONG) + "\n")
    done = mypy(project, "--no-error-summary", "wrong.py")
    found: dict[int, set[str]] = {}
    for line in done.stdout.splitlines():
        _, number, *_, text = line.split(":", 3)
        if line.endswith("]"):
            found.setdefault(int(number), set()).add(text[text.rindex("[") + 1 : -1])
    expected = dict(enumerate(WRONG.values(), start=3))
    assert set(found) == set(expected), done.stdout + done.stderr
    for number, code in expected.items():
        assert code in found[number], done.stdout


@pytest.mark.parametrize("schema", [*golden.SCHEMAS, "random1", "random2"])
def test_the_stub_itself_passes(schema: str, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    if schema in golden.SCHEMAS:
        model = contracts.load(golden.DATA / schema)
    else:
        data = random_contracts.contracts_yaml(int(schema[-1]), 50).encode()
        model = contracts.parse(data, "random.yaml")
    (tmp_path / "messages.pyi").write_text(render(model, "stub"))
    done = mypy(tmp_path, "messages.pyi")
    assert done.stdout == "Success: no issues found in 1 source file\n", done.stderr
