"""Start one net within a run afresh and keep everything else: rows G173, G252; the recipe of deleting inter_AB.npy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facewright.models import checkpoint
from facewright.models.checkpoint import Checkpoint
from facewright.models.net import NETS, fresh
from facewright.models.retention import Keep
from facewright.models.run_folder import RunFolder
from facewright.training.snapshots import journal, keep_current, newest, settle
from facewright.training.stages import picked
from facewright.training.training import Training

ALL = "all"
"""Name that stands for every part of a net."""


@dataclass(frozen=True, slots=True)
class Reset:
    """What was done: `parts` start afresh from `seed` at `iteration`; `kept_as` is the snapshot of before."""

    parts: tuple[str, ...]
    iteration: int
    seed: int
    kept_as: str
    notes: tuple[str, ...]


def parts_of(found: Checkpoint) -> tuple[str, ...]:
    """The nets within a saved net, in its own order: encoder, inter_AB ..."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in found.weights()))


def chosen(found: Checkpoint, network: str) -> tuple[str, ...]:
    """The parts called `network`, or `network`_something (inter = inter_AB and inter_B). Raises SettingRefused."""
    return picked(parts_of(found), network)


def part_names(net: str, shape: Any) -> tuple[str, ...]:
    """The nets within a net of this shape, before there is one; costs no memory."""
    with torch.device("meta"):
        return tuple(dict(fresh(NETS.load(net), shape).named_children()))


def reset_live(t: Training[Any], network: str, seed: int) -> tuple[str, ...]:
    """The same for a training at work, in its memory: weights, running mean, the optimiser's memory of them. Returns
    the parts. Raises SettingRefused."""
    parts = picked(tuple(dict(t.net.named_children())), network)
    start = fresh(type(t.net), t.net.settings, seed=seed).state_dict()
    with torch.no_grad():
        for tensors in (t.net.state_dict(), t.ema.tensors() if t.ema is not None else {}):
            for name, tensor in tensors.items():
                if _in(name, parts):
                    tensor.copy_(start[name])
    for group in t.optimiser.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            if _in(name, parts):
                t.optimiser.state.pop(parameter, None)
    return parts


def reset(run: Path, network: str, seed: int | None = None) -> Reset:
    """Give the parts called `network` the start values of `seed` (default: the run's own).

    The rest stays, with the optimiser's state and all counters; `all` starts the run over, at iteration 0. First the
    current save is kept as a snapshot. Raises SettingRefused (no such part), NothingFound (nothing saved yet),
    DiskRefused, FileRefused.
    """
    settle(run)
    folder, found = RunFolder.open(run), newest(run)
    over = network == ALL
    parts = parts_of(found) if over else chosen(found, network)
    trained: dict[str, Any] = dict(found.extra.get("train") or {})
    seed = int(trained.get("seed", 0)) if seed is None else seed
    start = fresh(NETS.load(folder.net), folder.shape, seed=seed).state_dict()
    tensors: dict[str, dict[str, Tensor]] = {"weights": renewed(found.weights(), start, parts)}
    mean = found.ema()
    if mean is not None:
        tensors["ema"] = renewed(mean, start, parts)
    memory = found.optimiser_state()
    if memory is not None:
        tensors["optimiser"] = {k: v for k, v in memory.tensors.items() if not _in(k.partition(":")[2], parts)}
    kept_as = keep_current(run, "before-reset")
    iteration = 0 if over else found.iteration
    # Losses from here on are of another net: the smoothed one, and with it "the best save", begins anew.
    noted: dict[str, Any] = {"comparable_from": iteration}
    if over:
        noted |= {"train": {}, "used_s": 0.0, "place": {}, "adversaries": {}, "ema_updates": 0, "growing": True}
    checkpoint.save_changed(run, found, tensors, noted, Keep(newest=int(trained.get("keep", 3))), iteration)
    said = [ALL] if over else list(parts)
    journal(run, "reset", iteration=iteration, parts=said, seed=seed, kept_as=kept_as)
    return Reset(tuple(said), iteration, seed, kept_as, () if over else _notes(folder, parts, trained))


def renewed(old: dict[str, Tensor], start: dict[str, Tensor], parts: tuple[str, ...]) -> dict[str, Tensor]:
    """Saved tensors of a net, those of `parts` as in `start`."""
    return {name: start[name].to(value.dtype) if _in(name, parts) else value for name, value in old.items()}


def _in(name: str, parts: tuple[str, ...]) -> bool:
    return name.partition(".")[0] in parts


def _notes(folder: RunFolder, parts: tuple[str, ...], trained: dict[str, Any]) -> tuple[str, ...]:
    """What would keep the fresh part from learning."""
    if "inter_AB" in parts and not trained.get("random_warp", True):
        return ("inter_AB learns with random warp only: train on with --random-warp.",)
    if folder.net == "amp" and set(parts) & {"inter_src", "inter_dst"} and not trained.get("train_inters", False):
        return ("The inters of this AMP model are not trained: the decoder will learn to read the fresh ones.",)
    return ()
