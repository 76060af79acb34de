"""Closed-form weights and images of the goldens (tests/golden/models/README.md), for the rooms' tests."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import nn

from facewright.models.layers import to_original_layout, to_torch_layout

_TAU = 6.283185307179586


def s_vector(name: str, count: int) -> np.ndarray:
    """(count,) float64 in -1..1: hash of the flat index, seeded by the ascii name."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(zlib.crc32(name.encode()))
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2**32 * 2 - 1


def stored(name: str, shape: tuple[int, ...], gain: float = 1.0) -> np.ndarray:
    """The original's variable `name` in its own layout, float32."""
    s = s_vector(name, int(np.prod(shape))).reshape(shape)
    last = name.rsplit("/", 1)[-1]
    if len(shape) >= 2:
        return (s * np.sqrt(6 / np.prod(shape[:-1]))).astype(np.float32) * np.float32(gain)
    if last == "eps":
        return np.full(shape, 1e-4, np.float32)
    return (1 + 0.2 * s if last == "weight" else 0.1 * s).astype(np.float32)


@torch.no_grad()
def fill(net: nn.Module, prefix: str = "", gain: float = 1.0) -> nn.Module:
    """Give every parameter its closed-form value."""
    for name, parameter in net.named_parameters():
        shape = tuple(to_original_layout(parameter).shape)
        value = stored(prefix + name.replace(".", "/"), shape, gain)
        parameter.copy_(to_torch_layout(torch.from_numpy(value)))
    return net


def img(b: int, h: int, w: int, c: int, tag: str) -> np.ndarray:
    """(B, H, W, C) float32."""
    p = (zlib.crc32(tag.encode()) % 1000) / 1000 * _TAU
    bb, y, x, cc = np.meshgrid(np.arange(b), np.arange(h), np.arange(w), np.arange(c), indexing="ij")
    first = 0.25 * np.sin(0.11 * x * (1 + 0.3 * cc) + 0.07 * y + 0.9 * bb + p)
    second = 0.25 * np.sin(0.23 * y * (1 + 0.2 * cc) - 0.05 * x + 1.7 * bb + 2 * p)
    return (0.5 + first + second).astype(np.float32)


def mask(b: int, h: int, w: int, tag: str) -> np.ndarray:
    """(B, H, W, 1) float32, a soft ellipse."""
    p = (zlib.crc32(tag.encode()) % 1000) / 1000
    bb, y, x = np.meshgrid(np.arange(b), np.arange(h), np.arange(w), indexing="ij")
    cx = w * (0.5 + 0.05 * np.sin(_TAU * p + bb))
    cy = h * (0.5 + 0.05 * np.cos(_TAU * p + bb))
    d = np.sqrt(((x - cx) / (0.32 * w)) ** 2 + ((y - cy) / (0.40 * h)) ** 2)
    return np.clip((1.15 - d) / 0.3, 0, 1).astype(np.float32)[..., None]


def emask(b: int, h: int, w: int) -> np.ndarray:
    """(B, H, W, 1) float32: two eyes and a mouth."""
    y, x = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    blobs = [
        np.clip(1.5 - np.sqrt(((x - w * u) / (w * r)) ** 2 + ((y - h * v) / (0.6 * h * r)) ** 2), 0, 1)
        for u, v, r in ((0.36, 0.42, 0.08), (0.64, 0.42, 0.08), (0.5, 0.68, 0.11))
    ]
    return np.repeat(np.max(blobs, axis=0)[None, ..., None], b, axis=0).astype(np.float32)


def nchw(x: np.ndarray) -> torch.Tensor:
    """NHWC array -> contiguous NCHW tensor."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def nhwc(x: torch.Tensor) -> np.ndarray:
    """NCHW tensor -> NHWC array."""
    return x.detach().permute(0, 2, 3, 1).numpy()
