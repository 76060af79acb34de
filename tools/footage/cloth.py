"""A shirt: rings from the collar over the shoulders to below the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage.noise import Noise, step, to_linear
from tools.footage.texture import Colour

AROUND, RINGS = 96, 26


@dataclass(frozen=True, slots=True)
class ClothLook:
    """Shirt of a person. `colour` display RGB; `collar` -1 (deep) .. 1 (high); `shoulders` 16..22 units half width;
    `stripes` 0..1 strength of a woven stripe; `second` colour of the stripe; `seed` of the folds."""

    colour: Colour = (0.16, 0.22, 0.32)
    second: Colour = (0.12, 0.17, 0.26)
    collar: float = 0.0
    shoulders: float = 19.0
    stripes: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Shirt:
    """`points` and `normal` (V, 3) float32, `triangles` (T, 3) int32, `tint` (V, 3) linear colour, `shade` (V,)."""

    points: np.ndarray
    normal: np.ndarray
    triangles: np.ndarray
    tint: np.ndarray
    shade: np.ndarray


def neckline(angle: np.ndarray, collar: float) -> np.ndarray:
    """Height of the collar's edge at an angle from the front (radians): lowest at the throat."""
    return -11.3 + collar - 2.0 * np.exp(-((angle / 0.8) ** 2)) + 0.5 * step(1.4, 2.6, np.abs(angle))


def tailor(skin: np.ndarray, look: ClothLook) -> Shirt:
    """Fit a shirt to a person's neck; `skin` (N, 3): vertices of face and neck at rest."""
    angle = np.linspace(-np.pi, np.pi, AROUND, endpoint=False)
    edge = neckline(angle, look.collar)
    centre = np.array([0.0, -1.2])
    away = skin[:, [0, 2]] - centre
    where, reach = np.arctan2(away[:, 0], away[:, 1]), np.hypot(away[:, 0], away[:, 1])
    neck = np.empty(AROUND)
    for k in range(AROUND):
        off = np.abs((where - angle[k] + np.pi) % (2 * np.pi) - np.pi)
        near = (off < 0.16) & (np.abs(skin[:, 1] - edge[k]) < 0.7)
        neck[k] = reach[near].max() if near.any() else np.nan
    neck = np.interp(np.arange(AROUND), np.flatnonzero(~np.isnan(neck)), neck[~np.isnan(neck)])
    neck = sum(np.roll(neck, s) * w for s, w in ((-2, 0.1), (-1, 0.2), (0, 0.4), (1, 0.2), (2, 0.1))) + 0.18
    t = np.concatenate([[-0.9, -0.45, 0.0], np.linspace(0, 1, 15)[1:], 1 + np.linspace(0, 1, 10)[1:]])
    wide, deep = look.shoulders, 9.2
    outer = 1 / np.sqrt((np.abs(np.sin(angle)) / wide) ** 2.4 + (np.abs(np.cos(angle)) / deep) ** 2.4) ** (1 / 1.2)
    rings = []
    for s in t:
        if s <= 0:
            radius = neck + (0.30 if s > -0.6 else -0.15)
            y = edge + (0.25 if s > -0.3 else (0.45 if s > -0.6 else 0.0))
        elif s <= 1:
            radius = neck + 0.34 + (outer - neck - 0.34) * s
            y = edge + (-22.0 - edge) * (0.42 * s + 0.58 * s**4)
        else:
            radius, y = outer * (1 + 0.05 * np.sin((s - 1) * 3)), np.full(AROUND, -22.0 - 22 * (s - 1) ** 0.8)
        rings.append(np.stack([np.sin(angle) * radius, y, np.cos(angle) * radius - 1.2 - 0.3 * max(s, 0)], -1))
    grid = np.stack(rings).astype(np.float32)
    return _finish(grid, look)


def _finish(grid: np.ndarray, look: ClothLook) -> Shirt:
    rings = len(grid)
    noise = Noise.seeded(look.seed + 31)
    flat = grid.reshape(-1, 3)
    fold = (noise.fractal(flat * np.array([1.0, 0.45, 1.0], np.float32), 0.22, 3) - 0.5).reshape(rings, AROUND)
    loose = np.clip((np.arange(rings) - 3) / 6, 0, 1)[:, None]
    normal = _normals(grid)
    grid = grid + normal * (fold * 2.2 * loose)[..., None]
    normal = _normals(grid)
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(AROUND), indexing="ij")
    a, b = row * AROUND + column, row * AROUND + (column + 1) % AROUND
    c, d = a + AROUND, b + AROUND
    triangles = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    base, second = to_linear(look.colour), to_linear(look.second)
    stripe = look.stripes * (np.sin(flat[:, 1] * 4.0) > 0.55)
    tint = base + (second - base) * stripe[:, None]
    tint = tint * (0.9 + 0.2 * noise.value(flat, 3.0))[:, None]
    shade = np.ones((rings, AROUND), np.float32)
    shade[0], shade[1] = 0.4, 0.8
    return Shirt(
        grid.reshape(-1, 3),
        normal.reshape(-1, 3),
        triangles.astype(np.int32),
        tint.astype(np.float32),
        shade.reshape(-1),
    )


def _normals(grid: np.ndarray) -> np.ndarray:
    down = np.gradient(grid, axis=0)
    around = np.roll(grid, -1, 1) - np.roll(grid, 1, 1)
    n = np.cross(down, around)
    return (n / np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-9)).astype(np.float32)
