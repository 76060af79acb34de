"""Step: DeepFaceLab's faces -> a faceset. One item is some 64 faces of whole frames, committed with one folder.

Pictures stay byte for byte; what the files say is kept to the last bit (dfl_facts). A file that cannot be read is named
with its reason and passed over.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2

from facewright.core.errors import FileRefused, Mismatch
from facewright.core.step import Item, Likeness, Work
from facewright.faces.face import Face, SourceRef
from facewright.faceset import header as header_file
from facewright.faceset.exchange.dfl_faces import NO_FACTS, Read, made, picture_of, read_or_why
from facewright.faceset.exchange.dfl_frames import Frames
from facewright.faceset.exchange.dfl_places import Place, is_debug, look
from facewright.faceset.exchange.dfl_placing import Batch, Placed, batches, placed
from facewright.faceset.exchange.dfl_records import with_people
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.index import Index
from facewright.faceset.settings import FacesImportSettings
from facewright.faceset.store import Writer, chunk_folder, refuse_place

_CONFIRMED = 40


@dataclass(slots=True)
class Result:
    """One batch before it is on disk. files: (name, bytes); refused: (name there, why)."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    faces: list[Face] = field(default_factory=list)
    masked: list[bool] = field(default_factory=list)

    def count(self, word: str, number: int = 1) -> None:
        """Remember something that happened `number` times."""
        self.counts[word] = self.counts.get(word, 0) + number


