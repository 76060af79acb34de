"""Skin painted once per person into a texture: colour, gloss, and the slope of pores and lip lines.

Everything is painted where the generic head's surface is, so it sticks to the face whatever the identity or expression.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt
from tools.footage import raster
from tools.footage.head import HeadModel
from tools.footage.noise import Noise, step, to_linear
from tools.footage.parts import DRAWN

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SkinLook:
    """Skin of a person. Colours are display RGB 0..1.

    `tone` base colour; `lips` colour the lips tend to; `brow_shadow` skin under the brows;
    `redness`, `freckles`, `stubble`, `lines` (age lines),
    `oil` 0..1; `moles` 0..12; `circles` (shadow under the eyes) 0..1; `lash_line` (darkness of the lids' edge) 0..1.
    """

    tone: Colour = (0.78, 0.59, 0.48)
    lips: Colour = (0.66, 0.36, 0.34)
    redness: float = 0.5
    freckles: float = 0.0
    stubble: float = 0.0
    stubble_colour: Colour = (0.25, 0.2, 0.17)
    brow_shadow: Colour = (0.35, 0.25, 0.2)
    lines: float = 0.3
    oil: float = 0.4
    moles: int = 3
    circles: float = 0.3
    lash_line: float = 0.7
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Atlas:
    """Textures over both tiles of the head, (H, 2H): `colour` (.., 4) float32 linear RGB and gloss, `slope` (.., 3)
    float32 surface gradient of the height in head axes."""

    colour: np.ndarray
    slope: np.ndarray

    def sample(self, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 4) colour and gloss, (N, 3) slope at (N, 2) texture coordinates."""
        side = self.colour.shape[0]
        width = 1024
        rows = -(-len(uv) // width)
        x, y = np.zeros((2, rows * width), np.float32)
        x[: len(uv)] = uv[:, 0] * side - 0.5
        y[: len(uv)] = (1.0 - uv[:, 1]) * side - 0.5
        x, y = x.reshape(rows, width), y.reshape(rows, width)
        out = [
            cv2.remap(t, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(-1, t.shape[2])[: len(uv)]
            for t in (self.colour, self.slope)
        ]
        return out[0], out[1]


@dataclass(frozen=True, slots=True)
class _Canvas:
    """The filled texels: (N, 3) generic position and normal, and where they lie in the texture."""

    point: np.ndarray
    normal: np.ndarray
    filled: np.ndarray
    index: np.ndarray


def bake(model: HeadModel, look: SkinLook, scalp: np.ndarray | None, hair: Colour, side_px: int = 1024) -> Atlas:
    """Paint a person's skin. `scalp` (V,) 0..1: how far each model vertex lies under hair of colour `hair`."""
    canvas, tint = _canvas(model, side_px, scalp)
    noise = Noise.seeded(look.seed)
    masks = regions(model, canvas.point, noise)
    colour, gloss = _paint(model, canvas, look, noise, masks)
    under = step(0.2, 1.0, tint + 0.7 * (noise.fractal(canvas.point, 2.2, 3) - 0.5))[:, None]
    root = to_linear(hair) * 0.45 * (0.7 + 0.6 * noise.value(canvas.point, 6.0))[:, None]
    colour = colour * (1 - under * 0.85) + root * under * 0.85
    height = _height(canvas.point, look, noise, masks)
    full = np.zeros((side_px * side_px * 2, 5), np.float32)
    full[canvas.filled] = np.concatenate([colour, gloss[:, None], height[:, None]], 1)
    full = full.reshape(-1)[canvas.index[:, None] * 5 + np.arange(5)].reshape(side_px, side_px * 2, 5)
    slope = _slope(full[..., 4], canvas, side_px)
    return Atlas(np.ascontiguousarray(full[..., :4]), slope)


def _canvas(model: HeadModel, side: int, scalp: np.ndarray | None) -> tuple[_Canvas, np.ndarray]:
    """Draw the head into texture space; texels outside take their nearest neighbour's place."""
    skin = np.isin(model.part, [DRAWN.index(n) for n in ("face", "neck", "mouth", "socket")])
    triangles = model.triangles[skin]
    screen = np.ones((len(model.uv), 4), np.float32)
    screen[:, 0], screen[:, 1] = model.uv[:, 0] * side, (1.0 - model.uv[:, 1]) * side
    buffer = raster.Buffer.empty(side, side * 2)
    raster.draw(buffer, screen, triangles)
    filled = np.flatnonzero(buffer.triangle.reshape(-1) >= 0)
    corner = triangles[buffer.triangle.reshape(-1)[filled]]
    tint = np.zeros(len(model.neutral), np.float32) if scalp is None else scalp
    values = np.concatenate([model.neutral, model.normals(model.neutral), tint[:, None]], 1)[model.source]
    out = raster.interpolate(values, corner, buffer.bary.reshape(-1, 2)[filled])
    nearest = distance_transform_edt(buffer.triangle < 0, return_distances=False, return_indices=True)
    index = (nearest[0] * side * 2 + nearest[1]).reshape(-1)
    return _Canvas(out[:, :3], out[:, 3:6], filled, index), out[:, 6]


def _front(model: HeadModel, points: np.ndarray, numbers: range, blur: float) -> np.ndarray:
    """(N,) 0..1: inside the polygon of landmarks `numbers` seen from the front, with a soft edge (units)."""
    scale, side = 48, 1200
    polygon = model.neutral[model.landmarks[list(numbers)], :2]
    picture = np.zeros((side, side), np.float32)
    corners = np.round((polygon * [1, -1] * scale + side / 2) * 16).astype(np.int32)
    cv2.fillPoly(picture, [corners], 1.0, cv2.LINE_AA, 4)
    picture = cv2.GaussianBlur(picture, (0, 0), blur * scale)
    x = np.clip(points[:, 0] * scale + side / 2, 0, side - 1).astype(np.int32)
    y = np.clip(-points[:, 1] * scale + side / 2, 0, side - 1).astype(np.int32)
    return picture[y, x] * (points[:, 2] > 5)


def _blob(points: np.ndarray, centre: tuple[float, float], radius: tuple[float, float]) -> np.ndarray:
    """(N,) Gaussian spot about (|x|, y) on the front of the face."""
    away = ((np.abs(points[:, 0]) - centre[0]) / radius[0]) ** 2 + ((points[:, 1] - centre[1]) / radius[1]) ** 2
    return np.exp(-away) * (points[:, 2] > 3)


def to_line(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(N,) distance of points (N, 3) to a polyline (L, 3)."""
    best = np.full(len(points), np.inf, np.float32)
    for a, b in itertools.pairwise(line):
        along = b - a
        t = np.clip((points - a) @ along / max(float(along @ along), 1e-9), 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(points - a - t[:, None] * along, axis=1))
    return best


def regions(model: HeadModel, p: np.ndarray, noise: Noise) -> dict[str, np.ndarray]:
    """Regions of the face, each (N,) 0..1."""
    face = p[:, 2] > -1
    lips = _front(model, p, range(48, 60), 0.09)
    near = (np.abs(p[:, 1] - 3.5) < 2.5) & (p[:, 2] > 6)
    lid = {True: np.full(len(p), 9.0, np.float32), False: np.full(len(p), 9.0, np.float32)}
    for strip in model.lashes:
        line = model.neutral[strip.grid[0]]
        lid[strip.upper][near] = np.minimum(lid[strip.upper][near], to_line(p[near], line))
    brow = np.full(len(p), 9.0, np.float32)
    high = (np.abs(p[:, 1] - 6) < 2.5) & (p[:, 2] > 5)
    for first in (17, 22):
        line = model.neutral[model.landmarks[first : first + 5]]
        brow[high] = np.minimum(brow[high], to_line(p[high], line))
    edge = 0.95 * np.clip(np.abs(p[:, 0]) - 2.6, 0, 4.6) - 3.4 + 1.6 * (noise.fractal(p, 0.8, 3) - 0.5)
    jaw = step(1.3, -1.5, p[:, 1] - edge) * step(-11.5, -7.5, p[:, 1])
    jaw = np.maximum(jaw, step(-0.9, -1.8, p[:, 1]) * step(3.2, 2.2, np.abs(p[:, 0])) * step(-11.5, -7.5, p[:, 1]))
    jaw *= step(0.5, 4.5, p[:, 2] + 0.25 * np.abs(p[:, 1]))
    cheek = np.exp(-(((np.abs(p[:, 0]) - 4.6) / 2.0) ** 2 + ((p[:, 1] + 0.8) / 2.0) ** 2))
    return {
        "lips": lips, "upper": lid[True], "lower": lid[False], "brow": brow, "face": face.astype(np.float32),
        "beard": np.clip(jaw - 0.75 * cheek, 0, 1) * (1 - lips),
    }  # fmt: skip


def _paint(
    model: HeadModel, canvas: _Canvas, look: SkinLook, noise: Noise, masks: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) linear colour and (N,) gloss 0..1 of the skin."""
    p = canvas.point
    tone = to_linear(look.tone)
    colour = np.repeat(tone[None], len(p), 0)
    blotch = noise.fractal(p, 0.55, 4) - 0.5
    fine = noise.fractal(p + 3.1, 2.6, 3) - 0.5
    grain = noise.value(p, 9.0) - 0.5
    colour *= (1 + 0.34 * blotch + 0.20 * fine + 0.10 * grain)[:, None]
    # Warm and cool patches: blood shifts the hue, not only the brightness.
    warm = noise.fractal(p + 11.0, 0.8, 3) - 0.5
    colour *= 1 + warm[:, None] * np.array([0.10, -0.12, -0.20], np.float32)
    blood = (
        0.9 * _blob(p, (4.4, -0.2), (2.1, 1.8))
        + 0.9 * _blob(p, (0, 0.1), (1.3, 1.2))
        + 0.35 * _blob(p, (0, -6.6), (1.6, 1.0))
    )
    ears = step(7.3, 8.6, np.abs(p[:, 0])) * (p[:, 1] > -3) * (p[:, 1] < 6)
    blood = (blood + 0.8 * ears + 0.4 * _blob(p, (3.1, 2.3), (1.5, 0.5))) * (0.75 + 0.5 * (fine + 0.5))
    colour *= 1 - look.redness * blood[:, None] * np.array([0.05, 0.36, 0.33], np.float32)
    under = _blob(p, (2.9, 1.75), (1.25, 0.62)) + 0.6 * _blob(p, (1.75, 2.7), (0.5, 0.8))
    colour *= 1 - look.circles * under[:, None] * np.array([0.30, 0.36, 0.28], np.float32)
    pale = _blob(p, (0, 8.6), (3.6, 1.6))
    colour *= 1 + 0.06 * pale[:, None]
    colour *= 1 - _spots(p, look, noise)[:, None] * np.array([0.42, 0.58, 0.66], np.float32)
    beard = (
        masks["beard"]
        * look.stubble
        * (0.45 + 0.45 * noise.value(p, 0.9) + 1.3 * noise.value(p, 9.0) * noise.value(p + 5, 15.0))
    )
    shadow = 0.5 * step(0.75, 0.15, masks["brow"] + 0.25 * (noise.value(p, 3.0) - 0.5))
    colour += (to_linear(look.brow_shadow) - colour) * shadow[:, None]
    colour += (to_linear(look.stubble_colour) - colour) * np.clip(beard * 0.75, 0, 0.85)[:, None]
    lips = masks["lips"] * (0.86 + 0.28 * noise.value(p * np.array([4.0, 0.6, 1.0], np.float32), 1.6))
    colour += (to_linear(look.lips) * (1 + 0.5 * fine[:, None]) - colour) * np.clip(lips, 0, 1)[:, None] * 0.82
    colour *= (
        1 - look.lash_line * (0.85 * step(0.2, 0.03, masks["upper"]) + 0.35 * step(0.14, 0.02, masks["lower"]))[:, None]
    )
    gloss = 0.34 + 0.30 * look.oil * (
        _blob(p, (0, 7.6), (3.4, 2.6)) + _blob(p, (0, 1.4), (0.9, 2.2)) + 0.5 * _blob(p, (4.2, 1.0), (1.6, 1.0))
    )
    gloss = gloss * (0.8 + 0.5 * (noise.fractal(p, 5.0, 2))) * (1 - 0.4 * np.clip(beard, 0, 1))
    return np.clip(colour, 0.003, 0.95), np.clip(gloss * (1 - masks["lips"]) + 0.85 * masks["lips"], 0, 1)


def _spots(p: np.ndarray, look: SkinLook, noise: Noise) -> np.ndarray:
    """(N,) 0..1: freckles over nose and cheeks, and a few moles."""
    where = np.exp(-((p[:, 0] / 5.6) ** 2 + ((p[:, 1] - 1.3) / 2.6) ** 2)) + 0.25 * _blob(p, (0, 8.0), (5.0, 2.2))
    fleck = step(0.66, 0.80, 0.62 * noise.value(p, 4.3) + 0.38 * noise.value(p + 9, 2.3))
    out = look.freckles * np.clip(where * 1.3, 0, 1) * fleck * (p[:, 2] > 3)
    rng = np.random.default_rng(look.seed + 77)
    for _ in range(look.moles):
        centre = np.array([rng.uniform(-6, 6), rng.uniform(-9, 8)])
        size = rng.uniform(0.09, 0.17)
        away = np.hypot(p[:, 0] - centre[0], p[:, 1] - centre[1])
        out = np.maximum(out, 0.9 * step(size, size * 0.5, away) * (p[:, 2] > 4))
    return out


def _height(p: np.ndarray, look: SkinLook, noise: Noise, masks: dict[str, np.ndarray]) -> np.ndarray:
    """(N,) height of the skin in units: pores, lip lines, brow and eye lines."""
    pores = 0.030 * (noise.fractal(p, 4.0, 3) - 0.5) + 0.05 * (noise.fractal(p, 1.1, 2) - 0.5)
    lip = 0.05 * (noise.value(p * np.array([5.0, 0.5, 0.8], np.float32), 1.2) - 0.5)
    wave = p[:, 1] + 0.25 * np.sin(p[:, 0] * 0.7) + 0.5 * (noise.value(p, 0.4) - 0.5)
    folds = np.maximum(0, np.sin(wave * 4.6)) ** 6 * _blob(p, (0, 8.4), (3.8, 1.5))
    feet = np.maximum(0, np.sin(np.arctan2(p[:, 1] - 3.2, np.abs(p[:, 0]) - 4.2) * 9)) ** 4 * _blob(
        p, (5.6, 3.2), (0.9, 1.1)
    )
    nasal = np.exp(
        -(
            (
                to_line(
                    np.abs(p) * [1, 0, 0] + p * [0, 1, 1],
                    np.array([[1.9, -0.9, 10.6], [2.9, -2.4, 10.2], [3.2, -3.9, 9.4]]),
                )
                / 0.22
            )
            ** 2
        )
    )
    return pores * (1 - masks["lips"]) + lip * masks["lips"] - look.lines * (0.05 * folds + 0.04 * feet + 0.07 * nasal)


def _slope(height: np.ndarray, canvas: _Canvas, side: int) -> np.ndarray:
    """(H, 2H, 3) surface gradient of `height` in head axes (Mikkelsen 2010, unparametrised bump mapping)."""
    flat = np.zeros((side * side * 2, 6), np.float32)
    flat[canvas.filled] = np.concatenate([canvas.point, canvas.normal], 1)
    filled = np.zeros(side * side * 2, bool)
    filled[canvas.filled] = True
    grid = flat.reshape(side, side * 2, 6)
    down_p, right_p = np.gradient(grid[..., :3], axis=(0, 1))
    down_h, right_h = np.gradient(height)
    normal = grid[..., 3:]
    along = np.cross(down_p, normal)
    across = np.cross(normal, right_p)
    area = np.einsum("...i,...i->...", normal, np.cross(right_p, down_p))
    safe = np.where(np.abs(area) > 1e-7, area, np.inf)[..., None]
    slope = (right_h[..., None] * along + down_h[..., None] * across) / safe
    size = np.linalg.norm(slope, axis=-1, keepdims=True)
    slope *= np.minimum(1.0, 0.6 / np.maximum(size, 1e-6))
    inner = cv2.erode(filled.reshape(side, -1).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.ascontiguousarray((slope * inner[..., None]).astype(np.float32))
