"""One publisher to 1, 4 and 8 subscribers through the bridge, beside nats-server and a ZeroMQ proxy.

Publishers and subscribers are C programs, but where Python's public API publishes. All processes run on all
CPUs, as the system places them. Round trips through the bridge are beside those of the same two peers without
it, on the same CPUs.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brokers
import fan_out
import pytest
import round_trip
from fan_out import TICK_ID, FanOut, publish_c, publish_nats, subscribe_c, subscribe_nats
from measure import Timed
from one_way import OURS
from processes import Process, cpus, pair
from round_trip import Trips

ROUNDS = 7
ROUND_S = 0.2
MOST = 8
TYPES = 16
#: How many times as fast as nats-server fed in blocks: fed in blocks as well, and by Python.
WANTED = {"tick": (15, 8), "text": (5, 4)}


@pytest.fixture(scope="module")
def peers() -> Iterator[list[Process]]:
    """A publisher's process, and as many more as there are subscribers at most; on all CPUs."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Process([]))) for _ in range(MOST + 1)]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with brokers.bridge(tmp_path_factory.mktemp("bridge")) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    program = brokers.find_nats()
    if program is None:
        print("nats-server is not installed: left out")
        yield None
        return
    with brokers.nats(tmp_path_factory.mktemp("nats"), program) as address:
        yield address


@pytest.fixture(scope="module")
def zmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str] | None]:
    if not brokers.find_zmq() or not fan_out.zmq_has_functions():
        print("pyzmq is not installed, or C programs cannot use the libzmq that it has: left out")
        yield None
        return
    with brokers.zmq(tmp_path_factory.mktemp("zmq")) as addresses:
        yield addresses


def checked(contenders: dict[str, FanOut]) -> dict[str, Timed]:
    """The contenders, of each of which every byte was looked at once."""
    for each in contenders.values():
        each(10_000, check=True)
    return dict(contenders)


@pytest.mark.parametrize("subscribers", [1, 4, 8])
@pytest.mark.parametrize("kind", ["tick", "text"])
def test_fan_out(
    compare: Any,
    peers: list[Process],
    library: Path,
    bridge: list[str],
    nats: str | None,
    zmq: tuple[str, str] | None,
    kind: str,
    subscribers: int,
) -> None:
    frames = [message.to_frame() for message in fan_out.messages(kind)]
    pattern = b"".join(frames)
    unix, tcp = bridge

    def ours(address: str, *publishing: Any) -> FanOut:
        reading = (subscribe_c, library, address, pattern, [OURS[kind].TYPE_ID])
        return FanOut(peers, len(frames), publishing, *[reading] * subscribers)

    contenders = {
        "ours": ours(unix, publish_c, library, unix, pattern),
        "ours over TCP": ours(tcp, publish_c, library, tcp, pattern),
        "ours, publish_many": ours(unix, fan_out.publish_list, unix, kind),
        "ours, publish": ours(unix, fan_out.publish_each, unix, kind),
    }
    if nats is not None:
        count = len(fan_out.nats_published(kind))
        writing, reading = (publish_nats, library, nats, kind), (subscribe_nats, library, nats, kind)
        contenders["nats-server"] = FanOut(peers, count, writing, *[reading] * subscribers)
    if zmq is not None:
        contenders["ZeroMQ proxy"] = FanOut(
            peers,
            len(frames),
            (fan_out.publish_zmq, library, zmq, kind, subscribers, fan_out.ROUND),
            *[
                (fan_out.subscribe_zmq, library, zmq, kind, number, fan_out.ROUND)
                for number in range(subscribers)
            ],
        )
    in_blocks, by_python = WANTED[kind]
    compare.timed(checked(contenders), wanted={"nats-server": in_blocks}, rounds=ROUNDS, round_s=ROUND_S)
    for name in ("ours, publish_many", "ours, publish", "ours over TCP"):
        if "nats-server" in contenders:
            least = in_blocks if name == "ours over TCP" else by_python
            compare.again(name, "nats-server", wanted=least)


