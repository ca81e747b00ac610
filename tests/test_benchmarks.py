"""The benchmarks of transports and bridge still run, and notice what is missing. No time is looked at."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import harness.processes
import harness.shared
import pytest
import transport
from contenders import brokers, fan_out, in_process, limits, nats_in_c, round_trip, slow_subscriber, zmq_in_c
from contenders.fan_out import FanOut
from contenders.one_way import Round
from contenders.round_trip import Trips
from contenders.slow_subscriber import Through
from harness import Contender, Measure
from harness.figures import figures
from harness.peers import nats_server
from harness.processes import Process, pair, together

COUNT = 1_000
TRIPS = 100
TRANSPORT = {figure.name: figure for figure in figures("transport")}
VARIANTS = [(figure.name, variant) for figure in TRANSPORT.values() for variant in figure.variants]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("limits")


@pytest.fixture(scope="module")
def library(build: Path) -> Path:
    return limits.build(build)


@pytest.fixture(scope="module", autouse=True)
def _processes_end() -> Iterator[None]:
    yield
    harness.shared.end()


class Trial(Measure):
    """Does something with each contender, instead of measuring them."""

    def __init__(self, scratch: Path, build: Path) -> None:
        super().__init__(quick=True, scratch=scratch, build=build)
        self.names: list[str] = []

    def timed(self, contenders: Sequence[Contender], **_: Any) -> None:
        for each in contenders:
            self.names.append(each.name)
            self.attempt(each)

    def attempt(self, contender: Contender) -> None:
        """Both ways in which it is called; it checks what comes by itself."""
        if contender.check is not None:
            contender.check()
        count = TRIPS if isinstance(contender.run, Trips) else max(1, COUNT // contender.per)
        assert contender.run(count) > 0, contender.name


class OneShort(Trial):
    """One message less is sent than is expected."""

    #: They wait for as many as they expect; the others see the end of the stream.
    waiting = ("pyzmq", "zenoh", "nats-py")

    def attempt(self, contender: Contender) -> None:
        assert isinstance(contender.run, Round)
        sender, receiver = contender.run.processes
        (send, *sending), (receive, *receiving) = contender.run.sending, contender.run.receiving
        place = contender.run.place
        receives = receiver, (receive, place, COUNT, False, *receiving)
        with pytest.MonkeyPatch.context() as patch:
            if contender.name.startswith(self.waiting):
                patch.setattr(harness.processes, "TIMEOUT_S", 3.0)
                noticed = pytest.raises(TimeoutError, match="did not answer")
            else:
                noticed = pytest.raises(RuntimeError, match="expected")
            with noticed:
                print(contender.name, together(*receives, sender, (send, place, COUNT - 1, *sending)))


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_every_contender_moves_every_message(name: str, variant: str, tmp_path: Path, build: Path) -> None:
    trial = Trial(tmp_path, build)
    TRANSPORT[name].define(trial, variant)
    assert len(set(trial.names)) == len(trial.names)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_there_are_figures_where_no_peer_is_installed(
    name: str, variant: str, tmp_path: Path, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "have", lambda peer: False)
    monkeypatch.setattr(transport, "nats_server", lambda: None)
    trial = Trial(tmp_path, build)
    TRANSPORT[name].define(trial, variant)
    assert not [
        each for each in trial.names if any(peer in each for peer in ("zmq", "nats", "zenoh", "uvloop"))
    ]


def test_a_message_that_is_missing_is_noticed(tmp_path: Path, build: Path) -> None:
    trial = OneShort(tmp_path, build)
    TRANSPORT["one way"].define(trial, "TCP, TradeTick")
    assert len(trial.names) >= 8


def test_another_message_within_the_process_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="expected"):
        in_process.turn(lambda message: None, lambda: "another", "one")(1)


@pytest.fixture(scope="module")
def processes() -> Iterator[tuple[Process, Process]]:
    with pair() as both:
        yield both


@pytest.fixture(scope="module")
def peers() -> Iterator[list[Process]]:
    """A publisher's process, and those of two subscribers."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Process([]))) for _ in range(3)]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with brokers.bridge(tmp_path_factory.mktemp("bridge")) as addresses:
        yield addresses


