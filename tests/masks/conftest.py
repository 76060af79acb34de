"""Drawn heads: ellipses with the mean face's landmarks and the canonical mesh laid on them; no person."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face
from tests.faceset.sets import write_set

from facewright.faces.align import canonical_mesh, face_from_frame, template_3d
from facewright.faces.face import Face, FaceType
from facewright.faceset.header import Header, Source

FRAME_PX = 640


def turned(points: np.ndarray, yaw_deg: float) -> np.ndarray:
    a = np.radians(yaw_deg)
    return points @ np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])


def head(frame: int = 0, *, side: int = 128, yaw_deg: float = 0.0, kind: FaceType = FaceType.WHOLE, **changes) -> Face:
    """A face whose landmarks, mesh and crop belong together; frame after frame it drifts a little."""
    centre = np.array([320.0 + 3 * np.sin(frame), 300.0 + 2 * np.cos(frame)])
    points = (turned(template_3d().astype(np.float64), yaw_deg)[:, :2] * 1.6 + centre).astype(np.float32)
    mesh = turned(canonical_mesh() * [1, -1, -1], yaw_deg) * 17.0 + [centre[0], centre[1] - 20, 0]
    return dataclasses.replace(
        make_face(frame), points_px=points, mesh_px=np.rint(mesh * 16).astype(np.int16), mesh_scale=16.0,
        face_type=kind, side_px=side, face_from_frame=face_from_frame(points, side, kind), yaw_deg=yaw_deg, **changes)


def picture(face: Face, side: int = 0) -> np.ndarray:
    """(S, S, 3) uint8 RGB: a skin-coloured ellipse on a gradient that depends on the frame."""
    side = side or face.side_px
    yy, xx = np.mgrid[0:side, 0:side] / side
    shade = 40 + 5 * (face.source.frame_index % 20)
    image = np.stack([xx * shade, yy * shade, np.full_like(xx, shade)], -1).astype(np.uint8)
    cv2.ellipse(image, (side // 2, side // 2), (side * 3 // 10, side * 4 // 10), 0, 0, 360, (210, 160, 130), -1)
    return image


def make_set(place: Path, faces: list[Face], masks: dict[str, np.ndarray] | None = None) -> Path:
    """A faceset of these faces; masks by face id, (m, m) uint8."""
    source = Source("film.mp4", SHA, "25", (FRAME_PX, FRAME_PX), len(faces), {}, True, {})
    write_set(place, [(face, picture(face), (masks or {}).get(face.face_id)) for face in faces],
              Header(str(faces[0].face_type), faces[0].side_px, (source,)), 95)
    return place


def pixels(path: Path) -> bytes:
    """Every byte of a face file that is not ours."""
    from facewright.faceset.segments import cut

    pieces = cut(path.read_bytes())
    return pieces.before + pieces.after


@pytest.fixture
def faceset(tmp_path: Path) -> Path:
    """70 faces: two batches."""
    return make_set(tmp_path / "gesichter ä", [head(n, yaw_deg=float(n % 40 - 20)) for n in range(70)])
