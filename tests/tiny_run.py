"""A run of a tiny net as training leaves it, without any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from facewright.core.settings import check
from facewright.models import checkpoint
from facewright.models.net import Net, build
from facewright.models.run_folder import RunFolder
from facewright.models.settings import SaehdSettings
from facewright.training import history
from facewright.training.curve import LossFile
from facewright.training.lesson import loss_key
from facewright.training.optim import AdaBelief, Ema
from facewright.training.settings import SaehdTrain

SHAPE = {"archi": "liae-ud", "resolution": 64, "ae_dims": 32, "e_dims": 16, "d_dims": 16, "d_mask_dims": 16}


def make(run: Path, saves: tuple[int, ...] = (10, 20), *, shape: dict[str, Any] | None = None, **train: Any) -> Net:
    """A run with a save (weights of its own, optimiser, mean) and losses at each of `saves`; returns the net."""
    settings, form = check(SaehdTrain, {"iterations": saves[-1], **train}), check(SaehdSettings, shape or SHAPE)
    people = [{"role": "source_likeness", "consent": "sha256:" + "1" * 64, "person": "a", "where": "/home/x/src",
               "footage_sha256": []}]
    data = {"src": {"where": "/home/x/src", "person": "a", "faces": 12, "digest": "5" * 64}}
    folder = RunFolder.create(run, "saehd", form, {"likenesses": people, "data": data})
    net = build("saehd", form, seed=1)
    history.note(folder.history, "start", iteration=0, given=settings.model_dump(), settings=settings.model_dump(),
                 src="5" * 64, dst="6" * 64, device="cpu", precision="float32", batch=2)
    grow(run, net, saves, settings)
    history.note(folder.history, "end", iteration=saves[-1])
    return net


def grow(run: Path, net: Net, saves: tuple[int, ...], settings: SaehdTrain, level: float = 2.0) -> None:
    """More saves, as training would make them."""
    optimiser, ema = AdaBelief(list(net.named_parameters())), Ema(net.named_parameters())
    for iteration in saves:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.001)
                parameter.grad = torch.ones_like(parameter)
        optimiser.step()
        ema.update()
        last = checkpoint.load_latest(run)
        at = np.arange((last.iteration if last else 0) + 1, iteration + 1)
        both = np.stack([level * at**-0.3, 1.1 * level * at**-0.3], 1).astype(np.float32)
        LossFile(run / "losses.bin", int(at[0]) - 1).add(at.tolist(), both)
        extra = {"used_s": 0.5 * iteration, "train": settings.model_dump(), "ema_updates": ema.updates,
                 "device": "cpu", "threads": 1}
        checkpoint.save(run, iteration, net, optimiser, ema.tensors(), settings=net.settings.model_dump(), extra=extra,
                        loss=float(both[-1].sum()), loss_key=loss_key(settings), now_s=1.7e9 + iteration)


def picture(run: Path) -> dict[str, bytes]:
    """Every file of a run by its name in it: equal pictures, equal runs."""
    return {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}
