"""Published formats of two nets (MXNet parameter list + symbol JSON, TF.js layers + shard) -> ONNX opset 13.

Done once on the user's machine, operation for operation, without retraining. With the ONNX library that facewright
pins, the result is byte-identical to the file whose digest stands in `catalogue.WEIGHTS`; with another version
`check_numbers` compares stored outputs of the published net on one fixed input.
"""

from __future__ import annotations

import ast
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused
from facewright.core.files import read_file

OPSET = 13
IR_VERSION = 8
BATCH_NORM_EPSILON = 1e-3
"""MXNet's default; its symbol file does not repeat it."""

_LIST_MAGIC, _ARRAY_MAGIC = 0x112, 0xF993FAC9


def _refuse(path: Path | str, why: str) -> FileRefused:
    return FileRefused("The published net cannot be read.", why=why, remedy="Fetch it again.", where=path)


class _Reader:
    """Walks over little-endian binary data, refusing to read past its end."""

    def __init__(self, data: bytes, where: Path) -> None:
        self.data, self.where, self.at = data, where, 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise _refuse(self.where, "It ends too early.")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, code: str) -> int:
        return struct.unpack("<" + code, self.take(struct.calcsize(code)))[0]


def read_mxnet_params(path: Path) -> dict[str, np.ndarray]:
    """An MXNet parameter list -> name (without `arg:`/`aux:`) -> float32 array. Raises FileRefused."""
    reader = _Reader(read_file(path, limit_bytes=1 << 28), path)
    if reader.number("Q") != _LIST_MAGIC:
        raise _refuse(path, "It is not an MXNet parameter list.")
    reader.number("Q")
    arrays = [_mxnet_array(reader) for _ in range(reader.number("Q"))]
    names = [reader.take(reader.number("Q")).decode() for _ in range(reader.number("Q"))]
    if len(names) != len(arrays):
        raise _refuse(path, "It holds other counts of names and arrays.")
    return {name.partition(":")[2] or name: array for name, array in zip(names, arrays)}


def _mxnet_array(reader: _Reader) -> np.ndarray:
    if reader.number("I") != _ARRAY_MAGIC or reader.number("i") != 0:
        raise _refuse(reader.where, "An array is of a kind that is not known.")
    shape = [reader.number("q") for _ in range(reader.number("I"))]
    reader.number("i")
    reader.number("i")
    if reader.number("i") != 0 or any(n < 0 for n in shape):
        raise _refuse(reader.where, "An array is not of 32-bit floats.")
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(reader.take(4 * count), "<f4").reshape(shape)


