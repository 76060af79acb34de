"""Per net: what it made + what it should have made -> named loss terms, in the order of the spec.

models-and-training.md 3.4 (SAEHD, steps 0 to 4) and the sections 4 (AMP), 5 (Quick96) and 6 (XSeg); steps 6 and 7
are in adversaries.py. Terms are summed over the batch, as the original's gradient is (quirk Q5), or averaged, as the
recipes want. Both people go through in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from facewright.models.net import Views
from facewright.training import losses

Reduction = Literal["sum", "mean"]

FACE_STYLE = 10_000.0
BG_STYLE = 10.0
AMP_OUTSIDE = 0.1
SMOOTH = 1e-6
"""Weights of the original, per whole power (100) for the styles."""


class Side(Protocol):
    """One person's half of a batch. target (N, 3, R, R), mask and priority (N, 1, R, R), float32 0..1, BGR.

    priority is the eyes-mouth mask; it is read with eyes_mouth_prio only.
    """

    @property
    def target(self) -> Tensor: ...  # noqa: D102
    @property
    def mask(self) -> Tensor: ...  # noqa: D102
    @property
    def priority(self) -> Tensor: ...  # noqa: D102


class TrainBatch(Protocol):
    """What an objective reads of a batch."""

    @property
    def src(self) -> Side: ...  # noqa: D102
    @property
    def dst(self) -> Side: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the terms; the original's constants where the settings do not say otherwise."""

    dssim: float = 10.0
    mse: float = 10.0
    mask: float = 10.0
    eyes_mouth: float = 0.0

    @classmethod
    def of(cls, settings: Any) -> Weights:
        """From attributes dssim_weight, mse_weight, mask_weight, eyes_mouth_prio, eyes_mouth_weight."""
        prio = bool(getattr(settings, "eyes_mouth_prio", False))
        return cls(
            dssim=getattr(settings, "dssim_weight", 10.0), mse=getattr(settings, "mse_weight", 10.0),
            mask=getattr(settings, "mask_weight", 10.0),
            eyes_mouth=getattr(settings, "eyes_mouth_weight", 300.0) if prio else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """What faces are compared with: target (N, 3, R, R) after blur_out_mask, mask and grown (N, 1, R, R), the mask
    grown outward with a soft edge, which is what the face is judged inside of."""

    target: Tensor
    mask: Tensor
    grown: Tensor

    @classmethod
    def of(cls, target: Tensor, mask: Tensor, settings: Any) -> Judged:
        """From a batch's target and mask; reads settings.blur_out_mask."""
        if settings.blur_out_mask:
            target = losses.blur_out_mask(target, mask)
        return cls(target, mask, losses.soft_mask(mask, losses.mask_sigma(target.shape[-1])))


def objective(
    net_name: str, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum"
) -> dict[str, Tensor]:
    """Named scalar terms `src_dssim, src_mse, [src_eyes_mouth,] src_mask, dst_...` and what else the net has; the
    loss is their sum. `views` must hold what `views_needed` says.

    `settings`: masked_training (SAEHD) and blur_out_mask (SAEHD, AMP), the attributes that Weights reads, and
    face_style_power and bg_style_power where there are such.
    """
    per_sample = OBJECTIVES[net_name](views, batch, settings)
    return {name: reduced(values, reduction) for name, values in per_sample.items()}


def reduced(values: Tensor, reduction: Reduction) -> Tensor:
    """(N,) values per sample -> a scalar."""
    return values.sum() if reduction == "sum" else values.mean()


def reported(terms: dict[str, Tensor], batch_size: int, *, reduction: Reduction = "sum") -> dict[str, Tensor]:
    """The two figures that the user sees: src_loss and dst_loss, batch means, detached (no sync). What belongs to no
    side (adversaries, AMP's surroundings) is not in them."""
    scale = 1 / batch_size if reduction == "sum" else 1.0
    return {
        f"{side}_loss": torch.stack([t.detach() for n, t in terms.items() if n.startswith(f"{side}_")]).sum() * scale
        for side in ("src", "dst")
    }


def power(settings: Any, name: str) -> float:
    """A power of the settings, 0 where they have none and while pretraining: no style, no adversary then (quirk Q8)."""
    return 0.0 if getattr(settings, "pretrain", False) else float(getattr(settings, name, 0.0))


def views_needed(settings: Any) -> dict[str, bool]:
    """What the net's forward pass must also make at these settings: its keyword arguments swap, style and codes."""
    return {
        "swap": power(settings, "bg_style_power") > 0, "style": power(settings, "face_style_power") > 0,
        "codes": power(settings, "true_face_power") > 0,
    }


def smoothness_axes(settings: Any) -> tuple[int, int]:
    """Axes of the pictures that total variation looks along: rows and columns; for parity channels and rows, as the
    original's nets do on GPUs (quirk Q3)."""
    return (1, 2) if getattr(settings, "parity", "none") == "dfl" else (2, 3)


def saehd(views: Views, batch: TrainBatch, settings: Any) -> dict[str, Tensor]:
    """Term -> (N,) values per sample."""
    judged = Judged.of(_both(batch, "target"), _both(batch, "mask"), settings)
    weights = Weights.of(settings)
    face, face_mask = _made(views)
    terms = _reconstruction(face, judged.target, judged.grown if settings.masked_training else None, weights)
    if weights.eyes_mouth:
        terms["eyes_mouth"] = _eyes_mouth(face, judged, batch, weights)
    terms["mask"] = weights.mask * losses.mean_square(judged.mask, face_mask)
    return _by_side(terms) | _styles(views, judged, settings)


def quick96(views: Views, batch: TrainBatch, settings: Any) -> dict[str, Tensor]:
    """Term -> (N,) values per sample. Always masked, by the plain blur: softer than SAEHD's (quirk Q23)."""
    target, mask = _both(batch, "target"), _both(batch, "mask")
    face, face_mask = _made(views)
    weights = Weights.of(settings)
    blurred = losses.gaussian_blur(mask, losses.mask_sigma(target.shape[-1]))
    terms = _reconstruction(face, target, blurred, weights)
    if weights.eyes_mouth:
        terms["eyes_mouth"] = _eyes_mouth(face, Judged(target, mask, blurred), batch, weights)
    terms["mask"] = weights.mask * losses.mean_square(mask, face_mask)
    return _by_side(terms)


def amp(views: Views, batch: TrainBatch, settings: Any) -> dict[str, Tensor]:
    """Term -> (N,) values per sample. Always masked, two windows at any size, and the target's surroundings count a
    little: `outside` and `smooth`, which the reported losses leave out."""
    judged = Judged.of(_both(batch, "target"), _both(batch, "mask"), settings)
    weights = Weights.of(settings)
    face, face_mask = _made(views)
    terms = _reconstruction(face, judged.target, judged.grown, weights, always_two=True)
    if weights.eyes_mouth:
        terms["eyes_mouth"] = _eyes_mouth(face, judged, batch, weights)
    terms["mask"] = weights.mask * losses.mean_square(judged.mask, face_mask)
    half = len(face) // 2
    outside = 1 - judged.grown[half:]
    around = views.dst_dst * outside
    return _by_side(terms) | {
        "outside": AMP_OUTSIDE * losses.mean_square(around, judged.target[half:] * outside),
        "smooth": SMOOTH * losses.total_variation_mse(around, smoothness_axes(settings)),
    }


OBJECTIVES = {"saehd": saehd, "quick96": quick96, "amp": amp}
"""Net name -> its terms per sample."""


def mask_objective(
    logits: Tensor, wanted: Tensor, *, pretrain: bool = False, reduction: Reduction = "sum"
) -> dict[str, Tensor]:
    """XSeg: logits (B, 1, R, R) and the mask (B, 1, R, R) of 0 and 1 -> `cross_entropy`; `pretrain`: and the input
    in grey (see `grey`) -> `dssim` and `mse` of sigmoid(logits)."""
    if pretrain:
        sizes = losses.dssim_sizes(wanted.shape[-1], always_two=True)
        terms = _compared(torch.sigmoid(logits.float()), wanted, sizes, Weights())
    else:
        terms = {"cross_entropy": losses.cross_entropy(logits, wanted)}
    return {name: reduced(values, reduction) for name, values in terms.items()}


def grey(picture: Tensor) -> Tensor:
    """(B, 3, H, W) BGR -> (B, 1, H, W): 0.114 B + 0.587 G + 0.299 R."""
    return torch.einsum("bchw,c->bhw", picture, picture.new_tensor((0.114, 0.587, 0.299))).unsqueeze(1)


def _styles(views: Views, judged: Judged, settings: Any) -> dict[str, Tensor]:
    """Step 4, source's side: the swap's colours inside the mask like the target's own face, outside like its picture.

    The background is cut by the source's grown mask where a product of predicted masks was evidently meant (quirk
    Q6, kept for parity).
    """
    face, background = power(settings, "face_style_power") / 100, power(settings, "bg_style_power") / 100
    resolution, half = judged.target.shape[-1], len(judged.target) // 2
    terms = {}
    if face:
        if views.src_dst_styled is None or views.src_dst_mask is None:
            raise ValueError("face style needs a forward pass with style=True")
        mine = views.src_dst_styled * views.src_dst_mask.detach()
        own = (views.dst_dst * views.dst_dst_mask).detach()
        terms["src_face_style"] = losses.style_loss(mine, own, resolution // 8, FACE_STYLE * face)
    if background:
        if views.src_dst is None:
            raise ValueError("background style needs a forward pass with swap=True")
        outside = 1 - judged.grown[:half]
        compared = (views.src_dst * outside, judged.target[half:] * outside)
        size = losses.dssim_sizes(resolution)[0]
        terms["src_bg_style"] = BG_STYLE * background * (losses.dssim(*compared, size) + losses.mean_square(*compared))
    return terms


def _reconstruction(
    face: Tensor, target: Tensor, cut: Tensor | None, weights: Weights, *, always_two: bool = False
) -> dict[str, Tensor]:
    if cut is not None:
        face, target = face * cut, target * cut
    return _compared(face, target, losses.dssim_sizes(target.shape[-1], always_two=always_two), weights)


def _compared(made: Tensor, target: Tensor, sizes: tuple[int, ...], weights: Weights) -> dict[str, Tensor]:
    dissimilar = torch.stack([losses.dssim(made, target, size) for size in sizes]).mean(0)
    return {"dssim": weights.dssim * dissimilar, "mse": weights.mse * losses.mean_square(made, target)}


def _eyes_mouth(face: Tensor, judged: Judged, batch: TrainBatch, weights: Weights) -> Tensor:
    """Against the target after step 0, not cut by the mask."""
    return weights.eyes_mouth * losses.mean_absolute(judged.target, face, _both(batch, "priority"))


def _made(views: Views) -> tuple[Tensor, Tensor]:
    """Own faces and masks, source first, (2N, ...)."""
    return torch.cat([views.src_src, views.dst_dst]), torch.cat([views.src_src_mask, views.dst_dst_mask])


def _both(batch: TrainBatch, name: str) -> Tensor:
    return torch.cat([getattr(batch.src, name), getattr(batch.dst, name)])


def _by_side(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Term -> (2N,) values, source first -> src_term, then dst_term -> (N,)."""
    halves = {name: values.chunk(2) for name, values in terms.items()}
    return {f"{side}_{name}": half[i] for i, side in enumerate(("src", "dst")) for name, half in halves.items()}
