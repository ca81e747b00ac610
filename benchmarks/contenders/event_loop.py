"""asyncio's own event loop or uvloop's, for contenders that are measured in both; and a socket made a
connection of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Callable[[], Coroutine[Any, Any, T]], loop: str) -> T:
    """Run a coroutine to its end in a new event loop: "asyncio" or "uvloop"."""
    if loop == "uvloop":
        import uvloop

        running: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        running = asyncio.new_event_loop()
    try:
        return running.run_until_complete(main())
    finally:
        running.run_until_complete(running.shutdown_asyncgens())
        running.close()


async def streams(sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader and a writer for a connected socket."""
    if sock.family == socket.AF_UNIX:
        return await asyncio.open_unix_connection(sock=sock)
    return await asyncio.open_connection(sock=sock)


async def protocol(make: Callable[[], Any], sock: socket.socket) -> tuple[Any, Any]:
    """A transport and its protocol for a connected socket."""
    running = asyncio.get_running_loop()
    if sock.family == socket.AF_UNIX:
        return await running.create_unix_connection(make, sock=sock)
    return await running.create_connection(make, sock=sock)
