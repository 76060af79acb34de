"""AMP against the original: names, the saved model's predictions; and what its mixture promises."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests import closed_form as cf
from tests.models.test_parity import names_and_shapes

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


def test_names_and_shapes_at_default_size(golden):
    wanted = json.loads((golden / "models/big_variables.json").read_text())["amp_224_default"]
    with torch.device("meta"):
        net = build("amp", AmpSettings())
    assert [f"{part}.npy" for part in net.parts()] == list(wanted)[:4]
    for part in net.parts():
        variables = [[n.removesuffix(":0"), shape] for n, shape in wanted[f"{part}.npy"]]
        assert sorted(names_and_shapes(net, part)) == sorted(variables)


@pytest.mark.parametrize("morph", [0.0, 0.33, 0.5, 1.0])
@torch.inference_mode()
def test_saved_model_predicts_what_the_original_did(morph, golden):
    g = np.load(golden / "models/saved_amp_64_expected.npz", allow_pickle=False)
    swap = saved(golden).swap(cf.nchw(cf.img(1, 64, 64, 3, "merge")), morph)
    face, mask, own = (cf.nhwc(x)[0] for x in swap)
    np.testing.assert_allclose(face[::2, ::2], g[f"mf{morph}_face"], atol=5e-5, rtol=0)
    np.testing.assert_allclose(mask[..., 0], g[f"mf{morph}_mask_src_dst"], atol=5e-5, rtol=0)
    np.testing.assert_allclose(own[..., 0], g[f"mf{morph}_mask_dst_dst"], atol=5e-5, rtol=0)


def test_morph_counts_channels_as_the_original_does():
    net = build("amp", AmpSettings().model_copy(update={"inter_dims": 1000, "resolution": 64}))
    for morph in np.linspace(0, 1, 101, dtype=np.float32):
        assert int(net._first(float(morph) * 1000).sum()) == int(np.float32(1000) * morph)
        assert int(net._first(torch.tensor([morph]) * 1000).sum()) == int(np.float32(1000) * morph)
