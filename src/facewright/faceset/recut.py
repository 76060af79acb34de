"""A face whose points changed -> its crop cut anew from its frame, with labels and mask moved along."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from facewright.core.errors import FileRefused
from facewright.faces.align import face_from_frame
from facewright.faces.face import Face
from facewright.faceset.cut import cut_crop, sharpness
from facewright.image.geometry import apply_affine, invert, scaling, square_corners
from facewright.image.warp import warp

OTHER_POINTS = "crop_of_other_points"
"""Flag: the crop was cut by other points than those that count now (its film was not at hand)."""
LEAVES_FRAME = "crop_leaves_frame"

_INVENTED = frozenset((OTHER_POINTS, LEAVES_FRAME, "invented_border", "upscaled"))
_SAME_PX = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Recut:
    """A face with its new picture (S, S, 3) uint8 RGB and its mask (m, m) uint8 or None."""

    face: Face
    image: np.ndarray
    mask: np.ndarray | None


def recut(face: Face, frame: np.ndarray, mask: np.ndarray | None = None, interpolation: str = "cubic") -> Recut:
    """Cut the crop by the points that count (`face.points`) from its frame, (H, W, 3) uint8 or uint16.

    Side and face type stay. Raises FileRefused: the points span no crop.
    """
    matrix = face_from_frame(face.points, face.side_px, face.face_type)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise FileRefused(
            f"The points of {face.face_id} span no crop.", remedy="Place them on the face.", where=face.face_id)
    image = cut_crop(frame, matrix, face.side_px, interpolation)
    words = set(face.flags) - _INVENTED
    corners = apply_affine(invert(matrix), square_corners(face.side_px))
    height, width = frame.shape[:2]
    if corners.min() < -0.5 or corners[:, 0].max() > width - 0.5 or corners[:, 1].max() > height - 0.5:
        words.add(LEAVES_FRAME)
    step = matrix @ invert(face.face_from_frame)
    polygons = tuple((kind, apply_affine(step, points).astype(np.float32)) for kind, points in face.polygons)
    changed = dataclasses.replace(
        face, face_from_frame=matrix, sharpness=sharpness(image), polygons=polygons, flags=tuple(sorted(words)))
    return Recut(changed, image, _moved_mask(mask, step, face.side_px))


def kept(face: Face) -> Face:
    """The face whose points changed while its crop stays: flagged where the crop would be another one by now."""
    matrix = face_from_frame(face.points, face.side_px, face.face_type)
    corners = square_corners(face.side_px)
    off = np.abs(apply_affine(matrix @ invert(face.face_from_frame), corners) - corners).max()
    words = set(face.flags) - {OTHER_POINTS}
    return dataclasses.replace(face, flags=tuple(sorted(words | ({OTHER_POINTS} if not off <= _SAME_PX else set()))))


def _moved_mask(mask: np.ndarray | None, step: np.ndarray, side_px: int) -> np.ndarray | None:
    if mask is None or np.allclose(step, np.eye(3), atol=1e-9):
        return mask
    size = mask.shape[0]
    return warp(mask, scaling(size / side_px) @ step @ scaling(side_px / size), size, "linear")
