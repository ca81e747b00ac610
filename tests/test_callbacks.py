"""Callbacks of a blocking transport: a thread of its own for each, which nothing but the end can stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import bridge, read_core
from links import eventually, frames, linked, negotiated, subscribed, text, thread, ticks

from mycelium_fast import UnixTransport
from mycelium_fast.example_messages import SCHEMA_DIGEST, TextMessage, TradeTick
from mycelium_fast.session import core


class Collector:
    """A callback that keeps what it gets, and where."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.threads: set[int] = set()

    def __call__(self, message: Any) -> None:
        self.messages.append(message)
        self.threads.add(threading.get_ident())


def test_a_callback_gets_every_message_in_order_on_a_thread_of_its_own(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        one, two = Collector(), Collector()
        subscriptions = [transport.subscribe(TradeTick, one), transport.subscribe(TextMessage, two)]
        sock.sendall(frames([*ticks(0, 3000), text("a"), *ticks(3000, 6000), text("b")]))
        eventually(lambda: len(one.messages) == 6000 and len(two.messages) == 2)
        assert one.messages == ticks(0, 6000)
        assert two.messages == [text("a"), text("b")]
        assert len(one.threads) == len(two.threads) == 1
        assert one.threads.isdisjoint(two.threads | {threading.get_ident()})
        assert [each.stats().received for each in subscriptions] == [6000, 2]
        assert not any(each.ended for each in subscriptions)


def test_the_annotation_says_what_a_callback_is_for(tmp_path: Path) -> None:
    got: list[Any] = []

    def on_message(message: TradeTick | TextMessage) -> None:
        got.append(message)

    with linked(tmp_path) as (transport, sock):
        transport.subscribe(on_message)
        sock.sendall(frames([TradeTick(1, 2), text()]))
        eventually(lambda: got == [TradeTick(1, 2), text()])
        with pytest.raises(TypeError):
            transport.subscribe(lambda message: None)


def test_what_a_callback_raises_is_logged_and_counted_and_the_next_message_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[int] = []

    def fail(tick: TradeTick) -> None:
        got.append(tick.price)
        if tick.price % 2:
            raise RuntimeError(f"of the callback, at {tick.price}")

    with linked(tmp_path) as (transport, sock):
        subscription = transport.subscribe(fail)
        sock.sendall(frames(ticks(0, 5)))
        eventually(lambda: len(got) == 5)
        eventually(lambda: subscription.errors == 2)
        records = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(records) == 2
        assert "of the callback, at 1" in caplog.text
        assert "TradeTick" in records[0].getMessage()


def test_closing_waits_for_the_callback_that_runs_and_no_other_comes(tmp_path: Path) -> None:
    running, go_on, got = threading.Event(), threading.Event(), []

    def slow(tick: TradeTick) -> None:
        running.set()
        assert go_on.wait(20)
        got.append(tick)

    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscription = transport.subscribe(slow)
        sock.sendall(frames(ticks(0, 100)))
        running.wait(20)
        subscription.close(timeout=0.01)
        assert not subscription.ended
        closing = pool.submit(subscription.close)
        go_on.set()
        closing.result(20)
        assert subscription.ended
        assert got == ticks(0, 1)
        assert transport.stats().subscribers == ()


def test_a_callback_may_close_its_subscription(tmp_path: Path) -> None:
    got: list[Any] = []

    def once(tick: TradeTick) -> None:
        got.append(tick)
        subscription.close()

    with linked(tmp_path) as (transport, sock):
        ready = threading.Event()
        subscription = transport.subscribe(TradeTick, lambda tick: ready.wait(20) and once(tick))
        ready.set()
        sock.sendall(frames(ticks(0, 100)))
        assert subscription.join(20)
        assert got == ticks(0, 1)
        assert transport.connected


def test_a_callback_may_close_the_transport(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):

        def stop(tick: TradeTick) -> None:
            sock.close()
            transport.close()

        subscription = transport.subscribe(stop)
        sock.sendall(frames(ticks(0, 1)))
        assert subscription.join(20)
        assert not transport.connected


def test_a_callback_may_publish_and_subscribe(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with bridge(path), UnixTransport(path, SCHEMA_DIGEST) as transport:
        publisher = transport.publisher(TextMessage)
        texts = Collector()

        def forward(tick: TradeTick) -> None:
            if tick.price == 0:
                transport.subscribe(TextMessage, texts)
            publisher.publish(text(str(tick.price)))

        transport.subscribe(forward)
        transport.publisher(TradeTick).publish_many(ticks(0, 500))
        eventually(lambda: len(texts.messages) == 500)
        assert [message.content for message in texts.messages] == [str(number) for number in range(500)]


def test_a_callback_that_hangs_does_not_keep_the_transport_from_closing(tmp_path: Path) -> None:
    hanging, release = threading.Event(), threading.Event()

    def hang(tick: TradeTick) -> None:
        hanging.set()
        release.wait(20)

    with linked(tmp_path) as (transport, sock):
        subscription = transport.subscribe(hang)
        sock.sendall(frames(ticks(0, 1)))
        hanging.wait(20)
        sock.close()
        transport.close()
        assert not subscription.ended
        release.set()
        assert subscription.join(20)


def test_the_end_of_the_connection_ends_it_after_everything_queued(tmp_path: Path) -> None:
    got = Collector()
    with linked(tmp_path) as (transport, sock):
        subscription = transport.subscribe(TradeTick, got, capacity=10)
        sock.sendall(frames(ticks(0, 5000)))
        sock.close()
        assert subscription.join(20)
        assert got.messages == ticks(0, 5000)


def test_an_overflow_ends_it_with_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entered, go_on, got = threading.Event(), threading.Event(), []

    def slow(tick: TradeTick) -> None:
        got.append(tick)
        entered.set()
        assert go_on.wait(20)

    with linked(tmp_path) as (transport, sock):
        subscription = transport.subscribe(TradeTick, slow, capacity=3, overflow="error")
        probe = transport.subscriber(TextMessage)
        sock.sendall(frames(ticks(0, 1)))
        assert entered.wait(20)
        sock.sendall(frames([*ticks(1, 10), text()]))
        probe.recv(20)
        go_on.set()
        assert subscription.join(20)
        assert got == ticks(0, 4)
        assert subscription.stats().dropped == 6
        assert "6 messages" in caplog.text


def test_unsubscribing_is_told_to_the_peer(tmp_path: Path) -> None:
    with negotiated(tmp_path) as (transport, sock):
        subscription = subscribed(sock, lambda: transport.subscribe(TradeTick, print), TradeTick.TYPE_ID)
        with subscription:
            pass
        request = read_core(sock)
        assert isinstance(request, core.Unsubscribe)
        assert list(request.type_ids) == [TradeTick.TYPE_ID]


class Recorded:
    """A tracer that writes down what it is told."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[str, int, int, list[Any], str]] = []
        self.ended: list[BaseException | None] = []

    def publishing(self, message_class: type, count: int) -> Any:
        raise NotImplementedError

    def delivering(
        self, name: str, type_id: int, count: int, contexts: Sequence[Any], *, operation: str = "process"
    ) -> Any:
        recorded = self
        self.deliveries.append((name, type_id, count, list(contexts), operation))

        class Span:
            def end(self, error: BaseException | None = None) -> None:
                recorded.ended.append(error)

        return Span()


def test_a_callback_runs_within_a_span_that_has_the_messages_context(tmp_path: Path) -> None:
    def fail(tick: TradeTick) -> None:
        if tick.price == 2:
            raise RuntimeError

    with negotiated(tmp_path) as (transport, sock):
        tracer = Recorded()
        transport.tracer = tracer
        subscription = subscribed(sock, lambda: transport.subscribe(fail), TradeTick.TYPE_ID)
        contexts = [(bytes([number]) * 16, bytes([number]) * 8, 1) for number in range(1, 3)]
        data = b""
        for number in range(4):
            if 0 < number < 3:
                data += core.Trace(*contexts[number - 1]).to_frame()
            data += frames(ticks(number, number + 1))
        sock.sendall(data)
        eventually(lambda: len(tracer.ended) == 4)
        assert [each[3] for each in tracer.deliveries] == [[], [contexts[0]], [contexts[1]], []]
        assert {each[:3] + each[4:] for each in tracer.deliveries} == {("TradeTick", 1200, 1, "process")}
        assert [type(error) for error in tracer.ended] == [type(None), type(None), RuntimeError, type(None)]
        assert subscription.errors == 1


def test_many_callbacks_end_with_the_transport_and_leave_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with linked(tmp_path) as (transport, sock):
        collectors = [Collector() for _ in range(20)]
        for each in collectors:
            transport.subscribe(TradeTick, each)
        sending = threading.Thread(target=sock.sendall, args=[frames(ticks(0, 2000))])
        sending.start()
        eventually(lambda: all(len(each.messages) == 2000 for each in collectors))
        sending.join()
        sock.close()
    eventually(lambda: threading.active_count() == before)
    assert all(each.messages == ticks(0, 2000) for each in collectors)


def test_what_is_wrong_with_a_subscription_shows_in_the_call(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, _), thread(lambda: None):
        with pytest.raises(TypeError, match="message class"):
            transport.subscribe(int, print)
        with pytest.raises(ValueError, match="overflow"):
            transport.subscribe(TradeTick, print, overflow="never")  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="plain function"):
            transport.subscribe(TradeTick, 5)  # type: ignore[call-overload]

        async def coroutine(tick: TradeTick) -> None: ...

        with pytest.raises(TypeError, match="MyceliumClient"):
            transport.subscribe(coroutine)
        assert transport.stats().subscribers == ()
