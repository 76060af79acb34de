"""DeepFaceLab model folders of legal size, written by hand in every form that users have them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from tests import closed_form as cf

from facewright.models.dfl_files import CLASS_OF_NET
from facewright.models.dfl_write import to_dfl
from facewright.models.net import NETS, fresh
from facewright.models.settings import AmpSettings, Quick96Settings, SaehdSettings, XSegSettings

TINY = {
    "saehd": SaehdSettings(archi="df-ud", resolution=64, ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16),
    "liae": SaehdSettings(archi="liae-udt", resolution=64, ae_dims=32, e_dims=16, d_dims=16, d_mask_dims=16),
    "amp": AmpSettings(resolution=64, ae_dims=32, inter_dims=48, e_dims=16, d_dims=16, d_mask_dims=16),
    "xseg": XSegSettings(base_dims=8, face_type="head"),
    "quick96": Quick96Settings(),
}
WORDS = {"full_face": "f", "whole_face": "wf", "head": "head"}


def tiny(case: str) -> Any:
    """A net with closed-form weights."""
    settings = TINY[case]
    net = fresh(NETS.load("saehd" if case == "liae" else case), settings)
    return cf.fill(net)


def options_of(case: str) -> dict[str, Any]:
    shape = TINY[case].model_dump()
    return {k: WORDS[v] if k == "face_type" else v for k, v in shape.items()}


def dumped(value: Any, protocol: int, numpy_1: bool) -> bytes:
    """A pickle as NumPy 2 writes it, or NumPy 1 (protocols 2 and 3, whose names stand in plain text)."""
    data = pickle.dumps(value, protocol)
    return data.replace(b"cnumpy._core.", b"cnumpy.core.") if numpy_1 else data


def write(
    folder: Path, case: str, *, protocol: int = 4, numpy_1: bool = False, slots: tuple[str, ...] = ("ms", "vs"),
    data: dict[str, Any] | None = None, name: str = "ada",
) -> Path:
    """A whole folder; the optimisers' memory is a known ramp. `data`: of data.dat, None = no such file."""
    folder.mkdir(parents=True, exist_ok=True)
    net = tiny(case)
    kind = CLASS_OF_NET[net.name]
    whole = net.name == "xseg"
    prefix = "XSeg_256" if whole else f"{name}_{kind}"
    memory: dict[str, Any] = {"iters:0": np.int64(41)}
    for part, content in to_dfl(net.named_parameters(), whole=whole).items():
        path = folder / (f"{prefix}.npy" if whole else f"{prefix}_{part}.npy")
        path.write_bytes(dumped(content, protocol, numpy_1))
        for slot in slots:
            for key, array in content.items():
                scope = "XSeg" if whole else part
                value = np.linspace(0, 1, array.size, dtype=np.float32).reshape(array.shape) + len(slot)
                memory[f"{slot}_{scope}/{key.removesuffix(':0')}_0:0"] = value
    (folder / f"{prefix}_{'opt' if whole else 'src_dst_opt'}.npy").write_bytes(dumped(memory, protocol, numpy_1))
    if data is not None:
        stem = "XSeg" if whole else prefix
        (folder / f"{stem}_data.dat").write_bytes(dumped(data, protocol, numpy_1))
    return folder
