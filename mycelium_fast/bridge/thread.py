"""A bridge in a thread of its own, for programs and tests that have no event loop: `with BridgeThread(config)
as bridge`.

It does what `bridge.py` does, called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, wait
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .bridge import Bridge
from .config import BridgeConfig
from .snapshot import Snapshot

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BridgeThread"]

_T = TypeVar("_T")

#: Seconds between looks whether the thread that is to answer is still there.
_LOOK_S: Final = 0.5


class BridgeThread:
    """A running bridge, from `start()` (or `with`) to `close()`.

    Args:
        config: what it is to be.
    """

    def __init__(self, config: BridgeConfig) -> None:
        self._config = config
        self._bridge: Bridge | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def addresses(self) -> list[str]:
        """That it listens on, such as `unix:/run/bus.sock`."""
        return self._running().addresses

    @property
    def status_page(self) -> str | None:
        """Address of the status page, or None."""
        return self._running().status_page

    @property
    def digest(self) -> bytes | None:
        """The schema digest that clients have to name."""
        return self._running().digest

    def start(self) -> None:
        """Start it, and return when clients can connect.

        Raises:
            MyceliumError: as `Bridge.start`.
            RuntimeError: it was started before.
        """
        if self._thread is not None:
            raise RuntimeError("a bridge is started once: make another one")
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), name="mycelium-bridge")
        self._thread.start()
        ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def close(self) -> None:
        """Stop it, as `Bridge.close`, and wait until it has; again, or before `start()`, it does nothing."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        with contextlib.suppress(RuntimeError):  # another thread was quicker: the loop is closed
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._bridge = None

    def snapshot(self) -> Snapshot:
        """What it looks like now."""
        return self._call(self._running().snapshot)

    def connect(self) -> socket.socket:
        """A connection from within this program, as `Bridge.connect`."""
        return self._call(self._running().connect)

    def reload(self, config: BridgeConfig) -> None:
        """Go by another configuration, as `Bridge.reload`."""
        self._await(self._running().reload(config))

    def _running(self) -> Bridge:
        if self._bridge is None:
            raise RuntimeError("the bridge does not run: start() it")
        return self._bridge

    def _call(self, function: Callable[[], _T]) -> _T:
        async def call() -> _T:
            return function()

        return self._await(call())

    def _await(self, what: Coroutine[Any, Any, _T]) -> _T:
        if self._loop is None or self._thread is None:
            what.close()
            raise RuntimeError("the bridge does not run: start() it")
        try:
            answer = asyncio.run_coroutine_threadsafe(what, self._loop)
        except RuntimeError:  # the loop is closed
            what.close()
            raise RuntimeError("the bridge has stopped") from None
        while not wait((answer,), _LOOK_S).done:
            if not self._thread.is_alive() and not answer.done():  # it came too late
                what.close()
                raise RuntimeError("the bridge has stopped")
        try:
            return answer.result()
        except CancelledError:
            raise RuntimeError("the bridge has stopped") from None

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with Bridge(self._config) as bridge:
                self._bridge = bridge
                ready.set()
                await self._stop.wait()
        except BaseException as error:
            if ready.is_set():
                raise
            self._error = error
        finally:
            ready.set()
