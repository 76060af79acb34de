"""Polygons from outside -> arrays of the kind that faces carry, within what a person could have drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_POLYGONS, MOST_POINTS, FAR_PX = 10_000, 40_000, 65_536
"""Of one face; what holds more, or points further out, is no drawing."""


def checked(polygons: Sequence[tuple[int, Any]]) -> tuple[tuple[int, np.ndarray], ...]:
    """(1 include or 0 exclude, points) pairs as (N, 2) float32. ValueError: too many points in all, too far out, not
    finite, of the wrong shape."""
    if len(polygons) > MOST_POLYGONS or sum(len(points) for _, points in polygons) > MOST_POINTS:
        raise ValueError(f"more than {MOST_POLYGONS} polygons or {MOST_POINTS} points on one face")
    found: list[tuple[int, np.ndarray]] = []
    for kind, points in polygons:
        array = np.array(points)
        if array.size == 0:
            continue
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "fiu":
            raise ValueError("a polygon that is no list of points")
        if not np.isfinite(array).all() or np.abs(array).max() > FAR_PX:
            raise ValueError("a point far outside of the picture")
        if kind not in (0, 1):
            raise ValueError("a polygon that neither includes nor excludes")
        found.append((int(kind), array.astype(np.float32)))
    return tuple(found)
