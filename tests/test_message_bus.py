"""`MessageBus`: messages to services by name, in-process or through real bridges, blocking and in asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import CONTRACTS, Bridge, Peer, bridge, read_exactly
from environments import checked

import mycelium_fast
from mycelium_fast.bus.async_bus import AsyncMessageBus
from mycelium_fast.bus.message_bus import MessageBus
from mycelium_fast.bus.topology import EndpointConfig, EndpointKind, Node, Topology
from mycelium_fast.errors import (
    ConnectionClosed,
    SchemaMismatchError,
    TopologyError,
    TransportError,
    TransportTimeout,
)
from mycelium_fast.example_messages import SCHEMA_DIGEST, Order, Ping, TradeTick
from mycelium_fast.session import core

OTHER_DIGEST = bytes(32)


def ticks(first: int, end: int) -> list[Any]:
    return [TradeTick(price=number, size=1) for number in range(first, end)]


def order(number: int = 1) -> Any:
    return Order(number, 2, "ETH", True, 3, 4, 5)


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    """Node `one` has the services a and b, node `two` has c."""
    return Topology([Node("one", ["a", "b"]), Node("two", ["c"])], tmp_path)


Make = Callable[..., MessageBus]


@pytest.fixture
def make(topology: Topology) -> Iterator[Make]:
    """Makes buses of the topology's services, and closes them."""
    made = []

    def make(service: str, **settings: Any) -> MessageBus:
        made.append(MessageBus(topology, service, SCHEMA_DIGEST, **{"handshake_grace": 20.0, **settings}))
        return made[-1]

    yield make
    for bus in made:
        bus.close()


@contextlib.contextmanager
def another_process(topology: Topology, code: str) -> Iterator[subprocess.Popen[str]]:
    """A child with a bus of service b, that has said `ready` on its standard output."""
    program = f"""
import sys
from mycelium_fast.bus.message_bus import MessageBus
from mycelium_fast.bus.topology import Node, Topology
from mycelium_fast.example_messages import *
topology = Topology([Node("one", ["a", "b"]), Node("two", ["c"])], {str(topology.socket_dir)!r})
with MessageBus(topology, "b", SCHEMA_DIGEST) as bus:
{code}
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
        child.wait(20)
    finally:
        child.kill()
        child.communicate()


RECEIVE_UNTIL_9 = """
    subscriber = bus.subscriber(TradeTick)
    print("ready", flush=True)
    for tick in subscriber:
        if tick.price == 9:
            break
        print(tick.price, flush=True)
