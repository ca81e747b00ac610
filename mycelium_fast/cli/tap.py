"""`mycelium tap`: the messages of a bridge as they come, or of a recording: to read, to record, to replay.

This file has the command and the frames' way through it. What is done with the messages is the subject of
`tap_output.py`, which ones are meant that of `selection.py`, the file format that of `bus/recording.py`.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from mycelium_fast.cli.connection import (
    Messages,
    Peer,
    Progress,
    load_messages,
    looks_like_address,
    note,
    peer_options,
)
from mycelium_fast.cli.selection import Filter, Types, selected_types
from mycelium_fast.errors import ConnectionClosed, DecodeError, MyceliumError, ValidationError

if TYPE_CHECKING:
    from types import FrameType

    from mycelium_fast.bus.recording import Recording
    from mycelium_fast.bus.subscriber import Subscriber
    from mycelium_fast.cli.tap_output import Output

__all__ = ["command"]

#: Time in nanoseconds since 1970, type id, payload.
Frame = tuple[int, int, bytes]

#: Bytes of frames that may wait for a slow terminal; those that come then are left out, and counted.
_MAX_WAITING: Final = 64 * 1024 * 1024
#: Bytes that a frame takes beside its payload, about.
_OVERHEAD: Final = 150
#: Seconds after which something is done although nothing comes.
_TICK_S: Final = 0.25
#: Frames, and bytes of them, of a recording that are dealt with together.
_BATCH: Final = 1000
_BATCH_BYTES: Final = 256 * 1024
_HEADER_SIZE: Final = 6


@click.command("tap")
@click.argument("words", metavar="[ADDRESS] [TYPE]...", nargs=-1)
@click.option(
    "--where", metavar="'FIELD OP VALUE'", multiple=True, help="Only these; several have all to hold."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many messages.")
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after so long.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--rates", is_flag=True, help="Messages and bytes a second of each type, not the messages.")
@click.option("--raw", is_flag=True, help="Frames of types that the contracts do not have, too.")
@click.option("--record", metavar="FILE", help="Write to a recording, not to standard output.")
@click.option("--append", is_flag=True, help="Go on with a recording that exists.")
@click.option("--replay", metavar="FILE", help="Take a recording; publish it if there is an ADDRESS.")
@click.option(
    "--speed",
    metavar="FACTOR|max",
    help="Of --replay. Default: 1 to an ADDRESS, max without one.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors alone on standard error.")
@peer_options("tap")
def command(
    words: tuple[str, ...],
    where: tuple[str, ...],
    count: int | None,
    duration: float | None,
    as_json: bool,
    rates: bool,
    raw: bool,
    record: str | None,
    append: bool,
    replay: str | None,
    speed: str | None,
    quiet: bool,
    contracts: str,
    uncompiled: bool,
    peer: Peer,
) -> None:
    """Show the messages of the bridge at ADDRESS as they come: all, or those of each TYPE.

    ADDRESS is the path of a Unix socket, HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT. TYPE is a message's
    name, a type id, or topic:NAME. FIELD OP VALUE compares a field by = != < <= > >=, or by ~ for text that
    contains VALUE.

    With --record the messages go to a file, and to standard output only with --json or --rates. With
    --replay they come from such a file: they are published at ADDRESS, at their original pace, or, without
    ADDRESS, shown.

    Ends at Ctrl-C, with a summary on standard error, or with 1 when the bridge ends.
    """
    address, names = _address(words, replay)
    if append and record is None:
        raise click.UsageError("--append is for --record FILE, which is missing")
    factor = _factor(speed, replay, to_bus=address is not None)
    messages = load_messages(contracts, uncompiled=uncompiled)
    types = selected_types(names, messages, raw=raw)
    wanted = [cls for type_id, cls in messages.by_id.items() if type_id in types]
    only = Filter(where, wanted) if where else None
    publishes = replay is not None and address is not None
    with contextlib.ExitStack() as stack:
        from mycelium_fast.cli.tap_output import JsonLines, Lines, Publishing, Rates, Recorded

        stack.enter_context(_closed_pipe())
        transport = None if address is None else peer.transport(address, messages.digest)
        recording = None if replay is None else stack.enter_context(_opened(replay, messages))
        outputs: list[Output] = []
        if record is not None:
            outputs.append(Recorded(_recorder(record, messages, append, recording, stack)))
        if transport is not None:
            stack.enter_context(transport)
            if not transport.negotiated and not quiet:
                note(f"{transport.address} is a plain peer: it cannot tell what it leaves out")
        stream = sys.stdout
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # text may have what the terminal has not
        if rates:
            outputs.append(Rates(stream, messages, live=recording is None, as_json=as_json))
        elif as_json:
            outputs.append(JsonLines(stream))
        elif record is None and not publishes:
            outputs.append(Lines(stream, dates=recording is not None))
        if publishes and transport is not None:
            outputs.append(Publishing(transport, messages))
        tap = _Tap(messages, types, only, outputs, count=count, raw=raw, quiet=quiet)
        until = None if duration is None else time.monotonic() + duration
        done = "sent" if publishes else "recorded" if record else "counted" if rates else "shown"
        if transport is not None and recording is None:
            ids = () if types.ids is None else sorted(types.ids)
            feed = _Feed(transport.raw_subscriber(*ids), tap)
            tapping = f"tapping {' '.join(names) or 'everything'} at {transport.address}; Ctrl-C ends"
            tap.run(feed.batches(until), done, tapping)
        elif recording is not None:
            tap.run(_paced(recording, factor, until), done)
        if recording is not None and recording.truncated_bytes:
            note(
                f"{replay} ends within a record, of which {recording.truncated_bytes} bytes are there: "
                "whoever recorded it was cut off"
            )


class _Tap:
    """Chooses among frames, hands them to the outputs, and counts.

    Args:
        only: a filter; None for every message.
        count: messages after which it ends; None for no such end.
    """

    def __init__(
        self,
        messages: Messages,
        types: Types,
        only: Filter | None,
        outputs: Sequence[Output],
        *,
        count: int | None,
        raw: bool,
        quiet: bool,
    ) -> None:
        self._messages = messages
        self._types = types
        self._only = only
        self._outputs = outputs
        self._left = -1 if count is None else count
        self._raw = raw
        self._quiet = quiet
        self._told: dict[str, float] = {}
        self.taken = self.bytes = self.lagged = self.overrun = 0
        self._bad: Counter[str] = Counter()
        self._unknown: Counter[int] = Counter()

    def run(self, source: Iterable[list[Frame]], done: str, tapping: str | None = None) -> None:
        """Take everything; ends at Ctrl-C, and tells what it was.

        Args:
            done: what is done with it, for people; where nothing shows it, how far it has come is told.
            tapping: said at the beginning.
        """
        progress = Progress()
        silent = len(self._outputs) == 1 and done in ("sent", "recorded") and not self._quiet
        started = time.monotonic()
        failure: BaseException | None = None
        try:
            with _interruptible():
                if tapping is not None and not self._quiet:
                    note(tapping)
                for batch in source:
                    goes_on = self._take(batch)
                    for output in self._outputs:
                        output.tick()
                    if not goes_on:
                        break
                    if silent:
                        progress.tell(lambda: self._summary(done, time.monotonic() - started))
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            failure = error
            raise
        finally:
            progress.clear()
            # Also after an error, which is the one to tell of: what came before it is worth having.
            expected = () if failure is None else (MyceliumError, OSError)
            try:
                for output in self._outputs:
                    with contextlib.suppress(*expected):
                        output.close()
            finally:
                if not self._quiet and not isinstance(failure, BrokenPipeError):
                    note(self._summary(done, time.monotonic() - started))

    def _take(self, batch: list[Frame]) -> bool:
        """Whether there is more to come."""
        by_id, outputs, only = self._messages.by_id, self._outputs, self._only
        for time_ns, type_id, payload in batch:
            if type_id not in self._types:
                continue
            cls = by_id.get(type_id)
            message = None
            if cls is None:
                if not self._raw:
                    self._unknown[type_id] += 1
                if not self._raw or only is not None:
                    continue
            else:
                try:
                    message = cls.from_bytes(payload)
                except (DecodeError, ValidationError) as error:
                    self._tell_bad(cls, error)
                    continue
                if only is not None and not only(message):
                    continue
            for output in outputs:
                output.write(time_ns, type_id, payload, message)
            self.taken += 1
            self.bytes += _HEADER_SIZE + len(payload)
            if self.taken == self._left:
                return False
        return True

    def tell(self, key: str, text: str) -> None:
        """Tell something that may happen often, at most once a second."""
        now = time.monotonic()
        if not self._quiet and now - self._told.get(key, -1.0) >= 1.0:
            self._told[key] = now
            note(text)

    def _tell_bad(self, cls: Any, error: Exception) -> None:
        name = cls.__definition__.name
        self._bad[name] += 1
        number = self._bad[name]
        self.tell(f"bad {name}", f"a frame of {name} did not decode ({number} so far): {error}")

    def _summary(self, done: str, seconds: float) -> str:
        messages = f"{self.taken:,} message{'s' * (self.taken != 1)}"
        parts = [f"{messages} {done} ({self.bytes:,} bytes) in {seconds:.1f} s"]
        if self.lagged:
            parts.append(f"{self.lagged:,} left out by the bridge, for which this tap was too slow")
        if self.overrun:
            parts.append(f"{self.overrun:,} left out here, for which standard output was too slow")
        if self._bad:
            parts.append(f"{self._bad.total():,} did not decode")
        if self._unknown:
            ids = ", ".join(map(str, sorted(self._unknown)[:10]))
            parts.append(
                f"{self._unknown.total():,} of types that the contracts do not have ({ids}; see --raw)"
            )
        return "; ".join(parts)


class _Feed:
    """The frames of a subscriber with the time of each. They are taken in by a thread: a terminal that shows
    nothing for a while holds up neither the bridge nor whoever publishes.
    """

    def __init__(self, subscriber: Subscriber[Any], tap: _Tap) -> None:
        self._subscriber = subscriber
        self._tap = tap
        self._news = threading.Condition()
        self._waiting: deque[tuple[int, int, list[Any]]] = deque()  # time, size, messages
        self._size = 0
        self._overrun = 0
        self._ended = False
        threading.Thread(target=self._read, name="mycelium-tap", daemon=True).start()

    def batches(self, until: float | None) -> Iterator[list[Frame]]:
        """What came, in order, until the connection or the time is over; now and then an empty list.

        Raises:
            ConnectionClosed: the connection is over, and everything was given; has the reason.
        """
        while True:
            left = _TICK_S if until is None else min(_TICK_S, until - time.monotonic())
            if left <= 0:
                return
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._ended, left)
                entry = self._waiting.popleft() if self._waiting else None
                over = self._ended
                overrun, self._overrun = self._overrun, 0
                if entry is not None:
                    self._size -= entry[1]
            self._tell_missed(overrun)
            if entry is not None:
                yield [(entry[0], type_id, payload) for type_id, payload in entry[2]]
            elif over:
                self._subscriber.recv(timeout=0.0)  # raises the reason
                return
            else:
                yield []

    def _tell_missed(self, overrun: int) -> None:
        tap = self._tap
        lagged = self._subscriber.lagged - tap.lagged
        if lagged:
            tap.lagged += lagged
            tap.tell(
                "lagged", f"lagged: the bridge left out {tap.lagged:,} frames so far, this tap was too slow"
            )
        if overrun:
            tap.overrun += overrun
            tap.tell("overrun", f"{tap.overrun:,} frames so far were left out: standard output is too slow")

    def _read(self) -> None:
        try:
            for batch in self._subscriber.batches():
                size = sum(len(message.payload) for message in batch) + _OVERHEAD * len(batch)
                with self._news:
                    if self._size and self._size + size > _MAX_WAITING:
                        self._overrun += len(batch)
                    else:
                        self._waiting.append((time.time_ns(), size, batch))
                        self._size += size
                    self._news.notify()
        except ConnectionClosed:  # the subscriber says it again
            pass
        finally:
            with self._news:
                self._ended = True
                self._news.notify()


def _paced(recording: Recording, speed: float | None, until: float | None) -> Iterator[list[Frame]]:
    """The frames of a recording when they are due; empty lists while none is.

    Args:
        speed: 2.0 is twice as fast as it was recorded; None as fast as possible.
        until: when to end, on the monotonic clock.
    """
    batch: list[Frame] = []
    size = 0
    first_ns = None
    started = time.monotonic()
    for record in recording:
        if first_ns is None:
            first_ns = record.time_ns
        if speed is not None:
            due = started + (record.time_ns - first_ns) / 1e9 / speed
            if batch and time.monotonic() < due:
                yield batch
                batch, size = [], 0
            while (left := min(due, until or due) - time.monotonic()) > 0:
                time.sleep(min(left, _TICK_S))
                if left > _TICK_S:
                    yield []
        if until is not None and time.monotonic() >= until:
            break
        batch.append((record.time_ns, record.type_id, record.payload))
        size += len(record.frame)
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _address(words: tuple[str, ...], replay: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The address, and the types. Only with a recording there need not be an address."""
    if words and (replay is None or looks_like_address(words[0])):
        return words[0], words[1:]
    if replay is None:
        raise click.UsageError("Say where: mycelium tap /run/mycelium/bus.sock --contracts contracts.yaml")
    return None, words


