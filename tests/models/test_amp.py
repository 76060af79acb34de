"""AMP against the original: names, the saved model's predictions; and what its mixture promises."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests import closed_form as cf
from tests.models.test_parity import NAMES, names_and_shapes

from facewright.core.unpickle import read_pickle_file
from facewright.models.amp import Amp
from facewright.models.layers import to_torch_layout
from facewright.models.net import build
from facewright.models.settings import AmpSettings


def tiny(**changes) -> AmpSettings:
    """The shape of the goldens' saved model: below the asked minimum on purpose."""
    dims = {"resolution": 64, "ae_dims": 8, "inter_dims": 12, "e_dims": 1, "d_dims": 1, "d_mask_dims": 1}
    return AmpSettings().model_copy(update=dims | changes)


@torch.no_grad()
def saved(golden) -> Amp:
    """The model folder of the goldens, loaded part by part."""
    net = build("amp", tiny())
    for part, module in net.parts().items():
        stored = read_pickle_file(golden / f"models/saved_amp_64/tiny_AMP_{part}.npy")
        parameters = {n.replace(".", "/") + ":0": p for n, p in module.named_parameters()}
        assert sorted(parameters) == sorted(stored)
        for key, parameter in parameters.items():
            parameter.copy_(to_torch_layout(torch.from_numpy(np.array(stored[key]))))
    return net


def test_names_and_shapes_at_default_size(golden, parity):
    wanted = json.loads((golden / "models/big_variables.json").read_text())["amp_224_default"]
    with torch.device("meta"):
        net = build("amp", AmpSettings())
    assert [f"{part}.npy" for part in net.parts()] == list(wanted)[:4]
    for part in net.parts():
        variables = [[n.removesuffix(":0"), shape] for n, shape in wanted[f"{part}.npy"]]
        have = sorted(names_and_shapes(net, part))
        parity.same("big_variables.json/amp_224_default", have, sorted(variables), NAMES)


@pytest.mark.parametrize("morph", [0.0, 0.33, 0.5, 1.0])
@torch.inference_mode()
def test_saved_model_predicts_what_the_original_did(morph, golden, parity):
    file = "saved_amp_64_expected.npz"
    g = np.load(golden / "models" / file, allow_pickle=False)
    swap = saved(golden).swap(cf.nchw(cf.img(1, 64, 64, 3, "merge")), morph)
    face, mask, own = (cf.nhwc(x)[0] for x in swap)
    pairs = {"face": face[::2, ::2], "mask_src_dst": mask[..., 0], "mask_dst_dst": own[..., 0]}
    for name, have in pairs.items():
        key = f"mf{morph}_{name}"
        parity.near(f"{file}/{key}", have, g[key], "predictions of the saved model", atol=5e-5)


def test_morph_counts_channels_as_the_original_does():
    net = build("amp", AmpSettings().model_copy(update={"inter_dims": 1000, "resolution": 64}))
    for morph in np.linspace(0, 1, 101, dtype=np.float32):
        assert int(net._first(float(morph) * 1000).sum()) == int(np.float32(1000) * morph)
        assert int(net._first(torch.tensor([morph]) * 1000).sum()) == int(np.float32(1000) * morph)


def faces(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(cf.nchw(cf.img(count, 64, 64, 3, tag)) for tag in ("src", "dst"))


def small() -> Amp:
    return cf.fill(build("amp", tiny(inter_dims=48, ae_dims=32, e_dims=8, d_dims=8, d_mask_dims=8)))


def test_a_drawn_mixture_has_as_many_channels_of_the_source_per_face():
    net = build("amp", tiny(inter_dims=50, morph_factor=0.3))
    mix = net.draw_mix(64, torch.Generator().manual_seed(3))
    assert mix.shape == (64, 50, 1, 1)
    assert mix.dtype == torch.float32
    assert set(mix.unique().tolist()) == {0.0, 1.0}
    assert (mix.sum((1, 2, 3)) == 15).all()
    assert (mix.mean(0) > 0.1).all()  # every channel has its turn
    assert torch.equal(mix, net.draw_mix(64, torch.Generator().manual_seed(3)))


@torch.inference_mode()
def test_mixture_decides_whose_channels_make_the_source():
    net, (src, dst) = small(), faces()
    code_src, code_own = net.inter_src(net.encoder(src)), net.inter_dst(net.encoder(src))
    mix = net.draw_mix(3, torch.Generator().manual_seed(1))
    wanted, _ = net.decoder(mix * code_src + (1 - mix) * code_own)
    torch.testing.assert_close(net(src, dst, mix=mix).src_src, wanted)
    torch.testing.assert_close(net(src, dst).src_src, net(src, dst, mix=net._first(24).float()).src_src)


@torch.inference_mode()
def test_views_agree_with_the_swap():
    net, (src, dst) = small(), faces()
    views = net(src, dst, swap=True)
    swap = net.swap(dst)
    torch.testing.assert_close(views.src_dst, swap.image)
    torch.testing.assert_close(views.src_dst_mask, swap.mask_swap)
    torch.testing.assert_close(views.dst_dst_mask, swap.mask_own)
    torch.testing.assert_close(net.swap(dst, 0.0).image, views.dst_dst)
    torch.testing.assert_close(net.swap(dst, torch.tensor([0.4])).image, net.swap(dst, 0.4).image)
    assert net(src, dst).src_dst is None


def test_inters_move_only_when_asked():
    net = small()
    for random_warp in (True, False):
        names = {n.split(".")[0] for n, _ in net.trainable(random_warp)}
        assert names == {"encoder", "decoder"}
        assert len(net.trainable(random_warp, train_inters=True)) == len(list(net.parameters()))


@pytest.mark.parametrize("wish", ["codes", "style"])
def test_amp_has_no_true_face_and_no_styles(wish):
    with pytest.raises(ValueError, match="neither"):
        small()(*faces(1), **{wish: True})
