"""Bodies made of capsules: a signed distance, and triangles of its zero surface (naive surface nets, Gibson 1998)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Distance = Callable[[np.ndarray], np.ndarray]
"""(N, 3) points to (N,) signed distance, negative inside."""


@dataclass(frozen=True, slots=True)
class Capsule:
    """A rod with round ends: from `a` to `b` (3,), thick `ra` to `rb`."""

    a: np.ndarray
    b: np.ndarray
    ra: float
    rb: float

    def along(self, p: np.ndarray) -> np.ndarray:
        """(N,) 0..1: where on the rod each point is nearest."""
        way = self.b - self.a
        return np.clip((p - self.a) @ way / max(float(way @ way), 1e-9), 0, 1)

    def distance(self, p: np.ndarray) -> np.ndarray:
        """(N,) signed distance."""
        t = self.along(p)
        off = p - self.a - t[:, None] * (self.b - self.a)
        return np.sqrt(np.einsum("ij,ij->i", off, off)) - (self.ra + t * (self.rb - self.ra))


def blend(a: np.ndarray, b: np.ndarray, reach: float) -> np.ndarray:
    """Smooth minimum of two distances: the crease is filled up to `reach` deep."""
    h = np.maximum(reach - np.abs(a - b), 0) / reach
    return np.minimum(a, b) - h * h * (reach / 4)


def chain(p: np.ndarray, rods: list[Capsule], reach: float) -> np.ndarray:
    """(N,) distance to rods that grow into one another."""
    out = rods[0].distance(p)
    for rod in rods[1:]:
        out = blend(out, rod.distance(p), reach)
    return out


_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
_EDGES = [(i, j) for i in range(8) for j in range(i + 1, 8) if np.abs(_CORNERS[i] - _CORNERS[j]).sum() == 1]


def surface(
    distance: Distance, low: np.ndarray, high: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, 3) points on the zero surface within a box, (V, 3) outward normals, (T, 3) triangles."""
    shape = tuple(int(n) for n in np.ceil((high - low) / spacing).astype(int) + 1)
    axes = [low[k] + spacing * np.arange(shape[k], dtype=np.float32) for k in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)
    field = distance(grid).reshape(shape)
    inside = field < 0
    cube = tuple(n - 1 for n in shape)
    corner = [tuple(slice(c[k], c[k] + cube[k]) for k in range(3)) for c in _CORNERS]
    count = sum(inside[s].astype(np.int8) for s in corner)
    cell = np.argwhere((count > 0) & (count < 8))
    value = np.stack([field[s][tuple(cell.T)] for s in corner], 1)
    total, hits = np.zeros((len(cell), 3)), np.zeros((len(cell), 1))
    for i, j in _EDGES:
        crossing = ((value[:, i] < 0) != (value[:, j] < 0))[:, None]
        t = value[:, i] / np.where(value[:, i] == value[:, j], 1, value[:, i] - value[:, j])
        total += crossing * (_CORNERS[i] + t[:, None] * (_CORNERS[j] - _CORNERS[i]))
        hits += crossing
    points = (low + spacing * (cell + total / hits)).astype(np.float32)
    normals = gradient(distance, points, 0.25 * spacing)
    points = points - normals * distance(points)[:, None]
    return points, gradient(distance, points, 0.25 * spacing), _quads(inside, cell, cube)


def _quads(inside: np.ndarray, cell: np.ndarray, cube: tuple[int, ...]) -> np.ndarray:
    """(T, 3) int32: around every grid edge that crosses the surface, the four cells that share it."""
    number = np.full(cube, -1, np.int32)
    number[tuple(cell.T)] = np.arange(len(cell))
    out = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        first = [slice(None)] * 3
        second = [slice(None)] * 3
        first[axis], second[axis] = slice(0, -1), slice(1, None)
        at = np.argwhere(inside[tuple(first)] != inside[tuple(second)])
        at = at[(at[:, u] > 0) & (at[:, v] > 0) & (at[:, u] < cube[u]) & (at[:, v] < cube[v])]
        corners = []
        for du, dv in ((1, 1), (0, 1), (0, 0), (1, 0)):
            c = at.copy()
            c[:, u] -= du
            c[:, v] -= dv
            corners.append(number[tuple(c.T)])
        a, b, c, d = corners
        out += [np.stack([a, b, c], 1), np.stack([a, c, d], 1)]
    return np.concatenate(out).astype(np.int32)


def gradient(distance: Distance, points: np.ndarray, reach: float) -> np.ndarray:
    """(N, 3) float32 unit directions in which the distance grows (four-point differences)."""
    taps = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    out = sum(tap * distance(points + tap * np.float32(reach))[:, None] for tap in taps)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return (out / np.maximum(length, 1e-9)).astype(np.float32)
