"""Whole training steps against numbers of the original (tests/golden/models/train_steps.json)."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests import closed_form as cf

from facewright.models.layers import to_original_layout
from facewright.models.net import build
from facewright.models.settings import Quick96Settings, SaehdSettings
from facewright.training.objectives import objective, reported
from facewright.training.optim import AdaBelief, RMSprop

CASES = [
    "df-ud", "df-ud_rmsprop", "df-ud_emp", "df-ud_blurout", "df-ud_unmasked", "df-ud_clipgrad", "df-ud_lrd_ones",
    "liae-ud", "liae-ud_nowarp", "liae-ud_pretrain", "quick96",
]
LATER = ["df-ud_facestyle10", "df-ud_bgstyle10", "df-ud_trueface", "df-ud_gan", "amp", "amp_gan", "xseg"]
"""Style, true face, GAN, AMP and XSeg: the next issue."""

LOOSE_NORMS = {"df-ud_unmasked": 5e-4, "quick96": 5e-4}
"""A few activations sit on a leaky-relu kink there (quick96 without oneDNN, as the goldens were made: 7e-6)."""

DELTAS = {"quick96": (0.05, 0.25)}
"""Norm and projection, relative to the change's norm; (0.01, 0.12) where not named. Both optimisers start nearly as
sign(g), so weights whose gradient is rounding noise go either way; an unrelated change would miss by about 0.8."""


@pytest.fixture(scope="module")
def steps(golden):
    return json.loads((golden / "models/train_steps.json").read_text())


def test_no_case_is_forgotten(steps):
    assert sorted(steps["cases"]) == sorted(CASES + LATER)


class Case:
    """Net, optimiser, batch and settings of one golden case."""

    def __init__(self, name: str, steps: dict) -> None:
        self.wanted = steps["cases"][name]
        quick = self.wanted["class"] == "Quick96"
        options = {} if quick else steps["base_saehd"] | self.wanted["options"]
        self.name = "quick96" if quick else "saehd"
        if quick:
            shape, self.batch_size = Quick96Settings(), 4
        else:
            keys = ("archi", "resolution", "ae_dims", "e_dims", "d_dims", "d_mask_dims")
            shape, self.batch_size = SaehdSettings(**{k: options[k] for k in keys}), options["batch_size"]
        self.net = cf.fill(build(self.name, shape))
        self.settings = SimpleNamespace(
            masked_training=options.get("masked_training", True), eyes_mouth_prio=options.get("eyes_mouth_prio", False),
            eyes_mouth_weight=300.0, blur_out_mask=options.get("blur_out_mask", False),
        )
        pretrain = options.get("pretrain", False)
        warp = options.get("random_warp", True) and not pretrain
        trained = {n for n, _ in self.net.trainable(warp)}
        for n, p in self.net.named_parameters():
            p.requires_grad_(n in trained)
        self.optimiser = self._optimiser(options, quick)
        self._pictures(pretrain)

    def _optimiser(self, options: dict, quick: bool) -> torch.optim.Optimizer:
        dropout = quick or options["lr_dropout"] != "n"
        extra = {
            "lr": 2e-4 if quick else 5e-5, "lr_dropout": 0.3 if dropout else 1.0,
            "lr_cos": 500 if dropout and not quick else 0, "clipnorm": 1.0 if options.get("clipgrad") else 0.0,
            "generator": torch.Generator(),
        }
        kind = RMSprop if quick or not options["adabelief"] else AdaBelief
        optimiser = kind(self.net.named_parameters(), **extra)
        optimiser._keep = lambda like: [torch.ones_like(t, dtype=torch.bool) for t in like]
        return optimiser

    def _pictures(self, pretrain: bool) -> None:
        b, r = self.batch_size, self.net.resolution
        self.inputs, sides = [], []
        for side in ("src", "dst"):
            tag = "pre" if pretrain else side
            self.inputs.append(cf.nchw(cf.img(b, r, r, 3, f"w{tag}")))
            sides.append(
                SimpleNamespace(
                    target=cf.nchw(cf.img(b, r, r, 3, f"t{tag}")), mask=cf.nchw(cf.mask(b, r, r, f"m{tag}")),
                    priority=cf.nchw(cf.emask(b, r, r)),
                )
            )
        self.batch = SimpleNamespace(src=sides[0], dst=sides[1])

    def backward(self) -> dict[str, torch.Tensor]:
        self.optimiser.zero_grad(set_to_none=True)
        terms = objective(self.name, self.net(*self.inputs), self.batch, self.settings)
        sum(terms.values()).backward()
        return terms


def norm_and_projection(name: str, tensor: torch.Tensor) -> tuple[float, float]:
    flat = to_original_layout(tensor.detach()).reshape(-1).double().numpy()
    return float(np.linalg.norm(flat)), float(flat @ cf.s_vector(name, len(flat)))


def assert_close(
    name: str, have: tuple[float, float], wanted: list[float], tolerance: float, projection: float | None = None
) -> None:
    """Norm within `tolerance`, projection within three times that (or `projection`), both relative to the norm."""
    size = max(wanted[0], 1e-12)
    assert abs(have[0] - wanted[0]) <= tolerance * size, f"{name}: norm {have[0]} instead of {wanted[0]}"
    allowed = (3 * tolerance if projection is None else projection) * size
    assert abs(have[1] - wanted[1]) <= allowed, f"{name}: projection {have[1]} instead of {wanted[1]}"


@pytest.mark.parametrize("name", CASES)
def test_steps_equal_the_original(name, steps):
    case = Case(name, steps)
    wanted = case.wanted["grads"][-1]
    tolerance = LOOSE_NORMS.get(name, 1e-4)
    start = {n: p.detach().clone() for n, p in case.net.named_parameters()}
    for iteration, losses in enumerate(case.wanted["losses_per_iter"]):
        terms = case.backward()
        seen = reported(terms, case.batch_size)
        relative = 1e-5 if iteration == 0 else 1e-3
        for key, value in losses:
            assert float(seen[key]) == pytest.approx(value, rel=relative), f"{key}, iteration {iteration}"
        if iteration == 0:
            total = float(sum(terms.values()).detach())
            assert total == pytest.approx(sum(wanted["loss_per_sample"]), rel=1e-5)
            gradients = {n.replace(".", "/"): p.grad for n, p in case.net.named_parameters() if p.grad is not None}
            assert set(gradients) == set(wanted["per_var"])
            measured = {key: norm_and_projection(key, gradient) for key, gradient in gradients.items()}
            total_norm = float(np.linalg.norm([norm for norm, _ in measured.values()]))
            assert total_norm == pytest.approx(wanted["global_norm"], rel=tolerance)
            for key, have in measured.items():
                assert_close(key, have, wanted["per_var"][key], tolerance)
        case.optimiser.step()
    for key, delta in case.wanted["delta_after"].items():
        parameter = key.replace("/", ".")
        moved = dict(case.net.named_parameters())[parameter].detach() - start[parameter]
        if delta[0] == 0:
            assert not moved.any()
        else:
            assert_close(key, norm_and_projection(key, moved), delta, *DELTAS.get(name, (0.01, 0.12)))


def test_per_sample_and_mean_reduction(steps):
    case = Case("df-ud_emp", steps)
    views = case.net(*case.inputs)
    summed = objective("saehd", views, case.batch, case.settings)
    mean = objective("saehd", views, case.batch, case.settings, reduction="mean")
    assert list(summed) == [f"{s}_{t}" for s in ("src", "dst") for t in ("dssim", "mse", "eyes_mouth", "mask")]
    for key in summed:
        torch.testing.assert_close(mean[key] * case.batch_size, summed[key])
    torch.testing.assert_close(reported(mean, 2, reduction="mean"), reported(summed, 2))


def test_weights_come_from_the_settings(steps):
    case = Case("df-ud_emp", steps)
    views = case.net(*case.inputs)
    plain = objective("saehd", views, case.batch, case.settings)
    case.settings.eyes_mouth_weight, case.settings.mask_weight = 30.0, 5.0
    lighter = objective("saehd", views, case.batch, case.settings)
    torch.testing.assert_close(lighter["src_eyes_mouth"] * 10, plain["src_eyes_mouth"])
    torch.testing.assert_close(lighter["dst_mask"] * 2, plain["dst_mask"])
    torch.testing.assert_close(lighter["dst_mse"], plain["dst_mse"])
