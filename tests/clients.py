"""asyncio clients whose other end a test drives by hand; what such tests send is that of `links.py`."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from bridges import Peer
from loops import accept

from mycelium_fast import Backoff, MyceliumClient
from mycelium_fast.example_messages import SCHEMA_DIGEST

QUICK = Backoff(initial=0.01, maximum=0.05)


def client_of(path: Path, **options: Any) -> MyceliumClient:
    options = {
        "schema_digest": SCHEMA_DIGEST,
        "handshake_grace": 0.01,
        "close_timeout": 2.0,
        "reconnect": QUICK,
        **options,
    }
    return MyceliumClient(f"unix:{path}", **options)


async def negotiate(peer: Peer) -> socket.socket:
    """Accept the next connection and answer its Hello."""
    sock = await accept(peer)
    peer.welcome()
    return sock


async def connected(peer: Peer, client: MyceliumClient) -> socket.socket:
    """Connect a client to a peer that negotiates."""
    connecting = asyncio.create_task(client.connect())
    sock = await negotiate(peer)
    await connecting
    return sock
