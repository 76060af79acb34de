"""Extraction in several processes: chunks go out, results come in; a process that dies costs the chunks it held.

Each worker is a Python of its own (`worker.py`), so that no program needs a main guard to be extracted from. Chunks do
not depend on each other: whoever does one, the bytes are the same.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from facewright.core import errors
from facewright.core.errors import FacewrightError, FileRefused
from facewright.core.step import Stop
from facewright.faceset.extraction import wire
from facewright.faceset.extraction.looking import ChunkResult
from facewright.faceset.extraction.shots import Found, Shots
from facewright.faceset.record import decode_face
from facewright.faceset.selection import Chunk
from facewright.faceset.settings import ExtractSettings

MOST_WORKERS = 8
CORES_EACH = 2
"""One process keeps two cores busy: nets on one; decoding, crops and encoding, which cost as much, on the other."""
LEAST_CHUNKS = 8
"""A worker that is given fewer chunks does not earn its start (about a second)."""
LONGEST_SPAN = 16
"""Chunks that follow each other and are given out together: read in one go, but lost together for a moment."""
MOST_DEATHS = 3
_POLL_S, _CUTS_POLL_S = 0.25, 0.02
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Told = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker needs to know.

    args: ExtractStep's; shots: digest -> first frames of a film's shots, where they are known; digests: path -> SHA-256
    of each film (hashed once, by whoever gives the order); finder: `module:name` of its maker.
    """

    args: dict[str, Any]
    settings: ExtractSettings
    side_px: int
    shots: dict[str, list[int]]
    digests: dict[str, str]
    finder: str

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "settings": self.settings.model_dump()}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Order:
        """What `as_json` gave."""
        return dataclasses.replace(cls(**facts), settings=ExtractSettings(**facts["settings"]))


