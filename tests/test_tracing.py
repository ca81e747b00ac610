"""`observe/tracing.py`: which spans a publish and a delivery give, and how they belong together."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bridges import bridge, raw_client
from environments import checked
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

import mycelium_fast
from mycelium_fast.codec.tracer import TraceContext, TracerHook
from mycelium_fast.errors import ConnectionClosed
from mycelium_fast.example_messages import SCHEMA_DIGEST, Ping, Pong, TradeTick
from mycelium_fast.observe.tracing import Tracer, instrument, uninstrument

FIRST: TraceContext = (bytes(range(16)), bytes(range(1, 9)), 1)
SECOND: TraceContext = (bytes(range(16, 32)), bytes(range(11, 19)), 1)


class Spans:
    """A tracer, and the spans that it has ended."""

    def __init__(self, **settings: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**settings)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: TracerHook = Tracer(self.provider)
        self.program = self.provider.get_tracer("program")

    def ended(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def one(self) -> ReadableSpan:
        [span] = self.ended()
        return span


@pytest.fixture
def spans() -> Spans:
    return Spans()


def context_of(span: ReadableSpan | trace.SpanContext) -> TraceContext:
    context = span if isinstance(span, trace.SpanContext) else span.context
    return context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"), context.trace_flags


def parent_of(span: ReadableSpan) -> TraceContext | None:
    return None if span.parent is None else context_of(span.parent)


def links_of(span: ReadableSpan) -> list[TraceContext]:
    return [context_of(link.context) for link in span.links]


def test_a_publish_is_a_producer_span(spans: Spans) -> None:
    spans.tracer.publishing(TradeTick, 1).end(None)
    span = spans.one()
    assert (span.name, span.kind) == ("publish TradeTick", SpanKind.PRODUCER)
    assert span.attributes == {
        "messaging.system": "mycelium",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "TradeTick",
        "messaging.mycelium.type_id": 1200,
        "messaging.mycelium.topic": "market-data",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "mycelium_fast"


def test_a_publish_of_many_says_how_many(spans: Spans) -> None:
    spans.tracer.publishing(TradeTick, 1000).end(None)
    attributes = spans.one().attributes
    assert attributes is not None
    assert attributes["messaging.batch.message_count"] == 1000


def test_a_publish_belongs_to_what_the_program_is_doing(spans: Spans) -> None:
    with spans.program.start_as_current_span("strategy") as strategy:
        spans.tracer.publishing(TradeTick, 1).end(None)
        assert trace.get_current_span() is strategy
    publish, outer = spans.ended()
    assert parent_of(publish) == context_of(outer)


def test_the_context_to_send_is_that_of_the_publish(spans: Spans) -> None:
    publish = spans.tracer.publishing(TradeTick, 1)
    context = publish.context
    publish.end(None)
    assert context is not None
    assert context == context_of(spans.one())
    assert [type(part) for part in context] == [bytes, bytes, int]


def test_a_publish_that_is_not_sampled_sends_no_context() -> None:
    spans = Spans(sampler=ALWAYS_OFF)
    publish = spans.tracer.publishing(TradeTick, 1)
    assert publish.context is None
    publish.end(ValueError("also without a span"))


def test_without_an_sdk_nothing_is_sent() -> None:
    tracer = Tracer(trace.NoOpTracerProvider())
    publish = tracer.publishing(TradeTick, 1)
    assert publish.context is None
    publish.end(None)
    tracer.delivering("TradeTick", 1200, 1, [FIRST]).end(None)


def test_a_failed_publish_shows_its_error(spans: Spans) -> None:
    spans.tracer.publishing(TradeTick, 1).end(ConnectionClosed("the peer closed"))
    span = spans.one()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ConnectionClosed: the peer closed"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "mycelium_fast.errors.ConnectionClosed"
    assert [event.name for event in span.events] == ["exception"]


def test_a_message_for_a_callback_is_a_child_of_its_publish(spans: Spans) -> None:
    spans.tracer.delivering("TradeTick", 1200, 1, [FIRST]).end(None)
    span = spans.one()
    assert (span.name, span.kind) == ("process TradeTick", SpanKind.CONSUMER)
    assert span.attributes == {
        "messaging.system": "mycelium",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "TradeTick",
        "messaging.mycelium.type_id": 1200,
    }
    assert parent_of(span) == FIRST
    assert span.parent is not None
    assert span.parent.is_remote
    assert links_of(span) == [FIRST]


def test_a_batch_has_links_to_its_publishes_and_a_trace_of_its_own(spans: Spans) -> None:
    spans.tracer.delivering("TradeTick", 1200, 5, [FIRST, SECOND]).end(None)
    span = spans.one()
    assert parent_of(span) is None
    assert context_of(span)[0] not in (FIRST[0], SECOND[0])
    assert links_of(span) == [FIRST, SECOND]
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 5


def test_a_batch_with_one_traced_message_is_not_its_child(spans: Spans) -> None:
    spans.tracer.delivering("TradeTick", 1200, 5, [FIRST]).end(None)
    span = spans.one()
    assert (parent_of(span), links_of(span)) == (None, [FIRST])


def test_a_batch_of_several_types_has_no_type_id(spans: Spans) -> None:
    spans.tracer.delivering("TradeTick, Order", 0, 2, []).end(None)
    assert "messaging.mycelium.type_id" not in (spans.one().attributes or {})


def test_a_message_without_a_context_begins_a_trace(spans: Spans) -> None:
    spans.tracer.delivering("TradeTick", 1200, 1, []).end(None)
    span = spans.one()
    assert (parent_of(span), links_of(span)) == (None, [])


@pytest.mark.parametrize("context", [(bytes(16), bytes(8), 1), (bytes(16), bytes(range(8)), 1)])
def test_a_context_of_zeros_is_ignored(spans: Spans, context: TraceContext) -> None:
    spans.tracer.delivering("TradeTick", 1200, 1, [context]).end(None)
    span = spans.one()
    assert (parent_of(span), links_of(span)) == (None, [])


def test_what_was_current_elsewhere_is_no_parent_of_a_callback(spans: Spans) -> None:
    """A client's task inherits what was current at connect(): that has nothing to do with its messages."""
    with spans.program.start_as_current_span("start-up") as outer:
        deliver = spans.tracer.delivering("TradeTick", 1200, 2, [FIRST])
        deliver.end(None)
        assert trace.get_current_span() is outer
    assert parent_of(spans.ended()[0]) is None


