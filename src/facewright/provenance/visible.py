"""A mark that everyone sees: TEST on films of test clips, PREVIEW on films that no gate has looked at."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

OPACITY_01 = 0.6
HEIGHT_OF_SHORT_SIDE = 1 / 18
MIN_HEIGHT_PX = 9


def visible_mark(image: np.ndarray, text: str) -> np.ndarray:
    """A copy of the (H, W, 3) RGB picture (uint8, uint16 or float 0..1) with `text` in its lower left corner.

    White letters on a dark box, half transparent, as high as 1/18 of the short side. The rest keeps its bits.
    """
    top = float(np.iinfo(image.dtype).max) if np.issubdtype(image.dtype, np.integer) else 1.0
    light, cover = _label(text, *_room(image.shape[1], image.shape[0]))
    height, width = light.shape
    margin = max(2, min(image.shape[:2]) // 40)
    y1, x0 = image.shape[0] - margin, margin
    y0, x1 = max(y1 - height, 0), min(x0 + width, image.shape[1])
    marked = image.copy()
    part = marked[y0:y1, x0:x1].astype(np.float32)
    alpha, ink = cover[: y1 - y0, : x1 - x0, None], light[: y1 - y0, : x1 - x0, None] * top
    blend = part * (1 - alpha) + ink * alpha
    marked[y0:y1, x0:x1] = np.rint(blend).astype(image.dtype) if top > 1 else blend.astype(image.dtype)
    return marked


def _room(width_px: int, height_px: int) -> tuple[int, int]:
    """(letter height, most that the label may be wide)."""
    return max(MIN_HEIGHT_PX, round(min(width_px, height_px) * HEIGHT_OF_SHORT_SIDE)), int(width_px * 0.9)


@lru_cache(maxsize=16)
def _label(text: str, letter_px: int, most_px: int) -> tuple[np.ndarray, np.ndarray]:
    """(brightness 0..1, opacity 0..1), both (h, w) float32, of the box with its letters."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=letter_px)
    left, top, right, bottom = font.getbbox(text)
    if right - left + letter_px > most_px and letter_px > MIN_HEIGHT_PX:
        return _label(text, max(MIN_HEIGHT_PX, letter_px * most_px // int(right - left + letter_px) - 1), most_px)
    pad = max(2, letter_px // 3)
    size = (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad)
    canvas = Image.new("L", size, 0)
    ImageDraw.Draw(canvas).text((pad - left, pad - top), text, fill=255, font=font)
    light = np.asarray(canvas, np.float32) / 255
    return light, np.maximum(light * 0.9, OPACITY_01).astype(np.float32)
