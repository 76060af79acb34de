"""How much each face looks like the set's main person, by the identity net. A few faces of a track speak for all of it
where they are sure; biometric vectors stay in the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from facewright.faces.identity import ASK_COSINE, SAME_COSINE, mean_vector
from facewright.faceset.faceset import Faceset, Vectors
from facewright.faceset.index import Row

CLEAR_PRESENCE, CLEAR_YAW_DEG, CLEAR_SIDE_PX = 0.95, 55.0, 40.0
"""Doubtful, turned and tiny faces say nothing about who they are."""
_SPEAKERS, _PART, _SAMPLE = 3, 32, 500

VectorsOf = Callable[[list[str]], Vectors | None]


def likeness(faceset: Faceset, rows: Sequence[Row], vectors_of: VectorsOf | None = None) -> np.ndarray:
    """(N,) cosine of each face to the main person: the one whom most clear faces look like. NaN where nobody can tell;
    all NaN without an identity net. Sure tracks: the mean of those that were asked."""
    ask = vectors_of or (lambda ids: faceset.vectors(ids))
    out = np.full(len(rows), np.nan)
    parts = _parts(rows)
    speakers = [some[np.unique(np.linspace(0, len(some) - 1, _SPEAKERS).round().astype(int))] for some in parts]
    asked = np.concatenate(speakers) if speakers else np.zeros(0, np.int64)
    found = ask([rows[i].face_id for i in asked.tolist()]) if len(asked) else None
    if found is None:
        return out
    main = main_person(found.matrix)
    out[asked] = found.matrix @ main
    doubtful = [some for some, few in zip(parts, speakers) if (out[few] < SAME_COSINE).any()]
    for some, few in zip(parts, speakers):
        out[some] = out[few].mean()
    again = np.concatenate(doubtful) if doubtful else np.zeros(0, np.int64)
    more = ask([rows[i].face_id for i in again.tolist()]) if len(again) else None
    if more is not None:
        out[again] = more.matrix @ main
    return out


def main_person(matrix: np.ndarray) -> np.ndarray:
    """(N, D) unit vectors -> (D,) unit mean of the largest group of faces that look alike."""
    some = matrix[np.unique(np.linspace(0, len(matrix) - 1, min(len(matrix), _SAMPLE)).round().astype(int))]
    alike = some @ some.T >= SAME_COSINE
    main = mean_vector(some[alike[int(np.argmax(alike.sum(1)))]])
    for _ in range(3):
        near = matrix @ main >= ASK_COSINE
        if near.any():
            main = mean_vector(matrix[near])
    return main


def _parts(rows: Sequence[Row]) -> list[np.ndarray]:
    """Clear faces by track, long tracks in pieces; those without a track one by one."""
    groups: dict[tuple[str, str, int], list[int]] = {}
    for at, row in enumerate(rows):
        large = min(row.x1_px - row.x0_px, row.y1_px - row.y0_px) >= CLEAR_SIDE_PX
        if large and row.presence_01 >= CLEAR_PRESENCE and abs(row.yaw_deg) <= CLEAR_YAW_DEG:
            piece = row.frame_index // (_PART * 8) if row.track else at
            groups.setdefault((row.source_sha256, row.track, piece), []).append(at)
    return [np.array(places) for places in groups.values()]
