"""What a recipe is: stages of training as data, and the plan that one training follows.

A stage ends at the first of its ends: so many `iterations` or `hours` of its own, `total_hours` since the recipe
began, a `share` 0..1 of the budget (--minutes or --iterations), a `plateau` of the loss. One without any lasts as long
as the training, so it is the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from facewright.core.errors import FacewrightError, SettingRefused
from facewright.core.settings import check
from facewright.models.settings import SHAPES
from facewright.training.settings import AT_START, TrainSettings, settings_class, suits

RISKY = {
    "gan_power": "the discriminator", "true_face_power": "true face", "face_style_power": "face style",
    "bg_style_power": "background style",
}
"""Settings that can spoil a model from one hour to the next when they are switched on: a snapshot comes first."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stretch of training with the settings that it changes. Its JSON form are the fields that are not default.

    reset: part of the net that begins afresh, at the stage's beginning or, with `reset_every`, after each so many of
    its iterations. hold: wait up to so many iterations for the user's go-ahead before it begins (the stage before it
    goes on meanwhile). stop: end the training before this stage, with this sentence; starting again begins it.
    snapshot: keep the save before it for ever (always, where it switches on what is RISKY).
    """

    name: str
    why: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    iterations: int = 0
    hours: float = 0.0
    total_hours: float = 0.0
    share: float = 0.0
    plateau: float = 0.0
    reset: str = ""
    reset_every: int = 0
    hold: int = 0
    stop: str = ""
    snapshot: bool = True

    def as_json(self) -> dict[str, Any]:
        """What `Stage(**...)` takes, without defaults."""
        plain = {f.name: f.default for f in fields(self) if f.default is not MISSING}
        return {k: v for k, v in asdict(self).items() if v != plain.get(k, {})}

    @property
    def ends(self) -> bool:
        """Whether it has an end of its own."""
        return bool(self.iterations or self.hours or self.total_hours or self.share or self.plateau)

    @property
    def end_text(self) -> str:
        """When it ends, for people."""
        found = [
            f"after {self.iterations:,} iterations" if self.iterations else "",
            f"after {self.hours:g} h" if self.hours else "",
            f"{self.total_hours:g} h after the recipe's beginning" if self.total_hours else "",
            f"at {self.share:.0%} of the budget" if self.share else "",
            f"when the loss is flat (less than {self.plateau:.1%})" if self.plateau else "",
        ]
        return " or ".join(text for text in found if text) or "with the training"

    @property
    def deeds(self) -> list[str]:
        """What is done beside changing settings, for people."""
        every = f"every {self.reset_every:,} iterations" if self.reset_every else "first"
        found = [
            "stop before it" if self.stop else "",
            f"wait up to {self.hold:,} iterations for `jobs next`" if self.hold else "",
            f"reset {self.reset} {every}" if self.reset else "",
        ]
        return [text for text in found if text]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named set of values. nets: which nets they are for (none = any); shape: overrides of the net's shape;
    settings: of the whole training; where: the file."""

    name: str
    help: str
    where: str = ""
    nets: tuple[str, ...] = ()
    shape: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()

    def start(self) -> dict[str, Any]:
        """Training settings of the beginning, as one layer for `core.settings.merge`."""
        return {**self.settings, **(self.stages[0].settings if self.stages else {})}

    def serves(self, net: str) -> None:
        """Raise SettingRefused when it is for other nets, or has a value that this one does not take: then the error
        names file, stage and key. What depends on a run's own shape is checked by `Plan.check`."""
        if self.nets and net not in self.nets:
            raise SettingRefused(
                f"The recipe {self.name} is for {' and '.join(self.nets)}, not for {net}.",
                remedy=f"Run `facewright train {self.nets[0]} --recipe {self.name}`.", where="--recipe",
            )
        with _named(f"The recipe {self.name}, shape", f"{self.where}: shape"):
            check(SHAPES[net], self.shape)
        with _named(f"The recipe {self.name}, settings", f"{self.where}: settings"):
            # As with a budget: whether there is one is known when it is used.
            start = check(settings_class(net), {"minutes": 60.0} | dict(self.settings))
        for _ in self.plan().courses(start):
            pass

    def plan(self, mine: Collection[str] = (), begin: str = "") -> Plan:
        """Its stages as a training takes them. Raises SettingRefused: no stage `begin`."""
        if begin and not self.stages:
            raise SettingRefused(
                f"There is no stage {begin!r}: {self.name or 'this training'} has no stages.",
                remedy="Add --recipe standard, or another with stages (`facewright recipes list`).", where="--stage",
            )
        if begin and begin not in [stage.name for stage in self.stages]:
            raise SettingRefused(
                f"The recipe {self.name} has no stage {begin!r}.", where="--stage",
                remedy=f"It has: {', '.join(stage.name for stage in self.stages)}.",
            )
        return Plan(self.name, self.stages, tuple(sorted(mine)), begin, self.where)


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe's stages as one training follows them. mine: settings that stay what the user gave, whatever a stage
    says; begin: the stage to begin with."""

    recipe: str = ""
    stages: tuple[Stage, ...] = ()
    mine: tuple[str, ...] = ()
    begin: str = ""
    where: str = ""

    def as_json(self) -> dict[str, Any]:
        """JSON-able; {} without stages. `recipe_file.plan_of` reads it."""
        if not self.stages:
            return {}
        return {"recipe": self.recipe, "stages": [one.as_json() for one in self.stages], "mine": list(self.mine),
                "begin": self.begin, "where": self.where}

    def _at(self, stage: Stage) -> AbstractContextManager[None]:
        where = f"{self.where or self.recipe}: stage {stage.name}"
        return _named(f"Stage {stage.name} of the recipe {self.recipe}", where)

    def overrides(self, index: int) -> dict[str, Any]:
        """What stage `index` changes, without what is the user's."""
        return {k: v for k, v in self.stages[index].settings.items() if k not in self.mine}

    def in_force(self, index: int, given: TrainSettings) -> dict[str, Any]:
        """All that stages change, as it is in stage `index` where training begins with it under `given`: what the
        stages before it changed, and nothing of those after it, whatever the run did before."""
        values = {k: getattr(given, k) for one in self.stages for k in one.settings if k not in self.mine}
        for before in range(index + 1):
            values |= self.overrides(before)
        return values

    def courses(self, start: TrainSettings) -> Iterator[tuple[Stage, TrainSettings]]:
        """Each stage with the settings in force, beginning with those at `start`. Raises SettingRefused."""
        now = start
        for index, stage in enumerate(self.stages):
            values = self.overrides(index)
            stuck = sorted(AT_START & values.keys()) if index else []
            with self._at(stage):
                if stuck:
                    raise SettingRefused(
                        f"{stuck[0]} cannot change while training runs.", why="It is read once, at the start.",
                        remedy="Put it under the recipe's own `settings`.", where=stuck[0],
                    )
                now = check(type(start), now.model_dump() | values)
            yield stage, now

    def check(self, start: TrainSettings, shape: Any, parts: Callable[[], Sequence[str]] | None = None) -> None:
        """Raise SettingRefused, naming file, stage and key, where a stage cannot be trained. parts: names the net's."""
        budget = start.minutes or start.iterations
        for stage, now in self.courses(start):
            with self._at(stage):
                suits(now, shape)
                if stage.share and not budget:
                    raise SettingRefused(
                        "It ends at a share of the budget, and there is none.",
                        remedy="Give --minutes or --iterations.", where="share",
                    )
                if stage.reset and parts is not None:
                    picked(parts(), stage.reset)


@contextmanager
def _named(what: str, where: str) -> Iterator[None]:
    """Say in an error which part of which file it is about."""
    try:
        yield
    except FacewrightError as error:
        key = f", {error.where}" if error.where else ""
        raise type(error)(f"{what}: {error.what}", why=error.why, remedy=error.remedy, where=where + key) from error


def picked(parts: Sequence[str], network: str) -> tuple[str, ...]:
    """The parts called `network`, or `network`_something (inter = inter_AB and inter_B). Raises SettingRefused."""
    found = tuple(p for p in parts if p == network) or tuple(p for p in parts if p.startswith(f"{network}_"))
    if not found or not network:
        raise SettingRefused(
            f"This model has no part called {network!r}.", remedy=f"It has: {', '.join(parts)}.", where="NETWORK"
        )
    return found
