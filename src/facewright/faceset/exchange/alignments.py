"""faceswap's alignments file (.fsa): zlib around a pickle of plain values, read by the closed allow-list reader alone.

`{"__meta__": {"version": 2.4}, "__data__": {frame name: {"faces": [face ...], "video_meta": {...}}}}`; a face has `x`,
`y`, `w`, `h`, `landmarks_xy` (68 points in frame px; an array, or a list in version 3 of the program) and more that has
no place here: thumbnails, masks, and vectors that identify people. Frames of films are called `NAME_000001.png`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, reason
from facewright.core.files import read_file
from facewright.core.unpickle import read_pickle
from facewright.faceset.exchange.dfl_facts import last_part

SUFFIX = ".fsa"

_FILE_BYTES, _LARGEST_BYTES, _OPCODES = 1 << 30, 4 << 30, 500_000_000
_FAR = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """One face: its frame's name, box x0 y0 x1 y1, (68, 2) float32 points, all in frame px; masks: how many it has."""

    frame_name: str
    name: str
    box_px: tuple[float, float, float, float]
    points_px: np.ndarray
    masks: int


def read_alignments(path: Path) -> tuple[list[Aligned], list[tuple[str, str]]]:
    """(faces in the file's order, (name, why) of those that cannot be used). Raises FileRefused: no alignments file,
    damaged, hostile."""
    try:
        data = _inflated(read_file(path, limit_bytes=_FILE_BYTES))
        whole = read_pickle(data, path, opcode_limit=_OPCODES)
        frames = whole.get("__data__", whole)
        rows = [(str(name), _faces(entry)) for name, entry in frames.items() if name != "__meta__"]
    except (zlib.error, ValueError, TypeError, AttributeError, LookupError) as error:
        raise FileRefused(f"{path.name} is not a sound alignments file.", why=str(error)[:200], where=path,
                          remedy="Save it again with faceswap.") from error
    found: list[Aligned] = []
    refused: list[tuple[str, str]] = []
    for frame_name, faces in rows:
        for number, face in enumerate(faces):
            name = f"{frame_name}#{number}"
            try:
                found.append(_face(last_part(frame_name), name, face))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                refused.append((name, reason(error)))
    return found, refused


def by_frame(faces: list[Aligned]) -> Iterator[tuple[str, list[Aligned]]]:
    """Faces of each frame from left to right."""
    frames: dict[str, list[Aligned]] = {}
    for one in faces:
        frames.setdefault(one.frame_name, []).append(one)
    for name, row in frames.items():
        yield name, sorted(row, key=lambda one: one.box_px[0] + one.box_px[2])


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    found = inflater.decompress(data, _LARGEST_BYTES)
    if inflater.unconsumed_tail:
        raise ValueError("it would unpack to more than 4 GiB")
    if not inflater.eof:
        raise ValueError("it is cut short")
    return found


def _faces(entry: Any) -> list[Any]:
    """Of one frame; the oldest files list them without more."""
    faces = entry if isinstance(entry, list) else entry["faces"]
    if not isinstance(faces, list):
        raise TypeError("a frame whose faces are no list")
    return faces


def _face(frame_name: str, name: str, face: dict[str, Any]) -> Aligned:
    points = np.array(face["landmarks_xy"] if "landmarks_xy" in face else face["landmarksXY"])
    if points.shape != (68, 2) or points.dtype.kind not in "fiu":
        raise ValueError(f"its landmarks are {' x '.join(map(str, points.shape)) or 'none'}, not 68 points")
    box = np.array([face["x"], face["y"], face["w"], face["h"]])
    if box.dtype.kind not in "fiu":
        raise ValueError("its box is no box")
    if not np.isfinite(points).all() or max(np.abs(points).max(), np.abs(box).max()) > _FAR:
        raise ValueError("its points are no places in a picture")
    x, y, w, h = (float(v) for v in box)
    masks = face.get("mask")
    return Aligned(frame_name, name, (x, y, x + w, y + h), points.astype(np.float32),
                   len(masks) if isinstance(masks, dict) else 0)
