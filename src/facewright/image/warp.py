"""Resampling by a matrix or a map, and the random maps of training from an explicit generator.

`warp` is warpAffine on the forward matrix. The random warp follows models-and-training.md 3.2; the
two-step path here (remap, then affine) is the parity reference of the one-step path that trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from facewright.image.geometry import apply_affine, invert, pixel_box, scale_of, to33, translation

Interpolation = Literal["auto", "nearest", "linear", "cubic", "area", "lanczos4"]
Border = Literal["constant", "replicate"]

_FLAGS = {
    "nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos4": cv2.INTER_LANCZOS4,
}
_BORDERS = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}
_DEPTHS = {np.dtype(np.uint8): cv2.CV_8U, np.dtype(np.uint16): cv2.CV_16U, np.dtype(np.float32): None}
_ZERO = np.zeros(4)
_KERNEL_PX = 3
"""Pixels that feed the cubic kernel beyond a target's edge."""
AREA_BELOW = 0.5
"""Crops that shrink more than this ("auto") are averaged first, else they alias."""


def warp(
    image: np.ndarray,
    target_from_source: np.ndarray,
    size_px: int | tuple[int, int],
    interpolation: Interpolation = "cubic",
    border: Border = "constant",
    *,
    by_planes: bool = False,
) -> np.ndarray:
    """Resample (H, W[, C]) into (height, width[, C]) of the same dtype; `size_px` is a side or (width, height).

    Cubic is OpenCV's (a = -0.75): float results overshoot 0..1 and are not clipped. "area" averages whole blocks
    of source pixels before a cubic step; "auto" is "area" when shrinking more than 2x, else cubic. Outside of the
    source: black, or the nearest edge pixel ("replicate"). by_planes: cubic of several channels in a third of the time,
    the same but for rounding; what was measured of training and merging rounds the other way.
    """
    size = (size_px, size_px) if isinstance(size_px, int) else size_px
    matrix = to33(target_from_source)
    if interpolation == "auto":
        interpolation = "area" if scale_of(matrix) < AREA_BELOW else "cubic"
    if interpolation == "area":
        image, matrix = _averaged(image, matrix, size, border)
        interpolation = "cubic"
    if by_planes and interpolation == "cubic" and image.ndim == 3 and image.dtype in _DEPTHS \
            and np.isfinite(matrix).all() and scale_of(matrix) > 1e-9:
        return _cubic_by_planes(image, matrix, size, border)
    warped = cv2.warpAffine(image, matrix[:2], size, flags=_FLAGS[interpolation], borderMode=_BORDERS[border])
    # OpenCV drops a channel axis of length 1; give it back.
    return warped[..., None] if image.ndim == 3 and warped.ndim == 2 else warped


def warp_back(
    image: np.ndarray, image_from_target: np.ndarray, size_px: tuple[int, int], interpolation: Interpolation = "cubic"
) -> np.ndarray:
    """Lay `image` into a black (height, width[, C]) picture by the matrix that would cut it out there.

    `size_px` is (width, height). Float results overshoot 0..1 at edges and are not clipped.
    """
    flags = _FLAGS[interpolation] | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to33(image_from_target)[:2], size_px, flags=flags)


def _cubic_by_planes(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: Border) -> np.ndarray:
    """OpenCV's cubic takes 23 ns a pixel of three channels, 8 as three planes of float32 (on x86-64); of 8 bits one
    value in a thousand differs, by one step."""
    source_from_target = invert(matrix)
    x0, y0, x1, y1 = _needed(image, source_from_target, size, _KERNEL_PX)
    if x1 == x0:  # the target lies beside the source
        plain = cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_CUBIC, borderMode=_BORDERS[border])
        return plain.reshape(*size[::-1], image.shape[2])
    step, depth, planes = (translation(-x0, -y0) @ source_from_target)[:2], _DEPTHS[image.dtype], []
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    for plane in cv2.split(np.ascontiguousarray(image[y0:y1, x0:x1])):  # split itself copies views slowly
        wide = cv2.warpAffine(plane.astype(np.float32), step, size, flags=flags, borderMode=_BORDERS[border])
        planes.append(wide if depth is None else cv2.add(wide, _ZERO, dtype=depth))  # rounds and saturates
    return np.asarray(cv2.merge(planes)).reshape(*size[::-1], image.shape[2])


