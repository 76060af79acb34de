from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faceset.conftest import make_face
from tests.faceset.dfl_sets import OpenGate, facts, file_of, head, jpeg, make_set, stated_in
from tests.faceset.exchange.test_dfl_import import ODD, bring, by_name

from facewright.core.errors import DiskRefused, NothingFound
from facewright.core.pickling import dumps
from facewright.core.unpickle import read_pickle
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.faceset import record
from facewright.faceset.exchange import foreign
from facewright.faceset.exchange.dfl_export import ExportStep
from facewright.faceset.exchange.dfl_facts import ID_KEY, facts_of
from facewright.faceset.exchange.dfl_file import PAYLOAD_BYTES, opened, with_payload
from facewright.faceset.exchange.dfl_leaving import leaving
from facewright.faceset.exchange.dfl_pak import entry, members, piece, write
from facewright.faceset.exchange.dfl_records import NAME as SIDECAR
from facewright.faceset.exchange.dfl_records import read_records, with_people
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Header, Person
from facewright.faceset.settings import FacesExportSettings
from facewright.faceset.store import Writer
from facewright.jobs.run import run_job

PROGRAM = Path(__file__).parents[1].joinpath("dfl_sets.py")


def hand(faceset: Path, out: Path, *, pak: bool = False, person: str = "") -> dict:
    return run_job(ExportStep(str(faceset), str(out), FacesExportSettings(pak=pak), person), gate=OpenGate()).result


def files(out: Path) -> dict[str, bytes]:
    """What DeepFaceLab would find, from single files or a pak."""
    pak = out / "faceset.pak"
    if not pak.exists():
        return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*.jpg")}
    listed, why = members(pak)
    assert why == ""
    with pak.open("rb") as file:
        return {f"{m.person}/{m.name}".lstrip("/"): piece(file, m.name, m.start, m.size) for m in listed}


@pytest.mark.parametrize("pak", [False, True])
@pytest.mark.parametrize("what", ["faceset", "faceset.pak", "faceset_legacy"])
def test_goldens_go_there_and_back_with_nothing_lost(golden, tmp_path, what, pak):
    src = golden / "data" / what
    bring(src, tmp_path / "set")
    done = hand(tmp_path / "set", tmp_path / "out", pak=pak)
    assert (done["refused"], done["coded_anew"], done["smaller_masks"]) == ([], 0, 0)
    back, before = files(tmp_path / "out"), golden / "data" / ("faceset" if what != "faceset_legacy" else what)
    assert sorted(back) == sorted(p.name for p in before.iterdir())
    for name, data in back.items():
        old, new = opened((before / name).read_bytes()), opened(data)
        assert new.picture == old.picture, "the picture is the same, byte for byte"
        a, b = read_pickle(old.coded), read_pickle(new.coded)
        assert list(a) == list(b)
        assert all(foreign.same(a[key], b[key]) for key in a), name
        assert data[: data.index(b"\xff\xef")] == (before / name).read_bytes()[: data.index(b"\xff\xef")], "same place"


def test_a_pak_of_ours_is_the_pak_of_theirs(golden, tmp_path):
    bring(golden / "data" / "faceset.pak", tmp_path / "set")
    hand(tmp_path / "set", tmp_path / "out", pak=True)

    def listed(path: Path) -> dict:
        data = path.read_bytes()
        assert data[:8] == (1).to_bytes(8, "little")
        size = int.from_bytes(data[8:16], "little")
        table = np.frombuffer(data[16 + size : 16 + size + 8 * 13], "<u8")
        assert table[-1] == len(data), "the last offset counts from the file's beginning"
        return {one["filename"]: one for one in read_pickle(data[16 : 16 + size])}

    ours, theirs = listed(tmp_path / "out" / "faceset.pak"), listed(golden / "data" / "faceset.pak")
    assert ours.keys() == theirs.keys()
    for name, one in theirs.items():
        assert list(ours[name]) == list(one)
        assert all(foreign.same(ours[name][key], one[key]) for key in one), name


