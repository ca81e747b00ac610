"""The router through its Cython face, over socket pairs: who gets which frames, and what happens to those who
are slow, send too much, or leave. Random peers under sanitizers are `test_router.py`'s, and a whole bridge is
`test_bridge.py`'s.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import resource
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mycelium_fast.bridge.data_plane import ConnectionStats, Event, RoutedConnection, Router
from mycelium_fast.codec.frames import encode_frame

NEGOTIATED, SUBSCRIBES, NO_ECHO, TRACES, LAG_REPORTS = 1, 2, 4, 8, 16
PUBLISHER = NEGOTIATED | SUBSCRIBES  # it subscribed to nothing
HELLO, SUBSCRIBE, LAGGED, PING, TRACE = 1, 3, 7, 8, 10
CORE = {HELLO: 4, SUBSCRIBE: 4, PING: 8, TRACE: 8, LAGGED: None}
TIMEOUT_S = 20.0
TICK = encode_frame(1200, bytes(16))


def ticks(count: int, first: int = 0) -> bytes:
    """Numbered frames."""
    return b"".join(
        encode_frame(1200, struct.pack("<QQ", number, 0)) for number in range(first, first + count)
    )


def numbers(frames: bytes) -> list[int]:
    return [struct.unpack_from("<Q", frames, place + 6)[0] for place in range(0, len(frames), len(TICK))]


def lagged(type_id: int, count: int) -> bytes:
    return encode_frame(LAGGED, struct.pack("<H6xQ", type_id, count))


def receive(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    received = bytearray()
    while len(received) < size:
        part = sock.recv(size - len(received))
        assert part, f"the stream ended after {len(received)} of {size} bytes"
        received += part
    return bytes(received)


def receive_all(sock: socket.socket) -> bytes:
    """Everything until the end of the stream."""
    received = bytearray()
    while part := sock.recv(1 << 16):
        received += part
    return bytes(received)


class Plane:
    """A router, and the peers and events of a test."""

    def __init__(self, **options: Any) -> None:
        given: dict[str, Any] = {
            "policy": "drop",
            "sizes": None,
            "core": CORE,
            "forward_unknown": True,
            "max_payload": 1 << 24,
            "max_output": 1 << 20,
            "stall_timeout": TIMEOUT_S,
        }
        self.router = Router(**{**given, **options})
        self.router.start()
        self.peers: list[socket.socket] = []
        self.events: list[Event] = []
        self._numbers = itertools.count(1)

    def connect(
        self, flags: int = 0, rest: bytes = b"", **begin: Any
    ) -> tuple[socket.socket, RoutedConnection]:
        """A peer's socket, and its connection, which the router has by now."""
        ours, its = socket.socketpair()
        ours.settimeout(TIMEOUT_S)
        self.peers.append(ours)
        connection = self.router.add(its, next(self._numbers), flags, rest, **begin)
        if not rest:  # else it may have frames of its own to read first
            self.sync(ours, connection)
        return ours, connection

    def subscriber(self, *type_ids: int, flags: int = 0) -> tuple[socket.socket, RoutedConnection]:
        peer, connection = self.connect(PUBLISHER | flags)
        connection.subscribe(True, type_ids)
        self.sync(peer, connection)
        return peer, connection

    def sync(self, peer: socket.socket, connection: RoutedConnection) -> None:
        """Wait until the router has done what it was told."""
        marker = encode_frame(PING, os.urandom(8))
        connection.send(marker)
        assert receive(peer, len(marker)) == marker

    def look(self, timeout: float) -> None:
        if select.select([self.router], [], [], timeout)[0]:
            self.events += self.router.events()

    def wait_event(self, kind: str, connection: RoutedConnection, count: int = 1) -> Event:
        """The event, when it has come so often."""

        def found() -> list[Event]:
            return [each for each in self.events if each.kind == kind and each.connection is connection]

        give_up = time.monotonic() + TIMEOUT_S
        while len(found()) < count:
            assert time.monotonic() < give_up, (kind, self.events)
            self.look(0.1)
        return found()[-1]

    def wait_stats(
        self, connection: RoutedConnection, reached: Callable[[ConnectionStats], object]
    ) -> ConnectionStats:
        """Its figures, once they are so."""
        give_up = time.monotonic() + TIMEOUT_S
        while not reached(stats := connection.stats()):
            assert time.monotonic() < give_up, stats
            self.look(0.001)
        return stats

    def close(self) -> None:
        with contextlib.suppress(ValueError):  # the test has closed it
            self.router.stop(0)
            self.router.join()
            self.events += self.router.events()
        for peer in self.peers:
            peer.close()


