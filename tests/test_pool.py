"""The buffer pool: blocks within a budget, back when nothing shows them any more, from whichever thread."""

from __future__ import annotations

import gc
import signal
import threading
import time
from typing import Any

import pytest

from mycelium_fast import FrameScanner, encode_frame
from mycelium_fast.codec.frames import Run
from mycelium_fast.codec.pool import Block, BufferPool
from mycelium_fast.errors import PoolExhausted

TIMEOUT_S = 20.0


def test_a_block_is_writable_memory_of_the_pools_size() -> None:
    block = BufferPool(4096).acquire()
    view = memoryview(block)
    view[:] = bytes(range(256)) * 16
    assert block.size == len(view) == 4096
    assert bytes(block) == bytes(range(256)) * 16


def test_blocks_in_use_do_not_share_memory() -> None:
    pool = BufferPool(64, 4)
    blocks = [pool.acquire() for _ in range(20)]
    for number, block in enumerate(blocks):
        memoryview(block)[:] = bytes([number]) * 64
    assert [bytes(block) for block in blocks] == [bytes([number]) * 64 for number in range(20)]


def test_a_block_goes_back_with_its_last_reference() -> None:
    pool = BufferPool(64, 1, on_exhausted="error")
    block = pool.acquire()
    view = memoryview(block)[3:5]
    del block
    assert pool.stats().in_use == 1
    with pytest.raises(PoolExhausted):
        pool.acquire()
    del view
    assert pool.stats().in_use == 0
    assert pool.acquire().size == 64


def test_a_numpy_array_keeps_its_block() -> None:
    numpy = pytest.importorskip("numpy")
    pool = BufferPool(64, 1)
    table = numpy.frombuffer(pool.acquire(), "u1")
    part = table[:3]
    del table
    gc.collect()
    assert pool.stats().in_use == 1
    del part
    assert pool.stats().in_use == 0


def test_a_pool_outlives_its_last_name_as_long_as_a_block_is_in_use() -> None:
    block = BufferPool(64, 2).acquire()
    gc.collect()
    memoryview(block)[:] = b"x" * 64
    assert bytes(block) == b"x" * 64


def test_the_figures_say_use_high_water_and_misses() -> None:
    pool = BufferPool(64, 2, max_blocks=3)
    blocks = [pool.acquire() for _ in range(3)]
    stats = pool.stats()
    assert (stats.block_size, stats.blocks, stats.max_blocks) == (64, 3, 3)
    assert (stats.in_use, stats.high_water, stats.misses, stats.large) == (3, 3, 1, 0)
    with pytest.raises(PoolExhausted):
        pool.acquire()
    large = pool.acquire_large(1000)
    assert large.size == 1000
    assert (pool.stats().misses, pool.stats().large, pool.stats().in_use) == (2, 1, 3)
    del blocks, large
    stats = pool.stats()
    assert (stats.in_use, stats.high_water, stats.large) == (0, 3, 0)


def test_growing_stops_at_the_bound_with_an_error_that_says_what_to_do() -> None:
    pool = BufferPool(128, 1, max_blocks=5)
    blocks = [pool.acquire() for _ in range(5)]
    with pytest.raises(
        PoolExhausted, match=r"all 5 blocks of 128 bytes .* let go of .*max_blocks="
    ) as raised:
        pool.acquire()
    assert isinstance(raised.value, BufferError)
    del blocks[0]
    assert pool.acquire().size == 128


def test_a_pool_that_grew_gives_memory_back() -> None:
    pool = BufferPool(64, 2)
    blocks = [pool.acquire() for _ in range(100)]
    while blocks:
        blocks.pop()
        stats = pool.stats()
        assert stats.blocks - stats.in_use <= max(2, stats.in_use)
    assert pool.stats().blocks == 2


@pytest.mark.parametrize("policy", ["wait", "error"])
def test_without_growing_the_budget_is_the_number_of_blocks(policy: Any) -> None:
    pool = BufferPool(64, 3, on_exhausted=policy, timeout=0)
    blocks = [pool.acquire() for _ in range(3)]
    with pytest.raises(PoolExhausted, match=r"all 3 blocks of 64 bytes .*\(blocks=\)"):
        pool.acquire()
    assert pool.stats().blocks == pool.stats().max_blocks == len(blocks)


def test_waiting_ends_with_the_time_out() -> None:
    pool = BufferPool(64, 1, on_exhausted="wait", timeout=0.05)
    block = pool.acquire()
    before = time.monotonic()
    with pytest.raises(PoolExhausted, match=r"stayed so for 0\.05 s"):
        pool.acquire()
    assert time.monotonic() - before >= 0.05
    assert block.size == 64


