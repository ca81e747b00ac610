"""A bridge as a process: start it, say where it listens, run until a signal comes, leave nothing behind.

What a bridge consists of is `bridge.py`'s affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Callable
from typing import Final

from ..errors import MyceliumError
from .audit import audit
from .bridge import Bridge
from .config import BridgeConfig

__all__ = ["serve"]

_log: Final = logging.getLogger("mycelium_fast.bridge")


def serve(
    config: BridgeConfig,
    announce: Callable[[str], None],
    reload: Callable[[], BridgeConfig] | None = None,
) -> None:
    """Run a bridge until SIGINT or SIGTERM; read its configuration again at SIGHUP.

    Args:
        announce: called with each line that says where it is to be found, once clients can connect to all.
        reload: gives the configuration anew; None where there is no file to read again.

    Raises:
        MyceliumError: it cannot be started; says why.
    """
    _take_descriptors()
    asyncio.run(_serve(config, announce, reload))


async def _serve(
    config: BridgeConfig, announce: Callable[[str], None], reload: Callable[[], BridgeConfig] | None
) -> None:
    loop = asyncio.get_running_loop()
    stop, again = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, stop, number)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    async with Bridge(config) as bridge:
        for address in bridge.addresses:
            announce(f"listening on {address}")
        if bridge.status_page is not None:
            announce(f"status page at {bridge.status_page}")
        reloading = loop.create_task(_reload(bridge, again, reload))
        await stop.wait()
        reloading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reloading
    audit("bridge.stopped", "stopped: %s", bridge.summary())


async def _reload(bridge: Bridge, again: asyncio.Event, reload: Callable[[], BridgeConfig] | None) -> None:
    while True:
        await again.wait()
        again.clear()
        if reload is None:
            _log.warning("SIGHUP: there is no topology file to read again; nothing changed")
            continue
        try:
            config = await asyncio.to_thread(reload)
            await bridge.reload(config)
        except Exception as error:
            if not isinstance(error, (MyceliumError, OSError)):
                _log.exception("a defect, which is no reason to stop")
            audit(
                "bridge.reload_refused",
                "SIGHUP: the new configuration is refused, the old one stays: %s",
                error,
                level=logging.ERROR,
                reason=str(error),
            )
            continue
        logging.getLogger().setLevel(config.log.level.upper())
        audit(
            "bridge.reloaded",
            "SIGHUP: %d access rules and %d workers are in force",
            len(config.access),
            len(config.workers),
            rules=len(config.access),
            workers=len(config.workers),
        )


def _stop(stop: asyncio.Event, number: int) -> None:
    _log.info("%s: stopping", signal.Signals(number).name)
    stop.set()


def _take_descriptors() -> None:
    """As many as the system allows: each connection needs one, with TLS three."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited", and has a limit all the same
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
