"""Run the few ONNX operations of the converted nets in plain numpy: a check that needs no runtime.

Slow and simple on purpose. It is what `convert.check_numbers` trusts, so each operation is written after the ONNX
operator specification and compared in the tests with a real runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Arrays = list[np.ndarray]
Facts = dict[str, Any]


def run_plain(model: bytes, data: np.ndarray) -> np.ndarray:
    """ONNX bytes with one input and one output, its input array -> its output. KeyError for other operations."""
    import onnx
    from onnx import helper, numpy_helper

    graph = onnx.load_from_string(model).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    values[graph.input[0].name] = data
    last_use = {name: k for k, node in enumerate(graph.node) for name in node.input}
    for k, node in enumerate(graph.node):
        facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = _OPERATIONS[node.op_type]([values[name] for name in node.input], facts)
        for name in set(node.input):
            if last_use[name] == k:
                values.pop(name, None)
    return values[graph.output[0].name]


def _convolution(x: Arrays, facts: Facts) -> np.ndarray:
    data, weight = x[0], x[1]
    kernel, strides, group = weight.shape[2:], facts["strides"], facts.get("group", 1)
    data = np.pad(data, ((0, 0), (0, 0), *_pads(data.shape[2:], kernel, strides, facts)))
    windows = sliding_window_view(data, kernel, (2, 3))[:, :, :: strides[0], :: strides[1]]
    count, _, rows, columns = windows.shape[:4]
    windows = windows.reshape(count, group, -1, rows, columns, *kernel)
    weight = weight.reshape(group, -1, *weight.shape[1:])
    result = np.einsum("ngcijhw,gochw->ngoij", windows, weight, optimize=True).reshape(count, -1, rows, columns)
    return result + x[2][:, None, None] if len(x) > 2 else result


def _pads(size: tuple[int, ...], kernel: tuple[int, ...], strides: list[int], facts: Facts) -> list[tuple[int, int]]:
    way = facts.get("auto_pad", b"NOTSET")
    if way == b"NOTSET":
        pads = facts.get("pads", [0, 0, 0, 0])
        return [(pads[0], pads[2]), (pads[1], pads[3])]
    if way == b"VALID":
        return [(0, 0), (0, 0)]
    found = []
    for n, k, s in zip(size, kernel, strides):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        found.append((total // 2, total - total // 2))  # SAME_UPPER: the odd one at the end
    return found


def _normalise(x: Arrays, facts: Facts) -> np.ndarray:
    data, gamma, beta, mean, variance = x
    shape = (-1,) + (1,) * (data.ndim - 2)
    factor = gamma / np.sqrt(variance + np.float32(facts["epsilon"]))
    return data * factor.reshape(shape) + (beta - mean * factor).reshape(shape)


def _pad(x: Arrays, facts: Facts) -> np.ndarray:
    half = len(x[1]) // 2
    return np.pad(x[0], list(zip(x[1][:half].tolist(), x[1][half:].tolist())))


def _average(x: Arrays, facts: Facts) -> np.ndarray:
    windows = sliding_window_view(x[0], tuple(facts["kernel_shape"]), (2, 3))
    return windows[:, :, :: facts["strides"][0], :: facts["strides"][1]].mean((-2, -1), dtype=np.float32)


def _gemm(x: Arrays, facts: Facts) -> np.ndarray:
    weight = x[1].T if facts.get("transB") else x[1]
    result = x[0] @ weight
    return result + x[2] if len(x) > 2 else result


def _softmax(x: Arrays, facts: Facts) -> np.ndarray:
    powers = np.exp(x[0] - x[0].max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


_OPERATIONS: dict[str, Callable[[Arrays, Facts], np.ndarray]] = {
    "Conv": _convolution,
    "BatchNormalization": _normalise,
    "Pad": _pad,
    "AveragePool": _average,
    "Gemm": _gemm,
    "Softmax": _softmax,
    "Transpose": lambda x, facts: x[0].transpose(facts["perm"]),
    "Flatten": lambda x, facts: x[0].reshape(int(np.prod(x[0].shape[: facts["axis"]])), -1),
    "Sub": lambda x, facts: x[0] - x[1],
    "Mul": lambda x, facts: x[0] * x[1],
    "Add": lambda x, facts: x[0] + x[1],
    "Relu": lambda x, facts: np.maximum(x[0], 0),
    "Min": lambda x, facts: np.minimum(x[0], x[1]),
    "Clip": lambda x, facts: np.clip(x[0], x[1], x[2]),
}
