"""Nets and layers against numbers of the original (tests/golden/models)."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests import closed_form as cf

from facewright.models import layers
from facewright.models.net import build
from facewright.models.settings import Quick96Settings, SaehdSettings

ARCHIS = ["df", "df-d", "df-ud", "df-udt", "df-udtc", "liae-ud", "liae-udt"]


def small(archi: str, **extra) -> SaehdSettings:
    shape = {"archi": archi, "resolution": 64, "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}
    return SaehdSettings(**shape | extra)


def names_and_shapes(net: torch.nn.Module, part: str) -> list[list]:
    return [
        [n.replace(".", "/"), list(layers.to_original_layout(p).shape)]
        for n, p in net.named_parameters()
        if n.startswith(part + ".")
    ]


def test_closed_form_is_the_goldens_own(golden):
    check = json.loads((golden / "models/check.json").read_text())
    weight = cf.stored(check["name"], (5, 5, 3, 16))
    assert weight.flat[:3].tolist() == check["first3"]
    assert weight.flat[-1] == np.float32(check["last"])
    picture = cf.img(2, 64, 64, 3, "src")
    np.testing.assert_array_equal(picture[0, 0, 0], np.float32(check["img_2_64_64_3_src_[0,0,0]"]))


@pytest.mark.parametrize("archi", ARCHIS)
@torch.inference_mode()
def test_forward_equals_the_original(archi, golden):
    g = np.load(golden / f"models/archi_{archi}.npz", allow_pickle=False)
    net = cf.fill(build("saehd", small(archi)), gain=0.4 if archi == "df-udtc" else 1.0)
    src, dst = (cf.nchw(cf.img(2, 64, 64, 3, tag)) for tag in ("src", "dst"))
    views = net(src, dst, swap=True)
    flat = net.encoder(dst)
    np.testing.assert_allclose(flat.numpy(), g["enc_dst"], atol=5e-5, rtol=0)
    df = {"inter_dst": "inter"}
    inters = df if archi.startswith("df") else {"inter_AB_dst": "inter_AB", "inter_B_dst": "inter_B"}
    for key, part in inters.items():
        np.testing.assert_allclose(cf.nhwc(net.parts()[part](flat)), g[key], atol=5e-5, rtol=0)
    pairs = {
        "src_src": views.src_src, "src_srcm": views.src_src_mask, "dst_dst": views.dst_dst,
        "dst_dstm": views.dst_dst_mask, "src_dst": views.src_dst, "src_dstm": views.src_dst_mask,
    }
    for key, value in pairs.items():
        full = cf.nhwc(value)
        np.testing.assert_allclose(full[:, ::3, ::3], g[key], atol=5e-5, rtol=0, err_msg=key)
        stats = [full.mean(), full.std(), full.min(), full.max()]
        np.testing.assert_allclose(stats, g[f"{key}_stats"], atol=5e-5, rtol=0, err_msg=key)
        if f"{key}_full0" in g:
            np.testing.assert_allclose(full[0], g[f"{key}_full0"].reshape(full[0].shape), atol=5e-5, rtol=0)


@pytest.mark.parametrize("archi", ["df", "df-u", "df-d", "df-ud", "df-udt", "df-udtc", "liae", "liae-ud", "liae-udt"])
def test_names_and_shapes(archi, golden):
    wanted = json.loads((golden / "models/archi_variables.json").read_text())[archi]
    net = build("saehd", small(archi))
    assert list(net.parts()) == list(wanted)
    for part, variables in wanted.items():
        have = names_and_shapes(net, part)
        assert sorted(have) == sorted(variables)


BIG = {
    "quick96": ("quick96", Quick96Settings()),
    "saehd_liae-ud_128_default": ("saehd", SaehdSettings(archi="liae-ud")),
    "saehd_df-udt_128_default_trueface": ("saehd", SaehdSettings(archi="df-udt")),
    "saehd_df_128_default_rmsprop": ("saehd", SaehdSettings(archi="df")),
}


@pytest.mark.parametrize("case", BIG)
def test_names_and_shapes_at_default_size(case, golden):
    wanted = json.loads((golden / "models/big_variables.json").read_text())[case]
    name, settings = BIG[case]
    with torch.device("meta"):
        net = build(name, settings)
    for part in net.parts():
        variables = [[n.removesuffix(":0"), shape] for n, shape in wanted[f"{part}.npy"]]
        assert names_and_shapes(net, part) == variables


def test_no_big_variables_are_forgotten(golden):
    # AMP's: test_amp.py; discriminators': test_discriminators.py.
    assert set(json.loads((golden / "models/big_variables.json").read_text())) - set(BIG) == {"amp_224_default"}


def layer_input(size: int = 9) -> torch.Tensor:
    return cf.nchw(cf.img(1, size, size, 3, "lay"))


LAYERS = {
    "layer_conv5s2": ("c5s2/l/", lambda: layers.Conv(3, 4, 5, stride=2)),
    "layer_conv3s1": ("c3s1/l/", lambda: layers.Conv(3, 4, 3)),
    "layer_conv4s2": ("c4s2/l/", lambda: layers.Conv(3, 4, 4, stride=2)),
    "layer_conv3s2": ("c3s2/l/", lambda: layers.Conv(3, 4, 3, stride=2)),
    "layer_deconv3s2": ("t3s2/l/", lambda: layers.TransposedConv(3, 4, stride=2)),
    "layer_deconv3s1": ("t3s1/l/", lambda: layers.TransposedConv(3, 4, stride=1)),
    "layer_blurpool2": ("bp2/l/", lambda: layers.BlurPool(2)),
    "layer_blurpool3": ("bp3/l/", lambda: layers.BlurPool(3)),
    "layer_blurpool4": ("bp4/l/", lambda: layers.BlurPool(4)),
    "layer_frn": ("frn/l/", lambda: layers.FRNorm(3)),
    "layer_tlu": ("tlu/l/", lambda: layers.TLU(3)),
}


@pytest.mark.parametrize("key", LAYERS)
@torch.inference_mode()
def test_layer_equals_the_original(key, golden):
    prefix, make = LAYERS[key]
    x = layer_input(8 if "blurpool" in key else 9) - (0.5 if key == "layer_tlu" else 0.0)
    out = cf.fill(make(), prefix)(x)
    np.testing.assert_allclose(cf.nhwc(out), np.load(golden / "models/ops.npz")[key], atol=2e-6, rtol=0)


@torch.inference_mode()
def test_dense_and_reshapes(golden):
    g = np.load(golden / "models/ops.npz")
    dense = cf.fill(layers.Dense(12, 5), "dn/l/")
    flat = torch.from_numpy(cf.img(2, 1, 4, 3, "lay").reshape(2, 12))
    np.testing.assert_allclose(dense(flat).numpy(), g["layer_dense"], atol=2e-6, rtol=0)
    np.testing.assert_allclose(
        layers.pixel_norm(torch.from_numpy(g["pixelnorm_in"])).numpy(), g["pixelnorm_out"], atol=2e-6, rtol=0
    )
    np.testing.assert_array_equal(cf.nhwc(layers.depth_to_space(cf.nchw(g["d2s_in_nhwc"]))), g["d2s_nhwc"])
    np.testing.assert_array_equal(cf.nchw(g["flatten_in_nhwc"]).flatten(1).numpy(), g["flatten_out"])
    code = torch.from_numpy(g["reshape4d_in"]).view(1, 4, 2, 3)
    np.testing.assert_array_equal(cf.nhwc(code), g["reshape4d_w3_h2_c4_nhwc"])
