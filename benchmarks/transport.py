"""Messages from one process to another and back, and within one: ours beside pyzmq, zenoh, NATS, asyncio and
C.

What the two sides of each contender do is in `contenders/`; through the bridge is `bridge.py`'s affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from contenders import (
    bare_asyncio,
    brokers,
    in_process,
    limits,
    nats_peer,
    one_way,
    round_trip,
    zenoh_peer,
    zmq_peer,
)
from contenders.one_way import Round
from contenders.round_trip import Trips
from harness import Contender, Measure, Wanted, figure, limit, ours, peer
from harness.peers import have, nats_server
from harness.processes import Process, cpus, pair, together
from harness.shared import shared

KINDS = {"TradeTick": "tick", "TextMessage": "text"}
PROFILES = ("latency", "balanced", "throughput")
#: Messages that are looked at field by field before a contender's first round.
CHECKED = 2_000


@shared
def _processes(one_cpu: bool = False) -> AbstractContextManager[tuple[Process, Process]]:
    """Two processes for all figures that want them on one core, or on two."""
    return pair(one_cpu=one_cpu)


def _loops() -> list[str]:
    return ["asyncio", *["uvloop"] * have("uvloop")]


def _place(measure: Measure, variant: str) -> str:
    """Where a contender's processes meet: see `contenders/meeting.py`."""
    return f"{'tcp:' * variant.startswith('TCP')}{measure.scratch / 'place'}"


@contextlib.contextmanager
def _nats(measure: Measure, variant: str, allowed: Sequence[int] = ()) -> Iterator[str | None]:
    """The address of a nats-server, which has TCP alone; None where there is none."""
    program = nats_server()
    if not (variant.startswith("TCP") and have("nats-py") and program):
        yield None
        return
    with brokers.nats(measure.scratch, program, cpus=allowed) as server:
        yield server


@figure(
    "one way",
    variants=[f"{how}, {what}" for how in ("Unix", "TCP") for what in KINDS],
    limit_explained="One call a message",
)
def one_way_(measure: Measure, variant: str) -> None:
    """Messages from one process to another, each on its own core, from the first one sent to the last one
    received.

    Ours builds each message with keywords, publishes it alone (`publish(TradeTick(price=..., size=...))`),
    and reads every field of it at the other end (`for tick in subscriber`; in asyncio `await publish()` and
    `async for`, with the profile `balanced`). So do the asyncio streams (`to_frame()`, `write()`, `await
    drain()`; two `readexactly()`, `from_bytes()`) and "field by field", a small SDK in plain Python with a
    `struct` call a field and a `sendall` a frame. pyzmq, zenoh and nats-py do less: they move ready bytes,
    one message a call, which nobody decodes. nats-py does more, too: its messages pass a nats-server, which
    has no Unix sockets. zenoh is two peers with one link and no scouting, and waits rather than drop; pyzmq
    and zenoh gather messages in threads of their own.

    In C, ready blocks of 64 KiB are sent, and the bytes received are counted: multiples are of that. "Blocks
    to lists" makes a list of messages of each block received, in one call of our `decode_batch()`, and nobody
    reads it: as much as a program that is Python can hope for. "One frame a send" is what a system call for
    each message costs whoever makes it, as our profile `latency` does, and "field by field".

    It does not show how long a message takes, which is what `throughput` pays with: see latency.
    """
    how, what = variant.split(", ")
    kind = KINDS[what]
    library = limits.build(measure.build)
    with _nats(measure, variant) as server:

        def contender(
            role: Callable[..., Contender], name: str, sending: tuple[Any, ...], receiving: tuple[Any, ...]
        ) -> Contender:
            (send, *send_with), (receive, *receive_with) = sending, receiving
            sides = (send, kind, *send_with), (receive, kind, *receive_with)
            run = Round(_processes(), _place(measure, variant), *sides)
            return role(name, run, check=lambda: run(CHECKED, check=True))

        field_by_field = (one_way.send_fields,), (one_way.receive_fields,)
        contenders = [
            *(
                contender(ours, f"ours, {profile}", (one_way.send_ours, profile), (one_way.receive_ours,))
                for profile in PROFILES
            ),
            *(
                contender(ours, f"ours, {loop}", (one_way.send_client, loop), (one_way.receive_client, loop))
                for loop in _loops()
            ),
            *(
                contender(peer, f"{loop} streams", (bare_asyncio.send, loop), (bare_asyncio.receive, loop))
                for loop in _loops()
            ),
            contender(peer, "field by field", *field_by_field),
        ]
        if have("pyzmq"):
            contenders.append(contender(peer, "pyzmq PUSH/PULL", (zmq_peer.send,), (zmq_peer.receive,)))
        if have("eclipse-zenoh"):
            contenders.append(contender(peer, "zenoh peers", (zenoh_peer.send,), (zenoh_peer.receive,)))
        if server:
            contenders += [
                contender(
                    peer,
                    f"nats-py, {loop}",
                    (nats_peer.send, loop, server),
                    (nats_peer.receive, loop, server),
                )
                for loop in _loops()
            ]
        blocks, counted = (one_way.send_blocks, library), (one_way.receive_blocks, library)
        contenders += [
            contender(limit, "C, 64 KiB blocks", blocks, counted),
            contender(limit, "C blocks to lists", blocks, (one_way.receive_lists,)),
            contender(limit, "C, one frame a send", (one_way.send_singly, library), counted),
        ]
        wanted = [
            Wanted(f"ours, {profile}", against, times=times, explained="One call a message")
            for profile in ("balanced", "throughput")
            for against, times in [
                ("pyzmq PUSH/PULL", 4),
                ("field by field", 40),
                ("C blocks to lists", 1 / 6),
            ]
        ]
        measure.timed(contenders, wanted=wanted if how == "Unix" else (), rounds=3, round_s=0.1)


