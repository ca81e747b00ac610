"""What an asyncio client publishes, on its way to the connection: checked, gathered in batches, handed over.

Waiting for one's turn is the gate's work (`gate.py`), sending that of `transport/aio.py`. Between the gate
and the writer nothing is awaited: a message is accepted whole or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..codec.writer import ARM, DUE, FULL
from ..errors import ConnectionClosed, EncodeError, PoolExhausted, TransportError, TransportTimeout
from ..session import Features
from .arguments import is_message_class
from .async_subscriber import again
from .gate import Gate
from .registry import check_schema

if TYPE_CHECKING:
    from ..codec.pool import BufferPool
    from ..codec.tracer import TracerHook
    from ..transport.aio import Link
    from .settings import Settings

__all__ = ["Outlet"]

#: Bytes written after which other tasks have their turn before the next publish.
_TURN_BYTES: Final = 64 * 1024
#: Seconds of the shortest delay that an event loop's clock can tell.
_TICK_S: Final = 0.001


class Outlet:
    """Takes messages, and hands them to one link after another.

    Args:
        name: of the client, for errors.
        where: what there is to say of the connection while there is none.

    Attributes:
        gate: whoever publishes goes through it first.
        known: message classes that were checked.
        digest: of the connection.
    """

    def __init__(
        self, settings: Settings, pool: BufferPool, name: Callable[[], str], where: Callable[[], str]
    ) -> None:
        self._settings = settings
        self._batching = settings.batching
        self._name = name
        self._where = where
        self._link: Link | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._armed: asyncio.Handle | None = None
        self._turn_over = False
        self._turn_ends_at = 0
        self._refused: dict[int, TransportError] = {}
        self._kept: list[bytes | memoryview] = []  # of a list that found its link ending, ahead of the writer
        self.unpooled_frames = self.unpooled_bytes = 0
        self.writer = settings.writer(pool)
        self._write = self.writer.write
        self.gate = Gate()
        self.gate.fail(
            TransportError(f"{name()} is not connected: await connect() first, or use `async with`")
        )
        self.known: set[type] = set()
        self.digest: bytes | None = None

    # The connection -----------------------------------------------------------------------------------------

    def start(self, digest: bytes | None) -> None:
        """A first connection is being made: whoever publishes waits for it."""
        self.digest = digest
        self.known.clear()
        self.gate.set(blocked=True)

    def attach(self, link: Link) -> None:
        """There is a connection: send what was accepted and not handed to the one before."""
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._turn_ends_at = link.written + _TURN_BYTES
        self._refused.clear()
        while self._kept and link.write(self._kept[0]):
            del self._kept[0]
        self.send("delay")
        self.update()

    def detach(self) -> None:
        """There is none: whoever publishes waits for the next."""
        self._link = None
        self.update()

    def end(self, error: TransportError) -> None:
        """There will be none: nothing more is accepted."""
        self.gate.fail(error)
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    @property
    def blocked(self) -> bool:
        """Whether there is no connection, or one that takes nothing now."""
        link = self._link
        return link is None or link.paused or link.ending

    def update(self) -> None:
        """See whether something is in the way of those who publish: that, or that others have their turn."""
        if not self.gate.failed:
            self.gate.set(blocked=self.blocked or self._turn_over)

    def refuse(self, type_id: int, error: TransportError) -> None:
        """The peer takes no messages of this type."""
        self._refused[type_id] = error
        self.known = {cls for cls in self.known if getattr(cls, "TYPE_ID", None) != type_id}

    # Publishing ---------------------------------------------------------------------------------------------

    def check(self, message: Any) -> None:
        """What has to be checked once for each message class; raises as `publish` does."""
        cls: Any = type(message)
        if not is_message_class(cls):
            given = repr(message) if isinstance(message, type) else cls.__name__
            raise TypeError(
                f"publish() takes messages of a generated module, such as TradeTick(...), not {given}"
            )
        check_schema(cls, self.digest, self._name())
        limit = self._settings.max_payload_size
        if limit < cls.SIZE:
            raise EncodeError(
                f"{cls.__name__} has {cls.SIZE} payload bytes, over the limit of "
                f"{self._settings.max_payload_size} for sending: older peers refuse more. Make its fields "
                "smaller, or raise max_payload_size of the client"
            )
        refused = self._refused.get(cls.TYPE_ID)
        if refused is not None:
            raise again(refused)
        if not self.gate.failed:
            self.known.add(cls)

    async def enter(self) -> None:
        """Wait for one's turn; write before awaiting anything else."""
        await self.gate.enter(self._settings.publish_timeout, self._progress, self._late)

    def put(self, message: Any) -> None:
        """Accept a message."""
        verdict = self._write(message)
        if verdict == DUE and self.writer.pending_messages == 1:
            self._send_alone(message)
        elif verdict:
            self._attend(verdict, message)

    def put_many(self, messages: list[Any] | tuple[Any, ...], start: int = 0) -> None:
        """Accept messages, whatever the room: all of them, or none; those before `start` have been."""
        writer = self.writer
        while start < len(messages):
            try:
                verdict, taken = writer.write_many(messages, start)
            except PoolExhausted:
                if start == 0:
                    raise
                self._put_unpooled(messages[start:])
                return
            start += taken
            if verdict == DUE:
                self.send("due")
            elif verdict == FULL:
                self.send("full")
        if writer.pending:
            self._arm()

    def put_traced(self, messages: list[Any] | tuple[Any, ...], tracer: TracerHook) -> None:
        """Accept messages within a span, whose context goes ahead of the first where the peer knows that."""
        span = tracer.publishing(type(messages[0]), len(messages))
        try:
            context, link = span.context, self._link
            if context is not None and link is not None and Features.TRACE in link.connection.features:
                self._put_first(link.connection.trace(*context) + messages[0].to_frame())
                self.put_many(messages, 1)
            else:
                self.put_many(messages)
        except BaseException as error:
            span.end(error)
            raise
        span.end()

    async def flush(self) -> None:
        """Have everything accepted so far handed to the operating system."""
        if not self.gate.open:
            await self.enter()
        link = self._link
        if link is None:
            return
        self.send("explicit")
        link.pause_until_empty()
        if not self.gate.open:
            await self.enter()
        if link is not self._link:
            raise ConnectionClosed(
                f"the connection to {link.peer} broke during flush(): what was published before may be lost"
            )

    # Sending ------------------------------------------------------------------------------------------------

    def send(self, reason: str) -> None:
        """Hand what waits in the writer to the link; where that is about to end, it goes to the next."""
        writer, link = self.writer, self._link
        if not writer.pending or link is None:
            return
        ending = link.ending
        if ending:
            if reason == "full":
                self._kept += writer.take()
            self.update()
            return
        writer.note_due() if reason == "due" else writer.note_flush(reason)
        views = writer.take()
        for place, view in enumerate(views):
            if not link.write(view):  # the one before broke the connection
                self._kept += views[place:]
                break
        if link.ending:  # by now
            self.update()
        elif link.written >= self._turn_ends_at:
            self._end_turn()

    def _send_alone(self, message: Any) -> None:
        """`send()` of the one message that waits: as bytes, which is what event loops are quickest with."""
        link, frame = self._link, message.to_frame()
        if link is None or not link.write(frame):
            self.update()  # it stays in the writer
            return
        writer = self.writer
        writer.advance(len(frame))
        writer.note_due()
        if link.written >= self._turn_ends_at:
            self._end_turn()

    def _attend(self, verdict: int, message: Any) -> None:
        """Do what the writer's verdict on a message asks for."""
        if verdict == FULL:
            self.send("full")
            verdict = self._write(message)
        if verdict == DUE:
            self.send("due")
        elif verdict == ARM:
            self._arm()

    def _put_first(self, frames: bytes) -> None:
        """Accept a trace context and the message that it is about, together or not at all."""
        verdict = self.writer.write_frames(frames)
        if verdict == FULL:
            self.send("full")
            verdict = self.writer.write_frames(frames)
        if verdict == DUE:
            self.send("due")

    def _put_unpooled(self, messages: list[Any] | tuple[Any, ...]) -> None:
        """The pool has no block left half-way through a list, of which the first part has been accepted."""
        self.send("full")
        data = b"".join([message.to_frame() for message in messages])
        self.unpooled_frames += len(messages)
        self.unpooled_bytes += len(data)
        if self._link is None or not self._link.write(data):
            self._kept.append(data)

    def _arm(self) -> None:
        """See to it that what waits is sent in time."""
        if self._armed is None and self._loop is not None:
            # Where less is allowed than the event loop's clock can tell, what this turn of the loop publishes
            # makes one batch.
            if self._batching.adaptive or self._batching.max_delay < _TICK_S:
                self._armed = self._loop.call_soon(self._send_due)
            else:
                self._armed = self._loop.call_later(self._batching.max_delay, self._send_due)

    def _send_due(self) -> None:
        self._armed = None
        self.send("delay")

    def _end_turn(self) -> None:
        """Let other tasks, and what has arrived, have their turn before the next publish."""
        if self._loop is not None and not self._turn_over:
            self._turn_over = True
            self._loop.call_soon(self._next_turn)
            self.update()

    def _next_turn(self) -> None:
        self._turn_over = False
        if self._link is not None:
            self._turn_ends_at = self._link.written + _TURN_BYTES
        self.update()

    def _progress(self) -> object:
        link = self._link
        return None if link is None else (id(link), link.taken)

    def _late(self) -> TransportTimeout:
        seconds = f"{self._settings.publish_timeout:g} s"
        if self._link is not None:
            return TransportTimeout(
                f"{self._link.peer} took nothing for {seconds}: nothing of this call was accepted. What was "
                "published before is kept, and goes on when the peer reads again"
            )
        return TransportTimeout(
            f"{self._where()} for {seconds}: nothing of this call was accepted. The client goes on trying to "
            "connect"
        )
