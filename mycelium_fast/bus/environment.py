"""What a bridge tells its workers in their environment: the names, for both ends of it."""

from __future__ import annotations

from typing import Final

__all__ = ["ACCEPTED_VARIABLE", "DIGEST_VARIABLE", "SOCKET_VARIABLE"]

#: Where to connect.
SOCKET_VARIABLE: Final = "MYCELIUM_SOCKET"
#: The digest of the bridge's contracts, in hexadecimal; not there without contracts.
DIGEST_VARIABLE: Final = "MYCELIUM_SCHEMA_DIGEST"
#: Digests of other schemas that it accepts, with commas between them; only there if it does.
ACCEPTED_VARIABLE: Final = "MYCELIUM_ACCEPTED_DIGESTS"
