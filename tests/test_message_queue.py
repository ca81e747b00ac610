"""The queue of one subscriber, without a connection: order, counts, and what happens when it is full."""

from __future__ import annotations

import struct
import threading
import tracemalloc
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mycelium_fast
from mycelium_fast import example_messages
from mycelium_fast.bus.message_queue import BadFrames, MessageQueue, RawMessage
from mycelium_fast.codec.frames import Run, encode_frame, runs_of
from mycelium_fast.errors import DecodeError, SubscriberOverflow, ValidationError
from mycelium_fast.example_messages import TextMessage, TradeTick

POLICIES = ("block", "drop_oldest", "drop_newest", "latest", "error")
BAD_TICK = struct.pack("<HI", TradeTick.TYPE_ID, 3) + b"abc"


def ticks(*numbers: int) -> list[Any]:
    return [TradeTick(price=number, size=1) for number in numbers]


def run_of(*messages: Any) -> Run:
    (run,) = runs_of(b"".join(message.to_frame() for message in messages))
    return run


def run_of_ticks(first: int, end: int) -> Run:
    return run_of(*ticks(*range(first, end)))


def text(number: int, *, bad: bool = False) -> bytes:
    """A frame, if `bad` against a rule, whose number can be read back."""
    frame = bytearray(TextMessage(sender="x", content="y", timestamp=number).to_frame())
    if bad:
        frame[6:8] = b"\0\0"  # the sender, which must not be empty
    return bytes(frame)


def queue_of(*classes: Any, capacity: int = 10, overflow: str = "block", **options: Any) -> MessageQueue:
    return MessageQueue(classes, capacity=capacity, overflow=overflow, **options)  # type: ignore[arg-type]


def prices(messages: list[Any]) -> list[int]:
    return [message.price for message in messages]


# Against a model ----------------------------------------------------------------------------------


class Model:
    """What a queue is to do, one frame at a time, with numbers for messages."""

    def __init__(self, capacity: int, overflow: str) -> None:
        self.capacity = 1 if overflow == "latest" else capacity
        self.overflow = overflow
        self.items: deque[int] = deque()
        self.received = self.dropped = self.bad = 0
        self.failed = False

    def offer(self, frames: list[tuple[int, bool]], force: bool) -> int:
        for index, (number, bad) in enumerate(frames):
            if self.overflow == "block" and not force and len(self.items) >= self.capacity:
                return index
            if bad and not self.failed_before:
                self.bad += 1
                continue
            self.received += 1
            if self.failed:
                self.dropped += 1
            elif len(self.items) < self.capacity or self.overflow == "block":
                self.items.append(number)
            elif self.overflow in ("drop_newest", "error"):
                self.dropped += 1
                self.failed = self.overflow == "error"
            else:
                self.items.popleft()
                self.items.append(number)
                self.dropped += 1
        return len(frames)

    def offer_whole(self, frames: list[tuple[int, bool]], force: bool) -> int:
        # Frames are not looked at once the queue has failed; within the run that it fails on, they are.
        self.failed_before = self.failed
        return self.offer(frames, force)


offers = st.tuples(
    st.just("offer"),
    st.lists(st.booleans().map(lambda good: not good), min_size=1, max_size=12),
    st.booleans(),
)
actions = st.one_of(
    offers,
    offers,
    st.tuples(st.just("take"), st.integers(1, 8)),
    st.tuples(st.just("take_all")),
    st.tuples(st.just("take_array")),
    st.tuples(st.just("use_arrays")),
)


