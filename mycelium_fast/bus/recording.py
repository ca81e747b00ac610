"""Recordings: frames in a file with the time of each, to look at or send again later.

The digest says which schema its frames are of. What is recorded, and at what pace it is sent again, is
decided by whoever uses it (`mycelium tap`).

    header    "\\x89MYCREC\\n" | version: u16 = 1 | 6 zero bytes | start: u64 | digest: 32 bytes    56 bytes
    record    time: u64 | type_id: u16 | length: u32 | payload: length bytes              14 + length bytes

All integers are little-endian. `start` is in nanoseconds since 1970-01-01 UTC, `time` in nanoseconds since
`start` and never less than that of the record before; from `type_id` on, a record is the frame as it is on
the wire. Records follow each other up to the end of the file: it can be appended to, and one cut short by a
crash is good up to its last whole record.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from ..codec.frames import HEADER_SIZE, MAX_ACCEPTED_PAYLOAD_SIZE
from ..errors import ProtocolError, SchemaMismatchError
from ..session import DIGEST_SIZE

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Record", "Recorder", "Recording"]

_MAGIC: Final = b"\x89MYCREC\n"
_VERSION: Final = 1
_HEADER: Final = struct.Struct(f"<8sH6xQ{DIGEST_SIZE}s")
_RECORD: Final = struct.Struct("<QHI")
_FRAME: Final = struct.Struct("<HI")
_TIME_SIZE: Final = _RECORD.size - HEADER_SIZE
#: The last nanosecond that a recording may speak of: early in 2262, and within every signed 64-bit clock.
_LAST_NS: Final = (1 << 63) - 1
_BUFFER_SIZE: Final = 256 * 1024
#: Seconds that something written may stay in the buffer.
_FLUSH_S: Final = 1.0
#: For the owner alone: a recording has every value, those of confidential messages as well.
_MODE: Final = 0o600


class Record(NamedTuple):
    """One frame of a recording.

    Attributes:
        time_ns: when it was recorded, in nanoseconds since 1970-01-01 UTC.
        frame: header and payload.
    """

    time_ns: int
    type_id: int
    frame: bytes

    @property
    def payload(self) -> bytes:
        """The frame without its header."""
        return self.frame[HEADER_SIZE:]


class Recorder:
    """Writes a recording. Close it, or use `with`; any number of threads may share it.

    What is written reaches the file within a second, and the rest when it is closed.

    Args:
        path: of the file, which only its owner may read: it has the values of confidential messages, too.
        digest: `SCHEMA_DIGEST` of the messages, 32 bytes.
        append: go on behind the last whole record of a recording that exists; the digest has to be the same.
        start_ns: when a new recording begins, in nanoseconds since 1970-01-01 UTC; None for now.

    Attributes:
        frames: written so far, by this object.
        bytes: of these frames.

    Raises:
        FileExistsError: there is a file of that name, and `append` is false.
        OSError: it cannot be written.
        ValueError: `digest` is not one, or `start_ns` is before 1970 or beyond 2262.
        SchemaMismatchError: appending to a recording of another schema.
        ProtocolError: appending to what is no recording.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        digest: bytes,
        *,
        append: bool = False,
        start_ns: int | None = None,
    ) -> None:
        if len(digest) != DIGEST_SIZE:
            raise ValueError(f"a schema digest has {DIGEST_SIZE} bytes, not {len(digest)}")
        if start_ns is not None and not 0 <= start_ns <= _LAST_NS:
            raise ValueError(f"{start_ns} ns is no time that a recording can begin at")
        self.path = os.fspath(path)
        self.frames = 0
        self.bytes = 0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._failure: OSError | None = None
        self._last_ns = 0  # since the start
        descriptor = self._open(append)
        self._file = io.BufferedWriter(io.FileIO(descriptor, "wb"), _BUFFER_SIZE)
        try:
            if append and os.fstat(descriptor).st_size:
                self._go_on(digest)
            else:
                self._start_ns = time.time_ns() if start_ns is None else start_ns
                self._file.write(_HEADER.pack(_MAGIC, _VERSION, self._start_ns, digest))
                self._file.flush()
        except BaseException:
            self._file.close()
            raise

    def write(self, frame: bytes, time_ns: int | None = None) -> None:
        """Add a frame: header and payload.

        Args:
            time_ns: when it came, in nanoseconds since 1970-01-01 UTC; None for now. It counts as that of the
                last frame if it is before it.

        Raises:
            ValueError: it is not one whole frame, or the time is beyond 2262.
            OSError: it cannot be written; also where writing failed since the last call.
        """
        if len(frame) < HEADER_SIZE:
            raise ValueError(f"a frame has at least {HEADER_SIZE} bytes, not {len(frame)}")
        length = _FRAME.unpack_from(frame)[1]
        if length != len(frame) - HEADER_SIZE or length > MAX_ACCEPTED_PAYLOAD_SIZE:
            raise ValueError(
                f"{len(frame)} bytes are not one frame of at most {MAX_ACCEPTED_PAYLOAD_SIZE} payload bytes: "
                f"its header says {length}"
            )
        now_ns = time.time_ns() if time_ns is None else time_ns
        if now_ns > _LAST_NS:
            raise ValueError(f"{now_ns} ns is beyond the last time that a recording can have, {_LAST_NS} ns")
        with self._lock:
            self._see_that_it_goes_on()
            self._last_ns = max(self._last_ns, now_ns - self._start_ns)
            try:
                self._file.write(self._last_ns.to_bytes(_TIME_SIZE, "little") + frame)
            except OSError as error:  # who knows how much of it is in the file: nothing may follow
                self._failure = error
                raise
            self.frames += 1
            self.bytes += len(frame)
            if self._timer is None:
                self._timer = threading.Timer(_FLUSH_S, self._flush_later)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Hand the operating system all that was written; OSError where it does not take it."""
        with self._lock:
            self._see_that_it_goes_on()
            self._file.flush()

    def close(self) -> None:
        """Write the rest and close the file. Idempotent.

        Raises:
            OSError: not everything could be written.
        """
        with self._lock:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            self._file.close()

    def _open(self, append: bool) -> int:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | (0 if append else os.O_EXCL)
        return os.open(self.path, flags, _MODE)

    def _go_on(self, digest: bytes) -> None:
        """Stand behind the last whole record; what a crash left after it is cut off."""
        with Recording(self.path, digest) as recording:
            for record in recording:
                self._last_ns = record.time_ns - recording.start_ns
            self._start_ns = recording.start_ns
            self._file.seek(recording.offset)
            self._file.truncate()

    def _flush_later(self) -> None:
        with self._lock:
            if self._timer is None:  # closed meanwhile
                return
            self._timer = None
            try:
                self._file.flush()
            except OSError as error:
                self._failure = error

    def _see_that_it_goes_on(self) -> None:
        if self._file.closed:
            raise ValueError(f"the recorder of {self.path} is closed")
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Recorder({self.path!r})"


class Recording:
    """Reads a recording, once, from its beginning: iterate over it for `Record`s. Close it, or use `with`.

    Args:
        digest: the schema that it has to be of; None for any.

    Attributes:
        digest: of the schema that its frames are of, 32 bytes.
        start_ns: when it began, in nanoseconds since 1970-01-01 UTC.
        offset: in the file, of the record that comes next.
        truncated_bytes: what there is of a last record that is not whole: the recorder was cut off. Known
            once the iteration has ended.

    Raises:
        OSError: it cannot be read.
        ProtocolError: it is no recording, one of a newer version, or damaged; with file and offset. The
            iteration raises it as well.
        SchemaMismatchError: it is of another schema than `digest`; names both.
    """

    def __init__(self, path: str | os.PathLike[str], digest: bytes | None = None) -> None:
        self.path = os.fspath(path)
        self.offset = 0
        self.truncated_bytes = 0
        self._last_ns = 0
        if stat.S_ISFIFO(os.stat(self.path).st_mode):  # opening it would wait for somebody to write
            raise ProtocolError(f"{self.path} is not a recording: it is a pipe")
        self._file = open(self.path, "rb", buffering=_BUFFER_SIZE)  # noqa: SIM115 - closed by close()
        try:
            self.start_ns, self.digest = self._read_header()
            if digest is not None and digest != self.digest:
                raise SchemaMismatchError(
                    f"{self.path} was recorded with another contracts file: its schema digest is "
                    f"{self.digest.hex()}, that of the contracts given {bytes(digest).hex()}. Use the "
                    "contracts file that it was recorded with"
                )
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        if self.truncated_bytes:
            raise StopIteration
        head = self._file.read(_RECORD.size)
        if len(head) < _RECORD.size:
            self.truncated_bytes = len(head)
            raise StopIteration
        since_start, type_id, length = _RECORD.unpack(head)
        if length > MAX_ACCEPTED_PAYLOAD_SIZE:
            raise self._damaged(
                f"a frame of type {type_id} with {length} payload bytes, over {MAX_ACCEPTED_PAYLOAD_SIZE}"
            )
        if since_start < self._last_ns or self.start_ns + since_start > _LAST_NS:
            raise self._damaged(
                f"a record {since_start} ns after the start, which follows one {self._last_ns} ns after it"
            )
        payload = self._file.read(length)
        if len(payload) < length:
            self.truncated_bytes = len(head) + len(payload)
            raise StopIteration
        self._last_ns = since_start
        self.offset += len(head) + length
        return Record(self.start_ns + since_start, type_id, head[_TIME_SIZE:] + payload)

    def _read_header(self) -> tuple[int, bytes]:
        head = self._file.read(_HEADER.size)
        if head[: len(_MAGIC)] != _MAGIC:
            raise ProtocolError(f"{self.path} is not a recording: it does not begin as one (offset 0)")
        if len(head) < _HEADER.size:
            raise ProtocolError(
                f"{self.path} is not a recording: it ends at offset {len(head)}, within its header of "
                f"{_HEADER.size} bytes"
            )
        _, version, start_ns, digest = _HEADER.unpack(head)
        if version != _VERSION:
            raise ProtocolError(
                f"{self.path} is a recording of version {version} (offset {len(_MAGIC)}), this program reads "
                f"version {_VERSION}: read it with the one that wrote it, or a newer one"
            )
        if start_ns > _LAST_NS:
            raise ProtocolError(f"{self.path} is damaged: it starts {start_ns} ns after 1970 (offset 16)")
        self.offset = _HEADER.size
        return start_ns, digest

    def _damaged(self, what: str) -> ProtocolError:
        return ProtocolError(
            f"{self.path} is damaged at offset {self.offset}: {what}. What comes before can be used"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Recording({self.path!r})"
