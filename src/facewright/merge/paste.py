"""One predicted face into one picture: step by step as data-formats-and-merging.md 8.4, in float32.

Works on a region of the frame, so that a small face costs little; the whole frame is the special case of a region.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facewright.core.errors import Mismatch
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.image import filters
from facewright.image.colour import COLOUR, hist_match
from facewright.image.geometry import apply_affine, invert, pixel_box, scaling, translation
from facewright.image.masks import feather, hull_mask
from facewright.image.warp import resize, warp, warp_back
from facewright.merge.seam import toned
from facewright.merge.settings import MergeSettings

FLOOR = np.float32(1.0 / 255.0)
"""Mask values below one 8-bit step count as nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A face to replace: 68 landmarks (68, 2) in frame px, and its movement between the neighbouring frames."""

    face_id: str
    points_px: np.ndarray
    motion_px: float = 0.0
    motion_deg: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The region with one face drawn: image (h, w, 3) float32 0..1, alpha (h, w) float32 0..1."""

    image: np.ndarray
    alpha: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What every step needs to know. Matrices map region px to face px (net side) or mask px."""

    region: np.ndarray
    face: np.ndarray
    drawn: np.ndarray
    side: int
    target: Target
    settings: MergeSettings

    @property
    def size_px(self) -> tuple[int, int]:
        return self.region.shape[1], self.region.shape[0]


def matrices(points_px: np.ndarray, side_px: int, face_type: FaceType, settings: MergeSettings) -> list[np.ndarray]:
    """face_from_frame as the net saw it, and as the face is drawn (another size by `face_scale`)."""
    scale = 1.0 + 0.01 * settings.face_scale
    cut = face_from_frame(points_px, side_px, face_type)
    return [cut, cut if scale == 1.0 else face_from_frame(points_px, side_px, face_type, scale=scale)]


def paste(
    region: np.ndarray,
    target: Target,
    predicted: np.ndarray,
    mask_swap: np.ndarray,
    mask_own: np.ndarray,
    face_type: FaceType,
    settings: MergeSettings,
    *,
    origin_px: tuple[int, int] = (0, 0),
) -> Patch:
    """Draw one face into `region` (h, w, 3) float32 0..1, whose (0, 0) is frame pixel `origin_px`.

    predicted (R, R, 3), mask_swap and mask_own (R, R) float32 0..1, in face space. Mode raw-predict returns the net's
    picture and mask at (R, R) instead of the region. The region is not changed in place.
    """
    predicted, mask_swap, mask_own = (np.clip(p, 0, 1) for p in (predicted, mask_swap, mask_own))
    side = predicted.shape[0]
    shift = translation(*origin_px)
    cut, drawn = (m @ shift for m in matrices(target.points_px, side, face_type, settings))
    scene = _Scene(region, cut, drawn, side, target, settings)
    mask = _face_mask(scene, mask_swap, mask_own, origin_px)
    alpha = _alpha(scene, mask)
    if settings.mode == "original":
        return Patch(region, alpha)
    face_mask = resize(mask, side, "cubic")
    if settings.mode == "raw-predict":
        return Patch(predicted, face_mask)
    if settings.mode == "raw-rgb":
        return Patch(_raw(scene, predicted), alpha)
    # Too little to see: the frame stays as it is.
    _, _, width, height = cv2.boundingRect((alpha >= 0.1).astype(np.uint8))
    if min(width, height) < 4:
        return Patch(region, alpha)
    inside = np.where(face_mask > 0, np.float32(1), face_mask)
    plate = warp(region, cut, side, settings.crop)
    np.clip(plate, 0, 1, out=plate)
    return Patch(_blended(scene, predicted, plate, inside, alpha), alpha)


def _face_mask(
    scene: _Scene, mask_swap: np.ndarray, mask_own: np.ndarray, origin_px: tuple[int, int]
) -> np.ndarray:
    """Steps 5 to 7: the chosen mask in face space at mask_scale times the net's side, shrunk and softened."""
    s = scene.settings
    hull = None
    if s.hull or s.mask == "dst":
        lips = s.hull and s.mask != "dst"  # the mask `dst` is the original's own
        whole = hull_mask(scene.target.points_px, scene.region.shape[:2], origin_px=origin_px, lips=lips)
        hull = np.clip(warp(whole, scene.face, scene.side, s.crop), 0, 1)
    mask = {
        "full": lambda: np.ones_like(mask_swap),
        "dst": lambda: hull,
        "learned-prd": lambda: mask_swap,
        "learned-dst": lambda: mask_own,
        "learned": lambda: _steep(mask_swap) * _steep(mask_own),
        "learned-prd*learned-dst": lambda: mask_swap * mask_own,
        "learned-prd+learned-dst": lambda: np.clip(mask_swap + mask_own, 0, 1),
    }[s.mask]()
    assert mask is not None
    if s.hull and hull is not None and s.mask != "dst":
        mask = mask * hull
    mask = np.where(mask < FLOOR, np.float32(0), mask)
    mask_side = scene.side * s.mask_scale
    mask = resize(mask, mask_side, "cubic")
    if s.raw:
        return mask
    return feather(mask, s.mask_pixels(s.erode_permille, mask_side), s.mask_pixels(s.blur_permille, mask_side))


