"""Faces of one set -> another, file by file: pixels, masks, labels, points and consent go along.

Files are copied byte for byte; metadata change only where they would mean something else over there: a record of
consent or a name that the whole set gave, an id or a track that is somebody else's there. The same face (same frame,
boxes that overlap) is never there twice: the one with more of the user's work stays, else the larger one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facewright.core.errors import DiskRefused, FileRefused
from facewright.core.files import read_file
from facewright.faces.face import Face
from facewright.faces.face import face_id as name_of
from facewright.faceset import header as header_file
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person
from facewright.faceset.index import Row, row_of
from facewright.faceset.selection import CHUNK_FRAMES
from facewright.faceset.store import FACES, Writer, refuse_place
from facewright.faceset.trash import take_out

BATCH_FACES = 64
SAME_FACE_IOU = 0.5
"""Boxes of one frame that overlap by more are one face, found twice."""


@dataclass(slots=True)
class Copied:
    """What became of the chosen faces. Paths are relative to their faceset.

    paths: in the source -> in OUT, of every face that is there now, copied or there before. new: copied ones.
    replaced: paths in OUT whose older, lesser file went to OUT's trash. kept: (path in the source, path in OUT) where
    OUT's own file is the better one, and stayed. refused: (path in the source, why) of files that cannot be read.
    """

    paths: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Copied) -> None:
        """Take another batch's results in."""
        self.paths |= other.paths
        self.new += other.new
        self.replaced += other.replaced
        self.kept += other.kept
        self.refused += other.refused


