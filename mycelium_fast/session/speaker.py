"""What one end of a connection says: a client's requests, a server's answers, and what either may send.

A connection (`connection.py`) listens and decides where it stands; here is what may be said there, and the
bytes of it. Nothing is ever said to a peer that did not negotiate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..codec.message import Message
from . import core
from .events import Features, State
from .greeting import DIGEST_SIZE
from .refusals import shortened

__all__ = ["PROTOCOL", "Speaker"]

#: Version of the core frames that this package speaks.
PROTOCOL: Final = 1
_IDS_PER_REQUEST: Final = 256
_MAX_REASON: Final = 256
_MAX_GOODBYE: Final = 128
_MAX_BRIDGE: Final = 64
_U32: Final = 0xFFFFFFFF


class Speaker:
    """Where a connection stands, and what it sends.

    Attributes:
        max_payload_size: payload bytes that a received frame may have.
    """

    max_payload_size: int

    def __init__(self, state: State) -> None:
        self._state = state
        self._greeted = False  # core frames that arrive are the session's
        self._negotiated = False  # core frames may be sent
        self._named = Features(0)  # by the client
        self._agreed = Features(0)
        self._connection_id = 0
        self._request = 0
        self._outgoing = bytearray()

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    @property
    def negotiated(self) -> bool:
        """Whether `Hello` and `Welcome` were exchanged: core frames may be sent."""
        return self._negotiated

    @property
    def features(self) -> Features:
        """What both ends agreed on; nothing on a plain connection."""
        return self._agreed

    @property
    def connection_id(self) -> int:
        """The bridge's number for this connection, 0 on a plain one."""
        return self._connection_id

    def data_to_send(self) -> bytes:
        """The bytes that the protocol itself wants sent now; each is given once."""
        if self._greeted and not self._negotiated and self._state is State.OPEN:
            return b""  # Welcome comes first
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def subscribe(self, type_ids: Iterable[int] | None) -> tuple[int, bytes]:
        """Client: ask for types, None for all; gives the request's number and the bytes to send.

        Over 256 types make several frames; the number is that of the last, which is answered last.

        Raises:
            RuntimeError: the connection is not negotiated, or without subscriptions.
        """
        return self._ask(core.Subscribe, type_ids)

    def unsubscribe(self, type_ids: Iterable[int] | None) -> tuple[int, bytes]:
        """Client: ask for types no more, None for all; otherwise as `subscribe`."""
        return self._ask(core.Unsubscribe, type_ids)

    def ping(self, nonce: int) -> bytes:
        """The bytes to send to be answered with `PongReceived(nonce)`.

        Raises:
            RuntimeError: the connection is not negotiated, or without heartbeats.
        """
        self._need(Features.HEARTBEATS)
        return core.Ping(nonce).to_frame()

    def trace(self, trace_id: bytes, span_id: bytes, flags: int) -> bytes:
        """The bytes to send right before the frame that this trace context (16 bytes, 8 bytes) belongs to.

        Raises:
            RuntimeError: the connection is not negotiated, or without trace contexts.
        """
        self._need(Features.TRACE)
        return core.Trace(trace_id, span_id, flags).to_frame()

    def goodbye(self, reason: str = "", reconnect_after: float | None = None) -> bytes:
        """The bytes to send, as the last ones, before a planned shutdown.

        Args:
            reason: for people; cut after 128 bytes.
            reconnect_after: seconds after which connecting again makes sense, None for never.

        Raises:
            RuntimeError: the connection is not negotiated.
        """
        self._need(Features(0))
        after_ms = 0 if reconnect_after is None else min(max(1, round(reconnect_after * 1000)), _U32)
        return core.Goodbye(after_ms, shortened(reason, _MAX_GOODBYE)).to_frame()

    # A server's answers do nothing on a connection that is over, nor on a plain one: a client may break the
    # protocol in the very bytes that its request came in.

    def welcome(self, connection_id: int, bridge: str, features: Features) -> None:
        """Server: accept the `Hello`; agrees on those of `features` that the client named."""
        if not self._greeted or self._negotiated or self._state is not State.OPEN:
            return
        self._negotiated = True
        self._agreed = self._named & features
        self._connection_id = connection_id
        max_payload = self.max_payload_size
        name = shortened(bridge, _MAX_BRIDGE)
        frame = core.Welcome(PROTOCOL, int(self._agreed), connection_id, max_payload, name).to_frame()
        self._outgoing[:0] = frame

    def subscribed(self, request: int) -> None:
        """Server: the request of this number is in force."""
        self._answer(core.Subscribed(request))

    def reject(
        self, code: int, reason: str, *, fatal: bool, type_id: int = 0, digest: bytes | None = None
    ) -> None:
        """Server: refuse a request or, if `fatal`, the connection, which is over then.

        Args:
            code: one of `RejectCode`.
            reason: for people; cut after 256 bytes.
            type_id: the type concerned, if any.
            digest: the digest expected, if that is the reason.
        """
        if fatal and not self._negotiated:
            self._outgoing.clear()  # answers that were to follow Welcome
        self._answer(
            core.Reject(
                int(code), fatal, type_id, digest or bytes(DIGEST_SIZE), shortened(reason, _MAX_REASON)
            )
        )
        if fatal:
            self._state = State.CLOSED

    def lagged(self, type_id: int, dropped: int) -> None:
        """Server: tell the client how many frames of a type it missed; only where lag reports are agreed."""
        if Features.LAG_REPORTS in self._agreed:
            self._answer(core.Lagged(type_id, dropped))

    def _answer(self, message: Message) -> None:
        if self._greeted and self._state is State.OPEN:
            self._outgoing += message.to_frame()

    def _ask(
        self, kind: type[core.Subscribe] | type[core.Unsubscribe], type_ids: Iterable[int] | None
    ) -> tuple[int, bytes]:
        self._need(Features.SUBSCRIPTIONS)
        ids = () if type_ids is None else tuple(type_ids)
        frames = []
        for start in range(0, len(ids) or 1, _IDS_PER_REQUEST):
            self._request = self._request % _U32 + 1
            chosen = ids[start : start + _IDS_PER_REQUEST]
            frames.append(kind(self._request, type_ids is None, chosen).to_frame())
        return self._request, b"".join(frames)

    def _need(self, feature: Features) -> None:
        if not self._negotiated or feature not in self._agreed:
            what = (
                f"{feature.name} was not agreed on" if self._negotiated and feature else "it is a plain one"
            )
            raise RuntimeError(f"this cannot be sent on the connection: {what}; look at `features` first")
