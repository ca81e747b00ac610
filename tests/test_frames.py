"""Frames as bytes: one at a time, and found again in a stream cut anywhere."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

import pytest
from environments import ROOT

from mycelium_fast import EncodeError, FrameScanner, ProtocolError, encode_frame
from mycelium_fast.codec.frames import MAX_ACCEPTED_PAYLOAD_SIZE, MAX_PAYLOAD_SIZE

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
