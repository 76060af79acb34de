"""Measures equal the original's numbers, are kept, and a changed formula or file is measured anew."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tests.faceset.conftest import make_face
from tests.faceset.golden_set import IDENTITY, golden_faceset, set_of_pictures
from tests.faceset.sets import write_set

from facewright.core.errors import NothingFound
from facewright.faces.align import template_2d
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import FolderFiles
from facewright.faceset.record import encode_face
from facewright.faceset.sorting import measures as room
from facewright.faceset.sorting.measure_formulas import MEASURES, Look
from facewright.faceset.sorting.measures import measures


@pytest.fixture(scope="module")
def drawn(golden, tmp_path_factory):
    return golden_faceset(golden, tmp_path_factory.mktemp("drawn") / "set")


@pytest.fixture(scope="module")
def numbers(golden):
    return json.loads((golden / "data" / "sort.json").read_text())


def by_name(found, names, faceset):
    return {names[row.face_id]: value for row, value in zip(faceset.rows(), found)}


def test_equal_the_original_on_its_drawn_faces(drawn, numbers):
    faceset, names = drawn
    found = measures(faceset, ["blur", "motion_blur", "pose", "brightness", "hue", "black"], threads=2)
    wanted = numbers["faces"]
    for name, key, tolerance in (("blur", "blur", 1e-9), ("motion_blur", "motion_blur", None),
                                 ("brightness", "brightness", 1e-6), ("hue", "hue", 1e-6), ("black", "black", 0)):
        for stem, value in by_name(found[name], names, faceset).items():
            limit = 1e-6 * wanted[key][stem] if tolerance is None else tolerance
            assert abs(value - wanted[key][stem]) <= limit, (name, stem)
    for stem, (yaw_deg, pitch_deg) in by_name(found["pose"], names, faceset).items():
        assert abs(-np.radians(yaw_deg) - wanted["yaw"][stem]) < 1e-4
        assert abs(-np.radians(pitch_deg) - wanted["pitch"][stem]) < 1e-4


def test_equal_the_original_on_its_pictures(golden, numbers, tmp_path):
    pictures = np.load(golden / "data" / "sort_pics.npz")["pics"]
    faceset, names = set_of_pictures(
        tmp_path / "set", {f"p{i:02d}": p[..., ::-1] for i, p in enumerate(pictures)})
    found = measures(faceset, ["brightness", "hue", "black", "small", "colour_counts"])
    for name in ("brightness", "hue", "black"):
        for stem, value in by_name(found[name], names, faceset).items():
            assert value == pytest.approx(numbers["pics"][name][stem], rel=1e-6), (name, stem)
    assert np.array_equal(found["small"], pictures[..., ::-1])
    assert (found["colour_counts"].sum(-1) == 64 * 64).all()


def test_kept_values_are_the_measured_ones_and_read_no_picture(drawn, monkeypatch):
    faceset, _ = drawn
    names = list(MEASURES)
    first = measures(faceset, names)
    monkeypatch.setattr(FolderFiles, "read", lambda *a: pytest.fail("a picture is read again"))
    again = measures(faceset, names, progress=lambda done, total: pytest.fail("nothing is to be measured"))
    for name in names:
        assert np.array_equal(first[name], again[name], equal_nan=True), name
        assert first[name].dtype == MEASURES[name].dtype
    ids = [row.face_id for row in faceset.rows()][::-1]
    assert np.array_equal(measures(faceset, ["brightness"], ids)["brightness"], first["brightness"][::-1])


def test_a_picture_is_read_once_for_all_names(drawn, monkeypatch, golden, tmp_path):
    faceset, _ = golden_faceset(golden, tmp_path / "set")
    read = []
    real = FolderFiles.read
    monkeypatch.setattr(FolderFiles, "read", lambda files, path: read.append(path) or real(files, path))
    measures(faceset, ["pose", "expression"])
    assert not read, "points alone need no picture"
    measures(faceset, ["brightness", "hue", "small", "blur"])
    assert len(read) == len(set(read)) == len(faceset)


def test_a_changed_formula_is_measured_anew(drawn, monkeypatch):
    faceset, _ = drawn
    before = measures(faceset, ["hue"])["hue"]
    newer = dataclasses.replace(MEASURES["hue"], version=99, of=lambda look: 1.0)
    monkeypatch.setitem(MEASURES, "hue", newer)
    assert (measures(faceset, ["hue"])["hue"] == 1).all()
    monkeypatch.undo()
    assert np.array_equal(measures(faceset, ["hue"])["hue"], before)


def test_a_changed_file_is_measured_anew_and_a_broken_one_passed_over(tmp_path):
    rng = np.random.default_rng(1)
    pictures = {name: rng.integers(0, 256, (64, 64, 3), np.uint8) for name in "abc"}
    faceset, _ = set_of_pictures(tmp_path / "set", pictures)
    before = measures(faceset, ["brightness", "black"])["brightness"]
    rows = list(faceset.rows())
    path = faceset.path / rows[1].path
    path.write_bytes(encode_face(faceset.face(rows[1].face_id), pictures["b"] // 2, None, 0))
    faceset = Faceset.open(tmp_path / "set")
    after = measures(faceset, ["brightness"])["brightness"]
    assert after[1] == pytest.approx(before[1] / 2, rel=0.02)
    assert (after[[0, 2]] == before[[0, 2]]).all()
    path.write_bytes(path.read_bytes()[:-2000])
    faceset = Faceset.open(tmp_path / "set")
    refused: dict[str, str] = {}
    found = measures(faceset, ["brightness", "black"], refused=refused)
    assert np.isnan(found["brightness"]).tolist() == [False, True, False]
    assert list(refused) == [rows[1].path]


def test_stopped_in_the_middle_it_goes_on(tmp_path, monkeypatch):
    faceset, _ = set_of_pictures(tmp_path / "set", {str(i): np.full((8, 8, 3), i, np.uint8) for i in range(9)})
    monkeypatch.setattr(room, "BATCH", 4)

    class Stopped(Exception):
        pass

    def stop(done, total):
        raise Stopped

    with pytest.raises(Stopped):
        measures(faceset, ["brightness"], progress=stop)
    told = []
    found = measures(faceset, ["brightness"], progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 5), (5, 5)]
    assert found["brightness"].tolist() == list(range(9))


def test_kept_values_that_cannot_be_are_measured_anew(drawn):
    faceset, _ = drawn
    before = measures(faceset, ["hue", "small"])
    with faceset.index.connect() as db:
        db.execute("UPDATE measures SET value = X'00' WHERE name LIKE 'hue/%' OR name LIKE 'small/%'")
    after = measures(faceset, ["hue", "small"])
    for name in before:
        assert np.array_equal(before[name], after[name])


def test_landmarks_that_break_a_formula_are_told_and_cost_one_face(drawn, monkeypatch):
    faceset, _ = drawn

    def sometimes(look):
        if look.face.source.frame_index == 3:
            raise np.linalg.LinAlgError("singular")
        return 1.0

    monkeypatch.setitem(MEASURES, "hue", dataclasses.replace(MEASURES["hue"], version=98, of=sometimes))
    refused: dict[str, str] = {}
    found = measures(faceset, ["hue"], refused=refused)["hue"]
    assert np.isnan(found).sum() == len(refused) == 1
    assert "singular" in next(iter(refused.values()))


def test_a_stranger_is_refused(drawn):
    with pytest.raises(NothingFound):
        measures(drawn[0], ["hue"], ["nobody"])


def face_of(image, points, **changes):
    return Look(make_face(points_px=points.astype(np.float32), face_from_frame=IDENTITY, side_px=image.shape[0],
                          **changes), image)


def head_points(side, mouth=0.0):
    """(68, 2): the mean face with a jaw, in a picture of `side`; mouth: how far the inner lips open, in units."""
    jaw_angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 + 0.55 * np.cos(jaw_angle), 0.25 + 0.85 * np.sin(jaw_angle)], 1)
    points = np.concatenate([jaw, template_2d()]).astype(np.float64)
    points[[61, 62, 63], 1] -= mouth
    points[[65, 66, 67], 1] += mouth
    return (0.2 + 0.6 * points) * side


def shaded(side, right, above):
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    luminance = 0.3 * (1 + 2 * right * x - 2 * above * y)
    return np.repeat(np.rint(255 * np.clip(luminance, 0, 1)[..., None] ** (1 / 2.2)), 3, -1).astype(np.uint8)


@pytest.mark.parametrize(("right", "above"), [(0.0, 0.0), (0.8, 0.0), (-0.8, 0.0), (0.0, 0.7), (0.0, -0.7)])
def test_light_comes_from_where_it_is_bright(right, above):
    found = MEASURES["light"].of(face_of(shaded(128, right, above), head_points(128)))
    for value, wanted in zip(found, (right, above)):
        assert np.sign(round(value, 2)) == np.sign(wanted)
        assert abs(value) < 1
        assert abs(value) > 0.3 * abs(wanted)


def test_light_does_not_depend_on_brightness_or_size():
    image = shaded(256, 0.5, 0.3)
    a = MEASURES["light"].of(face_of(image, head_points(256)))
    b = MEASURES["light"].of(face_of(np.rint(image * 0.7).astype(np.uint8), head_points(256)))
    c = MEASURES["light"].of(face_of(shaded(64, 0.5, 0.3), head_points(64)))
    assert np.allclose(a, b, atol=0.03)
    assert np.allclose(a, c, atol=0.03)


def test_expression_is_the_mouth_and_not_the_size():
    image = np.zeros((8, 8, 3), np.uint8)
    closed, opened = (MEASURES["expression"].of(face_of(image, head_points(200, m))) for m in (0.0, 0.06))
    large = MEASURES["expression"].of(face_of(image, head_points(800, 0.06)))
    assert opened[0] > closed[0] + 0.1
    assert opened[1] == closed[1]
    assert np.allclose(opened, large)


def test_exposure_counts_what_is_clipped_inside_alone():
    points = head_points(128)
    look = face_of(np.full((128, 128, 3), 128, np.uint8), points)
    assert MEASURES["exposure"].of(look) == (0, 0)
    hull = look.hull > 0
    image = np.full((128, 128, 3), 255, np.uint8)
    image[hull] = 128
    assert MEASURES["exposure"].of(face_of(image, points)) == (0, 0)
    image[hull & (np.arange(128) < 64)] = 5
    dark, bright = MEASURES["exposure"].of(face_of(image, points))
    assert dark == pytest.approx(0.5, abs=0.05)
    assert bright == 0


def test_laplacian_sees_blur_and_not_the_background():
    rng = np.random.default_rng(2)
    points = head_points(256)
    sharp = rng.integers(0, 256, (256, 256, 3), np.uint8)
    hull = face_of(sharp, points).hull > 0
    plain = np.full_like(sharp, 90)
    plain[~hull] = sharp[~hull]
    assert MEASURES["laplacian"].of(face_of(sharp, points)) > 1000
    assert MEASURES["laplacian"].of(face_of(plain, points)) < 0.1 * MEASURES["laplacian"].of(face_of(sharp, points))


def test_misfit_sees_points_that_are_no_face():
    image, points = np.zeros((8, 8, 3), np.uint8), head_points(200)
    sound = MEASURES["misfit"].of(face_of(image, points))
    turned = points @ np.array([[0.8, 0.6], [-0.6, 0.8]]) + 40
    assert MEASURES["misfit"].of(face_of(image, turned)) == pytest.approx(sound, rel=1e-3)
    spoilt = points.copy()
    spoilt[0:9] += (60, -40)
    assert MEASURES["misfit"].of(face_of(image, spoilt)) > 2 * sound


def test_a_picture_below_one_block_has_no_sharpness(tmp_path):
    faceset = write_set(tmp_path / "set", [(make_face(side_px=48, face_from_frame=IDENTITY),
                                            np.zeros((48, 48, 3), np.uint8))])
    assert np.isnan(measures(faceset, ["blur"])["blur"]).all()
