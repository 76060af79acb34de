"""What XSeg sees of a labelled face: the original's whole chain of disturbances. models-and-training.md section 6.

Images (R, R, 3) float32 BGR 0..1, masks (R, R) float32. Nothing is random but by the generator that comes in, and the
order of draws is the original's, within each function. Between two steps values may leave 0..1, as in the original;
`augmented` ends inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facewright.image.filters import motion_blur
from facewright.image.masks import odd
from facewright.image.warp import AffineLimits, Rng, draw_affine, integer, random_warp_maps, warp_randomly

CHANCE = 25
"""Percent of blurs, sharpening, resizing and JPEG, each."""

FACE_LIMITS = AffineLimits(rotation_deg=10.0, scale_low=-0.05, scale_high=0.05, shift_01=0.05)
BACKGROUND_LIMITS = AffineLimits(rotation_deg=180.0, scale_low=-0.1, scale_high=0.1, shift_01=0.1)
_FLARE_PX = (64, 256)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A face and what of it counts: image (R, R, 3), mask (R, R) of 0 and 1."""

    image: np.ndarray
    mask: np.ndarray


def augmented(face: Labelled, other: Labelled | None, rng: Rng) -> Labelled:
    """One training sample: half the time before the background of `other` (another labelled face, None where there is
    none), bent and moved, flares, then what a camera and a codec may do. The mask is 0 and 1 again."""
    if other is not None and _half(rng):
        face = over_background(face, background(other, rng), 0.15 + 0.85 * rng.random())
    face = bent(face, rng)
    for where in (face.mask, 1 - face.mask):
        if _half(rng):
            face = replace(face, image=flare(face.image, where, integer(rng, *_FLARE_PX)))
    return replace(face, image=disturbed(face.image, rng))


def background(other: Labelled, rng: Rng) -> Labelled:
    """`other` turned by up to 180 degrees, scaled and moved by up to a tenth, perhaps mirrored; its face blackened, the
    rest recoloured; its mask soft at the edge."""
    draw = draw_affine(rng, BACKGROUND_LIMITS, flip_allowed=True)
    image = warp_randomly(other.image, None, draw).clip(0, 1)
    mask = warp_randomly(other.mask, None, draw, interpolation="linear", border="constant")
    return Labelled(recoloured(image * (1 - mask[..., None]), rng), mask)


def over_background(face: Labelled, behind: Labelled, share: float) -> Labelled:
    """The face untouched; around it `share` of its own surroundings and the rest of those `behind`, except where the
    face of these was."""
    kept = (1 - (1 - behind.mask) * (1 - face.mask))[..., None]
    around = face.image * share + behind.image * (1 - share)
    return replace(face, image=through(around, face.image, kept[..., 0]))


def bent(face: Labelled, rng: Rng) -> Labelled:
    """Warped, turned, moved and perhaps mirrored, both planes alike; clipped, the mask cut at 0.5."""
    draw, maps = draw_affine(rng, FACE_LIMITS, flip_allowed=True), random_warp_maps(rng, len(face.mask))
    image = warp_randomly(face.image, maps, draw).clip(0, 1)
    mask = warp_randomly(face.mask, maps, draw, border="constant")
    return Labelled(image, (mask >= 0.5).astype(np.float32))


def flare(image: np.ndarray, where: np.ndarray, kernel_px: int) -> np.ndarray:
    """Light spilling out of `where` (R, R): the picture plus the blur of what lies inside. May exceed 1."""
    return image + _soft(image * where[..., None], odd(kernel_px))