def test_what_was_changed_here_goes_out_changed_and_the_rest_as_it_was(golden, tmp_path):
    bring(golden / "data" / "faceset", tmp_path / "set")
    faceset = Faceset.open(tmp_path / "set")
    face = by_name(tmp_path / "set")["00011_0.jpg"]
    moved = face.points_px + np.float32(3)
    polygon = (1, np.array([[1, 2], [30, 4], [20, 40.5]], np.float32))
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    with Writer(tmp_path / "set") as writer:
        writer.write_face(faceset.file(face), dataclasses.replace(face, edited_px=moved, polygons=(polygon,)), mask)
    hand(tmp_path / "set", tmp_path / "out")
    old, new = stated_in(golden / "data" / "faceset" / "00011_0.jpg"), stated_in(tmp_path / "out" / "00011_0.jpg")
    assert np.array_equal(np.array(new["source_landmarks"], np.float32), moved)
    assert np.abs(np.array(new["landmarks"]) - np.array(old["landmarks"])).max() > 0.1
    assert new["eyebrows_expand_mod"] == 1.5
    assert foreign.same(new["image_to_face_mat"], old["image_to_face_mat"]), "the picture is still cut as it was"
    assert foreign.same(new["seg_ie_polys"], {"polys": [{"type": 1, "pts": polygon[1]}]})
    assert np.array_equal(cv2.imdecode(new["xseg_mask"], cv2.IMREAD_UNCHANGED), mask)
    for path in (tmp_path / "out").glob("*.jpg"):
        assert path.name == "00011_0.jpg" or foreign.same(
            stated_in(path), stated_in(golden / "data" / "faceset" / path.name))


def native(side: int = 64, quality: int = 95, **changes: object) -> bytes:
    face = make_face(11, side_px=side, face_from_frame=np.diag([0.4, 0.4, 1.0]), box_px=(10.4, 20, 30, 40.6), **changes)
    image = np.random.default_rng(1).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return record.encode_face(face, image, changes.pop("mask", None), quality)


def test_a_face_of_ours_as_theirs():
    data = native(polygons=((0, np.ones((3, 2), np.float32)),))
    out, anew, smaller = leaving(data, "00012_0.jpg")
    assert (anew, smaller) == (False, False)
    found = opened(out.data)
    assert found.opens_there
    assert found.picture == record.undress(data)[0]
    stated = read_pickle(found.coded)
    face = record.decode_face(data)
    assert stated["face_type"] == "whole_face"
    assert stated["source_filename"] == "00012.png", "films are numbered from 1 over there"
    assert foreign.same(stated["source_rect"], np.array([10, 20, 30, 41]))
    assert np.allclose(stated["landmarks"], face.points * 0.4)
    assert stated[ID_KEY] == face.face_id
    assert type(stated["landmarks"]) is list
    assert foreign.same(stated["image_to_face_mat"], np.diag([0.4, 0.4, 1.0])[:2])
    names = {argument for _, argument, _ in __import__("pickletools").genops(found.coded) if isinstance(argument, str)}
    assert "numpy.core.multiarray _reconstruct" in names, "old NumPy knows the names"
    assert pickle.loads(found.coded)["face_type"] == "whole_face"  # noqa: S301  (our own bytes)


