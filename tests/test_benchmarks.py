"""The benchmarks of runtime and bridge still run, and notice what is missing. No time is looked at."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import brokers
import fan_out
import limits
import one_way
import pytest
import round_trip
from fan_out import FanOut
from one_way import Round
from processes import Process, pair, together
from round_trip import Trips

COUNT = 5_000
TRIPS = 100


@pytest.fixture(scope="module")
def processes() -> Iterator[tuple[Process, Process]]:
    with pair() as both:
        yield both


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = limits.build(tmp_path_factory.mktemp("limits"))
    assert built is not None
    return built


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["tick", "text"])
@pytest.mark.parametrize("contender", ["balanced", "throughput", "latency", "fields", "blocks", "zmq"])
def test_every_contender_moves_every_message(
    processes: tuple[Process, Process], library: Path, tmp_path: Path, contender: str, kind: str, check: bool
) -> None:
    if contender == "zmq" and not importlib.util.find_spec("zmq"):
        pytest.skip("pyzmq is not installed")
    sending, receiving = {
        "fields": ((one_way.send_fields, kind), (one_way.receive_fields, kind)),
        "blocks": ((one_way.send_blocks, kind, library), (one_way.receive_lists, kind)),
        "zmq": ((one_way.send_zmq, kind), (one_way.receive_zmq, kind)),
    }.get(contender, ((one_way.send_ours, kind, contender), (one_way.receive_ours, kind)))
    assert Round(processes, tmp_path / "s", sending, receiving)(COUNT, check=check) > 0


@pytest.mark.parametrize("check", [True, False])
def test_a_message_that_is_missing_is_noticed(
    processes: tuple[Process, Process], tmp_path: Path, check: bool
) -> None:
    sender, receiver = processes
    path = str(tmp_path / "s")
    with pytest.raises(RuntimeError, match="expected"):
        together(
            receiver,
            (one_way.receive_fields, path, COUNT, check, "tick"),
            sender,
            (one_way.send_fields, path, COUNT - 1, "tick"),
        )


@pytest.mark.parametrize("contender", ["blocking", "C"])
def test_every_round_trip_comes_back(
    processes: tuple[Process, Process], library: Path, tmp_path: Path, contender: str
) -> None:
    asking, answering = {
        "blocking": ((round_trip.ask_ours, "balanced"), (round_trip.answer_ours, "balanced")),
        "C": ((round_trip.ask_in_c, library), (round_trip.answer_in_c, library)),
    }[contender]
    assert Trips(processes, tmp_path / "s", asking, answering)(TRIPS) > 0


@pytest.mark.parametrize("contender", ["awaiting", "callback", "coroutine", "bare callback", "bare future"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_every_asyncio_round_trip_comes_back(
    processes: tuple[Process, Process], library: Path, tmp_path: Path, contender: str, loop: str
) -> None:
    if loop == "uvloop" and not importlib.util.find_spec("uvloop"):
        pytest.skip("uvloop is not installed")
    asking = {
        "awaiting": (round_trip.ask_client_awaiting, loop, "balanced"),
        "callback": (round_trip.ask_client_callback, loop, "balanced"),
        "coroutine": (round_trip.ask_client_coroutine, loop, "balanced"),
        "bare callback": (round_trip.ask_bare_protocol, loop),
        "bare future": (round_trip.ask_bare_future, loop),
    }[contender]
    assert Trips(processes, tmp_path / "s", asking, (round_trip.answer_in_c, library))(TRIPS) > 0


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
    return fan_out.subscribe_c, library, address, pattern, [one_way.OURS[kind].TYPE_ID]


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
    program = brokers.find_nats()
    if program is None:
        pytest.skip("nats-server is not installed")
    with brokers.nats(tmp_path, program) as address:
        publishing = (fan_out.publish_nats, library, address, kind)
        subscribing = [(fan_out.subscribe_nats, library, address, kind)] * 2
        count = len(fan_out.nats_published(kind))
        assert FanOut(peers, count, publishing, *subscribing)(COUNT, check=check) > 0


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["tick", "text"])
def test_a_zmq_proxy_brings_every_message_to_every_subscriber(
    peers: list[Process], library: Path, tmp_path: Path, kind: str, check: bool
) -> None:
    if not brokers.find_zmq() or not fan_out.zmq_has_functions():
        pytest.skip("pyzmq is not installed, or its libzmq out of reach")
    with brokers.zmq(tmp_path) as addresses:
        publishing = (fan_out.publish_zmq, library, addresses, kind, 2, fan_out.ROUND)
        subscribing = [
            (fan_out.subscribe_zmq, library, addresses, kind, number, fan_out.ROUND) for number in range(2)
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
