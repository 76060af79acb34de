"""XSeg's disturbances against numbers of the original (tests/golden/models/warp.npz), and what the chain keeps."""

from __future__ import annotations

import numpy as np
import pytest
from tests import closed_form as cf

from facewright.training import xseg_augment as xa
from facewright.training.xseg_augment import Labelled

EFFECTS = {
    "hsvshift_xseg": xa.shift_hsv, "rgblevels": xa.shift_levels,
    "sharpen": lambda image, rng: xa.sharpened(image, rng, chance=100),
    "motion": lambda image, rng: xa.motion_blurred(image, rng, chance=100),
    "gauss": lambda image, rng: xa.blurred(image, rng, chance=100),
    "nearest": lambda image, rng: xa.coarser(image, rng, nearest=True, chance=100),
    "bilin": lambda image, rng: xa.coarser(image, rng, nearest=False, chance=100),
    "circle": lambda image, rng: xa.circle(len(image), rng)[..., None],
}


@pytest.fixture(scope="module")
def g(golden):
    return np.load(golden / "models/warp.npz", allow_pickle=False)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("effect", EFFECTS)
def test_effect_equals_the_original(effect, seed, g, parity):
    have = EFFECTS[effect](g["hsv_in"], np.random.RandomState(seed))
    assert have.dtype == np.float32
    key = f"{effect}_s{seed}"
    parity.near(f"warp.npz/{key}", have, g[key], "effects of XSeg's augmentation", atol=1e-5)


def labelled(tag: str, side: int = 256) -> Labelled:
    mask = (cf.mask(1, side, side, f"m{tag}")[0, ..., 0] >= 0.5).astype(np.float32)
    return Labelled(cf.img(1, side, side, 3, tag)[0], mask)


FACE, OTHER = labelled("one"), labelled("two")


@pytest.mark.parametrize("seed", range(12))
def test_chain_gives_a_face_and_a_mask(seed):
    made = xa.augmented(FACE, OTHER if seed % 3 else None, np.random.Generator(np.random.Philox(seed)))
    assert made.image.shape == (256, 256, 3)
    assert made.image.dtype == made.mask.dtype == np.float32
    assert np.isfinite(made.image).all()
    assert 0 <= made.image.min() <= made.image.max() <= 1
    assert set(np.unique(made.mask)) == {0.0, 1.0}
    assert 0.5 < made.mask.mean() / FACE.mask.mean() < 1.5


def test_same_generator_same_sample_and_inputs_are_left_alone():
    before = FACE.image.copy()
    first, second = (xa.augmented(FACE, OTHER, np.random.Generator(np.random.Philox(5))) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.mask, second.mask)
    np.testing.assert_array_equal(FACE.image, before)
    assert not np.array_equal(first.image, xa.augmented(FACE, OTHER, np.random.Generator(np.random.Philox(6))).image)


def test_face_and_mask_move_together():
    plain = Labelled(np.repeat(FACE.mask[..., None], 3, 2), FACE.mask)
    for seed in range(6):
        moved = xa.bent(plain, np.random.Generator(np.random.Philox(seed)))
        # Borders differ: the picture's edge is repeated, the mask ends there.
        assert np.abs((moved.image[..., 0] >= 0.5) - moved.mask)[8:-8, 8:-8].mean() < 0.005


def test_a_face_keeps_its_pixels_before_another_background():
    behind = xa.background(OTHER, np.random.Generator(np.random.Philox(3)))
    made = xa.over_background(FACE, behind, 0.15)
    inside = FACE.mask == 1
    np.testing.assert_array_equal(made.image[inside], FACE.image[inside])
    their_face = (behind.mask == 1) & ~inside
    np.testing.assert_allclose(made.image[their_face], FACE.image[their_face], atol=1e-6)
    around = (behind.mask == 0) & ~inside
    wanted = 0.15 * FACE.image[around] + 0.85 * behind.image[around]
    np.testing.assert_allclose(made.image[around], wanted, atol=1e-6)


def test_a_flare_only_brightens():
    spilt = xa.flare(FACE.image, FACE.mask, 101) - FACE.image
    assert spilt.min() >= -1e-6
    assert spilt[FACE.mask == 1].mean() > 5 * spilt[:20, :20].mean()
    np.testing.assert_array_equal(xa.flare(FACE.image, FACE.mask, 100), xa.flare(FACE.image, FACE.mask, 101))


@pytest.mark.parametrize("effect", [xa.sharpened, xa.motion_blurred, xa.blurred, xa.compressed])
def test_effects_come_as_often_as_they_say(effect):
    small = cf.img(1, 24, 24, 3, "small")[0]
    rng = np.random.Generator(np.random.Philox(0))
    seen = sum(effect(small, rng) is not small for _ in range(800)) / 800
    assert abs(seen - 0.25) < 0.05