@settings(max_examples=400, deadline=None)
@given(
    overflow=st.sampled_from(POLICIES),
    capacity=st.integers(1, 9),
    steps=st.lists(actions, max_size=40),
)
def test_any_sequence_of_offers_and_takes_keeps_order_and_exact_counts(
    overflow: str, capacity: int, steps: list[Any]
) -> None:
    queue, model = queue_of(TextMessage, capacity=capacity, overflow=overflow), Model(capacity, overflow)
    numbers = iter(range(10**6))
    high_water = 0
    for action, *arguments in steps:
        if action == "offer":
            frames = [(next(numbers), bad) for bad in arguments[0]]
            (run,) = runs_of(b"".join(text(number, bad=bad) for number, bad in frames))
            start = len(frames) // 3
            taken = queue.offer(run, start, arguments[1])
            assert taken == model.offer_whole(frames[start:], arguments[1])
            assert queue.full or taken == len(frames) - start
        elif action == "take":
            for _ in range(arguments[0]):
                if model.items:
                    assert queue.take().timestamp == model.items.popleft()
                else:
                    with pytest.raises(IndexError):
                        queue.take()
        elif action == "take_all":
            assert [message.timestamp for message in queue.take_all()] == list(model.items)
            model.items.clear()
        elif action == "use_arrays":
            queue.use_arrays()
        else:
            table = queue.take_array()
            assert (table is None) == (not model.items)
            if table is not None:
                assert table["timestamp"].tolist() == [model.items.popleft() for _ in range(len(table))]
        high_water = max(high_water, len(model.items))
        assert (queue.received, queue.dropped, queue.waiting, queue.decode_errors, queue.failed) == (
            model.received,
            model.dropped,
            len(model.items),
            model.bad,
            model.failed,
        )
        assert len(queue) == queue.waiting
        assert queue.ready() == (bool(model.items) or model.failed)
        assert not queue.full or queue.waiting > queue.capacity // 2
        if overflow != "block":
            assert queue.waiting <= model.capacity
    assert queue.high_water == high_water
    assert [message.timestamp for message in queue.take_all()] == list(model.items)


def number_of(message: Any) -> int:
    return int(message.price if isinstance(message, TradeTick) else message.timestamp)


mixed_frames = st.lists(
    st.one_of(st.just("tick"), st.just("text"), st.just("bad"), st.integers(2, 30)), min_size=1, max_size=30
)


@settings(max_examples=400, deadline=None)
@given(
    overflow=st.sampled_from(POLICIES),
    capacity=st.integers(1, 40),
    steps=st.lists(
        st.one_of(mixed_frames, st.integers(1, 12), st.sampled_from(["all", "array", "arrays"])), max_size=25
    ),
)
def test_types_that_alternate_keep_order_and_exact_counts(
    overflow: str, capacity: int, steps: list[Any]
) -> None:
    """Runs of one frame or of a few, and long ones among them."""
    queue = queue_of(TradeTick, TextMessage, capacity=capacity, overflow=overflow)
    model = Model(capacity, overflow)
    numbers = iter(range(10**6))
    high_water = 0
    for step in steps:
        if isinstance(step, list):
            frames, bad = b"", []
            for kind in step:
                for _ in range(kind if isinstance(kind, int) else 1):
                    number = next(numbers)
                    is_text = kind in ("text", "bad")
                    frames += text(number, bad=kind == "bad") if is_text else ticks(number)[0].to_frame()
                    bad.append((number, kind == "bad"))
            for run in runs_of(frames):
                offered, bad = bad[: run.count], bad[run.count :]
                taken = queue.offer(run, 0, False)
                assert taken == model.offer_whole(offered, False)
                high_water = max(high_water, len(model.items))
                if taken < run.count:
                    assert queue.full
                    break
        elif isinstance(step, int):
            for _ in range(min(step, len(model.items))):
                assert number_of(queue.take()) == model.items.popleft()
        elif step == "all":
            assert [number_of(each) for each in queue.take_all()] == list(model.items)
            model.items.clear()
        elif step == "arrays":
            queue.use_arrays()
        else:
            table = queue.take_array()
            assert (table is None) == (not model.items)
            if table is not None:
                column = "price" if "price" in (table.dtype.names or ()) else "timestamp"
                assert table[column].tolist() == [model.items.popleft() for _ in range(len(table))]
        assert (queue.received, queue.dropped, queue.waiting, queue.decode_errors, queue.failed) == (
            model.received,
            model.dropped,
            len(model.items),
            model.bad,
            model.failed,
        )
    assert queue.high_water == high_water
    assert [number_of(each) for each in queue.take_all()] == list(model.items)


