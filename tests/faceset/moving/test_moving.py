from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face, same_face
from tests.faceset.sets import ONE, OTHER, contents, head_of, make_set
from tests.steps import run

from facewright.core.errors import DiskRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.step import Work
from facewright.faces.face import Face, FaceType
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person, Source
from facewright.faceset.moving.copying import CopyStep
from facewright.faceset.moving.pack import PackStep
from facewright.faceset.people import persons
from facewright.faceset.review import review
from facewright.faceset.settings import ChoiceSettings
from facewright.faceset.store import Writer
from facewright.faceset.trash import bring_back, held

TWO = "sha256:" + "2" * 64
FAR = (300.0, 300.0, 400.0, 400.0)


def copy(source: Faceset, out: Path, ids: list[str] | None = None, move: bool = False) -> dict[str, Any]:
    return run(CopyStep([str(source.path)], str(out), move=move, only=None if ids is None else [ids]))


def carry(sources: list[Faceset], out: Path, move: bool = False, **choice: str) -> dict[str, Any]:
    return run(CopyStep([str(one.path) for one in sources], str(out), ChoiceSettings(**choice), move))


def test_a_copy_is_byte_for_byte_and_brings_what_the_set_says(tmp_path, picture):
    ada = Person("Ada", (f"{SHA[:8]}:0000000:0",))
    faces = [make_face(f, mask_by="hull") for f in (0, 1, 40)] + [make_face(2, sha256=OTHER)]
    source = make_set(tmp_path / "a", faces, picture, head_of(SHA, OTHER, people=(ada,), consent=ONE))
    done = copy(source, tmp_path / "b")
    out = Faceset.open(tmp_path / "b")
    assert contents(out) == contents(source)
    assert out.header == source.header
    assert (done["copied"], done["kept"], done["replaced"], done["refused"], done["notes"]) == (4, [], [], [], [])
    again = copy(source, tmp_path / "b")
    assert (again["copied"], again["kept"], again["already there"]) == (0, [], 4)
    assert copy(source, tmp_path / "c", [faces[3].face_id])["copied"] == 1
    assert [s.sha256 for s in Faceset.open(tmp_path / "c").header.sources] == [OTHER]
    assert Faceset.open(tmp_path / "c").header.people == ()
    assert len(source) == 4, "nothing leaves the source"


def test_each_face_keeps_its_own_record_and_name(tmp_path, picture):
    ada, bob = make_face(0), make_face(1, sha256=OTHER)
    nobody = make_face(5, sha256=OTHER)
    a = make_set(tmp_path / "a", [ada], picture, head_of(SHA, consent=ONE, person="Ada"))
    b = make_set(tmp_path / "b", [bob, dataclasses.replace(nobody, consent=TWO)], picture, head_of(OTHER, person="Bob"))
    c = make_set(tmp_path / "c", [make_face(9)], picture, head_of(SHA))
    out = tmp_path / "out"
    for source in (a, b, c):
        copy(source, out)
    merged = Faceset.open(out)
    consent = {face.face_id: face.consent or merged.consent for face in merged}
    person = {face.face_id: merged.person_of(face) for face in merged}
    assert consent == {ada.face_id: ONE, bob.face_id: "", nobody.face_id: TWO, make_face(9).face_id: ""}
    assert person == {ada.face_id: "Ada", bob.face_id: "Bob", nobody.face_id: "Bob", make_face(9).face_id: ""}
    assert merged.header.consent == "", "a record must not come to cover faces that it was not given for"
    assert np.array_equal(merged.image(ada), a.image(ada)), "pixels stay"


def test_a_track_that_is_somebody_else_there_stays_apart(tmp_path, picture):
    track = f"{SHA[:8]}:0000000:0"
    a = make_set(tmp_path / "a", [make_face(0)], picture, head_of(SHA, people=(Person("Ada", (track,)),)))
    b = make_set(tmp_path / "b", [make_face(1)], picture, head_of(SHA, people=(Person("Bob", (track,)),)))
    c = make_set(tmp_path / "c", [make_face(2)], picture, head_of(SHA))
    for source in (a, b, c):
        copy(source, tmp_path / "out")
    out = Faceset.open(tmp_path / "out")
    assert [out.person_of(face) for face in out] == ["Ada", "Bob", ""]


