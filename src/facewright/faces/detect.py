"""Frame -> list of Detection. The contract of every detector, and YuNet (pretrained-weights.md section 3).

A detector is a class called with `(weights: Path | None, *, threads: int = 1)`; its instances are called with a list
of (H, W, 3) uint8 RGB pictures and give, for each, its faces by falling score: boxes in that picture's pixels
(pixel centres at integers) whose centre lies inside it. The same picture always gets the same answer.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from facewright.core.weights import resolve
from facewright.faces.face import Detection
from facewright.faces.nets import OnnxNet
from facewright.image.geometry import iou_matrix

NMS_IOU = 0.3
MOST_CANDIDATES = 1024
"""Boxes considered per picture, best first; real crowds stay far below."""


class Detector(Protocol):
    """What `FaceFinder` needs to know of a detector.

    score: measured limit without false positives. low_score: limit of a second look, whose finds the face mesh
    must confirm. sure_score: from here on an upright find can be believed without looking at the other
    orientations, if the mesh agrees. enlarges: whether a larger picture shows it smaller faces (else tiles do).
    """

    score: float
    low_score: float
    sure_score: float
    enlarges: bool

    def __call__(
        self, images: list[np.ndarray], *, score: float | None = None, long_side_px: int = 640
    ) -> list[list[Detection]]:
        """See the module's text; pictures are shrunk to `long_side_px` first."""
        ...


def shrink(image: np.ndarray, long_side_px: int) -> np.ndarray:
    """(H, W, 3) -> the same or smaller, long side at most `long_side_px`, by area averaging."""
    height, width = image.shape[:2]
    factor = long_side_px / max(height, width)
    if factor >= 1.0:
        return image
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def suppress(boxes: np.ndarray, scores: np.ndarray, iou: float = NMS_IOU) -> np.ndarray:
    """Greedy non-maximum suppression: (N, 4) boxes, (N,) scores -> indices kept, by falling score."""
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    overlap = iou_matrix(boxes[order], boxes[order]) > iou
    kept, alive = [], np.ones(len(order), bool)
    while alive.any():
        best = int(alive.argmax())
        kept.append(best)
        alive &= ~overlap[best]
        alive[best] = False
    return order[kept]


def roll_of_eyes(hint_px: np.ndarray) -> float:
    """In-plane angle in degrees, counter-clockwise positive, of five points whose first two are the eyes."""
    dx, dy = hint_px[1] - hint_px[0]
    return float(-np.degrees(np.arctan2(dy, dx)))


def to_detections(
    boxes: np.ndarray, scores: np.ndarray, points: np.ndarray, size_px: tuple[int, int]
) -> list[Detection]:
    """Boxes (N, 4), scores (N,), hint points (N, 5, 2) of one picture -> suppressed Detections inside `size_px` (w, h).

    frame_index is 0: the caller knows the frame.
    """
    kept = suppress(boxes, scores)
    centres = (boxes[kept, :2] + boxes[kept, 2:]) / 2
    kept = kept[((centres >= -0.5) & (centres <= np.array(size_px) - 0.5)).all(-1)]
    return [
        Detection(
            0, (float(boxes[i, 0]), float(boxes[i, 1]), float(boxes[i, 2]), float(boxes[i, 3])), float(scores[i]),
            roll_of_eyes(points[i]), points[i].astype(np.float32),
        )
        for i in kept
    ]


class YuNet:
    """YuNet-n or -s: any size, down to faces 10 px wide."""

    score = 0.70
    low_score = 0.50
    sure_score = 0.92
    enlarges = True
    _strides = (8, 16, 32)

    def __init__(self, weights: Path | None, *, threads: int = 1) -> None:
        self._net = OnnxNet(weights or resolve("yunet_n"), threads=threads)
        kinds = ("cls", "obj", "bbox", "kps")
        self._order = [self._net.outputs.index(f"{kind}_{s}") for kind in kinds for s in self._strides]

    def __call__(
        self, images: list[np.ndarray], *, score: float | None = None, long_side_px: int = 640
    ) -> list[list[Detection]]:
        """See `Detector`. One picture per call of the net: batches are slower on a CPU (5.3 against 4.0 ms each)."""
        return [self._one(image, self.score if score is None else score, long_side_px) for image in images]

    def _one(self, image: np.ndarray, limit: float, long_side_px: int) -> list[Detection]:
        height, width = image.shape[:2]
        small = shrink(image, long_side_px)
        h, w = small.shape[:2]
        padded = np.zeros((1, 3, -(-h // 32) * 32, -(-w // 32) * 32), np.float32)
        for channel, plane in enumerate(cv2.split(small)):
            padded[0, 2 - channel, :h, :w] = plane  # the net wants BGR, 0..255
        scores, boxes, points = self._decode(self._net(padded), padded.shape[2:], limit)
        # Edges of the small picture -> edges of the whole one -> pixel centres at integers.
        factor = np.array([width / w, height / h])
        boxes = boxes * np.tile(factor, 2) - 0.5
        return to_detections(boxes, scores, points * factor - 0.5, (width, height))

    def _decode(
        self, results: list[np.ndarray], size: tuple[int, ...], limit: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count = len(self._strides)
        cls, obj, box, kps = (
            np.concatenate([results[i][0] for i in self._order[k * count : (k + 1) * count]]) for k in range(4)
        )
        chance = np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1)
        keep = np.flatnonzero(chance >= limit * limit)
        cells, stride = (part[keep] for part in _grid(self._strides, size[0], size[1]))
        box, kps = box[keep].astype(np.float64), kps[keep].astype(np.float64)
        centre = (cells + box[:, :2]) * stride
        half = np.exp(box[:, 2:]) * stride / 2
        points = (cells[:, None] + kps.reshape(-1, 5, 2)) * stride[:, None]
        return np.sqrt(chance[keep].astype(np.float64)), np.concatenate([centre - half, centre + half], -1), points


@lru_cache(maxsize=16)
def _grid(strides: tuple[int, ...], height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells (column, row) of every stride, (N, 2), and the stride of each, (N, 1). Not to be written to."""
    cells, every = [], []
    for s in strides:
        rows, columns = np.mgrid[: height // s, : width // s]
        cells.append(np.stack([columns.ravel(), rows.ravel()], -1))
        every.append(np.full((rows.size, 1), s))
    return np.concatenate(cells).astype(np.float64), np.concatenate(every).astype(np.float64)
