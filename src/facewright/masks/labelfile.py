"""The label file: labels of many faces as one JSON document, so that they travel without pictures (docs/formats.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.files import read_file
from facewright.faces.face import Face
from facewright.faceset.exchange.polygons import checked
from facewright.image.geometry import invert
from facewright.masks.label import EXCLUDE, INCLUDE, Polygon, moved

FORMAT = "facewright.labels/1"
_LIMIT_BYTES = 256 << 20
_KINDS = {"include": INCLUDE, "exclude": EXCLUDE}


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels of one face, and where its picture lay in the frame: face_from_frame (3, 3), frame px -> picture px."""

    face_id: str
    face_type: str
    side_px: int
    face_from_frame: np.ndarray
    polygons: tuple[Polygon, ...]
    film: str = ""
    frame_index: int = 0

    def in_picture_of(self, face: Face) -> tuple[Polygon, ...]:
        """The polygons in the px of another cut of the same face: as they are where both were cut alike."""
        matrix = face.face_from_frame @ invert(self.face_from_frame)
        alike = np.abs(matrix - np.eye(3)).max() < 1e-6
        return self.polygons if alike else moved(self.polygons, matrix)


def labels_of(face: Face) -> Labels:
    """What a face carries."""
    return Labels(face.face_id, str(face.face_type), face.side_px, face.face_from_frame, face.polygons,
                  face.source.file, face.source.frame_index)


def to_bytes(labels: Iterable[Labels], faceset: str = "") -> bytes:
    """The document; the same labels give the same bytes."""
    words = {number: word for word, number in _KINDS.items()}
    faces = [{
        "face_id": one.face_id, "film": one.film, "frame": one.frame_index, "face_type": one.face_type,
        "side_px": one.side_px, "face_from_frame": one.face_from_frame.tolist(),
        "polygons": [{"kind": words[kind], "points_px": _plain(points)} for kind, points in one.polygons],
    } for one in labels]
    record = {"format": FORMAT, "faceset": faceset, "faces": faces}
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (text + "\n").encode("utf-8", "surrogatepass")


def from_bytes(data: bytes, where: object = None) -> list[Labels]:
    """Raises FileRefused: no label file, damaged, a newer one, or one that no person could have drawn."""
    try:
        record = json.loads(data.decode("utf-8", "surrogatepass"))
        if not str(record["format"]).startswith("facewright.labels/"):
            raise ValueError("its format is another one")
        if record["format"] != FORMAT:
            raise FileRefused("The label file was written by a newer facewright.", why=str(record["format"])[:80],
                              remedy="Update facewright.", where=where)
        found = [_labels(one) for one in record["faces"]]
        if len({one.face_id for one in found}) != len(found):
            raise ValueError("it names a face twice")
        return found
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise FileRefused(
            f"{where.name if isinstance(where, Path) else 'The file'} is not a sound label file.",
            why=f"{type(error).__name__}: {error}"[:200], remedy="Export the labels again, with `mask labels export`.",
            where=where,
        ) from error


def read(path: Path) -> list[Labels]:
    """The labels in a file. Raises FileRefused."""
    return from_bytes(read_file(path, limit_bytes=_LIMIT_BYTES), path)


def _labels(one: dict[str, Any]) -> Labels:
    matrix = np.array(one["face_from_frame"])
    sound = matrix.shape == (3, 3) and matrix.dtype.kind in "fi" and bool((np.abs(matrix) < 1e9).all())
    if not sound or abs(np.linalg.det(matrix.astype(np.float64))) < 1e-12:
        raise ValueError("a face without its place in the frame")
    side, frame = one["side_px"], one.get("frame", 0)
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in (side, frame)):
        raise TypeError("a whole number is expected")
    if not all(isinstance(one[name], str) and len(one[name]) < 4_096 for name in ("face_id", "face_type")):
        raise TypeError("a text is expected")
    polygons = checked([(_KINDS[p["kind"]], p["points_px"]) for p in one["polygons"]])
    film = one.get("film", "")
    return Labels(one["face_id"], one["face_type"], side, matrix.astype(np.float64), polygons,
                  film if isinstance(film, str) else "", frame)


def _plain(points: np.ndarray) -> list[list[float]]:
    """Shortest decimals that give the same float32 back."""
    if not all(math.isfinite(v) for v in np.asarray(points, np.float64).ravel()):
        raise ValueError("points must be finite")
    return np.asarray(points, np.float32).astype(np.str_).astype(np.float64).tolist()
