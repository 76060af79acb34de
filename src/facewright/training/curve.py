"""The course of the losses: one compact file that grows, and the picture drawn from it.

RUN/losses.bin: 12 bytes per iteration, little-endian uint32 iteration, float32 source loss, float32 target loss.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facewright.core.files import disk_error, write_atomic

LOSSES = "losses.bin"
RECORD = np.dtype([("iteration", "<u4"), ("src", "<f4"), ("dst", "<f4")])
_SIZE = (960, 420)
_PLOT = (64, 28, 944, 372)
_SRC, _DST = (214, 69, 65), (24, 143, 167)
_SMOOTH_PX = 5
_ROWS, _ROW_PX, _LONGEST = 6, 16, 36
_INK, _GRID, _PAPER, _MARK = (60, 60, 66), (228, 228, 232), (255, 255, 255), (150, 120, 40)


class LossFile:
    """Appends losses; on opening cuts off what is newer than `iteration` (it will be learned again)."""

    def __init__(self, path: Path, iteration: int) -> None:
        self.path = path
        old = read_losses(path)
        kept = old[old["iteration"] <= iteration]
        if not path.exists() or path.stat().st_size != kept.nbytes:
            write_atomic(path, kept.tobytes())

    def add(self, iterations: Sequence[int], losses: np.ndarray) -> None:
        """iterations (n,), losses (n, 2) source and target."""
        rows = np.empty(len(iterations), RECORD)
        rows["iteration"], rows["src"], rows["dst"] = iterations, losses[:, 0], losses[:, 1]
        try:
            with open(self.path, "ab") as file:
                file.write(rows.tobytes())
        except OSError as error:
            raise disk_error(error, self.path) from error


def read_losses(path: Path) -> np.ndarray:
    """All whole records of a loss file; empty when there is none."""
    if not path.exists():
        return np.empty(0, RECORD)
    data = path.read_bytes()
    return np.frombuffer(data[: len(data) // RECORD.itemsize * RECORD.itemsize], RECORD).copy()


def both(losses: np.ndarray) -> np.ndarray:
    """Source + target loss of each record, float64; of a net with one loss, that one."""
    one = np.isnan(losses["dst"])
    return losses["src"].astype(np.float64) + np.where(one, 0, losses["dst"])


def draw_losses(
    losses: np.ndarray, marks: Sequence[tuple[int, str]] = (), names: Sequence[str] = ("source", "target")
) -> bytes:
    """Records (of one name: without target losses) and (iteration, text) marks -> PNG: a band from lowest to highest
    and a line of means per column.

    The vertical axis is logarithmic: training gains in ratios, and the beginning does not flatten the rest.
    """
    image = Image.new("RGB", _SIZE, _PAPER)
    pen = ImageDraw.Draw(image)
    x0, _, x1, _ = _PLOT
    lines = [(field, name, colour) for (field, colour), name in zip((("src", _SRC), ("dst", _DST)), names)]
    losses = losses[np.logical_and.reduce([np.isfinite(losses[field]) for field, _, _ in lines])]
    if len(losses):
        first, last = int(losses["iteration"][0]), max(int(losses["iteration"][-1]), int(losses["iteration"][0]) + 1)
        low, high = _span(np.concatenate([losses[field] for field, _, _ in lines]))
        _axes(pen, first, last, low, high)
        column = (losses["iteration"].astype(np.int64) - first) * (x1 - x0) // (last - first + 1)
        for field, _, colour in reversed(lines):
            _series(pen, column, losses[field], low, high, colour)
        at: dict[int, str] = {}
        for iteration, text in marks:
            if first - 1 <= iteration <= last:  # iterations count from 1: what held from the beginning stands at 0
                x = x0 + (max(iteration, first) - first) * (x1 - x0) // (last - first + 1)
                at[x] = f"{at[x]}, {text}" if x in at else text
        for x in at:
            _dashes(pen, x, _PLOT[1], _PLOT[3])
        image = _labelled(image, sorted(at.items()))
    _legend(ImageDraw.Draw(image), losses, lines)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return out.getvalue()


def _span(values: np.ndarray) -> tuple[float, float]:
    """Range of the vertical axis; single outliers may leave it."""
    values = values[values > 0] if (values > 0).any() else np.ones(1)
    low, high = np.quantile(values, [0.002, 0.998])
    return float(low) * 0.9, max(float(high) * 1.1, float(low) * 1.2)


def _height(value: np.ndarray | float, low: float, high: float) -> np.ndarray:
    _, y0, _, y1 = _PLOT
    share = (np.log(np.maximum(value, 1e-9)) - np.log(low)) / (np.log(high) - np.log(low))
    return np.clip(y1 - share * (y1 - y0), y0, y1)


def _series(
    pen: ImageDraw.ImageDraw, column: np.ndarray, values: np.ndarray, low: float, high: float, colour: tuple[int, ...]
) -> None:
    columns, start = np.unique(column, return_index=True)
    counts = np.diff([*start, len(values)])
    mean = np.add.reduceat(values.astype(np.float64), start) / counts
    tops = _height(np.maximum.reduceat(values, start), low, high)
    floors = _height(np.minimum.reduceat(values, start), low, high)
    pale = tuple(int(255 - (255 - c) * 0.3) for c in colour)
    for x, top, floor in zip(columns + _PLOT[0], tops, floors):
        pen.line([(x, top), (x, floor)], fill=pale)
    _, groups = np.unique(columns // _SMOOTH_PX, return_index=True)
    weights = np.add.reduceat(counts, groups)
    line = np.add.reduceat(mean * counts, groups) / weights
    at = np.add.reduceat(columns * counts, groups) / weights + _PLOT[0]
    pen.line(list(zip(at.tolist(), _height(line, low, high).tolist())), fill=colour, width=2)


def _axes(pen: ImageDraw.ImageDraw, first: int, last: int, low: float, high: float) -> None:
    x0, y0, x1, y1 = _PLOT
    font = ImageFont.load_default(13)
    for value in log_ticks(low, high):
        y = float(_height(value, low, high))
        pen.line([(x0, y), (x1, y)], fill=_GRID)
        pen.text((x0 - 8, y), f"{value:g}", fill=_INK, font=font, anchor="rm")
    for value in ticks(first, last):
        x = x0 + (value - first) * (x1 - x0) / (last - first + 1)
        pen.line([(x, y1), (x, y1 + 5)], fill=_INK)
        text = f"{value:,}"
        pen.text((min(x, _SIZE[0] - 2 - pen.textlength(text, font) / 2), y1 + 8), text, _INK, font, anchor="mt")
    pen.line([(x0, y0), (x0, y1), (x1, y1)], fill=_INK)
    pen.text(((x0 + x1) / 2, _SIZE[1] - 8), "iteration", fill=_INK, font=font, anchor="mb")


def ticks(first: int, last: int, wanted: int = 7) -> list[int]:
    """Round numbers from `first` to `last`, about `wanted` of them."""
    rough = max((last - first) / wanted, 1)
    power = 10 ** int(np.floor(np.log10(rough)))
    step = next(int(m * power) for m in (1, 2, 5, 10) if m * power >= rough)
    return list(range(-(-first // step) * step, last + 1, step))


def log_ticks(low: float, high: float) -> list[float]:
    """Numbers worth a line on a logarithmic axis from `low` to `high`, both above 0."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    inside = [round(float(v), 9) for p in powers for v in p * np.array([1, 1.5, 2, 3, 5, 7]) if low <= v <= high]
    if len(inside) < 3:
        return [float(f"{v:.3g}") for v in np.geomspace(low, high, 4)]
    return inside if len(inside) <= 9 else inside[:: len(inside) // 6]


def _dashes(pen: ImageDraw.ImageDraw, x: int, top: int, bottom: int) -> None:
    for y in range(top, bottom, 8):
        pen.line([(x, y), (x, min(y + 3, bottom))], fill=_MARK)


def _labelled(image: Image.Image, labels: Sequence[tuple[int, str]]) -> Image.Image:
    """Put a band of labels (x, text), rising in x, above the plot: as many rows as they need to stand side by side, at
    most _ROWS; what finds no place is counted at the end of the last row."""
    font, pen = ImageFont.load_default(12), ImageDraw.Draw(image)
    rows: list[float] = []
    placed: list[tuple[int, int, float, str]] = []
    left_out = 0
    for x, whole in labels:
        text = whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "\u2026"
        width = pen.textlength(text, font)
        left = min(x + 4, _SIZE[0] - width - 4)
        row = next((r for r, end in enumerate(rows) if left >= end + 8), len(rows))
        if row >= _ROWS:
            left_out += 1
            continue
        rows[row : row + 1] = [left + width]
        placed.append((x, row, left, text))
    if not placed:
        return image
    band, top = _ROW_PX * len(rows), _PLOT[1] - 4
    taller = Image.new("RGB", (image.width, image.height + band), _PAPER)
    taller.paste(image.crop((0, top, image.width, image.height)), (0, top + band))
    pen = ImageDraw.Draw(taller)
    for x, row, _, _ in placed:
        _dashes(pen, x, top + _ROW_PX * row + 2, _PLOT[1] + band)
    for _, row, left, text in placed:
        y = top + _ROW_PX * row
        pen.rectangle([left - 2, y + 1, left + pen.textlength(text, font) + 1, y + _ROW_PX - 1], fill=_PAPER)
        pen.text((left, y + 1), text, fill=_MARK, font=font)
    if left_out:
        pen.text((_SIZE[0] - 8, 13), f"{left_out} more in the history", fill=_MARK, font=font, anchor="rm")
    return taller


def _legend(
    pen: ImageDraw.ImageDraw, losses: np.ndarray, lines: Sequence[tuple[str, str, tuple[int, ...]]]
) -> None:
    font = ImageFont.load_default(14)
    tail = losses[-max(1, len(losses) // 50) :]
    x = _PLOT[0]
    for field, label, colour in lines:
        text = f"{label} loss {float(tail[field].mean()):.4f}" if len(tail) else f"{label} loss"
        pen.rectangle([x, 8, x + 14, 18], fill=colour)
        pen.text((x + 20, 13), text, fill=_INK, font=font, anchor="lm")
        x += 190
