from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faceset.conftest import SHA, make_face

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound
from facewright.core.journal import Journal
from facewright.faceset import record, trash
from facewright.faceset.faceset import Faceset
from facewright.faceset.store import PRIVATE, Writer
from facewright.faceset.trash import MOVES, TRASH, bring_back, empty, held, take_out


@pytest.fixture
def folder(tmp_path, picture) -> Path:
    with Writer(tmp_path / "set") as writer:
        for start in (0, 32):
            faces = [make_face(start + i) for i in range(5)]
            writer.add_chunk(SHA, start, [(f"{f.face_id}.jpg", record.encode_face(f, picture)) for f in faces])
    return tmp_path / "set"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "faces").rglob("*.jpg"))}


def take(folder: Path, paths: list[str], why: str = "blurry", name: str = "") -> trash.Taken:
    with Writer(folder) as writer:
        return take_out(writer, paths, why, name)


def test_out_and_back_again(folder):
    before, rows = contents(folder), list(Faceset.open(folder).rows())
    taken = take(folder, [rows[1].path, rows[6].path])
    assert taken.paths == (rows[1].path, rows[6].path)
    assert len(Faceset.open(folder)) == 8
    assert set(before) - set(contents(folder)) == set(taken.paths)
    (one,) = held(folder)
    assert (one.name, one.why, one.paths) == (taken.name, "blurry", taken.paths)
    assert one.bytes == sum(len(before[path]) for path in taken.paths)
    assert (folder / PRIVATE / TRASH / taken.name / rows[1].path).read_bytes() == before[rows[1].path]
    assert bring_back(folder) == list(taken.paths)
    assert contents(folder) == before
    assert list(Faceset(folder).rows()) == rows, "the index knows them without being asked to look"
    assert held(folder) == []
    assert list((folder / PRIVATE / TRASH).iterdir()) == []


def test_the_latest_is_undone_first_whatever_its_name(folder):
    paths = [row.path for row in Faceset.open(folder).rows()]
    first = take(folder, paths[:1], "size")
    take(folder, paths[1:2], "blurry")
    take(folder, paths[2:3], "size", first.name)
    assert [one.why for one in held(folder)] == ["blurry", "size"]
    assert bring_back(folder) == [paths[0], paths[2]]
    assert bring_back(folder) == [paths[1]]
    with pytest.raises(NothingFound):
        bring_back(folder)


def test_some_of_it_by_name_end_and_face(folder):
    rows = list(Faceset.open(folder).rows())
    taken = take(folder, [row.path for row in rows[:3]])
    take(folder, [rows[5].path])
    ulid = taken.name.partition("-")[0]
    assert bring_back(folder, ulid[-8:].lower(), only=[rows[1].face_id]) == [rows[1].path]
    with pytest.raises(NothingFound):
        bring_back(folder, taken.name, only=["nobody"])
    assert bring_back(folder, taken.name) == [rows[0].path, rows[2].path]
    with pytest.raises(NothingFound):
        bring_back(folder, taken.name)


def test_one_cleaning_s_folders_come_back_together(folder):
    paths = [row.path for row in Faceset.open(folder).rows()]
    ulid = trash.name_for("x").partition("-")[0]
    take(folder, paths[:1], "size")
    for at, why in ((1, "blurry"), (2, "small"), (3, "blurry")):
        take(folder, paths[at : at + 1], why, trash.name_for(why, ulid))
    assert sorted(one.why for one in trash.find(folder, ulid[-6:])) == ["blurry", "small"]
    assert bring_back(folder, trash.name_for("small", ulid)) == [paths[2]]
    assert sorted(bring_back(folder)) == [paths[1], paths[3]]
    assert [one.why for one in held(folder)] == ["size"]


def test_a_place_that_is_taken_again_is_left_alone(folder):
    paths = [row.path for row in Faceset.open(folder).rows()]
    taken = take(folder, paths[:2])
    (folder / paths[0]).write_bytes(b"made since")
    assert bring_back(folder) == [paths[1]]
    with pytest.raises(Mismatch):
        bring_back(folder)
    assert (folder / paths[0]).read_bytes() == b"made since"
    assert held(folder)[0].paths == (paths[0],)
    again = take(folder, [paths[0]], name=taken.name)
    assert again.name != taken.name, "one operation holds one file of a path"
    assert len(held(folder)) == 2


def test_a_record_that_came_since_does_not_cover_who_was_taken_out(folder):
    first, second = ("sha256:" + digit * 64 for digit in "12")
    rows = list(Faceset.open(folder).rows())
    take(folder, [rows[0].path], "other_person")
    take(folder, [rows[1].path], "blurry")
    Faceset.open(folder).set_consent(first)
    assert bring_back(folder) == [rows[1].path], "the same person's, as the set's"
    with pytest.raises(Mismatch, match="other people's"):
        bring_back(folder)
    assert len(held(folder)[0].paths) == 1
    take(folder, [rows[2].path], "blurry")
    Faceset.open(folder).set_consent(second)
    bring_back(folder, only=[rows[2].face_id])
    assert Faceset.open(folder).face(rows[2].face_id).consent == first
    assert Faceset.open(folder).face(rows[1].face_id).consent == ""


