"""A blocking transport and fork: the child is told, the parent goes on as if nothing had been."""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bridges import bridge, read_exactly
from links import TICK, frames, linked, ticks

from mycelium_fast import Batching, UnixTransport
from mycelium_fast.errors import ConnectionClosed, TransportError
from mycelium_fast.example_messages import SCHEMA_DIGEST, TradeTick

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def in_child(function: Callable[[], object]) -> Any:
    """What a function returns in a forked child, or the exception that it raises."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from 3.12 on
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            try:
                result: object = function()
            except BaseException as error:
                result = error
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(result, pipe)
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return pickle.loads(data)


@pytest.mark.parametrize("profile", ["latency", "balanced", "throughput"])
def test_using_a_transport_in_a_forked_child_raises_and_says_why(tmp_path: Path, profile: str) -> None:
    with linked(tmp_path, profile=profile) as (transport, sock):
        publisher, subscriber = transport.publisher(TradeTick), transport.subscriber(TradeTick)
        publisher.publish(TradeTick(0, 1))
        assert read_exactly(sock, TICK) == TradeTick(0, 1).to_frame()
        uses: list[Callable[[], object]] = [
            lambda: publisher.publish(TradeTick(1, 2)),
            lambda: publisher.publish_many(ticks(0, 10)),
            publisher.flush,
            lambda: subscriber.recv(timeout=1.0),
            subscriber.recv_nowait,
            lambda: next(iter(subscriber)),
            lambda: next(iter(subscriber.batches())),
            lambda: transport.subscriber(TradeTick),
        ]
        for use in uses:
            error = in_child(use)
            assert isinstance(error, TransportError), (use, error)
            for part in ("forked", "UnixTransport", "Connect in the child"):
                assert part in str(error)
        # Nothing of the children's arrives, and the parent's goes on.
        publisher.publish_many(ticks(1, 5))
        publisher.flush()
        assert read_exactly(sock, 4 * TICK) == frames(ticks(1, 5))
        sock.sendall(frames(ticks(0, 3)))
        assert [subscriber.recv(20) for _ in range(3)] == ticks(0, 3)


def test_closing_in_the_child_leaves_the_parents_connection_alone(tmp_path: Path) -> None:
    with linked(tmp_path, profile=Batching(max_delay=1000.0)) as (transport, sock):
        publisher, subscriber = transport.publisher(TradeTick), transport.subscriber(TradeTick)
        publisher.publish(TradeTick(0, 1))  # waits, in the child's memory as well

        def close() -> str:
            subscriber.close()
            with transport:
                pass
            transport.close()
            assert not transport.connected
            with pytest.raises(TransportError):
                publisher.publish(TradeTick(9, 9))
            return "closed"

        assert in_child(close) == "closed"
        publisher.publish(TradeTick(1, 2))
        publisher.flush()
        assert read_exactly(sock, 2 * TICK) == frames(ticks(0, 2))
        sock.sendall(frames(ticks(0, 1)))
        assert subscriber.recv(20) == TradeTick(0, 1)


def test_a_transport_dropped_in_the_child_says_and_sends_nothing(tmp_path: Path) -> None:
    with linked(tmp_path, profile=Batching(max_delay=1000.0)) as (transport, sock):
        publisher = transport.publisher(TradeTick)
        publisher.publish(TradeTick(0, 1))
        made = [transport.publisher(TradeTick)]

        def drop() -> str:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                made.clear()
                transport._stream = None
            return "dropped"

        assert in_child(drop) == "dropped"
        publisher.flush()
        assert read_exactly(sock, TICK) == TradeTick(0, 1).to_frame()


def test_a_child_connects_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "bus.sock"
    with bridge(path), UnixTransport(path, SCHEMA_DIGEST, handshake_grace=20.0) as transport:
        subscriber = transport.subscriber(TradeTick)

        def publish() -> str:
            transport.close()
            with transport:
                transport.publisher(TradeTick).publish_many(ticks(0, 100))
            return "published"

        assert in_child(publish) == "published"
        assert [subscriber.recv(20) for _ in range(100)] == ticks(0, 100)


def test_what_the_parent_closed_is_closed_in_the_child(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick)
        sock.close()
        transport.close()
        assert isinstance(in_child(subscriber.recv), TransportError)
        with pytest.raises(ConnectionClosed):
            subscriber.recv()
