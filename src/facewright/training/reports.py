"""What training tells: losses, their curve, the preview sheet, progress. One wait for the device per report."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facewright.core.errors import FacewrightError
from facewright.core.files import make_folder, write_atomic
from facewright.core.step import Work
from facewright.training import clock
from facewright.training.collapse import Signs
from facewright.training.curve import LOSSES, LossFile, draw_losses, read_losses
from facewright.training.training import Training

CURVE, PREVIEW, LATEST = "loss.png", "preview", "latest.png"
_PATIENCE_S = 2.0
_UNDRAWN = (FacewrightError, OSError, ValueError, TypeError, LookupError, ArithmeticError)
"""Whatever keeps a picture from being drawn: no training ends for one."""
_TAIL = 200


class Reports:
    """Collects the losses of each iteration on the device and reports them every `log_every`, or after 2 s.

    stage: of the recipe, for the line of progress. ends: (iteration, minutes) where the recipe ends, 0 = unknown.
    """

    def __init__(self, t: Training[Any], work: Work, marks: list[tuple[int, str]]) -> None:
        self.t, self.work, self.marks = t, work, marks
        make_folder(t.run / PREVIEW)
        self.losses = LossFile(t.run / LOSSES, t.done)
        old = read_losses(t.run / LOSSES)[-_TAIL:]
        self.tail = deque(zip(old["iteration"].tolist(), old["src"].tolist(), old["dst"].tolist()), maxlen=_TAIL)
        self.rate = 0.0
        self._waiting: list[tuple[int, torch.Tensor]] = []
        self.signs = Signs(t.done)
        self._told_s = self._shown_s = time.monotonic()
        self._told_at, self._told_used_s = t.done, t.clock.used_s
        self.pace = 0.0
        self.stage, self.ends = "", (0, 0.0)

    def mark(self, iteration: int, text: str) -> None:
        """Show `text` at this iteration of the curve."""
        if (iteration, text) not in self.marks:
            self.marks.append((iteration, text))

    def scalars(self, iteration: int, losses: torch.Tensor) -> None:
        """Take (2,) source and target loss of iteration `iteration` (1 is the first); detached, on the device."""
        self._waiting.append((iteration, losses))
        late = time.monotonic() - self._told_s > _PATIENCE_S
        if late or iteration % self.t.settings.log_every == 0 or iteration == 1:
            self.flush()

    def flush(self) -> None:
        """Write and report what waits."""
        if not self._waiting:
            return
        values = torch.stack([loss for _, loss in self._waiting]).float().cpu().numpy()
        iterations = [i for i, _ in self._waiting]
        self._waiting.clear()
        self.losses.add(iterations, values)
        self.tail.extend((i, float(a), float(b)) for i, (a, b) in zip(iterations, values))
        now, done = time.monotonic(), iterations[-1]
        fresh = (done - self._told_at) / max(now - self._told_s, 1e-6)
        self.rate = fresh if not self.rate else 0.8 * self.rate + 0.2 * fresh
        spent = (self.t.clock.used_s - self._told_used_s) / max(now - self._told_s, 1e-6)
        self.pace = spent if not self.pace else 0.8 * self.pace + 0.2 * spent
        self._told_s, self._told_at, self._told_used_s = now, done, self.t.clock.used_s
        warning = self.signs.losses(iterations, np.nanmean(values, axis=1))
        if warning:
            self.work.note("warning", iteration=done, text=warning)
        self._progress(done, values.mean(0))

    def _progress(self, done: int, loss: np.ndarray) -> None:
        s, used = self.t.settings, self.t.clock.used_s
        if any(self.ends) and not (s.iterations or s.minutes):
            s = s.model_copy(update={"iterations": self.ends[0], "minutes": self.ends[1]})
        part = clock.share(s, done, used)
        total = s.iterations or (max(done, round(done / part)) if part > 0.02 else None)
        left = clock.remaining_s(s, done, used, self.rate, self.pace)
        facts = {"loss_src": float(loss[0]), "loss_dst": known(loss[1]), "it_per_s": self.rate, "used_s": used}
        if left is not None:
            facts["eta_s"] = left
        if part:
            facts["share"] = part
        self.work.progress(done, total, self.stage or "training", **facts)

    def smoothed(self) -> tuple[float, float]:
        """Mean source and target loss of the last iterations; NaN before the first."""
        if not self.tail:
            return float("nan"), float("nan")
        _, src, dst = np.mean(np.array(self.tail), axis=0)
        return float(src), float(dst)

    def forget(self, iteration: int) -> None:
        """Leave the losses of iterations 1..`iteration` out of the smoothed one: those of other settings are as large
        as they like, and a save that carried their mean could count as the best one for ever."""
        self.flush()
        self.signs.restart(self.t.done)
        while self.tail and self.tail[0][0] <= iteration:
            self.tail.popleft()

    def preview_due(self) -> bool:
        """Whether the preview picture is older than the settings allow."""
        every = self.t.settings.preview_seconds
        return every > 0 and time.monotonic() - self._shown_s >= every

    def show(self, iteration: int) -> Path:
        """Renew RUN/preview/latest.png and RUN/loss.png; with `preview_history` the sheet is kept by its number."""
        self.flush()
        t = self.t
        losses = "  ".join(f"{name} {loss:.4f}" for name, loss in zip(t.curves, self.smoothed()))
        png = t.picture(f"{t.run.name}   iteration {iteration:,}   loss {losses}")
        path = t.run / PREVIEW / LATEST
        write_atomic(path, png, sync=False)
        if self.work.folder is not None:
            write_atomic(self.work.folder / "preview.png", png, sync=False)
        if t.settings.preview_history:
            write_atomic(t.run / PREVIEW / f"{iteration:09d}.png", png, sync=False)
        self.draw()
        self._shown_s = time.monotonic()
        return path

    def redraw(self, iteration: int) -> None:
        """Renew RUN/loss.png where previews do not; one that cannot be drawn is told, and spoils nothing."""
        try:
            self.draw()
        except _UNDRAWN as error:
            self.work.note("warning", iteration=iteration, text=f"{CURVE} could not be renewed: {error}")

    def draw(self) -> None:
        """Renew RUN/loss.png."""
        losses = read_losses(self.t.run / LOSSES)
        write_atomic(self.t.run / CURVE, draw_losses(losses, self.marks, self.t.curves), sync=False)


def known(loss: float) -> float | None:
    """A loss for JSON: None where there is none."""
    return float(loss) if loss == loss else None
