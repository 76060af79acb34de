"""XSeg against the original: names, both sizes, both ways of running, the rule of inference."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests import closed_form as cf

from facewright.core.errors import SettingRefused
from facewright.models.layers import to_original_layout
from facewright.models.net import build, fresh
from facewright.models.settings import XSegSettings
from facewright.models.xseg import XSeg


def xseg(base: int) -> XSeg:
    return cf.fill(fresh(XSeg, XSegSettings().model_copy(update={"base_dims": base})), "XSeg/")


@pytest.mark.parametrize(("base", "file", "key"), [(32, "xseg", "XSeg_256.npy"), (2, "xseg_tiny", "")])
def test_names_and_shapes(base, file, key, golden, parity):
    wanted = json.loads((golden / f"models/{file}_variables.json").read_text())
    wanted = [[n.removesuffix(":0").removeprefix("XSeg/"), shape] for n, shape in (wanted[key] if key else wanted)]
    with torch.device("meta"):
        net = fresh(XSeg, XSegSettings().model_copy(update={"base_dims": base}))
    have = [[n.replace(".", "/"), list(to_original_layout(p).shape)] for n, p in net.named_parameters()]
    parity.same(f"{file}_variables.json/{key or 'whole'}", have, wanted, "names and shapes")


@pytest.mark.parametrize("pretrain", [False, True])
@torch.inference_mode()
def test_tiny_net_equals_the_original(pretrain, golden, parity):
    g = np.load(golden / "models/xseg_tiny.npz", allow_pickle=False)
    key = "logits_pretrain" if pretrain else "logits_normal"
    logits = cf.nhwc(xseg(2)(cf.nchw(cf.img(1, 256, 256, 3, "xseg")), pretrain=pretrain))
    for name, have in ((key, logits[:, ::9, ::9]), (f"{key}_stats", [logits.mean(), logits.std()])):
        parity.near(f"xseg_tiny.npz/{name}", have, g[name], "logits", atol=1e-4)


@torch.inference_mode()
def test_whole_net_equals_the_original(golden, parity):
    g = np.load(golden / "models/xseg_full.npz", allow_pickle=False)
    net, image = xseg(32), cf.nchw(cf.img(2, 256, 256, 3, "wxseg"))
    soft = cf.nhwc(torch.sigmoid(net(image)))
    stats = [soft.mean(), soft.std(), soft.min(), soft.max()]
    for key, have in (("pred", soft[:, ::12, ::12]), ("stats", stats)):
        parity.near(f"xseg_full.npz/{key}", have, g[key], "masks", atol=1e-4)
    mask = cf.nhwc(net.mask(image))
    np.testing.assert_array_equal(mask, np.where(soft < 0.1, 0, soft))


def test_faint_mask_is_none():
    net = fresh(XSeg, XSegSettings().model_copy(update={"base_dims": 8}))
    with torch.no_grad():
        net.out_conv.weight.zero_()
        for logit, wanted in ((-2.3, 0.0), (-2.1, 0.10909683)):
            net.out_conv.bias.fill_(logit)
            mask = net.mask(torch.zeros(1, 3, 256, 256))
            torch.testing.assert_close(mask, torch.full((1, 1, 256, 256), wanted))


def test_xseg_is_no_net_that_swaps():
    with pytest.raises(SettingRefused, match="makes masks"):
        build("xseg", XSegSettings())
