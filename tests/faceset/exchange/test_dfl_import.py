from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faceset.dfl_sets import OpenGate, facts, file_of, head, jpeg, make_set

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound
from facewright.core.pickling import dumps
from facewright.core.step import Stop
from facewright.faces.face import Face, FaceType
from facewright.faceset import record
from facewright.faceset.exchange.dfl_file import opened
from facewright.faceset.exchange.dfl_import import ImportStep
from facewright.faceset.faceset import Faceset
from facewright.image.geometry import apply_affine
from facewright.jobs.run import Stopped, run_job


def bring(src: Path, out: Path, **more) -> dict:
    return run_job(ImportStep(str(src), str(out), **more), gate=OpenGate()).result


def by_name(out: Path) -> dict[str, Face]:
    return {face.foreign["name"]: face for face in Faceset.open(out)}


@pytest.fixture(scope="module")
def expected(golden: Path) -> dict:
    return json.loads((golden / "data" / "faceset_expected.json").read_text())


@pytest.mark.parametrize("what", ["faceset", "faceset.pak"])
def test_goldens_come_in_whole(golden, tmp_path, expected, what):
    out = tmp_path / "set"
    done = bring(golden / "data" / what, out)
    assert (done["imported"], done["refused"], done["faces"]) == (12, [], 12)
    faces, faceset = by_name(out), Faceset.open(out)
    assert sorted(faces) == sorted(expected)
    for name, face in faces.items():
        want, data = expected[name], faceset.file(face).read_bytes()
        theirs = opened((golden / "data" / "faceset" / name).read_bytes())
        assert record.undress(data)[0] == theirs.picture, "every byte of the picture is the old one"
        assert str(face.face_type) == want["face_type"]
        assert face.source.file.endswith("/" + want["source_filename"])
        inside = apply_affine(face.face_from_frame, face.points)
        assert np.abs(inside - np.array(want["landmarks"])).max() < 0.01
        assert np.abs(face.points - np.array(want["source_landmarks"])).max() < 0.01
        assert list(face.box_px) == want["source_rect"]
        assert face.mesh_px.shape == (468, 3)
        assert abs(face.yaw_deg) < 90
        assert face.sharpness > 0


def test_masks_and_polygons_of_the_goldens(golden, tmp_path, expected):
    from facewright.masks.label import drawn

    out = tmp_path / "set"
    bring(golden / "data" / "faceset", out)
    faceset, masks, drawings = Faceset.open(out), 0, 0
    for name, face in by_name(out).items():
        want = expected[name]
        mask = record.read_mask(faceset.file(face))
        assert (mask is None) == ("xseg" not in want or want["xseg"] is None)
        if mask is not None:
            masks += 1
            assert list(mask.shape) == list(want["xseg"]["shape"])[:2]
            if name != "00005_0.jpg":  # stored there as a JPEG: its decoder decides
                assert hashlib.sha256(mask.tobytes()).hexdigest() == want["xseg"]["sha256_u8"]
        if face.polygons:
            drawings += 1
            assert [[kind, points.tolist()] for kind, points in face.polygons] == [
                [p["type"], np.asarray(p["pts"], np.float32).tolist()] for p in want["polys"]]
            # OpenCV 4.14 fills the edges of concave polygons differently.
            assert abs(drawn(face.polygons, face.side_px).sum() - want["poly_mask_count"]) <= 6
    assert (masks, drawings) == (5, 5)


def test_pickles_of_every_age_say_the_same(golden, tmp_path, expected):
    out = tmp_path / "set"
    assert bring(golden / "data" / "faceset_legacy", out)["imported"] == 5
    want = expected["00001_0.jpg"]
    for face in Faceset.open(out):
        assert np.abs(face.points - np.array(want["source_landmarks"])).max() < 0.01
        assert Faceset.open(out).mask(face) is not None


def test_ids_are_the_same_each_time_and_the_command_may_be_repeated(golden, tmp_path):
    src = shutil.copytree(golden / "data" / "faceset", tmp_path / "data_src" / "aligned")
    bring(src, tmp_path / "a")
    bring(tmp_path / "data_src", tmp_path / "b")
    first = {name: face.face_id for name, face in by_name(tmp_path / "a").items()}
    assert first == {name: face.face_id for name, face in by_name(tmp_path / "b").items()}
    assert len(set(first.values())) == 12
    assert {face.source.file.partition("/")[0] for face in Faceset.open(tmp_path / "a")} == {"data_src"}
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.jpg")}
    again = bring(src, tmp_path / "a")
    assert again["already_there"] == ["data_src"]
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.jpg")} == files
    src.chmod(0o755)
    (src / "00012_0.jpg").write_bytes((src / "00011_0.jpg").read_bytes())
    with pytest.raises(Mismatch, match="already in"):
        bring(src, tmp_path / "a")


