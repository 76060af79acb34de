from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import stat
import struct
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faceset.conftest import SHA, make_face, same_face
from tests.faceset.sets import ONE, contents, files_of, make
from tests.steps import run

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.places import cache_folder
from facewright.faceset import pack_format, record
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import refuse_packed
from facewright.faceset.moving import pack as packing
from facewright.faceset.moving import salvage
from facewright.faceset.moving.copying import CopyStep
from facewright.faceset.moving.integrity import check
from facewright.faceset.moving.pack import PackStep
from facewright.faceset.moving.unpack import UnpackStep
from facewright.faceset.pack_format import Member
from facewright.faceset.packed import is_packed
from facewright.faceset.settings import PackSettings, UnpackSettings
from facewright.faceset.store import Writer, is_faceset


@pytest.fixture
def folder(tmp_path) -> Path:
    return make(tmp_path / "Gesichter ünï")


@pytest.fixture
def file(folder, tmp_path) -> Path:
    run(PackStep(str(folder), str(tmp_path / "set.faces")))
    return tmp_path / "set.faces"


def embed(pictures, faces):
    found = np.array([[f.source.frame_index + 1, 2.0, -1.5] for f in faces], np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_a_plain_zip_with_all_that_is_the_users_and_no_vectors(folder, tmp_path):
    vectors = Faceset.open(folder).vectors(embed=embed, net_sha256="ab" * 32)
    before = {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and "index" not in p.name}
    done = run(PackStep(str(folder), str(tmp_path / "new" / "set.faces")))
    file = Path(done["file"])
    assert (done["faces"], done["left out"], done["bytes"]) == (12, [], file.stat().st_size)
    assert {p: p.read_bytes() for p in before} == before
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        inside = {info.filename: archive.read(info) for info in archive.infolist()}
    assert {name: data for name, data in inside.items() if name not in ("pack.json", "index.jsonl")} == files_of(folder)
    lines = [json.loads(line.partition(b" ")[2]) for line in inside["index.jsonl"].splitlines()]
    whole = file.read_bytes()
    for line in lines:
        assert whole[line["at"] : line["at"] + line["bytes"]] == inside[line["path"]]
    assert {line["path"] for line in lines} == inside.keys() - {"index.jsonl"}
    assert vectors.matrix[3].tobytes() not in whole
    assert not list(file.parent.glob("*.part"))


def test_read_like_the_folder(folder, file):
    a, b = Faceset.open(folder), Faceset.open(file)
    assert is_packed(file)
    assert is_faceset(file)
    assert not is_packed(folder / "faceset.json")
    assert (len(a), len(list(b))) == (12, 12)
    assert all(same_face(x, y) for x, y in zip(a, b))
    assert contents(a) == contents(b)
    assert a.header == b.header
    assert b.consent == ONE
    for face in a:
        assert np.array_equal(a.image(face), b.image(face))
        assert np.array_equal(a.mask(face), b.mask(face)) if face.mask_by else b.mask(face.face_id) is None
    row = next(b.rows(yaw_deg=(-90, 5)))
    assert same_face(b.load(row)[0], b.face(row.face_id))
    assert [f.face_id for f in a.where(yaw_deg=(0, 9))] == [f.face_id for f in b.where(yaw_deg=(0, 9))]
    assert list(a.by_frame(SHA, 1, 8)) == list(b.by_frame(SHA, 1, 8))
    ours, theirs = a.info().as_dict(), b.info().as_dict()
    assert {k: v for k, v in ours.items() if k != "path"} == {k: v for k, v in theirs.items() if k != "path"}
    assert len(pickle.loads(pickle.dumps(b))) == 12  # noqa: S301  (crosses to a worker process)
    again = b.vectors(embed=embed, net_sha256="ab" * 32)
    assert np.array_equal(again.matrix, a.vectors(embed=embed, net_sha256="ab" * 32).matrix)
    assert sorted(p.name for p in file.parent.iterdir()) == [folder.name, "set.faces"], "its index lies in the cache"
    assert any(again.matrix[3].tobytes() in p.read_bytes() for p in cache_folder().glob("faceset-*"))
    assert b.forget_identity() == 12


def test_what_the_cache_knows_goes_with_the_file(file, tmp_path):
    os.link(file, tmp_path / "other.faces")
    for place in (file, tmp_path / "other.faces"):
        Faceset.open(place).vectors(embed=embed, net_sha256="ab" * 32)
    assert len(list(cache_folder().glob("faceset-*.sqlite"))) == 2
    needle = Faceset.open(file).vectors(embed=embed, net_sha256="ab" * 32).matrix[3].tobytes()
    (tmp_path / "other.faces").rename(tmp_path / "elsewhere.faces")
    Faceset.open(file)
    assert len(list(cache_folder().glob("faceset-*.sqlite"))) == 1
    file.rename(tmp_path / "gone")
    Faceset.open(tmp_path / "elsewhere.faces")
    assert not any(needle in p.read_bytes() for p in cache_folder().rglob("*") if p.is_file())


def test_what_changes_a_set_says_to_unpack_it_first(folder, file):
    faceset = Faceset.open(file)
    for change in (lambda: faceset.set_person("Ada"), lambda: faceset.set_consent(ONE, "Ada"),
                   lambda: Writer(file).__enter__(), lambda: faceset.file(next(iter(faceset))),
                   lambda: run(CopyStep([str(folder)], str(file))), lambda: run(PackStep(str(file), "x.faces"))):
        with pytest.raises(Mismatch, match="packed") as error:
            change()
        assert "facewright faces unpack" in error.value.remedy


def test_a_pack_that_was_replaced_is_read_anew(folder, file, tmp_path):
    assert len(Faceset.open(file)) == 12
    second = make(tmp_path / "more", 15)
    run(PackStep(str(second), str(tmp_path / "second.faces")))
    os.replace(tmp_path / "second.faces", file)
    faceset = Faceset.open(file)
    assert contents(faceset) == contents(Faceset.open(second))


@pytest.mark.parametrize("folders", ["person", "film"])
def test_folders_of_people_or_films(folder, tmp_path, folders):
    faceset = Faceset.open(folder)
    done = run(PackStep(str(folder), str(tmp_path / "by.zip"), PackSettings(folders=folders)))
    packed = Faceset.open(done["file"])
    assert sorted(map(len, contents(packed).values())) == sorted(map(len, contents(faceset).values()))
    wanted = {"person": {"Ada", "nobody"}, "film": {"film"}}[folders]
    assert {row.path.split("/")[1] for row in packed.rows()} == wanted
    assert {row.path.split("/")[2] for row in packed.rows()} == {f"{f.face_id}.jpg" for f in faceset}


def test_names_that_other_systems_do_not_take(tmp_path, picture):
    place = tmp_path / "set"
    names = ["a:b.jpg", "A.jpg", "a.JPG", "CON.jpg", "trail .jpg", "x/e\u0301.jpg", "x/\u00e9.jpg"]
    with Writer(place) as writer:
        writer.add_files((f"faces/{name}", record.encode_face(make_face(i), picture)) for i, name in enumerate(names))
    run(PackStep(str(place), str(tmp_path / "set.faces")))
    packed = Faceset.open(tmp_path / "set.faces")
    assert [f.face_id for f in packed] == [make_face(i).face_id for i in range(len(names))]
    assert all(pack_format.safe_name(row.path) for row in packed.rows())
    assert len({row.path.casefold() for row in packed.rows()}) == len(names)
    run(UnpackStep(str(tmp_path / "set.faces"), str(tmp_path / "back")))
    assert sorted(contents(Faceset.open(tmp_path / "back")).values()) == sorted(contents(Faceset.open(place)).values())


def test_there_and_back(folder, file, tmp_path):
    done = run(UnpackStep(str(file), str(tmp_path / "back")))
    assert (done["faces"], done["damaged"]) == (12, [])
    assert files_of(tmp_path / "back") == files_of(folder)
    again = run(UnpackStep(str(file), str(tmp_path / "back")))
    assert again["faces"] == 12
    with Writer(tmp_path / "back") as writer:
        faceset = Faceset.open(tmp_path / "back")
        face = next(iter(faceset))
        writer.write_face(faceset.file(face), make_face(0, sha256=face.source.sha256, person="edited"), None)
    with pytest.raises(DiskRefused, match="another state"):
        run(UnpackStep(str(file), str(tmp_path / "back")))
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "x.jpg").write_bytes(b"x")
    with pytest.raises(DiskRefused, match="not an empty"):
        UnpackStep(str(file), str(tmp_path / "holiday")).plan()
    with pytest.raises(Mismatch, match="packed faceset"):
        UnpackStep(str(file), str(file)).plan()


