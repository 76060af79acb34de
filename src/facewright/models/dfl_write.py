"""A model as DeepFaceLab's files: names, keys, layouts and pickles that the original reads. Facts: 3.7 of the spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facewright.core.errors import DiskRefused
from facewright.core.files import PART, disk_error, make_folder, replace_files, sha256_of
from facewright.core.pickling import dump
from facewright.models.dfl_files import ADVERSARIES, WHOLE, Family, scope_of
from facewright.models.dfl_read import ForeignNet
from facewright.models.layers import to_original_layout
from facewright.models.memory import OptimiserState

Content = dict[str, Any]
"""Key of the original -> array or NumPy scalar."""

_SLOTS = {"RMSprop": ("acc",), "AdaBelief": ("ms", "vs")}
_FROZEN = {"amp": ("inter_src.", "inter_dst.")}
"""Parts without an optimiser's memory in the original (quirk Q13)."""


def to_dfl(named: Iterable[tuple[str, Tensor]], *, whole: bool = False) -> dict[str, Content]:
    """Part -> {key with ":0" -> float32 array in the original's layout}; `whole`: a net of one part."""
    files: dict[str, Content] = {}
    for name, tensor in named:
        part, key = (WHOLE, name) if whole else name.split(".", 1)
        files.setdefault(part, {})[key.replace(".", "/") + ":0"] = _array(tensor)
    return files


def optimiser_to_dfl(
    state: OptimiserState, net: str, shapes: Mapping[str, Tensor], scope: str = ""
) -> Content | None:
    """An optimiser's memory under the original's keys; None when the original has no such optimiser.

    shapes: the parameters; one without a memory gets zeros, as the original's fresh ones do. scope: put before each
    name (nets of one part).
    """
    if state.kind not in _SLOTS:
        return None
    content: Content = {"iters:0": np.int64(state.iterations)}
    for slot in _SLOTS[state.kind]:
        for name, parameter in shapes.items():
            value = state.tensors.get(f"{slot}:{name}")
            if value is None and name.startswith(_FROZEN.get(net, ("\0",))):
                continue
            key = f"{slot}_{scope + '/' if scope else ''}{name.replace('.', '/')}_0:0"
            content[key] = _array(torch.zeros_like(parameter) if value is None else value)
    return content


def adversaries_to_dfl(net: str, adversaries: Mapping[str, ForeignNet]) -> dict[str, Content]:
    """Part -> content, of the discriminators and their optimisers."""
    files: dict[str, Content] = {}
    for name, found in adversaries.items():
        weights, optimiser = ADVERSARIES[name]
        files[weights] = to_dfl(found.weights.items(), whole=True)[WHOLE]
        if found.optimiser is not None:
            content = optimiser_to_dfl(found.optimiser, "", found.weights, scope_of(net, name))
            if content is not None:
                files[optimiser] = content
    return files


def write_dfl(
    family: Family, files: Mapping[str, Content], data: Content,
    enter: Callable[[dict[str, str]], None] = lambda digests: None,
) -> list[str]:
    """Write a family of files, data.dat last: before it the original sees no model. Returns their names.

    enter: called with {file name: SHA-256} when all is written aside, before the first file appears. Raises
    DiskRefused: a model of that name is there already, or the folder cannot be written.
    """
    make_folder(family.folder)
    begun = sorted(f.name for f in family.folder.iterdir() if f.name.startswith(f"{family.prefix}_"))
    if begun:
        raise DiskRefused(
            f"{family.folder.name} holds files of a model {family.prefix} already.", why=", ".join(begun[:5]),
            remedy="Give another folder or another --name.", where=family.folder,
        )
    contents = {family.part(name): content for name, content in files.items()} | {family.data: data}
    parts, written = [(path.with_name(f".{path.name}{PART}"), path) for path in contents], set[Path]()
    try:
        for part, path in parts:
            _write(part, contents[path])
            written.add(part)
        enter({path.name: sha256_of(part) for part, path in parts})
        replace_files(parts)
    except BaseException as error:
        for part, path in parts:
            # A half model would only be in the way; what this call did not rename is another's.
            (path if part in written and not part.exists() else part).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise disk_error(error, family.data) from error
        raise
    return [path.name for path in contents]


def _write(path: Path, content: Content) -> None:
    with open(path, "wb") as file:
        dump(content, file)


def _array(tensor: Tensor) -> np.ndarray:
    return to_original_layout(tensor.detach().cpu().float()).contiguous().numpy()
