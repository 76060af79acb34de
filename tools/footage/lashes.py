"""Lashes: strands that follow the lids' own strips, so they blink with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tools.footage.head import HeadModel


@dataclass(frozen=True, slots=True)
class LashPlan:
    """Lashes: each strand mixes two neighbouring columns of a strip. `left`, `right` (S, K) int32 model vertices,
    `mix` (S, 1, 1); `reach` (S, 1, 1) scales from the lid's edge outwards; `width` (S, K); `tint` (S, 3)."""

    left: np.ndarray
    right: np.ndarray
    mix: np.ndarray
    reach: np.ndarray
    width: np.ndarray
    tint: np.ndarray

    def points(self, posed: np.ndarray) -> np.ndarray:
        """(S, K, 3) float32 curves for the lids' present shape."""
        p = posed[self.left] * (1 - self.mix) + posed[self.right] * self.mix
        return (p[:, :1] + (p - p[:, :1]) * self.reach).astype(np.float32)


def plan_lashes(model: HeadModel, length: float, seed: int) -> LashPlan:
    """Strands for the four lids; the lower ones are fewer, shorter and finer."""
    rng = np.random.default_rng(seed + 3)
    left, right, mix, reach, width = [], [], [], [], []
    for strip in model.lashes:
        count = 84 if strip.upper else 22
        t = np.sort(rng.uniform(0.4, 17.6, count))
        cell = t.astype(int)
        turn = np.clip(cell + np.round(rng.normal(0, 0.5, count)).astype(int), 0, 17)
        rows = strip.grid.T  # (19, 6)
        left.append(rows[cell])
        right.append(rows[turn + 1])
        mix.append(t - cell)
        scale = length * (1.0 if strip.upper else 0.5)
        reach.append(scale * rng.uniform(0.75, 1.1, count))
        size = 0.042 if strip.upper else 0.022
        width.append(np.repeat(size * np.linspace(1, 0.25, 6)[None], count, 0))
    total = sum(len(m) for m in mix)
    tint = np.repeat(np.array([[0.020, 0.014, 0.011]], np.float32), total, 0)
    return LashPlan(
        np.concatenate(left), np.concatenate(right), np.concatenate(mix).astype(np.float32)[:, None, None],
        np.concatenate(reach).astype(np.float32)[:, None, None], np.concatenate(width).astype(np.float32), tint,
    )  # fmt: skip
