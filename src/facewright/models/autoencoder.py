"""Encoder, inter and decoder of the family `{df|liae}[-udtc]` (models-and-training.md section 2).

Attribute names and their order of creation are those of the original's variables, so that a parameter's name
with "/" for "." is its key in the original's files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from facewright.models.layers import (
    Activation,
    Conv,
    Dense,
    Down,
    Res,
    Up,
    depth_to_space,
    leaky_relu,
    pixel_norm,
    x_cos_x,
)
from facewright.models.settings import split_archi


@dataclass(frozen=True, slots=True)
class Computing:
    """How a net computes; what it computes and its weights are the same either way.

    recompute: forget what lies within encoder and decoder levels, and make it again in the backward pass: less memory,
    about a forward pass more. channels_last: pictures in NHWC order, which some processors like better.
    """

    recompute: bool = False
    channels_last: bool = False

    def laid(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in the order wanted."""
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    def run(self, x: Tensor, *layers: nn.Module) -> Tensor:
        """x through the layers, what lies between them kept or not."""
        if not self.recompute or not torch.is_grad_enabled():
            return _through(x, *layers)
        return checkpoint(_through, x, *layers, use_reentrant=False, preserve_rng_state=False)


def _through(x: Tensor, *layers: nn.Module) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


class _Downs(nn.Module):
    """Four halvings, e to 8e channels."""

    def __init__(self, e: int, act: Activation) -> None:
        super().__init__()
        inputs = 3
        for i in range(4):
            outputs = e * min(2**i, 8)
            setattr(self, f"downs_{i}", Down(inputs, outputs, act))
            inputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, R, R) -> (B, 8e, R/16, R/16)."""
        for down in self.children():
            x = down(x)
        return x


class Encoder(nn.Module):
    """(B, 3, R, R) in 0..1 -> (B, 8e g^2) float32, g = R/16, with t R/32; flattened in the order c, h, w.

    Smaller pictures will do as well: their map is enlarged to the grid that the dense layers know.
    """

    computing = Computing()

    def __init__(self, archi: str, resolution: int, e: int) -> None:
        super().__init__()
        letters, act = _letters(archi)
        self.normalise = "u" in letters
        self.deep = "t" in letters
        if self.deep:
            self.down1 = Down(3, e, act)
            self.res1 = Res(e, act)
            self.down2 = Down(e, 2 * e, act)
            self.down3 = Down(2 * e, 4 * e, act)
            self.down4 = Down(4 * e, 8 * e, act)
            self.down5 = Down(8 * e, 8 * e, act)
            self.res5 = Res(8 * e, act)
        else:
            self.down1 = _Downs(e, act)
        self.grid = resolution // (32 if self.deep else 16)
        self.outputs = 8 * e * self.grid * self.grid

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        flat = self.seen(x, *self.children()).flatten(1)
        return pixel_norm(flat) if self.normalise else flat.float()

    def seen(self, x: Tensor, *layers: nn.Module) -> Tensor:
        """(B, 3, h, h) through the convolutions `layers` -> (B, 8e, g, g)."""
        x = self.computing.run(self.computing.laid(x), *layers)
        return x if x.shape[-1] == self.grid else F.interpolate(x, (self.grid, self.grid), mode="nearest")


class Inter(nn.Module):
    """(B, N) -> code (B, outputs, side, side): two dense layers without activation, without t one upscale.

    Grid = R//16, with d R//32; side = twice the grid, with t the grid.
    """

    def __init__(self, archi: str, resolution: int, inputs: int, ae: int, outputs: int) -> None:
        super().__init__()
        letters, act = _letters(archi)
        self.grid = resolution // (32 if "d" in letters else 16)
        self.outputs = outputs
        self.side = self.grid * (1 if "t" in letters else 2)
        self.dense1 = Dense(inputs, ae)
        self.dense2 = Dense(ae, self.grid * self.grid * outputs)
        self.upscale1 = None if "t" in letters else Up(outputs, outputs, act)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.dense2(self.dense1(x)).view(-1, self.outputs, self.grid, self.grid)
        return x if self.upscale1 is None else self.upscale1(x)


class Decoder(nn.Module):
    """Code -> face (B, 3, R, R) and mask (B, 1, R, R), float32 in 0..1, from two branches over the same code."""

    computing = Computing()

    def __init__(self, archi: str, inputs: int, d: int, d_mask: int) -> None:
        super().__init__()
        letters, act = _letters(archi)
        self.doubled = "d" in letters
        widths = (8, 8, 4, 2) if "t" in letters else (8, 4, 2)
        self.levels = len(widths)
        self._add_ups("upscale", inputs, [w * d for w in widths], act)
        for i, width in enumerate(widths):
            setattr(self, f"res{i}", Res(width * d, act))
        self._add_ups("upscalem", inputs, [w * d_mask for w in widths], act)
        self.out_conv = Conv(2 * d, 3, 1)
        if self.doubled:
            self.out_conv1, self.out_conv2, self.out_conv3 = (Conv(2 * d, 3, 3) for _ in range(3))
            setattr(self, f"upscalem{self.levels}", Up(2 * d_mask, d_mask, act))
        self.out_convm = Conv(d_mask if self.doubled else 2 * d_mask, 1, 1)

    def _add_ups(self, name: str, inputs: int, widths: list[int], act: Activation) -> None:
        for i, width in enumerate(widths):
            setattr(self, f"{name}{i}", Up(inputs, width, act))
            inputs = width

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Code (B, in, L', L') -> (face, mask)."""
        return self.face(code), self.mask(code)

    def face(self, code: Tensor) -> Tensor:
        """The face branch alone: (B, 3, R, R)."""
        x = self.computing.laid(code)
        for i in range(self.levels):
            x = self.computing.run(x, getattr(self, f"upscale{i}"), getattr(self, f"res{i}"))
        return torch.sigmoid((self._quads(x) if self.doubled else self.out_conv(x)).float())

    def mask(self, code: Tensor) -> Tensor:
        """The mask branch alone: (B, 1, R, R)."""
        x = self.computing.laid(code)
        for i in range(self.levels + self.doubled):
            x = self.computing.run(x, getattr(self, f"upscalem{i}"))
        return torch.sigmoid(self.out_convm(x).float())

    def _quads(self, x: Tensor) -> Tensor:
        """The four output convs, one per pixel of each 2x2 cell, as a single convolution over x.

        Twelve outputs cost about as much as three; the 1x1 kernel sits in the middle of a 3x3 one.
        """
        three = (self.out_conv1, self.out_conv2, self.out_conv3)
        weight = torch.cat([F.pad(self.out_conv.weight, (1, 1, 1, 1)), *(c.weight for c in three)])
        bias = torch.cat([self.out_conv.bias, *(c.bias for c in three)])
        return depth_to_space(F.conv2d(x, weight, bias, padding=1))


def _letters(archi: str) -> tuple[frozenset[str], Activation]:
    letters = split_archi(archi)[1]
    return letters, x_cos_x if "c" in letters else leaky_relu
