"""Bring out fine detail that a picture holds. Invents nothing: no net, no learned texture."""

from __future__ import annotations

import cv2
import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BANDS_PX = (1.0, 2.0, 4.0)
"""Radii at a picture of 512 px; scaled with its side."""
_EDGE = 0.02
"""Contrast (0..1) above which an edge is kept out of the detail (the guided filter's epsilon is its square)."""
_NOISE = 0.004
"""Detail below this is grain as likely as skin: it is left alone."""


def guided(image: np.ndarray, radius_px: int, edge: float) -> np.ndarray:
    """(H, W) float32 smoothed except across edges stronger than `edge`: He, Sun & Tang 2010, guided by itself."""
    size = (2 * radius_px + 1,) * 2
    mean = cv2.boxFilter(image, -1, size, borderType=cv2.BORDER_REFLECT_101)
    variance = np.maximum(cv2.boxFilter(image * image, -1, size, borderType=cv2.BORDER_REFLECT_101) - mean * mean, 0.0)
    slope = variance / (variance + edge * edge)
    offset = mean - slope * mean
    slope = cv2.boxFilter(slope, -1, size, borderType=cv2.BORDER_REFLECT_101)
    return slope * image + cv2.boxFilter(offset, -1, size, borderType=cv2.BORDER_REFLECT_101)


def enhance_detail(image: np.ndarray, strength: float = 0.5) -> np.ndarray:
    """(H, W, 3) float32 RGB 0..1 -> the same shape and range, with up to three times its fine contrast at strength 1.

    Detail is what guided filters of three radii take away from the brightness; it is raised where it stands above
    grain, and never beyond the darkest and brightest neighbour by more than half of their distance: no halos. Colour is
    untouched.
    """
    if strength <= 0:
        return image
    luma = image @ _LUMA
    scale = max(min(image.shape[:2]) / 512.0, 0.25)
    rest, raised = luma, np.zeros_like(luma)
    for band in _BANDS_PX:
        base = guided(rest, max(round(band * scale), 1), _EDGE * (1.0 + band))
        detail = rest - base
        raised += detail * np.clip((np.abs(detail) - _NOISE) / _NOISE, 0.0, 1.0)
        rest = base
    wanted = luma + 2.0 * strength * raised
    kernel = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(luma, kernel), cv2.dilate(luma, kernel)
    room = 0.5 * (high - low)
    change = np.clip(wanted, low - room, high + room) - luma
    return np.clip(image + change[..., None], 0.0, 1.0)
