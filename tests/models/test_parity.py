"""Nets and layers against numbers of the original (tests/golden/models)."""

from __future__ import annotations

import json
import zlib

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


def test_closed_form_is_the_goldens_own(golden, parity):
    check = json.loads((golden / "models/check.json").read_text())
    weight = cf.stored(check["name"], (5, 5, 3, 16))
    what = "closed-form weights and pictures that all others are made with"
    parity.same("check.json/crc32", zlib.crc32(check["name"].encode()), check["crc32"], what)
    place = "img_tag_src_crc_mod_1000"
    parity.same(f"check.json/{place}", zlib.crc32(b"src") % 1000, check[place], what)
    parity.same("check.json/first3", weight.flat[:3].tolist(), check["first3"], what)
    parity.same("check.json/last", weight.flat[-1], np.float32(check["last"]), what)
    picture = cf.img(2, 64, 64, 3, "src")
    for place, value in (("img_2_64_64_3_src_[0,0,0]", picture[0, 0, 0]), ("img_[1,63,63]", picture[1, 63, 63])):
        parity.same(f"check.json/{place}", value, np.float32(check[place]), what)


@pytest.mark.parametrize("archi", ARCHIS)
@torch.inference_mode()
def test_forward_equals_the_original(archi, golden, parity):
    file = f"archi_{archi}.npz"
    g = np.load(golden / "models" / file, allow_pickle=False)
    net = cf.fill(build("saehd", small(archi)), gain=0.4 if archi == "df-udtc" else 1.0)
    src, dst = (cf.nchw(cf.img(2, 64, 64, 3, tag)) for tag in ("src", "dst"))
    views = net(src, dst, swap=True)
    flat = net.encoder(dst)

    def near(key, have, what):
        parity.near(f"{file}/{key}", have, g[key].reshape(have.shape), what, atol=5e-5)

    def near_stats(key, full, what):
        near(f"{key}_stats", np.array([full.mean(), full.std(), full.min(), full.max()]), what)

    near("enc_dst", flat, "codes")
    near_stats("enc_dst", flat.numpy(), "codes")
    df = {"inter_dst": "inter"}
    inters = df if archi.startswith("df") else {"inter_AB_dst": "inter_AB", "inter_B_dst": "inter_B"}
    for key, part in inters.items():
        code = cf.nhwc(net.parts()[part](flat))
        near(key, code, "codes")
        near_stats(key, code, "codes")
    pairs = {
        "src_src": views.src_src, "src_srcm": views.src_src_mask, "dst_dst": views.dst_dst,
        "dst_dstm": views.dst_dst_mask, "src_dst": views.src_dst, "src_dstm": views.src_dst_mask,
    }
    for key, value in pairs.items():
        full = cf.nhwc(value)
        near(key, full[:, ::3, ::3], "pictures and masks")
        near_stats(key, full, "pictures and masks")
        if f"{key}_full0" in g:
            near(f"{key}_full0", full[0], "pictures and masks")


@pytest.mark.parametrize("archi", ["df", "df-u", "df-d", "df-ud", "df-udt", "df-udtc", "liae", "liae-ud", "liae-udt"])
def test_names_and_shapes(archi, golden, parity):
    wanted = json.loads((golden / "models/archi_variables.json").read_text())[archi]
    net = build("saehd", small(archi))
    assert list(net.parts()) == list(wanted)
    for part, variables in wanted.items():
        have = sorted(names_and_shapes(net, part))
        parity.same(f"archi_variables.json/{archi}", have, sorted(variables), "names and shapes")


NAMES = "names and shapes, of optimisers and discriminators too"
BIG = {
    "quick96": ("quick96", Quick96Settings()),
    "saehd_liae-ud_128_default": ("saehd", SaehdSettings(archi="liae-ud")),
    "saehd_df-udt_128_default_trueface": ("saehd", SaehdSettings(archi="df-udt")),
    "saehd_df_128_default_rmsprop": ("saehd", SaehdSettings(archi="df")),
}


@pytest.mark.parametrize("case", BIG)
def test_names_and_shapes_at_default_size(case, golden, parity):
    wanted = json.loads((golden / "models/big_variables.json").read_text())[case]
    name, settings = BIG[case]
    with torch.device("meta"):
        net = build(name, settings)
    for part in net.parts():
        variables = [[n.removesuffix(":0"), shape] for n, shape in wanted[f"{part}.npy"]]
        parity.same(f"big_variables.json/{case}", names_and_shapes(net, part), variables, NAMES)


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
def test_layer_equals_the_original(key, golden, parity):
    prefix, make = LAYERS[key]
    x = layer_input(8 if "blurpool" in key else 9) - (0.5 if key == "layer_tlu" else 0.0)
    out = cf.fill(make(), prefix)(x)
    parity.near(f"ops.npz/{key}", cf.nhwc(out), np.load(golden / "models/ops.npz")[key], "layers", atol=2e-6)


@torch.inference_mode()
def test_dense_and_reshapes(golden, parity):
    g = np.load(golden / "models/ops.npz")
    dense = cf.fill(layers.Dense(12, 5), "dn/l/")
    flat = torch.from_numpy(cf.img(2, 1, 4, 3, "lay").reshape(2, 12))
    parity.near("ops.npz/layer_dense", dense(flat), g["layer_dense"], "layers", atol=2e-6)
    normed = layers.pixel_norm(torch.from_numpy(g["pixelnorm_in"]))
    parity.near("ops.npz/pixelnorm_out", normed, g["pixelnorm_out"], "layers", atol=2e-6)
    order = "order of pixels and channels"
    parity.same("ops.npz/d2s_nhwc", cf.nhwc(layers.depth_to_space(cf.nchw(g["d2s_in_nhwc"]))), g["d2s_nhwc"], order)
    flattened = cf.nchw(g["flatten_in_nhwc"]).flatten(1).numpy()
    parity.same("ops.npz/flatten_out", flattened, g["flatten_out"], order)
    code = torch.from_numpy(g["reshape4d_in"]).view(1, 4, 2, 3)
    parity.same("ops.npz/reshape4d_w3_h2_c4_nhwc", cf.nhwc(code).copy(), g["reshape4d_w3_h2_c4_nhwc"], order)
