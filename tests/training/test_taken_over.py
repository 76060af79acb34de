"""Discriminators of an imported model: they go on where they were, and leave as they are now."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from tests.models.folders import options_of, write

from facewright.core.settings import check
from facewright.core.step import Work
from facewright.core.unpickle import read_pickle_file
from facewright.models import checkpoint, exchange
from facewright.models.dfl_files import Family
from facewright.models.dfl_read import ForeignNet, read_dfl
from facewright.models.dfl_write import adversaries_to_dfl
from facewright.models.memory import OptimiserState
from facewright.models.net import build
from facewright.models.taken_over import players
from facewright.training import reset
from facewright.training.adopt import adopt, original_words, train_settings
from facewright.training.adversaries import adversaries
from facewright.training.optim import AdaBelief
from facewright.training.settings import SaehdTrain
from facewright.training.swap_step import TrainStep

GAN = {"gan_power": 0.1, "gan_patch_size": 16, "gan_dims": 16, "true_face_power": 0.01}


@pytest.fixture
def came(tmp_path):
    """(run, what its discriminators were) of a model that learned with both of them."""
    folder = write(tmp_path / "dfl", "saehd", data={"iter": 9, "options": options_of("saehd") | GAN})
    model = read_dfl(folder)
    net = build("saehd", model.settings, seed=1)
    found = {}
    for one in adversaries(net, check(SaehdTrain, GAN), lambda named: AdaBelief(named, lr=1e-4), seed=77):
        weights = {n: p.detach().clone() for n, p in one.module.named_parameters()}
        memory = {f"{slot}:{n}": torch.rand_like(p) for n, p in weights.items() for slot in ("ms", "vs")}
        found[one.name] = ForeignNet(weights, OptimiserState("AdaBelief", 6, memory))
    for part, content in adversaries_to_dfl("saehd", found).items():
        Family(folder, "ada", "SAEHD").part(part).write_bytes(pickle.dumps(content))
    adopt(read_dfl(folder), tmp_path / "run", [])
    return tmp_path / "run", found


def step(pair, run, iterations, **changed):
    values = {"batch_size": 2, "precision": "float32", "preview_seconds": 0, "threads": 1, "iterations": iterations}
    return TrainStep(str(run), str(pair[0]), str(pair[1]), "saehd", check(SaehdTrain, values | GAN | changed))


def begun(step_):
    return step_._begin(Work(progress=lambda *a, **k: None, changes=list, note=lambda k, **f: None))


def same(adversary, was):
    state = {f"{slot}:{n}": adversary.optimiser.state[p][slot]
             for n, p in adversary.module.named_parameters() for slot in adversary.optimiser.state[p]}
    weights = dict(adversary.module.named_parameters())
    pairs = ((weights, was.weights), (state, was.optimiser.tensors))
    return all(now.keys() == then.keys() and all(torch.equal(now[n], then[n]) for n in then) for now, then in pairs)


def test_they_play_on_bit_by_bit_where_the_shape_is_theirs(pair, came):
    run, was = came
    t = begun(step(pair, run, 20))
    t.close()
    assert t.parked.keys() == was.keys() == {"gan", "true_face"}
    for name, adversary in t.parked.items():
        assert same(adversary, was[name]), name
        assert adversary.optimiser.param_groups[0]["iterations"] == 6
    other = begun(step(pair, run, 20, gan_patch_size=8))
    other.close()
    assert not other.parked["gan"].optimiser.state, "another shape begins anew"
    assert same(other.parked["true_face"], was["true_face"])


def test_what_leaves_is_what_they_are_now(pair, came, tmp_path, monkeypatch):
    run, was = came
    monkeypatch.setattr(exchange, "_require", lambda *a: None)

    def exported(name):
        exchange.export_dfl(run, tmp_path / name, permit=None, enter=lambda *a: None, words=original_words)
        return {p.name: read_pickle_file(p) for p in (tmp_path / name).glob("*GAN*.npy")}

    first = {p.name: read_pickle_file(p) for p in (tmp_path / "dfl").glob("*GAN*.npy")}
    untouched = exported("before")
    assert untouched.keys() == first.keys()
    assert all(np.array_equal(untouched[f][k], first[f][k]) for f in first for k in first[f])
    one = step(pair, run, 10)
    list(one.stream(one.plan(), Work(progress=lambda *a, **k: None, changes=list, note=lambda k, **f: None)))
    now = players(checkpoint.load_latest(run))
    after = exported("after")["ada_SAEHD_GAN.npy"]
    assert np.array_equal(after["out_conv/bias:0"], now["gan"].weights["out_conv.bias"].numpy())
    assert not np.array_equal(after["out_conv/bias:0"], was["gan"].weights["out_conv.bias"].numpy())
    assert now["gan"].optimiser.iterations == 7


def test_a_run_that_was_started_over_has_new_ones(pair, came):
    run, was = came
    reset.reset(run, "all")
    t = begun(step(pair, run, 20))
    t.close()
    assert not same(t.parked["true_face"], was["true_face"])


@pytest.mark.parametrize("case", ["amp", "xseg"])
def test_options_of_every_net_become_settings(case, tmp_path):
    options = options_of(case) | {"batch_size": 6}
    if case == "amp":
        options |= {"gan_power": 0.2, "lr_dropout": "y", "models_opt_on_gpu": False, "uniform_yaw": True}
        options |= {"ct_mode": "rct"}
    settings, left = train_settings(read_dfl(write(tmp_path / "dfl", case, data={"iter": 9, "options": options})))
    assert left == []
    assert settings.batch_size == 6
    if case == "amp":
        assert (settings.gan_power, settings.lr_dropout, settings.uniform_yaw) == (0.2, 0.3, True)
        assert (settings.optimiser_device, settings.ct_mode, settings.train_inters) == ("cpu", "rct", False)
