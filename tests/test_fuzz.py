"""Whatever bytes come in: a message or a DecodeError, never a crash, and never an object that fails later.

A seeded mutational fuzzer over `from_bytes`, `decode_batch` and the frame scanner, on the classes of random
schemas. `make test` runs it for a moment and `make test-sanitize` under the sanitizers; `make test-long`
goes on for a million executions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import golden
import pytest
import random_contracts

from mycelium_fast import FrameScanner, contracts
from mycelium_fast.codec.pool import BufferPool
from mycelium_fast.errors import DecodeError, ProtocolError

SEEDS = (1, 2)
INTERESTING = (b"\0", b"\x01", b"\x02", b"\x7f", b"\x80", b"\xff", b"\xff\xff", b"\xed\xa0\x80", b"\xff" * 4)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[type[Any], list[bytes]]]:
    """Classes of random schemas, each with the frames of a few good messages."""
    found = []
    directory = tmp_path_factory.mktemp("fuzz")
    rng = random.Random(0)
    for seed in SEEDS:
        path = directory / f"shapes{seed}.yaml"
        path.write_text(random_contracts.contracts_yaml(seed, 50))
        module = golden.module(path, "compiled")
        for message in contracts.load(path).messages:
            cls = module.MESSAGES[message.type_id]
            frames = [
                cls(*(random_contracts.good_value(field, rng) for field in message.fields)).to_frame()
                for _ in range(4)
            ]
            found.append((cls, frames))
    return found


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with a few bytes changed, and sometimes cut, lengthened or repeated."""
    changed = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 8))):
        if changed:
            position = rng.randrange(len(changed))
            piece = rng.choice(INTERESTING) if rng.random() < 0.5 else rng.randbytes(1)
            changed[position : position + len(piece)] = piece
    how = rng.random()
    if how < 0.05:
        del changed[rng.randrange(len(changed) + 1) :]
    elif how < 0.1:
        changed += rng.randbytes(rng.randrange(20))
    return bytes(changed)


def use(message: Any) -> None:
    """All that reads a message's memory: it must not fail on an object that decoding gave."""
    assert type(message).from_bytes(message.to_bytes(), validate=False) == message
    assert len(message.to_tuple()) == len(message.__match_args__)
    repr(message)


def read(error: Exception, cls: type[Any], size: int) -> None:
    """What a decode error says has to be true."""
    assert type(error) is DecodeError
    assert error.message == cls.__definition__.name
    assert error.offset is not None
    assert 0 <= error.offset <= size


def fuzz_from_bytes(cls: type[Any], frames: list[bytes], rng: random.Random) -> None:
    try:
        message = cls.from_bytes(mutated(rng.choice(frames)[6:], rng), validate=False)
    except DecodeError as error:
        read(error, cls, cls.SIZE)
    else:
        use(message)


def fuzz_decode_batch(cls: type[Any], frames: list[bytes], rng: random.Random) -> None:
    data = mutated(b"".join(rng.choices(frames, k=rng.randrange(5))), rng)
    errors: list[Exception] | None = [] if rng.random() < 0.5 else None
    try:
        messages = cls.decode_batch(data, validate=False, errors=errors)
    except DecodeError as error:
        read(error, cls, len(data))
    else:
        for message in messages:
            use(message)
        assert len(messages) + len(errors or ()) <= len(data) // 6
    for each in errors or ():
        read(each, cls, len(data))


def fuzz_scanner(cls: type[Any], frames: list[bytes], rng: random.Random) -> None:
    data = mutated(b"".join(rng.choices(frames, k=rng.randrange(1, 5))), rng)
    pool = BufferPool(rng.choice((64, 500, 1 << 16)), 1, max_blocks=1 << 20)
    scanner = FrameScanner(rng.choice((64, 1 << 16, 1 << 24)), pool)
    kept = []
    found = b""
    position = 0
    try:
        while position < len(data):
            piece = data[position : position + rng.choice((1, 5, 6, 7, 100, 10_000))]
            if rng.random() < 0.5:
                room = scanner.get_buffer()
                piece = piece[: len(room)]
                room[: len(piece)] = piece
                del room
                runs = scanner.buffer_updated(len(piece))
            else:
                runs = scanner.feed(piece)
            for run in runs:
                assert len(run.frames) == run.count * (6 + run.length)
                found += run.frames
            position += len(piece)
            if rng.random() < 0.5:
                kept += runs
        scanner.close()
    except ProtocolError:
        assert data.startswith(found)
    else:
        assert found == data
    assert all(bytes(run) in found for run in kept)
    run = None
    runs = kept = []
    del scanner
    assert pool.stats().in_use == 0
    assert pool.stats().large == 0


TARGETS: tuple[Callable[[type[Any], list[bytes], random.Random], None], ...] = (
    fuzz_from_bytes,
    fuzz_decode_batch,
    fuzz_scanner,
)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "executions", [pytest.param(10_000, id="short"), pytest.param(400_000, marks=pytest.mark.long, id="long")]
)
def test_random_bytes_give_a_message_or_a_decode_error(
    seeded: list[tuple[type[Any], list[bytes]]],
    target: Callable[[type[Any], list[bytes], random.Random], None],
    executions: int,
) -> None:
    for number in range(executions):
        rng = random.Random(number)  # so that a failing number can be had again alone
        target(*rng.choice(seeded), rng)


def test_the_fuzzer_reaches_every_reason(seeded: list[tuple[type[Any], list[bytes]]]) -> None:
    reasons = set()
    rng = random.Random(5)
    for _ in range(20_000):
        cls, frames = rng.choice(seeded)
        try:
            cls.from_bytes(mutated(rng.choice(frames)[6:], rng), validate=False)
        except DecodeError as error:
            reasons.add((error.reason or "").split(" of ")[0])
        else:
            reasons.add("decoded")
    assert reasons == {
        "decoded",
        "a payload",
        "a count over the capacity",
        "text that is not UTF-8",
        "a bool that is neither 0 nor 1",
    }
