"""An optimiser's memory as data: what a save keeps of it, and what another program's files hold."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class OptimiserState:
    """kind = its class's name, iterations = its counter, tensors `slot:parameter`."""

    kind: str
    iterations: int
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> OptimiserState:
        """From the two halves that `pack` makes."""
        return cls(plain["kind"], max(plain["iterations"], default=0), tensors)


def give_memory(optimiser: torch.optim.Optimizer, state: OptimiserState) -> None:
    """Give an optimiser of the same kind a memory; of another kind it keeps its fresh one, but the counter."""
    plain = {"kind": state.kind, "iterations": [state.iterations], "generator": ""}
    restore_memory(optimiser, state.tensors, plain)


def pack(optimiser: torch.optim.Optimizer | OptimiserState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State keyed by parameter name: tensors `slot:name`, everything else JSON-able."""
    if isinstance(optimiser, OptimiserState):
        plain = {"kind": optimiser.kind, "iterations": [optimiser.iterations], "generator": ""}
        return dict(optimiser.tensors), plain
    tensors: dict[str, Tensor] = {}
    for group in optimiser.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            for slot, value in optimiser.state.get(parameter, {}).items():
                tensors[f"{slot}:{name}"] = value
    iterations = [group.get("iterations", 0) for group in optimiser.param_groups]
    generator = getattr(optimiser, "generator", None)
    state = "" if generator is None else encode(generator.get_state())
    return tensors, {"kind": type(optimiser).__name__, "iterations": iterations, "generator": state}


def restore_memory(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """Give an optimiser the state of its kind; of another kind it keeps its fresh one, but the counter."""
    same = plain["kind"] == type(optimiser).__name__
    parameters = {n: p for g in optimiser.param_groups for n, p in zip(g["param_names"], g["params"], strict=True)}
    for key, value in tensors.items() if same else ():
        slot, _, name = key.partition(":")
        if name in parameters:
            optimiser.state[parameters[name]][slot] = value.to(parameters[name].device)
    # Learning rate and constants are settings of today; only the counter is state.
    for group, iterations in zip(optimiser.param_groups, plain["iterations"]):
        if "iterations" in group:
            group["iterations"] = iterations
    generator = getattr(optimiser, "generator", None)
    if generator is not None and plain["generator"]:
        state = decode(plain["generator"])
        # A GPU's dice and a CPU's have states of different sizes: a run that moves to another device rolls fresh ones.
        if state.numel() == generator.get_state().numel():
            generator.set_state(state)


def encode(state: Tensor) -> str:
    """A random state as text."""
    return base64.b64encode(bytes(state.to("cpu").numpy())).decode("ascii")


def decode(text: str) -> Tensor:
    """The way back of `encode`, uint8."""
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
