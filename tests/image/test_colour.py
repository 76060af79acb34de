"""Colour transfers: one suite for every registered one, then the original's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from facewright.image import colour
from facewright.image.colour import COLOUR


@pytest.fixture(scope="module")
def g(golden):
    found = np.load(golden / "data" / "color_transfer.npz")
    # Goldens are BGR, the house is RGB.
    return {k: found[k][..., ::-1].copy() if found[k].shape == (48, 48, 3) else found[k] for k in found.files}


def _pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.random((24, 24, 3), np.float32)
    return a, (a * [0.5, 0.8, 0.6] + [0.3, 0.1, 0.2]).astype(np.float32)


def _call(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    mask = np.ones(a.shape[:2], np.float32)
    return COLOUR.load(name)(a, b, mask=mask, reference_mask=mask, rng=np.random.default_rng(7))


@pytest.mark.parametrize("name", COLOUR.names())
class TestEveryTransfer:
    def test_a_picture_given_its_own_colours_stays(self, name):
        a, _ = _pair()
        # idt's bins round; mix leaves the gamut of 8-bit Lab on saturated noise; the rest is exact maths.
        tolerance = {"idt": 0.01, "idt-m": 0.01, "mix-m": 0.05}.get(name, 1e-3)
        assert np.abs(_call(name, a, a.copy()) - a).mean() < tolerance

    def test_range_shape_and_type(self, name):
        out = _call(name, *_pair())
        assert out.shape == (24, 24, 3)
        assert out.dtype == np.float32
        assert out.min() >= -1e-3
        assert out.max() <= 1 + 1e-3

    def test_constant_pictures_give_finite_colours(self, name):
        a = np.full((16, 16, 3), 0.3, np.float32)
        assert np.isfinite(_call(name, a, np.full_like(a, 0.6))).all()

    def test_inputs_are_left_alone_and_same_seed_same_result(self, name):
        a, b = _pair()
        before = a.copy(), b.copy()
        first, second = _call(name, a, b), _call(name, a, b)
        assert np.array_equal(first, second)
        assert np.array_equal(a, before[0])
        assert np.array_equal(b, before[1])

    def test_moves_towards_the_reference(self, name):
        a, b = _pair()
        moved = _call(name, a, b)
        if name != "none":
            assert np.abs(moved.mean((0, 1)) - b.mean((0, 1))).sum() < np.abs(a.mean((0, 1)) - b.mean((0, 1))).sum()

    def test_states_what_it_is(self, name):
        assert COLOUR.plug(name).help
        assert COLOUR.plug(name).licence


def test_lab_statistics_match(g):
    t, s, area, mask = g["target"], g["source"], g["area"][..., 0], g["mask"][..., 0]
    assert np.abs(colour.rct(t, s) - g["rct"]).max() < 2e-6
    assert np.abs(colour.rct(t, s, mask=area, reference_mask=area) - g["rct_mask"]).max() < 2e-6
    assert np.abs(colour.rct(t, s, mask=mask, reference_mask=mask) - g["rct_softmask"]).max() < 2e-6


def test_linear_transfers_match(g):
    t, s, area = g["target"], g["source"], g["area"]
    for root, name in (("pca", "lct"), ("chol", "lct_chol"), ("sym", "lct_sym")):
        if root == "chol":  # a triangular root depends on the order of the channels
            ours = colour.lct(t[..., ::-1], s[..., ::-1], root=root)[..., ::-1]
        else:
            ours = colour.lct(t, s, root=root)
        assert np.abs(ours - g[name]).max() < 2e-6
    assert np.abs(colour.mkl(t, s) - g["mkl"]).max() < 2e-6
    assert np.abs(colour.mkl(t * area, s * area) - g["mkl_m"]).max() < 2e-6


def test_hist_match(g):
    t, s, area = g["target"], g["source"], g["area"]
    for h in (255, 238, 128):
        assert np.abs(colour.hist_match(t, s, h) - g[f"hist_{h}"]).max() < 2e-6
    white = np.minimum(1, t * area + (1 - area)), s * area + (1 - area)
    assert np.abs(colour.hist_match(*white, 238) - g["hist_masked_238"]).max() < 2e-6


RNG = np.random.default_rng(0)
"""Not drawn from: the original's draws are given."""


def test_idt_with_its_rotations(g):
    gap = np.abs(colour.idt(g["target"], g["source"], rng=RNG, rotations=g["idt_rotations"]) - g["idt"])
    assert gap.mean() < 1e-4
    assert gap.max() < 1e-2


def test_sot_with_its_directions(g):
    t, s, area = g["target"], g["source"], g["area"]
    for smooth, name in ((True, "sot_10x5"), (False, "sot_10x5_noreg")):
        gap = np.abs(colour.sot(t, s, rng=RNG, directions=g["sot_dirs_10x5"], smooth=smooth) - g[name])
        assert gap.mean() < 1e-4
        assert gap.max() < 1e-3
    gap = np.abs(colour.sot_merge(t * area, s * area, rng=RNG, directions=g["sot_dirs_10x30"]) - g["sot_m_10x30"])
    assert gap.mean() < 3e-4, "black pixels tie, and ties sort as the machine likes"


def test_mix_with_its_directions(g):
    t, s, area = g["target"], g["source"], g["area"]
    assert np.abs(colour.mix(t * area, s * area, rng=RNG, directions=g["sot_dirs_10x5"]) - g["mix_m"]).mean() < 1e-2


def test_rct_masked_ignores_what_lies_outside():
    a, b = _pair()
    mask = np.zeros((24, 24), np.float32)
    mask[4:20, 4:20] = 1
    other = b.copy()
    other[mask == 0] = 1
    inside = colour.rct_masked(a, b, mask=mask, reference_mask=mask)
    assert np.array_equal(inside, colour.rct_masked(a, other, mask=mask, reference_mask=mask))
    assert not np.array_equal(colour.rct(a, b, mask=mask, reference_mask=mask), inside)