def _factor(speed: str | None, replay: str | None, *, to_bus: bool) -> float | None:
    """How much faster than recorded; None for as fast as possible."""
    if speed is None:
        return 1.0 if to_bus else None
    if replay is None:
        raise click.UsageError("--speed is for --replay FILE, which is missing")
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise click.UsageError(f"--speed {speed!r}: write a factor, such as 1 or 2.5, or max")
    return factor


def _opened(replay: str, messages: Messages) -> Recording:
    from mycelium_fast.bus.recording import Recording

    try:
        return Recording(replay, messages.digest)
    except OSError as error:
        raise _file_error(replay, error) from None


def _recorder(
    record: str, messages: Messages, append: bool, source: Recording | None, stack: contextlib.ExitStack
) -> Any:
    from mycelium_fast.bus.recording import Recorder

    start_ns = None if source is None else source.start_ns
    if source is not None and _same(record, source.path):
        raise click.UsageError(f"{record} is the recording that is read: name another file")
    try:
        recorder = Recorder(record, messages.digest, append=append, start_ns=start_ns)
    except FileExistsError:
        raise click.UsageError(f"{record} exists: name another file, or go on with it by --append") from None
    except OSError as error:
        raise _file_error(record, error) from None
    return stack.enter_context(recorder)


def _file_error(name: str, error: OSError) -> OSError | click.FileError:
    # (Of our own errors some are OSErrors as well: they say everything.)
    return click.FileError(name, error.strerror) if error.strerror else error


def _same(first: str, second: str) -> bool:
    try:
        return os.path.samefile(first, second)
    except OSError:  # one of them is not there
        return False


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Have SIGTERM end a tap as Ctrl-C does: a recording is to be whole."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _closed_pipe() -> Iterator[None]:
    """End quietly where nobody reads standard output any more."""
    try:
        yield
    except BrokenPipeError:
        # The interpreter writes what is left when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
