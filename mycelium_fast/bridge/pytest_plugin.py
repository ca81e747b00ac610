"""Fixtures for tests of programs that use a bus: a real bridge, and clients connected to it.

pytest loads them with the package. A project says which contracts its bridge has by a fixture of its own:

    @pytest.fixture
    def mycelium_contracts():
        return "contracts.yaml"

What it does not say is left to `BridgeConfig`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..bus.client import MyceliumClient
    from ..bus.transports import UnixTransport
    from .config import BridgeConfig
    from .thread import BridgeThread


@pytest.fixture
def mycelium_contracts() -> str | os.PathLike[str]:
    """The contracts file of the test's bridge; to be overridden."""
    raise pytest.UsageError(
        "which contracts is the bridge to have? Write a fixture mycelium_contracts that returns "
        "the path of the file"
    )


@pytest.fixture
def mycelium_config(mycelium_contracts: str | os.PathLike[str]) -> Iterator[BridgeConfig]:
    """What the test's bridge is to be; to be overridden for access rules, workers and the like."""
    from .config import BridgeConfig, Listener

    # (The path of a Unix socket is short; pytest's own directories are not.)
    with tempfile.TemporaryDirectory(prefix="mycelium-") as directory:
        yield BridgeConfig((Listener("unix", unix=Path(directory) / "bus.sock"),), Path(mycelium_contracts))


@pytest.fixture
def mycelium_bridge(mycelium_config: BridgeConfig) -> Iterator[BridgeThread]:
    """A running bridge (`BridgeThread`), stopped when the test is over."""
    from .thread import BridgeThread

    with BridgeThread(mycelium_config) as bridge:
        yield bridge


@pytest.fixture
def mycelium_transport(mycelium_bridge: BridgeThread) -> Iterator[Callable[..., UnixTransport]]:
    """Makes blocking transports that are connected to the bridge, and closed when the test is over; takes the
    keywords of `UnixTransport`."""
    from ..bus.transports import UnixTransport

    with contextlib.ExitStack() as stack:

        def connected(**options: Any) -> UnixTransport:
            path = mycelium_bridge.addresses[0].removeprefix("unix:")
            return stack.enter_context(UnixTransport(path, mycelium_bridge.digest, **options))

        yield connected


@pytest.fixture
def mycelium_client(mycelium_bridge: BridgeThread) -> Callable[..., MyceliumClient]:
    """Makes asyncio clients for `async with`, with the bridge's address and digest; takes the keywords of
    `MyceliumClient`."""
    from ..bus.client import MyceliumClient

    def made(**options: Any) -> MyceliumClient:
        return MyceliumClient(mycelium_bridge.addresses[0], schema_digest=mycelium_bridge.digest, **options)

    return made
