from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.faceset.conftest import SHA
from tests.faceset.extraction.test_extract import make_film
from tests.faceset.fake_finder import FakeFinder, found
from tests.faceset.review.test_smoothing import SHAPE, _face, _run, _set
from tests.steps import run

from facewright import api
from facewright.core.errors import NothingFound
from facewright.faces.face import FaceType
from facewright.faceset import record
from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.faceset import Faceset
from facewright.faceset.people import persons
from facewright.faceset.review import gaps
from facewright.faceset.review.decisions import deciding
from facewright.faceset.settings import ExtractSettings, GapSettings
from facewright.faceset.store import Writer
from facewright.faceset.trash import bring_back
from facewright.merge.cast import Cast

MISSING = (5, 6, 7, 20, 31, 32)


def _holed(place: Path, picture, missing=MISSING, **more) -> Faceset:
    faces = [_face(f, noise=0.02, at=(200.0 + f, 200.0), **more) for f in range(40)]
    made = _set(place, faces, picture)
    for face in faces:
        if face.source.frame_index in missing:
            made.file(face).unlink()
    with_facts(made, missing)
    persons.tell_apart(place, lambda ids: None)
    return Faceset.open(place)


def with_facts(faceset, missing):
    """What extraction would have noted of frames in which it found nobody."""
    with Writer(faceset.path) as writer:
        facts = {"frames": 40, "no_face": [[f, "no face found"] for f in missing]}
        writer.update_header(lambda h: dataclasses.replace(h, sources=tuple(
            dataclasses.replace(s, frame_count=40, facts=facts) for s in h.sources)))


def _fill(folder, up_to=12, **more):
    step = gaps.GapStep(str(folder), GapSettings(up_to=up_to), **more)
    return run(step)


def _new(faceset):
    return {face.source.frame_index: face for face in faceset if "interpolated" in face.flags}


def test_proposed_faces_that_a_sort_numbered_are_not_made_twice(tmp_path, picture):
    faceset = _holed(tmp_path / "set", picture)
    _fill(faceset.path)
    for path in sorted((faceset.path / "faces").rglob("interpolated/*.*")):
        path.rename(path.with_name(f"000001-{path.name}"))
    assert _fill(faceset.path)["proposed"] == 0
    assert len(list((faceset.path / "faces").rglob("interpolated/*.*"))) == len(MISSING)


def test_gaps_are_filled_with_the_head_where_it_must_be(tmp_path, picture):
    faceset = _holed(tmp_path / "set", picture)
    done = _fill(faceset.path)
    assert (done["gaps"], done["proposed"], done["borrowed"]) == (3, 6, 6)
    made = _new(Faceset.open(faceset.path))
    assert sorted(made) == sorted(MISSING)
    name = Faceset.open(faceset.path).namer()
    for frame, face in made.items():
        where = SHAPE + np.array([200.0 + frame, 200.0])
        assert np.linalg.norm(face.points - where, axis=-1).max() < 0.3
        assert set(face.flags) >= {"interpolated", "parked", gaps.BORROWED}
        assert (face.score, face.presence_01, face.source.pts) == (0.0, 0.0, frame)
        assert name(face) == "person-1"
        assert face.face_type is FaceType.WHOLE
    assert persons.listed(faceset.path)["people"][0]["tracks"] == 1


def test_merging_replaces_them(tmp_path, picture):
    faceset = _holed(tmp_path / "set", picture)
    before = Cast(faceset, SHA, "person-1").plan(0, 40)
    assert not set(MISSING) & set(before)
    _fill(faceset.path)
    after = Cast(Faceset.open(faceset.path), SHA, "person-1").plan(0, 40)
    assert all(len(after[frame].targets) == 1 for frame in range(40))


def test_done_again_nothing_changes_and_it_can_be_taken_back(tmp_path, picture):
    faceset = _holed(tmp_path / "set", picture)
    _fill(faceset.path)
    before = {p: p.stat().st_mtime_ns for p in (faceset.path / "faces").rglob("*.jpg")}
    assert _fill(faceset.path)["proposed"] == 0
    assert {p: p.stat().st_mtime_ns for p in (faceset.path / "faces").rglob("*.jpg")} == before
    taken = gaps.remove(faceset.path)
    assert len(taken.paths) == 6
    assert not _new(Faceset.open(faceset.path))
    with pytest.raises(NothingFound):
        gaps.remove(faceset.path)
    bring_back(faceset.path, taken.name)
    assert len(_new(Faceset.open(faceset.path))) == 6


def test_longer_gaps_and_other_shots_are_left_alone(tmp_path, picture):
    faceset = _holed(tmp_path / "set", picture)
    assert [len(gap.frames) for gap in gaps.find(faceset, 2)] == [1, 2]
    faces = [_face(f, shot=0 if f < 20 else 1) for f in range(40) if f not in (19, 20, 30)]
    cut = _set(tmp_path / "cut", faces, picture)
    with_facts(cut, (19, 20, 30))
    assert [gap.frames[0][0] for gap in gaps.find(cut, 12)] == [30]


