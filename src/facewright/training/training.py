"""One training at work: what the loop and the desk need of it, whatever the net. swapping.py and masking.py fill it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from facewright.models import checkpoint
from facewright.training import clock as clocks
from facewright.training.clock import Clock
from facewright.training.host_optim import on_host
from facewright.training.machine import batch_of, bf16_wanted
from facewright.training.objectives import Reduction
from facewright.training.optim import OPTIMISERS, Ema
from facewright.training.settings import MOST_PASSES, TrainSettings
from facewright.training.team import Team

S = TypeVar("S", bound=TrainSettings)


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward and backward pass: part `part` of the `parts` that make an iteration's batch together."""

    batch: Any
    part: int = 0
    parts: int = 1


@dataclass
class Training(ABC, Generic[S]):
    """The moving parts, between `loop.train` and the disk.

    done: iterations learned. place: in the recipe, as the save knows it (see course.Place); {} before its beginning.
    """

    run: Path
    net: Any
    optimiser: torch.optim.Optimizer
    ema: Ema | None
    settings: S
    device: torch.device
    bf16: bool
    generator: torch.Generator
    clock: Clock
    batches: Any = field(kw_only=True)
    done: int = 0
    place: dict[str, Any] = field(default_factory=dict)
    rate: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    saved: checkpoint.Checkpoint | None = None
    """The save that this training goes on from."""
    team: Team = field(default_factory=Team)
    whole: bool = True
    """Whether everything that learns has come to iteration `done`, and no further."""

    growing: bool = field(init=False)
    """Whether it is in its beginning at half the side."""

    curves: ClassVar[tuple[str, ...]]
    """What the losses that the user sees are of, one or two names."""

    def __post_init__(self) -> None:
        """Only a run that is new, or that was in its small beginning when it was saved, is in it now."""
        small = self.saved is None or bool(self.saved.extra.get("growing"))
        self.growing = small and self.settings.progressive > 0

    @abstractmethod
    def passes(self, iteration: int) -> Iterator[Pass]:
        """What iteration `iteration` (0 first) learns from, piece by piece: a function of (seed, iteration)."""

    @abstractmethod
    def judge(self, iteration: int, one: Pass, how: Reduction) -> tuple[Any, dict[str, Tensor]]:
        """Run the net over a pass -> what it made, and named loss terms, whose sum over all terms and all passes of
        the iteration is the loss."""

    @abstractmethod
    def figures(self, terms: dict[str, Tensor], how: Reduction) -> Tensor:
        """Terms, summed over the passes -> (2,) losses for the user, means, detached; NaN where there is only one."""

    @abstractmethod
    def picture(self, headline: str) -> bytes:
        """The preview sheet as PNG."""

    @abstractmethod
    def life(self) -> float:
        """How much of their targets' spread the learned pictures of the preview have: about 1, of a plain area 0."""

    @abstractmethod
    def close(self) -> None:
        """End threads, let memory go."""

    def settle(self) -> None:
        """Follow settings that have just changed."""
        self.batches.batch = batch_of(self.settings, self.device)
        self.bf16 = bf16_wanted(self.settings, self.device)
        self.facts["precision"] = "bf16" if self.bf16 else "float32"

    def take_up_others(self) -> None:
        """Take up what learns beside the net where the save left it. Called when `settings` are final."""
        self.settle()
        self.advance(self.done)

    def advance(self, iteration: int) -> str:
        """Follow the budget before the next iteration: a progressive start ends. A sentence when that changes what is
        learned from."""
        used = clocks.share(self.settings, iteration, self.clock.moment_s)
        self.growing = self.growing and used < self.settings.progressive
        before = self.batches.resolution
        self.batches.resolution = self.net.half_side if self.growing else self.net.resolution
        return f"From here on at full size: {self.net.resolution} px." if self.batches.resolution > before else ""

    @property
    def measured_on(self) -> str:
        """What losses are of where that is not the usual: those of different things are not compared."""
        return f"{self.batches.resolution} px" if self.growing else ""

    @property
    def teaches_others(self) -> bool:
        """Whether what the net makes in an iteration is needed again, by `teach_others`."""
        return False

    def teach_others(self, seen: list[tuple[Any, Pass]], iteration: int, how: Reduction) -> None:
        """Let learn what learns beside the net, after its step. seen: what the net made, with its pass."""

    @property
    def players(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
        """Nets that learn beside the net and are saved with it."""
        return {}

    def notes(self) -> dict[str, Any]:
        """What a save must also remember, JSON-able."""
        return {"growing": self.growing}

    def fewer_at_once(self) -> dict[str, int]:
        """Settings under which an iteration learns from the same faces in more passes of fewer; {} where a pass has one
        face already, or an iteration all the passes that it may have."""
        batch = self.batches.batch
        fewer = next((n for n in range(batch // 2, 0, -1) if batch % n == 0), 0)
        passes = self.settings.accumulate * (batch // fewer) if fewer else 0
        return {"batch_size": fewer, "accumulate": passes} if 0 < passes <= MOST_PASSES else {}

    def parts(self) -> list[tuple[int, int]]:
        """(part, parts) of every pass of an iteration."""
        return self.team.parts(self.settings.accumulate)

    @property
    def batch(self) -> int:
        """Faces of each side that an iteration learns from, in all its passes and processes."""
        return self.batches.batch * self.settings.accumulate * self.team.size

    def enter(self, team: Team) -> None:
        """Learn with others from now on."""
        self.team, self.batches.processes = team, team.size
        if not team.alone:
            self.facts["processes"] = team.size

    def modules(self) -> list[nn.Module]:
        """Everything that learns."""
        return [self.net, *(module for module, _ in self.players.values())]

    @staticmethod
    def weighed(terms: dict[str, Tensor], one: Pass, how: Reduction) -> dict[str, Tensor]:
        """Terms of a pass as shares of the iteration's: means of parts must be averaged, sums not."""
        return {name: value / one.parts for name, value in terms.items()} if how == "mean" else terms

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 for the net's convolutions where wanted; losses, outputs and weights stay float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def before_step(self, iteration: int, rate: float) -> None:
        """Hand the settings of this iteration to the optimiser."""
        self.rate = rate
        self.tell(self.optimiser, iteration, rate)

    def tell(self, optimiser: torch.optim.Optimizer, iteration: int, rate: float) -> None:
        """The same for any of the optimisers of this training."""
        for group in optimiser.param_groups:
            group["lr"] = rate
        s = self.settings
        optimiser.clipnorm = 1.0 if s.clipgrad else 0.0  # type: ignore[attr-defined]
        if s.optimiser != "adamw":
            optimiser.lr_dropout = s.lr_dropout  # type: ignore[attr-defined]
            # One stream per iteration, so that a resumed run drops the same updates.
            self.generator.manual_seed(s.seed * 1_000_003 + iteration)


def optimiser_for(
    named: list[tuple[str, nn.Parameter]], s: TrainSettings, generator: torch.Generator
) -> torch.optim.Optimizer:
    """The optimiser that the settings name, over these parameters; what rests has no gradient and is left alone."""
    options: dict[str, Any] = {"lr": s.lr, "clipnorm": 1.0 if s.clipgrad else 0.0}
    if s.optimiser != "adamw":
        options |= {"lr_dropout": s.lr_dropout, "generator": generator}
    make = partial(OPTIMISERS[s.optimiser], **options)
    apart = s.optimiser_device == "cpu" and named[0][1].device.type != "cpu"
    return on_host(named, make) if apart else make(named)
