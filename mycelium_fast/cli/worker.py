"""`mycelium worker`: options, and mistakes in them, around a worker's function.

The work is done in `mycelium_fast.bus.worker`.
"""

from __future__ import annotations

import os
import sys
import traceback

import click

from mycelium_fast.errors import MyceliumError

from ..bus.environment import ACCEPTED_VARIABLE, DIGEST_VARIABLE, SOCKET_VARIABLE
from ..bus.worker import (
    load_function,
    prepare,
    run_worker,
    worker_address,
    worker_digest,
)
from ..session import HelloOptions

__all__ = ["command"]


@click.command("worker")
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option(
    "--socket",
    "socket",
    metavar="ADDRESS",
    envvar=SOCKET_VARIABLE,
    help=f"Where to connect: a path, HOST:PORT, tls://HOST:PORT or stdio:  [default: {SOCKET_VARIABLE}]",
)
@click.option(
    "--service",
    metavar="NAME",
    help="What the bridge is told that we are called: its access rules may ask for it. [default: MODULE]",
)
@click.option("--no-handshake", is_flag=True, help="For a bridge that expects no schema digest.")
def command(function: str, socket: str | None, service: str | None, no_handshake: bool) -> None:
    """Run a function with a connected client.

    `async def main(client)` gets a MyceliumClient, `def main(transport)` a blocking transport. On SIGTERM and
    SIGINT it is cancelled, or interrupted as by KeyboardInterrupt, what it published goes out, and the exit
    status is 0; that is 1 when it raises, and 2 when it cannot be run.
    """
    if not socket:
        raise click.UsageError(
            f"--socket ADDRESS is missing: where to connect (a bridge sets {SOCKET_VARIABLE} for its workers)"
        )
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` has it
    try:
        address = worker_address(socket)
        name = _service(service, function)
        prepare(address)
        called = load_function(function)
        digest = None
        if not no_handshake:
            digest = worker_digest(os.environ.get(DIGEST_VARIABLE), os.environ.get(ACCEPTED_VARIABLE))
    except ImportError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        raise click.UsageError(str(error)) from None
    except (LookupError, ValueError, MyceliumError) as error:
        raise click.UsageError(str(error)) from None
    sys.exit(run_worker(called, address, digest, service=name))


def _service(name: str | None, function: str) -> str:
    """What to be called: the module's name, unless that is too long."""
    try:
        return HelloOptions(function.partition(":")[0] if name is None else name).service
    except ValueError:
        if name is None:
            return ""
        raise
