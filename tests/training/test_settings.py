from __future__ import annotations

import subprocess
import sys

import pytest

from facewright.core.errors import SettingRefused
from facewright.core.settings import check, options, to_markdown
from facewright.training.settings import (
    AT_START,
    TRAIN_SETTINGS,
    Quick96Train,
    SaehdTrain,
    SwapTrain,
    live,
    settings_class,
)


def test_defaults_are_the_originals():
    s, q = SaehdTrain(), Quick96Train()
    assert (s.optimiser, s.lr, s.random_src_flip, s.random_dst_flip) == ("adabelief", 5e-5, False, True)
    assert (s.rotation_deg, s.scale, s.shift, s.warp_strength, s.warp_independent) == (10, 0.15, 0.05, 1, False)
    assert (s.masked_training, s.eyes_mouth_prio, s.blur_out_mask, s.clipgrad, s.random_warp) == (
        True, False, False, False, True)
    assert (q.optimiser, q.lr, q.lr_dropout, q.batch_size, q.scale) == ("rmsprop", 2e-4, 0.3, 4, 0.05)
    assert not q.random_dst_flip
    assert not q.random_src_flip
    assert q.reuse_batches


@pytest.mark.parametrize("cls", TRAIN_SETTINGS.values())
def test_every_default_passes_and_every_knob_has_help(cls):
    check(cls, {o.name: o.default for o in options(cls)})
    assert all(o.help for o in options(cls))
    of_others = set() if cls is SaehdTrain else {"begin_with"}
    of_others |= set() if issubclass(cls, SwapTrain) else {"compile", "match_colour", "mouth_area"}
    assert {o.name for o in options(cls)} >= AT_START - of_others


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"lr_schedule": "cosine"}, "Add --minutes"),
        ({"progressive": 0.3}, "Add --minutes 60 or --iterations"),
        ({"device": "gpu"}, "cannot be"),
        ({"optimiser": "adamw", "lr_dropout": 0.3}, "--optimiser adabelief"),
        ({"hold_out": 4, "hold_out_last": 4}, "at most 3"),
        ({"lr": 1.0}, "--lr"),
        ({"batch_siez": 4}, "batch_siez"),
    ],
)
def test_nonsense_is_refused(values, text):
    with pytest.raises(SettingRefused) as caught:
        check(SaehdTrain, values)
    assert text in f"{caught.value.what} {caught.value.remedy}"


@pytest.mark.parametrize("cls", TRAIN_SETTINGS.values())
def test_what_is_read_at_the_start_alone_is_said_in_the_reference(cls):
    assert len(AT_START) == 18
    for option in options(cls):
        (row,) = (line for line in to_markdown(cls).splitlines() if line.startswith(f"| `{option.flag}` |"))
        assert ("| read at the start |" in row) == (option.name in AT_START), option.name


def test_live_changes():
    s = SaehdTrain()
    live(s, check(SaehdTrain, {"lr": 1e-4, "random_warp": False}))
    with pytest.raises(SettingRefused, match="while training runs") as caught:
        live(s, check(SaehdTrain, {"optimiser": "adamw"}))
    assert "nothing learned is lost" in caught.value.remedy


def test_unknown_net_names_the_list():
    assert settings_class("quick96") is Quick96Train
    with pytest.raises(SettingRefused) as caught:
        settings_class("amp9")
    assert "saehd" in caught.value.remedy


def test_settings_and_recipes_load_nothing_heavy():
    code = ("import sys, facewright.training.settings, facewright.training.recipes, facewright.models.settings\n"
            "assert not {'torch', 'cv2'} & set(sys.modules), 'heavy'")
    subprocess.run([sys.executable, "-c", code], check=True)