class ImportStep:
    """Bring the faces at `src` (folder, pak, meta.dat) into the folder `faceset`. frames: the film or folder of
    pictures that they were cut from, "" where it is not at hand. person, consent: kept in every face; names of people's
    sub-folders come before `person`."""

    stage = "import_faces"
    settings: FacesImportSettings

    def __init__(
        self, src: str, faceset: str, settings: FacesImportSettings | None = None, frames: str = "", person: str = "",
        consent: str = "",
    ) -> None:
        self.src, self.folder = Path(src).resolve(), Path(faceset).resolve()
        self.settings = settings or FacesImportSettings()
        self.film = str(Path(frames).resolve()) if frames else ""
        self.person, self.consent = person, consent
        self._writer = Writer(self.folder)

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"src": str(self.src), "faceset": str(self.folder), "frames": self.film, "person": self.person,
                "consent": self.consent}

    def likenesses(self) -> list[Likeness]:
        """None: taking faces in changes no picture; the faces ask for their person when they are used."""
        return []

    def inputs(self) -> dict[str, str]:
        """What lies there, by names, sizes and frames; and the film."""
        films = [frames.sha256 for frames, _ in self.frames if frames.film is not None]
        return {"faces": self._digest, **({"frames": films[0]} if films else {})}

    @cached_property
    def place(self) -> Place:
        """What is there. Raises FileRefused, NothingFound."""
        return look(self.src)

    @cached_property
    def frames(self) -> list[tuple[Frames, list[Placed]]]:
        """Where the faces are placed. Raises FacewrightError."""
        return placed(self.place, self.film)

    def plan(self) -> list[Item]:
        """One item per batch that the faceset does not hold yet. Raises FacewrightError."""
        stored = header_file.load(self.folder)
        refuse_place(self.folder)
        self._check(stored or Header())
        items = []
        for frames, faces in self.frames:
            known = (stored or Header()).source(frames.sha256)
            if known is not None and known.done:
                continue
            if known is None and frames.film is not None:
                self._confirm(frames, faces)
            items += [Item(f"{frames.sha256[:8]}:{number:06d}", batch)
                      for number, batch in enumerate(batches(frames, faces))]
        return items

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier run committed for an item is still on disk."""
        batch = item.payload
        return record["faces"] == 0 or chunk_folder(self.folder, batch.frames.sha256, batch.start).is_dir()

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Results in order. No thread reads ahead: reading is the interpreter's work as well, and two threads that pass
        its lock to and fro with every small file take a tenth more of it than one, and no less time."""
        cv2.setNumThreads(1)
        total = sum(len(placed) for _, placed in self.frames)
        done = total - sum(len(item.payload.faces) for item in todo)
        with self._writer as writer:
            writer.sweep()
            for item in work.until_stopped(todo):
                result = self._made(item.payload)
                done += len(item.payload.faces)
                work.progress(done, total, refused=len(result.refused))
                yield item, result

    def commit(self, item: Item, result: Result) -> dict[str, Any]:
        """Put one batch's files in place together."""
        batch = item.payload
        with self._writer as writer:
            if result.files:
                writer.update_header(lambda stored: self._begun(stored, batch.frames, result))
            folder = chunk_folder(self.folder, batch.frames.sha256, batch.start)
            fresh = not folder.exists()  # a chunk that was there already holds others, or was changed since
            writer.add_folder(folder, result.files)
            if fresh:
                self._note(folder, result)
        return {"faces": len(result.files), "refused": result.refused, "counts": result.counts,
                "source": batch.frames.sha256}

    def _note(self, place: Path, result: Result) -> None:
        """Tell the index, which would read every file again else."""
        folder = place.relative_to(self.folder).as_posix()
        Index(self.folder).add((f"{folder}/{name}", face, masked) for (name, _), face, masked in
                               zip(result.files, result.faces, result.masked))

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Complete faceset.json and the index. Raises FileRefused: nothing there could be read."""
        stored = header_file.load(self.folder) or Header()
        there = [frames.name for frames, _ in self.frames if (s := stored.source(frames.sha256)) and s.done]
        refused = [tuple(pair) for record in records.values() for pair in record["refused"]]
        faces = sum(record["faces"] for record in records.values())
        if not faces and not there:
            raise FileRefused(f"Nothing in {self.src.name} could be read.", where=self.src,
                              why=f"{refused[0][0]}: {refused[0][1]}" if refused else "",
                              remedy="Name DeepFaceLab's folder `aligned`, or its faceset.pak.")
        with self._writer as writer:
            writer.sweep()
            head = writer.update_header(lambda before: self._ended(before, records))
        counts: dict[str, int] = {}
        for record in records.values():
            for word, number in record["counts"].items():
                counts[word] = counts.get(word, 0) + number
        faceset = Faceset.open(self.folder)
        return {
            "faceset": str(self.folder), "imported": faces, "faces": len(faceset), "face_type": head.face_type,
            "side_px": head.side_px, "people": sorted({row.person for row in faceset.rows() if row.person}),
            "linked": bool(self.film), "already_there": there, "counts": counts, "notes": list(self.place.notes),
            "refused": [list(pair) for pair in refused],
        }

    def _made(self, batch: Batch) -> Result:
        result = Result()
        good: list[tuple[Placed, Read]] = []
        for one in batch.faces:
            answer = read_or_why(one.entry)
            if isinstance(answer, Read):
                good.append((one, answer))
            elif answer.lower() == NO_FACTS.lower() and is_debug(one.entry):
                result.count("debug pictures left out")
            else:
                result.refused.append((one.entry.name, answer))
        sources = [one.source or batch.frames.place(one.frame_name) for one, _ in good]
        for (one, _), source in zip(good, sources):
            if source is None:
                result.refused.append((one.entry.name, f"Its frame {one.frame_name!r} is not in {batch.frames.name}"))
        whole = [(one, _upright(answer, batch.frames, source) if one.source is None else answer, source)
                 for (one, answer), source in zip(good, sources) if source is not None]
        outcomes = made([(answer, source, one.id_in(source), one.entry.name, one.entry.person or self.person,
                          self.consent) for one, answer, source in whole])
        for (one, answer, _), outcome in zip(whole, outcomes):
            if isinstance(outcome, str):
                result.refused.append((one.entry.name, outcome))
                continue
            face, data, suffix = outcome
            result.files.append((face.face_id + suffix, data))
            result.faces.append(face)
            result.masked.append(answer.facts.mask_png is not None)
            if one.id_there:
                result.count("came back")
            for word in (*answer.counts, *(w for w in ("no_frame", "points_disagree") if w in face.flags)):
                result.count(word)
        return result

    def _confirm(self, frames: Frames, placed: list[Placed]) -> None:
        """Look at a few faces of the set and at the film. Raises Mismatch."""
        step = max(len(placed) // _CONFIRMED, 1)
        looked = []
        for one in placed[::step]:
            source, answer = frames.place(one.frame_name), read_or_why(one.entry)
            if source is not None and isinstance(answer, Read) and "no_frame" not in answer.facts.flags:
                looked.append((source.frame_index, _upright(answer, frames, source)))
        if placed and not looked and not any(frames.place(one.frame_name) for one in placed):
            raise Mismatch(f"No face in {self.src.name} is of a frame of {frames.name}.",
                           why=f"Their frames are called {placed[0].frame_name!r} and so on.",
                           remedy="Give the film or the folder of frames that they were taken from.", where=self.film)
        shown = [(index, answer.face_from_frame, picture_of(answer)) for index, answer in looked]
        frames.confirm([(i, m, p) for i, m, p in shown if p is not None])

    def _check(self, stored: Header) -> None:
        """Whether these faces may join what is there. Raises Mismatch."""
        for frames, _ in self.frames:
            known = stored.source(frames.sha256)
            if known is not None and known.settings.get("import") != self._digest:
                raise Mismatch(
                    f"Faces of {frames.name} are already in {self.folder.name}.",
                    why="They came from other files than these, or from an extraction.",
                    remedy="Import into a new folder.", where=self.folder,
                )
        if any(stored.source(frames.sha256) is None for frames, _ in self.frames):
            header_file.refuse_others(stored, self.consent, self.person, self.folder)

    def _begun(self, stored: Header, frames: Frames, result: Result) -> Header:
        kinds = [(str(face.face_type), face.side_px) for face in result.faces]
        kind, side = max(kinds, key=kinds.count)
        return stored.begun(frames.source({"import": self._digest}, False, {}), face_type=kind, side_px=side,
                            consent=self.consent, person=self.person)

    def _ended(self, stored: Header, records: Mapping[str, dict[str, Any]]) -> Header:
        for frames, _ in self.frames:
            mine = [r for r in records.values() if r["source"] == frames.sha256]
            if mine and not ((known := stored.source(frames.sha256)) and known.done):
                facts = {"faces": sum(r["faces"] for r in mine), "refused": sum(len(r["refused"]) for r in mine)}
                stored = stored.with_source(frames.source({"import": self._digest}, True, facts))
        told = {id(one.known.records): one.known.records for one in self.place.entries if one.known is not None}
        for came in told.values():
            stored = with_people(stored, came)
        return stored

    @cached_property
    def _digest(self) -> str:
        found = hashlib.sha256()
        for one in self.place.entries:
            size = one.size if one.size >= 0 else one.path.stat().st_size
            found.update(f"{one.name}\0{size}\0{one.frame_name}\n".encode("utf-8", "surrogatepass"))
        return found.hexdigest()


def _upright(answer: Read, frames: Frames, source: SourceRef) -> Read:
    turn = frames.upright(source.frame_index)
    return answer if turn is None else dataclasses.replace(answer, upright=turn)
