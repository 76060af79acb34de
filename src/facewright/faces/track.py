"""Link detections over time: boxes -> tracks inside a chunk, tracks -> people over a whole faceset.

Pure functions. Their results do not depend on the order in which faces or tracks are handed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facewright.faces.face import Detection
from facewright.faces.identity import ASK_COSINE, SAME_COSINE
from facewright.image.geometry import Box, iou, iou_matrix

MAX_GAP = 6
"""Frames (of those handed over) that a head may be missing inside a track."""
LEAST_LIKENESS = 0.2
SIZE_RATIO = 1.8
BORDER_GAP = 12
"""Frames of the film between the end of one track and the start of its sequel in the next chunk."""
REST_GAP = 75
"""The same where there are no vectors to ask: a head that comes back to the same place soon is the same."""


def shot_breaks(images: Sequence[np.ndarray], least: float = 0.12) -> list[int]:
    """Positions in a run of (H, W, 3) pictures at which a new shot begins: no track crosses them.

    A cut changes the picture (mean grey difference of 32 x 18 thumbnails, 0..1) by `least`, and four times as
    much as the frames around it change, so that flicker and fast motion do not count.
    """
    if len(images) < 2:
        return []
    thumbs = [cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA) for image in images]
    small = np.stack(thumbs).astype(np.float64).mean(-1)
    top = 255.0 if images[0].dtype == np.uint8 else 65535.0
    steps = np.abs(np.diff(small, axis=0)).mean((1, 2)) / top
    padded = np.pad(steps, 3, constant_values=np.nan)
    around = np.stack([padded[k : k + len(steps)] for k in (0, 1, 2, 4, 5, 6)])
    around[:, np.isnan(around).all(0)] = 0.0
    usual = np.nanmedian(around, axis=0)
    return [int(i) + 1 for i in np.flatnonzero((steps >= least) & (steps >= 4 * usual))]


def likeness(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(N, 4) and (M, 4) boxes -> (N, M) 0..1: how well a head can have moved from one to the other."""
    a, b = np.asarray(before, np.float64).reshape(-1, 1, 4), np.asarray(now, np.float64).reshape(1, -1, 4)
    size_a, size_b = ((x[..., 2:] - x[..., :2]).max(-1) for x in (a, b))
    distance = np.linalg.norm((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = 0.5 * (1.0 - distance / (0.8 * np.minimum(size_a, size_b)))
        ratio = np.maximum(size_a, size_b) / np.minimum(size_a, size_b)
    score = np.maximum(iou_matrix(before, now), np.nan_to_num(near, nan=0.0, neginf=0.0))
    return np.where(ratio <= SIZE_RATIO, np.clip(score, 0.0, 1.0), 0.0)


def link(boxes: Sequence[Sequence[Box]], breaks: Collection[int] = ()) -> list[list[int]]:
    """Boxes of the faces of each frame of a chunk -> a track number for each, counted by first appearance.

    A frame's faces are numbered from image left to right when they appear together. `breaks`: positions where a
    new shot begins. Two faces of one frame never share a track.
    """
    result: list[list[int]] = [[-1] * len(row) for row in boxes]
    alive: dict[int, tuple[Box, int]] = {}  # number -> last box, its position
    count = 0
    for position, row in enumerate(boxes):
        if position in breaks:
            alive = {}
        alive = {n: (box, p) for n, (box, p) in alive.items() if position - p <= MAX_GAP + 1}
        order = sorted(range(len(row)), key=lambda i: (row[i][0] + row[i][2], *row[i]))
        numbers = list(alive)
        for at, number in _pairs(np.array([alive[n][0] for n in numbers]), np.array([row[i] for i in order]), numbers):
            result[position][order[at]] = number
        for i in order:
            if result[position][i] < 0:
                result[position][i] = count
                count += 1
            alive[result[position][i]] = (row[i], position)
    return result


def _pairs(before: np.ndarray, now: np.ndarray, numbers: list[int]) -> list[tuple[int, int]]:
    """Greedy by likeness: (index in `now`, track number), each at most once."""
    if not len(before) or not len(now):
        return []
    score = likeness(before, now)
    found = []
    while score.max() >= LEAST_LIKENESS:
        i, j = np.unravel_index(int(score.argmax()), score.shape)
        found.append((int(j), numbers[int(i)]))
        score[i, :], score[:, j] = -1.0, -1.0
    return found


def track_ids(found: Sequence[Sequence[Detection]], prefix: str, breaks: Collection[int] = ()) -> list[list[str]]:
    """Detections of each frame of a chunk -> track ids `<prefix>_<n>`; `prefix` is e.g. `<sha8>_<chunk start>`."""
    return [[f"{prefix}_{n}" for n in row] for row in link([[d.box_px for d in row] for row in found], breaks)]


@dataclass(frozen=True, slots=True)
class Track:
    """One head over consecutive frames of one film. Frame numbers are the film's; `count` faces."""

    id: str
    source: str
    first_frame: int
    last_frame: int
    first_box: Box
    last_box: Box
    count: int = 1


def people(
    tracks: Sequence[Track], vectors: Mapping[str, np.ndarray] | None = None
) -> dict[str, tuple[str, ...]]:
    """Tracks -> {"person-1": track ids, ...}, the one with most faces first.

    `vectors`: unit mean identity vector (D,) of a track (those with large, clear faces), all of one net; or None.
    With vectors, tracks over the same threshold belong together, whatever the film; without, only tracks that
    follow each other at the same place. Heads seen in one film at the same time are different people, always.
    """
    tracks = sorted(tracks, key=lambda t: (t.source, t.first_frame, t.id))
    known = vectors or {}
    groups = _strands(tracks, known)
    if known:
        groups = _merged(groups, known)
    groups.sort(key=_weight)
    return {f"person-{i}": tuple(t.id for t in group) for i, group in enumerate(groups, 1)}


def _strands(tracks: list[Track], vectors: Mapping[str, np.ndarray]) -> list[list[Track]]:
    """Chains of tracks that follow each other at one place, best overlap first."""
    reach = BORDER_GAP if vectors else REST_GAP
    starts = np.array([t.first_frame for t in tracks])
    links = []
    for i, a in enumerate(tracks):
        # Sorted by source and start: the sequels of a lie in one run of the list.
        for j in np.flatnonzero((starts > a.last_frame) & (starts <= a.last_frame + reach)):
            b = tracks[int(j)]
            overlap = iou(a.last_box, b.first_box)
            if b.source == a.source and overlap >= 0.3 and not _different(vectors.get(a.id), vectors.get(b.id)):
                links.append((b.first_frame - a.last_frame, -overlap, i, int(j)))
    after: dict[int, int] = {}
    before: dict[int, int] = {}
    for _, _, i, j in sorted(links):
        if i not in after and j not in before:
            after[i], before[j] = j, i
    groups = []
    for i in range(len(tracks)):
        if i not in before:
            group, at = [tracks[i]], i
            while at in after:
                at = after[at]
                group.append(tracks[at])
            groups.append(group)
    return groups


def _different(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is not None and b is not None and float(a @ b) < ASK_COSINE


def _merged(groups: list[list[Track]], vectors: Mapping[str, np.ndarray]) -> list[list[Track]]:
    """Strands joined by their mean vectors: large ones first, each to the most alike person it may belong to."""
    sums: list[np.ndarray] = []
    result: list[list[Track]] = []
    nameless = []
    for group in sorted(groups, key=_weight):
        own = [np.asarray(vectors[t.id], np.float64) * t.count for t in group if t.id in vectors]
        if not own:
            nameless.append(group)
            continue
        total = np.stack(own).sum(0)
        home = _home(group, total, result, sums)
        if home is None:
            result.append(list(group))
            sums.append(total)
        else:
            result[home] += group
            sums[home] = sums[home] + total
    for group in result:
        group.sort(key=lambda t: (t.source, t.first_frame, t.id))
    return result + nameless


def _weight(group: list[Track]) -> tuple[int, str, int, str]:
    """Sorts groups: most faces first, then by film, time and name."""
    return -sum(t.count for t in group), group[0].source, group[0].first_frame, group[0].id


def _home(group: list[Track], total: np.ndarray, people: list[list[Track]], sums: list[np.ndarray]) -> int | None:
    """The most alike person that is over the threshold and never seen together with `group`."""
    cosines = np.array([_cosine(total, s) for s in sums])
    for k in np.argsort(-cosines, kind="stable"):
        if cosines[k] < SAME_COSINE:
            return None
        if not _together(group, people[int(k)]):
            return int(k)
    return None


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def _together(a: list[Track], b: list[Track]) -> bool:
    """Whether two groups are seen in one film at the same time."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for t in b:
        spans.setdefault(t.source, []).append((t.first_frame, t.last_frame))
    return any(t.first_frame <= last and first <= t.last_frame for t in a for first, last in spans.get(t.source, ()))