def test_people_keep_their_names(golden, tmp_path):
    src = tmp_path / "many"
    for name, start in (("Ada", 0), ("Ben", 5)):
        make_set(src / name, golden, 3)
        for path in (src / name).glob("*.jpg"):
            number = int(path.stem[:5]) + start
            path.write_bytes(file_of(jpeg(64, number), facts(head(golden, number), 64, f"{number:05d}.png")))
    done = bring(src, tmp_path / "set")
    assert done["people"] == ["Ada", "Ben"]
    assert {name.partition("/")[0]: face.person for name, face in by_name(tmp_path / "set").items()} == {
        "Ada": "Ada", "Ben": "Ben"}
    assert len({face.source.sha256 for face in Faceset.open(tmp_path / "set")}) == 2, "their frames are not the same"


def test_all_of_one_person_and_one_record(golden, tmp_path):
    bring(make_set(tmp_path / "s", golden, 2), tmp_path / "set", person="Ada", consent="sha256:" + "1" * 64)
    faceset = Faceset.open(tmp_path / "set")
    assert (faceset.header.person, faceset.consent) == ("Ada", "sha256:" + "1" * 64)
    assert {(face.person, face.consent) for face in faceset} == {("Ada", "sha256:" + "1" * 64)}


def test_saved_metadata_return_to_edited_pictures(golden, tmp_path):
    src = tmp_path / "aligned"
    src.mkdir()
    shutil.copy(golden / "data" / "meta.dat", src)
    for path in (golden / "data" / "faceset").glob("*.jpg"):
        image = cv2.imread(str(path))
        wide = path.name == "00001_0.jpg"
        image = cv2.resize(image, None, fx=2, fy=2) if wide else image
        cv2.imwrite(str(src / path.name if path.name != "00004_0.jpg" else src / "00004_0.png"), image)
    (src / "00011_0.jpg").unlink()
    done = bring(src, tmp_path / "set")
    assert (done["imported"], done["refused"]) == (11, [])
    assert done["counts"] == {"facts from meta.dat": 11, "resized since its data were saved": 1}
    assert "1 pictures" in done["notes"][0]
    bring(golden / "data" / "faceset", tmp_path / "whole")
    faces, whole = by_name(tmp_path / "set"), by_name(tmp_path / "whole")
    large = faces["00001_0.jpg"]
    assert large.side_px == 2 * whole["00001_0.jpg"].side_px
    assert np.allclose(large.face_from_frame[:2], 2 * whole["00001_0.jpg"].face_from_frame[:2])
    for name, face in faces.items():
        assert np.array_equal(face.points, whole[name.replace(".png", ".jpg")].points)


def test_own_data_count_before_saved_ones_unless_these_are_named(golden, tmp_path):
    src = tmp_path / "s"
    src.mkdir()
    shutil.copy(golden / "data" / "meta.dat", src)
    saved = facts(head(golden, 3), 96, "00077.png")
    (src / "00001_0.jpg").write_bytes(file_of(jpeg(96), saved))
    bring(src, tmp_path / "a")
    bring(src / "meta.dat", tmp_path / "b")
    assert next(iter(Faceset.open(tmp_path / "a"))).source.file == "s/00077.png"
    assert next(iter(Faceset.open(tmp_path / "b"))).source.file == "s/00001.png"


@pytest.mark.parametrize("word", ["full_face_no_align", "head_no_align", "Head", "half_face", "midfull_face"])
def test_every_face_type_has_its_place(golden, tmp_path, word):
    src = tmp_path / "s"
    src.mkdir()
    stated = facts(head(golden, 1), 64, "1.png", word.lower()) | {"face_type": word}
    del stated["image_to_face_mat"]
    (src / "1_0.jpg").write_bytes(file_of(jpeg(64), stated))
    bring(src, tmp_path / "set")
    (face,) = Faceset.open(tmp_path / "set")
    inside = apply_affine(face.face_from_frame, face.points)
    assert np.abs(inside - np.array(stated["landmarks"])).max() < 0.01
    assert face.foreign["absent"] == ["image_to_face_mat"]
    assert str(face.face_type) == word.lower().removesuffix("_no_align")


def test_a_whole_frame_becomes_a_crop_that_keeps_the_frame(golden, tmp_path):
    src = tmp_path / "s"
    src.mkdir()
    points = head(golden, 2)
    frame = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes()
    stated = {"face_type": "mark_only", "landmarks": points.tolist(), "source_landmarks": points.tolist(),
              "source_filename": "5.png", "source_rect": [1, 2, 3, 4]}
    (src / "5_0.jpg").write_bytes(file_of(frame, stated))
    bring(src, tmp_path / "set")
    (face,) = Faceset.open(tmp_path / "set")
    data = Faceset.open(tmp_path / "set").file(face).read_bytes()
    assert record.undress(data)[3] == (src / "5_0.jpg").read_bytes()
    assert record.decode_image(data).shape == (face.side_px, face.side_px, 3)
    assert face.face_type is FaceType.WHOLE
    changed = record.replace_metadata(data, face, np.zeros((8, 8), np.uint8))
    assert record.undress(changed)[3] == (src / "5_0.jpg").read_bytes(), "a new mask takes nothing away"


