"""nats-py as a contender, both ends through one nats-server: a broker is in between, where other contenders
have a connection of their own. It moves ready bytes.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import Any

from contenders import event_loop
from contenders.one_way import FRAMES, expect
from contenders.round_trip import END, FRAME, sampled_async
from harness.processes import TIMEOUT_S, Ready


def send(_ready: Ready, _place: str, count: int, kind: str, loop: str, server: str) -> int:
    """`await publish()` of each, and `flush()` in the end: nats-py gathers what was published in one turn."""
    frame = FRAMES[kind]

    async def main() -> int:
        async with await _connected(server) as client:
            publish = client.publish
            start = monotonic_ns()
            for _ in range(count):
                await publish("messages", frame)
            await client.flush(TIMEOUT_S)
            return start

    return event_loop.run(main, loop)


def receive(ready: Ready, _place: str, count: int, check: bool, kind: str, loop: str, server: str) -> int:
    """A coroutine as callback, which is quicker than iterating."""
    frame = FRAMES[kind]

    async def main() -> int:
        left = count
        last = b""
        done = asyncio.get_running_loop().create_future()

        async def on_message(message: Any) -> None:
            nonlocal left, last
            left -= 1
            last = message.data
            if check and last != frame:
                done.set_exception(RuntimeError("other bytes came, expected those that were sent"))
            if left == 0:
                done.set_result(monotonic_ns())

        async with await _connected(server) as client:
            # No limits: by default what comes while half a million wait is dropped.
            await client.subscribe("messages", cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
            await client.flush()
            ready()
            end: int = await asyncio.wait_for(done, TIMEOUT_S)
            expect((left, last), (0, frame))
            return end

    return event_loop.run(main, loop)


def ask(_ready: Ready, _place: str, samples: int, loop: str, server: str) -> list[float]:
    async def main() -> list[float]:
        async with await _connected(server) as client:

            async def trips(count: int) -> None:
                for _ in range(count):
                    if (await client.request("questions", FRAME, timeout=TIMEOUT_S)).data != FRAME:
                        raise RuntimeError("other bytes came back")

            times = await sampled_async(trips, samples)
            await client.publish("questions", END.to_frame())
            return times

    return event_loop.run(main, loop)


def answer(ready: Ready, _place: str, loop: str, server: str) -> None:
    end = END.to_frame()

    async def main() -> None:
        done = asyncio.Event()
        async with await _connected(server) as client:

            async def on_message(message: Any) -> None:
                if message.data == end:
                    done.set()
                else:
                    await message.respond(message.data)

            await client.subscribe("questions", cb=on_message)
            await client.flush()
            ready()
            await done.wait()

    event_loop.run(main, loop)


async def _connected(server: str) -> Any:
    import nats

    return await nats.connect(server.replace("tcp://", "nats://"), allow_reconnect=False)
