from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.masks.conftest import head, make_set, pixels

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound
from facewright.faces.face import FaceType
from facewright.faceset import record
from facewright.faceset.faceset import Faceset
from facewright.faceset.store import Writer
from facewright.masks import labelfile, labels
from facewright.masks.label import drawn, same
from facewright.masks.settings import TraceSettings

RING = ((1, np.array([[30.25, 20.5], [100, 25], [95, 110], [40, 105]], np.float32)),
        (0, np.array([[50, 60], [70, 60], [70, 80]], np.float32)))
OTHER = ((1, np.array([[10, 10], [90, 10], [60, 90]], np.float32)),)


def give(folder: Path, which: dict[int, tuple]) -> list[str]:
    faces = list(Faceset.open(folder))
    with Writer(folder) as writer:
        for place, polygons in which.items():
            face = dataclasses.replace(faces[place], polygons=polygons)
            writer.write_face(Faceset.open(folder).file(face), face, np.full((32, 32), 255, np.uint8))
    return [face.face_id for face in faces]


def stored(folder: Path) -> dict[str, tuple]:
    return {f.face_id: f.polygons for f in Faceset.open(folder) if f.polygons}


def test_out_and_in_again_to_the_last_bit(faceset, tmp_path):
    ids = give(faceset, {0: RING, 69: OTHER})
    before = {p: pixels(p) for p in faceset.rglob("*.jpg")}
    file = tmp_path / "labels.json"
    assert labels.export(faceset, file) == {"file": str(file), "faces": 2, "polygons": 3}
    assert json.loads(file.read_text())["format"] == "facewright.labels/1"
    assert labels.remove(faceset)["removed"] == 2
    assert stored(faceset) == {}
    assert Faceset.open(faceset).mask(ids[0]).max() == 1, "masks stay"
    done = labels.take_in(faceset, file)
    assert (done["imported"], done["kept"], done["not here"]) == (2, 0, [])
    assert same(stored(faceset)[ids[0]], RING)
    assert same(stored(faceset)[ids[69]], OTHER)
    assert {p: pixels(p) for p in faceset.rglob("*.jpg")} == before


def test_removal_comes_back_and_what_a_restore_replaces_is_kept(faceset):
    ids = give(faceset, {3: RING, 5: OTHER})
    labels.remove(faceset)
    give(faceset, {3: OTHER})
    assert labels.restore(faceset)["restored"] == 2
    assert same(stored(faceset)[ids[3]], RING)
    (kept,) = (faceset / ".facewright" / "undo").glob("*-replaced/*.json")
    again = {one.face_id: one.polygons for one in labelfile.read(kept)}
    assert same(again[ids[3]], OTHER), "the drawing that the restore covered is in a file that can be imported"
    with pytest.raises(NothingFound, match="no earlier labels"):
        labels.restore(faceset)


def test_own_labels_win_unless_asked(faceset, tmp_path):
    ids = give(faceset, {0: RING, 1: RING})
    file = tmp_path / "l.json"
    labels.export(faceset, file)
    give(faceset, {0: OTHER})
    done = labels.take_in(faceset, file)
    assert (done["imported"], done["kept"]) == (0, 2)
    assert labels.take_in(faceset, file, replace=True)["imported"] == 1, "equal ones are not written"
    assert same(stored(faceset)[ids[0]], RING)
    labels.restore(faceset)
    assert same(stored(faceset)[ids[0]], OTHER)


class Killed(BaseException):
    """As a kill: nothing of ours may catch it."""


@pytest.mark.parametrize("deed", ["remove", "import", "to-labels"])
def test_one_undo_takes_back_an_operation_that_was_killed_and_begun_again(deed, faceset, tmp_path, monkeypatch):
    give(faceset, dict.fromkeys(range(70), RING))
    before = stored(faceset)
    labels.export(faceset, tmp_path / "l.json")
    lines = json.loads((tmp_path / "l.json").read_text())
    for one in lines["faces"]:
        one["polygons"] = one["polygons"][:1]
    (tmp_path / "l.json").write_text(json.dumps(lines))
    go = {"remove": lambda: labels.remove(faceset),
          "import": lambda: labels.take_in(faceset, tmp_path / "l.json", replace=True),
          "to-labels": lambda: labels.from_masks(faceset, TraceSettings(), replace=True)}[deed]
    kill_in_batch(1, monkeypatch, go)
    between = stored(faceset)
    assert sum(i in between and same(between[i], before[i]) for i in before) == 70 - 64
    go()
    assert not [i for i, polygons in stored(faceset).items() if same(polygons, before[i])]
    assert labels.restore(faceset)["restored"] == 70
    now = stored(faceset)
    assert all(same(now[i], before[i]) for i in before)
    with pytest.raises(NothingFound, match="no earlier labels"):
        labels.restore(faceset)


