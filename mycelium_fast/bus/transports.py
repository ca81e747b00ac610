"""The blocking transports: a connection over a Unix socket or TCP, with publishers and subscribers on it.

They hold the settings and the connection's life; the work is done in `transport/` and by what they make.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

from ..codec.frames import MAX_ACCEPTED_PAYLOAD_SIZE, MAX_PAYLOAD_SIZE
from ..errors import TransportError
from ..session import DIGEST_SIZE, Connection, Role
from ..transport import Stream, dial_tcp, dial_unix
from ..transport.wakeup import LONGEST_WAIT_S
from .arguments import check_message_class, check_schema, check_seconds
from .message_queue import Overflow
from .publisher import Publisher, SupportsFrame
from .subscriber import Subscriber

if TYPE_CHECKING:
    import socket
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["TcpTransport", "UnixTransport"]

M = TypeVar("M", bound=SupportsFrame)


class _BlockingTransport(ABC):
    def __init__(
        self,
        schema_digest: bytes | None,
        *,
        handshake: bool = True,
        connect_timeout: float = 5.0,
        handshake_grace: float = 0.2,
        close_timeout: float = 5.0,
        stall_timeout: float | None = 5.0,
        max_payload_size: int = MAX_PAYLOAD_SIZE,
        max_accepted_payload_size: int = MAX_ACCEPTED_PAYLOAD_SIZE,
    ) -> None:
        if schema_digest is None:
            if handshake:
                raise TypeError(
                    "schema_digest is missing: pass SCHEMA_DIGEST of the generated module, "
                    "or handshake=False for an endpoint that expects none"
                )
        elif not isinstance(schema_digest, (bytes, bytearray, memoryview)):
            raise TypeError(f"schema_digest must be bytes, not {type(schema_digest).__name__}")
        elif len(schema_digest) != DIGEST_SIZE:
            raise ValueError(
                f"schema_digest has {len(schema_digest)} bytes instead of {DIGEST_SIZE}: "
                "pass SCHEMA_DIGEST of the generated module"
            )
        check_seconds("connect_timeout", connect_timeout)
        check_seconds("handshake_grace", handshake_grace)
        check_seconds("close_timeout", close_timeout)
        if stall_timeout is not None:
            check_seconds("stall_timeout", stall_timeout)
        self._digest = bytes(schema_digest) if handshake and schema_digest is not None else None
        self._connect_timeout = min(connect_timeout, LONGEST_WAIT_S)
        self._handshake_grace = handshake_grace
        self._close_timeout = min(close_timeout, LONGEST_WAIT_S)
        self._stall_timeout = stall_timeout
        self._max_payload_size = max_payload_size
        self._max_accepted_payload_size = max_accepted_payload_size
        self._stream: Stream | None = None

    @abstractmethod
    def _dial(self) -> tuple[socket.socket, str]:
        """A connected socket, and the peer's name for error texts."""

    def connect(self) -> Self:
        """Connect and go through the handshake.

        Takes `handshake_grace` seconds where the peer has nothing to send: a server says nothing to a digest
        that it accepts.

        Raises:
            SchemaMismatchError: the peer closed on our digest.
            TransportTimeout: no answer within `connect_timeout` seconds.
            TransportError: no connection, for another reason; also when there is one already.
        """
        if self._stream is not None and not self._stream.ended:
            raise TransportError(f"{self!r} is connected already")
        self.close()
        connection = Connection(Role.CLIENT, self._digest, max_payload_size=self._max_accepted_payload_size)
        sock, name = self._dial()
        stream = Stream(sock, connection, name, owner=repr(self), stall_timeout=self._stall_timeout)
        try:
            stream.start(self._handshake_grace)
        except BaseException:
            stream.close(0.0)
            raise
        self._stream = stream
        return self

    def close(self) -> None:
        """Send what was accepted and end the connection, within `close_timeout` seconds. Idempotent.

        Wakes every thread that waits on the transport. Messages that subscribers have queued can still be
        taken.
        """
        if self._stream is not None:
            self._stream.close(self._close_timeout)

    def publisher(self, message_class: type[M]) -> Publisher[M]:
        """A publisher of one message class.

        Raises:
            TypeError: not a generated message class.
            SchemaMismatchError: the class was generated from another contracts file than the digest is of.
            EncodeError: its payload is over `max_payload_size`.
            TransportError: not connected.
        """
        self._check_class(message_class)
        return Publisher(self._connected(), message_class, max_payload_size=self._max_payload_size)

    def subscriber(
        self,
        message_class: type[M],
        capacity: int = 10_000,
        overflow: Overflow = "block",
        *,
        validate: bool = True,
    ) -> Subscriber[M]:
        """A subscriber of one message class; the arguments are those of `Subscriber`.

        Every subscriber of a class gets every message of it.

        Raises:
            TypeError: not a generated message class.
            SchemaMismatchError: the class was generated from another contracts file than the digest is of.
            TransportError: not connected.
        """
        self._check_class(message_class)
        return Subscriber(
            self._connected(), message_class, capacity=capacity, overflow=overflow, validate=validate
        )

    @property
    def connected(self) -> bool:
        """Whether there is a connection that has not ended, as far as this side knows."""
        return self._stream is not None and not self._stream.ended

    @property
    def skipped_frames(self) -> int:
        """Frames received on this connection that nobody had subscribed to."""
        return 0 if self._stream is None else self._stream.skipped_frames

    def __enter__(self) -> Self:
        return self if self.connected else self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_class(self, message_class: object) -> None:
        check_schema(check_message_class(message_class), self._digest, repr(self))

    def _connected(self) -> Stream:
        if self._stream is None:
            raise TransportError(f"{self!r} is not connected: call connect(), or use it in a with statement")
        return self._stream