@settings(max_examples=200, deadline=None)
@given(
    overflow=st.sampled_from(POLICIES[1:4]),
    capacity=st.integers(1, 6),
    steps=st.lists(
        st.one_of(
            st.tuples(
                st.lists(st.booleans().map(lambda good: not good), min_size=1, max_size=8), st.booleans()
            ),
            st.integers(1, 4),
            st.none(),
        ),
        max_size=40,
    ),
)
def test_a_trace_context_stays_with_its_message(overflow: str, capacity: int, steps: list[Any]) -> None:
    """The first frame of a run has one, or has not; what becomes of its message becomes of it."""
    queue = queue_of(TextMessage, capacity=capacity, overflow=overflow)
    numbers = iter(range(10**6))
    traced: dict[int, tuple[bytes, bytes, int]] = {}

    def expected(messages: list[Any]) -> list[Any]:
        return [traced[message.timestamp] for message in messages if message.timestamp in traced]

    for step in steps:
        if step is None:
            messages = queue.take_all()
            assert queue.contexts(len(messages)) == expected(messages)
        elif isinstance(step, int):
            for _ in range(min(step, queue.waiting)):
                message = queue.take()
                assert queue.contexts(1) == expected([message])
        else:
            bad, with_context = step
            frames = [(next(numbers), each) for each in bad]
            (run,) = runs_of(b"".join(text(number, bad=each) for number, each in frames))
            if with_context:
                context = (frames[0][0].to_bytes(16, "big"), bytes(8), 1)
                traced[frames[0][0]] = context
                queue.traced(context)
            queue.offer(run, 0, False)


# Trace contexts -----------------------------------------------------------------------------------

CONTEXT = (bytes(range(16)), bytes(8), 1)


def test_the_context_of_a_frame_that_waits_for_room_comes_with_it() -> None:
    queue = queue_of(TradeTick, capacity=2)
    queue.offer(run_of_ticks(0, 2), 0, False)
    queue.traced(CONTEXT)
    assert queue.offer(run_of_ticks(2, 4), 0, False) == 0
    assert prices(queue.take_all()) == [0, 1]
    assert queue.contexts(2) == []
    assert queue.offer(run_of_ticks(2, 4), 0, False) == 2
    assert (queue.take().price, queue.contexts(1)) == (2, [CONTEXT])
    assert (queue.take().price, queue.contexts(1)) == (3, [])


def test_a_context_is_that_of_the_message_taken_whatever_is_dropped_meanwhile() -> None:
    queue = queue_of(TradeTick, capacity=3, overflow="drop_oldest")
    queue.traced(CONTEXT)
    queue.offer(run_of_ticks(0, 3), 0, False)
    assert queue.take().price == 0
    queue.offer(run_of_ticks(3, 9), 0, False)  # another thread, before this one asks
    assert queue.contexts(1) == [CONTEXT]
    assert queue.contexts(1) == []


def test_contexts_of_dropped_messages_are_not_kept() -> None:
    queue = queue_of(TradeTick, capacity=1, overflow="latest")
    for number in range(10_000):
        queue.traced((number.to_bytes(16, "big"), bytes(8), 1))
        queue.offer(run_of_ticks(number, number + 1), 0, False)
    assert queue.take().price == 9999
    assert len(queue.contexts(10_000)) < 100


# Several classes, arrays, raw ---------------------------------------------------------------------


def test_classes_share_a_queue_in_the_order_of_the_wire() -> None:
    queue = queue_of(TradeTick, TextMessage)
    for number in range(0, 8, 2):
        assert queue.offer(run_of_ticks(number, number + 1), 0, False) == 1
        assert queue.offer(runs_of(text(number + 1))[0], 0, False) == 1
    got = queue.take_all()
    assert [type(each) for each in got] == [TradeTick, TextMessage] * 4
    assert [each.price if isinstance(each, TradeTick) else each.timestamp for each in got] == list(range(8))


