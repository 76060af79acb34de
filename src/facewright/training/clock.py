"""How much of the training's budget is used, and the learning rate that follows from it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from facewright.training.settings import TrainSettings

WARM_UP, FLOOR, CYCLE = 0.05, 0.02, 500


class Clock:
    """Seconds of training since the run's beginning, over all its interruptions."""

    def __init__(self, used_s: float = 0.0, kind: str = "wall", now: Callable[[], float] | None = None) -> None:
        self._now = now or (time.process_time if kind == "cpu" else time.monotonic)
        self._base, self._start = used_s, self._now()
        self.moment_s = used_s
        """`used_s` at the last border between two iterations: what all decisions about an iteration go by."""

    def tick(self) -> None:
        """A border between two iterations."""
        self.moment_s = self.used_s

    @property
    def used_s(self) -> float:
        """Wall or processor seconds, as `clock` says."""
        return self._base + self._now() - self._start


def share(s: TrainSettings, iteration: int, used_s: float) -> float:
    """Used share 0..1 of the budget (the nearer end of minutes and iterations); 0 without an end."""
    by_time = used_s / (s.minutes * 60) if s.minutes else 0.0
    by_count = iteration / s.iterations if s.iterations else 0.0
    return min(max(by_time, by_count), 1.0)


def over(s: TrainSettings, iteration: int, used_s: float) -> bool:
    """Whether the budget is used up."""
    return share(s, iteration, used_s) >= 1.0


def remaining_s(s: TrainSettings, iteration: int, used_s: float, rate: float, pace: float = 1.0) -> float | None:
    """Seconds to the end, or None without an end or before a rate is known.

    rate: iterations per second; pace: seconds of the budget used per second (processor time goes faster than the
    wall's where several cores work, slower where they are shared).
    """
    ends = []
    if s.minutes and pace > 0:
        ends.append((s.minutes * 60 - used_s) / pace)
    if s.iterations and rate > 0:
        ends.append((s.iterations - iteration) / rate)
    return max(min(ends), 0.0) if ends else None


def learning_rate(s: TrainSettings, iteration: int, used: float) -> float:
    """The rate of the iteration after `iteration` ones, at the used share 0..1.

    cosine: 5 % linear warm-up, then half a cosine down to 2 % (training-on-a-budget.md); cycle: the original's
    lr (cos(2 pi i / 500) + 1) / 2, counted before the step (quirk Q7).
    """
    if s.lr_schedule == "cycle":
        return s.lr * (math.cos(2 * math.pi * iteration / CYCLE) + 1) / 2
    if s.lr_schedule == "constant":
        return s.lr
    if used < WARM_UP:
        return s.lr * max(used / WARM_UP, 0.01)
    along = (used - WARM_UP) / (1 - WARM_UP)
    return s.lr * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * along)) / 2)
