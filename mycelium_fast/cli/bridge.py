"""`mycelium bridge`: options and logging around the bridge.

The work is done in `mycelium_fast.bridge`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Literal

import click

from ..bridge.listen import tls_context
from ..bridge.policy import Policy
from ..bridge.serve import Addresses, serve
from ..contracts import layout, load

__all__ = ["command"]


def _host_and_port(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise click.BadParameter(f"{value!r} is not HOST:PORT with a port from 0 to 65535", ctx, param)
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command("bridge")
@click.option("--unix", "unix", metavar="PATH", help="Listen on this Unix socket.")
@click.option(
    "--tcp",
    "tcp",
    metavar="HOST:PORT",
    callback=_host_and_port,
    help="Listen on this TCP address; port 0 takes a free one.",
)
@click.option("--tls-cert", metavar="FILE", help="TLS on the TCP address: the bridge's certificate, in PEM.")
@click.option("--tls-key", metavar="FILE", help="Its private key, if that is in a file of its own.")
@click.option("--tls-ca", metavar="FILE", help="Clients must have a certificate of these authorities.")
@click.option(
    "--contracts",
    "contracts",
    metavar="FILE",
    help="The contracts file of all clients; unknown types and wrong lengths are dropped and counted.",
)
@click.option("--no-handshake", is_flag=True, help="Clients send no schema digest.")
@click.option("--forward-unknown", is_flag=True, help="Let types through that the contracts do not have.")
@click.option(
    "--handshake-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="For a client's schema digest.",
)
@click.option(
    "--stall-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="After which a client that takes nothing, and so holds up the others, is disconnected.",
)
@click.option(
    "--slow-consumer",
    type=click.Choice(["block", "drop"]),
    default="block",
    show_default=True,
    help="While a client does not take what is sent to it: hold up everybody, or leave out its frames, "
    "count them, and tell it.",
)
@click.option(
    "--heartbeat",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Ask clients that are silent for so long whether they are there, and disconnect those who are not.",
)
@click.option(
    "--name", default="mycelium", show_default=True, help="What clients are told the bridge is called."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is written to standard error.",
)
def command(
    unix: str | None,
    tcp: tuple[str, int] | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_ca: str | None,
    contracts: str | None,
    no_handshake: bool,
    forward_unknown: bool,
    handshake_timeout: float,
    stall_timeout: float,
    slow_consumer: Literal["block", "drop"],
    heartbeat: float | None,
    name: str,
    log_level: str,
) -> None:
    """Relay messages between clients until SIGINT or SIGTERM.

    Prints "listening on ADDRESS" for each address once clients can connect.
    """
    if unix is None and tcp is None:
        raise click.UsageError("say where to listen: --unix PATH, --tcp HOST:PORT, or both")
    if tls_cert is None and (tls_key or tls_ca):
        raise click.UsageError("--tls-cert FILE is missing: the certificate that clients see")
    if tls_cert is not None and tcp is None:
        raise click.UsageError("--tcp HOST:PORT is missing: TLS is for TCP alone")
    if contracts is None and not no_handshake:
        raise click.UsageError(
            "--contracts FILE is missing: its digest is what clients must name (or --no-handshake)"
        )
    logging.basicConfig(
        stream=sys.stderr,
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    digest = sizes = None
    if contracts is not None:
        loaded = load(contracts)
        sizes = {message.type_id: layout(message).size for message in loaded.messages}
        digest = None if no_handshake else loaded.digest
    policy = Policy(
        digest=digest,
        sizes=sizes,
        forward_unknown=forward_unknown,
        handshake_timeout=handshake_timeout,
        stall_timeout=stall_timeout,
        slow_consumer=slow_consumer,
        heartbeat=heartbeat,
        name=name,
    )
    tls = None if tls_cert is None else tls_context(tls_cert, tls_key, tls_ca)
    serve(policy, Addresses(unix, tcp, tls), _announce)


def _announce(address: str) -> None:
    # Whoever started the bridge may not read this, or be gone; the bridge goes on.
    with contextlib.suppress(OSError):
        print(f"listening on {address}", flush=True)