def test_places_and_names_that_are_refused(folder, file, tmp_path):
    for name, kind in ((folder / "in.faces", Mismatch), (tmp_path / "set.jpg", SettingRefused)):
        with pytest.raises(kind):
            PackStep(str(folder), str(name)).plan()
    assert run(PackStep(str(folder), str(file)))["already there"], "the same faces are packed there already"
    Faceset.open(folder).set_person("somebody else")
    with pytest.raises(FileRefused, match="exists already"):
        PackStep(str(folder), str(file)).plan()
    with Writer(tmp_path / "empty") as writer:
        writer.update_header(lambda head: Faceset.open(folder).header)
    with pytest.raises(NothingFound):
        PackStep(str(tmp_path / "empty"), str(tmp_path / "empty.faces")).plan()


def test_damaged_faces_are_left_out_and_named(folder, tmp_path):
    bad = next(Faceset.open(folder).rows()).path
    (folder / bad).write_bytes(b"\xff\xd8 broken")
    done = run(PackStep(str(folder), str(tmp_path / "set.faces")))
    assert (done["faces"], [path for path, _ in done["left out"]]) == (11, [bad])


def hostile(place: Path, *, extra: list[tuple[zipfile.ZipInfo, bytes]], method: int = 0, note: bool = True) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        if note:
            archive.writestr("pack.json", json.dumps({"format": pack_format.FORMAT}))
        for info, data in extra:
            info.compress_type = method
            archive.writestr(info, data)
    return place