def wait_for_misses(pool: BufferPool, count: int) -> None:
    """Until so many acquires found nothing free: they wait, or are about to."""
    deadline = time.monotonic() + TIMEOUT_S
    while pool.stats().misses < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_release_in_another_thread_wakes_one_that_waits() -> None:
    pool = BufferPool(64, 1, on_exhausted="wait", timeout=TIMEOUT_S)
    held = [pool.acquire()]
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(pool.acquire().size))
    thread.start()
    wait_for_misses(pool, 1)
    assert got == []
    held.clear()
    thread.join(TIMEOUT_S)
    assert got == [64]


def test_every_release_wakes_another() -> None:
    pool = BufferPool(64, 3, on_exhausted="wait", timeout=TIMEOUT_S)
    held = [pool.acquire() for _ in range(3)]
    got: list[Block] = []
    threads = [threading.Thread(target=lambda: got.append(pool.acquire())) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for_misses(pool, 3)
    held.clear()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert len(got) == 3


def test_a_signal_interrupts_waiting_and_leaves_the_pool_in_order() -> None:
    class Struck(Exception):
        pass

    def strike(*_: object) -> None:
        raise Struck

    pool = BufferPool(64, 1, on_exhausted="wait", timeout=TIMEOUT_S)
    held = [pool.acquire()]
    before = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Struck):
            pool.acquire()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    held.clear()
    assert pool.acquire().size == 64


@pytest.mark.parametrize("policy", ["wait", "grow"])
def test_threads_acquire_and_let_go_as_they_like(policy: Any) -> None:
    pool = BufferPool(64, 4, on_exhausted=policy, max_blocks=16, timeout=TIMEOUT_S)
    handed: list[Block] = []
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_ in range(2000):
                block = pool.acquire()
                mark = bytes([number, round_ & 0xFF]) * 32
                memoryview(block)[:] = mark
                if round_ % 3 == 0:
                    handed.append(block)  # whoever comes next lets it go, in its own thread
                assert bytes(block) == mark
                del block
                if handed:
                    handed.pop()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    handed.clear()
    stats = pool.stats()
    assert stats.in_use == 0
    assert stats.high_water <= stats.max_blocks
    assert stats.blocks <= 16


def test_a_block_of_its_own_belongs_to_no_pool() -> None:
    block = Block.own(10)
    memoryview(block)[:] = b"0123456789"
    assert bytes(block) == b"0123456789"


def test_blocks_are_not_made_by_hand() -> None:
    with pytest.raises(TypeError, match="acquire"):
        Block()
    with pytest.raises(TypeError, match="FrameScanner"):
        Run()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"block_size": 63}, ValueError, "block_size is 64"),
        ({"block_size": 1 << 40}, ValueError, "block_size"),
        ({"block_size": 64.0}, TypeError, "block_size is an int, got float"),
        ({"block_size": True}, TypeError, "block_size"),
        ({"blocks": -1}, ValueError, "blocks is 0"),
        ({"blocks": 0, "on_exhausted": "wait"}, ValueError, "blocks is 1"),
        ({"blocks": 0, "on_exhausted": "error"}, ValueError, "blocks is 1"),
        ({"blocks": 9, "max_blocks": 8}, ValueError, "max_blocks is 9"),
        ({"max_blocks": 0, "blocks": 0}, ValueError, "max_blocks is 1"),
        ({"max_blocks": 1 << 70}, ValueError, "max_blocks"),
        ({"on_exhausted": "block"}, ValueError, "'wait', 'grow' or 'error', got 'block'"),
        ({"on_exhausted": None}, TypeError, "on_exhausted"),
        ({"timeout": -1}, ValueError, "timeout is 0"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": float("inf")}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout is in seconds, got str"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        BufferPool(**arguments)


@pytest.mark.parametrize("size", [-1, 1 << 70])
def test_sizes_of_large_blocks_are_checked(size: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        BufferPool().acquire_large(size)
    with pytest.raises(ValueError, match="size"):
        Block.own(size)


def test_scanners_share_a_pool_and_leave_nothing_behind() -> None:
    pool = BufferPool(256, 2, max_blocks=64)
    frame = encode_frame(1, b"abc")
    scanners = [FrameScanner(pool=pool) for _ in range(10)]
    kept = [run for _ in range(10) for scanner in scanners for run in scanner.feed(frame)]
    assert [bytes(run) for run in kept] == [frame] * 100
    assert pool.stats().in_use == 10
    del scanners
    assert pool.stats().in_use == 10
    del kept
    gc.collect()
    assert pool.stats().in_use == 0