def test_skipped_frames_and_places_that_are_taken_are_left_alone(tmp_path, picture):
    faceset = _holed(tmp_path / "set", picture)
    with deciding(faceset.path) as desk:
        desk.add("skip", {SHA: [6, 20]})
    assert [[f for f, _ in gap.frames] for gap in gaps.find(faceset, 12)] == [[5, 7], [31, 32]]
    stranger = _set(tmp_path / "other", [_face(f, at=(200.0 + f, 200.0)) for f in range(40) if f != 5]
                    + [_face(5, "b", at=(206.0, 200.0))], picture)
    with_facts(stranger, ())
    found_gaps = gaps.find(stranger, 12)
    assert [f for gap in found_gaps for f, _ in gap.frames] == []


def test_a_proposed_face_that_a_person_moved_is_a_found_one(tmp_path, picture):
    faceset = _holed(tmp_path / "set", picture)
    _fill(faceset.path)
    face = _new(Faceset.open(faceset.path))[6]
    path = Faceset.open(faceset.path).file(face)
    moved = dataclasses.replace(face, edited_px=face.points_px + 1)
    path.write_bytes(record.replace_metadata(path.read_bytes(), moved))
    again = Faceset.open(faceset.path)
    assert [[f for f, _ in gap.frames] for gap in gaps.find(again, 12)] == [[5], [7], [20], [31, 32]]
    assert len(gaps.remove(faceset.path).paths) == 5


def test_pictures_come_from_the_film_and_smoothing_goes_along(tmp_path):
    film = make_film(tmp_path / "film.mp4")

    class Blinking(FakeFinder):
        def faces(self, index):
            return [] if index in (10, 11, 31, 32) else [found(index, 60 + index * 0.25, 60, 50)]

    step = ExtractStep([str(film)], str(tmp_path / "set"), ExtractSettings(resolution=128, shots=False),
                       make_finder=Blinking)
    run(step)
    assert _fill(tmp_path / "set")["borrowed"] == 4
    done = _fill(tmp_path / "set", films=[str(film)])
    assert (done["proposed"], done["from_film"]) == (4, 4)
    faceset = Faceset.open(tmp_path / "set")
    made = _new(faceset)
    assert sorted(made) == [10, 11, 31, 32]
    for face in made.values():
        assert gaps.BORROWED not in face.flags
        assert faceset.image(face).std() > 5
        assert abs(face.yaw_deg) < 1
    _run(faceset.path)
    for frame, face in _new(Faceset.open(tmp_path / "set")).items():
        assert abs(face.points - made[frame].points_px).max() < 0.3


def test_an_accepted_one_comes_into_use_and_undo_parks_it_again(tmp_path, picture):
    folder = _holed(tmp_path / "set", picture).path
    _fill(folder)
    done = api.faces_accept(folder, ["4-6", "20"])
    assert (done["faces"], done["unparked"]) == (4, 3)
    in_use = {frame for frame, face in _new(Faceset.open(folder)).items() if "parked" not in face.flags}
    assert in_use == {5, 6, 20}
    path = Faceset.open(folder).file(_new(Faceset.open(folder))[5])
    path.rename(path.with_name(f"000001-{path.name}"))  # a sort that numbers the files
    assert api.faces_undo(folder)["undo"] == "accept"
    assert all("parked" in face.flags for face in _new(Faceset.open(folder)).values())
    api.faces_redo(folder)
    assert "parked" not in _new(Faceset.open(folder))[5].flags
    assert api.faces_accept(folder, ["5"])["unparked"] == 0
    api.faces_undo(folder)  # of the second word: the first still stands
    assert "parked" not in _new(Faceset.open(folder))[5].flags
    assert len(gaps.remove(folder).paths) == 3


def test_an_accepted_one_stays_in_use_when_its_film_comes_and_when_it_is_moved(tmp_path):
    film = make_film(tmp_path / "film.mp4")

    class Blinking(FakeFinder):
        def faces(self, index):
            return [] if index in (10, 11, 12) else [found(index, 60 + index * 0.25, 60, 50)]

    folder = tmp_path / "set"
    step = ExtractStep([str(film)], str(folder), ExtractSettings(resolution=128, shots=False), make_finder=Blinking)
    run(step)
    _fill(folder)
    api.faces_accept(folder, ["10"])
    face = _new(Faceset.open(folder))[12]
    api.faces_place(folder, 12, points=(face.points + 1).tolist(), face=face.face_id, footage=[str(film)])
    moved = Faceset.open(folder).face(face.face_id)
    assert not {"parked", "interpolated", gaps.BORROWED} & set(moved.flags)
    assert _fill(folder, films=[str(film)])["from_film"] == 2
    made = _new(Faceset.open(folder))
    assert {frame: "parked" in face.flags for frame, face in made.items()} == {10: False, 11: True}


def test_what_another_set_accepted_comes_into_use_where_sets_are_joined(tmp_path, picture):
    folder = _holed(tmp_path / "set", picture).path
    _fill(folder)
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    api.faces_accept(other, ["5"])
    api.faces_merge(tmp_path / "all", [folder, other], settings={})
    assert "parked" not in _new(Faceset.open(tmp_path / "all"))[5].flags
    assert "parked" in _new(Faceset.open(tmp_path / "all"))[6].flags
