"""Reading single frames from a plain blocking socket, for programs written for the older SDK.

It takes two or more system calls for each frame; subscribers do better. The handshake and the meaning of a
payload are the caller's.
"""

from __future__ import annotations

import socket

from ..codec.frames import HEADER_SIZE, MAX_ACCEPTED_PAYLOAD_SIZE
from ..errors import ConnectionClosed, ProtocolError

__all__ = ["read_frame"]


def read_frame(
    sock: socket.socket, *, max_payload_size: int = MAX_ACCEPTED_PAYLOAD_SIZE
) -> tuple[int, bytes]:
    """Read exactly one frame from a blocking socket; not a byte more.

    Returns:
        type id and payload.

    Raises:
        ConnectionClosed: the peer ended the stream, between two frames or within one (the text says which).
        ProtocolError: the frame declares more than `max_payload_size` bytes; nothing is allocated for it, and
            the socket is of no further use.
    """
    header = _read_exactly(sock, HEADER_SIZE, "header")
    type_id = int.from_bytes(header[:2], "little")
    length = int.from_bytes(header[2:], "little")
    if length > max_payload_size:
        raise ProtocolError(
            f"frame of type {type_id} declares a payload of {length} bytes, over the limit of "
            f"{max_payload_size}: close the connection; the peer does not speak this protocol, "
            "or started with a handshake"
        )
    return type_id, _read_exactly(sock, length, f"payload of type {type_id}")


def _read_exactly(sock: socket.socket, size: int, what: str) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    done = 0
    while done < size:
        try:
            received = sock.recv_into(view[done:])
        except ConnectionError as error:
            raise ConnectionClosed(f"the connection failed within a frame's {what}: {error}") from error
        if received:
            done += received
        elif done or what != "header":
            raise ConnectionClosed(
                f"the peer closed within a frame: {done} of {size} bytes of the {what} arrived"
            )
        else:
            raise ConnectionClosed("the peer closed the connection, between two frames")
    return bytes(buffer)
