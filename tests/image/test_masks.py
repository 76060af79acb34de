"""Landmark masks bit for bit as the original draws them, and the maths done on masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.image import masks


@pytest.fixture(scope="module")
def g(golden):
    return np.load(golden / "data" / "masks.npz")


@pytest.mark.parametrize("side", [32, 48, 64])
def test_landmark_masks_match(g, side):
    for i, points in enumerate(g[f"lm{side}"]):
        for amount in (0.5, 1.0, 2.0):
            theirs = np.unpackbits(g[f"hull{side}_e{amount}"][i]).reshape(side, side)
            assert np.array_equal(masks.hull_mask(points, (side, side), amount), theirs)
        assert np.array_equal(masks.expand_eyebrows(points), g[f"expand{side}_e1.0"][i])
        assert np.abs(masks.eyes_mask(points, (side, side)) - g[f"eyes{side}"][i]).max() < 1e-6
        assert np.abs(masks.mouth_mask(points, (side, side)) - g[f"mouth{side}"][i]).max() < 1e-6


def test_hull_drawn_in_part_equals_the_part_of_the_whole(g):
    points = g["lm64"][0]
    whole = masks.hull_mask(points, (64, 64))
    assert np.array_equal(masks.hull_mask(points, (40, 30), origin_px=(11, 7)), whole[7:47, 11:41])


def test_wrong_number_of_points_is_a_bug():
    with pytest.raises(ValueError, match="68"):
        masks.hull_mask(np.zeros((5, 2)), (8, 8))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 15, 20, 31])
def test_ellipse_is_the_stated_one(size):
    r = c = size // 2
    expected = np.zeros((size, size), np.uint8)
    for i in range(size):
        dy = i - r
        if abs(dy) <= r:
            dx = round(c * np.sqrt((r * r - dy * dy) / max(r * r, 1)))
            expected[i, max(c - dx, 0) : min(c + dx + 1, size)] = 1
    assert np.array_equal(masks.ellipse(size), expected if size > 1 else np.ones((1, 1)))


def _random_mask(seed: int) -> np.ndarray:
    return cv2.GaussianBlur(np.random.default_rng(seed).random((40, 48), np.float32), (7, 7), 0)


@given(st.integers(0, 50), st.integers(1, 15))
def test_erode_shrinks_dilate_grows_and_they_are_dual(seed, size):
    mask = _random_mask(seed)
    assert (masks.erode(mask, size) <= mask).all()
    assert (masks.erode(mask, -size) >= mask).all()
    if size % 2:
        assert np.allclose(masks.erode(mask, size), 1 - masks.erode(1 - mask, -size), atol=1e-6)


def _padded_feather(mask, erode_px, blur_px, pad):
    """The original's way: pad, erode, zero frame, blur, cut."""
    big = cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    if erode_px:
        kernel = masks.ellipse(abs(erode_px))
        big = cv2.erode(big, kernel) if erode_px > 0 else cv2.dilate(big, kernel)
    rim = pad + blur_px // 2
    clean = np.zeros_like(big)
    if 2 * rim < min(big.shape):
        clean[rim:-rim, rim:-rim] = big[rim:-rim, rim:-rim]
    if blur_px:
        k = masks.odd(blur_px)
        clean = cv2.GaussianBlur(clean, (k, k), 0)
    return np.clip(clean[pad:-pad, pad:-pad], 0, 1)


@given(st.integers(0, 20), st.integers(-30, 30), st.integers(0, 60))
def test_feather_needs_no_padding(seed, erode_px, blur_px):
    mask = _random_mask(seed)
    assert np.allclose(
        masks.feather(mask, erode_px, blur_px), _padded_feather(mask, erode_px, blur_px, 40), atol=1e-6
    )


def test_feather_is_zero_at_the_edge():
    mask = masks.feather(np.ones((64, 64), np.float32), 0, 15)
    assert mask[0].max() < 0.02
    assert mask[32, 32] == 1


def test_combine_multiplies():
    a = np.full((2, 2), 0.5, np.float32)
    assert np.array_equal(masks.combine(a, a, np.ones_like(a)), a * a)


def test_lips_that_stand_out_belong_to_the_face_on_request():
    from facewright.faces.align import template_3d

    a = np.radians(45)
    turned = template_3d() @ np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]).T
    points = (turned[:, :2] - turned[:, :2].mean(0)) * 1.6 + 150
    plain, whole = (masks.hull_mask(points, (300, 300), lips=on) for on in (False, True))
    assert (whole >= plain).all()
    lips = points[48:60].astype(int)
    assert whole[lips[:, 1], lips[:, 0]].all()
    assert not plain[lips[:, 1], lips[:, 0]].all()
