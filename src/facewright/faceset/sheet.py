"""Contact sheets: pictures in rows with words below, on one page or on as many as it takes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facewright.core.files import make_folder, write_atomic
from facewright.image.warp import resize

PER_PAGE = 120
"""Pictures on a page unless told otherwise: more are too small to judge, or too large a file to look at."""
MOST_PAGES = 200

Colour = tuple[int, int, int]
Tile = np.ndarray | None
"""(H, W, 3) uint8 RGB of any size, or None where there is no picture to show."""

PAPER: Colour = (24, 24, 27)
INK: Colour = (228, 228, 231)
GREEN: Colour = (80, 210, 110)
AMBER: Colour = (245, 178, 66)
RED: Colour = (240, 82, 82)
GREY: Colour = (128, 128, 136)
BLUE: Colour = (96, 165, 250)

_GAP_PX, _WORDS_PX, _HEAD_PX, _LINE_PX, _EDGE_PX, _MOST_LINES = 8, 13, 17, 17, 3, 4
_EMPTY: Colour = (44, 44, 48)


def sheet(
    tiles: Iterable[Tile], captions: Sequence[str] = (), columns: int = 0, side_px: int = 160, *, headline: str = "",
    tall: float = 1.0, edges: Sequence[Colour | None] = (),
) -> np.ndarray:
    """One page, (H, W, 3) uint8 RGB: the pictures from left to right and top to bottom, whole, in their proportions.

    captions: words below each (lines part at "\\n"; what is too wide is wrapped, a word in itself too wide loses its
    middle). columns 0: as many as make a page about 1,400 px wide, no more than there are pictures. side_px: width of
    a tile; tall: its height over its width. edges: colour of a picture's frame, None for none. Tiles are read one by
    one; a page holds them all, so thousands go through `pages`.
    """
    width, height = side_px, max(round(side_px * tall), 1)
    shown = [_fitted(tile, width, height, _at(edges, place)) for place, tile in enumerate(tiles)]
    columns = columns or min(max(1400 // (width + _GAP_PX), 1), max(len(shown), 1))
    words = [_wrapped(captions[place], width) if place < len(captions) else [] for place in range(len(shown))]
    rows = [range(at, min(at + columns, len(shown))) for at in range(0, len(shown), columns)]
    depth = [height + max((len(words[i]) for i in row), default=0) * _LINE_PX + 2 * _GAP_PX for row in rows]
    page_width = columns * (width + _GAP_PX) + _GAP_PX
    head = _wrapped(headline, page_width - 2 * _GAP_PX, _HEAD_PX) if headline else []
    top = _GAP_PX + len(head) * (_HEAD_PX + 5) + (_GAP_PX if head else 0)
    paper = Image.new("RGB", (page_width, top + sum(depth)), PAPER)
    pen = ImageDraw.Draw(paper)
    for line, text in enumerate(head):
        pen.text((_GAP_PX, _GAP_PX + line * (_HEAD_PX + 5)), text, INK, _font(_HEAD_PX))
    for row, tall_px in zip(rows, depth):
        for column, place in enumerate(row):
            x = _GAP_PX + column * (width + _GAP_PX)
            paper.paste(Image.fromarray(shown[place]), (x, top))
            for line, text in enumerate(words[place]):
                pen.text((x, top + height + 3 + line * _LINE_PX), text, INK, _font(_WORDS_PX))
        top += tall_px
    return np.asarray(paper)


def pages(
    tiles: Iterable[Tile], captions: Sequence[str] = (), columns: int = 0, side_px: int = 160, *, headline: str = "",
    tall: float = 1.0, edges: Sequence[Colour | None] = (), per_page: int = PER_PAGE,
) -> Iterator[np.ndarray]:
    """The same for any number of pictures: pages of at most `per_page`, one in memory at a time.

    The number of a page stands behind the headline. Nothing at all gives one page that says so.
    """
    source, total, place = iter(tiles), len(captions), 0
    last = max(-(-total // per_page), 1)
    while True:
        here = list(islice(source, per_page))
        if not here and place:
            return
        number = place // per_page + 1
        words = headline + (f"  ({number} of {last})" if last > 1 else "")
        yield sheet(here, captions[place : place + len(here)], columns, side_px, headline=words, tall=tall,
                    edges=edges[place : place + len(here)])
        place += per_page
        if len(here) < per_page:
            return


def save(pages_of: Iterable[np.ndarray], path: Path) -> list[Path]:
    """Write pages as PNG (or JPEG by the name's end): OUT.png, OUT-2.png and so on. Raises DiskRefused."""
    make_folder(path.parent)
    written = []
    for number, page in enumerate(islice(pages_of, MOST_PAGES), 1):
        place = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        write_atomic(place, coded(page, jpeg=path.suffix.lower() in (".jpg", ".jpeg")))
        written.append(place)
    return written


def coded(page: np.ndarray, *, jpeg: bool = False) -> bytes:
    """PNG (or JPEG) of an (H, W, 3) uint8 RGB picture."""
    out = io.BytesIO()
    if jpeg:
        Image.fromarray(page).save(out, "JPEG", quality=92, subsampling=0)
    else:
        Image.fromarray(page).save(out, "PNG", compress_level=4)
    return out.getvalue()


def _at(edges: Sequence[Colour | None], place: int) -> Colour | None:
    return edges[place] if place < len(edges) else None


def _fitted(tile: Tile, width: int, height: int, edge: Colour | None) -> np.ndarray:
    """The picture as large as it fits, centred; a crossed field where there is none."""
    field = np.full((height, width, 3), _EMPTY, np.uint8)
    if tile is None or not tile.size:
        cv2.line(field, (0, 0), (width - 1, height - 1), GREY, 1, cv2.LINE_AA)
        cv2.line(field, (width - 1, 0), (0, height - 1), GREY, 1, cv2.LINE_AA)
    else:
        plain = tile if tile.dtype == np.uint8 else (tile >> 8).astype(np.uint8)
        factor = min(width / plain.shape[1], height / plain.shape[0])
        small = resize(plain, (max(round(plain.shape[1] * factor), 1), max(round(plain.shape[0] * factor), 1)), "auto")
        top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
        field[top : top + small.shape[0], left : left + small.shape[1]] = small
    if edge is not None:
        cv2.rectangle(field, (0, 0), (width - 1, height - 1), edge, _EDGE_PX)
    return field


def _wrapped(text: str, width_px: int, size: int = _WORDS_PX) -> list[str]:
    """Lines that fit, four at most; the last ends in dots where words are left."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            whole = f"{line} {word}" if line else word
            if _length(whole, size) <= width_px:
                line = whole
                continue
            if line:
                lines.append(line)
            line = _squeezed(word, width_px, size)
        lines.append(line)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], _squeezed(f"{lines[_MOST_LINES - 1]} ...", width_px, size)]
    return lines


def _squeezed(word: str, width_px: int, size: int) -> str:
    """A word too wide for its line without its middle: the ends of names tell them apart."""
    if _length(word, size) <= width_px:
        return word
    keep = len(word)
    while keep > 2:
        keep -= 1
        short = f"{word[: (keep + 1) // 2]}...{word[len(word) - keep // 2 :]}"
        if _length(short, size) <= width_px:
            return short
    return word[:1]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _length(text: str, size: int) -> float:
    return float(_font(size).getlength(text))
