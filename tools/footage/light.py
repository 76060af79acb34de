"""Lamps, the shadows of the key lamp, and how open to the sky each vertex is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage import raster
from tools.footage.camera import frame_of, parallel
from tools.footage.head import unit

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Light:
    """Lamps of a scene, linear light. Angles in degrees: azimuth from the camera towards image right (-180..180),
    elevation above the horizon (-60..80).

    `key`, `fill`, `rim` RGB strength 0..4; `sky`, `ground` RGB 0..1 light from above and below; `softness` 0.2..1.6
    units, the radius of the shadow's edge; `exposure` 0.3..3.
    """

    key: Colour = (2.3, 2.15, 1.95)
    key_azimuth_deg: float = -38.0
    key_elevation_deg: float = 34.0
    fill: Colour = (0.30, 0.34, 0.40)
    fill_azimuth_deg: float = 50.0
    fill_elevation_deg: float = 10.0
    rim: Colour = (0.9, 0.9, 1.0)
    rim_azimuth_deg: float = 145.0
    rim_elevation_deg: float = 35.0
    sky: Colour = (0.34, 0.37, 0.42)
    ground: Colour = (0.16, 0.13, 0.11)
    softness: float = 0.6
    exposure: float = 1.0

    def direction(self, name: str) -> np.ndarray:
        """(3,) float32 unit vector towards the lamp `name`: key, fill or rim."""
        return towards(getattr(self, f"{name}_azimuth_deg"), getattr(self, f"{name}_elevation_deg"))


def towards(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """(3,) float32 unit vector: azimuth from +z (the camera) towards +x, elevation towards +y."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


_TAPS = 8
_spiral = np.sqrt((np.arange(_TAPS) + 0.5) / _TAPS), np.arange(_TAPS) * 2.39996323
_DISC = np.stack([_spiral[0] * np.cos(_spiral[1]), _spiral[0] * np.sin(_spiral[1])], -1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Shadow:
    """Depth of the scene seen from a lamp: `key` (S, S) float32 distance towards the lamp, `frame` (3, 3)."""

    key: np.ndarray
    frame: np.ndarray
    centre: np.ndarray
    radius: float

    def lit(self, points: np.ndarray, softness: float, bias: float, spin: np.ndarray) -> np.ndarray:
        """(N,) float32: share of the lamp's disc seen from each point. `spin` (N,) radians turns the sampling
        pattern, so that neighbouring samples see different parts of the disc."""
        side = self.key.shape[0]
        at = parallel(points, self.frame, self.centre, self.radius, side)
        cos, sin = np.cos(spin), np.sin(spin)
        reach = np.float32(softness * side / (2 * self.radius))
        flat = self.key.reshape(-1)
        seen = np.zeros(len(points), np.float32)
        limit = at[:, 2] + bias
        for x, y in _DISC:
            column = np.clip(at[:, 0] + reach * (x * cos - y * sin), 0, side - 1).astype(np.int32)
            row = np.clip(at[:, 1] + reach * (x * sin + y * cos), 0, side - 1).astype(np.int32)
            seen += flat[row * side + column] <= limit
        return seen / _TAPS


def cast(
    pieces: list[tuple[np.ndarray, np.ndarray]], direction: np.ndarray, centre: np.ndarray, radius: float, side: int
) -> Shadow:
    """Shadow map of `pieces`: pairs of vertices (V, 3) and triangles (T, 3)."""
    frame = frame_of(direction)
    buffer = raster.Buffer.empty(side, side)
    for points, triangles in pieces:
        raster.draw(buffer, parallel(points, frame, centre, radius, side), triangles)
    return Shadow(buffer.key, frame, centre.astype(np.float32), radius)


def openness(
    points: np.ndarray, normals: np.ndarray, pieces: list[tuple[np.ndarray, np.ndarray]], directions: int = 96
) -> np.ndarray:
    """(N,) float32 ambient occlusion: cosine-weighted share of the directions above the surface that are free."""
    k = np.arange(directions) + 0.5
    height, turn = 1 - 2 * k / directions, k * np.pi * (1 + 5**0.5)
    flat = np.sqrt(1 - height**2)
    around = np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], -1).astype(np.float32)
    total, free = np.full(len(points), 1e-6, np.float32), np.zeros(len(points), np.float32)
    centre = np.array([0.0, -2.0, 0.0], np.float32)
    lifted = points + 0.10 * unit(normals)
    for way in around:
        # Short-range: what is farther than a head away is the room's business.
        map_ = cast(pieces, way, centre, 24.0, 320)
        weight = np.maximum(0, normals @ way)
        at = parallel(lifted, map_.frame, centre, 24.0, 320)
        column = np.clip(at[:, 0], 0, 319).astype(np.int32)
        row = np.clip(at[:, 1], 0, 319).astype(np.int32)
        free += weight * (map_.key[row, column] <= at[:, 2] + 0.18)
        total += weight
    return free / total