def test_the_same_face_is_there_once_and_the_better_one_stays(tmp_path, picture):
    plain = [make_face(f) for f in range(4)]
    edited = dataclasses.replace(plain[1], edited_px=plain[1].points_px + 1)
    larger = dataclasses.replace(plain[2], side_px=128)
    same_head = make_face(3, 1, box_px=(12.0, 22.0, 112.0, 142.0))  # another detection, another ordinal
    a = make_set(tmp_path / "a", plain, picture)
    b = make_set(tmp_path / "b", [dataclasses.replace(plain[0], sharpness=1.0), edited, larger, same_head], picture)
    before = contents(a)
    done = copy(b, a.path)
    paths = list(before)
    assert done["replaced"] == paths[1:3]
    assert [kept for _, kept in done["kept"]] == [paths[0], paths[3]]
    a = Faceset.open(a.path)
    assert len(a) == 4
    assert same_face(a.face(plain[1].face_id), edited)
    assert [set(one.paths) for one in held(a.path)] == [set(paths[1:3])], "what gave way lies in the trash"
    assert copy(b, a.path)["copied"] == 0
    for row in list(a.rows())[1:3]:
        (a.path / row.path).unlink()
    bring_back(a.path)
    assert contents(Faceset.open(a.path)) == before


def test_another_head_of_the_same_id_gets_a_free_one(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(0), make_face(0, 1, box_px=(500.0, 0.0, 600.0, 100.0))], picture)
    b = make_set(tmp_path / "b", [make_face(0, box_px=FAR)], picture)
    twin = make_face(0, sha256=SHA[:8] + "f" * 56)  # a film whose digest begins alike
    c = make_set(tmp_path / "c", [twin], picture)
    for source in (b, c, b, c):
        copy(source, a.path)
    out = Faceset.open(a.path)
    assert sorted(row.face_id[-1] for row in out.rows()) == ["0", "1", "2", "3"]
    assert len({row.path for row in out.rows()}) == 4
    moved = next(face for face in out if face.box_px == FAR)
    assert same_face(dataclasses.replace(moved, face_id=make_face(0).face_id), make_face(0, box_px=FAR))


def test_two_near_faces_of_one_set_are_two(tmp_path, picture):
    near = [make_face(0), make_face(0, 1, box_px=(11.0, 20.0, 111.0, 140.0))]
    source = make_set(tmp_path / "a", near, picture)
    copy(source, tmp_path / "b", [near[0].face_id])
    copy(source, tmp_path / "b")
    assert contents(Faceset.open(tmp_path / "b")) == contents(source)


def test_what_stands_for_one_face_gives_way_to_no_other(tmp_path, picture):
    """A copy over there may have the id of the face that it took the place of."""
    there = make_set(tmp_path / "b", [make_face(0, 5)], picture)
    first = make_face(0, edited_px=make_face(0).points_px)
    better = make_face(0, 1, box_px=(11.0, 20.0, 111.0, 140.0), edited_px=make_face(0).points_px, presence_01=1.0)
    copy(make_set(tmp_path / "a", [first], picture), there.path)
    both = make_set(tmp_path / "a", [first, better], picture)
    done = copy(both, there.path, move=True)
    assert (done["moved"], done["replaced"], len(both), len(Faceset.open(there.path))) == (2, [], 0, 2)


