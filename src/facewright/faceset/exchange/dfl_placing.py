"""Which face file is of which frame: faces to be imported in the order of their frames, some 64 to a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from facewright.core.errors import FileRefused
from facewright.faces.face import SourceRef, face_id
from facewright.faceset.exchange.dfl_file import opened
from facewright.faceset.exchange.dfl_frames import Frames
from facewright.faceset.exchange.dfl_places import Entry, Place, numbered
from facewright.faceset.settings import BATCH_FACES


@dataclass(frozen=True, slots=True)
class Placed:
    """A face file and the frame it is of: index there, place among the frame's faces; of one that comes back, its
    source."""

    entry: Entry
    frame_name: str
    frame_index: int
    ordinal: int
    source: SourceRef | None = None

    @property
    def id_there(self) -> str:
        """The id that a face of ours left with, or ""."""
        return self.entry.known.face_id if self.entry.known is not None else ""

    def id_in(self, source: SourceRef) -> str:
        """The face's id: that one, or a new one after its frame."""
        return self.id_there or face_id(source.sha256, source.frame_index, self.ordinal)


@dataclass(frozen=True, slots=True)
class Batch:
    """Faces that are committed together."""

    frames: Frames
    faces: tuple[Placed, ...]

    @property
    def start(self) -> int:
        """The first frame's number: names the folder."""
        return self.faces[0].frame_index


def placed(place: Place, film: str) -> list[tuple[Frames, list[Placed]]]:
    """The frames' source, or one for each person's folder, with its faces in order. film: "" where it is not at hand.
    Raises FacewrightError."""
    found = _returned([one for one in place.entries if one.known is not None])
    entries = [one for one in place.entries if one.known is None]
    if film and entries:
        frames = Frames.of(Path(film))
        return [*found, (frames, _in_order(frames, entries))]
    for person, group in groupby(entries, key=lambda one: one.person):
        mine = list(group)
        name = f"{place.label} ({person})" if person else place.label
        frames = Frames(name, _made_up(person, mine[0]), numbered(sorted({_frame_name(e) for e in mine})))
        found.append((frames, _in_order(frames, mine)))
    return found


def batches(frames: Frames, faces: Sequence[Placed]) -> Iterator[Batch]:
    """Some 64 faces each; a frame is never divided."""
    batch: list[Placed] = []
    for _, group in groupby(faces, key=lambda one: one.frame_index):
        frame = list(group)
        if batch and len(batch) + len(frame) > BATCH_FACES:
            yield Batch(frames, tuple(batch))
            batch = []
        batch += frame
    if batch:
        yield Batch(frames, tuple(batch))


def _returned(entries: list[Entry]) -> list[tuple[Frames, list[Placed]]]:
    """Faces of ours that come back, by their films."""
    rows = sorted((one.known.source.sha256, one.known.source.frame_index, one.known.face_id, at)
                  for at, one in enumerate(entries) if one.known is not None)
    found: list[tuple[Frames, list[Placed]]] = []
    for sha256, group in groupby(rows, key=lambda row: row[0]):
        mine = [entries[at] for *_, at in group]
        first = mine[0].known
        assert first is not None
        told = first.records.source(first.source)
        placed = [Placed(e, _frame_name(e), e.known.source.frame_index, 0, e.known.source) for e in mine if e.known]
        twice = {e.known.face_id for e in mine if e.known}
        frames = Frames(told.file, sha256, {}, None, told)
        found.append((frames, placed if len(twice) == len(placed) else _once(placed)))
    return found


def _frame_name(entry: Entry) -> str:
    """Faces that name no frame are a frame each, called as they are themselves."""
    return entry.frame_name or entry.name.rpartition("/")[2]


def _once(placed: list[Placed]) -> list[Placed]:
    """A face that was copied over there comes back once."""
    return list({one.id_there: one for one in reversed(placed)}.values())[::-1]


def _in_order(frames: Frames, entries: list[Entry]) -> list[Placed]:
    """Faces in the order of their frames, those of one frame in the order of their names."""
    rows = []
    for at, entry in enumerate(entries):
        source = frames.place(_frame_name(entry))
        rows.append((source.frame_index if source is not None else -1, at, entry))
    found: list[Placed] = []
    for index, group in groupby(sorted(rows, key=lambda row: row[:2]), key=lambda row: row[0]):
        found += [Placed(entry, _frame_name(entry), index, place) for place, (_, _, entry) in enumerate(group)]
    return found


def _made_up(person: str, first: Entry) -> str:
    """The digest that stands for an unknown film: of the first face's picture, without its facts."""
    try:
        data = first.read()
        picture = opened(data).picture
    except (FileRefused, ValueError):
        picture = first.name.encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"DeepFaceLab\0" + person.encode("utf-8", "surrogatepass") + b"\0" + picture).hexdigest()