def test_png_faces_are_coded_once_more_at_full_quality():
    data = native(quality=0)
    out, anew, _ = leaving(data, "a.jpg")
    assert anew
    image = cv2.imdecode(np.frombuffer(out.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(image.astype(int) - record.decode_image(data)).mean() < 2.5
    assert opened(out.data).opens_there


@pytest.mark.parametrize("name", ODD)
def test_jpegs_that_they_cannot_read_are_coded_once_more(golden, tmp_path, name):
    src = tmp_path / "s"
    src.mkdir()
    payload = dumps(facts(head(golden, 1), 64, "7.png"))
    picture = ODD[name]
    (src / name).write_bytes(picture[:2] + b"\xff\xef" + (len(payload) + 2).to_bytes(2, "big") + payload + picture[2:])
    bring(src, tmp_path / "set")
    done = hand(tmp_path / "set", tmp_path / "out")
    assert done["coded_anew"] == (name in {"restart.jpg", "extended.jpg", "fill.jpg"})
    (path,) = (tmp_path / "out").glob("*.jpg")
    assert path.name == Path(name).stem + ".jpg"
    assert opened(path.read_bytes()).opens_there
    assert foreign.same(stated_in(path), facts(head(golden, 1), 64, "7.png"))


def test_a_mask_that_is_too_large_becomes_smaller(golden):
    noise = np.random.default_rng(2).integers(0, 255, (512, 512), dtype=np.uint8)
    face = make_face(3, face_from_frame=np.diag([0.4, 0.4, 1.0]))
    data = record.encode_face(face, np.zeros((64, 64, 3), np.uint8), noise)
    out, _, _ = leaving(data, "a.jpg")
    assert len(opened(out.data).coded) <= PAYLOAD_BYTES
    mask = read_pickle(opened(out.data).coded)["xseg_mask"]
    assert mask.nbytes <= 50_000
    assert mask[:2].tolist() == [0xFF, 0xD8], "a JPEG, as theirs are then"
    many = tuple((1, np.full((200, 2), 3.5, np.float32)) for _ in range(30))
    out, _, smaller = leaving(record.encode_face(dataclasses.replace(face, polygons=many), np.zeros(
        (64, 64, 3), np.uint8), noise), "a.jpg")
    assert smaller
    assert len(opened(out.data).coded) <= PAYLOAD_BYTES
    with pytest.raises(ValueError, match="holds 65,533"):
        leaving(record.encode_face(dataclasses.replace(face, polygons=many * 2), np.zeros((64, 64, 3), np.uint8)), "a")


def test_a_whole_frame_goes_back_as_it_came_unless_the_face_was_edited(golden, tmp_path):
    src = tmp_path / "s"
    src.mkdir()
    points = head(golden, 2)
    stated = {"face_type": "mark_only", "landmarks": points.tolist(), "source_filename": "5.png",
              "source_rect": np.array([1, 2, 3, 4]), "source_landmarks": points.tolist()}
    frame = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes()
    (src / "5_0.jpg").write_bytes(file_of(frame, stated))
    bring(src, tmp_path / "set")
    hand(tmp_path / "set", tmp_path / "out")
    assert opened((tmp_path / "out" / "5_0.jpg").read_bytes()).picture == frame
    assert foreign.same(stated_in(tmp_path / "out" / "5_0.jpg"), stated)
    faceset = Faceset.open(tmp_path / "set")
    (face,) = faceset
    with Writer(tmp_path / "set") as writer:
        writer.write_face(faceset.file(face), dataclasses.replace(face, edited_px=face.points_px + 2), None)
    hand(tmp_path / "set", tmp_path / "again")
    new = stated_in(tmp_path / "again" / "5_0.jpg")
    assert new["face_type"] == "whole_face"
    assert opened((tmp_path / "again" / "5_0.jpg").read_bytes()).size_px == (face.side_px, face.side_px)


@pytest.mark.parametrize("pak", [False, True])
def test_people_and_films_have_names_of_their_own(golden, tmp_path, pak):
    faces = [make_face(4, person="Ada"), make_face(4, 1, person="Ben"),
             make_face(4, sha256="f" * 64, person="Ada", source=dataclasses.replace(
                 make_face(4).source, sha256="f" * 64, file="other.mp4"))]
    faces = [dataclasses.replace(f, consent="sha256:" + "2" * 64) for f in faces]
    with Writer(tmp_path / "set") as writer:
        for face in faces:
            writer.add_chunk(face.source.sha256, face.source.frame_index * 10 + int(face.face_id[-1]),
                             [(face.face_id + ".jpg", record.encode_face(face, np.zeros((64, 64, 3), np.uint8)))])
    done = hand(tmp_path / "set", tmp_path / "out", pak=pak)
    assert sorted(files(tmp_path / "out")) == ["Ada/film_00005_0.jpg", "Ada/other_00005_0.jpg", "Ben/film_00005_1.jpg"]
    assert done["consents"] == ["sha256:" + "2" * 64]
    lines = [json.loads(line) for line in (tmp_path / "out" / SIDECAR).read_text().splitlines()]
    assert lines[0]["consents"] == ["sha256:" + "2" * 64]
    assert {line["consent"] for line in lines[1:]} == {"sha256:" + "2" * 64}
    assert not list((tmp_path / "out").glob(".*")), "no folder that would be taken for a person"
    hand(tmp_path / "set", tmp_path / "ben", person="Ben")
    assert sorted(files(tmp_path / "ben")) == ["00005_1.jpg"]


@pytest.mark.parametrize("pak", [False, True])
def test_people_of_tracks_come_back_and_stay_who_they_are(tmp_path, pak):
    ada, ben = make_face(4, track="t1"), make_face(4, 1, track="t2")
    people = (Person("Ada", ("t1", "gone"), True), Person("person-1", ("t2",)))
    with Writer(tmp_path / "set") as writer:
        for place, face in enumerate((ada, ben)):
            writer.add_chunk(face.source.sha256, place, [
                (face.face_id + ".jpg", record.encode_face(face, np.zeros((64, 64, 3), np.uint8)))])
        writer.update_header(lambda head: dataclasses.replace(head, people=people, tracks=(("t1", "t3"),)))
    hand(tmp_path / "set", tmp_path / "out", pak=pak)
    bring(tmp_path / "out", tmp_path / "back")
    head = Faceset.open(tmp_path / "back").header
    assert (head.people, head.tracks) == (people, (("t1", "t3"),))
    hand(tmp_path / "set", tmp_path / "one", pak=pak, person="Ada")
    bring(tmp_path / "one", tmp_path / "alone")
    assert [person.name for person in Faceset.open(tmp_path / "alone").header.people] == ["Ada"]
    other = Header(people=(Person("person-1", ("t9",)), Person("Ada", ("t8",), True)))
    told = read_records(tmp_path / "out")
    joined = {person.name: person.tracks for person in with_people(other, told).people}
    assert joined == {"person-1": ("t9",), "Ada": ("t8", "t1", "gone")}, "person-1 here is not person-1 there"


def test_nothing_is_written_over(golden, tmp_path):
    bring(golden / "data" / "faceset", tmp_path / "set")
    hand(tmp_path / "set", tmp_path / "out")
    with pytest.raises(DiskRefused, match="exported before"):
        hand(tmp_path / "set", tmp_path / "out")
    with pytest.raises(DiskRefused, match="not an empty folder"):
        hand(tmp_path / "set", golden / "data")
    with pytest.raises(DiskRefused, match="not an empty folder"):
        hand(tmp_path / "set", tmp_path / "set")
    with pytest.raises(NothingFound):
        hand(tmp_path / "set", tmp_path / "x", person="Nobody")


def test_a_damaged_face_is_named_and_passed_over(golden, tmp_path):
    bring(golden / "data" / "faceset", tmp_path / "set")
    path = next(p for p in sorted((tmp_path / "set").rglob("*.jpg")))
    path.write_bytes(path.read_bytes()[:300])
    done = hand(tmp_path / "set", tmp_path / "out")
    assert done["exported"] == 11
    assert [row[0] for row in done["refused"]] == [path.relative_to(tmp_path / "set").as_posix()]


def run(*words: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[3]
    env = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(PROGRAM), *words], stdout=subprocess.PIPE, text=True, env=env)


@pytest.mark.parametrize("form", ["import", "export", "export pak"])
def test_killed_and_gone_on(golden, tmp_path, form):
    what, *rest = form.split()
    src = make_set(tmp_path / "s", golden, 200, side=32)
    bring(src, tmp_path / "whole")
    if what == "export":
        src = tmp_path / "whole"
        hand(src, tmp_path / "wanted", pak=bool(rest))
    for after in (1, 2):
        process = run(what, str(src), str(tmp_path / "out"), "pause=0.05", *rest)
        items = 0
        for line in process.stdout:
            items += line.strip() == "item"
            if items == after:
                time.sleep(0.02 * after)
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
        process.stdout.close()
    process = run(what, str(src), str(tmp_path / "out"), *rest)
    assert "done" in process.communicate()[0]
    wanted = tmp_path / ("whole/faces" if what == "import" else "wanted")
    got = tmp_path / ("out/faces" if what == "import" else "out")

    def content(place: Path) -> dict[str, bytes]:
        return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}

    assert content(got) == content(wanted)


