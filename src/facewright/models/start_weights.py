"""Weights that a new net may begin with: an encoder and a decoder that learned drawn heads. Their card: MODEL_CARDS.md.

Whether they help was measured: docs/decisions/015-weights-of-drawn-heads-are-an-option.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files

import torch
from torch import Tensor, nn

from facewright.core.files import sha256_of
from facewright.models.net import Net
from facewright.models.settings import SaehdSettings
from facewright.models.tensors import read_tensors

WEIGHTS = "drawn_heads.safetensors"
SHAPE = SaehdSettings(
    archi="df-ud", resolution=96, face_type="full_face", ae_dims=128, e_dims=24, d_dims=16, d_mask_dims=8
)
"""Of the net that learned them. The resolution may differ: only the inter, which stays random, depends on it."""
_FIXED = ("archi", "face_type", "ae_dims", "e_dims", "d_dims", "d_mask_dims")
_PARTS = {"encoder": "encoder", "decoder_src": "decoder", "decoder_dst": "decoder"}


def stored(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A df net's weights -> those that are kept, by the file's names: the decoder of the source stands for both."""
    parts = {name: name.partition(".") for name in tensors}
    return {
        f"{_PARTS[part]}.{rest}": tensors[name]
        for name, (part, _, rest) in parts.items() if part in _PARTS and part != "decoder_dst"
    }


def fits(net: nn.Module) -> bool:
    """Whether they are a net's: one of the same letters, widths and face type."""
    shape = getattr(net, "settings", None)
    return isinstance(shape, SaehdSettings) and all(getattr(shape, n) == getattr(SHAPE, n) for n in _FIXED)


def begin_with_drawn_heads(net: Net) -> str:
    """Give a new net its encoder and both decoders, in place; the inter, which is what two people have of their own,
    stays random. The digest of the weights; "", and nothing is changed, where they are another net's. Raises
    FileRefused (the package is damaged)."""
    if not fits(net):
        return ""
    with as_file(files("facewright.models") / WEIGHTS) as path:
        tensors, digest = read_tensors(path), sha256_of(path)
    with torch.no_grad():
        for part, theirs in _PARTS.items():
            for name, parameter in net.get_submodule(part).named_parameters():
                parameter.copy_(tensors[f"{theirs}.{name}"])
    return digest
