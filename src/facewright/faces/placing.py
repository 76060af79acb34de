"""A face where a person says there is one: by points of their own, or by a rectangle that the landmark net looks in."""

from __future__ import annotations

import dataclasses

import numpy as np

from facewright.core.errors import FileRefused
from facewright.faces.align import canonical_mesh, unit_from_frame
from facewright.faces.candidates import SURE_PRESENCE
from facewright.faces.correction import CORRECTION_CM
from facewright.faces.detect import Detector
from facewright.faces.face import Detection
from facewright.faces.five_points import five_of_mesh, posed_head
from facewright.faces.landmark import MESH_FOR_68, Landmarker, Landmarks, corrected_points
from facewright.faces.views import eight_bit, enlarged, in_frame
from facewright.image.geometry import Box, apply_affine, bounding_box, box_area, intersect, umeyama

KINDS = {68: "68 points in iBUG order", 5: "eyes, nose tip and corners of the mouth", 3: "eyes and middle of the mouth"}
"""How many points place a face, and what they are; eyes and corners from image left to image right."""
SETTLED_PX = 0.25
"""Points that move by less from one look to the next have settled."""

_FLIP = np.array([1.0, -1.0, -1.0])
_TURNS_DEG = (0.0, 90.0, 180.0, -90.0)
_LOOK_PX = 640


