"""Step: steadier landmarks for a whole faceset, track by track and shot by shot; 128 faces are written together.

Every face keeps its raw points, and those that a person set; smoothing starts from these each time, so it can be done
again with another strength, and strength 0 takes it back. Pictures stay as they are: a crop says itself how it was cut.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.core.step import Item, Likeness, Work
from facewright.faces.face import Face
from facewright.faces.smooth import jitter, smoothed
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.recut import kept
from facewright.faceset.settings import SmoothSettings
from facewright.faceset.store import Writer

BATCH_FACES = 128
INTERPOLATED = "interpolated"
"""Flag of a face that nobody saw: put in between its neighbours (gaps.py)."""

_LEAST_WEIGHT = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """New points of some faces, in the order of their item; None: the raw ones count."""

    points: list[np.ndarray | None]


class SmoothStep:
    """Steady the landmarks of a faceset, or of one `person` in it."""

    stage = "smooth"
    settings: SmoothSettings

    def __init__(self, faceset: str, settings: SmoothSettings | None = None, person: str = "") -> None:
        self.folder = Path(faceset).resolve()
        self.settings, self.person = settings or SmoothSettings(), person
        self._writer = Writer(self.folder)
        self._facts: dict[str, Any] = {}

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "person": self.person}

    def likenesses(self) -> list[Likeness]:
        """None: no picture of a person is changed."""
        return []

    def inputs(self) -> dict[str, str]:
        """Which faces, and which of them a person has set."""
        lines = "\n".join(f"{row.face_id} {row.edited} {row.track} {row.shot}" for row in self.rows)
        tracks = repr(Faceset(self.folder).header.tracks)
        return {"faces": hashlib.sha256(f"{lines}\n{tracks}".encode("utf-8", "surrogatepass")).hexdigest()}

    @cached_property
    def rows(self) -> list[Row]:
        """The chosen faces, in the set's order. Raises FileRefused, NothingFound."""
        faceset = Faceset.open(self.folder)
        found = list(faceset.rows_of(self.person))
        if not found:
            who = f" of {self.person}" if self.person else ""
            raise NothingFound(
                f"There are no faces{who} in {self.folder.name}.",
                remedy="`facewright faces people FACESET` lists who is there.", where=self.folder)
        return found

    def plan(self) -> list[Item]:
        """One item per 128 faces. Raises FacewrightError."""
        return [Item(f"{at // BATCH_FACES:06d}", self.rows[at : at + BATCH_FACES])
                for at in range(0, len(self.rows), BATCH_FACES)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether as many of its faces are smoothed as there were when it was done."""
        return sum(row.smoothed for row in item.payload) == record["smoothed"]

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Every face is read once; the tracks are smoothed whole; then the items follow in order."""
        with self._writer as writer:
            writer.sweep()
            points = self._smoothed(work)
            done = len(self.rows) - sum(len(item.payload) for item in todo)
            for item in work.until_stopped(todo):
                yield item, Result([points.get(row.face_id) for row in item.payload])
                done += len(item.payload)
                work.progress(done, len(self.rows))

    def commit(self, item: Item, result: Result) -> dict[str, Any]:
        """Write the batch's files together; those that stay the same are not touched."""
        refused = list[tuple[str, str]]()
        with self._writer as writer:
            changes = list(self._changes(item.payload, result, refused))
            changed = writer.write_faces(changes)
        return {
            "faces": len(item.payload), "changed": changed, "refused": refused,
            "smoothed": sum(face.smoothed_px is not None for _, face, _ in changes),
        }

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Count, and bring the index in step. jitter_before, jitter_after: % of the distance of the eyes, raw against
        what counts now; None where every face was done in an earlier session."""
        Faceset.open(self.folder)
        facts = {"tracks": None, "rejected": None, "jitter_before": None, "jitter_after": None} | self._facts
        return {
            "faceset": str(self.folder), "strength": self.settings.strength, **facts,
            **{name: sum(r[name] for r in records.values()) for name in ("faces", "changed", "smoothed")},
            "refused": [list(pair) for r in records.values() for pair in r["refused"]],
        }

    def _smoothed(self, work: Work) -> dict[str, np.ndarray]:
        """Face id -> new points, of faces whose points change."""
        if not self.settings.strength:
            return {}
        tracks = read_tracks(Faceset(self.folder), self.rows, lambda done, total: work.progress(done, total, "reading"))
        found: dict[str, np.ndarray] = {}
        before, after, rejected = list[np.ndarray](), list[np.ndarray](), 0
        for track in tracks:
            new = smoothed(track.times_s, track.points_px, self.settings.strength, weights=track.weights,
                           truth=track.truth)
            moved = (new.points_px != track.points_px).any((1, 2)) & ~track.truth
            found |= {track.ids[i]: new.points_px[i] for i in np.flatnonzero(moved)}
            rejected += int(new.rejected.any(1).sum())
            before.append(jitter(track.times_s, track.points_px))
            after.append(jitter(track.times_s, new.points_px))
        self._facts = {"tracks": len(tracks), "rejected": rejected, "jitter_before": _middle(before),
                       "jitter_after": _middle(after)}
        return found

    def _changes(
        self, rows: list[Row], result: Result, refused: list[tuple[str, str]]
    ) -> Iterator[tuple[Path, Face, np.ndarray | None]]:
        for row, points in zip(rows, result.points):
            path = self.folder / row.path
            try:
                face, mask = record.read_face(path), record.read_mask(path)
            except FileRefused as error:  # one damaged file must not keep the others from theirs
                refused.append((row.path, error.why or error.what))
                continue
            yield path, with_smoothed(face, points), mask


@dataclass(frozen=True, slots=True, eq=False)
class TrackPoints:
    """One head over one shot, in the order of time: ids, times (T,), points that smoothing starts from (T, 68, 2)
    float32, weights (T,), truth (T,) bool (set by a person)."""

    ids: list[str]
    times_s: np.ndarray
    points_px: np.ndarray
    weights: np.ndarray
    truth: np.ndarray


def read_tracks(
    faceset: Faceset, rows: list[Row], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[TrackPoints]:
    """Rows of a set -> its tracks over whole shots. Files that cannot be read, faces without a track and a second
    face of one moment are left out."""
    wholes = faceset.header.whole_tracks
    groups: dict[tuple[str, str, int], list[tuple[float, str, np.ndarray, float, bool]]] = {}
    for place, row in enumerate(rows):
        if place % BATCH_FACES == 0:
            progress(place, len(rows))
        if not row.track:
            continue
        try:
            face = record.read_face(faceset.path / row.path)
        except FileRefused:
            continue
        edited = face.edited_px is not None
        points = face.edited_px if face.edited_px is not None else face.points_px
        key = (row.source_sha256, wholes.get(row.track, row.track), row.shot)
        moment = float(face.source.pts * face.source.time_base)
        groups.setdefault(key, []).append((moment, row.face_id, points, _weight(face), edited))
    return [_track(found) for found in groups.values()]


def _track(found: list[tuple[float, str, np.ndarray, float, bool]]) -> TrackPoints:
    found = sorted(found, key=lambda one: one[:2])
    times = np.array([one[0] for one in found])
    kept = [found[i] for i in np.flatnonzero(np.diff(times, prepend=-np.inf) > 0)]
    return TrackPoints(
        [one[1] for one in kept], np.array([one[0] for one in kept]), np.stack([one[2] for one in kept]),
        np.array([one[3] for one in kept]), np.array([one[4] for one in kept]))


def _weight(face: Face) -> float:
    """How far a face's points are to be relied on, 0..1."""
    if INTERPOLATED in face.flags:
        return 0.0
    return _LEAST_WEIGHT if "five_points" in face.flags else float(np.clip(face.presence_01, _LEAST_WEIGHT, 1.0))


def with_smoothed(face: Face, points_px: np.ndarray | None) -> Face:
    """The face with these smoothed points, or none (those of a person count before them)."""
    return kept(dataclasses.replace(face, smoothed_px=points_px if face.edited_px is None else None))


def _middle(values: list[np.ndarray]) -> float | None:
    every = np.concatenate([v.ravel() for v in values]) if values else np.zeros(0)
    return round(float(np.median(every)), 4) if every.size else None
