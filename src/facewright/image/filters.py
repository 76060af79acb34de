"""Filters that fit a drawn face to its plate: motion blur, sharpen, denoise, degrade, fewer colours.

Formulas: data-formats-and-merging.md 8.6. Pictures are (H, W, 3) float32 RGB in 0..1; nothing clips unless said.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

SharpenMode = Literal["none", "box", "gaussian"]


def motion_blur(image: np.ndarray, size_px: int, angle_deg: float) -> np.ndarray:
    """Blur along a line of `size_px` at `angle_deg` (counter-clockwise from image right)."""
    kernel = np.zeros((size_px, size_px), np.float32)
    kernel[(size_px - 1) // 2] = 1.0
    centre = size_px / 2 - 0.5
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((centre, centre), angle_deg, 1.0), (size_px, size_px))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def motion_blur_px(power_px: float, amount: float) -> int:
    """Kernel size for a movement of `power_px` between the neighbouring frames and a setting 0..100; 0 = none."""
    size = int(power_px * amount / 100.0)
    return min(max(size + 1, 2), 50) if size >= 1 else 0


def blur_sharpen(image: np.ndarray, amount: float, mode: SharpenMode) -> np.ndarray:
    """amount > 0 sharpens by `mode` (1 is already strong: the 3x3 detail is multiplied by it), < 0 blurs by medians
    in any mode."""
    if amount > 0 and mode == "box":
        kernel = np.full((3, 3), -amount / 9.0, np.float32)
        kernel[1, 1] += 1.0 + amount
        return cv2.filter2D(image, -1, kernel)
    if amount > 0 and mode == "gaussian":
        return cv2.addWeighted(image, 1.0 + 0.5 * amount, cv2.GaussianBlur(image, (3, 3), 0), -0.5 * amount, 0)
    return _median_passes(image, -amount, full=10.0) if amount < 0 else image


def denoise(image: np.ndarray, amount: float) -> np.ndarray:
    """Repeated 5x5 medians, 0..500; each pass counts 10, the ones below 100 are mixed in."""
    return _median_passes(image, amount, full=100.0)


def _median_passes(image: np.ndarray, amount: float, full: float) -> np.ndarray:
    while amount > 0:
        median = cv2.medianBlur(image, 5)
        image = median if amount >= full else image * (1.0 - amount / full) + median * (amount / full)
        amount -= 10
    return image


def degrade(image: np.ndarray, amount: float) -> np.ndarray:
    """Lose detail by a cubic resize down and up again, 0..100."""
    if amount == 0:
        return image
    height, width = image.shape[:2]
    share = 1.0 - amount / 101.0
    small = cv2.resize(image, (max(int(width * share), 1), max(int(height * share), 1)), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def reduce_colours(image: np.ndarray, colours: int = 256) -> np.ndarray:
    """Median-cut palette of `colours`, no dithering -> (H, W, 3) float32."""
    from PIL import Image

    picture = Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))
    reduced = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours, dither=Image.Dither.NONE)
    return np.asarray(reduced.convert("RGB"), np.float32) / 255.0
