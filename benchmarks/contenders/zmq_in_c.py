"""Publisher and subscribers of the ZeroMQ proxy: libzmq's functions, called by `fan_out.c` for each message.

The rounds and what is sent are `fan_out.py`'s.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from contenders.brokers import HIGH_WATER
from contenders.fan_out import load, messages
from contenders.limits import checked
from harness.peers import have
from harness.processes import Ready


def available() -> bool:
    """Whether pyzmq is installed, and has a libzmq whose functions C programs can call."""
    if not have("pyzmq"):
        return False
    try:
        _function("zmq_send")
    except (ImportError, AttributeError, OSError):
        return False
    return True


def publish(
    _ready: Ready, cycles: int, library: Path, addresses: tuple[str, str], kind: str, names: int, round_: int
) -> int:
    """Send frames one by one, which libzmq batches, once so many subscribers are known to be there."""
    import zmq

    frames = [message.to_frame() for message in messages(kind)]
    pattern = b"".join(frames)
    # As XPUB, to hear of subscriptions, and to wait where PUB would leave messages out.
    with zmq.Context() as context, context.socket(zmq.XPUB) as xpub:
        xpub.set_hwm(HIGH_WATER)
        xpub.setsockopt(zmq.XPUB_NODROP, 1)
        xpub.connect(addresses[0])
        waiting = {b"\x01" + _name(round_, number) for number in range(names)}
        while waiting:
            waiting.discard(xpub.recv())
        write, send = load(library).fan_write_zmq, _function("zmq_send")
        return checked(write(send, xpub.underlying, pattern, len(pattern), len(frames[0]), cycles))


def subscribe(
    ready: Ready,
    cycles: int,
    check: bool,
    library: Path,
    addresses: tuple[str, str],
    kind: str,
    number: int,
    round_: int,
) -> int:
    import zmq

    frames = [message.to_frame() for message in messages(kind)]
    pattern = b"".join(frames)
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.set_hwm(HIGH_WATER)
        sub.connect(addresses[1])
        sub.subscribe(frames[0][:2])
        # The proxy passes on the first subscription of a kind alone: the publisher counts these. In order.
        sub.subscribe(_name(round_, number))
        ready()
        read, receive = load(library).fan_read_zmq, _function("zmq_recv")
        return checked(read(receive, sub.underlying, pattern, len(pattern), len(frames[0]), cycles, check))


def _name(round_: int, number: int) -> bytes:
    """What only this subscriber of this round subscribes to: the proxy may not know yet that others left."""
    return b"subscriber %d.%d" % (round_, number)


def _function(name: str) -> Any:
    """A function of the libzmq that pyzmq has brought or found."""
    from zmq.backend.cython import _zmq

    return ctypes.cast(getattr(ctypes.CDLL(_zmq.__file__), name), ctypes.c_void_p)
