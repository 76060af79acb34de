"""A head seen in one orientation, and the choice between orientations (pretrained-weights.md section 4).

Detectors and the mesh happily report an upright face on a head that is upside down, so a find is believed alone only
when both are very sure; otherwise the mesh's presence decides between all four orientations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facewright.faces.face import Detection
from facewright.faces.landmark import Landmarks
from facewright.image.geometry import box_area, intersect, iou

SURE_PRESENCE = 0.999
GOOD_PRESENCE = 0.95
"""Below it a face's points are not to be relied on; it is flagged "low_presence"."""
SEEN_PRESENCE = 0.5
"""Below it the mesh does not see a face at all, and its points are not used."""
SAME_HEAD_IOU = 0.3
SAME_POINTS = 0.3
"""Points that lie so near each other, over the distance of the eyes, are those of one face."""
UPRIGHT_BONUS = 0.10
"""Where the mesh sees nothing (faces under about 20 px), another orientation must beat upright by this much score."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One detection with its points; `quarter` is the turn of the view in which it was found."""

    detection: Detection
    landmarks: Landmarks
    quarter: int

    @property
    def seen(self) -> bool:
        """Whether the mesh sees a face here."""
        return self.landmarks.presence_01 >= SEEN_PRESENCE

    @property
    def good(self) -> bool:
        """Whether its points can be relied on."""
        return self.landmarks.presence_01 >= GOOD_PRESENCE

    @property
    def rank(self) -> tuple[bool, float]:
        """Larger is better: first by presence (its logit, which does not saturate), else by score."""
        if self.seen:
            return True, self.landmarks.presence_logit
        return False, self.detection.score + (UPRIGHT_BONUS if self.quarter == 0 else 0.0)


def sure(candidate: Candidate, sure_score: float) -> bool:
    """Believed without a look at the other orientations."""
    return candidate.detection.score >= sure_score and candidate.landmarks.presence_01 >= SURE_PRESENCE


def same_head(a: Detection, b: Detection) -> bool:
    """Whether two boxes of one frame show one head: they overlap, or one's centre lies deep inside the other."""
    if iou(a.box_px, b.box_px) > SAME_HEAD_IOU:
        return True
    (ax, ay), (bx, by) = _centre(a), _centre(b)
    return float(np.hypot(ax - bx, ay - by)) < 0.35 * min(_side(a), _side(b))


def same_points(a: Candidate, b: Candidate) -> bool:
    """Whether both see a face, and it is the same: their points lie on each other."""
    if not (a.seen and b.seen):
        return False
    p, q = a.landmarks.points_px, b.landmarks.points_px
    eyes = [float(np.linalg.norm(x[36:42].mean(0) - x[42:48].mean(0))) for x in (p, q)]
    return float(np.linalg.norm(p - q, axis=-1).mean()) < SAME_POINTS * min(eyes)


def _centre(d: Detection) -> tuple[float, float]:
    return (d.box_px[0] + d.box_px[2]) / 2, (d.box_px[1] + d.box_px[3]) / 2


def _side(d: Detection) -> float:
    return max(d.box_px[2] - d.box_px[0], d.box_px[3] - d.box_px[1])


def choose(candidates: list[Candidate]) -> list[Candidate]:
    """One candidate per head, the best ranked. A turned one must show good points, or it is not a face."""
    left = sorted(
        (c for c in candidates if c.quarter == 0 or c.good), key=lambda c: (c.rank, -c.quarter), reverse=True
    )
    kept: list[Candidate] = []
    for candidate in left:
        if not any(rivals(candidate, k) for k in kept):
            kept.append(candidate)
    return kept


def rivals(a: Candidate, b: Candidate) -> bool:
    """One head, or one head seen wrongly in another orientation: then the boxes may overlap by a part only.

    Two boxes whose points settled on one face (the mesh looks around it) are one head as well, however they lie.
    """
    if same_head(a.detection, b.detection) or same_points(a, b):
        return True
    common = box_area(intersect(a.detection.box_px, b.detection.box_px))
    return a.quarter != b.quarter and common > 0.4 * min(box_area(a.detection.box_px), box_area(b.detection.box_px))


class Memory:
    """Orientations decided lately, by place. It starts afresh with every chunk, so that resumed runs agree."""

    def __init__(self, lasts_frames: int = 8) -> None:
        self._lasts = lasts_frames
        self._known: list[tuple[Candidate, int]] = []  # candidate as last seen, position of the last full decision

    def quarters(self) -> set[int]:
        """Turns, besides upright, in which heads are expected now."""
        return {c.quarter for c, _ in self._known if c.quarter}

    def believes(self, candidate: Candidate, position: int) -> int | None:
        """The position of the full decision that speaks for this candidate's orientation, or None."""
        roll = (candidate.landmarks.roll_deg + 90.0 * candidate.quarter + 180.0) % 360.0 - 180.0
        if candidate.seen and abs(roll) > 50.0:
            return None  # beyond 45 degrees another orientation fits better
        for known, decided in self._known:
            if (
                known.quarter == candidate.quarter and position - decided < self._lasts
                and same_head(known.detection, candidate.detection) and (candidate.good or not known.good)
            ):
                return decided
        return None

    def keep(self, decided: list[tuple[Candidate, int]]) -> None:
        """Remember this frame's heads, each with the position of its full decision; forget all older ones."""
        self._known = decided