class UnixTransport(_BlockingTransport):
    """A connection to a bridge, or another Mycelium node, over a Unix socket. Close it, or use `with`.

    Args:
        path: of the socket.
        schema_digest: `SCHEMA_DIGEST` of the generated module, 32 bytes; None only without a handshake.
        handshake: False for endpoints that expect none.
        connect_timeout: seconds for connecting.
        handshake_grace: seconds of silence after which the peer counts as having accepted the digest.
        close_timeout: seconds that close() may take to have everything arrive.
        stall_timeout: seconds that a publish waits while a full "block" queue of this transport's own
            subscribers is in its way and nobody takes from it; None for ever. A bridge disconnects a client
            that takes nothing for 10.
        max_payload_size: payload bytes of a message to send.
        max_accepted_payload_size: payload bytes of a frame to receive.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema_digest: bytes | None = None,
        *,
        handshake: bool = True,
        connect_timeout: float = 5.0,
        handshake_grace: float = 0.2,
        close_timeout: float = 5.0,
        stall_timeout: float | None = 5.0,
        max_payload_size: int = MAX_PAYLOAD_SIZE,
        max_accepted_payload_size: int = MAX_ACCEPTED_PAYLOAD_SIZE,
    ) -> None:
        super().__init__(
            schema_digest,
            handshake=handshake,
            connect_timeout=connect_timeout,
            handshake_grace=handshake_grace,
            close_timeout=close_timeout,
            stall_timeout=stall_timeout,
            max_payload_size=max_payload_size,
            max_accepted_payload_size=max_accepted_payload_size,
        )
        self._path = os.fspath(path)

    def _dial(self) -> tuple[socket.socket, str]:
        return dial_unix(self._path, self._connect_timeout), f"unix:{self._path}"

    def __repr__(self) -> str:
        return f"UnixTransport({self._path!r})"


class TcpTransport(_BlockingTransport):
    """A connection to a bridge, or another Mycelium node, over TCP (with TCP_NODELAY).

    Args:
        host: a name, an IPv4 or an IPv6 address.
        port: from 1 to 65535.

    The other arguments are those of `UnixTransport`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        schema_digest: bytes | None = None,
        *,
        handshake: bool = True,
        connect_timeout: float = 5.0,
        handshake_grace: float = 0.2,
        close_timeout: float = 5.0,
        stall_timeout: float | None = 5.0,
        max_payload_size: int = MAX_PAYLOAD_SIZE,
        max_accepted_payload_size: int = MAX_ACCEPTED_PAYLOAD_SIZE,
    ) -> None:
        super().__init__(
            schema_digest,
            handshake=handshake,
            connect_timeout=connect_timeout,
            handshake_grace=handshake_grace,
            close_timeout=close_timeout,
            stall_timeout=stall_timeout,
            max_payload_size=max_payload_size,
            max_accepted_payload_size=max_accepted_payload_size,
        )
        if isinstance(port, bool) or not isinstance(port, int):
            raise TypeError(f"port is a number, not {port!r}")
        if not 1 <= port <= 65_535:
            raise ValueError(f"port is a number from 1 to 65535, not {port}")
        self._host = host
        self._port = port

    def _dial(self) -> tuple[socket.socket, str]:
        name = f"[{self._host}]" if ":" in self._host else self._host
        return dial_tcp(self._host, self._port, self._connect_timeout), f"tcp://{name}:{self._port}"

    def __repr__(self) -> str:
        return f"TcpTransport({self._host!r}, {self._port})"
