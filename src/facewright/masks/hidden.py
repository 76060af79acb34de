"""How much of a face lies behind something: what a mask net leaves out of the hull of its landmarks."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from facewright.faces.face import Face
from facewright.image.geometry import apply_affine
from facewright.image.masks import hull_mask
from facewright.masks.by_net import NetMasker
from facewright.masks.generic import generic_net

SIDE_PX = 256
_RIM_PX = 4
"""The hull's rim does not count: there masks differ by a hair's breadth, whatever is before the face."""


def generic() -> Callable[[np.ndarray, Face], float]:
    """faceset.settings.OBSTRUCTIONS: crop (S, S, 3) uint8 RGB and its face -> share 0..1 of the hull that the net that
    comes along leaves out. About 0.1 s of processor time a face."""
    masker = NetMasker(generic_net("cpu"))

    def share(picture: np.ndarray, face: Face) -> float:
        seen = masker(picture, face, SIDE_PX)
        points = apply_affine(face.face_from_frame, face.points) * (SIDE_PX / face.side_px)
        hull = hull_mask(points, (SIDE_PX, SIDE_PX)).reshape(SIDE_PX, SIDE_PX)
        inner = cv2.erode(hull, np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) > 0
        return float((seen[inner] < 0.5).mean()) if inner.any() else 0.0

    return share
