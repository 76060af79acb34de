"""What may go wrong while a net learns, seen before it does harm: no number, no memory.

The disk is watched by every save (models/checkpoint.py), a net that falls apart by collapse.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from facewright.core.errors import TrainingRefused
from facewright.training.collapse import Collapsed
from facewright.training.settings import TrainSettings


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

    def confirm(self, iteration: int, terms: Mapping[str, torch.Tensor]) -> None:
        """Raise Collapsed when the loss is not a number; nothing was updated yet."""
        if self._event is not None:
            self._event.synchronize()
        if not torch.isfinite(self._host).item():
            bad = [name for name, value in terms.items() if not bool(torch.isfinite(value).all())]
            raise not_a_number(iteration, bad)


def not_a_number(iteration: int, terms: list[str]) -> Collapsed:
    """The refusal; what to try, `rescue` knows."""
    named = f" ({', '.join(terms)})" if terms else ""
    return Collapsed("number", iteration, f"the loss is not a number{named}")


def weights_are_sound(net: nn.Module, iteration: int) -> None:
    """Raise Collapsed before weights that are not numbers could be saved."""
    total = torch.stack([p.detach().float().sum() for p in net.parameters()]).sum()
    if not torch.isfinite(total).item():
        raise not_a_number(iteration, ["weights"])


NO_MEMORY = (torch.OutOfMemoryError, MemoryError, RuntimeError)
"""What a library may raise when memory does not suffice; `no_memory` says whether it was that."""


_LACKS = ("allocate memory", "out of memory", "alloc_failed")
"""Of the processor's allocator, CUDA's driver, cuBLAS and cuDNN."""


def no_memory(error: BaseException) -> bool:
    """Whether the memory of a GPU or of the computer did not suffice."""
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in said for words in _LACKS)


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
