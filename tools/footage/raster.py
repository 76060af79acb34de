"""Z-buffer: which triangle is seen at each sample, and where on it.

The inner loop is C (`native.c`); where there is no compiler the NumPy twin gives the same picture more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage import native

NOTHING = -1
_FRAGMENTS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Buffer:
    """What a raster pass wrote: (H, W) float32 depth key, (H, W) int32 triangle, (H, W, 2) float32 barycentrics."""

    key: np.ndarray
    triangle: np.ndarray
    bary: np.ndarray

    @classmethod
    def empty(cls, height: int, width: int) -> Buffer:
        """A buffer nothing was drawn into: triangle -1 everywhere."""
        return cls(
            np.full((height, width), -np.inf, np.float32),
            np.full((height, width), NOTHING, np.int32),
            np.zeros((height, width, 2), np.float32),
        )


def draw(buffer: Buffer, vertices: np.ndarray, triangles: np.ndarray, first_id: int = 0) -> None:
    """Draw triangles into `buffer` (in place), nearest wins.

    `vertices` (N, 4) float32: x_px, y_px, key (linear on the screen, larger is nearer), w = 1/z for perspective-correct
    barycentrics (1 for parallel views). `triangles` (T, 3) int. Triangle ids count from `first_id`.
    """
    vertices = np.ascontiguousarray(vertices, np.float32)
    triangles = np.ascontiguousarray(triangles, np.int32)
    library = native.library()
    if library is None:
        draw_numpy(buffer, vertices, triangles, first_id)
        return
    height, width = buffer.key.shape
    library.raster(
        vertices.ctypes.data, triangles.ctypes.data, len(triangles), first_id, height, width,
        buffer.key.ctypes.data, buffer.triangle.ctypes.data, buffer.bary.ctypes.data,
    )  # fmt: skip


def draw_numpy(buffer: Buffer, vertices: np.ndarray, triangles: np.ndarray, first_id: int = 0) -> None:
    """The same as `draw`, without C: every box of a triangle is listed as fragments, then sorted by depth."""
    height, width = buffer.key.shape
    corners = np.asarray(vertices, np.float32)[triangles]
    lo = np.clip(np.ceil(corners[..., :2].min(1) - 0.5), 0, [width, height]).astype(np.int64)
    hi = np.clip(np.floor(corners[..., :2].max(1) - 0.5), -1, [width - 1, height - 1]).astype(np.int64)
    extent = np.maximum(hi - lo + 1, 0)
    ends = np.cumsum(extent[:, 0] * extent[:, 1])
    start = 0
    while start < len(corners):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _FRAGMENTS_AT_ONCE)))
        _draw_chunk(buffer, corners[start:stop], lo[start:stop], extent[start:stop], first_id + start)
        start = stop


def _draw_chunk(buffer: Buffer, corners: np.ndarray, lo: np.ndarray, extent: np.ndarray, first_id: int) -> None:
    counts = extent[:, 0] * extent[:, 1]
    owner = np.repeat(np.arange(len(corners)), counts)
    if not len(owner):
        return
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    col = lo[owner, 0] + within % extent[owner, 0]
    row = lo[owner, 1] + within // extent[owner, 0]
    (a, b, c) = (corners[owner, k].astype(np.float64) for k in range(3))
    x, y = col + 0.5, row + 0.5
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    flat = np.abs(area) <= 1e-9
    area[flat] = 1.0
    u = ((b[:, 0] - x) * (c[:, 1] - y) - (b[:, 1] - y) * (c[:, 0] - x)) / area
    v = ((c[:, 0] - x) * (a[:, 1] - y) - (c[:, 1] - y) * (a[:, 0] - x)) / area
    s = 1.0 - u - v
    key = (u * a[:, 2] + v * b[:, 2] + s * c[:, 2]).astype(np.float32)
    at = row * buffer.key.shape[1] + col
    keep = np.flatnonzero((u >= 0) & (v >= 0) & (s >= 0) & ~flat & (key > buffer.key.reshape(-1)[at]))
    # Farthest first, and of equals the later triangle first: the last write of a sample is then the right one.
    keep = keep[np.lexsort((-owner[keep], key[keep]))]
    at, total = at[keep], (u * a[:, 3] + v * b[:, 3] + s * c[:, 3])[keep]
    buffer.key.reshape(-1)[at] = key[keep]
    buffer.triangle.reshape(-1)[at] = first_id + owner[keep]
    both = np.stack([u[keep] * a[keep, 3] / total, v[keep] * b[keep, 3] / total], -1)
    buffer.bary.reshape(-1, 2)[at] = both


def interpolate(values: np.ndarray, triangles: np.ndarray, bary: np.ndarray) -> np.ndarray:
    """Values (V, C) at samples: (N, 3) corner indices and (N, 2) barycentrics give (N, C) float32."""
    u, v = bary[:, :1], bary[:, 1:]
    out = values[triangles[:, 0]] * u
    out += values[triangles[:, 1]] * v
    out += values[triangles[:, 2]] * (1.0 - u - v)
    return out
