"""Merge filters against the original's numbers and their own invariants."""

from __future__ import annotations

import numpy as np
import pytest

from facewright.image import filters


@pytest.fixture(scope="module")
def g(golden):
    found = np.load(golden / "data" / "merge_filters.npz")
    return {k: found[k][..., ::-1].copy() for k in found.files}


def test_motion_blur(g):
    assert np.abs(filters.motion_blur(g["input"], 5, 30) - g["lmb_5_30"]).max() < 1e-3
    assert np.abs(filters.motion_blur(g["input"], 8, -75) - g["lmb_8_m75"]).max() < 1e-3


@pytest.mark.parametrize(("name", "amount", "mode"), [("box_50", 50, "box"), ("gauss_50", 50, "gaussian")])
def test_sharpen(g, name, amount, mode):
    np.testing.assert_allclose(filters.blur_sharpen(g["input"], amount, mode), g[name], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("amount", [25, 5])
def test_negative_amounts_blur(g, amount):
    assert np.abs(filters.blur_sharpen(g["input"], -amount, "none") - g[f"neg_{amount}"]).max() < 1e-5


def test_reduced_colours(g, golden):
    frame = np.load(golden / "data" / "merge_inputs.npz")["frame"][..., ::-1].astype(np.float32) / 255
    ours = filters.reduce_colours(frame)
    assert np.abs(ours - g["reduce256"]).mean() < 1e-2
    assert len(np.unique(ours.reshape(-1, 3), axis=0)) <= 256


def test_zero_amounts_change_nothing(g):
    image = g["input"]
    assert np.array_equal(filters.blur_sharpen(image, 0, "box"), image)
    assert np.array_equal(filters.blur_sharpen(image, 20, "none"), image)
    assert np.array_equal(filters.denoise(image, 0), image)
    assert np.array_equal(filters.degrade(image, 0), image)
    assert filters.motion_blur_px(14, 5) == 0
    assert filters.motion_blur_px(14, 50) == 8
    assert filters.motion_blur_px(1e6, 100) == 50


@pytest.mark.parametrize("run", [lambda x: filters.motion_blur(x, 7, 40), lambda x: filters.denoise(x, 150),
                                 lambda x: filters.degrade(x, 60), lambda x: filters.blur_sharpen(x, 3, "box")])
def test_flat_pictures_stay_flat(run):
    flat = np.full((32, 32, 3), 0.4, np.float32)
    assert np.abs(run(flat) - 0.4).max() < 1e-5
