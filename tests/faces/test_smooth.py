from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.faces.align import template_3d
from facewright.faces.smooth import LONGEST_PAUSE_S, head_part, runs, smoothed

FACE = template_3d()[:, :2].astype(np.float64) * 0.6 + 200
"""Eyes 40 px apart."""
seeds = st.integers(0, 2**31)


def _clock(count: int, rng: np.random.Generator) -> np.ndarray:
    """Frames at 25 a second of which a fifth is missing, never the first or last."""
    kept = rng.random(count) < 0.8
    kept[[0, 1, 2, -3, -2, -1]] = True
    return np.flatnonzero(kept) / 25


def _noisy(count: int, sigma: float = 0.15, seed: int = 0) -> np.ndarray:
    return FACE + np.random.default_rng(seed).normal(size=(count, 68, 2)) * sigma


def _jitter(points: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(np.diff(points.astype(np.float64), 2, axis=0), axis=-1)))


@given(seeds, st.sampled_from([0.3, 0.75, 1.0]))
def test_even_motion_of_every_point_stays_as_it_is(seed, strength):
    rng = np.random.default_rng(seed)
    times = _clock(40, rng)
    points = FACE + rng.normal(size=(68, 2)) * 20 * times[:, None, None]
    found = smoothed(times, points, strength)
    assert np.abs(found.points_px - points).max() < 1e-3
    assert not found.rejected.any()


@given(seeds)
def test_what_is_still_stays(seed):
    points = np.repeat(FACE[None] + np.random.default_rng(seed).normal(size=(68, 2)), 30, 0)
    assert np.abs(smoothed(np.arange(30) / 30, points, 0.75).points_px - points).max() < 1e-3


@given(seeds)
def test_time_may_run_backwards(seed):
    rng = np.random.default_rng(seed)
    times, sway = _clock(50, rng), 6 * np.sin(np.arange(50) / 4)
    points = (_noisy(50, seed=seed) + sway[:, None, None])[: len(times)]
    points[20, 8] += 12
    forth = smoothed(times, points, 0.75)
    back = smoothed(-times[::-1], points[::-1], 0.75)
    assert np.abs(forth.points_px - back.points_px[::-1]).max() < 1e-3
    assert np.array_equal(forth.rejected, back.rejected[::-1])


@given(seeds)
def test_place_and_size_do_not_matter(seed):
    points = _noisy(30, seed=seed)
    times = np.arange(30) / 25
    there = smoothed(times + 1000, points * 3 + [500, -20], 0.75).points_px
    assert np.abs(there - (smoothed(times, points, 0.75).points_px * 3 + [500, -20])).max() < 5e-3


def test_noise_goes():
    points = _noisy(100)
    steady = smoothed(np.arange(100) / 25, points, 0.75).points_px
    assert _jitter(steady) < 0.3 * _jitter(points)
    assert np.sqrt(((steady - FACE) ** 2).mean()) < 0.65 * 0.15


def test_strength_nought_changes_nothing_and_more_smooths_more():
    points = _noisy(60).astype(np.float32)
    times = np.arange(60) / 25
    steady = [smoothed(times, points, s).points_px for s in (0.0, 0.4, 0.75, 1.0)]
    assert np.array_equal(steady[0], points)
    jitter = [_jitter(p) for p in steady]
    assert jitter == sorted(jitter, reverse=True)


def test_one_wrong_point_is_left_out():
    points = _noisy(60)
    points[30, 33] += [9, -7]
    found = smoothed(np.arange(60) / 25, points, 0.75)
    assert found.rejected[30, 33]
    assert found.rejected.sum() <= 3
    assert np.linalg.norm(found.points_px[30, 33] - FACE[33]) < 0.5
    assert np.linalg.norm(found.points_px[28:33] - FACE, axis=-1).max() < 0.6


@pytest.mark.parametrize("wrong", [[30], [30, 31]])
def test_a_face_that_jumped_away_is_left_out(wrong):
    points = _noisy(60)
    points[wrong] += [15, 4]
    found = smoothed(np.arange(60) / 25, points, 0.75)
    assert found.rejected[wrong].all()
    assert not found.rejected[[27, 28, 33, 34]].any()
    assert np.linalg.norm(found.points_px - FACE, axis=-1).max() < 1.0


