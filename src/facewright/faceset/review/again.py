"""Step: look once more at chosen frames of a film that is extracted, with other settings of detection.

What a person placed or moved stays, and no second face is put on it. What is replaced lies in the trash; `faces undo`
takes the whole look back. One item is up to 32 of the chosen frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import Mismatch
from facewright.core.step import Item, Likeness, Work
from facewright.faces.face import Face, SourceRef, face_id
from facewright.faces.find import FoundFace
from facewright.faces.settings import DetectSettings
from facewright.faceset import trash
from facewright.faceset.cut import Cutting, finish_face, plan_face
from facewright.faceset.extraction.extract import Finder, house_finder
from facewright.faceset.faceset import Faceset
from facewright.faceset.films import frames_at
from facewright.faceset.index import Index, Row, row_of
from facewright.faceset.neighbours import box_of, by_hand, covered, follow, free_ordinal, shot_of
from facewright.faceset.review import decisions, edits
from facewright.faceset.review.decisions import Deed
from facewright.faceset.review.review import one_film
from facewright.faceset.settings import CHUNK_FRAMES, AgainSettings, ExtractSettings
from facewright.faceset.store import FACES, Writer
from facewright.media.frame import Frame, Video
from facewright.media.reader import open_video

FOLDER = "again"
"""Folder of such files beside the chunks of the extraction."""
_SAME_PX = 0.01


@dataclass(slots=True)
class Looked:
    """What one item gave: new files (path in the faceset, bytes), paths they replace, and counts for the summary."""

    frames: list[int]
    changed: list[int] = field(default_factory=list)
    files: list[tuple[str, bytes]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    old: list[str] = field(default_factory=list)
    found: int = 0
    unchanged: int = 0
    by_hand: int = 0
    empty: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    deed: Deed | None = None


class AgainStep:
    """Look again at `frames` (runs: first, last) of the film `film` (a path) for the faceset `faceset`."""

    stage = "again"
    settings: AgainSettings

    def __init__(
        self, faceset: str, film: str, frames: list[list[int]], settings: AgainSettings | None = None,
        make_finder: Callable[[DetectSettings], Finder] | None = None,
    ) -> None:
        self.folder, self.film = Path(faceset).resolve(), str(Path(film).resolve())
        self.frames = [list(run) for run in frames]
        self.settings = settings or AgainSettings()
        self._make_finder = make_finder or house_finder
        self._writer = Writer(self.folder)
        self._run = ""

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "film": self.film, "frames": self.frames}

    def likenesses(self) -> list[Likeness]:
        """None: looking needs no permit."""
        return []

    def inputs(self) -> dict[str, str]:
        """The film."""
        return {self.video.path.name: self.video.sha256}

    @cached_property
    def video(self) -> Video:
        """The opened film. Raises FileRefused."""
        return open_video(Path(self.film))

    def plan(self) -> list[Item]:
        """Items of up to 32 chosen frames. Raises NothingFound, Mismatch (the film's extraction is not finished)."""
        faceset = Faceset.open(self.folder, refresh=False)
        film = one_film(faceset, self.video.sha256)
        source = faceset.header.source(film.sha256)
        if source is not None and not source.done:
            raise Mismatch(
                f"The extraction of {film.name} is not finished.", where=self.folder,
                remedy="Let it end first (the same extract command goes on), then look again.")
        last = self.video.frame_count or 0
        chosen = [n for first, end in self.frames for n in range(first, min(end, last - 1) + 1)]
        groups = [chosen[at : at + CHUNK_FRAMES] for at in range(0, len(chosen), CHUNK_FRAMES)]
        return [Item(f"{film.sha256[:8]}:{group[0]:07d}", group) for group in groups]

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Looked]]:
        """Results in order. Ids and replaced files that an earlier run wrote down are kept to the letter."""
        cv2.setNumThreads(1)
        self._run = work.job
        total, seen = sum(len(item.payload) for item in todo), 0
        with self._writer:
            faceset = Faceset.open(self.folder)
            known = list(faceset.rows(source_sha256=self.video.sha256))
            told = decisions.read(self.folder)
            written = {str(deed.facts.get("item")): deed for deed in (*told.deeds, *told.undone)
                       if deed.facts.get("run") == self._run}
            finder = self._make_finder(self.settings.detection())
            look = _Look(faceset, self.video, self.settings, finder, known, set(told.reserved))
            for item in work.until_stopped(todo):
                result = look(item.payload, written.get(item.id))
                yield item, result
                seen += len(item.payload)
                work.progress(seen, total, faces=result.found)

    def commit(self, item: Item, result: Looked) -> dict[str, Any]:
        """The deed first, then new files, then the old ones into the trash: killed anywhere, it is done again alike."""
        with self._writer as writer:
            if result.changed:
                deed = result.deed
                if deed is None:
                    paths = [path for path, _ in result.files]
                    facts = edits.replacing(result.old, paths, self._run, item=item.id)
                    with decisions.deciding(self.folder) as desk:
                        deed = desk.add("again", {self.video.sha256: result.changed}, result.ids, facts)
                writer.add_files(result.files)
                trash.take_out(writer, result.old, edits.LOOKED_AGAIN, str(deed.facts["taken"]))
        return {
            "frames": len(result.frames), "new": len(result.files), "replaced": len(result.old),
            "unchanged": result.unchanged, "by_hand": result.by_hand, "empty": result.empty, "damaged": result.damaged,
        }

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Counts over all items."""
        Index(self.folder).refresh()
        rows = list(records.values())
        counts = {key: sum(row[key] for row in rows) for key in ("frames", "new", "replaced", "unchanged", "by_hand")}
        return {"faceset": str(self.folder), "film": Path(self.film).name, **counts,
                "without_face": [n for row in rows for n in row["empty"]],
                "damaged": [n for row in rows for n in row["damaged"]]}


class _Look:
    """The nets, and what is known of the film's faces, the new ones included."""

    def __init__(
        self, faceset: Faceset, video: Video, settings: AgainSettings, finder: Finder, known: list[Row],
        reserved: set[str],
    ) -> None:
        self._faceset, self._video, self._settings, self._finder = faceset, video, settings, finder
        self._known, self._reserved = known, reserved
        header = faceset.header
        source = header.source(video.sha256)
        self._name = source.file if source is not None else known[0].source_file
        stored = source.settings if source is not None else {}
        kind = header.face_type or (known[0].face_type if known else "whole_face")
        side = header.side_px or (known[0].side_px if known else 512)
        same = {name: stored[name] for name in ("jpeg_quality", "crop") if name in stored}
        cutting = ExtractSettings.model_validate({**same, "face_type": kind})
        self._how = Cutting(
            cutting, side, finder.detector_name, finder.nets, header.person if known and known[0].person else "",
            header.consent)

    def __call__(self, frames: list[int], written: Deed | None) -> Looked:
        result = Looked(frames, deed=written)
        pictures = list(frames_at(self._video, frames))
        result.damaged = sorted(set(frames) - {picture.index for picture in pictures})
        ids = list(written.faces) if written is not None else []
        for picture, faces in zip(pictures, self._finder.find(pictures)):
            self._frame(picture, faces, ids, result)
        if written is not None:
            result.old = [str(path) for path in written.facts.get("old", [])]
        return result

    def _frame(self, picture: Frame, faces: list[FoundFace], ids: list[str], result: Looked) -> None:
        # What an earlier, killed run of this very item had written already is not what was there before it.
        here = [row for row in self._known if row.frame_index == picture.index and row.face_id not in ids]
        hand = [row for row in here if by_hand(row)]
        rest = [row for row in here if not by_hand(row)]
        result.by_hand += len(hand)
        result.found += len(faces)
        fixed = [box_of(row) for row in (here if self._settings.only_new else hand)]
        fresh = [one for one in self._kept(faces) if not covered(one.detection.box_px, fixed)]
        same = {id(one): row for one in fresh for row in rest if self._is_same(one, row)}
        result.unchanged += len(same)
        fresh = [one for one in fresh if id(one) not in same]
        gone = [] if self._settings.only_new else [row for row in rest if row not in same.values()]
        if not fresh and not same:
            gone = []  # nothing better was found: what is there stays
        made = [face for one in fresh if (face := self._made(one, picture, here, ids, result)) is not None]
        if not here and not made:
            result.empty.append(picture.index)
        if made or gone:
            result.changed.append(picture.index)
            result.old += [row.path for row in gone]

    def _made(self, one: FoundFace, picture: Frame, here: list[Row], ids: list[str], result: Looked) -> Face | None:
        sha256, frame, box = self._video.sha256, picture.index, one.detection.box_px
        taken = {row.track for row in self._known if row.frame_index == frame and by_hand(row)}
        before = follow(self._known, frame, box, taken)
        place = next((at for at, name in enumerate(ids) if name.startswith(f"{sha256[:8]}_{frame:07d}_")), None)
        name = ids.pop(place) if place is not None else face_id(
            sha256, frame, free_ordinal(self._known, sha256, frame, self._reserved))
        self._reserved.add(name)
        file = f"{self._name}/{self._video.stills[frame]}" if self._video.stills else self._name
        source = SourceRef(file, sha256, frame, picture.pts, picture.time_base, shot_of(self._known, frame))
        track = before.track if before is not None else f"{name.rpartition('_')[0]}_a{name.rpartition('_')[2]}"
        cut = plan_face(one, picture.image, source, 0, track, self._how)
        if cut is None:
            return None
        face = dataclasses.replace(cut.face, face_id=name)
        if before is not None:
            face = dataclasses.replace(face, consent=before.consent, person=before.person)
        file_name, data, face = finish_face(dataclasses.replace(cut, face=face), self._how.settings)
        path = f"{FACES}/{sha256[:8]}/{FOLDER}/{file_name}"
        result.files.append((path, data))
        result.ids.append(name)
        self._known.append(row_of(path, face, False))
        return face

    def _kept(self, faces: list[FoundFace]) -> list[FoundFace]:
        """Sure enough, and the largest of them."""
        sure = [one for one in faces if one.presence_01 >= self._settings.min_presence]
        sure.sort(key=lambda one: -np.prod(np.subtract(one.detection.box_px[2:], one.detection.box_px[:2])))
        return sure[: self._settings.max_faces or None]

    def _is_same(self, one: FoundFace, row: Row) -> bool:
        """Whether this find is the face that is there, to the hundredth of a pixel."""
        if np.abs(np.subtract(one.detection.box_px, box_of(row))).max() > 1.0:
            return False
        points = self._faceset.face(row.face_id).points_px
        return bool(np.abs(points - one.landmarks.points_px).max() < _SAME_PX)
