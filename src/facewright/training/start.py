"""Everything that training needs before its first iteration, made or taken up again from the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from facewright.faces.face import FaceType
from facewright.faceset.faceset import Faceset
from facewright.models import checkpoint
from facewright.models.amp import Amp
from facewright.models.net import Net, Views, build
from facewright.models.settings import ShapeSettings
from facewright.training import machine
from facewright.training.adversaries import KINDS, Adversary, adversaries
from facewright.training.batches import Batch, Batches, unbent
from facewright.training.clock import Clock
from facewright.training.objectives import Reduction, power, views_needed
from facewright.training.optim import OPTIMISERS, Ema
from facewright.training.samples import Samples, choose, crop_side, prepare
from facewright.training.settings import AmpTrain, TrainSettings
from facewright.training.survey import Survey, files_of, load_face

CACHE = ".cache"
_REUSED_EVERY = 3


@dataclass
class Training:
    """One training at work: the moving parts, between `loop.train` and the disk.

    done: iterations learned. share: of the budget, up to where a recipe's stages have come.
    """

    run: Path
    net: Net
    batches: Batches
    optimiser: torch.optim.Optimizer
    ema: Ema | None
    settings: TrainSettings
    device: torch.device
    bf16: bool
    generator: torch.Generator
    clock: Clock
    done: int = 0
    share: float = 0.0
    rate: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    parked: dict[str, Adversary] = field(default_factory=dict)
    """Every adversary that has learned something, whatever its power is now."""
    saved: checkpoint.Checkpoint | None = None
    """The save that this training goes on from."""

    @property
    def adversaries(self) -> list[Adversary]:
        """Those that play at the present settings, in the order of their steps."""
        return [self.parked[k.name] for k in KINDS if k.name in self.parked and power(self.settings, k.strength)]

    def forward_options(self, iteration: int) -> dict[str, Any]:
        """What the net's pass of this iteration must also make, and AMP's random mixture of channels."""
        options: dict[str, Any] = dict(views_needed(self.settings))
        if isinstance(self.net, Amp):
            generator = torch.Generator(self.device).manual_seed(self.settings.seed * 1_000_003 + iteration)
            options["mix"] = self.net.draw_mix(self.batches.batch, generator)
        return options

    def call_adversaries(self) -> None:
        """Make those that the settings ask for and that are not there yet, or are of another shape.

        Raises SettingRefused for true face with a net that is not df.
        """
        def optimiser_of(named: list[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
            return optimiser_for(named, self.settings, self.generator)

        wanted = {cls.name: cls.form(self.settings) for cls in KINDS if power(self.settings, cls.strength)}
        missing = {n for n, form in wanted.items() if n not in self.parked or self.parked[n].formed != form}
        if missing:
            made = adversaries(self.net, self.settings, optimiser_of, seed=self.settings.seed)
            self.parked |= {a.name: a for a in made if a.name in missing}

    def teach_adversaries(self, views: Views, batch: Batch, iteration: int, how: Reduction) -> None:
        """One step of each adversary, from the net's own pass or from a fresh one by its moved weights."""
        s = self.settings
        for adversary in self.adversaries:
            with self.autocast():
                if getattr(s, "adversary_pass", "shared") == "fresh":
                    with torch.no_grad():
                        views = self.net(batch.src.input, batch.dst.input, **self.forward_options(iteration))
                loss = adversary.own_loss(views, batch, s, reduction=how)
            adversary.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._tell(adversary.optimiser, iteration, self.rate)
            adversary.optimiser.step()

    def batch(self, iteration: int) -> Batch:
        """What iteration `iteration` (0 first) learns from. Quick96 shows every third batch again, unbent."""
        if getattr(self.settings, "reuse_batches", False) and iteration and iteration % _REUSED_EVERY == 0:
            return self.batches.get(iteration - 1, unbent(self.settings))
        return self.batches.get(iteration, self.settings)

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 for the net's convolutions where wanted; losses, outputs and weights stay float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def best_weights(self, src: torch.Tensor, dst: torch.Tensor) -> Views:
        """The net's views, swap included, by the running mean of the weights (the weights themselves without one)."""
        weights = self.ema.tensors() if self.ema is not None else {}
        with self.autocast():
            return functional_call(self.net, weights, (src, dst), {"swap": True})

    def freeze_what_rests(self) -> None:
        """Parameters that the net does not train at these settings get no gradient (quirk Q4)."""
        s = self.settings
        options = {"train_inters": s.train_inters} if isinstance(s, AmpTrain) else {}
        moving = {name for name, _ in self.net.trainable(s.random_warp, **options)}
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name in moving)

    def before_step(self, iteration: int, rate: float) -> None:
        """Hand the settings of this iteration to the optimiser."""
        self.rate = rate
        self._tell(self.optimiser, iteration, rate)

    def _tell(self, optimiser: torch.optim.Optimizer, iteration: int, rate: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = rate
        s = self.settings
        optimiser.clipnorm = 1.0 if s.clipgrad else 0.0  # type: ignore[attr-defined]
        if s.optimiser != "adamw":
            optimiser.lr_dropout = s.lr_dropout  # type: ignore[attr-defined]
            # One stream per iteration, so that a resumed run drops the same updates.
            self.generator.manual_seed(s.seed * 1_000_003 + iteration)


def prepare_samples(
    run: Path, faceset: Faceset, found: Survey, name: str, shape: ShapeSettings, s: TrainSettings,
    progress: Callable[[int, int], None],
) -> Samples:
    """One side's faces, ready to be read; `name` is "src" or "dst"."""
    wanted = FaceType(shape.face_type)
    native = found.side_px * _span(wanted) / _span(found.face_type)
    side = crop_side(shape.resolution, native)
    samples = prepare(
        run / CACHE / name, files_of(faceset, found.person), load_face, found.count, digest=found.stamp,
        face_type=wanted, side=side, mouth_area=s.mouth_area, progress=progress,
    )
    chosen = choose(samples.frames, s.hold_out, s.hold_out_last)
    return Samples(samples.path, samples.side, samples.frames, samples.yaw_rad, samples.colour, chosen)


def _span(face_type: FaceType) -> float:
    """Side of a crop in units of the mean face (data-formats-and-merging.md 1.1)."""
    return 1 + 2 * 2**0.5 * face_type.padding


def begin(run: Path, net_name: str, shape: ShapeSettings, s: TrainSettings, src: Samples, dst: Samples) -> Training:
    """Net, optimiser, running mean and clock: fresh, or as the run's newest sound save left them."""
    device = machine.device_of(s)
    net = build(net_name, shape, seed=s.seed).to(device)
    generator = torch.Generator(device).manual_seed(s.seed)
    optimiser = optimiser_for(list(net.named_parameters()), s, generator)
    ema = Ema(net.named_parameters(), s.ema_decay) if s.ema else None
    batches = Batches(src, dst, net.resolution, machine.batch_of(s, device), device, s.match_colour)
    saved = checkpoint.load_latest(run)
    used = _take_up(saved, net, optimiser, ema) if saved is not None else 0.0
    t = Training(
        run, net, batches, optimiser, ema, s, device, machine.bf16_wanted(s, device), generator,
        Clock(used, s.clock), saved.iteration if saved is not None else 0,
        float(saved.extra.get("share", 0.0)) if saved is not None else 0.0,
    )
    if saved is not None and saved.damaged:
        t.warnings.append(f"Damaged saves were passed over: {', '.join(saved.damaged)}.")
    if saved is not None and not saved.resumable:
        t.warnings.append("This save holds no optimiser state: the first iterations may be rough.")
    t.facts = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(), "precision": "bf16" if t.bf16 else "float32", "batch": batches.batch,
        "parameters": sum(p.numel() for p in net.parameters()), "torch": torch.__version__,
    }
    t.freeze_what_rests()
    t.saved = saved
    return t


