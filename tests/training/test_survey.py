from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from facewright.core.errors import Mismatch, NothingFound, TrainingRefused
from facewright.faces.face import FaceType
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Person
from facewright.training import survey


def look(path, side="source", person=""):
    return survey.survey(Faceset.open(path), side, person)


def test_what_a_survey_says(pair):
    found = look(pair[0])
    assert found.count == 12
    assert found.face_type is FaceType.WHOLE
    assert found.side_px == 160
    assert found.consents == {"sha256:" + "1" * 64: 12}
    assert -25 <= found.yaw_deg[0] < 0 < found.yaw_deg[1] <= 25
    assert found.digest != look(pair[1]).digest
    assert found == look(pair[0])


@pytest.mark.parametrize(("count", "error"), [(0, NothingFound), (1, TrainingRefused)])
def test_too_few_faces(drawn, write, tmp_path, count, error):
    folder = write(tmp_path / "few", drawn(count))
    with pytest.raises(error) as caught:
        look(folder)
    assert caught.value.remedy
    assert "few" in caught.value.what


def test_mixed_face_types(drawn, write, tmp_path):
    mixed = drawn(4)
    mixed.faces[2] = dataclasses.replace(mixed.faces[2], face_type=FaceType.FULL)
    with pytest.raises(Mismatch, match="mixes face types: 3 whole_face, 1 full_face"):
        look(write(tmp_path / "mixed", mixed))


def test_wider_faces_serve_narrower_nets_only(pair):
    found = look(pair[0])
    for good in (FaceType.HALF, FaceType.FULL, FaceType.WHOLE):
        survey.serves(found, "source", good)
    with pytest.raises(Mismatch, match="too narrow for a head net"):
        survey.serves(found, "source", FaceType.HEAD)


def test_several_people_need_a_name(drawn, write, tmp_path):
    two = drawn(6)
    two.faces = [dataclasses.replace(f, track=f"t{i % 2}") for i, f in enumerate(two.faces)]
    folder = write(tmp_path / "two", two, people=(Person("Ada", ("t0",)), Person("Bea", ("t1",))))
    with pytest.raises(Mismatch, match="Ada, Bea"):
        look(folder)
    with pytest.raises(Mismatch, match="called 'Cleo'"):
        look(folder, person="Cleo")
    ada = look(folder, person="Ada")
    assert (ada.person, ada.count) == ("Ada", 3)
    rows = list(survey.rows_of(Faceset.open(folder), "Ada"))
    assert [row.face_id[-9:-2] for row in rows] == ["0000000", "0000002", "0000004"]


def test_parked_faces_are_left_out(drawn, write, tmp_path):
    some = drawn(6)
    some.faces[2] = dataclasses.replace(some.faces[2], flags=("parked", "profile"), yaw_deg=80.0)
    some.faces[3] = dataclasses.replace(some.faces[3], flags=("unparked",))
    folder = write(tmp_path / "some", some, person="Ada")
    found = look(folder)
    assert found.count == 5
    assert found.yaw_deg[1] < 80
    names = [row.face_id for row in survey.rows_of(Faceset.open(folder), "Ada")]
    assert names == [f.face_id for i, f in enumerate(some.faces) if i != 2]


def test_one_name_is_taken_by_itself(drawn, write, tmp_path):
    folder = write(tmp_path / "one", drawn(3), person="Ada")
    assert look(folder).person == "Ada"


def test_likenesses_name_role_consent_and_footage(pair):
    faceset = Faceset.open(pair[0])
    found = survey.survey(faceset, "source")
    (likeness,) = survey.likenesses(faceset, found, "source_likeness")
    assert likeness.role == "source_likeness"
    assert likeness.consent == "sha256:" + "1" * 64
    assert likeness.footage_sha256 == found.footage_sha256
    assert len(likeness.footage_sha256) == 1


def test_every_consent_in_use_is_asked_for(drawn, write, tmp_path):
    faces = drawn(4)
    faces.faces[0] = dataclasses.replace(faces.faces[0], consent="sha256:" + "2" * 64)
    faceset = Faceset.open(write(tmp_path / "c", faces, consent="sha256:" + "1" * 64))
    found = survey.survey(faceset, "source")
    assert [l.consent[7] for l in survey.likenesses(faceset, found, "x")] == ["1", "2"]


def test_poses_that_the_source_lacks_are_said(pair):
    src = look(pair[0])
    assert survey.coverage_warning(src, look(pair[1])) == ""
    far = dataclasses.replace(src, yaw_deg=(-60.0, 20.0))
    text = survey.coverage_warning(src, far)
    assert "turns from -60" in text
    assert "nods" not in text
    up = dataclasses.replace(src, pitch_deg=(-20.0, 0.0))
    assert "nods from -20" in survey.coverage_warning(src, up)


def test_the_stamp_changes_with_the_files(drawn, write, tmp_path):
    folder = write(tmp_path / "s", drawn(3))
    before = look(folder)
    (folder / next(survey.rows_of(Faceset.open(folder), "")).path).touch()
    after = look(folder)
    assert after.digest == before.digest
    assert after.stamp != before.stamp


def test_a_face_is_loaded_with_picture_and_mask(pair):
    faceset = Faceset.open(pair[0])
    row = next(survey.rows_of(faceset, ""))
    face, image, mask = faceset.load(row)
    assert face.face_id == row.face_id
    assert image.shape == (160, 160, 3)
    assert image.dtype == np.uint8
    assert mask is None