"""


def received_by(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.read()


# Within one process ---------------------------------------------------------------------------------------


def test_services_of_one_node_reach_each_other_without_a_socket(make: Make, topology: Topology) -> None:
    a, b = make("a"), make("b")
    subscriber = b.subscriber(TradeTick)
    publisher = a.publisher_to("b", TradeTick)
    publisher.publish(TradeTick(1, 2))
    publisher.publish_many(ticks(2, 100))
    publisher.flush()
    assert [subscriber.recv(20) for _ in range(99)] == [TradeTick(1, 2), *ticks(2, 100)]
    assert os.listdir(topology.socket_dir) == []


def test_a_service_alone_gets_what_is_published_to_it(make: Make) -> None:
    a, b = make("a"), make("b")
    mine, other = a.subscriber(TradeTick), b.subscriber(TradeTick)
    a.publisher_to("b", TradeTick).publish(TradeTick(1, 1))
    a.publisher_to("a", TradeTick).publish(TradeTick(2, 2))
    assert other.recv(20).price == 1
    assert mine.recv(20).price == 2
    for subscriber in (mine, other):
        with pytest.raises(queue.Empty):
            subscriber.recv_nowait()


def test_what_is_published_to_the_node_gets_to_all_its_services(make: Make) -> None:
    a, b = make("a"), make("b")
    subscribers = [a.subscriber(TradeTick), b.subscriber(TradeTick), b.subscriber(Ping | TradeTick)]
    a.publisher(TradeTick).publish(TradeTick(1, 1))
    assert [each.recv(20).price for each in subscribers] == [1, 1, 1]


def test_receivers_have_messages_of_their_own(make: Make) -> None:
    bus = make("a")
    first, second = bus.subscriber(TradeTick), bus.subscriber(TradeTick)
    sent = TradeTick(1, 1)
    bus.publisher(TradeTick).publish(sent)
    sent.price = 2
    one = first.recv(20)
    one.price = 3
    assert second.recv(20).price == 1


def test_a_publisher_reaches_buses_that_are_made_later_and_no_longer_those_that_are_closed(
    make: Make,
) -> None:
    a = make("a")
    first = make("b")
    publisher = a.publisher_to("b", TradeTick)
    first.close()
    with pytest.raises(TransportError, match=r"'b' has no bus in this process, and .*nothing listens there"):
        publisher.publish(TradeTick(1, 1))
    subscriber = make("b").subscriber(TradeTick)
    publisher.publish(TradeTick(2, 2))
    assert subscriber.recv(20).price == 2


def test_a_bus_that_nobody_refers_to_is_not_delivered_to(make: Make, topology: Topology) -> None:
    a = make("a")
    MessageBus(topology, "b", SCHEMA_DIGEST)
    gc.collect()
    with pytest.raises(TransportError, match="has no bus in this process"):
        a.publisher_to("b", TradeTick)


def test_plain_python_messages_are_delivered_too(topology: Topology) -> None:
    messages = mycelium_fast.load(CONTRACTS, compiled=False)
    with (
        MessageBus(topology, "a", messages.SCHEMA_DIGEST) as a,
        MessageBus(topology, "b", messages.SCHEMA_DIGEST) as b,
    ):
        plain, compiled = b.subscriber(messages.TradeTick), b.subscriber(TradeTick)
        a.publisher_to("b", messages.TradeTick).publish_many([messages.TradeTick(1, 2)] * 2)
        assert [plain.recv(20) for _ in range(2)] == [messages.TradeTick(1, 2)] * 2
        assert compiled.recv(20) == TradeTick(1, 2)


def test_arrays_and_batches_come_from_the_same_process_as_well(make: Make) -> None:
    a, b = make("a"), make("b")
    subscriber = b.subscriber(TradeTick)
    publisher = a.publisher_to("b", TradeTick)
    publisher.publish_many(ticks(0, 5000))
    assert next(subscriber.batches()) == ticks(0, 5000)
    tables = subscriber.arrays()
    publisher.publish_many(ticks(0, 5000))
    assert next(tables)["price"].tolist() == list(range(5000))


def test_a_waiting_thread_is_woken_and_many_threads_lose_nothing(make: Make) -> None:
    a, b = make("a"), make("b")
    subscriber = b.subscriber(TradeTick, capacity=64)
    count, writers = 2000, 4

    def publish(number: int) -> None:
        publisher = a.publisher_to("b", TradeTick)
        for each in range(count):
            publisher.publish(TradeTick(each, number))

    with ThreadPoolExecutor(writers) as pool:
        done = [pool.submit(publish, number) for number in range(writers)]
        got: dict[int, list[int]] = {number: [] for number in range(writers)}
        for _ in range(writers * count):
            tick = subscriber.recv(20)
            got[tick.size].append(tick.price)
        for each in done:
            each.result()
    assert got == {number: list(range(count)) for number in range(writers)}
    assert subscriber.stats().high_water <= 64


def test_who_begins_to_wait_at_the_moment_of_a_publish_is_woken(make: Make) -> None:
    a, b = make("a"), make("b")
    rounds = 2000
    answers = a.subscriber(TradeTick)

    def echo(recv: Callable[[], Any]) -> None:
        publisher = b.publisher_to("a", TradeTick)
        for _ in range(rounds):
            publisher.publish(recv())

    def echo_async(subscriber: Any) -> None:
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            echo(lambda: loop.run_until_complete(subscriber.recv_async(20)))

    # One of them waits in the system, the others for the one.
    first, second, third = (b.subscriber(TradeTick) for _ in range(3))
    with ThreadPoolExecutor(3) as pool:
        done = [
            pool.submit(echo, lambda: first.recv(20)),
            pool.submit(echo, lambda: next(second)),
            pool.submit(echo_async, third),
        ]
        publisher = a.publisher_to("b", TradeTick)
        try:
            for number in range(rounds):
                publisher.publish(TradeTick(number, 1))
                assert [answers.recv(20).price for _ in range(3)] == [number] * 3
        finally:
            b.close()  # so that none of them waits for ever
        for each in done:
            each.result(20)


def test_buses_come_and_go_while_others_publish(make: Make) -> None:
    a = make("a")
    mine = a.subscriber(TradeTick)
    publisher = a.publisher(TradeTick)

    def come_and_go() -> None:
        for _ in range(50):
            with make("b") as bus:
                bus.subscriber(TradeTick).close()

    published = 0
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(come_and_go) for _ in range(2)]
        while not all(each.done() for each in done):
            publisher.publish(TradeTick(published, 1))
            assert mine.recv_nowait().price == published
            published += 1
        for each in done:
            each.result()
    assert mine.stats().received == published
    assert a.stats()[-1].frames_sent == published


def test_a_full_queue_that_blocks_holds_the_publisher_until_somebody_takes(make: Make) -> None:
    a, b = make("a"), make("b")
    subscriber = b.subscriber(TradeTick, capacity=10)
    publisher = a.publisher_to("b", TradeTick)
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publisher.publish_many, ticks(0, 1000))
        assert [subscriber.recv(20).price for _ in range(1000)] == list(range(1000))
        publishing.result(20)
    assert subscriber.stats().high_water == 10
    assert subscriber.dropped == 0


def test_a_publish_into_a_full_queue_gives_up_with_the_queue_named(make: Make) -> None:
    a, b = make("a", publish_timeout=0.05), make("b")
    subscriber = b.subscriber(TradeTick, capacity=10)
    publisher = a.publisher_to("b", TradeTick)
    with pytest.raises(TransportTimeout, match=r"subscriber of TradeTick with capacity 10 .* last 5 of"):
        publisher.publish_many(ticks(0, 15))
    with pytest.raises(TransportTimeout, match="last 1 of the messages"):
        publisher.publish(TradeTick(99, 1))
    assert [subscriber.recv(20).price for _ in range(10)] == list(range(10))
    publisher.publish(TradeTick(10, 1))
    assert subscriber.recv(20).price == 10


@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop_oldest", [5, 6]), ("drop_newest", [0, 1]), ("latest", [6])]
)
def test_overflow_policies_hold_in_process(make: Make, overflow: Any, kept: list[int]) -> None:
    a, b = make("a"), make("b")
    subscriber = b.subscriber(TradeTick, capacity=2, overflow=overflow)
    a.publisher_to("b", TradeTick).publish_many(ticks(0, 7))
    assert [subscriber.recv_nowait().price for _ in kept] == kept
    assert subscriber.dropped == 7 - len(kept)


def test_closing_a_subscriber_frees_a_publisher_that_waits_for_it(make: Make) -> None:
    a, b = make("a", publish_timeout=None), make("b")
    subscriber = b.subscriber(TradeTick, capacity=1)
    publisher = a.publisher_to("b", TradeTick)
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publisher.publish_many, ticks(0, 3))
        subscriber.recv(20)
        subscriber.close()
        publishing.result(20)


def test_closing_wakes_who_waits_and_keeps_what_is_queued(make: Make) -> None:
    a, b = make("a"), make("b")
    waiting, queued = b.subscriber(Ping), b.subscriber(TradeTick)
    a.publisher_to("b", TradeTick).publish(TradeTick(1, 1))
    with ThreadPoolExecutor(1) as pool:
        received = pool.submit(list, waiting)
        b.close()
        assert received.result(20) == []
    assert list(queued) == [TradeTick(1, 1)]
    with pytest.raises(ConnectionClosed, match="closed by this program"):
        queued.recv(20)
    b.close()


def test_a_closed_bus_says_so(make: Make) -> None:
    bus = make("a")
    publisher = bus.publisher(TradeTick)
    bus.close()
    for call in (
        lambda: bus.subscriber(TradeTick),
        lambda: bus.publisher(TradeTick),
        lambda: bus.publisher_to("b", TradeTick),
        lambda: publisher.publish(TradeTick(1, 1)),
    ):
        with pytest.raises(ConnectionClosed, match=r"MessageBus\('a' in node 'one'\) is closed"):
            call()


def test_another_class_is_refused_before_anything_is_sent(make: Make) -> None:
    bus = make("a")
    subscriber = bus.subscriber(TradeTick)
    publisher = bus.publisher(TradeTick)
    foreign: Any = Ping("x")
    with pytest.raises(TypeError, match="sends TradeTick messages, not Ping"):
        publisher.publish(foreign)
    with pytest.raises(TypeError, match="not Ping"):
        publisher.publish_many([TradeTick(1, 1), foreign])
    with pytest.raises(TypeError, match="not one alone"):
        publisher.publish_many(foreign if isinstance(foreign, TradeTick) else TradeTick(1, 1))
    with pytest.raises(TypeError, match="expected a message class"):
        bus.publisher_to("b", int)
    for make_one in (bus.publisher, bus.subscriber, lambda cls: bus.publisher_to("c", cls)):
        with pytest.raises(SchemaMismatchError, match="another contracts file"):
            make_one(core.Ping)
    with pytest.raises(queue.Empty):
        subscriber.recv_nowait()


def test_buses_of_one_node_and_process_have_one_contracts_file(make: Make, topology: Topology) -> None:
    make("a")
    with pytest.raises(SchemaMismatchError) as caught:
        MessageBus(topology, "b", OTHER_DIGEST)
    assert SCHEMA_DIGEST.hex() in str(caught.value)
    assert OTHER_DIGEST.hex() in str(caught.value)


def test_wrong_arguments_are_refused_where_they_are_given(topology: Topology) -> None:
    with pytest.raises(TopologyError, match=r"no node has the service 'x'; there are a, b, c"):
        MessageBus(topology, "x", SCHEMA_DIGEST)
    with pytest.raises(TypeError, match="must be bytes, not str"):
        MessageBus(topology, "a", "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 bytes instead of 32"):
        MessageBus(topology, "a", b"abc")
    with pytest.raises(TypeError, match="colour"):
        MessageBus(topology, "a", SCHEMA_DIGEST, colour=1)
    with pytest.raises(TopologyError, match=r"nodes\[1\]"):
        MessageBus(Topology([Node("a", []), Node("a", [])]), "a", SCHEMA_DIGEST)
    with MessageBus(topology, "a", SCHEMA_DIGEST) as bus, pytest.raises(TopologyError, match="'d'"):
        bus.publisher_to("d", TradeTick)


def test_a_child_after_fork_does_not_take_its_parents_buses_for_its_own(tmp_path: Path) -> None:
    code = f"""
