"""asyncio without us, in its own event loop and in uvloop: its streams, and its `Protocol`, which is the
quickest that it has.

The streams are what one writes who has our messages and no runtime: `to_frame()`, two `readexactly()`,
`from_bytes()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic_ns
from typing import Any

from contenders import event_loop
from contenders.meeting import accept, connect
from contenders.one_way import CONTENT, OURS, SENDER, SIZE, expect, expected, fields
from contenders.round_trip import FRAME, sampled_async
from harness.processes import Ready

from mycelium_fast import HEADER_SIZE
from mycelium_fast.example_messages import TextMessage, TradeTick


def send(_ready: Ready, place: str, count: int, kind: str, loop: str) -> int:
    """Build each message, write its frame, and wait as long as `drain()` says."""

    async def main() -> int:
        _, writer = await event_loop.streams(connect(place))
        start = monotonic_ns()
        if kind == "tick":
            for number in range(count):
                writer.write(TradeTick(price=number, size=SIZE).to_frame())
                await writer.drain()
        else:
            for number in range(count):
                writer.write(TextMessage(sender=SENDER, content=CONTENT, timestamp=number).to_frame())
                await writer.drain()
        writer.close()
        await writer.wait_closed()
        return start

    return event_loop.run(main, loop)


def receive(ready: Ready, place: str, count: int, check: bool, kind: str, loop: str) -> int:
    """Read header and payload of each message, and every field of it."""
    sock = accept(ready, place)

    async def main() -> int:
        last: tuple[Any, ...] = ()
        reader, writer = await event_loop.streams(sock)
        if check:
            expect([fields(message) async for message in _messages(reader, kind)], expected(kind, count))
        elif kind == "tick":
            async for message in _messages(reader, kind):
                last = message.price, message.size
        else:
            async for message in _messages(reader, kind):
                last = message.sender, message.content, message.timestamp
        end = monotonic_ns()
        if not check:
            expect(last, expected(kind, count)[-1])
        writer.close()
        await writer.wait_closed()
        return end

    return event_loop.run(main, loop)


async def _messages(reader: asyncio.StreamReader, kind: str) -> AsyncIterator[Any]:
    from_bytes = OURS[kind].from_bytes
    wanted = OURS[kind].TYPE_ID
    while True:
        try:
            header = await reader.readexactly(HEADER_SIZE)
        except asyncio.IncompleteReadError as error:
            expect(error.partial, b"")
            return
        expect(int.from_bytes(header[:2], "little"), wanted)
        yield from_bytes(await reader.readexactly(int.from_bytes(header[2:], "little")))


def ask(_ready: Ready, place: str, samples: int, loop: str) -> list[float]:
    """Streams: build a message and write its frame, then read header and payload of the answer."""

    async def main() -> list[float]:
        reader, writer = await event_loop.streams(connect(place))

        async def trips(count: int) -> None:
            for number in range(count):
                writer.write(TradeTick(price=number, size=SIZE).to_frame())
                await writer.drain()
                header = await reader.readexactly(HEADER_SIZE)
                payload = await reader.readexactly(int.from_bytes(header[2:], "little"))
                if TradeTick.from_bytes(payload).price != number:
                    raise RuntimeError("another message came back")

        try:
            return await sampled_async(trips, samples)
        finally:
            writer.close()
            await writer.wait_closed()

    return event_loop.run(main, loop)


def ask_in_callbacks(_ready: Ready, place: str, samples: int, loop: str) -> list[float]:
    """`Protocol`, in its quickest form: the answer's callback writes the next frame, which is ready."""

    class Ping(asyncio.Protocol):
        left = 0
        done: asyncio.Future[None]

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.left -= 1
            if data != FRAME:
                self.done.set_exception(RuntimeError("other bytes came back"))
            elif self.left:
                self.transport.write(FRAME)
            else:
                self.done.set_result(None)

    async def main() -> list[float]:
        transport, protocol = await event_loop.protocol(Ping, connect(place))

        async def trips(count: int) -> None:
            protocol.left = count
            protocol.done = asyncio.get_running_loop().create_future()
            transport.write(FRAME)
            await protocol.done

        try:
            return await sampled_async(trips, samples)
        finally:
            transport.close()

    return event_loop.run(main, loop)


def ask_awaiting(_ready: Ready, place: str, samples: int, loop: str) -> list[float]:
    """`Protocol`, in the form of a program that awaits each answer."""

    class Ping(asyncio.Protocol):
        answer: asyncio.Future[bytes]

        def data_received(self, data: bytes) -> None:
            self.answer.set_result(data)

    async def main() -> list[float]:
        running = asyncio.get_running_loop()
        transport, protocol = await event_loop.protocol(Ping, connect(place))

        async def trips(count: int) -> None:
            for _ in range(count):
                protocol.answer = running.create_future()
                transport.write(FRAME)
                if await protocol.answer != FRAME:
                    raise RuntimeError("other bytes came back")

        try:
            return await sampled_async(trips, samples)
        finally:
            transport.close()

    return event_loop.run(main, loop)
