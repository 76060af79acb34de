"""Leaving pretraining: what is one person's begins afresh, what holds for faces in general stays.

models-and-training.md 3.6 (df: the inter; liae: both inters; optimiser state and its counter stay) and section 6 (XSeg
keeps all weights); rows G225 and G226.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from facewright.models import checkpoint
from facewright.models.checkpoint import Checkpoint
from facewright.models.net import build
from facewright.models.retention import Keep
from facewright.models.run_folder import RunFolder
from facewright.training.reset import parts_of, renewed
from facewright.training.snapshots import journal, keep_current

KEPT_AS = "pretrained"
"""Name of the snapshot of a pretrained net."""


def of_many(found: Checkpoint | None) -> bool:
    """Whether a save is one of pretraining."""
    return found is not None and bool(dict(found.extra.get("train") or {}).get("pretrain"))


def personal(net: str, found: Checkpoint) -> tuple[str, ...]:
    """The parts of a net that are one person's: the inters of SAEHD and Quick96. AMP's are random for good (Q13)."""
    return tuple(part for part in parts_of(found) if part.startswith("inter")) if net in ("saehd", "quick96") else ()


def leave(run: Path, found: Checkpoint, seed: int) -> tuple[str, ...]:
    """Make `found`, the newest save of `run`, the beginning of a training on two people: iteration 0, no time used.

    It stays as a snapshot. Returns the parts that begin afresh, from `seed`. Raises DiskRefused, FileRefused: then, and
    killed on the way, the next start leaves it again.
    """
    folder = RunFolder.open(run)
    parts = personal(folder.net, found)
    tensors: dict[str, dict[str, Tensor]] = {}
    if parts:
        fresh = build(folder.net, folder.shape, seed=seed).state_dict()  # type: ignore[arg-type]
        for name, old in (("weights", found.weights()), ("ema", found.ema())):
            if old is not None:
                tensors[name] = renewed(old, fresh, parts)
    kept_as = keep_current(run, KEPT_AS)
    keep = int(dict(found.extra["train"]).get("keep", 3))
    anew: dict[str, Any] = {"train": {}, "used_s": 0.0, "place": {}, "comparable_from": 0, "adversaries": {},
                            "growing": True}
    # The journal first: a save at iteration 0 whose past nobody closed would take up pretraining's settings.
    journal(run, "pretrained", iteration=found.iteration, parts=list(parts), seed=seed, kept_as=kept_as)
    checkpoint.save_changed(run, found, tensors, anew, Keep(newest=keep), iteration=0)
    return parts
