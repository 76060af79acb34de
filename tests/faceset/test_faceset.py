from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from tests.faceset.conftest import SHA, make_face, same_face

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound
from facewright.faces.face import Face
from facewright.faceset import header, record
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person, Source
from facewright.faceset.store import Writer, chunk_folder, refuse_place
from facewright.faceset.trash import take_out

OTHER = "fedcba9876543210" * 4


def files_of(faces: list[Face], picture: np.ndarray, mask: np.ndarray | None = None) -> list[tuple[str, bytes]]:
    return [(face.face_id + ".jpg", record.encode_face(face, picture, mask)) for face in faces]


@pytest.fixture
def faces() -> list[Face]:
    chosen = [make_face(f, o) for f in (0, 1, 5) for o in (0, 1)] + [make_face(2, sha256=OTHER, yaw_deg=80.0)]
    chosen[1] = dataclasses.replace(chosen[1], flags=("profile",), person="Ada")
    return chosen


@pytest.fixture
def folder(tmp_path, faces, picture):
    place = tmp_path / "Gesichter ünï"
    with Writer(place) as writer:
        writer.add_chunk(SHA, 0, files_of(faces[3::-1], picture))
        writer.add_chunk(SHA, 32, files_of(faces[4:6], picture, np.full((32, 32), 255, np.uint8)))
        writer.add_chunk(OTHER, 0, files_of(faces[6:], picture))
        source = Source("film.mp4", SHA, "25", (640, 360), 100, {"fps": 0}, True, {"frames": 100})
        people = (Person("person 1", (faces[0].track,)),)
        writer.update_header(lambda _: Header("whole_face", 64, (source,), "", "", people))
    return place


def test_iterates_in_order_and_finds(folder, faces):
    faceset = Faceset.open(folder)
    assert len(faceset) == 7
    # Both films have one name here, so the digest decides: 0123... before fedc...
    assert [f.face_id for f in faceset] == [f.face_id for f in faces]
    assert all(same_face(a, b) for a, b in zip(faceset, faces))
    assert same_face(faceset.face(faces[3].face_id), faces[3])
    assert faceset.image(faces[3]).shape == (64, 64, 3)
    assert faceset.mask(faces[3]) is None
    assert faceset.mask(faces[4]).max() == 1.0
    assert faceset.file(faces[4]).is_file()
    with pytest.raises(NothingFound, match="no face"):
        faceset.face("nobody")
    assert len(pickle.loads(pickle.dumps(faceset))) == 7  # noqa: S301  (crosses to a worker process)


def test_where_by_frame_and_names(folder, faces):
    faceset = Faceset.open(folder)
    assert [f.face_id for f in faceset.where(yaw_deg=(70, 90))] == [faces[6].face_id]
    assert len(faceset.where(yaw_deg=(-90, 12.5), source_sha256=SHA)) == 6
    with pytest.raises(TypeError, match="beauty"):
        faceset.where(beauty=(0, 1))
    assert {k: [f.face_id for f in v] for k, v in faceset.by_frame(SHA, 1, 6).items()} == {
        1: [faces[2].face_id, faces[3].face_id], 5: [faces[4].face_id, faces[5].face_id]}
    assert faceset.footage() == {SHA: "film.mp4", OTHER: "film.mp4"}
    assert faceset.person_of(faces[0]) == "person 1"
    assert faceset.person_of(faces[1]) == "Ada"
    faceset.set_person("Bert", instead_of="person 1")
    assert list(faceset.people()) == ["Bert"]
    with pytest.raises(NothingFound):
        faceset.set_person("X", instead_of="person 9")
    faceset.set_person("Carla")
    assert faceset.person_of(faces[0]) == "Carla"
    assert list(faceset.people()) == ["Carla"]
    faceset.set_consent("sha256:" + "1" * 64)
    assert Faceset.open(folder).consent == "sha256:" + "1" * 64


def test_a_new_record_takes_the_place_of_the_set_s_old_one(tmp_path, picture):
    """`extract --consent` writes the record into set and faces: a later one must reach the faces too."""
    old, new, own = ("sha256:" + digit * 64 for digit in "123")
    faces = [make_face(0, consent=old), make_face(1, consent=own), make_face(2)]
    with Writer(tmp_path) as writer:
        writer.add_chunk(SHA, 0, files_of(faces[:1], picture, np.full((32, 32), 255, np.uint8)))
        writer.add_chunk(SHA, 32, files_of(faces[1:], picture))
        writer.update_header(lambda _: Header("whole_face", 64, consent=old))
    faceset = Faceset.open(tmp_path)
    pixels = faceset.image(faces[0])
    faceset.set_consent(new)
    assert faceset.consent == new
    assert [row.consent for row in faceset.rows()] == [new, own, ""]
    assert same_face(faceset.face(faces[0].face_id), dataclasses.replace(faces[0], consent=new))
    assert np.array_equal(faceset.image(faces[0]), pixels)
    assert faceset.mask(faces[0]).max() == 1.0


