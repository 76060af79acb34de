"""One chunk of frames -> its faces, cut and encoded: what extraction does with nets, in this process or in another.

Nothing here is written to disk, and a chunk's result depends on its frames alone.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Protocol, cast

import numpy as np

from facewright.faces.face import Face, FaceType
from facewright.faces.find import FoundFace
from facewright.faceset.ahead import ahead
from facewright.faceset.cut import Cut, Cutting, draw, finish_face, plan_faces, unit_from_frame_of
from facewright.faceset.doubt_flags import jumps
from facewright.faceset.extraction.shots import Asked, Closed, Found, Shots, never
from facewright.faceset.extraction.sources import Footage
from facewright.faceset.people import people
from facewright.faceset.selection import Chunk, runs
from facewright.faceset.settings import CHUNK_FRAMES, MAX_SIDE_PX, MIN_SIDE_PX, ExtractSettings
from facewright.image.geometry import scale_of
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

    def glimpse(self, frame: Frame) -> Any:
        """What the detector sees in a frame; on another thread than `find`."""
        ...

    def find(self, frames: list[Frame], glimpses: list[Any] | None = None) -> list[list[FoundFace]]:
        """The faces of each frame, from image left to right. glimpses: one for each frame."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """The frames of one chunk as read, with a glimpse of each; damaged: (frame index, reason) of those that could not
    be."""

    chunk: Chunk
    frames: list[Frame]
    glimpses: list[Any]
    damaged: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What one chunk gave: (name, bytes, face) of each kept face, (frame index, bytes) of debug pictures, counts."""

    chunk: Chunk
    files: list[tuple[str, bytes, Face]]
    debug: list[tuple[int, bytes]]
    record: dict[str, Any]


@dataclass(slots=True)
class Pending:
    """A chunk whose pictures are still being encoded."""

    chunk: Chunk
    files: list[Future[tuple[str, bytes, Face]]]
    debug: list[tuple[int, Future[bytes]]]
    record: dict[str, Any]

    def result(self) -> ChunkResult:
        """Wait for the pictures."""
        debug = [(index, task.result()) for index, task in self.debug]
        return ChunkResult(self.chunk, [task.result() for task in self.files], debug, self.record)


class Looking:
    """Films, what to do with them, and what is to be known of them; `shots`: digest -> shots of a film, found or being
    sought."""

    def __init__(
        self, footage: list[Footage], settings: ExtractSettings, side_px: int, shots: dict[str, Found],
        person: str = "", consent: str = "",
    ) -> None:
        self.footage = {one.sha256: one for one in footage}
        self.settings, self.side_px, self.shots = settings, side_px, shots
        self.person, self.consent = person, consent

    def results(
        self, todo: list[Chunk], finder: Finder, asked: Asked = never
    ) -> Generator[ChunkResult, None, None]:
        """Results in order: a thread reads and detects ahead, points are found here, crops are cut and encoded by two
        threads while the nets look at the next chunk. asked(): end after the chunk in hand, or before it where its cuts
        are still sought."""
        with (
            ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode") as pool,
            closing(self._batches(todo, finder)) as batches,
        ):
            waiting: Pending | None = None
            for batch in batches:
                try:
                    pending = self._look(batch, finder, pool, asked)
                except Closed:
                    break
                if waiting is not None:
                    yield waiting.result()
                waiting = pending
                del batch  # its frames are let go when its last crop is cut
                if asked():
                    break
            if waiting is not None:
                yield waiting.result()

    def _batches(self, todo: list[Chunk], finder: Finder) -> Generator[Batch, None, None]:
        """Chunks in order, the next one read and glimpsed while this one is worked on, unless frames are so large that
        two are too many (the reader's own thread then runs a few frames ahead)."""
        videos = [one.video for one in self.footage.values()]
        largest = max(v.size_px[0] * v.size_px[1] * (3 if v.bit_depth <= 8 else 6) for v in videos)
        batches = self._read(todo, finder)
        return batches if largest * CHUNK_FRAMES > _HELD_BYTES else ahead(batches)

    def _read(self, todo: list[Chunk], finder: Finder) -> Generator[Batch, None, None]:
        """Chunks that follow each other are read in one go; frames that could not be decoded are left out and noted."""
        for one in self.footage.values():
            mine = [chunk for chunk in todo if chunk.source_sha256 == one.sha256]
            for group in runs(mine, list(one.chunks)):
                yield from _read_group(one, group, finder)

    def _look(self, batch: Batch, finder: Finder, pool: ThreadPoolExecutor, asked: Asked) -> Pending:
        one, sought = self.footage[batch.chunk.source_sha256], self.shots.get(batch.chunk.source_sha256, Shots([]))
        how = Cutting(self.settings, self.side_px, finder.detector_name, finder.nets, self.person, self.consent)
        found = finder.find(batch.frames, batch.glimpses)
        shots = sought.until(batch.chunk.frames[-1], asked)
        breaks = shots.breaks(batch.frames) if shots.starts else None
        tracks = people.tracks(batch.chunk, batch.frames, found, not one.video.moves, breaks)
        found = jumps(batch.frames, found, tracks)
        kept = [_kept(faces, self.settings) for faces in found]
        places = [(position, at) for position, row in enumerate(kept) for at in row]
        refs = [one.ref(frame, shots.shot(frame.index)) for frame in batch.frames]
        images = [batch.frames[p].image for p, _ in places]
        planned = plan_faces([found[p][at] for p, at in places], images, [refs[p] for p, _ in places],
                             [at for _, at in places], [tracks[p][at] for p, at in places], how)
        cuts: list[list[Cut]] = [[] for _ in batch.frames]
        for (position, _), cut in zip(places, planned):
            if cut is not None:
                cuts[position].append(cut)
        missed = [(frame.index, NO_FACE if not faces else ONLY_LEFT_OUT if not sure else NO_CROP)
                  for frame, faces, sure, good in zip(batch.frames, found, kept, cuts) if not good]
        result = Pending(batch.chunk, [], [], {
            "faces": sum(map(len, cuts)), "frames": len(batch.chunk.frames),
            "left_out": sum(map(len, found)) - sum(map(len, cuts)),
            "no_face": missed, "damaged": batch.damaged, "second_look": _looks(found, self.settings),
        })
        for frame, row in zip(batch.frames, cuts):
            result.files += [pool.submit(finish_face, one_cut, self.settings) for one_cut in row]
            if self.settings.debug and row:
                result.debug.append((frame.index, pool.submit(draw, frame.image, [c.face for c in row])))
        if sum(frame.image.nbytes for frame in batch.frames) > _HELD_BYTES:
            wait(result.files)  # frames this large are let go before the next chunk is looked at
        return result


