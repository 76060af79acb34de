from __future__ import annotations

import os

import pytest

from facewright import project
from facewright.core.errors import FileRefused, NothingFound


def test_a_new_project_is_found_from_inside(tmp_path):
    made = project.new(tmp_path / "Mein Film №1")
    assert project.find(made.root / "footage" / "src") == made
    assert made.name == "mein-film-1"
    assert project.find(tmp_path) is None


def test_a_project_is_not_made_twice(tmp_path):
    project.new(tmp_path / "p")
    with pytest.raises(FileRefused, match="already"):
        project.new(tmp_path / "p")


def test_missing_footage_and_model_say_what_to_do(tmp_path):
    made = project.new(tmp_path / "p")
    with pytest.raises(NothingFound) as footage:
        made.footage("src")
    assert "footage" in footage.value.remedy
    with pytest.raises(NothingFound) as model:
        made.latest_run()
    assert "train" in model.value.remedy


def test_films_and_stills_are_footage(tmp_path):
    made = project.new(tmp_path / "p")
    folder = made.root / "footage" / "dst"
    (folder / "film.mp4").touch()
    assert made.footage("dst") == [folder / "film.mp4"]
    (folder / "a.png").touch()
    assert made.footage("dst") == [folder / "film.mp4", folder]


@pytest.mark.parametrize("text", ["[project\n", "x = 1\n[project]\nname='a'\n", "\xff"])
def test_a_damaged_project_file_is_said(tmp_path, text):
    made = project.new(tmp_path / "p")
    (made.root / "project.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(FileRefused) as caught:
        project.load(made.root)
    assert caught.value.remedy


def test_settings_are_read_by_stage(tmp_path):
    made = project.new(tmp_path / "p")
    with open(made.root / "project.toml", "a", encoding="utf-8") as file:
        file.write("\n[extract]\nresolution = 768\n")
    assert project.load(made.root).settings == {"extract": {"resolution": 768}}


def test_outside_of_a_project_the_missing_path_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileRefused, match="RUN is missing"):
        project.here_or_refuse("RUN")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_place_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Exception, match="Cannot write"):
        project.new(tmp_path / "p")


def test_a_packed_faceset_stands_in_for_a_folder_that_is_gone(tmp_path):
    place = project.new(tmp_path / "film")
    folder = place.faceset("src")
    packed = folder.with_name("src.faces")
    packed.parent.mkdir(exist_ok=True)
    assert place.faces("src") == folder
    packed.write_bytes(b"x")
    if folder.exists():
        folder.rmdir()
    assert place.faces("src") == packed
    assert packed in place.facesets()
    folder.mkdir()
    assert place.faces("src") == folder, "a folder counts first"
