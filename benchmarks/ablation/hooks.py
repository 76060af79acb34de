"""Experiments with the loss that the product has not: they wrap its objective for the time of one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

L1_WEIGHT = 2.0
"""As steep as 10 squared differences where pixels are a tenth off."""
FEATURE_WEIGHT = 1.0
Terms = dict[str, Any]
Change = Callable[[Terms, Any, Any, str], Terms]


def install(name: str) -> None:
    """Let every later call of training's objective go through experiment `name`."""
    from facewright.training import swapping

    plain, change = swapping.objective, HOOKS[name]()

    def wrapped(net: str, views: Any, batch: Any, settings: Any, *, reduction: str = "sum") -> Terms:
        return change(plain(net, views, batch, settings, reduction=reduction), views, batch, reduction)

    swapping.objective = wrapped


def _sides(views: Any, batch: Any) -> list[tuple[str, Any, Any]]:
    """(name, what the net made, what it should have made) inside the soft mask, source and target."""
    from facewright.training import losses

    found = []
    for name, made, side in (("src", views.src_src, batch.src), ("dst", views.dst_dst, batch.dst)):
        cut = losses.soft_mask(side.mask, losses.mask_sigma(side.target.shape[-1]))
        found.append((name, made.float() * cut, side.target * cut))
    return found


def _l1() -> Change:
    from facewright.training.objectives import reduced

    def change(terms: Terms, views: Any, batch: Any, reduction: Any) -> Terms:
        for name, made, wanted in _sides(views, batch):
            terms[f"{name}_mse"] = L1_WEIGHT * reduced((made - wanted).abs().mean((1, 2, 3)), reduction)
        return terms

    return change


def _face_features() -> Change:
    import torch
    from benchmarks.ablation.detector import features

    from facewright.training.objectives import reduced

    see = features()

    def change(terms: Terms, views: Any, batch: Any, reduction: Any) -> Terms:
        for name, made, wanted in _sides(views, batch):
            with torch.no_grad():
                theirs = see(wanted)
            apart = [
                ((a - b).square().mean((1, 2, 3)) / b.square().mean((1, 2, 3)).clamp_min(1e-6))
                for a, b in zip(see(made), theirs)
            ]
            terms[f"{name}_features"] = FEATURE_WEIGHT * reduced(torch.stack(apart).mean(0), reduction)
        return terms

    return change


HOOKS: dict[str, Callable[[], Change]] = {"l1": _l1, "face-features": _face_features}
"""Name -> what makes the change."""
