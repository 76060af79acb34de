from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face, same_face
from tests.faceset.packing import contents, run

from facewright.core.errors import DiskRefused, Mismatch, NothingFound, SettingRefused
from facewright.faces.face import Face, FaceType
from facewright.faceset import record
from facewright.faceset.copying import CopyStep
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person, Source
from facewright.faceset.moving import copy_faces
from facewright.faceset.pack import PackStep
from facewright.faceset.settings import ChoiceSettings
from facewright.faceset.store import Writer
from facewright.faceset.trash import bring_back, held

OTHER = "fedcba9876543210" * 4
ONE, TWO = ("sha256:" + digit * 64 for digit in "12")
FAR = (300.0, 300.0, 400.0, 400.0)


def make_set(
    place: Path, faces: list[Face], picture: np.ndarray, head: Header | None = None, quality: int = 95
) -> Faceset:
    with Writer(place) as writer:
        for face in faces:
            start = face.source.frame_index // 32 * 32
            data = record.encode_face(face, picture, np.full((8, 8), 7, np.uint8) if face.mask_by else None, quality)
            name = f"faces/{face.source.sha256[:8]}/{start:07d}/{face.face_id}{record.suffix(quality)}"
            writer.add_files([(name, data)])
        writer.update_header(lambda _: head or Header("whole_face", 64))
    return Faceset.open(place)


def head_of(*films: str, people: tuple[Person, ...] = (), **more: str) -> Header:
    sources = tuple(Source("film.mp4", sha, "25", (640, 360), 100, {}, True, {"frames": 100}) for sha in films)
    return Header("whole_face", 64, sources, people=people, **more)


def test_a_copy_is_byte_for_byte_and_brings_what_the_set_says(tmp_path, picture):
    ada = Person("Ada", (f"{SHA[:8]}:0000000:0",))
    faces = [make_face(f, mask_by="hull") for f in (0, 1, 40)] + [make_face(2, sha256=OTHER)]
    source = make_set(tmp_path / "a", faces, picture, head_of(SHA, OTHER, people=(ada,), consent=ONE))
    found = copy_faces(source, None, tmp_path / "b")
    out = Faceset.open(tmp_path / "b")
    assert contents(out) == contents(source)
    assert out.header == source.header
    assert (len(found.new), found.kept, found.replaced, found.refused) == (4, [], [], [])
    again = copy_faces(source, None, tmp_path / "b")
    assert (again.new, again.kept, len(again.paths)) == ([], [], 4)
    some = copy_faces(source, [faces[3].face_id], tmp_path / "c")
    assert len(some.new) == 1
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
        copy_faces(source, None, out)
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
        copy_faces(source, None, tmp_path / "out")
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
    found = copy_faces(b, None, a.path)
    paths = list(before)
    assert found.replaced == paths[1:3]
    assert [kept for _, kept in found.kept] == [paths[0], paths[3]]
    a = Faceset.open(a.path)
    assert len(a) == 4
    assert same_face(a.face(plain[1].face_id), edited)
    assert [set(one.paths) for one in held(a.path)] == [set(paths[1:3])], "what gave way lies in the trash"
    assert copy_faces(b, None, a.path).new == []
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
        copy_faces(source, None, a.path)
    out = Faceset.open(a.path)
    assert sorted(row.face_id[-1] for row in out.rows()) == ["0", "1", "2", "3"]
    assert len({row.path for row in out.rows()}) == 4
    moved = next(face for face in out if face.box_px == FAR)
    assert same_face(dataclasses.replace(moved, face_id=make_face(0).face_id), make_face(0, box_px=FAR))


def test_two_near_faces_of_one_set_are_two(tmp_path, picture):
    near = [make_face(0), make_face(0, 1, box_px=(11.0, 20.0, 111.0, 140.0))]
    source = make_set(tmp_path / "a", near, picture)
    with Writer(tmp_path / "b") as writer:
        copy_faces(source, [near[0].face_id], tmp_path / "b", writer=writer)
    copy_faces(source, None, tmp_path / "b")
    assert contents(Faceset.open(tmp_path / "b")) == contents(source)


def test_names_that_are_taken_and_damaged_files(tmp_path, picture):
    source = make_set(tmp_path / "a", [make_face(0), make_face(1)], picture)
    target = make_set(tmp_path / "b", [make_face(7)], picture)
    taken = target.path / next(source.rows()).path
    taken.write_bytes(b"\xff\xd8 somebody's holiday")
    (source.path / list(source.rows())[1].path).write_bytes(b"\xff\xd8 broken since the index looked")
    found = copy_faces(source, None, target.path)
    assert taken.read_bytes() == b"\xff\xd8 somebody's holiday"
    assert found.new == [str(Path(next(source.rows()).path).with_suffix("")) + "-2.jpg"]
    assert len(found.refused) == 1


def test_places_that_are_no_good(tmp_path, picture):
    source = make_set(tmp_path / "a", [make_face(0)], picture)
    for place in (tmp_path / "a", tmp_path / "a" / "faces"):
        with pytest.raises(Mismatch):
            copy_faces(source, None, place)
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "x.jpg").write_bytes(b"x")
    with pytest.raises(DiskRefused, match="not an empty"):
        copy_faces(source, None, tmp_path / "holiday")


def carry(sources: list[Faceset], out: Path, move: bool = False, **choice: str) -> dict[str, object]:
    return run(CopyStep([str(one.path) for one in sources], str(out), ChoiceSettings(**choice), move))


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
        path = tmp_path / "b" / next(iter(found["paths"].values()))[0]
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
        from facewright.faceset.copying import CopyStep
from facewright.faceset.faceset import Faceset
        from facewright.faceset.moving import copy_faces
from facewright.faceset.pack import PackStep
from facewright.faceset.settings import ChoiceSettings
        source = Faceset.open(Path(sys.argv[1]))
        print("go", flush=True)
        copy_faces(source, None, Path(sys.argv[2]))
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
    copy_faces(source, None, tmp_path / "b")
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
