"""The batch writer: what goes in comes out, in order; and it says when a batch is due."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from environments import ROOT
from golden import IMPLEMENTATIONS, module
from hypothesis import given, settings
from hypothesis import strategies as st

from mycelium_fast import FrameScanner, encode_frame
from mycelium_fast.codec.batching import PROFILES, Batching
from mycelium_fast.codec.pool import BufferPool
from mycelium_fast.codec.writer import ARM, DUE, FULL, KEEP, BatchWriter
from mycelium_fast.errors import PoolExhausted
from mycelium_fast.example_messages import Ping, TextMessage, TradeTick

TIMEOUT_S = 20.0
NEVER = Batching(max_bytes=1 << 40, max_delay=1.0)


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def messages(request: pytest.FixtureRequest) -> ModuleType:
    return module(Path(ROOT, "contracts.yaml"), request.param)


def writer(batching: Batching = NEVER, *, block_size: int = 256, **arguments: Any) -> BatchWriter:
    return BatchWriter(BufferPool(block_size, 2, max_blocks=1000), batching, **arguments)


def drained(out: BatchWriter) -> bytes:
    """Everything pending, sent."""
    sent = b""
    while (view := out.peek()) is not None:
        sent += view
        out.advance(len(view))
    return sent


def tick(number: int) -> TradeTick:
    return TradeTick(number, number)


TICK_SIZE = len(tick(0).to_frame())


def test_messages_come_out_as_their_frames_in_order(messages: ModuleType) -> None:
    out = writer()
    sent = [messages.TradeTick(number, 1) for number in range(100)]
    for message in sent:
        out.write(message)
    assert out.pending == 100 * TICK_SIZE
    assert out.pending_messages == 100
    assert drained(out) == b"".join(message.to_frame() for message in sent)
    assert (out.pending, out.pending_messages, out.peek()) == (0, 0, None)
    assert (out.frames, out.bytes) == (100, 100 * TICK_SIZE)


def test_a_message_may_change_once_it_is_written() -> None:
    out = writer()
    message = tick(1)
    out.write(message)
    message.price = 2
    out.write(message)
    assert drained(out) == tick(1).to_frame() + TradeTick(2, 1).to_frame()


@pytest.mark.parametrize("value", [1, "text", None, object(), b"bytes", TradeTick])
def test_what_is_no_message_is_refused(value: Any) -> None:
    out = writer()
    with pytest.raises(TypeError, match="takes messages"):
        out.write(value)
    with pytest.raises(TypeError, match="takes messages"):
        out.write_many([value])
    assert out.pending == 0


def test_a_list_goes_in_as_far_as_it_is_asked_for(messages: ModuleType) -> None:
    out = writer(Batching(max_bytes=1 << 20, max_delay=1.0))
    sent = [messages.TradeTick(number, 1) for number in range(3000)]
    assert out.write_many(sent) == (ARM, 3000)
    assert out.write_many(sent, 2990) == (KEEP, 10)
    assert out.write_many(tuple(sent), 3000) == (KEEP, 0)
    assert out.write_many([]) == (KEEP, 0)
    assert drained(out) == b"".join(message.to_frame() for message in sent + sent[2990:])


def test_a_list_stops_at_a_message_of_another_class(messages: ModuleType) -> None:
    out = writer(Batching(max_bytes=1 << 20, max_delay=1.0))
    first, other = messages.TradeTick(1, 1), messages.Ping(value="x")
    mixed = [first, first, other, other, other, first]
    assert out.write_many(mixed) == (ARM, 2)
    assert out.write_many(mixed, 2) == (KEEP, 3)
    assert out.write_many(mixed, 5) == (KEEP, 1)
    assert out.write_many([first, 5]) == (KEEP, 1)
    assert drained(out) == b"".join(message.to_frame() for message in [*mixed, first])


def test_a_list_is_refused_from_where_no_message_is() -> None:
    out = writer(PROFILES["latency"], block_size=64)
    assert out.write_many([tick(1), tick(2), "other"]) == (DUE, 2)
    with pytest.raises(TypeError):
        out.write_many([tick(1), tick(2), "other"], 2)


@pytest.mark.parametrize(
    "batching", [*PROFILES.values(), Batching(max_bytes=100, max_delay=1, max_messages=3)]
)
def test_a_long_list_comes_in_portions_each_of_which_is_due(batching: Batching, messages: ModuleType) -> None:
    out = writer(batching, block_size=1024)
    sent = [messages.TradeTick(number, 1) for number in range(5000)]
    taken, found = 0, b""
    while taken < len(sent):
        verdict, more = out.write_many(sent, taken)
        assert more > 0
        taken += more
        assert out.pending <= max(batching.max_bytes, 1024) + TICK_SIZE
        if taken < len(sent):
            assert verdict == DUE
        found += drained(out)
    assert found == b"".join(message.to_frame() for message in sent)


@pytest.mark.parametrize("argument", [iter([]), {}, "ab", None])
def test_write_many_takes_lists_and_tuples(argument: Any) -> None:
    with pytest.raises(TypeError, match="a list or a tuple"):
        writer().write_many(argument)


@pytest.mark.parametrize("start", [-1, 2])
def test_write_many_checks_where_to_start(start: int) -> None:
    with pytest.raises(IndexError):
        writer().write_many([tick(1)], start)


def test_a_list_whose_last_message_cannot_be_encoded_is_not_taken_in_part() -> None:
    class Broken:
        TYPE_ID = 2000

        def __init__(self, works: bool) -> None:
            self.works = works

        def to_frame(self) -> bytes:
            if not self.works:
                raise ValueError("broken")
            return encode_frame(2000, b"x")

    out = writer()
    with pytest.raises(ValueError, match="broken"):
        out.write_many([Broken(True), Broken(True), Broken(False)])
    assert out.pending == 0


def test_frames_of_any_bytes_like_object_are_counted_as_told() -> None:
    out = writer()
    assert out.write_frames(b"", 0) == KEEP
    assert out.write_frames(bytearray(tick(1).to_frame() * 3), 3) == ARM
    (run,) = FrameScanner().feed(tick(2).to_frame() * 2)
    assert out.write_frames(run, run.count) == KEEP
    assert (out.pending_messages, out.frames) == (5, 5)
    assert drained(out) == tick(1).to_frame() * 3 + tick(2).to_frame() * 2
    with pytest.raises(TypeError):
        out.write_frames("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="-1 frames"):
        out.write_frames(b"x", -1)


def test_latency_is_due_with_every_message() -> None:
    out = writer(PROFILES["latency"])
    assert [out.write(tick(number)) for number in range(20)] == [DUE] * 20


def test_throughput_arms_once_and_is_due_at_its_size() -> None:
    out = writer(Batching(max_bytes=3 * TICK_SIZE, max_delay=1.0))
    for _ in range(2):
        assert [out.write(tick(number)) for number in range(4)] == [ARM, KEEP, DUE, DUE]
        drained(out)


def test_a_number_of_messages_is_due_too() -> None:
    out = writer(Batching(max_messages=3, max_delay=1.0))
    for _ in range(2):
        assert [out.write(tick(number)) for number in range(4)] == [ARM, KEEP, DUE, DUE]
        drained(out)
    assert out.write_many([tick(number) for number in range(3)]) == (DUE, 3)


def test_no_delay_is_due_when_nothing_waits() -> None:
    out = writer(Batching(max_delay=0))
    assert [out.write(tick(number)) for number in range(3)] == [DUE, KEEP, KEEP]


def test_balanced_sends_at_once_until_it_is_used_too_fast() -> None:
    out = writer(PROFILES["balanced"])
    message = tick(1)
    verdicts = []
    for _ in range(200_000):  # far quicker than one in four microseconds
        verdicts.append(out.write(message))
        if verdicts[-1] == DUE:
            out.advance(out.pending)
        else:
            break
    assert verdicts[:16] == [DUE] * 16
    assert verdicts[-1] == ARM
    assert out.write(message) == KEEP
    out.advance(out.pending)
    time.sleep(0.001)  # earns credit for as long as nothing was written
    assert out.write(message) == DUE


def test_balanced_is_due_at_its_size_whatever_the_credit() -> None:
    out = writer(Batching(max_bytes=2 * TICK_SIZE, max_delay=1.0, adaptive=True))
    assert [out.write(tick(number)) for number in range(3)] == [DUE, DUE, DUE]


def test_what_is_pending_is_bounded() -> None:
    out = writer(max_pending=5 * TICK_SIZE)
    verdicts = [out.write(tick(number)) for number in range(7)]
    assert verdicts == [ARM, KEEP, KEEP, KEEP, KEEP, FULL, FULL]
    assert out.pending == 5 * TICK_SIZE
    out.advance(TICK_SIZE)
    assert out.write_many([tick(7), tick(8)]) == (DUE, 1)
    assert out.write_many([tick(8)]) == (FULL, 0)
    assert drained(out) == b"".join(tick(number).to_frame() for number in (1, 2, 3, 4, 7))


def test_a_list_stops_where_the_bound_is() -> None:
    out = writer(max_pending=5 * TICK_SIZE)
    ticks = [tick(number) for number in range(12)]
    assert out.write_many(ticks) == (DUE, 5)
    assert out.write_many(ticks, 5) == (FULL, 0)
    found = drained(out)
    assert out.write_many(ticks, 5) == (DUE, 5)
    found += drained(out)
    assert out.write_many(ticks, 10) == (ARM, 2)
    assert found + drained(out) == b"".join(each.to_frame() for each in ticks)


def test_a_frame_larger_than_a_block_has_its_own_and_is_due() -> None:
    out = writer(block_size=64)
    large = encode_frame(2000, bytes(range(256)) * 40)
    out.write(tick(1))
    assert out.write_frames(large) == DUE
    out.write(tick(2))
    assert out.pool.stats().large == 1
    assert drained(out) == tick(1).to_frame() + large + tick(2).to_frame()
    assert out.pool.stats().large == 0


def test_compiled_messages_may_be_larger_than_a_block() -> None:
    out = writer(Batching(max_bytes=1 << 20, max_delay=1.0), block_size=64)
    texts = [TextMessage(sender="s", content=str(number), timestamp=1) for number in range(5)]
    found, taken = b"", 0
    while taken < len(texts):
        taken += out.write_many(texts, taken)[1]
        found += drained(out)
    assert found == b"".join(text.to_frame() for text in texts)
    assert out.pool.stats().large == 0


def test_a_frame_over_the_bound_is_accepted_when_nothing_is_pending() -> None:
    out = writer(max_pending=100)
    large = encode_frame(2000, bytes(1000))
    out.write(tick(1))
    assert out.write_frames(large) == FULL
    drained(out)
    assert out.write_frames(large) == DUE
    assert out.write(tick(1)) == FULL
    assert drained(out) == large


def test_parts_of_any_size_may_be_sent() -> None:
    out = writer(block_size=64)
    frames = b"".join(tick(number).to_frame() for number in range(50))
    for number in range(50):
        out.write(tick(number))
    found, size = b"", 0
    while (view := out.peek()) is not None:
        size = size % 7 + 1
        found += view[:size]
        size = min(size, len(view))
        out.advance(size)
        assert out.pending == len(frames) - len(found)
    assert found == frames
    assert out.pending_messages == 0


def test_advance_may_span_blocks_and_no_more_than_is_pending() -> None:
    out = writer(block_size=64)
    for number in range(50):
        out.write(tick(number))
    with pytest.raises(ValueError, match="1101 bytes sent of 1100"):
        out.advance(50 * TICK_SIZE + 1)
    with pytest.raises(ValueError, match="-1 bytes"):
        out.advance(-1)
    out.advance(49 * TICK_SIZE + 3)
    assert out.pending == TICK_SIZE - 3
    assert drained(out) == tick(49).to_frame()[3:]


def test_pending_memory_does_not_move_while_producers_append() -> None:
    out = writer(block_size=64)
    out.write(tick(1))
    view = out.peek()
    assert view is not None
    for number in range(2, 30):
        out.write(tick(number))
    assert view == tick(1).to_frame()
    out.advance(len(view))
    assert drained(out) == b"".join(tick(number).to_frame() for number in range(2, 30))


def test_views_taken_own_their_memory() -> None:
    out = writer(block_size=64)
    taken = []
    for number in range(30):
        out.write(tick(number))
        if number % 3 == 2:
            taken.append(out.take())
            assert out.pending == out.pending_messages == 0
    pool = out.pool
    del out
    blocks = [pool.acquire() for _ in range(100)]  # memory that went back is used again
    for block in blocks:
        memoryview(block)[:] = bytes(64)
    joined = b"".join(bytes(view) for views in taken for view in views)
    assert joined == b"".join(tick(number).to_frame() for number in range(30))
    assert all(view.readonly for views in taken for view in views)
    del block, blocks
    assert pool.stats().in_use > 0
    del taken
    gc.collect()
    assert pool.stats().in_use == 0
    assert writer().take() == []


def test_one_block_serves_as_long_as_it_is_emptied() -> None:
    out = writer()
    for number in range(1000):
        out.write(tick(number))
        assert drained(out) == tick(number).to_frame()
    for number in range(1000):
        out.write(tick(number))
        assert out.take()[0] == tick(number).to_frame()
    assert out.pool.stats().high_water <= 2
    assert out.pool.stats().misses == 0


def test_blocks_go_back_as_they_are_sent() -> None:
    out = writer(block_size=64)
    for number in range(100):
        out.write(tick(number))
    assert out.pool.stats().in_use == 50
    out.advance(90 * TICK_SIZE)
    assert out.pool.stats().in_use == 5
    pool = out.pool
    del out
    assert pool.stats().in_use == 0


def test_an_exhausted_pool_is_full_while_something_is_pending() -> None:
    pool = BufferPool(64, 2, on_exhausted="error")
    out = BatchWriter(pool, NEVER)
    assert [out.write(tick(number)) for number in range(5)] == [ARM, KEEP, KEEP, KEEP, FULL]
    assert out.write_many([tick(5)]) == (FULL, 0)
    assert drained(out) == b"".join(tick(number).to_frame() for number in range(4))
    assert out.write(tick(5)) == ARM


def test_an_exhausted_pool_with_nothing_pending_is_an_error() -> None:
    pool = BufferPool(64, 1, on_exhausted="error")
    block = pool.acquire()
    out = BatchWriter(pool, NEVER)
    with pytest.raises(PoolExhausted):
        out.write(tick(1))
    with pytest.raises(PoolExhausted):
        out.write_many([tick(1)])
    assert block.size == 64
    del block
    assert out.write(tick(1)) == ARM


@pytest.mark.parametrize("many", [False, True])
def test_a_writer_waits_for_a_block_of_a_pool_that_waits(many: bool) -> None:
    pool = BufferPool(64, 1, on_exhausted="wait", timeout=TIMEOUT_S)
    held = [pool.acquire()]
    out = BatchWriter(pool, NEVER)
    verdicts: list[Any] = []

    def publish() -> None:
        while True:
            verdict = out.write_many([tick(1)])[0] if many else out.write(tick(1))
            verdicts.append(verdict)
            if verdict != FULL:
                break

    thread = threading.Thread(target=publish)
    thread.start()
    deadline = time.monotonic() + TIMEOUT_S
    while pool.stats().misses == 0:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    held.clear()
    thread.join(TIMEOUT_S)
    # (A list may be another by then: it is to be handed in again.)
    assert verdicts == ([FULL, ARM] if many else [ARM])
    assert drained(out) == tick(1).to_frame()


def test_several_writers_that_waited_for_one_pool_lose_nothing() -> None:
    pool = BufferPool(64, 2, on_exhausted="wait", timeout=TIMEOUT_S)
    held = [pool.acquire(), pool.acquire()]
    out = BatchWriter(pool, NEVER)
    threads = [threading.Thread(target=out.write, args=(tick(number),)) for number in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + TIMEOUT_S
    while pool.stats().misses < 2:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    held.clear()
    for thread in threads:
        thread.join(TIMEOUT_S)
    first, second = tick(0).to_frame(), tick(1).to_frame()
    assert drained(out) in (first + second, second + first)
    del out
    assert pool.stats().in_use == 0


def test_many_threads_append_whole_frames() -> None:
    out = writer(block_size=1024, max_pending=1 << 14)
    each, producers = 5000, 4
    failures: list[BaseException] = []

    def produce(number: int) -> None:
        try:
            sequence = 0
            while sequence < each:
                if sequence % 7 == 0:
                    batch = [TradeTick(number, value) for value in range(sequence, min(sequence + 50, each))]
                    sequence += out.write_many(batch)[1]
                elif out.write(TradeTick(number, sequence)) != FULL:
                    sequence += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(producers)]
    for thread in threads:
        thread.start()
    scanner = FrameScanner(pool=out.pool)
    found: list[list[int]] = [[] for _ in range(producers)]
    deadline = time.monotonic() + TIMEOUT_S
    while any(thread.is_alive() for thread in threads) or out.pending:
        assert time.monotonic() < deadline
        view = out.peek()
        if view is None:
            time.sleep(0)
            continue
        part = view[: len(view) // 2 + 1]
        for run in scanner.feed(part):
            for message in TradeTick.decode_batch(run):
                found[message.price].append(message.size)
        out.advance(len(part))
    assert failures == []
    assert found == [list(range(each))] * producers


def test_flushes_are_counted_by_reason() -> None:
    out = writer()
    assert set(out.flushes) == {"immediate", "size", "count", "delay", "explicit", "close", "full"}
    for reason in ("size", "delay", "size"):
        out.note_flush(reason)
    assert (out.flushes["size"], out.flushes["delay"], out.flushes["full"], out.batches) == (2, 1, 0, 3)
    with pytest.raises(ValueError, match="mood"):
        out.note_flush("mood")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((None, NEVER), TypeError),
        ((BufferPool(), "latency"), TypeError),
    ],
)
def test_arguments_are_checked(arguments: tuple[Any, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        BatchWriter(*arguments)


@pytest.mark.parametrize(("bound", "error"), [(0, ValueError), (1 << 63, ValueError), (1.5, TypeError)])
def test_the_bound_is_checked(bound: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_pending"):
        writer(max_pending=bound)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2)),
        st.tuples(st.just("many"), st.integers(0, 40)),
        st.tuples(st.just("frames"), st.integers(0, 300)),
        st.tuples(st.just("send"), st.integers(1, 400)),
        st.tuples(st.just("advance"), st.integers(0, 2000)),
        st.tuples(st.just("take"), st.just(0)),
        st.tuples(st.just("forget"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(
    steps=steps,
    block_size=st.sampled_from([64, 100, 512]),
    max_pending=st.sampled_from([50, 1000, 1 << 20]),
    batching=st.sampled_from([*PROFILES.values(), Batching(max_bytes=200, max_messages=5)]),
    max_blocks=st.sampled_from([3, 100]),
)
def test_output_read_back_is_the_input_whatever_the_order_of_calls(
    steps: list[tuple[str, int]], block_size: int, max_pending: int, batching: Batching, max_blocks: int
) -> None:
    pool = BufferPool(block_size, 1, max_blocks=max_blocks)
    out = BatchWriter(pool, batching, max_pending=max_pending)
    accepted, sent, kept = b"", b"", []
    for count, (what, value) in enumerate(steps):
        view = each = None
        try:
            if what == "write":
                message = (tick(count), Ping(value="x"), TextMessage("sender", str(count), 1))[value]
                if out.write(message) != FULL:
                    accepted += message.to_frame()
            elif what == "many":
                ticks = [tick(count + number) for number in range(value)]
                verdict, taken = out.write_many(ticks)
                assert taken == len(ticks) or verdict in (DUE, FULL)
                assert taken == 0 or verdict != FULL
                accepted += b"".join(each.to_frame() for each in ticks[:taken])
            elif what == "frames":
                frame = encode_frame(2000, bytes([count & 0xFF]) * value)
                if out.write_frames(frame) != FULL:
                    accepted += frame
            elif what == "send":
                view = out.peek()
                if view is not None:
                    part = view[:value]
                    sent += part
                    out.advance(len(part))
            elif what == "advance":
                size = min(value, out.pending)
                sent += accepted[len(sent) : len(sent) + size]
                out.advance(size)
            elif what == "take":
                for each in out.take():
                    kept.append((len(sent), each))
                    sent += each
            else:
                kept.clear()
        except PoolExhausted:
            assert pool.stats().in_use == max_blocks
        assert out.pending == len(accepted) - len(sent)
        assert out.bytes == len(accepted)
        assert pool.stats().in_use <= max_blocks
        assert accepted.startswith(sent)
        for position, each in kept:
            assert accepted[position : position + len(each)] == each
    sent += drained(out)
    assert sent == accepted
    assert sum(run.count for run in FrameScanner().feed(accepted)) == out.frames
    del out
    each = view = part = None
    kept.clear()
    assert pool.stats().in_use == 0
    assert pool.stats().large == 0
