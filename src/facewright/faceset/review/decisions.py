"""What a person decided about frames: FACESET/review.jsonl, one record a line, only ever added to.

Decisions name frames by film and number and faces by id, so they hold for whatever is extracted later. Lines are those
of core/journal; a file with damaged lines gives what its sound lines say, and is copied before it is mended.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facewright.core.errors import DiskRefused
from facewright.core.files import FolderLock, make_folder, read_file, write_atomic
from facewright.core.journal import Journal
from facewright.core.ulid import new_ulid
from facewright.faceset.files import files_at, refuse_packed
from facewright.faceset.store import PRIVATE, REVIEW

Do = Literal["accept", "skip", "reopen", "place", "again"]
DEEDS: tuple[Do, ...] = ("accept", "skip", "reopen", "place", "again")
Spans = tuple[tuple[int, int], ...]
"""Runs of frame numbers, first and last, both inside."""

_LIMIT_BYTES = 256 << 20
_LAST_FRAME = 1 << 40


@dataclass(frozen=True, slots=True)
class Deed:
    """One decision or edit. frames: film's sha256 -> runs of frames. faces: ids that it accepts, or made.

    facts: what undoing it needs (where the former file lies, name of an operation of the trash).
    """

    number: int
    do: Do
    frames: Mapping[str, Spans]
    faces: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""

    @property
    def count(self) -> int:
        """How many frames it names."""
        return sum(last - first + 1 for runs in self.frames.values() for first, last in runs)


@dataclass(frozen=True, slots=True)
class Decisions:
    """The file as read: deeds that hold, in order; those undone, the latest last; `lost`: damaged lines, passed over.

    unknown: sound lines that this version does not understand (kept in the file). reserved: every face id that any
    deed ever named, so that no number is given twice.
    """

    deeds: tuple[Deed, ...] = ()
    undone: tuple[Deed, ...] = ()
    lost: int = 0
    unknown: int = 0
    next_number: int = 1
    reserved: frozenset[str] = frozenset()

    def of_frames(self, sha256: str, frames: np.ndarray) -> list[Deed | None]:
        """Frame numbers (N,) ascending of one film -> the deed that counts for each: accept or skip, else None."""
        found: list[Deed | None] = [None] * len(frames)
        for deed in self.deeds:
            for first, last in deed.frames.get(sha256, ()):
                here = range(int(np.searchsorted(frames, first)), int(np.searchsorted(frames, last, "right")))
                for at in here:
                    found[at] = deed if deed.do in ("accept", "skip") else _after(deed, found[at])
        return found


def _after(deed: Deed, before: Deed | None) -> Deed | None:
    """Placing a face is no word about the frame's others, but ends a skip; reopening, or a second look, ends both."""
    return before if deed.do == "place" and before is not None and before.do == "accept" else None


def read(faceset: Path) -> Decisions:
    """What review.jsonl says, of a folder or a packed faceset. Raises FileRefused: no plain file, unreadable, too
    large."""
    data = files_at(faceset).small(REVIEW)
    if data is None:
        return Decisions()
    lines, lost = _lines(data)
    return _replayed([record for record, _ in lines], lost)


