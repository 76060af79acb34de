"""The nets as ONNX: names, order, layout and operator sets of the original's files. Facts: spec section 8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import onnx
import torch
from torch import nn
from torch.nn import functional as F

from facewright import __version__
from facewright.core.errors import Mismatch
from facewright.models.amp import Amp, AmpEncoder, AmpInter
from facewright.models.autoencoder import Decoder, Encoder, Inter
from facewright.models.dfm_facts import FACE, MASK, MORPH, OUTPUTS
from facewright.models.layers import BlurPool, Down, Res, TransposedConv
from facewright.models.onnx_graph import Graph
from facewright.models.saehd import Saehd
from facewright.models.xseg import XSeg

_DFM_OPSET, _XSEG_OPSET = 12, 13
_BATCH = "N"


def to_onnx(net: nn.Module, facts: dict[str, str], *, half: bool = False) -> onnx.ModelProto:
    """A net of this house -> its ONNX file; `facts` become the metadata. Raises Mismatch for a net without one."""
    writer = _WRITERS.get(str(net.name))
    if writer is None:
        raise Mismatch(
            f"A {net.name} model has no ONNX form.", why="The original has none either, so nothing could open it.",
            remedy="SAEHD, AMP and XSeg models can be exported.", where=str(net.name),
        )
    return writer(net, half).model(__version__, facts)


def _saehd(net: Saehd, half: bool) -> Graph:
    g, r = Graph("SAEHD", _DFM_OPSET, half=half), net.resolution
    flat = _encoder(g, g.nchw(g.input(FACE, [_BATCH, r, r, 3])), net.encoder)
    if net.graph == "df":
        code = _inter(g, flat, net.inter)
        own = _mask(g, code, net.decoder_dst)
        face, mask = _face(g, code, net.decoder_src), _mask(g, code, net.decoder_src)
    else:
        ab = _inter(g, flat, net.inter_AB)
        own = _mask(g, g.concat(_inter(g, flat, net.inter_B), ab), net.decoder)
        code = g.concat(ab, ab)
        face, mask = _face(g, code, net.decoder), _mask(g, code, net.decoder)
    return _three(g, r, own, face, mask)


def _amp(net: Amp, half: bool) -> Graph:
    g, r = Graph("AMP", _DFM_OPSET, half=half), net.resolution
    image = g.nchw(g.input(FACE, [_BATCH, r, r, 3]))
    morph = g.input(MORPH, [1])
    flat = _encoder(g, image, net.encoder)
    src, dst = _amp_inter(g, flat, net.inter_src), _amp_inter(g, flat, net.inter_dst)
    code = g.narrow(g.choose_channels(morph, src, dst, net.inter_dims))
    own = _mask(g, g.narrow(dst), net.decoder)
    return _three(g, r, own, _face(g, code, net.decoder), _mask(g, code, net.decoder))


def _three(g: Graph, r: int, own: str, face: str, mask: str) -> Graph:
    for value, name, channels in zip((own, face, mask), OUTPUTS, (1, 3, 1)):
        g.output(value, name, [_BATCH, r, r, channels])
    return g


def _encoder(g: Graph, x: str, encoder: Encoder) -> str:
    """Code (B, N) float32. Normalised in float32, also with `half`: squares of float16 are too coarse for it."""
    for layer in encoder.modules():
        if isinstance(layer, Down):
            x = g.down(x, layer)
        elif isinstance(layer, Res):
            x = g.res(x, layer)
    x = g.wide(g.reshape(x, -1))
    if isinstance(encoder, AmpEncoder):
        return g.dense(g.pixel_norm(x), encoder.dense1)
    return g.pixel_norm(x) if encoder.normalise else x


def _inter(g: Graph, flat: str, inter: Inter) -> str:
    x = g.dense(g.dense(flat, inter.dense1), inter.dense2)
    x = g.narrow(g.reshape(x, inter.outputs, inter.grid, inter.grid))
    return x if inter.upscale1 is None else g.up(x, inter.upscale1)


def _amp_inter(g: Graph, flat: str, inter: AmpInter) -> str:
    return g.reshape(g.dense(flat, inter.dense2), *inter.shape)


def _face(g: Graph, x: str, decoder: Decoder) -> str:
    for i in range(decoder.levels):
        x = g.res(g.up(x, getattr(decoder, f"upscale{i}")), getattr(decoder, f"res{i}"))
    if not decoder.doubled:
        return g.sigmoid(g.conv(x, decoder.out_conv))
    three = (decoder.out_conv1, decoder.out_conv2, decoder.out_conv3)
    weight = torch.cat([F.pad(decoder.out_conv.weight, (1, 1, 1, 1)), *(c.weight for c in three)])
    bias = torch.cat([decoder.out_conv.bias, *(c.bias for c in three)])
    return g.sigmoid(g.depth_to_space(g.conv(x, decoder.out_conv, weight.detach(), bias.detach())))


def _mask(g: Graph, x: str, decoder: Decoder) -> str:
    for i in range(decoder.levels + decoder.doubled):
        x = g.up(x, getattr(decoder, f"upscalem{i}"))
    return g.sigmoid(g.conv(x, decoder.out_convm))


def _xseg(net: XSeg, half: bool) -> Graph:
    g, r = Graph("XSeg", _XSEG_OPSET, half=half), net.resolution
    x = g.nchw(g.input(FACE, [_BATCH, r, r, 3]))
    levels, skips, channels = range(6), [], 0

    def blocks(x: str, name: str, numbers: list[int]) -> str:
        for i in numbers:
            x = _block(g, x, getattr(net, f"{name}{i}"))
        return x

    for level in levels:
        count = sum(hasattr(net, f"conv{level}{i}") for i in range(1, 10))
        x = blocks(x, f"conv{level}", list(range(1, count + 1)))
        skips.append((x, count))
        channels = getattr(net, f"conv{level}{count}").conv.out_channels
        x = g.blur_pool(x, cast(BlurPool, getattr(net, f"bp{level}")), channels)
    flat = g.wide(g.reshape(x, -1))
    x = g.narrow(g.reshape(g.dense(g.dense(flat, net.dense1), net.dense2), channels, 4, 4))
    for level in reversed(levels):
        skip, count = skips[level]
        x = g.concat(_block(g, x, getattr(net, f"up{level}")), skip)
        x = blocks(x, f"uconv{level}", list(range(count, 0, -1)))
    g.output(g.sigmoid(g.conv(x, net.out_conv)), MASK, [_BATCH, r, r, 1])
    return g


def _block(g: Graph, x: str, block: Any) -> str:
    x = g.transposed(x, block.conv) if isinstance(block.conv, TransposedConv) else g.conv(x, block.conv)
    return g.tlu(g.frn(x, block.frn), block.tlu)


_WRITERS: dict[str, Callable[[Any, bool], Graph]] = {"saehd": _saehd, "amp": _amp, "xseg": _xseg}
