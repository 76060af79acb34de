"""DeepFaceLab's facts about a face <-> ours (data-formats-and-merging.md 4.2 to 4.4).

What ours cannot say is kept word for word in `Face.foreign`, with digests of what ours were made of: an export gives a
kept fact back as long as nobody changed what it speaks of, else it says what is true now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facewright.core.errors import FacewrightError
from facewright.faces.align import face_from_frame, landmark_box
from facewright.faces.face import Face, FaceType
from facewright.faceset.exchange import foreign
from facewright.faceset.exchange.dfl_masks import mask_of, shrunk
from facewright.faceset.exchange.polygons import checked
from facewright.image.geometry import Box, apply_affine, bounding_box, invert, scaling, to33, umeyama

PROGRAM = "DeepFaceLab"
MARK_ONLY = "mark_only"
ID_KEY = "facewright_face"
"""A key of our own in exported faces: the face id, by which they are known again when they come back."""

_TYPES = {str(kind): (kind, False) for kind in FaceType} | {
    "full_face_no_align": (FaceType.FULL, True), "head_no_align": (FaceType.HEAD, True),
    MARK_ONLY: (FaceType.WHOLE, False),
}
"""Stored name -> our type, and whether the crop keeps the frame's horizontal."""
_ASPECTS = {
    "face_type": "cut", "image_to_face_mat": "cut", "landmarks": "points", "source_landmarks": "points",
    "seg_ie_polys": "labels", "ie_polys": "labels", "xseg_mask": "mask",
}
"""Which change makes a kept fact untrue; others stay true whatever happens here."""
_AGREE_SHARE, _FAR = 0.01, 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """One file's dict in our terms. points_px (68, 2) in the frame; face_from_frame of a picture of `side_px`; mask_png
    None, or the bytes of a grey PNG; whole_frame: the picture is the frame itself, nothing was cut out.
    flags: `no_frame` (it does not say where in the frame it lies: the picture counts as the frame), `points_disagree`
    (its points in the picture and in the frame do not fit each other)."""

    word: str
    kind: FaceType
    side_px: int
    points_px: np.ndarray
    face_from_frame: np.ndarray
    box_px: tuple[float, float, float, float]
    polygons: tuple[tuple[int, np.ndarray], ...]
    mask_png: bytes | None
    frame_name: str
    whole_frame: bool
    flags: tuple[str, ...]


def understood(facts: Mapping[str, Any], size_px: tuple[int, int]) -> Facts:
    """Raises ValueError: damaged, or no facts of a face. size_px: (width, height) of their picture."""
    word = str(facts.get("face_type") or "full_face").lower()
    if word not in _TYPES:
        raise ValueError(f"faces of type {word[:40]!r} are not known")
    kind, upright = _TYPES[word]
    whole_frame = word == MARK_ONLY
    if size_px[0] != size_px[1] and not whole_frame:
        raise ValueError(f"its picture is {size_px[0]} x {size_px[1]}, not a square of a face")
    inner, outer = _points(facts, "landmarks"), _points(facts, "source_landmarks")
    if inner is None and outer is None:
        raise ValueError("it has no landmarks")
    flags: list[str] = []
    side = size_px[0]
    try:
        if outer is None or whole_frame:
            outer = inner if inner is not None else outer
            flags += [] if whole_frame else ["no_frame"]
            assert outer is not None
            matrix = face_from_frame(outer, side, kind) if whole_frame else np.eye(3)
        else:
            matrix, agrees = _place(facts, outer, inner, side, kind, upright)
            flags += [] if agrees else ["points_disagree"]
    except FacewrightError as error:
        raise ValueError("its landmarks lie on one point") from error
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise ValueError("its landmarks span no picture")
    name = facts.get("source_filename")
    return Facts(
        word, kind, side, outer.astype(np.float32), matrix, _box(facts.get("source_rect"), outer),
        () if whole_frame else _polygons(facts.get("seg_ie_polys")), None if whole_frame else mask_of(facts),
        last_part(name) if isinstance(name, str) else "", whole_frame, tuple(flags),
    )


