"""Where the faces of a set lie in pose, expression and light; which cells are thin, and who fills them best.

Pure arithmetic over columns. Angles are degrees with the house's signs; measures are those of `measure_formulas`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facewright.faceset.info import PITCH_EDGES_DEG, YAW_EDGES_DEG

MOUTH_EDGES, MOUTH_WORDS = (0.1, 0.3), ("mouth closed", "mouth parted", "mouth open")
EYES_EDGES, EYES_WORDS = (0.16, 0.24), ("eyes closed", "eyes narrow", "eyes open")
SIDE_EDGES, SIDE_WORDS = (-0.15, 0.15), ("lit from image left", "lit evenly", "lit from image right")
GAZE_EDGES_DEG, GAZE_WORDS = (-12.0, 12.0), ("eyes to image left", "eyes ahead", "eyes to image right")
HEIGHT_EDGES, HEIGHT_WORDS = (-0.05, 0.3), ("from below", "from the front", "from above")
"""Edges of the measures `expression` and `light`: three bins each."""
HARSH = 0.5
"""Light that falls off by so much (either way) across the face is harsh."""

ROWS, COLUMNS = len(PITCH_EDGES_DEG) - 1, len(YAW_EDGES_DEG) - 1


@dataclass(frozen=True, slots=True)
class Views:
    """Columns of N faces: yaw and pitch (N,) degrees; expression (N, 2) mouth, eyes; light (N, 2) right, above. NaN
    where nothing could be measured; such a face counts in the middle bin."""

    yaw_deg: np.ndarray
    pitch_deg: np.ndarray
    expression: np.ndarray
    light: np.ndarray

    def of(self, some: np.ndarray) -> Views:
        """The faces `some` (mask or indices)."""
        return Views(self.yaw_deg[some], self.pitch_deg[some], self.expression[some], self.light[some])

    @property
    def mouth(self) -> np.ndarray:
        """(N,) 0..2 of MOUTH_WORDS."""
        return binned(self.expression[:, 0], MOUTH_EDGES)

    @property
    def eyes(self) -> np.ndarray:
        """(N,) 0..2 of EYES_WORDS."""
        return binned(self.expression[:, 1], EYES_EDGES, 2)

    @property
    def side(self) -> np.ndarray:
        """(N,) 0..2 of SIDE_WORDS."""
        return binned(self.light[:, 0], SIDE_EDGES)

    @property
    def height(self) -> np.ndarray:
        """(N,) 0..2 of HEIGHT_WORDS."""
        return binned(self.light[:, 1], HEIGHT_EDGES)

    @property
    def pose_cell(self) -> np.ndarray:
        """(N,) row x COLUMNS + column of the pose grid of `faces info`; what lies beyond counts in the outer cells."""
        return pose_rows(self.pitch_deg) * COLUMNS + pose_columns(self.yaw_deg)

    @property
    def look_cell(self) -> np.ndarray:
        """(N,) 0..80: expression and light together."""
        return ((self.mouth * 3 + self.eyes) * 3 + self.side) * 3 + self.height


def pose_columns(yaw_deg: np.ndarray) -> np.ndarray:
    """(N,) degrees -> (N,) column of the pose grid."""
    return binned(yaw_deg, YAW_EDGES_DEG[1:-1])


def pose_rows(pitch_deg: np.ndarray) -> np.ndarray:
    """(N,) degrees -> (N,) row of the pose grid, looking up first."""
    return binned(pitch_deg, PITCH_EDGES_DEG[1:-1])


def binned(values: np.ndarray, edges: tuple[float, ...], unknown: int | None = None) -> np.ndarray:
    """(N,) -> (N,) int64: how many of the ascending edges each value has reached; NaN: `unknown`, else the middle."""
    found = np.searchsorted(np.asarray(edges, float), values, side="right")
    return np.where(np.isnan(values), len(edges) // 2 + len(edges) % 2 if unknown is None else unknown, found)


def grid(views: Views) -> np.ndarray:
    """(rows, columns) int64: faces in each cell of the pose grid."""
    return np.bincount(views.pose_cell, minlength=ROWS * COLUMNS).reshape(ROWS, COLUMNS)


def shares(counts: np.ndarray, total: int) -> np.ndarray:
    """(N,) what each has -> (N,) how many each gives, `total` in all (or all there are): as evenly as they can.

    Nobody gives less than another by more than one, unless it gives all it has; the remainder comes from those that
    have most.
    """
    counts = np.asarray(counts, np.int64)
    if total >= counts.sum():
        return counts.copy()
    low, high = 0, int(counts.max(initial=0))
    while low < high:  # the largest level that does not need more than there is to give
        level = (low + high + 1) // 2
        low, high = (level, high) if np.minimum(counts, level).sum() <= total else (low, level - 1)
    given = np.minimum(counts, low)
    more = np.flatnonzero(counts > low)
    left = int(total - given.sum())
    given[more[np.argsort(-counts[more], kind="stable")[:left]]] += 1
    return given


def best(views: Views, quality: np.ndarray, count: int) -> np.ndarray:
    """(N,) bool: the `count` faces (all, where there are fewer) that cover most: first all cells of the pose grid as
    evenly as they can, in each of them all expressions and lights likewise, of those the ones of highest quality."""
    kept = np.zeros(len(quality), bool)
    poses, looks = views.pose_cell, views.look_cell
    for members, quota in _parted(poses, np.arange(len(poses)), count):
        for some, few in _parted(looks, members, quota):
            kept[some[np.argsort(-np.nan_to_num(quality[some]), kind="stable")[:few]]] = True
    return kept


def _parted(cells: np.ndarray, members: np.ndarray, total: int) -> list[tuple[np.ndarray, int]]:
    """Members of each cell that there is, and how many of them are wanted."""
    order = members[np.argsort(cells[members], kind="stable")]
    _, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
    groups = np.split(order, starts[1:])
    return list(zip(groups, shares(counts, total).tolist())) if len(members) else []


def rescued(cells: np.ndarray, faulty: np.ndarray, quality: np.ndarray, least: int) -> np.ndarray:
    """(N,) bool: faulty faces that stay because their cell would fall below `least` without them, the best of them
    first: a pose that is shown badly is worth more than one that is not shown at all."""
    saved = np.zeros(len(cells), bool)
    for members, _ in _parted(cells, np.arange(len(cells)), len(cells)):
        bad = members[faulty[members]]
        lacking = least - (len(members) - len(bad))
        if lacking > 0 and len(bad):
            saved[bad[np.argsort(-np.nan_to_num(quality[bad]), kind="stable")[:lacking]]] = True
    return saved
