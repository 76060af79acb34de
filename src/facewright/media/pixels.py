"""Raw pictures of the video library <-> RGB arrays: matrix, range, depth, turning. The only place that converts.

Measured on 720p flat patches (libswscale 9.5): its default path has an error of up to 3/255 and a bias of -1.1/255
(every pass would darken the film); planar RGB with accurate rounding has 0.51/255 and no bias, for 2.5 CPU-ms.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from facewright.media.frame import ColourTags

HOW = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
LIMITED, FULL = 1, 2

# H.273 matrix -> the converter's number. 10 (BT.2020 constant luminance) is approximated by 9; 0 is RGB itself.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


def matrix_of(colour: ColourTags, coded_size_px: tuple[int, int]) -> int:
    """The YUV matrix (H.273: 1, 4, 5, 6, 7, 9) to use: the tag, else BT.709 from 720 lines up and BT.601 below."""
    if colour.matrix in _MATRICES:
        return 9 if colour.matrix == 10 else colour.matrix
    return 1 if coded_size_px[1] >= 720 else 6


def depth_of(raw: VideoFrame) -> int:
    """Bits per sample of a raw picture; palettes count as 8, floats as 16."""
    if raw.format.name == "pal8":
        return 8
    return min(16, max(component.bits for component in raw.format.components))


def is_rgb(raw: VideoFrame) -> bool:
    """Whether the coded samples are RGB (no matrix applies)."""
    return raw.format.is_rgb or raw.format.name == "pal8"


class ToRgb:
    """Raw picture -> upright (H, W, 3) RGB array. One per thread: it keeps the converter's tables."""

    def __init__(
        self, colour: ColourTags, coded_size_px: tuple[int, int], scaled_px: tuple[int, int] | None = None
    ) -> None:
        self._size = scaled_px or coded_size_px
        self._matrix = _MATRICES[matrix_of(colour, coded_size_px)]
        self._range = FULL if colour.full_range else LIMITED
        self._converter = VideoReformatter()

    def __call__(self, raw: VideoFrame) -> np.ndarray:
        """uint8 for up to 8 bit, else uint16 at full range (65535 is white); scaled when its size is not the film's."""
        image = self._deep(raw) if depth_of(raw) > 8 else self._eight(raw)
        return turned(image, display_matrix(raw))

    def _reformat(self, raw: VideoFrame, layout: str) -> VideoFrame:
        width, height = self._size
        yuv = not is_rgb(raw)
        return self._converter.reformat(
            raw, width=width, height=height, format=layout, interpolation=HOW, threads=1,
            src_colorspace=self._matrix if yuv else None, src_color_range=self._range if yuv else FULL,
            dst_color_range=FULL,
        )

    def _eight(self, raw: VideoFrame) -> np.ndarray:
        if is_rgb(raw):
            return np.ascontiguousarray(self._reformat(raw, "rgb24").to_ndarray())
        green, blue, red = planes_of(self._reformat(raw, "gbrp"), np.uint8)
        image = np.asarray(cv2.merge([red, green, blue]), np.uint8)
        return _stretched(image) if self._limited_grey(raw) else image

    def _deep(self, raw: VideoFrame) -> np.ndarray:
        # The converter's 16-bit white is 255 * 256 for limited range and a plain shift for full range:
        # adding the top bits again at the bottom makes white 65535 (saturating).
        bits, limited = depth_of(raw), self._range == LIMITED and not is_rgb(raw) and not is_grey(raw)
        green, blue, red = planes_of(self._reformat(raw, "gbrp16le"), np.uint16)
        image = np.asarray(cv2.merge([red, green, blue]), np.uint16)
        if self._limited_grey(raw):
            return _stretched(image)
        low = np.right_shift(image, 8 if limited else bits)
        return np.asarray(cv2.add(image, low)) if limited or bits < 16 else image

    def _limited_grey(self, raw: VideoFrame) -> bool:
        # The converter takes grey as full range whatever the tag says.
        return is_grey(raw) and int(raw.color_range) == LIMITED


