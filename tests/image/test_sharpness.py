"""CPBD and the variance of the Laplacian equal the original's numbers."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.image import sharpness
from facewright.image.sharpness import cpbd, laplacian_variance


@pytest.fixture(scope="module")
def pictures(golden):
    with np.load(golden / "data" / "sort_pics.npz") as found:
        return dict(found), json.loads((golden / "data" / "sort.json").read_text())["pics"]


def test_cpbd_equals_the_original(pictures):
    arrays, numbers = pictures
    got = [cpbd(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)) for picture in arrays["pics"]]
    np.testing.assert_allclose(got, [numbers["cpbd"][f"p{i:02d}"] for i in range(24)], rtol=0, atol=1e-9)
    textures = [cpbd(texture) for texture in arrays["texture128"]]
    np.testing.assert_allclose(textures, numbers["cpbd_texture128"], rtol=0, atol=1e-9)


def test_laplacian_equals_the_original(pictures):
    arrays, numbers = pictures
    got = [laplacian_variance(picture) for picture in arrays["pics"]]
    wanted = [numbers["laplacian11_var"][f"p{i:02d}"] for i in range(24)]
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def textured(seed: int, shape: tuple[int, int], sigma: float) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)
    return np.clip((cv2.GaussianBlur(noise, (0, 0), sigma) - 127) * (1 + 2 * sigma) + 127, 0, 255).astype(np.uint8)


@given(
    seed=st.integers(0, 1 << 16), height=st.integers(64, 300), width=st.integers(64, 300), sigma=st.floats(0.6, 3),
    x0=st.floats(0, 0.9), y0=st.floats(0, 0.9), size=st.floats(0.1, 0.9),
)
def test_looking_at_the_lit_part_alone_changes_nothing(seed, height, width, sigma, x0, y0, size):
    grey = textured(seed, (height, width), sigma)
    inside = np.zeros_like(grey)
    centre, axes = (int(x0 * width), int(y0 * height)), (int(size * width / 2) + 2, int(size * height / 2) + 2)
    cv2.ellipse(inside, centre, axes, 20, 0, 360, 1, -1)
    part = cpbd(grey * inside)
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr(sharpness, "_lit", lambda picture: picture)
        assert part == cpbd(grey * inside)
    colour = np.repeat((grey * inside)[..., None], 3, -1)
    found = cv2.Laplacian(colour, cv2.CV_64F, ksize=11).var()
    assert laplacian_variance(colour) == pytest.approx(found, rel=1e-9)
    assert laplacian_variance(grey) == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F, ksize=11).var(), rel=1e-9)


@given(seed=st.integers(0, 1 << 16), sigma=st.floats(0.6, 12), dim=st.floats(0.003, 1))
def test_blocks_are_busy_as_the_whole_method_finds(seed, sigma, dim):
    """Also where edges are so faint that it matters whether they hang together with stronger ones."""
    grey = (textured(seed, (150, 200), sigma) * dim).astype(np.uint8)
    grey[:, :70] = 8 * dim
    down, right = sharpness._slopes(sharpness._smoothed(grey))
    strength = cv2.magnitude(right, down)
    strength[[0, -1]] = strength[:, [0, -1]] = 0
    whole = sharpness._enough(sharpness._canny(strength, down, right), 2, 3)
    assert np.array_equal(sharpness._busy(grey, 2, 3), whole)


@given(seed=st.integers(0, 1 << 16))
def test_a_blurred_picture_is_less_sharp(seed):
    sharp, soft = (cpbd(textured(seed, (128, 128), sigma)) for sigma in (0.7, 2.0))
    assert 0 <= soft < sharp <= 1


def test_black_and_small_pictures_have_no_edges():
    assert cpbd(np.zeros((128, 128), np.uint8)) == 0
    assert cpbd(np.full((128, 128), 200, np.uint8)) == 0
    assert cpbd(textured(0, (63, 200), 1)) == 0
