"""What may go wrong while a net learns, seen before it does harm: no number, a blow-up, no memory.

The disk is watched by every save (models/checkpoint.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from facewright.core.errors import TrainingRefused
from facewright.training.settings import TrainSettings

_WARN_AT = 12.0
"""Robust standard deviations above the usual loss; noise of small batches stays below 6."""


class FiniteCheck:
    """Knows, before the update, whether an iteration's loss is a number, without holding up a GPU.

    `watch` starts the copy right after the forward pass; `confirm` waits for it after the backward pass was queued.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._host = torch.zeros(1, pin_memory=self._cuda)
        self._event = torch.cuda.Event() if self._cuda else None
        self._device = device

    def watch(self, loss: torch.Tensor) -> None:
        """Take the total loss (scalar tensor) of this iteration."""
        self._host.copy_(loss.detach().view(1), non_blocking=True)
        if self._event is not None:
            # On the net's own device, which need not be the process's current one.
            self._event.record(torch.cuda.current_stream(self._device))

    def confirm(self, iteration: int, terms: Mapping[str, torch.Tensor], s: TrainSettings) -> None:
        """Raise TrainingRefused when the loss is not a number; nothing was updated yet."""
        if self._event is not None:
            self._event.synchronize()
        if not torch.isfinite(self._host).item():
            bad = [name for name, value in terms.items() if not bool(torch.isfinite(value).all())]
            raise not_a_number(iteration, bad, s)


def not_a_number(iteration: int, terms: list[str], s: TrainSettings) -> TrainingRefused:
    """The refusal, with the likely cause and what to try."""
    named = f" ({', '.join(terms)})" if terms else ""
    tries = [] if s.clipgrad else ["--clipgrad"]
    tries.append(f"a lower --lr, such as {s.lr / 2:g}")
    if s.precision != "float32":
        tries.append("--precision float32")
    return TrainingRefused(
        f"Training stopped at iteration {iteration:,}: the loss is not a number{named}.",
        why="The learning rate is too high for this net and batch" + (
            "." if s.precision == "float32" else ", or a value left the range of bf16."
        ),
        remedy=f"Run the same command again with {' or '.join(tries)}; it goes on from the last save, which is sound.",
    )


def weights_are_sound(net: nn.Module, iteration: int, s: TrainSettings) -> None:
    """Raise TrainingRefused before weights that are not numbers could be saved."""
    total = torch.stack([p.detach().float().sum() for p in net.parameters()]).sum()
    if not torch.isfinite(total).item():
        raise not_a_number(iteration, ["weights"], s)


class BlowUp:
    """Warns once when the loss leaves its usual range upward and stays there."""

    def __init__(self, window: int = 100) -> None:
        self._recent: deque[float] = deque(maxlen=window)
        self._high = 0

    def look(self, loss: float) -> str:
        """One logged mean loss -> a warning for the user, or ""."""
        warning = ""
        if len(self._recent) >= 20:
            recent = np.array(self._recent)
            usual = float(np.median(recent))
            spread = 1.4826 * float(np.median(np.abs(recent - usual))) + 1e-3 * usual
            self._high = self._high + 1 if (loss - usual) / spread > _WARN_AT and loss > 1.5 * usual else 0
            if self._high == 3:
                warning = (
                    f"The loss jumped from {usual:.3f} to {loss:.3f}. If it does not come down again, stop and go back"
                    " to an earlier save with a lower --lr or with --clipgrad."
                )
        if not self._high:
            self._recent.append(loss)
        return warning


NO_MEMORY = (torch.OutOfMemoryError, MemoryError, RuntimeError)
"""What a library may raise when memory does not suffice; `no_memory` says whether it was that."""


def no_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU or of the computer did not suffice."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error).lower()


@contextmanager
def memory_advice(batch: int, s: TrainSettings) -> Iterator[None]:
    """Turn the library's out-of-memory errors into advice, cheapest remedy first."""
    try:
        yield
    except NO_MEMORY as error:
        if not no_memory(error):
            raise
        tries = [f"--batch-size {max(1, batch // 2)}"] if batch > 1 else []
        tries += ["--optimiser rmsprop (half the optimiser's memory)"] if s.optimiser != "rmsprop" else []
        tries += ["a new RUN of lower resolution or fewer dims"]
        raise TrainingRefused(
            "There is not enough memory for this training.", why=str(error).splitlines()[0][:200],
            remedy=f"In this order: {'; '.join(tries)}. Other programs may hold memory too.",
        ) from error
