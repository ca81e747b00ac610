"""Recordings: what is written is read again, and a file that was cut off or damaged is told apart."""

from __future__ import annotations

import os
import stat
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from links import eventually, text, ticks

from mycelium_fast import ProtocolError, SchemaMismatchError
from mycelium_fast.bus.recording import Record, Recorder, Recording
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick

HEADER = 56
START_NS = 1_700_000_000_000_000_000
FRAME = struct.Struct("<HI")

frames = st.builds(
    lambda type_id, payload: FRAME.pack(type_id, len(payload)) + payload,
    st.integers(0, 0xFFFF),
    st.binary(max_size=40),
)
#: Hypothesis calls a test many times with one directory: every example writes its file anew.
fuzzed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def recorded(path: Path, *pairs: tuple[int, bytes]) -> bytes:
    """A recording of frames at times after its start; the bytes of the file."""
    path.unlink(missing_ok=True)
    with Recorder(path, SCHEMA_DIGEST, start_ns=START_NS) as recorder:
        for after_ns, frame in pairs:
            recorder.write(frame, START_NS + after_ns)
    return path.read_bytes()


def read(path: Path) -> list[Record]:
    with Recording(path, SCHEMA_DIGEST) as recording:
        return list(recording)


def test_what_is_written_is_read_again_with_its_times(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    tick, line = ticks(1, 2)[0].to_frame(), text().to_frame()
    recorded(path, (0, tick), (5, line), (5, tick))
    with Recording(path) as recording:
        assert (recording.digest, recording.start_ns) == (SCHEMA_DIGEST, START_NS)
        assert list(recording) == [
            (START_NS, 1200, tick),
            (START_NS + 5, 1001, line),
            (START_NS + 5, 1200, tick),
        ]
        assert (recording.offset, recording.truncated_bytes) == (path.stat().st_size, 0)
    assert TradeTick.from_bytes(read(path)[0].payload) == ticks(1, 2)[0]


def test_the_bytes_are_those_of_the_drawing(tmp_path: Path) -> None:
    data = recorded(tmp_path / "a.rec", (7, b"\xb0\x04\x01\x00\x00\x00\xff"))
    assert data == (
        b"\x89MYCREC\n\x01\x00" + bytes(6) + START_NS.to_bytes(8, "little") + SCHEMA_DIGEST
        + b"\x07" + bytes(7) + b"\xb0\x04\x01\x00\x00\x00\xff"
    )  # fmt: skip


def test_times_are_those_of_the_clock_and_never_go_back(tmp_path: Path) -> None:
    before = time.time_ns()
    with Recorder(tmp_path / "a.rec", SCHEMA_DIGEST) as recorder:
        recorder.write(ticks(0, 1)[0].to_frame())
        recorder.write(ticks(0, 1)[0].to_frame(), before - 10**9)
        assert (recorder.frames, recorder.bytes) == (2, 44)
    first, second = read(tmp_path / "a.rec")
    assert before <= first.time_ns == second.time_ns <= time.time_ns()


def test_a_recording_is_for_its_owner_alone(tmp_path: Path) -> None:
    recorded(tmp_path / "a.rec")
    assert stat.S_IMODE((tmp_path / "a.rec").stat().st_mode) & 0o077 == 0


def test_what_is_written_reaches_the_file_without_another_call(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.rec", SCHEMA_DIGEST) as recorder:
        recorder.write(ticks(0, 1)[0].to_frame())
        eventually(lambda: len(read(tmp_path / "a.rec")) == 1)
        recorder.write(ticks(0, 1)[0].to_frame())
        recorder.flush()
        assert len(read(tmp_path / "a.rec")) == 2


def test_an_existing_file_is_not_written_over(tmp_path: Path) -> None:
    data = recorded(tmp_path / "a.rec", (0, ticks(0, 1)[0].to_frame()))
    with pytest.raises(FileExistsError):
        Recorder(tmp_path / "a.rec", SCHEMA_DIGEST)
    assert (tmp_path / "a.rec").read_bytes() == data


def test_appending_goes_on_behind_the_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    first, second, third = (each.to_frame() for each in ticks(0, 3))
    data = recorded(path, (3, first), (9, second))
    path.write_bytes(data[:-1])
    with Recorder(path, SCHEMA_DIGEST, append=True) as recorder:
        recorder.write(third, START_NS + 4)
    assert [(each.time_ns - START_NS, each.frame) for each in read(path)] == [(3, first), (4, third)]
    with Recorder(tmp_path / "new.rec", SCHEMA_DIGEST, append=True):
        pass
    assert read(tmp_path / "new.rec") == []


def test_appending_to_another_schemas_recording_or_to_another_file_is_refused(tmp_path: Path) -> None:
    data = recorded(tmp_path / "a.rec")
    with pytest.raises(SchemaMismatchError):
        Recorder(tmp_path / "a.rec", bytes(32), append=True)
    (tmp_path / "notes.txt").write_text("mine\n")
    with pytest.raises(ProtocolError, match=r"notes\.txt"):
        Recorder(tmp_path / "notes.txt", SCHEMA_DIGEST, append=True)
    assert (tmp_path / "a.rec").read_bytes() == data
    assert (tmp_path / "notes.txt").read_text() == "mine\n"


@pytest.mark.parametrize("frame", [b"", b"\0" * 5, FRAME.pack(1200, 17) + bytes(16), FRAME.pack(1, 0) + b"x"])
def test_what_is_not_one_frame_is_not_written(tmp_path: Path, frame: bytes) -> None:
    with Recorder(tmp_path / "a.rec", SCHEMA_DIGEST) as recorder, pytest.raises(ValueError, match="frame"):
        recorder.write(frame)
    assert read(tmp_path / "a.rec") == []


def test_mistakes_in_calls_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="32 bytes, not 3"):
        Recorder(tmp_path / "a.rec", b"abc")
    with pytest.raises(ValueError, match="begin"):
        Recorder(tmp_path / "a.rec", SCHEMA_DIGEST, start_ns=1 << 63)
    assert not (tmp_path / "a.rec").exists()
    with Recorder(tmp_path / "a.rec", SCHEMA_DIGEST) as recorder:
        with pytest.raises(ValueError, match="beyond"):
            recorder.write(ticks(0, 1)[0].to_frame(), 1 << 63)
        recorder.close()
        recorder.close()
        with pytest.raises(ValueError, match="closed"):
            recorder.write(ticks(0, 1)[0].to_frame())


def test_another_contracts_file_is_an_error_that_names_both(tmp_path: Path) -> None:
    recorded(tmp_path / "a.rec")
    with pytest.raises(SchemaMismatchError) as caught:
        Recording(tmp_path / "a.rec", bytes(32))
    assert SCHEMA_DIGEST.hex() in str(caught.value)
    assert bytes(32).hex() in str(caught.value)


def damaged(data: bytes, offset: int, change: bytes) -> bytes:
    return data[:offset] + change + data[offset + len(change) :]


@pytest.mark.parametrize(
    ("offset", "change", "said"),
    [
        (0, b"PK", "offset 0"),
        (8, b"\x02\x00", "version 2 .offset 8"),
        (16, b"\xff" * 8, "offset 16"),
        (HEADER + 28 + 10, b"\xff" * 4, r"offset 84: a frame of type 1200 with 4294967295 payload bytes"),
        (HEADER + 28 + 10, b"\x01\x00\x00\x01", "offset 84: .* 16777217 payload bytes"),
        (HEADER + 28, bytes(8), "offset 84: a record 0 ns after the start, which follows one 5 ns"),
        (HEADER + 28, b"\xff" * 8, "offset 84"),
    ],
)
def test_damage_is_told_with_file_and_offset(tmp_path: Path, offset: int, change: bytes, said: str) -> None:
    path = tmp_path / "a.rec"
    frame = FRAME.pack(1200, 14) + bytes(14)
    data = recorded(path, (5, frame), (6, frame))
    path.write_bytes(damaged(data, offset, change))
    with pytest.raises(ProtocolError, match=rf"a\.rec.*{said}"), Recording(path) as recording:
        list(recording)


def test_a_pipe_and_a_directory_are_no_recordings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProtocolError, match="pipe"):
        Recording(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        Recording(tmp_path)


@fuzzed
@given(st.lists(st.tuples(st.integers(0, 99), frames), max_size=5), st.integers(0, 300))
def test_one_cut_off_anywhere_is_good_up_to_its_last_whole_record(
    tmp_path: Path, pairs: list[tuple[int, bytes]], cut: int
) -> None:
    path = tmp_path / "a.rec"
    pairs.sort(key=lambda pair: pair[0])
    data = recorded(path, *pairs)
    whole = [Record(START_NS + after, FRAME.unpack_from(frame)[0], frame) for after, frame in pairs]
    path.write_bytes(data[:cut])
    if cut < HEADER:
        with pytest.raises(ProtocolError, match=r"a\.rec"):
            read(path)
        return
    with Recording(path) as recording:
        got = list(recording)
        assert got == whole[: len(got)]
        assert recording.offset == HEADER + sum(8 + len(each.frame) for each in got)
        assert recording.offset + recording.truncated_bytes == min(cut, len(data))
        assert recording.truncated_bytes == 0 or len(got) < len(whole)


@fuzzed
@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda rest: b"\x89MYCREC\n\x01\x00" + bytes(14) + SCHEMA_DIGEST + rest),
        st.builds(
            damaged,
            st.lists(frames, max_size=4).map(
                lambda each: (
                    b"\x89MYCREC\n\x01\x00"
                    + bytes(14)
                    + SCHEMA_DIGEST
                    + b"".join(bytes(8) + frame for frame in each)
                )
            ),
            st.integers(0, 200),
            st.binary(max_size=8),
        ),
    )
)
def test_whatever_is_in_a_file_gives_records_or_an_error_with_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.rec"
    path.write_bytes(data)
    got: list[Record] = []
    try:
        with Recording(path) as recording:
            got.extend(recording)
            assert recording.offset + recording.truncated_bytes == len(data)
    except ProtocolError as error:
        assert str(path) in str(error)
    last = 0
    for record in got:
        assert FRAME.unpack_from(record.frame) == (record.type_id, len(record.payload))
        assert record.frame in data
        assert last <= record.time_ns < 1 << 63
        last = record.time_ns
