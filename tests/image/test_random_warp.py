"""The random warp and colour draws of training, equal to the original's for the same seeds."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest

from facewright.image import warp as w

PI = 6.283185307179586 / 2
MAPS, MATRICES = "warp maps, px", "affine matrices"
SEEDS = [0, 1, 2, 12345, 2147483646]
IMAGE_TOLERANCE = 0.005
"""Goldens of OpenCV 4.10, clipped as the sample pipeline does; see their README, note W."""


@pytest.fixture(scope="module")
def g(golden):
    return np.load(golden / "models" / "warp.npz")


def _image(side: int) -> np.ndarray:
    p = (crc32(b"warp") % 1000) / 1000 * 2 * PI
    y, x, c = np.mgrid[:side, :side, :3].astype(np.float64)
    wave = 0.25 * np.sin(0.11 * x * (1 + 0.3 * c) + 0.07 * y + p)
    return (0.5 + wave + 0.25 * np.sin(0.23 * y * (1 + 0.2 * c) - 0.05 * x + 2 * p)).astype(np.float32)


def _mask(side: int) -> np.ndarray:
    p = (crc32(b"warp") % 1000) / 1000
    cx, cy = side * (0.5 + 0.05 * np.sin(2 * PI * p)), side * (0.5 + 0.05 * np.cos(2 * PI * p))
    y, x = np.mgrid[:side, :side].astype(np.float64)
    d = np.sqrt(((x - cx) / (0.32 * side)) ** 2 + ((y - cy) / (0.40 * side)) ** 2)
    return np.clip((1.15 - d) / 0.3, 0, 1).astype(np.float32)[..., None]


@pytest.mark.parametrize("seed", SEEDS)
def test_draws_maps_and_pictures(g, seed, parity):
    draw = w.draw_affine(np.random.RandomState(seed), w.AffineLimits(), flip_allowed=True)
    *wanted, flip = g[f"s{seed}_affine_draws"]
    drawn = [draw.rotation_deg, draw.scale, draw.shift_x_01, draw.shift_y_01]
    parity.same(f"warp.npz/s{seed}_affine_draws", drawn, wanted, "affine draws")
    assert draw.flip == (flip < 4)
    parity.same(f"warp.npz/s{seed}_flip", draw.flip, bool(g[f"s{seed}_flip"]), "affine draws")
    parity.near(f"warp.npz/s{seed}_rmat", draw.matrix(64)[:2], g[f"s{seed}_rmat"], MATRICES, atol=1e-9)
    maps = w.random_warp_maps(np.random.RandomState(seed), 64)
    for have, key in zip(maps, (f"s{seed}_mapx", f"s{seed}_mapy")):
        parity.near(f"warp.npz/{key}", have[::3, ::3], g[key], MAPS, atol=1e-5)
    image, mask = _image(64), _mask(64)
    pictures = {
        "img_warp_affine_flip": w.warp_randomly(image, maps, draw),
        "img_affine_flip": w.warp_randomly(image, None, draw),
        "img_warp_only": w.warp_randomly(image, maps, None),
        "mask_affine_flip": w.warp_randomly(mask, None, draw, interpolation="linear", border="constant"),
    }
    for name, ours in pictures.items():
        if f"s{seed}_{name}" in g.files:
            key, have = f"s{seed}_{name}", np.clip(ours[::3, ::3], 0, 1)
            parity.near(f"warp.npz/{key}", have, g[key], "pictures and masks of two samplings", atol=IMAGE_TOLERANCE)


@pytest.mark.parametrize("side", [96, 128, 160, 224])
def test_larger_sides(g, side, parity):
    maps = w.random_warp_maps(np.random.RandomState(7), side)
    step = side // 16
    for ours, axis in zip(maps, "xy"):
        key, have = f"w{side}_map{axis}", ours[::step, ::step][:16, :16]
        parity.near(f"warp.npz/{key}", have, g[key], MAPS, atol=1e-5, rtol=1.2e-7)  # one float32 step
    # The original's warp function defaults to half or twice the size; its trainers ask for less.
    wide = w.AffineLimits(scale_low=-0.5, scale_high=0.5)
    draw = w.draw_affine(np.random.RandomState(7), wide, flip_allowed=False)
    parity.near(f"warp.npz/w{side}_rmat", draw.matrix(side)[:2], g[f"w{side}_rmat"], MATRICES, atol=1e-9)
    assert not draw.flip


@pytest.mark.parametrize("amount", [0.05, 0.3])
def test_hsv(g, amount, parity):
    ours = w.shift_hsv(np.ascontiguousarray(g["hsv_in"][..., ::-1]), np.random.RandomState(5), amount)
    parity.near(f"warp.npz/hsv_a{amount}", ours[..., ::-1], g[f"hsv_a{amount}"], "HSV shift", atol=1e-5)


def test_generators_of_the_new_kind_work_and_repeat():
    for _ in range(2):
        rng = np.random.Generator(np.random.Philox(key=3))
        maps = w.random_warp_maps(rng, 80)
        assert maps[0].shape == (80, 80)
        still = w.AffineLimits(rotation_deg=0, scale_low=0, scale_high=0, shift_01=0)
        draw = w.draw_affine(rng, still, flip_allowed=True)
        assert draw.scale == 1
        out = w.shift_hsv(_image(8), rng, 0.2)
        assert out.min() >= 0
        assert out.max() <= 1


def test_small_pictures_are_warped_at_64():
    maps = w.random_warp_maps(np.random.RandomState(0), 64)
    assert w.warp_randomly(_image(32), maps, None).shape == (32, 32, 3)
