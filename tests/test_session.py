"""The connection's states: handshakes, frames and ends, however the bytes are cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mycelium_fast.errors import HandshakeError, ProtocolError, SchemaMismatchError
from mycelium_fast.session import Closed, Connection, Event, Frames, HandshakeDone, Role, State

GOLDEN = Path(__file__).parent / "data" / "golden"
MALFORMED = json.loads((GOLDEN / "malformed.json").read_text())
HANDSHAKES = MALFORMED["handshakes"]
STREAMS = MALFORMED["streams"]
DIGEST = bytes.fromhex(HANDSHAKES[0]["hex"])[2:]
OTHER = bytes(reversed(DIGEST))
FRAME = bytes.fromhex("B004100000007C8C010000000000C409000000000000")


def kinds(entries: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("entry", entries, ids=[entry["kind"] for entry in entries])


def server(digest: bytes | None = DIGEST) -> Connection:
    return Connection(Role.SERVER, digest)


def client(digest: bytes | None = DIGEST) -> Connection:
    return Connection(Role.CLIENT, digest)


def type_ids(events: list[Event]) -> list[int]:
    runs = [run for event in events if isinstance(event, Frames) for run in event.runs]
    return [run.type_id for run in runs for _ in range(run.count)]


def error_of(events: list[Event]) -> Exception:
    assert isinstance(events[-1], Closed)
    assert events[-1].error is not None
    return events[-1].error


@kinds(HANDSHAKES)
def test_a_server_accepts_and_refuses_handshakes_at_every_split(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["hex"])
    for cut in range(len(data) + 1):
        connection = server()
        events = connection.receive_data(data[:cut]) + connection.receive_data(data[cut:])
        if entry["accept"]:
            assert events == [HandshakeDone()]
            assert connection.state is State.OPEN
        else:
            assert isinstance(error_of(events), HandshakeError)
            assert len(events) == 1
            assert connection.state is State.CLOSED
            assert connection.receive_data(FRAME) == []


@kinds(HANDSHAKES)
def test_a_server_decides_on_a_handshake_that_comes_byte_by_byte(entry: dict[str, Any]) -> None:
    connection = server()
    events: list[Event] = []
    for byte in bytes.fromhex(entry["hex"]):
        events += connection.receive_data(bytes([byte]))
    assert (events == [HandshakeDone()]) is entry["accept"]


def test_a_refused_digest_names_both_and_what_to_do() -> None:
    error = error_of(server().receive_data(b"\x20\x00" + OTHER))
    assert isinstance(error, SchemaMismatchError)
    assert OTHER.hex() in str(error)
    assert DIGEST.hex() in str(error)
    assert "same contracts file" in str(error)


def test_a_digest_of_another_length_is_refused_as_soon_as_the_length_is_there() -> None:
    error = error_of(server().receive_data(b"\x1f\x00"))
    assert not isinstance(error, SchemaMismatchError)
    assert "31 bytes" in str(error)
    assert DIGEST.hex() in str(error)


def test_a_client_greets_with_its_digest_once() -> None:
    connection = client()
    assert connection.data_to_send() == b"\x20\x00" + DIGEST
    assert connection.data_to_send() == b""


def test_a_server_sends_nothing() -> None:
    connection = server()
    connection.receive_data(b"\x20\x00" + DIGEST + FRAME)
    assert connection.data_to_send() == b""


def test_frames_right_behind_the_greeting_are_given() -> None:
    events = server().receive_data(b"\x20\x00" + DIGEST + FRAME * 3)
    assert events[0] == HandshakeDone()
    assert type_ids(events) == [1200] * 3


def test_the_end_of_stream_before_any_frame_is_a_mismatch_to_a_client() -> None:
    error = error_of(client().receive_eof())
    assert isinstance(error, SchemaMismatchError)
    assert DIGEST.hex() in str(error)
    assert "same contracts file" in str(error)


def test_a_frame_shows_a_client_that_it_is_accepted() -> None:
    connection = client()
    events = connection.receive_data(FRAME)
    assert events[0] == HandshakeDone()
    assert connection.receive_eof() == [Closed(None)]


def test_silence_that_was_long_enough_shows_it_too() -> None:
    connection = client()
    connection.confirm()
    assert connection.state is State.OPEN
    assert connection.receive_eof() == [Closed(None)]


@pytest.mark.parametrize("role", Role)
def test_without_a_digest_there_is_no_handshake(role: Role) -> None:
    connection = Connection(role, None)
    assert connection.data_to_send() == b""
    assert connection.state is State.OPEN
    assert type_ids(connection.receive_data(FRAME)) == [1200]


def test_an_end_within_the_greeting_says_how_far_it_came() -> None:
    connection = server()
    connection.receive_data(b"\x20\x00" + DIGEST[:5])
    error = error_of(connection.receive_eof())
    assert isinstance(error, HandshakeError)
    assert "7 of the handshake's 34 bytes" in str(error)


def test_a_client_that_leaves_without_a_word_is_no_error_to_a_server() -> None:
    assert server().receive_eof() == [Closed(None)]


def test_a_handshake_that_takes_too_long_ends_the_connection() -> None:
    connection = server()
    connection.receive_data(b"\x20")
    error = error_of(connection.time_out(5.0))
    assert "1 of the handshake's 34 bytes within 5 s" in str(error)
    assert connection.receive_data(DIGEST) == []


def test_a_time_out_after_the_handshake_means_nothing() -> None:
    connection = server()
    connection.receive_data(b"\x20\x00" + DIGEST)
    assert connection.time_out(5.0) == []
    assert connection.state is State.OPEN


@kinds(STREAMS)
def test_streams_give_the_same_frames_at_every_split(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["stream_hex"])
    for cut in range(len(data) + 1):
        connection = server(None)
        events = connection.receive_data(data[:cut]) + connection.receive_data(data[cut:])
        events += connection.receive_eof()
        assert type_ids(events) == entry["expect_type_ids"]
        assert isinstance(events[-1], Closed)
        assert (events[-1].error is None) is ("then" not in entry)


def test_the_frames_before_a_bad_header_come_with_its_error() -> None:
    events = server(None).receive_data(FRAME + b"\xb0\x04\xff\xff\xff\xff")
    assert type_ids(events) == [1200]
    error = error_of(events)
    assert isinstance(error, ProtocolError)
    assert "1200" in str(error)
    assert str(2**32 - 1) in str(error)


def test_the_size_limit_is_a_setting() -> None:
    assert type_ids(Connection(Role.SERVER, None, max_payload_size=16).receive_data(FRAME)) == [1200]
    assert isinstance(
        error_of(Connection(Role.SERVER, None, max_payload_size=15).receive_data(FRAME)), ProtocolError
    )


def test_an_end_within_a_frame_is_an_error() -> None:
    connection = server(None)
    connection.receive_data(FRAME[:-1])
    assert isinstance(error_of(connection.receive_eof()), ProtocolError)


def test_nothing_comes_after_closing() -> None:
    connection = server(None)
    connection.close()
    assert connection.receive_data(FRAME) == []
    assert connection.receive_eof() == []


def test_a_digest_of_another_length_is_no_digest() -> None:
    with pytest.raises(ValueError, match="32 bytes, this one has 31"):
        client(DIGEST[:-1])
