"""The coverage of a source, or of a source and a target, as one picture: heat maps of poses, bars, and the advice."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

SOURCE, TARGET, LACK = (0, 114, 178), (213, 94, 0), (200, 0, 60)
"""Told apart by colour-blind eyes too (Okabe and Ito's palette)."""
_INK, _SOFT, _GRID, _PAPER = (60, 60, 66), (120, 120, 128), (214, 214, 220), (255, 255, 255)
_CELL_W, _CELL_H, _MARGIN, _LEFT, _GAP, _LINE = 46, 38, 28, 56, 46, 21
_BAR_W, _BAR_H, _WORD_W, _WARNING_W = 300, 13, 150, 84


def draw(
    source: Mapping[str, Any], target: Mapping[str, Any] | None, compared: Mapping[str, Any] | None,
    advice: Sequence[Mapping[str, str]],
) -> bytes:
    """PNG of coverage.facts of one or two sets, their comparison and what advice says of it."""
    grids = [(source, SOURCE, None)]
    if target is not None and compared is not None:
        grids.append((target, TARGET, compared["lacking"]))
    columns, rows = len(source["poses"][0]), len(source["poses"])
    panel_w, panel_h = _LEFT + columns * _CELL_W, 34 + rows * _CELL_H + 44
    width = max(2 * _MARGIN + len(grids) * panel_w + (len(grids) - 1) * _GAP, 2 * (_MARGIN + _WORD_W + _BAR_W) + 190)
    lines = [(one["kind"], line) for one in advice for line in _wrapped(one["text"], width - 2 * _MARGIN - _WARNING_W)]
    bars_h = 24 + 3 * (3 * (2 * _BAR_H + 8) + 34)
    height = _MARGIN + panel_h + 20 + bars_h + (60 if compared else 0) + _LINE * len(lines) + 40 + _MARGIN
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    for number, (facts, colour, lacking) in enumerate(grids):
        _poses(pen, _MARGIN + number * (panel_w + _GAP), _MARGIN, facts, colour, lacking)
    top = _bars(pen, _MARGIN + panel_h + 20, width, source, target)
    if compared is not None and target is not None:
        top = _heads(pen, top, source, target, compared)
    bottom = _words(pen, top + 8, advice, width)
    out = io.BytesIO()
    image.crop((0, 0, width, min(bottom + _MARGIN, height))).save(out, "PNG")
    return out.getvalue()


def _poses(
    pen: ImageDraw.ImageDraw, x0: int, y0: int, facts: Mapping[str, Any], colour: Colour,
    lacking: Sequence[Sequence[int]] | None,
) -> None:
    """One grid: the darker the more faces; a red frame where the source lacks what the target shows."""
    poses, yaw, pitch = facts["poses"], facts["yaw_edges_deg"], facts["pitch_edges_deg"]
    role = "target" if lacking is not None else "source"
    pen.text((x0, y0), f"{role}  {facts['name'][:40]}: {facts['faces']:,} faces", fill=colour, font=_font(18))
    if lacking is not None:
        pen.text((x0 + _LEFT + len(poses[0]) * _CELL_W, y0 + 3), "red: faces beyond the source's reach", fill=LACK,
                 font=_font(13), anchor="rt")
    left, top = x0 + _LEFT, y0 + 34
    most = max(max(row) for row in poses) or 1
    for r, row in enumerate(poses):
        for c, count in enumerate(row):
            box = (left + c * _CELL_W, top + r * _CELL_H, left + (c + 1) * _CELL_W, top + (r + 1) * _CELL_H)
            share = math.log1p(count) / math.log1p(most)
            fill = _mixed(colour, share)
            pen.rectangle(box, fill=fill, outline=_GRID)
            middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            missing = lacking[r][c] if lacking is not None else 0
            if count:
                ink = _PAPER if share > 0.55 else _INK
                place = (middle[0], middle[1] - (7 if missing else 0))
                pen.text(place, _short(count), fill=ink, font=_font(13), anchor="mm")
            if missing:
                pen.rectangle((box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), outline=LACK, width=3)
                low, high = middle[1] + 1, box[3] - 4
                pen.rectangle((box[0] + 4, low, box[2] - 4, high), fill=LACK)
                pen.text((middle[0], (low + high) / 2), _short(missing), fill=_PAPER, font=_font(12), anchor="mm")
    bottom = top + len(poses) * _CELL_H
    for c, edge in enumerate(yaw):
        if c % 2 == 0:
            pen.text((left + c * _CELL_W, bottom + 4), f"{edge:g}", fill=_INK, font=_font(12), anchor="mt")
    for r, edge in enumerate(pitch):
        pen.text((left - 6, top + r * _CELL_H), f"{edge:g}", fill=_INK, font=_font(12), anchor="rm")
    right, below = left + (len(yaw) - 1) * _CELL_W, bottom + 20
    pen.text((left, below), "turned to image left", fill=_SOFT, font=_font(13), anchor="lt")
    pen.text((right, below), "to image right", fill=_SOFT, font=_font(13), anchor="rt")
    pen.text(((left + right) / 2, below), "degrees", fill=_SOFT, font=_font(13), anchor="mt")
    pen.text((x0 - 8, top + _CELL_H / 2), "up", fill=_SOFT, font=_font(13), anchor="lm")
    pen.text((x0 - 8, bottom - _CELL_H / 2), "down", fill=_SOFT, font=_font(13), anchor="lm")


def _bars(
    pen: ImageDraw.ImageDraw, top: int, width: int, source: Mapping[str, Any], target: Mapping[str, Any] | None
) -> int:
    """Shares of expressions and lights, two blocks a column; returns where the next part begins."""
    sets = [(source, SOURCE)] + ([(target, TARGET)] if target is not None else [])
    halves = (
        (("expression: mouth", "mouth"), ("expression: eyes", "eyes"), ("gaze, of heads that look ahead", "gaze")),
        (("light from the side", "light"), ("light's height", "light_height")),
    )
    ends = []
    for column, blocks in enumerate(halves):
        x, y = _MARGIN + column * (width // 2), top
        for title, key in blocks:
            pen.text((x, y), title, fill=_INK, font=_font(15))
            y += 24
            for word in source[key]:
                pen.text((x, y + (_BAR_H + 1) * len(sets) / 2), word, fill=_INK, font=_font(13), anchor="lm")
                for row, (facts, colour) in enumerate(sets):
                    share = facts[key][word] / max(sum(facts[key].values()), 1)
                    y0 = y + row * (_BAR_H + 1)
                    end = x + _WORD_W + max(share * _BAR_W, 0.5)
                    pen.rectangle((x + _WORD_W, y0, end, y0 + _BAR_H - 1), fill=colour)
                    pen.text((x + _WORD_W + share * _BAR_W + 6, y0 + _BAR_H / 2), _percent(share), fill=_INK,
                             font=_font(12), anchor="lm")
                y += len(sets) * _BAR_H + 8
            y += 10
        ends.append(y)
    return max(ends)


def _heads(
    pen: ImageDraw.ImageDraw, top: int, source: Mapping[str, Any], target: Mapping[str, Any],
    compared: Mapping[str, Any],
) -> int:
    parts = []
    for word, ratio in compared["proportions"].items():
        if ratio is not None:
            parts.append(f"{word} {source['proportions'][word]:.2f} and {target['proportions'][word]:.2f} "
                         f"({100 * (ratio - 1):+.1f} %)")
    text = "; ".join(parts) or "no face of one of them looks ahead"
    pen.text((_MARGIN, top), "heads of source and target, in distances of the eyes", fill=_INK, font=_font(15))
    pen.text((_MARGIN, top + 24), text, fill=_INK, font=_font(14))
    return top + 52


def _words(pen: ImageDraw.ImageDraw, top: int, advice: Sequence[Mapping[str, str]], width: int) -> int:
    for one in advice:
        warns = one["kind"] == "warning"
        pen.text((_MARGIN, top), one["kind"], fill=LACK if warns else _SOFT, font=_font(14))
        for line in _wrapped(one["text"], width - 2 * _MARGIN - _WARNING_W):
            pen.text((_MARGIN + _WARNING_W, top), line, fill=_INK, font=_font(14))
            top += _LINE
    return top


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and _font(14).getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _short(count: int) -> str:
    return f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"


def _percent(share_01: float) -> str:
    return "0" if not share_01 else f"{100 * share_01:.1f} %" if share_01 < 0.1 else f"{100 * share_01:.0f} %"


def _mixed(colour: Colour, share_01: float) -> Colour:
    r, g, b = (round(p + (c - p) * share_01) for p, c in zip(_PAPER, colour))
    return r, g, b


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
