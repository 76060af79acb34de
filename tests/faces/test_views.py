from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.faces.face import Detection
from facewright.faces.views import View, eight_bit, enlarged, in_frame, look, shrunk, tiles, turned
from facewright.image.geometry import apply_affine


def _gradient(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)


@pytest.mark.parametrize("quarter", [0, 1, 2, 3, 5])
def test_turned_pixels_map_back_to_themselves(quarter):
    # Red holds x and green y of every pixel, so that a pixel itself says where it came from.
    view = turned(View(_gradient(40, 70), np.eye(3)), quarter)
    rows, columns = np.mgrid[: view.image.shape[0], : view.image.shape[1]]
    points = np.stack([columns.ravel(), rows.ravel()], -1)
    back = apply_affine(view.frame_from_view, points)
    assert np.array_equal(back, view.image.reshape(-1, 3)[:, :2])
    assert view.quarter == quarter % 4


@given(st.integers(20, 90), st.integers(20, 90), st.integers(10, 60))
def test_shrunk_keeps_the_edges(height, width, side):
    view = shrunk(np.zeros((height, width, 3), np.uint8), side)
    assert max(view.image.shape[:2]) <= max(side, 1)
    h, w = view.image.shape[:2]
    corners = apply_affine(view.frame_from_view, np.array([[-0.5, -0.5], [w - 0.5, h - 0.5]]))
    assert np.allclose(corners, [[-0.5, -0.5], [width - 0.5, height - 0.5]])


def test_enlarged_up_to_a_limit():
    image = np.zeros((100, 200, 3), np.uint8)
    assert enlarged(image, 2.0, 1280).image.shape == (200, 400, 3)
    assert enlarged(image, 2.0, 300).image.shape == (150, 300, 3)
    assert enlarged(image, 2.0, 100).image.shape == (50, 100, 3)


@given(st.integers(30, 200), st.integers(30, 200), st.integers(16, 64))
def test_tiles_cover_the_frame(height, width, side):
    image = _gradient(height, width)
    seen = np.zeros((height, width), bool)
    for view in tiles(image, side):
        x, y = view.frame_from_view[:2, 2].astype(int)
        h, w = view.image.shape[:2]
        assert h <= side
        assert w <= side
        seen[y : y + h, x : x + w] = True
    assert seen.all()


def test_a_detection_keeps_its_head_through_every_view():
    # A head at (30, 20), eyes 10 px apart, upright in the frame; found in a view that shrinks and turns.
    image = np.zeros((120, 160, 3), np.uint8)
    for quarter in range(4):
        view = turned(shrunk(image, 80), quarter)
        forth = np.linalg.inv(view.frame_from_view)
        hint = apply_affine(forth, np.array([[25, 20], [35, 20], [30, 25], [26, 30], [34, 30.0]]))
        corners = apply_affine(forth, np.array([[20, 10], [40, 35.0]]))
        box = (*corners.min(0), *corners.max(0))
        back = in_frame(Detection(0, box, 0.9, 123.0, hint), view, 7)
        assert np.allclose(back.box_px, (20, 10, 40, 35))
        assert np.allclose(back.hint_px[:2], [[25, 20], [35, 20]], atol=1e-4)
        assert abs(back.roll_deg) < 1e-3
        assert back.frame_index == 7


def test_roll_without_hint_counts_the_quarters():
    view = turned(View(np.zeros((10, 10, 3), np.uint8), np.eye(3)), 1)
    assert in_frame(Detection(0, (1, 1, 2, 2), 0.9, 10.0), view, 0).roll_deg == -80.0


def test_look_tells_the_frame():
    def detector(images, *, score, long_side_px):
        assert (score, long_side_px) == (0.4, 640)
        return [[Detection(0, (0, 0, 4, 4), 0.5)] for _ in images]

    view = View(np.zeros((9, 9, 3), np.uint8), np.eye(3))
    found = look(detector, [view, view], [3, 8], 0.4, 640)
    assert [row[0].frame_index for row in found] == [3, 8]


def test_eight_bit():
    deep = np.array([[[0, 65535, 32768]]], np.uint16)
    assert eight_bit(deep).tolist() == [[[0, 255, 128]]]
    flat = np.zeros((1, 1, 3), np.uint8)
    assert eight_bit(flat) is flat
