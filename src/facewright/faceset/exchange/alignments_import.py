"""Step: faceswap's alignments and their film -> a faceset. The faces are cut anew from the frames, one item is 32."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import Mismatch, SettingRefused
from facewright.core.files import sha256_of
from facewright.core.step import Item, Likeness, Work
from facewright.faces.face import Detection, SourceRef
from facewright.faces.find import FoundFace
from facewright.faces.landmark import Landmarks
from facewright.faces.posed import posed
from facewright.faceset import header as header_file
from facewright.faceset.ahead import ahead
from facewright.faceset.cut import Cutting, finish_face, plan_face
from facewright.faceset.exchange.alignments import Aligned, by_frame, read_alignments
from facewright.faceset.exchange.dfl_frames import Frames
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.settings import CHUNK_FRAMES, ExtractSettings, FacesImportSettings
from facewright.faceset.store import Writer, chunk_folder, refuse_place
from facewright.media.frame import Frame
from facewright.media.reader import frames as read_frames

PROGRAM = "faceswap"

Row = tuple[SourceRef, list[Aligned]]
"""A frame and its faces from left to right."""


@dataclass(slots=True)
class Result:
    """One batch before it is on disk."""

    files: list[tuple[str, bytes]]
    refused: list[tuple[str, str]]


class AlignmentsStep:
    """Cut the faces of `alignments` out of the film or folder of pictures `frames`, into the folder `faceset`."""

    stage = "import_alignments"
    settings: FacesImportSettings

    def __init__(
        self, alignments: str, faceset: str, settings: FacesImportSettings | None = None, frames: str = "",
        person: str = "", consent: str = "",
    ) -> None:
        if not frames:
            raise SettingRefused(
                "Alignments hold no pictures.", why="The faces are cut out of the film that they belong to.",
                remedy="Add --footage FILM, or the folder of frames.", where="--footage",
            )
        self.path, self.folder = Path(alignments).resolve(), Path(faceset).resolve()
        self.settings = settings or FacesImportSettings()
        self.film, self.person, self.consent = str(Path(frames).resolve()), person, consent
        self._writer = Writer(self.folder)

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"alignments": str(self.path), "faceset": str(self.folder), "frames": self.film, "person": self.person,
                "consent": self.consent}

    def likenesses(self) -> list[Likeness]:
        """None: as extraction."""
        return []

    def inputs(self) -> dict[str, str]:
        """Digests of the file and the film."""
        return {"alignments": self._digest, "frames": self.frames.sha256}

    @cached_property
    def frames(self) -> Frames:
        """The film. Raises FileRefused."""
        return Frames.of(Path(self.film))

    @cached_property
    def read(self) -> tuple[list[Row], list[tuple[str, str]], int]:
        """(frames with their faces in order, (name, why) of faces left out, masks that stay behind)."""
        faces, refused = read_alignments(self.path)
        rows: list[Row] = []
        for name, row in by_frame(faces):
            source = self.frames.place(name)
            if source is None:
                refused += [(one.name, f"Its frame is not in {self.frames.name}") for one in row]
            else:
                rows.append((source, row))
        return sorted(rows, key=lambda row: row[0].frame_index), refused, sum(one.masks for one in faces)

    def plan(self) -> list[Item]:
        """One item per 32 frames with faces. Raises FacewrightError."""
        stored = header_file.load(self.folder) or Header()
        refuse_place(self.folder)
        known = stored.source(self.frames.sha256)
        if known is not None and known.settings.get("import") != self._digest:
            raise Mismatch(f"Faces of {self.frames.name} are already in {self.folder.name}.", where=self.folder,
                           why="They came from another file, or from an extraction.", remedy="Use a new folder.")
        if known is None:
            header_file.refuse_others(stored, self.consent, self.person, self.folder)
        rows = self.read[0]
        if not rows:
            raise Mismatch(f"No face in {self.path.name} is of a frame of {self.frames.name}.", where=self.path,
                           why=self.read[1][0][1] if self.read[1] else "It holds no faces.",
                           remedy="Give the film or the folder of frames that they were made of.")
        batches = [rows[at : at + CHUNK_FRAMES] for at in range(0, len(rows), CHUNK_FRAMES)]
        done = known is not None and known.done
        return [] if done else [Item(f"{batch[0][0].frame_index:07d}", batch) for batch in batches]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier run committed for an item is still on disk."""
        start = item.payload[0][0].frame_index
        return record["faces"] == 0 or chunk_folder(self.folder, self.frames.sha256, start).is_dir()

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Results in order; a thread reads ahead."""
        cv2.setNumThreads(1)
        total = len(self.read[0])
        done = total - sum(len(item.payload) for item in todo)
        with self._writer as writer, closing(ahead(self._read(todo))) as frames:
            writer.sweep()
            for item in work.until_stopped(todo):
                result = self._cut(item.payload, frames)
                done += len(item.payload)
                work.progress(done, total, faces=len(result.files))
                yield item, result

    def commit(self, item: Item, result: Result) -> dict[str, Any]:
        """Put one batch's files in place together."""
        with self._writer as writer:
            if result.files:
                writer.update_header(self._begun)
            writer.add_chunk(self.frames.sha256, item.payload[0][0].frame_index, result.files)
        return {"faces": len(result.files), "refused": result.refused}

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Complete faceset.json and the index."""
        refused = [*self.read[1], *(tuple(pair) for record in records.values() for pair in record["refused"])]
        faces = sum(record["faces"] for record in records.values())
        there = bool((known := (header_file.load(self.folder) or Header()).source(self.frames.sha256)) and known.done)
        with self._writer as writer:
            writer.sweep()
            head = writer.update_header(lambda stored: stored if there else self._begun(stored).with_source(
                self.frames.source({"import": self._digest}, True, {"faces": faces, "refused": len(refused)})))
        masks = self.read[2]
        return {
            "faceset": str(self.folder), "imported": faces, "faces": len(Faceset.open(self.folder)),
            "face_type": head.face_type, "side_px": head.side_px, "people": [], "linked": True,
            "already_there": [self.frames.name] if there else [], "counts": {},
            "notes": [f"{masks:,} masks of faceswap were left behind: `facewright mask apply` makes new ones."]
            if masks else [], "refused": [list(pair) for pair in refused],
        }

    def _read(self, todo: list[Item]) -> Generator[Frame | None, None, None]:
        """The frame of each row of each item, one after another; None: it cannot be read."""
        film = self.frames.film
        assert film is not None
        for item in todo:
            wanted = [source.frame_index for source, _ in item.payload]
            for run in _runs(wanted):
                damage: dict[int, str] = {}
                waiting = deque(run)
                for frame in read_frames(film, run[0], run[-1] + 1, on_damage=damage.__setitem__):
                    while waiting and waiting[0] <= frame.index:
                        yield frame if waiting.popleft() == frame.index and frame.index not in damage else None
                yield from (None for _ in waiting)

    def _cut(self, rows: list[Row], frames: Iterator[Frame | None]) -> Result:
        result = Result([], [])
        settings = ExtractSettings(face_type=self.settings.face_type, jpeg_quality=self.settings.jpeg_quality)
        how = Cutting(settings, self.settings.resolution, PROGRAM, (), self.person, self.consent)
        meshes, poses = posed(np.stack([one.points_px for _, faces in rows for one in faces]))
        placed = iter(zip(meshes, poses))
        for source, faces in rows:
            frame = next(frames)
            for ordinal, one in enumerate(faces):
                mesh, pose = next(placed)
                if frame is None:
                    result.refused.append((one.name, "Its frame cannot be read"))
                    continue
                found = FoundFace(Detection(source.frame_index, one.box_px, 1.0),
                                  Landmarks(mesh, one.points_px, 1.0, 0.0, 0.0),
                                  (float(pose[0]), float(pose[1]), float(pose[2])), ("mesh_from_points",))
                cut = plan_face(found, frame.image, source, ordinal, "", how) if np.isfinite(mesh).all() else None
                if cut is None:
                    result.refused.append((one.name, "Its landmarks span no face"))
                else:
                    result.files.append(finish_face(cut, settings)[:2])
            del frame  # it must not live on while the next is awaited
        return result

    def _begun(self, stored: Header) -> Header:
        return stored.begun(
            self.frames.source({"import": self._digest}, False, {}), face_type=str(self.settings.face_type),
            side_px=self.settings.resolution, consent=self.consent, person=self.person)

    @cached_property
    def _digest(self) -> str:
        own = sha256_of(self.path) + self.settings.model_dump_json()
        return hashlib.sha256(own.encode()).hexdigest()


def _runs(indices: list[int], gap: int = 16) -> list[list[int]]:
    """Ascending indices in pieces that are worth reading in one go."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index - runs[-1][-1] <= gap:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs
