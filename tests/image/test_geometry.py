"""Affine algebra and boxes: round trips, known values, degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.errors import Mismatch
from facewright.image import geometry as geo

finite = st.floats(-50, 50)


@given(st.floats(-3, 3), st.floats(0.1, 10), finite, finite, st.integers(2, 3))
def test_umeyama_finds_a_known_similarity(angle, scale, dx, dy, dimensions):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(20, dimensions))
    true = np.eye(dimensions + 1)
    c, s = np.cos(angle), np.sin(angle)
    true[:2, :2] = [[c, -s], [s, c]]
    true[:-1, :-1] *= scale
    true[0, -1], true[1, -1] = dx, dy
    moved = points @ true[:-1, :-1].T + true[:-1, -1]
    assert np.allclose(geo.umeyama(points, moved), true, atol=1e-9)


def test_umeyama_never_mirrors_and_says_nan_for_a_point():
    points = np.array([[0.0, 0], [1, 0], [0, 2], [3, 1]])
    assert np.linalg.det(geo.umeyama(points, points * [-1, 1])[:2, :2]) > 0
    assert np.isnan(geo.umeyama(np.ones((5, 2)), points[[0, 1, 2, 3, 0]])).any()


def test_umeyama_of_points_on_a_line_is_finite():
    line = np.outer(np.arange(4.0), [1, 2])
    fitted = geo.umeyama(line, line * 2 + 1)
    assert np.allclose(geo.apply_affine(fitted, line), line * 2 + 1)


def test_umeyama_batch_equals_single():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 10, 2))
    assert np.allclose(geo.umeyama(a, b)[4], geo.umeyama(a[4], b[4]), atol=1e-12)


@given(finite, finite, st.floats(0.2, 5))
def test_invert_undoes(dx, dy, scale):
    matrix = geo.translation(dx, dy) @ geo.scaling(scale)
    points = np.array([[1.0, 2], [-3, 4]])
    assert np.allclose(geo.apply_affine(geo.invert(matrix), geo.apply_affine(matrix, points)), points, atol=1e-8)
    assert geo.scale_of(matrix) == pytest.approx(scale)


def test_invert_refuses_singular_and_nan():
    for bad in (np.zeros((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(Mismatch):
            geo.invert(bad)


def test_affine_from_triples():
    source = np.array([[0.0, 0], [1, 0], [0, 1]])
    target = np.array([[5.0, 5], [7, 6], [4, 9]])
    assert np.allclose(geo.apply_affine(geo.affine_from_triples(source, target), source), target)


def test_polygon_area_and_boxes():
    assert geo.polygon_area(geo.square_corners(5)) == 16
    assert geo.bounding_box(geo.square_corners(5)) == (0, 0, 4, 4)
    assert geo.iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert geo.iou((0, 0, 1, 1), (2, 2, 3, 3)) == 0
    boxes = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [9, 9, 9, 9]])
    matrix = geo.iou_matrix(boxes, boxes)
    assert matrix[0, 1] == pytest.approx(1 / 3)
    assert matrix[2, 2] == 0
    assert geo.pixel_box(np.array([[-3.0, 2], [4.2, 5]]), (10, 10), 1) == (0, 1, 7, 7)
    assert geo.pixel_box(np.array([[-30.0, 2], [-20, 5]]), (10, 10)) == (0, 0, 0, 0)
