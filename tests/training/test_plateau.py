from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.training import plateau
from facewright.training.plateau import LEAST, Watch, fall_of, judge

NOISE = 0.07
"""Scatter of one batch's loss about its mean, of real runs (batch 8)."""


def noisy(course: np.ndarray, seed: int = 0, noise: float = NOISE) -> np.ndarray:
    return course * (1 + noise * np.random.default_rng(seed).standard_normal(len(course)))


def first_flat(course: np.ndarray, limit: float = 0.02) -> int:
    """Iteration at which a watch that looks as training does finds the plateau; 0 = never."""
    watch = Watch()
    for i in range(1, len(course) + 1):
        if watch.due(i):
            verdict = judge(course[:i], limit)
            if verdict is not None and verdict.flat:
                return i
    return 0


@pytest.mark.parametrize("seed", range(5))
def test_a_constant_loss_is_flat_as_soon_as_there_is_enough_of_it(seed):
    found = first_flat(noisy(np.full(60_000, 0.4), seed))
    assert 3 * LEAST <= found <= 30_000


@pytest.mark.parametrize("tau", [4_000, 10_000, 20_000])
def test_an_exponential_descent_is_flat_late(tau):
    course = 0.3 + 1.0 * np.exp(-np.arange(12 * tau) / tau)
    found = first_flat(noisy(course, 1))
    assert found > 4 * tau, "the loss was still falling"
    assert (course[found] - course[-1]) / course[-1] < 0.05, "nearly all of the descent was had"


def test_a_power_law_goes_on_for_long():
    i = np.arange(1, 200_001)
    assert first_flat(noisy(0.05 + 6 * i**-0.35, 2)) == 0, "half as long again gains more than 2 %"


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_face_is_no_plateau(seed):
    """A net may rest for hundreds of iterations before it begins to learn."""
    course = np.concatenate([np.full(2_000, 0.9), 0.25 + 0.65 * np.exp(-np.arange(20_000) / 8_000)])
    assert first_flat(noisy(course, seed)) == 0


def test_one_odd_batch_in_a_hundred_changes_nothing():
    course = noisy(np.full(45_000, 0.4), 3)
    course[::100] *= 20
    assert judge(course, 0.02).flat
    falling = noisy(0.4 * np.exp(-np.arange(45_000) / 150_000), 3)
    falling[::100] *= 20
    assert not judge(falling, 0.02).flat


def test_a_step_inside_the_window_is_not_flat_and_a_restart_forgets_it():
    course = noisy(np.concatenate([np.full(39_000, 0.6), np.full(6_000, 0.4)]), 4)
    assert not judge(course, 0.02).flat
    assert judge(np.concatenate([course[:39_000], course[39_000:].repeat(6)])[39_000:], 0.02).flat


def test_a_rising_loss_is_flat_and_said_so():
    verdict = judge(noisy(np.linspace(0.4, 0.44, 30_000), 5), 0.02)
    assert verdict.flat
    assert "rose" in verdict.text


def test_a_noisier_loss_must_be_looked_at_longer():
    found = {noise: [first_flat(noisy(np.full(200_000, 0.4), s, noise)) for s in range(5)] for noise in (0.05, 0.4)}
    assert np.median(found[0.05]) < np.median(found[0.4])


def test_too_few_and_no_numbers():
    assert judge(np.full(3 * LEAST - 1, 0.4), 0.02) is None
    course = noisy(np.full(30_000, 0.4), 7)
    course[::7] = np.nan
    assert judge(course, 0.02).flat
    assert judge(np.full(30_000, np.nan), 0.02) is None


def test_the_cycle_of_the_learning_rate_is_no_course():
    i = np.arange(60_000)
    assert first_flat(noisy(0.3 * (1 + 0.05 * np.cos(2 * np.pi * i / 500)), 8)) > 0


@given(st.floats(0.01, 10), st.floats(-0.5, 0.5), st.integers(10, 60))
def test_a_straight_line_is_measured_exactly(level, fall, count):
    at = np.linspace(0.5, -0.5, count)
    found, sure = fall_of(level * (1 + fall * at))
    assert found == pytest.approx(fall, abs=1e-9)
    assert sure == pytest.approx(0, abs=1e-9)


@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_scale_means_nothing(scale, seed):
    levels = noisy(np.linspace(0.5, 0.45, plateau.PIECES), seed, 0.01)
    assert fall_of(levels * scale) == pytest.approx(fall_of(levels), rel=1e-9)


@given(st.integers(0, 1000))
def test_the_error_is_about_right(seed):
    """White noise: the found fall lies within a few of its own standard errors of nothing."""
    fall, sure = fall_of(noisy(np.ones(plateau.PIECES), seed, 0.01))
    assert abs(fall) < 10 * max(sure, 0.002)


def test_a_watch_looks_seldom_and_only_until_it_has_seen():
    watch = Watch(since=1000)
    looked = [i for i in range(0, 200_000) if watch.due(i)]
    assert looked[0] == 1000 + 3 * LEAST
    assert len(looked) < 200
    watch.seen = 5
    assert not watch.due(10**6)
    watch.restart(10**6)
    assert (watch.since, watch.seen) == (10**6, 0)
    assert watch.due(10**6 + 3 * LEAST)
