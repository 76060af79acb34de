from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from facewright.core.errors import DiskRefused, FileRefused, Mismatch, NothingFound, SettingRefused
from facewright.core.registry import Plug
from facewright.core.step import Work
from facewright.faces.align import face_from_frame
from facewright.faces.face import FaceType
from facewright.faceset import cut, header, record
from facewright.faceset.cut import cut_crop, fixed_point, sharpness
from facewright.faceset.extraction.extract import ExtractStep
from facewright.faceset.extraction.looking import NO_FACE, ONLY_LEFT_OUT, estimate_side
from facewright.faceset.faceset import Faceset
from facewright.faceset.settings import OBSTRUCTIONS, ExtractSettings
from facewright.faceset.store import Writer
from facewright.image.geometry import apply_affine

PROGRAM = Path(__file__).parents[1].joinpath("fake_finder.py")
FRAMES = 150
SMALL = {"resolution": 128}


def load_fake():
    spec = importlib.util.spec_from_file_location("fake_finder", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_finder"] = module
    spec.loader.exec_module(module)
    return module


fake = load_fake()


def make_film(path: Path, frames: int = FRAMES, rate: int = 25, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.integers(0, 256, (15, 20, 3)).astype(np.uint8), (200, 150), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 200, 150, "yuv420p"
        stream.time_base = Fraction(1, rate)
        for n in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(ground, n, axis=1), format="rgb24")
            frame.pts = n
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


@pytest.fixture(autouse=True, scope="module")
def _no_identity_net():
    """People are then told apart by place and time alone, whatever nets this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEWRIGHT_NO_IDENTITY", "1")
        yield


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "Interview ünï.mp4")


def run(step: ExtractStep, only=None, work: Work | None = None) -> tuple[dict, dict]:
    """(records, summary) without a job."""
    records = {}
    todo = [item for item in step.plan() if only is None or only(item)]
    for item, result in step.stream(todo, work or Work()):
        records[item.id] = step.commit(item, result)
    return records, step.finish(records, Work())


def tree(folder: Path) -> dict[str, str]:
    """Name -> digest of everything but the index (a cache) and the jobs."""
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith("index.sqlite")
            and ".facewright" not in p.parts}


def step_for(film: Path, folder: Path, finder=fake.FakeFinder, **settings) -> ExtractStep:
    return ExtractStep([str(film)], str(folder), ExtractSettings(**{**SMALL, **settings}), make_finder=finder)


@pytest.fixture(scope="module")
def undisturbed(film, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "faces"
    run(step_for(film, folder))
    return folder


def test_every_face_is_kept_with_its_facts(film, tmp_path):
    step = ExtractStep([str(film)], str(tmp_path / "set"), ExtractSettings(**SMALL), "Ada", "sha256:" + "0" * 64,
                       make_finder=fake.FakeFinder)
    _, summary = run(step)
    wanted = {i: len(fake.FakeFinder().faces(i)) for i in range(FRAMES)}
    faceset = Faceset.open(tmp_path / "set")
    assert summary["faces"] == len(faceset) == sum(wanted.values())
    facts = summary["films"][film.name]
    assert facts["no_face"] == [[i, NO_FACE] for i, n in wanted.items() if n == 0]
    assert facts["reasons"] == {NO_FACE: 21}
    assert facts["frames"] == FRAMES
    sha = step.footage[0].sha256
    assert {i: len(row) for i, row in faceset.by_frame(sha).items()} == {i: n for i, n in wanted.items() if n}
    for face in faceset:
        assert face.source.file == film.name
        assert face.face_id.startswith(sha[:8])
        assert (face.person, face.consent, face.detector) == ("Ada", "sha256:" + "0" * 64, "fake")
        assert face.sharpness > 0
        assert abs(face.yaw_deg) < 1
        assert face.track
        assert np.isfinite(face.points).all()
    two = faceset.by_frame(sha)[6]
    assert two[0].box_px[0] < two[1].box_px[0]
    assert [f.face_id[-1] for f in two] == ["0", "1"]
    head = header.load(tmp_path / "set")
    assert (head.face_type, head.side_px, head.person, head.consent) == ("whole_face", 128, "Ada", "sha256:" + "0" * 64)
    assert head.sources[0].done
    assert head.sources[0].rate == "25"
    assert len(head.people) == 2
    assert faceset.person_of(two[0]) == "Ada"


def test_pixels_lie_where_the_matrix_says(film, undisturbed):
    faceset = Faceset.open(undisturbed)
    face = next(iter(faceset))
    step = step_for(film, undisturbed)
    from facewright.media.reader import frames

    with_frame = next(frames(step.footage[0].video, face.source.frame_index, face.source.frame_index + 1))
    crop = faceset.image(face).astype(int)
    inside = face.points_px[(apply_affine(face.face_from_frame, face.points_px) < 120).all(1)][::7]
    for x, y in np.rint(inside).astype(int):
        u, v = apply_affine(face.face_from_frame, np.array([[x, y]], float))[0]
        assert np.abs(crop[round(v), round(u)] - with_frame.image[y, x].astype(int)).max() < 30
    assert face.mesh_scale == 16
    assert np.abs(face.mesh - fake.mesh_at(60 + face.source.frame_index * 0.25, 60, 50)).max() <= 0.5 / 16 + 1e-4


def test_the_same_again_gives_the_same_bytes(film, undisturbed, tmp_path):
    run(step_for(film, tmp_path / "set"))
    assert tree(tmp_path / "set") == tree(undisturbed)
    before = tree(undisturbed)
    step = step_for(film, undisturbed)
    assert step.plan() == []
    _, summary = run(step)
    assert summary["already_there"] == [film.name]
    assert summary["films"][film.name]["frames"] == FRAMES
    assert tree(undisturbed) == before


def test_shards_in_any_order_give_the_same_bytes(film, undisturbed, tmp_path):
    step = step_for(film, tmp_path / "set")
    records = {}
    plan = step.plan()
    for part in (plan[1::2], plan[0::2]):
        other = step_for(film, tmp_path / "set")
        for item, result in other.stream(part, Work()):
            records[item.id] = other.commit(item, result)
    step.finish(records, Work())
    assert tree(tmp_path / "set") == tree(undisturbed)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_kill_9_at_random_moments_gives_the_same_bytes(film, undisturbed, tmp_path):
    rng, kills, target = random.Random(3), 0, tmp_path / "set"
    for _ in range(40):
        command = [sys.executable, str(PROGRAM), str(film), str(target), "resolution=128", "pause=0.03"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with process:
            while (line := process.stdout.readline()) and line != "started\n":
                pass
            if kills < 6:
                time.sleep(rng.uniform(0.02, 0.2))
                process.send_signal(signal.SIGKILL)
            process.stdout.read()
        if process.returncode == 0:
            break
        kills += 1
        assert len(list((target / "faces").glob("*/*.part"))) <= 1
    assert kills >= 2
    assert tree(target) == tree(undisturbed)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_a_clear_end_and_can_go_on(film, undisturbed, tmp_path):
    command = [sys.executable, str(PROGRAM), str(film), str(tmp_path / "set"), "resolution=128"]
    broken = subprocess.run([*command, "limit=9000"], capture_output=True, text=True, check=False)
    assert broken.returncode == 2, broken.stderr
    assert "DiskRefused" in broken.stdout
    assert "full" in broken.stdout
    assert not list((tmp_path / "set").rglob("*.part"))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert tree(tmp_path / "set") == tree(undisturbed)


@pytest.mark.parametrize("write", [0, 1])
def test_killed_while_finishing_people_are_known_after_the_next_run(film, undisturbed, tmp_path, monkeypatch, write):
    """A film that is called done without its people would never get them: both stand in one write."""
    from facewright.faceset import store

    class Killed(BaseException):
        pass

    step, records, writes = step_for(film, tmp_path / "set"), {}, iter(range(99))
    for item, result in step.stream(step.plan(), Work()):
        records[item.id] = step.commit(item, result)
    real = store.Writer.update_header

    def update(self, change):
        if next(writes) == write:
            raise Killed
        return real(self, change)

    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(store.Writer, "update_header", update)
        step.finish(records, Work())
    again = step_for(film, tmp_path / "set")
    again.finish({k: v for k, v in records.items() if k in {item.id for item in again.plan()}}, Work())
    assert tree(tmp_path / "set") == tree(undisturbed)


def test_what_was_changed_after_a_kill_is_told_as_it_is(film, tmp_path):
    """The chunk lies there, its journal line does not: the index must not be told what this run would have written."""
    step = step_for(film, tmp_path / "set")
    with contextlib.closing(step.stream(step.plan(), Work())) as results:
        step.commit(*next(results))
    masked, gone = [row.path for row in Faceset.open(step.folder).rows()][:2]
    with Writer(step.folder) as writer:
        face = dataclasses.replace(record.read_face(step.folder / masked), person="Ada", mask_by="script")
        writer.write_face(step.folder / masked, face, np.full((8, 8), 7, np.uint8))
    (step.folder / gone).unlink()
    run(step_for(film, step.folder))
    rows = {row.path: row for row in Faceset.open(step.folder).rows()}
    assert gone not in rows
    assert (rows[masked].person, rows[masked].has_mask) == ("Ada", 1)


def test_a_damaged_index_and_one_that_is_held_stop_no_extraction(film, tmp_path, monkeypatch):
    step, real = step_for(film, tmp_path / "set"), sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: real(path, timeout=0.01))
    index = step.folder / "index.sqlite"
    with contextlib.closing(step.stream(step.plan(), Work())) as results:
        step.commit(*next(results))
        index.write_bytes(index.read_bytes()[:4096].ljust(1 << 16, b"U"))
        step.commit(*next(results))
        with contextlib.closing(real(index)) as other:
            other.execute("BEGIN IMMEDIATE")
            step.commit(*next(results))
            other.rollback()
        faces = sum(step.commit(*one)["faces"] for one in results)
    assert len(Faceset.open(step.folder)) > faces > 0


def test_stop_ends_after_the_chunk(film, tmp_path):
    work, step = Work(), step_for(film, tmp_path / "set")
    done = []
    for item, result in step.stream(step.plan(), work):
        step.commit(item, result)
        done.append(item.id)
        work.stop.ask()
    assert 1 <= len(done) <= 3
    with Writer(tmp_path / "set"):  # the lock is free again
        pass


def test_no_face_at_all_is_refused_with_advice(film, tmp_path):
    with pytest.raises(NothingFound, match="No face was found in Interview") as caught:
        run(step_for(film, tmp_path / "set", finder=fake.BlindFinder))
    assert "150 frames" in caught.value.why
    assert "--detector" in caught.value.remedy
    assert not tree(tmp_path / "set")
    other = make_film(tmp_path / "other.mp4", 5, seed=9)
    run(step_for(other, tmp_path / "set"))
    before = tree(tmp_path / "set")
    with pytest.raises(NothingFound):
        run(step_for(film, tmp_path / "set", finder=fake.BlindFinder))
    assert tree(tmp_path / "set") == before


def test_a_folder_of_pictures_with_a_damaged_one(tmp_path):
    folder = tmp_path / "Fotos ünï"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        _, data = cv2.imencode(".png", rng.integers(0, 256, (150, 200, 3)).astype(np.uint8))
        (folder / f"IMG_{n}.png").write_bytes(data.tobytes() if n != 2 else data.tobytes()[:500])
    _, summary = run(step_for(folder, tmp_path / "set", jpeg_quality=0))
    facts = summary["films"][folder.name]
    assert [index for index, _ in facts["damaged"]] == [2]
    assert facts["no_face"] == [[3, NO_FACE]]
    faceset = Faceset.open(tmp_path / "set")
    assert next(f.source.file for f in faceset) == f"{folder.name}/IMG_0.png"
    assert faceset.footage() == {next(iter(faceset.footage())): folder.name}
    assert all(p.suffix == ".png" for p in (tmp_path / "set" / "faces").rglob("*_*.*"))
    assert len({f.track for f in faceset}) == len(faceset)  # pictures do not follow each other
    assert faceset.info().faces_per_frame == {1: 3, 2: 1}


def test_several_films_get_readable_names(film, tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        make_film(tmp_path / name / "clip.mp4", 10, seed=seed)
    films = [str(tmp_path / name / "clip.mp4") for name in "aba"]
    step = ExtractStep(films, str(tmp_path / "set"), ExtractSettings(**SMALL), make_finder=fake.FakeFinder)
    _, summary = run(step)
    assert list(summary["films"]) == ["clip.mp4", "clip (b).mp4"]
    # A third film joins; the others are left alone.
    before = tree(tmp_path / "set")
    films.append(str(film))
    step = ExtractStep(films, str(tmp_path / "set"), ExtractSettings(**SMALL), make_finder=fake.FakeFinder)
    assert {item.payload.source_sha256 for item in step.plan()} == {step.footage[2].sha256}
    _, summary = run(step)
    after = tree(tmp_path / "set")
    assert {k: v for k, v in after.items() if k in before and k != "faceset.json"} == {
        k: v for k, v in before.items() if k != "faceset.json"}
    assert [s.file for s in header.load(tmp_path / "set").sources] == ["clip.mp4", "clip (b).mp4", film.name]
    assert list(Faceset.open(tmp_path / "set").footage().values()) == sorted(["clip.mp4", "clip (b).mp4", film.name])


def test_names_given_to_people_survive_another_film(film, tmp_path):
    first = make_film(tmp_path / "first.mp4", 20, seed=5)
    run(step_for(first, tmp_path / "set"))
    Faceset.open(tmp_path / "set").set_person("Ada", instead_of="person-1")
    run(step_for(film, tmp_path / "set"))
    names = list(Faceset.open(tmp_path / "set").people())
    assert sorted(names) == ["Ada", "person-1", "person-2", "person-3"]


def test_what_does_not_belong_together_is_refused(film, undisturbed, tmp_path):
    before = tree(undisturbed)
    with pytest.raises(Mismatch, match="holds whole_face crops"):
        step_for(film, undisturbed, face_type="head").plan()
    with pytest.raises(Mismatch, match="other settings") as caught:
        step_for(film, undisturbed, fps=5).plan()
    assert "fps (0 then, 5 now)" in caught.value.why
    other = make_film(tmp_path / "other.mp4", 5, seed=9)
    run(step_for(other, tmp_path / "set"))
    Faceset.open(tmp_path / "set").set_consent("sha256:" + "a" * 64)
    with pytest.raises(Mismatch, match="consent"):
        step_for(film, tmp_path / "set").plan()
    with pytest.raises(FileRefused):
        step_for(tmp_path / "gone.mp4", tmp_path / "x").plan()
    with pytest.raises(NothingFound, match="--start"):
        step_for(film, tmp_path / "x", start="10").plan()
    with pytest.raises(DiskRefused, match="not an empty folder"):
        step_for(film, film.parent).plan()
    assert tree(undisturbed) == before
    assert not (tmp_path / "x").exists()


def test_rate_and_span(film, tmp_path):
    records, _ = run(step_for(film, tmp_path / "set", fps=5, start="1", end="00:00:03"))
    assert {f.source.frame_index for f in Faceset.open(tmp_path / "set")} <= set(range(25, 76, 5))
    assert sum(r["frames"] for r in records.values()) == 11
    assert next(iter(records)).endswith(":0000025")


def test_limits_on_faces(film, tmp_path):
    _, summary = run(step_for(film, tmp_path / "one", max_faces=1, end="1"))
    facts = summary["films"][film.name]
    assert facts["left_out"] == sum(len(fake.FakeFinder().faces(i)) == 2 for i in range(26))
    assert all(f.face_id.endswith("_0") for f in Faceset.open(tmp_path / "one"))  # the larger of the two
    _, summary = run(step_for(film, tmp_path / "sure", min_presence=0.7, end="1"))
    assert all(f.presence_01 == 1 for f in Faceset.open(tmp_path / "sure"))
    _, summary = run(step_for(film, tmp_path / "low", _Unsure, min_presence=0.5, end="1"))
    assert summary["films"][film.name]["reasons"] == {NO_FACE: 4, ONLY_LEFT_OUT: 15}


class _Unsure(fake.FakeFinder):
    def faces(self, index):
        if index % 7 == 3:
            return []
        return [fake.found(index, 80, 70, 50, presence=0.9 if index % 3 == 0 else 0.1)]


def test_estimated_side_and_debug_pictures(film, tmp_path):
    _, summary = run(step_for(film, tmp_path / "set", resolution=0, end="1", debug=True))
    assert summary["side_px"] % 16 == 0
    assert {f.side_px for f in Faceset.open(tmp_path / "set")} == {summary["side_px"]}
    drawn = sorted((tmp_path / "set" / "debug").rglob("*.jpg"))
    assert len(drawn) == 22
    assert cv2.imread(str(drawn[0])).shape == (150, 200, 3)
    again = step_for(film, tmp_path / "set2", resolution=0, end="1", debug=True)
    run(again)
    assert tree(tmp_path / "set") == tree(tmp_path / "set2")


def test_estimate_side():
    assert estimate_side(np.array([])) == 512
    assert estimate_side(np.array([np.nan, 300.0])) == 304
    assert estimate_side(np.array([10.0])) == 128
    assert estimate_side(np.array([9000.0])) == 2048
    assert estimate_side(np.r_[np.full(95, 200.0), np.full(5, 900.0)]) == 208


def test_fixed_point_holds_wide_frames():
    mesh = np.array([[16_000.25, 3.0, -200.5]], np.float32)
    whole, scale = fixed_point(mesh)
    assert scale == 2
    assert np.abs(whole / scale - mesh).max() <= 0.25
    assert fixed_point(np.zeros((2, 3)))[1] == 16


def test_sharpness_falls_with_blur_and_not_with_size():
    rng = np.random.default_rng(0)
    sharp = cv2.resize(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8), (512, 512), interpolation=cv2.INTER_CUBIC)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 6)
    assert sharpness(blurred) < sharpness(sharp) / 3
    half = cv2.resize(sharp, (256, 256), interpolation=cv2.INTER_AREA)
    assert sharpness(half) == pytest.approx(sharpness(sharp), rel=0.02)
    assert sharpness(np.full((64, 64, 3), 9, np.uint8)) == 0


def test_sixteen_bit_frames_make_eight_bit_crops():
    image = np.full((50, 50, 3), 65535, np.uint16)
    assert (cut_crop(image, np.eye(3), 20, "cubic") == 255).all()
    assert cut_crop(image, np.eye(3), 20, "lanczos4").dtype == np.uint8


def test_face_files_are_sound(undisturbed):
    for path in (undisturbed / "faces").rglob("*.jpg"):
        face = record.read_face(path)
        assert path.stem == face.face_id
        assert record.read_image(path).shape == (128, 128, 3)


def test_each_face_at_its_own_size(film, tmp_path):
    _, summary = run(step_for(film, tmp_path / "set", _Growing, resolution="auto", end="1"))
    faceset = Faceset.open(tmp_path / "set")
    faces = list(faceset)
    sides = [face.side_px for face in faces]
    assert summary["side_px"] == faceset.header.side_px == 0
    assert summary["sides_px"] == faceset.info().sides_px == {s: sides.count(s) for s in set(sides)}
    assert sides[0] == 256  # never smaller
    assert len(set(sides)) > 3
    for face in faces:
        assert face.side_px % 16 == 0
        assert faceset.image(face).shape == (face.side_px, face.side_px, 3)
        native = 1 / np.sqrt(np.linalg.det(face.face_from_frame[:2, :2])) * face.side_px
        assert face.side_px == max(256, int(np.ceil(native / 16) * 16))
    again = tmp_path / "again"
    run(step_for(film, again, _Growing, resolution="auto", end="1"))
    assert tree(again) == tree(tmp_path / "set")


class _Growing(fake.FakeFinder):
    def faces(self, index):
        return [fake.found(index, 100, 75, 50 + 15 * index)]


def test_sides_that_differ_make_a_mixed_set(film, tmp_path):
    run(step_for(make_film(tmp_path / "other.mp4", 5, seed=9), tmp_path / "set"))
    run(step_for(film, tmp_path / "set", resolution=256, end="1"))
    assert header.load(tmp_path / "set").side_px == 0


@pytest.mark.parametrize("kind", ["half_face", "midfull_face", "full_face", "whole_face", "head"])
def test_every_face_type_is_cut_as_its_matrix_says(film, tmp_path, kind):
    run(step_for(film, tmp_path / kind, face_type=kind, end="0.4"))
    faceset = Faceset.open(tmp_path / kind)
    assert {face.face_type.value for face in faceset} == {faceset.face_type} == {kind}
    for face in list(faceset)[:4]:
        wanted = face_from_frame(face.points, 128, FaceType(kind))
        assert np.allclose(face.face_from_frame, wanted)
        inside = apply_affine(face.face_from_frame, face.points[17:])
        assert (inside > -8).all()
        assert (inside < 136).all()


def test_an_older_faceset_s_settings_are_not_held_against_it(film, undisturbed, tmp_path):
    """A version that knew fewer settings made it: the same command goes on with it."""
    folder = tmp_path / "set"
    shutil.copytree(undisturbed, folder)
    stored = header.load(folder)
    (source,) = stored.sources
    fewer = {k: v for k, v in source.settings.items() if k not in ("shots", "second_detector", "obstructions")}
    header.save(folder, dataclasses.replace(stored, sources=(dataclasses.replace(source, settings=fewer),)))
    assert step_for(film, folder).plan() == []
    with pytest.raises(Mismatch, match="other settings"):
        step_for(film, folder, jpeg_quality=80).plan()


def test_obstructions_are_flagged_on_wish(film, tmp_path, monkeypatch):
    asked = []

    def judge(picture, face):
        asked.append(picture.shape)
        return 0.05 if face.source.frame_index % 2 else 0.01

    monkeypatch.setitem(OBSTRUCTIONS.plugs, "odd", Plug("odd", "tests:none", ""))
    monkeypatch.setattr(cut, "_judge", lambda name: judge)
    run(step_for(film, tmp_path / "set", obstructions="odd", end="0.4"))
    flags = {face.source.frame_index: "obstructed" in face.flags for face in Faceset.open(tmp_path / "set")}
    assert flags == {i: bool(i % 2) for i in flags}
    assert set(asked) == {(128, 128, 3)}
    with pytest.raises(SettingRefused, match="obstruction called 'eye'"):
        step_for(film, tmp_path / "x", obstructions="eye").plan()


def test_photos_of_every_kind_show_the_same_face(tmp_path):
    """Turned by EXIF, with transparency, with 16 bit a channel: the original turns, blackens or bleaches them."""
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    plain = cv2.resize(rng.integers(0, 256, (15, 20, 3)).astype(np.uint8), (200, 150), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "0.png"), plain[..., ::-1])
    cv2.imwrite(str(folder / "1.png"), np.dstack([plain[..., ::-1], np.full((150, 200), 7, np.uint8)]))
    cv2.imwrite(str(folder / "2.png"), plain[..., ::-1].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[274] = 6  # shown turned by 90 degrees clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(plain))).save(folder / "3.png", exif=exif)
    run(step_for(folder, tmp_path / "set", _Same, jpeg_quality=0))
    faceset = Faceset.open(tmp_path / "set")
    first, *others = (faceset.image(face).astype(int) for face in faceset)
    assert len(others) == 3
    assert first.std() > 20
    for other in others:
        assert np.abs(other - first).max() <= 1


class _Same(fake.FakeFinder):
    def faces(self, index):
        return [fake.found(index, 100, 75, 60)]
