"""A DeepFaceLab model folder, read safely: shape, weights, optimisers, losses. Nothing of a face is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facewright.core.errors import Mismatch
from facewright.core.settings import Settings
from facewright.core.unpickle import read_pickle_file
from facewright.models.dfl_files import ADVERSARIES, OPTIMISER, WHOLE, Family, damaged, find, parts_of
from facewright.models.dfl_shape import shape_of
from facewright.models.layers import to_original_layout, to_torch_layout
from facewright.models.memory import OptimiserState
from facewright.models.opened import is_near, sizes_of

_DATA_LIMIT_BYTES = 1 << 30
_DATA_OPCODES = 20_000_000
"""Enough for the losses of two and a half million iterations: seven opcodes each."""

_SLOTS, _VALUE_BYTES, _KEY_BYTES, _SPARE_BYTES = 3, 8, 512, 1 << 20
"""Arrays that an optimiser's file may keep of each weight (of both kinds, where the user went from one to the other),
bytes of a value (old protocols spell float32 longer), of a name, and of the rest."""

_UNSEEN_BYTES = 4 << 30
"""The most that an optimiser's file may keep of weights that no file holds."""

_LAST_ITERATION = 999_999_999
_KINDS = {frozenset({"acc"}): "RMSprop", frozenset({"ms", "vs"}): "AdaBelief"}
_SLOT = re.compile(r"(?P<slot>acc|ms|vs)_(?P<scope>[^/]+)/(?P<rest>.+)_0:0")


@dataclass(frozen=True, slots=True)
class ForeignNet:
    """A discriminator: parameter name -> tensor in torch's layout, and its optimiser's memory."""

    weights: Mapping[str, Tensor]
    optimiser: OptimiserState | None = None


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A model read from a folder. `weights`: parameter name (dotted, with part) -> float32 tensor in torch's layout.

    `missing`: parts without a file; they keep their start values, as in the original (a known user recipe deletes
    inter_AB between stages). `losses` (n, 2) float64: source and target, the last n iterations (XSeg: its one loss
    twice). `options`: plain values as the original spells them. `notes`: sentences on what was left out.
    """

    name: str
    net: str
    settings: Settings
    weights: Mapping[str, Tensor]
    missing: tuple[str, ...]
    iteration: int
    options: Mapping[str, Any]
    optimiser: OptimiserState | None = None
    adversaries: Mapping[str, ForeignNet] = field(default_factory=dict)
    losses: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    notes: tuple[str, ...] = ()

    @property
    def pretraining(self) -> bool:
        """Whether it was still learning faces in general."""
        return self.options.get("pretrain") is True


def read_dfl(folder: Path, name: str = "", *, archi: str = "", face_type: str = "") -> ForeignModel:
    """Read the model `name` (may be left out when there is only one) of a folder.

    `archi` and `face_type` say what the files do not, as far as they are needed. Raises FileRefused (none, several,
    damaged, hostile, of a class that facewright does not read), Mismatch (also: far larger than its files).
    """
    family = find(folder, name)
    content, notes = _training_state(family)
    arrays = {part: _read_arrays(family.part(part)) for part in family.there()}
    options = content["options"]
    settings = shape_of(family, options, arrays, archi, face_type)
    parts = parts_of(family.net, getattr(settings, "archi", ""))
    weights = {
        _dotted(part, key): _tensor(array)
        for part in parts for key, array in arrays.get(part, {}).items()
    }
    is_near(family.net, settings, weights)
    limit_bytes = _limit_of(sizes_of(family.net, settings), weights)
    optimiser = _read_optimiser(family.part(OPTIMISER), limit_bytes, whole=family.net == "xseg")
    iteration = content["iter"] or (optimiser.iterations if optimiser is not None and not family.data.is_file() else 0)
    return ForeignModel(
        family.name, family.net, settings, weights, tuple(p or "XSeg" for p in parts if p not in arrays), iteration,
        options, optimiser, _adversaries(family), content["losses"], tuple(notes),
    )


@torch.no_grad()
def fill(net: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Copy weights into a net; returns the names of parameters that got none (they keep their values).

    Names that the net does not have are ignored. Raises Mismatch when a size differs: the original would silently
    start that whole part afresh (quirk Q11).
    """
    without = []
    for name, parameter in net.named_parameters():
        if name not in weights:
            without.append(name)
            continue
        value = weights[name]
        if value.numel() != parameter.numel():
            raise Mismatch(
                f"{name} has {value.numel():,} values, the net wants {parameter.numel():,}.",
                why="The weights were made with other dimensions or letters than the options say.",
                remedy="Restore the model's files from one and the same backup.", where=name,
            )
        parameter.copy_(_shaped_like(value, parameter))
    return without


def fitting(net: nn.Module, found: OptimiserState) -> tuple[OptimiserState, list[str]]:
    """The part of an optimiser's memory that fits a net, and the names of parameters whose memory does not."""
    parameters = dict(net.named_parameters())
    kept, misfits = {}, []
    for key, value in found.tensors.items():
        parameter = parameters.get(key.partition(":")[2])
        if parameter is None:
            continue  # of a part that is not here, as in the original
        if value.numel() == parameter.numel():
            kept[key] = _shaped_like(value, parameter).contiguous()
        else:
            misfits.append(key.partition(":")[2])
    kept = {key: value for key, value in kept.items() if key.partition(":")[2] not in misfits}
    return OptimiserState(found.kind, found.iterations, kept), sorted(set(misfits))


