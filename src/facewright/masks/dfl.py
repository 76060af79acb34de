"""Labels in DeepFaceLab's face files (data-formats-and-merging.md 4 and 5.1): single JPEGs, a folder of them, or a pak.

The pickle inside is read by the closed allow-list reader alone; no picture is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from facewright.core.errors import FacewrightError, FileRefused, NothingFound
from facewright.core.files import read_file
from facewright.core.unpickle import read_pickle
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.faceset.exchange.dfl_file import opened
from facewright.faceset.exchange.dfl_pak import FACE_BYTES, NAME, members, piece, refused
from facewright.faceset.exchange.polygons import checked
from facewright.masks.label import in_order
from facewright.masks.labelfile import Labels

_TYPES = {str(kind): (kind, False) for kind in FaceType} | {
    "full_face_no_align": (FaceType.FULL, True), "head_no_align": (FaceType.HEAD, True),
}
"""Stored name -> our type, and whether the crop keeps the frame's horizontal."""


@dataclass(frozen=True, slots=True, eq=False)
class DflFace:
    """What matters here of one file: labels placed in the frame, the frame's file name, its 68 points in the frame."""

    name: str
    source_filename: str
    points_px: np.ndarray
    labels: Labels


def faces_in(place: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """(name, what reads its bytes) of each file: of a folder's .jpg files, its pak or a pak named itself, or of one
    file. A file is read before the next one is asked for; reading raises FileRefused for this file alone.

    Raises FileRefused (a damaged pak), NothingFound (a folder without any).
    """
    pak = place / NAME if place.is_dir() else place
    if pak.suffix == ".pak" and pak.is_file():
        yield from _of_pak(pak)
        return
    files = sorted(p for p in place.iterdir() if p.suffix.lower() in (".jpg", ".jpeg")) if place.is_dir() else [place]
    if not files and (place / "faceset.json").exists():
        raise NothingFound(f"{place.name} is a faceset of ours.", why="Labels are read from a file, or DeepFaceLab.",
                           remedy=f"Write them first: `facewright mask labels export {quote(str(place))} FILE`.",
                           where=place)
    if not files:
        raise NothingFound(f"There are no face files in {place.name}.", why=f"Neither .jpg files nor a {NAME}.",
                           remedy="Name DeepFaceLab's folder `aligned`.", where=place)
    for path in files:
        yield path.name, partial(read_file, path, limit_bytes=FACE_BYTES)


def face_of(name: str, data: bytes) -> DflFace | None:
    """The labels of one file's bytes, None where it has none. Raises FileRefused: no such file, damaged, hostile."""
    try:
        side, coded = _opened(data)
        facts = read_pickle(coded)
        if not isinstance(facts, dict):
            raise ValueError("its data is no table")
        if not facts.get("seg_ie_polys"):
            return None
        return _face(name, side, facts)
    except FileRefused as error:
        raise refused(name, error.why or error.what) from error
    except (ValueError, TypeError, LookupError, AttributeError, FacewrightError) as error:
        raise refused(name, f"{error}"[:200] or type(error).__name__) from error


def _face(name: str, side: int, facts: dict[str, Any]) -> DflFace | None:
    stored = facts["seg_ie_polys"]
    polys = [(p["type"], p["pts"]) for p in stored["polys"]] if isinstance(stored, dict) else stored
    polygons = checked([(int(kind), points) for kind, points in polys])
    if not polygons:
        return None
    points = np.array(facts["source_landmarks"] if facts.get("source_landmarks") is not None else ())
    if points.shape != (68, 2) or points.dtype.kind not in "fi" or not np.isfinite(points).all():
        raise ValueError("it does not say where in the frame its face lies")
    word = str(facts.get("face_type") or "full_face").lower()
    if word not in _TYPES:
        raise ValueError(f"faces of type {word[:40]!r} have no place in ours")
    kind, upright = _TYPES[word]
    matrix = face_from_frame(points.astype(np.float64), side, kind, upright=upright)
    labels = Labels(name, str(kind), side, matrix, tuple(in_order(polygons)))
    return DflFace(name, str(facts.get("source_filename") or ""), points.astype(np.float32), labels)


def _opened(data: bytes) -> tuple[int, bytes]:
    """A square picture's side and the data of DeepFaceLab in it. ValueError: no such file, cut short, not square."""
    found = opened(data)
    width, height = found.size_px
    if width != height:
        raise ValueError(f"its picture is {width} x {height}, not a square of a face")
    if not found.coded:
        raise ValueError("it carries no data of DeepFaceLab")
    return width, found.coded


def _of_pak(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The JPEGs of a pak, by its table of offsets alone: its pickled list only repeats what the JPEGs hold."""
    with path.open("rb") as file:
        for one in members(path, names=False)[0]:
            name = f"{path.name}#{one.number}"
            yield name, partial(piece, file, name, one.start, one.size)


def matches(face: DflFace, points_px: np.ndarray) -> bool:
    """Whether (68, 2) frame points are the same head in the same frame: on average within a fifth of the eyes'
    distance of the file's own."""
    eyes = np.linalg.norm(face.points_px[36:42].mean(0) - face.points_px[42:48].mean(0))
    return bool(np.linalg.norm(face.points_px - points_px, axis=1).mean() < 0.2 * max(float(eyes), 1.0))


def frame_key(source_filename: str) -> str:
    """What a frame's file is called without its ending, numbers without leading zeros: `00012.png` -> `12`."""
    stem = Path(source_filename.replace("\\", "/")).stem
    return str(int(stem)) if stem.isascii() and stem.isdigit() and len(stem) < 12 else stem
