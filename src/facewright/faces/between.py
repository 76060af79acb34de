"""Points of a head in frames where it was not found, from the frames before and after. Pure."""

from __future__ import annotations

import numpy as np

from facewright.faces.smooth import head_part
from facewright.image.geometry import apply_affine, umeyama

SIDE_FACES = 3
"""So many faces on either side of a gap say how the head was moving."""
MOTION_S = 0.25
"""Motion is believed for so long; over longer gaps it counts for less."""


def between(
    times_s: np.ndarray, points_px: np.ndarray, meshes_px: np.ndarray, wanted_s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Times (K,) ascending, points (K, 68, 2) and meshes (K, 468, 3) of the faces around a gap, times (M,) inside it ->
    (M, 68, 2) and (M, 468, 3) float64.

    The head goes on as it moved and comes in as it moves then (a cubic, Hermite's); its features go over from one
    face to the other in a straight line, for a blink or a word that nobody saw is not to be made up.
    """
    times, points = np.asarray(times_s, np.float64), np.asarray(points_px, np.float64)
    after = int(np.searchsorted(times, wanted_s[0]))
    t0, t1 = times[after - 1], times[after]
    share = ((np.asarray(wanted_s, np.float64) - t0) / (t1 - t0))[:, None, None]
    straight = points[after - 1] * (1 - share) + points[after] * share
    head = head_part(points)
    bent = _hermite(times, head, after, share)
    found = straight + bent - (head[after - 1] * (1 - share) + head[after] * share)
    meshes = np.asarray(meshes_px, np.float64)
    plain = meshes[after - 1] * (1 - share) + meshes[after] * share
    bend = umeyama(straight, found)
    size = np.sqrt(np.abs(np.linalg.det(bend[:, :2, :2])))[:, None, None]
    return found, np.concatenate([apply_affine(bend, plain[..., :2]), plain[..., 2:] * size], -1)


def _hermite(times: np.ndarray, head: np.ndarray, after: int, share: np.ndarray) -> np.ndarray:
    gap = times[after] - times[after - 1]
    line, trust = head[after] - head[after - 1], min(1.0, MOTION_S / gap)
    sides = slice(max(after - SIDE_FACES, 0), after), slice(after, after + SIDE_FACES)
    out, back = (line + trust * (gap * _speed(times[s], head[s]) - line) for s in sides)
    s2, s3 = share**2, share**3
    return ((2 * s3 - 3 * s2 + 1) * head[after - 1] + (s3 - 2 * s2 + share) * out
            + (3 * s2 - 2 * s3) * head[after] + (s3 - s2) * back)


def _speed(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least-squares slope over time, px a second; nought where a single face knows none."""
    off = times - times.mean()
    if not off.any():
        return np.zeros(values.shape[1:])
    return np.tensordot(off, values, 1) / (off**2).sum()
