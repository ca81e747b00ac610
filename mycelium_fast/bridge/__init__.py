"""The bridge: a process that clients connect to, and that hands the frames of each to the others.

`relay` moves the frames, `listen` makes and removes the sockets, `serve` runs both until a signal comes.
"""

from __future__ import annotations

__all__: list[str] = []
