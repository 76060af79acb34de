"""Smooth random fields in space, the same for the same seed on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from tools.footage import native

_SIDE = 32


@dataclass(frozen=True, slots=True)
class Noise:
    """Value noise on a periodic lattice of 32^3 random numbers."""

    lattice: np.ndarray

    @classmethod
    def seeded(cls, seed: int) -> Noise:
        """A field from a seed."""
        return cls(np.random.default_rng(seed).random((_SIDE, _SIDE, _SIDE)).astype(np.float32))

    def value(self, points: np.ndarray, frequency: float) -> np.ndarray:
        """(N,) float32 in 0..1 at (N, 3) points, `frequency` cells per unit."""
        library = native.library()
        if library is None:
            return self.value_numpy(points, frequency)
        points = np.ascontiguousarray(points, np.float32)
        out = np.empty(len(points), np.float32)
        library.value_noise(
            points.ctypes.data, len(points), frequency, self.lattice.ctypes.data, _SIDE, out.ctypes.data
        )
        return out

    def value_numpy(self, points: np.ndarray, frequency: float) -> np.ndarray:
        """The same as `value`, without C."""
        at = np.asarray(points, np.float32).T * np.float32(frequency)
        cell = np.floor(at)
        part = at - cell
        part = part * part * (3.0 - 2.0 * part)
        return map_coordinates(self.lattice, np.mod(cell, _SIDE) + part, order=1, mode="grid-wrap")

    def fractal(self, points: np.ndarray, frequency: float, octaves: int) -> np.ndarray:
        """(N,) float32 about 0.5: `octaves` fields, each twice as fine and half as strong."""
        total = np.zeros(len(points), np.float32)
        weight = 0.0
        for k in range(octaves):
            total += self.value(points + 7.3 * k, frequency * 2**k) * 0.5**k
            weight += 0.5**k
        return total / weight


def step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at `low` to 1 at `high` (falling when low > high)."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def to_linear(colour: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Display values 0..1 (gamma 2.2) to linear light, float32."""
    return np.power(np.asarray(colour, np.float32), 2.2)