def test_thousands_of_messages_of_alternating_types_wait_in_order() -> None:
    queue = queue_of(TradeTick, TextMessage, capacity=10_000)
    for number in range(0, 5_000, 2):
        queue.offer(run_of_ticks(number, number + 1), 0, False)
        queue.offer(runs_of(text(number + 1))[0], 0, False)
    queue.offer(run_of_ticks(5_000, 6_000), 0, False)
    queue.offer(runs_of(text(6_000))[0], 0, False)
    assert [number_of(queue.take()) for _ in range(1_500)] == list(range(1_500))
    assert [number_of(each) for each in queue.take_all()] == list(range(1_500, 6_001))


def test_a_queue_that_is_never_empty_does_not_grow() -> None:
    queue = queue_of(TradeTick, TextMessage)
    runs = [run_of_ticks(0, 1), runs_of(text(1))[0]]
    queue.offer(runs[0], 0, False)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000):
            for run in runs:
                queue.offer(run, 0, False)
                queue.take()
        assert tracemalloc.get_traced_memory()[0] - before < 32 * 1024
    finally:
        tracemalloc.stop()


def test_a_list_that_was_taken_does_not_change() -> None:
    queue = queue_of(TradeTick, TextMessage)
    queue.offer(run_of_ticks(0, 1), 0, False)
    taken = queue.take_all()
    queue.offer(runs_of(text(1))[0], 0, False)
    assert taken == ticks(0)
    assert number_of(queue.take()) == 1


def test_frames_of_many_types_become_messages_of_their_class() -> None:
    classes = {type_id: each for type_id, each in example_messages.MESSAGES.items() if type_id >= 1000}
    queue = queue_of(*classes.values(), validate=False)
    for type_id, message_class in classes.items():
        (run,) = runs_of(encode_frame(type_id, bytes(message_class.SIZE)))
        assert queue.offer(run, 0, False) == 1
        assert type(queue.take()) is message_class


def test_messages_of_several_classes_that_came_before_arrays_become_arrays_of_one_class_each() -> None:
    queue = queue_of(TradeTick, TextMessage)
    for run in (run_of_ticks(0, 2), runs_of(text(2))[0], run_of_ticks(3, 4)):
        queue.offer(run, 0, False)
    queue.use_arrays()
    queue.offer(run_of_ticks(4, 6), 0, False)
    tables = [queue.take_array() for _ in range(4)]
    assert [len(table) for table in tables if table is not None] == [2, 1, 1, 2]
    assert queue.take_array() is None


def test_arrays_of_several_classes_come_one_class_each() -> None:
    queue = queue_of(TradeTick, TextMessage)
    queue.use_arrays()
    queue.offer(run_of_ticks(0, 3), 0, False)
    queue.offer(runs_of(text(7))[0], 0, False)
    queue.offer(run_of_ticks(3, 5), 0, False)
    tables = [queue.take_array() for _ in range(3)]
    assert [len(table) for table in tables if table is not None] == [3, 1, 2]
    assert tables[1] is not None
    assert tables[1]["timestamp"].tolist() == [7]
    assert queue.take_array() is None


def test_what_was_kept_as_arrays_of_several_classes_can_be_taken_as_messages() -> None:
    queue = queue_of(TradeTick, TextMessage)
    queue.use_arrays()
    queue.offer(run_of_ticks(0, 3), 0, False)
    queue.offer(runs_of(text(7))[0], 0, False)
    queue.offer(run_of_ticks(3, 5), 0, False)
    assert queue.take() == TradeTick(0, 1)
    assert queue.take_all() == [*ticks(1, 2), TextMessage("x", "y", 7), *ticks(3, 4)]


def test_messages_that_came_before_arrays_were_asked_for_become_arrays() -> None:
    queue = queue_of(TradeTick)
    queue.offer(run_of_ticks(0, 3), 0, False)
    assert queue.take().price == 0
    queue.use_arrays()
    queue.offer(run_of_ticks(3, 5), 0, False)
    first, second = queue.take_array(), queue.take_array()
    assert first is not None
    assert second is not None
    assert first["price"].tolist() == [1, 2]
    assert second["price"].tolist() == [3, 4]


def test_large_arrays_share_the_memory_of_their_run_and_small_ones_do_not() -> None:
    queue = queue_of(TradeTick, capacity=10_000)
    queue.use_arrays()
    large, small = run_of_ticks(0, 2000), run_of_ticks(0, 5)
    queue.offer(large, 0, False)
    queue.offer(small, 0, False)
    for run, shared in ((large, True), (small, False)):
        table = queue.take_array()
        assert table is not None
        assert (table.ctypes.data == _address(run)) == shared


