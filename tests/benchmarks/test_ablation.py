"""The ablation: every arm names settings that exist; records survive kills; differences are judged against noise."""

from __future__ import annotations

import json
import math
from argparse import Namespace

import numpy as np
import pytest
import torch
from benchmarks.ablation import __main__ as main
from benchmarks.ablation import detector, hooks, report, results, work
from benchmarks.ablation.arms import ARMS, chosen
from PIL import Image

from facewright.core.files import FolderLock
from facewright.core.settings import check
from facewright.models.net import Views
from facewright.models.settings import SaehdSettings
from facewright.training import history, swapping
from facewright.training.batches import Batch, Side
from facewright.training.recipes import recipe
from facewright.training.settings import SaehdTrain, suits


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_can_be_trained(name, tmp_path):
    arm = ARMS[name]
    values, shape = work.values_of(arm, 10.0)
    file = work.recipe_of(arm, tmp_path)
    base = recipe(file)
    settings = check(SaehdTrain, {**base.start(), **values})
    form = check(SaehdSettings, {**base.shape, **shape})
    suits(settings, form)
    assert (form.resolution, settings.minutes, settings.clock, settings.threads) == (64, 10.0, "cpu", 1)
    assert not arm.hook or arm.hook in hooks.HOOKS
    if arm.late:
        share, late = arm.late
        assert [stage.share for stage in base.stages] == [share, 0.0]
        assert dict(base.stages[1].settings) == dict(late)
        assert not set(late) & set(values), "what is given on the command line would hold against the stage"
        check(SaehdTrain, {**settings.model_dump(), **late})


def test_an_arm_changes_one_thing_and_the_noise_comes_first():
    plain, _ = work.values_of(ARMS["aa-1"], 1.0)
    assert [name for name, arm in ARMS.items() if arm.is_noise] == list(ARMS)[:3]
    changes = [json.dumps(arm.changed, sort_keys=True) for arm in ARMS.values()]
    assert len(set(changes)) == len(changes)
    for arm in ARMS.values():
        values, _ = work.values_of(arm, 1.0)
        assert {k for k in values if values[k] != plain.get(k)} <= set(arm.settings) | {"seed"}


def test_arms_are_chosen_by_name_and_by_star():
    assert [a.name for a in chosen(["liae-ud", "aa-*"])] == ["liae-ud", "aa-1", "aa-2", "aa-3"]
    assert len(chosen(["all"])) == len(ARMS)
    with pytest.raises(KeyError, match="aa-1"):
        chosen(["nonsense"])


def record(arm, value, **other):
    scores = {part: {f.metric: {"value": value, "ratio": value} for f in report.FIGURES} for part in ("seen", "unseen")}
    scores["held_out"] = {"DSSIM_src": value, "DSSIM_dst": value}
    plain = {"arm": arm, "pair": "R1", "minutes": 10.0, "changed": {}, "iterations": 1000, "commit": "abc",
             "uncommitted": 0, "cpu": "x", "scores": scores}
    return plain | other


def test_records_survive_a_torn_line_and_the_later_one_counts(tmp_path):
    path = tmp_path / "results.jsonl"
    results.append(path, record("a", 1.0))
    with open(path, "ab") as file:
        file.write(b'{"arm": "torn", "pai')
    results.append(path, record("b", 1.0))
    results.append(path, record("a", 2.0))
    assert {r["arm"]: r["scores"]["held_out"]["DSSIM_src"] for r in results.read(path)} == {"a": 2.0, "b": 1.0}
    assert results.key(record("a", 1.0)) == ("R1", 10.0, "a")
    assert results.read(tmp_path / "none.jsonl") == []


def test_finished_arms_are_passed_over_failed_and_held_ones_left(tmp_path, monkeypatch, capsys):
    tried = []

    def do(arm, scorer, minutes, *, keep):
        tried.append(arm.name)
        if arm.name == "aa-2" and len(tried) == 2:
            raise RuntimeError("killed")
        return record(arm.name, 0.5, minutes=minutes)

    monkeypatch.setattr(work, "Scorer", lambda pair, out: None)
    monkeypatch.setattr(work, "do", do)
    words = Namespace(pair="R1", minutes=1.0, out=tmp_path, keep=False)
    arms = chosen(["aa-*"])
    (tmp_path / "arms").mkdir()
    with FolderLock(tmp_path / "arms" / "aa-3.lock"):
        assert main._do(arms, words) == 1
    assert tried == ["aa-1", "aa-2"]
    assert "aa-3: another process is at it" in capsys.readouterr().out
    assert main._do(arms, words) == 0
    assert tried == ["aa-1", "aa-2", "aa-2", "aa-3"]
    assert [r["arm"] for r in results.read(tmp_path / "results.jsonl")] == ["aa-1", "aa-2", "aa-3"]


NOISE = [record("aa-1", 0.48), record("aa-2", 0.50), record("aa-3", 0.52)]
ITR, DOWN, ONE, MOST = (next(f for f in report.FIGURES if f.name == n) for n in ("ITR", "E_norm", "lap1", "T2"))


