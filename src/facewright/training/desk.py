"""What happens between two iterations of training: wishes, stages, plateaus, saves, previews."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from facewright.core.errors import FacewrightError, TrainingRefused
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models import checkpoint
from facewright.models.retention import Keep
from facewright.training import clock, guard, history, plateau, rescue, snapshots
from facewright.training.changes import wishes
from facewright.training.collapse import Collapsed
from facewright.training.course import Course, Now
from facewright.training.curve import LOSSES, read_losses
from facewright.training.history import HISTORY
from facewright.training.lesson import BUDGET, NO_LESSON, loss_key
from facewright.training.notify import Event, Messenger, Notice
from facewright.training.reports import Reports, known
from facewright.training.reset import reset_live
from facewright.training.settings import TrainSettings, in_effect
from facewright.training.stages import RISKY, Plan
from facewright.training.training import Training


class Desk:
    """What happens between two iterations: wishes, stages, plateaus, saves, previews. It changes no weight, but where
    a recipe has a part of the net begin afresh. given: the command's settings. over: the recipe, or the search for a
    plateau, has come to its end."""

    def __init__(self, t: Training[Any], work: Work, plan: Plan, given: TrainSettings) -> None:
        self.t, self.work, self.given = t, work, given
        self.course, self.messenger, self.over = Course(plan, t.place), Messenger(), False
        self.started = t.settings
        events = history.of_this_training(history.events(t.run / HISTORY))
        self.reports = Reports(t, work, history.marks(events))
        self.held = rescue.held(events)
        self.saves = [(t.saved.iteration, t.saved.folder.name)] if t.saved is not None else []
        last = max(checkpoint.list_all(t.run), key=lambda c: (c.iteration <= t.done, c.facts.serial), default=None)
        same = last is not None and last.facts.loss_key == loss_key(t.settings, t.measured_on)
        self._comparable_from = int(last.extra.get("comparable_from", 0)) if last is not None and same else t.done
        self.reports.forget(self._comparable_from)
        self._saved_s, self._saved_at = time.monotonic(), t.done
        self._shown = self._save_waits = self._doubted = False
        before = dict(t.saved.extra.get("train") or {}) if t.saved is not None else {}
        self.watch = self._watch_since(before)
        self._show_stage()
        self._keep_before_risks(t.done, {n: (before.get(n, v), v) for n, v in t.settings.model_dump().items()})

    def serve(self, iteration: int) -> None:
        """Everything that is asked for or due before the next iteration. Raises Collapsed when the net fell apart."""
        self._heed(iteration)
        asked = wishes(self.work, self.t.settings, self.started, iteration, self.t.net.settings)
        if asked.changed:
            self._keep_before_risks(iteration, asked.changed)
            self._take_over(iteration, asked.settings, asked.changed, "user")
        self._look_for_plateau(iteration)
        self._follow_recipe(iteration, asked.next)
        self._grow(iteration)
        for text in self.messenger.failures():
            self.work.note("warning", iteration=iteration, text=text)
        late = time.monotonic() - self._saved_s >= self.t.settings.save_minutes * 60
        self._save_waits |= asked.save
        if (self._save_waits or late) and self.save(iteration):
            self.t.team.also("level")
        # A first picture as soon as there is something to see, so that its path is not a promise.
        first = not self._shown and iteration > self._saved_at
        if asked.preview or self.reports.preview_due() or first:
            self._shown = True
            self.reports.signs.look(iteration, self.t.life())
            path = self.reports.show(iteration)
            self.work.note("preview", iteration=iteration, path=str(path))

    def level(self, iteration: int) -> None:
        """See that all processes are at the same weights; said where they were not."""
        if self.t.team.level(self.t.modules()):
            text = "The weights of the processes had drifted apart; all go on from those of the first one."
            self.work.note("warning", iteration=iteration, text=text)

    # ---- a net that falls apart

    def _heed(self, iteration: int) -> None:
        signs = self.reports.signs
        if signs.look_due(iteration):
            signs.look(iteration, self.t.life())
        verdict = signs.verdict()
        if verdict is not None:
            raise Collapsed(verdict[0], iteration, verdict[1])

    def go_back(self, found: Collapsed, left: int) -> rescue.GoneBack:
        """Back to the last good save, see rescue.go_back; the loss curve still shows what happened."""
        self.reports.flush()
        self.reports.mark(found.iteration, "collapse")
        self.reports.draw()
        signs = self.reports.signs
        onset = min(signs.onset, found.iteration - 1) if found.sign != "number" or signs.doubt else found.iteration - 1
        back = rescue.go_back(self.t, self.saves, onset, found, left)
        self.work.note("collapse", iteration=back.iteration, text=back.text if back.again else back.error.what)
        self.tell_others("collapse", found.iteration)
        return back

    def _doubtful(self, iteration: int) -> bool:
        """Whether weights may be broken and are not to be saved; said once."""
        doubt = self.reports.signs.doubt
        if doubt and not self._doubted:
            last = f"The last save is of iteration {self.saves[-1][0]:,}." if self.saves else "There is no save yet."
            text = f"Not saved at iteration {iteration:,}: {doubt}. {last}"
            self.work.note("warning", iteration=iteration, text=text)
        self._doubted = bool(doubt)
        return self._doubted

    # ---- the recipe

    def _follow_recipe(self, iteration: int, go: bool) -> None:
        if go and self.course.next is None:
            text = "There is no next stage to go on to." if self.course else "This training follows no recipe."
            self.work.note("refused", iteration=iteration, text=text)
        while move := self.course.move(self._now(iteration), go):
            if move == "tell":
                self._tell(iteration)
            elif move == "enter":
                self._enter(iteration)
                go = False
            else:
                self._rest(iteration, move)
                break
        part = self.course.resets(iteration)
        if part:
            self._reset(iteration, part)

    def _show_stage(self) -> None:
        """In the line of progress."""
        if self.course.stage is not None:
            count = len(self.course.plan.stages)
            self.reports.stage = f"stage {self.course.index + 1} of {count}, {self.course.stage.name}"
            self.reports.ends = self.course.end()

    def _now(self, iteration: int) -> Now:
        used_s = self.t.clock.used_s
        return Now(iteration, used_s, clock.share(self.t.settings, iteration, used_s), self.watch.seen > 0)

    def _tell(self, iteration: int) -> None:
        """Show the next stage before it starts."""
        stage, left = self.course.next, self.course.left(self._now(iteration))
        if stage is None:
            return
        when = f"In {left:,.0f} iteration{'' if round(left) == 1 else 's'}" if left else "Soon"
        changes = ", ".join(f"{k} = {v}" for k, v in self.course.plan.overrides(self.course.next_index).items())
        name = self.course.name(self.course.next_index)
        text = "; ".join(part for part in (f"{when} begins stage {name}", changes, *stage.deeds) if part)
        self.work.note("next_stage", iteration=iteration, stage=stage.name, text=f"{text}.")

    def _enter(self, iteration: int) -> None:
        course, first = self.course, self.course.index < 0
        before, done = course.next_index, self.t.done
        values = rescue.capped(course.plan.in_force(before, self.given) if first else course.plan.overrides(before),
                               self.held)
        s, wanted = self.t.settings, self.t.settings
        try:
            wanted = in_effect(check(type(s), s.model_dump() | values))
        except FacewrightError as error:  # with what the user changed while it ran, it does not go together
            self.work.note("refused", iteration=iteration, text=f"{error.what} {error.remedy}", remedy=error.remedy)
        changed = {n: (getattr(s, n), getattr(wanted, n)) for n in values if getattr(s, n) != getattr(wanted, n)}
        stage = course.plan.stages[before]
        if done and ((stage.reset and not stage.reset_every) or (stage.snapshot and not first)):
            self._keep(iteration, f"before-{stage.name}")
        else:
            self._keep_before_risks(iteration, changed)
        course.enter(self._now(iteration))
        self._show_stage()
        text = f"Stage {course.name(before)}. {stage.why}{'; it' if stage.why else 'It'} ends {stage.end_text}."
        record = {"iteration": iteration, "stage": stage.name, "recipe": course.plan.recipe, "text": text}
        self.work.note("stage", **record)
        history.note(self.t.run / HISTORY, "stage", **record)
        self.reports.mark(iteration, stage.name)
        self._take_over(iteration, wanted, changed, "recipe")
        self.watch.restart(iteration)
        if not first:
            self.tell_others("stage", iteration)

    def _rest(self, iteration: int, move: str) -> None:
        """The recipe does not go on by itself: it waits, asks for a new start, or is over."""
        stage, plan = self.course.next, self.course.plan
        if move == "over" or stage is None:
            self.over = True
            self.work.note("stage", iteration=iteration, text=f"The recipe {plan.recipe} has come to its end.")
            return
        if move == "wait":
            text = (f"Stage {stage.name} waits up to {stage.hold:,} iterations for your go-ahead, "
                    "`facewright jobs next ID`; until then the stage before it goes on.")
        else:
            text = f"Stopped before stage {stage.name}. {stage.stop}. Starting again begins it.".replace("..", ".")
            self._saved_at = -1  # also where a save of this iteration is there: that one does not know of the stop
            self.work.stop.ask()
        self.work.note("waiting", iteration=iteration, stage=stage.name, text=text)
        self.tell_others("waiting", iteration)

    def _reset(self, iteration: int, part: str) -> None:
        """A part of the net begins afresh, with dice of its own each time."""
        self.course.was_reset(iteration)
        if not self.t.done:
            return  # it is fresh
        seed = (self.t.settings.seed + iteration) % 2**31
        parts = reset_live(self.t, part, seed)
        self.t.team.also("reset", part=part, seed=seed)
        self._comparable_from = iteration
        self.reports.forget(iteration)
        self.reports.signs.afresh(iteration)
        self.watch.restart(iteration)
        text = f"{' and '.join(parts)} began afresh."
        self.work.note("reset", iteration=iteration, text=f"From iteration {iteration:,} on: {text}")
        history.note(self.t.run / HISTORY, "reset", iteration=iteration, parts=list(parts), seed=seed, by="recipe")
        self.reports.mark(iteration, f"reset {part}")

    # ---- settings and what follows from them

    def _grow(self, iteration: int) -> None:
        """The end of a beginning at half the side."""
        text = self.t.advance(iteration)
        if text:
            self._comparable_from = iteration
            self.reports.forget(iteration)
            self.watch.restart(iteration)
            self.work.note("grown", iteration=iteration, text=text)
            history.note(self.t.run / HISTORY, "grown", iteration=iteration, text=text)
            self.reports.mark(iteration, "full size")

    def back_off(self, iteration: int) -> bool:
        """Memory did not suffice for a pass: the same faces in more passes from now on. False: they cannot be fewer."""
        now, faces, values = self.t.settings, self.t.batches.batch, self.t.fewer_at_once()
        if not values:
            return False
        self._take_over(
            iteration, now.model_copy(update=values), {n: (getattr(now, n), v) for n, v in values.items()}, "memory"
        )
        text = (f"There is not enough memory for {faces} faces of each side at once: from iteration {iteration + 1:,}"
                f" on {values['accumulate']} passes of {values['batch_size']} make one, which learns the same.")
        self.work.note("warning", iteration=iteration, text=text)
        return True

    def _take_over(
        self, iteration: int, s: TrainSettings, changed: Mapping[str, tuple[Any, Any]], by: str
    ) -> None:
        if not changed:
            return
        if loss_key(s) != loss_key(self.t.settings):
            self._comparable_from = iteration
            self.reports.forget(iteration)
        elif changed.keys() - NO_LESSON - rescue.RISKS or (s.lr_schedule == "cosine" and BUDGET & changed.keys()):
            # Faces never seen before (mirrored ones) may be hard at first; a later end raises the learning rate.
            self.reports.flush()
            self.reports.signs.restart(iteration)
        self.t.settings = s
        self.t.team.also("settings", settings=s.model_dump(mode="json"))
        for name, (before, now) in changed.items():
            record = {"iteration": iteration, "name": name, "before": before, "now": now, "by": by}
            self.work.note("setting", **record)
            history.note(self.t.run / HISTORY, "setting", **record)
            if by == "user":
                self.held.pop(name, None)
                self.reports.mark(iteration, f"{name} {now}")
        self.t.settle()
        if self.t.ema is not None:
            self.t.ema.decay = s.ema_decay
        if changed.keys() - NO_LESSON:
            self.watch.restart(iteration)
        elif {"plateau", "on_plateau"} & changed.keys():
            self.watch = plateau.Watch(self.watch.since)

    def _keep_before_risks(self, iteration: int, changed: Mapping[str, tuple[Any, Any]]) -> None:
        """A snapshot before a discriminator, true face or a style power is switched on."""
        risks = [name for name, (before, now) in changed.items() if name in RISKY and now and not before]
        if risks:
            self._keep(iteration, f"before-{risks[0].replace('_', '-')}")

    def _keep(self, iteration: int, name: str) -> None:
        """Keep what is there now for ever."""
        if not self.t.done:
            return
        self.save(iteration)
        if not self.saves:
            return  # there was nothing sound to keep
        kept = snapshots.keep_current(self.t.run, name)
        which = "" if self._saved_at == iteration else f", as it was at iteration {self._saved_at:,}"
        self.work.note("snapshot", iteration=iteration, text=f"Kept as the snapshot {kept}{which}.")

    # ---- the plateau

    def _watch_since(self, before: Mapping[str, Any]) -> plateau.Watch:
        """The watch as the save knows it, unless today's settings teach otherwise than those of the save, `before`."""
        now = self.t.settings.model_dump()
        same = all(before.get(name, value) == value for name, value in now.items() if name not in NO_LESSON)
        since, seen = map(int, (self.t.saved.extra.get("plateau") or (0, 0)) if self.t.saved is not None else (0, 0))
        return plateau.Watch(since, seen) if same and since <= self.t.done else plateau.Watch(self.t.done)

    def _look_for_plateau(self, iteration: int) -> None:
        s, stage = self.t.settings, self.course.stage
        limit = stage.plateau if stage is not None and stage.plateau else s.plateau
        # Where the learning rate follows the budget, the end is known, and flat is not the end.
        if not limit or (s.lr_schedule == "cosine" and not (stage and stage.plateau)):
            return
        if self.watch.due(iteration):
            self.reports.flush()
            rows = read_losses(self.t.run / LOSSES)
            rows = rows[rows["iteration"] > self.watch.since]
            verdict = plateau.judge(rows["src"] + np.nan_to_num(rows["dst"]), limit)
            if verdict is not None and verdict.flat:
                self.watch.seen = iteration
                self._say_plateau(iteration, verdict, limit)
        if self.watch.seen and s.on_plateau == "stop" and not (stage and stage.plateau):
            self.over = True

    def _say_plateau(self, iteration: int, verdict: plateau.Verdict, limit: float) -> None:
        text = (f"The loss is flat: {verdict.text}, less than {limit:.1%}. These settings have given what they have; "
                "look at the preview.")
        self.work.note("plateau", iteration=iteration, text=text, fall=verdict.fall, sure=verdict.sure)
        history.note(self.t.run / HISTORY, "plateau", iteration=iteration, text=verdict.text)
        self.reports.mark(iteration, "flat")
        self.tell_others("plateau", iteration)

    def tell_others(self, event: Event, iteration: int) -> None:
        """Tell the user's command and web address, where there are such."""
        src, dst = (known(loss) for loss in self.reports.smoothed())
        stage = self.course.stage.name if self.course.stage is not None else ""
        self.messenger.send(Notice(event, self.t.run.resolve().name, iteration, src, dst, stage))

    # ---- saves

    def save(self, iteration: int) -> bool:
        """One folder = one moment: weights, running mean, optimiser, counters. Never of weights that are no
        numbers, nor while they may be broken. Whether something was saved."""
        t, s = self.t, self.t.settings
        if iteration == self._saved_at or self._doubtful(iteration):
            return False
        self.reports.flush()
        self.reports.signs.look(iteration, t.life())
        if self._doubtful(iteration):
            return False
        guard.weights_are_sound(t.net, iteration)
        src, dst = (known(loss) for loss in self.reports.smoothed())
        extra = {
            "used_s": t.clock.used_s, "train": s.model_dump(), "loss_src": src, "loss_dst": dst,
            "ema_updates": t.ema.updates if t.ema else 0, "comparable_from": self._comparable_from,
            "place": self.course.as_json(), "plateau": [self.watch.since, self.watch.seen],
            **t.notes(), **t.facts,
        }
        folder = checkpoint.save(
            t.run, iteration, t.net, t.optimiser, t.ema.tensors() if t.ema else None,
            settings=t.net.settings.model_dump(), extra=extra, loss=None if src is None else src + (dst or 0.0),
            loss_key=loss_key(s, t.measured_on), keep=Keep(newest=s.keep),
            players=t.players,
        )
        if snapshots.due(t.run, s.autobackup_hours):
            snapshots.keep_automatically(t.run, folder.name)
        self.saves.append((iteration, folder.name))
        self._saved_s, self._saved_at, self._save_waits = time.monotonic(), iteration, False
        self.work.note("save", iteration=iteration, loss_src=src, loss_dst=dst)
        if not s.preview_seconds:
            self.reports.redraw(iteration)
        return True

    def close(self, complete: bool) -> None:
        """The last save and picture. Raises TrainingRefused: training is `complete`, and its end cannot be saved."""
        self.save(self.t.done)
        if self.t.done:
            self.reports.show(self.t.done)
        if complete and self._doubted:
            raise TrainingRefused(
                f"The last iterations, up to {self.t.done:,}, are not saved.", why=f"{self.reports.signs.doubt}.",
                remedy=f"Run the same command again: it goes on from iteration {self._saved_at:,}, which is sound.",
                where=self.t.run,
            )