def reading(library: Path, address: str, kind: str) -> tuple[object, ...]:
    pattern = b"".join(message.to_frame() for message in fan_out.messages(kind))
    return fan_out.subscribe_c, library, address, pattern, [fan_out.OURS[kind].TYPE_ID]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["tick", "text"])
@pytest.mark.parametrize("contender", ["Unix", "TCP", "single", "publish_many", "publish"])
def test_the_bridge_brings_every_message_to_every_subscriber(
    peers: list[Process], bridge: list[str], library: Path, contender: str, kind: str, check: bool
) -> None:
    address = bridge[contender == "TCP"]
    frames = [message.to_frame() for message in fan_out.messages(kind)]
    block = b"".join(frames)
    publishing = {
        "single": (fan_out.publish_c, library, address, block, len(frames[0])),
        "publish_many": (fan_out.publish_list, address, kind),
        "publish": (fan_out.publish_each, address, kind),
    }.get(contender, (fan_out.publish_c, library, address, block))
    subscribing = [reading(library, address, kind)] * 2
    assert FanOut(peers, len(frames), publishing, *subscribing)(COUNT, check=check) > 0


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["tick", "text"])
def test_nats_brings_every_message_to_every_subscriber(
    peers: list[Process], library: Path, tmp_path: Path, kind: str, check: bool
) -> None:
    program = nats_server()
    if program is None:
        pytest.skip("nats-server is not installed")
    with brokers.nats(tmp_path, program) as address:
        publishing = (nats_in_c.publish, library, address, kind)
        subscribing = [(nats_in_c.subscribe, library, address, kind)] * 2
        count = len(nats_in_c.published(kind))
        assert FanOut(peers, count, publishing, *subscribing)(COUNT, check=check) > 0


def test_nats_brings_every_message_after_a_pause_as_well(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = nats_server()
    if program is None:
        pytest.skip("nats-server is not installed")

    def write(sock: socket.socket, *args: Any) -> int:
        sock.recv(1, socket.MSG_PEEK)  # until nats-server asks whether we are there
        return fan_out.write(sock, *args)

    monkeypatch.setattr(nats_in_c, "write", write)
    subscribed = threading.Event()
    with ThreadPoolExecutor(1) as threads, brokers.nats(tmp_path, program) as address:
        reading = threads.submit(nats_in_c.subscribe, subscribed.set, COUNT, False, library, address, "tick")
        assert subscribed.wait(60)
        nats_in_c.publish(subscribed.set, COUNT, library, address, "tick")
        assert reading.result(60) > 0


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["tick", "text"])
def test_a_zmq_proxy_brings_every_message_to_every_subscriber(
    peers: list[Process], library: Path, tmp_path: Path, kind: str, check: bool
) -> None:
    if not zmq_in_c.available():
        pytest.skip("pyzmq is not installed, or its libzmq out of reach")
    with brokers.zmq(tmp_path) as addresses:
        publishing = (zmq_in_c.publish, library, addresses, kind, 2, fan_out.ROUND)
        subscribing = [
            (zmq_in_c.subscribe, library, addresses, kind, number, fan_out.ROUND) for number in range(2)
        ]
        count = len(fan_out.messages(kind))
        assert FanOut(peers, count, publishing, *subscribing)(COUNT, check=check) > 0


def test_each_subscriber_gets_its_part_of_a_mix(peers: list[Process], library: Path, tmp_path: Path) -> None:
    mixed = fan_out.mix(16)
    contracts = tmp_path / "sixteen.yaml"
    contracts.write_text(mixed.contracts)
    digest = hashlib.sha256(contracts.read_bytes()).digest()
    with brokers.bridge(tmp_path, contracts) as (unix, _):
        publishing = (fan_out.publish_c, library, unix, b"".join(mixed.frames), fan_out.BLOCK, digest)
        some = [mixed.some(number) for number in range(2)]
        assert some[0] != some[1]
        subscribing = [(fan_out.subscribe_c, library, unix, mixed.of(types), types, digest) for types in some]
        assert FanOut(peers, len(mixed.frames), publishing, *subscribing)(COUNT, check=True) > 0