def test_sigma_is_that_of_one_more_arm():
    n = report.Noise.of(ITR, NOISE)
    assert (n.mean, n.count, n.certain) == (pytest.approx(0.5), 3, 4.3)
    assert n.sigma == pytest.approx(0.02 * math.sqrt(4 / 3))
    assert n.sigmas(ITR, 0.5 + 3 * n.sigma) == pytest.approx(3)
    assert n.sigmas(DOWN, 0.5 + 3 * n.sigma) == pytest.approx(-3)
    assert n.sigmas(ONE, 1.5) == pytest.approx(0)
    assert n.sigmas(MOST, 0.9) == 0
    assert math.isnan(report.Noise.of(ITR, NOISE[:1]).sigma)
    still = report.Noise.of(ITR, [record("aa-1", 0.0), record("aa-2", 0.0)])
    assert still.sigmas(DOWN, 0.0) == 0
    assert still.sigmas(DOWN, 0.1) == -math.inf


def test_verdicts():
    noise = report.noises(NOISE)
    assert report.verdict(record("x", 0.51), noise) == "within noise"
    said = report.verdict(record("x", 0.56), noise)  # 2.6 sigmas: more than noise, not yet certain
    assert said.startswith("better: ITR, sim, ID2")
    assert "worse: PF1 deg, PF1 unbiased, E_norm" in said
    assert "**ITR**" in report.verdict(record("x", 0.7), noise)
    assert report.verdict(record("x", math.nan), noise) == "within noise"


def test_tables_and_picture(tmp_path):
    arms = [*NOISE, record("better", 0.7, changed={"lr": 1.0}), record("same", 0.5, iterations=500)]
    text = report.markdown(arms)
    assert "| better | lr 1.0 | 1000 (+0%) | better: **ITR**" in text
    assert "| same | nothing | 500 (-50%) | within noise |" in text
    assert "0.700 (+8.7)" in text
    report.draw(arms, tmp_path / "r.png")
    pixels = np.asarray(Image.open(tmp_path / "r.png").convert("RGB")).reshape(-1, 3)
    assert (pixels == (24, 143, 87)).all(1).any()
    report.draw(NOISE[:1], tmp_path / "one.png")  # nothing is known yet
    assert "No arm" in report.markdown([])


def test_a_net_that_fell_apart_is_a_result(tmp_path, monkeypatch):
    """Said in the table and the picture, and no part of the figures; any other failure is one."""
    run = work.arm_folder(tmp_path, ARMS["aa-2"]) / "run"

    def fails(collapse):
        def start(*words, **options):
            run.mkdir(parents=True)
            if collapse:
                history.note(run / history.HISTORY, "collapse", iteration=0, onset=40, noticed=240)
            return Namespace(returncode=2)

        return start

    scorer = Namespace(out=tmp_path, pair=Namespace(name="R1"))
    monkeypatch.setattr(work.subprocess, "run", fails(False))
    with pytest.raises(work.subprocess.CalledProcessError):
        work.do(ARMS["aa-2"], scorer, 10.0)
    monkeypatch.setattr(work, "machine", lambda: {"commit": "x", "uncommitted": 0, "cpu": "y"})
    monkeypatch.setattr(work.subprocess, "run", fails(True))
    fallen = work.do(ARMS["aa-2"], scorer, 10.0)
    assert fallen["collapsed"] == 40
    arms = [NOISE[0], fallen, NOISE[2], record("other", 0.5)]
    text = report.markdown(arms)
    assert "| aa-2 | seed 2 | 40 (-96%) | fell apart |" in text
    assert "nan" not in text.split("| other |")[1]
    report.draw(arms, tmp_path / "r.png")


def views_and_batch():
    draw = torch.Generator().manual_seed(0)
    made, wanted = (torch.rand(2, 3, 64, 64, generator=draw) for _ in range(2))
    mask = torch.ones(2, 1, 64, 64)
    side = Side(wanted, wanted, mask, mask)
    made.requires_grad_()
    return made, Views(made, mask, wanted, mask), Batch(side, side)


@pytest.fixture
def objective(monkeypatch):
    """The product's own, put back after the test."""
    monkeypatch.setattr(swapping, "objective", swapping.objective)
    return swapping.objective


def test_l1_takes_the_place_of_squared_differences(objective):
    made, views, batch = views_and_batch()
    hooks.install("l1")
    for reduction, scale in (("mean", 1.0), ("sum", 2.0)):
        plain = objective("saehd", views, batch, SaehdTrain(), reduction=reduction)
        terms = swapping.objective("saehd", views, batch, SaehdTrain(), reduction=reduction)
        assert terms.keys() == plain.keys()
        assert terms["src_dssim"] == plain["src_dssim"]
        apart = (made.detach() - batch.src.target).abs()[..., 4:-4, 4:-4]  # away from the mask's soft edge
        wanted = hooks.L1_WEIGHT * float(apart.mean()) * scale
        assert float(terms["src_mse"].detach()) == pytest.approx(wanted, rel=0.15)
        assert terms["dst_mse"] == 0


@pytest.mark.shared
def test_features_are_those_of_the_graph_and_teach(objective, weights):
    import onnx
    import onnxruntime

    model = onnx.load(weights / "yunet_n_dynamic.onnx")
    names = [model.graph.node[i].output[0] for i in detector.LAYERS]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made, views, batch = views_and_batch()
    theirs = run.run(names, {"input": (made.detach() * 255).numpy()})
    for ours, wanted in zip(detector.features()(made), theirs):
        np.testing.assert_allclose(ours.detach().numpy(), wanted, atol=2e-5)
    hooks.install("face-features")
    terms = swapping.objective("saehd", views, batch, SaehdTrain(), reduction="mean")
    assert terms["dst_features"] == 0
    assert 0.01 < float(terms["src_features"].detach()) < 10
    terms["src_features"].backward()
    assert torch.isfinite(made.grad).all()
    assert made.grad.abs().max() > 0
