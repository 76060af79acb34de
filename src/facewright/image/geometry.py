"""Affine algebra, similarity fits, boxes and polygons: float64 in, float64 out, no pixels touched.

Matrices are named `target_from_source`, 3x3, and act on column vectors (x, y, 1); pixel centres lie at integers.
"""

from __future__ import annotations

import numpy as np

from facewright.core.errors import Mismatch

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Similarity with scale that maps `source` (..., N, D) best onto `target` (..., N, D) -> (..., D+1, D+1).

    Least squares after Umeyama 1991 (PAMI 13-4), proper rotations only. Leading axes broadcast. Points that are
    all the same give NaN, as a similarity is then undefined; points on a line give one of the two solutions.
    """
    # A float32 target is centred in float32, as the original centres its template: parity to 1e-12.
    source, target = np.asarray(source, np.float64), np.asarray(target)
    mean_s, mean_t = source.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    a, b = source - mean_s, target - mean_t
    covariance = np.swapaxes(b, -1, -2) @ a / a.shape[-2]
    u, s, v = np.linalg.svd(covariance)
    signs = np.ones_like(s)
    # The reflection is undone on the weakest axis; for full rank this is the sign of det(covariance).
    signs[..., -1] = np.where(np.linalg.det(u) * np.linalg.det(v) < 0, -1.0, 1.0)
    rotation = (u * signs[..., None, :]) @ v
    variance = (a**2).mean(-2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(variance > 0, (s * signs).sum(-1) / variance, np.nan)
    linear = scale[..., None, None] * rotation
    shift = np.swapaxes(mean_t, -1, -2) - linear @ np.swapaxes(mean_s, -1, -2)
    return to33(np.concatenate([linear, np.broadcast_to(shift, (*linear.shape[:-1], 1))], -1))


def to33(matrix: np.ndarray) -> np.ndarray:
    """(..., D, D+1) or (..., D+1, D+1) -> (..., D+1, D+1) float64 with the bottom row 0..0 1."""
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape[-2] == matrix.shape[-1]:
        return matrix
    size = matrix.shape[-1]
    full = np.zeros((*matrix.shape[:-2], size, size))
    full[..., :-1, :] = matrix
    full[..., -1, -1] = 1.0
    return full


def invert(matrix: np.ndarray) -> np.ndarray:
    """source_from_target of an affine (..., 3, 3). Raises Mismatch when it is singular or not finite."""
    matrix = to33(matrix)
    if not np.isfinite(matrix).all() or (np.abs(np.linalg.det(matrix)) < 1e-18).any():
        raise Mismatch(
            "This alignment cannot be undone.", why="Its matrix is singular or not finite.",
            remedy="Extract the face again; its landmarks lie on one point or one line.",
        )
    return np.linalg.inv(matrix)


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map (..., N, 2) points by a (..., 3, 3) or (..., 2, 3) matrix -> (..., N, 2) float64."""
    matrix, points = np.asarray(matrix, np.float64), np.asarray(points, np.float64)
    linear, shift = matrix[..., :2, :2], matrix[..., :2, 2]
    return points @ np.swapaxes(linear, -1, -2) + shift[..., None, :]


def translation(dx: float, dy: float) -> np.ndarray:
    """(3, 3): moves points by (dx, dy)."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])


def scaling(factor: float) -> np.ndarray:
    """(3, 3): multiplies coordinates by `factor` about (0, 0)."""
    return np.diag([factor, factor, 1.0])


def affine_from_triples(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The affine (..., 3, 3) that takes three `source` points (..., 3, 2) to three `target` points (..., 3, 2)."""
    source = np.asarray(source, np.float64)
    ones = np.ones((*source.shape[:-1], 1))
    solved = np.linalg.solve(np.concatenate([source, ones], -1), np.asarray(target, np.float64))
    return to33(np.swapaxes(solved, -1, -2))


def scale_of(matrix: np.ndarray) -> float:
    """Mean length factor of an affine: target px per source px."""
    return float(np.sqrt(abs(np.linalg.det(np.asarray(matrix, np.float64)[:2, :2]))))


def polygon_area(points: np.ndarray) -> np.ndarray:
    """Area of (..., N, 2) polygons by the shoelace formula, never negative -> (...) float64."""
    points = np.asarray(points, np.float64)
    x, y = points[..., 0], points[..., 1]
    cross = (x * np.roll(y, 1, -1)).sum(-1) - (y * np.roll(x, 1, -1)).sum(-1)
    return np.asarray(0.5 * np.abs(cross))


def square_corners(side: float) -> np.ndarray:
    """(4, 2): (0,0) (0,s-1) (s-1,s-1) (s-1,0), the outermost pixel centres of a square picture."""
    s = side - 1.0
    return np.array([[0.0, 0.0], [0.0, s], [s, s], [s, 0.0]])


def bounding_box(points: np.ndarray) -> Box:
    """Smallest box around (N, 2) points."""
    points = np.asarray(points, np.float64)
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def box_area(box: Box) -> float:
    """Width times height; 0 for an empty or inverted box."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def intersect(a: Box, b: Box) -> Box:
    """The common part; may be empty (x1 <= x0), then box_area is 0."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    common = box_area(intersect(a, b))
    union = box_area(a) + box_area(b) - common
    return common / union if union > 0 else 0.0


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of (N, 4) with (M, 4) boxes -> (N, M) float64."""
    a, b = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(x[..., 2:] - x[..., :2], 0, None).prod(-1) for x in (a, b)]
    union = areas[0] + areas[1] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def pixel_box(points: np.ndarray, size_px: tuple[int, int], margin_px: int = 0) -> tuple[int, int, int, int]:
    """Whole-pixel x0, y0, x1, y1 (half open) around (N, 2) points, grown by a margin, cut to (width, height).

    Empty (0, 0, 0, 0) when nothing of it lies inside.
    """
    x0, y0, x1, y1 = bounding_box(points)
    left, top = max(int(np.floor(x0)) - margin_px, 0), max(int(np.floor(y0)) - margin_px, 0)
    right, bottom = min(int(np.ceil(x1)) + 1 + margin_px, size_px[0]), min(int(np.ceil(y1)) + 1 + margin_px, size_px[1])
    return (left, top, right, bottom) if right > left and bottom > top else (0, 0, 0, 0)
