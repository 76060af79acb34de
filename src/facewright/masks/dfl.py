"""Labels in DeepFaceLab's face files (data-formats-and-merging.md 4 and 5.1): single JPEGs, a folder of them, or a pak.

The pickle inside is read by the closed allow-list reader alone; no picture is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from facewright.core.errors import FacewrightError, FileRefused, NothingFound
from facewright.core.files import read_file
from facewright.core.unpickle import read_pickle
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.masks.label import in_order
from facewright.masks.labelfile import Labels, checked

PAK = "faceset.pak"

_FILE_BYTES, _PAK_BYTES, _MOST_FACES = 64 << 20, 64 << 30, 1_000_000
_APP15, _SOS, _SOF = 0xEF, 0xDA, {0xC0, 0xC1, 0xC2}
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
    pak = place / PAK if place.is_dir() else place
    if pak.suffix == ".pak" and pak.is_file():
        yield from _of_pak(pak)
        return
    files = sorted(p for p in place.iterdir() if p.suffix.lower() in (".jpg", ".jpeg")) if place.is_dir() else [place]
    if not files and (place / "faceset.json").exists():
        raise NothingFound(f"{place.name} is a faceset of ours.", why="Labels are read from a file, or DeepFaceLab.",
                           remedy=f"Write them first: `facewright mask labels export {place.name} FILE`.", where=place)
    if not files:
        raise NothingFound(f"There are no face files in {place.name}.", why=f"Neither .jpg files nor a {PAK}.",
                           remedy="Name DeepFaceLab's folder `aligned`.", where=place)
    for path in files:
        yield path.name, partial(read_file, path, limit_bytes=_FILE_BYTES)


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
        raise _refused(name, error.why or error.what) from error
    except (ValueError, TypeError, LookupError, AttributeError, FacewrightError) as error:
        raise _refused(name, f"{error}"[:200] or type(error).__name__) from error


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
    """A JPEG's side and the payload of its last APP15. ValueError: no JPEG, cut short, not square, no payload."""
    if data[:2] != b"\xff\xd8":
        raise ValueError("it is no JPEG")
    at, side, coded = 2, 0, b""
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 4 > len(data) or data[at] != 0xFF:
            raise ValueError("the JPEG ends before its picture")
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if size < 2 or at + 2 + size > len(data):
            raise ValueError("a JPEG segment is longer than the file")
        body = data[at + 4 : at + 2 + size]
        if marker in _SOF and len(body) >= 5:
            height, width = struct.unpack(">HH", body[1:5])
            if height != width or not 16 <= width <= 8_192:
                raise ValueError(f"its picture is {width} x {height}, not a square of a face")
            side = width
        elif marker == _APP15:
            coded = body
        elif marker == _SOS:
            break
        at += 2 + size
    if not coded or not side:
        raise ValueError("it carries no data of DeepFaceLab")
    return side, coded


def _of_pak(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The JPEGs of a pak, by its table of offsets alone: its pickled list only repeats what the JPEGs hold."""
    total = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        if len(head) < 16 or total > _PAK_BYTES:
            raise _refused(path.name, "it is too short or too large for a pak")
        version, config = struct.unpack("<QQ", head)
        if version != 1 or 16 + config > total:
            raise _refused(path.name, f"its version is {version}, or its list is cut short")
        file.seek(16 + config)
        table = np.frombuffer(file.read(8 * min(_MOST_FACES, (total - 16 - config) // 8)), "<u8")
        # The table ends where an offset is the file's size (or, relative like the others, the data's).
        starts = 16 + config + 8 * (np.arange(len(table)) + 1)
        ends = np.flatnonzero((table == total) | (table == total - starts))
        if not len(ends):
            raise _refused(path.name, "its table of offsets has no end")
        count = int(ends[0])
        begins = table[: count + 1].astype(np.int64)
        data = 16 + config + 8 * (count + 1)
        begins[count] = total - data
        if count and (begins[0] != 0 or (np.diff(begins) < 0).any()):
            raise _refused(path.name, "its offsets are out of order")
        for number, (a, b) in enumerate(zip(begins[:-1].tolist(), begins[1:].tolist())):
            name = f"{path.name}#{number}"
            yield name, partial(_piece, file, name, data + a, b - a)


def _piece(file: BinaryIO, name: str, start: int, size: int) -> bytes:
    if size > _FILE_BYTES:
        raise _refused(name, "it is too large for a face")
    file.seek(start)
    return file.read(size)


def matches(face: DflFace, points_px: np.ndarray) -> bool:
    """Whether (68, 2) frame points are the same head in the same frame: on average within a fifth of the eyes'
    distance of the file's own."""
    eyes = np.linalg.norm(face.points_px[36:42].mean(0) - face.points_px[42:48].mean(0))
    return bool(np.linalg.norm(face.points_px - points_px, axis=1).mean() < 0.2 * max(float(eyes), 1.0))


def frame_key(source_filename: str) -> str:
    """What a frame's file is called without its ending, numbers without leading zeros: `00012.png` -> `12`."""
    stem = Path(source_filename.replace("\\", "/")).stem
    return str(int(stem)) if stem.isascii() and stem.isdigit() and len(stem) < 12 else stem


def _refused(name: str, why: str) -> FileRefused:
    return FileRefused(f"{name} is not a sound DeepFaceLab file.", why=why[:1].upper() + why[1:],
                       remedy="Leave it out, or save it again with DeepFaceLab.", where=name)
