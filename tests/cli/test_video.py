"""The group `video` as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.media.test_scenes import filmed, write

from .conftest import Cli


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "film.mp4", [p for s, n in enumerate([20, 30]) for p in filmed(s + 20, n)])


def test_every_command_speaks_and_names_what_it_made(cli: Cli, film: Path) -> None:
    said = cli("video", "info", "film.mp4")
    assert said.code == 0
    assert "160x90, 8 bit, h264" in said.out
    assert "50, 0:02 (2.000 s)" in said.out
    said = cli("video", "scenes", "film.mp4", "--sheet", "s.png", "--export", "2", "--out", "sc", "--fps", "5")
    assert "00:00:00.800" in said.out
    assert "6 frames in sc/film-scene2" in said.out
    said = cli("video", "cut", "film.mp4", "c.mp4", "0.8-1.2")
    assert "frames 20 to 29" in said.out
    assert "0.800 s to 1.200 s" in said.out
    said = cli("video", "extract", "film.mp4", "frames", "--fps", "5")
    assert "10 frames in frames/film" in said.out
    assert "Next:  facewright extract frames/film FACESET" in said.out
    said = cli("video", "grade", "frames/film", "bright", "--brightness", "10")
    assert "10 frames in bright" in said.out
    said = cli("video", "denoise", "film.mp4", "calm.mkv", "--filter", "atadenoise", "--json")
    assert said.json()["frames"] == 50
    assert cli("video", "info", "bright", "calm.mkv", "--json").json()[0]["rate"] == "5"


def test_mistakes_are_explained(refused, film: Path) -> None:
    assert "OUT is missing" in refused("video", "extract", "film.mp4")["what"]
    assert "is no range" in refused("video", "cut", "film.mp4", "x.mp4", "soon")["what"]
    assert "as it is" in refused("video", "grade", "film.mp4", "x")["what"]
    assert "There is no scene 3" in refused("video", "scenes", "film.mp4", "--export", "3", "--out", "o")["what"]
    assert "no.mp4" in refused("video", "info", "no.mp4")["what"]
