"""Points of a head that only a detector's five points hold: a profile past 75 degrees, or a face of a few pixels."""

from __future__ import annotations

import numpy as np

from facewright.faces.align import canonical_mesh
from facewright.faces.face import Detection
from facewright.faces.landmark import Landmarks, corrected_points

_FIVE = ((33, 133, 159, 145), (362, 263, 386, 374), (4,), (61,), (291,))
"""Mesh vertices whose mean is each of the five points."""


def five_of_mesh(mesh: np.ndarray) -> np.ndarray:
    """(..., 468, D) mesh -> (..., 5, D): image-left eye, image-right eye, nose tip, image-left, -right mouth corner."""
    mesh = np.asarray(mesh)
    return np.stack([mesh[..., list(group), :].mean(-2) for group in _FIVE], -2)


def landmarks_from_hint(detection: Detection, seen: Landmarks) -> Landmarks | None:
    """The neutral head turned and placed so that its five points meet the detector's; None without all five.

    Weak perspective: the best affine map of the five 3-D points, made a rotation with one scale. Only as good as
    the detector's points; presence is kept from the mesh.
    """
    hint = detection.hint_px
    if hint is None or not np.isfinite(hint).all():
        return None
    mesh = posed_head(five_of_mesh(canonical_mesh()), hint)
    if mesh is None:
        return None
    roll = float(-np.degrees(np.arctan2(*(hint[1] - hint[0])[::-1])))
    return Landmarks(mesh.astype(np.float32), corrected_points(mesh), seen.presence_01, seen.presence_logit, roll)


def posed_head(head: np.ndarray, points_px: np.ndarray) -> np.ndarray | None:
    """(468, 3) neutral mesh in frame px whose places `head` (N, 3) in the canonical head lie on `points_px` (N, 2) as
    well as a turn, a shift and one scale allow; None when the points lie on one place."""
    target = np.asarray(points_px, np.float64) * np.array([1.0, -1.0])  # y up, as the head has it
    a, b = head - head.mean(0), target - target.mean(0)
    affine = np.linalg.lstsq(a, b, rcond=None)[0].T  # (2, 3)
    u, s, vt = np.linalg.svd(affine, full_matrices=False)
    scale = float(s.mean())
    if scale <= 0:
        return None
    rows = u @ vt
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    # Scale again by the fit itself: the singular values of a noisy, nearly flat set are biased.
    flat = a @ rows.T
    scale = float((flat * b).sum() / max((flat * flat).sum(), 1e-9)) or scale
    mesh = (canonical_mesh() - head.mean(0)) @ rotation.T * scale
    mesh[:, :2] += target.mean(0)
    return mesh * np.array([1.0, -1.0, -1.0])
