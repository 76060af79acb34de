"""Recipes, plateaus and changed settings in real trainings of a tiny net."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from facewright.core.errors import SettingRefused, TrainingRefused
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models import checkpoint
from facewright.models.net import build
from facewright.training import desk as desk_file
from facewright.training import history, plateau, reset, runs, snapshots, swapping
from facewright.training.curve import read_losses
from facewright.training.settings import SaehdTrain
from facewright.training.swap_step import TrainStep

TINY = {"resolution": 64, "archi": "liae-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}


def plan(*stages, mine=(), begin="", name="test"):
    return {"recipe": name, "stages": list(stages), "mine": list(mine), "begin": begin, "where": ""}


def step(pair, folder, recipe=None, said=(), **settings):
    values = {"batch_size": 2, "precision": "float32", "iterations": 6, "preview_seconds": 0, "lr": 1e-3, "threads": 1}
    return TrainStep(str(folder), str(pair[0]), str(pair[1]), "saehd", check(SaehdTrain, values | settings), shape=TINY,
                     recipe=recipe or {}, said=list(said))


class Watched:
    """Runs a step; `asks`: iteration of this session -> requests, or "stop"."""

    def __init__(self, step_, **asks):
        self.notes, self.progress, calls = [], [], iter(range(10**6))
        self.work = Work(progress=lambda done, total=None, note="", **f: self.progress.append((done, total, note, f)),
                         note=lambda kind, **facts: self.notes.append((kind, facts)))

        def changes():
            wish = asks.get(f"at{next(calls)}", [])
            if wish == "stop":
                self.work.stop.ask()
            return [] if wish == "stop" else wish

        self.work.changes = changes
        results = list(step_.stream(step_.plan(), self.work))
        self.result = results[0][1] if results else None

    def of(self, kind, *names):
        return [tuple(f[n] for n in names) if len(names) != 1 else f[names[0]] for k, f in self.notes if k == kind]


def names(folder):
    return {c.facts.name: c.iteration for c in checkpoint.list_all(folder) if c.facts.name}


def equal(a, b):
    return all(torch.equal(a[n], b[n]) for n in a)


ROAD = plan({"name": "warp", "iterations": 3},
            {"name": "straight", "iterations": 2, "settings": {"random_warp": False}},
            {"name": "sharp", "iterations": 2, "settings": {"gan_power": 0.1, "gan_dims": 4}, "snapshot": False})


def test_a_recipe_is_followed_to_its_end_and_everything_shows_it(pair, tmp_path):
    folder = tmp_path / "run"
    seen = Watched(step(pair, folder, ROAD, iterations=0))
    assert seen.result["iterations"] == 7, "a recipe that ends ends the training"
    begun = [(f["iteration"], f["stage"]) for k, f in seen.notes if k == "stage" and "stage" in f]
    assert begun == [(0, "warp"), (3, "straight"), (5, "sharp")]
    assert seen.of("next_stage", "iteration", "stage") == [(2, "straight"), (4, "sharp")]
    shown = seen.of("next_stage", "text")
    assert shown[0] == "In 1 iteration begins stage 2 of 3 of the recipe test: straight; random_warp = False."
    assert seen.of("setting", "iteration", "name", "by") == [
        (3, "random_warp", "recipe"), (5, "gan_power", "recipe"), (5, "gan_dims", "recipe")]
    assert names(folder) == {"before-straight": 3, "before-gan-power": 5}, "a risky stage is kept whatever it says"
    assert seen.progress[-1][:3] == (7, 7, "stage 3 of 3, sharp")
    assert "eta_s" in seen.progress[-1][3]
    rows = [(r["iteration"], r["text"]) for r in runs.rows(folder) if r["what"] == "stage"]
    assert rows[1] == (3, "Stage 2 of 3 of the recipe test: straight. It ends after 2 iterations.")
    marks = history.marks(history.events(folder / "history.jsonl"))
    assert marks == [(0, "warp"), (3, "straight"), (5, "sharp")]
    assert Watched(step(pair, folder, ROAD, iterations=0)).result["iterations"] == 7, "nothing is left to do"


@pytest.mark.parametrize("at", [4, 5])
def test_stopped_anywhere_it_goes_on_bit_equal(pair, tmp_path, at):
    recipe = plan({"name": "warp", "iterations": 4, "reset": "inter_AB", "reset_every": 100},
                  {"name": "straight", "settings": {"lr": 5e-4, "uniform_yaw": True}, "reset": "inter_B"})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    Watched(step(pair, whole, recipe))
    Watched(step(pair, parts, recipe), **{f"at{at}": "stop"})
    again = Watched(step(pair, parts, recipe))
    assert (whole / "losses.bin").read_bytes() == (parts / "losses.bin").read_bytes()
    one, two = (checkpoint.load_latest(p) for p in (whole, parts))
    assert equal(one.weights(), two.weights())
    assert equal(one.ema(), two.ema())
    assert one.extra["place"] | {"at_s": 0, "begun_s": 0} == two.extra["place"] | {"at_s": 0, "begun_s": 0}
    if at == 5:
        assert not [f for k, f in again.notes if k == "setting"], "the stage was begun before"


def test_a_part_begins_afresh_in_memory_as_it_does_on_disk(pair, tmp_path):
    folder = tmp_path / "run"
    recipe = plan({"name": "a", "iterations": 2}, {"name": "b", "reset": "inter_AB"})
    seen = Watched(step(pair, folder, recipe, lr=1e-7, ema=True), at2=[], at3="stop")
    before, after = checkpoint.load(folder, "before-b"), checkpoint.load_latest(folder)
    assert (before.iteration, after.iteration) == (2, 3)
    fresh = build("saehd", step(pair, folder).shape_settings(), seed=2).state_dict()
    for name, value in after.weights().items():
        source = fresh[name] if name.startswith("inter_AB.") else before.weights()[name]
        assert torch.allclose(value, source, atol=2e-6), name
        assert torch.allclose(after.ema()[name], fresh[name] if name.startswith("inter_AB.") else before.ema()[name],
                              atol=1e-3 if not name.startswith("inter_AB.") else 2e-6), name
    assert seen.of("reset", "iteration") == [2]
    event = history.events(folder / "history.jsonl", "reset")[0]
    assert (event["parts"], event["by"], event["iteration"]) == (["inter_AB"], "recipe", 2)
    row = next(r for r in runs.rows(folder) if r["what"] == "reset")
    assert row["text"] == "inter_AB from seed 2, by the recipe"
    assert after.extra["comparable_from"] == 2


def test_what_the_user_gave_stays_the_user_s(pair, tmp_path):
    recipe = plan({"name": "a", "iterations": 2}, {"name": "b", "settings": {"lr": 5e-4, "random_warp": False}},
                  mine=["lr"])
    seen = Watched(step(pair, tmp_path / "run", recipe, iterations=3))
    assert seen.of("setting", "name", "now") == [("random_warp", False)]


def test_a_stage_waits_for_the_go_ahead(pair, tmp_path):
    recipe = plan({"name": "a", "iterations": 2}, {"name": "b", "hold": 50})
    seen = Watched(step(pair, tmp_path / "run", recipe), at4=[{"do": "next"}])
    assert seen.of("waiting", "iteration", "stage") == [(2, "b")]
    assert "jobs next ID" in seen.of("waiting", "text")[0]
    assert seen.of("stage", "iteration") == [0, 4]
    seen = Watched(step(pair, tmp_path / "other"), at1=[{"do": "next"}])
    assert "no recipe" in seen.of("refused", "text")[0]


def test_a_training_ends_where_the_faces_are_to_be_exchanged(pair, tmp_path):
    folder = tmp_path / "run"
    recipe = plan({"name": "a", "iterations": 2}, {"name": "b", "iterations": 2, "stop": "Give other faces"})
    seen = Watched(step(pair, folder, recipe, iterations=0), at2=[{"do": "save"}])
    assert seen.result is None
    assert seen.of("waiting", "text") == ["Stopped before stage b. Give other faces. Starting again begins it."]
    seen = Watched(step(pair, folder, recipe, iterations=0))
    assert (seen.result["iterations"], seen.of("stage", "iteration")[0]) == (4, 2)


def test_another_recipe_begins_where_the_run_is_and_a_stage_can_be_chosen(pair, tmp_path):
    folder = tmp_path / "run"
    Watched(step(pair, folder, iterations=2))
    other = plan({"name": "a", "iterations": 2, "settings": {"uniform_yaw": True}},
                 {"name": "b", "settings": {"random_warp": False}}, name="other")
    seen = Watched(step(pair, folder, other, iterations=3))
    assert seen.of("stage", "iteration", "stage") == [(2, "a")]
    chosen = other | {"begin": "b"}
    seen = Watched(step(pair, folder, chosen, iterations=4))
    assert seen.of("stage", "iteration", "stage") == [(3, "b")]
    now = checkpoint.load_latest(folder).extra["train"]
    assert (now["uniform_yaw"], now["random_warp"]) == (True, False), "with what the stages before it change"
    seen = Watched(step(pair, folder, other | {"begin": "a"}, iterations=6), at1="stop")
    seen = Watched(step(pair, folder, other | {"begin": "a"}, iterations=6))
    assert seen.of("stage", "iteration", "stage") == [(6, "b")], "the same command goes on"


def test_a_stage_begun_again_has_nothing_of_those_after_it(pair, tmp_path):
    folder = tmp_path / "run"
    road = plan({"name": "a", "iterations": 2}, {"name": "b", "iterations": 1, "settings": {"random_warp": False}},
                {"name": "c", "settings": {"uniform_yaw": True}})
    Watched(step(pair, folder, road, iterations=4))
    now = checkpoint.load_latest(folder).extra["train"]
    assert (now["random_warp"], now["uniform_yaw"]) == (False, True)
    seen = Watched(step(pair, folder, road | {"begin": "a"}, iterations=5))
    assert seen.of("stage", "iteration", "stage") == [(4, "a")]
    now = checkpoint.load_latest(folder).extra["train"]
    assert (now["random_warp"], now["uniform_yaw"]) == (True, False)
    other = plan({"name": "x", "settings": {"random_src_flip": True}}, name="other")
    Watched(step(pair, folder, road | {"begin": "c"}, iterations=6))
    Watched(step(pair, folder, other, iterations=7))
    now = checkpoint.load_latest(folder).extra["train"]
    assert now["random_src_flip"], "what another recipe does not speak of stays"


def test_a_model_that_starts_over_starts_its_recipe_over(pair, tmp_path):
    folder = tmp_path / "run"
    road = plan({"name": "a", "iterations": 2}, {"name": "b", "settings": {"random_warp": False}})
    Watched(step(pair, folder, road, iterations=4), at1=[{"set": {"lr": 2e-3}}])
    reset.reset(folder, reset.ALL)
    seen = Watched(step(pair, folder, road, iterations=1))
    now = checkpoint.load_latest(folder).extra["train"]
    assert seen.of("stage", "iteration", "stage") == [(0, "a")]
    assert (now["random_warp"], now["lr"]) == (True, 1e-3)


def test_what_a_stage_cannot_do_stops_before_the_first_iteration(pair, tmp_path):
    for stage, words in (({"reset": "inter_C"}, "inter_C"), ({"settings": {"true_face_power": 0.1}}, "df nets only"),
                         ({"settings": {"lr": 9}}, "lr")):
        with pytest.raises(SettingRefused, match=words) as caught:
            step(pair, tmp_path / "run", plan({"name": "a", **stage})).plan()
        assert "stage a" in caught.value.where
    assert not (tmp_path / "run").exists()


def test_a_stage_that_no_longer_fits_the_user_s_changes_is_said_and_training_goes_on(pair, tmp_path):
    recipe = plan({"name": "a", "iterations": 3}, {"name": "b", "settings": {"lr_schedule": "cosine"}})
    seen = Watched(step(pair, tmp_path / "run", recipe), at1=[{"set": {"iterations": 0}}], at4="stop")
    assert "an end that is not set" in seen.of("refused", "text")[0]
    assert seen.of("stage", "iteration") == [0, 3]


@pytest.mark.parametrize("name", ["gan_power", "face_style_power"])
def test_before_a_risk_the_model_is_kept_however_it_comes(pair, tmp_path, name):
    folder, flag = tmp_path / "run", name.replace("_", "-")
    Watched(step(pair, folder, iterations=4), at2=[{"set": {name: 0.1}}], at3=[{"set": {name: 0.2}}])
    assert names(folder) == {f"before-{flag}": 2}
    Watched(step(pair, folder, iterations=5, said=[name]))
    Watched(step(pair, folder, iterations=6, **{name: 0.3}))
    assert names(folder) == {f"before-{flag}": 2, f"before-{flag}-2": 5}


def test_a_restored_snapshot_goes_on_without_the_risk(pair, tmp_path):
    folder = tmp_path / "run"
    Watched(step(pair, folder, iterations=4), at2=[{"set": {"gan_power": 0.1}}])
    snapshots.restore(folder, "before-gan-power")
    Watched(step(pair, folder, iterations=4))
    assert checkpoint.load_latest(folder).extra["train"]["gan_power"] == 0


def test_the_end_can_be_raised_and_cleared_while_it_runs_and_at_the_next_start(pair, tmp_path):
    folder = tmp_path / "run"
    seen = Watched(step(pair, folder, iterations=3), at2=[{"set": {"iterations": 5, "lr": 5e-4}}])
    assert seen.result["iterations"] == 5
    seen = Watched(step(pair, folder, iterations=3), at0=[])
    assert seen.result["iterations"] == 5, "the same command: the end is where it was moved to"
    seen = Watched(step(pair, folder, iterations=6))
    assert seen.result["iterations"] == 6
    assert checkpoint.load_latest(folder).extra["train"]["lr"] == 5e-4, "what was changed before stays"
    seen = Watched(step(pair, folder, iterations=0), at2="stop")
    assert (seen.result, checkpoint.load_latest(folder).iteration) == (None, 8), "no end"
    seen = Watched(step(pair, folder, iterations=20), at1=[{"set": {"iterations": 0}}], at3="stop")
    assert (seen.result, checkpoint.load_latest(folder).iteration) == (None, 11), "cleared while it ran"
    seen = Watched(step(pair, folder, iterations=0, minutes=1e-4))
    assert seen.result["iterations"] == 11, "minutes of all sessions count"
    seen = Watched(step(pair, folder, iterations=0, minutes=50), at1=[{"set": {"minutes": 1e-4}}])
    assert seen.result["iterations"] == 12


@pytest.fixture
def soon(monkeypatch):
    """Plateaus within a few iterations: the arithmetic is tested elsewhere."""
    monkeypatch.setattr(plateau, "LEAST", 1)
    monkeypatch.setattr(plateau, "PIECES", 1)
    monkeypatch.setattr(plateau, "_AGAIN", 1)
    monkeypatch.setattr(plateau, "fall_of", lambda levels: (0.0, 0.0))


def test_a_plateau_is_said_once_and_remembered(pair, tmp_path, soon):
    folder = tmp_path / "run"
    seen = Watched(step(pair, folder))
    assert seen.of("plateau", "iteration") == [3]
    assert "less than 2.0%" in seen.of("plateau", "text")[0]
    assert not Watched(step(pair, folder, iterations=8)).of("plateau")
    assert (3, "flat") in history.marks(history.events(folder / "history.jsonl"))
    seen = Watched(step(pair, folder, iterations=13, uniform_yaw=True))
    assert seen.of("plateau", "iteration") == [11], "another lesson, another plateau"


def test_a_plateau_ends_a_training_if_asked(pair, tmp_path, soon):
    folder = tmp_path / "run"
    seen = Watched(step(pair, folder, on_plateau="stop", iterations=0))
    assert seen.result["iterations"] == 3
    assert Watched(step(pair, folder, on_plateau="stop", iterations=0)).result["iterations"] == 3
    assert Watched(step(pair, folder, on_plateau="notice", iterations=4)).result["iterations"] == 4


def test_a_plateau_is_not_looked_for_under_a_falling_rate_or_when_unwanted(pair, tmp_path, soon):
    assert not Watched(step(pair, tmp_path / "a", lr_schedule="cosine")).of("plateau")
    assert not Watched(step(pair, tmp_path / "b", plateau=0.0)).of("plateau")


def test_a_change_of_what_is_learned_begins_the_watch_anew(pair, tmp_path, soon):
    seen = Watched(step(pair, tmp_path / "run"), at2=[{"set": {"lr": 5e-4}}], at3=[{"set": {"save_minutes": 5}}])
    assert seen.of("plateau", "iteration") == [5]


def test_a_stage_can_end_with_a_plateau(pair, tmp_path, soon, monkeypatch):
    monkeypatch.setattr("facewright.training.course.AHEAD", 2)
    recipe = plan({"name": "a", "plateau": 0.02}, {"name": "b", "iterations": 1})
    seen = Watched(step(pair, tmp_path / "run", recipe, iterations=0, on_plateau="stop"))
    assert seen.of("next_stage", "iteration") == [3]
    assert [f["iteration"] for k, f in seen.notes if k == "stage" and "stage" in f] == [0, 5]
    assert seen.result["iterations"] == 6


class Told:
    """Stands in for the messenger."""

    def __init__(self):
        self.sent, self.closed = [], False

    def send(self, notice):
        self.sent.append(notice)

    def failures(self):
        return ["It was not told."] if len(self.sent) == 1 and not self.closed else []

    def close(self):
        self.closed = True


def test_the_world_outside_hears_of_plateau_stages_end_and_collapse(pair, tmp_path, soon, monkeypatch):
    told = Told()
    monkeypatch.setattr(desk_file, "Messenger", lambda: told)
    seen = Watched(step(pair, tmp_path / "my run", plan({"name": "a", "iterations": 4}, {"name": "b", "hold": 1}),
                        iterations=6))
    assert [(n.event, n.iteration, n.stage) for n in told.sent] == [
        ("plateau", 3, "a"), ("waiting", 4, "a"), ("stage", 5, "b"), ("end", 6, "b")]
    assert {n.run for n in told.sent} == {"my run"}
    assert told.closed
    assert "It was not told." in [f["text"] for k, f in seen.notes if k == "warning"]
    told.sent.clear()
    real = swapping.objective
    monkeypatch.setattr(swapping, "objective", lambda *a, **k: {n: v * np.nan for n, v in real(*a, **k).items()})
    with pytest.raises(TrainingRefused):
        Watched(step(pair, tmp_path / "my run", iterations=9))
    assert [n.event for n in told.sent] == ["collapse", "stopped"]


def test_the_curve_shows_every_change_at_its_iteration(pair, tmp_path):
    folder = tmp_path / "run"
    Watched(step(pair, folder, ROAD, iterations=0), at1=[{"set": {"lr": 5e-4}}])
    picture = np.array(Image.open(io.BytesIO((folder / "loss.png").read_bytes())).convert("RGB")).astype(int)
    gold = np.abs(picture - (150, 120, 40)).sum(-1) < 40
    columns = np.flatnonzero(gold[200:390].any(0))
    first, last = read_losses(folder / "losses.bin")["iteration"][[0, -1]]
    wanted = {64 + int((i - first) * 880 // (last - first + 1)) for i in (1, 3, 5)}
    assert wanted <= set(columns.tolist())


def test_automatic_snapshots_every_n_hours(pair, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    Watched(step(pair, folder, iterations=1))
    now = history.began_s(folder / "history.jsonl")
    assert not snapshots.due(folder, 0, now + 10**9)
    assert not snapshots.due(folder, 2, now + 7199)
    assert snapshots.due(folder, 2, now + 7201)
    monkeypatch.setattr(snapshots.time, "time", lambda: now + 7201)
    Watched(step(pair, folder, iterations=2, autobackup_hours=2))
    assert names(folder) == {"auto-000000002": 2}
    made = checkpoint.load(folder, "auto-000000002").facts.saved_at_s
    assert not snapshots.due(folder, 2, made + 7199)
    assert snapshots.due(folder, 2, made + 7201)
    assert snapshots.keep_current(folder, "before-reset") == "before-reset", "one that goes some day is not relied on"
    with pytest.raises(SettingRefused):
        snapshots.snapshot(folder, "auto-000000007")
