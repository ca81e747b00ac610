"""`mycelium bridge`: a bridge as a topology file or the options say, and `--check` for what that would be.

The work is done in `mycelium_fast.bridge`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import click
from click.core import ParameterSource

from ..bridge import config_values as values
from ..bridge.config import (
    MAX_OUTPUT,
    AdminConfig,
    BridgeConfig,
    Buffers,
    Limits,
    Listener,
    LogConfig,
    TlsFiles,
)
from ..bridge.config_keys import BRIDGE, BRIDGE_TABLES
from ..bridge.listen import tls_context
from ..bridge.schema import Schema, digest_or_file
from ..bridge.serve import serve
from ..errors import TopologyError
from ..observe.logs import configure

__all__ = ["command"]

#: Options that go with `--topology`; of every other one, where the file says it.
_WITH_TOPOLOGY: Final = ("topology", "node", "check")
_IN_THE_FILE: Final = {
    "unix": "[[bridge.listeners]], or the node, says where to listen",
    "tcp": "[[bridge.listeners]], or the node, says where to listen",
    "no_handshake": "the node's endpoint says handshake = false",
    "metrics": "[bridge.admin] has host and port",
    "socket_mode": "[bridge] has mode",
    "poll": "[bridge] has use_poll",
    **dict.fromkeys(("tls_cert", "tls_key", "tls_ca"), "[bridge] and its listeners have tls"),
    **{f"log_{key}": f"[bridge.log] has {key}" for key in ("level", "format")},
    **{key: f"[bridge] has {key}" for key in BRIDGE},
    **{key: f"[bridge.{table}] has {key}" for table in ("limits", "buffers") for key in BRIDGE_TABLES[table]},
}


def _host_and_port(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    try:
        return values.host_and_port(value)
    except ValueError:
        text = f"{value!r} is not HOST:PORT with a port from 0 to 65535, such as localhost:7777 or [::1]:7777"
        raise click.BadParameter(text, ctx, param) from None


def _schemas(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[Path | bytes, ...]:
    try:
        return tuple(digest_or_file(each) for each in values.schemas(list(value)))
    except ValueError:
        raise click.BadParameter(
            "is the path of a contracts file, or 64 hexadecimal digits", ctx, param
        ) from None


def _as_in_the_file(
    reader: values.Reader[Any],
) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """An option whose value is written as in a topology file."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        try:
            return None if value is None else reader(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return read


@click.command("bridge")
@click.option("--topology", metavar="FILE", help="Run the bridge of a node of this topology file.")
@click.option("--node", metavar="NAME", help="Which node's; needed where the file has several.")
@click.option("--check", is_flag=True, help="Check everything, say what would run, and run nothing.")
@click.option("--unix", "unix", metavar="PATH", help="Listen on this Unix socket.")
@click.option(
    "--tcp",
    "tcp",
    metavar="HOST:PORT",
    callback=_host_and_port,
    help="Listen on this TCP address; port 0 takes a free one.",
)
@click.option(
    "--socket-mode",
    metavar="MODE",
    callback=_as_in_the_file(values.mode),
    help="Permission bits of the Unix socket, in octal.  [default: 0600]",
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
@click.option(
    "--accept",
    "accept",
    metavar="FILE_OR_DIGEST",
    multiple=True,
    callback=_schemas,
    help="Accept clients of this older or newer contracts file as well, which has to be compatible; "
    "or of this schema digest, unchecked. May be given several times.",
)
@click.option("--forward-unknown", is_flag=True, help="Let types through that the contracts do not have.")
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=Limits.max_connections,
    show_default=True,
    metavar="NUMBER",
    help="At one time; those beyond it are refused.",
)
@click.option(
    "--handshake-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=Limits.handshake_timeout,
    show_default=True,
    metavar="SECONDS",
    help="For TLS and a client's schema digest.",
)
@click.option(
    "--slow-consumer",
    type=click.Choice(["drop", "disconnect", "block"]),
    default="drop",
    show_default=True,
    help="What happens to frames for a client that does not take what is sent to it: they are left out, "
    "counted, and it is told; or it is disconnected; or everybody who sends them waits for it.",
)
@click.option(
    "--max-output",
    metavar="SIZE",
    default=f"{MAX_OUTPUT // 1024**2} MiB",
    show_default=True,
    callback=_as_in_the_file(BRIDGE_TABLES["buffers"]["max_output"]),
    help="What may wait for one client, beyond which it is slow.",
)
@click.option(
    "--stall-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=BridgeConfig.stall_timeout,
    show_default=True,
    metavar="SECONDS",
    help='With "block": after which a client that takes nothing is disconnected.',
)
@click.option(
    "--heartbeat",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Ask clients that are silent for so long whether they are there, and disconnect those who are not.",
)
@click.option(
    "--name",
    default=BridgeConfig.name,
    show_default=True,
    callback=_as_in_the_file(BRIDGE["name"]),
    help="What clients are told the bridge is called.",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    callback=_host_and_port,
    help="Serve metrics, health and the status page here, by HTTP.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is written to standard error.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Lines of text, or a JSON object in each.",
)
@click.option("--poll", is_flag=True, help="Use poll(), although the system has epoll.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    topology: str | None,
    node: str | None,
    check: bool,
    **options: Any,
) -> None:
    """Relay messages between clients until SIGINT or SIGTERM.

    Prints "listening on ADDRESS" for each address once clients can connect. What the bridge is comes from the
    options, or with --topology from a file, which has more to say: several listeners, access rules, workers.
    SIGHUP reads the file again.
    """
    if topology is None:
        if node is not None:
            raise click.UsageError("--topology FILE is missing: the file that has the node")
        config, reload = _config_of(**options), None
        if check:
            _see_to_files(config)
    else:
        _refuse_others(ctx)
        from ..bridge.config_file import load_bridge  # not at the top: most of it is of no use to the options

        def reload() -> BridgeConfig:
            return load_bridge(topology, node)

        try:
            config = reload()
        except TopologyError as error:  # lines that begin with the file's name
            click.echo(str(error), err=True)
            ctx.exit(1)
    if check:
        click.echo(_summary(config))
        return
    configure(
        config.log.level.upper(), json=config.log.format == "json", service=config.name, node=config.node
    )
    serve(config, _announce, reload)


def _config_of(
    *,
    unix: str | None,
    tcp: tuple[str, int] | None,
    socket_mode: int | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_ca: str | None,
    contracts: str | None,
    no_handshake: bool,
    accept: tuple[Path | bytes, ...],
    forward_unknown: bool,
    max_connections: int,
    handshake_timeout: float,
    slow_consumer: Literal["drop", "disconnect", "block"],
    max_output: int,
    stall_timeout: float,
    heartbeat: float | None,
    name: str,
    metrics: tuple[str, int] | None,
    log_level: Literal["debug", "info", "warning", "error"],
    log_format: Literal["text", "json"],
    poll: bool,
) -> BridgeConfig:
    """What the options say, without a topology file."""
    if unix is None and tcp is None:
        raise click.UsageError(
            "say where to listen: --unix PATH, --tcp HOST:PORT, or both (or --topology FILE)"
        )
    if tls_cert is None and (tls_key or tls_ca):
        raise click.UsageError("--tls-cert FILE is missing: the certificate that clients see")
    if tls_cert is not None and tcp is None:
        raise click.UsageError("--tcp HOST:PORT is missing: TLS is for TCP alone")
    if socket_mode is not None and unix is None:
        raise click.UsageError("--unix PATH is missing: --socket-mode is for Unix sockets alone")
    if contracts is None and not no_handshake:
        raise click.UsageError(
            "--contracts FILE is missing: its digest is what clients must name (or --no-handshake)"
        )
    if accept and no_handshake:
        raise click.UsageError(
            "--accept is for clients that name a schema digest: it makes no sense with --no-handshake"
        )
    if metrics is not None and not metrics[0]:
        raise click.UsageError("--metrics names its host: 127.0.0.1, or 0.0.0.0 for every address")
    listeners = []
    if unix is not None:
        mode = Listener.mode if socket_mode is None else socket_mode
        listeners.append(Listener("unix", unix=Path(unix), mode=mode))
    if tcp is not None:
        tls = None
        if tls_cert is not None:
            key, authorities = (None if each is None else Path(each) for each in (tls_key, tls_ca))
            tls = TlsFiles(Path(tls_cert), key, authorities)
        listeners.append(Listener("tcp", tcp=tcp, tls=tls))
    return BridgeConfig(
        listeners=tuple(listeners),
        contracts=None if contracts is None else Path(contracts),
        handshake=not no_handshake,
        accept=accept,
        name=name,
        forward_unknown=forward_unknown,
        slow_consumer=slow_consumer,
        stall_timeout=stall_timeout,
        heartbeat=heartbeat,
        use_poll=poll,
        limits=Limits(max_connections=max_connections, handshake_timeout=handshake_timeout),
        buffers=Buffers(max_output=max_output),
        admin=None if metrics is None else AdminConfig(*metrics),
        log=LogConfig(log_level, log_format),
    )


def _refuse_others(ctx: click.Context) -> None:
    """A topology file says all that other options would."""
    for param in ctx.command.params:
        name = param.name or ""
        if name not in _WITH_TOPOLOGY and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{param.opts[0]} does not go with --topology, where the file says it: {_IN_THE_FILE[name]}"
            )


