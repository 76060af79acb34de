"""Other colours for what a net learns from: a random shift of hue, and the colours of a face of the other side.

models-and-training.md 3.2: the shift is for source inputs only; the transfer gives a source face, input and target
alike, the colours of a random target face, whole picture to whole picture, before anything is moved.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from facewright.image.colour import Transfer, idt, lct, mkl, rct, sot
from facewright.image.warp import resize

TRANSFERS: dict[str, Transfer] = {"rct": rct, "lct": lct, "mkl": mkl, "idt": idt, "sot": sot}
"""Choices of the setting ct_mode."""
_STREAM = 4 << 32
"""Mark of the streams that choose references, apart from those of batches.draws."""


def shift_hsv(images: Tensor, uniform: np.ndarray, power: float) -> Tensor:
    """(B, 3, H, W) float32 BGR 0..1, each with its own shift of hue, saturation and value; clipped.

    uniform (B, 3) in 0..1: hue moves by whole degrees within +-int(180 power), at least +-1; saturation and value by
    (u - 0.5) power.
    """
    span = max(1, int(180 * power))
    hue = np.floor(uniform[:, 0] * (2 * span + 1)) - span
    change = np.concatenate([hue[:, None], (uniform[:, 1:] - 0.5) * power], 1).astype(np.float32)
    return moved_hsv(images, torch.from_numpy(change).to(images.device))


def moved_hsv(images: Tensor, change: Tensor) -> Tensor:
    """The same by given amounts: change (B, 3) = degrees of hue, saturation, value."""
    by_hue, by_saturation, by_value = change.view(-1, 3, 1, 1).unbind(1)
    blue, green, red = images.unbind(1)
    value, low = images.amax(1), images.amin(1)
    span = value - low
    safe = span.clamp(min=1e-12)
    from_green = torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    hue = torch.where(value == red, (green - blue) / safe, from_green)
    hue = torch.where(span > 0, 60 * hue, torch.zeros_like(hue))
    hue = (hue + by_hue) % 360
    saturation = (span / value.clamp(min=1e-12) + by_saturation).clamp(0, 1)
    value = (value + by_value).clamp(0, 1)
    # Each channel is value times 1 - saturation * max(0, min(k, 4 - k, 1)), k = (n + hue / 60) mod 6, n = 5, 3, 1.
    channels = []
    for n in (1, 3, 5):
        k = (n + hue / 60) % 6
        channels.append(value * (1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1)))
    return torch.stack(channels, 1).clamp(0, 1)


def references(seed: int, iteration: int, batch: int, count: int, first: int = 0) -> np.ndarray:
    """Which of `count` target faces lends its colours to each sample, from slot `first` on: (batch,) int64."""
    return _rng(seed, iteration, 0).integers(0, count, first + batch)[first:]


def transferred(
    crops: np.ndarray, like: np.ndarray, mode: str, seed: int, iteration: int, pool: ThreadPoolExecutor, first: int = 0
) -> np.ndarray:
    """(n, C, S, S) uint8 crops (blue, green, red, masks ...) in the colours of `like` (n, C', S', S'), by the transfer
    `mode`; the masks stay. They are samples `first` and on of a batch, independent of each other and of who makes
    them."""

    def one(slot: int) -> np.ndarray:
        face, reference = _rgb(crops[slot]), _rgb(like[slot])
        if reference.shape != face.shape:
            reference = resize(reference, face.shape[0], "linear")
        made = TRANSFERS[mode](face, reference, rng=_rng(seed, iteration, 1 + first + slot))
        return np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)[..., ::-1].transpose(2, 0, 1)

    out = crops.copy()
    for slot, made in enumerate(pool.map(one, range(len(crops)))):
        out[slot, :3] = made
    return out


def _rng(seed: int, iteration: int, slot: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, _STREAM], counter=[0, 0, slot, iteration]))


def _rgb(crop: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(crop[2::-1].transpose(1, 2, 0)).astype(np.float32) / np.float32(255)
