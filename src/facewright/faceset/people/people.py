"""Which faces are one head: tracks inside a chunk, then over whole shots, then people over the whole faceset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from facewright.faces.find import FoundFace
from facewright.faces.identity import mean_vector
from facewright.faces.people import Track, join, people
from facewright.faces.track import shot_breaks, track_ids
from facewright.faceset import files
from facewright.faceset.faceset import Faceset, Vectors
from facewright.faceset.header import Header, Person, free_number
from facewright.faceset.index import Row
from facewright.faceset.selection import Chunk
from facewright.image.geometry import Box
from facewright.media.frame import Frame

CLEAR_PRESENCE, CLEAR_YAW_DEG, CLEAR_SIDE_PX = 0.95, 45.0, 40.0
_FACES_OF_A_TRACK = 2
_DRIFT_FACES = 4

VectorsOf = Callable[[list[str]], Vectors | None]


@dataclass(frozen=True, slots=True)
class Linked:
    """What faceset.json says of heads: people, the one with most faces first, and the parts of longer tracks."""

    people: tuple[Person, ...]
    tracks: tuple[tuple[str, ...], ...]

    def into(self, header: Header) -> Header:
        """The header with this in it."""
        return dataclasses.replace(header, people=self.people, tracks=self.tracks)


def tracks(
    chunk: Chunk, frames: list[Frame], found: list[list[FoundFace]], stills: bool = False,
    breaks: Collection[int] | None = None,
) -> list[list[str]]:
    """Track ids of the faces of one chunk, as `found` lists them; pictures of a folder do not follow each other.

    breaks: positions at which another shot begins; None: not known, they are looked for in the frames.
    """
    if stills:
        breaks = range(len(frames))
    elif breaks is None:
        breaks = shot_breaks([_thin(frame.image) for frame in frames])
    boxes = [[face.detection for face in row] for row in found]
    return track_ids(boxes, f"{chunk.source_sha256[:8]}_{chunk.start:07d}", breaks)


def _thin(image: np.ndarray) -> np.ndarray:
    """Every n-th pixel, about 90 on the short side: a cut shows in that too, at a tenth of the cost."""
    step = max(min(image.shape[:2]) // 90, 1)
    return np.ascontiguousarray(image[::step, ::step])


def link(faceset: Faceset, vectors_of: VectorsOf | None = None) -> Linked:
    """Tracks over whole shots and people of the whole set. Names given before stay with their tracks, and what a user
    settled stays as it is; only what is new is placed.

    Identity vectors decide where the net is at hand (or `vectors_of` gives them); else place and time alone.
    """
    spans, means = seen(faceset, vectors_of)
    before = faceset.header.people
    settled = {track: person.name for person in before if person.settled for track in person.tracks}
    stills = _stills(faceset, spans.values())
    moving = [span for span in spans.values() if span.source not in stills]
    groups = people(list(spans.values()), means, settled)
    wholes = [whole for whole in join(moving, means, settled) if len(whole) > 1]
    away = [whole for whole in faceset.header.tracks if spans.keys().isdisjoint(whole)]  # in the trash, for now
    return Linked(_named(groups, spans, before), (*wholes, *away))


def seen(
    faceset: Faceset, vectors_of: VectorsOf | None = None
) -> tuple[dict[str, Track], dict[str, np.ndarray] | None]:
    """Every track of the set, and the unit mean vector of those with clear faces; None where no net is at hand."""
    spans, clearest = _spans(faceset)
    wanted = [face_id for ids in clearest.values() for face_id in ids]
    found = (vectors_of or faceset.vectors)(wanted) if wanted else None
    return spans, _means(found, clearest) if found is not None else None


def _spans(faceset: Faceset) -> tuple[dict[str, Track], dict[str, list[str]]]:
    """Track id -> its span; track id -> ids of its clearest faces. One pass over the index."""
    rows_of: dict[str, list[tuple[int, Box, int]]] = {}
    best: dict[str, list[tuple[float, str]]] = {}
    frames: dict[str, dict[int, None]] = {}
    sources: dict[str, str] = {}
    for row in faceset.rows():
        if not row.track:
            continue
        frames.setdefault(row.source_sha256, {})[row.frame_index] = None
        sources[row.track] = row.source_sha256
        box = (row.x0_px, row.y0_px, row.x1_px, row.y1_px)
        rows_of.setdefault(row.track, []).append((row.frame_index, box, row.shot))
        if clear(row):
            ranked = [*best.get(row.track, []), (-row.sharpness, row.face_id)]
            best[row.track] = sorted(ranked)[:_FACES_OF_A_TRACK]
    steps = {source: int(np.median(np.diff(list(seen)))) if len(seen) > 1 else 1 for source, seen in frames.items()}
    spans = {track: _span(track, sources[track], rows, steps[sources[track]]) for track, rows in rows_of.items()}
    return spans, {track: [face_id for _, face_id in ranked] for track, ranked in best.items()}


def _span(track: str, source: str, rows: list[tuple[int, Box, int]], step: int) -> Track:
    first, last = rows[0], rows[-1]
    before = rows[-_DRIFT_FACES:][0]
    frames = last[0] - before[0]
    middles = np.array([np.add(box[:2], box[2:]) / 2 for box in (before[1], last[1])])
    drift = (middles[1] - middles[0]) / frames if frames > 0 else np.zeros(2)
    return Track(track, source, first[0], last[0], first[1], last[1], len(rows), last[2],
                 (float(drift[0]), float(drift[1])), step)


def _stills(faceset: Faceset, spans: Iterable[Track]) -> set[str]:
    """SHA-256 of the sources that are folders of pictures which do not follow each other: no track holds two."""
    moving = {span.source for span in spans if span.count > 1}
    firsts = faceset.index.select(
        "SELECT source_sha256, min(path) FROM faces WHERE trouble = '' AND doubled = 0 GROUP BY source_sha256")
    still = [(sha256, path) for sha256, path in firsts if sha256 not in moving]
    return {sha256 for sha256, path in still if "/" in files.read_head(faceset.files, path)[0].source.file}


def clear(row: Row) -> bool:
    """Whether a face is large, sure and frontal enough to say who it is."""
    large = min(row.x1_px - row.x0_px, row.y1_px - row.y0_px) >= CLEAR_SIDE_PX
    return large and row.presence_01 >= CLEAR_PRESENCE and abs(row.yaw_deg) <= CLEAR_YAW_DEG


def _means(found: Vectors, clearest: Mapping[str, list[str]]) -> dict[str, np.ndarray]:
    place = {face_id: at for at, face_id in enumerate(found.face_ids)}
    return {track: mean_vector(found.matrix[[place[i] for i in ids]]) for track, ids in clearest.items() if ids}


def _named(
    groups: Mapping[str, tuple[str, ...]], spans: Mapping[str, Track], before: tuple[Person, ...]
) -> tuple[Person, ...]:
    """Settled people keep their names, and their tracks that have left the set for now (they may come back). Each other
    group keeps the name that most of its faces had; groups of one name become one; others get free numbers."""
    settled = {person.name: person for person in before if person.settled}
    old = {track: person.name for person in before if not person.settled for track in person.tracks}
    named: dict[str, list[str]] = {}
    taken = {person.name for person in before}
    for given, group in groups.items():
        name = given
        if given not in settled:
            votes: dict[str, int] = {}
            for track in group:
                if track in old:
                    votes[old[track]] = votes.get(old[track], 0) + spans[track].count
            name = max(votes, key=lambda n: (votes[n], n)) if votes else free_number(taken)
        taken.add(name)
        named.setdefault(name, []).extend(group)
    for name, person in settled.items():
        named.setdefault(name, []).extend(track for track in person.tracks if track not in spans)
    return tuple(Person(name, tuple(found), name in settled) for name, found in named.items())
