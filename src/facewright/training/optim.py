"""Optimisers: the original's RMSprop and AdaBelief (models-and-training.md 3.5), AdamW for the recipes, EMA.

All take named parameters (`net.named_parameters()`), so that a checkpoint's state is keyed by name. Parameters
without a gradient are left alone, state included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

Named = Iterable[tuple[str, nn.Parameter]]
Lists = tuple[list[Tensor], ...]

EPS = 1e-6
"""Added outside the root: the original's constant."""

_BLOCK = 1 << 17
"""Elements updated at once on a CPU: weights, gradient and state of a block stay in its caches over the half dozen
passes of a step (38 M weights, one thread: AdaBelief 73 ms instead of 86, RMSprop with dropout 156 instead of 212)."""


def clip_norm(gradients: list[Tensor], limit: float) -> Tensor:
    """Scale gradients in place to a global L2 norm of at most `limit`; returns the norm before (scalar, no sync)."""
    norm = global_norm(gradients)
    factor = torch.where(norm >= limit, limit / norm, 1.0)
    torch._foreach_mul_(gradients, factor)
    return norm


def global_norm(gradients: list[Tensor]) -> Tensor:
    """L2 norm of all of them together (scalar, no sync)."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


class _Original(torch.optim.Optimizer):
    """What RMSprop and AdaBelief share: counter, cosine, dropout of the update, clipping, cache-sized blocks."""

    slots: tuple[str, ...] = ()

    def __init__(
        self, named: Named, *, lr: float, lr_dropout: float = 1.0, lr_cos: int = 0, clipnorm: float = 0.0,
        generator: torch.Generator | None = None, **constants: float,
    ) -> None:
        """`lr_dropout`: share of elements that move in a step (1 = all), drawn from `generator` (required below 1,
        on the parameters' device). `lr_cos`: period of the cosine in steps, 0 = off. `clipnorm`: 0 = off."""
        if lr_dropout < 1 and generator is None:
            raise ValueError("lr_dropout needs an explicit generator")
        self.generator = generator
        self.lr_dropout, self.lr_cos, self.clipnorm = lr_dropout, lr_cos, clipnorm
        super().__init__(named, {"lr": lr, "iterations": 0, **constants})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient. Counts even when nothing has one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        active = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if self.clipnorm and active:
            clip_norm([p.grad for p in active], self.clipnorm)
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            states = [self._state_of(p) for p in params]
            columns = [params, [p.grad for p in params], *([s[slot] for s in states] for slot in self.slots)]
            lr = group["lr"] * self._cosine(group["iterations"])
            for block in _blocks(columns):
                delta = self._direction(group, *block[1:])
                if self.lr_dropout < 1:
                    torch._foreach_mul_(delta, self._keep(delta))
                torch._foreach_add_(block[0], delta, alpha=-lr)
            group["iterations"] += 1
        return loss

    def _direction(self, group: dict[str, Any], gradient: list[Tensor], *state: list[Tensor]) -> list[Tensor]:
        """Update the state in place; return the fresh -delta / lr."""
        raise NotImplementedError

    def _cosine(self, iteration: int) -> float:
        """Factor 0..1 from the counter before its increment (quirk Q7)."""
        return (math.cos(iteration * 2 * math.pi / self.lr_cos) + 1) / 2 if self.lr_cos else 1.0

    def _keep(self, like: list[Tensor]) -> list[Tensor]:
        """Bernoulli(lr_dropout) masks, bool. Four 16-bit draws from each 64-bit one: four times as fast."""
        sizes = [t.numel() for t in like]
        draws = torch.empty(sum(sizes) // 4 + 1, dtype=torch.int64, device=like[0].device)
        draws.random_(-(2**63), None, generator=self.generator)
        keep = draws.view(torch.int16) < round(self.lr_dropout * 2**16) - 2**15
        return [k.view(t.shape) for k, t in zip(keep[: sum(sizes)].split(sizes), like, strict=True)]

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        state = self.state[parameter]
        for slot in self.slots:
            if slot not in state:
                state[slot] = torch.zeros_like(parameter)
        return state


class RMSprop(_Original):
    """a = 0.9 a + 0.1 g^2; delta = -lr g / (sqrt(a) + 1e-6)."""

    slots = ("acc",)

    def __init__(self, named: Named, *, lr: float = 5e-5, rho: float = 0.9, **options: Any) -> None:
        super().__init__(named, lr=lr, rho=rho, **options)

    def _direction(self, group: dict[str, Any], gradient: list[Tensor], *state: list[Tensor]) -> list[Tensor]:
        (acc,) = state
        torch._foreach_mul_(acc, group["rho"])
        torch._foreach_addcmul_(acc, gradient, gradient, value=1 - group["rho"])
        root = torch._foreach_sqrt(acc)
        torch._foreach_add_(root, EPS)
        return list(torch._foreach_div(gradient, root))


class AdaBelief(_Original):
    """m = 0.9 m + 0.1 g; v = 0.999 v + 0.001 (g - m)^2; delta = -lr m / (sqrt(v) + 1e-6).

    No bias correction (quirk Q15: the first step is 3.514 lr for every weight) and no weight decay.
    """

    slots = ("ms", "vs")

    def __init__(
        self, named: Named, *, lr: float = 5e-5, beta_1: float = 0.9, beta_2: float = 0.999, **options: Any
    ) -> None:
        super().__init__(named, lr=lr, beta_1=beta_1, beta_2=beta_2, **options)

    def _direction(self, group: dict[str, Any], gradient: list[Tensor], *state: list[Tensor]) -> list[Tensor]:
        ms, vs = state
        torch._foreach_lerp_(ms, gradient, 1 - group["beta_1"])
        surprise = torch._foreach_sub(gradient, ms)
        torch._foreach_mul_(vs, group["beta_2"])
        torch._foreach_addcmul_(vs, surprise, surprise, value=1 - group["beta_2"])
        root = torch._foreach_sqrt(vs)
        torch._foreach_add_(root, EPS)
        return list(torch._foreach_div(ms, root))


class AdamW(torch.optim.AdamW):
    """torch's AdamW with the recipe's constants: betas 0.9, 0.99, eps 1e-7, no decay; the fused kernel."""

    grad_scale: Tensor | None

    def __init__(self, named: Named, *, lr: float = 2e-3, clipnorm: float = 0.0) -> None:
        self.clipnorm = clipnorm
        self.grad_scale = None
        super().__init__(list(named), lr=lr, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.0, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """As torch's, after clipping: the fused kernel divides by `grad_scale` on its way, which saves a pass."""
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        clips = bool(self.clipnorm and gradients)
        self.grad_scale = (global_norm(gradients) / self.clipnorm).clamp(min=1.0) if clips else None
        return super().step(closure)


OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {"rmsprop": RMSprop, "adabelief": AdaBelief, "adamw": AdamW}
"""Setting `optimiser` -> class."""


def set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Give every group the learning rate `lr`, from the next step on."""
    for group in optimiser.param_groups:
        group["lr"] = lr


class Ema:
    """A running mean of a net's weights: e = d e + (1 - d) w with d = min(decay, (1 + i) / (10 + i))."""

    def __init__(self, named: Named, decay: float = 0.998) -> None:
        pairs = list(named)
        self.names = [n for n, _ in pairs]
        self._weights = [p for _, p in pairs]
        self.decay = decay
        self.updates = 0
        self.values = [p.detach().clone() for p in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after one step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, now in _blocks([self.values, [w.detach() for w in self._weights]]):
            torch._foreach_lerp_(mean, now, 1 - decay)
        self.updates += 1

    def tensors(self) -> dict[str, Tensor]:
        """Parameter name -> mean; for checkpoints and for `net.load_state_dict`."""
        return dict(zip(self.names, self.values, strict=True))

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Go on from a checkpoint. Names that are missing there keep their value."""
        for name, value in self.tensors().items():
            if name in tensors:
                value.copy_(tensors[name])
        self.updates = updates


def _blocks(columns: list[list[Tensor]]) -> Iterator[Lists]:
    """Rows of same-shaped tensors -> blocks for one pass: all at once on a GPU, cache-sized on a CPU."""
    if not columns[0]:
        return
    rows = list(zip(*columns, strict=True))
    flat = [r for r in rows if r[0].device.type == "cpu" and all(t.is_contiguous() for t in r)]
    whole = [r for r in rows if not (r[0].device.type == "cpu" and all(t.is_contiguous() for t in r))]
    if whole:
        yield tuple(list(column) for column in zip(*whole, strict=True))
    for row in flat:
        pieces = [t.view(-1).split(_BLOCK) for t in row]
        for piece in zip(*pieces, strict=True):
            yield tuple([t] for t in piece)