def named(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info


NAMES = ["../../evil.jpg", "faces/../../evil.jpg", "/etc/evil.jpg", "faces/..\\..\\evil.jpg", "C:/faces/evil.jpg",
         "faces/C:evil.jpg", "faces//evil.jpg", "faces/\x01.jpg", "faces/run.py", "startup.jpg", "faces/NUL.jpg",
         ".facewright/jobs/x.json", "index.sqlite", "orders/../../x.json", "faces/" + "x" * 2000 + ".jpg"]


@pytest.mark.parametrize("name", NAMES)
def test_zip_slip_and_strange_names(tmp_path, name):
    place = hostile(tmp_path / "evil.faces", extra=[(named(name), b"x")])
    for act in (lambda: Faceset.open(place), lambda: run(UnpackStep(str(place), str(tmp_path / "out" / "set")))):
        with pytest.raises(FileRefused):
            act()
    settings = UnpackSettings(salvage=True)
    with contextlib.suppress(FileRefused, NothingFound):
        run(UnpackStep(str(place), str(tmp_path / "out" / "set"), settings))
    inside = {p.name for p in tmp_path.rglob("*") if p.is_file() and ".facewright" not in p.parts}
    assert inside <= {"evil.faces", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}


def test_bombs_links_doubles_and_lies(folder, tmp_path):
    good = record.encode_face(make_face(0), np.zeros((64, 64, 3), np.uint8))
    face = lambda: named("faces/a.jpg")  # noqa: E731
    cases = {
        "bomb": lambda p: hostile(p, extra=[(face(), bytes(50 << 20))], method=zipfile.ZIP_DEFLATED),
        "link": lambda p: hostile(p, extra=[(named("faces/a.jpg", stat.S_IFLNK | 0o777), b"/etc/passwd")]),
        "no pack": lambda p: hostile(p, extra=[(face(), good)], note=False),
        "large header": lambda p: hostile(p, extra=[(named("faceset.json"), bytes(65 << 20))]),
    }
    for name, build in cases.items():
        place = build(tmp_path / f"{name}.faces")
        with pytest.raises(FileRefused):
            run(UnpackStep(str(place), str(tmp_path / "out")))
        assert not (tmp_path / "out" / "faces").exists(), name
    twice = tmp_path / "twice.faces"
    with pytest.warns(UserWarning, match="Duplicate"):
        hostile(twice, extra=[(face(), good), (face(), good)])
    with pytest.raises(FileRefused, match="no sound"):
        Faceset.open(twice)


@pytest.mark.parametrize("change", ["encrypted", "overlap", "longer", "start"])
def test_directories_that_lie(file, change):
    data = bytearray(file.read_bytes())
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    if change == "encrypted":
        data[second + 8] |= 1
    elif change == "overlap":
        data[second + 42 : second + 46] = data[first + 42 : first + 46]
    elif change == "longer":
        data[second + 20 : second + 28] = struct.pack("<LL", 100 << 20, 100 << 20)
    else:
        data[-6:-2] = struct.pack("<L", first + 46)
    file.write_bytes(data)
    with pytest.raises(FileRefused) as error:
        Faceset.open(file)
    assert "--salvage" in error.value.remedy


def test_every_flipped_byte_of_a_face_is_seen(folder, file, tmp_path):
    rows = list(Faceset.open(file).rows())
    member = Faceset.open(file).files.members[rows[4].path]
    data = bytearray(file.read_bytes())
    data[member.data_at + member.size - 40] ^= 4
    file.write_bytes(data)
    faceset = Faceset.open(file)
    with pytest.raises(FileRefused, match="damaged"):
        faceset.image(rows[4])
    assert np.array_equal(faceset.image(rows[5]), Faceset.open(folder).image(rows[5].face_id))
    assert [path for path, _ in check(file)["damaged"]] == [rows[4].path]
    with pytest.raises(FileRefused, match="damaged") as error:
        run(UnpackStep(str(file), str(tmp_path / "out")))
    assert "--salvage" in error.value.remedy
    done = run(UnpackStep(str(file), str(tmp_path / "out"), UnpackSettings(salvage=True)))
    assert done["faces"] == 11
    assert [path for path, _ in done["damaged"]] == [rows[4].path]
    assert files_of(tmp_path / "out").items() <= files_of(folder).items()


def test_check_of_a_folder(folder):
    whole = check(folder)
    assert whole["damaged"] == []
    rows = list(Faceset.open(folder).rows())
    path = folder / rows[2].path
    facts = path.stat()
    path.write_bytes(path.read_bytes()[:-60] + b"\0" * 60)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (folder / rows[3].path).write_bytes(b"\xff\xd8 nothing")
    found = check(folder)
    assert [name for name, _ in found["damaged"]] == [rows[2].path, rows[3].path]
    assert found["looked_at"] == whole["looked_at"], "a damaged one was looked at as well"


@pytest.mark.parametrize("share", [0.2, 0.7, 0.999])
def test_what_was_cut_off_costs_only_what_lay_there(folder, file, tmp_path, share):
    before, members = file.read_bytes(), dict(Faceset.open(file).files.members)
    keep = int(len(before) * share)
    file.write_bytes(before[:keep])
    with pytest.raises(FileRefused):
        Faceset.open(file)
    done = run(UnpackStep(str(file), str(tmp_path / "out"), UnpackSettings(salvage=True)))
    wanted = {m.name for m in members.values() if m.end <= keep and pack_format.is_face(m.name)}
    assert {row.path for row in Faceset.open(tmp_path / "out").rows()} == wanted
    assert done["faces"] == len(wanted)


def test_saved_faces_do_not_slip_under_the_record_of_another_set(folder, file, tmp_path):
    data = bytearray(file.read_bytes())
    data[data.index(b"facewright.faceset/1")] ^= 1
    file.write_bytes(data)
    with pytest.raises(Mismatch, match="come under the record"):
        run(UnpackStep(str(file), str(make(tmp_path / "mine", 1)), UnpackSettings(salvage=True)))
    done = run(UnpackStep(str(file), str(tmp_path / "out"), UnpackSettings(salvage=True)))
    assert [name for name, _ in done["damaged"]] == ["faceset.json"]
    assert {row.consent for row in Faceset.open(tmp_path / "out").rows()} == {""}


def test_without_any_directory(folder, file, tmp_path):
    data = file.read_bytes()
    at = data.index(b"PK\x01\x02")
    file.write_bytes(data[:at] + bytes(len(data) - at))
    done = run(UnpackStep(str(file), str(tmp_path / "out"), UnpackSettings(salvage=True)))
    assert done["damaged"] == []
    assert files_of(tmp_path / "out") == files_of(folder)


_CLEAN: dict[str, object] = {}


@given(st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255), st.sampled_from([1, 1, 8, 700])), min_size=1,
                max_size=4))