def is_grey(raw: VideoFrame) -> bool:
    """Whether the coded samples are luma alone."""
    return raw.format.name.startswith(("gray", "ya8", "ya16", "mono"))


def _stretched(image: np.ndarray) -> np.ndarray:
    unit, white = (1, 255) if image.dtype == np.uint8 else (256, 65535)
    wide = (image.astype(np.float32) - 16 * unit) * (white / (219 * unit))
    return np.rint(np.clip(wide, 0, white)).astype(image.dtype)


def planes_of(raw: VideoFrame, dtype: type[np.generic]) -> list[np.ndarray]:
    """Views of the planes, padding cut off."""
    item = np.dtype(dtype).itemsize
    return [
        np.frombuffer(memoryview(p), dtype).reshape(-1, p.line_size // item)[: p.height, : p.width] for p in raw.planes
    ]


class FromRgb:
    """RGB array -> raw picture of an encoder's pixel format. One per thread."""

    def __init__(self, layout: str, matrix: int, *, full_range: bool) -> None:
        self._layout, self._matrix = layout, _MATRICES[matrix]
        self._range = FULL if full_range else LIMITED
        self._converter = VideoReformatter()
        self._rgb = layout.startswith(("gbr", "rgb", "bgr"))
        self._bits = depth_of(VideoFrame(16, 16, layout))

    def __call__(self, image: np.ndarray) -> VideoFrame:
        """(H, W, 3) uint8 or full-range uint16 -> frame without pts."""
        if self._rgb and self._bits > 8 and image.dtype == np.uint8:
            image = image.astype(np.uint16) * 257
        if self._bits == 8 and image.dtype == np.uint16:
            # The converter's own way from 16 to 8 bit is off by one in full-range chroma.
            image = np.asarray(cv2.convertScaleAbs(image, alpha=1 / 257))
        deep = image.dtype == np.uint16
        if deep and not (self._rgb and self._bits == 16):
            # The converter's 16-bit white: 255 * 256 for YUV whatever the range, a plain shift for RGB.
            image = image - np.right_shift(image, self._bits if self._rgb else 8)
        raw = VideoFrame.from_ndarray(cast(Any, np.ascontiguousarray(image)), format="rgb48le" if deep else "rgb24")
        if self._rgb:
            made = self._converter.reformat(raw, format=self._layout, interpolation=HOW, threads=1)
        else:
            made = self._converter.reformat(
                raw, format=self._layout, dst_colorspace=self._matrix, src_color_range=FULL,
                dst_color_range=self._range, interpolation=HOW, threads=1,
            )
        return made


def display_matrix(raw: VideoFrame) -> tuple[int, int, int, int]:
    """How the coded picture is to be shown: (a, b, c, d), each -1, 0 or 1, with x' = a x + c y, y' = b x + d y."""
    for data in raw.side_data:
        if cast(Any, data).type.name == "DISPLAYMATRIX":
            m = np.frombuffer(bytes(cast(Any, data))[:36], np.int32)
            a, b, c, d = (float(m[i]) for i in (0, 1, 3, 4))
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
            return (0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)
    return (1, 0, 0, 1)


def turned(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """The picture upright, for all eight combinations of quarter turns and mirroring; contiguous."""
    a, b, c, d = matrix
    if matrix == (1, 0, 0, 1):
        return image
    if a:
        image = image[::d, ::a]
    else:
        image = image.swapaxes(0, 1)[::b, ::c]
    return np.ascontiguousarray(image)


def rotation_deg(matrix: tuple[int, int, int, int]) -> int:
    """The counter-clockwise turn (0, 90, 180, 270) that `turned` applies, mirroring aside."""
    a, b, _, d = matrix
    if a:
        return 180 if d < 0 and a < 0 else 0
    return 90 if b < 0 else 270
