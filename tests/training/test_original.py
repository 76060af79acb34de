from __future__ import annotations

import pytest

from facewright.core.settings import check, merge
from facewright.models.settings import SaehdSettings
from facewright.training.original import beyond_the_program, with_parity
from facewright.training.settings import TRAIN_SETTINGS, SaehdTrain


@pytest.mark.parametrize("net", TRAIN_SETTINGS)
def test_parity_is_a_layer_of_every_net(net):
    s = check(TRAIN_SETTINGS[net], with_parity(net, {"parity": "dfl"}))
    assert (s.parity, s.ema, s.precision) == ("dfl", False, "float32")
    assert s.lr == {"quick96": 2e-4, "xseg": 1e-4}.get(net, 5e-5)
    assert getattr(s, "adversary_pass", "fresh") == "fresh"
    assert getattr(s, "scale", 0.15) == (0.05 if net == "quick96" else 0.15)


def test_what_the_user_gives_stands_above_it_and_what_the_model_brought_stays():
    stored = SaehdTrain(ema=True, lr_dropout=0.3, lr_schedule="cycle", random_src_flip=True, gan_power=0.1).model_dump()
    s = merge(SaehdTrain, with_parity("saehd", stored), with_parity("saehd", {"parity": "dfl", "precision": "bf16"}))
    assert (s.ema, s.precision, s.adversary_pass) == (False, "bf16", "fresh")
    assert (s.lr_dropout, s.lr_schedule, s.random_src_flip, s.gan_power) == (0.3, "cycle", True, 0.1)


def test_without_it_nothing_is_added():
    assert with_parity("saehd", {"lr": 1e-4, "ema": None}) == {"lr": 1e-4}


def test_values_above_the_program_s_range_are_named():
    found = list(beyond_the_program(SaehdTrain(gan_power=7.5), SaehdSettings(ae_dims=2048)))
    assert any("--gan-power 7.5" in text and "(5)" in text for text in found)
    assert any("--ae-dims 2048" in text and "(1024)" in text for text in found)
    assert len(found) == 2
    assert not list(beyond_the_program(SaehdTrain(gan_power=5), SaehdSettings(ae_dims=1024)))
