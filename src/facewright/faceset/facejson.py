"""Face <-> the JSON that a face file carries. Exact both ways: float32 by shortest decimals, float64 by repr."""

from __future__ import annotations

import base64
import binascii
import json
import math
from fractions import Fraction
from typing import Any

import numpy as np

from facewright.core.errors import Mismatch
from facewright.core.files import is_plain_name
from facewright.faces.face import Face, FaceType, SourceRef
from facewright.faceset.segments import refuse

MAX_JSON_BYTES = 2 << 20
MAX_MESH_POINTS = 4_096

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False,
                            check_circular=False)
_POWERS, _NEAR = 10.0 ** np.arange(10)[:, None], float(1 << 20)


def to_json(face: Face) -> bytes:
    """UTF-8 JSON of one face, keys sorted (the same face gives the same bytes). ValueError for NaN or infinity; raises
    Mismatch for more than a face file may hold."""
    source = face.source
    record: dict[str, Any] = {
        "face_id": face.face_id,
        "source": {
            "file": source.file, "sha256": source.sha256, "frame": int(source.frame_index), "pts": int(source.pts),
            "time_base": str(source.time_base), "shot": int(source.shot),
        },
        "box_px": [float(v) for v in face.box_px],
        "score": float(face.score),
        "presence_01": float(face.presence_01),
        "mesh_px": _mesh_text(face.mesh_px),
        "mesh_scale": float(face.mesh_scale),
        "points_px": _points(face.points_px),
        "edited_px": _points(face.edited_px),
        "smoothed_px": _points(face.smoothed_px),
        "face_type": str(face.face_type),
        "side_px": int(face.side_px),
        "face_from_frame": np.asarray(face.face_from_frame, np.float64).tolist(),
        "yaw_deg": float(face.yaw_deg),
        "pitch_deg": float(face.pitch_deg),
        "roll_deg": float(face.roll_deg),
        "sharpness": float(face.sharpness),
        "flags": list(face.flags),
        "track": face.track,
        "person": face.person,
        "polygons": [{"kind": int(kind), "points_px": _points(points)} for kind, points in face.polygons],
        "detector": face.detector,
        "nets": [list(pair) for pair in face.nets],
        "consent": face.consent,
        "mask_by": face.mask_by,
    }
    if face.foreign is not None:
        record["foreign"] = dict(face.foreign)
    data = _ENCODER.encode(record).encode("utf-8", "surrogatepass")
    if len(data) > MAX_JSON_BYTES:
        raise Mismatch(
            f"The face {face.face_id} would carry more than a face file may hold.",
            why=f"{len(data):,} bytes of metadata.", remedy="Give it simpler labels: fewer points.", where=face.face_id,
        )
    return data


def from_json(data: bytes, where: object = None) -> Face:
    """The face that `to_json` wrote. Raises FileRefused: not JSON, too large or deep, a wrong or missing value."""
    if len(data) > MAX_JSON_BYTES:
        raise refuse("Its metadata is too large.", where)
    try:
        record = json.loads(data.decode("utf-8", "surrogatepass"), parse_constant=_no_constant)
        return _face(record)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, ZeroDivisionError, RecursionError,
            binascii.Error) as error:
        raise refuse(f"Its metadata cannot be read ({type(error).__name__}).", where) from error


