"""The review queue: states of frames, decisions that last, sheets."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.faceset import fake_finder
from tests.faceset.conftest import make_face
from tests.faceset.review_world import EMPTY, FRAMES, TWO, SureFinder, extract, film_at
from tests.steps import run

from facewright import api
from facewright.core.errors import FacewrightError, FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.faceset import header, record, trash
from facewright.faceset import sheet as sheets
from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import row_of
from facewright.faceset.review import actions as review_actions
from facewright.faceset.review import decisions, review
from facewright.faceset.review import reasons as review_reasons
from facewright.faceset.settings import ExtractSettings
from facewright.faceset.store import Writer


def states_of(folder: Path, **query) -> dict[int, str]:
    return {one.frame: one.state for one in review.states(Faceset.open(folder), **query)}


def test_every_frame_has_a_state(folder):
    found = states_of(folder)
    assert list(found) == list(range(FRAMES))
    for frame, state in found.items():
        sound = "doubtful" if frame == 20 else "several" if frame in TWO else "accepted"
        assert state == ("no_face" if frame in EMPTY else sound), frame
    rows = {one.frame: one for one in review.states(Faceset.open(folder))}
    assert rows[20].reasons == ("low_presence",)
    assert rows[3].reasons == ("no face found",)
    assert rows[25].time_s == pytest.approx(1.0, abs=1e-3)
    assert len(rows[6].rows) == 2


def test_a_person_s_frames_alone(folder):
    people = [person.name for person in Faceset.open(folder).header.people]
    assert len(people) == 2
    found = states_of(folder, person=people[1])
    assert {f for f, state in found.items() if state != "no_face"} == set(TWO)
    assert "several" not in found.values()


def test_the_next_doubtful_is_a_query(folder):
    assert [r["frame"] for r in api.faces_review(folder, state="no-face", after=3, limit=1)["rows"]] == [10]
    assert [r["frame"] for r in api.faces_review(folder, state="doubtful")["rows"]] == [20]
    assert api.faces_review(folder, state="doubtful", after=20)["rows"] == []
    unaccepted = api.faces_review(folder, state="unaccepted")
    assert [r["frame"] for r in unaccepted["rows"]] == sorted([*EMPTY, 20])
    assert unaccepted["films"]["film.mp4"] == {
        "no_face": len(EMPTY), "doubtful": 1, "several": len(TWO), "accepted": FRAMES - len(EMPTY) - 1 - len(TWO)}
    json.dumps(unaccepted)
    with pytest.raises(SettingRefused):
        api.faces_review(folder, state="lovely")


def test_decisions_hold_and_are_undone(folder):
    assert api.faces_accept(folder, ["20", "0-6"])["without_face"] == [3]
    assert api.faces_skip(folder, all_no_face=True)["frames"] == len(EMPTY)
    found = states_of(folder)
    assert found[20] == found[0] == found[6] == "accepted"
    assert {f for f, state in found.items() if state == "skipped"} == set(EMPTY)
    assert api.faces_undo(folder)["undo"] == "skip"
    assert states_of(folder)[10] == "no_face"
    assert api.faces_undo(folder)["left"] == 0
    assert states_of(folder)[20] == "doubtful"
    assert [api.faces_redo(folder)["left"] for _ in range(2)] == [1, 0]
    assert states_of(folder)[10] == "skipped"
    with pytest.raises(NothingFound):
        api.faces_redo(folder)
    api.faces_undo(folder)
    api.faces_accept(folder, all_several=True)  # something new: what was undone cannot be done again
    with pytest.raises(NothingFound):
        api.faces_redo(folder)


def test_decisions_survive_extracting_again_and_other_films(world, folder, tmp_path):
    api.faces_accept(folder, all_doubtful=True)
    api.faces_skip(folder, ["3"])
    extract(world[0], folder)
    extract(film_at(tmp_path, "other.mp4", seed=3), folder)
    found = states_of(folder, film="film.mp4")
    assert (found[20], found[3]) == ("accepted", "skipped")
    assert states_of(folder, film="other.mp4")[20] == "doubtful"
    with pytest.raises(SettingRefused, match="2 films"):
        api.faces_accept(folder, ["20"])
    api.faces_accept(folder, ["20"], film="other.mp4")
    api.faces_accept(folder, ["21"], film="other")
    assert states_of(folder, film="other.mp4")[20] == "accepted"
    with pytest.raises(Mismatch):
        api.faces_review(folder, footage=[film_at(tmp_path, "third.mp4", seed=4)])


def test_a_face_that_comes_new_opens_an_accepted_frame(folder):
    api.faces_accept(folder, ["20"])
    face = Faceset.open(folder).face(f"{Faceset.open(folder).header.sources[0].sha256[:8]}_0000020_0")
    new = dataclasses.replace(face, face_id=face.face_id[:-1] + "7", box_px=(0, 0, 9, 9))
    path = folder / "faces" / face.source.sha256[:8] / "more"
    path.mkdir()
    (path / f"{new.face_id}.jpg").write_bytes(record.encode_face(new, np.zeros((128, 128, 3), np.uint8)))
    one = next(s for s in review.states(Faceset.open(folder)) if s.frame == 20)
    assert one.state == "doubtful"
    assert "new_face" in one.reasons


def test_a_cleaned_face_leaves_its_frame_without(folder):
    faceset = Faceset.open(folder)
    row = next(row for row in faceset.rows(frame_index=(1, 1)))
    with Writer(folder) as writer:
        trash.take_out(writer, [row.path], "test")
    one = next(s for s in review.states(Faceset.open(folder)) if s.frame == 1)
    assert (one.state, one.reasons) == ("no_face", ("its faces were taken out",))


def test_damaged_frames_and_chosen_ranges_are_listed(folder, world, tmp_path):
    with Writer(folder) as writer:
        def hurt(head):
            facts = {**head.sources[0].facts, "damaged": [[5, "cannot be decoded"], [10, "nor this"]]}
            return head.with_source(dataclasses.replace(head.sources[0], facts=facts))
        writer.update_header(hurt)
    found = states_of(folder)
    assert found[10] == "damaged"
    assert found[5] == "accepted"  # it has a face: then it could be read after all
    part = extract(world[0], tmp_path / "part", fps=5.0, start="1")
    assert list(states_of(part)) == list(range(25, FRAMES, 5))
    assert header.load(part).sources[0].facts["looked"] == [[25, 66, 5]]


def test_frames_are_named_in_words():
    assert review_actions.parse_frames(["7", "3-5", "10-20/5", "1,2"]) == [1, 2, 3, 4, 5, 7, 10, 15, 20]
    for bad in ("x", "5-3", "1-", "-3", "0-9/0", "0-999999999999"):
        with pytest.raises(SettingRefused):
            review_actions.parse_frames([bad])


def test_jumps_against_the_track_are_seen():
    def face(frame, dx=0.0, grow=1.0, roll=0.0, track="t"):
        x, half = 100 + frame + dx, 30 * grow
        one = make_face(frame, box_px=(x - half, 100 - half, x + half, 100 + half), roll_deg=roll, yaw_deg=5.0,
                        pitch_deg=0.0, track=track)
        return row_of(f"{frame}.jpg", one, False)

    steady = [face(n) for n in range(20)]
    assert review_reasons.jumps(steady) == set()
    for odd in (face(8, dx=25), face(8, grow=1.4), face(8, roll=40)):
        assert review_reasons.jumps([*steady[:8], odd, *steady[9:]]) == {odd.face_id}
    turning = [face(n, roll=9.0 * n) for n in range(20)]  # fast, but no jump
    assert review_reasons.jumps(turning) == set()
    twice = [face(1), dataclasses.replace(face(1), face_id="b")]
    assert review_reasons.doubles(twice) == {twice[0].face_id, "b"}


def test_turns_at_which_the_net_gets_unsure_are_doubtful():
    def words(yaw=-47.0, logit=13.0, **more):
        face = make_face(yaw_deg=yaw, presence_01=1 / (1 + np.exp(-logit)), **more)
        return review_reasons.flag_doubts(row_of("f.jpg", face, False))

    assert words() == ["far_turn"]
    assert words(flags=("low_score",)) == ["low_score", "far_turn"]
    assert words(logit=16.7) == words(yaw=30.0) == words(flags=("placed",)) == []
    assert words(flags=("profile",)) == ["profile"]
    assert words(logit=1.0, flags=("low_presence",)) == ["low_presence"]
    assert words(logit=-50.0) == [], "no net has judged it"


@pytest.mark.shared
def test_a_real_turn_of_a_head_is_asked_about(shared, weights, tmp_path):
    film = shared / "footage" / "woman_profile_turn.mp4"
    run(ExtractStep([str(film)], str(tmp_path / "set"), ExtractSettings(resolution=128, shots=False, workers=1)))
    asked = {one.frame for one in review.states(Faceset.open(tmp_path / "set")) if one.state == "doubtful"}
    assert {0, 1, 2, 3} <= asked <= set(range(6))


def test_a_damaged_review_file_gives_its_sound_lines(folder):
    for frame in range(5):
        api.faces_skip(folder, [str(frame)])
    path = folder / "review.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + b"#" + lines[2][41:]
    path.write_bytes(b"\xff\xfe{garbage\n" + b"".join(lines) + b'00000000 {"do":"skip"')
    before = path.read_bytes()
    found = states_of(folder)
    assert [found[n] for n in range(5)] == ["skipped", "skipped", "accepted", "skipped", "skipped"]
    assert api.faces_review(folder)["decisions_lost"] == 2
    api.faces_skip(folder, ["7"])
    assert next((folder / ".facewright" / "damaged").glob("*review.jsonl")).read_bytes() == before
    assert states_of(folder)[4] == states_of(folder)[7] == "skipped"
    assert api.faces_review(folder)["decisions_lost"] == 0


@pytest.mark.parametrize("bad", [
    {"do": "skip", "n": 1, "frames": {"x": [[0, 10**300]]}}, {"do": "skip", "n": "1", "frames": {}},
    {"do": "skip", "n": 1, "frames": [1]}, {"do": "accept", "n": 1, "frames": {}, "faces": [1]}, {"do": ["skip"]},
    {"do": "fly", "n": 2, "frames": {}}, {"do": "skip", "n": True, "frames": {"a": [[3, 1]]}}, {"do": "undo", "of": {}},
    {"do": "place", "n": 1, "frames": {}, "facts": []}, {"n": -5},
])  # fmt: skip
def test_hostile_records_do_nothing(folder, bad):
    with decisions.deciding(folder) as desk:
        desk._journal.add(bad)
    assert "skipped" not in states_of(folder).values()
    api.faces_skip(folder, ["0"])
    assert states_of(folder)[0] == "skipped"


def test_a_review_file_that_is_none_is_refused(folder):
    (folder / "review.jsonl").mkdir()
    with pytest.raises(FileRefused):
        api.faces_review(folder)
    with pytest.raises(FacewrightError):
        api.faces_skip(folder, ["0"])


def test_killed_at_any_moment_what_was_acknowledged_stays(folder):
    code = ("import sys; from pathlib import Path; from facewright.faceset.review import decisions as d\n"
            "with d.deciding(Path(sys.argv[1])) as desk:\n"
            "    for n in range(10**6):\n"
            "        desk.add('skip', {'f' * 64: [n]}); print(n, flush=True)\n")
    acknowledged = 0
    for pause in (0.02, 0.05, 0.11):
        child = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
        child.stdout.readline()
        time.sleep(pause)
        child.send_signal(signal.SIGKILL)
        acknowledged += 1 + len(child.stdout.read().splitlines())
        child.wait()
        found = decisions.read(folder)
        assert acknowledged <= len(found.deeds) <= acknowledged + 1
        acknowledged = len(found.deeds)
        assert found.lost == 0
        api.faces_skip(folder, ["0"])
        acknowledged += 1


def test_deciding_needs_no_writer_but_its_own_lock(folder):
    with Writer(folder):
        api.faces_skip(folder, ["0"])
    with decisions.deciding(folder), pytest.raises(FacewrightError, match="decisions"):
        api.faces_skip(folder, ["1"])


def test_sheets_show_frames_or_crops(folder, world, tmp_path):
    done = api.faces_review(folder, state="all", sheet=tmp_path / "crops.png", limit=9)
    assert done["from_film"] == []
    assert Path(done["sheets"][0]).stat().st_size > 1000
    done = api.faces_review(folder, state="all", sheet=tmp_path / "frames.png", footage=[world[0]])
    assert done["from_film"] == ["film.mp4"]
    assert [Path(p).name for p in done["sheets"]] == ["frames.png", "frames-2.png"]
    done = api.faces_sheet(folder, tmp_path / "faces.png", limit=10, landmarks=True)
    assert done["faces"] == 10
    assert api.faces_sheet(folder, tmp_path / "doubt.png", flag="low_presence")["faces"] == 1
    with pytest.raises(NothingFound):
        api.faces_sheet(folder, tmp_path / "none.png", flag="nonsense")


def test_decisions_go_along_into_other_sets_and_never_over_those_there(world, folder, tmp_path):
    second = Path(shutil.copytree(world[1], tmp_path / "second"))
    api.faces_accept(second, ["20", "0-2"])
    api.faces_skip(second, ["3", "10"])
    api.faces_skip(folder, ["0"])
    assert review_actions.take_over(folder, second) == {"accepted": 3, "skipped": 2}
    assert review_actions.take_over(folder, second) == {"accepted": 0, "skipped": 0}
    found = states_of(folder)
    assert [found[n] for n in (0, 1, 2, 3, 10, 20, 17)] == ["skipped", "accepted", "accepted", "skipped", "skipped",
                                                          "accepted", "no_face"]
    third = api.faces_copy(second, tmp_path / "third", settings={})
    assert third["decisions"] == 6
    assert states_of(tmp_path / "third") == states_of(second)


def test_a_packed_set_is_reviewed_and_not_decided_about(folder, tmp_path):
    api.faces_skip(folder, ["3"])
    api.faces_pack(folder, tmp_path / "set.faces", settings={})
    assert states_of(tmp_path / "set.faces") == states_of(folder)
    assert api.faces_sheet(tmp_path / "set.faces", tmp_path / "packed.png", limit=5)["faces"] == 5
    with pytest.raises(Mismatch):
        api.faces_skip(tmp_path / "set.faces", ["10"])


def test_sixty_thousand_faces_in_a_few_seconds(folder, monkeypatch):
    api.faces_accept(folder, ["0"])
    rows = list(Faceset.open(folder).rows())
    many = [dataclasses.replace(rows[0], frame_index=n, face_id=f"{rows[0].face_id[:9]}{n:07d}_0", path=f"{n}.jpg")
            for n in range(60_000)]
    monkeypatch.setattr(Faceset, "rows", lambda self, **query: iter(many))
    deed = decisions.Deed(1, "accept", {rows[0].source_sha256: ((0, 59_999),)}, tuple(row.face_id for row in many))
    film = review.Film(rows[0].source_sha256, "film.mp4", np.arange(60_000), {}, {}, 25.0)
    monkeypatch.setattr(review, "films", lambda faceset, name="": [film])
    monkeypatch.setattr(review, "read_head", lambda files, path: (make_face(0), False))
    began = time.process_time()
    found = list(review.states(Faceset.open(folder), decided=decisions.Decisions((deed,))))
    assert {one.state for one in found} == {"accepted"}
    assert time.process_time() - began < 10


def test_debug_pictures_lie_in_a_folder_of_their_own(folder, world, tmp_path):
    before = {p: p.read_bytes() for p in (folder / "faces").rglob("*.jpg")}
    done = api.faces_debug(folder, tmp_path / "debug")
    assert done["written"] == len(before) == len(list((tmp_path / "debug").glob("*.jpg")))
    done = api.faces_debug(folder, tmp_path / "frames", frames=True, footage=[world[0]])
    assert done["written"] == FRAMES - len(EMPTY)
    assert api.faces_debug(folder, tmp_path / "none", frames=True)["refused"]
    assert api.faces_debug(folder, tmp_path / "one", flag="low_presence")["written"] == 1
    assert {p: p.read_bytes() for p in (folder / "faces").rglob("*.jpg")} == before
    for inside in (folder, folder / "debug", folder / "faces" / "x"):
        with pytest.raises(FacewrightError, match="lies in the faceset"):
            api.faces_debug(folder, inside)


def test_sheets_follow_a_stored_order(folder, tmp_path):
    api.faces_sort(folder, "blur")
    assert api.faces_sheet(folder, tmp_path / "o.png", order="blur", limit=5)["faces"] == 5
    with pytest.raises(NothingFound):
        api.faces_sheet(folder, tmp_path / "o.png", order="yaw")


def test_a_folder_of_pictures_is_reviewed_and_edited(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEWRIGHT_NO_IDENTITY", "1")
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(6):
        (photos / f"p{n}.png").write_bytes(sheets.coded(np.full((150, 200, 3), 40 * n, np.uint8)))
    (photos / "p4.png").write_bytes((photos / "p4.png").read_bytes()[:60])
    folder = extract(photos, tmp_path / "set")
    found = {one.frame: one for one in review.states(Faceset.open(folder))}
    assert [found[n].state for n in range(6)] == ["several", "accepted", "accepted", "no_face", "damaged", "accepted"]
    assert found[0].as_dict()["time_s"] is None
    assert [found[n].picture for n in range(6)] == [f"p{n}.png" for n in range(6)], "also where there is no face"
    assert [row.origin for row in found[1].rows] == ["photos/p1.png"]
    assert api.faces_accept(folder, ["p0.png", "1"])["frames"] == 2
    assert api.faces_skip(folder, ["p3.png"], film="photos")["frames"] == 1
    found = {one.frame: one for one in review.states(Faceset.open(folder))}
    assert [found[n].by for n in range(4)] == ["user", "user", "", "user"]
    with pytest.raises(SettingRefused, match=r"p9\.png"):
        api.faces_accept(folder, ["p0.png", "p9.png"])
    api.faces_undo(folder)
    points = fake_finder.found(3, 60, 60, 50).landmarks.points_px.tolist()
    placed = api.faces_place(folder, 3, points=points, footage=[photos])["face_id"]
    assert Faceset.open(folder).face(placed).source.file == "photos/p3.png"
    with pytest.raises(FileRefused):
        api.faces_place(folder, 4, points=points, footage=[photos])
    assert api.faces_review(folder, state="all", sheet=tmp_path / "s.png", footage=[photos])["from_film"] == ["photos"]


def test_a_faceset_without_header_is_reviewed_by_its_faces(folder):
    (folder / "faceset.json").unlink()
    found = states_of(folder)
    assert set(found) == set(range(FRAMES)) - set(EMPTY)
    assert SureFinder.detector_name == "fake"


def test_a_copied_set_finds_the_film_that_another_was_made_from(folder, tmp_path, monkeypatch):
    from facewright.api.review import places_at_hand

    film = tmp_path / Faceset.open(folder).header.sources[0].file
    shutil.copytree(folder, tmp_path / "other")
    made = [(tmp_path / "other", [str(film), str(tmp_path / "stranger.mp4")]), (folder, [])]
    jobs = [type("Made", (), {"home": home.resolve(), "data": {"args": {"inputs": paths}}}) for home, paths in made]
    monkeypatch.setattr("facewright.jobs.job.list_jobs", lambda place, everywhere: jobs)
    assert places_at_hand(folder) == [film], "by its name; a stranger's is not read"
    assert len(places_at_hand(tmp_path / "other")) == 2, "its own are all tried"