def test_every_face_that_is_whole_comes_back(tmp_path_factory, hits):
    """Bytes are hit anywhere. A face is lost only where its content was hit, or both its header and its index line."""
    if not _CLEAN:
        place = tmp_path_factory.mktemp("clean")
        run(PackStep(str(make(place / "set")), str(place / "set.faces")))
        _CLEAN["data"] = (place / "set.faces").read_bytes()
        _CLEAN["members"] = list(Faceset.open(place / "set.faces").files.members.values())
    clean, members = _CLEAN["data"], _CLEAN["members"]
    data = bytearray(clean)
    for share, value, length in hits:
        at = int(share * len(data))
        data[at : at + length] = bytes([value]) * len(data[at : at + length])
    place = tmp_path_factory.mktemp("hit") / "set.faces"
    place.write_bytes(data)
    torn = salvage.Torn(place)
    try:
        found = salvage.search(torn)
    except FileRefused:
        found = salvage.Found()
    torn.close()
    index = members[-1]
    for member in members[:-1]:
        whole = data[member.data_at : member.end] == clean[member.data_at : member.end]
        header = data[member.at : member.data_at] == clean[member.at : member.data_at]
        line = next(x for x in clean[index.data_at : index.end].splitlines(True) if f'"{member.name}"'.encode() in x)
        if whole and (header or line in data):
            assert found.whole.get(member.name) == (member.data_at, member.size), (member, found)
        elif not whole:
            assert member.name not in found.whole
            assert member.name in found.damaged or line not in data or not header


