"""What makes a found face doubtful, as words in its flags: all that its own frame and its neighbours can tell.

Thresholds were set where the licensed test clips, looked at by eye, hold no wrong face: see each constant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from facewright.faces.align import FIT_POINTS
from facewright.faces.find import FoundFace
from facewright.media.frame import Frame

POSITION_JUMP = 0.25
"""Distance from the middle between the frames before and after, over the spread of the points (about 0.8 of the eyes'
distance). Heads in the test clips stay under 0.12."""
SIZE_JUMP = 0.12
"""The same for the size, as a natural logarithm; heads in the test clips stay under 0.06."""
LONGEST_STEP_S = 0.10
"""Frames farther apart say nothing: a head may have moved."""
CUT_OFF_01 = 0.02
"""Share of the mesh's points outside of the frame from which on a face counts as cut off."""
MOST_BOXES = 4.0


def jumps(frames: Sequence[Frame], found: list[list[FoundFace]], tracks: list[list[str]]) -> list[list[FoundFace]]:
    """The faces of a chunk, those that leap out of their track marked "position_jump" or "size_jump".

    A face is compared with the middle of those before and after it in the same track; the first and last of a track,
    and those beside a gap, cannot be judged.
    """
    places: dict[str, list[tuple[int, int]]] = {}
    for position, names in enumerate(tracks):
        for at, name in enumerate(names):
            places.setdefault(name, []).append((position, at))
    result = [list(row) for row in found]
    for track in places.values():
        if len(track) >= 3:
            for (position, at), words in zip(track, _leaps(frames, found, track)):
                if words:
                    face = result[position][at]
                    result[position][at] = dataclasses.replace(face, flags=(*face.flags, *words))
    return result


def _leaps(
    frames: Sequence[Frame], found: list[list[FoundFace]], track: list[tuple[int, int]]
) -> list[tuple[str, ...]]:
    faces = [found[position][at] for position, at in track]
    points = np.stack([face.landmarks.points_px[FIT_POINTS] for face in faces]).astype(np.float64)
    centre = points.mean(1)
    spread = np.maximum(np.sqrt(((points - centre[:, None]) ** 2).sum(-1).mean(-1)), 1e-6)
    position, size = np.zeros(len(track)), np.zeros(len(track))
    position[1:-1] = np.linalg.norm(centre[1:-1] - (centre[:-2] + centre[2:]) / 2, axis=-1) / spread[1:-1]
    size[1:-1] = np.abs(np.log(spread[1:-1]) - (np.log(spread[:-2]) + np.log(spread[2:])) / 2)
    times = np.array([frames[at].time_s for at, _ in track])
    close = np.diff([at for at, _ in track]) == 1
    close &= np.diff(times) <= LONGEST_STEP_S
    judged = np.concatenate([[False], close[:-1] & close[1:], [False]])
    moved, grown = (_peaks(values) & (values > limit) & judged
                    for values, limit in ((position, POSITION_JUMP), (size, SIZE_JUMP)))
    return [("position_jump",) * bool(m) + ("size_jump",) * bool(g) for m, g in zip(moved, grown)]


def _peaks(values: np.ndarray) -> np.ndarray:
    """Where no neighbour is larger: one wrong frame makes its neighbours deviate by half."""
    padded = np.pad(values, 1, constant_values=-np.inf)
    return np.asarray((values >= padded[:-2]) & (values >= padded[2:]))


def cut_off(mesh_px: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether a face (468, 3) reaches out of a frame of `shape` (H, W, ...)."""
    x, y = mesh_px[:, 0], mesh_px[:, 1]
    outside = (x < -0.5) | (y < -0.5) | (x > shape[1] - 0.5) | (y > shape[0] - 0.5)
    return float(outside.mean()) >= CUT_OFF_01


def box_too_small(box_px: tuple[float, float, float, float], full_side_px: float) -> bool:
    """Whether the full-face crop of the points covers over four times the detector's box: one of the two is wrong.

    The original drops such faces silently, and only in crops up to full_face.
    """
    x0, y0, x1, y1 = box_px
    return full_side_px**2 > MOST_BOXES * max((x1 - x0) * (y1 - y0), 1e-6)
