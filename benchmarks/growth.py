"""How cost grows with the size of messages, the number of types, subscribers and connections, and what waits.

Each figure is a curve, with the exponent that fits it: 0 where the cost stays the same, 1 where it doubles
with what doubles. What the processes run is in `contenders/growth_*.py`. Brokers here need Linux (epoll,
/proc).
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from contenders import brokers, floor, growth_contracts, growth_links, growth_memory, growth_traffic, zmq_peer
from contenders.growth_contracts import BLOCK, SHARED, SIZED, SUBSCRIBERS, TICKS
from contenders.growth_traffic import Broker, Turn
from harness import Contender, Measure, figure, limit, loop, ours, peer
from harness.peers import have, nats_server
from harness.processes import Process, cpus, many_files, pair
from harness.shared import folder, shared

#: What a quick run leaves.
_QUICK_SIZES = (0, 8192, 1_048_576)


# --- processes and brokers, made when a figure first needs them ---------------------------------------------


@shared
@contextlib.contextmanager
def _peers() -> Iterator[tuple[Process, Process]]:
    """The one that writes and the one that reads, on all CPUs as the brokers are."""
    with contextlib.closing(Process(cpus())) as writer, contextlib.closing(Process(cpus())) as reader:
        yield writer, reader


@shared
def _pair(one_cpu: bool = False) -> AbstractContextManager[tuple[Process, Process]]:
    return pair(one_cpu=one_cpu)


@shared
@contextlib.contextmanager
def _bridge() -> Iterator[Broker]:
    contracts = growth_contracts.everything(folder())
    with brokers.bridge(contracts.path.parent, contracts.path) as addresses:
        yield growth_traffic.Bridge(addresses[0], contracts.digest)


@shared
@contextlib.contextmanager
def _relay(library: Path) -> Iterator[Broker]:
    directory = str(folder())
    with contextlib.closing(Process(cpus())) as process:
        process.start(growth_traffic.relay, library, directory)
        process.wait_ready()
        yield growth_traffic.Relay(directory)


@shared
@contextlib.contextmanager
def _nats() -> Iterator[Broker]:
    program = nats_server()
    assert program is not None
    with brokers.nats(folder(), program) as address:
        yield growth_traffic.Nats(address)


# --- size ---------------------------------------------------------------------------------------------------


@figure(
    "message size",
    variants=["decode", "frame out"],
    axis="bytes of payload",
    limit_explained="A batch's objects come from the allocator",
)
def message_size(measure: Measure, variant: str) -> None:
    """Payload to object, or object to frame, of messages of no field, of one array of bytes, or of `U256`.

    The limit is an object and a copy in C, without any check, of memory that is never given back. No field is
    read, which is another cost.
    """
    module = growth_contracts.sized(measure.build).load()
    # Of any message; for large ones it needs more room than usual.
    layout_class = type(floor.layout(module.MESSAGES[SIZED[0]], measure.build))
    contenders: list[Contender] = []
    for size in _sizes(measure):
        message_class = module.MESSAGES[SIZED[size]]
        payload = growth_contracts.payload(size)
        message = message_class.from_bytes(payload)
        layout = layout_class(SIZED[size], size, (), 2 * BLOCK + size)
        frame = growth_contracts.frame(SIZED[size], payload)
        if message.to_frame() != frame or message.to_bytes() != payload:
            raise RuntimeError(f"{size} bytes do not come out as they went in")
        if variant == "decode":
            run = loop("o = decode(payload)", decode=message_class.from_bytes, payload=payload)
            least = loop("o = make(payload)", make=layout.make, payload=payload)
        else:
            run = loop("o = message.to_frame()", message=message)
            least = loop("o = item.to_frame()", item=layout.make(payload))
        contenders += [ours("ours", run, x=size), limit("C", least, x=size)]
    measure.timed(contenders, rounds=9, round_s=0.005, bursts=5)


@figure("message size through a socket", axis="bytes of payload", limit_explained="Large frames")
def message_size_socket(measure: Measure, _variant: str) -> None:
    """From one process to another over a Unix socket, a CPU for each: ours publishes a message that is there
    already, again and again, with the profile `balanced`, and makes an object of each that comes.

    pyzmq moves ready frames, one a call, and makes `bytes` of what comes. C sends blocks of at least 64 KiB,
    and looks at nothing but the last bytes.
    """
    library = growth_traffic.build(measure.build)
    schema = growth_contracts.sized(measure.build)
    schema.load()
    contenders: list[Contender] = []
    for size in _sizes(measure):
        frame = growth_contracts.frame(SIZED[size], growth_contracts.payload(size))
        pattern, per = _pattern(frame)
        path = measure.scratch / f"{size}.sock"
        way = functools.partial(growth_links.OneWay, _pair(), path)
        turn = way((growth_links.receive_sized, schema, size), (growth_links.send_sized, schema, size))
        contenders.append(ours("ours, balanced", turn, x=size, check=turn.check))
        if have("pyzmq"):
            turn = way((zmq_peer.receive_frames, frame), (zmq_peer.send_frames, frame))
            contenders.append(peer("pyzmq PUSH/PULL", turn, x=size, check=turn.check))
        blocks = library, pattern, per
        turn = way((growth_links.receive_c, *blocks), (growth_links.send_c, *blocks), per)
        contenders.append(limit("C, 64 KiB blocks", turn, x=size, check=turn.check))
    measure.timed(contenders, rounds=7, round_s=0.02)


@figure("message size through the bridge", axis="bytes of payload", limit_explained="Large frames")
def message_size_bridge(measure: Measure, _variant: str) -> None:
    """Through the bridge, from a C program that sends blocks of at least 64 KiB to one that reads and
    compares the last bytes. The limit is a relay in C in the bridge's place, which sends on whatever it has
    read.
    """
    library = growth_traffic.build(measure.build)
    contenders: list[Contender] = []
    for size in _sizes(measure):
        pattern, per = _pattern(growth_contracts.frame(SIZED[size], growth_contracts.payload(size)))
        contenders += _through_both(library, size, {0: pattern}, pattern, per, share=1)
    measure.timed(contenders, rounds=7, round_s=0.02)


def _sizes(measure: Measure) -> Sequence[int]:
    return _QUICK_SIZES if measure.quick else tuple(SIZED)


def _pattern(frame: bytes) -> tuple[bytes, int]:
    """A block of one frame again and again, and how many there are."""
    per = max(1, BLOCK // len(frame))
    return frame * per, per


def _through_both(
    library: Path, x: int, patterns: dict[int, bytes], pattern: bytes, per: int, *, share: int
) -> Iterator[Contender]:
    """Through the bridge and through the relay: what is sent, and what each subscriber gets of it."""
    for role, name, broker in (
        (ours, "ours, C peers", _bridge()),
        (limit, "C relay", _relay(library)),
    ):
        turn = Turn(
            _peers(),
            per,
            (growth_traffic.read, library, broker, patterns),
            (growth_traffic.write, library, broker, share, pattern),
        )
        yield role(name, turn, x=x, check=turn.check)


# --- types --------------------------------------------------------------------------------------------------


@figure(
    "types through the bridge",
    axis="types",
    limit_explained="A frame that goes elsewhere than the one before",
)
def types_bridge(measure: Measure, _variant: str) -> None:
    """Through the bridge, frames as long as a TradeTick, each of a type picked at random out of so many; one
    subscriber has the types with even ids, another one those with odd ids. Publisher and subscribers are C
    programs.

    So from two types on there is hardly ever a run of frames that goes to the same place. The limit is a
    relay in C that goes by one bit of the id, has no table of types, and checks nothing but the length.
    """
    library = growth_traffic.build(measure.build)
    contenders: list[Contender] = []
    for types in (1, 1000) if measure.quick else (1, 10, 100, 1000):
        frames = growth_contracts.tick_frames(TICKS[:types])
        patterns = {
            side: b"".join(frame for frame in frames if frame[0] % 2 == side) for side in (0, 1)[:types]
        }
        contenders += _through_both(library, types, patterns, b"".join(frames), len(frames), share=0)
    measure.timed(contenders, rounds=7, round_s=0.02)


@figure("types at a subscriber", axis="types", limit_explained="Many types at one subscriber")
def types_subscriber(measure: Measure, _variant: str) -> None:
    """A Python program takes messages as long as a TradeTick from a Unix socket, each of a type picked at
    random out of so many, with one subscriber for all of them; a C program on the other CPU sends blocks of
    64 KiB.

    In the limit the program that takes them is in C and looks at the last bytes alone. A hundred classes take
    some 20 s to compile, once; a thousand would take minutes, and are not measured.
    """
    library = growth_traffic.build(measure.build)
    contenders: list[Contender] = []
    for types in (1, 4) if measure.quick else (1, 10, 100):
        schema = growth_contracts.ticks(measure.build, types)
        schema.load()
        frames = growth_contracts.tick_frames(TICKS[:types])
        pattern, per = b"".join(frames), len(frames)
        way = functools.partial(growth_links.OneWay, _pair(), measure.scratch / f"{types}.sock", per=per)
        sending = growth_links.send_c, library, pattern, per
        turn = way((growth_links.receive_types, schema), sending)
        contenders.append(ours("ours, blocking", turn, x=types, check=turn.check))
        turn = way((growth_links.receive_c, library, pattern, per), sending)
        contenders.append(limit("C", turn, x=types, check=turn.check))
    measure.timed(contenders, rounds=7, round_s=0.02)


# --- subscribers and connections ----------------------------------------------------------------------------


@figure("subscribers", axis="subscribers", of="a published message")
def subscribers(measure: Measure, _variant: str) -> None:
    """Through the bridge, a message as long as a TradeTick to so many subscribers, until the slowest has it:
    sent in blocks of 64 KiB by a C program, and taken by a C program that holds all connections.

    So the growth is the bridge's and the kernel's, and not that of starting more processes. The limit is a
    relay in C that sends what it has read to each subscriber, waits where one is slow, and looks at nothing.
    """
    library = growth_traffic.build(measure.build)
    contenders: list[Contender] = []
    for count in (1, 64) if measure.quick else SUBSCRIBERS:
        frames = growth_contracts.tick_frames([SHARED[count]])
        pattern = b"".join(frames)
        patterns = dict.fromkeys(range(count), pattern)
        contenders += _through_both(library, count, patterns, pattern, len(frames), share=count)
    measure.timed(contenders, rounds=7, round_s=0.02)


@figure(
    "connections",
    axis="publishing connections",
    limit_explained="A frame that goes elsewhere than the one before",
)
def connections(measure: Measure, _variant: str) -> None:
    """Through the bridge, messages as long as a TradeTick from so many connections: each in turn sends a
    block of 46 messages, 1 KiB. One C program holds them all, another one is the subscriber, and looks at
    every message.

    Up to a thousand are connected in each turn, and those that take no part are silent. The limit is a relay
    in C with epoll that sends on what it has read. nats-server gets payloads, over TCP.
    """
    library = growth_traffic.build(measure.build)
    most = many_files() // 4  # a process may be connected to three brokers
    counts = [1, 50] if measure.quick else [1, 10, 100, 1000]
    counts = [count for count in counts if count <= most]
    named = [(ours, "ours, C peers", _bridge()), (limit, "C relay", _relay(library))]
    if have("nats-server"):
        named.insert(1, (peer, "nats-server, C peers", _nats()))
    contenders: list[Contender] = []
    for count in counts:
        for role, name, broker in named:
            turn = Turn(
                _peers(),
                count * growth_traffic.TICKS_IN_TURN,
                (growth_traffic.read_in_turn, library, broker, count),
                (growth_traffic.write_in_turn, library, broker, count, counts[-1]),
            )
            contenders.append(role(name, turn, x=count))
    measure.timed(contenders, rounds=7, round_s=0.02)


# --- messages in flight -------------------------------------------------------------------------------------


@figure(
    "in flight",
    variants=["one core", "two cores"],
    axis="messages in flight",
    limit_explained="One by one with several in flight",
)
def in_flight(measure: Measure, variant: str) -> None:
    """TradeTicks to another process and back over a Unix socket: so many are sent, then as many answers are
    waited for; time for each message. Ours are objects at both ends, built, read and compared: by `publish()`
    and `recv()` for each message, or by `publish_many()` and the lists of `batches()`; with the profile
    `balanced`.

    C sends ready bytes, of all of them in one call or of each in its own, and sends back whatever has come.
    Where messages leave one by one, who goes first decides how many travel together, above all on one CPU.
    """
    library = growth_traffic.build(measure.build)
    processes = _pair(variant == "one core")
    contenders: list[Contender] = []
    for window in (1, 256) if measure.quick else (1, 4, 16, 64, 256):
        trips = functools.partial(growth_links.Trips, processes, measure.scratch / f"{window}.sock", window)
        each = trips((growth_links.ask_each,), (growth_links.answer_each,))
        lists = trips((growth_links.ask_lists,), (growth_links.answer_lists,))
        in_c = functools.partial(trips, answering=(growth_links.answer_c, library))
        contenders += [
            ours("ours, one by one", each, x=window),
            ours("ours, in lists", lists, x=window),
            peer("C, a send for each", in_c((growth_links.ask_c, library, False)), x=window),
            limit("C, one send for all", in_c((growth_links.ask_c, library, True)), x=window),
        ]
    measure.timed(contenders, rounds=7, round_s=0.02)


# --- memory -------------------------------------------------------------------------------------------------


@figure("memory of a connection", unit="B", of="a connection", limit_explained="Memory of a connection")
def memory_connection(measure: Measure, _variant: str) -> None:
    """What a new bridge's resident memory grows by with a thousand connections over Unix sockets that have
    negotiated and subscribed to a type; divided by their number. What the kernel keeps for a socket is not in
    it.

    nats-server's clients have subscribed to a subject, over TCP. The limit is by count, not measured: the 32
    bytes that malloc takes for a descriptor and a number, as the relay in C does. It knows neither types nor
    names.
    """
    count = min(50 if measure.quick else 1000, many_files() // 4)
    contenders = [ours("ours", functools.partial(growth_memory.connections_of_bridge, count))]
    if (program := nats_server()) is not None:
        contenders.append(
            peer("nats-server", functools.partial(growth_memory.connections_of_nats, count, program))
        )
    contenders.append(limit("C structure", lambda: 32))
    measure.sampled(contenders, rounds=1)


@figure(
    "memory of a queued message",
    variants=list(growth_memory.KINDS),
    unit="B",
    of="a message that waits",
    limit_explained="Objects cost memory",
)
def memory_message(measure: Measure, variant: str) -> None:
    """Resident memory for each message that nobody has taken yet: in the bridge for a subscriber that does
    not read, and in a Python program that does not call `recv()`, as objects. Counted is what
    the next messages add where some MiB wait already.

    nats-server's subscriber does not read either; its heap has slack and garbage, so that a message may seem
    to take less than its bytes. A deque of msgspec structs is what asyncio.Queue keeps.
    pyzmq keeps frames between two sockets of one process. The limit is the frame's own bytes.
    """
    contenders = [ours("ours, bridge", functools.partial(growth_memory.wait_in_bridge, variant))]
    inside = [
        ("ours, blocking subscriber", ours, growth_memory.wait_blocking, None),
        ("ours, asyncio subscriber", ours, growth_memory.wait_asyncio, None),
        ("msgspec structs in a deque", peer, growth_memory.wait_deque, "msgspec"),
        ("pyzmq, inproc", peer, growth_memory.wait_zmq, "pyzmq"),
    ]
    if (program := nats_server()) is not None:
        contenders.append(
            peer("nats-server", functools.partial(growth_memory.wait_in_nats, variant, program))
        )
    for name, role, function, package in inside:
        if package is None or have(package):
            contenders.append(role(name, functools.partial(_in_new_process, function, variant)))
    size = growth_memory.frame_size(variant)
    contenders.append(limit("the frame", lambda: size))
    measure.sampled(contenders, rounds=1)


def _in_new_process(function: Any, kind: str) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="mycelium-") as directory,
        contextlib.closing(Process([])) as process,
    ):
        process.start(function, kind, directory)
        value: float = process.result()
        return value
