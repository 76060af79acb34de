"""Nets that learn to tell what the net made from what it should have made, and what it learns from them.

models-and-training.md 3.4, steps 6 (true face) and 7 (GAN), and section 4. One iteration of the original: main step,
true face's own step, GAN's own step, each with a forward pass of its own, so that adversaries see weights that have
moved already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from facewright.core.errors import SettingRefused
from facewright.models.autoencoder import Inter
from facewright.models.discriminators import CodeDiscriminator, UNetPatchDiscriminator
from facewright.models.net import Net, Views, fresh
from facewright.training import losses
from facewright.training.objectives import (
    SMOOTH,
    Judged,
    Reduction,
    TrainBatch,
    power,
    reduced,
    smoothness_axes,
)

OUTSIDE = 0.02
"""Weight of the source's surroundings, where a masked GAN would let anything grow: the original's."""

OptimiserOf = Callable[[list[tuple[str, nn.Parameter]]], torch.optim.Optimizer]


@dataclass(slots=True)
class Adversary(ABC):
    """A discriminator, the optimiser of its weights, and both sides of the game it plays with a net.

    Settings that matter: the power named `strength`; pretraining switches all adversaries off.
    """

    module: nn.Module
    optimiser: torch.optim.Optimizer
    formed: tuple[int, ...] = ()
    """What `form` said when it was made."""

    name: ClassVar[str]
    strength: ClassVar[str]

    @staticmethod
    def form(settings: Any) -> tuple[int, ...]:
        """The settings that decide its shape: with others it is another net and learns from the start."""
        return ()

    @abstractmethod
    def generator_terms(
        self, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum"
    ) -> dict[str, Tensor]:
        """Named scalars to add to the net's loss. The gradient passes through the discriminator, never into it.

        Raises ValueError when `views` lack what `objectives.views_needed` asks for.
        """

    @abstractmethod
    def own_loss(self, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum") -> Tensor:
        """The discriminator's loss, a scalar. Views are taken as data: a forward pass without gradient will do, and
        the one of the net's own step too."""

    def judge(self, *inputs: Tensor) -> Any:
        """The module's answer with its weights held constant."""
        return functional_call(self.module, {n: p.detach() for n, p in self.module.named_parameters()}, inputs)


