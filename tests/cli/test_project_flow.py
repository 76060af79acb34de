"""A newcomer's way through a project: paths left out, Unicode everywhere, several people, records, next commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from facewright import api, demo
from facewright.faces import identity
from facewright.faceset.faceset import Faceset

from .conftest import TINY, write_film

USE = "Short film KITE, scene 3: her face on the double in the river"
NOW = ("--who", "adult", "--adult", "--use", USE, "--proof", "now")


@pytest.fixture
def project(cli, tmp_path, monkeypatch) -> Path:
    """A project with both facesets of `world` in it, worked on from inside."""
    folder = tmp_path / "Söul & 映画"
    assert cli("new", folder).code == 0
    monkeypatch.chdir(folder)
    return folder


def fill(project: Path, world) -> None:
    for side in ("src", "dst"):
        shutil.copytree(getattr(world, side), project / "facesets" / side)


def test_a_project_is_named_by_what_ascii_has_of_its_folder(cli, project):
    assert api.trust.find(project).name == "soul"
    assert cli("new", project).code == 2


def test_faces_info_without_a_path_shows_both_sides(cli, project, world):
    nothing = cli("faces", "info")
    assert nothing.code == 2
    assert "facewright extract" in nothing.err
    fill(project, world)
    text = cli("faces", "info").out
    for words in ("facesets/src: ", "facesets/dst: ", "synthetic source (valid until", "pitch | yaw", "target.mp4"):
        assert words in text
    assert [Path(info["path"]).name for info in cli("faces", "info", "--json").json()] == ["src", "dst"]
    assert cli("faces", "info", "facesets/dst", "--json").json()["record"]["person"] == "synthetic target"


def test_training_with_paths_left_out(cli, project, world):
    fill(project, world)
    words = ("train", "saehd", *TINY, "--iterations", "1")
    first = cli(*words)
    assert first.code == 0, first
    assert "Preview, renewed while it trains: " in first.err
    assert "cpu with 1 thread" in first.err
    assert (project / "runs" / "saehd" / "run.json").is_file(), "a run is named by its net"
    assert "Next:  facewright merge\n" in first.out
    again = cli(*words)
    assert again.code == 0
    assert "Nothing to train" in again.out
    recipe = cli("train", "saehd", *TINY, "--iterations", "1", "--recipe", "quick")
    assert "begun before" in recipe.err, "a recipe that does nothing is said"
    other = cli("train", "quick96", "runs/saehd", "--src", "facesets/src", "--dst", "facesets/dst")
    assert other.code == 2
    assert "another model" in other.err, "not a complaint about a setting of the other net"
    listed = cli("jobs", "list")
    assert "runs/saehd" in listed.out
    assert cli("ledger", "show").out.count("train done: iterations 1") >= 1


def test_the_run_trained_last_is_merged(project, tmp_path):
    import os

    from facewright.project import find

    for name, trained in (("a", 300), ("b", 100)):
        run = project / "runs" / name
        run.mkdir()
        (run / "run.json").write_text("{}")
        (run / "history.jsonl").write_text("")
        os.utime(run / "run.json", (200 - trained / 10, 200 - trained / 10))
        os.utime(run / "history.jsonl", (trained, trained))
    here = find(project)
    assert here is not None
    assert here.latest_run().name == "a", "a was begun before b, and trained after it"


def test_swapped_paths_are_said(cli, project, world):
    film = project / "film.mp4"
    shutil.copy(demo.footage().source, film)
    found = cli("extract", world.src, film)
    assert found.code == 2
    assert "film.mp4 is a file" in found.err


# ---- records of a real person


def private(cli, project: Path, world) -> Path:
    """A faceset whose film no record covers: pictures of it taken from the shipped one."""
    film = write_film(project / "prïvate.mp4", pictures(), (480, 360))
    faceset = project / "facesets" / "src"
    assert cli("extract", film, faceset, "--face-type", "full_face", "--resolution", "128").code == 0
    return faceset


def pictures() -> list[np.ndarray]:
    from facewright.media.reader import frames, open_video

    return [frame.image for frame in frames(open_video(demo.footage().source), 0, 3)]


def test_the_way_from_a_refusal_to_a_training(cli, project, world, tmp_path):
    faceset = private(cli, project, world)
    shutil.copytree(world.dst, project / "facesets" / "dst")
    words = ("train", "saehd", *TINY, "--iterations", "1")
    refusal = cli(*words)
    assert refusal.code == 2
    assert f"--faceset '{faceset}'" in refusal.err
    assert "none: `facewright consent new --faceset facesets/src`" in cli("faces", "info", "facesets/src").out

    made = cli("consent", "new", *NOW, "--name", "Änne", "--faceset", faceset)
    assert made.code == 0, made
    page = next((project / "consent" / "pages").iterdir())
    assert f"consent/pages/{page.name}" in made.out
    assert "facewright consent revoke " in made.out
    assert "Änne (valid" in cli("faces", "info", "facesets/src").out
    assert cli(*words).code == 0
    assert cli("consent", "check", "Änne").out.startswith("Valid")

    revoked = cli("consent", "revoke", "Änne")
    assert revoked.code == 0
    assert "facesets src models saehd" in " ".join(revoked.out.split())
    assert "facewright model delete saehd" in revoked.out
    entries = len(api.ledger_show(0))
    assert cli("consent", "revoke", "Änne").code == 0, "asked twice, revoked once"
    assert len(api.ledger_show(0)) == entries
    assert "revoked" in cli(*words).err


@pytest.mark.parametrize(("words", "say"), [
    (("--role", "villain"), "--role"), (("--days", "0"), "--days"), (("--days", "9999"), "--days"),
    (("--uses", "dance"), "--uses"), (("--proof", "missing.pdf"), "--proof now"),
])  # fmt: skip
def test_a_wrong_answer_names_its_option(refused, project, words, say):
    error = refused("consent", "new", *NOW, "--name", "A", *words)
    assert say in error["remedy"]
    assert list((project / "consent").iterdir()) == []


def test_one_person_of_a_set_with_several(cli, refused, project, monkeypatch):
    both = [np.hstack([p, p[:, ::-1]]) for p in pictures()]
    film = write_film(project / "two.mp4", both, (960, 360))
    faceset = project / "facesets" / "dst"
    shown = cli("extract", film, faceset, "--face-type", "full_face", "--resolution", "128")
    assert "facewright faces people sheet" in shown.out
    assert "--person person-1 --role target_performer" in shown.out, "a name that is there"
    assert "--role target_performer" in shown.out, "which side it is, is known by the folder"
    faces = Faceset.open(faceset)
    assert sorted(faces.people()) == ["person-1", "person-2"]

    monkeypatch.setattr(identity, "identity_net", lambda: None)
    error = refused("consent", "new", *NOW, "--name", "Cy", "--faceset", faceset, "--person", "nobody")
    assert "person-1, person-2" in error["remedy"]
    made = cli("consent", "new", *NOW, "--name", "Cy", "--role", "target_performer", "--faceset", faceset, "--person",
               "person-2", "--json").json()
    faces = Faceset.open(faceset)
    assert faces.consent == "", "the other person agreed to nothing"
    named = {faces.person_of(face): face.consent for face in faces}
    assert named == {"person-1": "", "person-2": made["reference"]}
    assert "Cy (valid): 3" in cli("faces", "info", faceset).out
