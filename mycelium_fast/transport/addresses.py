"""Addresses as users write them: `unix:/run/bus.sock`, `localhost:7777`, `tls://host:port`, `stdio:`.

Only their text is looked at here: whether anything listens there shows when somebody connects.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Address", "parse_address"]

_ALLOWED: Final = (
    "An address is unix:/run/bus.sock, HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or stdio:; an IPv6 host "
    "stands in brackets, as in [::1]:7777"
)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HOST_AND_PORT: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?")
_NOT_IN_HOST: Final = re.compile(r"[\s/@?#\x00]")


@dataclass(frozen=True)
class Address:
    """Where a peer listens.

    Attributes:
        kind: `"unix"`, `"tcp"`, `"tls"` (TLS over TCP) or `"stdio"` (the socket that this program was started
            with as standard input).
        path: of a Unix socket, else empty.
        host: a name, an IPv4 or an IPv6 address (without brackets), else empty.
        port: 1 to 65535, or 0 where there is no host.
    """

    kind: Literal["unix", "tcp", "tls", "stdio"]
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.kind in ("unix", "stdio"):
            return f"{self.kind}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"


def parse_address(text: str | os.PathLike[str] | Address) -> Address:
    """Read an address; a path object is that of a Unix socket.

    Raises:
        TypeError: neither text nor a path.
        ValueError: not an address; says what is allowed.
    """
    if isinstance(text, Address):
        return text
    if isinstance(text, os.PathLike):
        path = os.fspath(text)
        return _unix(path, path)
    if not isinstance(text, str):
        raise TypeError(f"an address is text, not {text!r}. {_ALLOWED}")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if path.startswith("//"):  # as in a URL: two slashes, no host, an absolute path
            path = path[2:]
            if not path.startswith("/"):
                raise _wrong(text, "a Unix socket's address names no host: write unix:/path")
        return _unix(path, text)
    if text.startswith("stdio:"):
        if text != "stdio:":
            raise _wrong(text, "nothing follows stdio:")
        return Address("stdio")
    scheme = _SCHEME.fullmatch(text)
    if scheme is None:
        return _host_and_port("tcp", text, text)
    kind = scheme[1].lower()
    if kind == "tcp":
        return _host_and_port("tcp", scheme[2], text)
    if kind == "tls":
        return _host_and_port("tls", scheme[2], text)
    raise _wrong(text, f"there is no transport {scheme[1]!r}")


def _unix(path: str, text: str) -> Address:
    if not isinstance(path, str):
        raise TypeError(f"an address is text, not {path!r}. {_ALLOWED}")
    if not path:
        raise _wrong(text, "the path is missing")
    if "\0" in path:
        raise _wrong(text, "a path has no NUL in it")
    return Address("unix", path=path)


def _host_and_port(kind: Literal["tcp", "tls"], rest: str, text: str) -> Address:
    parts = _HOST_AND_PORT.fullmatch(rest)
    if parts is None:
        if rest.count(":") > 1 and "[" not in rest:
            raise _wrong(text, "an IPv6 address stands in brackets")
        raise _wrong(text, "it is not HOST:PORT")
    host = parts["host"] if parts["v6"] is None else parts["v6"]
    if parts["v6"] is not None and ":" not in host:
        raise _wrong(text, "an IPv6 address is missing between the brackets")
    if _NOT_IN_HOST.search(host):
        hint = " (a path is written unix:/path)" if "/" in host else ""
        raise _wrong(text, f"{host!r} is not a host{hint}")
    if not host:
        raise _wrong(text, "the host is missing")
    if parts["port"] is None:
        hint = f" (a Unix socket's address is unix:{text})" if host.endswith(".sock") else ""
        raise _wrong(text, f"the port is missing{hint}")
    return Address(kind, host=host, port=_port(parts["port"], text))


def _port(digits: str, text: str) -> int:
    # int() would take signs, white space, underscores and other scripts' digits as well.
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 1 <= int(digits) <= 65_535:
        raise _wrong(text, f"a port is a number from 1 to 65535, not {digits!r}")
    return int(digits)


def _wrong(text: str, why: str) -> ValueError:
    return ValueError(f"{text!r} is not an address: {why}. {_ALLOWED}")
