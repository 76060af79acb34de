"""Recipes from the command line: looked at, written, followed, taken up again."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from facewright.models import checkpoint
from facewright.training import history

from .conftest import TINY

MINE = """
help: Two stages of mine
nets: [saehd]
shape: {archi: df-ud, resolution: 64, ae_dims: 32, e_dims: 16, d_dims: 16, d_mask_dims: 16}
settings: {precision: float32, threads: 1, batch_size: 2, preview_seconds: 0}
stages:
  - {name: first, iterations: 2, settings: {lr: 1e-4}}
  - {name: last, settings: {random_warp: no, uniform_yaw: true}}
"""


@pytest.fixture
def project(cli, tmp_path, monkeypatch, world) -> Path:
    folder = tmp_path / "film"
    assert cli("new", folder).code == 0
    monkeypatch.chdir(folder)
    for side in ("src", "dst"):
        shutil.copytree(getattr(world, side), folder / "facesets" / side)
    (folder / "mine.yaml").write_text(MINE)
    return folder


def train(cli, *words: object):
    said = cli("train", "saehd", "run", "--src", "facesets/src", "--dst", "facesets/dst", *words)
    return said, checkpoint.load_latest(Path("runs/run"))


def test_the_shipped_recipes_are_listed_and_shown(cli):
    listed = cli("recipes", "list")
    assert listed.code == 0
    assert [row["name"] for row in cli("recipes", "list", "--json").json()][:6] == [
        "original", "quick", "hour", "one-day", "standard", "rtm"]
    assert "saehd, amp" in listed.out
    shown = cli("recipes", "show", "rtm").out
    assert "1. general: ends after 2,000,000 iterations\n" in shown
    assert "   reset inter_AB every 500,000 iterations\n" in shown
    assert cli("recipes", "show", "rtm", "--json").json()["stages"][3]["settings"]["gan_dims"] == 32


def test_a_shipped_recipe_is_the_beginning_of_one_s_own(cli, tmp_path):
    text = cli("recipes", "show", "standard", "--yaml").out
    (tmp_path / "mine.yaml").write_text(text)
    assert "9. gan" in cli("recipes", "show", tmp_path / "mine.yaml").out


def test_what_is_no_recipe_is_refused(refused, project):
    assert refused("recipes", "show", "none-such")["remedy"].startswith("Choose one of: original")
    assert refused("recipes", "show", "nowhere.yaml")["code"] == "FW-102"
    Path("bad.yaml").write_text(MINE.replace("lr: 1e-4", "lr: 4"))
    for words in (("recipes", "show", "bad.yaml"), ("train", "saehd", "--recipe", "bad.yaml")):
        error = refused(*words)
        assert "--lr cannot be 4" in error["what"]
        assert error["where"] == "bad.yaml: stage first, --lr"
    assert "for saehd, not for quick96" in refused("train", "quick96", "--recipe", "mine.yaml")["what"]
    assert refused("train", "saehd", "--recipe", "mine.yaml", "--stage", "x")["where"] == "--stage"
    assert refused("jobs", "next", "nothing")["code"] == "FW-104"


def test_a_recipe_is_followed_kept_and_shown(cli, project):
    said, saved = train(cli, "--recipe", "mine.yaml", "--iterations", "1")
    assert said.code == 0, said
    assert "Stage 1 of 2 of the recipe mine: first. It ends after 2 iterations." in said.err
    assert (saved.extra["train"]["lr"], saved.settings["archi"]) == (1e-4, "df-ud")
    said, saved = train(cli, "--iterations", "3")
    assert "Stage 2 of 2 of the recipe mine: last" in said.err, "the run keeps its recipe"
    assert "From iteration 2 on: random_warp = False (was True)." in said.err
    assert (saved.extra["train"]["random_warp"], saved.extra["train"]["uniform_yaw"]) == (False, True)
    assert "recipe    mine, stage last" in cli("model", "info", "run").out
    told = cli("model", "history", "run").out
    assert "2          stage    Stage 2 of 2 of the recipe mine: last. It ends with the training." in told
    assert "random_warp = False (was True), by recipe" in told
    said, saved = train(cli, "--iterations", "4", "--random-warp")
    assert saved.extra["train"]["random_warp"] is True, "an option of the command wins"
    said, saved = train(cli, "--iterations", "5", "--recipe", "mine.yaml", "--stage", "first")
    assert "Stage 1 of 2" in said.err
    assert saved.extra["train"]["random_warp"] is True


def test_a_recipe_of_stages_is_put_onto_a_run_that_was_begun_without(cli, project):
    train(cli, *TINY, "--iterations", "1", "--lr", "0.001")
    said, saved = train(cli, "--iterations", "2", "--recipe", "mine.yaml")
    assert "The recipe mine begins on run as it is; the shape of its net stays." in said.err
    assert saved.extra["train"]["lr"] == 1e-4
    said, saved = train(cli, "--iterations", "3", "--recipe", "original")
    assert "followed no longer" in said.err
    assert history.stored_plan(Path("runs/run/history.jsonl")) == {}
    assert saved.extra["train"]["lr"] == 1e-4


def test_what_the_user_names_stays_through_all_stages(cli, project):
    _, saved = train(cli, "--recipe", "mine.yaml", "--iterations", "1", "--no-uniform-yaw", "--lr", "0.002")
    assert saved.extra["train"]["lr"] == 0.002
    _, saved = train(cli, "--iterations", "3")
    assert (saved.extra["train"]["uniform_yaw"], saved.extra["train"]["random_warp"]) == (False, False)


@pytest.mark.skipif(sys.platform == "win32", reason="a process in the background is POSIX's here")
def test_the_go_ahead_reaches_a_training_in_the_background(cli, project):
    Path("mine.yaml").write_text(MINE.replace("name: last,", "name: last, hold: 100000000,"))
    job = cli("train", "saehd", "run", "--src", "facesets/src", "--dst", "facesets/dst", "--recipe", "mine.yaml",
              "--background", "--json").json()["job"]
    path = next(Path("jobs").glob(f"{job}-*")) / "journal.jsonl"

    def told(words: str) -> bool:
        return path.exists() and words in path.read_text()  # the first note makes the file

    def wait_for(words: str) -> bool:
        end = time.monotonic() + 180
        while not told(words) and time.monotonic() < end:
            time.sleep(0.05)
        return told(words)

    try:
        assert wait_for("for your go-ahead")
        assert cli("jobs", "next", job[-6:]).code == 0
        assert wait_for("Stage 2 of 2")
        assert cli("jobs", "set", job[-6:], "iterations=1", "lr=0.0003").code == 0
        assert wait_for('"kind":"done"')
    finally:
        cli("jobs", "stop", job[-6:])
    assert checkpoint.load_latest(Path("runs/run")).extra["train"]["lr"] == 0.0003
