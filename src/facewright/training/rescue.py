"""After a collapse: what is to blame, the way back to the last good save, and the next safer value.

The way back is on the disk before anything else happens: CURRENT names the good save, and the run's history says what
holds from there on. Going on is then nothing but starting again.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facewright.core.errors import FileRefused, TrainingRefused
from facewright.models import checkpoint
from facewright.models.checkpoint import Checkpoint
from facewright.training import history, snapshots
from facewright.training.changes import changed_since
from facewright.training.collapse import Collapsed, Sign
from facewright.training.curve import LOSSES, LossFile
from facewright.training.history import HISTORY
from facewright.training.settings import TrainSettings

TRIES = 3
"""So often a training goes on by itself."""
POWERS = ("gan_power", "true_face_power", "face_style_power", "bg_style_power")
"""What pulls a net away from the plain task, the worst first."""
RISKS = frozenset({*POWERS, "clipgrad", "ct_mode", "lr", "lr_dropout", "precision", "random_warp"})
"""Settings that may break a net. A change of any other one may change how large the loss is."""
_LOWEST_LR = 1e-7


@dataclass(frozen=True, slots=True)
class Change:
    """Setting `name` went from `before` to `now` at `iteration`."""

    name: str
    before: Any
    now: Any
    iteration: int

    @property
    def riskier(self) -> bool:
        """Whether that made a collapse likelier."""
        if self.name in POWERS or self.name in ("lr", "lr_dropout"):
            return self.before is not None and self.now > self.before
        if self.name in ("clipgrad", "random_warp"):
            return self.before is True and self.now is False
        return self.name in RISKS and self.before != self.now and self.now not in ("none", "float32")


@dataclass(frozen=True, slots=True)
class Blame:
    """The likely cause: a setting, why it (a sentence), and the change that brought it, if one did."""

    name: str
    why: str
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class GoneBack:
    """The run is as it was at `iteration`. `error` is what the user reads; again: training shall go on by itself."""

    iteration: int
    error: TrainingRefused
    again: bool
    text: str = ""


def blame(sign: Sign, s: TrainSettings, changes: Sequence[Change], bf16: bool) -> Blame:
    """What most likely broke a net that learned with `s`: what was made riskier last, else what is on.

    changes: since the last good save, oldest first. bf16: whether the net computes in it.
    """
    last = next((c for c in reversed(changes) if c.riskier and getattr(s, c.name, None) == c.now), None)
    if last is not None:
        return Blame(last.name, f"{last.name} went from {last.before} to {last.now} at iteration {last.iteration:,}.",
                     last)
    if sign == "number" and bf16:
        return Blame("precision", "A value may have left the range of bf16, or the learning rate is too high.")
    power = next((name for name in POWERS if getattr(s, name, 0)), "")
    if power:
        return Blame(power, f"{power} {getattr(s, power):g} pulls the net away from its task.")
    if s.lr > type(s)().lr or s.clipgrad:
        return Blame("lr", f"The learning rate {s.lr:g} is too high for this net and batch.")
    return Blame("clipgrad", "Single large gradients can throw a net off; clipgrad, which limits them, is off.")


def safer(s: TrainSettings, cause: Blame, bf16: bool) -> dict[str, Any]:
    """The next step down the ladder from `s`, setting -> value: what was changed last as it was (a power: half of it);
    clipgrad on; the power to blame halved; float32; the learning rate halved."""
    if cause.name in POWERS and (cause.change is not None or s.clipgrad):
        return {cause.name: round(getattr(s, cause.name) / 2, 6)}
    if cause.change is not None:
        return {cause.name: cause.change.before}
    if not s.clipgrad:
        return {"clipgrad": True}
    if cause.name == "precision" and bf16:
        return {"precision": "float32"}
    return {"lr": max(s.lr / 2, _LOWEST_LR)}


def changes_of(events: Sequence[dict[str, Any]], done: int, saved: Mapping[str, Any]) -> list[Change]:
    """Every change since the save of `done` iterations, whose settings were `saved`: by hand, command or recipe."""
    found: list[Change] = []
    for event in events:
        kind, at = event.get("kind"), int(event.get("iteration") or 0)
        if kind in ("restore", "collapse"):
            found = []
        elif kind == "start" and at >= done:
            found += [Change(k, saved.get(k), v, at) for k, v in dict(event.get("says") or {}).items()]
        elif kind == "setting" and at >= done:
            found.append(Change(event["name"], event.get("before"), event.get("now"), at))
    return found


def held(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Safer values that a recipe must not undo: those of collapses, until the user sets the same thing."""
    values: dict[str, Any] = {}
    for event in events:
        kind = event.get("kind")
        if kind == "collapse":
            values |= dict(event.get("safer") or {})
        elif kind == "setting" and event.get("by") == "user":
            values.pop(event["name"], None)
        elif kind == "start":
            values = {k: v for k, v in values.items() if k not in dict(event.get("says") or {})}
    return values