def _steep(mask: np.ndarray) -> np.ndarray:
    """0..1 -> 0 up to a quarter, 1 from a half on. A net that learned for minutes draws soft masks; the product of
    two such would let the target's brows and far eye show (decision 006)."""
    return np.clip(4 * mask - 1, 0, 1)


def _alpha(scene: _Scene, mask: np.ndarray) -> np.ndarray:
    """Step 8: the mask in the region, 0 below one 8-bit step. Only where the mask is not empty is anything done."""
    alpha = np.zeros(scene.region.shape[:2], np.float32)
    mask_from_region = scaling(mask.shape[0] / scene.side) @ scene.drawn
    # A cubic kernel reaches two mask pixels beyond the last one that is not zero.
    x, y, width, height = cv2.boundingRect((mask != 0).astype(np.uint8))
    if width == 0:
        return alpha
    corners = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)
    grown = corners + np.array([[-3, -3], [3, -3], [3, 3], [-3, 3]], np.float64)
    x0, y0, x1, y1 = pixel_box(apply_affine(invert(mask_from_region), grown), scene.size_px, margin_px=1)
    if x1 == x0:
        return alpha
    part = warp_back(mask, mask_from_region @ translation(x0, y0), (x1 - x0, y1 - y0))
    np.clip(part, 0, 1, out=part)
    part[part < FLOOR] = 0
    alpha[y0:y1, x0:x1] = part
    return alpha


def _raw(scene: _Scene, predicted: np.ndarray) -> np.ndarray:
    """The whole square of the net. Its edge is darkened twice, as in the original (quirk Q12)."""
    face = warp_back(predicted, scene.drawn, scene.size_px)
    weight = warp_back(np.ones(predicted.shape[:2], np.float32), scene.drawn, scene.size_px)[..., None]
    return np.clip(scene.region * (1 - weight) + face * weight, 0, 1)


