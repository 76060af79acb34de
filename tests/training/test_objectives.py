"""What the objectives add to the terms that test_train_steps.py checks by numbers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tests import closed_form as cf

from facewright.models.net import build
from facewright.models.settings import SaehdSettings
from facewright.training import losses
from facewright.training.objectives import (
    grey,
    mask_objective,
    objective,
    reported,
    smoothness_axes,
    views_needed,
)

DIMS = {"resolution": 64, "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}


def settings(**given) -> SimpleNamespace:
    usual = {"masked_training": True, "blur_out_mask": False, "face_style_power": 0.0, "bg_style_power": 0.0}
    return SimpleNamespace(**usual | given)


@pytest.fixture(scope="module")
def batch() -> SimpleNamespace:
    sides = [
        SimpleNamespace(target=cf.nchw(cf.img(2, 64, 64, 3, f"t{s}")), mask=cf.nchw(cf.mask(2, 64, 64, f"m{s}")))
        for s in ("src", "dst")
    ]
    return SimpleNamespace(src=sides[0], dst=sides[1])


def net(archi: str):
    return cf.fill(build("saehd", SaehdSettings(**DIMS, archi=archi)))


@pytest.mark.parametrize("archi", ["df-ud", "liae-ud"])
@pytest.mark.parametrize("powers", [{"face_style_power": 10.0}, {"bg_style_power": 10.0},
                                    {"face_style_power": 10.0, "bg_style_power": 10.0}])
def test_styles_count_for_the_source(archi, powers, batch):
    s = settings(**powers)
    views = net(archi)(batch.src.target, batch.dst.target, **views_needed(s))
    plain = objective("saehd", views, batch, settings())
    styled = objective("saehd", views, batch, s)
    added = {name.replace("_power", "") for name in powers}
    assert set(styled) - set(plain) == {f"src_{name}" for name in added}
    before, after = reported(plain, 2), reported(styled, 2)
    assert after["src_loss"] > before["src_loss"]
    assert after["dst_loss"] == before["dst_loss"]


@pytest.mark.parametrize("archi", ["df-ud", "liae-ud"])
def test_views_do_not_depend_on_what_else_is_asked(archi, batch):
    n = net(archi)
    with torch.no_grad():
        plain = n(batch.src.target, batch.dst.target)
        whole = n(batch.src.target, batch.dst.target, swap=True, style=True, codes=archi == "df-ud")
        styled = n(batch.src.target, batch.dst.target, style=True)
    for name in ("src_src", "src_src_mask", "dst_dst", "dst_dst_mask"):
        torch.testing.assert_close(getattr(plain, name), getattr(whole, name))
    assert plain.src_dst is plain.src_dst_mask is plain.src_dst_styled is plain.src_code is None
    torch.testing.assert_close(whole.src_dst, whole.src_dst_styled)
    torch.testing.assert_close(styled.src_dst_styled, whole.src_dst)
    torch.testing.assert_close(styled.src_dst_mask, whole.src_dst_mask)
    assert styled.src_dst is None


@pytest.mark.parametrize(("archi", "decoder"), [("df-ud", "decoder_src"), ("liae-ud", "decoder")])
def test_face_style_moves_the_decoder_alone(archi, decoder, batch):
    n = net(archi)
    views = n(batch.src.target, batch.dst.target, style=True)
    term = objective("saehd", views, batch, settings(face_style_power=10.0))["src_face_style"]
    term.backward()
    moved = {name.split(".")[0] for name, p in n.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {decoder}


def test_style_without_its_views_is_a_mistake_that_is_named(batch):
    views = net("df-ud")(batch.src.target, batch.dst.target)
    with pytest.raises(ValueError, match="style=True"):
        objective("saehd", views, batch, settings(face_style_power=1.0))
    with pytest.raises(ValueError, match="swap=True"):
        objective("saehd", views, batch, settings(bg_style_power=1.0))


def test_pretraining_has_no_styles(batch):
    s = settings(face_style_power=10.0, bg_style_power=10.0, pretrain=True)
    assert not any(views_needed(s).values())
    views = net("df-ud")(batch.src.target, batch.dst.target)
    assert list(objective("saehd", views, batch, s)) == list(objective("saehd", views, batch, settings()))


def test_outside_of_the_targets_mask_counts_in_amp_only(batch):
    views = net("df-ud")(batch.src.target, batch.dst.target)
    s = settings(eyes_mouth_prio=False)
    before = objective("amp", views, batch, s)
    corner = torch.zeros_like(views.dst_dst)
    corner[:, :, :4, :4] = 0.2
    after = objective("amp", replace(views, dst_dst=views.dst_dst + corner), batch, s)
    assert {name for name in after if not torch.equal(after[name], before[name])} == {"outside", "smooth"}
    assert reported(after, 2) == reported(before, 2)


def test_xseg_pretraining_compares_greys():
    picture = cf.nchw(cf.img(2, 256, 256, 3, "wxseg"))
    wanted = grey(picture)
    torch.testing.assert_close(wanted[:, 0], 0.114 * picture[:, 0] + 0.587 * picture[:, 1] + 0.299 * picture[:, 2])
    logits = torch.logit(wanted * 0.9)
    terms = mask_objective(logits, wanted, pretrain=True)
    made = torch.sigmoid(logits)
    by_hand = 5 * losses.dssim(made, wanted, 22) + 5 * losses.dssim(made, wanted, 11)
    torch.testing.assert_close(terms["dssim"], by_hand.sum())
    torch.testing.assert_close(terms["mse"], 10 * losses.mean_square(made, wanted).sum())
    mean = mask_objective(logits, wanted, pretrain=True, reduction="mean")
    torch.testing.assert_close(2 * mean["mse"], terms["mse"])
    assert all(t < 1e-5 for t in mask_objective(torch.logit(wanted, 1e-6), wanted, pretrain=True).values())


def test_perfect_masks_cost_nothing():
    mask = (cf.nchw(cf.mask(2, 64, 64, "mxseg")) >= 0.5).float()
    assert mask_objective(60 * mask - 30, mask)["cross_entropy"] < 1e-6


def test_parity_smooths_along_channels_and_rows_as_the_original_s_gpu_layout():
    assert smoothness_axes(SimpleNamespace(parity="dfl")) == (1, 2)
    assert smoothness_axes(settings()) == smoothness_axes(SimpleNamespace(parity="none")) == (2, 3)
