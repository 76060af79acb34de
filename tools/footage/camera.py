"""Pinhole camera and parallel light view: points to raster vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Camera:
    """Looks along -z at (look_x, look_y, 0) from `distance` units away.

    `width_px`, `height_px` >= 64, even; `focal` 1.2..3.5 times the picture's height; `distance` 45..120.
    """

    width_px: int = 640
    height_px: int = 480
    focal: float = 2.05
    distance: float = 75.0
    look_x: float = 0.0
    look_y: float = -1.0

    def project(self, points: np.ndarray, scale: int = 1) -> np.ndarray:
        """(N, 4) float32 raster vertices (x_px, y_px, 1/z, 1/z) of (N, 3) points, `scale` samples per pixel side."""
        depth = self.distance - points[:, 2]
        size = self.focal * self.height_px * scale / depth
        out = np.empty((len(points), 4), np.float32)
        out[:, 0] = self.width_px * scale / 2 + (points[:, 0] - self.look_x) * size
        out[:, 1] = self.height_px * scale / 2 - (points[:, 1] - self.look_y) * size
        out[:, 2] = out[:, 3] = 1.0 / depth
        return out

    @property
    def eye(self) -> np.ndarray:
        """(3,) float32 position of the camera."""
        return np.array([self.look_x, self.look_y, self.distance], np.float32)


@dataclass(frozen=True, slots=True)
class Framing:
    """A square cut out of a camera's picture, drawn directly: `from_picture` (3, 3) takes the camera's raster
    coordinates to those of the square of `side_px`."""

    camera: Camera
    from_picture: np.ndarray
    side_px: int

    @property
    def width_px(self) -> int:
        """Side of the square."""
        return self.side_px

    @property
    def height_px(self) -> int:
        """Side of the square."""
        return self.side_px

    @property
    def eye(self) -> np.ndarray:
        """(3,) float32 position of the camera."""
        return self.camera.eye

    def project(self, points: np.ndarray, scale: int = 1) -> np.ndarray:
        """(N, 4) float32 raster vertices as Camera.project gives them, inside the square."""
        out = self.camera.project(points)
        m = self.from_picture.astype(np.float32) * scale
        out[:, :2] = out[:, :2] @ m[:2, :2].T + m[:2, 2]
        return out


def frame_of(direction: np.ndarray) -> np.ndarray:
    """(3, 3) float32 rows right, up, towards: an orthonormal frame that looks back along `direction`."""
    towards = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    helper = np.array([0.0, 1.0, 0.0]) if abs(towards[1]) < 0.95 else np.array([0.0, 0.0, 1.0])
    right = np.cross(helper, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards]).astype(np.float32)


def parallel(points: np.ndarray, frame: np.ndarray, centre: np.ndarray, radius: float, side_px: int) -> np.ndarray:
    """(N, 4) float32 raster vertices of a parallel view with half side `radius` about `centre`; key is distance
    towards the viewer in units."""
    local = (points - centre) @ frame.T
    out = np.empty((len(points), 4), np.float32)
    out[:, 0] = (local[:, 0] / radius + 1.0) * (side_px / 2)
    out[:, 1] = (1.0 - local[:, 1] / radius) * (side_px / 2)
    out[:, 2] = local[:, 2]
    out[:, 3] = 1.0
    return out
