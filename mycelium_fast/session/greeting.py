"""A server's reading of the first bytes of a connection: the digest, and whether it is one that we take.

    | digest_len: u16 = 32 | digest: 32 bytes | ...          little-endian

After a digest that is refused it looks for the `Hello` that may follow: whoever sent one can be told why.
What is read after a digest that is accepted is `connection.py`'s.
"""

from __future__ import annotations

from typing import Final

from ..codec.frames import HEADER_SIZE
from ..errors import HandshakeError
from . import core
from .refusals import mismatch, others

__all__ = ["DIGEST_SIZE", "GREETING_SIZE", "Greeting", "greeting"]

DIGEST_SIZE: Final = 32
_LENGTH_SIZE: Final = 2
#: Bytes of a greeting: the digest's length and the digest.
GREETING_SIZE: Final = _LENGTH_SIZE + DIGEST_SIZE

_HELLO_HEADER: Final = core.Hello.TYPE_ID.to_bytes(2, "little") + core.Hello.SIZE.to_bytes(4, "little")
_HELLO_FRAME_SIZE: Final = HEADER_SIZE + core.Hello.SIZE


def greeting(digest: bytes) -> bytes:
    """What a client sends first."""
    return DIGEST_SIZE.to_bytes(_LENGTH_SIZE, "little") + digest


class Greeting:
    """The first bytes from a client, as far as they came.

    Args:
        digest: ours.
        accept: others that are taken as well.

    Attributes:
        digest: that the client named, once it is accepted; None until then.
        refusing: a digest was refused, and a `Hello` may follow.
        hello_came: it did.
    """

    def __init__(self, digest: bytes | None, accept: frozenset[bytes] = frozenset()) -> None:
        self.digest: bytes | None = None
        self.refusing = False
        self.hello_came = False
        self._digest = b"" if digest is None else digest
        self._accept = accept - {self._digest}
        self._data = bytearray()
        self._after = bytearray()  # the start of what follows a digest that is refused

    @property
    def size(self) -> int:
        """Bytes of the greeting that came."""
        return len(self._data)

    def read(self, data: bytes) -> bytes:
        """Take bytes; give those that follow the greeting.

        Raises:
            HandshakeError: another length.
            SchemaMismatchError: a digest that is not accepted; `refusing` from now on.
        """
        missing = GREETING_SIZE - len(self._data)
        self._data += data[:missing]
        if len(self._data) < _LENGTH_SIZE:
            return b""
        length = int.from_bytes(self._data[:_LENGTH_SIZE], "little")
        if length != DIGEST_SIZE:
            raise HandshakeError(
                f"the peer announced a schema digest of {length} bytes, where {DIGEST_SIZE} are expected "
                f"(ours is {self._digest.hex()}): it speaks another protocol, or none with a handshake "
                "(handshake=False). Check that both ends use the handshake, or that neither does."
            )
        if len(self._data) < GREETING_SIZE:
            return b""
        theirs = bytes(self._data[_LENGTH_SIZE:])
        if theirs != self._digest and theirs not in self._accept:
            self.refusing = True
            self.look_for_hello(data[missing:])
            raise mismatch(theirs, self._digest, others(len(self._accept)))
        self.digest = theirs
        return data[missing:]

    @property
    def refusal(self) -> str:
        """Why a digest is refused, for whoever sent it."""
        accepted = others(len(self._accept))
        return "the bridge uses another contracts file" + (f" and {accepted}" if accepted else "")

    def look_for_hello(self, data: bytes) -> None:
        """Take bytes that follow a refused digest; ends `refusing` at a whole `Hello`, or anything else."""
        self._after += data[: _HELLO_FRAME_SIZE - len(self._after)]
        header = bytes(self._after[:HEADER_SIZE])
        self.hello_came = header == _HELLO_HEADER and len(self._after) == _HELLO_FRAME_SIZE
        self.refusing = not self.hello_came and _HELLO_HEADER.startswith(header)