def _shaped_like(value: Tensor, parameter: Tensor) -> Tensor:
    """The original reshapes in its own layout, so do we."""
    if value.shape == parameter.shape:
        return value
    return to_torch_layout(to_original_layout(value).reshape(to_original_layout(parameter).shape))


def _training_state(family: Family) -> tuple[dict[str, Any], list[str]]:
    """iter, options and losses of data.dat, {} as far as it is missing; and what to say about it."""
    found: dict[str, Any] = {"iter": 0, "options": {}, "losses": np.zeros((0, 2))}
    if not family.data.is_file():
        return found, [f"{family.data.name} is missing: the shape was read from the sizes of the arrays."]
    content = read_pickle_file(family.data, limit_bytes=_DATA_LIMIT_BYTES, opcode_limit=_DATA_OPCODES)
    if not isinstance(content, dict) or not isinstance(content.get("options", {}), dict):
        raise damaged(family.data, "it is not a dictionary with options")
    notes = []
    iteration = content.get("iter", 0)
    if type(iteration) is not int or not 0 <= iteration <= _LAST_ITERATION:
        raise damaged(family.data, f"it counts {iteration!r} iterations")
    if content.get("sample_for_preview"):
        notes.append("The faces kept in its data.dat for the preview were left out.")
    losses = _losses(content.get("loss_history"))
    if losses is None:
        notes.append("Its course of the losses cannot be read and was left out.")
    elif iteration:
        found["losses"] = losses[-iteration:]
    options = {k: v for k, v in content.get("options", {}).items() if isinstance(k, str) and _plain(v)}
    return {**found, "iter": iteration, "options": options}, notes


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _losses(history: Any) -> np.ndarray | None:
    """(n, 2) float64, or None when it is no list of one or two numbers each."""
    if history is None or history == []:
        return np.zeros((0, 2))
    try:
        array = np.array(history, np.float64)
    except (ValueError, TypeError):
        return None
    if array.ndim != 2 or array.shape[1] not in (1, 2):
        return None
    return array if array.shape[1] == 2 else np.repeat(array, 2, axis=1)


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    content = read_pickle_file(file)
    if not isinstance(content, dict):
        raise damaged(file, "it is not a dictionary of arrays")
    for key, array in content.items():
        if not isinstance(key, str) or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise damaged(file, f"{key!r} is not an array of numbers")
    return content


def _dotted(part: str, key: str) -> str:
    name = key.removesuffix(":0").replace("/", ".")
    return f"{part}.{name}" if part != WHOLE else name


def _tensor(array: np.ndarray) -> Tensor:
    return to_torch_layout(torch.from_numpy(array.astype(np.float32)))


def memory_limit(sizes: Iterable[torch.Size]) -> int:
    """The most bytes that the file of an optimiser can honestly have, for weights of these sizes."""
    return sum(_SLOTS * (_VALUE_BYTES * size.numel() + _KEY_BYTES) for size in sizes) + _SPARE_BYTES


def _limit_of(sizes: Mapping[str, torch.Size], weights: Mapping[str, Tensor]) -> int:
    """The same for a net whose files hold these weights. The memory of a part whose weights are not there any more may
    still be; what nothing but the options speaks for gets no more than `_UNSEEN_BYTES`."""
    seen = {name for name, size in sizes.items() if name in weights and weights[name].numel() == size.numel()}
    unseen_bytes = memory_limit(size for name, size in sizes.items() if name not in seen)
    return memory_limit(sizes[name] for name in seen) + min(unseen_bytes, _UNSEEN_BYTES)


def _read_optimiser(file: Path, limit_bytes: int, *, whole: bool = False) -> OptimiserState | None:
    """An optimiser's memory; `whole`: names are kept without their scope (a net of one part). None without a file."""
    if not file.is_file():
        return None
    content = read_pickle_file(file, limit_bytes=limit_bytes)
    if not isinstance(content, dict):
        raise damaged(file, "it is not a dictionary of arrays")
    tensors, slots = {}, set()
    for key, array in content.items():
        match = _SLOT.fullmatch(key) if isinstance(key, str) else None
        if match is not None and isinstance(array, np.ndarray) and array.dtype.kind == "f":
            slots.add(match["slot"])
            name = _dotted(WHOLE if whole else match["scope"], match["rest"])
            tensors[f"{match['slot']}:{name}"] = _tensor(array)
    iterations = content.get("iters:0", 0)
    iterations = int(iterations) if isinstance(iterations, int) or getattr(iterations, "size", 0) == 1 else 0
    kind = _KINDS.get(frozenset(slots))
    if kind is None and "vs" in slots and "ms" in slots:
        # Switched from RMSprop once: the original ignores what its optimiser does not ask for.
        kind = "AdaBelief"
        tensors = {key: value for key, value in tensors.items() if not key.startswith("acc:")}
    return OptimiserState(kind, max(0, iterations), tensors) if kind else None


def _adversaries(family: Family) -> dict[str, ForeignNet]:
    found = {}
    for name, (weights, optimiser) in ADVERSARIES.items():
        file = family.part(weights)
        if family.kind in ("SAEHD", "AMP") and file.is_file():
            own = {_dotted(WHOLE, key): _tensor(array) for key, array in _read_arrays(file).items()}
            limit_bytes = memory_limit(tensor.shape for tensor in own.values())
            found[name] = ForeignNet(own, _read_optimiser(family.part(optimiser), limit_bytes, whole=True))
    return found
