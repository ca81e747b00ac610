"""The bridge: a process that clients connect to, and that hands the frames of each to the others.

`relay` moves the frames as `policy` says, `listen` makes and removes the sockets, `serve` runs it all until a
signal comes.
"""

from __future__ import annotations

__all__: list[str] = []
