"""Two processes and one Unix socket, for the growth of cost: messages of a size, of many types, and windows
of them.

One-way functions return the moment (monotonic nanoseconds) at which they sent the first message or had taken
the last one; those of round trips the nanoseconds that they took.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic_ns, perf_counter_ns
from typing import Any

from contenders import growth_contracts as contracts
from contenders.growth_traffic import load, read_from
from contenders.limits import checked
from harness.processes import Process, Ready, accept, connect, together

from mycelium_fast import SocketTransport, UnixTransport
from mycelium_fast.example_messages import TradeTick

_SIZE = 2_500


class OneWay:
    """One contender's turn over a new connection: called with a number of messages, gives the nanoseconds
    they took.

    Args:
        per: the number of messages is made a multiple of this.
        receiving, sending: a function of this module and its arguments, after path and number.
    """

    def __init__(
        self,
        processes: tuple[Process, Process],
        path: Path,
        receiving: Sequence[Any],
        sending: Sequence[Any],
        per: int = 1,
    ) -> None:
        self._sender, self._receiver = processes
        self._path = str(path)
        self._receiving = receiving
        self._sending = sending
        self._per = per

    def __call__(self, count: int, check: bool = False) -> float:
        whole = -(-count // self._per) * self._per
        receive, *receiving = self._receiving
        send, *sending = self._sending
        end, start = together(
            self._receiver,
            (receive, self._path, whole, check, *receiving),
            self._sender,
            (send, self._path, whole, *sending),
        )
        return float((end - start) * count / whole)

    def check(self) -> None:
        """A turn in which every message is compared."""
        self(2 * self._per, True)


# --- messages of a size -------------------------------------------------------------------------------------


def send_sized(_ready: Ready, path: str, count: int, schema: contracts.Contracts, size: int) -> int:
    message_class = schema.load().MESSAGES[contracts.SIZED[size]]
    message = message_class.from_bytes(contracts.payload(size))
    with UnixTransport(path, handshake=False) as transport:
        publish = transport.publisher(message_class).publish
        start = monotonic_ns()
        for _ in range(count):
            publish(message)
        return start


def receive_sized(
    ready: Ready, path: str, count: int, check: bool, schema: contracts.Contracts, size: int
) -> int:
    message_class = schema.load().MESSAGES[contracts.SIZED[size]]
    expected = contracts.payload(size)
    received = 0
    message: Any = None
    with SocketTransport(accept(ready, path), handshake=False) as transport:
        for message in transport.subscriber(message_class):
            received += 1
            if check:
                _expect(message.to_bytes(), expected)
        end = monotonic_ns()
    _expect((received, message.to_bytes()), (count, expected))
    return end


# --- streams of many types ----------------------------------------------------------------------------------


def receive_types(ready: Ready, path: str, count: int, check: bool, schema: contracts.Contracts) -> int:
    """All types that the schema has."""
    module = schema.load()
    type_ids = sorted(module.MESSAGES)
    frames = contracts.tick_frames(type_ids)
    received = 0
    message: Any = None
    with SocketTransport(accept(ready, path), handshake=False) as transport:
        for message in transport.subscriber(tuple(module.MESSAGES[each] for each in type_ids)):
            if check:
                _expect(message.to_frame(), frames[received % len(frames)])
            received += 1
        end = monotonic_ns()
    _expect((received, message.to_frame()), (count, frames[(count - 1) % len(frames)]))
    return end


def send_c(_ready: Ready, path: str, count: int, library: Path, pattern: bytes, per: int) -> int:
    """The pattern of so many messages, in one call."""
    with connect(path) as sock:
        return checked(load(library).growth_write(sock.fileno(), pattern, len(pattern), count // per))


def receive_c(
    ready: Ready, path: str, count: int, check: bool, library: Path, pattern: bytes, per: int
) -> int:
    with accept(ready, path) as sock:
        return read_from([(sock, pattern)], count // per, check, library)


# --- round trips of many messages at once -------------------------------------------------------------------


class Trips:
    """One contender's round trips: called with a number of messages, gives the nanoseconds they took."""

    def __init__(
        self,
        processes: tuple[Process, Process],
        path: Path,
        window: int,
        asking: Sequence[Any],
        answering: Sequence[Any],
    ) -> None:
        self._asking_process, self._answering_process = processes
        self._path = str(path)
        self._window = window
        self._asking = asking
        self._answering = answering

    def __call__(self, count: int) -> float:
        times = -(-count // self._window)
        ask, *asking = self._asking
        answer, *answering = self._answering
        _, took = together(
            self._answering_process,
            (answer, self._path, *answering),
            self._asking_process,
            (ask, self._path, times, self._window, *asking),
        )
        return float(took * count / (times * self._window))


def ask_each(_ready: Ready, path: str, times: int, window: int) -> int:
    """`publish` for each message of a window, `recv` for each answer."""
    with UnixTransport(path, handshake=False) as transport:
        publish = transport.publisher(TradeTick).publish
        recv = transport.subscriber(TradeTick).recv
        start = perf_counter_ns()
        for _ in range(times):
            for number in range(window):
                publish(TradeTick(price=number, size=_SIZE))
            for number in range(window):
                if recv().price != number:
                    raise RuntimeError("another message came back")
        return perf_counter_ns() - start


def answer_each(ready: Ready, path: str) -> None:
    with SocketTransport(accept(ready, path), handshake=False) as transport:
        publish = transport.publisher(TradeTick).publish
        for tick in transport.subscriber(TradeTick):
            publish(tick)


def ask_lists(_ready: Ready, path: str, times: int, window: int) -> int:
    """`publish_many` for a window, lists as they come for the answers."""
    with UnixTransport(path, handshake=False) as transport:
        publish_many = transport.publisher(TradeTick).publish_many
        batches = transport.subscriber(TradeTick).batches()
        start = perf_counter_ns()
        for _ in range(times):
            publish_many([TradeTick(price=number, size=_SIZE) for number in range(window)])
            received = 0
            while received < window:
                for tick in next(batches):
                    if tick.price != received:
                        raise RuntimeError("another message came back")
                    received += 1
        return perf_counter_ns() - start


def answer_lists(ready: Ready, path: str) -> None:
    with SocketTransport(accept(ready, path), handshake=False) as transport:
        publish_many = transport.publisher(TradeTick).publish_many
        for ticks in transport.subscriber(TradeTick).batches():
            publish_many(ticks)


def ask_c(_ready: Ready, path: str, times: int, window: int, library: Path, at_once: bool) -> int:
    """Ready bytes: those of a window in one call, or each message's."""
    frames = [TradeTick(price=number, size=_SIZE).to_frame() for number in range(window)]
    pattern = b"".join(frames)
    piece = len(pattern) if at_once else len(frames[0])
    with connect(path) as sock:
        return checked(load(library).growth_ask(sock.fileno(), pattern, len(pattern), piece, times))


def answer_c(ready: Ready, path: str, library: Path) -> None:
    with accept(ready, path) as sock:
        checked(load(library).growth_echo(sock.fileno()))


def _expect(received: Any, sent: Any) -> None:
    if received != sent:
        raise RuntimeError(f"received {str(received)[:200]}, expected {str(sent)[:200]}")
