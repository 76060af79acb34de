"""Signs that a net falls apart while it learns: a loss that is no number, a loss that leaves its usual range upward and
stays there, learned faces that lose their variance.

Decides only. As long as there is `doubt`, nothing is saved; `rescue.py` goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

import numpy as np

from facewright.core.errors import TrainingRefused

Sign = Literal["number", "loss", "variance"]

BLOCK = 10
"""Iterations whose mean loss is looked at as one."""
KNOWN, WINDOW = 20, 100
"""Blocks after which the usual range is known, and from how many of the last ones it is taken."""
Z, RATIO = 12.0, 2.0
"""A block is high when it lies so many robust standard deviations and by such a factor above the usual. Noise of small
batches stays below 6 of them; a rate that rises from 2 % to half of its height raised the loss by 1.6."""
WARN, STAYS = 3, 20
"""High blocks in a row after which a warning is due, and after which the net counts as broken: 200 iterations, since a
single bad step is often made good within a hundred."""
ALIVE, DEAD = 0.2, 0.05
"""Spread of the learned faces as a share of their targets': a net that once had the one counts as dead below the other.
"""
SETTLED = 1000
"""Iterations before which a net paints noise or plain areas by nature."""
AGAIN, LOOK = 50, 250
"""Iterations between two looks at faces that seem dead, and at those of a net that is well: a look costs a tenth of an
iteration, and previews and saves may be hours apart."""


class Collapsed(TrainingRefused):
    """The net fell apart at iteration `iteration`; `text` says how."""

    def __init__(self, sign: Sign, iteration: int, text: str) -> None:
        self.sign, self.iteration, self.text = sign, iteration, text
        super().__init__(
            f"Training stopped at iteration {iteration:,}: {text}.",
            remedy="Run the same command again with --clipgrad or a lower --lr; it goes on from the last save.",
        )

    def __reduce__(self) -> tuple[object, ...]:
        """See FacewrightError."""
        return (Collapsed, (self.sign, self.iteration, self.text))


class Signs:
    """Watches one training from iteration `since` on.

    Loss number n is of the weights after n - 1 iterations: it judges the save n - 1.
    """

    def __init__(self, since: int = 0) -> None:
        self._dead = 0
        self.good = since + 1
        """Saves of fewer iterations were judged by a usual loss."""
        self._forget(since)
        self.afresh(since, SETTLED)

    def afresh(self, iteration: int, settled: int = 0) -> None:
        """A part of the net begins again; its faces count from `settled` on, or when as many iterations as a new net
        needs have passed."""
        self._lively_at = self._looked_at = iteration
        self._dead, self._was_alive, self._life = 0, False, float("nan")
        self._settled = settled or iteration + SETTLED

    def restart(self, iteration: int) -> None:
        """What is usual must be learned anew: from here on another thing is learned or measured."""
        sound = not self.doubt
        self._forget(iteration)
        if sound:
            self.good = iteration + 1  # whatever comes, it does not speak against what was there before the change

    def _forget(self, iteration: int) -> None:
        self._usual: deque[float] = deque(maxlen=WINDOW)
        self._last: deque[float] = deque(maxlen=BLOCK)
        self._seen = self._high = 0
        self._level = float("nan")

    def losses(self, iterations: Sequence[int], losses: np.ndarray) -> str:
        """Take the losses (n,) of `iterations`; a warning for the user where one is due, else ""."""
        warning = ""
        for iteration, loss in zip(iterations, losses.tolist()):
            self._last.append(loss)
            self._seen += 1
            if self._seen % BLOCK == 0:
                warning = self._block(iteration) or warning
        return warning

    def look(self, iteration: int, life: float) -> None:
        """Take how much of their targets' spread the learned faces have after `iteration` iterations."""
        self._life = life
        self._was_alive |= life >= ALIVE and iteration >= self._settled
        if not self._was_alive or life >= DEAD:
            self._lively_at, self._dead = iteration, 0
        elif not self._dead or self.look_due(iteration):
            self._looked_at, self._dead = iteration, self._dead + 1

    def look_due(self, iteration: int) -> bool:
        """Whether the learned faces are to be looked at, again where they seemed dead."""
        passed = iteration - max(self._looked_at, self._lively_at)
        return passed >= AGAIN if self._dead else passed >= LOOK and iteration >= self._settled

    @property
    def onset(self) -> int:
        """Saves of fewer iterations than this are sound."""
        return min(self.good, self._lively_at + 1) if self._dead else self.good

    @property
    def doubt(self) -> str:
        """Why a save now could hold broken weights, "" = nothing speaks against it."""
        if self._dead:
            return self._faces()
        if self._high or (len(self._last) == BLOCK and self._is_high(float(np.mean(self._last)))):
            return f"the loss rose from {self._middle():.3f} to {float(np.mean(self._last)):.3f}"
        return ""

    def verdict(self) -> tuple[Sign, str] | None:
        """By which sign the net counts as broken, and in words; None while it does not."""
        if self._dead > 1:
            return "variance", self._faces()
        if self._high >= STAYS:
            return "loss", f"the loss rose from {self._middle():.3f} to {self._level:.3f} and stays there"
        return None

    def _block(self, iteration: int) -> str:
        mean = float(np.mean(self._last))
        if not self._is_high(mean):
            self._high, self.good = 0, iteration
            self._usual.append(mean)
            return ""
        self._high, self._level = self._high + 1, mean
        if self._high != WARN:
            return ""
        return (f"The loss jumped from {self._middle():.3f} to {mean:.3f}. If it does not come down again, training "
                "goes back to the last good save; until then nothing is saved.")

    def _is_high(self, mean: float) -> bool:
        if len(self._usual) < KNOWN:
            return False
        usual = self._middle()
        # From block to block, so that a loss that falls fast is not taken for one that scatters.
        spread = 1.4826 / 2**0.5 * float(np.median(np.abs(np.diff(self._usual)))) + 1e-3 * usual
        return mean > RATIO * usual and mean - usual > Z * spread

    def _middle(self) -> float:
        return float(np.median(self._usual)) if self._usual else float("nan")

    def _faces(self) -> str:
        return f"the learned faces have lost what tells them from a plain area ({self._life:.0%} of their variance)"