def copy_faces(
    source: Faceset, ids: Collection[str] | None, out: Path, *, writer: Writer | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Copied:
    """Copy faces (by id; None: all) of `source` into the faceset `out`, which is made where it is not there.

    writer: one that holds `out` already. Killed anywhere, the same call goes on. Raises DiskRefused (full; no place for
    a faceset), FileRefused (a damaged faceset.json), Mismatch (`out` is the source, or a packed file).
    """
    refuse_place(out, source.path)
    if writer is None:
        with Writer(out) as own:
            own.sweep()
            return copy_faces(source, ids, out, writer=own, progress=progress)
    total = len(source) if ids is None else len(ids)
    receiver, found, done = Receiver(writer, source, ids), Copied(), 0
    rows = chosen(source, ids)
    while batch := list(islice(rows, BATCH_FACES)):
        found.add(receiver.take(batch))
        done += len(batch)
        progress(done, total)
    Faceset(out).index.refresh()
    return found


def chosen(source: Faceset, ids: Collection[str] | None) -> Iterator[Row]:
    """The rows of these faces (None: all), in the set's order."""
    wanted = None if ids is None else set(ids)
    return (row for row in source.rows() if wanted is None or row.face_id in wanted)


@dataclass(slots=True)
class _Known:
    """A face that is in OUT."""

    row: Row
    ours: bool = False


class Receiver:
    """Takes faces of one source into the faceset that `writer` holds, a batch at a time.

    Making one brings OUT's faceset.json up to date first: the films' facts, people by their tracks; and where OUT's
    record or name would come to hold for faces that have none, it is written into OUT's own faces instead.
    """

    def __init__(self, writer: Writer, source: Faceset, ids: Collection[str] | None = None) -> None:
        self.writer, self.source = writer, source
        self._out = Faceset(writer.faceset)
        self._out.index.refresh()
        self._there: dict[tuple[str, int], list[_Known]] = {}
        self._paths = {path for (path,) in self._out.index.select("SELECT path FROM faces")}
        self._ids: set[str] = set()
        self._source_ids: set[str] = set()
        self._source_head, self._source_name = source.header, source.namer()
        tracks: dict[str, set[str]] = {}
        name = self._out.namer()
        for row in self._out.rows():
            self._there.setdefault((row.source_sha256, row.frame_index), []).append(_Known(row))
            self._ids.add(row.face_id)
            tracks.setdefault(row.track, set()).add(name(row))
        self._begin(ids, tracks)
        self._head, self._name = self._out.header, self._out.namer()

    def _begin(self, ids: Collection[str] | None, tracks: dict[str, set[str]]) -> None:
        """Look over what comes, and make faceset.json ready for it."""
        films, seen, names = set[str](), set[str](), dict[str, str]()
        free = unnamed = False
        first: Row | None = None
        own = self._source_head.consent
        by_track = {track: person.name for person in self._source_head.people for track in person.tracks}
        for row in chosen(self.source, ids):
            first = first or row
            films.add(row.source_sha256)
            seen.add(row.track)
            self._source_ids.add(row.face_id)
            free |= not (row.consent or own)
            unnamed |= not self._source_name(row)
            if row.track in by_track and not self._source_head.person:
                names[row.track] = by_track[row.track]
        if first is None:
            return
        if not self._there and (header_file.load(self._out.path) or Header()) == Header():
            whole = Header(first.face_type, first.side_px, consent=own, person=self._source_head.person)
            self.writer.update_header(lambda stored: whole)
        head = self._out.header
        self._unfold(head.consent if free else "", head.person if unnamed else "")
        fit = {track: name for track, name in names.items() if tracks.get(track, {name}) == {name}}
        fresh = {track for track in seen if track not in tracks or track in fit}
        self.writer.update_header(lambda stored: _joined(stored, self._source_head, films, fit, fresh))

    def _unfold(self, consent: str, person: str) -> None:
        """Write what the whole set said into its faces, then take it out of faceset.json."""
        if not consent and not person:
            return
        todo = (row for row in self._out.rows() if (consent and not row.consent) or (person and not row.person))
        while batch := list(islice(todo, BATCH_FACES)):
            self.writer.write_faces(map(lambda row: self._with(row, consent, person), batch))
        self.writer.update_header(lambda stored: dataclasses.replace(
            stored, consent="" if consent else stored.consent, person="" if person else stored.person))

    def _with(self, row: Row, consent: str, person: str) -> tuple[Path, Face, np.ndarray | None]:
        path = self._out.path / row.path
        face = record.read_face(path)
        changed = dataclasses.replace(face, consent=face.consent or consent, person=face.person or person)
        return path, changed, record.read_mask(path)

    def take(self, rows: Sequence[Row]) -> Copied:
        """Copy a batch: all files aside, synced, then renamed. Raises DiskRefused."""
        found, files = Copied(), list[tuple[str, bytes]]()
        for row in rows:
            try:
                self._take(row, found, files)
            except FileRefused as error:
                found.refused.append((row.path, error.why or error.what))
        if found.replaced:
            take_out(self.writer, found.replaced, f"better copy came from {self.source.path.name}")
        self.writer.add_files(files)
        return found

    def _take(self, row: Row, found: Copied, files: list[tuple[str, bytes]]) -> None:
        place = self._there.setdefault((row.source_sha256, row.frame_index), [])
        same = self._same(row, place)
        data, new = self._fitted(row, same)
        if same is None:
            path = self._free_path(row, new.face_id)
            place.append(_Known(dataclasses.replace(new, path=path), ours=True))
        elif _rank(new) <= _rank(same.row):
            if read_file(self._out.path / same.row.path, limit_bytes=record.MAX_FILE_BYTES) == data:
                found.paths[row.path] = same.row.path
            else:
                found.kept.append((row.path, same.row.path))
            return
        else:
            path = str(PurePosixPath(same.row.path).with_suffix(PurePosixPath(row.path).suffix))
            found.replaced.append(same.row.path)
            same.row, same.ours = dataclasses.replace(new, path=path), True
        self._paths.add(path)
        self._ids.add(new.face_id)
        files.append((path, data))
        found.paths[row.path] = path
        found.new.append(path)

    def _same(self, row: Row, place: list[_Known]) -> _Known | None:
        """The face in OUT that is this one. One that was copied just now is another, however near."""
        near = [known for known in place if not known.ours and _iou(known.row, row) > SAME_FACE_IOU]
        for known in near:
            if known.row.face_id == row.face_id:
                return known
        others = [known for known in near if known.row.face_id not in self._source_ids]
        return max(others, key=lambda known: _iou(known.row, row), default=None)

    def _fitted(self, row: Row, same: _Known | None) -> tuple[bytes, Row]:
        """The file as it will lie in OUT, and its row there: the source's own bytes where nothing is said anew."""
        data, change = self.source.files.read(row.path), dict[str, Any]()
        consent, name = row.consent or self._source_head.consent, self._source_name(row)
        if (row.consent or self._head.consent) != consent:
            change["consent"] = consent
        if self._name(row) != name:
            change |= {"person": name} if name else {"track": f"{row.track}b", "person": ""}
        if same is not None:
            change |= {} if same.row.face_id == row.face_id else {"face_id": same.row.face_id}
        elif row.face_id in self._ids:
            change["face_id"] = self._free_id(row)
        where = self.source.path / row.path
        face, masked = record.head_of(data, lambda: data, where)
        if change:
            face = dataclasses.replace(face, **change)
            data = record.replace_metadata(data, face, record.decode_mask(data, where))
        return data, row_of(row.path, face, masked)

    def _free_id(self, row: Row) -> str:
        """The next ordinal of its frame that nobody has, here or there."""
        ids = (name_of(row.source_sha256, row.frame_index, ordinal) for ordinal in count())
        return next(name for name in ids if name not in self._ids and name not in self._source_ids)

    def _free_path(self, row: Row, name: str) -> str:
        """faces/<film>/<chunk>/<id>: the chunk's folder as it was, else by the frame's number."""
        parts, film = PurePosixPath(row.path).parts, row.source_sha256[:8]
        as_made = len(parts) == 4 and parts[1] == film
        chunk = parts[2] if as_made else f"{row.frame_index // CHUNK_FRAMES * CHUNK_FRAMES:07d}"
        suffix = PurePosixPath(row.path).suffix
        for tail in ("", *(f"-{number}" for number in range(2, 1000))):
            path = f"{FACES}/{film}/{chunk}/{name}{tail}{suffix}"
            if path not in self._paths and not (self._out.path / path).exists():
                return path
        raise DiskRefused(f"There is no free name for {name}.", remedy="Copy into another folder.", where=path)


def _rank(row: Row) -> tuple[float, ...]:
    """How much of the user's work a face carries, then how large and sure it is."""
    return (row.edited, row.labels > 0, row.has_mask, row.side_px, row.presence_01)


def _iou(a: Row, b: Row) -> float:
    width = min(a.x1_px, b.x1_px) - max(a.x0_px, b.x0_px)
    height = min(a.y1_px, b.y1_px) - max(a.y0_px, b.y0_px)
    both = max(width, 0.0) * max(height, 0.0)
    areas = [(r.x1_px - r.x0_px) * (r.y1_px - r.y0_px) for r in (a, b)]
    return both / max(sum(areas) - both, 1e-9)


def _joined(stored: Header, source: Header, films: set[str], names: dict[str, str], fresh: set[str]) -> Header:
    """OUT's header with the source's films, the names of its tracks, and which of the `fresh` ones are one head."""
    head = stored
    for film in source.sources:
        known = head.source(film.sha256)
        if film.sha256 in films:
            head = head.with_source(film if known is None else dataclasses.replace(known, done=known.done or film.done))
    people = {person.name: person for person in head.people}
    settled = {person.name for person in source.people if person.settled}
    named = {track for person in head.people for track in person.tracks}
    for track, name in names.items():
        if track not in named and not head.person:
            before = people.get(name, Person(name, ()))
            people[name] = Person(name, (*before.tracks, track), before.settled or name in settled)
    known_parts = set(head.whole_tracks)
    wholes = [whole for whole in source.tracks if fresh.intersection(whole) and not known_parts.intersection(whole)]
    return dataclasses.replace(head, people=tuple(people.values()), tracks=(*head.tracks, *wholes))
