"""Surfaces that things are made of: tubes, turned bodies, boxes, sheets."""

from __future__ import annotations

import numpy as np
from tools.footage.head import unit
from tools.footage.noise import Noise
from tools.synthetic_faces.prop import PATTERNS, Pattern

Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(V, 3) points, (V, 3) normals, (T, 3) triangles."""


def lattice(rows: int, columns: int, closed: bool) -> np.ndarray:
    """(T, 3) int32 triangles of a grid of vertices, row by row; `closed` joins the last column to the first."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    quads = np.stack([a, a + columns, b, b, a + columns, b + columns], -1)
    return quads.reshape(-1, 3).astype(np.int32)


def grid_normals(grid: np.ndarray, closed: bool) -> np.ndarray:
    """(R, C, 3) unit normals of a grid of points."""
    down = np.gradient(grid, axis=0)
    across = np.roll(grid, -1, 1) - np.roll(grid, 1, 1) if closed else np.gradient(grid, axis=1)
    return unit(np.cross(down, across))


def _flat(grid: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return grid.reshape(-1, 3).astype(np.float32), normals.reshape(-1, 3).astype(np.float32)


def tube(path: np.ndarray, thick: np.ndarray, around: int, folds: float = 0.0, seed: int = 0) -> Mesh:
    """A tube along `path` (K, 3); `thick` (K,) radii or (K, 2) half axes across x and z; `folds` wrinkles its skin."""
    path = np.asarray(path, np.float64)
    thick = np.asarray(thick, np.float64)
    thick = thick if thick.ndim == 2 else np.stack([thick, thick], 1)
    along = unit(np.gradient(path, axis=0))
    helper = np.array([0.0, 0.0, 1.0]) if abs(along[:, 2]).mean() < 0.8 else np.array([0.0, 1.0, 0.0])
    right = unit(np.cross(along, helper))
    front = np.cross(right, along)
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)])
    grid = path[:, None] + (thick[:, :1] * ring[0])[..., None] * right[:, None] + (
        (thick[:, 1:] * ring[1])[..., None] * front[:, None]
    )
    if folds:
        wave = Noise.seeded(seed).fractal(grid.reshape(-1, 3).astype(np.float32), 0.35, 3).reshape(grid.shape[:2]) - 0.5
        grid = grid + grid_normals(grid, True) * (wave * folds * 10 * thick.mean(1, keepdims=True) / 3)[..., None]
    normals = grid_normals(grid, True)
    outward = np.einsum("ijk,ijk->ij", normals, grid - path[:, None]) < 0
    normals = np.where(outward[..., None], -normals, normals)
    triangles = lattice(len(path), around, True)
    # Ends are closed by a fan.
    points = np.concatenate([grid.reshape(-1, 3), path[[0, -1]]])
    ends = np.concatenate([normals.reshape(-1, 3), [-along[0], along[-1]]])
    column = np.arange(around)
    last = (len(path) - 1) * around
    fans = [
        np.stack([np.full(around, len(points) - 2), column, (column + 1) % around], 1),
        np.stack([np.full(around, len(points) - 1), last + column, last + (column + 1) % around], 1),
    ]
    return points.astype(np.float32), ends.astype(np.float32), np.concatenate([triangles, *fans]).astype(np.int32)


def lathe(profile: np.ndarray, around: int = 40) -> Mesh:
    """A turned body: `profile` (K, 2) radius and height from one end to the other."""
    profile = np.asarray(profile, np.float64)
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    grid = np.stack([
        profile[:, :1] * np.cos(turn), np.repeat(profile[:, 1:], around, 1), profile[:, :1] * np.sin(turn)
    ], -1)  # fmt: skip
    normals = grid_normals(grid, True)
    return *_flat(grid, normals), lattice(len(profile), around, True)


def slab(size: np.ndarray, edge: float = 0.3) -> Mesh:
    """A box of `size` (3,) with rounded edges of radius `edge`: a sphere's directions pushed out to the faces."""
    rows, columns = 24, 40
    v, u = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, rows), np.linspace(0, 2 * np.pi, columns, endpoint=False),
                       indexing="ij")  # fmt: skip
    way = np.stack([np.cos(v) * np.cos(u), np.sin(v), np.cos(v) * np.sin(u)], -1)
    power = 0.15
    ball = np.sign(way) * np.abs(way) ** power
    grid = ball / np.abs(ball).max(-1, keepdims=True) * (np.asarray(size) / 2 - edge) + edge * way
    flat = np.sign(way) * np.abs(way / np.abs(way).max(-1, keepdims=True)) ** 12
    return *_flat(grid, unit(way + 4 * flat)), lattice(rows, columns, True)


def sheet(outline: np.ndarray, bend: float, seed: int, rings: int = 10) -> Mesh:
    """A curved sheet with a closed `outline` (K, 2) in x and y, seen from z; `bend` how far it waves."""
    t = np.linspace(0, 1, rings)[:, None, None]
    grid = np.concatenate([outline[None] * t, np.zeros((rings, len(outline), 1))], -1)
    flat = grid.reshape(-1, 3).astype(np.float32)
    wave = Noise.seeded(seed).fractal(flat, 0.12, 2).reshape(grid.shape[:2]) - 0.5
    grid[..., 2] = bend * (wave + 0.03 * grid[..., 0] ** 2 * np.sign(bend))
    normals = grid_normals(grid, True)
    normals[:2] = np.array([0, 0, 1.0])
    return *_flat(grid, normals), lattice(rings, len(outline), True)


def draw_pattern(rng: np.random.Generator, share: float) -> Pattern:
    """A random print, plain with probability 1 - `share`."""
    kind = str(rng.choice(PATTERNS[1:])) if rng.random() < share else "plain"
    r, g, b = (float(v) for v in rng.uniform(0.01, 0.8, 3))
    return Pattern(kind, (r, g, b), float(rng.uniform(0.4, 2.5)), int(rng.integers(1 << 30)))
