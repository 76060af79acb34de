"""An ONNX graph written layer by layer, from this house's layers. No tracing: what is in the file stands here.

Values are names of tensors in NCHW. With `half` the convolutions and what lies between them are float16, dense layers
and the borders float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from facewright.models.layers import (
    DOWN_SLOPE,
    PIXEL_NORM_EPS,
    RES_SLOPE,
    TLU,
    Activation,
    BlurPool,
    Conv,
    Dense,
    Down,
    FRNorm,
    Res,
    TransposedConv,
    Up,
    x_cos_x,
)

_IR_VERSION = 7
"""Read by every runtime that knows operator set 12."""


class Graph:
    """Nodes and constants so far. Methods take and return names of values."""

    def __init__(self, name: str, opset: int, *, half: bool = False) -> None:
        self.name, self.opset, self.half = name, opset, half
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._known: dict[int, str] = {}

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """A float32 input; a text in `shape` is a free dimension."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """`value` in NCHW -> the float32 output `name` in NHWC."""
        self._add("Transpose", [self.wide(value)], outputs=[name], perm=[0, 2, 3, 1])
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def model(self, version: str, facts: dict[str, str]) -> onnx.ModelProto:
        """The finished file; `facts` become its metadata."""
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, self._constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=_IR_VERSION,
            producer_name="facewright", producer_version=version,
        )
        helper.set_model_props(model, facts)
        return model

    def nchw(self, value: str) -> str:
        """An NHWC input, ready for convolutions."""
        return self.narrow(self._add("Transpose", [value], perm=[0, 3, 1, 2]))

    def narrow(self, value: str) -> str:
        """float16 with `half`, else as it is."""
        return self._add("Cast", [value], to=TensorProto.FLOAT16) if self.half else value

    def wide(self, value: str) -> str:
        """float32."""
        return self._add("Cast", [value], to=TensorProto.FLOAT) if self.half else value

    def conv(self, value: str, layer: Conv, weight: Tensor | None = None, bias: Tensor | None = None) -> str:
        """Symmetric zero padding as the layer's; `weight` and `bias` in place of its own."""
        weight, bias = layer.weight if weight is None else weight, layer.bias if bias is None else bias
        pad = (weight.shape[-1] - 1) // 2 if weight is not layer.weight else int(layer.padding[0])
        return self._add(
            "Conv", [value, self._layer(weight), self._layer(bias)], pads=[pad] * 4, strides=list(layer.stride),
            dilations=list(layer.dilation), kernel_shape=list(weight.shape[2:]),
        )

    def transposed(self, value: str, layer: TransposedConv) -> str:
        """Output exactly twice the input: the last row and column are cut off by the padding at the end."""
        bias = layer.bias if layer.bias is not None else torch.zeros(layer.weight.shape[1])
        return self._add(
            "ConvTranspose", [value, self._layer(layer.weight), self._layer(bias)], kernel_shape=[3, 3],
            strides=list(layer.stride), pads=[0, 0, 1, 1] if layer.stride[0] == 2 else [1] * 4,
        )

    def dense(self, value: str, layer: Dense) -> str:
        """(B, in) float32 -> (B, out) float32."""
        return self._add("Gemm", [value, self._constant(layer.weight), self._constant(layer.bias)], transB=1)

    def act(self, value: str, kind: Activation, slope: float) -> str:
        """Leaky ReLU, or x cos(x)."""
        if kind is x_cos_x:
            return self._add("Mul", [value, self._add("Cos", [value])])
        return self._add("LeakyRelu", [value], alpha=slope)

    def down(self, value: str, layer: Down) -> str:
        """See layers.Down."""
        return self.act(self.conv(value, layer.conv1), layer.act, DOWN_SLOPE)

    def up(self, value: str, layer: Up) -> str:
        """See layers.Up."""
        return self.depth_to_space(self.act(self.conv(value, layer.conv1), layer.act, DOWN_SLOPE))

    def res(self, value: str, layer: Res) -> str:
        """See layers.Res."""
        inner = self.conv(self.act(self.conv(value, layer.conv1), layer.act, RES_SLOPE), layer.conv2)
        return self.act(self._add("Add", [value, inner]), layer.act, RES_SLOPE)

    def depth_to_space(self, value: str) -> str:
        """DCR order, as the original's."""
        return self._add("DepthToSpace", [value], blocksize=2, mode="DCR")

    def frn(self, value: str, layer: FRNorm) -> str:
        """See layers.FRNorm."""
        power = self._add("ReduceMean", [self._add("Mul", [value, value])], axes=[2, 3], keepdims=1)
        root = self._add("Sqrt", [self._add("Add", [power, self._layer(layer.eps.detach().abs())])])
        scaled = self._add("Mul", [self._add("Div", [value, root]), self._channels(layer.weight)])
        return self._add("Add", [scaled, self._channels(layer.bias)])

    def tlu(self, value: str, layer: TLU) -> str:
        """See layers.TLU."""
        return self._add("Max", [value, self._channels(layer.tau)])

    def blur_pool(self, value: str, layer: BlurPool, channels: int) -> str:
        """See layers.BlurPool."""
        left, right, top, bottom = layer.padding
        weight = self._layer(layer.kernel.expand(channels, 1, -1, -1))
        return self._add(
            "Conv", [value, weight], group=channels, strides=[2, 2], pads=[top, left, bottom, right],
            kernel_shape=list(layer.kernel.shape),
        )

    def pixel_norm(self, value: str) -> str:
        """(B, N) float32, see layers.pixel_norm."""
        power = self._add("ReduceMean", [self._add("Mul", [value, value])], axes=[1], keepdims=1)
        root = self._add("Sqrt", [self._add("Add", [power, self._number(PIXEL_NORM_EPS)])])
        return self._add("Div", [value, root])

    def reshape(self, value: str, *shape: int) -> str:
        """The batch stays free; -1 for the rest, or the sizes c, h, w."""
        return self._add("Reshape", [value, self._integers([0, *shape])])

    def concat(self, *values: str) -> str:
        """Along the channels."""
        return values[0] if len(values) == 1 else self._add("Concat", list(values), axis=1)

    def sigmoid(self, value: str) -> str:
        """1 / (1 + exp(-x))."""
        return self._add("Sigmoid", [value])

    def choose_channels(self, count_01: str, first: str, second: str, channels: int) -> str:
        """The first floor(count_01 channels) channels of `first`, the rest of `second`. count_01: [1] float32."""
        ordinal = torch.arange(1, channels + 1, dtype=torch.float32)[None, :, None, None]
        count = self._add("Mul", [count_01, self._number(float(channels))])
        later = self._add("Greater", [self._constant(ordinal), count])
        return self._add("Where", [later, second, first])


    def _add(self, kind: str, inputs: list[str], outputs: list[str] | None = None, **facts: Any) -> str:
        outputs = outputs or [f"{kind}_{len(self._nodes)}"]
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=f"n{len(self._nodes)}", **facts))
        return outputs[0]

    def _layer(self, value: Tensor) -> str:
        """A constant in the number format of convolutions."""
        return self._constant(value.half() if self.half else value, of=value)

    def _channels(self, value: Tensor) -> str:
        return self._layer(value.detach()[:, None, None])

    def _constant(self, value: Tensor, of: Tensor | None = None) -> str:
        """Weights that several passes share (one decoder twice) are stored once."""
        key = id(value if of is None else of)
        shared = isinstance(value if of is None else of, nn.Parameter)
        if shared and key in self._known:
            return self._known[key]
        name = f"w{len(self._constants)}"
        array = np.ascontiguousarray(value.detach().cpu().numpy())
        self._constants.append(numpy_helper.from_array(array, name))
        if shared:
            self._known[key] = name
        return name

    def _number(self, value: float) -> str:
        return self._constant(torch.tensor([value], dtype=torch.float32))

    def _integers(self, values: list[int]) -> str:
        return self._constant(torch.tensor(values, dtype=torch.int64))