def bring_adversaries(t: Training) -> None:
    """Those that today's settings ask for, and those of the save that have the shape of today's settings, also where
    their power is 0 now. Called when `settings` are settled."""
    t.call_adversaries()
    saved = t.saved
    if saved is None:
        return
    for cls in KINDS:
        formed = saved.extra.get("adversaries", {}).get(cls.name)
        if formed is None or tuple(formed) != cls.form(t.settings):
            continue
        if cls.name not in t.parked:
            asked = t.settings.model_copy(update={cls.strength: 1.0, "pretrain": False})
            made = adversaries(t.net, asked, lambda named: optimiser_for(named, t.settings, t.generator))
            t.parked |= {a.name: a for a in made if a.name == cls.name}
        adversary = t.parked[cls.name]
        saved.restore_player(cls.name, adversary.module, adversary.optimiser)


def _take_up(
    saved: checkpoint.Checkpoint, net: Net, optimiser: torch.optim.Optimizer, ema: Ema | None
) -> float:
    """Load a save in place; returns the seconds of training that led to it."""
    saved.restore(net, optimiser)
    if ema is not None:
        mean = saved.ema()
        # A run that kept none so far starts the mean at its weights.
        ema.load(saved.weights() if mean is None else mean, int(saved.extra.get("ema_updates", 0)) if mean else 0)
    return float(saved.extra.get("used_s", 0.0))


def optimiser_for(
    named: list[tuple[str, nn.Parameter]], s: TrainSettings, generator: torch.Generator
) -> torch.optim.Optimizer:
    """The optimiser that the settings name, over these parameters; what rests has no gradient and is left alone."""
    options: dict[str, Any] = {"lr": s.lr, "clipnorm": 1.0 if s.clipgrad else 0.0}
    if s.optimiser != "adamw":
        options |= {"lr_dropout": s.lr_dropout, "generator": generator}
    return OPTIMISERS[s.optimiser](named, **options)