@pytest.mark.parametrize("subscribers", [1, 4, 8])
@pytest.mark.parametrize("kind", ["tick", "text"])
def test_one_frame_a_send(
    compare: Any,
    peers: list[Process],
    library: Path,
    bridge: list[str],
    nats: str | None,
    kind: str,
    subscribers: int,
) -> None:
    frames = [message.to_frame() for message in fan_out.messages(kind)]
    pattern, step = b"".join(frames), len(frames[0])

    def ours(address: str) -> FanOut:
        writing = (publish_c, library, address, pattern, step)
        reading = (subscribe_c, library, address, pattern, [OURS[kind].TYPE_ID])
        return FanOut(peers, len(frames), writing, *[reading] * subscribers)

    contenders = {"ours": ours(bridge[0]), "ours over TCP": ours(bridge[1])}
    if nats is not None:
        published = fan_out.nats_published(kind)
        writing = (publish_nats, library, nats, kind, len(published[0]))
        reading = (subscribe_nats, library, nats, kind)
        contenders["nats-server"] = FanOut(peers, len(published), writing, *[reading] * subscribers)
    compare.timed(checked(contenders), wanted={"nats-server": 1}, rounds=ROUNDS, round_s=ROUND_S)
    if nats is not None:
        compare.again("ours over TCP", "nats-server", wanted=1)


@pytest.mark.parametrize("subscribers", [1, 4, 8])
def test_mixed_types(
    compare: Any, peers: list[Process], library: Path, tmp_path: Path, subscribers: int
) -> None:
    """Sixteen types at random and half of them for each subscriber, against all of one type for everybody."""
    mixed = fan_out.mix(TYPES)
    contracts = tmp_path / "sixteen.yaml"
    contracts.write_text(mixed.contracts)
    digest = hashlib.sha256(contracts.read_bytes()).digest()
    alike = b"".join(TICK_ID.to_bytes(2, "little") + frame[2:] for frame in mixed.frames)
    with brokers.bridge(tmp_path, contracts) as (unix, _):

        def contender(pattern: bytes, *expected: tuple[bytes, list[int]]) -> FanOut:
            writing = (publish_c, library, unix, pattern, fan_out.BLOCK, digest)
            reading = [(subscribe_c, library, unix, *each, digest) for each in expected]
            return FanOut(peers, len(mixed.frames), writing, *reading)

        some = [mixed.some(number) for number in range(subscribers)]
        contenders = {
            "sixteen types, half of them": contender(
                b"".join(mixed.frames), *((mixed.of(types), types) for types in some)
            ),
            "sixteen types, all of them": contender(
                b"".join(mixed.frames), *[(b"".join(mixed.frames), list(mixed.type_ids))] * subscribers
            ),
            "one type": contender(alike, *[(alike, [TICK_ID])] * subscribers),
        }
        compare.timed(checked(contenders), wanted={"one type": 0.5}, rounds=ROUNDS, round_s=ROUND_S)


@pytest.fixture(scope="module", params=["one CPU", "two CPUs"])
def places(request: pytest.FixtureRequest) -> Iterator[tuple[tuple[Process, Process], list[int]]]:
    """Two processes on one CPU or on two, and the CPUs of the bridge between them: theirs."""
    allowed = cpus()
    if request.param == "two CPUs" and len(allowed) < 2:
        pytest.skip("there is one CPU")
    with pair(one_cpu=request.param == "one CPU") as both:
        yield both, allowed[:1] if request.param == "one CPU" else allowed


@pytest.mark.parametrize("language", ["C", "Python"])
def test_round_trip(
    compare: Any,
    places: tuple[tuple[Process, Process], list[int]],
    library: Path,
    tmp_path: Path,
    language: str,
) -> None:
    """Beside the direct one, and the one through a C program that does nothing but receive and send."""
    processes, allowed = places
    with contextlib.ExitStack() as stack:
        unix, _ = stack.enter_context(brokers.bridge(tmp_path, cpus=allowed))
        relay = stack.enter_context(brokers.relay(tmp_path, library, cpus=allowed))
        bridge = Path(unix.removeprefix("unix:"))

        between = {
            "C": {
                "through the bridge": (bridge, round_trip.ask_in_c_bridged, round_trip.answer_in_c_bridged),
                "direct": (tmp_path / "trip.sock", round_trip.ask_in_c, round_trip.answer_in_c),
                "through a C relay": (relay, round_trip.ask_in_c, round_trip.answer_in_c_relayed),
            },
            "Python": {
                "through the bridge": (bridge, round_trip.ask_ours_bridged, round_trip.answer_ours_bridged),
                "direct": (tmp_path / "trip.sock", round_trip.ask_ours, round_trip.answer_ours),
                "through a C relay": (relay, round_trip.ask_ours, round_trip.answer_ours_relayed),
            },
        }[language]
        argument = library if language == "C" else "balanced"
        contenders: dict[str, Timed] = {
            name: Trips(processes, path, (asking, argument), (answering, argument))
            for name, (path, asking, answering) in between.items()
        }
        compare.timed(contenders, wanted={"direct": 1 / 2.4}, rounds=15, round_s=0.05)
