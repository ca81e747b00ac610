"""The demo's traffic: numbered messages, the process that publishes them, and the one that checks each.

`python -m mycelium_fast.cli.demo_traffic publish|check SOCKET` runs one of the two; it takes its `Plan` as a
line of JSON on standard input and reports in lines of JSON on standard output. Starting them is `demo.py`'s
work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import select
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Generic, TypeVar

from ..bus.subscriber import Subscriber
from ..bus.transports import UnixTransport

__all__ = ["Checker", "Plan", "TextChecker", "TickChecker", "make_text", "make_tick"]

_REPORT_EVERY_S: Final = 0.2
#: Messages of either class that are published with one call.
_TICKS_AT_ONCE: Final = 1000
_TEXTS_AT_ONCE: Final = 100
#: Sender of the messages that the checking process sends itself, before the first and after the last.
_MARKER: Final = "marker"
#: Texts of every length, with characters of one to four bytes; at most 200 bytes.
_FILLINGS: Final = ["aé€😀"[: n % 5] * (n % 20) for n in range(100)]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is sent.

    Attributes:
        ticks: number of `TradeTick`s.
        texts: number of `TextMessage`s.
        contracts: path of the contracts file to load; None for the example messages of the package.
        clock_offset_ns: what the monotonic clock is behind Unix time, the same for both processes.
        fault: "", or what is done wrong on purpose with the middle tick: lose, alter, repeat.
    """

    ticks: int
    texts: int
    contracts: str | None
    clock_offset_ns: int
    fault: str = ""

    def now(self) -> int:
        """Nanoseconds since 1970, on a clock that never steps back."""
        return time.monotonic_ns() + self.clock_offset_ns

    def messages(self) -> Any:
        """The generated module."""
        if self.contracts is None:
            return importlib.import_module("mycelium_fast.example_messages")
        from ..codegen.load import load

        return load(self.contracts)


def make_tick(number: int) -> tuple[int, int]:
    """Price and size of the tick of this number, from 1; the size has bits of the number everywhere."""
    return number, (number * 0x9E37_79B9_7F4A_7C15) & 0xFFFF_FFFF_FFFF_FFFF


def make_text(number: int) -> tuple[str, str]:
    """Sender and content of the text of this number, from 1."""
    return f"demo {number % 97}", f"{number} {_FILLINGS[number % 100]}"


M = TypeVar("M")


class Checker(Generic[M]):
    """Compares what arrives with the numbers from 1 to `total`, in order, each once.

    Attributes:
        received: messages that came, whatever they were.
        different: messages that are none of those sent; each stands for the one expected in its place.
        repeated: messages that had come before.
        late: messages that came after one of a higher number.
        ended: the marker came.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.received = 0
        self.different = 0
        self.repeated = 0
        self.late = 0
        self.ended = False
        self.last_arrival_ns = 0
        self._next = 1
        self._missing: set[int] = set()

    @property
    def lost(self) -> int:
        """Numbers that have not come."""
        return len(self._missing) + max(0, self.total + 1 - self._next)

    def check(self, batch: Sequence[M]) -> None:
        """Compare every field of every message."""
        expected = self._next
        for message in batch:
            if self.is_number(message, expected):
                expected += 1
            else:
                self._next = expected
                self._place(message)
                expected = self._next
        self._next = expected
        self.received += len(batch) - self.ended

    def _place(self, message: M) -> None:
        """A message that is not the expected one."""
        if self.is_marker(message):
            self.ended = True
            return
        number = self.number(message)
        if number is None or not 1 <= number <= self.total or not self.is_number(message, number):
            self.different += 1
            self._next += 1
        elif number >= self._next:
            self._missing.update(range(self._next, number))
            self._next = number + 1
        elif number in self._missing:
            self._missing.discard(number)
            self.late += 1
        else:
            self.repeated += 1

    def is_number(self, message: M, number: int) -> bool:
        """Whether it is, in every field, the message of this number."""
        raise NotImplementedError

    def number(self, message: M) -> int | None:
        """The number that the message claims to have."""
        raise NotImplementedError

    def is_marker(self, message: M) -> bool:
        """Whether it is the checking process's own."""
        raise NotImplementedError


class TickChecker(Checker[Any]):
    """Checks `TradeTick`s."""

    def is_number(self, message: Any, number: int) -> bool:
        """Price and size."""
        return (message.price, message.size) == make_tick(number)

    def number(self, message: Any) -> int | None:
        """The price."""
        return int(message.price)

    def is_marker(self, message: Any) -> bool:
        """Numbers start at 1."""
        return (message.price, message.size) == (0, 0)


class TextChecker(Checker[Any]):
    """Checks `TextMessage`s and takes their latencies, in nanoseconds.

    Args:
        now: the clock that senders take their time stamps from.
    """

    def __init__(self, total: int, now: Callable[[], int]) -> None:
        super().__init__(total)
        self.latencies = array("Q")
        self._now = now
        self._start = self._arrival = now()

    def check(self, batch: Sequence[Any]) -> None:
        """Compare every field of every message; they all arrived just now."""
        self._arrival = self._now()
        super().check(batch)

    def is_number(self, message: Any, number: int) -> bool:
        """Sender, content, and a time stamp between start and arrival."""
        if (message.sender, message.content) != make_text(number):
            return False
        timestamp = message.timestamp
        if not self._start <= timestamp <= self._arrival:
            return False
        self.latencies.append(self._arrival - timestamp)
        return True

    def number(self, message: Any) -> int | None:
        """The number that the content starts with."""
        digits = message.content.partition(" ")[0]
        return int(digits) if digits.isdecimal() else None

    def is_marker(self, message: Any) -> bool:
        """No other sender has this name."""
        return bool(message.sender == _MARKER)


