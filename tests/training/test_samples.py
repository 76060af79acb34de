from __future__ import annotations

import shutil

import numpy as np
import pytest

from facewright.core.errors import DiskRefused
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.image.warp import warp
from facewright.training import samples
from facewright.training.samples import MASK, PRIORITY


def prepare(folder, faces, digest="d", side=64, **changes):
    facts = {"face_type": FaceType.FULL, "side": side, "mouth_area": "inner", "digest": digest} | changes
    return samples.prepare(folder, list(faces), faces.load, len(faces), **facts)


def test_a_red_square_arrives_as_bgr(drawn, tmp_path):
    faces = drawn(2)
    for image in faces.images.values():
        image[:] = (255, 0, 0)
    crop = prepare(tmp_path, faces).read(np.array([0]))[0]
    assert crop[2].min() == 255
    assert crop[:2].max() == 0


@pytest.mark.parametrize("stored", [FaceType.WHOLE, FaceType.HEAD, FaceType.FULL])
def test_every_stored_type_gives_the_same_crop_of_the_nets_type(drawn, stored):
    """The crop is aligned from the points, so what it was cut from matters only to sharpness."""
    faces = drawn(3, side_px=320, face_type=stored)
    face = faces.faces[1]
    from_crop = samples.cut_face(faces.load(face), FaceType.FULL, 64, False)
    direct_matrix = face_from_frame(face.points, 64, FaceType.FULL)
    frame = warp(faces.images[face.face_id], np.linalg.inv(face.face_from_frame), 240, "linear")
    direct = warp(frame, direct_matrix, 64, "linear", "replicate")
    inside = from_crop[MASK] > 250
    assert 0.2 < inside.mean() < 0.9
    difference = np.abs(from_crop[:3].transpose(1, 2, 0)[..., ::-1].astype(int) - direct)[inside]
    assert np.median(difference) <= 3


def test_mask_is_the_hull_unless_one_is_stored(drawn):
    faces = drawn(2)
    face = faces.faces[0]
    hull = samples.cut_face(faces.load(face), FaceType.WHOLE, 160, False)[MASK]
    assert 0.1 < (hull > 127).mean() < 0.6
    half = np.zeros((40, 40), np.float32)
    half[:, :20] = 1
    faces.masks[face.face_id] = half
    stored = samples.cut_face(faces.load(face), FaceType.WHOLE, 160, False)[MASK]
    assert (stored[:, :70] > 250).all()
    assert (stored[:, 90:] == 0).all()


def test_priority_lies_on_eyes_and_mouth_and_inside_the_mask(drawn):
    faces = drawn(2)
    face = faces.faces[0]
    inner = samples.cut_face(faces.load(face), FaceType.WHOLE, 160, False)
    lips = samples.cut_face(faces.load(face), FaceType.WHOLE, 160, True)
    at = np.rint(faces.hull_in_crop(face)).astype(int)
    for crop in (inner, lips):
        assert crop[PRIORITY].max() == 255
        assert not crop[PRIORITY][crop[MASK] == 0].any()
        assert crop[PRIORITY][at[36:48, 1], at[36:48, 0]].min() > 50
    assert lips[PRIORITY].astype(int).sum() > inner[PRIORITY].astype(int).sum()


def test_the_cache_is_made_once_and_again_when_stale(drawn, tmp_path):
    faces, calls = drawn(5), []
    original = faces.image
    faces.image = lambda face: (calls.append(face.face_id), original(face))[1]
    first = prepare(tmp_path, faces)
    assert len(calls) == 5
    prepare(tmp_path, faces)
    assert len(calls) == 5, "found, not made again"
    other = prepare(tmp_path, faces, digest="other")
    assert len(calls) == 10, "another faceset"
    assert not first.path.exists(), "the stale one is gone"
    with other.path.open("r+b") as file:
        file.truncate(100)
    prepare(tmp_path, faces, digest="other")
    assert len(calls) == 15, "a broken one is made again"


def test_a_killed_build_leaves_nothing_that_counts(drawn, tmp_path):
    faces = drawn(40)

    def broken(face):
        if face is faces.faces[-1]:
            raise KeyboardInterrupt
        return np.zeros((160, 160, 3), np.uint8)

    whole, faces.image = faces.image, broken
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, faces)
    faces.image = whole
    made = prepare(tmp_path, faces)
    assert made.read(np.arange(40))[:, :3].any(axis=(1, 2, 3)).all()
    assert [p.name for p in tmp_path.iterdir()] == [made.path.parent.name]


def test_threads_do_not_change_the_file(drawn, tmp_path):
    faces = drawn(9)
    one = prepare(tmp_path / "one", faces, workers=1)
    many = prepare(tmp_path / "many", faces, workers=7)
    assert one.path.read_bytes() == many.path.read_bytes()
    np.testing.assert_array_equal(one.frames, np.arange(9))


def test_a_full_disk_is_said_before_work_begins(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "free_bytes", lambda path: 1000)
    with pytest.raises(DiskRefused, match="no room"):
        prepare(tmp_path, drawn(2))


def test_colour_statistics_and_their_map(drawn, tmp_path):
    light = prepare(tmp_path / "l", drawn(4, skin=(220, 180, 150)))
    dark = prepare(tmp_path / "d", drawn(4, skin=(120, 80, 60), name="b"))
    gain, offset = samples.colour_map(light.colour, dark.colour)
    np.testing.assert_allclose(light.colour[0] * gain + offset, dark.colour[0])
    np.testing.assert_allclose(light.colour[1] * gain, dark.colour[1])
    inside = light.read(np.arange(4))
    values = inside[:, 2][inside[:, MASK] > 127] / 255
    np.testing.assert_allclose(light.colour[:, 2], [values.mean(), values.std()], atol=1e-6)


def test_hold_out_takes_the_end_of_every_block():
    frames = np.arange(60)
    kept = samples.choose(frames, 25, 4)
    assert set(np.setdiff1d(frames, kept)) == {21, 22, 23, 24, 46, 47, 48, 49}
    np.testing.assert_array_equal(samples.choose(frames, 0, 4), frames)
    np.testing.assert_array_equal(samples.choose(np.array([24, 49, 74]), 25, 4), [0, 1, 2])


@pytest.mark.parametrize(
    ("resolution", "native", "side"),
    [(96, 400, 128), (64, 400, 96), (128, 400, 176), (256, 380, 352), (256, 200, 256), (96, 100, 112)],
)
def test_crop_side(resolution, native, side):
    assert samples.crop_side(resolution, native) == side


def test_a_cache_cut_short_while_training_is_said(drawn, tmp_path):
    made = prepare(tmp_path, drawn(3))
    with made.path.open("r+b") as file:
        file.truncate(10)
    with pytest.raises(DiskRefused):
        made.read(np.array([2]))
    shutil.rmtree(made.path.parent)
