"""The benchmark of smoothing: its floor is the filter that it says, and its measures see what they must."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import smoothing
from facewright.faces.align import template_3d

FACE = template_3d()[:, :2].astype(np.float64) * 0.6 + 200
NONE = np.zeros(60, bool)


def test_the_floor_is_savitzky_and_golay_s_filter():
    spike = np.zeros((21, 68, 2))
    spike[10] = 21
    assert np.allclose(smoothing.savitzky_golay(spike)[7:14, 0, 0], [-2, 3, 6, 7, 6, 3, -2])
    bow = FACE + (np.arange(21.0) ** 2)[:, None, None]
    assert np.allclose(smoothing.savitzky_golay(bow), bow)


def test_jitter_is_that_of_noise_and_repeated_frames_do_not_count():
    noise = np.random.default_rng(0).normal(size=(60, 68, 2)) * 0.4
    assert smoothing.jitter(FACE + noise, NONE) == pytest.approx(2.884 * 0.4 / 39.4 * 100, rel=0.03)
    held = noise.copy()
    held[31:60] = held[30]
    repeats = np.arange(60) > 30
    assert smoothing.jitter(FACE + held, repeats) == pytest.approx(2.884 * 0.4 / 39.4 * 100, rel=0.05)


def test_lag_and_openness():
    path = np.cumsum(np.random.default_rng(1).normal(size=(60, 1, 2)), axis=0)
    assert smoothing.lag(FACE + path, FACE + path) == 0
    assert smoothing.lag(FACE + path, FACE + np.roll(path, 2, 0)) == 2
    half, whole = FACE[None].copy(), FACE[None].copy()
    half[:, 65:68, 1] += 3
    whole[:, 65:68, 1] += 6
    shut = smoothing.mouth(FACE[None])
    assert smoothing.mouth(whole) - shut == pytest.approx(2 * (smoothing.mouth(half) - shut), rel=0.02)
