"""Debug pictures in a folder of their own: every face (or frame) with what is known of it drawn in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import DiskRefused, FileRefused
from facewright.core.files import make_folder, write_atomic
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import read_head
from facewright.faceset.films import Films
from facewright.faceset.header import NAME
from facewright.faceset.index import Row
from facewright.faceset.review.drawing import crop_picture, frame_picture
from facewright.faceset.sheet import coded, sheet

LEAST_SIDE_PX = 320
_LONG_SIDE_PX = 1600


def write(
    faceset: Faceset, rows: Sequence[Row], out: Path, films: Films | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """One JPEG per face in `out`: crop, landmarks, edge of the mask, arrow toward the top, and its facts in words.

    films: one picture per frame instead, with all of its chosen faces; frames that are not at hand are left out and
    counted. The faceset stays as it is; pictures of the same name in `out` are replaced. Raises DiskRefused (`out` lies
    in a faceset; the disk).
    """
    _refuse_faceset(out, faceset.path)
    make_folder(out)
    written, refused = 0, dict[str, str]()
    pictures = _faces(faceset, rows, refused) if films is None else _frames(faceset, rows, films, refused)
    total = len(rows) if films is None else len({(row.source_sha256, row.frame_index) for row in rows})
    for name, picture in pictures:
        write_atomic(out / name, coded(picture, jpeg=True), sync=False)
        written += 1
        progress(written, total)
    return {"faceset": str(faceset.path), "out": str(out), "written": written,
            "refused": [list(pair) for pair in refused.items()]}


def _faces(faceset: Faceset, rows: Sequence[Row], refused: dict[str, str]) -> Iterator[tuple[str, np.ndarray]]:
    name = faceset.namer()
    for row in rows:
        try:
            face, image, mask = faceset.load(row)
        except FileRefused as error:
            refused[row.path] = error.why or error.what
            continue
        picture = crop_picture(image, face, mask, max(image.shape[0], LEAST_SIDE_PX))
        flags = ", ".join(face.flags).replace("_", " ")
        words = f"{row.origin}  {name(row)}\nyaw {face.yaw_deg:z.0f}  pitch " \
                f"{face.pitch_deg:z.0f}  roll {face.roll_deg:z.0f}  presence {face.presence_01:.3f}  sharpness " \
                f"{face.sharpness:.0f}" + (f"\n{flags}" if flags else "")
        yield f"{row.face_id}.jpg", sheet([picture], [words], 1, picture.shape[1])


def _frames(
    faceset: Faceset, rows: Sequence[Row], films: Films, refused: dict[str, str]
) -> Iterator[tuple[str, np.ndarray]]:
    by_frame: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        by_frame.setdefault((row.source_sha256, row.frame_index), []).append(row)
    for ((sha256, frame), here), picture in zip(by_frame.items(), films.walk(by_frame)):
        if picture is None:
            refused[here[0].origin] = "The frame is not at hand."
            continue
        try:
            faces = [read_head(faceset.files, row.path)[0] for row in here]
        except FileRefused as error:
            refused[here[0].path] = error.why or error.what
            continue
        yield f"{sha256[:8]}_{frame:07d}.jpg", frame_picture(picture.image, faces, _LONG_SIDE_PX)


def _refuse_faceset(out: Path, faceset: Path) -> None:
    """Pictures with lines in them must never be taken for faces."""
    whole = out.resolve()
    for place in (whole, *whole.parents):
        if place == faceset.resolve() or (place / NAME).is_file():
            raise DiskRefused(
                f"{out.name} lies in the faceset {place.name}.", why="Debug pictures are no faces.",
                remedy="Name a folder outside of it.", where=out)
