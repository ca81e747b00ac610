"""Arrays from a socket: they keep their frames, and the memory that these are in, for as long as somebody
looks.
"""

from __future__ import annotations

import contextlib
import gc
import queue
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bridges import read_exactly
from links import TICK, eventually, frames, linked, text, ticks

from mycelium_fast import BufferPool
from mycelium_fast.errors import ConnectionClosed, PoolExhausted, TransportTimeout
from mycelium_fast.example_messages import TextMessage, TradeTick

numpy = pytest.importorskip("numpy")

#: More than a block of 64 KiB holds.
MANY = 4000


def collect(subscriber: Any, count: int) -> list[Any]:
    tables: list[Any] = []
    arrays = subscriber.arrays()
    while sum(map(len, tables)) < count:
        tables.append(next(arrays))
    return tables


def prices(tables: list[Any]) -> list[int]:
    return [price for table in tables for price in table["price"].tolist()]


def test_arrays_have_every_row_in_order(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber(TradeTick)
        sending = pool.submit(sock.sendall, frames(ticks(0, 50_000)))
        assert prices(collect(subscriber, 50_000)) == list(range(50_000))
        sending.result(20)
        sock.close()
        assert list(subscriber.arrays()) == []
        with pytest.raises(ConnectionClosed):
            subscriber.recv()


def test_an_array_does_not_change_while_more_arrives_nor_after_all_is_closed(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber(TradeTick)
        kept: list[Any] = []
        for start in range(0, 20 * MANY, MANY):
            sending = pool.submit(sock.sendall, frames(ticks(start, start + MANY)))
            kept += collect(subscriber, MANY)
            sending.result(20)
        assert prices(kept) == list(range(20 * MANY))
        sock.close()
        transport.close()
        assert prices(kept) == list(range(20 * MANY))
    del transport, subscriber, sock
    gc.collect()
    assert prices(kept) == list(range(20 * MANY))
    assert not kept[0].flags.writeable


def test_blocks_go_back_when_the_arrays_are_freed(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber(TradeTick)
        sending = pool.submit(sock.sendall, frames(ticks(0, 10 * MANY)))
        tables = collect(subscriber, 10 * MANY)
        sending.result(20)
        pool_stats = transport.stats().pool
        assert pool_stats is not None
        assert pool_stats.in_use >= 10 * MANY * 22 // 65_536
        part = tables[3][5:6]  # of a row: keeps its block, too
        del tables
        after = transport.stats().pool
        assert after is not None
        assert after.in_use <= 4  # what is read into and written from, and one that is kept
        assert part["price"][0] > 0
        del part
        last = transport.stats().pool
        assert last is not None
        assert last.in_use <= 3


def test_a_pool_has_everything_back_once_transport_and_arrays_are_gone(tmp_path: Path) -> None:
    blocks = BufferPool(blocks=2)
    with linked(tmp_path, pool=blocks) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber(TradeTick)
        transport.publisher(TradeTick).publish(TradeTick(1, 2))
        sending = pool.submit(sock.sendall, frames(ticks(0, 3 * MANY)))
        tables = collect(subscriber, 3 * MANY)
        sending.result(20)
        assert blocks.stats().in_use > 3
    del transport, subscriber, sock, sending
    gc.collect()
    assert blocks.stats().in_use >= 1
    del tables
    assert (blocks.stats().in_use, blocks.stats().large) == (0, 0)


def test_too_many_arrays_held_is_an_error_that_says_so_and_loses_nothing(tmp_path: Path) -> None:
    blocks = BufferPool(blocks=4, on_exhausted="error")
    with linked(tmp_path, pool=blocks) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber(TradeTick)
        sending = pool.submit(sock.sendall, frames(ticks(0, 10 * MANY)))
        held: list[Any] = []
        with pytest.raises(PoolExhausted, match=r"all 4 blocks of 65536 bytes .* let go of .* arrays"):
            for table in subscriber.arrays():
                held.append(table)
        with pytest.raises(PoolExhausted):
            subscriber.recv(0.1)
        assert transport.connected
        received = prices(held)
        assert received == list(range(len(received)))
        while len(received) < 10 * MANY:
            held.clear()
            try:
                for table in subscriber.arrays():
                    held.append(table)
                    received += table["price"].tolist()
                    if len(received) == 10 * MANY:
                        break
            except PoolExhausted:
                continue
        assert received == list(range(10 * MANY))
        sending.result(20)


def test_a_pool_that_waits_does_not_outlast_a_time_limit(tmp_path: Path) -> None:
    blocks = BufferPool(blocks=4, on_exhausted="wait", timeout=1000.0)
    with linked(tmp_path, pool=blocks) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber(TradeTick, capacity=10 * MANY)
        arrays = subscriber.arrays()
        texts = transport.subscriber(TextMessage)
        sending = pool.submit(sock.sendall, frames(ticks(0, 10 * MANY)))
        with pytest.raises(PoolExhausted, match=r"all 4 blocks of 65536 bytes .* let go of .* arrays"):
            while True:
                with contextlib.suppress(queue.Empty):
                    texts.recv(0.1)
        with pytest.raises(PoolExhausted):
            texts.recv_nowait()
        received = 0
        while received < 10 * MANY:
            received += len(next(arrays))
        sending.result(20)


def test_publishing_goes_on_while_somebody_holds_all_blocks(tmp_path: Path) -> None:
    blocks = BufferPool(blocks=4, on_exhausted="error")
    options: Any = {"pool": blocks, "publish_timeout": 0.2}
    with linked(tmp_path, **options) as (transport, sock), ThreadPoolExecutor(2) as pool:
        subscriber, publisher = transport.subscriber(TradeTick), transport.publisher(TradeTick)
        publisher.publish(TradeTick(0, 1))
        sending = pool.submit(sock.sendall, frames(ticks(0, 10 * MANY)))
        held: list[Any] = []
        with pytest.raises(PoolExhausted):
            for table in subscriber.arrays():
                held.append(table)
        # A publisher looks at what has arrived, has nowhere to put it, and sends all the same.
        with pytest.raises(TransportTimeout, match="block of the transport's pool") as caught:
            publisher.publish_many(ticks(1, 50_000))
        published = 1 + caught.value.accepted
        reading = pool.submit(read_exactly, sock, (published + 50_000) * TICK)
        publisher.publish_many(ticks(published, published + 50_000))
        publisher.flush()
        assert reading.result(20) == frames(ticks(0, published + 50_000))
        received = prices(held)
        held.clear()
        while len(received) < 10 * MANY:
            received += next(subscriber.arrays())["price"].tolist()
        assert received == list(range(10 * MANY))
        sending.result(20)


def test_another_subscribers_callback_waits_for_blocks_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocks = BufferPool(blocks=4, on_exhausted="error")
    with linked(tmp_path, pool=blocks) as (transport, sock), ThreadPoolExecutor(1) as pool:
        texts: list[Any] = []
        subscriber = transport.subscriber(TradeTick)
        sending = pool.submit(sock.sendall, frames(ticks(0, 10 * MANY)) + text().to_frame())
        held: list[Any] = []
        with pytest.raises(PoolExhausted):
            for table in subscriber.arrays():
                held.append(table)
        subscription = transport.subscribe(TextMessage, texts.append)
        eventually(lambda: "are in use" in caplog.text)
        assert not subscription.ended
        received = len(prices(held))
        held.clear()
        for table in subscriber.arrays():
            received += len(table)
            if received == 10 * MANY:
                break
        eventually(lambda: texts == [text()])
        sending.result(20)
        assert caplog.text.count("are in use") == 1


def mixed() -> Iterator[Any]:
    for number in range(3000):
        yield TradeTick(number, 1)
        if number % 3 == 0:
            yield text(str(number))


def test_a_read_with_several_types_is_split_into_arrays_of_one_each(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock), ThreadPoolExecutor(1) as pool:
        subscriber = transport.subscriber((TradeTick, TextMessage))
        sending = pool.submit(sock.sendall, frames(mixed()))
        numbers: list[int] = []
        names = set()
        for table in subscriber.arrays():
            names.add(table.dtype.names)
            if "price" in table.dtype.names:
                numbers += table["price"].tolist()
            else:
                numbers += [
                    -int(each["content"]["bytes"].tobytes()[: each["content"]["count"]]) for each in table
                ]
            if len(numbers) == 4000:
                break
        sending.result(20)
        assert len(names) == 2
        assert numbers == [
            number for each in range(3000) for number in ((each,) if each % 3 else (each, -each))
        ]


def test_bad_frames_are_left_out_of_arrays_and_counted(tmp_path: Path) -> None:
    bad = bytearray(text("bad").to_frame())
    bad[6:8] = b"\xff\xff"  # a count over the capacity
    wrong_length = struct.pack("<HI", TextMessage.TYPE_ID, 3) + b"abc"
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TextMessage, capacity=100_000)
        sock.sendall((text("good").to_frame() + bad + wrong_length) * 100)
        sock.close()
        tables = list(subscriber.arrays())
        assert sum(map(len, tables)) == 100
        assert {row["content"]["bytes"].tobytes()[:4] for table in tables for row in table} == {b"good"}
        assert subscriber.decode_errors == 200
        assert subscriber.stats().received == 100


def test_messages_can_be_taken_after_arrays_and_arrays_after_messages(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber((TradeTick, TextMessage))
        sock.sendall(frames([*ticks(0, 3), text(), *ticks(3, 6)]))
        assert subscriber.recv(20).price == 0
        arrays = subscriber.arrays()
        assert next(arrays)["price"].tolist() == [1, 2]
        assert len(next(arrays)) == 1
        sock.sendall(frames([*ticks(6, 9), text()]))
        sock.close()
        rest = list(subscriber)
        assert rest == [*ticks(3, 9), text()]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest"])
def test_arrays_drop_exactly(tmp_path: Path, overflow: Any) -> None:
    with linked(tmp_path) as (transport, sock):
        subscriber = transport.subscriber(TradeTick, capacity=700, overflow=overflow)
        probe = transport.subscriber(TextMessage)
        arrays = subscriber.arrays()
        received: list[int] = []
        for start in range(0, 10_000, 1000):
            sock.sendall(frames([*ticks(start, start + 1000), text()]))
            probe.recv(20)
            table = next(arrays)
            received += table["price"].tolist()
        sock.close()
        received += prices(list(arrays))
        assert received == sorted(set(received))
        assert len(received) + subscriber.dropped == 10_000


def test_a_raw_subscriber_gives_no_arrays(tmp_path: Path) -> None:
    with linked(tmp_path) as (transport, _), pytest.raises(TypeError, match="message class"):
        transport.raw_subscriber().arrays()
