"""SAEHD: df (one decoder per person) and liae (one decoder, two inters). models-and-training.md 3.3 and 9."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from facewright.models.autoencoder import Decoder, Encoder, Inter
from facewright.models.net import Net, Swap, Views
from facewright.models.settings import ShapeSettings, split_archi


class Saehd(Net):
    """Both people's faces go through the shared encoder in one batch."""

    name = "saehd"

    def __init__(self, settings: ShapeSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.resolution, self.face_type = s.resolution, s.face_type
        self.graph = split_archi(s.archi)[0]
        self.encoder = Encoder(s.archi, s.resolution, s.e_dims)
        inputs = self.encoder.outputs
        if self.graph == "df":
            self.inter = Inter(s.archi, s.resolution, inputs, s.ae_dims, s.ae_dims)
            self.decoder_src = Decoder(s.archi, s.ae_dims, s.d_dims, s.d_mask_dims)
            self.decoder_dst = Decoder(s.archi, s.ae_dims, s.d_dims, s.d_mask_dims)
        else:
            self.inter_AB = Inter(s.archi, s.resolution, inputs, s.ae_dims, 2 * s.ae_dims)
            self.inter_B = Inter(s.archi, s.resolution, inputs, s.ae_dims, 2 * s.ae_dims)
            self.decoder = Decoder(s.archi, 4 * s.ae_dims, s.d_dims, s.d_mask_dims)

    def forward(self, src: Tensor, dst: Tensor, *, swap: bool = False) -> Views:
        """See Net."""
        flat = self.encoder(torch.cat([src, dst]))
        return (self._views_df if self.graph == "df" else self._views_liae)(flat, len(src), swap)

    def _views_df(self, flat: Tensor, n_src: int, swap: bool) -> Views:
        code = self.inter(flat)
        code_src, code_dst = code[:n_src], code[n_src:]
        # One pass of the source's decoder serves its own face and, when asked, the swap.
        face, mask = self.decoder_src(code if swap else code_src)
        own, own_mask = self.decoder_dst(code_dst)
        if not swap:
            return Views(face, mask, own, own_mask)
        return Views(face[:n_src], mask[:n_src], own, own_mask, face[n_src:], mask[n_src:])

    def _views_liae(self, flat: Tensor, n_src: int, swap: bool) -> Views:
        ab = self.inter_AB(flat)
        ab_src, ab_dst = ab[:n_src], ab[n_src:]
        codes = [_join(ab_src, ab_src), _join(self.inter_B(flat[n_src:]), ab_dst)]
        if swap:
            codes.append(_join(ab_dst, ab_dst))
        face, mask = self.decoder(torch.cat(codes))
        sizes = [len(c) for c in codes]
        faces, masks = face.split(sizes), mask.split(sizes)
        views = Views(faces[0], masks[0], faces[1], masks[1])
        return replace(views, src_dst=faces[2], src_dst_mask=masks[2]) if swap else views

    def swap(self, face: Tensor) -> Swap:
        """See Net."""
        flat = self.encoder(face)
        if self.graph == "df":
            code = self.inter(flat)
            image, mask = self.decoder_src(code)
            return Swap(image, mask, self.decoder_dst.mask(code))
        ab = self.inter_AB(flat)
        image, mask = self.decoder(_join(ab, ab))
        return Swap(image, mask, self.decoder.mask(_join(self.inter_B(flat), ab)))

    def trainable(self, random_warp: bool) -> list[tuple[str, nn.Parameter]]:
        """All; of liae without random warp all but inter_AB (quirk Q4, kept)."""
        frozen = "inter_AB." if self.graph == "liae" and not random_warp else None
        return [(n, p) for n, p in self.named_parameters() if frozen is None or not n.startswith(frozen)]


def _join(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], dim=1)
