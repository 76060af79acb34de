"""Wishes of a running training's user: other settings, a save, a preview, the next stage; and what of them lasts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facewright.core.errors import FacewrightError, SettingRefused
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models.settings import ShapeSettings
from facewright.training.lesson import BUDGET
from facewright.training.settings import TrainSettings, in_effect, live, suits

COMMANDS_OWN = frozenset({"device", "gpus", "pretrain", "threads"})
"""Settings of this machine and of this command: a save brings none of them along."""


@dataclass
class Wishes:
    """What to do at this border between two iterations. `changed`: setting -> (before, now); next: the recipe's next
    stage shall begin."""

    settings: TrainSettings
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    save: bool = False
    preview: bool = False
    next: bool = False


def wishes(work: Work, now: TrainSettings, started: TrainSettings, iteration: int, shape: ShapeSettings) -> Wishes:
    """Take what was asked since the last call; a request that cannot be met is journalled and changes nothing."""
    found = Wishes(now)
    for request in work.changes():
        if "set" in request:
            try:
                _set(found, request["set"], started, shape)
            except FacewrightError as error:
                # `what` is the note's own kind: the sentence goes under `text`, which clients show.
                work.note("refused", iteration=iteration, text=f"{error.what} {error.remedy}", remedy=error.remedy)
        found.save |= request.get("do") == "save"
        found.preview |= request.get("do") == "preview"
        found.next |= request.get("do") == "next"
    return found


def _set(found: Wishes, values: dict[str, Any], started: TrainSettings, shape: ShapeSettings) -> None:
    before = found.settings
    wanted = check(type(before), before.model_dump() | values, started=started)
    live(before, wanted)
    suits(wanted, shape)
    fixed = [name for name in values if getattr(in_effect(wanted), name) != getattr(wanted, name)]
    if fixed:
        flag = "--" + fixed[0].replace("_", "-")
        raise SettingRefused(f"{flag} is fixed while pretraining.", remedy="Change it when the two people are learned.",
                             where=flag)
    found.settings = wanted
    for name in values:
        if getattr(before, name) != getattr(wanted, name):
            found.changed[name] = (getattr(before, name), getattr(wanted, name))


def goes_on(events: Sequence[dict[str, Any]], given: TrainSettings, plan: Mapping[str, Any]) -> bool:
    """Whether this start takes up a training of the same settings and stages that did not come to its end."""
    starts = [i for i, e in enumerate(events) if e.get("kind") == "start"]
    if not starts:
        return False
    last = events[starts[-1]]
    if last.get("given") != given.model_dump(mode="json") or (last.get("plan") or {}) != dict(plan):
        return False
    return all(e.get("kind") != "end" for e in events[starts[-1] :])


def says_now(
    events: Sequence[dict[str, Any]], given: TrainSettings, said: Collection[str], plan: Mapping[str, Any]
) -> dict[str, Any]:
    """What a new command sets: settings whose names it `said`, and those that are otherwise than in the command before
    (from project.toml, from a recipe). The same command again sets nothing: it goes on; after a snapshot was restored,
    to the command's end instead of the snapshot's."""
    starts = [i for i, e in enumerate(events) if e.get("kind") == "start"]
    if not starts:
        return {}
    now, before = given.model_dump(), dict(events[starts[-1]].get("given") or {})
    if goes_on(events, given, plan):
        restored = any(e.get("kind") == "restore" for e in events[starts[-1] :])
        return {k: now[k] for k in BUDGET} if restored else {}
    return {k: v for k, v in now.items() if k in said or (k in before and before[k] != v)}


def taken_up(
    events: Sequence[dict[str, Any]], given: TrainSettings, done: int, saved: Mapping[str, Any] | None,
    now: Mapping[str, Any],
) -> TrainSettings:
    """The settings with which a training starts after `done` iterations.

    Those of the save (`saved`; a recipe's stages included); with what was `changed_since`; with what `says_now`; and
    whatever is `COMMANDS_OWN`, from `given`. Raises SettingRefused where these do not go together.
    """
    starts = [e for e in events if e.get("kind") == "start"]
    values: dict[str, Any] = dict(saved or (starts[0].get("given") if starts else None) or {})
    changes = changed_since(events, done)
    whole = given.model_dump()
    changes |= dict(now)
    if "batch_size" in changes:  # what a lack of memory made of the one before is over, see Desk.back_off
        changes = {"accumulate": given.accumulate} | changes
    known = {k: v for k, v in (values | changes).items() if k in whole and k not in COMMANDS_OWN}
    return check(type(given), whole | known)


def changed_since(events: Sequence[dict[str, Any]], done: int) -> dict[str, Any]:
    """What the user changed since the save of `done` iterations, by a command or while it ran.

    What was changed before a snapshot was restored is undone with it; after a collapse holds what `rescue` noted.
    """
    changes: dict[str, Any] = {}
    for event in events:
        kind, late = event.get("kind"), int(event.get("iteration") or 0) >= done
        if kind == "start":
            changes |= dict(event.get("says") or {}) if late else {}
        elif kind == "setting" and event.get("by") == "user" and late:
            changes[event["name"]] = event["now"]
        elif kind == "restore":
            changes = {}
        elif kind == "collapse":
            changes = dict(event.get("set") or {}) if late else {}
    return changes
