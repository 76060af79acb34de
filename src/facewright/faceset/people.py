"""Which faces are one person: tracks inside a chunk, then people over the whole faceset."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from facewright.faces.find import FoundFace
from facewright.faces.identity import mean_vector
from facewright.faces.track import Track, people, shot_breaks, track_ids
from facewright.faceset.faceset import Faceset, Vectors
from facewright.faceset.header import Person
from facewright.faceset.index import Row
from facewright.faceset.selection import Chunk
from facewright.media.frame import Frame

CLEAR_PRESENCE, CLEAR_YAW_DEG, CLEAR_SIDE_PX = 0.95, 45.0, 40.0
_FACES_OF_A_TRACK = 2

VectorsOf = Callable[[list[str]], Vectors | None]


def tracks(chunk: Chunk, frames: list[Frame], found: list[list[FoundFace]], stills: bool = False) -> list[list[str]]:
    """Track ids of the faces of one chunk, as `found` lists them; pictures of a folder do not follow each other."""
    breaks = range(len(frames)) if stills else shot_breaks([_thin(frame.image) for frame in frames])
    boxes = [[face.detection for face in row] for row in found]
    return track_ids(boxes, f"{chunk.source_sha256[:8]}_{chunk.start:07d}", breaks)


def _thin(image: np.ndarray) -> np.ndarray:
    """Every n-th pixel, about 90 on the short side: a cut shows in that too, at a tenth of the cost."""
    step = max(min(image.shape[:2]) // 90, 1)
    return np.ascontiguousarray(image[::step, ::step])


def link(faceset: Faceset, vectors_of: VectorsOf | None = None) -> tuple[Person, ...]:
    """People of the whole set, the one with most faces first. Names that were given before stay with their tracks.

    Identity vectors decide where the net is at hand (or `vectors_of` gives them); else place and time alone.
    """
    spans, clearest = _spans(faceset)
    wanted = [face_id for ids in clearest.values() for face_id in ids]
    found = (vectors_of or faceset.vectors)(wanted) if wanted else None
    means = _means(found, clearest) if found is not None else None
    return _named(people(list(spans.values()), means), spans, faceset.header.people)


def _spans(faceset: Faceset) -> tuple[dict[str, Track], dict[str, list[str]]]:
    """Track id -> its span; track id -> ids of its clearest faces. One pass over the index."""
    spans: dict[str, Track] = {}
    best: dict[str, list[tuple[float, str]]] = {}
    for row in faceset.rows():
        if not row.track:
            continue
        box, before = (row.x0_px, row.y0_px, row.x1_px, row.y1_px), spans.get(row.track)
        spans[row.track] = Track(
            row.track, row.source_sha256, before.first_frame if before else row.frame_index, row.frame_index,
            before.first_box if before else box, box, (before.count if before else 0) + 1)
        if _clear(row):
            ranked = [*best.get(row.track, []), (-row.sharpness, row.face_id)]
            best[row.track] = sorted(ranked)[:_FACES_OF_A_TRACK]
    return spans, {track: [face_id for _, face_id in ranked] for track, ranked in best.items()}


def _clear(row: Row) -> bool:
    large = min(row.x1_px - row.x0_px, row.y1_px - row.y0_px) >= CLEAR_SIDE_PX
    return large and row.presence_01 >= CLEAR_PRESENCE and abs(row.yaw_deg) <= CLEAR_YAW_DEG


def _means(found: Vectors, clearest: Mapping[str, list[str]]) -> dict[str, np.ndarray]:
    place = {face_id: at for at, face_id in enumerate(found.face_ids)}
    return {track: mean_vector(found.matrix[[place[i] for i in ids]]) for track, ids in clearest.items() if ids}


def _named(
    groups: Mapping[str, tuple[str, ...]], spans: Mapping[str, Track], before: tuple[Person, ...]
) -> tuple[Person, ...]:
    """Each group keeps the name that most of its faces had; groups of one name become one; others get free numbers."""
    old = {track: person.name for person in before for track in person.tracks}
    named: dict[str, list[str]] = {}
    taken = {person.name for person in before}
    for group in groups.values():
        votes: dict[str, int] = {}
        for track in group:
            if track in old:
                votes[old[track]] = votes.get(old[track], 0) + spans[track].count
        name = max(votes, key=lambda n: (votes[n], n)) if votes else _free(taken)
        taken.add(name)
        named.setdefault(name, []).extend(group)
    return tuple(Person(name, tuple(found)) for name, found in named.items())


def _free(taken: set[str]) -> str:
    number = 1
    while f"person-{number}" in taken:
        number += 1
    return f"person-{number}"