def extended(data: bytes) -> bytes:
    return data.replace(b"\xff\xc0", b"\xff\xc1", 1)


def without_app0(data: bytes) -> bytes:
    size = int.from_bytes(data[4:6], "big")
    return data[:2] + data[4 + size:] if data[2:4] == b"\xff\xe0" else data


ODD = {
    "restart.jpg": jpeg(64, 1, RST_INTERVAL=2), "extended.jpg": extended(jpeg(64, 2)),
    "progressive.jpg": jpeg(64, 3, PROGRESSIVE=1), "upper.JPG": jpeg(64, 4), "long.jpeg": jpeg(64, 5),
    "bare.jpg": without_app0(jpeg(64, 6)), "fill.jpg": b"\xff\xd8\xff" + jpeg(64, 7)[2:],
}


def test_jpegs_that_the_original_stumbles_over(golden, tmp_path):
    src = tmp_path / "s"
    src.mkdir()
    for number, (name, picture) in enumerate(ODD.items()):
        stated = facts(head(golden, number), 64, f"{number}.png")
        segment = b"\xff\xef" + struct.pack(">H", len(dumps(stated)) + 2) + dumps(stated)
        (src / name).write_bytes(picture[:2] + segment + picture[2:])
    done = bring(src, tmp_path / "set")
    assert done["refused"] == []
    assert sorted(by_name(tmp_path / "set")) == sorted(ODD)


def test_the_png_of_early_2020(golden, tmp_path):
    src = tmp_path / "s"
    src.mkdir()
    image = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    coded = cv2.imencode(".png", image)[1].tobytes()
    payload = pickle.dumps(facts(head(golden, 1), 64, "00009.png") | {"fanseg_mask_ver": 1}, 4)
    chunk = struct.pack(">I", len(payload)) + b"fcWp" + payload + struct.pack(">I", zlib.crc32(b"fcWp" + payload))
    (src / "00009_0.png").write_bytes(coded[:-12] + chunk + coded[-12:])
    assert bring(src, tmp_path / "set")["imported"] == 1
    (face,) = Faceset.open(tmp_path / "set")
    assert face.foreign["kept"]["fanseg_mask_ver"] == 1
    assert np.array_equal(Faceset.open(tmp_path / "set").image(face)[..., ::-1], image)


class Evil:
    def __reduce__(self):
        return os.system, ("touch HACKED",)


def hostile(golden: Path) -> dict[str, tuple[bytes, str]]:
    good, points = jpeg(64), head(golden, 1)
    base = facts(points, 64, "1.png")
    png = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    bomb = png[:16] + struct.pack(">II", 60_000, 60_000) + png[24:]

    def payload(data: bytes) -> bytes:
        return good[:2] + b"\xff\xef" + struct.pack(">H", len(data) + 2) + data + good[2:]

    return {
        "evil.jpg": (payload(pickle.dumps({**base, "x": Evil()})), "asks for"),
        "objects.jpg": (payload(pickle.dumps({**base, "x": np.array([{}], object)})), "not allowed"),
        "list.jpg": (payload(dumps([1, 2])), "no table"),
        "short.jpg": (file_of(good, base)[:-400], "cut short"),
        "half.jpg": (file_of(good, base)[:900], "longer than the file"),
        "wide.jpg": (file_of(cv2.imencode(".jpg", np.zeros((32, 64, 3), np.uint8))[1].tobytes(), base), "not a square"),
        "few.jpg": (file_of(good, base | {"source_landmarks": points[:67].tolist()}), "not 68 points"),
        "nan.jpg": (file_of(good, base | {"landmarks": (points * np.nan).tolist()}), "no places"),
        "point.jpg": (file_of(good, base | {"source_landmarks": np.ones((68, 2)).tolist(), "image_to_face_mat": None}),
                      "one point"),
        "type.jpg": (file_of(good, base | {"face_type": "profile"}), "not known"),
        "mask.jpg": (file_of(good, base | {"xseg_mask": np.arange(99, dtype=np.uint8)}), "neither a PNG nor a JPEG"),
        "bomb.jpg": (file_of(good, base | {"xseg_mask": np.frombuffer(bomb, np.uint8)}), "60000 x 60000"),
        "polygon.jpg": (file_of(good, base | {"seg_ie_polys": {"polys": [{"type": 1, "pts": np.ones(3)}]}}), "no list"),
        "nothing.jpg": (file_of(good, {"face_type": "head"}), "no landmarks"),
        "plain.jpg": (good, "no data of DeepFaceLab"), "empty.jpg": (b"", "no JPEG"),
    }


