"""What happens between two iterations of training: wishes, stages, saves, previews."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from facewright.core.settings import check
from facewright.core.step import Work
from facewright.models import checkpoint
from facewright.models.retention import Keep
from facewright.training import backups, clock, guard, history
from facewright.training.changes import stage_changes, wishes
from facewright.training.reports import Reports, known
from facewright.training.settings import TrainSettings
from facewright.training.training import Training

HISTORY = "history.jsonl"
_LOSS_SETTINGS = (
    "masked_training", "blur_out_mask", "eyes_mouth_prio", "eyes_mouth_weight", "mouth_area", "random_warp",
    "warp_strength", "warp_independent", "rotation_deg", "scale", "shift", "match_colour",
    "uniform_yaw", "random_hsv_power", "ct_mode", "face_style_power", "bg_style_power",
)


class Desk:
    """What happens between two iterations: wishes, stages, saves, previews. Nothing here changes a weight."""

    def __init__(self, t: Training[Any], work: Work, stages: list[list[Any]]) -> None:
        self.t, self.work, self.stages = t, work, stages
        self.started = t.settings
        marks = [(r["iteration"], _mark_text(r)) for r in history.events(t.run / HISTORY, "setting")]
        self.reports = Reports(t, work, marks)
        last = max(checkpoint.list_all(t.run), key=lambda c: (c.iteration <= t.done, c.facts.serial), default=None)
        same = last is not None and last.facts.loss_key == loss_key(t.settings)
        self._comparable_from = int(last.extra.get("comparable_from", 0)) if last is not None and same else t.done
        self.reports.forget(self._comparable_from)
        self._saved_s, self._saved_at = time.monotonic(), t.done
        self._shown = False

    def serve(self, iteration: int) -> None:
        """Everything that is asked for or due before the next iteration."""
        asked = wishes(self.work, self.t.settings, self.started, iteration, self.t.net.settings)
        self._take_over(iteration, asked.settings, asked.changed, "user")
        self._next_stage(iteration)
        late = time.monotonic() - self._saved_s >= self.t.settings.save_minutes * 60
        if asked.save or late:
            self.save(iteration)
        # A first picture as soon as there is something to see, so that its path is not a promise.
        first = not self._shown and iteration > self._saved_at
        if asked.preview or self.reports.preview_due() or first:
            self._shown = True
            path = self.reports.show(iteration)
            self.work.note("preview", iteration=iteration, path=str(path))

    def _next_stage(self, iteration: int) -> None:
        now = clock.share(self.t.settings, iteration, self.t.clock.used_s)
        due = stage_changes(self.stages, self.t.share, now)
        self.t.share = now
        if due:
            s = self.t.settings
            wanted = check(type(s), s.model_dump() | due)
            changed = {n: (getattr(s, n), getattr(wanted, n)) for n in due if getattr(s, n) != getattr(wanted, n)}
            self._take_over(iteration, wanted, changed, "recipe")

    def _take_over(
        self, iteration: int, s: TrainSettings, changed: Mapping[str, tuple[Any, Any]], by: str
    ) -> None:
        if changed and loss_key(s) != loss_key(self.t.settings):
            self._comparable_from = iteration
            self.reports.forget(iteration)
        self.t.settings = s
        for name, (before, now) in changed.items():
            record = {"iteration": iteration, "name": name, "before": before, "now": now, "by": by}
            self.work.note("setting", **record)
            history.note(self.t.run / HISTORY, "setting", **record)
            self.reports.marks.append((iteration, _mark_text(record)))
        if changed:
            self.t.settle()
        if self.t.ema is not None:
            self.t.ema.decay = s.ema_decay

    def save(self, iteration: int) -> None:
        """One folder = one moment: weights, running mean, optimiser, counters. Never of weights that are no numbers."""
        t, s = self.t, self.t.settings
        if iteration == self._saved_at:
            return
        self.reports.flush()
        guard.weights_are_sound(t.net, iteration, s)
        src, dst = (known(loss) for loss in self.reports.smoothed())
        extra = {
            "used_s": t.clock.used_s, "share": t.share, "train": s.model_dump(), "loss_src": src, "loss_dst": dst,
            "ema_updates": t.ema.updates if t.ema else 0, "comparable_from": self._comparable_from,
            **t.notes(), **t.facts,
        }
        folder = checkpoint.save(
            t.run, iteration, t.net, t.optimiser, t.ema.tensors() if t.ema else None,
            settings=t.net.settings.model_dump(), extra=extra, loss=None if src is None else src + (dst or 0.0),
            loss_key=loss_key(s), keep=Keep(newest=s.keep),
            players=t.players,
        )
        if backups.due(t.run, s.autobackup_hours):
            backups.back_up(t.run, folder)
        self._saved_s, self._saved_at = time.monotonic(), iteration
        self.work.note("save", iteration=iteration, loss_src=src, loss_dst=dst)

    def close(self) -> None:
        """The last save and picture of a training that ends well."""
        self.save(self.t.done)
        if self.t.done:
            self.reports.show(self.t.done)


def loss_key(s: TrainSettings) -> str:
    """Digest of the settings that decide how large a loss is: only losses of one key are compared ("best")."""
    text = repr([(name, getattr(s, name, None)) for name in _LOSS_SETTINGS])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _mark_text(record: Mapping[str, Any]) -> str:
    return f"{record['name']} {record['now']}"
