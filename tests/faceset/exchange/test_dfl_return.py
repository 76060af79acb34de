"""Our own faces, sent to DeepFaceLab's world and back."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.faceset.conftest import make_face, same_face
from tests.faceset.dfl_sets import file_of, stated_in
from tests.faceset.exchange.test_dfl_export import hand
from tests.faceset.exchange.test_dfl_import import bring

from facewright.faceset import record
from facewright.faceset.exchange.dfl_file import opened
from facewright.faceset.exchange.dfl_records import NAME
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Source
from facewright.faceset.store import Writer

RECORD = "sha256:" + "4" * 64
SHA = "ab" * 32


@pytest.fixture
def ours(tmp_path, picture) -> Path:
    """Six faces with everything that a face can have, one of them lossless."""
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 200
    files = []
    for frame in range(6):
        face = make_face(frame, sha256=SHA, person="Ada", consent=RECORD if frame else "", flags=("profile",),
                         mask_by="hull", polygons=((1, np.array([[1, 2], [50, 3], [30, 40.5]], np.float32)),))
        face = dataclasses.replace(face, source=dataclasses.replace(face.source, sha256=SHA, shot=2),
                                   smoothed_px=face.points_px + np.float32(0.25))
        quality = 95 if frame else 0
        files.append((face.face_id + record.suffix(quality), record.encode_face(face, picture, mask, quality)))
    with Writer(tmp_path / "ours") as writer:
        writer.add_chunk(SHA, 0, files)
        film = Source("film.mp4", SHA, "25", (640, 360), 99, done=True)
        writer.update_header(lambda _: Header("whole_face", 64, (film,), consent=RECORD))
    return tmp_path / "ours"


def faces(folder: Path) -> dict:
    return {face.face_id: face for face in Faceset.open(folder)}


@pytest.mark.parametrize("pak", [False, True])
def test_they_come_back_with_all_that_they_held(ours, tmp_path, pak):
    hand(ours, tmp_path / "out", pak=pak)
    if not pak:  # sorted over there: other names, the same faces
        for number, path in enumerate(sorted((tmp_path / "out").glob("*.jpg"), reverse=True)):
            path.rename(path.with_name(f"x{number:05d}.jpg"))
    done = bring(tmp_path / "out", tmp_path / "back")
    assert done["counts"] == {"came back": 6}
    before, after = faces(ours), faces(tmp_path / "back")
    assert sorted(before) == sorted(after)
    for face_id, face in before.items():
        new = after[face_id]
        if not face.consent:  # the set's record is now the face's own
            face = dataclasses.replace(face, consent=RECORD)
        lossless = dataclasses.replace(new, sharpness=face.sharpness)  # measured anew
        assert same_face(lossless, face), face_id
        assert np.array_equal(Faceset.open(tmp_path / "back").mask(new), Faceset.open(ours).mask(face))
    assert Faceset.open(tmp_path / "back").header.sources[0].size_px == (640, 360)


def test_what_was_changed_over_there_is_taken_in(ours, tmp_path):
    hand(ours, tmp_path / "out")
    first, second, *_ = sorted((tmp_path / "out").glob("*.jpg"))
    stated = stated_in(first)
    face = faces(ours)[stated["facewright_face"]]
    stated["source_landmarks"] = (face.points + np.float32(2)).astype(np.float64).tolist()
    stated["landmarks"] = (np.array(stated["landmarks"]) + 0.82).tolist()
    stated["seg_ie_polys"] = {"polys": [{"type": 0, "pts": np.ones((3, 2), np.float32)}]}
    stated["xseg_mask"] = cv2.imencode(".png", np.full((16, 16), 255, np.uint8))[1].reshape(-1)
    stated["somebodys_key"] = (1, "two")
    first.write_bytes(file_of(opened(first.read_bytes()).picture, stated))
    small = {**stated_in(second)}
    del small["xseg_mask"]
    second.write_bytes(file_of(opened(second.read_bytes()).picture, small))
    bring(tmp_path / "out", tmp_path / "back")
    new = faces(tmp_path / "back")[face.face_id]
    assert np.array_equal(new.edited_px, face.points + np.float32(2)), "a hand over there counts as an edit"
    assert np.array_equal(new.points_px, face.points_px)
    assert np.array_equal(new.mesh_px, face.mesh_px)
    assert new.polygons[0][0] == 0
    assert new.mask_by == "DeepFaceLab"
    assert Faceset.open(tmp_path / "back").mask(new).shape == (16, 16)
    assert Faceset.open(tmp_path / "back").mask(small["facewright_face"]) is None
    hand(tmp_path / "back", tmp_path / "again")
    found = [stated_in(path).get("somebodys_key") for path in (tmp_path / "again").glob("*.jpg")]
    assert sorted(found, key=str) == [(1, "two"), None, None, None, None, None]


@pytest.mark.parametrize("harm", ["gone", "cut", "path", "film", "junk"])
def test_without_sound_records_they_are_faces_like_any_other(ours, tmp_path, harm):
    hand(ours, tmp_path / "out")
    file = tmp_path / "out" / NAME
    text = file.read_text()
    file.unlink()
    if harm == "cut":
        file.write_text("\n".join(line[: len(line) // 2] for line in text.splitlines()))
    elif harm == "path":
        file.write_text(text.replace('"face_id":"abababab', '"face_id":"../../ab'))
    elif harm == "film":
        file.write_text(text.replace(f'"sha256":"{SHA}"', '"sha256":"../../../x"'))
    elif harm == "junk":
        file.write_bytes(b"\x00\xff" * 500)
    done = bring(tmp_path / "out", tmp_path / "back")
    assert done["imported"] == 6
    assert done["counts"] == {}
    assert not {face.source.sha256 for face in Faceset.open(tmp_path / "back")} & {SHA}
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.facewright", "back", "ours", "out"]


def test_a_face_copied_over_there_comes_back_once(ours, tmp_path):
    hand(ours, tmp_path / "out")
    path = next(iter((tmp_path / "out").glob("*.jpg")))
    shutil.copy(path, path.with_name("copy.jpg"))
    assert bring(tmp_path / "out", tmp_path / "back")["imported"] == 6