def kill_in_batch(number: int, monkeypatch, go) -> None:
    """Ask for an operation and kill it before it writes this batch (from 0)."""
    real, calls = Writer.write_faces, []

    def killed(self, changes):
        calls.append(1)
        if len(calls) > number:
            raise Killed
        return real(self, changes)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write_faces", killed)
        with pytest.raises(Killed):
            go()


def test_the_user_s_labels_come_back_where_the_input_was_mended_between(faceset, tmp_path, monkeypatch):
    ids = give(faceset, dict.fromkeys(range(70), OTHER))
    labels.export(faceset, tmp_path / "l.json")
    give(faceset, dict.fromkeys(range(70), RING))
    kill_in_batch(1, monkeypatch, lambda: labels.take_in(faceset, tmp_path / "l.json", replace=True))
    lines = json.loads((tmp_path / "l.json").read_text())
    for one in lines["faces"]:
        one["polygons"][0]["points_px"][0] = [12, 12]
    (tmp_path / "l.json").write_text(json.dumps(lines))
    assert labels.take_in(faceset, tmp_path / "l.json", replace=True)["imported"] == 70
    assert labels.restore(faceset)["restored"] == 70
    now = stored(faceset)
    assert [i for i in ids if not same(now[i], RING)] == []


def test_one_undo_in_spite_of_what_lies_beside_the_entry(faceset, monkeypatch):
    ids = give(faceset, dict.fromkeys(range(70), RING))
    kill_in_batch(1, monkeypatch, lambda: labels.remove(faceset))
    undo_folder = faceset / ".facewright" / "undo"
    (entry,) = undo_folder.iterdir()
    shutil.copy(entry / "000000.json", entry / "my copy.json")
    (undo_folder / "ZZZZZZZZZZZZZZZZZZZZZZZZZZ-labels").mkdir()  # killed before it replaced any
    labels.remove(faceset)
    assert labels.restore(faceset)["restored"] == 70
    assert all(same(stored(faceset)[i], RING) for i in ids[:1] + ids[-1:])


def test_a_restore_goes_on_in_its_own_entry(faceset, monkeypatch):
    give(faceset, dict.fromkeys(range(70), RING))
    labels.remove(faceset)
    kill_in_batch(1, monkeypatch, lambda: labels.restore(faceset))
    masks = faceset / ".facewright" / "undo" / "ZZZZZZZZZZZZZZZZZZZZZZZZZZ-masks-replaced"
    masks.mkdir()
    (masks / "000000.zip").write_bytes(b"x")
    labels.restore(faceset)
    (entry,) = (p for p in masks.parent.glob("*-replaced") if p != masks)
    assert not (entry / "unfinished").exists()


