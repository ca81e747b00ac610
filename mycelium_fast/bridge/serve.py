"""Running a relay as a process: listen, say so, relay until a signal comes, leave nothing behind.

What is relayed is `relay.py`'s affair; the sockets are made by `listen.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .listen import listen_tcp, listen_unix, remove_unix
from .policy import Policy
from .relay import Relay

__all__ = ["Addresses", "serve"]

_log: Final = logging.getLogger("mycelium_fast.bridge")
#: Seconds that clients have at the end to take what waits for them.
_CLOSE_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True)
class Addresses:
    """Where to listen; at least one of them.

    Attributes:
        unix: path of a Unix socket.
        tcp: host and port; an empty host is every address, port 0 a free one.
        tls: for TCP; the context decides whether clients need a certificate.
    """

    unix: str | None = None
    tcp: tuple[str, int] | None = None
    tls: ssl.SSLContext | None = None


def serve(policy: Policy, addresses: Addresses, announce: Callable[[str], None]) -> None:
    """Relay until SIGINT or SIGTERM.

    Args:
        announce: called with each address, such as `unix:/run/bus.sock`, once clients can connect to all.

    Raises:
        TransportError: an address cannot be listened on.
    """
    asyncio.run(_serve(policy, addresses, announce))


async def _serve(policy: Policy, addresses: Addresses, announce: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, stop, number)
    relay = Relay(policy)
    names = []
    with contextlib.ExitStack() as stack:
        accepting = stack.enter_context(contextlib.ExitStack())
        if addresses.unix is not None:
            sock, identity = listen_unix(addresses.unix)
            stack.callback(remove_unix, addresses.unix, identity)
            accepting.callback((await loop.create_server(relay.client, sock=sock)).close)
            names.append(f"unix:{addresses.unix}")
        if addresses.tcp is not None:
            scheme = "tcp" if addresses.tls is None else "tls"
            patience = None if addresses.tls is None else policy.handshake_timeout
            for sock in listen_tcp(*addresses.tcp):
                server = await loop.create_server(
                    relay.client, sock=sock, ssl=addresses.tls, ssl_handshake_timeout=patience
                )
                accepting.callback(server.close)
                host, port = sock.getsockname()[:2]
                names.append(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")
        for name in names:
            announce(name)
        await stop.wait()
        accepting.close()
        await relay.close(_CLOSE_TIMEOUT_S)
    _log.info("stopped: %s", relay.counters)


def _stop(stop: asyncio.Event, number: int) -> None:
    _log.info("%s: stopping", signal.Signals(number).name)
    stop.set()