def _face(record: dict[str, Any]) -> Face:
    source = record["source"]
    return Face(
        face_id=_name(record["face_id"]),
        source=SourceRef(
            file=_text(source["file"]), sha256=_name(source["sha256"]), frame_index=_whole(source["frame"]),
            pts=_whole(source["pts"]), time_base=_fraction(source["time_base"]), shot=_whole(source["shot"]),
        ),
        box_px=_box(record["box_px"]),
        score=_number(record["score"]),
        presence_01=_number(record["presence_01"]),
        mesh_px=_mesh(record["mesh_px"]),
        mesh_scale=_positive(record["mesh_scale"]),
        points_px=_array(record["points_px"], (68, 2), np.float32),
        edited_px=_maybe_points(record["edited_px"]),
        smoothed_px=_maybe_points(record["smoothed_px"]),
        face_type=FaceType(record["face_type"]),
        side_px=_whole(record["side_px"]),
        face_from_frame=_array(record["face_from_frame"], (3, 3), np.float64),
        yaw_deg=_number(record["yaw_deg"]),
        pitch_deg=_number(record["pitch_deg"]),
        roll_deg=_number(record["roll_deg"]),
        sharpness=_number(record["sharpness"]),
        flags=tuple(_text(flag) for flag in record["flags"]),
        track=_text(record["track"]),
        person=_text(record["person"]),
        polygons=tuple((_whole(p["kind"]), _array(p["points_px"], (-1, 2), np.float32)) for p in record["polygons"]),
        detector=_text(record["detector"]),
        nets=tuple((_text(name), _text(digest)) for name, digest in record["nets"]),
        consent=_text(record["consent"]),
        mask_by=_text(record.get("mask_by", "")),  # absent in files of the first release
        foreign=_foreign(record.get("foreign")),
    )


def _mesh_text(mesh_px: np.ndarray) -> dict[str, Any]:
    whole = np.ascontiguousarray(mesh_px, dtype="<i2")
    return {"shape": list(whole.shape), "int16_le_base64": base64.b64encode(whole.tobytes()).decode("ascii")}


def _mesh(value: dict[str, Any]) -> np.ndarray:
    rows, columns = (_whole(n) for n in value["shape"])
    if columns != 3 or not 0 <= rows <= MAX_MESH_POINTS:
        raise ValueError("shape of the mesh")
    raw = base64.b64decode(_text(value["int16_le_base64"]), validate=True)
    return np.frombuffer(raw, "<i2").reshape(rows, 3).astype(np.int16)


def _points(points: np.ndarray | None) -> list[list[float]] | None:
    """Shortest decimals that give the same float32 back: short in the file, exact on the way home."""
    if points is None:
        return None
    plain = np.asarray(points, np.float32)
    if not np.isfinite(plain).all():
        raise ValueError("points must be finite")
    return shortest(plain).tolist()


def shortest(values: np.ndarray) -> np.ndarray:
    """float32 -> float64 whose shortest decimals are those of the float32: the fewest decimals that give it back, which
    the spelling of a whole array would find as well, but in five times the time."""
    flat = values.ravel()
    wide = flat.astype(np.float64)
    rounded = np.rint(wide * _POWERS) / _POWERS  # one row for each number of decimals
    fits = (rounded.astype(np.float32) == flat) & (np.abs(wide) < _NEAR)
    found, left = rounded[fits.argmax(0), np.arange(len(flat))], ~fits.any(0)
    if left.any():
        found[left] = flat[left].astype(np.str_).astype(np.float64)
    return found.reshape(values.shape)


def _maybe_points(value: Any) -> np.ndarray | None:
    return None if value is None else _array(value, (68, 2), np.float32)


def _array(value: Any, shape: tuple[int, int], kind: type) -> np.ndarray:
    array = np.array(value)
    rows, columns = shape
    if array.dtype.kind not in "fi" or array.ndim != 2 or array.shape[1] != columns or rows not in (-1, len(array)):
        raise ValueError("shape of a table")
    with np.errstate(over="ignore"):
        array = array.astype(kind)
    if not np.isfinite(array).all():
        raise ValueError("numbers must be finite")
    return array


def _box(value: Any) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (_number(v) for v in value)
    return x0, y0, x1, y1


def _fraction(value: Any) -> Fraction:
    return Fraction(_text(value))


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_JSON_BYTES:
        raise TypeError("a text is expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
        raise TypeError("a whole number is expected")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, float | int) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("a number is expected")
    return float(value)


def _name(value: Any) -> str:
    """A text that is part of paths."""
    text = _text(value)
    if not is_plain_name(text):
        raise ValueError("a name without a way in it is expected")
    return text


def _positive(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError("a positive number is expected")
    return number


def _foreign(value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise TypeError("a table is expected")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
