"""Which faces to label next: doubtful masks first (two thirds of the list at most), then whatever differs most.

Greedy farthest points (Gonzalez 1985) over pose and a small picture of the face, from what is labelled or named
already; the more doubtful a mask, the further away it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.image.warp import resize
from facewright.masks.doubt import measure, reasons
from facewright.masks.settings import CheckSettings, SuggestSettings

_LOOK_PX = 8
_YAW_DEG, _PITCH_DEG = 30.0, 20.0
"""Turns that weigh as much as a look that differs by one spread of the set."""
_DOUBT_WEIGHT, _DOUBTFUL_SHARE = 2.0, 2 / 3


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One face as the choice sees it. vector (D,) float32: pose, then light and layout of its picture; doubts: words
    of its stored mask; doubt_01 how much of it is doubtful."""

    row: Row
    vector: np.ndarray
    doubts: tuple[str, ...] = ()
    doubt_01: float = 0.0


def suggest(
    folder: Path, settings: SuggestSettings, *, person: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """`rows`: faces to label next, the most useful first, each with `why`. Faces with labels are never named.

    Raises NothingFound: every face has labels already, or there is none.
    """
    faceset = Faceset.open(folder)
    rows = list(faceset.rows_of(person))
    labelled = [row for row in rows if row.labels]
    free = _spread([row for row in rows if not row.labels], settings.candidates)
    if not free:
        what = f"Every face in {folder.name} has labels." if rows else f"There are no faces in {folder.name}."
        raise NothingFound(what, remedy="Nothing is left to label here.", where=folder)
    done = _spread(labelled, settings.candidates)
    looks: list[Look] = []
    for number, row in enumerate([*done, *free]):
        progress(number, len(done) + len(free))
        seen = _look(faceset, row)
        if seen is not None:
            looks.append(seen)
    chosen = choose(looks, settings.number)
    return {"faceset": str(folder), "labelled": len(labelled), "looked_at": len(looks),
            "rows": [{"face_id": look.row.face_id, "path": look.row.path, "film": look.row.source_file,
                      "frame": look.row.frame_index, "origin": look.row.origin, "yaw_deg": round(look.row.yaw_deg, 1),
                      "pitch_deg": round(look.row.pitch_deg, 1), "why": why} for look, why in chosen]}


def choose(looks: list[Look], number: int) -> list[tuple[Look, str]]:
    """At most `number` looks without labels, in order, each with a sentence that says why."""
    if not looks:
        return []
    vectors = _standardised(np.stack([look.vector for look in looks]))
    taken = np.array([look.row.labels > 0 for look in looks])
    boost = 1 + _DOUBT_WEIGHT * np.array([look.doubt_01 for look in looks], np.float32)
    near = np.full(len(looks), -1)
    distance = np.full(len(looks), np.inf, np.float32)
    for at in np.flatnonzero(taken):
        _closer(vectors, int(at), distance, near)
    found: list[tuple[Look, str]] = []
    unsure = np.array([bool(look.doubts) for look in looks])
    usual = np.linalg.norm(vectors - np.median(vectors, 0), axis=1)
    while len(found) < number and not taken.all():
        open_ones = ~taken & unsure if len(found) < _DOUBTFUL_SHARE * number else ~taken
        open_ones = open_ones if open_ones.any() else ~taken
        # With nothing to differ from yet: the most doubtful, else the most usual face.
        score = boost * 100 - usual if np.isinf(distance).all() else (distance + 0.05) * boost
        at = int(np.argmax(np.where(open_ones, score, -np.inf)))
        other = looks[near[at]] if near[at] >= 0 else None
        found.append((looks[at], _why(looks[at], other, vectors[at], vectors[near[at]] if other else vectors[at])))
        taken[at] = True
        _closer(vectors, at, distance, near)
    return found


def _closer(vectors: np.ndarray, at: int, distance: np.ndarray, near: np.ndarray) -> None:
    fresh = np.linalg.norm(vectors - vectors[at], axis=1)
    better = fresh < distance
    distance[better], near[better] = fresh[better], at


def _standardised(vectors: np.ndarray) -> np.ndarray:
    """Pose in its own units; the look of the picture by its spread over the set, all of it as heavy as one turn."""
    pose, look = vectors[:, :2], vectors[:, 2:]
    spread = np.sqrt(((look - look.mean(0)) ** 2).sum(1).mean())
    return np.concatenate([pose, (look - look.mean(0)) / max(float(spread), 1e-6)], 1).astype(np.float32)


def _why(look: Look, other: Look | None, here: np.ndarray, there: np.ndarray) -> str:
    parts = [f"its mask is doubtful ({', '.join(look.doubts)})"] if look.doubts else []
    if other is None:
        return "; ".join(parts or ["a usual face of this set to begin with"])
    yaw, pitch = look.row.yaw_deg - other.row.yaw_deg, look.row.pitch_deg - other.row.pitch_deg
    if max(abs(yaw) / _YAW_DEG, abs(pitch) / _PITCH_DEG) > 0.35:
        turn = f"turned {abs(yaw):.0f} degrees" if abs(yaw) / _YAW_DEG >= abs(pitch) / _PITCH_DEG else \
            f"nods {abs(pitch):.0f} degrees"
        parts.append(f"{turn} from the nearest labelled or named face")
    if np.linalg.norm(here[2:] - there[2:]) > 0.5 or not parts:
        parts.append("light, expression or something before the face differs")
    return "; ".join(parts)


def _look(faceset: Faceset, row: Row) -> Look | None:
    """None for a file that cannot be read any more."""
    try:
        face, image, mask = faceset.load(row)
    except FileRefused:
        return None
    lab = cv2.cvtColor(resize(image, _LOOK_PX, "area"), cv2.COLOR_RGB2LAB).astype(np.float32).ravel() / 255
    pose = np.array([row.yaw_deg / _YAW_DEG, row.pitch_deg / _PITCH_DEG], np.float32)
    if mask is None:
        return Look(row, np.concatenate([pose, lab]))
    facts = measure(mask.astype(np.float32) / 255, face)
    words = tuple(reasons(facts, CheckSettings()))
    return Look(row, np.concatenate([pose, lab]), words, facts.uncertainty_01 if words else facts.uncertainty_01 / 4)


def _spread(rows: list[Row], most: int) -> list[Row]:
    """At most so many, evenly over the set: neighbouring frames are alike."""
    if len(rows) <= most:
        return rows
    return [rows[i] for i in np.linspace(0, len(rows) - 1, most).round().astype(int)]
