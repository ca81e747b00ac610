"""Frames as bytes: one at a time, and found again in a stream cut anywhere."""

from __future__ import annotations

import io
import itertools
import json
import random
import sys
import tracemalloc
from typing import Any

import pytest
from environments import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from mycelium_fast import EncodeError, FrameScanner, ProtocolError, encode_frame
from mycelium_fast.codec.frames import MAX_ACCEPTED_PAYLOAD_SIZE, MAX_PAYLOAD_SIZE, Run, runs_of
from mycelium_fast.codec.pool import BufferPool
from mycelium_fast.errors import PoolExhausted
from mycelium_fast.example_messages import TradeTick

STREAMS: list[dict[str, Any]] = json.loads((ROOT / "tests/data/golden/malformed.json").read_text())["streams"]


def scan(scanner: FrameScanner, pieces: list[Any]) -> list[tuple[int, bytes]]:
    return [
        (run.type_id, bytes(payload))
        for piece in pieces
        for run in scanner.feed(piece)
        for payload in run.payloads()
    ]


def test_a_frame_is_header_and_payload() -> None:
    assert encode_frame(1200, b"ab") == bytes.fromhex("b00402000000") + b"ab"
    assert encode_frame(0, b"") == bytes(6)
    assert encode_frame(65535, memoryview(bytearray(b"x"))) == b"\xff\xff\x01\x00\x00\x00x"


@pytest.mark.parametrize(
    ("type_id", "payload", "error"),
    [
        (-1, b"", EncodeError),
        (65536, b"", EncodeError),
        (1, bytes(MAX_PAYLOAD_SIZE + 1), EncodeError),
        (True, b"", TypeError),
        (1.0, b"", TypeError),
        (1, "text", TypeError),
    ],
)
def test_a_frame_that_no_peer_takes_is_not_made(type_id: Any, payload: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode_frame(type_id, payload)


def test_the_largest_payload_to_send_is_taken() -> None:
    assert len(encode_frame(1, bytes(MAX_PAYLOAD_SIZE))) == 6 + MAX_PAYLOAD_SIZE


@pytest.mark.parametrize("stream", STREAMS, ids=[stream["kind"][:40] for stream in STREAMS])
def test_golden_streams_cut_at_every_byte(stream: dict[str, Any]) -> None:
    data = bytes.fromhex(stream["stream_hex"])
    for cut in range(len(data) + 1):
        found: list[int] = []
        error = None
        scanner = FrameScanner()
        try:
            for piece in (data[:cut], data[cut:]):
                found += [run.type_id for run in scanner.feed(piece) for _ in range(run.count)]
            scanner.close()
        except ProtocolError as caught:
            error = caught
        assert found == stream["expect_type_ids"]
        assert (error is not None) == ("then" in stream)


def test_a_stream_of_single_bytes() -> None:
    data = encode_frame(1, b"a") + encode_frame(2, b"") + encode_frame(1, b"bb")
    scanner = FrameScanner()
    assert scan(scanner, [data[n : n + 1] for n in range(len(data))]) == [(1, b"a"), (2, b""), (1, b"bb")]
    assert scanner.pending == 0
    scanner.close()


def test_runs_are_as_long_as_type_and_length_stay() -> None:
    data = encode_frame(1, b"aa") * 3 + encode_frame(1, b"b") + encode_frame(2, b"b") * 2
    runs = FrameScanner().feed(data)
    assert [(run.type_id, run.length, run.count) for run in runs] == [(1, 2, 3), (1, 1, 1), (2, 1, 2)]
    assert b"".join(run.frames for run in runs) == data
    assert all(run.frames.readonly for run in runs)


def test_random_cuts_of_random_frames_lose_nothing() -> None:
    rng = random.Random(7)
    for _ in range(200):
        frames = [(rng.randrange(65536), rng.randbytes(rng.choice([0, 1, 5, 300]))) for _ in range(50)]
        data = b"".join(encode_frame(*frame) for frame in frames)
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(20)))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        scanner = FrameScanner()
        assert scan(scanner, pieces) == frames
        scanner.close()


