"""Shares are exact and even; the best cover most; rare poses are not emptied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.faceset.cleaning.coverage_cells import COLUMNS, ROWS, Views, best, binned, grid, rescued, shares


def views(yaw, pitch=None, mouth=None, right=None):
    yaw = np.asarray(yaw, float)
    fill = lambda v, x: np.full(len(yaw), x) if v is None else np.asarray(v, float)  # noqa: E731
    return Views(yaw, fill(pitch, 0.0), np.stack([fill(mouth, 0.0), fill(None, 0.3)], 1),
                 np.stack([fill(right, 0.0), fill(None, 0.1)], 1))


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.integers(0, 5000))
def test_shares_are_exact_and_even(counts, total):
    counts = np.array(counts)
    given_ = shares(counts, total)
    assert given_.sum() == min(total, counts.sum())
    assert (given_ >= 0).all()
    assert (given_ <= counts).all()
    short = given_ < counts
    if short.any():
        assert given_.max() - given_[short].min() <= 1


@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(0, 150))
def test_the_best_are_so_many_and_cover_every_cell_they_can(seed, count, wanted):
    rng = np.random.default_rng(seed)
    some = views(rng.normal(0, 25, count), rng.normal(0, 15, count), rng.random(count) / 2, rng.normal(0, 0.3, count))
    quality = rng.random(count)
    kept = best(some, quality, wanted)
    assert kept.sum() == min(count, wanted)
    cells = some.pose_cell
    reached = len(np.unique(cells[kept]))
    assert reached == min(wanted, len(np.unique(cells)))
    for cell in np.unique(cells):  # within pose and look, the sharper ones
        for look in np.unique(some.look_cell[cells == cell]):
            here = (cells == cell) & (some.look_cell == look)
            if (kept & here).any() and (~kept & here).any():
                assert quality[kept & here].min() >= quality[~kept & here].max()


def test_light_and_expression_are_kept_too():
    mouth, right = np.tile([0.0, 0.0, 0.0, 0.0, 0.5], 20), np.tile([0, 0, 0, 0.3, 0], 20)
    kept = best(views(np.zeros(100), mouth=mouth, right=right), np.linspace(1, 0, 100), 30)
    assert kept.sum() == 30
    assert ((mouth[kept] > 0).sum(), (right[kept] > 0).sum()) == (10, 10)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0, 1)), max_size=80), st.integers(0, 12))
def test_no_cell_falls_below_what_is_asked_or_what_it_had(faces, least):
    cells, faulty, quality = (np.array([f[i] for f in faces], t) for i, t in enumerate((int, bool, float)))
    saved = rescued(cells, faulty, quality, least)
    assert not (saved & ~faulty).any()
    for cell in np.unique(cells):
        here = cells == cell
        stay = (here & (~faulty | saved)).sum()
        assert stay == max((here & ~faulty).sum(), min(least, here.sum()))
        lost = here & faulty & ~saved
        if lost.any() and (saved & here).any():
            assert quality[saved & here].min() >= quality[lost].max()


def test_the_grid_is_that_of_info():
    table = grid(views([-89, -1, 0, 14.9, 15, 200], [-50, 0, 0, 14.9, 15, 50]))
    assert table.shape == (ROWS, COLUMNS) == (6, 12)
    assert table[0, 0] == table[ROWS - 1, COLUMNS - 1] == 1
    assert (table[3, 5], table[3, 6], table[4, 7]) == (1, 2, 1)


@pytest.mark.parametrize(("value", "place"), [(-1, 0), (0.1, 1), (0.2, 1), (0.3, 2), (9, 2), (np.nan, 1)])
def test_what_cannot_be_measured_counts_in_the_middle(value, place):
    assert binned(np.array([value]), (0.1, 0.3)).tolist() == [place]
