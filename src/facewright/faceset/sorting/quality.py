"""How good a face is for training, as one number: how sure its landmarks are, and all in all.

0..1 each, monotone in every part, the same for the same file wherever it lies: no face is judged by its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from facewright.faceset.index import Row

LANDMARK_NEEDS = ("misfit",)
QUALITY_NEEDS = ("laplacian", "exposure", "misfit")
"""Measures that the functions below want in `values`."""

DOUBTS = ("low_presence", "five_points", "profile_unaligned", "jump", "interpolated", "passes_disagree")
"""Flags of a face whose landmarks are not to be trusted."""

_MISFIT, _LAPLACIAN, _SIDE_PX = 0.12, 60.0, 256.0


def landmark_quality(rows: Sequence[Row], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,): presence, times exp(-(misfit / 0.12)^2), halved for each flag of DOUBTS.

    Presence 0 means that no net judged it (an import) and counts as 1.
    """
    presence = np.array([row.presence_01 or 1.0 for row in rows], np.float64)
    doubts = np.array([len(set(row.flags.split()) & set(DOUBTS)) for row in rows], np.float64)
    return presence * np.exp(-((values["misfit"] / _MISFIT) ** 2)) * 0.5**doubts


def quality(rows: Sequence[Row], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,): (sharp^2 size exposure landmarks)^(1/5).

    sharp = 1 - exp(-laplacian / 60); size = the box's side over 256 px, at most 1; exposure = 1 - twice the clipped
    share of the face, at least 0; landmarks as above. A geometric mean: one bad part cannot be made up for.
    """
    sharp = 1 - np.exp(-values["laplacian"] / _LAPLACIAN)
    size = np.minimum(np.sqrt(box_areas(rows)) / _SIDE_PX, 1)
    exposure = np.maximum(1 - 2 * values["exposure"].sum(-1), 0)
    return (sharp**2 * size * exposure * landmark_quality(rows, values)) ** 0.2


def box_areas(rows: Sequence[Row]) -> np.ndarray:
    """(N,) frame px^2 of the faces' boxes; 0 for one that has none."""
    boxes = np.array([(row.x0_px, row.y0_px, row.x1_px, row.y1_px) for row in rows], np.float64).reshape(-1, 4)
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
