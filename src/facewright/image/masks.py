"""Landmark masks, and what is done with any mask: erode, blur, feather, combine.

Masks are (H, W) float32 in 0..1. Point groups and filling rules: data-formats-and-merging.md section 3.
"""

from __future__ import annotations

import cv2
import numpy as np

_HULL_PARTS: tuple[tuple[int, ...], ...] = (
    (*range(0, 9), 17),
    (*range(8, 17), 26),
    (17, 18, 19, 8),
    (24, 25, 26, 8),
    (*range(19, 25), 8),
    (*range(17, 22), 27, *range(31, 36), 8),
    (*range(22, 27), 27, *range(31, 36), 8),
    (*range(27, 36),),
)
_FRONT_PART = (8, *range(27, 36), *range(48, 60))
"""Nose, lips and chin: on a turned head they stand out beyond jaw and brows, where the original's hull ends."""
_RIGHT_EYE, _LEFT_EYE, _OUTER_LIPS, _INNER_LIPS = slice(36, 42), slice(42, 48), slice(48, 60), slice(60, 68)


def expand_eyebrows(points: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """(68, 2) -> (68, 2) int64 whose brows moved away from the eyes by `amount` times half their distance.

    Coordinates are truncated toward zero first, as the original does; masks depend on it to the pixel.
    """
    lm = np.array(points).astype(np.int64)
    if lm.shape != (68, 2):
        raise ValueError(f"68 points expected, got shape {lm.shape}")
    middle_r, middle_l = (lm[36] + lm[0]) // 2, (lm[16] + lm[45]) // 2
    quarter_r, quarter_l = (lm[36] + middle_r) // 2, (lm[45] + middle_l) // 2
    below_r = np.array([quarter_r, lm[36], lm[37], lm[38], lm[39]])
    below_l = np.array([lm[42], lm[43], lm[44], lm[45], quarter_l])
    lm[17:22] = lm[17:22] + amount * 0.5 * (lm[17:22] - below_r)
    lm[22:27] = lm[22:27] + amount * 0.5 * (lm[22:27] - below_l)
    return lm


def hull_mask(
    points: np.ndarray, shape: tuple[int, int], eyebrows_expand: float = 1.0, *, origin_px: tuple[int, int] = (0, 0),
    lips: bool = False,
) -> np.ndarray:
    """The face's area by its 68 landmarks -> `shape` = (h, w) float32, exactly 0 or 1.

    `origin_px`: (x, y) of the picture pixel that is the mask's (0, 0), to draw only a part of a large frame.
    `lips`: also what nose, lips and chin span, which the original leaves out on turned heads.
    """
    lm = (expand_eyebrows(points, eyebrows_expand) - np.asarray(origin_px)).astype(np.int32)
    mask = np.zeros(shape, np.uint8)
    for part in (*_HULL_PARTS, _FRONT_PART) if lips else _HULL_PARTS:
        cv2.fillConvexPoly(mask, cv2.convexHull(lm[list(part)]), 1)
    return mask.astype(np.float32)


def eyes_mask(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Both eyes of the 68 landmarks, softened by the picture's height -> (h, w) float32."""
    return _soft_parts(points, shape, (_RIGHT_EYE, _LEFT_EYE))


def mouth_mask(points: np.ndarray, shape: tuple[int, int], *, whole_lips: bool = False) -> np.ndarray:
    """The inner lips (or all of them) of the 68 landmarks, softened by the picture's height -> (h, w) float32."""
    return _soft_parts(points, shape, (_OUTER_LIPS if whole_lips else _INNER_LIPS,))


def eyes_mouth_mask(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Eyes and mouth together, clipped to 1 -> (h, w) float32."""
    return np.minimum(eyes_mask(points, shape) + mouth_mask(points, shape), 1.0)


def _soft_parts(points: np.ndarray, shape: tuple[int, int], parts: tuple[slice, ...]) -> np.ndarray:
    lm = np.array(points).astype(np.int32)
    mask = np.zeros(shape, np.float32)
    for part in parts:
        cv2.fillConvexPoly(mask, cv2.convexHull(lm[part]), (1,))
    height = shape[0]
    # Pictures under 32 px would ask for an empty kernel; one pixel leaves them as drawn.
    mask = erode(mask, -max(height // 32, 1))
    return cv2.GaussianBlur(mask, (odd(height // 16), odd(height // 16)), 0)


def odd(size_px: int) -> int:
    """The next odd number that is not smaller: kernels have a centre."""
    return size_px + 1 - size_px % 2


def ellipse(size_px: int) -> np.ndarray:
    """(n, n) uint8 disc as OpenCV 4 draws it (data-formats-and-merging.md 3.4); even sizes are asymmetric."""
    radius = size_px // 2
    offsets = np.arange(size_px) - radius
    if radius == 0:
        return np.ones((size_px, size_px), np.uint8)
    inside = np.clip(radius**2 - offsets.astype(np.float64) ** 2, 0, None)
    half = np.round(radius * np.sqrt(inside / radius**2)).astype(int)
    columns = np.arange(size_px)[None]
    # The last column is cut as in OpenCV: min(c + dx + 1, n) is exclusive.
    rows = (columns >= (radius - half)[:, None]) & (columns < np.minimum(radius + half + 1, size_px)[:, None])
    return (rows & (np.abs(offsets) <= radius)[:, None]).astype(np.uint8)


def erode(mask: np.ndarray, size_px: int) -> np.ndarray:
    """Shrink by a disc of diameter `size_px`, once; negative grows; 0 returns the mask. The border never eats."""
    if size_px == 0:
        return mask
    kernel = ellipse(abs(size_px))
    return cv2.erode(mask, kernel) if size_px > 0 else cv2.dilate(mask, kernel)


def blur(mask: np.ndarray, size_px: int) -> np.ndarray:
    """Gaussian of kernel `size_px` (made odd), sigma 0.3 ((k - 1) / 2 - 1) + 0.8; outside counts as 0."""
    if size_px <= 0:
        return mask
    side = odd(size_px)
    return cv2.GaussianBlur(mask, (side, side), 0, borderType=cv2.BORDER_CONSTANT)


def feather(mask: np.ndarray, erode_px: int, blur_px: int) -> np.ndarray:
    """Erode (negative: grow), then blur inward so that the mask is 0 at the picture's edge; clipped to 0..1.

    Equals step 7 of data-formats-and-merging.md 8.4 without its padding: outside is zero there too, so only the
    erosion needs to see it.
    """
    if erode_px > 0:
        pad = erode_px // 2 + 1
        mask = erode(cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT), erode_px)[pad:-pad, pad:-pad]
    elif erode_px < 0:
        mask = erode(mask, erode_px)
    if blur_px > 0:
        rim = blur_px // 2
        inner = np.zeros_like(mask)
        height, width = mask.shape
        if 2 * rim < min(height, width):
            inner[rim : height - rim, rim : width - rim] = mask[rim : height - rim, rim : width - rim]
        mask = blur(inner, blur_px)
    return np.clip(mask, 0.0, 1.0)


def combine(*masks: np.ndarray) -> np.ndarray:
    """The product of masks of one shape: a pixel counts as far as all agree."""
    result = masks[0]
    for mask in masks[1:]:
        result = result * mask
    return result
