"""Prediction + Frame -> Composite: a pure function of its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.image.geometry import apply_affine, invert
from facewright.media.frame import Frame
from facewright.merge.paste import Patch, Target, matrices, mix, paste
from facewright.merge.predict import Prediction, crop_box, to_float
from facewright.merge.settings import MergeSettings


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """A finished frame: image (H, W, 3) RGB in the source's depth, alpha (H, W) float32 0..1 of what was replaced."""

    frame_index: int
    pts: int
    time_base: Fraction
    image: np.ndarray
    alpha: np.ndarray
    face_ids: tuple[str, ...] = ()


def composite(
    frame: Frame, targets: Sequence[Target], prediction: Prediction | None, settings: MergeSettings
) -> Composite:
    """Draw every target's prediction (same order) into the frame.

    Each face is drawn on the original frame; they are then blended in order (section 8.7). Where alpha is 0 the
    picture is bit-identical to the frame, unless a setting treats the whole frame (`changes_background`) or shows
    the net's square (raw modes). Mode raw-predict gives (R, R) pictures.
    """
    if prediction is None or not targets:
        return untouched(frame, settings, prediction.side_px if prediction is not None else None)
    height, width = frame.image.shape[:2]
    box = _region_box(targets, prediction, settings, (width, height))
    if box[2] == box[0]:
        return untouched(frame, settings, prediction.side_px)
    x0, y0, x1, y1 = box
    region = to_float(frame.image[y0:y1, x0:x1])
    patches = [
        paste(
            region, target, prediction.image[i], prediction.mask_swap[i, ..., 0], prediction.mask_own[i, ..., 0],
            prediction.face_type, settings, origin_px=(x0, y0),
        )
        for i, target in enumerate(targets)
    ]
    patch = blend(patches)
    ids = tuple(target.face_id for target in targets)
    if settings.mode == "raw-predict":
        return Composite(frame.index, frame.pts, frame.time_base, _to_depth(patch.image, frame.image.dtype),
                         np.clip(patch.alpha, 0, 1), ids)
    image = frame.image.copy()
    image[y0:y1, x0:x1] = _to_depth(patch.image, frame.image.dtype)
    alpha = np.zeros((height, width), np.float32)
    alpha[y0:y1, x0:x1] = patch.alpha
    return Composite(frame.index, frame.pts, frame.time_base, image, alpha, ids)


def untouched(frame: Frame, settings: MergeSettings, side_px: int | None = None) -> Composite:
    """The frame itself with an empty mask; in mode raw-predict a black square of the net's side."""
    image = frame.image
    if settings.mode == "raw-predict" and side_px is not None:
        image = np.zeros((side_px, side_px, 3), frame.image.dtype)
    return Composite(frame.index, frame.pts, frame.time_base, image, np.zeros(image.shape[:2], np.float32))


def blend(patches: Sequence[Patch]) -> Patch:
    """The first face's picture, then every next one over it by its own alpha; alphas add up to at most 1."""
    first, *rest = patches
    image, alpha = first.image, first.alpha
    for patch in rest:
        image, alpha = mix(image, patch.image, patch.alpha), alpha + patch.alpha
    return Patch(image, np.clip(alpha, 0, 1) if rest else alpha)


def motion(before_px: np.ndarray, after_px: np.ndarray) -> tuple[float, float]:
    """Movement of a face's centre between its neighbours, from their (68, 2) landmarks: length px, angle degrees.

    Angle counter-clockwise from image right; section 8.2.
    """
    middle = np.array([[127.0, 127.0]])
    centres = [apply_affine(invert(face_from_frame(p, 256, FaceType.FULL)), middle)[0] for p in (before_px, after_px)]
    dx, dy = centres[1] - centres[0]
    return float(np.hypot(dx, dy)), float(-np.degrees(np.arctan2(dy, dx)))


def _region_box(
    targets: Sequence[Target], prediction: Prediction, settings: MergeSettings, size_px: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The part of the frame that any of the faces can read or write."""
    if settings.changes_background:
        return 0, 0, *size_px
    side = prediction.side_px
    boxes = [
        crop_box(matrix, side, size_px)
        for target in targets
        for matrix in matrices(target.points_px, side, prediction.face_type, settings)
    ]
    boxes = [b for b in boxes if b[2] > b[0]]
    if not boxes:
        return 0, 0, 0, 0
    low, high = np.min([b[:2] for b in boxes], 0), np.max([b[2:] for b in boxes], 0)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _to_depth(image_01: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """float32 0..1 -> the source's depth, rounded; what was not changed comes back bit for bit."""
    if dtype == np.uint8:
        return cv2.convertScaleAbs(np.maximum(image_01, 0), alpha=255.0)
    return np.rint(np.clip(image_01, 0, 1) * np.float32(65535)).astype(np.uint16)
