"""Footage verbs: what they answer, and kill -9 in the middle of the real thing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.media.test_scenes import filmed, write

from facewright import api
from facewright.core.errors import DiskRefused, FacewrightError, NothingFound, SettingRefused
from facewright.media.reader import open_video


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Five shots of 20, 31, 9, 40 and 60 frames."""
    folder = tmp_path_factory.mktemp("film")
    return write(folder / "Mein Film.mp4", [p for s, n in enumerate([20, 31, 9, 40, 60]) for p in filmed(s + 20, n)])


def test_info_is_plain_data(film):
    (row,) = api.video_info([film])
    assert json.loads(json.dumps(row)) == row
    assert (row["frames"], row["rate"], row["width_px"], row["bit_depth"]) == (160, "25", 160, 8)
    assert row["colour"]["range"] == "limited"


def test_scenes_are_counted_from_one_drawn_and_given_out(film, tmp_path):
    heard: list[dict] = []
    found = api.video_scenes(
        film, settings={"fps": 5}, sheet=tmp_path / "s.png", export="2,4-5", out=tmp_path / "o", on_event=heard.append
    )
    assert [(s["scene"], s["first_frame"], s["frames"]) for s in found["scenes"]] == [
        (1, 0, 20), (2, 20, 31), (3, 51, 9), (4, 60, 40), (5, 100, 60)]  # fmt: skip
    assert found["scenes"][1]["start"] == "00:00:00.800"
    assert (tmp_path / "s.png").is_file()
    assert sorted(p.name for p in (tmp_path / "o").iterdir() if p.name != ".facewright") == [
        "Mein Film-scene2", "Mein Film-scene4", "Mein Film-scene5"]  # fmt: skip
    assert [part["frames"] for part in found["export"]["parts"]] == [7, 8, 12]
    assert any(event["kind"] == "progress" for event in heard)


@pytest.mark.parametrize(
    ("words", "kind"),
    [({"export": "6", "out": True}, NothingFound), ({"export": "x", "out": True}, SettingRefused),
     ({"export": "3-1", "out": True}, SettingRefused), ({"export": "1"}, SettingRefused),
     ({"settings": {"threshold": 0}}, SettingRefused)],
)  # fmt: skip
def test_what_names_no_scene_is_refused(film, tmp_path, words, kind):
    with pytest.raises(kind):
        api.video_scenes(film, settings=words.get("settings", {}), export=words.get("export", ""),
                         out=tmp_path / "o" if words.get("out") else None)  # fmt: skip


def test_several_pieces_get_numbers_and_none_is_made_where_one_is_there(film, tmp_path):
    rows = api.video_cut(film, tmp_path / "p.mp4", ["0.8-2.04", "00:00:04-"], settings={})
    assert [(r["first"], r["stop"], Path(r["out"]).name) for r in rows] == [(20, 51, "p-1.mp4"), (100, 160, "p-2.mp4")]
    assert json.dumps(rows)
    (tmp_path / "q-2.mp4").write_bytes(b"mine")
    with pytest.raises(DiskRefused):
        api.video_cut(film, tmp_path / "q.mp4", ["0-1", "2-3"], settings={})
    assert not (tmp_path / "q-1.mp4").exists()
    for wrong in ("5", "a-b", "3-2", "1-2-3"):
        with pytest.raises(SettingRefused):
            api.video_cut(film, tmp_path / "w.mp4", [wrong], settings={})


def test_an_extraction_reads_given_out_frames_like_their_film(film, tmp_path):
    """The folder keeps the film's clock, so that --fps and --start mean the same in both."""
    from facewright.faceset.extraction.sources import open_footage
    from facewright.faceset.settings import ExtractSettings

    api.video_extract([film], tmp_path / "o", settings={"picture": "jpg"})
    settings = ExtractSettings(fps=5, start="0.8", end="2")
    folder, whole = (open_footage([str(p)], settings, None)[0] for p in (tmp_path / "o" / "Mein Film", film))
    assert [c.frames for c in folder.chunks] == [c.frames for c in whole.chunks]


