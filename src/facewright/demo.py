"""The demo: which stages with which values on the footage that the package ships, and the picture at the end.

The api runs the stages; this file only says what they are and draws.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.files import write_atomic

COLUMNS = 6
TILE_PX = 224
_INK, _PAPER = (28, 30, 34), (246, 246, 244)


@dataclass(frozen=True, slots=True)
class Footage:
    """The shipped clips: two synthetic people, and the true swap that only a renderer can know."""

    source: Path
    target: Path
    true_swap: Path


@dataclass(frozen=True, slots=True)
class DemoMade:
    """What the demo left behind."""

    film: Path
    picture: Path
    faceset_src: Path
    faceset_dst: Path
    run: Path
    notes: tuple[str, ...]
    seconds: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "film": str(self.film), "picture": str(self.picture), "run": str(self.run), "notes": list(self.notes),
            "seconds": self.seconds,
        }


def footage() -> Footage:
    """The clips inside the package. Raises FileRefused when the installation lacks them."""
    folder = Path(str(resources.files("facewright") / "footage"))
    found = Footage(folder / "source.mp4", folder / "target.mp4", folder / "true_swap.mp4")
    for path in (found.source, found.target):
        if not path.is_file():
            raise FileRefused(
                "The demo's footage is not installed.", remedy="Install facewright again from its package.", where=path
            )
    return found


def extract_settings() -> dict[str, Any]:
    """Small crops of the type that the demo's net learns: no second resampling."""
    return {"face_type": "full_face", "resolution": 256}


def train_settings(minutes: float, seed: int) -> dict[str, Any]:
    """The quick recipe on the clock.

    With one or two cores the budget is processor time, so that a busy machine trains as much as a quiet one and
    only takes longer; with more cores, or a GPU, it is the clock on the wall.
    """
    import torch

    few = (os.cpu_count() or 1) <= 2 and not torch.cuda.is_available()
    cores = min(2, os.cpu_count() or 1)
    return {
        "recipe": "quick", "seed": seed, "clock": "cpu" if few else "wall",
        "minutes": minutes * cores if few else minutes, "preview_seconds": 30.0,
    }


def draw_picture(rows: Sequence[tuple[str, Sequence[np.ndarray]]], path: Path) -> Path:
    """`rows` of (label, COLUMNS square RGB uint8 pictures) -> one PNG, written atomically."""
    import io

    from PIL import Image, ImageDraw, ImageFont

    margin, label = 12, 92
    width = label + COLUMNS * (TILE_PX + 4) + margin
    height = margin * 2 + len(rows) * (TILE_PX + 4)
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=20)
    for r, (text, tiles) in enumerate(rows):
        y = margin + r * (TILE_PX + 4)
        pen.text((margin, y + TILE_PX // 2 - 12), text, fill=_INK, font=font)
        for c, tile in enumerate(tiles):
            picture = Image.fromarray(np.ascontiguousarray(tile)).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
            sheet.paste(picture, (label + c * (TILE_PX + 4), y))
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    write_atomic(path, data.getvalue())
    return path


def moments(yaw_deg: Sequence[float], count: int = COLUMNS) -> list[int]:
    """Indices of `count` frames that show the acting: spread over time, each the most turned of its stretch but the
    first, which is the most frontal."""
    yaw = np.abs(np.asarray(yaw_deg, np.float64))
    pieces = np.array_split(np.arange(len(yaw)), count)
    picks = [int(p[np.argmin(yaw[p])]) if i % 2 == 0 else int(p[np.argmax(yaw[p])]) for i, p in enumerate(pieces) if len(p)]
    return picks


def square_around(points_px: np.ndarray, size_px: tuple[int, int], spread: float = 2.6) -> tuple[int, int, int]:
    """(x0, y0, side) of a square inside the frame around landmarks (68, 2), `spread` x the eye-to-chin size."""
    width, height = size_px
    low, high = points_px.min(0), points_px.max(0)
    side = int(min(width, height, spread * float((high - low).max())))
    centre = (low + high) / 2 - (0, 0.08 * side)
    x0 = int(np.clip(centre[0] - side / 2, 0, width - side))
    y0 = int(np.clip(centre[1] - side / 2, 0, height - side))
    return x0, y0, side