def test_info_counts(folder):
    info = Faceset.open(folder).info()
    assert (info.count, info.frames, info.masks, info.labels) == (7, 4, 2, 0)
    assert info.faces_per_frame == {1: 1, 2: 3}
    assert info.face_types == {"whole_face": 7}
    assert info.sides_px == {64: 7}
    assert sum(map(sum, info.coverage)) == 7
    pitch_row = next(i for i, low in enumerate(info.pitch_edges_deg) if low <= -3.25 < low + 15)
    yaw_column = next(i for i, low in enumerate(info.yaw_edges_deg) if low <= 80 < low + 15)
    assert info.coverage[pitch_row][yaw_column] == 1
    assert info.flags == {"profile": 1}
    assert info.persons == {"Ada": 1, "person 1": 5, "": 1}
    assert info.sharpness["0"] == 100.0
    assert info.sharpness["1"] == 105.0
    assert [s.faces for s in info.sources] == [6, 1]
    json.dumps(info.as_dict())


def test_index_follows_the_files(folder, faces, picture):
    faceset = Faceset.open(folder)
    faceset.file(faces[0]).unlink()
    changed = dataclasses.replace(faces[2], person="Dora")
    with Writer(folder) as writer:
        writer.write_face(faceset.file(faces[2]), changed, None)
        take_out(writer, [faceset.file(faces[6])], "test")
    renamed = faceset.file(faces[3])
    renamed.rename(renamed.with_name("holiday.jpg"))
    copy = chunk_folder(folder, SHA, 32) / "zz copy.jpg"
    shutil.copy(faceset.file(faces[4]), copy)
    (copy.parent / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    again = Faceset.open(folder)
    assert len(again) == 5
    assert again.face(faces[2].face_id).person == "Dora"
    assert again.file(faces[3]).name == "holiday.jpg"
    info = again.info()
    assert [path.rpartition("/")[2] for path, _ in info.damaged] == ["broken.jpg"]
    assert info.doubled == 1


@pytest.mark.parametrize("harm", ["missing", "garbage", "half", "version", "emptied"])
def test_index_is_only_a_cache(folder, harm):
    assert len(Faceset.open(folder)) == 7
    path = folder / "index.sqlite"
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    if harm == "missing":
        path.unlink()
    elif harm == "garbage":
        path.write_bytes(b"no database at all" * 500)
    elif harm == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif harm == "version":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        path.write_bytes(b"")
    assert len(list(Faceset.open(folder))) == 7


def test_moved_without_header_and_read_only(folder, tmp_path):
    place = tmp_path / "elsewhere"
    folder.rename(place)
    (place / "faceset.json").unlink()
    faceset = Faceset.open(place)
    assert faceset.header.face_type == "whole_face"
    assert len(faceset) == 7
    faceset.set_person("Ada")
    assert faceset.face_type == "whole_face"


def test_a_set_takes_over_what_its_first_faces_are():
    new = {"face_type": "head", "side_px": 96, "consent": "c", "person": "Ada"}
    first = Header(person="Bob").begun(Source("a", SHA), **new)
    assert (first.face_type, first.side_px, first.consent, first.person) == ("head", 96, "c", "Bob")
    second = first.begun(Source("b", OTHER), face_type="full_face", side_px=64, consent="d", person="Eve")
    assert second == dataclasses.replace(first, sources=(Source("a", SHA), Source("b", OTHER)))
    assert second.begun(Source("c", SHA), **new) == second


def test_not_a_faceset(tmp_path):
    for place in (tmp_path, tmp_path / "gone"):
        with pytest.raises(FileRefused, match="no faceset"):
            Faceset.open(place)
    header.save(tmp_path, Header())
    assert len(Faceset.open(tmp_path)) == 0
    assert Faceset.open(tmp_path).info().count == 0
    for text in ("{", '{"format": "facewright.faceset/9"}', "[]", '{"format": "facewright.faceset/1", "sources": [1]}'):
        (tmp_path / "faceset.json").write_text(text)
        with pytest.raises(FileRefused):
            Faceset.open(tmp_path)


def test_places_that_are_refused(folder, tmp_path):
    for place in (tmp_path / "new", folder, folder.parent / "beside"):
        refuse_place(place)
    refuse_place(tmp_path / "new", folder)
    for place, word in ((folder, "itself"), (folder / "new", "inside"), (folder / ".." / folder.name, "itself")):
        with pytest.raises(Mismatch, match=word):
            refuse_place(place, folder)
    file, holiday = tmp_path / "notes.txt", tmp_path / "holiday"
    file.write_text("x")
    holiday.mkdir()
    refuse_place(holiday)
    (holiday / "index.sqlite-wal").touch()
    (holiday / "faceset.json.part").touch()
    refuse_place(holiday)
    (holiday / "beach.jpg").touch()
    for place, why in ((file, "It is a file."), (holiday, "It holds beach.jpg.")):
        with pytest.raises(DiskRefused, match="not an empty folder") as told:
            refuse_place(place)
        assert told.value.why == why


def test_one_writer(folder):
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from facewright.faceset.store import Writer
        with Writer(Path(sys.argv[1])):
            print("held", flush=True)
            sys.stdin.read()
    """)
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(DiskRefused, match="in use"):
            Faceset.open(folder).set_person("x")
        other.stdin.close()
    Faceset.open(folder).set_person("x")


def test_a_writer_lets_go_of_its_lock_with_the_outermost(folder):
    writer = Writer(folder)
    for _ in range(2):
        with writer:
            with contextlib.suppress(ValueError), writer as inner:
                assert inner is writer
                raise ValueError("x")
            with pytest.raises(DiskRefused, match="in use"), Writer(folder):
                pass
        with Writer(folder), pytest.raises(DiskRefused, match="in use"), writer:
            pass


def test_a_failed_chunk_leaves_nothing(folder, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with Writer(folder) as writer, pytest.raises(DiskRefused, match="full"):
        writer.add_chunk(SHA, 64, [("a.jpg", b"x")])
    assert not list(folder.rglob("*.part"))


def _embed(pictures, points):
    return np.ones((len(pictures), 4), np.float32)


def test_an_index_that_another_process_holds_is_not_thrown_away(folder, faces, monkeypatch):
    Faceset.open(folder).vectors(embed=_embed, net_sha256="ab" * 32)
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout=5.0: real(path, timeout=0.05))
    holder = real(folder / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for path in (folder / "faces").rglob("*.jpg"):
        os.utime(path)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Faceset.open(folder).index.refresh()
    holder.execute("ROLLBACK")
    assert holder.execute("SELECT COUNT(*) FROM vectors").fetchone()[0] == len(faces)
    holder.close()


def test_vectors_of_faces_that_are_gone_go_though_another_file_is_damaged(folder, faces):
    faceset = Faceset.open(folder)
    faceset.vectors(embed=_embed, net_sha256="ab" * 32)
    faceset.file(faces[0]).unlink()
    faceset.file(faces[1]).write_bytes(b"\0" * 100)
    faceset.index.refresh()
    with sqlite3.connect(folder / "index.sqlite") as db:
        left = {row[0] for row in db.execute("SELECT face_id FROM vectors")}
    assert left == {face.face_id for face in faces[2:]}


def test_vectors_lie_in_the_index_alone_and_can_be_forgotten(folder, faces):
    calls = []

    def embed(images: list[np.ndarray], some: list[Face]) -> np.ndarray:
        calls.append(len(images))
        found = np.array([[f.source.frame_index + 1, 2.0, -1.5] for f in some], np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    faceset = Faceset.open(folder)
    first = faceset.vectors(embed=embed, net_sha256="ab" * 32, batch=3)
    assert calls == [3, 3, 1]
    assert first.face_ids == tuple(f.face_id for f in faces)
    again = Faceset.open(folder).vectors([faces[4].face_id], embed=embed, net_sha256="ab" * 32)
    assert calls == [3, 3, 1]
    assert np.array_equal(again.matrix[0], first.matrix[4])
    assert len(faceset.vectors(limit=2, embed=embed, net_sha256="ab" * 32).face_ids) == 2
    faceset.vectors([faces[0].face_id], embed=embed, net_sha256="cd" * 32)  # another net: never mixed
    assert calls == [3, 3, 1, 1]
    needle = first.matrix[4].tobytes()
    assert any(needle in p.read_bytes() for p in folder.glob("index.sqlite*"))
    assert faceset.forget_identity(keep=[faces[0].face_id]) == 6
    assert not any(needle in p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert faceset.forget_identity() == 2


def test_a_batch_of_faces_is_written_together_or_not_at_all(folder, faces, monkeypatch):
    faceset = Faceset.open(folder)
    mask = np.full((16, 16), 9, np.uint8)
    changes = [(faceset.file(f), dataclasses.replace(f, mask_by="hull"), mask) for f in faces]
    before = {path: path.read_bytes() for path, _, _ in changes}

    def full(parts):
        raise OSError(28, "No space left on device")

    with Writer(folder) as writer:
        with monkeypatch.context() as patch:
            patch.setattr("facewright.core.files.replace_files", full)
            with pytest.raises(DiskRefused, match="full"):
                writer.write_faces(changes)
        assert {path: path.read_bytes() for path in before} == before
        assert not list(folder.rglob("*.part"))
        assert writer.write_faces(changes) == len(faces)
        assert writer.write_faces(changes) == 0, "what would come out the same is not written"
        assert writer.write_faces([]) == 0
        left = changes[0][0].with_name(changes[0][0].name + ".part")
        left.write_bytes(b"half")
        writer.sweep()
        assert not left.exists()
    again = Faceset.open(folder)
    assert {row.mask_by for row in again.rows()} == {"hull"}
    assert len(again.where(mask_by="hull")) == len(faces)


def test_a_face_file_of_the_first_release_is_read(faces):
    from facewright.faceset import facejson

    old = json.loads(facejson.to_json(faces[0]))
    del old["mask_by"]
    assert same_face(facejson.from_json(json.dumps(old).encode()), faces[0])
