"""Common ground of all metrics: luma, Lab, masks by signed distance, sectors, flow, valid and duplicate frames.

Pictures are (H, W, 3) uint8 RGB, alphas (H, W) float32 0..1, lengths in px unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Array = np.ndarray


def luma(image: Array) -> Array:
    """Y = .299 R + .587 G + .114 B, float32 0..255."""
    return image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def lab(image: Array) -> Array:
    """CIE L*a*b* (D65, sRGB transfer), float32."""
    return cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)


def eye_distance_px(mesh: Array, yaw_deg: float) -> float:
    """u: distance of the eye centres (468-mesh corners), undone for the turn: / max(cos yaw, .5)."""
    left, right = mesh[[33, 133], :2].mean(0), mesh[[362, 263], :2].mean(0)
    return float(np.linalg.norm(left - right) / max(np.cos(np.radians(yaw_deg)), 0.5))


@dataclass(frozen=True, slots=True)
class Zone:
    """A mask's geometry in one frame: M = alpha > .5, d = signed distance to its border (negative inside)."""

    inside: Array
    distance_px: Array
    sector: Array
    edge_px: float

    @property
    def empty(self) -> bool:
        """Whether there is nothing to measure."""
        return not self.inside.any()


def zone(alpha: Array, sectors: int = 16) -> Zone:
    """Signed distance, angular sectors round the centroid, and w = width over which alpha falls from .5 to .05."""
    inside = alpha > 0.5
    if not inside.any() or inside.all():
        return Zone(inside, np.zeros(alpha.shape, np.float32), np.zeros(alpha.shape, np.int32), 0.0)
    out = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    within = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    distance = np.where(inside, 0.5 - within, out - 0.5).astype(np.float32)
    ys, xs = np.nonzero(inside)
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    angle = np.arctan2(y - ys.mean(), x - xs.mean())
    sector = np.minimum(((angle + np.pi) / (2 * np.pi) * sectors).astype(np.int32), sectors - 1)
    soft = (alpha > 0.05) & ~inside
    edge = float(np.percentile(distance[soft], 95)) if soft.any() else 0.0
    return Zone(inside, distance, sector, edge)


def duplicate(plate_y: Array, previous_y: Array) -> bool:
    """A repeated frame: mean |Y_t - Y_(t-1)| < .05; left out of every temporal metric."""
    return float(np.abs(plate_y - previous_y).mean()) < 0.05


def flow(first: Array, second: Array) -> Array:
    """DIS (medium) on 8-bit luma, (H, W, 2): where each pixel of `first` is found in `second`."""
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return engine.calc(np.rint(first).astype(np.uint8), np.rint(second).astype(np.uint8), None)


def follow(picture: Array, way: Array) -> Array:
    """picture(x + way), bilinear."""
    h, w = way.shape[:2]
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    return cv2.remap(picture, x + way[..., 0], y + way[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def visible(there: Array, back: Array) -> Array:
    """Forward-backward check: |w + w'(x+w)|^2 <= .01 (|w|^2 + |w'(x+w)|^2) + .5 (Sundaram 2010, Ruder 2016)."""
    returned = follow(back, there)
    square = (there**2).sum(-1) + (returned**2).sum(-1)
    return ((there + returned) ** 2).sum(-1) <= 0.01 * square + 0.5


def ciede2000(first: Array, second: Array) -> Array:
    """Colour difference of Lab values (..., 3) -> (...), Sharma, Wu, Dalal 2005."""
    l1, a1, b1 = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, np.float64), -1, 0)
    mean_c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    g = 0.5 * (1 - np.sqrt(mean_c7 / (mean_c7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    dh = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    dl, dc, dhh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))
    ml, mc = (l1 + l2) / 2, (c1 + c2) / 2
    far = np.abs(h1 - h2) > 180
    mh = np.where(grey, h1 + h2, np.where(far, (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2, (h1 + h2) / 2))
    t = (
        1
        - 0.17 * np.cos(np.radians(mh - 30))
        + 0.24 * np.cos(np.radians(2 * mh))
        + 0.32 * np.cos(np.radians(3 * mh + 6))
        - 0.20 * np.cos(np.radians(4 * mh - 63))
    )
    sl = 1 + 0.015 * (ml - 50) ** 2 / np.sqrt(20 + (ml - 50) ** 2)
    sc, sh = 1 + 0.045 * mc, 1 + 0.015 * mc * t
    turn = np.radians(60 * np.exp(-(((mh - 275) / 25) ** 2)))
    rt = -np.sin(turn) * 2 * np.sqrt(mc**7 / (mc**7 + 25.0**7))
    return np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dhh / sh) ** 2 + rt * (dc / sc) * (dhh / sh))


def skin_sectors(plate_lab: Array, where: Zone, u_px: float, sectors: int = 16) -> list[int]:
    """Sectors in which the plate's own mean Lab just inside and just outside differs by less than 8."""
    found = []
    for s in range(sectors):
        here = where.sector == s
        inner = here & (where.distance_px > -0.2 * u_px) & (where.distance_px < -0.1 * u_px)
        outer = here & (where.distance_px > 0.1 * u_px) & (where.distance_px < 0.2 * u_px)
        if inner.sum() < 4 or outer.sum() < 4:
            continue
        if float(ciede2000(plate_lab[inner].mean(0), plate_lab[outer].mean(0))) < 8:
            found.append(s)
    return found
