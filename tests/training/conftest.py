"""Small drawn people: facesets without pictures of anyone."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewright.faces.align import face_from_frame, template_3d
from facewright.faces.face import Face, FaceType, SourceRef, face_id
from facewright.faceset.record import encode_face
from facewright.faceset.store import Writer
from facewright.image.geometry import apply_affine
from facewright.image.masks import hull_mask
from facewright.image.warp import warp

FRAME_PX = 240


def points_of(index: int) -> np.ndarray:
    """(68, 2) float32 frame px of a head that turns and moves a little with `index`."""
    yaw = np.deg2rad(25 * np.sin(0.7 * index))
    head = template_3d() @ np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    return (head[:, :2] * 0.8 + [120 + 6 * np.cos(index), 120 + 4 * np.sin(index)]).astype(np.float32)


def draw(points: np.ndarray, skin: tuple[int, int, int], eye: tuple[int, int, int]) -> np.ndarray:
    """(240, 240, 3) uint8 RGB: a flat head with eyes and a mouth."""
    image = np.full((FRAME_PX, FRAME_PX, 3), (30, 60, 40), np.uint8)
    image[hull_mask(points, image.shape[:2]) > 0] = skin
    for part, colour in ((slice(36, 42), eye), (slice(42, 48), eye), (slice(48, 60), (160, 40, 50))):
        cv2.fillConvexPoly(image, cv2.convexHull(points[part].astype(np.int32)), colour)
    return image


class DrawnFaceset:
    """What training needs of a faceset, in memory."""

    def __init__(
        self, count: int = 12, skin: tuple[int, int, int] = (220, 180, 150), name: str = "a", side_px: int = 160,
        face_type: FaceType = FaceType.WHOLE, person: str = "",
    ) -> None:
        self.sha = hashlib.sha256(name.encode()).hexdigest()
        self.faces: list[Face] = []
        self.images: dict[str, np.ndarray] = {}
        self.masks: dict[str, np.ndarray] = {}
        for index in range(count):
            points = points_of(index)
            matrix = face_from_frame(points, side_px, face_type)
            yaw = float(25 * np.sin(0.7 * index))
            face = Face(
                face_id(self.sha, index, 0), SourceRef(f"{name}.mp4", self.sha, index, index, Fraction(1, 25)),
                (60.0, 60.0, 180.0, 180.0), 0.99, 1.0, np.zeros((468, 3), np.int16), 16.0, points, face_type, side_px,
                matrix, yaw, 0.0, 0.0, 100.0, person=person,
            )
            self.faces.append(face)
            self.images[face.face_id] = warp(draw(points, skin, (40, 70, 140)), matrix, side_px)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    def __len__(self) -> int:
        return len(self.faces)

    def image(self, face: Face) -> np.ndarray:
        return self.images[face.face_id]

    def mask(self, face: Face) -> np.ndarray | None:
        return self.masks.get(face.face_id)

    def load(self, face: Face) -> tuple[Face, np.ndarray, np.ndarray | None]:
        return face, self.image(face), self.mask(face)

    def hull_in_crop(self, face: Face) -> np.ndarray:
        return apply_affine(face.face_from_frame, face.points)


@pytest.fixture(scope="session")
def drawn():
    """Factory of drawn facesets."""
    return DrawnFaceset


def write_faceset(folder: Path, drawn_faces: DrawnFaceset, **header: object) -> Path:
    """The drawn faces as a real faceset on disk."""
    files = [(f"{f.face_id}.jpg", encode_face(f, drawn_faces.image(f))) for f in drawn_faces]
    with Writer(folder) as writer:
        writer.add_chunk(drawn_faces.sha, 0, files)
        kind = str(drawn_faces.faces[0].face_type) if len(drawn_faces) else "whole_face"
        writer.update_header(lambda h: dataclasses.replace(h, face_type=kind, side_px=160, **header))
    return folder


@pytest.fixture(scope="session")
def write():
    """write(folder, drawn faceset, **header) -> folder."""
    return write_faceset


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """Two facesets on disk: light source, dark target, 12 faces each."""
    root = tmp_path_factory.mktemp("pair")
    source = DrawnFaceset(12, (220, 180, 150), "a")
    target = DrawnFaceset(12, (120, 80, 60), "b")
    return write_faceset(root / "src", source, consent="sha256:" + "1" * 64), write_faceset(root / "dst", target)
