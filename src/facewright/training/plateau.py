"""Whether a loss still falls: when training has given what these settings can give. Pure arithmetic.

How it is judged. Looked at is the last third of the iterations since the settings that matter last changed, at least
5,000 of them (so nothing is said before 15,000: a net may rest in the mean face for hundreds of iterations, and the
first descent is steep). That third is cut into 24 pieces; the median of each (one odd batch counts for nothing) is
taken, and through the medians the line of Theil and Sen is laid: the median of the slopes between all pairs, which a
quarter of wild pieces cannot turn. The *fall* is what that line loses over the third, as a share of its level. How
well the fall is known follows from how far the medians scatter about the line. The loss is flat when it is certain
(19 times in 20) that the fall is smaller than the limit, 2 % by default: training half as long again would gain less
than that. A loss that rises is flat too. The rule has no scale: slow and fast nets, hours and weeks are judged alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIMIT = 0.02
"""Share of the loss; falls below it count as flat, unless another limit is asked for."""
LEAST = 5000
"""Iterations that are looked at, at least."""
PIECES = 24
_CERTAIN = 1.645
_AGAIN, _AGAIN_SHARE = 250, 50


@dataclass(frozen=True, slots=True)
class Verdict:
    """flat: as above. fall: share of the loss lost over the last `looked_at` iterations; sure: its standard error."""

    flat: bool
    fall: float
    sure: float
    looked_at: int

    @property
    def text(self) -> str:
        """What a person reads."""
        way = "fell" if self.fall >= 0 else "rose"
        return f"over the last {self.looked_at:,} iterations it {way} by {abs(self.fall):.1%} (+-{self.sure:.1%})"


def judge(losses: np.ndarray, limit: float) -> Verdict | None:
    """Losses (n,) of one iteration each, in order, all of one kind -> a verdict; None while there are too few.

    limit: share of the loss, above 0. Values that are no numbers are passed over.
    """
    losses = losses[np.isfinite(losses)]
    third = len(losses) // 3
    if third < LEAST:
        return None
    width = third // PIECES
    pieces = losses[-width * PIECES :].reshape(PIECES, width)
    fall, sure = fall_of(np.median(pieces, axis=1))
    return Verdict(fall + _CERTAIN * sure < limit, fall, sure, width * PIECES)


def fall_of(levels: np.ndarray) -> tuple[float, float]:
    """Levels (m,) at even distances -> (fall from first to last as a share of the middle level, its standard error).

    Theil and Sen's slope; the error is that of a least-squares slope at the residuals' robust scatter (1.4826 MAD).
    """
    count = len(levels)
    at = np.arange(count, dtype=np.float64)
    first, last = np.triu_indices(count, 1)
    slope = float(np.median((levels[last] - levels[first]) / (at[last] - at[first])))
    residuals = levels - slope * at
    middle = float(np.median(residuals)) + slope * (count - 1) / 2
    scatter = 1.4826 * float(np.median(np.abs(residuals - np.median(residuals))))
    span = (count - 1) / max(abs(middle), 1e-12)
    error = scatter / np.sqrt(np.sum((at - at.mean()) ** 2))
    return -slope * span, float(error) * span


class Watch:
    """Looks now and then at the losses since iteration `since`; `seen` is where they were found flat first, 0 = not."""

    def __init__(self, since: int = 0, seen: int = 0) -> None:
        self.since, self.seen = since, seen
        self._next = 0

    def restart(self, iteration: int) -> None:
        """The settings that matter have changed: what was before says nothing."""
        self.since, self.seen, self._next = iteration, 0, 0

    def due(self, iteration: int) -> bool:
        """Whether a look is worth its time: not seen yet, and enough has come since the last one."""
        count = iteration - self.since
        if self.seen or count < 3 * LEAST or iteration < self._next:
            return False
        self._next = iteration + max(_AGAIN, count // _AGAIN_SHARE)
        return True
