"""Cleaning finds each fault and no other, changes nothing until told, and carries out exactly what it said."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.faceset.clean_set import FAULTY, blurred, good, mixed, write
from tests.jobs.fake_step import OpenGate

from facewright.core.errors import FileRefused, NothingFound
from facewright.faceset.cleaning.clean import MOVE, PARK, STAY, _caption, draw, find
from facewright.faceset.cleaning.settings import CleanSettings
from facewright.faceset.cleaning.step import APPLY, TAG, CleanStep, key_of, pending, write_plan
from facewright.faceset.faceset import Faceset, Vectors
from facewright.faceset.header import Person
from facewright.faceset.people.main_person import likeness, main_person
from facewright.faceset.store import Writer
from facewright.faceset.tags import mark, words_of
from facewright.faceset.trash import bring_back, held
from facewright.jobs.job import list_jobs
from facewright.jobs.run import run_job

CALM = {"filters": "no_face,misaligned,cut_off,bad_exposure,blurry,small,obstructed", "rare": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return mixed(tmp_path_factory.mktemp("mixed") / "set")


def settings(**values) -> CleanSettings:
    return CleanSettings(**{**CALM, **values})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "faces").rglob("*.png"))}


def apply(faceset: Faceset, chosen: CleanSettings, how: str = APPLY, park: bool = False) -> dict:
    found = find(faceset, chosen, park=park)
    name = write_plan(faceset.path, found, list(faceset.rows()), key_of(chosen), how)
    return run_job(CleanStep(str(faceset.path), name, chosen), gate=OpenGate()).result


def test_every_fault_is_found_and_nothing_else(made):
    faceset, wrong = made
    before = contents(faceset.path)
    found = find(faceset, settings())
    by_folder = {word: sorted(f.face_id for f in found.findings if f.folder == word) for word in FAULTY}
    assert by_folder == {word: sorted(ids) for word, ids in wrong.items()}
    dark = wrong["bad_exposure"][0]  # has no texture either
    assert [f.words for f in found.findings if len(f.words) > 1] == [("bad_exposure", "blurry")]
    assert dark in [f.face_id for f in found.findings if len(f.words) > 1]
    deeds = {f.folder: f.deed for f in found.findings}
    assert deeds == {word: PARK if word == "obstructed" else MOVE for word in FAULTY}
    assert found.counts(PARK) == {"obstructed": 1}
    assert contents(faceset.path) == before, "looking changes nothing"
    assert held(faceset.path) == []


@pytest.mark.parametrize("word", FAULTY)
def test_only_what_is_asked_for(made, word):
    faceset, wrong = made
    found = find(faceset, settings(filters=word.replace("_", "-")))
    also = wrong["bad_exposure"][:1] if word == "blurry" else []  # the dark one has no texture either
    assert sorted(f.face_id for f in found.findings) == sorted(wrong[word] + also)


def test_thresholds_can_be_switched_off(made):
    off = settings(blur=0, grey=0, tint=0, dark=1, bright=1, cut=1, turned=0, grown=0, misfit=0, presence=0, covered=1)
    assert find(made[0], off).findings == ()
    cpbd = find(made[0], settings(filters="blurry", blur=0, cpbd=1.0))
    assert len(cpbd.findings) > 100
    small = find(made[0], settings(filters="small", smallest=2000))
    assert len(small.findings) == 150
    assert find(made[0], settings(filters="blurry", blur=0, motion=0.3)).counts() == {"blurry": 1}


def test_a_face_grown_in_its_track(tmp_path):
    faces = [good(frame) for frame in range(20)]
    face, image = faces[9]
    centre = face.points_px.mean(0)
    wide = np.diag([1 / 1.5, 1 / 1.5, 1.0]) @ face.face_from_frame
    faces[9] = dataclasses.replace(
        face, points_px=(face.points_px - centre) * np.float32(1.5) + centre, face_from_frame=wide), image
    found = find(write(tmp_path / "set", faces), settings(filters="misaligned"))
    assert [f.face_id for f in found.findings] == [face.face_id]
    assert "1.50 times the size of the faces around it (--grown 0.3)" in found.findings[0].why
    assert _caption(found.findings[0]).startswith(f"{found.findings[0].origin}\n1.50 times")


def test_faces_of_other_tracks_and_times_are_no_neighbours(tmp_path):
    faces = [good(frame) for frame in range(12)]
    turned = np.array([[0, -1, 96], [1, 0, 0], [0, 0, 1.0]])
    for at, (face, image) in enumerate(faces[:6]):
        centre = face.points_px.mean(0)
        points = (face.points_px - centre) @ np.array([[0, 1], [-1, 0]], np.float32) + centre
        moved = turned @ face.face_from_frame
        faces[at] = dataclasses.replace(face, points_px=points, face_from_frame=moved, track="u"), image
    assert find(write(tmp_path / "set", faces), settings(filters="misaligned", misfit=0)).findings == ()


def test_what_extraction_doubts_is_misaligned_unless_placed_by_hand(tmp_path):
    faces = [good(frame) for frame in range(12)]
    for at, flags in ((3, ("position_jump",)), (5, ("passes_disagree",)), (7, ("profile",)), (9, ("size_jump",))):
        faces[at] = dataclasses.replace(faces[at][0], flags=flags), faces[at][1]
    faces[9] = dataclasses.replace(faces[9][0], edited_px=faces[9][0].points_px), faces[9][1]
    found = find(write(tmp_path / "set", faces), settings(filters="misaligned"))
    assert [f.face_id for f in found.findings] == [faces[3][0].face_id, faces[5][0].face_id]


def test_a_rare_pose_is_not_emptied(tmp_path):
    faces = [good(frame) for frame in range(200)]
    side = [blurred(frame, yaw_deg=50.0) for frame in range(200, 205)]
    side[2] = side[2][0], cv2.addWeighted(side[2][1], 0.7, good(202)[1], 0.3, 0)  # the least blurred
    faceset = write(tmp_path / "set", faces + side)
    harsh = find(faceset, settings(filters="blurry", rare=0))
    assert harsh.counts(MOVE) == {"blurry": 5}
    mild = find(faceset, settings(filters="blurry", rare=10))
    assert mild.counts(STAY) == {"blurry": 3}, "one in a hundred of 205"
    assert side[2][0].face_id in [f.face_id for f in mild.findings if f.deed == STAY]
    one = find(faceset, settings(filters="blurry", rare=1))
    assert [f.face_id for f in one.findings if f.deed == STAY] == [side[2][0].face_id]


def test_people_s_words_are_above_all(tmp_path):
    faceset, wrong = mixed(tmp_path / "set")
    rows = {row.face_id: row for row in faceset.rows()}
    mark(faceset, [rows[wrong["blurry"][0]], rows[wrong["obstructed"][0]]], add=["good"])
    mark(faceset, [rows[wrong["no_face"][0]]], add=["keep"])
    found = find(faceset, settings())
    stay = {f.folder for f in found.findings if f.deed == STAY}
    assert stay == {"blurry", "obstructed", "no_face"}


def test_applied_and_undone(tmp_path):
    faceset, wrong = mixed(tmp_path / "set")
    before = contents(faceset.path)
    done = apply(faceset, settings())
    assert done["moved"] == {word: len(ids) for word, ids in wrong.items() if word != "obstructed"}
    assert done["parked"] == {"obstructed": 1}
    assert done["left"] == 150 - sum(done["moved"].values())
    assert {one.why: len(one.paths) for one in held(faceset.path)} == done["moved"]
    parked = [row for row in Faceset.open(faceset.path).rows() if "parked" in words_of(row)]
    assert [row.face_id for row in parked] == wrong["obstructed"]
    assert {"parked", "obstructed"} <= words_of(parked[0])
    again = find(Faceset.open(faceset.path), settings())
    assert (again.findings, again.faces) == ((), done["left"] - 1), "parked faces are not looked at"
    assert len(bring_back(faceset.path)) == sum(done["moved"].values()), "all of it at once"
    after = contents(faceset.path)
    assert set(after) == set(before)
    assert [p for p in before if after[p] != before[p]] == [parked[0].path]


def test_parking_in_place_of_moving(tmp_path):
    faceset, wrong = mixed(tmp_path / "set")
    done = apply(faceset, settings(), park=True)
    assert done["moved"] == {}
    assert sum(done["parked"].values()) == sum(map(len, wrong.values()))
    flags = Faceset.open(faceset.path).info().flags
    assert flags["parked"] == sum(map(len, wrong.values()))
    assert flags["misaligned"] == 2


def test_tags_add_up_and_count_as_found(tmp_path):
    faceset, wrong = mixed(tmp_path / "set")
    rows = {row.face_id: row for row in faceset.rows()}
    sound = next(i for i in rows if not any(i in ids for ids in wrong.values()))
    mark(faceset, [rows[sound]], add=["blurry", "good"])
    done = apply(faceset, settings(), TAG)
    assert done["moved"] == done["parked"] == {}
    tagged = {row.face_id: words_of(row) for row in Faceset.open(faceset.path).rows()}
    for word, ids in wrong.items():
        if word != "no_face":
            assert all(word in tagged[i] for i in ids), word
    assert tagged[sound] == {"blurry", "good"}, "what people said stays"
    blind = settings(blur=0, grey=0, tint=0, dark=1, bright=1, cut=1, turned=0, grown=0, misfit=0, covered=1)
    by_tag = find(Faceset.open(faceset.path), blind)
    assert {f.face_id for f in by_tag.findings if f.deed != STAY} == {i for ids in wrong.values() for i in ids}
    assert write_plan(faceset.path, find(Faceset.open(faceset.path), settings()),
                      list(Faceset.open(faceset.path).rows()), "x", TAG) == "", "nothing new to note"


def test_duplicates_go_to_a_folder_a_step_and_the_best_fill_a_number(tmp_path):
    faces = [good(frame) for frame in range(60)]
    for frame in (10, 20):
        faces[frame] = faces[frame][0], faces[5][1]
    faces[30] = faces[30][0], np.clip(faces[5][1].astype(int) + 3, 0, 255).astype(np.uint8)
    faceset = write(tmp_path / "set", faces)
    found = find(faceset, settings(filters="none", duplicates=3))
    assert found.counts() == {"duplicate-0": 2, "duplicate-3": 1}
    assert {f.like for f in found.findings} <= {f[0].face_id for f in faces}
    best = find(faceset, settings(filters="none", duplicates=0, best=25, rare=10))
    assert best.counts(MOVE) == {"duplicate-0": 2, "surplus": 33}
    done = apply(faceset, settings(filters="none", duplicates=3, best=25))
    assert done["left"] == 25
    assert sorted(one.why for one in held(faceset.path)) == ["duplicate-0", "duplicate-3", "surplus"]


def vectors(faceset: Faceset, strangers: set[str], asked: list[str]):
    rng = np.random.default_rng(0)
    two = np.linalg.qr(rng.normal(size=(16, 2)))[0].T

    def of(ids):
        asked.extend(ids)
        found = np.stack([two[int(i in strangers)] + rng.normal(0, 0.1, 16) for i in ids])
        return Vectors(tuple(ids), (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), "net")

    return of


def test_other_people_are_found_and_few_faces_asked(tmp_path):
    faces = [good(frame, box_px=(0.0, 0.0, 90.0, 90.0)) for frame in range(400)]
    wrong = {faces[i][0].face_id for i in (*range(300, 340), 350)}
    for i in range(300, 340):
        faces[i] = dataclasses.replace(faces[i][0], track="other"), faces[i][1]
    faces[350] = dataclasses.replace(faces[350][0], track=""), faces[350][1]
    faceset = write(tmp_path / "set", faces)
    asked: list[str] = []
    chosen = settings(filters="other_person")
    found = find(faceset, chosen, vectors_of=vectors(faceset, wrong, asked))
    assert {f.face_id for f in found.findings} == wrong
    assert {f.folder for f in found.findings} == {"other_person"}
    assert len(set(asked)) < 60, "sure tracks are asked a few faces"
    assert found.notes == ()
    people = (Person("Ada", (str(faces[0][0].track),), True), Person("Ben", ("other",), True))
    with Writer(faceset.path) as writer:
        writer.update_header(lambda head: dataclasses.replace(head, people=people))
    named = find(Faceset.open(faceset.path), chosen, vectors_of=vectors(faceset, wrong, asked))
    assert "Ada (359), Ben (40)" in named.notes[0]
    assert "--person" in named.notes[0]
    blind = find(faceset, chosen, vectors_of=lambda ids: None)
    assert blind.findings == ()
    assert "not looked for" in blind.notes[0]


def test_doubtful_faces_are_not_judged(tmp_path):
    face, image = good(0, box_px=(0.0, 0.0, 90.0, 90.0))
    faces = [(face, image), (dataclasses.replace(good(1)[0], box_px=(0.0, 0.0, 20.0, 20.0)), image),
             (dataclasses.replace(good(2, yaw_deg=80.0)[0], box_px=face.box_px), image)]
    faceset = write(tmp_path / "set", faces)
    rows = list(faceset.rows())
    cosine = likeness(faceset, rows, vectors(faceset, set(), []))
    assert np.isfinite(cosine).tolist() == [True, False, False]


def test_the_main_person_is_the_one_with_most_faces():
    rng = np.random.default_rng(1)
    two = np.linalg.qr(rng.normal(size=(32, 2)))[0].T
    matrix = np.repeat(two, [70, 100], 0) + rng.normal(0, 0.1, (170, 32))
    main = main_person((matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32))
    assert main @ two[1] > 0.95
    assert abs(main @ two[0]) < 0.2


def test_sheets_show_each_category(made, tmp_path):
    faceset, wrong = made
    files = draw(faceset, find(faceset, settings(duplicates=0)), tmp_path / "sheets")
    assert set(files) == set(wrong)
    for paths in files.values():
        assert cv2.imread(paths[0]).shape[1] >= 128


def test_what_cannot_be_read_is_told(tmp_path):
    faceset, _ = mixed(tmp_path / "set")
    row = list(faceset.rows())[3]
    path = faceset.path / row.path
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    os.utime(path, ns=(0, 0))
    found = find(faceset, settings(filters="blurry"))
    assert list(found.refused) == [row.path]
    assert row.face_id not in [f.face_id for f in found.findings]
    with pytest.raises(NothingFound):
        find(faceset, settings(), person="Nobody")


def test_a_plan_is_found_again_until_it_is_done(tmp_path):
    faceset, _ = mixed(tmp_path / "set")
    key = key_of(settings(), "Ada")
    assert pending(faceset.path, key) == ""
    found, rows = find(faceset, settings()), list(faceset.rows())
    name = write_plan(faceset.path, found, rows, key, APPLY)
    assert pending(faceset.path, key) == name
    assert pending(faceset.path, key_of(settings(blur=0.5), "Ada")) == ""
    other = write_plan(faceset.path, found, rows, "other", APPLY)
    assert pending(faceset.path, key) == "", "another was made since"
    run_job(CleanStep(str(faceset.path), other), gate=OpenGate())
    assert pending(faceset.path, "other") == ""
    with pytest.raises(FileRefused):
        CleanStep(str(faceset.path), name).plan()


PROGRAM = """
import sys
from tests.jobs.fake_step import OpenGate
from facewright.jobs.run import run_job
from facewright.faceset.cleaning.step import CleanStep
run_job(CleanStep(sys.argv[1], sys.argv[2]), gate=OpenGate(), on_event=lambda e: print(e["kind"], flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_kill_minus_nine(tmp_path):
    faceset = write(tmp_path / "set", [good(frame) for frame in range(700)])
    before = contents(faceset.path)
    chosen = settings(filters="none", best=60, rare=0)
    found = find(faceset, chosen)
    name = write_plan(faceset.path, found, list(faceset.rows()), key_of(chosen), APPLY)
    rng, kills = random.Random(7), 0
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(faceset.path), name], stdout=subprocess.PIPE,
                                   text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        while (line := process.stdout.readline()) and line.strip() not in ("item", "done"):
            pass
        if kills < 4:
            time.sleep(rng.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
        code = process.wait(120)
        process.stdout.close()
        kills += code != 0
        there = contents(faceset.path)
        out = {path for one in held(faceset.path) for path in one.paths}
        assert set(there) | out == set(before)
        assert not set(there) & out
        if code == 0:
            break
    assert kills >= 2
    (job,) = list_jobs(faceset.path)
    assert job.state() == "done"
    assert len(Faceset.open(faceset.path)) == 60
    (one,) = held(faceset.path)
    assert len(one.paths) == 640
    bring_back(faceset.path)
    assert contents(faceset.path) == before