def _address(run: Run) -> int:
    import numpy

    return int(numpy.frombuffer(run, "u1").ctypes.data)


def test_a_bad_frame_in_an_array_is_left_out_and_counted() -> None:
    reported: list[BadFrames] = []
    queue = queue_of(TextMessage, on_bad_frame=reported.append)
    queue.use_arrays()
    (run,) = runs_of(text(0) + text(1, bad=True) + text(2))
    assert queue.offer(run, 0, False) == 3
    table = queue.take_array()
    assert table is not None
    assert table["timestamp"].tolist() == [0, 2]
    assert (queue.received, queue.decode_errors) == (2, 1)
    assert [(each.type_id, each.count, type(each.error)) for each in reported] == [(1001, 1, ValidationError)]


def test_an_array_of_nothing_but_bad_frames_is_none() -> None:
    queue = queue_of(TextMessage)
    queue.use_arrays()
    assert queue.offer(runs_of(text(0, bad=True))[0], 0, False) == 1
    assert queue.take_array() is None
    assert not queue.ready()


def test_plain_python_classes_work_as_compiled_ones_do() -> None:
    from pathlib import Path

    contracts = Path(mycelium_fast.__file__).with_name("contracts.yaml")
    if not contracts.exists():
        contracts = contracts.parent.parent / "contracts.yaml"
    plain = mycelium_fast.load(contracts, compiled=False).TradeTick
    queue = queue_of(plain, capacity=100)
    queue.offer(run_of_ticks(0, 3), 0, False)
    queue.use_arrays()
    queue.offer(run_of_ticks(3, 6), 0, False)
    assert [each.price for each in queue.take_all()] == list(range(6))


def test_raw_frames_are_given_as_they_are_known_or_not() -> None:
    queue = MessageQueue(None, capacity=10, overflow="block")
    queue.offer(run_of_ticks(0, 2), 0, False)
    queue.offer(runs_of(BAD_TICK)[0], 0, False)
    queue.offer(runs_of(encode_frame(40_000, b""))[0], 0, False)
    assert queue.take_all() == [
        RawMessage(1200, TradeTick(0, 1).to_bytes()),
        RawMessage(1200, TradeTick(1, 1).to_bytes()),
        RawMessage(1200, b"abc"),
        RawMessage(40_000, b""),
    ]
    assert queue.decode_errors == 0
    with pytest.raises(TypeError, match="message class"):
        queue.use_arrays()


# Full queues --------------------------------------------------------------------------------------


def test_bad_frames_take_no_room_from_good_ones() -> None:
    queue = queue_of(TextMessage, capacity=3)
    (run,) = runs_of(b"".join(text(number, bad=number < 5) for number in range(10)))
    assert queue.offer(run, 0, False) == 8
    assert [each.timestamp for each in queue.take_all()] == [5, 6, 7]
    assert queue.decode_errors == 5


def test_a_queue_of_one_gets_past_any_number_of_bad_frames() -> None:
    queue = queue_of(TextMessage, capacity=1)
    (run,) = runs_of(b"".join(text(number, bad=number < 5) for number in range(6)))
    assert queue.offer(run, 0, False) == 6
    assert queue.take().timestamp == 5


def test_whoever_was_held_up_is_told_once_half_of_the_room_is_free() -> None:
    told: list[int] = []
    queue = queue_of(TradeTick, capacity=4)
    queue.relieve = lambda: told.append(queue.waiting)
    assert queue.offer(run_of_ticks(0, 4), 0, False) == 4
    queue.take()
    queue.take()
    assert told == []  # nobody was held up
    assert queue.offer(run_of_ticks(4, 9), 0, False) == 2
    assert queue.full
    queue.take()
    assert told == []
    queue.take()
    assert told == [2]
    assert not queue.full
    for take in (queue.take_all, queue.take_all):
        queue.offer(run_of_ticks(0, 9), 0, False)
        assert queue.full
        take()
        assert told[-1] == 0
    queue.offer(run_of_ticks(0, 9), 0, False)
    queue.take_array()
    assert told == [2, 0, 0, 0]


