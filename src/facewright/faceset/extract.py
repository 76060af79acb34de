"""Step: films and folders of pictures -> a faceset. One item is a chunk of 32 selected frames.

Detection, orientation memory and tracks start afresh with each chunk, so that resumed, divided and undisturbed runs
end with the same bytes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np

from facewright.core.errors import DiskRefused, NothingFound
from facewright.core.step import Item, Likeness, Work
from facewright.faces.face import Face, FaceType
from facewright.faces.find import FoundFace
from facewright.faces.settings import DetectSettings
from facewright.faceset import header, people
from facewright.faceset.ahead import ahead
from facewright.faceset.cut import Cut, Cutting, draw, finish_face, frame_side_px, plan_face
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header
from facewright.faceset.neighbours import without_placed
from facewright.faceset.selection import Chunk, runs, stretches
from facewright.faceset.settings import CHUNK_FRAMES, MAX_SIDE_PX, MIN_SIDE_PX, ExtractSettings
from facewright.faceset.sources import ExtractArguments, Footage, check_header, open_footage
from facewright.faceset.store import DEBUG, Writer, chunk_folder, foreign_files, is_faceset, writing
from facewright.media.frame import Frame
from facewright.media.reader import frames as read_frames

NO_FACE = "no face found"
ONLY_LEFT_OUT = "every face was below --min-presence"
NO_CROP = "the points of its faces span no crop"

_ENCODERS = 2
_SAMPLES = 24
_HELD_BYTES = 256 << 20


class Finder(Protocol):
    """What extraction needs of faces.find.FaceFinder."""

    detector_name: str

    @property
    def nets(self) -> tuple[tuple[str, str], ...]:
        """(part, net id) of the nets that place a face."""
        ...

    def find(self, frames: list[Frame]) -> list[list[FoundFace]]:
        """The faces of each frame, from image left to right."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """The frames of one chunk as read; damaged: (frame index, reason) of those that could not be."""

    chunk: Chunk
    frames: list[Frame]
    damaged: list[tuple[int, str]]


@dataclass(slots=True)
class ChunkResult:
    """What one chunk gave, before it is on disk. `files` are pending (name, bytes, face) of each kept face."""

    chunk: Chunk
    files: list[Future[tuple[str, bytes, Face]]]
    debug: list[tuple[int, Future[bytes]]]
    record: dict[str, Any]


class ExtractStep:
    """Find, align, cut and keep every face of `inputs` (films, folders of pictures) in the folder `faceset`.

    person, consent: kept in every face as plain data. make_finder: another finder than faces.find (tests).
    """

    stage = "extract"
    settings: ExtractSettings

    def __init__(
        self, inputs: list[str], faceset: str, settings: ExtractSettings | None = None, person: str = "",
        consent: str = "", make_finder: Callable[[DetectSettings], Finder] | None = None,
    ) -> None:
        self.films = [str(Path(text).resolve()) for text in inputs]
        self.folder = Path(faceset).resolve()
        self.settings = settings or ExtractSettings()
        self.person, self.consent = person, consent
        self._make_finder = make_finder or _house_finder
        self._writer: Writer | None = None
        self._side_px = self.settings.resolution

    def home(self) -> Path:
        """The faceset's folder."""
        return self.folder

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"inputs": self.films, "faceset": str(self.folder), "person": self.person, "consent": self.consent}

    def likenesses(self) -> list[Likeness]:
        """None: looking needs no permit, the faces carry their consent on to the steps that do."""
        return []

    def inputs(self) -> dict[str, str]:
        """Name -> SHA-256 of each film."""
        return {one.name: one.sha256 for one in self.footage}

    @cached_property
    def footage(self) -> list[Footage]:
        """The opened inputs. Raises FileRefused, NothingFound, Mismatch."""
        stored = header.load(self.folder)
        found = open_footage(self.films, self.settings, stored)
        check_header(stored, found, ExtractArguments(self.folder, self.settings, self.person, self.consent))
        return found

    def plan(self) -> list[Item]:
        """One item per chunk of each film that the faceset does not hold yet. Raises FacewrightError."""
        strangers = foreign_files(self.folder)
        if strangers and not is_faceset(self.folder):
            raise DiskRefused(
                f"{self.folder.name} is not an empty folder.", why=f"It holds {strangers[0]}.",
                remedy="Name a new or empty folder for the faceset.", where=self.folder,
            )
        stored = header.load(self.folder) or Header()
        done = {source.sha256 for source in stored.sources if source.done}
        return [Item(chunk.id, chunk) for one in self.footage if one.sha256 not in done for chunk in one.chunks]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier run committed for an item is still on disk."""
        chunk = item.payload
        return record["faces"] == 0 or chunk_folder(self.folder, chunk.source_sha256, chunk.start).is_dir()

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, ChunkResult]]:
        """Results in order: a thread reads ahead, the nets run here, crops are cut and encoded by two threads."""
        cv2.setNumThreads(1)  # the nets own the cores; OpenCV's own threads cost more than they bring
        items = {item.id: item for item in todo}
        total = sum(len(item.payload.frames) for item in todo)
        with ExitStack() as stack:
            writer = stack.enter_context(Writer(self.folder))
            self._writer = writer
            stack.callback(self._forget_writer)
            writer.sweep()
            finder = self._make_finder(self.settings.detection())
            self._side_px = self._side(finder)
            pool = stack.enter_context(ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode"))
            batches = stack.enter_context(closing(self._batches([item.payload for item in todo])))
            waiting: ChunkResult | None = None
            seen = faces = 0
            for batch in batches:
                if work.stop.at_once:
                    return
                result = self._look(batch, finder, pool)
                seen, faces = seen + len(batch.chunk.frames), faces + result.record["faces"]
                if waiting is not None:
                    yield items[waiting.chunk.id], waiting
                waiting = result
                work.progress(seen, total, faces=faces)
                if work.stop.asked:
                    break
            if waiting is not None:
                yield items[waiting.chunk.id], waiting

    def commit(self, item: Item, result: ChunkResult) -> dict[str, Any]:
        """Put one chunk's files in place together; returns what finish needs to know of it."""
        with self._writing() as writer:
            found = [task.result() for task in result.files]
            files = without_placed(self.folder, result.chunk.source_sha256, found)
            result.record["faces"] = len(files)
            source = self._source_of(result.chunk)
            if files:
                writer.update_header(lambda stored: self._begun(stored, source))
                debug = [(f"{index:07d}.jpg", task.result()) for index, task in result.debug]
                writer.add_chunk(result.chunk.source_sha256, result.chunk.start, debug, DEBUG)
            writer.add_chunk(result.chunk.source_sha256, result.chunk.start, [(name, data) for name, data, _ in files])
        return result.record

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Link people over chunks, complete faceset.json, build the index. Raises NothingFound: no face at all."""
        notes = {one.sha256: _facts(one, records) for one in self.footage}
        stored = header.load(self.folder) or Header()
        known = {source.sha256: source for source in stored.sources if source.done and source.sha256 in notes}
        if not known and not sum(facts["faces"] for facts in notes.values()):
            raise self._nothing(notes)
        with Writer(self.folder) as writer:
            writer.sweep()
            faceset = Faceset.open(self.folder)
            linked = people.link(faceset) if len(known) < len(notes) else people.Linked(stored.people, stored.tracks)
            # One write: killed before it, the film is not done yet; after it, its people are known.
            head = writer.update_header(lambda before: linked.into(self._ended(before, notes)))
        return {
            "faceset": str(self.folder), "faces": len(faceset), "side_px": head.side_px, "face_type": head.face_type,
            "people": [person.name for person in linked.people],
            "films": {one.name: (known[one.sha256].facts if one.sha256 in known else notes[one.sha256])
                      for one in self.footage},
            "already_there": [one.name for one in self.footage if one.sha256 in known],
        }

    def _batches(self, todo: list[Chunk]) -> Generator[Batch, None, None]:
        """Chunks in order, the next one read while this one is worked on, unless frames are so large that two are
        too many (the reader's own thread then runs a few frames ahead)."""
        videos = [one.video for one in self.footage]
        largest = max(v.size_px[0] * v.size_px[1] * (3 if v.bit_depth <= 8 else 6) for v in videos)
        return self._read(todo) if largest * CHUNK_FRAMES > _HELD_BYTES else ahead(self._read(todo))

    def _read(self, todo: list[Chunk]) -> Generator[Batch, None, None]:
        """Chunks that follow each other are read in one go; frames that could not be decoded are left out and noted."""
        for one in self.footage:
            mine = [chunk for chunk in todo if chunk.source_sha256 == one.sha256]
            for group in runs(mine, list(one.chunks)):
                yield from _read_group(one, group)

    def _look(self, batch: Batch, finder: Finder, pool: ThreadPoolExecutor) -> ChunkResult:
        one = self._source_of(batch.chunk)
        how = Cutting(self.settings, self._side_px, finder.detector_name, finder.nets, self.person, self.consent)
        found = finder.find(batch.frames)
        tracks = people.tracks(batch.chunk, batch.frames, found, not one.video.moves)
        cuts: list[list[Cut]] = []
        missed: list[tuple[int, str]] = []
        left_out = 0
        for frame, faces, names in zip(batch.frames, found, tracks):
            kept = _kept(faces, self.settings)
            row = [plan_face(faces[at], frame.image, one.ref(frame), at, names[at], how) for at in kept]
            good = [c for c in row if c is not None]
            left_out += len(faces) - len(good)
            if not good:
                missed.append((frame.index, NO_FACE if not faces else ONLY_LEFT_OUT if not kept else NO_CROP))
            cuts.append(good)
        result = ChunkResult(batch.chunk, [], [], {
            "faces": sum(map(len, cuts)), "frames": len(batch.chunk.frames), "left_out": left_out,
            "no_face": missed, "damaged": batch.damaged,
        })
        for frame, row in zip(batch.frames, cuts):
            result.files += [pool.submit(finish_face, one_cut, self.settings) for one_cut in row]
            if self.settings.debug and row:
                result.debug.append((frame.index, pool.submit(draw, frame.image, [c.face for c in row])))
        if sum(frame.image.nbytes for frame in batch.frames) > _HELD_BYTES:
            wait(result.files)  # frames this large are let go before the next chunk is looked at
        return result

    def _side(self, finder: Finder) -> int:
        """The crops' side: as set, as the faceset has it, or estimated from faces of frames spread over the films."""
        if self.settings.resolution:
            return self.settings.resolution
        stored = header.load(self.folder)
        if stored is not None and stored.side_px:
            return stored.side_px
        kind, sides = FaceType(self.settings.face_type), list[float]()
        for one in self.footage:
            indices = [index for chunk in one.chunks for index in chunk.frames]
            for at in np.unique(np.linspace(0, len(indices) - 1, _SAMPLES).round().astype(int)):
                found = finder.find(list(read_frames(one.video, indices[at], indices[at] + 1)))
                sides += [frame_side_px(face, kind) for row in found for face in row]
        return estimate_side(np.array(sides))

    def _begun(self, stored: Header, one: Footage) -> Header:
        if stored.source(one.sha256) is not None:
            return stored
        fresh = stored if stored.sources else dataclasses.replace(
            stored, face_type=str(self.settings.face_type), side_px=self._side_px, person=stored.person or self.person,
            consent=stored.consent or self.consent)
        return fresh.with_source(one.source(self.settings, False, {}))

    def _ended(self, stored: Header, notes: Mapping[str, dict[str, Any]]) -> Header:
        """Sources in the order of the inputs behind those that were there before, whatever order chunks came in."""
        ours = {one.sha256 for one in self.footage}
        done = [source for source in stored.sources if source.done]
        others = [source for source in stored.sources if not source.done and source.sha256 not in ours]
        known = {source.sha256 for source in done}
        new = [one.source(self.settings, True, notes[one.sha256]) for one in self.footage if one.sha256 not in known]
        return dataclasses.replace(stored, sources=(*done, *others, *new))

    def _nothing(self, notes: Mapping[str, dict[str, Any]]) -> NothingFound:
        looked = sum(facts["frames"] for facts in notes.values())
        damaged = sum(len(facts["damaged"]) for facts in notes.values())
        why = f"{looked} frames were looked at" + (f", {damaged} of them cannot be decoded." if damaged else ".")
        return NothingFound(
            f"No face was found in {', '.join(one.name for one in self.footage)}.", why=why,
            remedy="Check that the film shows faces; for very small or turned ones try `--detector yunet`, "
            "`--detect-side 1280` or `--orientations all`.", where=self.folder,
        )

    def _source_of(self, chunk: Chunk) -> Footage:
        return next(one for one in self.footage if one.sha256 == chunk.source_sha256)

    def _writing(self) -> AbstractContextManager[Writer]:
        return writing(self.folder, self._writer)

    def _forget_writer(self) -> None:
        self._writer = None


def estimate_side(sides_px: np.ndarray) -> int:
    """Sides of faces in frame px (NaN ignored) -> side of the crops: nine in ten faces keep every pixel.

    Rounded up to 16, within 128..2048; 512 when there is no face to measure.
    """
    good = sides_px[np.isfinite(sides_px)]
    if len(good) == 0:
        return 512
    wanted = int(np.ceil(np.quantile(good, 0.9) / 16) * 16)
    return min(max(wanted, MIN_SIDE_PX), MAX_SIDE_PX)


def _read_group(one: Footage, group: list[Chunk]) -> Iterator[Batch]:
    """Read the chunks of a group in one pass of the film."""
    damage: dict[int, str] = {}
    step = math.gcd(*(chunk.step for chunk in group), *(b.start - a.start for a, b in pairwise(group)))
    reading = read_frames(one.video, group[0].start, group[-1].frames[-1] + 1, step=step, on_damage=damage.__setitem__)
    with closing(cast(Generator[Frame, None, None], reading)):
        held: Frame | None = next(reading, None)
        for chunk in group:
            wanted, got = set(chunk.frames), list[Frame]()
            while held is not None and held.index <= chunk.frames[-1]:
                if held.index in wanted and held.index not in damage:
                    got.append(held)
                held = next(reading, None)
            missing = wanted - {frame.index for frame in got}
            yield Batch(chunk, got, [(index, damage.get(index, "It cannot be read.")) for index in sorted(missing)])


def _kept(faces: list[FoundFace], settings: ExtractSettings) -> list[int]:
    """Which faces of a frame stay, as positions from left to right: sure enough, and the largest of them."""
    sure = [at for at, face in enumerate(faces) if face.presence_01 >= settings.min_presence]
    if settings.max_faces:
        sure = sorted(sorted(sure, key=lambda at: -_area(faces[at]))[: settings.max_faces])
    return sure


def _area(face: FoundFace) -> float:
    x0, y0, x1, y1 = face.detection.box_px
    return (x1 - x0) * (y1 - y0)


def _facts(one: Footage, records: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What the user is told of a film: counts, and every frame without a face with its reason."""
    mine = [records[chunk.id] for chunk in one.chunks if chunk.id in records]
    missed = [pair for record in mine for pair in record["no_face"]]
    reasons: dict[str, int] = {}
    for _, why in missed:
        reasons[why] = reasons.get(why, 0) + 1
    return {
        "frames": sum(record["frames"] for record in mine), "faces": sum(record["faces"] for record in mine),
        "left_out": sum(record["left_out"] for record in mine), "frames_without_face": len(missed),
        "reasons": reasons, "no_face": [list(pair) for pair in missed],
        "damaged": [list(pair) for record in mine for pair in record["damaged"]],
        "looked": stretches([index for chunk in one.chunks for index in chunk.frames]),
    }


def _house_finder(settings: DetectSettings) -> Finder:
    from facewright.faces.find import FaceFinder

    return FaceFinder(settings)
