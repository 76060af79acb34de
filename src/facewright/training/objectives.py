"""Per net: what it made + what it should have made -> named loss terms, in the order of the spec.

models-and-training.md 3.4 (SAEHD, steps 0 to 3) and section 5 (Quick96). Terms are summed over the batch, as the
original's gradient is (quirk Q5), or averaged, as the recipes want. Both people go through in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from facewright.models.net import Views
from facewright.training import losses

Reduction = Literal["sum", "mean"]


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


def objective(
    net_name: str, views: Views, batch: TrainBatch, settings: Any, *, reduction: Reduction = "sum"
) -> dict[str, Tensor]:
    """Named scalar terms `src_dssim, src_mse, [src_eyes_mouth,] src_mask, dst_...`; the loss is their sum.

    `settings`: masked_training and blur_out_mask (SAEHD) and the attributes that Weights reads.
    """
    per_sample = OBJECTIVES[net_name](views, batch, settings)
    half = len(batch.src.target)
    terms: dict[str, Tensor] = {}
    for side, part in (("src", slice(None, half)), ("dst", slice(half, None))):
        for name, values in per_sample.items():
            mine = values[part]
            terms[f"{side}_{name}"] = mine.sum() if reduction == "sum" else mine.mean()
    return terms


def reported(terms: dict[str, Tensor], batch_size: int, *, reduction: Reduction = "sum") -> dict[str, Tensor]:
    """The two figures that the user sees: src_loss and dst_loss, batch means, detached (no sync)."""
    scale = 1 / batch_size if reduction == "sum" else 1.0
    return {
        f"{side}_loss": torch.stack([t.detach() for n, t in terms.items() if n.startswith(f"{side}_")]).sum() * scale
        for side in ("src", "dst")
    }


def saehd(views: Views, batch: TrainBatch, settings: Any) -> dict[str, Tensor]:
    """Term -> (2N,) values per sample, source first."""
    target, mask = _both(batch, "target"), _both(batch, "mask")
    face, face_mask = torch.cat([views.src_src, views.dst_dst]), torch.cat([views.src_src_mask, views.dst_dst_mask])
    resolution = target.shape[-1]
    weights = Weights.of(settings)
    if settings.blur_out_mask:
        target = losses.blur_out_mask(target, mask)
    grown = losses.soft_mask(mask, losses.mask_sigma(resolution)) if settings.masked_training else None
    terms = _reconstruction(face, target, grown, weights)
    if weights.eyes_mouth:
        # The target after step 0, not cut by the mask.
        priority = _both(batch, "priority")
        terms["eyes_mouth"] = weights.eyes_mouth * losses.mean_absolute(target, face, priority)
    terms["mask"] = weights.mask * losses.mean_square(mask, face_mask)
    return terms


def quick96(views: Views, batch: TrainBatch, settings: Any) -> dict[str, Tensor]:
    """Term -> (2N,) values per sample. Always masked, by the plain blur: softer than SAEHD's (quirk Q23)."""
    target, mask = _both(batch, "target"), _both(batch, "mask")
    face, face_mask = torch.cat([views.src_src, views.dst_dst]), torch.cat([views.src_src_mask, views.dst_dst_mask])
    weights = Weights.of(settings)
    blurred = losses.gaussian_blur(mask, losses.mask_sigma(target.shape[-1]))
    terms = _reconstruction(face, target, blurred, weights)
    if weights.eyes_mouth:
        terms["eyes_mouth"] = weights.eyes_mouth * losses.mean_absolute(target, face, _both(batch, "priority"))
    terms["mask"] = weights.mask * losses.mean_square(mask, face_mask)
    return terms


OBJECTIVES = {"saehd": saehd, "quick96": quick96}
"""Net name -> its terms per sample."""


def _reconstruction(face: Tensor, target: Tensor, cut: Tensor | None, weights: Weights) -> dict[str, Tensor]:
    if cut is not None:
        face, target = face * cut, target * cut
    sizes = losses.dssim_sizes(target.shape[-1])
    dissimilar = torch.stack([losses.dssim(face, target, size) for size in sizes]).mean(0)
    return {"dssim": weights.dssim * dissimilar, "mse": weights.mse * losses.mean_square(face, target)}


def _both(batch: TrainBatch, name: str) -> Tensor:
    return torch.cat([getattr(batch.src, name), getattr(batch.dst, name)])
