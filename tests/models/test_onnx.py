"""ONNX: names, shapes and numbers of the original's files; nothing that a live program could not run."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests import closed_form as cf
from tests.models.folders import tiny

from facewright.core.errors import Mismatch
from facewright.models.dfl_read import fill, read_dfl
from facewright.models.dfm_facts import FACE, MASK, MORPH, OUTPUTS
from facewright.models.net import NETS, build, fresh
from facewright.models.onnx_check import compare, pictures
from facewright.models.onnx_nets import to_onnx
from facewright.models.settings import SaehdSettings, XSegSettings


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("case", ["saehd_df-ud_64", "saehd_liae-udt_64", "amp_64"])
def test_saved_models_give_the_original_s_faces(case, golden):
    found = read_dfl(golden / f"models/saved_{case}")
    net = build(found.net, found.settings)
    fill(net, found.weights)
    expected = np.load(golden / f"models/saved_{case}_expected.npz", allow_pickle=False)
    run = session(to_onnx(net, {}))
    image = cf.img(1, 64, 64, 3, "merge")
    for morph in (0.0, 0.33, 0.5, 1.0) if found.net == "amp" else (None,):
        feed = {FACE: image} if morph is None else {FACE: image, MORPH: np.array([morph], np.float32)}
        own, face, mask = run.run(list(OUTPUTS), feed)
        prefix = "" if morph is None else f"mf{morph}_"
        step = 1 if morph is None else 2
        np.testing.assert_allclose(face[0, ::step, ::step], expected[f"{prefix}face"], atol=5e-5, rtol=0)
        for value, key in ((mask, "mask_src_dst"), (own, "mask_dst_dst")):
            wanted = expected[f"{prefix}{key}"]
            np.testing.assert_allclose(value[0].reshape(wanted.shape), wanted, atol=5e-5, rtol=0)


@pytest.mark.parametrize("archi", ["df", "df-d", "df-u", "df-t", "df-udtc", "liae", "liae-ud", "liae-dtc"])
def test_every_letter(archi, tmp_path):
    shape = SaehdSettings(archi=archi, resolution=64, ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16)
    net = build("saehd", shape, seed=3).eval()
    for half, limit in ((False, 1e-5), (True, 1e-2)):
        file = tmp_path / f"{half}.dfm"
        file.write_bytes(to_onnx(net, {}, half=half).SerializeToString())
        assert compare(net, file) <= limit


def test_borders_of_a_dfm(tmp_path):
    net = tiny("saehd").eval()
    model = to_onnx(net, {"facewright.net": "saehd"})
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 12)]
    assert {p.key: p.value for p in model.metadata_props} == {"facewright.net": "saehd"}
    run = session(model)
    assert [(i.name, i.shape, i.type) for i in run.get_inputs()] == [(FACE, ["N", 64, 64, 3], "tensor(float)")]
    assert [(o.name, o.shape) for o in run.get_outputs()] == [
        ("out_face_mask:0", ["N", 64, 64, 1]), ("out_celeb_face:0", ["N", 64, 64, 3]),
        ("out_celeb_face_mask:0", ["N", 64, 64, 1]),
    ]
    images = pictures(3, 64)
    together = run.run(None, {FACE: images})
    alone = run.run(None, {FACE: images[1:2]})
    for many, one in zip(together, alone):
        np.testing.assert_allclose(many[1], one[0], atol=1e-6)


def test_amp_takes_a_morph_value_and_stays_float_at_its_borders():
    model = to_onnx(tiny("amp").eval(), {}, half=True)
    run = session(model)
    assert [(i.name, i.shape) for i in run.get_inputs()] == [(FACE, ["N", 64, 64, 3]), (MORPH, [1])]
    assert {o.type for o in run.get_outputs()} == {"tensor(float)"}
    kinds = {w.data_type for w in model.graph.initializer if len(w.dims) == 4 and w.dims[0] > 1}
    assert kinds == {onnx.TensorProto.FLOAT16}


def test_half_is_half_as_large():
    net = tiny("saehd")
    whole, half = (to_onnx(net, {}, half=h).ByteSize() for h in (False, True))
    dense = sum(p.numel() * 4 for n, p in net.named_parameters() if "dense" in n)
    assert half < dense + (whole - dense) * 0.52


def test_a_decoder_used_twice_is_stored_once():
    net = tiny("liae")
    weights = sum(p.numel() * 4 for p in net.parameters())
    assert to_onnx(net, {}).ByteSize() < weights * 1.02 + 60_000


@pytest.mark.parametrize("half", [False, True])
def test_xseg(half, tmp_path):
    net = fresh(NETS.load("xseg"), XSegSettings(base_dims=8))
    cf.fill(net, "XSeg/").eval()
    model = to_onnx(net, {}, half=half)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 13
    file = tmp_path / "x.onnx"
    file.write_bytes(model.SerializeToString())
    assert compare(net, file) <= (1e-2 if half else 1e-5)
    run = session(model)
    assert [(i.name, i.shape) for i in run.get_inputs()] == [(FACE, ["N", 256, 256, 3])]
    assert [(o.name, o.shape) for o in run.get_outputs()] == [(MASK, ["N", 256, 256, 1])]


def test_quick96_has_no_form():
    with pytest.raises(Mismatch, match="no ONNX form"):
        to_onnx(tiny("quick96"), {})


def test_a_wrong_file_does_not_pass_the_comparison(tmp_path):
    net, other = tiny("saehd").eval(), tiny("saehd").eval()
    with torch.no_grad():
        other.decoder_dst.out_convm.bias += 0.01
    (tmp_path / "x.dfm").write_bytes(to_onnx(other, {}).SerializeToString())
    assert compare(net, tmp_path / "x.dfm") > 1e-4
    with torch.no_grad():
        other.decoder_dst.out_convm.bias += float("nan")
    (tmp_path / "x.dfm").write_bytes(to_onnx(other, {}).SerializeToString())
    assert not compare(net, tmp_path / "x.dfm") <= 1.0