def test_names_that_are_taken_and_damaged_files(tmp_path, picture):
    source = make_set(tmp_path / "a", [make_face(0), make_face(1)], picture)
    target = make_set(tmp_path / "b", [make_face(7)], picture)
    taken = target.path / next(source.rows()).path
    taken.write_bytes(b"\xff\xd8 somebody's holiday")
    step = CopyStep([str(source.path)], str(target.path))
    step.plan()
    (source.path / list(source.rows())[1].path).write_bytes(b"\xff\xd8 broken since the index looked")
    done = run(step)
    assert taken.read_bytes() == b"\xff\xd8 somebody's holiday"
    assert next(source.rows()).path.replace(".jpg", "-2.jpg") in contents(Faceset.open(target.path))
    assert (done["copied"], len(done["refused"])) == (1, 1)


def test_places_that_are_no_good(tmp_path, picture):
    source = make_set(tmp_path / "a", [make_face(0)], picture)
    for place in (tmp_path / "a", tmp_path / "a" / "faces"):
        with pytest.raises(Mismatch):
            copy(source, place)
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "x.jpg").write_bytes(b"x")
    with pytest.raises(DiskRefused, match="not an empty"):
        copy(source, tmp_path / "holiday")


def test_several_sets_into_one_and_choices(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(f, person="Ada") for f in range(70)], picture, head_of(SHA, consent=ONE))
    b = make_set(tmp_path / "b", [make_face(f, sha256=OTHER, flags=("profile", "parked")) for f in range(3)], picture,
                 head_of(OTHER))
    done = carry([a, b], tmp_path / "all")
    assert (done["copied"], done["faces"], done["already there"]) == (73, 73, 0)
    assert carry([a, b], tmp_path / "all")["already there"] == 73
    assert {len(contents(a)), len(contents(b))} == {70, 3}
    assert carry([a], tmp_path / "few", where="yaw_deg=-7.5..2.5")["copied"] == 11
    assert carry([a, b], tmp_path / "ada", person="Ada", no_flag="parked")["copied"] == 70
    assert carry([b], tmp_path / "profile", flag="profile")["copied"] == 3
    for choice in ({"person": "Eve"}, {"film": "x.mp4"}, {"where": "yaw_deg=80.."}):
        with pytest.raises(NothingFound):
            carry([a], tmp_path / "none", **choice)
    for where in ("beauty=1", "yaw_deg=left", "yaw_deg"):
        with pytest.raises(SettingRefused, match="which faces"):
            carry([a], tmp_path / "none", where=where)
    with pytest.raises(Mismatch, match="twice"):
        carry([a, a], tmp_path / "none")


def test_two_ranges_of_one_film_come_together(tmp_path, picture):
    def part(name: str, looked: list[int], missed: list[int]) -> Faceset:
        facts = {"frames": len(looked), "faces": len(looked) - len(missed), "frames_without_face": len(missed),
                 "reasons": {"no face found": len(missed)}, "no_face": [[n, "no face found"] for n in missed],
                 "damaged": [], "looked": [[looked[0], looked[-1] + 1, 1]], "shots": [[0, looked[-1] + 1]]}
        head = Header("whole_face", 64, (Source("film.mp4", SHA, "25", (640, 360), 100, {"end": "1"}, True, facts),))
        return make_set(tmp_path / name, [make_face(n) for n in looked if n not in missed], picture, head)

    first, second = part("a", list(range(5)), [2]), part("b", list(range(10, 14)), [11, 12])
    carry([first, second], tmp_path / "all")
    carry([second], tmp_path / "all")  # once more changes nothing
    film = Faceset.open(tmp_path / "all").header.source(SHA)
    assert film.facts["looked"] == [[0, 5, 1], [10, 14, 1]]
    assert film.facts["no_face"] == [[2, "no face found"], [11, "no face found"], [12, "no face found"]]
    assert (film.facts["frames"], film.facts["faces"], film.facts["frames_without_face"]) == (9, 6, 3)
    assert film.facts["shots"] == [[0, 14]]
    states = {one.frame: one.state for one in review.states(Faceset.open(tmp_path / "all"))}
    assert [frame for frame, state in states.items() if state == "no_face"] == [2, 11, 12]
    assert len(states) == 9
    third = part("c", list(range(12, 16)), [13])  # found what b missed, missed what b found
    carry([third], tmp_path / "all")
    film = Faceset.open(tmp_path / "all").header.source(SHA)
    assert [frame for frame, _ in film.facts["no_face"]] == [2, 11]
    assert film.facts["frames"] == 11


