"""Link detections over time inside a chunk of frames: boxes -> tracks. Over chunks and films: faces/people.py.

Pure functions. Their results do not depend on the order in which faces are handed over.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np

from facewright.faces.face import Detection
from facewright.image.geometry import Box, iou_matrix

MAX_GAP = 6
"""Frames (of those handed over) that a head may be missing inside a track."""
LEAST_LIKENESS = 0.2
SIZE_RATIO = 1.8


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
