from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facewright.training import augment
from facewright.training.augment import Geometry, Grids

SEEDS = (0, 1, 2, 12345, 2147483646)


def picture(side: int, channels: int, tag: str) -> np.ndarray:
    """The goldens' closed-form img(1, side, side, channels, tag)."""
    p = (zlib.crc32(tag.encode()) % 1000) / 1000 * 2 * np.pi
    y, x, c = np.mgrid[:side, :side, :channels]
    value = 0.5 + 0.25 * np.sin(0.11 * x * (1 + 0.3 * c) + 0.07 * y + p)
    return (value + 0.25 * np.sin(0.23 * y * (1 + 0.2 * c) - 0.05 * x + 2 * p)).astype(np.float32)


def ellipse(side: int, tag: str) -> np.ndarray:
    """The goldens' closed-form mask(1, side, side, tag)."""
    p = (zlib.crc32(tag.encode()) % 1000) / 1000
    y, x = np.mgrid[:side, :side]
    cx, cy = side * (0.5 + 0.05 * np.sin(2 * np.pi * p)), side * (0.5 + 0.05 * np.cos(2 * np.pi * p))
    d = np.sqrt(((x - cx) / (0.32 * side)) ** 2 + ((y - cy) / (0.40 * side)) ** 2)
    return np.clip((1.15 - d) / 0.3, 0, 1).astype(np.float32)


def nchw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.reshape(*image.shape[:2], -1).transpose(2, 0, 1)[None].copy())