def disturbed(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Recoloured, sharpened or blurred, made coarser, compressed: each inside a soft circle of its own. Clipped."""
    side = len(image)
    image = through(image, recoloured(image, rng), circle(side, rng))
    if _half(rng):
        image = through(image, sharpened(image, rng), circle(side, rng))
    else:
        image = through(image, motion_blurred(image, rng), circle(side, rng))
        image = through(image, blurred(image, rng), circle(side, rng))
    image = through(image, coarser(image, rng, nearest=_half(rng)), circle(side, rng)).clip(0, 1)
    return through(image, compressed(image, rng), circle(side, rng))


def recoloured(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Half the time another hue, saturation and value, else other levels."""
    return shift_hsv(image, rng) if _half(rng) else shift_levels(image, rng)


def shift_hsv(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Any hue; saturation and value moved by up to a half either way; clipped."""
    hue = integer(rng, 0, 360)
    saturation, value = (rng.random(2) - 0.5).astype(np.float32)
    h, s, v = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    moved = cv2.merge([(h + np.float32(hue)) % np.float32(360), (s + saturation).clip(0, 1), (v + value).clip(0, 1)])
    return cv2.cvtColor(moved, cv2.COLOR_HSV2BGR).clip(0, 1)


def shift_levels(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Per channel: input black up to 0.25, input white from 0.75, gamma 0.5 to 1.5, output range alike."""
    black, white, gamma, low, high = rng.random((5, 3)) * ((0.25,), (0.25,), (1.0,), (0.25,), (0.25,))
    inside = ((image - black) / (1 - white - black)).clip(0, 1)
    return (inside ** (1 / (0.5 + gamma)) * (1 - high - low) + low).astype(np.float32)


def sharpened(image: np.ndarray, rng: Rng, chance: int = CHANCE) -> np.ndarray:
    """`chance` percent: detail finer than a kernel of 1 to 5 px, multiplied: box up to 9 fold, Gaussian up to 24.5."""
    size = odd(integer(rng, 1, 6))
    if not _happens(rng, chance):
        return image
    if _half(rng):
        return _stronger(image, cv2.blur(image, (size, size)), integer(rng, 0, 10))
    return _stronger(image, _soft(image, size), 0.5 * integer(rng, 0, 50))


def motion_blurred(image: np.ndarray, rng: Rng, chance: int = CHANCE) -> np.ndarray:
    """`chance` percent: smeared along a line of 1 to 5 px in any direction."""
    size, angle_deg = integer(rng, 1, 6), integer(rng, 0, 360)
    return motion_blur(image, size, angle_deg) if _happens(rng, chance) else image


def blurred(image: np.ndarray, rng: Rng, chance: int = CHANCE) -> np.ndarray:
    """`chance` percent: a Gaussian with a kernel of 1, 3, 5, 7 or 9 px."""
    return _soft(image, 2 * integer(rng, 0, 5) + 1) if _happens(rng, chance) else image


def coarser(image: np.ndarray, rng: Rng, *, nearest: bool, chance: int = CHANCE) -> np.ndarray:
    """`chance` percent: made smaller, down to a quarter of the side, and large again."""
    if not _happens(rng, chance):
        return image
    side = len(image)
    small = side - int(rng.random() * int(0.75 * side))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.resize(cv2.resize(image, (small, small), interpolation=how), (side, side), interpolation=how)


def compressed(image: np.ndarray, rng: Rng, chance: int = CHANCE) -> np.ndarray:
    """`chance` percent: through JPEG of quality 10 to 100. Takes 0..1."""
    if not _happens(rng, chance):
        return image
    quality = [cv2.IMWRITE_JPEG_QUALITY, integer(rng, 10, 101)]
    _, code = cv2.imencode(".jpg", np.rint(image * 255).astype(np.uint8), quality)
    decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return decoded.astype(np.float32) / 255


def circle(side: int, rng: Rng) -> np.ndarray:
    """(R, R) float32: 1 in a circle of any size anywhere, fading to 0.

    The fade is as wide as its end lies far from the middle, not as it lies from the edge (quirk Q22, kept).
    """
    full = integer(rng, 0, side)
    fade = full + integer(rng, 0, side - full)
    centre_y, centre_x = integer(rng, 0, side), integer(rng, 0, side)
    axis = np.arange(side)
    distance = np.hypot((axis - centre_y)[:, None], (axis - centre_x)[None])
    return (1 - ((distance - full) / max(fade, 1)).clip(0, 1)).astype(np.float32)


def through(image: np.ndarray, result: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`result` where the mask (R, R) is 1, `image` where it is 0: float32."""
    soft = mask[..., None]
    return (image * (1 - soft) + result * soft).astype(np.float32)


def _soft(image: np.ndarray, kernel_px: int) -> np.ndarray:
    """Gaussian whose width follows from the kernel's odd size."""
    return cv2.GaussianBlur(image, (kernel_px, kernel_px), 0)


def _stronger(image: np.ndarray, smooth: np.ndarray, amount: float) -> np.ndarray:
    return image * np.float32(1 + amount) - smooth * np.float32(amount)


def _happens(rng: Rng, chance: int) -> bool:
    return integer(rng, 0, 100) < chance


def _half(rng: Rng) -> bool:
    return integer(rng, 0, 2) == 0
