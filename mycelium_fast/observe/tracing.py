"""OpenTelemetry spans for what a transport or client publishes and delivers.

Names and attributes follow the OpenTelemetry conventions for messaging spans. When to call the tracer, and
carrying the context in `Trace` frames, is the runtime's work; exporting is that of the tracer provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._version import __version__

if TYPE_CHECKING:
    from ..codec.tracer import Operation, TraceContext

__all__ = ["Tracer", "instrument", "uninstrument"]


class Tracer:
    """The `codec.tracer.TracerHook` that opens OpenTelemetry spans.

    Args:
        tracer_provider: of OpenTelemetry; None for the global one.

    Raises:
        ImportError: opentelemetry-api is not installed.
    """

    def __init__(self, tracer_provider: Any = None) -> None:
        try:
            from opentelemetry import context, trace
        except ImportError as error:
            raise ImportError(
                'tracing needs opentelemetry-api: pip install "mycelium-fast[tracing]"', name=error.name
            ) from error
        self._context: Any = context
        self._trace: Any = trace
        self._tracer: Any = trace.get_tracer("mycelium_fast", __version__, tracer_provider)

    def publishing(self, message_class: Any, count: int) -> _PublishSpan:
        """A `PRODUCER` span below the current one. `context` is None where it is not sampled."""
        name = message_class.__name__
        attributes = self._attributes("publish", "send", name, message_class.TYPE_ID, count)
        attributes["messaging.mycelium.topic"] = message_class.TOPIC
        span = self._tracer.start_span(
            f"publish {name}", kind=self._trace.SpanKind.PRODUCER, attributes=attributes
        )
        return _PublishSpan(self._trace, span)

    def delivering(
        self,
        name: str,
        type_id: int,
        count: int,
        contexts: Sequence[TraceContext],
        *,
        operation: Operation = "process",
    ) -> _DeliverSpan:
        """A `CONSUMER` span with a link to every publisher's, and for one message alone a child of it.

        For `process` it is the current span until it ends. For `receive` it is none, and a span that is
        current in the program that asked for the message stays the parent.
        """
        trace = self._trace
        publishers = [span for span in map(self._remote, contexts) if span.is_valid]
        # What was current when a callback's task or thread was started has nothing to do with the message.
        context = self._context.Context() if operation == "process" else self._context.get_current()
        has_parent = trace.get_current_span(context).get_span_context().is_valid
        if count == 1 and len(publishers) == 1 and not has_parent:
            context = trace.set_span_in_context(trace.NonRecordingSpan(publishers[0]), context)
        span = self._tracer.start_span(
            f"{operation} {name}",
            context=context,
            kind=trace.SpanKind.CONSUMER,
            attributes=self._attributes(operation, operation, name, type_id, count),
            links=[trace.Link(publisher) for publisher in publishers],
        )
        current = trace.set_span_in_context(span, context) if operation == "process" else None
        return _DeliverSpan(trace, span, self._context, current)

    def _attributes(self, operation: str, kind: str, name: str, type_id: int, count: int) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "messaging.system": "mycelium",
            "messaging.operation.name": operation,
            "messaging.operation.type": kind,
            "messaging.destination.name": name,
        }
        if type_id:
            attributes["messaging.mycelium.type_id"] = type_id
        if count != 1:
            attributes["messaging.batch.message_count"] = count
        return attributes

    def _remote(self, context: TraceContext) -> Any:
        """The span context of a Trace frame; not valid where the frame holds zeros."""
        trace_id, span_id, flags = context
        return self._trace.SpanContext(
            int.from_bytes(trace_id, "big"),
            int.from_bytes(span_id, "big"),
            is_remote=True,
            trace_flags=self._trace.TraceFlags(flags),
        )


class _Span:
    def __init__(self, trace: Any, span: Any) -> None:
        self._trace = trace
        self._span = span

    def end(self, error: BaseException | None = None) -> None:
        """End the span; with an error, record it and set the span's status."""
        span, trace = self._span, self._trace
        if error is not None and span.is_recording():
            kind = type(error)
            name = kind.__qualname__
            span.set_attribute(
                "error.type", name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
            )
            span.record_exception(error)
            span.set_status(trace.Status(trace.StatusCode.ERROR, f"{name}: {error}"))
        span.end()


class _PublishSpan(_Span):
    @property
    def context(self) -> TraceContext | None:
        context = self._span.get_span_context()
        if not (context.is_valid and context.trace_flags.sampled):
            return None
        trace_id, span_id = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
        return trace_id, span_id, int(context.trace_flags)


class _DeliverSpan(_Span):
    def __init__(self, trace: Any, span: Any, context: Any, current: Any) -> None:
        super().__init__(trace, span)
        self._context = context
        self._current = current
        if current is not None:
            self._before = context.get_current()
            context.attach(current)

    def end(self, error: BaseException | None = None) -> None:
        # Attached again instead of detached: a token is of no use, and noise in the log, in another task.
        if self._current is not None and self._context.get_current() is self._current:
            self._context.attach(self._before)
        super().end(error)


def instrument(target: Any, tracer_provider: Any = None) -> None:
    """Open spans for what a transport or client publishes and delivers from now on.

    Where the connection is negotiated, a publisher's span context goes along with the message, and the spans
    of those who receive it refer to it. Calling it again replaces the tracer.

    Args:
        target: a transport or client.
        tracer_provider: of OpenTelemetry; None for the global one.

    Raises:
        ImportError: opentelemetry-api is not installed.
        TypeError: the target cannot be traced.
    """
    _check_target(target)
    target.tracer = Tracer(tracer_provider)


def uninstrument(target: Any) -> None:
    """Open no more spans for a transport or client; those under way end as usual.

    Raises:
        TypeError: the target cannot be traced.
    """
    _check_target(target)
    target.tracer = None


def _check_target(target: object) -> None:
    if not hasattr(target, "tracer"):
        raise TypeError(f"spans are of what a transport or client does, not of {target!r}")
