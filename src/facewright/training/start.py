"""Everything that training needs before its first iteration, made or taken up again from the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from facewright.faces.face import FaceType
from facewright.faceset.faceset import Faceset
from facewright.models.checkpoint import Checkpoint
from facewright.models.net import build, fresh
from facewright.models.settings import ShapeSettings, XSegSettings
from facewright.models.start_weights import begin_with_drawn_heads
from facewright.models.xseg import XSeg
from facewright.training import machine
from facewright.training.batches import Batches
from facewright.training.clock import Clock
from facewright.training.labelled import LabelledBatches
from facewright.training.masking import Masking
from facewright.training.optim import Ema
from facewright.training.samples import Samples, choose, crop_side, prepare
from facewright.training.settings import SwapTrain, TrainSettings
from facewright.training.survey import Survey, rows_of
from facewright.training.swapping import Swapping
from facewright.training.training import Training, optimiser_for

CACHE = ".cache"


def prepare_samples(
    run: Path, faceset: Faceset, found: Survey, name: str, shape: ShapeSettings, s: SwapTrain,
    progress: Callable[[int, int], None],
) -> Samples:
    """One side's faces, ready to be read; `name` is "src" or "dst"."""
    wanted = FaceType(shape.face_type)
    native = found.side_px * _span(wanted) / _span(found.face_type)
    side = crop_side(shape.resolution, native)
    samples = prepare(
        run / CACHE / name, rows_of(faceset, found.person), faceset.load, found.count, digest=found.stamp,
        face_type=wanted, side=side, mouth_area=s.mouth_area, progress=progress,
    )
    return samples.limited(choose(samples.frames, s.hold_out, s.hold_out_last))


def _span(face_type: FaceType) -> float:
    """Side of a crop in units of the mean face (data-formats-and-merging.md 1.1)."""
    return 1 + 2 * 2**0.5 * face_type.padding


def begin(
    run: Path, net_name: str, shape: ShapeSettings, s: SwapTrain, src: Samples, dst: Samples,
    saved: Checkpoint | None = None,
) -> Swapping:
    """A net that swaps faces, with optimiser, running mean and clock: fresh, or as `saved` left them."""
    device = machine.device_of(s)
    net = build(net_name, shape, seed=s.seed)
    wanted = saved is None and getattr(s, "begin_with", "random") != "random"
    begun_with = begin_with_drawn_heads(net) if wanted else ""
    net = net.to(device)
    batches = Batches(src, dst, net.resolution, machine.batch_of(s, device), device, s.match_colour)
    t = Swapping(**_moving_parts(run, net, s, device, saved), batches=batches)
    t.facts |= _facts(t, batches.batch)
    if begun_with:
        t.facts["begun_with"] = f"drawn heads, {begun_with[:12]}"
    elif wanted:
        t.warnings.append("The weights of drawn heads are of another shape: this net begins with random numbers.")
    if s.compile:
        t.forward = machine.compiled(net, device)
    t.set_up_net()
    return t


def begin_masking(
    run: Path, shape: XSegSettings, s: TrainSettings, samples: list[Samples], unlabelled: np.ndarray,
    saved: Checkpoint | None = None,
) -> Masking:
    """The same for a net that draws masks. unlabelled: see Masking."""
    device = machine.device_of(s)
    net = fresh(XSeg, shape, seed=s.seed).to(device)
    batches = LabelledBatches(samples, machine.batch_of(s, device), device, calm=bool(s.pretrain))
    t = Masking(**_moving_parts(run, net, s, device, saved), batches=batches, unlabelled=unlabelled)
    t.facts |= _facts(t, batches.batch)
    return t


def _moving_parts(
    run: Path, net: nn.Module, s: TrainSettings, device: torch.device, saved: Checkpoint | None
) -> dict[str, Any]:
    """What `Training` holds of any net, by its names."""
    generator = torch.Generator("cpu" if s.optimiser_device == "cpu" else device).manual_seed(s.seed)
    optimiser = optimiser_for(list(net.named_parameters()), s, generator)
    ema = Ema(net.named_parameters(), s.ema_decay) if s.ema else None
    used = _take_up(saved, net, optimiser, ema) if saved is not None else 0.0
    warnings = []
    if saved is not None and saved.damaged:
        warnings.append(f"Damaged saves were passed over: {', '.join(saved.damaged)}.")
    if saved is not None and not saved.resumable:
        warnings.append("This save holds no optimiser state: the first iterations may be rough.")
    return {
        "run": run, "net": net, "optimiser": optimiser, "ema": ema, "settings": s, "device": device,
        "bf16": machine.bf16_wanted(s, device), "generator": generator, "clock": Clock(used, s.clock),
        "done": saved.iteration if saved is not None else 0,
        "place": dict(saved.extra.get("place") or {}) if saved is not None else {},
        "warnings": warnings, "saved": saved,
    }


def _facts(t: Training[Any], batch: int) -> dict[str, Any]:
    return {
        "device": torch.cuda.get_device_name(t.device) if t.device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(), "precision": "bf16" if t.bf16 else "float32", "batch": batch,
        "parameters": sum(p.numel() for p in t.net.parameters()), "torch": torch.__version__,
    }


def _take_up(
    saved: Checkpoint, net: nn.Module, optimiser: torch.optim.Optimizer, ema: Ema | None
) -> float:
    """Load a save in place; returns the seconds of training that led to it."""
    saved.restore(net, optimiser)
    if ema is not None:
        mean = saved.ema()
        # A run that kept none so far starts the mean at its weights.
        ema.load(saved.weights() if mean is None else mean, int(saved.extra.get("ema_updates", 0)) if mean else 0)
    return float(saved.extra.get("used_s", 0.0))
