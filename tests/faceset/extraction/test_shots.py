from __future__ import annotations

import json
import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.faceset.extraction.test_extract import run, step_for

from facewright.core.errors import FileRefused
from facewright.core.step import Work
from facewright.faceset.extraction import shots
from facewright.faceset.extraction.shots import Shots, shots_of
from facewright.faceset.faceset import Faceset

CUTS = [0, 40, 75]


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """100 frames of 200x150 in three shots."""
    path, rng = tmp_path_factory.mktemp("film") / "cuts.mp4", np.random.default_rng(3)
    grounds = [cv2.resize(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8), (200, 150)) for _ in CUTS]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 200, 150, "yuv420p", Fraction(1, 25)
        for n in range(100):
            frame = av.VideoFrame.from_ndarray(grounds[sum(n >= c for c in CUTS) - 1], format="rgb24")
            frame.pts = n
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


def test_faces_know_their_shot_and_no_track_crosses_one(film, tmp_path):
    _, summary = run(step_for(film, tmp_path / "set"))
    assert summary["films"]["cuts.mp4"]["shots"] == [[0, 40], [40, 75], [75, 100]]
    tracks: dict[str, set[int]] = {}
    for face in Faceset.open(tmp_path / "set"):
        assert face.source.shot == sum(face.source.frame_index >= c for c in CUTS) - 1
        tracks.setdefault(face.track, set()).add(face.source.shot)
    assert all(len(seen) == 1 for seen in tracks.values())
    for whole in Faceset.open(tmp_path / "set").header.tracks:
        assert len({next(iter(tracks[part])) for part in whole}) == 1


def test_found_once_and_kept(film, tmp_path, monkeypatch):
    step = step_for(film, tmp_path / "set")
    looked = []
    real = shots.CutSearch
    monkeypatch.setattr(shots, "CutSearch", lambda *a: looked.append(1) or real(*a))
    assert shots_of(step.footage[0], tmp_path / "set").all().starts == CUTS
    assert shots_of(step.footage[0], tmp_path / "set").all().starts == CUTS
    assert looked == [1]
    kept = next((tmp_path / "set" / ".facewright" / "shots").iterdir())
    for damage in ("", "{", json.dumps({"format": "other"}), json.dumps({"format": "facewright.shots/1"})):
        kept.write_text(damage)
        assert shots_of(step.footage[0], tmp_path / "set").all().starts == CUTS
    assert len(looked) == 5


def test_a_part_of_a_film_counts_from_its_own_first_shot(film, tmp_path):
    step = step_for(film, tmp_path / "set", start="2", end="3.2")
    assert shots_of(step.footage[0], tmp_path / "set").all().starts == [50, 75]


def test_left_out_on_wish(film, tmp_path):
    _, summary = run(step_for(film, tmp_path / "set", shots=False))
    assert "shots" not in summary["films"]["cuts.mp4"]
    assert {face.source.shot for face in Faceset.open(tmp_path / "set")} == {0}
    assert not (tmp_path / "set" / ".facewright" / "shots").exists()


def test_each_picture_is_a_shot(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(4):
        cv2.imwrite(str(folder / f"{n}.png"), np.full((150, 200, 3), 60 * n, np.uint8))
    _, summary = run(step_for(folder, tmp_path / "set"))
    assert {f.source.frame_index: f.source.shot for f in Faceset.open(tmp_path / "set")} == {0: 0, 1: 1, 2: 2}
    assert "shots" not in summary["films"]["photos"]


def test_who_waits_for_a_search_that_ends_is_told(film, tmp_path, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(shots, "small_pictures", lambda *a: (None for _ in range(0 * held.wait())))
    search = shots_of(step_for(film, tmp_path / "set").footage[0], tmp_path / "set")
    assert search.settled(0) is False
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            search.until(50)
        except shots.Closed as error:
            caught.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    threading.Timer(0.2, held.set).start()
    search.close()
    waiting.join(10)
    assert len(caught) == 1
    assert not (tmp_path / "set" / ".facewright" / "shots").exists()


def test_a_stop_does_not_wait_for_cuts(film, tmp_path, monkeypatch):
    """As in a film that is dark to its end, or one that goes on far behind what was looked for."""
    held, work = threading.Event(), Work()
    monkeypatch.setattr(shots, "small_pictures", lambda *a: (None for _ in range(0 * held.wait())))
    asking, last = threading.Timer(0.3, work.stop.ask), threading.Timer(60, held.set)
    monkeypatch.setattr(shots.ShotSearch, "close", lambda self: held.set())
    for timer in (asking, last):
        timer.daemon = True
        timer.start()
    step = step_for(film, tmp_path / "set")
    assert list(step.stream(step.plan(), work)) == [], "no chunk waited for the search"
    last.cancel()


def test_what_a_search_meets_is_raised_to_who_asks(film, tmp_path, monkeypatch):
    def broken(*_):
        raise FileRefused("The film is gone.", remedy="Find it.")
        yield

    monkeypatch.setattr(shots, "small_pictures", broken)
    with pytest.raises(FileRefused, match="gone"):
        run(step_for(film, tmp_path / "set"))


def test_numbers():
    found = Shots([10, 20])
    assert [found.shot(i) for i in (10, 19, 20, 99)] == [0, 0, 1, 1]
    assert found.spans(30) == [[10, 20], [20, 30]]
    assert Shots([]).shot(5) == 0
