"""AMP: one decoder for both people, whose code mixes the channels of two inters. models-and-training.md section 4.

The source's face is learned from a mixture (some channels by its own inter, the rest by the target's), so that
afterwards any share of the source's channels makes a face: the morph value doses the likeness.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facewright.models.autoencoder import Decoder, Encoder
from facewright.models.layers import Dense, pixel_norm
from facewright.models.net import Net, Swap, Views
from facewright.models.settings import AmpSettings

_ENCODER, _DECODER = "df-ut", "df-dt"
"""AMP has no letters; its convolutions are those that these ones give."""


class AmpEncoder(Encoder):
    """(B, 3, R, R) in 0..1 -> (B, ae) float32: the deep encoder, pixel norm and the dense layer that SAEHD's inter
    begins with."""

    def __init__(self, resolution: int, e: int, ae: int) -> None:
        super().__init__(_ENCODER, resolution, e)
        self.dense1 = Dense(self.outputs, ae)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        *convolutions, dense = self.children()
        return dense(pixel_norm(self.seen(x, *convolutions).flatten(1)))


class AmpInter(nn.Module):
    """(B, ae) -> code (B, inter_dims, R/32, R/32): one dense layer without activation."""

    def __init__(self, resolution: int, ae: int, inter_dims: int) -> None:
        super().__init__()
        self.shape = (inter_dims, resolution // 32, resolution // 32)
        self.dense2 = Dense(ae, inter_dims * self.shape[1] * self.shape[2])

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.dense2(x).view(-1, *self.shape)


class Amp(Net):
    """Both people's faces go through encoder and decoder in one batch."""

    name = "amp"

    def __init__(self, settings: AmpSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.resolution, self.face_type = s.resolution, s.face_type
        self.inter_dims = s.inter_dims
        self.mixed = int(s.inter_dims * s.morph_factor)
        self.encoder = AmpEncoder(s.resolution, s.e_dims, s.ae_dims)
        self.inter_src = AmpInter(s.resolution, s.ae_dims, s.inter_dims)
        self.inter_dst = AmpInter(s.resolution, s.ae_dims, s.inter_dims)
        self.decoder = Decoder(_DECODER, s.inter_dims, s.d_dims, s.d_mask_dims)

    def forward(
        self, src: Tensor, dst: Tensor, *, swap: bool = False, codes: bool = False, style: bool = False,
        mix: Tensor | None = None,
    ) -> Views:
        """See Net. `mix` (B, inter_dims, 1, 1): 1 where the source's inter makes a channel of the source's code, 0
        where the target's does; None: the first `mixed` channels, the same in every sample (see `draw_mix`).

        The swap is that of morph 1. Raises ValueError for `codes` and `style`: AMP has no such losses.
        """
        if codes or style:
            raise ValueError("AMP has neither true face nor style losses")
        flat = self.encoder(torch.cat([src, dst]))
        flat_src, flat_dst = flat[: len(src)], flat[len(src) :]
        own = self.inter_dst(flat)
        kept = self._first(self.mixed) if mix is None else mix.bool()
        mixture = torch.where(kept, self.inter_src(flat_src), own[: len(src)])
        parts = [mixture, own[len(src) :]] + ([self.inter_src(flat_dst)] if swap else [])
        sizes = [len(p) for p in parts]
        face, mask = self.decoder(self.fitted(torch.cat(parts), src))
        views = [x for pair in zip(face.split(sizes), mask.split(sizes)) for x in pair]
        return Views(*views)

    @property
    def code_side(self) -> int:
        """See Net."""
        return self.inter_src.shape[1]

    def draw_mix(self, batch: int, generator: torch.Generator) -> Tensor:
        """(batch, inter_dims, 1, 1) float32 on the generator's device: `mixed` ones per sample, anywhere."""
        draws = torch.rand(batch, self.inter_dims, generator=generator, device=generator.device)
        return (draws.argsort(1) < self.mixed).float()[..., None, None]

    def swap(self, face: Tensor, morph: float | Tensor = 1.0) -> Swap:
        """See Net. `morph` 0..1 (a number, or a tensor of one): the share of the channels, from the first on, that the
        source's inter makes: 0 leaves the target's looks, 1 is the source's."""
        flat = self.encoder(face)
        own = self.inter_dst(flat)
        code = torch.where(self._first(morph * self.inter_dims), self.inter_src(flat), own)
        image, mask = self.decoder(code)
        return Swap(image, mask, self.decoder.mask(own))

    def trainable(self, random_warp: bool, train_inters: bool = False) -> list[tuple[str, nn.Parameter]]:
        """Encoder and decoder; the inters keep their random start values, as the original's do (quirk Q13), unless
        `train_inters`. `random_warp` makes no difference."""
        return [(n, p) for n, p in self.named_parameters() if train_inters or not n.startswith("inter_")]

    def _first(self, count: float | Tensor) -> Tensor:
        """(1, inter_dims, 1, 1) bool: the first floor(count) channels. Also of a traced count: exports keep it free."""
        device = self.decoder.out_conv.weight.device
        ordinal = torch.arange(1, self.inter_dims + 1, dtype=torch.float32, device=device)
        return (ordinal <= count)[None, :, None, None]