def worker_count(wanted: int, chunks: int) -> int:
    """How many processes look at so many chunks; 0: one for every two cores, if each gets enough to do."""
    if wanted:
        return max(min(wanted, chunks), 1)
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(min(cores // CORES_EACH, MOST_WORKERS, chunks // LEAST_CHUNKS), 1)


@dataclass(slots=True, eq=False)
class _Hand:
    """One worker: its process, the chunks it holds, whether it was asked to end."""

    process: subprocess.Popen[bytes]
    held: deque[Chunk] = field(default_factory=deque)

    def tell(self, facts: dict[str, Any]) -> None:
        """Send a message; a worker that has died is found out by what it does not answer."""
        try:
            wire.send(cast(BinaryIO, self.process.stdin), facts)
        except OSError:
            return


class Crew:
    """`count` workers on one order. A chunk goes out when the cuts up to its end are known. told(kind, **facts) hears
    of workers that died."""

    def __init__(
        self, order: Order, count: int, shots: Mapping[str, Found],
        told: Told = lambda kind, **facts: None,
    ) -> None:
        self._order, self._count, self._shots, self._told = order, count, shots, told
        self._inbox: queue.Queue[tuple[_Hand, tuple[dict[str, Any], list[bytes]] | None]] = queue.Queue(2 * count)
        self._hands: list[_Hand] = []  # those at work
        self._idle: list[_Hand] = []  # those of them that wait for cuts
        self._made: list[_Hand] = []
        self._threads: list[threading.Thread] = []
        self._left: deque[Chunk] = deque()
        self._deaths: Counter[str] = Counter()

    def results(self, todo: list[Chunk], stop: Stop) -> Generator[ChunkResult, None, None]:
        """Results in the order in which they are ready. Raises FacewrightError: what a worker raised, or a chunk that
        ends its worker again and again."""
        self._left = deque(todo)
        try:
            for _ in range(self._count):
                self._start()
            told_stop = False
            while self._hands:
                if stop.at_once:
                    return
                if stop.asked and not told_stop:
                    told_stop = True
                    self._left.clear()
                    for hand in self._hands:
                        hand.tell({"stop": True})
                for hand in [self._idle.pop() for _ in self._idle[:]]:
                    self._give(hand)
                try:
                    hand, message = self._inbox.get(timeout=_CUTS_POLL_S if self._idle else _POLL_S)
                except queue.Empty:
                    continue
                result = self._heard(hand, message, stop)
                if result is not None:
                    yield result
        finally:
            self._end()

    def _heard(
        self, hand: _Hand, message: tuple[dict[str, Any], list[bytes]] | None, stop: Stop
    ) -> ChunkResult | None:
        if message is None:
            self._lost(hand, stop)
            return None
        facts, blobs = message
        if "error" in facts:
            raise _error(facts["error"])
        if "bug" in facts:
            raise RuntimeError(f"a worker of extraction failed:\n{facts['bug']}")
        if "record" in facts:
            return _result(hand.held.popleft(), facts, blobs)
        self._deaths.pop("", None)
        hand.held.clear()  # it is idle: what a stop left undone is nobody's now
        self._give(hand)
        return None

    def _give(self, hand: _Hand) -> None:
        """Hand out the next chunks of one film that follow each other, smaller spans toward the end; or let it wait, or
        end it where nothing is left."""
        if not self._left:
            self._hands.remove(hand)
            hand.tell({"end": True})
            return
        length = max(min(len(self._left) // (2 * self._count), LONGEST_SPAN), 1)
        sha256 = self._left[0].source_sha256
        sought = self._shots.get(sha256, Shots([]))
        while self._left and len(hand.held) < length and self._left[0].source_sha256 == sha256 \
                and sought.settled(self._left[0].frames[-1]):
            hand.held.append(self._left.popleft())
        if not hand.held:
            self._idle.append(hand)
            return
        starts = sought.until(hand.held[-1].frames[-1]).starts
        hand.tell({"chunks": [[chunk.source_sha256, chunk.start] for chunk in hand.held], "shots": {sha256: starts}})

    def _lost(self, hand: _Hand, stop: Stop) -> None:
        """A worker died: another one does again what it held."""
        if hand not in self._hands:
            return  # it had been told to end
        self._hands.remove(hand)
        if hand in self._idle:
            self._idle.remove(hand)
        status = hand.process.wait()
        if stop.asked:
            return
        self._told("worker_lost", status=status, chunks=[chunk.id for chunk in hand.held])
        first = hand.held[0] if hand.held else None
        self._deaths[first.id if first else ""] += 1
        if self._deaths[first.id if first else ""] >= MOST_DEATHS:
            where = f"frames {first.frames[0]} to {first.frames[-1]}" if first else "its start"
            films = self._order.digests.items()
            film = next((path for path, sha256 in films if first and sha256 == first.source_sha256), None)
            raise FileRefused(
                f"A process that looks for faces was ended {MOST_DEATHS} times at {where}.", why=f"Status {status}.",
                remedy="If memory is short, use fewer `--workers`; if the film is damaged there, leave that part out "
                "with --start and --end.", where=film,
            )
        self._left.extendleft(reversed(hand.held))
        self._start()

    def _start(self) -> None:
        environment = {**os.environ, **dict.fromkeys(_THREADS, "1")}
        command = [sys.executable, "-m", "facewright.faceset.extraction.worker"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        hand = _Hand(process)
        self._hands.append(hand)
        self._made.append(hand)
        hand.tell(self._order.as_json())
        thread = threading.Thread(target=self._listen, args=(hand,), name="worker", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self, hand: _Hand) -> None:
        """A thread for each worker: it stops reading, and so the worker stops, while results wait to be written."""
        pipe = cast(BinaryIO, hand.process.stdout)
        while True:
            message = wire.receive(pipe)
            self._inbox.put((hand, message))
            if message is None:
                return

    def _end(self) -> None:
        self._hands.clear()
        for hand in self._made:
            hand.process.kill()
        while any(thread.is_alive() for thread in self._threads):
            try:
                self._inbox.get(timeout=_POLL_S)  # a thread may wait for room
            except queue.Empty:
                continue
        for hand in self._made:
            hand.process.wait()
            for pipe in (hand.process.stdin, hand.process.stdout):
                with suppress(OSError):  # what was never read by the other end
                    cast(BinaryIO, pipe).close()


def _result(chunk: Chunk, facts: dict[str, Any], blobs: list[bytes]) -> ChunkResult:
    names, frames = facts["files"], facts["debug"]
    files = [(name, blob, decode_face(blob, name)) for name, blob in zip(names, blobs)]
    return ChunkResult(chunk, files, list(zip(frames, blobs[len(names):])), facts["record"])


def _error(facts: dict[str, Any]) -> FacewrightError:
    """The error that a worker told of, as the class that it was."""
    kind = getattr(errors, str(facts["kind"]), FileRefused)
    return kind(facts["what"], why=facts["why"], remedy=facts["remedy"], where=facts["where"])


def told_error(error: FacewrightError) -> dict[str, Any]:
    """What `_error` makes one of again."""
    return {"kind": type(error).__name__, "what": error.what, "why": error.why, "remedy": error.remedy,
            "where": str(error.where) if error.where else None}