def capped(values: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with no risk above the `limits` that `held` gave."""
    numbers = {*POWERS, "lr", "lr_dropout"}
    return {k: (min(v, limits[k]) if k in numbers else limits[k]) if k in limits else v for k, v in values.items()}


def go_back(t: Any, saves: Sequence[tuple[int, str]], onset: int, found: Collapsed, left: int) -> GoneBack:
    """Make the newest good save the current one and note what holds from there on.

    saves: (iteration, folder's name) of this session, the one that it went on from first. onset: those of fewer
    iterations are sound. left: how often it may still go on by itself. Nothing is deleted: a current save that is not
    sound keeps the name "collapsed".
    """
    good = _good(t, saves, onset)
    now = int(good.iteration) if good is not None else 0
    events = history.of_this_training(history.events(t.run / HISTORY))
    saved = dict(good.extra.get("train") or {}) if good is not None else {}
    cause = blame(found.sign, t.settings, changes_of(events, now, saved), t.bf16)
    values = safer(t.settings, cause, t.bf16)
    lost = good is None and bool(saves)
    again = t.settings.on_collapse == "safer" and left > 0 and not lost
    if good is not None and snapshots.newest(t.run).folder != good.folder:
        snapshots.restore(t.run, good.folder.name, "collapsed")
    elif not lost:
        LossFile(t.run / LOSSES, now)
    kept = {k: v for k, v in changed_since(events, now).items() if cause.change is None or k != cause.change.name}
    steps = values if again else {}
    history.note(t.run / HISTORY, "collapse", iteration=now, noticed=found.iteration, onset=onset, sign=found.sign,
                 text=found.text, blamed=cause.name, why=cause.why, safer=steps, set=kept | steps)
    for name, value in steps.items():
        history.note(t.run / HISTORY, "setting", iteration=now, name=name, before=getattr(t.settings, name), now=value,
                     by="guard")
    said = " ".join(_flag(name, value) for name, value in values.items())
    text = f"At iteration {found.iteration:,} {found.text}. {cause.why} Back to iteration {now:,}, and on with {said}."
    return GoneBack(now, _refusal(t, found, cause, said, good, lost), again, text)


def _good(t: Any, saves: Sequence[tuple[int, str]], onset: int) -> Checkpoint | None:
    """The newest sound save; else the one that the session went on from, which the user chose; None without either."""
    trusted = [name for iteration, name in saves if iteration < onset]
    first = [t.saved.folder.name] if t.saved is not None else []
    for name in [*reversed(trusted), *first]:
        try:
            return checkpoint.load(t.run, name)
        except FileRefused:
            continue  # thinned out meanwhile, or damaged
    return None


def _refusal(
    t: Any, found: Collapsed, cause: Blame, said: str, good: Checkpoint | None, lost: bool
) -> TrainingRefused:
    again = f"Run the same command again with `{said}`"
    if lost:
        remedy = (f"No save is sound. Start over with `facewright model reset {shlex.quote(str(t.run))} all`, then run"
                  f" the same command with `{said}`.")
    elif good is None:
        remedy = f"{again}; nothing was saved yet, so it starts over."
    else:
        remedy = f"{again}; it goes on from iteration {good.iteration:,}, which is sound."
    return TrainingRefused(
        f"Training stopped at iteration {found.iteration:,}: {found.text}.", why=cause.why, remedy=remedy, where=t.run
    )


def _flag(name: str, value: Any) -> str:
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{dashed}" if value else f"--no-{dashed}"
    return f"--{dashed} {value:g}" if isinstance(value, float) else f"--{dashed} {value}"
