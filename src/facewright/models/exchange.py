"""DeepFaceLab's model folders: which net, which shape, which weights. Facts: models-and-training.md 3.7.

A model is a family of files `<name>_<Class>_<part>.npy` (pickled dicts, key = variable name without its part, plus
":0") and `<name>_<Class>_data.dat` (iteration and options).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facewright.core.errors import FileRefused, Mismatch, SettingRefused
from facewright.core.settings import check
from facewright.core.unpickle import read_pickle_file
from facewright.models.layers import to_original_layout, to_torch_layout
from facewright.models.settings import Quick96Settings, SaehdSettings, ShapeSettings, split_archi

NET_OF_CLASS = {"SAEHD": "saehd", "Quick96": "quick96"}
"""The original's class name -> ours."""

FACE_TYPES = {"h": "half_face", "mf": "midfull_face", "f": "full_face", "wf": "whole_face", "head": "head"}
"""The original's word -> ours."""

PARTS = {
    "df": ("encoder", "inter", "decoder_src", "decoder_dst"), "liae": ("encoder", "inter_AB", "inter_B", "decoder"),
}
"""Graph -> the nets within the net, one file each."""

_DATA = re.compile(r"(?P<name>[^_]+)_(?P<kind>[A-Za-z0-9]+)_data\.dat")
_DIMS = ("ae_dims", "e_dims", "d_dims", "d_mask_dims")
_DIMS_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A model read from a folder. `weights`: parameter name (dotted, with part) -> float32 tensor in torch's layout.

    `missing`: parts without a file; they keep their start values, as in the original (a known user recipe deletes
    inter_AB between stages).
    """

    name: str
    net: str
    settings: ShapeSettings
    weights: Mapping[str, Tensor]
    missing: tuple[str, ...]
    iteration: int
    options: Mapping[str, Any]


def read_dfl(folder: Path, name: str = "") -> ForeignModel:
    """Read the SAEHD or Quick96 model `name` (may be left out when there is only one) of a folder.

    Raises FileRefused (none, several, damaged, hostile, a class that facewright does not read).
    """
    prefix, data = _find(folder, name)
    model_name, class_name = prefix.split("_", 1)
    content = read_pickle_file(data)
    if not isinstance(content, dict) or not isinstance(content.get("options", {}), dict):
        raise _damaged(data, "it is not a dictionary with options")
    options = content.get("options", {})
    net = NET_OF_CLASS[class_name]
    settings = Quick96Settings() if net == "quick96" else _shape(options, data)
    weights: dict[str, Tensor] = {}
    missing = []
    for part in PARTS[split_archi(settings.archi)[0]]:
        file = folder / f"{prefix}_{part}.npy"
        if file.is_file():
            weights.update(_read_part(file, part))
        else:
            missing.append(part)
    iteration = content.get("iter", 0)
    return ForeignModel(
        model_name, net, settings, weights, tuple(missing), iteration if type(iteration) is int else 0, options
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
        if value.shape != parameter.shape:
            # The original reshapes in its own layout, so do we.
            value = to_torch_layout(to_original_layout(value).reshape(to_original_layout(parameter).shape))
        parameter.copy_(value)
    return without


def to_dfl(net: nn.Module) -> dict[str, dict[str, np.ndarray]]:
    """Part -> {key with ":0" -> float32 array in the original's layout}: what its files hold, as plain data."""
    files: dict[str, dict[str, np.ndarray]] = {}
    for name, parameter in net.named_parameters():
        part, _, key = name.partition(".")
        array = to_original_layout(parameter.detach().cpu()).contiguous().numpy()
        files.setdefault(part, {})[key.replace(".", "/") + ":0"] = array
    return files


def _find(folder: Path, name: str) -> tuple[str, Path]:
    matches = [m for f in sorted(folder.glob("*_data.dat")) if (m := _DATA.fullmatch(f.name))]
    names = [m["name"] for m in matches]
    matches = [m for m in matches if name in ("", m["name"])]
    readable = [m for m in matches if m["kind"] in NET_OF_CLASS]
    if len(readable) == 1:
        found = readable[0]
        return f"{found['name']}_{found['kind']}", folder / found.string
    if readable:
        raise FileRefused(
            f"{folder.name} holds several models.", why=", ".join(m.string for m in readable),
            remedy=f"Name one of: {', '.join(m['name'] for m in readable)}.", where=folder,
        )
    if matches:
        raise FileRefused(
            f"{matches[0].string} is a {matches[0]['kind']} model, which facewright does not read.",
            remedy="SAEHD and Quick96 models can be read.", where=folder,
        )
    raise FileRefused(
        f"{folder.name} holds no DeepFaceLab model{f' called {name}' if name else ''}.",
        remedy=f"There are: {', '.join(names)}." if names else "Give the folder with the file NAME_SAEHD_data.dat.",
        where=folder,
    )


def _shape(options: Mapping[str, Any], data: Path) -> SaehdSettings:
    """Shape settings from the options. Channel counts below our own minimum are accepted as they are."""
    try:
        words = {
            "archi": options["archi"], "resolution": options["resolution"],
            "face_type": FACE_TYPES[options["face_type"]],
        }
        shape = check(SaehdSettings, words)
        dims = {key: options[key] for key in _DIMS}
    except (KeyError, TypeError) as error:
        raise _damaged(data, f"its options lack or misname {error}") from error
    except SettingRefused as error:
        raise _damaged(data, f"{error.what} {error.why}") from error
    if not all(type(v) is int and 1 <= v <= _DIMS_LIMIT for v in dims.values()):
        raise _damaged(data, f"its channel counts are impossible: {dims}")
    return shape.model_copy(update=dims)


def _read_part(file: Path, part: str) -> dict[str, Tensor]:
    content = read_pickle_file(file)
    if not isinstance(content, dict):
        raise _damaged(file, "it is not a dictionary of arrays")
    found = {}
    for key, array in content.items():
        if not isinstance(key, str) or not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise _damaged(file, f"{key!r} is not an array of numbers")
        name = f"{part}.{key.removesuffix(':0').replace('/', '.')}"
        found[name] = to_torch_layout(torch.from_numpy(array.astype(np.float32)))
    return found


def _damaged(file: Path, why: str) -> FileRefused:
    return FileRefused(
        f"{file.name} is damaged.", why=f"{why}.", remedy="Restore the model's files from a backup.", where=file
    )
