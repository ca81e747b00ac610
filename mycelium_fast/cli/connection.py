"""What commands that talk to a bridge share: its address, TLS, and the messages of the contracts file.

Options and their mistakes are dealt with here, connections in `bus/`.
"""

from __future__ import annotations

import functools
import os
import ssl
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fast.errors import BuildError, ContractWarning

if TYPE_CHECKING:
    from mycelium_fast.bus.transports import TcpTransport, UnixTransport

__all__ = [
    "Messages",
    "Peer",
    "Progress",
    "listed",
    "load_messages",
    "looks_like_address",
    "note",
    "peer_options",
]

#: Bytes of UTF-8 that the name of a service has at most.
_MAX_SERVICE: Final = 64


@dataclass(frozen=True)
class Messages:
    """The messages of a contracts file.

    Attributes:
        digest: of the file, 32 bytes.
        by_id: message classes by type id, in the file's order.
        by_name: the same by the contract's name.
        topics: the classes of each topic.
    """

    file: str
    digest: bytes
    by_id: Mapping[int, Any]
    by_name: Mapping[str, Any]
    topics: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Peer:
    """The options that say how to connect.

    Attributes:
        service: what the bridge is told that we are called.
        timeout: seconds for connecting, and for the bridge to take what is sent.
    """

    service: str
    timeout: float
    handshake: bool
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None
    tls_name: str | None

    def transport(self, address: str, digest: bytes) -> UnixTransport | TcpTransport:
        """A transport to an address as users write it; a path needs no `unix:`. Not connected yet."""
        from mycelium_fast.bus.settings import Options
        from mycelium_fast.bus.transports import TcpTransport, UnixTransport
        from mycelium_fast.transport.addresses import Address, parse_address

        is_path = "://" not in address and ("/" in address or ":" not in address or os.path.exists(address))
        try:
            if is_path and not address.startswith("unix:"):
                where = Address("unix", path=address)
            else:
                where = parse_address(address)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        options: Options = {
            "service": self.service,
            "handshake": self.handshake,
            "connect_timeout": self.timeout,
            "publish_timeout": self.timeout,
            "close_timeout": self.timeout,
        }
        if where.kind != "tls":
            if self.tls_ca or self.tls_cert or self.tls_key or self.tls_name:
                raise click.UsageError(
                    f"{where} is reached without TLS: write tls://HOST:PORT, or no --tls-..."
                )
            if where.kind == "unix":
                return UnixTransport(where.path, digest, **options)
        return TcpTransport(
            where.host,
            where.port,
            digest,
            tls=self._context() if where.kind == "tls" else None,
            server_hostname=self.tls_name,
            **options,
        )

    def _context(self) -> ssl.SSLContext:
        if self.tls_key and not self.tls_cert:
            raise click.UsageError("--tls-cert FILE is missing: the certificate that --tls-key is of")
        option, file = "--tls-ca", self.tls_ca
        try:
            context = ssl.create_default_context(cafile=file)
            option, file = "--tls-cert", self.tls_cert
            if file:
                context.load_cert_chain(file, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror if not isinstance(error, ssl.SSLError) else error.reason
            named = f"{file}, or its key {self.tls_key}," if file and self.tls_key == file else file
            raise click.UsageError(f"{option}: {named} cannot be used: {reason or error}") from None
        return context


def peer_options(command: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a command that connects; it gets them as `peer`, a `Peer`, and `contracts` and
    `uncompiled`.
    """
    options = [
        click.option(
            "--contracts", metavar="FILE", required=True, help="The contracts file, the same as the bridge's."
        ),
        click.option(
            "--uncompiled",
            is_flag=True,
            help="Use plain Python for the messages: many times slower, and needs no compiler.",
        ),
        click.option("--tls-ca", metavar="FILE", help="Trust these authorities, in PEM, not the system's."),
        click.option("--tls-cert", metavar="FILE", help="Our certificate, where the bridge wants one."),
        click.option("--tls-key", metavar="FILE", help="Its private key, if that is in a file of its own."),
        click.option("--tls-name", metavar="NAME", help="The name in the bridge's certificate, if not HOST."),
        click.option("--no-handshake", is_flag=True, help="For endpoints that expect no schema digest."),
        click.option(
            "--service",
            metavar="NAME",
            default=f"mycelium-{command}",
            show_default=True,
            help="What the bridge is told that we are called: its access rules may ask for it.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=5.0,
            show_default=True,
            metavar="SECONDS",
            help="For connecting, and for the bridge to take what is sent.",
        ),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(
            service: str,
            timeout: float,
            no_handshake: bool,
            tls_ca: str | None,
            tls_cert: str | None,
            tls_key: str | None,
            tls_name: str | None,
            **others: Any,
        ) -> Any:
            if len(service.encode()) > _MAX_SERVICE:
                raise click.UsageError(
                    f"--service: a name has at most {_MAX_SERVICE} bytes, not as {service!r}"
                )
            peer = Peer(service, timeout, not no_handshake, tls_ca, tls_cert, tls_key, tls_name)
            return function(peer=peer, **others)

        decorated: Callable[..., Any] = called
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def load_messages(file: str, *, uncompiled: bool) -> Messages:
    """The messages of a contracts file, compiled unless told otherwise.

    Raises:
        ContractError: the file cannot be used.
        BuildError: it cannot be compiled here; says what there is for such machines.
    """
    from mycelium_fast.codegen.load import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContractWarning)  # `mycelium codegen` and `build` show them
        try:
            module = load(file, compiled=not uncompiled, progress=None if uncompiled else _show_step)
        except BuildError as error:
            raise BuildError(f"{error}\nThis command can do without a compiler: --uncompiled") from None
    return Messages(
        file,
        module.SCHEMA_DIGEST,
        module.MESSAGES,
        {each.__definition__.name: each for each in module.MESSAGES.values()},
        module.TOPICS,
    )


def looks_like_address(text: str) -> bool:
    """Whether it is an address rather than a type's name, an id or `topic:NAME`."""
    if text.startswith("topic:"):
        return False
    return "/" in text or ":" in text or text.endswith(".sock") or os.path.exists(text)


def note(text: str) -> None:
    """Tell something on stderr."""
    click.echo(text, err=True)


def listed(names: Iterable[str]) -> str:
    """Names for an error, not too many of them."""
    every = list(names)
    return ", ".join(every[:40]) + (f" and {len(every) - 40} more" if len(every) > 40 else "")


class Progress:
    """How far a command has come, on stderr: in place on a terminal, else a line every ten seconds."""

    def __init__(self) -> None:
        self._styled = sys.stderr.isatty()
        self._interval_s = 0.5 if self._styled else 10.0
        self._due = time.monotonic() + self._interval_s
        self._drawn = False

    def tell(self, text_of: Callable[[], str]) -> None:
        """Show the text if it is time to; it is not made otherwise."""
        if (now := time.monotonic()) < self._due:
            return
        self._due = now + self._interval_s
        text = text_of()
        if self._styled:
            self._drawn = True
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)
        else:
            note(text)

    def clear(self) -> None:
        """Leave the line for others."""
        if self._drawn:
            self._drawn = False
            click.echo("\r\x1b[K", err=True, nl=False)


def _show_step(step: str, done: int, total: int) -> None:
    if done < total:
        click.echo(f"compiling the contracts, once: [{done + 1}/{total}] {step}", err=True)
        sys.stderr.flush()
