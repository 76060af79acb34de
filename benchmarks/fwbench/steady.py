"""Temporal metrics (measuring-quality 2.4): flicker along the plate's flow."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from benchmarks.fwbench import ground

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Flicker:
    """Mean |r_t| over visible mask pixels in L*: all of it, and its slow part (pumping)."""

    f3: float
    f3lo: float


def flicker(
    lightness: tuple[Array, Array, Array], plate_y: tuple[Array, Array, Array], inside: Array, u_px: float
) -> Flicker:
    """T1 of one frame from (before, now, after) of a film's L and the plate's luma.

    r_t = L_t - (L_(t-1)(x + w-) + L_(t+1)(x + w+)) / 2, flow from the plate only; F3lo after a Gaussian of .1 u
    normalised by visibility.
    """
    return both((lightness,), plate_y, inside, u_px)[0]


def both(
    films: tuple[tuple[Array, Array, Array], ...], plate_y: tuple[Array, Array, Array], inside: Array, u_px: float
) -> list[Flicker]:
    """The same for several films over one plate (its flow is computed once)."""
    before, now, after = plate_y
    back, ahead = ground.flow(now, before), ground.flow(now, after)
    seen = ground.visible(back, ground.flow(before, now)) & ground.visible(ahead, ground.flow(after, now))
    where = seen & inside
    if where.sum() < 16:
        return [Flicker(float("nan"), float("nan")) for _ in films]
    weight = seen.astype(np.float32)
    sigma = max(0.1 * u_px, 0.5)
    soft_weight = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-6)
    found = []
    for a, b, c in films:
        rest = b - (ground.follow(a, back) + ground.follow(c, ahead)) / 2
        low = cv2.GaussianBlur(rest * weight, (0, 0), sigma) / soft_weight
        found.append(Flicker(float(np.abs(rest[where]).mean()), float(np.abs(low[where]).mean())))
    return found


def runs(duplicates: Array, indices: Array) -> list[slice]:
    """Stretches of true neighbours: consecutive frame indices, none a duplicate of the one before. (T,) each."""
    breaks = [
        0,
        *(i for i in range(1, len(indices)) if indices[i] != indices[i - 1] + 1 or duplicates[i]),
        len(indices),
    ]
    return [slice(a, b) for a, b in itertools.pairwise(breaks) if b - a >= 3]
