"""The net of a run with weights of a save, checked before memory is spent on it: files may come from anywhere."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from facewright.core.errors import Mismatch, NothingFound
from facewright.models import checkpoint
from facewright.models.checkpoint import Checkpoint
from facewright.models.net import NETS, fresh
from facewright.models.run_folder import RunFolder

_MOST_UNSEEN = 1 << 30
"""Weights that a net may have beyond those at hand: no net of film work is larger."""


def sizes_of(net: str, shape: Any) -> dict[str, torch.Size]:
    """Name -> size of every tensor of a net of this shape; costs no memory."""
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in fresh(NETS.load(net), shape).state_dict().items()}


def is_near(net: str, shape: Any, weights: Mapping[str, Tensor]) -> None:
    """Raise Mismatch where a net of this shape is far larger than the weights that it is to be filled with."""
    sizes = sizes_of(net, shape)
    unseen = sum(s.numel() for name, s in sizes.items() if name not in weights or weights[name].numel() != s.numel())
    if unseen > _MOST_UNSEEN + sum(weight.numel() for weight in weights.values()):
        raise Mismatch(
            "The model is said to be far larger than its files are.", why=f"{unseen:,} of its weights are not there.",
            remedy="Take the files again from where the model was trained.",
        )


def check_fit(folder: RunFolder, found: Mapping[str, torch.Size]) -> None:
    """Raise Mismatch unless these names and sizes are those of the weights of the run's net, all of them."""
    sizes = sizes_of(folder.net, folder.shape)
    odd = [name for name, size in sizes.items() if found.get(name) != size]
    odd += sorted(found.keys() - sizes.keys())
    if odd:
        raise Mismatch(
            f"A save of {folder.path.name} does not fit its net.",
            why=f"For example {odd[0]} is missing, too much or of another size.",
            remedy="Go back to another save (`facewright model info` lists them), or bring the run in again.",
            where=folder.path,
        )


def newest_save(folder: RunFolder) -> Checkpoint:
    """The save that merges, masks and exports take: the newest sound one. Raises NothingFound (nothing trained yet),
    FileRefused (none is sound)."""
    saved = checkpoint.load_latest(folder.path)
    if saved is None:
        raise NothingFound(
            f"{folder.path.name} holds no trained weights yet.",
            remedy=f"Train it first: `facewright train {folder.net} {shlex.quote(str(folder.path))}`.",
            where=folder.path,
        )
    return saved


def open_net(folder: RunFolder, weights: Mapping[str, Tensor]) -> Any:
    """The run's net with these weights, for looking: in evaluation, without gradients. Raises Mismatch."""
    check_fit(folder, {name: weight.shape for name, weight in weights.items()})
    net: nn.Module = fresh(NETS.load(folder.net), folder.shape)
    net.load_state_dict(dict(weights))
    return net.eval().requires_grad_(False)
