"""What masks and labels were before an operation changed them: FACESET/.facewright/undo/<ULID>-masks or -labels.

Labels are kept as a label file (labelfile.py), so that it can also be imported by hand. Masks: one zip per batch with
`masks.json` (face ids, what made them) and a PNG for each that existed. Nothing here is ever deleted: a restored
entry moves to undo/used. One operation is one folder, however often it was killed on its way and begun again.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.core.files import disk_error, make_folder, read_file, sync_folder, write_atomic
from facewright.core.ulid import new_ulid
from facewright.faceset.store import PRIVATE

MASKS, LABELS = "masks", "labels"
REPLACED_MASKS = "masks-replaced"
"""What a restore itself replaced; no restore picks it."""
_UNFINISHED = "unfinished"
"""File in the folder of an operation that has not come to its end: which operation it is."""
_FORMAT = "facewright.masks/1"
_LIMIT_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Before:
    """One face's mask as it was: (m, m) uint8 or None."""

    face_id: str
    mask: np.ndarray | None
    mask_by: str


def folder_of(faceset: Path, name: str, kind: str) -> Path:
    """Where the operation `name` (a ULID: the newest sorts last) keeps what it replaces."""
    return faceset / PRIVATE / "undo" / f"{name}-{kind}"


@contextmanager
def operation(faceset: Path, kind: str, *what: Any) -> Iterator[Path]:
    """The folder for what an operation replaces. The same one (`what`: JSON-able) that was killed or failed before goes
    on in its folder, unless another came after it and replaced something; one that replaced nothing leaves none."""
    known = json.dumps(what, sort_keys=True).encode()
    others = [folder for folder in _entries(faceset, kind) if _holds(folder)]
    mark = others[-1] / _UNFINISHED if others else None
    goes_on = mark is not None and mark.is_file() and read_file(mark) == known
    folder = others[-1] if goes_on else make_folder(folder_of(faceset, new_ulid(), kind))
    try:
        write_atomic(folder / _UNFINISHED, known)
        yield folder
        if folder.is_dir() and _holds(folder):
            _finished(folder / _UNFINISHED)
    finally:
        if folder.is_dir() and not _holds(folder):
            shutil.rmtree(folder, ignore_errors=True)


def end(faceset: Path, kind: str) -> None:
    """No operation goes on in an entry that there is: for writers that add none of their own."""
    for folder in _entries(faceset, kind):
        if (folder / _UNFINISHED).is_file():
            _finished(folder / _UNFINISHED)


def _entries(faceset: Path, kind: str) -> list[Path]:
    """Oldest first. Of this very kind: `masks-replaced` ends like `replaced`."""
    found = (faceset / PRIVATE / "undo").glob(f"*-{kind}")
    return sorted(folder for folder in found if folder.name.partition("-")[2] == kind and folder.is_dir())


def _finished(mark: Path) -> None:
    try:
        mark.unlink()
    except OSError as error:
        raise disk_error(error, mark) from error


def _holds(folder: Path) -> bool:
    return any(file.suffix in (".json", ".zip") for file in folder.iterdir())


def save_masks(folder: Path, name: str, before: Sequence[Before]) -> None:
    """Keep one batch, durably, unless it is there: a batch done again after a kill would keep its own new masks."""
    path = folder / f"{name}.zip"
    if path.exists():
        return
    make_folder(folder)
    listed = [{"face_id": b.face_id, "mask_by": b.mask_by, "mask": b.mask is not None} for b in before]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("masks.json", json.dumps({"format": _FORMAT, "faces": listed}, ensure_ascii=True))
        for number, one in enumerate(before):
            if one.mask is not None:
                archive.writestr(f"{number:04d}.png", cv2.imencode(".png", one.mask)[1].tobytes())
    write_atomic(path, data.getvalue())


def read_masks(folder: Path) -> Iterator[Before]:
    """Everything that an operation kept. Raises FileRefused (damaged)."""
    for path in sorted(folder.glob("*.zip")):
        try:
            with zipfile.ZipFile(io.BytesIO(read_file(path, limit_bytes=_LIMIT_BYTES))) as archive:
                for number, one in enumerate(json.loads(archive.read("masks.json"))["faces"]):
                    mask = None
                    if one["mask"]:
                        coded = np.frombuffer(archive.read(f"{number:04d}.png"), np.uint8)
                        mask = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
                    yield Before(str(one["face_id"]), mask, str(one["mask_by"]))
        except (zipfile.BadZipFile, ValueError, KeyError, TypeError, cv2.error) as error:
            raise FileRefused(
                "What was kept of the earlier masks is damaged.", why=f"{type(error).__name__}: {error}"[:200],
                remedy="Move that file away; the rest is restored by the same command.", where=path,
            ) from error


def newest(faceset: Path, kind: str) -> Path:
    """The folder of the latest operation that can be undone. Raises NothingFound."""
    found = [folder for folder in _entries(faceset, kind) if _holds(folder)]
    if not found:
        raise NothingFound(
            f"There are no earlier {kind} to bring back in {faceset.name}.",
            why=f"Nothing has replaced or removed {kind} here since the last restore.",
            remedy="Go on; nothing was changed.", where=faceset,
        )
    return found[-1]


def name_for(faceset: Path, wanted: str) -> str:
    """`wanted`, unless an operation came after it, or it was undone already: then a new name, so that the newest still
    sorts last."""
    root = faceset / PRIVATE / "undo"
    others = [p.name.partition("-")[0] for p in (*root.glob(f"*-{MASKS}"), *root.glob(f"used/*-{MASKS}*"))]
    stale = any(name > wanted for name in others) or any(root.glob(f"used/{wanted}-{MASKS}*"))
    return new_ulid() if stale else wanted


def mark_used(folder: Path) -> Path:
    """Put a restored entry aside, so that the next restore finds the one before."""
    used = make_folder(folder.parent / "used")
    target, number = used / folder.name, 1
    while target.exists():  # a job that went on after a restore kept more under its name
        number += 1
        target = used / f"{folder.name}-{number}"
    try:
        os.replace(folder, target)
        sync_folder(folder.parent)
    except OSError as error:
        raise disk_error(error, folder) from error
    return target
