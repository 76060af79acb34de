from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from tests import tiny_run

from facewright.core.errors import TrainingRefused
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models import checkpoint
from facewright.training import collapse, history, rescue, snapshots
from facewright.training.curve import read_losses
from facewright.training.rescue import Blame, Change
from facewright.training.settings import Quick96Train, SaehdTrain, XSegTrain
from facewright.training.swap_step import TrainStep
from facewright.training.swapping import Swapping

TINY = {"resolution": 64, "archi": "df-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
GAN = Change("gan_power", 0.0, 0.1, 40)
LR = Change("lr", 5e-5, 0.01, 50)


@pytest.mark.parametrize(
    ("sign", "given", "changes", "bf16", "name", "step"),
    [
        ("loss", {"lr": 0.01, "gan_power": 0.1}, [GAN, LR], False, "lr", {"lr": 5e-5}),
        ("loss", {"lr": 0.01, "gan_power": 0.1}, [LR, GAN], False, "gan_power", {"gan_power": 0.05}),
        ("loss", {"lr": 1e-5, "gan_power": 0.1}, [LR, dataclasses.replace(LR, before=0.01, now=1e-5)], False,
         "gan_power", {"clipgrad": True}),
        ("number", {"clipgrad": True}, [], True, "precision", {"precision": "float32"}),
        ("number", {}, [], True, "precision", {"clipgrad": True}),
        ("loss", {"true_face_power": 0.02, "clipgrad": True}, [], False, "true_face_power", {"true_face_power": 0.01}),
        ("variance", {"bg_style_power": 8.0, "clipgrad": True}, [], False, "bg_style_power", {"bg_style_power": 4.0}),
        ("loss", {"lr": 1e-3}, [], False, "lr", {"clipgrad": True}),
        ("loss", {"lr": 1e-3, "clipgrad": True}, [], False, "lr", {"lr": 5e-4}),
        ("loss", {}, [], False, "clipgrad", {"clipgrad": True}),
        ("loss", {"random_warp": False}, [Change("random_warp", True, False, 9)], False, "random_warp",
         {"random_warp": True}),
        ("loss", {"ct_mode": "rct"}, [Change("ct_mode", "none", "rct", 9)], False, "ct_mode", {"ct_mode": "none"}),
    ],
)
def test_who_is_to_blame_and_the_next_step(sign, given, changes, bf16, name, step):
    s = check(SaehdTrain, given)
    cause = rescue.blame(sign, s, changes, bf16)
    assert cause.name == name
    assert rescue.safer(s, cause, bf16) == step


def test_the_ladder_has_an_end_nowhere_and_suits_every_net():
    for cls in (Quick96Train, XSegTrain):
        s, seen = cls(), []
        for _ in range(4):
            step = rescue.safer(s, rescue.blame("loss", s, [], False), False)
            seen.append(next(iter(step)))
            s = check(cls, s.model_dump() | step)
        assert seen == ["clipgrad", "lr", "lr", "lr"]


def test_a_recipe_does_not_undo_a_safer_value():
    events = [{"kind": "collapse", "iteration": 5, "safer": {"gan_power": 0.05, "clipgrad": True}}]
    limits = rescue.held(events)
    assert rescue.capped({"gan_power": 0.1, "clipgrad": False, "lr": 1.0}, limits) == {
        "gan_power": 0.05, "clipgrad": True, "lr": 1.0}
    assert rescue.capped({"gan_power": 0.0}, limits) == {"gan_power": 0.0}
    mine = {"kind": "setting", "by": "user", "name": "gan_power", "now": 0.2}
    assert rescue.held([*events, mine]) == {"clipgrad": True}
    assert rescue.held([*events, {"kind": "start", "says": {"clipgrad": False}}]) == {"gan_power": 0.05}


# ---- in real trainings of a tiny net


def step(pair, run, **settings):
    values = {"batch_size": 2, "precision": "float32", "iterations": 60, "preview_seconds": 0, "threads": 1, "lr": 1e-4}
    return TrainStep(str(run), str(pair[0]), str(pair[1]), "saehd", check(SaehdTrain, values | settings), shape=TINY)


class Seen:
    """A Work that records, and asks at given iterations, each once."""

    def __init__(self, asks=None):
        self.notes, self.asks, self.calls = [], dict(asks or {}), 0
        self.work = Work(
            progress=lambda *a, **k: None, changes=self._changes, note=lambda k, **f: self.notes.append((k, f))
        )

    def _changes(self):
        found = self.asks.pop(self.calls, [])
        self.calls += 1
        return found

    def of(self, kind):
        return [facts for k, facts in self.notes if k == kind]


def learn(step_, asks=None):
    seen = Seen(asks)
    results = list(step_.stream(step_.plan(), seen.work))
    return seen, results[0][1] if results else None


@pytest.fixture
def quick_signs(monkeypatch):
    """Short blocks, and little to lose: a few dozen iterations of a net that has learned next to nothing suffice."""
    for name, value in {"RATIO": 1.3, "BLOCK": 2, "KNOWN": 4, "STAYS": 4, "SETTLED": 0, "AGAIN": 3}.items():
        monkeypatch.setattr(collapse, name, value)


def sums(saved):
    return {name: saved.state["files"][name] for name in ("weights", "optimiser")}


HUGE = {12: [{"do": "save"}], 13: [{"set": {"lr": 0.1}}], 16: [{"do": "save"}]}


def test_a_huge_rate_is_undone_and_the_good_save_comes_back(pair, tmp_path, quick_signs):
    run, seen = tmp_path / "run", Seen(dict(HUGE))
    one = step(pair, run)
    with pytest.raises(TrainingRefused, match="the loss rose") as caught:
        list(one.stream(one.plan(), seen.work))
    assert "lr went from 0.0001 to 0.1 at iteration 13" in caught.value.why
    assert "`--lr 0.0001`" in caught.value.remedy
    assert "iteration 12" in caught.value.remedy
    now = snapshots.newest(run)
    assert now.iteration == 12
    assert checkpoint.load(run, now.folder.name).iteration == 12, "whole, as its digests say"
    assert read_losses(run / "losses.bin")["iteration"].max() == 12
    (event,) = history.events(run / "history.jsonl", "collapse")
    assert (event["iteration"], event["blamed"], event["set"]) == (12, "lr", {})
    bad = [c for c in checkpoint.list_all(run) if c.iteration > 12]
    assert not bad or {c.facts.name for c in bad} == {"collapsed"}, "what is not sound stays, and says so"

    # The same command again goes on from there, without what broke it.
    before = sums(now)
    again, summary = learn(step(pair, run, iterations=14))
    assert summary["iterations"] == 14
    assert not again.of("warning")
    assert sums(checkpoint.load(run, now.folder.name)) == before
    assert snapshots.newest(run).extra["train"]["lr"] == 1e-4


def test_going_on_by_itself_takes_the_safer_value(pair, tmp_path, quick_signs):
    seen, summary = learn(step(pair, tmp_path / "run", on_collapse="safer", iterations=40), dict(HUGE))
    assert summary["iterations"] == 40
    (told,) = seen.of("collapse")
    assert "on with --lr 0.0001" in told["text"]
    kinds = [e["kind"] for e in history.events(tmp_path / "run" / "history.jsonl")]
    assert kinds.count("start") == 2
    assert kinds.count("collapse") == 1
    assert kinds[-1] == "end"
    assert snapshots.newest(tmp_path / "run").extra["train"]["lr"] == 1e-4
    assert (read_losses(tmp_path / "run" / "losses.bin")["iteration"] == range(1, 41)).all()


def test_no_number_goes_down_the_ladder_three_times_at_most(pair, tmp_path, monkeypatch):
    real, steps = Swapping.judge, []

    def broken(self, iteration, one, how):
        views, terms = real(self, iteration, one, how)
        if iteration == 3:
            steps.append((self.settings.clipgrad, self.settings.lr))
            terms["src_dssim"] = terms["src_dssim"] * torch.nan
        return views, terms

    monkeypatch.setattr(Swapping, "judge", broken)
    one = step(pair, tmp_path / "run", on_collapse="safer", iterations=6)
    seen = Seen({2: [{"do": "save"}]})
    with pytest.raises(TrainingRefused, match="not a number") as caught:
        list(one.stream(one.plan(), seen.work))
    assert steps == [(False, 1e-4), (True, 1e-4), (True, 5e-5), (True, 2.5e-5)]
    assert "--lr 1.25e-05" in caught.value.remedy
    assert snapshots.newest(tmp_path / "run").iteration == 2
    assert len(seen.of("collapse")) == 4


def test_faces_without_variance_are_never_saved(pair, tmp_path, quick_signs, monkeypatch):
    monkeypatch.setattr(Swapping, "life", lambda self: 0.9 if self.done < 4 else 0.0)
    one, seen = step(pair, tmp_path / "run", iterations=20), Seen({2: [{"do": "save"}], 5: [{"do": "save"}]})
    with pytest.raises(TrainingRefused, match="lost what tells them"):
        list(one.stream(one.plan(), seen.work))
    assert [s["iteration"] for s in seen.of("save")] == [2]
    assert "Not saved at iteration 5" in seen.of("warning")[0]["text"]
    assert snapshots.newest(tmp_path / "run").iteration == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from facewright.training import rescue, history
from facewright.training.collapse import Collapsed
from facewright.models import checkpoint
from facewright.training.settings import SaehdTrain
from types import SimpleNamespace
run = Path(sys.argv[1])
target, name = (history, "note") if sys.argv[2] == "note" else (rescue.snapshots.checkpoint, "set_current")
setattr(target, name, lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
saves = [(c.iteration, c.folder.name) for c in checkpoint.list_all(run)]
t = SimpleNamespace(run=run, settings=SaehdTrain(), bf16=False, saved=None)
rescue.go_back(t, saves, 15, Collapsed("loss", 30, "it rose"), 0)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9")
@pytest.mark.parametrize(("where", "iteration"), [("note", 10), ("current", 20)])
def test_killed_on_the_way_back_the_run_is_sound(tmp_path, where, iteration):
    run = tmp_path / "run"
    tiny_run.make(run, (10, 20))
    good = sums(checkpoint.list_all(run)[0])
    done = subprocess.run([sys.executable, "-c", KILLED, str(run), where], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    snapshots.settle(run)
    found = checkpoint.load_latest(run)
    assert found.iteration == iteration
    assert not found.damaged
    assert read_losses(run / "losses.bin")["iteration"].max() == iteration
    assert sums(checkpoint.list_all(run)[0]) == good, "bit by bit what it was"


def test_without_a_sound_save_it_says_how_to_start_over(tmp_path):
    run = tmp_path / "run"
    tiny_run.make(run, (10,))
    name = checkpoint.list_all(run)[0].folder.name
    t = SimpleNamespace(run=run, settings=check(SaehdTrain, {"on_collapse": "safer"}), bf16=False, saved=None)
    back = rescue.go_back(t, [(10, name)], 5, collapse.Collapsed("loss", 30, "it rose"), 3)
    assert not back.again
    assert "model reset" in back.error.remedy
    assert Blame("clipgrad", "").change is None
