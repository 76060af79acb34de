"""No step of light at the edge: the face takes the frame's tone along its border and keeps its own detail.

Poisson cloning (Perez et al. 2003) does so exactly, and lets a strand of hair on the border stain the whole face.
Here the ratio of frame and face along the soft edge (light multiplies, so a brow keeps its contrast) is spread by
normalised convolution (Knutsson and Westin 1993) in a small picture, without what stands out from the border's course,
and fades towards the middle of the face, whose colours the colour transfer has set.
"""

from __future__ import annotations

import cv2
import numpy as np

SMALL_PX = 64
"""Longer side of the picture in which the tone is found: it is smooth, so more would change nothing."""
_COURSE, _REACH = 0.25, 0.06
"""Blurs as shares of that side: the border's course, and how far a correction reaches."""
_FADES = 0.1
_STANDS_OUT = 0.12
_BLACK_01 = np.float32(0.05)
"""Added to both sides of the ratio: noise in the shadows is no light."""


def toned(face: np.ndarray, under: np.ndarray, alpha: np.ndarray, share: float = 1.0) -> np.ndarray:
    """`face` in the tone of `under` along the soft edge of `alpha`; (h, w, 3) float32 0..1, alpha (h, w).

    share: how much of the difference is taken, 0..1. The face itself when alpha has no soft edge.
    """
    field = log_tone(face, under, alpha)
    if field is None:
        return face
    gain = cv2.exp(field * np.float32(share))
    return cv2.multiply(face + _BLACK_01, gain) - _BLACK_01


def log_tone(face: np.ndarray, under: np.ndarray, alpha: np.ndarray) -> np.ndarray | None:
    """Logarithm of what to multiply `face` by so that it meets `under`, (h, w, 3) float32; None without an edge."""
    height, width = alpha.shape
    # Rather inside of the middle of the edge: outside of its own mask the net paints noise.
    edge = 6.75 * alpha * alpha * (1 - alpha)
    share = SMALL_PX / max(height, width)
    size = max(2, round(width * share)), max(2, round(height * share))
    how = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
    weight = cv2.resize(edge, size, interpolation=how)
    if weight.max() < 1e-3:
        return None
    mine, theirs = (
        cv2.resize(picture * edge[..., None], size, interpolation=how) / np.maximum(weight, 1e-6)[..., None]
        for picture in (face, under)
    )
    step = np.log((np.clip(theirs, 0, 1) + _BLACK_01) / (np.clip(mine, 0, 1) + _BLACK_01))
    # Hair, glasses, a hand on the border: what differs from the border's own course is no tone.
    beyond = np.abs(step - _spread(step, weight, _COURSE, 0.0)).max(-1) / _STANDS_OUT
    field = _spread(step, weight / (1 + beyond * beyond), _REACH, _FADES)
    return cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)


def _spread(step: np.ndarray, weight: np.ndarray, reach: float, fades: float) -> np.ndarray:
    """Weighted mean of `step` (h, w, 3) around every pixel, falling to 0 where little weight is near."""
    planes = np.dstack([step * weight[..., None], weight])
    planes = cv2.GaussianBlur(planes, (0, 0), reach * max(weight.shape), borderType=cv2.BORDER_CONSTANT)
    total = planes[..., 3:]
    return planes[..., :3] / (total + np.float32(fades * total.max() + 1e-9))
