"""Who gets which frames of an asyncio connection, and what happens while a sink is full: nothing is read.

    runs -> Switch -> sinks, or `_stuck` where one is full; then what comes after it stays in `_arrived`

It outlives connections, so that what a full sink did not take is not lost with one. Reading, and holding it,
is the business of `aio.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..codec.frames import Run
    from .sink import Sink

__all__ = ["Switch"]

#: A W3C trace context: trace id, span id, flags.
Trace = tuple[bytes, bytes, int]


class Switch:
    """Hands runs to the sinks that want them; while one of them is full, nothing more is read.

    Args:
        hold, release: stop reading, and go on.
        unclaimed: called with a run that no sink wants.
    """

    def __init__(
        self,
        hold: Callable[[], object],
        release: Callable[[], object],
        unclaimed: Callable[[Run], object],
    ) -> None:
        self._hold = hold
        self._release = release
        self._unclaimed = unclaimed
        self._table: dict[int, tuple[Sink, ...]] = {}
        self._every: tuple[Sink, ...] = ()
        self._arrived: deque[tuple[Run, Trace | None]] = deque()
        self._stuck: list[tuple[Sink, Run, int]] = []
        self._busy = False
        self._again = False
        self.skipped_frames = 0

    @property
    def stuck(self) -> bool:
        """Whether a full sink is in the way."""
        return bool(self._stuck)

    def add(self, sink: Sink) -> None:
        """Hand it what it wants, from now on."""
        if sink.type_ids is None:
            self._every = (*self._every, sink)
            self._table = {type_id: (*sinks, sink) for type_id, sinks in self._table.items()}
            return
        for type_id in sink.type_ids:
            self._table[type_id] = (*self._table.get(type_id, self._every), sink)

    def remove(self, sink: Sink) -> None:
        """Hand it nothing more; harmless if it was not there."""
        self._every = tuple(each for each in self._every if each is not sink)
        table = {}
        for type_id, sinks in self._table.items():
            left = tuple(each for each in sinks if each is not sink)
            if left != self._every:
                table[type_id] = left
        self._table = table
        self._stuck = [entry for entry in self._stuck if entry[0] is not sink]
        self.relieve()

    def of(self, type_id: int) -> tuple[Sink, ...]:
        """The sinks that get a type."""
        return self._table.get(type_id, self._every)

    def deliver(self, runs: list[Run], trace: Trace | None = None) -> None:
        """Hand on what was received, in order; keep what a full sink does not take.

        Args:
            trace: the context that the first frame came with.
        """
        if self._stuck or self._busy:
            for run in runs:
                self._arrived.append((run, trace))
                trace = None
            return
        if len(runs) == 1 and trace is None:  # as most reads are, where an answer is waited for
            run = runs[0]
            sinks = self._table.get(run.type_id, self._every)
            if len(sinks) == 1:
                taken = sinks[0].offer(run, 0, False)
                if taken < run.count:
                    self._stuck.append((sinks[0], run, taken))
                    self.relieve()  # what it woke may have made room already
                return
        self._busy = True
        try:
            for run in runs:
                if self._stuck:
                    self._arrived.append((run, trace))
                else:
                    self._offer(run, trace)
                trace = None
            if self._stuck:
                self._hold()
        finally:
            self._busy = False
        if self._again or (self._arrived and not self._stuck):
            self.relieve()

    def relieve(self) -> None:
        """A sink that was full has room again."""
        if self._busy:
            self._again = True
            return
        held = bool(self._stuck)
        self._busy = True
        try:
            while True:
                self._again = False
                self._retry(force=False)
                while self._arrived and not self._stuck:
                    self._offer(*self._arrived.popleft())
                if not self._again:
                    break
        finally:
            self._busy = False
        if self._stuck:
            self._hold()
        elif held:
            self._release()

    def finish(self) -> None:
        """Nothing more comes: hand on everything, whatever the sinks' capacity."""
        self._busy = True
        try:
            self._retry(force=True)
            while self._arrived:
                self._offer(*self._arrived.popleft())
                self._retry(force=True)
        finally:
            self._busy = False

    def _offer(self, run: Run, trace: Trace | None) -> None:
        """Offer a run to every sink that wants it."""
        sinks = self._table.get(run.type_id, self._every)
        if not sinks:
            self.skipped_frames += run.count
            self._unclaimed(run)
        for sink in sinks:
            if trace is not None:
                sink.traced(trace)
            taken = sink.offer(run, 0, False)
            if taken < run.count:
                self._stuck.append((sink, run, taken))

    def _retry(self, *, force: bool) -> None:
        stuck, self._stuck = self._stuck, []
        left = []
        for sink, run, start in stuck:
            taken = sink.offer(run, start, force)
            if start + taken < run.count:
                left.append((sink, run, start + taken))
        self._stuck = left
