"""Masks as grey pictures: one PNG per face, named by its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import NothingFound
from facewright.core.files import make_folder, refuse_occupied, safe_join, write_atomic
from facewright.faceset.faceset import Faceset
from facewright.image.warp import resize
from facewright.masks import label
from facewright.masks.settings import ExportSettings


def export(
    folder: Path, out: Path, settings: ExportSettings, *, person: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """The stored mask of each face, else what its labels draw, as OUT/<face id>.png (0 out, 255 in).

    Faces with neither are counted. Raises NothingFound (no masks, no labels), DiskRefused (OUT holds other things).
    """
    faceset = Faceset.open(folder)
    rows = list(faceset.rows_of(person))
    todo = [row for row in rows if row.has_mask or row.labels]
    if not todo:
        raise NothingFound(f"No face in {folder.name} has a mask or labels.",
                           remedy="Make masks with `facewright mask apply`.", where=folder)
    ours = {f"{row.face_id}.png" for row in rows}
    refuse_occupied(out, "the pictures", ours.__contains__)
    make_folder(out)
    drawn = 0
    for done, row in enumerate(todo):
        progress(done, len(todo))
        side = settings.side or row.side_px
        stored = faceset.mask(row)
        if stored is None:
            drawn += 1
            mask = label.drawn(faceset.face(row).polygons, side, row.side_px)
        else:
            mask = resize(stored, side, "area" if len(stored) > side else "linear")
        grey = np.where(mask >= 0.5, 255, 0) if settings.hard else np.rint(np.clip(mask, 0, 1) * 255)
        coded = cv2.imencode(".png", grey.astype(np.uint8))[1].tobytes()
        write_atomic(safe_join(out, f"{row.face_id}.png"), coded, sync=False)
    return {"out": str(out), "written": len(todo), "from labels": drawn, "without": len(rows) - len(todo)}
