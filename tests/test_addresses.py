"""Addresses as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mycelium_fast.transport.addresses import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/bus.sock", Address("unix", path="/run/bus.sock")),
        ("unix:bus.sock", Address("unix", path="bus.sock")),
        ("unix:///run/bus.sock", Address("unix", path="/run/bus.sock")),
        ("unix:/run/with space:and colon", Address("unix", path="/run/with space:and colon")),
        ("localhost:7777", Address("tcp", host="localhost", port=7777)),
        ("10.0.1.10:1", Address("tcp", host="10.0.1.10", port=1)),
        ("tcp://example.org:65535", Address("tcp", host="example.org", port=65535)),
        ("TLS://example.org:443", Address("tls", host="example.org", port=443)),
        ("[::1]:7777", Address("tcp", host="::1", port=7777)),
        ("tls://[fe80::1%eth0]:7777", Address("tls", host="fe80::1%eth0", port=7777)),
        (Path("/run/bus.sock"), Address("unix", path="/run/bus.sock")),
        ("stdio:", Address("stdio")),
    ],
)
def test_addresses_are_read(text: Any, address: Address) -> None:
    assert parse_address(text) == address


def test_an_address_shows_as_it_would_be_written() -> None:
    for text in ("unix:/run/bus.sock", "tcp://localhost:7777", "tls://[::1]:7777", "stdio:"):
        assert str(parse_address(text)) == text
        assert parse_address(parse_address(text)) == parse_address(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "host is missing"),
        ("localhost", "port is missing"),
        ("localhost:", "port"),
        ("localhost:0", "1 to 65535"),
        ("localhost:65536", "1 to 65535"),
        ("localhost:-1", "1 to 65535"),
        ("localhost:+1", "1 to 65535"),
        ("localhost: 80", "1 to 65535"),
        ("localhost:8_0", "1 to 65535"),
        ("localhost:\u0667", "1 to 65535"),
        (":7777", "host is missing"),
        ("::1:7777", "brackets"),
        ("[]:7777", "IPv6"),
        ("[localhost]:7777", "IPv6"),
        ("[::1]", "port is missing"),
        ("[::1]7777", "HOST:PORT"),
        ("http://localhost:80", "no transport 'http'"),
        ("tcp://user@localhost:80", "not a host"),
        ("tcp://localhost:80/path", "1 to 65535"),
        ("/run/bus.sock", "unix:/path"),
        ("local host:80", "not a host"),
        ("unix:", "path is missing"),
        ("unix://host/path", "no host"),
        ("unix:/a\0b", "NUL"),
        ("stdio:0", "nothing follows stdio:"),
        ("stdio://", "nothing follows stdio:"),
    ],
)
def test_what_is_no_address_is_refused_with_what_is_allowed(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="is not an address") as caught:
        parse_address(text)
    assert why in str(caught.value)
    assert "unix:/run/bus.sock, HOST:PORT" in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("value", [None, 7777, b"unix:/x", ("localhost", 7777)])
def test_another_type_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="an address is text"):
        parse_address(value)
