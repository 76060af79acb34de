"""Ways to look at a frame: shrunk, turned by quarters, enlarged, in tiles; and the way back to frame pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facewright.faces.detect import Detector, roll_of_eyes, shrink
from facewright.faces.face import Detection
from facewright.image.geometry import apply_affine, bounding_box


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture made from a frame, (H, W, 3) uint8, and the matrix from its pixels to the frame's. `quarter`: how
    often it was turned by 90 degrees counter-clockwise."""

    image: np.ndarray
    frame_from_view: np.ndarray
    quarter: int = 0


def eight_bit(image: np.ndarray) -> np.ndarray:
    """uint8 or full-range uint16 -> uint8."""
    return image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)


def _resized(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Matrix from the resized picture's pixels to those of the one of `shape`: edges stay edges."""
    fx, fy = shape[1] / image.shape[1], shape[0] / image.shape[0]
    return np.array([[fx, 0, fx / 2 - 0.5], [0, fy, fy / 2 - 0.5], [0, 0, 1.0]])


def shrunk(image: np.ndarray, long_side_px: int) -> View:
    """The frame with its long side at most `long_side_px`."""
    small = shrink(image, long_side_px)
    return View(small, _resized(small, image.shape))


def enlarged(image: np.ndarray, factor: float, long_side_px: int) -> View:
    """The frame `factor` times as large, but at most `long_side_px` (then shrunk)."""
    longest = max(image.shape[:2])
    if longest * factor > long_side_px:
        factor = long_side_px / longest
    if factor <= 1.0:
        return shrunk(image, long_side_px)
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    large = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return View(large, _resized(large, image.shape))


def turned(view: View, quarter: int) -> View:
    """The view turned by `quarter` x 90 degrees counter-clockwise."""
    quarter %= 4
    if quarter == 0:
        return view
    height, width = view.image.shape[:2]
    right, bottom = width - 1.0, height - 1.0
    back = {
        1: [[0, -1, right], [1, 0, 0], [0, 0, 1]], 2: [[-1, 0, right], [0, -1, bottom], [0, 0, 1]],
        3: [[0, 1, 0], [-1, 0, bottom], [0, 0, 1]],
    }[quarter]
    image = np.ascontiguousarray(np.rot90(view.image, quarter))
    return View(image, view.frame_from_view @ np.array(back, np.float64), (view.quarter + quarter) % 4)


def tiles(image: np.ndarray, side_px: int) -> list[View]:
    """Squares of `side_px`, overlapping by half, that cover the frame."""
    found = []
    for top in _starts(image.shape[0], side_px):
        for left in _starts(image.shape[1], side_px):
            part = image[top : top + side_px, left : left + side_px]
            found.append(View(part, np.array([[1.0, 0, left], [0, 1.0, top], [0, 0, 1.0]])))
    return found


def _starts(length: int, side: int) -> list[int]:
    count = max(int(np.ceil(2 * length / side)) - 1, 1)
    return sorted({int(v) for v in np.linspace(0, max(length - side, 0), count)})


def in_frame(detection: Detection, view: View, frame_index: int) -> Detection:
    """A detection in a view's pixels -> the frame's."""
    x0, y0, x1, y1 = detection.box_px
    corners = apply_affine(view.frame_from_view, np.array([[x0, y0], [x1, y1]]))
    box, hint, roll = bounding_box(corners), detection.hint_px, detection.roll_deg - 90.0 * view.quarter
    if hint is not None:
        hint = apply_affine(view.frame_from_view, hint).astype(np.float32)
        roll = roll_of_eyes(hint)
    roll = float((roll + 180.0) % 360.0 - 180.0)
    return replace(detection, frame_index=frame_index, box_px=box, hint_px=hint, roll_deg=roll)


def look(
    detector: Detector, views: list[View], frame_indices: list[int], score: float, long_side_px: int
) -> list[list[Detection]]:
    """Detections in each view, in frame pixels."""
    found = detector([v.image for v in views], score=score, long_side_px=long_side_px)
    return [[in_frame(d, v, i) for d in row] for row, v, i in zip(found, views, frame_indices)]
