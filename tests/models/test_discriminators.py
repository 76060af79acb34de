"""Discriminators against numbers of the original (tests/golden/models), and layouts that fit any resolution."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests import closed_form as cf
from tests.models.test_parity import NAMES

from facewright.models.discriminators import (
    CodeDiscriminator,
    UNetPatchDiscriminator,
    patch_layout,
    receptive_field,
)
from facewright.models.layers import to_original_layout

PATCHES = [3, 4, 5, 8, 11, 16, 20, 24, 28, 32, 40, 48, 56, 64]
UP_TO = {"what": "logits", "atol": 1e-5}


@pytest.fixture(scope="module")
def g(golden):
    return np.load(golden / "models/discriminators.npz", allow_pickle=False)


def variables(net: torch.nn.Module, scope: str) -> list[list]:
    return [[f"{scope}/{n}".replace(".", "/"), list(to_original_layout(p).shape)] for n, p in net.named_parameters()]


def test_names_and_shapes(golden, parity):
    wanted = json.loads((golden / "models/discriminator_variables.json").read_text())
    have = {f"code_res{side}_ch8": variables(CodeDiscriminator(32, side, 8), "dis") for side in (4, 8, 16, 32)}
    have["code_res8_default_ch256"] = variables(CodeDiscriminator(32, 8), "dis")
    have |= {f"unet_patch{p}_base4": variables(UNetPatchDiscriminator(p, base=4), "GAN") for p in PATCHES}
    assert set(have) == set(wanted)
    for case, variables_wanted in wanted.items():
        parity.same(f"discriminator_variables.json/{case}", have[case], variables_wanted, "names and shapes")


BIG = {
    "saehd_liae-ud_128_default": ("GAN.npy", "D_src", lambda: UNetPatchDiscriminator(16, resolution=128)),
    "saehd_df-udt_128_default_trueface": ("code_discriminator.npy", "dis", lambda: CodeDiscriminator(256, 4)),
    "amp_224_default": ("GAN.npy", "GAN", lambda: UNetPatchDiscriminator(28, resolution=224)),
}


@pytest.mark.parametrize("case", BIG)
def test_names_and_shapes_at_default_size(case, golden, parity):
    file, scope, make = BIG[case]
    wanted = json.loads((golden / "models/big_variables.json").read_text())[case][file]
    with torch.device("meta"):
        have = variables(make(), scope)
    wanted = [[n.removesuffix(":0"), shape] for n, shape in wanted]
    parity.same(f"big_variables.json/{case}", have, wanted, NAMES)


@pytest.mark.parametrize("side", [4, 8, 16, 32])
@torch.inference_mode()
def test_code_discriminator_equals_the_original(side, g, parity):
    net = cf.fill(CodeDiscriminator(32, side, 8), "dis/")
    logits = net(cf.nchw(cf.img(2, side, side, 32, "code")))
    key = f"code_res{side}"
    parity.near(f"discriminators.npz/{key}", cf.nhwc(logits), g[key], **UP_TO)


@pytest.mark.parametrize("patch", PATCHES)
@torch.inference_mode()
def test_patch_discriminator_equals_the_original(patch, g, parity):
    net = cf.fill(UNetPatchDiscriminator(patch, base=4), "GAN/")
    center, pixels = (cf.nhwc(x) for x in net(cf.nchw(cf.img(2, 64, 64, 3, "gan"))))
    thinned = center[:, ::2, ::2] if center.shape[1] > 16 else center
    stats = [center.mean(), center.std(), pixels.mean(), pixels.std()]
    for name, have in (("center", thinned), ("out", pixels[:, ::3, ::3]), ("stats", stats)):
        key = f"unet{patch}_{name}"
        parity.near(f"discriminators.npz/{key}", have, g[key], **UP_TO)


def test_layout_of_every_patch_size(golden, parity):
    table = json.loads((golden / "models/unet_patch_table.json").read_text())
    first = {int(patch): run for patch, run in table.items()}
    key, run = 0, {}
    for patch in range(3, 641):
        run = first.get(patch, run)
        key = patch if patch in first else key
        strides = patch_layout(patch)
        have, wanted = (receptive_field(strides), list(strides)), (run["rf"], run["strides"])
        parity.same(f"unet_patch_table.json/{key}", have, wanted, "layouts of the patch sizes 3 to 640")


@pytest.mark.parametrize("resolution", [64, 80, 96, 112, 128, 144, 224, 320, 400, 608, 640])
def test_layout_fits_the_resolution(resolution):
    for patch in range(3, resolution + 1, 5):
        free, fitting = patch_layout(patch), patch_layout(patch, resolution)
        assert resolution % (2 ** fitting.count(2)) == 0
        if resolution % (2 ** free.count(2)) == 0:
            assert fitting == free  # where the original's choice can be built, it is the choice


def test_what_the_original_cannot_build():
    with torch.inference_mode():
        patches, pixels = UNetPatchDiscriminator(64, base=4, resolution=80)(torch.zeros(1, 3, 80, 80))
    assert patches.shape == (1, 1, 5, 5)
    assert pixels.shape == (1, 1, 80, 80)
