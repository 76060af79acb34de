"""Near-duplicates: each step takes what it says, the best stays, blocks do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facewright.faceset.sorting import near_duplicates as room
from facewright.faceset.sorting.near_duplicates import near_duplicates


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return np.repeat(np.repeat(rng.integers(20, 230, (count, 16, 16, 3)).astype(np.uint8), 4, 1), 4, 2)


def run(small, strength, *, yaw=None, mouth=None, quality=None):
    count = len(small)
    pose = np.stack([np.zeros(count) if yaw is None else np.asarray(yaw, float), np.zeros(count)], 1)
    look = np.stack([np.zeros(count) if mouth is None else np.asarray(mouth, float), np.full(count, 0.3)], 1)
    worth = np.arange(count, 0, -1.0) if quality is None else np.asarray(quality)
    return near_duplicates(small, pose, look, worth, strength)


def shifted(small, levels):
    return np.clip(small.astype(int) + levels, 0, 255).astype(np.uint8)


def test_each_step_takes_what_it_says():
    base = pictures(1)
    half = (np.arange(64) < 32).reshape(64, 1, 1)  # RMS 0.7, 1.4, 2.8, 7 levels
    small = np.concatenate([base, base, *(shifted(base, levels * half) for levels in (1, -2, 4, 10))])
    for strength, wanted in enumerate(([-1, 0, -1, -1, -1, -1], [-1, 0, 1, -1, -1, -1], [-1, 0, 1, 2, -1, -1],
                                       [-1, 0, 1, 2, 3, -1])):
        step, like = run(small, strength)
        assert step.tolist() == wanted, strength
        assert (like[step >= 0] == 0).all()
        assert (like[step < 0] == np.flatnonzero(step < 0)).all()


def test_a_blink_or_a_turn_is_no_duplicate():
    small = np.repeat(pictures(1), 3, 0)
    small[1, 0, 0] += 9  # not the very same picture
    small[2, 0, 0] += 15
    assert run(small, 3, yaw=[0, 0, 12])[0].tolist() == [-1, 1, -1]
    assert run(small, 3, mouth=[0, 0.2, 0])[0].tolist() == [-1, -1, 1]


def test_the_best_stays():
    small = np.repeat(pictures(2), 3, 0)
    step, like = run(small, 0, quality=[1, 3, 2, 5, 5, np.nan])
    assert step.tolist() == [0, -1, 0, -1, 0, 0]
    assert like.tolist() == [1, 1, 1, 3, 3, 3]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3), st.integers(1, 40))
def test_those_that_stay_differ_and_those_that_go_have_their_like(seed, strength, block):
    rng = np.random.default_rng(seed)
    base = pictures(4, seed)
    small = shifted(base[rng.integers(0, 4, 40)], 3 * rng.integers(-3, 4, (40, 1, 1, 1)))
    quality = rng.random(40)
    whole = run(small, strength, quality=quality)
    old, room._BLOCK = room._BLOCK, block
    try:
        step, like = run(small, strength, quality=quality)
    finally:
        room._BLOCK = old
    assert np.array_equal(step, whole[0])
    assert np.array_equal(like, whole[1])
    stay = np.flatnonzero(step < 0)
    assert (step[like] < 0).all(), "each is like one that stays"
    tolerance = {0: 0.0, 1: 1.0, 2: 2.0, 3: 4.0}[strength]
    grey = small[stay].astype(float).mean((1, 2)) @ [0.299, 0.587, 0.114]
    kinds = np.array([np.argmin(np.abs(base.astype(float) - s).mean((1, 2, 3))) for s in small[stay]])
    for kind in np.unique(kinds):  # of one picture, levels apart by more than the tolerance
        levels = np.sort(grey[kinds == kind])
        assert (np.diff(levels) > max(tolerance, 1e-6)).all()


def test_memory_and_time_do_not_depend_on_order():
    small = pictures(600, 3)
    step, _ = run(small, 3)
    assert (step == -1).all()


@pytest.mark.parametrize("strength", [0, 3])
def test_nothing_and_one(strength):
    for count in (0, 1):
        step, like = run(pictures(count), strength)
        assert step.tolist() == [-1] * count
        assert like.tolist() == list(range(count))
