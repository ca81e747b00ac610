"""What the runtime tells a tracer: the protocol between the two, with no third-party import.

A transport or client has an attribute `tracer`, None by default; one test for None is all that tracing costs
when it is off. `observe/tracing.py` has the one that opens OpenTelemetry spans; calling it is up to `bus/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

__all__ = ["DeliverSpan", "Operation", "PublishSpan", "TraceContext", "TracerHook"]

#: A W3C trace context as `Trace` frames carry it: trace id (16 bytes), parent span's id (8 bytes), flags.
TraceContext: TypeAlias = tuple[bytes, bytes, int]

#: `process`: a callback gets the messages, and runs until the span ends. `receive`: a program asked for them.
Operation: TypeAlias = Literal["process", "receive"]


class PublishSpan(Protocol):
    """A publish under way."""

    @property
    def context(self) -> TraceContext | None:
        """What to send in a `Trace` frame before the (first) frame published; None: send no such frame."""

    def end(self, error: BaseException | None = None) -> None:
        """The publish has returned, or raised `error`. To be called exactly once."""


class DeliverSpan(Protocol):
    """A delivery under way."""

    def end(self, error: BaseException | None = None) -> None:
        """The callback has returned or raised `error`; the messages are with the program that asked for them.

        To be called exactly once, for `process` in the thread, and the task, that called `delivering`: what
        the callback publishes in between belongs to this span.
        """


class TracerHook(Protocol):
    """The `tracer` of a transport or client. Called from any thread; raises nothing, waits for nothing."""

    def publishing(self, message_class: type, count: int) -> PublishSpan:
        """A publish begins, before anything is written.

        Args:
            message_class: a generated class, with `TYPE_ID` and `TOPIC`.
            count: number of messages published together.
        """

    def delivering(
        self,
        name: str,
        type_id: int,
        count: int,
        contexts: Sequence[TraceContext],
        *,
        operation: Operation = "process",
    ) -> DeliverSpan:
        """A delivery begins, just before the callback is called or the messages are returned.

        Args:
            name: of the message's class, such as `TradeTick`; of the subscriber, where a batch has several.
            type_id: of the messages; 0 where a batch has several.
            count: number of messages delivered together.
            contexts: of those messages that came with a `Trace` frame, in their order.
            operation: whether a callback gets them or a program that asked.
        """
