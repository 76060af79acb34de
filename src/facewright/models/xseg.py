"""XSeg: the mask of a face, drawn by a U-shaped net. models-and-training.md section 6."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facewright.models.layers import TLU, BlurPool, Conv, Dense, FRNorm, TransposedConv
from facewright.models.settings import XSegSettings

_LEVELS = ((1, 2), (2, 2), (4, 2), (8, 3), (8, 3), (8, 3))
"""Per level, full size first: width in units of the base, number of convolutions."""

_POOLS = (4, 3, 2, 2, 2, 2)
"""Width of the blur that halves each level."""

_RISEN = (1, 2, 4, 4, 4, 4)
"""Per level: width of what comes up from the level below, before the skip joins it."""

_CODE_DIMS = 512
_CODE_SIDE = 4
FAINT = 0.1
"""A mask that is fainter counts as none."""


class _Block(nn.Module):
    """Convolution k3 (plain or transposed, stride 2), filter response normalisation, thresholded linear unit."""

    def __init__(self, inputs: int, outputs: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = TransposedConv(inputs, outputs) if up else Conv(inputs, outputs, 3)
        self.frn = FRNorm(outputs)
        self.tlu = TLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H, W), `up`: (B, out, 2H, 2W)."""
        return self.tlu(self.frn(self.conv(x)))


class XSeg(nn.Module):
    """(B, 3, 256, 256) BGR float32 in 0..1 -> what of it is face. Pictures of half the side are taken too, for the
    beginning of a training: convolutions do not mind, and the innermost map is fitted to the dense layers.

    Attributes are named as the original's variables: convLI and uconvLI are the I-th blocks of level L on the way
    down and up, upL the step up into it.
    """

    name = "xseg"

    def __init__(self, settings: XSegSettings) -> None:
        super().__init__()
        self.settings = settings
        self.resolution, self.face_type = settings.resolution, settings.face_type
        self.half_side = self.resolution // 2
        n = settings.base_dims
        self._down(n)
        flat = 8 * n * _CODE_SIDE * _CODE_SIDE
        self.dense1 = Dense(flat, _CODE_DIMS)
        self.dense2 = Dense(_CODE_DIMS, flat)
        self._up(n)
        self.out_conv = Conv(n, 1, 3)

    def _down(self, n: int) -> None:
        inputs = 3
        for level, (width, count) in enumerate(_LEVELS):
            for i in range(1, count + 1):
                self.add_module(f"conv{level}{i}", _Block(inputs, width * n))
                inputs = width * n
            self.add_module(f"bp{level}", BlurPool(_POOLS[level]))

    def _up(self, n: int) -> None:
        inputs = 8 * n
        for level in reversed(range(len(_LEVELS))):
            width, count = _LEVELS[level]
            risen = _RISEN[level] * n
            self.add_module(f"up{level}", _Block(inputs, risen, up=True))
            inputs = risen + width * n
            for i in reversed(range(1, count + 1)):
                self.add_module(f"uconv{level}{i}", _Block(inputs, width * n))
                inputs = width * n

    def forward(self, image: Tensor, pretrain: bool = False) -> Tensor:
        """Logits (B, 1, H, W) float32. `pretrain` (the net paints the picture in grey): zeros for the skips, so that
        all of it must pass the code."""
        x, skips = image, []
        for level, (_, count) in enumerate(_LEVELS):
            for i in range(1, count + 1):
                x = getattr(self, f"conv{level}{i}")(x)
            skips.append(torch.zeros_like(x) if pretrain else x)
            x = getattr(self, f"bp{level}")(x)
        inner = x if x.shape[-1] == _CODE_SIDE else F.interpolate(x, size=_CODE_SIDE)
        code = self.dense2(self.dense1(inner.flatten(1))).view(inner.shape)
        x = code if x.shape[-1] == _CODE_SIDE else F.adaptive_avg_pool2d(code, x.shape[-1])
        for level in reversed(range(len(_LEVELS))):
            x = torch.cat([getattr(self, f"up{level}")(x), skips[level]], dim=1)
            for i in reversed(range(1, _LEVELS[level][1] + 1)):
                x = getattr(self, f"uconv{level}{i}")(x)
        return self.out_conv(x).float()

    def mask(self, image: Tensor) -> Tensor:
        """(B, 1, 256, 256) float32 in 0..1, 1 = face; what is fainter than 0.1 becomes 0, as in the original."""
        soft = torch.sigmoid(self(image))
        return torch.where(soft < FAINT, 0.0, soft)
