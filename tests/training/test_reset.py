"""One net afresh, everything else as it was."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from tests.tiny_run import SHAPE, make

from facewright.core.errors import DiskRefused, SettingRefused
from facewright.models import checkpoint
from facewright.models import net as model
from facewright.models.net import build
from facewright.models.run_folder import RunFolder
from facewright.models.settings import XSegSettings
from facewright.models.xseg import XSeg
from facewright.training import history
from facewright.training.optim import AdaBelief, Ema
from facewright.training.reset import chosen, reset, reset_live
from facewright.training.snapshots import restore


@pytest.fixture
def run(tmp_path):
    make(tmp_path / "one", seed=5)
    return tmp_path / "one"


def tensors(save):
    memory = save.optimiser_state()
    return save.weights(), save.ema(), dict(memory.tensors), memory.iterations


def test_the_part_is_fresh_from_the_seed_and_the_rest_is_untouched(run):
    before = tensors(checkpoint.load_latest(run))
    done = reset(run, "inter_AB")
    after = checkpoint.load_latest(run)
    weights, ema, memory, iterations = tensors(after)
    fresh = build("saehd", RunFolder.open(run).shape, seed=5).state_dict()
    for name, value in weights.items():
        mine = name.startswith("inter_AB.")
        assert torch.equal(value, fresh[name] if mine else before[0][name]), name
        assert torch.equal(ema[name], fresh[name] if mine else before[1][name]), name
    assert any(not torch.equal(before[0][n], weights[n]) for n in weights)
    assert memory.keys() == {k for k in before[2] if ":inter_AB." not in k} < before[2].keys()
    assert all(torch.equal(v, before[2][k]) for k, v in memory.items())
    assert (iterations, after.iteration, after.extra["used_s"]) == (before[3], 20, 10.0)
    assert (done.parts, done.seed, done.kept_as) == (("inter_AB",), 5, "before-reset")
    assert after.facts.loss is None
    assert after.extra["comparable_from"] == 20
    assert history.events(run / "history.jsonl")[-1] | {"at": ""} == {
        "at": "", "kind": "reset", "iteration": 20, "parts": ["inter_AB"], "seed": 5, "kept_as": "before-reset"}


def test_all_starts_over(run):
    before = checkpoint.load_latest(run)
    done = reset(run, "all")
    after = checkpoint.load_latest(run)
    fresh = build("saehd", RunFolder.open(run).shape, seed=5).state_dict()
    assert all(torch.equal(v, fresh[n]) for n, v in after.weights().items())
    assert all(torch.equal(v, fresh[n]) for n, v in after.ema().items())
    assert not [k for k in after.optimiser_state().tensors if ":" in k]
    assert (after.iteration, after.extra["used_s"], after.extra["ema_updates"]) == (0, 0.0, 0)
    assert (done.parts, done.iteration) == (("all",), 0)
    assert [e["parts"] for e in history.events(run / "history.jsonl", "reset")] == [["all"]]
    restore(run, done.kept_as)
    again = checkpoint.load_latest(run)
    assert again.iteration == before.iteration
    assert all(torch.equal(v, before.weights()[n]) for n, v in again.weights().items())


def test_a_mask_net_starts_over(tmp_path):
    shape = XSegSettings(base_dims=8)
    folder = RunFolder.create(tmp_path / "masks", "xseg", shape)
    net = model.fresh(XSeg, shape, seed=3)
    optimiser = AdaBelief(list(net.named_parameters()), lr=1e-4)
    checkpoint.save(folder.path, 7, net, optimiser, None, settings=shape.model_dump(), extra={"train": {"seed": 3}})
    reset(folder.path, "all", seed=4)
    after = checkpoint.load_latest(folder.path)
    wanted = model.fresh(XSeg, shape, seed=4).state_dict()
    assert after.iteration == 0
    assert all(torch.equal(v, wanted[n]) for n, v in after.weights().items())


def test_it_can_be_undone(run):
    before = tensors(checkpoint.load_latest(run))
    kept = [reset(run, "inter_B").kept_as, reset(run, "encoder", seed=9).kept_as]
    assert kept == ["before-reset", "before-reset-2"]
    restore(run, "before-reset")
    after = tensors(checkpoint.load_latest(run))
    for a, b in zip(before[:3], after[:3]):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[n], b[n]) for n in a)


def test_an_optimiser_goes_on_from_it(run):
    reset(run, "inter")
    saved = checkpoint.load_latest(run)
    net = build("saehd", RunFolder.open(run).shape)
    optimiser = AdaBelief(list(net.named_parameters()))
    saved.restore(net, optimiser)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_words_for_parts(run, tmp_path):
    saved = checkpoint.load_latest(run)
    assert chosen(saved, "inter") == ("inter_AB", "inter_B")
    assert chosen(saved, "decoder") == ("decoder",)
    for word in ("", "inter_", "nonsense", "enc"):
        with pytest.raises(SettingRefused, match="no part called") as caught:
            chosen(saved, word)
        assert "inter_AB" in caught.value.remedy
    make(tmp_path / "df", shape=SHAPE | {"archi": "df"})
    saved = checkpoint.load_latest(tmp_path / "df")
    assert chosen(saved, "decoder") == ("decoder_src", "decoder_dst")
    assert chosen(saved, "inter") == ("inter",)


def test_what_would_not_learn_is_said(tmp_path):
    make(tmp_path / "one", random_warp=False)
    assert "random-warp" in reset(tmp_path / "one", "inter_AB").notes[0]
    assert reset(tmp_path / "one", "inter_B").notes == ()


def test_a_full_disk_changes_nothing(run, monkeypatch):
    before = tensors(checkpoint.load_latest(run))
    monkeypatch.setattr(checkpoint, "free_bytes", lambda _: 1000)
    with pytest.raises(DiskRefused, match="Cannot save"):
        reset(run, "inter_AB")
    after = tensors(checkpoint.load_latest(run))
    assert all(torch.equal(before[0][n], after[0][n]) for n in before[0])
    assert before[2].keys() == after[2].keys()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_kill_9_leaves_the_old_or_the_new(run):
    before = tensors(checkpoint.load_latest(run))
    fresh = build("saehd", RunFolder.open(run).shape, seed=77).state_dict()
    for number in range(10):
        pid = os.fork()
        if not pid:
            reset(run, "inter_AB", seed=77)
            os._exit(0)
        time.sleep(0.01 * number)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = checkpoint.load_latest(run)
        assert found.damaged == ()
        weights = found.weights()
        new = torch.equal(weights["inter_AB.dense1.weight"], fresh["inter_AB.dense1.weight"])
        for name, value in weights.items():
            part = name.startswith("inter_AB.")
            assert torch.equal(value, fresh[name] if part and new else before[0][name]), name
        if new:
            restore(run, "before-reset")


@pytest.mark.parametrize("mean", [True, False])
def test_in_memory_the_part_is_fresh_and_the_rest_untouched(run, mean):
    shape = RunFolder.open(run).shape
    net = build("saehd", shape, seed=1)
    named = list(net.named_parameters())
    optimiser, ema = AdaBelief(named), Ema(named) if mean else None
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    start = build("saehd", shape, seed=9).state_dict()
    t = SimpleNamespace(net=net, ema=ema, optimiser=optimiser)
    assert reset_live(t, "inter_AB", 9) == ("inter_AB",)
    for name, value in net.state_dict().items():
        fresh = name.startswith("inter_AB.")
        assert torch.equal(value, start[name] if fresh else before[name]), name
        assert ema is None or not fresh or torch.equal(ema.tensors()[name], start[name])
    assert {n for n, p in named if p in optimiser.state} == {n for n, _ in named if not n.startswith("inter_AB.")}
    optimiser.step()
    with pytest.raises(SettingRefused, match="no part"):
        reset_live(t, "inter_C", 9)