@figure("publish_many", limit_explained="Each message of a list is looked at")
def publish_many(measure: Measure, _variant: str) -> None:
    """A list of 10,000 TradeTicks that is there already, over a Unix socket: `publish_many(ticks)`.

    It is the CPU time of the sending thread, the kernel's included: the peer reads as fast as C can on the
    other core, and how long it makes us wait is not ours. The limit is a copy of the same bytes, which are
    ready, into blocks of 64 KiB and a `send` of each, in Python.
    """
    library = limits.build(measure.build)
    sender, receiver = _processes()
    place = _place(measure, "Unix")

    def contender(role: Callable[..., Contender], name: str, send: Any) -> Contender:
        def run(turns: int, check: bool = False) -> float:
            drained = receiver, (one_way.drain_many, place, turns, check, library)
            elapsed: int
            _, elapsed = together(*drained, sender, (send, place, turns))
            return elapsed

        return role(name, run, per=one_way.MANY, check=lambda: run(2, check=True))

    measure.timed(
        [
            contender(ours, "ours", one_way.send_many),
            contender(limit, "copy and send", one_way.send_copies),
        ],
        wanted=[Wanted("ours", "copy and send", beyond=5, explained="Each message of a list is looked at")],
        rounds=7,
        round_s=0.05,
    )


@figure("in process", variants=list(KINDS), limit_explained="Within one process")
def in_process_(measure: Measure, variant: str) -> None:
    """A message that is there already, published to another service of the process and received, in one
    thread.

    No bridge listens, and no socket is used. Ours gives the receiver an object of its own, whose rules were
    checked; queues and `deque` hand over the very same object, so they do less. pyzmq (`inproc`, two PAIR
    sockets) moves ready bytes. In asyncio, each of the two calls is awaited.
    """
    kind = KINDS[variant]
    message_class = one_way.OURS[kind]
    message = message_class.from_bytes(one_way.FRAMES[kind][6:])
    frame = message.to_frame()
    simple: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    plain: deque[Any] = deque()
    with contextlib.ExitStack() as stack:
        publisher, subscriber = stack.enter_context(in_process.buses(measure.scratch, message_class))
        loop, async_publisher, async_subscriber = stack.enter_context(
            in_process.async_buses(measure.scratch, message_class)
        )
        in_loop = functools.partial(in_process.turn_async, loop)
        contenders = [
            ours("ours", in_process.turn(publisher.publish, subscriber.recv, message)),
            ours("ours, asyncio", in_loop(async_publisher.publish, async_subscriber.recv, message)),
            peer("queue.SimpleQueue", in_process.turn(simple.put, simple.get, message)),
            peer("asyncio.Queue", in_loop(waiting.put, waiting.get, message)),
        ]
        if have("pyzmq"):
            one, other = stack.enter_context(zmq_peer.inproc())
            contenders.append(peer("pyzmq inproc PAIR", in_process.turn(one.send, other.recv, frame)))
        contenders.append(limit("collections.deque", in_process.turn(plain.append, plain.popleft, message)))
        measure.timed(contenders, rounds=9, round_s=0.01, bursts=5)


