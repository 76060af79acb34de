"""Training of a net that swaps faces: SAEHD, AMP, Quick96."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from facewright.models.amp import Amp
from facewright.models.autoencoder import Computing
from facewright.models.dfl_read import ForeignNet
from facewright.models.memory import give_memory
from facewright.models.net import Net, Views
from facewright.models.run_folder import is_run
from facewright.models.taken_over import waiting
from facewright.training import preview
from facewright.training.adversaries import KINDS, Adversary, adversaries
from facewright.training.batches import DST, SRC, Batch, Batches, unbent
from facewright.training.objectives import Reduction, objective, power, reported, views_needed
from facewright.training.settings import AmpTrain, SwapTrain
from facewright.training.training import Pass, Training, optimiser_for

_REUSED_EVERY = 3


@dataclass
class Swapping(Training[SwapTrain]):
    """See Training. batches: where the faces of both people come from. forward: calls the net, maybe in a
    translation."""

    net: Net
    batches: Batches = field(kw_only=True)
    parked: dict[str, Adversary] = field(default_factory=dict, kw_only=True)
    """Every adversary that has learned something, whatever its power is now."""
    forward: Callable[..., Views] = field(init=False)

    curves: ClassVar[tuple[str, ...]] = ("source", "target")

    def __post_init__(self) -> None:
        """Nothing is translated yet."""
        super().__post_init__()
        self.forward = self.net

    def passes(self, iteration: int) -> Iterator[Pass]:
        """Quick96 shows every third batch again, unbent."""
        s, number = self.settings, iteration
        if getattr(s, "reuse_batches", False) and iteration and iteration % _REUSED_EVERY == 0:
            s, number = unbent(s), iteration - 1
        for part, parts in self.parts():
            yield Pass(self.batches.get(number, s, part, parts), part, parts)

    def judge(self, iteration: int, one: Pass, how: Reduction) -> tuple[Views, dict[str, Tensor]]:
        """See Training: the net's own terms, and those of its adversaries."""
        batch: Batch = one.batch
        views = self.forward(batch.src.input, batch.dst.input, **self._forward_options(iteration, one))
        terms = objective(self.net.name, views, batch, self.settings, reduction=how)
        for adversary in self.adversaries:
            terms |= adversary.generator_terms(views, batch, self.settings, reduction=how)
        return views, self.weighed(terms, one, how)

    def figures(self, terms: dict[str, Tensor], how: Reduction) -> Tensor:
        """Source and target loss."""
        found = reported(terms, self.batch, reduction=how)
        return torch.stack([found["src_loss"], found["dst_loss"]])

    @property
    def adversaries(self) -> list[Adversary]:
        """Those that play at the present settings, in the order of their steps; none in a small beginning."""
        if self.growing:
            return []
        return [self.parked[k.name] for k in KINDS if k.name in self.parked and power(self.settings, k.strength)]

    @property
    def players(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """See Training."""
        return {name: (a.module, a.optimiser) for name, a in self.parked.items()}

    def notes(self) -> dict[str, Any]:
        """See Training: also of which shape the adversaries are."""
        return super().notes() | {"adversaries": {name: list(a.formed) for name, a in self.parked.items()}}

    def settle(self) -> None:
        """See Training. Raises SettingRefused for true face with a net that is not df."""
        super().settle()
        self.set_up_net()
        self.call_adversaries()

    def set_up_net(self) -> None:
        """How it computes; and parameters that it does not train at these settings get no gradient (quirk Q4)."""
        s = self.settings
        self.net.compute(Computing(s.checkpoint_decoder, s.memory_format == "channels_last"))
        options = {"train_inters": s.train_inters} if isinstance(s, AmpTrain) else {}
        moving = {name for name, _ in self.net.trainable(s.random_warp, **options)}
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name in moving)

    def call_adversaries(self) -> None:
        """Make those that the settings ask for and that are not there yet, or are of another shape. One of this
        shape that came with an imported model goes on.

        Raises SettingRefused for true face with a net that is not df.
        """
        wanted = {cls.name: cls.form(self.settings) for cls in KINDS if power(self.settings, cls.strength)}
        missing = {n for n, form in wanted.items() if n not in self.parked or self.parked[n].formed != form}
        if missing:
            made = adversaries(self.net, self.settings, self._optimiser_of, seed=self.settings.seed)
            came = waiting(self.run, self.done) if is_run(self.run) else {}
            for adversary in made:
                if adversary.name in missing:
                    if adversary.name in came and adversary.name not in self.parked:
                        _take_up(adversary, came[adversary.name])
                    self.parked[adversary.name] = adversary

    def take_up_others(self) -> None:
        """Adversaries: those that today's settings ask for, and those of the save that have the shape of today's
        settings, also where their power is 0 now."""
        super().take_up_others()
        if self.saved is None:
            return
        for cls in KINDS:
            formed = self.saved.extra.get("adversaries", {}).get(cls.name)
            if formed is None or tuple(formed) != cls.form(self.settings):
                continue
            if cls.name not in self.parked:
                asked = self.settings.model_copy(update={cls.strength: 1.0, "pretrain": False})
                made = adversaries(self.net, asked, self._optimiser_of)
                self.parked |= {a.name: a for a in made if a.name == cls.name}
            adversary = self.parked[cls.name]
            self.saved.restore_player(cls.name, adversary.module, adversary.optimiser)

    @property
    def teaches_others(self) -> bool:
        """See Training."""
        return bool(self.adversaries)

    def teach_others(self, seen: list[tuple[Any, Pass]], iteration: int, how: Reduction) -> None:
        """One step of each adversary, from the net's own passes or from fresh ones by its moved weights."""
        for adversary in self.adversaries:
            adversary.optimiser.zero_grad(set_to_none=True)
            for views, one in seen:
                with self.autocast():
                    if getattr(self.settings, "adversary_pass", "shared") == "fresh":
                        views = self._again(iteration, one)
                    loss = adversary.own_loss(views, one.batch, self.settings, reduction=how)
                (loss / one.parts if how == "mean" else loss).backward()
            self.team.add_up(adversary.module.parameters(), torch.zeros(1, device=self.device))
            self.tell(adversary.optimiser, iteration, self.rate)
            adversary.optimiser.step()

    def best_weights(self, src: Tensor, dst: Tensor) -> Views:
        """The net's views, swap included, by the running mean of the weights (the weights themselves without one)."""
        weights = self.ema.tensors() if self.ema is not None else {}
        with self.autocast():
            return functional_call(self.net, weights, (src, dst), {"swap": True})

    def picture(self, headline: str) -> bytes:
        """See Training."""
        return preview.sheet(preview.views(self.best_weights, self.batches, *self._shown()), headline)

    def life(self) -> float:
        """See Training: the lesser of both people's, by the weights themselves, since their running mean is late."""
        src, dst = (self.batches.plain(side, rows) for side, rows in zip((SRC, DST), self._shown()))
        n = min(len(src.target), len(dst.target))
        with torch.no_grad(), self.autocast():
            views = self.net(src.target[:n], dst.target[:n])
        pairs = ((views.src_src, src), (views.dst_dst, dst))
        return min(preview.life(made, face.target[:n], face.mask[:n]) for made, face in pairs)

    def close(self) -> None:
        """See Training."""
        self.batches.close()

    def _shown(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the faces in the preview."""
        src, dst, s = self.batches.src, self.batches.dst, self.settings
        return preview.at_frames(src.frames, s.preview_src), preview.at_frames(dst.frames, s.preview_dst)

    def _again(self, iteration: int, one: Pass) -> Views:
        with torch.no_grad():
            return self.forward(one.batch.src.input, one.batch.dst.input, **self._forward_options(iteration, one))

    def _forward_options(self, iteration: int, one: Pass) -> dict[str, Any]:
        """What the net's pass must also make, and AMP's random mixture of channels."""
        options: dict[str, Any] = dict(views_needed(self.settings))
        if isinstance(self.net, Amp):
            generator = torch.Generator(self.device).manual_seed(self.settings.seed * 1_000_003 + iteration)
            count = self.batches.batch
            mix = self.net.draw_mix(count * one.parts, generator)
            options["mix"] = mix[count * one.part : count * (one.part + 1)]
        return options

    def _optimiser_of(self, named: list[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        return optimiser_for(named, self.settings, self.generator)


def _take_up(adversary: Adversary, came: ForeignNet) -> None:
    """Give an adversary the weights and the memory of one that came with an imported model, if it has their shape."""
    shapes = {name: value.shape for name, value in adversary.module.state_dict().items()}
    if shapes == {name: value.shape for name, value in came.weights.items()}:
        adversary.module.load_state_dict(dict(came.weights))
        if came.optimiser is not None:
            give_memory(adversary.optimiser, came.optimiser)
