"""Where eyes look in their head, to image left or right, by the iris net: coarse, and only of heads that look ahead.

Fitted on 77 stills of two rendered heads, turned by up to 35 degrees, with eyeballs turned by -30 to 30: of those that
are judged, looks ahead and to either side by 20 degrees or more are told apart in 15 of 15, with eyes of 10 px as well;
RMS error 6 degrees. A person's own eyes may shift all of it: of the test clips' people by up to 12 degrees.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from facewright.core.weights import available, resolve
from facewright.faces.landmark import crop_matrix
from facewright.faces.nets import LiteNet
from facewright.faces.sample import sample

MOST_TURN_DEG = 20.0
"""Heads turned farther are not judged."""
LEAST_OPEN, LEAST_EYE_PX = 0.15, 10.0
"""Nor are eyes less open than this (height over width), or narrower in their frame."""
_SIDE = 2.3
"""Side of the square that the net sees, over the eye's width."""
_EYES = ((36, 39, False), (42, 45, True))
"""Corners of each eye, image left first; the net knows eyes of one side: the other is seen in a mirror."""
_BIAS, _PER_DEG_OF_TURN, _PER_DEG = -0.002, 0.0025, 0.0044
"""Shift of the iris over the eye's width: of eyes that look ahead, by a degree of the head's turn and of the gaze."""


def at_hand() -> bool:
    """Whether the iris net is there; nothing is fetched for it."""
    return available("iris") is not None


def gaze_deg(image: np.ndarray, points_px: np.ndarray, yaw_deg: float) -> float:
    """Degrees, to image right positive, of a picture (H, W, 3) uint8 RGB and its 68 points (68, 2); NaN where it cannot
    be told. Raises WeightsMissing."""
    points = np.asarray(points_px, np.float64)
    if abs(yaw_deg) > MOST_TURN_DEG or _openness(points) < LEAST_OPEN:
        return float("nan")
    shifts = []
    net = _net()
    for left, right, mirrored in _EYES:
        line = points[right] - points[left]
        side = np.array([_SIDE * np.linalg.norm(line)])
        middle = (points[[left]] + points[[right]]) / 2 + 0.5
        matrix = crop_matrix(middle, side, np.arctan2(line[1:], line[:1]), net.side)[0]
        picture = sample(image, matrix, net.side)
        answer = net((picture[:, ::-1] if mirrored else picture)[None].astype(np.float32) / np.float32(255))
        iris = min(answer, key=np.size).reshape(-1, 3)[0, 0] / net.side - 0.5
        shifts.append(_SIDE * (-iris if mirrored else iris))
    return float((np.mean(shifts) - _BIAS - _PER_DEG_OF_TURN * yaw_deg) / _PER_DEG)


def _openness(points: np.ndarray) -> float:
    gaps = [np.linalg.norm(points[a + 1] - points[a + 5]) / max(np.linalg.norm(points[a + 3] - points[a]), 1e-6)
            for a in (36, 42)]
    return float(min(gaps))


@cache
def _net() -> LiteNet:
    return LiteNet(resolve("iris"))
