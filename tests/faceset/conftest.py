"""Made-up faces: numbers and noise, no person."""

from __future__ import annotations

import dataclasses
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facewright.faces.face import Face, FaceType, SourceRef, face_id

SHA = "0123456789abcdef" * 4


def make_face(frame: int = 3, ordinal: int = 0, *, sha256: str = SHA, **changes: object) -> Face:
    rng = np.random.default_rng(frame * 17 + ordinal)
    face = Face(
        face_id=face_id(sha256, frame, ordinal),
        source=SourceRef("film.mp4", sha256, frame, frame * 512, Fraction(1, 12800)),
        box_px=(10.25, 20.5, 110.75, 140.125), score=0.875, presence_01=0.96875,
        mesh_px=rng.integers(-2000, 20000, (468, 3)).astype(np.int16), mesh_scale=16.0,
        points_px=rng.normal(200, 80, (68, 2)).astype(np.float32), face_type=FaceType.WHOLE, side_px=64,
        face_from_frame=np.array([[0.41, 0.02, -3.1], [-0.02, 0.41, 7.7], [0, 0, 1.0]]),
        yaw_deg=12.5 - frame, pitch_deg=-3.25, roll_deg=1.5, sharpness=100.0 + frame, track=f"{sha256[:8]}:0000000:0",
        detector="fake", nets=(("fake", "00" * 32),),
    )
    return dataclasses.replace(face, **changes)


def same_face(a: Face, b: Face) -> bool:
    for field in dataclasses.fields(Face):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            if not (isinstance(y, np.ndarray) and x.dtype == y.dtype and np.array_equal(x, y)):
                return False
        elif field.name == "polygons":
            if [k for k, _ in x] != [k for k, _ in y] or not all(np.array_equal(p, q) for (_, p), (_, q) in zip(x, y)):
                return False
        elif x != y:
            return False
    return True


@pytest.fixture
def picture() -> np.ndarray:
    yy, xx = np.mgrid[0:64, 0:64]
    return np.stack([xx * 4, yy * 4, (xx + yy) * 2], axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> tuple[Path, Path]:
    """The film of review_world and its faceset, which nobody changes."""
    from tests.faceset.review_world import extract, film_at

    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWRIGHT_NO_IDENTITY", "1")
        film = film_at(root)
        return film, extract(film, root / "set")


@pytest.fixture
def folder(world, tmp_path) -> Path:
    """A copy of that faceset."""
    return Path(shutil.copytree(world[1], tmp_path / "set"))
