"""Through the bridge, beside nats-server, a ZeroMQ proxy, and the least that a broker in C can do.

What publishers and subscribers run is in `contenders/`, as are the brokers. These are started once, run on
all CPUs where a figure does not say otherwise, and serve all figures.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from contenders import brokers, fan_out, limits, nats_in_c, round_trip, slow_subscriber, zmq_in_c
from contenders.fan_out import OURS, TICK_ID, FanOut
from contenders.round_trip import Trips
from contenders.slow_subscriber import Through
from harness import Contender, Measure, Wanted, figure, limit, ours, peer
from harness.peers import have, nats_server
from harness.processes import Process, cpus, many_files, pair
from harness.shared import folder, shared

ROUNDS = 3
ROUND_S = 0.06
KINDS = {"TradeTick": "tick", "TextMessage": "text"}
TYPES = 16
#: How many times as fast as nats-server fed in blocks: ours fed in blocks as well, and by Python.
WANTED = {"tick": (15.0, 8.0), "text": (5.0, 4.0)}
LIMIT = "C, bytes to each"
#: Beside a subscriber that stalls: its publisher waits for that one until it is cut off, 10 s by default.
NATS_CUTS_OFF = {"max_pending": slow_subscriber.MAX_OUTPUT, "write_deadline": "10ms"}


# --- started once, and shared by all figures ----------------------------------------------------------------


@shared
@contextlib.contextmanager
def _peers() -> Iterator[tuple[Process, Process]]:
    """The publisher's process, and the subscribers'; on all CPUs."""
    with contextlib.closing(Process([])) as publisher, contextlib.closing(Process([])) as subscribers:
        yield publisher, subscribers


@shared
def _pair(one_cpu: bool) -> AbstractContextManager[tuple[Process, Process]]:
    return pair(one_cpu=one_cpu)


@shared
def _bridge(**options: Any) -> AbstractContextManager[list[str]]:
    return brokers.bridge(folder(), **options)


@shared
def _nats(**options: Any) -> AbstractContextManager[str | None]:
    """Its address; None where it is not installed."""
    program = nats_server()
    return contextlib.nullcontext() if program is None else brokers.nats(folder(), program, **options)


@shared
def _zmq() -> AbstractContextManager[tuple[str, str] | None]:
    return brokers.zmq(folder()) if zmq_in_c.available() else contextlib.nullcontext()


@shared
def _to_each(library: Path, tcp: bool = False) -> AbstractContextManager[str]:
    return brokers.to_each(folder(), library, tcp=tcp)


@shared
def _relay(library: Path, allowed: tuple[int, ...]) -> AbstractContextManager[Path]:
    return brokers.relay(folder(), library, cpus=allowed)


def _fan_out(role: Callable[..., Contender], name: str, fan: FanOut, **more: Any) -> Contender:
    """A contender whose every byte is looked at once, and that is timed by whole patterns."""
    return role(name, fan.patterns, per=fan.messages, check=lambda: fan.patterns(4, check=True), **more)


# --- figures ------------------------------------------------------------------------------------------------


@figure(
    "fan-out of TradeTick",
    variants=["to 1", "to 4", "to 8", "to 32"],
    limit_explained="Wake-ups",
)
def fan_out_of_ticks(measure: Measure, variant: str) -> None:
    """One publisher to 1 to 32 subscribers through a broker, 16 bytes a message: time for a published
    message, from the first byte sent to the last one received by the slowest subscriber. Nothing may be lost
    on the way: the bridge runs with `--slow-consumer block`, nats-server with memory enough, the ZeroMQ
    sockets with `XPUB_NODROP`. Every process runs on all CPUs.

    "Blocks" are 64 KiB of ready bytes in each `send` of a C program; "publish_many" takes a list of messages
    that are there already, "publish" builds each message, both in Python with the profile `throughput`, over
    Unix sockets. Subscribers are C programs for all contenders, each a thread of one process, that read up to
    256 KiB a call and count: in Python they would take longer than the broker, and hide it. nats-server gets
    blocks as well, of payloads under a subject of one letter, over TCP, as it has nothing else. The proxy
    (XSUB to XPUB, `zmq.proxy()` in a process of its own) gets frames over Unix sockets, one call of libzmq
    for each message at both ends, as it takes no more at once, and each end has a context of its own; libzmq
    batches by itself. Brokers that route by subject or prefix can do more than pass a type on, and do more
    for it. The limit is one C thread that writes what it reads to each subscriber, and looks at nothing; its
    calls block, so that with several subscribers it may wait where the bridge goes on. Multiples are of the
    one over Unix sockets; what TCP costs by itself is what the other one takes more.
    """
    _fan_out_of("tick", measure, variant)


@figure(
    "fan-out of TextMessage",
    variants=["to 1", "to 4", "to 8", "to 32"],
    limit_explained="Wake-ups",
)
def fan_out_of_texts(measure: Measure, variant: str) -> None:
    """The same with 312 bytes a message, filled with 288 characters. Copying them is most of what ours and
    the limit do.
    """
    _fan_out_of("text", measure, variant)


def _fan_out_of(kind: str, measure: Measure, variant: str) -> None:
    subscribers = int(variant.removeprefix("to "))
    library = limits.build(measure.build)
    frames = [message.to_frame() for message in fan_out.messages(kind)]
    pattern = b"".join(frames)
    unix, tcp = _bridge()

    def through_bridge(address: str, *publishing: Any) -> FanOut:
        reading = fan_out.subscribe_c, library, address, pattern, [OURS[kind].TYPE_ID]
        return FanOut(_peers(), len(frames), publishing, *[reading] * subscribers)

    contenders = [
        _fan_out(ours, "ours, blocks, Unix", through_bridge(unix, fan_out.publish_c, library, unix, pattern)),
        _fan_out(ours, "ours, blocks, TCP", through_bridge(tcp, fan_out.publish_c, library, tcp, pattern)),
        _fan_out(ours, "ours, publish_many", through_bridge(unix, fan_out.publish_list, unix, kind)),
        _fan_out(ours, "ours, publish", through_bridge(unix, fan_out.publish_each, unix, kind)),
        _to_each_of(library, kind, subscribers),
        _to_each_of(library, kind, subscribers, tcp=True),
    ]
    if (nats := _nats()) is not None:
        contenders.append(_nats_of(library, nats, kind, subscribers))
    if have("pyzmq") and _zmq() is None:
        measure.failed["ZeroMQ proxy"] = "pyzmq is installed, but its libzmq cannot be called from C"
    if (zmq := _zmq()) is not None:
        writing = zmq_in_c.publish, library, zmq, kind, subscribers, fan_out.ROUND
        reading = [
            (zmq_in_c.subscribe, library, zmq, kind, number, fan_out.ROUND) for number in range(subscribers)
        ]
        contenders.append(_fan_out(peer, "ZeroMQ proxy", FanOut(_peers(), len(frames), writing, *reading)))
    in_blocks, by_python = WANTED[kind]
    reason = "What a Python program publishes by itself"
    wanted = [
        Wanted("ours, blocks, Unix", "nats-server", times=in_blocks, explained="Wake-ups"),
        Wanted("ours, blocks, TCP", "nats-server", times=in_blocks, explained="TCP on one machine"),
        Wanted("ours, publish_many", "nats-server", times=by_python, explained=reason),
        Wanted("ours, publish", "nats-server", times=by_python, explained=reason),
    ]
    measure.timed(contenders, wanted=wanted if subscribers <= 8 else (), rounds=ROUNDS, round_s=ROUND_S)


def _to_each_of(
    library: Path, kind: str, subscribers: int, piece: int = fan_out.BLOCK, *, tcp: bool = False
) -> Contender:
    frames = [message.to_frame() for message in fan_out.messages(kind)]
    pattern, address = b"".join(frames), _to_each(library, tcp)
    writing = fan_out.publish_to_each, library, address, pattern, piece
    reading = fan_out.subscribe_to_each, library, address, pattern
    name = f"{LIMIT}, TCP" if tcp else LIMIT
    return _fan_out(limit, name, FanOut(_peers(), len(frames), writing, *[reading] * subscribers))


def _nats_of(
    library: Path, address: str, kind: str, subscribers: int, piece: int = fan_out.BLOCK, **more: Any
) -> Contender:
    writing = nats_in_c.publish, library, address, kind, piece
    reading = nats_in_c.subscribe, library, address, kind
    fan = FanOut(_peers(), len(nats_in_c.published(kind)), writing, *[reading] * subscribers)
    return _fan_out(peer, "nats-server", fan, **more)


@figure(
    "one frame a send",
    variants=[f"{name} to {number}" for name in KINDS for number in (1, 4, 8)],
    limit_explained="One frame a send",
)
def one_frame_a_send(measure: Measure, variant: str) -> None:
    """The same fan-out from a C program that calls `send` for each message, as our profile `latency` does.

    What the kernel does for each call outweighs everything else, and which process runs when decides how many
    messages lie ready for the next: times differ by a factor of four between rounds. A small frame in a Unix
    socket is a buffer of its own, a microsecond to send and nearly one to receive, where TCP appends it to
    the one before.
    """
    name, _, number = variant.partition(" to ")
    kind, subscribers = KINDS[name], int(number)
    library = limits.build(measure.build)
    frames = [message.to_frame() for message in fan_out.messages(kind)]
    pattern, step = b"".join(frames), len(frames[0])

    def through_bridge(address: str) -> FanOut:
        writing = fan_out.publish_c, library, address, pattern, step
        reading = fan_out.subscribe_c, library, address, pattern, [OURS[kind].TYPE_ID]
        return FanOut(_peers(), len(frames), writing, *[reading] * subscribers)

    unix, tcp = _bridge()
    contenders = [
        _fan_out(ours, "ours, Unix", through_bridge(unix)),
        _fan_out(ours, "ours, TCP", through_bridge(tcp)),
        _to_each_of(library, kind, subscribers, piece=step),
        _to_each_of(library, kind, subscribers, piece=step, tcp=True),
    ]
    if (nats := _nats()) is not None:
        line = len(nats_in_c.published(kind)[0])
        contenders.append(_nats_of(library, nats, kind, subscribers, piece=line))
    wanted = [
        Wanted(name, "nats-server", times=1, explained="One frame a send")
        for name in ("ours, Unix", "ours, TCP")
    ]
    measure.timed(contenders, wanted=wanted, rounds=ROUNDS, round_s=ROUND_S)


@figure(
    "mixed types",
    variants=["to 1", "to 4", "to 8"],
    limit_explained="A frame that goes elsewhere than the one before",
)
def mixed_types(measure: Measure, variant: str) -> None:
    """Sixteen types of 16 bytes at random, so that hardly two frames in a row are alike: half of the types
    for each subscriber, or all of them, beside one type for everybody. In blocks of 64 KiB over Unix sockets,
    counted in C.

    A frame that goes elsewhere than the one before is looked up and copied by itself, where a run of frames
    with the same destinations is moved as a block. Times are for a published message; with half of the types
    a subscriber gets half of them. The limit looks at no type, and writes every byte to each.
    """
    subscribers = int(variant.removeprefix("to "))
    library = limits.build(measure.build)
    mixed = fan_out.mix(TYPES)
    unix, digest = _bridge_of_mix()
    alike = b"".join(TICK_ID.to_bytes(2, "little") + frame[2:] for frame in mixed.frames)

    def through_bridge(pattern: bytes, *expected: tuple[bytes, list[int]]) -> FanOut:
        writing = fan_out.publish_c, library, unix, pattern, fan_out.BLOCK, digest
        reading = [(fan_out.subscribe_c, library, unix, *each, digest) for each in expected]
        return FanOut(_peers(), len(mixed.frames), writing, *reading)

    all_types = b"".join(mixed.frames)
    half = [mixed.some(number) for number in range(subscribers)]
    some = through_bridge(all_types, *((mixed.of(types), types) for types in half))
    every = through_bridge(all_types, *[(all_types, list(mixed.type_ids))] * subscribers)
    one = through_bridge(alike, *[(alike, [TICK_ID])] * subscribers)
    names = "ours, 16 types, half of them", "ours, 16 types, all of them", "ours, one type"
    contenders = [_fan_out(ours, name, fan) for name, fan in zip(names, (some, every, one), strict=True)]
    contenders.append(_to_each_of(library, "tick", subscribers))
    wanted = [
        Wanted(name, names[2], times=0.5, explained="A frame that goes elsewhere than the one before")
        for name in names[:2]
    ]
    measure.timed(contenders, wanted=wanted, rounds=ROUNDS, round_s=ROUND_S)


@functools.cache
def _bridge_of_mix() -> tuple[str, bytes]:
    """A bridge with the contracts of the mix: its address, and its schema digest."""
    contracts = folder() / "sixteen.yaml"
    contracts.write_text(fan_out.mix(TYPES).contracts)
    return _bridge(contracts=contracts)[0], hashlib.sha256(contracts.read_bytes()).digest()


@figure("a slow subscriber", variants=["drop", "disconnect"])
def a_slow_subscriber(measure: Measure, variant: str) -> None:
    """TradeTicks to a subscriber that reads, while another one of the same type has stopped reading: time for
    a message as the one that reads sees it. With `drop`, the bridge leaves out what the other one does not
    take; with `disconnect`, that one is disconnected once 1 MiB waits for it, early in each turn. That it did
    miss messages is checked.

    Publisher and reader are one C program, never more than 256 KiB ahead of itself, so that the reader is not
    too slow as well: this is no fan-out at full speed, and times compare within this table alone. nats-server
    has a publisher wait while it writes to the one that stalls, and cuts that one off when `write_deadline`
    has passed: after 10 s by default, and here 10 ms, a sixth of a turn. The limit has one subscriber alone.
    """
    library = limits.build(measure.build)
    _, process = _peers()
    per = len(fan_out.messages("tick"))
    address, _ = _bridge(slow_consumer=variant, max_output=slow_subscriber.MAX_OUTPUT)

    def contender(role: Callable[..., Contender], name: str, per: int, *call: Any) -> Contender:
        through = Through(process, *call)
        return role(name, through.patterns, per=per, check=through.check)

    bridge = slow_subscriber.through_bridge, library, address
    contenders = [
        contender(ours, "ours, alone", per, *bridge, False),
        contender(ours, "ours, beside one that stalls", per, *bridge, True),
        contender(limit, f"{LIMIT}, alone", per, slow_subscriber.through_to_each, library, _to_each(library)),
    ]
    if variant == "disconnect" and (nats := _nats(**NATS_CUTS_OFF)) is not None:
        call, per = (slow_subscriber.through_nats, library, nats), len(nats_in_c.published("tick"))
        contenders += [
            contender(peer, "nats-server, alone", per, *call, False),
            contender(peer, "nats-server, beside one that stalls", per, *call, True),
        ]
    wanted = [Wanted("ours, beside one that stalls", "ours, alone", times=0.9)]
    measure.timed(contenders, wanted=wanted, rounds=2 * ROUNDS, round_s=ROUND_S)


@figure("connections", axis="connections", limit_explained="A frame that goes elsewhere than the one before")
def connections(measure: Measure, _variant: str) -> None:
    """TradeTicks in blocks of 64 KiB from one publisher to one subscriber, while so many other connections
    are open: negotiated, subscribed to another type (or subject), and silent. Bridge over Unix sockets,
    nats-server over TCP.

    Idle connections should cost a broker nothing but memory, which is measured elsewhere. Of brokers with
    thousands of connections that all have something to say, this says nothing. The limit has no connection
    beside the two.
    """
    library = limits.build(measure.build)
    frames = [message.to_frame() for message in fan_out.messages("tick")]
    pattern = b"".join(frames)
    contenders = [_to_each_of(library, "tick", 1)]
    with contextlib.ExitStack() as idle:
        for number in _crowds((1, 50) if measure.quick else (1, 10, 100, 1000)):
            unix, _ = idle.enter_context(brokers.bridge(folder()))
            for _ in range(number):
                idle.enter_context(fan_out.join(unix, [OURS["text"].TYPE_ID]))
            writing = fan_out.publish_c, library, unix, pattern
            reading = fan_out.subscribe_c, library, unix, pattern, [TICK_ID]
            contenders.append(
                _fan_out(ours, "ours", FanOut(_peers(), len(frames), writing, reading), x=float(number))
            )
            if (program := nats_server()) is not None:
                nats = idle.enter_context(brokers.nats(folder(), program))
                for _ in range(number):
                    idle.enter_context(nats_in_c.join(nats, b"u"))
                contenders.append(_nats_of(library, nats, "tick", 1, x=float(number)))
        measure.timed(contenders, rounds=ROUNDS, round_s=ROUND_S)


def _crowds(numbers: tuple[int, ...]) -> list[int]:
    """Those numbers of connections that the system lets us open, to both brokers, which inherit the limit."""
    allowed = many_files()
    possible = [number for at, number in enumerate(numbers) if allowed >= 2 * sum(numbers[: at + 1]) + 200]
    if len(possible) < len(numbers):
        print(f"connections: no more than {possible[-1]}, as {allowed} files may be open", file=sys.stderr)
    return possible


@figure(
    "round trip",
    of="a round trip",
    variants=[f"{language}, {cores}" for language in ("C", "Python") for cores in ("one core", "two cores")],
    limit_explained="A process in between on one core",
)
def round_trip_between(measure: Measure, variant: str) -> None:
    """A TradeTick to another process and back, through the bridge, through a C program that receives from one
    and sends to the other and does nothing else, and direct. "Python" builds and reads messages with the
    blocking transport and the profile `balanced`, the same at both ends in every row; "C" sends ready bytes
    and compares what comes back.

    On one core the code shows: the two ends and what is between them share it, and a process in between costs
    a wake-up more in each direction. On two cores it is mostly what waking a core costs, and how the system
    places three processes on two. nats-server (TCP, two subjects) is asked by a C program that speaks its
    protocol.
    """
    language, _, cores = variant.partition(", ")
    library = limits.build(measure.build)
    one_cpu = cores == "one core"
    processes = _pair(one_cpu)
    allowed = tuple(cpus()[:1] if one_cpu else cpus())
    relay, direct = _relay(library, allowed), measure.scratch / "direct.sock"
    bridge = Path(_bridge(cpus=allowed)[0].removeprefix("unix:"))

    def trips(path: Any, ask: Any, answer: Any, argument: Any) -> Callable[[int], float]:
        return Trips(processes, path, (ask, argument), (answer, argument))

    if language == "C":
        through_bridge = trips(bridge, round_trip.ask_in_c_bridged, round_trip.answer_in_c_bridged, library)
        through_relay = trips(relay, round_trip.ask_in_c, round_trip.answer_in_c_relayed, library)
        without = trips(direct, round_trip.ask_in_c, round_trip.answer_in_c, library)
    else:
        profile = "balanced"
        through_bridge = trips(bridge, round_trip.ask_ours_bridged, round_trip.answer_ours_bridged, profile)
        through_relay = trips(relay, round_trip.ask_ours, round_trip.answer_ours_relayed, profile)
        without = trips(direct, round_trip.ask_ours, round_trip.answer_ours, profile)
    contenders = [
        ours("ours", through_bridge),
        limit("C relay", through_relay),
        limit("direct", without),
    ]
    if language == "C" and (nats := _nats(cpus=allowed)) is not None:
        contenders.append(peer("nats-server", trips(nats, nats_in_c.ask, nats_in_c.answer, library)))
    measure.timed(
        contenders,
        wanted=[Wanted("ours", "direct", times=1 / 2.4, explained="A process in between on one core")],
        rounds=2 * ROUNDS,
        round_s=ROUND_S / 2,
    )
