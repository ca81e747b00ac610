"""One connection that the router has, as the control plane sees it: its core frames answered, its end told.

What the router tells comes to `Client.handle()`. The protocol's order is `session/`'s; what a client may do
was decided by `access.py`; how it got here is `control.py`'s affair.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from ..codec.frames import encode_frame
from ..errors import MyceliumError, ProtocolError
from ..session import (
    ALL_FEATURES,
    CORE_IDS,
    Closed,
    Connection,
    Features,
    GoodbyeReceived,
    HelloReceived,
    RejectCode,
    State,
    SubscribeRequested,
    UnsubscribeRequested,
)
from .access import NOTHING, Grant
from .audit import audit
from .data_plane import DROPS, Event, RoutedConnection
from .identity import Identity
from .schema import Accepted
from .snapshot import ConnectionSnapshot

if TYPE_CHECKING:
    from .control import Control

__all__ = ["LINGER_S", "Client"]

# Flags of router.h.
_NEGOTIATED, _SUBSCRIBES, _NO_ECHO, _TRACES, _LAG_REPORTS = 1, 2, 4, 8, 16
_FLAGS: Final = (
    (Features.SUBSCRIPTIONS, _SUBSCRIBES),
    (Features.NO_ECHO, _NO_ECHO),
    (Features.TRACE, _TRACES),
    (Features.LAG_REPORTS, _LAG_REPORTS),
)
#: Seconds in which a client that was told why it is refused should close, before it is cut off.
LINGER_S: Final = 1.0
#: Pings without an answer after which a client is taken for dead.
_MAX_MISSED_PINGS: Final = 2
#: Seconds after which clients are asked to come back when the bridge stops.
_RECONNECT_AFTER_S: Final = 0.2
#: Looks at a worker within the time of its watchdog.
_LOOKS_PER_WATCHDOG: Final = 3


class Client:
    """A connection.

    Args:
        grant: what it may do; None where that depends on the service that it says it is.
        other: the schema that it uses; None for the bridge's own.
    """

    routed: RoutedConnection

    def __init__(
        self,
        control: Control,
        connection: Connection,
        number: int,
        identity: Identity,
        listener: str,
        grant: Grant | None,
        other: Accepted | None = None,
    ) -> None:
        self._control = control
        self._connection = connection
        self.number = number
        self.identity = identity
        self.listener = listener
        self.grant = grant or NOTHING
        self.other = other
        self.service = ""
        self._since = time.time()
        self._everything = True  # subscribed to all types but those in `_types`; else to these alone
        self._types: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._reads = -1
        self._pings = 0

    def begin(self, routed: RoutedConnection) -> None:
        """The router has the connection, with its grant."""
        self.routed = routed
        if self.grant is NOTHING:
            timeout = self._control.config.limits.handshake_timeout
            self._timer = asyncio.get_running_loop().call_later(timeout, self._unnamed, timeout)
        elif self._interval() is not None:
            self._look_later()

    def handle(self, event: Event) -> None:
        """Something that the router tells."""
        if event.kind == "frame":
            self._take(encode_frame(event.type_id, event.data))
        elif event.kind == "ended":
            self._ended(event)
        elif event.kind == "dropped":
            self._dropped(event)
        elif event.kind == "lagging":
            audit(
                "client.lagging",
                "connection %d is too slow: it %s, logged once",
                self.number,
                "holds up those who send to it"
                if self._control.config.slow_consumer == "block"
                else "misses frames",
                level=logging.WARNING,
                connection=self.number,
            )
        elif event.kind == "throttled":
            audit(
                "client.throttled",
                "connection %d sends more than its access rule allows: it is read more slowly, logged once",
                self.number,
                level=logging.WARNING,
                connection=self.number,
            )
        elif event.kind == "too long":
            header = event.type_id.to_bytes(2, "little") + event.number.to_bytes(4, "little")
            self._take(header)

    def say_goodbye(self) -> None:
        """The bridge stops."""
        if self._connection.negotiated and self._connection.state is State.OPEN:
            self.routed.send(self._connection.goodbye("the bridge stops", _RECONNECT_AFTER_S))
        self._connection.close()

    def review(self) -> None:
        """The access rules are others: go by them from now on."""
        if self._connection.state is not State.OPEN:
            return
        grant = self._control.access.grant(self.identity, self.listener, self.service)
        if grant is None:
            if self.grant is not NOTHING:
                self._forbid("no access rule is for it any longer")
            return
        self._control.recount(self, grant)
        before, self.grant = self.grant, grant
        self._obey_grant()
        if before is NOTHING:  # no longer waited for its name
            self._look_later()
        # (It is not told: to a client, a `Reject` that answers nothing is about what it publishes.)
        for type_id in () if self._everything else sorted(self._types):
            if before.may_receive(type_id) and not grant.may_receive(type_id):
                self._audit_denial("subscribe.denied", "receive", type_id)

    def snapshot(self) -> ConnectionSnapshot:
        """What it looks like now."""
        stats = self.routed.stats()
        everything = self._everything and not self._types and self._known is None
        return ConnectionSnapshot(
            number=self.number,
            service=self.service,
            identity=str(self.identity),
            listener=self.listener,
            worker=self.identity.worker,
            negotiated=self._connection.negotiated,
            since=self._since,
            subscribes_to=None if everything else sorted(self._wanted()),
            publishes=self.routed.published(),
            frames_in=stats.frames_in,
            bytes_in=stats.bytes_in,
            frames_out=stats.frames_out,
            bytes_out=stats.bytes_out,
            pending=stats.pending,
            missed=stats.missed,
            schema="" if self.other is None else self.other.name,
            dropped={reason: count for reason, count in zip(DROPS, stats.dropped, strict=True) if count},
        )

    # What it says -------------------------------------------------------------------------------------------

    def _take(self, frame: bytes) -> None:
        for event in self._connection.receive_data(frame):
            if isinstance(event, HelloReceived):
                self._negotiate(event)
            elif isinstance(event, (SubscribeRequested, UnsubscribeRequested)):
                self._subscribe(event)
            elif isinstance(event, GoodbyeReceived):
                audit(
                    "client.goodbye",
                    "connection %d says goodbye: %r",
                    self.number,
                    event.reason,
                    connection=self.number,
                    reason=event.reason,
                )
            elif isinstance(event, Closed):
                self._give_up(event.error)
        self._answer()
        if self._connection.state is State.OPEN and not self._connection.negotiated:
            self.routed.set_flags(0)  # what looked like a `Hello` was none: it is a plain client

    def _answer(self) -> None:
        answers = self._connection.data_to_send()
        if answers:
            self.routed.send(answers)

    def _negotiate(self, hello: HelloReceived) -> None:
        control = self._control
        self.service = hello.service
        grant = control.access.grant(self.identity, self.listener, hello.service)
        if grant is None:
            self._forbid(f"no access rule is for {' '.join(self.identity.facts(hello.service)) or 'it'}")
            return
        if not control.has_room(self, grant):
            self._refuse(
                RejectCode.LIMIT,
                f"there are {grant.max_connections} connections like it already, as many as may be",
            )
            return
        self.grant = grant
        self._connection.welcome(self.number, control.config.name, ALL_FEATURES)
        features = self._connection.features
        self._everything = Features.SUBSCRIPTIONS not in features
        self._obey_grant()
        # In this order: until its flags are set, it gets nothing of the others. Its Welcome is to come first.
        self._answer()
        self.routed.set_flags(_NEGOTIATED + sum(flag for feature, flag in _FLAGS if feature in features))
        audit(
            "client.negotiated",
            "connection %d is negotiated, service %r",
            self.number,
            hello.service,
            connection=self.number,
            client=hello.service,
            identity=str(self.identity),
        )
        self._look_later()

    def _subscribe(self, event: SubscribeRequested | UnsubscribeRequested) -> None:
        wanted, types = isinstance(event, SubscribeRequested), event.type_ids
        if types is not None and wanted:
            known = self._control.schema.names
            core = sorted({each for each in types if each in CORE_IDS and each not in known})
            for type_id in core:
                reason = "core frames are between a client and its bridge, nobody can publish them"
                self._connection.reject(RejectCode.PERMISSION, reason, fatal=False, type_id=type_id)
            denied = sorted({each for each in types if each not in core and not self.grant.may_receive(each)})
            for type_id in denied:
                self._deny("subscribe.denied", "receive", type_id)
            types = tuple(each for each in types if each not in core and each not in denied)
        if types is None:
            self._everything, self._types = wanted, set()
        elif wanted != self._everything:
            self._types.update(types)
        else:
            self._types.difference_update(types)
        self.routed.subscribe(wanted, types)
        self._connection.subscribed(event.request)
        if wanted and types is not None and self._known is not None:
            # As with any type that the bridge does not know: it is confirmed, and nothing will come.
            unmatched = sorted({*types} - self._known)
            if unmatched:
                audit(
                    "subscribe.unmatched",
                    "connection %d subscribes to %s, which its schema (%s) and the bridge's do not have in "
                    "common: it will get none",
                    self.number,
                    ", ".join(map(self._control.schema.name, unmatched)),
                    self.other.name if self.other is not None else "",
                    level=logging.WARNING,
                    connection=self.number,
                    client=self.service,
                    type_ids=unmatched,
                )
        names = (
            "every type" if types is None else ", ".join(map(self._control.schema.name, types)) or "nothing"
        )
        audit(
            "client.subscribed" if wanted else "client.unsubscribed",
            "connection %d %s %s",
            self.number,
            "subscribes to" if wanted else "wants no more of",
            names,
            connection=self.number,
            client=self.service,
            type_ids=None if types is None else list(types),
        )

    def _wanted(self) -> set[int]:
        """The types that it subscribes to, as far as they can be told."""
        if not self._everything:
            return self._types
        return set(self._control.schema.names if self._known is None else self._known) - self._types

    @property
    def _known(self) -> frozenset[int] | None:
        """The types that its contracts have in common with the bridge's; None for every one."""
        return None if self.other is None else self.other.types

    # What it may not ----------------------------------------------------------------------------------------

    def _obey_grant(self) -> None:
        self.routed.allow(self.grant.publish, self.grant.receive)
        self.routed.limit(self.grant.max_frames_per_s, self.grant.max_bytes_per_s)

    def _deny(self, event: str, what: str, type_id: int) -> None:
        """It may not publish or receive a type."""
        self._audit_denial(event, what, type_id)
        reason = f"no access rule lets it {what} {self._control.schema.name(type_id)}"
        self._connection.reject(RejectCode.PERMISSION, reason, fatal=False, type_id=type_id)

    def _audit_denial(self, event: str, what: str, type_id: int) -> None:
        audit(
            event,
            "connection %d may not %s %s (%s)",
            self.number,
            what,
            self._control.schema.name(type_id),
            " ".join(self.identity.facts(self.service)) or "nobody known",
            level=logging.WARNING,
            connection=self.number,
            identity=str(self.identity),
            client=self.service,
            type_id=type_id,
        )

    def _dropped(self, event: Event) -> None:
        if event.reason == "denied type":
            if self._connection.state is not State.OPEN:
                return
            self._deny("publish.denied", "publish", event.type_id)
            if self._connection.negotiated:
                self._answer()
            else:  # which is the one thing that it understands
                self._connection.close()
                self.routed.close(0.0)
            return
        sizes = self._control.schema.sizes or {}
        what, remark = event.reason, ""
        if event.reason == "wrong length" and event.type_id in sizes:
            what, remark = "type", f" instead of {sizes[event.type_id]}"
        elif event.reason == "unknown type" and event.type_id in sizes:
            what, remark = "type", ", which the schema that it uses does not have"
        audit(
            "frames.dropped",
            "connection %d sent frames of %s %d with %d payload bytes%s: dropped and counted, logged once",
            self.number,
            what,
            event.type_id,
            event.number,
            remark,
            level=logging.WARNING,
            connection=self.number,
            type_id=event.type_id,
            reason=event.reason,
        )

    def _forbid(self, why: str) -> None:
        self._refuse(RejectCode.PERMISSION, why)

    def _unnamed(self, timeout: float) -> None:
        if self._connection.state is not State.OPEN:
            return
        self._forbid(
            f"no access rule is for it as long as it does not say which service it is, within {timeout:g} s"
        )

    def _refuse(self, code: RejectCode, why: str) -> None:
        """It was let in, and is told to go."""
        self._control.counters.refused += 1
        audit(
            "client.refused",
            "connection %d refused: %s",
            self.number,
            why,
            level=logging.WARNING,
            connection=self.number,
            identity=str(self.identity),
            client=self.service,
            reason=why,
        )
        self._connection.reject(code, why, fatal=True)
        self._answer()
        self._connection.close()
        self.routed.close(LINGER_S)

    def _give_up(self, error: MyceliumError | None) -> None:
        if isinstance(error, ProtocolError):
            self._control.counters.protocol_errors += 1
        if error is not None:
            audit(
                "client.protocol_error",
                "connection %d closed: %s",
                self.number,
                str(error),
                level=logging.WARNING,
                connection=self.number,
                reason=str(error),
            )
        self._connection.give_up()
        self._answer()
        self.routed.close(LINGER_S)

    # Its end ------------------------------------------------------------------------------------------------

    def _ended(self, event: Event) -> None:
        control, stats = self._control, self.routed.stats()
        control.counters.add(stats)
        if self._timer is not None:
            self._timer.cancel()
        if event.reason == "slow":
            control.counters.stalled += 1
            audit(
                "client.stalled",
                "connection %d %s: disconnected, %d bytes for it lost",
                self.number,
                f"took nothing for {control.config.stall_timeout:g} s and held up the others"
                if control.config.slow_consumer == "block"
                else "is too slow",
                event.number,
                level=logging.WARNING,
                connection=self.number,
            )
        elif event.reason == "within a frame":
            control.counters.protocol_errors += 1
            audit(
                "client.protocol_error",
                "connection %d closed: the stream ended within a frame",
                self.number,
                level=logging.WARNING,
                connection=self.number,
                reason="the stream ended within a frame",
            )
        remarks = ""
        if dropped := sum(stats.dropped):
            remarks += f", {dropped} of its frames were dropped"
        if stats.missed:
            remarks += f", it missed {stats.missed} frames"
        audit(
            "client.disconnected",
            "connection %d closed%s",
            self.number,
            remarks,
            connection=self.number,
            client=self.service,
            frames_in=stats.frames_in,
            frames_out=stats.frames_out,
            missed=stats.missed,
            dropped=dropped,
        )
        self._connection.close()
        control.forget(self)

    # Whether it is alive ------------------------------------------------------------------------------------

    def _interval(self) -> float | None:
        """Seconds between looks."""
        intervals = []
        if self._control.config.heartbeat is not None and Features.HEARTBEATS in self._connection.features:
            intervals.append(self._control.config.heartbeat)
        watchdog = self._control.watchdog_of(self.identity.worker)
        if watchdog is not None:
            intervals.append(watchdog / _LOOKS_PER_WATCHDOG)
        return min(intervals, default=None)

    def _look_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        interval = self._interval()
        self._timer = (
            None
            if interval is None
            else asyncio.get_running_loop().call_later(interval, self._look, interval)
        )

    def _look(self, interval: float) -> None:
        """Another interval is over: was the client heard in it?"""
        if self._connection.state is not State.OPEN:
            return
        stats = self.routed.stats()
        heard = stats.reads != self._reads or bool(stats.held)  # the router does not listen to it just now
        if heard:
            self._reads, self._pings = stats.reads, 0
            self._control.heard(self.identity.worker)
        elif self._pings >= _MAX_MISSED_PINGS and self._control.config.heartbeat is not None:
            self._control.counters.dead += 1
            audit(
                "client.dead",
                "connection %d left %d pings unanswered, %g s apart: disconnected",
                self.number,
                self._pings,
                interval,
                level=logging.WARNING,
                connection=self.number,
            )
            self.routed.close(0.0)
            return
        if not heard or self._control.watchdog_of(self.identity.worker) is not None:
            self._pings += 1
            if Features.HEARTBEATS in self._connection.features:
                self.routed.send(self._connection.ping(self._pings))
        self._look_later()