def from_points(points_px: np.ndarray) -> Landmarks:
    """Landmarks of a person's own points: (68, 2), (5, 2) or (3, 2) frame px (KINDS).

    68 are taken as they are (they may be of no human face at all); fewer place a neutral head: five turn it, three
    only place it. The mesh is the neutral head that fits the points best. presence is 1: a person vouches for it.
    Raises FileRefused: another number, not finite, or all on one line or place.
    """
    points = np.asarray(points_px, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in KINDS or not np.isfinite(points).all():
        raise _bad_points(f"It holds {len(points)} of shape {points.shape}.")
    if np.linalg.svd(points - points.mean(0), compute_uv=False)[-1] < 1e-3 * max(np.ptp(points), 1e-9):
        raise _bad_points("They lie on one line or one place.")
    mesh = _mesh_of(points)
    if mesh is None or not np.isfinite(mesh).all():
        raise _bad_points("No head fits them.")
    placed = points.astype(np.float32) if len(points) == 68 else corrected_points(mesh)
    if not np.isfinite(unit_from_frame(placed)).all():
        raise _bad_points("Brows, nose and eyes of them span no face.")
    return Landmarks(mesh.astype(np.float32), placed, 1.0, 80.0, _roll(placed))


def moved_mesh(mesh_px: np.ndarray, before_px: np.ndarray, after_px: np.ndarray) -> np.ndarray:
    """(468, 3) mesh for 68 points that a person moved: the old one moved along, or the neutral head where that lies
    nearer to them (the old points were of no face)."""
    plane = umeyama(np.asarray(before_px, np.float64), np.asarray(after_px, np.float64))
    scale = float(np.sqrt(abs(np.linalg.det(plane[:2, :2]))))
    old = np.asarray(mesh_px, np.float64)
    along = np.concatenate([apply_affine(plane, old[:, :2]), old[:, 2:] * scale], -1)
    neutral = _mesh_of(np.asarray(after_px, np.float64))
    if neutral is None or not np.isfinite(along).all():
        return old if neutral is None else neutral
    far = [np.abs(corrected_points(mesh) - after_px).mean() for mesh in (along, neutral)]
    return along if far[0] <= far[1] else neutral


def neutral_in(box_px: Box) -> Landmarks:
    """The neutral head, upright, as large as a rectangle holds it: for what no net takes for a face."""
    head = canonical_mesh() * _FLIP
    low, high = head[:, :2].min(0), head[:, :2].max(0)
    x0, y0, x1, y1 = box_px
    scale = float(min((x1 - x0) / (high[0] - low[0]), (y1 - y0) / (high[1] - low[1])))
    mesh = head * scale
    mesh[:, :2] += np.array([(x0 + x1) / 2, (y0 + y1) / 2]) - (low + high) / 2 * scale
    return Landmarks(mesh.astype(np.float32), corrected_points(mesh), 1.0, 80.0, 0.0)


def look_in(
    image: np.ndarray, box_px: Box, landmarker: Landmarker, detector: Detector | None = None, *, looks: int = 4
) -> Landmarks:
    """The face that the landmark net sees best in a rectangle of an (H, W, 3) frame, in four orientations.

    detector: its finds inside the rectangle are starting places as well, so that it may be drawn loosely. looks: the
    net looks again where it saw the face, until the points settle, at most so often ("accuracy"; 1 = quick).
    """
    plain = eight_bit(image)
    starts = [Detection(0, box_px, 1.0, roll) for roll in _TURNS_DEG]
    starts += _finds(plain, box_px, detector) if detector is not None else []
    found = landmarker([plain] * len(starts), starts)
    seen = [one for one in found if _inside(one, box_px)] or found
    upright = [one for one in seen if abs(one.roll_deg) < 50 and one.presence_01 >= SURE_PRESENCE]
    best = max(upright or seen, key=lambda one: one.presence_logit)
    for _ in range(looks - 1):
        again = landmarker([plain], [_around(best)])[0]
        if again.presence_logit < best.presence_logit - 1.0 or not _inside(again, box_px):
            break
        moved = float(np.abs(again.points_px - best.points_px).mean())
        best = again
        if moved < SETTLED_PX:
            break
    return best


def points_box(points_px: np.ndarray) -> Box:
    """Box around (68, 2) points: brows to chin, as detectors draw them."""
    return bounding_box(points_px)


def _mesh_of(points: np.ndarray) -> np.ndarray | None:
    head = canonical_mesh()
    if len(points) == 68:
        return posed_head(head[MESH_FOR_68] + CORRECTION_CM, points)
    five = five_of_mesh(head)
    if len(points) == 5:
        return posed_head(five, points)
    flat = (np.stack([five[0], five[1], five[3:].mean(0)]) * _FLIP)[:, :2]
    plane = umeyama(flat, points)
    scale = float(np.sqrt(abs(np.linalg.det(plane[:2, :2]))))
    turned = head * _FLIP
    return np.concatenate([apply_affine(plane, turned[:, :2]), turned[:, 2:] * scale], -1)


def _finds(image: np.ndarray, box_px: Box, detector: Detector) -> list[Detection]:
    """What the detector finds in the rectangle and a margin of half of it, enlarged."""
    x0, y0, x1, y1 = box_px
    grow = 0.5 * max(x1 - x0, y1 - y0)
    left, top = max(int(x0 - grow), 0), max(int(y0 - grow), 0)
    part = image[top : int(y1 + grow) + 1, left : int(x1 + grow) + 1]
    if min(part.shape[:2], default=0) < 8:
        return []
    view = enlarged(part, _LOOK_PX / max(part.shape[:2]), _LOOK_PX)
    shift = np.array([[1.0, 0, left], [0, 1.0, top], [0, 0, 1.0]])
    view = dataclasses.replace(view, frame_from_view=shift @ view.frame_from_view)
    rows = detector([view.image], score=detector.low_score, long_side_px=_LOOK_PX)
    found = [in_frame(one, view, 0) for one in rows[0]]
    return [one for one in found if _share(one.box_px, box_px) > 0.5][:4]


def _inside(landmarks: Landmarks, box_px: Box) -> bool:
    """Whether the face lies in the rectangle by half of it at least."""
    return bool(np.isfinite(landmarks.points_px).all()) and _share(bounding_box(landmarks.points_px), box_px) > 0.5


def _share(inner: Box, outer: Box) -> float:
    return box_area(intersect(inner, outer)) / max(box_area(inner), 1e-9)


def _around(landmarks: Landmarks) -> Detection:
    """The square that the landmarker's own second look would take next."""
    angle = -np.radians(landmarks.roll_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = landmarks.mesh_px[:, :2].astype(np.float64) @ turn
    low, high = flat.min(0), flat.max(0)
    x, y = turn @ ((low + high) / 2)
    half = float((high - low).max()) / 2
    return Detection(0, (x - half, y - half, x + half, y + half), 1.0, landmarks.roll_deg)


def _roll(points: np.ndarray) -> float:
    dx, dy = points[42:48].mean(0) - points[36:42].mean(0)
    return float(-np.degrees(np.arctan2(dy, dx)))


def _bad_points(why: str) -> FileRefused:
    return FileRefused(
        "These points place no face.", why=why,
        remedy="Give frame pixels: " + "; or ".join(f"{n} ({what})" for n, what in KINDS.items()) + ".")