def test_a_hook_that_empties_the_queue_does_not_leave_it_full() -> None:
    """Another thread may take messages while the hook runs, and is the one to be told of room."""
    told: list[bool] = []
    queue = queue_of(TextMessage, capacity=2)
    queue.on_bad_frame = lambda bad: queue.take_all()
    queue.relieve = lambda: told.append(True)
    queue.offer(runs_of(text(0))[0], 0, False)
    (run,) = runs_of(text(1, bad=True) + text(2) + text(3) + text(4))
    assert queue.offer(run, 0, False) == 3
    assert queue.full  # of 2 and 3: 0 was taken by the hook
    assert [each.timestamp for each in queue.take_all()] == [2, 3]
    assert told == [True]


def test_frames_that_are_forced_go_in_whatever_the_capacity() -> None:
    queue = queue_of(TradeTick, capacity=2)
    assert queue.offer(run_of_ticks(0, 9), 0, True) == 9
    assert prices(queue.take_all()) == list(range(9))
    assert queue.high_water == 9


def test_overflow_error_fails_for_good_and_keeps_what_was_queued() -> None:
    queue = queue_of(TradeTick, capacity=3, overflow="error")
    queue.offer(run_of_ticks(0, 5), 0, False)
    assert queue.failed
    queue.offer(run_of_ticks(5, 9), 0, False)
    assert prices(queue.take_all()) == [0, 1, 2]
    queue.offer(run_of_ticks(9, 10), 0, False)
    assert (queue.received, queue.dropped, queue.waiting) == (10, 7, 0)
    assert queue.ready()
    error = queue.overflowed()
    assert isinstance(error, SubscriberOverflow)
    for part in ("TradeTick", "capacity 3", "7 messages", "larger capacity"):
        assert part in str(error)


def test_nothing_goes_into_a_closed_queue() -> None:
    queue = queue_of(TradeTick)
    queue.offer(run_of_ticks(0, 2), 0, False)
    queue.close()
    assert queue.offer(run_of_ticks(2, 4), 0, False) == 2
    assert prices(queue.take_all()) == [0, 1]
    assert (queue.received, queue.dropped) == (2, 0)


def test_wake_is_called_for_whatever_there_is_to_look_at_and_nothing_else() -> None:
    woken: list[int] = []
    queue = queue_of(TextMessage, capacity=2, overflow="error")
    queue.wake = lambda: woken.append(queue.waiting)
    queue.offer(runs_of(text(0) + text(1))[0], 0, False)
    queue.offer(runs_of(text(2, bad=True))[0], 0, False)
    assert woken == [2]
    queue.offer(runs_of(text(3))[0], 0, False)  # it fails
    assert woken == [2, 2]
    queue.close()
    assert woken == [2, 2, 2]


@pytest.mark.parametrize("overflow", POLICIES[1:4])
@pytest.mark.parametrize("arrays", [False, True], ids=["lists", "arrays"])
def test_dropping_costs_no_more_the_more_is_queued(overflow: str, arrays: bool) -> None:
    """Message after message into a queue that is full of long runs: everything stays in order."""
    queue = queue_of(TradeTick, capacity=5000, overflow=overflow)
    if arrays:
        queue.use_arrays()
    queue.offer(run_of_ticks(0, 4000), 0, False)
    for number in range(4000, 12_000):
        queue.offer(run_of_ticks(number, number + 1), 0, False)
    expected = {
        "drop_oldest": range(7000, 12_000),
        "drop_newest": range(5000),
        "latest": range(11_999, 12_000),
    }
    assert prices(queue.take_all()) == list(expected[overflow])
    assert queue.received == 12_000
    assert queue.dropped == 12_000 - len(expected[overflow])


# Bad frames ---------------------------------------------------------------------------------------


