"""Resampling by a matrix or a map, and the random maps of training from an explicit generator.

`warp` is OpenCV's warpAffine on the forward matrix. The random warp follows models-and-training.md 3.2; the
two-step path here (remap, then affine) is the parity reference of the one-step path that trains.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from facewright.image.geometry import apply_affine, invert, pixel_box, scale_of, to33

Interpolation = Literal["auto", "nearest", "linear", "cubic", "area", "lanczos4"]
Border = Literal["constant", "replicate"]

_FLAGS = {
    "nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos4": cv2.INTER_LANCZOS4,
}
_BORDERS = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}
AREA_BELOW = 0.5
"""Crops that shrink more than this ("auto") are averaged first, else they alias."""


def warp(
    image: np.ndarray,
    target_from_source: np.ndarray,
    size_px: int | tuple[int, int],
    interpolation: Interpolation = "cubic",
    border: Border = "constant",
) -> np.ndarray:
    """Resample (H, W[, C]) into (height, width[, C]) of the same dtype; `size_px` is a side or (width, height).

    Cubic is OpenCV's (a = -0.75): float results overshoot 0..1 and are not clipped. "area" averages whole blocks
    of source pixels before a cubic step; "auto" is "area" when shrinking more than 2x, else cubic. Outside of the
    source: black, or the nearest edge pixel ("replicate").
    """
    size = (size_px, size_px) if isinstance(size_px, int) else size_px
    matrix = to33(target_from_source)
    if interpolation == "auto":
        interpolation = "area" if scale_of(matrix) < AREA_BELOW else "cubic"
    if interpolation == "area":
        image, matrix = _averaged(image, matrix, size, border)
        interpolation = "cubic"
    warped = cv2.warpAffine(image, matrix[:2], size, flags=_FLAGS[interpolation], borderMode=_BORDERS[border])
    # OpenCV drops a channel axis of length 1; give it back.
    return warped[..., None] if image.ndim == 3 and warped.ndim == 2 else warped


def _averaged(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: Border
) -> tuple[np.ndarray, np.ndarray]:
    """Block means of the part of `image` that is needed, and the matrix from there to the target."""
    factor = max(int(1.0 / max(scale_of(matrix), 1e-6)), 1)
    if factor == 1:
        return image, matrix
    corners = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float64)
    # Three target pixels of margin feed the cubic kernel at the edge.
    height, width = image.shape[:2]
    x0, y0, x1, y1 = pixel_box(apply_affine(invert(matrix), corners), (width, height), margin_px=3 * factor)
    if x1 == x0:
        return image, matrix
    part = image[y0:y1, x0:x1]
    right, bottom = -part.shape[1] % factor, -part.shape[0] % factor
    if right or bottom:
        part = cv2.copyMakeBorder(part, 0, bottom, 0, right, _BORDERS[border])
    small = cv2.resize(part, (part.shape[1] // factor, part.shape[0] // factor), interpolation=cv2.INTER_AREA)
    if image.ndim == 3 and small.ndim == 2:
        small = small[..., None]
    half = (factor - 1) / 2.0
    source_from_small = np.array([[factor, 0, x0 + half], [0, factor, y0 + half], [0, 0, 1]], np.float64)
    return small, matrix @ source_from_small


def resize(image: np.ndarray, size_px: int | tuple[int, int], interpolation: Interpolation = "cubic") -> np.ndarray:
    """Resample (H, W[, C]) to (height, width[, C]) by OpenCV's resize (half-pixel centres); "auto" is "area" when
    shrinking and "cubic" when growing."""
    size = (size_px, size_px) if isinstance(size_px, int) else size_px
    if (image.shape[1], image.shape[0]) == size:
        return image
    if interpolation == "auto":
        interpolation = "area" if size[0] * size[1] < image.shape[0] * image.shape[1] else "cubic"
    flag = cv2.INTER_AREA if interpolation == "area" else _FLAGS[interpolation]
    resized = cv2.resize(image, size, interpolation=flag)
    return resized[..., None] if image.ndim == 3 and resized.ndim == 2 else resized