class Desk:
    """The one writer of the decisions; see `deciding`."""

    def __init__(self, faceset: Path, journal: Journal, lost: int) -> None:
        self.faceset, self._journal, self._lost = faceset, journal, lost

    @property
    def now(self) -> Decisions:
        """What holds at this moment."""
        return _replayed(self._journal.records, self._lost)

    def add(
        self, do: Do, frames: Mapping[str, Iterable[int]], faces: Iterable[str] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> Deed:
        """Write one deed down; when this returns it survives a power cut. Raises DiskRefused."""
        named = {sha256: spans(numbers) for sha256, numbers in frames.items()}
        deed = Deed(self.now.next_number, do, named, tuple(faces), dict(facts or {}), _stamp())
        self._write({
            "do": do, "n": deed.number, "at": deed.at, "faces": list(deed.faces), "facts": dict(deed.facts),
            "frames": {sha256: [list(run) for run in runs] for sha256, runs in named.items()},
        })
        return deed

    def undo(self, deed: Deed) -> None:
        """The latest deed no longer holds."""
        self._write({"do": "undo", "n": self.now.next_number, "of": deed.number, "at": _stamp()})

    def redo(self, deed: Deed) -> None:
        """The latest undone deed holds again."""
        self._write({"do": "redo", "n": self.now.next_number, "of": deed.number, "at": _stamp()})

    def _write(self, record: dict[str, Any]) -> None:
        self._journal.add(record, sync=True)


@contextmanager
def deciding(faceset: Path) -> Iterator[Desk]:
    """Hold the decisions for writing. A lock of its own: one can decide while an extraction runs.

    Raises DiskRefused: another process decides at this moment; the disk refuses. Mismatch: the faceset is packed.
    """
    refuse_packed(faceset)
    make_folder(faceset / PRIVATE)
    lock = FolderLock(faceset / PRIVATE / "review.lock")
    if not lock.acquire():
        raise DiskRefused(
            f"Another facewright process writes down decisions about {faceset.name} at this moment.",
            remedy="Run the same command again.", where=faceset,
        )
    try:
        lost = _mended(faceset)
        journal = Journal(faceset / REVIEW)
        try:
            yield Desk(faceset, journal, lost)
        finally:
            journal.close()
    finally:
        lock.release()


def spans(frames: Iterable[int]) -> Spans:
    """Frame numbers in any order -> runs, ascending."""
    numbers = np.unique(np.fromiter(frames, np.int64))
    if not len(numbers):
        return ()
    ends = np.flatnonzero(np.diff(numbers) > 1)
    firsts, lasts = numbers[np.r_[0, ends + 1]], numbers[np.r_[ends, len(numbers) - 1]]
    return tuple((int(a), int(b)) for a, b in zip(firsts, lasts))


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _lines(data: bytes) -> tuple[list[tuple[dict[str, Any], bytes]], int]:
    """(record, line) of every sound line, and how many are damaged; a torn tail was never acknowledged, nor counts."""
    found, lost = list[tuple[dict[str, Any], bytes]](), 0
    whole = data.rpartition(b"\n")[0]
    for line in whole.split(b"\n") if whole else []:
        crc, _, body = line.partition(b" ")
        body += b"\n"
        try:
            if crc != b"%08x" % zlib.crc32(body):
                raise ValueError("crc")
            record = json.loads(body)
            if not isinstance(record, dict):
                raise ValueError("no record")
            found.append((record, line + b"\n"))
        except (ValueError, RecursionError):
            lost += 1
    return found, lost


def _mended(faceset: Path) -> int:
    """Damaged lines would end the journal for its readers: the file is kept aside as it is, its sound lines stay."""
    path = faceset / REVIEW
    if not path.exists():
        return 0
    data = read_file(path, limit_bytes=_LIMIT_BYTES)
    lines, lost = _lines(data)
    if lost:
        kept = make_folder(faceset / PRIVATE / "damaged") / f"{new_ulid()}-{REVIEW}"
        write_atomic(kept, data)
        write_atomic(path, b"".join(line for _, line in lines))
    return lost


def _replayed(records: Sequence[Mapping[str, Any]], lost: int) -> Decisions:
    done, undone = list[Deed](), list[Deed]()
    unknown, last, reserved = 0, 0, set[str]()
    for record in records:
        last = max(last, _number(record))
        deed = _deed(record)
        if deed is not None:
            done.append(deed)
            undone.clear()
            reserved.update(deed.faces)
        elif record.get("do") in ("undo", "redo"):
            here, there = (done, undone) if record["do"] == "undo" else (undone, done)
            named = [one for one in here if one.number == record.get("of")]
            for one in named[-1:]:
                here.remove(one)
                there.append(one)
        else:
            unknown += 1
    return Decisions(tuple(done), tuple(undone), lost, unknown, last + 1, frozenset(reserved))


def _deed(record: Mapping[str, Any]) -> Deed | None:
    """A record's deed, or None when it is none that this version knows; a hostile one is none either."""
    do, number, frames = record.get("do"), record.get("n"), record.get("frames")
    faces, facts = record.get("faces", []), record.get("facts", {})
    if do not in DEEDS or not _whole(number, _LAST_FRAME) or not isinstance(frames, dict):
        return None
    if not isinstance(faces, list) or not all(isinstance(one, str) for one in faces) or not isinstance(facts, dict):
        return None
    runs: dict[str, Spans] = {}
    for sha256, pairs in frames.items():
        if not isinstance(pairs, list) or not all(_run(pair) for pair in pairs):
            return None
        runs[sha256] = tuple((pair[0], pair[1]) for pair in pairs)
    return Deed(int(number), do, runs, tuple(faces), facts, str(record.get("at", "")))  # type: ignore[arg-type]


def _number(record: Mapping[str, Any]) -> int:
    number = record.get("n")
    return int(number) if _whole(number, _LAST_FRAME) else 0  # type: ignore[arg-type]


def _run(pair: Any) -> bool:
    pair = pair if isinstance(pair, list) else []
    return len(pair) == 2 and all(_whole(n, _LAST_FRAME) for n in pair) and pair[0] <= pair[1]


def _whole(value: Any, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit
