"""Put a face into a frame by hand, or move the points of one that is there; what was before can be brought back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.files import read_file
from facewright.faces.align import face_from_frame, pose_deg
from facewright.faces.candidates import SEEN_PRESENCE
from facewright.faces.detect import Detector
from facewright.faces.face import Face, FaceType, SourceRef, face_id
from facewright.faces.landmark import Landmarker, Landmarks
from facewright.faces.placing import from_points, look_in, moved_mesh, neutral_in, points_box
from facewright.faceset import record
from facewright.faceset.cut import PROFILE_YAW_DEG, fixed_point
from facewright.faceset.faceset import Faceset
from facewright.faceset.films import Films, need_frame
from facewright.faceset.index import Row
from facewright.faceset.neighbours import PLACED, follow, free_ordinal, shot_of
from facewright.faceset.recut import kept, recut
from facewright.faceset.review import decisions, edits
from facewright.faceset.review.reasons import WORDS
from facewright.faceset.review.review import Film, one_film
from facewright.faceset.review.smoothing import INTERPOLATED
from facewright.faceset.settings import MIN_SIDE_PX
from facewright.faceset.store import FACES, Writer
from facewright.faceset.tags import PARKED
from facewright.image.geometry import Box
from facewright.media.frame import Frame, Video

BY_HAND = "hand"
_POINTS_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Nets:
    """What a search in a rectangle needs; made when it is needed."""

    landmarker: Landmarker
    detector: Detector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Where:
    """Where the face is: `points_px` (68, 5 or 3 of them, see faces.placing), or `rect_px` for the net to look in.

    looks: see placing.look_in. force: where the net sees no face in the rectangle, a neutral head fills it.
    """

    points_px: np.ndarray | None = None
    rect_px: Box | None = None
    looks: int = 4
    force: bool = False


def read_points(path: Path) -> np.ndarray:
    """(N, 2) float64 of a JSON file: a list of [x, y], or an object with it under "points" or "points_px".

    Raises FileRefused.
    """
    try:
        found = json.loads(read_file(path, limit_bytes=_POINTS_LIMIT_BYTES))
        if isinstance(found, dict):
            found = found.get("points_px", found.get("points"))
        points = np.array(found, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError("no list of [x, y]")
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise FileRefused(
            f"{path.name} holds no points.", why=str(error)[:120], where=path,
            remedy='Write [[x, y], ...] in frame pixels: 68, 5 or 3 of them; or {"points": [...]}.') from error
    return points


def place(
    folder: Path, frame: int, where: Where, films: Films, *, film: str = "", face: str = "", person: str = "",
    nets: Callable[[], Nets],
) -> dict[str, Any]:
    """Add a face to a frame, or (`face`: its id) move the points of that one and cut its crop anew.

    Without its film a face that is there keeps its crop and gets the flag crop_of_other_points; a new one needs it.
    Raises NothingFound, Mismatch, FileRefused, SettingRefused, DiskRefused.
    """
    faceset = Faceset.open(folder)
    if face:
        sha256 = faceset.face(face).source.sha256
        one = one_film(faceset, film or sha256)
    else:
        one = one_film(faceset, film)
    rows = list(faceset.rows(source_sha256=one.sha256, frame_index=(frame - 50, frame + 50)))
    old = next((row for row in rows if row.face_id == face), None)
    if face and (old is None or old.frame_index != frame):
        raise Mismatch(
            f"The face {face} is not in frame {frame} of {one.name}.", where=folder,
            remedy="`facewright faces review FACESET --state all --json` names the faces of every frame.")
    video = films.find(one.sha256)
    if video is None and (old is None or where.points_px is None):
        video = films.need(one.sha256)
    picture = need_frame(video, frame) if video is not None else None
    found, used = _landmarks(where, picture, nets)
    if old is not None:
        return _move(faceset, one, old, found, picture)
    assert video is not None
    assert picture is not None
    return _add(faceset, one, rows, found, used, video, picture, person)


def _landmarks(where: Where, picture: Frame | None, nets: Callable[[], Nets]) -> tuple[Landmarks, str]:
    """The points, and the net that placed them ("": a person)."""
    if (where.points_px is None) == (where.rect_px is None):
        raise SettingRefused("A face is placed by points or by a rectangle.", remedy="Give one of both.", where=None)
    if where.points_px is not None:
        return from_points(where.points_px), ""
    assert where.rect_px is not None
    assert picture is not None
    box = _clipped(where.rect_px, picture)
    tools = nets()
    found = look_in(picture.image, box, tools.landmarker, tools.detector, looks=where.looks)
    if found.presence_01 >= SEEN_PRESENCE:
        return found, tools.landmarker.net
    if where.force:
        return neutral_in(box), ""
    raise NothingFound(
        "The landmark net sees no face in this rectangle.", why=f"It is {found.presence_01:.0%} sure.",
        remedy="Draw it closer around the face, give points (--points), or let a neutral head fill it (--force).")


def _clipped(rect: Box, picture: Frame) -> Box:
    x0, y0, x1, y1 = rect
    height, width = picture.image.shape[:2]
    if not np.isfinite(rect).all() or x1 - x0 < 4 or y1 - y0 < 4 or x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise SettingRefused(
            f"The rectangle {x0:g},{y0:g},{x1:g},{y1:g} does not lie in the frame.", where=None,
            remedy=f"x0,y0,x1,y1 in pixels of the frame, which is {width} x {height}; 4 px at least.")
    return x0, y0, x1, y1


def _add(
    faceset: Faceset, film: Film, rows: list[Row], found: Landmarks, net: str, video: Video, picture: Frame, person: str
) -> dict[str, Any]:
    frame, header = picture.index, faceset.header
    here = [row for row in rows if row.frame_index == frame]
    box = points_box(found.points_px)
    before = follow(rows, frame, box, {row.track for row in here})
    kind = FaceType(header.face_type or (rows[0].face_type if rows else "whole_face"))
    side = header.side_px or (rows[0].side_px if rows else 4 * MIN_SIDE_PX)
    quality, how = coding(faceset, film.sha256)
    with Writer(faceset.path) as writer, decisions.deciding(faceset.path) as desk:
        ordinal = free_ordinal(rows, film.sha256, frame, desk.now.reserved)
        name = face_id(film.sha256, frame, ordinal)
        file = f"{film.name}/{video.stills[frame]}" if video.stills else film.name
        source = SourceRef(file, film.sha256, frame, picture.pts, picture.time_base, shot_of(rows, frame))
        mesh, scale = fixed_point(found.mesh_px)
        yaw, pitch, roll = (float(v) for v in pose_deg(found.mesh_px))
        fresh = Face(
            face_id=name, source=source, box_px=box, score=1.0, presence_01=found.presence_01, mesh_px=mesh,
            mesh_scale=scale, points_px=found.points_px, face_type=kind, side_px=side,
            face_from_frame=face_from_frame(found.points_px, side, kind), yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll,
            sharpness=0.0, flags=(PLACED, *_profile(yaw)), person=person, edited_px=found.points_px, detector=BY_HAND,
            track=before.track if before is not None else f"{film.sha256[:8]}_{frame:07d}_h{ordinal}",
            nets=(("landmarks", net),) if net else (),
            consent=before.consent if before is not None else header.consent,
        )
        made = recut(fresh, picture.image, None, how)
        path = f"{FACES}/{film.sha256[:8]}/{PLACED}/{name}{record.suffix(quality)}"
        deed = desk.add("place", {film.sha256: [frame]}, [name], edits.adding(path))
        writer.add_files([(path, record.encode_face(made.face, made.image, None, quality))])
    return _told(faceset.path, film, made.face, path, deed.number, recut_done=True, added=True)


def with_points(face: Face, points_px: np.ndarray) -> Face:
    """A face whose 68 points (68, 2) a person gave: mesh, pose, box and words follow; the raw points stay."""
    return _moved(face, from_points(points_px))


def _moved(old: Face, found: Landmarks) -> Face:
    mesh = moved_mesh(old.mesh, old.points_px, found.points_px)
    if found.presence_01 < 1.0:  # the net's own mesh is better than one that was moved along
        mesh = found.mesh_px.astype(np.float64)
    yaw, pitch, roll = (float(v) for v in pose_deg(mesh))
    stored, scale = fixed_point(mesh)
    words = {word for word in old.flags if word not in WORDS} | set(_profile(yaw))
    if INTERPOLATED in old.flags:  # parked because nobody had seen it
        words.discard(PARKED)
    return dataclasses.replace(
        old, edited_px=found.points_px, mesh_px=stored, mesh_scale=scale, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll,
        box_px=points_box(found.points_px), flags=tuple(sorted(words)))


def _move(faceset: Faceset, film: Film, row: Row, found: Landmarks, picture: Frame | None) -> dict[str, Any]:
    path = faceset.path / row.path
    changed = _moved(record.read_face(path), found)
    with Writer(faceset.path) as writer, decisions.deciding(faceset.path) as desk:
        data = read_file(path, limit_bytes=record.MAX_FILE_BYTES)
        mask = record.decode_mask(data, path)
        if picture is None:
            after = record.replace_metadata(data, kept(changed), mask)
        else:
            quality, how = coding(faceset, film.sha256)
            made = recut(changed, picture.image, mask, how)
            quality = record.LOSSLESS if data.startswith(b"\x89PNG") else quality or 95
            after = record.encode_face(made.face, made.image, made.mask, quality)
        facts = edits.keep(faceset.path, desk.now.next_number, row.path, data)
        deed = desk.add("place", {film.sha256: [row.frame_index]}, [row.face_id], facts)
        writer.add_files([(row.path, after)])
    face = record.decode_face(after)
    return _told(faceset.path, film, face, row.path, deed.number, recut_done=picture is not None, added=False)


def _profile(yaw_deg: float) -> tuple[str, ...]:
    return ("profile",) if abs(yaw_deg) >= PROFILE_YAW_DEG else ()


def coding(faceset: Faceset, sha256: str) -> tuple[int, str]:
    """(JPEG quality, way of resampling) that a film of the set was extracted with."""
    source = faceset.header.source(sha256)
    chosen = source.settings if source is not None else {}
    quality, how = chosen.get("jpeg_quality", 95), chosen.get("crop", "cubic")
    sound = isinstance(quality, int) and 0 <= quality <= 100
    return quality if sound else 95, how if how in ("cubic", "lanczos4", "linear") else "cubic"


def _told(
    folder: Path, film: Film, face: Face, path: str, number: int, *, recut_done: bool, added: bool
) -> dict[str, Any]:
    return {
        "faceset": str(folder), "film": film.name, "frame": face.source.frame_index, "face_id": face.face_id,
        "path": path, "added": added, "crop_cut": recut_done, "track": face.track, "flags": list(face.flags),
        "box_px": list(face.box_px), "points_px": face.points.tolist(), "presence_01": face.presence_01,
        "yaw_deg": face.yaw_deg, "pitch_deg": face.pitch_deg, "roll_deg": face.roll_deg, "deed": number,
    }