def test_a_mix_of_face_types_is_told(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(0)], picture)
    b = make_set(tmp_path / "b", [make_face(1, face_type=FaceType.HEAD)], picture)
    assert carry([a, b], tmp_path / "out")["face_types"] == {"head": 1, "whole_face": 1}


def test_moving_empties_the_source_into_its_trash(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(f) for f in range(5)], picture, head_of(SHA, consent=ONE))
    before = contents(a)
    done = carry([a], tmp_path / "b", move=True, where="frame_index=0..2")
    assert (done["moved"], done["copied"]) == (3, 3)
    assert len(Faceset.open(a.path)) == 2
    assert contents(Faceset.open(tmp_path / "b")) == dict(list(before.items())[:3])
    assert Faceset.open(tmp_path / "b").consent == ONE
    assert bring_back(a.path) == list(before)[:3]
    assert contents(Faceset.open(a.path)) == before


def test_originals_stay_where_the_copy_does_not_read_back(tmp_path, picture, monkeypatch):
    a = make_set(tmp_path / "a", [make_face(f) for f in range(3)], picture)
    step = CopyStep([str(a.path)], str(tmp_path / "b"), move=True)
    commit = step.commit

    def failing(item, result):
        found = commit(item, result)
        path = tmp_path / "b" / next(iter(found["placed"].values())).path
        path.write_bytes(path.read_bytes()[:-3] + b"xyz")
        return found

    monkeypatch.setattr(step, "commit", failing)
    with pytest.raises(DiskRefused, match="read back"):
        run(step)
    assert len(Faceset.open(a.path)) == 3


def test_what_was_edited_since_is_another_job(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(f) for f in range(2)], picture)
    step = lambda: CopyStep([str(a.path)], str(tmp_path / "b"), move=True)  # noqa: E731
    before = step().inputs()
    assert step().inputs() == before
    face = next(iter(a))
    with Writer(a.path) as writer:
        writer.write_face(a.file(face), dataclasses.replace(face, edited_px=face.points_px + 1), None)
    assert step().inputs() != before


def edit(faceset: Faceset, face: Face, **changes: Any) -> Face:
    changed = dataclasses.replace(face, **changes)
    with Writer(faceset.path) as writer:
        writer.write_face(faceset.file(face), changed, record.read_mask(faceset.file(face)))
    return changed


@pytest.mark.parametrize("changes", [{"edited_px": np.ones((68, 2), np.float32)}, {"flags": ("good",)}])
def test_a_face_that_was_changed_while_others_moved_moves_as_it_is_now(tmp_path, picture, changes):
    faces = [make_face(f, mask_by="hull") for f in range(4)]
    a = make_set(tmp_path / "a", faces, picture, head_of(SHA, consent=ONE))
    step, records = CopyStep([str(a.path)], str(tmp_path / "b"), move=True), {}
    assert run(step, records, stop_after=1) == {}
    wanted = edit(a, faces[1], **changes)
    a.file(faces[2]).write_bytes(b"\xff\xd8 an editor stopped half-way")
    a.file(faces[3]).unlink()
    done = step.finish(records, Work())
    assert (done["moved"], len(done["trash"])) == (2, 1)
    assert [Path(path).stem for path, _ in done["refused"]] == [face.face_id for face in faces[2:]]
    assert "taken away" in done["refused"][1][1]
    assert [path.stem for path in (a.path / "faces").rglob("*.jpg")] == [faces[2].face_id], "what nobody can read stays"
    out = Faceset.open(tmp_path / "b")
    assert same_face(out.face(faces[1].face_id), wanted)
    assert same_face(out.face(faces[2].face_id), faces[2])
    assert len(out) == 4
    assert sum(len(one.paths) for one in held(out.path)) == 1, "the copy of before is not lost either"


