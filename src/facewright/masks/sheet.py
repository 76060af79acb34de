"""A contact sheet of faces with their masks: what is outside is dark, the edge is drawn, words stand below."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import islice

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facewright.image.warp import resize

COLUMNS, TILE_PX, MOST = 6, 224, 60
_WORDS_PX, _GAP_PX, _HEAD_PX = 36, 6, 30
_PAPER, _INK, _EDGE = (24, 24, 27), (228, 228, 231), (90, 230, 120)

Tile = tuple[np.ndarray, np.ndarray | None, tuple[str, str]]
"""(S, S, 3) uint8 RGB picture, its (m, m) float32 mask or None, two lines of words."""


def overlay(image: np.ndarray, mask: np.ndarray | None, side_px: int = TILE_PX) -> np.ndarray:
    """(side, side, 3) uint8 RGB: outside of the mask at a third of its brightness, doubt in between; a thin edge."""
    picture = resize(image, side_px, "auto")
    if mask is None:
        return picture
    area = np.clip(resize(mask, side_px, "area" if len(mask) > side_px else "linear"), 0, 1)
    shown = np.rint(picture * (1 / 3 + area[..., None] * 2 / 3)).astype(np.uint8)
    edges = cv2.findContours((area >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    return cv2.drawContours(shown, edges, -1, _EDGE, 1, cv2.LINE_AA)


def sheet(headline: str, tiles: Iterable[Tile]) -> bytes:
    """PNG of at most 60 tiles, six a row, in their order. Reads the tiles one by one."""
    shown = [(overlay(image, mask), words) for image, mask, words in islice(tiles, MOST)]
    columns = min(COLUMNS, max(len(shown), 2))
    rows = -(-len(shown) // columns)
    cell = TILE_PX + _GAP_PX
    size = (columns * cell + _GAP_PX, _HEAD_PX + rows * (cell + _WORDS_PX) + _GAP_PX)
    paper = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(paper)
    pen.text((_GAP_PX, _HEAD_PX / 2), _fitting(headline, size[0], 15), _INK, ImageFont.load_default(15), anchor="lm")
    font = ImageFont.load_default(13)
    for place, (picture, words) in enumerate(shown):
        x, y = _GAP_PX + place % columns * cell, _HEAD_PX + place // columns * (cell + _WORDS_PX)
        paper.paste(Image.fromarray(picture), (x, y))
        for line, text in enumerate(words):
            pen.text((x, y + TILE_PX + 2 + 16 * line), _fitting(text, TILE_PX, 13), fill=_INK, font=font)
    out = io.BytesIO()
    paper.save(out, "PNG", compress_level=6)
    return out.getvalue()


def _fitting(text: str, width_px: int, size: int) -> str:
    """As much of the text as fits; a font without a sign for it draws a box."""
    font = ImageFont.load_default(size)
    while text and font.getlength(text) > width_px:
        text = text[:-1]
    return text
