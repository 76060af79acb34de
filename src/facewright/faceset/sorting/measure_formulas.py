"""What can be measured of one face: formulas over its picture, points and metadata; `measures` keeps the values.

The first group is the original's (data-formats-and-merging.md 7), equal to its numbers. "Inside" means within the hull
of the 68 points that count, as the original draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import cv2
import numpy as np

from facewright.faces import gaze
from facewright.faces.align import POSE_POINTS, dfl_pose_rad, template_3d
from facewright.faces.face import Face
from facewright.faceset import record
from facewright.faceset.sorting import shapes
from facewright.image.geometry import apply_affine, scaling
from facewright.image.masks import eyes_mask, hull_mask, mouth_mask
from facewright.image.sharpness import LEAST_SIDE_PX, cpbd, laplacian_variance
from facewright.image.warp import resize

SMALL_PX = 64
"""Side of the small pictures that are compared pixel by pixel."""
DARKEST, BRIGHTEST = 16, 240
"""A grey value of at most, or at least this much holds no drawing any more: it counts as clipped."""

_LAPLACIAN_PX = 256
_GAMMA = 2.2
_LEAST_SKIN = 50


class Look:
    """One face with what several measures share of it, made on demand. image (S, S, 3) uint8 RGB, or None where only
    the metadata were read."""

    def __init__(self, face: Face, image: np.ndarray | None, data: bytes | None = None) -> None:
        self.face = face
        self._image, self._data = image, data

    @property
    def image(self) -> np.ndarray:
        """(S, S, 3) uint8 RGB. ValueError when the picture was not read."""
        if self._image is None:
            raise ValueError("this measure needs the picture")
        return self._image

    @cached_property
    def points(self) -> np.ndarray:
        """(68, 2) the points that count, in pixels of the picture (of the crop where that was not read)."""
        matrix = self.face.face_from_frame
        if self._image is not None and self._image.shape[0] != self.face.side_px:
            matrix = scaling(self._image.shape[0] / self.face.side_px) @ matrix
        return apply_affine(matrix, self.face.points)

    @cached_property
    def hull(self) -> np.ndarray:
        """(S, S) uint8: 1 inside."""
        return hull_mask(self.points, self.image.shape[:2]).astype(np.uint8)

    @cached_property
    def inside(self) -> np.ndarray:
        """(S, S, 3) uint8: black outside."""
        return self.image * self.hull[..., None]

    @property
    def mask(self) -> np.ndarray | None:
        """(m, m) uint8, None where none is stored; read from the file's bytes. Raises FileRefused."""
        return None if self._data is None else record.decode_mask(self._data)

    @cached_property
    def grey(self) -> np.ndarray:
        """(S, S) uint8."""
        return cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY)

    @cached_property
    def grey_inside(self) -> np.ndarray:
        """(S, S) uint8: 0 outside."""
        return self.grey * self.hull

    @cached_property
    def hsv(self) -> np.ndarray:
        """(S, S, 3) uint8, hue 0..179."""
        return cv2.cvtColor(self.image, cv2.COLOR_RGB2HSV)

    @cached_property
    def inside_counts(self) -> np.ndarray:
        """(256,) pixels of each grey value; all that is outside counts as black."""
        return counts(self.grey_inside)

    @cached_property
    def small(self) -> np.ndarray:
        """(64, 64, 3) uint8 RGB, means of areas."""
        side = self.image.shape[0]
        if side == SMALL_PX:
            return self.image
        return resize(self.image, SMALL_PX, "area" if side > SMALL_PX else "linear")


@dataclass(frozen=True, slots=True)
class Measure:
    """One kind of value. `version` counts up when its formula changes: kept values of another one do not count.

    of: Look -> value of `shape` and `dtype`. picture: whether it needs the pixels.
    """

    name: str
    version: int
    of: Callable[[Look], Any]
    help: str
    dtype: str = "<f8"
    shape: tuple[int, ...] = ()
    picture: bool = True

    @property
    def key(self) -> str:
        """Its name in the index."""
        return f"{self.name}/{self.version}"


def counts(channel: np.ndarray) -> np.ndarray:
    """(H, W) uint8 -> (256,) uint32: how many pixels have each value."""
    return cv2.calcHist([channel], [0], None, [256], [0, 256]).ravel().astype(np.uint32)


