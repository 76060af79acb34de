from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facewright.training import recolour


@pytest.mark.parametrize("power", [0.05, 0.3])
def test_equals_the_original_s_shift(golden, power, parity):
    g = np.load(golden / "models" / "warp.npz")
    name = f"hsv_a{power}"
    hue, saturation, value = g[f"{name}_draws"].astype(np.float64)
    change = torch.tensor([[hue, (saturation - 0.5) * power, (value - 0.5) * power]], dtype=torch.float32)
    made = recolour.moved_hsv(torch.from_numpy(g["hsv_in"].transpose(2, 0, 1)[None]).float(), change)
    parity.near(f"warp.npz/{name}", made[0].permute(1, 2, 0), g[name], "HSV shift, on the device", atol=2e-5)


def test_no_shift_no_change():
    images = torch.rand(4, 3, 9, 7, generator=torch.Generator().manual_seed(1))
    images[0] = 0.5  # grey has no hue
    images[1] = 0.0
    np.testing.assert_allclose(recolour.moved_hsv(images, torch.zeros(4, 3)), images, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(-180, 180), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_as_the_library_shifts(seed, hue, saturation, value):
    image = np.random.default_rng(seed).uniform(0, 1, (6, 5, 3)).astype(np.float32)
    h, s, v = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    moved = cv2.merge([(h + np.float32(hue)) % 360, np.clip(s + saturation, 0, 1), np.clip(v + value, 0, 1)])
    wanted = cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_HSV2BGR)
    change = torch.tensor([[hue, saturation, value]])
    made = recolour.moved_hsv(torch.from_numpy(image.transpose(2, 0, 1)[None]), change)
    np.testing.assert_allclose(made[0].permute(1, 2, 0), wanted, atol=1e-4)


def test_draws_reach_the_whole_range_and_no_further():
    uniform = np.stack([np.array([0.0, 0.5, 0.5]), np.array([1 - 1e-12, 0.5, 0.5])])
    red = torch.zeros(2, 3, 1, 1)
    red[:, 2] = 1
    made = recolour.shift_hsv(red, uniform, 1 / 6)  # +-30 degrees: towards magenta, towards yellow
    np.testing.assert_allclose(made[:, :, 0, 0], [[0.5, 0, 1], [0, 0.5, 1]], atol=1e-6)


@pytest.mark.parametrize("mode", ["rct", "lct", "mkl", "sot", "idt"])
def test_a_source_face_takes_the_target_s_colours_and_keeps_its_masks(mode):
    rng = np.random.default_rng(2)
    crops = rng.integers(0, 120, (3, 5, 32, 32), np.uint8)
    like = rng.integers(140, 250, (3, 5, 24, 24), np.uint8)
    with ThreadPoolExecutor(2) as pool:
        made = recolour.transferred(crops, like, mode, 7, 11, pool)
        again = recolour.transferred(crops[:1], like[:1], mode, 7, 11, pool)
    assert np.array_equal(made[:1], again), "a slot depends on nobody else"
    assert np.array_equal(made[:, 3:], crops[:, 3:])
    # idt stops on the way: 20 rounds of a twentieth each.
    assert abs(made[:, :3].mean() - like[:, :3].mean()) < (60 if mode == "idt" else 12)
    assert made[:, :3].mean() > 120 > crops[:, :3].max()


def test_references_are_of_the_iteration_alone():
    a, b = recolour.references(3, 10, 8, 50), recolour.references(3, 11, 8, 50)
    assert np.array_equal(a, recolour.references(3, 10, 8, 50))
    assert not np.array_equal(a, b)
    assert a.min() >= 0
    assert a.max() < 50