def _see_to_files(config: BridgeConfig) -> None:
    """Use the files that the options name, as a bridge would."""
    Schema.load(config.contracts, handshake=config.handshake, accept=config.accept)
    for listener in config.listeners:
        if listener.tls is not None:
            tls_context(listener.tls)


def _summary(config: BridgeConfig) -> str:
    """What would run, in a line."""
    where = []
    for listener in config.listeners:
        if listener.tcp is not None:
            host, port = listener.tcp
            scheme = "tcp" if listener.tls is None else "tls"
            where.append(f"{scheme}://{f'[{host}]' if ':' in host else host or '*'}:{port}")
        else:
            where.append(f"unix:{listener.unix}")
    parts = [
        f"listens on {', '.join(where)}",
        _count(len(config.access), "access rule") if config.access else "no access rules: all may do all",
        _count(len(config.workers), "worker"),
        f"contracts {config.contracts}" if config.contracts is not None else "no contracts",
    ]
    if config.accept:
        parts.append(f"accepts {_count(len(config.accept), 'further schema')}")
    if config.admin is not None:
        parts.append(f"status page at {config.admin.host} port {config.admin.port}")
    return f"the bridge {config.name!r} is right: {'; '.join(parts)}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _announce(line: str) -> None:
    # Whoever started the bridge may not read this, or be gone; the bridge goes on.
    with contextlib.suppress(OSError):
        print(line, flush=True)