def test_frames_before_a_refused_one_are_given_first() -> None:
    scanner = FrameScanner(max_payload_size=10)
    refused = (7).to_bytes(2, "little") + (11).to_bytes(4, "little")
    assert scan(scanner, [encode_frame(1, b"a") + refused]) == [(1, b"a")]
    for _ in range(2):
        with pytest.raises(ProtocolError, match=r"type id 7 .* 11 bytes.* 10 "):
            scanner.feed(b"more")
    with pytest.raises(ProtocolError):
        scanner.close()


def test_nothing_is_allocated_for_a_frame_that_is_too_long() -> None:
    header = (7).to_bytes(2, "little") + (0xFFFFFFFF).to_bytes(4, "little")
    scanner = FrameScanner()
    scanner.feed(header[:5])
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="4294967295"):
            scanner.feed(header[5:])
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_largest_payload_arrives_in_small_pieces() -> None:
    payload = random.Random(3).randbytes(MAX_ACCEPTED_PAYLOAD_SIZE)
    data = (9).to_bytes(2, "little") + len(payload).to_bytes(4, "little") + payload
    scanner = FrameScanner()
    frames = scan(scanner, [data[n : n + 65536] for n in range(0, len(data), 65536)])
    assert frames == [(9, payload)]


def test_runs_keep_their_bytes_when_the_piece_is_reused() -> None:
    buffer = bytearray(encode_frame(1, b"abc"))
    (run,) = FrameScanner().feed(buffer)
    buffer[:] = bytes(len(buffer))
    assert [bytes(payload) for payload in run.payloads()] == [b"abc"]


@pytest.mark.parametrize("piece", [5, "text", None, [1, 2]])
def test_what_is_not_bytes_is_refused(piece: Any) -> None:
    with pytest.raises(TypeError):
        FrameScanner().feed(piece)


def test_a_piece_may_have_items_of_any_size() -> None:
    data = memoryview(encode_frame(1, b"ab") * 2).cast("I")
    scanner = FrameScanner()
    assert scan(scanner, [b"", data[:1], data[1:]]) == [(1, b"ab"), (1, b"ab")]


def test_the_end_within_a_frame_is_an_error() -> None:
    scanner = FrameScanner()
    scanner.feed(encode_frame(1, b"abc")[:-1])
    assert scanner.pending == 8
    with pytest.raises(ProtocolError, match="8 bytes of at least 9"):
        scanner.close()


def read(scanner: FrameScanner, data: bytes, sizes: list[int]) -> list[Run]:
    """The stream read through `get_buffer()`, in pieces of these sizes again and again, where they fit."""
    runs, position, number = [], 0, 0
    while position < len(data):
        room = scanner.get_buffer()
        size = min(sizes[number % len(sizes)], len(room), len(data) - position)
        room[:size] = data[position : position + size]
        runs += scanner.buffer_updated(size)
        position += size
        number += 1
    return runs


