from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.masks.label import EXCLUDE, INCLUDE, drawn, in_order, moved, same, traced


def points(*pairs):
    return np.array(pairs, np.float32)


SQUARE = (INCLUDE, points((2, 2), (12, 2), (12, 12), (2, 12)))
INNER = (EXCLUDE, points((5, 5), (8, 5), (8, 8), (5, 8)))


def iou(a, b):
    a, b = a >= 0.5, b >= 0.5
    return (a & b).sum() / max((a | b).sum(), 1)


def test_includes_fill_one_and_excludes_zero_whatever_their_order():
    mask = drawn([INNER, SQUARE], 16)
    assert mask.dtype == np.float32
    assert mask.sum() == 11 * 11 - 4 * 4  # fillPoly holds its outline
    assert np.array_equal(mask, drawn([SQUARE, INNER], 16))
    assert [kind for kind, _ in in_order([INNER, SQUARE, INNER])] == [1, 0, 0]


def test_vertices_are_truncated_toward_zero():
    near = (INCLUDE, points((2.9, 2.9), (12.9, 2.1), (12.2, 12.99), (2.5, 12.5)))
    assert np.array_equal(drawn([near], 16), drawn([SQUARE], 16))
    left = (INCLUDE, points((-0.9, 2), (4, 2), (4, 6), (-0.9, 6)))
    assert drawn([left], 16)[:, 0].sum() == 5  # -0.9 becomes 0, not -1


def test_excludes_alone_leave_nothing_and_empty_ones_are_skipped():
    assert drawn([INNER], 16).sum() == 0
    assert drawn([(INCLUDE, np.zeros((0, 2), np.float32)), SQUARE], 16).sum() == 121
    assert drawn([], 16).sum() == 0


def test_drawn_at_another_size_covers_the_same_share():
    big = (INCLUDE, points((100, 80), (400, 90), (380, 420), (120, 400)))
    shares = [drawn([big], side, 512).mean() for side in (128, 256, 512, 1024)]
    assert max(shares) / min(shares) < 1.02


def test_far_points_and_moves():
    assert drawn([(INCLUDE, points((-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)))], 8).sum() == 64
    (kind, there), = moved([SQUARE], np.array([[2, 0, 1], [0, 2, 3], [0, 0, 1.0]]))
    assert kind == INCLUDE
    assert there.dtype == np.float32
    assert there[0].tolist() == [5, 7]
    assert same([SQUARE], [SQUARE])
    assert not same([SQUARE], [INNER])


@st.composite
def masks(draw):
    """Blobs, holes, islands in holes, specks, lines: random small bitmaps, some of them enlarged."""
    side = draw(st.integers(1, 24))
    bits = draw(st.binary(min_size=side * side, max_size=side * side))
    cut = draw(st.integers(30, 226))
    mask = (np.frombuffer(bits, np.uint8).reshape(side, side) > cut).astype(np.float32)
    return mask.repeat(draw(st.sampled_from((1, 3))), 0).repeat(draw(st.sampled_from((1, 3))), 1)


@given(masks())
def test_a_mask_traced_with_every_node_comes_back_to_the_pixel(mask):
    height, width = mask.shape
    side = max(height, width)
    square = np.zeros((side, side), np.float32)
    square[:height, :width] = mask
    assert np.array_equal(drawn(traced(square, node_px=1), side), square)


@given(st.integers(0, 2**32 - 1))
def test_ten_pixels_a_node_keep_the_shape(seed):
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 150 + 30 * np.sin(angle * rng.integers(1, 5) + rng.uniform(0, 6)) + rng.uniform(-4, 4, 60)
    outer = np.stack([256 + radius * np.cos(angle), 256 + radius * np.sin(angle)], -1)
    hole = np.array([256, 230]) + rng.uniform(20, 45) * np.stack([np.cos(angle), np.sin(angle)], -1)
    mask = drawn([(INCLUDE, outer), (EXCLUDE, hole)], 512)
    polygons = traced(mask, 10, smallest_px=100)
    assert [kind for kind, _ in polygons] == [INCLUDE, EXCLUDE]
    assert iou(drawn(polygons, 512), mask) > 0.98
    length = cv2.arcLength(polygons[0][1], True)
    assert 0.6 * length / 10 < len(polygons[0][1]) < 2 * length / 10


def test_an_island_in_a_hole_survives():
    mask = np.zeros((100, 100), np.float32)
    mask[10:90, 10:90] = 1
    mask[20:80, 20:80] = 0
    mask[40:60, 40:60] = 1
    mask[45:50, 45:50] = 0
    polygons = traced(mask, 1)
    assert np.array_equal(drawn(polygons, 100), mask)
    assert [kind for kind, _ in polygons].count(INCLUDE) == 1
    assert iou(drawn(traced(mask, 10), 100), mask) > 0.95


def test_specks_are_left_out_but_not_the_corners_of_the_picture():
    mask = np.zeros((64, 64), np.float32)
    mask[10:50, 10:50] = 1
    mask[5, 5] = mask[60, 60] = 1
    mask[20, 20] = 0
    polygons = traced(mask, 1, smallest_px=4)
    assert len(polygons) == 1
    assert drawn(polygons, 64).sum() == 1600
    round_one = drawn([(INCLUDE, points((1, 0), (63, 1), (62, 63), (0, 62)))], 64)
    assert np.array_equal(drawn(traced(round_one, 1, smallest_px=4), 64), round_one)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_and_everything(value):
    mask = np.full((32, 32), value, np.float32)
    assert np.array_equal(drawn(traced(mask), 32), mask)