def test_a_disk_that_refuses_the_end_of_an_operation_says_so(faceset, monkeypatch):
    give(faceset, {0: RING})

    real = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self.name == "unfinished":
            raise OSError(30, "Read-only file system")
        real(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(DiskRefused):
        labels.remove(faceset)


def test_what_was_fetched_after_a_kill_comes_back(faceset, tmp_path, monkeypatch):
    out = tmp_path / "out"
    ids = give(faceset, dict.fromkeys(range(70), RING))
    labels.fetch(faceset, out)
    kill_in_batch(1, monkeypatch, lambda: labels.remove(out))
    give(faceset, dict.fromkeys(range(70), OTHER))
    labels.fetch(faceset, out)
    labels.remove(out)
    labels.restore(out)
    now = stored(out)
    assert [i for i in ids if not same(now[i], OTHER)] == []


def test_an_operation_after_a_killed_one_is_undone_alone(faceset, monkeypatch):
    give(faceset, dict.fromkeys(range(70), RING))
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write_faces", lambda self, changes: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            labels.remove(faceset)
    labels.remove(faceset, person="")
    give(faceset, {0: OTHER})
    labels.remove(faceset)
    assert labels.restore(faceset)["restored"] == 1, "the later removal alone"
    assert labels.restore(faceset)["restored"] == 70


@pytest.mark.parametrize(("kind", "side"), [(FaceType.WHOLE, 256), (FaceType.HEAD, 192), (FaceType.FULL, 128)])
def test_labels_follow_the_face_into_another_cut(faceset, tmp_path, kind, side):
    ids = give(faceset, {0: RING})
    file = tmp_path / "l.json"
    labels.export(faceset, file)
    other = make_set(tmp_path / "other", [head(n, yaw_deg=float(n % 40 - 20), kind=kind, side=side) for n in range(3)])
    done = labels.take_in(other, file)
    assert done["imported"] == 1
    assert done["narrower"] == (kind is FaceType.HEAD)
    a, b = Faceset.open(faceset).face(ids[0]), Faceset.open(other).face(ids[0])
    to_frame = [np.linalg.inv(f.face_from_frame) @ np.c_[f.polygons[0][1], np.ones(4)].T for f in (a, b)]
    assert np.allclose(*to_frame, atol=1e-3)


def test_strangers_are_named(faceset, tmp_path):
    other = make_set(tmp_path / "other", [head(500)])
    ids = give(other, {0: RING})
    labels.export(other, tmp_path / "l.json")
    assert labels.take_in(faceset, tmp_path / "l.json")["not here"] == ids


def good(tmp_path: Path) -> dict:
    place = make_set(tmp_path / "one", [head(0)])
    give(place, {0: RING})
    labels.export(place, tmp_path / "good.json")
    return json.loads((tmp_path / "good.json").read_text())


def _set(name, value):
    def change(data):
        data["faces"][0][name] = value
    return change


def _points(value):
    def change(data):
        data["faces"][0]["polygons"][0]["points_px"] = value
    return change


HOSTILE = {
    "far": _points([[1e30, 1], [2, 2], [3, 3]]), "text": _points([["1", "2"]]), "three": _points([[1, 2, 3]]),
    "ragged": _points([[1, 2], [3]]), "deep": _points([[[[1]]]]), "many": _points([[1, 2]] * 40_001),
    "polygons": _set("polygons", [{"kind": "include", "points_px": [[1, 2]]}] * 10_001),
    "kind": _set("polygons", [{"kind": "both", "points_px": [[1, 2], [3, 4], [5, 6]]}]),
    "matrix": _set("face_from_frame", [[1, 0, 0], [1, 0, 0], [0, 0, 1]]), "no matrix": _set("face_from_frame", None),
    "huge matrix": _set("face_from_frame", [[1e200, 0, 0], [0, 1e200, 0], [0, 0, 1]]),
    "side": _set("side_px", -1), "side text": _set("side_px", "1" * 50), "id": _set("face_id", 7),
    "twice": lambda data: data["faces"].append(data["faces"][0]), "format": lambda data: data.update(format="x"),
    "newer": lambda data: data.update(format="facewright.labels/2"), "faces": lambda data: data.update(faces=3),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_label_files_are_refused_with_a_sentence(faceset, tmp_path, name):
    data = good(tmp_path)
    HOSTILE[name](data)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FileRefused) as refused:
        labels.take_in(faceset, path)
    assert refused.value.what.endswith(".")
    assert refused.value.remedy
    assert stored(faceset) == {}


def test_labels_that_could_not_come_back_are_never_written(faceset):
    first = next(iter(Faceset.open(faceset)))
    ring = np.float32([[1, 1], [9, 1], [9, 9]])
    grain = tuple((1, ring + i / 7) for i in range(1_400))  # what a grainy mask is traced to
    assert labels.change(Faceset.open(faceset), [(first, grain)]) == 1
    labels.remove(faceset)
    assert labels.restore(faceset)["restored"] == 1
    back = Faceset.open(faceset).face(first.face_id)
    assert len(back.polygons) == 1_400
    with pytest.raises(Mismatch, match="no drawing"):
        labels.change(Faceset.open(faceset), [(back, ((1, np.zeros((40_001, 2), np.float32)),))])
    assert len(Faceset.open(faceset).face(first.face_id).polygons) == 1_400


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"[" * 100_000, b"nan", b'{"format": NaN}', b"{}", b'"x"'])
def test_what_is_no_label_file_is_refused(faceset, tmp_path, text):
    (tmp_path / "bad.json").write_bytes(text)
    with pytest.raises(FileRefused):
        labels.take_in(faceset, tmp_path / "bad.json")


def test_masks_become_polygons_that_draw_the_mask(tmp_path):
    from tests.steps import run

    from facewright.masks.apply import ApplyStep

    place = make_set(tmp_path / "set", [head(n, side=256, yaw_deg=10.0 * n) for n in range(5)])
    with pytest.raises(NothingFound, match="has a mask"):
        labels.from_masks(place, TraceSettings())
    run(ApplyStep(str(place), "mesh"))
    ids = give(place, {})
    with Writer(place) as writer:
        face = Faceset.open(place).face(ids[2])
        path = Faceset.open(place).file(ids[2])
        writer.write_face(path, dataclasses.replace(face, polygons=RING), record.read_mask(path))
    done = labels.from_masks(place, TraceSettings())
    assert (done["labelled"], done["kept"], done["empty"]) == (4, 1, 0)
    assert same(stored(place)[ids[2]], RING)
    for face_id in (ids[0], ids[4]):
        face, mask = Faceset.open(place).face(face_id), Faceset.open(place).mask(face_id) >= 0.5
        again = drawn(face.polygons, 256) >= 0.5
        assert (mask & again).sum() / (mask | again).sum() > 0.98
    assert labels.from_masks(place, TraceSettings(), replace=True)["labelled"] == 1
    labels.restore(place)
    assert same(stored(place)[ids[2]], RING)


