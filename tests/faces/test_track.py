from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facewright.faces.face import Detection
from facewright.faces.track import MAX_GAP, likeness, link, shot_breaks, track_ids


def _box(x, y=50.0, side=20.0):
    return (x, y, x + side, y + side)


def test_two_heads_that_pass_each_other_in_separate_rows():
    rows = [[_box(10 + 3 * t, 20), _box(100 - 3 * t, 80)] for t in range(20)]
    assert link(rows) == [[0, 1]] * 20


def test_a_gap_is_bridged_up_to_its_limit():
    there, gone = [_box(10)], []
    assert link([there] + [gone] * MAX_GAP + [there])[-1] == [0]
    assert link([there] + [gone] * (MAX_GAP + 1) + [there])[-1] == [1]


def test_no_track_crosses_a_new_shot():
    assert link([[_box(10)], [_box(10)], [_box(10)]], breaks=[2]) == [[0], [0], [1]]


def test_a_head_of_another_size_is_another_head():
    assert link([[_box(10, side=20)], [_box(10, side=60)]]) == [[0], [1]]


def test_names():
    rows = [[Detection(0, _box(10), 0.9)], [Detection(1, _box(11), 0.9), Detection(1, _box(90), 0.9)]]
    assert track_ids(rows, "0123abcd_0000064") == [["0123abcd_0000064_0"], ["0123abcd_0000064_0", "0123abcd_0000064_1"]]


boxes = st.builds(lambda x, y, s: (x, y, x + s, y + s), *[st.integers(0, 200)] * 2, st.integers(5, 60))


@given(st.lists(st.lists(boxes, max_size=4, unique=True), max_size=6), st.randoms(use_true_random=False))
def test_order_within_a_frame_does_not_matter(rows, random):
    straight = link(rows)
    for row, numbers in zip(rows, straight):
        assert len(set(numbers)) == len(row)  # two faces of one frame never share a track
    shuffled, orders = [], []
    for row in rows:
        order = list(range(len(row)))
        random.shuffle(order)
        orders.append(order)
        shuffled.append([row[i] for i in order])
    again = link(shuffled)
    assert [[numbers[o.index(i)] for i in range(len(o))] for numbers, o in zip(again, orders)] == straight


@given(boxes, boxes)
def test_likeness_is_symmetric_and_in_range(a, b):
    there, back = likeness(np.array([a]), np.array([b])), likeness(np.array([b]), np.array([a]))
    assert np.allclose(there, back.T)
    assert 0 <= there.item() <= 1
    assert likeness(np.array([a]), np.array([a])).item() == 1


def test_shot_breaks():
    rng = np.random.default_rng(3)
    one, other = (rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(30, 0).repeat(40, 1) for _ in range(2))
    film = [one] * 5 + [other] * 5
    assert shot_breaks(film) == [5]
    assert shot_breaks([one] * 10) == []
    assert shot_breaks([one]) == []
    # A flickering light changes every frame alike: no cut.
    assert shot_breaks([np.full_like(one, 40 + 60 * (i % 2)) for i in range(10)]) == []