@dataclass(slots=True)
class _Graph:
    """Nodes and constants in the order in which they are met."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants[name] = np.asarray(value, order="C")
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def model(self, name: str, source: tuple[str, list[int | str]], result: tuple[str, list[int | str]]) -> bytes:
        """Serialised and checked ONNX model with one float32 input and one float32 output."""
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes, name,
            [helper.make_tensor_value_info(source[0], TensorProto.FLOAT, source[1])],
            [helper.make_tensor_value_info(result[0], TensorProto.FLOAT, result[1])],
            [numpy_helper.from_array(value, key) for key, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def mxnet_to_onnx(symbol: Path, params: Path) -> bytes:
    """MobileFace's symbol JSON and parameter list -> ONNX bytes: input `data` (n, 3, 112, 112) float32 RGB 0..255,
    output (n, 256). Raises FileRefused for damaged files and unknown operations."""
    arrays = read_mxnet_params(params)
    try:
        nodes = json.loads(read_file(symbol, limit_bytes=1 << 24))["nodes"]
        graph, names = _Graph(), [n["name"] for n in nodes]
        for node in nodes:
            if node["op"] == "null":
                continue
            inputs = [names[i[0]] for i in node["inputs"]]
            for name in inputs:
                if name in arrays:
                    graph.constant(name, arrays[name])
            _mxnet_node(graph, node["op"], node["name"], inputs, node.get("attrs", {}))
    except (ValueError, KeyError, IndexError, TypeError, SyntaxError) as error:
        raise _refuse(symbol, f"Its graph is not as expected ({error}).") from error
    return graph.model("mobileface_v2", ("data", ["n", 3, 112, 112]), (names[-1], ["n", 256]))


def _mxnet_node(graph: _Graph, kind: str, name: str, inputs: list[str], attributes: dict[str, str]) -> None:
    facts = {k: ast.literal_eval(v) for k, v in attributes.items() if not k.startswith("__")}
    if kind in ("_minus_scalar", "_mul_scalar", "_minimum_scalar"):
        scalar = graph.constant(name + "_c", np.array(facts["scalar"], np.float32))
        onnx_kind = {"_minus_scalar": "Sub", "_mul_scalar": "Mul", "_minimum_scalar": "Min"}[kind]
        graph.add(onnx_kind, [inputs[0], scalar], name)
    elif kind == "_maximum_scalar" and facts["scalar"] == 0:
        graph.add("Relu", inputs, name)
    elif kind == "Convolution":
        graph.add("Conv", inputs, name, kernel_shape=list(facts["kernel"]), strides=list(facts["stride"]),
                  pads=list(facts["pad"]) * 2, group=facts.get("num_group", 1))
    elif kind == "BatchNorm":
        graph.add("BatchNormalization", inputs, name, epsilon=BATCH_NORM_EPSILON)
    elif kind == "elemwise_add":
        graph.add("Add", inputs, name)
    elif kind == "Flatten":
        graph.add("Flatten", inputs, name, axis=1)
    elif kind == "FullyConnected" and facts.get("no_bias"):
        graph.add("Gemm", inputs, name, transB=1)
    else:
        raise ValueError(f"operation {kind} {attributes}")


def read_tfjs_weights(model: dict[str, Any], shard: Path) -> dict[str, np.ndarray]:
    """Weights of a TF.js manifest with one shard -> name -> float32 array; uint8 ones are q * scale + min."""
    data, at, found = read_file(shard, limit_bytes=1 << 28), 0, {}
    for entry in model["weightsManifest"][0]["weights"]:
        count, quantised = int(np.prod(entry["shape"], dtype=np.int64)), entry.get("quantization")
        kind = np.dtype(np.uint8 if quantised and quantised["dtype"] == "uint8" else "<f4")
        if at + count * kind.itemsize > len(data):
            raise _refuse(shard, "It ends too early.")
        values = np.frombuffer(data, kind, count, at)
        at += count * kind.itemsize
        if quantised:
            values = values.astype(np.float32) * np.float32(quantised["scale"]) + np.float32(quantised["min"])
        found[entry["name"]] = values.reshape(entry["shape"])
    return found


def tfjs_to_onnx(model: Path, shard: Path) -> bytes:
    """NSFWJS's model.json and shard -> ONNX bytes: input `input` (n, 224, 224, 3) float32 RGB 0..1, output (n, 5)
    softmax. Raises FileRefused for damaged files and unknown layers."""
    try:
        described = json.loads(read_file(model, limit_bytes=1 << 24))
        weights = read_tfjs_weights(described, shard)
        graph = _Graph()
        last, through = "", dict[str, str]()  # layers that do nothing when a net is only run -> what feeds them
        for layer in described["modelTopology"]["model_config"]["config"]["layers"]:
            sources = layer["inbound_nodes"][0] if layer["inbound_nodes"] else [["input"]]
            inputs, last = [through.get(s[0], s[0]) for s in sources], layer["config"]["name"]
            if layer["class_name"] == "Dropout":
                through[last] = inputs[0]
            else:
                _tfjs_layer(graph, layer["class_name"], layer["config"], inputs, weights)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise _refuse(model, f"Its layers are not as expected ({error}).") from error
    return graph.model("ns", ("input", ["n", 224, 224, 3]), (last, ["n", 5]))


def _tfjs_layer(graph: _Graph, kind: str, c: dict[str, Any], inputs: list[str], weights: dict[str, np.ndarray]) -> None:
    """One Keras layer, channels last, as ONNX nodes, channels first."""
    name = c["name"]
    if kind == "InputLayer":
        graph.add("Transpose", inputs, name, perm=[0, 3, 1, 2])
    elif kind == "ZeroPadding2D":
        (top, bottom), (left, right) = c["padding"]
        pads = graph.constant(name + "_p", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
        graph.add("Pad", [*inputs, pads], name)
    elif kind in ("Conv2D", "DepthwiseConv2D"):
        _tfjs_convolution(graph, kind, c, inputs, weights)
    elif kind == "BatchNormalization":
        terms = [graph.constant(f"{name}_{t}", weights[f"{name}/{t}"])
                 for t in ("gamma", "beta", "moving_mean", "moving_variance")]
        graph.add("BatchNormalization", [*inputs, *terms], name, epsilon=c["epsilon"])
    elif kind == "ReLU":
        low = graph.constant(name + "_l", np.array(0, np.float32))
        high = graph.constant(name + "_h", np.array(c["max_value"], np.float32))
        graph.add("Clip", [*inputs, low, high], name)
    elif kind == "Add":
        graph.add("Add", inputs, name)
    elif kind == "AveragePooling2D":
        graph.add("AveragePool", inputs, name, kernel_shape=list(c["pool_size"]), strides=list(c["strides"]))
    elif kind == "Flatten":
        # Keras flattens (row, column, channel): go back to channels last first.
        graph.add("Flatten", [graph.add("Transpose", inputs, name + "_t", perm=[0, 2, 3, 1])], name, axis=1)
    elif kind == "Dense":
        _tfjs_dense(graph, c, inputs, weights)
    else:
        raise ValueError(f"layer {kind}")


def _tfjs_convolution(
    graph: _Graph, kind: str, c: dict[str, Any], inputs: list[str], weights: dict[str, np.ndarray]
) -> None:
    name = c["name"]
    if kind == "Conv2D":
        kernel, group = weights[f"{name}/kernel"].transpose(3, 2, 0, 1), 1
    else:
        depthwise = weights[f"{name}/depthwise_kernel"]  # (h, w, channels, multiplier)
        kernel, group = depthwise.transpose(2, 3, 0, 1), depthwise.shape[2]
    graph.constant(name + "_w", kernel)
    padding = "SAME_UPPER" if c["padding"] == "same" else "VALID"
    graph.add("Conv", [*inputs, name + "_w"], name, kernel_shape=list(c["kernel_size"]), strides=list(c["strides"]),
              group=group, auto_pad=padding)


def _tfjs_dense(graph: _Graph, c: dict[str, Any], inputs: list[str], weights: dict[str, np.ndarray]) -> None:
    name = c["name"]
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
    terms = [graph.constant(name + "_w", kernel), graph.constant(name + "_b", bias)]
    raw = graph.add("Gemm", [*inputs, *terms], name + "_d")
    if c["activation"] == "softmax":
        graph.add("Softmax", [raw], name, axis=-1)
    else:
        graph.add("Relu", [raw], name)


CONVERTERS: dict[str, Callable[[Path, Path], bytes]] = {"mxnet": mxnet_to_onnx, "tfjs": tfjs_to_onnx}
"""Format -> function of the published files, in the order of the carrier's parts."""