def _blur(look: Look) -> float:
    """CPBD of what is inside; NaN for pictures too small for one of its blocks (they are not blurred: nobody knows)."""
    return cpbd(look.grey_inside) if min(look.grey.shape) >= LEAST_SIDE_PX else np.nan


def _motion_blur(look: Look) -> float:
    return laplacian_variance(look.inside)


def _brightness(look: Look) -> float:
    return float(look.hsv[..., 2].mean(dtype=np.float64))


def _hue(look: Look) -> float:
    return float(look.hsv[..., 0].mean(dtype=np.float64))


def _black(look: Look) -> int:
    return look.image.size - int(np.count_nonzero(look.image))


def _colour_counts(look: Look) -> np.ndarray:
    return np.stack([counts(channel) for channel in cv2.split(look.image)])


def _pose(look: Look) -> tuple[float, float]:
    """The original's pose in degrees with the house's signs."""
    pitch, yaw, _ = dfl_pose_rad(look.points, look.face.side_px if look._image is None else look.image.shape[1])
    return -float(np.degrees(yaw)), -float(np.degrees(pitch))


def _laplacian(look: Look) -> float:
    """Of the grey at 256 px, so that size does not decide; only inside, so that hair and background do not."""
    side = look.grey.shape[0]
    small = look.grey if side == _LAPLACIAN_PX else resize(
        look.grey, _LAPLACIAN_PX, "area" if side > _LAPLACIAN_PX else "linear")
    hull = hull_mask(look.points * (_LAPLACIAN_PX / side), small.shape[:2]).astype(np.uint8)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S), mask=hull)
    return float(deviation[0, 0]) ** 2


def _exposure(look: Look) -> tuple[float, float]:
    """(share too dark, share too bright) of the pixels inside."""
    total = int(look.hull.sum())
    if not total:
        return np.nan, np.nan
    found = look.inside_counts
    outside = look.hull.size - total
    return (float(found[: DARKEST + 1].sum()) - outside) / total, float(found[BRIGHTEST:].sum()) / total


def _light(look: Look) -> tuple[float, float]:
    """From where the face is lit: a plane through the luminance of its skin (inside, without eyes and lips).

    (to image right, to above), each the plane's rise from the middle of the face to its edge as a share of the mean:
    0 = even, +-0.5 = strong. Luminance is grey to the power 2.2, at 64 px.
    """
    points = look.points * (SMALL_PX / look.image.shape[0])
    shape = (SMALL_PX, SMALL_PX)
    moving = eyes_mask(points, shape) + mouth_mask(points, shape, whole_lips=True)
    skin = (hull_mask(points, shape) > 0) & (moving < 0.1)
    y, x = np.nonzero(skin)
    if len(x) < _LEAST_SKIN or not x.std() or not y.std():
        return np.nan, np.nan
    luminance = (cv2.cvtColor(look.small, cv2.COLOR_RGB2GRAY)[skin] / 255.0) ** _GAMMA
    # An even spread over -1..1 has a deviation of 1 / sqrt 3.
    u, v = ((place - place.mean()) / (np.sqrt(3) * place.std()) for place in (x, y))
    mean, right, down = np.linalg.lstsq(np.stack([np.ones(len(u)), u, v], 1), luminance, rcond=None)[0]
    return (float(right / mean), float(-down / mean)) if mean > 1e-4 else (0.0, 0.0)


def _expression(look: Look) -> tuple[float, float]:
    """(mouth, eyes): height of the inner lips over their width; mean of both lids' opening over the eye's width."""
    p = look.points

    def gap(*pairs: tuple[int, int]) -> float:
        return float(np.mean([np.linalg.norm(p[a] - p[b]) for a, b in pairs]))

    mouth = gap((61, 67), (62, 66), (63, 65)) / max(gap((60, 64)), 1e-6)
    eyes = [gap((a + 1, a + 5), (a + 2, a + 4)) / max(gap((a, a + 3)), 1e-6) for a in (36, 42)]
    return mouth, float(np.mean(eyes))


