"""SAEHD: df (one decoder per person) and liae (one decoder, two inters). models-and-training.md 3.3 and 9."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from facewright.models.autoencoder import Decoder, Encoder, Inter
from facewright.models.net import Net, Swap, Views
from facewright.models.settings import LetteredSettings, split_archi


class Saehd(Net):
    """Both people's faces go through the shared encoder in one batch."""

    name = "saehd"

    def __init__(self, settings: LetteredSettings) -> None:
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

    def forward(
        self, src: Tensor, dst: Tensor, *, swap: bool = False, codes: bool = False, style: bool = False
    ) -> Views:
        """See Net. Raises ValueError for `codes` of a liae net: true face is df's."""
        if codes and self.graph != "df":
            raise ValueError("only df nets have one code per person")
        flat = self.encoder(torch.cat([src, dst]))
        if self.graph == "df":
            return self._views_df(self.fitted(self.inter(flat), src), len(src), swap, style, codes)
        ab, b_dst = self.inter_AB(flat), self.inter_B(flat[len(src) :])
        return self._views_liae(self.fitted(ab, src), self.fitted(b_dst, src), swap, style)

    @property
    def code_side(self) -> int:
        """See Net."""
        return (self.inter if self.graph == "df" else self.inter_B).side

    def _views_df(self, code: Tensor, n_src: int, swap: bool, style: bool, codes: bool) -> Views:
        code_src, code_dst = code[:n_src], code[n_src:]
        # One pass of the source's decoder serves its own face and whatever is asked of the swap.
        faces, masks = _decode(self.decoder_src, [code_src], code_dst, swap, style)
        views = Views(faces[0], masks[0], *self.decoder_dst(code_dst))
        views = _with_swap(views, faces[1:], masks[1:], swap, style)
        return replace(views, src_code=code_src, dst_code=code_dst) if codes else views

    def _views_liae(self, ab: Tensor, b_dst: Tensor, swap: bool, style: bool) -> Views:
        ab_src, ab_dst = ab[: -len(b_dst)], ab[-len(b_dst) :]
        own = [_join(ab_src, ab_src), _join(b_dst, ab_dst)]
        faces, masks = _decode(self.decoder, own, _join(ab_dst, ab_dst), swap, style)
        return _with_swap(Views(faces[0], masks[0], faces[1], masks[1]), faces[2:], masks[2:], swap, style)

    def swap(self, face: Tensor, morph: float | Tensor = 1.0) -> Swap:
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


def _decode(
    decoder: Decoder, own: list[Tensor], swapped: Tensor, swap: bool, style: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Faces and masks of the codes `own`, then of `swapped` (swap), then of `swapped` without gradient (style: only
    its face, when the swap brought the mask)."""
    codes = [*own, *([swapped] if swap else []), *([swapped.detach()] if style else [])]
    masked = codes[:-1] if swap and style else codes
    faces = decoder.face(torch.cat(codes)).split([len(c) for c in codes])
    masks = decoder.mask(torch.cat(masked)).split([len(c) for c in masked])
    return list(faces), list(masks)


def _with_swap(views: Views, faces: list[Tensor], masks: list[Tensor], swap: bool, style: bool) -> Views:
    """`views` with what `_decode` made beyond the net's own faces."""
    if not faces:
        return views
    return replace(
        views, src_dst=faces[0] if swap else None, src_dst_mask=masks[0], src_dst_styled=faces[-1] if style else None
    )


def _join(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second], dim=1)