_EXPECTED: dict[str, tuple[tuple[int, ...], float, tuple[float, ...]]] = {
    "mobileface_v2": (
        (1, 3, 112, 112), 255.0,
        (-6.2732, -3.1643, -2.44, 2.8879, -0.4576, 1.2373, 0.3884, -1.45, -3.9557, -3.4724, -1.1789, 3.3102, -3.9147,
         -3.5295, -2.1893, -4.3094),
    ),
    "nsfwjs": ((1, 224, 224, 3), 1.0, (0.4479, 0.0182, 0.507, 0.0219, 0.005)),
}
"""Net -> input shape, input range's top, first outputs of the published net for `fixed_input`, to four decimals."""


def fixed_input(shape: tuple[int, ...], top: float) -> np.ndarray:
    """One picture by formula, float32 0..top: the same on every machine."""
    n = np.arange(int(np.prod(shape)), dtype=np.float64)
    waves = 0.5 + 0.3 * np.sin(n * 0.0137) + 0.2 * np.sin(n * 0.00071 + 1.0)
    return (waves * top).astype(np.float32).reshape(shape)


def check_numbers(name: str, model: bytes) -> float | None:
    """Largest deviation of a converted net from the published one's stored outputs; None for an unknown net.

    Rounding of the stored numbers alone gives up to 5e-5.
    """
    from facewright.core.plain_net import run_plain

    if name not in _EXPECTED:
        return None
    shape, top, expected = _EXPECTED[name]
    result = run_plain(model, fixed_input(shape, top))[0, : len(expected)]
    return float(np.abs(result - np.array(expected)).max())