def test_what_is_not_there_is_passed_over(folder):
    paths = [row.path for row in Faceset.open(folder).rows()]
    assert take(folder, ["faces/none.jpg"]).paths == ()
    assert held(folder) == []
    first = take(folder, [paths[0], "faces/none.jpg", paths[0]])
    assert first.paths == (paths[0],)
    assert take(folder, paths[:2], name=first.name).paths == tuple(paths[:2]), "a batch that is done again"
    assert len(held(folder)) == 1


@pytest.mark.parametrize("path", ["../outside.jpg", "/etc/hostname", ".facewright/writer.lock", "faces", ""])
def test_only_files_of_the_faceset(folder, path):
    (folder.parent / "outside.jpg").write_bytes(b"mine")
    with pytest.raises(FileRefused):
        take(folder, [path])
    assert (folder.parent / "outside.jpg").read_bytes() == b"mine"


def test_a_hostile_journal_moves_nothing_outside(folder):
    (folder.parent / "outside.jpg").write_bytes(b"mine")
    place = folder / PRIVATE / TRASH / "01HZZZZZZZZZZZZZZZZZZZZZZZ-x"
    place.mkdir(parents=True)
    (place / "fine.jpg").symlink_to(folder.parent / "outside.jpg")
    journal = Journal(place / MOVES)
    journal.add({"why": "x", "when": "2", "paths": ["../../../../outside.jpg", "/etc/hostname", "fine.jpg"]})
    journal.close()
    assert held(folder) == []
    with pytest.raises(NothingFound):
        bring_back(folder)
    assert (folder.parent / "outside.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["cafe\u0301 .jpg", "a:b.jpg"])
def test_names_are_kept_as_they_are(folder, name, monkeypatch):
    (folder / "faces" / name).write_bytes(b"x")
    monkeypatch.chdir(folder.parent)
    taken = take(Path("set"), [folder / "faces" / name])
    assert taken.paths == (f"faces/{name}",)
    assert bring_back(Path("set")) == [f"faces/{name}"]
    assert (folder / "faces" / name).is_file()


def test_empty_deletes_what_it_is_told_and_nothing_else(folder):
    paths = [row.path for row in Faceset.open(folder).rows()]
    first = take(folder, paths[:1])
    second = take(folder, paths[1:3], "size")
    with pytest.raises(NothingFound):
        empty(folder, "nothing-of-this-name")
    assert [one.name for one in empty(folder, first.name)] == [first.name]
    assert [one.name for one in held(folder)] == [second.name]
    assert len(contents(folder)) == 7
    empty(folder)
    assert held(folder) == []
    assert list((folder / PRIVATE / TRASH).iterdir()) == []
    assert empty(folder) == []


def test_a_full_disk_keeps_every_face(folder, monkeypatch):
    before = contents(folder)
    paths = list(before)
    real, calls = os.replace, []

    def replace(old, new):
        calls.append(new)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(old, new)

    monkeypatch.setattr(trash.os, "replace", replace)
    with pytest.raises(DiskRefused):
        take(folder, paths)
    assert len(held(folder)[0].paths) == 2
    bring_back(folder)
    assert contents(folder) == before


_KILLED = """
import os, sys
from pathlib import Path
from facewright.faceset import trash
from facewright.faceset.store import Writer
folder, at, back = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "back"
paths = sorted(str(p.relative_to(folder)) for p in (folder / "faces").rglob("*.jpg"))
count, real = 0, os.replace
def step(call):
    def wrapped(*a, **k):
        global count
        count += 1
        if count > at:
            os.kill(os.getpid(), 9)
        return call(*a, **k)
    return wrapped
def arm():
    os.replace = step(real)
    trash.make_folder, trash.sync_folder = step(trash.make_folder), step(trash.sync_folder)
if not back:
    arm()
with Writer(folder) as writer:
    trash.take_out(writer, paths, "test")
if back:
    arm()
    trash.bring_back(folder)
"""


@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize("at", [0, 1, 3, 7, 12, 20])
def test_killed_anywhere_every_face_is_in_one_place_and_comes_back(folder, way, at):
    before = contents(folder)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder), str(at), way], check=False)
    assert done.returncode == -9
    there = contents(folder)
    in_trash = {path for one in held(folder) for path in one.paths}
    assert set(there) | in_trash == set(before)
    assert not set(there) & in_trash
    assert {row.path for row in Faceset.open(folder).rows()} == set(there)
    if in_trash:
        bring_back(folder)
    assert contents(folder) == before
    assert held(folder) == []


@given(st.text(max_size=80))
def test_any_reason_makes_a_plain_name(why):
    name = trash.name_for(why)
    assert len(name) <= 67
    assert name == Path(name).name
    assert trash.name_for(why, name.partition("-")[0]) == name
