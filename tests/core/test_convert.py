from __future__ import annotations

import json

import numpy as np
import pytest

from facewright.core.convert import (
    CONVERTERS,
    check_numbers,
    fixed_input,
    mxnet_to_onnx,
    read_mxnet_params,
    read_tfjs_weights,
    tfjs_to_onnx,
)
from facewright.core.errors import FileRefused
from facewright.core.plain_net import run_plain

MOBILEFACE = ("MobileFace_Identification_V2-symbol.json", "MobileFace_Identification_V2-0000.params")
NSFWJS = ("nsfwjs_mobilenet_v2.model.json", "nsfwjs_mobilenet_v2.group1-shard1of1")
CASES = [
    ("mxnet", MOBILEFACE, "mobileface_v2", "mobileface_v2.onnx", (2, 3, 112, 112), 255.0),
    ("tfjs", NSFWJS, "nsfwjs", "nsfwjs_mobilenet_v2.onnx", (2, 224, 224, 3), 1.0),
]


@pytest.fixture(params=CASES, ids=lambda c: c[2])
def case(request, shared):
    kind, files, name, reference, shape, top = request.param
    model = CONVERTERS[kind](*[shared / "weights" / "originals" / f for f in files])
    return name, model, shared / "weights" / reference, shape, top


@pytest.mark.shared
def test_converted_net_computes_what_the_reference_computes(case):
    import onnxruntime

    name, model, reference, shape, top = case
    data = (np.random.default_rng(7).random(shape) * top).astype(np.float32)
    results = []
    for source in (model, reference.read_bytes()):
        session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {session.get_inputs()[0].name: data})[0])
    assert np.abs(results[0] - results[1]).max() <= 1e-5
    assert check_numbers(name, model) < 1e-4


@pytest.mark.shared
def test_plain_numpy_agrees_with_the_runtime(case):
    import onnxruntime

    _, model, _, shape, top = case
    data = fixed_input(shape, top)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: data})[0]
    assert np.abs(run_plain(model, data) - expected).max() < 1e-4


@pytest.mark.shared
def test_a_wrong_epsilon_is_noticed(shared, monkeypatch):
    from facewright.core import convert

    monkeypatch.setattr(convert, "BATCH_NORM_EPSILON", 1e-5)
    model = mxnet_to_onnx(*[shared / "weights" / "originals" / f for f in MOBILEFACE])
    assert check_numbers("mobileface_v2", model) > 1e-2


def test_unknown_net_has_no_numbers():
    assert check_numbers("nobody", b"") is None


@pytest.mark.shared
@pytest.mark.parametrize("length", [0, 7, 100, 50_000])
def test_torn_parameter_list_is_refused(shared, tmp_path, length):
    torn = tmp_path / "torn.params"
    torn.write_bytes((shared / "weights" / "originals" / MOBILEFACE[1]).read_bytes()[:length])
    with pytest.raises(FileRefused):
        read_mxnet_params(torn)


def test_parameter_list_of_another_kind_is_refused(tmp_path):
    file = tmp_path / "x.params"
    file.write_bytes(b"\x13" * 64)
    with pytest.raises(FileRefused, match="cannot be read"):
        read_mxnet_params(file)


def test_unknown_operation_is_refused(tmp_path):
    import struct

    params, symbol = tmp_path / "x.params", tmp_path / "x.json"
    params.write_bytes(struct.pack("<QQQQ", 0x112, 0, 0, 0))
    symbol.write_text(json.dumps({"nodes": [
        {"op": "null", "name": "data", "inputs": []}, {"op": "Custom", "name": "c", "inputs": [[0, 0, 0]]},
    ]}), encoding="utf-8")
    with pytest.raises(FileRefused) as caught:
        mxnet_to_onnx(symbol, params)
    assert "Custom" in caught.value.why


def test_quantised_weights(tmp_path):
    shard = tmp_path / "shard"
    shard.write_bytes(bytes([0, 1, 255]) + np.array([2.5], "<f4").tobytes())
    model = {"weightsManifest": [{"weights": [
        {"name": "a", "shape": [3], "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        {"name": "b", "shape": [1, 1]},
    ]}]}
    found = read_tfjs_weights(model, shard)
    assert found["a"].tolist() == [-1.0, -0.5, 126.5]
    assert found["b"].tolist() == [[2.5]]
    shard.write_bytes(b"\0")
    with pytest.raises(FileRefused):
        read_tfjs_weights(model, shard)


def test_not_a_model_is_refused(tmp_path):
    for text in ("", "{}", "[1]"):
        (tmp_path / "m.json").write_text(text, encoding="utf-8")
        with pytest.raises(FileRefused):
            tfjs_to_onnx(tmp_path / "m.json", tmp_path / "none")
