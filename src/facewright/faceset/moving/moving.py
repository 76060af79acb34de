"""Faces of one set -> another, file by file: pixels, masks, labels, points and consent go along.

Files are copied byte for byte; metadata change only where they would mean something else over there: a record of
consent or a name that the whole set gave, an id or a track that is somebody else's there. The same face (same frame,
boxes that overlap) is never there twice: the one with more of the user's work stays, else the larger one.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from facewright.core.errors import DiskRefused, FileRefused
from facewright.core.files import read_file
from facewright.faces.face import Face
from facewright.faces.face import face_id as name_of
from facewright.faceset import header as header_file
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.index import Row, row_of
from facewright.faceset.people.joining import SAME_FACE_IOU, iou, joined, numbered
from facewright.faceset.selection import CHUNK_FRAMES
from facewright.faceset.settings import BATCH_FACES
from facewright.faceset.store import FACES, Writer
from facewright.faceset.trash import take_out


class Placed(NamedTuple):
    """Where a face lies in OUT, and CRC-32 of its file there and of the one it was made of."""

    path: str
    crc: int
    source_crc: int


@dataclass(slots=True)
class Copied:
    """What became of the chosen faces. Paths are relative to their faceset.

    placed: path in the source -> where it lies in OUT, of every face that is there now, copied or there before.
    new: paths in OUT of copied ones. replaced: paths in OUT whose older, lesser file went to OUT's trash. kept: [path
    in the source, path in OUT] where OUT's own file is the better one, and stayed. refused: [path in the source, why]
    of files that cannot be read.
    """

    placed: dict[str, Placed] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    kept: list[list[str]] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)

    def add(self, other: Copied) -> None:
        """Take another batch's results in."""
        self.placed |= other.placed
        self.new += other.new
        self.replaced += other.replaced
        self.kept += other.kept
        self.refused += other.refused


@dataclass(slots=True)
class _Known:
    """A face that is in OUT."""

    row: Row
    ours: bool = False


