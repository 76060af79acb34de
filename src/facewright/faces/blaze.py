"""BlazeFace, full and short range: the detectors that a carrier package holds (pretrained-weights.md 3.1)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facewright.core.weights import resolve
from facewright.faces.detect import to_detections
from facewright.faces.face import Detection
from facewright.faces.nets import LiteNet


class BlazeFaceFull:
    """The full-range net: 192 px input, one anchor in each of 48 x 48 cells. Boxes are square, brow to chin."""

    score = 0.50
    low_score = 0.30
    # With a presence over 0.999, wrong finds on turned heads reached 0.63 (61 heads x 7 angles); upright talking heads
    # score 0.78 to 0.87.
    sure_score = 0.75
    enlarges = False
    _weights = "blazeface_full"
    _grids: tuple[tuple[int, int], ...] = ((48, 1),)

    def __init__(self, weights: Path | None, *, threads: int = 1) -> None:
        self._net = LiteNet(weights or resolve(self._weights), threads=threads)
        self._anchors = np.concatenate([_anchors(cells, each) for cells, each in self._grids])

    def __call__(
        self, images: list[np.ndarray], *, score: float | None = None, long_side_px: int = 640
    ) -> list[list[Detection]]:
        """See `detect.Detector`; the net's input is smaller than any `long_side_px`, which is ignored."""
        limit = self.score if score is None else score
        if not images:
            return []
        boxes, logits = self._net(np.stack([self._picture(image) for image in images]))
        return [self._decode(b, s, image.shape, limit) for b, s, image in zip(boxes, logits, images)]

    def _picture(self, image: np.ndarray) -> np.ndarray:
        """Centred on a black square, (side, side, 3) float32 RGB -1..1."""
        height, width = image.shape[:2]
        longest, side = max(height, width), self._net.side
        size = (max(round(width * side / longest), 1), max(round(height * side / longest), 1))
        way = cv2.INTER_AREA if longest > 2 * side else cv2.INTER_LINEAR
        small = cv2.resize(image, size, interpolation=way)
        square = np.zeros((side, side, 3), np.float32)
        top, left = (side - size[1]) // 2, (side - size[0]) // 2
        square[top : top + size[1], left : left + size[0]] = small
        return square / np.float32(127.5) - np.float32(1.0)

    def _decode(self, raw: np.ndarray, logits: np.ndarray, shape: tuple[int, ...], limit: float) -> list[Detection]:
        height, width = shape[:2]
        longest, side = max(height, width), self._net.side
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits[:, 0].astype(np.float64), -100, 100)))
        keep = np.flatnonzero(scores >= limit)
        values = raw[keep].astype(np.float64) / side
        points = values[:, 4:].reshape(-1, 6, 2) + self._anchors[keep, None]
        centre, half = values[:, :2] + self._anchors[keep], values[:, 2:4] / 2
        boxes = np.concatenate([centre - half, centre + half], -1)
        # 0..1 of the padded square -> edges of the picture -> pixel centres at integers.
        small = np.array([max(round(width * side / longest), 1), max(round(height * side / longest), 1)])
        start, factor = (side - small) // 2, np.array([width, height]) / small
        boxes = (boxes * side - np.tile(start, 2)) * np.tile(factor, 2) - 0.5
        points = (points * side - start) * factor - 0.5
        # Eyes and nose tip are known; it gives the middle of the mouth, not its corners.
        hints = np.full((len(keep), 5, 2), np.nan)
        hints[:, :3] = points[:, :3]
        return to_detections(boxes, scores[keep], hints, (width, height))


class BlazeFaceShort(BlazeFaceFull):
    """The short-range net: 128 px input, for faces within about two metres."""

    sure_score = 0.90  # wrong finds reached 0.79 with a presence over 0.999
    _weights = "blazeface_short"
    _grids = ((16, 2), (8, 6))


def _anchors(cells: int, each: int) -> np.ndarray:
    rows, columns = np.mgrid[:cells, :cells]
    centres = (np.stack([columns.ravel(), rows.ravel()], -1) + 0.5) / cells
    return np.repeat(centres, each, 0)
