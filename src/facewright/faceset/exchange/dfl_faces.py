"""One face file of DeepFaceLab -> one of ours: facts, picture, mask; and a picture of its own where the file holds the
whole frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from facewright.core.errors import FacewrightError, reason
from facewright.faces.align import crop, face_from_frame
from facewright.faces.face import Face, SourceRef
from facewright.faces.posed import posed
from facewright.faceset import record
from facewright.faceset.cut import fixed_point, sharpness_of
from facewright.faceset.exchange.dfl_facts import ID_KEY, PROGRAM, Facts, kept, moved_box, scaled, understood
from facewright.faceset.exchange.dfl_file import Opened, opened
from facewright.faceset.exchange.dfl_masks import mask_digest
from facewright.faceset.exchange.dfl_places import Entry, facts_in
from facewright.faceset.segments import MAX_SIDE_PX
from facewright.faceset.settings import MAX_SIDE_PX as LARGEST_CROP_PX
from facewright.faceset.settings import MIN_SIDE_PX as SMALLEST_CROP_PX
from facewright.image.geometry import apply_affine, invert, scale_of

_SAME = 1e-6
NO_FACTS = "it carries no data of DeepFaceLab"


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """One file as read. stated: its dict; picture: its file's bytes without it; grey (S, S) uint8, its own size;
    counts: words for the summary; known: the face, and the digest of its mask, as they left here; upright: see
    dfl_frames.Frames.upright."""

    facts: Facts
    stated: dict[str, Any]
    picture: Opened
    grey: np.ndarray
    original: bytes
    counts: tuple[str, ...] = ()
    known: tuple[Face, str] | None = None
    upright: np.ndarray | None = None

    @property
    def points_px(self) -> np.ndarray:
        """(68, 2) float32 in the upright frame."""
        points = self.facts.points_px
        return points if self.upright is None else apply_affine(self.upright, points).astype(np.float32)

    @property
    def face_from_frame(self) -> np.ndarray:
        """3x3 of the picture, from the upright frame."""
        matrix = self.facts.face_from_frame
        return matrix if self.upright is None else matrix @ invert(self.upright)


def read(entry: Entry) -> Read:
    """Raises FileRefused, ValueError: damaged, hostile, not of DeepFaceLab."""
    data = entry.read()
    found = opened(data)
    counts: list[str] = []
    if entry.saved is not None and (entry.saved.forced or not found.coded):
        stated, (width, height) = dict(entry.saved.facts), entry.saved.size_px
        counts.append("facts from meta.dat")
        if found.size_px != (width, height):
            if found.size_px[0] * height != found.size_px[1] * width:
                raise ValueError(f"its picture is {found.size_px[0]} x {found.size_px[1]}; its saved data are of a "
                                 f"picture of another shape, {width} x {height}")
            stated = scaled(stated, found.size_px[0] / width)
            counts.append("resized since its data were saved")
    elif not found.coded:
        raise ValueError(NO_FACTS)
    else:
        stated = facts_in(found.coded)
    facts = understood(stated, found.size_px)
    if facts.frame_name != entry.frame_name:
        raise ValueError("it names its frame twice, differently")
    if max(found.size_px) > MAX_SIDE_PX:
        raise ValueError(f"its picture is {found.size_px[0]} x {found.size_px[1]}; the limit is {MAX_SIDE_PX} a side")
    if found.kind == "jpeg" and b"\xff\xd9" not in found.picture[-4096:] and b"\xff\xd9" not in found.picture:
        raise ValueError("its picture is cut short")
    grey = cv2.imdecode(np.frombuffer(found.picture, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if grey is None or grey.shape[::-1] != found.size_px:
        raise ValueError("its picture cannot be decoded")
    known = entry.known.told() if entry.known is not None else None
    return Read(facts, stated, found, grey, data if facts.whole_frame else b"", tuple(counts), known)


def read_or_why(entry: Entry) -> Read | str:
    """The same; of a file that cannot be read, why."""
    try:
        return read(entry)
    except (ValueError, TypeError, LookupError, AttributeError, FacewrightError, cv2.error) as error:
        return reason(error)


def picture_of(answer: Read) -> np.ndarray | None:
    """(S, S) uint8 grey of the crop, None where the file holds a whole frame."""
    return None if answer.facts.whole_frame else answer.grey


def made(
    rows: Sequence[tuple[Read, SourceRef, str, str, str, str]]
) -> list[tuple[Face, bytes, str] | str]:
    """(file, frame, face id, name there, person, consent) of each -> (face, our file's bytes, suffix), or why it cannot
    be one of ours. Meshes and poses of all at once."""
    if not rows:
        return []
    meshes, poses = posed(np.stack([answer.points_px for answer, *_ in rows]))
    found: list[tuple[Face, bytes, str] | str] = []
    for (answer, source, name_id, name, person, consent), mesh, pose in zip(rows, meshes, poses):
        try:
            found.append(_one(answer, source, (name_id, name, person, consent), mesh, pose))
        except (ValueError, TypeError, LookupError, FacewrightError, cv2.error) as error:
            found.append(reason(error))
    return found


def _one(
    answer: Read, source: SourceRef, names: tuple[str, str, str, str], mesh_px: np.ndarray, pose_deg: np.ndarray
) -> tuple[Face, bytes, str]:
    facts, (name_id, name, person, consent) = answer.facts, names
    if not np.isfinite(mesh_px).all() or not np.isfinite(pose_deg).all():
        raise ValueError("its landmarks span no head")
    mesh, mesh_scale = fixed_point(mesh_px)
    side, matrix, grey, coded, suffix = facts.side_px, facts.face_from_frame, answer.grey, answer.picture.picture, ""
    if facts.whole_frame:
        side, matrix, coded, grey = _cut_out(facts, answer.picture.picture)
        suffix = ".jpg"
    box = facts.box_px
    if answer.upright is not None:
        if np.linalg.det(answer.upright) < 0:
            raise ValueError("its frame is stored as in a mirror")
        matrix, box = matrix @ invert(answer.upright), moved_box(answer.upright, box)
    yaw, pitch, roll = (float(v) for v in pose_deg)
    flags = tuple(sorted({*facts.flags, "mesh_from_points"}))
    face = Face(
        face_id=name_id, source=source, box_px=box, score=1.0, presence_01=1.0, mesh_px=mesh,
        mesh_scale=mesh_scale, points_px=answer.points_px, face_type=facts.kind, side_px=side, face_from_frame=matrix,
        yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, sharpness=sharpness_of(grey), flags=flags, person=person,
        polygons=facts.polygons, detector=PROGRAM, consent=consent,
        mask_by=PROGRAM if facts.mask_png is not None else "",
    )
    if answer.known is not None:
        face = _come_back(face, *answer.known, facts, answer.stated)
    foreign = kept({k: v for k, v in answer.stated.items() if k != ID_KEY}, face, facts.mask_png, name, answer.upright)
    if answer.known is None or foreign["kept"] or foreign["absent"]:
        face = replace(face, foreign=foreign)
    data = record.dress(coded, face, facts.mask_png, answer.original or None)
    return face, data, suffix or (".jpg" if answer.picture.kind == "jpeg" else ".png")


def _come_back(fresh: Face, known: Face, mask: str, facts: Facts, stated: dict[str, Any]) -> Face:
    """The face as it left, with what was changed over there: points as an edit, labels, mask, another cut."""
    changes: dict[str, Any] = {"polygons": fresh.polygons, "sharpness": fresh.sharpness, "foreign": None,
                               "person": fresh.person or known.person, "consent": fresh.consent or known.consent}
    same_cut = known.side_px == fresh.side_px and known.face_type is fresh.face_type and bool(
        np.abs(known.face_from_frame - fresh.face_from_frame).max() < _SAME)
    if not same_cut:
        changes |= {"face_type": fresh.face_type, "side_px": fresh.side_px, "face_from_frame": fresh.face_from_frame}
    if not np.array_equal(known.points, fresh.points_px):
        changes["edited_px"] = fresh.points_px
    changes["mask_by"] = known.mask_by if mask_digest(stated) == mask else fresh.mask_by
    return replace(known, **changes)


def _cut_out(facts: Facts, picture: bytes) -> tuple[int, np.ndarray, bytes, np.ndarray]:
    """Side, matrix, JPEG and grey picture of the face in a file that holds the whole frame."""
    bgr: Any = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    native = 256 / scale_of(face_from_frame(facts.points_px, 256, facts.kind))
    side = int(min(max(round(native / 16) * 16, SMALLEST_CROP_PX), LARGEST_CROP_PX))
    matrix = face_from_frame(facts.points_px, side, facts.kind)
    image = crop(bgr, matrix, side)
    options = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return side, matrix, cv2.imencode(".jpg", image, options)[1].tobytes(), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
