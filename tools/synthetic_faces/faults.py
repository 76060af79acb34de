"""What a worse camera does to a picture: small, unsharp, shaken, noisy, compressed. Milder than XSeg's augmentation."""

from __future__ import annotations

import cv2
import numpy as np

from facewright.image.filters import motion_blur

SHARE, SHARE_CLEAN = 0.45, 0.10
"""How many pictures have faults: of a set for masks, and of one that a net shall learn to draw."""


def filmed(picture: np.ndarray, rng: np.random.Generator, share: float = SHARE) -> np.ndarray:
    """(S, S, 3) float32 0..1 as a camera gives it: every one with its own white, contrast and a little grain, `share`
    of them with faults. uint8."""
    side = picture.shape[0]
    white = np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
    gamma = float(np.exp(rng.normal(0, 0.12)))
    grey = picture.mean(2, keepdims=True)
    picture = grey + (picture - grey) * np.float32(rng.uniform(0.7, 1.2))
    if rng.random() < 0.02:
        picture = np.repeat(grey, 3, 2)
    picture = np.clip(picture * white, 0, 1) ** np.float32(gamma)
    faulty = rng.random() < share
    if faulty and rng.random() < 0.5:
        small = max(int(side / np.exp(rng.uniform(0, np.log(3.5)))), 48)
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            picture = _noisy(picture, rng, 0.03)
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    if faulty and rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.8)))
    if faulty and rng.random() < 0.25:
        picture = motion_blur(picture, int(rng.integers(2, 7)), float(rng.uniform(0, 180)))
    picture = _noisy(picture, rng, 0.035 if faulty and rng.random() < 0.5 else 0.008)
    out = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    if faulty and rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 96))]
        out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
    return out


def _noisy(picture: np.ndarray, rng: np.random.Generator, most: float) -> np.ndarray:
    """Grain, mostly grey, softened a little as a codec does."""
    h, w = picture.shape[:2]
    grain = rng.standard_normal((h, w, 1), np.float32)
    if most > 0.02:
        grain = grain + 0.5 * rng.standard_normal((h, w, 3), np.float32)
    if rng.random() < 0.6:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7).reshape(h, w, -1) * 1.8
    return picture + grain * np.float32(rng.uniform(0, most))
