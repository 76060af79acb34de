from __future__ import annotations

import dataclasses
import subprocess
import sys
import types

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face
from tests.faceset.sets import ONE, contents, make
from tests.steps import run

import facewright
from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound
from facewright.faceset import faceset as room
from facewright.faceset.moving.pack import PackStep


@pytest.fixture
def faces(tmp_path):
    return facewright.Faceset(make(tmp_path / "set"))


def test_a_collection(faces):
    assert len(faces) == len(list(faces)) == 12
    assert repr(faces) == f"<Faceset {str(faces.path)!r}: 12 faces, whole_face, 64 px>"
    first = faces[0]
    assert isinstance(first, facewright.Face)
    assert first in faces
    assert first.face_id in faces
    assert "nobody" not in faces
    assert faces[first.face_id].face_id == first.face_id
    assert faces[-1].face_id == faces.ids[-1]
    assert [f.face_id for f in faces[2:5]] == list(faces.ids[2:5])
    assert faces[list(faces.ids[3:1:-1])].ids == faces.ids[3:1:-1]
    assert faces[[4, 1]].ids == (faces.ids[4], faces.ids[1])
    assert faces[np.arange(12) % 2 == 0].ids == faces.ids[::2]
    assert len(faces[[]]) == 0
    assert repr(faces[:3]) == "<3 faces of set>"
    with pytest.raises(NothingFound):
        faces["nobody"]
    with pytest.raises(NothingFound):
        faces[["nobody"]]
    for wrong in (99, [99], np.ones(3, bool), [1.5]):
        with pytest.raises(IndexError):
            faces[wrong]
    assert faces.image(first).shape == (64, 64, 3)
    assert {None if faces.mask(face) is None else faces.mask(face).shape for face in faces} == {None, (16, 16)}
    assert first.consent == faces.consent == ONE, "what the set says is said of the face"
    assert faces.info()["count"] == 12
    assert set(faces.films.values()) == {"01.mp4", "fe.mp4"}
    assert isinstance(faces.people, dict)


def test_choices_and_the_table(faces):
    few = faces.where(yaw_deg=(3.5, 9.5))
    assert len(few) == 7
    assert few.ids == tuple(f.face_id for f in faces if 3.5 <= f.yaw_deg <= 9.5)
    assert few.where(source_sha256=SHA).where(mask_by="hull").ids == tuple(
        f.face_id for f in faces if 3.5 <= f.yaw_deg <= 9.5 and f.source.sha256 == SHA and f.mask_by)
    assert len(faces.where(person="Ada")) == 1
    with pytest.raises(TypeError, match="beauty"):
        faces.where(beauty=(0, 1))
    with pytest.raises(TypeError, match=r"yaw_deg=\(low, high\), not 5"):
        faces.where(yaw_deg=5)
    table = faces.table()
    assert list(table) == [*(field.name for field in dataclasses.fields(room.Row)), "whole_track"]
    assert {column.shape for column in table.values()} == {(12,)}
    kinds = {name: table[name].dtype.kind for name in ("yaw_deg", "side_px", "person", "has_mask", "x0_px")}
    assert kinds == {"yaw_deg": "f", "side_px": "i", "person": "U", "has_mask": "b", "x0_px": "f"}
    assert set(table["consent"]) == {ONE}
    assert faces[table["person"] == "Ada"].ids == faces.where(person="Ada").ids
    assert {column.shape for column in faces[:0].table().values()} == {(0,)}


def test_arrow_where_it_is_and_a_clear_word_where_not(faces, monkeypatch):
    made = types.SimpleNamespace(table=lambda columns: columns)
    monkeypatch.setitem(sys.modules, "pyarrow", made)
    assert faces.table().to_arrow()["face_id"] == list(faces.ids)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NothingFound, match="not installed") as error:
        faces.table().to_arrow()
    assert "pip install pyarrow" in error.value.remedy


def test_edits_are_written_together_and_change_only_what_they_name(faces):
    first, masked = faces[0], next(f for f in faces if f.mask_by)
    pixels = {face.face_id: faces.image(face) for face in faces}
    moved = first.points + 1
    with faces.edit() as edit:
        edit.flags(faces[:4], add=["good"])
        edit.flags(first, add="parked", remove="good")
        edit.person([first, masked.face_id], "Eve")
        edit.points(first, moved)
        edit.mask(first, np.full((8, 8), 0.5, np.float32))
        assert faces[0].flags == (), "not before the end"
    assert "parked" in faces[0].flags
    assert "good" not in faces[0].flags
    assert faces[1].flags == ("good",)
    assert faces[0].person == faces[masked.face_id].person == "Eve"
    assert np.allclose(faces[0].points, moved, atol=1e-4)
    assert np.array_equal(faces[0].points_px, first.points_px)
    assert faces.mask(first).shape == (8, 8)
    assert faces[0].mask_by == "script"
    assert faces.mask(masked) is not None
    stored = room.Faceset.open(faces.path).face(first.face_id)
    assert stored.consent == "", "what the set says stays the set's to say"
    assert all(np.array_equal(faces.image(name), picture) for name, picture in pixels.items())
    with faces.edit() as edit:
        edit.mask(first, None)
        edit.person(first, "")
    assert (faces.mask(first), faces[0].mask_by, faces[0].person) == (None, "", "")