def test_a_disk_that_gives_nothing_back_in_places(file, monkeypatch, tmp_path, folder):
    member = list(Faceset.open(file).files.members.values())[8]
    real = salvage.Torn.read

    class Bad:
        def __init__(self, opened):
            self.opened = opened

        def __getattr__(self, name):
            return getattr(self.opened, name)

        def read(self, size):
            at = self.opened.tell()
            if at <= member.data_at + 300 < at + size:
                raise OSError(5, "Input/output error")
            return self.opened.read(size)

    init = salvage.Torn.__init__

    def opening(self, path):
        init(self, path)
        self._file = Bad(self._file)

    monkeypatch.setattr(salvage.Torn, "__init__", opening)
    done = run(UnpackStep(str(file), str(tmp_path / "out"), UnpackSettings(salvage=True)))
    assert member.name in dict(done["damaged"])
    assert done["faces"] >= 10, "a block of the disk is 4 KiB: its neighbours may be hit, no more"
    assert real is salvage.Torn.read


def test_a_resumed_pack_is_the_same_file(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "BATCH_FACES", 4)
    run(PackStep(str(folder), str(tmp_path / "whole.faces")))
    records: dict[str, object] = {}
    run(PackStep(str(folder), str(tmp_path / "b.faces")), records, stop_after=2)
    assert not (tmp_path / "b.faces").exists()
    part = tmp_path / "b.faces.part"
    data = bytearray(part.read_bytes())
    data[60] ^= 1  # the first batch did not reach the disk as it was
    part.write_bytes(data + b"more than was noted")
    run(PackStep(str(folder), str(tmp_path / "b.faces")), records)
    assert (tmp_path / "b.faces").read_bytes() == (tmp_path / "whole.faces").read_bytes()


