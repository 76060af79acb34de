"""The group `model`, as a person and a script use it."""

from __future__ import annotations

import os

import pytest
from tests.tiny_run import make

from facewright.jobs.job import Job
from facewright.jobs.run import holding
from facewright.models import checkpoint
from facewright.models.run_folder import RunFolder
from facewright.project import new
from facewright.training.settings import SaehdTrain
from facewright.training.swap_step import TrainStep


@pytest.fixture
def project(tmp_path, monkeypatch):
    made = new(tmp_path / "film")
    for name, moment in (("old", 1e9), ("newer", 2e9)):
        make(made.run(name), (10, 20))
        for file in ("run.json", "history.jsonl"):
            os.utime(made.run(name) / file, (moment, moment))
    monkeypatch.chdir(made.root)
    return made


def test_in_a_project_names_are_enough(cli, project):
    rows = cli("model", "list", "--json").json()
    assert {r["name"] for r in rows} == {"old", "newer"}
    text = cli("model", "list").out
    assert "liae-ud 64 full_face" in text
    assert "trained" in text
    assert cli("model", "info", "--json").json()["name"] == "newer"
    assert cli("model", "info", "old").out.startswith("runs/old: saehd, trained, iteration 20")
    assert "start" in cli("model", "history", "old").out


def test_the_way_of_a_run(cli, project):
    assert cli("model", "snapshot", "old", "before gan").code == 0
    assert cli("model", "reset", "old", "inter_AB", "--yes", "--json").json()["parts"] == ["inter_AB"]
    done = cli("model", "restore", "old", "before gan", "--json").json()
    assert (done["iteration"], done["kept_as"], done["changed"]) == (20, "before-restore", True)
    assert "Nothing to do" in cli("model", "restore", "old", "before gan").out
    assert cli("model", "rename", "old", "first").code == 0
    assert cli("model", "copy", "first", "second").code == 0
    assert [c.facts.name for c in checkpoint.list_all(project.run("second"))] == ["", "before gan", "before-restore"]
    said = cli("model", "delete", "first")
    assert "facewright model trash restore first" in said.out
    assert cli("model", "trash", "list", "--json").json()[0]["name"] == "first"
    assert cli("model", "trash", "restore", "first", "--as", "again").code == 0
    assert cli("model", "info", "again", "--json").json()["iteration"] == 20
    assert cli("model", "delete", "again").code == 0
    assert cli("model", "trash", "empty", "--yes", "--json").json() == {"deleted": ["again"]}
    assert cli("model", "trash", "list").out == "The trash is empty.\n"
    assert project.latest_run().name == "newer", "none of this is training"


def test_a_mistyped_folder_is_not_made(refused, project, tmp_path):
    for words in (["list", tmp_path / "rns"], ["trash", "list", tmp_path / "rns"],
                  ["trash", "restore", "old", "--in", tmp_path / "rns"],
                  ["trash", "empty", "--yes", "--in", tmp_path / "rns"]):
        assert "no folder" in refused("model", *words)["what"]
        assert not (tmp_path / "rns").exists()


def test_bundles(cli, refused, project, tmp_path, monkeypatch):
    file, run = tmp_path / "moved.zip", RunFolder.open(project.run("old"))
    assert "record" in refused("model", "bundle", "old", file)["what"], "nobody allowed it"
    assert not file.exists()
    assert cli("consent", "new", "--who", "adult", "--adult", "--use", "Film A, scene 12: her face on the double.",
               "--proof", "now", "--name", "Ada").code == 0
    reference = cli("consent", "show", "Ada", "--json").json()["standing"]["reference"]
    run.note(likenesses=[one | {"consent": reference} for one in run.extra["likenesses"]])
    assert "1 record" in cli("model", "bundle", "old", file).out
    assert '"model.exported"' in (project.root / "ledger.jsonl").read_text()
    elsewhere = new(tmp_path / "elsewhere")
    monkeypatch.chdir(elsewhere.root)
    said = cli("model", "unbundle", file, "moved")
    assert said.code == 0
    assert "is not kept here" in said.out
    assert elsewhere.run("moved").is_dir()


def test_compare_draws(cli, project, tmp_path):
    said = cli("model", "compare", "old", "newer", "--plot", tmp_path / "plot.png")
    assert said.code == 0
    assert "old" in said.out.splitlines()[0]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert cli("model", "compare", "old", "newer", "--json").json()["comparable"]


def test_refusals(refused, project, tmp_path):
    assert "must be confirmed" in refused("model", "reset", "old", "inter_B")["what"]
    refused("model", "reset", "old", "nonsense", "--yes")
    refused("model", "compare", "old")
    refused("model", "info", "nothing")
    refused("model", "rename", "old", "../x")
    refused("model", "rename", "old", "newer")
    refused("model", "copy", "old", "newer")
    refused("model", "snapshot", "old", "000000010")
    refused("model", "restore", "old", "nothing")
    refused("model", "unbundle", tmp_path / "none.zip", "x")
    refused("model", "trash", "restore", "nothing")
    assert checkpoint.load_latest(project.run("old")).iteration == 20


def test_outside_of_a_project_the_folder_is_named(refused, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "FOLDER" in refused("model", "list")["what"]
    make(tmp_path / "run")
    assert cli("model", "list", ".", "--json").json()[0]["name"] == "run"
    said = cli("model", "delete", "run")
    assert "--in ." in said.out
    assert cli("model", "trash", "restore", "run", "--in", ".").code == 0


@pytest.mark.parametrize("words", [
    ("rename", "old", "x"), ("delete", "old"), ("reset", "old", "inter_B", "--yes"), ("restore", "old", "000000010"),
    ("snapshot", "old", "x"), ("copy", "old", "x"), ("bundle", "old", "x.zip"),
], ids=" ".join)
def test_nothing_of_a_run_that_a_job_holds(refused, project, words):
    step = TrainStep(str(project.run("old")), "src", "dst", "saehd", SaehdTrain())
    step.inputs = dict
    job = Job.create(step)
    with job.lock, holding(project.run("old")):
        error = refused("model", *words)
    assert job.id[-6:] in error["remedy"]
    assert sorted(p.name for p in (project.root / "runs").iterdir()) == ["newer", "old"]
    assert [c.facts.name for c in checkpoint.list_all(project.run("old"))] == ["", ""]


def test_a_stopped_job_is_told_after_a_rename(cli, project):
    step = TrainStep(str(project.run("old")), "src", "dst", "saehd", SaehdTrain())
    step.inputs = dict
    job = Job.create(step)
    assert job.id[-6:] in cli("model", "rename", "old", "x").out
