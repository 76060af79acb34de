"""An optimiser whose memory lies in the computer's own, beside a net that lies on a GPU.

Weights live twice: where the net computes, and on the host, where the optimiser steps. Before a step gradients come
over, after it weights go back. What it learns, its class and what a save holds of it are those of the usual one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Named = list[tuple[str, nn.Parameter]]


def on_host(named: Named, make: Callable[[Named], torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """`make`'s optimiser over copies of the named parameters on the host.

    Its step takes the gradients of the parameters and drops them there; its `zero_grad` knows the copies only.
    """
    copies = [(name, nn.Parameter(_held(p), requires_grad=p.requires_grad)) for name, p in named]
    optimiser = make(copies)
    ferry = _Ferry([p for _, p in named], [p for _, p in copies])
    optimiser.register_step_pre_hook(ferry.fetch)
    optimiser.register_step_post_hook(ferry.bring_back)
    return optimiser


@dataclass
class _Ferry:
    """Moves gradients to the host and weights back."""

    here: list[nn.Parameter]
    there: list[nn.Parameter]
    _gradients: dict[int, Tensor] = field(default_factory=dict)
    _versions: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._versions = [p._version for p in self.here]

    @torch.no_grad()
    def fetch(self, *_: Any) -> None:
        """Gradients of those that have one, and weights that somebody else has written since: a save taken up, a net
        begun afresh. Called a second time within a step (torch's own optimisers may nest) it finds nothing to do."""
        for i, (here, there) in enumerate(zip(self.here, self.there, strict=True)):
            if here._version != self._versions[i]:
                there.copy_(here, non_blocking=True)
            if here.grad is not None:
                if i not in self._gradients:
                    self._gradients[i] = _held(here.grad)
                there.grad, here.grad = self._gradients[i].copy_(here.grad, non_blocking=True), None
        self._wait()

    @torch.no_grad()
    def bring_back(self, *_: Any) -> None:
        """New weights to the net; the gradients have been used."""
        for i, (here, there) in enumerate(zip(self.here, self.there, strict=True)):
            if there.grad is not None:
                here.copy_(there, non_blocking=True)
                there.grad = None
            self._versions[i] = here._version
        self._wait()

    def _wait(self) -> None:
        device = self.here[0].device
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def _held(like: Tensor) -> Tensor:
    """A copy on the host, which a GPU can reach by itself where there is one."""
    copy = like.detach().cpu().clone()
    return copy.pin_memory() if like.device.type == "cuda" else copy
