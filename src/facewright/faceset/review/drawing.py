"""Frames and crops with what was found drawn in: boxes, crops, points, mask edges, and an arrow toward the head's top.

Green: the detector's box. Blue: the crop. Red: points (violet when a person moved them, yellow when smoothed).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from facewright.core.errors import FacewrightError
from facewright.faces.align import unit_from_frame
from facewright.faces.face import Face
from facewright.faceset.sheet import AMBER, BLUE, GREEN, RED, Colour
from facewright.image.geometry import Box, apply_affine, box_area, intersect, invert, scaling, square_corners
from facewright.image.warp import resize

VIOLET: Colour = (217, 120, 255)
YELLOW: Colour = (250, 230, 90)
_PARTS = (
    (range(0, 17), False), (range(17, 22), False), (range(22, 27), False), (range(27, 31), False),
    (range(31, 36), False), (range(36, 42), True), (range(42, 48), True), (range(48, 60), True), (range(60, 68), True),
)  # fmt: skip
"""Points that belong to one line, and whether it closes."""
_SHIFT, _FINE = 4, 16


def frame_picture(image: np.ndarray, faces: Iterable[Face], long_side_px: int = 640) -> np.ndarray:
    """(h, w, 3) uint8 RGB, at most `long_side_px`: the frame (uint8 or uint16) with every face drawn in."""
    plain = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    factor = min(1.0, long_side_px / max(plain.shape[:2]))
    size = (max(round(plain.shape[1] * factor), 1), max(round(plain.shape[0] * factor), 1))
    picture = np.ascontiguousarray(resize(plain, size, "auto") if factor < 1 else plain).copy()
    shown_from_frame = scaling(factor)
    for face in faces:
        x0, y0, x1, y1 = face.box_px
        _line(picture, apply_affine(shown_from_frame, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])), GREEN, True)
        try:
            corners = apply_affine(invert(face.face_from_frame), square_corners(face.side_px))
            _line(picture, apply_affine(shown_from_frame, corners), BLUE, True)
        except FacewrightError:  # a hand-made file without an alignment has no crop to show
            pass
        _points(picture, face, shown_from_frame)
    return picture


def crop_picture(image: np.ndarray, face: Face, mask: np.ndarray | None = None, side_px: int = 0) -> np.ndarray:
    """(side, side, 3) uint8 RGB: a crop with its points, its mask's edge and the arrow. mask (m, m) uint8 or None;
    side_px 0: as large as it is."""
    side = side_px or image.shape[0]
    picture = np.ascontiguousarray(resize(image, side, "auto")).copy()
    if mask is not None:
        area = resize(mask, side, "area" if len(mask) > side else "linear")
        edges = cv2.findContours((area >= 128).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(picture, edges, -1, GREEN, max(side // 400, 1), cv2.LINE_AA)
    _points(picture, face, scaling(side / face.side_px) @ face.face_from_frame)
    return picture


def with_inset(picture: np.ndarray, inset: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """The picture with another in the corner that covers least of `boxes` (px of the picture), the lower first."""
    height, width = picture.shape[:2]
    side = min(round(0.45 * height), round(0.45 * width))
    small = resize(inset, side, "auto")
    corners = [(x, y) for y in (height - side, 0) for x in (0, width - side)]
    x, y = min(corners, key=lambda at: sum(
        box_area(intersect(box, (at[0], at[1], at[0] + side, at[1] + side))) for box in boxes))
    shown = picture.copy()
    shown[y : y + side, x : x + side] = small
    cv2.rectangle(shown, (x, y), (x + side - 1, y + side - 1), BLUE, 1)
    return shown


def up_arrow(face: Face) -> np.ndarray | None:
    """(2, 2) frame px: from the middle of the face to above its brows, by its points; None when they span no face."""
    unit = unit_from_frame(face.points)
    if not np.isfinite(unit).all() or abs(np.linalg.det(unit)) < 1e-18:
        return None
    return apply_affine(invert(unit), np.array([[0.5, 0.45], [0.5, -0.35]]))


def _points(picture: np.ndarray, face: Face, shown_from_frame: np.ndarray) -> None:
    colour = VIOLET if face.edited_px is not None else YELLOW if face.smoothed_px is not None else RED
    points = apply_affine(shown_from_frame, face.points)
    size = float(np.ptp(points, axis=0).max())
    if size < 24:  # dots would cover the face: box and arrow say where it is
        return
    if size > 60:
        for part, closes in _PARTS:
            _line(picture, points[list(part)], colour, closes)
    radius = max(round(size / 90), 1)
    for point in points:
        cv2.circle(picture, _fine(point), radius * _FINE, colour, -1, cv2.LINE_AA, _SHIFT)
    arrow = up_arrow(face)
    if arrow is not None:
        tail, tip = apply_affine(shown_from_frame, arrow)
        cv2.arrowedLine(picture, _fine(tail), _fine(tip), AMBER, max(round(size / 100), 1), cv2.LINE_AA, _SHIFT, 0.22)


def _line(picture: np.ndarray, points: np.ndarray, colour: Colour, closes: bool) -> None:
    fine = np.array([_fine(point) for point in points], np.int32)
    cv2.polylines(picture, [fine], closes, colour, 1, cv2.LINE_AA, _SHIFT)


def _fine(point: np.ndarray) -> tuple[int, int]:
    """Sixteenths of a pixel, as OpenCV takes them; far outside is clipped before it overflows."""
    x, y = np.clip(np.rint(np.asarray(point) * _FINE), -(1 << 20), 1 << 20)
    return int(x), int(y)
