"""The preview sheet: what the net makes of some faces, side by side, plain and inside its masks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from facewright.models.net import Views
from facewright.training.batches import DST, SRC, Batches

Forward = Callable[[torch.Tensor, torch.Tensor], Views]

COLUMNS = ("source", "source, learned", "target", "target, learned", "swap")
LABELS = (COLUMNS, tuple(f"{name}, masked" for name in COLUMNS))
HEAD_PX, LABEL_PX, GAP_PX = 26, 22, 10
_PLAIN = 1e-3
LAYOUT = "facewright-preview"
"""Under this word a sheet says how it is laid out: side, rows, labels of its blocks."""
PAPER, INK = (24, 24, 27), (228, 228, 231)


def pick(count: int, wanted: int = 4) -> np.ndarray:
    """Rows spread evenly over `count` faces, (min(wanted, count),) int64."""
    n = min(wanted, count)
    return ((np.arange(n) + 0.5) * count / n).astype(np.int64)


def at_frames(frames: np.ndarray, wanted: str) -> np.ndarray:
    """Rows of the faces next to the frames `wanted` ("12, 40"), each once; spread evenly where none is named."""
    numbers = [int(part) for part in wanted.split(",") if part.strip()]
    rows = [int(np.abs(frames - number).argmin()) for number in numbers]
    return np.array(list(dict.fromkeys(rows)), np.int64) if rows else pick(len(frames))


def views(forward: Forward, batches: Batches, rows_src: np.ndarray, rows_dst: np.ndarray) -> np.ndarray:
    """(2, n, 5, R, R, 3) uint8 RGB: plain and masked, per face the columns of COLUMNS. `forward`: the net's, with
    the swap. One row per pair of faces: n is the smaller number.

    Targets are fed unbent. The swap is shown inside both masks' product, as the merge would use it; nothing outside
    a mask was learned, so the masked half is the one to judge.
    """
    n = min(len(rows_src), len(rows_dst))
    src, dst = batches.plain(SRC, rows_src[:n]), batches.plain(DST, rows_dst[:n])
    with torch.no_grad():
        v = forward(src.target, dst.target)
    if v.src_dst is None or v.src_dst_mask is None:
        raise ValueError("the forward pass of a preview makes the swap too")
    plain = (src.target, v.src_src, dst.target, v.dst_dst, v.src_dst)
    masks = (src.mask, v.src_src_mask, dst.mask, v.dst_dst_mask, v.dst_dst_mask * v.src_dst_mask)
    both = torch.stack([torch.stack(plain, 1), torch.stack([p * m for p, m in zip(plain, masks)], 1)]).float()
    u8 = (both.clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
    return u8.transpose(0, 1, 2, 4, 5, 3)[..., ::-1]


def life(made: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """Mean spread of (n, C, R, R) pictures as a share of that of `wanted`, inside (n, 1, R, R) masks: of plain areas 0;
    1 where `wanted` is plain too."""
    weight = torch.ones_like(wanted[:, :1]) if mask is None else mask

    def spread(pictures: torch.Tensor) -> float:
        over = weight.sum((2, 3), keepdim=True).clamp(min=1e-6)
        pictures = pictures.float()
        mean = (pictures * weight).sum((2, 3), keepdim=True) / over
        return float((((pictures - mean) ** 2 * weight).sum((2, 3), keepdim=True) / over).sqrt().mean())

    there = spread(wanted)
    return spread(made) / there if there > _PLAIN else 1.0


def sheet(tiles: np.ndarray, headline: str, labels: Sequence[Sequence[str]] = LABELS) -> bytes:
    """(blocks, n, k, R, R, 3) uint8 RGB -> PNG: the k columns of each block beside each other, with their labels.

    Small nets are shown twice as large, pixel by pixel, so that labels fit and nothing is smoothed over.
    """
    blocks, rows, columns, side = tiles.shape[:4]
    if side < 128:
        tiles, side = tiles.repeat(2, 3).repeat(2, 4), side * 2
    width = blocks * columns * side + (blocks - 1) * GAP_PX
    image = Image.new("RGB", (width, HEAD_PX + LABEL_PX + rows * side), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((8, HEAD_PX / 2), headline, fill=INK, font=ImageFont.load_default(15), anchor="lm")
    font = ImageFont.load_default(13)
    for block in range(blocks):
        for column in range(columns):
            x = block * (columns * side + GAP_PX) + column * side
            pen.text((x + side / 2, HEAD_PX + LABEL_PX / 2), labels[block][column], fill=INK, font=font, anchor="mm")
            for row in range(rows):
                image.paste(Image.fromarray(np.ascontiguousarray(tiles[block, row, column])),
                            (x, HEAD_PX + LABEL_PX + row * side))
    layout = PngInfo()
    layout.add_text(LAYOUT, json.dumps({"side": side, "rows": rows, "labels": [list(block) for block in labels]}))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3, pnginfo=layout)
    return out.getvalue()
