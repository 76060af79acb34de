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
            "film": str(self.film),
            "picture": str(self.picture),
            "run": str(self.run),
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


WORDS = {
    "faces of the source": "1/5 finding the faces of the source",
    "faces of the target": "2/5 finding the faces of the target",
    "training": "3/5 training: {minutes:g} minutes of {clock} (stop with Ctrl-C, the same command goes on)",
    "merge": "4/5 putting the new face into every frame",
    "film": "5/5 encoding, screening and signing the film",
}
"""What is said when each stage begins."""


def words(stage: str, choice: dict[str, Any]) -> str:
    """The line that announces a stage; of training it says which clock counts."""
    clock = "processor time" if choice["clock"] == "cpu" else "wall-clock time"
    return WORDS[stage].format(minutes=choice["minutes"], clock=clock)


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
    # Threads that wait for a core which others hold are waste: on a busy small machine one does more.
    threads = 1 if few and _load() > 0.75 * cores else 0
    return {
        "recipe": "quick",
        "seed": seed,
        "clock": "cpu" if few else "wall",
        "minutes": minutes * cores if few else minutes,
        "threads": threads,
        "preview_seconds": 30.0,
    }


def _load() -> float:
    """Processes that want a core, mean of the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


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
    picks = [
        int(p[np.argmin(yaw[p])]) if i % 2 == 0 else int(p[np.argmax(yaw[p])]) for i, p in enumerate(pieces) if len(p)
    ]
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


def make_picture(clips: Footage, faceset_dst: Path, faceset_src: Path, merged: Path, path: Path) -> Path:
    """Source, target and swap of the same six moments, cut around the face; `merged` is a merge's folder."""
    from facewright.faceset.faceset import Faceset
    from facewright.merge.result import Merged

    target = Faceset.open(faceset_dst)
    rows = sorted({r.frame_index: r for r in target.rows()}.values(), key=lambda r: r.frame_index)
    picks = [rows[i] for i in moments([r.yaw_deg for r in rows])]
    source = Faceset.open(faceset_src)
    nearest = [_nearest(source, r.yaw_deg, r.pitch_deg) for r in picks]
    wanted = {r.frame_index: target.face(r.face_id) for r in picks}
    swaps = {c.frame_index: c.image for c in Merged.open(merged).composites() if c.frame_index in wanted}
    plates = _frames(clips.target, set(wanted))
    originals = _frames(clips.source, {f.source.frame_index for f in nearest})
    sheet = [
        ("source", [_cut(originals[f.source.frame_index], f.points) for f in nearest]),
        ("target", [_cut(plates[i], f.points) for i, f in wanted.items()]),
        ("swap", [_cut(swaps[i], f.points) for i, f in wanted.items()]),
    ]
    return draw_picture(sheet, path)


def _nearest(faces: Any, yaw_deg: float, pitch_deg: float) -> Any:
    """The face of a faceset whose pose is nearest."""
    best = min(faces.rows(), key=lambda r: (r.yaw_deg - yaw_deg) ** 2 + (r.pitch_deg - pitch_deg) ** 2)
    return faces.face(best.face_id)


def _frames(film: Path, wanted: set[int]) -> dict[int, np.ndarray]:
    from facewright.media.reader import frames, open_video

    return {f.index: f.image for f in frames(open_video(film)) if f.index in wanted}


def _cut(image: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    x0, y0, side = square_around(points_px, (image.shape[1], image.shape[0]))
    return image[y0 : y0 + side, x0 : x0 + side]