def test_what_the_set_said_anew_while_faces_moved_goes_along(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(f) for f in range(70)], picture, head_of(SHA, consent=ONE))
    step, records = CopyStep([str(a.path)], str(tmp_path / "b"), move=True), {}
    before = step.inputs()
    run(step, records, stop_after=2)
    a.set_consent(TWO)
    assert CopyStep([str(a.path)], str(tmp_path / "b"), move=True).inputs() != before
    assert step.finish(records, Work())["moved"] == 70
    out = Faceset.open(tmp_path / "b")
    assert {face.consent or out.consent for face in out} == {TWO}


def test_what_was_edited_over_there_is_no_broken_disk(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(f) for f in range(3)], picture)
    step, records = CopyStep([str(a.path)], str(tmp_path / "b"), move=True), {}
    run(step, records, stop_after=1)
    out = Faceset.open(tmp_path / "b")
    edited = edit(out, out.face(make_face(1).face_id), flags=("good",))
    done = run(CopyStep([str(a.path)], str(tmp_path / "b"), move=True), records)
    assert (done["moved"], len(done["kept"])) == (2, 1)
    assert same_face(Faceset.open(out.path).face(edited.face_id), edited)
    assert len(Faceset.open(a.path)) == 1, "neither state is lost"


def test_numbers_are_nobody_s_names(tmp_path, picture):
    def one(name: str, sha: str, *people: str) -> Faceset:
        told = [Person(who, (f"{sha[:8]}:0000000:{n}",), who == "Ada") for n, who in enumerate(people)]
        faces = [make_face(f, n, sha256=sha, track=f"{sha[:8]}:0000000:{n}",
                           box_px=(200.0 * n, 0.0, 200.0 * n + 90, 120.0)) for f in (0, 1) for n in range(len(people))]
        return make_set(tmp_path / name, faces, picture, head_of(sha, people=tuple(told)))

    a, b = one("a", SHA, "person-1", "Ada"), one("b", OTHER, "person-1", "Ada", "person-2")
    wanted = {"person-1": 1, "Ada": 2, "person-3": 1, "person-2": 1}
    for out, sets in (("out", [a, b]), ("out", [a, b]), ("out", [b]), ("other", [a]), ("other", [b])):
        done = carry(sets, tmp_path / out)
        people = Faceset.open(tmp_path / out).people()
    assert {name: len(tracks) for name, tracks in people.items()} == wanted
    assert done["notes"] == ["person-1 of b is person-3 there: nobody has said who they are."]
    out = Faceset.open(tmp_path / "out")
    assert contents(out) == contents(a) | contents(b), "names by tracks change no file"
    assert {name: len(tracks) for name, tracks in out.people().items()} == wanted
    assert carry([b], tmp_path / "out")["already there"] == 6
    persons.rename(out.path, "person-3", "Bea")
    more = make_face(40, sha256=OTHER, track=f"{OTHER[:8]}:0000032:0")
    with Writer(b.path) as writer:
        writer.add_files([(f"faces/{OTHER[:8]}/0000032/{more.face_id}.jpg", record.encode_face(more, picture, None))])
        writer.update_header(lambda head: dataclasses.replace(head, people=(
            dataclasses.replace(head.people[0], tracks=(*head.people[0].tracks, more.track)), *head.people[1:])))
    assert carry([b], out.path)["notes"] == []
    assert out.person_of(Faceset.open(out.path).face(more.face_id)) == "Bea", "what was said over there holds"


