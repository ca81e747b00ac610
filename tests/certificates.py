"""Certificates for the tests of TLS: an authority, a server and a client, and a stranger to all of them."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """Files of a new authority in a directory, and the contexts that use them.

    Attributes:
        authority: file with the authority's certificate.
        server: file with the certificate of `localhost` (127.0.0.1, ::1), and its key.
        client: file with a client's, whose common name is `risk.example.org`, and its key.
        other_authority, other_client: of an authority that nobody here trusts.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        ca, other = trustme.CA(), trustme.CA()
        self.authority = directory / "authority.pem"
        self.server = directory / "server.pem"
        self.client = directory / "client.pem"
        self.other_authority = directory / "other-authority.pem"
        self.other_client = directory / "other-client.pem"
        ca.cert_pem.write_to_path(self.authority)
        other.cert_pem.write_to_path(self.other_authority)
        server = ca.issue_cert("localhost", "127.0.0.1", "::1")
        server.private_key_and_cert_chain_pem.write_to_path(self.server)
        client = ca.issue_cert("client@example.org", common_name="risk.example.org")
        client.private_key_and_cert_chain_pem.write_to_path(self.client)
        stranger = other.issue_cert("client@example.org")
        stranger.private_key_and_cert_chain_pem.write_to_path(self.other_client)

    def options(self, *, mutual: bool = False) -> list[str]:
        """Options of a bridge that uses TLS; with `mutual`, its clients need a certificate."""
        return ["--tls-cert", str(self.server), *(["--tls-ca", str(self.authority)] if mutual else [])]

    def server_context(self, *, mutual: bool = False) -> ssl.SSLContext:
        """For a server within the test."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authority)
        return context

    def client_context(self, *, certificate: bool = False) -> ssl.SSLContext:
        """A client that trusts the server; with `certificate`, the server can trust it, too."""
        context = ssl.create_default_context(cafile=str(self.authority))
        if certificate:
            context.load_cert_chain(self.client)
        return context

    def distrusting_context(self) -> ssl.SSLContext:
        """A client that does not trust the server."""
        return ssl.create_default_context(cafile=str(self.other_authority))

    def untrusted_context(self) -> ssl.SSLContext:
        """A client that trusts the server, with a certificate that the server does not trust."""
        context = self.client_context()
        context.load_cert_chain(self.other_client)
        return context
