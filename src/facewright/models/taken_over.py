"""Discriminators that came with an imported model: kept beside the run until training takes them up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.core.files import make_folder, sha256_of
from facewright.models.checkpoint import PLAYERS, Checkpoint
from facewright.models.dfl_read import ForeignNet
from facewright.models.memory import OptimiserState
from facewright.models.run_folder import RunFolder
from facewright.models.tensors import read_tensors, write_tensors

_TAKEN_OVER = Path("model") / "taken_over"


def keep_adversaries(run: Path, found: Mapping[str, ForeignNet]) -> dict[str, Any]:
    """Write discriminators that came with a model into RUN/model/taken_over; returns what run.json keeps of them."""
    notes: dict[str, Any] = {}
    for name, net in found.items():
        tensors = {f"weight:{key}": value for key, value in net.weights.items()}
        if net.optimiser is not None:
            tensors |= dict(net.optimiser.tensors)
        path = make_folder(run / _TAKEN_OVER) / f"{name}.safetensors"
        optimiser = net.optimiser
        notes[name] = {
            "sha256": write_tensors(path, tensors), "kind": optimiser.kind if optimiser is not None else "",
            "iterations": optimiser.iterations if optimiser is not None else 0,
        }
    return notes


def taken_over(run: Path) -> dict[str, ForeignNet]:
    """The discriminators that came with an imported run, by our name ("gan", "true_face"). Raises FileRefused."""
    found = {}
    for name, note in RunFolder.open(run).extra.get("imported", {}).get("adversaries", {}).items():
        path = run / _TAKEN_OVER / f"{name}.safetensors"
        if sha256_of(path) != note["sha256"]:
            raise FileRefused(
                f"{path.name} of {run.name} is damaged.", remedy="Import the model again under a new name.", where=path
            )
        tensors = read_tensors(path)
        weights = {key.removeprefix("weight:"): t for key, t in tensors.items() if key.startswith("weight:")}
        rest = {key: t for key, t in tensors.items() if not key.startswith("weight:")}
        state = OptimiserState(note["kind"], note["iterations"], rest) if note["kind"] else None
        found[name] = ForeignNet(weights, state)
    return found


def waiting(run: Path, done: int) -> dict[str, ForeignNet]:
    """Those that a training of `done` iterations may still take up: none where the run was started over since."""
    imported = dict(RunFolder.open(run).extra.get("imported") or {})
    return taken_over(run) if done >= int(imported.get("iteration", 0)) else {}


def players(saved: Checkpoint) -> dict[str, ForeignNet]:
    """The discriminators that a save holds."""
    found = {}
    for name in PLAYERS:
        if name in saved.state["files"]:
            state = None
            if f"{name}_optimiser" in saved.state["files"]:
                plain = saved.state["players"][name]
                tensors = read_tensors(saved.folder / f"{name}_optimiser.safetensors")
                state = OptimiserState.of(plain, tensors)
            found[name] = ForeignNet(read_tensors(saved.folder / f"{name}.safetensors"), state)
    return found