def test_the_last_error_says_what_was_wrong_and_a_hook_hears_of_each_run() -> None:
    reported: list[BadFrames] = []
    queue = queue_of(TradeTick, on_bad_frame=reported.append)
    (run,) = runs_of(BAD_TICK * 3)
    assert queue.offer(run, 0, False) == 3
    assert (queue.received, queue.dropped, queue.decode_errors, queue.waiting) == (0, 0, 3, 0)
    assert isinstance(queue.last_decode_error, DecodeError)
    assert "3 bytes where the message has 16" in str(queue.last_decode_error)
    assert reported == [BadFrames(1200, 3, queue.last_decode_error)]


@pytest.mark.parametrize("before", [0, 1, 5])
def test_the_offset_of_the_last_error_counts_in_its_payload(before: int) -> None:
    reported: list[BadFrames] = []
    queue = queue_of(TextMessage, on_bad_frame=reported.append)
    good = TextMessage(sender="a", content="b", timestamp=1).to_frame()
    bad = bytearray(good)
    bad[6 + 48] = 0xFF  # the text of `content` begins there
    unruly = bytearray(good)
    unruly[6:8] = bytes(2)  # no sender
    for frame, error, offset in ((bad, DecodeError, 48), (unruly, ValidationError, 0)):
        (run,) = runs_of(good * before + bytes(frame) + good)
        queue.offer(run, 0, False)
        assert type(queue.last_decode_error) is error
        assert queue.last_decode_error.offset == offset
        assert reported.pop() == BadFrames(1001, 1, queue.last_decode_error)
        assert len(queue.take_all()) == before + 1


def test_a_hook_that_fails_is_logged_and_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(bad: BadFrames) -> None:
        raise RuntimeError("of the hook")

    queue = queue_of(TextMessage, on_bad_frame=fail)
    assert queue.offer(runs_of(text(0, bad=True) + text(1))[0], 0, False) == 2
    assert queue.take().timestamp == 1
    assert "on_bad_frame failed" in caplog.text
    assert "of the hook" in caplog.text


def test_rules_can_be_left_out() -> None:
    queue = queue_of(TextMessage, validate=False)
    queue.offer(runs_of(text(0, bad=True))[0], 0, False)
    assert queue.take().sender == ""
    assert queue.decode_errors == 0


# Threads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overflow", ["block", "drop_oldest"])
def test_threads_take_while_another_offers_and_every_message_is_accounted_for(overflow: str) -> None:
    queue = queue_of(TradeTick, capacity=50, overflow=overflow)
    total, done = 3_000 if overflow == "block" else 30_000, threading.Event()

    def offer() -> None:
        number = 0
        while number < total:
            number += queue.offer(run_of_ticks(number, min(total, number + 1 + number % 40)), 0, False)
        done.set()

    def collect(take: Callable[[], list[Any]]) -> list[int]:
        got: list[int] = []
        while True:
            over = done.is_set()
            messages = take()
            if not messages and over:
                return got
            got += prices(messages)

    def one() -> list[Any]:
        try:
            return [queue.take()]
        except IndexError:
            return []

    with ThreadPoolExecutor(5) as pool:
        results = [pool.submit(collect, take) for take in (one, one, queue.take_all, queue.take_all)]
        pool.submit(offer).result(60)
        taken = [future.result(60) for future in results]
    assert all(each == sorted(each) for each in taken)
    everything = [number for each in taken for number in each]
    assert len(set(everything)) == len(everything)
    assert len(everything) + queue.dropped == total == queue.received
    assert overflow != "block" or queue.dropped == 0


# Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"overflow": "errors"}, ValueError, "block, drop_oldest, drop_newest, latest, error"),
        ({"capacity": 0}, ValueError, "at least 1"),
        ({"capacity": True}, TypeError, "number of messages"),
        ({"capacity": 1.5}, TypeError, "number of messages"),
    ],
)
def test_what_is_no_policy_or_capacity_is_refused(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        queue_of(TradeTick, **options)


def test_latest_holds_one_message_whatever_the_capacity() -> None:
    queue = queue_of(TradeTick, capacity=100, overflow="latest")
    assert queue.capacity == 1
    queue.offer(run_of_ticks(0, 5), 0, False)
    assert prices(queue.take_all()) == [4]
    assert queue.dropped == 4
