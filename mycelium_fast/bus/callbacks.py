"""Callbacks for blocking transports: a thread of its own for each, that receives and calls.

Everything else about receiving is the subscriber's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ..errors import PoolExhausted, SubscriberOverflow

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ..transport.stream import Stream
    from .message_queue import MessageQueue
    from .stats import SubscriberStats
    from .subscriber import Subscriber

__all__ = ["CallbackSubscription"]

_log = logging.getLogger("mycelium_fast.bus")
#: Seconds after which a callback's thread that found no block to read into tries again.
_RETRY_S: Final = 0.05

M = TypeVar("M")


class CallbackSubscription(Generic[M]):
    """Calls a function with every message, one at a time, in the order of the wire; made by
    `transport.subscribe()`.

    It ends with the connection or with `close()`. What the function raises is logged and counted in `errors`,
    and the next message comes all the same.
    """

    def __init__(
        self, subscriber: Subscriber[M], queue: MessageQueue, stream: Stream, callback: Callable[[M], Any]
    ) -> None:
        subscriber.leave_tracing()
        self._subscriber = subscriber
        self._queue = queue
        self._stream = stream
        self._callback = callback
        self.errors = 0
        self._thread = threading.Thread(target=self._run, name=f"mycelium-callback-{queue.name}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the callback will be called no more."""
        return not self._thread.is_alive()

    def stats(self) -> SubscriberStats:
        """The counters of its subscriber."""
        return self._subscriber.stats()

    def close(self, timeout: float | None = None) -> None:
        """Receive nothing more; waits up to `timeout` seconds (None: as long as it takes) for the callback
        that runs.

        Messages that are queued are left. From within the callback it does not wait.
        """
        self._subscriber.close()
        self._queue.take_all()
        self.join(timeout)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the callback will be called no more; False if that took more than `timeout` seconds."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        exhausted = False
        while True:
            try:
                for message in self._subscriber:
                    exhausted = False
                    self._call(message)
            except SubscriberOverflow as error:
                _log.error("%r ended: %s", self, error)
            except PoolExhausted as error:
                # Somebody else's arrays, which they let go of sooner or later.
                if not exhausted:
                    _log.error("%r waits: %s", self, error)
                exhausted = True
                time.sleep(_RETRY_S)
                continue
            return

    def _call(self, message: M) -> None:
        tracer = self._stream.tracer
        span = None
        if tracer is not None:
            kind: Any = type(message)
            span = tracer.delivering(kind.__name__, getattr(kind, "TYPE_ID", 0), 1, self._queue.contexts(1))
        try:
            self._callback(message)
        except Exception as error:
            self.errors += 1
            _log.exception("the callback %r failed on a message of %s", self._callback, self._queue.name)
            if span is not None:
                span.end(error)
        else:
            if span is not None:
                span.end()

    def __repr__(self) -> str:
        return f"<CallbackSubscription of {self._queue.name}, {self._callback!r}>"
