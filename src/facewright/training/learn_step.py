"""Faces -> weights, as a Step: from the command that begins or goes on to the summary; the loop itself is loop.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from facewright.core.errors import FacewrightError
from facewright.core.settings import check
from facewright.core.step import Item, Likeness, Work
from facewright.faces.face import FaceType
from facewright.models import checkpoint
from facewright.models.checkpoint import Checkpoint
from facewright.models.run_folder import RunFolder, is_run
from facewright.models.settings import SHAPES, ShapeSettings
from facewright.training import guard, history, lead, machine, rescue
from facewright.training.changes import goes_on, says_now, taken_up
from facewright.training.collapse import Collapsed
from facewright.training.desk import Desk
from facewright.training.history import HISTORY
from facewright.training.loop import train
from facewright.training.original import beyond_the_program
from facewright.training.pretrain import leave, of_many
from facewright.training.recipe_file import plan_of
from facewright.training.reports import LATEST, PREVIEW
from facewright.training.reset import part_names
from facewright.training.settings import TrainSettings, in_effect, settings_class, suits
from facewright.training.snapshots import settle
from facewright.training.stages import Plan
from facewright.training.survey import Side, likenesses, serves
from facewright.training.team import Parted, Team
from facewright.training.training import Training

ITEM = "train"


@dataclass
class LearnStep(ABC):
    """Faces -> weights in RUN, whatever the net. One item with inner saves; see core.step.Step.

    shape: shape settings that were given (the rest: the run's, else defaults). recipe: a plan of stages as JSON
    (stages.Plan), {} = none. said: settings that this command names itself. src_person, dst_person: whom to learn where
    a faceset holds several people.
    """

    run: str
    src: str
    dst: str
    net: str
    settings: TrainSettings
    shape: dict[str, Any] = field(default_factory=dict)
    src_person: str = ""
    dst_person: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    stage = "train"

    _sides: list[Side] = field(default_factory=list, init=False, repr=False, compare=False)
    _team: Team = field(default_factory=Team, init=False, repr=False, compare=False)

    def home(self) -> Path:
        """The run's folder."""
        return Path(self.run)

    def args(self) -> dict[str, Any]:
        """See core.step.Step; paths absolute, so that a job resumes from any folder."""
        given = {name: getattr(self, name) for name in ("run", "src", "dst")}
        paths = {name: str(Path(path).absolute()) if path else "" for name, path in given.items()}
        plain = ("net", "shape", "src_person", "dst_person", "recipe", "said")
        return paths | {name: getattr(self, name) for name in plain}

    def likenesses(self) -> list[Likeness]:
        """The source's face is put in, the target's is replaced."""
        return [one for side in self.sides() for one in likenesses(side.faceset, side.found, side.role)]

    def inputs(self) -> dict[str, str]:
        """Digests of the faces on each side."""
        return {side.name: side.found.digest for side in self.sides()}

    def plan(self) -> list[Item]:
        """One item. Raises what can be known before work begins: facesets, shape, settings, device."""
        shape = self.shape_settings()
        for side in self.sides():
            serves(side.found, side.word, FaceType(shape.face_type))
        suits(self.settings, shape)
        machine.device_of(self.settings)
        lead.check_gpus(self.settings)
        self.stages().check(self.settings, shape, lambda: part_names(self.net, shape))
        return [Item(ITEM)]

    def stages(self) -> Plan:
        """The recipe's. Raises FileRefused: damaged."""
        return plan_of(self.recipe, self.home())

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Any]]:
        """Trains; yields the summary when the budget is used up, nothing when it was stopped (and saved)."""
        if not todo:
            return
        device = machine.device_of(self.settings)
        batch = machine.batch_of(self.settings, device)
        with (
            machine.borrowed(self.settings, device), guard.memory_advice(batch, self.settings),
            lead.called(self.net, self.settings, work) as self._team,
        ):
            summary = self._learn(work)
        if summary is not None:
            yield todo[0], summary

    def _learn(self, work: Work) -> dict[str, Any] | None:
        """Train; the summary, or None when it was stopped. After a collapse, where that is wanted, from the last good
        save again."""
        for left in range(rescue.TRIES, 0, -1):
            found = self._session(work, left)
            if not isinstance(found, rescue.GoneBack):
                return found
        return cast("dict[str, Any] | None", self._session(work, 0))

    def _session(self, work: Work, left: int) -> dict[str, Any] | rescue.GoneBack | None:
        """See _learn. A call of its own, so that its memory is free after it. left: how often it may go on by itself
        after a collapse."""
        try:
            t = self._begin(work)
        except _StopAsked:
            return None  # while the faces were prepared: nothing is learned that could be saved
        desk = None
        try:
            desk = Desk(t, work, self.stages(), self.settings)
            complete = self._learned(t, desk)
        except Collapsed as found:
            if desk is None:
                raise
            back = desk.go_back(found, left)
            if back.again:
                return back
            desk.tell_others("stopped", t.done)
            raise back.error from None
        except FacewrightError as error:
            if desk is not None:
                _rescue(t, desk, error)
            raise
        finally:
            t.close()
            if desk is not None and not work.stop.at_once:
                desk.messenger.close()
        history.note(t.run / HISTORY, "end" if complete else "stop", iteration=t.done)
        return self._summary(t, desk) if complete else None

    @staticmethod
    def _learned(t: Training[Any], desk: Desk) -> bool:
        """Train, save; whether it came to its end. Raises what training raises, and TrainingRefused: the end came while
        the net was in doubt."""
        complete = train(t, desk)
        if not desk.work.stop.at_once:
            desk.close(complete)
        if complete:
            desk.tell_others("end", t.done)  # what is told may look at the model at once
        return complete

    def commit(self, item: Item, result: Any) -> dict[str, Any]:
        """The saves are durable already; the record repeats where training ended."""
        return dict(result)

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """The summary of the one item."""
        return dict(records.get(ITEM, {}))

    def shape_settings(self) -> ShapeSettings:
        """The net's shape: given, else the run's, else defaults. Raises SettingRefused, Mismatch (another net)."""
        if is_run(self.home()):
            return cast(ShapeSettings, RunFolder.open(self.home(), self.net).shape_with(self.shape))
        settings_class(self.net)
        return cast(ShapeSettings, check(SHAPES[self.net], self.shape))

    def sides(self) -> list[Side]:
        """The facesets, looked at once. Raises NothingFound, Mismatch, TrainingRefused."""
        if not self._sides:
            self._sides += self.look()
        return self._sides

    @abstractmethod
    def look(self) -> list[Side]:
        """What to learn from, seen in the indices alone. Raises NothingFound, Mismatch, TrainingRefused."""

    @abstractmethod
    def begin(
        self, shape: Any, s: Any, saved: Checkpoint | None, prepared: Callable[[str], Callable[[int, int], None]]
    ) -> Training[Any]:
        """What learns under settings `s`, fresh or as `saved` left it, ready for its next iteration. prepared: side's
        name -> what to tell while its faces are cut."""

    @abstractmethod
    def advice(self, t: Training[Any], data_before: dict[str, Any]) -> list[str]:
        """What a user should hear before hours are spent. data_before: `data` of the last start."""

    def data(self) -> dict[str, Any]:
        """What the run remembers of its faces."""
        return {side.name: side.found.as_dict() for side in self.sides()}

    def _begin(self, work: Work) -> Training[Any]:
        shape, run, s = self.shape_settings(), self.home(), self.settings
        new = not is_run(run)
        folder = RunFolder.create(run, self.net, shape) if new else RunFolder.open(run, self.net)
        if new:
            work.note("new", iteration=0, text=f"{run.name} is a new model, in {run.absolute().parent}.")
        settle(run)
        # A face once learned stays in the weights, so its record stays with the run.
        known = list(folder.extra.get("likenesses", []))
        people = known + [p for p in map(_plain, self.likenesses()) if p not in known]
        data_before = dict(folder.extra.get("data", {}))
        folder.note(likenesses=people, data={**data_before, **self.data()})
        before, saved = self._before(folder)
        now = says_now(before, s, self.said, self.recipe)
        done, stored = (saved.iteration, saved.extra.get("train")) if saved is not None else (0, None)
        taken = in_effect(taken_up(before, s, done, stored, now))
        t = self.begin(shape, taken, saved, lambda name: lambda done, total: _prepared(work, done, total, name))
        if self.recipe.get("begin") and not goes_on(before, s, self.recipe):
            t.place = {}  # the user asks for that stage now, wherever the recipe had come to
        t.enter(self._team)
        t.take_up_others()
        self._call_others(t)
        found = (*t.warnings, *lead.advice(t), *self.advice(t, data_before))
        for text in (*found, *beyond_the_program(t.settings, t.net.settings)):
            work.note("warning", iteration=t.done, text=text)
        digests = self.inputs()
        history.note(folder.history, "start", iteration=t.done, given=s.model_dump(), settings=t.settings.model_dump(),
                     plan=self.recipe, says=now, **digests, **t.facts)
        work.note("start", iteration=t.done, preview=str(run / PREVIEW / LATEST), **t.facts)
        return t

    def _call_others(self, t: Training[Any]) -> None:
        """Have the other processes begin as this one did."""
        if self._team.alone:
            return
        step = {**self.args(), "said": [], "recipe": {}}
        settings = (self.settings, t.settings)
        given, taken = (s.model_dump(mode="json") for s in settings)
        self._team.say({"step": step, "settings": given, "taken_up": taken})
        lead.meet(self._team, lead.facts_of(t))

    def _before(self, folder: RunFolder) -> tuple[list[dict[str, Any]], Checkpoint | None]:
        """What led to this start, and the save to go on from; a pretraining that is over is left first."""
        saved = checkpoint.load_latest(folder.path)
        if saved is not None and of_many(saved) and not self.settings.pretrain:
            leave(folder.path, saved, self.settings.seed)
            saved = checkpoint.load_latest(folder.path)
        return history.of_this_training(history.events(folder.history)), saved

    def _summary(self, t: Training, desk: Desk) -> dict[str, Any]:
        src, dst = (round(loss, 5) if loss == loss else None for loss in desk.reports.smoothed())
        return {
            "net": self.net, "iterations": t.done, "minutes": round(t.clock.used_s / 60, 3), "loss_src": src,
            "loss_dst": dst, "it_per_s": round(desk.reports.rate, 3), "preview": str(t.run / PREVIEW / LATEST),
            **t.facts,
        }


def _rescue(t: Training[Any], desk: Desk, error: FacewrightError) -> None:
    """After an error that is not the net's own: what was learned is as good as before, so it is saved if it can be."""
    if t.whole and not desk.work.stop.at_once:
        with suppress(FacewrightError):
            desk.save(t.done)
    if not isinstance(error, Parted):
        desk.tell_others("stopped", t.done)


class _StopAsked(Exception):
    """The user stopped before the first iteration."""


def _prepared(work: Work, done: int, total: int, name: str) -> None:
    work.progress(done, total, f"preparing {name} faces")
    if work.stop.asked:
        raise _StopAsked


def _plain(likeness: Likeness) -> dict[str, Any]:
    """A likeness as the run keeps it, so that merge and export can carry it on."""
    return {
        "role": likeness.role, "consent": likeness.consent, "person": likeness.person,
        "where": str(likeness.where.absolute()), "footage_sha256": list(likeness.footage_sha256),
    }
