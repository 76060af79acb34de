"""Layers of the nets, NCHW, with the padding, channel order and start values of the original.

Formulas: models-and-training.md section 1. Parameters are stored in torch's layouts; `to_torch_layout` and
`to_original_layout` convert.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Callable[[Tensor, float], Tensor]

DOWN_SLOPE = 0.1
RES_SLOPE = 0.2
PIXEL_NORM_EPS = 1e-6


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """max(x, slope x). In place: callers pass a conv's fresh output, whose backward does not need it."""
    return F.leaky_relu_(x, slope)


def x_cos_x(x: Tensor, slope: float) -> Tensor:
    """x cos(x), what the letter c means; `slope` is ignored."""
    return x * torch.cos(x)


def pixel_norm(x: Tensor) -> Tensor:
    """(B, N) -> x / sqrt(mean over the last axis of x^2 + 1e-6), float32 whatever comes in."""
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + PIXEL_NORM_EPS)


def depth_to_space(x: Tensor) -> Tensor:
    """(B, 4C, H, W) -> (B, C, 2H, 2W), DCR order: input channel = (dy*2 + dx)*C + c. Not torch's PixelShuffle."""
    b, c4, h, w = x.shape
    c = c4 // 4
    if not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        apart = x.permute(0, 2, 3, 1).view(b, h, w, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        return apart.reshape(b, 2 * h, 2 * w, c).permute(0, 3, 1, 2)
    return x.view(b, 2, 2, c, h, w).permute(0, 3, 4, 1, 5, 2).reshape(b, c, 2 * h, 2 * w)


class Conv(nn.Conv2d):
    """Convolution with symmetric zero padding ((k-1) dilation + 1) // 2, Glorot-uniform start, bias 0.

    An even kernel grows the picture: k 4, stride 2 on n gives n // 2 + 1, as in the original.
    """

    bias: nn.Parameter  # type: ignore[bad-override-mutable-attribute]  # always there

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> None:
        padding = ((kernel - 1) * dilation + 1) // 2
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation)

    def reset_parameters(self) -> None:
        """Start values: U(-l, l), l = sqrt(6 / (k^2 in + k^2 out)); bias 0."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


class Dense(nn.Linear):
    """x W + b in float32, also under autocast: with a handful of rows a bfloat16 copy of W costs more than it saves."""

    def reset_parameters(self) -> None:
        """Start values: U(-l, l), l = sqrt(6 / (in + out)); bias 0."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(B, in) any float -> (B, out) float32."""
        with torch.autocast(input.device.type, enabled=False):
            return F.linear(input.float(), self.weight, self.bias)


class TransposedConv(nn.ConvTranspose2d):
    """Kernel 3 transposed convolution, output exactly `stride` times the input (the framework's SAME rule)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 2) -> None:
        super().__init__(inputs, outputs, 3, stride=stride, padding=1 if stride == 1 else 0)

    def reset_parameters(self) -> None:
        """As Conv: the limit is symmetric in inputs and outputs."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, in, H, W) -> (B, out, H stride, W stride)."""
        h, w = input.shape[-2] * self.stride[0], input.shape[-1] * self.stride[1]
        return super().forward(input, output_size)[..., :h, :w]


class FRNorm(nn.Module):
    """x / sqrt(mean over H, W of x^2 + |eps|) * weight + bias; all three trained."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = nn.Parameter(torch.full((1,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> same."""
        power = x.square().mean((2, 3), keepdim=True)
        scale = self.weight[:, None, None] * torch.rsqrt(power + self.eps.abs())
        return x * scale + self.bias[:, None, None]


class TLU(nn.Module):
    """max(x, tau), one trained tau per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tau = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> same."""
        # The same as torch.maximum, whose gradient costs three times as much: it divides ties between its two inputs.
        tau = self.tau[:, None, None]
        return torch.relu(x - tau) + tau


class BlurPool(nn.Module):
    """Binomial blur of width 2, 3 or 4 and halving; zero padding floor((f-1)/2) before, ceil after."""

    kernel: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        row = torch.tensor({2: [1.0, 1.0], 3: [1.0, 2.0, 1.0], 4: [1.0, 3.0, 3.0, 1.0]}[width])
        self.register_buffer("kernel", torch.outer(row, row) / row.sum() ** 2, persistent=False)
        before, after = (width - 1) // 2, width // 2
        self.padding = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, -1, -1)
        return F.conv2d(F.pad(x, self.padding), kernel, stride=2, groups=channels)


class Down(nn.Module):
    """conv k5 stride 2, activation."""

    def __init__(self, inputs: int, outputs: int, act: Activation) -> None:
        super().__init__()
        self.conv1 = Conv(inputs, outputs, 5, stride=2)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/2, W/2)."""
        return self.act(self.conv1(x), DOWN_SLOPE)


class Up(nn.Module):
    """conv k3 to four times the channels, activation, depth to space: the activation comes before the shuffle."""

    def __init__(self, inputs: int, outputs: int, act: Activation) -> None:
        super().__init__()
        self.conv1 = Conv(inputs, 4 * outputs, 3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, 2H, 2W)."""
        return depth_to_space(self.act(self.conv1(x), DOWN_SLOPE))


class Res(nn.Module):
    """act(x + conv3(act(conv3(x))))."""

    def __init__(self, channels: int, act: Activation) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, 3)
        self.conv2 = Conv(channels, channels, 3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> same."""
        inner = self.conv2(self.act(self.conv1(x), RES_SLOPE))
        return self.act(inner.add_(x), RES_SLOPE)


def to_torch_layout(stored: Tensor) -> Tensor:
    """The original's HWIO (transposed convs: HWOI), [in, out] -> torch's OIHW (IOHW), [out, in]; vectors stay."""
    if stored.ndim == 4:
        return stored.permute(3, 2, 0, 1)
    return stored.T if stored.ndim == 2 else stored


def to_original_layout(parameter: Tensor) -> Tensor:
    """The inverse of `to_torch_layout`; a view."""
    if parameter.ndim == 4:
        return parameter.permute(2, 3, 1, 0)
    return parameter.T if parameter.ndim == 2 else parameter
