"""A found face and its frame -> a Face, its crop, its file. Pure but for the nets' answers that it is given."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from facewright.faces.align import crop, face_from_frame, unit_from_frame
from facewright.faces.face import MESH_SCALE, Face, FaceType, SourceRef, face_id
from facewright.faces.find import FoundFace
from facewright.faceset.doubt_flags import box_too_small, cut_off
from facewright.faceset.record import encode_face, suffix
from facewright.faceset.settings import LEAST_NATIVE_PX, MAX_SIDE_PX, OBSTRUCTIONS, ExtractSettings
from facewright.image.geometry import apply_affine, invert, scale_of, scaling, square_corners
from facewright.image.warp import AREA_BELOW, resize

LEAVES_FRAME = "crop_leaves_frame"
"""Flag: the crop shows black where its frame ends."""
SHARPNESS_SIDE_PX = 256
PROFILE_YAW_DEG = 60.0
"""Beyond it the mesh's far side slides inward (pretrained-weights.md 5): such faces carry the flag "profile"."""

HIDDEN_01, HIDDEN_YAW_DEG = 0.03, 30.0
"""A face is "obstructed" when so much of it is hidden (a hand on the chin hides 0.04 to 0.06, an open face less than
0.03); turned farther than this, its own far side is hidden, which says nothing."""

_INT16 = 32_767
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Cutting:
    """What every face of one source has in common. nets: (part, net id) as faces.find names them. side_px 0: each face
    has the side that it has in its frame."""

    settings: ExtractSettings
    side_px: int
    detector: str = ""
    nets: tuple[tuple[str, str], ...] = ()
    person: str = ""
    consent: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """One face, still without its sharpness, and the frame it is cut from ((H, W, 3) uint8 or uint16 RGB)."""

    face: Face
    image: np.ndarray


def plan_faces(
    found: Sequence[FoundFace], images: Sequence[np.ndarray], sources: Sequence[SourceRef], ordinals: Sequence[int],
    tracks: Sequence[str], how: Cutting,
) -> list[Cut | None]:
    """The Face of each finding (its sharpness is measured by `finish_face`), or None where its points span no crop."""
    crops = unit_from_frame_of(found, FaceType(how.settings.face_type))
    fulls = unit_from_frame_of(found, FaceType.FULL)
    places = zip(found, images, sources, ordinals, tracks)
    return [_plan(*place, crop_unit, full_unit, how) for place, crop_unit, full_unit in zip(places, crops, fulls)]


def plan_face(
    found: FoundFace, image: np.ndarray, source: SourceRef, ordinal: int, track: str, how: Cutting
) -> Cut | None:
    """The same for one."""
    return plan_faces([found], [image], [source], [ordinal], [track], how)[0]


def unit_from_frame_of(found: Sequence[FoundFace], face_type: FaceType) -> np.ndarray:
    """(N, 3, 3): frame px to the unit square of each face's crop; NaN where its points span none."""
    points = np.array([one.landmarks.points_px for one in found], np.float32).reshape(-1, 68, 2)
    spans = np.isfinite(unit_from_frame(points)).all((-2, -1))
    units = np.full((len(points), 3, 3), np.nan)
    units[spans] = face_from_frame(points[spans], 1, face_type)
    return units


def _plan(
    found: FoundFace, image: np.ndarray, source: SourceRef, ordinal: int, track: str, crop_unit: np.ndarray,
    full_unit: np.ndarray, how: Cutting,
) -> Cut | None:
    landmarks, settings = found.landmarks, how.settings
    if not np.isfinite(crop_unit).all() or not np.isfinite(landmarks.mesh_px).all():
        return None
    side = how.side_px or side_of(1.0 / scale_of(crop_unit))
    matrix = scaling(side) @ crop_unit
    if abs(np.linalg.det(matrix)) < 1e-9:
        return None
    mesh, mesh_scale = fixed_point(landmarks.mesh_px)
    yaw, pitch, roll = found.pose_deg
    x0, y0, x1, y1 = (float(v) for v in found.detection.box_px)
    face = Face(
        face_id=face_id(source.sha256, source.frame_index, ordinal), source=source, box_px=(x0, y0, x1, y1),
        score=float(found.detection.score), presence_01=float(found.presence_01), mesh_px=mesh, mesh_scale=mesh_scale,
        points_px=np.asarray(landmarks.points_px, np.float32), face_type=FaceType(settings.face_type), side_px=side,
        face_from_frame=matrix, yaw_deg=float(yaw), pitch_deg=float(pitch), roll_deg=float(roll), sharpness=0.0,
        flags=_flags(found, image, matrix, side, 1.0 / scale_of(full_unit)), track=track, person=how.person,
        detector=how.detector, nets=how.nets, consent=how.consent,
    )
    return Cut(face, image)


