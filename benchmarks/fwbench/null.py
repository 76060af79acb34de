"""The null swap: the plate's own face through N px and back, pasted with the same alpha: what a perfect net reads."""

from __future__ import annotations

import cv2
import numpy as np
from benchmarks.fwbench.observe import Seen
from benchmarks.fwbench.score import Arm

from facewright.faces.landmark import OVAL, _square_around

Array = np.ndarray
SPREAD = 1.15 / 1.5
"""Side of the square over that of the mesh's own crop: 1.15 x the longer side of its box."""


def oval_alpha(mesh: Array, size: tuple[int, int], u_px: float) -> Array:
    """Mesh oval eroded .12 u, Gaussian .05 u."""
    mask = np.zeros(size, np.float32)
    cv2.fillPoly(mask, [np.rint(mesh[OVAL, :2]).astype(np.int32)], 1.0)
    side = max(1, 2 * round(0.12 * u_px) + 1)
    mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return cv2.GaussianBlur(mask, (0, 0), max(0.05 * u_px, 0.3))


def null_arm(images: dict[int, Array], plate: Seen, side_px: int) -> Arm:
    """Every frame's face, roll-aligned, cubic to `side_px` and back."""
    swap, alpha = dict(images), {i: np.zeros(p.shape[:2], np.float32) for i, p in images.items()}
    centres, sides, angles = _square_around(plate.meshes.astype(np.float64))
    for k, index in enumerate(int(f) for f in plate.frames):
        picture = images[index]
        matrix = cv2.getRotationMatrix2D(tuple(centres[k]), np.degrees(angles[k]), side_px / (sides[k] * SPREAD))
        matrix[:, 2] += side_px / 2 - centres[k]
        face = cv2.warpAffine(
            picture, matrix, (side_px, side_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        back = cv2.warpAffine(face, matrix, picture.shape[1::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        a = oval_alpha(plate.meshes[k], picture.shape[:2], float(plate.u_px[k]))
        a[a < 1 / 255] = 0
        mixed = picture * (1 - a[..., None]) + back.astype(np.float32) * a[..., None]
        swap[index], alpha[index] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8), a
    return Arm(images, swap, alpha)