def golden_geometry(g: np.lib.npyio.NpzFile, seed: int, *, warp: bool = True, affine: bool = True) -> Geometry:
    side = 64
    rotation, scale, tx, ty, _ = g[f"s{seed}_affine_draws"]
    matrix = augment.forward_affine(side, *(np.array([v]) for v in (rotation, scale, tx, ty)))
    flips = np.array([bool(g[f"s{seed}_flip"])])
    if not affine:
        matrix, flips = np.eye(3)[None], np.array([False])
    cell, nodes = g[f"s{seed}_cell"]
    inner = int(nodes) - 2
    noise = np.zeros((1, 2, augment.NODES - 2, augment.NODES - 2))
    if warp:
        noise[0, 0, :inner, :inner], noise[0, 1, :inner, :inner] = g[f"s{seed}_normal1"], g[f"s{seed}_normal2"]
    index = np.array([augment.CELLS.index(side // int(cell))])
    return Geometry(
        augment.backward_affine(matrix, flips, side), augment.warp_nodes(noise, index, side, 1.0, False),
        np.array([cell], np.float32),
    )


@pytest.fixture(scope="module")
def g(golden: Path) -> np.lib.npyio.NpzFile:
    return np.load(golden / "models" / "warp.npz", allow_pickle=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_affine_matrix_equals_the_original(g, seed, parity):
    rotation, scale, tx, ty, _ = g[f"s{seed}_affine_draws"]
    ours = augment.forward_affine(64, *(np.array([v]) for v in (rotation, scale, tx, ty)))[0, :2]
    parity.near(f"warp.npz/s{seed}_rmat", ours, g[f"s{seed}_rmat"], "affine matrices", atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_warp_map_equals_the_original(g, seed, parity):
    grids = augment.grids(golden_geometry(g, seed, affine=False), 64, torch.device("cpu"), bend=True, half_pixel=True)
    for axis, key in enumerate((f"s{seed}_mapx", f"s{seed}_mapy")):
        have, what = grids.input[0, ::3, ::3, axis], "warp maps, px, on the device"
        parity.near(f"warp.npz/{key}", have, g[key], what, atol=2e-4)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_step_agrees_with_two_steps(g, seed, mode, parity):
    """Within 0.025 (architecture.md), apart from the rim, where the original mixes in black (quirks Q17, Q26)."""
    grids = augment.grids(golden_geometry(g, seed), 64, torch.device("cpu"), bend=True, half_pixel=True)
    image = nchw(picture(64, 3, "warp"))
    bent = augment.sample(image, grids.input, mode=mode).clamp(0, 1)[0].permute(1, 2, 0).numpy()[::3, ::3]
    target = augment.sample(image, grids.target, mode=mode).clamp(0, 1)[0].permute(1, 2, 0).numpy()[::3, ::3]
    both = torch.cat([grids.input, grids.target], -1)[0, ::3, ::3]
    # The black border of the original reaches two pixels in.
    away = ((both.amin(-1) > 2) & (both.amax(-1) < 61)).numpy()
    assert away.mean() > 0.6
    what = "pictures of one sampling against two"
    bent, wanted = bent[away], g[f"s{seed}_img_warp_affine_flip"][away]
    parity.near(f"warp.npz/s{seed}_img_warp_affine_flip", bent, wanted, what, atol=0.025)
    parity.near(f"warp.npz/s{seed}_img_affine_flip", target, g[f"s{seed}_img_affine_flip"], what, atol=0.025)


def test_mask_agrees_with_the_original(g, parity):
    for seed in SEEDS:
        if f"s{seed}_mask_affine_flip" not in g:
            continue
        grids = augment.grids(golden_geometry(g, seed), 64, torch.device("cpu"), bend=False)
        ours = augment.sample(nchw(ellipse(64, "warp")), grids.target) * grids.inside
        theirs, place = g[f"s{seed}_mask_affine_flip"][..., 0], f"warp.npz/s{seed}_mask_affine_flip"
        parity.near(place, ours[0, 0, ::3, ::3], theirs, "masks of one sampling against two", atol=0.01)


def identity(side: int, batch: int = 1) -> Geometry:
    eye = np.tile(np.eye(3)[None, :2], (batch, 1, 1))
    nodes = np.zeros((batch, 2, augment.NODES, augment.NODES), np.float32)
    return Geometry(eye, nodes, np.full(batch, side / 8, np.float32))


def test_nothing_asked_nothing_changed():
    crops = torch.rand(2, 5, 64, 64)
    for bend in (False, True):
        grids = augment.grids(identity(64, 2), 64, torch.device("cpu"), bend=bend)
        torch.testing.assert_close(augment.sample(crops, grids.target), crops, atol=1e-5, rtol=0)
        torch.testing.assert_close(augment.sample(crops, grids.input), crops, atol=1e-5, rtol=0)
        assert grids.inside.min() == 1


def test_larger_crops_share_the_edge_not_the_centres():
    """A ramp in a 128 px crop must read as the same ramp at 64 px: x64 = x128 / 2 (alignment convention)."""
    ramp = torch.arange(128, dtype=torch.float32).view(1, 1, 1, 128).expand(1, 1, 128, 128).contiguous()
    grids = augment.grids(identity(64), 64, torch.device("cpu"), bend=False)
    expected = torch.arange(64, dtype=torch.float32) * 2
    torch.testing.assert_close(augment.sample(ramp, grids.target)[0, 0, 5], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("flip", [False, True])
def test_affine_and_mirror_equal_opencv(flip):
    matrix = augment.forward_affine(64, *(np.array([v]) for v in (7.0, 1.1, 0.03, -0.02)))
    still = identity(64)
    geometry = Geometry(augment.backward_affine(matrix, np.array([flip]), 64), still.nodes_px, still.cell_px)
    grids = augment.grids(geometry, 64, torch.device("cpu"), bend=False)
    image = picture(64, 3, "other")
    theirs = cv2.warpAffine(image, matrix[0, :2], (64, 64), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    theirs = theirs[:, ::-1] if flip else theirs
    ours = augment.sample(nchw(image), grids.target)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() <= 0.01


def test_both_kinds_of_warp_bend_equally_far():
    rng = np.random.default_rng(0)
    noise = np.clip(rng.standard_normal((4000, 2, 7, 7)), -2.5, 2.5) / 2.5
    index = np.full(4000, 2)
    alike, free = (augment.warp_nodes(noise, index, 64, 1.0, independent)[:, :, 1:-1, 1:-1] for independent in (0, 1))
    assert abs(alike[:, 0, 1, 3].std() / free[:, 0, 1, 3].std() - 1) < 0.05
    np.testing.assert_array_equal(alike[:, 1], alike[:, 0].transpose(0, 2, 1))
    assert abs(np.corrcoef(free[:, 0, 1, 3], free[:, 1, 3, 1])[0, 1]) < 0.05


def test_warp_strength_scales_and_border_stays():
    noise = np.ones((3, 2, 7, 7))
    index = np.array([0, 1, 2])
    full, half = (augment.warp_nodes(noise, index, 96, s, True) for s in (1.0, 0.5))
    np.testing.assert_allclose(half * 2, full)
    for row, parts in enumerate(augment.CELLS):
        assert not full[row][:, 0].any()
        assert not full[row][:, :, parts:].any()


def test_grids_type_holds_three_tensors():
    grids = augment.grids(identity(64), 64, torch.device("cpu"), bend=True)
    assert isinstance(grids, Grids)
    assert grids.target.shape == grids.input.shape == (1, 64, 64, 2)
