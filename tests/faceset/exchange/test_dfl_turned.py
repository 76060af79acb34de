"""Photos that a camera stored on their side: DeepFaceLab sees them as they are stored, we see them upright."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.faceset.dfl_sets import facts, file_of, head, stated_in
from tests.faceset.exchange.test_dfl_export import hand
from tests.faceset.exchange.test_dfl_import import bring

from facewright.faces.align import crop, face_from_frame
from facewright.faces.face import FaceType
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.image.geometry import apply_affine, umeyama
from facewright.media.stills import read_still, upright_from_stored

ORIENTATIONS = (1, 3, 6, 8)


def photos(folder: Path) -> None:
    """One for each orientation: a big smooth picture, stored as its own pixels, with a note of the way up."""
    rng = np.random.default_rng(4)
    for number in ORIENTATIONS:
        image = cv2.resize(rng.integers(0, 255, (24, 32, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
        exif = Image.Exif()
        exif[274] = number
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"p{number}.jpg", exif=exif, quality=95)


def aligned(folder: Path, frames: Path, golden: Path) -> Path:
    """The faces that DeepFaceLab would cut: out of the pixels as they are stored."""
    folder.mkdir()
    for number in ORIENTATIONS:
        stored = cv2.imread(str(frames / f"p{number}.jpg"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        points = head(golden, 0)
        points = (points - points.mean(0)) * (90 / np.ptp(points[:, 0])) + [300, 220]
        picture = crop(stored, face_from_frame(points, 128, FaceType.WHOLE), 128)
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        stated = facts(points.astype(np.float32), 128, f"p{number}.jpg")
        (folder / f"p{number}_0.jpg").write_bytes(file_of(coded, stated))
    return folder


@pytest.fixture
def world(golden, tmp_path) -> tuple[Path, Path]:
    photos(tmp_path / "frames")
    return tmp_path / "frames", aligned(tmp_path / "aligned", tmp_path / "frames", golden)


def test_faces_lie_where_they_are_in_the_upright_frame(world, tmp_path):
    frames, src = world
    done = bring(src, tmp_path / "set", frames=str(frames))
    assert (done["imported"], done["refused"]) == (4, [])
    faceset = Faceset.open(tmp_path / "set")
    for face in faceset:
        upright = read_still(frames / face.source.file.rpartition("/")[2])
        again = crop(upright, face.face_from_frame, face.side_px)
        assert np.abs(again.astype(float) - faceset.image(face)).mean() < 3, face.source.file
        inside = apply_affine(face.face_from_frame, face.points)
        assert np.abs(inside - apply_affine(face_from_frame(face.points, 128, FaceType.WHOLE), face.points)).max() < 0.1
        x0, y0, x1, y1 = face.box_px
        assert 0 <= x0 < x1 <= upright.shape[1]
        assert 0 <= y0 < y1 <= upright.shape[0]
    rolls = {face.source.file.rpartition("/")[2]: face.roll_deg for face in faceset}
    assert len({round((roll - rolls["p1.jpg"]) / 90) % 4 for roll in rolls.values()}) == 4


def test_they_go_back_as_they_came_and_an_edit_goes_back_turned(world, tmp_path):
    frames, src = world
    bring(src, tmp_path / "set", frames=str(frames))
    hand(tmp_path / "set", tmp_path / "out")
    for path in src.glob("*.jpg"):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    faceset = Faceset.open(tmp_path / "set")
    for face in list(faceset):
        moved = dataclasses.replace(face, edited_px=face.points + np.float32(3))
        file = faceset.file(face)
        file.write_bytes(record.replace_metadata(file.read_bytes(), moved))
    hand(tmp_path / "set", tmp_path / "edited")
    for path in src.glob("*.jpg"):
        before, after = stated_in(path), stated_in(tmp_path / "edited" / path.name)
        move = np.array(after["source_landmarks"]) - before["source_landmarks"]
        stored = upright_from_stored(frames / path.name.replace("_0", ""))[:2, :2].T @ [3, 3]
        assert np.abs(move - stored).max() < 0.01
        assert np.allclose(umeyama(np.array(after["source_landmarks"]), np.array(after["landmarks"]))[:2],
                           after["image_to_face_mat"], atol=1e-3)


def test_a_picture_stored_as_in_a_mirror_is_refused(world, tmp_path):
    frames, src = world
    exif = Image.Exif()
    exif[274] = 5
    Image.open(frames / "p6.jpg").save(frames / "p6.jpg", exif=exif, quality=95)
    done = bring(src, tmp_path / "set", frames=str(frames))
    assert [name for name, _ in done["refused"]] == ["p6_0.jpg"]
    assert "mirror" in done["refused"][0][1]