def test_fetch_copies_labelled_faces_whole(faceset, tmp_path):
    with pytest.raises(NothingFound, match="has labels"):
        labels.fetch(faceset, tmp_path / "out")
    ids = give(faceset, {1: RING, 40: OTHER})
    out = tmp_path / "out"
    assert labels.fetch(faceset, out)["copied"] == 2
    assert [f.face_id for f in Faceset.open(out)] == [ids[1], ids[40]]
    for face_id in (ids[1], ids[40]):
        assert Faceset.open(out).file(face_id).read_bytes() == Faceset.open(faceset).file(face_id).read_bytes()
    assert Faceset.open(out).header.sources[0].done is False
    assert labels.fetch(faceset, out)["copied"] == 0
    give(faceset, {1: OTHER})
    assert labels.fetch(faceset, out)["renewed"] == 1
    assert len(list((out / ".facewright" / "trash").iterdir())) == 1
    with pytest.raises(Mismatch, match="itself"):
        labels.fetch(faceset, faceset)
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"x")
    with pytest.raises(DiskRefused, match="not an empty"):
        labels.fetch(faceset, tmp_path / "holiday")
    full = make_set(tmp_path / "full", [head(0, kind=FaceType.FULL)])
    give(full, {0: RING})
    with pytest.raises(Mismatch, match="whole_face"):
        labels.fetch(full, out)
    Faceset.open(faceset).set_consent("sha256:" + "1" * 64)
    with pytest.raises(Mismatch, match="another record"):
        labels.fetch(faceset, out)


def test_import_goes_on_past_a_face_that_cannot_carry_its_labels(faceset, tmp_path):
    ids = give(faceset, {0: RING, 1: RING, 2: RING})
    labels.export(faceset, tmp_path / "l.json")
    labels.remove(faceset)
    content = json.loads((tmp_path / "l.json").read_text())
    content["faces"][1]["face_from_frame"] = np.diag([1e-4, 1e-4, 1]).tolist()  # huge in the frame
    (tmp_path / "l.json").write_text(json.dumps(content))
    done = labels.take_in(faceset, tmp_path / "l.json")
    assert done["imported"] == 2
    ((name, why),) = done["refused"]
    assert ids[1] in name
    assert "far outside" in why