def test_one_numbered_person_who_moves_in_two_parts_stays_one(tmp_path, picture):
    tracks = [f"{SHA[:8]}:{start:07d}:0" for start in (0, 32)]
    faces = [make_face(f, track=tracks[f // 32]) for f in (0, 1, 40, 41)]
    a = make_set(tmp_path / "a", faces, picture, head_of(SHA, people=(Person("person-1", tuple(tracks)),)))
    for where in ("frame_index=0..31", "frame_index=32.."):
        carry([a], tmp_path / "b", move=True, where=where)
    assert Faceset.open(tmp_path / "b").people() == {"person-1": tracks}


def test_numbers_that_faces_carry_themselves(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(0, person="person-1")], picture)
    b = make_set(tmp_path / "b", [make_face(0, sha256=OTHER, person="person-1"), make_face(1, sha256=OTHER)], picture)
    for _ in range(2):
        done = carry([a, b], tmp_path / "out")
        assert sorted(face.person for face in Faceset.open(tmp_path / "out")) == ["", "person-1", "person-2"]
    assert (done["already there"], done["kept"]) == (3, [])


def test_a_better_face_over_there_keeps_the_original_here(tmp_path, picture):
    plain = make_face(0)
    a = make_set(tmp_path / "a", [plain, make_face(1)], picture)
    b = make_set(tmp_path / "b", [dataclasses.replace(plain, edited_px=plain.points_px + 1)], picture)
    done = carry([a], b.path, move=True)
    assert (done["moved"], len(done["kept"])) == (1, 1)
    assert [face.face_id for face in Faceset.open(a.path)] == [plain.face_id]


def test_copied_out_of_a_packed_set(tmp_path, picture):
    a = make_set(tmp_path / "a", [make_face(f, mask_by="hull") for f in range(5)], picture, head_of(SHA, consent=ONE))
    run(PackStep(str(a.path), str(tmp_path / "a.faces")))
    carry([Faceset.open(tmp_path / "a.faces")], tmp_path / "b")
    assert contents(Faceset.open(tmp_path / "b")) == contents(a)
    assert Faceset.open(tmp_path / "b").header == a.header
    with pytest.raises(Mismatch, match="packed"):
        carry([Faceset.open(tmp_path / "a.faces")], tmp_path / "b", move=True)


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_and_asked_again(tmp_path, picture):
    faces = [make_face(f, consent=ONE) for f in range(150)]
    source = make_set(tmp_path / "a", faces, picture, head_of(SHA))
    make_set(tmp_path / "b", [make_face(f, sha256=OTHER) for f in range(20)], picture, head_of(OTHER, consent=TWO))
    before = contents(Faceset.open(tmp_path / "b"))
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from facewright import api
        print("go", flush=True)
        api.faces_copy(Path(sys.argv[1]), Path(sys.argv[2]), settings={})
    """)
    rng = np.random.default_rng(5)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code, str(source.path), str(tmp_path / "b")],
                              stdout=subprocess.PIPE) as run:
            run.stdout.readline()
            time.sleep(float(rng.uniform(0.0, 0.15)))
            run.send_signal(signal.SIGKILL)
        now = Faceset.open(tmp_path / "b")
        assert not now.damaged()
        assert all(face.consent or now.consent for face in now)
    copy(source, tmp_path / "b")
    out = Faceset.open(tmp_path / "b")
    assert len(out) == 170
    assert {p: d for p, d in contents(out).items() if p not in before} == contents(source)
    assert not list((tmp_path / "b").rglob("*.part"))


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_while_moving(tmp_path, picture):
    source = make_set(tmp_path / "a", [make_face(f) for f in range(150)], picture, head_of(SHA))
    before = contents(source)
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from facewright import api
        print("go", flush=True)
        api.faces_move(Path(sys.argv[1]), Path(sys.argv[2]), settings={})
    """)
    words = [sys.executable, "-c", code, str(source.path), str(tmp_path / "b")]
    rng = np.random.default_rng(11)
    for _ in range(3):
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdout.readline()
            time.sleep(float(rng.uniform(0.1, 0.5)))
            process.send_signal(signal.SIGKILL)
        there = contents(Faceset.open(tmp_path / "b")) if (tmp_path / "b" / "faceset.json").exists() else {}
        assert {**contents(Faceset.open(source.path)), **there} == before, "every face is in one of them, whole"
    if len(Faceset.open(source.path)):
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    assert contents(Faceset.open(tmp_path / "b")) == before
    assert len(Faceset.open(source.path)) == 0