@pytest.fixture(params=[False, True], ids=["epoll", "poll"])
def plane(request: pytest.FixtureRequest) -> Iterator[Callable[..., Plane]]:
    """Makes routers; with epoll, and with poll()."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Plane:
            made = Plane(use_poll=request.param, **options)
            stack.callback(made.close)
            return made

        yield make


Make = Callable[..., Plane]

# Who gets what ----------------------------------------------------------------------------------------------


def test_plain_connections_get_every_frame_their_own_included(plane: Make) -> None:
    routed = plane()
    (one, _), (two, _) = routed.connect(), routed.connect()
    stream = TICK + encode_frame(65535, b"") + encode_frame(1000, b"abc")
    one.sendall(stream)
    assert receive(one, len(stream)) == receive(two, len(stream)) == stream


def test_a_subscriber_gets_the_types_that_it_asked_for(plane: Make) -> None:
    routed = plane()
    publisher, _ = routed.connect(PUBLISHER)
    peer, connection = routed.subscriber(1200, 1202)
    frames = {type_id: encode_frame(type_id, bytes(8)) for type_id in range(1200, 1204)}
    publisher.sendall(b"".join(frames.values()))
    assert receive(peer, 28) == frames[1200] + frames[1202]
    connection.subscribe(False, [1200])
    routed.sync(peer, connection)
    publisher.sendall(b"".join(frames.values()))
    assert receive(peer, 14) == frames[1202]


def test_a_subscriber_to_everything_may_leave_types_out(plane: Make) -> None:
    routed = plane()
    publisher, _ = routed.connect(PUBLISHER)
    peer, connection = routed.subscriber()
    connection.subscribe(True, None)
    connection.subscribe(False, [1201])
    routed.sync(peer, connection)
    frames = {type_id: encode_frame(type_id, bytes(8)) for type_id in range(1200, 1203)}
    publisher.sendall(b"".join(frames.values()))
    assert receive(peer, 28) == frames[1200] + frames[1202]
    connection.subscribe(True, [1201])
    routed.sync(peer, connection)
    publisher.sendall(frames[1201])
    assert receive(peer, 14) == frames[1201]


def test_thousands_of_types_are_subscribed_to_and_left(plane: Make) -> None:
    routed = plane()
    publisher, _ = routed.connect(PUBLISHER)
    peer, connection = routed.subscriber(*range(1000, 60000))
    publisher.sendall(encode_frame(59999, b"a") + encode_frame(60000, b"b") + encode_frame(1000, b"c"))
    assert receive(peer, 14) == encode_frame(59999, b"a") + encode_frame(1000, b"c")
    connection.subscribe(False, range(1000, 59999))
    routed.sync(peer, connection)
    publisher.sendall(encode_frame(1000, b"a") + encode_frame(59999, b"b"))
    assert receive(peer, 7) == encode_frame(59999, b"b")


def test_its_own_frames_are_kept_from_one_that_wants_no_echo(plane: Make) -> None:
    routed = plane()
    other, _ = routed.connect(PUBLISHER)
    peer, _ = routed.subscriber(1200, flags=NO_ECHO)
    peer.sendall(ticks(2))
    own, _ = routed.subscriber(1200)
    other.sendall(ticks(1, first=2))
    assert numbers(receive(peer, len(TICK))) == [2]
    assert numbers(receive(own, len(TICK))) == [2]


def test_a_trace_goes_before_its_frame_to_those_who_may_be_sent_it(plane: Make) -> None:
    routed = plane()
    publisher, _ = routed.connect(PUBLISHER)
    traced, _ = routed.subscriber(1200, flags=TRACES)
    plain, _ = routed.connect()
    trace = encode_frame(TRACE, b"12345678")
    publisher.sendall(ticks(2) + trace + ticks(3, first=2))
    assert receive(plain, 5 * len(TICK)) == ticks(5)
    assert receive(traced, 5 * len(TICK) + len(trace)) == ticks(2) + trace + ticks(3, first=2)


def test_a_plain_peer_never_gets_a_core_frame_of_another(plane: Make) -> None:
    routed = plane()
    one, connection = routed.connect()
    two, _ = routed.connect()
    one.sendall(TICK + encode_frame(PING, bytes(8)) + TICK)
    assert receive(two, 2 * len(TICK)) == TICK + TICK
    assert routed.wait_event("dropped", connection).reason == "core type"


def test_core_frames_come_as_events_after_what_was_published_before(plane: Make) -> None:
    routed = plane()
    peer, connection = routed.connect(PUBLISHER)
    peer.sendall(TICK + encode_frame(SUBSCRIBE, b"abcd"))
    event = routed.wait_event("frame", connection)
    assert (event.type_id, event.data) == (SUBSCRIBE, b"abcd")
    assert connection.stats().frames_in == 1


def test_what_follows_a_hello_waits_for_the_control_plane(plane: Make) -> None:
    routed = plane()
    peer, connection = routed.connect()
    peer.sendall(encode_frame(HELLO, b"abcd") + encode_frame(SUBSCRIBE, b"efgh") + TICK)
    assert routed.wait_event("frame", connection).data == b"abcd"
    assert connection.stats().held
    assert connection.stats().frames_in == 0
    connection.set_flags(PUBLISHER)
    assert routed.wait_event("frame", connection, 2).data == b"efgh"
    routed.wait_stats(connection, lambda stats: stats.frames_in == 1 and not stats.held)


@pytest.mark.parametrize("subscribes", [0, SUBSCRIBES])
def test_who_said_hello_gets_nothing_before_the_answer(plane: Make, subscribes: int) -> None:
    routed = plane()
    publisher, publishing = routed.connect(PUBLISHER)
    ours, its = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    routed.peers.append(ours)
    ours.sendall(encode_frame(HELLO, b"abcd"))
    publisher.sendall(ticks(1000))
    connection = routed.router.add(its, 77, 0)
    publisher.sendall(ticks(1000, 1000))
    routed.wait_event("frame", connection)
    connection.allow(None, None)
    routed.wait_stats(publishing, lambda stats: stats.frames_in == 2000)
    connection.send(encode_frame(PING, bytes(8)))
    connection.set_flags(NEGOTIATED | subscribes)
    connection.subscribe(True, [1200])
    connection.send(encode_frame(PING, bytes(8)))
    assert receive(ours, 28) == encode_frame(PING, bytes(8)) * 2
    publisher.sendall(ticks(1, 2000))
    assert receive(ours, len(TICK)) == ticks(1, 2000)


def test_who_sent_frames_before_it_is_added_gets_its_own(plane: Make) -> None:
    routed = plane()
    ours, its = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    routed.peers.append(ours)
    ours.sendall(ticks(100))
    routed.router.add(its, 77, 0, ticks(3))
    assert receive(ours, 103 * len(TICK)) == ticks(3) + ticks(100)


def test_a_flood_of_core_frames_waits_until_they_are_taken(plane: Make) -> None:
    routed = plane()
    peer, connection = routed.connect(PUBLISHER)
    peer.sendall(b"".join(encode_frame(PING, struct.pack("<Q", number)) for number in range(1000)))
    routed.wait_stats(connection, lambda stats: stats.held)
    routed.wait_event("frame", connection, 1000)
    pings = [struct.unpack("<Q", each.data)[0] for each in routed.events if each.kind == "frame"]
    assert pings == list(range(1000))


def test_what_is_said_together_takes_effect_together(plane: Make) -> None:
    routed = plane()
    ours, its = socket.socketpair()
    routed.peers.append(ours)
    ours.settimeout(TIMEOUT_S)
    ours.sendall(TICK + encode_frame(1201, b"a"))  # to be read as soon as it is added
    with routed.router, routed.router:
        connection = routed.router.add(its, 1000, 0)
        connection.allow({1201}, None)
    assert receive(ours, 7) == encode_frame(1201, b"a")
    assert connection.stats().dropped == (0, 0, 0, 1)


# Streams ----------------------------------------------------------------------------------------------------


def test_frames_that_come_byte_by_byte_arrive(plane: Make) -> None:
    routed = plane()
    publisher, _ = routed.connect(PUBLISHER)
    peer, _ = routed.connect()
    stream = encode_frame(1000, b"") + TICK + encode_frame(1001, bytes(300)) + encode_frame(1000, b"")
    for place in range(len(stream)):
        publisher.sendall(stream[place : place + 1])
    assert receive(peer, len(stream)) == stream


@pytest.mark.parametrize("size", [32_000, 40_000, 200_000, 16_777_216])
def test_large_frames_arrive_among_small_ones(plane: Make, size: int) -> None:
    routed = plane(max_output=1000, read_size=65536, policy="block")
    publisher, _ = routed.connect(PUBLISHER)
    peer, _ = routed.connect()
    stream = TICK + struct.pack("<HI", 1500, size) + os.urandom(size) + TICK
    thread = threading.Thread(target=publisher.sendall, args=(stream,))
    thread.start()
    assert receive(peer, len(stream)) == stream
    thread.join()


@pytest.mark.parametrize("length", [1 << 20, 0xFFFF_FFFF])
def test_a_frame_that_is_too_long_is_told_and_nothing_more_read(plane: Make, length: int) -> None:
    routed = plane(max_payload=(1 << 20) - 1)
    peer, connection = routed.connect(PUBLISHER)
    other, _ = routed.connect()
    peer.sendall(TICK + struct.pack("<HI", 1300, length) + TICK)
    event = routed.wait_event("too long", connection)
    assert (event.type_id, event.number) == (1300, length)
    assert receive(other, len(TICK)) == TICK
    connection.close(0)
    assert routed.wait_event("ended", connection).reason == "asked"
    assert connection.stats().frames_in == 1


def test_what_came_with_a_connection_is_read_first(plane: Make) -> None:
    routed = plane()
    stream = encode_frame(1300, os.urandom(300_000)) + ticks(10)
    peer, _ = routed.connect(rest=stream[:-5])
    peer.sendall(stream[-5:])
    assert receive(peer, len(stream)) == stream


def test_unknown_types_and_wrong_lengths_are_dropped_and_counted(plane: Make) -> None:
    routed = plane(sizes={1200: 16, 1201: 4}, forward_unknown=False)
    peer, connection = routed.connect()
    peer.sendall(encode_frame(1300, b"a") * 3 + encode_frame(1200, b"a") * 2 + TICK)
    assert receive(peer, len(TICK)) == TICK
    assert connection.stats().dropped == (3, 2, 0, 0)
    assert connection.published() == [1200]
    routed.wait_event("dropped", connection, 2)
    told = [(each.reason, each.type_id, each.number) for each in routed.events]
    assert told == [("unknown type", 1300, 1), ("wrong length", 1200, 1)]


# Permissions and limits -------------------------------------------------------------------------------------


def test_a_type_that_it_may_not_publish_goes_to_nobody(plane: Make) -> None:
    routed = plane()
    other, _ = routed.connect()
    peer, connection = routed.connect(PUBLISHER, publish={1201}, rest=TICK)
    peer.sendall(TICK + encode_frame(1201, b"a"))
    assert receive(other, 7) == encode_frame(1201, b"a")
    assert routed.wait_event("dropped", connection).reason == "denied type"
    assert connection.stats().dropped == (0, 0, 0, 2)
    assert connection.published() == [1201]
    connection.allow(None, None)
    routed.sync(peer, connection)
    peer.sendall(TICK)
    assert receive(other, len(TICK)) == TICK


def test_a_type_that_it_may_not_receive_does_not_come(plane: Make) -> None:
    routed = plane()
    publisher, _ = routed.connect(PUBLISHER)
    everything, first = routed.connect(receive={1201})
    named, second = routed.subscriber(1200, 1201)
    second.allow(None, {1201})
    routed.sync(named, second)
    frames = TICK + encode_frame(1201, b"a")
    publisher.sendall(frames)
    assert receive(everything, 7) == receive(named, 7) == encode_frame(1201, b"a")
    for peer, connection in ((everything, first), (named, second)):
        connection.allow(None, None)
        routed.sync(peer, connection)
    publisher.sendall(frames)
    assert receive(everything, len(frames)) == receive(named, len(frames)) == frames


def test_a_peer_of_other_contracts_gets_and_sends_what_they_have(plane: Make) -> None:
    routed = plane(sizes={1200: 16, 1201: 1, 1202: 1}, forward_unknown=False)
    publisher, _ = routed.connect(PUBLISHER)
    everything, first = routed.connect(knows={1200, 1201})
    named, second = routed.connect(PUBLISHER, knows={1200, 1201}, receive={1201, 1202})
    second.subscribe(True, (1200, 1201, 1202))
    routed.sync(named, second)
    frames = {each: encode_frame(each, b"a") for each in (1201, 1202)}
    publisher.sendall(frames[1202] + TICK + frames[1202] + frames[1201] + TICK)
    assert receive(everything, 2 * len(TICK) + 7) == TICK + frames[1201] + TICK
    assert receive(named, 7) == frames[1201]
    # Permissions come and go; what it knows stays.
    second.allow(None, None)
    second.subscribe(True, None)
    routed.sync(named, second)
    publisher.sendall(frames[1202] + TICK)
    assert receive(named, len(TICK)) == receive(everything, len(TICK)) == TICK
    second.allow({1200, 1202}, None)
    routed.sync(named, second)
    named.sendall(frames[1202] * 2 + frames[1201] * 3 + TICK)
    assert receive(everything, len(TICK)) == TICK
    assert second.stats().dropped == (2, 0, 0, 3)
    routed.wait_event("dropped", second, 2)
    assert [each.reason for each in routed.events if each.kind == "dropped"] == [
        "unknown type",
        "denied type",
    ]
    assert second.published() == [1200]
    assert first.stats().dropped == (0, 0, 0, 0)


def test_a_limit_of_frames_holds_on_average_and_loses_nothing(plane: Make) -> None:
    routed = plane()
    begun = time.monotonic()
    publisher, connection = routed.connect(PUBLISHER, frames_per_s=1000.0)
    peer, _ = routed.connect()
    publisher.sendall(ticks(1600))
    assert receive(peer, 1600 * len(TICK)) == ticks(1600)
    assert time.monotonic() - begun >= 0.59  # 1000 at once, and then as many a second
    assert connection.stats().frames_in == 1600
    routed.wait_event("throttled", connection)
    publisher.sendall(ticks(20))
    receive(peer, 20 * len(TICK))
    routed.look(0)
    assert [each.kind for each in routed.events] == ["throttled"]


def test_a_limit_of_bytes_holds_and_lets_a_larger_frame_pass(plane: Make) -> None:
    routed = plane()
    begun = time.monotonic()
    publisher, _ = routed.connect(PUBLISHER, bytes_per_s=100_000.0)
    peer, _ = routed.connect()
    stream = encode_frame(1300, bytes(150_000)) + TICK
    publisher.sendall(stream)
    assert receive(peer, len(stream)) == stream
    assert time.monotonic() - begun >= 0.49


def test_dropped_frames_count_for_the_limit(plane: Make) -> None:
    routed = plane()
    begun = time.monotonic()
    publisher, connection = routed.connect(PUBLISHER, publish={1201}, frames_per_s=1000.0)
    peer, _ = routed.connect()
    publisher.sendall(TICK * 1500 + encode_frame(1201, b""))
    receive(peer, 6)
    assert time.monotonic() - begun >= 0.49
    assert connection.stats().dropped[3] == 1500


def test_a_limit_that_is_lifted_lets_go_at_once(plane: Make) -> None:
    routed = plane()
    publisher, connection = routed.connect(PUBLISHER, frames_per_s=0.001)
    peer, _ = routed.connect()
    publisher.sendall(ticks(10_000))
    routed.wait_event("throttled", connection)
    assert connection.stats().held
    connection.limit(0, 0)
    assert receive(peer, 10_000 * len(TICK)) == ticks(10_000)


def test_a_limited_sender_delays_nobody_else(plane: Make) -> None:
    routed = plane()
    slow, connection = routed.connect(PUBLISHER, frames_per_s=0.001)
    quick, _ = routed.connect(PUBLISHER)
    peer, _ = routed.subscriber(1201)
    slow.sendall(ticks(100))
    routed.wait_event("throttled", connection)
    quick.sendall(encode_frame(1201, b"") * 5000)
    assert receive(peer, 6 * 5000) == encode_frame(1201, b"") * 5000


@pytest.mark.parametrize("rates", [(-1.0, 0.0), (0.0, float("nan")), (float("inf"), 0.0)])
def test_a_rate_that_means_nothing_is_refused(plane: Make, rates: tuple[float, float]) -> None:
    _, connection = plane().connect()
    with pytest.raises(ValueError, match="rate"):
        connection.limit(*rates)


# Slow ones --------------------------------------------------------------------------------------------------


def overfill(routed: Plane, publisher: socket.socket, slow: RoutedConnection, frame: bytes = TICK) -> int:
    """Send until it misses frames; returns how many were sent."""
    sent = 0
    while not slow.stats().missed:
        publisher.sendall(frame * 100)
        sent += 100
    return sent


def test_a_slow_one_misses_frames_and_is_told_how_many_and_where(plane: Make) -> None:
    routed = plane(max_output=100_000)
    publisher, sending = routed.connect(PUBLISHER)
    slow, connection = routed.subscriber(1200, 1201, flags=LAG_REPORTS)
    sent = 0
    while connection.stats().missed < 1000:
        publisher.sendall(ticks(100, first=sent) + encode_frame(1201, b""))
        sent += 100
    routed.wait_stats(sending, lambda stats: stats.frames_in == sent // 100 * 101)
    missed = connection.stats().missed
    assert connection.stats().pending <= 100_000
    received, lost, others, expected = bytearray(), {}, 0, 0
    while expected < sent:
        received += slow.recv(1 << 16)
        place = 0
        while len(received) - place >= 6:
            type_id, length = struct.unpack_from("<HI", received, place)
            if len(received) - place < 6 + length:
                break
            if type_id == 1200:
                assert struct.unpack_from("<Q", received, place + 6)[0] == expected
                expected += 1
            elif type_id == LAGGED:
                lost_type, count = struct.unpack_from("<H6xQ", received, place + 6)
                assert lost_type not in lost
                lost[lost_type] = count
                expected += count if lost_type == 1200 else 0
            else:
                others += 1
            place += 6 + length
        del received[:place]
    routed.wait_event("lagging", connection)
    assert sum(lost.values()) == missed
    assert others + lost.get(1201, 0) == sent // 100


def test_one_that_keeps_up_misses_nothing_however_small_its_output(plane: Make) -> None:
    routed = plane(max_output=1000)
    publisher, _ = routed.connect(PUBLISHER)
    peer, connection = routed.connect()
    for first in range(0, 20_000, 2000):  # far more at once than may wait, and less than a socket holds
        publisher.sendall(ticks(2000, first=first))
        assert numbers(receive(peer, 2000 * len(TICK))) == list(range(first, first + 2000))
    assert connection.stats().missed == 0


def test_a_frame_larger_than_all_output_that_may_wait_is_delivered(plane: Make) -> None:
    routed = plane(max_output=1000)
    publisher, _ = routed.connect(PUBLISHER)
    peer, _ = routed.connect()
    frame = encode_frame(1300, os.urandom(1_000_000))
    publisher.sendall(frame)
    assert receive(peer, len(frame)) == frame


def test_what_it_missed_is_told_before_it_is_closed(plane: Make) -> None:
    routed = plane(max_output=50_000)
    publisher, sending = routed.connect(PUBLISHER)
    slow, connection = routed.subscriber(1200, flags=LAG_REPORTS)
    sent = overfill(routed, publisher, connection)
    routed.wait_stats(sending, lambda stats: stats.frames_in == sent)
    missed = connection.stats().missed
    connection.close(TIMEOUT_S)
    stream = receive_all(slow)
    assert stream == TICK * (sent - missed) + lagged(1200, missed)
    slow.close()
    assert routed.wait_event("ended", connection).reason == "asked"


def test_a_slow_one_is_disconnected_and_the_others_go_on(plane: Make) -> None:
    routed = plane(policy="disconnect", max_output=100_000)
    publisher, _ = routed.connect(PUBLISHER)
    _, connection = routed.subscriber(1200)
    peer, _ = routed.subscriber(1201)
    while connection.stats().frames_out * len(TICK) < 2_000_000 and not routed.events:
        publisher.sendall(TICK * 1000)
        routed.look(0)
    assert routed.wait_event("ended", connection).reason == "slow"
    publisher.sendall(encode_frame(1201, b""))
    receive(peer, 6)


def test_a_slow_one_holds_its_senders_and_loses_nothing(plane: Make) -> None:
    routed = plane(policy="block", max_output=100_000)
    publisher, sending = routed.connect(PUBLISHER)
    other, _ = routed.connect(PUBLISHER)
    slow, connection = routed.subscriber(1200)
    peer, _ = routed.subscriber(1201)
    thread = threading.Thread(target=publisher.sendall, args=(ticks(100_000),))
    thread.start()
    routed.wait_stats(sending, lambda stats: stats.held)
    other.sendall(encode_frame(1201, b"") * 1000)  # to somebody else: not held
    receive(peer, 6000)
    assert connection.stats().pending <= 100_000 + 2 * 256 * 1024
    assert receive(slow, 100_000 * len(TICK)) == ticks(100_000)
    thread.join()
    assert connection.stats().missed == 0


def test_a_plain_one_that_does_not_read_its_own_frames_holds_itself(plane: Make) -> None:
    routed = plane(policy="block", max_output=100_000)
    peer, connection = routed.connect()
    thread = threading.Thread(target=peer.sendall, args=(ticks(100_000),))
    thread.start()
    routed.wait_stats(connection, lambda stats: stats.held)
    assert receive(peer, 100_000 * len(TICK)) == ticks(100_000)
    thread.join()


def test_two_that_hold_each_other_are_parted_by_the_stall_timeout(plane: Make) -> None:
    routed = plane(policy="block", max_output=10_000, stall_timeout=0.3)
    (one, first), (two, second) = routed.subscriber(1201), routed.subscriber(1200)

    def send(sock: socket.socket, frame: bytes) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(frame * 200_000)

    threads = [
        threading.Thread(target=send, args=(one, encode_frame(1200, bytes(16)))),
        threading.Thread(target=send, args=(two, encode_frame(1201, bytes(16)))),
    ]
    for thread in threads:
        thread.start()
    give_up = time.monotonic() + TIMEOUT_S
    while not any(each.kind == "ended" for each in routed.events) and time.monotonic() < give_up:
        routed.look(0.1)
    assert {each.reason for each in routed.events if each.kind == "ended"} == {"slow"}
    for connection in (first, second):
        connection.close(0)
    for thread in threads:
        thread.join()


def test_one_that_reads_slowly_but_steadily_is_not_taken_for_stalled(plane: Make) -> None:
    routed = plane(policy="block", max_output=100_000, stall_timeout=1.5)
    publisher, sending = routed.connect(PUBLISHER)
    slow, connection = routed.subscriber(1200)
    thread = threading.Thread(target=publisher.sendall, args=(ticks(100_000),))
    thread.start()
    routed.wait_stats(sending, lambda stats: stats.held)
    received = b""
    for _ in range(12):  # 2.4 s, in which the kernel would not say yet that there is room
        received += receive(slow, 12_000)
        routed.look(0.2)
    assert [event.kind for event in routed.events] == ["lagging"]
    assert received + receive(slow, 100_000 * len(TICK) - len(received)) == ticks(100_000)
    thread.join()
    assert connection.stats().missed == 0


# Ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "reason"),
    [(b"", "closed"), (TICK, "closed"), (TICK[:10], "within a frame"), (TICK[:3], "within a frame")],
)
def test_the_end_says_whether_it_was_within_a_frame(plane: Make, stream: bytes, reason: str) -> None:
    routed = plane()
    peer, connection = routed.connect(PUBLISHER)
    peer.sendall(stream)
    peer.close()
    assert routed.wait_event("ended", connection).reason == reason


def test_one_that_closed_its_side_gets_what_waits_for_it(plane: Make) -> None:
    routed = plane(max_output=1 << 22)
    publisher, sending = routed.connect(PUBLISHER)
    peer, connection = routed.subscriber(1200)
    publisher.sendall(ticks(50_000))
    routed.wait_stats(sending, lambda stats: stats.frames_in == 50_000)
    assert connection.stats().pending
    peer.shutdown(socket.SHUT_WR)
    assert receive_all(peer) == ticks(50_000)
    assert routed.wait_event("ended", connection).reason == "closed"


def test_one_that_is_closed_gets_what_waits_and_then_the_end(plane: Make) -> None:
    routed = plane(max_output=1 << 22)
    publisher, sending = routed.connect(PUBLISHER)
    peer, connection = routed.subscriber(1200)
    publisher.sendall(ticks(50_000))
    routed.wait_stats(sending, lambda stats: stats.frames_in == 50_000)
    connection.close(TIMEOUT_S)
    assert receive_all(peer) == ticks(50_000)
    peer.close()
    assert routed.wait_event("ended", connection).reason == "asked"
    assert connection.stats().frames_out == 50_000


def test_one_that_takes_nothing_is_closed_in_time(plane: Make) -> None:
    routed = plane()
    publisher, _ = routed.connect(PUBLISHER)
    _, connection = routed.subscriber(1200)
    overfill(routed, publisher, connection)
    connection.close(0.1)
    event = routed.wait_event("ended", connection)
    assert event.reason == "asked"
    assert event.number > 0  # bytes that it did not take


def test_a_copy_of_the_socket_elsewhere_does_not_keep_the_peer_waiting(plane: Make) -> None:
    # As a process has it that was forked meanwhile.
    routed = plane()
    ours, its = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    routed.peers.append(ours)
    with its.dup():
        connection = routed.router.add(its, 1, 0)
        connection.close(0)
        routed.wait_event("ended", connection)
        assert ours.recv(1) == b""
        peer, _ = routed.connect()  # and the router goes on
        peer.sendall(TICK)
        assert receive(peer, len(TICK)) == TICK


def test_one_that_is_gone_while_held_takes_no_time_of_the_router(plane: Make) -> None:
    routed = plane()
    peer, connection = routed.connect()
    peer.sendall(encode_frame(HELLO, bytes(4)) + TICK)  # which waits for the answer
    peer.close()
    other, marker = routed.connect()
    routed.sync(other, marker)
    before = resource.getrusage(resource.RUSAGE_SELF)
    select.select([], [], [], 0.5)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.1  # a router that is told of the end again and again uses all of it
    connection.set_flags(0)
    assert receive(other, len(TICK)) == TICK  # what it sent before
    assert routed.wait_event("ended", connection).reason == "closed"


def test_figures_and_types_of_a_connection_outlive_it(plane: Make) -> None:
    routed = plane()
    peer, connection = routed.connect(PUBLISHER)
    peer.sendall(TICK * 3 + encode_frame(60_000, b"") + encode_frame(1000, b"a"))
    peer.close()
    routed.wait_event("ended", connection)
    stats = connection.stats()
    assert (stats.frames_in, stats.bytes_in) == (5, 3 * len(TICK) + 6 + 7)
    assert connection.published() == [1000, 1200, 60_000]
    connection.send(TICK)  # nothing comes of these
    connection.subscribe(True, [1200])
    connection.allow(set(), set())
    connection.limit(1, 1)
    connection.set_flags(0)
    connection.close(0)
    assert connection.stats() == stats
    assert routed.router.all_type_stats() == {1000: (1, 7), 1200: (3, 66), 60_000: (1, 6)}
    assert routed.router.type_stats(1200) == (3, 66)


def test_stopping_sends_what_waits_and_ends_everyone(plane: Make) -> None:
    routed = plane(max_output=1 << 22)
    publisher, sending = routed.connect(PUBLISHER)
    peer, _ = routed.subscriber(1200)
    publisher.sendall(ticks(50_000))
    routed.wait_stats(sending, lambda stats: stats.frames_in == 50_000)
    routed.router.stop(TIMEOUT_S)
    assert receive_all(peer) == ticks(50_000)
    for each in routed.peers:
        each.close()
    routed.router.join()
    routed.events += routed.router.events()
    assert [each.reason for each in routed.events if each.kind == "ended"] == ["asked", "asked"]


def test_a_router_that_runs_cannot_be_closed_and_a_closed_one_is_silent(plane: Make) -> None:
    routed = plane()
    peer, connection = routed.connect()
    peer.sendall(TICK)
    receive(peer, len(TICK))
    with pytest.raises(ValueError, match="still runs"):
        routed.router.close()
    routed.router.stop(0)
    routed.router.join()
    routed.router.close()
    routed.router.close()
    assert connection.stats().frames_in == 1
    assert connection.published() == [1200]
    connection.close(0)
    with pytest.raises(ValueError, match="closed"):
        routed.router.events()


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": "wait"},
        {"max_output": 0},
        {"max_payload": 1 << 32},
        {"sizes": {65536: 1}},
        {"sizes": {1200: -1}},
        {"core": {1000: 1}},
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no |not a size"):
        Plane(**wrong)


def test_a_router_that_never_ran_closes_its_sockets() -> None:
    router = Router(
        policy="drop", sizes=None, core={}, forward_unknown=True, max_payload=1, max_output=1, stall_timeout=1
    )
    ours, its = socket.socketpair()
    with ours:
        ours.settimeout(TIMEOUT_S)
        connection = router.add(its, 1, 0)
        del router, connection
        gc.collect()
        assert ours.recv(1) == b""


# Many -------------------------------------------------------------------------------------------------------


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Room for 2,500 open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2500:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
def test_a_thousand_connections_each_get_every_frame(plane: Make) -> None:
    routed = plane()
    peers = [routed.connect()[0] for _ in range(1000)]
    for number in (0, 500, 999):
        peers[number].sendall(ticks(1, first=number))
        for peer in peers:
            assert numbers(receive(peer, len(TICK))) == [number]


@pytest.mark.usefixtures("descriptors")
def test_connections_come_and_go_under_load_and_leave_nothing_behind(plane: Make) -> None:
    routed = plane(policy="block")
    publisher, _ = routed.connect(PUBLISHER)
    peer, _ = routed.subscriber(1200)
    for _ in range(300):
        routed.subscriber(1200 + len(routed.peers))
    before = len(os.listdir("/dev/fd"))
    received = 0
    for number in range(2000):
        passing, connection = routed.connect(PUBLISHER)
        connection.subscribe(True, range(2000, 2010))
        publisher.sendall(TICK)
        passing.sendall(TICK + TICK[: number % len(TICK)])
        routed.peers.pop().close()
        received += len(receive(peer, len(TICK)))
        if number % 100 == 0:
            routed.look(0)
    receive(peer, 4000 * len(TICK) - received)
    give_up = time.monotonic() + TIMEOUT_S
    while sum(each.kind == "ended" for each in routed.events) < 2000 and time.monotonic() < give_up:
        routed.look(0.1)
    assert sum(each.kind == "ended" for each in routed.events) == 2000
    assert len(os.listdir("/dev/fd")) == before
