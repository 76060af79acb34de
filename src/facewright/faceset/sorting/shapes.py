"""Measures of a face for cleaning and coverage: where its crop lies, how its head is built, its colour, what covers it.

Formulas alone; `measure_formulas` registers them, `measures` keeps their values.
"""

from __future__ import annotations

import cv2
import numpy as np

from facewright.faces.face import Face
from facewright.image.geometry import apply_affine, invert, scale_of
from facewright.image.masks import erode, hull_mask
from facewright.image.warp import resize

VOID = 2
"""A pixel of which no channel is brighter lies outside of a picture, or as well as that."""

_SIDE_PX = 64
_EYES, _WIDTH, _LENGTH, _JAW = (33, 263), (234, 454), (10, 152), (172, 397)
"""Points of the mesh: outer corners of the eyes, cheek to cheek, forehead to chin, the jaw's corners."""


def crop_in_frame(face: Face) -> tuple[float, float, float, float]:
    """Side (frame px), angle (degrees, counter-clockwise in the picture), centre x and y (frame px) of the crop."""
    frame_from_face = invert(face.face_from_frame)
    centre = apply_affine(frame_from_face, np.full((1, 2), face.side_px / 2))[0]
    angle = np.degrees(np.arctan2(-frame_from_face[1, 0], frame_from_face[0, 0]))
    return face.side_px / scale_of(face.face_from_frame), float(angle), float(centre[0]), float(centre[1])


def extent(face: Face) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 (frame px) of the points that count: beyond the frame's edge the face is cut off."""
    (x0, y0), (x1, y1) = face.points.min(0), face.points.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def proportions(face: Face) -> tuple[float, float, float]:
    """Width at the cheeks, length from forehead to chin, width of the jaw: in distances of the outer corners of the
    eyes, all in the picture's plane. They say something about a head that looks into the camera."""
    mesh = face.mesh[:, :2]

    def between(pair: tuple[int, int]) -> float:
        return float(np.linalg.norm(mesh[pair[0]] - mesh[pair[1]]))

    eyes = max(between(_EYES), 1e-6)
    return between(_WIDTH) / eyes, between(_LENGTH) / eyes, between(_JAW) / eyes


def colour(small: np.ndarray, points: np.ndarray) -> tuple[float, float, float, float]:
    """Means inside the hull: L 0..100, a, b (CIE Lab of sRGB) and chroma. small (64, 64, 3) uint8 RGB, points in it."""
    inside = hull_mask(points, small.shape[:2]) > 0
    if not inside.any():
        return np.nan, np.nan, np.nan, np.nan
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[inside]
    lightness, a, b = lab.mean(0)
    return float(lightness), float(a), float(b), float(np.hypot(lab[:, 1], lab[:, 2]).mean())


def void(image: np.ndarray, hull: np.ndarray) -> float:
    """Share 0..1 of the hull that is black as nothing in a picture is: the frame ends there, or a bar lies there."""
    total = int(hull.sum())
    return float((image.max(-1)[hull > 0] <= VOID).sum()) / total if total else np.nan


def covered(mask: np.ndarray | None, points: np.ndarray, side_px: int) -> float:
    """Share 0..1 of the hull (without its rim) that a stored mask leaves out; NaN where none is stored."""
    if mask is None:
        return np.nan
    small = resize(mask.astype(np.float32) / 255, _SIDE_PX, "area" if mask.shape[0] > _SIDE_PX else "linear")
    hull = erode(hull_mask(points * (_SIDE_PX / side_px), (_SIDE_PX, _SIDE_PX)), 4)
    total = float(hull.sum())
    return float((hull * (1 - np.clip(small, 0, 1))).sum()) / total if total else np.nan
