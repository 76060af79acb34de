"""Pretraining on many people, and leaving it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facewright.core.errors import SettingRefused
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models import checkpoint
from facewright.models.net import build
from facewright.models.settings import SaehdSettings
from facewright.training import history
from facewright.training.curve import read_losses
from facewright.training.mask_step import MaskStep
from facewright.training.runs import learned_so_far
from facewright.training.settings import PRETRAINING, Quick96Train, SaehdTrain, XSegTrain, in_effect
from facewright.training.stages import Plan, Stage
from facewright.training.swap_step import TrainStep

TINY = {"resolution": 64, "archi": "df-ud", "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
VALUES = {"batch_size": 2, "precision": "float32", "iterations": 3, "preview_seconds": 0, "lr": 1e-3, "threads": 1}


@pytest.fixture(scope="module")
def many(tmp_path_factory, drawn, write):
    """A set of two people."""
    faces = drawn(8, name="many")
    for number, face in enumerate(faces.faces):
        faces.faces[number] = dataclasses.replace(face, person=f"person {number % 2}")
    return write(tmp_path_factory.mktemp("many") / "set", faces, consent="sha256:" + "7" * 64)


def step(run, pair=("", ""), shape=None, **settings):
    values = check(SaehdTrain, VALUES | {k: str(v) if k == "pretrain" else v for k, v in settings.items()})
    return TrainStep(str(run), str(pair[0]), str(pair[1]), "saehd", values, shape=TINY if shape is None else shape)


def learn(step_, asks=()):
    notes, asks = [], list(asks)
    work = Work(progress=lambda *a, **k: None, changes=lambda: [asks.pop(0)] if asks else [],
                note=lambda kind, **facts: notes.append((kind, facts)))
    results = list(step_.stream(step_.plan(), work))
    return notes, results[0][1] if results else None


def test_what_is_fixed_while_pretraining():
    s = check(SaehdTrain, {"pretrain": "set", "gan_power": 0.1, "face_style_power": 5, "lr_dropout": 0.3,
                           "lr_schedule": "cycle", "ct_mode": "rct", "random_hsv_power": 0.1})
    now = in_effect(s)
    assert all(getattr(now, name) == value for name, value in PRETRAINING.items())
    assert now.lr_schedule == "constant"
    assert (now.masked_training, now.lr, now.blur_out_mask) == (s.masked_training, s.lr, s.blur_out_mask)
    alone = check(SaehdTrain, {"gan_power": 0.1})
    assert in_effect(alone) is alone
    assert in_effect(check(Quick96Train, {"pretrain": "set"})).uniform_yaw
    masks = check(XSegTrain, {"pretrain": "set"})
    assert in_effect(masks) is masks


@pytest.mark.parametrize(("archi", "fresh"), [("df-ud", {"inter"}), ("liae-ud", {"inter_AB", "inter_B"})])
def test_leaving_begins_the_inters_afresh_and_keeps_the_rest(many, pair, tmp_path, archi, fresh):
    run, shape = tmp_path / "run", TINY | {"archi": archi}
    _, result = learn(step(run, shape=shape, pretrain=many))
    assert result["iterations"] == 3
    assert learned_so_far(run) == "pretrained"
    before = checkpoint.load_latest(run)
    assert before.extra["train"]["random_warp"] is False
    likeness = learn_likeness(run)
    assert [l["consent"][-1] for l in likeness] == ["7"]

    _, result = learn(step(run, pair, shape={}, iterations=1, lr=1e-6, clock="cpu"))
    assert result["iterations"] == 1
    assert learned_so_far(run) == "trained on a pretrained one"
    after = checkpoint.load_latest(run)
    start = build("saehd", check(SaehdSettings, shape), seed=0).state_dict()
    for name, value in after.weights().items():
        kept = start[name] if name.partition(".")[0] in fresh else before.weights()[name]
        assert float((value - kept).abs().max()) < 1e-5, name
        if value.dim() > 1:
            assert not torch.equal(before.weights()[name], start[name]) or archi == "liae-ud"
    # The optimiser's memory and its counter go on; losses, clock and count of iterations begin anew.
    old, new = before.optimiser_state().tensors, after.optimiser_state().tensors
    assert old.keys() <= new.keys()  # liae's inter_AB rests while pretraining (quirk Q4)
    # AdaBelief's second moment forgets a thousandth in a step: what was known is still there.
    assert all(bool((new[n] >= 0.998 * v).all()) for n, v in old.items() if n.startswith("vs:"))
    assert read_losses(run / "losses.bin")["iteration"].tolist() == [1]
    assert after.extra["used_s"] < before.extra["used_s"] + 60
    assert after.extra["train"]["random_warp"] is True
    assert after.extra["train"]["pretrain"] == ""
    events = [e for e in history.events(run / "history.jsonl") if e["kind"] == "pretrained"]
    assert [(e["iteration"], set(e["parts"]), e["kept_as"]) for e in events] == [(3, fresh, "pretrained")]
    assert any(c.facts.name == "pretrained" and c.iteration == 3 for c in checkpoint.list_all(run))
    assert [l["consent"][-1:] for l in learn_likeness(run)] == ["7", "1", ""]
    # Once left, it is not left again.
    learn(step(run, pair, shape={}, iterations=2))
    assert len([e for e in history.events(run / "history.jsonl") if e["kind"] == "pretrained"]) == 1


def test_nothing_of_pretraining_comes_back_when_the_two_people_are_learned(many, pair, tmp_path):
    run = tmp_path / "run"
    learn(step(run, pretrain=many, iterations=2), asks=[{"set": {"ema_decay": 0.95}}])
    learn(step(run, shape={}, pretrain=many, iterations=3))  # a command of its own, later than its first save
    learn(step(run, pair, shape={}, iterations=2))
    _, result = learn(step(run, pair, shape={}, iterations=3))
    now = checkpoint.load_latest(run).extra["train"]
    assert result["iterations"] == 3
    assert (now["pretrain"], now["random_warp"], now["ema_decay"]) == ("", True, 0.998)
    assert len(history.events(run / "history.jsonl", "pretrained")) == 1


@pytest.mark.parametrize("where", ["save_changed", "stream"])
def test_killed_before_its_first_save_the_training_of_two_people_is_no_pretraining(
    many, pair, tmp_path, where, monkeypatch
):
    run = tmp_path / "run"
    learn(step(run, pretrain=many, iterations=2))

    def killed(*_, **__):
        raise KeyboardInterrupt

    places = {"stream": "learn_step.train", "save_changed": "pretrain.checkpoint.save_changed"}
    with monkeypatch.context() as patch:
        patch.setattr(f"facewright.training.{places[where]}", killed)
        with pytest.raises(KeyboardInterrupt):
            learn(step(run, pair, shape={}, iterations=1))
    _, result = learn(step(run, pair, shape={}, iterations=1))
    now = checkpoint.load_latest(run).extra["train"]
    assert result["iterations"] == 1
    assert (now["pretrain"], now["random_warp"]) == ("", True)


def test_a_small_beginning_comes_again_after_pretraining(many, pair, tmp_path):
    run = tmp_path / "run"
    learn(step(run, pretrain=many, iterations=2))
    notes, _ = learn(step(run, pair, shape={}, iterations=4, progressive=0.5))
    assert [f["iteration"] for k, f in notes if k == "grown"] == [2]


def learn_likeness(run):
    from facewright.models.run_folder import RunFolder

    return RunFolder.open(run).extra["likenesses"]


def test_pretraining_goes_on_where_it_stopped(many, tmp_path):
    learn(step(tmp_path / "whole", pretrain=many, iterations=4))
    learn(step(tmp_path / "halves", pretrain=many, iterations=2))
    learn(step(tmp_path / "halves", shape={}, pretrain=many, iterations=4))
    a, b = (checkpoint.load_latest(tmp_path / name).weights() for name in ("whole", "halves"))
    assert all(torch.equal(a[n], b[n]) for n in a)


def test_what_is_fixed_cannot_be_changed_on_the_way(many, tmp_path):
    asks = [{"set": {"random_warp": True}}, {"set": {"lr": 2e-3}}]
    notes, _ = learn(step(tmp_path / "run", pretrain=many), asks=asks)
    assert next(f["text"] for k, f in notes if k == "refused").startswith("--random-warp is fixed while pretraining")
    assert [(f["name"], f["now"]) for k, f in notes if k == "setting"] == [("lr", 2e-3)]


def test_a_stage_of_a_recipe_does_not_change_what_is_fixed(many, tmp_path):
    stages = (Stage("first", iterations=1), Stage("second", settings={"random_warp": True, "lr": 2e-3}))
    one = step(tmp_path / "run", pretrain=many)
    one.recipe = Plan("mine", stages).as_json()
    notes, _ = learn(one)
    assert [(f["name"], f["now"]) for k, f in notes if k == "setting"] == [("lr", 2e-3)]
    assert checkpoint.load_latest(tmp_path / "run").extra["train"]["random_warp"] is False


def test_new_nets_with_d_are_told_of_pretraining(pair, tmp_path):
    notes, _ = learn(step(tmp_path / "run", pair, iterations=1, shape=TINY | {"d_dims": 32}))
    assert any("--pretrain" in f["text"] for k, f in notes if k == "warning")
    notes, _ = learn(step(tmp_path / "small", pair, iterations=1))
    assert not any("--pretrain" in f["text"] for k, f in notes if k == "warning")


def test_a_mask_net_paints_grey_first_and_keeps_everything(many, tmp_path, drawn):
    from tests.training.test_masking import write as write_labelled

    run = tmp_path / "run"
    values = {"batch_size": 1, "iterations": 2, "preview_seconds": 0, "threads": 1, "precision": "float32"}
    one = MaskStep(str(run), "", "", "xseg", check(XSegTrain, values | {"pretrain": str(many)}), shape={"base_dims": 8})
    learn(one)
    before = checkpoint.load_latest(run)
    assert (run / "preview" / "latest.png").is_file()
    labelled = write_labelled(tmp_path / "set", drawn(4, name="x"), labelled=4)
    learn(MaskStep(str(run), str(labelled), "", "xseg", check(XSegTrain, values | {"iterations": 1, "lr": 1e-6})))
    after = checkpoint.load_latest(run)
    assert after.iteration == 1
    assert max(float((after.weights()[n] - v).abs().max()) for n, v in before.weights().items()) < 1e-4


def test_a_pretraining_set_may_hold_many_people_and_two_places_are_refused(many, tmp_path):
    from facewright import api

    assert step(tmp_path / "run", pretrain=many).sides()[0].found.count == 8
    with pytest.raises(SettingRefused, match="place of both"):
        api.train("saehd", tmp_path / "run", many, None, settings={"pretrain": str(many)})
