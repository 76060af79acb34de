"""Progress of a running job: rate and time left, told to the caller and to other processes, not too often."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

from facewright.core.errors import DiskRefused
from facewright.core.files import write_atomic
from facewright.jobs.job import Job

OnEvent = Callable[[dict[str, Any]], None]
TELL_S, WRITE_S = 0.1, 0.5
_MEMORY_S = 60.0


class Progress:
    """Called by the step through Work.progress. `clock`: seconds, monotonic (for tests)."""

    def __init__(self, job: Job, on_event: OnEvent, clock: Callable[[], float] = time.monotonic) -> None:
        self._job, self._on_event, self._clock = job, on_event, clock
        self._told = self._written = float("-inf")
        self._marks: list[tuple[float, float]] = []  # (moment, done), for a rate that follows the last minute
        self.used = False
        """Whether the step itself has told of progress."""
        self._note = ""

    def __call__(self, done: float, total: float | None = None, note: str = "", **facts: Any) -> None:
        """`done` of `total` in the step's own unit; `facts` are numbers worth showing."""
        self.used = True
        self.tell(done, total, note, **facts)

    def tell(self, done: float, total: float | None = None, note: str = "", **facts: Any) -> None:
        """The same, for the runner's own count of items."""
        now = self._clock()
        last = total is not None and done >= total
        fresh = note != self._note
        if not fresh and not last and now - self._told < TELL_S:
            return
        if fresh:
            self._marks, self._note = [], note  # another kind of work, another rate
        self._told = now
        rate = self._rate(now, done)
        eta = (total - done) / rate if rate and total is not None else None
        event = {"done": done, "total": total, "rate": rate, "eta_s": eta, "note": note, "facts": facts}
        self._on_event({"kind": "progress", "job": self._job.id, **event})
        if fresh or last or now - self._written >= WRITE_S:
            self._written = now
            self._write(event)

    def _rate(self, now: float, done: float) -> float | None:
        if self._marks and done < self._marks[-1][1]:
            self._marks = []
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[0][0] > _MEMORY_S:
            self._marks.pop(0)
        (since, before), elapsed = self._marks[0], now - self._marks[0][0]
        return (done - before) / elapsed if elapsed > 0 and since < now and done > before else None

    def _write(self, event: dict[str, Any]) -> None:
        text = json.dumps({**event, "at": time.time(), "pid": os.getpid()}, default=str)
        try:
            write_atomic(self._job.progress_file, text.encode(), sync=False)
        except DiskRefused:
            # Progress is a courtesy: a full disk must be told by the work itself, not by this.
            self._written = float("inf")
