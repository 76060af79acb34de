"""Drawn faces with one fault each, for cleaning: which faults a face has is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
from tests.faceset.conftest import SHA
from tests.faceset.sets import write_set
from tests.masks.conftest import FRAME_PX, head

from facewright.faces.face import Face
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Source
from facewright.image.geometry import apply_affine
from facewright.image.masks import hull_mask

SIDE = 96


def drawn(face: Face) -> np.ndarray:
    """(S, S, 3) uint8 RGB: skin with a texture that belongs to the frame."""
    rng = np.random.default_rng(face.source.frame_index)
    image = np.empty((SIDE, SIDE, 3), np.float32)
    image[:] = (205, 155, 130)
    image += cv2.resize(rng.normal(0, 22, (SIDE // 3, SIDE // 3, 1)).astype(np.float32), (SIDE, SIDE))[..., None]
    image += rng.normal(0, 6, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def good(frame: int, **changes: object) -> tuple[Face, np.ndarray]:
    """A sound face looking ahead; one track for all."""
    face = head(frame, side=SIDE, track="t", presence_01=0.99, **changes)
    return face, drawn(face)


def blurred(frame: int, **changes: object) -> tuple[Face, np.ndarray]:
    face, image = good(frame, **changes)
    return face, cv2.GaussianBlur(image, (0, 0), 4)


def darkened(frame: int) -> tuple[Face, np.ndarray]:
    face, image = good(frame)
    return face, image // 16


def burnt(frame: int) -> tuple[Face, np.ndarray]:
    face, image = good(frame)
    image[SIDE // 3 :] = 255
    return face, image


def greyed(frame: int) -> tuple[Face, np.ndarray]:
    face, image = good(frame)
    return face, np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)


def tinted(frame: int) -> tuple[Face, np.ndarray]:
    face, image = good(frame)
    return face, image[..., ::-1].copy()


def bordered(frame: int) -> tuple[Face, np.ndarray]:
    face, image = good(frame)
    image[:, : SIDE // 2] = 0
    return face, image


def outside(frame: int) -> tuple[Face, np.ndarray]:
    """A face that leaves the frame at its left edge."""
    face, image = good(frame)
    off = np.array([face.points_px[:, 0].min() + 40, 0], np.float32)
    moved = face.face_from_frame @ np.array([[1, 0, off[0]], [0, 1, 0], [0, 0, 1.0]])
    return dataclasses.replace(face, points_px=face.points_px - off, face_from_frame=moved, track="edge",
                               flags=("crop_leaves_frame",)), image


def turned_over(frame: int) -> tuple[Face, np.ndarray]:
    """Landmarks laid on at a right angle."""
    face, image = good(frame)
    centre = face.points_px.mean(0)
    points = (face.points_px - centre) @ np.array([[0, 1], [-1, 0]], np.float32) + centre
    quarter = np.array([[0, -1, SIDE], [1, 0, 0], [0, 0, 1.0]])
    return dataclasses.replace(face, points_px=points, face_from_frame=quarter @ face.face_from_frame), image


def bent(frame: int) -> tuple[Face, np.ndarray]:
    """Points that no head has."""
    face, image = good(frame)
    points = face.points_px.copy()
    points[:9] += [60, -80]
    return dataclasses.replace(face, points_px=points, track="bent"), image


def nobody(frame: int) -> tuple[Face, np.ndarray]:
    face, image = good(frame)
    return dataclasses.replace(face, presence_01=0.1), image


def behind_a_hand(frame: int) -> tuple[Face, np.ndarray, np.ndarray]:
    """Its mask leaves the lower half out, and says a net made it."""
    face, image = good(frame, mask_by="xseg:" + "0" * 8)
    mask = (hull_mask(apply_affine(face.face_from_frame, face.points_px), (SIDE, SIDE)) * 255).astype(np.uint8)
    mask[SIDE // 2 :] = 0
    return face, image, mask


FAULTY = {
    "blurry": [blurred], "bad_exposure": [darkened, burnt, greyed, tinted], "cut_off": [bordered, outside],
    "misaligned": [turned_over, bent], "no_face": [nobody], "obstructed": [behind_a_hand],
}


def write(folder: Path, faces: list[tuple]) -> Faceset:
    """With the film's facts."""
    source = Source("film.mp4", SHA, "25", (FRAME_PX, FRAME_PX), 1000, {}, True, {})
    return write_set(folder, faces, Header("whole_face", SIDE, (source,)))


def mixed(folder: Path, count: int = 150) -> tuple[Faceset, dict[str, list[str]]]:
    """`count` sound faces and one of each fault among them; fault -> ids."""
    faces: list[tuple] = [good(frame) for frame in range(count)]
    wrong: dict[str, list[str]] = {}
    frame = 11
    for fault, makers in FAULTY.items():
        for maker in makers:
            faces[frame] = maker(frame)
            wrong.setdefault(fault, []).append(faces[frame][0].face_id)
            frame += 11
    return write(folder, faces), wrong
