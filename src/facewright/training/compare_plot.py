"""Loss curves of several runs in one picture: over iterations, and over seconds of training."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facewright.training.curve import log_ticks, ticks

Course = tuple[np.ndarray, np.ndarray, np.ndarray]

COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (90, 90, 90),
           (120, 80, 40))
"""Told apart by colour-blind eyes too (Okabe and Ito's palette, and two more); further runs begin again, thinner."""
_WIDTH, _PANEL, _LINE = 960, 330, 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 944, 12, 44
_INK, _GRID, _PAPER = (60, 60, 66), (228, 228, 232), (255, 255, 255)
_SMOOTH_PX = 6
_SCALES = ((1.0, "seconds"), (60.0, "minutes"), (3600.0, "hours"))


def draw(names: Sequence[str], courses: Sequence[Course]) -> bytes:
    """PNG. courses: (iterations, seconds, losses) a run, as compare.course gives them; a run without any is named only.

    The vertical axis is logarithmic and the same in both panels.
    """
    head = 18 + _LINE * -(-len(names) // 2)
    image = Image.new("RGB", (_WIDTH, head + 2 * _PANEL), _PAPER)
    pen = ImageDraw.Draw(image)
    _legend(pen, names, courses)
    lines = [c for c in courses if len(c[0])]
    if lines:
        low, high = _span([c[2] for c in lines])
        longest = max(float(c[1][-1]) for c in lines)
        unit, word = next((u for u in reversed(_SCALES) if longest >= 3 * u[0]), _SCALES[0])
        _panel(pen, head, [(c[0], c[2]) for c in courses], low, high, "iteration")
        _panel(pen, head + _PANEL, [(c[1] / unit, c[2]) for c in courses], low, high, f"{word} of training")
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return out.getvalue()


def _legend(pen: ImageDraw.ImageDraw, names: Sequence[str], courses: Sequence[Course]) -> None:
    font = ImageFont.load_default(14)
    for index, (name, (_, _, losses)) in enumerate(zip(names, courses)):
        x, y = _LEFT + index % 2 * (_WIDTH - _LEFT) // 2, 14 + _LINE * (index // 2)
        tail = f"{losses[-max(1, len(losses) // 50):].mean():.4f}" if len(losses) else "no losses"
        pen.rectangle([x, y - 5, x + 14, y + 5], fill=COLOURS[index % len(COLOURS)])
        pen.text((x + 20, y), f"{name[:40]}  {tail}", fill=_INK, font=font, anchor="lm")


def _span(losses: Sequence[np.ndarray]) -> tuple[float, float]:
    """Range of the vertical axis; single outliers may leave it."""
    values = np.concatenate(losses)
    values = values[values > 0] if (values > 0).any() else np.ones(1)
    low, high = np.quantile(values, [0.002, 0.998])
    return float(low) * 0.95, max(float(high) * 1.05, float(low) * 1.2)


def _panel(
    pen: ImageDraw.ImageDraw, top: int, lines: Sequence[tuple[np.ndarray, np.ndarray]], low: float, high: float,
    label: str,
) -> None:
    y0, y1 = top + _TOP, top + _PANEL - _BOTTOM
    last = max((float(at[-1]) for at, _ in lines if len(at)), default=1.0) or 1.0
    _axes(pen, y0, y1, last, low, high, label)
    for index, (at, losses) in enumerate(lines):
        if len(at):
            width = 2 if index < len(COLOURS) else 1
            points = _line(at / last * (_RIGHT - _LEFT) + _LEFT, losses)
            places = [(x, float(_height(v, low, high, y0, y1))) for x, v in points]
            pen.line(places if len(places) > 1 else places * 2, fill=COLOURS[index % len(COLOURS)], width=width)


def _line(x: np.ndarray, losses: np.ndarray) -> list[tuple[float, float]]:
    """Means of a few columns of pixels each."""
    groups = (x // _SMOOTH_PX).astype(np.int64)
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    counts = np.diff([*starts, len(x)])
    means = [np.add.reduceat(values, starts) / counts for values in (x, losses)]
    return list(zip(means[0].tolist(), means[1].tolist()))


def _height(value: float, low: float, high: float, y0: int, y1: int) -> float:
    share = (np.log(max(value, 1e-9)) - np.log(low)) / (np.log(high) - np.log(low))
    return float(np.clip(y1 - share * (y1 - y0), y0, y1))


def _axes(
    pen: ImageDraw.ImageDraw, y0: int, y1: int, last: float, low: float, high: float, label: str
) -> None:
    font = ImageFont.load_default(13)
    for value in log_ticks(low, high):
        y = _height(value, low, high, y0, y1)
        pen.line([(_LEFT, y), (_RIGHT, y)], fill=_GRID)
        pen.text((_LEFT - 8, y), f"{value:g}", fill=_INK, font=font, anchor="rm")
    scale = 1 if last >= 14 else 100  # ticks are whole numbers
    for value in ticks(0, max(1, int(last * scale))):
        x = _LEFT + value / scale / last * (_RIGHT - _LEFT)
        pen.line([(x, y1), (x, y1 + 5)], fill=_INK)
        at_edge = x > _RIGHT - 24
        pen.text((x, y1 + 8), f"{value / scale:,g}", fill=_INK, font=font, anchor="rt" if at_edge else "mt")
    pen.line([(_LEFT, y0), (_LEFT, y1), (_RIGHT, y1)], fill=_INK)
    pen.text(((_LEFT + _RIGHT) / 2, y1 + 40), label, fill=_INK, font=font, anchor="mb")
    pen.text((_LEFT + 8, y0), "source + target loss", fill=_INK, font=font, anchor="lt")