def _needed(
    image: np.ndarray, source_from_target: np.ndarray, size: tuple[int, int], margin_px: int
) -> tuple[int, int, int, int]:
    """The part of `image` that a target of `size` and a kernel at its edge see, as `pixel_box` gives it."""
    corners = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]], np.float64)
    return pixel_box(apply_affine(source_from_target, corners), image.shape[1::-1], margin_px)


def _averaged(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: Border
) -> tuple[np.ndarray, np.ndarray]:
    """Block means of the part of `image` that is needed, and the matrix from there to the target."""
    factor = max(int(1.0 / max(scale_of(matrix), 1e-6)), 1)
    if factor == 1:
        return image, matrix
    x0, y0, x1, y1 = _needed(image, invert(matrix), size, _KERNEL_PX * factor)
    if x1 == x0:
        return image, matrix
    part = image[y0:y1, x0:x1]
    right, bottom = -part.shape[1] % factor, -part.shape[0] % factor
    if right or bottom:
        part = cv2.copyMakeBorder(part, 0, bottom, 0, right, _BORDERS[border])
    small = cv2.resize(part, (part.shape[1] // factor, part.shape[0] // factor), interpolation=cv2.INTER_AREA)
    if image.ndim == 3 and small.ndim == 2:
        small = small[..., None]
    half = (factor - 1) / 2.0
    source_from_small = np.array([[factor, 0, x0 + half], [0, factor, y0 + half], [0, 0, 1]], np.float64)
    return small, matrix @ source_from_small


def resize(image: np.ndarray, size_px: int | tuple[int, int], interpolation: Interpolation = "cubic") -> np.ndarray:
    """Resample (H, W[, C]) to `size_px` (a side, or width and height) by OpenCV's resize (half-pixel centres); "auto"
    is "area" when shrinking and "cubic" when growing."""
    size = (size_px, size_px) if isinstance(size_px, int) else size_px
    if (image.shape[1], image.shape[0]) == size:
        return image
    if interpolation == "auto":
        interpolation = "area" if size[0] * size[1] < image.shape[0] * image.shape[1] else "cubic"
    flag = cv2.INTER_AREA if interpolation == "area" else _FLAGS[interpolation]
    resized = cv2.resize(image, size, interpolation=flag)
    return resized[..., None] if image.ndim == 3 and resized.ndim == 2 else resized


Rng = np.random.RandomState | np.random.Generator
"""The original's legacy stream (goldens) or a counter-based generator (training); draws are made in one order."""

_WARP_FLOOR_PX = 64
"""Smaller pictures are warped at this side and scaled back, so that the grid keeps its three spacings."""


@dataclass(frozen=True, slots=True)
class AffineLimits:
    """Ranges of the random affine: degrees either way, scale 1/(1 - low)..1 + high, shifts as share of the side."""

    rotation_deg: float = 10.0
    scale_low: float = -0.15
    scale_high: float = 0.15
    shift_01: float = 0.05


@dataclass(frozen=True, slots=True)
class AffineDraw:
    """One random affine. rotation_deg > 0 is counter-clockwise; shifts are shares of the side; flip comes last."""

    rotation_deg: float
    scale: float
    shift_x_01: float
    shift_y_01: float
    flip: bool = False

    def matrix(self, side_px: int) -> np.ndarray:
        """(3, 3) float64: warped picture px from source px, without the flip."""
        centre = float(side_px // 2)
        rotation = cv2.getRotationMatrix2D((centre, centre), self.rotation_deg, self.scale)
        rotation[:, 2] += (self.shift_x_01 * side_px, self.shift_y_01 * side_px)
        return to33(rotation)


def draw_affine(rng: Rng, limits: AffineLimits, *, flip_allowed: bool) -> AffineDraw:
    """Draw rotation, scale, shift x, shift y, then (only when allowed) the flip, which comes up 4 times in 10."""
    rotation = rng.uniform(-limits.rotation_deg, limits.rotation_deg)
    scale = rng.uniform(1.0 / (1.0 - limits.scale_low), 1.0 + limits.scale_high)
    shift_x = rng.uniform(-limits.shift_01, limits.shift_01)
    shift_y = rng.uniform(-limits.shift_01, limits.shift_01)
    flip = flip_allowed and integer(rng, 0, 10) < 4
    return AffineDraw(float(rotation), float(scale), float(shift_x), float(shift_y), flip)


def integer(rng: Rng, low: int, high: int) -> int:
    """low <= i < high from either kind of generator."""
    return int(rng.randint(low, high) if isinstance(rng, np.random.RandomState) else rng.integers(low, high))


def random_warp_maps(rng: Rng, side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Two (side, side) float32 maps for remap: a coarse grid moved by truncated normals, borders fixed.

    Without noise the map is x + 0.5 (a quirk of the original's grid, kept: targets are trained against it).
    """
    cell = (side_px // 2, side_px // 4, side_px // 8)[integer(rng, 0, 3)]
    count = side_px // cell + 1
    grid = np.broadcast_to(np.linspace(0.0, side_px, count), (count, count)).copy()
    inner = count - 2
    first, second = (_truncated_normals(rng, inner * inner).reshape(inner, inner) for _ in range(2))
    grid[1:-1, 1:-1] += 0.24 * cell * (first + second.T)
    full = cv2.resize(grid, (side_px + cell, side_px + cell), interpolation=cv2.INTER_LINEAR)
    half = cell // 2
    map_x = full[half : half + side_px, half : half + side_px].astype(np.float32)
    return map_x, np.ascontiguousarray(map_x.T)


def _truncated_normals(rng: Rng, count: int) -> np.ndarray:
    """Standard normals within 2.5 sigma, divided by 2.5 -> (count,) float32; rejected ones are drawn again."""
    kept: list[float] = []
    while len(kept) < count:
        draws = rng.standard_normal(count - len(kept))
        kept.extend(draws[np.abs(draws) <= 2.5].tolist())
    return (np.array(kept) / 2.5).astype(np.float32)


def warp_randomly(
    image: np.ndarray,
    maps: tuple[np.ndarray, np.ndarray] | None,
    draw: AffineDraw | None,
    *,
    interpolation: Literal["linear", "cubic"] = "cubic",
    border: Border = "replicate",
) -> np.ndarray:
    """The two-step path of a square (R, R, C) picture: remap (black border), then affine, then flip; same shape.

    `maps` or `draw` may be None to leave that step out. Pictures take cubic and "replicate", masks linear and
    "constant". Not clipped.
    """
    side = image.shape[0]
    if side < _WARP_FLOOR_PX:
        small = warp_randomly(
            resize(image, _WARP_FLOOR_PX, interpolation), maps, draw, interpolation=interpolation, border=border
        )
        return resize(small, side, interpolation)
    out = image
    if maps is not None:
        out = cv2.remap(out, *maps, interpolation=_FLAGS[interpolation])
    if draw is not None:
        out = warp(out, draw.matrix(side), side, interpolation, border)
        out = out[:, ::-1] if draw.flip else out
    return out.reshape(image.shape)


def shift_hsv(image: np.ndarray, rng: Rng, amount: float) -> np.ndarray:
    """Random hue, saturation and value of an RGB (H, W, 3) float32 picture in 0..1, by `amount` 0..1; clipped."""
    span = max(1, int(180 * amount))
    hue = integer(rng, -span, span + 1)
    saturation, value = (rng.random_sample(2) if isinstance(rng, np.random.RandomState) else rng.random(2)) - 0.5
    h, s, v = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    h = (h + np.float32(hue)) % np.float32(360)
    s = np.clip(s + np.float32(saturation * amount), 0, 1)
    v = np.clip(v + np.float32(value * amount), 0, 1)
    return np.clip(cv2.cvtColor(cv2.merge([h, s, v]), cv2.COLOR_HSV2RGB), 0, 1)
