"""Latency under load: how late messages are that are sent at fixed times, as percentiles, by profile.

What each side does is `contenders/open_loop.py`'s. Sender and receiver have half of the CPUs each; what is
between them shares the receiver's, as the sender's are busy waiting for the time of the next message.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from contenders import brokers, open_loop
from contenders.open_loop import OpenLoop
from harness import Measure, figure, limit, ours, peer
from harness.peers import have, nats_server
from harness.processes import Process, cpus, pair
from harness.shared import folder, shared

#: A function of `open_loop.py` and its arguments.
Call = tuple[Any, ...]
PROFILES = ("latency", "balanced", "throughput")
RATES = {"1,000 a second": 1_000, "10,000 a second": 10_000, "100,000 a second": 100_000}
#: Seconds of a turn: at the highest rate, one message in ten thousand is to be ten messages.
TURN_S = {1_000: 0.5, 10_000: 0.5, 100_000: 1.0}
ROUNDS = 2
QUICK_S = 0.02


@figure("direct", variants=tuple(RATES), axis="percentile", limit_explained="Profiles wait on purpose")
def direct(measure: Measure, variant: str) -> None:
    """A TradeTick from one process to another over a Unix socket: how late the receiving program has it,
    counted from when it should have been sent. Each message is sent at its time, whatever became of those
    before (open loop), so that a stall counts for every message that it held up, as does a sender that is
    late itself.

    Until shortly before a message is due the sender sleeps; for the last 0.1 ms, so always from 10,000 a
    second on, it watches the clock, on a CPU that it does not share with the receiver. Percentiles are exact,
    of all messages of a turn (half a second, or one at 100,000) after a warm-up of 0.05 s, and left out where
    fewer than ten messages are beyond them.

    Ours builds each message and reads its fields. pyzmq moves 16 bytes, packed with `struct`, one call a
    message. The programs in C send in one call what is due. Nobody receives by polling: at low rates nearly
    all of the time is what the system takes to wake the receiver, and a receiver that is too busy to sleep
    can be quicker than one in C that has to be woken.

    `throughput` waits for up to 1 ms on purpose, and `balanced` for up to 0.2 ms where messages come quickly.
    The highest percentiles are made by whatever else runs on the machine: they differ most between runs.
    """
    library = open_loop.build(measure.build)
    turn = _turns(measure, RATES[variant])
    path = str(measure.scratch / "direct.sock")
    contenders = []
    for profile in PROFILES:
        run = turn((open_loop.receive_ours, path), (open_loop.send_ours, path, library, profile))
        contenders.append(ours(f"ours, {profile}", run))
    if have("pyzmq"):
        run = turn((open_loop.receive_zmq, path), (open_loop.send_zmq, path, library))
        contenders.append(peer("pyzmq PUSH/PULL", run))
    run = turn((open_loop.receive_in_c, path, library), (open_loop.send_in_c, path, library))
    contenders.append(limit("C programs", run))
    measure.sampled(contenders, rounds=ROUNDS)


@figure("bridge", variants=tuple(RATES), axis="percentile", limit_explained="Profiles wait on purpose")
def bridge(measure: Measure, variant: str) -> None:
    """The same through the bridge, which runs on the receiver's CPU where there are two.

    pyzmq goes through `zmq.proxy()` (XSUB to XPUB, Unix sockets). nats-py goes through nats-server, over TCP
    and on uvloop where that is installed. Its sender waits by going round the event loop, since the loop's
    timers are late by up to 1 ms; what is due already it publishes at once, up to 32 messages a turn. In C, a
    program in between takes what comes and sends it on: nothing can do less, and it looks at no message.
    """
    library = open_loop.build(measure.build)
    turn = _turns(measure, RATES[variant])
    contenders = []
    path = _bridge()[0].removeprefix("unix:")
    for profile in PROFILES:
        run = turn(
            (open_loop.receive_ours_bridged, path), (open_loop.send_ours_bridged, path, library, profile)
        )
        contenders.append(ours(f"ours, {profile}", run))
    if have("pyzmq"):
        publishers, subscribers = _zmq()
        run = turn(
            (open_loop.receive_zmq_proxied, subscribers), (open_loop.send_zmq_proxied, publishers, library)
        )
        contenders.append(peer("pyzmq, proxy", run))
    if have("nats-py") and have("nats-server"):
        server = _nats().replace("tcp://", "nats://")
        run = turn((open_loop.receive_nats, server), (open_loop.send_nats, server))
        contenders.append(peer("nats-py, nats-server", run))
    path, onward = str(measure.scratch / "relay.sock"), str(measure.scratch / "onward.sock")
    run = turn(
        (open_loop.receive_in_c, onward, library),
        (open_loop.send_in_c, path, library),
        (open_loop.forward_in_c, path, onward, library),
    )
    contenders.append(limit("C programs and relay", run))
    measure.sampled(contenders, rounds=ROUNDS)


def _turns(measure: Measure, rate: int) -> Callable[..., OpenLoop]:
    """Makes a contender's turns of a function, with its arguments, for each process that takes part."""
    sender, receiver, between = _processes()
    seconds = QUICK_S if measure.quick else TURN_S[rate]

    def turn(receiving: Call, sending: Call, relaying: Call | None = None) -> OpenLoop:
        first = [(receiver, receiving)] if relaying is None else [(receiver, receiving), (between, relaying)]
        return OpenLoop(first, (sender, sending), rate, seconds)

    return turn


# --- processes and brokers of all figures -------------------------------------------------------------------


@shared
@contextlib.contextmanager
def _processes() -> Iterator[tuple[Process, Process, Process]]:
    """The sender's, the receiver's, and one for what is in between."""
    allowed = cpus()
    receiving = allowed[len(allowed) // 2 :]
    with pair() as (sender, receiver), contextlib.closing(Process(receiving)) as between:
        if allowed:
            os.sched_setaffinity(0, receiving)  # the brokers that we start inherit it
        yield sender, receiver, between


@shared
def _bridge() -> AbstractContextManager[list[str]]:
    return brokers.bridge(folder())


@shared
def _zmq() -> AbstractContextManager[tuple[str, str]]:
    return brokers.zmq(folder())


@shared
def _nats() -> AbstractContextManager[str]:
    program = nats_server()
    assert program is not None
    return brokers.nats(folder(), program)
