"""A thing in front of a face: triangles, what they are made of, and how they look in the light."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from tools.footage import raster, shade
from tools.footage.head import unit
from tools.footage.noise import Noise, step

PATTERNS = ("plain", "mottled", "stripes", "checks", "dots", "writing")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is printed on a thing: `kind` one of PATTERNS, `second` linear RGB of the print, `scale` per unit."""

    kind: str = "plain"
    second: tuple[float, float, float] = (0.1, 0.1, 0.1)
    scale: float = 1.0
    seed: int = 0

    def share(self, local: np.ndarray) -> np.ndarray:
        """(N,) 0..1: how much of the second colour is at each point (N, 3) of the thing's own axes."""
        noise = Noise.seeded(self.seed)
        p = local * np.float32(self.scale)
        if self.kind == "mottled":
            return step(0.35, 0.65, noise.fractal(p, 0.6, 4))
        if self.kind == "stripes":
            return step(-0.1, 0.1, np.sin(3.0 * (p[:, 1] + 0.3 * p[:, 0])))
        if self.kind == "checks":
            return 0.5 * step(-0.1, 0.1, np.sin(2.5 * p[:, 0])) + 0.5 * step(-0.1, 0.1, np.sin(2.5 * p[:, 1]))
        if self.kind == "dots":
            return step(0.62, 0.70, noise.value(p, 1.1))
        if self.kind == "writing":
            line = step(0.1, 0.3, np.sin(5.0 * p[:, 1]))
            return line * step(0.45, 0.55, noise.value(p * np.array([1.0, 0.15, 1.0], np.float32), 4.0))
        return np.zeros(len(p), np.float32)


@dataclass(frozen=True, slots=True)
class Prop:
    """`points` (V, 3), `normals` (V, 3) or zeros (then each triangle is flat), `triangles` (T, 3), `tint` (V, 3)
    linear colour, `local` (V, 3) where the pattern is measured; `gloss` 0..1; `flesh`: lit as skin is; `keeps`: what
    it covers still counts as face (glasses); `alpha` 0..1 how much it hides (a lens)."""

    points: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    tint: np.ndarray
    local: np.ndarray
    gloss: float = 0.1
    flesh: bool = False
    keeps: bool = False
    alpha: float = 1.0
    pattern: Pattern = field(default_factory=Pattern)

    def moved(self, turn: np.ndarray, at: np.ndarray, size: float = 1.0) -> Prop:
        """Turned by `turn` (3, 3), scaled, then carried to `at` (3,)."""
        turn = turn.astype(np.float32)
        return dataclasses.replace(
            self, points=(self.points * np.float32(size)) @ turn.T + np.asarray(at, np.float32),
            normals=self.normals @ turn.T,
        )  # fmt: skip


def plain(points: np.ndarray, triangles: np.ndarray, colour: np.ndarray, normals: np.ndarray | None = None,
          **more: object) -> Prop:  # fmt: skip
    """A thing of one colour (3,); without normals it is flat-shaded."""
    points = np.asarray(points, np.float32)
    normals = np.zeros_like(points) if normals is None else np.asarray(normals, np.float32)
    tint = np.repeat(np.asarray(colour, np.float32)[None], len(points), 0)
    return Prop(points, normals, np.asarray(triangles, np.int32), tint, points, **more)  # type: ignore[arg-type]


def lit(prop: Prop, corner: np.ndarray, bary: np.ndarray, lamps: shade.Lamps, spin: np.ndarray) -> np.ndarray:
    """(N, 3) linear light leaving samples of a prop: `corner` (N, 3) vertices, `bary` (N, 2)."""
    values = np.concatenate([prop.points, prop.normals, prop.tint, prop.local], 1)
    v = raster.interpolate(values, corner, bary)
    p, n, colour = v[:, :3], v[:, 3:6], v[:, 6:9]
    if not prop.normals.any():
        a, b, c = (prop.points[corner[:, k]] for k in range(3))
        n = np.cross(b - a, c - a)
    n = unit(n)
    if not prop.flesh:  # sheets have two sides
        n = n * np.where(shade.dot(n, lamps.eye - p) < 0, np.float32(-1), np.float32(1))[:, None]
    if prop.pattern.kind != "plain":
        share = prop.pattern.share(v[:, 9:12])[:, None]
        colour = colour + (np.asarray(prop.pattern.second, np.float32) - colour) * share
    free = np.full(len(p), 0.85, np.float32)
    if prop.flesh:
        noise = Noise.seeded(prop.pattern.seed)
        grain = noise.fractal(v[:, 9:12], 1.3, 3) - 0.5
        fine = noise.fractal(v[:, 9:12] + 5, 4.0, 2) - 0.5
        colour = colour * (1 + 0.35 * grain + 0.25 * fine)[:, None] * (
            1 + grain[:, None] * np.array([0.0, -0.25, -0.25], np.float32)
        )
        texel = np.concatenate([np.clip(colour, 0.003, 0.95), np.full((len(p), 1), prop.gloss, np.float32)], 1)
        bumps = np.stack([noise.value(v[:, 9:12] + 9 * k, 3.0) - 0.5 for k in range(3)], 1) * np.float32(0.22)
        return shade.skin(lamps, p, n, n, bumps, texel, free, spin)
    return shade.matt(lamps, p, n, colour, free, spin, prop.gloss)
