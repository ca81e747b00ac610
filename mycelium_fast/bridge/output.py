"""What a worker prints, line by line into the log, whatever it is.

Bytes of any encoding and lines of any length come in; text that is safe to print comes out, as fast as the
log takes it and no faster: the pipe fills, and the worker waits. Whose output it is, `process.py` knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from typing import Final

__all__ = ["MAX_LINE", "Lines", "Output", "readable", "writable"]

#: Bytes of a line, beyond which it is cut.
MAX_LINE: Final = 8192
#: Bytes read at once.
_READ_SIZE: Final = 16 * 1024
#: Lines logged before others have their turn on the event loop.
_LINES_AT_ONCE: Final = 64
#: Seconds without a byte after which the output of a dead worker counts as read, though somebody has it open.
_QUIET_S: Final = 0.25
#: Seconds for it in all.
_LAST_WORDS_S: Final = 5.0
#: What would move the cursor, colour or reorder a log: C0 and C1 except the tabulator, and Unicode's own.
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)

_log: Final = logging.getLogger("mycelium_fast.bridge.worker")


class Lines:
    """Bytes in, lines out; holds at most `MAX_LINE` bytes besides what it was just given."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[str, bool]]:
        """The lines that are complete with these bytes, and whether each goes on in the next."""
        *complete, rest = (self._rest + data).split(b"\n")
        found: list[tuple[str, bool]] = []
        for line in complete:
            for piece in (pieces := _pieces(line.removesuffix(b"\r")))[:-1]:
                found.append((_text(piece), True))
            found.append((_text(pieces[-1]), False))
        # (Of one byte more than fits, the last may be a carriage return.)
        if len(rest) > MAX_LINE + 1:
            *whole, rest = _pieces(rest)
            found.extend((_text(piece), True) for piece in whole)
        self._rest = rest
        return found

    def end(self) -> list[tuple[str, bool]]:
        """What came after the last newline."""
        return self.feed(b"\n") if self._rest else []


def _pieces(line: bytes) -> list[bytes]:
    """The line in pieces of at most MAX_LINE bytes, cut between characters if it is UTF-8; at least one."""
    pieces = []
    while len(line) > MAX_LINE:
        end = MAX_LINE
        while end > MAX_LINE - 4 and line[end] & 0xC0 == 0x80:  # within a character of several bytes
            end -= 1
        if line[end] & 0xC0 == 0x80:  # it is no UTF-8
            end = MAX_LINE
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def _text(line: bytes) -> str:
    return _CONTROL.sub(_escaped, line.decode("utf-8", "backslashreplace"))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class Output:
    """One stream of one worker's process; `fileno` is the reading end of a pipe, and closed at the end."""

    def __init__(self, worker: str, stream: str, fileno: int) -> None:
        self._worker = worker
        self._stream = stream
        self._fileno = fileno
        self._seen = 0
        os.set_blocking(fileno, False)
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._copy())

    async def finish(self) -> None:
        """Read what a dead worker wrote last, and close; a pipe that others keep open is not waited for."""
        deadline = self._loop.time() + _LAST_WORDS_S
        while not self._task.done() and self._loop.time() < deadline:
            seen = self._seen
            await asyncio.wait({self._task}, timeout=_QUIET_S)
            if seen == self._seen:
                break
        self.close()
        await asyncio.wait({self._task})

    def close(self) -> None:
        """Read no more."""
        self._task.cancel()

    async def _copy(self) -> None:
        lines = Lines()
        try:
            while True:
                try:
                    data = os.read(self._fileno, _READ_SIZE)
                except BlockingIOError:
                    await readable(self._fileno)
                    continue
                if not data:
                    break
                self._seen += len(data)
                await self._write(lines.feed(data))
        except OSError as error:
            _log.warning(
                "%s: cannot read its %s any more: %s",
                self._worker,
                self._stream,
                error.strerror or error,
                extra={"event": "worker.output", "worker": self._worker, "stream": self._stream},
            )
        finally:
            os.close(self._fileno)
            for text, goes_on in lines.end():
                self._tell(text, goes_on)

    async def _write(self, lines: list[tuple[str, bool]]) -> None:
        for first in range(0, max(1, len(lines)), _LINES_AT_ONCE):
            for text, goes_on in lines[first : first + _LINES_AT_ONCE]:
                self._tell(text, goes_on)
            await asyncio.sleep(0)

    def _tell(self, text: str, goes_on: bool) -> None:
        extra: dict[str, object] = {"event": "worker.output", "worker": self._worker, "stream": self._stream}
        if goes_on:
            extra["cut"] = True
        with contextlib.suppress(
            Exception
        ):  # a handler of the program's that fails costs no worker its output
            _log.info(
                "%s: %s%s", self._worker, text, " [cut here, and goes on]" if goes_on else "", extra=extra
            )


async def readable(fileno: int) -> None:
    """Wait until a descriptor can be read from, or has ended."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fileno, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fileno)


async def writable(fileno: int) -> None:
    """Wait until a descriptor can be written to, or has ended."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(fileno, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fileno)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
