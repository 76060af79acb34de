"""Where a training is in its recipe, and what comes next. Decides only; the desk does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from facewright.training.stages import Plan, Stage

AHEAD, AHEAD_SHARE = 1000, 0.05
"""The next stage is shown so many iterations before it begins; in short stages this share of them."""

Move = Literal["", "tell", "wait", "stop", "enter", "over"]
"""tell: show the next stage; wait: it waits for the user's go-ahead; stop: end this session, the next one begins the
stage; enter: begin it; over: the recipe has come to its end."""


@dataclass(frozen=True, slots=True)
class Now:
    """This moment: iterations done, seconds of training, share 0..1 of the budget, whether the loss is flat."""

    iteration: int
    used_s: float
    share: float = 0.0
    flat: bool = False


@dataclass(slots=True)
class Place:
    """Where a training is in its recipe; every save remembers it.

    at, at_s: iteration and seconds of training when the stage began; begun_s: when the recipe began. ended: iteration
    at which the stage's end was seen; told, waits: at which the next one was shown, at which it began to wait;
    reset_at: the last reset; -1 = not yet. stopped: the session ended before the next stage, as that asks.
    """

    recipe: str
    stage: str
    at: int
    at_s: float
    begun_s: float
    ended: int = -1
    told: int = -1
    waits: int = -1
    reset_at: int = -1
    stopped: bool = False


class Course:
    """A plan, and the place in it. `saved`: a place's JSON form; that of another recipe counts for nothing."""

    def __init__(self, plan: Plan, saved: Mapping[str, Any] | None = None) -> None:
        self.plan = plan
        self.place: Place | None = None
        names = [stage.name for stage in plan.stages]
        self.index = -1
        if saved and saved.get("recipe") == plan.recipe and saved.get("stage") in names:
            kinds = {"at_s": float, "begun_s": float, "recipe": str, "stage": str, "stopped": bool}
            known = [f.name for f in fields(Place) if f.name in saved]
            kept: dict[str, Any] = {name: kinds.get(name, int)(saved[name]) for name in known}
            self.place, self.index = Place(**kept), names.index(str(saved["stage"]))

    def __bool__(self) -> bool:
        return bool(self.plan.stages)

    def as_json(self) -> dict[str, Any]:
        """The place, {} before the beginning."""
        return asdict(self.place) if self.place is not None else {}

    @property
    def stage(self) -> Stage | None:
        """The stage in work."""
        return self.plan.stages[self.index] if self.index >= 0 else None

    @property
    def next_index(self) -> int:
        """Of the stage that comes after it, or of the first one; may lie behind the last one."""
        if self.index >= 0:
            return self.index + 1
        return next((i for i, stage in enumerate(self.plan.stages) if stage.name == self.plan.begin), 0)

    @property
    def next(self) -> Stage | None:
        """The stage that comes next."""
        return self.plan.stages[self.next_index] if self.next_index < len(self.plan.stages) else None

    def name(self, index: int) -> str:
        """Of stage `index`, for people."""
        stages = self.plan.stages
        return f"{index + 1} of {len(stages)} of the recipe {self.plan.recipe}: {stages[index].name}"

    def move(self, now: Now, go: bool = False) -> Move:
        """What is due. go: the user wants the next stage now."""
        if self.place is None or self.stage is None:
            return "enter" if self.plan.stages else ""
        place, after = self.place, self.next
        if go and after is not None:
            return "enter"
        if place.ended < 0 and self._ended(now):
            place.ended = now.iteration
        if after is None:
            return "over" if place.ended >= 0 else ""
        if place.told < 0 and (place.ended >= 0 or self._nearly(now)):
            place.told = now.iteration
            return "tell"
        if place.ended < 0 or (self.stage.plateau and now.flat and now.iteration < place.told + _lead(self.stage)):
            return ""
        if now.iteration - place.ended < after.hold:
            first, place.waits = place.waits < 0, max(place.waits, now.iteration)
            return "wait" if first else ""
        if after.stop and not place.stopped:
            place.stopped = True
            return "stop"
        return "enter"

    def enter(self, now: Now) -> Stage:
        """Go to the next stage; returns it."""
        index = self.next_index
        begun_s = self.place.begun_s if self.place is not None else now.used_s
        self.index = index
        stage = self.plan.stages[index]
        self.place = Place(self.plan.recipe, stage.name, now.iteration, now.used_s, begun_s)
        return stage

    def resets(self, iteration: int) -> str:
        """The part of the net that is to begin afresh now, "" = none. To be followed by `was_reset`."""
        stage, place = self.stage, self.place
        if stage is None or place is None or not stage.reset or place.reset_at == iteration:
            return ""
        within = iteration - place.at
        if not stage.reset_every:
            return stage.reset if within == 0 and place.reset_at < 0 else ""
        due = within > 0 and within % stage.reset_every == 0
        # At the end of the stage the next one says whether it wants a fresh part.
        return stage.reset if due and place.ended < 0 and within != stage.iterations else ""

    def was_reset(self, iteration: int) -> None:
        """It was done, with the weights of iteration `iteration`."""
        if self.place is not None:
            self.place.reset_at = iteration

    def left(self, now: Now) -> float | None:
        """Iterations to the known end of this stage at its pace so far; None where nobody knows."""
        stage, place = self.stage, self.place
        if stage is None or place is None:
            return None
        done, spent = now.iteration - place.at, now.used_s - place.at_s
        found: list[float] = [stage.iterations - done] if stage.iterations else []
        if done > 0 and spent > 0:
            ends_s = [place.at_s + 3600 * stage.hours] if stage.hours else []
            ends_s += [place.begun_s + 3600 * stage.total_hours] if stage.total_hours else []
            found += [(end - now.used_s) * done / spent for end in ends_s]
        if stage.share and now.share > 0:
            found.append(now.iteration * (stage.share / now.share - 1))
        return max(min(found), 0.0) if found else None

    def end(self) -> tuple[int, float]:
        """(iteration, minutes of training) at which the recipe ends at the latest; 0 where it is not known."""
        rest = self.plan.stages[max(self.index, 0) :]
        if self.place is None or not rest:
            return 0, 0.0
        known = all(stage.iterations for stage in rest)
        last_s = self.place.begun_s + 3600 * rest[-1].total_hours if rest[-1].total_hours else 0.0
        return (self.place.at + sum(stage.iterations for stage in rest) if known else 0), last_s / 60

    def _ended(self, now: Now) -> bool:
        stage, place = self.stage, self.place
        if stage is None or place is None:
            return False
        return bool(
            (stage.iterations and now.iteration - place.at >= stage.iterations)
            or (stage.hours and now.used_s - place.at_s >= 3600 * stage.hours)
            or (stage.total_hours and now.used_s - place.begun_s >= 3600 * stage.total_hours)
            or (stage.share and now.share >= stage.share)
            or (stage.plateau and now.flat)
        )

    def _nearly(self, now: Now) -> bool:
        left = self.left(now)
        return self.stage is not None and left is not None and left <= _lead(self.stage)


def _lead(stage: Stage) -> int:
    return max(1, min(AHEAD, int(AHEAD_SHARE * stage.iterations))) if stage.iterations else AHEAD
