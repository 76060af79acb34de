"""Resampling: matrix convention, borders, shrinking without aliasing; random maps against the original's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facewright.image import warp as w
from facewright.image.geometry import invert


def test_warp_is_the_forward_matrix():
    rng = np.random.default_rng(1)
    image = rng.random((40, 50, 3), np.float32)
    matrix = np.array([[1.1, 0.2, -3], [-0.2, 1.1, 5], [0, 0, 1.0]])
    assert np.array_equal(w.warp(image, matrix, 32), cv2.warpAffine(image, matrix[:2], (32, 32), flags=cv2.INTER_CUBIC))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("how", ["nearest", "linear", "cubic", "lanczos4", "area", "auto"])
def test_every_interpolation_keeps_dtype_and_axes(dtype, how):
    image = np.ones((20, 30, 1), dtype)
    for scale in (0.3, 1.5):
        out = w.warp(image, np.diag([scale, scale, 1.0]), (11, 7), how)
        assert out.shape == (7, 11, 1)
        assert out.dtype == dtype
    assert w.warp(image[..., 0], np.eye(3), 4).shape == (4, 4)


def test_borders():
    image = np.full((8, 8), 200, np.uint8)
    shift = np.array([[1, 0, 4], [0, 1, 0], [0, 0, 1.0]])
    assert w.warp(image, shift, 8, "linear")[0, 0] == 0
    assert w.warp(image, shift, 8, "linear", "replicate")[0, 0] == 200


@pytest.mark.parametrize("border", ["constant", "replicate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    ("scale", "angle_deg", "centre"), [(2.2, 7, (90, 70)), (1, -130, (10, 140)), (0.6, 30, (190, 9))]
)
def test_cubic_by_planes_is_opencvs(dtype, border, scale, angle_deg, centre):
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    image = (np.random.default_rng(3).random((150, 200, 3)) * top).astype(dtype)
    c, s = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    linear = np.array([[c, -s], [s, c]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, (110, 90) - linear @ centre
    how = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}[border]
    theirs = cv2.warpAffine(image, matrix[:2], (220, 180), flags=cv2.INTER_CUBIC, borderMode=how)
    ours = w.warp(image, matrix, (220, 180), "cubic", border, by_planes=True)
    assert ours.dtype == dtype
    assert ours.shape == (180, 220, 3)
    off = np.abs(ours.astype(np.float64) - theirs)
    assert off.max() <= (2e-6 if dtype is np.float32 else 1 if dtype is np.uint8 else 3)
    assert dtype is np.float32 or (off > 1).mean() < 1e-3


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.full((3, 3), np.nan)])
@pytest.mark.parametrize("size_px", [32, 256])
def test_a_matrix_that_is_none_shows_one_colour(matrix, size_px):
    image = np.full((40, 40, 3), 200, np.uint8)
    assert np.ptp(w.warp(image, matrix, size_px, by_planes=True)) == 0


def test_a_target_beside_its_source_is_black():
    image = np.full((40, 40, 3), 200, np.uint8)
    beside = np.array([[1.0, 0, 500], [0, 1, 0], [0, 0, 1]])
    assert not w.warp(image, beside, 128, by_planes=True).any()
    assert (w.warp(image, beside, 128, border="replicate", by_planes=True) == 200).all()


def test_strong_shrinking_does_not_alias():
    board = np.indices((256, 256)).sum(0) % 2 * 255
    matrix = np.diag([0.2, 0.2, 1.0])
    even = w.warp(board.astype(np.uint8), matrix, 51)
    averaged = w.warp(board.astype(np.uint8), matrix, 51, "auto")
    inner = averaged[3:-3, 3:-3].astype(float)
    assert inner.std() < 20
    assert even[3:-3, 3:-3].std() > 3 * inner.std()


@pytest.mark.parametrize("scale", [0.1, 0.3, 0.45])
def test_averaging_keeps_positions(scale):
    ramp = np.tile(np.arange(400, dtype=np.float32), (300, 1))
    c, s = np.cos(0.3) * scale, np.sin(0.3) * scale
    matrix = np.array([[c, -s, 5], [s, c, -8], [0, 0, 1.0]])
    size = 24
    got = w.warp(ramp, matrix, size, "area", "replicate")
    back = invert(matrix)
    ys, xs = np.mgrid[:size, :size]
    true_x = back[0, 0] * xs + back[0, 1] * ys + back[0, 2]
    true_y = back[1, 0] * xs + back[1, 1] * ys + back[1, 2]
    margin = 3 / scale
    inside = (true_x > margin) & (true_x < 399 - margin) & (true_y > margin) & (true_y < 299 - margin)
    assert inside.sum() > 20
    # OpenCV's cubic (a = -0.75) itself ripples on a ramp by 0.06 of the spacing of its input.
    assert np.abs(got - true_x)[inside].max() < 0.06 / scale
    assert abs((got - true_x)[inside].mean()) < 0.01 / scale


def test_resize_keeps_axes():
    assert w.resize(np.zeros((8, 8, 1), np.float32), 4).shape == (4, 4, 1)
    assert w.resize(np.zeros((8, 8, 3), np.float32), (6, 4), "auto").shape == (4, 6, 3)
