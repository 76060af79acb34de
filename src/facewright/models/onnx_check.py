"""An exported ONNX file against the net it was made of: the same pictures through both."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from facewright.models.dfm_facts import FACE, MASK, MORPH, OUTPUTS

_MORPHS = (0.0, 0.37, 1.0)
_SEED = 20


@torch.inference_mode()
def compare(net: Any, file: Path) -> float:
    """Largest absolute difference of any output, over a batch of two pictures and a single one; AMP at three morphs.

    NaN when a number is none. Nets that swap, and XSeg (before its rule that what is faint becomes 0).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # a warning for each unused constant helps nobody
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (2, 1):
        images = pictures(batch, net.resolution)
        for feed, wanted in _asked(net, images):
            names = [output.name for output in session.get_outputs()]
            found = dict(zip(names, session.run(None, feed), strict=True))
            for name, value in wanted.items():
                worst = float(np.maximum(worst, np.abs(found[name] - _nhwc(value)).max()))
    return worst


@torch.inference_mode()
def last_bit(net: Any, side: int) -> float:
    """How far a net's outputs move when every weight is changed in its last bit: no two programs that add in another
    order can be expected to agree better than that."""
    other = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(_SEED)
    for parameter in other.parameters():
        up = torch.rand(parameter.shape, generator=generator) < 0.5
        parameter.copy_(torch.nextafter(parameter, torch.where(up, torch.inf, -torch.inf)))
    images = pictures(2, side)
    pairs = zip(_asked(net, images), _asked(other, images))
    return max(
        float((wanted[name] - found[name]).abs().max()) for (_, wanted), (_, found) in pairs for name in wanted
    )


def pictures(batch: int, side: int) -> np.ndarray:
    """(B, R, R, 3) float32 0..1: soft shapes with some grain, as faces have both."""
    rng = np.random.default_rng(_SEED)
    soft = torch.from_numpy(rng.random((batch, 3, 6, 6), np.float32))
    big = F.interpolate(soft, size=(side, side), mode="bicubic", align_corners=False)
    grain = torch.from_numpy(rng.normal(0, 0.02, big.shape).astype(np.float32))
    return _nhwc((big + grain).clamp(0, 1))


def _asked(net: Any, images: np.ndarray) -> list[tuple[dict[str, np.ndarray], dict[str, torch.Tensor]]]:
    """(what the file is fed, what torch says): one pair, or one a morph."""
    x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    if net.name == "xseg":
        return [({FACE: images}, {MASK: torch.sigmoid(net(x))})]
    if net.name != "amp":
        return [({FACE: images}, _three(net.swap(x)))]
    return [
        ({FACE: images, MORPH: np.array([m], np.float32)}, _three(net.swap(x, morph=m))) for m in _MORPHS
    ]


def _three(swap: Any) -> dict[str, torch.Tensor]:
    return dict(zip(OUTPUTS, (swap.mask_own, swap.image, swap.mask_swap), strict=True))


def _nhwc(x: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())