def test_a_full_disk_changes_nothing(faceset, monkeypatch):
    give(faceset, {0: RING, 1: OTHER})

    def full(parts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("facewright.core.files.replace_files", full)
    with pytest.raises(DiskRefused, match="full"):
        labels.remove(faceset)
    assert len(stored(faceset)) == 2
    assert not list(faceset.rglob("*.jpg.part"))


# -- DeepFaceLab ---------------------------------------------------------------------------------------------------


def _dfl_set(golden: Path, place: Path, kind: FaceType = FaceType.WHOLE, *, stills: bool = False) -> Path:
    """Our faces of the frames that the golden files came from: their landmarks, our cut."""
    from facewright.faces.align import face_from_frame
    from facewright.masks import dfl

    faces = []
    for ordinal, path in enumerate(sorted((golden / "data" / "faceset").glob("*.jpg"))):
        theirs = dfl.face_of(path.name, path.read_bytes())
        if theirs is None:
            continue
        number = int(Path(theirs.source_filename).stem)
        base = head(number - 1)
        source = dataclasses.replace(base.source, file=f"pics/{number:05d}.png") if stills else base.source
        faces.append(dataclasses.replace(
            base, face_id=f"{base.face_id[:-2]}_{ordinal}", source=source, points_px=theirs.points_px + np.float32(0.5),
            face_type=kind, face_from_frame=face_from_frame(theirs.points_px, 128, kind)))
    return make_set(place, faces)


def test_golden_files_give_their_polygons(golden):
    from facewright.masks import dfl

    expected = json.loads((golden / "data" / "faceset_expected.json").read_text())
    seen = 0
    for path in sorted((golden / "data" / "faceset").glob("*.jpg")):
        facts = expected[path.name]
        face = dfl.face_of(path.name, path.read_bytes())
        if not facts.get("polys"):
            assert face is None
            continue
        seen += 1
        assert [[kind, points.tolist()] for kind, points in face.labels.polygons] == [
            [p["type"], np.asarray(p["pts"], np.float32).tolist()] for p in facts["polys"]]
        # Drawn by OpenCV 4.8.1; 4.14 fills the edges of concave polygons differently, by at most 5 pixels here.
        assert abs(drawn(face.labels.polygons, facts["shape"][0]).sum() - facts["poly_mask_count"]) <= 6
        assert face.source_filename == facts["source_filename"]
    assert seen >= 3


@pytest.mark.parametrize("stills", [False, True])
@pytest.mark.parametrize("form", ["folder", "pak"])
def test_import_from_deepfacelab(golden, tmp_path, form, stills):
    place = _dfl_set(golden, tmp_path / "set", stills=stills)
    data = golden / "data"
    done = labels.take_in(place, data / "faceset" if form == "folder" else data / "faceset.pak")
    assert done["imported"] == done["found"] == len(Faceset.open(place))
    assert done["refused"] == done["not here"] == []
    for face in Faceset.open(place):
        area = drawn(face.polygons, face.side_px).mean()
        assert 0.02 < area < 0.9


def test_import_of_one_file_into_another_cut_and_none_for_other_heads(golden, tmp_path):
    place = _dfl_set(golden, tmp_path / "set", FaceType.HEAD)
    one = golden / "data" / "faceset" / "00002_0.jpg"
    assert labels.take_in(place, one)["imported"] == 1
    far = make_set(tmp_path / "far", [head(1)])
    assert labels.take_in(far, one)["not here"] == ["00002_0.jpg"]


def test_hostile_deepfacelab_files(golden, tmp_path, faceset):
    import os
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    plain = (golden / "data" / "faceset" / "00002_0.jpg").read_bytes()
    at = plain.index(b"\xff\xef")
    size = int.from_bytes(plain[at + 2 : at + 4], "big")

    def with_facts(facts) -> bytes:
        body = facts if isinstance(facts, bytes) else pickle.dumps(facts)
        return plain[:at] + b"\xff\xef" + (len(body) + 2).to_bytes(2, "big") + body + plain[at + 2 + size :]

    sound = {"face_type": "whole_face", "source_filename": "00001.png", "source_landmarks": np.eye(68, 2).tolist()}
    bad = tmp_path / "bad"
    bad.mkdir()
    cases = {
        "evil": with_facts(Evil()), "junk": with_facts(b"junk"), "list": with_facts([1]), "cut": plain[:300],
        "png": b"\x89PNG\r\n\x1a\n" + b"0" * 50, "empty": b"", "no data": plain[:at] + plain[at + 2 + size :],
        "lies": with_facts(sound | {"seg_ie_polys": {"polys": [{"type": 1, "pts": [[1, float("nan")]]}]}}),
        "type": with_facts(sound | {"face_type": "x", "seg_ie_polys": [(1, [[1, 2], [3, 4], [5, 6]])]}),
        "one point": with_facts(sound | {"source_landmarks": [[1, 1]] * 68, "seg_ie_polys": [(1, [[1, 2], [3, 4]])]}),
        "lost": with_facts({"seg_ie_polys": [(1, [[1, 2], [3, 4], [5, 6]])]}),
        "many": with_facts(sound | {"seg_ie_polys": [(1, [[1, 2]])] * 1_001}),
        "shape": with_facts(sound | {"seg_ie_polys": 5}),
    }
    for name, data in cases.items():
        (bad / f"{name}.jpg").write_bytes(data)
    with pytest.raises(FileRefused, match="Nothing in bad"):
        labels.take_in(faceset, bad)
    assert not (tmp_path / "pwned").exists()
    shutil.copy(golden / "data" / "faceset" / "00002_0.jpg", bad / "good.jpg")
    (bad / "a folder.jpg").mkdir()
    done = labels.take_in(faceset, bad)
    assert {name.removesuffix(".jpg") for name, _ in done["refused"]} == {*cases, "a folder"}
    assert all(why for _, why in done["refused"])
    pak = (golden / "data" / "faceset.pak").read_bytes()
    for number, data in enumerate((pak[:10], b"\2" + pak[1:], pak[:16] + pak[5000:], b"\1" + b"\0" * 7 + b"\xff" * 64)):
        path = tmp_path / f"{number}.pak"
        path.write_bytes(data)
        with pytest.raises(FileRefused):
            labels.take_in(faceset, path)
    assert stored(faceset) == {}