def _gaze(look: Look) -> float:
    """See faces.gaze; NaN also where the iris net is not at hand, or the eyes are too small in their frame."""
    eyes = np.linalg.norm(look.face.points[[39, 45]] - look.face.points[[36, 42]], axis=-1)
    if eyes.min() < gaze.LEAST_EYE_PX or not gaze.at_hand():
        return float("nan")
    return gaze.gaze_deg(look.image, look.points, look.face.yaw_deg)


def _misfit(look: Look) -> float:
    """How far jaw, brows, nose and eyes lie from where a rigid mean head seen from afar would have them: RMS distance
    over the spread of the points. A sound face has 0.02 to 0.06."""
    p = np.asarray(look.points, np.float64)[POSE_POINTS]
    off = p - _head() @ (_head_inverse() @ p)
    spread = float(np.sqrt(((p - p.mean(0)) ** 2).sum(1).mean()))
    return float(np.sqrt((off**2).sum(1).mean())) / max(spread, 1e-6)


def _colour(look: Look) -> tuple[float, float, float, float]:
    return shapes.colour(look.small, look.points * (SMALL_PX / look.image.shape[0]))


@cache
def _head() -> np.ndarray:
    """(33, 4): the mean head's points and 1."""
    return np.column_stack([template_3d()[POSE_POINTS].astype(np.float64), np.ones(len(POSE_POINTS))])


@cache
def _head_inverse() -> np.ndarray:
    return np.linalg.pinv(_head())


MEASURES: dict[str, Measure] = {m.name: m for m in (
    Measure("blur", 1, _blur, "CPBD sharpness of what is inside: 0..1, 1 = sharp; NaN below 64 px"),
    Measure("motion_blur", 1, _motion_blur,
            "variance of the Laplacian (11 x 11) of what is inside, black around; larger = sharper"),
    Measure("brightness", 1, _brightness, "mean of the largest channel, 0..255"),
    Measure("hue", 1, _hue, "mean hue, 0..179, not circular"),
    Measure("black", 1, _black, "how many channel values of the picture are 0", "<i8"),
    Measure("colour_counts", 1, _colour_counts, "histograms of red, green, blue", "<u4", (3, 256)),
    Measure("grey_counts", 1, lambda look: counts(look.grey), "histogram of the grey picture", "<u4", (256,)),
    Measure("inside_counts", 1, lambda look: look.inside_counts, "the same with black around", "<u4", (256,)),
    Measure("small", 1, lambda look: look.small, "the picture at 64 px, RGB", "|u1", (SMALL_PX, SMALL_PX, 3)),
    Measure("pose", 1, _pose, "yaw, pitch of the 68 points in degrees, house signs", "<f8", (2,), picture=False),
    Measure("laplacian", 1, _laplacian, "variance of the Laplacian (3 x 3) inside, at 256 px; larger = sharper"),
    Measure("exposure", 1, _exposure, "shares inside that are too dark, too bright: 0..1", "<f8", (2,)),
    Measure("light", 1, _light, "light from image right, from above: -1..1, 0 = even", "<f8", (2,)),
    Measure("expression", 1, _expression, "openness of mouth, of eyes (height / width)", "<f8", (2,), picture=False),
    Measure("gaze", 1, _gaze, "turn of the eyes in the head, degrees, to image right positive; NaN: not known"),
    Measure("crop", 1, lambda look: shapes.crop_in_frame(look.face),
            "side in frame px, angle in degrees, centre x and y of the crop", "<f8", (4,), picture=False),
    Measure("extent", 1, lambda look: shapes.extent(look.face), "x0, y0, x1, y1 of the points in frame px", "<f8", (4,),
            picture=False),
    Measure("proportions", 1, lambda look: shapes.proportions(look.face),
            "width, length, jaw of the head in distances of the eyes", "<f8", (3,), picture=False),
    Measure("colour", 1, _colour, "Lab means and chroma inside", "<f8", (4,)),
    Measure("void", 1, lambda look: shapes.void(look.image, look.hull), "share inside that is quite black: 0..1"),
    Measure("covered", 1, lambda look: shapes.covered(look.mask, look.points, look.image.shape[0]),
            "share inside that the stored mask leaves out: 0..1, NaN without one"),
    Measure("misfit", 1, _misfit, "distance of the points from a rigid head's, RMS / spread", "<f8", picture=False),
)}
"""Everything that `measures.measures` can be asked for."""
