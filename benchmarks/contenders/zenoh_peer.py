"""zenoh as a contender: two peers with one link between them, no router and nothing that looks for others.

It moves ready bytes; what comes is made a `bytes` object, as with pyzmq.
"""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING

from contenders.meeting import HOST, is_tcp, leave_port, port
from contenders.one_way import FRAMES, expect
from contenders.round_trip import END, FRAME, sampled
from harness.processes import TIMEOUT_S, Ready

if TYPE_CHECKING:
    import zenoh


def send(_ready: Ready, place: str, count: int, kind: str) -> int:
    import zenoh

    frame = FRAMES[kind]
    with _session(place, "connect") as session:
        publisher = session.declare_publisher("messages", congestion_control=zenoh.CongestionControl.BLOCK)
        there, gone = _presence(publisher)
        there()
        put = publisher.put
        start = monotonic_ns()
        for _ in range(count):
            put(frame)
        gone()  # what is under way when a session is closed may be lost
    return start


def receive(ready: Ready, place: str, count: int, check: bool, kind: str) -> int:
    frame = FRAMES[kind]
    data = b""
    with _session(place, "listen") as session:
        samples = session.declare_subscriber("messages")  # a callback is not quicker
        ready()
        if check:
            for _ in range(count):
                data = samples.recv().payload.to_bytes()
                expect(data, frame)
        else:
            for _ in range(count):
                data = samples.recv().payload.to_bytes()
        end = monotonic_ns()
    expect(data, frame)
    return end


def ask(_ready: Ready, place: str, samples: int) -> list[float]:
    """One key there and another one back, with `express`, which sends at once, over a `lowlatency` link."""
    with _session(place, "connect", low_latency=True) as session:
        answers = session.declare_subscriber("answers")
        publisher = session.declare_publisher("questions", express=True)
        there, _ = _presence(publisher)
        there()

        def trips(count: int) -> None:
            for _ in range(count):
                publisher.put(FRAME)
                if answers.recv().payload.to_bytes() != FRAME:
                    raise RuntimeError("other bytes came back")

        times = sampled(trips, samples)
        publisher.put(END.to_frame())
        answers.recv()
    return times


def answer(ready: Ready, place: str) -> None:
    end = END.to_frame()
    with _session(place, "listen", low_latency=True) as session:
        questions = session.declare_subscriber("questions")
        publisher = session.declare_publisher("answers", express=True)
        ready()
        data = b""
        while data != end:
            data = questions.recv().payload.to_bytes()
            publisher.put(data)


def _session(place: str, role: str, *, low_latency: bool = False) -> zenoh.Session:
    """A peer that has one endpoint, to "listen" or to "connect" to.

    With `low_latency`, its link has neither priorities nor batches.
    """
    import zenoh

    if not is_tcp(place):
        endpoint = f"unixsock-stream/{place}"
    else:
        if role == "listen":
            leave_port(place, _free_port())
        endpoint = f"tcp/{HOST}:{port(place)}"
    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("scouting/gossip/enabled", "false")
    config.insert_json5(
        "scouting/delay", "0"
    )  # milliseconds in which others may be found before anything happens
    if low_latency:
        config.insert_json5("transport/unicast/qos/enabled", "false")
        config.insert_json5("transport/unicast/lowlatency", "true")
    config.insert_json5("listen/endpoints", json.dumps([endpoint] if role == "listen" else []))
    config.insert_json5("connect/endpoints", json.dumps([endpoint] if role == "connect" else []))
    return zenoh.open(config)


def _free_port() -> int:
    """zenoh does not tell which port it took where any would do."""
    with socket.create_server((HOST, 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


def _presence(publisher: zenoh.Publisher) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two functions that wait: until the other one subscribes, and until it does no more."""
    changes: queue.SimpleQueue[bool] = queue.SimpleQueue()
    # Who declares a listener is not told how things are.
    publisher.declare_matching_listener(lambda status: changes.put(status.matching))
    if publisher.matching_status.matching:
        changes.put(True)

    def wait_for(state: bool) -> None:
        while changes.get(timeout=TIMEOUT_S) is not state:
            pass

    return lambda: wait_for(True), lambda: wait_for(False)
