"""Several detectors that look together (`yunet+blazeface_full`): what any of them finds, each head once.

Scores of two nets mean different things. Those of every member but the first are brought to the first one's scale:
straight lines through the limits that were measured for each (lowest, usual, sure), so that the better of two finds of
one head can be told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facewright.faces.candidates import same_head
from facewright.faces.detect import Detector
from facewright.faces.face import Detection


class Ensemble:
    """Satisfies `detect.Detector`. Its limits, and the scores it gives, are on the first member's scale."""

    def __init__(self, members: list[Detector]) -> None:
        """members: two or more, the most trusted first: of two finds with one score its own is kept."""
        first = members[0]
        self._members = members
        self.score, self.low_score, self.sure_score = first.score, first.low_score, first.sure_score
        self.enlarges = all(member.enlarges for member in members)
        self._scale = _knots(first)

    def __call__(
        self, images: list[np.ndarray], *, score: float | None = None, long_side_px: int = 640
    ) -> list[list[Detection]]:
        """See `detect.Detector`."""
        limit = self.score if score is None else score
        together: list[list[Detection]] = [[] for _ in images]
        for place, member in enumerate(self._members):
            own = limit if place == 0 else float(np.interp(limit, self._scale, _knots(member)))
            for row, found in zip(together, member(images, score=own, long_side_px=long_side_px)):
                row += [d if place == 0 else self._scaled(d, member) for d in found]
        return [_each_once(row, limit) for row in together]

    def _scaled(self, detection: Detection, member: Detector) -> Detection:
        return replace(detection, score=float(np.interp(detection.score, _knots(member), self._scale)))


def _knots(detector: Detector) -> np.ndarray:
    """(5,) ascending scores of a detector that mean the same as those of another."""
    return np.array([0.0, detector.low_score, detector.score, detector.sure_score, 1.0])


def _each_once(found: list[Detection], limit: float) -> list[Detection]:
    """By falling score; of several finds of one head the best alone."""
    kept: list[Detection] = []
    for detection in sorted(found, key=lambda d: -d.score):  # stable: the first member's come first
        if detection.score >= limit and not any(same_head(detection, k) for k in kept):
            kept.append(detection)
    return kept
