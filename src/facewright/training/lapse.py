"""One face over the course of a training: a picture made from the preview sheets that were kept."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facewright.core.errors import NothingFound, SettingRefused
from facewright.training.preview import GAP_PX, HEAD_PX, INK, LABEL_PX, LAYOUT, PAPER
from facewright.training.reports import PREVIEW

MOST = 12
_NAME = re.compile(r"\d{9}\.png")
_SIDE_PX, _TEXT_PX = 160, 90


def kept(run: Path) -> list[tuple[int, Path]]:
    """(iteration, preview sheet) of all that are kept, in order."""
    return [(int(path.stem), path) for path in sorted((run / PREVIEW).glob("*.png")) if _NAME.fullmatch(path.name)]


def lapse(run: Path, face: int = 1, most: int = MOST) -> bytes:
    """PNG: a line for each of up to `most` kept sheets, evenly from the first to the last: face number `face` (1 is the
    sheet's first) as it was learned then, inside its mask where the sheet has that.

    Raises NothingFound without kept sheets, SettingRefused where they show fewer faces.
    """
    found = [(at, strip) for at, path in kept(run) if (strip := _strip(path, face)) is not None]
    if not found:
        raise NothingFound(
            f"{run.name} has kept no preview pictures.", why="Training keeps them with --preview-history only.",
            remedy="Train on with --preview-history; faces are chosen with --preview-src and --preview-dst.", where=run,
        )
    chosen = [found[i] for i in dict.fromkeys(np.linspace(0, len(found) - 1, most).round().astype(int).tolist())]
    labels = chosen[-1][1][1]
    width = _TEXT_PX + len(labels) * _SIDE_PX
    image = Image.new("RGB", (width, LABEL_PX + len(chosen) * _SIDE_PX), PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    for column, text in enumerate(labels):
        pen.text((_TEXT_PX + (column + 0.5) * _SIDE_PX, LABEL_PX / 2), text, fill=INK, font=font, anchor="mm")
    for line, (iteration, (strip, _)) in enumerate(chosen):
        y = LABEL_PX + line * _SIDE_PX
        pen.text((_TEXT_PX - 8, y + _SIDE_PX / 2), f"{iteration:,}", fill=INK, font=font, anchor="rm")
        image.paste(strip.resize((len(labels) * _SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS), (_TEXT_PX, y))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _strip(path: Path, face: int) -> tuple[Image.Image, list[str]] | None:
    """One face's row of a sheet, its most telling block, with labels; None of a picture that is no sheet."""
    try:
        with Image.open(path) as sheet:
            layout = json.loads(sheet.text[LAYOUT])  # type: ignore[attr-defined]
            picture = sheet.convert("RGB")
        side, rows, blocks = int(layout["side"]), int(layout["rows"]), [list(map(str, b)) for b in layout["labels"]]
    except (OSError, KeyError, ValueError, TypeError, AttributeError):
        return None
    if not 1 <= face <= rows:
        raise SettingRefused(f"The preview of {path.parent.parent.name} shows {rows} faces.",
                             remedy=f"Give a number from 1 to {rows}.", where="--face")
    block = next((i for i, labels in enumerate(blocks) if labels[0].endswith("masked")), 0)
    labels = blocks[block]
    x, y = block * (len(labels) * side + GAP_PX), HEAD_PX + LABEL_PX + (face - 1) * side
    return picture.crop((x, y, x + len(labels) * side, y + side)), [t.removesuffix(", masked") for t in labels]