import os
from mycelium_fast.bus.message_bus import MessageBus
from mycelium_fast.bus.topology import Node, Topology
from mycelium_fast.errors import TransportError
from mycelium_fast.example_messages import *
topology = Topology([Node("one", ["a", "b"])], {str(tmp_path)!r})
with MessageBus(topology, "a", SCHEMA_DIGEST) as a, MessageBus(topology, "b", SCHEMA_DIGEST) as b:
    subscriber = b.subscriber(TradeTick)
    publisher = a.publisher_to("b", TradeTick)
    child = os.fork()
    if child == 0:
        try:
            publisher.publish(TradeTick(1, 1))
        except TransportError as error:
            print(str(error).partition(",")[0], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    publisher.publish(TradeTick(2, 2))
    print(subscriber.recv(20))
"""
    assert checked(sys.executable, "-c", code) == (
        "the service 'b' has no bus in this process\nTradeTick(price=2, size=2)\n"
    )


def test_the_counters_of_a_bus_tell_its_connections_and_its_process_apart(make: Make) -> None:
    a, b = make("a"), make("b")
    ticker = b.subscriber(TradeTick, capacity=5)
    a.publisher_to("b", TradeTick).publish_many(ticks(0, 3))
    (sent,), (received,) = a.stats(), b.stats()
    assert (sent.peer, sent.service, sent.node, sent.frames_sent, sent.bytes_sent) == (
        *("in-process", "a", "one", 3),
        3 * 22,
    )
    (subscriber,) = received.subscribers
    assert (subscriber.name, subscriber.received, subscriber.queued) == ("TradeTick", 3, 3)
    assert ticker.recv(0).price == 0


# Through bridges ------------------------------------------------------------------------------------------


def test_another_node_is_reached_through_its_bridge(make: Make, topology: Topology) -> None:
    with bridge(topology.socket_path("two")):
        subscriber = make("c").subscriber(Order)
        a = make("a")
        a.publisher_to("c", Order).publish(order(7))
        assert subscriber.recv(20) == order(7)
        assert [each.peer for each in a.stats()] == [f"unix:{topology.socket_path('two')}", "in-process"]
        assert (a.stats()[0].service, a.stats()[0].node) == ("a", "one")


def test_all_publishers_to_a_node_share_one_connection(make: Make, topology: Topology) -> None:
    peer = Peer(topology.socket_path("two"))
    try:
        a = make("a", close_timeout=0.1, handshake_grace=0.01)
        with ThreadPoolExecutor(4) as pool:
            publishers = [pool.submit(a.publisher_to, "c", cls) for cls in (Order, TradeTick, Ping, Order)]
            sock = peer.accept()
            made: list[Any] = [each.result(20) for each in publishers]
        made[1].publish(TradeTick(1, 1))
        made[2].publish(Ping("x"))
        assert read_exactly(sock, 22) == TradeTick(1, 1).to_frame()
        assert read_exactly(sock, len(Ping("x").to_frame())) == Ping("x").to_frame()
        peer._listener.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            peer.accept()
    finally:
        peer.close()


def test_another_host_is_reached_over_tcp(tmp_path: Path) -> None:
    # Names that differ are different hosts, so that one machine does for the test.
    with bridge(None, "--tcp", "127.0.0.1:0") as running:
        here = Node("here", ["a"], "here.example", 1)
        topology = Topology([here, Node("there", ["b"], "127.0.0.1", running.tcp_port)], tmp_path)
        with MessageBus(topology, "a", SCHEMA_DIGEST) as bus:
            bus.publisher_to("b", Order).publish(order())
            (connection, _) = bus.stats()
            assert connection.peer == f"tcp://127.0.0.1:{running.tcp_port}"


def test_an_endpoint_is_used_instead_of_the_nodes_socket(tmp_path: Path) -> None:
    with bridge(None, "--tcp", "127.0.0.1:0") as running:
        endpoint = EndpointConfig(EndpointKind.TCP, f"127.0.0.1:{running.tcp_port}")
        topology = Topology([Node("one", ["a"]), Node("two", ["b"], endpoint=endpoint)], tmp_path)
        with MessageBus(topology, "a", SCHEMA_DIGEST) as a, MessageBus(topology, "b", SCHEMA_DIGEST) as b:
            subscriber = b.subscriber(Order)
            a.publisher_to("b", Order).publish(order())
            assert subscriber.recv(20) == order()


def test_an_endpoint_without_a_handshake_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "rust.sock"
    endpoint = EndpointConfig(EndpointKind.UNIX, str(path), handshake=False)
    topology = Topology([Node("one", ["a"]), Node("rust", ["engine"], endpoint=endpoint)], tmp_path)
    peer = Peer(path)
    try:
        with MessageBus(topology, "a", SCHEMA_DIGEST, close_timeout=0.1) as bus:
            publisher = bus.publisher_to("engine", TradeTick)
            sock = peer.accept(greeted=False)
            publisher.publish(TradeTick(1, 2))
            assert read_exactly(sock, 22) == TradeTick(1, 2).to_frame()
    finally:
        peer.close()


def test_a_bridge_of_another_contracts_file_is_a_mismatch_at_once(topology: Topology, tmp_path: Path) -> None:
    contracts = tmp_path / "other.yaml"
    contracts.write_bytes(CONTRACTS.read_bytes() + b"# another\n")
    with (
        bridge(topology.socket_path("one"), contracts=contracts),
        bridge(topology.socket_path("two"), contracts=contracts),
        MessageBus(topology, "a", SCHEMA_DIGEST) as bus,
    ):
        calls: list[Callable[[], object]] = [
            lambda: bus.publisher_to("c", Order),
            lambda: bus.subscriber(Order),
            lambda: bus.publisher(Order),
        ]
        for call in calls:
            with pytest.raises(SchemaMismatchError, match=SCHEMA_DIGEST.hex()):
                call()


def test_a_node_without_a_bridge_cannot_be_reached(make: Make) -> None:
    with pytest.raises(TransportError, match=r"two\.sock.*nothing listens there\. Start a bridge"):
        make("a").publisher_to("c", Order)


def test_a_service_of_the_node_in_another_process_is_reached_through_the_bridge(
    make: Make, topology: Topology
) -> None:
    with bridge(topology.socket_path("one")), another_process(topology, RECEIVE_UNTIL_9) as child:
        publisher = make("a").publisher_to("b", TradeTick)
        publisher.publish_many(ticks(0, 3))
        publisher.publish(TradeTick(9, 1))
        assert received_by(child) == "0\n1\n2\n"


def test_a_message_comes_in_process_or_through_the_bridge_and_never_both(
    make: Make, topology: Topology
) -> None:
    with bridge(topology.socket_path("one")), another_process(topology, RECEIVE_UNTIL_9) as child:
        a = make("a")
        local = make("b")
        mine, theirs = a.subscriber(TradeTick), local.subscriber(TradeTick)
        a.publisher_to("b", TradeTick).publish(TradeTick(1, 1))  # b's bus is here: the child gets nothing
        whole = a.publisher(TradeTick)
        whole.publish(TradeTick(2, 2))
        whole.publish(TradeTick(9, 9))
        whole.flush()
        assert [theirs.recv(20).price for _ in range(3)] == [1, 2, 9]
        assert [mine.recv(20).price for _ in range(2)] == [2, 9]
        assert received_by(child) == "2\n"
        for subscriber in (mine, theirs):
            with pytest.raises(queue.Empty):
                subscriber.recv_nowait()


def test_in_process_messages_wake_a_thread_that_reads_the_bridge(make: Make, topology: Topology) -> None:
    with bridge(topology.socket_path("one")):
        a, b = make("a"), make("b")
        there, back = b.subscriber(TradeTick), a.subscriber(TradeTick)

        def answer() -> None:
            publisher = b.publisher_to("a", TradeTick)
            for _ in range(200):
                publisher.publish(there.recv(20))

        with ThreadPoolExecutor(1) as pool:
            answering = pool.submit(answer)
            publisher = a.publisher_to("b", TradeTick)
            for number in range(200):
                publisher.publish(TradeTick(number, 1))
                assert back.recv(20).price == number
            answering.result(20)


def test_without_a_bridge_the_process_alone_is_served_and_the_log_says_so(
    make: Make, topology: Topology, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "mycelium_fast"):
        early = make("b").subscriber(TradeTick)
    assert "delivers within this process alone: no bridge listens at unix:" in caplog.text
    with bridge(topology.socket_path("one")):
        a = make("a")
        late = a.subscriber(TradeTick)
        a.publisher(TradeTick).publish(TradeTick(1, 1))
        assert late.recv(20).price == 1  # through the bridge
        assert early.recv(20).price == 1  # past it
        for subscriber in (early, late):
            with pytest.raises(queue.Empty):
                subscriber.recv_nowait()


def test_a_connection_that_ended_is_made_again_for_the_next_publisher(make: Make, topology: Topology) -> None:
    running = Bridge(topology.socket_path("two"))
    try:
        a, c = make("a"), make("c")
        before = a.publisher_to("c", Order)
        ended = c.subscriber(Order)
        running.restart()
        assert list(ended) == []
        subscriber = c.subscriber(Order)
        with pytest.raises(ConnectionClosed):
            before.publish_many([order(1)] * 100_000)  # the end shows once the kernel has told of it
        publisher = a.publisher_to("c", Order)
        publisher.publish(order(2))
        assert subscriber.recv(20) == order(2)
        assert a.stats()[0].reconnects == 1
    finally:
        running.close()


def test_closing_waits_for_slow_peers_no_longer_than_the_time_allowed(tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    topology = Topology([Node("me", ["me"]), *[Node(name, [f"s-{name}"]) for name in names]], tmp_path)
    peers = [Peer(topology.socket_path(name)) for name in names]
    try:
        bus = MessageBus(topology, "me", SCHEMA_DIGEST, close_timeout=0.5, handshake_grace=0.0)
        for name in names:
            bus.publisher_to(f"s-{name}", Order).publish(order())
        began = time.monotonic()
        bus.close()  # none of them reads
        assert time.monotonic() - began < 20
        assert all(each.state == "closed" for each in bus.stats())
    finally:
        for peer in peers:
            peer.close()


def test_interrupting_a_wait_for_room_is_possible(make: Make) -> None:
    a, b = make("a", publish_timeout=None), make("b")
    subscriber = b.subscriber(TradeTick, capacity=1)
    publisher = a.publisher_to("b", TradeTick)
    publisher.publish(TradeTick(0, 0))
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        publisher.publish(TradeTick(1, 1))
    timer.join()
    assert subscriber.recv(20).price == 0
    publisher.publish(TradeTick(2, 2))
    assert subscriber.recv(20).price == 2


# asyncio --------------------------------------------------------------------------------------------------


def in_loop(topology: Topology, test: Callable[[AsyncMessageBus, AsyncMessageBus], Awaitable[None]]) -> None:
    """Run a test with asyncio buses of a and b."""

    async def main() -> None:
        options: dict[str, Any] = {"handshake_grace": 20.0}
        async with (
            AsyncMessageBus(topology, "a", SCHEMA_DIGEST, **options) as a,
            AsyncMessageBus(topology, "b", SCHEMA_DIGEST, **options) as b,
        ):
            await asyncio.wait_for(test(a, b), 30)

    asyncio.run(main())


def test_asyncio_buses_of_one_process_reach_each_other(topology: Topology) -> None:
    async def test(a: AsyncMessageBus, b: AsyncMessageBus) -> None:
        subscriber = await b.subscriber(TradeTick)
        own = await a.subscriber(TradeTick)
        publisher = await a.publisher_to("b", TradeTick)
        await publisher.publish(TradeTick(0, 1))
        await publisher.publish_many(ticks(1, 10))
        await publisher.flush()
        assert [await subscriber.recv(20) for _ in range(10)] == ticks(0, 10)
        await (await a.publisher(TradeTick)).publish(TradeTick(3, 3))
        assert (await own.recv(20), await subscriber.recv(20)) == (TradeTick(3, 3), TradeTick(3, 3))
        async for _ in _closing(b, subscriber):
            pass

    async def _closing(bus: AsyncMessageBus, subscriber: Any) -> Any:
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(bus.close()))
        async for message in subscriber:
            yield message

    in_loop(topology, test)


def test_an_asyncio_publisher_waits_for_room(topology: Topology) -> None:
    async def test(a: AsyncMessageBus, b: AsyncMessageBus) -> None:
        subscriber = await b.subscriber(TradeTick, capacity=4)
        publisher = await a.publisher_to("b", TradeTick)
        publishing = asyncio.ensure_future(publisher.publish_many(ticks(0, 100)))
        assert [(await subscriber.recv(20)).price for _ in range(100)] == list(range(100))
        await publishing
        assert subscriber.stats().high_water == 4

    in_loop(topology, test)


def test_a_cancelled_publish_is_delivered_whole_or_not_at_all(topology: Topology) -> None:
    async def test(a: AsyncMessageBus, b: AsyncMessageBus) -> None:
        subscriber = await b.subscriber(TradeTick, capacity=2)
        publisher = await a.publisher_to("b", TradeTick)
        delivered = []
        got = []
        for number in range(300):
            publishing = asyncio.ensure_future(publisher.publish(TradeTick(number, 1)))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            publishing.cancel()
            if not (await asyncio.gather(publishing, return_exceptions=True))[0]:
                delivered.append(number)
            with contextlib.suppress(queue.Empty):
                if number % 3 == 0:
                    got.append(subscriber.recv_nowait().price)
        with contextlib.suppress(queue.Empty):
            while True:
                got.append(subscriber.recv_nowait().price)
        assert got == delivered
        assert delivered

    in_loop(topology, test)


def test_an_asyncio_publish_into_a_full_queue_gives_up(topology: Topology) -> None:
    async def main() -> None:
        async with (
            AsyncMessageBus(topology, "a", SCHEMA_DIGEST, publish_timeout=0.05) as a,
            AsyncMessageBus(topology, "b", SCHEMA_DIGEST) as b,
        ):
            subscriber = await b.subscriber(TradeTick, capacity=10)
            publisher = await a.publisher_to("b", TradeTick)
            with pytest.raises(TransportTimeout, match=r"capacity 10 .* last 5 of the messages"):
                await publisher.publish_many(ticks(0, 15))
            assert len(await anext(subscriber.batches())) == 10

    asyncio.run(main())


def test_blocking_and_asyncio_buses_of_one_process_reach_each_other(make: Make, topology: Topology) -> None:
    blocking = make("a")
    received = blocking.subscriber(TradeTick, capacity=8)
    count = 500

    def echo() -> None:
        publisher = blocking.publisher_to("b", TradeTick)
        for _ in range(count):
            publisher.publish(received.recv(20))

    async def main() -> None:
        async with AsyncMessageBus(topology, "b", SCHEMA_DIGEST) as bus:
            subscriber = await bus.subscriber(TradeTick, capacity=8)
            publisher = await bus.publisher_to("a", TradeTick)
            with ThreadPoolExecutor(1) as pool:
                echoing = asyncio.get_running_loop().run_in_executor(pool, echo)
                sending = asyncio.ensure_future(publisher.publish_many(ticks(0, count)))
                assert [(await subscriber.recv(20)).price for _ in range(count)] == list(range(count))
                await asyncio.gather(sending, echoing)

    asyncio.run(main())


def test_two_event_loops_reach_each_other(topology: Topology) -> None:
    ready = threading.Event()

    async def receive() -> list[Any]:
        async with AsyncMessageBus(topology, "b", SCHEMA_DIGEST) as bus:
            subscriber = await bus.subscriber(TradeTick, capacity=8)
            ready.set()
            return [await subscriber.recv(20) for _ in range(500)]

    async def send() -> None:
        async with AsyncMessageBus(topology, "a", SCHEMA_DIGEST) as bus:
            publisher = await bus.publisher_to("b", TradeTick)
            await publisher.publish_many(ticks(0, 499))
            await publisher.publish(TradeTick(499, 1))

    with ThreadPoolExecutor(1) as pool:
        receiving = pool.submit(asyncio.run, receive())
        assert ready.wait(20)
        asyncio.run(send())
        assert receiving.result(20) == ticks(0, 500)


def test_publishing_from_the_event_loop_that_should_receive_does_not_stop_it(
    make: Make, topology: Topology
) -> None:
    blocking = make("a")

    async def main() -> None:
        async with AsyncMessageBus(topology, "b", SCHEMA_DIGEST) as bus:
            subscriber = await bus.subscriber(TradeTick, capacity=2)
            publisher = blocking.publisher_to("b", TradeTick)
            publisher.publish_many(ticks(0, 2))
            with pytest.raises(TransportTimeout, match="last 1 of"):
                publisher.publish(TradeTick(2, 1))
            assert [(await subscriber.recv(20)).price for _ in range(2)] == [0, 1]

    asyncio.run(main())


def test_asyncio_buses_use_bridges_as_blocking_ones_do(make: Make, topology: Topology) -> None:
    with (
        bridge(topology.socket_path("one")),
        bridge(topology.socket_path("two")),
        another_process(topology, RECEIVE_UNTIL_9) as child,
    ):

        async def main() -> None:
            async with (
                AsyncMessageBus(topology, "a", SCHEMA_DIGEST) as a,
                AsyncMessageBus(topology, "c", SCHEMA_DIGEST) as c,
            ):
                subscriber = await c.subscriber(Order)
                await (await a.publisher_to("c", Order)).publish(order())
                assert await subscriber.recv(20) == order()
                mine = await a.subscriber(TradeTick)
                to_b = await a.publisher_to("b", TradeTick)
                whole = await a.publisher(TradeTick)
                await to_b.publish(TradeTick(1, 1))
                await whole.publish(TradeTick(2, 2))
                await whole.publish(TradeTick(9, 9))
                await whole.flush()
                assert [(await mine.recv(20)).price for _ in range(3)] == [1, 2, 9]
                assert {each.peer for each in a.stats()} == {
                    f"unix:{topology.socket_path('one')}",
                    f"unix:{topology.socket_path('two')}",
                    "in-process",
                }

        asyncio.run(main())
        assert received_by(child) == "1\n2\n"


def test_an_asyncio_bus_says_what_is_wrong(topology: Topology) -> None:
    async def test(a: AsyncMessageBus, b: AsyncMessageBus) -> None:
        with pytest.raises(TransportError, match="nothing listens there"):
            await a.publisher_to("c", Order)
        with pytest.raises(TopologyError, match="no node has the service 'x'"):
            await a.publisher_to("x", Order)
        publisher = await a.publisher_to("b", TradeTick)
        foreign: Any = Ping("x")
        with pytest.raises(TypeError, match="sends TradeTick messages, not Ping"):
            await publisher.publish(foreign)
        await b.close()
        with pytest.raises(TransportError, match="'b' has no bus in this process"):
            await publisher.publish(TradeTick(1, 1))
        await a.close()
        with pytest.raises(ConnectionClosed, match="is closed"):
            await publisher.publish(TradeTick(1, 1))

    in_loop(topology, test)


def test_the_bus_is_made_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "topology.toml"
    file.write_text(f'socket_dir = "{tmp_path}"\n[[nodes]]\nname = "n"\nservices = ["risk", "execution"]\n')
    with (
        MessageBus.from_topology(file, "risk", SCHEMA_DIGEST) as risk,
        MessageBus.from_topology(
            str(file), service_name="execution", schema_digest=SCHEMA_DIGEST
        ) as execution,
    ):
        subscriber = execution.subscriber(Order)
        risk.publisher_to("execution", Order).publish(order())
        assert subscriber.recv(20) == order()
        assert risk.service_name == "risk"
        assert risk.topology.services == ["risk", "execution"]


def test_the_sockets_of_the_process_are_given_back(make: Make, topology: Topology) -> None:
    def cycle() -> None:
        with MessageBus(topology, "a", SCHEMA_DIGEST) as bus:
            subscriber = bus.subscriber(TradeTick)
            bus.publisher(TradeTick).publish(TradeTick(1, 1))
            subscriber.recv(20)

    cycle()
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(20):
        cycle()
    assert len(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads


def test_a_bus_never_listens(make: Make, topology: Topology) -> None:
    bus = make("a")
    bus.subscriber(TradeTick)
    bus.publisher(TradeTick)
    with pytest.raises(OSError), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(topology.socket_path("one")))