def test_hostile_files_are_refused_one_by_one(golden, tmp_path):
    src, wanted = make_set(tmp_path / "s", golden, 2), hostile(golden)
    for name, (data, _) in wanted.items():
        (src / name).write_bytes(data)
    (src / "00001_0_debug.jpg").write_bytes(jpeg(64))
    done = bring(src, tmp_path / "set")
    assert done["imported"] == 2
    assert done["counts"] == {"debug pictures left out": 1}
    refused = dict(done["refused"])
    assert sorted(refused) == sorted(wanted)
    for name, (_, why) in wanted.items():
        assert why in refused[name], name
    assert not Path("HACKED").exists()


def test_a_place_without_faces(golden, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingFound, match="no DeepFaceLab faces"):
        bring(tmp_path / "empty", tmp_path / "set")
    (tmp_path / "empty" / "x.jpg").write_bytes(b"no")
    with pytest.raises(FileRefused, match="Nothing in"):
        bring(tmp_path / "empty", tmp_path / "set")
    with pytest.raises(DiskRefused, match="not an empty folder"):
        bring(golden / "data" / "faceset", tmp_path / "empty")


def test_a_pak_is_read_without_its_list_and_with_a_relative_end(golden, tmp_path):
    data = bytearray((golden / "data" / "faceset.pak").read_bytes())
    size = int.from_bytes(data[8:16], "little")
    data[16:20] = b"\x80\x04Q."
    end = 16 + size + 8 * 12
    data[end : end + 8] = struct.pack("<Q", len(data) - end - 8)
    (tmp_path / "x.pak").write_bytes(data)
    done = bring(tmp_path / "x.pak", tmp_path / "set")
    assert done["imported"] == 12
    assert "list of names" in done["notes"][0]
    for broken in (data[:-1], data[: 16 + size], b"\x02" + data[1:]):
        (tmp_path / "y.pak").write_bytes(broken)
        with pytest.raises(FileRefused, match="not a sound"):
            bring(tmp_path / "y.pak", tmp_path / "other")


def test_stopped_and_gone_on(golden, tmp_path):
    src = make_set(tmp_path / "s", golden, 150)
    whole = bring(src, tmp_path / "whole")
    stop = Stop()

    def once(event):
        if event["kind"] == "item":
            stop.ask()

    with pytest.raises(Stopped):
        run_job(ImportStep(str(src), str(tmp_path / "set")), gate=OpenGate(), on_event=once, stop=stop)
    assert len(Faceset.open(tmp_path / "set")) == 64
    done = bring(src, tmp_path / "set")
    assert done["imported"] == whole["imported"] == 150
    assert {p.name: p.read_bytes() for p in (tmp_path / "set" / "faces").rglob("*.jpg")} == {
        p.name: p.read_bytes() for p in (tmp_path / "whole" / "faces").rglob("*.jpg")}


def test_the_index_that_was_told_is_the_one_that_reads(golden, tmp_path):
    bring(golden / "data" / "faceset", tmp_path / "set")
    told = Faceset.open(tmp_path / "set").index.select("SELECT * FROM faces ORDER BY path")
    for path in (tmp_path / "set").glob("index.sqlite*"):
        path.unlink()
    assert Faceset.open(tmp_path / "set").index.select("SELECT * FROM faces ORDER BY path") == told
    assert len(told) == 12


@given(st.data())
def test_broken_files_are_refused_and_nothing_else(data):
    """Whatever bytes are changed or cut off: a face, or a reason."""
    from facewright.core.errors import FacewrightError
    from facewright.faceset.exchange.dfl_faces import read
    from facewright.faceset.exchange.dfl_places import Entry

    golden = Path(__file__).resolve().parents[2] / "golden" / "data" / "faceset"
    name = data.draw(st.sampled_from(["00002_0.jpg", "00002_1.jpg", "00009_0.jpg"]))
    broken = bytearray((golden / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, min(len(broken), 6_000) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del broken[data.draw(st.integers(0, len(broken))):]

    class Held(Entry):
        __slots__ = ()

        def read(self) -> bytes:
            return bytes(broken)

    try:
        answer = read(Held("x.jpg", "", Path(), frame_name="00002.png"))
    except (FacewrightError, ValueError, TypeError, LookupError, AttributeError, cv2.error):
        return
    assert np.isfinite(answer.facts.points_px).all()
    assert np.isfinite(answer.facts.face_from_frame).all()