@figure(
    "round trip",
    variants=[f"{how}, {cores}" for how in ("Unix", "TCP") for cores in ("one core", "two cores")],
    of="a round trip",
    limit_explained="Awaiting each message",
)
def round_trip_(measure: Measure, variant: str) -> None:
    """A TradeTick to another process and back, one at a time: the median of samples of 50 trips each.

    Both processes on one core, which shows what the code costs, or each on its own, which adds what waking
    another core costs: on a virtual machine that differs by a factor of two from one moment to the next.

    Ours builds and compares every message, in both processes where it is blocking. What runs in asyncio or
    uvloop (ours, a bare `asyncio.Protocol`, the streams) is answered by the C program that is the limit's
    other half. A bare `Protocol` sends ready bytes; it answers from its callback, as our `def` handler does,
    or awaits a future, as `await recv()` does. The streams build and decode our messages. pyzmq (PAIR), zenoh
    (two keys, `express`, a `lowlatency` link) and nats-py (`request()` and `respond()`, through a
    nats-server, which is on the same core where there is one) move ready bytes, in both processes; the first
    two have threads of their own, which take part in every trip.
    """
    _, cores = variant.split(", ")
    one_cpu = cores == "one core"
    library = limits.build(measure.build)
    place = _place(measure, variant)
    answered_in_c = round_trip.answer_in_c, library
    with _nats(measure, variant, cpus()[:1] if one_cpu else ()) as server:

        def contender(
            role: Callable[..., Contender], name: str, asking: tuple[Any, ...], answering: tuple[Any, ...]
        ) -> Contender:
            return role(name, Trips(_processes(one_cpu), place, asking, answering))

        contenders = [
            contender(
                ours,
                f"ours, {profile}",
                (round_trip.ask_ours, profile),
                (round_trip.answer_ours, profile),
            )
            for profile in ("balanced", "latency")
        ]
        wanted = (
            [Wanted("ours, balanced", "C", times=1 / 1.15, explained="A round trip on one core")]
            if one_cpu
            else []
        )
        for loop in _loops():
            asking = {
                f"ours, {loop}, await recv()": round_trip.ask_client_awaiting,
                f"ours, {loop}, def handler": round_trip.ask_client_callback,
                f"bare Protocol, {loop}, awaiting": bare_asyncio.ask_awaiting,
                f"bare Protocol, {loop}, callback": bare_asyncio.ask_in_callbacks,
                f"{loop} streams": bare_asyncio.ask,
            }
            contenders += [
                contender(ours if name.startswith("ours") else peer, name, (ask, loop), answered_in_c)
                for name, ask in asking.items()
            ]
            wanted += [
                Wanted(
                    f"ours, {loop}, await recv()",
                    f"bare Protocol, {loop}, awaiting",
                    times=1 / 1.25,
                    explained="Awaiting each message",
                ),
                Wanted(
                    f"ours, {loop}, def handler",
                    f"bare Protocol, {loop}, callback",
                    times=1 / 1.25,
                    explained="Awaiting each message",
                ),
            ]
        if have("pyzmq"):
            contenders.append(contender(peer, "pyzmq PAIR", (zmq_peer.ask,), (zmq_peer.answer,)))
        if have("eclipse-zenoh"):
            contenders.append(contender(peer, "zenoh peers", (zenoh_peer.ask,), (zenoh_peer.answer,)))
        if server:
            contenders += [
                contender(
                    peer, f"nats-py, {loop}", (nats_peer.ask, loop, server), (nats_peer.answer, loop, server)
                )
                for loop in _loops()
            ]
        contenders.append(contender(limit, "C", (round_trip.ask_in_c, library), answered_in_c))
        measure.timed(contenders, wanted=wanted, rounds=3, round_s=0.05)
