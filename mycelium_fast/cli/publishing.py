"""Publishing for commands: they have to hear of what the bridge refuses, and say so before they end.

The messages come from `pub.py` and `tap.py`; sending them is the work of `bus/`.
"""

from __future__ import annotations

import contextlib
import queue
from typing import TYPE_CHECKING, Any

from mycelium_fast.errors import ConnectionClosed, PermissionDenied

if TYPE_CHECKING:
    from mycelium_fast.bus.publisher import Publisher
    from mycelium_fast.bus.transports import TcpTransport, UnixTransport

__all__ = ["Outlet"]


class Outlet:
    """Publishes on a connection, and hears what the bridge says to it; another thread may `listen()`.

    Args:
        transport: connected.
    """

    def __init__(self, transport: UnixTransport | TcpTransport) -> None:
        self.transport = transport
        self._publishers: dict[Any, Publisher[Any]] = {}
        self._listener: Any = None

    def publish(self, message_class: Any, messages: list[Any]) -> None:
        """Publish messages of a class; raises as `Publisher.publish_many`."""
        publisher = self._publishers.get(message_class)
        if publisher is None:
            publisher = self._publishers[message_class] = self.transport.publisher(message_class)
        publisher.publish_many(messages)

    def listen(self) -> None:
        """Take in what the bridge has said, answer its pings; raise if it refuses a type or has gone."""
        if self._listener is None:
            self.settle()
        if self._listener is not None:
            # It is closed: what it has to say matters less than that it looks.
            with contextlib.suppress(queue.Empty, ConnectionClosed):
                self._listener.recv_nowait()
        self._raise_if_refused()
        self.transport.flush()

    def settle(self) -> None:
        """Return when the bridge has dealt with all that was published.

        Raises:
            PermissionDenied: it refused a type of it.
            ConnectionClosed, TransportTimeout: it is gone, or takes too long.
        """
        self.transport.flush()
        try:
            # An answer to a request that comes after the messages: it need not be one that it grants.
            listener = self.transport.raw_subscriber(capacity=1, overflow="latest")
        except PermissionDenied:
            pass
        else:
            listener.close()
            self._listener = listener
        self._raise_if_refused()

    def _raise_if_refused(self) -> None:
        for publisher in tuple(self._publishers.values()):
            publisher.publish_many([])