def test_an_error_inside_drops_what_waits_and_frees_the_set(faces):
    with pytest.raises(NothingFound), faces.edit() as edit:
        edit.person([*faces.ids, "nobody"], "Eve")
    assert len(faces.where(person="Eve")) == 0
    with faces.edit() as edit:
        with pytest.raises(ValueError, match="one word"):
            edit.flags(faces, add=["two words"])
        with pytest.raises(ValueError, match="68"):
            edit.points(faces[0], np.zeros((5, 2)))
        with pytest.raises(NothingFound):
            edit.person("nobody", "x")
        with pytest.raises(DiskRefused, match="in use"):
            facewright.Faceset(faces.path).edit().__enter__()


def test_many_edits_do_not_pile_up(faces, monkeypatch):
    monkeypatch.setattr("facewright.api.notebook._HELD_FACES", 5)
    with faces.edit() as edit:
        edit.person(faces, "Eve")
        assert len(edit._waiting) == 2
    assert len(faces.where(person="Eve")) == 12


def test_add_pictures_and_faces_of_another_set(faces, tmp_path):
    more = facewright.Faceset.create(tmp_path / "more")
    assert repr(more).endswith("0 faces, no face type yet>")
    picture = np.full((64, 64, 3), 77, np.uint8)
    more.add(picture, make_face(3), np.ones((4, 4), np.float32), quality=0)
    assert np.array_equal(more.image(more[0]), picture)
    assert more.info()["face_types"] == {"whole_face": 1}
    assert more.mask(more[0]).max() == 1
    with pytest.raises(Mismatch, match="already"):
        more.add(picture, make_face(3))
    other = facewright.Faceset(more.path)
    assert len(other) == 1
    more.add(picture, make_face(80), quality=0)
    with pytest.raises(Mismatch, match="already"):
        other.add(picture // 2, make_face(80), quality=0)
    assert np.array_equal(more.image(make_face(80)), picture), "what another added since does not give way"
    with pytest.raises(Mismatch, match="uint8"):
        more.add(picture[:10], make_face(4))
    with pytest.raises(Mismatch, match="no id"):
        more.add(picture, dataclasses.replace(make_face(4), face_id="../../../away"))
    with pytest.raises(ValueError, match="mask"):
        more.add(picture, make_face(4), np.ones((4, 4), np.uint8))
    with pytest.raises(Mismatch, match="no record of consent"):
        faces.add(picture, make_face(90))
    assert faces.add(picture, make_face(90, consent=faces.consent)).consent == ONE
    assert more.add_from(faces[4:12]) == 8
    assert more.add_from(faces[4:12]) == 0
    assert {f.consent for f in more} == {"", ONE}
    assert len(facewright.Faceset.create(tmp_path / "more")) == 10
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "x.jpg").write_bytes(b"x")
    with pytest.raises(DiskRefused):
        facewright.Faceset.create(tmp_path / "holiday")
    with pytest.raises(FileRefused, match="no faceset"):
        facewright.Faceset(tmp_path / "nowhere")


def test_a_packed_one_is_read_alike_and_not_changed(faces, tmp_path):
    run(PackStep(str(faces.path), str(tmp_path / "set.faces")))
    packed = facewright.Faceset(str(tmp_path / "set.faces"))
    ours, theirs = faces.table(), packed.table()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert np.array_equal(packed.image(packed[3]), faces.image(faces[3]))
    with pytest.raises(Mismatch, match="packed"), packed.edit():
        pass
    with pytest.raises(Mismatch, match="packed"):
        packed.add(np.zeros((64, 64, 3), np.uint8), make_face(99))
    assert facewright.Faceset.create(tmp_path / "new").add_from(packed) == 12
    assert contents(room.Faceset.open(tmp_path / "new")) == contents(room.Faceset.open(faces.path))


def test_the_package_s_name_for_it_loads_nothing_before_it_is_used():
    code = ("import sys, facewright; assert 'numpy' not in sys.modules; facewright.Faceset; "
            "assert not {'torch', 'av', 'onnxruntime'} & set(sys.modules), 'heavy'")
    subprocess.run([sys.executable, "-c", code], check=True)
