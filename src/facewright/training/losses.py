"""Loss arithmetic: tensors -> one number per sample. models-and-training.md section 1 and 3.4.

Images (B, C, H, W) float32 0..1, masks (B, 1, H, W). Everything runs in float32, also under autocast, without
TensorFloat-32 (the windows are depthwise): DSSIM subtracts nearly equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec

import torch
from torch import Tensor
from torch.nn import functional as F

P = ParamSpec("P")

DSSIM_SIGMA = 1.5
STYLE_EPS = 1e-5
_C1, _C2 = 0.01**2, 0.03**2


def in_float32(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Make a loss ignore autocast and take any float dtype."""

    @wraps(loss)
    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        tensors = [a.float() if isinstance(a, Tensor) else a for a in args]
        with torch.autocast(tensors[0].device.type, enabled=False):  # type: ignore[union-attr]
            return loss(*tensors, **kwargs)  # type: ignore[arg-type]

    return call


@lru_cache(maxsize=64)
def _blur_row(sigma: float, device: torch.device) -> Tensor:
    """1-D Gaussian, sum 1: size max(3, int(4 sigma)) made odd, centre floor(size / 2)."""
    size = max(3, int(4 * sigma))
    size += 1 - size % 2
    row = torch.exp(-((torch.arange(size, dtype=torch.float64) - size // 2) ** 2) / (2 * sigma**2))
    return (row / row.sum()).float().to(device)


@lru_cache(maxsize=64)
def _dssim_row(size: int, device: torch.device) -> Tensor:
    """1-D window of sigma 1.5, sum 1; an even size has its centre between two pixels."""
    row = torch.softmax(-0.5 * (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) ** 2 / DSSIM_SIGMA**2, 0)
    return row.float().to(device)


def _separable(x: Tensor, row: Tensor, padding: int) -> Tensor:
    """Depthwise convolution with outer(row, row), as a column pass and a row pass.

    All planes as channels of one picture: on a CPU 3 to 30 times faster than as a batch of one-channel pictures.
    """
    b, c, h, w = x.shape
    kernel = row.expand(b * c, 1, -1)
    planes = x.reshape(1, b * c, h, w)
    planes = F.conv2d(planes, kernel[..., None], padding=(padding, 0), groups=b * c)
    planes = F.conv2d(planes, kernel[..., None, :], padding=(0, padding), groups=b * c)
    return planes.view(b, c, planes.shape[-2], planes.shape[-1])


@in_float32
def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Depthwise Gaussian with zero padding, (B, C, H, W) -> same: borders darken, as in the original."""
    row = _blur_row(float(sigma), x.device)
    return _separable(x, row, len(row) // 2)


@in_float32
def dssim(x: Tensor, y: Tensor, size: int) -> Tensor:
    """Structural dissimilarity (1 - SSIM) / 2, mean over channels: (B,). VALID window of `size` pixels, any parity.

    The local means come from one pass over [x, xy, x^2 + y^2] and one over y: give the target as y, and the
    backward pass skips its quarter.
    """
    row = _dssim_row(size, x.device)
    # Variances do not change when both pictures lose 0.5, and smaller numbers cancel better: 4 to 10 times less error.
    x, y = x - 0.5, y - 0.5
    mean_x, mean_xy, mean_squares = _separable(torch.cat([x, x * y, x * x + y * y]), row, 0).chunk(3)
    mean_y = _separable(y, row, 0)
    structure = (2 * (mean_xy - mean_x * mean_y) + _C2) / (mean_squares - mean_x * mean_x - mean_y * mean_y + _C2)
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    light = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return (1 - (light * structure).mean((1, 2, 3))) / 2


@in_float32
def mean_square(x: Tensor, y: Tensor) -> Tensor:
    """Mean over all but the batch of (x - y)^2: (B,)."""
    return (x - y).square().mean((1, 2, 3))


@in_float32
def mean_absolute(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Mean over all but the batch of |x - y| weight: (B,). `weight` (B, 1, H, W) >= 0."""
    return ((x - y).abs() * weight).mean((1, 2, 3))


@in_float32
def soft_mask(mask: Tensor, sigma: float) -> Tensor:
    """2 clip(blur(mask), 0, 0.5): grown outward by about sigma pixels with a soft edge, (B, 1, H, W)."""
    return 2 * gaussian_blur(mask, sigma).clamp(0, 0.5)


@in_float32
def blur_out_mask(image: Tensor, mask: Tensor) -> Tensor:
    """Replace what lies outside the mask by its own blur (sigma = R/128), which does not see the inside."""
    sigma = image.shape[-1] / 128
    outside = 1 - mask
    spread = gaussian_blur(image * outside, sigma)
    share = 1 - gaussian_blur(mask, sigma)
    share = torch.where(share == 0, 1.0, share)
    return image * mask + spread / share * outside


@in_float32
def style_loss(x: Tensor, y: Tensor, sigma: float, weight: float) -> Tensor:
    """How far apart the two pictures' colour statistics are, after a blur (sigma px, 0 = none): (B,).

    weight / C times the summed squared differences of the channels' means and standard deviations sqrt(var + 1e-5).
    """
    if sigma > 0:
        x, y = gaussian_blur(torch.cat([x, y]), sigma).chunk(2)
    (mean_x, deviation_x), (mean_y, deviation_y) = _statistics(x), _statistics(y)
    apart = (mean_x - mean_y).square() + (deviation_x - deviation_y).square()
    return apart.sum(1) * (weight / x.shape[1])


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, (2, 3), correction=0)
    return mean, torch.sqrt(variance + STYLE_EPS)


@in_float32
def total_variation_mse(x: Tensor, axes: tuple[int, int] = (2, 3)) -> Tensor:
    """Sum of squared differences between neighbours along both axes, rows and columns: (B,).

    The original differences the axes 1 and 2 of whatever layout it runs in, on a GPU channels and rows (quirk Q3):
    `axes=(1, 2)`.
    """
    return torch.stack([torch.diff(x, dim=axis).square().sum((1, 2, 3)) for axis in axes]).sum(0)


@in_float32
def d_loss(logits: Tensor, real: bool) -> Tensor:
    """Mean over all but the batch of the cross-entropy between sigmoid(logits) and 1 (`real`) or 0: (B,)."""
    return F.softplus(-logits if real else logits).mean((1, 2, 3))


@in_float32
def cross_entropy(logits: Tensor, share: Tensor) -> Tensor:
    """The same against a picture of labels 0..1, such as a mask: (B,)."""
    return F.binary_cross_entropy_with_logits(logits, share, reduction="none").mean((1, 2, 3))


def dssim_sizes(resolution: int, *, always_two: bool = False) -> tuple[int, ...]:
    """Windows of the reconstruction term: int(R/11.6) below 256 px, from there (AMP: always) also int(R/23.2)."""
    large = int(resolution / 11.6)
    return (large, int(resolution / 23.2)) if always_two or resolution >= 256 else (large,)


def mask_sigma(resolution: int) -> int:
    """Sigma of `soft_mask` in pixels: max(1, R // 32)."""
    return max(1, resolution // 32)
