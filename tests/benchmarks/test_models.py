"""What the measuring of nets measures: the right net, the right settings, times per iteration."""

from __future__ import annotations

from argparse import Namespace

import pytest
import torch
from benchmarks.models import CASES, Case

from benchmarks import models


def words(tmp_path, **changed):
    return Namespace(**{"precision": "float32", "threads": 1, "device": "cpu", "steps": 2, "out": tmp_path} | changed)


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_a_net_with_settings(name, tmp_path):
    case = CASES[name]
    settings = models.settings_of(case, words(tmp_path))
    assert (settings.batch_size, settings.precision, settings.threads) == (case.batch, "float32", 1)
    with torch.device("meta"):
        net = models.net_of(case)
    original = {"quick96": 38_294_330, "df-ud-128": 54_470_998}
    if name in original:
        assert sum(p.numel() for p in net.parameters()) == original[name]


TINY = {
    "saehd": Case("saehd", {"archi": "df-ud", "resolution": 64, "ae_dims": 32, "e_dims": 16, "d_dims": 16}, batch=1),
    "xseg": Case("xseg", {"base_dims": 8}, batch=1),
}


@pytest.mark.parametrize("name", TINY)
def test_a_bare_step_and_a_save(name, tmp_path):
    found = models.bare(TINY[name], words(tmp_path))
    assert found["iterations"] == 2
    assert 0 < found["cpu_s_min"] <= found["cpu_s"] < 5
    weights = 4 * found["parameters"]
    assert 3 * weights <= found["save"]["bytes"] <= 4.2 * weights + 1e6, "weights, their mean, one or two slots"
    assert not list(tmp_path.iterdir())


def test_times_are_per_iteration():
    found = models._each([(0.0, 0.0), (10.0, 20.0), (16.0, 30.0)], [10, 10])
    assert found == {"cpu_s": 0.8, "cpu_s_min": 0.6, "wall_s": 1.5, "iterations": 20}
