"""Composite metrics (measuring-quality 2.5, 2.6): step and gradient at the border, untouched outside, occlusion."""

from __future__ import annotations

import cv2
import numpy as np
from benchmarks.fwbench import ground

Array = np.ndarray


def step_lab(
    plate_lab: Array, swap_lab: Array, where: ground.Zone, u_px: float, sectors: int = 16
) -> tuple[float, float]:
    """CP1: per sector the Lab step of S - P across the border; (median, max) over sectors."""
    difference, d, w = swap_lab - plate_lab, where.distance_px, where.edge_px
    steps = []
    for s in range(sectors):
        here = where.sector == s
        inner = here & (d > -w - 0.1 * u_px) & (d < -w)
        outer = here & (d > w) & (d < w + 0.1 * u_px)
        if inner.sum() >= 3 and outer.sum() >= 3:
            steps.append(float(np.linalg.norm(difference[inner].mean(0) - difference[outer].mean(0))))
    return (float(np.median(steps)), float(np.max(steps))) if steps else (float("nan"), float("nan"))


def _normal_slope(lightness: Array, where: ground.Zone) -> Array:
    """|derivative of L along the border's normal| (Sobel / 8)."""
    gx, gy = (cv2.Sobel(lightness.astype(np.float32), cv2.CV_32F, *o) / 8 for o in ((1, 0), (0, 1)))
    soft = cv2.GaussianBlur(where.distance_px, (0, 0), 2.0)
    nx, ny = (cv2.Sobel(soft, cv2.CV_32F, *o) for o in ((1, 0), (0, 1)))
    return np.abs(gx * nx + gy * ny) / np.maximum(np.hypot(nx, ny), 1e-6)


def gradient_ratio(plate_l: Array, swap_l: Array, where: ground.Zone, u_px: float, skin: list[int]) -> float:
    """CP2: slope of L across the border in skin sectors, swap / plate; 1 is right."""
    band = (np.abs(where.distance_px) <= max(1.0, 0.05 * u_px)) & np.isin(where.sector, skin)
    if band.sum() < 8:
        return float("nan")
    return float(_normal_slope(swap_l, where)[band].mean() / max(_normal_slope(plate_l, where)[band].mean(), 1e-6))


def untouched(plate: Array, swap: Array, alpha: Array) -> int:
    """CP3: largest |S - P| where alpha is 0; must be 0 before encoding."""
    outside = alpha == 0
    return int(np.abs(swap.astype(np.int32) - plate.astype(np.int32))[outside].max()) if outside.any() else 0


def occlusion(
    plate: Array, swap: Array, alpha: Array, occluder: Array, hull: Array, u_px: float
) -> tuple[float, float]:
    """(overwritten, left over) shares 0..1: occluder pixels inside the hull that changed by more than 8/255, and
    face pixels within .2u of the occluder that stayed with alpha < .5."""
    hit = occluder & hull
    if not hit.any():
        return float("nan"), float("nan")
    changed = np.abs(swap.astype(np.int32) - plate.astype(np.int32)).max(-1) > 8
    near = cv2.distanceTransform((~occluder).astype(np.uint8), cv2.DIST_L2, 5) <= 0.2 * u_px
    ring = near & hull & ~occluder
    return float(changed[hit].mean()), float((alpha[ring] < 0.5).mean()) if ring.any() else float("nan")