def finish_face(cut: Cut, settings: ExtractSettings) -> tuple[str, bytes, Face]:
    """(file name, file bytes, face with its sharpness). Pure; for any thread (OpenCV lets go of the interpreter)."""
    picture = cut_crop(cut.image, cut.face.face_from_frame, cut.face.side_px, settings.crop)
    face = dataclasses.replace(cut.face, sharpness=sharpness(picture))
    if settings.obstructions != "none" and abs(face.yaw_deg) <= HIDDEN_YAW_DEG:
        with _ONE_AT_A_TIME:
            hidden = _judge(settings.obstructions)(picture, face)
        if hidden >= HIDDEN_01:
            face = dataclasses.replace(face, flags=tuple(sorted({*face.flags, "obstructed"})))
    data = encode_face(face, picture, None, settings.jpeg_quality)
    return face.face_id + suffix(settings.jpeg_quality), data, face


@cache
def _judge(name: str) -> Callable[[np.ndarray, Face], float]:
    judge: Callable[[np.ndarray, Face], float] = OBSTRUCTIONS.load(name)()
    return judge


def cut_crop(image: np.ndarray, matrix: np.ndarray, side_px: int, interpolation: str) -> np.ndarray:
    """(side, side, 3) uint8 RGB of a uint8 or uint16 frame; crops that shrink more than 2x are averaged first."""
    chosen = "auto" if interpolation == "cubic" or scale_of(matrix) < AREA_BELOW else interpolation
    picture = crop(image, matrix, side_px, chosen)  # type: ignore[arg-type]
    return eight_bit(picture)


def eight_bit(picture: np.ndarray) -> np.ndarray:
    """uint8, or full-range uint16 rounded to it."""
    return picture if picture.dtype == np.uint8 else np.rint(picture / 257.0).astype(np.uint8)


def sharpness(picture: np.ndarray) -> float:
    """Variance of the Laplacian (3 x 3, values 0..255) of an (S, S, 3) uint8 RGB crop's grey at 256 px."""
    return sharpness_of(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def sharpness_of(grey: np.ndarray) -> float:
    """The same of the grey (S, S) uint8 crop itself."""
    small = resize(grey, SHARPNESS_SIDE_PX, "area" if grey.shape[0] > SHARPNESS_SIDE_PX else "linear")
    _, deviation = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))
    return round(float(deviation[0, 0]) ** 2, 3)


def fixed_point(mesh_px: np.ndarray) -> tuple[np.ndarray, float]:
    """(468, 3) float frame px -> int16 and the scale it was multiplied by: 16, or less in frames too wide for it."""
    largest = float(np.abs(mesh_px).max()) if mesh_px.size else 0.0
    scale = float(MESH_SCALE)
    while largest * scale > _INT16 and scale > 2**-8:
        scale /= 2
    return np.clip(np.rint(mesh_px * scale), -_INT16, _INT16).astype(np.int16), scale


def side_of(native_px: float) -> int:
    """Side of a crop that keeps every pixel of a face whose square has the side `native_px` in its frame: up to the
    next multiple of 16, within 256..2048."""
    return int(min(max(np.ceil(native_px / 16) * 16, LEAST_NATIVE_PX), MAX_SIDE_PX))


def draw(image: np.ndarray, faces: list[Face], long_side_px: int = 1280) -> bytes:
    """JPEG of a frame with boxes (green), crops (blue) and points (red) drawn in, at most `long_side_px` wide."""
    plain = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    factor = min(1.0, long_side_px / max(plain.shape[:2]))
    size = (max(round(plain.shape[1] * factor), 1), max(round(plain.shape[0] * factor), 1))
    small = resize(plain, size, "area") if factor < 1 else plain
    picture = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2BGR)
    for face in faces:
        x0, y0, x1, y1 = (round(v * factor) for v in face.box_px)
        cv2.rectangle(picture, (x0, y0), (x1, y1), (0, 200, 0), 1, cv2.LINE_AA)
        corners = apply_affine(invert(face.face_from_frame), square_corners(face.side_px)) * factor
        cv2.polylines(picture, [np.rint(corners).astype(np.int32)], True, (230, 120, 0), 1, cv2.LINE_AA)
        for x, y in np.rint(face.points * factor).astype(int).tolist():
            cv2.circle(picture, (x, y), 1, (0, 0, 255), -1, cv2.LINE_AA)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def leaves_frame(face_from_frame_px: np.ndarray, side_px: int, image: np.ndarray) -> bool:
    """Whether a crop of that matrix and side shows what lies beside its frame, (H, W, 3)."""
    corners = apply_affine(invert(face_from_frame_px), square_corners(side_px))
    height, width = image.shape[:2]
    return bool(corners.min() < -0.5 or corners[:, 0].max() > width - 0.5 or corners[:, 1].max() > height - 0.5)


def _flags(
    found: FoundFace, image: np.ndarray, matrix: np.ndarray, side_px: int, full_side_px: float
) -> tuple[str, ...]:
    words = set(found.flags)
    if leaves_frame(matrix, side_px, image):
        words.add(LEAVES_FRAME)
    if cut_off(found.landmarks.mesh_px, image.shape):
        words.add("cut_off")
    if box_too_small(found.detection.box_px, full_side_px):
        words.add("box_too_small")
    return tuple(sorted(words))
