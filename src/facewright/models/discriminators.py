"""Nets that judge the faces of other nets while these learn. models-and-training.md section 7.

Attributes are named as the original's variables. Neither belongs to a net's weights: a run may drop them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor, nn

from facewright.models.layers import DOWN_SLOPE, RES_SLOPE, Conv, TransposedConv, leaky_relu

MOST_LEVELS = 9
_WIDEST = 512


class CodeDiscriminator(nn.Module):
    """Code (B, inputs, S, S) -> logits (B, 1, s, s), high where the code looks like the target's.

    1 + S // 8 halvings, the first by a kernel of 4.
    """

    def __init__(self, inputs: int, code_side: int, width: int = 256) -> None:
        super().__init__()
        self.levels = 1 + code_side // 8
        for i in range(self.levels):
            outputs = width * min(2**i, 8)
            setattr(self, f"convs_{i}", Conv(inputs, outputs, 3 if i else 4, stride=2))
            inputs = outputs
        self.out_conv = Conv(inputs, 1, 1)

    def forward(self, code: Tensor) -> Tensor:
        """See the class."""
        x = code
        for i in range(self.levels):
            x = leaky_relu(getattr(self, f"convs_{i}")(x), DOWN_SLOPE)
        return self.out_conv(x)


class UNetPatchDiscriminator(nn.Module):
    """Picture (B, inputs, R, R) -> logits of patches (B, 1, r, r) and of pixels (B, 1, R, R), high where it looks real.

    patch: side in px of what one patch logit sees; the nearest that exists is built, see `patch_layout`, where
    `resolution` is explained too. base: channels at full size, doubled at each level up to 512.
    """

    def __init__(self, patch: int, *, inputs: int = 3, base: int = 16, resolution: int = 0) -> None:
        super().__init__()
        self.strides = patch_layout(patch, resolution)
        widths = [min(base * 2**j, _WIDEST) for j in range(len(self.strides) + 1)]
        levels = list(enumerate(self.strides))
        for i, stride in levels:
            setattr(self, f"convs_{i}", Conv(widths[i], widths[i + 1], 3, stride=stride))
        for j, (i, stride) in enumerate(reversed(levels)):
            # Above the deepest level, the skip doubles what comes up.
            risen = widths[i + 1] * (2 if j else 1)
            setattr(self, f"upconvs_{j}", TransposedConv(risen, widths[i], stride=stride))
        self.in_conv = Conv(inputs, widths[0], 1)
        self.out_conv = Conv(2 * widths[0], 1, 1)
        self.center_out = Conv(widths[-1], 1, 1)
        self.center_conv = Conv(widths[-1], widths[-1], 1)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x, skips = self._act("in_conv", picture), []
        for i in range(len(self.strides)):
            skips.append(x)
            x = self._act(f"convs_{i}", x)
        patches = self.center_out(x)
        x = self._act("center_conv", x)
        for j in range(len(self.strides)):
            x = torch.cat([skips.pop(), self._act(f"upconvs_{j}", x)], dim=1)
        return patches, self.out_conv(x)

    def _act(self, layer: str, x: Tensor) -> Tensor:
        return leaky_relu(getattr(self, layer)(x), RES_SLOPE)


def patch_layout(patch: int, resolution: int = 0) -> tuple[int, ...]:
    """Strides of the levels (k3 convolutions) whose receptive field comes nearest to `patch` px.

    Equally near: the smaller field; of the same field the fewest levels, then the larger sum of strides, then the
    first in order. `resolution` > 0: only layouts whose halvings divide it (the original fails to build the others,
    quirk Q14).
    """
    best: dict[int, tuple[int, ...]] = {}
    for strides in _layouts():
        if resolution % _reduction(strides):
            continue
        field = receptive_field(strides)
        if field not in best or _rank(strides) < _rank(best[field]):
            best[field] = strides
    return best[min(best, key=lambda field: (abs(field - patch), field))]


def receptive_field(strides: tuple[int, ...]) -> int:
    """Side in px of what one value behind k3 convolutions of these strides sees."""
    field, step = 1, 1
    for stride in strides:
        field += 2 * step
        step *= stride
    return field


@lru_cache(maxsize=1)
def _layouts() -> tuple[tuple[int, ...], ...]:
    """All candidates, in the order that breaks ties: 1 to 9 levels, the first of stride 2."""
    return tuple(itertools.chain.from_iterable(_of_levels(n) for n in range(1, MOST_LEVELS + 1)))


def _of_levels(levels: int) -> Iterator[tuple[int, ...]]:
    # Counted down in binary, lowest digit first: a 1 is a halving.
    for bits in reversed(range(2 ** (levels - 1))):
        yield (2, *(1 + (bits >> i & 1) for i in range(levels - 1)))


def _rank(strides: tuple[int, ...]) -> tuple[int, int]:
    return len(strides), -sum(strides)


def _reduction(strides: tuple[int, ...]) -> int:
    return 2 ** strides.count(2)