@pytest.mark.parametrize("check", [True, False])
def test_another_byte_from_a_broker_is_noticed(
    peers: list[Process], bridge: list[str], library: Path, check: bool
) -> None:
    frames = [message.to_frame() for message in fan_out.messages("tick")]
    publishing = (fan_out.publish_c, library, bridge[0], b"".join([*frames[:-1], frames[0]]))
    with pytest.raises(RuntimeError, match="Protocol error"):
        FanOut(peers, len(frames), publishing, reading(library, bridge[0], "tick"))(1, check=check)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("check", [True, False])
def test_the_broker_in_c_brings_every_byte_to_every_subscriber(
    peers: list[Process], library: Path, tmp_path: Path, check: bool, tcp: bool
) -> None:
    frames = [message.to_frame() for message in fan_out.messages("tick")]
    with brokers.to_each(tmp_path, library, tcp=tcp) as address:
        for subscribers in (2, 1):  # it takes new peers
            publishing = (fan_out.publish_to_each, library, address, b"".join(frames))
            subscribing = [(fan_out.subscribe_to_each, library, address, b"".join(frames))] * subscribers
            assert FanOut(peers, len(frames), publishing, *subscribing)(COUNT, check=check) > 0


@pytest.mark.parametrize("policy", ["drop", "disconnect"])
def test_who_stalls_beside_a_subscriber_misses_messages(
    peers: list[Process], library: Path, tmp_path: Path, policy: str
) -> None:
    most = slow_subscriber.MAX_OUTPUT
    with brokers.bridge(tmp_path, slow_consumer=policy, max_output=most) as (unix, _):
        Through(peers[0], slow_subscriber.through_bridge, library, unix, True).check()


def test_who_stalls_and_misses_nothing_is_noticed(
    peers: list[Process], library: Path, tmp_path: Path
) -> None:
    with (
        brokers.bridge(tmp_path, slow_consumer="drop", max_output=1 << 30) as (unix, _),
        pytest.raises(RuntimeError, match="missed nothing"),
    ):
        Through(peers[0], slow_subscriber.through_bridge, library, unix, True).check()


def test_every_round_trip_through_nats_comes_back(
    processes: tuple[Process, Process], library: Path, tmp_path: Path
) -> None:
    program = nats_server()
    if program is None:
        pytest.skip("nats-server is not installed")
    with brokers.nats(tmp_path, program) as address:
        trips = Trips(processes, address, (nats_in_c.ask, library), (nats_in_c.answer, library))
        assert trips(TRIPS) > 0


@pytest.mark.parametrize("contender", ["blocking", "C"])
def test_every_round_trip_through_the_bridge_comes_back(
    processes: tuple[Process, Process], bridge: list[str], library: Path, contender: str
) -> None:
    asking, answering = {
        "blocking": ((round_trip.ask_ours_bridged, "balanced"), (round_trip.answer_ours_bridged, "balanced")),
        "C": ((round_trip.ask_in_c_bridged, library), (round_trip.answer_in_c_bridged, library)),
    }[contender]
    path = Path(bridge[0].removeprefix("unix:"))
    assert Trips(processes, path, asking, answering)(TRIPS) > 0


def test_every_round_trip_through_the_c_relay_comes_back(
    processes: tuple[Process, Process], library: Path, tmp_path: Path
) -> None:
    with brokers.relay(tmp_path, library) as path:
        for _ in range(2):  # it takes new peers
            asking, answering = (round_trip.ask_in_c, library), (round_trip.answer_in_c_relayed, library)
            assert Trips(processes, path, asking, answering)(TRIPS) > 0
