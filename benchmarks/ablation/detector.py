"""YuNet's backbone in torch, differentiable: features of a face net that the judge of a swap does not use.

The judge reads a swap with the landmark mesh and MobileFace; MobileFace V3 is not among the weights at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LAYERS = (4, 14, 20)
"""How many nodes of the graph until each feature map: 1/2, 1/4 and 1/8 of the picture, 16, 64 and 64 channels."""


def features(weights: Path | None = None, layers: tuple[int, ...] = LAYERS) -> Callable[[Tensor], list[Tensor]]:
    """(N, 3, H, W) float32 BGR 0..1 -> one feature map per layer, float32, also under autocast."""
    nodes = _backbone(weights, max(layers) + 1)

    def see(images: Tensor) -> list[Tensor]:
        found, x = [], images.float() * 255
        with torch.autocast(images.device.type, enabled=False):
            for i, node in enumerate(nodes):
                x = node(x)
                if i in layers:
                    found.append(x)
        return found

    return see


def _backbone(weights: Path | None, count: int) -> list[Callable[[Tensor], Tensor]]:
    """The graph's first nodes: a plain chain of convolutions, ReLUs and poolings."""
    import onnx
    from onnx import numpy_helper

    from facewright.core.weights import resolve

    graph = onnx.load(weights or resolve("yunet_n")).graph
    stored = {w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in graph.initializer}
    made, before = [], graph.input[0].name
    for node in graph.node[:count]:
        if node.input[0] != before:
            raise ValueError(f"{node.op_type} {node.output[0]} does not follow {before}")
        before = node.output[0]
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        made.append(NODES[node.op_type](options, [stored[name] for name in node.input[1:]]))
    return made


def _conv(options: dict[str, Any], arrays: list[Tensor]) -> Callable[[Tensor], Tensor]:
    stride, padding, groups = options["strides"], options["pads"][:2], options["group"]
    return lambda x: F.conv2d(x, *(a.to(x.device) for a in arrays), stride=stride, padding=padding, groups=groups)


def _pool(options: dict[str, Any], arrays: list[Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: F.max_pool2d(x, options["kernel_shape"], options["strides"])


NODES: dict[str, Callable[[dict[str, Any], list[Tensor]], Callable[[Tensor], Tensor]]] = {
    "Conv": _conv, "MaxPool": _pool, "Relu": lambda options, arrays: torch.relu,
}
"""Operation -> what makes its function from its attributes and arrays."""