@pytest.mark.parametrize("form", ["import", "export", "export pak"])
def test_a_full_disk_is_said_and_leaves_nothing_half(golden, tmp_path, form):
    what, *rest = form.split()
    src = tmp_path / "s"
    src.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 255, (256, 256, 3), dtype=np.uint8)
        picture = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        (src / f"{number}_0.jpg").write_bytes(file_of(picture, facts(head(golden, number), 256, f"{number}.png")))
    if what == "export":
        bring(src, tmp_path / "set")
        src = tmp_path / "set"
    process = run(what, str(src), str(tmp_path / "out"), "limit=80000", *rest)
    said = process.communicate()[0]
    assert process.returncode == 2
    assert "DiskRefused" in said
    assert not [p for p in tmp_path.rglob("*") if ".part" in p.name]
    assert not list((tmp_path / "out").rglob("*.jpg"))
    assert "done" in run(what, str(src), str(tmp_path / "out"), *rest).communicate()[0]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.binary(max_size=9) | st.lists(st.lists(st.floats(allow_nan=False), min_size=2, max_size=2), max_size=3)
    | st.builds(lambda n, kind: np.arange(n).astype(kind), st.integers(0, 5),
                st.sampled_from(["u1", "i4", "f4", "<f8", ">i2", "?", "U3"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    | st.tuples(inner, inner) | st.sets(st.integers(-(2**63), 2**63 - 1), max_size=3),
    max_leaves=8)


@given(values)
def test_values_keep_their_kind_through_pickle_and_json(value):
    assert foreign.same(read_pickle(dumps(value)), value)
    assert foreign.same(foreign.unpack(json.loads(json.dumps(foreign.pack(value)))), value)


@given(st.dictionaries(st.text(min_size=1, max_size=6), values, max_size=4), st.integers(0, 5))
def test_unknown_facts_go_there_and_back(more, number):
    """Through a file of theirs, one of ours, and back."""
    from facewright.faceset.exchange.dfl_faces import made, read
    from facewright.faceset.exchange.dfl_places import Entry

    golden = Path(__file__).resolve().parents[2] / "golden"
    stated = {key: value for key, value in more.items() if value is not None} | facts(head(golden, number), 64, "1.png")
    data = file_of(jpeg(64, number), stated)

    class Held(Entry):
        __slots__ = ()

        def read(self) -> bytes:
            return data

    answer = read(Held("1_0.jpg", "", Path(), frame_name="1.png"))
    ((face, ours, _),) = made([(answer, make_face(1).source, "a_0000001_0", "1_0.jpg", "", "")])
    out, _, _ = leaving(ours, "1_0.jpg")
    back = read_pickle(opened(out.data).coded)
    assert back.keys() == stated.keys()
    assert all(foreign.same(back[key], stated[key]) for key in stated)
    assert facts_of(face, None).keys() == back.keys()


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.text(max_size=4), st.text(max_size=4)), max_size=6))
def test_a_pak_gives_back_what_was_packed(tmp_path_factory, packed):
    path = tmp_path_factory.mktemp("pak") / "faceset.pak"
    one = facts(np.random.default_rng(0).normal(100, 20, (68, 2)), 64, "1.png")
    names = [(name.replace("/", "").replace("\\", "").replace("\0", ""), who.replace("/", "").replace(
        "\\", "").replace("\0", "")) for _, name, who in packed]
    with path.open("wb") as file:
        write(file, [entry(name, who, (64, 64), one) for name, who in names], [len(d) for d, _, _ in packed],
              (d for d, _, _ in packed))
    listed, why = members(path)
    assert why == ""
    assert [(m.name, m.person) for m in listed] == names
    with path.open("rb") as file:
        assert [piece(file, "x", m.start, m.size) for m in listed] == [d for d, _, _ in packed]


