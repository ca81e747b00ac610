"""Where publishers wait, in the order in which they came, until the connection takes more.

Only waiting is done here: what a publisher that was let through writes, it writes without being interrupted,
so that a cancelled publish is accepted whole or not at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ..errors import TransportError
from .async_subscriber import again

__all__ = ["Gate"]

#: Looks at the progress of the connection within the time that a publisher waits at most.
_LOOKS: Final = 4


class Gate:
    """Lets publishers through while nothing is in the way.

    Attributes:
        open: nothing is in the way and nobody waits: whoever sees this need not call `enter()`.
    """

    def __init__(self) -> None:
        self.open = False
        self._blocked = True
        self._failure: TransportError | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def failed(self) -> bool:
        """Whether nobody is let through any more."""
        return self._failure is not None

    @property
    def failure(self) -> TransportError | None:
        """What everyone gets; None while somebody may be let through."""
        return self._failure

    def set(self, *, blocked: bool) -> None:
        """Say whether something is in the way."""
        self._failure = None
        self._blocked = blocked
        self._update()

    def fail(self, failure: TransportError) -> None:
        """Let nobody through any more: everyone gets this error, those who wait as well."""
        self._failure = failure
        self._blocked = True
        self.open = False
        for waiter in self._waiters:
            _wake(waiter)

    async def enter(
        self, timeout: float | None, progress: Callable[[], object], late: Callable[[], TransportError]
    ) -> None:
        """Wait for one's turn; the caller then writes before it awaits anything.

        Args:
            timeout: seconds without progress after which to give up; None waits for ever.
            progress: gives another value whenever there was progress.
            late: makes the error for giving up.

        Raises:
            TransportError: that of `late()` or `fail()`; nothing was let through.
        """
        if self.open:
            return
        loop = asyncio.get_running_loop()
        since, seen = loop.time(), progress()
        waiter = loop.create_future()
        self._waiters.append(waiter)
        self._update()
        try:
            while True:
                if self._failure is not None:
                    raise again(self._failure)
                timer = None if timeout is None else loop.call_later(timeout / _LOOKS, _wake, waiter)
                try:
                    await waiter
                finally:
                    if timer is not None:
                        timer.cancel()
                if self._failure is None and not self._blocked and self._waiters[0] is waiter:
                    return
                if self._failure is None and timeout is not None:
                    now = progress()
                    if now != seen:
                        since, seen = loop.time(), now
                    elif loop.time() - since >= timeout:
                        raise late()
                place = self._waiters.index(waiter)
                waiter = self._waiters[place] = loop.create_future()
                self._update()
        finally:
            self._waiters.remove(waiter)
            self._update()

    def _update(self) -> None:
        if not self._blocked and self._waiters:
            _wake(self._waiters[0])
        self.open = not self._blocked and not self._waiters


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
