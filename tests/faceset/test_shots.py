from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.faceset.test_extract import run, step_for

from facewright.faceset import shots
from facewright.faceset.faceset import Faceset
from facewright.faceset.shots import Shots, shots_of

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
    real = shots.find_cuts
    monkeypatch.setattr(shots, "find_cuts", lambda *a: looked.append(1) or real(*a))
    assert shots_of(step.footage[0], tmp_path / "set").starts == CUTS
    assert shots_of(step.footage[0], tmp_path / "set").starts == CUTS
    assert looked == [1]
    kept = next((tmp_path / "set" / ".facewright" / "shots").iterdir())
    for damage in ("", "{", json.dumps({"format": "other"}), json.dumps({"format": "facewright.shots/1"})):
        kept.write_text(damage)
        assert shots_of(step.footage[0], tmp_path / "set").starts == CUTS
    assert len(looked) == 5


def test_a_part_of_a_film_counts_from_its_own_first_shot(film, tmp_path):
    step = step_for(film, tmp_path / "set", start="2", end="3.2")
    assert shots_of(step.footage[0], tmp_path / "set").starts == [50, 75]


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


def test_numbers():
    found = Shots([10, 20])
    assert [found.shot(i) for i in (10, 19, 20, 99)] == [0, 0, 1, 1]
    assert found.spans(30) == [[10, 20], [20, 30]]
    assert Shots([]).shot(5) == 0
