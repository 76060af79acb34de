"""Landmarks + face type -> crop matrix; mesh -> head pose. Pure maths of data-formats-and-merging.md section 2
and pretrained-weights.md 5.2-5.3; leading axes are batches everywhere.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import cv2
import numpy as np

from facewright.core.errors import NothingFound
from facewright.faces.face import FaceType
from facewright.image.geometry import (
    Box,
    affine_from_triples,
    apply_affine,
    invert,
    polygon_area,
    umeyama,
)
from facewright.image.warp import Interpolation, warp

FIT_POINTS = np.array([*range(17, 49), 54])
"""Brows, nose, eyes and mouth corners: the points that align a face. Jaw and lips move too much."""
POSE_POINTS = np.array([*range(0, 27), *range(30, 36)])
MIRROR_68 = np.array([
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46,
    39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
])  # fmt: skip
"""Index of the same point on the other half of the face, iBUG order."""
_MIRROR_RUNS = (
    (3, 248, 1), (7, 249, 1), (20, 250, 74), (95, 324, 56), (153, 380, 11), (165, 391, 3), (169, 394, 6),
    (176, 400, 19), (196, 419, 1), (198, 420, 1), (201, 421, 47),
)  # fmt: skip


def _mirror_468() -> np.ndarray:
    table = np.arange(468)
    for a, b, count in _MIRROR_RUNS:
        table[a : a + count], table[b : b + count] = np.arange(b, b + count), np.arange(a, a + count)
    return table


MIRROR_468 = _mirror_468()
"""The same for the 468 mesh points: an involution."""


@cache
def template_2d() -> np.ndarray:
    """(51, 2) float32: iBUG points 17..67 of the mean frontal face in the unit square."""
    return np.asarray(_templates()["template_2d"], np.float32)


@cache
def template_3d() -> np.ndarray:
    """(68, 3) float32 mean head: x right, y down, z away from the viewer."""
    return np.asarray(_templates()["template_3d"], np.float32)


@cache
def canonical_mesh() -> np.ndarray:
    """(468, 3) float64 neutral head in cm: x to image right, y up, z toward the viewer (see NOTICE)."""
    with (files("facewright.faces") / "canonical_mesh.npy").open("rb") as file:
        return np.load(file, allow_pickle=False).astype(np.float64)


@cache
def _templates() -> dict[str, list[list[float]]]:
    return json.loads((files("facewright.faces") / "templates.json").read_text(encoding="utf-8"))


def unit_from_frame(points_px: np.ndarray) -> np.ndarray:
    """(..., 68, 2) landmarks -> (..., 3, 3): frame px to the unit square of the mean face; NaN if degenerate."""
    return umeyama(np.asarray(points_px, np.float64)[..., FIT_POINTS, :], template_2d()[FIT_POINTS - 17])


def averaged_yaw(points: np.ndarray) -> np.ndarray:
    """Left-right imbalance of (..., 68, 2) points in their own unit; positive = nose turned to image left."""
    x = np.asarray(points, np.float64)[..., 0]
    left = (x[..., [27, 28, 29]] - x[..., [0, 1, 2]]).mean(-1)
    right = (x[..., [16, 15, 14]] - x[..., [27, 28, 29]]).mean(-1)
    return np.asarray(right - left)


def face_from_frame(
    points_px: np.ndarray, side_px: int, face_type: FaceType, *, scale: float = 1.0, upright: bool = False
) -> np.ndarray:
    """(..., 68, 2) landmarks in frame px -> (..., 3, 3) float64 that takes frame px to crop px of side `side_px`.

    The crop's edge, not its last pixel centre, is `side_px` (the convention of every trained model). `scale` > 1
    crops tighter. `upright` keeps the frame's own horizontal (and drops the head type's offsets), as the
    original's "no_align" types do. Raises NothingFound when the landmarks lie on one point.
    """
    unit = unit_from_frame(points_px)
    if not np.isfinite(unit).all():
        raise NothingFound(
            "A face has no size.", why="All its landmarks lie on one point.",
            remedy="Extract this frame again or remove the face.",
        )
    g = apply_affine(invert(unit), np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5]], np.float64))
    g0, g1, g2, g3, centre = (g[..., i, :] for i in range(5))
    down_right, up_right = _unit(g2 - g0), _unit(g1 - g3)
    half_diagonal = _length(g0 - g2) * (face_type.padding * np.sqrt(2.0) + 0.5) / scale
    if face_type is FaceType.WHOLE:
        centre = centre + 0.07 * (g0 - g3)
    elif face_type is FaceType.HEAD and not upright:
        yaw = averaged_yaw(apply_affine(unit, points_px))
        damped = (yaw * np.abs(np.tanh(2.0 * yaw)))[..., None]
        centre = centre - (g0 - g1) * damped / 2.0 + 0.50 * (g0 - g3)
    a, b = down_right * half_diagonal, up_right * half_diagonal
    if upright:
        square = np.stack([centre - a, centre + b, centre + a, centre - b], -2)
        half = (np.sqrt(polygon_area(square)) / 2.0)[..., None]
        corners = np.stack([centre + half * np.array(s) for s in ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0))], -2)
    else:
        corners = np.stack([centre - a, centre + b, centre + a], -2)
    s = float(side_px)
    return affine_from_triples(corners, np.array([[0.0, 0.0], [s, 0.0], [s, s]]))


def _length(v: np.ndarray) -> np.ndarray:
    return np.linalg.norm(v, axis=-1, keepdims=True)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / _length(v)


def landmark_box(points_px: np.ndarray) -> Box:
    """Upright full-face box x0, y0, x1, y1 in frame px around (68, 2) landmarks (section 2.3)."""
    back = invert(face_from_frame(points_px, 256, FaceType.FULL, upright=True))
    (x0, y0), (x1, y1) = apply_affine(back, np.array([[0.0, 0.0], [255.0, 255.0]]))
    return float(x0), float(y0), float(x1), float(y1)


def crop(
    image: np.ndarray, matrix: np.ndarray, side_px: int, interpolation: Interpolation = "auto"
) -> np.ndarray:
    """Cut the (side, side, C) face out of a frame by its face_from_frame `matrix`; same dtype, black outside.

    "auto": cubic, or block means before it when shrinking more than 2x.
    """
    return warp(image, matrix, side_px, interpolation, by_planes=True)


def pose_deg(mesh_px: np.ndarray) -> np.ndarray:
    """(..., 468, 3) mesh in frame px (z negative toward the camera) -> (..., 3) yaw, pitch, roll in degrees.

    yaw > 0 nose to image right, pitch > 0 looks down, roll > 0 counter-clockwise in the image; R = Rz Rx Ry of
    the similarity canonical head -> points (pretrained-weights.md 5.3).
    """
    # The mesh has y down and z away; the canonical head y up and z toward the viewer.
    points = np.asarray(mesh_px, np.float64) * np.array([1.0, -1.0, -1.0])
    linear = umeyama(canonical_mesh(), points)[..., :3, :3]
    r = linear / np.cbrt(np.linalg.det(linear))[..., None, None]
    yaw = np.arctan2(-r[..., 2, 0], r[..., 2, 2])
    pitch = np.arcsin(np.clip(r[..., 2, 1], -1.0, 1.0))
    roll = np.arctan2(-r[..., 0, 1], r[..., 1, 1])
    return np.degrees(np.stack([yaw, pitch, roll], -1))


def dfl_pose_rad(aligned_points: np.ndarray, side_px: int) -> tuple[float, float, float]:
    """The original's pose of (68, 2) points in a crop of `side_px`: pitch (> 0 up), yaw (> 0 image left), roll.

    Radians, each clipped to +-pi/2 (section 2.4). For sort goldens and uniform yaw only: signs differ from ours.
    """
    focal = float(side_px)
    camera = np.array([[focal, 0, focal / 2], [0, focal, focal / 2], [0, 0, 1.0]])
    image_points = np.asarray(aligned_points, np.float64)[POSE_POINTS]
    _, rotation, _ = cv2.solvePnP(template_3d()[POSE_POINTS], image_points, camera, np.zeros((4, 1)))
    r = cv2.Rodrigues(rotation)[0]
    s = float(np.hypot(r[0, 0], r[1, 0]))
    x = np.arctan2(r[2, 1], r[2, 2]) if s >= 1e-6 else np.arctan2(-r[1, 2], r[1, 1])
    z = np.arctan2(r[1, 0], r[0, 0]) if s >= 1e-6 else 0.0
    y = np.arctan2(-r[2, 0], s)
    pitch, yaw, roll = np.clip([-x, y, z], -np.pi / 2, np.pi / 2)
    return float(pitch), float(yaw), float(roll)


def mirror_points(points: np.ndarray, width_px: float) -> np.ndarray:
    """Points of the horizontally flipped picture: (..., 68 or 468, 2 or 3), x -> width - 1 - x, halves swapped."""
    points = np.asarray(points)
    table = MIRROR_68 if points.shape[-2] == 68 else MIRROR_468
    mirrored = points[..., table, :].copy()
    mirrored[..., 0] = width_px - 1 - mirrored[..., 0]
    return mirrored