def test_a_full_disk_leaves_no_file(folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DiskRefused, match="full"):
            run(PackStep(str(folder), str(tmp_path / "set.faces")))
    assert not list(tmp_path.glob("set.faces*")), "neither the file nor half of it"
    monkeypatch.setattr(packing, "free_bytes", lambda place: 1000)
    with pytest.raises(DiskRefused, match="room"):
        PackStep(str(folder), str(tmp_path / "set.faces")).plan()


def test_zip64_places_and_counts(tmp_path):
    """A directory of more than 65,535 members, one of them beyond 4 GiB (a hole in the file)."""
    members = list(pack_format.layout((f"faces/{i}.jpg", 1) for i in range(66_000)))
    far = Member("faces/far.jpg", (4 << 30) + 77, 5, 0x3610A686)
    place = tmp_path / "large.zip"
    pack_format.put(place, far.at, [pack_format.local_header(far), b"hello"])
    pack_format.put(place, far.end, pack_format.directory([*members, far], far.end), end=True)
    with zipfile.ZipFile(place) as archive:
        assert len(archive.filelist) == 66_001
        assert archive.filelist[-1].header_offset == far.at
        assert archive.read("faces/far.jpg") == b"hello"


def test_a_stopped_job_goes_on_in_another_process(folder, tmp_path, monkeypatch):
    """As `jobs resume` does: rebuilt from its job.json."""
    from facewright import api
    from facewright.core.step import Stop
    from facewright.jobs.run import Stopped

    monkeypatch.setattr(packing, "BATCH_FACES", 4)
    stop = Stop()
    stop.ask()
    step = PackStep(str(folder), str(tmp_path / "set.faces"), PackSettings(folders="person"))
    with pytest.raises(Stopped) as end:
        api.steering.perform(step, background=False, on_event=lambda event: None, stop=stop)
    assert not (tmp_path / "set.faces").exists()
    done = api.jobs_resume(end.value.summary.job.id, on_event=lambda event: None)
    assert (done["faces"], done["fresh"]) == (12, done["items"] - 1)
    assert len(Faceset.open(tmp_path / "set.faces")) == 12


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_killed_while_packing_and_unpacking(tmp_path):
    folder = make(tmp_path / "set", 400)
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from facewright import api
        print("go", flush=True)
        verb, a, b = sys.argv[1:]
        getattr(api, verb)(Path(a), Path(b), settings={})
    """)
    rng = np.random.default_rng(7)
    file, out = tmp_path / "set.faces", tmp_path / "out"

    def killed(verb: str, source: Path, target: Path) -> int:
        words = [sys.executable, "-c", code, verb, str(source), str(target)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as p:
            p.stdout.readline()
            time.sleep(float(rng.uniform(0.2, 0.6)))
            p.send_signal(signal.SIGKILL)
        return p.returncode

    for _ in range(2):
        killed("faces_pack", folder, file)
        assert not file.exists() or contents(Faceset.open(file)) == contents(Faceset.open(folder))
    subprocess.run([sys.executable, "-c", code, "faces_pack", str(folder), str(file)], check=True)
    assert contents(Faceset.open(file)) == contents(Faceset.open(folder))
    killed("faces_unpack", file, out)
    assert not is_faceset(out) or not Faceset.open(out).damaged()
    subprocess.run([sys.executable, "-c", code, "faces_unpack", str(file), str(out)], check=True)
    assert files_of(out) == files_of(folder)
    assert not list(tmp_path.rglob("*.part"))


def test_what_is_said_of_a_pack_can_be_run_as_it_stands(tmp_path, picture):
    file = tmp_path / "my faces.faces"
    file.write_bytes(bytes(4096))
    with pytest.raises(FileRefused) as caught:
        Faceset.open(file)
    assert "no sound packed faceset" in caught.value.what
    assert f"unpack --salvage '{file}' OUT" in caught.value.remedy
    sound = tmp_path / "my sound faces.faces"
    run(PackStep(str(make(tmp_path / "set")), str(sound)))
    with pytest.raises(Mismatch) as locked:
        refuse_packed(sound)
    assert f"unpack '{sound}' FACESET" in locked.value.remedy
