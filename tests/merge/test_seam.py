"""The tone that is carried in from the border: what it must undo, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facewright.merge.seam import log_tone, toned

H, W = 120, 90


def oval(height: int = H, width: int = W, soft_px: float = 6.0) -> np.ndarray:
    """A soft-edged mask of a face's shape."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    far = np.hypot((x - width / 2) / (0.38 * width), (y - height / 2) / (0.40 * height))
    return np.clip((1 - far) * 0.38 * width / soft_px + 0.5, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def plate():
    return np.random.default_rng(3).uniform(0.3, 0.6, (H, W, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def edge():
    alpha = oval()
    return (alpha > 0.3) & (alpha < 0.9)


def test_another_light_is_taken_over_at_the_border_and_left_to_the_colour_transfer_inside(plate, edge):
    cast = np.float32([1.2, 1.0, 0.85])
    made = toned(plate / cast, plate, oval())
    assert np.abs(made - plate)[edge].mean() < 0.25 * np.abs(plate / cast - plate)[edge].mean()
    middle = np.s_[H // 2 - 5 : H // 2 + 5, W // 2 - 5 : W // 2 + 5]
    assert np.abs(made - plate / cast)[middle].max() < 0.01


def test_a_light_from_one_side_is_taken_over(plate, edge):
    slope = np.exp(np.linspace(-0.2, 0.2, W, dtype=np.float32))[None, :, None]
    before, after = np.abs(plate / slope - plate)[edge], np.abs(toned(plate / slope, plate, oval()) - plate)[edge]
    assert after.mean() < 0.3 * before.mean()


def test_a_share_takes_a_share(plate, edge):
    dark, alpha = plate * 0.8, oval()
    whole, half = (np.log((toned(dark, plate, alpha, s) + 0.05) / (dark + 0.05)) for s in (1.0, 0.5))
    np.testing.assert_allclose(half, whole / 2, atol=1e-5)
    assert whole[edge].mean() > 0.1


def test_dark_features_keep_their_contrast(plate):
    """A brow on the border: what is dark stays as much darker than the skin as it was."""
    brow = plate * 0.9
    brow[20:26, 30:60] *= 0.3
    made = toned(brow, plate * 0.7, oval())
    assert (made >= 0).all()
    ratio = made[21:25, 35:55].mean() / made[30:34, 35:55].mean()
    assert 0.2 < ratio < 0.45


def test_the_face_keeps_its_own_detail(plate):
    face = plate.copy()
    face[50:70, 35:55] += 0.2  # a feature far from the border
    assert np.abs(log_tone(face, plate, oval())).max() < 1e-5


def test_a_strand_of_hair_on_the_border_does_not_stain_the_face(plate):
    under = plate.copy()
    under[:40, 38:52] = 0.02
    field = log_tone(plate, under, oval())
    whole = np.log((plate + 0.05) / (0.02 + 0.05)).mean()
    assert np.abs(field[H // 2, W // 2]).max() < 0.02 * whole
    assert np.abs(field).max() < 0.35 * whole, "even beside it a third of the difference at most"


@pytest.mark.parametrize("alpha", [np.zeros((H, W), np.float32), np.ones((H, W), np.float32)])
def test_no_edge_no_correction(plate, alpha):
    assert toned(plate, plate + 0.3, alpha) is plate


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(4, 40), st.integers(4, 40)), elements=st.floats(0, 1, width=32)))
def test_any_mask_gives_finite_bounded_corrections(alpha):
    rng = np.random.default_rng(1)
    face, under = (rng.uniform(0, 1, (*alpha.shape, 3)).astype(np.float32) for _ in range(2))
    field = log_tone(face, under, alpha)
    if field is not None:
        assert field.shape == face.shape
        assert np.isfinite(field).all()
        assert np.abs(field).max() <= np.log(1.05 / 0.05) + 1e-4


def test_the_correction_is_smooth(plate):
    field = log_tone(plate * 0.8, plate, oval())
    assert np.abs(np.diff(field, axis=0)).max() < 0.03
    assert np.abs(np.diff(field, axis=1)).max() < 0.03
