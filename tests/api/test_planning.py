"""The layers of a training's settings, as its plan and its step see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from facewright import api
from facewright.api import training
from facewright.core.errors import SettingRefused
from facewright.models.run_folder import RunFolder
from facewright.models.settings import SaehdSettings
from facewright.training import history, planner
from facewright.training.history import HISTORY
from facewright.training.planner import Outlook
from facewright.training.settings import SaehdTrain

GIB = 1 << 30
TINY = SaehdSettings(resolution=64, archi="df-ud", ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16)


@pytest.fixture
def measured(monkeypatch):
    """What was asked of the planner; it answers 2 s an iteration."""
    asked = []

    def look(net, shape, settings):
        asked.append((net, dict(shape), settings))
        return Outlook("cpu", 8, 2, 2.0, 3.5, 3 * GIB, GIB, GIB // 4, 10 * GIB)

    monkeypatch.setattr(planner, "look_ahead", look)
    return asked


@pytest.fixture
def begun(tmp_path) -> Path:
    """A run whose settings are those of an imported model."""
    run = tmp_path / "run"
    folder = RunFolder.create(run, "saehd", TINY)
    given = SaehdTrain(lr_dropout=0.3, lr_schedule="cycle", random_src_flip=True).model_dump(mode="json")
    history.note(folder.history, "start", iteration=5, given=given, settings=given)
    assert (run / HISTORY).exists()
    return run


def test_a_plan_is_of_the_settings_and_the_shape_asked_for(measured):
    told = api.train_plan("saehd", settings={"batch_size": 4, "minutes": 10.0}, shape={"resolution": 96}, recipe="")
    net, shape, settings = measured[0]
    assert (net, shape["resolution"], settings.batch_size) == ("saehd", 96, 4)
    assert told["iterations"] == 300
    assert told["largest_batch"] == 32
    assert told["hours"]["10000"] == pytest.approx(5.556)


def test_a_plan_for_a_run_that_is_there_is_of_its_own_net(measured, begun):
    api.train_plan("saehd", begun, settings={"iterations": 900}, recipe="")
    _, shape, settings = measured[0]
    assert shape["ae_dims"] == 32
    assert settings.lr_dropout == 0.3
    with pytest.raises(SettingRefused, match="true-face"):
        api.train_plan("saehd", settings={"true_face_power": 0.1}, shape={"archi": "liae-ud"})


def test_a_plan_prints_what_counts(measured, cli_text):
    text = cli_text("train", "saehd", "--plan", "--iterations", "9000")
    assert "batch 8 in 2 passes: 2.00 s an iteration" in text
    assert "enough for batches up to 32" in text
    assert "9,000 iterations 5.0 h" in text


@pytest.fixture
def cli_text(capsys):
    """The output of a command."""
    from facewright.cli.app import main

    def call(*words: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(list(words))
        assert end.value.code == 0
        return capsys.readouterr().out

    return call


def test_parity_lies_under_what_is_given_and_over_what_is_stored(monkeypatch, begun):
    found = []
    monkeypatch.setattr(training, "perform", lambda step, **_: found.append(step.settings) or {})
    given = {"parity": "dfl", "precision": "bf16"}
    api.train("saehd", begun, begun / "src", begun / "dst", settings=given)
    s = found[0]
    assert (s.parity, s.ema, s.adversary_pass, s.precision) == ("dfl", False, "fresh", "bf16")
    assert (s.lr_dropout, s.lr_schedule, s.random_src_flip) == (0.3, "cycle", True)
    api.train("saehd", begun, begun / "src", begun / "dst", settings={})
    assert found[1].ema
