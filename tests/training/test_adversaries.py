"""Adversaries: who learns from what, which settings count. Their numbers: test_train_steps.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tests import closed_form as cf

from facewright.core.errors import SettingRefused
from facewright.models.net import build
from facewright.models.settings import AmpSettings, SaehdSettings
from facewright.training.adversaries import Gan, TrueFace, adversaries
from facewright.training.objectives import views_needed

DIMS = {"resolution": 64, "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}


def settings(**given) -> SimpleNamespace:
    usual = {"true_face_power": 0.0, "gan_power": 0.0, "gan_patch_size": 8, "gan_dims": 4, "masked_training": True,
             "blur_out_mask": False, "pretrain": False}
    return SimpleNamespace(**usual | given)


class Game:
    """A net, its adversaries and a batch of two faces."""

    def __init__(self, archi: str = "df-ud", **given) -> None:
        shape = AmpSettings(**DIMS, inter_dims=48) if archi == "amp" else SaehdSettings(**DIMS, archi=archi)
        self.settings = settings(**given)
        self.net = build("amp" if archi == "amp" else "saehd", shape)
        self.adversaries = adversaries(self.net, self.settings, lambda named: torch.optim.Adam(named, lr=3e-3))
        side = [
            SimpleNamespace(target=cf.nchw(cf.img(2, 64, 64, 3, f"t{s}")), mask=cf.nchw(cf.mask(2, 64, 64, f"m{s}")))
            for s in ("src", "dst")
        ]
        self.batch = SimpleNamespace(src=side[0], dst=side[1])

    def views(self):
        return self.net(self.batch.src.target, self.batch.dst.target, **views_needed(self.settings))


GAMES = [("df-ud", {"true_face_power": 0.5}), ("df-ud", {"gan_power": 0.5}), ("liae-ud", {"gan_power": 0.5}),
         ("amp", {"gan_power": 0.5})]


@pytest.mark.parametrize(("archi", "powers"), GAMES)
def test_each_side_learns_from_its_own_loss_alone(archi, powers):
    game = Game(archi, **powers)
    (adversary,) = game.adversaries
    views = game.views()
    sum(adversary.generator_terms(views, game.batch, game.settings).values()).backward(retain_graph=True)
    assert all(p.grad is None for p in adversary.module.parameters())
    encoder = [p for n, p in game.net.named_parameters() if n.startswith("encoder")]
    assert all(p.grad is not None for p in encoder)
    game.net.zero_grad(set_to_none=True)
    adversary.own_loss(views, game.batch, game.settings).backward()
    assert all(p.grad is not None for p in adversary.module.parameters())
    assert all(p.grad is None for p in game.net.parameters())


@pytest.mark.parametrize(("archi", "powers"), GAMES)
def test_an_adversary_gets_better_at_it(archi, powers):
    game = Game(archi, **powers)
    (adversary,) = game.adversaries
    with torch.no_grad():
        views = game.views()
    seen = []
    for _ in range(50):
        adversary.optimiser.zero_grad(set_to_none=True)
        loss = adversary.own_loss(views, game.batch, game.settings)
        loss.backward()
        adversary.optimiser.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < 0.9 * seen[0]


@pytest.mark.parametrize(("archi", "powers"), GAMES)
def test_mean_is_the_sum_by_the_batch(archi, powers):
    game = Game(archi, **powers)
    (adversary,) = game.adversaries
    with torch.no_grad():
        views = game.views()
        summed = adversary.generator_terms(views, game.batch, game.settings)
        mean = adversary.generator_terms(views, game.batch, game.settings, reduction="mean")
        torch.testing.assert_close({n: 2 * t for n, t in mean.items()}, summed)
        own = [adversary.own_loss(views, game.batch, game.settings, reduction=r) for r in ("sum", "mean")]
        torch.testing.assert_close(own[0], 2 * own[1])


def test_power_scales_what_the_net_learns():
    game = Game(gan_power=0.5)
    with torch.no_grad():
        weak = game.adversaries[0].generator_terms(game.views(), game.batch, game.settings)
        strong = game.adversaries[0].generator_terms(game.views(), game.batch, settings(gan_power=1.0))
    torch.testing.assert_close(strong["gan"], 2 * weak["gan"])
    torch.testing.assert_close(strong["gan_outside"], weak["gan_outside"])


def test_an_unmasked_gan_leaves_no_surroundings():
    game = Game(gan_power=0.5, masked_training=False)
    terms = game.adversaries[0].generator_terms(game.views(), game.batch, game.settings)
    assert list(terms) == ["gan"]


def test_order_and_sizes():
    game = Game(true_face_power=0.1, gan_power=0.1, gan_patch_size=0, gan_dims=6)
    true_face, gan = game.adversaries
    assert isinstance(true_face, TrueFace)
    assert isinstance(gan, Gan)
    assert (gan.module.strides, gan.module.in_conv.out_channels, gan.both) == ((2, 2), 6, False)
    # df-ud of 64 px: codes of 4 x 4, the inter doubles its grid of 2.
    assert (true_face.module.levels, true_face.module.convs_0.in_channels) == (1, 32)
    assert Game("amp", gan_power=0.1).adversaries[0].both


@pytest.mark.parametrize("given", [{}, {"true_face_power": 1.0, "gan_power": 1.0, "pretrain": True}])
def test_no_adversary_without_power_and_while_pretraining(given):
    assert Game(**given).adversaries == []
    assert not any(views_needed(settings(**given)).values())


def test_true_face_is_for_df():
    with pytest.raises(SettingRefused, match="df nets only"):
        Game("liae-ud", true_face_power=0.1)


def test_views_without_codes_are_a_mistake_that_is_named():
    game = Game(true_face_power=0.1)
    plain = game.net(game.batch.src.target, game.batch.dst.target)
    with pytest.raises(ValueError, match="codes=True"):
        game.adversaries[0].generator_terms(plain, game.batch, game.settings)


def test_same_seed_same_adversary():
    first, second = (Game(gan_power=1.0).adversaries[0].module for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
