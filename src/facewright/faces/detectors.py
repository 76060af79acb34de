"""Detectors by name; several that look together (`yunet+blazeface_full`): what any of them finds, each head once.

Scores of two nets mean different things. Those of every member but the first are brought to the first one's scale:
straight lines through the limits that were measured for each (lowest, usual, sure), so that the better of two finds of
one head can be told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facewright.core.weights import WEIGHTS, available, resolve
from facewright.faces.candidates import same_head
from facewright.faces.detect import Detector
from facewright.faces.face import Detection
from facewright.faces.settings import DETECTORS


def auto_detector() -> str:
    """"yunet" when its net is at hand without network, else "blazeface_full"."""
    return "yunet" if available("yunet_n") is not None else "blazeface_full"


def make_detector(name: str = "auto", *, threads: int = 1) -> tuple[str, Detector]:
    """(its name, a detector of the registry; of several names joined by "+", all of them together).

    Raises SettingRefused, WeightsMissing.
    """
    name = auto_detector() if name == "auto" else name
    names = list(dict.fromkeys(part.strip() for part in name.split("+")))
    members: list[Detector] = []
    for part in names:
        plug = DETECTORS.plug(part)
        path = resolve(plug.weights[0]) if plug.weights else None
        members.append(DETECTORS.load(part)(path, threads=threads))
    if len(members) == 1:
        return names[0], members[0]
    return "+".join(names), Ensemble(members)


def second_detector(first: str, wanted: str = "auto") -> str:
    """Name of the detector that looks where the one called `first` saw nothing, "" for none.

    "auto": the first of yunet and blazeface_full that is not at work already and whose net is at hand.
    """
    if wanted == "none":
        return ""
    if wanted != "auto":
        return "" if wanted == first else wanted
    for name in ("yunet", "blazeface_full"):
        if name not in first.split("+") and all(available(w) is not None for w in DETECTORS.plug(name).weights):
            return name
    return ""


def detector_net(name: str) -> str:
    """What faces keep of a detector: `yunet:104ee26c`, joined by "+" for several."""
    parts = []
    for part in name.split("+"):
        weights = DETECTORS.plug(part).weights
        digest = f":{WEIGHTS[weights[0]].sha256[:8]}" if weights and weights[0] in WEIGHTS else ""
        parts.append(part + digest)
    return "+".join(parts)


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