def _blended(
    scene: _Scene, predicted: np.ndarray, plate: np.ndarray, inside: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """Steps 9a to 9h: colours, histogram, laying in, treatment in face space, fewer colours."""
    s = scene.settings
    if not s.seamless and s.colour != "none":
        predicted = _recolour(scene, predicted, plate, inside)
    if s.mode == "hist-match":
        predicted = _match_histogram(predicted, plate, inside, s)
    out = _lay_in(scene, predicted, alpha)
    if _needs_treatment(s):
        out = _treated(scene, out, plate, inside, alpha)
    if s.colour_degrade:
        share = s.colour_degrade / 100.0
        reduced = filters.reduce_colours(out)
        out = reduced if share == 1.0 else out * (1 - share) + reduced * share
    return out


def _recolour(scene: _Scene, image: np.ndarray, plate: np.ndarray, inside: np.ndarray) -> np.ndarray:
    transfer = COLOUR.load(scene.settings.colour)
    rng = np.random.default_rng(scene.settings.seed)
    return transfer(image, plate, mask=inside, reference_mask=inside, rng=rng)


def _match_histogram(image: np.ndarray, plate: np.ndarray, inside: np.ndarray, s: MergeSettings) -> np.ndarray:
    """White paint outside of the mask takes part in both histograms (quirk Q18)."""
    keep = inside[..., None] if s.masked_hist else np.float32(1)
    white = 1 - keep
    return hist_match(np.minimum(image * keep + white, 1), plate * keep + white, s.hist_threshold)


def _lay_in(scene: _Scene, predicted: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Step 9d-f: the face over the region by alpha; only inside alpha's box is anything computed."""
    x, y, width, height = cv2.boundingRect((alpha > 0).astype(np.uint8))
    rows, columns = slice(y, y + height), slice(x, x + width)
    face = warp_back(predicted, scene.drawn @ translation(x, y), (width, height))
    np.clip(face, 0, 1, out=face)
    if scene.settings.seamless:
        face = _cloned(scene, face, alpha, (x, y))
    elif scene.settings.seam:
        face = toned(face, scene.region[rows, columns], alpha[rows, columns], scene.settings.seam / 100)
    out = scene.region.copy()
    out[rows, columns] = mix(scene.region[rows, columns], face, alpha[rows, columns])
    return out


def mix(under: np.ndarray, over: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """under + (over - under) * alpha; exactly `under` where alpha is 0."""
    weight = cv2.merge([alpha, alpha, alpha])
    return cv2.add(under, cv2.multiply(cv2.subtract(over, under), weight))


def _cloned(scene: _Scene, face: np.ndarray, alpha: np.ndarray, origin: tuple[int, int]) -> np.ndarray:
    """Poisson cloning (Perez et al. 2003) of `face` over a binary mask; OpenCV refuses some shapes: raises Mismatch."""
    x0, y0 = origin
    height, width = face.shape[:2]
    level = next((i / 10.0 for i in range(1, 10) if (alpha > i / 10.0).any()), 0.1)
    seam = (alpha[y0 : y0 + height, x0 : x0 + width] > level).astype(np.uint8) * 255
    whole = np.zeros_like(scene.region, np.uint8)
    whole[y0 : y0 + height, x0 : x0 + width] = (face * 255).astype(np.uint8)
    seam_whole = np.zeros(scene.region.shape[:2], np.uint8)
    seam_whole[y0 : y0 + height, x0 : x0 + width] = seam
    left, top, w, h = cv2.boundingRect(seam_whole)
    under = (np.clip(scene.region, 0, 1) * 255 + 0.5).astype(np.uint8)
    try:
        cloned = cv2.seamlessClone(whole, under, seam_whole, (int(left + w / 2), int(top + h / 2)), cv2.NORMAL_CLONE)
    except cv2.error as error:
        raise Mismatch(
            "A face could not be cloned seamlessly.", why=str(error).splitlines()[0][:200],
            remedy="Use --mode overlay for this film.",
        ) from error
    return cloned[y0 : y0 + height, x0 : x0 + width].astype(np.float32) / 255.0


def _needs_treatment(s: MergeSettings) -> bool:
    recoloured = s.seamless and s.colour != "none"
    return bool(
        recoloured or s.mode == "seamless-hist-match" or s.motion_blur or s.blur_sharpen or s.denoise or s.degrade
    )


def _treated(
    scene: _Scene, out: np.ndarray, plate: np.ndarray, inside: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """Step 9g: cut the composed face out again, treat it, lay it back over the (perhaps degraded) region."""
    s = scene.settings
    face = warp(out, scene.face, scene.side, "cubic")
    if s.seamless and s.colour != "none":
        face = _recolour(scene, face, plate, inside)
    if s.mode == "seamless-hist-match":
        face = hist_match(face, plate, s.hist_threshold)
    if s.motion_blur:
        size = filters.motion_blur_px(scene.target.motion_px, s.motion_blur)
        face = filters.motion_blur(face, size, scene.target.motion_deg) if size else face
    if s.blur_sharpen:
        face = filters.blur_sharpen(face, s.blur_sharpen, s.sharpen_mode)
    region = filters.degrade(filters.denoise(scene.region, s.denoise), s.degrade)
    laid = warp_back(np.ascontiguousarray(face, np.float32), scene.face, scene.size_px)
    return np.clip(mix(region, laid, alpha), 0, 1)
