"""Who a peer is, as far as the system or its certificate says so.

What somebody may do is `access.py`'s affair. The name that a client gives itself in its `Hello` proves
nothing; it is kept apart, and added by those who decide.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Identity", "certificate_of", "common_name", "identity_of"]

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True)
class Identity:
    """A peer.

    Attributes:
        uid, gid, pid: of its process when it connected, at a Unix socket; Linux only.
        common_name: of the certificate that it showed, "" for none.
        host: that it connects from, at a TCP socket.
        worker: of the bridge that it belongs to, or "".
    """

    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    common_name: str = ""
    host: str = ""
    worker: str = ""

    def facts(self, service: str = "") -> tuple[str, ...]:
        """What access rules look at, such as "uid:1000"; without the number of the process, which says
        nothing."""
        named = (
            ("worker", self.worker),
            ("cn", self.common_name),
            ("uid", self.uid),
            ("gid", self.gid),
            ("host", self.host),
            ("service", service),
        )
        return tuple(f"{name}:{value}" for name, value in named if value not in (None, ""))

    def __str__(self) -> str:
        pid = () if self.pid is None else (f"pid:{self.pid}",)
        return " ".join((*self.facts(), *pid))


def identity_of(sock: socket.socket, certificate: Mapping[str, Any] | None = None) -> Identity:
    """Who is at the other end of a connected socket.

    Args:
        certificate: that it showed, as `ssl.SSLSocket.getpeercert` gives it.
    """
    if sock.family == socket.AF_UNIX:
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return Identity()
        try:
            data = sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
        except OSError:  # gone already
            return Identity()
        pid, uid, gid = _CREDENTIALS.unpack(data)
        return Identity(uid, gid, pid)
    try:
        host = str(sock.getpeername()[0])
    except OSError:
        host = ""
    return Identity(host=host, common_name=common_name(certificate))


def common_name(certificate: Mapping[str, Any] | None) -> str:
    """The common name of a certificate's subject; "" where there is none.

    Of several, the last counts, which is the most specific.
    """
    names = [
        value
        for relative in (certificate or {}).get("subject", ())
        for name, value in relative
        if name == "commonName"
    ]
    return str(names[-1]) if names else ""


def certificate_of(transport: Any) -> Mapping[str, Any] | None:
    """The certificate that the peer of a TLS transport of asyncio showed, if it was asked for one."""
    tls = transport.get_extra_info("ssl_object")
    return tls.getpeercert() if isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)) else None
