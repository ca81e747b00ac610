"""What a tap does with the messages that it is for: lines, JSON, rates, a recording, the bus again.

Which messages these are, and where they come from, is decided in `tap.py`.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final

import click

from mycelium_fast.cli.connection import Messages
from mycelium_fast.cli.publishing import Outlet
from mycelium_fast.cli.values import shown, to_json
from mycelium_fast.codec.frames import HEADER_SIZE, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fast.bus.recording import Recorder
    from mycelium_fast.bus.transports import TcpTransport, UnixTransport

__all__ = ["JsonLines", "Lines", "Output", "Publishing", "Rates", "Recorded", "name_of"]

_SECOND_NS: Final = 1_000_000_000
#: Bytes of a frame shown where no message class says what they are.
_HEAD: Final = 32


class Output:
    """Where messages go; every method may be called at any time."""

    def write(self, time_ns: int, type_id: int, payload: bytes, message: Any | None) -> None:
        """Take a frame; `message` is None where the contracts do not have its type."""
        raise NotImplementedError

    def tick(self) -> None:
        """A batch is over, or nothing came for a while."""

    def close(self) -> None:
        """There will be no more."""


class Lines(Output):
    """A line of text for every message."""

    def __init__(self, stream: IO[str], *, dates: bool) -> None:
        self._stream = stream
        self._format = "%Y-%m-%d %H:%M:%S" if dates else "%H:%M:%S"
        self._second = -1
        self._clock = ""
        self._lines: list[str] = []
        self._names: dict[Any, tuple[str, tuple[str, ...]]] = {}
        self._styled = stream.isatty()

    def write(self, time_ns: int, type_id: int, payload: bytes, message: Any | None) -> None:
        second, rest = divmod(time_ns, _SECOND_NS)
        if second != self._second:
            self._second, self._clock = second, datetime.fromtimestamp(second).strftime(self._format)
        if message is None:
            more = "..." if len(payload) > _HEAD else ""
            name, fields = f"type {type_id}", f"length={len(payload)} 0x{payload[:_HEAD].hex()}{more}"
        else:
            name, fields = self._of(message)
        if self._styled:
            name = click.style(name, bold=True)
        self._lines.append(f"{self._clock}.{rest // 1000:06}  {name}  {fields}\n")

    def _of(self, message: Any) -> tuple[str, str]:
        cls = type(message)
        if cls not in self._names:
            definition = cls.__definition__
            self._names[cls] = definition.name, tuple(each.name for each in definition.fields)
        name, fields = self._names[cls]
        if cls.__definition__.confidential:
            return name, "<confidential>"
        pairs = zip(fields, message.to_tuple(), strict=True)
        return name, " ".join(f"{field}={shown(value)}" for field, value in pairs)

    def tick(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._stream.write("".join(lines))
            self._stream.flush()

    def close(self) -> None:
        self.tick()


class JsonLines(Output):
    """A JSON object a line for every message."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []

    def write(self, time_ns: int, type_id: int, payload: bytes, message: Any | None) -> None:
        entry: dict[str, Any] = {"time": rfc3339(time_ns), "type": None, "type_id": type_id, "topic": None}
        if message is None:
            entry["length"] = len(payload)
            entry["head"] = f"0x{payload[:_HEAD].hex()}"
        else:
            definition = type(message).__definition__
            entry["type"], entry["topic"] = definition.name, definition.topic
            entry["fields"] = None
            if not definition.confidential:
                pairs = zip(definition.fields, message.to_tuple(), strict=True)
                entry["fields"] = {field.name: to_json(value) for field, value in pairs}
        self._lines.append(json.dumps(entry) + "\n")

    def tick(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._stream.write("".join(lines))
            self._stream.flush()

    def close(self) -> None:
        self.tick()


class Rates(Output):
    """Messages and bytes a second, by type: a table that stays in its place on a terminal, else lines.

    Args:
        live: a second is one of the clock; else one of the times that the messages have.
        as_json: an object a line instead.
    """

    def __init__(self, stream: IO[str], messages: Messages, *, live: bool, as_json: bool) -> None:
        self._stream = stream
        self._messages = messages
        self._live = live
        self._json = as_json
        self._counts: dict[int, list[int]] = defaultdict(
            lambda: [0, 0, 0, 0]
        )  # now, bytes now; in all, bytes
        self._since_ns = time.time_ns() if live else 0
        self._last_ns = self._since_ns
        self._display: Any = None
        if stream.isatty() and live and not as_json:
            import rich.live

            self._display = rich.live.Live(self._table([]), auto_refresh=False)
            self._display.start()

    def write(self, time_ns: int, type_id: int, payload: bytes, message: Any | None) -> None:
        if not self._since_ns:
            self._since_ns = time_ns
        if time_ns - self._since_ns >= _SECOND_NS:
            self._show(time_ns)
        self._last_ns = time_ns
        counts = self._counts[type_id]
        counts[0] += 1
        counts[1] += HEADER_SIZE + len(payload)

    def tick(self) -> None:
        if self._live and (now_ns := time.time_ns()) - self._since_ns >= _SECOND_NS:
            self._show(now_ns)

    def close(self) -> None:
        if any(counts[0] for counts in self._counts.values()):
            self._show(time.time_ns() if self._live else self._last_ns)
        if self._display is not None:
            self._display.stop()

    def _show(self, now_ns: int) -> None:
        # (Of a part of a second, the last one, as many as came in it: nothing would come of dividing by it.)
        seconds = max(1.0, (now_ns - self._since_ns) / _SECOND_NS)
        self._since_ns = now_ns
        rows = []
        for type_id, counts in sorted(self._counts.items()):
            count, size = counts[:2]
            counts[:] = [0, 0, counts[2] + count, counts[3] + size]
            rows.append((type_id, count / seconds, size / seconds, counts[2], counts[3]))
        if self._display is not None:
            self._display.update(self._table(rows), refresh=True)
            return
        for type_id, frames_per_s, bytes_per_s, frames, size in rows:
            if self._json:
                entry = {
                    "time": rfc3339(now_ns),
                    "type": name_of(type_id, self._messages) if type_id in self._messages.by_id else None,
                    "type_id": type_id,
                    "messages_per_s": round(frames_per_s, 3),
                    "bytes_per_s": round(bytes_per_s, 3),
                    "messages": frames,
                    "bytes": size,
                }
                self._stream.write(json.dumps(entry) + "\n")
                continue
            clock = datetime.fromtimestamp(now_ns // _SECOND_NS).strftime("%H:%M:%S")
            self._stream.write(
                f"{clock}  {name_of(type_id, self._messages):24} {frames_per_s:12,.1f} messages/s "
                f"{bytes_per_s:14,.0f} bytes/s {frames:14,} messages\n"
            )
        self._stream.flush()

    def _table(self, rows: Iterable[tuple[int, float, float, int, int]]) -> Any:
        import rich.table

        table = rich.table.Table()
        table.add_column("type")
        for title in ("messages/s", "bytes/s", "messages", "bytes"):
            table.add_column(title, justify="right")
        totals = [0.0, 0.0, 0, 0]
        for type_id, *figures in rows:
            totals = [total + figure for total, figure in zip(totals, figures, strict=True)]
            table.add_row(name_of(type_id, self._messages), *_cells(figures))
        table.add_section()
        table.add_row("all", *_cells(totals))
        return table


def _cells(figures: Iterable[float]) -> list[str]:
    return [f"{figure:,.1f}" if index == 0 else f"{figure:,.0f}" for index, figure in enumerate(figures)]


class Recorded(Output):
    """A recording of the frames."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def write(self, time_ns: int, type_id: int, payload: bytes, message: Any | None) -> None:
        self._recorder.write(encode_frame(type_id, payload), time_ns)

    def close(self) -> None:
        self._recorder.close()


class _Frame:
    """A frame as a message that can be published: not taken apart, known to the contracts or not."""

    TYPE_ID: ClassVar[int]
    SIZE: ClassVar[int]
    __slots__ = ("_frame",)

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def to_frame(self) -> bytes:
        return self._frame

    @classmethod
    def encode_batch(cls, messages: Iterable[_Frame]) -> bytes:
        return b"".join([each._frame for each in messages])

    @classmethod
    def decode_batch(cls, buffer: bytes) -> list[_Frame]:
        raise TypeError("frames as they are cannot be subscribed to")


class Publishing(Output):
    """The bus: frames are published as they are, in order."""

    def __init__(self, transport: UnixTransport | TcpTransport, messages: Messages) -> None:
        self._outlet = Outlet(transport)
        self._messages = messages
        self._classes: dict[tuple[int, int], type[_Frame]] = {}
        self._run: list[_Frame] = []

    def write(self, time_ns: int, type_id: int, payload: bytes, message: Any | None) -> None:
        cls = self._classes.get((type_id, len(payload)))
        if cls is None:
            name = name_of(type_id, self._messages)
            members = {"TYPE_ID": type_id, "SIZE": len(payload), "__slots__": ()}
            cls = self._classes[type_id, len(payload)] = type(name, (_Frame,), members)
        if self._run and type(self._run[0]) is not cls:
            self._send()
        self._run.append(cls(encode_frame(type_id, payload)))

    def tick(self) -> None:
        self._send()
        self._outlet.listen()

    def close(self) -> None:
        self._send()
        self._outlet.settle()

    def _send(self) -> None:
        if self._run:
            run, self._run = self._run, []
            self._outlet.publish(type(run[0]), run)


def name_of(type_id: int, messages: Messages) -> str:
    """The name of a message, or what there is to say of a type that the contracts do not have."""
    cls = messages.by_id.get(type_id)
    return f"type {type_id}" if cls is None else str(cls.__definition__.name)


def rfc3339(time_ns: int) -> str:
    """A time as JSON has it: UTC, microseconds."""
    moment = datetime.fromtimestamp(time_ns // _SECOND_NS, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % _SECOND_NS // 1000:06}Z"