def scaled(facts: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The facts of a picture that was made `factor` times as large since."""
    new = dict(facts)
    points = _points(facts, "landmarks")
    if points is not None:
        new["landmarks"] = (points * factor).tolist()
    if facts.get("seg_ie_polys"):
        new["seg_ie_polys"] = _stored([(kind, pts * np.float32(factor)) for kind, pts in
                                       _polygons(facts["seg_ie_polys"])])
    matrix = _matrix(facts)
    if matrix is not None:
        new["image_to_face_mat"] = (scaling(factor) @ matrix)[:2]
    return new


def kept(
    facts: Mapping[str, Any], face: Face, mask_png: bytes | None, name: str, upright: np.ndarray | None = None
) -> dict[str, Any]:
    """`Face.foreign` of a face that was made of these facts. name: of its file, a person's folder before it. upright:
    3x3, our frame from the picture that they speak of. TypeError, ValueError: values that have no place in a face
    file."""
    stated = {key: value for key, value in facts.items() if value is not None}
    ours = plain(face, mask_png, upright)
    turned = {} if upright is None else {"upright": upright[:2].tolist()}
    return {
        "program": PROGRAM, "name": name, **turned,
        "kept": {str(key): foreign.pack(value) for key, value in stated.items()
                 if key not in ours or not foreign.same(ours[key], value)},
        "absent": [key for key in ours if key not in stated], "of": digests(face, mask_png),
    }


def facts_of(face: Face, mask_png: bytes | None) -> dict[str, Any]:
    """The dict of a face as DeepFaceLab keeps it; what it said itself before, where that is still true.

    ValueError, LookupError, TypeError when `foreign` is damaged.
    """
    there = face.foreign if face.foreign is not None and face.foreign.get("program") == PROGRAM else None
    turn = there.get("upright") if there is not None else None
    ours = plain(face, mask_png, None if turn is None else to33(np.array(turn, np.float64).reshape(2, 3)))
    if there is None:
        return shrunk(ours) | {ID_KEY: face.face_id}
    now, then = digests(face, mask_png), dict(there["of"])
    true = {key: value for key, value in dict(there["kept"]).items() if _holds(key, now, then)}
    for key in there["absent"]:
        if _holds(str(key), now, then):
            ours.pop(key, None)
    return shrunk(ours | {key: foreign.unpack(value) for key, value in true.items()})


def plain(face: Face, mask_png: bytes | None, upright: np.ndarray | None = None) -> dict[str, Any]:
    """The same from our own facts alone; a large mask still as the PNG that it is. upright: as in `kept`."""
    inside, outside = apply_affine(face.face_from_frame, face.points), face.points
    matrix, box_px = face.face_from_frame, face.box_px
    if upright is not None:
        back = invert(upright)
        outside, matrix, box_px = apply_affine(back, outside), matrix @ upright, moved_box(back, box_px)
    box = np.array([int(min(max(round(v), -_FAR), _FAR)) for v in box_px], np.int64)
    found: dict[str, Any] = {
        "face_type": str(face.face_type), "landmarks": inside.tolist(), "source_filename": frame_name(face),
        "source_rect": box, "source_landmarks": outside.astype(np.float64).tolist(),
        "image_to_face_mat": np.array(matrix[:2], np.float64),
    }
    if face.polygons:
        found["seg_ie_polys"] = _stored(face.polygons)
    if mask_png is not None:
        found["xseg_mask"] = np.frombuffer(mask_png, np.uint8)
    return found


def moved_box(target_from_source: np.ndarray, box_px: Box) -> Box:
    """A box after quarter turns."""
    return bounding_box(apply_affine(target_from_source, np.reshape(box_px, (2, 2))))


def frame_name(face: Face) -> str:
    """What the frame's picture is called there: its own name, or the film's frame as its extraction numbers them."""
    folder, _, picture = face.source.file.rpartition("/")
    return picture if folder else f"{face.source.frame_index + 1:05d}.png"


def digests(face: Face, mask_png: bytes | None) -> dict[str, str]:
    """Of what kept facts speak of: the cut, the points in it, the labels, the mask."""
    cut = np.asarray(face.face_from_frame, "<f8").tobytes() + f"{face.side_px} {face.face_type}".encode()
    labels = b"".join(bytes([kind]) + np.asarray(pts, "<f4").tobytes() + b";" for kind, pts in face.polygons)
    parts = {"cut": cut, "points": cut + np.asarray(face.points, "<f4").tobytes(), "labels": labels,
             "mask": mask_png or b""}
    return {name: hashlib.sha256(data).hexdigest()[:16] for name, data in parts.items()}


def last_part(name: str) -> str:
    """The last component of a name from outside, without what would be a folder elsewhere."""
    return name.replace("\\", "/").rpartition("/")[2].replace("\0", "")


def _holds(key: str, now: Mapping[str, str], then: Mapping[str, Any]) -> bool:
    aspect = _ASPECTS.get(key)
    return aspect is None or now[aspect] == then.get(aspect)


def _place(
    facts: Mapping[str, Any], outer: np.ndarray, inner: np.ndarray | None, side: int, kind: FaceType, upright: bool
) -> tuple[np.ndarray, bool]:
    """face_from_frame, and whether the points agree: as stored, else by the rule, else as the points themselves lie."""
    stored = _matrix(facts)
    limit = max(1.0, _AGREE_SHARE * side)

    def agrees(matrix: np.ndarray) -> bool:
        return inner is None or bool(np.abs(apply_affine(matrix, outer) - inner).max() <= limit)

    if stored is not None and agrees(stored):
        return stored, True
    ruled = face_from_frame(outer, side, kind, upright=upright)
    if agrees(ruled) or inner is None:
        return ruled, True
    fitted = umeyama(outer, inner)
    return (fitted, True) if np.isfinite(fitted).all() and agrees(fitted) else (ruled, False)


def _matrix(facts: Mapping[str, Any]) -> np.ndarray | None:
    value = facts.get("image_to_face_mat")
    if value is None:
        return None
    matrix = np.array(value)
    sound = matrix.shape == (2, 3) and matrix.dtype.kind in "fi" and bool((np.abs(matrix) < 1e9).all())
    if not sound or abs(np.linalg.det(matrix[:, :2].astype(np.float64))) < 1e-12:
        return None
    return np.vstack([matrix.astype(np.float64), [0.0, 0.0, 1.0]])


def _points(facts: Mapping[str, Any], key: str) -> np.ndarray | None:
    value = facts.get(key)
    if value is None:
        return None
    points = np.array(value)
    if points.shape in ((), (0,)):
        return None
    if points.shape != (68, 2) or points.dtype.kind not in "fiu":
        raise ValueError(f"its {key} are not 68 points")
    points = points.astype(np.float64)
    if not np.abs(points).max() <= _FAR:  # nor nan
        raise ValueError(f"its {key} are no places in a picture")
    return points


def _box(value: Any, points: np.ndarray) -> tuple[float, float, float, float]:
    """Turned faces may have it upside down (Q8)."""
    rect = np.array(() if value is None else value)
    if rect.shape != (4,) or rect.dtype.kind not in "fiu" or not (np.abs(rect.astype(np.float64)) < _FAR).all():
        return landmark_box(points)
    left, top, right, bottom = (float(v) for v in rect)
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _polygons(stored: Any) -> tuple[tuple[int, np.ndarray], ...]:
    if not stored:
        return ()
    try:
        named = isinstance(stored, dict)
        pairs = [(p["type"], p["pts"]) if named else tuple(p) for p in (stored["polys"] if named else stored)]
        found = checked([(int(kind), points) for kind, points in pairs])
    except (TypeError, LookupError) as error:
        raise ValueError("its polygons are of an unknown make") from error
    return tuple(sorted(found, key=lambda polygon: polygon[0] != 1))


def _stored(polygons: Any) -> dict[str, Any]:
    return {"polys": [{"type": int(kind), "pts": np.asarray(pts, np.float32)} for kind, pts in polygons]}
