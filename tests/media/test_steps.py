"""Frames given out, denoised, graded: the right ones under the right names, times kept, killed and gone on."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.jobs.fake_step import OpenGate
from tests.media.conftest import NTSC, Clip, click_time_s, named_index, sound_clip

from facewright.core import files
from facewright.core.errors import DiskRefused, FileRefused, NothingFound, SettingRefused
from facewright.core.step import Work
from facewright.jobs import run as jobs
from facewright.media import batches, pieced_film
from facewright.media.reader import frame_times, frames, open_video, read_still
from facewright.media.settings import DenoiseSettings, FramesSettings, GradeSettings
from facewright.media.sidecar import NAME, read_sidecar
from facewright.media.steps import DenoiseStep, FramesStep, GradeStep
from facewright.media.stills import encode_still

SHARP = {"bf": "2", "g": "6", "crf": "4"}


def run(step) -> dict:
    return jobs.run_job(step, gate=OpenGate()).result


def bytes_of(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: data for name, data in found.items() if ".facewright" not in name}


@pytest.fixture
def film(make_clip) -> Path:
    """70 frames: three items of the steps."""
    return make_clip(Clip("steps/long.mp4", "libx264", "yuv420p", options=SHARP), count=70)


def test_frames_are_the_film_s_under_its_name_and_keep_their_times(film, tmp_path):
    told = run(FramesStep([str(film)], str(tmp_path / "out")))
    folder = tmp_path / "out" / "long"
    assert told["frames"] == 70
    assert sorted(p.name for p in folder.glob("*.png"))[12] == "long_0000012.png"
    source = open_video(film)
    for frame in frames(source, 60, 70):
        assert np.array_equal(read_still(folder / f"long_{frame.index:07d}.png"), frame.image)
    again = open_video(folder)
    assert again.moves
    assert (again.rate, again.time_base, again.variable_rate) == (NTSC, source.time_base, False)
    assert np.array_equal(frame_times(again), frame_times(source))
    assert [f.pts for f in frames(again, 3, 5)] == [f.pts for f in frames(source, 3, 5)]


def test_many_films_each_into_its_folder_with_rate_and_range(film, plain, tmp_path):
    other = tmp_path / "b" / "long.mp4"
    other.parent.mkdir()
    other.write_bytes(plain.read_bytes())
    told = run(FramesStep([str(film), str(other), str(film)], str(tmp_path / "o"), FramesSettings(
        fps=10, start="0.1", end="0.45", picture="jpg", jpeg_quality=90)))
    assert [part["name"] for part in told["parts"]] == ["long", "long (b)"]
    names = sorted(p.name for p in (tmp_path / "o" / "long").glob("*.jpg"))
    assert names == [f"long_{i:07d}.jpg" for i in (3, 6, 9, 12)]
    assert named_index(read_still(tmp_path / "o" / "long" / names[1])) == 6 * 5 % 6
    assert open_video(tmp_path / "o" / "long").rate == pytest.approx(10, rel=0.01)


def test_photos_keep_their_names_and_stay_photos(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, level in (("eve.png", 40), ("adam.jpg", 90), ("adam.png", 120)):
        image = np.full((20 + level // 10, 30, 3), level, np.uint8)
        (photos / name).write_bytes(encode_still(image, Path(name).suffix))
    run(GradeStep(str(photos), str(tmp_path / "g"), GradeSettings(brightness=10)))
    assert sorted(p.name for p in (tmp_path / "g").glob("*.png")) == ["adam.jpg.png", "adam.png.png", "eve.png"]
    assert read_still(tmp_path / "g" / "eve.png")[0, 0, 0] == round(40 + 25.5)
    assert not open_video(tmp_path / "g").moves
    with pytest.raises(FileRefused, match="not of the size"):
        run(GradeStep(str(photos), str(tmp_path / "g.mkv"), GradeSettings(brightness=10)))
    run(FramesStep([str(photos)], str(tmp_path / "x")))
    assert (tmp_path / "x" / "photos" / "photos_eve.png").is_file()


def test_spans_of_one_film_get_folders_and_at_least_a_frame(film, tmp_path):
    spans = [("scene1", 0, 5), ("scene3", 33, 35)]
    told = run(FramesStep([str(film)], str(tmp_path / "s"), FramesSettings(fps=5), spans))
    assert [(p["name"], p["frames"]) for p in told["parts"]] == [("long-scene1", 1), ("long-scene3", 1)]
    assert (tmp_path / "s" / "long-scene3" / "long-scene3_0000033.png").is_file()


def test_a_film_becomes_a_film_with_sound_in_time(tmp_path):
    source = sound_clip(tmp_path / "s.mp4", "aac", count=60, click_s=1.2)
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mov"
    run(GradeStep(str(source), str(whole), GradeSettings(gamma=1.1)))
    told = run(DenoiseStep(str(source), str(part), DenoiseSettings(start="0.5", filter="atadenoise")))
    assert told["frames"] == 60 - 15
    for path in (whole, part):
        made = open_video(path)
        flash = next(f.time_s for f in frames(made) if f.image.mean() > 0.45 * np.iinfo(f.image.dtype).max)
        assert click_time_s(path) == pytest.approx(flash, abs=0.5 / float(NTSC) + 0.002)
    assert open_video(whole).codec == "ffv1"
    assert not (tmp_path / ".facewright" / "whole.mkv" / "pieces").exists()


def test_lossless_means_lossless(film, tmp_path):
    run(GradeStep(str(film), str(tmp_path / "f.mkv"), GradeSettings(saturation=-100, end="0.28")))
    run(GradeStep(str(film), str(tmp_path / "d"), GradeSettings(saturation=-100, end="0.28")))
    film_frames = [f.image for f in frames(open_video(tmp_path / "f.mkv"))]
    stills = [f.image for f in frames(open_video(tmp_path / "d"))]
    assert len(film_frames) == len(stills) == 9
    assert all(np.array_equal(a, b) for a, b in zip(film_frames, stills))


def test_chunks_do_not_show_in_what_time_filters_make(make_clip, tmp_path, monkeypatch):
    source = make_clip(Clip("steps/calm.mp4", "libx264", "yuv420p", options=SHARP), count=40)
    settings = DenoiseSettings(filter="atadenoise", strength=20)
    run(DenoiseStep(str(source), str(tmp_path / "a"), settings))
    monkeypatch.setattr(batches, "ITEM_FRAMES", 7)
    step = DenoiseStep(str(source), str(tmp_path / "b"), settings)
    items = step.plan()
    odd = [item for at, item in enumerate(items) if at % 2]  # as after a kill that left every second one
    for item, result in step.stream(odd, Work()):
        step.commit(item, result)
    for path in (tmp_path / "b").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    assert len(list((tmp_path / "b").glob("*.png"))) == 7 + 7 + 5


@pytest.mark.parametrize("name", [b"caf\xe9 \xff", "映画".encode() * 28, b"a:b*c?"], ids=["broken", "long", "signs"])
def test_any_name_of_a_film_makes_readable_names(plain, tmp_path, name):
    import os

    film = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".mp4"))
    film.write_bytes(plain.read_bytes())
    for _ in range(2):
        told = run(FramesStep([str(film)], str(tmp_path / "o"), FramesSettings(fps=5)))
    folder = Path(told["parts"][0]["out"])
    assert str(folder).isprintable()
    assert told["parts"][0]["already_there"]
    assert open_video(folder).moves


def test_a_film_is_not_made_of_pictures_that_cannot_be_read(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(encode_still(np.zeros((8, 8, 3), np.uint8)))
    for at in range(70):
        (photos / f"b{at:02d}.png").write_bytes(b"torn")
    with pytest.raises(FileRefused, match="None of"):
        run(GradeStep(str(photos), str(tmp_path / "x.mkv"), GradeSettings(gamma=2)))


@pytest.mark.parametrize("target", ["folder", "film.mkv"])
def test_a_full_disk_is_said_and_the_same_command_goes_on(film, tmp_path, monkeypatch, target):
    import errno

    renamed, calls = files.replace_files, [0]

    def full(pairs):
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        renamed(pairs)

    for module in (files, pieced_film):
        monkeypatch.setattr(module, "replace_files", full)
    with pytest.raises(DiskRefused, match="the disk is full"):
        run(GradeStep(str(film), str(tmp_path / target), GradeSettings(gamma=2)))
    assert run(GradeStep(str(film), str(tmp_path / target), GradeSettings(gamma=2)))["frames"] == 70
    assert not list(tmp_path.rglob("*.part"))


class Killed(BaseException):
    """What ends a process between two lines."""


@pytest.mark.parametrize("moment", range(1, 6))
@pytest.mark.parametrize("target", ["folder", "film.mkv"])
def test_killed_anywhere_the_same_command_ends_with_the_same_bytes(film, tmp_path, monkeypatch, moment, target):
    settings = GradeSettings(brightness=5)
    run(GradeStep(str(film), str(tmp_path / "calm" / target), settings))
    renamed, calls = files.replace_files, [0]

    def torn(pairs):
        calls[0] += 1
        if calls[0] == moment:
            raise Killed
        renamed(pairs)

    for module in (files, pieced_film):
        monkeypatch.setattr(module, "replace_files", torn)
    for _ in range(3):
        try:
            run(GradeStep(str(film), str(tmp_path / "torn" / target), settings))
        except Killed:
            continue
        break
    calm, found = bytes_of(tmp_path / "calm"), bytes_of(tmp_path / "torn")
    assert sorted(found) == sorted(calm)
    for name, data in calm.items():
        if name.endswith(".png"):
            assert found[name] == data
    if target == "film.mkv":
        a, b = (open_video(tmp_path / x / target) for x in ("calm", "torn"))
        assert a.frame_count == b.frame_count == 70
        assert all(np.array_equal(x.image, y.image) for x, y in zip(frames(a), frames(b)))


def test_done_is_done_and_nothing_is_written_over(film, plain, tmp_path):
    out = tmp_path / "o"
    step = FramesStep([str(film)], str(out), FramesSettings(fps=5))
    run(step)
    stamp = {p: p.stat().st_mtime_ns for p in (out / "long").glob("*.png")}
    (out / "long" / "long_0000000.png").unlink()  # the user threw one away
    told = run(FramesStep([str(film)], str(out), FramesSettings(fps=5)))
    assert told["parts"][0]["already_there"]
    assert not (out / "long" / "long_0000000.png").exists()
    assert all(p.stat().st_mtime_ns == t for p, t in stamp.items() if p.exists())
    with pytest.raises(DiskRefused, match="not an empty folder"):
        run(FramesStep([str(film)], str(out), FramesSettings(fps=6)))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "diary.txt").write_text("x")
    with pytest.raises(DiskRefused, match="not an empty folder"):
        run(GradeStep(str(film), str(mine), GradeSettings(gamma=2)))
    there = tmp_path / "there.mkv"
    there.write_bytes(b"mine")
    with pytest.raises(DiskRefused, match="is there already"):
        run(GradeStep(str(film), str(there), GradeSettings(gamma=2)))
    assert there.read_bytes() == b"mine"
    run(GradeStep(str(plain), str(tmp_path / "new.mkv"), GradeSettings(gamma=2)))
    assert run(GradeStep(str(plain), str(tmp_path / "new.mkv"), GradeSettings(gamma=2)))["parts"][0]["already_there"]
    with pytest.raises(DiskRefused, match="is there already"):
        run(GradeStep(str(plain), str(tmp_path / "new.mkv"), GradeSettings(gamma=3)))


def test_what_cannot_be_is_refused_early(film, tmp_path):
    photos = tmp_path / "p"
    photos.mkdir()
    (photos / "a.png").write_bytes(encode_still(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(FileRefused, match="is what is read"):
        run(GradeStep(str(photos), str(photos), GradeSettings(gamma=2)))
    with pytest.raises(SettingRefused, match="as it is"):
        run(GradeStep(str(film), str(tmp_path / "x"), GradeSettings()))
    with pytest.raises(NothingFound, match="between --start and --end"):
        run(FramesStep([str(film)], str(tmp_path / "x"), FramesSettings(start="50")))
    with pytest.raises(SettingRefused, match="cannot be written"):
        run(GradeStep(str(film), str(tmp_path / "x.mp4"), GradeSettings(gamma=2, codec="ffv1")))
    assert not list(tmp_path.glob("x*/*.png"))


def test_damaged_frames_are_left_out_of_folders_and_kept_in_films(make_clip, tmp_path):
    from tests.media.conftest import packet_places

    path = make_clip(Clip("steps/hurt.mp4", "libx264", "yuv420p", options=SHARP | {"bf": "0", "g": "1"}))
    place, size = packet_places(path)[8]
    data = bytearray(path.read_bytes())
    data[place + 4 : place + size] = b"\xff" * (size - 4)
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(data)
    told = run(FramesStep([str(hurt)], str(tmp_path / "o")))
    assert [index for index, _ in told["parts"][0]["damaged"]] == [8]
    assert not (tmp_path / "o" / "hurt" / "hurt_0000008.png").exists()
    told = run(GradeStep(str(hurt), str(tmp_path / "o.mkv"), GradeSettings(gamma=1.2)))
    assert told["frames"] == 18
    assert told["parts"][0]["damaged"][0][0] == 8


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"format": "facewright.frames/1"}', b"[" * 100_000,
     json.dumps({"format": "facewright.frames/1", "made_by": "", "film": "", "sha256": "", "rate": "1/0",
                 "time_base": "1/25", "moves": True, "done": True, "frames": []}).encode(),
     json.dumps({"format": "facewright.frames/1", "made_by": "", "film": "", "sha256": "", "rate": "25",
                 "time_base": "1/25", "moves": True, "done": True, "frames": [["a.png", 0, 10**30]]}).encode()],
)  # fmt: skip
def test_a_foreign_or_hostile_frames_json_never_hides_pictures(tmp_path, content):
    (tmp_path / "a.png").write_bytes(encode_still(np.zeros((8, 8, 3), np.uint8)))
    (tmp_path / NAME).write_bytes(content)
    assert read_sidecar(tmp_path) is None
    found = open_video(tmp_path)
    assert not found.moves
    assert found.rate == 25


def test_times_hold_while_every_picture_is_listed(film, tmp_path):
    run(FramesStep([str(film)], str(tmp_path / "o"), FramesSettings(end="0.4")))
    folder = tmp_path / "o" / "long"
    for index in (3, 4):
        (folder / f"long_{index:07d}.png").unlink()
    culled = open_video(folder)
    assert culled.moves
    assert culled.variable_rate
    assert len(frame_times(culled)) == culled.frame_count == 11
    (folder / "zz.png").write_bytes(encode_still(np.zeros((8, 8, 3), np.uint8)))
    assert not open_video(folder).moves
    assert open_video(folder).time_base == Fraction(1, 25)
