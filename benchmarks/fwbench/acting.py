"""Is the acting kept? Pose, expression, eyes and mouth of the swap against the plate's (measuring-quality 2.2).

Tracks are arrays over frames: meshes (T, 468, 3) in px, points (T, 68, 2) in px. All results are floats.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facewright.faces.align import canonical_mesh
from facewright.faces.landmark import MESH_FOR_68

Array = np.ndarray

STIFF = np.array(
    [
        10,
        151,
        9,
        8,
        168,
        6,
        197,
        195,
        5,
        4,
        33,
        133,
        362,
        263,
        67,
        297,
        109,
        338,
        127,
        356,
        234,
        454,
        103,
        332,
        54,
        284,
        21,
        251,
        162,
        389,
    ]
)
"""Mesh points that expression hardly moves."""
MOVING = np.array([*range(17, 27), *range(36, 68)])
"""Brows, eyes and lips of the 68 points."""


def _upright(mesh: Array) -> Array:
    """Mesh px (x right, y down, z away) -> canonical axes (x right, y up, z toward the viewer)."""
    return np.asarray(mesh, np.float64) * (1, -1, -1)


def rotations(meshes: Array) -> tuple[Array, Array, Array]:
    """(R (T,3,3), scale (T,), mean (T,3)) of the similarity canonical -> each mesh over the stiff points."""
    canonical = np.asarray(canonical_mesh(), np.float64)[STIFF]
    points = _upright(meshes)[:, STIFF]
    mean_c, mean_p = canonical.mean(0), points.mean(1)
    c, p = canonical - mean_c, points - mean_p[:, None]
    u, s, vt = np.linalg.svd(np.einsum("tni,nj->tij", p, c))
    sign = np.sign(np.linalg.det(u @ vt))
    d = np.ones((len(u), 3))
    d[:, 2] = sign
    turn = (u * d[:, None]) @ vt
    scale = (s * d).sum(1) / (c**2).sum()
    return turn, scale, mean_p - scale[:, None] * np.einsum("tij,j->ti", turn, mean_c)


def _angle_deg(turn: Array) -> Array:
    return np.degrees(np.arccos(np.clip((np.trace(turn, axis1=-2, axis2=-1) - 1) / 2, -1, 1)))


def pose(plate: Array, swap: Array) -> dict[str, float]:
    """PF1: median angle between the heads; `pose_bias_deg` is its constant part, `without_bias_deg` the rest."""
    a, b = rotations(plate)[0], rotations(swap)[0]
    relative = np.swapaxes(a, 1, 2) @ b
    u, _, vt = np.linalg.svd(relative.mean(0))
    bias = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return {
        "PF1": float(np.median(_angle_deg(relative))),
        "pose_bias": float(_angle_deg(bias)),
        "PF1_without_bias": float(np.median(_angle_deg(bias.T @ relative))),
    }


def own_axes(meshes: Array) -> Array:
    """68 points in the head's own canonical axes / canonical eye distance x 100, (T, 68, 2) frontal plane."""
    turn, scale, shift = rotations(meshes)
    points = _upright(meshes)[:, MESH_FOR_68]
    local = np.einsum("tji,tnj->tni", turn, points - shift[:, None]) / scale[:, None, None]
    canonical = np.asarray(canonical_mesh(), np.float64)
    eyes = np.linalg.norm(canonical[[33, 133]].mean(0) - canonical[[362, 263]].mean(0))
    return local[..., :2] / eyes * 100


def expression(plate: Array, swap: Array) -> dict[str, float]:
    """PF2: E = RMS difference of the moving points' tracks, each without its own mean; E_norm against the plate's
    amplitude (0 perfect, about 1 frozen)."""
    a, b = own_axes(plate), own_axes(swap)
    a, b = a - a.mean(0), b - b.mean(0)

    def rms(track: Array, points: Array) -> float:
        return float(np.sqrt((track[:, points] ** 2).sum(-1).mean(0)).mean())

    mouth = np.arange(48, 68)
    amplitude = rms(a, MOVING)
    return {
        "E": rms(b - a, MOVING),
        "amplitude": amplitude,
        "E_norm": rms(b - a, MOVING) / max(amplitude, 1e-9),
        "mouth_norm": rms(b - a, mouth) / max(rms(a, mouth), 1e-9),
    }


def _length(points: Array, i: int, j: int) -> Array:
    return np.linalg.norm(points[:, i] - points[:, j], axis=-1)


def eye_opening(points: Array) -> Array:
    """EAR (Soukupova and Cech 2016), mean of both eyes, (T,)."""
    one = (_length(points, 37, 41) + _length(points, 38, 40)) / (2 * _length(points, 36, 39))
    two = (_length(points, 43, 47) + _length(points, 44, 46)) / (2 * _length(points, 42, 45))
    return (one + two) / 2


def mouth_opening(points: Array) -> Array:
    """MAR of the inner lips, (T,)."""
    tall = _length(points, 61, 67) + _length(points, 62, 66) + _length(points, 63, 65)
    return tall / (3 * np.maximum(_length(points, 60, 64), 1e-6))


def likeness(plate: Array, swap: Array, reach: int = 5) -> dict[str, float]:
    """Two tracks (T,): Pearson r, NMAE against the plate's 5..95 % range, gain of the spread, lag in frames."""
    a, b = plate - plate.mean(), swap - swap.mean()
    span = float(np.quantile(plate, 0.95) - np.quantile(plate, 0.05))
    r = float((a * b).sum() / max(np.sqrt((a**2).sum() * (b**2).sum()), 1e-12))
    lags = range(-reach, reach + 1)
    scores = [_correlation(a, b, lag) for lag in lags]
    return {
        "r": r,
        "nmae": float(np.abs(b - a).mean() / max(span, 1e-9)),
        "gain": float(b.std() / max(a.std(), 1e-9)),
        "lag": float(lags[int(np.argmax(scores))]),
        "span": span,
    }


def _correlation(a: Array, b: Array, lag: int) -> float:
    """Correlation of a(t) with b(t + lag)."""
    x, y = (a[: len(a) - lag], b[lag:]) if lag >= 0 else (a[-lag:], b[:lag])
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / max(np.sqrt((x**2).sum() * (y**2).sum()), 1e-12))


def blinks(ear: Array) -> Array:
    """Frames where an eye track is below q05 + .3 (q95 - q05), (T,) bool."""
    low, high = np.quantile(ear, [0.05, 0.95])
    return ear < low + 0.3 * (high - low)


def blink_f1(plate: Array, swap: Array, slack: int = 1) -> float:
    """F1 of blink frames within +-slack frames."""
    a, b = blinks(plate), blinks(swap)
    grow = np.ones(2 * slack + 1)
    wide_a, wide_b = np.convolve(a, grow, "same") > 0, np.convolve(b, grow, "same") > 0
    found, right = (a & wide_b).sum(), (b & wide_a).sum()
    recall, precision = found / max(a.sum(), 1), right / max(b.sum(), 1)
    return float(2 * recall * precision / max(recall + precision, 1e-9))


def jitter(points: Array, u_px: Array, runs: Sequence[slice]) -> float:
    """T2: median over points and frames of |p(t+1) - 2 p(t) + p(t-1)| / u in %, inside runs of true neighbours."""
    parts = []
    for run in runs:
        p, u = points[run], u_px[run]
        if len(p) >= 3:
            second = np.linalg.norm(p[2:] - 2 * p[1:-1] + p[:-2], axis=-1)
            parts.append(second / u[1:-1, None] * 100)
    return float(np.median(np.concatenate(parts))) if parts else float("nan")