class Receiver:
    """Takes faces of one source, some of those with the `ids`, into the faceset that `writer` holds, a batch at a time.

    Making one brings OUT's faceset.json up to date first: the films' facts, people by their tracks; and where OUT's
    record or name would come to hold for faces that have none, it is written into OUT's own faces instead.
    names: what the source's numbered people are called in OUT.
    """

    def __init__(self, writer: Writer, source: Faceset, ids: Collection[str]) -> None:
        self.writer, self.source = writer, source
        self._out = Faceset(writer.faceset)
        self._out.index.refresh()
        there: dict[tuple[str, int], list[Row]] = {}
        self._ids: set[str] = set()
        tracks: dict[str, set[str]] = {}
        name = self._out.namer()
        for row in self._out.rows():
            there.setdefault((row.source_sha256, row.frame_index), []).append(row)
            self._ids.add(row.face_id)
            tracks.setdefault(row.track, set()).add(name(row))
        self._there = {place: [_Known(row) for row in rows] for place, rows in there.items()}
        self._paths = {path for (path,) in self._out.index.select("SELECT path FROM faces")}
        self._source_ids, self._source_head, self._source_name = set(ids), source.header, source.namer()
        self.names = numbered(source, self._out, there)
        self._begin(tracks)
        self._head, self._name = self._out.header, self._out.namer()

    def _begin(self, tracks: dict[str, set[str]]) -> None:
        """Look over what comes, and make faceset.json ready for it."""
        films, seen, names = set[str](), set[str](), dict[str, str]()
        free = unnamed = False
        first: Row | None = None
        head = self._source_head
        by_track = {track: person.name for person in head.people for track in person.tracks if not head.person}
        for row in self.source.rows():
            if row.face_id not in self._source_ids:
                continue
            first = first or row
            films.add(row.source_sha256)
            seen.add(row.track)
            free |= not (row.consent or head.consent)
            unnamed |= not self._source_name(row)
            if row.track in by_track:
                names[row.track] = self._called(by_track[row.track])
        if first is None:
            return
        if not self._there and (header_file.load(self._out.path) or Header()) == Header():
            whole = Header(first.face_type, first.side_px, consent=head.consent, person=head.person)
            self.writer.update_header(lambda stored: whole)
        here = self._out.header
        self._unfold(here.consent if free else "", here.person if unnamed else "")
        fit = {track: name for track, name in names.items() if tracks.get(track, {name}) == {name}}
        fresh = {track for track in seen if track not in tracks or track in fit}
        settled = {self._called(person.name) for person in head.people if person.settled}
        self.writer.update_header(lambda stored: joined(stored, head, films, fit, settled, fresh))

    def _called(self, name: str) -> str:
        return self.names.get(name, name)

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

    def take(self, rows: Iterable[Row], mine: Mapping[str, str] | None = None) -> Copied:
        """Copy a batch: all files aside, synced, then renamed.

        mine: path in the source -> path in OUT of faces whose file there is an earlier copy, and gives way. Raises
        DiskRefused.
        """
        found, files = Copied(), list[tuple[str, bytes]]()
        for row in rows:
            try:
                self._take(row, found, files, (mine or {}).get(row.path, ""))
            except FileRefused as error:
                found.refused.append([row.path, error.why or error.what])
        if found.replaced:
            take_out(self.writer, found.replaced, f"better copy came from {self.source.path.name}")
        self.writer.add_files(files)
        return found

    def _take(self, row: Row, found: Copied, files: list[tuple[str, bytes]], mine: str) -> None:
        before = self.source.files.read(row.path)
        face, masked = record.head_of(before, lambda: before, self.source.path / row.path)
        row = row_of(row.path, face, masked)  # as it is now, whatever the index saw
        place = self._there.setdefault((row.source_sha256, row.frame_index), [])
        same = self._same(row, place, mine)
        data, new = self._fitted(row, face, before, same)
        if same is None:
            path = self._free_path(row, new.face_id)
            place.append(_Known(dataclasses.replace(new, path=path), ours=True))
        elif read_file(self._out.path / same.row.path, limit_bytes=record.MAX_FILE_BYTES) == data:
            found.placed[row.path] = Placed(same.row.path, zlib.crc32(data), zlib.crc32(before))
            same.ours = True
            return
        elif not mine and _rank(new) <= _rank(same.row):
            found.kept.append([row.path, same.row.path])
            return
        else:
            path = str(PurePosixPath(same.row.path).with_suffix(PurePosixPath(row.path).suffix))
            found.replaced.append(same.row.path)
            same.row, same.ours = dataclasses.replace(new, path=path), True
        self._paths.add(path)
        self._ids.add(new.face_id)
        files.append((path, data))
        found.placed[row.path] = Placed(path, zlib.crc32(data), zlib.crc32(before))
        found.new.append(path)

    def _same(self, row: Row, place: list[_Known], mine: str) -> _Known | None:
        """The face in OUT that is this one. One that was copied just now is another, however near."""
        if mine:
            return next((known for known in place if known.row.path == mine), None)
        near = [known for known in place if not known.ours and iou(known.row, row) > SAME_FACE_IOU]
        for known in near:
            if known.row.face_id == row.face_id:
                return known
        others = [known for known in near if known.row.face_id not in self._source_ids]
        return max(others, key=lambda known: iou(known.row, row), default=None)

    def _fitted(self, row: Row, face: Face, data: bytes, same: _Known | None) -> tuple[bytes, Row]:
        """The file as it will lie in OUT, and its row there: the source's own bytes where nothing is said anew."""
        change = dict[str, Any]()
        consent, name = row.consent or self._source_head.consent, self._called(self._source_name(row))
        if (row.consent or self._head.consent) != consent:
            change["consent"] = consent
        if self._name(row) != name:
            change |= {"person": name} if name else {"track": f"{row.track}b", "person": ""}
        if same is not None:
            change |= {} if same.row.face_id == row.face_id else {"face_id": same.row.face_id}
        elif row.face_id in self._ids:
            change["face_id"] = self._free_id(row)
        if not change:
            return data, row
        face = dataclasses.replace(face, **change)
        data = record.replace_metadata(data, face, record.decode_mask(data, self.source.path / row.path))
        return data, row_of(row.path, face, bool(row.has_mask))

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