def test_what_a_callback_does_belongs_to_its_delivery(spans: Spans) -> None:
    deliver = spans.tracer.delivering("TradeTick", 1200, 1, [FIRST])
    spans.tracer.publishing(TradeTick, 1).end(None)
    deliver.end(None)
    assert not trace.get_current_span().get_span_context().is_valid
    publish, delivery = spans.ended()
    assert parent_of(publish) == context_of(delivery)
    assert context_of(publish)[0] == FIRST[0]


def test_a_message_asked_for_is_no_current_span(spans: Spans) -> None:
    deliver = spans.tracer.delivering("TradeTick", 1200, 1, [FIRST], operation="receive")
    assert not trace.get_current_span().get_span_context().is_valid
    deliver.end(None)
    span = spans.one()
    assert (span.name, span.kind) == ("receive TradeTick", SpanKind.CONSUMER)
    assert (parent_of(span), links_of(span)) == (FIRST, [FIRST])


def test_a_message_asked_for_belongs_to_what_the_program_is_doing(spans: Spans) -> None:
    with spans.program.start_as_current_span("strategy"):
        spans.tracer.delivering("TradeTick", 1200, 1, [FIRST], operation="receive").end(None)
    receive, outer = spans.ended()
    assert parent_of(receive) == context_of(outer)
    assert links_of(receive) == [FIRST]


def test_a_callback_that_raises_shows_in_its_span(spans: Spans) -> None:
    deliver = spans.tracer.delivering("TradeTick", 1200, 1, [FIRST])
    deliver.end(ZeroDivisionError("division by zero"))
    span = spans.one()
    assert span.status.description == "ZeroDivisionError: division by zero"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ZeroDivisionError"
    assert not trace.get_current_span().get_span_context().is_valid