def publish(path: str, plan: Plan) -> None:
    """Publish everything, ticks and texts in turns, when a line on standard input says so."""
    messages = plan.messages()
    tick_class, text_class = messages.TradeTick, messages.TextMessage
    with UnixTransport(path, messages.SCHEMA_DIGEST) as transport:
        ticks, texts = transport.publisher(tick_class), transport.publisher(text_class)
        _report(ready=True)
        sys.stdin.readline()
        start_ns = time.monotonic_ns()
        reported_ns = start_ns
        for first, count in _portions(plan):
            portion = [tick_class(*make_tick(number)) for number in range(first[0], first[0] + count[0])]
            _spoil(portion, first[0], plan)
            ticks.publish_many(portion)
            texts.publish_many(
                [
                    text_class(*make_text(number), plan.now())
                    for number in range(first[1], first[1] + count[1])
                ]
            )
            now_ns = time.monotonic_ns()
            if now_ns - reported_ns > _REPORT_EVERY_S * 1e9:
                reported_ns = now_ns
                _report(sent=sum(first) - 2 + sum(count))
    # Leaving the block waited until the bridge had read everything.
    _report(sent=plan.ticks + plan.texts, start_ns=start_ns)


def _portions(plan: Plan) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """First numbers and counts of (ticks, texts), so that both are spread evenly."""
    parts = max(1, -(-plan.ticks // _TICKS_AT_ONCE), -(-plan.texts // _TEXTS_AT_ONCE))
    for part in range(parts):
        tick, text = plan.ticks * part // parts, plan.texts * part // parts
        ends = plan.ticks * (part + 1) // parts, plan.texts * (part + 1) // parts
        yield (tick + 1, text + 1), (ends[0] - tick, ends[1] - text)


def _spoil(portion: list[Any], first: int, plan: Plan) -> None:
    """Do what is to be done wrong with the middle tick, if it is in here."""
    place = (plan.ticks + 1) // 2 - first
    if not plan.fault or not 0 <= place < len(portion):
        return
    if plan.fault == "lose":
        del portion[place]
    elif plan.fault == "repeat":
        portion.insert(place, portion[place])
    else:
        portion[place] = portion[place].replace(size=0)


def check(path: str, plan: Plan) -> None:
    """Check everything that arrives until a line on standard input says that the publisher is done.

    A plain bridge sends a client its own frames too, in order: a marker that has come back shows at the start
    that the bridge delivers to us, at the end that nothing can come any more.
    """
    messages = plan.messages()
    with UnixTransport(path, messages.SCHEMA_DIGEST) as transport:
        markers = [
            (transport.publisher(messages.TradeTick), messages.TradeTick(0, 0)),
            (transport.publisher(messages.TextMessage), messages.TextMessage(_MARKER, _MARKER, 0)),
        ]
        subscribers = [transport.subscriber(messages.TradeTick), transport.subscriber(messages.TextMessage)]
        for (publisher, marker), subscriber in zip(markers, subscribers, strict=True):
            publisher.publish(marker)
            subscriber.recv()
        texts = TextChecker(plan.texts, plan.now)
        checkers: list[Checker[Any]] = [TickChecker(plan.ticks), texts]
        threads = [
            threading.Thread(target=_check_all, args=pair, daemon=True)
            for pair in zip(checkers, subscribers, strict=True)
        ]
        for thread in threads:
            thread.start()
        _report(ready=True)
        while not select.select([sys.stdin], [], [], _REPORT_EVERY_S)[0]:
            _report(received=sum(checker.received for checker in checkers))
        if sys.stdin.readline():
            for publisher, marker in markers:
                publisher.publish(marker)
            while any(thread.is_alive() for thread in threads):
                _report(received=sum(checker.received for checker in checkers))
                for thread in threads:
                    thread.join(_REPORT_EVERY_S)
        _report(
            received=sum(checker.received for checker in checkers),
            lost=sum(checker.lost for checker in checkers),
            different=sum(checker.different for checker in checkers),
            repeated=sum(checker.repeated for checker in checkers),
            late=sum(checker.late for checker in checkers),
            end_ns=max(checker.last_arrival_ns for checker in checkers),
            latency_us=_percentiles(texts.latencies),
            undecodable=sum(subscriber.decode_errors for subscriber in subscribers),
        )


def _check_all(checker: Checker[Any], subscriber: Subscriber[Any]) -> None:
    for batch in subscriber.batches():
        arrival_ns = time.monotonic_ns()
        checker.check(batch)
        if checker.ended:
            return
        checker.last_arrival_ns = arrival_ns


def _percentiles(latencies_ns: Sequence[int]) -> dict[str, float]:
    ordered = sorted(latencies_ns)
    if not ordered:
        return {}
    last = len(ordered) - 1
    places = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "max": 1.0}
    return {name: ordered[round(last * place)] / 1000 for name, place in places.items()}


def _report(**values: object) -> None:
    print(json.dumps(values), flush=True)


def main() -> None:
    """Run one of the two processes."""
    role, path = sys.argv[1:]
    plan = Plan(**json.loads(sys.stdin.readline()))
    # Whoever started this process is gone, or interrupted it: there is nobody to tell.
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        {"publish": publish, "check": check}[role](path, plan)


if __name__ == "__main__":
    main()