class TrueFace(Adversary):
    """Source codes shall look like target codes (df): the source's expressions move towards the target's."""

    name = "true_face"
    strength = "true_face_power"

    def generator_terms(
        self, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum"
    ) -> dict[str, Tensor]:
        """`true_face`: the source's codes, called the target's. See Adversary."""
        src, _ = _codes(views)
        fooled = losses.d_loss(self.judge(src), True)
        return {"true_face": power(settings, self.strength) * reduced(fooled, reduction)}

    def own_loss(self, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum") -> Tensor:
        """Target codes are the real ones. See Adversary."""
        src, dst = _codes(views)
        fake, real = self.module(torch.cat([src, dst]).detach()).split([len(src), len(dst)])
        return reduced((losses.d_loss(real, True) + losses.d_loss(fake, False)) / 2, reduction)


@dataclass(slots=True)
class Gan(Adversary):
    """Faces shall look real to a patch discriminator: the source's own; `both` (AMP): the target's too."""

    both: bool = False

    name = "gan"
    strength = "gan_power"

    @staticmethod
    def form(settings: Any) -> tuple[int, ...]:
        """Patch and channels."""
        return settings.gan_patch_size, settings.gan_dims

    def generator_terms(
        self, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum"
    ) -> dict[str, Tensor]:
        """`gan`: the net's faces, called real; with masks also `gan_smooth` and `gan_outside`, which keep the source's
        surroundings quiet. See Adversary."""
        made, judged, masked = self._made(views), self._judged(batch, settings), self._masked(settings)
        logits = self.judge(made * judged.grown if masked else made)
        fooled = self._per_sample(*(losses.d_loss(x, True) for x in logits))
        terms = {"gan": power(settings, self.strength) * reduced(fooled, reduction)}
        if masked:
            src = views.src_src
            outside = 1 - judged.grown[: len(src)]
            around = losses.mean_square(src * outside, judged.target[: len(src)] * outside)
            smooth = losses.total_variation_mse(src, smoothness_axes(settings))
            terms["gan_smooth"] = SMOOTH * reduced(smooth, reduction)
            terms["gan_outside"] = OUTSIDE * reduced(around, reduction)
        return terms

    def own_loss(self, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum") -> Tensor:
        """Targets are real, the net's faces are not; both logit maps count alike. See Adversary."""
        made, judged = self._made(views).detach(), self._judged(batch, settings)
        pictures = torch.cat([made, judged.target])
        if self._masked(settings):
            pictures = pictures * torch.cat([judged.grown, judged.grown])
        pairs = [logits.chunk(2) for logits in self.module(pictures)]
        values = self._per_sample(*(losses.d_loss(fake, False) + losses.d_loss(real, True) for fake, real in pairs))
        # Of one person the original sums the means of each map's pair, of both it takes the mean of all eight values.
        return reduced(values * (1 / 8 if self.both else 1 / 2), reduction)

    def _made(self, views: Views) -> Tensor:
        return torch.cat([views.src_src, views.dst_dst]) if self.both else views.src_src

    def _judged(self, batch: TrainBatch, settings: Any) -> Judged:
        sides = (batch.src, batch.dst) if self.both else (batch.src,)
        return Judged.of(torch.cat([s.target for s in sides]), torch.cat([s.mask for s in sides]), settings)

    def _masked(self, settings: Any) -> bool:
        return self.both or settings.masked_training

    def _per_sample(self, *maps: Tensor) -> Tensor:
        """Sum over maps and people: (N,)."""
        return torch.stack(maps).sum(0).view(2 if self.both else 1, -1).sum(0)


KINDS: tuple[type[Adversary], ...] = (TrueFace, Gan)
"""All there are, in the order of their steps."""


def adversaries(net: Net, settings: Any, optimiser_of: OptimiserOf, *, seed: int = 0) -> list[Adversary]:
    """Those whose power is not 0, in the order of their steps: true face, GAN. Fresh, on the net's device.

    Reads true_face_power, gan_power, gan_patch_size (px, 0 = an eighth of the net's side) and gan_dims.
    `optimiser_of`: named parameters -> their optimiser; all three optimisers of a run are of one kind. Raises
    SettingRefused for true face with a net that is not df.
    """
    device = next(net.parameters()).device
    found: list[Adversary] = []
    if power(settings, TrueFace.strength):
        module = fresh(_code_discriminator, net, seed=seed).to(device)
        found.append(TrueFace(module, optimiser_of(list(module.named_parameters()))))
    if power(settings, Gan.strength):
        patch = settings.gan_patch_size or net.resolution // 8
        make = partial(UNetPatchDiscriminator, patch, base=settings.gan_dims)
        module = fresh(lambda side: make(resolution=side), net.resolution, seed=seed).to(device)
        found.append(Gan(module, optimiser_of(list(module.named_parameters())), Gan.form(settings), net.name == "amp"))
    return found


def _code_discriminator(net: Net) -> CodeDiscriminator:
    inter = net.parts().get("inter")
    if not isinstance(inter, Inter):
        raise SettingRefused(
            "--true-face-power works with df nets only.", why="In a liae net both people share their codes.",
            remedy="Set it to 0, or start a run with --archi df-ud.", where="--true-face-power",
        )
    return CodeDiscriminator(inter.outputs, inter.side)


def _codes(views: Views) -> tuple[Tensor, Tensor]:
    if views.src_code is None or views.dst_code is None:
        raise ValueError("true face needs a forward pass with codes=True")
    return views.src_code, views.dst_code