def test_callbacks_in_several_tasks_do_not_mix(spans: Spans) -> None:
    async def handle(context: TraceContext, mine: asyncio.Event, theirs: asyncio.Event) -> None:
        deliver = spans.tracer.delivering("TradeTick", 1200, 1, [context])
        mine.set()
        await theirs.wait()
        spans.tracer.publishing(TradeTick, 1).end(None)
        deliver.end(None)
        assert not trace.get_current_span().get_span_context().is_valid

    async def main() -> None:
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(handle(FIRST, one, two), handle(SECOND, two, one))

    asyncio.run(main())
    publishes = [span for span in spans.ended() if span.kind is SpanKind.PRODUCER]
    assert {context_of(span)[0] for span in publishes} == {FIRST[0], SECOND[0]}


def test_a_span_ended_in_another_thread_is_ended_without_noise(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[Any] = []

    def begin() -> None:
        begun.append(spans.tracer.delivering("TradeTick", 1200, 1, [FIRST]))

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join(20)
    with caplog.at_level(logging.DEBUG):
        begun[0].end(None)
    assert parent_of(spans.one()) == FIRST
    assert caplog.records == []


class Target:
    """Something with a `tracer`, as a transport is."""

    tracer: TracerHook | None = None


def test_instrument_sets_the_tracer_and_uninstrument_takes_it_away(spans: Spans) -> None:
    target = Target()
    instrument(target, spans.provider)
    assert target.tracer is not None
    target.tracer.publishing(TradeTick, 1).end(None)
    assert spans.one().name == "publish TradeTick"
    uninstrument(target)
    assert target.tracer is None


def test_instrument_without_a_provider_uses_the_global_one() -> None:
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from mycelium_fast.example_messages import TradeTick
from mycelium_fast.observe.tracing import instrument

class Target:
    tracer = None

target = Target()
instrument(target)  # before the provider is set, as libraries do
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
target.tracer.publishing(TradeTick, 1).end(None)
print([span.name for span in exporter.get_finished_spans()])
"""
    assert checked(sys.executable, "-c", code) == "['publish TradeTick']\n"


@pytest.mark.parametrize("function", [instrument, uninstrument])
def test_what_cannot_be_traced_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="a transport or client does, not of 3"):
        function(3)


def test_without_opentelemetry_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["opentelemetry"] = None
from mycelium_fast.observe import tracing

class Target:
    tracer = None

try:
    tracing.instrument(Target())
except ImportError as error:
    print(error)
assert Target.tracer is None
"""
    assert 'pip install "mycelium-fast[tracing]"' in checked(sys.executable, "-c", code)


def test_a_trace_goes_over_a_bridge_with_the_message(spans: Spans, tmp_path: Path) -> None:
    with (
        bridge(tmp_path / "bus.sock"),
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as sender,
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as receiver,
    ):
        subscriber = receiver.subscriber(TradeTick)
        instrument(sender, spans.provider)
        instrument(receiver, spans.provider)
        publisher = sender.publisher(TradeTick)
        with spans.program.start_as_current_span("strategy"):
            publisher.publish(TradeTick(1, 2))
        publisher.flush()
        assert subscriber.recv(timeout=20) == TradeTick(1, 2)
        uninstrument(sender)
        publisher.publish(TradeTick(3, 4))
        publisher.flush()
        assert subscriber.recv(timeout=20) == TradeTick(3, 4)
    publish, strategy, receive, untraced = spans.ended()
    assert (publish.name, receive.name) == ("publish TradeTick", "receive TradeTick")
    assert parent_of(publish) == context_of(strategy)
    assert parent_of(receive) == context_of(publish)
    assert links_of(receive) == [context_of(publish)]
    assert (parent_of(untraced), links_of(untraced)) == (None, [])


def test_a_batch_over_a_bridge_has_a_link_to_each_publish(spans: Spans, tmp_path: Path) -> None:
    with (
        bridge(tmp_path / "bus.sock"),
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST, profile="throughput") as sender,
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as receiver,
    ):
        subscriber = receiver.subscriber(TradeTick)
        instrument(sender, spans.provider)
        instrument(receiver, spans.provider)
        publisher = sender.publisher(TradeTick)
        publisher.publish_many([TradeTick(number, 1) for number in range(100)])
        publisher.publish(TradeTick(100, 1))
        publisher.flush()
        got: list[TradeTick] = []
        for batch in subscriber.batches():
            got += batch
            if len(got) == 101:
                break
    assert [tick.price for tick in got] == list(range(101))
    publishes = [span for span in spans.ended() if span.kind is SpanKind.PRODUCER]
    receives = [span for span in spans.ended() if span.kind is SpanKind.CONSUMER]
    assert len(publishes) == 2
    assert [link for span in receives for link in links_of(span)] == [context_of(span) for span in publishes]
    counts = [(span.attributes or {}).get("messaging.batch.message_count", 1) for span in receives]
    assert sum(count for count in counts if isinstance(count, int)) == 101


