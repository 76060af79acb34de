"""A face whose points changed -> its crop cut anew from its frame, with labels and mask moved along."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from facewright.core.errors import FileRefused
from facewright.faces.align import face_from_frame
from facewright.faces.face import Face
from facewright.faceset.cut import LEAVES_FRAME, cut_crop, leaves_frame, sharpness
from facewright.image.geometry import apply_affine, invert, scaling, square_corners
from facewright.image.warp import warp

OTHER_POINTS = "crop_of_other_points"
"""Flag: the crop was cut by other points than those that count now (its film was not at hand)."""
INVENTED, UPSCALED = "invented_border", "upscaled"
"""Flags of a crop that was made of an older crop: black beyond that one's edge; more pixels than that one had."""
BORROWED = "borrowed_picture"
"""Flag of a proposed face (gaps.py) whose picture is its neighbour's: its film was not at hand."""
OF_THE_CROP = frozenset((OTHER_POINTS, LEAVES_FRAME, INVENTED, UPSCALED, BORROWED))
"""Flags that a crop cut anew from its frame has no more, or finds out anew."""

MOST_MOVED = 0.02
"""A crop that would lie elsewhere by more than this share of its side, cut by the points that count, is flagged."""


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
    words = set(face.flags) - OF_THE_CROP
    if leaves_frame(matrix, face.side_px, frame):
        words.add(LEAVES_FRAME)
    step = matrix @ invert(face.face_from_frame)
    polygons = tuple((kind, apply_affine(step, points).astype(np.float32)) for kind, points in face.polygons)
    changed = dataclasses.replace(
        face, face_from_frame=matrix, sharpness=sharpness(image), polygons=polygons, flags=tuple(sorted(words)))
    return Recut(changed, image, moved_mask(mask, step, face.side_px, face.side_px))


def kept(face: Face) -> Face:
    """The face whose points changed while its crop stays: flagged where the crop would be another one by now."""
    words = set(face.flags) - {OTHER_POINTS}
    if not crop_shift(face) <= MOST_MOVED:  # points that span no crop give NaN
        words.add(OTHER_POINTS)
    return face if words == set(face.flags) else dataclasses.replace(face, flags=tuple(sorted(words)))


def crop_shift(face: Face) -> float:
    """How far a corner of the crop moves when it is cut anew by the points that count, over the crop's side."""
    matrix = face_from_frame(face.points, face.side_px, face.face_type)
    corners = square_corners(face.side_px)
    return float(np.abs(apply_affine(matrix @ invert(face.face_from_frame), corners) - corners).max() / face.side_px)


def moved_mask(mask: np.ndarray | None, new_from_old: np.ndarray, old_px: int, new_px: int) -> np.ndarray | None:
    """The stored mask (m, m) uint8 in the new crop, of the same size; what the old one did not see is outside."""
    if mask is None:
        return None
    size = mask.shape[0]
    matrix = scaling(size / new_px) @ new_from_old @ scaling(old_px / size)
    return mask if np.allclose(matrix, np.eye(3), atol=1e-9) else warp(mask, matrix, size, "linear")
