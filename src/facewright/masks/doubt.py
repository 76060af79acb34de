"""Is a mask sound? Holes, loose pieces, a soft edge, too small or large an area, and jumps against its track."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from facewright.faces.face import Face
from facewright.image.geometry import apply_affine
from facewright.image.masks import hull_mask
from facewright.image.warp import resize
from facewright.masks.maskers import picture_from_frame
from facewright.masks.settings import CheckSettings

SMALL_PX = 64
"""Side at which neighbours are compared."""
_SIDE_PX = 256


@dataclass(frozen=True, slots=True)
class Facts:
    """What one mask shows. holes, pieces: shares of its area; edge_px: mean width of its edge at 256 px; of_hull: its
    area over that of the landmarks' outline."""

    area_01: float
    holes_01: float
    pieces_01: float
    edge_px: float
    of_hull: float

    @property
    def uncertainty_01(self) -> float:
        """How much of the mask is in doubt, 0..1: holes, pieces, and what a soft edge covers beyond 3 px."""
        soft = max(self.edge_px - 3.0, 0.0) / 12.0
        return float(min(1.0, 3 * self.holes_01 + 3 * self.pieces_01 + soft + (1.0 if self.area_01 == 0 else 0.0)))


def measure(mask: np.ndarray, face: Face) -> Facts:
    """(m, m) float32 0..1 and its face -> Facts. Everything is measured at 256 px."""
    mask = resize(mask, _SIDE_PX, "area" if len(mask) > _SIDE_PX else "linear")
    inside = (mask >= 0.5).astype(np.uint8)
    points = apply_affine(picture_from_frame(face, _SIDE_PX), face.points)
    hull = float(hull_mask(points, mask.shape, lips=True).sum())
    total = int(inside.sum())
    if not total:
        return Facts(0.0, 0.0, 0.0, 0.0, 0.0)
    outlines = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = cv2.drawContours(np.zeros_like(inside), outlines, -1, 1, cv2.FILLED)
    largest = int(cv2.connectedComponentsWithStats(inside)[2][1:, cv2.CC_STAT_AREA].max())
    length = sum(cv2.arcLength(outline, True) for outline in outlines)
    soft = int(((mask > 0.1) & (mask < 0.9)).sum())
    holes = int(filled.sum()) - total
    return Facts(total / mask.size, holes / total, 1 - largest / total, soft / max(length, 1.0), total / max(hull, 1.0))


def reasons(facts: Facts, limits: CheckSettings) -> list[str]:
    """Words for what is doubtful: empty, or of holes, pieces, blur, small, large."""
    if facts.area_01 == 0:
        return ["empty"]
    found = {
        "holes": 100 * facts.holes_01 > limits.holes, "pieces": 100 * facts.pieces_01 > limits.pieces,
        "blur": facts.edge_px > limits.blur, "small": 100 * facts.of_hull < limits.small,
        "large": 100 * facts.area_01 > limits.large,
    }
    return [word for word, true in found.items() if true]


def jumps(masks: Iterable[tuple[str, str, np.ndarray]]) -> Iterator[tuple[str, float]]:
    """(track, face id, (m, m) float32 mask) in the order of frames -> (face id, jump 0..1) of each that has both
    neighbours: how much less it overlaps the nearer of them than they overlap each other. Streams."""
    before: dict[str, list[tuple[str, np.ndarray]]] = {}
    for track, face_id, mask in masks:
        small = resize(mask, SMALL_PX, "area" if len(mask) > SMALL_PX else "linear")
        line = before.setdefault(track, [])
        line.append((face_id, small))
        if len(line) == 3:
            (_, a), (middle, b), (_, c) = line
            yield middle, max(0.0, overlap(a, c) - max(overlap(a, b), overlap(b, c)))
            line.pop(0)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Soft intersection over union of two masks of one size; 1 for two empty ones."""
    union = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / union if union > 0 else 1.0