def test_each_stage_is_rebuilt_from_its_job(film, tmp_path):
    from facewright.jobs.job import list_jobs, rebuild

    api.video_extract([film], tmp_path / "a", settings={"fps": 2})
    api.video_scenes(film, settings={}, export="1,3", out=tmp_path / "b")
    api.video_denoise(film, tmp_path / "c", settings={"end": "0.2"})
    api.video_grade(film, tmp_path / "d.mkv", settings={"end": "0.2", "gamma": 2})
    jobs = list_jobs(everywhere=True)
    assert [job.stage for job in jobs] == ["frames", "frames", "denoise", "grade"]
    for job in jobs:
        assert rebuild(job, api.STEPS).plan() == []  # all of it is there


def test_hostile_films_are_refused_by_every_verb(tmp_path):
    playlist = b"ffconcat version 1.0\nfile /etc/passwd\n"
    for name, content in (("empty.mp4", b""), ("text.mkv", playlist), ("x.mov", b"\x00" * 999)):
        path = tmp_path / name
        path.write_bytes(content)
        for verb in (
            lambda p: api.video_info([p]), lambda p: api.video_scenes(p, settings={}),
            lambda p: api.video_cut(p, tmp_path / "o.mp4", ["0-1"], settings={}),
            lambda p: api.video_extract([p], tmp_path / "o", settings={}),
            lambda p: api.video_denoise(p, tmp_path / "o", settings={}),
            lambda p: api.video_grade(p, tmp_path / "o.mkv", settings={"gamma": 2}),
        ):
            with pytest.raises(FacewrightError):
                verb(path)


def _command(film: Path, out: Path) -> list[str]:
    words = ["video", "denoise", str(film), str(out), "--filter", "atadenoise", "--strength", "12"]
    return [sys.executable, "-m", "facewright", *words]


def _killed(film: Path, out: Path, delays_s: list[float]) -> int:
    """Start the command again and again, killed so long after its first files are there; then let it end by itself.
    Returns how many kills hit."""
    kills = 0
    for delay_s in delays_s:
        process = subprocess.Popen(_command(film, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before, until = _files(out), time.monotonic() + 60
        while process.poll() is None and _files(out) <= before and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(delay_s)
        process.kill()
        process.wait()
        kills += process.returncode == -signal.SIGKILL
    done = subprocess.run(_command(film, out), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return kills


def _files(out: Path) -> int:
    return len([*out.glob("*.png"), *(out.parent / ".facewright" / out.name / "pieces").glob("0*.mkv")])


@pytest.mark.parametrize("target", ["out", "out.mkv"])
def test_kill_9_costs_nothing_that_was_done(film, tmp_path, target):
    calm = subprocess.run(_command(film, tmp_path / "calm" / target), capture_output=True, check=False)
    assert calm.returncode == 0, calm.stderr
    assert _killed(film, tmp_path / "torn" / target, [0.0]) == 1
    _same(tmp_path, target)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["out", "out.mkv"])
def test_kill_9_at_many_moments(film, tmp_path, target):
    subprocess.run(_command(film, tmp_path / "calm" / target), capture_output=True, check=True)
    rng = np.random.default_rng(7)
    kills = 0
    for number in range(8):
        folder = tmp_path / f"torn{number}"
        kills += _killed(film, folder / target, list(rng.uniform(0, 0.05, 4)))
        _same(tmp_path, target, folder.name)
    assert kills >= 16


def _same(tmp_path: Path, target: str, torn: str = "torn") -> None:
    a, b = tmp_path / "calm" / target, tmp_path / torn / target
    if a.is_dir():
        found = [{p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} for folder in (a, b)]
        assert found[0] == found[1]
        assert len(found[0]) == 161
        return
    assert open_video(a).frame_count == open_video(b).frame_count == 160
    leftovers = [p for p in (b.parent / ".facewright" / target).rglob("*") if p.suffix == ".mkv"]
    assert not leftovers
