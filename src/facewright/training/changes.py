"""Wishes of a running training's user: other settings, a save, a preview; and stages that come due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from facewright.core.errors import FacewrightError
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models.settings import ShapeSettings
from facewright.training.settings import TrainSettings, live, suits


@dataclass
class Wishes:
    """What to do at this border between two iterations. `changed`: setting -> (before, now)."""

    settings: TrainSettings
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    save: bool = False
    preview: bool = False


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
    return found


def _set(found: Wishes, values: dict[str, Any], started: TrainSettings, shape: ShapeSettings) -> None:
    before = found.settings
    wanted = check(type(before), before.model_dump() | values, started=started)
    live(before, wanted)
    suits(wanted, shape)
    found.settings = wanted
    for name in values:
        if getattr(before, name) != getattr(wanted, name):
            found.changed[name] = (getattr(before, name), getattr(wanted, name))


def goes_on(events: Sequence[dict[str, Any]], given: TrainSettings) -> bool:
    """Whether this start takes up a training of the same settings that did not come to its end."""
    starts = [i for i, e in enumerate(events) if e.get("kind") == "start"]
    if not starts or events[starts[-1]].get("given") != given.model_dump(mode="json"):
        return False
    return all(e.get("kind") != "end" for e in events[starts[-1] :])


def taken_up(events: Sequence[dict[str, Any]], given: TrainSettings, done: int) -> TrainSettings:
    """The settings with which a training starts: as `given`, and when it `goes_on`, with what was changed on the way.

    A recipe's stage counts when the iteration it came at is among the `done` ones (else it comes again by itself).
    """
    if not goes_on(events, given):
        return given
    last = max(i for i, e in enumerate(events) if e.get("kind") == "start")
    values: dict[str, Any] = dict(events[last].get("settings", {}))
    for event in events[last:]:
        if event.get("kind") == "setting" and (event.get("by") == "user" or event["iteration"] <= done):
            values[event["name"]] = event["now"]
    return check(type(given), values)


def stage_changes(stages: Sequence[Sequence[Any]], before: float, now: float) -> dict[str, Any]:
    """Overrides of the recipe's later stages ([from share, overrides]) that come due between two used shares."""
    due: dict[str, Any] = {}
    for start, overrides in stages:
        if before < start <= now:
            due |= overrides
    return due