def test_a_receiver_that_traces_nothing_gets_traced_messages(spans: Spans, tmp_path: Path) -> None:
    with (
        bridge(tmp_path / "bus.sock") as running,
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as sender,
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as receiver,
        raw_client(tmp_path / "bus.sock") as plain,
    ):
        running.wait_log("ready", 3)
        subscriber = receiver.subscriber(TradeTick)
        instrument(sender, spans.provider)
        publisher = sender.publisher(TradeTick)
        publisher.publish(TradeTick(1, 2))
        publisher.flush()
        assert subscriber.recv(timeout=20) == TradeTick(1, 2)
        assert mycelium_fast.read_frame(plain) == (TradeTick.TYPE_ID, TradeTick(1, 2).to_bytes())


def test_a_callback_of_a_blocking_transport_continues_the_trace(spans: Spans, tmp_path: Path) -> None:
    done = threading.Event()
    with (
        bridge(tmp_path / "bus.sock"),
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as sender,
        mycelium_fast.UnixTransport(tmp_path / "bus.sock", SCHEMA_DIGEST) as receiver,
    ):
        instrument(sender, spans.provider)
        instrument(receiver, spans.provider)
        answers = sender.subscriber(Pong)
        pongs = receiver.publisher(Pong)

        def on_ping(message: Ping) -> None:
            pongs.publish(Pong(value=message.value))
            done.set()

        with receiver.subscribe(Ping, on_ping):
            pings = sender.publisher(Ping)
            pings.publish(Ping(value="hello"))
            pings.flush()
            assert answers.recv(timeout=20) == Pong(value="hello")
            assert done.wait(20)
    chain = ["publish Ping", "process Ping", "publish Pong", "receive Pong"]
    assert sorted(span.name for span in spans.ended()) == sorted(chain)
    by_name = {span.name: span for span in spans.ended()}
    for before, after in itertools.pairwise(chain):
        assert parent_of(by_name[after]) == context_of(by_name[before])


def test_a_trace_goes_on_through_a_handler_of_an_asyncio_client(spans: Spans, tmp_path: Path) -> None:
    async def main() -> None:
        address = f"unix:{tmp_path / 'bus.sock'}"
        done = asyncio.Event()
        async with (
            mycelium_fast.MyceliumClient(address, schema_digest=SCHEMA_DIGEST) as sender,
            mycelium_fast.MyceliumClient(address, schema_digest=SCHEMA_DIGEST) as receiver,
        ):
            instrument(sender, spans.provider)
            instrument(receiver, spans.provider)

            async def on_ping(message: Ping) -> None:
                await receiver.publish(Pong(value=message.value))

            def on_pong(message: Pong) -> None:
                done.set()

            await receiver.subscribe(on_ping)
            await sender.subscribe(on_pong)
            await sender.publish(Ping(value="hello"))
            await asyncio.wait_for(done.wait(), 20)

    with bridge(tmp_path / "bus.sock"):
        asyncio.run(main())
    by_name = {span.name: span for span in spans.ended()}
    chain = ["publish Ping", "process Ping", "publish Pong", "process Pong"]
    assert sorted(by_name) == sorted(chain)
    assert parent_of(by_name[chain[0]]) is None
    for before, after in itertools.pairwise(chain):
        assert parent_of(by_name[after]) == context_of(by_name[before])