some_frames = st.lists(
    st.builds(
        lambda type_id, size, byte: encode_frame(type_id, bytes([byte]) * size),
        st.sampled_from([1, 999, 1000, 65535]),
        st.one_of(st.sampled_from([0, 1, 16, 57, 58, 59, 122, 500]), st.integers(0, 2000)),
        st.integers(0, 255),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(
    frames=some_frames,
    sizes=st.lists(st.one_of(st.integers(1, 20), st.integers(1, 3000)), min_size=1, max_size=20),
    block_size=st.sampled_from([64, 65, 100, 1024, 65536]),
    keep=st.booleans(),
    how=st.sampled_from(["read", "feed"]),
)
def test_any_split_gives_the_frames_of_the_whole(
    frames: list[bytes], sizes: list[int], block_size: int, keep: bool, how: str
) -> None:
    data = b"".join(frames)
    pool = BufferPool(block_size, 1, max_blocks=10_000)
    scanner = FrameScanner(pool=pool)
    if how == "read":
        runs = read(scanner, data, sizes)
    else:
        ends = list(itertools.accumulate(sizes[: len(data)], initial=0))
        pieces = [data[a:b] for a, b in itertools.pairwise([*ends, max(len(data), ends[-1])])]
        runs = [run for piece in pieces for run in scanner.feed(piece)]
    scanner.close()
    assert b"".join(run.frames for run in runs) == data
    assert [bytes(payload) for run in runs for payload in run.payloads()] == [frame[6:] for frame in frames]
    assert (scanner.frames, scanner.bytes) == (len(frames), len(data))
    if not keep:
        runs = []
        # Most of it has gone back by now; more of the stream writes over it, and over nothing else.
    more = read(scanner, data, sizes[::-1])
    assert b"".join(run.frames for run in more) == data
    assert b"".join(run.frames for run in runs) == (data if keep else b"")
    del more, runs, scanner
    assert pool.stats().in_use == 0
    assert pool.stats().large == 0


def test_small_reads_share_a_block() -> None:
    pool = BufferPool(4096, 1)
    scanner = FrameScanner(pool=pool)
    frame = encode_frame(1, b"0123456789")
    runs = read(scanner, frame * 150, [16])
    assert len(runs) == 150
    assert pool.stats().high_water == 1
    assert scanner.reads == 150


def test_memory_that_nobody_looks_at_is_read_into_again() -> None:
    pool = BufferPool(4096, 1, on_exhausted="error")
    scanner = FrameScanner(pool=pool)
    for size in (1, 100, 1000, 5000):
        assert sum(run.count for run in scanner.feed(encode_frame(1, b"0123456789") * size)) == size
        assert [run.count for run in scanner.feed(encode_frame(1, bytes(4000)))] == [1]
    assert pool.stats().high_water == 1


def test_a_run_does_not_change_while_the_stream_goes_on() -> None:
    scanner = FrameScanner(pool=BufferPool(256, 1))
    kept = []
    for number in range(200):
        frame = encode_frame(1, bytes([number]) * (number % 50))
        kept += [(run, bytes(run)) for run in read(scanner, frame, [7, 30])]
        del kept[: number % 3]
        assert all(bytes(run) == before for run, before in kept)


def test_every_read_has_room() -> None:
    scanner = FrameScanner(pool=BufferPool(64, 1))
    for size in (0, 1, 57, 58, 59, 64, 100, 1000):
        frame = encode_frame(1, bytes(size))
        for position in range(len(frame)):
            room = scanner.get_buffer(0)
            assert len(room) >= 1
            room[0] = frame[position]
            runs = scanner.buffer_updated(1)
        assert [run.length for run in runs] == [size]


def test_asking_for_memory_twice_gives_the_same() -> None:
    scanner = FrameScanner()
    scanner.feed(encode_frame(1, b"abc")[:7])
    first, second = scanner.get_buffer(), scanner.get_buffer()
    first[:2] = b"bc"
    assert bytes(second[:2]) == b"bc"
    assert [bytes(run) for run in scanner.buffer_updated(2)] == [encode_frame(1, b"abc")]


def test_a_large_frame_grows_with_what_has_arrived() -> None:
    pool = BufferPool(1024, 1)
    scanner = FrameScanner(pool=pool)
    frame = encode_frame(2000, random.Random(5).randbytes(100_000))
    position = 0
    while position < len(frame):
        room = scanner.get_buffer()
        assert len(room) <= max(1024, position)
        size = min(len(room), 700)
        room[:size] = frame[position : position + size]
        position += size
        runs = scanner.buffer_updated(size)
        assert pool.stats().large <= 1
    assert [bytes(run) for run in runs] == [frame]
    del room
    assert (scanner.pending, pool.stats().large) == (0, 1)
    assert len(scanner.get_buffer()) == 1024


def test_large_frames_of_one_size_share_memory_until_a_smaller_one_comes() -> None:
    pool = BufferPool(1024, 1)
    scanner = FrameScanner(pool=pool)
    large, small = (encode_frame(2000, random.Random(6).randbytes(size)) for size in (100_000, 10))
    addresses = set()
    for _ in range(4):
        (run,) = scanner.feed(large)
        assert bytes(run) == large
        addresses.add(_address(run))
        del run
        assert pool.stats().large == 1
    assert len(addresses) == 1
    scanner.feed(small)
    assert pool.stats().large == 0


def test_a_large_frame_that_somebody_holds_is_not_overwritten() -> None:
    pool = BufferPool(1024, 1)
    scanner = FrameScanner(pool=pool)
    frames = [encode_frame(2000, bytes([number]) * 100_000) for number in range(4)]
    runs = [run for frame in frames for run in scanner.feed(frame)]
    assert [bytes(run) for run in runs] == frames
    assert pool.stats().large == 4
    del runs
    assert pool.stats().large == 1


def test_memory_of_more_than_a_mebibyte_is_not_kept() -> None:
    pool = BufferPool(1024, 1)
    scanner = FrameScanner(pool=pool)
    for size, kept in ((1 << 20, 1), ((1 << 20) + 1, 0)):
        assert len(scanner.feed(encode_frame(2000, bytes(size)))) == 1
        assert pool.stats().large == kept


def _address(run: Run) -> int:
    import numpy

    return int(numpy.frombuffer(run, "u1").ctypes.data)


def test_an_exhausted_pool_loses_nothing_of_what_was_read() -> None:
    pool = BufferPool(64, 2, on_exhausted="error")
    scanner = FrameScanner(pool=pool)
    first, second = encode_frame(1, bytes(40)), encode_frame(1, b"x" * 40)
    kept = scanner.feed(first)
    kept += read(scanner, second[:10], [10])
    others = [pool.acquire()]
    for _ in range(2):
        with pytest.raises(PoolExhausted):
            scanner.get_buffer()
        with pytest.raises(PoolExhausted):
            scanner.feed(second[10:])
    assert scanner.pending == 10
    others.clear()
    assert [bytes(run) for run in [*kept, *scanner.feed(second[10:])]] == [first, second]


def test_a_piece_is_taken_whole_even_if_the_pool_runs_out_within_it() -> None:
    pool = BufferPool(64, 2, on_exhausted="wait", timeout=1000)
    frame = encode_frame(1, bytes(range(20)))
    runs = FrameScanner(pool=pool).feed(frame * 50)
    assert b"".join(runs) == frame * 50
    assert pool.stats().in_use == 2
    del runs
    assert (pool.stats().in_use, pool.stats().large) == (0, 0)


@pytest.mark.parametrize("size", [-1, 65, 1 << 40])
def test_more_than_there_was_room_for_was_not_read(size: int) -> None:
    scanner = FrameScanner(pool=BufferPool(64))
    scanner.get_buffer()
    with pytest.raises(ValueError, match="bytes read into memory for 64"):
        scanner.buffer_updated(size)
    scanner.feed(b"")
    with pytest.raises(ValueError, match="memory for 0"):
        scanner.buffer_updated(1)


def test_a_refused_frame_is_refused_in_every_way_from_then_on() -> None:
    scanner = FrameScanner(max_payload_size=10)
    data = encode_frame(1, b"a") + (7).to_bytes(2, "little") + (11).to_bytes(4, "little")
    room = scanner.get_buffer()
    room[: len(data)] = data
    assert [bytes(run) for run in scanner.buffer_updated(len(data))] == [encode_frame(1, b"a")]
    for call in (scanner.get_buffer, lambda: scanner.buffer_updated(0), lambda: scanner.feed(b"")):
        with pytest.raises(ProtocolError, match="type id 7"):
            call()


def test_frames_of_the_core_are_announced() -> None:
    scanner = FrameScanner()
    core, own = encode_frame(999, b""), encode_frame(1000, b"")
    seen = []
    for piece in (own, own + core + own, own, core[:3], core[3:], b"", core):
        scanner.feed(piece)
        seen.append(scanner.saw_core)
    assert seen == [False, True, False, False, True, False, True]
    scanner.get_buffer()[:6] = own
    scanner.buffer_updated(6)
    assert scanner.saw_core is False


def test_frames_bytes_and_reads_are_counted() -> None:
    scanner = FrameScanner(pool=BufferPool(64))
    for piece in (encode_frame(1, b"ab") * 100, b"", b"\0"):
        scanner.feed(piece)
    assert (scanner.frames, scanner.bytes, scanner.reads) == (100, 801, 2)


def test_a_part_of_a_run_is_a_run_of_the_same_memory() -> None:
    (run,) = FrameScanner().feed(b"".join(encode_frame(5, bytes([n, n])) for n in range(10)))
    part = run.slice(3, 6)
    assert (part.type_id, part.length, part.count) == (5, 2, 3)
    assert part.frames == run.frames[24:48]
    assert [bytes(payload) for payload in part.slice(1, 3).payloads()] == [b"\4\4", b"\5\5"]
    for start, stop in ((-1, 2), (3, 3), (4, 3), (0, 11), (10, 11)):
        with pytest.raises(IndexError):
            run.slice(start, stop)


def test_a_run_is_bytes_that_nobody_can_write() -> None:
    (run,) = FrameScanner().feed(encode_frame(1, b"ab") * 3)
    assert bytes(run) == bytes(run.frames) == encode_frame(1, b"ab") * 3
    assert memoryview(run).readonly
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(b"xyz").readinto(run)
    assert bytes(run) == encode_frame(1, b"ab") * 3


def test_classes_decode_a_run_itself() -> None:
    frames = [TradeTick(number, 7).to_frame() for number in range(100)]
    (run,) = FrameScanner().feed(b"".join(frames))
    assert TradeTick.decode_batch(run) == [TradeTick(number, 7) for number in range(100)]
    assert TradeTick.decode_batch(run.slice(4, 5)) == [TradeTick(4, 7)]


def test_arrays_keep_the_memory_of_their_run() -> None:
    pytest.importorskip("numpy")
    pool = BufferPool(4096, 1)
    scanner = FrameScanner(pool=pool)
    (run,) = scanner.feed(b"".join(TradeTick(number, 7).to_frame() for number in range(100)))
    table = TradeTick.array(run)
    del run
    for _ in range(50):
        scanner.feed(TradeTick(0, 0).to_frame() * 100)
    assert table["price"].tolist() == list(range(100))
    assert not table.flags.writeable
    del scanner
    assert pool.stats().in_use == 1
    del table
    assert pool.stats().in_use == 0


def test_runs_of_bytes_are_not_copied() -> None:
    data = encode_frame(1, b"a") * 3 + encode_frame(2, b"")
    runs = runs_of(data)
    assert [(run.type_id, run.length, run.count) for run in runs] == [(1, 1, 3), (2, 0, 1)]
    assert b"".join(runs) == data
    before = sys.getrefcount(data)
    (whole,) = runs_of(data[:21])
    del runs
    assert sys.getrefcount(data) == before - 2
    assert bytes(whole) == data[:21]
    assert runs_of(b"") == []


def test_runs_of_what_can_change_are_copied() -> None:
    data = bytearray(encode_frame(1, b"a"))
    (run,) = runs_of(data)
    data[6] = 0
    assert bytes(run) == encode_frame(1, b"a")


@pytest.mark.parametrize("cut", [1, 5, 6, 7])
def test_runs_of_a_partial_frame_are_refused(cut: int) -> None:
    with pytest.raises(ProtocolError, match=r"the one at offset 7 "):
        runs_of((encode_frame(1, b"a") + encode_frame(1, b"abc"))[: 7 + cut])


def test_a_scanner_takes_no_other_pool() -> None:
    with pytest.raises(TypeError, match="pool is a BufferPool, got int"):
        FrameScanner(pool=5)  # type: ignore[arg-type]