@given(st.integers(0, 63), st.binary(max_size=300))
def test_the_container_takes_any_data_once(seed, payload):
    picture = opened(jpeg(32, seed))
    data = with_payload(picture, payload)
    again = opened(with_payload(opened(data), payload + b"x"))
    assert again.coded == payload + b"x"
    assert again.picture == picture.picture
    assert opened(data + b"junk").coded == payload
    assert with_payload(opened(data + b"junk"), payload) == data


def test_kinds_of_crop_have_the_matrix_of_the_rule(golden):
    """A face that we cut ourselves is one that they would have cut alike."""
    points = head(golden, 4).astype(np.float64)
    for kind in FaceType:
        face = make_face(1, points_px=points.astype(np.float32), face_type=kind, side_px=128,
                         face_from_frame=face_from_frame(points, 128, kind))
        stated = facts_of(face, None)
        wanted = facts(points, 128, "", str(kind))["landmarks"]
        assert np.abs(np.array(stated["landmarks"]) - np.array(wanted)).max() < 0.01


@pytest.mark.parametrize(("name", "wanted"), [
    ("../../x.jpg", "_.._/x.jpg"), ("a/../../x.jpg", "a_.._/x.jpg"), ("CON.jpg", "_CON.jpg"), ("x.JPG", "x.jpg"),
    ("A:b?.jpg", "A_b_.jpg"), ("Ada/00001_0.jpg", "Ada/00001_0.jpg"), (".jpg", "_.jpg"), ("ünï.jpeg", "ünï.jpg"),
])
def test_names_stay_in_the_folder(tmp_path, name, wanted):
    face = make_face(1, foreign={"program": "DeepFaceLab", "name": name, "kept": {}, "absent": [], "of": {}})
    with Writer(tmp_path / "set") as writer:
        writer.add_chunk(face.source.sha256, 0, [(face.face_id + ".jpg", record.encode_face(
            face, np.zeros((64, 64, 3), np.uint8)))])
    hand(tmp_path / "set", tmp_path / "out")
    (found,) = files(tmp_path / "out")
    assert found == wanted
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.facewright", "out", "set"]


@pytest.mark.parametrize(("a", "b", "alike"), [
    ([[1.0, 2.0]], [[1.0, 2.0]], True), ([[1.0, 2.0]], [[1, 2.0]], False), ([[1.0]], [[True]], False),
    ([[0.0, 1.0]], [[-0.0, 1.0]], False), ([[float("nan")] * 2], [[float("nan")] * 2], True),
    ([1, "a"], [1, "a"], True), ([np.float64(1)], [1.0], False), ([np.arange(2)], [np.arange(2)], True),
    ([np.arange(2)], [np.arange(3)], False),
    ([[1.0, 2.0]], [np.array([1.0, 2.0])], False), ([np.zeros(2)], [np.zeros(2, np.int64)], False),
    ([1], (1,), False), ([{"a": np.ones(1)}], [{"a": np.ones(1)}], True),
])
def test_alike_means_in_kind_and_to_the_last_bit(a, b, alike):
    assert foreign.same(a, b) is alike