def measured_side(footage: list[Footage], settings: ExtractSettings, finder: Finder) -> int:
    """A side for all crops, from the faces of frames spread over the films."""
    seen: list[FoundFace] = []
    for one in footage:
        indices = [index for chunk in one.chunks for index in chunk.frames]
        for at in np.unique(np.linspace(0, len(indices) - 1, _SAMPLES).round().astype(int)):
            seen += chain.from_iterable(finder.find(list(read_frames(one.video, indices[at], indices[at] + 1))))
    units = unit_from_frame_of(seen, FaceType(settings.face_type))
    return estimate_side(np.array([1.0 / scale_of(unit) for unit in units]))


def estimate_side(sides_px: np.ndarray) -> int:
    """Sides of faces in frame px (NaN ignored) -> side of the crops: nine in ten faces keep every pixel.

    Rounded up to 16, within 128..2048; 512 when there is no face to measure.
    """
    good = sides_px[np.isfinite(sides_px)]
    if len(good) == 0:
        return 512
    wanted = int(np.ceil(np.quantile(good, 0.9) / 16) * 16)
    return min(max(wanted, MIN_SIDE_PX), MAX_SIDE_PX)


def _read_group(one: Footage, group: list[Chunk], finder: Finder) -> Iterator[Batch]:
    """Read the chunks of a group in one pass of the film."""
    damage: dict[int, str] = {}
    step = math.gcd(*(chunk.step for chunk in group), *(b.start - a.start for a, b in pairwise(group)))
    reading = read_frames(one.video, group[0].start, group[-1].frames[-1] + 1, step=step, on_damage=damage.__setitem__)
    with closing(cast(Generator[Frame, None, None], reading)):
        held: Frame | None = next(reading, None)
        for chunk in group:
            wanted, got, glimpses = set(chunk.frames), list[Frame](), list[Any]()
            while held is not None and held.index <= chunk.frames[-1]:
                if held.index in wanted and held.index not in damage:
                    got.append(held)
                    glimpses.append(finder.glimpse(held))
                held = next(reading, None)
            missing = wanted - {frame.index for frame in got}
            damaged = [(index, damage.get(index, "It cannot be read.")) for index in sorted(missing)]
            yield Batch(chunk, got, glimpses, damaged)


def _kept(faces: list[FoundFace], settings: ExtractSettings) -> list[int]:
    """Which faces of a frame stay, as positions from left to right: sure enough, and the largest of them."""
    sure = [at for at, face in enumerate(faces) if face.presence_01 >= settings.min_presence]
    if settings.max_faces:
        sure = sorted(sorted(sure, key=lambda at: -_area(faces[at]))[: settings.max_faces])
    return sure


def _area(face: FoundFace) -> float:
    x0, y0, x1, y1 = face.detection.box_px
    return (x1 - x0) * (y1 - y0)


def _looks(found: list[list[FoundFace]], settings: ExtractSettings) -> list[int]:
    """Frames that were looked at again; those of them in which a face was found; by the other detector."""
    again = [row for row in found if not row or any("second_look" in face.flags for face in row)]
    other = [row for row in again if any("other_detector" in face.flags for face in row)]
    return [len(again) if settings.second_look else 0, sum(map(bool, again)), len(other)]
