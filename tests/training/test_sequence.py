from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facewright.training.sequence import YAW_EDGES_RAD, ByYaw, order

YAWS = st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=60).map(lambda x: np.array(x, np.float32))


@given(st.integers(0, 2**31 - 1), st.integers(1, 50), st.integers(0, 500), st.integers(1, 40))
def test_order_is_a_shuffle_per_epoch_whoever_asks(seed, count, first, n):
    whole = order(seed, 0, count, 0, first + n)
    np.testing.assert_array_equal(order(seed, 0, count, first, n), whole[first:])
    for epoch in range((first + n) // count):
        assert sorted(whole[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_sides_and_seeds_have_their_own_order():
    a, b, c = (order(seed, side, 100, 0, 100) for seed, side in ((0, 0), (0, 1), (1, 0)))
    assert (a != b).mean() > 0.8
    assert (a != c).mean() > 0.8


@given(YAWS, st.integers(0, 2**31 - 1), st.integers(0, 300), st.integers(1, 40))
def test_by_yaw_any_part_can_be_asked_for_alone(yaws, seed, first, n):
    by_yaw = ByYaw(yaws)
    whole = by_yaw.order(seed, 1, 0, first + n)
    np.testing.assert_array_equal(by_yaw.order(seed, 1, first, n), whole[first:])
    assert sorted(np.concatenate(by_yaw.members)) == list(range(len(yaws))), "every face is in one bin"


def test_rare_turns_come_as_often_as_common_ones():
    yaws = np.concatenate([np.zeros(90), np.full(9, 0.5), [1.1]]).astype(np.float32)
    seen = ByYaw(yaws).order(5, 0, 0, 900)
    assert (seen >= 99).sum() == (seen < 90).sum() == 300
    common = seen[seen < 90]
    assert sorted(common[:90]) == list(range(90)), "each face of a bin once before any comes again"
    assert not np.array_equal(common[:90], common[90:180])


def test_the_outer_bins_are_open():
    by_yaw = ByYaw(np.float32([-3, -1.2, -1.19, 1.19, 1.2, 3]))
    assert [len(m) for m in by_yaw.members] == [3, 1, 2]
    assert len(YAW_EDGES_RAD) == 128
