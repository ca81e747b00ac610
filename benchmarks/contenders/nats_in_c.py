"""Clients of nats-server by its text protocol, in C where it counts: publisher, subscribers, a request.

A message has a subject of one letter, as short as they are. The rounds and what is sent are `fan_out.py`'s.
"""

from __future__ import annotations

import ctypes
import socket
from pathlib import Path

from contenders.fan_out import BLOCK, connect, load, messages, read, write
from contenders.limits import checked
from contenders.round_trip import END, FRAME, TRIPS
from harness.processes import Ready

SUBJECT = b"t"
ASKED, ANSWERED = b"a", b"b"


def published(kind: str) -> list[bytes]:
    """Messages as a client sends them, a block of them."""
    count = BLOCK // len(_pub(SUBJECT, messages(kind)[0].to_bytes()))
    return [_pub(SUBJECT, message.to_bytes()) for message in messages(kind)[:count]]


def delivered(kind: str) -> list[bytes]:
    """... and as the server sends them on."""
    return [_msg(SUBJECT, message.to_bytes()) for message in messages(kind)[: len(published(kind))]]


def publish(_ready: Ready, cycles: int, library: Path, address: str, kind: str, piece: int = BLOCK) -> int:
    with join(address) as sock:
        start = write(sock, cycles, library, b"".join(published(kind)), piece)
        _ping(sock)
        return start


def subscribe(ready: Ready, cycles: int, check: bool, library: Path, address: str, kind: str) -> int:
    lines = delivered(kind)
    with join(address, SUBJECT) as sock:
        ready()
        return read(sock, cycles, check, library, b"".join(lines), len(lines[0]))


def ask(_ready: Ready, address: str, samples: int, library: Path) -> list[float]:
    """A TradeTick's payload published and its answer awaited: nanoseconds a trip, of each sample the mean."""
    times = (ctypes.c_int64 * (samples + 1))()
    asked, reply = _pub(ASKED, FRAME[6:]), _msg(ANSWERED, FRAME[6:])
    with join(address, ANSWERED) as sock:
        run = load(library).fan_ask_nats
        checked(run(sock.fileno(), asked, len(asked), reply, len(reply), TRIPS, samples + 1, times))
        _ping(sock, _pub(ASKED, END.to_bytes()))
    return [time / TRIPS for time in times[1:]]


def answer(ready: Ready, address: str, library: Path) -> None:
    last, reply = _msg(ASKED, END.to_bytes()), _pub(ANSWERED, FRAME[6:])
    with join(address, ASKED) as sock:
        ready()
        checked(load(library).fan_answer_nats(sock.fileno(), last, len(last), reply, len(reply)))


def join(address: str, subject: bytes = b"", *, receive_buffer: int | None = None) -> socket.socket:
    """A connection that nats-server has confirmed, subscription and all."""
    sock = connect(address, receive_buffer)
    subscription = b"SUB %s 1\r\n" % subject if subject else b""
    _ping(sock, b'CONNECT {"verbose":false,"pedantic":false}\r\n' + subscription)
    return sock


def _ping(sock: socket.socket, lines: bytes = b"") -> None:
    """Send these lines, and wait until nats-server has them and all before.

    Closed with a PING of its own unread, which it sends after two seconds, the connection would be reset, and
    what is on its way lost.
    """
    sock.sendall(lines + b"PING\r\n")
    said = b""
    while not said.endswith(b"PONG\r\n"):
        more = sock.recv(1)  # no byte of what comes after
        if not more:
            raise RuntimeError(f"nats-server closed the connection: {said!r}")
        said += more


def _pub(subject: bytes, payload: bytes) -> bytes:
    return b"PUB %s %d\r\n%s\r\n" % (subject, len(payload), payload)


def _msg(subject: bytes, payload: bytes) -> bytes:
    return b"MSG %s 1 %d\r\n%s\r\n" % (subject, len(payload), payload)