def test_a_head_that_moves_for_good_is_no_error():
    points = _noisy(60)
    points[30:] += [15, 4]
    found = smoothed(np.arange(60) / 25, points, 0.75)
    assert not found.rejected.any()
    assert np.linalg.norm(found.points_px[[20, 40]] - FACE - [[[0, 0]], [[15, 4]]], axis=-1).max() < 0.6


def test_a_blink_and_a_syllable_keep_their_height():
    times = np.arange(80) / 25
    shut = np.interp(times, [1.4, 1.56, 1.72], [0.0, 1.0, 0.0])
    opened = np.maximum(0, np.sin(2 * np.pi * 3 * times))
    points = _noisy(80, 0.06)
    points[:, [37, 38, 43, 44], 1] += 5 * shut[:, None]
    points[:, [55, 56, 57, 58, 59, 65, 66, 67], 1] += 6 * opened[:, None]
    steady = smoothed(times, points, 0.75).points_px
    lid = steady[:, [37, 38, 43, 44], 1].mean(1) - FACE[[37, 38, 43, 44], 1].mean()
    lip = steady[:, 65:68, 1].mean(1) - FACE[65:68, 1].mean()
    assert np.ptp(lid) > 0.93 * 5
    assert 0.95 * 6 < np.ptp(lip) < 1.08 * 6
    assert np.corrcoef(lip, opened)[0, 1] > 0.998


def test_nothing_lags():
    times = np.arange(150) / 25
    sway = 8 * np.sin(2 * np.pi * 0.7 * times) + 3 * np.sin(2 * np.pi * 1.9 * times)
    points = _noisy(150, 0.3) + sway[:, None, None]
    steady = smoothed(times, points, 1.0).points_px[..., 0].mean(1)
    clean = sway - sway.mean()
    match = [np.corrcoef(np.roll(steady, -lag)[8:-8], clean[8:-8])[0, 1] for lag in range(-4, 5)]
    assert int(np.argmax(match)) - 4 == 0
    assert match[3] == pytest.approx(match[5], abs=2e-3)


def test_a_person_s_points_stay_and_pull_their_neighbours():
    points = _noisy(60, 0.02)
    truth = np.zeros(60, bool)
    truth[30] = True
    points[30] += [0, 6]
    found = smoothed(np.arange(60) / 25, points, 0.75, truth=truth)
    assert np.abs(found.points_px[30] - points[30]).max() < 1e-4
    assert not found.rejected[30].any()
    alone = smoothed(np.arange(60) / 25, points, 0.75)
    assert alone.rejected[30].all()


def test_points_without_weight_follow_their_neighbours():
    points = _noisy(60, 0.02)
    points[25] += 30
    weights = np.ones(60)
    weights[25] = 0
    found = smoothed(np.arange(60) / 25, points, 0.75, weights=weights).points_px
    assert np.linalg.norm(found - FACE, axis=-1).max() < 0.2


def test_a_pause_parts_a_track_and_short_rests_stay():
    times = np.r_[np.arange(20), 20 + 25 * (LONGEST_PAUSE_S + 0.1) + np.arange(3)] / 25
    assert [(r.start, r.stop) for r in runs(times)] == [(0, 20), (20, 23)]
    points = _noisy(23).astype(np.float32)
    found = smoothed(times, points, 1.0).points_px
    assert np.array_equal(found[20:], points[20:])
    assert np.array_equal(found[:20], smoothed(times[:20], points[:20], 1.0).points_px)
    assert smoothed(np.zeros(0), np.zeros((0, 68, 2)), 0.5).points_px.shape == (0, 68, 2)


def test_two_frames_with_one_moment_do_no_harm():
    times = np.repeat(np.arange(15), 2) / 25
    assert np.isfinite(smoothed(times, _noisy(30), 0.75).points_px).all()
    assert np.isfinite(smoothed(np.zeros(30), _noisy(30), 0.75).points_px).all()


@given(seeds)
def test_the_head_s_part_is_linear_and_holds_what_a_similarity_makes(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 4, 68, 2))
    assert np.allclose(head_part(2 * a - b), 2 * head_part(a) - head_part(b))
    angle, scale = rng.uniform(-3, 3), rng.uniform(0.1, 5)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    made = (template_3d()[:, :2] @ turn.T + rng.normal(size=2) * 50)[None]
    assert np.allclose(head_part(made), made, atol=1e-3)
