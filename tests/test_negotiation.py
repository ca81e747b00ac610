"""Hello, Welcome and what two ends say to each other after them: the connection's states, without sockets."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mycelium_fast.codec.frames import FrameScanner
from mycelium_fast.errors import (
    HandshakeError,
    MyceliumError,
    PermissionDenied,
    ProtocolError,
    SchemaMismatchError,
    TransportError,
    TransportTimeout,
)
from mycelium_fast.session import (
    ALL_FEATURES,
    Closed,
    Connection,
    Event,
    Features,
    Frames,
    GoodbyeReceived,
    HandshakeDone,
    HelloOptions,
    HelloReceived,
    Lagged,
    Negotiated,
    PongReceived,
    RejectCode,
    Rejected,
    Role,
    State,
    Subscribed,
    SubscribeRequested,
    Traced,
    UnsubscribeRequested,
    core,
)

DIGEST = bytes(range(32))
OTHER = bytes(reversed(DIGEST))
GREETING = b"\x20\x00" + DIGEST
FRAME = struct.pack("<HI", 1200, 4) + b"tick"
UNKNOWN_CORE = struct.pack("<HI", 777, 2) + b"??"
HELLO = core.Hello(1, int(ALL_FEATURES), "risk").to_frame()
WELCOME = core.Welcome(1, int(ALL_FEATURES), 7, 1000, "hub").to_frame()
TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(8))


def plain_server() -> Connection:
    connection = Connection(Role.SERVER, DIGEST)
    connection.receive_data(GREETING + FRAME)
    return connection


def server(features: Features = ALL_FEATURES) -> Connection:
    """A negotiated one, with its Welcome sent."""
    connection = Connection(Role.SERVER, DIGEST)
    connection.receive_data(GREETING + HELLO)
    connection.welcome(7, "hub", features)
    connection.data_to_send()
    return connection


def waiting_client(digest: bytes | None = DIGEST, **hello: Any) -> Connection:
    """One that has sent what it begins with."""
    connection = Connection(Role.CLIENT, digest, hello=HelloOptions(**hello))
    connection.data_to_send()
    return connection


def client(features: Features = ALL_FEATURES) -> Connection:
    """A negotiated one."""
    connection = waiting_client()
    connection.receive_data(core.Welcome(1, int(features), 7, 1000, "hub").to_frame())
    return connection


def core_frames(data: bytes) -> list[Any]:
    """Core frames as objects."""
    runs = FrameScanner().feed(data) if data else []
    return [core.MESSAGES[run.type_id].from_bytes(payload) for run in runs for payload in run.payloads()]


def frames(events: list[Event]) -> bytes:
    """The frames of all events, back to back."""
    return b"".join(bytes(run) for event in events if isinstance(event, Frames) for run in event.runs)


def without_frames(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Frames)]


def error_of(events: list[Event]) -> MyceliumError:
    assert isinstance(events[-1], Closed)
    assert events[-1].error is not None
    return events[-1].error


# Hello and Welcome ----------------------------------------------------------------------------------------


def test_a_client_greets_and_says_hello_at_once() -> None:
    connection = Connection(
        Role.CLIENT, DIGEST, hello=HelloOptions("risk", Features.TRACE | Features.NO_ECHO)
    )
    assert connection.data_to_send() == GREETING + core.Hello(1, 24, "risk").to_frame()
    assert connection.data_to_send() == b""


def test_a_client_without_a_handshake_can_say_hello() -> None:
    connection = Connection(Role.CLIENT, None, hello=HelloOptions())
    assert connection.data_to_send() == core.Hello(1, 31, "").to_frame()
    assert connection.state is State.WAITING
    assert connection.receive_data(WELCOME) == [HandshakeDone(core.Welcome(1, 31, 7, 1000, "hub"))]


def test_a_client_says_no_hello_unless_asked_to() -> None:
    assert Connection(Role.CLIENT, None).data_to_send() == b""
    assert Connection(Role.CLIENT, DIGEST).data_to_send() == GREETING


def test_welcome_opens_a_negotiated_connection() -> None:
    connection = waiting_client()
    assert connection.receive_data(WELCOME) == [HandshakeDone(core.Welcome(1, 31, 7, 1000, "hub"))]
    assert connection.state is State.OPEN
    assert connection.negotiated
    assert connection.passing
    assert connection.connection_id == 7


def test_both_ends_agree_on_the_features_that_both_name() -> None:
    here = Connection(
        Role.CLIENT, DIGEST, hello=HelloOptions("risk", Features.SUBSCRIPTIONS | Features.TRACE)
    )
    there = Connection(Role.SERVER, DIGEST)
    events = there.receive_data(here.data_to_send())
    assert events == [HandshakeDone(), HelloReceived("risk", Features.SUBSCRIPTIONS | Features.TRACE, 1)]
    there.welcome(7, "hub", Features.TRACE | Features.NO_ECHO)
    (done,) = here.receive_data(there.data_to_send())
    assert isinstance(done, HandshakeDone)
    assert done.welcome == core.Welcome(1, 8, 7, 16_777_216, "hub")
    assert here.features == there.features == Features.TRACE
    assert here.connection_id == there.connection_id == 7
    assert here.negotiated
    assert there.negotiated


def test_features_that_nobody_knows_yet_are_not_agreed_on() -> None:
    connection = Connection(Role.SERVER, None)
    (event,) = connection.receive_data(core.Hello(2, 0xFFFFFFFF, "new").to_frame())
    assert event == HelloReceived("new", ALL_FEATURES, 2)
    connection.welcome(1, "hub", ALL_FEATURES)
    assert core_frames(connection.data_to_send()) == [core.Welcome(1, 31, 1, 16_777_216, "hub")]


def test_a_welcome_does_not_bring_features_that_were_not_asked_for() -> None:
    connection = waiting_client(features=Features.TRACE)
    connection.receive_data(WELCOME)
    assert connection.features == Features.TRACE


def test_another_frame_means_consent_and_a_plain_connection() -> None:
    connection = waiting_client()
    events = connection.receive_data(FRAME)
    assert events[0] == HandshakeDone(None)
    assert frames(events) == FRAME
    assert not connection.negotiated
    assert connection.features == Features(0)


def test_frames_in_one_piece_with_the_welcome_and_before_it_are_ignored() -> None:
    events = waiting_client().receive_data(FRAME * 2 + WELCOME + FRAME)
    assert isinstance(events[0], HandshakeDone)
    assert events[0].welcome is not None
    assert frames(events) == FRAME


@pytest.mark.parametrize("silent", [True, False])
def test_a_late_welcome_negotiates_a_connection_taken_for_plain(silent: bool) -> None:
    connection = waiting_client()
    if silent:
        connection.confirm()
    else:
        connection.receive_data(FRAME)
    assert not connection.negotiated
    events = connection.receive_data(FRAME + WELCOME + FRAME)
    # Nothing is lost of what came while the connection was plain and in use.
    assert [type(event) for event in events] == [Frames, Negotiated, Frames]
    assert connection.negotiated
    assert connection.features == ALL_FEATURES


def test_a_client_that_said_no_hello_takes_a_welcome_for_a_frame() -> None:
    connection = Connection(Role.CLIENT, DIGEST)
    events = connection.receive_data(WELCOME)
    assert events[0] == HandshakeDone(None)
    assert frames(events) == WELCOME
    assert not connection.negotiated


def test_hello_counts_only_as_the_first_frame() -> None:
    connection = Connection(Role.SERVER, DIGEST)
    events = connection.receive_data(GREETING + FRAME + HELLO)
    assert without_frames(events) == [HandshakeDone()]
    assert frames(events) == FRAME + HELLO
    connection.welcome(1, "hub", ALL_FEATURES)
    assert connection.data_to_send() == b""
    assert not connection.negotiated


def test_a_first_frame_with_the_id_of_hello_and_another_length_is_a_frame() -> None:
    connection = Connection(Role.SERVER, None)
    odd = struct.pack("<HI", 1, 3) + b"abc"
    assert frames(connection.receive_data(odd + HELLO)) == odd + HELLO


def test_core_ids_are_ordinary_on_a_plain_connection() -> None:
    for connection in (plain_server(), Connection(Role.CLIENT, None)):
        data = core.Ping(1).to_frame() + UNKNOWN_CORE + core.Subscribe(1, True, []).to_frame()
        assert frames(connection.receive_data(data)) == data
        assert connection.data_to_send() == b""


def test_a_server_passes_frames_only_after_the_first() -> None:
    connection = Connection(Role.SERVER, DIGEST)
    assert not connection.passing
    connection.receive_data(GREETING)
    assert not connection.passing
    connection.receive_data(FRAME)
    assert connection.passing
    connection.close()
    assert not connection.passing


def test_what_follows_hello_at_once_is_understood_and_answered_after_the_welcome() -> None:
    connection = Connection(Role.SERVER, DIGEST)
    data = GREETING + HELLO + core.Ping(5).to_frame() + core.Subscribe(1, False, [1200]).to_frame() + FRAME
    events = connection.receive_data(data)
    assert without_frames(events)[2:] == [SubscribeRequested(1, (1200,))]
    assert frames(events) == FRAME
    assert connection.data_to_send() == b""
    connection.welcome(7, "hub", ALL_FEATURES)
    connection.subscribed(1)
    kinds = [type(frame).__name__ for frame in core_frames(connection.data_to_send())]
    assert kinds == ["Welcome", "Pong", "Subscribed"]


def test_a_service_with_a_long_name_is_told_so() -> None:
    HelloOptions("é" * 32)
    with pytest.raises(ValueError, match="at most 64 bytes"):
        HelloOptions("é" * 33)


def test_the_name_of_a_bridge_is_cut_between_characters() -> None:
    connection = Connection(Role.SERVER, None)
    connection.receive_data(HELLO)
    connection.welcome(1, "é" * 40, ALL_FEATURES)
    (welcome,) = core_frames(connection.data_to_send())
    assert welcome.bridge == "é" * 30 + "..."


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_an_end_before_any_answer_is_a_refusal(digest: bytes | None) -> None:
    error = error_of(waiting_client(digest).receive_eof())
    assert isinstance(error, HandshakeError)
    assert isinstance(error, SchemaMismatchError) is (digest is not None)
    assert "closed the connection" in str(error)


def test_a_server_that_does_not_answer_in_time_is_an_error_to_a_client() -> None:
    connection = waiting_client()
    error = error_of(connection.time_out(5))
    assert isinstance(error, TransportTimeout)
    assert "within 5 s" in str(error)
    assert connection.receive_data(WELCOME) == []
    assert client().time_out(5) == []


def test_versions_without_one_in_common_are_refused_by_both() -> None:
    connection = Connection(Role.SERVER, None)
    error = error_of(connection.receive_data(core.Hello(0, 31, "old").to_frame()))
    assert isinstance(error, HandshakeError)
    (reject,) = core_frames(connection.data_to_send())
    assert (reject.code, reject.fatal) == (RejectCode.VERSION, True)
    assert isinstance(error_of(waiting_client().receive_data(reject.to_frame())), HandshakeError)
    error = error_of(waiting_client().receive_data(core.Welcome(2, 31, 1, 1000, "new").to_frame()))
    assert isinstance(error, HandshakeError)
    assert "version 2" in str(error)


# Requests -------------------------------------------------------------------------------------------------


def test_a_subscription_is_requested_and_confirmed() -> None:
    here, there = client(), server()
    request, data = here.subscribe([1200, 1201])
    assert there.receive_data(data) == [SubscribeRequested(request, (1200, 1201))]
    there.subscribed(request)
    assert here.receive_data(there.data_to_send()) == [Subscribed(request)]
    second, data = here.unsubscribe([1201])
    assert second != request
    assert there.receive_data(data) == [UnsubscribeRequested(second, (1201,))]


def test_everything_can_be_asked_for() -> None:
    here, there = client(), server()
    first, data = here.subscribe(None)
    second, more = here.unsubscribe(None)
    assert there.receive_data(data + more) == [
        SubscribeRequested(first, None),
        UnsubscribeRequested(second, None),
    ]


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (256, [256]), (257, [256, 1]), (600, [256, 256, 88])])
def test_many_types_go_in_several_requests_the_last_of_which_counts(count: int, sizes: list[int]) -> None:
    request, data = client().subscribe(range(1000, 1000 + count))
    events = server().receive_data(data)
    requests = [event for event in events if isinstance(event, SubscribeRequested)]
    assert [len(each.type_ids or ()) for each in requests] == sizes
    assert sum((each.type_ids or () for each in requests), ()) == tuple(range(1000, 1000 + count))
    assert requests[-1].request == request
    assert len({each.request for each in requests}) == len(sizes)


def test_a_ping_is_answered_by_either_end() -> None:
    here, there = client(), server()
    for asking, answering in ((here, there), (there, here)):
        assert answering.receive_data(asking.ping(2**64 - 1)) == []
        assert asking.receive_data(answering.data_to_send()) == [PongReceived(2**64 - 1)]


def test_a_trace_context_comes_right_before_its_frame() -> None:
    here, there = client(), server()
    for sending, receiving in ((here, there), (there, here)):
        data = FRAME + sending.trace(TRACE_ID, SPAN_ID, 1) + FRAME + FRAME
        events = receiving.receive_data(data)
        assert [type(event) for event in events] == [Frames, Traced, Frames]
        assert events[1] == Traced(TRACE_ID, SPAN_ID, 1)
        assert frames(events[2:]) == FRAME * 2


@pytest.mark.parametrize(
    ("after", "received"), [(None, None), (0.0, 0.001), (0.25, 0.25), (1e9, (2**32 - 1) / 1000)]
)
def test_goodbye_says_when_to_come_back(after: float | None, received: float | None) -> None:
    here, there = client(), server()
    event = here.receive_data(there.goodbye("é" * 100, after))[0]
    assert event == GoodbyeReceived(received, "é" * 62 + "...")
    assert here.receive_eof() == [Closed(None)]


def test_lag_is_reported_where_that_was_agreed() -> None:
    there = server()
    there.lagged(1200, 2**40)
    assert client().receive_data(there.data_to_send()) == [Lagged(1200, 2**40)]
    there = server(ALL_FEATURES & ~Features.LAG_REPORTS)
    there.lagged(1200, 1)
    assert there.data_to_send() == b""


REQUESTS: dict[str, tuple[Features, Callable[[Connection], object]]] = {
    "subscribe": (Features.SUBSCRIPTIONS, lambda each: each.subscribe([1200])),
    "unsubscribe": (Features.SUBSCRIPTIONS, lambda each: each.unsubscribe(None)),
    "ping": (Features.HEARTBEATS, lambda each: each.ping(1)),
    "trace": (Features.TRACE, lambda each: each.trace(TRACE_ID, SPAN_ID, 0)),
}


@pytest.mark.parametrize(("feature", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_nothing_is_sent_that_was_not_agreed_on(
    feature: Features, request_: Callable[[Connection], object]
) -> None:
    request_(client(feature))
    with pytest.raises(RuntimeError, match=f"{feature.name} was not agreed on"):
        request_(client(ALL_FEATURES & ~feature))
    plain = waiting_client()
    plain.confirm()
    with pytest.raises(RuntimeError, match="plain"):
        request_(plain)


def test_no_core_frame_goes_to_a_plain_client() -> None:
    there = plain_server()
    there.welcome(1, "hub", ALL_FEATURES)
    there.subscribed(1)
    there.lagged(1200, 1)
    there.reject(RejectCode.LIMIT, "too many", fatal=True)
    assert there.data_to_send() == b""
    with pytest.raises(RuntimeError):
        there.goodbye()


# Refusals -------------------------------------------------------------------------------------------------

ERRORS: dict[int, tuple[type[TransportError], type[TransportError]]] = {
    1: (SchemaMismatchError, SchemaMismatchError),
    2: (PermissionDenied, PermissionDenied),
    3: (TransportError, TransportError),
    4: (HandshakeError, TransportError),
    5: (HandshakeError, HandshakeError),
    99: (HandshakeError, TransportError),
}


@pytest.mark.parametrize("code", ERRORS)
def test_a_rejection_closes_with_an_error_of_its_kind(code: int) -> None:
    reject = core.Reject(code, True, 0, OTHER, "because of this").to_frame()
    for connection, expected in zip((waiting_client(), client()), ERRORS[code], strict=True):
        rejected, closed = connection.receive_data(reject + FRAME)
        assert isinstance(rejected, Rejected)
        assert isinstance(closed, Closed)
        assert closed.error is rejected.error
        assert type(rejected.error) is expected
        assert (rejected.code, rejected.fatal, rejected.type_id) == (code, True, 0)
        assert connection.state is State.CLOSED
        assert "because of this" in str(rejected.error)


def test_a_rejected_digest_names_both() -> None:
    error = error_of(waiting_client().receive_data(core.Reject(1, True, 0, OTHER, "").to_frame()))
    assert DIGEST.hex() in str(error)
    assert OTHER.hex() in str(error)


def test_a_rejection_behind_frames_still_refuses_a_client_that_waits() -> None:
    events = waiting_client().receive_data(FRAME + core.Reject(2, True, 0, OTHER, "no").to_frame())
    assert [type(event) for event in events] == [Rejected, Closed]


def test_a_rejection_that_comes_late_is_understood() -> None:
    connection = waiting_client()
    connection.confirm()
    error = error_of(connection.receive_data(core.Reject(1, True, 0, OTHER, "").to_frame()))
    assert isinstance(error, SchemaMismatchError)


def test_a_rejected_request_leaves_the_connection_open() -> None:
    here, there = client(), server()
    there.reject(RejectCode.PERMISSION, "not for you", fatal=False, type_id=1200)
    (event,) = here.receive_data(there.data_to_send())
    assert isinstance(event, Rejected)
    assert (event.code, event.fatal, event.type_id) == (2, False, 1200)
    assert "type id 1200" in str(event.error)
    assert here.state is there.state is State.OPEN


def test_a_fatal_rejection_ends_the_servers_side_too() -> None:
    there = server()
    there.reject(RejectCode.LIMIT, "é" * 200, fatal=True)
    assert there.state is State.CLOSED
    assert there.receive_data(FRAME) == []
    (reject,) = core_frames(there.data_to_send())
    assert reject.reason == "é" * 126 + "..."


def test_a_refused_digest_is_explained_to_whoever_said_hello_however_it_is_cut() -> None:
    data = b"\x20\x00" + OTHER + HELLO + FRAME
    for cut in range(34, len(data) + 1):
        connection = Connection(Role.SERVER, DIGEST)
        events = connection.receive_data(data[:cut])
        assert isinstance(error_of(events), SchemaMismatchError)
        assert len(events) == 1
        assert connection.refusing is (cut < 34 + len(HELLO))
        assert connection.receive_data(data[cut:]) == []
        assert not connection.refusing
        (reject,) = core_frames(connection.data_to_send())
        assert (reject.code, reject.fatal, reject.digest) == (1, True, DIGEST)
        error = error_of(waiting_client(OTHER).receive_data(reject.to_frame()))
        assert DIGEST.hex() in str(error)
        assert OTHER.hex() in str(error)


@pytest.mark.parametrize("then", [FRAME, b"\x01\x00\x03", "eof", "give up", "close"])
def test_a_refused_digest_is_not_explained_to_others(then: bytes | str) -> None:
    connection = Connection(Role.SERVER, DIGEST)
    connection.receive_data(b"\x20\x00" + OTHER)
    assert connection.refusing
    if isinstance(then, bytes):
        assert connection.receive_data(then) == []
    elif then == "eof":
        assert connection.receive_eof() == []
    elif then == "close":
        connection.close()
    else:
        connection.give_up()
    assert not connection.refusing
    assert connection.data_to_send() == b""


def test_a_digest_of_another_length_waits_for_no_hello() -> None:
    connection = Connection(Role.SERVER, DIGEST)
    connection.receive_data(b"\x21\x00")
    assert not connection.refusing


# What breaks the protocol ---------------------------------------------------------------------------------

REQUEST = core.Subscribe(1, True, []).to_frame()
WRONG_FOR_SERVERS = {
    "a second Hello": HELLO,
    "Welcome": WELCOME,
    "Reject": core.Reject(1, True, 0, DIGEST, "").to_frame(),
    "Subscribed": core.Subscribed(1).to_frame(),
    "Lagged": core.Lagged(1200, 1).to_frame(),
    "a short Ping": struct.pack("<HI", 8, 7) + bytes(7),
    "a flag of 2": core.Subscribe(1, False, [])
    .to_frame()
    .replace(b"\x01\x00\x00\x00\x00", b"\x01\x00\x00\x00\x02"),
}
WRONG_FOR_CLIENTS = {
    "a second Welcome": WELCOME,
    "Hello": HELLO,
    "Subscribe": REQUEST,
    "Unsubscribe": core.Unsubscribe(1, True, []).to_frame(),
    "an empty Lagged": struct.pack("<HI", 7, 0),
}


@pytest.mark.parametrize("data", WRONG_FOR_SERVERS.values(), ids=WRONG_FOR_SERVERS)
def test_a_client_that_breaks_the_protocol_is_told_so(data: bytes) -> None:
    connection = server()
    events = connection.receive_data(FRAME + data + FRAME)
    assert frames(events) == FRAME
    error = error_of(events)
    assert isinstance(error, ProtocolError)
    assert core.MESSAGES[data[0]].__name__ in str(error)
    (reject,) = core_frames(connection.data_to_send())
    assert (reject.code, reject.fatal) == (RejectCode.PROTOCOL, True)
    assert reject.reason
    assert connection.receive_data(FRAME) == []


@pytest.mark.parametrize("data", WRONG_FOR_CLIENTS.values(), ids=WRONG_FOR_CLIENTS)
def test_a_server_that_breaks_the_protocol_ends_the_connection(data: bytes) -> None:
    connection = client()
    events = connection.receive_data(FRAME + data + FRAME)
    assert frames(events) == FRAME
    error = error_of(events)
    assert isinstance(error, ProtocolError)
    assert core.MESSAGES[data[0]].__name__ in str(error)


def test_a_hello_that_does_not_decode_is_refused_with_the_reason() -> None:
    connection = Connection(Role.SERVER, None)
    name = HELLO.index(b"risk")
    events = connection.receive_data(HELLO[:name] + b"\xff\xfe\xfd\xfc" + HELLO[name + 4 :])
    assert isinstance(error_of(events), ProtocolError)
    (reject,) = core_frames(connection.data_to_send())
    assert reject.code == RejectCode.PROTOCOL


def test_a_client_that_breaks_the_protocol_right_after_hello_gets_the_reason_alone() -> None:
    connection = Connection(Role.SERVER, None)
    events = connection.receive_data(HELLO + core.Ping(1).to_frame() + WELCOME)
    assert [type(event) for event in events] == [HelloReceived, Closed]
    connection.welcome(1, "hub", ALL_FEATURES)
    connection.subscribed(1)
    (reject,) = core_frames(connection.data_to_send())
    assert reject.code == RejectCode.PROTOCOL


def test_a_frame_over_the_limit_is_explained_to_a_negotiated_client() -> None:
    connection = server()
    events = connection.receive_data(FRAME + struct.pack("<HI", 1200, 2**32 - 1))
    assert frames(events) == FRAME
    assert isinstance(error_of(events), ProtocolError)
    (reject,) = core_frames(connection.data_to_send())
    assert reject.code == RejectCode.PROTOCOL
    assert str(2**32 - 1) in reject.reason


@pytest.mark.parametrize("make", [client, server])
def test_other_types_below_1000_are_frames_like_any_other(make: Callable[[], Connection]) -> None:
    connection = make()
    events = connection.receive_data(FRAME + UNKNOWN_CORE * 3 + FRAME)
    assert frames(events) == FRAME + UNKNOWN_CORE * 3 + FRAME
    assert connection.state is State.OPEN


# However the bytes come -----------------------------------------------------------------------------------


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    """The data in pieces."""
    before = 0
    for place in sorted({each % (len(data) + 1) for each in places} | {len(data)}):
        yield data[before:place]
        before = place


def through_data(connection: Connection, data: bytes) -> list[Event]:
    return connection.receive_data(data)


def through_buffer(connection: Connection, data: bytes) -> list[Event]:
    events: list[Event] = []
    while data:
        room = connection.get_buffer(len(data))
        size = min(len(room), len(data))
        room[:size] = data[:size]
        del room
        events += connection.buffer_updated(size)
        data = data[size:]
    return events


def through_runs(connection: Connection, data: bytes) -> list[Event]:
    """A driver that moves the scanner itself as far as it may."""
    if not connection.passing or not data:
        return connection.receive_data(data)
    try:
        runs = connection.scanner.feed(data)
    except ProtocolError:
        runs = []
    if connection.scanner.saw_core or not runs:
        return connection.receive_runs(runs)
    return [Frames(runs), *connection.receive_runs([])]


WAYS = (through_data, through_buffer, through_runs)


def drive(
    connection: Connection,
    data: bytes,
    places: list[int],
    way: Callable[[Connection, bytes], list[Event]],
) -> tuple[list[Any], bytes]:
    """What a driver sees and sends: events, with the frames between two others merged, and bytes."""
    seen: list[Any] = []
    sent = b""
    for piece in cut(data, places):
        for event in way(connection, piece):
            assert seen[-1:] != ["closed"]
            if isinstance(event, Frames):
                if not seen or not isinstance(seen[-1], bytes):
                    seen.append(b"")
                seen[-1] += b"".join(bytes(run) for run in event.runs)
            elif isinstance(event, Rejected):
                seen.append((str(event.error), event.code, event.fatal, event.type_id))
            elif isinstance(event, Closed):
                seen += [str(event.error), "closed"]
            else:
                seen.append(event)
            if isinstance(event, HelloReceived):
                connection.welcome(7, "hub", ALL_FEATURES)
        sent += connection.data_to_send()
    return seen, sent


u16, u32, u64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
APPLICATION = st.builds(
    lambda type_id, payload: struct.pack("<HI", type_id, len(payload)) + payload,
    st.sampled_from([0, 1000, 1200, 65535]),
    st.binary(max_size=40),
)
TEXT = st.text(max_size=20)
EITHER_WAY = (
    APPLICATION
    | st.just(UNKNOWN_CORE)
    | st.builds(
        lambda *values: core.Trace(*values).to_frame(), st.just(TRACE_ID), st.just(SPAN_ID), st.just(1)
    )
    | st.builds(lambda nonce: core.Ping(nonce).to_frame(), u64)
    | st.builds(lambda nonce: core.Pong(nonce).to_frame(), u64)
    | st.builds(lambda *values: core.Goodbye(*values).to_frame(), u32, TEXT)
)
IDS = st.lists(u16, max_size=5)
TO_SERVER = (
    EITHER_WAY
    | st.builds(lambda *values: core.Subscribe(*values).to_frame(), u32, st.booleans(), IDS)
    | st.builds(lambda *values: core.Unsubscribe(*values).to_frame(), u32, st.booleans(), IDS)
)
TO_CLIENT = (
    EITHER_WAY
    | st.builds(lambda request: core.Subscribed(request).to_frame(), u32)
    | st.builds(lambda *values: core.Lagged(*values).to_frame(), u16, u64)
    | st.builds(
        lambda *values: core.Reject(*values).to_frame(), u16, st.just(False), u16, st.just(OTHER), TEXT
    )
)
PLACES = st.lists(st.integers(0, 2**16), max_size=12)


@settings(deadline=None)
@given(st.lists(TO_SERVER, max_size=12), PLACES, st.sampled_from(WAYS), st.sampled_from([DIGEST, None]))
def test_a_negotiated_server_sees_the_same_at_any_cut(
    parts: list[bytes],
    places: list[int],
    way: Callable[[Connection, bytes], list[Event]],
    digest: bytes | None,
) -> None:
    data = (GREETING if digest else b"") + HELLO + b"".join(parts)
    whole = drive(Connection(Role.SERVER, digest), data, [], through_data)
    assert "closed" not in whole[0]
    assert drive(Connection(Role.SERVER, digest), data, places, way) == whole


@settings(deadline=None)
@given(st.lists(TO_CLIENT, max_size=12), PLACES, st.sampled_from(WAYS))
def test_a_negotiated_client_sees_the_same_at_any_cut(
    parts: list[bytes], places: list[int], way: Callable[[Connection, bytes], list[Event]]
) -> None:
    data = WELCOME + b"".join(parts)
    whole = drive(waiting_client(), data, [], through_data)
    assert "closed" not in whole[0]
    assert drive(waiting_client(), data, places, way) == whole


@settings(deadline=None)
@given(st.lists(APPLICATION | TO_SERVER, max_size=12), PLACES, st.sampled_from(WAYS))
def test_a_plain_server_passes_everything_on_at_any_cut(
    parts: list[bytes], places: list[int], way: Callable[[Connection, bytes], list[Event]]
) -> None:
    stream = FRAME + b"".join(parts)
    seen, sent = drive(Connection(Role.SERVER, DIGEST), GREETING + stream, places, way)
    assert seen == [HandshakeDone(), stream]
    assert sent == b""


STARTS: list[tuple[Role, bytes | None, bytes]] = [
    (Role.SERVER, DIGEST, b""),
    (Role.SERVER, DIGEST, b"\x20\x00" + OTHER),
    (Role.SERVER, DIGEST, GREETING + HELLO),
    (Role.SERVER, None, b""),
    (Role.SERVER, None, HELLO),
    (Role.CLIENT, DIGEST, b""),
    (Role.CLIENT, DIGEST, WELCOME),
    (Role.CLIENT, None, FRAME),
]


@pytest.mark.parametrize(("role", "digest", "start"), STARTS)
@pytest.mark.parametrize("way", WAYS)
def test_no_bytes_whatever_raise_anything(
    role: Role, digest: bytes | None, start: bytes, way: Callable[[Connection, bytes], list[Event]]
) -> None:
    randomness = random.Random(1)
    samples = [
        HELLO,
        WELCOME,
        REQUEST,
        core.Ping(1).to_frame(),
        core.Lagged(1, 1).to_frame(),
        FRAME,
        GREETING,
    ]
    for _ in range(200):
        data = bytearray(start)
        for _ in range(randomness.randrange(8)):
            piece = bytearray(randomness.choice([*samples, randomness.randbytes(randomness.randrange(50))]))
            for _ in range(randomness.choice([0, 0, 1, 3])):
                if piece:
                    piece[randomness.randrange(len(piece))] = randomness.randrange(256)
            data += piece
        connection = Connection(role, digest, hello=HelloOptions() if role is Role.CLIENT else None)
        places = [randomness.randrange(len(data) + 1) for _ in range(randomness.randrange(5))]
        seen, _ = drive(connection, bytes(data), places, way)
        assert (connection.state is State.CLOSED) is ("closed" in seen)
        end = connection.receive_eof()
        assert [type(event) for event in end] == ([] if "closed" in seen else [Closed])
